//! What a permit with a reach sees through queries, counts and names equals what a look at every entity says.

#![allow(clippy::unwrap_used, reason = "a test fails loudly")]

use std::sync::Arc;

use city_context::Page;
use city_model::condition::{Comparison, Operand};
use city_model::query::{AttributePath, Filter, Operand as Asked, Test};
use city_model::reach::{Attributes, Blur, Part, Rule};
use city_model::{Change, Condition, Entity, Powers, Query, Reach, Scope, Value};

use crate::city::{City, id, meter, name, permit_with};

/// A generator whose every run is the same.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) % bound
    }

    fn one<T: Clone>(&mut self, of: &[T]) -> T {
        of[self.below(of.len() as u64) as usize].clone()
    }
}

fn condition(random: &mut Random, levels: u32) -> Condition {
    let attribute = |random: &mut Random| name(random.one(&["speed", "colour", "absent"]));
    let kinds = if levels == 0 { 7 } else { 11 };
    let below = |random: &mut Random| condition(random, levels - 1);
    match random.below(kinds) {
        0 => Condition::Type(name(random.one(&["Bus", "Tram", "Ship"]))),
        1 => Condition::Within(Scope::parse(random.one(&["/Koto", "/Koto/Ariake", "/Sumida"])).unwrap()),
        2 => Condition::Id(id(&random.below(60).to_string())),
        3 => Condition::Has(attribute(random)),
        4 => {
            let limit = Operand::Value(Value::Int(random.below(20) as i64));
            let comparison = random.one(&[Comparison::Equal, Comparison::Less, Comparison::LessOrEqual]);
            Condition::Compare(Operand::Attribute(attribute(random)), comparison, limit)
        }
        5 => Condition::Always,
        6 => Condition::Never,
        7 => Condition::All(vec![below(random), below(random)]),
        8 => Condition::Any(vec![below(random), below(random)]),
        9 => Condition::Not(Box::new(below(random))),
        _ => Condition::IfElse(Box::new([below(random), below(random), below(random)])),
    }
}

fn rule(random: &mut Random, grants: bool) -> Rule {
    let names = || [name("speed")].into();
    let attributes = match random.below(4) {
        0 => Attributes::Only(names()),
        1 => Attributes::AllBut(names()),
        _ => Attributes::All,
    };
    let blurred =
        if grants && random.below(4) == 0 { vec![(name("speed"), Blur::Round { step: 5.0 })] } else { vec![] };
    Rule { when: condition(random, 2), attributes, blurred }
}

#[test]
fn queries_under_a_reach_equal_a_look_at_every_entity() {
    let mut random = Random(77);
    let city = City::new(1);
    for key in 0..60u64 {
        let mut entity = meter(&key.to_string(), &[("speed", Value::Int(random.below(20) as i64))]);
        entity.types = vec![name(random.one(&["Bus", "Tram", "Meter"]))];
        entity.scopes = vec![Scope::parse(random.one(&["/Koto/Ariake", "/Koto", "/Sumida/1"])).unwrap()];
        if random.below(2) == 0 {
            entity.attributes.extend(meter("x", &[("colour", Value::text("red"))]).attributes);
        }
        city.one(Change::Create(entity)).unwrap();
    }
    let everything: Vec<Arc<Entity>> = (0..60).filter_map(|key| city.get(&key.to_string())).collect();
    let (mut some, mut none) = (0, 0);
    for _ in 0..3_000 {
        let grants = (0..=random.below(2)).map(|_| rule(&mut random, true)).collect();
        let forbids = (0..random.below(2)).map(|_| rule(&mut random, false)).collect();
        let reach = Reach::Part(Arc::new(Part { grants, forbids }));
        let permit = permit_with("default", Powers { read: reach.clone(), ..Powers::default() });
        let mut query = Query::default();
        if random.below(2) == 0 {
            let path = AttributePath { attribute: name("speed"), sub_attributes: vec![], members: vec![] };
            let test = Test::GreaterOrEqual(Asked::Value(Value::Int(random.below(20) as i64)));
            query.filter = Some(Filter::Term { path, test });
        }
        if random.below(3) == 0 {
            query.attributes = vec![name(random.one(&["speed", "colour"]))];
        }
        let expected: Vec<Arc<Entity>> =
            everything.iter().filter_map(|entity| reach.seen(entity)).filter(|seen| query.matches(seen)).collect();
        let found = city.context().query(&permit, &query, Page { offset: 0, limit: 100, count: true });
        let found = match found {
            Ok(found) => found,
            Err(error) => panic!("{error}"),
        };
        assert_eq!(found.count, Some(expected.len()), "{reach:?} {query:?}");
        assert_eq!(found.entities, expected, "{reach:?} {query:?}");
        let visible = everything.iter().filter(|entity| reach.sight(entity).is_some()).count();
        let told = city.context().visible(&permit, None).unwrap();
        assert_eq!(told.map(|set| set.len()), Some(visible as u64), "{reach:?}");
        let of_type: u64 = city.context().types(&permit).unwrap().iter().map(|(_, count)| count).sum();
        assert_eq!(of_type, visible as u64, "each entity has one type");
        let speeds = everything
            .iter()
            .filter_map(|entity| reach.seen(entity))
            .filter(|seen| seen.find(name("speed").as_str()).is_some());
        let told = city.context().attributes(&permit).unwrap();
        let told = told.iter().find(|(own, _)| *own == name("speed")).map_or(0, |(_, count)| *count);
        assert_eq!(told, speeds.count() as u64, "{reach:?}");
        if expected.is_empty() { none += 1 } else { some += 1 }
    }
    assert!(some > 500 && none > 500, "{some} and {none}: too few of one kind");
}
