//! The ground of the town: coast, river, wards and roads, in metres east and north of the harbour
//! office; turned into degrees only when written.
//!
//! The town lies on an invented coast in the open Pacific, where no land is.

use super::document::{Document, id, rounded};
use super::random::Random;
use serde_json::{Value, json};

/// Where metre (0, 0) stands: open sea, some 230 km off the Boso peninsula.
pub const ORIGIN_LON: f64 = 142.5;
pub const ORIGIN_LAT: f64 = 34.2;

pub const WEST_M: f64 = -2_000.0;
pub const EAST_M: f64 = 2_000.0;
pub const NORTH_M: f64 = 3_000.0;
const SEA_SOUTH_M: f64 = -2_500.0;
/// Ward borders that run east to west and north to south; the river is the third.
const WARD_NORTH_SOUTH_M: f64 = 1_500.0;
const WARD_WEST_M: f64 = -800.0;
/// Distances of the road grid.
pub const AVENUE_STEP_M: f64 = 400.0;
pub const STREET_STEP_M: f64 = 300.0;
pub const FIRST_STREET_M: f64 = 200.0;
/// How finely curves are drawn.
const CURVE_STEP_M: f64 = 100.0;
/// Every so many streets has a bridge.
const BRIDGE_EVERY: usize = 3;

#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Place {
    pub x_m: f64,
    pub y_m: f64,
}

#[derive(Debug, Clone)]
pub struct Ground {
    river_phase: f64,
    river_swing_m: f64,
    pub river_half_width_m: f64,
}

/// English name, Japanese name.
pub const WARDS: [(&str, &str); 6] = [
    ("Hama Ward", "浜区"),
    ("Honmachi Ward", "本町区"),
    ("Kawahigashi Ward", "川東区"),
    ("Matsubara Ward", "松原区"),
    ("Oka Ward", "丘区"),
    ("Shinmachi Ward", "新町区"),
];

impl Place {
    pub fn new(x_m: f64, y_m: f64) -> Self {
        Self { x_m, y_m }
    }

    pub fn towards(self, other: Self, share: f64) -> Self {
        Self::new(self.x_m + (other.x_m - self.x_m) * share, self.y_m + (other.y_m - self.y_m) * share)
    }

    pub fn distance_m(self, other: Self) -> f64 {
        (self.x_m - other.x_m).hypot(self.y_m - other.y_m)
    }

    /// Longitude and latitude to about a centimetre.
    pub fn position(self) -> [f64; 2] {
        const METRES_PER_DEGREE: f64 = 111_195.0;
        let lat = ORIGIN_LAT + self.y_m / METRES_PER_DEGREE;
        let lon = ORIGIN_LON + self.x_m / (METRES_PER_DEGREE * ORIGIN_LAT.to_radians().cos());
        [rounded(lon, 7), rounded(lat, 7)]
    }

    pub fn point(self) -> Value {
        json!({"type": "Point", "coordinates": self.position()})
    }
}

pub fn line(places: &[Place]) -> Value {
    json!({"type": "LineString", "coordinates": places.iter().map(|place| place.position()).collect::<Vec<_>>()})
}

/// `ring` without the repeated last place, counter-clockwise (RFC 7946 section 3.1.6).
pub fn polygon(ring: &[Place]) -> Value {
    let mut positions: Vec<_> = ring.iter().map(|place| place.position()).collect();
    positions.extend(positions.first().copied());
    json!({"type": "Polygon", "coordinates": [positions]})
}

fn steps(from: f64, to: f64, step: f64) -> impl Iterator<Item = f64> {
    let count = ((to - from).abs() / step).round().max(1.0) as i32;
    (0..=count).map(move |i| from + (to - from) * f64::from(i) / f64::from(count))
}

impl Ground {
    pub fn new(random: &mut Random) -> Self {
        Self {
            river_phase: random.between(0.0, std::f64::consts::TAU),
            river_swing_m: random.between(80.0, 140.0),
            river_half_width_m: random.between(28.0, 40.0),
        }
    }

    /// Where the coast runs at this easting.
    pub fn coast_m(&self, x_m: f64) -> f64 {
        60.0 * (x_m / 700.0 + self.river_phase).sin()
    }

