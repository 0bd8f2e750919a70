//! The words of the city.
//!
//! A **change** comes in through a door, is checked against a **permit**, becomes part of the
//! **context** and is written once to the journal. This room defines those words and nothing
//! else: no I/O, no JSON, no clock. Every other room speaks in these types.

pub mod change;
pub mod condition;
pub mod entity;
pub mod geometry;
pub mod hand;
pub mod name;
pub mod period;
pub mod permit;
pub mod proposal;
pub mod query;
pub mod reach;
pub mod subscription;
pub mod temporal;
pub mod time;
pub mod value;
pub mod vocabulary;

pub use change::{Applied, Cause, Change, DatasetSelection, Definition, DefinitionKind, Note, Rejected};
pub use condition::Condition;
pub use entity::{Attribute, Classes, DataClass, Entity, Instance, Kind};
pub use geometry::{Geometry, Position};
pub use hand::Hand;
pub use name::{DatasetId, EntityId, InvalidName, Name, Scope, TenantName};
pub use period::Period;
pub use permit::{Mint, Permit, PermitSource, Powers, Refused, Release, Right};
pub use proposal::Proposal;
pub use query::{Query, TypeExpr};
pub use reach::Reach;
pub use subscription::{Owner, Subscription};
pub use temporal::TemporalQuery;
pub use time::Time;
pub use value::Value;
