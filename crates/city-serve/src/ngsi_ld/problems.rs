//! What the rooms refuse, in the words and status codes of the door (clause 6.3.2).

use std::time::Duration;

use city_context::Error as ContextError;
use city_model::{InvalidName, Rejected};
use city_ngsi_ld::{Error as NgsiLdError, ErrorKind};
use city_store::CommitError;
use http::StatusCode;
use http::header::HeaderValue;

use crate::problem::{Kind, Problem};

/// What a room says, without the code that stands in a member of its own.
pub fn said(error: &dyn std::fmt::Display) -> String {
    let text = error.to_string();
    match text.split_once(' ') {
        Some((code, rest)) if code.len() == 7 && code.as_bytes()[3] == b'-' => rest.to_owned(),
        _ => text,
    }
}

/// What a caller is asked to wait when too many writes are queued.
pub const RETRY_AFTER_BUSY: Duration = Duration::from_secs(1);

impl From<NgsiLdError> for Problem {
    fn from(error: NgsiLdError) -> Self {
        let (kind, code) = match error.kind {
            ErrorKind::InvalidRequest => (Kind::InvalidRequest, "NLD-001"),
            ErrorKind::BadRequestData => (Kind::BadRequestData, "NLD-002"),
            ErrorKind::NotSupported => (Kind::OperationNotSupported, "NLD-003"),
            ErrorKind::TooComplexQuery => (Kind::TooComplexQuery, "NLD-004"),
        };
        Self::new(kind, code, error.to_string())
    }
}

impl From<InvalidName> for Problem {
    fn from(error: InvalidName) -> Self {
        Self::new(Kind::BadRequestData, "NLD-002", error.to_string())
    }
}

impl From<Rejected> for Problem {
    fn from(rejected: Rejected) -> Self {
        let (kind, code) = match &rejected {
            Rejected::AlreadyExists(_) | Rejected::DefinitionExists { .. } => (Kind::AlreadyExists, "CTX-010"),
            Rejected::EntityNotFound(_)
            | Rejected::AttributeNotFound { .. }
            | Rejected::InstanceNotFound { .. }
            | Rejected::DefinitionNotFound { .. } => (Kind::ResourceNotFound, "CTX-011"),
            Rejected::Invalid(_) => (Kind::BadRequestData, "CTX-012"),
            Rejected::BoundReached { .. } => {
                return Self::plain(StatusCode::INSUFFICIENT_STORAGE, "CTX-013", rejected.to_string());
            }
            Rejected::Forbidden(_) => return Self::plain(StatusCode::FORBIDDEN, "CTX-014", rejected.to_string()),
        };
        Self::new(kind, code, rejected.to_string())
    }
}

impl From<ContextError> for Problem {
    fn from(error: ContextError) -> Self {
        let unavailable = |code, error: &dyn std::fmt::Display| {
            Self::plain(StatusCode::SERVICE_UNAVAILABLE, code, said(error)).retry_after(RETRY_AFTER_BUSY)
        };
        match error {
            ContextError::Commit(CommitError::DiskFull(_)) => {
                Self::plain(StatusCode::INSUFFICIENT_STORAGE, "CTX-002", said(&error))
            }
            ContextError::Commit(CommitError::Unknown(_)) => Self::new(Kind::InternalError, "CTX-002", said(&error)),
            ContextError::Commit(CommitError::ReadOnly(_)) => unavailable("CTX-002", &error),
            ContextError::Busy => unavailable("CTX-003", &error),
            ContextError::Stopping => unavailable("CTX-005", &error),
            ContextError::Refused(_) => Self::plain(StatusCode::FORBIDDEN, "CTX-004", said(&error)),
            ContextError::TooDeep => Self::plain(StatusCode::LOOP_DETECTED, "CTX-006", said(&error)),
            ContextError::TooLarge { .. } => Self::plain(StatusCode::PAYLOAD_TOO_LARGE, "CTX-009", said(&error)),
            ContextError::TooManyTenants => Self::plain(StatusCode::INSUFFICIENT_STORAGE, "CTX-007", said(&error)),
            ContextError::TenantNotFound(ref tenant) => {
                let problem = Self::new(Kind::NonexistentTenant, "CTX-008", said(&error));
                // Answers name the tenant that the request named (6.3.14).
                match HeaderValue::try_from(tenant.as_str()) {
                    Ok(tenant) => problem.header(crate::caller::TENANT, tenant),
                    Err(_) => problem,
                }
            }
            ContextError::Store(error) => Self::internal("CTX-001", &error),
        }
    }
}

impl From<city_history::Error> for Problem {
    fn from(error: city_history::Error) -> Self {
        match error {
            city_history::Error::Behind { .. } => {
                Self::plain(StatusCode::SERVICE_UNAVAILABLE, "HIS-002", said(&error)).retry_after(RETRY_AFTER_BUSY)
            }
            city_history::Error::TooManyPeriods => Self::new(Kind::TooComplexQuery, "HIS-004", said(&error)),
            city_history::Error::TooManyDistinct => Self::new(Kind::TooComplexQuery, "HIS-005", said(&error)),
            error => Self::internal("HIS-001", &error),
        }
    }
}

impl From<city_action::Error> for Problem {
    fn from(error: city_action::Error) -> Self {
        Self::internal("ACT-001", &error)
    }
}
