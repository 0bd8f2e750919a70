//! The past as it is brought by others (clauses 6.18.3.1, 6.19.3.2, 6.20 to 6.22). It never
//! touches the current state.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use city_model::change::InstancePosition;
use city_model::name::is_uri;
use city_model::{Change, DatasetId, Rejected};
use city_ngsi_ld::{Mode, parse_attribute_instances, parse_entity, parse_fragment};
use http::StatusCode;

use super::attributes::{attribute_name, dataset_selection};
use super::entities::apply_one;
use super::request::{Ask, entity_id};
use super::temporal::{hides, parse_instance_id, past_identity};
use crate::body::WholeBody;
use crate::caller::Caller;
use crate::city::City;
use crate::parameters::{NoParameters, Parameters, PathParameters};
use crate::problem::{Kind, Problem};

/// Implements 6.18.3.1 (5.6.11).
pub async fn create(
    State(city): State<Arc<City>>,
    caller: Caller,
    _: NoParameters,
    WholeBody(body): WholeBody,
) -> Result<Response, Problem> {
    let ask = Ask::with_body(&city, &caller, &body, false).await?;
    let fragment = parse_entity(&body, &ask.terms, Mode::Temporal)?;
    let id = fragment.id.clone();
    let applied = apply_one(&city, &ask, Change::Past { fragment, must_exist: false }).await?;
    Ok(if applied.created { ask.created("temporal/entities", id.as_str()) } else { ask.empty(StatusCode::NO_CONTENT) })
}

/// Implements 6.20.3.1 (5.6.12).
pub async fn append(
    State(city): State<Arc<City>>,
    caller: Caller,
    path: PathParameters,
    _: NoParameters,
    WholeBody(body): WholeBody,
) -> Result<Response, Problem> {
    let ask = Ask::with_body(&city, &caller, &body, false).await?;
    let fragment = parse_fragment(&body, &entity_id(&path)?, &ask.terms, Mode::Temporal)?;
    apply_one(&city, &ask, Change::Past { fragment, must_exist: true }).await?;
    Ok(ask.empty(StatusCode::NO_CONTENT))
}

/// Implements 6.19.3.2 (5.6.16).
pub async fn delete(
    State(city): State<Arc<City>>,
    caller: Caller,
    path: PathParameters,
    _: NoParameters,
) -> Result<Response, Problem> {
    let ask = Ask::reading(&city, &caller, false).await?;
    apply_one(&city, &ask, Change::DeletePast(entity_id(&path)?)).await?;
    Ok(ask.empty(StatusCode::NO_CONTENT))
}

/// Implements 6.21.3.1 (5.6.13).
pub async fn delete_attribute(
    State(city): State<Arc<City>>,
    caller: Caller,
    path: PathParameters,
    parameters: Parameters,
) -> Result<Response, Problem> {
    parameters.only(&["deleteAll", "datasetId", "local"])?;
    let ask = Ask::reading(&city, &caller, false).await?;
    let (entity, attribute) = (entity_id(&path)?, attribute_name(&path, &ask)?);
    let dataset = dataset_selection(&parameters)?;
    let identity = past_identity(&city, &ask, &entity)?;
    let space = city.context.tenant(&ask.permit)?;
    city.history_caught_up().await?;
    let known = match space.terms.find(attribute.as_str()) {
        Some(number) if !hides(&city, &ask, &identity, &attribute)? => {
            city.history.knows(space.number, identity.number, number)?
        }
        _ => false,
    };
    if !known {
        return Err(Rejected::AttributeNotFound { entity, attribute, dataset: None }.into());
    }
    apply_one(&city, &ask, Change::DeletePastAttribute { entity, attribute, dataset }).await?;
    Ok(ask.empty(StatusCode::NO_CONTENT))
}

/// Implements 6.22.3.1 (5.6.14).
pub async fn update_instance(
    State(city): State<Arc<City>>,
    caller: Caller,
    path: PathParameters,
    _: NoParameters,
    WholeBody(body): WholeBody,
) -> Result<Response, Problem> {
    let ask = Ask::with_body(&city, &caller, &body, false).await?;
    let (entity, attribute) = (entity_id(&path)?, attribute_name(&path, &ask)?);
    let (position, dataset) = find_instance(&city, &ask, &path).await?;
    let mut instances = parse_attribute_instances(&body, &attribute, &ask.terms, Mode::Create)?;
    let (Some(mut instance), true) = (instances.pop(), instances.is_empty()) else {
        let detail = "One instance is changed at a time; send one object.";
        return Err(Problem::new(Kind::BadRequestData, "NLD-002", detail));
    };
    instance.dataset = dataset;
    apply_one(&city, &ask, Change::UpdatePastInstance { entity, attribute, position, instance }).await?;
    Ok(ask.empty(StatusCode::NO_CONTENT))
}

/// Implements 6.22.3.2 (5.6.15).
pub async fn delete_instance(
    State(city): State<Arc<City>>,
    caller: Caller,
    path: PathParameters,
    _: NoParameters,
) -> Result<Response, Problem> {
    let ask = Ask::reading(&city, &caller, false).await?;
    let (entity, attribute) = (entity_id(&path)?, attribute_name(&path, &ask)?);
    let (position, _) = find_instance(&city, &ask, &path).await?;
    apply_one(&city, &ask, Change::DeletePastInstance { entity, attribute, position }).await?;
    Ok(ask.empty(StatusCode::NO_CONTENT))
}

/// The instance that a path names, if the past knows it.
async fn find_instance(
    city: &City,
    ask: &Ask,
    path: &PathParameters,
) -> Result<(InstancePosition, Option<DatasetId>), Problem> {
    let (entity, attribute) = (entity_id(path)?, attribute_name(path, ask)?);
    let instance_id = path.get("instanceId")?;
    let not_found = || {
        let detail = format!("Entity {entity} has no instance {instance_id} of {attribute}.");
        Problem::new(Kind::ResourceNotFound, "CTX-011", detail)
    };
    let identity = past_identity(city, ask, &entity)?;
    let space = city.context.tenant(&ask.permit)?;
    if !is_uri(instance_id) {
        let detail = format!("\"{instance_id}\" is not the URI of an instance.");
        return Err(Problem::new(Kind::BadRequestData, "NLD-002", detail));
    }
    if hides(city, ask, &identity, &attribute)? {
        return Err(not_found());
    }
    let position = parse_instance_id(instance_id).ok_or_else(not_found)?;
    let number = space.terms.find(attribute.as_str()).ok_or_else(not_found)?;
    city.history_caught_up().await?;
    let dataset = city.history.find_instance(space.number, identity.number, number, position)?.ok_or_else(not_found)?;
    let dataset = city_store::codec::read_dataset(dataset, &space.terms);
    Ok((position, dataset.map_err(|error| Problem::internal("CTX-001", &error))?))
}
