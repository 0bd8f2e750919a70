//! `renkei actuator`: what is commandable, and how commands get there.

use anyhow::Result;
use serde_json::{Map, Value, json};

use crate::Outcome;
use crate::cli::ServerOptions;
use crate::client::{Client, encode};
use crate::subscriptions::text;

#[derive(Debug, Clone, clap::Args)]
#[command(after_help = "Examples:
  renkei actuator add FloodBarrier setPosition --endpoint http://127.0.0.1:9000/barrier --value open --value closed --repeatable
  renkei actuator add FloodBarrier setPosition --endpoint mqtt:devices/barrier-1/commands --value open --value closed --repeatable
  renkei actuator add Pump setPower --endpoint https://scada.example.org/pumps --minimum 0 --maximum 100 --persons 2
  renkei actuator list
  renkei actuator remove FloodBarrier setPosition

From then on the attribute is commandable: nothing but a decision on a suggestion changes it, whoever asks.
Commands are posted to the endpoint as JSON with their id, also in the header Idempotency-Key.")]
pub struct Options {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Clone, clap::Subcommand)]
pub enum Command {
    /// Make an attribute of a type commandable, or say anew how
    Add {
        /// The type of the things
        r#type: String,
        /// The attribute that is set
        attribute: String,
        /// Where commands are posted to
        #[arg(long, value_name = "URL")]
        endpoint: String,
        /// A value that may be set, as JSON or a text; may be repeated. Without one any value may
        #[arg(long, value_name = "VALUE")]
        value: Vec<String>,
        /// The least number that may be set
        #[arg(long)]
        minimum: Option<f64>,
        /// The greatest number that may be set
        #[arg(long)]
        maximum: Option<f64>,
        /// How long the target may take to answer
        #[arg(long, value_name = "SECONDS", default_value_t = 30)]
        timeout: u32,
        /// How long after the decision a command may still be sent
        #[arg(long, value_name = "SECONDS", default_value_t = 600)]
        lifetime: u32,
        /// The target tells a repeat by its id and does it once; without it a command whose fate is not known
        /// is never sent again
        #[arg(long)]
        repeatable: bool,
        /// How many persons must approve, 1 or 2
        #[arg(long, default_value_t = 1)]
        persons: u8,
        #[command(flatten)]
        server: ServerOptions,
    },
    /// All actuators of the tenant
    List {
        #[command(flatten)]
        server: ServerOptions,
    },
    /// The attribute is commandable no more
    Remove {
        /// The type of the things
        r#type: String,
        /// The attribute
        attribute: String,
        #[command(flatten)]
        server: ServerOptions,
    },
}

pub fn run(options: &Options) -> Result<Outcome> {
    match &options.command {
        Command::Add {
            r#type,
            attribute,
            endpoint,
            value,
            minimum,
            maximum,
            timeout,
            lifetime,
            repeatable,
            persons,
            server,
        } => {
            let values: Vec<Value> =
                value.iter().map(|text| serde_json::from_str(text).unwrap_or_else(|_| text.as_str().into())).collect();
            let mut body: Map<String, Value> = [
                ("type", json!(r#type)),
                ("attribute", json!(attribute)),
                ("endpoint", json!(endpoint)),
                ("values", json!(values)),
                ("timeoutSeconds", json!(timeout)),
                ("lifetimeSeconds", json!(lifetime)),
                ("repeatable", json!(repeatable)),
                ("persons", json!(persons)),
            ]
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value))
            .collect();
            for (name, bound) in [("minimum", minimum), ("maximum", maximum)] {
                if let Some(bound) = bound {
                    body.insert(name.to_owned(), json!(bound));
                }
            }
            let added = Client::new(server)?.post_json("/ops/v1/actuators", &Value::Object(body))?;
            show(server, &added, &[&added]);
        }
        Command::List { server } => {
            let found = Client::new(server)?.get_json("/ops/v1/actuators")?;
            let list: Vec<&Value> = found["actuators"].as_array().into_iter().flatten().collect();
            show(server, &found, &list);
        }
        Command::Remove { r#type, attribute, server } => {
            Client::new(server)?.delete(&format!("/ops/v1/actuators/{}/{}", encode(r#type), encode(attribute)))?;
            if !server.json {
                println!("{attribute} of {type} is commandable no more", r#type = r#type);
            }
        }
    }
    Ok(Outcome::Ok)
}

fn show(server: &ServerOptions, answer: &Value, actuators: &[&Value]) {
    if server.json {
        println!("{answer}");
        return;
    }
    for one in actuators {
        let values = one["values"].as_array().map_or_else(
            || format!("{} to {}", bound(&one["minimum"]), bound(&one["maximum"])),
            |values| values.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
        );
        println!(
            "{} of {}: {values}; posted to {}; {} to approve",
            text(&one["attribute"]),
            text(&one["type"]),
            text(&one["endpoint"]),
            one["persons"]
        );
    }
}

fn bound(value: &Value) -> String {
    if value.is_null() { "any".to_owned() } else { value.to_string() }
}
