//! Who may: the only room that issues permits.
//!
//! A token, a tenant and a purpose come in; a permit goes out. What somebody may is decided by the
//! policies of the tenant, once for each holder and purpose, and kept until one of them changes.
//! Without identities (`--auth off`) there is exactly one issuer, and it is in plain sight: the local
//! operator, who may do everything in every tenant; `serve` then refuses every address but loopback.
//!
//! Tokens and policies are definitions in the journal. Their bodies are written and read here; whoever
//! changed one hands it in again ([`Trust::learn`]) before answering, so that nothing is decided by
//! what was before.

pub mod decide;
mod gate;
pub mod people;
mod policy;
mod principal;
mod releases;
mod residual;
mod token;
pub mod trail;
pub mod words;

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use city_model::permit::Grant;
use city_model::reach::{Attributes, Part, Rule};
use city_model::{
    Classes, Condition, DataClass, DefinitionKind, Mint, Name, Owner, Permit, PermitSource, Powers, Reach, Release,
    TenantName, Time,
};
use parking_lot::{Mutex, RwLock};

pub use decide::{Policies, PolicyError};
pub use gate::{Gate, listen_without_identities, listen_without_tls};
use people::KnownAccount;
use people::account::AccountError;
use people::attempts::Attempts;
use people::session::{AccountOf, SESSION_PREFIX, Sessions};
pub use policy::{StoredClass, StoredPolicy};
pub use principal::{PUBLIC, Principal, Role};
pub use releases::RELEASE_WAIT_MAX;
use releases::Releases;
pub use token::{NewToken, StoredToken, TokenError, TokenRequest, principal_id, random_secret, sha256};

/// A permit outlives the request that asked for it by no more than this.
pub const PERMIT_SECONDS: i64 = 60;
/// Decisions that are kept, at most; beyond, all are made again.
pub const DECISIONS_MAX: usize = 10_000;

/// How the local operator is called in permits and records.
pub const LOCAL_OPERATOR: &str = "local-operator";
/// What the local operator's token begins with; the rest is a secret of this run of the server.
pub const OPERATOR_PREFIX: &str = "rko_";

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error(
        "Listening on {address} with --auth off is refused: everyone who reaches this address could read and change everything. Listen on 127.0.0.1:{port} or [::1]:{port}, or leave --auth off out.",
        port = address.port()
    )]
    NotLoopback { address: SocketAddr },
    #[error(
        "Listening on {address} without TLS is refused: tokens would go over the network for anyone to read. Give --tls-cert and --tls-key, or --plain-http where a proxy in front has TLS."
    )]
    NotSecured { address: SocketAddr },
    #[error("This is not open to everybody. Send a token: Authorization: Bearer rk_…")]
    NobodyKnown,
    #[error("This token is not known, was taken back, or has ended. Ask an administrator for a new one.")]
    NotKnown,
    #[error("You are signed out: nothing was asked for a while, or the account was changed. Sign in again.")]
    SignedOut,
    #[error("This token is for another tenant; leave NGSILD-Tenant out, or name the token's own.")]
    OtherTenant,
    #[error("What you may was changed while this was answered. Nothing of it was shown; ask again.")]
    ChangedMeanwhile,
    #[error("This token is not for the purpose {named}; it is for {own}.")]
    OtherPurpose { named: String, own: String },
    #[error("{0}")]
    Policy(#[from] PolicyError),
    #[error("{0}")]
    Token(#[from] TokenError),
    #[error("{0}")]
    Account(#[from] AccountError),
    #[error("{0}")]
    Words(#[from] words::WordsError),
    #[error("The stored {what} {id} cannot be read: {why}")]
    Stored { what: &'static str, id: Box<str>, why: String },
}

impl Error {
    /// Its page is `docs/errors/<code>.md`.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotLoopback { .. } => "TRU-001",
            Self::NotSecured { .. } => "TRU-015",
            Self::NobodyKnown => "TRU-002",
            Self::NotKnown => "TRU-003",
            Self::SignedOut => "TRU-017",
            Self::Account(_) => "TRU-018",
            Self::OtherTenant => "TRU-004",
            Self::OtherPurpose { .. } => "TRU-005",
            Self::ChangedMeanwhile => "TRU-016",
            Self::Policy(_) => "TRU-006",
            Self::Token(_) => "TRU-007",
            Self::Words(_) => "TRU-008",
            Self::Stored { .. } => "TRU-009",
        }
    }
}

/// Holds the process's mint. The clock comes in with each question.
pub struct Trust {
    mint: Mint,
    gate: Gate,
    epoch: AtomicU64,
    known: RwLock<Known>,
    /// By tenant, holder and purpose, of the present epoch.
    decisions: Mutex<HashMap<Asked, Arc<Powers>>>,
    all: Arc<Powers>,
    roles: Policies,
    releases: Releases,
    sessions: Sessions,
    attempts: Attempts,
    /// The digest of the code that makes the first administrator.
    first_run: Mutex<Option<String>>,
}

type Asked = (TenantName, Arc<str>, Option<Box<str>>);

#[derive(Default)]
struct Known {
    policies: HashMap<TenantName, Policies>,
    classes: HashMap<TenantName, Arc<Classes>>,
    tokens: HashMap<Box<str>, Arc<KnownToken>>,
    accounts: HashMap<AccountOf, Arc<KnownAccount>>,
}

struct KnownToken {
    tenant: TenantName,
    stored: StoredToken,
    principal: Principal,
    seen: Mutex<Option<Seen>>,
}

/// The last that was seen of a holder since the server started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    pub at: Time,
    /// The operation that was asked for.
    pub act: &'static str,
    pub from: Option<IpAddr>,
    pub requests: u64,
}

/// A request as far as it says who asks.
#[derive(Debug, Clone, Copy)]
pub struct Asking<'a> {
    /// What stands behind `Bearer`.
    pub bearer: Option<&'a str>,
    pub tenant: Option<&'a TenantName>,
    pub purpose: Option<&'a str>,
    /// The operation, and where it is asked from: for the list of who is connected.
    pub act: &'static str,
    pub from: Option<IpAddr>,
}

