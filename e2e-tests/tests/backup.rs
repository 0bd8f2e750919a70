//! Backup and restore through the binary: under load, in increments, to a point in time, damaged,
//! broken off, and what a restored server then answers and sends.

#![allow(clippy::unwrap_used, reason = "a test fails loudly")]

use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use e2e_tests::{
    Client, ENTITIES, Ended, OPERATIONS, Random, Receiver, SUBSCRIPTIONS, Server, TEMPORAL, command, copy_folder,
    eventually, files_below, free_port, run,
};
use serde_json::{Value, json};

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn backup(server: &Server, dir: &Path, further: &[&str]) -> Value {
    let url = server.url();
    let ended = run(&[&["backup", text(dir), "--url", &url, "--json"], further].concat());
    assert_eq!(ended.code, Some(0), "{ended:?}");
    serde_json::from_str(&ended.out).unwrap()
}

fn try_restore(dir: &Path, data: &Path, further: &[&str]) -> Ended {
    run(&[&["restore", text(dir), "--data", text(data), "--json"], further].concat())
}

fn restore(dir: &Path, data: &Path, further: &[&str]) -> Value {
    let ended = try_restore(dir, data, further);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let report: Value = serde_json::from_str(&ended.out).unwrap();
    assert_eq!(report["verified"], true);
    report
}

fn meter(id: &str, reading: u64) -> Value {
    json!({
        "id": id, "type": "Meter",
        "reading": {"type": "Property", "value": reading},
        "label": {"type": "Property", "value": "a text that stays the same, of some length to fill the pages"},
    })
}

fn upsert(client: &Client, entities: impl Iterator<Item = Value>) {
    let all: Vec<Value> = entities.collect();
    for batch in all.chunks(500) {
        let answer = client.post(&format!("{OPERATIONS}/upsert"), &Value::from(batch.to_vec()));
        assert!(matches!(answer.status, 201 | 204), "{}", answer.text());
    }
}

fn set_reading(client: &Client, id: &str, reading: u64) {
    let _ = client.patch(&format!("{ENTITIES}/{id}/attrs/reading"), &json!({"value": reading})).expect(204);
}

fn subscription(id: &str, url: &str) -> Value {
    json!({
        "id": id, "type": "Subscription", "entities": [{"type": "Meter"}], "watchedAttributes": ["reading"],
        "notification": {"attributes": ["reading"], "endpoint": {"uri": url, "cooldown": 20}},
    })
}

/// All that a tenant is answered: entities, their past, subscriptions, types.
fn everything(client: &Client) -> Value {
    let export = client.get("/ops/v1/export").expect(200).text();
    let mut entities: Vec<Value> = export.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    entities.sort_by_key(|entity| entity["id"].as_str().unwrap().to_owned());
    let with_times = client.get(&format!("{ENTITIES}?type=Meter&limit=1000&options=sysAttrs")).json_of(200);
    let past = client.get(&format!("{TEMPORAL}?type=Meter&options=sysAttrs")).json_of(200);
    let subscriptions = client.get(&format!("{SUBSCRIPTIONS}?limit=1000&options=sysAttrs")).json_of(200);
    let types = client.get("/ngsi-ld/v1/types").json_of(200)["typeList"].clone();
    json!({"entities": entities, "times": with_times, "past": past, "subscriptions": subscriptions, "types": types})
}

/// The readings of a meter in its past, in order.
fn past_of(client: &Client, id: &str) -> Vec<u64> {
    let past = client.get(&format!("{TEMPORAL}/{id}?attrs=reading&options=temporalValues")).json_of(200);
    past["reading"]["values"].as_array().unwrap().iter().filter_map(|value| value[0].as_u64()).collect()
}

fn modified_at(client: &Client, id: &str) -> String {
    let entity = client.get(&format!("{ENTITIES}/{id}?options=sysAttrs")).json_of(200);
    entity["modifiedAt"].as_str().unwrap().to_owned()
}

