//! Real feeds: read, held against the rules, and what leaves a stop as a plain reading of the files has it.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails loudly")]

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io::{Cursor, Read, Write};
use std::path::{Path, PathBuf};

use chrono::{Datelike, NaiveDate};
use city_gtfs::{Archive, Error, Level, Timetable, check, realtime};
use city_model::Time;

/// `None` says that the test is skipped, unless `RENKEI_REQUIRE_DATA` forbids that.
fn data(name: &str) -> Option<Vec<u8>> {
    let root = std::env::var_os("RENKEI_DATA")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data"), PathBuf::from);
    let path = root.join(name);
    if let Ok(bytes) = std::fs::read(&path) {
        return Some(bytes);
    }
    assert!(std::env::var_os("RENKEI_REQUIRE_DATA").is_none(), "{} is missing", path.display());
    eprintln!("skipped: {} is not there", path.display());
    None
}

fn read(bytes: &[u8]) -> Result<Timetable, Error> {
    Timetable::read(&mut Archive::open(bytes)?)
}

/// A feed made of texts.
fn zipped(files: &[(&str, &str)]) -> Vec<u8> {
    let mut out = zip::ZipWriter::new(Cursor::new(Vec::new()));
    for (name, text) in files {
        out.start_file(*name, zip::write::FileOptions::default()).unwrap();
        out.write_all(text.as_bytes()).unwrap();
    }
    out.finish().unwrap().into_inner()
}

const SMALL: [(&str, &str); 7] = [
    ("agency.txt", "agency_name,agency_url,agency_timezone\nTown,https://example.org,Asia/Tokyo\n"),
    (
        "stops.txt",
        "stop_id,stop_name,stop_lat,stop_lon,location_type,parent_station\nS,Station,35.6,139.8,1,\nA,One,35.6,139.8,0,S\nB,Two,35.61,139.81,,\nC,Three,35.62,139.82,,\n",
    ),
    ("routes.txt", "route_id,route_short_name,route_type\nR,10,3\n"),
    (
        "trips.txt",
        "route_id,service_id,trip_id,trip_headsign\nR,W,t1,Three\nR,W,late,Three\nR,X,extra,Three\nR,W,often,Three\n",
    ),
    (
        "stop_times.txt",
        "trip_id,arrival_time,departure_time,stop_id,stop_sequence,pickup_type\nt1,08:00:00,08:00:00,A,1,\nt1,,,B,5,\nt1,08:20:00,08:20:00,C,9,\nlate,25:10:00,25:10:00,A,1,\nlate,25:30:00,25:30:00,C,2,\nextra,09:00:00,09:00:00,A,1,0\nextra,09:10:00,09:10:00,B,2,1\nextra,09:30:00,09:30:00,C,3,\noften,00:00:00,00:00:00,B,1,\noften,00:10:00,00:10:00,C,2,\n",
    ),
    (
        "calendar.txt",
        "service_id,monday,tuesday,wednesday,thursday,friday,saturday,sunday,start_date,end_date\nW,1,1,1,1,1,0,0,20260401,20270331\n",
    ),
    ("calendar_dates.txt", "service_id,date,exception_type\nX,20260404,1\nW,20260403,2\n"),
];

fn small(more: &[(&'static str, &'static str)]) -> Timetable {
    let mut files = SMALL.to_vec();
    files.push(("frequencies.txt", "trip_id,start_time,end_time,headway_secs\noften,10:00:00,10:30:00,600\n"));
    files.extend(more);
    read(&zipped(&files)).unwrap()
}

fn leaves(timetable: &Timetable, stop: &str, from: &str, limit: usize) -> Vec<String> {
    let found = timetable.departures(stop, Time::parse(from).unwrap(), limit);
    found.iter().map(|one| format!("{} {} {}", one.at, one.trip, one.stop)).collect()
}

