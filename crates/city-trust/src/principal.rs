//! Who asks.

use std::fmt;
use std::sync::Arc;

use city_model::TenantName;

/// What somebody is to the city; each role's own policy stands in `policies/roles.cedar`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    Administrator,
    Operator,
    Approver,
    Developer,
    Auditor,
    Device,
    /// Whoever asks without saying who they are.
    Public,
}

impl Role {
    pub const ALL: [Self; 7] = [
        Self::Administrator,
        Self::Operator,
        Self::Approver,
        Self::Developer,
        Self::Auditor,
        Self::Device,
        Self::Public,
    ];

    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Administrator => "administrator",
            Self::Operator => "operator",
            Self::Approver => "approver",
            Self::Developer => "developer",
            Self::Auditor => "auditor",
            Self::Device => "device",
            Self::Public => "public",
        }
    }

    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.as_str() == text)
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Somebody who was recognised, in one tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal {
    /// `token:8f3a…`, `public`: as it stands in records and policies.
    pub id: Arc<str>,
    pub tenant: TenantName,
    pub roles: Vec<Role>,
    pub organisation: Option<Arc<str>>,
    /// For what they may ask; empty means for whatever they name.
    pub purposes: Vec<Arc<str>>,
}

/// How whoever says nothing of themselves is called.
pub const PUBLIC: &str = "public";

impl Principal {
    #[must_use]
    pub fn public(tenant: TenantName) -> Self {
        Self { id: PUBLIC.into(), tenant, roles: vec![Role::Public], organisation: None, purposes: Vec::new() }
    }

    /// The purpose that a request is for: the one it names, or the only one there can be.
    pub fn purpose<'p>(&'p self, named: Option<&'p str>) -> Result<Option<&'p str>, NotItsPurpose> {
        match (named, self.purposes.as_slice()) {
            (Some(named), []) => Ok(Some(named)),
            (Some(named), own) if own.iter().any(|purpose| **purpose == *named) => Ok(Some(named)),
            (Some(named), own) => {
                Err(NotItsPurpose { named: named.into(), own: own.iter().map(|purpose| (**purpose).into()).collect() })
            }
            (None, [only]) => Ok(Some(only)),
            (None, _) => Ok(None),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotItsPurpose {
    pub named: String,
    pub own: Vec<String>,
}
