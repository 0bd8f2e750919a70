//! The doors for whoever runs the server: does it live, does it answer, what does it count.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use axum::response::IntoResponse;
use http::header::CONTENT_TYPE;
use http::{Method, StatusCode};

use crate::doors::{Effect, Operation};
use crate::metering::Metering;
use crate::problem::Problem;

/// What a prober is asked to wait while the server is not ready.
const RETRY_AFTER_NOT_READY: Duration = Duration::from_secs(2);

/// Whether the server takes work; clones share it. It begins as starting.
#[derive(Debug, Clone, Default)]
pub struct Ready(Arc<AtomicU8>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// The store is still being opened.
    Starting,
    Ready,
    /// A stop was asked for; requests under way are being finished.
    Stopping,
}

impl Ready {
    pub fn set(&self, phase: Phase) {
        self.0.store(phase as u8, Ordering::SeqCst);
    }

    #[must_use]
    pub fn phase(&self) -> Phase {
        match self.0.load(Ordering::SeqCst) {
            0 => Phase::Starting,
            1 => Phase::Ready,
            _ => Phase::Stopping,
        }
    }
}

/// `/health/live`, `/health/ready`, `/metrics`.
#[must_use]
pub fn operations<S>(ready: &Ready, metering: &Metering) -> Vec<Operation<S>>
where
    S: Clone + Send + Sync + 'static,
{
    let (ready, metering) = (ready.clone(), metering.clone());
    let live = async || json(r#"{"status":"live"}"#);
    let is_ready = async move || match ready.phase() {
        Phase::Ready => Ok(json(r#"{"status":"ready"}"#)),
        Phase::Starting => Err(not_ready("The server is still starting.")),
        Phase::Stopping => Err(not_ready("The server is stopping.")),
    };
    let numbers = async move || ([(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], metering.render());
    let (door, get, open) = ("probes", Method::GET, Effect::Open);
    vec![
        Operation::new(door, "Kubernetes liveness probe", "live", get.clone(), "/health/live", open, live),
        Operation::new(door, "Kubernetes readiness probe", "ready", get.clone(), "/health/ready", open, is_ready),
        Operation::new(door, "Prometheus text format 0.0.4", "metrics", get, "/metrics", open, numbers),
    ]
}

fn json(body: &'static str) -> impl IntoResponse {
    ([(CONTENT_TYPE, "application/json")], body)
}

fn not_ready(why: &'static str) -> Problem {
    Problem::plain(StatusCode::SERVICE_UNAVAILABLE, "SRV-008", why).retry_after(RETRY_AFTER_NOT_READY)
}