fn settled(client: &Client, subscription: &str, sent: u64) {
    eventually("all notifications were taken", || {
        let found = client.get(&format!("{SUBSCRIPTIONS}/{subscription}")).json_of(200);
        (found["notification"]["timesSent"].as_u64() == Some(sent)).then_some(())
    });
}

/// The one base, or the newest.
fn bases(dir: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    let mut bases: Vec<PathBuf> =
        entries.filter(|path| path.file_name().unwrap().to_str().unwrap().starts_with("base-")).collect();
    bases.sort();
    bases
}

#[test]
fn under_load_all_that_was_acknowledged_before_a_backup_is_in_it_and_nothing_in_parts() {
    const WRITERS: usize = 4;
    let folder = tempfile::tempdir().unwrap();
    let (data, dir) = (folder.path().join("city"), folder.path().join("backup"));
    let server = Server::start(&data);
    let client = server.client();
    upsert(&client, (0..6_000).map(|n| meter(&format!("urn:ngsi-ld:Meter:still-{n}"), n)));
    let _ = client.post(SUBSCRIPTIONS, &subscription("urn:ngsi-ld:Subscription:1", "http://127.0.0.1:9/")).expect(201);
    let id = |writer: usize| format!("urn:ngsi-ld:Meter:busy-{writer}");
    (0..WRITERS).for_each(|writer| drop(client.post(ENTITIES, &meter(&id(writer), 0)).expect(201)));
    // The ledger: what was acknowledged, and what was asked for, of each writer's own meter.
    let acknowledged: Vec<AtomicU64> = (0..WRITERS).map(|_| AtomicU64::new(0)).collect();
    let asked: Vec<AtomicU64> = (0..WRITERS).map(|_| AtomicU64::new(0)).collect();
    let stop = AtomicBool::new(false);
    let now = |ledger: &[AtomicU64]| ledger.iter().map(|n| n.load(Ordering::SeqCst)).collect::<Vec<u64>>();
    let mut spans = Vec::new();
    std::thread::scope(|scope| {
        for writer in 0..WRITERS {
            let (acknowledged, asked, stop, address) = (&acknowledged, &asked, &stop, server.address());
            scope.spawn(move || {
                let client = Client::new(address);
                for reading in 1.. {
                    if stop.load(Ordering::SeqCst) {
                        return;
                    }
                    asked[writer].store(reading, Ordering::SeqCst);
                    set_reading(&client, &id(writer), reading);
                    acknowledged[writer].store(reading, Ordering::SeqCst);
                }
            });
        }
        for round in 0..4u64 {
            let more = (round + 1) * 25;
            eventually("every writer has written", || now(&acknowledged).iter().all(|n| *n >= more).then_some(()));
            let before = now(&acknowledged);
            let report = backup(&server, &dir, &[]);
            assert_eq!(report["kind"], if round == 0 { "base" } else { "increment" });
            spans.push((before, now(&asked), report["takenAt"].as_str().unwrap().to_owned()));
        }
        stop.store(true, Ordering::SeqCst);
    });
    drop(client);
    server.stop();
    for (round, (before, after, taken_at)) in spans.iter().enumerate() {
        let restored = folder.path().join(format!("restored-{round}"));
        // The newest without --until, the others at the instants of their backups.
        let until = ["--until", taken_at.as_str()];
        let report = restore(&dir, &restored, if round + 1 == spans.len() { &[] } else { &until });
        assert_eq!(report["entities"], 6_000 + WRITERS);
        let server = Server::start(&restored);
        let client = server.client();
        for writer in 0..WRITERS {
            let found = client.get(&format!("{ENTITIES}/{}", id(writer))).json_of(200);
            let reading = found["reading"]["value"].as_u64().unwrap();
            assert!(
                (before[writer]..=after[writer]).contains(&reading),
                "{round} {writer}: {reading} {before:?} {after:?}"
            );
            assert_eq!(
                past_of(&client, &id(writer)),
                (0..=reading).collect::<Vec<_>>(),
                "the past goes as far as the state"
            );
        }
        assert_eq!(client.get(&format!("{SUBSCRIPTIONS}/urn:ngsi-ld:Subscription:1")).status, 200);
        // It goes on: the next change is one more.
        set_reading(&client, &id(0), 1_000_000);
        assert_eq!(past_of(&client, &id(0)).last(), Some(&1_000_000));
        server.stop();
    }
}