#[test]
fn what_leaves_follows_calendar_midnight_station_and_headway() {
    let timetable = small(&[]);
    // Thursday 2 April, 07:59 in Tokyo; on Friday nothing of W runs, but Thursday's late trip leaves after midnight.
    assert_eq!(
        leaves(&timetable, "S", "2026-04-01T22:59:00Z", 4),
        [
            "2026-04-01T23:00:00Z t1 A",
            "2026-04-02T16:10:00Z late A",
            "2026-04-04T00:00:00Z extra A",
            "2026-04-05T23:00:00Z t1 A"
        ]
    );
    // Of t1 the time at B is told from its neighbours; extra lets nobody on at B; often runs every ten minutes.
    assert_eq!(
        leaves(&timetable, "B", "2026-04-01T23:10:00Z", 5),
        [
            "2026-04-01T23:10:00Z t1 B",
            "2026-04-02T01:00:00Z often B",
            "2026-04-02T01:10:00Z often B",
            "2026-04-02T01:20:00Z often B",
            "2026-04-05T23:10:00Z t1 B"
        ]
    );
    assert_eq!(leaves(&timetable, "C", "2026-04-01T22:59:00Z", 5), Vec::<String>::new(), "everything ends there");
    assert_eq!(leaves(&timetable, "none", "2026-04-01T22:59:00Z", 5), Vec::<String>::new());
    assert_eq!(leaves(&timetable, "S", "2027-05-01T00:00:00Z", 5), Vec::<String>::new(), "the calendar is over");
}

#[test]
fn a_broken_feed_is_refused_with_file_and_line() {
    let with = |file: &'static str, text: &'static str| {
        let files: Vec<_> = SMALL.iter().map(|(name, old)| (*name, if *name == file { text } else { *old })).collect();
        read(&zipped(&files)).unwrap_err().to_string()
    };
    for (file, text, says) in [
        ("stops.txt", "stop_name\nA\n", "stops.txt has no column stop_id."),
        ("stops.txt", "stop_id,stop_lat,stop_lon\nA,95,0\n", "stops.txt, line 2: stop_lat: \"95\""),
        ("stops.txt", "stop_id\nA\nA\n", "stops.txt, line 3: stop_id: A stands there twice"),
        (
            "trips.txt",
            "route_id,service_id,trip_id\nQ,W,t1\n",
            "trips.txt, line 2: route_id: there is no Q in routes.txt",
        ),
        (
            "stop_times.txt",
            "trip_id,stop_id,stop_sequence,arrival_time\nt1,A,1,8h\n",
            "arrival_time: \"8h\" is no time",
        ),
        ("agency.txt", "agency_name,agency_timezone\nTown,Tokyo\n", "\"Tokyo\" is no time zone"),
        ("calendar.txt", "service_id\nW\n", "calendar.txt has no column start_date."),
    ] {
        let said = with(file, text);
        assert!(said.contains(says), "{said}");
    }
    let without = |name: &str| {
        let files: Vec<_> = SMALL.iter().filter(|(file, _)| !file.starts_with(name)).copied().collect();
        read(&zipped(&files)).unwrap_err().to_string()
    };
    assert_eq!(without("stops"), "It has no stops.txt, which every timetable needs.");
    assert!(without("calendar").contains("calendar.txt or calendar_dates.txt"));
    assert!(read(b"PK\x03\x04 no archive").unwrap_err().to_string().contains("no zip archive"));
    let mut out = zip::ZipWriter::new(Cursor::new(Vec::new()));
    for (name, text) in SMALL {
        out.start_file(name, zip::write::FileOptions::default()).unwrap();
        out.write_all(text.as_bytes()).unwrap();
        if name == "agency.txt" {
            out.write_all(b"\x93\x8c\x8b\x9e,x,Asia/Tokyo\n").unwrap();
        }
    }
    let said = read(&out.finish().unwrap().into_inner()).unwrap_err().to_string();
    assert!(said.contains("agency.txt, line 3") && said.contains("iconv"), "{said}");
}

