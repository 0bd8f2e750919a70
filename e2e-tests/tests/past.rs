//! The past as a client sees it: aggregation (CIM 009 clause 4.5.19), the city as it was (`at=`), and SQL.

#![allow(clippy::unwrap_used, reason = "a test fails loudly")]

use e2e_tests::{API, Client, ENTITIES, OPERATIONS, Server, TEMPORAL, eventually, path_with, run};
use serde_json::{Value, json};

struct City {
    _folder: tempfile::TempDir,
    server: Server,
    client: Client,
}

fn city() -> City {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(&folder.path().join("city"));
    let client = server.client();
    City { _folder: folder, server, client }
}

const VEHICLE: &str = "urn:ngsi-ld:Vehicle:1";

/// Three readings within minutes of one attribute, and three within hours of another.
fn drive(client: &Client) {
    let at = |value: i64, time: &str| json!({"type": "Property", "value": value, "observedAt": time});
    let past = json!({
        "id": VEHICLE, "type": "Vehicle",
        "speed": [at(120, "2020-08-01T12:03:00Z"), at(80, "2020-08-01T12:05:00Z"), at(100, "2020-08-01T12:07:00Z")],
        "fuelLevel": [at(67, "2020-08-01T12:03:00Z"), at(53, "2020-08-01T13:05:00Z"), at(40, "2020-08-01T14:07:00Z")],
    });
    let _ = client.post(TEMPORAL, &past).expect(201);
}

fn aggregated(client: &Client, more: &[(&str, &str)]) -> Value {
    let mut parameters = vec![("options", "aggregatedValues")];
    parameters.extend_from_slice(more);
    client.get(&path_with(&format!("{TEMPORAL}/{VEHICLE}"), &parameters)).json_of(200)
}

// Clause 4.5.19.

#[test]
fn values_are_put_together_period_by_period() {
    let city = city();
    drive(&city.client);
    let hourly = aggregated(&city.client, &[("aggrMethods", "avg,max"), ("aggrPeriodDuration", "PT1H")]);
    assert_eq!(
        hourly["speed"],
        json!({"type": "Property",
            "avg": [[100, "2020-08-01T12:03:00Z", "2020-08-01T13:03:00Z"]],
            "max": [[120, "2020-08-01T12:03:00Z", "2020-08-01T13:03:00Z"]]})
    );
    let levels: Vec<(&Value, &Value)> =
        hourly["fuelLevel"]["avg"].as_array().unwrap().iter().map(|one| (&one[0], &one[1])).collect();
    assert_eq!(
        levels,
        [
            (&json!(67), &json!("2020-08-01T12:03:00Z")),
            (&json!(53), &json!("2020-08-01T13:03:00Z")),
            (&json!(40), &json!("2020-08-01T14:03:00Z")),
        ]
    );
    let every = ["totalCount", "distinctCount", "sum", "avg", "min", "max", "stddev", "sumsq"];
    let whole = aggregated(&city.client, &[("aggrMethods", &every.join(",")), ("attrs", "speed")]);
    let figures: Vec<&Value> = every.iter().map(|method| &whole["speed"][method][0][0]).collect();
    assert_eq!(figures, [3, 3, 300, 100, 80, 120, 20, 30_800].map(|figure| json!(figure)).iter().collect::<Vec<_>>());
    assert_eq!(whole["speed"]["sum"][0][2], "2020-08-01T12:07:00Z", "the whole ends with the last reading");
    assert!(whole.get("fuelLevel").is_none());
}

#[test]
fn periods_begin_where_the_question_begins() {
    let city = city();
    drive(&city.client);
    let asked = [
        ("aggrMethods", "totalCount"),
        ("aggrPeriodDuration", "P1D"),
        ("timerel", "between"),
        ("timeAt", "2020-07-31T15:00:00Z"),
        ("endTimeAt", "2020-08-02T15:00:00Z"),
    ];
    let daily = aggregated(&city.client, &asked);
    let wanted = json!([[3, "2020-07-31T15:00:00Z", "2020-08-01T15:00:00Z"]]);
    assert_eq!(daily["speed"]["totalCount"], wanted, "days of Tokyo begin at 15:00 UTC");
}