#[test]
fn a_restored_server_answers_as_the_one_that_was_backed_up_and_sends_nothing_again() {
    let folder = tempfile::tempdir().unwrap();
    let (data, dir, restored) =
        (folder.path().join("city"), folder.path().join("backup"), folder.path().join("restored"));
    let receiver = Receiver::start();
    let server = Server::start(&data);
    let tenants = [server.client(), server.client().tenant("koto"), server.client().tenant("sumida")];
    for (number, client) in tenants.iter().enumerate() {
        let _ = client.post(SUBSCRIPTIONS, &subscription("urn:ngsi-ld:Subscription:1", &receiver.url())).expect(201);
        upsert(client, (0..20).map(|n| meter(&format!("urn:ngsi-ld:Meter:{number}-{n}"), n)));
    }
    let first = backup(&server, &dir, &[]);
    assert_eq!(first["kind"], "base");
    for (number, client) in tenants.iter().enumerate() {
        let id = |n: u64| format!("urn:ngsi-ld:Meter:{number}-{n}");
        (1..=5).for_each(|reading| set_reading(client, &id(1), 100 + reading));
        let _ = client.delete(&format!("{ENTITIES}/{}", id(2))).expect(204);
        let second = json!({"reading": {
            "type": "Property", "value": 7, "datasetId": "urn:dataset:second", "observedAt": "2026-01-01T00:00:00Z",
        }});
        let _ = client.post(&format!("{ENTITIES}/{}/attrs", id(3)), &second).expect(204);
        settled(client, "urn:ngsi-ld:Subscription:1", 7);
    }
    // A tenant, a subscription and names that the base did not know.
    let late = server.client().tenant("late");
    let _ = late.post(SUBSCRIPTIONS, &subscription("urn:ngsi-ld:Subscription:late", &receiver.url())).expect(201);
    let _ = late.post(ENTITIES, &meter("urn:ngsi-ld:Meter:late", 1)).expect(201);
    settled(&late, "urn:ngsi-ld:Subscription:late", 1);
    let second = backup(&server, &dir, &[]);
    assert_eq!(
        (second["kind"].as_str(), second["part"].as_str()),
        (Some("increment"), bases(&dir)[0].join("0001.part").to_str())
    );
    let empty = backup(&server, &dir, &[]);
    // That it was taken stands in the trail, and in it.
    assert_eq!((empty["kind"].as_str(), empty["records"].as_u64()), (Some("increment"), Some(1)));
    let everyone = |server: &Server| {
        ["", "koto", "sumida", "late"].map(|tenant| {
            let client = if tenant.is_empty() { server.client() } else { server.client().tenant(tenant) };
            everything(&client)
        })
    };
    let before = everyone(&server);
    server.stop();

    let verified = run(&["backup", "verify", text(&dir), "--json"]);
    assert_eq!(verified.code, Some(0), "{verified:?}");
    let verified: Value = serde_json::from_str(&verified.out).unwrap();
    assert_eq!((verified["parts"].as_u64(), verified["trial"]["entities"].as_u64()), (Some(3), Some(58)));
    let listed: Value = serde_json::from_str(&run(&["backup", "list", text(&dir), "--json"]).out).unwrap();
    assert_eq!(listed[0]["increments"], 2);
    assert_eq!(files_below(&dir).len(), 7, "the trial left nothing behind: {:?}", files_below(&dir));

    let report = restore(&dir, &restored, &[]);
    assert_eq!(report["notificationsWaiting"].as_u64(), Some(0));
    // At most the note that the backup itself was taken, which concerns no subscription.
    assert!(report["changesToMatch"].as_u64().is_some_and(|changes| changes <= 1), "{report}");
    let whole = run(&["doctor", "--offline", "--data", text(&restored)]);
    assert_eq!(whole.code, Some(0), "{whole:?}");
    let told = receiver.count();
    let server = Server::start(&restored);
    for (before, after) in before.iter().zip(everyone(&server)) {
        assert_eq!(*before, after);
    }
    // Deliveries are in order: had something been left to send, it would come before this one.
    set_reading(&server.client(), "urn:ngsi-ld:Meter:0-4", 4_444);
    let all = receiver.wait_for(told + 1);
    assert_eq!(all.len(), told + 1, "notifications of before the backup were sent again");
    assert_eq!(all[told].data()[0]["reading"]["value"], 4_444);
    server.stop();
}

