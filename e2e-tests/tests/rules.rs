//! Rules over the past: windows, versions, and what a rule would have suggested before it goes live.

#![allow(clippy::unwrap_used, reason = "a test fails loudly")]

mod control;

use control::{BARRIER, actuator, closed, is, read, rule, set_up, suggested, suggestions, token};
use e2e_tests::{Client, ENTITIES, Server, eventually, run};
use serde_json::{Value, json};

const GAUGE: &str = "urn:ngsi-ld:WaterObserved:7";
const TEST: &str = "/ops/v1/rules/test";

/// A quiet gauge that rises twice, one reading every ten minutes from midnight on.
fn gauge_of_a_night(client: &Client) {
    for (at, level) in [1.0, 2.5, 2.6, 1.0, 1.0, 2.2, 2.3].into_iter().enumerate() {
        let level = json!({"type": "Property", "value": level, "observedAt": minute(10 * at)});
        let gauge = json!([{"id": GAUGE, "type": "WaterObserved", "waterLevel": level}]);
        let upsert = client.post("/ngsi-ld/v1/entityOperations/upsert?options=update", &gauge);
        assert!(matches!(upsert.status, 201 | 204), "{}", upsert.text());
    }
}

fn minute(minute: usize) -> String {
    format!("2024-06-01T{:02}:{:02}:00Z", minute / 60, minute % 60)
}

fn asked(when: &str, until: Option<&str>) -> Value {
    let mut rule = rule("PT30M");
    rule["when"] = when.into();
    match until {
        Some(until) => rule["until"] = until.into(),
        None => drop(rule.as_object_mut().unwrap().remove("until")),
    }
    json!({"rule": rule, "since": "2024-05-31T23:50:00Z", "until": "2024-06-01T02:00:00Z"})
}

/// When what was found began and ended.
fn spans(found: &Value) -> Vec<(&str, Option<&str>)> {
    let found = found["suggestions"].as_array().unwrap();
    found.iter().map(|one| (one["at"].as_str().unwrap(), one["endedAt"].as_str())).collect()
}

#[test]
fn a_rule_is_held_against_the_past_before_it_goes_live() {
    let folder = tempfile::tempdir().unwrap();
    let (server, operator) = closed(folder.path());
    gauge_of_a_night(&operator);
    let plain = operator.post(TEST, &asked("waterLevel > 2.0", Some("waterLevel < 1.6"))).json_of(200);
    assert_eq!(spans(&plain), [("2024-06-01T00:10:00Z", Some("2024-06-01T00:30:00Z")), ("2024-06-01T00:50:00Z", None)]);
    let first = &plain["suggestions"][0];
    assert_eq!((&first["why"], &first["about"]), (&json!("The river stands at 2.5 m."), &json!(GAUGE)));
    assert_eq!(first["proposes"][0], json!({"entity": BARRIER, "attribute": "setPosition", "value": "closed"}));
    assert_eq!((&first["evidence"][0]["value"], &first["deadline"]), (&json!(2.5), &json!("2024-06-01T00:40:00Z")));
    assert_eq!((&plain["entities"], &plain["cut"]), (&json!(1), &json!(false)));

    // The low reading of midnight leaves the window after 25 minutes, though nothing was read then.
    let mean = operator.post(TEST, &asked("mean(waterLevel, \"PT25M\") > 2.4", None)).json_of(200);
    assert_eq!(spans(&mean), [("2024-06-01T00:25:00Z", Some("2024-06-01T00:30:00Z"))]);
    let silent = operator.post(TEST, &asked("absent(waterLevel, \"PT15M\")", None)).json_of(200);
    let ends: Vec<_> = spans(&silent);
    assert_eq!(ends.last().unwrap(), &("2024-06-01T01:15:00Z", None), "nothing was read after one o'clock: {ends:?}");
    let held = operator.post(TEST, &asked("held(waterLevel, 1.0, \"PT1H\") >= 1200.0", None)).json_of(200);
    assert_eq!(spans(&held)[0].0, "2024-06-01T00:40:00Z", "ten minutes at first, and ten later");

    // Nothing of it was written, and the command line says the same.
    assert_eq!(suggestions(&operator, "open"), Vec::<Value>::new());
    assert_eq!(operator.get("/ops/v1/rules").json_of(200)["rules"], json!([]));
    let (file, secret) = (folder.path().join("rule.json"), folder.path().join("keys/operator.token"));
    std::fs::write(&file, asked("waterLevel > 2.0", None)["rule"].to_string()).unwrap();
    let (file, secret, url) = (file.to_str().unwrap(), secret.to_str().unwrap(), server.url());
    let since = "2024-05-31T23:50:00Z";
    let said = run(&["rule", "test", file, "--since", since, "--url", &url, "--token-file", secret]);
    assert_eq!(said.code, Some(0), "{said:?}");
    for part in ["2024-06-01T00:10:00Z", "The river stands at 2.5 m.", "ends 2024-06-01T00:30:00Z", "2 suggestions"] {
        assert!(said.out.contains(part), "{part}: {said:?}");
    }

    // Who may not see the readings finds nothing in them; who may not operate does not ask.
    let words = json!({"words": "role operator may not read waterLevel of WaterObserved"});
    is(operator.post("/trust/v1/policies", &words), 201);
    let blind = server.client().token(&token(&operator, "operator"));
    let unseen = blind.post(TEST, &asked("waterLevel > 2.0 || absent(waterLevel, \"PT1H\")", None)).json_of(200);
    assert_eq!(unseen["suggestions"], json!([]), "{unseen}");
    let developer = server.client().token(&token(&operator, "developer"));
    assert_eq!(developer.post(TEST, &asked("waterLevel > 2.0", None)).status, 403);
    let mut wrong = asked("waterLevel > 2.0", None);
    wrong["since"] = "yesterday".into();
    assert_eq!(operator.post(TEST, &wrong).status, 400);
    assert_eq!(operator.post(TEST, &asked("mean(waterLevel) > 2.0", None)).json_of(400)["code"], "INS-005");
}

