//! What the loop refuses, told to the person who asked.

use city_model::{EntityId, Rejected, Time};

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("ACT-001 {0}")]
    Store(#[from] city_store::Error),
    #[error("ACT-002 {0}")]
    Context(#[from] city_context::Error),
    #[error("ACT-005 {what} {id} does not exist.")]
    NotFound { what: &'static str, id: Box<str> },
    #[error("ACT-006 {suggestion} is {status} already{}.", by.as_ref().map(|(who, at)| format!(", by {who} at {at}")).unwrap_or_default())]
    Decided { suggestion: EntityId, status: &'static str, by: Option<(Box<str>, Time)> },
    #[error("ACT-007 It is too late for {suggestion}: it had to be decided by {deadline}.")]
    TooLate { suggestion: EntityId, deadline: Time },
    #[error("ACT-008 {0}")]
    Asked(String),
    #[error("ACT-009 {attribute} of {target} is not commandable: no actuator says how its commands get there.")]
    NotCommandable { target: EntityId, attribute: Box<str> },
    #[error("ACT-010 {0}")]
    OutOfBounds(String),
    #[error("ACT-011 {who} has approved {suggestion} already; it needs another person.")]
    SamePerson { who: Box<str>, suggestion: EntityId },
    #[error("ACT-012 {0} commands wait for their acknowledgement; no more are accepted until some of them end.")]
    TooMany(usize),
    #[error("ACT-013 {command} is {status}, so this cannot be done to it.")]
    WrongState { command: EntityId, status: &'static str },
    #[error("ACT-014 {0}")]
    Rejected(#[from] Rejected),
}

impl Error {
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Store(_) => "ACT-001",
            Self::Context(_) => "ACT-002",
            Self::NotFound { .. } => "ACT-005",
            Self::Decided { .. } => "ACT-006",
            Self::TooLate { .. } => "ACT-007",
            Self::Asked(_) => "ACT-008",
            Self::NotCommandable { .. } => "ACT-009",
            Self::OutOfBounds(_) => "ACT-010",
            Self::SamePerson { .. } => "ACT-011",
            Self::TooMany(_) => "ACT-012",
            Self::WrongState { .. } => "ACT-013",
            Self::Rejected(_) => "ACT-014",
        }
    }
}