#[test]
fn what_waits_in_the_outbox_is_restored_and_told_with_the_same_ids() {
    let folder = tempfile::tempdir().unwrap();
    let (data, dir) = (folder.path().join("city"), folder.path().join("backup"));
    let port = free_port();
    let server = Server::start(&data);
    let client = server.client();
    let url = format!("http://127.0.0.1:{port}/notify");
    let _ = client.post(SUBSCRIPTIONS, &subscription("urn:ngsi-ld:Subscription:1", &url)).expect(201);
    let _ = client.post(ENTITIES, &meter("urn:ngsi-ld:Meter:1", 0)).expect(201);
    let _ = backup(&server, &dir, &[]);
    set_reading(&client, "urn:ngsi-ld:Meter:1", 1);
    eventually("the rows wait", || {
        (client.get("/ops/v1/doctor").json_of(200)["failingSubscriptions"][0]["waiting"] == 2).then_some(())
    });
    let _ = backup(&server, &dir, &[]);
    // After the last backup the endpoint comes up and takes all; then the city is lost.
    let at_first = Receiver::at(port);
    let first = at_first.wait_for(2);
    drop(server);
    drop(at_first);
    let restored = folder.path().join("restored");
    assert_eq!(restore(&dir, &restored, &[])["notificationsWaiting"], 2);
    let again = Receiver::at(port);
    let server = Server::start(&restored);
    let second = again.wait_for(2);
    let ids = |all: &[e2e_tests::Received]| all.iter().map(|one| one.id().to_owned()).collect::<Vec<_>>();
    assert_eq!(ids(&first), ids(&second), "a repeat can be told by its id");
    server.stop();
}

