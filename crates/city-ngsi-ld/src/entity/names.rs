//! Which texts may name a type or an attribute (clauses 4.5.1, 4.6.2).

use city_model::name::NAME_BYTES_MAX;

use crate::context::NGSI_LD;
use crate::error::Error;

/// Clause 4.6.2 wants letters, digits and `_`, with one prefix. Cities have `NO2-mean` and
/// `dct:title`, so only what would break queries or pages is refused: spaces, control characters
/// and the characters of clause 4.6.4 and of the query language. A full IRI may hold what IRIs hold.
pub(crate) fn check_name(name: &str, what: &str) -> Result<(), Error> {
    if name.is_empty() {
        return Err(Error::bad("", format!("the {what} is empty")));
    }
    if name.len() > NAME_BYTES_MAX {
        return Err(Error::bad("", format!("the {what} is longer than {NAME_BYTES_MAX} bytes")));
    }
    // In a path they would mean another one.
    if name == "." || name == ".." {
        return Err(Error::bad("", format!("{name:?} cannot be the {what}")));
    }
    if name.starts_with('@') {
        return Err(Error::bad("", format!("a JSON-LD keyword cannot be the {what}")));
    }
    // Nearly every name.
    if name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b':' | b'/' | b'.' | b'#')) {
        return Ok(());
    }
    let forbidden =
        if name.contains("://") || name.starts_with("urn:") { "<>\"{}|\\^`" } else { "<>\"'=;(),|&[]{}\\^`%" };
    match name.chars().find(|c| c.is_control() || c.is_whitespace() || forbidden.contains(*c)) {
        None => Ok(()),
        Some(c) => Err(Error::bad("", format!("the {what} contains {c:?}; use letters, digits and _ (clause 4.6.2)"))),
    }
}

/// Terms that are members of an attribute and so cannot be attributes of an entity (clause 4.5.1).
pub(crate) fn is_non_reified(name: &str) -> bool {
    let term = name.strip_prefix(NGSI_LD).unwrap_or(name);
    matches!(
        term,
        "value"
            | "object"
            | "languageMap"
            | "vocab"
            | "json"
            | "valueList"
            | "objectList"
            | "datasetId"
            | "instanceId"
            | "observedAt"
            | "unitCode"
            | "objectType"
            | "valueType"
    )
}
