//! Geo-queries (clause 4.10).

use city_model::Name;
use city_model::geometry::GeoRelation;
use city_model::query::GeoQuery;
use serde_json::value::RawValue;

use crate::context::TermMap;
use crate::entity::{check_name, geometry};
use crate::error::Error;
use crate::json;
use crate::query::{at, check_length};
use crate::render::LOCATION;

/// `coordinates` is the JSON of the coordinates.
pub fn parse_geo_query(
    georel: &str,
    geometry_type: &str,
    coordinates: &str,
    geoproperty: Option<&str>,
    terms: &TermMap,
) -> Result<GeoQuery, Error> {
    check_length("georel", georel)?;
    let relation = relation(georel)?;
    if !geometry::is_geometry_type(geometry_type) {
        return Err(Error::bad(
            "geometry",
            format!(
                "{geometry_type:?} is not a geometry; use Point, MultiPoint, LineString, MultiLineString, Polygon or MultiPolygon"
            ),
        ));
    }
    let raw: &RawValue = serde_json::from_str(coordinates).map_err(|error| {
        at(
            "coordinates",
            coordinates,
            error.column().saturating_sub(1),
            format!("not a JSON array: {}", json::plain(&error)),
        )
    })?;
    let value = json::value(raw).map_err(|error| error.within("coordinates"))?;
    let reference = geometry::build(geometry_type, &value)?;
    let property = match geoproperty {
        Some(name) => {
            check_name(name, "geoproperty").map_err(|error| error.within("geoproperty"))?;
            terms.expand(name)
        }
        None => Name::from_stored(LOCATION.into()),
    };
    Ok(GeoQuery::new(relation, reference, property))
}

fn relation(text: &str) -> Result<GeoRelation, Error> {
    let (name, modifiers) = match text.split_once(';') {
        Some((name, modifiers)) => (name, Some(modifiers)),
        None => (text, None),
    };
    let plain = match name {
        "near" => None,
        "within" => Some(GeoRelation::Within),
        "contains" => Some(GeoRelation::Contains),
        "intersects" => Some(GeoRelation::Intersects),
        "equals" => Some(GeoRelation::Equals),
        "disjoint" => Some(GeoRelation::Disjoint),
        "overlaps" => Some(GeoRelation::Overlaps),
        _ => {
            return Err(at(
                "georel",
                text,
                0,
                format!(
                    "{name:?} is not a relation; use near, within, contains, intersects, equals, disjoint or overlaps"
                ),
            ));
        }
    };
    match (plain, modifiers) {
        (Some(relation), None) => Ok(relation),
        (Some(_), Some(_)) => Err(at("georel", text, name.len(), format!("{name} takes no distance"))),
        (None, None) => Err(at("georel", text, name.len(), "near needs ;maxDistance== or ;minDistance== and metres")),
        (None, Some(modifiers)) => near(text, name.len() + 1, modifiers),
    }
}

fn near(text: &str, start: usize, modifiers: &str) -> Result<GeoRelation, Error> {
    let (mut distance_m_min, mut distance_m_max) = (None, None);
    let mut place = start;
    for modifier in modifiers.split(';') {
        let Some((name, metres)) = modifier.split_once("==") else {
            return Err(at("georel", text, place, "expected maxDistance==METRES or minDistance==METRES"));
        };
        let slot = match name {
            "maxDistance" => &mut distance_m_max,
            "minDistance" => &mut distance_m_min,
            _ => return Err(at("georel", text, place, format!("{name:?} is neither maxDistance nor minDistance"))),
        };
        let metres: f64 =
            metres.parse().ok().filter(|metres: &f64| metres.is_finite() && *metres > 0.0).ok_or_else(|| {
                at("georel", text, place + name.len() + 2, "expected a number of metres greater than 0")
            })?;
        if slot.replace(metres).is_some() {
            return Err(at("georel", text, place, format!("{name} is given twice")));
        }
        place += modifier.len() + 1;
    }
    Ok(GeoRelation::Near { distance_m_min, distance_m_max })
}
