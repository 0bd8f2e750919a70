//! The past as it is asked for (clauses 6.18.3.2, 6.19.3.1, 6.24).

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::response::Response;
use city_context::PastIdentity;
use city_history::{Past, Series};
use city_model::change::InstancePosition;
use city_model::reach::Shown;
use city_model::vocabulary::ID_PREFIX;
use city_model::{Attribute, DatasetId, Entity, EntityId, Name, Query, Rejected};
use city_ngsi_ld::query::parse_query_body;
use city_ngsi_ld::temporal::render_temporal_list;
use city_ngsi_ld::{TemporalEntity, TemporalInstance, render_temporal};
use city_store::TermNo;
use city_store::codec::NameNumbers;
use http::StatusCode;
use http::header::{CONTENT_RANGE, HeaderValue};

use super::past_asked::{PastAsked, SCOPE, picks_member};
use super::query::{add_page_links, is_system_member, parse_page, parse_query};
use super::request::{Ask, RESULTS_COUNT, entity_id};
use crate::body::WholeBody;
use crate::caller::Caller;
use crate::city::City;
use crate::parameters::{Parameters, PathParameters};
use crate::problem::{Kind, Problem};

/// Most instances of one attribute in one answer; a longer past comes in part (206).
pub const INSTANCES_MAX: usize = 10_000;
/// Most periods of all entities and attributes in one answer.
pub const PERIODS_SHOWN_MAX: usize = 100_000;
/// Most entities whose past is looked at for one query.
const ENTITIES_MAX: usize = 100_000;

/// How often a read looks whether history has caught up with it, and how long it waits.
const CATCH_UP_LOOK: Duration = Duration::from_millis(1);
const CATCH_UP_MAX: Duration = Duration::from_secs(10);

const INSTANCE_PREFIX: &str = "urn:ngsi-ld:Instance:";

fn instance_id(position: InstancePosition) -> Box<str> {
    format!("{INSTANCE_PREFIX}{}-{}", position.seq, position.index).into()
}

/// The position that an instance id names.
pub fn parse_instance_id(text: &str) -> Option<InstancePosition> {
    let (seq, index) = text.strip_prefix(INSTANCE_PREFIX)?.split_once('-')?;
    Some(InstancePosition { seq: seq.parse().ok()?, index: index.parse().ok()? })
}

/// What is known of an entity that is or was, and that the permit shows.
pub fn past_identity(city: &City, ask: &Ask, id: &EntityId) -> Result<PastIdentity, Problem> {
    let found = find_identity(city, ask, id)?;
    found.ok_or_else(|| Rejected::EntityNotFound(id.clone()).into())
}

/// Where a permit shows only some entities, it shows the past of those alone.
fn find_identity(city: &City, ask: &Ask, id: &EntityId) -> Result<Option<PastIdentity>, Problem> {
    let Some(identity) = city.context.identity(&ask.permit, id)? else { return Ok(None) };
    Ok(city.context.sight_of_past(&ask.permit, &identity)?.is_some().then_some(identity))
}

/// Whether the past of an attribute is not for the holder of the permit to know of.
pub fn hides(city: &City, ask: &Ask, identity: &PastIdentity, attribute: &Name) -> Result<bool, Problem> {
    let sight = city.context.sight_of_past(&ask.permit, identity)?;
    Ok(sight.is_none_or(|sight| sight.shows(attribute.as_str()) == Shown::Hidden))
}

impl City {
    /// Waits until all that was answered so far can be read in the past.
    pub async fn history_caught_up(&self) -> Result<(), Problem> {
        let target = self.history.head();
        let mut waited = Duration::ZERO;
        while !self.history.has_reached(target)? {
            if waited >= CATCH_UP_MAX {
                return Err(city_history::Error::Behind { behind: self.history.behind() }.into());
            }
            tokio::time::sleep(CATCH_UP_LOOK).await;
            waited += CATCH_UP_LOOK;
        }
        Ok(())
    }
}

/// The past of one entity as it will be rendered.
struct EntityPast {
    entity: TemporalEntity,
    /// Whether anything happened to it in the time that was asked for, shown or not.
    found: bool,
    cut: bool,
}

