//! The past against a naive one: random readings, edits, deletions and restarts in; every read and
//! every aggregate must be what a plain list gives, loose rows and blocks alike.

#![allow(clippy::unwrap_used, reason = "a test fails loudly")]

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

use city_history::{History, Policy, Series};
use city_model::change::InstancePosition;
use city_model::temporal::{Aggregation, AggregationMethod, TemporalQuery, TimeProperty, TimeRelation};
use city_model::{Cause, Instance, Kind, Period, Time, Value};
use city_store::codec::{Writer, write_instance};
use city_store::journal::Limits;
use city_store::record::{LIVE_BRANCH, Transition};
use city_store::{
    FolderDisk, Journal, Published, Record, RecordKind, Space, TermNo, Terms, Touched, View, VirtualClock,
};
use proptest::prelude::*;
use proptest::test_runner::Config;

const TENANT: u32 = 1;
const ENTITY: u32 = 1;
const ATTRIBUTES: [TermNo; 2] = [TermNo(1), TermNo(2)];

struct Town {
    view: Arc<View>,
    journal: Journal,
    history: Option<History>,
    terms: Terms,
    seq: u64,
    /// What there should be: by attribute, time and position.
    naive: BTreeMap<(TermNo, Time, InstancePosition), Value>,
}

fn started(view: &Arc<View>, journal: &Journal) -> History {
    let clock = Arc::new(VirtualClock::starting_at(Time::from_micros(0)));
    History::start(Arc::clone(view), journal.reader(), clock, Policy::default()).unwrap()
}

impl Town {
    fn open(folder: &Path) -> Self {
        let view = Arc::new(View::open(&folder.join("view")).unwrap());
        let limits = Limits { segment_bytes: 1 << 20, keep_bytes: 1 << 30, reserve_bytes: 0 };
        let disk = Arc::new(FolderDisk::new(folder.join("journal")).unwrap());
        let (journal, _) = Journal::open(disk, 0, limits).unwrap();
        let terms = Terms::default();
        for attribute in ATTRIBUTES {
            terms.learn(attribute, format!("https://example.org/{}", attribute.0).into()).unwrap();
        }
        let history = Some(started(&view, &journal));
        Self { view, journal, history, terms, seq: 0, naive: BTreeMap::new() }
    }

    fn history(&self) -> &History {
        let history = self.history.as_ref().unwrap();
        while !history.has_reached(history.head()).unwrap() {
            std::thread::yield_now();
        }
        history
    }

    fn restart(&mut self) {
        self.history = None;
        self.history = Some(started(&self.view, &self.journal));
    }

    fn append(&mut self, touched: Vec<Touched>) {
        self.seq += 1;
        let record = Record {
            tenant: TENANT,
            tenant_name: None,
            branch: LIVE_BRANCH,
            seq: self.seq,
            kind: RecordKind::Past,
            time: Time::from_micros(1_000),
            who: Arc::from("test"),
            cause: Cause { request: 1, origin: "test".into(), depth: 0 },
            index: 0,
            count: 1,
            entity: ENTITY,
            entity_id: "urn:x:1".into(),
            previous_seq: 0,
            previous_lsn: 0,
            identity: None,
            touched,
            definition: None,
            also: Vec::new(),
            note: None,
            terms: Vec::new(),
        };
        let lsn = self.journal.next_lsn();
        self.journal.append(&[record.encode()]).unwrap();
        self.journal.publish(vec![Published { lsn, record: Arc::new(record), image: None }]);
    }

    fn touched(&self, attribute: TermNo, position: Option<InstancePosition>, after: Option<Vec<u8>>) -> Touched {
        let change = Transition { before: None, after: after.map(Into::into) };
        Touched { attribute, dataset: TermNo(0), class: 1, key_id: 0, position, change }
    }

    fn instance(&self, time: Time, value: &Value) -> Vec<u8> {
        let mut instance = Instance::new(Kind::Property(value.clone()));
        instance.created_at = Time::from_micros(1_000);
        instance.modified_at = Time::from_micros(1_000);
        instance.observed_at = Some(time);
        let mut out = Writer::default();
        write_instance(&instance, &self.terms, &mut out);
        out.bytes
    }

    fn add(&mut self, attribute: TermNo, readings: &[(Time, Value)]) {
        let touched = readings.iter().map(|(time, value)| {
            let bytes = self.instance(*time, value);
            self.touched(attribute, None, Some(bytes))
        });
        let touched = touched.collect();
        self.append(touched);
        for (index, (time, value)) in (0u32..).zip(readings) {
            self.naive.insert((attribute, *time, InstancePosition { seq: self.seq, index }), value.clone());
        }
    }

