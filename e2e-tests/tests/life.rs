//! How a server begins, ends, and lives on a disk that is full or damaged.

#![allow(clippy::unwrap_used, reason = "a test fails loudly")]

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use e2e_tests::{
    Client, ENTITIES, Ended, OPERATIONS, Random, SUBSCRIPTIONS, Server, TEMPORAL, copy_folder, encode, eventually,
    files_below, path_with, run, signal, skipped,
};
use serde_json::{Value, json};

/// Flipped bits that are tried, each on a copy of its own; `RENKEI_FLIPS` sets another number.
const FLIPS_DEFAULT: u64 = 100;

fn thing(number: usize, value: u64) -> Value {
    json!({
        "id": format!("urn:ngsi-ld:Thing:{number}"), "type": "Thing",
        "level": {"type": "Property", "value": value},
        "label": {"type": "Property", "value": format!("thing number {number}, a text of some length to fill the pages")},
    })
}

#[test]
fn a_second_process_on_the_data_folder_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    let ended = Server::try_start(folder.path(), &[]).err().expect("a second server must not start");
    assert_eq!(ended.code, Some(1));
    assert!(ended.err.contains(folder.path().to_str().unwrap()), "{}", ended.err);
    assert!(ended.err.contains(&format!("process {}", server.pid())), "{}", ended.err);
    assert!(ended.out.is_empty(), "{}", ended.out);
    // The first one does not mind.
    let _ = server.client().post(ENTITIES, &thing(1, 1)).expect(201);
    server.stop();
    Server::start(folder.path()).stop();
}

#[test]
fn a_data_folder_of_a_newer_version_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    Server::start(folder.path()).stop();
    let format = folder.path().join("FORMAT");
    let known: u32 = std::fs::read_to_string(&format).unwrap().trim().parse().unwrap();
    std::fs::write(&format, format!("{}\n", known + 1)).unwrap();
    let ended = Server::try_start(folder.path(), &[]).err().expect("a newer folder must be refused");
    assert_eq!(ended.code, Some(1));
    assert!(ended.err.contains(folder.path().to_str().unwrap()), "{}", ended.err);
    assert!(ended.err.contains(&(known + 1).to_string()) && ended.err.contains(&known.to_string()), "{}", ended.err);
    assert!(ended.err.contains("STO-006") && ended.err.contains("put back a copy"), "{}", ended.err);
    std::fs::write(&format, format!("{known}\n")).unwrap();
    Server::start(folder.path()).stop();
}

#[test]
fn a_folder_of_something_else_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("letter.txt"), "not a city").unwrap();
    let ended = Server::try_start(folder.path(), &[]).err().expect("a stranger's folder must be refused");
    assert!(ended.err.contains(folder.path().to_str().unwrap()), "{}", ended.err);
    assert_eq!(std::fs::read_to_string(folder.path().join("letter.txt")).unwrap(), "not a city");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is left in it");
}

#[test]
fn an_address_that_others_can_reach_is_refused_with_the_reason() {
    let folder = tempfile::tempdir().unwrap();
    for address in ["0.0.0.0:0", "[::]:0", "192.0.2.1:8026"] {
        let data = folder.path().to_str().unwrap();
        for (auth, why) in [("off", "--auth off is refused"), ("on", "without TLS is refused")] {
            let ended = run(&["serve", "--data", data, "--listen", address, "--auth", auth]);
            assert_eq!(ended.code, Some(1), "{ended:?}");
            assert!(ended.err.contains(address) && ended.err.contains(why), "{}", ended.err);
            assert!(!ended.out.contains("ready"), "{}", ended.out);
        }
    }
    let ended = run(&["demo", "--listen", "0.0.0.0:0"]);
    assert_eq!(ended.code, Some(1), "{ended:?}");
}

#[test]
fn a_port_in_use_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let ended = run(&["serve", "--data", folder.path().to_str().unwrap(), "--listen", &address]);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.err.contains(&address), "{}", ended.err);
}

