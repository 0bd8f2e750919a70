//! The Smart Data Models examples through the whole server: every valid one is created and
//! retrieved under its own @context and means the same; every invalid one is refused, naming what
//! is wrong. The lists are those of the room that parses them.

#![allow(clippy::unwrap_used, reason = "a test fails loudly")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use e2e_tests::{Client, ENTITIES, Server, data_folder, encode};
use serde_json::{Map, Value, json};

fn list(name: &str) -> Vec<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates/city-ngsi-ld/tests").join(name);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    text.lines().map(str::to_owned).collect()
}

fn unpacked(archive: &Path, into: &Path) {
    std::fs::create_dir_all(into).unwrap();
    let status = Command::new("tar").arg("xzf").arg(archive).arg("-C").arg(into).status().expect("tar runs");
    assert!(status.success(), "tar could not unpack {}", archive.display());
}

const CORE: &str = "https://uri.etsi.org/ngsi-ld/";

/// The URLs in a document's @context that are not the core's.
fn urls(context: Option<&Value>) -> Vec<String> {
    match context {
        Some(Value::String(url)) if !url.starts_with(CORE) => vec![url.clone()],
        Some(Value::Array(items)) => items.iter().flat_map(|item| urls(Some(item))).collect(),
        _ => Vec::new(),
    }
}

/// The file of a URL: it names its subject, or else the example's own subject stands in for it.
fn file_of(url: &str, subject: &str, contexts: &Path) -> Option<PathBuf> {
    let named = url.split('/').find(|part| part.starts_with("dataModel.")).unwrap_or(subject);
    [named, subject].into_iter().map(|subject| contexts.join(format!("{subject}.jsonld"))).find(|file| file.is_file())
}

struct Example {
    name: String,
    subject: String,
    body: Vec<u8>,
    /// `None` for the two broken files.
    document: Option<Value>,
}

fn example(name: &str, examples: &Path) -> Example {
    let body = std::fs::read(examples.join(name)).unwrap();
    let document = serde_json::from_slice(&body).ok();
    Example { name: name.to_owned(), subject: name.split('/').next().unwrap().to_owned(), body, document }
}

/// Examples whose @context URLs mean the same files, so that one server can know them all: a URL
/// that names no subject means another file for each subject.
fn groups(examples: Vec<Example>, contexts: &Path) -> Vec<(BTreeMap<String, PathBuf>, Vec<Example>)> {
    let mut groups: Vec<(BTreeMap<String, PathBuf>, Vec<Example>)> = Vec::new();
    for example in examples {
        let context = example.document.as_ref().and_then(|document| document.get("@context"));
        let needs: BTreeMap<String, PathBuf> = urls(context)
            .into_iter()
            .filter_map(|url| file_of(&url, &example.subject, contexts).map(|file| (url, file)))
            .collect();
        let fits = |known: &BTreeMap<String, PathBuf>| {
            needs.iter().all(|(url, file)| known.get(url).is_none_or(|own| own == file))
        };
        match groups.iter_mut().find(|(known, _)| fits(known)) {
            Some((known, members)) => {
                known.extend(needs);
                members.push(example);
            }
            None => groups.push((needs, vec![example])),
        }
    }
    groups
}

fn listed(value: &Value) -> Vec<Value> {
    value.as_array().cloned().unwrap_or_else(|| vec![value.clone()])
}

const CARRIERS: [&str; 7] = ["value", "object", "languageMap", "vocab", "json", "valueList", "objectList"];
const GEOMETRIES: [&str; 6] = ["Point", "MultiPoint", "LineString", "MultiLineString", "Polygon", "MultiPolygon"];

fn is_instance(value: &Value) -> bool {
    CARRIERS.iter().any(|carrier| value.get(carrier).is_some())
}

/// What a document says, whatever the form: types as a set, numbers and times by value, one
/// instance in an array as that instance (clause 4.5.5), bare values as properties (4.5.4).
/// Names are left as they are: both documents are in the same @context.
fn meaning(entity: &Value) -> Value {
    let mut meant = Map::new();
    for (key, value) in entity.as_object().unwrap() {
        match key.as_str() {
            "@context" | "createdAt" | "modifiedAt" => {}
            "id" | "@id" => drop(meant.insert("id".into(), value.clone())),
            "type" | "@type" => {
                let types: BTreeSet<String> =
                    listed(value).iter().map(|name| name.as_str().unwrap().to_owned()).collect();
                meant.insert("type".into(), json!(types));
            }
            "scope" => drop(meant.insert("scope".into(), json!(listed(value)))),
            name => drop(meant.insert(name.to_owned(), attribute_meaning(value))),
        }
    }
    Value::Object(meant)
}

