//! Timetables of public transport: a GTFS feed comes in as an archive, is kept as it came with its version, and
//! stands behind its stops and routes, which are entities. What leaves a stop is answered from an index in memory.

mod entities;

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::sync::Arc;

use chrono::NaiveDate;
use city_context::Context;
use city_gtfs::{Archive, Findings, Timetable, check};
use city_model::{Cause, Change, Definition, DefinitionKind, EntityId, Permit, Rejected, TenantName, Time};
use city_ngsi_ld::TermMap;
use city_store::record::AlsoWrite;
use city_store::{Space, view::after_prefix};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use crate::digest::sha256;

/// Feeds of one tenant.
pub const FEEDS_MAX: usize = 200;
/// An archive is kept in pieces of so many bytes.
const PIECE_BYTES: usize = 1024 * 1024;
/// Memory of the timetables that are held ready, in bytes; beyond, the one not asked for longest goes.
pub const READY_BYTES_MAX: usize = 512 * 1024 * 1024;
/// Entities in one request.
const BATCH_ENTITIES: usize = 500;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("There is no feed {0}.")]
    NotFound(Box<str>),
    #[error("\"{0}\" is no name of a feed: 1 to 64 lower-case letters, digits, dots and hyphens.")]
    Name(Box<str>),
    #[error("There are {FEEDS_MAX} feeds, which is the most. Remove those that are no longer needed.")]
    TooMany,
    #[error("The feed cannot be read. {0}")]
    Feed(#[from] city_gtfs::Error),
    #[error("The feed has {} errors, and strict asks for none.", .0.errors)]
    NotStrict(Box<Findings>),
    #[error("{id} was not taken: {why}")]
    Rejected { id: EntityId, why: Rejected },
    #[error("A stop or route of it cannot be an entity: {0}")]
    Entity(String),
    #[error("The feed was not kept: {0}")]
    NotKept(Rejected),
    #[error("The stored feed {name} cannot be read: {why}")]
    Stored { name: Box<str>, why: String },
    #[error(transparent)]
    Context(#[from] city_context::Error),
}

impl From<city_store::Error> for Error {
    fn from(error: city_store::Error) -> Self {
        Self::Context(error.into())
    }
}

impl Error {
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotFound(_) => "ING-014",
            Self::Name(_) | Self::Feed(_) | Self::Entity(_) => "ING-015",
            Self::TooMany => "ING-016",
            Self::NotStrict(_) => "ING-017",
            Self::Rejected { .. } | Self::NotKept(_) => "ING-018",
            Self::Stored { .. } => "ING-019",
            Self::Context(_) => "CTX-001",
        }
    }
}

/// What is known of a feed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Feed {
    pub version: u32,
    pub who: Box<str>,
    pub received_at_micros: i64,
    pub bytes: u64,
    pub sha256: Box<str>,
    pub agencies: usize,
    pub stops: usize,
    pub routes: usize,
    pub trips: usize,
    pub stop_times: usize,
    /// The last day on which anything runs.
    pub until: Option<Box<str>>,
    pub errors: usize,
    pub warnings: usize,
}

/// What putting a feed did.
#[derive(Debug)]
pub struct Put {
    pub feed: Feed,
    pub findings: Findings,
    /// Entities of stops and routes that are no longer in it.
    pub removed: usize,
}

type Key = (TenantName, Box<str>);

struct Ready {
    version: u32,
    timetable: Arc<Timetable>,
    asked: u64,
}

/// All timetables of a city.
pub struct Timetables {
    context: Arc<Context>,
    ready: Mutex<(HashMap<Key, Ready>, u64)>,
    /// One is read at a time: reading takes several times what it comes to.
    reading: Mutex<()>,
    /// Feeds are put and removed one after the other.
    changing: tokio::sync::Mutex<()>,
}

/// A feed that was read and checked.
pub struct Checked {
    pub timetable: Timetable,
    pub findings: Findings,
}

/// Reads an archive and holds it against the rules of the field as of a day.
pub fn read(bytes: &[u8], day: NaiveDate) -> Result<Checked, city_gtfs::Error> {
    let timetable = Timetable::read(&mut Archive::open(bytes)?)?;
    let country = timetable.country();
    Ok(Checked { timetable, findings: check(bytes, day, country)? })
}

