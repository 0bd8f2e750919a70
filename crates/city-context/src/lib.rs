//! The context: what the city is now.
//!
//! Changes come in with a permit and leave as records of the journal, in an order that only this
//! room gives; entities, counts and discoveries go out to whoever holds a permit to read them.
//! `Context::apply` is the one place that alters state.

mod also;
pub mod answers;
pub mod as_of;
mod by_hand;
pub mod commandable;
pub mod evaluate;
pub mod image;
mod images;
pub mod index;
mod may;
mod open;
mod persons;
mod project;
pub mod select;
mod soon;
mod stage;
pub mod tenant;
mod value_demand;
pub mod values;
mod visible;
mod weigh;

use std::sync::{Arc, OnceLock};

use city_model::{
    Applied, Cause, Change, DefinitionKind, Entity, EntityId, Permit, PermitSource, Query, Refused, Rejected, Right,
    TenantName,
};
use city_store::journal::{Limits, Opened};
use city_store::record::{AlsoWrite, LIVE_BRANCH};
use city_store::{Clock, CommitError, Committer, Disk, Journal, JournalReader, PersonKeys, Published, View};
use tokio::sync::oneshot;

pub use also::{Also, Note};
pub use as_of::{AsOf, Brought};
pub use image::Image;
pub use select::{Filling, Found, Page};
pub use soon::{Offered, Pending};
pub use stage::ALL_DATASETS;
pub use tenant::{TenantSpace, Tenants};

use crate::image::Parts;
use crate::images::Images;
use crate::stage::{ContextStager, Request};
use crate::value_demand::ValueDemand;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("CTX-001 {0}")]
    Store(#[from] city_store::Error),
    #[error("CTX-002 {0}")]
    Commit(CommitError),
    #[error("CTX-003 Too many writes are waiting. Send this one again in a moment.")]
    Busy,
    #[error("CTX-004 {0}")]
    Refused(#[from] Refused),
    #[error("CTX-005 The server is stopping. Send this again when it is back.")]
    Stopping,
    #[error("CTX-006 This change was caused by a chain of more than 8 changes; a rule or subscription feeds itself.")]
    TooDeep,
    #[error("CTX-007 There are {} tenants already. Remove one, or raise the bound.", tenant::TENANTS_MAX)]
    TooManyTenants,
    #[error("CTX-008 Tenant {0} does not exist. It comes into being with its first entity.")]
    TenantNotFound(TenantName),
    #[error(
        "CTX-009 This request would write {bytes} bytes at once, and {} are the most. Nothing was changed. Send it in smaller parts.",
        city_store::frame::FRAME_BYTES_MAX
    )]
    TooLarge { bytes: usize },
}

/// The current state of all tenants. One per process.
pub struct Context {
    committer: Committer<Request>,
    view: Arc<View>,
    journal: JournalReader,
    tenants: Arc<Tenants>,
    images: Arc<Images>,
    clock: Arc<dyn Clock>,
    demand: ValueDemand,
    standing: Standing,
    keys: Arc<PersonKeys>,
}

/// Whom to ask whether a permit still stands, once there is somebody.
pub(crate) type Standing = Arc<OnceLock<Arc<dyn PermitSource>>>;

/// What opening found and did.
#[derive(Debug, Clone)]
pub struct OpenReport {
    pub journal: Opened,
    /// Records that the view had not seen yet.
    pub replayed: u64,
    pub tenants: usize,
    pub entities: u64,
    /// Entities with something personal.
    pub persons: usize,
}

