//! `renkei serve`: the server.

use std::io::IsTerminal;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use city_history::{Policy as Retention, Thinning};
use city_model::Period;
use city_outbound::{Pattern, Policy};
use city_serve::files::{connections_within, open_files_granted};
use city_serve::{ByPermit, City, Frame, Limits, Metering, Mqtt, Operation, Phase, Ready, Server};
use city_store::SystemClock;
use city_store::journal::Limits as JournalLimits;
use tracing_subscriber::fmt::writer::BoxMakeWriter;

use crate::Outcome;
use crate::city::{Auth, OpenCity, Settings, open};
use crate::cli::DEFAULT_ADDRESS;
use crate::log_file::{self, LogFile};
use crate::tls;

#[derive(Debug, Clone, clap::Args)]
#[command(after_help = "Examples:
  renkei serve --data ./city
  renkei serve --data ./city --auth off         everyone on this machine may do everything
  renkei serve --data ./city --listen 127.0.0.1:9000 --outbound-allow hooks.example.org
  renkei --config /etc/renkei.toml serve
  renkei serve --data ./city --listen 0.0.0.0:443 --tls-cert city.pem --tls-key city.key
  renkei serve --data ./city --log-file ./renkei.log --log-format json
  renkei serve --data ./city --mqtt 127.0.0.1:1883

It prints `ready http://HOST:PORT` when it answers, and ends on SIGINT or SIGTERM. The local operator's token
of this run stands in DIR/keys/operator.token: renkei token create --token-file DIR/keys/operator.token --role …")]
pub struct Options {
    /// Folder that keeps everything; made if it is not there
    #[arg(long, env = "RENKEI_DATA_DIR", value_name = "DIR")]
    pub data: PathBuf,
    /// Address to listen on; with --auth off loopback only
    #[arg(long, env = "RENKEI_LISTEN", value_name = "HOST:PORT", default_value = DEFAULT_ADDRESS)]
    pub listen: SocketAddr,
    /// Address to listen on for MQTT 3.1.1 and 5.0; without it, there is no MQTT
    #[arg(long, env = "RENKEI_MQTT", value_name = "HOST:PORT")]
    pub mqtt: Option<SocketAddr>,
    /// Whether those who ask must say who they are; off lets everyone on this machine do everything
    #[arg(long, env = "RENKEI_AUTH", value_enum, default_value_t = Auth::On)]
    pub auth: Auth,
    /// Certificate of the server, PEM, with those that lead to its root behind it
    #[arg(long, env = "RENKEI_TLS_CERT", value_name = "FILE", requires = "tls_key")]
    pub tls_cert: Option<PathBuf>,
    /// Key of the certificate, PEM; both files are read again when they change
    #[arg(long, env = "RENKEI_TLS_KEY", value_name = "FILE", requires = "tls_cert")]
    pub tls_key: Option<PathBuf>,
    /// Listen beyond this machine without TLS, because a proxy in front of the server has it
    #[arg(long, env = "RENKEI_PLAIN_HTTP")]
    pub plain_http: bool,
    /// Where notifications and @context fetches may go: host, *.host, network or address, with :port if need be
    #[arg(long, env = "RENKEI_OUTBOUND_ALLOW", value_delimiter = ',', value_name = "PATTERN")]
    pub outbound_allow: Vec<Pattern>,
    /// A JSON-LD @context that is known without asking the network
    #[arg(long, env = "RENKEI_CONTEXT_FILE", value_name = "URL=FILE")]
    pub context_file: Vec<String>,
    /// How much of the journal is kept, in MiB
    #[arg(long, env = "RENKEI_JOURNAL_KEEP_MIB", default_value_t = 2_048, value_parser = clap::value_parser!(u64).range(64..))]
    pub journal_keep_mib: u64,
    /// How long the past is kept, as an ISO 8601 duration such as P10Y; without it, for ever
    #[arg(long, env = "RENKEI_HISTORY_KEEP", value_name = "DURATION", value_parser = duration)]
    pub history_keep: Option<Period>,
    /// Numbers older than the first duration are thinned to four readings in each of the second: P90D=PT1H
    #[arg(long, env = "RENKEI_HISTORY_THIN", value_name = "AGE=PERIOD", value_parser = thinning)]
    pub history_thin: Option<Thinning>,
    /// Writes are refused while less than this is free on the disk, in MiB
    #[arg(long, env = "RENKEI_DISK_RESERVE_MIB", default_value_t = 128)]
    pub disk_reserve_mib: u64,
    /// Largest request body, in MiB
    #[arg(long, env = "RENKEI_BODY_MIB", default_value_t = 16, value_parser = clap::value_parser!(u64).range(1..=1_024))]
    pub body_mib: u64,
    /// What is logged: error, warn, info, debug, or targets as in tracing's EnvFilter
    #[arg(long, env = "RENKEI_LOG", default_value = "info")]
    pub log: String,
    /// How it is logged
    #[arg(long, env = "RENKEI_LOG_FORMAT", value_parser = ["text", "json"], default_value = "text")]
    pub log_format: String,
    /// File to log to instead of the standard error stream; put aside as FILE.1, FILE.2 … when full
    #[arg(long, env = "RENKEI_LOG_FILE", value_name = "FILE")]
    pub log_file: Option<PathBuf>,
    /// How large a log file may become, in MiB
    #[arg(long, env = "RENKEI_LOG_FILE_MIB", default_value_t = 64, value_parser = clap::value_parser!(u64).range(1..=1_024))]
    pub log_file_mib: u64,
    /// How many log files are kept, the one that is written included
    #[arg(long, env = "RENKEI_LOG_FILES", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub log_files: u32,
}

