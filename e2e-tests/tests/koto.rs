//! Real city data end to end: files of Koto and Sumida go through `renkei import` into a running
//! server, and what comes back is compared with the raw files, read by other means.
//!
//! The slices are sized for every test run; `RENKEI_FULL=1` takes the whole files.
#![allow(clippy::unwrap_used, reason = "a failed test may say so by a panic")]

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

use e2e_tests::{API, Ended, Server, data_folder, encode, run, skipped};
use flate2::read::MultiGzDecoder;
use serde_json::{Value, json};
use tempfile::TempDir;

/// Depth and distance of the question, and the attribute that it asks for.
const DEPTH_M: &str = "3.0";
const METRES: &str = "400";
const DEPTH: &str = "floodDepthArakawaL2";
/// A distance so close to the limit could be decided differently by a last digit.
const TIE_M: f64 = 1e-6;

/// Sizes of the slices. Of the accidents every 14th: some columns begin in later years.
const ACCIDENTS_EVERY: usize = 14;
const WEATHER_ROWS: usize = 60_000;
const BUILDINGS_AGAIN: usize = 1_500;

struct City {
    server: Server,
    folder: TempDir,
}

impl City {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self { server: Server::start(&folder.path().join("city")), folder }
    }

    /// Runs a command of the binary against this server.
    fn ask(&self, arguments: &[&str]) -> Ended {
        let mut all = arguments.to_vec();
        let url = self.server.url();
        all.extend(["--url", &url]);
        run(&all)
    }

    #[track_caller]
    fn json(&self, arguments: &[&str]) -> Value {
        let ended = self.ask(arguments);
        assert_eq!(ended.code, Some(0), "{arguments:?}: {}", ended.err);
        serde_json::from_str(&ended.out).unwrap_or_else(|error| panic!("{arguments:?}: {error}: {}", ended.out))
    }

    fn import_with(&self, map: &str, files: &[&Path], further: &[&str]) -> Ended {
        let map = mapping(map);
        let mut arguments = vec!["import", "--map", text(&map)];
        arguments.extend(files.iter().map(|file| text(file)));
        arguments.extend(further);
        self.ask(&arguments)
    }

    /// The report of an import in which nothing is refused.
    #[track_caller]
    fn import(&self, map: &str, files: &[&Path]) -> Value {
        let ended = self.import_with(map, files, &["--json"]);
        assert_eq!(ended.code, Some(0), "{files:?}: {}{}", ended.out, ended.err);
        serde_json::from_str(&ended.out).unwrap()
    }

    fn count(&self, further: &[&str]) -> u64 {
        let mut arguments = vec!["query", "--count", "--json"];
        arguments.extend(further);
        self.json(&arguments)["count"].as_u64().unwrap()
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// An export as a text.
    #[track_caller]
    fn export(&self, further: &[&str]) -> String {
        let mut arguments = vec!["export"];
        arguments.extend(further);
        let ended = self.ask(&arguments);
        assert_eq!(ended.code, Some(0), "{}", ended.err);
        ended.out
    }
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn mapping(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/koto").join(name)
}

fn lines_of(path: &Path) -> impl Iterator<Item = String> {
    BufReader::new(MultiGzDecoder::new(File::open(path).unwrap())).lines().map(Result::unwrap)
}

/// The first lines of a compressed file, as a file of its own.
fn slice(of: &Path, lines: usize, to: &Path) {
    let mut out = File::create(to).unwrap();
    for line in lines_of(of).take(lines) {
        writeln!(out, "{line}").unwrap();
    }
}

fn is_full() -> bool {
    std::env::var_os("RENKEI_FULL").is_some_and(|value| value == "1")
}

fn ids(list: &Value) -> BTreeSet<String> {
    list.as_array().unwrap().iter().map(|id| id.as_str().unwrap().to_owned()).collect()
}

/// The answer of `koto_oracle.py`, which shares nothing with the product.
fn oracle(data: &Path) -> Option<Value> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("koto_oracle.py");
    let output = match Command::new("python3").arg(script).arg(data).args([METRES, DEPTH_M]).output() {
        Ok(output) => output,
        Err(error) => {
            skipped(&format!("python3 cannot be started ({error}); it computes the answer to compare with"));
            return None;
        }
    };
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Some(serde_json::from_slice(&output.stdout).unwrap())
}

