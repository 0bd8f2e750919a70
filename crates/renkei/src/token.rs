//! `renkei token`: tokens of programs and devices.

use anyhow::Result;
use serde_json::{Value, json};

use crate::Outcome;
use crate::cli::ServerOptions;
use crate::client::{Client, encode};
use crate::subscriptions::text;

#[derive(Debug, Clone, clap::Args)]
#[command(after_help = "Examples:
  renkei token create --role developer --organisation bus-company --purpose operation --expires P30D
  renkei token create --role device --label 'river gauge 7' > gauge.token
  renkei token list
  renkei token revoke 8f3a61c20b94d7e5

Roles: administrator, operator, approver, developer, auditor, device, public. What a role may stands in
`renkei policy list`; policies of your own add to it.")]
pub struct Options {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Clone, clap::Subcommand)]
pub enum Command {
    /// Make a token and print it, alone; it is shown this once
    Create {
        /// What its holder is to the city; several are possible
        #[arg(long = "role", required = true, value_name = "ROLE")]
        roles: Vec<String>,
        /// For what its holder may ask; several are possible, none means for anything
        #[arg(long = "purpose", value_name = "PURPOSE")]
        purposes: Vec<String>,
        /// Organisation that its holder belongs to, as policies name it
        #[arg(long, value_name = "NAME")]
        organisation: Option<String>,
        /// What it is for, to find it again in the list
        #[arg(long, value_name = "TEXT")]
        label: Option<String>,
        /// When it ends: a duration such as P30D, or a time
        #[arg(long, value_name = "DURATION", default_value = city_serve::trust::TOKEN_LIFE)]
        expires: String,
        #[command(flatten)]
        server: ServerOptions,
    },
    /// Who is connected: all tokens of the tenant, with what each did last, when and from where
    List {
        #[command(flatten)]
        server: ServerOptions,
    },
    /// Take a token back; it is of no use from the answer on
    Revoke {
        /// Id of the token
        id: String,
        #[command(flatten)]
        server: ServerOptions,
    },
}

pub fn run(options: &Options) -> Result<Outcome> {
    match &options.command {
        Command::Create { roles, purposes, organisation, label, expires, server } => {
            let body = json!({
                "roles": roles, "purposes": purposes, "organisation": organisation, "label": label, "expires": expires,
            });
            let made = Client::new(server)?.post_json("/trust/v1/tokens", &body)?;
            // The token alone, so that it can go into a file or a variable.
            println!("{}", if server.json { made.to_string() } else { text(&made["token"]).to_owned() });
        }
        Command::List { server } => {
            let tokens = Client::new(server)?.get_json("/trust/v1/tokens")?;
            if server.json {
                println!("{tokens}");
                return Ok(Outcome::Ok);
            }
            for token in tokens["tokens"].as_array().into_iter().flatten() {
                println!(
                    "{}  {}  {}{}  ends {}  used {}{}  {}",
                    text(&token["id"]),
                    words(&token["roles"]),
                    text(&token["organisation"]),
                    for_what(&token["purposes"]),
                    text(&token["expiresAt"]),
                    token["lastUsedAt"].as_str().unwrap_or("not since the start"),
                    last(token),
                    text(&token["label"]),
                );
            }
        }
        Command::Revoke { id, server } => {
            Client::new(server)?.delete(&format!("/trust/v1/tokens/{}", encode(id)))?;
            if !server.json {
                println!("{id} is of no use any more");
            }
        }
    }
    Ok(Outcome::Ok)
}

/// What its holder did last, and from where.
fn last(token: &Value) -> String {
    match (token["lastAct"].as_str(), token["lastFrom"].as_str()) {
        (Some(act), Some(from)) => format!(" for {act} from {from}, {} requests", token["requests"]),
        _ => String::new(),
    }
}

fn words(list: &Value) -> String {
    list.as_array().into_iter().flatten().filter_map(Value::as_str).collect::<Vec<_>>().join(",")
}

fn for_what(purposes: &Value) -> String {
    let purposes = words(purposes);
    if purposes.is_empty() { String::new() } else { format!(" for {purposes}") }
}
