//! `renkei undelete`: takes back the deletion of an entity.

use anyhow::Result;

use crate::Outcome;
use crate::cli::ServerOptions;
use crate::client::Client;
use crate::subscriptions::segment;

#[derive(Debug, Clone, clap::Args)]
#[command(after_help = "Examples:
  renkei undelete urn:ngsi-ld:Building:13108-bldg-4307

The entity comes back as it stood just before it was deleted, as a new one: createdAt is now, observedAt
is what it was. Subscriptions are told that it was created.")]
pub struct Options {
    /// Id of the entity
    pub id: String,
    #[command(flatten)]
    pub server: ServerOptions,
}

pub fn run(options: &Options) -> Result<Outcome> {
    let path = format!("/ops/v1/entities/{}/undelete", segment(&options.id)?);
    let answer = Client::new(&options.server)?.post_json(&path, &serde_json::json!({}))?;
    if options.server.json {
        println!("{answer}");
    } else {
        let from = answer["from"].as_str().unwrap_or_default();
        println!("{} is back with {} attributes, made from the {from}", options.id, answer["attributes"]);
    }
    Ok(Outcome::Ok)
}
