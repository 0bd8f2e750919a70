//! The commit thread: the one place where changes become durable.
//!
//! Requests come in through a bounded queue. The thread takes what is queued, bounded by count
//! and bytes, lets the stager turn it into records, appends them as one frame, syncs once, writes
//! the view, publishes to followers, and only then lets the stager answer. There is no timer: the
//! next batch forms while this one syncs, so a lone writer waits for one sync and a busy server
//! shares it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;

use crate::Error;
use crate::journal::{Journal, Published};
use crate::view::{Space, View, ViewBatch};

/// Most requests that wait; one more is told to come back.
pub const QUEUE_REQUESTS_MAX: usize = 4_096;
/// Most bytes that wait, by the requests' own estimate.
pub const QUEUE_BYTES_MAX: usize = 256 << 20;
/// Most requests in one sync.
const BATCH_REQUESTS_MAX: usize = 1_024;
/// Once a batch holds so many bytes, it goes.
const BATCH_BYTES_MAX: usize = 8 << 20;

pub const WATERMARK_KEY: &[u8] = b"watermark";
/// The matcher's place in the journal. It belongs to the outbox: a backup carries the two together.
pub const MATCHER_CURSOR_KEY: &[u8] = b"cursor:matcher";
/// There while a folder that was restored has not been served yet: what was under way in it may have been done since.
pub const RESTORED_KEY: &[u8] = b"restored";
/// How far rules have followed.
pub const RULES_CURSOR_KEY: &[u8] = b"cursor:rules";

/// Turns requests into records. Lives on the commit thread.
pub trait Stager: Send + 'static {
    type Request: Send + 'static;
    /// What it wants back when the batch is durable or has failed.
    type Ticket;

    /// Approximate bytes that a request holds.
    fn weight(request: &Self::Request) -> usize;
    /// Records get lsns from `next_lsn` on.
    fn stage(&mut self, requests: Vec<Self::Request>, next_lsn: u64) -> Plan<Self::Ticket>;
    /// The batch is durable and in the view: make it seen.
    fn publish(&mut self, ticket: &mut Self::Ticket);
    /// Answer everybody who waits.
    fn answer(&mut self, ticket: Self::Ticket, outcome: Result<(), CommitError>);
}

pub struct Plan<T> {
    pub records: Vec<Published>,
    /// The same as bytes, one by one; together no more than fits into a frame.
    pub encoded: Vec<Vec<u8>>,
    pub writes: ViewBatch,
    pub ticket: T,
}

/// Why a batch did not become durable.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CommitError {
    #[error("{0} Nothing was changed. Free some space; writes resume by themselves.")]
    DiskFull(String),
    #[error("The outcome is unknown: {0} The store is read-only until the server is restarted; then ask again.")]
    Unknown(Arc<str>),
    #[error("The store is read-only since a write failed: {0} Restart the server.")]
    ReadOnly(Arc<str>),
}

/// The queue is at its bound.
#[derive(Debug, thiserror::Error)]
#[error("Too many writes are waiting.")]
pub struct Busy;

pub struct Committer<R> {
    queue: Option<SyncSender<R>>,
    queued_bytes: Arc<AtomicUsize>,
    read_only: Arc<AtomicBool>,
    weight: fn(&R) -> usize,
    thread: Option<JoinHandle<()>>,
}

impl<R: Send + 'static> Committer<R> {
    pub fn start<S: Stager<Request = R>>(stager: S, journal: Journal, view: Arc<View>) -> Result<Self, Error> {
        let (queue, requests) = sync_channel(QUEUE_REQUESTS_MAX);
        let queued_bytes = Arc::new(AtomicUsize::new(0));
        let read_only = Arc::new(AtomicBool::new(false));
        let worker = Worker {
            stager,
            journal,
            view,
            requests,
            queued_bytes: Arc::clone(&queued_bytes),
            read_only: Arc::clone(&read_only),
            failed: None,
        };
        let thread = std::thread::Builder::new()
            .name("commit".to_owned())
            .spawn(move || worker.run())
            .map_err(Error::io("cannot start the thread", "commit"))?;
        Ok(Self { queue: Some(queue), queued_bytes, read_only, weight: S::weight, thread: Some(thread) })
    }

    /// Queues a request, or hands it back when the queue is at its bound.
    pub fn submit(&self, request: R) -> Result<(), (Busy, R)> {
        let weight = (self.weight)(&request);
        let before = self.queued_bytes.fetch_add(weight, Ordering::Relaxed);
        let Some(queue) = &self.queue else { return Err((Busy, request)) };
        // A single request may exceed the bound when it is alone; its own size is bounded elsewhere.
        if before > 0 && before + weight > QUEUE_BYTES_MAX {
            self.queued_bytes.fetch_sub(weight, Ordering::Relaxed);
            return Err((Busy, request));
        }
        match queue.try_send(request) {
            Ok(()) => Ok(()),
            Err(TrySendError::Full(request) | TrySendError::Disconnected(request)) => {
                self.queued_bytes.fetch_sub(weight, Ordering::Relaxed);
                Err((Busy, request))
            }
        }
    }

    #[must_use]
    pub fn is_read_only(&self) -> bool {
        self.read_only.load(Ordering::Acquire)
    }

    #[must_use]
    pub fn queued_bytes(&self) -> usize {
        self.queued_bytes.load(Ordering::Relaxed)
    }
}

