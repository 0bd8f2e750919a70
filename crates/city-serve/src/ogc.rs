//! OGC API Features over the same entities (OGC 17-069r4 and 19-079r2): each type is a collection, each entity that
//! the reader may see a feature of it.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use city_context::Page;
use city_model::query::{EntitySelector, Filter, GeoQuery, core_names};
use city_model::{EntityId, Name, Query, Rejected, TypeExpr};
use city_ngsi_ld::{Format, RenderOptions, TermMap, render_entity};
use city_ogc::{area, cql2};
use http::header::{CONTENT_TYPE, HOST};
use http::{HeaderMap, Method};
use serde_json::{Map, Value, json};

use crate::caller::Caller;
use crate::city::City;
use crate::doors::{Effect, Operation};
use crate::ngsi_ld::{Ask, encode_path};
use crate::parameters::{NoParameters, Parameters, PathParameters};
use crate::problem::{Kind, Problem};

/// Features in a page, unless the request says otherwise.
pub const FEATURES: usize = 10;
/// Most features in a page; a request for more gets so many.
pub const FEATURES_MAX: usize = 1_000;

const ROOT: &str = "/ogc/v1";
/// The one coordinate reference system: longitude and latitude of WGS 84.
const CRS84: &str = "http://www.opengis.net/def/crs/OGC/1.3/CRS84";
const GEOJSON: &str = "application/geo+json";
const OPENAPI: &str = "application/vnd.oai.openapi+json;version=3.0";

const CONFORMANCE: [&str; 10] = [
    "http://www.opengis.net/spec/ogcapi-common-1/1.0/conf/core",
    "http://www.opengis.net/spec/ogcapi-common-2/1.0/conf/collections",
    "http://www.opengis.net/spec/ogcapi-features-1/1.0/conf/core",
    "http://www.opengis.net/spec/ogcapi-features-1/1.0/conf/oas30",
    "http://www.opengis.net/spec/ogcapi-features-1/1.0/conf/geojson",
    "http://www.opengis.net/spec/ogcapi-features-3/1.0/conf/queryables",
    "http://www.opengis.net/spec/ogcapi-features-3/1.0/conf/filter",
    "http://www.opengis.net/spec/cql2/1.0/conf/cql2-text",
    "http://www.opengis.net/spec/cql2/1.0/conf/basic-cql2",
    "http://www.opengis.net/spec/cql2/1.0/conf/advanced-comparison-operators",
];

#[must_use]
pub fn operations() -> Vec<Operation<Arc<City>>> {
    let (door, read) = ("ogc", Effect::Read);
    let (collections, collection) = ("/ogc/v1/collections", "/ogc/v1/collections/{collectionId}");
    let (items, item) =
        ("/ogc/v1/collections/{collectionId}/items", "/ogc/v1/collections/{collectionId}/items/{featureId}");
    let queryables = "/ogc/v1/collections/{collectionId}/queryables";
    vec![
        Operation::new(door, "17-069r4 7.2", "get_landing_page", Method::GET, ROOT, read, landing_page),
        Operation::new(door, "17-069r4 7.3", "get_api_definition", Method::GET, "/ogc/v1/api", read, api_definition),
        Operation::new(door, "17-069r4 7.4", "get_conformance", Method::GET, "/ogc/v1/conformance", read, conformance),
        Operation::new(door, "17-069r4 7.13", "list_collections", Method::GET, collections, read, list_collections),
        Operation::new(door, "17-069r4 7.14", "get_collection", Method::GET, collection, read, get_collection),
        Operation::new(door, "19-079r2 6", "get_queryables", Method::GET, queryables, read, get_queryables),
        Operation::new(door, "17-069r4 7.15", "get_features", Method::GET, items, read, get_features),
        Operation::new(door, "17-069r4 7.16", "get_feature", Method::GET, item, read, get_feature),
    ]
}

/// Where the reader reached this server: links are whole addresses, as clients want them.
struct Base(String);

impl Base {
    fn of(city: &City, headers: &HeaderMap) -> Self {
        let host = headers.get(HOST).and_then(|host| host.to_str().ok());
        let is_plain = |c: char| c.is_ascii_alphanumeric() || ".-:[]".contains(c);
        let host = host.filter(|host| host.chars().all(is_plain));
        let scheme = if city.is_secure { "https" } else { "http" };
        Self(host.map(|host| format!("{scheme}://{host}{ROOT}")).unwrap_or_else(|| ROOT.to_owned()))
    }