#[test]
fn a_store_is_restored_to_a_point_in_time() {
    let folder = tempfile::tempdir().unwrap();
    let (data, dir) = (folder.path().join("city"), folder.path().join("backup"));
    let server = Server::start(&data);
    let client = server.client();
    let id = "urn:ngsi-ld:Meter:1";
    let _ = client.post(ENTITIES, &meter(id, 0)).expect(201);
    let created = modified_at(&client, id);
    let write = |reading: u64| {
        set_reading(&client, id, reading);
        modified_at(&client, id)
    };
    let _ = write(1);
    let _ = backup(&server, &dir, &[]);
    // The earliest time is the one at which it was taken.
    let taken = || {
        let noted = client.get("/audit/v1/entries?what=backup").json_of(200);
        noted["entries"].as_array().unwrap().last().unwrap()["time"].as_str().unwrap().to_owned()
    };
    let first = taken();
    let (second, third) = (write(2), write(3));
    let _ = client.post(SUBSCRIPTIONS, &subscription("urn:ngsi-ld:Subscription:1", "http://127.0.0.1:9/")).expect(201);
    let fourth = write(4);
    let _ = backup(&server, &dir, &[]);
    let fifth = write(5);
    // Another base: what came since the last increment stands in its journal.
    let _ = backup(&server, &dir, &["--full"]);
    let (sixth, _) = (write(6), write(7));
    let _ = backup(&server, &dir, &[]);
    let seventh = taken();
    let last = write(8);
    server.stop();
    assert_eq!(bases(&dir).len(), 2);

    let cases = [(&first, 1), (&second, 2), (&third, 3), (&fourth, 4), (&fifth, 5), (&sixth, 6), (&seventh, 7)];
    for (until, reading) in cases {
        let restored = folder.path().join(format!("restored-{reading}"));
        let report = restore(&dir, &restored, &["--until", until]);
        assert_eq!(report["lastChange"].as_str(), Some(until.as_str()), "{report}");
        let server = Server::start(&restored);
        let client = server.client();
        let found = client.get(&format!("{ENTITIES}/{id}")).json_of(200);
        assert_eq!(found["reading"]["value"], reading);
        assert_eq!(past_of(&client, id), (0..=reading).collect::<Vec<_>>());
        let expected = if reading >= 4 { 200 } else { 404 };
        assert_eq!(client.get(&format!("{SUBSCRIPTIONS}/urn:ngsi-ld:Subscription:1")).status, expected, "{reading}");
        // A second life goes on from there. Its backup continues the first one's only where that ended.
        set_reading(&client, id, 99);
        assert_eq!(
            backup(&server, &dir_of(&folder, reading, &dir), &[])["kind"],
            if reading == 7 { "increment" } else { "base" }
        );
        server.stop();
    }
    let ended = try_restore(&dir, &folder.path().join("too-early"), &["--until", &created]);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.err.contains("STO-025") && ended.err.contains(&first), "the earliest time is named: {}", ended.err);
    assert!(!folder.path().join("too-early").exists());
    // A time behind the last backup gives its end, and says so.
    let report = restore(&dir, &folder.path().join("too-late"), &["--until", &last]);
    assert_eq!(report["lastChange"].as_str(), Some(seventh.as_str()));
    assert!(report["reachesOnlyTo"].is_string(), "{report}");
    let ended = try_restore(&dir, &folder.path().join("never"), &["--until", "yesterday"]);
    assert!(ended.code == Some(1) && ended.err.contains("yesterday"), "{ended:?}");
}

/// A copy of the backups, so that each second life has its own.
fn dir_of(folder: &tempfile::TempDir, reading: u64, dir: &Path) -> PathBuf {
    let copy = folder.path().join(format!("backup-{reading}"));
    copy_folder(dir, &copy);
    copy
}

/// A backup of a base and an increment, with all kinds of things in it.
fn small_backup(folder: &Path) -> PathBuf {
    let dir = folder.join("backup");
    let server = Server::start(&folder.join("city"));
    let client = server.client();
    let _ = client.post(SUBSCRIPTIONS, &subscription("urn:ngsi-ld:Subscription:1", "http://127.0.0.1:9/")).expect(201);
    upsert(&client, (0..200).map(|n| meter(&format!("urn:ngsi-ld:Meter:{n}"), n)));
    let _ = backup(&server, &dir, &[]);
    (0..20).for_each(|n| set_reading(&client, &format!("urn:ngsi-ld:Meter:{n}"), 1_000 + n));
    let _ = backup(&server, &dir, &[]);
    server.stop();
    dir
}

#[test]
fn a_flipped_bit_anywhere_in_a_backup_is_refused_and_named() {
    const FLIPS: usize = 60;
    let folder = tempfile::tempdir().unwrap();
    let dir = small_backup(folder.path());
    let (mut random, _) = Random::of_this_run();
    let files: Vec<PathBuf> = files_below(&dir).into_iter().filter(|file| !file.ends_with("LOCK")).collect();
    assert_eq!(files.len(), 4, "{files:?}");
    for flip in 0..FLIPS {
        let file = &files[flip % files.len()];
        let whole = std::fs::read(file).unwrap();
        let at = random.below(whole.len() as u64 * 8) as usize;
        let mut flipped = whole.clone();
        flipped[at / 8] ^= 1 << (at % 8);
        std::fs::write(file, &flipped).unwrap();
        let what = format!("bit {at} of {}", file.display());
        let verified = run(&["backup", "verify", text(&dir), "--quick"]);
        assert_eq!(verified.code, Some(1), "{what}: {verified:?}");
        assert!(format!("{verified:?}").contains(text(file)), "{what} is not named: {verified:?}");
        if flip % 6 == 0 {
            let data = folder.path().join("restored");
            let ended = try_restore(&dir, &data, &[]);
            assert_eq!(ended.code, Some(1), "{what}: {ended:?}");
            assert!(ended.err.contains(text(file)), "{what} is not named: {ended:?}");
            assert!(!data.exists() || files_below(&data).is_empty(), "{what} left {:?}", files_below(&data));
        }
        std::fs::write(file, &whole).unwrap();
    }
    let _ = restore(&dir, &folder.path().join("whole"), &[]);
}

