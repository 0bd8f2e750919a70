//! Data folders of earlier releases open in this one.
//!
//! When the format's number goes up, a folder of the format that ends is made with the last binary that
//! writes it, and committed with a test of its own:
//! `RENKEI_BIN=OLD/renkei RENKEI_FIXTURE=e2e-tests/fixtures/format-N.tar.gz cargo test --profile ci -p e2e-tests --test format -- --ignored`

use std::path::Path;
use std::process::Command;

use e2e_tests::{Client, ENTITIES, OPERATIONS, SUBSCRIPTIONS, Server, TEMPORAL, run};
use serde_json::{Value, json};
use tempfile::TempDir;

/// Readings of one meter: those that came at once, and all.
const AT_ONCE: u32 = 300;
const READINGS: u32 = 310;

/// A committed folder of format 1, unpacked.
fn unpacked(name: &str) -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    let archive = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(name);
    let tar = Command::new("tar").arg("xzf").arg(&archive).arg("-C").arg(folder.path()).status().expect("tar runs");
    assert!(tar.success(), "{} cannot be unpacked", archive.display());
    folder
}

#[test]
fn a_folder_of_format_1_opens_with_everything_in_it() {
    let folder = unpacked("format-1.tar.gz");
    for _ in 0..2 {
        let server = Server::start(folder.path());
        let client = server.client();
        let meter = client.get(&format!("{ENTITIES}/urn:ngsi-ld:Meter:1")).json_of(200);
        assert_eq!(meter["scope"], "/Koto");
        assert_eq!(meter["name"]["languageMap"], json!({"ja": "計器", "en": "meter"}));
        assert_eq!(meter["of"]["object"], "urn:ngsi-ld:Building:7");
        let readings = meter["reading"].as_array().expect("two instances");
        assert_eq!(readings.iter().map(|r| r["value"].as_f64()).collect::<Vec<_>>(), [Some(3.25), Some(2.0)]);
        assert_eq!(client.get(&format!("{ENTITIES}/urn:ngsi-ld:Meter:2")).status, 404);
        let other = client.tenant("sumida").get(&format!("{ENTITIES}/urn:ngsi-ld:Meter:1")).json_of(200);
        assert_eq!(other["reading"]["value"], 99);
        let past = client
            .get(&format!("{TEMPORAL}/urn:ngsi-ld:Meter:1?attrs=reading&timerel=after&timeAt=2026-11-01T00:30:00Z"));
        assert_eq!(past.json_of(200)["reading"].as_array().map(Vec::len), Some(3));
        let station = client.get(&format!("{TEMPORAL}/urn:ngsi-ld:Station:1?options=temporalValues")).json_of(200);
        let values = json!([[20.5, "2023-07-13T04:00:00Z"], [21, "2023-07-13T05:00:00Z"]]);
        assert_eq!(station["temperature"]["values"], values);
        assert_eq!(client.get(&format!("{SUBSCRIPTIONS}/urn:ngsi-ld:Subscription:1")).status, 200);
        server.stop();
    }
}

#[test]
fn its_state_can_be_made_again_from_its_journal_alone() {
    let folder = unpacked("format-1.tar.gz");
    std::fs::remove_dir_all(folder.path().join("view")).expect("the view goes");
    let server = Server::start(folder.path());
    let meter = server.client().get(&format!("{ENTITIES}/urn:ngsi-ld:Meter:1?options=keyValues")).json_of(200);
    assert_eq!(meter["of"], "urn:ngsi-ld:Building:7");
    let past = server.client().get(&format!("{TEMPORAL}/urn:ngsi-ld:Meter:1?attrs=reading")).json_of(200);
    assert_eq!(past["reading"].as_array().map(Vec::len), Some(5), "history is made again, too");
    server.stop();
}

fn operator(server: &Server, folder: &Path) -> Client {
    let token = std::fs::read_to_string(folder.join("keys/operator.token")).expect("the operator's token");
    server.client().token(token.trim())
}

/// `12:34:56` of so many seconds.
fn clock(seconds: u32) -> String {
    format!("{:02}:{:02}:{:02}", seconds / 3_600, seconds / 60 % 60, seconds % 60)
}

