//! What somebody might do, with the reasons: the value that passes from understanding to action.

use crate::geometry::Geometry;
use crate::name::{EntityId, Name};
use crate::time::Time;
use crate::value::Value;

/// Most steps of one proposal.
pub const STEPS_MAX: usize = 32;

/// A suggestion before anybody has seen it.
#[derive(Debug, Clone, PartialEq)]
pub struct Proposal {
    /// The rule that proposes it.
    pub rule: Box<str>,
    /// Which of its changes, as it was then.
    pub version: u32,
    /// The entity whose change gave rise to it.
    pub about: EntityId,
    /// That change; the same one proposes once,
    pub seq: u64,
    /// unless it was a look at the clock that found it, at this time.
    pub looked_at: Option<Time>,
    pub what: Box<str>,
    pub why: Box<str>,
    pub steps: Vec<Step>,
    pub evidence: Vec<Evidence>,
    /// Attributes of the entity whose values the texts tell.
    pub tells: Vec<Name>,
    /// What should come of it, in words.
    pub expects: Option<Box<str>>,
    /// What could be done instead, in words.
    pub alternatives: Vec<Box<str>>,
    /// After that it is too late.
    pub deadline: Time,
    pub location: Option<Geometry>,
    pub measures: Option<Measure>,
}

/// One thing to be set.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    pub target: EntityId,
    pub attribute: Name,
    pub value: Value,
}

/// What was read when it was proposed.
#[derive(Debug, Clone, PartialEq)]
pub struct Evidence {
    pub entity: EntityId,
    pub attribute: Name,
    pub value: Value,
    pub unit_code: Option<Box<str>>,
    pub observed_at: Option<Time>,
}

/// What is looked at afterwards, to see what came of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Measure {
    pub entity: EntityId,
    pub attribute: Name,
    pub after_micros: i64,
}
