//! What each operation does to an entity, and what followers can rebuild from the journal.

mod city;
#[path = "apply/hand.rs"]
mod hand;
#[path = "apply/reach.rs"]
mod reach;
#[path = "apply/values.rs"]
mod values;

use std::sync::Arc;

use city::{City, id, meter, name, permit, value};
use city_context::{AsOf, Page};
use city_model::geometry::GeoRelation;
use city_model::query::{AttributePath, EntitySelector, Filter, GeoQuery, Operand, ScopeExpr, ScopePattern, Test};
use city_model::{
    Attribute, Change, DatasetId, DatasetSelection, Geometry, Instance, Kind, Position, Query, Rejected, Scope,
    TypeExpr, Value,
};
use city_store::journal::Read;

#[test]
fn a_reading_changes_one_attribute_and_leaves_the_rest() {
    let city = City::new(1);
    city.one(Change::Create(meter("1", &[("reading", Value::Int(1)), ("place", Value::text("Toyo"))]))).unwrap();
    let before = city.get("1").unwrap();
    city.one(Change::Upsert { entity: meter("1", &[("reading", Value::Int(2))]), update: true }).unwrap();
    let after = city.get("1").unwrap();
    assert_eq!(value(&after, "reading"), Some(Value::Int(2)));
    assert_eq!(value(&after, "place"), Some(Value::text("Toyo")));
    assert_eq!(after.created_at, before.created_at);
    assert!(after.modified_at > before.modified_at);
    let born = |e: &city_model::Entity| e.find(name("reading").as_str()).unwrap().instances[0].created_at;
    assert_eq!(born(&after), born(&before), "an attribute keeps its birth");
}

#[test]
fn creating_twice_and_touching_what_is_not_there_are_rejected() {
    let city = City::new(1);
    city.one(Change::Create(meter("1", &[]))).unwrap();
    assert!(matches!(city.one(Change::Create(meter("1", &[]))), Err(Rejected::AlreadyExists(_))));
    assert!(matches!(city.one(Change::Delete(id("2"))), Err(Rejected::EntityNotFound(_))));
    assert!(matches!(city.one(Change::Merge(meter("2", &[]))), Err(Rejected::EntityNotFound(_))));
    let delete = |dataset| Change::DeleteAttribute { entity: id("1"), attribute: name("x"), dataset };
    assert!(matches!(city.one(delete(DatasetSelection::All)), Err(Rejected::AttributeNotFound { .. })));
}

#[test]
fn entities_of_a_batch_are_each_atomic_and_follow_each_other() {
    let city = City::new(1);
    let results = city
        .apply(vec![
            Change::Create(meter("1", &[("a", Value::Int(1))])),
            Change::Create(meter("1", &[("a", Value::Int(2))])),
            Change::Upsert { entity: meter("1", &[("b", Value::Int(3))]), update: true },
            Change::Delete(id("9")),
        ])
        .unwrap();
    assert_eq!(results.iter().map(Result::is_ok).collect::<Vec<_>>(), [true, false, true, false]);
    let seqs: Vec<_> = results.iter().flatten().map(|applied| applied.seq).collect();
    assert_eq!(seqs, [Some(1), Some(2)], "adjacent and dense");
    let entity = city.get("1").unwrap();
    assert_eq!((value(&entity, "a"), value(&entity, "b")), (Some(Value::Int(1)), Some(Value::Int(3))));
}

#[test]
fn the_same_request_key_is_applied_once_and_answered_alike_for_a_day() {
    let mut city = City::new(1);
    let send = |city: &City, reading: i64| {
        let changes = vec![Change::Create(meter("1", &[("reading", Value::Int(reading))])), Change::Delete(id("9"))];
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(city.context().apply_once(&permit("default"), changes, city::cause(), "key-1")).unwrap()
    };
    let first = send(&city, 1);
    assert!(first[0].is_ok() && first[1].is_err());
    assert_eq!(send(&city, 2), first, "answered as before");
    city.restart(true).unwrap();
    assert_eq!(send(&city, 3), first, "also after a restart");
    assert_eq!(value(&city.get("1").unwrap(), "reading"), Some(Value::Int(1)));
    city.clock.advance_micros(25 * 3_600 * 1_000_000);
    assert!(matches!(send(&city, 4)[0], Err(Rejected::AlreadyExists(_))), "a day later it is a request like any other");
}

#[test]
fn a_merge_deletes_what_is_null_and_keeps_what_is_not_named() {
    let city = City::new(1);
    city.one(Change::Create(meter("1", &[("a", Value::Int(1)), ("b", Value::Int(2))]))).unwrap();
    let mut patch = meter("1", &[("a", Value::Int(5))]);
    patch.attributes.push(Attribute::new(name("b"), Instance::new(Kind::Null)));
    city.one(Change::Merge(patch)).unwrap();
    let entity = city.get("1").unwrap();
    assert_eq!((value(&entity, "a"), value(&entity, "b")), (Some(Value::Int(5)), None));
}

