//! Who may what, through every door: a canary that a reader may not see is hunted in all that the reader gets.
//!
//! The same tenant holds things that the reader's policy shows, in part and less exactly, and things that it
//! does not. Every door of the reference pages is asked with the reader's token.

#![allow(clippy::unwrap_used, reason = "a test fails loudly")]

use std::path::Path;
use std::time::Duration;

use e2e_tests::doors::{ask, body_for, doors, fill, is_open, signs_in, subscription, thing, told};
use e2e_tests::{
    Answer, Client, ENTITIES, Receiver, SUBSCRIPTIONS, Server, TEMPORAL, eventually, never_within, path_with, run,
};
use serde_json::{Value, json};

/// Stands in everything that the reader may not see.
const CANARY: &str = "canaryb7f3";
/// As long as the canary, so that lengths are the same too.
const ABSENT: &str = "absentk2d9";
/// What is known exactly and shown less exactly.
const EXACT: [&str; 3] = ["17.31", "139.79213", "35.63491"];
/// The word in what the reader may see.
const SEEN: &str = "visible";

const TOKENS: &str = "/trust/v1/tokens";
const POLICIES: &str = "/trust/v1/policies";

fn closed(folder: &Path) -> (Server, Client) {
    let server = Server::start_with(folder, &["--auth", "on"]);
    let operator = server.client().token(&operator_token(folder));
    (server, operator)
}

fn operator_token(folder: &Path) -> String {
    std::fs::read_to_string(folder.join("keys/operator.token")).unwrap().trim().to_owned()
}

fn token(operator: &Client, request: &Value) -> (String, String) {
    let made = operator.post(TOKENS, request).json_of(201);
    (made["token"].as_str().unwrap().to_owned(), made["id"].as_str().unwrap().to_owned())
}

fn policy(operator: &Client, words: &str) -> String {
    operator.post(POLICIES, &json!({"words": words})).json_of(201)["id"].as_str().unwrap().to_owned()
}

fn shelter() -> Value {
    json!({
        "id": format!("urn:ngsi-ld:Thing:{SEEN}"), "type": "Shelter", "scope": "/open",
        "name": {"type": "Property", "value": "Ariake school"},
        "level": {"type": "Property", "value": 17.31, "observedAt": "2026-01-01T00:00:00Z"},
        "location": {"type": "GeoProperty", "value": {"type": "Point", "coordinates": [139.79213, 35.63491]}},
        "owner": {"type": "Property", "value": CANARY},
        format!("attribute-{CANARY}"): {"type": "Property", "value": CANARY},
    })
}

fn members(entity: &Value) -> Vec<&str> {
    let mut members: Vec<&str> = entity.as_object().unwrap().keys().map(String::as_str).collect();
    members.sort_unstable();
    members
}

#[track_caller]
fn assert_clean(what: &str, answer: &Answer) {
    let headers: String = answer.headers.iter().map(|(name, value)| format!("{name}: {value}\n")).collect();
    assert_hidden(what, &format!("{headers}{}", answer.text()));
}

#[track_caller]
fn assert_hidden(what: &str, text: &str) {
    let text = text.to_lowercase();
    assert!(!text.contains(CANARY), "{what} tells what is not for its reader: {text}");
    for exact in EXACT {
        assert!(!text.contains(exact), "{what} tells {exact} as exactly as it is known: {text}");
    }
}

#[test]
fn without_a_token_every_door_but_the_probes_is_shut() {
    let folder = tempfile::tempdir().unwrap();
    let (server, operator) = closed(folder.path());
    let _ = operator.post(ENTITIES, &shelter()).expect(201);
    let wrong = format!("rk_{}{}", "0".repeat(16), "A".repeat(43));
    let nobody = server.client();
    for client in [&nobody, &nobody.token(&wrong), &nobody.token("rko_guess"), &nobody.tenant("nobody")] {
        for door in doors() {
            let answer =
                ask(client, &door, &fill(&door.path, SEEN, "urn:ngsi-ld:Instance:1-0"), body_for(&door, SEEN).as_ref());
            if signs_in(&door) {
                assert_hidden("a door to sign in at", &answer.text());
                continue;
            }
            if is_open(&door) {
                assert_eq!(answer.status, 200, "{door:?}");
                continue;
            }
            assert_eq!(answer.status, 401, "{door:?}: {}", answer.text());
            assert!(answer.header("www-authenticate").is_some_and(|scheme| scheme.starts_with("Bearer")));
            assert_hidden("a refusal", &answer.text());
        }
    }
    for scheme in ["Basic b3BlcmF0b3I6", "Bearer", "rk_", &format!("Bearer  {wrong} x")] {
        let answer =
            nobody.request("GET", &format!("{ENTITIES}?type=Shelter")).header("authorization", scheme).answer();
        assert_eq!(answer.status, 401, "{scheme}");
    }
    let ended = run(&["query", "--type", "Shelter", "--url", &server.url()]);
    assert!(ended.code == Some(1) && ended.err.contains("--token-file"), "{ended:?}");
}

