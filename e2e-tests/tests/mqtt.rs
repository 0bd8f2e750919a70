//! Messages in and out of the built binary, by a client of our own that can misbehave and by Mosquitto's.

#![allow(clippy::unwrap_used, reason = "a test fails loudly")]

use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;

use e2e_tests::mqtt::{PUBACK, PUBREC, Told, connect_bytes, packet};
use e2e_tests::{Client, ENTITIES, Login, MqttClient, Server, eventually, run};
use serde_json::{Value, json};

const VERSIONS: [u8; 2] = [4, 5];
const MQTT: [&str; 2] = ["--mqtt", "127.0.0.1:0"];
const NOT_AUTHORIZED: u8 = 0x87;

fn start(folder: &Path) -> Server {
    Server::start_with(folder, &MQTT)
}

fn meter(id: &str, reading: u32) -> String {
    let id = format!("urn:ngsi-ld:Meter:{id}");
    json!({"id": id, "type": "Meter", "reading": {"type": "Property", "value": reading}}).to_string()
}

fn reading(client: &Client, id: &str) -> Option<Value> {
    let answer = client.get(&format!("{ENTITIES}/urn:ngsi-ld:Meter:{id}?options=keyValues"));
    (answer.status == 200).then(|| answer.json()["reading"].clone())
}

fn texts(told: &[Told]) -> Vec<&str> {
    told.iter().map(|told| told.text.as_str()).collect()
}

#[test]
fn a_reading_is_durable_before_it_is_acknowledged() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = start(folder.path());
    let mut expected = Vec::new();
    for version in VERSIONS {
        for qos in [1, 2] {
            let id = format!("{version}-{qos}");
            let mut client = MqttClient::connect(&server.mqtt(), &Login::new(version, &id)).unwrap();
            for value in 1..=5 {
                assert_eq!(client.publish("ngsi-ld/upsert", &meter(&id, value), qos, false).unwrap(), 0);
                assert_eq!(reading(&server.client(), &id), Some(json!(value)), "it is there once it is acknowledged");
            }
            assert_eq!(client.publish("ngsi-ld/upsert", &meter(&id, 6), qos, false).unwrap(), 0);
            server.kill();
            server = start(folder.path());
            expected.push(id);
            for id in &expected {
                assert_eq!(reading(&server.client(), id), Some(json!(6)));
            }
        }
    }
    let mut client = MqttClient::connect(&server.mqtt(), &Login::new(5, "many")).unwrap();
    let many = format!("[{},{}]", meter("many-1", 1), meter("many-2", 2));
    assert_eq!(client.publish("ngsi-ld/upsert", &many, 1, false).unwrap(), 0);
    assert_eq!(reading(&server.client(), "many-2"), Some(json!(2)));
    server.stop();
}

