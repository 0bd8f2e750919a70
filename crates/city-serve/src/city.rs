//! Everything the doors may call, in one place.

use std::sync::Arc;

use city_action::Action;
use city_context::Context;
use city_history::History;
use city_model::{Cause, Permit, TenantName, Time};
use city_ngsi_ld::ContextStore;
use city_outbound::Outbound;
use city_sql::Sql;
use city_store::{Clock, DiskWatch};
use city_trust::Trust;
use tokio::sync::{Semaphore, SemaphorePermit};

/// The rooms behind the doors. `renkei` puts it together.
pub struct City {
    pub action: Action,
    pub history: Arc<History>,
    pub context: Arc<Context>,
    pub trust: Trust,
    pub contexts: Arc<ContextStore>,
    pub outbound: Outbound,
    pub clock: Arc<dyn Clock>,
    pub sql: Sql,
    pub disk: DiskWatch,
    pub readers: Readers,
}

/// Long reads at the same time, at most: twice the cores. The others wait without a thread of their own.
#[derive(Debug)]
pub struct Readers {
    places: Semaphore,
    /// A backup reads everything: one at a time.
    pub backup: Arc<Semaphore>,
}

impl Default for Readers {
    fn default() -> Self {
        let cores = std::thread::available_parallelism().map_or(2, usize::from);
        Self { places: Semaphore::new(2 * cores), backup: Arc::new(Semaphore::new(1)) }
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

    /// Until identity exists, whoever reaches the socket is the local operator.
    #[must_use]
    pub fn permit(&self, tenant: &TenantName, purpose: Option<&str>) -> Permit {
        self.trust.issue_local_operator(tenant, purpose, self.now())
    }
}

/// The cause of what a request changes.
#[must_use]
pub fn cause(origin: &str) -> Cause {
    Cause { request: uuid::Uuid::new_v4().as_u128(), origin: origin.into(), depth: 0 }
}
