//! Permits as plain values. Who holds one may; only a `Mint` makes one.
//!
//! The process can take its `Mint` once; `renkei` hands it to trust. So context, history and
//! action check permits without knowing trust or its policy engine.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::entity::{Classes, DataClass};
use crate::name::TenantName;
use crate::reach::Reach;
use crate::subscription::Owner;
use crate::time::Time;

/// What its holder may do, in one tenant, until it expires.
#[derive(Debug, Clone)]
pub struct Permit {
    tenant: TenantName,
    who: Arc<str>,
    purpose: Option<Arc<str>>,
    powers: Arc<Powers>,
    epoch: u64,
    expires_at: Time,
}

/// What somebody may do in a tenant, for a purpose. Decided once and shared by all permits that say the same.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Powers {
    pub read: Reach,
    pub write: Reach,
    /// Beside reading and writing.
    pub rights: Vec<Right>,
    /// Data of behaviour or persons that `read` may show; each reading of it is noted before it is answered.
    pub discloses: Vec<DataClass>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Right {
    Read,
    Write,
    /// Subscriptions, registrations and contexts: one's own.
    Define,
    /// Who may: tokens, policies, classes of data.
    Administer,
    /// What was done, by whom.
    Audit,
    /// How the tenant fares: the doctor, exports, everybody's subscriptions, rules.
    Operate,
    /// Suggestions: approve, alter, reject.
    Decide,
    /// What concerns all tenants: backups, what the machine holds.
    Host,
}

/// What a permit is made of; trust fills it in.
#[derive(Debug, Clone)]
pub struct Grant {
    pub tenant: TenantName,
    pub who: Arc<str>,
    pub purpose: Option<Arc<str>>,
    pub powers: Arc<Powers>,
    pub epoch: u64,
    pub expires_at: Time,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    #[error("{who} has no right to {right} in tenant {tenant}.")]
    NoRight { who: Arc<str>, right: &'static str, tenant: TenantName },
    #[error("The permit of {0} has expired; ask for a new one.")]
    Expired(Arc<str>),
    #[error("What {0} may was changed after this was asked. Nothing was done; ask again.")]
    Changed(Arc<str>),
    #[error("The permit of {0} shows only a part of the tenant; this needs one that shows all of it.")]
    NotWhole(Arc<str>),
}

/// Permits for those who are not there: who follows the journal asks what an owner may see now.
pub trait PermitSource: Send + Sync {
    /// `None` where the owner is unknown, was cut off, or may nothing any more.
    fn permit_of(&self, tenant: &TenantName, owner: Option<&Owner>, now: Time) -> Option<Permit>;

    /// Whether the holder of a permit would be given the same powers now.
    fn still_holds(&self, permit: &Permit, now: Time) -> bool;

    /// Of which class the values of a tenant's attributes are.
    fn classes(&self, tenant: &TenantName) -> Arc<Classes>;

    /// Begins to hand out what was made ready under a permit; `None` where its holder may no longer do the
    /// same. Whoever takes powers away waits for what was begun before.
    fn release(&self, permit: &Permit, now: Time) -> Option<Box<dyn Release>>;
}

/// Something that is on its way out under a permit, until it is dropped.
pub trait Release: Send + Sync {
    /// Whether it must end here: the powers are gone, and whoever took them waits no longer.
    fn is_cut(&self) -> bool;
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
        let Grant { tenant, who, purpose, powers, epoch, expires_at } = grant;
        Permit { tenant, who, purpose, powers, epoch, expires_at }
    }
}

impl Powers {
    #[must_use]
    pub fn all() -> Self {
        let rights = vec![Right::Define, Right::Administer, Right::Audit, Right::Operate, Right::Decide, Right::Host];
        Self { read: Reach::Everything, write: Reach::Everything, rights, discloses: Vec::new() }
    }

    #[must_use]
    pub fn are_none(&self) -> bool {
        self.read == Reach::Nothing && self.write == Reach::Nothing && self.rights.is_empty()
    }

    #[must_use]
    pub fn have(&self, right: Right) -> bool {
        match right {
            Right::Read => self.read != Reach::Nothing,
            Right::Write => self.write != Reach::Nothing,
            right => self.rights.contains(&right),
        }
    }
}

impl Right {
    /// As the policy language and errors call it.
    #[must_use]
    pub fn verb(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Define => "subscribe",
            Self::Administer => "administer",
            Self::Audit => "audit",
            Self::Operate => "operate",
            Self::Decide => "decide",
            Self::Host => "host",
        }
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
    pub fn who_shared(&self) -> Arc<str> {
        Arc::clone(&self.who)
    }

    #[must_use]
    pub fn purpose(&self) -> Option<&str> {
        self.purpose.as_deref()
    }

    #[must_use]
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// What its holder may see; all else does not exist for them.
    #[must_use]
    pub fn read(&self) -> &Reach {
        &self.powers.read
    }

    /// What its holder may change.
    #[must_use]
    pub fn write(&self) -> &Reach {
        &self.powers.write
    }

    /// Which data of behaviour or persons its holder may be shown.
    #[must_use]
    pub fn discloses(&self) -> &[DataClass] {
        &self.powers.discloses
    }

    /// Whether its holder sees all of the tenant, every attribute included.
    #[must_use]
    pub fn sees_everything(&self) -> bool {
        self.powers.read == Reach::Everything
    }

    /// Refuses a permit that shows only a part, where only the whole makes sense.
    pub fn check_whole(&self) -> Result<(), Refused> {
        if self.sees_everything() { Ok(()) } else { Err(Refused::NotWhole(Arc::clone(&self.who))) }
    }

    /// Refuses what was decided before a change, once that change was made.
    pub fn check_standing(&self, source: &dyn PermitSource, now: Time) -> Result<(), Refused> {
        if source.still_holds(self, now) { Ok(()) } else { Err(Refused::Changed(Arc::clone(&self.who))) }
    }

    #[must_use]
    pub fn has(&self, right: Right) -> bool {
        self.powers.have(right)
    }

    #[must_use]
    pub fn powers(&self) -> &Arc<Powers> {
        &self.powers
    }

    /// On whose behalf what its holder defines will act.
    #[must_use]
    pub fn owner(&self) -> Owner {
        Owner { who: (*self.who).into(), purpose: self.purpose.as_deref().map(Into::into) }
    }

    pub fn check(&self, right: Right, now: Time) -> Result<(), Refused> {
        if now > self.expires_at {
            return Err(Refused::Expired(Arc::clone(&self.who)));
        }
        if !self.has(right) {
            let (who, tenant) = (Arc::clone(&self.who), self.tenant.clone());
            return Err(Refused::NoRight { who, right: right.verb(), tenant });
        }
        Ok(())
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
            powers: Arc::new(Powers { read: Reach::Everything, ..Powers::default() }),
            epoch: 0,
            expires_at: Time::from_micros(10),
        });
        assert!(permit.check(Right::Read, Time::from_micros(10)).is_ok());
        assert!(matches!(permit.check(Right::Read, Time::from_micros(11)), Err(Refused::Expired(_))));
        assert!(matches!(permit.check(Right::Write, Time::from_micros(1)), Err(Refused::NoRight { .. })));
        assert!(permit.sees_everything() && !permit.has(Right::Administer));
    }
}