impl Context {
    pub fn open(
        disk: Arc<dyn Disk>,
        view: Arc<View>,
        keys: Arc<PersonKeys>,
        clock: Arc<dyn Clock>,
        limits: Limits,
    ) -> Result<(Self, OpenReport), Error> {
        // Writes stop first; what followers still have to write of them fits into the other half.
        view.keep_room(limits.reserve_bytes / 2);
        let (journal, opened) = Journal::open(disk, city_store::commit::watermark(&view)?, limits)?;
        let reader = journal.reader();
        let replayed = open::replay(&view, &reader)?;
        let tenants = Arc::new(Tenants::default());
        let orders = open::load(&view, &tenants, &keys)?;
        let images = Arc::new(Images::default());
        let standing = Standing::default();
        let stager = ContextStager {
            standing: Arc::clone(&standing),
            clock: Arc::clone(&clock),
            view: Arc::clone(&view),
            tenants: Arc::clone(&tenants),
            images: Arc::clone(&images),
            keys: Arc::clone(&keys),
            orders,
        };
        let committer = Committer::start(stager, journal, Arc::clone(&view))?;
        let entities = tenants.list().iter().map(|space| space.index.read().alive().len()).sum();
        let report =
            OpenReport { journal: opened, replayed, tenants: tenants.len(), entities, persons: keys.persons() };
        let demand = ValueDemand::new(Arc::clone(&view), Arc::clone(&images));
        Ok((Self { committer, view, journal: reader, tenants, images, clock, demand, standing, keys }, report))
    }

    /// From here on, nothing is applied under a permit whose holder may no longer do the same.
    pub fn heed(&self, source: Arc<dyn PermitSource>) {
        // The first one stays: a process has one.
        let _ = self.standing.set(source);
    }

    /// Applies the changes of one request in order, each of them atomic. The answer comes after
    /// the sync; what it says was applied is durable.
    pub async fn apply(
        &self,
        permit: &Permit,
        changes: Vec<Change>,
        cause: Cause,
        also: Vec<AlsoWrite>,
    ) -> Result<Vec<Result<Applied, Rejected>>, Error> {
        let receiver = self.submit(permit, changes, cause, also.into(), None, false)?;
        receiver.await.unwrap_or(Err(Error::Stopping))
    }

    /// As `apply`; under the same key within a day the first answer is given again and nothing changes.
    pub async fn apply_once(
        &self,
        permit: &Permit,
        changes: Vec<Change>,
        cause: Cause,
        key: &str,
    ) -> Result<Vec<Result<Applied, Rejected>>, Error> {
        let receiver = self.submit(permit, changes, cause, Also::default(), Some(key.into()), false)?;
        receiver.await.unwrap_or(Err(Error::Stopping))
    }

    /// As `apply`, for threads that may block.
    pub fn apply_blocking(
        &self,
        permit: &Permit,
        changes: Vec<Change>,
        cause: Cause,
        also: Vec<AlsoWrite>,
    ) -> Result<Vec<Result<Applied, Rejected>>, Error> {
        let receiver = self.submit(permit, changes, cause, also.into(), None, false)?;
        receiver.blocking_recv().unwrap_or(Err(Error::Stopping))
    }

    fn submit(
        &self,
        permit: &Permit,
        changes: Vec<Change>,
        cause: Cause,
        also: Also,
        key: Option<Box<str>>,
        by_hand: bool,
    ) -> Result<oneshot::Receiver<stage::Answer>, Error> {
        let request = (changes, cause, also);
        self.queue(permit, request, key, by_hand).map_err(|_| Error::Busy)
    }

    /// Whether a write failed in a way that only a restart mends.
    #[must_use]
    pub fn is_read_only(&self) -> bool {
        self.committer.is_read_only()
    }

    #[must_use]
    pub fn journal(&self) -> &JournalReader {
        &self.journal
    }

    #[must_use]
    pub fn view(&self) -> &Arc<View> {
        &self.view
    }

