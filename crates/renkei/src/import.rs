//! `renkei import`: files through a mapping into a running server.
//!
//! A thread decodes and maps, this one sends; a bounded channel lies between, so that neither
//! file nor server can fill the memory. What the server refuses is rejected with its line. A file
//! that cannot be read is told and the next one goes on; a server that is gone ends it all.

mod sending;

use std::fs::File;
use std::io::{BufWriter, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result, anyhow};
use city_ingest::{Batch, Decoder, ImportError, Mapping, RejectedRow, Report};
use city_store::{Clock, SystemClock};
use serde_json::json;
use tokio::sync::mpsc::channel;

use crate::Outcome;
use crate::cli::ServerOptions;
use crate::client::Client;
use sending::{Sender, Sent};

/// Batches that may wait between the mapping and the sending.
const BATCHES_AHEAD: usize = 4;
/// Rejected rows that are shown; all of them go into the file of --reject.
const REJECTED_SHOWN_MAX: u64 = 5;

#[derive(Debug, Clone, clap::Args)]
#[command(after_help = "Examples:
  renkei import buildings.geojsonl.gz --map examples/koto/buildings.yaml
  renkei import accidents.csv.gz --map examples/koto/accidents.yaml --reject rejected.ndjson
  renkei import amedas.csv.gz --map examples/koto/weather-observations.yaml --json

Rows go in as upserts that leave other attributes alone, so an import may be repeated. The mapping
language: docs/reference/mapping.md. A file that cannot be read is told and the next one goes on.
Exit status 1: a file could not be read or the server is gone; 3: some rows were rejected.")]
pub struct Options {
    /// Files to bring in, .gz unpacked on the way
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// How a row becomes an entity
    #[arg(long, env = "RENKEI_IMPORT_MAP", value_name = "MAP.yaml")]
    pub map: PathBuf,
    /// Where rows go that could not be used, one JSON document a line
    #[arg(long, env = "RENKEI_IMPORT_REJECT", value_name = "OUT.ndjson")]
    pub reject: Option<PathBuf>,
    #[command(flatten)]
    pub server: ServerOptions,
}

/// What came of all files.
#[derive(Debug, Default)]
struct Totals {
    read: u64,
    applied: u64,
    rejected: u64,
    skipped: u64,
    readings: u64,
    unseen_columns: Vec<String>,
    /// Files that could not be read to their end, and why.
    unreadable: Vec<(String, String)>,
}

enum Step {
    Batch(Batch),
    Rejected(RejectedRow),
}

pub fn run(options: &Options) -> Result<Outcome> {
    let text = std::fs::read_to_string(&options.map)
        .with_context(|| format!("The mapping {} cannot be read", options.map.display()))?;
    let mapping = Mapping::parse(&text).with_context(|| format!("In the mapping {}", options.map.display()))?;
    let client = Client::new(&options.server)?;
    let mut rejects = Rejects::open(options.reject.as_deref())?;
    let started = Instant::now();
    let mut totals = Totals::default();
    for path in &options.files {
        let file = path.display().to_string();
        match import_file(path, &mapping, &client, &mut rejects, &mut totals) {
            Ok(()) => {}
            Err(Stopped::File(why)) => {
                eprintln!("renkei: {why}");
                totals.unreadable.push((file, why));
            }
            Err(Stopped::All(error)) => {
                rejects.flush()?;
                let applied = totals.applied;
                return Err(error.context(format!("Importing {file} ended; {applied} rows were applied before")));
            }
        }
    }
    rejects.flush()?;
    report(&totals, started.elapsed().as_secs_f64(), options.server.json);
    Ok(match (totals.unreadable.is_empty(), totals.rejected) {
        (false, _) => Outcome::Failed,
        (true, 0) => Outcome::Ok,
        (true, _) => Outcome::SomeRejected,
    })
}

fn report(totals: &Totals, seconds: f64, as_json: bool) {
    if as_json {
        let unreadable: Vec<_> =
            totals.unreadable.iter().map(|(file, why)| json!({"file": file, "why": why})).collect();
        let report = json!({
            "read": totals.read, "applied": totals.applied, "rejected": totals.rejected, "skipped": totals.skipped,
            "readings": totals.readings, "seconds": (seconds * 1_000.0).round() / 1_000.0,
            "unseenColumns": totals.unseen_columns, "unreadable": unreadable,
        });
        println!("{report}");
        return;
    }
    println!(
        "read {}, applied {}, rejected {}, left out by the mapping {}",
        totals.read, totals.applied, totals.rejected, totals.skipped
    );
    if totals.readings > 0 {
        println!("readings of the past {}", totals.readings);
    }
    println!("in {seconds:.1} s, {:.0} rows a second", totals.read as f64 / seconds.max(0.001));
    if !totals.unseen_columns.is_empty() {
        println!("columns the mapping names but no row had: {}", totals.unseen_columns.join(", "));
    }
    if !totals.unreadable.is_empty() {
        let files: Vec<&str> = totals.unreadable.iter().map(|(file, _)| file.as_str()).collect();
        println!("files that could not be read to their end: {}", files.join(", "));
    }
}

/// Why a file did not come to its end.
enum Stopped {
    /// The file is at fault; others may be well.
    File(String),
    All(anyhow::Error),
}

