//! The samples of the JMA: each is read, and each leaf of what another program made of it is in ours as well.
//!
//! `jma_paths.tsv` maps its paths to ours; `[]` is an item of a list, in order. Values are the same after this:
//! times are compared as instants, and numbers as numbers: theirs are `142.0` where ours are `142`. Where a text
//! ends in an ideographic space, theirs takes it away. A `-` says that ours has no counterpart, and why.
//! `RENKEI_BLESS=1` writes the table anew, from names; read the difference before it is committed.

#![allow(clippy::unwrap_used, reason = "a test fails loudly")]

#[path = "data/mod.rs"]
mod data;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use city_alert::jma::{self, Report};
use city_alert::xml::{self, Element};
use city_model::Time;
use serde_json::Value;

/// Pairs that are not told by their names.
const NAMED_OTHERWISE: &[(&str, &str)] = &[("body.type", "subject")];
const HEAD: &str = "# expected\tours, or - and why\n";

/// Read once: the samples are 37 MB.
static REPORTS: LazyLock<Option<BTreeMap<String, Report>>> = LazyLock::new(read_all);

fn read_all() -> Option<BTreeMap<String, Report>> {
    let files = data::unpacked("jma-xml/jma-xml-samples.tar.gz", ".xml")?;
    let read = |(name, bytes): (&String, &Vec<u8>)| {
        let name = name.strip_prefix("sample_xmls/").unwrap().strip_suffix(".xml").unwrap();
        (name.to_owned(), jma::read(bytes).unwrap_or_else(|error| panic!("{name}: {error}")))
    };
    Some(files.iter().map(read).collect())
}

#[test]
fn every_sample_is_read_and_makes_rows() {
    let Some(reports) = &*REPORTS else { return };
    assert_eq!(reports.len(), 546);
    let mut rows = 0;
    for (name, report) in reports {
        let made = report.rows().unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(!made.is_empty(), "{name} makes no row");
        rows += made.len();
    }
    println!("546 of 546 messages read; they make {rows} rows");
}

#[test]
fn every_leaf_of_the_expected_documents_is_in_ours() {
    let Some(reports) = &*REPORTS else { return };
    let Some(files) = data::unpacked("jma-xml/jma-xml-expected-json.tar.gz", ".json") else { return };
    let expected: BTreeMap<String, Value> = files
        .iter()
        .map(|(name, bytes)| {
            let name = name.strip_prefix("sample_json/").unwrap().strip_suffix(".json").unwrap();
            (name.to_owned(), serde_json::from_slice(bytes).unwrap())
        })
        .collect();
    assert_eq!(expected.len(), 541);
    let ours: BTreeMap<&String, Value> =
        reports.iter().map(|(name, report)| (name, serde_json::to_value(report).unwrap())).collect();
    let table = table(&expected, &ours);

    let (mut mapped, mut unmapped, mut unequal) = (0_u64, BTreeMap::<&str, u64>::new(), Vec::new());
    for (name, document) in &expected {
        let mut leaves = Vec::new();
        flatten(document, &mut String::new(), &mut Vec::new(), &mut leaves);
        for (pattern, indices, leaf) in leaves {
            let Some((known, target)) = table.get_key_value(&pattern) else {
                panic!("{name}: jma_paths.tsv has no line for {pattern}");
            };
            if target.starts_with('-') {
                *unmapped.entry(known).or_default() += 1;
                continue;
            }
            match find(&ours[name], target, &indices) {
                Some(found) if same(leaf, found) => mapped += 1,
                found => unequal.push(format!("{name}: {pattern}{indices:?}: expected {leaf}, ours {found:?}")),
            }
        }
    }
    let without: u64 = unmapped.values().sum();
    let leaves = mapped + without + u64::try_from(unequal.len()).unwrap();
    println!("541 documents, {leaves} leaves under {} paths: {mapped} the same, {without} unmapped", table.len());
    for (pattern, count) in &unmapped {
        println!("unmapped: {count} of {pattern} {}", table[*pattern]);
    }
    assert!(
        unequal.is_empty(),
        "{} differ; the first:\n{}",
        unequal.len(),
        unequal[..unequal.len().min(30)].join("\n")
    );
    assert!(without * 50 <= leaves, "{without} of {leaves} leaves are unmapped; at most 2 % may be");
}

