//! A barrier, a gauge and a rule, as the tests of the loop use them.

#![allow(clippy::unwrap_used, reason = "a test fails loudly")]
#![allow(dead_code, reason = "each test uses its part")]

use e2e_tests::{Answer, Client, ENTITIES, Server, encode, eventually};
use serde_json::{Value, json};

pub const GAUGE: &str = "urn:ngsi-ld:WaterObserved:1";
pub const BARRIER: &str = "urn:ngsi-ld:FloodBarrier:1";
pub const SUGGESTIONS: &str = "/ops/v1/suggestions";
pub const COMMANDS: &str = "/ops/v1/commands";

pub fn barrier() -> Value {
    json!({
        "id": BARRIER, "type": "FloodBarrier",
        "location": {"type": "GeoProperty", "value": {"type": "Point", "coordinates": [139.8, 35.7]}},
    })
}

pub fn actuator(endpoint: &str) -> Value {
    json!({
        "type": "FloodBarrier", "attribute": "setPosition", "endpoint": endpoint, "values": ["open", "closed"],
        "repeatable": true,
    })
}

pub fn rule(within: &str) -> Value {
    json!({
        "name": "flood", "watch": "WaterObserved", "when": "waterLevel > 2.0", "until": "waterLevel < 1.6",
        "suggest": {
            "what": "Close the underpass", "why": "The river stands at {waterLevel} m.", "within": within,
            "do": [{"set": "setPosition", "of": BARRIER, "to": "closed"}],
            "measure": {"attribute": "waterLevel", "after": "PT1S"},
        },
    })
}

/// A barrier, its actuator and the rule.
pub fn set_up(client: &Client, actuator: &Value, within: &str) {
    is(client.post(ENTITIES, &barrier()), 201);
    is(client.post("/ops/v1/actuators", actuator), 201);
    let said = client.post("/ops/v1/rules", &rule(within)).json_of(201);
    assert!(said["says"].as_str().unwrap().contains("waterLevel > 2.0"), "{said}");
}

pub fn read(client: &Client, level: f64) {
    let gauge = json!({
        "id": GAUGE, "type": "WaterObserved",
        "waterLevel": {"type": "Property", "value": level, "unitCode": "MTR"},
        "location": {"type": "GeoProperty", "value": {"type": "Point", "coordinates": [139.7, 35.6]}},
    });
    let read = client.post("/ngsi-ld/v1/entityOperations/upsert?options=update", &json!([gauge]));
    assert!((200..300).contains(&read.status), "{}", read.text());
}

pub fn is(answer: Answer, status: u16) {
    assert_eq!(answer.status, status, "{}", answer.text());
}

pub fn suggestions(client: &Client, status: &str) -> Vec<Value> {
    client.get(&format!("{SUGGESTIONS}?status={status}")).json_of(200)["suggestions"].as_array().unwrap().clone()
}

/// The one suggestion that waits, once it does.
pub fn suggested(client: &Client) -> String {
    eventually("a suggestion", || suggestions(client, "open").first().cloned())["id"].as_str().unwrap().to_owned()
}

pub fn decide(client: &Client, id: &str, verdict: &str, body: &Value) -> Answer {
    client.post(&format!("{SUGGESTIONS}/{}/{verdict}", encode(id)), body)
}

pub fn record(client: &Client, id: &str) -> Value {
    client.get(&format!("{SUGGESTIONS}/{}", encode(id))).json_of(200)
}

/// The record, once its only command stands so.
pub fn command_is(client: &Client, id: &str, status: &str) -> Value {
    eventually(status, || Some(record(client, id)).filter(|record| record["commands"][0]["status"] == status))
}

pub fn closed(folder: &std::path::Path) -> (Server, Client) {
    let server = Server::start_with(folder, &["--auth", "on"]);
    let token = std::fs::read_to_string(folder.join("keys/operator.token")).unwrap();
    let operator = server.client().token(token.trim());
    (server, operator)
}

pub fn token(operator: &Client, role: &str) -> String {
    let made = operator.post("/trust/v1/tokens", &json!({"roles": [role], "label": role})).json_of(201);
    made["token"].as_str().unwrap().to_owned()
}
