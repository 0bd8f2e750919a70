//! The sessions, subscriptions and retained messages of one tenant.
//!
//! A step comes in; what must be durable before it is acknowledged goes out as rows. What a message does is first
//! *staged* (who gets it, under which numbers) and then *committed*, once its rows are durable, or abandoned. Rows
//! whose loss costs a repetition alone wait for the next sync (`later`).

mod routes;
mod sending;
mod staging;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use crate::packet::{Message, Options};
use crate::rows::{self, Held, Kept, Row};
use crate::session::{Entry, Outgoing, WAITING_MAX};
use crate::tree::Tree;

pub use sending::{AfterAck, Going};
pub use staging::{From, Staged};

/// Most sessions of one tenant, those included whose client is away; one more is refused.
pub const SESSIONS_MAX: usize = 100_000;
/// Most filters of one client; one more is refused.
pub const SUBSCRIPTIONS_MAX: usize = 256;
/// Most retained messages of one tenant; one more is refused.
pub const RETAINED_MAX: usize = 100_000;
/// Most bytes of them.
pub const RETAINED_BYTES_MAX: usize = 128 << 20;
/// Most messages of QoS 2 that one client has sent and not released; one more is refused.
pub const RECEIVED_MAX: usize = 1_024;
/// How long a topic that was cleared is remembered, so that an older message does not come back.
const CLEARED_MICROS: i64 = 60_000_000;
/// A session that never ends by itself (3.1.2.11.2).
pub const FOR_EVER_S: u32 = u32::MAX;

#[derive(Debug)]
struct Session {
    serial: u64,
    owner: Box<str>,
    expiry_s: u32,
    /// It stands in rows.
    is_kept: bool,
    connection: Option<u64>,
    ended_at_micros: Option<i64>,
    subscriptions: BTreeMap<Box<str>, Subscribed>,
    outgoing: Outgoing,
    received: BTreeSet<u16>,
    will: Option<Due>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Subscribed {
    options: Options,
    id: Option<u32>,
}

#[derive(Debug)]
enum Route {
    Own { client: Arc<str>, subscribed: Subscribed },
    Shared { group: Box<str>, members: Vec<(Arc<str>, Subscribed)>, turn: AtomicUsize },
}

/// A last word that waits: whose it is, and when it is due.
#[derive(Debug, Clone, PartialEq)]
pub struct Due {
    pub at_micros: i64,
    pub who: Arc<str>,
    pub message: Message,
}

#[derive(Debug)]
struct Retained {
    held: Arc<Held>,
    /// It was cleared; it stays for a while, so that an older message does not come back.
    is_cleared: bool,
}

/// A client that wants to begin, or to go on.
#[derive(Debug, Clone, Copy)]
pub struct Connecting<'a> {
    pub client: &'a str,
    /// Whose session it is: nobody else gets it.
    pub owner: &'a str,
    pub clean_start: bool,
    pub expiry_s: u32,
    /// How much the client takes without acknowledging it.
    pub receive_maximum: u16,
    pub now_micros: i64,
}

#[derive(Debug, PartialEq, Eq)]
pub struct Connected {
    pub connection: u64,
    pub session_present: bool,
    /// The connection that this client had until now.
    pub taken_over: Option<u64>,
    pub rows: Vec<Row>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// The identifier is somebody else's.
    NotYours,
    TooMany,
}

#[derive(Debug, Default)]
pub struct Broker {
    sessions: HashMap<Arc<str>, Session>,
    routes: Tree<Route>,
    retained: BTreeMap<Arc<str>, Retained>,
    retained_bytes: usize,
    /// How many rows wait for a message that is kept.
    waiting: HashMap<u64, usize>,
    next_message: u64,
    next_serial: u64,
    later: Vec<Row>,
}