#[test]
fn a_message_that_cannot_be_taken_is_acknowledged_with_the_reason() {
    let folder = tempfile::tempdir().unwrap();
    let server = start(folder.path());
    let mut client = MqttClient::connect(&server.mqtt(), &Login::new(5, "c")).unwrap();
    let no_context = json!({"@context": "http://127.0.0.1:9/none.jsonld", "id": "urn:a:1", "type": "T"}).to_string();
    for (payload, reason) in [
        ("{no json", 0x99),
        ("", 0x99),
        (r#"{"id":"urn:a:1"}"#, 0x99),
        (r#"{"id":"no uri","type":"T"}"#, 0x99),
        (no_context.as_str(), 0x80),
    ] {
        for qos in [1, 2] {
            assert_eq!(client.publish("ngsi-ld/upsert", payload, qos, false).unwrap(), reason, "{payload}");
        }
    }
    // 3.1.1 has no word for it; sending it again would not help.
    let mut old = MqttClient::connect(&server.mqtt(), &Login::new(4, "old")).unwrap();
    assert_eq!(old.publish("ngsi-ld/upsert", "{no json", 1, false).unwrap(), 0);
    assert_eq!(old.publish("ngsi-ld/upsert", &meter("1", 1), 1, false).unwrap(), 0);
    let metrics = server.client().get("/metrics").text();
    let not_taken = metrics.lines().find(|line| line.starts_with("renkei_mqtt_not_taken_total")).unwrap();
    assert_eq!(not_taken.split(' ').nth(1), Some("11"), "{not_taken}");
    server.stop();
}

#[test]
fn messages_reach_who_subscribed_in_both_versions_at_every_qos() {
    let folder = tempfile::tempdir().unwrap();
    let server = start(folder.path());
    for (from, to) in [(4, 4), (4, 5), (5, 4), (5, 5)] {
        let mut reader = MqttClient::connect(&server.mqtt(), &Login::new(to, "reader")).unwrap();
        assert_eq!(reader.subscribe("square/+/lamp/#", 2).unwrap(), 2);
        let mut writer = MqttClient::connect(&server.mqtt(), &Login::new(from, "writer")).unwrap();
        for qos in 0..=2 {
            let topic = format!("square/{qos}/lamp");
            assert_eq!(writer.publish(&topic, "on", qos, false).unwrap(), 0);
            let told = reader.told().unwrap();
            assert_eq!((told.topic.as_str(), told.text.as_str(), told.qos), (topic.as_str(), "on", qos));
        }
        let nobody = if from == 5 { 0x10 } else { 0 };
        assert_eq!(writer.publish("square/lamp", "nobody", 1, false).unwrap(), nobody);
        reader.unsubscribe("square/+/lamp/#").unwrap();
        writer.publish("square/1/lamp", "nobody", 1, false).unwrap();
        assert_eq!(reader.all_told().unwrap(), []);
        for (filter, code) in [("a/#/b", if to == 5 { 0x8f } else { 0x80 }), ("#", 1)] {
            assert_eq!(reader.subscribe(filter, 1).unwrap(), code, "{filter}");
        }
    }
    server.stop();
}

#[test]
fn a_session_goes_on_after_the_server_was_killed() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = start(folder.path());
    for version in VERSIONS {
        let name = format!("reader-{version}");
        let login = Login::staying(version, &name);
        let mut reader = MqttClient::connect(&server.mqtt(), &login).unwrap();
        assert!(!reader.session_present);
        reader.subscribe("a/+", 2).unwrap();
        drop(reader);
        let mut writer = MqttClient::connect(&server.mqtt(), &Login::new(version, "writer")).unwrap();
        for (number, qos) in [(1, 1), (2, 2), (3, 1), (4, 2)] {
            writer.publish("a/b", &number.to_string(), qos, false).unwrap();
        }
        server.kill();
        server = start(folder.path());
        let mut reader = MqttClient::connect(&server.mqtt(), &login).unwrap();
        assert!(reader.session_present);
        let told: Vec<Told> = (0..4).map(|_| reader.told().unwrap()).collect();
        assert_eq!(texts(&told), ["1", "2", "3", "4"]);
        assert_eq!(told.iter().map(|told| told.qos).collect::<Vec<_>>(), [1, 2, 1, 2]);
        // The subscription is there, too; and what was acknowledged does not come again.
        let mut writer = MqttClient::connect(&server.mqtt(), &Login::new(version, "writer")).unwrap();
        writer.publish("a/c", "5", 1, false).unwrap();
        assert_eq!(reader.told().unwrap().text, "5");
        assert_eq!(reader.all_told().unwrap(), []);
        let clean = Login { clean: true, ..login.clone() };
        assert!(!MqttClient::connect(&server.mqtt(), &clean).unwrap().session_present);
        let clean = Login { expiry_s: 0, ..clean };
        MqttClient::connect(&server.mqtt(), &clean).unwrap().disconnect().unwrap();
    }
    server.stop();
}

#[test]
fn a_message_of_qos_2_that_is_sent_again_after_a_kill_is_told_once() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = start(folder.path());
    for version in VERSIONS {
        let (reads, writes) = (format!("reader-{version}"), format!("writer-{version}"));
        let (reads, writes) = (Login::staying(version, &reads), Login::staying(version, &writes));
        MqttClient::connect(&server.mqtt(), &reads).unwrap().subscribe("once", 2).unwrap();
        let mut writer = MqttClient::connect(&server.mqtt(), &writes).unwrap();
        let first = writer.publish_bytes("once", b"x", (2, false, false), 9);
        writer.send(&first).unwrap();
        assert_eq!(writer.reason(PUBREC, 9).unwrap(), 0);
        for _ in 0..2 {
            server.kill();
            server = start(folder.path());
            let mut writer = MqttClient::connect(&server.mqtt(), &writes).unwrap();
            assert!(writer.session_present);
            let again = writer.publish_bytes("once", b"x", (2, false, true), 9);
            writer.send(&again).unwrap();
            assert_eq!(writer.reason(PUBREC, 9).unwrap(), 0);
        }
        let mut writer = MqttClient::connect(&server.mqtt(), &writes).unwrap();
        writer.acknowledge(6, 9).unwrap();
        assert_eq!(writer.reason(7, 9).unwrap(), 0);
        server.kill();
        server = start(folder.path());
        // Released for good: the same identifier is a new message now.
        let mut writer = MqttClient::connect(&server.mqtt(), &writes).unwrap();
        let next = writer.publish_bytes("once", b"y", (2, false, false), 9);
        writer.send(&next).unwrap();
        assert_eq!(writer.reason(PUBREC, 9).unwrap(), 0);
        let mut reader = MqttClient::connect(&server.mqtt(), &reads).unwrap();
        let told = [reader.told().unwrap(), reader.told().unwrap()];
        assert_eq!(texts(&told), ["x", "y"]);
        assert_eq!(reader.all_told().unwrap(), []);
    }
    server.stop();
}

