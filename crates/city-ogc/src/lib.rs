//! OGC API Features (OGC 17-069r4) and CQL2 (OGC 21-065r2) between texts and queries of the model.
//!
//! Texts of a request come in, parts of a `Query` go out; how its answer is written the doors know. No I/O, no clock. The
//! names of properties are terms of an @context that the caller expands.

pub mod area;
pub mod cql2;
mod tokens;

use city_model::Name;

/// Longest filter, in bytes.
pub const FILTER_BYTES_MAX: usize = 16 * 1024;

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{parameter}, character {place}: {why}")]
pub struct Error {
    pub parameter: &'static str,
    /// Counted from 1.
    pub place: usize,
    pub why: String,
}

/// Gives a property its full name.
pub type Expand<'a> = &'a dyn Fn(&str) -> Name;
