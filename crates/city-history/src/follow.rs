//! The follower: records in by cursor, rows of the past out, both in one batch of the view.

use std::collections::{HashMap, HashSet};
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use city_model::change::InstancePosition;
use city_model::{Instance, Kind, Time};
use city_store::codec::{Writer, peek_times, write_instance};
use city_store::journal::Read;
use city_store::record::RecordKind;
use city_store::view::after_prefix;
use city_store::{Clock, Error, JournalReader, Record, Space, TermNo, Terms, Touched, View, ViewBatch};
use parking_lot::Mutex;

use crate::block::{Block, Row};
use crate::pack::{PACK_ROWS_MIN, looks, pack, put_blocks};
use crate::retention::{Bounds, Policy, Sweep};
use crate::row::{attribute_prefix, entity_prefix, row_key, series_of, series_prefix};
use crate::series::{Place, find};

mod rebuild;

/// Most records that go into one batch.
const BATCH_RECORDS: usize = 2_000;
/// Most rows that go into one batch when the past is rebuilt or removed.
const BATCH_ROWS: usize = 10_000;
/// How long it sleeps when nothing comes; it is woken when something does.
const IDLE: Duration = Duration::from_millis(500);

/// Series that a sweep works on before the follower looks for new records again.
const SWEEP_SERIES: usize = 200;
/// A sweep begins when the bounds have moved by so much, in microseconds: a day.
const SWEEP_EVERY_MICROS: i64 = 86_400_000_000;

const CURSOR_KEY: &[u8] = b"cursor:history";

/// In a past record: every dataset of the attribute.
const ALL_DATASETS: TermNo = TermNo(u32::MAX);

pub struct Follower {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    cursor: AtomicU64,
    stop: AtomicBool,
    failure: Mutex<Option<Arc<str>>>,
    bounds: Mutex<Bounds>,
    /// Records were lost, and what came of them is not taken from the state yet.
    gap: AtomicBool,
}

impl Follower {
    pub fn start(
        view: Arc<View>,
        journal: JournalReader,
        clock: Arc<dyn Clock>,
        policy: Policy,
    ) -> Result<Self, Error> {
        let cursor = match view.get(Space::Meta, CURSOR_KEY)? {
            None => 0,
            Some(bytes) => u64::from_le_bytes(
                bytes[..]
                    .try_into()
                    .map_err(|_| Error::Undecodable("the cursor of history has a wrong length".to_owned()))?,
            ),
        };
        let shared = Arc::new(Shared {
            cursor: AtomicU64::new(cursor),
            stop: AtomicBool::new(false),
            failure: Mutex::new(None),
            bounds: Mutex::new(Bounds::read(&view)?),
            gap: AtomicBool::new(false),
        });
        let worker = Worker { view, journal, clock, policy, shared: Arc::clone(&shared), no_names: Terms::default() };
        shared.gap.store(worker.gap()?.is_some(), Ordering::Release);
        let thread = std::thread::Builder::new()
            .name("history".to_owned())
            .spawn(move || worker.run())
            .map_err(|source| Error::Io { what: "cannot start the thread", path: "history".to_owned(), source })?;
        Ok(Self { shared, thread: Some(thread) })
    }

    /// Whether a record and all before it can be read here.
    pub fn has_reached(&self, lsn: u64) -> bool {
        self.cursor() >= lsn && !self.shared.gap.load(Ordering::Acquire)
    }

    /// Last record that was followed.
    pub fn cursor(&self) -> u64 {
        self.shared.cursor.load(Ordering::Acquire)
    }

    /// What of the past is there no more.
    pub fn bounds(&self) -> Bounds {
        *self.shared.bounds.lock()
    }

