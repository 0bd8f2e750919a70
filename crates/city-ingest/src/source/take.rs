//! One message through its source's mapping: bytes in, changes and rejected rows out. Nothing is written.

use std::io::Cursor;

use city_model::{Change, Entity, Time};
use city_ngsi_ld::entity::parse_raw_entity;
use city_ngsi_ld::{Mode, TermMap, parse_batch, parse_entity};

use crate::decode::Decoder;
use crate::import::{ImportError, import};
use crate::mapping::{Mapping, Target};
use crate::{Batch, Error};

/// Longest message, in bytes.
pub const MESSAGE_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Rejected rows whose reason is kept, of one message.
pub const REASONS_MAX: usize = 100;

/// What a message holds.
#[derive(Debug, Default)]
pub struct Held {
    pub read: u64,
    /// Left out by the mapping's `when`, or without a value.
    pub skipped: u64,
    /// What one request applies, each change with the line of its row.
    pub batches: Vec<Vec<(u64, Change)>>,
    pub rejected: u64,
    /// The first of them.
    pub reasons: Vec<Reason>,
}

/// Why a row was not taken.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Reason {
    pub line: u64,
    pub why: Box<str>,
    /// The row, as far as it is kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub row: Option<Box<str>>,
}

impl Held {
    pub fn reject(&mut self, line: u64, why: impl Into<Box<str>>, row: Option<Box<str>>) {
        self.rejected += 1;
        if self.reasons.len() < REASONS_MAX {
            self.reasons.push(Reason { line, why: why.into(), row });
        }
    }
}

/// Decodes and maps a message. A message that breaks off in the middle is rejected from there on; what came
/// before is taken.
pub fn hold(mapping: &Mapping, terms: &TermMap, name: &str, received_at: Time, bytes: Vec<u8>) -> Held {
    let mut held = Held::default();
    if bytes.len() > MESSAGE_BYTES_MAX {
        held.reject(0, format!("it has {} bytes; {MESSAGE_BYTES_MAX} is the most", bytes.len()), None);
        return held;
    }
    let decoder = match Decoder::open(name, Box::new(Cursor::new(bytes)), mapping.encoding(), false) {
        Ok(decoder) => decoder.received(received_at),
        Err(error) => {
            held.reject(0, error.to_string(), None);
            return held;
        }
    };
    let mut batches = Vec::new();
    let mut rejected = Vec::new();
    let report = import(
        decoder,
        mapping,
        |batch| {
            batches.push(batch);
            Ok::<(), std::convert::Infallible>(())
        },
        |row| {
            rejected.push(row);
            Ok(())
        },
    );
    match report {
        Ok(report) => (held.read, held.skipped) = (report.read, report.skipped),
        Err(ImportError::File(error)) => held.reject(line_of(&error), error.to_string(), None),
        Err(ImportError::Caller(never)) => match never {},
    }
    for row in rejected {
        held.reject(row.line, row.reason, Some(row.input.into()));
    }
    for batch in batches {
        hold_batch(&mut held, mapping.target(), terms, batch);
    }
    held.read = held.read.max(held.rejected + held.batches.iter().map(|batch| batch.len() as u64).sum::<u64>());
    held
}

fn line_of(error: &Error) -> u64 {
    error.line().unwrap_or_default()
}

fn hold_batch(held: &mut Held, target: Target, terms: &TermMap, batch: Batch) {
    let mut changes = Vec::new();
    match batch {
        Batch::Upsert { json, entities } => {
            let Ok(raw) = parse_batch(&json) else {
                held.reject(0, "what the mapping made of it is no batch of entities", None);
                return;
            };
            for (raw, entity) in raw.into_iter().zip(entities) {
                match parse_raw_entity(raw, terms, Mode::Create) {
                    Ok(parsed) => changes.push((entity.line, upsert(parsed))),
                    Err(error) => held.reject(entity.line, format!("{}: {error}", entity.id), None),
                }
            }
        }
        Batch::Temporal { json, id, .. } => match parse_entity(&json, terms, Mode::Temporal) {
            Ok(fragment) => changes.push((0, Change::Past { fragment, must_exist: false })),
            Err(error) => held.reject(0, format!("{id}: {error}"), None),
        },
    }
    debug_assert!(target == Target::Current || changes.iter().all(|(_, change)| matches!(change, Change::Past { .. })));
    if !changes.is_empty() {
        held.batches.push(changes);
    }
}

/// What else an entity has stays.
fn upsert(entity: Entity) -> Change {
    Change::Upsert { entity, update: true }
}
