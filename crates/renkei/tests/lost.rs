//! Followers that were away for longer than the journal is kept: what they say, and what is whole again.
//!
//! The binary runs, and everything is followed. Then changes are applied to its folder with nobody following,
//! into a journal so small that the first of them go; then the binary runs again.

#![allow(clippy::unwrap_used, reason = "a test fails loudly")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::ops::ControlFlow;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use city_context::Context;
use city_model::change::Definition;
use city_model::permit::Grant;
use city_model::{Cause, Change, DefinitionKind, Mint, Permit, Powers, TenantName, Time};
use city_ngsi_ld::context::TermMap;
use city_ngsi_ld::subscription::{parse_subscription, stored};
use city_ngsi_ld::{Mode, parse_entity};
use city_store::commit::MATCHER_CURSOR_KEY;
use city_store::journal::Limits;
use city_store::{Clock, Folder, FolderDisk, Space, SystemClock, View, ViewBatch};
use serde_json::{Value, json};

const PATIENCE: Duration = Duration::from_secs(60);
const TEMPORAL: &str = "/ngsi-ld/v1/temporal/entities";
/// Readings that are applied while nobody follows.
const READINGS: i64 = 400;

struct Server {
    child: Child,
    address: String,
}

impl Server {
    fn start(folder: &Path) -> Self {
        let mut command = renkei(&["serve", "--listen", "127.0.0.1:0", "--auth", "off"]);
        command.args(["--outbound-allow", "127.0.0.0/8", "--data"]).arg(folder).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let address = lines.find_map(|line| line.unwrap().strip_prefix("ready http://").map(str::to_owned)).unwrap();
        Self { child, address }
    }

    fn ask(&self, method: &str, path: &str, body: &Value) -> (u16, String) {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let head = format!(
            "{method} {path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        stream.write_all(format!("{head}{body}").as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head[9..12].parse().unwrap(), body.to_owned())
    }

    #[track_caller]
    fn must(&self, method: &str, path: &str, body: &Value) {
        let (status, said) = self.ask(method, path, body);
        assert!((200..300).contains(&status), "{method} {path}: {status} {said}");
    }

    /// What the past holds of an attribute: instances in order of time.
    #[track_caller]
    fn past(&self, id: &str, attribute: &str) -> Vec<Value> {
        let (status, said) = self.ask("GET", &format!("{TEMPORAL}/{id}?attrs={attribute}"), &Value::Null);
        assert_eq!(status, 200, "{said}");
        match &serde_json::from_str::<Value>(&said).unwrap()[attribute] {
            Value::Array(instances) => instances.clone(),
            one => vec![one.clone()],
        }
    }

    fn values(&self, id: &str, attribute: &str) -> Vec<i64> {
        self.past(id, attribute).iter().map(|instance| instance["value"].as_i64().unwrap()).collect()
    }

    /// How often each follower was lost, as the metrics tell.
    fn lost(&self) -> Vec<String> {
        let (_, metrics) = self.ask("GET", "/metrics", &Value::Null);
        let mut lines: Vec<String> =
            metrics.lines().filter(|line| line.starts_with("renkei_follower_lost_total")).map(str::to_owned).collect();
        lines.sort();
        lines
    }

    /// A command of the binary against this server: exit status and what it printed.
    fn command(&self, arguments: &[&str]) -> (Option<i32>, String) {
        let output = renkei(arguments).args(["--url", &format!("http://{}", self.address)]).output().unwrap();
        (output.status.code(), String::from_utf8(output.stdout).unwrap())
    }

    /// Waits until all followers have seen everything, and ends.
    fn stop(mut self) {
        let started = std::time::Instant::now();
        loop {
            let (_, metrics) = self.ask("GET", "/metrics", &Value::Null);
            let mut behind = metrics.lines().filter(|line| line.starts_with("renkei_follower_behind{")).peekable();
            if behind.peek().is_some() && behind.all(|line| line.ends_with(" 0")) {
                break;
            }
            assert!(started.elapsed() < PATIENCE, "a follower stays behind: {metrics}");
            std::thread::sleep(Duration::from_millis(50));
        }
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
        assert!(self.child.wait().unwrap().success());
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn renkei(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_renkei"));
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("RENKEI_")) {
        command.env_remove(name);
    }
    command.args(arguments);
    command
}

/// An endpoint that takes everything: the levels that it was told.
fn endpoint() -> (String, Receiver<i64>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let uri = format!("http://{}/", listener.local_addr().unwrap());
    let (sender, told) = channel();
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let sender = sender.clone();
            std::thread::spawn(move || {
                let mut stream = BufReader::new(stream);
                while let Some(body) = notification(&mut stream) {
                    let _ = sender.send(body["data"][0]["level"]["value"].as_i64().unwrap());
                    stream.get_mut().write_all(b"HTTP/1.1 204 No Content\r\n\r\n").unwrap();
                }
            });
        }
    });
    (uri, told)
}