#[test]
fn a_question_by_post_aggregates_too() {
    let city = city();
    drive(&city.client);
    let path = format!("{API}/temporal/entityOperations/query");
    for asked in [
        json!({"temporalQ": {"timerel": "after", "timeAt": "2020-08-01T12:00:00Z"},
            "aggrParams": {"aggrMethods": ["avg"], "aggrPeriodDuration": "PT0S"}}),
        json!({"temporalQ": {"timerel": "after", "timeAt": "2020-08-01T12:00:00Z", "aggrMethods": "avg"}}),
    ] {
        let mut body = json!({"type": "Query", "entities": [{"type": "Vehicle"}]});
        body.as_object_mut().unwrap().extend(asked.as_object().unwrap().clone());
        let found = city.client.post(&path, &body).json_of(200);
        assert_eq!(found[0]["speed"]["avg"][0][0], 100, "{body}");
    }
}

#[test]
fn what_cannot_be_aggregated_is_said() {
    let city = city();
    drive(&city.client);
    let ask = |more: &[(&str, &str)]| {
        let mut parameters = vec![("options", "aggregatedValues")];
        parameters.extend_from_slice(more);
        let answer = city.client.get(&path_with(&format!("{TEMPORAL}/{VEHICLE}"), &parameters));
        (answer.status, answer.json()["detail"].as_str().unwrap_or_default().to_owned())
    };
    for (parameters, status, word) in [
        (&[][..], 400, "aggrMethods"),
        (&[("aggrMethods", "median")], 400, "median"),
        (&[("aggrMethods", "avg"), ("aggrPeriodDuration", "an hour")], 400, "aggrPeriodDuration"),
        (&[("aggrMethods", "avg"), ("aggrPeriodDuration", "PT0.1S")], 200, ""),
    ] {
        let (answered, detail) = ask(parameters);
        assert!(answered == status && detail.contains(word), "{parameters:?}: {answered} {detail}");
    }
    // A second of each of three hours would do; a million of them would not.
    let readings: Vec<Value> = (0..11_000)
        .map(|n| json!({"type": "Property", "value": n, "observedAt": format!("2021-01-01T{:02}:{:02}:{:02}Z", n / 3_600, n / 60 % 60, n % 60)}))
        .collect();
    let path = format!("{TEMPORAL}/{VEHICLE}/attrs");
    let _ = city.client.post(&path, &json!({"height": readings})).expect(204);
    let (status, detail) = ask(&[("aggrMethods", "avg"), ("aggrPeriodDuration", "PT1S"), ("attrs", "height")]);
    assert!(status == 403 && detail.contains("periods"), "{status} {detail}");
    let counted = aggregated(&city.client, &[("aggrMethods", "totalCount"), ("attrs", "height")]);
    assert_eq!(counted["height"]["totalCount"][0][0], 11_000);
}

#[test]
fn texts_flags_and_lists_are_counted_and_compared() {
    let city = city();
    let at = |value: Value, minute: u32| json!({"type": "Property", "value": value, "observedAt": format!("2020-08-01T12:{minute:02}:00Z")});
    let past = json!({
        "id": VEHICLE, "type": "Vehicle",
        "state": [at(json!("parked"), 1), at(json!("driving"), 2), at(json!("parked"), 3)],
        "lights": [at(json!(true), 1), at(json!(false), 2), at(json!(true), 3), at(json!(true), 4)],
        "seats": [at(json!(["a", "b"]), 1), at(json!(["a"]), 2)],
    });
    let _ = city.client.post(TEMPORAL, &past).expect(201);
    let shown = aggregated(&city.client, &[("aggrMethods", "min,max,avg,distinctCount")]);
    let figure = |attribute: &str, method: &str| shown[attribute][method][0][0].clone();
    assert_eq!((figure("state", "min"), figure("state", "max")), (json!("driving"), json!("parked")));
    assert_eq!((figure("state", "distinctCount"), figure("state", "avg")), (json!(2), Value::Null));
    assert_eq!((figure("lights", "avg"), figure("lights", "min")), (json!(0.75), json!(0)));
    assert_eq!((figure("seats", "avg"), figure("seats", "max")), (json!(1.5), json!(2)));
}

// `at=`: the city as it was.

