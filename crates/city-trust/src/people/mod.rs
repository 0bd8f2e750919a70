//! People: their accounts, how they sign in, and who is signed in.

pub mod account;
pub mod attempts;
pub mod session;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use city_model::{Permit, Powers, Reach, Right, TenantName, Time};

use crate::people::account::{StoredAccount, principal_id};
use crate::people::session::AccountOf;
use crate::principal::{Principal, Role};
use crate::{Error, Trust, token};

/// How whoever makes the first administrator is called.
pub const FIRST_RUN: &str = "first-run";

/// An account as it stands, with whom it makes.
#[derive(Debug, Clone)]
pub struct KnownAccount {
    pub stored: StoredAccount,
    pub principal: Principal,
}

/// Somebody who says that an account is theirs.
#[derive(Debug, Clone, Copy)]
pub struct SigningIn<'a> {
    pub tenant: &'a TenantName,
    pub name: &'a str,
    pub password: &'a str,
    pub from: Option<IpAddr>,
}

impl SigningIn<'_> {
    fn account(&self) -> AccountOf {
        (self.tenant.clone(), self.name.into())
    }
}

/// Why somebody is not let in.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotSignedIn {
    /// Says nothing of whether there is such an account.
    #[error("The name or the password is not right.")]
    Wrong {
        /// It was one time too many: from here on they wait.
        begins_to_wait: bool,
    },
    #[error("There were too many attempts. Try again in {} s.", .0.as_secs() + 1)]
    Waits(Duration),
    #[error("The system gives no random numbers.")]
    NoRandom,
}

impl Trust {
    /// Takes in an account as it stands; `None` where it is gone. Who signed in with what is no longer so is
    /// signed out.
    pub(crate) fn learn_account(&self, tenant: &TenantName, name: &str, body: Option<&[u8]>) -> Result<(), Error> {
        let key: AccountOf = (tenant.clone(), name.into());
        let stored = body.map(StoredAccount::parse).transpose().map_err(|why| Error::Stored {
            what: "account",
            id: name.into(),
            why: why.to_string(),
        })?;
        let mut known = self.known.write();
        let before = known.accounts.get(&key).map(|known| known.stored.clone());
        let signs_as_before =
            before.is_some() && before.as_ref().map(|own| &own.password) == stored.as_ref().map(|own| &own.password);
        match stored {
            Some(stored) => {
                let principal = stored.principal(name, tenant);
                known.accounts.insert(key.clone(), Arc::new(KnownAccount { stored, principal }));
            }
            None => drop(known.accounts.remove(&key)),
        }
        drop(known);
        if !signs_as_before {
            self.sessions.end_all_of(&key);
        }
        Ok(())
    }

    /// Signs in; the secret of the session. Takes some tens of milliseconds of a processor, whoever asks.
    pub fn sign_in(&self, asked: SigningIn, now: Time) -> Result<String, NotSignedIn> {
        let account = asked.account();
        if let Some(wait) = self.attempts.wait(&account, asked.from, now) {
            return Err(NotSignedIn::Waits(wait));
        }
        let known = self.account(asked.tenant, asked.name).filter(|known| known.stored.is_open(now));
        let password = known.as_ref().and_then(|known| known.stored.password.as_deref());
        if !account::verify(password, asked.password) {
            return Err(NotSignedIn::Wrong { begins_to_wait: self.attempts.failed(&account, asked.from, now) });
        }
        self.attempts.succeeded(&account, asked.from);
        self.sessions.begin(account, now).ok_or(NotSignedIn::NoRandom)
    }

    pub fn sign_out(&self, secret: &str) {
        self.sessions.end(secret);
    }

    #[must_use]
    pub fn session_ends(&self, secret: &str) -> Option<Time> {
        self.sessions.ends(secret)
    }

    /// How many sessions an account has now.
    #[must_use]
    pub fn sessions_of(&self, tenant: &TenantName, name: &str, now: Time) -> usize {
        self.sessions.count_of(&(tenant.clone(), name.into()), now)
    }

    /// Whose session it is.
    pub(crate) fn signed_in(&self, secret: &str, now: Time) -> Option<Arc<KnownAccount>> {
        let (tenant, name) = self.sessions.find(secret, now)?;
        self.account(&tenant, &name).filter(|known| known.stored.is_open(now))
    }

    /// What the holder of a permit is to the city.
    #[must_use]
    pub fn roles_of(&self, permit: &Permit) -> Vec<&'static str> {
        let principal = self.find_principal(permit.tenant(), permit.who());
        principal.into_iter().flat_map(|own| own.roles).map(Role::as_str).collect()
    }

    #[must_use]
    pub fn account(&self, tenant: &TenantName, name: &str) -> Option<Arc<KnownAccount>> {
        self.known.read().accounts.get(&(tenant.clone(), Box::from(name))).cloned()
    }

    /// What whoever has just shown who they are may do with their own account: keep it, and nothing else.
    #[must_use]
    pub fn keeping_own_account(&self, tenant: &TenantName, name: &str, now: Time) -> Permit {
        self.keeping_accounts(tenant, principal_id(name), now)
    }

    fn keeping_accounts(&self, tenant: &TenantName, who: Arc<str>, now: Time) -> Permit {
        let powers = Powers {
            read: Reach::Nothing,
            write: Reach::Nothing,
            rights: vec![Right::Administer],
            discloses: Vec::new(),
        };
        self.permit(tenant.clone(), who, None, Arc::new(powers), (self.epoch(), now))
    }

    /// From here on whoever has this code makes the first administrator.
    pub fn await_first_run(&self, code: &str) {
        *self.first_run.lock() = Some(token::digest(code));
    }

    /// Whether nobody is known yet: no account, and no token.
    #[must_use]
    pub fn knows_nobody(&self) -> bool {
        let known = self.known.read();
        known.accounts.is_empty() && known.tokens.is_empty()
    }

    /// The permit of whoever makes the first administrator; `None` where the code is not right, or somebody
    /// is known.
    #[must_use]
    pub fn first_run(&self, code: &str, now: Time) -> Option<Permit> {
        let is_right = self.first_run.lock().as_ref().is_some_and(|digest| *digest == token::digest(code));
        let permit = || self.keeping_accounts(&TenantName::default_tenant(), FIRST_RUN.into(), now);
        (is_right && self.knows_nobody()).then(permit)
    }
}
