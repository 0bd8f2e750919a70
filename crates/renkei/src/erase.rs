//! `renkei erase`: destroys what is personal of an entity, in every copy.

use anyhow::Result;
use serde_json::json;

use crate::Outcome;
use crate::cli::ServerOptions;
use crate::client::Client;

#[derive(Debug, Clone, clap::Args)]
#[command(after_help = "Examples:
  renkei class set birthday personal
  renkei erase urn:ngsi-ld:Person:4711

Attributes whose class is personal go from the entity and from its past, and the key that sealed them is
destroyed: nobody reads them any more from the journal, from history or from a backup. This cannot be taken
back. What is not personal of the entity stays; delete it too if it shall go. The trail keeps that it was
done, and its proofs stay valid.")]
pub struct Options {
    /// Id of the entity
    pub id: String,
    #[command(flatten)]
    pub server: ServerOptions,
}

pub fn run(options: &Options) -> Result<Outcome> {
    let answer = Client::new(&options.server)?.post_json("/trust/v1/erasures", &json!({"entity": options.id}))?;
    if options.server.json {
        println!("{answer}");
        return Ok(Outcome::Ok);
    }
    let names = answer["attributes"].as_array().into_iter().flatten().filter_map(|name| name.as_str());
    let names: Vec<&str> = names.collect();
    match names.as_slice() {
        [] => println!("{}: nothing personal stands there now; what stood there is erased", options.id),
        names => println!("{}: {} erased, now and in the past", options.id, names.join(", ")),
    }
    Ok(Outcome::Ok)
}