#[test]
#[ignore = "makes a fixture of the format that the binary writes, see the head of this file"]
fn a_folder_of_the_format_that_the_binary_writes_is_made() {
    let Some(archive) = std::env::var_os("RENKEI_FIXTURE") else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let server = Server::start_with(folder.path(), &["--auth", "on"]);
    let client = operator(&server, folder.path());
    let reading = |value: Value, time: &str| json!({"type": "Property", "value": value, "observedAt": time});
    let meter = json!({
        "id": "urn:ngsi-ld:Meter:1", "type": "Meter", "scope": "/Koto",
        "name": {"type": "LanguageProperty", "languageMap": {"ja": "計器", "en": "meter"}},
        "of": {"type": "Relationship", "object": "urn:ngsi-ld:Building:7"},
        "location": {"type": "GeoProperty", "value": {"type": "Point", "coordinates": [139.8, 35.7]}},
        "reading": [
            reading(json!(1), "2026-11-01T00:00:00Z"),
            {"type": "Property", "value": 2.0, "unitCode": "KWH", "datasetId": "urn:dataset:night"},
        ],
    });
    let _ = client.request("POST", ENTITIES).header("idempotency-key", "first").json(&meter).answer().expect(201);
    let gone = json!({"id": "urn:ngsi-ld:Meter:2", "type": "Meter", "reading": {"type": "Property", "value": 5}});
    let _ = client.post(ENTITIES, &gone).expect(201);
    let _ = client.delete(&format!("{ENTITIES}/urn:ngsi-ld:Meter:2")).expect(204);
    // So many at once become a block; those that come one by one lie loose behind it.
    let at = |number: u32| reading(json!(number), &format!("2026-11-01T{}Z", clock(number)));
    let many: Vec<Value> = (1..=AT_ONCE).map(at).collect();
    let _ = client.post(TEMPORAL, &json!({"id": "urn:ngsi-ld:Meter:3", "type": "Meter", "reading": many})).expect(201);
    for number in AT_ONCE + 1..=READINGS {
        let one = json!([{"id": "urn:ngsi-ld:Meter:3", "type": "Meter", "reading": at(number)}]);
        let answer = client.post(&format!("{OPERATIONS}/upsert?options=update"), &one);
        assert!(matches!(answer.status, 201 | 204), "{}", answer.text());
    }
    let station = json!({
        "id": "urn:ngsi-ld:Station:1", "type": "Station",
        "temperature": [reading(json!(20.5), "2023-07-13T04:00:00Z"), reading(json!(21), "2023-07-13T05:00:00Z")],
    });
    let _ = client.post(TEMPORAL, &station).expect(201);
    let other = json!({"id": "urn:ngsi-ld:Meter:1", "type": "Meter", "reading": {"type": "Property", "value": 99}});
    let _ = client.tenant("sumida").post(ENTITIES, &other).expect(201);
    let subscription = json!({
        "id": "urn:ngsi-ld:Subscription:1", "type": "Subscription", "entities": [{"type": "Valve"}],
        "notification": {"endpoint": {"uri": "http://127.0.0.1:9/notify"}},
    });
    let _ = client.post(SUBSCRIPTIONS, &subscription).expect(201);
    let _ = client
        .post(
            "/trust/v1/policies",
            &json!({"id": "waterworks", "words": "the waterworks may read reading of Meter for operation"}),
        )
        .expect(201);
    let _ = client.post("/trust/v1/classes", &json!({"attribute": "diary", "class": "personal"}));
    let made = client.post(
        "/trust/v1/tokens",
        &json!({"roles": ["developer"], "organisation": "waterworks", "purposes": ["operation"], "expires": "P10Y"}),
    );
    let token = made.json_of(201)["token"].as_str().expect("a token").to_owned();
    std::fs::write(folder.path().join("reader.token"), token).expect("the token is kept beside it");
    // What was followed is in the folder, too.
    assert_eq!(client.get(&format!("{TEMPORAL}/urn:ngsi-ld:Meter:3?lastN=1")).status, 200);
    let _ = client.get("/audit/v1/entries").expect(200);
    server.stop();
    std::fs::remove_file(folder.path().join("keys/operator.token")).expect("it was of that run");
    let mut tar = Command::new("tar");
    tar.args(["--owner=0", "--group=0", "--numeric-owner", "-czf"]).arg(archive);
    assert!(tar.arg("-C").arg(folder.path()).arg(".").status().expect("tar runs").success());
}