#[test]
fn wrong_usage_ends_with_2() {
    assert_eq!(run(&["serve"]).code, Some(2));
    assert_eq!(run(&["serve", "--data", "x", "--no-such-flag"]).code, Some(2));
    assert_eq!(run(&["frobnicate"]).code, Some(2));
    assert_eq!(run(&["--help"]).code, Some(0));
    assert_eq!(run(&["serve", "--help"]).code, Some(0));
    assert!(run(&["completion", "bash"]).out.contains("renkei"));
}

#[test]
fn probes_and_numbers_are_there() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    let client = server.client();
    assert_eq!(client.get("/health/live").json_of(200)["status"], "live");
    assert_eq!(client.get("/health/ready").json_of(200)["status"], "ready");
    let _ = client.post(ENTITIES, &thing(1, 1)).expect(201);
    eventually("the numbers tell of the entity", || {
        let numbers = client.get("/metrics").expect(200);
        assert!(numbers.header("content-type").unwrap().starts_with("text/plain"));
        numbers.text().lines().any(|line| line == "renkei_entities 1").then_some(())
    });
    let numbers = client.get("/metrics").text();
    for name in ["renkei_journal_bytes", "renkei_follower_behind", "renkei_changes_total"] {
        assert!(numbers.contains(name), "{name} is not in {numbers}");
    }
}

#[test]
fn sigterm_finishes_what_is_under_way_and_ends_with_0() {
    for name in ["TERM", "INT"] {
        let folder = tempfile::tempdir().unwrap();
        let mut server = Server::start(folder.path());
        // A request whose last byte is still to come when the signal does.
        let mut stream = TcpStream::connect(server.address()).unwrap();
        let body = thing(1, 1).to_string();
        let (first, last) = body.split_at(body.len() - 1);
        let head = format!(
            "POST {ENTITIES} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{first}",
            body.len()
        );
        stream.write_all(head.as_bytes()).unwrap();
        // It has arrived once a later request on another connection was answered.
        assert_eq!(server.client().get("/health/live").status, 200);
        std::thread::sleep(Duration::from_millis(100));
        signal(server.pid(), name);
        eventually("nothing new is accepted", || TcpStream::connect(server.address()).is_err().then_some(()));
        stream.write_all(last.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 201"), "{answer}");
        assert_eq!(server.wait_for_end().code(), Some(0), "{}", server.log());
        let server = Server::start(folder.path());
        assert_eq!(server.client().get(&format!("{ENTITIES}/urn:ngsi-ld:Thing:1")).status, 200);
    }
}

#[test]
fn the_log_of_a_server_that_nobody_watches_has_no_colours() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = Server::start(folder.path());
    assert!(server.stop_with("TERM").success());
    let log = server.log();
    assert!(log.contains("ready") && !log.contains('\u{1b}'), "{log}");
}

#[test]
fn a_log_file_is_put_aside_when_full_and_stays_within_its_bound() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("renkei.log");
    let city = folder.path().join("city");
    let bound = ["--log-file", log.to_str().unwrap(), "--log-file-mib", "1", "--log-files", "2", "--log", "trace"];
    let serve = ["serve", "--data", city.to_str().unwrap(), "--listen", "127.0.0.1:0"];
    let mut server = Server::launch(&[&serve[..], &bound].concat());
    server.wait_until_ready().unwrap();
    let client = server.client();
    let aside = |number: u32| folder.path().join(format!("renkei.log.{number}"));
    // Until the first file that was put aside has gone, too.
    let mut first = None;
    for _ in 0..200_000 {
        assert_eq!(client.get("/health/live").status, 200);
        let Ok(metadata) = aside(1).metadata() else { continue };
        let modified = metadata.modified().unwrap();
        if *first.get_or_insert(modified) != modified {
            break;
        }
    }
    assert!(first.is_some_and(|first| aside(1).metadata().unwrap().modified().unwrap() != first));
    server.stop();
    assert!(!aside(2).exists());
    let texts = [&aside(1), &log].map(|file| std::fs::read_to_string(file).unwrap());
    for text in &texts {
        assert!(text.len() <= 1 << 20 && text.ends_with('\n') && !text.contains('\u{1b}'), "{} bytes", text.len());
    }
    assert!(texts.concat().contains("stopped"));
    let ended = Server::try_start(&city, &["--log-file", "/nowhere/at/all.log"]).err().unwrap();
    assert!(ended.code == Some(1) && ended.err.contains("/nowhere/at/all.log"), "{ended:?}");
}