#[test]
fn instances_of_one_attribute_live_side_by_side() {
    let mut city = City::new(1);
    let dataset = DatasetId::parse("urn:ngsi-ld:Dataset:radar").unwrap();
    let mut entity = meter("1", &[("level", Value::Int(1))]);
    let mut second = Instance::new(Kind::Property(Value::Int(2)));
    second.dataset = Some(dataset.clone());
    entity.attributes[0].instances.push(second);
    city.one(Change::Create(entity)).unwrap();
    city.restart(true).unwrap();
    let level = city.get("1").unwrap().find(name("level").as_str()).unwrap().clone();
    assert_eq!(level.instances.len(), 2);
    let delete =
        Change::DeleteAttribute { entity: id("1"), attribute: name("level"), dataset: DatasetSelection::One(dataset) };
    city.one(delete).unwrap();
    assert_eq!(city.get("1").unwrap().find(name("level").as_str()).unwrap().instances.len(), 1);
}

#[test]
fn an_entity_can_be_rebuilt_as_of_every_change() {
    let mut city = City::new(1);
    city.one(Change::Create(meter("1", &[("reading", Value::Int(0))]))).unwrap();
    for reading in 1..=20 {
        let other = Value::Int(reading * 100);
        city.one(Change::Upsert {
            entity: meter("1", &[("reading", Value::Int(reading)), ("other", other)]),
            update: true,
        })
        .unwrap();
        city.one(Change::Upsert { entity: meter("2", &[("reading", Value::Int(reading))]), update: true }).unwrap();
    }
    city.one(Change::Delete(id("1"))).unwrap();
    // Once from memory, once from disk.
    for restarted in [false, true] {
        if restarted {
            city.restart(true).unwrap();
        }
        let context = city.context();
        let space = context.tenant(&permit("default")).unwrap();
        let Read::Records(records) = context.journal().read(1, 1_000).unwrap() else { panic!("lost") };
        assert_eq!(records.len(), 42);
        let mut seen = 0;
        let mut before: Option<Arc<city_model::Entity>> = None;
        for published in records.iter().filter(|p| p.record.entity_id.ends_with(":1")) {
            let AsOf::Entity(entity) = context.as_of(&space, published.record.entity, published.lsn).unwrap() else {
                panic!("forgotten")
            };
            match entity {
                Some(entity) => {
                    if let Some(before) = &before {
                        let forward = context.forward(&space, before, published).unwrap();
                        assert_eq!(value(&forward, "reading"), Some(Value::Int(seen)), "forward is as good as back");
                        assert_eq!(forward.modified_at, entity.modified_at);
                    }
                    before = Some(Arc::clone(&entity));
                    assert_eq!(value(&entity, "reading"), Some(Value::Int(seen)));
                    assert_eq!(value(&entity, "other"), (seen > 0).then(|| Value::Int(seen * 100)));
                    assert_eq!(entity.modified_at, published.record.time);
                }
                None => assert_eq!(seen, 21, "it is gone only at the end"),
            }
            seen += 1;
        }
        assert_eq!(seen, 22);
        let AsOf::Entity(Some(deleted)) = context.image_of(&space, &records[41]).unwrap() else { panic!("no image") };
        assert_eq!(value(&deleted, "reading"), Some(Value::Int(20)), "followers of a deletion get what was deleted");
    }
}

