//! Sources: what comes in again and again, as configuration. Messages come in by push, poll or MQTT; entities go
//! through `Context::apply`, under the permit of whoever set the source up, and are durable when the message is
//! answered. What is rejected is kept with its reason, and each value can be traced to its message.

pub mod book;
mod poll;
pub mod take;
pub mod text;

use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use city_context::Context;
use city_model::{Cause, Change, DefinitionKind, EntityId, Name, Permit, PermitSource, Right, TenantName, Time};
use city_ngsi_ld::{ContextSpec, TermMap, split_context};
use city_outbound::Outbound;
use parking_lot::RwLock;
use sha2::{Digest, Sha256};
use tokio::sync::{Mutex, Semaphore};
use tokio::task::JoinHandle;

use crate::source::book::{Entry, REJECT_BYTES_MAX, Status};
use crate::source::take::{Held, hold};
pub use crate::source::text::{From, Source, StoredSource, Wrong, is_name, matches};

/// Messages of one source that wait for their turn; beyond, they are refused.
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
    /// The permit's tenant and how the source fares; one message after the other.
    turn: Mutex<Option<Status>>,
    waiting: Semaphore,
}

/// All sources of a city.
pub struct Sources {
    context: Arc<Context>,
    permits: Arc<dyn PermitSource>,
    terms: Arc<dyn Terms>,
    outbound: Outbound,
    known: RwLock<HashMap<Key, Arc<Known>>>,
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
        let (known, polls, failing) = Default::default();
        let sources = Arc::new(Self { context, permits, terms, outbound, known, polls, failing });
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
                let (turn, waiting) = (Mutex::new(None), Semaphore::new(MESSAGES_WAITING_MAX));
                self.known.write().insert(key.clone(), Arc::new(Known { source, turn, waiting }));
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
        let bytes = message.bytes.to_vec();
        Ok(tokio::task::block_in_place(|| hold(&source.mapping, &terms, message.name, bytes)))
    }

    /// Takes a message. When it answers, what was applied is durable, and what was rejected is kept.
    pub async fn message(&self, tenant: &TenantName, name: &str, message: Message<'_>) -> Result<Entry, Error> {
        let known = self.find(tenant, name)?;
        let Ok(_waiting) = known.waiting.try_acquire() else { return Err(Error::Busy(name.into())) };
        let mut turn = known.turn.lock().await;
        self.take(tenant, name, &known.source, &mut turn, message, None).await
    }

    /// Takes a message in its turn; with a number, in place of one that was rejected.
    async fn take(
        &self,
        tenant: &TenantName,
        name: &str,
        source: &Source,
        turn: &mut Option<Status>,
        message: Message<'_>,
        again: Option<u64>,
    ) -> Result<Entry, Error> {
        if source.stored.paused {
            return Err(Error::Paused(name.into()));
        }
        let now = self.context.clock().now();
        let permit = self.permits.permit_of(tenant, Some(&source.stored.owner()), now);
        let permit = permit.ok_or_else(|| Error::OwnerGone(name.into()))?;
        let held = self.test(source, message).await?;
        let number = self.number(tenant)?;
        let mut status = match turn.take() {
            Some(status) => status,
            None => book::status(self.context.view(), number, name)?,
        };
        let mut also = match again {
            Some(_) => Vec::new(),
            None => vec![book::take_number(number, name, &mut status)?],
        };
        let mut entry = Entry {
            number: again.unwrap_or(status.messages),
            received_at_micros: now.as_micros(),
            version: source.stored.version,
            name: message.name.into(),
            by: message.by.into(),
            bytes: message.bytes.len() as u64,
            sha256: hex(&Sha256::digest(message.bytes)).into(),
            read: held.read,
            applied: 0,
            rejected: held.rejected,
            reasons: held.reasons,
            lines: Vec::new(),
        };
        let terms = self.terms_of(source).await?;
        let mut names: Vec<Name> = source.mapping.attribute_names().map(|name| terms.expand(name)).collect();
        for (at, batch) in held.batches.into_iter().enumerate() {
            let lines: Vec<u64> = batch.iter().map(|(line, _)| *line).collect();
            let changes: Vec<Change> = batch.into_iter().map(|(_, change)| change).collect();
            names.extend(changes.iter().flat_map(named));
            let cause = cause(book::origin(name, entry.number, at));
            let results = self.context.apply(&permit, changes, cause, std::mem::take(&mut also)).await?;
            for (line, result) in lines.iter().zip(results) {
                match result {
                    Ok(_) => entry.applied += 1,
                    Err(rejected) => {
                        entry.rejected += 1;
                        if entry.reasons.len() < take::REASONS_MAX {
                            entry.reasons.push(take::Reason {
                                line: *line,
                                why: rejected.to_string().into(),
                                row: None,
                            });
                        }
                    }
                }
            }
            entry.lines.push(lines);
        }
        // What was written in another place is not written here again, where nobody would seal it.
        let is_of_persons = self.concerns_persons(tenant, &names);
        if is_of_persons {
            entry.reasons.iter_mut().for_each(|reason| reason.row = None);
        }
        let is_kept = entry.rejected > 0 && !is_of_persons && message.bytes.len() <= REJECT_BYTES_MAX;
        let kept = is_kept.then_some(message.bytes);
        status.rows += entry.read;
        status.applied += entry.applied;
        status.rejected += entry.rejected;
        status.last_at_micros = Some(now.as_micros());
        if let Some(reason) = entry.reasons.first() {
            status.last_rejection = Some(format!("line {}: {}", reason.line, reason.why).into());
        }
        metrics::counter!("renkei_source_rows_total", "became" => "applied").increment(entry.applied);
        metrics::counter!("renkei_source_rows_total", "became" => "rejected").increment(entry.rejected);
        let also = book::write(self.context.view(), number, name, &mut status, &entry, kept)?;
        // Where this fails, the next message reads how the source fares anew.
        self.context.apply(&permit, Vec::new(), cause(book::origin(name, entry.number, 0)), also).await?;
        *turn = Some(status);
        Ok(entry)
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

    /// Takes a rejected message again, as it came or mended.
    pub async fn replay(
        &self,
        tenant: &TenantName,
        name: &str,
        number: u64,
        mended: Option<&[u8]>,
        by: &str,
    ) -> Result<Entry, Error> {
        let known = self.find(tenant, name)?;
        let mut turn = known.turn.lock().await;
        let (entry, kept) = self.reject(tenant, name, number)?;
        let message = Message { bytes: mended.unwrap_or(&kept), name: &entry.name, by };
        self.take(tenant, name, &known.source, &mut turn, message, Some(number)).await
    }

    /// Gives up on a rejected message.
    pub async fn drop_reject(&self, permit: &Permit, name: &str, number: u64) -> Result<(), Error> {
        let tenant = permit.tenant();
        let known = self.find(tenant, name)?;
        let mut turn = known.turn.lock().await;
        self.reject(tenant, name, number)?;
        let of = self.number(tenant)?;
        let mut status = match turn.take() {
            Some(status) => status,
            None => book::status(self.context.view(), of, name)?,
        };
        let also = book::drop_reject(of, name, &mut status, number)?;
        self.context.apply(permit, Vec::new(), cause("source".into()), also).await?;
        *turn = Some(status);
        Ok(())
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

fn cause(origin: Box<str>) -> Cause {
    Cause { request: uuid::Uuid::new_v4().as_u128(), origin, depth: 0 }
}

/// The attributes that a change names.
fn named(change: &Change) -> Vec<Name> {
    match change {
        Change::Upsert { entity, .. } | Change::Past { fragment: entity, .. } => {
            entity.attributes.iter().map(|attribute| attribute.name.clone()).collect()
        }
        _ => Vec::new(),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
