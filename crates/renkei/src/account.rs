//! `renkei account`: people who may sign in.

use anyhow::Result;
use serde_json::{Value, json};

use crate::Outcome;
use crate::cli::ServerOptions;
use crate::client::{Client, encode};
use crate::subscriptions::text;

#[derive(Debug, Clone, clap::Args)]
#[command(after_help = "Examples:
  renkei account add duty --role operator --role approver --label '防災課 当直'
  renkei account add gauge-service --role developer --organisation river-works --ends P14D
  renkei account list
  renkei account reset duty            a new invitation; whoever is signed in with it is signed out
  renkei account remove duty

Nobody chooses a password for another: add and reset print a page, good for a week and once, where the person
chooses it. Roles: administrator, operator, approver, developer, auditor.")]
pub struct Options {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Clone, clap::Subcommand)]
pub enum Command {
    /// Make an account and print the page where its holder chooses a password
    Add {
        /// Name to sign in with: lower-case letters, digits, dots, hyphens, underscores, @
        name: String,
        /// What its holder is to the city; several are possible
        #[arg(long = "role", required = true, value_name = "ROLE")]
        roles: Vec<String>,
        /// For what its holder may ask; several are possible, none means for anything
        #[arg(long = "purpose", value_name = "PURPOSE")]
        purposes: Vec<String>,
        /// Organisation that its holder belongs to, as policies name it
        #[arg(long, value_name = "NAME")]
        organisation: Option<String>,
        /// How its holder is shown to others
        #[arg(long, value_name = "TEXT")]
        label: Option<String>,
        /// When the account ends: a duration such as P14D, or a time; without it, never
        #[arg(long, value_name = "DURATION")]
        ends: Option<String>,
        #[command(flatten)]
        server: ServerOptions,
    },
    /// All accounts of the tenant, and who of them is signed in
    List {
        #[command(flatten)]
        server: ServerOptions,
    },
    /// Take the password away and print a new page to choose one
    Reset {
        /// Name of the account
        name: String,
        #[command(flatten)]
        server: ServerOptions,
    },
    /// Remove an account; whoever is signed in with it is signed out at once
    Remove {
        /// Name of the account
        name: String,
        #[command(flatten)]
        server: ServerOptions,
    },
}

pub fn run(options: &Options) -> Result<Outcome> {
    match &options.command {
        Command::Add { name, roles, purposes, organisation, label, ends, server } => {
            let body = json!({
                "name": name, "roles": roles, "purposes": purposes, "organisation": organisation, "label": label,
                "ends": ends,
            });
            let made = Client::new(server)?.post_json("/trust/v1/accounts", &body)?;
            show_page(&made, server);
        }
        Command::List { server } => {
            let accounts = Client::new(server)?.get_json("/trust/v1/accounts")?;
            if server.json {
                println!("{accounts}");
                return Ok(Outcome::Ok);
            }
            for account in accounts["accounts"].as_array().into_iter().flatten() {
                let roles: Vec<&str> =
                    account["roles"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
                let sessions = account["sessions"].as_u64().unwrap_or_default();
                println!(
                    "{}  {}  {}{}  {}  {}",
                    text(&account["name"]),
                    roles.join(","),
                    text(&account["state"]),
                    account["endsAt"].as_str().map(|ends| format!(", ends {ends}")).unwrap_or_default(),
                    if sessions == 0 { "not signed in".to_owned() } else { format!("signed in {sessions} times") },
                    text(&account["label"]),
                );
            }
        }
        Command::Reset { name, server } => {
            let path = format!("/trust/v1/accounts/{}/invitation", encode(name));
            show_page(&Client::new(server)?.post_json(&path, &json!({}))?, server);
        }
        Command::Remove { name, server } => {
            Client::new(server)?.delete(&format!("/trust/v1/accounts/{}", encode(name)))?;
            if !server.json {
                println!("{name} is removed");
            }
        }
    }
    Ok(Outcome::Ok)
}

/// The page where the person chooses a password: alone, so that it can be handed on.
fn show_page(made: &Value, server: &ServerOptions) {
    if server.json {
        println!("{made}");
    } else {
        println!("{}{}", server.url.trim_end_matches('/'), text(&made["page"]));
    }
}