fn import_file(
    path: &Path,
    mapping: &Mapping,
    client: &Client,
    rejects: &mut Rejects,
    totals: &mut Totals,
) -> Result<(), Stopped> {
    let name = path.display().to_string();
    let file = File::open(path).map_err(|error| Stopped::File(format!("{name} cannot be read: {error}")))?;
    let gz = path.extension().is_some_and(|extension| extension == "gz");
    let decoder = Decoder::open(&name, Box::new(file), mapping.encoding(), gz);
    let decoder = decoder.map_err(|error| Stopped::File(error.to_string()))?.received(SystemClock.now());
    let (steps, mut received) = channel::<Step>(BATCHES_AHEAD);
    let progress = Progress::new(&name);
    let (before, rejected_before) = (totals.applied, totals.rejected);
    let mapped = std::thread::scope(|scope| {
        let mapper = scope.spawn(move || {
            // The other end is gone only when sending failed; that error is the one to show.
            let send = |batch| steps.blocking_send(Step::Batch(batch)).map_err(|_| Gone);
            let reject = |row| steps.blocking_send(Step::Rejected(row)).map_err(|_| Gone);
            city_ingest::import(decoder, mapping, send, reject)
        });
        let sent = client.block_on(async {
            let mut sender = Sender::new(client.caller(), mapping.has_context());
            while let Some(step) = received.recv().await {
                match step {
                    Step::Batch(batch) => sender.send(batch, |sent| take(sent, &name, rejects, totals)).await?,
                    Step::Rejected(row) => rejects.note(totals, &row)?,
                }
                progress.show(totals);
            }
            sender.finish(|sent| take(sent, &name, rejects, totals)).await
        });
        // Lets the mapper end where sending did.
        drop(received);
        let mapped = mapper.join().map_err(|_| anyhow!("the mapping thread failed"));
        sent.and(mapped).map_err(Stopped::All)
    })?;
    progress.end();
    let report: Report = match mapped {
        Ok(report) => report,
        Err(ImportError::Caller(Gone)) => return Err(Stopped::All(anyhow!("sending stopped"))),
        Err(ImportError::File(error)) => {
            let (applied, rejected) = (totals.applied - before, totals.rejected - rejected_before);
            totals.read += applied + rejected;
            let behind = if applied > 0 { format!(" {applied} rows before that were applied.") } else { String::new() };
            return Err(Stopped::File(format!("{error}{behind}")));
        }
    };
    totals.read += report.read;
    totals.skipped += report.skipped;
    totals.readings += report.readings;
    totals.unseen_columns.extend(report.unseen_columns);
    Ok(())
}

/// The sending side has ended.
struct Gone;

/// Counts what came of one request.
fn take(sent: Sent, file: &str, rejects: &mut Rejects, totals: &mut Totals) -> Result<()> {
    totals.applied += sent.applied;
    for (line, id, reason) in sent.rejected {
        rejects.note(totals, &RejectedRow { file: file.to_owned(), line, reason, input: id })?;
    }
    totals.rejected += sent.rejected_beside;
    Ok(())
}

/// Where rows go that could not be used: a file, or the first of them on the screen.
struct Rejects {
    file: Option<BufWriter<File>>,
}

impl Rejects {
    fn open(path: Option<&Path>) -> Result<Self> {
        let Some(path) = path else { return Ok(Self { file: None }) };
        let file = File::create(path).with_context(|| format!("The file {} cannot be written", path.display()))?;
        Ok(Self { file: Some(BufWriter::new(file)) })
    }

    fn note(&mut self, totals: &mut Totals, row: &RejectedRow) -> Result<()> {
        totals.rejected += 1;
        if let Some(file) = &mut self.file {
            writeln!(file, "{}", serde_json::to_string(row)?).context("A rejected row cannot be written")?;
        } else if totals.rejected <= REJECTED_SHOWN_MAX {
            eprintln!("{}:{}: {}", row.file, row.line, row.reason);
        } else if totals.rejected == REJECTED_SHOWN_MAX + 1 {
            eprintln!("Further rejected rows are not shown; --reject OUT.ndjson keeps them all.");
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<()> {
        match &mut self.file {
            Some(file) => file.flush().context("The rejected rows cannot be written"),
            None => Ok(()),
        }
    }
}

/// A line on the terminal that says how far it is.
struct Progress {
    name: String,
    shown: bool,
    started: Instant,
    last: std::cell::Cell<Option<Instant>>,
}

impl Progress {
    fn new(name: &str) -> Self {
        let shown = std::io::stderr().is_terminal();
        Self { name: name.to_owned(), shown, started: Instant::now(), last: std::cell::Cell::new(None) }
    }

    fn show(&self, totals: &Totals) {
        let due = self.last.get().is_none_or(|last| last.elapsed().as_millis() > 200);
        if self.shown && due {
            self.last.set(Some(Instant::now()));
            let seconds = self.started.elapsed().as_secs();
            eprint!("\r{}: {} applied, {} rejected, {seconds} s ", self.name, totals.applied, totals.rejected);
        }
    }

    fn end(&self) {
        if self.shown {
            eprintln!();
        }
    }
}
