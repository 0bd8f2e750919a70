//! What every door says when it refuses: a problem in full, whose code has a page, whatever was wrong.
//!
//! Every door of the reference pages is asked wrongly in every way that a request can be wrong.

#![allow(clippy::unwrap_used, reason = "a test fails loudly")]

use std::path::Path;

use e2e_tests::doors::{Door, ask, body_for, doors, fill, is_open};
use e2e_tests::{Answer, Client, ENTITIES, OPERATIONS, Server};
use serde_json::{Value, json};

/// What nobody ever used.
const WORD: &str = "nothing4e1";
const INSTANCE: &str = "urn:ngsi-ld:Instance:1-0";

/// The doors that are open to everybody and know no parameters.
fn takes_body(door: &Door) -> bool {
    body_for(door, WORD).is_some()
}

fn all_doors() -> Vec<Door> {
    let mut all = doors();
    all.extend(["GET", "POST"].map(|method| Door { method: method.into(), path: "/sql/v1/query".into() }));
    all
}

fn path_of(door: &Door) -> String {
    fill(&door.path, WORD, INSTANCE).replace("{*tile}", "0/000")
}

fn has_page(code: &str) -> bool {
    let pages = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/errors");
    code.len() == 7 && pages.join(format!("{code}.md")).is_file()
}

/// Whether a problem says all that a problem must say.
#[track_caller]
fn assert_told(what: &str, problem: &Value, status: u16) {
    for member in ["type", "title", "detail", "code"] {
        assert!(problem[member].as_str().is_some_and(|text| !text.is_empty()), "{what}: {member} of {problem}");
    }
    let kind = problem["type"].as_str().unwrap();
    assert!(kind == "about:blank" || kind.starts_with("https://"), "{what}: {problem}");
    assert_eq!(problem["status"], status, "{what}: {problem}");
    assert!(has_page(problem["code"].as_str().unwrap()), "{what}: its code has no page: {problem}");
}

/// Whether an answer that refuses does so in full. What is good is not looked at.
#[track_caller]
fn assert_problem(what: &str, answer: &Answer) {
    if answer.status < 400 {
        return;
    }
    // The standard wants it without a body (CIM 009 clause 6.3.4).
    if answer.status == 411 {
        assert_eq!(answer.body, b"", "{what}");
        return;
    }
    assert!(answer.status < 500, "{what}: nothing that is asked is a fault of the server: {answer:?}");
    // Not application/problem+json: the standard wants this one (CIM 009 clause 5.5.3).
    assert_eq!(answer.header("content-type"), Some("application/json"), "{what}: {}", answer.text());
    assert!(answer.header("x-request-id").is_some(), "{what}: {answer:?}");
    assert_told(what, &answer.json(), answer.status);
}

/// A refusal with this status.
#[track_caller]
fn assert_refused(what: &str, answer: &Answer, status: u16) {
    assert_eq!(answer.status, status, "{what}: {}", answer.text());
    assert_problem(what, answer);
}

fn closed(folder: &Path) -> (Server, Client) {
    let server = Server::start_with(folder, &["--auth", "on"]);
    let token = std::fs::read_to_string(folder.join("keys/operator.token")).unwrap();
    let operator = server.client().token(token.trim());
    (server, operator)
}

#[test]
fn who_is_not_known_or_may_not_is_told_so_at_every_door() {
    let folder = tempfile::tempdir().unwrap();
    let (server, operator) = closed(folder.path());
    let made = operator.post("/trust/v1/tokens", &json!({"roles": ["public"], "label": "may nothing"})).json_of(201);
    let nobody = server.client();
    let public = nobody.token(made["token"].as_str().unwrap());
    let wrong = nobody.token(&format!("rk_{}{}", "0".repeat(16), "A".repeat(43)));
    let garbled = nobody.with_header("authorization", "Basic \u{7f}");
    for door in all_doors().iter().filter(|door| !is_open(door)) {
        let (path, body) = (path_of(door), body_for(door, WORD));
        for (who, client) in [("nobody", &nobody), ("a wrong token", &wrong)] {
            assert_refused(&format!("{door:?} to {who}"), &ask(client, door, &path, body.as_ref()), 401);
        }
        let answer = ask(&garbled, door, &path, body.as_ref());
        assert!(matches!(answer.status, 400 | 401), "{door:?} to a garbled header: {answer:?}");
        let answer = ask(&public, door, &path, body.as_ref());
        assert_problem(&format!("{door:?} to who may nothing"), &answer);
        if door.method != "GET" && !path.contains("/query") {
            assert!(matches!(answer.status, 403 | 404), "{door:?} to who may nothing: {answer:?}");
        }
    }
}