#[test]
fn the_flood_question_has_the_answer_of_an_independent_computation() {
    let Some(data) = data_folder("tokyo-koto") else { return };
    let city = City::start();
    let buildings = [data.join("buildings_13107.geojsonl.gz"), data.join("buildings_13108.geojsonl.gz")];
    let shelters = [data.join("shelters_evacuation_131083.json"), data.join("shelters_evacuation_131075.json")];
    let report = city.import("buildings.yaml", &[&buildings[0], &buildings[1]]);
    assert_eq!(
        (&report["read"], &report["applied"], &report["rejected"]),
        (&json!(101_830), &json!(101_830), &json!(0))
    );
    let report = city.import("shelters.yaml", &[&shelters[0], &shelters[1]]);
    assert_eq!(report["applied"], 241);

    let condition = format!("{DEPTH}>={DEPTH_M}");
    let question = ["query", "--type", "Building", "--q", &condition, "--none-nearby", "EvacuationShelter"];
    let question = [&question[..], &["--metres", METRES, "--unknown-without", DEPTH, "--format", "ids"]].concat();
    let told = city.ask(&question);
    assert_eq!(told.code, Some(0), "{}", told.err);
    let printed: Vec<&str> = told.out.lines().collect();
    let answer = city.json(&[&question[..], &["--json"]].concat());
    let (matched, unknown) = (ids(&answer["matched"]), ids(&answer["unknown"]));
    assert_eq!(answer["withoutPlace"], json!([]));
    assert_eq!(printed.len(), matched.len(), "the ids stand on a line each, and nothing else does");
    assert_eq!(printed.iter().map(|id| (*id).to_owned()).collect::<BTreeSet<_>>(), matched);
    assert!(told.err.contains(&format!("{} match", matched.len())), "{}", told.err);
    assert!(told.err.contains(&format!("{} have no {DEPTH}: unknown", unknown.len())), "{}", told.err);

    if let Some(expected) = oracle(&data) {
        let margin = expected["closest_to_limit_m"].as_f64().unwrap();
        assert!(margin > TIE_M, "a building lies {margin} m from the limit; neither answer would be wrong");
        assert!(!matched.is_empty() && !unknown.is_empty());
        assert_eq!(matched, ids(&expected["matched"]));
        assert_eq!(unknown, ids(&expected["unknown"]), "no depth in the source is unknown, not dry");
        assert_eq!(city.count(&["--type", "Building", "--q", &condition]), expected["deep"].as_u64().unwrap());
    }
    exports_are_read_by_others(&city);
}

/// Every building stands in the GeoJSON and in the CSV, which are read here by plain means.
fn exports_are_read_by_others(city: &City) {
    let (geojson, csv) = (city.file("buildings.geojson"), city.file("buildings.csv"));
    let sumida = ["--type", "Building", "--scope-q", "/Sumida"];
    let _ = city.export(&[&["geojson", "--out", text(&geojson)][..], &sumida].concat());
    let collection: Value = serde_json::from_reader(BufReader::new(File::open(&geojson).unwrap())).unwrap();
    let features = collection["features"].as_array().unwrap();
    let with_depth = |feature: &&Value| feature["properties"].get(DEPTH).is_some_and(Value::is_number);
    assert_eq!((features.len(), features.iter().filter(with_depth).count()), (46_371, 46_267));
    assert!(features.iter().all(|feature| feature["geometry"]["type"] == "Polygon" && feature["id"].is_string()));

    let _ = city.export(&[&["csv", "--out", text(&csv)][..], &sumida].concat());
    let mut rows = BufReader::new(File::open(&csv).unwrap()).lines().map(|line| cells(&line.unwrap()));
    let header = rows.next().unwrap();
    let depth = header.iter().position(|name| name == DEPTH).unwrap();
    let rows: Vec<Vec<String>> = rows.collect();
    assert!(rows.iter().all(|row| row.len() == header.len()), "each row has a cell for each column");
    assert_eq!((rows.len(), rows.iter().filter(|row| !row[depth].is_empty()).count()), (46_371, 46_267));
}

