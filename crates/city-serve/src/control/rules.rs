//! Rules: added, listed and removed, and held against the past before they go live.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use city_action::control::suggestion::shown_step;
use city_insight::replay::{FOUND_MAX, Found, Span};
use city_insight::rule::{Rule, RuleText};
use city_model::{Change, Definition, DefinitionKind, Permit, Time};
use city_ngsi_ld::{TermMap, plain};
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{body, define, short};
use crate::body::WholeBody;
use crate::caller::Caller;
use crate::city::City;
use crate::media::{MediaType, content_type};
use crate::ngsi_ld::reading;
use crate::parameters::{NoParameters, PathParameters};
use crate::problem::{Kind, Problem};

/// With full names, on behalf of whoever asks.
fn complete(
    city: &City,
    permit: &Permit,
    terms: &TermMap,
    text: RuleText,
) -> Result<city_insight::StoredRule, Problem> {
    let stored = text.complete(&|term, _| terms.expand(term), permit.owner(), city.now());
    Ok(stored.map_err(city_insight::Error::from)?)
}

pub async fn add_rule(
    State(city): State<Arc<City>>,
    caller: Caller,
    _: NoParameters,
    WholeBody(bytes): WholeBody,
) -> Result<Response, Problem> {
    let (permit, terms) = reading(&city, &caller).await?;
    content_type(&caller.headers, &[MediaType::Json])?;
    let text = std::str::from_utf8(&bytes)
        .map_err(|_| Problem::new(Kind::BadRequestData, "NLD-002", "The rule is not UTF-8."))?;
    let read = city_insight::rule::read_json(text).map_err(city_insight::Error::from)?;
    let mut stored = complete(&city, &permit, &terms, read)?;
    let id: Box<str> = stored.text.name.clone();
    // One after the other: no two changes of a rule have the same number.
    let _in_order = city.learning.rules.lock().await;
    let before = city.context.find_definition(&permit, DefinitionKind::Rule, &id)?;
    if let Some(before) = &before {
        stored.version = city_insight::parse_stored(before)?.version.saturating_add(1);
    }
    let known = before.is_some();
    let body = serde_json::to_vec(&stored).map_err(|error| Problem::internal("INS-004", &error))?;
    let definition = Definition { kind: DefinitionKind::Rule, id, body: body.into(), create: !known };
    define(&city, &permit, Change::Define(definition)).await?;
    let tenant = city.context.tenant(&permit)?.number;
    let status = if known { StatusCode::OK } else { StatusCode::CREATED };
    Ok((status, Json(shown_rule(&city, tenant, stored)?)).into_response())
}

fn shown_rule(city: &City, tenant: u32, stored: city_insight::StoredRule) -> Result<Value, Problem> {
    let rule = city_insight::Rule::of(stored).map_err(city_insight::Error::from)?;
    let text = &rule.stored.text;
    Ok(json!({
        "id": rule.name(), "name": rule.name(), "version": rule.stored.version, "watches": text.watch, "when": text.when, "until": text.until,
        "says": rule.explained(), "suggests": text.suggest, "owner": rule.stored.who,
        "createdAt": Time::from_micros(rule.stored.created_at_micros).to_string(),
        "failure": city.insight.failure(tenant, rule.name()),
    }))
}

pub async fn list_rules(
    State(city): State<Arc<City>>,
    caller: Caller,
    _: NoParameters,
) -> Result<Json<Value>, Problem> {
    let tenant = city.context.tenant(&caller.permit)?.number;
    let rules = city.context.list_definitions(&caller.permit, DefinitionKind::Rule)?;
    let rules = rules.into_iter().map(|(_, body)| shown_rule(&city, tenant, city_insight::parse_stored(&body)?));
    Ok(Json(json!({"rules": rules.collect::<Result<Vec<Value>, Problem>>()?})))
}

pub async fn remove_rule(
    State(city): State<Arc<City>>,
    caller: Caller,
    path: PathParameters,
    _: NoParameters,
) -> Result<StatusCode, Problem> {
    let id = path.get("ruleId")?.into();
    define(&city, &caller.permit, Change::Undefine { kind: DefinitionKind::Rule, id }).await?;
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TestBody {
    rule: RuleText,
    since: String,
    #[serde(default)]
    until: Option<String>,
}

/// What a rule would have suggested; nothing is written, and nobody is told.
pub async fn test_rule(
    State(city): State<Arc<City>>,
    caller: Caller,
    _: NoParameters,
    WholeBody(bytes): WholeBody,
) -> Result<Json<Value>, Problem> {
    let TestBody { rule, since, until } = body(&caller, &bytes)?;
    let (permit, terms) = reading(&city, &caller).await?;
    let rule = Rule::of(complete(&city, &permit, &terms, rule)?).map_err(city_insight::Error::from)?;
    let now = city.now();
    let span = Span {
        since: time("since", &since)?,
        until: until.as_deref().map_or(Ok(now), |text| time("until", text))?.min(now),
    };
    if span.since >= span.until {
        let detail = "since: it must lie before until, and before now.";
        return Err(Problem::new(Kind::BadRequestData, "NLD-002", detail));
    }
    city.history_caught_up().await?;
    let replayed = city.read(|| city.insight.replay(&permit, &rule, &span)).await?;
    let found: Vec<Value> = replayed.found.iter().map(|found| shown_found(found, &terms)).collect();
    Ok(Json(json!({
        "says": rule.explained(), "since": span.since.to_string(), "until": span.until.to_string(),
        "suggestions": found, "entities": replayed.entities, "evaluations": replayed.evaluations,
        "cut": replayed.cut, "atMost": FOUND_MAX,
    })))
}

fn shown_found(found: &Found, terms: &TermMap) -> Value {
    let (proposal, short) = (&found.proposal, short(terms));
    let evidence = proposal.evidence.iter().map(|one| {
        json!({
            "entity": one.entity.as_str(), "attribute": short(&one.attribute), "value": plain::of(&one.value),
            "unitCode": one.unit_code, "observedAt": one.observed_at.map(|at| at.to_string()),
        })
    });
    json!({
        "at": found.at.to_string(), "about": proposal.about.as_str(), "what": proposal.what, "why": proposal.why,
        "proposes": proposal.steps.iter().map(|step| shown_step(step, &short)).collect::<Vec<_>>(),
        "evidence": evidence.collect::<Vec<_>>(), "deadline": proposal.deadline.to_string(),
        "endedAt": found.ended_at.map(|at| at.to_string()),
    })
}

fn time(name: &str, text: &str) -> Result<Time, Problem> {
    Time::parse(text).ok_or_else(|| {
        let detail = format!("{name}: \"{text}\" is no time such as 2026-11-23T18:00:00+09:00.");
        Problem::new(Kind::BadRequestData, "NLD-002", detail)
    })
}
