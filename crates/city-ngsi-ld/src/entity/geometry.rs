//! GeoJSON geometries to the model and back (RFC 7946; clause 4.7).

use city_model::geometry::{Geometry, Position};
use city_model::value::Value;

use crate::error::Error;
use crate::json;

/// The geometries that NGSI-LD allows.
pub(crate) fn is_geometry_type(name: &str) -> bool {
    matches!(name, "Point" | "MultiPoint" | "LineString" | "MultiLineString" | "Polygon" | "MultiPolygon")
}

/// Whether a value looks like a geometry, so that GeoProperty is inferred (clause 4.5.2.3).
pub(crate) fn looks_like_geometry(value: &Value) -> bool {
    value.get("type").and_then(Value::as_text).is_some_and(is_geometry_type) && value.get("coordinates").is_some()
}

/// A geometry as an object, or as the text of one (clause 4.7.2).
pub(crate) fn read(value: &Value) -> Result<Geometry, Error> {
    match value {
        Value::Map(members) => {
            if let Some((key, _)) = members.iter().find(|(k, _)| !matches!(&**k, "type" | "coordinates" | "bbox")) {
                return Err(Error::bad("value", format!("a GeoJSON geometry has no member \"{key}\"")));
            }
            let kind = value.get("type").and_then(Value::as_text).ok_or_else(|| {
                Error::bad("value.type", "is missing; a GeoJSON geometry names its type, such as Point")
            })?;
            let coordinates = value.get("coordinates").ok_or_else(|| Error::bad("value.coordinates", "is missing"))?;
            build(kind, coordinates).map_err(|error| error.within("value"))
        }
        Value::Text(text) => {
            let inner = serde_json::from_str(text)
                .map_err(|_| Error::bad("value", "must be a GeoJSON geometry, not a plain text"))
                .and_then(json::value)?;
            match inner {
                Value::Map(_) => read(&inner),
                _ => Err(Error::bad("value", "must be a GeoJSON geometry")),
            }
        }
        _ => Err(Error::bad("value", "must be a GeoJSON geometry: {\"type\": …, \"coordinates\": […]}")),
    }
}

pub(crate) fn build(kind: &str, coordinates: &Value) -> Result<Geometry, Error> {
    let geometry = match kind {
        "Point" => Geometry::Point(position(coordinates)?),
        "MultiPoint" => Geometry::MultiPoint(list(coordinates, position)?),
        "LineString" => Geometry::LineString(list(coordinates, position)?),
        "MultiLineString" => Geometry::MultiLineString(list(coordinates, line)?),
        "Polygon" => Geometry::Polygon(list(coordinates, line)?),
        "MultiPolygon" => Geometry::MultiPolygon(list(coordinates, |polygon| list(polygon, line))?),
        other => {
            return Err(Error::bad(
                "type",
                format!(
                    "{other:?} is not a geometry of NGSI-LD; use Point, MultiPoint, LineString, MultiLineString, Polygon or MultiPolygon"
                ),
            ));
        }
    };
    geometry.check().map_err(|error| Error::bad("coordinates", error.to_string()))?;
    Ok(geometry)
}

fn line(value: &Value) -> Result<Vec<Position>, Error> {
    list(value, position)
}

fn list<T>(value: &Value, item: impl Fn(&Value) -> Result<T, Error>) -> Result<Vec<T>, Error> {
    match value {
        Value::List(items) => items.iter().map(item).collect(),
        _ => Err(Error::bad("coordinates", "are not nested as the type of the geometry asks for")),
    }
}

fn position(value: &Value) -> Result<Position, Error> {
    let wrong =
        || Error::bad("coordinates", "a position must be [longitude, latitude] or [longitude, latitude, height]");
    let Value::List(numbers) = value else { return Err(wrong()) };
    let number = |value: &Value| value.as_f64().filter(|number| number.is_finite()).ok_or_else(wrong);
    match numbers.as_slice() {
        [lon, lat] => Ok(Position { lon: number(lon)?, lat: number(lat)?, height: None }),
        [lon, lat, height] => Ok(Position { lon: number(lon)?, lat: number(lat)?, height: Some(number(height)?) }),
        _ => Err(wrong()),
    }
}

pub(crate) fn write(out: &mut Vec<u8>, geometry: &Geometry) {
    out.extend_from_slice(b"{\"type\":\"");
    out.extend_from_slice(geometry.type_name().as_bytes());
    out.extend_from_slice(b"\",\"coordinates\":");
    let lines = |out: &mut Vec<u8>, lines: &Vec<Vec<Position>>| json::write_list(out, lines, write_line);
    match geometry {
        Geometry::Point(point) => write_position(out, point),
        Geometry::MultiPoint(positions) | Geometry::LineString(positions) => write_line(out, positions),
        Geometry::MultiLineString(list) | Geometry::Polygon(list) => lines(out, list),
        Geometry::MultiPolygon(polygons) => json::write_list(out, polygons, lines),
    }
    out.push(b'}');
}

fn write_line(out: &mut Vec<u8>, positions: &Vec<Position>) {
    json::write_list(out, positions, write_position);
}

fn write_position(out: &mut Vec<u8>, position: &Position) {
    out.push(b'[');
    write_coordinate(out, position.lon);
    out.push(b',');
    write_coordinate(out, position.lat);
    if let Some(height) = position.height {
        out.push(b',');
        write_coordinate(out, height);
    }
    out.push(b']');
}

/// Whole degrees print without a fraction, as they mostly came.
fn write_coordinate(out: &mut Vec<u8>, number: f64) {
    #[expect(clippy::cast_possible_truncation, reason = "the range is checked first")]
    if number.fract() == 0.0 && number.abs() < 1e15 && !(number == 0.0 && number.is_sign_negative()) {
        json::write_value(out, &Value::Int(number as i64));
    } else {
        json::write_f64(out, number);
    }
}