#[test]
fn retained_messages_outlive_a_kill_and_wills_are_said() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = start(folder.path());
    let mut writer = MqttClient::connect(&server.mqtt(), &Login::new(4, "writer")).unwrap();
    for (topic, text) in [("r/1", "old"), ("r/1", "new"), ("r/2", "gone"), ("r/2", "")] {
        writer.publish(topic, text, 1, true).unwrap();
    }
    server.kill();
    server = start(folder.path());
    for version in VERSIONS {
        let mut reader = MqttClient::connect(&server.mqtt(), &Login::new(version, "reader")).unwrap();
        reader.subscribe("r/#", 1).unwrap();
        let told = reader.told().unwrap();
        assert_eq!((told.topic.as_str(), told.text.as_str(), told.retain), ("r/1", "new", true));
        assert_eq!(reader.all_told().unwrap(), []);
        reader.subscribe("last/#", 1).unwrap();
        let will = Some(("last/word", "gone", 1));
        let left = MqttClient::connect(&server.mqtt(), &Login { will, ..Login::new(version, "left") }).unwrap();
        left.disconnect().unwrap();
        drop(MqttClient::connect(&server.mqtt(), &Login { will, ..Login::new(version, "lost") }).unwrap());
        assert_eq!(reader.told().unwrap().text, "gone");
        assert_eq!(reader.all_told().unwrap(), [], "who said goodbye has no last word");
        let silent = Login { will, keep_alive_s: 1, ..Login::new(version, "silent") };
        let silent = MqttClient::connect(&server.mqtt(), &silent).unwrap();
        assert_eq!(reader.told().unwrap().text, "gone", "nothing was heard of it for too long");
        assert_eq!(silent.end(), (version == 5).then_some(0x8d));
    }
    server.stop();
}

#[test]
fn wildcards_leave_dollar_topics_alone_and_groups_share() {
    let folder = tempfile::tempdir().unwrap();
    let server = start(folder.path());
    let mut writer = MqttClient::connect(&server.mqtt(), &Login::new(5, "writer")).unwrap();
    assert_eq!(writer.publish("$SYS/x", "mine", 1, false).unwrap(), NOT_AUTHORIZED, "only the server speaks of itself");
    let mut group: Vec<MqttClient> = ["one", "two"]
        .map(|name| {
            let mut member = MqttClient::connect(&server.mqtt(), &Login::new(5, name)).unwrap();
            assert_eq!(member.subscribe("$share/g/a/#", 1).unwrap(), 1);
            member
        })
        .into();
    for number in 0..6 {
        assert_eq!(writer.publish("a/b", &number.to_string(), 1, false).unwrap(), 0);
    }
    let shares: Vec<Vec<Told>> = group.iter_mut().map(|member| member.all_told().unwrap()).collect();
    assert_eq!((shares[0].len(), shares[1].len()), (3, 3));
    server.stop();
}

fn operator(server: &Server, folder: &Path) -> (Client, String) {
    let token = std::fs::read_to_string(folder.join("keys/operator.token")).unwrap().trim().to_owned();
    (server.client().token(&token), token)
}

fn token(client: &Client, label: &str, role: &str) -> (String, String) {
    let asked = json!({"roles": [role], "label": label, "expires": "P1D"});
    let made = client.post("/trust/v1/tokens", &asked).json_of(201);
    (made["token"].as_str().unwrap().to_owned(), made["id"].as_str().unwrap().to_owned())
}