#[test]
fn the_city_is_shown_as_it_was() {
    let city = city();
    let gauge = |level: f64, time: &str| json!([{"id": "urn:ngsi-ld:Gauge:1", "type": "Gauge", "level": {"type": "Property", "value": level, "observedAt": time}}]);
    for (level, time) in [(0.4, "2026-01-01T00:00:00Z"), (0.9, "2026-01-01T06:00:00Z"), (1.7, "2026-01-01T12:00:00Z")] {
        let _ = city.client.post(&format!("{OPERATIONS}/upsert"), &gauge(level, time));
    }
    let path = format!("{ENTITIES}/urn:ngsi-ld:Gauge:1");
    let then = |at: &str| city.client.get(&format!("{path}?options=keyValues&at={at}"));
    assert_eq!(then("2026-01-01T00:00:00Z").json_of(200)["level"], 0.4);
    assert_eq!(then("2026-01-01T11:59:59Z").json_of(200)["level"], 0.9);
    assert_eq!(then("2026-01-02T00:00:00Z").json_of(200)["level"], 1.7);
    assert_eq!(then("2025-12-31T23:59:59Z").status, 404, "nothing was known of it");
    assert_eq!(then("yesterday").status, 400);
    let high = |at: &str| {
        let parameters = [("type", "Gauge"), ("q", "level>0.5"), ("at", at), ("count", "true")];
        let answer = city.client.get(&path_with(ENTITIES, &parameters)).expect(200);
        answer.header("ngsild-results-count").unwrap().to_owned()
    };
    assert_eq!((high("2026-01-01T03:00:00Z"), high("2026-01-01T07:00:00Z")), ("0".to_owned(), "1".to_owned()));
}

#[test]
fn what_is_deleted_is_still_shown_as_it_was() {
    let city = city();
    let entity = json!({"id": "urn:ngsi-ld:Hall:1", "type": "Hall", "name": {"type": "Property", "value": "old"}, "use": {"type": "Property", "value": "sport"}});
    let _ = city.client.post(ENTITIES, &entity).expect(201);
    let path = format!("{ENTITIES}/urn:ngsi-ld:Hall:1");
    let known = |answer: Value| answer["name"]["modifiedAt"].as_str().unwrap().to_owned();
    let before = known(city.client.get(&format!("{path}?options=sysAttrs")).json_of(200));
    let _ = city.client.delete(&format!("{path}/attrs/use")).expect(204);
    let _ = city.client.patch(&format!("{path}/attrs/name"), &json!({"type": "Property", "value": "new"})).expect(204);
    let between = known(city.client.get(&format!("{path}?options=sysAttrs")).json_of(200));
    let _ = city.client.delete(&path).expect(204);
    let then = |at: &str| city.client.get(&format!("{path}?options=keyValues&at={at}"));
    let was = then(&before).json_of(200);
    assert_eq!((&was["name"], &was["use"]), (&json!("old"), &json!("sport")));
    let was = then(&between).json_of(200);
    assert_eq!((&was["name"], was.get("use")), (&json!("new"), None));
    assert_eq!(then("2100-01-01T00:00:00Z").status, 404, "it is gone");
    assert_eq!(city.client.get(&path).status, 404);
}

#[test]
fn a_deletion_is_taken_back() {
    let city = city();
    let entity = json!({"id": "urn:ngsi-ld:Hall:1", "type": "Hall", "scope": "/Koto",
        "height": {"type": "Property", "value": 31.5, "unitCode": "MTR", "observedAt": "2026-01-01T00:00:00Z",
            "accuracy": {"type": "Property", "value": 0.5}},
        "ward": {"type": "Relationship", "object": "urn:ngsi-ld:Ward:13108"}});
    let _ = city.client.post(ENTITIES, &entity).expect(201);
    let path = format!("{ENTITIES}/urn:ngsi-ld:Hall:1");
    let url = city.server.url();
    let undelete = |id: &str| run(&["undelete", "--url", &url, id]);
    assert!(undelete("urn:ngsi-ld:Hall:1").err.contains("CTX-010"), "it exists");
    let _ = city.client.delete(&path).expect(204);
    assert_eq!(city.client.get(&path).status, 404);
    let done = undelete("urn:ngsi-ld:Hall:1");
    assert!(done.code == Some(0) && done.out.contains("2 attributes"), "{} {}", done.out, done.err);
    assert_eq!(city.client.get(&path).json_of(200), entity);
    assert!(undelete("urn:ngsi-ld:Hall:2").err.contains("CTX-011"), "there never was one");
}

// How long the past is kept.