    /// Changes or deletes the instance that stands `at` so far in all that there is.
    fn edit(&mut self, at: prop::sample::Index, value: Option<Value>) {
        let keys: Vec<_> = self.naive.keys().copied().collect();
        if keys.is_empty() {
            return;
        }
        let key = keys[at.index(keys.len())];
        let after = value.as_ref().map(|value| self.instance(key.1, value));
        let touched = self.touched(key.0, Some(key.2), after);
        self.append(vec![touched]);
        match value {
            Some(value) => self.naive.insert(key, value),
            None => self.naive.remove(&key),
        };
    }

    fn delete(&mut self, attribute: TermNo) {
        let touched = self.touched(attribute, None, None);
        self.append(vec![touched]);
        self.naive.retain(|key, _| key.0 != attribute);
    }

    fn expected(
        &self,
        attribute: TermNo,
        query: &TemporalQuery,
        rows_max: usize,
    ) -> Vec<(Time, InstancePosition, Value)> {
        let holds = |time: Time| query.relation.is_none_or(|relation| relation.holds(time));
        let own = self.naive.iter().filter(|((own, time, _), _)| *own == attribute && holds(*time));
        let mut rows: Vec<_> = own.map(|((_, time, position), value)| (*time, *position, value.clone())).collect();
        match query.last_n {
            Some(last_n) => drop(rows.drain(..rows.len().saturating_sub(last_n.min(rows_max)))),
            None => rows.truncate(rows_max),
        }
        rows
    }

    fn check(&self, query: &TemporalQuery, rows_max: usize) {
        let series = Series { tenant: TENANT, entity: ENTITY, attributes: &[], query, instances_max: rows_max };
        let past = self.history().read(&series, &self.terms).unwrap();
        for attribute in ATTRIBUTES {
            let found: Vec<_> = past
                .attributes
                .get(&attribute)
                .map(|instances| {
                    let value = |instance: &Instance| match &instance.kind {
                        Kind::Property(value) => value.clone(),
                        other => panic!("{other:?}"),
                    };
                    let row = |past: &city_history::PastInstance| {
                        (past.instance.observed_at.unwrap(), past.position, value(&past.instance))
                    };
                    instances.iter().map(row).collect()
                })
                .unwrap_or_default();
            assert_eq!(found, self.expected(attribute, query, rows_max), "{query:?} of {attribute:?}");
        }
    }

    fn check_aggregates(&self, query: &TemporalQuery, period: Period) {
        let aggregation = Aggregation { methods: AggregationMethod::ALL.to_vec(), period };
        let series = Series { tenant: TENANT, entity: ENTITY, attributes: &[], query, instances_max: usize::MAX };
        let found = self.history().aggregate(&series, &aggregation, &self.terms).unwrap();
        let rows = ATTRIBUTES.map(|attribute| self.expected(attribute, query, usize::MAX));
        let first = rows.iter().flatten().map(|(time, ..)| *time).min();
        let origin = query.relation.and_then(|relation| relation.start()).or(first);
        for (attribute, rows) in ATTRIBUTES.into_iter().zip(rows) {
            let mut periods: BTreeMap<i64, Vec<f64>> = BTreeMap::new();
            for (time, _, value) in rows {
                let number = if period.is_whole() { 0 } else { period.number(origin.unwrap(), time) };
                periods.entry(number).or_default().push(value.as_f64().unwrap());
            }
            assert_eq!(found.contains_key(&attribute), !periods.is_empty(), "no series without a period");
            let own = found.get(&attribute).map_or(&[][..], |series| &series[0].periods);
            assert_eq!(own.len(), periods.len(), "{query:?} {period:?}");
            for (own, (number, values)) in own.iter().zip(periods) {
                if !period.is_whole() {
                    assert_eq!(
                        (own.start, own.end),
                        (period.start(origin.unwrap(), number), period.start(origin.unwrap(), number + 1),)
                    );
                }
                let count = values.len() as f64;
                let sum: f64 = values.iter().sum();
                let mean = sum / count;
                let distances: f64 = values.iter().map(|v| (v - mean) * (v - mean)).sum();
                let mut distinct: Vec<u64> = values.iter().map(|v| v.to_bits()).collect();
                distinct.sort_unstable();
                distinct.dedup();
                let wanted = [
                    Some(count),
                    Some(distinct.len() as f64),
                    Some(sum),
                    Some(mean),
                    values.iter().copied().reduce(f64::min),
                    values.iter().copied().reduce(f64::max),
                    (values.len() > 1).then(|| (distances / (count - 1.0)).sqrt()),
                    Some(values.iter().map(|v| v * v).sum()),
                ];
                for ((method, wanted), own) in AggregationMethod::ALL.iter().zip(wanted).zip(&own.values) {
                    let own = own.as_ref().and_then(Value::as_f64);
                    let close = match (own, wanted) {
                        (Some(own), Some(wanted)) => (own - wanted).abs() <= 1e-6 * (1.0 + wanted.abs()),
                        (own, wanted) => own == wanted,
                    };
                    assert!(close, "{method:?}: {own:?}, not {wanted:?}");
                }
            }
        }
    }

