//! The trail: what was done stands in it, anyone verifies it, and no change of its past goes unnoticed.

#![allow(clippy::unwrap_used, reason = "a test fails loudly")]

use std::path::Path;
use std::process::Command;

use e2e_tests::{Client, ENTITIES, Ended, Random, Server, copy_folder, run};
use serde_json::{Value, json};

fn closed(folder: &Path) -> (Server, Client, String) {
    let server = Server::start_with(folder, &["--auth", "on"]);
    let file = folder.join("keys/operator.token");
    let token = std::fs::read_to_string(&file).unwrap();
    let operator = server.client().token(token.trim());
    (server, operator, file.to_str().unwrap().to_owned())
}

fn add_policy(operator: &Client, name: &str) {
    let _ = operator
        .post("/trust/v1/policies", &json!({"id": name, "words": format!("{name} may read Shelter")}))
        .expect(201);
}

fn audit(server: &Server, token: &str, arguments: &[&str]) -> Ended {
    run(&[&["audit"], arguments, &["--url", &server.url(), "--token-file", token]].concat())
}

fn entries(client: &Client, query: &str) -> Vec<Value> {
    client.get(&format!("/audit/v1/entries{query}")).json_of(200)["entries"].as_array().unwrap().clone()
}

/// The check that shares no line with the program.
fn by_others(dir: &Path) -> bool {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/verify-trail.mjs");
    let output = Command::new("node").arg(script).arg(dir).output().expect("node is there");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.success(), said.starts_with("verified: "), "{output:?}");
    output.status.success()
}

#[test]
fn what_was_done_to_who_may_stands_in_the_trail_with_who_did_it() {
    let folder = tempfile::tempdir().unwrap();
    let (server, operator, file) = closed(folder.path());
    let made =
        operator.post("/trust/v1/tokens", &json!({"roles": ["administrator"], "label": "town hall"})).json_of(201);
    let administrator = server.client().token(made["token"].as_str().unwrap());
    let who = made["who"].as_str().unwrap();
    add_policy(&administrator, "bus-company");
    assert_eq!(administrator.delete("/trust/v1/policies/bus-company").status, 204);
    assert_eq!(administrator.delete("/trust/v1/policies/bus-company").status, 404, "what did not happen is not noted");
    let entity = json!({"id": "urn:ngsi-ld:Shelter:1", "type": "Shelter", "name": {"type": "Property", "value": "a"}});
    let _ = administrator.post(ENTITIES, &entity).expect(201);
    assert_eq!(administrator.delete(&format!("{ENTITIES}/urn:ngsi-ld:Shelter:1")).status, 204);
    let _ = administrator.post("/ops/v1/entities/urn:ngsi-ld:Shelter:1/undelete", &json!({})).expect(200);
    let all = entries(&operator, "");
    let said: Vec<(&str, &str)> =
        all.iter().map(|entry| (entry["what"].as_str().unwrap(), entry["who"].as_str().unwrap())).collect();
    assert_eq!(
        said,
        [("token.added", "local-operator"), ("policy.added", who), ("policy.removed", who), ("entity.undelete", who),]
    );
    assert_eq!(entries(&operator, &format!("?who={who}")).len(), 3);
    assert_eq!(entries(&operator, "?what=policy").len(), 2);
    assert_eq!(entries(&operator, "?what=policy.removed")[0]["subject"], "bus-company");
    assert_eq!(entries(&operator, "?from=1&limit=2")[1]["index"], 2);
    let secret = made["token"].as_str().unwrap();
    let text = operator.get("/audit/v1/entries").text();
    assert!(!text.contains(&secret[20..]) && !text.contains("digest"), "a secret stands in the trail: {text}");
    let shown = audit(&server, &file, &["who", who]);
    assert!(shown.code == Some(0) && shown.out.contains("policy.removed  bus-company"), "{shown:?}");
    // Nobody else reads it, and another tenant has its own.
    let (reader, developer) = (json!({"roles": ["auditor"]}), json!({"roles": ["developer", "operator", "device"]}));
    let token_of =
        |request| operator.post("/trust/v1/tokens", request).json_of(201)["token"].as_str().unwrap().to_owned();
    assert_eq!(server.client().token(&token_of(&reader)).get("/audit/v1/checkpoint").status, 200);
    assert_eq!(server.client().token(&token_of(&developer)).get("/audit/v1/checkpoint").status, 403);
    assert_eq!(operator.tenant("koto").get("/audit/v1/entries").json_of(200)["size"], 0);
}

