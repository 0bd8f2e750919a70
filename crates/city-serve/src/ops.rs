//! The door for whoever runs the city: how it fares, what waits, what was given up.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use city_action::SubscriptionKey;
use city_model::{DefinitionKind, Rejected};
use city_ngsi_ld::{RenderOptions, render_entity};
use http::Method;
use http::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use serde_json::{Value, json};

use crate::backup;
use crate::caller::Caller;
use crate::city::City;
use crate::doctor::{doctor, list_silent_sensors};
use crate::doors::{Effect, Operation};
use crate::ngsi_ld::{is_shown, parse_query, reading};
use crate::parameters::{NoParameters, Parameters, PathParameters};
use crate::problem::{Kind, Problem};
use crate::undelete::undelete;

#[must_use]
pub fn operations() -> Vec<Operation<Arc<City>>> {
    let (door, ours) = ("ops", "docs/reference/ops.md");
    let silent = "/ops/v1/silent-sensors";
    let letters = "/ops/v1/subscriptions/{subscriptionId}/dead-letters";
    let undeletes = "/ops/v1/entities/{entityId}/undelete";
    let replays = "/ops/v1/subscriptions/{subscriptionId}/replay";
    vec![
        Operation::new(door, ours, "backup", Method::GET, "/ops/v1/backup", Effect::Host, backup::backup),
        Operation::new(door, ours, "doctor", Method::GET, "/ops/v1/doctor", Effect::Operate, doctor),
        Operation::new(door, ours, "list_silent_sensors", Method::GET, silent, Effect::Operate, list_silent_sensors),
        Operation::new(door, ours, "export", Method::GET, "/ops/v1/export", Effect::Read, export),
        Operation::new(door, ours, "explain", Method::GET, "/ops/v1/explain", Effect::Operate, explain),
        Operation::new(door, ours, "list_dead_letters", Method::GET, letters, Effect::Define, list_dead_letters),
        Operation::new(door, ours, "replay", Method::POST, replays, Effect::Define, replay),
        Operation::new(door, ours, "undelete", Method::POST, undeletes, Effect::Write, undelete),
    ]
}

/// Header that says where the next part of an export begins.
pub const NEXT: HeaderName = HeaderName::from_static("renkei-next");
/// Entities in one part of an export, at most.
pub const EXPORT_ENTITIES_MAX: usize = 5_000;

/// What says which entities are meant.
const WHICH: [&str; 10] =
    ["id", "type", "idPattern", "attrs", "q", "scopeQ", "georel", "geometry", "coordinates", "geoproperty"];

/// Entities that match, a normalised document a line, from `after` on; far pages cost no more than near ones.
async fn export(State(city): State<Arc<City>>, caller: Caller, parameters: Parameters) -> Result<Response, Problem> {
    parameters.only(&[&WHICH[..], &["after", "limit"]].concat())?;
    let (permit, terms) = reading(&city, &caller).await?;
    let query = parse_query(&parameters, &terms)?;
    let number = |name: &'static str| match parameters.find(name).map(str::parse::<u32>) {
        None => Ok(None),
        Some(Ok(number)) => Ok(Some(number)),
        Some(Err(_)) => Err(Problem::new(Kind::BadRequestData, "NLD-002", format!("{name} is not a whole number."))),
    };
    let after = number("after")?.unwrap_or(0);
    let limit = number("limit")?.map_or(EXPORT_ENTITIES_MAX, |limit| limit as usize).clamp(1, EXPORT_ENTITIES_MAX);
    let (entities, next) = city.read(|| city.context.query_after(&permit, &query, after, limit)).await?;
    let options = RenderOptions::default();
    let mut body = Vec::with_capacity(1_024 * entities.len());
    for entity in &entities {
        render_entity(entity, &terms, &options, &mut body);
        body.push(b'\n');
    }
    let mut response = ([(CONTENT_TYPE, "application/x-ndjson")], body).into_response();
    if let Some(next) = next {
        response.headers_mut().insert(NEXT, HeaderValue::from(next));
    }
    Ok(response)
}

/// Which indexes a query would use, and how many entities it would look at.
async fn explain(
    State(city): State<Arc<City>>,
    caller: Caller,
    parameters: Parameters,
) -> Result<Json<Value>, Problem> {
    parameters.only(&WHICH)?;
    let (permit, terms) = reading(&city, &caller).await?;
    // How many an index finds tells of what is hidden.
    permit.check_whole().map_err(city_context::Error::from)?;
    let query = parse_query(&parameters, &terms)?;
    let (indexes, candidates) = city.context.explain(&permit, &query)?;
    Ok(Json(json!({"indexes": indexes, "candidates": candidates})))
}

fn key(city: &City, caller: &Caller, path: &PathParameters) -> Result<SubscriptionKey, Problem> {
    let permit = caller.permit.clone();
    let id: Box<str> = path.get("subscriptionId")?.into();
    let found = city.context.find_definition(&permit, DefinitionKind::Subscription, &id)?;
    let subscription = found.map(|body| city_action::parse_stored(&body)).transpose()?;
    if !subscription.is_some_and(|subscription| is_shown(&permit, &subscription)) {
        return Err(Rejected::DefinitionNotFound { what: DefinitionKind::Subscription.noun(), id }.into());
    }
    Ok(SubscriptionKey { tenant: city.context.tenant(&permit)?.number, id })
}

/// What was given up of a subscription.
async fn list_dead_letters(
    State(city): State<Arc<City>>,
    caller: Caller,
    path: PathParameters,
    _: NoParameters,
) -> Result<Json<Value>, Problem> {
    let key = key(&city, &caller, &path)?;
    let letters: Vec<Value> = city
        .action
        .dead_letters(&key)?
        .into_iter()
        .map(|letter| {
            json!({
                "seq": letter.row.seq, "entities": letter.row.changes.len(), "why": letter.why,
                "matchedAt": letter.row.matched_at.to_string(), "givenUpAt": letter.given_up_at.to_string(),
            })
        })
        .collect();
    Ok(Json(json!({"subscriptionId": key.id, "deadLetters": letters})))
}

/// Puts what was given up back into the outbox.
async fn replay(
    State(city): State<Arc<City>>,
    caller: Caller,
    path: PathParameters,
    _: NoParameters,
) -> Result<Json<Value>, Problem> {
    let key = key(&city, &caller, &path)?;
    Ok(Json(json!({"subscriptionId": key.id, "replayed": city.action.replay(&key)?})))
}
