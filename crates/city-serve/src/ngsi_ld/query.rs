//! Queries (clauses 6.4.3.2 and 6.23), with paging, counting and what of an entity is shown.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use city_context::Page;
use city_model::query::EntitySelector;
use city_model::{DatasetId, Name, Query, Time};
use city_ngsi_ld::query::{
    QueryBody, parse_dataset_ids, parse_geo_query, parse_id_list, parse_id_pattern, parse_members, parse_names,
    parse_q, parse_query_body, parse_scope_q, parse_type_expr,
};
use city_ngsi_ld::{Format, RenderOptions, TermMap, render_entities};
use http::StatusCode;
use http::header::{HeaderValue, LINK};

use super::attributes::options;
use super::request::{Ask, RESULTS_COUNT};
use super::then;
use crate::body::WholeBody;
use crate::caller::Caller;
use crate::city::City;
use crate::media::MediaType;
use crate::parameters::Parameters;
use crate::problem::{Kind, Problem};

/// Entities in a page, unless the request says otherwise; and at most.
pub const LIMIT_DEFAULT: usize = 20;
pub const LIMIT_MAX: usize = 1_000;

/// Members that are no attributes, beside id and type.
const MEMBERS: [&str; 4] = [
    "https://uri.etsi.org/ngsi-ld/scope",
    "https://uri.etsi.org/ngsi-ld/createdAt",
    "https://uri.etsi.org/ngsi-ld/modifiedAt",
    "https://uri.etsi.org/ngsi-ld/expiresAt",
];

/// Which members of an entity are shown, and in which form (clauses 4.5.4, 4.21, 6.3.7, 6.3.11).
#[derive(Debug, Default)]
pub struct Projection {
    pub format: Format,
    pub sys_attrs: bool,
    pub lang: Option<String>,
    pub attrs: Vec<Name>,
    pub pick: Option<Vec<Name>>,
    pub omit: Vec<Name>,
    pub dataset_ids: Vec<Option<DatasetId>>,
    pub geometry_property: Option<Name>,
}

impl Projection {
    pub fn parse(parameters: &Parameters, ask: &Ask) -> Result<Self, Problem> {
        let terms = &ask.terms;
        let names = |what: &'static str| parameters.find(what).map(|text| parse_names(what, text, terms)).transpose();
        let members =
            |what: &'static str| parameters.find(what).map(|text| parse_members(what, text, terms)).transpose();
        let mut projection = Self {
            lang: parameters.find("lang").map(str::to_owned),
            attrs: names("attrs")?.unwrap_or_default(),
            pick: members("pick")?,
            omit: members("omit")?.unwrap_or_default(),
            dataset_ids: parameters.find("datasetId").map(parse_dataset_ids).transpose()?.unwrap_or_default(),
            geometry_property: parameters.find("geometryProperty").map(|term| terms.expand(term)),
            ..Self::default()
        };
        for word in options(parameters).chain(parameters.find("format")) {
            match word {
                "normalized" => projection.format = Format::Normalized,
                "concise" => projection.format = Format::Concise,
                "keyValues" | "simplified" => projection.format = Format::Simplified,
                "sysAttrs" => projection.sys_attrs = true,
                other => {
                    let detail = format!("\"{other}\" is not known; use normalized, concise, simplified or sysAttrs.");
                    return Err(Problem::new(Kind::InvalidRequest, "NLD-001", detail));
                }
            }
        }
        if projection.geometry_property.is_some() && ask.media != MediaType::GeoJson {
            let detail = "geometryProperty is about GeoJSON; ask for it with Accept: application/geo+json.";
            return Err(Problem::new(Kind::BadRequestData, "NLD-002", detail));
        }
        projection.check()?;
        Ok(projection)
    }

    /// What excludes each other (clauses 4.21, 5.7.1, 5.7.2).
    pub fn check(&self) -> Result<(), Problem> {
        let bad = |detail: &'static str| Err(Problem::new(Kind::BadRequestData, "NLD-002", detail));
        if self.attrs.iter().any(|name| name.as_str().starts_with('@')) {
            return bad("attrs names attributes; id and type are none. To choose members use pick or omit.");
        }
        if !self.attrs.is_empty() && (self.pick.is_some() || !self.omit.is_empty()) {
            return bad("attrs cannot stand beside pick or omit; use pick instead.");
        }
        if self.pick.iter().flatten().any(|name| self.omit.contains(name)) {
            return bad("The same member stands in pick and in omit; decide for one.");
        }
        Ok(())
    }

    /// The attributes of which an entity must have one to be shown: those picked, unless members
    /// that every entity has are picked too.
    fn needed(&self) -> Option<&[Name]> {
        let pick = self.pick.as_deref()?;
        let is_member = |name: &Name| name.as_str().starts_with('@') || MEMBERS.contains(&name.as_str());
        (!pick.iter().any(is_member)).then_some(pick)
    }

