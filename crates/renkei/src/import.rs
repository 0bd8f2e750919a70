//! `renkei import`: files through a mapping into a running server.
//!
//! A thread decodes and maps, this one sends; a bounded channel lies between, so that neither
//! file nor server can fill the memory. What the server refuses is rejected with its line.

use std::fs::File;
use std::io::{BufWriter, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::sync::mpsc::sync_channel;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use city_ingest::{Batch, Decoder, ImportError, Mapping, RejectedRow, Report};
use serde_json::{Value, json};

use crate::Outcome;
use crate::cli::ServerOptions;
use crate::client::{Client, detail};

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
language: docs/reference/mapping.md. Exit status 3: some rows were rejected.")]
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
    let mut rejects = match &options.reject {
        Some(path) => Some(BufWriter::new(
            File::create(path).with_context(|| format!("The file {} cannot be written", path.display()))?,
        )),
        None => None,
    };
    let started = Instant::now();
    let mut totals = Totals::default();
    for file in &options.files {
        import_file(file, &mapping, &client, &mut rejects, &mut totals)
            .with_context(|| format!("Importing {} ended after {} rows", file.display(), totals.read))?;
    }
    if let Some(rejects) = &mut rejects {
        rejects.flush().context("The rejected rows cannot be written")?;
    }
    let seconds = started.elapsed().as_secs_f64();
    if options.server.json {
        let report = json!({
            "read": totals.read, "applied": totals.applied, "rejected": totals.rejected, "skipped": totals.skipped,
            "readings": totals.readings, "seconds": (seconds * 1_000.0).round() / 1_000.0,
            "unseenColumns": totals.unseen_columns,
        });
        println!("{report}");
    } else {
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
    }
    Ok(if totals.rejected > 0 { Outcome::SomeRejected } else { Outcome::Ok })
}

fn import_file(
    path: &Path,
    mapping: &Mapping,
    client: &Client,
    rejects: &mut Option<BufWriter<File>>,
    totals: &mut Totals,
) -> Result<()> {
    let file = File::open(path).with_context(|| format!("The file {} cannot be read", path.display()))?;
    let name = path.display().to_string();
    let gz = path.extension().is_some_and(|extension| extension == "gz");
    let decoder = Decoder::open(&name, Box::new(file), mapping.encoding(), gz)?;
    let (steps, received) = sync_channel::<Step>(BATCHES_AHEAD);
    let progress = Progress::new(&name);
    let report = std::thread::scope(|scope| -> Result<Report> {
        let mapper = scope.spawn(move || {
            // The other end is gone only when sending failed; that error is the one to show.
            let send = |batch| steps.send(Step::Batch(batch)).map_err(|_| Gone);
            let reject = |row| steps.send(Step::Rejected(row)).map_err(|_| Gone);
            city_ingest::import(decoder, mapping, send, reject)
        });
        for step in received {
            match step {
                Step::Batch(batch) => send(client, batch, &name, rejects, totals)?,
                Step::Rejected(row) => {
                    note_rejected(rejects, totals, &row.file, row.line, &row.reason, &row.input)?;
                }
            }
            progress.show(totals);
        }
        match mapper.join() {
            Ok(Ok(report)) => Ok(report),
            Ok(Err(ImportError::File(error))) => Err(error.into()),
            Ok(Err(ImportError::Caller(Gone))) => bail!("sending stopped"),
            Err(_) => bail!("the mapping thread failed"),
        }
    })?;
    progress.end();
    totals.read += report.read;
    totals.skipped += report.skipped;
    totals.readings += report.readings;
    totals.unseen_columns.extend(report.unseen_columns);
    Ok(())
}

/// The sending side has ended.
struct Gone;

fn send(
    client: &Client,
    batch: Batch,
    file: &str,
    rejects: &mut Option<BufWriter<File>>,
    totals: &mut Totals,
) -> Result<()> {
    match batch {
        Batch::Upsert { json, entities } => {
            let media = if contains_context(&json) { "application/ld+json" } else { "application/json" };
            let answer = client.post("/ngsi-ld/v1/entityOperations/upsert?options=update", json, media)?;
            match answer.status {
                201 | 204 => totals.applied += entities.len() as u64,
                207 => {
                    let result: Value =
                        serde_json::from_slice(&answer.body).context("The server's answer is not JSON")?;
                    let errors = result["errors"].as_array().map(Vec::as_slice).unwrap_or_default();
                    totals.applied += (entities.len() - errors.len().min(entities.len())) as u64;
                    for error in errors {
                        let id = error["entityId"].as_str().unwrap_or_default();
                        let line = entities.iter().find(|entity| entity.id == id).map_or(0, |entity| entity.line);
                        let why = error["error"]["detail"].as_str().unwrap_or("the server gave no reason");
                        note_rejected(rejects, totals, file, line, why, id)?;
                    }
                }
                status => bail!("The server answered {status}: {}", detail(&answer)),
            }
        }
        Batch::Temporal { json, id, readings: _, rows } => {
            let media = if contains_context(&json) { "application/ld+json" } else { "application/json" };
            let answer = client.post("/ngsi-ld/v1/temporal/entities", json, media)?;
            match answer.status {
                201 | 204 => totals.applied += rows,
                400 => {
                    totals.rejected += rows.saturating_sub(1);
                    note_rejected(rejects, totals, file, 0, &detail(&answer), &id)?;
                }
                status => bail!("The server answered {status}: {}", detail(&answer)),
            }
        }
    }
    Ok(())
}

/// Whether the documents bring an @context: the mapping gives all of them one or none.
fn contains_context(json: &[u8]) -> bool {
    const MEMBER: &[u8] = b"\"@context\":";
    json.windows(MEMBER.len()).rev().any(|window| window == MEMBER)
}

fn note_rejected(
    rejects: &mut Option<BufWriter<File>>,
    totals: &mut Totals,
    file: &str,
    line: u64,
    reason: &str,
    input: &str,
) -> Result<()> {
    totals.rejected += 1;
    if let Some(rejects) = rejects {
        let document = json!({"file": file, "line": line, "reason": reason, "input": input});
        writeln!(rejects, "{document}").context("A rejected row cannot be written")?;
    } else if totals.rejected <= REJECTED_SHOWN_MAX {
        eprintln!("{file}:{line}: {reason}");
    } else if totals.rejected == REJECTED_SHOWN_MAX + 1 {
        eprintln!("Further rejected rows are not shown; --reject OUT.ndjson keeps them all.");
    }
    Ok(())
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
