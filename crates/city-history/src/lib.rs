//! The past: every instance that an attribute ever had.
//!
//! Records come in from the journal, by a cursor of our own; instances go out by entity,
//! attribute and time. Nothing writes here but the follower, so the past cannot disagree with
//! what was answered: a read first waits until the follower has come as far as the journal was
//! when the read began. Rows lie loose at first and are packed into blocks as they become many.

mod aggregate;
mod block;
mod follow;
mod pack;
mod retention;
mod row;
mod series;
mod silent;

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Arc;

use city_model::change::InstancePosition;
use city_model::temporal::{AggregatedSeries, Aggregation, TemporalQuery, TimeProperty};
use city_model::{Instance, Kind, Time};
use city_store::codec::{InstanceParts, Reader, read_dataset, read_instance, split_instance};
use city_store::record::LIVE_BRANCH;
use city_store::view::Snapshot;
use city_store::{Clock, JournalReader, Lag, TermNo, Terms, View};

pub use aggregate::{DISTINCT_MAX, PERIODS_MAX};
pub use block::BLOCK_ROWS_MAX;
pub use retention::{Bounds, Policy, Thinning};

use aggregate::{Aggregator, Frame};
use block::{Block, Row};
use follow::Follower;
use row::{attribute_prefix, entity_prefix, series_prefix};
use series::{Piece, Place, Span};
pub use silent::{Silent, SilentReport};

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("HIS-001 {0}")]
    Store(#[from] city_store::Error),
    #[error("HIS-002 History is {behind} changes behind and did not catch up in time. Ask again in a moment.")]
    Behind { behind: u64 },
    #[error("HIS-003 History has stopped: {0} Restart the server.")]
    Stopped(Arc<str>),
    #[error(
        "HIS-004 The answer would have more than {PERIODS_MAX} periods. Ask for longer ones, or for a shorter time."
    )]
    TooManyPeriods,
    #[error(
        "HIS-005 There are more than {DISTINCT_MAX} distinct values. Ask for a shorter time, or without distinctCount."
    )]
    TooManyDistinct,
    /// Who visits the past could not go on.
    #[error("HIS-001 {0}")]
    Visitor(String),
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
    pub fn start(
        view: Arc<View>,
        journal: JournalReader,
        clock: Arc<dyn Clock>,
        policy: Policy,
    ) -> Result<Self, Error> {
        let follower = Follower::start(Arc::clone(&view), journal.clone(), clock, policy)?;
        Ok(Self { view, journal, follower })
    }

    /// How many records the follower has not seen yet.
    #[must_use]
    pub fn behind(&self) -> u64 {
        self.journal.durable().saturating_sub(self.follower.cursor())
    }

    /// What of the past was thinned or forgotten, as the policy says.
    #[must_use]
    pub fn bounds(&self) -> Bounds {
        self.follower.bounds()
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
            None => Ok(self.follower.has_reached(head)),
        }
    }

    /// The instances of one entity. Where what was just answered must be seen, `has_reached` first.
    pub fn read(&self, series: &Series, terms: &Terms) -> Result<Past, Error> {
        let snapshot = self.view.snapshot();
        let mut past = Past::default();
        for attribute in attributes_of(&snapshot, series)? {
            read_attribute(&snapshot, series, attribute, terms, &mut past)?;
        }
        Ok(past)
    }

    /// The values of one entity, put together period by period, by attribute and dataset.
    pub fn aggregate(
        &self,
        series: &Series,
        aggregation: &Aggregation,
        terms: &Terms,
    ) -> Result<BTreeMap<TermNo, Vec<AggregatedSeries>>, Error> {
        let snapshot = self.view.snapshot();
        let mut spans = Vec::new();
        for attribute in attributes_of(&snapshot, series)? {
            for dataset in datasets_of(&snapshot, series.tenant, series.entity, attribute)? {
                spans.push((attribute, dataset, span_of(series, attribute, dataset)));
            }
        }
        let Some(frame) = frame_of(&snapshot, series, terms, spans.iter().map(|(.., span)| span))? else {
            return Ok(BTreeMap::new());
        };
        let mut found: BTreeMap<TermNo, Vec<AggregatedSeries>> = BTreeMap::new();
        for (attribute, dataset, span) in spans {
            let mut aggregator = Aggregator::new(aggregation, frame);
            aggregator.gather(&snapshot, &span, series.query, terms)?;
            let aggregated = aggregator.finish(read_dataset(dataset, terms)?, series.query.last_n);
            if let Some(aggregated) = aggregated {
                found.entry(attribute).or_default().push(aggregated);
            }
        }
        Ok(found)
    }

    /// Sees every instance of one entity that its `observedAt`, or else its `modifiedAt`, puts into the span,
    /// one series after the other; `see` says whether to go on.
    pub fn visit(
        &self,
        series: &Series,
        see: &mut dyn FnMut(TermNo, TermNo, Time, &InstanceParts) -> Result<bool, Error>,
    ) -> Result<(), Error> {
        let snapshot = self.view.snapshot();
        for attribute in attributes_of(&snapshot, series)? {
            for dataset in datasets_of(&snapshot, series.tenant, series.entity, attribute)? {
                let span = span_of(series, attribute, dataset);
                let mut outcome = Ok(true);
                series::for_each_piece(&snapshot, &span, &mut |piece| {
                    outcome = see_piece(piece, &span, &mut |time, parts| see(attribute, dataset, time, parts));
                    Ok(if matches!(outcome, Ok(true)) { ControlFlow::Continue(()) } else { ControlFlow::Break(()) })
                })?;
                if !outcome? {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// All of the past at one instant of writing: what is read through it fits together.
    #[must_use]
    pub fn moment(&self) -> Moment<'_> {
        Moment { snapshot: self.view.snapshot() }
    }

    /// The attributes that the past of an entity knows.
    pub fn attributes(&self, tenant: u32, entity: u32) -> Result<Vec<TermNo>, Error> {
        let prefix = entity_prefix(tenant, LIVE_BRANCH, entity);
        Ok(series::numbers_below(&self.view.snapshot(), &prefix, row::attribute_of)?)
    }

    /// Whether the past of an entity has any instance of an attribute.
    pub fn knows(&self, tenant: u32, entity: u32, attribute: TermNo) -> Result<bool, Error> {
        Ok(!datasets_of(&self.view.snapshot(), tenant, entity, attribute)?.is_empty())
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
        match series::find(&self.view.snapshot(), &prefix, position)? {
            Some(Place::Loose { key } | Place::Block { key, .. }) => Ok(Some(row::dataset_of(&key)?)),
            None => Ok(None),
        }
    }
}

fn see_piece(
    piece: Piece,
    span: &Span,
    see: &mut dyn FnMut(Time, &InstanceParts) -> Result<bool, Error>,
) -> Result<bool, Error> {
    match piece {
        Piece::Loose(time, _, bytes) => see(time, &split_instance(bytes)?),
        Piece::Block(_, bytes) => {
            let block = Block::decode(bytes)?;
            for at in (0..block.len()).filter(|at| span.holds(block.time(*at))) {
                if !see(block.time(at), &block.parts(at)?)? {
                    return Ok(false);
                }
            }
            Ok(true)
        }
    }
}

/// The past as it was written at one instant.
pub struct Moment<'a> {
    snapshot: Snapshot<'a>,
}

impl Moment<'_> {
    /// The attributes of an entity as they stood at a time: of each dataset the last instance at or before it.
    pub fn fold(
        &self,
        tenant: u32,
        entity: u32,
        at: Time,
        terms: &Terms,
    ) -> Result<Vec<(TermNo, Vec<Instance>)>, Error> {
        let prefix = entity_prefix(tenant, LIVE_BRANCH, entity);
        let mut attributes = Vec::new();
        for attribute in series::numbers_below(&self.snapshot, &prefix, row::attribute_of)? {
            let mut instances = Vec::new();
            for number in datasets_of(&self.snapshot, tenant, entity, attribute)? {
                let dataset = read_dataset(number, terms)?;
                let span = Span {
                    series: series_prefix(tenant, LIVE_BRANCH, entity, attribute, number),
                    micros: Some(i64::MIN..at.as_micros().saturating_add(1)),
                };
                let mut take = |row: &Row| read_instance(&mut Reader::new(&row.instance), dataset.clone(), terms);
                let (mut last, _) = series::last(&self.snapshot, &span, 1, &mut take)?;
                // What was deleted before is not there then.
                instances.extend(last.pop().filter(|instance| !matches!(instance.kind, Kind::Null)));
            }
            if !instances.is_empty() {
                attributes.push((attribute, instances));
            }
        }
        Ok(attributes)
    }
}