    /// Whether anything is left of an entity that was asked for by its id.
    pub fn shows_something(&self, entity: &city_model::Entity) -> bool {
        let picked = |name: &str| self.pick.as_ref().is_none_or(|pick| pick.iter().any(|one| one.as_str() == name));
        let shown = |name: &str| picked(name) && !self.omit.iter().any(|one| one.as_str() == name);
        if self.pick.is_none() && self.omit.is_empty() {
            return true;
        }
        let members = shown("@id") || shown("@type") || !entity.scopes.is_empty() && shown(MEMBERS[0]);
        members && self.needed().is_none() || entity.attributes.iter().any(|attribute| shown(attribute.name.as_str()))
    }

    fn take_body(&mut self, body: QueryBody) -> Result<Query, Problem> {
        self.attrs = body.attrs;
        self.pick = body.pick.or(self.pick.take());
        self.omit.extend(body.omit);
        self.dataset_ids.extend(body.dataset_ids);
        self.lang = body.lang.or(self.lang.take());
        self.check()?;
        Ok(body.query)
    }

    #[must_use]
    pub fn options(&self, ask: &Ask) -> RenderOptions {
        RenderOptions {
            format: self.format,
            sys_attrs: self.sys_attrs,
            lang: self.lang.clone(),
            pick: self.pick.clone(),
            omit: self.omit.clone(),
            attrs: self.attrs.clone(),
            dataset_ids: self.dataset_ids.clone(),
            geojson: ask.media == MediaType::GeoJson,
            geometry_property: self.geometry_property.clone(),
            embed_context: ask.embeds_context(),
        }
    }
}

/// The query that the parameters of a GET make (clause 6.4.3.2).
pub fn parse_query(parameters: &Parameters, terms: &TermMap) -> Result<Query, Problem> {
    let find = |name: &str| parameters.find(name);
    let mut query = Query::default();
    let selector = EntitySelector {
        ids: find("id").map(parse_id_list).transpose()?.unwrap_or_default(),
        id_pattern: find("idPattern").map(parse_id_pattern).transpose()?,
        types: find("type").filter(|text| *text != "*").map(|text| parse_type_expr(text, terms)).transpose()?,
    };
    let mut selector = selector;
    // "id takes precedence over idPattern" (table 5.2.33-1).
    if !selector.ids.is_empty() {
        selector.id_pattern = None;
    }
    if !selector.ids.is_empty() || selector.id_pattern.is_some() || selector.types.is_some() {
        query.selectors.push(selector);
    }
    query.attributes = find("attrs").map(|text| parse_names("attrs", text, terms)).transpose()?.unwrap_or_default();
    query.filter = find("q").map(|text| parse_q(text, terms)).transpose()?;
    query.scope = find("scopeQ").map(parse_scope_q).transpose()?;
    query.geo = match (find("georel"), find("geometry"), find("coordinates")) {
        (None, None, None) => None,
        (Some(georel), Some(geometry), Some(coordinates)) => {
            Some(parse_geo_query(georel, geometry, coordinates, find("geoproperty"), terms)?)
        }
        _ => {
            let detail = "A geographic query needs all of georel, geometry and coordinates.";
            return Err(Problem::new(Kind::BadRequestData, "NLD-002", detail));
        }
    };
    Ok(query)
}

/// `limit`, `offset` and `count` (clauses 5.5.9, 6.3.10, 6.3.13).
pub fn parse_page(parameters: &Parameters) -> Result<Page, Problem> {
    let number = |name: &'static str, default: usize| match parameters.find(name) {
        None => Ok(default),
        Some(text) => text.parse().map_err(|_| {
            let detail = format!("{name}: \"{text}\" is not a whole number of 0 or more.");
            Problem::new(Kind::BadRequestData, "NLD-002", detail)
        }),
    };
    let (limit, offset) = (number("limit", LIMIT_DEFAULT)?, number("offset", 0)?);
    let count = parameters.find("count") == Some("true");
    if limit > LIMIT_MAX {
        let detail = format!("limit: at most {LIMIT_MAX} entities fit in a page; follow the Link to the next one.");
        return Err(Problem::new(Kind::TooManyResults, "NLD-007", detail));
    }
    if limit == 0 && !count {
        let detail = "limit: 0 makes sense only together with count=true.";
        return Err(Problem::new(Kind::BadRequestData, "NLD-002", detail));
    }
    Ok(Page { offset, limit, count })
}

/// What every entity has narrows nothing.
pub fn is_system_member(name: &Name) -> bool {
    MEMBERS[1..].contains(&name.as_str())
}

/// Clause 4.17: every type is only ever asked of the broker itself.
fn find_any_type_elsewhere(parameters: &Parameters) -> bool {
    parameters.find("type") == Some("*") && parameters.find("local") == Some("false")
}

const PARAMETERS: [&str; 25] = [
    "at",
    "id",
    "type",
    "idPattern",
    "attrs",
    "pick",
    "omit",
    "q",
    "csf",
    "georel",
    "geometry",
    "coordinates",
    "geoproperty",
    "geometryProperty",
    "lang",
    "scopeQ",
    "datasetId",
    "limit",
    "offset",
    "count",
    "options",
    "format",
    "local",
    "expandValues",
    "jsonKeys",
];

