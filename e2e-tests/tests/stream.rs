//! `/stream`: what changes, as it changes; from where one was; and to nobody who may not see it.

#![allow(clippy::unwrap_used, reason = "a test fails loudly")]

use std::path::Path;
use std::time::Duration;

use e2e_tests::{Client, ENTITIES, Event, Events, OPERATIONS, Server, path_with};
use serde_json::{Value, json};

fn gauge(number: u32, level: f64) -> Value {
    json!({
        "id": format!("urn:ngsi-ld:Gauge:{number}"), "type": "Gauge",
        "level": {"type": "Property", "value": level}, "owner": {"type": "Property", "value": "the river office"},
        "location": {"type": "GeoProperty", "value": {"type": "Point", "coordinates": [139.8, 35.7]}},
    })
}

fn set_level(client: &Client, number: u32, level: f64) {
    let path = format!("{ENTITIES}/urn:ngsi-ld:Gauge:{number}/attrs");
    let _ = client.patch(&path, &json!({"level": {"type": "Property", "value": level}})).expect(204);
}

fn levels(events: &[Event]) -> Vec<f64> {
    events.iter().map(|event| event.data["entity"]["level"]["value"].as_f64().unwrap()).collect()
}

fn closed(folder: &Path) -> (Server, Client) {
    let server = Server::start_with(folder, &["--auth", "on"]);
    let token = std::fs::read_to_string(folder.join("keys/operator.token")).unwrap();
    let client = server.client().token(token.trim());
    (server, client)
}

fn token(operator: &Client, body: &Value) -> (String, String) {
    let made = operator.post("/trust/v1/tokens", body).json_of(201);
    (format!("Bearer {}", made["token"].as_str().unwrap()), made["id"].as_str().unwrap().to_owned())
}

#[test]
fn changes_come_as_they_happen_in_order_and_only_those_that_were_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    let client = server.client();
    let mut all = Events::open(server.address(), "/stream", &[]);
    let high = path_with("/stream", &[("type", "Gauge"), ("q", "level>3"), ("options", "keyValues")]);
    let mut high = Events::open(server.address(), &high, &[]);
    let mut owners = Events::open(server.address(), "/stream?attrs=owner", &[]);
    let _ = client.post(ENTITIES, &gauge(1, 1.0)).expect(201);
    for level in [2.0, 4.0, 3.0, 5.0] {
        set_level(&client, 1, level);
    }
    let _ = client.post(ENTITIES, &json!({"id": "urn:ngsi-ld:Thing:1", "type": "Thing"})).expect(201);
    let _ = client.delete(&format!("{ENTITIES}/urn:ngsi-ld:Gauge:1")).expect(204);

    let told = all.take(7);
    let names: Vec<&str> = told.iter().map(|event| event.name.as_str()).collect();
    assert_eq!(names, ["created", "updated", "updated", "updated", "updated", "created", "deleted"]);
    let ids: Vec<u64> = told.iter().map(|event| event.id.unwrap()).collect();
    assert!(ids.windows(2).all(|pair| pair[0] < pair[1]), "{ids:?}");
    assert_eq!(levels(&told[..5]), [1.0, 2.0, 4.0, 3.0, 5.0]);
    assert_eq!((&told[1].data["attributes"], &told[1].data["change"]), (&json!(["level"]), &json!("updated")));
    assert_eq!(told[1].data["seq"], ids[1]);
    assert_eq!(told[6].data["entity"], json!({"id": "urn:ngsi-ld:Gauge:1", "type": "Gauge"}));
    let told = high.take(3);
    assert_eq!(
        told.iter().map(|event| event.data["entity"]["level"].as_f64()).collect::<Vec<_>>()[..2],
        [Some(4.0), Some(5.0)]
    );
    assert_eq!(told[2].name, "deleted");
    let told = owners.take(2);
    assert_eq!(told.iter().map(|event| event.name.as_str()).collect::<Vec<_>>(), ["created", "deleted"]);
    for wrong in ["/stream?nonsense=1", "/stream?from=x", "/stream?q=((", "/stream?georel=near"] {
        assert_eq!(client.get(wrong).status, 400, "{wrong}");
    }
    server.stop();
}

