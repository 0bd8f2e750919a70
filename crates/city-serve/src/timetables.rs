//! The door for public transport: feeds are taken and given back as archives, and what leaves a stop is asked here.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use city_gtfs::realtime::{Vehicle, write};
use city_gtfs::timetable::DEPARTURES_MAX;
use city_gtfs::{Departure, Timetable};
use city_ingest::timetables::{Error, Feed};
use city_model::entity::{Instance, Kind as Shape};
use city_model::query::{EntitySelector, TypeExpr};
use city_model::{Entity, Geometry, Name, Query, Time, Value as Cell};
use city_ngsi_ld::{ContextSpec, TermMap};
use http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::body::WholeBody;
use crate::caller::Caller;
use crate::city::City;
use crate::doors::{Effect, Operation};
use crate::media::{MediaType, content_type};
use crate::ngsi_ld::{reading, resolve_with};
use crate::parameters::{NoParameters, Parameters, PathParameters};
use crate::problem::{Kind, Problem};

/// Departures in an answer, unless the request says otherwise.
pub const DEPARTURES: usize = 20;
/// Vehicles in one answer.
pub const VEHICLES_MAX: usize = 20_000;

#[must_use]
pub fn operations() -> Vec<Operation<Arc<City>>> {
    let (door, ours, operate) = ("timetables", "docs/reference/timetables.md", Effect::Operate);
    let (all, one) = ("/gtfs/v1/feeds", "/gtfs/v1/feeds/{feedId}");
    let (archive, problems) = ("/gtfs/v1/feeds/{feedId}/archive", "/gtfs/v1/feeds/{feedId}/problems");
    let (departures, vehicles) = ("/gtfs/v1/feeds/{feedId}/stops/{stopId}/departures", "/gtfs/v1/vehicle-positions");
    vec![
        Operation::new(door, ours, "list_feeds", Method::GET, all, operate, list_feeds),
        Operation::new(door, ours, "put_feed", Method::PUT, one, operate, put_feed),
        Operation::new(door, ours, "get_feed", Method::GET, one, operate, get_feed),
        Operation::new(door, ours, "remove_feed", Method::DELETE, one, operate, remove_feed),
        Operation::new(door, ours, "get_feed_archive", Method::GET, archive, operate, get_archive),
        Operation::new(door, ours, "get_feed_problems", Method::GET, problems, operate, get_problems),
        Operation::new(door, ours, "get_departures", Method::GET, departures, Effect::Read, get_departures),
        Operation::new(door, ours, "get_vehicle_positions", Method::GET, vehicles, Effect::Read, get_vehicles),
    ]
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        let (code, said) = (error.code(), error.to_string());
        match error {
            Error::Context(error) => error.into(),
            Error::Rejected { why, .. } | Error::NotKept(why) => Self { detail: said.into(), ..why.into() },
            Error::NotFound(_) => Self::new(Kind::ResourceNotFound, code, said),
            Error::Name(_) | Error::Feed(_) | Error::Entity(_) => Self::new(Kind::BadRequestData, code, said),
            Error::TooMany => Self::plain(StatusCode::CONFLICT, code, said),
            Error::NotStrict(findings) => {
                let first = findings.problems.first().map(|one| format!(" The first: {}, {}", one.rule, one.message));
                Self::plain(StatusCode::UNPROCESSABLE_ENTITY, code, said + &first.unwrap_or_default())
            }
            Error::Stored { .. } => Self::internal(code, &said),
        }
    }
}

fn name(path: &PathParameters) -> Result<&str, Problem> {
    path.get("feedId")
}

fn shown(name: &str, feed: &Feed) -> Value {
    json!({
        "name": name, "version": feed.version, "who": feed.who,
        "receivedAt": Time::from_micros(feed.received_at_micros).to_string(), "bytes": feed.bytes,
        "sha256": feed.sha256, "agencies": feed.agencies, "stops": feed.stops, "routes": feed.routes,
        "trips": feed.trips, "stopTimes": feed.stop_times, "until": feed.until, "errors": feed.errors,
        "warnings": feed.warnings,
    })
}