fn read_past(city: &City, ask: &Ask, identity: &PastIdentity, asked: &PastAsked) -> Result<EntityPast, Problem> {
    let space = city.context.tenant(&ask.permit)?;
    let mut attributes: Vec<TermNo> =
        asked.wanted().iter().filter_map(|name| space.terms.find(name.as_str())).collect();
    let mut past = EntityPast::of(identity);
    let Some(sight) = city.context.sight_of_past(&ask.permit, identity)? else { return Ok(past) };
    let name_of = |number| space.terms.name(number).map(Name::from_stored);
    let not_known = |error| Problem::internal("CTX-001", &error);
    let is_paper = identity.id.as_str().starts_with(ID_PREFIX) && !ask.permit.sees_everything();
    let part = is_paper || !ask.permit.read().shows_whole_entities();
    if part {
        // What is hidden has no part in the answer, nor in its span, its bounds and its times.
        past.entity.modified_at = None;
        if asked.wanted().is_empty() {
            attributes = city.history.attributes(space.number, identity.number)?;
        }
        let mut shown = Vec::with_capacity(attributes.len());
        for number in attributes {
            let how = sight.shows(name_of(number).map_err(not_known)?.as_str());
            // What is shown less exactly is not put together from what is exact.
            if how == Shown::Whole || (how != Shown::Hidden && asked.aggregation.is_none()) {
                shown.push(number);
            }
        }
        attributes = shown;
    }
    // Attributes that nobody ever used have no past; asking for nothing would mean everything.
    if (part || !asked.wanted().is_empty()) && attributes.is_empty() {
        return Ok(past);
    }
    let series = Series {
        tenant: space.number,
        entity: identity.number,
        attributes: &attributes,
        query: &asked.temporal,
        instances_max: INSTANCES_MAX,
    };
    let of_dataset = |dataset: &Option<DatasetId>| asked.dataset_ids.is_empty() || asked.dataset_ids.contains(dataset);
    if let Some(aggregation) = &asked.aggregation {
        for (number, mut series) in city.history.aggregate(&series, aggregation, &space.terms)? {
            let name = name_of(number).map_err(not_known)?;
            series.retain(|one| of_dataset(&one.dataset));
            past.found |= !series.is_empty();
            if asked.shows(name.as_str()) && !series.is_empty() {
                past.entity.aggregated.push((name, series));
            }
        }
        return Ok(past);
    }
    let Past { attributes, cut } = city.history.read(&series, &space.terms)?;
    past.cut = cut;
    for (number, instances) in attributes {
        let name = name_of(number).map_err(not_known)?;
        // What is masked must not be found out by a condition either.
        let instances = instances
            .into_iter()
            .filter_map(|past| Some((instance_id(past.position), sight.instance(name.as_str(), past.instance)?)))
            .map(|(id, instance)| TemporalInstance { id, instance })
            .filter(|one| of_dataset(&one.instance.dataset))
            .collect::<Vec<_>>();
        past.found |= !instances.is_empty();
        if asked.shows(name.as_str()) && !instances.is_empty() {
            past.entity.attributes.push((name, instances));
        }
    }
    Ok(past)
}

impl EntityPast {
    /// With nothing in it yet.
    fn of(identity: &PastIdentity) -> Self {
        let entity = TemporalEntity {
            id: identity.id.clone(),
            types: identity.identity.types.clone(),
            scopes: identity.identity.scopes.clone(),
            attributes: Vec::new(),
            aggregated: Vec::new(),
            created_at: Some(identity.identity.created_at),
            modified_at: Some(identity.modified_at),
            deleted_at: (!identity.is_alive).then_some(identity.modified_at),
        };
        Self { entity, found: false, cut: false }
    }

    fn periods(&self) -> usize {
        let series = self.entity.aggregated.iter().flat_map(|(_, series)| series);
        series.map(|series| series.periods.len()).sum()
    }

    fn shows_attributes(&self) -> bool {
        !self.entity.attributes.is_empty() || !self.entity.aggregated.is_empty()
    }
}

const RETRIEVE_PARAMETERS: [&str; 15] = [
    "aggrMethods",
    "aggrPeriodDuration",
    "datasetId",
    "attrs",
    "pick",
    "omit",
    "timerel",
    "timeAt",
    "endTimeAt",
    "timeproperty",
    "lastN",
    "options",
    "format",
    "lang",
    "local",
];

