//! `renkei source` and `renkei rejects`: what comes in again and again, and what of it could not be used.

use std::io::{Cursor, Read};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use city_ingest::source::{Source, StoredSource};
use city_ingest::{Batch, Decoder, import};
use city_store::{Clock, SystemClock};
use serde_json::{Value, json};

use crate::Outcome;
use crate::cli::ServerOptions;
use crate::client::{Client, encode, good, json as json_of, query_string};
use crate::subscriptions::text;

#[derive(Debug, Clone, clap::Args)]
#[command(after_help = "Examples:
  renkei source test gauges.yaml message.json   what would become of a message; nothing is sent
  renkei source test level.yaml message.txt --topic gauges/7/level
  renkei source add gauges.yaml
  renkei source push gauges message.json        or - for the standard input
  renkei source list
  renkei source trace urn:ngsi-ld:RiverGauge:7 waterLevel

A source is a file:
  name: gauges
  from: {push: {by: [device]}}        or {poll: {url: …, every: PT5M}} or {mqtt: {topic: gauges/+/level}}
  expect: PT30M
  map:
    format: json
    id: '\"urn:ngsi-ld:RiverGauge:\" + row.id'
    type: RiverGauge
    observedAt: time(row.at)
    attributes:
      waterLevel: {value: number(row.level_cm) / 100.0, unitCode: MTR}")]
pub struct Options {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Clone, clap::Subcommand)]
pub enum Command {
    /// Set a source up, or give the one of its name another text
    Add {
        /// The source, in YAML
        file: PathBuf,
        #[command(flatten)]
        server: ServerOptions,
    },
    /// All sources: when something came last, how much was taken and rejected, who is silent
    List {
        #[command(flatten)]
        server: ServerOptions,
    },
    /// A source with its text
    Show {
        name: String,
        #[command(flatten)]
        server: ServerOptions,
    },
    /// Show what would become of a message, without a server: its rows, the entities, and what is wrong
    Test {
        /// The source, in YAML
        file: PathBuf,
        /// The message; - is the standard input
        message: PathBuf,
        /// The topic or address that it came under, for mappings that ask for message.name or message.parts
        #[arg(long, env = "RENKEI_TOPIC", value_name = "NAME")]
        topic: Option<String>,
        /// Answer as JSON, for programs
        #[arg(long, env = "RENKEI_JSON")]
        json: bool,
    },
    /// Send a message to a source
    Push {
        name: String,
        /// The message; - is the standard input
        message: PathBuf,
        #[command(flatten)]
        server: ServerOptions,
    },
    /// Take no more messages until it is resumed
    Pause {
        name: String,
        #[command(flatten)]
        server: ServerOptions,
    },
    /// Take messages again
    Resume {
        name: String,
        #[command(flatten)]
        server: ServerOptions,
    },
    /// Remove a source; what it brought stays
    Remove {
        name: String,
        #[command(flatten)]
        server: ServerOptions,
    },
    /// Say where a value came from: source, message, line
    Trace {
        /// Id of the entity
        id: String,
        /// The attribute, as the @context calls it
        attribute: String,
        #[command(flatten)]
        server: ServerOptions,
    },
}

#[derive(Debug, Clone, clap::Args)]
#[command(after_help = "Examples:
  renkei rejects list gauges
  renkei rejects show gauges 4711 > message.json      then mend it
  renkei rejects mend gauges 4711 message.json
  renkei rejects replay gauges 4711                   after the source was mended
  renkei rejects drop gauges 4711")]
pub struct RejectsOptions {
    #[command(subcommand)]
    pub command: RejectsCommand,
}

#[derive(Debug, Clone, clap::Subcommand)]
pub enum RejectsCommand {
    /// Messages of which something could not be used, and why
    List {
        source: String,
        #[command(flatten)]
        server: ServerOptions,
    },
    /// A rejected message as it came
    Show {
        source: String,
        number: u64,
        #[command(flatten)]
        server: ServerOptions,
    },
    /// Take a message in the place of the rejected one
    Mend {
        source: String,
        number: u64,
        /// The mended message; - is the standard input
        message: PathBuf,
        #[command(flatten)]
        server: ServerOptions,
    },
    /// Take the message again as it came
    Replay {
        source: String,
        number: u64,
        #[command(flatten)]
        server: ServerOptions,
    },
    /// Give up on a message
    Drop {
        source: String,
        number: u64,
        #[command(flatten)]
        server: ServerOptions,
    },
}

