//! Retention: what is older than it shall be is thinned, and then forgotten.
//!
//! A policy and the time come in; series by series, rows of the past go. Thinning keeps, of each period
//! of a series of numbers, the first, the least, the greatest and the last reading as they came: extremes
//! stay exact, means change. Forgetting keeps the last reading before the horizon, so that the city as it
//! was at any later time stays whole. It runs on the follower's thread: the past has one writer.

use std::collections::BTreeMap;
use std::ops::{ControlFlow, Range};

use city_model::{Period, Time};
use city_store::codec::split_instance;
use city_store::view::{Snapshot, after_prefix};
use city_store::{Error, Space, View, ViewBatch};

use crate::block::{Block, Row, chunks, read_head};
use crate::pack::put_blocks;
use crate::row::{range_of, row_key, series_of};
use crate::series::{Piece, Span, first, for_each_piece};

/// Blocks that are forgotten in one batch.
const BLOCKS_IN_BATCH: usize = 1_000;
/// What is thinned at a time, in microseconds: a day, or one period where that is longer.
const STRETCH_MICROS: i64 = 86_400_000_000;

/// How long the past is kept, and how exactly.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Policy {
    /// Older instances are forgotten.
    pub keep: Option<Period>,
    /// Older numbers are thinned to four readings a period.
    pub thin: Option<Thinning>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Thinning {
    pub after: Period,
    pub period: Period,
}

impl Policy {
    /// The bounds that the policy asks for at a time; never earlier than they are.
    fn bounds(&self, from: Bounds, now: Time) -> Bounds {
        let mut to = from;
        if let Some(keep) = self.keep {
            to.kept_from = to.kept_from.max(keep.start(now, -1));
        }
        if let Some(thin) = self.thin {
            // Whole periods only: what is thinned once is not thinned again in other groups.
            let origin = Time::UNSET;
            let number = thin.period.number(origin, thin.after.start(now, -1));
            to.exact_from = to.exact_from.max(thin.period.start(origin, number));
        }
        to
    }

    /// Whether a bound has moved far enough for a sweep to be worth it.
    #[must_use]
    pub fn is_due(&self, from: Bounds, now: Time, micros: i64) -> bool {
        let to = self.bounds(from, now);
        let moved = |from: Time, to: Time| to.as_micros().saturating_sub(from.as_micros()) >= micros;
        moved(from.kept_from, to.kept_from) || moved(from.exact_from, to.exact_from)
    }
}

/// What was given up so far: nothing from here on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Before it, only the last instance of each series is known.
    pub kept_from: Time,
    /// Before it, numbers are thinned.
    pub exact_from: Time,
}

impl Default for Bounds {
    fn default() -> Self {
        let ever = Time::from_micros(i64::MIN);
        Self { kept_from: ever, exact_from: ever }
    }
}

const BOUNDS_KEY: &[u8] = b"history:bounds";
/// The bounds from which a sweep began that is not done.
const SWEEP_KEY: &[u8] = b"history:sweep";

impl Bounds {
    pub fn read(view: &View) -> Result<Self, Error> {
        Ok(Self::find(view, BOUNDS_KEY)?.unwrap_or_default())
    }

    fn find(view: &View, key: &[u8]) -> Result<Option<Self>, Error> {
        let Some(bytes) = view.get(Space::Meta, key)? else { return Ok(None) };
        let wrong = || Error::Undecodable("the bounds of history have a wrong length".to_owned());
        let at = |from: usize| {
            let bytes = bytes.get(from..from + 8).and_then(|bytes| bytes.try_into().ok()).ok_or_else(wrong)?;
            Ok(Time::from_micros(i64::from_le_bytes(bytes)))
        };
        Ok(Some(Self { kept_from: at(0)?, exact_from: at(8)? }))
    }

    fn put(self, key: &[u8], batch: &mut ViewBatch) {
        let mut bytes = self.kept_from.as_micros().to_le_bytes().to_vec();
        bytes.extend_from_slice(&self.exact_from.as_micros().to_le_bytes());
        batch.put(Space::Meta, key, &bytes);
    }
}

/// One walk over all series towards new bounds; it can rest between any two of them.
#[derive(Debug)]
pub struct Sweep {
    policy: Policy,
    from: Bounds,
    to: Bounds,
    /// The next series begins at or behind this key.
    cursor: Vec<u8>,
    pub series: u64,
    pub rows_gone: u64,
}