#[test]
fn a_truncated_and_a_missing_part_are_refused_and_named() {
    let folder = tempfile::tempdir().unwrap();
    let dir = small_backup(folder.path());
    let base = bases(&dir).remove(0);
    for name in ["0000.part", "0001.part", "0000.json", "0001.json"] {
        let file = base.join(name);
        let whole = std::fs::read(&file).unwrap();
        for kept in [0, 1, 20, 21, whole.len() / 2, whole.len() - 1] {
            std::fs::write(&file, &whole[..kept]).unwrap();
            let verified = run(&["backup", "verify", text(&dir), "--quick"]);
            assert_eq!(verified.code, Some(1), "{name} cut to {kept}: {verified:?}");
            assert!(format!("{verified:?}").contains(text(&file)), "{name} cut to {kept}: {verified:?}");
        }
        std::fs::write(&file, [&whole[..], b"more"].concat()).unwrap();
        assert_eq!(run(&["backup", "verify", text(&dir), "--quick"]).code, Some(1), "{name} with more behind it");
        std::fs::remove_file(&file).unwrap();
        let ended = try_restore(&dir, &folder.path().join("restored"), &[]);
        // Without its manifest the last part does not count; that it is there is said.
        if name == "0001.json" {
            assert_eq!(ended.code, Some(0), "{ended:?}");
            let verified = run(&["backup", "verify", text(&dir), "--quick"]);
            assert!(verified.out.contains("0001.part was never finished"), "{verified:?}");
        } else {
            assert_eq!(ended.code, Some(1), "{name} is missing: {ended:?}");
            assert!(ended.err.contains(text(&file)), "{ended:?}");
        }
        std::fs::write(&file, &whole).unwrap();
    }
    assert_eq!(run(&["backup", "verify", text(&dir)]).code, Some(0));
}

/// Gives the answer of the real server up to a point, and then waits or hangs up.
fn half_a_server(answer: Vec<u8>, sent: usize, hang_up: bool) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut asked = Vec::new();
        while !asked.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap();
            asked.extend(byte);
        }
        let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", answer.len());
        stream.write_all(head.as_bytes()).unwrap();
        let _ = stream.write_all(&answer[..sent]);
        if !hang_up {
            let _ = stream.read_to_end(&mut Vec::new());
        }
    });
    format!("http://{address}")
}