#[test]
fn a_canary_comes_through_no_door_to_a_reader_who_may_not_see_it() {
    let folder = tempfile::tempdir().unwrap();
    let (server, operator) = closed(folder.path());
    let (at_reader, at_operator) = (Receiver::start(), Receiver::start());
    let _ = operator.post(ENTITIES, &thing(CANARY)).expect(201);
    let _ = operator.post(ENTITIES, &shelter()).expect(201);
    let _ = operator.post(SUBSCRIPTIONS, &subscription(CANARY, &at_operator.url())).expect(201);
    policy(
        &operator,
        "the reader company may read name, level, location of Shelter with level to 5, location to 500 m, for operation",
    );
    let (text, id) =
        token(&operator, &json!({"roles": ["developer"], "organisation": "reader-company", "purposes": ["operation"]}));
    let reader = server.client().token(&text);
    for number in 0..5 {
        let attribute = json!({"type": "Property", "value": format!("{CANARY} {number}")});
        let _ = operator
            .post(&format!("{ENTITIES}/urn:ngsi-ld:Thing:{SEEN}/attrs"), &json!({"owner": attribute}))
            .expect(204);
    }
    let past = operator.get(&format!("{TEMPORAL}/urn:ngsi-ld:Thing:{SEEN}?attrs=owner")).json_of(200);
    let instance = past["owner"][0]["instanceId"].as_str().unwrap().to_owned();

    // What it may see, it sees: in part, and less exactly.
    let seen = reader.get(&format!("{ENTITIES}/urn:ngsi-ld:Thing:{SEEN}")).json_of(200);
    assert_eq!(members(&seen), ["id", "level", "location", "name", "scope", "type"], "{seen}");
    assert_eq!(seen["level"]["value"], 15.0);

    // Its subscriptions: one on everything of the type, one that asks after what is hidden, one on another type.
    let subscribe = |id: &str, members: Value| {
        let mut subscription = json!({
            "id": format!("urn:ngsi-ld:Subscription:{id}"), "type": "Subscription", "entities": [{"type": "Shelter"}],
            "notification": {"endpoint": {"uri": format!("{}?{id}", at_reader.url()), "cooldown": 50}, "showChanges": true},
        });
        subscription.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
        let _ = reader.post(SUBSCRIPTIONS, &subscription).expect(201);
    };
    subscribe("all", json!({}));
    subscribe("watch", json!({"watchedAttributes": ["owner"]}));
    subscribe("other", json!({"entities": [{"type": "Thing"}]}));

    // Without naming the canary.
    for path in [
        format!("{ENTITIES}?local=true&limit=1000&count=true"),
        format!("{ENTITIES}?type=Thing&count=true"),
        format!("{ENTITIES}?type=Shelter&count=true&options=concise,sysAttrs"),
        format!("{ENTITIES}?idPattern=.*&limit=1&count=true"),
        path_with(ENTITIES, &[("type", "Shelter"), ("q", "owner")]),
        path_with(ENTITIES, &[("type", "Shelter"), ("q", "level==17.31")]),
        path_with(ENTITIES, &[("type", "Shelter"), ("q", "level>=16;level<=18")]),
        path_with(ENTITIES, &[("scopeQ", "/#")]),
        path_with(ENTITIES, &[("attrs", "owner")]),
        path_with(
            ENTITIES,
            &[("georel", "near;maxDistance==5"), ("geometry", "Point"), ("coordinates", "[139.79213,35.63491]")],
        ),
        path_with(ENTITIES, &[("type", "Shelter"), ("at", "2026-11-01T00:00:00Z")]),
        format!("{TEMPORAL}?type=Shelter,Thing&lastN=10"),
        format!("{TEMPORAL}?local=true&options=temporalValues"),
        format!("{TEMPORAL}?type=Shelter&options=aggregatedValues&aggrMethods=max,avg&aggrPeriodDuration=PT0S"),
        path_with(TEMPORAL, &[("type", "Shelter"), ("q", "owner")]),
        format!("{SUBSCRIPTIONS}?options=sysAttrs&limit=1000&count=true"),
        "/ngsi-ld/v1/types".into(),
        "/ngsi-ld/v1/types?details=true".into(),
        "/ngsi-ld/v1/types/Shelter".into(),
        "/ngsi-ld/v1/types/Thing".into(),
        "/ngsi-ld/v1/attributes".into(),
        "/ngsi-ld/v1/attributes?details=true".into(),
        "/ngsi-ld/v1/attributes/owner".into(),
        "/ops/v1/doctor".into(),
        "/ops/v1/export?limit=5000".into(),
        "/ops/v1/explain?type=Shelter".into(),
        "/ops/v1/silent-sensors".into(),
        "/ops/v1/backup".into(),
        "/metrics".into(),
        "/health/ready".into(),
        path_with("/sql/v1/query", &[("q", "SELECT * FROM entities")]),
        path_with("/sql/v1/query", &[("q", "SELECT * FROM attributes")]),
        path_with("/sql/v1/query", &[("q", "SELECT * FROM history")]),
        path_with("/sql/v1/query", &[("q", "SELECT * FROM \"Shelter\"")]),
        path_with("/sql/v1/query", &[("q", "SELECT * FROM information_schema.columns")]),
        path_with("/sql/v1/query", &[("q", "SELECT owner FROM \"Shelter\"")]),
        path_with("/sql/v1/query", &[("q", "SELECT max(number), min(number) FROM history")]),
        path_with("/sql/v1/query", &[("q", "SELECT * FROM \"Thing\"")]),
        path_with("/sql/v1/query", &[("q", "SHOW TABLES")]),
        format!("{ENTITIES}?type=Shelter&q=((("),
    ] {
        for accept in ["application/json", "application/ld+json", "application/geo+json"] {
            assert_clean(&path, &reader.request("GET", &path).header("accept", accept).answer());
        }
    }
    let query = json!({"type": "Query", "entities": [{"idPattern": ".*", "type": "Thing"}, {"idPattern": ".*", "type": "Shelter"}]});
    for path in ["/ngsi-ld/v1/entityOperations/query", "/ngsi-ld/v1/temporal/entityOperations/query"] {
        assert_clean(path, &reader.post(path, &query).expect(200));
    }
    let hits = |parameters: &[(&str, &str)]| {
        reader.get(&path_with(ENTITIES, parameters)).json_of(200).as_array().unwrap().len()
    };
    assert_eq!(hits(&[("type", "Shelter")]), 1);
    assert_eq!(hits(&[("type", "Thing")]), 0);
    assert_eq!(hits(&[("type", "Shelter"), ("q", "owner")]), 0, "a hidden attribute is not found out by asking");
    assert_eq!(hits(&[("type", "Shelter"), ("q", "level==17.31")]), 0);
    assert_eq!(hits(&[("type", "Shelter"), ("q", "level==15")]), 1, "what is asked is what is shown");
    let counted = reader.get(&format!("{ENTITIES}?type=Thing,Shelter&count=true")).expect(200);
    assert_eq!(counted.header("ngsild-results-count"), Some("1"));
    assert_eq!(reader.get("/ops/v1/explain?type=Thing").status, 403, "what indexes find tells of what is hidden");
    let types = reader.get("/ngsi-ld/v1/types").json_of(200);
    assert_eq!(types["typeList"], json!(["Shelter"]));

    // Naming it: every door answers as it does of a word that nobody used.
    for door in doors() {
        let answer = |word: &str| {
            let answer = ask(&reader, &door, &fill(&door.path, word, &instance), body_for(&door, word).as_ref());
            assert!(answer.status < 500, "{door:?} failed: {}", answer.text());
            told(&answer, word)
        };
        // A subscription has one name space in a tenant: who makes one of a name that is taken is told so.
        let makes = door.method == "POST" && door.path == SUBSCRIPTIONS;
        if !makes && (door.method != "GET" || door.path.contains('{')) {
            assert_eq!(answer(CANARY), answer(ABSENT), "{door:?} knows what is hidden");
        }
        // And of what it sees, nothing that it may not.
        let answer = ask(&reader, &door, &fill(&door.path, SEEN, &instance), body_for(&door, SEEN).as_ref());
        assert_clean(&format!("{door:?}"), &answer);
    }
    for attribute in ["owner", &format!("attribute-{CANARY}"), "level"] {
        let path = format!("/ngsi-ld/v1/temporal/entities/urn:ngsi-ld:Thing:{SEEN}/attrs/{attribute}/{instance}");
        let answer = reader.delete(&path);
        assert_eq!(answer.status, 403, "a reader writes nothing: {}", answer.text());
    }

    // What is hidden changes: no subscription of the reader fires, whatever it asks after.
    subscribe("q", json!({"q": format!("owner==\"{CANARY} changed\"")}));
    subscribe(
        "near",
        json!({"geoQ": {"georel": "near;maxDistance==5", "geometry": "Point", "coordinates": [139.79213, 35.63491]}}),
    );
    let set = |attribute: &str, value: Value| {
        let path = format!("{ENTITIES}/urn:ngsi-ld:Thing:{SEEN}/attrs");
        let _ = operator.post(&path, &json!({attribute: {"type": "Property", "value": value}})).expect(204);
    };
    set("owner", json!(format!("{CANARY} changed")));
    let _ = operator
        .patch(
            &format!("{ENTITIES}/urn:ngsi-ld:Thing:{CANARY}"),
            &json!({"owner": {"type": "Relationship", "object": "urn:x:1"}}),
        )
        .expect(204);
    set("name", json!("Ariake hall"));
    eventually("the reader is told of what it may see", || (at_reader.count() >= 1).then_some(()));
    never_within(Duration::from_millis(300), "the reader is told of more", || at_reader.count() > 1);
    for notification in at_reader.all() {
        assert!(notification.path.ends_with("?all"), "{notification:?}");
        assert_hidden("a notification", &format!("{notification:?}"));
    }

    // The policy goes: nothing is shown or told any more, and what waited is not sent.
    let id_of = operator.get(POLICIES).json_of(200)["policies"][0]["id"].as_str().unwrap().to_owned();
    assert_eq!(operator.delete(&format!("{POLICIES}/{id_of}")).status, 204);
    let refused = reader.get(&format!("{ENTITIES}?type=Shelter")).json_of(403);
    assert_eq!(refused["code"], "CTX-004");
    set("name", json!("Ariake gate"));
    never_within(Duration::from_millis(300), "it is told after its policy went", || at_reader.count() > 1);
    assert_eq!(operator.delete(&format!("{TOKENS}/{id}")).status, 204);
    assert_eq!(reader.get(&format!("{ENTITIES}?type=Shelter")).status, 401);
    assert_hidden("the server's log", &server.log());
    assert!(!server.log().contains(&text), "a token stands in the log");
}