/// Beside the expected documents, which leave out what their program does not know: every word of a message, from
/// its texts and its attributes, is in our JSON as often as in the XML. Numbers are counted, since `46.70` is 46.7.
#[test]
fn nothing_of_a_message_is_lost() {
    let Some(files) = data::unpacked("jma-xml/jma-xml-samples.tar.gz", ".xml") else { return };
    let Some(reports) = &*REPORTS else { return };
    for (name, bytes) in files.iter() {
        let name = name.strip_prefix("sample_xmls/").unwrap().strip_suffix(".xml").unwrap();
        let (mut in_xml, mut in_json) = (Words::default(), Words::default());
        in_xml.of_element(&xml::read(bytes).unwrap());
        let report = &reports[name];
        in_json.of_value(&serde_json::to_value(&report.control).unwrap());
        in_json.of_value(&serde_json::to_value(&report.head).unwrap());
        in_json.of_value(&report.body);
        assert!(in_xml == in_json, "{name}: {} and {} numbers", in_xml.numbers, in_json.numbers);
    }
}

/// Cut, with a byte changed, or with a piece of itself put in again: an error or a report, and its rows.
#[test]
fn a_broken_message_is_an_error_or_a_report_and_never_a_panic() {
    let Some(files) = data::unpacked("jma-xml/jma-xml-samples.tar.gz", ".xml") else { return };
    let mut random = 20_250_630_u64;
    let mut below = |bound: usize| {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(random >> 33).unwrap() % bound
    };
    let mut read = 0;
    for bytes in files.values().filter(|bytes| bytes.len() < 12_000).take(60) {
        let whole = bytes.trim_ascii_end();
        assert!(jma::read(&whole[..below(whole.len())]).is_err());
        for _ in 0..30 {
            let mut broken = bytes.clone();
            let (at, from) = (below(broken.len()), below(broken.len()));
            match below(3) {
                0 => broken[at] = b"<>&'\"/=! \x00\x80a1"[below(13)],
                1 => drop(broken.drain(at.min(from)..at.max(from))),
                _ => {
                    let piece = bytes[from..(from + 200).min(bytes.len())].to_vec();
                    drop(broken.splice(at..at, piece));
                }
            }
            if let Ok(report) = jma::read(&broken) {
                assert!(!report.rows().unwrap().is_empty());
                read += 1;
            }
        }
    }
    println!("{read} of 1,800 broken messages still were messages");
}

#[derive(Default, PartialEq)]
struct Words {
    words: BTreeMap<String, u64>,
    numbers: u64,
}

impl Words {
    fn of_element(&mut self, element: &Element) {
        let own = element.attributes.iter().filter(|one| !one.namespace.contains("XMLSchema-instance"));
        own.for_each(|attribute| self.of_text(&attribute.value));
        self.of_text(&element.text);
        element.children.iter().for_each(|child| self.of_element(child));
    }

    fn of_value(&mut self, value: &Value) {
        match value {
            Value::String(text) => self.of_text(text),
            Value::Number(_) => self.numbers += 1,
            Value::Array(list) => list.iter().for_each(|one| self.of_value(one)),
            Value::Object(map) => map.values().for_each(|one| self.of_value(one)),
            Value::Bool(truth) => self.of_text(&truth.to_string()),
            Value::Null => {}
        }
    }

    fn of_text(&mut self, text: &str) {
        for word in text.split_ascii_whitespace().filter(|word| *word != "NaN") {
            match word.parse::<f64>() {
                Ok(_) => self.numbers += 1,
                Err(_) => *self.words.entry(word.to_owned()).or_default() += 1,
            }
        }
    }
}