/// One line of RFC 4180 without line breaks inside.
fn cells(line: &str) -> Vec<String> {
    let (mut cells, mut cell, mut quoted) = (Vec::new(), String::new(), false);
    let mut chars = line.trim_end_matches('\r').chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '"' if quoted && chars.peek() == Some(&'"') => {
                chars.next();
                cell.push('"');
            }
            '"' => quoted = !quoted,
            ',' if !quoted => cells.push(std::mem::take(&mut cell)),
            c => cell.push(c),
        }
    }
    cells.push(cell);
    cells
}

#[test]
fn an_import_may_be_repeated_and_leaves_the_same_entities() {
    let Some(data) = data_folder("tokyo-koto") else { return };
    let city = City::start();
    let buildings = city.file("buildings.geojsonl");
    slice(&data.join("buildings_13108.geojsonl.gz"), BUILDINGS_AGAIN, &buildings);
    let wards = data.join("municipal-boundaries-tokyo-N03-2021.geojson.gz");
    let shelters = data.join("shelters_evacuation_131083.json");
    let import_all = || {
        for (map, file, rows) in [
            ("buildings.yaml", &buildings, BUILDINGS_AGAIN as u64),
            ("wards.yaml", &wards, 62),
            ("shelters.yaml", &shelters, 202),
        ] {
            assert_eq!(city.import(map, &[file])["applied"], rows, "{map}");
        }
        ["Building", "AdministrativeArea", "EvacuationShelter"].map(|name| city.export(&["ngsi-ld", "--type", name]))
    };
    let (first, second) = (import_all(), import_all());
    assert_eq!(first.each_ref().map(|all| all.lines().count()), [BUILDINGS_AGAIN, 62, 202]);
    assert!(first == second, "the second import changed what the entities say");
}

#[test]
fn a_file_that_is_unavailable_is_told_and_the_next_one_goes_on() {
    let Some(data) = data_folder("tokyo-koto") else { return };
    let city = City::start();
    let (koto, taito) = (data.join("shelters_emergency_131083.json"), data.join("shelters_emergency_131067.json"));
    let sites: Value = serde_json::from_reader(File::open(&taito).unwrap()).unwrap();
    let sites = sites["features"].as_array().unwrap().len() as u64;
    let ended = city.import_with("emergency-sites.yaml", &[&koto, &taito], &["--json"]);
    assert_eq!(ended.code, Some(1), "{}", ended.err);
    assert!(ended.err.contains("shelters_emergency_131083.json") && ended.err.contains("unavailable"), "{}", ended.err);
    let report: Value = serde_json::from_str(&ended.out).unwrap();
    assert_eq!((&report["applied"], &report["rejected"]), (&json!(sites), &json!(0)));
    let unreadable = report["unreadable"].as_array().unwrap();
    assert_eq!(unreadable.len(), 1);
    assert!(unreadable[0]["file"].as_str().unwrap().ends_with("shelters_emergency_131083.json"));
    assert_eq!(city.count(&["--type", "EmergencyEvacuationSite"]), sites);
}

