//! `kill -9` while messages of QoS 1 and 2 go through. The harness keeps a ledger of what was acknowledged: after the
//! last kill all of it has reached the subscriber, what was sent exactly once came once, and every reading that was
//! acknowledged is there.
//!
//! `RENKEI_KILLS` is the number of kills (8), `RENKEI_SEED` repeats a run.

#![allow(clippy::unwrap_used, reason = "a test fails loudly")]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use e2e_tests::mqtt::{PUBACK, PUBCOMP, PUBLISH, PUBREC, PUBREL};
use e2e_tests::{ENTITIES, Login, MqttClient, Random, Server, eventually};
use serde_json::json;

const KILLS_DEFAULT: u64 = 8;
const WRITERS: usize = 2;
/// Longest life of a server under load.
const LIFE_MS_MAX: u64 = 700;

/// Takes what is counted.
const COUNTED: &str = r#"
name: counted
from: {mqtt: {topic: counted/+}}
map:
  format: text
  id: '"urn:ngsi-ld:Count:" + split(row.text, ":")[0]'
  type: Count
  attributes: {count: 'number(split(row.text, ":")[1])'}
"#;

/// Where the server listens now; empty while it does not.
type Address = Arc<Mutex<String>>;

fn address(of: &Address) -> Option<String> {
    Some(of.lock().unwrap().clone()).filter(|address| !address.is_empty())
}

/// Publishes one numbered message after the other, and goes on with the one under way after each kill.
fn write(qos: u8, writer: usize, topic: &str, to: &Address, stop: &AtomicBool) -> Vec<u64> {
    let name = format!("{topic}-{qos}-{writer}");
    let login = Login::staying(if writer.is_multiple_of(2) { 4 } else { 5 }, &name);
    let mut acknowledged = Vec::new();
    let (mut number, mut phase) = (0u64, PUBLISH);
    let mut was_sent = false;
    while !stop.load(Ordering::Relaxed) {
        let Some(Ok(Ok(mut client))) = address(to).map(|address| MqttClient::try_connect(&address, &login)) else {
            std::thread::sleep(Duration::from_millis(10));
            continue;
        };
        let mut go = || -> std::io::Result<()> {
            while !stop.load(Ordering::Relaxed) {
                let id = u16::try_from(number % 60_000).unwrap() + 1;
                if phase == PUBLISH {
                    let text = format!("{writer}:{number}");
                    let bytes = client.publish_bytes(topic, text.as_bytes(), (qos, false, was_sent), id);
                    was_sent = true;
                    client.send(&bytes)?;
                    client.reason(if qos == 1 { PUBACK } else { PUBREC }, id)?;
                    phase = if qos == 1 { PUBLISH } else { PUBREL };
                }
                if phase == PUBREL {
                    client.acknowledge(PUBREL, id)?;
                    client.reason(PUBCOMP, id)?;
                    phase = PUBLISH;
                }
                acknowledged.push(number);
                number += 1;
                was_sent = false;
            }
            Ok(())
        };
        // The server was killed: the same again, with the next one.
        let _ = go();
    }
    acknowledged
}

/// Reports one reading after the other; the last that was acknowledged.
fn report(to: &Address, stop: &AtomicBool) -> u64 {
    let mut last = 0;
    while !stop.load(Ordering::Relaxed) {
        let Some(Ok(Ok(mut client))) =
            address(to).map(|address| MqttClient::try_connect(&address, &Login::new(5, "meter")))
        else {
            std::thread::sleep(Duration::from_millis(10));
            continue;
        };
        while !stop.load(Ordering::Relaxed) {
            let reading = json!({"type": "Property", "value": last + 1});
            let meter = json!({"id": "urn:ngsi-ld:Meter:1", "type": "Meter", "reading": reading}).to_string();
            match client.publish("ngsi-ld/upsert", &meter, 1, false) {
                Ok(0) => last += 1,
                Ok(reason) => panic!("reason {reason:#x}"),
                Err(_) => break,
            }
        }
    }
    last
}

/// Hears everything, as a receiver that keeps what it has taken over a lost connection; how often each text came.
fn hear(qos: u8, from: &Address, done: &AtomicBool) -> BTreeMap<String, u32> {
    let (name, filter) = (format!("reader-{qos}"), format!("ledger/{qos}"));
    let login = Login::staying(if qos == 1 { 4 } else { 5 }, &name);
    let mut heard: BTreeMap<String, u32> = BTreeMap::new();
    let mut taken = BTreeSet::new();
    let mut subscribed = false;
    while !done.load(Ordering::Relaxed) {
        let Some(Ok(Ok(mut client))) = address(from).map(|address| MqttClient::try_connect(&address, &login)) else {
            std::thread::sleep(Duration::from_millis(10));
            continue;
        };
        if !client.session_present {
            assert!(!subscribed, "the session was lost");
            taken.clear();
            if client.subscribe(&filter, qos).is_err() {
                continue;
            }
            subscribed = true;
        }
        client.patience(Duration::from_millis(200)).unwrap();
        while !done.load(Ordering::Relaxed) {
            let packet = match client.hear() {
                Ok(packet) => packet,
                Err(error) if matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut) => {
                    continue;
                }
                Err(_) => break,
            };
            let answered = match packet.kind {
                PUBLISH => {
                    let told = client.read(&packet);
                    assert_eq!(told.qos, qos);
                    if qos == 1 {
                        *heard.entry(told.text).or_default() += 1;
                        client.acknowledge(PUBACK, told.id)
                    } else {
                        if taken.insert(told.id) {
                            *heard.entry(told.text).or_default() += 1;
                        }
                        client.acknowledge(PUBREC, told.id)
                    }
                }
                PUBREL => {
                    let id = u16::from_be_bytes([packet.body[0], packet.body[1]]);
                    taken.remove(&id);
                    client.acknowledge(PUBCOMP, id)
                }
                _ => panic!("{packet:?}"),
            };
            if answered.is_err() {
                break;
            }
        }
    }
    heard
}

