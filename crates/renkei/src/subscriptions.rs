//! `renkei subscriptions`: how they fare, what was given up, and sending it again.

use anyhow::{Result, bail};
use serde_json::Value;

use crate::cli::ServerOptions;
use crate::client::{Client, encode};
use crate::{Outcome, WrongUsage};

#[derive(Debug, Clone, clap::Args)]
#[command(after_help = "Examples:
  renkei subscriptions list
  renkei subscriptions dead-letters urn:ngsi-ld:Subscription:7
  renkei subscriptions replay urn:ngsi-ld:Subscription:7")]
pub struct Options {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Clone, clap::Subcommand)]
pub enum Command {
    /// All subscriptions with what was sent, what failed and what waits
    List {
        #[command(flatten)]
        server: ServerOptions,
    },
    /// What was given up of a subscription, and why
    DeadLetters {
        /// Id of the subscription
        id: String,
        #[command(flatten)]
        server: ServerOptions,
    },
    /// Put what was given up back into the outbox
    Replay {
        /// Id of the subscription
        id: String,
        #[command(flatten)]
        server: ServerOptions,
    },
}

pub fn run(options: &Options) -> Result<Outcome> {
    match &options.command {
        Command::List { server } => list(server),
        Command::DeadLetters { id, server } => {
            let letters =
                Client::new(server)?.get_json(&format!("/ops/v1/subscriptions/{}/dead-letters", segment(id)?))?;
            if server.json {
                println!("{letters}");
                return Ok(Outcome::Ok);
            }
            let letters = letters["deadLetters"].as_array().cloned().unwrap_or_default();
            for letter in &letters {
                println!("{}  {} entities  {}", text(&letter["matchedAt"]), letter["entities"], text(&letter["why"]));
            }
            println!("{} given up", letters.len());
            Ok(Outcome::Ok)
        }
        Command::Replay { id, server } => {
            let done = Client::new(server)?
                .post_json(&format!("/ops/v1/subscriptions/{}/replay", segment(id)?), &Value::Null)?;
            if server.json {
                println!("{done}")
            } else {
                println!("{} put back", done["replayed"])
            }
            Ok(Outcome::Ok)
        }
    }
}

fn list(server: &ServerOptions) -> Result<Outcome> {
    let client = Client::new(server)?;
    let mut all: Vec<Value> = Vec::new();
    loop {
        let page = client.get_json(&format!("/ngsi-ld/v1/subscriptions?limit=1000&offset={}", all.len()))?;
        let page = page.as_array().cloned().unwrap_or_default();
        let more = page.len() == 1_000;
        all.extend(page);
        if !more {
            break;
        }
    }
    if server.json {
        println!("{}", Value::from(all));
        return Ok(Outcome::Ok);
    }
    for subscription in &all {
        let notification = &subscription["notification"];
        println!(
            "{}  {}  sent {}  failed {}  to {}",
            text(&subscription["id"]),
            text(&subscription["status"]),
            notification["timesSent"].as_u64().unwrap_or(0),
            notification["timesFailed"].as_u64().unwrap_or(0),
            text(&notification["endpoint"]["uri"]),
        );
    }
    println!("{} subscriptions", all.len());
    Ok(Outcome::Ok)
}

pub fn text(value: &Value) -> &str {
    value.as_str().unwrap_or("-")
}

/// An id as one segment of a path.
pub fn segment(id: &str) -> Result<String> {
    if id.is_empty() || !id.contains(':') {
        let why = format!("\"{id}\" is not the id of a subscription; `renkei subscriptions list` shows them");
        bail!(WrongUsage(why));
    }
    Ok(encode(id))
}
