//! `renkei rule`: what is suggested when.

use std::path::PathBuf;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::Outcome;
use crate::cli::ServerOptions;
use crate::client::{Client, encode};
use crate::subscriptions::text;

#[derive(Debug, Clone, clap::Args)]
#[command(after_help = "Examples:
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
            let text =
                std::fs::read_to_string(file).with_context(|| format!("The rule {} cannot be read", file.display()))?;
            let rule = city_insight::rule::read(&text).with_context(|| format!("{} is no rule", file.display()))?;
            let added = Client::new(server)?.post_json("/ops/v1/rules", &serde_json::to_value(&rule)?)?;
            show(server, &added, &[&added]);
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
