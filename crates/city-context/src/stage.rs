//! On the commit thread: requests become records, against what is durable and what the batch staged before them.

use std::collections::HashMap;
use std::sync::Arc;

use city_model::change::CAUSE_DEPTH_MAX;
use city_model::{Applied, Cause, Change, Classes, DefinitionKind, EntityId, Permit, Rejected, TenantName, Time};
use city_store::record::{AlsoWrite, LIVE_BRANCH, RecordKind, Transition};
use city_store::{
    Clock, CommitError, KeyNo, PersonKeys, Plan, Record, Space, Stager, TermNo, Touched, View, frame::FRAME_BYTES_MAX,
    terms::TERMS_MAX,
};
use tokio::sync::oneshot;

use crate::answers::{self, Results};
use crate::commandable::{may_be_moved, may_be_moved_in_the_past, may_be_written};
use crate::evaluate::{evaluate, stamp, subject};
use crate::image::{Identity, Image, Parts, Stamp};
use crate::images::Images;
use crate::may::{may_ask, may_bring_about, may_change_past, needs};
use crate::tenant::{TENANTS_MAX, TenantSpace, Tenants};
use crate::{Also, Error, Standing};

mod batch;
mod definitions;
mod personal;

use batch::{Batch, Mark, Undo};

/// Most entities, past and present, in one tenant.
pub const ENTITIES_MAX: usize = 1 << 28;
/// Most definitions of one kind in one tenant.
pub const DEFINITIONS_MAX: usize = 1 << 20;

pub type Answer = Result<Vec<Result<Applied, Rejected>>, Error>;

pub struct Request {
    pub permit: Permit,
    pub changes: Vec<Change>,
    pub cause: Cause,
    pub also: Also,
    /// The same key within a day gets the same answer.
    pub key: Option<Box<str>>,
    /// By the hand of the loop.
    pub by_hand: bool,
    pub weight: usize,
    pub answer: oneshot::Sender<Answer>,
}

pub struct ContextStager {
    pub standing: Standing,
    pub clock: Arc<dyn Clock>,
    pub view: Arc<View>,
    pub tenants: Arc<Tenants>,
    pub images: Arc<Images>,
    pub keys: Arc<PersonKeys>,
    pub orders: HashMap<TenantName, TenantOrder>,
}

/// The commit thread's own book on a tenant.
pub struct TenantOrder {
    space: Arc<TenantSpace>,
    /// Known to readers: false until its first batch is durable.
    is_public: bool,
    durable: Position,
    staged: Position,
    /// Entities as staged in this batch, by id.
    entities: HashMap<Arc<str>, StagedEntity>,
    definitions: HashMap<(DefinitionKind, Box<str>), Option<Arc<[u8]>>>,
    /// Answers given in this batch under a key.
    answers: HashMap<Box<str>, Results>,
    undo: Undo,
}

#[derive(Debug, Clone, Copy, Default)]
pub struct Position {
    pub seq: u64,
    pub time: Time,
    pub terms: usize,
    pub entities: u32,
}

#[derive(Clone)]
struct StagedEntity {
    number: u32,
    stamp: Stamp,
    /// `None` where the entity does not exist now.
    image: Option<Arc<city_model::Entity>>,
    has_past: bool,
    /// What this batch has said that it is, where it has nothing but a past.
    past: Option<Arc<city_model::Entity>>,
}

/// What publishing a batch must do, in order.
pub struct Ticket {
    moves: Vec<Move>,
    answers: Vec<(oneshot::Sender<Answer>, Answer)>,
}

enum Move {
    Entity {
        tenant: Arc<TenantSpace>,
        number: u32,
        id: Arc<str>,
        stamp: Stamp,
        before: Option<Arc<city_model::Entity>>,
        after: Option<Arc<city_model::Entity>>,
    },
    Past {
        tenant: Arc<TenantSpace>,
        number: u32,
        id: Arc<str>,
        types: Option<Vec<city_model::Name>>,
    },
    Definition {
        tenant: Arc<TenantSpace>,
        key: (DefinitionKind, Box<str>),
        body: Option<Arc<[u8]>>,
    },
    /// The key of a person goes.
    Doom {
        tenant: Arc<TenantSpace>,
        key: KeyNo,
    },
}