/// Who was recognised, and in which tenant they are.
enum Caller {
    LocalOperator,
    Principal(Principal),
}

impl Trust {
    #[must_use]
    pub fn new(mint: Mint, gate: Gate) -> Self {
        Self {
            mint,
            gate,
            epoch: AtomicU64::new(0),
            known: RwLock::default(),
            decisions: Mutex::default(),
            all: Arc::new(Powers::all()),
            roles: Policies::default(),
            releases: Releases::default(),
            sessions: Sessions::default(),
            attempts: Attempts::default(),
            first_run: Mutex::default(),
        }
    }

    /// Permits of an earlier epoch are no longer to be honoured.
    #[must_use]
    pub fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::SeqCst)
    }

    #[must_use]
    pub fn gate(&self) -> &Gate {
        &self.gate
    }

    /// Takes in a definition as it stands now; `None` where it is gone.
    pub fn learn(&self, tenant: &TenantName, kind: DefinitionKind, id: &str, body: Option<&[u8]>) -> Result<(), Error> {
        let stored =
            |what, error: &dyn std::fmt::Display| Error::Stored { what, id: id.into(), why: error.to_string() };
        if kind == DefinitionKind::Account {
            self.learn_account(tenant, id, body)?;
        }
        let mut known = self.known.write();
        match (kind, body) {
            (DefinitionKind::Account, _) => {}
            (DefinitionKind::Policy, Some(body)) => {
                let policy = StoredPolicy::parse(body).map_err(|error| stored("policy", &error))?;
                let policies = known.policies.entry(tenant.clone()).or_insert_with(|| self.roles.clone());
                policies.insert(id, &policy.cedar)?;
            }
            (DefinitionKind::Policy, None) => {
                if let Some(policies) = known.policies.get_mut(tenant) {
                    policies.remove(id);
                }
            }
            (DefinitionKind::Token, Some(body)) => {
                let kept: StoredToken = serde_json::from_slice(body).map_err(|error| stored("token", &error))?;
                let principal = kept.principal(id, tenant);
                let token = KnownToken { tenant: tenant.clone(), stored: kept, principal, seen: Mutex::default() };
                known.tokens.insert(id.into(), Arc::new(token));
            }
            (DefinitionKind::Class, body) => {
                let name = Name::parse(id).map_err(|error| stored("class", &error))?;
                let classes = Arc::make_mut(known.classes.entry(tenant.clone()).or_default());
                match body {
                    Some(body) => {
                        let kept = StoredClass::parse(body).map_err(|error| stored("class", &error))?;
                        let class =
                            DataClass::parse(&kept.class).ok_or_else(|| stored("class", &"it is none of the four"))?;
                        classes.insert(name, class);
                    }
                    None => drop(classes.remove(&name)),
                }
            }
            (DefinitionKind::Token, None) => drop(known.tokens.remove(id)),
            _ => return Ok(()),
        }
        // Under the lock that decisions read with: none that began before is kept after. The epoch moves last:
        // whoever reads the new one finds no old decision.
        self.decisions.lock().clear();
        self.epoch.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }

    /// The permit of whoever sends this token, or none.
    pub fn issue(&self, asking: Asking, now: Time) -> Result<Permit, Error> {
        let Asking { bearer, tenant, purpose, .. } = asking;
        let epoch = self.epoch();
        let principal = match self.recognise(asking, now)? {
            Caller::LocalOperator => {
                let tenant = tenant.cloned().unwrap_or_else(TenantName::default_tenant);
                let powers = self.operators(&tenant, purpose);
                return Ok(self.permit(tenant, LOCAL_OPERATOR.into(), purpose, powers, (epoch, now)));
            }
            Caller::Principal(principal) => principal,
        };
        let purpose = principal
            .purpose(purpose)
            .map_err(|not| Error::OtherPurpose { named: not.named, own: not.own.join(", ") })?;
        let powers = self.decide(&principal, purpose);
        if bearer.is_none() && powers.are_none() {
            return Err(Error::NobodyKnown);
        }
        Ok(self.permit(principal.tenant.clone(), Arc::clone(&principal.id), purpose, powers, (epoch, now)))
    }

    fn recognise(&self, asking: Asking, now: Time) -> Result<Caller, Error> {
        let Asking { bearer, tenant, act, from, .. } = asking;
        let Gate::Closed { operator_digest } = &self.gate else { return Ok(Caller::LocalOperator) };
        let Some(text) = bearer else {
            return Ok(Caller::Principal(Principal::public(
                tenant.cloned().unwrap_or_else(TenantName::default_tenant),
            )));
        };
        if let Some(secret) = text.strip_prefix(OPERATOR_PREFIX) {
            // Digests are compared, so the time that takes tells nothing of the secret.
            return if token::digest(secret) == *operator_digest {
                Ok(Caller::LocalOperator)
            } else {
                Err(Error::NotKnown)
            };
        }
        if text.starts_with(SESSION_PREFIX) {
            let account = self.signed_in(text, now).ok_or(Error::SignedOut)?;
            let own = &account.principal;
            let is_other = tenant.is_some_and(|named| *named != own.tenant);
            return if is_other { Err(Error::OtherTenant) } else { Ok(Caller::Principal(own.clone())) };
        }
        let (id, secret) = token::split(text).ok_or(Error::NotKnown)?;
        let token = self.known.read().tokens.get(id).cloned().ok_or(Error::NotKnown)?;
        if !token.stored.has_secret(secret) || now >= token.stored.expires_at() {
            return Err(Error::NotKnown);
        }
        if tenant.is_some_and(|named| *named != token.tenant) {
            return Err(Error::OtherTenant);
        }
        let mut seen = token.seen.lock();
        let requests = seen.as_ref().map_or(0, |seen| seen.requests) + 1;
        *seen = Some(Seen { at: now, act, from, requests });
        drop(seen);
        Ok(Caller::Principal(token.principal.clone()))
    }

    /// All of them; yet data of behaviour and persons only where a purpose is named.
    fn operators(&self, tenant: &TenantName, purpose: Option<&str>) -> Arc<Powers> {
        let known = self.known.read();
        let classes = known.classes.get(tenant).into_iter().flat_map(|classes| classes.iter());
        let sensitive: Vec<(&Name, DataClass)> =
            classes.filter(|(_, class)| class.is_sensitive()).map(|(name, class)| (name, *class)).collect();
        if sensitive.is_empty() {
            return Arc::clone(&self.all);
        }
        let mut powers = Powers::clone(&self.all);
        match purpose {
            Some(_) => {
                let opened = |wanted: &DataClass| sensitive.iter().any(|(_, class)| class == wanted);
                powers.discloses = DataClass::ALL.into_iter().filter(opened).collect();
            }
            None => {
                let names = sensitive.into_iter().map(|(name, _)| name.clone()).collect();
                let attributes = Attributes::AllBut(names);
                let grants = vec![Rule { when: Condition::Always, attributes, blurred: Vec::new() }];
                powers.read = Reach::Part(Arc::new(Part { grants, forbids: Vec::new() }));
            }
        }
        Arc::new(powers)
    }

    fn decide(&self, principal: &Principal, purpose: Option<&str>) -> Arc<Powers> {
        let asked: Asked = (principal.tenant.clone(), Arc::clone(&principal.id), purpose.map(Into::into));
        if let Some(powers) = self.decisions.lock().get(&asked) {
            return Arc::clone(powers);
        }
        let known = self.known.read();
        let policies = known.policies.get(&principal.tenant).unwrap_or(&self.roles);
        let classes = known.classes.get(&principal.tenant).cloned().unwrap_or_default();
        let mut powers = policies.decide(principal, purpose, &classes);
        if *principal.id == *PUBLIC {
            // Nobody knows who they are, so nothing can be theirs.
            powers.rights.clear();
        }
        let powers = Arc::new(powers);
        let mut decisions = self.decisions.lock();
        if decisions.len() >= DECISIONS_MAX {
            decisions.clear();
        }
        decisions.insert(asked, Arc::clone(&powers));
        powers
    }

    /// The epoch is that from before the powers were decided: what changed since is noticed.
    fn permit(
        &self,
        tenant: TenantName,
        who: Arc<str>,
        purpose: Option<&str>,
        powers: Arc<Powers>,
        (epoch, now): (u64, Time),
    ) -> Permit {
        self.mint.issue(Grant {
            tenant,
            who,
            purpose: purpose.map(Into::into),
            powers,
            epoch,
            // Where nobody is asked who they are, a permit cannot be taken back either; the clock may be virtual.
            expires_at: match self.gate {
                Gate::Open => Time::from_micros(i64::MAX),
                Gate::Closed { .. } => now.plus_micros(PERMIT_SECONDS * 1_000_000),
            },
        })
    }

    /// Waits until nothing is on its way out that was decided before the last change. Blocks for a second
    /// at most; what takes longer is cut.
    pub fn wait_for_releases(&self) {
        self.releases.wait_below(self.epoch());
    }

    /// What somebody may do: for `explain`, which asks about others.
    #[must_use]
    pub fn powers_of(&self, principal: &Principal, purpose: Option<&str>) -> (Arc<Powers>, Vec<Box<str>>) {
        let powers = self.decide(principal, purpose);
        let known = self.known.read();
        (powers, known.policies.get(&principal.tenant).unwrap_or(&self.roles).about(principal))
    }

    /// The holder of a token, as policies see them.
    #[must_use]
    pub fn find_principal(&self, tenant: &TenantName, who: &str) -> Option<Principal> {
        if who == PUBLIC {
            return Some(Principal::public(tenant.clone()));
        }
        if let Some(name) = who.strip_prefix("account:") {
            return self.account(tenant, name).map(|account| account.principal.clone());
        }
        let known = self.known.read();
        let token = known.tokens.get(who.strip_prefix("token:")?)?;
        (token.tenant == *tenant).then(|| token.principal.clone())
    }

    /// How the holder of a token is called.
    #[must_use]
    pub fn label_of(&self, who: &str) -> Option<Box<str>> {
        Some(self.known.read().tokens.get(who.strip_prefix("token:")?)?.stored.label.clone())
    }

    /// The last that was seen of a token's holder since the server started.
    #[must_use]
    pub fn seen(&self, token_id: &str) -> Option<Seen> {
        self.known.read().tokens.get(token_id)?.seen.lock().clone()
    }
}

