//! What is kept of a source's messages: how it fares, where each message came from, and what was rejected.
//!
//! Entries are written in the commit of the change they tell of. A value is traced back by the origin of the
//! record that brought it, which names source, message and batch.

use std::collections::BTreeMap;

use city_model::Time;
use city_store::record::AlsoWrite;
use city_store::{Space, View};
use serde::{Deserialize, Serialize};

use crate::source::Error;
use crate::source::take::Reason;

/// Messages of one source whose entry is kept.
pub const MESSAGES_KEPT: u64 = 10_000;
/// Rejected messages of one source that are kept; beyond, the oldest goes.
pub const REJECTS_KEPT: u64 = 1_000;
/// Entries that are too old and go with one message: after numbers that no message came to have there are many.
const OLD_A_MESSAGE: usize = 64;
/// Bytes of the rejected messages of one source that are kept; beyond, the oldest goes.
pub const REJECTS_BYTES_KEPT: u64 = 16 * 1024 * 1024;
/// A longer rejected message is not kept, only why it was rejected.
pub const REJECT_BYTES_MAX: usize = 256 * 1024;

const STATUS: u8 = b'S';
const MESSAGE: u8 = b'M';
/// The bytes of a rejected message.
const BYTES: u8 = b'B';

/// What the records of a source's changes begin their origin with.
const ORIGIN: &str = "source:";

/// How a source fares.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Status {
    pub messages: u64,
    pub rows: u64,
    pub applied: u64,
    pub rejected: u64,
    pub last_at_micros: Option<i64>,
    /// Why the last message of which something was rejected was.
    pub last_rejection: Option<Box<str>>,
    /// Rejected messages that are kept.
    pub kept: u64,
}

/// What is kept of a message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Entry {
    pub number: u64,
    pub received_at_micros: i64,
    /// The source's version that took it.
    pub version: u32,
    /// Topic, address or name that it came under.
    pub name: Box<str>,
    /// Who sent it.
    pub by: Box<str>,
    pub bytes: u64,
    /// SHA-256, in hexadecimal.
    pub sha256: Box<str>,
    pub read: u64,
    pub applied: u64,
    pub rejected: u64,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reasons: Vec<Reason>,
    /// The rejected message that it was sent in place of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replaces: Option<u64>,
    /// The lines of what each batch changed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lines: Vec<Vec<u64>>,
}

fn key(tenant: u32, kind: u8, source: &str, number: Option<u64>) -> Vec<u8> {
    let mut key = tenant.to_be_bytes().to_vec();
    key.push(kind);
    key.extend_from_slice(source.as_bytes());
    key.push(0);
    if let Some(number) = number {
        key.extend_from_slice(&number.to_be_bytes());
    }
    key
}

fn put(key: Vec<u8>, value: Vec<u8>) -> AlsoWrite {
    AlsoWrite { space: Space::Sources, key: key.into(), value: Some(value.into()) }
}

fn delete(key: Vec<u8>) -> AlsoWrite {
    AlsoWrite { space: Space::Sources, key: key.into(), value: None }
}

pub fn status(view: &View, tenant: u32, source: &str) -> Result<Status, Error> {
    let bytes = view.get(Space::Sources, &key(tenant, STATUS, source, None))?;
    Ok(bytes.map(|bytes| read(&bytes)).transpose()?.unwrap_or_default())
}

pub fn entry(view: &View, tenant: u32, source: &str, number: u64) -> Result<Option<Entry>, Error> {
    let bytes = view.get(Space::Sources, &key(tenant, MESSAGE, source, Some(number)))?;
    bytes.map(|bytes| read(&bytes)).transpose()
}

/// A rejected message, as it came; `None` where it is not kept.
pub fn bytes(view: &View, tenant: u32, source: &str, number: u64) -> Result<Option<Vec<u8>>, Error> {
    Ok(view.get(Space::Sources, &key(tenant, BYTES, source, Some(number)))?.map(|bytes| bytes.to_vec()))
}