#[test]
fn rows_that_cannot_be_used_stand_in_the_reject_file_and_the_exit_status_says_how_it_ended() {
    let Some(data) = data_folder("tokyo-koto") else { return };
    let city = City::start();
    let (accidents, rejects) = (city.file("accidents.csv"), city.file("rejected.ndjson"));
    slice(&data.join("accidents_npa_2019_2022_tokyo23.csv.gz"), 51, &accidents);
    let good = std::fs::read_to_string(&accidents).unwrap();
    let mut lines: Vec<String> = good.lines().map(str::to_owned).collect();
    // Line 10 of the file: a latitude that is none. Line 20: no id. Line 30: a cell too few.
    let change = |line: &str, column: usize, cell: &str| {
        let mut cells: Vec<&str> = line.split(',').collect();
        cells[column] = cell;
        cells.join(",")
    };
    lines[9] = change(&lines[9], 2, "north");
    lines[19] = change(&lines[19], 0, "");
    lines[29] = lines[29].rsplit_once(',').unwrap().0.to_owned();
    std::fs::write(&accidents, lines.join("\n")).unwrap();
    let ended = city.import_with("accidents.yaml", &[&accidents], &["--json", "--reject", text(&rejects)]);
    assert_eq!(ended.code, Some(3), "{}", ended.err);
    let report: Value = serde_json::from_str(&ended.out).unwrap();
    assert_eq!([&report["read"], &report["applied"], &report["rejected"]], [&json!(50), &json!(47), &json!(3)]);
    let rejected = std::fs::read_to_string(&rejects).unwrap();
    let rejected: Vec<Value> = rejected.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let numbers: Vec<u64> = rejected.iter().map(|row| row["line"].as_u64().unwrap()).collect();
    assert_eq!(numbers, [10, 20, 30]);
    for row in &rejected {
        let line = row["line"].as_u64().unwrap() as usize;
        assert_eq!(row["file"], text(&accidents));
        assert_eq!(row["input"], lines[line - 1], "the row stands there as it came");
        assert!(!row["reason"].as_str().unwrap().is_empty());
    }
    assert!(rejected[0]["reason"].as_str().unwrap().contains("location"), "{}", rejected[0]["reason"]);
    assert_eq!(city.count(&["--type", "RoadAccident"]), 47);

    std::fs::write(&accidents, good).unwrap();
    assert_eq!(city.import("accidents.yaml", &[&accidents])["applied"], 50);
    assert_eq!(run(&["import", text(&accidents)]).code, Some(2), "without a mapping");
    let map = mapping("accidents.yaml");
    let nobody = run(&["import", text(&accidents), "--map", text(&map), "--url", "http://127.0.0.1:9"]);
    assert_eq!(nobody.code, Some(1));
    assert!(nobody.err.contains("Is a server running at http://127.0.0.1:9?"), "{}", nobody.err);
}

/// The attribute that a column without a line in the mapping becomes: half-width, _ for brackets and spaces.
fn attribute_of(column: &str) -> String {
    let half = column.chars().map(|c| match c {
        '（' => '(',
        '）' => ')',
        '\u{3000}' => ' ',
        other => other,
    });
    let mut name = String::new();
    for c in half {
        let c = if matches!(c, '(' | ')' | ' ') { '_' } else { c };
        if c != '_' || !name.ends_with('_') {
            name.push(c);
        }
    }
    name.trim_matches('_').to_owned()
}

/// What a column of an accident must say in the entity, as a place in it and a value.
fn expected_of(column: &str, cell: &str) -> (String, Value) {
    let value = |name: &str| format!("/{name}/value");
    let number = || json!(cell.parse::<i64>().unwrap());
    match column {
        "id" => ("/id".to_owned(), json!(format!("urn:ngsi-ld:RoadAccident:{cell}"))),
        "lon" => ("/location/value/coordinates/0".to_owned(), json!(cell.parse::<f64>().unwrap())),
        "lat" => ("/location/value/coordinates/1".to_owned(), json!(cell.parse::<f64>().unwrap())),
        "事故内容" => ("/severity/sourceCode/value".to_owned(), json!(cell)),
        "天候" => ("/weather/sourceCode/value".to_owned(), json!(cell)),
        "死者数" => (value("numberOfDead"), number()),
        "負傷者数" => (value("numberOfInjured"), number()),
        "市区町村コード" => (value("policeMunicipalityCode"), json!(cell)),
        "昼夜" => (value("dayOrNight"), json!(cell)),
        "路面状態" => (value("roadSurface"), json!(cell)),
        "道路形状" => (value("roadShape"), json!(cell)),
        "信号機" => (value("trafficSignal"), json!(cell)),
        "事故類型" => (value("accidentCategory"), json!(cell)),
        "路線コード" => (value("routeCode"), json!(cell)),
        other => (value(&attribute_of(other)), json!(cell)),
    }
}

