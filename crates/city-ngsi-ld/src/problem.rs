//! Problem details on every error (clauses 5.5.2, 6.3.2; RFC 7807).

use crate::error::{Error, ErrorKind};
use crate::json::ObjectWriter;

/// The error types of the standard.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ProblemType {
    InvalidRequest,
    BadRequestData,
    AlreadyExists,
    OperationNotSupported,
    ResourceNotFound,
    InternalError,
    TooComplexQuery,
    TooManyResults,
    LdContextNotAvailable,
    NoMultiTenantSupport,
    NonexistentTenant,
    Conflict,
}

impl ProblemType {
    pub const ALL: [Self; 12] = [
        Self::InvalidRequest,
        Self::BadRequestData,
        Self::AlreadyExists,
        Self::OperationNotSupported,
        Self::ResourceNotFound,
        Self::InternalError,
        Self::TooComplexQuery,
        Self::TooManyResults,
        Self::LdContextNotAvailable,
        Self::NoMultiTenantSupport,
        Self::NonexistentTenant,
        Self::Conflict,
    ];

    /// The last part of the URI.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::InvalidRequest => "InvalidRequest",
            Self::BadRequestData => "BadRequestData",
            Self::AlreadyExists => "AlreadyExists",
            Self::OperationNotSupported => "OperationNotSupported",
            Self::ResourceNotFound => "ResourceNotFound",
            Self::InternalError => "InternalError",
            Self::TooComplexQuery => "TooComplexQuery",
            Self::TooManyResults => "TooManyResults",
            Self::LdContextNotAvailable => "LdContextNotAvailable",
            Self::NoMultiTenantSupport => "NoMultiTenantSupport",
            Self::NonexistentTenant => "NonexistentTenant",
            Self::Conflict => "Conflict",
        }
    }

    #[must_use]
    pub fn uri(self) -> String {
        format!("https://uri.etsi.org/ngsi-ld/errors/{}", self.name())
    }

    /// HTTP status (table 6.3.2-1).
    #[must_use]
    pub fn status(self) -> u16 {
        match self {
            Self::InvalidRequest | Self::BadRequestData => 400,
            Self::TooComplexQuery | Self::TooManyResults => 403,
            Self::ResourceNotFound | Self::NonexistentTenant => 404,
            Self::AlreadyExists | Self::Conflict => 409,
            Self::OperationNotSupported => 422,
            Self::InternalError => 500,
            Self::NoMultiTenantSupport => 501,
            Self::LdContextNotAvailable => 504,
        }
    }

    /// A short sentence that is the same for every problem of the type.
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Self::InvalidRequest => "The request is not valid.",
            Self::BadRequestData => "The request holds data that NGSI-LD does not allow.",
            Self::AlreadyExists => "It already exists.",
            Self::OperationNotSupported => "The operation is not supported.",
            Self::ResourceNotFound => "It does not exist.",
            Self::InternalError => "The server failed.",
            Self::TooComplexQuery => "The query is too complex.",
            Self::TooManyResults => "The query has too many results.",
            Self::LdContextNotAvailable => "A JSON-LD @context is not available.",
            Self::NoMultiTenantSupport => "Tenants are not supported.",
            Self::NonexistentTenant => "The tenant does not exist.",
            Self::Conflict => "It is in conflict with what is stored.",
        }
    }
}

/// One error, for a person and for a program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    pub kind: ProblemType,
    /// Our own code with a page in `docs/errors/`, such as `NLD-001`.
    pub code: &'static str,
    pub detail: String,
    /// For answers whose status the type does not decide, such as 405, 406 or 507.
    pub status: Option<u16>,
}

impl Problem {
    pub fn new(kind: ProblemType, code: &'static str, detail: impl Into<String>) -> Self {
        Self { kind, code, detail: detail.into(), status: None }
    }

    #[must_use]
    pub fn status(&self) -> u16 {
        self.status.unwrap_or_else(|| self.kind.status())
    }

    /// The body, `application/problem+json`.
    #[must_use]
    pub fn render(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(256);
        self.write(&mut out);
        out
    }

    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        let mut object = ObjectWriter::open(out);
        object.text("type", &self.kind.uri());
        object.text("title", self.kind.title());
        object.raw("status", &self.status().to_string());
        object.text("detail", &self.detail);
        object.text("code", self.code);
        object.close();
    }
}

impl From<&Error> for Problem {
    fn from(error: &Error) -> Self {
        let (kind, code) = match error.kind {
            ErrorKind::InvalidRequest => (ProblemType::InvalidRequest, "NLD-001"),
            ErrorKind::BadRequestData => (ProblemType::BadRequestData, "NLD-002"),
            ErrorKind::NotSupported => (ProblemType::OperationNotSupported, "NLD-003"),
            ErrorKind::TooComplexQuery => (ProblemType::TooComplexQuery, "NLD-004"),
        };
        Self::new(kind, code, error.to_string())
    }
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        Self::from(&error)
    }
}

impl From<crate::context::ResolveError> for Problem {
    fn from(error: crate::context::ResolveError) -> Self {
        match error {
            crate::context::ResolveError::Invalid(error) => Self::from(error),
            other => Self::new(ProblemType::LdContextNotAvailable, "NLD-005", other.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_names_its_type_status_and_code() {
        let problem = Problem::from(Error::bad("temperature.unitCode", "must be a string, found 7"));
        assert_eq!(problem.status(), 400);
        assert_eq!(
            String::from_utf8(problem.render()).unwrap(),
            "{\"type\":\"https://uri.etsi.org/ngsi-ld/errors/BadRequestData\",\
             \"title\":\"The request holds data that NGSI-LD does not allow.\",\"status\":400,\
             \"detail\":\"temperature.unitCode: must be a string, found 7\",\"code\":\"NLD-002\"}"
        );
    }
}