pub fn run(options: &Options) -> Result<Outcome> {
    match &options.command {
        Command::Add { file, server } => {
            let text = std::fs::read(file).with_context(|| format!("{} cannot be read", file.display()))?;
            let answer = good(Client::new(server)?.post("/ops/v1/sources", text, "application/yaml")?)?;
            show_sources(server, &[json_of(&answer)?]);
        }
        Command::List { server } => {
            let found = Client::new(server)?.get_json("/ops/v1/sources")?;
            match server.json {
                true => println!("{found}"),
                false => show_sources(server, found["sources"].as_array().map(Vec::as_slice).unwrap_or_default()),
            }
        }
        Command::Show { name, server } => {
            let found = Client::new(server)?.get_json(&path(name, ""))?;
            show_sources(server, std::slice::from_ref(&found));
            if !server.json {
                println!("\n{}", text(&found["text"]));
            }
        }
        Command::Test { file, message, topic, json } => return test(file, message, topic.as_deref(), *json),
        Command::Push { name, message, server } => {
            return took(server, &post(server, &path(name, "/messages"), read(message)?)?);
        }
        Command::Pause { name, server } => done(server, name, "/pause", "takes no more messages")?,
        Command::Resume { name, server } => done(server, name, "/resume", "takes messages again")?,
        Command::Remove { name, server } => {
            Client::new(server)?.delete(&path(name, ""))?;
            if !server.json {
                println!("{name} is removed");
            }
        }
        Command::Trace { id, attribute, server } => trace(server, id, attribute)?,
    }
    Ok(Outcome::Ok)
}

pub fn run_rejects(options: &RejectsOptions) -> Result<Outcome> {
    let of = |source: &str, number: u64, end: &str| path(source, &format!("/rejects/{number}{end}"));
    match &options.command {
        RejectsCommand::List { source, server } => {
            let found = Client::new(server)?.get_json(&path(source, "/rejects"))?;
            if server.json {
                println!("{found}");
                return Ok(Outcome::Ok);
            }
            for reject in found["rejects"].as_array().into_iter().flatten() {
                println!(
                    "{}  {}  {} of {} rows rejected",
                    reject["message"],
                    text(&reject["receivedAt"]),
                    reject["rejected"],
                    reject["read"]
                );
                show_reasons(reject);
            }
        }
        RejectsCommand::Show { source, number, server } => {
            let found = Client::new(server)?.get_json(&of(source, *number, ""))?;
            match (server.json, found["text"].as_str()) {
                (false, Some(text)) => println!("{text}"),
                _ => println!("{found}"),
            }
        }
        RejectsCommand::Mend { source, number, message, server } => {
            return took(server, &post(server, &of(source, *number, "/replay"), read(message)?)?);
        }
        RejectsCommand::Replay { source, number, server } => {
            return took(server, &post(server, &of(source, *number, "/replay"), Vec::new())?);
        }
        RejectsCommand::Drop { source, number, server } => {
            Client::new(server)?.delete(&of(source, *number, ""))?;
            if !server.json {
                println!("{number} is given up");
            }
        }
    }
    Ok(Outcome::Ok)
}

fn path(name: &str, end: &str) -> String {
    format!("/ops/v1/sources/{}{end}", encode(name))
}

/// A message of which something was rejected is an answer, too.
fn post(server: &ServerOptions, path: &str, bytes: Vec<u8>) -> Result<Value> {
    let answer = Client::new(server)?.post(path, bytes, "application/octet-stream")?;
    if answer.status == 422 {
        return json_of(&answer);
    }
    json_of(&good(answer)?)
}

fn done(server: &ServerOptions, name: &str, end: &str, what: &str) -> Result<()> {
    good(Client::new(server)?.post(&path(name, end), Vec::new(), "application/json")?)?;
    if !server.json {
        println!("{name} {what}");
    }
    Ok(())
}

fn read(path: &Path) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    match path.as_os_str() == "-" {
        true => std::io::stdin().read_to_end(&mut bytes).context("The standard input cannot be read")?,
        false => {
            bytes = std::fs::read(path).with_context(|| format!("{} cannot be read", path.display()))?;
            bytes.len()
        }
    };
    Ok(bytes)
}

fn took(server: &ServerOptions, entry: &Value) -> Result<Outcome> {
    if server.json {
        println!("{entry}");
    } else {
        println!("message {}: {} applied, {} rejected", entry["message"], entry["applied"], entry["rejected"]);
        show_reasons(entry);
    }
    Ok(if entry["rejected"] == 0 { Outcome::Ok } else { Outcome::SomeRejected })
}

