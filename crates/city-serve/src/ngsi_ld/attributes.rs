//! The attributes of one entity (clauses 6.6 and 6.7).

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use city_model::{Applied, Change, DatasetId, DatasetSelection, Name};
use city_ngsi_ld::batch::render_update_result;
use city_ngsi_ld::{Mode, parse_attribute_instances, parse_fragment};
use http::StatusCode;

use super::entities::apply_one;
use super::request::{Ask, check_type, entity_id};
use crate::body::WholeBody;
use crate::caller::Caller;
use crate::city::City;
use crate::parameters::{Parameters, PathParameters};
use crate::problem::{Kind, Problem};

const SCOPE: &str = "https://uri.etsi.org/ngsi-ld/scope";

/// 204 where everything was done, else 207 with what was and what was not (5.2.18).
fn update_result(ask: &Ask, applied: &Applied) -> Response {
    if applied.not_updated.is_empty() {
        return ask.empty(StatusCode::NO_CONTENT);
    }
    let shown = |name: &Name| ask.terms.compact(name).into_owned();
    let updated: Vec<String> = applied.updated.iter().map(shown).collect();
    let not_updated: Vec<(String, &str)> =
        applied.not_updated.iter().map(|(name, why)| (shown(name), why.as_ref())).collect();
    let body = render_update_result(
        updated.iter().map(String::as_str),
        not_updated.iter().map(|(name, why)| (name.as_str(), *why)),
    );
    ask.json(StatusCode::MULTI_STATUS, body)
}

/// Implements 6.6.3.1 (5.6.3).
pub async fn append_attributes(
    State(city): State<Arc<City>>,
    caller: Caller,
    path: PathParameters,
    parameters: Parameters,
    WholeBody(body): WholeBody,
) -> Result<Response, Problem> {
    parameters.only(&["options", "type", "local"])?;
    let ask = Ask::with_body(&city, &caller, &body, false).await?;
    let fragment = parse_fragment(&body, &entity_id(&path)?, &ask.terms, Mode::Fragment)?;
    check_type(&city, &ask, &fragment.id, &parameters)?;
    let overwrite = !options(&parameters).any(|option| option == "noOverwrite");
    let applied = apply_one(&city, &ask, Change::Append { fragment, overwrite }).await?;
    Ok(update_result(&ask, &applied))
}

/// Implements 6.6.3.2 (5.6.2).
pub async fn update_attributes(
    State(city): State<Arc<City>>,
    caller: Caller,
    path: PathParameters,
    parameters: Parameters,
    WholeBody(body): WholeBody,
) -> Result<Response, Problem> {
    parameters.only(&["type", "local"])?;
    let ask = Ask::with_body(&city, &caller, &body, false).await?;
    let fragment = parse_fragment(&body, &entity_id(&path)?, &ask.terms, Mode::Fragment)?;
    check_type(&city, &ask, &fragment.id, &parameters)?;
    let applied = apply_one(&city, &ask, Change::Update(fragment)).await?;
    Ok(update_result(&ask, &applied))
}

/// Implements 6.7.3.1 (5.6.4).
pub async fn update_attribute(
    State(city): State<Arc<City>>,
    caller: Caller,
    path: PathParameters,
    parameters: Parameters,
    WholeBody(body): WholeBody,
) -> Result<Response, Problem> {
    parameters.only(&["type", "local"])?;
    let ask = Ask::with_body(&city, &caller, &body, false).await?;
    let (entity, attribute) = (entity_id(&path)?, attribute_name(&path, &ask)?);
    if attribute.as_str() == SCOPE {
        let detail = "The scope is no attribute and has no parts; send it whole with the entity (clause 5.6.4).";
        return Err(Problem::new(Kind::BadRequestData, "NLD-002", detail));
    }
    check_type(&city, &ask, &entity, &parameters)?;
    let mut instances = parse_attribute_instances(&body, &attribute, &ask.terms, Mode::Fragment)?;
    let (Some(instance), true) = (instances.pop(), instances.is_empty()) else {
        let detail = "A partial update is about one instance; send one object, with a datasetId if need be.";
        return Err(Problem::new(Kind::BadRequestData, "NLD-002", detail));
    };
    apply_one(&city, &ask, Change::UpdateAttribute { entity, attribute, instance }).await?;
    Ok(ask.empty(StatusCode::NO_CONTENT))
}

/// Implements 6.7.3.2 (5.6.5).
pub async fn delete_attribute(
    State(city): State<Arc<City>>,
    caller: Caller,
    path: PathParameters,
    parameters: Parameters,
) -> Result<Response, Problem> {
    parameters.only(&["deleteAll", "datasetId", "type", "local"])?;
    let ask = Ask::reading(&city, &caller, false).await?;
    let (entity, attribute) = (entity_id(&path)?, attribute_name(&path, &ask)?);
    let dataset = dataset_selection(&parameters)?;
    check_type(&city, &ask, &entity, &parameters)?;
    apply_one(&city, &ask, Change::DeleteAttribute { entity, attribute, dataset }).await?;
    Ok(ask.empty(StatusCode::NO_CONTENT))
}

/// Implements 6.7.3.3 (5.6.19).
pub async fn replace_attribute(
    State(city): State<Arc<City>>,
    caller: Caller,
    path: PathParameters,
    parameters: Parameters,
    WholeBody(body): WholeBody,
) -> Result<Response, Problem> {
    parameters.only(&["type", "local"])?;
    let ask = Ask::with_body(&city, &caller, &body, false).await?;
    let (entity, attribute) = (entity_id(&path)?, attribute_name(&path, &ask)?);
    check_type(&city, &ask, &entity, &parameters)?;
    let instances = parse_attribute_instances(&body, &attribute, &ask.terms, Mode::Create)?;
    apply_one(&city, &ask, Change::ReplaceAttribute { entity, attribute, instances }).await?;
    Ok(ask.empty(StatusCode::NO_CONTENT))
}

/// The expanded name of the attribute in a path.
pub fn attribute_name(path: &PathParameters, ask: &Ask) -> Result<Name, Problem> {
    let mut names = city_ngsi_ld::query::parse_names("attrId", path.get("attrId")?, &ask.terms)?;
    match (names.pop(), names.is_empty()) {
        (Some(name), true) => Ok(name),
        _ => Err(Problem::new(Kind::BadRequestData, "NLD-002", "The path must name one attribute.")),
    }
}

/// `deleteAll` and `datasetId` (5.6.5).
pub fn dataset_selection(parameters: &Parameters) -> Result<DatasetSelection, Problem> {
    match (parameters.find("deleteAll"), parameters.find("datasetId")) {
        (Some("true"), _) => Ok(DatasetSelection::All),
        (_, None | Some("@none")) => Ok(DatasetSelection::Default),
        (_, Some(dataset)) => Ok(DatasetSelection::One(DatasetId::parse(dataset)?)),
    }
}

/// The words of the parameter `options`.
pub fn options(parameters: &Parameters) -> impl Iterator<Item = &str> {
    parameters.find("options").unwrap_or_default().split(',').map(str::trim).filter(|word| !word.is_empty())
}
