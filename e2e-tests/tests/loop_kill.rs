//! Kills at each step of the loop: no command is lost, a repeat is the same to the byte, and a target that tells
//! repeats by their id does each once.

#![allow(clippy::unwrap_used, reason = "a test fails loudly")]

mod control;

use std::collections::BTreeMap;
use std::sync::mpsc::{Receiver as Signals, channel};
use std::time::Duration;

use control::{BARRIER, actuator, command_is, decide, is, record, set_up, suggestions};
use e2e_tests::{Client, ENTITIES, Random, Receiver, Reply, Server, eventually};
use serde_json::{Value, json};

/// Where in the loop the server is killed.
const STEPS: [&str; 5] = ["read", "suggested", "deciding", "sent", "acknowledged"];
/// `RENKEI_LOOP_KILLS=200` for the run at full size.
const TRIALS: usize = STEPS.len();

/// The longest pause before a kill, in microseconds: about as long as a step takes.
const PAUSE_MICROS_MAX: u64 = 20_000;

fn gauge(trial: usize) -> String {
    format!("urn:ngsi-ld:WaterObserved:{trial}")
}

fn suggestion_of(client: &Client, trial: usize) -> Value {
    let all = client.get("/ops/v1/suggestions?limit=1000").json_of(200);
    let own = all["suggestions"].as_array().unwrap().iter().find(|one| one["about"] == gauge(trial).as_str());
    own.cloned().unwrap_or_default()
}

/// Kills after a random pause and starts again.
fn kill(server: &mut Server, folder: &std::path::Path, random: &mut Random) {
    std::thread::sleep(Duration::from_micros(random.below(PAUSE_MICROS_MAX)));
    server.kill();
    *server = Server::start(folder);
}

/// A machine: it tells each command that comes, and hangs up on the first of each trial that asks for it.
fn machine(hang_up: impl Fn(usize) -> bool + Send + Sync + 'static) -> (Receiver, Signals<()>) {
    let (told, signals) = channel();
    let told = std::sync::Mutex::new((told, Vec::<String>::new()));
    let machine = Receiver::deciding(0, move |one| {
        let mut told = told.lock().unwrap();
        let _ = told.0.send(());
        let id = one.id().to_owned();
        let is_new = !told.1.contains(&id);
        if is_new {
            told.1.push(id);
        }
        if is_new && hang_up(told.1.len() - 1) { Reply::HangUp } else { Reply::Status(200) }
    });
    (machine, signals)
}

/// How the one command of a suggestion ended, once it has.
fn ended(client: &Client, id: &str) -> Value {
    eventually("its end", || {
        let found = record(client, id);
        let status = found["commands"][0]["status"].as_str();
        matches!(status, Some("acknowledged" | "unknown")).then_some(found)
    })
}

#[test]
fn a_kill_at_any_step_loses_no_command_and_makes_no_second_one() {
    killed_at_each_step(true);
}

#[test]
fn a_kill_at_any_step_asks_no_machine_twice_that_cannot_tell_repeats() {
    killed_at_each_step(false);
}

fn killed_at_each_step(repeatable: bool) {
    let trials = std::env::var("RENKEI_LOOP_KILLS").ok().and_then(|text| text.parse().ok()).unwrap_or(TRIALS);
    let folder = tempfile::tempdir().unwrap();
    let mut random = Random::new(6);
    let mut server = Server::start(folder.path());
    let (machine, told) = machine(|trial| STEPS[trial % STEPS.len()] == "sent");
    let mut actuator = actuator(&machine.url());
    actuator["repeatable"] = repeatable.into();
    set_up(&server.client(), &actuator, "PT30M");
    for trial in 0..trials {
        let step = STEPS[trial % STEPS.len()];
        let level = json!({"type": "Property", "value": 3});
        let entity = json!({"id": gauge(trial), "type": "WaterObserved", "waterLevel": level});
        is(server.client().post(ENTITIES, &entity), 201);
        if step == "read" {
            kill(&mut server, folder.path(), &mut random);
        }
        let found = eventually("its suggestion", || {
            Some(suggestion_of(&server.client(), trial)).filter(|one| one["status"] == "open")
        });
        let id = found["id"].as_str().unwrap().to_owned();
        if step == "suggested" {
            kill(&mut server, folder.path(), &mut random);
            assert_eq!(suggestion_of(&server.client(), trial)["id"], id.as_str(), "it is not suggested twice");
        }
        if step == "deciding" {
            let (client, asked) = (server.client(), id.clone());
            // Whether it was answered, or only done, or neither.
            let deciding = std::thread::spawn(move || {
                let path = format!("/ops/v1/suggestions/{}/approve", e2e_tests::encode(&asked));
                client.request("POST", &path).json(&json!({})).send().is_ok_and(|answer| answer.status == 200)
            });
            kill(&mut server, folder.path(), &mut random);
            let answered = deciding.join().unwrap();
            let stands = record(&server.client(), &id)["suggestion"]["status"].clone();
            assert!(stands == "approved" || !answered, "what was answered is decided: {stands}");
        }
        if suggestion_of(&server.client(), trial)["status"] == "open" {
            is(decide(&server.client(), &id, "approve", &json!({})), 200);
        }
        if step == "sent" || step == "acknowledged" {
            told.recv_timeout(Duration::from_secs(60)).unwrap();
            kill(&mut server, folder.path(), &mut random);
        }
        let fate = ended(&server.client(), &id);
        if fate["commands"][0]["status"] == "unknown" {
            assert!(!repeatable, "it is known where repeats are told: {fate}");
            let command = fate["commands"][0]["id"].as_str().unwrap();
            let path = format!("/ops/v1/commands/{}/resolution", e2e_tests::encode(command));
            is(server.client().post(&path, &json!({"outcome": "done", "reason": "seen on the spot"})), 204);
        }
        let done = command_is(&server.client(), &id, "acknowledged");
        assert_eq!(done["commands"].as_array().unwrap().len(), 1, "{done}");
        assert_eq!(done["acknowledgements"].as_array().unwrap().len(), 1, "{done}");
        let barrier = server.client().get(&format!("{ENTITIES}/{BARRIER}")).json_of(200);
        assert!(barrier["setPosition"].to_string().contains(done["commands"][0]["id"].as_str().unwrap()), "{barrier}");
        while told.try_recv().is_ok() {}
    }
    let mut bodies: BTreeMap<String, Value> = BTreeMap::new();
    for one in machine.all() {
        let first = bodies.entry(one.id().to_owned()).or_insert_with(|| one.body.clone());
        assert_eq!(*first, one.body, "a repeat is the same");
    }
    if repeatable {
        assert_eq!(bodies.len(), trials, "each decision was carried out, once");
    } else {
        assert_eq!(machine.count(), bodies.len(), "nothing came twice");
    }
    assert_eq!(suggestions(&server.client(), "open"), Vec::<Value>::new());
}
