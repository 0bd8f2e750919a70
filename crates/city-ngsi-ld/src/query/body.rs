//! A query as a JSON document, for queries by POST (clause 5.2.23).

use std::borrow::Cow;

use city_model::query::{EntitySelector, GeoQuery};
use city_model::temporal::{Aggregation, TemporalQuery};
use city_model::{DatasetId, EntityId, Name, Query};
use serde_json::value::RawValue;

use crate::context::TermMap;
use crate::entity::object;
use crate::error::Error;
use crate::json::{self, Members, Shape};
use crate::query::{
    LIST_MAX, dataset_ids, names, parse_aggregation, parse_geo_query, parse_id_pattern, parse_names, parse_q_with,
    parse_scope_q, parse_temporal_query, parse_type_expr,
};

/// All that a Query document may say.
#[derive(Debug, Clone, Default)]
pub struct QueryBody {
    pub query: Query,
    pub temporal: Option<TemporalQuery>,
    pub aggregation: Option<Aggregation>,
    /// Attributes to show, from `attrs`; `query.attributes` holds them too, as the condition.
    pub attrs: Vec<Name>,
    pub pick: Option<Vec<Name>>,
    pub omit: Vec<Name>,
    pub dataset_ids: Vec<Option<DatasetId>>,
    pub lang: Option<String>,
}

pub fn parse_query_body(body: &[u8], terms: &TermMap) -> Result<QueryBody, Error> {
    let members = object(body)?;
    match members.get("type").map(|raw| json::expect_text(raw, "type")).transpose()? {
        Some(kind) if kind == "Query" => {}
        Some(kind) => return Err(Error::bad("type", format!("must be \"Query\", found {kind:?}"))),
        None => return Err(Error::bad("type", "is missing; it must be \"Query\"")),
    }
    let mut parsed = QueryBody::default();
    let expand_values = expand_values(&members, terms)?;
    for (key, raw) in &members.0 {
        match &**key {
            "type" | "@context" | "id" => {}
            "entities" => parsed.query.selectors = read_entity_selectors(raw, terms)?,
            "q" => parsed.query.filter = Some(parse_q_with(&json::expect_text(raw, "q")?, terms, &expand_values)?),
            "geoQ" => parsed.query.geo = Some(read_geo_query(raw, terms)?),
            "scopeQ" => parsed.query.scope = Some(parse_scope_q(&json::expect_text(raw, "scopeQ")?)?),
            "temporalQ" => {
                let (temporal, aggregation) = read_temporal_query(raw)?;
                parsed.temporal = Some(temporal);
                parsed.aggregation = parsed.aggregation.or(aggregation);
            }
            "aggrParams" => parsed.aggregation = Some(read_aggregation(raw)?),
            "attrs" => parsed.attrs = read_names(raw, "attrs", terms)?,
            "pick" => parsed.pick = Some(read_names(raw, "pick", terms)?),
            "omit" => parsed.omit = read_names(raw, "omit", terms)?,
            "datasetId" => {
                let texts = json::expect_texts(raw, "datasetId")?;
                parsed.dataset_ids = dataset_ids(texts.iter().map(|text| &**text))?;
            }
            "lang" => parsed.lang = Some(json::expect_text(raw, "lang")?.into_owned()),
            // Compared and shown alike with or without them here.
            "expandValues" | "jsonKeys" | "splitEntities" => {}
            "entityMap" | "localOnly" if raw.get() == "false" || &**key == "localOnly" => {}
            "join" if raw.get() == "\"@none\"" => {}
            "join" | "joinLevel" | "containedBy" | "csf" | "entityMap" | "entityMapLifetime" | "ordering" => {
                return Err(Error::not_supported(&**key, "is not supported; leave it out"));
            }
            other => return Err(Error::bad(other, "is not a member of a Query (clause 5.2.23)")),
        }
    }
    parsed.query.attributes.clone_from(&parsed.attrs);
    Ok(parsed)
}

/// `expandValues`: a comma separated list of attributes.
pub(crate) fn expand_values(members: &Members, terms: &TermMap) -> Result<Vec<Name>, Error> {
    match members.get("expandValues") {
        Some(raw) => parse_names("expandValues", &json::expect_text(raw, "expandValues")?, terms),
        None => Ok(Vec::new()),
    }
}

pub(crate) fn read_names(raw: &RawValue, what: &str, terms: &TermMap) -> Result<Vec<Name>, Error> {
    let texts = json::expect_texts(raw, what)?;
    names(what, texts.iter().map(|text| &**text), terms)
}

/// EntitySelector[] (clause 5.2.33).
pub(crate) fn read_entity_selectors(raw: &RawValue, terms: &TermMap) -> Result<Vec<EntitySelector>, Error> {
    let items = json::expect_array(raw, "entities")?;
    if items.is_empty() {
        return Err(Error::bad("entities", "must not be an empty array; leave it out instead"));
    }
    if items.len() > LIST_MAX {
        return Err(Error::too_complex("entities", format!("has more than {LIST_MAX} elements")));
    }
    items
        .into_iter()
        .enumerate()
        .map(|(at, item)| read_entity_selector(item, terms).map_err(|error| error.within(&format!("entities[{at}]"))))
        .collect()
}