    fn blocks(&self) -> usize {
        self.count(Space::Blocks)
    }

    fn loose(&self) -> usize {
        self.count(Space::History)
    }

    fn count(&self, space: Space) -> usize {
        let mut count = 0;
        let see = |_: &[u8], _| {
            count += 1;
            Ok(ControlFlow::Continue(()))
        };
        self.view.scan(space, &[], &[0xff; 64], see).unwrap();
        count
    }
}

#[derive(Debug, Clone)]
enum Step {
    Add { attribute: usize, from: i64, every: i64, count: usize, decimals: bool },
    Edit { at: prop::sample::Index, value: Option<i64> },
    Delete { attribute: usize },
    Restart,
}

fn step() -> impl Strategy<Value = Step> {
    let add = (0usize..2, 0i64..3_000, 1i64..9, 1usize..700, any::<bool>());
    prop_oneof![
        8 => add.prop_map(|(attribute, from, every, count, decimals)| Step::Add { attribute, from, every, count, decimals }),
        2 => (any::<prop::sample::Index>(), prop::option::of(-50i64..50)).prop_map(|(at, value)| Step::Edit { at, value }),
        1 => (0usize..2).prop_map(|attribute| Step::Delete { attribute }),
        1 => Just(Step::Restart),
    ]
}

fn seconds(seconds: i64) -> Time {
    Time::from_micros(seconds * 1_000_000)
}

fn query(relation: Option<TimeRelation>, last_n: Option<usize>) -> TemporalQuery {
    TemporalQuery { relation, property: TimeProperty::ObservedAt, last_n }
}

proptest! {
    #![proptest_config(Config { cases: Config::default().cases.min(40_000) / 8, ..Config::default() })]
    #[test]
    fn reads_and_aggregates_are_what_a_plain_list_gives(steps in prop::collection::vec(step(), 1..12)) {
        let folder = tempfile::tempdir().unwrap();
        let mut town = Town::open(folder.path());
        for step in steps {
            match step {
                Step::Add { attribute, from, every, count, decimals } => {
                    let value = |n: i64| if decimals { Value::Float((n % 83) as f64 / 10.0) } else { Value::Int(n % 83) };
                    let readings: Vec<_> =
                        (0..count as i64).map(|n| (seconds(from + n * every), value(n))).collect();
                    town.add(ATTRIBUTES[attribute], &readings);
                }
                Step::Edit { at, value } => town.edit(at, value.map(Value::Int)),
                Step::Delete { attribute } => town.delete(ATTRIBUTES[attribute]),
                Step::Restart => town.restart(),
            }
        }
        let (early, late) = (seconds(700), seconds(2_500));
        for relation in [None, Some(TimeRelation::Before(late)), Some(TimeRelation::After(early)), Some(TimeRelation::Between(early, late))] {
            for last_n in [None, Some(1), Some(40), Some(5_000)] {
                town.check(&query(relation, last_n), 300);
                town.check(&query(relation, last_n), usize::MAX);
            }
            for period in ["PT0S", "PT7S", "PT10M", "P1M"] {
                town.check_aggregates(&query(relation, None), Period::parse(period).unwrap());
            }
        }
    }
}

#[test]
fn large_values_stay_loose_beside_what_is_packed() {
    let folder = tempfile::tempdir().unwrap();
    let mut town = Town::open(folder.path());
    let text = Value::text(&"x".repeat(100_000));
    let readings: Vec<_> =
        (0..600).map(|n| (seconds(n), if n % 100 == 7 { text.clone() } else { Value::Int(n) })).collect();
    town.add(ATTRIBUTES[0], &readings);
    town.check(&query(None, None), usize::MAX);
    assert_eq!((town.blocks(), town.loose()), (1, 6));
}

#[test]
fn readings_that_come_one_by_one_are_packed() {
    let folder = tempfile::tempdir().unwrap();
    let mut town = Town::open(folder.path());
    for n in 0..3_000 {
        town.add(ATTRIBUTES[0], &[(seconds(n), Value::Int(n % 10))]);
    }
    town.check(&query(None, None), usize::MAX);
    let blocks = town.blocks();
    assert!((2..=12).contains(&blocks), "{blocks} blocks");
    // Late by days, and into the middle of what is packed.
    town.add(ATTRIBUTES[0], &[(seconds(-86_400), Value::Int(1)), (seconds(1_500), Value::Int(2))]);
    town.check(&query(None, None), usize::MAX);
    town.check_aggregates(&query(None, None), Period::parse("PT1H").unwrap());
}