    fn link(&self, path: &str, relation: &str, media: &str, title: &str) -> Value {
        json!({"href": format!("{}{path}", self.0), "rel": relation, "type": media, "title": title})
    }
}

async fn landing_page(State(city): State<Arc<City>>, caller: Caller, _: NoParameters) -> Result<Json<Value>, Problem> {
    let base = Base::of(&city, &caller.headers);
    let json = "application/json";
    Ok(Json(json!({
        "title": "Renkei", "description": "Each type of entity is a collection, each entity a feature.",
        "links": [
            base.link("", "self", json, "This page"),
            base.link("/api", "service-desc", OPENAPI, "These operations"),
            base.link("/conformance", "conformance", json, "What is implemented"),
            base.link("/collections", "data", json, "Collections"),
        ],
    })))
}

/// These operations as OpenAPI 3.0 (17-069r4, clause 9).
async fn api_definition(State(city): State<Arc<City>>, caller: Caller, _: NoParameters) -> Response {
    let base = Base::of(&city, &caller.headers);
    let mut paths = Map::new();
    for operation in operations() {
        let path = operation.path.strip_prefix(ROOT).filter(|path| !path.is_empty()).unwrap_or("/");
        let in_path = path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
        let in_path =
            in_path.map(|name| json!({"name": name, "in": "path", "required": true, "schema": {"type": "string"}}));
        let is_items = operation.name == "get_features";
        let asked = KNOWN
            .iter()
            .filter(|_| is_items)
            .map(|name| json!({"name": name, "in": "query", "schema": {"type": "string"}}));
        let parameters: Vec<Value> = in_path.chain(asked).collect();
        let answers = json!({"200": {"description": "What was asked for"}, "default": {"description": "Why not"}});
        let get = json!({"operationId": operation.name, "parameters": parameters, "responses": answers});
        paths.insert(path.to_owned(), json!({"get": get}));
    }
    let definition = json!({
        "openapi": "3.0.3", "info": {"title": "OGC API Features of Renkei", "version": env!("CARGO_PKG_VERSION")},
        "servers": [{"url": base.0}], "paths": paths,
    });
    ([(CONTENT_TYPE, OPENAPI)], definition.to_string()).into_response()
}

async fn conformance(_: Caller, _: NoParameters) -> Json<Value> {
    Json(json!({"conformsTo": CONFORMANCE}))
}

fn collection(base: &Base, id: &str, count: u64) -> Value {
    let path = format!("/collections/{}", encode_path(id));
    json!({
        "id": id, "title": id, "description": format!("{count} entities of type {id}"), "itemType": "feature",
        "crs": [CRS84],
        "links": [
            base.link(&path, "self", "application/json", id),
            base.link(&format!("{path}/items"), "items", GEOJSON, "Features"),
            base.link(
                &format!("{path}/queryables"),
                "http://www.opengis.net/def/rel/ogc/1.0/queryables",
                "application/schema+json",
                "Properties for filters",
            ),
        ],
    })
}

async fn list_collections(
    State(city): State<Arc<City>>,
    caller: Caller,
    _: NoParameters,
) -> Result<Json<Value>, Problem> {
    let ask = Ask::reading(&city, &caller, false).await?;
    let base = Base::of(&city, &caller.headers);
    let types = city.read(|| city.context.types(&ask.permit)).await?;
    let collections: Vec<Value> =
        types.iter().map(|(name, count)| collection(&base, &ask.terms.compact(name), *count)).collect();
    let links = [base.link("/collections", "self", "application/json", "Collections")];
    Ok(Json(json!({"links": links, "collections": collections})))
}

/// The type of a collection, and how many entities the reader may see of it.
async fn known(city: &City, ask: &Ask, path: &PathParameters) -> Result<(String, Name, u64), Problem> {
    let id = path.get("collectionId")?;
    let name = ask.terms.expand(id);
    let types = city.read(|| city.context.types(&ask.permit)).await?;
    let found = types.into_iter().find(|(own, _)| *own == name);
    let (name, count) = found.ok_or_else(|| {
        let detail = format!("There is no collection {id}; /ogc/v1/collections lists them.");
        Problem::new(Kind::ResourceNotFound, "CTX-011", detail)
    })?;
    Ok((id.to_owned(), name, count))
}