impl<R> Drop for Committer<R> {
    /// What was queued is still committed and answered.
    fn drop(&mut self) {
        self.queue = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

struct Worker<S: Stager> {
    stager: S,
    journal: Journal,
    view: Arc<View>,
    requests: Receiver<S::Request>,
    queued_bytes: Arc<AtomicUsize>,
    read_only: Arc<AtomicBool>,
    failed: Option<Arc<str>>,
}

impl<S: Stager> Worker<S> {
    fn run(mut self) {
        while let Ok(first) = self.requests.recv() {
            let mut bytes = S::weight(&first);
            let mut batch = vec![first];
            while batch.len() < BATCH_REQUESTS_MAX && bytes < BATCH_BYTES_MAX {
                let Ok(request) = self.requests.try_recv() else { break };
                bytes += S::weight(&request);
                batch.push(request);
            }
            self.queued_bytes.fetch_sub(bytes, Ordering::Relaxed);
            self.commit(batch);
        }
        if self.failed.is_none()
            && let Err(error) = self.view.persist()
        {
            tracing::warn!(%error, "the view could not be synced at the end; the next start replays a little more");
        }
    }

    fn commit(&mut self, requests: Vec<S::Request>) {
        let started = std::time::Instant::now();
        let next_lsn = self.journal.next_lsn();
        let Plan { records, encoded, mut writes, mut ticket } = self.stager.stage(requests, next_lsn);
        if records.is_empty() {
            return self.stager.answer(ticket, Ok(()));
        }
        if let Some(failed) = &self.failed {
            let failed = Arc::clone(failed);
            return self.stager.answer(ticket, Err(CommitError::ReadOnly(failed)));
        }
        let last_lsn = next_lsn + records.len() as u64 - 1;
        if let Err(error) = self.journal.append(&encoded) {
            let outcome = if error.is_disk_full() {
                tracing::warn!(%error, "no space left: writes are refused until there is");
                CommitError::DiskFull(error.to_string())
            } else {
                self.fail(&error)
            };
            return self.stager.answer(ticket, Err(outcome));
        }
        writes.put(Space::Meta, WATERMARK_KEY, &last_lsn.to_le_bytes());
        if let Err(error) = self.view.write(writes) {
            let outcome = self.fail(&error);
            return self.stager.answer(ticket, Err(outcome));
        }
        metrics::histogram!("renkei_commit_seconds").record(started.elapsed().as_secs_f64());
        metrics::counter!("renkei_changes_total").increment(records.len() as u64);
        self.stager.publish(&mut ticket);
        self.journal.publish(records);
        self.stager.answer(ticket, Ok(()));
        if self.journal.wants_trim()
            && let Err(error) = self.view.persist().and_then(|()| self.journal.trim(last_lsn))
        {
            tracing::warn!(%error, "old journal segments could not be removed");
        }
    }

    fn fail(&mut self, error: &Error) -> CommitError {
        tracing::error!(%error, "a write failed; the store is read-only until restart");
        let why: Arc<str> = error.to_string().into();
        self.failed = Some(Arc::clone(&why));
        self.read_only.store(true, Ordering::Release);
        CommitError::Unknown(why)
    }
}

/// The lsn up to which the view has followed the journal.
pub fn watermark(view: &View) -> Result<u64, Error> {
    match view.get(Space::Meta, WATERMARK_KEY)? {
        None => Ok(0),
        Some(bytes) => {
            let bytes: [u8; 8] =
                bytes[..].try_into().map_err(|_| Error::Undecodable("the watermark has a wrong length".to_owned()))?;
            Ok(u64::from_le_bytes(bytes))
        }
    }
}