#[test]
fn the_past_is_forgotten_and_thinned_as_it_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("city");
    let server = Server::start(&data);
    drive(&server.client());
    // A minute of each of two hours: of an hour the first, the least, the greatest and the last stay.
    let readings: Vec<Value> = (0..120)
        .map(|n| json!({"type": "Property", "value": n * 7 % 60, "observedAt": format!("2021-01-01T{:02}:{:02}:00Z", n / 60, n % 60)}))
        .collect();
    let _ = server.client().post(&format!("{TEMPORAL}/{VEHICLE}/attrs"), &json!({"height": readings})).expect(204);
    server.stop();
    let counts = |server: &Server| {
        let found = rows(
            &server.client(),
            "SELECT attribute, count(*) AS n FROM history GROUP BY attribute ORDER BY attribute",
        );
        let counts = found.as_array().unwrap().iter().map(|row| row["n"].as_u64().unwrap());
        counts.collect::<Vec<_>>()
    };
    let server = Server::start_with(&data, &["--history-thin", "P1D=PT1H"]);
    eventually("the past is thinned", || (counts(&server) == [3, 6, 3]).then_some(()));
    let shown = server.client().get("/ops/v1/doctor").json_of(200);
    assert!(shown["history"]["exactFrom"].is_string() && shown["history"]["keptFrom"].is_null(), "{shown}");
    server.stop();
    let server = Server::start_with(&data, &["--history-keep", "P1D"]);
    eventually("the past is forgotten", || (counts(&server) == [1, 1, 1]).then_some(()));
    let path = format!("{ENTITIES}/{VEHICLE}");
    let answer = server.client().get(&format!("{path}?at=2020-08-01T12:04:00Z"));
    assert_eq!((answer.status, &answer.json()["code"]), (404, &json!("HIS-006")));
    server.stop();
    let wrong = run(&["serve", "--data", "unused", "--history-keep", "a year"]);
    assert!(wrong.code == Some(2) && wrong.err.contains("P10Y"), "{}", wrong.err);
}

// SQL.

fn rows(client: &Client, statement: &str) -> Value {
    client.get(&path_with("/sql/v1/query", &[("q", statement)])).json_of(200)
}

