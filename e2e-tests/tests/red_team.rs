//! What a review tried to get around permits, each try with the answer that it must get.

#![allow(clippy::unwrap_used, reason = "a test fails loudly")]

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use e2e_tests::{Client, ENTITIES, Random, Receiver, SUBSCRIPTIONS, Server, TEMPORAL, path_with};
use serde_json::{Value, json};

fn closed(folder: &Path) -> (Server, Client) {
    let server = Server::start_with(folder, &["--auth", "on"]);
    let token = std::fs::read_to_string(folder.join("keys/operator.token")).unwrap();
    let operator = server.client().token(token.trim());
    (server, operator)
}

fn token(operator: &Client, request: &Value) -> (String, String) {
    let made = operator.post("/trust/v1/tokens", request).json_of(201);
    (made["token"].as_str().unwrap().to_owned(), made["id"].as_str().unwrap().to_owned())
}

/// A program of an organisation that may do what these sentences say.
fn holder(server: &Server, operator: &Client, organisation: &str, sentences: &[&str]) -> Client {
    for words in sentences {
        let _ =
            operator.post("/trust/v1/policies", &json!({"words": format!("{organisation} may {words}")})).expect(201);
    }
    let (text, _) = token(operator, &json!({"roles": ["developer"], "organisation": organisation}));
    server.client().token(&text)
}

fn property(value: impl Into<Value>) -> Value {
    json!({"type": "Property", "value": value.into()})
}

#[test]
fn what_was_taken_back_while_a_body_came_is_not_done() {
    let folder = tempfile::tempdir().unwrap();
    let (server, operator) = closed(folder.path());
    for (role, path, body) in [
        ("operator", ENTITIES, json!({"id": "urn:ngsi-ld:Room:late", "type": "Room"})),
        ("administrator", "/trust/v1/tokens", json!({"roles": ["administrator"]})),
    ] {
        let (text, id) = token(&operator, &json!({"roles": [role]}));
        let body = body.to_string();
        let mut stream = TcpStream::connect(server.address()).unwrap();
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {text}\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
            body.len()
        );
        stream.write_all(head.as_bytes()).unwrap();
        stream.write_all(&body.as_bytes()[..5]).unwrap();
        // The server waits for the rest of the body; meanwhile the token is taken back.
        std::thread::sleep(Duration::from_millis(100));
        assert_eq!(operator.delete(&format!("/trust/v1/tokens/{id}")).status, 204);
        stream.write_all(&body.as_bytes()[5..]).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 403"), "{role}: {answer}");
        assert!(!answer.contains("rk_"), "{answer}");
    }
    assert_eq!(operator.get(&format!("{ENTITIES}/urn:ngsi-ld:Room:late")).status, 404);
    assert_eq!(operator.get("/trust/v1/tokens").json_of(200)["tokens"], json!([]));
}

#[test]
fn who_writes_one_attribute_says_neither_what_a_thing_is_nor_that_it_is_gone() {
    let folder = tempfile::tempdir().unwrap();
    let (server, operator) = closed(folder.path());
    let room = format!("{ENTITIES}/urn:ngsi-ld:Room:1");
    let only = format!("{ENTITIES}/urn:ngsi-ld:Room:only");
    let entity = json!({"id": "urn:ngsi-ld:Room:1", "type": "Room", "scope": "/hall", "temperature": property(20), "owner": property("secret")});
    let _ = operator.post(ENTITIES, &entity).expect(201);
    let _ = operator
        .post(ENTITIES, &json!({"id": "urn:ngsi-ld:Room:only", "type": "Room", "temperature": property(20)}))
        .expect(201);
    let writer =
        holder(&server, &operator, "meter-company", &["write temperature of Room", "read temperature of Room"]);
    let _ = operator.post("/trust/v1/policies", &json!({"words": "anyone may read Shelter"})).expect(201);
    for patch in [
        json!({"type": "Shelter"}),
        json!({"scope": "/public"}),
        json!({"type": ["Room", "Shelter"], "temperature": property(1)}),
    ] {
        assert_eq!(writer.patch(&room, &patch).status, 403, "{patch}");
    }
    assert_eq!(writer.delete(&only).status, 403);
    assert_eq!(writer.delete(&format!("{room}/attrs/scope")).status, 403);
    assert_eq!(writer.patch(&format!("{room}/attrs"), &json!({"temperature": property(21)})).status, 204);
    // Who may write all of a type makes nothing of another type of it.
    let keeper = holder(&server, &operator, "keeper", &["write Room", "read Room"]);
    assert_eq!(keeper.patch(&room, &json!({"type": ["Room", "Shelter"]})).status, 403);
    assert_eq!(keeper.patch(&room, &json!({"scope": "/hall/2"})).status, 204);
    assert_eq!(keeper.delete(&only).status, 204);
    assert_eq!(server.client().get(&format!("{ENTITIES}?type=Shelter")).json_of(200), json!([]));
}