    /// Where the middle of the river runs at this northing.
    pub fn river_m(&self, y_m: f64) -> f64 {
        500.0 + self.river_swing_m * (y_m / 550.0 + self.river_phase).sin()
    }

    pub fn near_river(&self, place: Place, margin_m: f64) -> bool {
        (place.x_m - self.river_m(place.y_m)).abs() < self.river_half_width_m + margin_m
    }

    pub fn on_land(&self, place: Place, margin_m: f64) -> bool {
        place.y_m > self.coast_m(place.x_m) + margin_m
    }

    /// Metres above the sea: flat at the harbour, hills in the north, lowest along the river.
    pub fn elevation_m(&self, place: Place) -> f64 {
        let inland = (place.y_m - self.coast_m(place.x_m)).max(0.0);
        let from_river = (place.x_m - self.river_m(place.y_m)).abs();
        1.2 + inland * 0.004 + (inland / 1_000.0).powi(2) * 2.0 + (from_river / 400.0).min(3.0)
    }

    /// Index into `WARDS`.
    pub fn ward(&self, place: Place) -> usize {
        let column = match place.x_m {
            x if x < WARD_WEST_M => 0,
            x if x < self.river_m(place.y_m) => 1,
            _ => 2,
        };
        if place.y_m < WARD_NORTH_SOUTH_M { column } else { column + 3 }
    }

    pub fn scope(ward: usize) -> String {
        format!("/Minatomachi/Ward{}", ward + 1)
    }

    pub fn ward_id(ward: usize) -> String {
        id("AdministrativeArea", &format!("Ward{}", ward + 1))
    }

    pub fn entities(&self) -> Vec<Value> {
        let mut entities = vec![self.town(), self.river(), self.sea()];
        entities.extend((0..WARDS.len()).map(|ward| self.ward_entity(ward)));
        entities.extend(self.roads());
        entities
    }

    pub fn town_id() -> String {
        id("AdministrativeArea", "Town")
    }

    pub fn river_id() -> String {
        id("River", "Minato")
    }

    fn town(&self) -> Value {
        let mut ring: Vec<_> = steps(WEST_M, EAST_M, CURVE_STEP_M).map(|x| Place::new(x, self.coast_m(x))).collect();
        ring.extend([Place::new(EAST_M, NORTH_M), Place::new(WEST_M, NORTH_M)]);
        Document::entity("AdministrativeArea", "Town", "/Minatomachi")
            .named("港町（模擬）", "Minatomachi (simulated)")
            .property("category", "town")
            .location(polygon(&ring))
            .into_value()
    }

    fn river(&self) -> Value {
        let bank = |y: f64, side: f64| Place::new(self.river_m(y) + side * self.river_half_width_m, y);
        let mouth = self.coast_m(self.river_m(0.0));
        let mut ring: Vec<_> = steps(mouth, NORTH_M, CURVE_STEP_M).map(|y| bank(y, 1.0)).collect();
        ring.extend(steps(NORTH_M, mouth, CURVE_STEP_M).map(|y| bank(y, -1.0)));
        Document::entity("River", "Minato", "/Minatomachi")
            .named("港川", "Minato River")
            .measure("width", rounded(self.river_half_width_m * 2.0, 1), "MTR")
            .location(polygon(&ring))
            .into_value()
    }

    fn sea(&self) -> Value {
        let mut ring = vec![Place::new(WEST_M, SEA_SOUTH_M), Place::new(EAST_M, SEA_SOUTH_M)];
        ring.extend(steps(EAST_M, WEST_M, CURVE_STEP_M).map(|x| Place::new(x, self.coast_m(x))));
        Document::entity("Sea", "Bay", "/Minatomachi").named("港湾", "Minato Bay").location(polygon(&ring)).into_value()
    }

    fn ward_entity(&self, ward: usize) -> Value {
        let (en, ja) = WARDS[ward];
        Document::entity("AdministrativeArea", &format!("Ward{}", ward + 1), &Self::scope(ward))
            .named(ja, en)
            .property("category", "ward")
            .relationship("isPartOf", &Self::town_id())
            .location(polygon(&self.ward_ring(ward)))
            .into_value()
    }

