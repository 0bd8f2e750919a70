//! What goes to a client next, and what its acknowledgements do.

use super::{Broker, Session};
use crate::packet::{Ack, AckKind, Message, Publish, QoS};
use crate::reason::Reason;
use crate::rows::{self, Row};
use crate::session::{Acked, Entry, Next};

/// What happened to a connection's acknowledgement.
#[derive(Debug, PartialEq, Eq)]
pub enum AfterAck {
    Nothing,
    /// PUBREL goes out once these are durable.
    Release(Vec<Row>),
    Unknown,
}

/// What goes to a client.
#[derive(Debug, Clone, PartialEq)]
pub enum Going {
    Publish(Publish),
    Release { packet_id: u16 },
}

impl Broker {
    /// PUBREL of a client: the rows to be durable before PUBCOMP; `None` where nothing of that identifier waits.
    pub fn release(&mut self, client: &str, packet_id: u16) -> Option<Vec<Row>> {
        let session = self.sessions.get_mut(client)?;
        if !session.received.remove(&packet_id) {
            return None;
        }
        Some(if session.is_kept { vec![rows::no_received(client, packet_id)] } else { Vec::new() })
    }

    /// A message of QoS 2 that was not taken: its identifier is free; that is written with the next sync.
    pub fn release_later(&mut self, client: &str, packet_id: u16) {
        let rows = self.release(client, packet_id);
        self.later.extend(rows.into_iter().flatten());
    }

    /// PUBACK, PUBREC and PUBCOMP of a client.
    pub fn acknowledge(&mut self, client: &str, connection: u64, ack: &Ack) -> AfterAck {
        let Some(session) = self.connected(client, connection) else { return AfterAck::Unknown };
        let is_kept = session.is_kept;
        match session.outgoing.acknowledge(ack.kind, ack.packet_id, ack.reason) {
            Acked::Unknown => AfterAck::Unknown,
            Acked::Done { number, entry } => {
                self.forget(client, number, &entry, is_kept);
                AfterAck::Nothing
            }
            Acked::Released { number } => {
                let row = session.outgoing.get(number).filter(|_| is_kept).map(|entry| {
                    let how = (entry.qos, entry.retain, true);
                    rows::waiting(client, number, entry.held.number, how, &entry.ids)
                });
                AfterAck::Release(row.into_iter().collect())
            }
        }
    }

    /// A message that waits no more: its row goes with the next sync.
    fn forget(&mut self, client: &str, number: u64, entry: &Entry, is_kept: bool) {
        if is_kept {
            self.later.push(rows::no_waiting(client, number));
            let row = self.release_message(entry.held.number);
            self.later.extend(row);
        }
    }

    fn connected(&mut self, client: &str, connection: u64) -> Option<&mut Session> {
        self.sessions.get_mut(client).filter(|session| session.connection == Some(connection))
    }

    /// What goes to a client next; what it may not get, or what is too late, is passed over.
    pub fn next(
        &mut self,
        client: &str,
        connection: u64,
        now_micros: i64,
        may_get: impl Fn(&str) -> bool,
    ) -> Option<Going> {
        loop {
            let session = self.connected(client, connection)?;
            if let Some(entry) = session.outgoing.take_loose() {
                if may_get(&entry.held.message.topic)
                    && let Some(left) = entry.held.remaining_s(now_micros)
                {
                    return Some(Going::Publish(publish(0, &entry, left)));
                }
                continue;
            }
            let (number, entry) = session.outgoing.peek()?;
            let left = entry.held.remaining_s(now_micros);
            if entry.released || (may_get(&entry.held.message.topic) && left.is_some()) {
                return match session.outgoing.send(number)? {
                    Next::Release { packet_id } => Some(Going::Release { packet_id }),
                    Next::Publish { packet_id, entry } => {
                        Some(Going::Publish(publish(packet_id, &entry, left.flatten())))
                    }
                };
            }
            let is_kept = session.is_kept;
            if let Some(entry) = session.outgoing.drop_entry(number) {
                self.forget(client, number, &entry, is_kept);
            }
        }
    }

    /// Takes away a message that was handed out and cannot be sent, such as one that is too large for its client.
    pub fn pass_over(&mut self, client: &str, connection: u64, packet_id: u16) {
        let kinds = [(AckKind::Puback, Reason::SUCCESS), (AckKind::Pubrec, Reason::UNSPECIFIED)];
        for (kind, reason) in kinds {
            let _ = self.acknowledge(client, connection, &Ack::new(kind, packet_id, reason));
        }
    }
}

fn publish(packet_id: u16, entry: &Entry, expiry_s: Option<u32>) -> Publish {
    let message = Message { qos: entry.qos, retain: entry.retain, expiry_s, ..entry.held.message.clone() };
    let duplicate = entry.was_sent && entry.qos != QoS::AtMostOnce;
    Publish { duplicate, packet_id, topic_alias: None, subscription_ids: entry.ids.to_vec(), message }
}