#[test]
fn a_writer_learns_nothing_of_what_it_may_not_see() {
    let folder = tempfile::tempdir().unwrap();
    let (server, operator) = closed(folder.path());
    let room = format!("{ENTITIES}/urn:ngsi-ld:Room:1");
    let _ = operator
        .post(
            ENTITIES,
            &json!({"id": "urn:ngsi-ld:Room:1", "type": "Room", "temperature": property(20), "hidden": property("x")}),
        )
        .expect(201);
    let _ = operator.post(ENTITIES, &json!({"id": "urn:ngsi-ld:Vault:1", "type": "Vault"})).expect(201);
    let writer =
        holder(&server, &operator, "meter-company", &["write temperature of Room", "read temperature of Room"]);
    // An attribute that is there and hidden, and one that is not there: one answer.
    let ask = |method: &str, path: String, body: Option<Value>| {
        let request = writer.request(method, &path);
        let answer = if let Some(body) = &body { request.json(body).answer() } else { request.answer() };
        (answer.status, answer.text().replace("absent", "hidden"))
    };
    for (method, suffix, instance) in [
        ("POST", "/attrs?options=noOverwrite", property(1)),
        ("PATCH", "/attrs", property("urn:ngsi-ld:null")),
        ("PATCH", "", json!({"type": "Relationship", "object": "urn:a:b"})),
    ] {
        let answer = |name: &str| ask(method, format!("{room}{suffix}"), Some(json!({name: instance})));
        assert_eq!(answer("hidden"), answer("absent"), "{method} {suffix}");
        assert_eq!(answer("hidden").0, 403);
    }
    for (method, body) in [("DELETE", None), ("PATCH", Some(json!({"value": 1}))), ("PUT", Some(property(1)))] {
        let answer = |name: &str| ask(method, format!("{room}/attrs/{name}"), body.clone());
        assert_eq!(answer("hidden"), answer("absent"), "{method}");
    }
    // An id that a hidden entity has, and a free one.
    let make = |id: &str| {
        let answer = writer.post(ENTITIES, &json!({"id": format!("urn:ngsi-ld:Vault:{id}"), "type": "Vault"}));
        (answer.status, answer.text().replace(":2", ":1"))
    };
    assert_eq!(make("1"), make("2"));
    assert_eq!(make("1").0, 403);
}

#[test]
fn times_and_spans_tell_nothing_of_hidden_attributes() {
    let folder = tempfile::tempdir().unwrap();
    let (server, operator) = closed(folder.path());
    let id = "urn:ngsi-ld:Room:1";
    let at = |value: i64, time: &str| json!({"type": "Property", "value": value, "observedAt": time});
    let _ = operator
        .post(
            TEMPORAL,
            &json!({
                "id": id, "type": "Room",
                "shown": [at(1, "2026-02-01T00:00:00Z"), at(3, "2026-02-02T00:00:00Z")],
                "hidden": [at(7, "2020-01-01T00:10:00Z"), at(9, "2030-01-01T00:00:00Z")],
            }),
        )
        .expect(201);
    let _ = operator
        .post(ENTITIES, &json!({"id": id, "type": "Room", "shown": property(1), "hidden": property(1)}))
        .expect(201);
    let reader = holder(&server, &operator, "reader", &["read shown of Room"]);
    let path = format!("{ENTITIES}/{id}?options=sysAttrs");
    let before = reader.get(&path).json_of(200);
    let _ = operator.patch(&format!("{ENTITIES}/{id}/attrs"), &json!({"hidden": property(2)})).expect(204);
    assert_eq!(reader.get(&path).json_of(200), before, "when something hidden changed is hidden too");
    let aggregated = format!(
        "{TEMPORAL}/{id}?options=aggregatedValues&aggrMethods=max&aggrPeriodDuration=PT0S&timeproperty=observedAt"
    );
    let answer = reader.get(&aggregated).json_of(200);
    assert_eq!(answer["shown"]["max"], json!([[3, "2026-02-01T00:00:00Z", "2026-02-02T00:00:00Z"]]), "{answer}");
    assert!(!reader.get(&format!("{TEMPORAL}/{id}?options=sysAttrs")).text().contains("20:10"));
    for q in ["SELECT modified_at FROM entities", "SELECT count(*) AS n FROM history"] {
        let rows = reader.get(&path_with("/sql/v1/query", &[("q", q)])).json_of(200);
        let _ = operator.patch(&format!("{ENTITIES}/{id}/attrs"), &json!({"hidden": property(q)})).expect(204);
        assert_eq!(reader.get(&path_with("/sql/v1/query", &[("q", q)])).json_of(200), rows, "{q}");
    }
}