/// Every prefix of an archive is refused or read, and never more than that.
#[test]
fn a_torn_archive_is_an_error() {
    let whole = zipped(&SMALL);
    for length in (0..whole.len()).step_by(7) {
        assert!(read(&whole[..length]).is_err(), "{length}");
    }
    let below: Vec<(String, &str)> = SMALL.iter().map(|(name, text)| (format!("feed/{name}"), *text)).collect();
    let below: Vec<(&str, &str)> = below.iter().map(|(name, text)| (name.as_str(), *text)).collect();
    assert!(read(&zipped(&below)).unwrap_err().to_string().contains("lie in a folder"));
    let files: Vec<(String, String)> = (0..300).map(|number| (format!("f{number}.txt"), String::new())).collect();
    let files: Vec<(&str, &str)> = files.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
    assert!(matches!(Archive::open(&zipped(&files)), Err(Error::TooManyFiles { .. })));
}

type Rows = Vec<HashMap<String, String>>;

/// A file as it stands, for the plain reading.
fn rows(bytes: &[u8], name: &str) -> Rows {
    let mut zip = zip::ZipArchive::new(Cursor::new(bytes)).unwrap();
    let mut text = String::new();
    if zip.by_name(name).map(|mut file| file.read_to_string(&mut text)).is_err() {
        return Vec::new();
    }
    let mut reader = csv::Reader::from_reader(text.trim_start_matches('\u{feff}').as_bytes());
    reader.deserialize().map(Result::unwrap).collect()
}

/// What leaves a stop by a plain look at every line of the files.
fn plainly(bytes: &[u8], stops: &BTreeSet<&str>, from: i64, limit: usize) -> BTreeMap<String, Vec<(i64, String)>> {
    let (weeks, days, trips) =
        (rows(bytes, "calendar.txt"), rows(bytes, "calendar_dates.txt"), rows(bytes, "trips.txt"));
    let service_of: HashMap<&str, &str> = trips.iter().map(|row| (&*row["trip_id"], &*row["service_id"])).collect();
    let runs = |service: &str, day: NaiveDate| {
        let text = day.format("%Y%m%d").to_string();
        let said = days.iter().find(|row| row["service_id"] == service && row["date"] == text);
        if let Some(row) = said {
            return row["exception_type"] == "1";
        }
        let name = day.weekday().to_string().to_lowercase();
        weeks.iter().filter(|row| row["service_id"] == service).any(|row| {
            let weekday = row.iter().find(|(column, _)| column.starts_with(&name)).unwrap();
            weekday.1 == "1" && *row["start_date"] <= *text && text <= row["end_date"]
        })
    };
    let seconds = |text: &str| {
        let parts: Vec<i64> = text.split(':').map(|part| part.trim().parse().unwrap()).collect();
        parts[0] * 3600 + parts[1] * 60 + parts[2]
    };
    let times = rows(bytes, "stop_times.txt");
    let mut last: HashMap<&str, u64> = HashMap::new();
    for row in &times {
        let sequence: u64 = row["stop_sequence"].parse().unwrap();
        let known = last.entry(&row["trip_id"]).or_default();
        *known = (*known).max(sequence);
    }
    // Tokyo has no summer time.
    let midnight = |day: NaiveDate| day.and_hms_opt(0, 0, 0).unwrap().and_utc().timestamp() - 9 * 3600;
    let today = chrono::DateTime::from_timestamp(from + 9 * 3600, 0).unwrap().date_naive();
    let days: Vec<NaiveDate> = (today - chrono::Days::new(2)).iter_days().take(10).collect();
    let mut found: BTreeMap<String, Vec<(i64, String)>> = BTreeMap::new();
    for row in &times {
        let (stop, trip) = (&*row["stop_id"], &*row["trip_id"]);
        let ends = row["stop_sequence"].parse::<u64>().unwrap() == last[trip];
        let is_pickup = row.get("pickup_type").is_none_or(|kind| kind != "1");
        if !stops.contains(stop) || ends || !is_pickup || row["departure_time"].is_empty() {
            continue;
        }
        for day in &days {
            let at = midnight(*day) + seconds(&row["departure_time"]);
            if at >= from && runs(service_of[trip], *day) {
                found.entry(stop.to_owned()).or_default().push((at, trip.to_owned()));
            }
        }
    }
    for leaving in found.values_mut() {
        leaving.sort();
        leaving.truncate(limit);
    }
    found
}