impl Broker {
    /// As it was kept. Rows that nobody refers to any more are taken away with the next sync.
    #[must_use]
    pub fn restore(kept: impl IntoIterator<Item = Kept>, now_micros: i64) -> Self {
        let mut broker = Self::default();
        let mut messages = HashMap::new();
        let mut rest = Vec::new();
        for kept in kept {
            match kept {
                Kept::Session { client, owner, expiry_s, ended_at_micros } => {
                    let mut session = broker.session(&owner, expiry_s);
                    // It was there until the end, which is now as far as anybody knows.
                    session.ended_at_micros = Some(ended_at_micros.unwrap_or(now_micros));
                    broker.sessions.insert(client, session);
                }
                Kept::Message(held) => {
                    broker.next_message = broker.next_message.max(held.number + 1);
                    messages.insert(held.number, Arc::new(held));
                }
                Kept::Retained(held) => {
                    broker.next_message = broker.next_message.max(held.number + 1);
                    broker.retained_bytes += held.message.weight();
                    let topic = Arc::clone(&held.message.topic);
                    broker.retained.insert(topic, Retained { held: Arc::new(held), is_cleared: false });
                }
                kept => rest.push(kept),
            }
        }
        for kept in rest {
            broker.restore_of_session(kept, &messages);
        }
        let unused = messages.keys().filter(|number| !broker.waiting.contains_key(number));
        broker.later.extend(unused.map(|number| rows::no_message(*number)));
        broker
    }

    fn restore_of_session(&mut self, kept: Kept, messages: &HashMap<u64, Arc<Held>>) {
        match kept {
            Kept::Subscription { client, filter, options, id } => match self.sessions.get_mut(&client) {
                Some(session) => {
                    let subscribed = Subscribed { options, id };
                    session.subscriptions.insert(filter.clone(), subscribed);
                    self.route(&client, &filter, subscribed);
                }
                None => self.later.push(rows::no_subscription(&client, &filter)),
            },
            Kept::Waiting { client, number, message, qos, retain, released, ids } => {
                match (self.sessions.get_mut(&client), messages.get(&message)) {
                    (Some(session), Some(held)) => {
                        let entry = Entry { held: Arc::clone(held), qos, retain, ids, released, was_sent: true };
                        session.outgoing.restore(number, entry);
                        *self.waiting.entry(message).or_default() += 1;
                    }
                    _ => self.later.push(rows::no_waiting(&client, number)),
                }
            }
            Kept::Received { client, packet_id } => match self.sessions.get_mut(&client) {
                Some(session) => drop(session.received.insert(packet_id)),
                None => self.later.push(rows::no_received(&client, packet_id)),
            },
            Kept::Session { .. } | Kept::Message(_) | Kept::Retained(_) => {}
        }
    }

    fn session(&mut self, owner: &str, expiry_s: u32) -> Session {
        self.next_serial += 1;
        Session {
            serial: self.next_serial,
            owner: owner.into(),
            expiry_s,
            is_kept: expiry_s > 0,
            connection: None,
            ended_at_micros: None,
            subscriptions: BTreeMap::new(),
            outgoing: Outgoing::default(),
            received: BTreeSet::new(),
            will: None,
        }
    }

    #[must_use]
    pub fn sessions(&self) -> usize {
        self.sessions.len()
    }

    #[must_use]
    pub fn retained(&self) -> usize {
        self.retained.values().filter(|retained| !retained.is_cleared).count()
    }

