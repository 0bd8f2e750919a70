//! `bbox` and `datetime` (OGC 17-069r4, clauses 7.15.3 and 7.15.4).

use city_model::geometry::{GeoRelation, Geometry, Position};
use city_model::query::{AttributePath, Filter, GeoQuery, Operand, Test};
use city_model::{Name, Time};

use crate::Error;

/// What lies in a box of west, south, east, north; heights between them are passed over.
pub fn bbox(text: &str, property: Name) -> Result<GeoQuery, Error> {
    let bad = |why: &str| Error { parameter: "bbox", place: 1, why: why.to_owned() };
    let parts: Result<Vec<f64>, _> = text.split(',').map(|part| part.trim().parse::<f64>()).collect();
    let parts = parts.ok().filter(|parts| parts.iter().all(|part| part.is_finite()));
    let (west, south, east, north) = match parts.as_deref() {
        Some(&[west, south, east, north]) => (west, south, east, north),
        Some(&[west, south, _, east, north, _]) => (west, south, east, north),
        _ => return Err(bad("it is four numbers, as in 139.7,35.6,139.9,35.7 (west, south, east, north), or six")),
    };
    let shape = boxed(west, south, east, north).map_err(bad)?;
    Ok(GeoQuery::new(GeoRelation::Intersects, shape, property))
}

/// A box as an area; over the date line it is two.
pub(crate) fn boxed(west: f64, south: f64, east: f64, north: f64) -> Result<Geometry, &'static str> {
    if !(-180.0..=180.0).contains(&west) || !(-180.0..=180.0).contains(&east) {
        return Err("west and east are degrees from -180 to 180");
    }
    if !(-90.0..=90.0).contains(&south) || !(-90.0..=90.0).contains(&north) || south > north {
        return Err("south and north are degrees from -90 to 90, south first");
    }
    Ok(match west <= east {
        true => Geometry::Polygon(vec![ring(west, south, east, north)]),
        // Over the date line: two boxes.
        false => {
            Geometry::MultiPolygon(vec![vec![ring(west, south, 180.0, north)], vec![ring(-180.0, south, east, north)]])
        }
    })
}

fn ring(west: f64, south: f64, east: f64, north: f64) -> Vec<Position> {
    let corners = [(west, south), (east, south), (east, north), (west, north), (west, south)];
    corners.into_iter().map(|(lon, lat)| Position { lon, lat, height: None }).collect()
}

/// An instant, or an interval that may be open (`2026-04-01T00:00:00Z/..`), of a time that features have.
pub fn datetime(text: &str, attribute: Name) -> Result<Filter, Error> {
    let path = || AttributePath { attribute: attribute.clone(), sub_attributes: Vec::new(), members: Vec::new() };
    let time = |text: &str| {
        Time::parse(text).ok_or_else(|| Error {
            parameter: "datetime",
            place: 1,
            why: format!("\"{text}\" is no time, such as 2026-04-01T00:00:00Z"),
        })
    };
    let term = |test| Filter::Term { path: path(), test };
    let Some((from, to)) = text.split_once('/') else {
        return Ok(term(Test::Equal(vec![Operand::Time(time(text)?)])));
    };
    let end = |text: &str| if matches!(text, "" | "..") { Ok(None) } else { time(text).map(Some) };
    let (from, to) = (end(from)?, end(to)?);
    if from.is_none() && to.is_none() {
        let why = "an interval has a beginning or an end".to_owned();
        return Err(Error { parameter: "datetime", place: 1, why });
    }
    if from.zip(to).is_some_and(|(from, to)| from > to) {
        return Err(Error { parameter: "datetime", place: 1, why: "it ends before it begins".to_owned() });
    }
    let from = from.map(|from| term(Test::GreaterOrEqual(Operand::Time(from))));
    let to = to.map(|to| term(Test::LessOrEqual(Operand::Time(to))));
    Ok(Filter::And(from.into_iter().chain(to).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name() -> Name {
        Name::from_stored("https://uri.etsi.org/ngsi-ld/location".into())
    }

    #[test]
    fn boxes_and_times_are_read_and_others_refused() {
        assert!(bbox("139.7,35.6,139.9,35.7", name()).is_ok() && bbox("139.7,35.6,0,139.9,35.7,99", name()).is_ok());
        assert!(matches!(bbox("170,-10,-170,10", name()).unwrap().reference, Geometry::MultiPolygon(_)));
        for wrong in ["", "1,2,3", "a,b,c,d", "0,10,1,5", "0,0,200,1", "NaN,0,1,1"] {
            assert!(bbox(wrong, name()).is_err(), "{wrong}");
        }
        for right in ["2026-04-01", "2026-04-01T00:00:00Z/..", "../2026-04-01T00:00:00Z", "2026-04-01/2026-05-01"] {
            assert!(datetime(right, name()).is_ok(), "{right}");
        }
        for wrong in ["", "../..", "yesterday", "2026-05-01/2026-04-01", "/"] {
            assert!(datetime(wrong, name()).is_err(), "{wrong}");
        }
    }
}
