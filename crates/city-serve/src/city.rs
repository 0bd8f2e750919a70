//! Everything the doors may call, in one place.

use std::sync::Arc;

use city_action::Action;
use city_action::control::Control;
use city_context::Context;
use city_history::History;
use city_ingest::source::Sources;
use city_ingest::timetables::Timetables;
use city_insight::Insight;
use city_model::{Cause, Change, DefinitionKind, Note, Permit, Time};
use city_ngsi_ld::ContextStore;
use city_outbound::Outbound;
use city_sql::Sql;
use city_store::{Clock, DiskWatch};
use city_trust::Trust;
use city_trust::trail::Trail;
use parking_lot::Mutex;
use serde_json::Value;
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::people::{HASHES_AT_ONCE, HASHES_WAITING_MAX};
use crate::problem::Problem;
use crate::stream::Streams;

/// The rooms behind the doors. `renkei` puts it together.
pub struct City {
    /// Rules end before what they propose to.
    pub insight: Insight,
    pub control: Arc<Control>,
    pub action: Action,
    pub history: Arc<History>,
    pub context: Arc<Context>,
    pub trust: Arc<Trust>,
    pub trail: Trail,
    pub learning: Learning,
    pub contexts: Arc<ContextStore>,
    pub outbound: Outbound,
    pub clock: Arc<dyn Clock>,
    pub sql: Sql,
    pub disk: DiskWatch,
    pub readers: Readers,
    pub messages: crate::mqtt::Messages,
    pub sources: Arc<Sources>,
    pub timetables: Timetables,
    pub streams: Streams,
    /// Whether browsers reach it by TLS, here or at a proxy in front.
    pub is_secure: bool,
}

/// One definition after the other is learnt, so that what was changed last counts.
#[derive(Debug, Default)]
pub struct Learning {
    order: Mutex<()>,
    /// The same for changes of rules, which count them.
    pub rules: tokio::sync::Mutex<()>,
}

/// Long reads at the same time, at most: twice the cores. The others wait without a thread of their own.
#[derive(Debug)]
pub struct Readers {
    places: Semaphore,
    /// A backup reads everything: one at a time.
    pub backup: Arc<Semaphore>,
    pub hashes: Hashes,
}

/// Passwords that are being hashed.
#[derive(Debug)]
pub struct Hashes {
    pub places: Semaphore,
    /// One for each that has a place or waits for it.
    pub waiting: Semaphore,
}

impl Default for Hashes {
    fn default() -> Self {
        Self { places: Semaphore::new(HASHES_AT_ONCE), waiting: Semaphore::new(HASHES_AT_ONCE + HASHES_WAITING_MAX) }
    }
}

impl Default for Readers {
    fn default() -> Self {
        let cores = std::thread::available_parallelism().map_or(2, usize::from);
        Self { places: Semaphore::new(2 * cores), backup: Arc::new(Semaphore::new(1)), hashes: Hashes::default() }
    }
}

impl Readers {
    /// A place, when there is one; the semaphore is never closed, and without a place a read would still be right.
    pub async fn place(&self) -> Option<SemaphorePermit<'_>> {
        self.places.acquire().await.ok()
    }
}

impl City {
    #[must_use]
    pub fn now(&self) -> Time {
        self.clock.now()
    }

    /// Runs a read that may look at many entities, when there is a place for it.
    pub async fn read<T>(&self, read: impl FnOnce() -> T) -> T {
        let _place = self.readers.place().await;
        tokio::task::block_in_place(read)
    }

    /// Notes what was done in the trail; when this is answered, that is durable.
    pub async fn note(&self, permit: &Permit, what: &str, subject: &str, details: &Value) -> Result<(), Problem> {
        let note =
            Note { what: what.into(), subject: subject.into(), details: details.to_string().into_bytes().into() };
        for result in self.context.apply(permit, vec![Change::Note(note)], cause("trail"), Vec::new()).await? {
            result?;
        }
        Ok(())
    }

    /// Takes in a definition that says who may, as it stands now in the context.
    pub fn learn(&self, permit: &Permit, kind: DefinitionKind, id: &str) -> Result<(), Problem> {
        let _in_order = self.learning.order.lock();
        // Whatever became of the permit meanwhile: what is durable must be known.
        let space = self.context.tenants().find(permit.tenant());
        let body = space.and_then(|space| space.definitions.read().get(&(kind, Box::from(id))).cloned());
        Ok(self.trust.learn(permit.tenant(), kind, id, body.as_deref())?)
    }
}

/// The cause of what a request changes.
#[must_use]
pub fn cause(origin: &str) -> Cause {
    Cause { request: uuid::Uuid::new_v4().as_u128(), origin: origin.into(), depth: 0 }
}
