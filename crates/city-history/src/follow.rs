//! The follower: records in by cursor, rows of the past out, both in one batch of the view.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use city_model::change::InstancePosition;
use city_model::{Instance, Kind, Time};
use city_store::codec::{Writer, peek_times, write_instance};
use city_store::journal::Read;
use city_store::record::{LIVE_BRANCH, RecordKind};
use city_store::view::after_prefix;
use city_store::{Error, JournalReader, Record, Space, TermNo, Terms, Touched, View, ViewBatch};
use parking_lot::Mutex;

use crate::row::{attribute_prefix, entity_prefix, position_of, row_key, series_prefix};

/// Most records that go into one batch.
const BATCH_RECORDS: usize = 2_000;
/// Most rows that go into one batch when the past is rebuilt or removed.
const BATCH_ROWS: usize = 10_000;
/// How long it sleeps when nothing comes; it is woken when something does.
const IDLE: Duration = Duration::from_millis(500);

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
}

impl Follower {
    pub fn start(view: Arc<View>, journal: JournalReader) -> Result<Self, Error> {
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
        });
        let worker = Worker { view, journal, shared: Arc::clone(&shared), no_names: Terms::default() };
        let thread = std::thread::Builder::new()
            .name("history".to_owned())
            .spawn(move || worker.run())
            .map_err(|source| Error::Io { what: "cannot start the thread", path: "history".to_owned(), source })?;
        Ok(Self { shared, thread: Some(thread) })
    }

    /// Last record that can be read here.
    pub fn cursor(&self) -> u64 {
        self.shared.cursor.load(Ordering::Acquire)
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
    shared: Arc<Shared>,
    no_names: Terms,
}

impl Worker {
    fn run(self) {
        while !self.shared.stop.load(Ordering::Acquire) {
            let cursor = self.shared.cursor.load(Ordering::Acquire);
            if !self.journal.wait_after(cursor, IDLE) {
                if self.journal.is_closed() {
                    return;
                }
                continue;
            }
            if !self.view.has_room() {
                std::thread::sleep(IDLE);
                continue;
            }
            if let Err(error) = self.step(cursor) {
                tracing::error!(%error, "history stopped; the current state goes on");
                *self.shared.failure.lock() = Some(error.to_string().into());
                return;
            }
        }
    }

    fn step(&self, cursor: u64) -> Result<(), Error> {
        let records = match self.journal.read(cursor + 1, BATCH_RECORDS)? {
            Read::Records(records) => records,
            Read::Lost { oldest } => return self.rebuild(cursor, oldest),
        };
        let Some(last) = records.last().map(|published| published.lsn) else { return Ok(()) };
        let mut rows = ViewBatch::default();
        for published in &records {
            self.take(&published.record, &mut rows)?;
        }
        self.advance(rows, last)?;
        metrics::counter!("renkei_history_records_total").increment(records.len() as u64);
        Ok(())
    }

    fn advance(&self, mut rows: ViewBatch, cursor: u64) -> Result<(), Error> {
        rows.put(Space::Meta, CURSOR_KEY, &cursor.to_le_bytes());
        self.view.write(rows)?;
        self.shared.cursor.store(cursor, Ordering::Release);
        Ok(())
    }

    fn take(&self, record: &Record, rows: &mut ViewBatch) -> Result<(), Error> {
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
            RecordKind::Definition | RecordKind::Also => {}
        }
        Ok(())
    }

    fn take_past(&self, record: &Record, rows: &mut ViewBatch) -> Result<(), Error> {
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
                (None, None) => self.remove(&series_of(record, touched), rows)?,
                (Some(position), after) => {
                    if let Some(key) = self.find(&attribute, *position)? {
                        rows.delete(Space::History, key);
                    }
                    if let Some(after) = after {
                        self.add(record, touched, *position, after, rows)?;
                    }
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
        rows: &mut ViewBatch,
    ) -> Result<(), Error> {
        let (modified_at, observed_at) = peek_times(instance)?;
        let key = row_key(&series_of(record, touched), observed_at.unwrap_or(modified_at), position);
        rows.put(Space::History, key, instance);
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

    fn find(&self, attribute: &[u8], position: InstancePosition) -> Result<Option<Vec<u8>>, Error> {
        let mut found = None;
        self.view.scan(Space::History, attribute, &after_prefix(attribute), |key, _| {
            if position_of(key)? == position {
                found = Some(key.to_vec());
                return Ok(ControlFlow::Break(()));
            }
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(found)
    }

    /// Removes rows, those staged in this batch included; large spans in batches of their own.
    fn remove(&self, prefix: &[u8], rows: &mut ViewBatch) -> Result<(), Error> {
        self.view.write(std::mem::take(rows))?;
        loop {
            let mut batch = ViewBatch::default();
            self.view.scan(Space::History, prefix, &after_prefix(prefix), |key, _| {
                batch.delete(Space::History, key.to_vec());
                Ok(if batch.len() < BATCH_ROWS { ControlFlow::Continue(()) } else { ControlFlow::Break(()) })
            })?;
            if batch.is_empty() {
                return Ok(());
            }
            self.view.write(batch)?;
        }
    }

    /// The records between are gone: what the state holds now goes into the past, so that from
    /// here on it is whole again, and the gap is said.
    fn rebuild(&self, cursor: u64, oldest: u64) -> Result<(), Error> {
        tracing::error!(
            after = cursor,
            before = oldest,
            "history lost these records of the journal; it goes on from the current state"
        );
        metrics::counter!("renkei_follower_lost_total", "follower" => "history").increment(1);
        let target = self.journal.durable();
        let mut rows = ViewBatch::default();
        let mut position = InstancePosition { seq: 0, index: 0 };
        let mut failed = None;
        self.view.scan(Space::State, &[], &[0xff; 24], |key, value| {
            let attribute = u32::from_be_bytes(key[12..16].try_into().unwrap_or_default());
            let branch = u32::from_be_bytes(key[4..8].try_into().unwrap_or_default());
            if branch != LIVE_BRANCH || attribute == 0 {
                return Ok(ControlFlow::Continue(()));
            }
            let (modified_at, observed_at) = peek_times(&value)?;
            position.index = position.index.wrapping_add(1);
            rows.put(Space::History, row_key(key, observed_at.unwrap_or(modified_at), position), &value);
            if rows.len() >= BATCH_ROWS
                && let Err(error) = self.view.write(std::mem::take(&mut rows))
            {
                failed = Some(error);
                return Ok(ControlFlow::Break(()));
            }
            Ok(ControlFlow::Continue(()))
        })?;
        match failed {
            Some(error) => Err(error),
            None => self.advance(rows, target),
        }
    }
}

fn series_of(record: &Record, touched: &Touched) -> Vec<u8> {
    series_prefix(record.tenant, record.branch, record.entity, touched.attribute, touched.dataset)
}