impl Options {
    fn tls(&self) -> Option<tls::Files> {
        let (certificate, key) = (self.tls_cert.clone()?, self.tls_key.clone()?);
        Some(tls::Files { certificate, key })
    }

    fn journal_limits(&self) -> JournalLimits {
        JournalLimits {
            keep_bytes: self.journal_keep_mib << 20,
            reserve_bytes: self.disk_reserve_mib << 20,
            ..JournalLimits::default()
        }
    }

    fn log_file(&self) -> Result<Option<LogFile>> {
        let Some(path) = self.log_file.clone() else { return Ok(None) };
        let shown = path.display().to_string();
        let settings = log_file::Settings { path, bytes_max: self.log_file_mib << 20, files_max: self.log_files };
        let file = LogFile::begin(settings).with_context(|| format!("The log file {shown} cannot be opened"))?;
        Ok(Some(file))
    }
}

fn duration(text: &str) -> Result<Period, String> {
    let period = Period::parse(text).filter(|period| !period.is_whole());
    period.ok_or_else(|| format!("{text:?} is not a duration such as P90D, P10Y or PT1H"))
}

fn thinning(text: &str) -> Result<Thinning, String> {
    let (after, period) = text.split_once('=').ok_or("write it as AGE=PERIOD, such as P90D=PT1H")?;
    Ok(Thinning { after: duration(after)?, period: duration(period)? })
}

