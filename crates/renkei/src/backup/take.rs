//! Taking a backup: chunks come in from the server, are checked and written, and count once they
//! are whole.

use std::ops::ControlFlow;
use std::path::Path;

use anyhow::{Context, Result, bail};
use city_outbound::Answer;
use city_store::backup::chunk::{ChunkKind, Scanner};
use city_store::backup::{PartEnd, PartHead};
use serde_json::json;

use super::Options;
use super::manifest::Manifest;
use super::progress::{Progress, mib};
use super::shelf::{NewPart, Set, Shelf};
use crate::Outcome;
use crate::client::{Client, detail, good};

pub fn run(dir: &Path, options: &Options) -> Result<Outcome> {
    if options.server.tenant.is_some() {
        bail!("A backup is of all tenants; leave --tenant out");
    }
    let client = Client::new(&options.server)?;
    let shelf = Shelf::make(dir)?;
    let newest = if options.full {
        None
    } else {
        let sets =
            shelf.sets().context("Nothing can be added to these backups; --full makes a new base beside them")?;
        sets.into_iter().next_back()
    };
    let mut progress = Progress::new("backup");
    let (taken, set) = match &newest {
        Some(set) => match increment(&client, &shelf, set, &mut progress)? {
            Some(taken) => (taken, Some(set)),
            None => (base(&client, &shelf, &mut progress)?, None),
        },
        None => (base(&client, &shelf, &mut progress)?, None),
    };
    let (part, manifest) = taken.finish(set)?;
    let seconds = progress.seconds();
    let removed = match options.keep {
        Some(bases) => shelf.keep(bases as usize)?,
        None => Vec::new(),
    };
    let values: u64 = manifest.values.values().sum();
    if options.server.json {
        let report = json!({
            "part": part, "kind": manifest.kind, "takenAt": manifest.taken_at, "lastRecord": manifest.last_record,
            "records": manifest.records, "values": values, "bytes": manifest.bytes, "rawBytes": manifest.raw_bytes,
            "seconds": seconds, "removed": removed,
        });
        println!("{report}");
    } else {
        let (raw, stored) = (mib(manifest.raw_bytes), mib(manifest.bytes));
        println!("{} of {}: {}", manifest.kind, manifest.taken_at, part.display());
        println!(
            "{} records of the journal, {values} values; {raw:.1} MiB as {stored:.1} MiB in {seconds:.1} s, {:.0} MiB/s",
            manifest.records,
            raw / seconds.max(0.001)
        );
        removed.iter().for_each(|name| println!("removed {name}"));
    }
    Ok(Outcome::Ok)
}

/// A part whose chunks have all come.
struct Taken {
    new: NewPart,
    head: PartHead,
    end: PartEnd,
}

impl Taken {
    fn finish(self, set: Option<&Set>) -> Result<(std::path::PathBuf, Manifest)> {
        let previous = set.map(|set| set.last().map(|part| part.manifest.sha256.clone())).transpose()?;
        let mut written = None;
        let path = self.new.finish(|file, bytes, sha256| {
            written.insert(Manifest::new(&self.head, &self.end, previous, (file, bytes, sha256))).clone()
        })?;
        Ok((path, written.context("no manifest was written")?))
    }
}

fn base(client: &Client, shelf: &Shelf, progress: &mut Progress) -> Result<Taken> {
    let mut incoming = Incoming::default();
    let begin = |head: &PartHead| {
        let stamp: String = head.taken_at.to_string().chars().filter(char::is_ascii_alphanumeric).collect();
        shelf.begin_base(&stamp)
    };
    good(incoming.download(client, "/ops/v1/backup", &begin, progress)?)?;
    incoming.taken()
}

/// `None` where the server says that a new base is needed.
fn increment(client: &Client, shelf: &Shelf, set: &Set, progress: &mut Progress) -> Result<Option<Taken>> {
    let since = set.last()?.manifest.since();
    let mut incoming = Incoming::default();
    let path = format!("/ops/v1/backup?after={}&record={}", since.lsn, since.crc);
    let answer = incoming.download(client, &path, &|_| shelf.begin_increment(set), progress)?;
    if answer.status == 409 {
        eprintln!("{} A new base is made.", detail(&answer).replace(" Make a new base.", ""));
        return Ok(None);
    }
    good(answer)?;
    incoming.taken().map(Some)
}

/// What has come of a part.
#[derive(Default)]
struct Incoming {
    scanner: Scanner,
    number: u32,
    head: Option<PartHead>,
    end: Option<PartEnd>,
    new: Option<NewPart>,
    raw_bytes: u64,
}

impl Incoming {
    fn download(
        &mut self,
        client: &Client,
        path: &str,
        begin: &dyn Fn(&PartHead) -> Result<NewPart>,
        progress: &mut Progress,
    ) -> Result<Answer> {
        let mut failed = None;
        let answer = client.download(path, |piece| {
            self.scanner.push(&piece);
            match self.take(begin) {
                Ok(()) => {
                    progress.bytes(self.raw_bytes, None);
                    ControlFlow::Continue(())
                }
                Err(error) => {
                    failed = Some(error);
                    ControlFlow::Break(())
                }
            }
        });
        match failed {
            Some(error) => Err(error),
            None => answer,
        }
    }

    fn take(&mut self, begin: &dyn Fn(&PartHead) -> Result<NewPart>) -> Result<()> {
        while let Some((sent, chunk)) = self.scanner.next_chunk().map_err(broken)? {
            if chunk.number != self.number || self.end.is_some() {
                return Err(broken("its parts are not in order"));
            }
            self.number += 1;
            self.raw_bytes += chunk.body.len() as u64;
            match (chunk.kind, self.head.is_some()) {
                (ChunkKind::Head, false) => {
                    let head = PartHead::decode(&chunk.body, "of this server")?;
                    self.new = Some(begin(&head)?);
                    self.head = Some(head);
                }
                (ChunkKind::End, true) => self.end = Some(PartEnd::decode(&chunk.body)?),
                (ChunkKind::Failed, _) => {
                    bail!("The server could not go on: {}", String::from_utf8_lossy(&chunk.body))
                }
                (ChunkKind::Frames | ChunkKind::Keys, true) => {}
                _ => return Err(broken("it does not begin with what it is")),
            }
            if let Some(new) = &mut self.new {
                new.write(sent)?;
            }
        }
        Ok(())
    }

    fn taken(self) -> Result<Taken> {
        match (self.new, self.head, self.end) {
            (Some(new), Some(head), Some(end)) if self.scanner.is_empty() => Ok(Taken { new, head, end }),
            _ => Err(broken("it ended too early; was the server stopped?")),
        }
    }
}

fn broken(what: &str) -> anyhow::Error {
    anyhow::anyhow!("What the server sent is not a whole backup: {what}. Nothing of it was kept; try again")
}
