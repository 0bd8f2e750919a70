//! The Smart Data Models examples: every valid one keeps its meaning through parse and render under
//! its own @context; every invalid one is refused, naming what is wrong with it.
//!
//! `RENKEI_BLESS=1` writes the two lists anew; read the difference before it is committed.

#![allow(clippy::unwrap_used, reason = "a test fails loudly")]

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::process::Command;

use city_model::Time;
use city_ngsi_ld::{
    ContextDocument, ContextSpec, ContextStore, Mode, RenderOptions, ResolveError, TermMap, parse_entity,
    render_entity, split_context,
};
use serde_json::{Map, Value, json};

/// Where the data lie; `None`, said aloud, where they may be missing.
fn data() -> Option<PathBuf> {
    let folder = std::env::var_os("RENKEI_DATA")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data"), PathBuf::from);
    if folder.join("sdm/contexts.tar.gz").exists() {
        return Some(folder);
    }
    assert!(
        std::env::var_os("RENKEI_REQUIRE_DATA").is_none_or(|value| value != "1"),
        "no Smart Data Models examples in {}, and RENKEI_REQUIRE_DATA=1",
        folder.display()
    );
    println!("skipped: no Smart Data Models examples in {}", folder.display());
    None
}

fn unpacked(archive: &Path, name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::create_dir_all(&folder).unwrap();
    let status = Command::new("tar").arg("xzf").arg(archive).arg("-C").arg(&folder).status().expect("tar runs");
    assert!(status.success(), "tar could not unpack {}", archive.display());
    folder
}

fn files_below(folder: &Path, suffix: &str, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files_below(&path, suffix, found);
        } else if path.to_string_lossy().ends_with(suffix) {
            found.push(path);
        }
    }
}

struct Contexts {
    by_subject: HashMap<String, Vec<u8>>,
}

impl Contexts {
    /// A URL that names a subject is that subject's context. The collections of all subjects are not
    /// in the data; the subject of the example stands in for them.
    fn fetch(&self, url: &str, subject: &str) -> Option<&[u8]> {
        let named = url.split('/').find(|part| part.starts_with("dataModel."));
        let known = self.by_subject.get(named.unwrap_or(subject)).or_else(|| self.by_subject.get(subject));
        known.map(Vec::as_slice)
    }

    fn resolve(&self, body: &[u8], subject: &str) -> Result<std::sync::Arc<TermMap>, String> {
        let spec = split_context(body).map_err(|error| error.to_string())?.unwrap_or_else(ContextSpec::core);
        let store = ContextStore::new();
        loop {
            match store.resolve(&spec) {
                Ok(terms) => return Ok(terms),
                Err(ResolveError::Missing(url)) => {
                    let bytes = self.fetch(&url, subject).ok_or_else(|| format!("no context for {url}"))?;
                    let document = ContextDocument::parse(bytes).map_err(|error| format!("{url}: {error}"))?;
                    store.insert(&url, document);
                }
                Err(error) => return Err(error.to_string()),
            }
        }
    }
}

/// What a document means: names expanded, system attributes left out, times and numbers compared
/// by value. Written apart from the parser under test, so that both must be right.
fn meaning(entity: &Value, terms: &TermMap) -> Value {
    let mut meant = Map::new();
    for (key, value) in entity.as_object().unwrap() {
        match key.as_str() {
            "@context" | "createdAt" | "modifiedAt" => {}
            "id" | "@id" => drop(meant.insert("id".into(), value.clone())),
            "type" | "@type" => {
                let mut types: Vec<String> =
                    listed(value).iter().map(|name| terms.expand(name.as_str().unwrap()).to_string()).collect();
                types.sort();
                types.dedup();
                meant.insert("type".into(), json!(types));
            }
            "scope" => drop(meant.insert("scope".into(), json!(listed(value)))),
            name => drop(meant.insert(terms.expand(name).to_string(), attribute_meaning(value, terms))),
        }
    }
    Value::Object(meant)
}

fn listed(value: &Value) -> Vec<Value> {
    value.as_array().cloned().unwrap_or_else(|| vec![value.clone()])
}

const CARRIERS: [&str; 7] = ["value", "object", "languageMap", "vocab", "json", "valueList", "objectList"];