pub fn run(options: &Options) -> Result<Outcome> {
    start_logging(&options.log, &options.log_format, options.log_file()?)?;
    for address in std::iter::once(options.listen).chain(options.mqtt) {
        match (options.auth, options.tls()) {
            (Auth::Off, _) => city_trust::listen_without_identities(address)?,
            (Auth::On, None) if !options.plain_http => city_trust::listen_without_tls(address)?,
            _ => {}
        }
    }
    let tls = options.tls().map(|files| files.open()).transpose()?;
    let metering = Metering::install().context("Metrics cannot be set up")?;
    let runtime = runtime()?;
    let started = Instant::now();
    let settings = Settings {
        clock: Arc::new(SystemClock),
        limits: options.journal_limits(),
        retention: Retention { keep: options.history_keep, thin: options.history_thin },
        outbound: Policy { allow: options.outbound_allow.clone(), ..Policy::default() },
        auth: options.auth,
        is_secure: options.tls_cert.is_some() || options.plain_http,
        contexts: options.context_file.clone(),
    };
    // Deliveries and the socket belong to the runtime from here on.
    let entered = runtime.enter();
    let opened = open(&options.data, settings)?;
    let (connections, mqtt_connections) = connections(options.mqtt.is_some());
    let limits = Limits { body_bytes: (options.body_mib as usize) << 20, connections, ..Limits::default() };
    let mut serving = Serving::new(&opened, &metering, Vec::new(), limits, options.listen)?;
    let scheme = if tls.is_some() { "https" } else { "http" };
    let mqtt = options.mqtt.map(|address| Mqtt::bind(address, tls.clone(), mqtt_connections)).transpose()?;
    if let (Some(files), Some(tls)) = (options.tls(), tls) {
        serving.server = serving.server.with_tls(Some(tls.clone()));
        runtime.spawn(files.follow(tls));
    }
    tracing::info!(
        address = %serving.address(),
        data = %options.data.display(),
        tenants = opened.report.tenants,
        entities = opened.report.entities,
        replayed = opened.report.replayed,
        milliseconds = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX),
        "ready"
    );
    let (stop, stopping) = heard_twice(stop_signal()?);
    let messages = mqtt.map(|mqtt| {
        println!("mqtt {}://{}", if scheme == "https" { "mqtts" } else { "mqtt" }, mqtt.address());
        tracing::info!(address = %mqtt.address(), "clients of MQTT may connect");
        runtime.spawn(mqtt.serve(Arc::clone(&serving.city), stopping))
    });
    println!("ready {scheme}://{}", serving.address());
    if let Some(code) = &opened.first_run {
        eprintln!(
            "Nobody is known to this city yet. Make its first administrator at {scheme}://{}/first-run?code={code} (once, while this server runs).",
            serving.address()
        );
    }
    runtime.block_on(async {
        serving.until(stop).await;
        if let Some(messages) = messages {
            messages.await.context("The task of the MQTT socket ended early")??;
        }
        anyhow::Ok(())
    })?;
    tracing::info!("stopped");
    // Deliveries end first, then the followers, then the commit thread.
    drop(entered);
    runtime.shutdown_timeout(Duration::from_secs(5));
    drop(opened);
    Ok(Outcome::Ok)
}

/// The same stop for two who wait for it. Must be called on a runtime.
fn heard_twice(
    stop: impl Future<Output = ()> + Send + 'static,
) -> (impl Future<Output = ()>, impl Future<Output = ()> + Send) {
    let (tell, mut heard) = tokio::sync::watch::channel(false);
    let mut too = heard.clone();
    tokio::spawn(async move {
        stop.await;
        tell.send_replace(true);
    });
    let first = async move { drop(heard.wait_for(|stop| *stop).await) };
    (first, async move { drop(too.wait_for(|stop| *stop).await) })
}

/// As many as the system has files for, up to the bounds: of HTTP, and of MQTT, whose clients stay and which has
/// two thirds where there are too few for both.
fn connections(with_mqtt: bool) -> (usize, usize) {
    let wanted = (Limits::default().connections, if with_mqtt { city_serve::mqtt::CONNECTIONS_MAX } else { 0 });
    let files = open_files_granted();
    let both = connections_within(files, wanted.0 + wanted.1);
    if both == wanted.0 + wanted.1 {
        return wanted;
    }
    let http = if with_mqtt { (both / 3).max(1) } else { both };
    let mqtt = both - http;
    tracing::warn!(
        files,
        http,
        mqtt,
        "few open files are allowed, so connections are bounded; raise LimitNOFILE or ulimit -n"
    );
    (http, mqtt)
}

pub fn runtime() -> Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().context("The runtime cannot be started")
}

/// A server that is bound and whose doors are open.
pub struct Serving {
    server: Server,
    frame: Frame,
    ready: Ready,
    city: Arc<City>,
}

impl Serving {
    pub fn new(
        opened: &OpenCity,
        metering: &Metering,
        more: Vec<Operation<Arc<City>>>,
        limits: Limits,
        listen: SocketAddr,
    ) -> Result<Self> {
        let ready = Ready::default();
        let mut operations = doors(&ready, metering);
        operations.extend(more);
        let frame = Frame::new(&operations, Arc::clone(&opened.city), limits, Arc::new(ByPermit))?;
        // Binding registers with the runtime's reactor.
        let server = Server::bind(listen)?;
        ready.set(Phase::Ready);
        Ok(Self { server, frame, ready, city: Arc::clone(&opened.city) })
    }

