//! The first minute: `renkei demo` shows an answer, answers what it tells people to type, says
//! that it is simulated, and ends on Ctrl-C.

#![allow(clippy::unwrap_used, reason = "a test fails loudly")]

use e2e_tests::{Client, ENTITIES, Server, eventually, run};
use serde_json::{Value, json};

fn demo(further: &[&str]) -> Server {
    let mut arguments = vec!["demo", "--listen", "127.0.0.1:0"];
    arguments.extend(further);
    let mut server = Server::launch(&arguments);
    if let Err(ended) = server.wait_until_ready() {
        panic!("the demo did not become ready: {ended:?}");
    }
    server
}

/// The paths of the `curl` lines that it prints.
fn printed_queries(server: &Server) -> Vec<String> {
    let base = server.url();
    server
        .out()
        .lines()
        .filter_map(|line| line.trim().strip_prefix("curl -s "))
        .map(|address| address.trim_matches('\'').strip_prefix(&base).expect("it names its own address").to_owned())
        .collect()
}

#[test]
fn the_demo_answers_the_queries_that_it_prints_and_shows_the_first_answer() {
    let mut server = demo(&[]);
    let out = server.out();
    assert!(out.contains("simulated"), "{out}");
    let client = server.client();
    let queries = printed_queries(&server);
    assert!(queries.len() >= 4, "it prints three queries and a subscription: {out}");
    for path in &queries {
        let answer = client.get(path).json_of(200);
        let told = match &answer {
            Value::Array(list) => !list.is_empty(),
            Value::Object(members) => !members.is_empty(),
            _ => false,
        };
        assert!(told, "{path} answers nothing");
    }
    // The first one's answer stands on the screen.
    let first = client.get(&queries[0]).json_of(200);
    for entity in first.as_array().unwrap() {
        let id = entity["id"].as_str().unwrap();
        assert!(out.contains(id), "{id} of the first answer is not on the screen: {out}");
    }
    let query = out.lines().find_map(|line| line.trim().strip_prefix("renkei query ")).expect("it prints a command");
    let words: Vec<&str> = std::iter::once("query").chain(query.split_whitespace()).collect();
    let ended = run(&words);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(ended.out.contains("Vehicle") || ended.out.contains("urn:"), "{}", ended.out);

    let status = server.stop_with("INT");
    assert_eq!(status.code(), Some(0), "{}", server.log());
}

#[test]
fn every_kind_of_thing_in_the_demo_says_that_it_is_simulated() {
    let server = demo(&["--seed", "3"]);
    let client = server.client();
    let types = client.get("/ngsi-ld/v1/types").json_of(200);
    let types: Vec<&str> = types["typeList"].as_array().unwrap().iter().map(|name| name.as_str().unwrap()).collect();
    assert!(types.len() >= 8, "wards, roads, buildings, water, weather, meters, buses, parking: {types:?}");
    for name in types {
        let found = client.get(&format!("{ENTITIES}?type={name}&limit=5")).json_of(200);
        for entity in found.as_array().unwrap() {
            assert!(
                entity.to_string().to_lowercase().contains("simulat"),
                "{entity} does not say that it is simulated"
            );
        }
    }
}

#[test]
fn the_demo_lives_and_tells_of_the_river() {
    let server = demo(&["--speed", "3600"]);
    let client = server.client();
    let level = |client: &Client| {
        let found = client.get(&format!("{ENTITIES}?type=WaterObserved&attrs=waterLevel&limit=1")).json_of(200);
        found[0]["waterLevel"]["observedAt"].as_str().unwrap().to_owned()
    };
    let first = level(&client);
    eventually("the town's time goes on", || (level(&client) > first).then_some(()));
    // SQL knows the same time: the town's, which is months from the machine's.
    let asked = "SELECT now() AS now, current_date AS day, (SELECT count(*) FROM history WHERE time >= now() - INTERVAL '1 day' AND time <= now()) AS readings";
    let told = client.get(&e2e_tests::path_with("/sql/v1/query", &[("q", asked)])).json_of(200);
    let row = &told[0];
    assert_eq!(row["now"].as_str().unwrap().get(..10), row["day"].as_str().unwrap().get(..10), "{told}");
    assert!(row["now"].as_str().unwrap().starts_with("2026-07-"), "{told}");
    assert!(row["readings"].as_u64() > Some(0), "{told}");
    eventually("the subscription tells of the river", || server.out().contains("notified ").then_some(()));
}