fn notification(stream: &mut BufReader<TcpStream>) -> Option<Value> {
    let mut length = 0;
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).ok()? == 0 {
            return None;
        }
        match line.to_ascii_lowercase().strip_prefix("content-length:") {
            Some(value) => length = value.trim().parse().ok()?,
            None if line.trim().is_empty() => break,
            None => {}
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).ok()?;
    serde_json::from_slice(&body).ok()
}

fn gauge(number: u32, members: &Value) -> Value {
    let mut entity = json!({"id": format!("urn:ngsi-ld:Gauge:{number}"), "type": "Gauge"});
    for (name, value) in members.as_object().unwrap() {
        entity[name] = json!({"type": "Property", "value": value});
    }
    entity
}

fn subscription(name: &str, uri: &str) -> Value {
    json!({
        "id": format!("urn:ngsi-ld:Subscription:{name}"), "type": "Subscription", "entities": [{"type": "Gauge"}],
        "notification": {"endpoint": {"uri": uri}},
    })
}

/// The folder, changed by somebody whom nobody follows.
struct Away {
    context: Context,
    permit: Permit,
    request: u128,
    _folder: Folder,
}

impl Away {
    fn open(folder: &Path) -> Self {
        let folder = Folder::open(folder).unwrap();
        let view = Arc::new(View::open(&folder.view_path()).unwrap());
        let disk = FolderDisk::new(folder.journal_path()).unwrap();
        let limits = Limits { segment_bytes: 8 << 10, keep_bytes: 24 << 10, reserve_bytes: 0 };
        let (context, _) = Context::open(Arc::new(disk), view, Arc::default(), Arc::new(SystemClock), limits).unwrap();
        let permit = Mint::take().unwrap().issue(Grant {
            tenant: TenantName::default_tenant(),
            who: "test".into(),
            purpose: None,
            powers: Arc::new(Powers::all()),
            epoch: 0,
            expires_at: Time::from_micros(i64::MAX),
        });
        Self { context, permit, request: 0, _folder: folder }
    }

    fn apply(&mut self, change: Change) {
        self.request += 1;
        let cause = Cause { request: self.request, origin: "test".into(), depth: 0 };
        for result in self.context.apply_blocking(&self.permit, vec![change], cause, Vec::new()).unwrap() {
            result.unwrap();
        }
    }

    fn upsert(&mut self, entity: &Value) {
        let entity = parse_entity(entity.to_string().as_bytes(), &TermMap::core(), Mode::Create).unwrap();
        self.apply(Change::Upsert { entity, update: true });
    }

    fn subscribe(&mut self, body: &Value) {
        let (id, now) = (body["id"].as_str().unwrap(), SystemClock.now());
        let subscription = parse_subscription(body.to_string().as_bytes(), &TermMap::core(), id, now, None).unwrap();
        let body = stored(&subscription).as_bytes().into();
        let kind = DefinitionKind::Subscription;
        self.apply(Change::Define(Definition { kind, id: subscription.id.clone(), body, create: true }));
    }
}