#[test]
fn all_66_columns_of_the_accidents_come_back_and_can_be_asked_for_by_their_japanese_names() {
    let Some(data) = data_folder("tokyo-koto") else { return };
    let city = City::start();
    let whole = data.join("accidents_npa_2019_2022_tokyo23.csv.gz");
    let every = if is_full() { 1 } else { ACCIDENTS_EVERY };
    let mut lines = lines_of(&whole);
    let header = lines.next().unwrap();
    let lines: Vec<String> = lines.step_by(every).collect();
    let file = city.file("accidents.csv");
    std::fs::write(&file, format!("{header}\n{}\n", lines.join("\n"))).unwrap();
    // No cell of this file holds a comma or a quotation mark.
    let columns: Vec<&str> = header.split(',').collect();
    assert_eq!(columns.len(), 66);
    let rows: Vec<Vec<&str>> = lines.iter().map(|line| line.split(',').collect()).collect();
    assert!(rows.iter().all(|row| row.len() == 66));

    let report = city.import("accidents.yaml", &[&file]);
    assert_eq!(report["applied"], rows.len());
    assert_eq!(report["unseenColumns"], json!([]));
    let exported = city.export(&["ngsi-ld", "--type", "RoadAccident"]);
    let exported: HashMap<String, Value> = exported
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        .map(|entity| (entity["id"].as_str().unwrap().to_owned(), entity))
        .collect();
    assert_eq!(exported.len(), rows.len());
    let mut seen = BTreeSet::new();
    for row in &rows {
        let entity = &exported[&format!("urn:ngsi-ld:RoadAccident:{}", row[0])];
        for (column, cell) in columns.iter().zip(row) {
            // The time is in milliseconds since 1970; it is looked at below.
            if *column == "発生日時" {
                seen.insert(column);
                continue;
            }
            let (place, value) = expected_of(column, cell);
            if cell.is_empty() {
                assert_eq!(entity.pointer(&place), None, "{column} is blank");
            } else {
                assert_eq!(entity.pointer(&place), Some(&value), "{column} of {}", row[0]);
                seen.insert(column);
            }
        }
    }
    let blank: Vec<&&str> = columns.iter().filter(|column| !seen.contains(*column)).collect();
    assert!(blank.is_empty(), "columns without any value: {blank:?}");
    // 1546453680000 ms are 2019-01-02T18:28:00Z, computed by `date -u -d @1546453680`.
    let first = &exported["urn:ngsi-ld:RoadAccident:2019300690001"];
    assert_eq!(first["accidentDate"]["value"], json!({"@type": "DateTime", "@value": "2019-01-02T18:28:00Z"}));

    let asked = [
        ("車道幅員", "11"),
        ("一時停止規制　標識（当事者A）", "09"),
        ("曜日(発生年月日)", "6"),
        ("人身損傷程度（当事者A）", "2"),
    ];
    for (column, cell) in asked {
        let at = columns.iter().position(|own| *own == column).unwrap();
        let expected = rows.iter().filter(|row| row[at] == cell).count() as u64;
        assert!(expected > 0, "no accident has {column} {cell}");
        let condition = format!("{}==\"{cell}\"", attribute_of(column));
        assert_eq!(city.count(&["--type", "RoadAccident", "--q", &condition]), expected, "{condition}");
        let path = format!("{API}/entities?type=RoadAccident&limit=0&count=true&q={}", encode(&condition));
        let answer = city.server.client().get(&path).expect(200);
        assert_eq!(answer.header("ngsild-results-count"), Some(expected.to_string().as_str()), "{condition}");
    }
}

