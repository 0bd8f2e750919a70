//! Readers of what devices, agencies and maps send: whole messages, GTFS and GTFS Realtime, filters in CQL2.

use std::io::Cursor;
use std::sync::OnceLock;

use city_gtfs::realtime::{Vehicle, write};
use city_gtfs::{Archive, Timetable, realtime};
use city_ingest::{Decoder, Mapping};

pub const DEVICE_WORDS: &[&str] = &[
    "|",
    "#",
    "\"bn\":",
    "\"bt\":",
    "\"bver\":",
    "\"n\":",
    "\"v\":",
    "\"t\":",
    "1e308",
    "-1e308",
    "[",
    "]",
    "{",
    "}",
    "\"data\":",
    "\"stations\":",
    "NaN",
];
pub const FEED_WORDS: &[&str] =
    &["PK\u{3}\u{4}", "PK\u{1}\u{2}", "stops.txt", "stop_times.txt", ",,", "\"", "99:99:99"];

pub const CQL2_WORDS: &[&str] = &[
    " AND ",
    " OR ",
    "NOT ",
    "(",
    ")",
    "'",
    "\"",
    " IN (",
    " BETWEEN ",
    " LIKE '",
    " IS NULL",
    "S_INTERSECTS(",
    "POLYGON((",
    "BBOX(",
    "TIMESTAMP('",
    "-",
    "1e308",
    "<>",
    ">=",
    ".",
    "%",
    "_",
];

pub fn filter(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let expand = |term: &str| city_model::Name::from_stored(format!("urn:x:{term}").into());
    drop(city_ogc::cql2::parse(text, &expand));
    drop(city_ogc::area::bbox(text, expand("location")));
    drop(city_ogc::area::datetime(text, expand("modifiedAt")));
}

pub fn device_rows(bytes: &[u8]) {
    static FORMATS: OnceLock<Vec<Mapping>> = OnceLock::new();
    let formats = FORMATS.get_or_init(|| {
        let formats =
            ["number", "text", "senml", "ultralight", "gtfs-rt", "qzss", "cap", "jma", "json\nrows: data.stations"];
        let mapping = |format: &str| {
            let yaml =
                format!("format: {format}\nid: '\"urn:x:\" + string(line)'\ntype: T\nattributes: {{a: row.value}}\n");
            Mapping::parse(&yaml).unwrap_or_else(|error| panic!("{error}"))
        };
        formats.map(mapping).into()
    });
    for mapping in formats {
        let reader = Box::new(Cursor::new(bytes.to_vec()));
        let Ok(decoder) = Decoder::open("input", reader, mapping.encoding(), false) else { continue };
        for row in decoder {
            if row.is_err() {
                break;
            }
        }
    }
}

pub fn messages() -> Vec<Vec<u8>> {
    let vehicle = Vehicle {
        id: "7".to_owned(),
        trip: Some("t1".to_owned()),
        route: Some("R".to_owned()),
        label: Some("バス".to_owned()),
        latitude: 35.6,
        longitude: 139.8,
        bearing: Some(90.0),
        speed: Some(8.5),
        timestamp: Some(1_790_000_000),
    };
    vec![write(&[], 0), write(std::slice::from_ref(&vehicle), 1_790_000_000), write(&[vehicle.clone(), vehicle], 1)]
}

/// What is read is bounded by what was sent.
pub fn message(bytes: &[u8]) {
    if let Ok(message) = realtime::read(bytes) {
        assert!(message.rows.len() <= bytes.len());
    }
}

pub fn archives() -> Vec<Vec<u8>> {
    vec![include_bytes!("../../corpus/feed.zip").to_vec()]
}

pub fn archive(bytes: &[u8]) {
    if let Ok(mut archive) = Archive::open(bytes) {
        drop(Timetable::read(&mut archive));
    }
}
