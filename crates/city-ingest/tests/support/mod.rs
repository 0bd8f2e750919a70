//! What the tests of this room share: a run over text, and the real data where it is.
#![allow(dead_code, reason = "each test file uses its part")]

use std::convert::Infallible;
use std::fs::File;
use std::io::{Cursor, Read};
use std::path::{Path, PathBuf};

use city_ingest::{Batch, Decoder, Error, ImportError, Mapping, RejectedRow, Report, import};
use serde_json::Value;

#[derive(Debug, Default)]
pub struct Outcome {
    pub report: Report,
    pub entities: Vec<Value>,
    pub temporal: Vec<Value>,
    pub rejected: Vec<RejectedRow>,
}

pub fn run(mapping: &str, input: &str) -> Outcome {
    try_run(mapping, input.as_bytes(), false).unwrap_or_else(|error| panic!("{error}"))
}

pub fn try_run(mapping: &str, input: &[u8], gz: bool) -> Result<Outcome, Error> {
    let mapping = Mapping::parse(mapping)?;
    let reader = Box::new(Cursor::new(input.to_vec()));
    collect(&mapping, Decoder::open("input", reader, mapping.encoding(), gz)?)
}

pub fn collect(mapping: &Mapping, decoder: Decoder) -> Result<Outcome, Error> {
    let mut outcome = Outcome::default();
    let (mut entities, mut temporal, mut rejected) = (Vec::new(), Vec::new(), Vec::new());
    let send = |batch: Batch| {
        match batch {
            Batch::Upsert { json, .. } => {
                entities.extend(serde_json::from_slice::<Vec<Value>>(&json).expect("a batch is a JSON array"));
            }
            Batch::Temporal { json, .. } => temporal.push(serde_json::from_slice(&json).expect("JSON")),
        }
        Ok::<(), Infallible>(())
    };
    let reject = |row| {
        rejected.push(row);
        Ok(())
    };
    outcome.report = match import(decoder, mapping, send, reject) {
        Ok(report) => report,
        Err(ImportError::File(error)) => return Err(error),
        Err(ImportError::Caller(never)) => match never {},
    };
    (outcome.entities, outcome.temporal, outcome.rejected) = (entities, temporal, rejected);
    Ok(outcome)
}

/// `$RENKEI_DATA`, else `../shared/data` beside the repository. `None` says that the test is skipped,
/// unless `RENKEI_REQUIRE_DATA` forbids that.
pub fn data(name: &str) -> Option<PathBuf> {
    let root = match std::env::var_os("RENKEI_DATA") {
        Some(root) => PathBuf::from(root),
        None => Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data"),
    };
    let path = root.join(name);
    if path.exists() {
        return Some(path);
    }
    assert!(std::env::var_os("RENKEI_REQUIRE_DATA").is_none(), "{} is missing", path.display());
    eprintln!("skipped: {} is not there", path.display());
    None
}

pub fn example(name: &str) -> Mapping {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/koto").join(name);
    let yaml = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    Mapping::parse(&yaml).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

pub fn open(mapping: &Mapping, path: &Path) -> Result<Decoder, Error> {
    let name = path.file_name().unwrap().to_string_lossy().into_owned();
    let reader: Box<dyn Read + Send> = Box::new(File::open(path).unwrap());
    Decoder::open(&name, reader, mapping.encoding(), name.ends_with(".gz"))
}

/// All of the file, through the mapping of that name.
pub fn real(mapping: &str, file: &str) -> Option<Outcome> {
    let path = data(file)?;
    let mapping = example(mapping);
    let decoder = open(&mapping, &path).unwrap_or_else(|error| panic!("{error}"));
    Some(collect(&mapping, decoder).unwrap_or_else(|error| panic!("{error}")))
}
