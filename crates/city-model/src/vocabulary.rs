//! The words of the loop that NGSI-LD has not: what was suggested, decided, commanded, acknowledged and
//! what came of it. Published as `/vocab/v1/context.jsonld` (S7, S59, S64).

use std::sync::Arc;

use crate::entity::Entity;
use crate::name::Name;

/// All our names begin with it; entities of such types are written by the loop alone.
pub const NAMESPACE: &str = "urn:renkei:v1:";

pub const SUGGESTION: &str = "Suggestion";
pub const DECISION: &str = "Decision";
pub const COMMAND: &str = "Command";
pub const ACKNOWLEDGEMENT: &str = "Acknowledgement";
pub const EFFECT: &str = "Effect";

pub const TYPES: [&str; 5] = [SUGGESTION, DECISION, COMMAND, ACKNOWLEDGEMENT, EFFECT];

/// What their attributes are called.
pub const ATTRIBUTES: [&str; 39] = [
    "about",
    "acknowledges",
    "after",
    "alternatives",
    "approvals",
    "approvalsNeeded",
    "attempts",
    "attribute",
    "at",
    "basis",
    "before",
    "command",
    "decidedAt",
    "decidedBy",
    "decides",
    "decision",
    "deadline",
    "detail",
    "evidence",
    "expects",
    "expiresAt",
    "from",
    "holds",
    "issuedAt",
    "measures",
    "note",
    "outcome",
    "proposes",
    "raisedAt",
    "reason",
    "resultsFrom",
    "rule",
    "sentAt",
    "status",
    "target",
    "to",
    "verdict",
    "what",
    "why",
];

/// Terms that NGSI-LD has itself; its own meaning of a term cannot be changed, so these are its names.
const OF_NGSI_LD: [&str; 4] = ["detail", "expiresAt", "reason", "status"];

/// The full name of a term.
#[must_use]
pub fn name(term: &str) -> Name {
    let namespace = if OF_NGSI_LD.contains(&term) { "https://uri.etsi.org/ngsi-ld/" } else { NAMESPACE };
    Name::from_stored(Arc::from(format!("{namespace}{term}")))
}

/// Ids of the loop's entities begin with it; nobody else gives such ids.
pub const ID_PREFIX: &str = "urn:renkei:";

/// Whether an entity is one that the loop alone writes.
#[must_use]
pub fn is_ours(entity: &Entity) -> bool {
    entity.id.as_str().starts_with(ID_PREFIX) || entity.types.iter().any(|name| name.as_str().starts_with(NAMESPACE))
}
