//! `renkei rule`: what is suggested when.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::Outcome;
use crate::cli::ServerOptions;
use crate::client::{Client, encode};
use crate::subscriptions::text;

#[derive(Debug, Clone, clap::Args)]
#[command(after_help = "Examples:
  renkei rule test flood-underpass.yaml --since 2026-06-01T00:00:00+09:00
  renkei rule add flood-underpass.yaml
  renkei rule list
  renkei rule remove flood-underpass

A rule is a file:
  name: flood-underpass
  watch: WaterObserved
  when: waterLevel > 2.0
  until: waterLevel < 1.6
  suggest:
    what: Close the underpass at Kawabata
    why: The river stands at {waterLevel} m, above 2 m.
    do:
      - set: setPosition
        of: urn:ngsi-ld:FloodBarrier:Kawabata
        to: closed
    within: PT30M")]
pub struct Options {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Clone, clap::Subcommand)]
pub enum Command {
    /// Add a rule, or put another in the place of the one with its name
    Add {
        /// The rule, in YAML or JSON
        file: PathBuf,
        #[command(flatten)]
        server: ServerOptions,
    },
    /// What a rule would have suggested since a time; nothing is written, and nobody is told
    Test {
        /// The rule, in YAML or JSON
        file: PathBuf,
        /// From this time on
        #[arg(long, value_name = "TIME")]
        since: String,
        /// Up to this time; without it, up to now
        #[arg(long, value_name = "TIME")]
        until: Option<String>,
        #[command(flatten)]
        server: ServerOptions,
    },
    /// All rules, each with what it says in a sentence
    List {
        #[command(flatten)]
        server: ServerOptions,
    },
    /// Remove a rule; what it has suggested stays
    Remove {
        name: String,
        #[command(flatten)]
        server: ServerOptions,
    },
}

pub fn run(options: &Options) -> Result<Outcome> {
    match &options.command {
        Command::Add { file, server } => {
            let added = Client::new(server)?.post_json("/ops/v1/rules", &read(file)?)?;
            show(server, &added, &[&added]);
        }
        Command::Test { file, since, until, server } => {
            let asked = json!({"rule": read(file)?, "since": since, "until": until});
            let found = Client::new(server)?.post_json("/ops/v1/rules/test", &asked)?;
            if server.json { println!("{found}") } else { show_test(&found) }
        }
        Command::List { server } => {
            let found = Client::new(server)?.get_json("/ops/v1/rules")?;
            let rules: Vec<&Value> = found["rules"].as_array().into_iter().flatten().collect();
            show(server, &found, &rules);
        }
        Command::Remove { name, server } => {
            Client::new(server)?.delete(&format!("/ops/v1/rules/{}", encode(name)))?;
            if !server.json {
                println!("{name} is removed");
            }
        }
    }
    Ok(Outcome::Ok)
}

/// A rule as a person writes it.
fn read(file: &Path) -> Result<Value> {
    let text = std::fs::read_to_string(file).with_context(|| format!("The rule {} cannot be read", file.display()))?;
    let rule = city_insight::rule::read(&text).with_context(|| format!("{} is no rule", file.display()))?;
    Ok(serde_json::to_value(&rule)?)
}

fn show_test(found: &Value) {
    println!("{}", text(&found["says"]));
    let list = found["suggestions"].as_array().map(Vec::as_slice).unwrap_or_default();
    for one in list {
        let ended = one["endedAt"].as_str().map_or("goes on".to_owned(), |at| format!("ends {at}"));
        println!(
            "{}  {}  {ended}\n  {}\n  {}",
            text(&one["at"]),
            text(&one["about"]),
            text(&one["what"]),
            text(&one["why"])
        );
    }
    let (entities, looks) = (&found["entities"], &found["evaluations"]);
    let (since, until) = (text(&found["since"]), text(&found["until"]));
    println!("{} suggestions of {entities} entities in {looks} looks, from {since} to {until}", list.len());
    if found["cut"] == true {
        println!("! there is more than one test looks at: ask for a shorter time, or name the entities (ids)");
    }
}

fn show(server: &ServerOptions, answer: &Value, rules: &[&Value]) {
    if server.json {
        println!("{answer}");
        return;
    }
    for rule in rules {
        println!("{}  (by {})\n  {}", text(&rule["name"]), text(&rule["owner"]), text(&rule["says"]));
        if let Some(failure) = rule["failure"].as_str() {
            println!("  it says nothing: {failure}");
        }
    }
}
