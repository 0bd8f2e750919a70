//! The agencies, stops and routes of a feed as entities, with the names of Smart Data Models (UrbanMobility).

use std::collections::{HashMap, HashSet};

use city_gtfs::{Agency, LocationType, Route, Stop, Timetable};
use city_model::change::DatasetSelection;
use city_model::{Change, Entity, EntityId};
use city_ngsi_ld::{Mode, TermMap, parse_entity};
use serde_json::{Map, Value, json};

pub(super) fn all(feed: &str, timetable: &Timetable, terms: &TermMap) -> Result<Vec<Entity>, String> {
    let only = match timetable.agencies.as_slice() {
        [one] => Some(&*one.id),
        _ => None,
    };
    let agencies = timetable.agencies.iter().map(|own| agency(feed, own));
    let stops = timetable.stops.iter().map(|own| stop(feed, own, only));
    let routes = timetable.routes.iter().map(|own| route(feed, own, only));
    let parse = |entity: Value| {
        let bytes = serde_json::to_vec(&entity).map_err(|error| error.to_string())?;
        parse_entity(&bytes, terms, Mode::Create).map_err(|error| format!("{}: {error}", entity["id"]))
    };
    agencies.chain(stops).chain(routes).map(parse).collect()
}

/// What must change so that `entities` stand as they do now: attributes that an entity had by the version before and
/// has no more go, those that others gave it stay. And the entities that are no longer there.
pub(super) fn changes(entities: Vec<Entity>, before: &[Entity]) -> (Vec<Change>, Vec<EntityId>) {
    let mut old: HashMap<&EntityId, &Entity> = before.iter().map(|entity| (&entity.id, entity)).collect();
    let mut changes = Vec::with_capacity(entities.len());
    for entity in entities {
        let had = old.remove(&entity.id).into_iter().flat_map(|old| &old.attributes);
        for gone in had.filter(|attribute| entity.find(attribute.name.as_str()).is_none()) {
            let (id, attribute) = (entity.id.clone(), gone.name.clone());
            changes.push(Change::DeleteAttribute { entity: id, attribute, dataset: DatasetSelection::Default });
        }
        changes.push(Change::Upsert { entity, update: true });
    }
    (changes, old.into_keys().cloned().collect())
}

/// Of all that `all` makes.
pub(super) fn ids(feed: &str, timetable: &Timetable) -> HashSet<EntityId> {
    let agencies = timetable.agencies.iter().map(|own| urn("GtfsAgency", feed, &own.id));
    let stops = timetable.stops.iter().map(|own| urn("GtfsStop", feed, &own.id));
    let routes = timetable.routes.iter().map(|own| urn("GtfsRoute", feed, &own.id));
    agencies.chain(stops).chain(routes).filter_map(|id| EntityId::parse(&id).ok()).collect()
}

pub(super) fn stop_id(feed: &str, stop: &str) -> Option<EntityId> {
    EntityId::parse(&urn("GtfsStop", feed, stop)).ok()
}

/// The ids of a feed need not be URIs: what may not stand in one is percent-encoded.
fn urn(kind: &str, feed: &str, id: &str) -> String {
    let mut urn = format!("urn:ngsi-ld:{kind}:{feed}:");
    // An agency that is alone may be without an id.
    let id = if id.is_empty() { "agency" } else { id };
    for byte in id.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b':' => urn.push(char::from(byte)),
            other => urn.push_str(&format!("%{other:02X}")),
        }
    }
    urn
}

struct Making(Map<String, Value>);

impl Making {
    fn of(kind: &str, feed: &str, id: &str) -> Self {
        let mut members = Map::new();
        members.insert("id".to_owned(), urn(kind, feed, id).into());
        members.insert("type".to_owned(), kind.into());
        Self(members)
    }

    fn property(mut self, name: &str, value: Option<impl Into<Value>>) -> Self {
        if let Some(value) = value {
            self.0.insert(name.to_owned(), json!({"type": "Property", "value": value.into()}));
        }
        self
    }

    fn relationship(mut self, name: &str, object: Option<String>) -> Self {
        if let Some(object) = object {
            self.0.insert(name.to_owned(), json!({"type": "Relationship", "object": object}));
        }
        self
    }

    fn done(self) -> Value {
        Value::Object(self.0)
    }
}

fn agency(feed: &str, agency: &Agency) -> Value {
    Making::of("GtfsAgency", feed, &agency.id)
        .property("agencyName", Some(&*agency.name))
        .property("page", agency.url.as_deref())
        .property("timezone", Some(&*agency.zone))
        .property("language", agency.lang.as_deref())
        .property("phone", agency.phone.as_deref())
        .done()
}

fn stop(feed: &str, stop: &Stop, agency: Option<&str>) -> Value {
    let kind = match stop.kind {
        LocationType::Stop => 0,
        LocationType::Station => 1,
        LocationType::Entrance => 2,
        LocationType::GenericNode => 3,
        LocationType::BoardingArea => 4,
    };
    let mut making = Making::of("GtfsStop", feed, &stop.id)
        .property("name", stop.name.as_deref())
        .property("code", stop.code.as_deref())
        .property("description", stop.description.as_deref())
        .property("locationType", Some(kind))
        .property("platformCode", stop.platform.as_deref())
        .property("wheelChairAccessible", stop.wheelchair)
        .relationship("hasParentStation", stop.parent.as_deref().map(|parent| urn("GtfsStop", feed, parent)))
        .relationship("operatedBy", agency.map(|agency| urn("GtfsAgency", feed, agency)));
    if let Some((lon, lat)) = &stop.place
        && let (Ok(lon), Ok(lat)) = (lon.parse::<f64>(), lat.parse::<f64>())
    {
        let point = json!({"type": "Point", "coordinates": [lon, lat]});
        making.0.insert("location".to_owned(), json!({"type": "GeoProperty", "value": point}));
    }
    making.done()
}

fn route(feed: &str, route: &Route, only: Option<&str>) -> Value {
    let agency = route.agency.as_deref().or(only);
    Making::of("GtfsRoute", feed, &route.id)
        .property("shortName", route.short_name.as_deref())
        .property("name", route.long_name.as_deref())
        .property("description", route.description.as_deref())
        .property("routeType", Some(route.kind.to_string()))
        .property("routeColor", route.color.as_deref())
        .property("routeTextColor", route.text_color.as_deref())
        .relationship("operatedBy", agency.map(|agency| urn("GtfsAgency", feed, agency)))
        .done()
}
