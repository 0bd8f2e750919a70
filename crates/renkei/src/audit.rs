//! `renkei audit`: what was done, by whom, and whether the trail is still what it was.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use city_trust::trail::merkle::{Hash, Nodes, is_consistent, leaf_hash, node_hash, root};
use city_trust::trail::note::{Checkpoint, Verifier};
use serde_json::Value;

use crate::Outcome;
use crate::cli::ServerOptions;
use crate::client::{Client, good, query_string};
use crate::subscriptions::text;

#[derive(Debug, Clone, clap::Args)]
#[command(after_help = "Examples:
  renkei audit who token:8f3a61c20b94d7e5        all that this token's holder did
  renkei audit what token                        all that was done to tokens
  renkei audit what                              everything, oldest first
  renkei audit export ./trail                    the trail with its signed checkpoint, as files
  renkei audit verify ./trail                    whether these files are whole, without a server
  renkei audit verify ./trail --against-server   and whether the server's trail of now goes on from them

Export again into the same folder from time to time, on another machine: verify then finds what was changed,
taken out, put in or taken back in the trail since. docs/guides/verify-the-trail.md has the same check in
fifty lines of another language.")]
pub struct Options {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Clone, clap::Subcommand)]
pub enum Command {
    /// What somebody did
    Who {
        /// Whom it is about: token:ID or local-operator
        who: String,
        #[command(flatten)]
        server: ServerOptions,
    },
    /// What was done of a kind, such as policy or token.added
    What {
        what: Option<String>,
        #[command(flatten)]
        server: ServerOptions,
    },
    /// Write entries, key and checkpoint into a folder
    Export {
        /// Folder; what an earlier export left there must be the beginning of the trail
        dir: PathBuf,
        #[command(flatten)]
        server: ServerOptions,
    },
    /// Check an exported trail; with --against-server also that the server's goes on from it
    Verify {
        dir: PathBuf,
        /// Ask the server too whether its trail goes on from the files
        #[arg(long)]
        against_server: bool,
        #[command(flatten)]
        server: ServerOptions,
    },
}

pub fn run(options: &Options) -> Result<Outcome> {
    match &options.command {
        Command::Who { who, server } => list(server, Some(who), None),
        Command::What { what, server } => list(server, None, what.as_deref()),
        Command::Export { dir, server } => export(dir, server),
        Command::Verify { dir, against_server, server } => verify(dir, against_server.then_some(server), server.json),
    }
}

fn list(server: &ServerOptions, who: Option<&str>, what: Option<&str>) -> Result<Outcome> {
    let client = Client::new(server)?;
    let mut from = 0u64;
    let mut shown = 0;
    loop {
        let at = from.to_string();
        let query = query_string(&[("who", who), ("what", what), ("from", Some(&at))]);
        let page = client.get_json(&format!("/audit/v1/entries{query}"))?;
        for entry in page["entries"].as_array().into_iter().flatten() {
            shown += 1;
            if server.json {
                println!("{entry}");
                continue;
            }
            let (time, who) = (text(&entry["time"]), text(&entry["who"]));
            println!("{}  {time}  {who}  {}  {}", entry["index"], text(&entry["what"]), text(&entry["subject"]));
        }
        match page["next"].as_u64() {
            Some(next) => from = next,
            None => break,
        }
    }
    if !server.json {
        println!("{shown} entries");
    }
    Ok(Outcome::Ok)
}

/// The files of an exported trail.
struct Files<'d> {
    dir: &'d Path,
}

impl Files<'_> {
    fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    fn read(&self, name: &str) -> Result<Option<String>> {
        let path = self.path(name);
        match std::fs::read_to_string(&path) {
            Ok(text) => Ok(Some(text)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).with_context(|| format!("{} cannot be read", path.display())),
        }
    }

    fn write(&self, name: &str, text: &str) -> Result<()> {
        let (path, new) = (self.path(name), self.path(&format!("{name}.new")));
        std::fs::write(&new, text)
            .and_then(|()| std::fs::rename(&new, &path))
            .with_context(|| format!("{} cannot be written", path.display()))
    }
}

/// A tree over entries that are all at hand.
struct Tree(Vec<Vec<Hash>>);

impl Tree {
    fn of(entries: &[&str]) -> Self {
        let mut levels = vec![entries.iter().map(|entry| leaf_hash(entry.as_bytes())).collect::<Vec<Hash>>()];
        while let Some(below) = levels.last().filter(|below| below.len() > 1) {
            let above = below.as_chunks::<2>().0.iter().map(|[left, right]| node_hash(left, right)).collect();
            levels.push(above);
        }
        Self(levels)
    }
}

impl Nodes for Tree {
    type Error = anyhow::Error;

    fn node(&self, level: u32, number: u64) -> Result<Hash> {
        let found = self.0.get(level as usize).and_then(|level| level.get(usize::try_from(number).ok()?));
        found.copied().context("The exported trail has fewer entries than its checkpoint says")
    }
}

