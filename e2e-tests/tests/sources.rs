//! Sources: a message comes in, and a value can be traced back to it; what is wrong is kept, mended, taken again.

#![allow(clippy::unwrap_used, reason = "a test fails loudly")]

use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use e2e_tests::{Answer, Client, ENTITIES, Server, TEMPORAL, eventually, files_below, run};
use serde_json::{Value, json};

const SOURCES: &str = "/ops/v1/sources";

const GAUGES: &str = r#"
name: gauges
title: 水位計
from: {push: {by: [device]}}
expect: PT1H
map:
  format: json
  source: {provider: the river office, licence: CC-BY-4.0}
  id: '"urn:ngsi-ld:RiverGauge:" + row.id'
  type: RiverGauge
  observedAt: time(row.at)
  attributes:
    waterLevel: {value: number(row.level_cm) / 100.0, unitCode: MTR}
    name: row.name
"#;

fn closed(folder: &Path) -> (Server, Client) {
    let server = Server::start_with(folder, &["--auth", "on"]);
    let token = std::fs::read_to_string(folder.join("keys/operator.token")).unwrap();
    let client = server.client().token(token.trim());
    (server, client)
}

fn add(client: &Client, text: &str) -> Answer {
    client.request("POST", SOURCES).body("application/yaml", text).answer()
}

fn push(client: &Client, source: &str, message: &str) -> Answer {
    client.request("POST", &format!("{SOURCES}/{source}/messages")).body("application/json", message).answer()
}

fn level(client: &Client, id: &str) -> Value {
    let found = client.get(&format!("{ENTITIES}/urn:ngsi-ld:RiverGauge:{id}"));
    if found.status == 200 { found.json()["waterLevel"]["value"].clone() } else { Value::Null }
}

fn lineage(client: &Client, id: &str) -> Value {
    client.get(&format!("/ops/v1/lineage?id=urn:ngsi-ld:RiverGauge:{id}&attr=waterLevel")).json_of(200)
}

