//! `renkei export`: entities out of a running server, as files that others read.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::PathBuf;

use anyhow::{Context, Result};
use serde_json::{Map, Value, json};

use crate::cli::ServerOptions;
use crate::client::{Client, encode, good, header_number, query_string};
use crate::{Outcome, WrongUsage};

#[derive(Debug, Clone, clap::Args)]
#[command(after_help = "Examples:
  renkei export ngsi-ld --type Building > buildings.ndjson
  renkei export geojson --type EvacuationShelter --out shelters.geojson
  renkei export csv --type TrafficAccident --q 'numberOfFatalities>0' --out fatal.csv
  renkei export gtfs --feed toei-bus --out toei-bus.zip")]
pub struct Options {
    /// Form of the file: ngsi-ld is one normalised entity a line
    #[arg(value_enum)]
    pub format: Format,
    /// Where to; without it to the standard output
    #[arg(long, env = "RENKEI_EXPORT_OUT", value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// Name of the feed, for gtfs
    #[arg(long, env = "RENKEI_FEED", value_name = "NAME", required_if_eq("format", "gtfs"))]
    pub feed: Option<String>,
    #[command(flatten)]
    pub which: Which,
    #[command(flatten)]
    pub server: ServerOptions,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    NgsiLd,
    Csv,
    Geojson,
    /// A feed of public transport, as it came
    Gtfs,
}

/// Which entities a command is about.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct Which {
    /// Entity type, or an expression of types
    #[arg(long = "type", env = "RENKEI_TYPE", value_name = "TYPE")]
    pub entity_type: Option<String>,
    /// Condition in the NGSI-LD query language, such as height>30
    #[arg(long, env = "RENKEI_Q")]
    pub q: Option<String>,
    /// Entity ids, with commas between them
    #[arg(long, env = "RENKEI_ID")]
    pub id: Option<String>,
    /// Regular expression over entity ids
    #[arg(long, env = "RENKEI_ID_PATTERN")]
    pub id_pattern: Option<String>,
    /// Scopes, such as /Koto/#
    #[arg(long, env = "RENKEI_SCOPE_Q")]
    pub scope_q: Option<String>,
    /// Only within so many metres of a place: LONGITUDE,LATITUDE,METRES
    #[arg(long, env = "RENKEI_NEAR", value_name = "LON,LAT,METRES", allow_hyphen_values = true)]
    pub near: Option<String>,
}

impl Which {
    /// The parameters of a query, with more of them behind.
    pub fn parameters(&self, more: &[(&str, Option<&str>)]) -> Result<String> {
        let mut place = None;
        if let Some(near) = &self.near {
            let parts: Vec<&str> = near.split(',').map(str::trim).collect();
            let [lon, lat, metres] = parts.as_slice() else {
                anyhow::bail!(WrongUsage(format!("--near {near} is not LONGITUDE,LATITUDE,METRES")));
            };
            place = Some((format!("near;maxDistance=={metres}"), format!("[{lon},{lat}]")));
        }
        let mut pairs = vec![
            ("type", self.entity_type.as_deref()),
            ("q", self.q.as_deref()),
            ("id", self.id.as_deref()),
            ("idPattern", self.id_pattern.as_deref()),
            ("scopeQ", self.scope_q.as_deref()),
            ("georel", place.as_ref().map(|(georel, _)| georel.as_str())),
            ("geometry", place.as_ref().map(|_| "Point")),
            ("coordinates", place.as_ref().map(|(_, coordinates)| coordinates.as_str())),
        ];
        pairs.extend_from_slice(more);
        Ok(query_string(&pairs))
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        [&self.entity_type, &self.q, &self.id, &self.id_pattern, &self.scope_q, &self.near]
            .iter()
            .all(|part| part.is_none())
    }
}

/// Every entity that matches, part by part, so that memory stays bounded.
pub fn each_entity(client: &Client, which: &Which, mut see: impl FnMut(Value) -> Result<()>) -> Result<()> {
    let mut after = 0;
    loop {
        let position = after.to_string();
        let parameters = which.parameters(&[("after", Some(&position))])?;
        let answer = good(client.get(&format!("/ops/v1/export{parameters}"))?)?;
        for line in answer.body.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            see(serde_json::from_slice(line).context("The server sent a line that is not JSON")?)?;
        }
        match header_number(&answer, &city_serve::ops::NEXT) {
            Some(next) => after = next,
            None => return Ok(()),
        }
    }
}