    #[must_use]
    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.clock
    }

    #[must_use]
    pub fn tenants(&self) -> &Tenants {
        &self.tenants
    }

    fn reading(&self, permit: &Permit) -> Result<Arc<TenantSpace>, Error> {
        permit.check(Right::Read, self.clock.now())?;
        self.space(permit)
    }

    /// Who may define may look at what is defined.
    fn reading_definitions(&self, permit: &Permit, kind: DefinitionKind) -> Result<Arc<TenantSpace>, Error> {
        let right = match kind {
            kind if kind.is_of_operation() => Right::Operate,
            kind if kind.decides_who_may() => Right::Administer,
            _ => Right::Define,
        };
        permit.check(right, self.clock.now())?;
        self.space(permit)
    }

    fn space(&self, permit: &Permit) -> Result<Arc<TenantSpace>, Error> {
        match self.tenants.find(permit.tenant()) {
            Some(space) => Ok(space),
            // The default tenant is there, if empty, before its first entity.
            None if *permit.tenant() == TenantName::default_tenant() => {
                Ok(Arc::new(TenantSpace::new(0, TenantName::default_tenant(), Arc::default())))
            }
            None => Err(Error::TenantNotFound(permit.tenant().clone())),
        }
    }

    /// The tenant that a permit to read is for.
    pub fn tenant(&self, permit: &Permit) -> Result<Arc<TenantSpace>, Error> {
        self.reading(permit)
    }

    /// The entity as the holder of the permit may see it.
    pub fn find(&self, permit: &Permit, id: &EntityId) -> Result<Option<Arc<Entity>>, Error> {
        let space = self.reading(permit)?;
        let number = {
            let index = space.index.read();
            index.number(id.as_str()).filter(|number| index.is_alive(*number))
        };
        let Some(number) = number else { return Ok(None) };
        Ok(self.image(&space, number)?.and_then(|image| permit.read().seen(&image.entity)))
    }

    fn image(&self, space: &TenantSpace, number: u32) -> Result<Option<Image>, Error> {
        let (seq, id) = {
            let index = space.index.read();
            (index.seq(number), index.id(number))
        };
        if let Some(image) = self.images.find(space.number, number, seq) {
            return Ok(Some(image));
        }
        let Some(id) = id else { return Ok(None) };
        let parts = Parts::read(&self.view.snapshot(), space.number, LIVE_BRANCH, number)?;
        let image = parts.assemble(&id, number, &space.terms)?;
        if let Some(image) = &image {
            self.images.put(space.number, image.clone());
        }
        Ok(image)
    }

    /// A page of the entities that match.
    pub fn query(&self, permit: &Permit, query: &Query, page: Page) -> Result<Found, Error> {
        let space = self.reading(permit)?;
        let candidates = select::candidates(&space.index.read(), query, permit.read());
        if candidates.exact {
            let mut found = Found::default();
            // The indexes have decided: only the page itself is read.
            let total = candidates.set.len() as usize;
            for number in candidates.set.iter().skip(page.offset).take(page.limit) {
                found.entities.extend(self.image(&space, number)?.and_then(|image| permit.read().seen(&image.entity)));
            }
            found.count = page.count.then_some(total);
            found.more = total > page.offset.saturating_add(page.limit);
            return Ok(found);
        }
        let (mut filling, mut looked_at) = (Filling::of(page), 0);
        for number in &candidates.set {
            looked_at += 1;
            let Some(image) = self.image(&space, number)? else { continue };
            let Some(entity) = permit.read().seen(&image.entity) else { continue };
            if query.matches(&entity) && filling.take(entity).is_break() {
                break;
            }
        }
        self.demand.note(&space, query, looked_at, filling.matched());
        Ok(filling.finish())
    }

    /// Up to `limit` matching entities with numbers above `after`, and the number to go on from;
    /// `None` when there are no more. Costs the same at the end of a long answer as at its start.
    pub fn query_after(
        &self,
        permit: &Permit,
        query: &Query,
        after: u32,
        limit: usize,
    ) -> Result<(Vec<Arc<Entity>>, Option<u32>), Error> {
        let space = self.reading(permit)?;
        let mut candidates = select::candidates(&space.index.read(), query, permit.read());
        candidates.set.remove_range(..=after);
        let mut entities = Vec::new();
        for number in &candidates.set {
            let Some(image) = self.image(&space, number)? else { continue };
            let Some(entity) = permit.read().seen(&image.entity) else { continue };
            if candidates.exact || query.matches(&entity) {
                entities.push(entity);
                if entities.len() >= limit {
                    return Ok((entities, Some(number)));
                }
            }
        }
        Ok((entities, None))
    }

    /// Which indexes a query uses, and how many entities have to be looked at.
    pub fn explain(&self, permit: &Permit, query: &Query) -> Result<(Vec<&'static str>, u64), Error> {
        let space = self.reading(permit)?;
        let candidates = select::candidates(&space.index.read(), query, permit.read());
        Ok((candidates.used, candidates.set.len()))
    }

    /// Types, scopes and birth of an entity that is or was: for its past.
    pub fn identity(&self, permit: &Permit, id: &EntityId) -> Result<Option<PastIdentity>, Error> {
        let space = self.reading(permit)?;
        let Some(number) = space.index.read().number(id.as_str()) else { return Ok(None) };
        self.identity_of(&space, number, id)
    }

    fn identity_of(&self, space: &TenantSpace, number: u32, id: &EntityId) -> Result<Option<PastIdentity>, Error> {
        let parts = Parts::read(&self.view.snapshot(), space.number, LIVE_BRANCH, number)?;
        let Some(bytes) = parts.identity.as_ref().or(parts.past_identity.as_ref()) else { return Ok(None) };
        let identity = image::Identity::decode(bytes, &space.terms)?;
        let modified_at = parts.stamp.map_or(identity.created_at, |stamp| stamp.modified_at);
        let is_alive = parts.identity.is_some();
        let deleted_at = parts.stamp.filter(|_| !is_alive).map(|stamp| stamp.modified_at);
        Ok(Some(PastIdentity { number, id: id.clone(), identity, modified_at, is_alive, deleted_at }))
    }

    /// An entity that was deleted, as it stood just before.
    pub fn before_deletion(&self, permit: &Permit, id: &EntityId) -> Result<Deleted, Error> {
        let space = self.reading(permit)?;
        let Some(number) = space.index.read().number(id.as_str()) else { return Ok(Deleted::Never) };
        let parts = Parts::read(&self.view.snapshot(), space.number, LIVE_BRANCH, number)?;
        let Some(stamp) = parts.stamp.filter(|stamp| stamp.lsn > 0) else { return Ok(Deleted::Never) };
        if parts.identity.is_some() {
            return Ok(Deleted::Alive);
        }
        Ok(match self.as_of(&space, number, stamp.lsn - 1)? {
            AsOf::Entity(Some(entity)) => match permit.read().seen(&entity) {
                Some(entity) => Deleted::Entity(entity),
                None => Deleted::Never,
            },
            AsOf::Entity(None) => Deleted::Never,
            AsOf::Forgotten => Deleted::Forgotten(stamp.modified_at),
        })
    }

    /// Entities, past and present, that may be asked for by id and type; oldest first.
    pub fn identities(&self, permit: &Permit, query: &Query) -> Result<Vec<(u32, EntityId)>, Error> {
        let space = self.reading(permit)?;
        let index = space.index.read();
        let mut numbers = roaring::RoaringBitmap::new();
        let all = || (1..=u32::try_from(index.numbered()).unwrap_or(u32::MAX)).collect::<roaring::RoaringBitmap>();
        if query.selectors.is_empty() {
            numbers = all();
        }
        for selector in &query.selectors {
            let mut set = match &selector.types {
                Some(types) => ever_of_types(&index, types),
                None => all(),
            };
            if !selector.ids.is_empty() {
                set &=
                    selector.ids.iter().filter_map(|id| index.number(id.as_str())).collect::<roaring::RoaringBitmap>();
            }
            if let Some(pattern) = &selector.id_pattern {
                set = set.iter().filter(|n| index.id(*n).is_some_and(|id| pattern.is_match(id.as_str()))).collect();
            }
            numbers |= set;
        }
        Ok(numbers.iter().filter_map(|number| Some((number, index.id(number)?))).collect())
    }

    /// The entity just after an earlier change, given by its position in the journal.
    pub fn as_of(&self, space: &TenantSpace, number: u32, lsn: u64) -> Result<AsOf, Error> {
        let Some(id) = space.index.read().id(number) else { return Ok(AsOf::Entity(None)) };
        as_of::as_of(&self.view, &self.journal, space, number, &id, lsn)
    }

    /// The entity just after a change, from how it stood just before it.
    pub fn forward(&self, space: &TenantSpace, before: &Entity, published: &Published) -> Result<Arc<Entity>, Error> {
        as_of::forward(space, before, &published.record)
    }

    /// The entity that a follower reads about: from memory where it is, else from the journal.
    pub fn image_of(&self, space: &TenantSpace, published: &Published) -> Result<AsOf, Error> {
        if let Some(image) = &published.image {
            return Ok(AsOf::Entity(Some(Arc::clone(image))));
        }
        let record = &published.record;
        let deleted = record.identity.as_ref().is_some_and(|identity| identity.after.is_none());
        // Of a deletion, followers get what was deleted.
        let lsn = if deleted { published.lsn - 1 } else { published.lsn };
        self.as_of(space, record.entity, lsn)
    }

    /// A definition's body.
    pub fn find_definition(&self, permit: &Permit, kind: DefinitionKind, id: &str) -> Result<Option<Arc<[u8]>>, Error> {
        let space = self.reading_definitions(permit, kind)?;
        Ok(space.definitions.read().get(&(kind, Box::from(id))).cloned())
    }

    /// All definitions of a kind, by id.
    pub fn list_definitions(&self, permit: &Permit, kind: DefinitionKind) -> Result<Vec<(Box<str>, Arc<[u8]>)>, Error> {
        let space = self.reading_definitions(permit, kind)?;
        Ok(definitions_of(&space, kind))
    }
}