impl Sweep {
    /// `None` where the policy asks for nothing new. New bounds are made known before anything goes, so
    /// that no answer claims more than there is.
    pub fn begin(view: &View, policy: Policy, now: Time) -> Result<Option<Self>, Error> {
        let from = Bounds::read(view)?;
        let to = policy.bounds(from, now);
        if to == from {
            return Ok(None);
        }
        let mut batch = ViewBatch::default();
        to.put(BOUNDS_KEY, &mut batch);
        from.put(SWEEP_KEY, &mut batch);
        view.write(batch)?;
        Ok(Some(Self { policy, from, to, cursor: Vec::new(), series: 0, rows_gone: 0 }))
    }

    /// A sweep that was broken off, from its first series on: what was done already is found so.
    pub fn resume(view: &View, policy: Policy) -> Result<Option<Self>, Error> {
        let to = Bounds::read(view)?;
        let from = Bounds::find(view, SWEEP_KEY)?;
        Ok(from.map(|from| Self { policy, from, to, cursor: Vec::new(), series: 0, rows_gone: 0 }))
    }

    /// Nothing is left to do.
    pub fn finish(&self, view: &View) -> Result<(), Error> {
        let mut batch = ViewBatch::default();
        batch.delete(Space::Meta, SWEEP_KEY);
        view.write(batch)
    }

    /// Works on up to so many series; `true` when there are no more.
    pub fn step(&mut self, view: &View, series_max: usize) -> Result<bool, Error> {
        for _ in 0..series_max {
            let Some(series) = next_series(&view.snapshot(), &self.cursor)? else { return Ok(true) };
            if self.policy.keep.is_some() {
                let horizon = self.to.kept_from;
                self.forget_blocks(view, &series, horizon)?;
                self.rewrite(view, &series, i64::MIN..horizon.as_micros(), &|rows| {
                    let forgotten = rows.partition_point(|row| row.time < horizon);
                    // The last one before the horizon says how things stood there.
                    Ok(rows[forgotten.saturating_sub(1)..].to_vec())
                })?;
            }
            if let Some(thin) = self.policy.thin {
                self.thin(view, &series, thin.period)?;
            }
            self.series += 1;
            self.cursor = after_prefix(&series);
        }
        Ok(false)
    }

    /// Blocks that lie before the horizon go unread, but for the last of them.
    fn forget_blocks(&mut self, view: &View, series: &[u8], horizon: Time) -> Result<(), Error> {
        let span = Span { series: series.to_vec(), micros: Some(i64::MIN..horizon.as_micros()) };
        let mut old: Vec<(Vec<u8>, u64)> = Vec::new();
        let snapshot = view.snapshot();
        let (from, to) = range_of(series, &(i64::MIN..horizon.as_micros()));
        snapshot.scan(Space::Blocks, &from, &to, |key, value| {
            let head = read_head(&value)?;
            if span.holds_all(&head) {
                old.push((key.to_vec(), head.rows as u64));
            }
            Ok(ControlFlow::Continue(()))
        })?;
        old.pop();
        for some in old.chunks(BLOCKS_IN_BATCH) {
            let mut batch = ViewBatch::default();
            for (key, rows) in some {
                batch.delete(Space::Blocks, key.clone());
                self.rows_gone += rows;
            }
            view.write(batch)?;
        }
        Ok(())
    }

    /// Thins what lies between the bounds, a stretch of whole periods after the other.
    fn thin(&mut self, view: &View, series: &[u8], period: Period) -> Result<(), Error> {
        let (mut from, end) = (self.from.exact_from.max(self.to.kept_from), self.to.exact_from);
        while from < end {
            let span = Span { series: series.to_vec(), micros: Some(from.as_micros()..end.as_micros()) };
            let mut time = |row: &Row| Ok(Some(row.time));
            let (first, _) = first(&view.snapshot(), &span, 1, &mut time)?;
            // Where nothing lies there is nothing to do.
            let Some(first) = first.first().copied() else { return Ok(()) };
            let number = period.number(Time::UNSET, first);
            let begin = period.start(Time::UNSET, number).max(from);
            let to = period.start(Time::UNSET, number + period.in_span(STRETCH_MICROS)).min(end);
            self.rewrite(view, series, begin.as_micros()..to.as_micros(), &|rows| {
                let (low, high) =
                    (rows.partition_point(|row| row.time < begin), rows.partition_point(|row| row.time < to));
                let mut kept = rows[..low].to_vec();
                thinned(&rows[low..high], period, &mut kept)?;
                kept.extend_from_slice(&rows[high..]);
                Ok(kept)
            })?;
            from = to;
        }
        Ok(())
    }

