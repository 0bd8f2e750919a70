//! Which types and attributes there are (clauses 6.25 to 6.28).

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use city_context::Page;
use city_model::query::EntitySelector;
use city_model::{Name, Query, TypeExpr};
use city_ngsi_ld::discovery::{
    AttributeInfo, TypeInfo, render_attribute_details, render_attribute_info, render_attribute_list,
    render_type_details, render_type_info, render_type_list,
};
use city_ngsi_ld::query::parse_names;
use http::StatusCode;

use super::request::Ask;
use crate::caller::Caller;
use crate::city::City;
use crate::parameters::{Parameters, PathParameters};
use crate::problem::{Kind, Problem};

/// Entities that are looked at to learn of which kinds an attribute is.
const SAMPLE_ENTITIES: usize = 200;

fn id_of(kind: &str) -> String {
    format!("urn:ngsi-ld:{kind}:{}", uuid::Uuid::new_v4())
}

fn one_name(path: &PathParameters, part: &'static str, ask: &Ask) -> Result<Name, Problem> {
    let mut names = parse_names(part, path.get(part)?, &ask.terms)?;
    match (names.pop(), names.is_empty()) {
        (Some(name), true) => Ok(name),
        _ => Err(Problem::new(Kind::BadRequestData, "NLD-002", format!("The path must name one {part}."))),
    }
}

/// Implements 6.25.3.1 (5.7.5, 5.7.6).
pub async fn list_types(
    State(city): State<Arc<City>>,
    caller: Caller,
    parameters: Parameters,
) -> Result<Response, Problem> {
    parameters.only(&["details", "local"])?;
    let ask = Ask::reading(&city, &caller, false).await?;
    let types = city.read(|| city.context.types(&ask.permit)).await?;
    let body = if parameters.find("details") == Some("true") {
        let infos = types.into_iter().map(|(name, count)| type_info(&city, &ask, name, count));
        let details: Vec<TypeInfo> = city.read(|| infos.collect::<Result<_, Problem>>()).await?;
        render_type_details(&details, &ask.terms, ask.embeds_context())
    } else {
        let names: Vec<Name> = types.into_iter().map(|(name, _)| name).collect();
        render_type_list(&id_of("EntityTypeList"), &names, &ask.terms, ask.embeds_context())
    };
    Ok(ask.answer(StatusCode::OK, body))
}

fn type_info(city: &City, ask: &Ask, name: Name, entity_count: u64) -> Result<TypeInfo, Problem> {
    let attributes = city
        .context
        .attributes_of_type(&ask.permit, &name)?
        .into_iter()
        .map(|(attribute, attribute_count)| AttributeInfo {
            name: attribute,
            attribute_count,
            attribute_types: Vec::new(),
            type_names: Vec::new(),
        })
        .collect();
    Ok(TypeInfo { name, entity_count, attributes })
}

/// Implements 6.26.3.1 (5.7.7).
pub async fn retrieve_type(
    State(city): State<Arc<City>>,
    caller: Caller,
    path: PathParameters,
    parameters: Parameters,
) -> Result<Response, Problem> {
    parameters.only(&["local"])?;
    let ask = Ask::reading(&city, &caller, false).await?;
    let name = one_name(&path, "type", &ask)?;
    let types = city.read(|| city.context.types(&ask.permit)).await?;
    let Some((_, count)) = types.into_iter().find(|(own, _)| *own == name) else {
        let detail = format!("There is no entity of type {name}.");
        return Err(Problem::new(Kind::ResourceNotFound, "CTX-011", detail));
    };
    let mut info = city.read(|| type_info(&city, &ask, name.clone(), count)).await?;
    let types = Some(TypeExpr::Type(name));
    let selectors = vec![EntitySelector { types, ..EntitySelector::default() }];
    let sample = sample(&city, &ask, Query { selectors, ..Query::default() }).await?;
    for attribute in &mut info.attributes {
        attribute.attribute_types = kinds(&sample, &attribute.name);
    }
    Ok(ask.answer(StatusCode::OK, render_type_info(&info, &ask.terms, ask.embeds_context())))
}

async fn sample(city: &City, ask: &Ask, query: Query) -> Result<Vec<Arc<city_model::Entity>>, Problem> {
    let page = Page { offset: 0, limit: SAMPLE_ENTITIES, count: false };
    Ok(city.read(|| city.context.query(&ask.permit, &query, page)).await?.entities)
}

fn kinds(entities: &[Arc<city_model::Entity>], name: &Name) -> Vec<&'static str> {
    let instances = entities.iter().filter_map(|entity| entity.find(name.as_str())).flat_map(|a| &a.instances);
    let kinds: BTreeSet<&'static str> = instances.map(|instance| instance.kind.type_name()).collect();
    kinds.into_iter().collect()
}

fn attribute_info(city: &City, ask: &Ask, name: Name) -> Result<AttributeInfo, Problem> {
    let (type_names, attribute_count) = city.context.types_having(&ask.permit, &name)?;
    Ok(AttributeInfo { name, attribute_count, attribute_types: Vec::new(), type_names })
}

/// Implements 6.27.3.1 (5.7.8, 5.7.9).
pub async fn list_attributes(
    State(city): State<Arc<City>>,
    caller: Caller,
    parameters: Parameters,
) -> Result<Response, Problem> {
    parameters.only(&["details", "local"])?;
    let ask = Ask::reading(&city, &caller, false).await?;
    let counted = city.read(|| city.context.attributes(&ask.permit)).await?;
    let names: Vec<Name> = counted.into_iter().map(|(name, _)| name).collect();
    let body = if parameters.find("details") == Some("true") {
        let infos = names.iter().map(|name| attribute_info(&city, &ask, name.clone()));
        let details: Vec<AttributeInfo> = city.read(|| infos.collect::<Result<_, Problem>>()).await?;
        render_attribute_details(&details, &ask.terms, ask.embeds_context())
    } else {
        render_attribute_list(&id_of("AttributeList"), &names, &ask.terms, ask.embeds_context())
    };
    Ok(ask.answer(StatusCode::OK, body))
}

/// Implements 6.28.3.1 (5.7.10).
pub async fn retrieve_attribute(
    State(city): State<Arc<City>>,
    caller: Caller,
    path: PathParameters,
    parameters: Parameters,
) -> Result<Response, Problem> {
    parameters.only(&["local"])?;
    let ask = Ask::reading(&city, &caller, false).await?;
    let name = one_name(&path, "attrId", &ask)?;
    let mut info = city.read(|| attribute_info(&city, &ask, name.clone())).await?;
    if info.attribute_count == 0 {
        let detail = format!("No entity has an attribute {name}.");
        return Err(Problem::new(Kind::ResourceNotFound, "CTX-011", detail));
    }
    let sample = sample(&city, &ask, Query { attributes: vec![name.clone()], ..Query::default() }).await?;
    info.attribute_types = kinds(&sample, &name);
    Ok(ask.answer(StatusCode::OK, render_attribute_info(&info, &ask.terms, ask.embeds_context())))
}
