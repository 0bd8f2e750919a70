//! Sources: what comes in again and again, as configuration. Messages come in by push, poll or MQTT; entities go
//! through `Context::apply`, under the permit of whoever set the source up, and are durable when the message is
//! answered. What is rejected is kept with its reason, and each value can be traced to its message.

pub mod book;
mod poll;
pub mod take;
mod taking;
pub mod text;

use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use city_context::Context;
use city_model::{DefinitionKind, EntityId, Name, Permit, PermitSource, Right, TenantName, Time};
use city_ngsi_ld::{ContextSpec, TermMap, split_context};
use city_outbound::Outbound;
use parking_lot::{Mutex, RwLock};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

use crate::source::book::{Entry, Status, Tally};
use crate::source::take::{Held, hold};
pub use crate::source::taking::{Taking, Told};
pub use crate::source::text::{From, Source, StoredSource, Wrong, is_name, matches};

/// Messages of one source that are under way; beyond, they are refused.
pub const MESSAGES_WAITING_MAX: usize = 64;
/// Most sources of one tenant.
pub const SOURCES_MAX: usize = 10_000;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("There is no source {0}.")]
    NotFound(Box<str>),
    #[error("The source {0} is paused. Resume it: renkei source resume {0}.")]
    Paused(Box<str>),
    #[error("The source {0} acts for somebody who may nothing any more. Set it up again.")]
    OwnerGone(Box<str>),
    #[error("Too many messages of the source {0} are waiting. Send this one again in a moment.")]
    Busy(Box<str>),
    #[error("The @context of the mapping cannot be had: {0}")]
    Terms(String),
    #[error("The source {source_name} has no rejected message {number}, or it was not kept.")]
    NoReject { source_name: Box<str>, number: u64 },
    #[error("A stored entry of a source cannot be read: {0}")]
    Stored(String),
    #[error(transparent)]
    Context(#[from] city_context::Error),
}

impl std::convert::From<city_store::Error> for Error {
    fn from(error: city_store::Error) -> Self {
        Self::Context(error.into())
    }
}

impl Error {
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotFound(_) => "ING-007",
            Self::Paused(_) => "ING-008",
            Self::OwnerGone(_) => "ING-009",
            Self::Busy(_) => "ING-010",
            Self::Terms(_) => "NLD-006",
            Self::NoReject { .. } => "ING-011",
            Self::Stored(_) => "ING-012",
            Self::Context(_) => "CTX-001",
        }
    }
}

/// Gives the terms of an @context, fetched where they are not known yet.
pub trait Terms: Send + Sync {
    fn resolve<'a>(&'a self, spec: &'a ContextSpec) -> Resolving<'a>;
}

pub type Resolving<'a> = Pin<Box<dyn Future<Output = Result<Arc<TermMap>, String>> + Send + 'a>>;

/// A message as it came.
#[derive(Debug, Clone, Copy)]
pub struct Message<'a> {
    pub bytes: &'a [u8],
    /// Topic, address or name that it came under.
    pub name: &'a str,
    pub by: &'a str,
}

type Key = (TenantName, Box<str>);

struct Known {
    source: Source,
    desk: Arc<Desk>,
}

/// Where the messages of a source of one name are counted, whichever version of it takes them.
struct Desk {
    /// `None` where it was not read yet.
    tally: Mutex<Option<Tally>>,
    /// Messages whose note may still be made.
    under_way: AtomicUsize,
    places: Arc<Semaphore>,
    /// A rejected message is replayed once, however often it is asked for at once.
    replaying: tokio::sync::Mutex<()>,
}

impl Default for Desk {
    fn default() -> Self {
        let places = Arc::new(Semaphore::new(MESSAGES_WAITING_MAX));
        Self { tally: Mutex::default(), under_way: AtomicUsize::new(0), places, replaying: Default::default() }
    }
}

