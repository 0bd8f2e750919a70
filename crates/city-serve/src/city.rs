//! Everything the doors may call, in one place.

use std::sync::Arc;

use city_action::Action;
use city_context::Context;
use city_history::History;
use city_model::{Cause, Permit, TenantName, Time};
use city_ngsi_ld::ContextStore;
use city_outbound::Outbound;
use city_store::Clock;
use city_trust::Trust;

/// The rooms behind the doors. `renkei` puts it together.
pub struct City {
    pub action: Action,
    pub history: History,
    pub context: Arc<Context>,
    pub trust: Trust,
    pub contexts: Arc<ContextStore>,
    pub outbound: Outbound,
    pub clock: Arc<dyn Clock>,
}

impl City {
    #[must_use]
    pub fn now(&self) -> Time {
        self.clock.now()
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
