//! `renkei query`: an answer on the screen, and questions of nearness between two kinds of entities.

use std::io::Write;

use anyhow::{Context, Result, bail};
use geo::{Centroid, Distance, Geodesic};
use rstar::primitives::GeomWithData;
use rstar::{AABB, RTree};
use serde_json::{Value, json};

use crate::cli::ServerOptions;
use crate::client::{Client, good, header_number, json as body};
use crate::export::{Which, each_entity, flat};
use crate::{Outcome, WrongUsage};

/// Entities shown unless --limit or --all says otherwise.
const LIMIT_DEFAULT: usize = 20;

#[derive(Debug, Clone, clap::Args)]
#[command(after_help = "Examples:
  renkei query --type Building --q 'height>30' --attrs height
  renkei query --type OffStreetParking --near 142.51,34.21,800
  renkei query --type Building --count
  renkei query --type Building --q 'floodDepthArakawaL2>=3.0' --none-nearby EvacuationShelter --metres 400 \\
      --unknown-without floodDepthArakawaL2 --format ids

--none-nearby keeps what has no entity of that type within --metres of its centroid, measured on
the WGS 84 ellipsoid. --unknown-without counts entities of --type that lack the attribute, which
the condition can say nothing about.")]
pub struct Options {
    #[command(flatten)]
    pub which: Which,
    /// Attributes to show, with commas between them
    #[arg(long, env = "RENKEI_ATTRS")]
    pub attrs: Option<String>,
    /// Only what has no entity of this type nearby
    #[arg(long, env = "RENKEI_NONE_NEARBY", value_name = "TYPE", requires = "metres")]
    pub none_nearby: Option<String>,
    /// Condition that the entities of --none-nearby must fulfil
    #[arg(long, env = "RENKEI_NEARBY_Q", value_name = "Q", requires = "none_nearby")]
    pub nearby_q: Option<String>,
    /// How far nearby reaches
    #[arg(long, env = "RENKEI_METRES")]
    pub metres: Option<f64>,
    /// Also report the entities of --type that do not have this attribute, as unknown
    #[arg(long, env = "RENKEI_UNKNOWN_WITHOUT", value_name = "ATTRIBUTE")]
    pub unknown_without: Option<String>,
    /// Only the number of entities that match
    #[arg(long, env = "RENKEI_COUNT")]
    pub count: bool,
    /// How many are shown
    #[arg(long, env = "RENKEI_LIMIT", default_value_t = LIMIT_DEFAULT)]
    pub limit: usize,
    /// All of them
    #[arg(long, env = "RENKEI_ALL", conflicts_with = "limit")]
    pub all: bool,
    /// Form of the answer
    #[arg(long, env = "RENKEI_FORMAT", value_enum, default_value = "table")]
    pub format: Format,
    #[command(flatten)]
    pub server: ServerOptions,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// Simplified values in columns
    Table,
    /// NGSI-LD, normalised
    Json,
    /// One id a line
    Ids,
}

pub fn run(options: &Options) -> Result<Outcome> {
    if options.which.is_empty() {
        bail!(WrongUsage("Ask for something: --type, --q, --id, --id-pattern, --scope-q or --near".to_owned()));
    }
    let client = Client::new(&options.server)?;
    if options.count {
        let parameters = options.which.parameters(&[("limit", Some("0")), ("count", Some("true"))])?;
        let answer = good(client.get(&format!("/ngsi-ld/v1/entities{parameters}"))?)?;
        let count = header_number(&answer, &http::HeaderName::from_static("ngsild-results-count"));
        let count = count.context("The server gave no count")?;
        writeln!(
            std::io::stdout(),
            "{}",
            if options.server.json { json!({"count": count}).to_string() } else { count.to_string() }
        )?;
        return Ok(Outcome::Ok);
    }
    if options.none_nearby.is_some() || options.unknown_without.is_some() {
        return apart(options, &client);
    }
    let limit = if options.all { usize::MAX } else { options.limit };
    let mut found: Vec<Value> = Vec::new();
    if limit <= 1_000 {
        let text = limit.to_string();
        let attrs = options.attrs.as_deref();
        let parameters = options.which.parameters(&[("limit", Some(&text)), ("attrs", attrs)])?;
        let answer = body(&good(client.get(&format!("/ngsi-ld/v1/entities{parameters}"))?)?)?;
        found.extend(answer.as_array().cloned().unwrap_or_default());
        show(options, &found)?;
    } else {
        each_entity(&client, &options.which, |entity| {
            if found.len() < limit {
                found.push(entity);
            }
            Ok(())
        })?;
        show(options, &found)?;
    }
    Ok(Outcome::Ok)
}

fn show(options: &Options, found: &[Value]) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    match options.format {
        _ if options.server.json => writeln!(out, "{}", Value::from(found.to_vec())),
        Format::Json => writeln!(out, "{:#}", Value::from(found.to_vec())),
        Format::Ids => found.iter().filter_map(|entity| entity["id"].as_str()).try_for_each(|id| writeln!(out, "{id}")),
        Format::Table => table(&mut out, found, options.attrs.as_deref()),
    }
}

