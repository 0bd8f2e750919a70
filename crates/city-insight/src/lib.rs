//! What the city understands: rules hold changes against conditions, and propose what might be done.
//!
//! Changes come in from the journal, by one cursor; proposals go out to whoever keeps the desk. Nothing here
//! can act: what is proposed is for people to decide.

pub mod condition;
mod follow;
mod past;
mod patterns;
pub mod replay;
pub mod rule;
pub mod window;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;

use city_context::Context;
use city_history::History;
use city_model::{EntityId, Permit, PermitSource, Proposal};
use parking_lot::Mutex;

pub use rule::{Rule, RuleText, StoredRule, Wrong};

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("INS-001 {0}")]
    Store(#[from] city_store::Error),
    #[error("INS-002 {0}")]
    Context(#[from] city_context::Error),
    #[error("INS-003 The thread of the rules cannot be started: {0}")]
    Thread(std::io::Error),
    #[error("INS-004 A stored rule cannot be read: {0}")]
    Stored(String),
    #[error("INS-005 The rule is not as it must be. {0}")]
    Rule(#[from] Wrong),
    #[error("INS-006 A proposal could not be handed over: {0}")]
    Desk(String),
    #[error("INS-007 The past could not be read: {0}")]
    History(#[from] city_history::Error),
    #[error("INS-008 The rule cannot be evaluated: {0}")]
    Evaluation(String),
}

/// Where proposals go to.
pub trait Desk: Send + Sync {
    /// Whether a rule has begun at an entity, and not ended, as far as its change `seq`: after a crash, changes
    /// come again that lie before the one at which it began.
    fn has_begun(&self, tenant: u32, rule: &str, about: &EntityId, seq: u64) -> bool;

    fn suggest(&self, permit: &Permit, proposal: &Proposal) -> Result<(), NotTaken>;

    /// Its condition ended with the change `seq`.
    fn end(&self, permit: &Permit, rule: &str, about: &EntityId, seq: u64) -> Result<(), NotTaken>;

    /// The rule is removed: where it had begun is no matter any more.
    fn forget(&self, tenant: u32, rule: &str);
}

/// Why the desk did not take something.
#[derive(Debug)]
pub enum NotTaken {
    /// It never will: the rule says so, and the others go on.
    Refused(String),
    /// Not now; it is tried again.
    Later(String),
}

/// Why a rule says nothing, by tenant and name.
type Failures = Arc<Mutex<HashMap<(u32, Box<str>), Box<str>>>>;

/// Follows and proposes until it is dropped.
pub struct Insight {
    context: Arc<Context>,
    history: Arc<History>,
    cursor: Arc<AtomicU64>,
    failures: Failures,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Insight {
    pub fn start(
        context: Arc<Context>,
        history: Arc<History>,
        permits: Arc<dyn PermitSource>,
        desk: Arc<dyn Desk>,
    ) -> Result<Self, Error> {
        let (cursor, stop) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
        let failures = Failures::default();
        let follower = follow::Follower::open(
            Arc::clone(&context),
            Arc::clone(&history),
            permits,
            desk,
            Arc::clone(&cursor),
            Arc::clone(&stop),
            Arc::clone(&failures),
        )?;
        let thread =
            std::thread::Builder::new().name("rules".to_owned()).spawn(|| follower.run()).map_err(Error::Thread)?;
        Ok(Self { context, history, cursor, failures, stop, thread: Some(thread) })
    }

    /// How many records the rules have not seen yet.
    #[must_use]
    pub fn behind(&self) -> u64 {
        self.context.journal().durable().saturating_sub(self.cursor.load(Ordering::Acquire))
    }

    /// What a rule would have suggested in a span of the past, as far as the permit shows that.
    pub fn replay(&self, permit: &Permit, rule: &Rule, span: &replay::Span) -> Result<replay::Replayed, Error> {
        replay::replay(&self.context, &self.history, permit, rule, span)
    }

    /// Why a rule says nothing, if so.
    #[must_use]
    pub fn failure(&self, tenant: u32, rule: &str) -> Option<Box<str>> {
        self.failures.lock().get(&(tenant, rule.into())).cloned()
    }
}

impl Drop for Insight {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// A rule from the body that the journal keeps.
pub fn parse_stored(body: &[u8]) -> Result<StoredRule, Error> {
    serde_json::from_slice(body).map_err(|error| Error::Stored(error.to_string()))
}
