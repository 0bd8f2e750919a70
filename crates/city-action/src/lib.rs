//! What leaves the city because something happened in it.
//!
//! Changes come in from the journal, by one cursor; those that a subscription asks for go into
//! the outbox in the same batch as the cursor; deliveries take them to their endpoints. This room
//! alone decides that an effect leaves.

pub mod apart;
pub mod control;
mod delivery;
mod join;
pub mod matcher;
pub mod matching;
pub mod outbox;
mod told;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;

use city_context::Context;
use city_model::subscription::DeliveryReport;
use city_model::{PermitSource, Subscription};
use city_ngsi_ld::context::ContextStore;
use city_outbound::Outbound;
use city_store::Lag;

use apart::Apart;
use delivery::Deliveries;
use matcher::Matcher;
pub use outbox::{DeadLetter, SubscriptionKey};

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("ACT-001 {0}")]
    Store(#[from] city_store::Error),
    #[error("ACT-002 {0}")]
    Context(#[from] city_context::Error),
    #[error("ACT-003 A stored subscription cannot be read: {0}")]
    Subscription(#[from] city_ngsi_ld::Error),
    #[error("ACT-004 The thread of the matcher cannot be started: {0}")]
    Thread(std::io::Error),
}

/// Matches and delivers until it is dropped.
pub struct Action {
    context: Arc<Context>,
    deliveries: Arc<Deliveries>,
    apart: Arc<Apart>,
    cursor: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Action {
    /// Deliveries run on the runtime that this is called on. What a subscription's owner may not see, by
    /// `permits`, neither fires it nor leaves through it.
    pub fn start(
        context: Arc<Context>,
        contexts: Arc<ContextStore>,
        outbound: Outbound,
        permits: Arc<dyn PermitSource>,
    ) -> Result<Self, Error> {
        let runtime = tokio::runtime::Handle::current();
        let apart = Arc::new(Apart::default());
        apart.learn(&context);
        let (to, own) = (Arc::clone(&context), Arc::clone(&apart));
        let deliveries = Arc::new(Deliveries::new(to, contexts, outbound, Arc::clone(&permits), own, runtime));
        let (cursor, stop) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
        let (moved, stopped) = (Arc::clone(&cursor), Arc::clone(&stop));
        let matcher = Matcher::open(Arc::clone(&context), Arc::clone(&deliveries), permits, moved, stopped)?;
        deliveries.resume()?;
        let thread =
            std::thread::Builder::new().name("matcher".to_owned()).spawn(|| matcher.run()).map_err(Error::Thread)?;
        Ok(Self { context, deliveries, apart, cursor, stop, thread: Some(thread) })
    }

    /// How many records the matcher has not seen yet.
    #[must_use]
    pub fn behind(&self) -> u64 {
        self.context.journal().durable().saturating_sub(self.cursor.load(Ordering::Acquire))
    }

    /// How many records those are, and how old.
    pub fn lag(&self) -> Result<Lag, Error> {
        Ok(self.context.journal().lag(self.cursor.load(Ordering::Acquire))?)
    }

    /// Why nothing leaves any more, if so.
    #[must_use]
    pub fn failure(&self) -> Option<Box<str>> {
        self.deliveries.failure()
    }

    /// How a subscription fares; `None` until the matcher has seen it.
    #[must_use]
    pub fn report(&self, key: &SubscriptionKey) -> Option<DeliveryReport> {
        self.deliveries.report(key)
    }

    /// Where only commands are posted; to be told when an actuator comes or goes.
    #[must_use]
    pub fn apart(&self) -> &Apart {
        &self.apart
    }

    /// What was given up of a subscription, oldest first.
    pub fn dead_letters(&self, key: &SubscriptionKey) -> Result<Vec<DeadLetter>, Error> {
        let letters_max = usize::try_from(outbox::DEAD_LETTERS_MAX).unwrap_or(usize::MAX);
        Ok(outbox::dead_letters(self.context.view(), key, letters_max)?)
    }

    /// Puts what was given up back into the outbox; how many notifications that is.
    pub fn replay(&self, key: &SubscriptionKey) -> Result<usize, Error> {
        self.deliveries.replay(key)
    }
}

impl Drop for Action {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// A subscription from the body that the journal keeps.
pub fn parse_stored(body: &[u8]) -> Result<Subscription, Error> {
    let text = std::str::from_utf8(body).map_err(|error| city_ngsi_ld::Error::invalid(error.to_string()))?;
    Ok(city_ngsi_ld::subscription::from_stored(text)?)
}

/// The id of a notification: the same change makes the same id, however often it is sent.
#[must_use]
pub fn notification_id(tenant: &str, subscription: &str, seq: u64) -> String {
    // Length before text, so that no two (tenant, subscription) pairs read the same.
    let name = format!("{}:{tenant}{}:{subscription}{seq}", tenant.len(), subscription.len());
    format!("urn:ngsi-ld:Notification:{}", uuid::Uuid::new_v5(&uuid::Uuid::NAMESPACE_URL, name.as_bytes()))
}
