//! The past: every instance that an attribute ever had.
//!
//! Records come in from the journal, by a cursor of our own; instances go out by entity,
//! attribute and time. Nothing writes here but the follower, so the past cannot disagree with
//! what was answered: a read first waits until the follower has come as far as the journal was
//! when the read began.

mod follow;
mod row;
mod silent;

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Arc;

use city_model::change::InstancePosition;
use city_model::temporal::{TemporalQuery, TimeProperty};
use city_model::{Instance, Time};
use city_store::codec::{Reader, read_dataset, read_instance};
use city_store::record::LIVE_BRANCH;
use city_store::view::after_prefix;
use city_store::{JournalReader, Lag, Space, TermNo, Terms, View};

use follow::Follower;
use row::{attribute_prefix, entity_prefix, range_of, series_prefix};
pub use silent::{Silent, SilentReport};

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("HIS-001 {0}")]
    Store(#[from] city_store::Error),
    #[error("HIS-002 History is {behind} changes behind and did not catch up in time. Ask again in a moment.")]
    Behind { behind: u64 },
    #[error("HIS-003 History has stopped: {0} Restart the server.")]
    Stopped(Arc<str>),
}

/// Follows the journal from its own cursor and answers about the past.
pub struct History {
    view: Arc<View>,
    journal: JournalReader,
    follower: Follower,
}

/// One instance of the past with its place in the tenant's order.
#[derive(Debug, Clone, PartialEq)]
pub struct PastInstance {
    pub position: InstancePosition,
    pub instance: Instance,
}

/// What is asked of the past of one entity.
#[derive(Debug, Clone)]
pub struct Series<'a> {
    pub tenant: u32,
    pub entity: u32,
    /// Empty means every attribute.
    pub attributes: &'a [TermNo],
    pub query: &'a TemporalQuery,
    /// Most instances of each attribute in the answer.
    pub instances_max: usize,
}

/// The past of one entity, as far as it was asked for.
#[derive(Debug, Default)]
pub struct Past {
    /// Instances by attribute, in order of time.
    pub attributes: BTreeMap<TermNo, Vec<PastInstance>>,
    /// Some attribute has more than `instances_max`.
    pub cut: bool,
}

impl History {
    pub fn start(view: Arc<View>, journal: JournalReader) -> Result<Self, Error> {
        let follower = Follower::start(Arc::clone(&view), journal.clone())?;
        Ok(Self { view, journal, follower })
    }

    /// How many records the follower has not seen yet.
    #[must_use]
    pub fn behind(&self) -> u64 {
        self.journal.durable().saturating_sub(self.follower.cursor())
    }

    /// How many records those are, and how old.
    pub fn lag(&self) -> Result<Lag, Error> {
        Ok(self.journal.lag(self.follower.cursor())?)
    }

    /// Why nothing new comes into the past any more, if so.
    #[must_use]
    pub fn failure(&self) -> Option<Arc<str>> {
        self.follower.failure()
    }

    /// The newest record: what a read that begins now must see.
    #[must_use]
    pub fn head(&self) -> u64 {
        self.journal.durable()
    }

    /// Whether everything up to `head` can be read here.
    pub fn has_reached(&self, head: u64) -> Result<bool, Error> {
        match self.follower.failure() {
            Some(why) => Err(Error::Stopped(why)),
            None => Ok(self.follower.cursor() >= head),
        }
    }

    /// The instances of one entity. Where what was just answered must be seen, `has_reached` first.
    pub fn read(&self, series: &Series, terms: &Terms) -> Result<Past, Error> {
        let mut past = Past::default();
        match series.attributes {
            [] => {
                for attribute in self.attributes_of(series.tenant, series.entity)? {
                    self.read_attribute(series, attribute, terms, &mut past)?;
                }
            }
            some => {
                for attribute in some {
                    self.read_attribute(series, *attribute, terms, &mut past)?;
                }
            }
        }
        Ok(past)
    }

    /// The attributes that the past of an entity knows: one seek each.
    fn attributes_of(&self, tenant: u32, entity: u32) -> Result<Vec<TermNo>, Error> {
        let prefix = entity_prefix(tenant, LIVE_BRANCH, entity);
        let end = after_prefix(&prefix);
        let mut from = prefix;
        let mut attributes = Vec::new();
        loop {
            let mut next = None;
            self.view.scan(Space::History, &from, &end, |key, _| {
                next = Some(row::attribute_of(key)?);
                Ok(ControlFlow::Break(()))
            })?;
            let Some(attribute) = next else { return Ok(attributes) };
            attributes.push(attribute);
            from = after_prefix(&attribute_prefix(tenant, LIVE_BRANCH, entity, attribute));
        }
    }