#[test]
fn followers_whose_records_are_gone_say_so_and_are_whole_again() {
    let folder = tempfile::tempdir().unwrap();
    let (uri, told) = endpoint();
    let server = Server::start(folder.path());
    for number in 1..=3 {
        server.must("POST", "/ngsi-ld/v1/entities", &gauge(number, &json!({"level": 0})));
    }
    for name in ["before", "dropped"] {
        server.must("POST", "/ngsi-ld/v1/subscriptions", &subscription(name, &uri));
    }
    server.must("POST", "/trust/v1/tokens", &json!({"roles": ["public"], "label": "before"}));
    assert_eq!(server.values("urn:ngsi-ld:Gauge:1", "level"), [0]);
    assert!(server.lost().is_empty(), "{:?}", server.lost());
    server.stop();

    let mut away = Away::open(folder.path());
    let cursor = away.context.view().get(Space::Meta, MATCHER_CURSOR_KEY).unwrap().unwrap();
    let first = u64::from_le_bytes(cursor[..].try_into().unwrap()) + 1;
    away.subscribe(&subscription("within", &uri));
    let id = "urn:ngsi-ld:Subscription:dropped".into();
    away.apply(Change::Undefine { kind: DefinitionKind::Subscription, id });
    away.upsert(&gauge(2, &json!({"note": 7})));
    away.upsert(&gauge(4, &json!({"level": 40, "note": 4})));
    for reading in 1..=READINGS {
        away.upsert(&gauge(1, &json!({"level": reading})));
    }
    away.subscribe(&subscription("after", &uri));
    let last = away.context.journal().oldest() - 1;
    assert!(last > first + 10, "the journal was not cut: {first} to {last}");
    drop(away);

    let server = Server::start(folder.path());
    // History: what the state holds stands in it once, and what the journal kept is followed as ever.
    let levels = server.values("urn:ngsi-ld:Gauge:1", "level");
    let kept = &levels[1..];
    assert!(levels[0] == 0 && kept[0] > 2 && kept.last() == Some(&READINGS), "{levels:?}");
    assert!(kept.windows(2).all(|pair| pair[1] == pair[0] + 1), "each once, in order: {levels:?}");
    assert_eq!(server.values("urn:ngsi-ld:Gauge:2", "level"), [0], "it was there and is not doubled");
    assert_eq!(server.values("urn:ngsi-ld:Gauge:2", "note"), [7]);
    assert_eq!(server.values("urn:ngsi-ld:Gauge:3", "level"), [0]);
    assert_eq!(server.values("urn:ngsi-ld:Gauge:4", "level"), [40]);
    assert_eq!(server.values("urn:ngsi-ld:Gauge:4", "note"), [4]);
    let changed = json!({"level": {"type": "Property", "value": 41}});
    server.must("PATCH", "/ngsi-ld/v1/entities/urn:ngsi-ld:Gauge:4/attrs", &changed);
    let past = server.past("urn:ngsi-ld:Gauge:4", "level");
    assert_eq!(past.iter().map(|one| one["value"].as_i64().unwrap()).collect::<Vec<_>>(), [40, 41]);
    // What was filled in has a name of its own, by which it can be taken away.
    let instance = past[0]["instanceId"].as_str().unwrap();
    server.must("DELETE", &format!("{TEMPORAL}/urn:ngsi-ld:Gauge:4/attrs/level/{instance}"), &Value::Null);
    assert_eq!(server.values("urn:ngsi-ld:Gauge:4", "level"), [41]);

    // Notifications: who was there within the gap is told of it once; what comes later is told as ever.
    while told.recv_timeout(PATIENCE).unwrap() != 41 {}
    let range = format!("up to {} changes (journal records {first} to {last})", last + 1 - first);
    for name in ["before", "within"] {
        let id = format!("urn:ngsi-ld:Subscription:{name}");
        let (code, said) = server.command(&["subscriptions", "dead-letters", &id]);
        assert!(code == Some(0) && said.contains(&range) && said.ends_with("1 given up\n"), "{code:?} {said}");
        let (_, said) = server.command(&["subscriptions", "dead-letters", &id, "--json"]);
        let letters: Value = serde_json::from_str(&said).unwrap();
        assert_eq!(letters["deadLetters"].as_array().unwrap().len(), 1, "{said}");
        // There is nothing in it to send.
        assert_eq!(server.command(&["subscriptions", "replay", &id]), (Some(0), "0 put back\n".to_owned()));
    }
    let (code, said) = server.command(&["subscriptions", "dead-letters", "urn:ngsi-ld:Subscription:after"]);
    assert_eq!((code, said.as_str()), (Some(0), "0 given up\n"), "it was made behind the gap");
    let (code, said) = server.command(&["subscriptions", "dead-letters", "urn:ngsi-ld:Subscription:dropped"]);
    assert_eq!((code, said.as_str()), (Some(1), ""), "it went within the gap");

    // The trail has the gap among its entries.
    let (code, said) = server.command(&["audit", "what", "trail.gap", "--json"]);
    assert!(code == Some(0) && said.contains(&format!("journal records {first} to {last}")), "{code:?} {said}");
    let copy = folder.path().join("trail");
    let copy = copy.to_str().unwrap();
    assert_eq!(server.command(&["audit", "export", copy]).0, Some(0));
    assert_eq!(server.command(&["audit", "verify", copy]).0, Some(0), "it can be verified as ever");
    let expected =
        ["history", "matcher", "rules", "trail"].map(|f| format!("renkei_follower_lost_total{{follower=\"{f}\"}} 1"));
    assert_eq!(server.lost(), expected);
    server.stop();

    let server = Server::start(folder.path());
    assert_eq!(server.values("urn:ngsi-ld:Gauge:2", "note"), [7], "what is closed stays closed");
    assert!(server.lost().is_empty(), "{:?}", server.lost());
    server.stop();

    // As if the process had ended between the loss and the closing of the gap: it is closed at the next start.
    reopen_gap(folder.path(), first - 1);
    let server = Server::start(folder.path());
    assert_eq!(server.values("urn:ngsi-ld:Gauge:1", "level"), levels);
    for (id, attribute, expected) in
        [(2, "level", 0), (2, "note", 7), (3, "level", 0), (4, "level", 41), (4, "note", 4)]
    {
        assert_eq!(server.values(&format!("urn:ngsi-ld:Gauge:{id}"), attribute), [expected], "{attribute} of {id}");
    }
    server.stop();
}

/// Takes away the rows that closed the gap, and puts the mark back that says it is open.
fn reopen_gap(folder: &Path, lost_after: u64) {
    let folder = Folder::open(folder).unwrap();
    let view = View::open(&folder.view_path()).unwrap();
    let mut batch = ViewBatch::default();
    view.scan(Space::History, &[], &[0xff; 48], |key, _| {
        // Rows that no record gave their place count from 2^31.
        if key[key.len() - 4] >= 0x80 {
            batch.delete(Space::History, key.to_vec());
        }
        Ok(ControlFlow::Continue(()))
    })
    .unwrap();
    assert_eq!(batch.len(), 2, "note of 2 and of 4; level of 4 was taken away");
    batch.put(Space::Meta, "gap:history", &lost_after.to_le_bytes());
    view.write(batch).unwrap();
    view.persist().unwrap();
}
