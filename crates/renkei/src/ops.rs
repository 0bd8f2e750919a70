//! `renkei ops`: what is suggested, and what a person decides of it.

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use crate::Outcome;
use crate::cli::ServerOptions;
use crate::client::{Client, encode, query_string};
use crate::subscriptions::text;

#[derive(Debug, Clone, clap::Args)]
#[command(after_help = "Examples:
  renkei ops suggestions                                      what waits for a decision
  renkei ops approve urn:renkei:suggestion:6d1c… --reason 'as agreed with the police'
  renkei ops alter urn:renkei:suggestion:6d1c… --set openingPercent=40 --reason 'half is enough'
  renkei ops reject urn:renkei:suggestion:6d1c… --reason 'the gauge is being cleaned'
  renkei ops record urn:renkei:suggestion:6d1c…               what was suggested, decided, done, and what came of it
  renkei ops commands --status unknown                        commands whose fate a person must find out
  renkei ops resolve urn:renkei:command:6d1c…:1 --outcome done --reason 'seen on the spot'

The start of an id is enough where one suggestion or command alone begins so. Where several steps of a
suggestion set the same attribute, say which: --set setPosition@urn:ngsi-ld:FloodBarrier:1=open")]
pub struct Options {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Clone, clap::Subcommand)]
pub enum Command {
    /// What is suggested; without --status what waits for a decision
    Suggestions {
        /// open, approved, altered, rejected, expired, withdrawn, or all
        #[arg(long, default_value = "open")]
        status: String,
        #[command(flatten)]
        server: ServerOptions,
    },
    /// Approve a suggestion; its commands leave at once
    Approve {
        id: String,
        /// Why, for those who come later
        #[arg(long)]
        reason: Option<String>,
        #[command(flatten)]
        server: ServerOptions,
    },
    /// Approve a suggestion with other values, or without some of its steps
    Alter {
        id: String,
        /// Another value for a step, as JSON or a text; may be repeated
        #[arg(long, value_name = "ATTRIBUTE[@ENTITY]=VALUE")]
        set: Vec<String>,
        /// A step that is left out, by its attribute; may be repeated
        #[arg(long, value_name = "ATTRIBUTE[@ENTITY]")]
        without: Vec<String>,
        /// Why, for those who come later
        #[arg(long)]
        reason: String,
        #[command(flatten)]
        server: ServerOptions,
    },
    /// Reject a suggestion; nothing is done
    Reject {
        id: String,
        /// Why, for those who come later
        #[arg(long)]
        reason: String,
        #[command(flatten)]
        server: ServerOptions,
    },
    /// Everything about one suggestion, in the order of time
    Record {
        id: String,
        #[command(flatten)]
        server: ServerOptions,
    },
    /// Commands and how far they have come
    Commands {
        /// waiting, sent, acknowledged, refused, unknown, expired, revoked, or all
        #[arg(long, default_value = "all")]
        status: String,
        #[command(flatten)]
        server: ServerOptions,
    },
    /// Take back a command that has not left yet
    Revoke {
        id: String,
        #[arg(long)]
        reason: String,
        #[command(flatten)]
        server: ServerOptions,
    },
    /// Say what became of a command whose fate is not known
    Resolve {
        id: String,
        /// done or refused
        #[arg(long)]
        outcome: String,
        #[arg(long)]
        reason: String,
        #[command(flatten)]
        server: ServerOptions,
    },
}

const SUGGESTIONS: &str = "/ops/v1/suggestions";
const COMMANDS: &str = "/ops/v1/commands";

pub fn run(options: &Options) -> Result<Outcome> {
    match &options.command {
        Command::Suggestions { status, server } => {
            let found = Client::new(server)?.get_json(&list_path(SUGGESTIONS, status))?;
            shown(server, &found, &|| show_suggestions(&found));
        }
        Command::Approve { id, reason, server } => decide(server, id, "approve", &json!({"reason": reason}))?,
        Command::Reject { id, reason, server } => decide(server, id, "reject", &json!({"reason": reason}))?,
        Command::Alter { id, set, without, reason, server } => {
            let client = Client::new(server)?;
            let id = whole_id(&client, SUGGESTIONS, id)?;
            let record = client.get_json(&format!("{SUGGESTIONS}/{}", encode(&id)))?;
            let steps = altered(&record["suggestion"]["proposes"], set, without)?;
            decide(server, &id, "alter", &json!({"reason": reason, "proposes": steps}))?;
        }
        Command::Record { id, server } => {
            let client = Client::new(server)?;
            let id = whole_id(&client, SUGGESTIONS, id)?;
            let record = client.get_json(&format!("{SUGGESTIONS}/{}", encode(&id)))?;
            shown(server, &record, &|| show_record(&record));
        }
        Command::Commands { status, server } => {
            let found = Client::new(server)?.get_json(&list_path(COMMANDS, status))?;
            shown(server, &found, &|| show_commands(&found["commands"]));
        }
        Command::Revoke { id, reason, server } => {
            say(server, id, "revoke", &json!({"reason": reason}), "is revoked")?;
        }
        Command::Resolve { id, outcome, reason, server } => {
            say(server, id, "resolution", &json!({"outcome": outcome, "reason": reason}), "is resolved")?;
        }
    }
    Ok(Outcome::Ok)
}

