//! The door for whoever runs the city: how it fares, what waits, what was given up.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use city_action::SubscriptionKey;
use city_model::{DefinitionKind, Rejected, Time};
use city_ngsi_ld::{RenderOptions, render_entity};
use http::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use http::{HeaderMap, Method};
use serde_json::{Value, json};

use crate::backup;
use crate::city::City;
use crate::doors::{Effect, Operation};
use crate::ngsi_ld::{parse_query, permit_of, reading};
use crate::parameters::{Parameters, PathParameters};
use crate::problem::{Kind, Problem};
use crate::undelete::undelete;

/// Subscriptions that a report lists at most.
const LISTED_MAX: usize = 100;

#[must_use]
pub fn operations() -> Vec<Operation<Arc<City>>> {
    let (door, ours) = ("ops", "docs/reference/ops.md");
    let letters = "/ops/v1/subscriptions/{subscriptionId}/dead-letters";
    let undeletes = "/ops/v1/entities/{entityId}/undelete";
    let replays = "/ops/v1/subscriptions/{subscriptionId}/replay";
    vec![
        Operation::new(door, ours, "backup", Method::GET, "/ops/v1/backup", Effect::Read, backup::backup),
        Operation::new(door, ours, "doctor", Method::GET, "/ops/v1/doctor", Effect::Read, doctor),
        Operation::new(door, ours, "export", Method::GET, "/ops/v1/export", Effect::Read, export),
        Operation::new(door, ours, "explain", Method::GET, "/ops/v1/explain", Effect::Read, explain),
        Operation::new(door, ours, "list_dead_letters", Method::GET, letters, Effect::Read, list_dead_letters),
        Operation::new(door, ours, "replay", Method::POST, replays, Effect::Define, replay),
        Operation::new(door, ours, "undelete", Method::POST, undeletes, Effect::Write, undelete),
    ]
}

/// How the server fares, with what to do where something is wrong.
async fn doctor(State(city): State<Arc<City>>, headers: HeaderMap) -> Result<Json<Value>, Problem> {
    let permit = permit_of(&city, &headers)?;
    let journal = city.context.journal();
    let mut findings: Vec<Value> = Vec::new();
    let mut finding = |what: String, advice: &str| findings.push(json!({"what": what, "advice": advice}));
    if city.context.is_read_only() {
        finding(
            "The store is read-only since a write failed.".into(),
            "Look for the error in the log, then restart the server.",
        );
    }
    if let Some(why) = city.action.failure() {
        finding(format!("Matching has stopped: {why}"), "No notifications leave; restart the server.");
    }
    let bounds = city.history.bounds();
    let (history_behind, matcher_behind) = (city.history.behind(), city.action.behind());
    let durable = journal.durable();
    for (who, behind) in [("History", history_behind), ("The matcher", matcher_behind)] {
        if behind > 100_000 {
            finding(
                format!("{who} is {behind} changes behind."),
                "It catches up by itself; if it does not, look at the load.",
            );
        }
    }
    let tenants: Vec<Value> = city
        .context
        .tenants()
        .list()
        .iter()
        // Of other tenants nothing is told, not even that they are there.
        .filter(|space| space.name == *permit.tenant())
        .map(|space| {
            let index = space.index.read();
            json!({"tenant": space.name.as_str(), "entities": index.alive().len(), "types": index.types().count()})
        })
        .collect();
    let mut subscriptions = Vec::new();
    let tenant = city.context.tenant(&permit)?.number;
    for (id, _) in city.context.list_definitions(&permit, DefinitionKind::Subscription)? {
        let Some(report) = city.action.report(&SubscriptionKey { tenant, id: id.clone() }) else { continue };
        let failing = report.last_failure > report.last_success;
        if (failing || report.dead_letters > 0) && subscriptions.len() < LISTED_MAX {
            subscriptions.push(json!({
                "id": id, "waiting": report.waiting, "deadLetters": report.dead_letters, "lastError": report.last_error,
                "advice": "Check the endpoint; then renkei subscriptions replay sends what was given up.",
            }));
        }
    }
    Ok(Json(json!({
        "healthy": findings.is_empty() && subscriptions.is_empty(),
        "version": env!("CARGO_PKG_VERSION"),
        "findings": findings,
        "tenants": tenants,
        "journal": {"bytes": journal.bytes(), "records": durable, "oldestKept": journal.oldest()},
        "followers": {"historyBehind": history_behind, "matcherBehind": matcher_behind},
        "history": {"keptFrom": since(bounds.kept_from), "exactFrom": since(bounds.exact_from)},
        "failingSubscriptions": subscriptions,
    })))
}

/// A bound of the past; null is for ever.
fn since(time: Time) -> Option<String> {
    (time.as_micros() != i64::MIN).then(|| time.to_string())
}

/// Header that says where the next part of an export begins.
pub const NEXT: HeaderName = HeaderName::from_static("renkei-next");
/// Entities in one part of an export, at most.
pub const EXPORT_ENTITIES_MAX: usize = 5_000;

/// Entities that match, a normalised document a line, from `after` on; far pages cost no more than near ones.
async fn export(
    State(city): State<Arc<City>>,
    headers: HeaderMap,
    parameters: Parameters,
) -> Result<Response, Problem> {
    let (permit, terms) = reading(&city, &headers).await?;
    let query = parse_query(&parameters, &terms)?;
    let number = |name: &'static str| match parameters.find(name).map(str::parse::<u32>) {
        None => Ok(None),
        Some(Ok(number)) => Ok(Some(number)),
        Some(Err(_)) => Err(Problem::new(Kind::BadRequestData, "NLD-002", format!("{name} is not a whole number."))),
    };
    let after = number("after")?.unwrap_or(0);
    let limit = number("limit")?.map_or(EXPORT_ENTITIES_MAX, |limit| limit as usize).clamp(1, EXPORT_ENTITIES_MAX);
    let (entities, next) = city.read(|| city.context.query_after(&permit, &query, after, limit)).await?;
    let options = RenderOptions { mask: permit.mask(), ..RenderOptions::default() };
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
    headers: HeaderMap,
    parameters: Parameters,
) -> Result<Json<Value>, Problem> {
    let (permit, terms) = reading(&city, &headers).await?;
    let query = parse_query(&parameters, &terms)?;
    let (indexes, candidates) = city.context.explain(&permit, &query)?;
    Ok(Json(json!({"indexes": indexes, "candidates": candidates})))
}

fn key(city: &City, headers: &HeaderMap, path: &PathParameters) -> Result<SubscriptionKey, Problem> {
    let permit = permit_of(city, headers)?;
    let id: Box<str> = path.get("subscriptionId")?.into();
    if city.context.find_definition(&permit, DefinitionKind::Subscription, &id)?.is_none() {
        return Err(Rejected::DefinitionNotFound { what: DefinitionKind::Subscription.noun(), id }.into());
    }
    Ok(SubscriptionKey { tenant: city.context.tenant(&permit)?.number, id })
}

/// What was given up of a subscription.
async fn list_dead_letters(
    State(city): State<Arc<City>>,
    headers: HeaderMap,
    path: PathParameters,
) -> Result<Json<Value>, Problem> {
    let key = key(&city, &headers, &path)?;
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
    headers: HeaderMap,
    path: PathParameters,
) -> Result<Json<Value>, Problem> {
    let key = key(&city, &headers, &path)?;
    Ok(Json(json!({"subscriptionId": key.id, "replayed": city.action.replay(&key)?})))
}
