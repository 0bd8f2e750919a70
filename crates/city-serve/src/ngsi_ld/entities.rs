//! One entity (clauses 6.4.3.1 and 6.5).

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use city_model::{Applied, Change, Rejected};
use city_ngsi_ld::{Mode, parse_entity, parse_fragment, render_entity};
use http::StatusCode;

use super::query::Projection;
use super::request::{Ask, apply, check_type, check_type_of, entity_id};
use super::then;
use crate::body::WholeBody;
use crate::caller::Caller;
use crate::city::City;
use crate::parameters::{NoParameters, Parameters, PathParameters};
use crate::problem::{Kind, Problem};

/// Applies one change and gives what came of it.
pub async fn apply_one(city: &City, ask: &Ask, change: Change) -> Result<Applied, Problem> {
    let mut results = apply(city, ask, vec![change]).await?;
    match results.pop() {
        Some(result) => result.map_err(Problem::from),
        None => Err(Problem::internal("CTX-001", &"a change got no answer")),
    }
}

/// Implements 6.4.3.1 (5.6.1).
pub async fn create_entity(
    State(city): State<Arc<City>>,
    caller: Caller,
    _: NoParameters,
    WholeBody(body): WholeBody,
) -> Result<Response, Problem> {
    let ask = Ask::with_body(&city, &caller, &body, false).await?;
    let entity = parse_entity(&body, &ask.terms, Mode::Create)?;
    let id = entity.id.clone();
    apply_one(&city, &ask, Change::Create(entity)).await?;
    Ok(ask.created("entities", id.as_str()))
}

/// Implements 6.5.3.1 (5.7.1).
pub async fn retrieve_entity(
    State(city): State<Arc<City>>,
    caller: Caller,
    path: PathParameters,
    parameters: Parameters,
) -> Result<Response, Problem> {
    parameters.only(&[
        "attrs",
        "pick",
        "omit",
        "options",
        "format",
        "lang",
        "datasetId",
        "geometryProperty",
        "type",
        "local",
        "jsonKeys",
        "join",
        "at",
    ])?;
    let ask = Ask::reading(&city, &caller, true).await?;
    let projection = Projection::parse(&parameters, &ask)?;
    let id = entity_id(&path)?;
    let found = match then::parse_at(&city, &parameters)? {
        None => city.context.find(&ask.permit, &id)?,
        Some(at) => {
            city.history_caught_up().await?;
            city.read(|| then::stood_at(&city, &ask.permit, &id, at)).await?
        }
    };
    let missing = || Problem::from(Rejected::EntityNotFound(id.clone()));
    let entity = found.ok_or_else(missing)?;
    check_type_of(&ask, &entity, &parameters)?;
    if !projection.attrs.is_empty() && !projection.attrs.iter().any(|name| entity.find(name.as_str()).is_some()) {
        let detail = format!("Entity {id} has none of the attributes that were asked for.");
        return Err(Problem::new(Kind::ResourceNotFound, "CTX-011", detail));
    }
    if !projection.shows_something(&entity) {
        let detail = format!("Entity {id} has none of the members that were asked for.");
        return Err(Problem::new(Kind::ResourceNotFound, "CTX-011", detail));
    }
    let mut body = Vec::with_capacity(2_048);
    render_entity(&entity, &ask.terms, &projection.options(&ask), &mut body);
    Ok(ask.answer(StatusCode::OK, body))
}

/// Implements 6.5.3.2 (5.6.6).
pub async fn delete_entity(
    State(city): State<Arc<City>>,
    caller: Caller,
    path: PathParameters,
    parameters: Parameters,
) -> Result<Response, Problem> {
    parameters.only(&["type", "local"])?;
    let ask = Ask::reading(&city, &caller, false).await?;
    let id = entity_id(&path)?;
    check_type(&city, &ask, &id, &parameters)?;
    apply_one(&city, &ask, Change::Delete(id)).await?;
    Ok(ask.empty(StatusCode::NO_CONTENT))
}

/// Implements 6.5.3.3 (5.6.18).
pub async fn replace_entity(
    State(city): State<Arc<City>>,
    caller: Caller,
    path: PathParameters,
    parameters: Parameters,
    WholeBody(body): WholeBody,
) -> Result<Response, Problem> {
    parameters.only(&["type", "local"])?;
    let ask = Ask::with_body(&city, &caller, &body, false).await?;
    let entity = parse_fragment(&body, &entity_id(&path)?, &ask.terms, Mode::Create)?;
    check_type(&city, &ask, &entity.id, &parameters)?;
    apply_one(&city, &ask, Change::Replace(entity)).await?;
    Ok(ask.empty(StatusCode::NO_CONTENT))
}

/// Implements 6.5.3.4 (5.6.17).
pub async fn merge_entity(
    State(city): State<Arc<City>>,
    caller: Caller,
    path: PathParameters,
    parameters: Parameters,
    WholeBody(body): WholeBody,
) -> Result<Response, Problem> {
    // What the form of the body is can be seen, so it may be said and is not needed.
    parameters.only(&["observedAt", "options", "format", "type", "local"])?;
    let ask = Ask::with_body(&city, &caller, &body, false).await?;
    let mut fragment = parse_fragment(&body, &entity_id(&path)?, &ask.terms, Mode::Fragment)?;
    check_type(&city, &ask, &fragment.id, &parameters)?;
    if let Some(text) = parameters.find("observedAt") {
        let time = city_model::Time::parse(text).ok_or_else(|| {
            let detail = format!("observedAt: \"{text}\" is not a time such as 2026-01-31T09:00:00Z.");
            Problem::new(Kind::BadRequestData, "NLD-002", detail)
        })?;
        for instance in fragment.attributes.iter_mut().flat_map(|attribute| &mut attribute.instances) {
            instance.observed_at.get_or_insert(time);
        }
    }
    apply_one(&city, &ask, Change::Merge(fragment)).await?;
    Ok(ask.empty(StatusCode::NO_CONTENT))
}
