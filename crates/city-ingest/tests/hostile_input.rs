//! What must not happen: a panic, unbounded memory, endless work, or a row lost in silence.
#![allow(clippy::unwrap_used, reason = "a failed test may say so by a panic")]

mod support;

use std::io::{Read, Write};
use std::time::{Duration, Instant};

use city_ingest::row::{COLUMNS_MAX, ROW_BYTES_MAX};
use city_ingest::{Decoder, Error, Mapping};
use proptest::prelude::*;
use support::{collect, run, try_run};

const CSV: &str = "format: csv\nid: '\"urn:x:\" + row.id'\ntype: T\nattributes: {a: row.a}\n";
const LINES: &str = "format: ndjson\nid: '\"urn:x:\" + row.id'\ntype: T\nattributes: {a: row.a}\n";
const FEATURES: &str = "format: geojson\nid: '\"urn:x:\" + row.id'\ntype: T\nattributes: {a: row.a}\n";

/// Text without end, made as it is read.
struct Endless {
    start: Vec<u8>,
    given: usize,
}

impl Read for Endless {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let rest = &self.start[self.given.min(self.start.len())..];
        let count = if rest.is_empty() {
            buffer.fill(b'x');
            buffer.len()
        } else {
            let count = rest.len().min(buffer.len());
            buffer[..count].copy_from_slice(&rest[..count]);
            count
        };
        self.given += count;
        assert!(self.given < 4 * ROW_BYTES_MAX, "more than a row was taken in");
        Ok(count)
    }
}

#[test]
fn a_quotation_mark_that_stays_open_ends_the_import_with_its_line() {
    let mapping = Mapping::parse(CSV).unwrap();
    let reader = Endless { start: b"id,a\n1,x\n2,\"".to_vec(), given: 0 };
    let decoder = Decoder::open("open.csv", Box::new(reader), mapping.encoding(), false).unwrap();
    let error = collect(&mapping, decoder).unwrap_err();
    assert!(matches!(error, Error::EndlessRow { line: 3, .. }), "{error}");
}

#[test]
fn a_line_that_is_too_long_is_rejected_and_the_next_one_read() {
    let long = "x".repeat(ROW_BYTES_MAX);
    let input = format!("{{\"id\":\"1\",\"a\":\"{long}\"}}\n{{\"id\":\"2\",\"a\":\"y\"}}\n");
    let outcome = run(LINES, &input);
    assert_eq!((outcome.entities.len(), outcome.rejected.len()), (1, 1));
    assert!(outcome.rejected[0].reason.contains("longer than"));
    assert!(outcome.rejected[0].input.len() < 70_000);
    let input = format!(
        "{{\"features\":[{{\"type\":\"Feature\",\"properties\":{{\"id\":\"1\",\"a\":\"{long}\"}},\"geometry\":null}},\
         {{\"type\":\"Feature\",\"properties\":{{\"id\":\"2\",\"a\":\"y\"}},\"geometry\":null}}]}}"
    );
    let outcome = run(FEATURES, &input);
    assert_eq!((outcome.entities.len(), outcome.rejected.len()), (1, 1));
}

#[test]
fn broken_rows_are_rejected_with_line_reason_and_text() {
    let outcome = run(CSV, "id,a\n1,x\n2\n3,y,z\n 4 5,y\n,y\n6,\"two\nlines\"\n7,z\n");
    let said: Vec<_> = outcome.rejected.iter().map(|row| (row.line, row.input.as_str())).collect();
    assert_eq!(said, [(3, "2"), (4, "3,y,z"), (5, " 4 5,y"), (6, ",y")]);
    assert!(outcome.rejected[0].reason.contains("1 cells, the header 2"));
    assert!(outcome.rejected[2].reason.contains("id: ") && outcome.rejected[3].reason.contains("id: "));
    assert_eq!(outcome.entities.len(), 3);
    let outcome = run(LINES, "{\"id\":\"1\"}\n{\"id\":\n[1]\n\n{\"id\":\"2\"}\n");
    let lines: Vec<_> = outcome.rejected.iter().map(|row| row.line).collect();
    assert_eq!((outcome.entities.len(), lines), (2, vec![2, 3]));
    assert_eq!(
        serde_json::to_value(&outcome.rejected[1]).unwrap(),
        serde_json::json!({"file": "input", "line": 3, "reason": "the row must be an object, not a list", "input": "[1]"})
    );
}

