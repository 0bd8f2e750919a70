//! Tenants are separate: nothing that is answered to one holds a byte of another.
//!
//! Tenant B holds a canary in every place that a word can stand. Every door of the reference pages
//! is asked as tenant A: first without naming the canary, which then must not come; then naming
//! it, and the answer must be the same as for a word that nobody ever used.

#![allow(clippy::unwrap_used, reason = "a test fails loudly")]

use std::path::Path;

use e2e_tests::{Answer, Client, ENTITIES, Receiver, SUBSCRIPTIONS, Server, TEMPORAL, eventually, path_with, run};
use serde_json::{Value, json};

const CANARY: &str = "canaryb7f3";
/// As long as the canary, so that lengths are the same too.
const ABSENT: &str = "absentk2d9";

/// A door as the reference pages list it.
#[derive(Debug)]
struct Door {
    method: String,
    path: String,
}

fn page(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/reference").join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Every operation of the NGSI-LD page (`| clause | `METHOD /path` | name |`) and of the operator's (`## `METHOD /path``).
fn doors() -> Vec<Door> {
    let mut doors = Vec::new();
    let mut add = |text: &str, base: &str| {
        if let Some((method, path)) = text.trim_matches('`').split_once(' ')
            && method.chars().all(|c| c.is_ascii_uppercase())
            && path.starts_with('/')
        {
            doors.push(Door { method: method.to_owned(), path: format!("{base}{path}") });
        }
    };
    for line in page("ngsi-ld.md").lines().filter(|line| line.starts_with("| ")) {
        if let Some(cell) = line.split('|').nth(2) {
            add(cell.trim(), "/ngsi-ld/v1");
        }
    }
    page("ops.md").lines().filter_map(|line| line.strip_prefix("## ")).for_each(|line| add(line, ""));
    assert!(doors.len() >= 40, "the reference pages list only {} doors", doors.len());
    doors.extend(
        ["/health/live", "/health/ready", "/metrics"].map(|path| Door { method: "GET".into(), path: path.into() }),
    );
    doors
}

fn fill(path: &str, word: &str, instance: &str) -> String {
    path.replace("{entityId}", &format!("urn:ngsi-ld:Thing:{word}"))
        .replace("{subscriptionId}", &format!("urn:ngsi-ld:Subscription:{word}"))
        .replace("{attrId}", &format!("attribute-{word}"))
        .replace("{type}", &format!("Type-{word}"))
        .replace("{instanceId}", instance)
}

/// A thing whose every part holds the word.
fn thing(word: &str) -> Value {
    let mut entity = json!({
        "id": format!("urn:ngsi-ld:Thing:{word}"), "type": ["Thing", format!("Type-{word}")],
        "scope": format!("/{word}"),
        "location": {"type": "GeoProperty", "value": {"type": "Point", "coordinates": [139.8, 35.7]}},
        "owner": {"type": "Relationship", "object": format!("urn:ngsi-ld:Person:{word}")},
    });
    entity[format!("attribute-{word}")] = json!({
        "type": "Property", "value": word, "unitCode": "MTR", "datasetId": format!("urn:dataset:{word}"),
        "note": {"type": "Property", "value": format!("sub {word}")},
    });
    entity
}

fn subscription(word: &str, url: &str) -> Value {
    json!({
        "id": format!("urn:ngsi-ld:Subscription:{word}"), "type": "Subscription", "description": word,
        "entities": [{"type": "Thing"}],
        "notification": {"endpoint": {"uri": format!("{url}?{word}"), "cooldown": 50}},
    })
}

/// A body that fits the door, naming the word.
fn body_for(door: &Door, word: &str) -> Option<Value> {
    let path = door.path.as_str();
    if door.method == "GET" || door.method == "DELETE" || path.starts_with("/ops/") {
        return None;
    }
    let attribute = json!({"type": "Property", "value": word, "observedAt": "2026-01-01T00:00:00Z"});
    let attributes = json!({format!("attribute-{word}"): attribute});
    let temporal = json!({format!("attribute-{word}"): [attribute]});
    Some(match path {
        _ if path.ends_with("/entityOperations/delete") => json!([format!("urn:ngsi-ld:Thing:{word}")]),
        _ if path.ends_with("/entityOperations/query") => {
            json!({"type": "Query", "entities": [{"type": format!("Type-{word}")}], "q": format!("attribute-{word}==\"{word}\"")})
        }
        _ if path.contains("/entityOperations/") => json!([thing(word)]),
        _ if path.ends_with("/{instanceId}") => attribute,
        _ if path.contains("/temporal/") && path.ends_with("/attrs") => temporal,
        _ if path.ends_with("/temporal/entities") => {
            json!({"id": format!("urn:ngsi-ld:Thing:{word}"), "type": "Thing", format!("attribute-{word}"): [attribute]})
        }
        _ if path.ends_with("/subscriptions") => subscription(word, "http://127.0.0.1:9/notify"),
        _ if path.contains("/subscriptions/") => json!({"description": word}),
        _ if path.ends_with("/attrs/{attrId}") => attribute,
        _ if path.ends_with("/attrs") => attributes,
        _ => thing(word),
    })
}

fn ask(client: &Client, door: &Door, path: &str, body: Option<&Value>) -> Answer {
    let request = client.request(&door.method, path);
    match body {
        Some(body) => request.json(body).answer(),
        None => request.answer(),
    }
}

#[track_caller]
fn assert_clean(what: &str, answer: &Answer) {
    let headers: String = answer.headers.iter().map(|(name, value)| format!("{name}: {value}\n")).collect();
    let all = format!("{headers}{}", answer.text()).to_lowercase();
    assert!(!all.contains(CANARY), "{what} tells of another tenant: {all}");
}

/// What of an answer must not depend on what others keep.
fn told(answer: &Answer, word: &str) -> (u16, Vec<String>, String) {
    let mut headers: Vec<String> = answer
        .headers
        .iter()
        .filter(|(name, _)| !matches!(name.as_str(), "date" | "x-request-id"))
        .map(|(name, value)| format!("{name}: {}", value.replace(word, "WORD")))
        .collect();
    headers.sort();
    // Times and fresh ids differ between any two requests.
    let mut text = answer.text().replace(word, "WORD");
    if let Ok(mut value) = serde_json::from_str::<Value>(&text) {
        blank(&mut value);
        text = value.to_string();
    }
    headers.retain(|header| !header.starts_with("content-length"));
    (answer.status, headers, text)
}

/// Blanks out what differs between any two requests: times, numbers of the running server, fresh ids.
fn blank(value: &mut Value) {
    match value {
        Value::Object(members) => {
            for (key, value) in members.iter_mut() {
                match key.as_str() {
                    "createdAt" | "modifiedAt" | "deletedAt" | "notifiedAt" | "journal" | "followers"
                    | "instanceId" => *value = Value::Null,
                    "id" if value.as_str().is_some_and(|id| id.contains("List:")) => *value = Value::Null,
                    _ => blank(value),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(blank),
        _ => {}
    }
}

#[test]
fn no_answer_to_one_tenant_holds_a_byte_of_another() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    let (a, b) = (server.client().tenant("tenant-a"), server.client().tenant(CANARY));
    let (at_a, at_b) = (Receiver::start(), Receiver::start());

    // A watches everything of its own before B begins.
    let _ = a.post(SUBSCRIPTIONS, &subscription("a", &at_a.url())).expect(201);
    for number in 0..3 {
        let _ = a.post(ENTITIES, &thing(&format!("a{number}"))).expect(201);
    }
    let _ = b.post(SUBSCRIPTIONS, &subscription(CANARY, &at_b.url())).expect(201);
    let _ = b.post(ENTITIES, &thing(CANARY)).expect(201);
    for number in 0..7 {
        let _ = b.post(ENTITIES, &thing(&format!("{CANARY}-{number}"))).expect(201);
    }
    let path = format!("{ENTITIES}/urn:ngsi-ld:Thing:{CANARY}/attrs/attribute-{CANARY}");
    let update = json!({"value": format!("{CANARY} again"), "datasetId": format!("urn:dataset:{CANARY}")});
    let _ = b.patch(&path, &update).expect(204);
    eventually("B is told of all its changes", || (at_b.count() >= 9).then_some(()));
    let past = b.get(&format!("{TEMPORAL}/urn:ngsi-ld:Thing:{CANARY}?attrs=attribute-{CANARY}")).json_of(200);
    let instance = past[format!("attribute-{CANARY}")][0]["instanceId"].as_str().unwrap().to_owned();
    let before = b.get(&format!("{ENTITIES}/urn:ngsi-ld:Thing:{CANARY}?options=sysAttrs")).json_of(200);

    // Without naming the canary.
    let all = "local=true";
    for path in [
        format!("{ENTITIES}?{all}&limit=1000&count=true"),
        format!("{ENTITIES}?type=Thing&limit=1&count=true"),
        format!("{ENTITIES}?type=Thing&limit=2&offset=2&count=true"),
        format!("{ENTITIES}?idPattern=.*&options=concise,sysAttrs"),
        path_with(ENTITIES, &[("type", "Thing"), ("q", "owner")]),
        path_with(
            ENTITIES,
            &[("georel", "near;maxDistance==100000"), ("geometry", "Point"), ("coordinates", "[139.8,35.7]")],
        ),
        path_with(ENTITIES, &[("scopeQ", "/#")]),
        format!("{TEMPORAL}?type=Thing&lastN=10"),
        format!("{TEMPORAL}?{all}&options=temporalValues"),
        format!("{TEMPORAL}?type=Thing&timerel=after&timeAt=2000-01-01T00:00:00Z"),
        format!("{SUBSCRIPTIONS}?options=sysAttrs&limit=1000&count=true"),
        "/ngsi-ld/v1/types".into(),
        "/ngsi-ld/v1/types?details=true".into(),
        "/ngsi-ld/v1/types/Thing".into(),
        "/ngsi-ld/v1/attributes".into(),
        "/ngsi-ld/v1/attributes?details=true".into(),
        "/ngsi-ld/v1/attributes/owner".into(),
        "/ngsi-ld/v1/attributes/nothing".into(),
        "/ops/v1/doctor".into(),
        "/ops/v1/export?limit=5000".into(),
        "/ops/v1/explain?type=Thing".into(),
        "/metrics".into(),
        "/health/ready".into(),
        "/no/such/door".into(),
        format!("{ENTITIES}?type=Thing&q=((("),
    ] {
        for accept in ["application/json", "application/ld+json", "application/geo+json"] {
            assert_clean(&path, &a.request("GET", &path).header("accept", accept).answer());
        }
    }
    for (path, body) in [
        (
            "/ngsi-ld/v1/entityOperations/query",
            json!({"type": "Query", "entities": [{"idPattern": ".*", "type": "Thing"}]}),
        ),
        (
            "/ngsi-ld/v1/temporal/entityOperations/query",
            json!({"type": "Query", "entities": [{"idPattern": ".*", "type": "Thing"}]}),
        ),
    ] {
        assert_clean(path, &a.post(path, &body).expect(200));
    }
    let page = a.get(&format!("{ENTITIES}?type=Thing&limit=2&count=true")).expect(200);
    assert_eq!(page.header("ngsild-results-count"), Some("3"));
    let next = |(_, value): &(String, String)| value.contains("offset=2") && value.contains("rel=\"next\"");
    assert!(page.headers.iter().any(next), "{:?}", page.headers);
    let last = a.get(&format!("{ENTITIES}?type=Thing&limit=2&offset=2&count=true")).expect(200);
    assert!(!last.headers.iter().any(|(_, value)| value.contains("rel=\"next\"")), "{:?}", last.headers);
    assert_eq!(a.get("/ops/v1/explain?type=Thing").json_of(200)["candidates"], 3);
    assert_eq!(a.get("/ngsi-ld/v1/types/Thing").json_of(200)["entityCount"], 3);
    for arguments in [
        vec!["subscriptions", "list"],
        vec!["doctor"],
        vec!["query", "--type", "Thing"],
        vec!["export", "ngsi-ld", "--type", "Thing"],
    ] {
        let url = server.url();
        let ended = run(&[&arguments[..], &["--url", &url, "--tenant", "tenant-a"]].concat());
        assert!(!format!("{ended:?}").contains(CANARY), "{arguments:?} tells of another tenant: {ended:?}");
    }

    // Naming it: every door answers as it does of a word that nobody used.
    for door in doors() {
        let answer = |word: &str| {
            let body = body_for(&door, word);
            let answer = ask(&a, &door, &fill(&door.path, word, &instance), body.as_ref());
            assert!(answer.status < 500, "{door:?} failed: {}", answer.text());
            told(&answer, word)
        };
        let (canary, absent) = (answer(CANARY), answer(ABSENT));
        if door.path != "/metrics" && door.method != "GET" || door.path.contains('{') {
            assert_eq!(canary, absent, "{door:?} knows another tenant's words");
        }
    }
    let after = b.get(&format!("{ENTITIES}/urn:ngsi-ld:Thing:{CANARY}?options=sysAttrs")).json_of(200);
    assert_eq!(before, after, "what A did changed what B keeps");
    assert_eq!(b.get(&format!("{ENTITIES}?type=Thing&limit=0&count=true")).header("ngsild-results-count"), Some("8"));
    for notification in at_a.all() {
        // A made a thing of that name itself, above; B's own carries its tenant's name and its dataset of old.
        assert_eq!(notification.header("ngsild-tenant"), Some("tenant-a"));
        assert!(!notification.body.to_string().contains(&format!("{CANARY}-")), "{}", notification.body);
    }
    assert!(at_b.all().iter().all(|one| one.header("ngsild-tenant") == Some(CANARY)));
}

#[test]
fn an_unknown_tenant_is_answered_404_and_not_made_by_asking() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    let nobody = server.client().tenant("nobody");
    for round in 0..2 {
        for path in [
            format!("{ENTITIES}?type=Thing"),
            format!("{ENTITIES}/urn:ngsi-ld:Thing:1"),
            format!("{TEMPORAL}?type=Thing"),
            format!("{TEMPORAL}/urn:ngsi-ld:Thing:1"),
            SUBSCRIPTIONS.to_owned(),
            format!("{SUBSCRIPTIONS}/urn:ngsi-ld:Subscription:1"),
            "/ngsi-ld/v1/types".into(),
            "/ngsi-ld/v1/attributes".into(),
            "/ops/v1/export".into(),
            "/ops/v1/explain?type=Thing".into(),
        ] {
            let problem = nobody.get(&path).json_of(404);
            assert_eq!(
                problem["type"], "https://uri.etsi.org/ngsi-ld/errors/NonexistentTenant",
                "{round} {path}: {problem}"
            );
            assert!(problem["detail"].as_str().unwrap().contains("nobody"), "{problem}");
        }
    }
    // The first thing makes the tenant.
    let _ = nobody.post(ENTITIES, &thing("first")).expect(201);
    assert_eq!(nobody.get(&format!("{ENTITIES}?type=Thing")).json_of(200).as_array().unwrap().len(), 1);
    for name in ["../a", "a b", "日本"] {
        let answer = server.client().tenant(name).get(&format!("{ENTITIES}?type=Thing"));
        assert!(matches!(answer.status, 400 | 404), "{name} was answered {}", answer.status);
    }
}

#[test]
fn tenants_stay_apart_through_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = Server::start(folder.path());
    for (tenant, value) in [("one", 1), ("two", 2), ("three", 3)] {
        let entity =
            json!({"id": "urn:ngsi-ld:Thing:1", "type": "Thing", "value-of": {"type": "Property", "value": value}});
        let _ = server.client().tenant(tenant).post(ENTITIES, &entity).expect(201);
    }
    for _ in 0..2 {
        server.kill();
        server = Server::start(folder.path());
        for (tenant, value) in [("one", 1), ("two", 2), ("three", 3)] {
            let found = server.client().tenant(tenant).get(&format!("{ENTITIES}/urn:ngsi-ld:Thing:1")).json_of(200);
            assert_eq!(found["value-of"]["value"], value);
        }
        assert_eq!(server.client().get(&format!("{ENTITIES}/urn:ngsi-ld:Thing:1")).status, 404);
    }
}
