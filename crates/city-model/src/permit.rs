//! Permits as plain values. Who holds one may; only a `Mint` makes one.
//!
//! The process can take its `Mint` once; `renkei` hands it to trust. So context, history and
//! action check permits without knowing trust or its policy engine.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::name::{Name, TenantName};
use crate::query::Query;
use crate::time::Time;

/// What its holder may do, in one tenant, until it expires.
#[derive(Debug, Clone)]
pub struct Permit {
    tenant: TenantName,
    who: Arc<str>,
    purpose: Option<Arc<str>>,
    rights: Vec<Right>,
    filter: Option<Arc<Query>>,
    mask: AttributeMask,
    epoch: u64,
    expires_at: Time,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Right {
    Read,
    Write,
    /// Subscriptions, registrations and contexts.
    Define,
}

/// Which attributes the holder may see.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum AttributeMask {
    #[default]
    All,
    Only(Arc<[Name]>),
}

/// What a permit is made of; trust fills it in.
#[derive(Debug, Clone)]
pub struct Grant {
    pub tenant: TenantName,
    pub who: Arc<str>,
    pub purpose: Option<Arc<str>>,
    pub rights: Vec<Right>,
    pub filter: Option<Arc<Query>>,
    pub mask: AttributeMask,
    pub epoch: u64,
    pub expires_at: Time,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    #[error("{who} has no right to {right} in tenant {tenant}.")]
    NoRight { who: Arc<str>, right: &'static str, tenant: TenantName },
    #[error("The permit of {0} has expired; ask for a new one.")]
    Expired(Arc<str>),
    #[error("The permit of {0} shows only a part of the tenant; this needs one that shows all of it.")]
    NotWhole(Arc<str>),
}

/// The one place where permits come from.
#[derive(Debug)]
pub struct Mint(());

static MINT_TAKEN: AtomicBool = AtomicBool::new(false);

impl Mint {
    /// The process's mint, the first time; `None` ever after.
    #[must_use]
    pub fn take() -> Option<Self> {
        (!MINT_TAKEN.swap(true, Ordering::SeqCst)).then_some(Self(()))
    }

    #[must_use]
    pub fn issue(&self, grant: Grant) -> Permit {
        let Grant { tenant, who, purpose, rights, filter, mask, epoch, expires_at } = grant;
        Permit { tenant, who, purpose, rights, filter, mask, epoch, expires_at }
    }
}

impl Permit {
    #[must_use]
    pub fn tenant(&self) -> &TenantName {
        &self.tenant
    }

    #[must_use]
    pub fn who(&self) -> &str {
        &self.who
    }

    #[must_use]
    pub fn purpose(&self) -> Option<&str> {
        self.purpose.as_deref()
    }

    #[must_use]
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// Entities outside this filter do not exist for the holder.
    #[must_use]
    pub fn filter(&self) -> Option<&Query> {
        self.filter.as_deref()
    }

    #[must_use]
    pub fn mask(&self) -> &AttributeMask {
        &self.mask
    }

    /// Whether its holder sees all of the tenant, every attribute included.
    #[must_use]
    pub fn sees_everything(&self) -> bool {
        self.filter.is_none() && self.mask == AttributeMask::All
    }

    /// Refuses a permit that shows only a part, where only the whole makes sense.
    pub fn check_whole(&self) -> Result<(), Refused> {
        if self.sees_everything() { Ok(()) } else { Err(Refused::NotWhole(Arc::clone(&self.who))) }
    }

    pub fn check(&self, right: Right, now: Time) -> Result<(), Refused> {
        if now > self.expires_at {
            return Err(Refused::Expired(Arc::clone(&self.who)));
        }
        if !self.rights.contains(&right) {
            let right = match right {
                Right::Read => "read",
                Right::Write => "write",
                Right::Define => "define subscriptions",
            };
            return Err(Refused::NoRight { who: Arc::clone(&self.who), right, tenant: self.tenant.clone() });
        }
        Ok(())
    }
}

impl AttributeMask {
    #[must_use]
    pub fn allows(&self, name: &str) -> bool {
        match self {
            Self::All => true,
            Self::Only(names) => names.iter().any(|allowed| allowed.as_str() == name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mint_is_taken_once_and_its_permits_end() {
        let mint = Mint::take().unwrap();
        assert!(Mint::take().is_none());
        let permit = mint.issue(Grant {
            tenant: TenantName::default_tenant(),
            who: "operator".into(),
            purpose: None,
            rights: vec![Right::Read],
            filter: None,
            mask: AttributeMask::All,
            epoch: 0,
            expires_at: Time::from_micros(10),
        });
        assert!(permit.check(Right::Read, Time::from_micros(10)).is_ok());
        assert!(matches!(permit.check(Right::Read, Time::from_micros(11)), Err(Refused::Expired(_))));
        assert!(matches!(permit.check(Right::Write, Time::from_micros(1)), Err(Refused::NoRight { .. })));
    }
}