/// Random entities, random queries: the indexed answer is the naive one, before and after a restart.
#[test]
fn indexed_answers_equal_a_scan_of_everything() {
    let mut state = 42u64;
    let mut below = move |bound: u64| {
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        state.wrapping_mul(0x2545_F491_4F6C_DD1D) % bound
    };
    let mut city = City::new(1);
    let point = |lon: f64, lat: f64| Geometry::Point(Position { lon, lat, height: None });
    let location = name("location");
    for round in 0..600u64 {
        let key = below(150).to_string();
        if below(12) == 0 {
            let _ = city.one(Change::Delete(id(&key)));
            continue;
        }
        let mut entity = meter(&key, &[("speed", Value::Int(below(20) as i64))]);
        entity.types = vec![name(["Bus", "Tram", "Meter"][below(3) as usize])];
        entity.scopes = vec![Scope::parse(["/Koto/Ariake", "/Koto", "/Sumida"][below(3) as usize]).unwrap()];
        if below(3) > 0 {
            let place = point(139.7 + below(1_000) as f64 / 5_000.0, 35.6 + below(1_000) as f64 / 5_000.0);
            entity.attributes.push(Attribute::new(location.clone(), Instance::new(Kind::GeoProperty(place))));
        }
        if below(2) == 0 {
            entity.attributes.push(Attribute::new(name("colour"), Instance::new(Kind::Property(Value::text("red")))));
        }
        let update = round % 2 == 0;
        city.one(Change::Upsert { entity, update }).unwrap();
    }
    for restarted in [false, true] {
        if restarted {
            city.restart(below(2) == 0).unwrap();
        }
        let everything: Vec<Arc<city_model::Entity>> = (0..150).filter_map(|key| city.get(&key.to_string())).collect();
        for _ in 0..400 {
            let mut query = Query::default();
            if below(2) == 0 {
                let types = Some(TypeExpr::Or(vec![TypeExpr::Type(name("Bus")), TypeExpr::Type(name("Meter"))]));
                query.selectors.push(EntitySelector { types, ..EntitySelector::default() });
            }
            if below(2) == 0 {
                let path = AttributePath { attribute: name("speed"), sub_attributes: vec![], members: vec![] };
                let operand = Operand::Value(Value::Int(below(20) as i64));
                let test = if below(2) == 0 { Test::Less(operand) } else { Test::NotEqual(vec![operand]) };
                let speed = Filter::Term { path, test };
                let path = AttributePath { attribute: name("colour"), sub_attributes: vec![], members: vec![] };
                let test = if below(2) == 0 { Test::Exists } else { Test::NotExists };
                let colour = Filter::Term { path, test };
                let both = vec![speed, colour];
                query.filter = Some(if below(2) == 0 { Filter::And(both) } else { Filter::Or(both) });
            }
            if below(2) == 0 {
                let relation = GeoRelation::Near { distance_m_min: None, distance_m_max: Some(below(9_000) as f64) };
                query.geo = Some(GeoQuery::new(relation, point(139.8, 35.7), location.clone()));
            }
            if below(3) == 0 {
                query.scope = ScopePattern::parse("/Koto/#").map(ScopeExpr::Pattern);
            }
            let mut naive: Vec<&str> = everything.iter().filter(|e| query.matches(e)).map(|e| e.id.as_str()).collect();
            let page = Page { offset: 0, limit: 1_000, count: true };
            let found = city.context().query(&permit("default"), &query, page).unwrap();
            let mut ids: Vec<&str> = found.entities.iter().map(|e| e.id.as_str()).collect();
            naive.sort_unstable();
            ids.sort_unstable();
            assert_eq!(ids, naive, "{query:?}");
            assert_eq!(found.count, Some(naive.len()));
            let mut paged = Vec::new();
            while paged.len() < naive.len() {
                let page = Page { offset: paged.len(), limit: 7, count: false };
                let found = city.context().query(&permit("default"), &query, page).unwrap();
                assert_eq!(found.more, paged.len() + found.entities.len() < naive.len());
                paged.extend(found.entities.iter().map(|e| e.id.to_string()));
            }
            paged.sort_unstable();
            assert_eq!(paged, naive);
        }
    }
}

#[test]
fn updating_attributes_adds_those_that_were_not_there_but_no_scope() {
    let city = City::new(1);
    city.one(Change::Create(meter("1", &[("a", Value::Int(1))]))).unwrap();
    let mut fragment = meter("1", &[("a", Value::Int(2)), ("b", Value::Int(3))]);
    fragment.scopes = vec![Scope::parse("/Koto").unwrap()];
    let applied = city.one(Change::Update(fragment)).unwrap();
    let entity = city.get("1").unwrap();
    assert_eq!((value(&entity, "a"), value(&entity, "b")), (Some(Value::Int(2)), Some(Value::Int(3))));
    assert_eq!((applied.not_updated.len(), entity.scopes.len()), (1, 0));
}

#[test]
fn a_scope_is_added_without_overwriting_and_deleted_like_an_attribute() {
    let city = City::new(1);
    let scoped = |scope: &str| {
        let mut entity = meter("1", &[]);
        entity.scopes = vec![Scope::parse(scope).unwrap()];
        entity
    };
    city.one(Change::Create(scoped("/Koto"))).unwrap();
    city.one(Change::Append { fragment: scoped("/Sumida"), overwrite: false }).unwrap();
    assert_eq!(city.get("1").unwrap().scopes.len(), 2);
    let delete = || Change::DeleteAttribute {
        entity: id("1"),
        attribute: city_model::Name::parse("https://uri.etsi.org/ngsi-ld/scope").unwrap(),
        dataset: DatasetSelection::Default,
    };
    city.one(delete()).unwrap();
    assert!(city.get("1").unwrap().scopes.is_empty());
    assert!(matches!(city.one(delete()), Err(Rejected::AttributeNotFound { .. })));
}

#[test]
fn a_partial_update_leaves_the_type_of_an_attribute() {
    let city = City::new(1);
    city.one(Change::Create(meter("1", &[("a", Value::Int(1))]))).unwrap();
    let instance = Instance::new(Kind::VocabProperty(Value::text("urn:x")));
    let change = Change::UpdateAttribute { entity: id("1"), attribute: name("a"), instance };
    assert!(matches!(city.one(change), Err(Rejected::Invalid(_))));
}