#[must_use]
pub fn day_of(time: Time) -> NaiveDate {
    chrono::DateTime::from_timestamp_micros(time.as_micros()).unwrap_or_default().date_naive()
}

impl Timetables {
    #[must_use]
    pub fn new(context: Arc<Context>) -> Self {
        Self { context, ready: Mutex::default(), reading: Mutex::default(), changing: Default::default() }
    }

    pub fn list(&self, permit: &Permit) -> Result<Vec<(Box<str>, Feed)>, Error> {
        let mut feeds = Vec::new();
        for (name, body) in self.context.list_definitions(permit, DefinitionKind::Timetable)? {
            feeds.push((name.clone(), parse(&name, &body)?));
        }
        feeds.sort_by(|a, b| a.0.cmp(&b.0));
        Ok(feeds)
    }

    pub fn find(&self, permit: &Permit, name: &str) -> Result<Feed, Error> {
        let body = self.context.find_definition(permit, DefinitionKind::Timetable, name)?;
        parse(name, &body.ok_or_else(|| Error::NotFound(name.into()))?)
    }

    /// Takes a feed, or its next version: entities for its agencies, stops and routes, then the archive as it came.
    /// What is no longer in it goes.
    pub async fn put(
        &self,
        permit: &Permit,
        name: &str,
        bytes: Vec<u8>,
        terms: &TermMap,
        strict: bool,
    ) -> Result<Put, Error> {
        if !crate::source::is_name(name) {
            return Err(Error::Name(name.into()));
        }
        let _alone = self.changing.lock().await;
        let before = match self.find(permit, name) {
            Ok(feed) => Some(feed),
            Err(Error::NotFound(_)) => None,
            Err(error) => return Err(error),
        };
        if before.is_none() && self.list(permit)?.len() >= FEEDS_MAX {
            return Err(Error::TooMany);
        }
        let now = self.context.clock().now();
        let Checked { timetable, findings } = tokio::task::block_in_place(|| {
            let _alone = self.reading.lock();
            read(&bytes, day_of(now))
        })?;
        if strict && findings.errors > 0 {
            return Err(Error::NotStrict(Box::new(findings)));
        }
        let old = before.as_ref().and_then(|feed| self.readable(permit.tenant(), name, feed));
        let (changes, gone) = tokio::task::block_in_place(|| {
            let entities = entities::all(name, &timetable, terms).map_err(Error::Entity)?;
            let before = old.map(|old| entities::all(name, &old, terms).unwrap_or_default()).unwrap_or_default();
            Ok::<_, Error>(entities::changes(entities, &before))
        })?;
        for changes in batches(changes) {
            self.all(permit, changes).await?;
        }
        let removed = self.delete(permit, gone).await?;
        let feed = Feed {
            version: before.as_ref().map_or(1, |before| before.version + 1),
            who: permit.who().into(),
            received_at_micros: now.as_micros(),
            bytes: bytes.len() as u64,
            sha256: tokio::task::block_in_place(|| sha256(&bytes)),
            agencies: timetable.agencies.len(),
            stops: timetable.stops.len(),
            routes: timetable.routes.len(),
            trips: timetable.trips.len(),
            stop_times: timetable.stop_times(),
            until: timetable.last_day().map(|day| day.to_string().into()),
            errors: findings.errors,
            warnings: findings.warnings,
        };
        self.keep(permit, name, &feed, &bytes, before.as_ref()).await?;
        self.hold(permit.tenant(), name, feed.version, Arc::new(timetable));
        Ok(Put { feed, findings, removed })
    }

    /// All of a batch, or the first that was not taken. What is to go and is not there has gone.
    async fn all(&self, permit: &Permit, changes: Vec<Change>) -> Result<usize, Error> {
        let ids: Vec<Option<EntityId>> = changes
            .iter()
            .map(|change| match change {
                Change::Upsert { entity, .. } => Some(entity.id.clone()),
                Change::Delete(id) | Change::DeleteAttribute { entity: id, .. } => Some(id.clone()),
                _ => None,
            })
            .collect();
        let mut done = 0;
        for (id, result) in ids.into_iter().zip(self.context.apply(permit, changes, cause(), Vec::new()).await?) {
            match (result, id) {
                (Ok(_), _) => done += 1,
                (Err(Rejected::EntityNotFound(_) | Rejected::AttributeNotFound { .. }), _) => {}
                (Err(why), Some(id)) => return Err(Error::Rejected { id, why }),
                (Err(why), None) => return Err(Error::NotKept(why)),
            }
        }
        Ok(done)
    }