#[test]
fn a_subscription_is_redirected_by_nobody_but_its_maker() {
    let folder = tempfile::tempdir().unwrap();
    let (server, operator) = closed(folder.path());
    let (own, other) = (Receiver::start(), Receiver::start());
    let maker = holder(&server, &operator, "clinic", &["read Room"]);
    let (text, _) = token(&operator, &json!({"roles": ["operator"]}));
    let second = server.client().token(&text);
    let path = format!("{SUBSCRIPTIONS}/urn:ngsi-ld:Subscription:clinic");
    let _ = maker.post(SUBSCRIPTIONS, &json!({
        "id": "urn:ngsi-ld:Subscription:clinic", "type": "Subscription", "entities": [{"type": "Room"}],
        "notification": {"endpoint": {"uri": own.url(), "receiverInfo": [{"key": "Authorization", "value": "Bearer clinic-secret"}]}},
    })).expect(201);
    assert!(maker.get(&path).expect(200).text().contains("clinic-secret"));
    for client in [&second, &operator] {
        for path in [path.as_str(), SUBSCRIPTIONS] {
            let shown = client.get(path).expect(200).text();
            assert!(shown.contains("Subscription:clinic") && !shown.contains("clinic-secret"), "{shown}");
        }
        for patch in [
            json!({"notification": {"endpoint": {"uri": other.url()}}}),
            json!({"entities": [{"type": "Vault"}]}),
            json!({"q": "a"}),
        ] {
            assert_eq!(client.patch(&path, &patch).status, 403, "{patch}");
        }
        assert_eq!(client.patch(&path, &json!({"isActive": false})).status, 204);
        assert_eq!(client.patch(&path, &json!({"isActive": true})).status, 204);
    }
    let stranger = holder(&server, &operator, "stranger", &["read Room"]);
    assert_eq!(stranger.get(&path).status, 404);
    assert_eq!(stranger.patch(&path, &json!({"isActive": false})).status, 404);
    assert_eq!(stranger.delete(&path).status, 404);
    assert_eq!(second.delete(&path).status, 204);
    let _ = operator.post("/trust/v1/policies", &json!({"words": "anyone may read Room"})).expect(201);
    let _ = operator.post("/trust/v1/policies", &json!({"words": "anyone may subscribe"})).expect(201);
    assert_eq!(server.client().get(SUBSCRIPTIONS).status, 401, "nobody knows who the public is, so nothing is theirs");
}

#[test]
fn a_request_key_is_its_holders_own() {
    let folder = tempfile::tempdir().unwrap();
    let (server, operator) = closed(folder.path());
    let _ = operator.post(ENTITIES, &json!({"id": "urn:ngsi-ld:Room:1", "type": "Room", "a": property(1)})).expect(201);
    let writer =
        holder(&server, &operator, "meter-company", &["write temperature of Room", "read temperature of Room"]);
    let attrs = format!("{ENTITIES}/urn:ngsi-ld:Room:1/attrs");
    let keyed = |client: &Client, method: &str, path: &str| {
        client
            .request(method, path)
            .header("idempotency-key", "night")
            .json(&json!({"temperature": property(3)}))
            .answer()
    };
    assert_eq!(keyed(&writer, "POST", &attrs).status, 204);
    // Another's use of the same key is another request.
    let answer = operator
        .request("DELETE", &format!("{ENTITIES}/urn:ngsi-ld:Room:1"))
        .header("idempotency-key", "night")
        .answer();
    assert_eq!(answer.status, 204);
    assert_eq!(operator.get(&format!("{ENTITIES}/urn:ngsi-ld:Room:1")).status, 404);
}

