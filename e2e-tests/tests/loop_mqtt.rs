//! Commands of the loop over MQTT: to a machine that is there, to one that comes back, and to nobody else.

#![allow(clippy::unwrap_used, reason = "a test fails loudly")]

mod control;

use std::path::Path;
use std::time::Duration;

use control::{BARRIER, command_is, decide, is, read, set_up, suggested};
use e2e_tests::{Client, ENTITIES, Login, MqttClient, Server, eventually};
use serde_json::{Value, json};

const ENDPOINT: &str = "mqtt:devices/barrier-1/commands";
const TOPIC: &str = "devices/barrier-1/commands";
const WORDS: &str = "devices/barrier-1/acknowledgements";
const MQTT: [&str; 4] = ["--auth", "on", "--mqtt", "127.0.0.1:0"];

fn open(folder: &Path) -> (Server, Client) {
    let server = Server::start_with(folder, &MQTT);
    let token = std::fs::read_to_string(folder.join("keys/operator.token")).unwrap();
    let operator = server.client().token(token.trim());
    (server, operator)
}

fn device(operator: &Client, name: &str) -> String {
    let made = operator.post("/trust/v1/tokens", &json!({"roles": ["device"], "label": name})).json_of(201);
    made["token"].as_str().unwrap().to_owned()
}

fn actuator() -> Value {
    control::actuator(ENDPOINT)
}

fn heard(machine: &mut MqttClient) -> Value {
    let told = machine.told().unwrap();
    assert_eq!(told.topic, TOPIC);
    serde_json::from_str(&told.text).unwrap()
}

fn approved(operator: &Client, level: f64) -> String {
    read(operator, level);
    let id = suggested(operator);
    is(decide(operator, &id, "approve", &json!({})), 200);
    id
}

#[test]
fn a_gate_is_commanded_over_mqtt_and_says_what_it_did() {
    let folder = tempfile::tempdir().unwrap();
    let (server, operator) = open(folder.path());
    let unable =
        json!({"type": "FloodBarrier", "attribute": "setPosition", "endpoint": ENDPOINT, "values": ["open", "closed"]});
    let told = operator.post("/ops/v1/actuators", &unable);
    assert!(told.status == 400 && told.text().contains("repeatable"), "{}", told.text());
    set_up(&operator, &actuator(), "PT1H");
    let (gate, other) = (device(&operator, "barrier-1"), device(&operator, "barrier-2"));
    let mut machine = MqttClient::connect(&server.mqtt(), &Login::new(5, "gate").token(&gate)).unwrap();
    assert_eq!(machine.subscribe(TOPIC, 1).unwrap(), 1);
    let mut stranger = MqttClient::connect(&server.mqtt(), &Login::new(5, "stranger").token(&other)).unwrap();
    assert!(stranger.subscribe(TOPIC, 1).unwrap() >= 0x80, "another machine does not hear it");

    let id = approved(&operator, 2.5);
    let command = heard(&mut machine);
    assert_eq!((&command["target"], &command["value"]), (&json!(BARRIER), &json!("closed")), "{command}");
    // Nobody else commands, and nobody else says that it was done.
    let word = json!({"id": command["id"], "outcome": "done", "detail": "closed in 4 s"}).to_string();
    assert!(machine.publish(TOPIC, &command.to_string(), 1, false).unwrap() >= 0x80);
    assert!(stranger.publish(WORDS, &word, 1, false).unwrap() >= 0x80);
    for broken in ["no json", "{}", r#"{"id": "urn:renkei:command:none", "outcome": "done"}"#] {
        assert!(machine.publish(WORDS, broken, 1, false).unwrap() >= 0x80, "{broken}");
    }
    assert_eq!(machine.publish(WORDS, &word, 2, false).unwrap(), 0);
    let record = command_is(&operator, &id, "acknowledged");
    assert_eq!(record["acknowledgements"][0]["detail"], "closed in 4 s", "{record}");
    let barrier = operator.get(&format!("{ENTITIES}/{BARRIER}")).json_of(200);
    assert_eq!(barrier["setPosition"]["value"], "closed");
    server.stop();
}

#[test]
fn a_command_waits_for_a_machine_that_is_away_and_outlives_a_kill() {
    let folder = tempfile::tempdir().unwrap();
    let (mut server, operator) = open(folder.path());
    set_up(&operator, &actuator(), "PT1H");
    let gate = device(&operator, "barrier-1");
    // Nobody has ever come: the command waits and says why.
    let id = approved(&operator, 2.5);
    let waiting = eventually("a reason", || {
        let record = control::record(&operator, &id);
        let note = record["commands"][0]["note"].as_str().unwrap_or_default().to_owned();
        note.contains("No machine").then_some(record)
    });
    assert_eq!(waiting["commands"][0]["status"], "waiting", "{waiting}");
    let login = Login::staying(5, "gate").token(&gate);
    let mut machine = MqttClient::connect(&server.mqtt(), &login).unwrap();
    machine.patience(Duration::from_secs(20)).unwrap();
    machine.subscribe(TOPIC, 1).unwrap();
    let first = heard(&mut machine);
    // It hears it and dies before it says anything; so does the server.
    drop(machine);
    server.kill();
    let (server, operator) = open(folder.path());
    let mut machine = MqttClient::connect(&server.mqtt(), &login).unwrap();
    machine.patience(Duration::from_secs(20)).unwrap();
    let again = heard(&mut machine);
    assert_eq!(again, first, "the same command, to the byte");
    let word = json!({"id": first["id"], "outcome": "done"}).to_string();
    assert_eq!(machine.publish(WORDS, &word, 1, false).unwrap(), 0);
    command_is(&operator, &id, "acknowledged");
    server.stop();
}