async fn list_feeds(State(city): State<Arc<City>>, caller: Caller, _: NoParameters) -> Result<Json<Value>, Problem> {
    let feeds = city.timetables.list(&caller.permit)?;
    let feeds: Vec<Value> = feeds.iter().map(|(name, feed)| shown(name, feed)).collect();
    Ok(Json(json!({"feeds": feeds})))
}

/// Takes an archive; 201 where the feed is new.
async fn put_feed(
    State(city): State<Arc<City>>,
    caller: Caller,
    path: PathParameters,
    parameters: Parameters,
    WholeBody(bytes): WholeBody,
) -> Result<Response, Problem> {
    parameters.only(&["strict", "local"])?;
    let strict = match parameters.find("strict") {
        None | Some("false") => false,
        Some("true" | "") => true,
        Some(_) => return Err(Problem::new(Kind::BadRequestData, "NLD-002", "strict is true or false.")),
    };
    content_type(&caller.headers, &[MediaType::Zip, MediaType::Bytes])?;
    let terms = resolve_with(&city.contexts, &city.outbound, &ContextSpec::core()).await?;
    let name = name(&path)?;
    let put = city.timetables.put(&caller.permit, name, bytes.to_vec(), &terms, strict).await?;
    let mut body = shown(name, &put.feed);
    body["removed"] = put.removed.into();
    body["problems"] = json!(put.findings.problems);
    body["rules"] = json!(put.findings.rules);
    let status = if put.feed.version == 1 { StatusCode::CREATED } else { StatusCode::OK };
    Ok((status, Json(body)).into_response())
}

async fn get_feed(
    State(city): State<Arc<City>>,
    caller: Caller,
    path: PathParameters,
    _: NoParameters,
) -> Result<Json<Value>, Problem> {
    let name = name(&path)?;
    Ok(Json(shown(name, &city.timetables.find(&caller.permit, name)?)))
}