/// Implements 6.19.3.1 (5.7.3).
pub async fn retrieve_temporal_entity(
    State(city): State<Arc<City>>,
    caller: Caller,
    path: PathParameters,
    parameters: Parameters,
) -> Result<Response, Problem> {
    parameters.only(&RETRIEVE_PARAMETERS)?;
    let ask = Ask::reading(&city, &caller, false).await?;
    let asked = PastAsked::parse(&parameters, &ask)?;
    let id = entity_id(&path)?;
    city.history_caught_up().await?;
    let identity = past_identity(&city, &ask, &id)?;
    let past = city.read(|| read_past(&city, &ask, &identity, &asked)).await?;
    if !asked.attrs.is_empty() && !past.shows_attributes() && !exists_now(&city, &ask, &id, &asked.attrs)? {
        let detail = format!("Entity {id} has none of the attributes that were asked for.");
        return Err(Problem::new(Kind::ResourceNotFound, "CTX-011", detail));
    }
    let scoped = !past.entity.scopes.is_empty();
    let members = asked.shows("@id") || asked.shows("@type") || scoped && asked.shows(SCOPE);
    if !past.shows_attributes() && (!members || asked.pick.is_some() && !picks_member(&asked)) {
        let detail = format!("Entity {id} has none of the members that were asked for.");
        return Err(Problem::new(Kind::ResourceNotFound, "CTX-011", detail));
    }
    let mut body = Vec::with_capacity(4_096);
    render_temporal(&past.entity, &ask.terms, &asked.options(&ask), &mut body);
    let mut response = ask.answer(StatusCode::OK, body);
    mark_partial(&mut response, &asked, [&past]);
    Ok(response)
}

fn exists_now(city: &City, ask: &Ask, id: &EntityId, attrs: &[Name]) -> Result<bool, Problem> {
    let entity = city.context.find(&ask.permit, id)?;
    Ok(entity.is_some_and(|entity| attrs.iter().any(|name| entity.find(name.as_str()).is_some())))
}

/// 206 with the span of time that the answer holds (clause 6.3.10).
fn mark_partial<'p>(response: &mut Response, asked: &PastAsked, pasts: impl IntoIterator<Item = &'p EntityPast>) {
    let mut span: Option<(city_model::Time, city_model::Time)> = None;
    let mut cut = false;
    for past in pasts {
        cut |= past.cut;
        let instances = past.entity.attributes.iter().flat_map(|(_, instances)| instances);
        for time in instances.filter_map(|i| i.instance.observed_at.or(Some(i.instance.modified_at))) {
            span = Some(span.map_or((time, time), |(from, to)| (from.min(time), to.max(time))));
        }
    }
    let (true, Some((from, to))) = (cut, span) else { return };
    *response.status_mut() = StatusCode::PARTIAL_CONTENT;
    let size = asked.temporal.last_n.map_or_else(|| "*".to_owned(), |n| n.to_string());
    let (from, to) = if asked.temporal.last_n.is_some() { (to, from) } else { (from, to) };
    if let Ok(range) = HeaderValue::try_from(format!("date-time {from}-{to}/{size}")) {
        response.headers_mut().insert(CONTENT_RANGE, range);
    }
}

const QUERY_PARAMETERS: [&str; 28] = [
    "aggrMethods",
    "aggrPeriodDuration",
    "pick",
    "omit",
    "id",
    "type",
    "idPattern",
    "attrs",
    "q",
    "csf",
    "georel",
    "geometry",
    "coordinates",
    "geoproperty",
    "scopeQ",
    "timerel",
    "timeAt",
    "endTimeAt",
    "timeproperty",
    "lastN",
    "options",
    "format",
    "lang",
    "limit",
    "offset",
    "count",
    "local",
    "datasetId",
];

/// Implements 6.18.3.2 (5.7.4).
pub async fn query_temporal_entities(
    State(city): State<Arc<City>>,
    caller: Caller,
    parameters: Parameters,
) -> Result<Response, Problem> {
    parameters.only(&QUERY_PARAMETERS)?;
    let ask = Ask::reading(&city, &caller, false).await?;
    let query = parse_query(&parameters, &ask.terms)?;
    let only_times = !query.attributes.is_empty() && query.attributes.iter().all(is_system_member);
    let asks = ["type", "attrs", "q", "georel", "id", "idPattern"]
        .iter()
        .any(|name| parameters.find(name).is_some() && !(*name == "attrs" && only_times));
    if !asks && parameters.find("local") != Some("true") {
        let detail = "Ask for something: type, attrs, q, georel, id or idPattern; or local=true for everything.";
        return Err(Problem::new(Kind::BadRequestData, "NLD-008", detail));
    }
    let asked = PastAsked::parse(&parameters, &ask)?;
    answer(&city, &ask, &query, &asked, &parameters, "/ngsi-ld/v1/temporal/entities").await
}

