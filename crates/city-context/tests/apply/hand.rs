//! What the hand of the loop writes, and what one frame of the journal holds: all of it or none.

#![allow(clippy::unwrap_used, reason = "a test fails loudly")]

use std::sync::OnceLock;

use city_context::{AsOf, Error};
use city_model::vocabulary;
use city_model::{Change, Definition, DefinitionKind, Entity, EntityId, Hand, Note, Rejected, Value};
use city_store::frame::FRAME_BYTES_MAX;
use city_store::journal::Read;

use crate::city::{City, cause, id, meter, name, permit, value};

fn hand() -> &'static Hand {
    static HAND: OnceLock<Hand> = OnceLock::new();
    HAND.get_or_init(|| Hand::take().unwrap())
}

fn paper(which: u32) -> Entity {
    let id = EntityId::parse(&format!("urn:renkei:command:6d1c0000-0000-0000-0000-000000000000:{which}")).unwrap();
    Entity::new(id, vec![vocabulary::name(vocabulary::COMMAND)])
}

fn note(bytes: usize) -> Change {
    Change::Note(Note { what: "test".into(), subject: "urn:x:1".into(), details: vec![b'x'; bytes].into() })
}

fn act(city: &City, changes: Vec<Change>) -> Result<usize, Rejected> {
    city.clock.advance_micros(1_000);
    let written = city.context().act_blocking(hand(), &permit("default"), changes, cause()).unwrap();
    written.map(|applied| applied.len())
}

#[test]
fn papers_of_one_step_are_written_all_or_none() {
    let mut city = City::new(1);
    city.one(Change::Create(meter("1", &[("a", Value::Int(1))]))).unwrap();
    let before = city.context().journal().durable();
    let changed =
        Change::Append { fragment: meter("1", &[("a", Value::Int(2)), ("new", Value::Int(2))]), overwrite: true };
    let refused = act(&city, vec![Change::Create(paper(1)), changed.clone(), note(1), Change::Create(paper(1))]);
    assert!(matches!(refused, Err(Rejected::AlreadyExists(_))), "{refused:?}");
    assert_eq!(city.context().journal().durable(), before, "nothing of it is in the journal");
    assert_eq!(value(&city.get("1").unwrap(), "a"), Some(Value::Int(1)));
    // What was taken back leaves no gap, no number and no name behind that a restart would miss.
    assert_eq!(act(&city, vec![Change::Create(paper(1)), changed, note(1)]), Ok(3));
    city.restart(true).unwrap();
    assert_eq!(value(&city.get("1").unwrap(), "new"), Some(Value::Int(2)));
    assert!(city.context().find(&permit("default"), &paper(1).id).unwrap().is_some());
    assert_eq!(city.one(Change::Create(meter("2", &[]))).unwrap().seq, Some(5));
}

#[test]
fn what_would_be_a_frame_that_nobody_can_read_is_refused_alone_and_leaves_nothing() {
    let mut city = City::new(1);
    city.one(Change::Create(meter("1", &[]))).unwrap();
    let large = city.apply(vec![Change::Create(meter("2", &[("new", Value::Int(1))])), note(FRAME_BYTES_MAX)]);
    assert!(matches!(large, Err(Error::TooLarge { .. })), "{large:?}");
    assert_eq!((city.context().journal().durable(), city.get("2").is_none()), (1, true));
    // The next one is written and read again as ever.
    city.one(Change::Create(meter("2", &[("new", Value::Int(2))]))).unwrap();
    city.restart(true).unwrap();
    assert_eq!(value(&city.get("2").unwrap(), "new"), Some(Value::Int(2)));
    let Read::Records(records) = city.context().journal().read(1, 10).unwrap() else { panic!("lost") };
    assert_eq!(records.len(), 2);
}

#[test]
fn a_past_that_is_staged_beside_it_does_not_hide_what_is_commandable() {
    let city = City::new(1);
    let actuator = format!("{} {}", name("Meter"), name("valve"));
    let body = Vec::from(*b"{}").into();
    let define = Change::Define(Definition { kind: DefinitionKind::Actuator, id: actuator.into(), body, create: true });
    let past = |entity: Entity, must_exist| Change::Past { fragment: entity, must_exist };
    let mut second = meter("1", &[("valve", Value::Int(1))]);
    second.types.clear();
    let results =
        city.apply(vec![define, past(meter("1", &[("a", Value::Int(1))]), false), past(second, true)]).unwrap();
    assert!(results[0].is_ok() && results[1].is_ok());
    assert!(matches!(results[2], Err(Rejected::Forbidden(_))), "{:?}", results[2]);
}

#[test]
fn an_entity_is_known_as_it_was_at_a_time_that_has_passed() {
    let mut city = City::new(1);
    let mut times = Vec::new();
    for level in 0..4 {
        city.one(Change::Upsert { entity: meter("1", &[("level", Value::Int(level))]), update: true }).unwrap();
        times.push(city.get("1").unwrap().modified_at);
        city.clock.advance_micros(1_000_000);
    }
    for lose_view in [false, true] {
        city.restart(lose_view).unwrap();
        let space = city.context().tenant(&permit("default")).unwrap();
        let level = |at| match city.context().known_at(hand(), &space, &id("1"), at).unwrap() {
            AsOf::Entity(entity) => entity.and_then(|entity| value(&entity, "level")),
            AsOf::Forgotten => panic!("forgotten"),
        };
        for (then, at) in times.iter().enumerate() {
            let then = Value::Int(i64::try_from(then).unwrap());
            assert_eq!((level(*at), level(at.plus_micros(999_999))), (Some(then.clone()), Some(then)));
        }
        assert_eq!(level(times[0].plus_micros(-1)), None, "it was not there yet");
    }
}