#[test]
fn rights_follow_from_the_token() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start_with(folder.path(), &[&MQTT[..], &["--auth", "on"]].concat());
    let (client, operator) = operator(&server, folder.path());
    let (device, _) = token(&client, "meter-7", "device");
    let (other, _) = token(&client, "meter-8", "device");
    let (auditor, _) = token(&client, "auditor", "auditor");
    let address = server.mqtt();
    let enter = |name, token: &str| MqttClient::connect(&address, &Login::new(5, name).token(token));
    assert_eq!(MqttClient::connect(&address, &Login::new(5, "x")).err(), Some(NOT_AUTHORIZED));
    assert_eq!(MqttClient::connect(&address, &Login::new(4, "x")).err(), Some(5));
    assert_eq!(enter("x", "rk_0123456789abcdefnonsense").err(), Some(0x86));
    assert_eq!(enter("x", &auditor).err(), Some(NOT_AUTHORIZED), "there is nothing it may do here");
    let elsewhere = Login { user: Some("tenant:other"), ..Login::new(5, "x").token(&device) };
    assert_eq!(MqttClient::connect(&address, &elsewhere).err(), Some(0x86), "a token is of one tenant");

    let mut all = enter("all", &operator).unwrap();
    assert_eq!(all.subscribe("#", 1).unwrap(), 1);
    let mut seven = enter("seven", &device).unwrap();
    for (topic, reason) in [
        ("devices/meter-7/up", 0),
        ("devices/meter-8/up", NOT_AUTHORIZED),
        ("devices/meter-7/commands", NOT_AUTHORIZED),
        ("square/lamp", NOT_AUTHORIZED),
        ("ngsi-ld/other", NOT_AUTHORIZED),
    ] {
        for qos in [1, 2] {
            assert_eq!(seven.publish(topic, "x", qos, false).unwrap(), reason, "{topic}");
        }
    }
    assert_eq!(seven.publish("ngsi-ld/upsert", &meter("7", 7), 1, false).unwrap(), 0);
    assert_eq!(reading(&client, "7"), Some(json!(7)));
    for (filter, code) in [
        ("devices/meter-7/#", 1),
        ("devices/+/up", NOT_AUTHORIZED),
        ("#", NOT_AUTHORIZED),
        ("$share/g/devices/meter-8/#", NOT_AUTHORIZED),
    ] {
        assert_eq!(seven.subscribe(filter, 1).unwrap(), code, "{filter}");
    }
    assert_eq!(texts(&all.all_told().unwrap()), ["x", "x"], "who sees everything saw what was published, and no more");
    // Nobody but the loop commands, and a session is its owner's.
    assert_eq!(all.publish("devices/meter-7/commands/open", "x", 1, false).unwrap(), NOT_AUTHORIZED);
    assert_eq!(enter("seven", &other).err(), Some(0x85));
    let will = Some(("devices/meter-8/up", "x", 1));
    let login = Login { will, ..Login::new(5, "will").token(&device) };
    assert_eq!(MqttClient::connect(&address, &login).err(), Some(NOT_AUTHORIZED));
    // A client of 3.1.1 can only be told by ending.
    let mut old = MqttClient::connect(&address, &Login::new(4, "old").token(&device)).unwrap();
    assert!(old.publish("devices/meter-8/up", "x", 1, false).is_err());
    // What a policy forbids is refused entity by entity.
    let _ = client.post("/trust/v1/policies", &json!({"id": "no-valves", "cedar":
        r#"forbid (principal in Role::"device", action == Action::"write", resource) when { resource has type && resource.type.contains("Valve") };"#}));
    let valve = json!({"id": "urn:ngsi-ld:Valve:1", "type": "Valve"}).to_string();
    let reason = seven.publish("ngsi-ld/upsert", &valve, 1, false).unwrap();
    let there = client.get(&format!("{ENTITIES}/urn:ngsi-ld:Valve:1")).status == 200;
    assert_eq!(reason == 0, there, "what is acknowledged is there, what is refused is not");
    server.stop();
}

#[test]
fn a_token_that_is_taken_back_ends_its_connections() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start_with(folder.path(), &[&MQTT[..], &["--auth", "on"]].concat());
    let (client, operator) = operator(&server, folder.path());
    let (device, id) = token(&client, "meter-7", "device");
    let login = Login::staying(5, "seven").token(&device);
    let mut seven = MqttClient::connect(&server.mqtt(), &login).unwrap();
    seven.subscribe("devices/meter-7/#", 1).unwrap();
    let mut all = MqttClient::connect(&server.mqtt(), &Login::new(5, "all").token(&operator)).unwrap();
    all.publish("devices/meter-7/down", "before", 1, false).unwrap();
    assert_eq!(seven.told().unwrap().text, "before");
    assert_eq!(client.delete(&format!("/trust/v1/tokens/{id}")).status, 204);
    all.publish("devices/meter-7/down", "after", 1, false).unwrap();
    assert_eq!(seven.end(), Some(NOT_AUTHORIZED), "without the message");
    assert_eq!(MqttClient::connect(&server.mqtt(), &login).err(), Some(0x86));
    // Its new token goes on with what the old one began.
    let (again, _) = token(&client, "meter-7", "device");
    let mut seven = MqttClient::connect(&server.mqtt(), &Login::staying(5, "seven").token(&again)).unwrap();
    assert!(seven.session_present);
    assert_eq!(seven.told().unwrap().text, "after");
    server.stop();
}

#[test]
fn tenants_share_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = start(folder.path());
    for _ in 0..2 {
        let enter = |tenant: &str| {
            let tenant = format!("tenant:{tenant}");
            let login = Login { user: Some(&tenant), ..Login::staying(5, "same name") };
            MqttClient::connect(&server.mqtt(), &login).unwrap()
        };
        let (mut koto, mut sumida) = (enter("koto"), enter("sumida"));
        koto.subscribe("#", 1).unwrap();
        sumida.subscribe("#", 1).unwrap();
        sumida.all_told().unwrap();
        koto.all_told().unwrap();
        koto.publish("a", "of koto", 1, true).unwrap();
        assert_eq!(koto.told().unwrap().text, "of koto");
        assert_eq!(sumida.all_told().unwrap(), []);
        koto.publish("ngsi-ld/upsert", &meter("1", 1), 1, false).unwrap();
        assert_eq!(reading(&server.client().tenant("koto"), "1"), Some(json!(1)));
        assert_eq!(reading(&server.client().tenant("sumida"), "1"), None);
        server.kill();
        server = start(folder.path());
    }
    server.stop();
}