#[test]
fn what_is_not_utf_8_is_rejected_with_a_hint() {
    // "江東" in Shift_JIS.
    let outcome = try_run(CSV, b"id,a\n1,\x8d\x5d\x93\x8c\n2,x\n", false).unwrap();
    assert_eq!(outcome.entities.len(), 1);
    assert!(outcome.rejected[0].reason.contains("iconv -f CP932"));
    let error = try_run(CSV, b"id,a,\x8d\x5d\n", false).unwrap_err().to_string();
    assert!(error.contains("iconv -f CP932"), "{error}");
    assert_eq!(try_run(LINES, b"{\"id\":\"\xff\"}\n", false).unwrap().rejected[0].reason, "the row is not UTF-8");
}

#[test]
fn broken_gzip_stops_the_import_but_keeps_what_was_read() {
    assert!(matches!(try_run(CSV, b"this is no gzip", true), Err(Error::Read { .. })));
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(b"id,a\n").unwrap();
    for id in 0..50_000 {
        writeln!(encoder, "{id},{}", id * 7919 % 10_007).unwrap();
    }
    let whole = encoder.finish().unwrap();
    assert_eq!(try_run(CSV, &whole, true).unwrap().entities.len(), 50_000);
    let error = try_run(CSV, &whole[..whole.len() / 2], true).unwrap_err();
    assert!(matches!(error, Error::Read { line: 2.., .. }), "{error}");
    let two = [whole.clone(), {
        let mut e = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        e.write_all(b"x1,y\n").unwrap();
        e.finish().unwrap()
    }]
    .concat();
    assert_eq!(try_run(CSV, &two, true).unwrap().entities.len(), 50_001, "members of gzip follow one another");
}

#[test]
fn a_document_of_another_shape_is_refused_with_what_it_says() {
    for (mapping, input, why) in [
        (FEATURES, "{\"type\":\"unavailable\",\"message\":\"not published\"}", "not published"),
        (FEATURES, "[]", "must be one FeatureCollection"),
        (FEATURES, "", "must be one FeatureCollection"),
        (FEATURES, "{\"features\":{}}", "\"features\" must be a list"),
        (FEATURES, "{\"features\":[{}", "the file ends"),
        (FEATURES, "{\"features\":[{} {}]}", "a comma or ] is missing"),
        (FEATURES, "{features:[]}", "a member name is missing"),
        (CSV, "", "no header line"),
        (CSV, "id,a,id\n", "two columns are called \"id\""),
        (CSV, "id,b\n", "has no column \"a\""),
    ] {
        let error = try_run(mapping, input.as_bytes(), false).unwrap_err().to_string();
        assert!(error.contains(why) && error.contains("input"), "{input}: {error}");
    }
    let wide = format!("id,a{}\n", (0..COLUMNS_MAX).map(|n| format!(",c{n}")).collect::<String>());
    assert!(try_run(CSV, wide.as_bytes(), false).unwrap_err().to_string().contains("1024 is the most"));
}

#[test]
fn deep_json_is_rejected() {
    let deep = format!("{{\"id\":\"1\",\"a\":{}{}}}\n", "[".repeat(100_000), "]".repeat(100_000));
    assert!(run(LINES, &deep).rejected[0].reason.contains("recursion limit"));
}

fn with(expression: &str) -> String {
    let text = serde_json::to_string(expression).unwrap();
    format!("format: ndjson\nid: '\"urn:x:1\"'\ntype: T\nattributes: {{a: {text}}}\n")
}

#[test]
fn an_expression_that_would_not_end_is_stopped() {
    let row = serde_json::json!({"l": (0..10_000).collect::<Vec<_>>(), "t": "x".repeat(100_000)}).to_string();
    let start = Instant::now();
    for bomb in [
        "row.l.map(a, row.l.map(b, row.l.map(c, a)))".to_owned(),
        "row.l.exists(a, row.l.exists(b, row.l.exists(c, a + b + c < 0)))".to_owned(),
        "row.l.all(a, row.l.all(b, row.l.all(c, a + b + c / 0 == 0)))".to_owned(),
        "row.l.filter(a, row.l.filter(b, b == a).size() == row.l.filter(b, b == a).size())".to_owned(),
        (0..40).fold("[\"xxxxxxxx\"]".to_owned(), |inner, n| format!("[{inner}].map(v{n}, v{n} + v{n})[0]")),
        (0..40).fold("[row.t]".to_owned(), |inner, n| format!("[{inner}].map(v{n}, [v{n}, v{n}])")),
        "row.l.map(x, row.t)".to_owned(),
        "replace(row.t, \"x\", row.t)".to_owned(),
        vec!["row.t"; 300].join(" + "),
    ] {
        match Mapping::parse(&with(&bomb)) {
            Err(_) => {}
            Ok(_) => {
                let outcome = run(&with(&bomb), &row);
                assert_eq!(outcome.entities.len(), 0, "{bomb}");
                assert!(outcome.rejected[0].reason.starts_with("attributes.a"), "{}", outcome.rejected[0].reason);
            }
        }
    }
    assert!(start.elapsed() < Duration::from_secs(20), "{:?}", start.elapsed());
}

