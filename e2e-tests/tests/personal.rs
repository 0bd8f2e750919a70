//! Data of persons, from the outside: in no file in the clear, and gone for good when it is erased.

#![allow(clippy::unwrap_used, reason = "a test fails loudly")]

use std::path::Path;

use e2e_tests::{
    Client, ENTITIES, OPERATIONS, Receiver, SUBSCRIPTIONS, Server, TEMPORAL, eventually, files_below, path_with, run,
};
use serde_json::{Value, json};

/// Stands in everything personal of the one who is erased, and of the one who is not.
const ERASED: &str = "canary-of-the-erased";
const STAYS: &str = "canary-of-who-stays";
const HER: &str = "urn:ngsi-ld:Person:1";
const HIM: &str = "urn:ngsi-ld:Person:2";
/// Enough for blocks.
const BEATS: u32 = 1_500;

fn person(id: &str, word: &str) -> Value {
    json!({
        "id": id, "type": "Person",
        "diary": {"type": "Property", "value": word, "note": {"type": "Property", "value": format!("sub {word}")}},
        "home": {"type": "GeoProperty", "value": {"type": "Point", "coordinates": [139.79213, 35.63491]}},
        "district": {"type": "Property", "value": "a district that everybody may know"},
    })
}

fn beats(word: &str) -> Value {
    let at = |second: u32| format!("2026-11-01T00:{:02}:{:02}Z", second / 60, second % 60);
    let beat = |second| json!({"type": "Property", "value": format!("{word} {second}"), "observedAt": at(second)});
    Value::from((0..BEATS).map(beat).collect::<Vec<_>>())
}

fn operator(server: &Server, folder: &Path) -> Client {
    let token = std::fs::read_to_string(folder.join("keys/operator.token")).unwrap();
    server.client().token(token.trim()).purpose("care")
}

/// A city with two persons, their past, and a subscription to them.
fn fill(client: &Client, receiver: &Receiver) {
    for attribute in ["diary", "beat", "home"] {
        let answer =
            client.post("/trust/v1/classes", &json!({"attribute": attribute, "class": "personal"})).json_of(200);
        assert_eq!(answer["unsealed"], 0);
    }
    let subscription = json!({
        "id": "urn:ngsi-ld:Subscription:1", "type": "Subscription", "entities": [{"type": "Person"}],
        "notification": {"endpoint": {"uri": receiver.url()}},
    });
    let _ = client.post(SUBSCRIPTIONS, &subscription).expect(201);
    for (id, word) in [(HER, ERASED), (HIM, STAYS)] {
        let _ = client.post(ENTITIES, &person(id, word)).expect(201);
        let _ = client.post(TEMPORAL, &json!({"id": id, "type": "Person", "beat": beats(word)})).expect(204);
    }
}

/// All that can be asked for about persons.
fn everything(client: &Client) -> String {
    let doors = [
        format!("{ENTITIES}?type=Person"),
        path_with(ENTITIES, &[("type", "Person"), ("q", &format!("diary==\"{ERASED}\""))]),
        format!("{ENTITIES}?type=Person&at=2099-01-01T00:00:00Z"),
        format!("{TEMPORAL}/{HER}?lastN=2000"),
        format!("{TEMPORAL}/{HIM}?lastN=2000"),
        format!(
            "{TEMPORAL}/{HER}?aggrMethods=distinctCount,min,max&options=aggregatedValues&timerel=after&timeAt=2020-01-01T00:00:00Z"
        ),
        path_with("/sql/v1/query", &[("q", "SELECT * FROM \"Person\"")]),
        path_with("/sql/v1/query", &[("q", "SELECT * FROM history")]),
        "/ops/v1/export".to_owned(),
        "/audit/v1/entries".to_owned(),
    ];
    doors.iter().map(|door| client.get(door).text()).collect()
}

