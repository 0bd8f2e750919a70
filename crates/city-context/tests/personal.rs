//! What is personal is sealed wherever it is written, and is gone with its key.

#![allow(clippy::unwrap_used, reason = "a test fails loudly")]

mod city;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use city::{City, cause, id, meter, name, permit, value};
use city_context::{AsOf, Context, Page};
use city_model::geometry::{BboxWgs84, GeoRelation};
use city_model::query::GeoQuery;
use city_model::{
    Attribute, Change, Classes, DataClass, Entity, Geometry, Instance, Kind, Owner, Permit, PermitSource, Position,
    Query, Release, TenantName, Time, Value,
};
use city_store::Disk;
use city_store::persons::PERSON_KEYS;

/// Stands in no file where it is personal.
const SECRET: &str = "1990-04-01 and nobody's business";

/// Everybody may do everything; birthdays are personal.
struct Birthdays;

impl PermitSource for Birthdays {
    fn permit_of(&self, _: &TenantName, _: Option<&Owner>, _: Time) -> Option<Permit> {
        Some(permit("default"))
    }

    fn classes(&self, _: &TenantName) -> Arc<Classes> {
        Arc::new([(name("birthday"), DataClass::Personal), (name("home"), DataClass::Personal)].into())
    }

    fn still_holds(&self, _: &Permit, _: Time) -> bool {
        true
    }

    fn release(&self, _: &Permit, _: Time) -> Option<Box<dyn Release>> {
        None
    }
}

fn text(value: &str) -> Value {
    Value::Text(value.into())
}

fn city_of_birthdays(seed: u64) -> City {
    let city = City::new(seed);
    city.context().heed(Arc::new(Birthdays));
    city
}

fn restart(city: &mut City, lose_view: bool) {
    let keys = std::fs::read(keys_of(city)).unwrap();
    city.restart(lose_view).unwrap();
    if lose_view {
        // The keys lie beside the view in the tests' folder; it is the view alone that is lost.
        city.context = None;
        std::fs::create_dir_all(keys_of(city).parent().unwrap()).unwrap();
        std::fs::write(keys_of(city), keys).unwrap();
        city.restart(false).unwrap();
    }
    city.context().heed(Arc::new(Birthdays));
}

fn keys_of(city: &City) -> PathBuf {
    city.folder.path().join("keys").join(PERSON_KEYS)
}

fn erase(city: &City, key: &str) -> Result<city_model::Applied, city_model::Rejected> {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(city.context().erase(&permit("default"), &id(key), cause())).unwrap()
}

fn birthday(city: &City, key: &str) -> Option<Value> {
    value(&city.get(key).unwrap(), "birthday")
}

fn holds(folder: &Path, needle: &str) -> bool {
    std::fs::read_dir(folder).unwrap().flatten().any(|entry| {
        let path = entry.path();
        match path.is_dir() {
            true => holds(&path, needle),
            false => contains(&std::fs::read(path).unwrap(), needle),
        }
    })
}

fn journal_of(city: &City) -> Vec<u8> {
    let mut all = Vec::new();
    for name in city.disk.list().unwrap() {
        let file = city.disk.open(&name).unwrap();
        let mut bytes = vec![0; usize::try_from(file.len().unwrap()).unwrap()];
        let read = file.read_at(0, &mut bytes).unwrap();
        all.extend_from_slice(&bytes[..read]);
    }
    all
}

fn contains(bytes: &[u8], needle: &str) -> bool {
    bytes.windows(needle.len()).any(|window| window == needle.as_bytes())
}

fn person(key: &str, born: &str) -> Entity {
    meter(key, &[("birthday", text(born)), ("district", text("a district that everybody may know"))])
}

#[test]
fn a_personal_value_stands_nowhere_in_the_clear_and_reads_as_it_was() {
    let mut city = city_of_birthdays(1);
    city.one(Change::Create(person("a", SECRET))).unwrap();
    city.one(Change::Create(person("b", "another day"))).unwrap();
    for lose_view in [false, false, true] {
        assert_eq!(birthday(&city, "a"), Some(text(SECRET)));
        assert_eq!(birthday(&city, "b"), Some(text("another day")));
        let journal = journal_of(&city);
        assert!(contains(&journal, "everybody may know"), "what is not personal is found by this search");
        assert!(!contains(&journal, SECRET) && !holds(city.folder.path(), SECRET));
        restart(&mut city, lose_view);
    }
    // Changes hold what was before, and that is sealed too.
    city.one(Change::Append { fragment: meter("a", &[("birthday", text("corrected"))]), overwrite: true }).unwrap();
    assert!(!contains(&journal_of(&city), "corrected"));
    assert_eq!(birthday(&city, "a"), Some(text("corrected")));
}