#[test]
fn sql_answers_over_what_is_and_what_was() {
    let city = city();
    drive(&city.client);
    let buildings: Vec<Value> = (1..=50)
        .map(|n| {
            json!({"id": format!("urn:ngsi-ld:Building:{n:02}"), "type": "Building", "scope": "/Koto",
                "height": {"type": "Property", "value": n, "unitCode": "MTR"},
                "public": {"type": "Property", "value": n % 2 == 0},
                "use": {"type": "Property", "value": if n % 5 == 0 { "school" } else { "home" }},
                "location": {"type": "GeoProperty", "value": {"type": "Point", "coordinates": [139.8, 35.6]}}})
        })
        .collect();
    let _ = city.client.post(&format!("{OPERATIONS}/create"), &Value::from(buildings)).expect(201);
    let names: Vec<String> = rows(&city.client, "SHOW TABLES")
        .as_array()
        .unwrap()
        .iter()
        .filter(|row| row["table_schema"] == "city")
        .map(|row| row["table_name"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(names, ["entities", "attributes", "history", "Building", "Vehicle"]);
    let high = rows(&city.client, "SELECT id, height, public FROM Building WHERE height > 48 ORDER BY height DESC");
    assert_eq!(
        high,
        json!([{"id": "urn:ngsi-ld:Building:50", "height": 50.0, "public": true},
               {"id": "urn:ngsi-ld:Building:49", "height": 49.0, "public": false}])
    );
    let by_use =
        rows(&city.client, "SELECT use, count(*) AS n, max(height) AS top FROM Building GROUP BY use ORDER BY use");
    assert_eq!(by_use, json!([{"use": "home", "n": 40, "top": 49.0}, {"use": "school", "n": 10, "top": 50.0}]));
    let first =
        rows(&city.client, "SELECT id, type, scope, longitude FROM entities WHERE id = 'urn:ngsi-ld:Building:07'");
    assert_eq!(
        first,
        json!([{"id": "urn:ngsi-ld:Building:07", "type": "Building", "scope": "/Koto", "longitude": 139.8}])
    );
    let hourly = rows(
        &city.client,
        "SELECT date_bin(INTERVAL '1 hour', time) AS hour, avg(number) AS level, count(*) AS n FROM history \
         WHERE attribute = 'fuelLevel' AND time >= '2020-08-01T13:00:00Z' GROUP BY hour ORDER BY hour",
    );
    assert_eq!(
        hourly,
        json!([{"hour": "2020-08-01T13:00:00Z", "level": 53.0, "n": 1}, {"hour": "2020-08-01T14:00:00Z", "level": 40.0, "n": 1}])
    );
    let units = rows(
        &city.client,
        "SELECT DISTINCT unit_code, value FROM attributes WHERE attribute = 'height' AND number = 7",
    );
    assert_eq!(units, json!([{"unit_code": "MTR", "value": "7"}]));
    assert_eq!(rows(&city.client, "SELECT count(*) AS n FROM history")[0]["n"], 6 + 50 * 4);
}

#[test]
fn sql_reads_and_does_nothing_else() {
    let city = city();
    drive(&city.client);
    for statement in [
        "DELETE FROM entities",
        "INSERT INTO entities VALUES ('a')",
        "UPDATE entities SET id = 'a'",
        "CREATE TABLE mine AS SELECT 1",
        "CREATE EXTERNAL TABLE passwd STORED AS CSV LOCATION '/etc/passwd'",
        "COPY (SELECT 1) TO '/tmp/renkei-sql-test.csv'",
        "DROP TABLE entities",
        "SET datafusion.execution.batch_size = 1",
        "SELECT * FROM '/etc/passwd'",
        "SELECT 1; SELECT 2",
        "SELECT nothing FROM entities",
        "SELEC",
        "",
    ] {
        let answer = city.client.get(&path_with("/sql/v1/query", &[("q", statement)]));
        let problem = answer.json();
        assert!(answer.status == 400 && problem["code"] == "SQL-001", "{statement}: {} {problem}", answer.status);
        assert!(!problem["detail"].as_str().unwrap().is_empty(), "{statement}");
    }
    assert!(!std::path::Path::new("/tmp/renkei-sql-test.csv").exists());
    // Many operators, many rows: refused, and the server goes on.
    let deep = format!("SELECT 1{}", "+1".repeat(20_000));
    let answer = city.client.request("POST", "/sql/v1/query").body("application/sql", deep).answer();
    assert_eq!((answer.status, &answer.json()["code"]), (403, &json!("SQL-007")));
    let many = format!("SELECT 1{}", "+1".repeat(490));
    let answer = city.client.request("POST", "/sql/v1/query").body("application/sql", many).answer();
    assert_eq!(answer.status, 200, "{}", answer.text());
    let texts = city.client.get(&path_with("/sql/v1/query", &[("q", "SELECT repeat('x', 1000000000)")]));
    assert_eq!(texts.status, 400, "what makes texts of any length is not there");
    let numbers = "SELECT a.value FROM generate_series(1, 100000) a CROSS JOIN generate_series(1, 100000) b";
    let answer = city.client.get(&path_with("/sql/v1/query", &[("q", numbers)]));
    assert_eq!((answer.status, &answer.json()["code"]), (403, &json!("SQL-003")));
    assert_eq!(rows(&city.client, "SELECT 1 AS one"), json!([{"one": 1}]));
}

#[test]
fn sql_of_one_tenant_sees_no_other() {
    let city = city();
    drive(&city.client);
    let other = city.client.tenant("sumida");
    let entity = json!({"id": "urn:ngsi-ld:Secret:1", "type": "Secret", "canary": {"type": "Property", "value": 7}});
    let _ = other.post(ENTITIES, &entity).expect(201);
    for table in ["entities", "attributes", "history", "information_schema.tables", "information_schema.columns"] {
        let own = rows(&city.client, &format!("SELECT * FROM {table}")).to_string();
        assert!(!own.contains("ecret") && !own.contains("canary"), "{table}: {own}");
    }
    assert_eq!(rows(&other, "SELECT canary FROM Secret"), json!([{"canary": 7.0}]));
}

#[test]
fn sql_comes_as_csv_as_arrow_and_on_the_command_line() {
    let city = city();
    drive(&city.client);
    let statement = "SELECT attribute, count(*) AS n FROM history GROUP BY attribute ORDER BY attribute";
    let csv = city.client.get(&path_with("/sql/v1/query", &[("q", statement), ("format", "csv")])).expect(200);
    assert_eq!(csv.header("content-type"), Some("text/csv"));
    assert_eq!(csv.text(), "attribute,n\nfuelLevel,3\nspeed,3\n");
    let arrow = city.client.get(&path_with("/sql/v1/query", &[("q", statement), ("format", "arrow")])).expect(200);
    assert_eq!(arrow.header("renkei-rows"), Some("2"));
    assert!(arrow.body.starts_with(&[0xff; 4]), "an Arrow stream begins with its continuation mark");
    let url = city.server.url();
    let shown = run(&["sql", "--url", &url, "-q", statement]);
    assert_eq!(shown.out, "attribute  n\nfuelLevel  3\nspeed      3\n", "{}", shown.err);
    let wrong = run(&["sql", "--url", &url, "-q", "SELECT nothing FROM history"]);
    assert!(wrong.code == Some(1) && wrong.err.contains("nothing"), "{}", wrong.err);
}
