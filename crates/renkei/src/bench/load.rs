//! The workers: each holds a connection and sends, waits and counts until the time is over.

use super::client::{Answer, Connection, Target};
use super::histogram::Histogram;
use super::report::{Report, Usage};
use super::workload::{Prepared, Workload, mix};
use super::{Options, process};
use anyhow::{Context, Result, bail};
use city_model::Time;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until};

/// Entities in a request while the working set is brought in.
const PRELOAD_BATCH: u64 = 100;
/// After a lost connection a worker waits so long before the next try.
const RECONNECT_MS: u64 = 50;
/// A worker that fails so often in a row gives up: the server is gone.
const FAILURES_IN_A_ROW_MAX: u32 = 100;

/// What one worker counted within the measured time.
#[derive(Debug, Default)]
pub struct Tally {
    pub latency: Histogram,
    pub statuses: BTreeMap<u16, u64>,
    /// Answers that are not what the workload expects, and requests without an answer, over the whole
    /// run with its warm-up: an error is an error at any time.
    pub wrong: u64,
    pub lost: u64,
    pub first_failure: Option<String>,
    pub received_bytes: u64,
}

/// What the workers share.
struct Plan {
    workload: Workload,
    run: u64,
    seed: u64,
    entities: u64,
    batch: u64,
    connections: u64,
    interval: Option<Duration>,
    start: Instant,
    measured_from: Instant,
    end: Instant,
    next: AtomicU64,
}

pub async fn run(options: &Options, target: &Target) -> Result<Report> {
    if options.preload && options.workload.needs_entities() {
        preload(options, target).await?;
    }
    let mut connections = Vec::with_capacity(options.connections);
    for _ in 0..options.connections {
        connections.push(target.connect().await?);
    }
    let start = Instant::now();
    let measured_from = start + Duration::from_secs_f64(options.warm_up);
    let plan = Arc::new(Plan {
        workload: options.workload,
        run: options.run.unwrap_or_else(|| now().as_micros().cast_unsigned()),
        seed: options.seed,
        entities: options.entities,
        batch: options.batch,
        connections: options.connections as u64,
        interval: options.rate.map(|rate| Duration::from_secs_f64(options.connections as f64 / rate)),
        start,
        measured_from,
        end: measured_from + Duration::from_secs_f64(options.seconds),
        next: AtomicU64::new(0),
    });
    let mut workers = JoinSet::new();
    for (number, connection) in connections.into_iter().enumerate() {
        workers.spawn(work(Arc::clone(&plan), target.clone(), connection, number as u64));
    }
    sleep_until(measured_from).await;
    let before = Usage::read(options.pid)?;
    sleep_until(plan.end).await;
    let after = Usage::read(options.pid)?;
    let mut sum = Tally::default();
    while let Some(tally) = workers.join_next().await {
        sum.add(tally.context("A worker of the load generator failed.")?);
    }
    Ok(Report::new(options, &sum, &before, &after))
}

async fn work(plan: Arc<Plan>, target: Target, connection: Connection, worker: u64) -> Tally {
    let mut tally = Tally::default();
    let mut connection = Some(connection);
    let mut failures_in_a_row = 0;
    for turn in 0u64.. {
        let due = match plan.interval {
            Some(interval) => {
                // Workers are spread evenly over the first interval.
                let share = interval.mul_f64(worker as f64 / plan.connections as f64);
                let due = plan.start + share + interval.mul_f64(turn as f64);
                if due >= plan.end {
                    break;
                }
                sleep_until(due).await;
                due
            }
            None => Instant::now(),
        };
        if plan.interval.is_none() && due >= plan.end {
            break;
        }
        let outcome = match connection.as_mut() {
            Some(open) => open.send(plan.prepare()).await,
            None => match target.connect().await {
                Ok(mut open) => {
                    let outcome = open.send(plan.prepare()).await;
                    connection = Some(open);
                    outcome
                }
                Err(error) => Err(error),
            },
        };
        let ended = Instant::now();
        let measured = match plan.interval {
            Some(_) => due >= plan.measured_from,
            // In a closed loop what ends within the time counts, whenever it began.
            None => ended >= plan.measured_from && ended < plan.end,
        };
        match outcome {
            Ok(answer) => {
                failures_in_a_row = 0;
                tally.answer(plan.workload, answer, measured.then_some(ended - due));
            }
            Err(error) => {
                connection = None;
                failures_in_a_row += 1;
                tally.lost += 1;
                tally.first_failure.get_or_insert_with(|| format!("{error:#}"));
                if failures_in_a_row >= FAILURES_IN_A_ROW_MAX {
                    break;
                }
                sleep(Duration::from_millis(RECONNECT_MS)).await;
            }
        }
    }
    tally
}

impl Plan {
    fn prepare(&self) -> Prepared {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let chance = mix(self.seed ^ mix(number));
        self.workload.prepare(self.run, number, chance, self.entities, self.batch, now())
    }
}

impl Tally {
    fn answer(&mut self, workload: Workload, answer: Answer, latency: Option<Duration>) {
        let expected = workload.expects(answer.status);
        if !expected {
            self.wrong += 1;
            self.first_failure
                .get_or_insert_with(|| format!("status {}: {}", answer.status, answer.shown.unwrap_or_default()));
        }
        if let Some(latency) = latency {
            *self.statuses.entry(answer.status).or_default() += 1;
            self.received_bytes += answer.bytes as u64;
            // A quick refusal shall not make the percentiles look better.
            if expected {
                self.latency.record(latency);
            }
        }
    }

    fn add(&mut self, other: Self) {
        self.latency.add(&other.latency);
        for (status, count) in other.statuses {
            *self.statuses.entry(status).or_default() += count;
        }
        self.wrong += other.wrong;
        self.lost += other.lost;
        self.received_bytes += other.received_bytes;
        self.first_failure = self.first_failure.take().or(other.first_failure);
    }
}

/// Brings the working set in, over at most eight connections; the first wrong answer ends it.
async fn preload(options: &Options, target: &Target) -> Result<()> {
    const PRELOAD_CONNECTIONS: usize = 8;
    let next = Arc::new(AtomicU64::new(0));
    let (workload, entities) = (options.workload, options.entities);
    let mut workers = JoinSet::new();
    for _ in 0..options.connections.min(PRELOAD_CONNECTIONS) {
        let next = Arc::clone(&next);
        let mut connection = target.connect().await?;
        workers.spawn(async move {
            loop {
                let first = next.fetch_add(PRELOAD_BATCH, Ordering::Relaxed);
                if first >= entities {
                    return Ok(());
                }
                let batch = workload.preload(first, PRELOAD_BATCH.min(entities - first), now());
                let answer = connection.send(batch).await.context("Bringing the working set in failed.")?;
                if !matches!(answer.status, 201 | 204) {
                    let shown = answer.shown.unwrap_or_default();
                    bail!("Bringing the working set in was answered with {}: {shown}", answer.status);
                }
            }
        });
    }
    while let Some(outcome) = workers.join_next().await {
        outcome.context("A worker of the load generator failed.")??;
    }
    Ok(())
}

impl Usage {
    fn read(pid: Option<u32>) -> Result<Self> {
        let server = match pid.map(|pid| pid.to_string()) {
            Some(pid) => Some((process::cpu_s(&pid)?, process::resident_bytes(&pid)?)),
            None => None,
        };
        Ok(Self { client_cpu_s: process::cpu_s("self")?, server })
    }
}

fn now() -> Time {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Time::from_micros(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
}
