//! What we read is what azarashi reads: every logged line, made-up messages of every category, every code list.
//!
//! `expected` turns azarashi's fields into the row that ours must be, key by key; `made_up` makes messages. What is
//! not the same is named there, each with its reason.

#![allow(clippy::unwrap_used, reason = "a test fails loudly")]

#[path = "against_azarashi/expected.rs"]
mod expected;
#[path = "against_azarashi/expected_dcx.rs"]
mod expected_dcx;
#[path = "against_azarashi/made_up.rs"]
mod made_up;
mod support;

use std::collections::BTreeMap;

use city_model::Time;
use city_qzss::dcr::{Disaster, NankaiTrough};
use city_qzss::{Body, decode_line, tables};
use serde_json::{Map, Value};
use support::{azarashi, logs};

type Row = Map<String, Value>;

/// Lines in the two logs.
const LOGGED: usize = 357;

#[test]
fn every_logged_line_says_what_azarashi_reads() {
    let (Some(logs), Some(azarashi)) = (logs(), azarashi()) else { return };
    let mut compared = BTreeMap::new();
    let mut wrong = Vec::new();
    for (date, lines) in logs {
        let answers = azarashi.ask(&["lines", date], "logged", &lines);
        for (line, answer) in lines.iter().zip(&answers) {
            assert!(answer["refused"].is_null(), "azarashi refuses {line}: {}", answer["refused"]);
            let kind = compare(line, date, answer, &mut wrong);
            *compared.entry(kind).or_insert(0) += 1;
        }
    }
    println!("equal to azarashi: {compared:?}");
    assert!(wrong.is_empty(), "{} differences:\n{}", wrong.len(), wrong.join("\n"));
    assert_eq!(compared.values().sum::<usize>(), LOGGED);
}

#[test]
fn messages_of_every_category_say_what_azarashi_reads() {
    let Some(azarashi) = azarashi() else { return };
    let lines = made_up::sentences();
    let answers = azarashi.ask(&["lines", made_up::DATE], "made-up", &lines);
    let (mut compared, mut refused, mut wrong) = (BTreeMap::new(), 0, Vec::new());
    for (line, answer) in lines.iter().zip(&answers) {
        if answer["refused"].is_string() {
            refused += 1;
            if let Ok(message) = decode_line(line) {
                wrong.push(format!("{line}: {} is read, azarashi refuses: {}", message.kind(), answer["refused"]));
            }
            continue;
        }
        *compared.entry(compare(line, made_up::DATE, answer, &mut wrong)).or_insert(0) += 1;
    }
    println!("equal to azarashi: {compared:?}, refused by both: {refused}");
    wrong.truncate(40);
    assert!(wrong.is_empty(), "differences:\n{}", wrong.join("\n"));
    assert!(compared.len() == 18 && compared.values().all(|count| *count >= 20), "{compared:?}");
    assert!(refused > 100, "{refused}");
}

/// The kind, and what differs.
fn compare(line: &str, date: &str, answer: &Value, wrong: &mut Vec<String>) -> &'static str {
    let message = match decode_line(line) {
        Ok(message) => message,
        Err(error) => {
            wrong.push(format!("{line}: {error}"));
            return "refused";
        }
    };
    let mut row = message.row(Time::parse(date).unwrap());
    let unknown = row.remove("unknownCodes").map_or(0, |names| names.as_array().unwrap().len());
    let theirs = expected::row(answer);
    let named = theirs.values().map(names_of_undefined).sum::<usize>();
    if (unknown == 0) != (named == 0) {
        wrong.push(format!("{line}: {unknown} codes are unknown to us, {named} to azarashi"));
    }
    expected::forgive(&mut row, &theirs, answer);
    differences("", &Value::Object(row), &Value::Object(theirs), &mut |place, ours, theirs| {
        wrong.push(format!("{line}: {}{place}: {ours} here, {theirs} by azarashi", message.kind()));
    });
    message.kind()
}