#[test]
fn one_client_is_there_once() {
    let folder = tempfile::tempdir().unwrap();
    let server = start(folder.path());
    let first = MqttClient::connect(&server.mqtt(), &Login::staying(5, "c")).unwrap();
    let second = MqttClient::connect(&server.mqtt(), &Login::staying(5, "c")).unwrap();
    assert!(second.session_present);
    assert_eq!(first.end(), Some(0x8e));
    let name = Login { client: "", ..Login::new(5, "") };
    MqttClient::connect(&server.mqtt(), &name).unwrap();
    let staying = Login { client: "", ..Login::staying(4, "") };
    assert_eq!(MqttClient::connect(&server.mqtt(), &staying).err(), Some(2), "3.1.1: no name, no session");
    let mut server = server;
    let status = server.stop_with("TERM");
    assert!(status.success());
    assert_eq!(second.end(), Some(0x8b), "the server says that it stops");
}

#[test]
fn what_breaks_the_protocol_ends_its_own_connection_alone() {
    let folder = tempfile::tempdir().unwrap();
    let server = start(folder.path());
    let address = server.mqtt();
    let mut witness = MqttClient::connect(&address, &Login::new(5, "witness")).unwrap();
    let connect = connect_bytes(&Login::new(5, "c"));
    for (bytes, what) in [
        (b"GET / HTTP/1.1\r\n\r\n".to_vec(), "HTTP"),
        (vec![0xff; 64], "a length of five bytes"),
        (vec![0; 64], "packets of type 0"),
        (packet(0x30, b"\0\x01a"), "PUBLISH before CONNECT"),
        (packet(0x10, &vec![0; 200_000]), "a CONNECT that is too long"),
    ] {
        let mut client = MqttClient::open(&address, 5).unwrap();
        // The server may have ended it while this is still being said.
        let _ = client.send(&bytes);
        assert_eq!(client.end(), None, "{what}");
    }
    let big = [&[0x30u8][..], &[0xff, 0xff, 0xff, 0x7f]].concat();
    for (bytes, reason, what) in [
        (connect.clone(), 0x82, "a second CONNECT"),
        (packet(0x36, b"\0\x01a\0\x01\0"), 0x81, "QoS 3"),
        (packet(0x30, b"\0\x02a+\0"), 0x90, "a wildcard in a topic"),
        (packet(0x30, b"\0\0\x03\x23\0\x05"), 0x82, "an alias that was not given"),
        (packet(0x30, b"\0\x01a\x03\x23\0\xff"), 0x94, "an alias beyond the bound"),
        (packet(0x82, b"\0\x01\0"), 0x82, "SUBSCRIBE without a filter"),
        (packet(0x80, b"\0\x01\0\0\x01a\0"), 0x81, "SUBSCRIBE without its flag"),
        (big, 0x95, "a packet of 256 MiB"),
        (packet(0xf0, b""), 0x82, "AUTH without a method"),
    ] {
        let mut client = MqttClient::connect(&address, &Login::new(5, "c")).unwrap();
        let _ = client.send(&bytes);
        assert_eq!(client.end(), Some(reason), "{what}");
    }
    for (level, code) in [(3, 1), (6, 0x84)] {
        let mut bytes = connect.clone();
        bytes[8] = level;
        let mut client = MqttClient::open(&address, 5).unwrap();
        client.send(&bytes).unwrap();
        assert_eq!(client.hear().unwrap().body[1], code, "level {level}");
    }
    witness.ping().unwrap();
    server.stop();
}