    async fn delete(&self, permit: &Permit, ids: Vec<EntityId>) -> Result<usize, Error> {
        let mut removed = 0;
        for changes in batches(ids.into_iter().map(Change::Delete).collect()) {
            removed += self.all(permit, changes).await?;
        }
        Ok(removed)
    }

    /// A version as it was; one that cannot be read any more must not stand in the way of the next.
    fn readable(&self, tenant: &TenantName, name: &str, feed: &Feed) -> Option<Arc<Timetable>> {
        let read = self.ready(tenant, name, feed);
        read.inspect_err(|error| tracing::error!(%error, feed = name, "a version cannot be read; its entities stay"))
            .ok()
    }

    /// The archive and what is known of it, in one commit.
    async fn keep(
        &self,
        permit: &Permit,
        name: &str,
        feed: &Feed,
        bytes: &[u8],
        before: Option<&Feed>,
    ) -> Result<(), Error> {
        let tenant = self.number(permit.tenant())?;
        let pieces = |feed: &Feed| 0..u32::try_from(feed.bytes.div_ceil(PIECE_BYTES as u64)).unwrap_or_default();
        let mut also: Vec<AlsoWrite> = Vec::new();
        if let Some(before) = before {
            also.extend(pieces(before).map(|piece| row(piece_key(tenant, name, before.version, Some(piece)), None)));
        }
        let written = bytes.chunks(PIECE_BYTES).zip(0..);
        also.extend(written.map(|(bytes, piece)| row(piece_key(tenant, name, feed.version, Some(piece)), Some(bytes))));
        let stored = |error: serde_json::Error| Error::Stored { name: name.into(), why: error.to_string() };
        let body = serde_json::to_vec(feed).map_err(stored)?.into();
        let kind = DefinitionKind::Timetable;
        let change = Change::Define(Definition { kind, id: name.into(), body, create: before.is_none() });
        self.define(permit, change, also).await
    }

    async fn define(&self, permit: &Permit, change: Change, also: Vec<AlsoWrite>) -> Result<(), Error> {
        for result in self.context.apply(permit, vec![change], cause(), also).await? {
            result.map_err(Error::NotKept)?;
        }
        Ok(())
    }

    /// Takes a feed away, with its entities.
    pub async fn remove(&self, permit: &Permit, name: &str) -> Result<(), Error> {
        let _alone = self.changing.lock().await;
        let feed = self.find(permit, name)?;
        let timetable = self.readable(permit.tenant(), name, &feed);
        let gone = timetable.map(|timetable| entities::ids(name, &timetable)).unwrap_or_default();
        self.delete(permit, gone.into_iter().collect()).await?;
        let tenant = self.number(permit.tenant())?;
        let pieces = 0..u32::try_from(feed.bytes.div_ceil(PIECE_BYTES as u64)).unwrap_or_default();
        let also = pieces.map(|piece| row(piece_key(tenant, name, feed.version, Some(piece)), None)).collect();
        let change = Change::Undefine { kind: DefinitionKind::Timetable, id: name.into() };
        self.define(permit, change, also).await?;
        self.ready.lock().0.remove(&(permit.tenant().clone(), name.into()));
        Ok(())
    }

    /// The archive as it came.
    pub fn archive(&self, permit: &Permit, name: &str) -> Result<(Feed, Vec<u8>), Error> {
        let feed = self.find(permit, name)?;
        let bytes = self.bytes(permit.tenant(), name, &feed)?;
        Ok((feed, bytes))
    }

    /// A feed held against the rules of the field, as of today.
    pub fn problems(&self, permit: &Permit, name: &str) -> Result<Findings, Error> {
        let (_, bytes) = self.archive(permit, name)?;
        let day = day_of(self.context.clock().now());
        let _alone = self.reading.lock();
        Ok(read(&bytes, day)?.findings)
    }

    fn bytes(&self, tenant: &TenantName, name: &str, feed: &Feed) -> Result<Vec<u8>, Error> {
        let prefix = piece_key(self.number(tenant)?, name, feed.version, None);
        let mut bytes = Vec::new();
        self.context.view().scan(Space::Feeds, &prefix, &after_prefix(&prefix), |_, piece| {
            bytes.extend_from_slice(&piece);
            Ok(ControlFlow::Continue(()))
        })?;
        match sha256(&bytes) == feed.sha256 {
            true => Ok(bytes),
            false => Err(Error::Stored { name: name.into(), why: "its digest is another".to_owned() }),
        }
    }