#[test]
fn who_may_write_in_part_changes_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let (server, operator) = closed(folder.path());
    let _ = operator.post(ENTITIES, &shelter()).expect(201);
    let _ = operator.post(ENTITIES, &thing("other")).expect(201);
    policy(&operator, "the gauge company may read level of Shelter");
    policy(&operator, "the gauge company may write level of Shelter in /open");
    let (text, _) = token(&operator, &json!({"roles": ["developer"], "organisation": "gauge-company"}));
    let gauge = server.client().token(&text);
    let attrs = format!("{ENTITIES}/urn:ngsi-ld:Thing:{SEEN}/attrs");
    let level = json!({"level": {"type": "Property", "value": 3}});
    let _ = gauge.post(&attrs, &level).expect(204);
    let before = operator.get(&format!("{ENTITIES}/urn:ngsi-ld:Thing:{SEEN}?options=sysAttrs")).json_of(200);
    let other = operator.get(&format!("{ENTITIES}/urn:ngsi-ld:Thing:other?options=sysAttrs")).json_of(200);
    let name = json!({"name": {"type": "Property", "value": "mine"}});
    let moved = json!({"level": {"type": "Property", "value": 4}, "scope": "/elsewhere"});
    let own = json!({"id": "urn:ngsi-ld:Thing:new", "type": "Shelter", "name": {"type": "Property", "value": 1}});
    let past = json!({"owner": [{"type": "Property", "value": 1, "observedAt": "2026-01-01T00:00:00Z"}]});
    for (method, path, body, status) in [
        ("POST", attrs.clone(), Some(&name), 403),
        ("PATCH", attrs.clone(), Some(&name), 403),
        ("DELETE", format!("{attrs}/owner"), None, 403),
        ("DELETE", format!("{ENTITIES}/urn:ngsi-ld:Thing:{SEEN}"), None, 403),
        ("PATCH", format!("{ENTITIES}/urn:ngsi-ld:Thing:{SEEN}"), Some(&moved), 403),
        ("POST", ENTITIES.to_owned(), Some(&own), 403),
        ("POST", format!("{ENTITIES}/urn:ngsi-ld:Thing:other/attrs"), Some(&level), 404),
        ("DELETE", format!("{ENTITIES}/urn:ngsi-ld:Thing:other"), None, 404),
        ("POST", format!("{TEMPORAL}/urn:ngsi-ld:Thing:{SEEN}/attrs"), Some(&past), 403),
        ("DELETE", format!("{TEMPORAL}/urn:ngsi-ld:Thing:{SEEN}"), None, 403),
    ] {
        let request = gauge.request(method, &path);
        let answer = if let Some(body) = body { request.json(body).answer() } else { request.answer() };
        assert_eq!(answer.status, status, "{method} {path}: {}", answer.text());
        assert_hidden(&path, &answer.text());
    }
    let batch = gauge.post(
        "/ngsi-ld/v1/entityOperations/upsert?options=update",
        &json!([
            {"id": format!("urn:ngsi-ld:Thing:{SEEN}"), "type": "Shelter", "level": {"type": "Property", "value": 3}},
            thing("other"),
        ]),
    );
    assert_eq!(batch.status, 207, "{}", batch.text());
    let after = operator.get(&format!("{ENTITIES}/urn:ngsi-ld:Thing:{SEEN}?options=sysAttrs")).json_of(200);
    assert_eq!(
        (&before["name"], &before["owner"], &before["scope"]),
        (&after["name"], &after["owner"], &after["scope"])
    );
    assert_eq!(other, operator.get(&format!("{ENTITIES}/urn:ngsi-ld:Thing:other?options=sysAttrs")).json_of(200));
}

