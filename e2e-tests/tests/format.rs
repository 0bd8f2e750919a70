//! Data folders of earlier releases open in this one.

use std::path::Path;
use std::process::Command;

use e2e_tests::{ENTITIES, SUBSCRIPTIONS, Server, TEMPORAL};
use serde_json::json;
use tempfile::TempDir;

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