/// What an exported trail says of itself, if all of it fits together.
fn checked(files: &Files) -> Result<(Checkpoint, Verifier, String)> {
    let missing = |name: &str| format!("{} is missing; renkei audit export writes it", files.path(name).display());
    let key = files.read("key")?.with_context(|| missing("key"))?;
    let verifier = Verifier::parse(&key).context("The file key is no key")?;
    let signed = files.read("checkpoint")?.with_context(|| missing("checkpoint"))?;
    let checkpoint = verifier.open(&signed).context("The checkpoint is not signed by the key beside it")?;
    let entries = files.read("entries.ndjson")?.with_context(|| missing("entries.ndjson"))?;
    let lines: Vec<&str> = entries.lines().collect();
    if lines.len() as u64 != checkpoint.size {
        bail!("The checkpoint is of {} entries, the file has {}", checkpoint.size, lines.len());
    }
    if root(&Tree::of(&lines), checkpoint.size)? != checkpoint.root {
        bail!("The entries are not those that the checkpoint was signed for: one was changed, or their order");
    }
    Ok((checkpoint, verifier, entries))
}

fn export(dir: &Path, server: &ServerOptions) -> Result<Outcome> {
    std::fs::create_dir_all(dir).with_context(|| format!("{} cannot be made", dir.display()))?;
    let (files, client) = (Files { dir }, Client::new(server)?);
    let (mut entries, before) = match files.read("checkpoint")? {
        Some(_) => {
            let (checkpoint, verifier, entries) = checked(&files)?;
            goes_on(&client, &checkpoint, &verifier)?;
            (entries, checkpoint.size)
        }
        None => (String::new(), 0),
    };
    let plain = |path: &str| -> Result<String> {
        String::from_utf8(good(client.get(path)?)?.body.to_vec()).context("The server's answer is not text")
    };
    let (key, signed) = (plain("/audit/v1/key")?, plain("/audit/v1/checkpoint")?);
    let verifier = Verifier::parse(&key).context("The server's key is none")?;
    let checkpoint = verifier.open(&signed).context("The server's checkpoint is not signed by its key")?;
    let mut at = before;
    while at < checkpoint.size {
        let (number, within) = (at / 256, at % 256);
        let width = (checkpoint.size - number * 256).min(256);
        let partial = if width < 256 { format!(".p/{width}") } else { String::new() };
        let bundle = good(client.get(&format!("/audit/v1/tile/entries/{}{partial}", tile_path(number)))?)?.body;
        let mut rest = &bundle[..];
        for number in 0..width {
            let (length, behind) = rest.split_at_checked(2).context("A bundle of entries is cut")?;
            let length = usize::from(u16::from_be_bytes([length[0], length[1]]));
            let (entry, behind) = behind.split_at_checked(length).context("A bundle of entries is cut")?;
            rest = behind;
            if number >= within {
                entries.push_str(std::str::from_utf8(entry).context("An entry is not text")?);
                entries.push('\n');
            }
        }
        at = number * 256 + width;
    }
    files.write("entries.ndjson", &entries)?;
    files.write("key", &key)?;
    files.write("checkpoint", &signed)?;
    let (checkpoint, ..) = checked(&files)?;
    say(
        server.json,
        &checkpoint,
        &format!("{} entries, {} of them new, in {}", checkpoint.size, checkpoint.size - before, dir.display()),
    );
    Ok(Outcome::Ok)
}

/// `x001/x234/067` for 1,234,067.
fn tile_path(number: u64) -> String {
    let mut path = format!("{:03}", number % 1_000);
    let mut above = number / 1_000;
    while above > 0 {
        path = format!("x{:03}/{path}", above % 1_000);
        above /= 1_000;
    }
    path
}

fn say(json: bool, checkpoint: &Checkpoint, what: &str) {
    if json {
        println!("{}", serde_json::json!({"origin": checkpoint.origin, "size": checkpoint.size, "said": what}));
    } else {
        println!("{what}");
    }
}

/// Whether the server's trail of now begins with the one of a checkpoint.
fn goes_on(client: &Client, old: &Checkpoint, verifier: &Verifier) -> Result<Checkpoint> {
    let signed = String::from_utf8(good(client.get("/audit/v1/checkpoint")?)?.body.to_vec())?;
    let now = verifier.open(&signed).context(
        "The server's checkpoint is not signed by the key of the export: it is another server's trail, or another tenant's",
    )?;
    if now.size < old.size {
        bail!("The server's trail has {} entries, the export {}: entries were taken back", now.size, old.size);
    }
    let path = format!("/audit/v1/consistency?old={}&new={}", old.size, now.size);
    let answer = good(client.get(&path)?)?;
    let proof: Option<Vec<Hash>> = std::str::from_utf8(&answer.body)?.lines().map(hash).collect();
    let proof = proof.context("The server's proof has not the form of one")?;
    if !is_consistent(old.size, old.root, now.size, now.root, &proof) {
        bail!("The server's trail does not go on from the export: its past was changed");
    }
    Ok(now)
}

fn hash(line: &str) -> Option<Hash> {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.decode(line).ok()?.try_into().ok()
}

fn verify(dir: &Path, server: Option<&ServerOptions>, json: bool) -> Result<Outcome> {
    let (checkpoint, verifier, entries) = checked(&Files { dir })?;
    for (at, line) in entries.lines().enumerate() {
        let entry: Value = serde_json::from_str(line).with_context(|| format!("Entry {at} is not JSON"))?;
        if entry["index"].as_u64() != Some(at as u64) {
            bail!("Entry {at} says that it is number {}", entry["index"]);
        }
    }
    let mut what = format!("{} entries of {} are as they were signed", checkpoint.size, checkpoint.origin);
    if let Some(server) = server {
        let now = goes_on(&Client::new(server)?, &checkpoint, &verifier)?;
        what.push_str(&format!("; the server's trail goes on from them to {}", now.size));
    }
    say(json, &checkpoint, &what);
    Ok(Outcome::Ok)
}
