//! Tenants are separate: nothing that is answered to one holds a byte of another.
//!
//! Tenant B holds a canary in every place that a word can stand. Every door of the reference pages
//! is asked as tenant A: first without naming the canary, which then must not come; then naming
//! it, and the answer must be the same as for a word that nobody ever used.

#![allow(clippy::unwrap_used, reason = "a test fails loudly")]

use e2e_tests::doors::{ask, body_for, doors, fill, subscription, thing, told};
use e2e_tests::{Answer, ENTITIES, Receiver, SUBSCRIPTIONS, Server, TEMPORAL, eventually, path_with, run};
use serde_json::json;

const CANARY: &str = "canaryb7f3";
/// As long as the canary, so that lengths are the same too.
const ABSENT: &str = "absentk2d9";

#[track_caller]
fn assert_clean(what: &str, answer: &Answer) {
    let headers: String = answer.headers.iter().map(|(name, value)| format!("{name}: {value}\n")).collect();
    let all = format!("{headers}{}", answer.text()).to_lowercase();
    assert!(!all.contains(CANARY), "{what} tells of another tenant: {all}");
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