/// All sources of a city.
pub struct Sources {
    context: Arc<Context>,
    permits: Arc<dyn PermitSource>,
    terms: Arc<dyn Terms>,
    outbound: Outbound,
    known: RwLock<HashMap<Key, Arc<Known>>>,
    /// Kept when a source goes: what is still under way goes by the same numbers.
    desks: Mutex<HashMap<Key, Arc<Desk>>>,
    polls: RwLock<HashMap<Key, JoinHandle<()>>>,
    /// Why the last poll of a source brought nothing.
    failing: RwLock<HashMap<Key, String>>,
}

/// Where a value came from.
#[derive(Debug)]
pub struct Lineage {
    pub source: Box<str>,
    /// `None` where it is too long ago.
    pub entry: Option<Entry>,
    pub number: u64,
    pub line: Option<u64>,
    pub changed_at: Time,
    pub seq: u64,
}

/// What brought a value.
#[derive(Debug)]
pub enum Brought {
    BySource(Lineage),
    /// Not by a source: which door, when, and by whom.
    Otherwise {
        door: Box<str>,
        by: Arc<str>,
        changed_at: Time,
        seq: u64,
    },
    /// The change is no longer kept.
    Forgotten,
}

impl Sources {
    /// Must be called on a runtime: polls run there.
    pub fn start(
        context: Arc<Context>,
        permits: Arc<dyn PermitSource>,
        terms: Arc<dyn Terms>,
        outbound: Outbound,
    ) -> Arc<Self> {
        let (known, desks, polls, failing) = Default::default();
        let sources = Arc::new(Self { context, permits, terms, outbound, known, desks, polls, failing });
        for space in sources.context.tenants().list() {
            for (name, body) in city_context::definitions_of(&space, DefinitionKind::Source) {
                sources.learn(&space.name, &name, Some(&body));
            }
        }
        sources
    }

    /// Takes in a source as it stands now; `None` where it is gone.
    pub fn learn(self: &Arc<Self>, tenant: &TenantName, name: &str, body: Option<&[u8]>) {
        let key: Key = (tenant.clone(), name.into());
        if let Some(running) = self.polls.write().remove(&key) {
            running.abort();
        }
        self.failing.write().remove(&key);
        let read = body.map(|body| StoredSource::parse(body).map_err(|error| error.to_string()));
        let read = read.map(|stored| stored.and_then(|stored| Source::of(stored).map_err(|wrong| wrong.to_string())));
        match read {
            Some(Ok(source)) => {
                let (from, paused) = (source.from.clone(), source.stored.paused);
                let desk = Arc::clone(self.desks.lock().entry(key.clone()).or_default());
                self.known.write().insert(key.clone(), Arc::new(Known { source, desk }));
                if let From::Poll { url, every_seconds } = from
                    && !paused
                {
                    let task = tokio::spawn(poll::run(Arc::downgrade(self), key.clone(), url, every_seconds));
                    self.polls.write().insert(key, task);
                }
            }
            Some(Err(why)) => {
                tracing::error!(source = name, why, "a stored source cannot be read; it takes nothing");
                self.known.write().remove(&key);
            }
            None => drop(self.known.write().remove(&key)),
        }
    }

    fn find(&self, tenant: &TenantName, name: &str) -> Result<Arc<Known>, Error> {
        let known = self.known.read().get(&(tenant.clone(), Box::from(name))).cloned();
        known.ok_or_else(|| Error::NotFound(name.into()))
    }

    /// Looks at a source.
    pub fn look<T>(&self, tenant: &TenantName, name: &str, look: impl FnOnce(&Source) -> T) -> Result<T, Error> {
        self.find(tenant, name).map(|known| look(&known.source))
    }

    /// The sources that messages under a topic of MQTT are for.
    #[must_use]
    pub fn claims(&self, tenant: &TenantName, topic: &str) -> Vec<Box<str>> {
        let known = self.known.read();
        let mut claiming: Vec<Box<str>> = known
            .iter()
            .filter(|((of, _), known)| {
                of == tenant && matches!(&known.source.from, From::Mqtt { topic: filter, .. } if matches(filter, topic))
            })
            .map(|((_, name), _)| name.clone())
            .collect();
        claiming.sort();
        claiming
    }

