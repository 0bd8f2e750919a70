//! What may happen to the context, and what came of it.

use std::borrow::Cow;

use crate::entity::{Entity, Instance};
use crate::name::{DatasetId, EntityId, Name};

/// Something that shall happen to an entity. Each variant is an operation of CIM 009.
#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    /// 5.6.1, 5.6.7
    Create(Entity),
    /// 5.6.8: create, or else replace (`update == false`) or append with overwriting (`update == true`).
    Upsert {
        entity: Entity,
        update: bool,
    },
    /// 5.6.18
    Replace(Entity),
    /// 5.6.17
    Merge(Entity),
    /// 5.6.3 (and the batch update 5.6.9): attributes that exist are overwritten if `overwrite`, else left and reported.
    Append {
        fragment: Entity,
        overwrite: bool,
    },
    /// 5.6.2: attributes are replaced or appended whole; the NGSI-LD Null deletes, and is reported where nothing was.
    Update(Entity),
    /// 5.6.4: the members given are merged into one instance that must exist; see `Kind::Unchanged`.
    UpdateAttribute {
        entity: EntityId,
        attribute: Name,
        instance: Instance,
    },
    /// 5.6.19: the instances of the attribute's datasets given are replaced; the attribute must exist.
    ReplaceAttribute {
        entity: EntityId,
        attribute: Name,
        instances: Vec<Instance>,
    },
    /// 5.6.5
    DeleteAttribute {
        entity: EntityId,
        attribute: Name,
        dataset: DatasetSelection,
    },
    /// 5.6.6, 5.6.10
    Delete(EntityId),
    /// 5.6.11, 5.6.12: instances of the past; the current state is not touched. `must_exist` is 5.6.12.
    Past {
        fragment: Entity,
        must_exist: bool,
    },
    /// 5.6.13
    DeletePastAttribute {
        entity: EntityId,
        attribute: Name,
        dataset: DatasetSelection,
    },
    /// 5.6.14
    UpdatePastInstance {
        entity: EntityId,
        attribute: Name,
        position: InstancePosition,
        instance: Instance,
    },
    /// 5.6.15
    DeletePastInstance {
        entity: EntityId,
        attribute: Name,
        position: InstancePosition,
    },
    /// 5.6.16: the past of the entity, all of it.
    DeletePast(EntityId),
    /// What is personal of an entity, now and in the past, in every copy that was ever written: the key that
    /// sealed it is destroyed.
    Erase(EntityId),
    /// Subscriptions, registrations, contexts: what the city is told to do rather than what it is.
    Define(Definition),
    Undefine {
        kind: DefinitionKind,
        id: Box<str>,
    },
    /// Something that was done, for the trail alone: nothing changes.
    Note(Note),
}

/// What is noted in the trail; who did it and when comes with the permit and the clock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// `backup.taken`
    pub what: Box<str>,
    /// The thing that it was done to.
    pub subject: Box<str>,
    /// JSON; the trail commits to it, and it can be erased.
    pub details: Box<[u8]>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DatasetSelection {
    Default,
    One(DatasetId),
    All,
}

/// Identifies one instance in the past: (seq, index) of the change that brought it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct InstancePosition {
    pub seq: u64,
    pub index: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum DefinitionKind {
    Subscription,
    Registration,
    JsonLdContext,
    Policy,
    Rule,
    Token,
    /// Of which class the values of an attribute are.
    Class,
    /// That an attribute of a type is commandable, and how its commands get there. Its id is both names, with a
    /// space between them.
    Actuator,
    /// A person who may sign in.
    Account,
    /// Where messages come from, and what becomes of them.
    Source,
    /// A feed of public transport.
    Timetable,
}

/// `body` is written and read by the room that owns the kind; the journal keeps it as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Definition {
    pub kind: DefinitionKind,
    pub id: Box<str>,
    pub body: Box<[u8]>,
    /// `Create`: the id must be free. `Replace`: it must exist.
    pub create: bool,
}

/// Where a request came from. Loops end because `depth` has a bound.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cause {
    /// One per request; all its changes share it.
    pub request: u128,
    /// The door or room that asked, such as `ngsi-ld`.
    pub origin: Box<str>,
    /// How many derived changes lie before this one.
    pub depth: u8,
}

/// Deepest chain of changes that cause changes.
pub const CAUSE_DEPTH_MAX: u8 = 8;

/// What a change did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Applied {
    /// Position in the tenant's order; `None` where nothing had to change.
    pub seq: Option<u64>,
    pub created: bool,
    /// Attributes that now stand as asked.
    pub updated: Vec<Name>,
    /// Attributes that were left as they were, each with the reason.
    pub not_updated: Vec<(Name, Cow<'static, str>)>,
}

/// Why a change was not applied. Nothing of it is left behind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Rejected {
    #[error("Entity {0} already exists.")]
    AlreadyExists(EntityId),
    #[error("Entity {0} does not exist.")]
    EntityNotFound(EntityId),
    #[error("Entity {entity} has no attribute {attribute}{}.", dataset.as_ref().map(|d| format!(" with datasetId {d}")).unwrap_or_default())]
    AttributeNotFound { entity: EntityId, attribute: Name, dataset: Option<DatasetId> },
    #[error("Entity {entity} has no instance {position} of {attribute}.", position = format!("{}-{}", position.seq, position.index))]
    InstanceNotFound { entity: EntityId, attribute: Name, position: InstancePosition },
    #[error("{what} {id} already exists.")]
    DefinitionExists { what: &'static str, id: Box<str> },
    #[error("{what} {id} does not exist.")]
    DefinitionNotFound { what: &'static str, id: Box<str> },
    #[error("{0}")]
    Invalid(String),
    #[error("The permit does not allow it: {0}")]
    Forbidden(String),
    #[error("{what} is at its bound of {bound}. {advice}")]
    BoundReached { what: &'static str, bound: u64, advice: &'static str },
}

impl DefinitionKind {
    /// As written in errors.
    #[must_use]
    pub fn noun(self) -> &'static str {
        match self {
            Self::Subscription => "Subscription",
            Self::Registration => "Registration",
            Self::JsonLdContext => "@context",
            Self::Policy => "Policy",
            Self::Rule => "Rule",
            Self::Token => "Token",
            Self::Class => "Class",
            Self::Actuator => "Actuator",
            Self::Account => "Account",
            Self::Source => "Source",
            Self::Timetable => "Timetable",
        }
    }

    /// Whether definitions of this kind belong to the city's running, so that its operators make and see them.
    #[must_use]
    pub fn is_of_operation(self) -> bool {
        matches!(self, Self::Rule | Self::Source | Self::Timetable)
    }

    /// Whether definitions of this kind say who or what may do what, so that only administrators make and see them.
    #[must_use]
    pub fn decides_who_may(self) -> bool {
        matches!(self, Self::Policy | Self::Token | Self::Class | Self::Actuator | Self::Account)
    }
}