fn departures_are_those_of_the_files(bytes: &[u8], from: &str) {
    let timetable = read(bytes).unwrap();
    let all = rows(bytes, "stops.txt");
    let step = (all.len() / 25).max(1);
    let stops: BTreeSet<&str> = all.iter().step_by(step).map(|row| &*row["stop_id"]).collect();
    let from = Time::parse(from).unwrap();
    let plain = plainly(bytes, &stops, from.as_micros() / 1_000_000, 40);
    assert!(!plain.is_empty());
    for stop in stops {
        if timetable.stops.iter().any(|other| other.parent.as_deref() == Some(stop)) {
            continue;
        }
        let found = timetable.departures(stop, from, 40);
        let found: Vec<(i64, String)> =
            found.iter().map(|one| (one.at.as_micros() / 1_000_000, one.trip.to_owned())).collect();
        assert_eq!(found, plain.get(stop).cloned().unwrap_or_default(), "{stop}");
    }
}

#[test]
fn toei_subway_leaves_as_its_files_say() {
    let Some(bytes) = data("tokyo-gtfs/toei-subway-gtfs-rebuilt.zip") else { return };
    let timetable = read(&bytes).unwrap();
    assert_eq!(timetable.routes.len(), 6);
    let day = timetable.last_day().unwrap() - chrono::Days::new(30);
    departures_are_those_of_the_files(&bytes, &format!("{day}T20:40:00Z"));
    departures_are_those_of_the_files(&bytes, &format!("{day}T14:30:00Z"));
}

#[test]
fn toei_bus_is_read_whole() {
    let Some(bytes) = data("tokyo-gtfs/toei-bus-gtfs-rebuilt.zip") else { return };
    let timetable = read(&bytes).unwrap();
    let counts = (timetable.routes.len(), timetable.stops.len(), timetable.trips.len(), timetable.stop_times());
    assert_eq!(counts, (152, 3_696, 67_661, 1_318_983));
}

#[test]
fn the_dialects_of_okayama_and_muroran_are_read_and_leave_as_their_files_say() {
    let (Some(okayama), Some(muroran)) =
        (data("gtfs-jp/okayama-unobus-gtfs-jp.zip"), data("gtfs-jp/muroran-donan-bus-gtfs-jp.tar.gz"))
    else {
        return;
    };
    let mut files = Vec::new();
    let mut tar = Vec::new();
    flate2::read::GzDecoder::new(&muroran[..]).read_to_end(&mut tar).unwrap();
    let mut rest = &tar[..];
    while rest.len() >= 512 && rest[0] != 0 {
        let name = std::str::from_utf8(&rest[..100]).unwrap().trim_end_matches('\0');
        let size = std::str::from_utf8(&rest[124..135]).unwrap().trim_matches(['\0', ' ']);
        let size = usize::from_str_radix(size, 8).unwrap();
        files.push((
            name.rsplit('/').next().unwrap().to_owned(),
            String::from_utf8(rest[512..512 + size].to_vec()).unwrap(),
        ));
        rest = &rest[512 + size.next_multiple_of(512)..];
    }
    let files: Vec<(&str, &str)> =
        files.iter().filter(|(name, _)| name.ends_with(".txt")).map(|(name, text)| (&**name, &**text)).collect();
    assert!(files.iter().any(|(name, _)| *name == "routes_jp.txt"));
    for bytes in [okayama, zipped(&files)] {
        let timetable = read(&bytes).unwrap();
        assert!(timetable.stop_times() > 10_000);
        let day = timetable.last_day().unwrap() - chrono::Days::new(20);
        departures_are_those_of_the_files(&bytes, &format!("{day}T20:00:00Z"));
    }
}