#[test]
fn folders_of_formats_3_and_4_open_with_their_identities_their_blocks_and_their_trail() {
    opens_with_everything("format-3.tar.gz");
    opens_with_everything("format-4.tar.gz");
}

fn opens_with_everything(name: &str) {
    let folder = unpacked(name);
    let reader = std::fs::read_to_string(folder.path().join("reader.token")).expect("the reader's token");
    for _ in 0..2 {
        let server = Server::start_with(folder.path(), &["--auth", "on"]);
        let client = operator(&server, folder.path());
        let meter = client.get(&format!("{ENTITIES}/urn:ngsi-ld:Meter:1")).json_of(200);
        assert_eq!(meter["name"]["languageMap"], json!({"ja": "計器", "en": "meter"}));
        assert_eq!(meter["reading"].as_array().map(Vec::len), Some(2));
        assert_eq!(client.get(&format!("{ENTITIES}/urn:ngsi-ld:Meter:2")).status, 404);
        assert_eq!(client.get(&format!("{SUBSCRIPTIONS}/urn:ngsi-ld:Subscription:1")).status, 200);
        let other = client.tenant("sumida").get(&format!("{ENTITIES}/urn:ngsi-ld:Meter:1")).json_of(200);
        assert_eq!(other["reading"]["value"], 99);

        // The past, of blocks and loose rows, each reading once.
        let past = client.get(&format!("{TEMPORAL}/urn:ngsi-ld:Meter:3?options=temporalValues")).json_of(200);
        let values = past["reading"]["values"].as_array().expect("values");
        let expected: Vec<Value> = (1..=READINGS).map(|n| json!([n, format!("2026-11-01T{}Z", clock(n))])).collect();
        assert_eq!(values, &expected);
        let station = client.get(&format!("{TEMPORAL}/urn:ngsi-ld:Station:1?options=temporalValues")).json_of(200);
        let values = json!([[20.5, "2023-07-13T04:00:00Z"], [21, "2023-07-13T05:00:00Z"]]);
        assert_eq!(station["temperature"]["values"], values);

        // The token that was made then shows what the policy of then says.
        let seen = server.client().token(&reader).purpose("operation").get(&format!("{ENTITIES}/urn:ngsi-ld:Meter:1"));
        let seen = seen.json_of(200);
        let mut members: Vec<&str> = seen.as_object().expect("an entity").keys().map(String::as_str).collect();
        members.sort_unstable();
        assert_eq!(members, ["id", "reading", "scope", "type"], "{seen}");

        let copy = folder.path().join("trail");
        let token = folder.path().join("keys/operator.token");
        let text = |path: &Path| path.to_str().expect("a path is text").to_owned();
        let (copy, token) = (text(&copy), text(&token));
        let exported = run(&["audit", "export", &copy, "--token-file", &token, "--url", &server.url()]);
        assert_eq!(exported.code, Some(0), "{exported:?}");
        let verified = run(&["audit", "verify", &copy]);
        assert_eq!(verified.code, Some(0), "{verified:?}");
        let entries = client.get("/audit/v1/entries").json_of(200).to_string();
        for what in ["policy.added", "token.added"] {
            assert!(entries.contains(what), "{what}: {entries}");
        }
        server.stop();
    }
}

#[test]
fn the_state_and_the_trail_of_folders_of_formats_3_and_4_can_be_made_again_from_their_journal() {
    made_again_from_the_journal("format-3.tar.gz");
    made_again_from_the_journal("format-4.tar.gz");
}

fn made_again_from_the_journal(name: &str) {
    let folder = unpacked(name);
    std::fs::remove_dir_all(folder.path().join("view")).expect("the view goes");
    let server = Server::start_with(folder.path(), &["--auth", "on"]);
    let client = operator(&server, folder.path());
    let past = client.get(&format!("{TEMPORAL}/urn:ngsi-ld:Meter:3?attrs=reading")).json_of(200);
    assert_eq!(past["reading"].as_array().map(Vec::len), Some(READINGS as usize));
    let entries = client.get("/audit/v1/entries").json_of(200).to_string();
    assert!(entries.contains("policy.added") && entries.contains("waterworks"), "{entries}");
    server.stop();
}
