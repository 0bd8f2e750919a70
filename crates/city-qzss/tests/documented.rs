//! The page says what the crate does: its example is the row of its line, and it names every key that there is.

#![allow(clippy::unwrap_used, reason = "a test fails loudly")]

use city_model::Time;
use city_qzss::{Frame, decode_frame, decode_line};
use serde_json::Value;

const PAGE: &str = include_str!("../../../docs/reference/qzss.md");

#[test]
fn the_example_is_the_row_of_its_line() {
    let line = PAGE.lines().find(|line| line.starts_with("$QZQSM")).unwrap();
    let json = PAGE.split("```json\n").nth(1).unwrap().split("```").next().unwrap();
    let row = decode_line(line).unwrap().row(Time::parse("2022-03-07T04:00:03Z").unwrap());
    assert_eq!(serde_json::from_str::<Value>(json).unwrap(), Value::Object(row.clone()));
    // Nor in another order.
    let written: Vec<&str> = json.lines().filter_map(|line| line.strip_prefix("  \"")?.split('"').next()).collect();
    assert_eq!(written, row.keys().collect::<Vec<_>>());
}

#[test]
fn every_key_is_on_the_page() {
    let words: Vec<&str> = PAGE.split('`').skip(1).step_by(2).collect();
    let mut wrong = std::collections::BTreeSet::new();
    let mut kinds = std::collections::BTreeSet::new();
    for (message_type, kind) in (0..16).map(|kind| (43, kind)).chain((0..1_024).map(|kind| (44, kind))) {
        let mut frame = Frame::new([0x55; Frame::BYTES]);
        let fields = [(0, 8, 0x53), (8, 6, message_type), (214, 6, 1)];
        fields.into_iter().for_each(|(from, count, number)| frame.set(from, count, number));
        if message_type == 43 {
            frame.set(17, 4, kind);
            // 7 March, 4:00.
            frame.set(21, 20, 3 << 16 | 7 << 11 | 4 << 6);
        } else {
            // Provider, hazard and settings, in all ways.
            frame.set(26, 9, if kind & 7 == 7 { 10 } else { 111 });
            frame.set(35, 5, kind & 7);
            frame.set(40, 7, kind >> 3);
            frame.set(66, 4, [0, 8, 1, 8][usize::try_from(kind & 3).unwrap()]);
            frame.set(129, 2, if kind & 8 == 8 { 3 } else { kind >> 4 });
        }
        let Ok(message) = decode_frame(None, &Frame::sealed(*frame.bytes())) else { continue };
        kinds.insert(message.kind());
        let row = Value::Object(message.row(Time::parse("2022-03-07").unwrap()));
        keys(&row, &mut |key| {
            let stem = ["Code", "Ja", "En"].iter().find_map(|suffix| key.strip_suffix(suffix)).unwrap_or(key);
            if !words.contains(&key) && !words.contains(&stem) {
                wrong.insert(key.to_owned());
            }
        });
    }
    assert!(kinds.len() >= 17, "{kinds:?}");
    assert!(kinds.iter().all(|kind| words.contains(kind)), "{kinds:?}");
    assert!(wrong.is_empty(), "docs/reference/qzss.md does not have {wrong:?}");
}

fn keys(value: &Value, found: &mut dyn FnMut(&str)) {
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                found(key);
                keys(value, found);
            }
        }
        Value::Array(list) => list.iter().for_each(|value| keys(value, found)),
        _ => {}
    }
}