#[test]
fn problems_have_the_names_of_the_field() {
    let day = NaiveDate::from_ymd_opt(2028, 1, 1).unwrap();
    let mut files = SMALL.to_vec();
    files[3].1 = "route_id,service_id,trip_id\nR,W,t1\nR,W,late\nR,W,t1\nnone,W,extra\nR,W,often\n";
    files.push(("strange.txt", "a\n1\n"));
    let findings = check(&zipped(&files), day, "JP").unwrap();
    let rules: Vec<&str> = findings.rules.iter().map(|rule| &*rule.rule).collect();
    for rule in ["duplicate_key", "foreign_key_violation", "expired_calendar", "unknown_file"] {
        assert!(rules.contains(&rule), "{rule} in {rules:?}");
    }
    let foreign = findings.problems.iter().find(|problem| problem.rule == "foreign_key_violation").unwrap();
    assert_eq!((foreign.level, foreign.file.as_deref(), foreign.line), (Level::Error, Some("trips.txt"), Some(5)));
}

#[test]
fn a_frame_of_king_county_has_627_vehicles_and_comes_back_as_it_went_out() {
    let Some(bytes) = data("gtfs-rt/king-county-metro-1.pbf") else { return };
    let message = realtime::read(&bytes).unwrap();
    assert_eq!(message.header["version"], "2.0");
    let rows: Vec<_> = message.rows.into_iter().map(|(_, row)| row.unwrap()).collect();
    assert_eq!(rows.iter().filter(|row| row["kind"] == "vehicle").count(), 627);
    assert!(rows.iter().all(|row| row["latitude"].as_f64().is_some_and(|lat| (47.0..48.0).contains(&lat))));
    let vehicles: Vec<realtime::Vehicle> = rows
        .iter()
        .map(|row| {
            let text = |name: &str| row.get(name).and_then(|value| value.as_str()).map(str::to_owned);
            realtime::Vehicle {
                id: text("vehicleId").unwrap(),
                trip: text("tripId"),
                route: text("routeId"),
                label: text("label"),
                latitude: row["latitude"].as_f64().unwrap(),
                longitude: row["longitude"].as_f64().unwrap(),
                bearing: row.get("bearing").and_then(|value| value.as_f64()),
                speed: row.get("speed").and_then(|value| value.as_f64()),
                timestamp: row.get("timestamp").and_then(|value| value.as_u64()),
            }
        })
        .collect();
    let again = realtime::read(&realtime::write(&vehicles, 1_700_000_000)).unwrap();
    for (before, (_, after)) in rows.iter().zip(again.rows) {
        let after = after.unwrap();
        for name in ["vehicleId", "tripId", "routeId", "label", "latitude", "longitude", "bearing", "timestamp"] {
            assert_eq!(before.get(name), after.get(name), "{name}");
        }
    }
}

#[test]
fn trip_updates_of_septa_are_read_with_their_stops() {
    let Some(bytes) = data("gtfs-rt/septa.pbf") else { return };
    let rows = realtime::read(&bytes).unwrap().rows;
    let updates: Vec<_> =
        rows.iter().filter_map(|(_, row)| row.as_ref().ok()).filter(|row| row["kind"] == "tripUpdate").collect();
    assert!(!updates.is_empty());
    assert!(updates.iter().all(|row| row.contains_key("tripId") && row["stops"].is_array()));
}

#[test]
fn no_prefix_of_a_realtime_message_breaks_its_reader() {
    let Some(bytes) = data("gtfs-rt/septa.pbf") else { return };
    for length in 0..bytes.len() {
        drop(realtime::read(&bytes[..length]));
    }
    assert!(realtime::read(b"").is_err() && realtime::read(b"\xff\xff").is_err());
}
