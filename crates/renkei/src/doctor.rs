//! `renkei doctor`: how a running server fares, or whether a data folder that nobody has open is whole.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result};
use city_store::journal::{Limits, Read};
use city_store::{Folder, FolderDisk, Journal};
use serde_json::{Value, json};

use crate::Outcome;
use crate::city::open_view;
use crate::cli::ServerOptions;
use crate::client::Client;

/// Records that are read at once while the journal is checked.
const RECORDS_AT_ONCE: usize = 10_000;
/// Parts of the silent sensors that are asked for, at most; each looks at 5,000 series.
const SENSOR_PARTS_MAX: usize = 50;
/// Silent sensors that are shown to people; --json has them all.
const SILENT_SHOWN_MAX: usize = 20;

#[derive(Debug, Clone, clap::Args)]
#[command(after_help = "Examples:
  renkei doctor
  renkei doctor --json
  renkei doctor --offline --data ./city

Lines with ! need you, lines with - are worth a look. Exit status: 0 healthy, 1 something needs you.")]
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
    let client = Client::new(&options.server)?;
    let mut report = client.get_json("/ops/v1/doctor")?;
    let silent = silent_sensors(&client)?;
    for (name, value) in [("silentSensors", silent.list.into()), ("seriesJudged", silent.judged.into())] {
        report[name] = value;
    }
    report["allSeriesLookedAt"] = silent.complete.into();
    let healthy = report["healthy"] == true;
    if options.server.json {
        println!("{report}");
    } else {
        print!("{}", told(&report));
    }
    Ok(if healthy { Outcome::Ok } else { Outcome::Failed })
}

#[derive(Default)]
struct SilentSensors {
    list: Vec<Value>,
    judged: u64,
    complete: bool,
}

/// All of them, part by part, within a bound.
fn silent_sensors(client: &Client) -> Result<SilentSensors> {
    let mut found = SilentSensors::default();
    let mut after = 0;
    for _ in 0..SENSOR_PARTS_MAX {
        let part = client.get_json(&format!("/ops/v1/silent-sensors?after={after}"))?;
        found.list.extend(part["silentSensors"].as_array().cloned().unwrap_or_default());
        found.judged += part["seriesJudged"].as_u64().unwrap_or(0);
        match part["next"].as_u64() {
            Some(next) => after = next,
            None => {
                found.complete = true;
                break;
            }
        }
    }
    Ok(found)
}

/// The report for people: what needs somebody first.
fn told(report: &Value) -> String {
    let mut out = String::new();
    let mut say = |line: String| {
        out.push_str(&line);
        out.push('\n');
    };
    say(if report["healthy"] == true { "healthy".into() } else { "something needs you".into() });
    for finding in list(&report["findings"]) {
        let mark = if finding["level"] == "alarm" { '!' } else { '-' };
        say(format!("{mark} {}: {} {}", text(&finding["thing"]), text(&finding["what"]), text(&finding["advice"])));
    }
    for failing in list(&report["failingSubscriptions"]) {
        say(format!(
            "! {} waits with {}, gave up {}: {}. {}",
            text(&failing["id"]),
            failing["waiting"],
            failing["deadLetters"],
            text(&failing["lastError"]),
            text(&failing["advice"])
        ));
    }
    let silent = list(&report["silentSensors"]);
    for sensor in silent.iter().take(SILENT_SHOWN_MAX) {
        say(format!(
            "- {} {}: silent for {}, usually a reading every {}. {}",
            text(&sensor["id"]),
            text(&sensor["attribute"]),
            span(&sensor["silentSeconds"]),
            span(&sensor["usualSeconds"]),
            text(&sensor["advice"])
        ));
    }
    if silent.len() > SILENT_SHOWN_MAX {
        say(format!("- and {} more silent sensors; --json lists them all", silent.len() - SILENT_SHOWN_MAX));
    }
    for tenant in list(&report["tenants"]) {
        say(format!(
            "tenant {}: {} entities of {} types",
            text(&tenant["tenant"]),
            tenant["entities"],
            tenant["types"]
        ));
    }
    let all = if report["allSeriesLookedAt"] == true { "" } else { ", not all were looked at" };
    say(format!("sensors: {} silent of {} with a usual interval{all}", silent.len(), report["seriesJudged"]));
    let journal = &report["journal"];
    say(format!("journal: {} records, {} bytes kept", journal["records"], journal["bytes"]));
    say(disk(&report["disk"]));
    let history = &report["history"];
    let since = |bound: &Value| bound.as_str().map_or_else(|| "for ever".to_owned(), |time| format!("from {time} on"));
    say(format!("history: kept {}, exact {}", since(&history["keptFrom"]), since(&history["exactFrom"])));
    let followers = &report["followers"];
    let oldest = match followers["oldest"].as_object() {
        None => String::new(),
        Some(oldest) => format!("; the oldest is {} s old", oldest["behindSeconds"]),
    };
    say(format!(
        "followers behind: history {}, matcher {}{oldest}",
        followers["historyBehind"], followers["matcherBehind"]
    ));
    out
}

fn disk(disk: &Value) -> String {
    let mib = |name: &str| disk[name].as_f64().unwrap_or(0.0) / f64::from(1 << 20);
    let lasts = match (disk["daysLeft"].as_f64(), disk["hoursSeen"].as_i64()) {
        (Some(days), _) => format!("lasts some {days:.0} days, growing by {:.1} MiB a day", mib("growthBytesPerDay")),
        (None, Some(hours)) => format!("how long it lasts is not known yet: {hours} of 24 hours were seen"),
        (None, None) => "does not grow".to_owned(),
    };
    format!("disk: {:.0} MiB free, the city takes {:.0} MiB; {lasts}", mib("freeBytes"), mib("dataBytes"))
}

/// Seconds, minutes, hours or days, whichever is short to read.
fn span(seconds: &Value) -> String {
    match seconds.as_i64().unwrap_or(0) {
        seconds if seconds < 120 => format!("{seconds} s"),
        seconds if seconds < 2 * 3_600 => format!("{} min", seconds / 60),
        seconds if seconds < 2 * 86_400 => format!("{} h", seconds / 3_600),
        seconds => format!("{} days", seconds / 86_400),
    }
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn offline(data: &Path, as_json: bool) -> Result<Outcome> {
    anyhow::ensure!(data.join("FORMAT").exists(), "{} is not a Renkei data folder", data.display());
    let folder = Folder::open(data)?;
    let view = open_view(&folder)?;
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
