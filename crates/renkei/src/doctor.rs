//! `renkei doctor`: how a running server fares, or whether a data folder that nobody has open is whole.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result};
use city_store::journal::{Limits, Read};
use city_store::{Folder, FolderDisk, Journal, View};
use serde_json::{Value, json};

use crate::Outcome;
use crate::cli::ServerOptions;
use crate::client::Client;

/// Records that are read at once while the journal is checked.
const RECORDS_AT_ONCE: usize = 10_000;

#[derive(Debug, Clone, clap::Args)]
#[command(after_help = "Examples:
  renkei doctor
  renkei doctor --json
  renkei doctor --offline --data ./city

Exit status: 0 healthy, 1 something needs you.")]
pub struct Options {
    /// Check a data folder instead of a server; reads every record and every stored value
    #[arg(long, env = "RENKEI_DOCTOR_OFFLINE", requires = "data")]
    pub offline: bool,
    /// The folder of --offline
    #[arg(long, env = "RENKEI_DATA_DIR", value_name = "DIR")]
    pub data: Option<PathBuf>,
    #[command(flatten)]
    pub server: ServerOptions,
}

pub fn run(options: &Options) -> Result<Outcome> {
    match (&options.data, options.offline) {
        (Some(data), true) => offline(data, options.server.json),
        _ => online(options),
    }
}

fn online(options: &Options) -> Result<Outcome> {
    let report = Client::new(&options.server)?.get_json("/ops/v1/doctor")?;
    let healthy = report["healthy"] == true;
    if options.server.json {
        println!("{report}");
    } else {
        println!("{}", if healthy { "healthy" } else { "something needs you" });
        for finding in report["findings"].as_array().into_iter().flatten() {
            println!("! {} {}", text(&finding["what"]), text(&finding["advice"]));
        }
        for failing in report["failingSubscriptions"].as_array().into_iter().flatten() {
            println!(
                "! {} waits with {}, gave up {}: {}. {}",
                text(&failing["id"]),
                failing["waiting"],
                failing["deadLetters"],
                text(&failing["lastError"]),
                text(&failing["advice"])
            );
        }
        for tenant in report["tenants"].as_array().into_iter().flatten() {
            println!(
                "tenant {}: {} entities of {} types",
                text(&tenant["tenant"]),
                tenant["entities"],
                tenant["types"]
            );
        }
        let journal = &report["journal"];
        println!("journal: {} records, {} bytes kept", journal["records"], journal["bytes"]);
        let followers = &report["followers"];
        let history = &report["history"];
        let since =
            |bound: &Value| bound.as_str().map_or_else(|| "for ever".to_owned(), |time| format!("from {time} on"));
        println!("history: kept {}, exact {}", since(&history["keptFrom"]), since(&history["exactFrom"]));
        println!("followers behind: history {}, matcher {}", followers["historyBehind"], followers["matcherBehind"]);
    }
    Ok(if healthy { Outcome::Ok } else { Outcome::Failed })
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn offline(data: &Path, as_json: bool) -> Result<Outcome> {
    anyhow::ensure!(data.join("FORMAT").exists(), "{} is not a Renkei data folder", data.display());
    let folder = Folder::open(data)?;
    let view = View::open(&folder.view_path())?;
    let disk = FolderDisk::new(folder.journal_path()).context("The journal's folder cannot be opened")?;
    let watermark = city_store::commit::watermark(&view)?;
    let (journal, opened) = Journal::open(Arc::new(disk), watermark, Limits::default())?;
    let reader = journal.reader();
    let mut next = reader.oldest();
    let mut records = 0u64;
    while let Read::Records(found) = reader.read(next, RECORDS_AT_ONCE)? {
        let Some(last) = found.last() else { break };
        records += found.len() as u64;
        next = last.lsn + 1;
    }
    let values = view.check()?;
    let report = json!({
        "healthy": true, "journalRecords": records, "lastRecord": opened.last_lsn, "stateUpTo": watermark, "storedValues": values,
    });
    if as_json {
        println!("{report}");
    } else {
        println!("whole: {records} records of the journal and {values} stored values match their checksums");
        if let Some((file, offset, bytes)) = opened.cut {
            println!("a torn end of {bytes} bytes was cut from {file} at {offset}; nothing acknowledged was in it");
        }
    }
    Ok(Outcome::Ok)
}