fn show_reasons(entry: &Value) {
    for reason in entry["reasons"].as_array().into_iter().flatten() {
        println!("  line {}: {}", reason["line"], text(&reason["why"]));
    }
}

fn show_sources(server: &ServerOptions, sources: &[Value]) {
    for source in sources {
        if server.json {
            println!("{source}");
            continue;
        }
        let state = match (source["paused"] == true, source["failing"].as_str(), source["silent"] == true) {
            (true, ..) => "paused".to_owned(),
            (_, Some(why), _) => format!("failing: {why}"),
            (.., true) => "silent".to_owned(),
            _ => "well".to_owned(),
        };
        println!(
            "{}  {}  {state}; {} messages, {} applied, {} rejected; last {}",
            text(&source["name"]),
            text(&source["from"]),
            source["messages"],
            source["applied"],
            source["rejected"],
            source["lastAt"].as_str().unwrap_or("never"),
        );
    }
}

fn trace(server: &ServerOptions, id: &str, attribute: &str) -> Result<()> {
    let query = query_string(&[("id", Some(id)), ("attr", Some(attribute))]);
    let found = Client::new(server)?.get_json(&format!("/ops/v1/lineage{query}"))?;
    if server.json {
        println!("{found}");
        return Ok(());
    }
    let changed = text(&found["changedAt"]);
    match (found["source"].as_str(), found["door"].as_str()) {
        (Some(source), _) => {
            let line = found["line"].as_u64().map(|line| format!(", line {line}")).unwrap_or_default();
            println!("{changed}: source {source}, message {}{line}", found["message"]);
            let came = &found["cameAs"];
            if came.is_object() {
                println!(
                    "  came as {} from {}, {} bytes, sha256 {}; taken by version {} of the source",
                    text(&came["name"]),
                    text(&came["by"]),
                    came["bytes"],
                    text(&came["sha256"]),
                    came["version"],
                );
            }
        }
        (None, Some(door)) => println!("{changed}: by no source; through {door}, by {}", text(&found["by"])),
        _ => println!("The change that brought it is no longer kept"),
    }
    Ok(())
}

/// What would become of a message, here and now.
fn test(file: &Path, message: &Path, topic: Option<&str>, as_json: bool) -> Result<Outcome> {
    let text = std::fs::read_to_string(file).with_context(|| format!("{} cannot be read", file.display()))?;
    let stored = StoredSource {
        text: text.into(),
        who: "test".into(),
        purpose: None,
        created_at_micros: 0,
        version: 1,
        paused: false,
    };
    let source = Source::of(stored).with_context(|| format!("{} is no source", file.display()))?;
    let bytes = read(message)?;
    let name = topic.map_or_else(|| message.display().to_string(), str::to_owned);
    let decoder = Decoder::open(&name, Box::new(Cursor::new(bytes)), source.mapping.encoding(), false)?;
    let decoder = decoder.received(SystemClock.now());
    let (mut entities, mut rejected) = (Vec::new(), Vec::new());
    let report = import(
        decoder,
        &source.mapping,
        |batch| {
            match batch {
                Batch::Upsert { json, entities: lines } => {
                    let made: Vec<Value> = serde_json::from_slice(&json)?;
                    entities.extend(lines.iter().map(|one| one.line).zip(made));
                }
                Batch::Temporal { json, .. } => entities.push((0, serde_json::from_slice(&json)?)),
            }
            Ok::<(), serde_json::Error>(())
        },
        |row| {
            rejected.push(row);
            Ok(())
        },
    )?;
    if as_json {
        let entities: Vec<Value> =
            entities.iter().map(|(line, entity)| json!({"line": line, "entity": entity})).collect();
        let rejected: Vec<Value> =
            rejected.iter().map(|row| json!({"line": row.line, "why": row.reason, "row": row.input})).collect();
        println!(
            "{}",
            json!({"read": report.read, "skipped": report.skipped, "entities": entities, "rejected": rejected})
        );
    } else {
        for (line, entity) in &entities {
            println!("line {line}:\n{}", serde_json::to_string_pretty(entity)?);
        }
        for row in &rejected {
            println!("line {} is rejected: {}\n  {}", row.line, row.reason, row.input);
        }
        println!(
            "{} rows: {} used, {} left out, {} rejected; nothing was sent",
            report.read,
            report.mapped,
            report.skipped,
            rejected.len()
        );
        if !report.unseen_columns.is_empty() {
            println!("! no row has {}: are these names right?", report.unseen_columns.join(", "));
        }
    }
    Ok(if rejected.is_empty() { Outcome::Ok } else { Outcome::SomeRejected })
}