/// The attributes that are asked for, or all that the past of the entity knows.
fn attributes_of(snapshot: &Snapshot, series: &Series) -> Result<Vec<TermNo>, Error> {
    if !series.attributes.is_empty() {
        return Ok(series.attributes.to_vec());
    }
    let prefix = entity_prefix(series.tenant, LIVE_BRANCH, series.entity);
    Ok(series::numbers_below(snapshot, &prefix, row::attribute_of)?)
}

fn datasets_of(snapshot: &Snapshot, tenant: u32, entity: u32, attribute: TermNo) -> Result<Vec<TermNo>, Error> {
    let prefix = attribute_prefix(tenant, LIVE_BRANCH, entity, attribute);
    Ok(series::numbers_below(snapshot, &prefix, row::dataset_of)?)
}

/// Only by observedAt does the order of a series help to find a span of time.
fn span_of(series: &Series, attribute: TermNo, dataset: TermNo) -> Span {
    let micros = match (&series.query.relation, series.query.property) {
        (Some(relation), TimeProperty::ObservedAt) => Some(relation.micros()),
        _ => None,
    };
    Span { series: series_prefix(series.tenant, LIVE_BRANCH, series.entity, attribute, dataset), micros }
}

/// Periods begin where the time that is asked for begins; where that is open, at the earliest instance.
fn frame_of<'s>(
    snapshot: &Snapshot,
    series: &Series,
    terms: &Terms,
    spans: impl Iterator<Item = &'s Span> + Clone,
) -> Result<Option<Frame>, Error> {
    let relation = series.query.relation;
    let (start, end) = (relation.and_then(|r| r.start()), relation.and_then(|r| r.end()));
    if let (Some(origin), Some(end)) = (start, end) {
        return Ok(Some(Frame { origin, end }));
    }
    let mut extent: Option<(Time, Time)> = None;
    let mut widen = |first: Time, last: Time| {
        extent = Some(extent.map_or((first, last), |(from, to)| (from.min(first), to.max(last))));
    };
    for span in spans {
        if series.query.property == TimeProperty::ObservedAt {
            // What was not observed is not counted either.
            let mut observed = |row: &Row| Ok(split_instance(&row.instance)?.observed_at);
            let (first, _) = series::first(snapshot, span, 1, &mut observed)?;
            let (last, _) = series::last(snapshot, span, 1, &mut observed)?;
            if let (Some(first), Some(last)) = (first.first(), last.first()) {
                widen(*first, *last);
            }
            continue;
        }
        let mut see = |row: &Row| {
            let instance = read_instance(&mut Reader::new(&row.instance), None, terms)?;
            if let Some(time) = instance.and_then(|instance| time_of(&instance, series.query.property)) {
                widen(time, time);
            }
            Ok(None::<()>)
        };
        series::first(snapshot, span, 0, &mut see)?;
    }
    Ok(extent.map(|(first, last)| Frame { origin: start.unwrap_or(first), end: end.unwrap_or(last) }))
}