impl TenantOrder {
    pub fn opened(space: Arc<TenantSpace>, durable: Position) -> Self {
        Self {
            space,
            is_public: true,
            durable,
            staged: durable,
            entities: HashMap::new(),
            definitions: HashMap::new(),
            answers: HashMap::new(),
            undo: Undo::default(),
        }
    }

    fn new(space: Arc<TenantSpace>) -> Self {
        Self { is_public: false, ..Self::opened(space, Position::default()) }
    }

    fn begin(&mut self) {
        self.staged = self.durable;
        self.entities.clear();
        self.definitions.clear();
        self.answers.clear();
    }
}

impl Stager for ContextStager {
    type Request = Request;
    type Ticket = Ticket;

    fn weight(request: &Request) -> usize {
        request.weight
    }

    fn stage(&mut self, requests: Vec<Request>, next_lsn: u64) -> Plan<Ticket> {
        let now = self.clock.now();
        // A tenant whose first batch failed gives its number to the next one.
        self.orders.retain(|_, order| order.is_public);
        self.orders.values_mut().for_each(TenantOrder::begin);
        let mut batch = Batch::new(next_lsn);
        let mut answers = Vec::with_capacity(requests.len());
        for request in requests {
            let Request { permit, changes, cause, also, key, by_hand, answer, weight: _ } = request;
            let asked = Asked { permit: &permit, cause: &cause, by_hand };
            answers.push((answer, self.stage_request(&asked, changes, also, key, now, &mut batch)));
        }
        let ticket = Ticket { moves: batch.moves, answers };
        Plan { records: batch.records, encoded: batch.encoded, writes: batch.writes, ticket }
    }

    fn publish(&mut self, ticket: &mut Ticket) {
        let mut orders: Vec<&mut TenantOrder> = self.orders.values_mut().collect();
        orders.sort_by_key(|order| order.space.number);
        for order in orders {
            if order.staged.seq > order.durable.seq && !order.is_public {
                if let Err(error) = self.tenants.add(Arc::clone(&order.space)) {
                    tracing::error!(%error, "a tenant could not be made known");
                }
                order.is_public = true;
            }
            order.durable = order.staged;
        }
        for step in ticket.moves.drain(..) {
            match step {
                Move::Entity { tenant, number, id, stamp, before, after } => {
                    let mut index = tenant.index.write();
                    if let Err(error) = index.learn_id(number, &id) {
                        tracing::error!(%error, "an entity could not be made known");
                    }
                    index.set_seq(number, stamp.seq);
                    index.change(number, before.as_deref(), after.as_deref());
                    drop(index);
                    match after {
                        Some(entity) => self.images.put(tenant.number, Image { entity, number, stamp }),
                        None => self.images.forget(tenant.number, number),
                    }
                }
                Move::Past { tenant, number, id, types } => {
                    let mut index = tenant.index.write();
                    if let Err(error) = index.learn_id(number, &id) {
                        tracing::error!(%error, "an entity could not be made known");
                    }
                    match types {
                        Some(types) => index.note_past_types(number, &types),
                        None => index.forget_past(number),
                    }
                }
                Move::Doom { tenant, key } => tenant.terms.keys().doom(key),
                Move::Definition { tenant, key, body } => {
                    if key.0 == DefinitionKind::Actuator {
                        let mut shared = tenant.commandable.write();
                        let commandable = Arc::make_mut(&mut shared);
                        match body {
                            Some(_) => commandable.learn(&key.1),
                            None => commandable.forget(&key.1),
                        }
                    }
                    let mut definitions = tenant.definitions.write();
                    match body {
                        Some(body) => definitions.insert(key, body),
                        None => definitions.remove(&key),
                    };
                }
            }
        }
    }

