//! `renkei restore`: the parts of a backup come in, a data folder that was opened and read through
//! goes out.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use city_context::Context;
use city_history::{History, Policy};
use city_model::Time;
use city_store::backup::{Cut, PartEnd, PartReader, Reached, SegmentWriter, lay_base, lay_frames, lay_outbox};
use city_store::commit::{MATCHER_CURSOR_KEY, RESTORED_KEY};
use city_store::journal::Limits;
use city_store::persons::PERSON_KEYS;
use city_store::{Folder, FolderDisk, PersonKeys, Space, SystemClock, View, ViewBatch};
use serde_json::{Value, json};

use crate::Outcome;
use crate::backup::{Chain, Manifest, Part, PartFile, Progress, Shelf, damaged, mib};

/// How often is looked whether history has come to the end.
const BETWEEN_LOOKS: Duration = Duration::from_millis(20);

#[derive(Debug, Clone, clap::Args)]
#[command(after_help = "Examples:
  renkei restore /backup/koto --data ./city
  renkei restore /backup/koto --data ./monday --until 2026-11-23T18:00:00+09:00
  renkei backup list /backup/koto            which times there are

The folder must be new or empty. It is done only when the store was opened, history has taken in
the journal, and every stored value was read against its checksum. Notifications that were
delivered after the backup are delivered once more, with the same id, when the server starts.
Commands that were under way are not: they are unknown from then on, and a person says what became
of them.")]
pub struct Options {
    /// Folder of the backups
    #[arg(value_name = "DIR")]
    pub dir: PathBuf,
    /// The new data folder
    #[arg(long, env = "RENKEI_DATA_DIR", value_name = "NEW")]
    pub data: PathBuf,
    /// The state of this time: without the changes after it. Without --until the newest
    #[arg(long, env = "RENKEI_RESTORE_UNTIL", value_name = "TIME")]
    pub until: Option<String>,
    /// The keys of persons, a copy of keys/persons.keys: without them what is personal cannot be read
    #[arg(long, env = "RENKEI_RESTORE_KEYS", value_name = "FILE")]
    pub keys: Option<PathBuf>,
    /// Answer as JSON, for programs
    #[arg(long, env = "RENKEI_JSON")]
    pub json: bool,
}

pub fn run(options: &Options) -> Result<Outcome> {
    let until = match &options.until {
        None => None,
        Some(text) => match Time::parse(text) {
            Some(time) => Some(time),
            None => bail!("--until {text} is not a time such as 2026-11-23T18:00:00+09:00"),
        },
    };
    let shelf = Shelf::open(&options.dir)?;
    let chain = Chain::choose(&shelf.sets()?, until)?;
    let keys = options.keys.as_deref().map(read_keys).transpose()?;
    let restored = restore(&chain, &options.data, keys.as_deref(), until)?;
    if options.json {
        println!("{}", restored.to_json());
        return Ok(Outcome::Ok);
    }
    println!("restored and verified: {}", restored.sentence());
    if let Some(end) = restored.ends_before {
        println!("! the backup reaches only to {end}");
    }
    if restored.persons > 0 && keys.is_none() {
        println!(
            "! what is personal of {} entities cannot be read without their keys: restore again with --keys and your copy of keys/persons.keys",
            restored.persons
        );
    }
    if restored.waiting + restored.unmatched > 0 {
        println!(
            "! {} notifications wait, and {} changes are still to be matched, when the server starts: what of them was delivered after the backup is delivered once more, with the same id",
            restored.waiting, restored.unmatched
        );
    }
    Ok(Outcome::Ok)
}

fn read_keys(path: &Path) -> Result<Vec<u8>> {
    std::fs::read(path).with_context(|| format!("The keys of persons in {} cannot be read", path.display()))
}