async fn get_collection(
    State(city): State<Arc<City>>,
    caller: Caller,
    path: PathParameters,
    _: NoParameters,
) -> Result<Json<Value>, Problem> {
    let ask = Ask::reading(&city, &caller, false).await?;
    let (id, _, count) = known(&city, &ask, &path).await?;
    Ok(Json(collection(&Base::of(&city, &caller.headers), &id, count)))
}

async fn get_queryables(
    State(city): State<Arc<City>>,
    caller: Caller,
    path: PathParameters,
    _: NoParameters,
) -> Result<Response, Problem> {
    let ask = Ask::reading(&city, &caller, false).await?;
    let (id, name, _) = known(&city, &ask, &path).await?;
    let attributes = city.read(|| city.context.attributes_of_type(&ask.permit, &name)).await?;
    let mut properties = Map::new();
    for (attribute, _) in attributes {
        let term = ask.terms.compact(&attribute).into_owned();
        let shape = match attribute.as_str() == core_names::LOCATION {
            true => json!({"format": "geometry-any", "x-ogc-role": "primary-geometry"}),
            false => json!({"title": term}),
        };
        properties.insert(term, shape);
    }
    let base = Base::of(&city, &caller.headers);
    let schema = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": format!("{}/collections/{}/queryables", base.0, encode_path(&id)),
        "type": "object", "title": id, "properties": properties, "additionalProperties": true,
    });
    Ok(([(CONTENT_TYPE, "application/schema+json")], schema.to_string()).into_response())
}

const KNOWN: [&str; 10] =
    ["bbox", "bbox-crs", "crs", "datetime", "filter", "filter-lang", "filter-crs", "limit", "offset", "f"];

/// What the parameters of a request ask of a collection.
fn query(parameters: &Parameters, name: Name, terms: &TermMap) -> Result<Query, Problem> {
    let bad = |detail: String| Problem::new(Kind::BadRequestData, "NLD-002", detail);
    for crs in ["crs", "bbox-crs", "filter-crs"] {
        if let Some(other) = parameters.find(crs).filter(|own| *own != CRS84) {
            return Err(bad(format!("{crs}: {other} is not offered; coordinates are {CRS84}.")));
        }
    }
    if let Some(other) = parameters.find("filter-lang").filter(|own| *own != "cql2-text") {
        return Err(bad(format!("filter-lang: {other} is not read; cql2-text is.")));
    }
    if let Some(other) = parameters.find("f").filter(|own| !matches!(*own, "json" | "geojson")) {
        return Err(bad(format!("f: {other} is not offered; json is.")));
    }
    let said = |error: city_ogc::Error| bad(error.to_string());
    let stored = |name: &str| Name::from_stored(name.into());
    let parsed = parameters.find("filter").map(|text| cql2::parse(text, &|term| terms.expand(term)));
    let cql2::Parsed { filter, geo } = parsed.transpose().map_err(said)?.unwrap_or_default();
    let changed = parameters.find("datetime").map(|text| area::datetime(text, stored(core_names::MODIFIED_AT)));
    let filters: Vec<Filter> = filter.into_iter().chain(changed.transpose().map_err(said)?).collect();
    let boxed = parameters.find("bbox").map(|text| area::bbox(text, stored(core_names::LOCATION)));
    let geo: Vec<GeoQuery> = geo.into_iter().chain(boxed.transpose().map_err(said)?).collect();
    let [geo_first, ..] = geo.as_slice() else {
        return Ok(of(name, filters, None));
    };
    if geo.len() > 1 {
        return Err(bad(
            "bbox and a spatial predicate in filter cannot stand together; write both into one.".to_owned()
        ));
    }
    let geo = geo_first.clone();
    Ok(of(name, filters, Some(geo)))
}

fn of(name: Name, mut filters: Vec<Filter>, geo: Option<GeoQuery>) -> Query {
    let filter = match filters.len() {
        0 | 1 => filters.pop(),
        _ => Some(Filter::And(filters)),
    };
    let selector = EntitySelector { types: Some(TypeExpr::Type(name)), ..EntitySelector::default() };
    Query { selectors: vec![selector], filter, geo, ..Query::default() }
}