    fn answer(&mut self, ticket: Ticket, outcome: Result<(), CommitError>) {
        for (sender, answer) in ticket.answers {
            let answer = match &outcome {
                Ok(()) => answer,
                Err(error) => Err(Error::Commit(error.clone())),
            };
            // Nobody waits any more where the client went away; the change stands all the same.
            let _ = sender.send(answer);
        }
    }
}

impl ContextStager {
    fn stage_request(
        &mut self,
        asked: &Asked,
        changes: Vec<Change>,
        mut also: Also,
        key: Option<Box<str>>,
        now: Time,
        batch: &mut Batch,
    ) -> Answer {
        let Asked { permit, cause, by_hand } = *asked;
        if cause.depth > CAUSE_DEPTH_MAX {
            return Err(Error::TooDeep);
        }
        // What the loop writes it answers for itself; whoever asked it to was asked for the right to.
        for right in changes.iter().filter(|_| !by_hand).filter_map(needs) {
            permit.check(right, now)?;
        }
        let mut classes = Arc::default();
        if let Some(source) = self.standing.get() {
            permit.check_standing(&**source, now)?;
            classes = source.classes(permit.tenant());
        }
        self.open_tenant(permit.tenant())?;
        let Some(order) = self.orders.get_mut(permit.tenant()) else { return Err(Error::TooManyTenants) };
        let now = now.max(order.staged.time);
        // A key is its holder's own: nobody is answered with what came of another's request.
        let key = key.map(|key| answers::of_holder(permit.who(), &key));
        if let Some(key) = &key
            && let Some(answer) = find_answer(&self.view, order, key, now)?
        {
            return Ok(answer);
        }
        let count = u32::try_from(changes.len()).unwrap_or(u32::MAX);
        let mark = Mark::of(batch, order);
        let (view, images) = (&*self.view, &*self.images);
        let mut staging = Staging { order, view, images, batch, permit, cause, classes, by_hand, now, count };
        let results = match staging.all(changes) {
            Ok(results) => results,
            // Whoever is told that it failed is told that nothing was done.
            Err(StageError::Failed(error)) => {
                mark.back(batch, order);
                return Err(error);
            }
            Err(StageError::Rejected(rejected)) => {
                mark.back(batch, order);
                return Ok(vec![Err(rejected)]);
            }
        };
        let answer = key.and_then(|key| Some((key, answers::encode(now, &results)?)));
        if let Some((key, value)) = &answer {
            let stored = answers::request_key(staging.order.space.number, key).into();
            also.push(AlsoWrite { space: Space::Requests, key: stored, value: Some(value.as_slice().into()) });
        }
        let also = also.rows(&results);
        if !also.is_empty() {
            let mut record = staging.record(RecordKind::Also, 0);
            record.also = also;
            staging.push(record, None);
        }
        if !batch.fits() {
            let bytes = mark.bytes_since(batch);
            mark.back(batch, order);
            // With fewer others beside it, it may find room in the next frame.
            return Err(if bytes > FRAME_BYTES_MAX { Error::TooLarge { bytes } } else { Error::Busy });
        }
        if let Some((key, _)) = answer {
            order.answers.insert(key, results.clone());
        }
        Ok(results)
    }

    fn open_tenant(&mut self, name: &TenantName) -> Result<(), Error> {
        if self.orders.contains_key(name) {
            return Ok(());
        }
        if self.orders.len() >= TENANTS_MAX {
            return Err(Error::TooManyTenants);
        }
        // A tenant that was opened in this batch but not written to gives its number to this one.
        self.orders.retain(|_, order| order.is_public || order.staged.seq > 0);
        let number = u32::try_from(self.orders.len() + 1).unwrap_or(u32::MAX);
        let space = Arc::new(TenantSpace::new(number, name.clone(), Arc::clone(&self.keys)));
        self.orders.insert(name.clone(), TenantOrder::new(space));
        Ok(())
    }
}