#[test]
fn who_does_not_read_is_bounded_and_harms_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let server = start(folder.path());
    let mut slow = MqttClient::connect(&server.mqtt(), &Login::new(5, "slow")).unwrap();
    slow.subscribe("flood", 0).unwrap();
    let mut reader = MqttClient::connect(&server.mqtt(), &Login::new(5, "reader")).unwrap();
    reader.subscribe("quiet", 1).unwrap();
    let mut writer = MqttClient::connect(&server.mqtt(), &Login::new(5, "writer")).unwrap();
    let before = server.resident_bytes();
    let big = "x".repeat(100_000);
    // 200 MB for somebody who reads nothing.
    for number in 0..2_000 {
        writer.publish("flood", &big, 0, false).unwrap();
        if number % 100 == 0 {
            writer.publish("quiet", "still", 1, false).unwrap();
            assert_eq!(reader.told().unwrap().text, "still");
        }
    }
    writer.ping().unwrap();
    let grown = server.resident_bytes().saturating_sub(before);
    assert!(grown < 64 << 20, "{grown} bytes more than before");
    let dropped = || {
        let metrics = server.client().get("/metrics").text();
        let line = metrics.lines().find(|line| line.starts_with("renkei_mqtt_dropped_total"))?.to_owned();
        line.split(' ').nth(1)?.parse::<u64>().ok()
    };
    assert!(dropped().unwrap() > 0);
    // After its patience the server lets go of it.
    eventually("the slow client is gone", || {
        let metrics = server.client().get("/metrics").text();
        metrics.lines().any(|line| line == "renkei_mqtt_connections 2").then_some(())
    });
    drop(slow);
    server.stop();
}

#[test]
fn more_than_a_client_may_send_without_an_answer_ends_it() {
    let folder = tempfile::tempdir().unwrap();
    let server = start(folder.path());
    let mut writer = MqttClient::connect(&server.mqtt(), &Login::new(5, "writer")).unwrap();
    for id in 1..=65 {
        let bytes = writer.publish_bytes("a", b"x", (2, false, false), id);
        writer.send(&bytes).unwrap();
    }
    assert_eq!(writer.end(), Some(0x93));
    server.stop();
}

#[test]
fn without_tls_or_identities_only_this_machine_is_listened_to() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().to_str().unwrap();
    for (auth, code) in [("off", "--auth off"), ("on", "--tls-cert")] {
        let ended = run(&["serve", "--data", data, "--listen", "127.0.0.1:0", "--mqtt", "0.0.0.0:0", "--auth", auth]);
        assert_eq!(ended.code, Some(1));
        assert!(ended.err.contains("0.0.0.0:0") && ended.err.contains(code), "{}", ended.err);
    }
}

fn mosquitto(program: &str, address: &str, arguments: &[&str]) -> Output {
    let (host, port) = address.rsplit_once(':').unwrap();
    let mut command = Command::new(program);
    command.args(["-h", host, "-p", port]).args(arguments).output().expect("mosquitto-clients is installed")
}