fn list_path(path: &str, status: &str) -> String {
    let status = (status != "all").then_some(status);
    format!("{path}{}", query_string(&[("status", status), ("limit", Some(&LIST_MAX.to_string()))]))
}

fn shown(server: &ServerOptions, answer: &Value, show: &dyn Fn()) {
    if server.json { println!("{answer}") } else { show() }
}

/// Most that the server lists at once.
const LIST_MAX: usize = 1_000;

/// The id that begins so, of what the server has. A whole id is itself: one that begins so is another.
fn whole_id(client: &Client, path: &str, begin: &str) -> Result<String> {
    if is_whole(begin) {
        return Ok(begin.to_owned());
    }
    let found = client.get_json(&list_path(path, "all"))?;
    let lists = [&found["suggestions"], &found["commands"]];
    let ids: Vec<&str> =
        lists.into_iter().filter_map(Value::as_array).flatten().filter_map(|one| one["id"].as_str()).collect();
    let mut alike: Vec<&&str> = ids.iter().filter(|id| id.starts_with(begin)).collect();
    // Of several, the one that still waits to be decided is meant, if it is the only one.
    let all = found["suggestions"].as_array().into_iter().flatten();
    let open: Vec<&str> = all.filter(|one| one["status"] == "open").filter_map(|one| one["id"].as_str()).collect();
    let is_open = |id: &&&str| open.contains(id);
    if alike.len() > 1 && alike.iter().filter(|id| is_open(id)).count() == 1 {
        alike.retain(|id| is_open(id));
    }
    match alike.as_slice() {
        [_] if ids.len() >= LIST_MAX => {
            bail!(
                "There are more than the newest {LIST_MAX}, of which others may begin with {begin}; give the whole id"
            )
        }
        [one] => Ok((**one).to_owned()),
        [] => bail!("None of the newest {LIST_MAX} begins with {begin}; give the whole id"),
        many => bail!("{} ids begin with {begin}; give more of it", many.len()),
    }
}

/// `urn:renkei:suggestion:NUMBER`, `urn:renkei:command:NUMBER:1`.
fn is_whole(id: &str) -> bool {
    let Some((kind, number)) = id.strip_prefix("urn:renkei:").and_then(|rest| rest.split_once(':')) else {
        return false;
    };
    let (number, which) = number.split_once(':').map_or((number, None), |(number, which)| (number, Some(which)));
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    number.len() == 36
        && uuid::Uuid::parse_str(number).is_ok()
        && match kind {
            "command" => which.is_some_and(is_number),
            _ => which.is_none(),
        }
}

fn decide(server: &ServerOptions, id: &str, verdict: &str, body: &Value) -> Result<()> {
    let client = Client::new(server)?;
    let id = whole_id(&client, SUGGESTIONS, id)?;
    let record = client.post_json(&format!("{SUGGESTIONS}/{}/{verdict}", encode(&id)), body)?;
    shown(server, &record, &|| {
        let suggestion = &record["suggestion"];
        println!("{id} is {}", text(&suggestion["status"]));
        if suggestion["status"] == "open" {
            let (approvals, needed) = (&suggestion["approvals"], &suggestion["approvalsNeeded"]);
            println!("{approvals} of {needed} approvals are there; another person must approve it");
        }
        show_commands(&record["commands"]);
    });
    Ok(())
}

fn say(server: &ServerOptions, id: &str, what: &str, body: &Value, done: &str) -> Result<()> {
    let client = Client::new(server)?;
    let id = whole_id(&client, COMMANDS, id)?;
    crate::client::good(client.post(
        &format!("{COMMANDS}/{}/{what}", encode(&id)),
        body.to_string(),
        "application/json",
    )?)?;
    if !server.json {
        println!("{id} {done}");
    }
    Ok(())
}

/// The steps of a suggestion, with other values and without some.
fn altered(steps: &Value, set: &[String], without: &[String]) -> Result<Vec<Value>> {
    let mut steps = steps.as_array().cloned().context("The suggestion has no steps that could be altered")?;
    for pair in set {
        let value_after = |name: &str| pair.strip_prefix(name)?.strip_prefix('=');
        let at = the_step(&steps, &|name| value_after(name).is_some()).with_context(|| format!("--set {pair}"))?;
        let names = [attribute_of(&steps[at]), with_entity(&steps[at])];
        let value = names.iter().find_map(|name| value_after(name)).unwrap_or_default();
        steps[at]["value"] = serde_json::from_str(value).unwrap_or_else(|_| value.into());
    }
    for name in without {
        let at = the_step(&steps, &|own| own == name).with_context(|| format!("--without {name}"))?;
        steps.remove(at);
    }
    Ok(steps)
}

