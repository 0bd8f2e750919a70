//! `renkei demo`: one coherent simulated town that a person may break without harm.
//!
//! Its clock is virtual and moves as fast as --speed says; every timer and `observedAt` follows
//! it. Everything in the town says that it is simulated.

mod feed;
mod flood;
pub mod town;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use city_history::Policy as Retention;
use city_model::Time;
use city_outbound::{Pattern, Policy};
use city_serve::doors::{Effect, Operation};
use city_serve::{City, Limits, Metering, WholeBody};
use city_store::VirtualClock;
use city_store::journal::Limits as JournalLimits;
use http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::Outcome;
use crate::city::{Auth, Settings, open};
use crate::serve::{Serving, runtime, start_logging, stop_signal};

/// Where the demo's own subscription sends to: printed on the terminal, kept nowhere.
const INBOX: &str = "/demo/inbox";
const SUBSCRIPTION: &str = "urn:ngsi-ld:Subscription:demo-river-level";
/// The first instant of a new town: a summer morning.
const FIRST_INSTANT: &str = "2026-07-01T06:00:00Z";
/// Past that a new town has.
const PAST: Duration = Duration::from_secs(24 * 3_600);

#[derive(Debug, Clone, clap::Args)]
#[command(after_help = "Examples:
  renkei demo
  renkei demo --seed 7 --speed 600
  renkei demo --data ./town          goes on where it was left

Everything in it is simulated. It listens on loopback only and ends on Ctrl-C.")]
pub struct Options {
    /// The same seed makes the same town
    #[arg(long, env = "RENKEI_DEMO_SEED", default_value_t = 1)]
    pub seed: u64,
    /// Seconds of the town's time in a second of ours
    #[arg(long, env = "RENKEI_DEMO_SPEED", default_value_t = 60.0)]
    pub speed: f64,
    /// Folder that keeps the town; without it the town is gone afterwards
    #[arg(long, env = "RENKEI_DEMO_DATA", value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// Address to listen on, loopback only
    #[arg(long, env = "RENKEI_DEMO_LISTEN", value_name = "HOST:PORT", default_value = crate::cli::DEFAULT_ADDRESS)]
    pub listen: SocketAddr,
    /// What is logged, as for serve
    #[arg(long, env = "RENKEI_DEMO_LOG", default_value = "warn")]
    pub log: String,
}

pub fn run(options: &Options) -> Result<Outcome> {
    if !(options.speed > 0.0 && options.speed <= 3_600.0) {
        bail!("--speed must be more than 0 and at most 3600, not {}", options.speed);
    }
    start_logging(&options.log, "text", None)?;
    city_trust::listen_without_identities(options.listen)?;
    let metering = Metering::install().context("Metrics cannot be set up")?;
    let runtime = runtime()?;
    let temporary = Temporary::new(options.data.is_none())?;
    let folder = options.data.clone().or_else(|| temporary.path.clone()).context("There is no folder for the town")?;
    let first = Time::parse(FIRST_INSTANT).context("The first instant is no time")?;
    let clock = Arc::new(VirtualClock::starting_at(first));
    let loopback: Vec<Pattern> = vec!["127.0.0.0/8".parse()?, "[::1]".parse()?];
    let settings = Settings {
        clock: Arc::clone(&clock) as _,
        limits: JournalLimits { keep_bytes: 256 << 20, ..JournalLimits::default() },
        retention: Retention::default(),
        outbound: Policy { allow: loopback, allow_private: true, ..Policy::default() },
        // Loopback only, and everyone who tries it is the person labelled demo.
        auth: Auth::Off,
        is_secure: false,
        contexts: Vec::new(),
    };
    // Deliveries and the socket belong to the runtime from here on.
    let entered = runtime.enter();
    let opened = open(&folder, settings)?;
    let latest = feed::latest(&opened.city)?;
    match latest {
        Some(_) => println!(
            "Taking up the simulated town in {}; what stands there stays, whatever the seed …",
            folder.display()
        ),
        None => println!("Building the simulated town of seed {} …", options.seed),
    }
    // A town that was kept goes on after the last thing that happened in it.
    clock.set(latest.map_or(first, |latest| latest.plus_micros(1_000_000).max(first)));
    let serving = Serving::new(
        &opened,
        &metering,
        vec![inbox(), flood::barrier(&opened.city)],
        Limits::default(),
        options.listen,
    )?;
    let address = serving.address();
    let city = Arc::clone(&opened.city);
    let (seed, speed) = (options.seed, options.speed);
    let feeding = async move {
        let mut town = town::Town::new(seed);
        feed::build(&city, &mut town, PAST).await?;
        subscribe(&city, address).await?;
        flood::build(&city, address).await?;
        greet(&city, address, speed).await?;
        feed::live(&city, town, &clock, speed).await
    };
    let signalled = stop_signal()?;
    let outcome = runtime.block_on(async {
        let stop = Arc::new(tokio::sync::Notify::new());
        let until = {
            let stop = Arc::clone(&stop);
            async move {
                tokio::select! { () = signalled => {}, () = stop.notified() => {} }
            }
        };
        let feeding = tokio::spawn(async move {
            let outcome: Result<()> = feeding.await;
            stop.notify_one();
            outcome
        });
        serving.until(until).await;
        feeding.abort();
        match feeding.await {
            Ok(outcome) => outcome,
            // Aborted: the demo was stopped, as it always is.
            Err(_) => Ok(()),
        }
    });
    drop(entered);
    runtime.shutdown_timeout(Duration::from_secs(5));
    drop(opened);
    drop(temporary);
    outcome.map(|()| Outcome::Ok)
}