    fn datasets_of(&self, tenant: u32, entity: u32, attribute: TermNo) -> Result<Vec<TermNo>, Error> {
        let prefix = attribute_prefix(tenant, LIVE_BRANCH, entity, attribute);
        let end = after_prefix(&prefix);
        let mut from = prefix;
        let mut datasets = Vec::new();
        loop {
            let mut next = None;
            self.view.scan(Space::History, &from, &end, |key, _| {
                next = Some(row::dataset_of(key)?);
                Ok(ControlFlow::Break(()))
            })?;
            let Some(dataset) = next else { return Ok(datasets) };
            datasets.push(dataset);
            from = after_prefix(&series_prefix(tenant, LIVE_BRANCH, entity, attribute, dataset));
        }
    }

    fn read_attribute(&self, series: &Series, attribute: TermNo, terms: &Terms, past: &mut Past) -> Result<(), Error> {
        let mut found: Vec<PastInstance> = Vec::new();
        let query = series.query;
        for dataset_number in self.datasets_of(series.tenant, series.entity, attribute)? {
            let dataset = read_dataset(dataset_number, terms)?;
            let prefix = series_prefix(series.tenant, LIVE_BRANCH, series.entity, attribute, dataset_number);
            // Only by observedAt does the order of the keys help to find a span of time.
            let (from, to) = match (&query.relation, query.property) {
                (Some(relation), TimeProperty::ObservedAt) => range_of(&prefix, &relation.micros()),
                _ => (prefix.clone(), after_prefix(&prefix)),
            };
            let wanted = query.last_n.unwrap_or(usize::MAX).min(series.instances_max);
            let mut own = Vec::new();
            let mut cut = false;
            let mut see = |key: &[u8], value: city_store::Bytes| {
                let instance = read_instance(&mut Reader::new(&value), dataset.clone(), terms)?;
                let time = time_of(&instance, query.property);
                let holds = match (&query.relation, time) {
                    (None, _) => true,
                    (Some(relation), Some(time)) => relation.holds(time),
                    (Some(_), None) => false,
                };
                if holds {
                    if own.len() >= wanted {
                        cut = query.last_n.is_none_or(|last_n| last_n > wanted);
                        return Ok(ControlFlow::Break(()));
                    }
                    own.push(PastInstance { position: row::position_of(key)?, instance });
                }
                Ok(ControlFlow::Continue(()))
            };
            if query.last_n.is_some() {
                self.view.scan_back(Space::History, &from, &to, &mut see)?;
                own.reverse();
            } else {
                self.view.scan(Space::History, &from, &to, &mut see)?;
            }
            past.cut |= cut;
            found.append(&mut own);
        }
        if !found.is_empty() {
            found.sort_by_key(|past| (time_of(&past.instance, query.property), past.position));
            past.attributes.insert(attribute, found);
        }
        Ok(())
    }

    /// Whether the past of an entity has any instance of an attribute.
    pub fn knows(&self, tenant: u32, entity: u32, attribute: TermNo) -> Result<bool, Error> {
        Ok(!self.datasets_of(tenant, entity, attribute)?.is_empty())
    }

    /// Whether an instance with this position stands in the past of an attribute, and in which dataset.
    pub fn find_instance(
        &self,
        tenant: u32,
        entity: u32,
        attribute: TermNo,
        position: InstancePosition,
    ) -> Result<Option<TermNo>, Error> {
        let prefix = attribute_prefix(tenant, LIVE_BRANCH, entity, attribute);
        let mut found = None;
        self.view.scan(Space::History, &prefix, &after_prefix(&prefix), |key, _| {
            if row::position_of(key)? == position {
                found = Some(row::dataset_of(key)?);
                return Ok(ControlFlow::Break(()));
            }
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(found)
    }
}

fn time_of(instance: &Instance, property: TimeProperty) -> Option<Time> {
    match property {
        TimeProperty::ObservedAt => instance.observed_at,
        TimeProperty::CreatedAt => Some(instance.created_at),
        TimeProperty::ModifiedAt => Some(instance.modified_at),
        TimeProperty::DeletedAt => instance.deleted_at,
    }
}