/// What a deletion left behind.
#[derive(Debug)]
pub enum Deleted {
    /// It exists, so there is nothing to take back.
    Alive,
    Never,
    Entity(Arc<Entity>),
    /// The journal no longer holds the deletion, which was at this time.
    Forgotten(city_model::Time),
}

/// What is known of an entity that is or was.
#[derive(Debug, Clone)]
pub struct PastIdentity {
    pub number: u32,
    pub id: EntityId,
    pub identity: image::Identity,
    pub modified_at: city_model::Time,
    pub is_alive: bool,
    /// When it was deleted, if it was; what is known from the past only never was.
    pub deleted_at: Option<city_model::Time>,
}

/// All definitions of a kind in a tenant, by id.
#[must_use]
pub fn definitions_of(space: &TenantSpace, kind: DefinitionKind) -> Vec<(Box<str>, Arc<[u8]>)> {
    let definitions = space.definitions.read();
    let own = definitions.iter().filter(|((own, _), _)| *own == kind);
    let mut list: Vec<_> = own.map(|((_, id), body)| (id.clone(), Arc::clone(body))).collect();
    list.sort_by(|a, b| a.0.cmp(&b.0));
    list
}

fn ever_of_types(index: &index::Index, expr: &city_model::TypeExpr) -> roaring::RoaringBitmap {
    use city_model::TypeExpr;
    match expr {
        TypeExpr::Type(name) => index.ever_of_type(name).cloned().unwrap_or_default(),
        TypeExpr::And(all) => {
            let mut sets = all.iter().map(|expr| ever_of_types(index, expr));
            let first = sets.next().unwrap_or_default();
            sets.fold(first, |all, set| all & set)
        }
        TypeExpr::Or(any) => {
            any.iter().map(|expr| ever_of_types(index, expr)).fold(roaring::RoaringBitmap::new(), |a, b| a | b)
        }
    }
}
