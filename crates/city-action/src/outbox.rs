//! What shall leave: one small row per match, kept until it was taken or given up.
//!
//! Keys: kind | tenant | subscription id | 0 | seq. A row names the changes (by their place in
//! the journal), not the entities: what is sent is rebuilt as of the change.

use std::ops::ControlFlow;

use city_model::subscription::DeliveryReport;
use city_model::{Time, subscription::Trigger};
use city_store::codec::{Reader, Writer};
use city_store::view::after_prefix;
use city_store::{Error, Space, View, ViewBatch};

/// Most rows that wait for one subscription; at the bound the oldest become dead letters.
pub const ROWS_MAX: u64 = 100_000;
/// Longest wait of a row, in microseconds: a day.
pub const ROW_AGE_MICROS_MAX: i64 = 24 * 3_600 * 1_000_000;
/// Most dead letters that are kept of one subscription; the oldest go first.
pub const DEAD_LETTERS_MAX: u64 = 10_000;

const ROW: u8 = b'r';
const STATE: u8 = b's';
const DEAD_LETTER: u8 = b'd';

/// Which subscription of which tenant.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SubscriptionKey {
    pub tenant: u32,
    pub id: Box<str>,
}

/// Changes of one request that one subscription matched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// Position of the first of them; it makes the notification's id.
    pub seq: u64,
    pub matched_at: Time,
    pub changes: Vec<MatchedChange>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MatchedChange {
    pub lsn: u64,
    pub entity: u32,
    pub trigger: Trigger,
}

/// Something that was given up, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetter {
    pub row: Row,
    pub given_up_at: Time,
    pub why: Box<str>,
}

fn prefix(kind: u8, key: &SubscriptionKey) -> Vec<u8> {
    let mut bytes = vec![kind];
    bytes.extend_from_slice(&key.tenant.to_be_bytes());
    bytes.extend_from_slice(key.id.as_bytes());
    bytes.push(0);
    bytes
}

fn at(kind: u8, key: &SubscriptionKey, seq: u64) -> Vec<u8> {
    let mut bytes = prefix(kind, key);
    bytes.extend_from_slice(&seq.to_be_bytes());
    bytes
}

fn trigger_number(trigger: Trigger) -> u8 {
    match trigger {
        Trigger::EntityCreated => 0,
        Trigger::EntityUpdated => 1,
        Trigger::EntityDeleted => 2,
        Trigger::AttributeCreated => 3,
        Trigger::AttributeUpdated => 4,
        Trigger::AttributeDeleted => 5,
    }
}

fn read_trigger(number: u8) -> Result<Trigger, Error> {
    Ok(match number {
        0 => Trigger::EntityCreated,
        1 => Trigger::EntityUpdated,
        2 => Trigger::EntityDeleted,
        3 => Trigger::AttributeCreated,
        4 => Trigger::AttributeUpdated,
        5 => Trigger::AttributeDeleted,
        _ => return Err(Error::Undecodable("a trigger is unknown".to_owned())),
    })
}

impl Row {
    fn write(&self, out: &mut Writer) {
        out.int(self.matched_at.as_micros());
        out.uint(self.changes.len() as u64);
        for change in &self.changes {
            out.uint(change.lsn);
            out.uint(change.entity.into());
            out.u8(trigger_number(change.trigger));
        }
    }

    fn read(seq: u64, from: &mut Reader) -> Result<Self, Error> {
        let matched_at = Time::from_micros(from.int()?);
        let changes = (0..from.uint()?)
            .map(|_| Ok(MatchedChange { lsn: from.uint()?, entity: from.u32()?, trigger: read_trigger(from.u8()?)? }))
            .collect::<Result<_, Error>>()?;
        Ok(Self { seq, matched_at, changes })
    }
}

pub fn put_row(key: &SubscriptionKey, row: &Row, batch: &mut ViewBatch) {
    let mut out = Writer::default();
    row.write(&mut out);
    batch.put(Space::Outbox, at(ROW, key, row.seq), &out.bytes);
}

pub fn delete_row(key: &SubscriptionKey, seq: u64, batch: &mut ViewBatch) {
    batch.delete(Space::Outbox, at(ROW, key, seq));
}

fn seq_of(key: &[u8]) -> Result<u64, Error> {
    let bytes = key.len().checked_sub(8).and_then(|at| key[at..].try_into().ok());
    bytes.map(u64::from_be_bytes).ok_or_else(|| Error::Undecodable("an outbox key is too short".to_owned()))
}