/// What was answered under this key within the last day, in this batch or before.
fn find_answer(view: &View, order: &TenantOrder, key: &str, now: Time) -> Result<Option<Results>, Error> {
    if let Some(answer) = order.answers.get(key) {
        return Ok(Some(answer.clone()));
    }
    let Some(stored) = view.get(Space::Requests, &answers::request_key(order.space.number, key))? else {
        return Ok(None);
    };
    let (time, results) = answers::decode(&stored)?;
    let is_fresh = now.as_micros() - time.as_micros() < answers::ANSWER_AGE_MICROS_MAX;
    Ok(is_fresh.then_some(results))
}

enum StageError {
    Rejected(Rejected),
    Failed(Error),
}

impl From<Rejected> for StageError {
    fn from(rejected: Rejected) -> Self {
        Self::Rejected(rejected)
    }
}

impl From<Error> for StageError {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

/// Who asks for changes, and how.
struct Asked<'a> {
    permit: &'a Permit,
    cause: &'a Cause,
    by_hand: bool,
}

/// One request on its way into the batch.
struct Staging<'a> {
    order: &'a mut TenantOrder,
    view: &'a View,
    images: &'a Images,
    batch: &'a mut Batch,
    permit: &'a Permit,
    cause: &'a Cause,
    classes: Arc<Classes>,
    by_hand: bool,
    now: Time,
    count: u32,
}

