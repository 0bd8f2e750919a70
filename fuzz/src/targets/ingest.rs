//! Readers of files: rows, mappings, expressions.

use std::convert::Infallible;
use std::io::Cursor;
use std::sync::OnceLock;

use city_ingest::{Batch, Decoder, ImportError, Mapping, import};
use serde_json::Value as Json;

pub const MAPPING_WORDS: &[&str] = &[
    "format: ",
    "csv",
    "geojson",
    "ndjson",
    "id: ",
    "type: ",
    "attributes:",
    "value: ",
    "observedAt: ",
    "unitCode: ",
    "when: ",
    "codes:",
    "scope: ",
    "columns:",
    "row.id",
    "row[\"a\"]",
    "'",
    "\"",
    ": ",
    "\n  ",
    "- ",
    "&a",
    "*a",
    "{",
    "}",
    "|",
    "!!binary ",
    "? ",
    "~",
    "<<: ",
];
pub const EXPRESSION_WORDS: &[&str] = &[
    "row.",
    "row.l.",
    "map(x, ",
    "filter(x, ",
    "all(x, ",
    "exists(x, ",
    "has(",
    "(",
    ")",
    "[",
    "]",
    "{",
    "}",
    "?",
    ":",
    "+",
    "-",
    "*",
    "/",
    "%",
    "==",
    "<",
    "&&",
    "||",
    "!",
    "in",
    "null",
    "true",
    "1",
    "1u",
    "1.5",
    "\"t\"",
    "b\"x\"",
    "timestamp(",
    "duration(",
    "size(",
    "number(",
    "replace(",
    "split(",
    ".",
    ",",
    "matches(",
    "9223372036854775807",
];
const ROWS: &str =
    "{\"id\":\"1\",\"a\":{\"b\":1,\"t\":\"x\"},\"l\":[1,2,3],\"n\":-1.5,\"t\":\"text\"}\n{\"id\":\"2\"}\n";

/// One of each kind that a broken row may meet.
fn mapping_of(format: &str) -> Mapping {
    let yaml = format!(
        "format: {format}\nid: '\"urn:x:\" + string(row.id)'\ntype: T\nattributes: {{a: row.a, b: 'has(row.b) ? row.b : null'}}\n"
    );
    Mapping::parse(&yaml).unwrap_or_else(|error| panic!("{error}"))
}

/// All rows through the mapping; every batch must be JSON, and no row may be lost in silence.
fn run(mapping: &Mapping, bytes: &[u8], gz: bool) {
    let reader = Box::new(Cursor::new(bytes.to_vec()));
    let Ok(decoder) = Decoder::open("input", reader, mapping.encoding(), gz) else { return };
    let mut rejected = 0;
    let send = |batch: Batch| {
        let (Batch::Upsert { json, .. } | Batch::Temporal { json, .. }) = batch;
        assert!(serde_json::from_slice::<Json>(&json).is_ok(), "{}", String::from_utf8_lossy(&json));
        Ok::<(), Infallible>(())
    };
    let reject = |_| {
        rejected += 1;
        Ok(())
    };
    match import(decoder, mapping, send, reject) {
        Ok(report) => {
            assert_eq!(report.rejected, rejected);
            assert_eq!(report.read, report.mapped + report.skipped + report.rejected);
        }
        Err(ImportError::File(_)) => {}
        Err(ImportError::Caller(never)) => match never {},
    }
}

pub fn csv_rows(bytes: &[u8]) {
    static CSV: OnceLock<Mapping> = OnceLock::new();
    run(CSV.get_or_init(|| mapping_of("csv")), bytes, false);
    run(CSV.get_or_init(|| mapping_of("csv")), bytes, true);
}

pub fn json_rows(bytes: &[u8]) {
    static FORMATS: OnceLock<Vec<Mapping>> = OnceLock::new();
    let formats = FORMATS.get_or_init(|| ["json", "ndjson", "geojson", "geojsonl"].map(mapping_of).into());
    for mapping in formats {
        run(mapping, bytes, false);
    }
}

pub fn mapping(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Ok(mapping) = Mapping::parse(text) {
        run(&mapping, ROWS.as_bytes(), false);
        run(&mapping, b"id,a,l,n,t\n1,x,,2,y\n", false);
    }
}

pub fn expression(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let quoted = Json::from(text).to_string();
    let yaml = format!("format: ndjson\nid: '\"urn:x:\" + row.id'\ntype: T\nattributes: {{a: {quoted}}}\n");
    if let Ok(mapping) = Mapping::parse(&yaml) {
        run(&mapping, ROWS.as_bytes(), false);
    }
}
