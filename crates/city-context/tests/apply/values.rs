//! Indexes of values: made where queries ask for them, kept while things change, never too few.

#![allow(clippy::unwrap_used, reason = "a test fails loudly")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use city_context::Page;
use city_model::query::{AttributePath, Filter, Operand, Test};
use city_model::{Change, Entity, Query, Value};

use crate::city::{City, id, meter, name, permit};

const METERS: u64 = 1_200;

/// A small, seeded source of numbers.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) % bound
    }

    fn value(&mut self) -> Value {
        let number = self.below(50) as i64 - 10;
        match self.below(10) {
            0..4 => Value::Int(number),
            4 | 5 => Value::Float(number as f64 / 2.0),
            6 => Value::text(&number.to_string()),
            7 => Value::List(vec![Value::Int(number), Value::text("a")]),
            8 => Value::Bool(number % 2 == 0),
            _ => Value::Map(vec![("@value".into(), Value::Int(number))]),
        }
    }

    fn operand(&mut self) -> Operand {
        match self.below(8) {
            0 => Operand::Value(Value::text(&(self.below(50) as i64 - 10).to_string())),
            1 => Operand::Value(Value::Bool(true)),
            _ => Operand::Value(Value::Float((self.below(50) as f64 - 10.0) / 2.0)),
        }
    }

    fn test(&mut self) -> Test {
        match self.below(8) {
            0 => Test::Greater(self.operand()),
            1 => Test::GreaterOrEqual(self.operand()),
            2 => Test::Less(self.operand()),
            3 => Test::LessOrEqual(self.operand()),
            4 => Test::Equal(vec![Operand::Range(Box::new(self.operand()), Box::new(self.operand()))]),
            5 => Test::NotEqual(vec![self.operand()]),
            _ => Test::Equal((0..=self.below(3)).map(|_| self.operand()).collect()),
        }
    }
}

fn asks(test: Test) -> Query {
    let path = AttributePath { attribute: name("level"), sub_attributes: vec![], members: vec![] };
    Query { filter: Some(Filter::Term { path, test }), ..Query::default() }
}

fn rare() -> Query {
    asks(Test::Equal(vec![Operand::Value(Value::Int(-77))]))
}

fn ask(city: &City, query: &Query) -> Vec<String> {
    let page = Page { offset: 0, limit: 10_000, count: true };
    let found = city.context().query(&permit("default"), query, page).unwrap();
    let mut ids: Vec<String> = found.entities.iter().map(|entity| entity.id.as_str().to_owned()).collect();
    ids.sort();
    ids
}

fn uses(city: &City, query: &Query) -> (Vec<&'static str>, u64) {
    city.context().explain(&permit("default"), query).unwrap()
}

fn check(city: &City, random: &mut Random) {
    let everything: Vec<Arc<Entity>> = (0..METERS).filter_map(|key| city.get(&key.to_string())).collect();
    for _ in 0..300 {
        let query = asks(random.test());
        let naive =
            everything.iter().filter(|entity| query.matches(entity)).map(|entity| entity.id.as_str().to_owned());
        let mut naive: Vec<String> = naive.collect();
        naive.sort();
        assert_eq!(ask(city, &query), naive, "{query:?}");
    }
}

#[test]
fn a_query_that_looks_at_many_and_finds_few_gets_an_index_that_stays_right() {
    let mut random = Random(7);
    let city = City::new(1);
    for key in 0..METERS {
        city.one(Change::Create(meter(&key.to_string(), &[("level", random.value())]))).unwrap();
    }
    assert_eq!(uses(&city, &rare()), (vec!["attribute of q"], METERS));
    check(&city, &mut random);
    let asked_since = Instant::now();
    while uses(&city, &rare()).0 != ["value of q"] {
        assert!(asked_since.elapsed() < Duration::from_secs(60), "no index was made");
        assert!(ask(&city, &rare()).is_empty());
        // While the index is made, things go on changing.
        let key = random.below(METERS).to_string();
        city.one(Change::Upsert { entity: meter(&key, &[("level", random.value())]), update: true }).unwrap();
    }
    assert!(uses(&city, &rare()).1 < METERS / 2, "lists, objects and flags stay candidates, the rest does not");
    check(&city, &mut random);
    for _ in 0..400 {
        let key = random.below(METERS).to_string();
        let _ = match random.below(6) {
            0 => city.one(Change::Delete(id(&key))),
            1 => city.one(Change::Upsert { entity: meter(&key, &[("other", random.value())]), update: false }),
            _ => city.one(Change::Upsert { entity: meter(&key, &[("level", random.value())]), update: true }),
        };
    }
    check(&city, &mut random);
}
