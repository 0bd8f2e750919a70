//! The packets, as values. One form for both versions: what only MQTT 5 says is left out for 3.1.1.

use std::sync::Arc;

use crate::property::Property;
use crate::reason::Reason;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Version {
    V311,
    V5,
}

/// How often a message arrives: at most once, at least once, exactly once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum QoS {
    AtMostOnce,
    AtLeastOnce,
    ExactlyOnce,
}

impl QoS {
    #[must_use]
    pub fn of(number: u8) -> Option<Self> {
        [Self::AtMostOnce, Self::AtLeastOnce, Self::ExactlyOnce].get(usize::from(number)).copied()
    }

    #[must_use]
    pub fn number(self) -> u8 {
        self as u8
    }
}

#[derive(Debug, Clone, PartialEq)]
pub enum Packet {
    Connect(Box<Connect>),
    Connack(Connack),
    Publish(Publish),
    Ack(Ack),
    Subscribe(Subscribe),
    Suback(Suback),
    Unsubscribe(Unsubscribe),
    Unsuback(Suback),
    Pingreq,
    Pingresp,
    Disconnect(Disconnect),
    Auth(Disconnect),
}

#[derive(Debug, Clone, PartialEq)]
pub struct Connect {
    pub version: Version,
    /// Forget what an earlier session of this client held.
    pub clean_start: bool,
    pub keep_alive_s: u16,
    pub client_id: Box<str>,
    pub will: Option<Will>,
    pub user_name: Option<Box<str>>,
    pub password: Option<Box<[u8]>>,
    pub properties: Vec<Property>,
}

/// What is published for a client that goes without a word.
#[derive(Debug, Clone, PartialEq)]
pub struct Will {
    pub message: Message,
    pub delay_s: u32,
}

/// What is told, without how it came here.
#[derive(Debug, Clone, PartialEq)]
pub struct Message {
    pub topic: Arc<str>,
    pub payload: Arc<[u8]>,
    pub qos: QoS,
    pub retain: bool,
    pub expiry_s: Option<u32>,
    /// What receivers are told as it came (3.3.2.3): format, content type, response topic, correlation, user.
    pub properties: Vec<Property>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Publish {
    pub duplicate: bool,
    /// 0 where the message is at most once.
    pub packet_id: u16,
    pub topic_alias: Option<u16>,
    pub subscription_ids: Vec<u32>,
    /// Its topic is empty where the alias stands for it.
    pub message: Message,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Connack {
    pub session_present: bool,
    pub reason: Reason,
    pub properties: Vec<Property>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AckKind {
    Puback,
    Pubrec,
    Pubrel,
    Pubcomp,
}

/// PUBACK, PUBREC, PUBREL and PUBCOMP.
#[derive(Debug, Clone, PartialEq)]
pub struct Ack {
    pub kind: AckKind,
    pub packet_id: u16,
    pub reason: Reason,
    pub properties: Vec<Property>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Subscribe {
    pub packet_id: u16,
    pub filters: Vec<(Box<str>, Options)>,
    pub properties: Vec<Property>,
}

/// How somebody wants what a filter matches (3.8.3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    pub qos: QoS,
    pub no_local: bool,
    pub retain_as_published: bool,
    pub retain_handling: RetainHandling,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RetainHandling {
    Send,
    SendIfNew,
    DoNotSend,
}

/// SUBACK and UNSUBACK.
#[derive(Debug, Clone, PartialEq)]
pub struct Suback {
    pub packet_id: u16,
    pub reasons: Vec<Reason>,
    pub properties: Vec<Property>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Unsubscribe {
    pub packet_id: u16,
    pub filters: Vec<Box<str>>,
    pub properties: Vec<Property>,
}

/// DISCONNECT and AUTH.
#[derive(Debug, Clone, PartialEq)]
pub struct Disconnect {
    pub reason: Reason,
    pub properties: Vec<Property>,
}

impl Message {
    /// Approximate bytes that it holds.
    #[must_use]
    pub fn weight(&self) -> usize {
        let properties: usize = self.properties.iter().map(Property::weight).sum();
        128 + self.topic.len() + self.payload.len() + properties
    }
}

impl Ack {
    #[must_use]
    pub fn new(kind: AckKind, packet_id: u16, reason: Reason) -> Self {
        Self { kind, packet_id, reason, properties: Vec::new() }
    }
}
