//! GeoJSON geometries (RFC 7946) in WGS 84 and the relations between them (CIM 009 clause 4.7, 4.10).
//!
//! Coordinates are kept as they came, in f64: centimetres survive (S72).

use geo::{Closest, Distance, Geodesic, HaversineClosestPoint, Intersects, Relate};

/// Longitude and latitude in degrees, height in metres where given.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Position {
    pub lon: f64,
    pub lat: f64,
    pub height: Option<f64>,
}

/// All that NGSI-LD allows: every GeoJSON geometry but the collection.
#[derive(Debug, Clone, PartialEq)]
pub enum Geometry {
    Point(Position),
    MultiPoint(Vec<Position>),
    LineString(Vec<Position>),
    MultiLineString(Vec<Vec<Position>>),
    Polygon(Vec<Vec<Position>>),
    MultiPolygon(Vec<Vec<Vec<Position>>>),
}

/// West, south, east, north, in degrees.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BboxWgs84 {
    pub west: f64,
    pub south: f64,
    pub east: f64,
    pub north: f64,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidGeometry {
    #[error("a {0} needs at least {1} positions")]
    TooFewPositions(&'static str, usize),
    #[error("a ring of a Polygon must end where it starts")]
    RingNotClosed,
    #[error("a position must be [longitude, latitude] with longitude from -180 to 180 and latitude from -90 to 90")]
    OutOfRange,
}

/// How an entity's geometry may stand to a reference geometry.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum GeoRelation {
    /// Within these distances in metres on the ellipsoid.
    Near {
        distance_m_min: Option<f64>,
        distance_m_max: Option<f64>,
    },
    Within,
    Contains,
    Intersects,
    Equals,
    Disjoint,
    Overlaps,
}

impl Geometry {
    /// The GeoJSON name of the geometry.
    #[must_use]
    pub fn type_name(&self) -> &'static str {
        match self {
            Self::Point(_) => "Point",
            Self::MultiPoint(_) => "MultiPoint",
            Self::LineString(_) => "LineString",
            Self::MultiLineString(_) => "MultiLineString",
            Self::Polygon(_) => "Polygon",
            Self::MultiPolygon(_) => "MultiPolygon",
        }
    }

    /// RFC 7946 section 3.1: enough positions, rings closed, degrees in range.
    pub fn check(&self) -> Result<(), InvalidGeometry> {
        let at_least = |what, positions: &[Position], count| {
            if positions.len() < count { Err(InvalidGeometry::TooFewPositions(what, count)) } else { Ok(()) }
        };
        let ring = |positions: &Vec<Position>| {
            at_least("ring of a Polygon", positions, 4)?;
            let (first, last) = (positions[0], positions[positions.len() - 1]);
            if first.lon != last.lon || first.lat != last.lat { Err(InvalidGeometry::RingNotClosed) } else { Ok(()) }
        };
        match self {
            Self::Point(_) => {}
            Self::MultiPoint(points) => at_least("MultiPoint", points, 1)?,
            Self::LineString(line) => at_least("LineString", line, 2)?,
            Self::MultiLineString(lines) => {
                lines.iter().try_for_each(|line| at_least("line of a MultiLineString", line, 2))?;
            }
            Self::Polygon(rings) => {
                if rings.is_empty() {
                    return Err(InvalidGeometry::TooFewPositions("Polygon", 4));
                }
                rings.iter().try_for_each(ring)?;
            }
            Self::MultiPolygon(polygons) => polygons.iter().flatten().try_for_each(ring)?,
        }
        let mut in_range = true;
        self.for_each_position(&mut |p| {
            in_range &= (-180.0..=180.0).contains(&p.lon) && (-90.0..=90.0).contains(&p.lat);
        });
        if in_range { Ok(()) } else { Err(InvalidGeometry::OutOfRange) }
    }

    pub fn for_each_position(&self, see: &mut impl FnMut(&Position)) {
        match self {
            Self::Point(point) => see(point),
            Self::MultiPoint(list) | Self::LineString(list) => list.iter().for_each(see),
            Self::MultiLineString(lists) | Self::Polygon(lists) => lists.iter().flatten().for_each(see),
            Self::MultiPolygon(polygons) => polygons.iter().flatten().flatten().for_each(see),
        }
    }

    #[must_use]
    pub fn bbox(&self) -> BboxWgs84 {
        let mut bbox =
            BboxWgs84 { west: f64::INFINITY, south: f64::INFINITY, east: f64::NEG_INFINITY, north: f64::NEG_INFINITY };
        self.for_each_position(&mut |p| {
            bbox.west = bbox.west.min(p.lon);
            bbox.east = bbox.east.max(p.lon);
            bbox.south = bbox.south.min(p.lat);
            bbox.north = bbox.north.max(p.lat);
        });
        bbox
    }

    /// The centroid in the plane of longitude and latitude, as for a building's footprint.
    #[must_use]
    pub fn centroid(&self) -> Option<Position> {
        use geo::Centroid;
        let point = self.to_geo().centroid()?;
        Some(Position { lon: point.x(), lat: point.y(), height: None })
    }

    #[must_use]
    pub fn to_geo(&self) -> geo::Geometry {
        let coord = |p: &Position| geo::Coord { x: p.lon, y: p.lat };
        let line = |l: &Vec<Position>| geo::LineString::new(l.iter().map(coord).collect());
        let polygon = |rings: &Vec<Vec<Position>>| {
            let mut rings = rings.iter().map(line);
            let exterior = rings.next().unwrap_or_else(|| geo::LineString::new(Vec::new()));
            geo::Polygon::new(exterior, rings.collect())
        };
        match self {
            Self::Point(p) => geo::Point::from(coord(p)).into(),
            Self::MultiPoint(list) => {
                geo::MultiPoint::new(list.iter().map(|p| geo::Point::from(coord(p))).collect()).into()
            }
            Self::LineString(l) => line(l).into(),
            Self::MultiLineString(lines) => geo::MultiLineString::new(lines.iter().map(line).collect()).into(),
            Self::Polygon(rings) => polygon(rings).into(),
            Self::MultiPolygon(list) => geo::MultiPolygon::new(list.iter().map(polygon).collect()).into(),
        }
    }
}

