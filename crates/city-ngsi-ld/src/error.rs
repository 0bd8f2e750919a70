//! What is wrong with an input, with which part of it, and what to do.

use std::fmt;

/// Every refusal of this room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    pub kind: ErrorKind,
    /// The part that is wrong, such as `temperature.unitCode`; empty where it is the whole input.
    pub path: String,
    pub message: String,
}

/// Which problem type of clause 5.5.2 an error becomes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// Not JSON, or not the JSON shape that any such request has.
    InvalidRequest,
    /// JSON, but not what the standard allows.
    BadRequestData,
    /// Understood, and not offered.
    NotSupported,
    /// A query beyond the bounds that keep answers prompt.
    TooComplexQuery,
}

impl Error {
    pub fn invalid(message: impl Into<String>) -> Self {
        Self { kind: ErrorKind::InvalidRequest, path: String::new(), message: message.into() }
    }

    pub fn bad(path: impl Into<String>, message: impl Into<String>) -> Self {
        Self { kind: ErrorKind::BadRequestData, path: path.into(), message: message.into() }
    }

    pub fn not_supported(path: impl Into<String>, message: impl Into<String>) -> Self {
        Self { kind: ErrorKind::NotSupported, path: path.into(), message: message.into() }
    }

    pub fn too_complex(path: impl Into<String>, message: impl Into<String>) -> Self {
        Self { kind: ErrorKind::TooComplexQuery, path: path.into(), message: message.into() }
    }

    /// The same error, seen from one level further out.
    #[must_use]
    pub(crate) fn within(mut self, outer: &str) -> Self {
        self.path = match self.path.as_str() {
            "" => outer.to_owned(),
            inner if inner.starts_with('[') => format!("{outer}{inner}"),
            inner => format!("{outer}.{inner}"),
        };
        self
    }

    /// A parser's own words, without the line and column that mean nothing inside a body's slice.
    pub(crate) fn json(error: &serde_json::Error) -> Self {
        Self::invalid(format!("The body is not valid JSON: {error}. Send one JSON document in UTF-8."))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.path.is_empty() { f.write_str(&self.message) } else { write!(f, "{}: {}", self.path, self.message) }
    }
}

impl std::error::Error for Error {}