/// Implements 6.24.3.1 (5.7.4 by POST).
pub async fn query_by_post(
    State(city): State<Arc<City>>,
    caller: Caller,
    parameters: Parameters,
    WholeBody(body): WholeBody,
) -> Result<Response, Problem> {
    parameters.only(&[
        "limit",
        "offset",
        "count",
        "options",
        "format",
        "local",
        "lang",
        "aggrMethods",
        "aggrPeriodDuration",
    ])?;
    let ask = Ask::with_body(&city, &caller, &body, false).await?;
    let mut asked = PastAsked::parse(&parameters, &ask)?;
    let parsed = parse_query_body(&body, &ask.terms)?;
    if let Some(temporal) = parsed.temporal {
        asked.temporal = temporal;
    }
    asked.aggregation = parsed.aggregation.or(asked.aggregation);
    asked.attrs = parsed.attrs;
    asked.pick = parsed.pick.or(asked.pick);
    asked.omit.extend(parsed.omit);
    asked.dataset_ids.extend(parsed.dataset_ids);
    asked.check()?;
    asked.lang = parsed.lang.or(asked.lang);
    answer(&city, &ask, &parsed.query, &asked, &parameters, "/ngsi-ld/v1/temporal/entityOperations/query").await
}

async fn answer(
    city: &Arc<City>,
    ask: &Ask,
    query: &Query,
    asked: &PastAsked,
    parameters: &Parameters,
    path: &str,
) -> Result<Response, Problem> {
    let page = parse_page(parameters)?;
    city.history_caught_up().await?;
    let (found, matched, more) = city.read(|| select(city, ask, query, asked, page)).await?;
    let mut body = Vec::with_capacity(4_096);
    render_temporal_list(found.iter().map(|past| &past.entity), &ask.terms, &asked.options(ask), &mut body);
    let mut response = ask.answer(StatusCode::OK, body);
    if page.count {
        response.headers_mut().insert(RESULTS_COUNT, HeaderValue::from(matched));
    }
    mark_partial(&mut response, asked, &found);
    add_page_links(&mut response, ask, (path, Some(parameters)), page, more);
    Ok(response)
}

/// The page of entities whose past answers, the number that do, and whether there are more.
fn select(
    city: &City,
    ask: &Ask,
    query: &Query,
    asked: &PastAsked,
    page: city_context::Page,
) -> Result<(Vec<EntityPast>, usize, bool), Problem> {
    let candidates = city.context.identities(&ask.permit, query)?;
    if candidates.len() > ENTITIES_MAX {
        return Err(too_much_past());
    }
    let (mut found, mut matched, mut more, mut periods) = (Vec::new(), 0usize, false, 0usize);
    for (_, id) in candidates {
        let Some(identity) = find_identity(city, ask, &id)? else { continue };
        let past = read_past(city, ask, &identity, asked)?;
        let narrowed = !asked.wanted().is_empty() || !asked.dataset_ids.is_empty();
        if !past.found && (asked.temporal.relation.is_some() || narrowed) {
            continue;
        }
        if has_conditions(query) && !fulfils(&read_past(city, ask, &identity, &asked.all_attributes())?, query) {
            continue;
        }
        matched += 1;
        if matched > page.offset {
            if found.len() < page.limit {
                periods += past.periods();
                if periods > PERIODS_SHOWN_MAX {
                    return Err(city_history::Error::TooManyPeriods.into());
                }
                found.push(past);
            } else {
                more = true;
                if !page.count {
                    break;
                }
            }
        }
    }
    Ok((found, matched, more))
}

/// More of the past than one answer may read.
pub fn too_much_past() -> Problem {
    let detail =
        format!("The past of more than {ENTITIES_MAX} entities would have to be read; narrow the query by type or id.");
    Problem::new(Kind::TooComplexQuery, "NLD-009", detail)
}

fn has_conditions(query: &Query) -> bool {
    query.filter.is_some() || query.geo.is_some() || query.scope.is_some()
}

/// Conditions hold where any instance in the span fulfils them, shown or not (clause 5.7.4).
fn fulfils(past: &EntityPast, query: &Query) -> bool {
    let mut entity = Entity::new(past.entity.id.clone(), past.entity.types.clone());
    entity.scopes.clone_from(&past.entity.scopes);
    for (name, instances) in &past.entity.attributes {
        let instances = instances.iter().map(|one| one.instance.clone()).collect();
        entity.attributes.push(Attribute { name: name.clone(), instances });
    }
    let conditions =
        Query { filter: query.filter.clone(), geo: query.geo.clone(), scope: query.scope.clone(), ..Query::default() };
    conditions.matches(&entity)
}