#[test]
fn mosquittos_own_clients_publish_and_subscribe() {
    let folder = tempfile::tempdir().unwrap();
    let server = start(folder.path());
    let address = server.mqtt();
    for version in ["311", "5"] {
        for qos in ["0", "1", "2"] {
            let name = format!("{version}-{qos}");
            let sent = mosquitto(
                "mosquitto_pub",
                &address,
                &["-V", version, "-q", qos, "-t", "ngsi-ld/upsert", "-m", &meter(&name, 3)],
            );
            assert!(sent.status.success(), "{sent:?}");
            // Of QoS 0 nobody says when it was taken.
            eventually("the reading is there", || reading(&server.client(), &name));
            // A subscription, its session, and what comes while the client is away.
            let reads = ["-V", version, "-q", qos, "-c", "-x", "600", "-i", &name, "-t", "plain/#"];
            let reads = if version == "5" { reads.to_vec() } else { [&reads[..5], &reads[7..]].concat() };
            let begun = mosquitto("mosquitto_sub", &address, &[&reads[..], &["-E"]].concat());
            assert!(begun.status.success(), "{begun:?}");
            let sent = mosquitto("mosquitto_pub", &address, &["-V", version, "-q", qos, "-t", "plain/a", "-m", &name]);
            assert!(sent.status.success(), "{sent:?}");
            if qos != "0" {
                let heard = mosquitto("mosquitto_sub", &address, &[&reads[..], &["-C", "1", "-W", "30"]].concat());
                assert_eq!(String::from_utf8_lossy(&heard.stdout), format!("{name}\n"), "{heard:?}");
            }
        }
    }
    let refused = mosquitto("mosquitto_pub", &address, &["-V", "5", "-q", "1", "-t", "devices/x/commands", "-m", "x"]);
    assert!(String::from_utf8_lossy(&refused.stderr).contains("Not authorized"), "{refused:?}");
    server.stop();
}

#[test]
fn acknowledgements_come_in_the_order_of_the_messages() {
    let folder = tempfile::tempdir().unwrap();
    let server = start(folder.path());
    let mut writer = MqttClient::connect(&server.mqtt(), &Login::new(4, "writer")).unwrap();
    let mut bytes = Vec::new();
    for id in 1..=400u16 {
        let topic = if id % 3 == 0 { "plain" } else { "ngsi-ld/upsert" };
        let payload = meter("1", id.into());
        bytes.extend(writer.publish_bytes(topic, payload.as_bytes(), (1, false, false), id));
    }
    writer.send(&bytes).unwrap();
    for id in 1..=400 {
        assert_eq!(writer.reason(PUBACK, id).unwrap(), 0);
    }
    assert_eq!(reading(&server.client(), "1"), Some(json!(400)));
    writer.patience(Duration::from_millis(10)).unwrap();
    server.stop();
}

#[test]
fn a_backup_holds_sessions_and_retained_messages() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let server = Server::start_with(&folder.path().join("city"), &MQTT);
    let reads = Login::staying(5, "reader");
    MqttClient::connect(&server.mqtt(), &reads).unwrap().subscribe("a", 2).unwrap();
    let mut writer = MqttClient::connect(&server.mqtt(), &Login::new(5, "writer")).unwrap();
    writer.publish("a", "waits", 2, false).unwrap();
    writer.publish("r", "kept", 1, true).unwrap();
    let taken = run(&["backup", &path("backup"), "--url", &server.url()]);
    assert_eq!(taken.code, Some(0), "{taken:?}");
    writer.publish("a", "too late", 2, false).unwrap();
    server.stop();
    let restored = run(&["restore", &path("backup"), "--data", &path("restored")]);
    assert_eq!(restored.code, Some(0), "{restored:?}");
    let server = Server::start_with(&folder.path().join("restored"), &MQTT);
    let mut reader = MqttClient::connect(&server.mqtt(), &reads).unwrap();
    assert!(reader.session_present);
    assert_eq!(reader.told().unwrap().text, "waits");
    reader.subscribe("r", 1).unwrap();
    assert_eq!(texts(&reader.all_told().unwrap()), ["kept"]);
    server.stop();
}

#[test]
fn the_doctor_names_a_client_for_whom_much_waits() {
    let folder = tempfile::tempdir().unwrap();
    let server = start(folder.path());
    MqttClient::connect(&server.mqtt(), &Login::staying(5, "sleeper")).unwrap().subscribe("a", 1).unwrap();
    let mut writer = MqttClient::connect(&server.mqtt(), &Login::new(4, "writer")).unwrap();
    let findings = |server: &Server| server.client().get("/ops/v1/doctor").json_of(200)["findings"].to_string();
    for round in 0..50 {
        assert!(!findings(&server).contains("sleeper"), "after {round} rounds");
        let mut bytes = Vec::new();
        for id in 1..=100 {
            bytes.extend(writer.publish_bytes("a", b"x", (1, false, false), id));
        }
        writer.send(&bytes).unwrap();
        for id in 1..=100 {
            assert_eq!(writer.reason(PUBACK, id).unwrap(), 0);
        }
    }
    let findings = findings(&server);
    assert!(findings.contains("sleeper") && findings.contains("5000 messages wait"), "{findings}");
    server.stop();
}