fn read<T: for<'d> Deserialize<'d>>(bytes: &[u8]) -> Result<T, Error> {
    serde_json::from_slice(bytes).map_err(|error| Error::Stored(error.to_string()))
}

fn written<T: Serialize>(value: &T) -> Result<Vec<u8>, Error> {
    serde_json::to_vec(value).map_err(|error| Error::Stored(error.to_string()))
}

/// Numbers of rejected messages that are kept, from `from` on.
pub fn rejects(view: &View, tenant: u32, source: &str, from: u64, limit: usize) -> Result<Vec<u64>, Error> {
    let (start, end) = (key(tenant, BYTES, source, Some(from)), key(tenant, BYTES, source, Some(u64::MAX)));
    let mut numbers = Vec::new();
    view.scan(Space::Sources, &start, &end, |key, _| {
        numbers.extend(key.last_chunk::<8>().map(|number| u64::from_be_bytes(*number)));
        Ok(if numbers.len() < limit { std::ops::ControlFlow::Continue(()) } else { std::ops::ControlFlow::Break(()) })
    })?;
    Ok(numbers)
}

/// The origin of the changes of a batch.
#[must_use]
pub fn origin(source: &str, number: u64, batch: usize) -> Box<str> {
    format!("{ORIGIN}{source}:{number}.{batch}").into()
}

/// Source, message and batch that an origin names.
#[must_use]
pub fn of_origin(origin: &str) -> Option<(&str, u64, usize)> {
    let (source, rest) = origin.strip_prefix(ORIGIN)?.rsplit_once(':')?;
    let (number, batch) = rest.split_once('.')?;
    Some((source, number.parse().ok()?, batch.parse().ok()?))
}

impl Status {
    /// Whether it has been silent for longer than it may be.
    #[must_use]
    pub fn is_silent(&self, expect_seconds: Option<i64>, since: Time, now: Time) -> bool {
        let last = self.last_at_micros.unwrap_or(since.as_micros());
        expect_seconds.is_some_and(|expect| now.as_micros() - last > expect * 1_000_000)
    }
}

/// How a source fares and which rejected messages it keeps, ahead of the disk by what is being written.
#[derive(Debug, Default)]
pub struct Tally {
    pub status: Status,
    /// The number that was given last.
    last: u64,
    /// No entry is kept below this number.
    first: u64,
    /// Rejected messages that are kept, and their bytes.
    kept: BTreeMap<u64, u64>,
    kept_bytes: u64,
    /// Something it counts may not have been written.
    pub(super) is_doubtful: bool,
}

impl Tally {
    pub fn load(view: &View, tenant: u32, source: &str) -> Result<Self, Error> {
        let status = status(view, tenant, source)?;
        let mut tally = Self { last: status.messages, status, ..Self::default() };
        let (start, end) = (key(tenant, MESSAGE, source, Some(0)), key(tenant, MESSAGE, source, Some(u64::MAX)));
        view.scan(Space::Sources, &start, &end, |key, _| {
            tally.first = key.last_chunk::<8>().map_or(0, |number| u64::from_be_bytes(*number));
            Ok(std::ops::ControlFlow::Break(()))
        })?;
        let (start, end) = (key(tenant, BYTES, source, Some(0)), key(tenant, BYTES, source, Some(u64::MAX)));
        view.scan(Space::Sources, &start, &end, |key, value| {
            if let Some(number) = key.last_chunk::<8>() {
                tally.kept.insert(u64::from_be_bytes(*number), value.len() as u64);
                tally.kept_bytes += value.len() as u64;
            }
            Ok(std::ops::ControlFlow::Continue(()))
        })?;
        Ok(tally)
    }

    /// A number that no other message has.
    pub fn next_number(&mut self) -> u64 {
        self.last += 1;
        self.last
    }

    /// Gives a number back that nothing was written under, if it is the last.
    pub fn give_back(&mut self, number: u64) {
        if self.last == number && number > self.status.messages {
            self.last -= 1;
        }
    }