#[test]
fn what_is_not_there_and_what_is_written_wrongly_is_told_at_every_door() {
    let folder = tempfile::tempdir().unwrap();
    let (_server, operator) = closed(folder.path());
    // So that there is a tenant in which nothing is found.
    let _ = operator.post(ENTITIES, &json!({"id": "urn:ngsi-ld:Thing:1", "type": "Thing"})).expect(201);
    // First, before anything makes what is named. A list of types and the like may be empty, but is there.
    let makes = |door: &Door| door.method == "PUT" && door.path == "/gtfs/v1/feeds/{feedId}";
    for door in all_doors().iter().filter(|door| path_of(door).contains(WORD) && !makes(door)) {
        let answer = ask(&operator, door, &path_of(door), body_for(door, WORD).as_ref());
        assert_refused(&format!("{door:?} with a name that nobody used"), &answer, 404);
    }
    for door in &all_doors() {
        let (path, body) = (path_of(door), body_for(door, WORD));
        let at = |how: &str| format!("{door:?} with {how}");
        if is_open(door) {
            assert_refused(&at("another method"), &operator.request("PUT", &path).answer(), 405);
            continue;
        }
        // Names.
        let odd = path.replace(WORD, "%00%2F").replace("urn:ngsi-ld:", "no-uri-");
        assert_problem(&at("an odd name"), &ask(&operator, door, &odd, body.as_ref()));
        let broken = path.replace(WORD, "%FF");
        let answer = ask(&operator, door, &broken, body.as_ref());
        assert_problem(&at("a name that is no text"), &answer);
        assert!(broken == path || answer.status == 400, "{}: {answer:?}", at("a name that is no text"));

        // Parameters.
        for parameters in ["nonsense=1", "limit=1&limit=2", "%FF=1", "limit=-1&nonsense=1", "options=nonsense&x=1"] {
            let answer = ask(&operator, door, &format!("{path}?{parameters}"), body.as_ref());
            assert_refused(&at(parameters), &answer, 400);
        }
        for parameters in ["q=%28%28", "limit=-1", "geometry=Cube", "options=nonsense", "timeAt=today", "type="] {
            assert_problem(&at(parameters), &ask(&operator, door, &format!("{path}?{parameters}"), body.as_ref()));
        }

        // Methods.
        for method in ["BREW", "TRACE"] {
            let answer = operator.request(method, &path).answer();
            assert_refused(&at(method), &answer, 405);
            assert!(answer.header("allow").is_some_and(|allow| allow.contains(&door.method)), "{answer:?}");
        }
        let answer = operator.get(&format!("{path}/more/of/it/all"));
        assert_refused(&at("more of a path"), &answer, if path.contains("/tile/") { 400 } else { 404 });

        // Headers.
        for (name, value) in [
            ("accept", "image/png"),
            ("link", "<nonsense"),
            ("ngsild-tenant", "no such tenant"),
            ("ngsild-tenant", "nosuchtenant"),
            ("idempotency-key", ""),
            ("renkei-purpose", "no purpose at all"),
        ] {
            let request = operator.request(&door.method, &path).header(name, value);
            let answer = match &body {
                Some(body) => request.json(body).answer(),
                None => request.answer(),
            };
            assert_problem(&at(&format!("{name}: {value}")), &answer);
        }

        // Bodies.
        if takes_body(door) {
            let send = |media: &str, body: &[u8]| operator.request(&door.method, &path).body(media, body).answer();
            for malformed in [&b"{"[..], b"\xff\xfe", b"[1,", b""] {
                assert_refused(&at("a malformed body"), &send("application/json", malformed), 400);
            }
            for other in [&b"7"[..], b"null", b"[]", b"{}", b"[null]", b"{\"id\": 1, \"type\": {}}"] {
                assert_problem(&at("another body"), &send("application/json", other));
            }
            let body = body.as_ref().unwrap().to_string();
            let answer = send("text/plain", body.as_bytes());
            // A statement is a text, whatever it is called.
            assert_refused(&at("another kind of body"), &answer, if path.starts_with("/sql") { 400 } else { 415 });
            assert_problem(&at("no kind of body"), &send("", body.as_bytes()));
        }
    }
}

