//! What must outlive the process, as keys and values: sessions, subscriptions, what waits for whom, packet
//! identifiers of messages that came exactly once, retained messages.
//!
//! A message is kept once, however many wait for it. Keys stand behind the tenant's own prefix; client
//! identifiers and topics hold no U+0000, so that can stand between them.

use std::sync::Arc;

use crate::packet::{Message, Options, Packet, Publish, QoS, RetainHandling, Version};
use crate::read::{Reader, frame, read};
use crate::write::Writer;

/// One write; `None` takes the key away.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    pub key: Vec<u8>,
    pub value: Option<Vec<u8>>,
}

/// A message that is kept, with its number and when it came.
#[derive(Debug, Clone, PartialEq)]
pub struct Held {
    pub number: u64,
    pub received_at_micros: i64,
    pub message: Message,
}

impl Held {
    /// The seconds that are left to it: `Some(None)` for ever, `None` when it is too late (3.3.2.3.3).
    #[must_use]
    pub fn remaining_s(&self, now_micros: i64) -> Option<Option<u32>> {
        let Some(expiry_s) = self.message.expiry_s else { return Some(None) };
        let elapsed = u64::try_from(now_micros.saturating_sub(self.received_at_micros)).unwrap_or(0) / 1_000_000;
        let left = u64::from(expiry_s).checked_sub(elapsed).filter(|left| *left > 0)?;
        Some(u32::try_from(left).ok())
    }
}

/// A row that was read back.
#[derive(Debug, Clone, PartialEq)]
pub enum Kept {
    Session { client: Arc<str>, owner: Box<str>, expiry_s: u32, ended_at_micros: Option<i64> },
    Subscription { client: Arc<str>, filter: Box<str>, options: Options, id: Option<u32> },
    Waiting { client: Arc<str>, number: u64, message: u64, qos: QoS, retain: bool, released: bool, ids: Box<[u32]> },
    Received { client: Arc<str>, packet_id: u16 },
    Message(Held),
    Retained(Held),
}

const SESSION: u8 = b's';
const SUBSCRIPTION: u8 = b'f';
const WAITING: u8 = b'w';
const RECEIVED: u8 = b'x';
const MESSAGE: u8 = b'm';
const RETAINED: u8 = b'r';

fn key(kind: u8, name: &str, rest: &[u8]) -> Vec<u8> {
    let mut key = vec![kind];
    key.extend_from_slice(name.as_bytes());
    key.push(0);
    key.extend_from_slice(rest);
    key
}

fn gone(key: Vec<u8>) -> Row {
    Row { key, value: None }
}

pub(crate) fn session(client: &str, owner: &str, expiry_s: u32, ended_at_micros: Option<i64>) -> Row {
    let mut out = Writer::default();
    out.text(owner);
    out.u32(expiry_s);
    if let Some(micros) = ended_at_micros {
        out.bytes.extend_from_slice(&micros.to_be_bytes());
    }
    Row { key: key(SESSION, client, &[]), value: Some(out.bytes) }
}

pub(crate) fn no_session(client: &str) -> Row {
    gone(key(SESSION, client, &[]))
}

pub(crate) fn subscription(client: &str, filter: &str, options: Options, id: Option<u32>) -> Row {
    let mut out = Writer::default();
    out.u8(options.qos.number());
    out.u8(u8::from(options.no_local) | (u8::from(options.retain_as_published) << 1));
    out.u32(id.unwrap_or(0));
    Row { key: key(SUBSCRIPTION, client, filter.as_bytes()), value: Some(out.bytes) }
}

pub(crate) fn no_subscription(client: &str, filter: &str) -> Row {
    gone(key(SUBSCRIPTION, client, filter.as_bytes()))
}

pub(crate) fn waiting(
    client: &str,
    number: u64,
    message: u64,
    (qos, retain, released): (QoS, bool, bool),
    ids: &[u32],
) -> Row {
    let mut out = Writer::default();
    out.bytes.extend_from_slice(&message.to_be_bytes());
    out.u8(qos.number());
    out.u8(u8::from(retain) | (u8::from(released) << 1));
    ids.iter().for_each(|id| out.u32(*id));
    Row { key: key(WAITING, client, &number.to_be_bytes()), value: Some(out.bytes) }
}

pub(crate) fn no_waiting(client: &str, number: u64) -> Row {
    gone(key(WAITING, client, &number.to_be_bytes()))
}