/// Lines of the committed file, written anew first if asked to.
fn table(expected: &BTreeMap<String, Value>, ours: &BTreeMap<&String, Value>) -> BTreeMap<String, String> {
    let path: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/jma_paths.tsv");
    if std::env::var_os("RENKEI_BLESS").is_some() {
        let mut pairs = BTreeMap::new();
        for (name, document) in expected {
            align(document, Some(&ours[name]), "", "", &mut pairs);
        }
        pairs.extend(NAMED_OTHERWISE.iter().map(|(theirs, ours)| ((*theirs).to_owned(), (*ours).to_owned())));
        let mut text = HEAD.to_owned();
        for (theirs, ours) in &pairs {
            let _ = writeln!(text, "{theirs}\t{ours}");
        }
        std::fs::write(&path, text).unwrap();
    }
    let text = std::fs::read_to_string(&path).unwrap();
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines.map(|line| line.split_once('\t').unwrap()).map(|(a, b)| (a.to_owned(), b.to_owned())).collect()
}

/// Pairs paths by their names: theirs has lists in the plural.
fn align(theirs: &Value, ours: Option<&Value>, at: &str, our_at: &str, pairs: &mut BTreeMap<String, String>) {
    match theirs {
        Value::Object(map) => {
            for (name, value) in map {
                let found = ours.and_then(Value::as_object).and_then(|ours| {
                    let names = singulars(name);
                    names.iter().find_map(|name| ours.keys().find(|key| key.eq_ignore_ascii_case(name)))
                });
                let next = |at: &str, name: &str| if at.is_empty() { name.to_owned() } else { format!("{at}.{name}") };
                let (our_next, our_at) = match found {
                    Some(key) => (ours.and_then(|ours| ours.get(key)), next(our_at, key)),
                    None => (None, String::new()),
                };
                align(value, our_next, &next(at, name), &our_at, pairs);
            }
        }
        Value::Array(list) => {
            for (index, value) in list.iter().enumerate() {
                let ours = ours.and_then(Value::as_array).and_then(|ours| ours.get(index));
                align(value, ours, &format!("{at}[]"), &format!("{our_at}[]"), pairs);
            }
        }
        _ => {
            let target = if ours.is_some() { our_at.to_owned() } else { "- is not there".to_owned() };
            let known = pairs.entry(at.to_owned()).or_insert_with(|| target.clone());
            if known.starts_with('-') {
                *known = target;
            }
        }
    }
}

fn singulars(name: &str) -> Vec<String> {
    let mut names = vec![name.to_owned()];
    for (plural, singular) in [("ies", "y"), ("es", "is"), ("es", ""), ("s", "")] {
        names.extend(name.strip_suffix(plural).map(|stem| format!("{stem}{singular}")));
    }
    names
}

/// Leaves with their path as a pattern, and the indices that its `[]` stand for.
fn flatten<'v>(
    value: &'v Value,
    at: &mut String,
    indices: &mut Vec<usize>,
    leaves: &mut Vec<(String, Vec<usize>, &'v Value)>,
) {
    let length = at.len();
    match value {
        Value::Object(map) => {
            for (name, value) in map {
                let _ = write!(at, "{}{name}", if length == 0 { "" } else { "." });
                flatten(value, at, indices, leaves);
                at.truncate(length);
            }
        }
        Value::Array(list) => {
            at.push_str("[]");
            for (index, value) in list.iter().enumerate() {
                indices.push(index);
                flatten(value, at, indices, leaves);
                indices.pop();
            }
            at.truncate(length);
        }
        leaf => leaves.push((at.clone(), indices.clone(), leaf)),
    }
}

/// What is at a path of ours, its `[]` filled in order.
fn find<'v>(root: &'v Value, path: &str, indices: &[usize]) -> Option<&'v Value> {
    let mut indices = indices.iter();
    let mut value = root;
    for step in path.split('.') {
        let name = step.trim_end_matches("[]");
        value = value.get(name)?;
        for _ in 0..(step.len() - name.len()) / 2 {
            value = value.get(*indices.next()?)?;
        }
    }
    Some(value)
}

fn same(theirs: &Value, ours: &Value) -> bool {
    match (theirs, ours) {
        (Value::String(a), Value::String(b)) => {
            let instants = || a.contains('T').then(|| Time::parse(a).zip(Time::parse(b))).flatten();
            a == b.trim_end_matches(char::is_whitespace) || instants().is_some_and(|(a, b)| a == b)
        }
        (Value::Number(a), Value::Number(b)) => a.as_f64() == b.as_f64(),
        (a, b) => a == b,
    }
}