#[test]
fn doctor_tells_how_a_server_fares_and_what_a_folder_holds() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    let _ = server.client().post(ENTITIES, &thing(1, 1)).expect(201);
    let url = server.url();
    let ended = run(&["doctor", "--url", &url, "--json"]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let report: Value = serde_json::from_str(&ended.out).unwrap();
    assert_eq!((&report["healthy"], &report["tenants"][0]["entities"]), (&json!(true), &json!(1)));
    assert!(report["disk"]["freeBytes"].as_u64().unwrap() > report["disk"]["reserveBytes"].as_u64().unwrap());
    assert_eq!((&report["disk"]["daysLeft"], &report["disk"]["growthBytesPerDay"]), (&Value::Null, &Value::Null));
    let ended = run(&["doctor", "--url", &url]);
    assert!(ended.out.starts_with("healthy\n") && ended.out.contains("not known yet: 0 of 24 hours"), "{ended:?}");
    server.stop();
    let ended = run(&["doctor", "--url", &url]);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.err.contains("renkei serve"), "it must say what to do: {}", ended.err);
}

// A disk that is full.

fn write_until_refused(client: &Client) -> Value {
    let text = "x".repeat(200_000);
    for number in 0..10_000 {
        let mut entity = thing(number, 1);
        entity["text"] = json!({"type": "Property", "value": text});
        let answer = client.post(ENTITIES, &entity);
        match answer.status {
            201 => {}
            507 => return answer.json(),
            status => panic!("a write was answered {status}: {}", answer.text()),
        }
    }
    panic!("the disk never became full");
}

#[test]
fn below_the_reserve_writes_are_refused_with_507_and_reads_go_on() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    let _ = server.client().post(ENTITIES, &thing(1, 7)).expect(201);
    server.stop();
    // More than any disk has free.
    let server = Server::start_with(folder.path(), &["--disk-reserve-mib", "1000000000"]);
    let client = server.client();
    let problem = client.post(ENTITIES, &thing(2, 1)).json_of(507);
    assert_eq!(problem["code"], "CTX-002", "{problem}");
    let ended = run(&["doctor", "--url", &server.url()]);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.out.contains("! disk: Writes are refused") && ended.out.contains("Free some space"), "{ended:?}");
    assert_eq!(client.get(&format!("{ENTITIES}/urn:ngsi-ld:Thing:1")).json_of(200)["level"]["value"], 7);
    assert_eq!(client.get(&format!("{ENTITIES}/urn:ngsi-ld:Thing:2")).status, 404);
    server.stop();
    let server = Server::start(folder.path());
    let _ = server.client().post(ENTITIES, &thing(2, 1)).expect(201);
}

/// A server whose data folder is a small disk of its own, in a mount namespace that goes with it.
fn on_a_small_disk(folder: &Path) -> Option<(Server, PathBuf)> {
    let disk = folder.join("disk");
    std::fs::create_dir_all(&disk).unwrap();
    let mount = format!("mount -t tmpfs -o size=320m tmpfs {} && exec \"$@\"", disk.display());
    for flags in [&["-m"][..], &["-r", "-m"][..]] {
        let probe = std::process::Command::new("unshare")
            .args(flags)
            .args(["sh", "-c", &mount, "sh", "true"])
            .stderr(std::process::Stdio::null())
            .status();
        if probe.is_ok_and(|status| status.success()) {
            let before = [flags, &["sh", "-c", &mount, "sh"]].concat();
            let server = match Server::try_start_through("unshare", &before, &disk.join("city"), &[]) {
                Ok(server) => server,
                Err(ended) => panic!("the server did not start on the small disk: {ended:?}"),
            };
            let seen = PathBuf::from(format!("/proc/{}/root{}", server.pid(), disk.display()));
            return Some((server, seen));
        }
    }
    skipped("no small disk can be mounted here (unshare and mount -t tmpfs are not permitted)");
    None
}