/// What was restored.
#[derive(Debug)]
pub struct Restored {
    base: String,
    parts: usize,
    last_record: u64,
    last_time: Option<Time>,
    ends_before: Option<Time>,
    replayed: u64,
    tenants: usize,
    entities: u64,
    /// Entities with something personal.
    persons: usize,
    values: u64,
    raw_bytes: u64,
    waiting: u64,
    unmatched: u64,
    seconds: f64,
}

impl Restored {
    pub fn to_json(&self) -> Value {
        let text = |time: Option<Time>| time.map(|time| time.to_string());
        json!({
            "verified": true, "base": self.base, "parts": self.parts, "lastRecord": self.last_record,
            "lastChange": text(self.last_time), "reachesOnlyTo": text(self.ends_before), "replayed": self.replayed,
            "tenants": self.tenants, "entities": self.entities, "persons": self.persons, "values": self.values, "rawBytes": self.raw_bytes,
            "notificationsWaiting": self.waiting, "changesToMatch": self.unmatched, "seconds": self.seconds,
        })
    }

    pub fn sentence(&self) -> String {
        let last = self.last_time.map_or_else(|| "nothing".to_owned(), |time| time.to_string());
        let (raw, seconds) = (mib(self.raw_bytes), self.seconds.max(0.001));
        format!(
            "up to the change of {last} (record {}); {} entities of {} tenants, {} values, {} records replayed; {raw:.1} MiB in {seconds:.1} s, {:.0} MiB/s",
            self.last_record,
            self.entities,
            self.tenants,
            self.values,
            self.replayed,
            raw / seconds
        )
    }
}

/// Lays the parts into a new folder, opens it and reads it through; a folder that did not come to
/// be is taken away again.
pub fn restore(chain: &Chain, data: &Path, keys: Option<&[u8]>, until: Option<Time>) -> Result<Restored> {
    let folder = Folder::restoring(data, chain.base.manifest.folder_format)?;
    match fill(chain, &folder, keys, until) {
        Ok(restored) => {
            folder.restored()?;
            Ok(restored)
        }
        Err(error) => {
            folder.abandon().context("Besides, what was restored could not be removed")?;
            Err(error)
        }
    }
}

fn fill(chain: &Chain, folder: &Folder, keys: Option<&[u8]>, until: Option<Time>) -> Result<Restored> {
    if let Some(keys) = keys {
        folder.write_key(PERSON_KEYS, keys)?;
    }
    let mut progress = Progress::new("restore");
    let reached = lay(chain, folder, until, &mut progress)?;
    progress.step("restore: reading back");
    let view = Arc::new(View::open(&folder.view_path())?);
    let opened = open(folder, &view, &reached)?;
    // What was replayed lies behind what was laid, and is read back with it.
    let values = view.check()?;
    // Commands that were under way may have been done since: the server asks a person, and sends none again.
    let mut batch = ViewBatch::default();
    batch.put(Space::Meta, RESTORED_KEY, &[1]);
    view.write(batch)?;
    view.persist()?;
    let cursor = view.get(Space::Meta, MATCHER_CURSOR_KEY)?;
    let cursor = cursor.and_then(|bytes| bytes[..].try_into().ok()).map_or(0, u64::from_le_bytes);
    Ok(Restored {
        base: chain.base.path.display().to_string(),
        parts: 1 + chain.further.len(),
        last_record: reached.lsn,
        last_time: reached.time,
        ends_before: chain.ends_before,
        replayed: opened.replayed,
        tenants: opened.tenants,
        entities: opened.entities,
        persons: opened.persons,
        values,
        raw_bytes: chain.raw_bytes(),
        waiting: city_action::outbox::waiting(&view)?,
        unmatched: reached.lsn.saturating_sub(cursor),
        seconds: progress.seconds(),
    })
}

