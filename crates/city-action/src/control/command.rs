//! A command: one thing to be set at one machine, and how far it has come.
//!
//! What is not known is called unknown: a command that may have been done is never taken for one that was not.

use city_model::proposal::Step;
use city_model::vocabulary::COMMAND;
use city_model::{Change, Entity, EntityId, Name, Time};
use city_ngsi_ld::plain;
use serde_json::json;

use super::actuator::Actuator;
use super::paper::{Draft, Number, Paper};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// Not sent yet.
    Waiting,
    /// On its way; no acknowledgement yet.
    Sent,
    Acknowledged,
    /// The target said no.
    Refused,
    /// It may have been done, or not: a person is asked.
    Unknown,
    /// Never sent in time.
    Expired,
    /// Taken back before it was sent.
    Revoked,
}

impl Status {
    pub const ALL: [Self; 7] =
        [Self::Waiting, Self::Sent, Self::Acknowledged, Self::Refused, Self::Unknown, Self::Expired, Self::Revoked];

    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Sent => "sent",
            Self::Acknowledged => "acknowledged",
            Self::Refused => "refused",
            Self::Unknown => "unknown",
            Self::Expired => "expired",
            Self::Revoked => "revoked",
        }
    }

    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == text)
    }

    /// Whether something is still to come by itself.
    #[must_use]
    pub fn is_under_way(self) -> bool {
        matches!(self, Self::Waiting | Self::Sent)
    }
}

#[derive(Debug, Clone, PartialEq)]
pub struct Command {
    pub id: EntityId,
    pub number: Number,
    pub step: Step,
    pub status: Status,
    pub decision: EntityId,
    /// By which actuator it was decided to go.
    pub actuator: Option<Box<str>>,
    pub issued_at: Time,
    pub expires_at: Time,
    pub attempts: i64,
    pub sent_at: Option<Time>,
    /// Why it stands as it does, in words.
    pub note: Option<Box<str>>,
}

/// The paper of a new command.
#[must_use]
pub fn issued(id: EntityId, step: &Step, decision: &EntityId, actuator: &Actuator, now: Time) -> Change {
    let expires_at = now.plus_micros(i64::from(actuator.lifetime_seconds) * 1_000_000);
    Draft::new(COMMAND, id)
        .text("status", Status::Waiting.as_str())
        .link("target", &step.target)
        .text("attribute", step.attribute.as_str())
        .json("to", step.value.clone())
        .link("decision", decision)
        .text("actuator", &actuator.id())
        .time("issuedAt", now)
        .time("expiresAt", expires_at)
        .number("attempts", 0)
        .create()
}

impl Command {
    #[must_use]
    pub fn read(entity: &Entity) -> Option<Self> {
        let paper = Paper(entity);
        Some(Self {
            id: entity.id.clone(),
            number: Number::within(entity.id.as_str())?,
            step: Step {
                target: EntityId::parse(paper.text("target")?).ok()?,
                attribute: Name::parse(paper.text("attribute")?).ok()?,
                value: paper.value("to")?.clone(),
            },
            status: Status::parse(paper.text("status")?)?,
            decision: EntityId::parse(paper.text("decision")?).ok()?,
            actuator: paper.text("actuator").map(Into::into),
            issued_at: paper.time("issuedAt")?,
            expires_at: paper.time("expiresAt")?,
            attempts: paper.number("attempts")?,
            sent_at: paper.time("sentAt"),
            note: paper.text("note").map(Into::into),
        })
    }

    #[must_use]
    pub fn shown(&self, shorten: &dyn Fn(&Name) -> String) -> serde_json::Value {
        json!({
            "id": self.id.as_str(), "suggestion": self.number.suggestion().as_str(),
            "entity": self.step.target.as_str(), "attribute": shorten(&self.step.attribute),
            "value": plain::of(&self.step.value), "status": self.status.as_str(), "decision": self.decision.as_str(),
            "issuedAt": self.issued_at.to_string(), "expiresAt": self.expires_at.to_string(),
            "attempts": self.attempts, "sentAt": self.sent_at.map(|at| at.to_string()), "note": self.note,
        })
    }

    /// What is sent to the target; a repeat is the same to the byte.
    #[must_use]
    pub fn envelope(&self) -> serde_json::Value {
        json!({
            "id": self.id.as_str(), "target": self.step.target.as_str(), "attribute": self.step.attribute.as_str(),
            "value": plain::of(&self.step.value), "decision": self.decision.as_str(),
            "issuedAt": self.issued_at.to_string(), "expiresAt": self.expires_at.to_string(),
        })
    }
}