#[test]
fn nothing_acknowledged_is_lost_and_what_is_sent_exactly_once_comes_once() {
    let folder = tempfile::tempdir().unwrap();
    let kills = std::env::var("RENKEI_KILLS").ok().and_then(|kills| kills.parse().ok()).unwrap_or(KILLS_DEFAULT);
    let (mut random, seed) = Random::of_this_run();
    println!("seed {seed}, {kills} kills");
    let now: Address = Arc::default();
    let (stop, done) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
    let start = || {
        let server = Server::start_with(folder.path(), &["--mqtt", "127.0.0.1:0"]);
        *now.lock().unwrap() = server.mqtt();
        server
    };
    let mut server = start();
    let set_up = server.client().request("POST", "/ops/v1/sources").body("application/yaml", COUNTED).answer();
    assert_eq!(set_up.status, 201, "{}", set_up.text());
    // Who hears is there before anything is said.
    for qos in [1, 2] {
        let name = format!("reader-{qos}");
        let login = Login::staying(if qos == 1 { 4 } else { 5 }, &name);
        let mut client = MqttClient::connect(&server.mqtt(), &login).unwrap();
        client.subscribe(&format!("ledger/{qos}"), qos).unwrap();
    }
    std::thread::scope(|scope| {
        let (now, stop, done) = (&now, &*stop, &*done);
        let writers: Vec<_> = [1, 2]
            .into_iter()
            .flat_map(|qos| (0..WRITERS).map(move |writer| (qos, writer)))
            .map(|(qos, writer)| {
                (qos, writer, scope.spawn(move || write(qos, writer, &format!("ledger/{qos}"), now, stop)))
            })
            .collect();
        let counted: Vec<_> =
            (0..WRITERS).map(|writer| scope.spawn(move || write(2, writer, "counted/of", now, stop))).collect();
        let meter = scope.spawn(move || report(now, stop));
        let readers = [1, 2].map(|qos| (qos, scope.spawn(move || hear(qos, now, done))));
        for _ in 0..kills {
            std::thread::sleep(Duration::from_millis(100 + random.below(LIFE_MS_MAX)));
            server.kill();
            now.lock().unwrap().clear();
            server = start();
        }
        std::thread::sleep(Duration::from_millis(300));
        stop.store(true, Ordering::Relaxed);
        let mut ledger: BTreeMap<u8, Vec<String>> = BTreeMap::new();
        for (qos, writer, thread) in writers {
            let own = thread.join().unwrap();
            assert!(!own.is_empty(), "writer {writer} of QoS {qos} got nothing acknowledged");
            ledger.entry(qos).or_default().extend(own.iter().map(|number| format!("{writer}:{number}")));
        }
        // What a source took is counted in the commit of its rows: one that was sent exactly once is counted once.
        let counted: usize = counted.into_iter().map(|thread| thread.join().unwrap().len()).sum();
        let source = &server.client().get("/ops/v1/sources").json_of(200)["sources"][0];
        let taken = usize::try_from(source["applied"].as_u64().unwrap()).unwrap();
        assert!(counted > 0 && (counted..=counted + WRITERS).contains(&taken), "{counted} acknowledged, {taken} taken");
        println!("source: {counted} acknowledged, {taken} taken");
        let last = meter.join().unwrap();
        let entity = server.client().get(&format!("{ENTITIES}/urn:ngsi-ld:Meter:1?options=keyValues")).json_of(200);
        let reading = entity["reading"].as_u64().unwrap();
        assert!(last > 0 && (reading == last || reading == last + 1), "{reading} after {last} was acknowledged");
        // The gauge is of a moment ago: of one after the last message, from here on.
        std::thread::sleep(Duration::from_secs(2));
        eventually("nothing waits for the readers", || {
            let metrics = server.client().get("/metrics").text();
            metrics.lines().any(|line| line == "renkei_mqtt_waiting 0").then_some(())
        });
        done.store(true, Ordering::Relaxed);
        for (qos, reader) in readers {
            let heard = reader.join().unwrap();
            let lost: Vec<&String> = ledger[&qos].iter().filter(|text| !heard.contains_key(*text)).collect();
            assert!(lost.is_empty(), "of QoS {qos} {} of {} were lost: {lost:?}", lost.len(), ledger[&qos].len());
            if qos == 2 {
                let twice: Vec<_> = heard.iter().filter(|(_, times)| **times > 1).collect();
                assert!(twice.is_empty(), "came twice: {twice:?}");
            }
            println!("QoS {qos}: {} acknowledged, {} heard", ledger[&qos].len(), heard.len());
        }
    });
    server.stop();
}