pub(crate) fn received(client: &str, packet_id: u16) -> Row {
    Row { key: key(RECEIVED, client, &packet_id.to_be_bytes()), value: Some(Vec::new()) }
}

pub(crate) fn no_received(client: &str, packet_id: u16) -> Row {
    gone(key(RECEIVED, client, &packet_id.to_be_bytes()))
}

fn held(held: &Held) -> Vec<u8> {
    let mut out = held.number.to_be_bytes().to_vec();
    out.extend_from_slice(&held.received_at_micros.to_be_bytes());
    let message = held.message.clone();
    let publish = Publish { duplicate: false, packet_id: 1, topic_alias: None, subscription_ids: Vec::new(), message };
    out.extend_from_slice(&Packet::Publish(publish).write(Version::V5));
    out
}

pub(crate) fn message(kept: &Held) -> Row {
    let mut key = vec![MESSAGE];
    key.extend_from_slice(&kept.number.to_be_bytes());
    Row { key, value: Some(held(kept)) }
}

pub(crate) fn no_message(number: u64) -> Row {
    let mut key = vec![MESSAGE];
    key.extend_from_slice(&number.to_be_bytes());
    gone(key)
}

pub(crate) fn retained(kept: &Held) -> Row {
    Row { key: key(RETAINED, &kept.message.topic, &[]), value: Some(held(kept)) }
}

pub(crate) fn no_retained(topic: &str) -> Row {
    gone(key(RETAINED, topic, &[]))
}

/// Whether a row is of what a session begins with: that it is there, and its subscriptions.
pub(crate) fn is_of_beginning(row: &Row) -> bool {
    matches!(row.key.first(), Some(&SESSION | &SUBSCRIPTION))
}

/// Reads a row back; `None` where it is none of this release.
#[must_use]
pub fn parse(key: &[u8], value: &[u8]) -> Option<Kept> {
    let (kind, rest) = key.split_first()?;
    let mut from = Reader::new(value);
    if *kind == MESSAGE {
        return parse_held(value).map(Kept::Message);
    }
    let end = rest.iter().position(|byte| *byte == 0)?;
    let (name, rest) = (std::str::from_utf8(&rest[..end]).ok()?, &rest[end + 1..]);
    let client = || Arc::from(name);
    Some(match *kind {
        SESSION => {
            let (owner, expiry_s) = (from.text().ok()?.into(), from.u32().ok()?);
            let ended_at_micros = if from.is_empty() { None } else { Some(i64_of(&mut from)?) };
            Kept::Session { client: client(), owner, expiry_s, ended_at_micros }
        }
        SUBSCRIPTION => {
            let qos = QoS::of(from.u8().ok()?)?;
            let flags = from.u8().ok()?;
            let (no_local, retain_as_published) = (flags & 1 != 0, flags & 2 != 0);
            let options = Options { qos, no_local, retain_as_published, retain_handling: RetainHandling::Send };
            let id = Some(from.u32().ok()?).filter(|id| *id > 0);
            let filter = std::str::from_utf8(rest).ok()?.into();
            Kept::Subscription { client: client(), filter, options, id }
        }
        WAITING => {
            let number = u64::from_be_bytes(rest.try_into().ok()?);
            let message = i64_of(&mut from)?.cast_unsigned();
            let qos = QoS::of(from.u8().ok()?)?;
            let flags = from.u8().ok()?;
            let mut ids = Vec::new();
            while !from.is_empty() {
                ids.push(from.u32().ok()?);
            }
            let (retain, released) = (flags & 1 != 0, flags & 2 != 0);
            Kept::Waiting { client: client(), number, message, qos, retain, released, ids: ids.into() }
        }
        RECEIVED => Kept::Received { client: client(), packet_id: u16::from_be_bytes(rest.try_into().ok()?) },
        RETAINED => Kept::Retained(parse_held(value)?),
        _ => return None,
    })
}

fn i64_of(from: &mut Reader) -> Option<i64> {
    Some(i64::from_be_bytes(from.take(8).ok()?.try_into().ok()?))
}

fn parse_held(value: &[u8]) -> Option<Held> {
    let mut from = Reader::new(value);
    let number = i64_of(&mut from)?.cast_unsigned();
    let received_at_micros = i64_of(&mut from)?;
    let bytes = value.get(16..)?;
    let frame = frame(bytes, usize::MAX).ok()??;
    match read(Version::V5, bytes, frame) {
        Ok(Packet::Publish(publish)) => Some(Held { number, received_at_micros, message: publish.message }),
        _ => None,
    }
}