#[test]
fn what_was_erased_is_gone_from_now_and_from_every_earlier_change_and_the_others_stay() {
    let mut city = city_of_birthdays(2);
    let born = city.one(Change::Create(person("a", SECRET))).unwrap();
    city.one(Change::Create(person("b", "another day"))).unwrap();
    let as_it_was = |city: &City| {
        let lsn = lsn_of(city.context(), born.seq.unwrap());
        let space = city.context().tenant(&permit("default")).unwrap();
        let number = space.index.read().number(id("a").as_str()).unwrap();
        match city_context::as_of::as_of(city.context().view(), city.context().journal(), &space, number, &id("a"), lsn)
            .unwrap()
        {
            AsOf::Entity(Some(entity)) => entity,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(value(&as_it_was(&city), "birthday"), Some(text(SECRET)));

    let erased = erase(&city, "a").unwrap();
    assert_eq!(erased.updated, [name("birthday")]);
    for lose_view in [false, false, true] {
        assert_eq!((birthday(&city, "a"), birthday(&city, "b")), (None, Some(text("another day"))));
        assert!(value(&city.get("a").unwrap(), "district").is_some(), "what is not personal stays");
        let then = as_it_was(&city);
        assert_eq!((value(&then, "birthday"), value(&then, "district").is_some()), (None, true));
        restart(&mut city, lose_view);
    }
    // Life goes on, with another key.
    city.one(Change::Append { fragment: meter("a", &[("birthday", text("again"))]), overwrite: true }).unwrap();
    assert_eq!(birthday(&city, "a"), Some(text("again")));
    restart(&mut city, true);
    assert_eq!(birthday(&city, "a"), Some(text("again")));
    assert_eq!(value(&as_it_was(&city), "birthday"), None);
    assert!(erase(&city, "nobody").is_err());
}

fn lsn_of(context: &Context, seq: u64) -> u64 {
    let is_it = |lsn: &u64| context.journal().find(*lsn).unwrap().is_some_and(|found| found.record.seq == seq);
    (1..=context.journal().durable()).find(is_it).unwrap()
}

#[test]
fn an_older_copy_of_the_keys_brings_nobody_back() {
    let mut city = city_of_birthdays(3);
    city.one(Change::Create(person("a", SECRET))).unwrap();
    let older = std::fs::read(keys_of(&city)).unwrap();
    erase(&city, "a").unwrap();
    assert_ne!(std::fs::read(keys_of(&city)).unwrap(), older);
    city.context = None;
    // As after a restore with an old copy, or a crash before the key was overwritten.
    std::fs::write(keys_of(&city), &older).unwrap();
    city.restart(false).unwrap();
    let slot = |bytes: &[u8]| bytes[64..128].to_vec();
    assert_eq!(slot(&std::fs::read(keys_of(&city)).unwrap()), [0; 64], "destroyed again");
}

#[test]
fn without_its_keys_a_city_opens_and_what_is_personal_is_not_there() {
    let mut city = city_of_birthdays(4);
    city.one(Change::Create(person("a", SECRET))).unwrap();
    city.context = None;
    std::fs::remove_file(keys_of(&city)).unwrap();
    city.restart(false).unwrap();
    city.context().heed(Arc::new(Birthdays));
    assert_eq!(birthday(&city, "a"), None);
    assert!(value(&city.get("a").unwrap(), "district").is_some());
    city.one(Change::Append { fragment: meter("a", &[("birthday", text("told again"))]), overwrite: true }).unwrap();
    assert_eq!(birthday(&city, "a"), Some(text("told again")));
}

#[test]
fn no_index_of_values_or_places_holds_what_is_personal_and_queries_find_it_all_the_same() {
    let mut city = city_of_birthdays(6);
    let point = |lon: f64, lat: f64| Kind::GeoProperty(Geometry::Point(Position { lon, lat, height: None }));
    let with = |key: &str, home: Kind| {
        let mut entity = person(key, key);
        entity.attributes.push(Attribute::new(name("home"), Instance::new(home)));
        entity
    };
    city.one(Change::Create(with("a", point(139.8, 35.7)))).unwrap();
    city.one(Change::Create(with("b", point(135.5, 34.7)))).unwrap();
    let open = name("office");
    let mut office = meter("c", &[]);
    office.attributes.push(Attribute::new(open.clone(), Instance::new(point(139.8, 35.7))));
    city.one(Change::Create(office)).unwrap();
    for lose_view in [false, true] {
        let space = city.context().tenant(&permit("default")).unwrap();
        let nowhere = BboxWgs84 { west: -10.0, south: -10.0, east: -9.0, north: -9.0 };
        let there = BboxWgs84 { west: 139.0, south: 35.0, east: 140.0, north: 36.0 };
        let index = space.index.read();
        assert_eq!(index.in_area(&open, &nowhere).len(), 0, "an office stands in the tree");
        assert_eq!(index.in_area(&open, &there).len(), 1);
        assert_eq!(index.in_area(&name("home"), &nowhere).len(), 2, "a home stands nowhere, so it may be anywhere");
        drop(index);
        let ring = [(139.0, 35.0), (140.0, 35.0), (140.0, 36.0), (139.0, 36.0), (139.0, 35.0)];
        let ring = ring.map(|(lon, lat)| Position { lon, lat, height: None }).to_vec();
        let near = GeoQuery::new(GeoRelation::Within, Geometry::Polygon(vec![ring]), name("home"));
        let query = Query { geo: Some(near), ..Query::default() };
        let page = Page { limit: 10, offset: 0, count: true };
        let found = city.context().query(&permit("default"), &query, page).unwrap();
        let ids: Vec<&str> = found.entities.iter().map(|entity| entity.id.as_str()).collect();
        assert_eq!((ids, found.count), (vec![id("a").as_str()], Some(1)));
        restart(&mut city, lose_view);
    }
    erase(&city, "a").unwrap();
    let space = city.context().tenant(&permit("default")).unwrap();
    let nowhere = BboxWgs84 { west: -10.0, south: -10.0, east: -9.0, north: -9.0 };
    assert_eq!(space.index.read().in_area(&name("home"), &nowhere).len(), 1);
}
