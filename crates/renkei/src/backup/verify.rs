//! Looking at backups: which times they hold, whether every byte is as it was written, and whether
//! the newest can be restored.

use std::path::{Path, PathBuf};

use anyhow::Result;
use city_store::backup::{Content, PartReader};
use serde_json::{Value, json};

use super::chain::Chain;
use super::progress::{Progress, mib};
use super::shelf::{Part, Set, Shelf, Trial};
use crate::Outcome;
use crate::restore::{self, Restored};

#[derive(Debug, Clone, clap::Args)]
pub struct Options {
    /// Folder of the backups
    #[arg(value_name = "DIR")]
    pub dir: PathBuf,
    /// Only the checksums, without the trial
    #[arg(long, env = "RENKEI_VERIFY_QUICK")]
    pub quick: bool,
    /// Folder for the trial; without it the folder of the backups
    #[arg(long, env = "RENKEI_VERIFY_SCRATCH", value_name = "FOLDER")]
    pub scratch: Option<PathBuf>,
    /// Answer as JSON, for programs
    #[arg(long, env = "RENKEI_JSON")]
    pub json: bool,
}

pub fn list(dir: &Path, as_json: bool) -> Result<Outcome> {
    let shelf = Shelf::open(dir)?;
    let mut shown: Vec<Value> = Vec::new();
    for set in shelf.sets()? {
        let (base, last) = (set.base()?, set.last()?);
        let bytes: u64 = set.parts.iter().map(|part| part.manifest.bytes).sum();
        let from = base.manifest.last_time.as_ref().unwrap_or(&base.manifest.taken_at);
        let increments = set.parts.len() - 1;
        if as_json {
            shown.push(json!({
                "base": set.name(), "from": from, "to": last.manifest.taken_at, "increments": increments, "bytes": bytes,
            }));
        } else {
            let (name, to) = (set.name(), &last.manifest.taken_at);
            println!("{name}: from {from} to {to}, {increments} increments, {:.1} MiB", mib(bytes));
        }
    }
    if as_json {
        println!("{}", Value::from(shown));
    }
    Ok(Outcome::Ok)
}

pub fn run(options: &Options) -> Result<Outcome> {
    let shelf = Shelf::open(&options.dir)?;
    let sets = shelf.sets()?;
    let mut progress = Progress::new("verify");
    let (mut bytes, mut parts, mut wrong) = (0, 0, Vec::new());
    for part in sets.iter().flat_map(|set: &Set| &set.parts) {
        match check(part, &mut progress) {
            Ok(()) => bytes += part.manifest.bytes,
            Err(error) => wrong.push(error.to_string()),
        }
        parts += 1;
    }
    let unfinished: Vec<String> = shelf.unfinished()?.iter().map(|path| path.display().to_string()).collect();
    let mut tried: Option<Restored> = None;
    if wrong.is_empty() && !options.quick {
        let chain = Chain::choose(&sets, None)?;
        let trial = Trial::beside(options.scratch.as_deref().unwrap_or(&options.dir));
        match restore::restore(&chain, &trial.path, None, None) {
            Ok(restored) => tried = Some(restored),
            Err(error) => wrong.push(format!("{error:#}")),
        }
    }
    if options.json {
        let trial = tried.as_ref().map(Restored::to_json);
        println!(
            "{}",
            json!({"whole": wrong.is_empty(), "parts": parts, "bytes": bytes, "damaged": wrong, "unfinished": unfinished, "trial": trial})
        );
    } else {
        wrong.iter().for_each(|what| println!("! {what}"));
        unfinished.iter().for_each(|path| println!("{path} was never finished; it does not count"));
        let (base, seconds) = (sets.len(), progress.seconds());
        println!("{parts} parts of {base} bases, {:.1} MiB, {seconds:.1} s", mib(bytes));
        if let Some(restored) = &tried {
            println!("trial restore: {}", restored.sentence());
        }
        println!("{}", if wrong.is_empty() { "whole" } else { "damaged" });
    }
    Ok(if wrong.is_empty() { Outcome::Ok } else { Outcome::Failed })
}

/// Reads a part to its end; every chunk, the whole file, and what the manifest says of it.
fn check(part: &Part, progress: &mut Progress) -> Result<()> {
    let mut reader = PartReader::open(part.path.display().to_string(), part.read()?)?;
    loop {
        progress.bytes(reader.raw_bytes(), Some(part.manifest.raw_bytes));
        if let Content::End(end) = reader.next_content()? {
            return restore::is_as_listed(part, &reader, &end);
        }
    }
}