/// Implements 6.4.3.2 (5.7.2).
pub async fn query_entities(
    State(city): State<Arc<City>>,
    caller: Caller,
    parameters: Parameters,
) -> Result<Response, Problem> {
    parameters.only(&PARAMETERS)?;
    let ask = Ask::reading(&city, &caller, true).await?;
    let query = parse_query(&parameters, &ask.terms)?;
    let only_times = !query.attributes.is_empty() && query.attributes.iter().all(is_system_member);
    let asks_something = ["type", "attrs", "q", "georel", "id", "idPattern", "scopeQ"]
        .iter()
        .any(|name| parameters.find(name).is_some() && !(*name == "attrs" && only_times));
    if find_any_type_elsewhere(&parameters) {
        let detail = "type=* asks for what is here; leave local=false out.";
        return Err(Problem::new(Kind::BadRequestData, "NLD-002", detail));
    }
    if !asks_something && parameters.find("local") != Some("true") {
        let detail =
            "Ask for something: type, attrs, q, georel, id, idPattern or scopeQ; or local=true for everything.";
        return Err(Problem::new(Kind::BadRequestData, "NLD-008", detail));
    }
    let projection = Projection::parse(&parameters, &ask)?;
    let page = parse_page(&parameters)?;
    let path = ("/ngsi-ld/v1/entities", Some(&parameters));
    let at = then::parse_at(&city, &parameters)?;
    answer(&city, &ask, query, &projection, page, at, path).await
}

/// Implements 6.23.3.1 (5.7.2 by POST).
pub async fn query_by_post(
    State(city): State<Arc<City>>,
    caller: Caller,
    parameters: Parameters,
    WholeBody(body): WholeBody,
) -> Result<Response, Problem> {
    parameters.only(&["limit", "offset", "count", "options", "format", "local", "geometryProperty", "lang", "at"])?;
    let ask = Ask::with_body(&city, &caller, &body, true).await?;
    let mut projection = Projection::parse(&parameters, &ask)?;
    let parsed = parse_query_body(&body, &ask.terms)?;
    if parsed.temporal.is_some() {
        let detail = "temporalQ belongs to /temporal/entityOperations/query (table 5.2.23-1).";
        return Err(Problem::new(Kind::BadRequestData, "NLD-002", detail));
    }
    let query = projection.take_body(parsed)?;
    let page = parse_page(&parameters)?;
    let path = ("/ngsi-ld/v1/entityOperations/query", Some(&parameters));
    let at = then::parse_at(&city, &parameters)?;
    answer(&city, &ask, query, &projection, page, at, path).await
}

async fn answer(
    city: &Arc<City>,
    ask: &Ask,
    query: Query,
    projection: &Projection,
    page: Page,
    at: Option<Time>,
    path: (&str, Option<&Parameters>),
) -> Result<Response, Problem> {
    let mut query = query;
    if query.attributes.is_empty()
        && let Some(needed) = projection.needed()
    {
        query.attributes = needed.to_vec();
    }
    let found = match at {
        None => city.read(|| city.context.query(&ask.permit, &query, page)).await?,
        Some(at) => {
            city.history_caught_up().await?;
            city.read(|| then::query(city, ask, &query, page, at)).await?
        }
    };
    let mut body = Vec::with_capacity(1_024 * found.entities.len() + 2);
    render_entities(found.entities.iter().map(AsRef::as_ref), &ask.terms, &projection.options(ask), &mut body);
    let mut response = ask.answer(StatusCode::OK, body);
    if let Some(count) = found.count {
        response.headers_mut().insert(RESULTS_COUNT, HeaderValue::from(count));
    }
    add_page_links(&mut response, ask, path, page, found.more);
    Ok(response)
}

/// Links to the pages before and after (clause 6.3.10).
pub fn add_page_links(response: &mut Response, ask: &Ask, path: (&str, Option<&Parameters>), page: Page, more: bool) {
    let (path, parameters) = path;
    let mut link = |offset: usize, relation: &str| {
        let mut address = format!("{path}?");
        let others = parameters.into_iter().flat_map(Parameters::iter);
        for (name, value) in others.filter(|(name, _)| !matches!(*name, "offset" | "limit")) {
            address.push_str(&format!("{}={}&", super::request::encode_path(name), super::request::encode_path(value)));
        }
        address.push_str(&format!("limit={}&offset={offset}", page.limit));
        let media = ask.media.as_str();
        if let Ok(link) = HeaderValue::try_from(format!("<{address}>; rel=\"{relation}\"; type=\"{media}\"")) {
            response.headers_mut().append(LINK, link);
        }
    };
    if more && page.limit > 0 {
        link(page.offset + page.limit, "next");
    }
    if page.offset > 0 && page.limit > 0 {
        link(page.offset.saturating_sub(page.limit), "prev");
    }
}