/// What a full disk must not spoil, and what happens when there is space again.
fn full_disk(fill: impl FnOnce(&Client, &Path)) {
    let folder = tempfile::tempdir().unwrap();
    let Some((mut server, disk)) = on_a_small_disk(folder.path()) else { return };
    let client = server.client();
    let small = |value: Value| json!({"id": "urn:ngsi-ld:Small:1", "type": "Small", "level": {"type": "Property", "value": value}});
    let _ = client.post(ENTITIES, &small(json!(1))).expect(201);
    let ballast = disk.join("ballast");
    fill(&client, &ballast);
    let level = format!("{ENTITIES}/urn:ngsi-ld:Small:1/attrs/level");
    let stored = || {
        let answer = client.get(&format!("{ENTITIES}?type=Thing&limit=0&count=true")).expect(200);
        answer.header("ngsild-results-count").unwrap().parse::<usize>().unwrap()
    };
    let count = stored();
    for _ in 0..5 {
        let problem = client.patch(&level, &json!({"value": "x".repeat(300_000)})).json_of(507);
        assert_eq!(problem["code"], "CTX-002", "{problem}");
    }
    assert_eq!(client.get(&format!("{ENTITIES}/urn:ngsi-ld:Small:1")).json_of(200)["level"]["value"], 1);
    assert_eq!(client.get("/health/live").status, 200);
    std::fs::remove_file(&ballast).unwrap();
    eventually("writes go on when there is space", || {
        let answer = client.patch(&level, &json!({"value": 2}));
        assert!(matches!(answer.status, 204 | 507), "{}", answer.text());
        (answer.status == 204).then_some(())
    });
    assert_eq!(stored(), count);
    let past = client.get(&format!("{TEMPORAL}/urn:ngsi-ld:Small:1?options=temporalValues")).json_of(200);
    let values: Vec<&Value> = past["level"]["values"].as_array().unwrap().iter().map(|pair| &pair[0]).collect();
    assert_eq!(values.len(), 2, "a refused write is in the past: {past}");
    // What the disk holds is whole: it starts again, elsewhere, from a copy.
    let copy = folder.path().join("copy");
    server.kill_after(|| copy_folder(&disk.join("city"), &copy));
    let server = Server::start(&copy);
    let client = server.client();
    assert_eq!(client.get(&format!("{ENTITIES}/urn:ngsi-ld:Small:1")).json_of(200)["level"]["value"], 2);
    let answer = client.get(&format!("{ENTITIES}?type=Thing&limit=0&count=true")).expect(200);
    assert_eq!(answer.header("ngsild-results-count"), Some(count.to_string().as_str()));
}

#[test]
fn a_disk_that_our_own_writes_fill_refuses_them_until_there_is_space() {
    full_disk(|client, ballast| {
        std::fs::write(ballast, vec![1; 120 << 20]).unwrap();
        let problem = write_until_refused(client);
        assert_eq!(problem["code"], "CTX-002", "{problem}");
    });
}

#[test]
fn a_disk_that_another_program_fills_to_the_last_byte_refuses_writes_until_there_is_space() {
    full_disk(|_, ballast| {
        let mut file = std::fs::File::create(ballast).unwrap();
        let block = vec![1; 1 << 20];
        while file.write_all(&block).is_ok() {}
    });
}

// A disk that is damaged.

/// A stopped data folder with what a client saw of it.
struct Known {
    entities: BTreeMap<String, Value>,
    past: Value,
    endpoint: Value,
}

const THINGS: usize = 120;

