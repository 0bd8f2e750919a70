//! `renkei class`: of which of the four classes the values of an attribute are.

use anyhow::Result;
use serde_json::json;

use crate::Outcome;
use crate::cli::ServerOptions;
use crate::client::{Client, encode};
use crate::subscriptions::text;

#[derive(Debug, Clone, clap::Args)]
#[command(after_help = "Examples:
  renkei class set birthday personal
  renkei class set dwellTime behaviour --context https://example.org/context.jsonld
  renkei class list
  renkei policy add 'the clinic may read personal birthday of Person, for care'

Classes: environment, infrastructure, behaviour, personal. Data of behaviour and of persons is shown only where a
policy opens it and a purpose is named, and each reading of it stands in the trail. It holds for every entity,
also for its past.")]
pub struct Options {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Clone, clap::Subcommand)]
pub enum Command {
    /// Say of which class an attribute is
    Set {
        attribute: String,
        /// environment, infrastructure, behaviour or personal
        class: String,
        #[command(flatten)]
        server: ServerOptions,
    },
    /// All attributes whose class was said
    List {
        #[command(flatten)]
        server: ServerOptions,
    },
    /// Forget what was said of an attribute: it is infrastructure again
    Remove {
        attribute: String,
        #[command(flatten)]
        server: ServerOptions,
    },
}

pub fn run(options: &Options) -> Result<Outcome> {
    match &options.command {
        Command::Set { attribute, class, server } => {
            let body = json!({"attribute": attribute, "class": class});
            let set = Client::new(server)?.post_json("/trust/v1/classes", &body)?;
            if server.json {
                println!("{set}");
            } else {
                println!("{} is {}", text(&set["attribute"]), text(&set["class"]));
                if let Some(unsealed) = set["unsealed"].as_u64().filter(|unsealed| *unsealed > 0) {
                    println!(
                        "! {unsealed} entities hold a value from before, in the clear: it is sealed when it is written again. The past and the journal keep what was written before."
                    );
                }
            }
        }
        Command::List { server } => {
            let classes = Client::new(server)?.get_json("/trust/v1/classes")?;
            if server.json {
                println!("{classes}");
                return Ok(Outcome::Ok);
            }
            for class in classes["classes"].as_array().into_iter().flatten() {
                println!("{}  {}", text(&class["class"]), text(&class["attribute"]));
            }
        }
        Command::Remove { attribute, server } => {
            Client::new(server)?.delete(&format!("/trust/v1/classes/{}", encode(attribute)))?;
            if !server.json {
                println!("{attribute} has no class of its own any more");
            }
        }
    }
    Ok(Outcome::Ok)
}