/// Prints what the demo's subscription brings.
fn inbox() -> Operation<Arc<City>> {
    let receive = async |WholeBody(body): WholeBody| {
        let notification: Value = serde_json::from_slice(&body).unwrap_or_default();
        for entity in notification["data"].as_array().into_iter().flatten() {
            let level = &entity["waterLevel"];
            println!(
                "  notified {}  {} is at {} m",
                level["observedAt"].as_str().unwrap_or_default(),
                entity["id"].as_str().unwrap_or_default(),
                level["value"]
            );
        }
        StatusCode::NO_CONTENT
    };
    Operation::new("demo", "none: ours", "inbox", Method::POST, INBOX, Effect::Open, receive)
}

/// The river above a level, told at most every ten minutes of the town's time.
async fn subscribe(city: &City, address: SocketAddr) -> Result<()> {
    let document = json!({
        "id": SUBSCRIPTION,
        "type": "Subscription",
        "description": "The river is high (simulated)",
        "entities": [{"type": "WaterObserved"}],
        "watchedAttributes": ["waterLevel"],
        "q": "waterLevel>0.7",
        "throttling": 600,
        "notification": {"attributes": ["waterLevel"], "endpoint": {"uri": format!("http://{address}{INBOX}"), "accept": "application/json"}},
    });
    feed::define_subscription(city, &document).await
}

async fn greet(city: &City, address: SocketAddr, speed: f64) -> Result<()> {
    let tall = feed::count(city, "Building", "height>30")?;
    let total: u64 = city.context.tenants().list().iter().map(|space| space.index.read().alive().len()).sum();
    println!(
        "
Minatomachi (simulated) is alive: {total} entities, one second here is {speed} seconds there.
Console http://{address}/
API     http://{address}/ngsi-ld/v1      you are the local operator; nobody else can reach this address

Which buildings are higher than 30 m? {tall} of them:
  curl -s 'http://{address}/ngsi-ld/v1/entities?type=Building&q=height%3E30&attrs=height&options=keyValues&limit=5'
Where can I park, right now?
  curl -s 'http://{address}/ngsi-ld/v1/entities?type=OffStreetParking&q=availableSpotNumber%3E20&attrs=availableSpotNumber&options=keyValues'
How did the river move, reading by reading?
  curl -s 'http://{address}/ngsi-ld/v1/temporal/entities?type=WaterObserved&attrs=waterLevel&lastN=10&options=temporalValues'
Where are the buses?
  renkei query --url http://{address} --type Vehicle --attrs location,speed

When the river is above 0.75 m, a rule suggests to close an underpass; a person decides:
  renkei ops suggestions --url http://{address}
  renkei ops approve urn:renkei:suggestion: --url http://{address}

A subscription tells this terminal when the river is above 0.7 m; change it or make your own:
  curl -s http://{address}/ngsi-ld/v1/subscriptions/{SUBSCRIPTION}

Stop with Ctrl-C."
    );
    let shown = feed::shown(city, "Building", "height>30", "height", 5)?;
    println!("\n{shown}\n\nready http://{address}");
    Ok(())
}

/// A folder of the system's temporary place that goes with the demo.
struct Temporary {
    path: Option<PathBuf>,
}

impl Temporary {
    fn new(wanted: bool) -> Result<Self> {
        if !wanted {
            return Ok(Self { path: None });
        }
        let path = std::env::temp_dir().join(format!("renkei-demo-{}", uuid::Uuid::new_v4()));
        std::fs::create_dir_all(&path).with_context(|| format!("{} cannot be made", path.display()))?;
        Ok(Self { path: Some(path) })
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        if let Some(path) = &self.path
            && let Err(error) = std::fs::remove_dir_all(path)
        {
            eprintln!("{} could not be removed: {error}", path.display());
        }
    }
}