/// How many texts name a code as one that is in no list.
fn names_of_undefined(value: &Value) -> usize {
    match value {
        Value::String(text) => usize::from(text.contains("(Code: ") || text.contains("(コード番号")),
        Value::Array(list) => list.iter().map(names_of_undefined).sum(),
        Value::Object(map) => map.values().map(names_of_undefined).sum(),
        _ => 0,
    }
}

fn differences(place: &str, ours: &Value, theirs: &Value, found: &mut dyn FnMut(&str, &Value, &Value)) {
    match (ours, theirs) {
        (Value::Object(ours), Value::Object(theirs)) => {
            let keys: std::collections::BTreeSet<&String> = ours.keys().chain(theirs.keys()).collect();
            for key in keys {
                let (ours, theirs) = (ours.get(key).unwrap_or(&Value::Null), theirs.get(key).unwrap_or(&Value::Null));
                differences(&format!("{place}.{key}"), ours, theirs, found);
            }
        }
        (Value::Array(ours), Value::Array(theirs)) if ours.len() == theirs.len() => {
            for (at, (ours, theirs)) in ours.iter().zip(theirs).enumerate() {
                differences(&format!("{place}[{at}]"), ours, theirs, found);
            }
        }
        (Value::Number(a), Value::Number(b)) if (a.as_f64().unwrap() - b.as_f64().unwrap()).abs() < 1e-9 => {}
        _ if ours == theirs => {}
        _ => found(place, ours, theirs),
    }
}

#[test]
fn pages_on_the_nankai_trough_are_put_together() {
    let (Some(logs), Some(azarashi)) = (logs(), azarashi()) else { return };
    let (date, lines) = &logs[0];
    let answers = azarashi.ask(&["lines", date], "nankai", lines);
    let whole = answers.iter().filter_map(|answer| answer["text"].as_str()).find(|text| !text.starts_with("受信中"));
    let mut pages: Vec<NankaiTrough> = Vec::new();
    for line in lines {
        if let Body::Dcr(report) = decode_line(line).unwrap().body
            && let Disaster::NankaiTrough(page) = report.disaster
            && !pages.contains(&page)
        {
            pages.push(page);
        }
    }
    assert_eq!(NankaiTrough::whole_text(&pages[1..]), None, "a page is missing");
    let text = NankaiTrough::whole_text(pages.iter().rev()).expect("every page is there");
    assert_eq!(Some(text.as_str()), whole);
    assert!(text.contains("南海トラフ"), "{text}");
}

#[test]
fn every_code_list_is_the_one_that_azarashi_has() {
    let Some(azarashi) = azarashi() else { return };
    let mut questions = Vec::new();
    let mut answers = Vec::new();
    for table in tables::ALL {
        let known: Vec<u64> = table.codes().collect();
        let greatest = known.last().copied().unwrap_or(0);
        // What is not in a list, in its range and beyond it.
        let beside = known.iter().flat_map(|code| [code.saturating_sub(1), code + 1]).chain([0, greatest * 2 + 7]);
        // Of lists that are several in one, and of categories, no other code is asked for: such a message is refused.
        let is_joined = matches!(table.name, "provider" | "hazard_detail" | "disaster_category");
        for code in known.iter().copied().chain(beside.filter(|_| !is_joined)) {
            questions.push(format!("{}\t{code}", table.name));
            let found = table.find(code);
            answers.push(serde_json::json!({"ja": found.ja, "en": found.en}));
        }
    }
    let theirs = azarashi.ask(&["tables"], "tables", &questions);
    let pairs = questions.iter().zip(answers.iter().zip(&theirs));
    let wrong: Vec<String> = pairs
        .filter(|(_, (ours, theirs))| ours != theirs)
        .map(|(question, (ours, theirs))| format!("{question}: {ours} here, {theirs} by azarashi"))
        .collect();
    println!("{} names compared", questions.len());
    assert!(questions.len() > 10_000, "{}", questions.len());
    assert!(wrong.is_empty(), "{} differences:\n{}", wrong.len(), wrong.join("\n"));
}