#[test]
fn a_token_is_bound_to_its_tenant_purpose_and_life() {
    let folder = tempfile::tempdir().unwrap();
    let (server, operator) = closed(folder.path());
    let (koto, sumida) = (operator.tenant("koto"), operator.tenant("sumida"));
    for client in [&koto, &sumida] {
        let _ = client.post(ENTITIES, &shelter()).expect(201);
    }
    let url = server.url();
    let file = folder.path().join("keys/operator.token");
    let file = file.to_str().unwrap();
    let create = ["token", "create", "--url", &url, "--token-file", file, "--tenant", "koto", "--role", "operator"];
    let made = run(&[&create[..], &["--purpose", "operation", "--purpose", "research"]].concat());
    assert_eq!(made.code, Some(0), "{made:?}");
    let text = made.out.trim();
    let own = server.client().token(text);
    assert_eq!(
        own.get(&format!("{ENTITIES}?type=Shelter&count=true")).expect(200).header("ngsild-results-count"),
        Some("1")
    );
    assert_eq!(own.tenant("koto").get(&format!("{ENTITIES}?type=Shelter")).status, 200);
    for tenant in ["sumida", "default", "nobody"] {
        assert_eq!(own.tenant(tenant).get(&format!("{ENTITIES}?type=Shelter")).json_of(403)["code"], "TRU-004");
    }
    assert_eq!(own.purpose("research").get(&format!("{ENTITIES}?type=Shelter")).status, 200);
    assert_eq!(own.purpose("advertising").get(&format!("{ENTITIES}?type=Shelter")).json_of(403)["code"], "TRU-005");
    // An operator is no administrator, and no tenant's operator is the server's.
    for path in [TOKENS, POLICIES, "/ops/v1/backup"] {
        assert_eq!(own.get(path).status, 403, "{path}");
    }
    let (text, _) = token(&koto, &json!({"roles": ["administrator"]}));
    let administrator = server.client().token(&text);
    let tokens = administrator.get(TOKENS).json_of(200)["tokens"].as_array().unwrap().clone();
    assert_eq!(tokens.len(), 2);
    // Who is connected, with what, from where.
    let seen = tokens.iter().find(|token| token["roles"] == json!(["operator"])).unwrap();
    assert_eq!((&seen["lastAct"], &seen["lastFrom"]), (&json!("backup"), &json!("127.0.0.1")), "{seen}");
    assert_eq!(seen["requests"], 7, "those that were let in to be asked what they may: {seen}");
    assert_eq!(administrator.get("/ops/v1/backup").status, 403, "a backup holds all tenants");
    assert_eq!(administrator.tenant("sumida").get(TOKENS).status, 403);
    let (short, _) = token(&koto, &json!({"roles": ["operator"], "expires": "PT1S"}));
    eventually("the token has ended", || {
        (server.client().token(&short).get(&format!("{ENTITIES}?type=Shelter")).status == 401).then_some(())
    });
    let cli = |arguments: &[&str]| {
        let ended = run(&[arguments, &["--url", &url, "--token-file", file, "--tenant", "koto"]].concat());
        assert_eq!(ended.code, Some(0), "{ended:?}");
        ended.out
    };
    let added = cli(&["policy", "add", "--id", "stops", "the bus company may read BusStop, for operation"]);
    assert!(added.contains(r#"Organisation::"bus-company""#), "{added}");
    assert!(cli(&["policy", "list"]).contains("the bus company may read BusStop"));
    assert!(cli(&["policy", "explain"]).contains("may read:\n  nothing"));
    cli(&["policy", "remove", "stops"]);
    assert!(cli(&["class", "set", "birthday", "personal"]).contains("birthday is personal"));
    cli(&["class", "remove", "birthday"]);
    let id = made.out.trim().strip_prefix("rk_").unwrap()[..16].to_owned();
    assert!(cli(&["token", "list"]).contains(&id));
    cli(&["token", "revoke", &id]);
    assert_eq!(own.get(&format!("{ENTITIES}?type=Shelter")).status, 401);
    assert!(cli(&["audit", "what", "token.removed"]).contains(&id));
    for wrong in [
        json!({"roles": []}),
        json!({"roles": ["king"]}),
        json!({"roles": ["operator"], "expires": "P99Y"}),
        json!({"role": 1}),
    ] {
        assert_eq!(koto.post(TOKENS, &wrong).status, 400, "{wrong}");
    }
}

#[test]
fn tokens_and_policies_live_through_a_kill() {
    let folder = tempfile::tempdir().unwrap();
    let (mut server, operator) = closed(folder.path());
    let _ = operator.post(ENTITIES, &shelter()).expect(201);
    policy(&operator, "anyone may read name of Shelter");
    let (kept, _) = token(&operator, &json!({"roles": ["operator"]}));
    let (taken, id) = token(&operator, &json!({"roles": ["operator"]}));
    assert_eq!(operator.delete(&format!("{TOKENS}/{id}")).status, 204);
    let old = operator_token(folder.path());
    server.kill();
    let (server, operator) = closed(folder.path());
    assert_eq!(server.client().token(&kept).get(&format!("{ENTITIES}?type=Shelter")).status, 200);
    assert_eq!(server.client().token(&taken).get(&format!("{ENTITIES}?type=Shelter")).status, 401);
    assert_eq!(
        server.client().token(&old).get(&format!("{ENTITIES}?type=Shelter")).status,
        401,
        "each run has its own"
    );
    let public = server.client().get(&format!("{ENTITIES}?type=Shelter")).json_of(200);
    assert_eq!(members(&public[0]), ["id", "name", "scope", "type"]);
    assert_eq!(server.client().post(ENTITIES, &thing("x")).status, 401);
    let explained = operator.get("/trust/v1/explain?who=public").json_of(200);
    assert_eq!((&explained["write"], &explained["rights"]), (&json!("nothing"), &json!([])), "{explained}");
    use std::os::unix::fs::PermissionsExt;
    let mode = |path: &str| std::fs::metadata(folder.path().join(path)).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode("keys"), mode("keys/operator.token")), (0o700, 0o600));
}