#[test]
fn a_backup_that_was_broken_off_does_not_count() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(&folder.path().join("city"));
    upsert(&server.client(), (0..5_000).map(|n| meter(&format!("urn:ngsi-ld:Meter:{n}"), n)));
    let whole = server.client().get("/ops/v1/backup").expect(200).body;

    // The connection breaks, at any place.
    for sent in [0, 10, 100, whole.len() / 2, whole.len() - 1] {
        let dir = folder.path().join(format!("cut-at-{sent}"));
        let url = half_a_server(whole.clone(), sent, true);
        let ended = run(&["backup", text(&dir), "--url", &url]);
        assert_eq!(ended.code, Some(1), "{ended:?}");
        assert!(files_below(&dir).iter().all(|file| file.ends_with("LOCK")), "{:?}", files_below(&dir));
    }
    // A bit flips on the way.
    let mut flipped = whole.clone();
    flipped[whole.len() / 3] ^= 4;
    let url = half_a_server(flipped, whole.len(), true);
    let ended = run(&["backup", text(&folder.path().join("flipped")), "--url", &url]);
    assert!(ended.code == Some(1) && ended.err.contains("checksum"), "{ended:?}");

    // No file may grow beyond some kilobytes, as on a disk that is full.
    let dir = folder.path().join("full");
    let url = server.url();
    let limited = "trap '' XFSZ; ulimit -f 16; exec \"$@\"";
    let binary = e2e_tests::binary();
    let mut shell = std::process::Command::new("sh");
    shell.args(["-c", limited, "sh", text(&binary), "backup", text(&dir), "--url", &url]);
    let ended = shell.output().unwrap();
    let said = String::from_utf8_lossy(&ended.stderr);
    assert!(ended.status.code() == Some(1) && said.contains("0000.part cannot be written"), "{ended:?}");
    assert!(files_below(&dir).iter().all(|file| file.ends_with("LOCK")), "{:?}", files_below(&dir));

    // The command is killed in the middle, of a base and then of an increment.
    let dir = folder.path().join("backup");
    let killed = |answer: Vec<u8>, name: &str| {
        let sent = answer.len() - 1;
        let url = half_a_server(answer, sent, false);
        let mut child = command(&["backup", text(&dir), "--url", &url]).spawn().unwrap();
        eventually("the part is being written", || {
            let written = |file: &PathBuf| file.ends_with(name) && file.metadata().is_ok_and(|meta| meta.len() > 0);
            (dir.exists() && files_below(&dir).iter().any(written)).then_some(())
        });
        child.kill().unwrap();
        child.wait().unwrap();
    };
    killed(whole.clone(), "0000.part");
    let ended = run(&["backup", "list", text(&dir)]);
    assert!(ended.code == Some(1) && ended.err.contains("STO-023"), "{ended:?}");
    let first = backup(&server, &dir, &[]);
    assert_eq!(first["kind"], "base");
    assert_eq!(files_below(&dir).len(), 3, "what was broken off is gone: {:?}", files_below(&dir));
    set_reading(&server.client(), "urn:ngsi-ld:Meter:1", 4_711);
    let manifest: Value =
        serde_json::from_str(&std::fs::read_to_string(bases(&dir)[0].join("0000.json")).unwrap()).unwrap();
    let since =
        format!("after={}&record={}", manifest["manifest"]["lastRecord"], manifest["manifest"]["lastRecordCrc"]);
    let increment = server.client().get(&format!("/ops/v1/backup?{since}")).expect(200).body;
    killed(increment, "0001.part");
    let verified = run(&["backup", "verify", text(&dir)]);
    assert!(verified.code == Some(0) && verified.out.contains("never finished"), "{verified:?}");
    let second = backup(&server, &dir, &[]);
    // The reading, that the killed one was begun, and that this one was.
    assert_eq!((second["kind"].as_str(), second["records"].as_u64()), (Some("increment"), Some(3)));
    server.stop();
    let restored = folder.path().join("restored");
    let _ = restore(&dir, &restored, &[]);
    let server = Server::start(&restored);
    let found = server.client().get(&format!("{ENTITIES}/urn:ngsi-ld:Meter:1")).json_of(200);
    assert_eq!(found["reading"]["value"], 4_711);
}

#[test]
fn a_server_that_is_killed_during_a_backup_leaves_none_that_says_it_is_whole() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("city");
    let (mut random, _) = Random::of_this_run();
    let server = Server::start(&data);
    upsert(&server.client(), (0..8_000).map(|n| meter(&format!("urn:ngsi-ld:Meter:{n}"), n)));
    server.stop();
    let mut whole = 0;
    for round in 0..6 {
        let dir = folder.path().join(format!("backup-{round}"));
        let mut server = Server::start(&data);
        let url = server.url();
        let child = command(&["backup", text(&dir), "--url", &url]).spawn().unwrap();
        std::thread::sleep(Duration::from_millis(random.below(250)));
        server.kill();
        let ended = child.wait_with_output().unwrap();
        if ended.status.success() {
            whole += 1;
            assert_eq!(run(&["backup", "verify", text(&dir)]).code, Some(0));
        } else {
            assert!(!dir.exists() || bases(&dir).is_empty(), "a broken backup looks whole");
        }
    }
    println!("{whole} of 6 backups were done before the server was killed");
}