impl Staging<'_> {
    /// Each change is atomic by itself. Papers of the loop belong together: the first that is refused takes
    /// all of them with it.
    fn all(&mut self, changes: Vec<Change>) -> Result<Results, StageError> {
        let mut results = Vec::with_capacity(changes.len());
        for (index, change) in (0u32..).zip(changes) {
            match self.stage(change, index) {
                Ok(applied) => results.push(Ok(applied)),
                Err(StageError::Rejected(rejected)) if !self.by_hand => results.push(Err(rejected)),
                Err(error) => return Err(error),
            }
        }
        Ok(results)
    }

    fn stage(&mut self, change: Change, index: u32) -> Result<Applied, StageError> {
        if self.order.space.terms.len() >= TERMS_MAX {
            let advice = "Use fewer distinct attribute names and types, or another tenant.";
            return Err(
                Rejected::BoundReached { what: "The dictionary of names", bound: TERMS_MAX as u64, advice }.into()
            );
        }
        match change {
            Change::Define(definition) => self.define(definition, index),
            Change::Undefine { kind, id } => self.undefine(kind, id, index),
            Change::Erase(id) => self.erase(id, index),
            Change::Note(note) => {
                let mut record = self.record(RecordKind::Note, index);
                record.note = Some(note);
                let seq = Some(record.seq);
                self.push(record, None);
                Ok(Applied { seq, created: false, updated: Vec::new(), not_updated: Vec::new() })
            }
            Change::Past { .. }
            | Change::DeletePastAttribute { .. }
            | Change::UpdatePastInstance { .. }
            | Change::DeletePastInstance { .. }
            | Change::DeletePast(_) => self.past(change, index),
            change => self.state(change, index),
        }
    }

    /// A record with everything but its content.
    fn record(&self, kind: RecordKind, index: u32) -> Record {
        let order = &self.order;
        let seq = order.staged.seq + 1;
        Record {
            tenant: order.space.number,
            tenant_name: (seq == 1).then(|| order.space.name.as_str().into()),
            branch: LIVE_BRANCH,
            seq,
            kind,
            time: self.now,
            who: self.permit.who_shared(),
            cause: self.cause.clone(),
            index,
            count: self.count,
            entity: 0,
            entity_id: Arc::from(""),
            previous_seq: 0,
            previous_lsn: 0,
            identity: None,
            touched: Vec::new(),
            definition: None,
            also: Vec::new(),
            note: None,
            terms: Vec::new(),
        }
    }

    fn push(&mut self, mut record: Record, image: Option<Arc<city_model::Entity>>) {
        let terms = &self.order.space.terms;
        record.terms = terms.after(self.order.staged.terms);
        self.order.staged.terms = terms.len();
        self.order.staged.seq = record.seq;
        self.order.staged.time = record.time;
        self.batch.push(record, image);
    }

    /// The entity as staged, or else as it is durable.
    fn find(&mut self, id: &EntityId) -> Result<Option<StagedEntity>, StageError> {
        if let Some(staged) = self.order.entities.get(id.as_str()) {
            return Ok(Some(staged.clone()));
        }
        let space = &self.order.space;
        let Some(number) = space.index.read().number(id.as_str()) else { return Ok(None) };
        let seq = space.index.read().seq(number);
        let staged = match self.images.find(space.number, number, seq) {
            Some(image) => {
                let (stamp, image) = (image.stamp, Some(Arc::clone(&image.entity)));
                StagedEntity { number, stamp, image, has_past: true, past: None }
            }
            None => {
                let parts = Parts::read(&self.view.snapshot(), space.number, LIVE_BRANCH, number)?;
                let image = parts.assemble(id, number, &space.terms)?.map(|image| image.entity);
                let has_past = image.is_some() || parts.past_identity.is_some();
                StagedEntity { number, stamp: parts.stamp.unwrap_or_default(), image, has_past, past: None }
            }
        };
        Ok(Some(staged))
    }

    /// 0 is the default instance.
    fn dataset_number(&self, dataset: Option<&city_model::DatasetId>) -> TermNo {
        dataset.map_or(TermNo(0), |dataset| self.order.space.terms.number(&dataset.shared()))
    }

    fn next_number(&mut self) -> Result<u32, StageError> {
        if self.order.staged.entities as usize >= ENTITIES_MAX {
            let advice = "Use another tenant.";
            return Err(
                Rejected::BoundReached { what: "The number of entities", bound: ENTITIES_MAX as u64, advice }.into()
            );
        }
        self.order.staged.entities += 1;
        Ok(self.order.staged.entities)
    }

    fn state(&mut self, change: Change, index: u32) -> Result<Applied, StageError> {
        let Some(id) = subject(&change).cloned() else {
            return Err(Rejected::Invalid("The change names no entity.".to_owned()).into());
        };
        let found = self.find(&id)?;
        let current = found.as_ref().and_then(|staged| staged.image.as_ref());
        // Before anything is said of it: outside the permit it does not exist for the holder.
        if !self.by_hand {
            may_ask(self.permit, &change, &id, current.map(|entity| &**entity))?;
        }
        let mut effect = evaluate(change, current, self.now)?;
        self.classify(&mut effect);
        if !self.by_hand {
            may_bring_about(self.permit, &id, current.map(|entity| &**entity), &effect)?;
            may_be_written([current.map(|entity| &**entity), effect.after.as_deref()])?;
        }
        may_be_moved(&self.commandable(), self.by_hand, current.map(|entity| &**entity), &effect)?;
        let applied = |seq| Applied {
            seq,
            created: effect.created,
            updated: effect.updated.clone(),
            not_updated: effect.not_updated.clone(),
        };
        if effect.touched.is_empty() && !effect.identity_changed {
            return Ok(applied(None));
        }
        let before = current.cloned();
        let (number, previous) = match &found {
            Some(staged) => (staged.number, staged.stamp),
            None => (self.next_number()?, Stamp::default()),
        };
        let mut record = self.record(RecordKind::State, index);
        record.entity = number;
        record.entity_id = id.shared();
        record.previous_seq = previous.seq;
        record.previous_lsn = previous.lsn;
        let terms = &self.order.space.terms;
        if effect.identity_changed {
            let encode = |entity: &Arc<city_model::Entity>| Identity::of(entity).encode(terms).into_boxed_slice();
            record.identity =
                Some(Transition { before: before.as_ref().map(encode), after: effect.after.as_ref().map(encode) });
        }
        record.touched =
            effect.touched.iter().map(|touched| self.touched(number, touched)).collect::<Result<_, _>>()?;
        let stamp = Stamp { modified_at: self.now, seq: record.seq, lsn: self.batch.lsn() };
        // Followers of a deletion are handed what was deleted.
        let image = effect.after.clone().or_else(|| before.clone());
        let seq = record.seq;
        self.push(record, image);
        let staged = StagedEntity { number, stamp, image: effect.after.clone(), has_past: true, past: None };
        self.order.stage_entity(id.shared(), staged);
        self.batch.moves.push(Move::Entity {
            tenant: Arc::clone(&self.order.space),
            number,
            id: id.shared(),
            stamp,
            before,
            after: effect.after.clone(),
        });
        Ok(applied(Some(seq)))
    }

    /// An entity that has nothing but a past: what is known of it is its identity.
    fn past_entity(&self, id: &EntityId, staged: &StagedEntity) -> Result<Option<city_model::Entity>, StageError> {
        if let Some(past) = &staged.past {
            return Ok(Some(city_model::Entity::clone(past)));
        }
        let space = &self.order.space;
        let parts = Parts::read(&self.view.snapshot(), space.number, LIVE_BRANCH, staged.number)?;
        let Some(bytes) = parts.past_identity.as_ref() else { return Ok(None) };
        let identity = Identity::decode(bytes, &space.terms).map_err(Error::from)?;
        let mut entity = city_model::Entity::new(id.clone(), identity.types);
        entity.scopes = identity.scopes;
        Ok(Some(entity))
    }

    /// Whether the permit covers a change of the past: of the entity as it is, or as far as it is known.
    fn may_change_past(&self, change: &Change, id: &EntityId, found: Option<&StagedEntity>) -> Result<(), StageError> {
        let past = match found {
            Some(staged) if staged.image.is_none() => self.past_entity(id, staged)?,
            _ => None,
        };
        let stands = found.and_then(|staged| staged.image.as_deref()).or(past.as_ref());
        Ok(may_change_past(self.permit, change, id, stands)?)
    }

    /// The loop's own entities are never without a present, so what is known of that is enough here.
    fn leaves_the_loop_alone(
        &self,
        change: &Change,
        id: &EntityId,
        found: Option<&StagedEntity>,
    ) -> Result<(), StageError> {
        let fragment = match change {
            Change::Past { fragment, .. } => Some(fragment),
            _ => None,
        };
        let current = found.and_then(|staged| staged.image.as_deref());
        may_be_written([current, fragment])?;
        let commandable = self.commandable();
        if commandable.is_empty() {
            return Ok(());
        }
        let past = match found {
            Some(staged) if staged.image.is_none() => self.past_entity(id, staged)?,
            _ => None,
        };
        // What it is, and what it would be said to be.
        for entity in current.or(past.as_ref()).into_iter().chain(fragment) {
            may_be_moved_in_the_past(&commandable, change, entity)?;
        }
        Ok(())
    }

    fn past(&mut self, change: Change, index: u32) -> Result<Applied, StageError> {
        let Some(id) = subject(&change).cloned() else {
            return Err(Rejected::Invalid("The change names no entity.".to_owned()).into());
        };
        let found = self.find(&id)?;
        self.may_change_past(&change, &id, found.as_ref())?;
        self.leaves_the_loop_alone(&change, &id, found.as_ref())?;
        let must_exist = !matches!(change, Change::Past { must_exist: false, .. });
        if must_exist && !found.as_ref().is_some_and(|staged| staged.has_past) {
            return Err(Rejected::EntityNotFound(id).into());
        }
        let known = found.as_ref().is_some_and(|staged| staged.has_past);
        let mut applied = Applied { seq: None, created: !known, updated: Vec::new(), not_updated: Vec::new() };
        let (number, stamp) = match &found {
            Some(staged) => (staged.number, staged.stamp),
            None => (self.next_number()?, Stamp::default()),
        };
        let mut record = self.record(RecordKind::Past, index);
        record.entity = number;
        record.entity_id = id.shared();
        record.previous_seq = stamp.seq;
        record.previous_lsn = stamp.lsn;
        let mut past_types = found.as_ref().map(|_| Vec::new());
        let mut has_past = true;
        let mut past = found.as_ref().and_then(|staged| staged.past.clone());
        let terms = &self.order.space.terms;
        let number_of = |name: &city_model::Name| terms.number(&name.shared());
        let touched = |attribute, dataset, position, written: Option<personal::Written>| {
            let (class, key_id) = written.as_ref().map_or((0, 0), |own| (own.class, own.key_id));
            let change = Transition { before: None, after: written.map(|own| own.bytes) };
            Touched { attribute, dataset, class, key_id, position, change }
        };
        match change {
            Change::Past { mut fragment, .. } => {
                if !known {
                    if fragment.types.is_empty() {
                        return Err(
                            Rejected::Invalid(format!("Entity {id} is new and has no type; give it one.")).into()
                        );
                    }
                    fragment.created_at = self.now;
                    record.identity =
                        Some(Transition { before: None, after: Some(Identity::of(&fragment).encode(terms).into()) });
                    past_types = Some(fragment.types.clone());
                    let mut known = city_model::Entity::new(id.clone(), fragment.types.clone());
                    known.scopes.clone_from(&fragment.scopes);
                    past = Some(Arc::new(known));
                }
                for attribute in fragment.attributes {
                    applied.updated.push(attribute.name.clone());
                    for mut instance in attribute.instances {
                        stamp_past(&mut instance, self.now);
                        record.touched.push(touched(
                            number_of(&attribute.name),
                            self.dataset_number(instance.dataset.as_ref()),
                            None,
                            Some(self.write(number, &attribute.name, &instance)?),
                        ));
                    }
                }
                if record.touched.is_empty() && known {
                    return Ok(applied);
                }
            }
            Change::DeletePastAttribute { attribute, dataset, .. } => {
                let dataset = match dataset {
                    city_model::DatasetSelection::Default => TermNo(0),
                    city_model::DatasetSelection::One(dataset) => self.dataset_number(Some(&dataset)),
                    city_model::DatasetSelection::All => ALL_DATASETS,
                };
                record.touched.push(touched(number_of(&attribute), dataset, None, None));
            }
            Change::UpdatePastInstance { attribute, position, mut instance, .. } => {
                stamp_past(&mut instance, self.now);
                let dataset = self.dataset_number(instance.dataset.as_ref());
                let written = self.write(number, &attribute, &instance)?;
                record.touched.push(touched(number_of(&attribute), dataset, Some(position), Some(written)));
            }
            Change::DeletePastInstance { attribute, position, .. } => {
                record.touched.push(touched(number_of(&attribute), TermNo(0), Some(position), None));
            }
            _ => {
                // DeletePast: all of it.
                record.identity = Some(Transition { before: None, after: None });
                (past, past_types) = (None, None);
                has_past = found.as_ref().is_some_and(|staged| staged.image.is_some());
            }
        }
        applied.seq = Some(record.seq);
        self.push(record, None);
        let image = found.and_then(|staged| staged.image);
        self.order.stage_entity(id.shared(), StagedEntity { number, stamp, image, has_past, past });
        let tenant = Arc::clone(&self.order.space);
        self.batch.moves.push(Move::Past { tenant, number, id: id.shared(), types: past_types });
        Ok(applied)
    }
}

/// In a past record: every dataset of the attribute.
pub const ALL_DATASETS: TermNo = TermNo(u32::MAX);

fn stamp_past(instance: &mut city_model::Instance, now: Time) {
    stamp(instance, None, now);
}
