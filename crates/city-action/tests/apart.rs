//! Where commands go, nothing else does: also not what came to be beside the doors.

#![allow(clippy::unwrap_used, reason = "a test fails loudly")]

mod city;

use std::time::{Duration, Instant};

use city::{City, PATIENCE};
use city_action::{SubscriptionKey, parse_stored};
use city_context::definitions_of;
use city_model::{Change, Definition, DefinitionKind};
use serde_json::json;

#[test]
fn a_notification_to_an_actuator_does_not_leave() {
    let city = City::new();
    let id = "urn:ngsi-ld:Subscription:1";
    let told = city.subscribe(id, json!({}));
    city.level(1);
    assert_eq!(told.recv_timeout(PATIENCE), Ok(1));
    city.settled(id, 1);
    let space = city.context.tenants().by_number(1).unwrap();
    let (_, body) = definitions_of(&space, DefinitionKind::Subscription).remove(0);
    let endpoint = parse_stored(&body).unwrap().notification.endpoint.uri;
    let actuator = json!({"type": "urn:t", "attribute": "urn:a", "endpoint": endpoint});
    let (kind, id_of, body) =
        (DefinitionKind::Actuator, "urn:t urn:a".into(), actuator.to_string().into_bytes().into());
    city.apply(Change::Define(Definition { kind, id: id_of, body, create: true }));
    city.action.apart().learn(&city.context);
    city.level(2);
    let (key, started) = (SubscriptionKey { tenant: 1, id: id.into() }, Instant::now());
    while city.action.dead_letters(&key).unwrap().is_empty() {
        assert!(started.elapsed() < PATIENCE, "it is not given up");
        std::thread::sleep(Duration::from_millis(10));
    }
    assert!(city.action.dead_letters(&key).unwrap()[0].why.contains("only decided commands go"));
    assert!(told.try_recv().is_err(), "nothing has come");
}