#[test]
fn the_same_seed_makes_the_same_town() {
    let ids = |seed: &str| {
        let server = demo(&["--seed", seed]);
        let found = server.client().get(&format!("{ENTITIES}?type=Building&limit=50&attrs=height&options=keyValues"));
        found.json_of(200)
    };
    let (first, again, other) = (ids("11"), ids("11"), ids("12"));
    assert_eq!(first, again);
    assert_ne!(first, other);
}

#[test]
fn a_kept_town_goes_on_where_it_was_left() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().to_str().unwrap();
    let mut server = demo(&["--data", data, "--speed", "3600"]);
    let count = |client: &Client| {
        let answer = client.get(&format!("{ENTITIES}?type=Building&limit=0&count=true")).expect(200);
        answer.header("ngsild-results-count").unwrap().to_owned()
    };
    let before = count(&server.client());
    assert_eq!(server.stop_with("INT").code(), Some(0));
    let mut server = demo(&["--data", data]);
    assert_eq!(count(&server.client()), before);
    assert_eq!(server.stop_with("TERM").code(), Some(0));
}

fn doctor(server: &Server) -> Value {
    let ended = run(&["doctor", "--url", &server.url(), "--json"]);
    serde_json::from_str(&ended.out).unwrap_or_else(|error| panic!("{error}: {ended:?}"))
}

/// The demo's clock runs faster than ours, so that a sensor is silent for long while somebody looks.
#[test]
fn the_doctor_tells_of_a_sensor_that_fell_silent_and_not_of_those_that_go_on() {
    let server = demo(&[]);
    let client = server.client();
    let id = "urn:ngsi-ld:Simulated:Quiet";
    let path = format!("{ENTITIES}/{id}");
    let quiet = json!({"id": id, "type": "SimulatedSensor", "level": {"type": "Property", "value": 0}});
    let _ = client.post(ENTITIES, &quiet).expect(201);
    let modified_at = || {
        let entity = client.get(&format!("{path}?options=sysAttrs")).json_of(200);
        entity["modifiedAt"].as_str().unwrap().to_owned()
    };
    // Readings as they are made: observed at the town's present time, which the server tells itself.
    for value in 1..8 {
        let now = modified_at();
        let reading = json!({"level": {"type": "Property", "value": value, "observedAt": now}});
        assert_eq!(client.patch(&format!("{path}/attrs"), &reading).status, 204);
        // The next one is observed later: the town's clock has gone on.
        eventually("the town's clock goes on", || {
            assert!(
                client.post(&format!("{path}/attrs"), &json!({"seen": {"type": "Property", "value": 1}})).status < 300
            );
            (modified_at() > now).then_some(())
        });
    }
    let report = eventually("the doctor tells of the silent sensor", || {
        let report = doctor(&server);
        let silent = report["silentSensors"].as_array().unwrap();
        silent.iter().any(|sensor| sensor["id"] == id).then_some(report)
    });
    let silent = report["silentSensors"].as_array().unwrap();
    let own = silent.iter().find(|sensor| sensor["id"] == id).unwrap();
    assert_eq!(own["attribute"], "level", "{own}");
    assert!(
        own["silentSeconds"].as_i64().unwrap() > 600 && own["advice"].as_str().unwrap().contains("sensor"),
        "{own}"
    );
    assert!(report["seriesJudged"].as_u64().unwrap() > silent.len() as u64, "the others go on: {report}");
    let told = run(&["doctor", "--url", &server.url()]);
    assert!(told.out.contains(" silent of ") && told.out.contains(": silent for "), "{}", told.out);
}

#[test]
fn the_doctor_tells_how_long_the_disk_lasts_once_a_day_was_seen() {
    let server = demo(&["--speed", "3600"]);
    let first = doctor(&server);
    assert_eq!(first["disk"]["daysLeft"], Value::Null, "{first}");
    assert!(first["disk"]["hoursSeen"].as_i64().unwrap() < 24, "{first}");
    let disk = eventually("a day of sizes was seen", || {
        let disk = doctor(&server)["disk"].clone();
        disk["growthBytesPerDay"].is_number().then_some(disk)
    });
    assert_eq!(disk["hoursSeen"], Value::Null, "{disk}");
    let grows = disk["growthBytesPerDay"].as_f64().unwrap() > 0.0;
    assert_eq!(disk["daysLeft"].as_f64().is_some_and(|days| days > 0.0), grows, "{disk}");
}