fn make_city(folder: &Path) -> Known {
    let server = Server::start(folder);
    let client = server.client();
    for value in 0..3 {
        for part in 0..3 {
            let batch: Vec<Value> = (part * 40..(part + 1) * 40).map(|number| thing(number, value)).collect();
            assert!(client.post(&format!("{OPERATIONS}/upsert"), &Value::from(batch)).status < 300);
        }
    }
    // Of things that never come, so that nothing is sent.
    let endpoint = json!("http://127.0.0.1:9/never");
    let subscription = json!({"type": "Subscription", "entities": [{"type": "Nothing"}], "notification": {"endpoint": {"uri": endpoint}}});
    let _ = client.post(SUBSCRIPTIONS, &subscription).expect(201);
    let known = Known { entities: list(&client).unwrap(), past: past(&client, 5).unwrap(), endpoint };
    assert_eq!(known.entities.len(), THINGS);
    // History has followed, so that its pages are on the disk too.
    server.stop();
    known
}

/// All things, or that the server refused to tell.
fn list(client: &Client) -> Option<BTreeMap<String, Value>> {
    let answer = client.get(&format!("{ENTITIES}?type=Thing&limit=1000&options=sysAttrs"));
    if answer.status >= 500 {
        return None;
    }
    let listed = answer.json_of(200);
    Some(
        listed
            .as_array()
            .unwrap()
            .iter()
            .map(|entity| (entity["id"].as_str().unwrap().to_owned(), entity.clone()))
            .collect(),
    )
}

fn past(client: &Client, number: usize) -> Option<Value> {
    let answer = client.get(&format!("{TEMPORAL}/urn:ngsi-ld:Thing:{number}?options=sysAttrs"));
    if answer.status >= 500 { None } else { Some(answer.json_of(200)) }
}

/// Whether what a server on a damaged folder says is true or refused; never wrong.
fn assert_never_wrong(what: &str, outcome: Result<Server, Ended>, known: &Known) -> &'static str {
    let server = match outcome {
        Ok(server) => server,
        Err(ended) => {
            assert_eq!(ended.code, Some(1), "{what}: {ended:?}");
            let named =
                ["journal", "view", "format", "FORMAT", "state", "key"].iter().any(|word| ended.err.contains(word));
            assert!(named && ended.err.contains("renkei:"), "{what}: the refusal names nothing: {ended:?}");
            return "refused to start";
        }
    };
    let client = server.client();
    let mut outcome = "served what is true";
    match list(&client) {
        Some(found) => assert_eq!(found, known.entities, "{what}: a wrong answer"),
        None => {
            outcome = "refused to answer";
            for (id, expected) in &known.entities {
                let answer = client.get(&format!("{ENTITIES}/{}?options=sysAttrs", encode(id)));
                if answer.status < 500 {
                    assert_eq!(answer.json_of(200), *expected, "{what}: a wrong answer");
                }
            }
        }
    }
    match past(&client, 5) {
        Some(found) => assert_eq!(found, known.past, "{what}: a wrong past"),
        None => outcome = "refused to answer",
    }
    // What the indexes were made of.
    let answer =
        client.get(&path_with(ENTITIES, &[("type", "Thing"), ("q", "level==2"), ("limit", "0"), ("count", "true")]));
    if answer.status < 500 {
        assert_eq!(answer.expect(200).header("ngsild-results-count"), Some("120"), "{what}: a wrong count");
    }
    let answer = client.get(SUBSCRIPTIONS);
    if answer.status < 500 {
        let listed = answer.json_of(200);
        assert_eq!(
            listed[0]["notification"]["endpoint"]["uri"], known.endpoint,
            "{what}: a wrong subscription: {listed}"
        );
    }
    outcome
}