#[test]
fn an_export_is_verified_by_us_and_by_others_and_no_edit_of_it_passes() {
    let folder = tempfile::tempdir().unwrap();
    let (server, operator, file) = closed(folder.path());
    let dir = folder.path().join("trail");
    let shown = dir.to_str().unwrap();
    // Across the bounds of tiles: 256 entries are one.
    for number in 0..300 {
        add_policy(&operator, &format!("company-{number}"));
        if [1, 255, 256, 257].contains(&(number + 1)) {
            let exported = audit(&server, &file, &["export", shown]);
            assert_eq!(exported.code, Some(0), "{exported:?}");
            assert!(by_others(&dir));
        }
    }
    let verified = audit(&server, &file, &["verify", shown, "--against-server"]);
    assert!(verified.code == Some(0) && verified.out.contains("goes on from them to 300"), "{verified:?}");
    assert_eq!(audit(&server, &file, &["export", shown]).code, Some(0));
    let read = |name: &str| std::fs::read_to_string(dir.join(name)).unwrap();
    let (whole, checkpoint) = (read("entries.ndjson"), read("checkpoint"));
    let lines: Vec<&str> = whole.lines().collect();
    assert_eq!(lines.len(), 300);
    let mut random = Random::new(7);
    let offline = |what: &str| {
        let ended = run(&["audit", "verify", shown]);
        assert_eq!(ended.code == Some(0), by_others(&dir), "the two checks differ about {what}: {ended:?}");
        ended.code == Some(0)
    };
    assert!(offline("the whole"));
    for round in 0..40 {
        let at = usize::try_from(random.below(lines.len() as u64 - 1)).unwrap();
        let mut edited: Vec<String> = lines.iter().map(|line| (*line).to_owned()).collect();
        match round % 4 {
            0 => edited[at] = edited[at].replace("policy.added", "policy.gone!"),
            1 => drop(edited.remove(at)),
            2 => edited.swap(at, at + 1),
            _ => edited.insert(at, edited[at].clone()),
        }
        std::fs::write(dir.join("entries.ndjson"), edited.join("\n") + "\n").unwrap();
        assert!(!offline(&format!("round {round} at {at}")), "round {round} at {at} passed");
    }
    std::fs::write(dir.join("entries.ndjson"), &whole).unwrap();
    std::fs::write(dir.join("checkpoint"), checkpoint.replace("\n300\n", "\n299\n")).unwrap();
    assert!(!offline("a checkpoint of another size"));
    std::fs::write(dir.join("checkpoint"), &checkpoint).unwrap();
    assert!(offline("the whole again"));

    // A proof of one entry leads to the signed root.
    let proof = operator.get("/audit/v1/proof?index=257").expect(200).text();
    assert!(proof.starts_with("c2sp.org/tlog-proof@v1\nindex 257\n") && proof.ends_with(&checkpoint), "{proof}");
    assert_eq!(operator.get("/audit/v1/proof?index=300").status, 404);
    assert_eq!(operator.get("/audit/v1/tile/0/000").expect(200).body.len(), 256 * 32);
    assert_eq!(operator.get("/audit/v1/tile/0/001.p/44").expect(200).body.len(), 44 * 32);
    assert_eq!(operator.get("/audit/v1/tile/1/000.p/1").expect(200).body.len(), 32);
    for path in ["0/001", "0/001.p/45", "entries/001", "1/000.p/2"] {
        assert_eq!(operator.get(&format!("/audit/v1/tile/{path}")).status, 404, "{path}");
    }
    for path in ["0", "9/000", "0/1", "x/000", "entries/001.p/0", "0/001.p/256"] {
        assert_eq!(operator.get(&format!("/audit/v1/tile/{path}")).status, 400, "{path}");
    }
}

#[test]
fn a_commitment_is_of_salt_and_details() {
    let folder = tempfile::tempdir().unwrap();
    let (_server, operator, _) = closed(folder.path());
    add_policy(&operator, "bus-company");
    let entry = &entries(&operator, "")[0];
    let script = "const c=require('crypto'),e=JSON.parse(process.argv[1]);process.stdout.write(c.createHash('sha256').update(Buffer.from(e.salt,'base64')).update(e.committed).digest('base64'))";
    let output = Command::new("node").args(["-e", script, &entry.to_string()]).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), entry["commitment"].as_str().unwrap());
    assert_eq!(entry["details"]["after"]["words"], "bus-company may read Shelter");
}

#[test]
fn kills_leave_a_trail_that_goes_on_and_a_rolled_back_one_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("city");
    let dir = folder.path().join("trail");
    let shown = dir.to_str().unwrap();
    let mut number = 0;
    let mut keep = |operator: &Client, count: usize| {
        for _ in 0..count {
            add_policy(operator, &format!("company-{number}"));
            number += 1;
        }
    };
    for _ in 0..4 {
        let (mut server, operator, file) = closed(&data);
        keep(&operator, 20);
        if dir.exists() {
            let verified = audit(&server, &file, &["verify", shown, "--against-server"]);
            assert_eq!(verified.code, Some(0), "{verified:?}");
        }
        assert_eq!(audit(&server, &file, &["export", shown]).code, Some(0));
        keep(&operator, 5);
        server.kill();
    }
    let (server, operator, _) = closed(&data);
    assert_eq!(
        operator.get("/audit/v1/entries?limit=1").json_of(200)["size"],
        100,
        "what was answered stands in it once"
    );
    server.stop();
    let old = folder.path().join("old");
    copy_folder(&data, &old);
    let (server, operator, file) = closed(&data);
    keep(&operator, 3);
    assert_eq!(audit(&server, &file, &["export", shown]).code, Some(0));
    server.stop();

    // The folder of before, with the same key: entries are missing, or others stand in their place.
    let (server, operator, file) = closed(&old);
    let verified = audit(&server, &file, &["verify", shown, "--against-server"]);
    assert!(verified.code == Some(1) && verified.err.contains("taken back"), "{verified:?}");
    for other in 0..5 {
        add_policy(&operator, &format!("other-{other}"));
    }
    let verified = audit(&server, &file, &["verify", shown, "--against-server"]);
    assert!(verified.code == Some(1) && verified.err.contains("its past was changed"), "{verified:?}");
    assert_eq!(audit(&server, &file, &["export", shown]).code, Some(1), "an export does not paper over it");
    assert!(by_others(&dir), "what was exported stays as it was signed");
}
