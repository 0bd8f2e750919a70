//! `renkei gtfs`: public transport, from a feed's archive to the next departure.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use city_gtfs::{Findings, Level};
use city_ingest::timetables::{day_of, read};
use city_store::{Clock, SystemClock};
use serde_json::Value;

use crate::Outcome;
use crate::cli::ServerOptions;
use crate::client::{Client, encode, good, json as json_of, query_string};
use crate::subscriptions::text;

#[derive(Debug, Clone, clap::Args)]
#[command(after_help = "Examples:
  renkei gtfs check toei-bus.zip                 without a server; problems by the names of the field
  renkei gtfs put toei-bus toei-bus.zip          stops and routes become entities
  renkei gtfs list
  renkei gtfs departures toei-bus 0605-07        what leaves there next
  renkei export gtfs --feed toei-bus --out toei-bus.zip")]
pub struct Options {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Clone, clap::Subcommand)]
pub enum Command {
    /// Hold a feed against the rules of the field, without a server
    Check {
        /// The feed, a zip archive
        file: PathBuf,
        /// Fail where there is an error
        #[arg(long, env = "RENKEI_STRICT")]
        strict: bool,
        /// Answer as JSON, for programs
        #[arg(long, env = "RENKEI_JSON")]
        json: bool,
    },
    /// Take a feed, or its next version
    Put {
        /// Name of the feed: lower-case letters, digits, dots and hyphens
        name: String,
        /// The feed, a zip archive
        file: PathBuf,
        /// Refuse a feed that has errors
        #[arg(long, env = "RENKEI_STRICT")]
        strict: bool,
        #[command(flatten)]
        server: ServerOptions,
    },
    /// All feeds
    List {
        #[command(flatten)]
        server: ServerOptions,
    },
    /// The problems of a feed, as of today
    Problems {
        name: String,
        #[command(flatten)]
        server: ServerOptions,
    },
    /// What leaves a stop, or all stops of a station, next
    Departures {
        name: String,
        /// The stop_id of the feed
        stop: String,
        /// From when on; without it from now
        #[arg(long, env = "RENKEI_AT", value_name = "TIME")]
        at: Option<String>,
        /// How many
        #[arg(long, env = "RENKEI_LIMIT", default_value_t = 20)]
        limit: usize,
        #[command(flatten)]
        server: ServerOptions,
    },
    /// Take a feed away, with its stops and routes
    Remove {
        name: String,
        #[command(flatten)]
        server: ServerOptions,
    },
}

pub fn run(options: &Options) -> Result<Outcome> {
    match &options.command {
        Command::Check { file, strict, json } => return check(file, *strict, *json),
        Command::Put { name, file, strict, server } => {
            let path = format!("{}{}", path(name, ""), if *strict { "?strict=true" } else { "" });
            let answer = Client::new(server)?.put(&path, bytes(file)?, "application/zip")?;
            let put = json_of(&good(answer)?)?;
            if server.json {
                println!("{put}");
                return Ok(Outcome::Ok);
            }
            println!(
                "{name} version {}: {} stops, {} routes, {} trips, {} stop times; {} errors, {} warnings",
                put["version"],
                put["stops"],
                put["routes"],
                put["trips"],
                put["stopTimes"],
                put["errors"],
                put["warnings"]
            );
            show_rules(&put);
        }
        Command::List { server } => {
            let found = Client::new(server)?.get_json("/gtfs/v1/feeds")?;
            if server.json {
                println!("{found}");
                return Ok(Outcome::Ok);
            }
            for feed in found["feeds"].as_array().into_iter().flatten() {
                println!(
                    "{}  version {}, {}: {} stops, {} routes, {} trips, until {}; {} errors",
                    text(&feed["name"]),
                    feed["version"],
                    text(&feed["receivedAt"]),
                    feed["stops"],
                    feed["routes"],
                    feed["trips"],
                    text(&feed["until"]),
                    feed["errors"]
                );
            }
        }
        Command::Problems { name, server } => {
            let found = Client::new(server)?.get_json(&path(name, "/problems"))?;
            match server.json {
                true => println!("{found}"),
                false => show_problems(&found),
            }
        }
        Command::Departures { name, stop, at, limit, server } => {
            let limit = limit.to_string();
            let asked = query_string(&[("at", at.as_deref()), ("limit", Some(&limit))]);
            let stop = path(name, &format!("/stops/{}/departures", encode(stop)));
            let found = Client::new(server)?.get_json(&format!("{stop}{asked}"))?;
            if server.json {
                println!("{found}");
                return Ok(Outcome::Ok);
            }
            if found["departures"].as_array().is_some_and(Vec::is_empty) {
                eprintln!("Nothing leaves within eight days; the feed's last day is {}.", text(&found["until"]));
            }
            for one in found["departures"].as_array().into_iter().flatten() {
                let route = if one["routeShortName"].is_null() { &one["routeName"] } else { &one["routeShortName"] };
                println!("{}  {}  {}", text(&one["local"]), text(route), text(&one["headsign"]));
            }
        }
        Command::Remove { name, server } => {
            Client::new(server)?.delete(&path(name, ""))?;
            if !server.json {
                println!("{name} is removed");
            }
        }
    }
    Ok(Outcome::Ok)
}

fn path(name: &str, end: &str) -> String {
    format!("/gtfs/v1/feeds/{}{end}", encode(name))
}

fn bytes(file: &Path) -> Result<Vec<u8>> {
    std::fs::read(file).with_context(|| format!("{} cannot be read", file.display()))
}

fn check(file: &Path, strict: bool, json: bool) -> Result<Outcome> {
    let checked = read(&bytes(file)?, day_of(SystemClock.now()))?;
    let findings = serde_json::to_value(&checked.findings)?;
    if json {
        println!("{findings}");
    } else {
        let timetable = &checked.timetable;
        println!(
            "{} stops, {} routes, {} trips, {} stop times",
            timetable.stops.len(),
            timetable.routes.len(),
            timetable.trips.len(),
            timetable.stop_times()
        );
        show_problems(&findings);
    }
    Ok(if strict && has_errors(&checked.findings) { Outcome::SomeRejected } else { Outcome::Ok })
}

fn has_errors(findings: &Findings) -> bool {
    findings.rules.iter().any(|rule| rule.level == Level::Error)
}

fn show_problems(found: &Value) {
    println!("{} errors, {} warnings, {} notes", found["errors"], found["warnings"], found["infos"]);
    show_rules(found);
    for problem in found["problems"].as_array().into_iter().flatten() {
        let line = if problem["line"].is_null() { String::new() } else { format!(" line {}", problem["line"]) };
        let field = problem["field"].as_str().map(|field| format!(" {field}")).unwrap_or_default();
        let (rule, file) = (text(&problem["rule"]), text(&problem["file"]));
        println!("{rule}  {file}{line}{field}: {}", text(&problem["message"]));
    }
}

fn show_rules(found: &Value) {
    for rule in found["rules"].as_array().into_iter().flatten() {
        println!("  {:>7}  {} x {}", text(&rule["level"]), text(&rule["rule"]), rule["count"]);
    }
}