pub fn run(options: &Options) -> Result<Outcome> {
    let client = Client::new(&options.server)?;
    let mut out: Box<dyn Write> = match &options.out {
        Some(path) => Box::new(BufWriter::new(
            File::create(path).with_context(|| format!("{} cannot be written", path.display()))?,
        )),
        None => Box::new(BufWriter::new(std::io::stdout().lock())),
    };
    let mut count = 0u64;
    match options.format {
        Format::NgsiLd => each_entity(&client, &options.which, |entity| {
            count += 1;
            Ok(writeln!(out, "{entity}")?)
        })?,
        Format::Geojson => {
            write!(out, "{{\"type\":\"FeatureCollection\",\"features\":[")?;
            each_entity(&client, &options.which, |entity| {
                write!(out, "{}{}", if count > 0 { ",\n" } else { "\n" }, feature(&entity))?;
                count += 1;
                Ok(())
            })?;
            writeln!(out, "\n]}}")?;
        }
        Format::Csv => count = csv(&client, &options.which, &mut out)?,
        Format::Gtfs => {
            let feed = options.feed.as_deref().unwrap_or_default();
            out.write_all(&good(client.get(&format!("/gtfs/v1/feeds/{}/archive", encode(feed)))?)?.body)?;
            out.flush()?;
            return Ok(Outcome::Ok);
        }
    }
    out.flush()?;
    if options.out.is_some() {
        eprintln!("{count} entities written");
    }
    Ok(Outcome::Ok)
}

/// Two passes: the first finds the columns, the second writes the rows.
fn csv(client: &Client, which: &Which, out: &mut dyn Write) -> Result<u64> {
    let mut columns = BTreeSet::new();
    each_entity(client, which, |entity| {
        columns.extend(flat(&entity).into_iter().map(|(name, _)| name).filter(|name| name != "id" && name != "type"));
        Ok(())
    })?;
    let columns: Vec<String> = ["id".to_owned(), "type".to_owned()].into_iter().chain(columns).collect();
    write_row(out, columns.iter().map(String::as_str))?;
    let mut count = 0;
    each_entity(client, which, |entity| {
        let cells: Map<String, Value> = flat(&entity).into_iter().collect();
        let texts: Vec<String> = columns.iter().map(|column| cell(cells.get(column))).collect();
        count += 1;
        write_row(out, texts.iter().map(String::as_str))
    })?;
    Ok(count)
}

/// RFC 4180.
fn write_row<'c>(out: &mut dyn Write, cells: impl Iterator<Item = &'c str>) -> Result<()> {
    let quoted = cells.map(|text| match text.contains([',', '"', '\n', '\r']) {
        true => format!("\"{}\"", text.replace('"', "\"\"")),
        false => text.to_owned(),
    });
    Ok(write!(out, "{}\r\n", quoted.collect::<Vec<_>>().join(","))?)
}

fn cell(value: Option<&Value>) -> String {
    match value {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    }
}

/// A name and a value for each attribute instance, and its time where it has one.
pub fn flat(entity: &Value) -> Vec<(String, Value)> {
    let mut cells = Vec::new();
    for (name, attribute) in entity.as_object().into_iter().flatten() {
        match attribute {
            Value::Object(instance) => flat_instance(name, instance, &mut cells),
            Value::Array(instances) if instances.iter().all(Value::is_object) && !instances.is_empty() => {
                for instance in instances.iter().filter_map(Value::as_object) {
                    match instance.get("datasetId").and_then(Value::as_str) {
                        Some(dataset) => flat_instance(&format!("{name}@{dataset}"), instance, &mut cells),
                        None => flat_instance(name, instance, &mut cells),
                    }
                }
            }
            plain => cells.push((name.clone(), plain.clone())),
        }
    }
    cells
}

fn flat_instance(name: &str, instance: &Map<String, Value>, cells: &mut Vec<(String, Value)>) {
    const VALUES: [&str; 7] = ["value", "object", "languageMap", "vocab", "json", "valueList", "objectList"];
    if let Some(value) = VALUES.iter().find_map(|member| instance.get(*member)) {
        match value.get("coordinates").zip(value.get("type")) {
            Some((coordinates, kind)) if kind == "Point" => {
                cells.push((format!("{name}.longitude"), coordinates[0].clone()));
                cells.push((format!("{name}.latitude"), coordinates[1].clone()));
            }
            _ => cells.push((name.to_owned(), value.clone())),
        }
    }
    if let Some(time) = instance.get("observedAt") {
        cells.push((format!("{name}.observedAt"), time.clone()));
    }
}

/// As a GeoJSON Feature with plain values as properties.
fn feature(entity: &Value) -> Value {
    let geometry = entity["location"]["value"].clone();
    let mut properties: Map<String, Value> = flat(entity).into_iter().collect();
    properties.retain(|name, _| name != "id" && !name.starts_with("location"));
    json!({"type": "Feature", "id": entity["id"], "geometry": geometry, "properties": properties})
}
