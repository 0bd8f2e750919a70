//! Many entities in one request (clauses 6.14 to 6.17, 6.31). Each entity is atomic, the batch is
//! not; its changes are adjacent in the tenant's order.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use city_model::{Change, Entity};
use city_ngsi_ld::batch::{render_batch_result, render_ids};
use city_ngsi_ld::entity::{parse_ids, parse_raw_entity};
use city_ngsi_ld::{ContextSpec, Mode, parse_batch, peek_id, split_context};
use http::StatusCode;

use super::attributes::options;
use super::request::{self, Ask, element_terms};
use crate::body::WholeBody;
use crate::caller::Caller;
use crate::city::City;
use crate::parameters::{NoParameters, Parameters};
use crate::problem::Problem;

/// What became of each element, in order.
struct Results {
    ask: Ask,
    elements: Vec<(String, Result<bool, Problem>)>,
}

/// Parses, applies, and gathers what came of each element; `Ok(true)` was created.
async fn run(
    city: &City,
    caller: &Caller,
    body: &[u8],
    mode: Mode,
    change: impl Fn(Entity) -> Change,
) -> Result<Results, Problem> {
    let (ask, sent) = Ask::batch(city, caller).await?;
    let raw_elements = parse_batch(body)?;
    let mut elements = Vec::with_capacity(raw_elements.len());
    let mut changes = Vec::with_capacity(raw_elements.len());
    for raw in raw_elements {
        let id = peek_id(raw).unwrap_or_default();
        let parsed = match element_terms(city, &ask, sent, raw.get().as_bytes()).await {
            Ok(terms) => parse_raw_entity(raw, &terms, mode).map_err(Problem::from),
            Err(problem) => Err(problem),
        };
        match parsed {
            Ok(entity) => {
                changes.push(change(entity));
                elements.push((id, Ok(false)));
            }
            Err(problem) => elements.push((id, Err(problem))),
        }
    }
    apply(city, &ask, changes, &mut elements).await?;
    Ok(Results { ask, elements })
}

async fn apply(
    city: &City,
    ask: &Ask,
    changes: Vec<Change>,
    elements: &mut [(String, Result<bool, Problem>)],
) -> Result<(), Problem> {
    if changes.is_empty() {
        return Ok(());
    }
    let results = request::apply(city, ask, changes).await?;
    let accepted = elements.iter_mut().filter(|(_, result)| result.is_ok());
    for ((_, element), result) in accepted.zip(results) {
        *element = match result {
            Ok(applied) if applied.not_updated.is_empty() => Ok(applied.created),
            Ok(applied) => {
                let names: Vec<String> = applied.not_updated.iter().map(|(name, _)| name.to_string()).collect();
                let detail = format!("Attributes were left as they are: {}.", names.join(", "));
                Err(Problem::new(crate::problem::Kind::BadRequestData, "CTX-012", detail))
            }
            Err(rejected) => Err(rejected.into()),
        };
    }
    Ok(())
}

impl Results {
    /// 207 with both lists where anything failed, else what the caller makes of the created ids.
    fn answer(self, all_well: impl FnOnce(&Ask, Vec<&str>) -> Response) -> Response {
        let failed = self.elements.iter().any(|(_, result)| result.is_err());
        if !failed {
            let created = self.elements.iter().filter(|(_, result)| *result == Ok(true));
            return all_well(&self.ask, created.map(|(id, _)| id.as_str()).collect());
        }
        let success = self.elements.iter().filter(|(_, result)| result.is_ok()).map(|(id, _)| id.as_str());
        let problems: Vec<(&str, city_ngsi_ld::Problem)> = self
            .elements
            .iter()
            .filter_map(|(id, result)| result.as_ref().err().map(|problem| (id.as_str(), problem.to_ngsi_ld())))
            .collect();
        let body = render_batch_result(success, problems.iter().map(|(id, problem)| (*id, problem)));
        self.ask.json(StatusCode::MULTI_STATUS, body)
    }
}

fn created(ask: &Ask, ids: Vec<&str>) -> Response {
    ask.json(StatusCode::CREATED, render_ids(ids))
}

fn done(ask: &Ask, _: Vec<&str>) -> Response {
    ask.empty(StatusCode::NO_CONTENT)
}

/// Implements 6.14.3.1 (5.6.7).
pub async fn create(
    State(city): State<Arc<City>>,
    caller: Caller,
    _: NoParameters,
    WholeBody(body): WholeBody,
) -> Result<Response, Problem> {
    Ok(run(&city, &caller, &body, Mode::Create, Change::Create).await?.answer(created))
}

/// Implements 6.15.3.1 (5.6.8).
pub async fn upsert(
    State(city): State<Arc<City>>,
    caller: Caller,
    parameters: Parameters,
    WholeBody(body): WholeBody,
) -> Result<Response, Problem> {
    parameters.only(&["options", "local"])?;
    let update = options(&parameters).any(|option| option == "update");
    let results = run(&city, &caller, &body, Mode::Create, |entity| Change::Upsert { entity, update }).await?;
    Ok(results.answer(|ask, ids| if ids.is_empty() { done(ask, ids) } else { created(ask, ids) }))
}

/// Implements 6.16.3.1 (5.6.9).
pub async fn update(
    State(city): State<Arc<City>>,
    caller: Caller,
    parameters: Parameters,
    WholeBody(body): WholeBody,
) -> Result<Response, Problem> {
    parameters.only(&["options", "local"])?;
    let overwrite = !options(&parameters).any(|option| option == "noOverwrite");
    let change = |fragment| Change::Append { fragment, overwrite };
    Ok(run(&city, &caller, &body, Mode::Fragment, change).await?.answer(done))
}

/// Implements 6.31.3.1 (5.6.20).
pub async fn merge(
    State(city): State<Arc<City>>,
    caller: Caller,
    _: NoParameters,
    WholeBody(body): WholeBody,
) -> Result<Response, Problem> {
    Ok(run(&city, &caller, &body, Mode::Fragment, Change::Merge).await?.answer(done))
}

/// Implements 6.17.3.1 (5.6.10).
pub async fn delete(
    State(city): State<Arc<City>>,
    caller: Caller,
    _: NoParameters,
    WholeBody(body): WholeBody,
) -> Result<Response, Problem> {
    let (ask, _) = Ask::batch(&city, &caller).await?;
    let mut elements = Vec::new();
    let mut changes = Vec::new();
    for id in parse_ids(&body)? {
        match id {
            Ok(id) => {
                elements.push((id.to_string(), Ok(false)));
                changes.push(Change::Delete(id));
            }
            Err((text, error)) => elements.push((text, Err(error.into()))),
        }
    }
    apply(&city, &ask, changes, &mut elements).await?;
    Ok(Results { ask, elements }.answer(done))
}

/// The entities of a message that came without headers: one, or an array, each with its own @context or the
/// core one (as 5.6.8).
pub async fn entities_of_message(city: &City, payload: &[u8]) -> Result<Vec<Entity>, Problem> {
    let one;
    let raw_elements = match payload.iter().find(|byte| !byte.is_ascii_whitespace()) {
        Some(b'[') => parse_batch(payload)?,
        _ => {
            one = [b"[", payload, b"]"].concat();
            parse_batch(&one)?
        }
    };
    let mut entities = Vec::with_capacity(raw_elements.len());
    for raw in raw_elements {
        let spec = split_context(raw.get().as_bytes())?.unwrap_or_else(ContextSpec::core);
        let terms = request::resolve(city, &spec).await?;
        entities.push(parse_raw_entity(raw, &terms, Mode::Create)?);
    }
    Ok(entities)
}