#[test]
fn a_reader_that_comes_back_misses_nothing_also_after_a_restart_and_beside_other_tenants() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = Server::start(folder.path());
    let client = server.client();
    let mut stream = Events::open(server.address(), "/stream?type=Gauge", &[]);
    let _ = client.post(ENTITIES, &gauge(1, 0.0)).expect(201);
    let busy: Vec<Value> = (0..200).map(|number| gauge(number, 1.0)).collect();
    for round in 1..=20 {
        set_level(&client, 1, f64::from(round));
        let _ = client.tenant("other").post(&format!("{OPERATIONS}/upsert"), &Value::from(busy.clone()));
    }
    let seen = stream.take(11);
    assert_eq!(levels(&seen).last(), Some(&10.0));
    let last = seen.last().unwrap().id.unwrap().to_string();
    drop(stream);
    let back = |server: &Server, headers: &[(&str, &str)], path: &str| {
        let mut stream = Events::open(server.address(), path, headers);
        let rest = stream.take(10);
        assert_eq!(levels(&rest), (11..=20).map(f64::from).collect::<Vec<_>>());
        assert!(stream.is_silent_for(Duration::from_millis(300)), "nothing comes twice, and nothing of another tenant");
    };
    back(&server, &[], &format!("/stream?type=Gauge&from={last}"));
    back(&server, &[("Last-Event-ID", &last)], "/stream?type=Gauge");
    server.kill();
    let server = Server::start(folder.path());
    back(&server, &[("Last-Event-ID", &last)], "/stream?type=Gauge&from=1");
    // From the beginning: everything that the journal holds.
    let mut stream = Events::open(server.address(), "/stream?from=0", &[]);
    assert_eq!(levels(&stream.take(21)), (0..=20).map(f64::from).collect::<Vec<_>>());
    // Of what is not there yet, nothing is waited for that could be missed.
    let mut ahead = Events::open(server.address(), "/stream?from=999999", &[]);
    set_level(&server.client(), 1, 21.0);
    assert_eq!(levels(&ahead.take(1)), [21.0]);
    server.stop();
}

#[test]
fn who_sees_a_part_is_told_of_that_part_alone_and_a_stream_ends_with_what_its_reader_may() {
    let folder = tempfile::tempdir().unwrap();
    let (server, operator) = closed(folder.path());
    for words in ["the bus company may read level of Gauge", "role auditor may read Thing"] {
        let _ = operator.post("/trust/v1/policies", &json!({"words": words})).expect(201);
    }
    let (bus, id) = token(&operator, &json!({"roles": ["developer"], "organisation": "bus-company"}));
    let (other, _) = token(&operator, &json!({"roles": ["auditor"]}));
    let (nothing, _) = token(&operator, &json!({"roles": ["public"]}));
    let open = |bearer: &str| Events::open(server.address(), "/stream", &[("Authorization", bearer)]);
    assert_eq!(Events::open(server.address(), "/stream", &[]).status, 401);
    assert_eq!(open(&nothing).status, 403);
    let (mut part, mut things) = (open(&bus), open(&other));
    let _ = operator.post(ENTITIES, &gauge(1, 1.0)).expect(201);
    let owner = json!({"owner": {"type": "Property", "value": "canary"}});
    let _ = operator.patch(&format!("{ENTITIES}/urn:ngsi-ld:Gauge:1/attrs"), &owner).expect(204);
    set_level(&operator, 1, 2.0);
    let told = part.take(2);
    assert_eq!(levels(&told), [1.0, 2.0], "that the owner changed is not told");
    assert!(!format!("{told:?}").contains("owner") && !format!("{told:?}").contains("139.8"), "{told:?}");
    assert!(things.is_silent_for(Duration::from_millis(300)), "and of gauges, nothing");

    // What it may is taken back: from the answer on, nothing comes.
    let _ = operator.delete(&format!("/trust/v1/tokens/{id}")).expect(204);
    set_level(&operator, 1, 3.0);
    assert_eq!(part.next_event(), None, "the stream has ended");
    assert_eq!(open(&bus).status, 401);

    // Data of persons is not for streams: those are noted one reading at a time.
    let _ = operator.post("/trust/v1/classes", &json!({"attribute": "owner", "class": "personal"})).expect(200);
    let bearer = std::fs::read_to_string(folder.path().join("keys/operator.token")).unwrap();
    let bearer = format!("Bearer {}", bearer.trim());
    let refused = Events::open(server.address(), "/stream", &[("Authorization", &bearer), ("Renkei-Purpose", "care")]);
    assert_eq!(refused.status, 403);
    let mut without = open(&bearer);
    set_level(&operator, 1, 4.0);
    let told = without.take(1);
    assert!(!format!("{told:?}").contains("canary"), "{told:?}");
    server.stop();
}

#[test]
fn a_reader_that_does_not_read_loses_nothing_and_holds_up_nobody() {
    const CHANGES: u32 = 3_000;
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    let client = server.client();
    let _ = client.post(ENTITIES, &gauge(1, 0.0)).expect(201);
    let mut slow = Events::open(server.address(), "/stream?type=Gauge", &[]);
    for round in 1..=CHANGES {
        set_level(&client, 1, f64::from(round));
    }
    let told = slow.take(CHANGES as usize);
    assert_eq!(levels(&told), (1..=CHANGES).map(f64::from).collect::<Vec<_>>());
    server.stop();
}