    pub fn failure(&self) -> Option<Arc<str>> {
        self.shared.failure.lock().clone()
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

struct Worker {
    view: Arc<View>,
    journal: JournalReader,
    clock: Arc<dyn Clock>,
    policy: Policy,
    shared: Arc<Shared>,
    no_names: Terms,
}

impl Worker {
    fn run(self) {
        let mut sweep = self.unfinished_sweep();
        while !self.shared.stop.load(Ordering::Acquire) {
            if let Err(error) = self.round(&mut sweep) {
                tracing::error!(%error, "history stopped; the current state goes on");
                *self.shared.failure.lock() = Some(error.to_string().into());
                return;
            }
            if self.journal.is_closed() {
                return;
            }
        }
    }

    /// The sweep that was under way when the process ended.
    fn unfinished_sweep(&self) -> Option<Sweep> {
        Sweep::resume(&self.view, self.policy).unwrap_or_else(|error| {
            tracing::warn!(%error, "a sweep of history that was broken off cannot go on");
            None
        })
    }

    /// New records first; a sweep goes on in between.
    fn round(&self, sweep: &mut Option<Sweep>) -> Result<(), Error> {
        let cursor = self.shared.cursor.load(Ordering::Acquire);
        // While a sweep is under way, nobody waits for it.
        let wait = if sweep.is_some() { Duration::ZERO } else { IDLE };
        let arrived = self.journal.wait_after(cursor, wait);
        if !self.view.has_room() {
            std::thread::sleep(IDLE);
            return Ok(());
        }
        if arrived {
            self.step(cursor, u64::MAX)?;
        }
        if self.shared.gap.load(Ordering::Acquire)
            && let Some(lost_after) = self.gap()?
        {
            self.close_gap(lost_after)?;
        }
        self.sweep(sweep)
    }

    fn sweep(&self, sweep: &mut Option<Sweep>) -> Result<(), Error> {
        if sweep.is_none() && self.policy.is_due(*self.shared.bounds.lock(), self.clock.now(), SWEEP_EVERY_MICROS) {
            *sweep = Sweep::begin(&self.view, self.policy, self.clock.now())?;
            *self.shared.bounds.lock() = Bounds::read(&self.view)?;
        }
        if let Some(under_way) = sweep
            && under_way.step(&self.view, SWEEP_SERIES)?
        {
            tracing::info!(
                series = under_way.series,
                rows = under_way.rows_gone,
                "history was thinned or forgotten, as its retention says"
            );
            metrics::counter!("renkei_history_rows_gone_total").increment(under_way.rows_gone);
            under_way.finish(&self.view)?;
            *sweep = None;
        }
        Ok(())
    }

    /// The next records, none beyond `through`.
    fn step(&self, cursor: u64, through: u64) -> Result<(), Error> {
        let records_max = usize::try_from(through - cursor).unwrap_or(usize::MAX).min(BATCH_RECORDS);
        let records = match self.journal.read(cursor + 1, records_max)? {
            Read::Records(records) => records,
            Read::Lost { oldest } => return self.lose(cursor, oldest),
        };
        if records.is_empty() {
            return Ok(());
        }
        let mut pending = Pending { through: cursor, ..Pending::default() };
        for published in &records {
            self.take(&published.record, &mut pending)?;
            pending.through = published.lsn;
        }
        let (rows, looking) = self.drain(&mut pending)?;
        self.advance(rows, pending.through)?;
        for series in looking {
            let mut batch = ViewBatch::default();
            pack(&self.view.snapshot(), &series, Vec::new(), &mut batch)?;
            self.view.write(batch)?;
        }
        metrics::counter!("renkei_history_records_total").increment(records.len() as u64);
        Ok(())
    }

    /// Rows of series that got many at once become blocks straight away; the others lie loose. With
    /// them, the series that shall be looked at.
    fn drain(&self, pending: &mut Pending) -> Result<(ViewBatch, HashSet<Vec<u8>>), Error> {
        let mut batch = ViewBatch::default();
        let snapshot = self.view.snapshot();
        for (series, rows) in std::mem::take(&mut pending.rows) {
            if rows.len() >= PACK_ROWS_MIN {
                pack(&snapshot, &series, rows, &mut batch)?;
            } else {
                for row in rows {
                    batch.put(Space::History, row_key(&series, row.time, row.position), &row.instance);
                }
            }
        }
        Ok((batch, std::mem::take(&mut pending.looking)))
    }

    /// What comes next is about rows that may be among the pending ones: they are written first, with
    /// the cursor behind them, so that no row is ever added twice.
    fn flush(&self, pending: &mut Pending) -> Result<(), Error> {
        let (batch, looking) = self.drain(pending)?;
        pending.looking = looking;
        self.advance(batch, pending.through)
    }

    fn advance(&self, mut rows: ViewBatch, cursor: u64) -> Result<(), Error> {
        rows.put(Space::Meta, CURSOR_KEY, &cursor.to_le_bytes());
        self.view.write(rows)?;
        self.shared.cursor.store(cursor, Ordering::Release);
        Ok(())
    }

    fn take(&self, record: &Record, rows: &mut Pending) -> Result<(), Error> {
        match record.kind {
            RecordKind::State => {
                for (index, touched) in (0u32..).zip(&record.touched) {
                    let position = InstancePosition { seq: record.seq, index };
                    match &touched.change.after {
                        Some(after) => self.add(record, touched, position, after, rows)?,
                        None => self.add(record, touched, position, &self.deletion(record.time), rows)?,
                    }
                }
            }
            RecordKind::Past => self.take_past(record, rows)?,
            RecordKind::Definition | RecordKind::Also | RecordKind::Note => {}
        }
        Ok(())
    }

    fn take_past(&self, record: &Record, rows: &mut Pending) -> Result<(), Error> {
        let entity = entity_prefix(record.tenant, record.branch, record.entity);
        if record.identity.as_ref().is_some_and(|identity| identity.after.is_none()) {
            return self.remove(&entity, rows);
        }
        for (index, touched) in (0u32..).zip(&record.touched) {
            let attribute = attribute_prefix(record.tenant, record.branch, record.entity, touched.attribute);
            match (&touched.position, &touched.change.after) {
                (None, Some(after)) => {
                    self.add(record, touched, InstancePosition { seq: record.seq, index }, after, rows)?;
                }
                (None, None) if touched.dataset == ALL_DATASETS => self.remove(&attribute, rows)?,
                (None, None) => self.remove(&series_of_touched(record, touched), rows)?,
                (Some(position), after) => {
                    self.flush(rows)?;
                    let new = match after {
                        Some(after) => {
                            let (modified_at, observed_at) = peek_times(after)?;
                            let time = observed_at.unwrap_or(modified_at);
                            Some((row_key(&series_of_touched(record, touched), time, *position), &after[..]))
                        }
                        None => None,
                    };
                    self.replace_one(&attribute, *position, new)?;
                }
            }
        }
        Ok(())
    }

    fn add(
        &self,
        record: &Record,
        touched: &Touched,
        position: InstancePosition,
        instance: &[u8],
        pending: &mut Pending,
    ) -> Result<(), Error> {
        let (modified_at, observed_at) = peek_times(instance)?;
        let series = series_of_touched(record, touched);
        if looks(position.seq, position.index) {
            pending.looking.insert(series.clone());
        }
        let row = Row { time: observed_at.unwrap_or(modified_at), position, instance: instance.into() };
        pending.rows.entry(series).or_default().push(row);
        Ok(())
    }

    /// What stands in the past where an instance was deleted (CIM 009 clause 4.5.7: deletedAt).
    fn deletion(&self, time: Time) -> Vec<u8> {
        let mut instance = Instance::new(Kind::Null);
        instance.created_at = time;
        instance.modified_at = time;
        instance.deleted_at = Some(time);
        let mut out = Writer::default();
        write_instance(&instance, &self.no_names, &mut out);
        out.bytes
    }

    /// Takes an instance away and puts another in its place, in one batch: a reader sees the one or the other.
    fn replace_one(
        &self,
        attribute: &[u8],
        position: InstancePosition,
        new: Option<(Vec<u8>, &[u8])>,
    ) -> Result<(), Error> {
        let mut batch = ViewBatch::default();
        match find(&self.view.snapshot(), attribute, position)? {
            // A key is written once in a batch; the new row takes the place of the old one by itself.
            Some(Place::Loose { key }) if new.as_ref().is_some_and(|(new, _)| *new == key) => {}
            Some(Place::Loose { key }) => batch.delete(Space::History, key),
            Some(Place::Block { key, at }) => {
                if let Some(bytes) = self.view.get(Space::Blocks, &key)? {
                    let mut rows = Block::decode(&bytes)?.rows()?;
                    rows.remove(at);
                    let series = series_of(&key)?.to_vec();
                    put_blocks(&series, Some(key), &rows, &mut batch)?;
                }
            }
            None => {}
        }
        if let Some((key, instance)) = new {
            batch.put(Space::History, key, instance);
        }
        self.view.write(batch)
    }

    /// Removes rows, those pending included; large spans in batches of their own.
    fn remove(&self, prefix: &[u8], pending: &mut Pending) -> Result<(), Error> {
        self.flush(pending)?;
        for space in [Space::History, Space::Blocks] {
            loop {
                let mut batch = ViewBatch::default();
                self.view.scan(space, prefix, &after_prefix(prefix), |key, _| {
                    batch.delete(space, key.to_vec());
                    Ok(if batch.len() < BATCH_ROWS { ControlFlow::Continue(()) } else { ControlFlow::Break(()) })
                })?;
                if batch.is_empty() {
                    break;
                }
                self.view.write(batch)?;
            }
        }
        Ok(())
    }
}

/// Rows of one batch that are not written yet.
#[derive(Default)]
struct Pending {
    /// The last record whose rows are all here or written.
    through: u64,
    rows: HashMap<Vec<u8>, Vec<Row>>,
    /// Series of which a row looks how many loose ones there are.
    looking: HashSet<Vec<u8>>,
}

fn series_of_touched(record: &Record, touched: &Touched) -> Vec<u8> {
    series_prefix(record.tenant, record.branch, record.entity, touched.attribute, touched.dataset)
}
