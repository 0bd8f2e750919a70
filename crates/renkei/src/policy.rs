//! `renkei policy`: who may what, in words.

use anyhow::Result;
use serde_json::{Value, json};

use crate::Outcome;
use crate::cli::ServerOptions;
use crate::client::{Client, encode, query_string};
use crate::subscriptions::text;

#[derive(Debug, Clone, clap::Args)]
#[command(after_help = "Examples:
  renkei policy add 'the bus company may read BusStop, for operation'
  renkei policy add 'anyone may read name, location of Shelter with location to 500 m'
  renkei policy add 'role developer may not read owner of Building' --context https://example.org/context.jsonld
  renkei policy add --cedar 'permit (principal in Role::\"device\", action == Action::\"write\", resource in Type::\"…\");'
  renkei policy explain token:8f3a61c20b94d7e5 --purpose operation
  renkei policy list

A sentence goes: WHO may [not] read|write|subscribe [ATTRIBUTE, … of] TYPE, … [in SCOPE, …]
[with ATTRIBUTE to STEP, ATTRIBUTE to METRES m] [for PURPOSE, …]. WHO is anyone, role NAME, token ID, or an
organisation. What nothing allows is not possible; what one policy forbids no other allows.")]
pub struct Options {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Clone, clap::Subcommand)]
pub enum Command {
    /// Add a policy; it counts from the answer on
    Add {
        /// The policy in words
        #[arg(required_unless_present = "cedar")]
        words: Option<String>,
        /// The policy as a statement of the Cedar language instead
        #[arg(long, value_name = "STATEMENT", conflicts_with = "words")]
        cedar: Option<String>,
        /// Its id; without it one is made
        #[arg(long, value_name = "ID")]
        id: Option<String>,
        /// Only show what the words stand for
        #[arg(long)]
        dry_run: bool,
        #[command(flatten)]
        server: ServerOptions,
    },
    /// All policies of the tenant, and the roles' own
    List {
        #[command(flatten)]
        server: ServerOptions,
    },
    /// What somebody may, and by which policies
    Explain {
        /// Whom it is about: token:ID, or public for whoever says nothing of themselves
        #[arg(default_value = "public")]
        who: String,
        /// For which purpose they would ask
        #[arg(long, value_name = "PURPOSE")]
        purpose: Option<String>,
        #[command(flatten)]
        server: ServerOptions,
    },
    /// Remove a policy; it no longer counts from the answer on
    Remove {
        /// Id of the policy
        id: String,
        #[command(flatten)]
        server: ServerOptions,
    },
}

pub fn run(options: &Options) -> Result<Outcome> {
    match &options.command {
        Command::Add { words, cedar, id, dry_run, server } => {
            let body = json!({"words": words, "cedar": cedar, "id": id, "dry": dry_run});
            let added = Client::new(server)?.post_json("/trust/v1/policies", &body)?;
            if server.json {
                println!("{added}");
            } else {
                let done = if *dry_run { "would be added" } else { "added" };
                println!("{} {done}:\n{}", text(&added["id"]), text(&added["cedar"]));
            }
        }
        Command::List { server } => {
            let policies = Client::new(server)?.get_json("/trust/v1/policies")?;
            if server.json {
                println!("{policies}");
                return Ok(Outcome::Ok);
            }
            for policy in policies["policies"].as_array().into_iter().flatten() {
                let by = format!("{} {}", text(&policy["createdBy"]), text(&policy["createdAt"]));
                println!("{}  ({by})\n{}", text(&policy["id"]), policy["words"].as_str().unwrap_or_default());
                println!("{}\n", text(&policy["cedar"]));
            }
            println!("{}", text(&policies["roles"]));
        }
        Command::Explain { who, purpose, server } => {
            let query = query_string(&[("who", Some(who)), ("purpose", purpose.as_deref())]);
            let explained = Client::new(server)?.get_json(&format!("/trust/v1/explain{query}"))?;
            if server.json {
                println!("{explained}");
                return Ok(Outcome::Ok);
            }
            println!("{} in tenant {}", text(&explained["who"]), text(&explained["tenant"]));
            for action in ["read", "write"] {
                println!("may {action}:");
                show_reach(&explained[action]);
            }
            println!("further rights: {}", list(&explained["rights"]));
            println!("policies: {}", list(&explained["policies"]));
        }
        Command::Remove { id, server } => {
            Client::new(server)?.delete(&format!("/trust/v1/policies/{}", encode(id)))?;
            if !server.json {
                println!("{id} is removed");
            }
        }
    }
    Ok(Outcome::Ok)
}

fn list(items: &Value) -> String {
    let items: Vec<&str> = items.as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    if items.is_empty() { "none".to_owned() } else { items.join(", ") }
}

fn show_reach(reach: &Value) {
    if let Some(all) = reach.as_str() {
        println!("  {all}");
    }
    for (part, sign) in [("granted", "+"), ("forbidden", "-")] {
        for rule in reach[part].as_array().into_iter().flatten() {
            let attributes = match &rule["attributes"] {
                Value::String(all) => all.clone(),
                Value::Array(_) => list(&rule["attributes"]),
                but => format!("all but {}", list(&but["allBut"])),
            };
            println!("  {sign} {}: {attributes}", text(&rule["when"]));
            for blurred in rule["lessExact"].as_array().into_iter().flatten() {
                let how = match blurred["roundedTo"].as_f64() {
                    Some(step) => format!("rounded to {step}"),
                    None => format!("to {} m", blurred["coarsenedToMetres"]),
                };
                println!("      {} {how}", text(&blurred["attribute"]));
            }
        }
    }
}
