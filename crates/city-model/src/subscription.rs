//! Who wants to be told of what, and where (CIM 009 clause 5.2.12 to 5.2.15).

use crate::change::Cause;
use crate::name::{DatasetId, Name};
use crate::query::Query;
use crate::time::Time;

/// On whose behalf something is told or done while they are not there.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Owner {
    pub who: Box<str>,
    pub purpose: Option<Box<str>>,
}

#[derive(Debug, Clone)]
pub struct Subscription {
    pub id: Box<str>,
    /// Who made it, and sees through it no more than they may read; `None` is from before there were identities.
    pub owner: Option<Owner>,
    /// Entities it is about. Its `attributes` are empty: see `watched`.
    pub query: Query,
    /// Attributes whose change matters; empty means any.
    pub watched: Vec<Name>,
    pub triggers: Vec<Trigger>,
    /// `isActive`: false is paused.
    pub active: bool,
    pub expires_at: Option<Time>,
    /// At most one notification per so many microseconds; the last state is always sent.
    pub throttling_micros: Option<i64>,
    pub notification: NotificationParams,
    /// The subscription as it was accepted: its texts, and the @context they are written in.
    pub document: Box<str>,
}

/// What kind of change tells the subscriber (clause 5.2.12, `notificationTrigger`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Trigger {
    EntityCreated,
    EntityUpdated,
    EntityDeleted,
    AttributeCreated,
    AttributeUpdated,
    AttributeDeleted,
}

#[derive(Debug, Clone)]
pub struct NotificationParams {
    /// Attributes to send; empty means all.
    pub attributes: Vec<Name>,
    /// Only these members, id and type among them; `None` means all (clause 4.21).
    pub pick: Option<Vec<Name>>,
    /// All but these members.
    pub omit: Vec<Name>,
    /// Only instances of these datasets, `None` being the default one; empty means all.
    pub datasets: Vec<Option<DatasetId>>,
    pub format: NotificationFormat,
    pub sys_attrs: bool,
    pub show_changes: bool,
    pub endpoint: Endpoint,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum NotificationFormat {
    #[default]
    Normalized,
    Concise,
    Simplified,
}

#[derive(Debug, Clone)]
pub struct Endpoint {
    pub uri: Box<str>,
    pub accept: Accept,
    /// HTTP headers that the subscriber wants to receive.
    pub receiver_info: Vec<(Box<str>, Box<str>)>,
    /// How long the endpoint may take to answer, in ms.
    pub timeout_ms: Option<u64>,
    /// How long to leave it alone after a failure, in ms.
    pub cooldown_ms: Option<u64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Accept {
    #[default]
    Json,
    JsonLd,
    GeoJson,
}

impl Subscription {
    /// Whether it lives at this instant.
    #[must_use]
    pub fn is_live(&self, now: Time) -> bool {
        self.active && self.expires_at.is_none_or(|end| now < end)
    }
}

/// The attempt to tell a subscriber what happened, seen from outside (clause 5.2.14).
#[derive(Debug, Clone, Default)]
pub struct DeliveryReport {
    pub times_sent: u64,
    pub times_failed: u64,
    pub last_notification: Option<Time>,
    pub last_success: Option<Time>,
    pub last_failure: Option<Time>,
    pub last_error: Option<Box<str>>,
    /// Waiting in the outbox.
    pub waiting: u64,
    /// Given up, kept in the dead-letter list.
    pub dead_letters: u64,
}

impl Cause {
    /// The cause of what a rule or model derives from this one; `None` past the bound.
    #[must_use]
    pub fn derived(&self, origin: &str) -> Option<Self> {
        (self.depth < crate::change::CAUSE_DEPTH_MAX).then(|| Self {
            request: self.request,
            origin: origin.into(),
            depth: self.depth + 1,
        })
    }
}