    /// Takes the rows of a span, those of its blocks that reach beyond it included, and puts back what stays.
    fn rewrite(
        &mut self,
        view: &View,
        series: &[u8],
        micros: Range<i64>,
        stay: &dyn Fn(&[Row]) -> Result<Vec<Row>, Error>,
    ) -> Result<(), Error> {
        if micros.is_empty() {
            return Ok(());
        }
        let span = Span { series: series.to_vec(), micros: Some(micros) };
        let (mut rows, mut batch) = (Vec::new(), ViewBatch::default());
        let mut blocks: Vec<Vec<u8>> = Vec::new();
        for_each_piece(&view.snapshot(), &span, &mut |piece| {
            match piece {
                Piece::Block(_, bytes) => {
                    let block = Block::decode(bytes)?;
                    blocks.push(row_key(series, block.time(0), block.position(0)));
                    rows.extend(block.rows()?);
                }
                Piece::Loose(time, position, bytes) => {
                    batch.delete(Space::History, row_key(series, time, position));
                    rows.push(Row { time, position, instance: bytes.into() });
                }
            }
            Ok(ControlFlow::Continue(()))
        })?;
        rows.sort_by_key(Row::place);
        let kept = stay(&rows)?;
        if kept.len() == rows.len() {
            return Ok(());
        }
        self.rows_gone += (rows.len() - kept.len()) as u64;
        // A key is written once in a batch, so a block that stays under its key is not deleted.
        let first_of = |chunk: &[Row]| chunk.first().map(|row| row_key(series, row.time, row.position));
        let new: Vec<Vec<u8>> = chunks(&kept).filter_map(first_of).collect();
        for old in blocks.into_iter().filter(|old| !new.contains(old)) {
            batch.delete(Space::Blocks, old);
        }
        put_blocks(series, None, &kept, &mut batch)?;
        view.write(batch)
    }
}

/// Of each period the first, the least, the greatest and the last number; all that is no number.
fn thinned(rows: &[Row], period: Period, kept: &mut Vec<Row>) -> Result<(), Error> {
    let mut periods: BTreeMap<i64, Vec<(f64, &Row)>> = BTreeMap::new();
    let mut stay: Vec<&Row> = Vec::new();
    for row in rows {
        match split_instance(&row.instance)?.number {
            Some(number) => {
                let number = number.as_f64();
                periods.entry(period.number(Time::UNSET, row.time)).or_default().push((number, row));
            }
            None => stay.push(row),
        }
    }
    for readings in periods.values() {
        let least = readings.iter().min_by(|a, b| a.0.total_cmp(&b.0));
        let greatest = readings.iter().max_by(|a, b| a.0.total_cmp(&b.0));
        stay.extend([readings.first(), least, greatest, readings.last()].into_iter().flatten().map(|(_, row)| *row));
    }
    stay.sort_by_key(|row| row.place());
    stay.dedup_by_key(|row| row.place());
    kept.extend(stay.into_iter().cloned());
    Ok(())
}

/// The first series at or behind a key.
fn next_series(snapshot: &Snapshot, from: &[u8]) -> Result<Option<Vec<u8>>, Error> {
    let mut next: Option<Vec<u8>> = None;
    for space in [Space::Blocks, Space::History] {
        snapshot.scan(space, from, &[0xff; 64], |key, _| {
            let series = series_of(key)?;
            if next.as_deref().is_none_or(|other| series < other) {
                next = Some(series.to_vec());
            }
            Ok(ControlFlow::Break(()))
        })?;
    }
    Ok(next)
}

#[cfg(test)]
mod tests {
    use super::*;
    use city_model::change::InstancePosition;
    use city_model::{Instance, Kind, Value};
    use city_store::Terms;
    use city_store::codec::{Writer, write_instance};

    const SERIES: &[u8] = &[7; 20];

    fn row(minute: i64, value: Value) -> Row {
        let time = Time::from_micros(minute * 60_000_000);
        let mut instance = Instance::new(Kind::Property(value));
        (instance.created_at, instance.modified_at, instance.observed_at) = (time, time, Some(time));
        let mut out = Writer::default();
        write_instance(&instance, &Terms::default(), &mut out);
        Row { time, position: InstancePosition { seq: minute as u64, index: 0 }, instance: out.bytes.into() }
    }

    /// A day of readings, one a minute: the first half packed, the rest loose.
    fn day(view: &View, value: impl Fn(i64) -> Value) {
        let rows: Vec<Row> = (0..1_440).map(|minute| row(minute, value(minute))).collect();
        let mut batch = ViewBatch::default();
        put_blocks(SERIES, None, &rows[..720], &mut batch).unwrap();
        for row in &rows[720..] {
            batch.put(Space::History, row_key(SERIES, row.time, row.position), &row.instance);
        }
        view.write(batch).unwrap();
    }