fn table(out: &mut dyn Write, found: &[Value], attrs: Option<&str>) -> std::io::Result<()> {
    if found.is_empty() {
        return writeln!(out, "No entity matches.");
    }
    let wanted: Vec<&str> = attrs.map(|attrs| attrs.split(',').collect()).unwrap_or_default();
    for entity in found {
        let id = entity["id"].as_str().unwrap_or_default();
        let cells: Vec<String> = flat(entity)
            .into_iter()
            .filter(|(name, _)| {
                name != "id"
                    && (wanted.is_empty() || wanted.contains(&name.split(['.', '@']).next().unwrap_or_default()))
            })
            .map(|(name, value)| format!("{name}={}", shortened(&value)))
            .collect();
        writeln!(out, "{id}  {}", cells.join("  "))?;
    }
    Ok(())
}

fn shortened(value: &Value) -> String {
    const SHOWN_CHARS_MAX: usize = 60;
    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    match text.char_indices().nth(SHOWN_CHARS_MAX) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text,
    }
}

/// What matches and has none of the others nearby, and what cannot be said.
fn apart(options: &Options, client: &Client) -> Result<Outcome> {
    let nearby = match &options.none_nearby {
        None => None,
        Some(entity_type) => {
            let which =
                Which { entity_type: Some(entity_type.clone()), q: options.nearby_q.clone(), ..Which::default() };
            Some(places(client, &which)?)
        }
    };
    let metres = options.metres.unwrap_or(0.0);
    let mut matched = Vec::new();
    let mut without_place = Vec::new();
    each_entity(client, &options.which, |entity| {
        let id = entity["id"].as_str().unwrap_or_default().to_owned();
        match (&nearby, centroid(&entity)) {
            (None, _) => matched.push(id),
            (Some(_), None) => without_place.push(id),
            (Some(places), Some(centre)) => {
                if !any_within(places, centre, metres) {
                    matched.push(id);
                }
            }
        }
        Ok(())
    })?;
    let mut unknown = Vec::new();
    if let Some(attribute) = &options.unknown_without {
        let which = Which { q: Some(format!("!{attribute}")), ..options.which.clone() };
        each_entity(client, &which, |entity| {
            unknown.push(entity["id"].as_str().unwrap_or_default().to_owned());
            Ok(())
        })?;
    }
    if options.server.json || options.format == Format::Json {
        let answer = json!({"matched": matched, "unknown": unknown, "withoutPlace": without_place});
        writeln!(std::io::stdout(), "{answer}")?;
        return Ok(Outcome::Ok);
    }
    let mut out = std::io::stdout().lock();
    matched.iter().try_for_each(|id| writeln!(out, "{id}"))?;
    eprintln!("{} match", matched.len());
    if let Some(attribute) = &options.unknown_without {
        eprintln!("{} have no {attribute}: unknown, not counted as either", unknown.len());
    }
    if !without_place.is_empty() {
        eprintln!("{} have no place of their own and could not be compared", without_place.len());
    }
    Ok(Outcome::Ok)
}

type Places = RTree<GeomWithData<[f64; 2], ()>>;

fn places(client: &Client, which: &Which) -> Result<Places> {
    let mut points = Vec::new();
    each_entity(client, which, |entity| {
        points.extend(centroid(&entity).map(|point| GeomWithData::new([point.x(), point.y()], ())));
        Ok(())
    })?;
    if points.is_empty() {
        let named = which.entity_type.as_deref().unwrap_or_default();
        bail!("There is no {named} with a place here, so nearness to one says nothing. Import them first");
    }
    Ok(RTree::bulk_load(points))
}

/// The box that holds everything within the distance gives candidates; the ellipsoid decides.
fn any_within(places: &Places, centre: geo::Point, metres: f64) -> bool {
    let at =
        city_model::geometry::BboxWgs84 { west: centre.x(), south: centre.y(), east: centre.x(), north: centre.y() };
    let area = at.grown_m(metres);
    let envelope = AABB::from_corners([area.west, area.south], [area.east, area.north]);
    places.locate_in_envelope(envelope).any(|place| {
        let point = geo::Point::new(place.geom()[0], place.geom()[1]);
        Geodesic.distance(centre, point) <= metres
    })
}

/// The centroid of an entity's `location`.
fn centroid(entity: &Value) -> Option<geo::Point> {
    let geometry = &entity["location"]["value"];
    let coordinates = &geometry["coordinates"];
    let point = |value: &Value| Some(geo::Coord { x: value[0].as_f64()?, y: value[1].as_f64()? });
    let line =
        |value: &Value| Some(geo::LineString::new(value.as_array()?.iter().map(point).collect::<Option<Vec<_>>>()?));
    let polygon = |value: &Value| {
        let mut rings = value.as_array()?.iter().map(line).collect::<Option<Vec<_>>>()?;
        (!rings.is_empty()).then(|| geo::Polygon::new(rings.remove(0), rings))
    };
    match geometry["type"].as_str()? {
        "Point" => Some(geo::Point::from(point(coordinates)?)),
        "LineString" => line(coordinates)?.centroid(),
        "Polygon" => polygon(coordinates)?.centroid(),
        "MultiPolygon" => {
            geo::MultiPolygon::new(coordinates.as_array()?.iter().map(polygon).collect::<Option<Vec<_>>>()?).centroid()
        }
        _ => None,
    }
}