    pub fn address(&self) -> SocketAddr {
        self.server.address()
    }

    /// Serves until `stop`, then finishes what is under way.
    pub async fn until(self, stop: impl Future<Output = ()>) {
        let ready = self.ready;
        let gauges = tokio::spawn(watch_gauges(Arc::clone(&self.city)));
        let streaming = Arc::clone(&self.city);
        let stop = async move {
            stop.await;
            ready.set(Phase::Stopping);
            streaming.streams.end();
        };
        let stopped = self.server.serve(self.frame, stop).await;
        gauges.abort();
        if stopped.cut_off > 0 {
            tracing::warn!(connections = stopped.cut_off, "connections were cut off at the end");
        }
    }
}

/// Every door of the server: the one list.
pub fn doors(ready: &Ready, metering: &Metering) -> Vec<Operation<Arc<City>>> {
    let mut operations = city_serve::probes::operations(ready, metering);
    operations.extend(city_serve::ngsi_ld::operations());
    operations.extend(city_serve::ops::operations());
    operations.extend(city_serve::control::operations());
    operations.extend(city_serve::vocabulary::operations());
    operations.extend(city_serve::console::operations());
    operations.extend(city_serve::sql::operations());
    operations.extend(city_serve::sources::operations());
    operations.extend(city_serve::stream::operations());
    operations.extend(city_serve::timetables::operations());
    operations.extend(city_serve::ogc::operations());
    operations.extend(city_serve::trust::operations());
    operations.extend(city_serve::people::operations());
    operations.extend(city_serve::pages::operations());
    operations.extend(city_serve::audit::operations());
    operations
}

/// Numbers that nobody counts as they happen.
async fn watch_gauges(city: Arc<City>) {
    loop {
        metrics::gauge!("renkei_journal_bytes").set(city.context.journal().bytes() as f64);
        metrics::gauge!("renkei_follower_behind", "follower" => "history").set(city.history.behind() as f64);
        metrics::gauge!("renkei_follower_behind", "follower" => "matcher").set(city.action.behind() as f64);
        metrics::gauge!("renkei_follower_behind", "follower" => "rules").set(city.insight.behind() as f64);
        metrics::gauge!("renkei_follower_behind", "follower" => "trail").set(city.trail.behind() as f64);
        let entities: u64 = city.context.tenants().list().iter().map(|space| space.index.read().alive().len()).sum();
        metrics::gauge!("renkei_entities").set(entities as f64);
        // Without it only the doctor's forecast of the disk is poorer.
        if let Err(error) = city.disk.note(city.now()) {
            tracing::debug!(%error, "the size of the data folder could not be noted");
        }
        tokio::time::sleep(Duration::from_secs(2)).await;
    }
}

/// SIGINT or SIGTERM. Both are watched from this call on: who reads `ready` may send one at once.
pub fn stop_signal() -> Result<impl Future<Output = ()> + Send> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut interrupt = signal(SignalKind::interrupt()).context("SIGINT cannot be watched")?;
    let mut terminate = signal(SignalKind::terminate()).context("SIGTERM cannot be watched")?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    })
}

/// Lines go to the file, else to the standard error stream.
pub fn start_logging(filter: &str, format: &str, file: Option<LogFile>) -> Result<()> {
    let filter =
        tracing_subscriber::EnvFilter::try_new(filter).with_context(|| format!("--log {filter} is not understood"))?;
    // Colours are for people: a file or a collector gets plain text.
    let colours = file.is_none() && std::io::stderr().is_terminal();
    let writer = match file {
        Some(file) => BoxMakeWriter::new(file),
        None => BoxMakeWriter::new(std::io::stderr),
    };
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(writer).with_ansi(colours);
    // A second start in one process (tests) keeps the first logger.
    let _ = if format == "json" { builder.json().try_init() } else { builder.try_init() };
    Ok(())
}
