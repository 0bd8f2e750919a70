//! What a message does: staged first, committed once its rows are durable, or abandoned.

use std::sync::Arc;

use super::{Broker, RETAINED_BYTES_MAX, RETAINED_MAX, Retained};
use crate::packet::{Message, QoS};
use crate::rows::{self, Held, Row};
use crate::session::Entry;

/// Who publishes: its own subscriptions may leave its own messages out.
#[derive(Debug, Clone, Copy)]
pub struct From<'a> {
    pub client: &'a str,
    /// Of a message of QoS 2, whose identifier is kept with it.
    pub packet_id: Option<u16>,
}

/// What a message or a subscription does, before it is durable.
#[derive(Debug, Default)]
pub struct Staged {
    pub rows: Vec<Row>,
    targets: Vec<Target>,
    retained: Option<Retained>,
    received: Option<(Arc<str>, u16)>,
    /// Clients for whom there was no room.
    pub dropped: usize,
    pub matched: usize,
}

#[derive(Debug)]
struct Target {
    client: Arc<str>,
    serial: u64,
    /// Of QoS 1 and 2.
    number: Option<u64>,
    is_kept: bool,
    entry: Entry,
}

impl Staged {
    /// A step of rows alone.
    #[must_use]
    pub fn of(rows: Vec<Row>) -> Self {
        Self { rows, ..Self::default() }
    }

    /// What is done with this in one step.
    pub fn add(&mut self, other: Self) {
        self.rows.extend(other.rows);
        self.targets.extend(other.targets);
        self.dropped += other.dropped;
    }
}

impl Broker {
    /// Whether a message of QoS 2 with this identifier has come and was not released: it is the same one.
    #[must_use]
    pub fn has_received(&self, client: &str, packet_id: u16) -> bool {
        self.sessions.get(client).is_some_and(|session| session.received.contains(&packet_id))
    }

    /// How many messages of QoS 2 have come and were not released.
    #[must_use]
    pub fn received(&self, client: &str) -> usize {
        self.sessions.get(client).map_or(0, |session| session.received.len())
    }

    /// Whether one more message may be retained.
    #[must_use]
    pub fn may_retain(&self, message: &Message) -> bool {
        let is_known = self.retained.contains_key(&message.topic);
        message.payload.is_empty()
            || ((is_known || self.retained.len() < RETAINED_MAX)
                && self.retained_bytes + message.weight() <= RETAINED_BYTES_MAX)
    }

    /// Notes the identifier of a message of QoS 2 that goes to nobody's session.
    pub fn stage_received(&mut self, from: From) -> Staged {
        let mut staged = Staged::default();
        self.note_received(from, &mut staged);
        staged
    }

    fn note_received(&mut self, from: From, staged: &mut Staged) {
        let Some(packet_id) = from.packet_id else { return };
        let Some((client, _)) = self.sessions.get_key_value(from.client) else { return };
        let client = Arc::clone(client);
        let Some(session) = self.sessions.get_mut(&client) else { return };
        session.received.insert(packet_id);
        if session.is_kept {
            staged.rows.push(rows::received(&client, packet_id));
        }
        staged.received = Some((client, packet_id));
    }

    /// Says whom a message reaches, and what must be durable before it is acknowledged.
    pub fn stage(&mut self, from: From, message: Message, now_micros: i64) -> Staged {
        let mut staged = Staged::default();
        self.note_received(from, &mut staged);
        let number = self.next_message;
        self.next_message += 1;
        let held = Arc::new(Held { number, received_at_micros: now_micros, message });
        for (client, merged) in self.targets(from.client, &held) {
            self.aim(&client, merged, &mut staged);
        }
        staged.matched = staged.targets.len() + staged.dropped;
        self.keep_messages(&mut staged);
        if held.message.retain {
            let is_cleared = held.message.payload.is_empty();
            let topic = &held.message.topic;
            staged.rows.push(if is_cleared { rows::no_retained(topic) } else { rows::retained(&held) });
            staged.retained = Some(Retained { held, is_cleared });
        }
        staged
    }

    /// Gives a message its number in the session, if it has a place.
    pub(super) fn aim(&mut self, client: &Arc<str>, entry: Entry, staged: &mut Staged) {
        let Some(session) = self.sessions.get_mut(client) else { return };
        let number = if entry.qos == QoS::AtMostOnce {
            // Nobody waits for what came at most once.
            if session.connection.is_none() {
                return;
            }
            None
        } else {
            let Some(number) = session.outgoing.reserve(entry.held.message.weight()) else {
                staged.dropped += 1;
                return;
            };
            Some(number)
        };
        let (serial, is_kept) = (session.serial, session.is_kept && number.is_some());
        if let Some(number) = number.filter(|_| is_kept) {
            let how = (entry.qos, entry.retain, false);
            staged.rows.push(rows::waiting(client, number, entry.held.number, how, &entry.ids));
        }
        staged.targets.push(Target { client: Arc::clone(client), serial, number, is_kept, entry });
    }

    /// Rows of the messages that kept rows wait for, once each.
    pub(super) fn keep_messages(&mut self, staged: &mut Staged) {
        for target in staged.targets.iter().filter(|target| target.is_kept) {
            let held = &target.entry.held;
            let count = self.waiting.entry(held.number).or_default();
            *count += 1;
            if *count == 1 {
                staged.rows.push(rows::message(held));
            }
        }
    }

    /// What was staged is durable. Answers the clients that have something to get now, and how many had no room.
    pub fn commit(&mut self, staged: Staged) -> (Vec<Arc<str>>, usize) {
        let (mut woken, mut dropped) = (Vec::new(), staged.dropped);
        for Target { client, serial, number, is_kept, entry } in staged.targets {
            match self.sessions.get_mut(&client).filter(|session| session.serial == serial) {
                Some(session) => {
                    let is_there = session.connection.is_some();
                    match number {
                        Some(number) => session.outgoing.put(number, entry),
                        None if is_there => dropped += usize::from(!session.outgoing.put_loose(entry)),
                        None => {}
                    }
                    if is_there {
                        woken.push(client);
                    }
                }
                // The session has ended meanwhile.
                None => {
                    if let Some(number) = number.filter(|_| is_kept) {
                        self.later.push(rows::no_waiting(&client, number));
                        let row = self.release_message(entry.held.number);
                        self.later.extend(row);
                    }
                }
            }
        }
        if let Some(retained) = staged.retained {
            self.retain(retained);
        }
        (woken, dropped)
    }

    fn retain(&mut self, retained: Retained) {
        let topic = Arc::clone(&retained.held.message.topic);
        if self.retained.get(&topic).is_some_and(|known| known.held.number > retained.held.number) {
            return;
        }
        let weight = |retained: &Retained| if retained.is_cleared { 0 } else { retained.held.message.weight() };
        self.retained_bytes += weight(&retained);
        if let Some(before) = self.retained.insert(topic, retained) {
            self.retained_bytes = self.retained_bytes.saturating_sub(weight(&before));
        }
    }

    /// What was staged did not become durable: as if it had not been.
    pub fn abandon(&mut self, staged: Staged) {
        for Target { client, serial, number, is_kept, entry } in staged.targets {
            if is_kept {
                // Its row was not written either.
                let _ = self.release_message(entry.held.number);
            }
            if number.is_some()
                && let Some(session) = self.sessions.get_mut(&client).filter(|session| session.serial == serial)
            {
                session.outgoing.abandon(entry.held.message.weight());
            }
        }
        if let Some((client, packet_id)) = staged.received
            && let Some(session) = self.sessions.get_mut(&client)
        {
            session.received.remove(&packet_id);
        }
    }
}