impl BboxWgs84 {
    #[must_use]
    pub fn intersects(&self, other: &Self) -> bool {
        self.west <= other.east && other.west <= self.east && self.south <= other.north && other.south <= self.north
    }

    /// Grown so that every point within `distance_m` of it lies inside; never too small.
    #[must_use]
    pub fn grown_m(&self, distance_m: f64) -> Self {
        // A degree of latitude is at least 110,574 m on WGS 84; one per cent is kept in reserve.
        let lat = distance_m / 109_400.0;
        let highest = self.north.abs().max(self.south.abs()) + lat;
        if highest >= 89.0 {
            return Self { west: -180.0, south: self.south - lat, east: 180.0, north: self.north + lat };
        }
        let lon = lat / highest.to_radians().cos() * 1.02;
        let grown =
            Self { west: self.west - lon, south: self.south - lat, east: self.east + lon, north: self.north + lat };
        // Across the antimeridian every longitude is a candidate; the exact test decides.
        if grown.west < -180.0 || grown.east > 180.0 {
            return Self { west: -180.0, east: 180.0, ..grown };
        }
        grown
    }
}

impl GeoRelation {
    /// Whether `geometry` stands in this relation to `reference`.
    #[must_use]
    pub fn holds(&self, geometry: &geo::Geometry, reference: &geo::Geometry) -> bool {
        match self {
            Self::Near { distance_m_min, distance_m_max } => {
                let distance = distance_m(geometry, reference);
                distance_m_min.is_none_or(|min| distance >= min) && distance_m_max.is_none_or(|max| distance <= max)
            }
            // A plain point or a box test is far cheaper than the full relation matrix.
            Self::Intersects => geometry.intersects(reference),
            Self::Disjoint => !geometry.intersects(reference),
            Self::Within => geometry.relate(reference).is_within(),
            Self::Contains => geometry.relate(reference).is_contains(),
            Self::Equals => geometry.relate(reference).is_equal_topo(),
            Self::Overlaps => geometry.relate(reference).is_overlaps(),
        }
    }

    /// Box outside which no geometry can stand in this relation; `None` where there is no such box.
    #[must_use]
    pub fn search_box(&self, reference: &BboxWgs84) -> Option<BboxWgs84> {
        match self {
            Self::Near { distance_m_max: Some(max), .. } => Some(reference.grown_m(*max)),
            Self::Near { distance_m_max: None, .. } | Self::Disjoint => None,
            Self::Within | Self::Contains | Self::Intersects | Self::Equals | Self::Overlaps => Some(*reference),
        }
    }
}

