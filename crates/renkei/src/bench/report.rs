//! What a run measured, as one JSON object.

use super::Options;
use super::histogram::Histogram;
use super::load::Tally;
use super::workload::Workload;
use serde_json::{Value, json};
use std::time::Duration;

/// Processor time and memory at one instant.
#[derive(Debug)]
pub struct Usage {
    pub client_cpu_s: f64,
    /// Seconds of processor time and resident bytes.
    pub server: Option<(f64, u64)>,
}

#[derive(Debug)]
pub struct Report {
    body: Value,
    failed: bool,
}

impl Report {
    pub(super) fn new(options: &Options, tally: &Tally, before: &Usage, after: &Usage) -> Self {
        #[expect(clippy::cast_precision_loss, reason = "no run has 2^53 requests")]
        let right = tally.latency.count() as f64;
        let rate = right / options.seconds;
        let mut body = json!({
            "workload": options.workload.name(),
            "connections": options.connections,
            "loop": if options.rate.is_some() { "open" } else { "closed" },
            "asked_requests_per_s": options.rate,
            "seconds": options.seconds,
            "entities": options.entities,
            "requests": tally.latency.count(),
            "requests_per_s": rounded(rate, 1),
            "latency_ms": latency(&tally.latency),
            "statuses": tally.statuses.iter().map(|(status, count)| (status.to_string(), json!(count))).collect::<serde_json::Map<_, _>>(),
            "wrong_answers": tally.wrong,
            "without_answer": tally.lost,
            "first_failure": tally.first_failure,
            "received_bytes": tally.received_bytes,
            "client_cpu_s": rounded(after.client_cpu_s - before.client_cpu_s, 2),
        });
        if options.workload == Workload::Readings {
            #[expect(clippy::cast_precision_loss, reason = "at most 1,000")]
            let batch = options.batch.min(options.entities) as f64;
            body["batch"] = json!(options.batch);
            body["readings_per_s"] = json!(rounded(rate * batch, 1));
        }
        if let (Some((cpu_before_s, _)), Some((cpu_after_s, resident))) = (before.server, after.server) {
            let cpu_s = cpu_after_s - cpu_before_s;
            body["server_cpu_s"] = json!(rounded(cpu_s, 2));
            body["server_cpu_us_per_request"] = json!(rounded(cpu_s * 1e6 / right.max(1.0), 1));
            body["server_resident_bytes"] = json!(resident);
        }
        // A run that measured nothing has not shown that anything works.
        let failed = tally.wrong > 0 || tally.lost > 0 || tally.latency.count() == 0;
        Self { body, failed }
    }

    /// Whether any answer was wrong or missing, or none came at all.
    #[must_use]
    pub fn failed(&self) -> bool {
        self.failed
    }

    #[must_use]
    pub fn to_json(&self) -> String {
        format!("{:#}", self.body)
    }
}

fn latency(histogram: &Histogram) -> Value {
    let ms = |duration: Duration| rounded(duration.as_secs_f64() * 1e3, 3);
    json!({
        "mean": ms(histogram.mean()),
        "p50": ms(histogram.percentile(0.50)),
        "p95": ms(histogram.percentile(0.95)),
        "p99": ms(histogram.percentile(0.99)),
        "p99_9": ms(histogram.percentile(0.999)),
        "max": ms(histogram.max()),
    })
}

fn rounded(value: f64, decimals: i32) -> f64 {
    let scale = 10f64.powi(decimals);
    (value * scale).round() / scale
}