#[test]
fn an_expression_that_is_nested_too_deep_is_refused() {
    for expression in [
        "(".repeat(2_000) + &")".repeat(2_000),
        "!".repeat(3_000) + "true",
        "-".repeat(3_000) + "1",
        vec!["1"; 2_000].join("+"),
        "true?".repeat(500) + "1" + &":2".repeat(500),
        "[".repeat(2_000) + &"]".repeat(2_000),
        "row".to_owned() + &".a".repeat(2_000),
        "\"a\"".to_owned() + &" in [\"a\"]".repeat(300),
        "x".repeat(5_000),
    ] {
        let error = Mapping::parse(&with(&expression)).unwrap_err().to_string();
        assert!(error.contains("attributes.a.value"), "{error}");
    }
    // Just what the parser gets to see; whether it refuses is its own matter, as long as it stands.
    for expression in [
        "(".repeat(199) + "1" + &")".repeat(199),
        "!".repeat(398) + "true",
        vec!["1"; 200].join("+"),
        "true?1:".repeat(99) + "1",
        "[".repeat(199) + &"]".repeat(199),
        "row".to_owned() + &".a".repeat(198),
        "row".to_owned() + &"[0]".repeat(130),
        "1".to_owned() + &".f()".repeat(99),
    ] {
        if let Ok(mapping) = Mapping::parse(&with(&expression)) {
            let reader = Box::new(std::io::Cursor::new(b"{}".to_vec()));
            drop(collect(&mapping, Decoder::open("x", reader, mapping.encoding(), false).unwrap()));
        }
    }
}

#[test]
fn a_mapping_that_is_a_bomb_is_refused() {
    let aliases = (1..12).fold("codes:\n  l0: &a0 {k: v}\n".to_owned(), |yaml, n| {
        let before = n - 1;
        let list = vec![format!("*a{before}"); 9].join(", ");
        format!("{yaml}  l{n}: &a{n} {{k: [{list}]}}\n")
    });
    assert!(Mapping::parse(&format!("{aliases}{CSV}")).is_err());
    assert!(matches!(Mapping::parse(&" ".repeat(300_000)), Err(Error::MappingTooLong { .. })));
    for bad in ["", "- 1", "format: csv", "format: [", "id: 1\nid: 2", "\u{0}", "? {a: b}\n: c"] {
        assert!(Mapping::parse(bad).is_err(), "{bad}");
    }
}

proptest! {
    #[test]
    fn no_text_makes_the_compiler_panic(expression in "[a-z0-9.\"'()\\[\\]{}?:!&|<>=+*/% ,_-]{0,60}") {
        drop(Mapping::parse(&with(&expression)));
    }

    #[test]
    fn no_macro_makes_the_compiler_panic(
        name in "(has|all|exists|exists_one|map|filter|optional|of|none)",
        target in "(row\\.l\\.|row\\.|\\[1\\]\\.|optional\\.|)",
        arguments in proptest::collection::vec("(x|row|row\\.l|1|x \\+ 1|\"t\"|row\\.a\\.b|\\[x\\]|true)", 0..4),
    ) {
        let expression = format!("{target}{name}({})", arguments.join(", "));
        if let Ok(mapping) = Mapping::parse(&with(&expression)) {
            let reader = Box::new(std::io::Cursor::new(b"{\"l\":[1,2],\"a\":{\"b\":1}}".to_vec()));
            drop(collect(&mapping, Decoder::open("x", reader, mapping.encoding(), false).unwrap()));
        }
    }

    #[test]
    fn no_bytes_make_a_decoder_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200), gz: bool) {
        for mapping in [CSV, LINES, FEATURES, &FEATURES.replace("geojson", "json")] {
            drop(try_run(mapping, &bytes, gz));
        }
    }

    #[test]
    fn no_json_makes_a_decoder_panic(text in "[{}\\[\\]\",:a1\\\\ \n]{0,80}") {
        for mapping in [LINES, FEATURES, &FEATURES.replace("geojson", "json")] {
            drop(try_run(mapping, text.as_bytes(), false));
            drop(try_run(mapping, format!("{{\"features\":[{text}").as_bytes(), false));
            drop(try_run(mapping, format!("[{{}}{text}").as_bytes(), false));
        }
    }
}