/// Shortest distance in metres on the WGS 84 ellipsoid; 0 where they touch.
///
/// The nearest place on a line is found on the sphere, then measured on the ellipsoid.
#[must_use]
pub fn distance_m(a: &geo::Geometry, b: &geo::Geometry) -> f64 {
    if let (geo::Geometry::Point(a), geo::Geometry::Point(b)) = (a, b) {
        return Geodesic.distance(*a, *b);
    }
    if a.intersects(b) {
        return 0.0;
    }
    vertices_to(a, b).min(vertices_to(b, a))
}

fn vertices_to(from: &geo::Geometry, to: &geo::Geometry) -> f64 {
    use geo::CoordsIter;
    from.coords_iter()
        .map(|coord| {
            let point = geo::Point::from(coord);
            match to.haversine_closest_point(&point) {
                Closest::Intersection(near) | Closest::SinglePoint(near) => Geodesic.distance(point, near),
                Closest::Indeterminate => f64::INFINITY,
            }
        })
        .fold(f64::INFINITY, f64::min)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn point(lon: f64, lat: f64) -> Geometry {
        Geometry::Point(Position { lon, lat, height: None })
    }

    fn square(west: f64, south: f64, size: f64) -> Geometry {
        let at = |lon, lat| Position { lon, lat, height: None };
        let (east, north) = (west + size, south + size);
        Geometry::Polygon(vec![vec![
            at(west, south),
            at(east, south),
            at(east, north),
            at(west, north),
            at(west, south),
        ]])
    }

    #[test]
    fn relations_are_those_of_the_standard() {
        let ward = square(139.78, 35.60, 0.1).to_geo();
        let inside = point(139.80, 35.65).to_geo();
        let outside = point(139.70, 35.65).to_geo();
        assert!(GeoRelation::Within.holds(&inside, &ward));
        assert!(!GeoRelation::Within.holds(&outside, &ward));
        assert!(GeoRelation::Contains.holds(&ward, &inside));
        assert!(GeoRelation::Disjoint.holds(&outside, &ward));
        assert!(GeoRelation::Equals.holds(&ward, &square(139.78, 35.60, 0.1).to_geo()));
        assert!(GeoRelation::Overlaps.holds(&ward, &square(139.83, 35.65, 0.1).to_geo()));
        assert!(GeoRelation::Intersects.holds(&ward, &square(139.83, 35.65, 0.1).to_geo()));
    }

    #[test]
    fn distance_to_a_building_is_to_its_wall() {
        let building = square(139.80, 35.65, 0.001).to_geo();
        let west_of_it = point(139.799, 35.6505).to_geo();
        let distance = distance_m(&building, &west_of_it);
        assert!((90.0..91.0).contains(&distance), "{distance}");
        assert_eq!(distance_m(&building, &point(139.8005, 35.6505).to_geo()), 0.0);
    }

    #[test]
    fn open_rings_and_wild_positions_are_refused() {
        let at = |lon, lat| Position { lon, lat, height: None };
        let open = Geometry::Polygon(vec![vec![at(0., 0.), at(1., 0.), at(1., 1.), at(0., 1.)]]);
        assert_eq!(open.check(), Err(InvalidGeometry::RingNotClosed));
        assert_eq!(point(181.0, 0.0).check(), Err(InvalidGeometry::OutOfRange));
        assert_eq!(point(f64::NAN, 0.0).check(), Err(InvalidGeometry::OutOfRange));
    }

    proptest! {
        /// The search box may be too large, never too small.
        #[test]
        fn what_is_near_lies_in_the_search_box(
            lon in -180.0f64..180.0, lat in -89.0f64..89.0,
            bearing in 0.0f64..360.0, distance in 0.0f64..200_000.0,
        ) {
            use geo::Destination;
            let centre = point(lon, lat);
            let near = Geodesic.destination(geo::Point::new(lon, lat), bearing, distance);
            let relation = GeoRelation::Near { distance_m_min: None, distance_m_max: Some(distance + 0.01) };
            let area = relation.search_box(&centre.bbox()).unwrap();
            prop_assert!(area.intersects(&point(near.x(), near.y()).bbox()), "{:?} {:?}", area, near);
        }
    }
}