fn attribute_meaning(value: &Value) -> Value {
    match value {
        Value::Array(items) if items.len() == 1 && is_instance(&items[0]) => attribute_meaning(&items[0]),
        Value::Array(items) if !items.is_empty() && items.iter().all(is_instance) => {
            items.iter().map(attribute_meaning).collect()
        }
        Value::Object(members) if is_instance(value) => {
            let geometry =
                members.get("value").filter(|inner| inner.get("coordinates").is_some() && inner.get("type").is_some());
            let mut meant = Map::new();
            meant.insert("type".into(), json!(if geometry.is_some() { "GeoProperty" } else { "Property" }));
            for (key, value) in members {
                let meaning = match key.as_str() {
                    "createdAt" | "modifiedAt" | "instanceId" => continue,
                    "observedAt" => json!(instant(value.as_str().unwrap())),
                    "type" | "unitCode" | "datasetId" => value.clone(),
                    "objectList" => {
                        listed(value).into_iter().map(|item| item.get("object").cloned().unwrap_or(item)).collect()
                    }
                    "value" if geometry.is_some() => {
                        json!({"type": value["type"], "coordinates": value["coordinates"]})
                    }
                    carrier if CARRIERS.contains(&carrier) => value.clone(),
                    _ => attribute_meaning(value),
                };
                meant.insert(key.clone(), numbers_as_f64(meaning));
            }
            Value::Object(meant)
        }
        Value::Object(members)
            if members.contains_key("coordinates")
                && members.get("type").and_then(Value::as_str).is_some_and(|kind| GEOMETRIES.contains(&kind)) =>
        {
            json!({"type": "GeoProperty", "value": numbers_as_f64(value.clone())})
        }
        bare => json!({"type": "Property", "value": numbers_as_f64(bare.clone())}),
    }
}