fn read_entity_selector(raw: &RawValue, terms: &TermMap) -> Result<EntitySelector, Error> {
    if json::shape(raw) != Shape::Object {
        return Err(Error::bad("", "must be an object with type, and id or idPattern if wanted"));
    }
    let mut selector = EntitySelector::default();
    for (key, raw) in &Members::of(raw)?.0 {
        match &**key {
            "id" | "@id" => {
                let texts: Vec<Cow<str>> = match json::shape(raw) {
                    Shape::Array => json::expect_texts(raw, "id")?,
                    _ => vec![json::expect_text(raw, "id")?],
                };
                if texts.len() > LIST_MAX {
                    return Err(Error::too_complex("id", format!("names more than {LIST_MAX} entities")));
                }
                for text in texts {
                    selector.ids.push(EntityId::parse(&text).map_err(|error| Error::bad("id", error.to_string()))?);
                }
            }
            "idPattern" => selector.id_pattern = Some(parse_id_pattern(&json::expect_text(raw, "idPattern")?)?),
            "type" | "@type" => match &*json::expect_text(raw, "type")? {
                // Any type (clause 5.2.33).
                "*" => {}
                text => selector.types = Some(parse_type_expr(text, terms)?),
            },
            other => {
                return Err(Error::bad(other, "is not a member of an entity selector; use id, idPattern and type"));
            }
        }
    }
    // "id takes precedence over idPattern" (table 5.2.33-1).
    if !selector.ids.is_empty() {
        selector.id_pattern = None;
    }
    Ok(selector)
}

/// GeoQuery (clause 5.2.13).
pub(crate) fn read_geo_query(raw: &RawValue, terms: &TermMap) -> Result<GeoQuery, Error> {
    let read = || {
        if json::shape(raw) != Shape::Object {
            return Err(Error::bad("", "must be an object with georel, geometry and coordinates"));
        }
        let members = Members::of(raw)?;
        if let Some((key, _)) = members
            .0
            .iter()
            .find(|(k, _)| !matches!(&**k, "georel" | "geometry" | "coordinates" | "geoproperty" | "type"))
        {
            return Err(Error::bad(&**key, "is not a member of a geo-query"));
        }
        let needed = |key: &str| members.get(key).ok_or_else(|| Error::bad(key, "is missing"));
        let georel = json::expect_text(needed("georel")?, "georel")?;
        let geometry = json::expect_text(needed("geometry")?, "geometry")?;
        let coordinates = needed("coordinates")?;
        // An array, or the text of one as in a URL.
        let coordinates = json::text(coordinates).unwrap_or(Cow::Borrowed(coordinates.get()));
        let property = members.get("geoproperty").map(|raw| json::expect_text(raw, "geoproperty")).transpose()?;
        parse_geo_query(&georel, &geometry, &coordinates, property.as_deref(), terms)
    };
    read().map_err(|error| error.within("geoQ"))
}

/// AggregationParams (clause 5.2.44).
fn read_aggregation(raw: &RawValue) -> Result<Aggregation, Error> {
    let read = || {
        if json::shape(raw) != Shape::Object {
            return Err(Error::bad("", "must be an object with aggrMethods"));
        }
        let members = Members::of(raw)?;
        let known = |key: &str| matches!(key, "type" | "aggrMethods" | "aggrPeriodDuration");
        if let Some((key, _)) = members.0.iter().find(|(key, _)| !known(key)) {
            return Err(Error::bad(&**key, "is not a member of aggregation parameters (clause 5.2.44)"));
        }
        aggregation_of(&members)
    };
    read().map_err(|error| error.within("aggrParams"))
}

/// Methods as a list, or as a text with commas.
fn aggregation_of(members: &Members) -> Result<Aggregation, Error> {
    let methods = match members.get("aggrMethods") {
        None => Vec::new(),
        Some(raw) if json::shape(raw) == Shape::Array => json::expect_texts(raw, "aggrMethods")?,
        Some(raw) => vec![json::expect_text(raw, "aggrMethods")?],
    };
    let period = members.get("aggrPeriodDuration").map(|raw| json::expect_text(raw, "aggrPeriodDuration"));
    parse_aggregation(methods.iter().flat_map(|text| text.split(',')), period.transpose()?.as_deref())
}

fn read_temporal_query(raw: &RawValue) -> Result<(TemporalQuery, Option<Aggregation>), Error> {
    let read = || {
        if json::shape(raw) != Shape::Object {
            return Err(Error::bad("", "must be an object with timerel and timeAt"));
        }
        let members = Members::of(raw)?;
        let text = |key: &str| members.get(key).map(|raw| json::expect_text(raw, key)).transpose();
        let last_n = members.get("lastN").map(|raw| json::text(raw).unwrap_or(Cow::Borrowed(raw.get())));
        for (key, _) in &members.0 {
            match &**key {
                "type" | "timerel" | "timeAt" | "endTimeAt" | "timeproperty" | "lastN" | "aggrMethods"
                | "aggrPeriodDuration" => {}
                other => return Err(Error::bad(other, "is not a member of a temporal query")),
            }
        }
        let temporal = parse_temporal_query(
            text("timerel")?.as_deref(),
            text("timeAt")?.as_deref(),
            text("endTimeAt")?.as_deref(),
            text("timeproperty")?.as_deref(),
            last_n.as_deref(),
        )?;
        let aggregates = ["aggrMethods", "aggrPeriodDuration"].iter().any(|key| members.get(key).is_some());
        Ok((temporal, aggregates.then(|| aggregation_of(&members)).transpose()?))
    };
    read().map_err(|error| error.within("temporalQ"))
}