#[test]
fn a_suggestion_names_the_version_of_its_rule() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    let client = server.client();
    set_up(&client, &actuator("http://127.0.0.1:9/"), "PT30M");
    read(&client, 3.0);
    suggested(&client);
    assert_eq!(suggestions(&client, "open")[0]["ruleVersion"], 1);
    let mut stricter = rule("PT30M");
    (stricter["when"], stricter["until"]) = ("waterLevel > 4.0".into(), "waterLevel < 3.5".into());
    assert_eq!(client.post("/ops/v1/rules", &stricter).json_of(200)["version"], 2);
    eventually("its withdrawal", || suggestions(&client, "withdrawn").first().cloned());
    // The same reading, and the rule as it was at first: another suggestion of another version.
    assert_eq!(client.post("/ops/v1/rules", &rule("PT30M")).json_of(200)["version"], 3);
    suggested(&client);
    assert_eq!(suggestions(&client, "open")[0]["ruleVersion"], 3);
    assert_eq!(client.get("/ops/v1/rules").json_of(200)["rules"][0]["version"], 3);
}

#[test]
fn a_live_rule_looks_at_windows_also_where_nothing_changes() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    let client = server.client();
    let live = |name: &str, when: &str| {
        let suggest = json!({"what": "Look at it", "why": "It stands at {waterLevel}.", "within": "PT30M"});
        is(
            client.post(
                "/ops/v1/rules",
                &json!({"name": name, "watch": "WaterObserved", "when": when, "suggest": suggest}),
            ),
            201,
        );
    };
    live("often", "count(waterLevel, \"PT1H\") >= 3.0");
    live("silent", "absent(waterLevel, \"PT3S\")");
    let of_rule = |name: &str, status: &str| suggestions(&client, status).iter().any(|one| one["rule"] == name);
    for level in [1.0, 2.0] {
        read(&client, level);
    }
    eventually("the silence", || of_rule("silent", "open").then_some(()));
    assert!(!of_rule("often", "open"), "two readings are not three");
    read(&client, 3.0);
    eventually("three readings", || of_rule("often", "open").then_some(()));
    eventually("the end of the silence", || of_rule("silent", "withdrawn").then_some(()));
    assert!(client.get(&format!("{ENTITIES}?type=WaterObserved")).json_of(200).as_array().unwrap().len() == 1);
}