const GAUGES: &str = r#"
name: gauges
from: {mqtt: {topic: gauges/+/level}}
map:
  format: json
  id: '"urn:ngsi-ld:RiverGauge:" + row.id'
  type: RiverGauge
  attributes:
    level: {value: number(row.level_cm) / 100.0, unitCode: MTR}
"#;

#[test]
fn a_topic_that_a_source_claims_is_taken_by_it_before_it_is_acknowledged() {
    let folder = tempfile::tempdir().unwrap();
    let closed = [&MQTT[..], &["--auth", "on"]].concat();
    let mut server = Server::start_with(folder.path(), &closed);
    let (client, token_of_operator) = operator(&server, folder.path());
    let (device, _) = token(&client, "gauge-7", "device");
    let enter = |server: &Server, version| {
        MqttClient::connect(&server.mqtt(), &Login::new(version, "gauge").token(&device)).unwrap()
    };
    let mut gauge = enter(&server, 5);
    let level = |number: u32| json!({"id": "7", "level_cm": number}).to_string();
    assert_eq!(gauge.publish("gauges/7/level", &level(1), 1, false).unwrap(), NOT_AUTHORIZED, "nothing claims it");
    assert_eq!(client.request("POST", "/ops/v1/sources").body("application/yaml", GAUGES).answer().status, 201);
    let mut all = MqttClient::connect(&server.mqtt(), &Login::new(5, "all").token(&token_of_operator)).unwrap();
    all.subscribe("#", 1).unwrap();
    for (qos, number) in [(1, 123), (2, 150)] {
        assert_eq!(gauge.publish("gauges/7/level", &level(number), qos, false).unwrap(), 0);
        let found = client.get(&format!("{ENTITIES}/urn:ngsi-ld:RiverGauge:7?options=keyValues")).json_of(200);
        assert_eq!(found["level"].as_f64(), Some(f64::from(number) / 100.0));
        // What cannot be used is kept, and said.
        assert_eq!(gauge.publish("gauges/7/level", "{no json", qos, false).unwrap(), 0x99);
    }
    assert_eq!(all.all_told().unwrap(), [], "what a source takes is told as a change, not raw");
    // Where the source names who may send, nobody else does.
    let (other, id) = token(&client, "gauge-8", "device");
    let named = GAUGES.replace("mqtt: {", &format!("mqtt: {{by: ['token:{id}'], "));
    assert_ne!(named, GAUGES);
    assert_eq!(client.request("POST", "/ops/v1/sources").body("application/yaml", named.as_str()).answer().status, 200);
    assert_eq!(gauge.publish("gauges/7/level", &level(1), 1, false).unwrap(), NOT_AUTHORIZED);
    let mut named = MqttClient::connect(&server.mqtt(), &Login::new(5, "other").token(&other)).unwrap();
    assert_eq!(named.publish("gauges/7/level", &level(160), 1, false).unwrap(), 0);
    assert_eq!(client.request("POST", "/ops/v1/sources").body("application/yaml", GAUGES).answer().status, 200);
    let mut old = enter(&server, 4);
    assert_eq!(old.publish("gauges/7/level", &level(170), 1, false).unwrap(), 0);
    server.kill();
    let server = Server::start_with(folder.path(), &closed);
    let (client, _) = operator(&server, folder.path());
    let found = client.get(&format!("{ENTITIES}/urn:ngsi-ld:RiverGauge:7?options=keyValues")).json_of(200);
    assert_eq!(found["level"].as_f64(), Some(1.7));
    let rejects = client.get("/ops/v1/sources/gauges/rejects").json_of(200);
    assert_eq!(rejects["rejects"].as_array().map(Vec::len), Some(2), "{rejects}");
    // A source that is paused takes nothing, and nobody is told otherwise.
    assert!(client.post("/ops/v1/sources/gauges/pause", &json!({})).status < 300);
    assert_eq!(enter(&server, 5).publish("gauges/7/level", &level(1), 1, false).unwrap(), 0x83);
    assert!(enter(&server, 4).publish("gauges/7/level", &level(1), 1, false).is_err());
    server.stop();
}
