//! The load generator: a workload and an address come in, requests go out over kept-alive connections,
//! one JSON object with rates, percentiles and processor time comes back.
//!
//! Closed loop: each connection sends its next request when the last is answered. Open loop (`--rate`):
//! requests are due at fixed instants, and latency counts from the instant a request was due, so a server
//! that stalls is charged for everyone who had to wait (no coordinated omission).

mod client;
mod histogram;
mod load;
mod process;
mod report;
mod workload;

pub use report::Report;
pub use workload::Workload;

use anyhow::{Context, Result, ensure};

/// More connections than this need other machines to load a server.
pub const CONNECTIONS_MAX: usize = 10_000;
pub const BATCH_MAX: u64 = 1_000;

/// Puts load on a running server and prints what it measured as JSON.
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = "Examples:
  renkei bench --url http://127.0.0.1:1026 --workload create --connections 64 --seconds 20
  renkei bench --url http://127.0.0.1:1026 --workload retrieve --entities 100000 --preload
  renkei bench --url http://127.0.0.1:1026 --workload readings --batch 50 --rate 400 --seconds 300

Exit status: 0 when every answer was the expected one, 1 when not.")]
pub struct Options {
    /// Address of the server, such as http://127.0.0.1:1026
    #[arg(long, env = "RENKEI_BENCH_URL")]
    pub url: String,
    #[arg(long, env = "RENKEI_BENCH_WORKLOAD", value_enum, default_value = "create")]
    pub workload: Workload,
    /// How many connections send at the same time
    #[arg(long, env = "RENKEI_BENCH_CONNECTIONS", default_value_t = 64)]
    pub connections: usize,
    /// Measured time
    #[arg(long, env = "RENKEI_BENCH_SECONDS", default_value_t = 10.0)]
    pub seconds: f64,
    /// Time under load before measuring begins
    #[arg(long, env = "RENKEI_BENCH_WARM_UP", default_value_t = 2.0)]
    pub warm_up: f64,
    /// Requests per second over all connections (open loop); without it as fast as answers come
    #[arg(long, env = "RENKEI_BENCH_RATE")]
    pub rate: Option<f64>,
    /// Size of the working set
    #[arg(long, env = "RENKEI_BENCH_ENTITIES", default_value_t = 10_000)]
    pub entities: u64,
    /// Bring the working set in before measuring
    #[arg(long, env = "RENKEI_BENCH_PRELOAD")]
    pub preload: bool,
    /// Readings in a request
    #[arg(long, env = "RENKEI_BENCH_BATCH", default_value_t = 50)]
    pub batch: u64,
    /// Process of the server on this machine: its processor time and memory are reported too
    #[arg(long, env = "RENKEI_BENCH_PID")]
    pub pid: Option<u32>,
    /// Sent with each request, as "Name: value"; may be given several times
    #[arg(long = "header", env = "RENKEI_BENCH_HEADER", value_delimiter = '\n')]
    pub headers: Vec<String>,
    /// The same seed picks the same entities in the same order
    #[arg(long, env = "RENKEI_BENCH_SEED", default_value_t = 1)]
    pub seed: u64,
    /// Identity of the created entities; without it the time of the start
    #[arg(long, env = "RENKEI_BENCH_RUN")]
    pub run: Option<u64>,
}

/// Runs the load on the calling thread, which must not belong to an async runtime.
///
/// One thread is enough for tens of thousands of requests a second and leaves the other cores to the
/// server beside it.
pub fn run(options: &Options) -> Result<Report> {
    options.check()?;
    let target = client::Target::parse(&options.url, &options.headers)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("Cannot start.")?;
    runtime.block_on(load::run(options, &target))
}

impl Options {
    /// Whether the options make sense together; an error is a wrong usage (exit status 2).
    pub fn check(&self) -> Result<()> {
        ensure!(
            (1..=CONNECTIONS_MAX).contains(&self.connections),
            "--connections must be 1 to {CONNECTIONS_MAX}, not {}.",
            self.connections
        );
        ensure!((1..=BATCH_MAX).contains(&self.batch), "--batch must be 1 to {BATCH_MAX}, not {}.", self.batch);
        ensure!(self.entities >= 1, "--entities must be 1 or more.");
        let day = 0.0..=86_400.0;
        ensure!(day.contains(&self.seconds) && self.seconds > 0.0, "--seconds must be more than 0 and at most a day.");
        ensure!(day.contains(&self.warm_up), "--warm-up must be 0 to 86400 seconds.");
        ensure!(self.rate.is_none_or(|rate| rate > 0.0 && rate <= 1e7), "--rate must be more than 0 and at most 1e7.");
        Ok(())
    }
}