#[test]
fn data_of_persons_is_read_for_a_purpose_alone_and_each_reading_stands_in_the_trail() {
    let folder = tempfile::tempdir().unwrap();
    let (server, operator) = closed(folder.path());
    let receiver = Receiver::start();
    let _ = operator.post(ENTITIES, &shelter()).expect(201);
    let _ = operator.post("/trust/v1/classes", &json!({"attribute": "owner", "class": "personal"})).expect(200);
    assert_eq!(operator.post("/trust/v1/classes", &json!({"attribute": "owner", "class": "secret"})).status, 400);
    let path = format!("{ENTITIES}/urn:ngsi-ld:Thing:{SEEN}");
    let released = |client: &Client| {
        client.get("/audit/v1/entries?what=data.released").json_of(200)["entries"].as_array().unwrap().clone()
    };

    // Not even who may do everything is shown it by the way.
    for door in [
        path.clone(),
        format!("{TEMPORAL}/urn:ngsi-ld:Thing:{SEEN}"),
        "/ngsi-ld/v1/types/Shelter".to_owned(),
        "/ops/v1/export".to_owned(),
        path_with("/sql/v1/query", &[("q", "SELECT * FROM attributes")]),
        path_with("/sql/v1/query", &[("q", "SELECT * FROM \"Shelter\"")]),
        path_with("/sql/v1/query", &[("q", "SELECT * FROM history")]),
    ] {
        let answer = operator.get(&door).expect(200).text();
        assert!(!answer.contains("owner"), "{door}: {answer}");
    }
    assert_eq!(released(&operator).len(), 0);
    let for_care = operator.purpose("care");
    assert_eq!(for_care.get(&path).json_of(200)["owner"]["value"], CANARY);
    let noted = released(&operator);
    assert_eq!(noted.len(), 1, "{noted:?}");
    assert_eq!((&noted[0]["who"], &noted[0]["subject"]), (&json!("local-operator"), &json!("retrieve_entity")));
    assert_eq!(
        (&noted[0]["details"]["purpose"], &noted[0]["details"]["classes"]),
        (&json!("care"), &json!(["personal"]))
    );

    // An administrator's role opens no such data, whatever purpose is named; a policy does, for its own.
    let (administrator, _) = token(&operator, &json!({"roles": ["administrator"]}));
    let administrator = server.client().token(&administrator).purpose("care");
    assert!(administrator.get(&path).json_of(200).get("owner").is_none());
    policy(&operator, "the clinic may read personal name, owner of Shelter, for care");
    let (clinic, _) = token(&operator, &json!({"roles": ["developer"], "organisation": "clinic"}));
    let clinic = server.client().token(&clinic);
    assert_eq!(clinic.get(&path).status, 403);
    assert_eq!(clinic.purpose("advertising").get(&path).status, 403);
    let clinic = clinic.purpose("care");
    let seen = clinic.get(&path).json_of(200);
    assert_eq!(members(&seen), ["id", "name", "owner", "scope", "type"]);
    let noted = released(&operator);
    assert_eq!((noted.len(), noted[1]["who"].as_str().unwrap().starts_with("token:")), (2, true));

    // What is sent to it is noted before it leaves.
    let _ = clinic
        .post(
            SUBSCRIPTIONS,
            &json!({
                "id": "urn:ngsi-ld:Subscription:clinic", "type": "Subscription", "entities": [{"type": "Shelter"}],
                "notification": {"endpoint": {"uri": receiver.url()}},
            }),
        )
        .expect(201);
    let _ = operator
        .post(&format!("{path}/attrs"), &json!({"owner": {"type": "Property", "value": "somebody"}}))
        .expect(204);
    let told = eventually("the clinic is told", || receiver.all().first().cloned());
    assert_eq!(told.data()[0]["owner"]["value"], "somebody");
    let noted = released(&operator);
    assert_eq!(noted.last().unwrap()["subject"], "urn:ngsi-ld:Subscription:clinic");
    assert_eq!(noted.last().unwrap()["details"]["notification"], told.id());

    assert_eq!(operator.delete("/trust/v1/classes/owner").status, 204);
    assert_eq!(operator.get(&path).json_of(200)["owner"]["value"], "somebody");
}