#[test]
fn a_blank_temperature_is_a_gap_in_the_past_of_the_station_and_its_present_stays_as_it_was() {
    let Some(data) = data_folder("japan-amedas") else { return };
    let city = City::start();
    let stations = data.join("amedas_stations.csv");
    assert_eq!(city.import("weather-stations.yaml", &[&stations])["applied"], 1_287);
    let whole = data.join("amedas_hourly_2023-07_2023-12.csv.gz");
    let part = city.file("weather.csv");
    let file = if is_full() { &whole } else { &part };
    slice(&whole, WEATHER_ROWS + 1, &part);
    /// Readings by time; a blank cell is none.
    type Readings = BTreeMap<String, f64>;
    let mut expected: BTreeMap<String, [Readings; 2]> = BTreeMap::new();
    let (mut rows, mut readings) = (0u64, 0u64);
    for line in lines_of(&whole).skip(1).take(if is_full() { usize::MAX } else { WEATHER_ROWS }) {
        let row: Vec<&str> = line.split(',').collect();
        rows += 1;
        // Japan has no summer time: 9 hours are taken off by hand below.
        for (place, cell) in row[2..4].iter().enumerate().filter(|(_, cell)| !cell.is_empty()) {
            readings += 1;
            let series = &mut expected.entry(row[1].to_owned()).or_default()[place];
            series.insert(row[0].to_owned(), cell.parse().unwrap());
        }
    }
    let report = city.import("weather-observations.yaml", &[file]);
    assert_eq!((&report["read"], &report["readings"]), (&json!(rows), &json!(readings)));

    let client = city.server.client();
    // One without a rain gauge, one without a thermometer, one with gaps in both, and some others.
    let chosen = |test: &dyn Fn(&[Readings; 2]) -> bool| expected.iter().find(|(_, own)| test(own)).map(|(id, _)| id);
    let most = expected.values().map(|own| own[0].len()).max().unwrap();
    let gap = chosen(&|own| !own[0].is_empty() && own[0].len() < most && !own[1].is_empty());
    let dry = chosen(&|own| own[0].is_empty());
    let snowy = chosen(&|own| own[1].is_empty());
    let others = ["11001", "44132", "91197"].map(str::to_owned);
    assert!(gap.is_some() && dry.is_some());
    let stations: BTreeSet<&String> = [gap, dry, snowy].into_iter().flatten().chain(&others).collect();
    for station in stations {
        let Some([temperature, precipitation]) = expected.get(station) else { continue };
        let id = format!("urn:ngsi-ld:WeatherStation:{station}");
        let path = format!("{API}/temporal/entities/{id}?attrs=temperature,precipitation&options=temporalValues");
        let answer = client.get(&path).json_of(200);
        for (name, expected) in [("temperature", temperature), ("precipitation", precipitation)] {
            let found = answer[name]["values"].as_array().cloned().unwrap_or_default();
            let found: Vec<(i64, f64)> =
                found.iter().map(|pair| (minutes(pair[1].as_str().unwrap()), pair[0].as_f64().unwrap())).collect();
            let expected: Vec<(i64, f64)> = expected.iter().map(|(time, value)| (minutes(time), *value)).collect();
            assert_eq!(found, expected, "{name} of {id}");
        }
        let now = client.get(&format!("{API}/entities/{id}")).json_of(200);
        assert!(now.get("temperature").is_none() && now["name"].is_object(), "the past is no present: {now}");
    }
}

/// Minutes since 2023-01-01T00:00Z of `2023-MM-DDThh:mm…` with `Z` or `+09:00` behind.
fn minutes(time: &str) -> i64 {
    let number = |at: std::ops::Range<usize>| time[at].parse::<i64>().unwrap();
    let before = [0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334];
    let days = (number(0..4) - 2023) * 365 + before[number(5..7) as usize - 1] + number(8..10) - 1;
    let offset = if time.ends_with("+09:00") { 9 * 60 } else { 0 };
    (days * 24 + number(11..13)) * 60 + number(14..16) - offset
}