#[test]
fn what_cannot_be_backed_up_or_restored_is_said_clearly() {
    let folder = tempfile::tempdir().unwrap();
    let dir = small_backup(folder.path());
    let says = |ended: Ended, words: &[&str]| {
        assert_eq!(ended.code, Some(1), "{ended:?}");
        words.iter().for_each(|word| assert!(ended.err.contains(word), "{word} is not said: {}", ended.err));
    };
    // A folder that has something in it, and one that is no backup.
    let full = folder.path().join("city");
    says(try_restore(&dir, &full, &[]), &["STO-024", text(&full)]);
    let stranger = folder.path().join("stranger");
    std::fs::create_dir(&stranger).unwrap();
    says(try_restore(&stranger, &folder.path().join("new"), &[]), &["STO-023", text(&stranger)]);
    says(try_restore(&folder.path().join("nowhere"), &folder.path().join("new"), &[]), &["STO-023", "nowhere"]);
    std::fs::write(stranger.join("letter.txt"), "not a backup").unwrap();
    let server = Server::start(&full);
    let url = server.url();
    says(run(&["backup", text(&stranger), "--url", &url]), &["STO-023", text(&stranger)]);
    assert_eq!(std::fs::read_to_string(stranger.join("letter.txt")).unwrap(), "not a backup");
    // A tenant alone, over the command line and at the door.
    says(run(&["backup", text(&dir), "--url", &url, "--tenant", "koto"]), &["all tenants"]);
    let refused = server.client().tenant("koto").get("/ops/v1/backup").json_of(422);
    assert_eq!(refused["code"], "NLD-003", "{refused}");
    assert_eq!(server.client().get("/ops/v1/backup?after=1").status, 400);
    // Another store at the same folder gets a base of its own, with the reason.
    let other = Server::start(&folder.path().join("other"));
    upsert(&other.client(), (0..300).map(|n| meter(&format!("urn:ngsi-ld:Meter:{n}"), n)));
    let ended = run(&["backup", text(&dir), "--url", &other.url(), "--json"]);
    assert!(ended.code == Some(0) && ended.err.contains("not the store"), "{ended:?}");
    assert_eq!(serde_json::from_str::<Value>(&ended.out).unwrap()["kind"], "base");
    assert_eq!(bases(&dir).len(), 2);
    // Of three bases two stay.
    let oldest = bases(&dir).remove(0);
    let report = backup(&other, &dir, &["--full", "--keep", "2"]);
    assert_eq!(report["removed"], json!([oldest.file_name().unwrap().to_str()]));
    assert!(bases(&dir).len() == 2 && !oldest.exists());
    // A folder whose restore did not finish is not opened.
    let half = folder.path().join("half");
    let _ = restore(&dir, &half, &[]);
    std::fs::write(half.join("RESTORING"), "1\n").unwrap();
    let ended = Server::try_start(&half, &[]).err().expect("half a restore must be refused");
    assert!(ended.err.contains("STO-007") && ended.err.contains("did not finish"), "{ended:?}");
    // A newer backup.
    let manifest = bases(&dir)[1].join("0000.json");
    let newer = std::fs::read_to_string(&manifest).unwrap().replace("\"format\":1", "\"format\":9");
    std::fs::write(&manifest, newer).unwrap();
    says(try_restore(&dir, &folder.path().join("new"), &[]), &["STO-022", "format 9", text(&manifest)]);
    server.stop();
    other.stop();
}
