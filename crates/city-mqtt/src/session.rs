//! What one client is still to get: in order, within its window, until it has acknowledged it.
//!
//! A message that waits has a number of this session; its packet identifier follows from the number, so that
//! after a crash the same message goes out under the same identifier, and a receiver that takes it exactly once
//! knows it again.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use crate::packet::{AckKind, QoS};
use crate::reason::Reason;
use crate::rows::Held;

/// Most messages of QoS 1 and 2 that wait for one client; what comes beyond is dropped for it, and counted.
pub const WAITING_MAX: usize = 10_000;
/// Most bytes of them.
pub const WAITING_BYTES_MAX: usize = 16 << 20;
/// Most messages of QoS 0 that wait for a client that is there; what comes beyond is dropped for it, and counted.
pub const LOOSE_MAX: usize = 1_000;
/// Most bytes of them.
pub const LOOSE_BYTES_MAX: usize = 4 << 20;
/// How many packet identifiers there are.
const PACKET_IDS: u64 = 65_535;

/// A message on its way to one client.
#[derive(Debug, Clone)]
pub struct Entry {
    pub held: Arc<Held>,
    pub qos: QoS,
    pub retain: bool,
    pub ids: Box<[u32]>,
    /// PUBREC has come: only PUBREL is to be sent.
    pub released: bool,
    /// It may have reached the client before.
    pub was_sent: bool,
}

/// What goes out next.
#[derive(Debug)]
pub enum Next {
    Publish { packet_id: u16, entry: Entry },
    Release { packet_id: u16 },
}

/// What an acknowledgement did.
#[derive(Debug)]
pub enum Acked {
    Done {
        number: u64,
        entry: Entry,
    },
    /// PUBREL may go out once this is durable.
    Released {
        number: u64,
    },
    Unknown,
}

#[derive(Debug, Default)]
pub struct Outgoing {
    entries: BTreeMap<u64, Entry>,
    /// Numbers that were not sent on this connection yet.
    unsent: BTreeSet<u64>,
    next: u64,
    bytes: usize,
    reserved: usize,
    in_flight: usize,
    window: usize,
    loose: VecDeque<Entry>,
    loose_bytes: usize,
}

fn packet_id(number: u64) -> u16 {
    u16::try_from(number % PACKET_IDS + 1).unwrap_or(u16::MAX)
}

impl Outgoing {
    /// A number for a message of QoS 1 or 2, if there is room for it.
    pub fn reserve(&mut self, weight: usize) -> Option<u64> {
        if self.entries.len() + self.reserved >= WAITING_MAX || self.bytes + weight > WAITING_BYTES_MAX {
            return None;
        }
        // One that waits for its acknowledgement for long keeps its identifier.
        while self.find(packet_id(self.next)).is_some() {
            self.next += 1;
        }
        self.reserved += 1;
        self.bytes += weight;
        self.next += 1;
        Some(self.next - 1)
    }

    pub fn abandon(&mut self, weight: usize) {
        self.reserved = self.reserved.saturating_sub(1);
        self.bytes = self.bytes.saturating_sub(weight);
    }

    /// A message whose number was reserved may go.
    pub fn put(&mut self, number: u64, entry: Entry) {
        self.reserved = self.reserved.saturating_sub(1);
        self.unsent.insert(number);
        self.entries.insert(number, entry);
    }

    /// A message as it was kept.
    pub fn restore(&mut self, number: u64, entry: Entry) {
        self.bytes += entry.held.message.weight();
        self.next = self.next.max(number + 1);
        self.entries.insert(number, entry);
    }

    /// A message of QoS 0; `false` where there is no room.
    pub fn put_loose(&mut self, entry: Entry) -> bool {
        let weight = entry.held.message.weight();
        if self.loose.len() >= LOOSE_MAX || self.loose_bytes + weight > LOOSE_BYTES_MAX {
            return false;
        }
        self.loose_bytes += weight;
        self.loose.push_back(entry);
        true
    }

    /// A new connection: all that was not acknowledged goes again, within its window. Numbers go on from the time,
    /// so that no number of an earlier session of this client comes back.
    pub fn begin(&mut self, window: u16, now_micros: i64) {
        self.next = self.next.max(u64::try_from(now_micros).unwrap_or(0));
        self.unsent = self.entries.keys().copied().collect();
        self.in_flight = 0;
        self.window = window.into();
        self.loose.clear();
        self.loose_bytes = 0;
    }

    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    #[must_use]
    pub fn get(&self, number: u64) -> Option<&Entry> {
        self.entries.get(&number)
    }

    pub fn numbers(&self) -> impl Iterator<Item = (u64, &Entry)> {
        self.entries.iter().map(|(number, entry)| (*number, entry))
    }

    pub fn take_loose(&mut self) -> Option<Entry> {
        let entry = self.loose.pop_front()?;
        self.loose_bytes = self.loose_bytes.saturating_sub(entry.held.message.weight());
        Some(entry)
    }

    /// The next one that was not sent yet, if the window has a place.
    #[must_use]
    pub fn peek(&self) -> Option<(u64, &Entry)> {
        if self.in_flight >= self.window {
            return None;
        }
        let number = self.unsent.first()?;
        self.entries.get_key_value(number).map(|(number, entry)| (*number, entry))
    }

    /// Sends the one that was looked at.
    pub fn send(&mut self, number: u64) -> Option<Next> {
        self.unsent.remove(&number);
        let entry = self.entries.get_mut(&number)?;
        self.in_flight += 1;
        let packet_id = packet_id(number);
        if entry.released {
            return Some(Next::Release { packet_id });
        }
        let sent = entry.clone();
        entry.was_sent = true;
        Some(Next::Publish { packet_id, entry: sent })
    }

    /// Takes a message away that will not be sent.
    pub fn drop_entry(&mut self, number: u64) -> Option<Entry> {
        let entry = self.entries.remove(&number)?;
        self.bytes = self.bytes.saturating_sub(entry.held.message.weight());
        if !self.unsent.remove(&number) {
            self.in_flight = self.in_flight.saturating_sub(1);
        }
        Some(entry)
    }

    /// The entry that this identifier stands for.
    fn find(&self, id: u16) -> Option<u64> {
        let (first, last) = (*self.entries.first_key_value()?.0, *self.entries.last_key_value()?.0);
        let wanted = u64::from(id.checked_sub(1)?);
        let step = (wanted + PACKET_IDS - first % PACKET_IDS) % PACKET_IDS;
        let mut number = first + step;
        while number <= last {
            if self.entries.contains_key(&number) {
                return Some(number);
            }
            number += PACKET_IDS;
        }
        None
    }

    /// PUBACK, PUBREC or PUBCOMP of the client.
    pub fn acknowledge(&mut self, kind: AckKind, id: u16, reason: Reason) -> Acked {
        let Some(number) = self.find(id).filter(|number| !self.unsent.contains(number)) else { return Acked::Unknown };
        let Some(entry) = self.entries.get_mut(&number) else { return Acked::Unknown };
        let is_over = match (kind, entry.qos) {
            (AckKind::Puback, QoS::AtLeastOnce) => true,
            (AckKind::Pubrec, QoS::ExactlyOnce) => reason.is_error(),
            (AckKind::Pubcomp, QoS::ExactlyOnce) if entry.released => true,
            _ => return Acked::Unknown,
        };
        if !is_over {
            entry.released = true;
            return Acked::Released { number };
        }
        match self.drop_entry(number) {
            Some(entry) => Acked::Done { number, entry },
            None => Acked::Unknown,
        }
    }
}