    /// How many messages of QoS 1 and 2 wait for their clients.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.sessions.values().map(|session| session.outgoing.len()).sum()
    }

    /// Clients for whom at least half as many messages wait as may, with how many.
    #[must_use]
    pub fn filling(&self) -> Vec<(Arc<str>, usize)> {
        let waiting = self.sessions.iter().map(|(client, session)| (Arc::clone(client), session.outgoing.len()));
        waiting.filter(|(_, count)| *count >= WAITING_MAX / 2).collect()
    }

    /// Rows that wait for the next sync.
    #[must_use]
    pub fn take_later(&mut self) -> Vec<Row> {
        std::mem::take(&mut self.later)
    }

    /// Rows whose sync failed: they go with the next one. A session that began anew meanwhile keeps its own.
    pub fn put_later(&mut self, rows: Vec<Row>) {
        let again = rows.into_iter().filter(|row| !rows::is_of_beginning(row));
        self.later.extend(again);
    }

    #[must_use]
    pub fn has_later(&self) -> bool {
        !self.later.is_empty()
    }

    /// Begins a connection (3.1.4): with the session that is there, or a new one.
    pub fn connect(&mut self, connecting: Connecting) -> Result<Connected, Refusal> {
        let Connecting { client, owner, clean_start, expiry_s, receive_maximum, now_micros } = connecting;
        let known = self.sessions.get(client);
        if known.is_some_and(|session| *session.owner != *owner) {
            return Err(Refusal::NotYours);
        }
        if known.is_none() && self.sessions.len() >= SESSIONS_MAX {
            return Err(Refusal::TooMany);
        }
        let taken_over = known.and_then(|session| session.connection);
        // A session that was to end with its connection has ended with the one that is taken over.
        let session_present = !clean_start && known.is_some_and(|session| session.expiry_s > 0);
        let mut rows = Vec::new();
        if !session_present {
            rows.extend(self.end(client));
            let session = self.session(owner, expiry_s);
            self.sessions.insert(client.into(), session);
        }
        self.next_serial += 1;
        let connection = self.next_serial;
        if let Some(session) = self.sessions.get_mut(client) {
            session.expiry_s = expiry_s;
            session.connection = Some(connection);
            session.ended_at_micros = None;
            session.will = None;
            session.outgoing.begin(receive_maximum, now_micros);
            if session.is_kept {
                rows.push(rows::session(client, owner, expiry_s, None));
            }
        }
        Ok(Connected { connection, session_present, taken_over, rows })
    }

    /// Ends a connection. What is to be published at once is answered; a later word waits with the session.
    pub fn disconnect(
        &mut self,
        client: &str,
        connection: u64,
        expiry_s: Option<u32>,
        will: Option<(Arc<str>, Message, u32)>,
        now_micros: i64,
    ) -> Option<Message> {
        let Some(session) = self.sessions.get_mut(client).filter(|session| session.connection == Some(connection))
        else {
            // Somebody goes on with this session: only a word that was not to wait is said.
            return will.filter(|(_, _, delay_s)| *delay_s == 0).map(|(_, message, _)| message);
        };
        session.connection = None;
        session.expiry_s = expiry_s.unwrap_or(session.expiry_s);
        if session.expiry_s == 0 {
            let rows = self.end(client);
            self.later.extend(rows);
            return will.map(|(_, message, _)| message);
        }
        session.ended_at_micros = Some(now_micros);
        let mut at_once = None;
        match will {
            Some((_, message, 0)) => at_once = Some(message),
            Some((who, message, delay_s)) => {
                // The session's end comes first if it is nearer (3.1.3.2.2).
                let delay_s = delay_s.min(session.expiry_s);
                let at_micros = now_micros.saturating_add(i64::from(delay_s) * 1_000_000);
                session.will = Some(Due { at_micros, who, message });
            }
            None => {}
        }
        let row = rows::session(client, &session.owner, session.expiry_s, session.ended_at_micros);
        self.later.push(row);
        at_once
    }

    /// Ends sessions whose time is over; answers the last words that are due.
    pub fn upkeep(&mut self, now_micros: i64) -> Vec<Due> {
        let mut due = Vec::new();
        let mut over = Vec::new();
        for (client, session) in &mut self.sessions {
            let Some(ended_at) = session.ended_at_micros else { continue };
            let ends_at = ended_at.saturating_add(i64::from(session.expiry_s) * 1_000_000);
            let is_over = session.expiry_s != FOR_EVER_S && now_micros >= ends_at;
            if session.will.as_ref().is_some_and(|will| is_over || now_micros >= will.at_micros) {
                due.extend(session.will.take());
            }
            if is_over {
                over.push(Arc::clone(client));
            }
        }
        for client in over {
            let rows = self.end(&client);
            self.later.extend(rows);
        }
        self.retained.retain(|_, retained| {
            !retained.is_cleared || now_micros.saturating_sub(retained.held.received_at_micros) < CLEARED_MICROS
        });
        due
    }

    /// Forgets a session; the rows that take it away.
    fn end(&mut self, client: &str) -> Vec<Row> {
        let Some((client, session)) = self.sessions.remove_entry(client) else { return Vec::new() };
        let mut gone = Vec::new();
        for filter in session.subscriptions.keys() {
            self.unroute(&client, filter);
            gone.push(rows::no_subscription(&client, filter));
        }
        for (number, entry) in session.outgoing.numbers() {
            gone.push(rows::no_waiting(&client, number));
            if session.is_kept {
                gone.extend(self.release_message(entry.held.number));
            }
        }
        gone.extend(session.received.iter().map(|id| rows::no_received(&client, *id)));
        gone.push(rows::no_session(&client));
        if session.is_kept { gone } else { Vec::new() }
    }

    /// One row less waits for a message.
    fn release_message(&mut self, number: u64) -> Option<Row> {
        let count = self.waiting.get_mut(&number)?;
        *count -= 1;
        if *count > 0 {
            return None;
        }
        self.waiting.remove(&number);
        Some(rows::no_message(number))
    }
}
