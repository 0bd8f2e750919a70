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
pub const ATTRIBUTES: [&str; 45] = [
    "about",
    "acknowledges",
    "actuator",
    "after",
    "alternatives",
    "approvals",
    "approvalsNeeded",
    "attempts",
    "attribute",
    "at",
    "basis",
    "before",
    "change",
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
    "forPurpose",
    "from",
    "holds",
    "issuedAt",
    "measures",
    "note",
    "onBehalfOf",
    "outcome",
    "proposes",
    "raisedAt",
    "reason",
    "resultsFrom",
    "rule",
    "ruleVersion",
    "sentAt",
    "status",
    "target",
    "tells",
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

/// What of a paper holds values of other entities, or may tell of them: each paper's reader has their own permit
/// for those, so doors that know only entities do not show it to whoever sees a part of the city.
const HOLDS_VALUES: [&str; 6] = ["after", "before", "evidence", "expects", "what", "why"];

/// How much of one of the loop's papers may be seen, whatever a policy says of attributes of that name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnPaper {
    /// How far the loop is; no data of anybody, though other entities may have an attribute of that name that is.
    Plain,
    /// Only by the loop's own door, as far as the reader may see what it tells of.
    HoldsValues,
    AsPolicy,
}

#[must_use]
pub fn on_paper(name: &str) -> OnPaper {
    if let Some(term) = name.strip_prefix("https://uri.etsi.org/ngsi-ld/") {
        return match term {
            "location" => OnPaper::HoldsValues,
            term if OF_NGSI_LD.contains(&term) => OnPaper::Plain,
            _ => OnPaper::AsPolicy,
        };
    }
    match name.strip_prefix(NAMESPACE) {
        Some(term) if HOLDS_VALUES.contains(&term) => OnPaper::HoldsValues,
        _ => OnPaper::AsPolicy,
    }
}

/// Ids of the loop's entities begin with it; nobody else gives such ids.
pub const ID_PREFIX: &str = "urn:renkei:";

/// Whether an entity is one that the loop alone writes.
#[must_use]
pub fn is_ours(entity: &Entity) -> bool {
    entity.id.as_str().starts_with(ID_PREFIX) || entity.types.iter().any(|name| name.as_str().starts_with(NAMESPACE))
}