    /// The timetable that stands behind a stop, for whoever may see the stop.
    pub fn behind(&self, permit: &Permit, name: &str, stop: &str) -> Result<Option<Arc<Timetable>>, Error> {
        let Some(id) = entities::stop_id(name, stop) else { return Ok(None) };
        if self.context.find(permit, &id)?.is_none() {
            return Ok(None);
        }
        let space = self.context.tenants().find(permit.tenant());
        let bodies = space.map(|space| city_context::definitions_of(&space, DefinitionKind::Timetable));
        let body = bodies.into_iter().flatten().find(|(own, _)| **own == *name);
        let Some((_, body)) = body else { return Ok(None) };
        let feed = parse(name, &body)?;
        self.ready(permit.tenant(), name, &feed).map(Some)
    }

    fn ready(&self, tenant: &TenantName, name: &str, feed: &Feed) -> Result<Arc<Timetable>, Error> {
        let version = feed.version;
        let key: Key = (tenant.clone(), name.into());
        let held = || {
            let (ready, asked) = &mut *self.ready.lock();
            *asked += 1;
            let own = ready.get_mut(&key).filter(|own| own.version == version)?;
            own.asked = *asked;
            Some(Arc::clone(&own.timetable))
        };
        if let Some(timetable) = held() {
            return Ok(timetable);
        }
        tokio::task::block_in_place(|| {
            let _alone = self.reading.lock();
            if let Some(timetable) = held() {
                return Ok(timetable);
            }
            let bytes = self.bytes(tenant, name, feed)?;
            let stored = |error: city_gtfs::Error| Error::Stored { name: name.into(), why: error.to_string() };
            let timetable =
                Archive::open(&bytes).and_then(|mut archive| Timetable::read(&mut archive)).map_err(stored)?;
            let timetable = Arc::new(timetable);
            self.hold(tenant, name, version, Arc::clone(&timetable));
            Ok(timetable)
        })
    }

    fn hold(&self, tenant: &TenantName, name: &str, version: u32, timetable: Arc<Timetable>) {
        let (ready, asked) = &mut *self.ready.lock();
        *asked += 1;
        ready.insert((tenant.clone(), name.into()), Ready { version, timetable, asked: *asked });
        while ready.len() > 1 && ready.values().map(|own| own.timetable.weight()).sum::<usize>() > READY_BYTES_MAX {
            let oldest = ready.iter().min_by_key(|(_, own)| own.asked).map(|(key, _)| key.clone());
            oldest.map(|key| ready.remove(&key));
        }
    }

    fn number(&self, tenant: &TenantName) -> Result<u32, Error> {
        let space = self.context.tenants().find(tenant);
        space.map(|space| space.number).ok_or_else(|| city_context::Error::TenantNotFound(tenant.clone()).into())
    }
}

fn batches(mut changes: Vec<Change>) -> impl Iterator<Item = Vec<Change>> {
    std::iter::from_fn(move || {
        let rest = changes.split_off(changes.len().min(BATCH_ENTITIES));
        let batch = std::mem::replace(&mut changes, rest);
        (!batch.is_empty()).then_some(batch)
    })
}

fn parse(name: &str, body: &[u8]) -> Result<Feed, Error> {
    serde_json::from_slice(body).map_err(|error| Error::Stored { name: name.into(), why: error.to_string() })
}

fn piece_key(tenant: u32, name: &str, version: u32, piece: Option<u32>) -> Vec<u8> {
    let mut key = tenant.to_be_bytes().to_vec();
    key.extend_from_slice(name.as_bytes());
    key.push(0);
    key.extend_from_slice(&version.to_be_bytes());
    if let Some(piece) = piece {
        key.extend_from_slice(&piece.to_be_bytes());
    }
    key
}

fn row(key: Vec<u8>, value: Option<&[u8]>) -> AlsoWrite {
    AlsoWrite { space: Space::Feeds, key: key.into(), value: value.map(Into::into) }
}

fn cause() -> Cause {
    Cause { request: uuid::Uuid::new_v4().as_u128(), origin: "timetables".into(), depth: 0 }
}