fn attribute_meaning(value: &Value, terms: &TermMap) -> Value {
    let is_instance = |value: &Value| CARRIERS.iter().any(|carrier| value.get(carrier).is_some());
    match value {
        // One instance in an array is that instance (clause 4.5.5).
        Value::Array(items) if items.len() == 1 && is_instance(&items[0]) => attribute_meaning(&items[0], terms),
        Value::Array(items) if !items.is_empty() && items.iter().all(is_instance) => {
            Value::Array(items.iter().map(|item| attribute_meaning(item, terms)).collect())
        }
        Value::Object(members) if is_instance(value) => {
            let geo = members.get("value").is_some_and(|v| v.get("coordinates").is_some() && v.get("type").is_some());
            let mut meant = Map::new();
            meant.insert("type".into(), json!(if geo { "GeoProperty" } else { "Property" }));
            for (key, value) in members {
                let (key, value) = match key.as_str() {
                    "createdAt" | "modifiedAt" | "instanceId" => continue,
                    "observedAt" => (key.clone(), json!(Time::parse(value.as_str().unwrap()).unwrap().to_string())),
                    "type" | "unitCode" | "datasetId" => (key.clone(), value.clone()),
                    "objectList" => {
                        let uris = listed(value).into_iter().map(|item| item.get("object").cloned().unwrap_or(item));
                        (key.clone(), Value::Array(uris.collect()))
                    }
                    "value" if geo => {
                        (key.clone(), json!({"type": value["type"], "coordinates": value["coordinates"]}))
                    }
                    carrier if CARRIERS.contains(&carrier) => (key.clone(), value.clone()),
                    name => (terms.expand(name).to_string(), attribute_meaning(value, terms)),
                };
                meant.insert(key, numbers_as_f64(value));
            }
            Value::Object(meant)
        }
        Value::Object(members) if members.contains_key("coordinates") && members.contains_key("type") => {
            json!({"type": "GeoProperty", "value": numbers_as_f64(value.clone())})
        }
        bare => json!({"type": "Property", "value": numbers_as_f64(bare.clone())}),
    }
}

fn numbers_as_f64(value: Value) -> Value {
    match value {
        Value::Number(number) => json!(number.as_f64()),
        Value::Array(items) => items.into_iter().map(numbers_as_f64).collect(),
        Value::Object(members) => members.into_iter().map(|(key, value)| (key, numbers_as_f64(value))).collect(),
        other => other,
    }
}

#[test]
fn valid_examples_keep_their_meaning_and_invalid_ones_are_refused_by_name() {
    let Some(data) = data() else { return };
    let contexts = unpacked(&data.join("sdm/contexts.tar.gz"), "sdm-contexts");
    let examples = unpacked(&data.join("sdm/smart-data-models-examples.tar.gz"), "sdm-examples");
    let mut by_subject = HashMap::new();
    let mut found = Vec::new();
    files_below(&contexts, ".jsonld", &mut found);
    for path in found {
        let subject = path.file_stem().unwrap().to_string_lossy().into_owned();
        by_subject.insert(subject, std::fs::read(&path).unwrap());
    }
    let contexts = Contexts { by_subject };
    let mut paths = Vec::new();
    files_below(&examples, "normalized.jsonld", &mut paths);
    paths.sort();

    let (mut valid, mut invalid) = (Vec::new(), BTreeMap::new());
    for path in &paths {
        let name = path.strip_prefix(&examples).unwrap().to_string_lossy().into_owned();
        let subject = name.split('/').next().unwrap();
        let body = std::fs::read(path).unwrap();
        let terms = match contexts.resolve(&body, subject) {
            Ok(terms) => terms,
            Err(reason) => {
                invalid.insert(name, reason);
                continue;
            }
        };
        let entity = match parse_entity(&body, &terms, Mode::Create) {
            Ok(entity) => entity,
            Err(error) => {
                invalid.insert(name, error.to_string());
                continue;
            }
        };
        let mut rendered = Vec::new();
        render_entity(&entity, &terms, &RenderOptions::default(), &mut rendered);
        let sent: Value = serde_json::from_slice(&body).unwrap();
        let shown: Value = serde_json::from_slice(&rendered).unwrap();
        assert_eq!(meaning(&sent, &terms), meaning(&shown, &terms), "{name}");
        assert_eq!(parse_entity(&rendered, &terms, Mode::Create).unwrap(), entity, "{name}");
        valid.push(name);
    }
    let valid: String = valid.iter().map(|name| format!("{name}\n")).collect();
    let invalid: String = invalid.iter().map(|(name, reason)| format!("{name}\t{reason}\n")).collect();
    let lists = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    if std::env::var_os("RENKEI_BLESS").is_some() {
        std::fs::write(lists.join("sdm_valid.txt"), &valid).unwrap();
        std::fs::write(lists.join("sdm_invalid.txt"), &invalid).unwrap();
    }
    assert_eq!(valid, std::fs::read_to_string(lists.join("sdm_valid.txt")).unwrap());
    assert_eq!(invalid, std::fs::read_to_string(lists.join("sdm_invalid.txt")).unwrap());
}