    fn minutes(view: &View) -> Vec<i64> {
        let mut found = Vec::new();
        let span = Span { series: SERIES.to_vec(), micros: None };
        for_each_piece(&view.snapshot(), &span, &mut |piece| {
            match piece {
                Piece::Block(_, bytes) => {
                    let block = Block::decode(bytes)?;
                    found.extend((0..block.len()).map(|at| block.time(at).as_micros() / 60_000_000));
                }
                Piece::Loose(time, ..) => found.push(time.as_micros() / 60_000_000),
            }
            Ok(ControlFlow::Continue(()))
        })
        .unwrap();
        found.sort_unstable();
        found
    }

    fn sweep(view: &View, policy: Policy, now_minute: i64) {
        let now = Time::from_micros(now_minute * 60_000_000);
        if let Some(mut sweep) = Sweep::begin(view, policy, now).unwrap() {
            while !sweep.step(view, 1).unwrap() {}
            sweep.finish(view).unwrap();
        }
    }

    fn period(text: &str) -> Period {
        Period::parse(text).unwrap()
    }

    #[test]
    fn what_is_too_old_goes_but_for_the_last_before_the_horizon() {
        let folder = tempfile::tempdir().unwrap();
        let view = View::open(folder.path()).unwrap();
        day(&view, Value::Int);
        let policy = Policy { keep: Some(period("PT8H")), thin: None };
        sweep(&view, policy, 1_440);
        assert_eq!(minutes(&view), (959..1_440).collect::<Vec<_>>(), "minute 959 says how it stood at 960");
        assert_eq!(Bounds::read(&view).unwrap().kept_from, Time::from_micros(960 * 60_000_000));
        sweep(&view, policy, 1_500);
        assert_eq!(minutes(&view), (1_019..1_440).collect::<Vec<_>>());
        sweep(&view, policy, 9_999);
        assert_eq!(minutes(&view), [1_439], "the last reading stays, however old");
        // A clock that goes back gives nothing back and takes nothing.
        sweep(&view, policy, 1_440);
        assert_eq!(minutes(&view), [1_439]);
    }

    #[test]
    fn thinning_keeps_first_least_greatest_and_last_of_each_period() {
        let folder = tempfile::tempdir().unwrap();
        let view = View::open(folder.path()).unwrap();
        day(&view, |minute| Value::Int((minute * 37) % 60));
        let policy = Policy { keep: None, thin: Some(Thinning { after: period("PT12H"), period: period("PT1H") }) };
        // The block of the first 12 hours has aged as a whole; the rest is exact.
        sweep(&view, policy, 1_440);
        let left = minutes(&view);
        assert_eq!(left.iter().filter(|minute| **minute >= 720).count(), 720);
        for hour in 0..12 {
            let own: Vec<i64> = left.iter().copied().filter(|minute| minute / 60 == hour).collect();
            assert!((2..=4).contains(&own.len()), "{own:?}");
            let values = own.iter().map(|minute| (minute * 37) % 60);
            assert!(values.clone().min() == Some(0) && values.max() == Some(59), "extremes stay: {own:?}");
            assert!(own.contains(&(hour * 60)) && own.contains(&(hour * 60 + 59)));
        }
        let once = minutes(&view);
        sweep(&view, policy, 1_440);
        assert_eq!(minutes(&view), once, "what is thinned is not thinned again");
    }

    #[test]
    fn a_sweep_that_was_broken_off_goes_on() {
        let folder = tempfile::tempdir().unwrap();
        let view = View::open(folder.path()).unwrap();
        day(&view, |minute| Value::Int((minute * 37) % 60));
        let policy = Policy { keep: None, thin: Some(Thinning { after: period("PT12H"), period: period("PT1H") }) };
        let now = Time::from_micros(1_440 * 60_000_000);
        // The bounds are known, and then the process ends.
        drop(Sweep::begin(&view, policy, now).unwrap().unwrap());
        assert!(!policy.is_due(Bounds::read(&view).unwrap(), now, 1));
        let mut sweep = Sweep::resume(&view, policy).unwrap().unwrap();
        while !sweep.step(&view, 1).unwrap() {}
        sweep.finish(&view).unwrap();
        assert!(minutes(&view).len() < 800);
        assert!(Sweep::resume(&view, policy).unwrap().is_none());
    }

    #[test]
    fn what_is_no_number_is_not_thinned() {
        let folder = tempfile::tempdir().unwrap();
        let view = View::open(folder.path()).unwrap();
        day(&view, |minute| Value::text(if minute % 2 == 0 { "open" } else { "shut" }));
        let policy = Policy { keep: None, thin: Some(Thinning { after: period("PT1H"), period: period("PT1H") }) };
        sweep(&view, policy, 1_440);
        assert_eq!(minutes(&view).len(), 1_440);
    }
}
