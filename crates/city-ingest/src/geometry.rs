//! GeoJSON text in, checked geometry out (RFC 7946; CIM 009 clause 4.7).

use city_model::Position;
use city_model::geometry::Geometry;
use serde::Deserialize;

#[derive(Deserialize)]
#[serde(tag = "type", content = "coordinates")]
enum GeoJson {
    Point(Vec<f64>),
    MultiPoint(Vec<Vec<f64>>),
    LineString(Vec<Vec<f64>>),
    MultiLineString(Vec<Vec<Vec<f64>>>),
    Polygon(Vec<Vec<Vec<f64>>>),
    MultiPolygon(Vec<Vec<Vec<Vec<f64>>>>),
}

/// The geometry in a GeoJSON text, or why it is none.
pub(crate) fn parse(json: &str) -> Result<Geometry, String> {
    let geo: GeoJson = serde_json::from_str(json).map_err(|error| format!("it is not a GeoJSON geometry: {error}"))?;
    let geometry = match geo {
        GeoJson::Point(point) => Geometry::Point(position(&point)?),
        GeoJson::MultiPoint(list) => Geometry::MultiPoint(positions(&list)?),
        GeoJson::LineString(list) => Geometry::LineString(positions(&list)?),
        GeoJson::MultiLineString(lists) => Geometry::MultiLineString(lines(&lists)?),
        GeoJson::Polygon(lists) => Geometry::Polygon(lines(&lists)?),
        GeoJson::MultiPolygon(polygons) => {
            Geometry::MultiPolygon(polygons.iter().map(|lists| lines(lists)).collect::<Result<_, _>>()?)
        }
    };
    geometry.check().map_err(|error| error.to_string())?;
    Ok(geometry)
}

fn position(numbers: &[f64]) -> Result<Position, String> {
    match numbers {
        [lon, lat] => Ok(Position { lon: *lon, lat: *lat, height: None }),
        [lon, lat, height, ..] => Ok(Position { lon: *lon, lat: *lat, height: Some(*height) }),
        _ => Err("a position needs a longitude and a latitude".to_owned()),
    }
}

fn positions(list: &[Vec<f64>]) -> Result<Vec<Position>, String> {
    list.iter().map(|numbers| position(numbers)).collect()
}

fn lines(lists: &[Vec<Vec<f64>>]) -> Result<Vec<Vec<Position>>, String> {
    lists.iter().map(|list| positions(list)).collect()
}

/// A Point as GeoJSON text.
pub(crate) fn point(lon: f64, lat: f64) -> Result<String, String> {
    let point = Geometry::Point(Position { lon, lat, height: None });
    point.check().map_err(|error| error.to_string())?;
    // Display of f64 is the shortest text that reads back as the same number.
    Ok(format!("{{\"type\":\"Point\",\"coordinates\":[{lon},{lat}]}}"))
}

/// JSON without the white space of pretty printing; no text inside a geometry needs any.
pub(crate) fn compact(json: &str) -> String {
    json.chars().filter(|c| !c.is_ascii_whitespace()).collect()
}
