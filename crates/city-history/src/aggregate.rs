//! Aggregation: the values of a series in, one figure per period and method out (clause 4.5.19).
//!
//! Numbers are summed as they are, booleans as 0 and 1, lists by their length; texts have a least and
//! a greatest; of everything there is a count. Whole blocks inside one period are taken from their
//! summaries.

use std::collections::{BTreeMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::ops::ControlFlow;

use city_model::temporal::{
    AggregatedPeriod, AggregatedSeries, Aggregation, AggregationMethod, TemporalQuery, TimeProperty,
};
use city_model::{DatasetId, Instance, Kind, Time, Value};
use city_store::Terms;
use city_store::codec::{Reader, read_instance};
use city_store::view::Snapshot;

use crate::block::{Block, Summary};
use crate::series::{Piece, Span, for_each_piece};
use crate::{Error, time_of};

/// Most periods of one series in an answer.
pub const PERIODS_MAX: usize = 10_000;
/// Most distinct values of one series that are told apart.
pub const DISTINCT_MAX: usize = 1_000_000;

/// What came together in one period.
#[derive(Debug, Default)]
struct Gathered {
    values: u64,
    numbers: Summary,
    least: Option<Box<str>>,
    greatest: Option<Box<str>>,
    distinct: HashSet<u64>,
}

/// How periods are cut: where the first begins, and where the whole ends.
#[derive(Debug, Clone, Copy)]
pub struct Frame {
    pub origin: Time,
    pub end: Time,
}

pub struct Aggregator<'a> {
    aggregation: &'a Aggregation,
    frame: Frame,
    distinct: bool,
    kind: Option<&'static str>,
    periods: BTreeMap<i64, Gathered>,
    /// All distinct values of all periods.
    told_apart: usize,
}

impl<'a> Aggregator<'a> {
    pub fn new(aggregation: &'a Aggregation, frame: Frame) -> Self {
        let distinct = aggregation.methods.contains(&AggregationMethod::DistinctCount);
        Self { aggregation, frame, distinct, kind: None, periods: BTreeMap::new(), told_apart: 0 }
    }

    /// Gathers all of a series.
    pub fn gather(&mut self, view: &Snapshot, span: &Span, query: &TemporalQuery, terms: &Terms) -> Result<(), Error> {
        let mut outcome = Ok(());
        for_each_piece(view, span, &mut |piece| {
            outcome = self.take(piece, span, query, terms);
            Ok(if outcome.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) })
        })?;
        outcome
    }

    fn take(&mut self, piece: Piece, span: &Span, query: &TemporalQuery, terms: &Terms) -> Result<(), Error> {
        match piece {
            Piece::Loose(_, _, bytes) => self.add_instance(bytes, query, terms),
            Piece::Block(head, bytes) => {
                let observed = query.property == TimeProperty::ObservedAt;
                if let (Some(summary), true, false) = (&head.summary, observed, self.distinct) {
                    let first = self.number(head.first);
                    self.kind.get_or_insert("Property");
                    if span.holds_all(&head) && first == self.number(head.last) {
                        let gathered = self.period(first)?;
                        gathered.values += summary.count;
                        gathered.numbers.merge(summary);
                        return Ok(());
                    }
                    let block = Block::decode(bytes)?;
                    for at in (0..block.len()).filter(|at| span.holds(block.time(*at))) {
                        let gathered = self.period(self.number(block.time(at)))?;
                        gathered.values += 1;
                        gathered.numbers.add(block.number(at));
                    }
                    return Ok(());
                }
                let block = Block::decode(bytes)?;
                for at in (0..block.len()).filter(|at| span.holds(block.time(*at))) {
                    self.add_instance(&block.instance(at)?, query, terms)?;
                }
                Ok(())
            }
        }
    }

    fn number(&self, time: Time) -> i64 {
        let period = &self.aggregation.period;
        if period.is_whole() { 0 } else { period.number(self.frame.origin, time) }
    }

    fn period(&mut self, number: i64) -> Result<&mut Gathered, Error> {
        if self.periods.len() >= PERIODS_MAX && !self.periods.contains_key(&number) {
            return Err(Error::TooManyPeriods);
        }
        Ok(self.periods.entry(number).or_default())
    }

    fn add_instance(&mut self, bytes: &[u8], query: &TemporalQuery, terms: &Terms) -> Result<(), Error> {
        let Some(instance) = read_instance(&mut Reader::new(bytes), None, terms)? else { return Ok(()) };
        let Some(time) = time_of(&instance, query.property) else { return Ok(()) };
        if query.relation.is_some_and(|relation| !relation.holds(time)) {
            return Ok(());
        }
        // Something deleted has no value.
        if matches!(instance.kind, Kind::Null | Kind::Unchanged) {
            return Ok(());
        }
        self.kind.get_or_insert(instance.kind.type_name());
        let distinct = self.distinct.then(|| fingerprint(&instance));
        let gathered = self.period(self.number(time))?;
        gathered.values += 1;
        match &instance.kind {
            Kind::Property(value) => gathered.add_value(value),
            Kind::ListProperty(items) => gathered.numbers.add(length(items)),
            _ => {}
        }
        if let Some(fingerprint) = distinct
            && gathered.distinct.insert(fingerprint)
        {
            self.told_apart += 1;
            if self.told_apart > DISTINCT_MAX {
                return Err(Error::TooManyDistinct);
            }
        }
        Ok(())
    }

    /// The answer for one dataset; `None` where it had no values.
    #[must_use]
    pub fn finish(self, dataset: Option<DatasetId>, last_n: Option<usize>) -> Option<AggregatedSeries> {
        let (aggregation, frame) = (self.aggregation, self.frame);
        let kind = self.kind.filter(|_| !self.periods.is_empty())?;
        let mut periods: Vec<AggregatedPeriod> = self
            .periods
            .into_iter()
            .map(|(number, gathered)| {
                let (start, end) = if aggregation.period.is_whole() {
                    (frame.origin, frame.end)
                } else {
                    let start = |number| aggregation.period.start(frame.origin, number);
                    (start(number), start(number + 1))
                };
                let values = aggregation.methods.iter().map(|method| gathered.figure(*method)).collect();
                AggregatedPeriod { start, end, values }
            })
            .collect();
        if let Some(last_n) = last_n {
            periods.drain(..periods.len().saturating_sub(last_n));
        }
        Some(AggregatedSeries { dataset, kind, periods })
    }
}