    fn ward_ring(&self, ward: usize) -> Vec<Place> {
        let mouth_m = self.river_m(0.0);
        let (west, east) = match ward % 3 {
            0 => (WEST_M, WARD_WEST_M),
            1 => (WARD_WEST_M, mouth_m),
            _ => (mouth_m, EAST_M),
        };
        let northern = ward >= 3;
        let (south, north) = if northern { (WARD_NORTH_SOUTH_M, NORTH_M) } else { (0.0, WARD_NORTH_SOUTH_M) };
        let side = |column: f64, from: f64, to: f64| -> Vec<Place> {
            if column == mouth_m {
                steps(from, to, CURVE_STEP_M).map(|y| Place::new(self.river_m(y), y)).collect()
            } else {
                vec![Place::new(column, from), Place::new(column, to)]
            }
        };
        let mut ring = Vec::new();
        if !northern {
            ring.extend(steps(west, east, CURVE_STEP_M).map(|x| Place::new(x, self.coast_m(x))));
            // The coast takes the place of the southern corners.
            let shore = self.coast_m(east).max(0.0) + 1.0;
            ring.extend(side(east, shore, north));
            ring.extend(side(west, north, self.coast_m(west).max(0.0) + 1.0));
        } else {
            ring.extend(side(east, south, north));
            ring.extend(side(west, north, south));
        }
        ring.dedup();
        ring
    }

    /// Easting of every avenue and northing of every street.
    pub fn avenues() -> impl Iterator<Item = f64> {
        steps(WEST_M + 200.0, EAST_M - 200.0, AVENUE_STEP_M)
    }

    pub fn streets() -> impl Iterator<Item = f64> {
        steps(FIRST_STREET_M, FIRST_STREET_M + 9.0 * STREET_STEP_M, STREET_STEP_M)
    }

    pub fn has_bridge(street: usize) -> bool {
        street % BRIDGE_EVERY == 1
    }

    fn roads(&self) -> Vec<Value> {
        let avenues: Vec<_> = Self::avenues().collect();
        let streets: Vec<_> = Self::streets().collect();
        let mut roads = Vec::new();
        for (i, &x) in avenues.iter().enumerate() {
            for (j, pair) in streets.windows(2).enumerate() {
                let ends = [Place::new(x, pair[0]), Place::new(x, pair[1])];
                // No avenue runs in the water.
                if (0..=10).any(|k| self.near_river(ends[0].towards(ends[1], f64::from(k) / 10.0), 5.0)) {
                    continue;
                }
                let name = (format!("{}番大通り", i + 1), format!("Avenue {}", i + 1));
                roads.push(self.road(&format!("A{}-{}", i + 1, j + 1), &name, ends, 50.0, false));
            }
        }
        for (j, &y) in streets.iter().enumerate() {
            for (i, pair) in avenues.windows(2).enumerate() {
                let river = self.river_m(y);
                let bridge = (pair[0]..=pair[1]).contains(&river);
                if bridge && !Self::has_bridge(j) {
                    continue;
                }
                let ends = [Place::new(pair[0], y), Place::new(pair[1], y)];
                let name = (format!("{}丁目通り", j + 1), format!("Street {}", j + 1));
                roads.push(self.road(&format!("S{}-{}", j + 1, i + 1), &name, ends, 40.0, bridge));
            }
        }
        roads
    }

    fn road(&self, local: &str, name: &(String, String), ends: [Place; 2], speed_kmh: f64, bridge: bool) -> Value {
        let ward = self.ward(ends[0].towards(ends[1], 0.5));
        Document::entity("RoadSegment", local, &Self::scope(ward))
            .named(&name.0, &name.1)
            .measure("length", rounded(ends[0].distance_m(ends[1]), 1), "MTR")
            .measure("maximumAllowedSpeed", speed_kmh, "KMH")
            .property("totalLaneNumber", if speed_kmh > 45.0 { 4 } else { 2 })
            .property("isBridge", bridge)
            .relationship("ward", &Self::ward_id(ward))
            .location(line(&ends))
            .into_value()
    }
}