#[test]
fn each_part_of_a_batch_that_is_refused_is_told_in_full() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    let client = server.client();
    let there = json!({"id": "urn:ngsi-ld:Thing:1", "type": "Thing"});
    let _ = client.post(ENTITIES, &there).expect(201);
    let gone = json!({"id": "urn:ngsi-ld:Thing:9", "type": "Thing", "a": {"type": "Property", "value": 1}});
    for (operation, batch) in [
        ("create", json!([there, {"id": "urn:ngsi-ld:Thing:2", "type": "Thing"}, {"id": "urn:ngsi-ld:Thing:3"}])),
        ("upsert", json!([there, {"id": "no uri", "type": "Thing"}])),
        ("update", json!([there, gone])),
        ("merge", json!([there, gone])),
        ("delete", json!(["urn:ngsi-ld:Thing:1", "urn:ngsi-ld:Thing:9"])),
    ] {
        let answer = client.post(&format!("{OPERATIONS}/{operation}"), &batch).json_of(207);
        let errors = answer["errors"].as_array().unwrap();
        assert!(!errors.is_empty(), "{operation}: {answer}");
        for error in errors {
            let problem = &error["error"];
            assert_told(operation, problem, u16::try_from(problem["status"].as_u64().unwrap()).unwrap());
        }
    }
}

#[test]
fn a_request_that_is_not_http_is_told_what_to_encode() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    let client = server.client();
    for (head, status, code) in [
        ("GET /ngsi-ld/v1/entities?type=A&q=b<5 HTTP/1.1\r\nhost: a\r\n\r\n", 400, "SRV-017"),
        ("GET /ngsi-ld/v1/entities?type=A&q=b>5 HTTP/1.1\r\nhost: a\r\n\r\n", 400, "SRV-017"),
        ("GET /ngsi-ld/v1/entities?q=name==\"a b\" HTTP/1.1\r\nhost: a\r\n\r\n", 400, "SRV-017"),
        ("GET /ngsi-ld/v1/entities HTTP/1.1\r\nhost: a\r\nno colon\r\n\r\n", 400, "SRV-017"),
    ] {
        let answer = client.raw(head.as_bytes()).unwrap();
        assert_eq!(answer.status, status, "{head}: {}", answer.text());
        assert_eq!(answer.header("content-type"), Some("application/json"), "{head}");
        assert_eq!(answer.header("connection"), Some("close"), "{head}");
        assert_told(head, &answer.json(), status);
        assert_eq!(answer.json()["code"], code, "{head}");
    }
    let long = format!("GET /ngsi-ld/v1/entities?id={} HTTP/1.1\r\nhost: a\r\n\r\n", "x".repeat(200_000));
    let answer = client.raw(long.as_bytes()).unwrap();
    assert!(matches!(answer.status, 414 | 431), "{answer:?}");
    assert_told("a long address", &answer.json(), answer.status);
    assert_eq!(answer.json()["code"], "SRV-018");
    // What is behind a good request on the same connection is told too, and the good one is answered.
    let two = b"GET /health/live HTTP/1.1\r\nhost: a\r\n\r\nGET /<> HTTP/1.1\r\nhost: a\r\n\r\n";
    assert_eq!(client.raw(two).unwrap().status, 200);
    let metrics = client.get("/metrics").text();
    assert!(metrics.contains("renkei_http_refused_total{what=\"heads\"}"), "{metrics}");
    assert_eq!(client.get("/health/live").status, 200);
}