#[test]
fn a_policy_of_any_shape_ends_nothing_but_its_own_request() {
    let folder = tempfile::tempdir().unwrap();
    let (_server, operator) = closed(folder.path());
    let when =
        |condition: String| format!("permit (principal, action == Action::\"read\", resource) when {{ {condition} }};");
    let mut nested = "true".to_owned();
    for _ in 0..18 {
        nested = format!("if {nested} then resource.a else false");
    }
    for (what, condition) in [
        ("brackets", format!("{}1{} == []", "[".repeat(5_000), "]".repeat(5_000))),
        ("parentheses", format!("{}true{}", "(".repeat(7_000), ")".repeat(7_000))),
        ("not", format!("{}true", "!".repeat(10_000))),
        ("minus", format!("{}1 == 1", "-".repeat(10_000))),
        ("and", format!("true{}", " && resource.a".repeat(1_000))),
        ("dots", format!("resource{}", ".a".repeat(5_000))),
        ("if", nested),
    ] {
        for dry in [true, false] {
            let answer = operator.post("/trust/v1/policies", &json!({"cedar": when(condition.clone()), "dry": dry}));
            assert!(matches!(answer.status, 200 | 201 | 400), "{what}: {} {}", answer.status, answer.text());
        }
    }
    assert_eq!(operator.get("/ngsi-ld/v1/types").status, 200, "the server lives");
}

/// `RENKEI_ROUNDS` asks for more.
#[test]
fn nothing_is_released_after_a_withdrawal_was_answered() {
    let rounds: u64 = std::env::var("RENKEI_ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(100);
    let folder = tempfile::tempdir().unwrap();
    let (server, operator) = closed(folder.path());
    let _ = operator
        .post(ENTITIES, &json!({"id": "urn:ngsi-ld:Room:1", "type": "Room", "owner": property("secret")}))
        .expect(201);
    let _ = operator.post("/trust/v1/classes", &json!({"attribute": "owner", "class": "personal"})).expect(200);
    let (text, _) = token(&operator, &json!({"roles": ["developer"], "organisation": "clinic", "purposes": ["care"]}));
    let now = || i64::try_from(SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_micros()).unwrap();
    let stop = AtomicBool::new(false);
    let mut random = Random::new(11);
    let mut shut: Vec<(i64, i64)> = Vec::new();
    let address = server.address().to_owned();
    let seen: usize = std::thread::scope(|scope| {
        let reading = || {
            let reader = Client::new(&address).token(&text);
            let mut seen = 0;
            while !stop.load(Ordering::Relaxed) {
                let answer = reader.get(&format!("{ENTITIES}/urn:ngsi-ld:Room:1"));
                assert!(matches!(answer.status, 200 | 403 | 503), "{}", answer.text());
                seen += usize::from(answer.text().contains("secret"));
            }
            seen
        };
        let readers = [scope.spawn(reading), scope.spawn(reading), scope.spawn(reading)];
        let mut since = None;
        for _ in 0..rounds {
            if let Some(since) = since {
                shut.push((since, now()));
            }
            let _ = operator
                .post(
                    "/trust/v1/policies",
                    &json!({"id": "care", "words": "the clinic may read personal owner of Room, for care"}),
                )
                .expect(201);
            std::thread::sleep(Duration::from_micros(random.below(3_000)));
            assert_eq!(operator.delete("/trust/v1/policies/care").status, 204);
            since = Some(now());
            std::thread::sleep(Duration::from_micros(random.below(2_000)));
        }
        stop.store(true, Ordering::Relaxed);
        readers.into_iter().map(|reader| reader.join().unwrap()).sum()
    });
    let mut from = 0;
    let mut released = 0;
    loop {
        let page = operator.get(&format!("/audit/v1/entries?what=data.released&from={from}")).json_of(200);
        for entry in page["entries"].as_array().unwrap() {
            released += 1;
            let time = entry["time"].as_str().unwrap();
            let at = e2e_tests::micros_of(time);
            assert!(
                !shut.iter().any(|(since, until)| (*since..*until).contains(&at)),
                "released at {time}, after the answer"
            );
        }
        match page["next"].as_u64() {
            Some(next) => from = next,
            None => break,
        }
    }
    assert!(seen > 0 && released >= seen, "{seen} were shown, {released} stand in the trail");
}