impl PermitSource for Trust {
    fn permit_of(&self, tenant: &TenantName, owner: Option<&Owner>, now: Time) -> Option<Permit> {
        let epoch = self.epoch();
        // What was made before there were identities, the local operator made.
        let (who, purpose) = match owner {
            Some(owner) => (&*owner.who, owner.purpose.as_deref()),
            None => (LOCAL_OPERATOR, None),
        };
        if who == LOCAL_OPERATOR {
            let powers = self.operators(tenant, purpose);
            return Some(self.permit(tenant.clone(), who.into(), purpose, powers, (epoch, now)));
        }
        let principal = self.find_principal(tenant, who)?;
        if let Some(id) = who.strip_prefix("token:") {
            let ended = self.known.read().tokens.get(id).is_none_or(|token| now >= token.stored.expires_at());
            if ended {
                return None;
            }
        }
        if let Some(name) = who.strip_prefix("account:")
            && self.account(tenant, name).is_none_or(|account| !account.stored.is_open(now))
        {
            return None;
        }
        let powers = self.decide(&principal, principal.purpose(purpose).ok()?);
        Some(self.permit(tenant.clone(), who.into(), purpose, powers, (epoch, now)))
    }

    fn still_holds(&self, permit: &Permit, now: Time) -> bool {
        if permit.epoch() == self.epoch() {
            return true;
        }
        match self.permit_of(permit.tenant(), Some(&permit.owner()), now) {
            Some(again) => Arc::ptr_eq(again.powers(), permit.powers()) || again.powers() == permit.powers(),
            None => false,
        }
    }

    fn classes(&self, tenant: &TenantName) -> Arc<Classes> {
        self.known.read().classes.get(tenant).cloned().unwrap_or_default()
    }

    fn release(&self, permit: &Permit, now: Time) -> Option<Box<dyn Release>> {
        loop {
            let epoch = self.epoch();
            if !self.still_holds(permit, now) {
                return None;
            }
            let release = self.releases.begin(epoch);
            // Had the epoch moved on before this place was taken, nobody would have waited for it.
            if self.epoch() == epoch {
                return Some(release);
            }
        }
    }
}

impl std::fmt::Debug for Trust {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Trust(epoch {})", self.epoch())
    }
}