async fn remove_feed(
    State(city): State<Arc<City>>,
    caller: Caller,
    path: PathParameters,
    _: NoParameters,
) -> Result<StatusCode, Problem> {
    city.timetables.remove(&caller.permit, name(&path)?).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn get_archive(
    State(city): State<Arc<City>>,
    caller: Caller,
    path: PathParameters,
    _: NoParameters,
) -> Result<Response, Problem> {
    let name = name(&path)?;
    let (_, bytes) = city.read(|| city.timetables.archive(&caller.permit, name)).await?;
    let disposition = format!("attachment; filename=\"{name}.zip\"");
    Ok(([(CONTENT_TYPE, "application/zip"), (CONTENT_DISPOSITION, &disposition)], bytes).into_response())
}

/// The feed held against the rules of the field, as of today.
async fn get_problems(
    State(city): State<Arc<City>>,
    caller: Caller,
    path: PathParameters,
    _: NoParameters,
) -> Result<Json<Value>, Problem> {
    let name = name(&path)?;
    let findings = city.read(|| city.timetables.problems(&caller.permit, name)).await?;
    Ok(Json(json!(findings)))
}

/// What leaves a stop, or a station's stops, from a time on.
async fn get_departures(
    State(city): State<Arc<City>>,
    caller: Caller,
    path: PathParameters,
    parameters: Parameters,
) -> Result<Json<Value>, Problem> {
    parameters.only(&["at", "limit", "local"])?;
    let bad = |detail: &'static str| Problem::new(Kind::BadRequestData, "NLD-002", detail);
    let at = match parameters.find("at") {
        None => city.now(),
        Some(text) => Time::parse(text)
            .ok_or_else(|| bad("at is no time with its offset, such as 2026-04-01T08:00:00+09:00 or …Z."))?,
    };
    let limit = match parameters.find("limit").map(str::parse::<usize>) {
        None => DEPARTURES,
        Some(Ok(limit @ 1..=DEPARTURES_MAX)) => limit,
        Some(_) => {
            let detail = format!("limit is a whole number from 1 to {DEPARTURES_MAX}.");
            return Err(Problem::new(Kind::BadRequestData, "NLD-002", detail));
        }
    };
    let (permit, _) = reading(&city, &caller).await?;
    let (name, stop) = (name(&path)?, path.get("stopId")?);
    let timetable = city.read(|| city.timetables.behind(&permit, name, stop)).await?;
    let timetable = timetable.ok_or_else(|| {
        let detail = format!("The feed {name} has no stop {stop}, or you may not see it.");
        Problem::new(Kind::ResourceNotFound, "ING-014", detail)
    })?;
    let found = city.read(|| timetable.departures(stop, at, limit)).await;
    let departures: Vec<Value> = found.iter().map(|one| departure(&timetable, one)).collect();
    let until = timetable.last_day().map(|day| day.to_string());
    Ok(Json(json!({"stop": stop, "at": at.to_string(), "until": until, "departures": departures})))
}

fn departure(timetable: &Timetable, one: &Departure) -> Value {
    json!({
        "at": one.at.to_string(), "local": timetable.local(one.at), "stop": one.stop, "platform": one.platform, "trip": one.trip, "route": one.route.id,
        "routeShortName": one.route.short_name, "routeName": one.route.long_name, "routeColor": one.route.color,
        "headsign": one.headsign, "direction": one.direction, "sequence": one.sequence,
        "serviceDay": one.service_day.to_string(), "everySeconds": one.every_seconds,
    })
}

/// Entities that are somewhere, as GTFS Realtime: what the reader may see of a type.
async fn get_vehicles(
    State(city): State<Arc<City>>,
    caller: Caller,
    parameters: Parameters,
) -> Result<Response, Problem> {
    parameters.only(&["type", "local"])?;
    let (permit, terms) = reading(&city, &caller).await?;
    let types = Some(TypeExpr::Type(terms.expand(parameters.find("type").unwrap_or("Vehicle"))));
    let query = Query { selectors: vec![EntitySelector { types, ..EntitySelector::default() }], ..Query::default() };
    let (entities, _) = city.read(|| city.context.query_after(&permit, &query, 0, VEHICLES_MAX)).await?;
    let names = Names::of(&terms);
    let vehicles: Vec<Vehicle> = entities.iter().filter_map(|entity| names.vehicle(entity)).collect();
    let now = u64::try_from(city.now().as_micros() / 1_000_000).unwrap_or_default();
    Ok(([(CONTENT_TYPE, "application/x-protobuf")], write(&vehicles, now)).into_response())
}

/// The attributes of a vehicle, by the names that the reader's @context gives them.
struct Names {
    location: Name,
    trip: Name,
    route: Name,
    label: Name,
    bearing: Name,
    speed: Name,
}

impl Names {
    fn of(terms: &TermMap) -> Self {
        Self {
            location: terms.expand("location"),
            trip: terms.expand("tripId"),
            route: terms.expand("routeId"),
            label: terms.expand("label"),
            bearing: terms.expand("bearing"),
            speed: terms.expand("speed"),
        }
    }

    /// `None` where it is not known where it is.
    fn vehicle(&self, entity: &Entity) -> Option<Vehicle> {
        let location = first(entity, &self.location)?;
        let Shape::GeoProperty(Geometry::Point(place)) = &location.kind else { return None };
        let text = |name: &Name| match &first(entity, name)?.kind {
            Shape::Property(value) => value.as_text().map(str::to_owned),
            _ => None,
        };
        let number = |name: &Name| match first(entity, name)?.kind {
            Shape::Property(Cell::Float(value)) => Some(value),
            Shape::Property(Cell::Int(value)) => Some(value as f64),
            _ => None,
        };
        Some(Vehicle {
            id: entity.id.as_str().to_owned(),
            trip: text(&self.trip),
            route: text(&self.route),
            label: text(&self.label),
            latitude: place.lat,
            longitude: place.lon,
            bearing: number(&self.bearing),
            speed: number(&self.speed),
            timestamp: location.observed_at.and_then(|at| u64::try_from(at.as_micros() / 1_000_000).ok()),
        })
    }
}

/// The instance that has no dataset.
fn first<'e>(entity: &'e Entity, name: &Name) -> Option<&'e Instance> {
    let attribute = entity.attributes.iter().find(|attribute| attribute.name == *name)?;
    attribute.instances.iter().find(|instance| instance.dataset.is_none())
}