fn attribute_of(step: &Value) -> String {
    step["attribute"].as_str().unwrap_or_default().to_owned()
}

fn with_entity(step: &Value) -> String {
    format!("{}@{}", attribute_of(step), step["entity"].as_str().unwrap_or_default())
}

/// The one step that is meant, by its attribute or by that and its entity.
fn the_step(steps: &[Value], is_meant: &dyn Fn(&str) -> bool) -> Result<usize> {
    let meant = |step: &&Value| is_meant(&attribute_of(step)) || is_meant(&with_entity(step));
    let found: Vec<&Value> = steps.iter().filter(meant).collect();
    match found.as_slice() {
        [one] => Ok(steps.iter().position(|step| step == *one).unwrap_or_default()),
        [] => bail!("no step of the suggestion sets that; there are {}", all_of(steps)),
        several => bail!("{} steps set that; say which: {}", several.len(), all_of(steps)),
    }
}

fn all_of(steps: &[Value]) -> String {
    steps.iter().map(with_entity).collect::<Vec<_>>().join(", ")
}

fn show_suggestions(found: &Value) {
    let list = found["suggestions"].as_array().map(Vec::as_slice).unwrap_or_default();
    if list.is_empty() {
        println!("nothing is suggested");
    }
    for one in list {
        println!("{}  {}  until {}", text(&one["id"]), text(&one["status"]), text(&one["deadline"]));
        println!("  {}\n  {}", text(&one["what"]), text(&one["why"]));
        for step in one["proposes"].as_array().into_iter().flatten() {
            println!("  sets {} of {} to {}", text(&step["attribute"]), text(&step["entity"]), step["value"]);
        }
    }
}

fn show_commands(commands: &Value) {
    for one in commands.as_array().into_iter().flatten() {
        let note =
            one["note"].as_str().filter(|note| !note.is_empty()).map_or(String::new(), |note| format!("  ({note})"));
        println!(
            "{}  {}  {} of {} to {}{note}",
            text(&one["id"]),
            text(&one["status"]),
            text(&one["attribute"]),
            text(&one["entity"]),
            one["value"]
        );
    }
}

fn show_record(record: &Value) {
    show_suggestions(&json!({"suggestions": [record["suggestion"]]}));
    for step in record["timeline"].as_array().into_iter().flatten() {
        let by = step["by"].as_str().map_or(String::new(), |by| format!("  by {by}"));
        println!("{}  {}{by}", text(&step["at"]), text(&step["what"]));
    }
    for one in record["decisions"].as_array().into_iter().flatten() {
        if let Some(reason) = one["reason"].as_str() {
            println!("reason ({}): {reason}", text(&one["by"]));
        }
    }
    show_commands(&record["commands"]);
    for one in record["effects"].as_array().into_iter().flatten() {
        println!("effect: {} before, {} after. {}", one["before"], one["after"], text(&one["basis"]));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_whole_id_is_known_by_its_form() {
        let number = "6d1c0000-0000-4000-8000-000000000000";
        for whole in [format!("urn:renkei:suggestion:{number}"), format!("urn:renkei:command:{number}:1")] {
            assert!(is_whole(&whole), "{whole}");
        }
        for part in [format!("urn:renkei:command:{number}"), format!("urn:renkei:command:{number}:"), number.into()] {
            assert!(!is_whole(&part), "{part}");
        }
    }

    #[test]
    fn of_several_steps_with_one_attribute_it_must_be_said_which() {
        let step = |entity: &str, value: &str| json!({"entity": entity, "attribute": "gate", "value": value});
        let steps = json!([step("urn:x:1", "closed"), step("urn:x:2", "closed")]);
        let text = |text: &str| vec![text.to_owned()];
        assert!(altered(&steps, &text("gate=open"), &[]).is_err());
        assert!(altered(&steps, &[], &text("gate")).is_err());
        let changed = altered(&steps, &text("gate@urn:x:2=a=b"), &[]).unwrap();
        assert_eq!(changed, [step("urn:x:1", "closed"), step("urn:x:2", "a=b")]);
        assert_eq!(altered(&steps, &[], &text("gate@urn:x:1")).unwrap(), [step("urn:x:2", "closed")]);
        let one = json!([step("urn:x:1", "closed")]);
        assert_eq!(altered(&one, &text("gate=40"), &[]).unwrap()[0]["value"], 40);
        assert!(altered(&one, &text("other=40"), &[]).is_err());
    }
}