#[test]
fn a_flipped_bit_in_a_data_folder_is_refused_or_without_effect_and_never_served() {
    let (_, seed) = Random::of_this_run();
    let flips = std::env::var("RENKEI_FLIPS").ok().and_then(|count| count.parse().ok()).unwrap_or(FLIPS_DEFAULT);
    let folder = tempfile::tempdir().unwrap();
    let city = folder.path().join("city");
    let known = make_city(&city);
    let files: Vec<PathBuf> = files_below(&city)
        .into_iter()
        .filter(|file| !file.ends_with("LOCK") && file.metadata().unwrap().len() > 0)
        .collect();
    let mut outcomes: BTreeMap<&str, usize> = BTreeMap::new();
    for flip in 0..flips {
        // Each flip has a seed of its own: RENKEI_FLIPS=1 and that seed repeat it alone.
        let seed = seed.wrapping_add(flip);
        let mut random = Random::new(seed);
        let copy = folder.path().join(format!("copy-{flip}"));
        copy_folder(&city, &copy);
        // The journal and the view by turns, so that neither hides behind the other's size.
        let of_journal = |file: &&PathBuf| file.strip_prefix(&city).unwrap().starts_with("journal");
        let chosen: Vec<&PathBuf> = files.iter().filter(|file| of_journal(file) == (seed % 2 == 0)).collect();
        let file = chosen[random.below(chosen.len() as u64) as usize].strip_prefix(&city).unwrap();
        let mut bytes = std::fs::read(copy.join(file)).unwrap();
        // A file that was made larger than what it holds is damaged where it holds something.
        let used = bytes.iter().rposition(|byte| *byte != 0).map_or(bytes.len(), |last| last + 1);
        let (at, bit) = (random.below(used as u64) as usize, random.below(8));
        bytes[at] ^= 1 << bit;
        std::fs::write(copy.join(file), bytes).unwrap();
        let what = format!("bit {bit} of byte {at} of {} (seed {seed})", file.display());
        let outcome = assert_never_wrong(&what, Server::try_start(&copy, &[]), &known);
        println!("{what}: {outcome}");
        *outcomes.entry(outcome).or_default() += 1;
        std::fs::remove_dir_all(&copy).unwrap();
    }
    println!("{outcomes:?}");
}

/// Found by flipped bits: the engine panicked twice, and the process ended without a word of ours.
#[test]
fn a_damaged_head_of_the_engines_files_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let known = make_city(folder.path());
    let heads: Vec<PathBuf> =
        files_below(&folder.path().join("view")).into_iter().filter(|file| file.ends_with("v0")).collect();
    assert!(!heads.is_empty());
    for head in heads {
        let whole = std::fs::read(&head).unwrap();
        let mut bytes = whole.clone();
        bytes[9] ^= 1 << 2;
        std::fs::write(&head, bytes).unwrap();
        let what = format!("byte 9 of {}", head.display());
        let outcome = assert_never_wrong(&what, Server::try_start(folder.path(), &[]), &known);
        println!("{what}: {outcome}");
        std::fs::write(&head, whole).unwrap();
    }
    assert_eq!(list(&Server::start(folder.path()).client()).unwrap(), known.entities);
}

#[test]
fn a_torn_end_of_the_journal_is_cut_and_reported_and_what_was_acknowledged_stays() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = Server::start(folder.path());
    let _ = server.client().post(ENTITIES, &thing(1, 1)).expect(201);
    server.kill();
    let journal = files_below(&folder.path().join("journal")).pop().unwrap();
    let mut file = std::fs::OpenOptions::new().append(true).open(&journal).unwrap();
    file.write_all(&[0xA5; 37]).unwrap();
    drop(file);
    let server = Server::start(folder.path());
    assert_eq!(server.client().get(&format!("{ENTITIES}/urn:ngsi-ld:Thing:1")).status, 200);
    let name = journal.file_name().unwrap().to_str().unwrap();
    eventually("the cut is reported", || (server.log().contains("torn") && server.log().contains(name)).then_some(()));
}

#[test]
fn a_lost_view_is_made_again_from_the_journal() {
    let folder = tempfile::tempdir().unwrap();
    let known = make_city(folder.path());
    std::fs::remove_dir_all(folder.path().join("view")).unwrap();
    let server = Server::start(folder.path());
    assert_eq!(list(&server.client()).unwrap(), known.entities);
    assert_eq!(past(&server.client(), 5).unwrap(), known.past);
}

#[test]
fn a_lost_journal_is_noticed() {
    let folder = tempfile::tempdir().unwrap();
    let _ = make_city(folder.path());
    std::fs::remove_dir_all(folder.path().join("journal")).unwrap();
    let ended = Server::try_start(folder.path(), &[]).err().expect("a view without its journal must be refused");
    assert!(ended.err.contains("journal"), "{}", ended.err);
}