fn found_in(folder: &Path, word: &str) -> Vec<String> {
    let holds = |path: &std::path::PathBuf| {
        let bytes = std::fs::read(path).unwrap();
        bytes.windows(word.len()).any(|window| window == word.as_bytes())
    };
    files_below(folder).iter().filter(|path| holds(path)).map(|path| path.display().to_string()).collect()
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn personal_values_are_sealed_in_every_file_and_erased_with_their_key_in_every_copy() {
    let folder = tempfile::tempdir().unwrap();
    let (data, dir, kept) =
        (folder.path().join("city"), folder.path().join("backup"), folder.path().join("persons.keys"));
    let server = Server::start_with(&data, &["--auth", "on"]);
    let receiver = Receiver::start();
    let client = operator(&server, &data);
    fill(&client, &receiver);
    let told = eventually("both are told of", || (receiver.count() >= 2).then(|| receiver.all()));
    assert_eq!(told.iter().filter(|told| told.data()[0]["diary"]["value"] == ERASED).count(), 1);
    let before = everything(&client);
    for word in [ERASED, STAYS] {
        let last = format!("{word} {}", BEATS - 1);
        assert!(before.contains(&last) && before.contains(&format!("sub {word}")), "{word} is read as it was written");
    }
    let near = path_with(
        ENTITIES,
        &[
            ("type", "Person"),
            ("geoproperty", "home"),
            ("georel", "near;maxDistance==10"),
            ("geometry", "Point"),
            ("coordinates", "[139.79213,35.63491]"),
        ],
    );
    assert_eq!(client.get(&near).json_of(200).as_array().unwrap().len(), 2);

    // In no file in the clear: not in the journal, the view, or what a backup is made of.
    assert_ne!(found_in(&data, "everybody may know"), Vec::<String>::new(), "what is not personal is found");
    for word in [ERASED, STAYS] {
        assert_eq!(found_in(&data, word), Vec::<String>::new());
    }
    let token = data.join("keys/operator.token");
    let url = server.url();
    let backup = || {
        let ended = run(&["backup", text(&dir), "--url", &url, "--token-file", text(&token), "--for", "care"]);
        assert_eq!(ended.code, Some(0), "{ended:?}");
    };
    backup();
    std::fs::copy(data.join("keys/persons.keys"), &kept).unwrap();

    // Erased: of her nothing personal is left behind any door; of him everything.
    let ended = run(&["erase", HER, "--url", &url, "--token-file", text(&token)]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(["diary", "beat", "home"].iter().filter(|name| ended.out.contains(**name)).count() >= 2, "{}", ended.out);
    let is_erased = |client: &Client| {
        let after = everything(client);
        assert!(!after.contains(ERASED) && after.contains(&format!("{STAYS} {}", BEATS - 1)));
        assert!(after.contains("everybody may know"));
    };
    is_erased(&client);
    assert_eq!(client.get(&near).json_of(200).as_array().unwrap().len(), 1);
    let noted = client.get("/audit/v1/entries?what=person.erased").json_of(200);
    assert_eq!((&noted["entries"][0]["subject"], noted["entries"].as_array().unwrap().len()), (&json!(HER), 1));
    let proved =
        run(&["audit", "export", text(&folder.path().join("trail")), "--url", &url, "--token-file", text(&token)]);
    assert_eq!(proved.code, Some(0), "{proved:?}");
    let verified = run(&["audit", "verify", text(&folder.path().join("trail"))]);
    assert_eq!(verified.code, Some(0), "the trail's proofs stay valid: {verified:?}");
    backup();
    server.stop();

    // After a restart, and where an old copy of the keys is put back.
    let server = Server::start_with(&data, &["--auth", "on"]);
    is_erased(&operator(&server, &data));
    server.stop();
    std::fs::copy(&kept, data.join("keys/persons.keys")).unwrap();
    let server = Server::start_with(&data, &["--auth", "on"]);
    is_erased(&operator(&server, &data));
    server.stop();

    // From the backup, with the old copy of the keys; and without any.
    let restored = folder.path().join("restored");
    let ended = run(&["restore", text(&dir), "--data", text(&restored), "--keys", text(&kept)]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let server = Server::start_with(&restored, &["--auth", "on"]);
    is_erased(&operator(&server, &restored));
    server.stop();
    let without = folder.path().join("without");
    let ended = run(&["restore", text(&dir), "--data", text(&without)]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(ended.out.contains("cannot be read without their keys"), "{}", ended.out);
    let server = Server::start_with(&without, &["--auth", "on"]);
    let answers = everything(&operator(&server, &without));
    assert!(!answers.contains(ERASED) && !answers.contains(STAYS) && answers.contains("everybody may know"));
    server.stop();
}

#[test]
fn what_was_written_before_it_was_personal_is_counted_and_sealed_when_it_is_written_again() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start_with(folder.path(), &["--auth", "on"]);
    let client = operator(&server, folder.path());
    let _ = client.post(ENTITIES, &person(HER, ERASED)).expect(201);
    let _ = client.post(ENTITIES, &person(HIM, STAYS)).expect(201);
    let class = || client.post("/trust/v1/classes", &json!({"attribute": "diary", "class": "personal"})).json_of(200);
    assert_eq!(class()["unsealed"], 2);
    let again = json!([{"id": HER, "type": "Person", "diary": {"type": "Property", "value": "sealed now"}}]);
    assert_eq!(client.post(&format!("{OPERATIONS}/upsert?options=update"), &again).status, 204);
    assert_eq!(class()["unsealed"], 1);
    // Erasure takes what lies in the clear away too, from now and from the past.
    let _ = client.post("/trust/v1/erasures", &json!({"entity": HIM})).expect(200);
    assert!(!everything(&client).contains(STAYS));
    assert_eq!(class()["unsealed"], 0);
    assert_eq!(client.post("/trust/v1/erasures", &json!({"entity": "urn:ngsi-ld:Person:3"})).status, 404);
    assert_eq!(client.post("/trust/v1/erasures", &json!({"person": HIM})).status, 400);
    server.stop();
}

#[test]
fn nobody_but_an_administrator_erases() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start_with(folder.path(), &["--auth", "on"]);
    let client = operator(&server, folder.path());
    let _ = client.post("/trust/v1/classes", &json!({"attribute": "diary", "class": "personal"})).expect(200);
    let _ = client.post(ENTITIES, &person(HER, ERASED)).expect(201);
    for role in ["operator", "approver", "developer", "auditor", "device", "public"] {
        let made = client.post("/trust/v1/tokens", &json!({"roles": [role]})).json_of(201);
        let other = server.client().token(made["token"].as_str().unwrap());
        assert_eq!(other.post("/trust/v1/erasures", &json!({"entity": HER})).status, 403, "{role}");
    }
    assert_eq!(server.client().post("/trust/v1/erasures", &json!({"entity": HER})).status, 401);
    assert_eq!(client.get(&format!("{ENTITIES}/{HER}")).json_of(200)["diary"]["value"], ERASED);
    server.stop();
}