#[expect(clippy::cast_precision_loss, reason = "a list in one body is far shorter than 2^53")]
fn length(items: &[Value]) -> f64 {
    items.len() as f64
}

impl Gathered {
    fn add_value(&mut self, value: &Value) {
        match value {
            Value::Bool(flag) => self.numbers.add(f64::from(*flag)),
            Value::List(items) => self.numbers.add(length(items)),
            Value::Text(text) => {
                if self.least.as_ref().is_none_or(|least| text < least) {
                    self.least = Some(text.clone());
                }
                if self.greatest.as_ref().is_none_or(|greatest| text > greatest) {
                    self.greatest = Some(text.clone());
                }
            }
            other => {
                if let Some(number) = other.as_f64() {
                    self.numbers.add(number);
                }
            }
        }
    }

    fn figure(&self, method: AggregationMethod) -> Option<Value> {
        let numbers = (self.numbers.count > 0).then_some(&self.numbers);
        let count = |count: u64| Value::Int(i64::try_from(count).unwrap_or(i64::MAX));
        #[expect(clippy::cast_precision_loss, reason = "counts are far below 2^53")]
        let average = |numbers: &Summary| numbers.sum / numbers.count as f64;
        let text = |text: &Option<Box<str>>| text.clone().map(Value::Text);
        match method {
            AggregationMethod::TotalCount => Some(count(self.values)),
            AggregationMethod::DistinctCount => Some(count(self.distinct.len() as u64)),
            AggregationMethod::Sum => numbers.map(|n| number(n.sum)),
            AggregationMethod::Avg => numbers.map(|n| number(average(n))),
            AggregationMethod::Min => numbers.map_or_else(|| text(&self.least), |n| Some(number(n.min))),
            AggregationMethod::Max => numbers.map_or_else(|| text(&self.greatest), |n| Some(number(n.max))),
            AggregationMethod::StdDev => numbers.and_then(Summary::stddev).map(number),
            AggregationMethod::SumSq => numbers.map(|n| number(n.sum_of_squares)),
        }
    }
}

/// A whole number shows without a point.
fn number(number: f64) -> Value {
    if number.fract() == 0.0 && number.abs() < 9e15 { Value::Int(number as i64) } else { Value::Float(number) }
}

/// Equal for equal values, and all but never for others.
fn fingerprint(instance: &Instance) -> u64 {
    let mut hasher = DefaultHasher::new();
    match &instance.kind {
        // 20 and 20.0 are one number.
        Kind::Property(value) if value.as_f64().is_some() => {
            let number = value.as_f64().unwrap_or_default();
            (number + 0.0).to_bits().hash(&mut hasher);
        }
        kind => format!("{kind:?}").hash(&mut hasher),
    }
    hasher.finish()
}