#[test]
fn a_message_is_durable_when_it_is_answered_and_its_value_is_traced_to_it() {
    let folder = tempfile::tempdir().unwrap();
    let (mut server, client) = closed(folder.path());
    assert_eq!(add(&client, GAUGES).json_of(201)["version"], 1);
    let one = r#"{"id": "7", "at": "2026-11-27T04:00:00+09:00", "level_cm": "１２３", "name": "川端"}"#;
    let took = push(&client, "gauges", one).json_of(200);
    assert_eq!((&took["message"], &took["applied"], &took["rejected"]), (&json!(1), &json!(1), &json!(0)));
    // Read at once, and after the plug was pulled.
    let gauge = client.get(&format!("{ENTITIES}/urn:ngsi-ld:RiverGauge:7")).json_of(200);
    assert_eq!((&gauge["waterLevel"]["value"], &gauge["waterLevel"]["unitCode"]), (&json!(1.23), &json!("MTR")));
    assert_eq!(gauge["waterLevel"]["observedAt"], "2026-11-26T19:00:00Z");
    assert_eq!(
        (&gauge["dataProvider"]["value"], &gauge["license"]["value"]),
        (&json!("the river office"), &json!("CC-BY-4.0"))
    );
    server.kill();
    let server = Server::start_with(folder.path(), &["--auth", "on"]);
    let token = std::fs::read_to_string(folder.path().join("keys/operator.token")).unwrap();
    let client = server.client().token(token.trim());
    assert_eq!(level(&client, "7"), json!(1.23));
    let many = r#"[
{"id": "8", "at": "2026-11-27T04:00:00Z", "level_cm": 50},
{"id": "9", "at": "2026-11-27T04:00:00Z", "level_cm": 60}]"#;
    assert_eq!(push(&client, "gauges", many).json_of(200)["message"], 2);
    assert_eq!(add(&client, &GAUGES.replace("/ 100.0", "/ 1000.0")).json_of(200)["version"], 2);
    assert_eq!(push(&client, "gauges", r#"{"id": "8", "at": "2026-11-27T05:00:00Z", "level_cm": 70}"#).status, 200);

    // Where from, down to the digest of the message and the version that took it.
    let of_7 = lineage(&client, "7");
    assert_eq!((&of_7["source"], &of_7["message"], &of_7["line"]), (&json!("gauges"), &json!(1), &json!(1)));
    assert_eq!((&of_7["cameAs"]["version"], &of_7["cameAs"]["bytes"]), (&json!(1), &json!(one.len())));
    assert_eq!(of_7["cameAs"]["sha256"], sha256sum(one.as_bytes()));
    assert_eq!(
        (&lineage(&client, "8")["message"], &lineage(&client, "8")["cameAs"]["version"]),
        (&json!(3), &json!(2))
    );
    assert_eq!((&lineage(&client, "9")["message"], &lineage(&client, "9")["line"]), (&json!(2), &json!(3)));
    let by_hand = json!({"waterLevel": {"type": "Property", "value": 5}});
    let _ = client.patch(&format!("{ENTITIES}/urn:ngsi-ld:RiverGauge:9/attrs"), &by_hand).expect(204);
    let of_9 = lineage(&client, "9");
    assert_eq!(
        (&of_9["source"], &of_9["door"], &of_9["by"]),
        (&Value::Null, &json!("ngsi-ld"), &json!("local-operator"))
    );
    assert_eq!(client.get("/ops/v1/lineage?id=urn:ngsi-ld:RiverGauge:7&attr=nothing").status, 404);
    assert_eq!(client.get("/ops/v1/lineage?id=urn:ngsi-ld:RiverGauge:7").status, 400);
    let listed = &client.get(SOURCES).json_of(200)["sources"][0];
    assert_eq!((&listed["messages"], &listed["applied"], &listed["silent"]), (&json!(3), &json!(4), &json!(false)));
    server.stop();
}

/// By the system's own tool.
fn sha256sum(bytes: &[u8]) -> String {
    let mut tool = std::process::Command::new("sha256sum")
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    tool.stdin.take().unwrap().write_all(bytes).unwrap();
    let said = String::from_utf8(tool.wait_with_output().unwrap().stdout).unwrap();
    said.split(' ').next().unwrap().to_owned()
}

#[test]
fn what_is_rejected_is_kept_with_its_reason_and_mended_by_message_or_by_source() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    let client = server.client();
    let _ = add(&client, GAUGES).expect(201);
    let mixed = r#"[{"id": "1", "at": "2026-11-27T04:00:00Z", "level_cm": 10}, {"id": "2", "at": "yesterday", "level_cm": 20}]"#;
    let took = push(&client, "gauges", mixed).json_of(207);
    assert_eq!((&took["applied"], &took["rejected"], &took["reasons"][0]["line"]), (&json!(1), &json!(1), &json!(1)));
    assert!(took["reasons"][0]["why"].as_str().unwrap().contains("yesterday"), "{took}");
    assert_eq!(level(&client, "1"), json!(0.1), "the row beside it is taken");
    let broken = push(&client, "gauges", r#"{"id": "3", "at": "#).json_of(422);
    assert!(broken["applied"] == 0 && broken["rejected"].as_u64() > Some(0), "{broken}");
    let other = push(&client, "gauges", r#"[{"id": "a b", "at": "2026-11-27T04:00:00Z", "level_cm": 1}]"#);
    assert_eq!(other.status, 422, "what the mapping makes is no id: {}", other.text());

    let url = server.url();
    let cli = |arguments: &[&str]| run(&[arguments, &["--url", &url]].concat());
    let listed = cli(&["rejects", "list", "gauges"]);
    assert_eq!(listed.out.lines().filter(|line| line.contains("rows rejected")).count(), 3, "{}", listed.out);
    let shown = cli(&["rejects", "show", "gauges", "1"]);
    assert_eq!(shown.out.trim(), mixed, "as it came, to the byte");
    let mended = folder.path().join("mended.json");
    std::fs::write(&mended, mixed.replace("yesterday", "2026-11-26T04:00:00Z")).unwrap();
    let taken = cli(&["rejects", "mend", "gauges", "1", mended.to_str().unwrap()]);
    assert_eq!((taken.code, taken.out.trim()), (Some(0), "message 4: 2 applied, 0 rejected"), "{taken:?}");
    assert_eq!(level(&client, "2"), json!(0.2));
    let of_2 = lineage(&client, "2");
    assert_eq!((&of_2["message"], &of_2["cameAs"]["replaces"]), (&json!(4), &json!(1)), "as it was mended");

    // Or the source was wrong: mended, it takes the message as it came.
    let _ = add(&client, &GAUGES.replace("+ row.id", "+ uri(row.id)")).expect(200);
    assert_eq!(cli(&["rejects", "replay", "gauges", "3"]).code, Some(0));
    assert_eq!(client.get(&format!("{ENTITIES}/urn:ngsi-ld:RiverGauge:a%2520b")).status, 200);
    assert_eq!(cli(&["rejects", "replay", "gauges", "2"]).code, Some(3), "still broken");
    assert_eq!(cli(&["rejects", "drop", "gauges", "2"]).code, Some(1), "another has taken its place");
    assert_eq!(cli(&["rejects", "drop", "gauges", "6"]).code, Some(0));
    assert_eq!(cli(&["rejects", "list", "gauges"]).out, "");
    assert_eq!(client.get(SOURCES).json_of(200)["sources"][0]["rejectsKept"], 0);
    server.stop();
}

#[test]
fn a_source_is_tried_before_it_is_set_up_paused_resumed_and_removed() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    let (client, url) = (server.client(), server.url());
    let (source, message) = (folder.path().join("gauges.yaml"), folder.path().join("message.json"));
    std::fs::write(&source, GAUGES).unwrap();
    std::fs::write(&message, r#"{"id": "7", "at": "2026-11-27T04:00:00Z", "level_cm": 123}"#).unwrap();
    let (source, message) = (source.to_str().unwrap(), message.to_str().unwrap());
    let tried = run(&["source", "test", source, message]);
    assert!(
        tried.code == Some(0) && tried.out.contains("urn:ngsi-ld:RiverGauge:7") && tried.out.contains("1.23"),
        "{tried:?}"
    );
    let cli = |arguments: &[&str]| run(&[&["source"], arguments, &["--url", &url]].concat());
    assert_eq!(cli(&["add", source]).code, Some(0));
    let trial = client
        .request("POST", &format!("{SOURCES}/gauges/test"))
        .body("application/json", &br#"{"id": "7", "at": "x", "level_cm": 1}"#[..])
        .answer()
        .json_of(200);
    assert_eq!((&trial["would"], &trial["rejected"]), (&json!(0), &json!(1)));
    assert_eq!(level(&client, "7"), Value::Null, "nothing was written by trying");
    assert_eq!(cli(&["push", "gauges", message]).out.trim(), "message 1: 1 applied, 0 rejected");
    assert!(cli(&["list"]).out.starts_with("gauges  push by device  well; 1 messages"), "{}", cli(&["list"]).out);
    let traced = cli(&["trace", "urn:ngsi-ld:RiverGauge:7", "waterLevel"]);
    assert!(traced.out.contains("source gauges, message 1, line 1"), "{traced:?}");
    assert_eq!(cli(&["pause", "gauges"]).code, Some(0));
    let refused = push(&client, "gauges", "{}");
    assert_eq!((refused.status, refused.json()["code"].as_str()), (409, Some("ING-008")));
    assert_eq!(cli(&["resume", "gauges"]).code, Some(0));
    assert_eq!(push(&client, "gauges", r#"{"id": "7", "at": "2026-11-27T05:00:00Z", "level_cm": 5}"#).status, 200);
    assert!(cli(&["show", "gauges"]).out.contains("number(row.level_cm)"));
    assert_eq!(cli(&["remove", "gauges"]).code, Some(0));
    assert_eq!(push(&client, "gauges", "{}").status, 404);
    for (wrong, place) in [
        (GAUGES.replace("from:", "form:"), "form"),
        (GAUGES.replace("RiverGauge:\"", "RiverGauge:"), "map"),
        (GAUGES.replace("name: gauges", "name: Gauges!"), "name"),
        (GAUGES.replace("{push: {by: [device]}}", "{poll: {url: 'http://10.0.0.1/', every: PT1M}}"), "from.poll.url"),
        (GAUGES.replace("PT1H", "soon"), "expect"),
    ] {
        let answer = add(&client, &wrong);
        assert_eq!(answer.status, 400);
        assert!(answer.text().contains(place), "{place}: {}", answer.text());
    }
    server.stop();
}

#[test]
fn who_may_push_does_and_nobody_else_learns_what_there_is() {
    let folder = tempfile::tempdir().unwrap();
    let (server, operator) = closed(folder.path());
    let token = |body: &Value| {
        let made = operator.post("/trust/v1/tokens", body).json_of(201);
        (server.client().token(made["token"].as_str().unwrap()), made["id"].as_str().unwrap().to_owned())
    };
    let (device, _) = token(&json!({"roles": ["device"]}));
    let (developer, _) = token(&json!({"roles": ["developer"]}));
    let (owner, owner_id) = token(&json!({"roles": ["operator"]}));
    assert_eq!(add(&developer, GAUGES).status, 403);
    let _ = add(&owner, GAUGES).expect(201);
    let one = r#"{"id": "7", "at": "2026-11-27T04:00:00Z", "level_cm": 1}"#;
    assert_eq!(push(&device, "gauges", one).status, 200);
    for (client, source) in [(&developer, "gauges"), (&developer, "nothing"), (&device, "nothing")] {
        assert_eq!(push(client, source, one).status, 403, "{source}");
    }
    assert_eq!(push(&server.client(), "gauges", one).status, 401);
    assert_eq!(push(&operator.tenant("other"), "gauges", one).status, 404);
    for door in [SOURCES, "/ops/v1/sources/gauges", "/ops/v1/sources/gauges/rejects"] {
        assert_eq!(device.get(door).status, 403, "{door}");
        assert!(!operator.tenant("other").get(door).text().contains("river"), "{door}");
    }
    // It writes as whoever set it up: with them it falls silent.
    let _ = operator.delete(&format!("/trust/v1/tokens/{owner_id}")).expect(204);
    let refused = push(&device, "gauges", one);
    assert_eq!((refused.status, refused.json()["code"].as_str()), (409, Some("ING-009")));

    // Of persons, a rejected message is not kept: nobody would seal it.
    let _ = operator.post("/trust/v1/classes", &json!({"attribute": "name", "class": "personal"})).expect(200);
    let _ = add(&operator, GAUGES).expect(200);
    let secret = "canary-name-of-a-person";
    let took = push(&device, "gauges", &format!(r#"{{"id": "7", "at": "never", "level_cm": 1, "name": "{secret}"}}"#));
    assert_eq!(took.status, 422);
    assert!(!took.text().contains(secret), "{}", took.text());
    assert_eq!(operator.get("/ops/v1/sources/gauges/rejects").json_of(200)["rejects"], json!([]));
    server.stop();
    let holds = |path: &std::path::PathBuf| {
        std::fs::read(path).unwrap().windows(secret.len()).any(|window| window == secret.as_bytes())
    };
    assert!(!files_below(folder.path()).iter().any(holds));
}

/// A web server that answers each request as it is told to, and knows what it was asked.
struct Web {
    url: String,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Web {
    fn start(answer: impl Fn(usize, &str) -> Vec<u8> + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/feed.json", listener.local_addr().unwrap());
        let asked: Arc<Mutex<Vec<String>>> = Arc::default();
        let (noted, count) = (Arc::clone(&asked), AtomicUsize::new(0));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(mut stream) = stream else { return };
                let mut bytes = [0; 4_096];
                let Ok(read) = stream.read(&mut bytes) else { continue };
                let request = String::from_utf8_lossy(&bytes[..read]).into_owned();
                let _ = stream.write_all(&answer(count.fetch_add(1, Ordering::SeqCst), &request));
                noted.lock().unwrap().push(request);
            }
        });
        Self { url, asked }
    }
}

fn http(status: &str, headers: &str, body: &str) -> Vec<u8> {
    format!("HTTP/1.1 {status}\r\n{headers}Connection: close\r\nContent-Length: {}\r\n\r\n{body}", body.len())
        .into_bytes()
}

fn polled(url: &str) -> String {
    GAUGES.replace("{push: {by: [device]}}", &format!("{{poll: {{url: '{url}', every: PT1S}}}}"))
}

#[test]
fn a_feed_is_asked_again_and_again_and_only_for_what_is_new() {
    let feed = |level: u32| format!(r#"[{{"id": "7", "at": "2026-11-27T04:00:00Z", "level_cm": {level}}}]"#);
    let web =
        Web::start(move |count, request| match (count, request.to_lowercase().contains("if-none-match: \"v1\"")) {
            (0, _) => http("503 Not Now", "", "later"),
            (1, _) => http("200 OK", "ETag: \"v1\"\r\n", &feed(100)),
            (2 | 3, true) => http("304 Not Modified", "ETag: \"v1\"\r\n", ""),
            (_, true) => http("200 OK", "ETag: \"v2\"\r\n", &feed(200)),
            _ => http("200 OK", "ETag: \"v2\"\r\n", &feed(300)),
        });
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    let client = server.client();
    let _ = add(&client, &polled(&web.url)).expect(201);
    eventually("the first is taken, after a refusal", || (level(&client, "7") == json!(1.0)).then_some(()));
    eventually("the next, after two that were not new", || (level(&client, "7") == json!(2.0)).then_some(()));
    eventually("and so on", || (level(&client, "7") == json!(3.0)).then_some(()));
    assert_eq!(lineage(&client, "7")["cameAs"]["by"], "poll");
    // Paused, it is not asked; after a restart it is as it was.
    let _ = client.request("POST", &format!("{SOURCES}/gauges/pause")).answer().expect(204);
    server.stop();
    let server = Server::start(folder.path());
    let count = web.asked.lock().unwrap().len();
    e2e_tests::never_within(std::time::Duration::from_secs(3), "a paused source is asked", || {
        web.asked.lock().unwrap().len() > count
    });
    let _ = server.client().request("POST", &format!("{SOURCES}/gauges/resume")).answer().expect(204);
    eventually("it is asked again", || (web.asked.lock().unwrap().len() > count).then_some(()));
    server.stop();
}

#[test]
fn a_feed_that_misbehaves_hurts_only_itself_and_is_told() {
    let endless = Web::start(|_, _| {
        let mut bytes = b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n[".to_vec();
        bytes.resize(40 << 20, b' ');
        bytes
    });
    let nonsense = Web::start(|_, _| http("200 OK", "", "<html>this is no feed</html>"));
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    let client = server.client();
    for (name, url) in
        [("endless", &endless.url), ("nonsense", &nonsense.url), ("nobody", &"http://127.0.0.1:9/x".to_owned())]
    {
        let _ = add(&client, &polled(url).replace("name: gauges", &format!("name: {name}"))).expect(201);
    }
    let _ = add(&client, GAUGES).expect(201);
    let look = |name: &str| client.get(&format!("{SOURCES}/{name}")).json_of(200);
    for name in ["endless", "nobody"] {
        let failing = eventually("it says that it fails", || look(name)["failing"].as_str().map(str::to_owned));
        assert!(failing.contains("127.0.0.1"), "{failing}");
        assert_eq!(look(name)["messages"], 0);
    }
    let seen =
        eventually("it is rejected", || Some(look("nonsense")).filter(|seen| seen["rejected"].as_u64() > Some(0)));
    assert!(seen["lastRejection"].as_str().is_some(), "{seen}");
    assert_eq!(push(&client, "gauges", r#"{"id": "7", "at": "2026-11-27T04:00:00Z", "level_cm": 1}"#).status, 200);
    assert!(server.resident_bytes() < 400 << 20);
    server.stop();
}

#[test]
fn readings_of_the_past_and_rows_of_real_weather_come_through_a_source() {
    let Some(data) = e2e_tests::data_folder("japan-amedas") else { return };
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    let client = server.client();
    let file = data.join("amedas_hourly_2023-07_2023-12.csv.gz");
    let mut zcat = std::process::Command::new("zcat").arg(file).stdout(std::process::Stdio::piped()).spawn().unwrap();
    let lines = std::io::BufRead::lines(std::io::BufReader::new(zcat.stdout.take().unwrap()));
    let rows: Vec<String> = lines.take(501).map(Result::unwrap).collect();
    let _ = zcat.kill();
    let _ = zcat.wait();
    let source = r#"
name: weather
from: {push: {}}
map:
  format: csv
  target: temporal
  time: {zone: Asia/Tokyo}
  id: '"urn:ngsi-ld:WeatherStation:" + row.amdno'
  type: WeatherStation
  observedAt: time(row.fetched_hour_jst)
  attributes:
    temperature: {value: number(row.temp_c), unitCode: CEL}
"#;
    let _ = add(&client, source).expect(201);
    let took = push(&client, "weather", &rows.join("\n"));
    let entry = took.json();
    assert_eq!((took.status, &entry["read"], &entry["rejected"]), (200, &json!(500), &json!(0)), "{entry}");
    let stations = client
        .get(&format!("{TEMPORAL}?type=WeatherStation&timerel=after&timeAt=1990-01-01T00:00:00Z&limit=1000"))
        .json();
    let values: usize = stations
        .as_array()
        .unwrap()
        .iter()
        .map(|station| match &station["temperature"] {
            Value::Array(values) => values.len(),
            Value::Null => 0,
            _ => 1,
        })
        .sum();
    let wanted = rows[0].split(',').position(|name| name == "temp_c").unwrap();
    let filled =
        rows[1..].iter().filter(|row| row.split(',').nth(wanted).is_some_and(|cell| !cell.trim().is_empty())).count();
    assert_eq!(values, filled, "each reading is in the past, and a blank is a gap");
    server.stop();
}

#[test]
fn a_source_that_falls_silent_is_an_alarm_of_the_doctor_and_its_rejects_are_a_notice() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    let client = server.client();
    let _ = add(&client, &GAUGES.replace("PT1H", "PT2S")).expect(201);
    assert_eq!(push(&client, "gauges", r#"{"id": "7", "at": "never", "level_cm": 1}"#).status, 422);
    let findings = |level: &str| {
        let report = client.get("/ops/v1/doctor").json_of(200);
        let list = report["findings"].as_array().unwrap().clone();
        list.into_iter().find(|one| one["thing"] == "source gauges" && one["level"] == level)
    };
    assert!(findings("notice").unwrap()["what"].as_str().unwrap().contains("1 messages"));
    assert_eq!(findings("alarm"), None);
    eventually("it is missed", || findings("alarm"));
    let _ = client.request("POST", &format!("{SOURCES}/gauges/pause")).answer().expect(204);
    assert_eq!(findings("alarm"), None, "a paused one is not missed");
    server.stop();
}