    /// No number up to here is given again.
    pub fn begin_after(&mut self, number: u64) {
        self.last = self.last.max(number);
    }

    #[must_use]
    pub fn last(&self) -> u64 {
        self.last
    }

    /// What is written with the first rows that name a message, where others follow them: also where the server
    /// dies before its entry is written, no other message has its number.
    pub fn take_number(&mut self, tenant: u32, source: &str, number: u64) -> Result<AlsoWrite, Error> {
        self.status.messages = self.status.messages.max(number);
        Ok(put(key(tenant, STATUS, source, None), written(&self.status)?))
    }

    /// What is written for a message: its entry, how the source fares with it, and the message itself where it is
    /// to be kept. What it replaces and what is too old goes.
    pub fn note(
        &mut self,
        tenant: u32,
        source: &str,
        entry: &Entry,
        kept: Option<Vec<u8>>,
    ) -> Result<Vec<AlsoWrite>, Error> {
        let mut writes = vec![put(key(tenant, MESSAGE, source, Some(entry.number)), written(entry)?)];
        writes.extend(entry.replaces.and_then(|number| self.forget(tenant, source, number)).unwrap_or_default());
        let first = (entry.number + 1).saturating_sub(MESSAGES_KEPT).max(self.first);
        for too_old in (self.first..first).take(OLD_A_MESSAGE) {
            // What is kept to be mended keeps its entry.
            if !self.kept.contains_key(&too_old) {
                writes.push(delete(key(tenant, MESSAGE, source, Some(too_old))));
            }
            self.first = too_old + 1;
        }
        if let Some(bytes) = kept {
            self.kept.insert(entry.number, bytes.len() as u64);
            self.kept_bytes += bytes.len() as u64;
            writes.push(put(key(tenant, BYTES, source, Some(entry.number)), bytes));
        }
        while self.kept.len() as u64 > REJECTS_KEPT || self.kept_bytes > REJECTS_BYTES_KEPT {
            let Some((&oldest, _)) = self.kept.first_key_value() else { break };
            writes.extend(self.forget(tenant, source, oldest).unwrap_or_default());
        }
        let status = &mut self.status;
        status.messages = status.messages.max(entry.number);
        status.rows += entry.read;
        status.applied += entry.applied;
        status.rejected += entry.rejected;
        status.last_at_micros = status.last_at_micros.max(Some(entry.received_at_micros));
        if let Some(reason) = entry.reasons.first() {
            status.last_rejection = Some(format!("line {}: {}", reason.line, reason.why).into());
        }
        status.kept = self.kept.len() as u64;
        writes.push(put(key(tenant, STATUS, source, None), written(status)?));
        Ok(writes)
    }

    fn forget(&mut self, tenant: u32, source: &str, number: u64) -> Option<Vec<AlsoWrite>> {
        let bytes = self.kept.remove(&number)?;
        self.kept_bytes = self.kept_bytes.saturating_sub(bytes);
        let mut writes = vec![delete(key(tenant, BYTES, source, Some(number)))];
        if number < self.first {
            writes.push(delete(key(tenant, MESSAGE, source, Some(number))));
        }
        Some(writes)
    }

    /// Takes a rejected message out of those that are kept.
    pub fn drop_reject(&mut self, tenant: u32, source: &str, number: u64) -> Result<Vec<AlsoWrite>, Error> {
        let mut writes = self.forget(tenant, source, number).unwrap_or_default();
        self.status.kept = self.kept.len() as u64;
        writes.push(put(key(tenant, STATUS, source, None), written(&self.status)?));
        Ok(writes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_names_source_message_and_batch() {
        assert_eq!(of_origin(&origin("river.gauges", 4711, 2)), Some(("river.gauges", 4711, 2)));
        for other in ["ngsi-ld", "source:", "source:x", "source:x:1", "source:x:a.b"] {
            assert_eq!(of_origin(other), None, "{other}");
        }
    }
}