fn page(parameters: &Parameters) -> Result<Page, Problem> {
    let number = |name: &'static str, default: usize| match parameters.find(name).map(str::parse::<usize>) {
        None => Ok(default),
        Some(Ok(number)) => Ok(number),
        Some(Err(_)) => Err(Problem::new(Kind::BadRequestData, "NLD-002", format!("{name} is not a whole number."))),
    };
    // More than there is at most is no error: the page is shorter (17-069r4, permission 5 of clause 7.15.2).
    let limit = number("limit", FEATURES)?.min(FEATURES_MAX);
    if limit == 0 {
        return Err(Problem::new(Kind::BadRequestData, "NLD-002", "limit is at least 1."));
    }
    Ok(Page { offset: number("offset", 0)?, limit, count: true })
}

/// The geometry stands beside the properties, not among them.
fn options() -> RenderOptions {
    let omit = vec![Name::from_stored(core_names::LOCATION.into())];
    RenderOptions { format: Format::Simplified, geojson: true, omit, ..RenderOptions::default() }
}

async fn get_features(
    State(city): State<Arc<City>>,
    caller: Caller,
    path: PathParameters,
    parameters: Parameters,
) -> Result<Response, Problem> {
    parameters.only(&KNOWN)?;
    let ask = Ask::reading(&city, &caller, true).await?;
    let (id, name, _) = known(&city, &ask, &path).await?;
    let (query, page) = (query(&parameters, name, &ask.terms)?, page(&parameters)?);
    let found = city.read(|| city.context.query(&ask.permit, &query, page)).await?;
    let shown = options();
    let mut body = b"{\"type\":\"FeatureCollection\",\"features\":[".to_vec();
    for (at, entity) in found.entities.iter().enumerate() {
        body.extend_from_slice(if at > 0 { b",\n" } else { b"\n" });
        render_entity(entity, &ask.terms, &shown, &mut body);
    }
    let base = Base::of(&city, &caller.headers);
    let asked = |offset: usize| {
        let mut address = format!("/collections/{}/items?", encode_path(&id));
        for (name, value) in parameters.iter().filter(|(name, _)| !matches!(*name, "offset" | "limit")) {
            address.push_str(&format!("{}={}&", encode_path(name), encode_path(value)));
        }
        format!("{address}limit={}&offset={offset}", page.limit)
    };
    let mut links = vec![base.link(&asked(page.offset), "self", GEOJSON, "This page")];
    if found.more {
        links.push(base.link(&asked(page.offset + page.limit), "next", GEOJSON, "Next page"));
    }
    if page.offset > 0 {
        links.push(base.link(&asked(page.offset.saturating_sub(page.limit)), "prev", GEOJSON, "Page before"));
    }
    let about = json!({
        "numberReturned": found.entities.len(), "numberMatched": found.count, "timeStamp": city.now().to_string(),
        "links": links,
    });
    let about = about.to_string();
    body.extend_from_slice(b"\n],");
    body.extend_from_slice(about.trim_start_matches('{').as_bytes());
    Ok(([(CONTENT_TYPE, GEOJSON)], body).into_response())
}

async fn get_feature(
    State(city): State<Arc<City>>,
    caller: Caller,
    path: PathParameters,
    _: NoParameters,
) -> Result<Response, Problem> {
    let ask = Ask::reading(&city, &caller, true).await?;
    let (id, name, _) = known(&city, &ask, &path).await?;
    let feature = EntityId::parse(path.get("featureId")?)?;
    let found = city.context.find(&ask.permit, &feature)?.filter(|entity| entity.types.contains(&name));
    let entity = found.ok_or_else(|| Problem::from(Rejected::EntityNotFound(feature.clone())))?;
    let mut body = Vec::with_capacity(1_024);
    render_entity(&entity, &ask.terms, &options(), &mut body);
    let base = Base::of(&city, &caller.headers);
    let own = format!("/collections/{}", encode_path(&id));
    let links = json!([
        base.link(&format!("{own}/items/{}", encode_path(feature.as_str())), "self", GEOJSON, "This feature"),
        base.link(&own, "collection", "application/json", &id),
    ]);
    // The feature's own closing brace goes behind the links.
    body.pop();
    body.extend_from_slice(format!(",\"links\":{links}}}").as_bytes());
    Ok(([(CONTENT_TYPE, GEOJSON)], body).into_response())
}