/// Seconds since 1970 of an ISO 8601 time, whose seconds and offset may be left out, with its
/// fraction (civil date to days: H. Hinnant's algorithm).
fn instant(text: &str) -> String {
    let (date, time) = text.split_once('T').unwrap();
    let date: Vec<i64> = date.split('-').map(|part| part.parse().unwrap()).collect();
    let (year, month, day) = (date[0] - i64::from(date[1] <= 2), date[1], date[2]);
    let (era, year_of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let days = era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468;
    let (clock, offset) = match time.find(['Z', '+', '-']) {
        Some(at) => time.split_at(at),
        None => (time, "Z"),
    };
    let minutes_of = |text: &str| {
        let (hours, minutes) = text.split_once(':').unwrap_or((text, "0"));
        hours.parse::<i64>().unwrap() * 60 + minutes.parse::<i64>().unwrap()
    };
    let offset_minutes = match offset.split_at(1) {
        ("+", offset) => minutes_of(offset),
        ("-", offset) => -minutes_of(offset),
        _ => 0,
    };
    let (clock, fraction) = clock.split_once('.').unwrap_or((clock, ""));
    let (hours_minutes, seconds) = clock.split_at(5);
    let seconds: i64 = seconds.trim_start_matches(':').parse().unwrap_or(0);
    let whole = days * 86_400 + (minutes_of(hours_minutes) - offset_minutes) * 60 + seconds;
    format!("{whole}.{}", fraction.trim_end_matches('0'))
}

fn numbers_as_f64(value: Value) -> Value {
    match value {
        Value::Number(number) => json!(number.as_f64()),
        Value::Array(items) => items.into_iter().map(numbers_as_f64).collect(),
        Value::Object(members) => members.into_iter().map(|(key, value)| (key, numbers_as_f64(value))).collect(),
        other => other,
    }
}

/// Retrieved in the words of the document itself: its @context, hosted for the Link header.
fn retrieve(client: &Client, id: &str, link: Option<&str>) -> Value {
    let request = client.request("GET", &format!("{ENTITIES}/{}", encode(id)));
    match link {
        Some(url) => request.context(url).answer().json_of(200),
        None => request.answer().json_of(200),
    }
}

/// A URL under which the server knows the whole @context of a document.
fn whole_context(
    document: &Value,
    number: usize,
    folder: &Path,
    files: &mut BTreeMap<String, PathBuf>,
) -> Option<String> {
    let context = document.get("@context")?;
    if let Value::String(url) = context {
        return Some(url.clone());
    }
    let url = format!("https://contexts.example/{number}.jsonld");
    let file = folder.join(format!("whole-{number}.jsonld"));
    std::fs::write(&file, json!({"@context": context}).to_string()).unwrap();
    files.insert(url.clone(), file);
    Some(url)
}

fn start(data: &Path, files: &BTreeMap<String, PathBuf>) -> Server {
    let pairs: Vec<String> = files.iter().map(|(url, file)| format!("{url}={}", file.display())).collect();
    let arguments: Vec<&str> = pairs.iter().flat_map(|pair| ["--context-file", pair]).collect();
    Server::start_with(data, &arguments)
}

fn examples(names: impl Iterator<Item = String>, folder: &Path) -> Vec<Example> {
    names.map(|name| example(&name, folder)).collect()
}

#[test]
fn valid_smart_data_models_examples_mean_the_same_after_create_and_retrieve() {
    let Some(data) = data_folder("sdm") else { return };
    let folder = tempfile::tempdir().unwrap();
    let (contexts, unpacked_examples) = (folder.path().join("contexts"), folder.path().join("examples"));
    unpacked(&data.join("contexts.tar.gz"), &contexts);
    unpacked(&data.join("smart-data-models-examples.tar.gz"), &unpacked_examples);
    let all = examples(list("sdm_valid.txt").into_iter(), &unpacked_examples);
    let count = all.len();
    assert!(count > 400, "the list of valid examples has only {count}");
    let mut wrong = Vec::new();
    let mut checked = 0;
    for (number, (mut files, members)) in groups(all, &contexts).into_iter().enumerate() {
        let links: Vec<Option<String>> = members
            .iter()
            .enumerate()
            .map(|(at, example)| {
                whole_context(example.document.as_ref().unwrap(), number * 10_000 + at, folder.path(), &mut files)
            })
            .collect();
        let server = start(&folder.path().join(format!("city-{number}")), &files);
        let client = server.client();
        for (example, link) in members.iter().zip(links) {
            checked += 1;
            let sent = example.document.as_ref().unwrap();
            let id = sent.get("id").or_else(|| sent.get("@id")).and_then(Value::as_str).unwrap();
            let media = if sent.get("@context").is_some() { "application/ld+json" } else { "application/json" };
            // Examples of different subjects share ids.
            let answer = client.request("POST", ENTITIES).body(media, example.body.clone()).answer();
            if answer.status != 201 {
                wrong.push(format!("{}: {} {}", example.name, answer.status, answer.text()));
                continue;
            }
            let shown = retrieve(&client, id, link.as_deref());
            if meaning(sent) != meaning(&shown) {
                wrong.push(format!("{}:\n  sent  {}\n  shown {}", example.name, meaning(sent), meaning(&shown)));
            }
            let _ = client.delete(&format!("{ENTITIES}/{}", encode(id))).expect(204);
        }
    }
    assert_eq!(checked, count);
    assert!(wrong.is_empty(), "{} of {count} examples:\n{}", wrong.len(), wrong[..wrong.len().min(5)].join("\n"));
    println!("{count} examples mean the same");
}

#[test]
fn invalid_smart_data_models_examples_are_refused_naming_what_is_wrong() {
    let Some(data) = data_folder("sdm") else { return };
    let folder = tempfile::tempdir().unwrap();
    let (contexts, unpacked_examples) = (folder.path().join("contexts"), folder.path().join("examples"));
    unpacked(&data.join("contexts.tar.gz"), &contexts);
    unpacked(&data.join("smart-data-models-examples.tar.gz"), &unpacked_examples);
    let reasons: BTreeMap<String, String> = list("sdm_invalid.txt")
        .into_iter()
        .map(|line| line.split_once('\t').map(|(name, why)| (name.to_owned(), why.to_owned())).unwrap())
        .collect();
    let all = examples(reasons.keys().cloned(), &unpacked_examples);
    let count = all.len();
    assert!(count > 100, "the list of invalid examples has only {count}");
    let mut wrong = Vec::new();
    for (number, (files, members)) in groups(all, &contexts).into_iter().enumerate() {
        let server = start(&folder.path().join(format!("city-{number}")), &files);
        let client = server.client();
        for example in members {
            let has_context = example.document.as_ref().is_none_or(|document| document.get("@context").is_some());
            let media = if has_context { "application/ld+json" } else { "application/json" };
            let answer = client.request("POST", ENTITIES).body(media, example.body.clone()).answer();
            let why = &reasons[&example.name];
            let named = answer.status == 400
                && answer.json()["detail"].as_str().is_some_and(|detail| detail.contains(why.as_str()));
            if !named {
                wrong.push(format!("{}: {} {}\n  expected {why}", example.name, answer.status, answer.text()));
            }
        }
        let kept = client.get(&format!("{ENTITIES}?local=true&limit=0&count=true")).expect(200);
        assert_eq!(kept.header("ngsild-results-count"), Some("0"), "something invalid was kept");
    }
    assert!(wrong.is_empty(), "{} of {count} examples:\n{}", wrong.len(), wrong[..wrong.len().min(5)].join("\n"));
    println!("{count} examples are refused by name");
}