    /// Whether the holder of a permit, with these roles, may send messages to a source.
    pub fn may_send(&self, permit: &Permit, name: &str, roles: &[&str]) -> Result<bool, Error> {
        let who = permit.who();
        self.look(permit.tenant(), name, |source| {
            permit.powers().have(Right::Operate) || *source.stored.who == *who || source.may_send(who, roles)
        })
    }

    #[must_use]
    pub fn failing(&self, tenant: &TenantName, name: &str) -> Option<String> {
        self.failing.read().get(&(tenant.clone(), Box::from(name))).cloned()
    }

    fn number(&self, tenant: &TenantName) -> Result<u32, Error> {
        let space = self.context.tenants().find(tenant);
        space.map(|space| space.number).ok_or_else(|| city_context::Error::TenantNotFound(tenant.clone()).into())
    }

    pub fn status(&self, tenant: &TenantName, name: &str) -> Result<Status, Error> {
        book::status(self.context.view(), self.number(tenant)?, name)
    }

    async fn terms_of(&self, source: &Source) -> Result<Arc<TermMap>, Error> {
        let spec =
            split_context(&source.mapping.context_document()).map_err(|error| Error::Terms(error.to_string()))?;
        let spec = spec.unwrap_or_else(ContextSpec::core);
        self.terms.resolve(&spec).await.map_err(Error::Terms)
    }

    /// What a message would become. Nothing is written.
    pub async fn test(&self, source: &Source, message: Message<'_>) -> Result<Held, Error> {
        let terms = self.terms_of(source).await?;
        let (bytes, now) = (message.bytes.to_vec(), self.context.clock().now());
        Ok(tokio::task::block_in_place(|| hold(&source.mapping, &terms, message.name, now, bytes)))
    }

    fn concerns_persons(&self, tenant: &TenantName, names: &[Name]) -> bool {
        let classes = self.permits.classes(tenant);
        names.iter().any(|name| classes.get(name).is_some_and(|class| class.is_sensitive()))
    }

    /// Rejected messages that are kept, the oldest first, from a number on.
    pub fn rejects(&self, tenant: &TenantName, name: &str, from: u64, limit: usize) -> Result<Vec<Entry>, Error> {
        let (view, number) = (self.context.view(), self.number(tenant)?);
        let found = book::rejects(view, number, name, from, limit)?;
        let entries: Result<Vec<Option<Entry>>, Error> =
            found.into_iter().map(|reject| book::entry(view, number, name, reject)).collect();
        Ok(entries?.into_iter().flatten().collect())
    }

    /// A rejected message as it came.
    pub fn reject(&self, tenant: &TenantName, name: &str, number: u64) -> Result<(Entry, Vec<u8>), Error> {
        let (view, of) = (self.context.view(), self.number(tenant)?);
        let found = book::entry(view, of, name, number)?.zip(book::bytes(view, of, name, number)?);
        found.ok_or_else(|| Error::NoReject { source_name: name.into(), number })
    }

    /// What brought the value that an attribute has now.
    pub fn brought(&self, permit: &Permit, id: &EntityId, attribute: &Name) -> Result<Option<Brought>, Error> {
        let Some(found) = self.context.brought(permit, id, attribute)? else { return Ok(None) };
        let city_context::Brought::By(published) = found else { return Ok(Some(Brought::Forgotten)) };
        let record = &published.record;
        let (changed_at, seq) = (record.time, record.seq);
        let Some((source, number, batch)) = book::of_origin(&record.cause.origin) else {
            let (door, by) = (record.cause.origin.clone(), Arc::clone(&record.who));
            return Ok(Some(Brought::Otherwise { door, by, changed_at, seq }));
        };
        let entry = book::entry(self.context.view(), record.tenant, source, number)?;
        let lines = entry.as_ref().and_then(|entry| entry.lines.get(batch));
        let line = lines.and_then(|lines| lines.get(record.index as usize)).copied().filter(|line| *line > 0);
        Ok(Some(Brought::BySource(Lineage { source: source.into(), entry, number, line, changed_at, seq })))
    }
}

impl Drop for Sources {
    fn drop(&mut self) {
        self.polls.write().drain().for_each(|(_, running)| running.abort());
    }
}
