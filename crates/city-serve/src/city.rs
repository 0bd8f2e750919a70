//! Everything the doors may call, in one place.

use std::sync::Arc;

use city_action::Action;
use city_context::Context;
use city_history::History;
use city_model::{Cause, Permit, TenantName, Time};
use city_ngsi_ld::ContextStore;
use city_outbound::Outbound;
use city_store::{Clock, DiskWatch};
use city_trust::Trust;
use tokio::sync::Semaphore;

/// The rooms behind the doors. `renkei` puts it together.
pub struct City {
    pub action: Action,
    pub history: History,
    pub context: Arc<Context>,
    pub trust: Trust,
    pub contexts: Arc<ContextStore>,
    pub outbound: Outbound,
    pub clock: Arc<dyn Clock>,
    pub disk: DiskWatch,
    pub readers: Readers,
}

/// Long reads at the same time, at most: twice the cores. The others wait without a thread of their own.
#[derive(Debug)]
pub struct Readers {
    places: Semaphore,
}

impl Default for Readers {
    fn default() -> Self {
        let cores = std::thread::available_parallelism().map_or(2, usize::from);
        Self { places: Semaphore::new(2 * cores) }
    }
}

impl City {
    #[must_use]
    pub fn now(&self) -> Time {
        self.clock.now()
    }

    /// Runs a read that may look at many entities, when there is a place for it.
    pub async fn read<T>(&self, read: impl FnOnce() -> T) -> T {
        // The semaphore is never closed; without a place the read would still be right.
        let _place = self.readers.places.acquire().await;
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
