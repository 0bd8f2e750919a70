//! What went wrong outside, told to the person on night duty. Only host and port are named:
//! the path and the query of an address may carry tokens or personal values.

use std::net::IpAddr;
use std::time::Duration;

use crate::address::Reach;

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("The address is refused: {why}")]
    Address { why: String },
    #[error(
        "No connection to {host}:{port}: no entry of --outbound-allow names it. Add \"{host}:{port}\" to --outbound-allow."
    )]
    NotListed { host: String, port: u16 },
    #[error("No connection to {host}:{port}: {address} is {reach}. {}", advice(*.reach, *.address))]
    NotPublic { host: String, port: u16, address: IpAddr, reach: Reach },
    #[error("The name {host} could not be resolved: {why} Check the name and this machine's DNS.")]
    Unresolved { host: String, why: String },
    #[error("{host}:{port} could not be reached: {why}")]
    Unreachable { host: String, port: u16, why: String },
    #[error("{host}:{port} was given up after {} ms: {stage}.", .after.as_millis())]
    TimedOut { host: String, port: u16, after: Duration, stage: Stage },
    #[error("The answer of {host}:{port} is longer than the {bytes_max} bytes that are accepted; it was cut off.")]
    TooLong { host: String, port: u16, bytes_max: usize },
    #[error(
        "{host}:{port} answered {status} and points elsewhere{}. Redirects are not followed; use the new address itself.",
        location.as_ref().map(|to| format!(" (to {to})")).unwrap_or_default()
    )]
    Redirected {
        host: String,
        port: u16,
        status: u16,
        /// Scheme, host and port alone.
        location: Option<String>,
    },
    #[error("The connection to {host}:{port} broke before the answer was complete: {why}")]
    Broken { host: String, port: u16, why: String },
    #[error("The header {name} is set by the server itself and cannot be given.")]
    Header { name: String },
    #[error(
        "No https connection to {host}:{port}: this machine has no certificate authorities. Install the package ca-certificates."
    )]
    NoAuthorities { host: String, port: u16 },
}

/// How far a request had come when its time was over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Other requests to the same host, or too many altogether, were still under way.
    Waiting,
    Connecting,
    Answering,
}

impl std::fmt::Display for Stage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Waiting => "earlier requests to this host are still under way",
            Self::Connecting => "no connection came about",
            Self::Answering => "the answer did not arrive",
        })
    }
}

fn advice(reach: Reach, address: IpAddr) -> String {
    match reach {
        Reach::Nowhere => "Such an address is never connected to.".into(),
        Reach::Metadata => format!("To allow it all the same, add exactly \"{address}\" to --outbound-allow."),
        Reach::Public | Reach::Loopback | Reach::LinkLocal | Reach::Private => {
            format!("To allow it, add \"{address}\" or its network to --outbound-allow.")
        }
    }
}

impl Error {
    /// Its page is `docs/errors/<code>.md`.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Address { .. } => "OUT-001",
            Self::NotListed { .. } => "OUT-002",
            Self::NotPublic { .. } => "OUT-003",
            Self::Unresolved { .. } => "OUT-004",
            Self::Unreachable { .. } => "OUT-005",
            Self::TimedOut { .. } => "OUT-006",
            Self::TooLong { .. } => "OUT-007",
            Self::Redirected { .. } => "OUT-008",
            Self::Broken { .. } => "OUT-009",
            Self::Header { .. } => "OUT-010",
            Self::NoAuthorities { .. } => "OUT-011",
        }
    }

    /// True when the other side cannot have seen the request; what must not be sent twice may then be sent again.
    #[must_use]
    pub fn never_sent(&self) -> bool {
        match self {
            Self::TimedOut { stage, .. } => *stage != Stage::Answering,
            Self::TooLong { .. } | Self::Redirected { .. } | Self::Broken { .. } => false,
            _ => true,
        }
    }

    /// True when only a changed setting or a changed address helps; a later attempt alone does not.
    #[must_use]
    pub fn is_refusal(&self) -> bool {
        matches!(self, Self::Address { .. } | Self::NotListed { .. } | Self::NotPublic { .. } | Self::Header { .. })
    }
}