fn lay(chain: &Chain, folder: &Folder, until: Option<Time>, progress: &mut Progress) -> Result<Reached> {
    let view = View::open(&folder.view_path())?;
    let journal = folder.journal_path();
    let disk = FolderDisk::new(&journal).with_context(|| format!("The folder {} cannot be made", journal.display()))?;
    let mut journal = SegmentWriter::new(disk);
    let all = chain.raw_bytes();
    let mut base = read(&chain.base)?;
    let mut seen = |done: u64| progress.bytes(done, Some(all));
    let (end, mut reached) = lay_base(&mut base, &view, &mut journal, chain.outbox.is_none(), &mut seen)?;
    is_as_listed(&chain.base, &base, &end)?;
    let cut = until.map_or(Cut::Nowhere, Cut::After);
    let mut done = base.raw_bytes();
    for part in &chain.further {
        let mut reader = read(part)?;
        let is_cut = lay_frames(&mut reader, &mut journal, &mut reached, cut, &mut |bytes| seen(done + bytes))?;
        if !part.manifest.is_base() && reader_sha(&reader) != part.manifest.sha256 {
            return Err(damaged(&part.path, "its checksum is not that of its manifest").into());
        }
        done += reader.raw_bytes();
        if is_cut {
            break;
        }
    }
    if let Some(part) = chain.outbox.and_then(|at| chain.further.get(at)) {
        lay_outbox(&mut read(part)?, &view)?;
    }
    journal.finish(reached.lsn)?;
    compare(&view, chain, &end)?;
    view.persist()?;
    Ok(reached)
}

fn read(part: &Part) -> Result<PartReader<PartFile>> {
    Ok(PartReader::open(part.path.display().to_string(), part.read()?)?)
}

fn reader_sha(reader: &PartReader<PartFile>) -> String {
    reader.input().sha256()
}

/// Whether a part that was read to its end is what its manifest says.
pub fn is_as_listed(part: &Part, reader: &PartReader<PartFile>, end: &PartEnd) -> Result<()> {
    let listed = &part.manifest;
    let found = Manifest::new(
        reader.head(),
        end,
        listed.previous.clone(),
        (listed.file.clone(), listed.bytes, reader_sha(reader)),
    );
    // The file's length is in its checksum.
    if found != *listed {
        return Err(damaged(&part.path, "it is not what its manifest says").into());
    }
    Ok(())
}

/// Reads back what was laid: as many values of each space as the base says.
fn compare(view: &View, chain: &Chain, end: &PartEnd) -> Result<()> {
    for (space, found) in view.check_each()? {
        let replaced = chain.outbox.is_some() && matches!(space, Space::Outbox | Space::Meta);
        let wanted = end.values_of(space);
        if found != wanted && !replaced {
            let name = space.name();
            bail!("{name} holds {found} values after the restore, not the {wanted} of the backup");
        }
    }
    Ok(())
}

/// Opens the store as a server does, without deliveries, until history has come to the end.
fn open(folder: &Folder, view: &Arc<View>, reached: &Reached) -> Result<city_context::OpenReport> {
    let journal = folder.journal_path();
    let disk =
        FolderDisk::new(&journal).with_context(|| format!("The folder {} cannot be opened", journal.display()))?;
    // Nothing of the journal goes before the server has it.
    let limits = Limits { keep_bytes: u64::MAX, ..Limits::default() };
    let keys = Arc::new(PersonKeys::open(&folder.key_path(PERSON_KEYS))?);
    let (context, report) = Context::open(Arc::new(disk), Arc::clone(view), keys, Arc::new(SystemClock), limits)?;
    if context.journal().durable() != reached.lsn || report.journal.cut.is_some() {
        bail!("The restored journal ends at record {}, not at {}", context.journal().durable(), reached.lsn);
    }
    let history =
        History::start(Arc::clone(view), context.journal().clone(), Arc::clone(context.clock()), Policy::default())?;
    while !history.has_reached(reached.lsn)? {
        if !view.has_room() {
            bail!("There is too little space left in {}", folder.path().display());
        }
        std::thread::sleep(BETWEEN_LOOKS);
    }
    Ok(report)
}