fn read_attribute(
    snapshot: &Snapshot,
    series: &Series,
    attribute: TermNo,
    terms: &Terms,
    past: &mut Past,
) -> Result<(), Error> {
    let mut found: Vec<PastInstance> = Vec::new();
    let query = series.query;
    for dataset_number in datasets_of(snapshot, series.tenant, series.entity, attribute)? {
        let dataset = read_dataset(dataset_number, terms)?;
        let span = span_of(series, attribute, dataset_number);
        let wanted = query.last_n.unwrap_or(usize::MAX).min(series.instances_max);
        let mut take = |row: &Row| {
            // What was erased is not there.
            let Some(instance) = read_instance(&mut Reader::new(&row.instance), dataset.clone(), terms)? else {
                return Ok(None);
            };
            let holds = match (&query.relation, time_of(&instance, query.property)) {
                (None, _) => true,
                (Some(relation), Some(time)) => relation.holds(time),
                (Some(_), None) => false,
            };
            Ok(holds.then_some(PastInstance { position: row.position, instance }))
        };
        let (mut own, more) = match query.last_n {
            Some(_) => series::last(snapshot, &span, wanted, &mut take)?,
            None => series::first(snapshot, &span, wanted, &mut take)?,
        };
        // Beyond the last N nothing was asked for.
        past.cut |= more && query.last_n.is_none_or(|last_n| last_n > wanted);
        found.append(&mut own);
    }
    if !found.is_empty() {
        found.sort_by_key(|past| (time_of(&past.instance, query.property), past.position));
        past.attributes.insert(attribute, found);
    }
    Ok(())
}

fn time_of(instance: &Instance, property: TimeProperty) -> Option<Time> {
    match property {
        TimeProperty::ObservedAt => instance.observed_at,
        TimeProperty::CreatedAt => Some(instance.created_at),
        TimeProperty::ModifiedAt => Some(instance.modified_at),
        TimeProperty::DeletedAt => instance.deleted_at,
    }
}
