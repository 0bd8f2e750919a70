//! What the server counts about itself; one text for Prometheus goes out.

use std::sync::OnceLock;
use std::time::Duration;

use http::StatusCode;
use metrics::{counter, gauge, histogram};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};

use crate::doors::Answered;

/// Upper edges in seconds: from an answer out of memory to a request that someone has noticed.
const LATENCY_EDGES_SECONDS: [f64; 14] =
    [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];
/// Samples are folded into their buckets this often, also when nobody asks for them.
pub(crate) const UPKEEP_EVERY: Duration = Duration::from_secs(5);

const REQUESTS: &str = "renkei_http_requests_total";
const REQUEST_SECONDS: &str = "renkei_http_request_seconds";
const IN_FLIGHT: &str = "renkei_http_requests_in_flight";
const CONNECTIONS: &str = "renkei_http_connections";
const REFUSED: &str = "renkei_http_refused_total";
const MQTT_CONNECTIONS: &str = "renkei_mqtt_connections";
const MQTT_REFUSED: &str = "renkei_mqtt_refused_total";

/// The process's numbers. Every room counts with the `metrics` macros; this shows them.
#[derive(Clone)]
pub struct Metering {
    handle: PrometheusHandle,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("The metrics cannot be collected: {0}")]
pub struct Error(String);

impl Metering {
    /// Begins to count, once for the process; later calls return the same numbers.
    pub fn install() -> Result<Self, Error> {
        static INSTALLED: OnceLock<Result<Metering, Error>> = OnceLock::new();
        INSTALLED
            .get_or_init(|| {
                let seconds = Matcher::Suffix("_seconds".into());
                let builder = PrometheusBuilder::new().set_buckets_for_metric(seconds, &LATENCY_EDGES_SECONDS);
                let handle = builder.and_then(PrometheusBuilder::install_recorder);
                let handle = handle.map_err(|why| Error(why.to_string()))?;
                metrics::describe_counter!(REQUESTS, "Requests answered, by door, operation and status.");
                metrics::describe_histogram!(
                    REQUEST_SECONDS,
                    "Time from the head of a request to the head of its answer."
                );
                metrics::describe_gauge!(IN_FLIGHT, "Requests under way.");
                metrics::describe_gauge!(CONNECTIONS, "Open HTTP connections.");
                metrics::describe_counter!(REFUSED, "Requests and connections refused at a bound.");
                metrics::describe_gauge!(MQTT_CONNECTIONS, "Clients of MQTT that are there.");
                metrics::describe_counter!(
                    MQTT_REFUSED,
                    "Connections, clients and messages of MQTT that were refused."
                );
                Ok(Self { handle })
            })
            .clone()
    }

    /// The text format of Prometheus.
    #[must_use]
    pub fn render(&self) -> String {
        self.handle.render()
    }

    pub(crate) fn upkeep(&self) {
        self.handle.run_upkeep();
    }
}

impl std::fmt::Debug for Metering {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Metering")
    }
}

pub(crate) fn answered(by: Answered, status: StatusCode, taken: Duration) {
    let Answered { door, name } = by;
    counter!(REQUESTS, "door" => door, "operation" => name, "status" => status.as_u16().to_string()).increment(1);
    histogram!(REQUEST_SECONDS, "door" => door, "operation" => name).record(taken.as_secs_f64());
}

pub(crate) fn refused(what: &'static str) {
    counter!(REFUSED, "what" => what).increment(1);
}

pub(crate) fn mqtt_refused(what: &'static str) {
    counter!(MQTT_REFUSED, "what" => what).increment(1);
}

/// Counts until it is dropped, also when the client goes away in between.
pub(crate) struct Counted(&'static str);

pub(crate) fn in_flight() -> Counted {
    Counted::new(IN_FLIGHT)
}

pub(crate) fn connection() -> Counted {
    Counted::new(CONNECTIONS)
}

pub(crate) fn mqtt_connection() -> Counted {
    Counted::new(MQTT_CONNECTIONS)
}

impl Counted {
    fn new(name: &'static str) -> Self {
        gauge!(name).increment(1.0);
        Self(name)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        gauge!(self.0).decrement(1.0);
    }
}