/// The oldest rows that wait for a subscription, from a position on: rows that were taken leave marks
/// behind which cost a look each until the engine tidies up.
pub fn rows(view: &View, key: &SubscriptionKey, from_seq: u64, rows_max: usize) -> Result<Vec<Row>, Error> {
    let end = after_prefix(&prefix(ROW, key));
    let mut found = Vec::new();
    view.scan(Space::Outbox, &at(ROW, key, from_seq), &end, |key, value| {
        found.push(Row::read(seq_of(key)?, &mut Reader::new(&value))?);
        Ok(if found.len() < rows_max { ControlFlow::Continue(()) } else { ControlFlow::Break(()) })
    })?;
    Ok(found)
}

pub fn put_dead_letter(key: &SubscriptionKey, letter: &DeadLetter, batch: &mut ViewBatch) {
    let mut out = Writer::default();
    out.int(letter.given_up_at.as_micros());
    out.text(&letter.why);
    letter.row.write(&mut out);
    batch.put(Space::Outbox, at(DEAD_LETTER, key, letter.row.seq), &out.bytes);
}

pub fn delete_dead_letter(key: &SubscriptionKey, seq: u64, batch: &mut ViewBatch) {
    batch.delete(Space::Outbox, at(DEAD_LETTER, key, seq));
}

pub fn dead_letters(view: &View, key: &SubscriptionKey, letters_max: usize) -> Result<Vec<DeadLetter>, Error> {
    let prefix = prefix(DEAD_LETTER, key);
    let mut found = Vec::new();
    view.scan(Space::Outbox, &prefix, &after_prefix(&prefix), |key, value| {
        let mut from = Reader::new(&value);
        let given_up_at = Time::from_micros(from.int()?);
        let why = from.text()?.into();
        found.push(DeadLetter { row: Row::read(seq_of(key)?, &mut from)?, given_up_at, why });
        Ok(if found.len() < letters_max { ControlFlow::Continue(()) } else { ControlFlow::Break(()) })
    })?;
    Ok(found)
}

/// How a subscription fares; it exists from the moment the matcher has seen the subscription.
pub fn put_report(key: &SubscriptionKey, report: &DeliveryReport, batch: &mut ViewBatch) {
    let mut out = Writer::default();
    for count in [report.times_sent, report.times_failed, report.waiting, report.dead_letters] {
        out.uint(count);
    }
    for time in [report.last_notification, report.last_success, report.last_failure] {
        out.int(time.map_or(i64::MIN, Time::as_micros));
    }
    out.text(report.last_error.as_deref().unwrap_or_default());
    batch.put(Space::Outbox, prefix(STATE, key), &out.bytes);
}

fn read_report(bytes: &[u8]) -> Result<DeliveryReport, Error> {
    let mut from = Reader::new(bytes);
    let (times_sent, times_failed, waiting, dead_letters) = (from.uint()?, from.uint()?, from.uint()?, from.uint()?);
    let mut time = || from.int().map(|micros| (micros != i64::MIN).then(|| Time::from_micros(micros)));
    let (last_notification, last_success, last_failure) = (time()?, time()?, time()?);
    let last_error = Some(from.text()?).filter(|text| !text.is_empty()).map(Into::into);
    Ok(DeliveryReport {
        times_sent,
        times_failed,
        last_notification,
        last_success,
        last_failure,
        last_error,
        waiting,
        dead_letters,
    })
}

/// Every subscription that the matcher knows, with its report.
pub fn reports(view: &View) -> Result<Vec<(SubscriptionKey, DeliveryReport)>, Error> {
    let mut found = Vec::new();
    view.scan(Space::Outbox, &[STATE], &[STATE + 1], |key, value| {
        let wrong = || Error::Undecodable("an outbox key is too short".to_owned());
        let tenant = key.get(1..5).and_then(|bytes| bytes.try_into().ok()).map(u32::from_be_bytes).ok_or_else(wrong)?;
        let id = key.get(5..key.len() - 1).ok_or_else(wrong)?;
        let id = std::str::from_utf8(id).map_err(|_| wrong())?.into();
        found.push((SubscriptionKey { tenant, id }, read_report(&value)?));
        Ok(ControlFlow::Continue(()))
    })?;
    Ok(found)
}

/// How many rows wait, of all subscriptions.
pub fn waiting(view: &View) -> Result<u64, Error> {
    let mut rows = 0;
    view.scan(Space::Outbox, &[ROW], &[ROW + 1], |_, _| {
        rows += 1;
        Ok(ControlFlow::Continue(()))
    })?;
    Ok(rows)
}

/// Forgets a subscription: its rows, its dead letters and its report.
pub fn forget(view: &View, key: &SubscriptionKey, batch: &mut ViewBatch) -> Result<(), Error> {
    for kind in [ROW, DEAD_LETTER, STATE] {
        let prefix = prefix(kind, key);
        view.scan(Space::Outbox, &prefix, &after_prefix(&prefix), |key, _| {
            batch.delete(Space::Outbox, key.to_vec());
            Ok(ControlFlow::Continue(()))
        })?;
    }
    Ok(())
}
