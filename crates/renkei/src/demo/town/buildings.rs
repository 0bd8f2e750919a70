//! The buildings between the roads, tallest at the centre; and the shelters among them.

use super::document::{Document, id, rounded};
use super::ground::{AVENUE_STEP_M, Ground, Place, STREET_STEP_M, polygon};
use super::random::Random;
use serde_json::{Value, json};

/// Lots in a block between two avenues and two streets.
const LOTS_ALONG: usize = 6;
const LOTS_DEEP: usize = 3;
/// Half the road and its pavement.
const KERB_M: f64 = 12.0;
/// How far buildings keep from water.
const BANK_M: f64 = 25.0;
/// The busiest crossing.
const CENTRE: Place = Place { x_m: 0.0, y_m: 1_000.0 };
const STOREY_M: f64 = 3.2;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Use {
    Residential,
    Apartments,
    Retail,
    Office,
    Industrial,
    School,
    Hospital,
}

#[derive(Debug, Clone)]
pub struct Building {
    pub number: usize,
    pub middle: Place,
    ring: [Place; 4],
    pub ward: usize,
    pub storeys: u32,
    pub height_m: f64,
    pub elevation_m: f64,
    pub used_as: Use,
}

impl Use {
    /// As in the Smart Data Model Building, `category`.
    fn category(self) -> &'static str {
        match self {
            Self::Residential => "house",
            Self::Apartments => "apartments",
            Self::Retail => "retail",
            Self::Office => "office",
            Self::Industrial => "industrial",
            Self::School => "school",
            Self::Hospital => "hospital",
        }
    }
}

impl Building {
    pub fn id(&self) -> String {
        id("Building", &format!("{:04}", self.number))
    }

    pub fn floor_area_m2(&self) -> f64 {
        self.ring[0].distance_m(self.ring[1]) * self.ring[1].distance_m(self.ring[2]) * f64::from(self.storeys)
    }

    pub fn entity(&self) -> Value {
        let ward = super::ground::WARDS[self.ward];
        Document::entity("Building", &format!("{:04}", self.number), &Ground::scope(self.ward))
            .property("category", json!([self.used_as.category()]))
            .measure("height", self.height_m, "MTR")
            .property("floorsAboveGround", self.storeys)
            .measure("elevation", rounded(self.elevation_m, 1), "MTR")
            .property("address", json!({"addressLocality": ward.1, "streetAddress": format!("{}番地", self.number)}))
            .relationship("ward", &Ground::ward_id(self.ward))
            .location(polygon(&self.ring))
            .into_value()
    }
}

/// All buildings, numbered from 1, street by street.
pub fn build(ground: &Ground, random: &mut Random) -> Vec<Building> {
    let mut buildings = Vec::new();
    let streets: Vec<_> = Ground::streets().collect();
    let avenues: Vec<_> = Ground::avenues().collect();
    for &south in &streets[..streets.len() - 1] {
        for &west in &avenues[..avenues.len() - 1] {
            for lot in 0..LOTS_ALONG * LOTS_DEEP {
                let lot_m = [
                    (AVENUE_STEP_M - 2.0 * KERB_M) / LOTS_ALONG as f64,
                    (STREET_STEP_M - 2.0 * KERB_M) / LOTS_DEEP as f64,
                ];
                let middle = Place::new(
                    west + KERB_M + lot_m[0] * ((lot % LOTS_ALONG) as f64 + 0.5),
                    south + KERB_M + lot_m[1] * ((lot / LOTS_ALONG) as f64 + 0.5),
                );
                // Every lot draws the same number of times, so that one missing house moves no other.
                let drawn: [f64; 6] = std::array::from_fn(|_| random.unit());
                let near_water = ground.near_river(middle, BANK_M + 30.0) || !ground.on_land(middle, BANK_M + 30.0);
                // The edge of the town is thinly built.
                let built = 0.92 - middle.distance_m(CENTRE) / 8_000.0;
                if near_water || drawn[0] > built {
                    continue;
                }
                buildings.push(one(buildings.len() + 1, ground, middle, lot_m, drawn));
            }
        }
    }
    // One school and one hospital stand in every ward: a town has them whatever chance says.
    for ward in 0..super::ground::WARDS.len() {
        let mut of_ward: Vec<usize> = (0..buildings.len()).filter(|&i| buildings[i].ward == ward).collect();
        for (used_as, count) in [(Use::School, 3), (Use::Hospital, 1)] {
            for _ in 0..count.min(of_ward.len()) {
                let at = of_ward.swap_remove(random.below(of_ward.len()));
                let building = &mut buildings[at];
                building.used_as = used_as;
                building.storeys = building.storeys.clamp(3, 8);
                building.height_m = rounded(f64::from(building.storeys) * STOREY_M * 1.15, 1);
            }
        }
    }
    buildings
}

fn one(number: usize, ground: &Ground, middle: Place, lot_m: [f64; 2], drawn: [f64; 6]) -> Building {
    let central = (-middle.distance_m(CENTRE) / 700.0).exp();
    let harbour = middle.y_m - ground.coast_m(middle.x_m) < 500.0;
    let used_as = match drawn[1] {
        share if harbour && share < 0.45 => Use::Industrial,
        share if share < 0.5 * central => Use::Office,
        share if share < 0.5 * central + 0.12 => Use::Retail,
        share if share < 0.5 * central + 0.38 => Use::Apartments,
        _ => Use::Residential,
    };
    let storeys = match used_as {
        Use::Residential => 1 + (drawn[2] * 2.0) as u32,
        Use::Apartments => 3 + (drawn[2] * (3.0 + 11.0 * central)) as u32,
        Use::Office => 4 + (drawn[2] * 16.0 * central) as u32,
        Use::Retail | Use::Industrial | Use::School | Use::Hospital => 1 + (drawn[2] * 3.0) as u32,
    };
    let half = [lot_m[0] * (0.22 + 0.2 * drawn[3]), lot_m[1] * (0.16 + 0.22 * drawn[4])];
    let turn = (drawn[5] - 0.5) * 0.12;
    let corner = |x: f64, y: f64| {
        Place::new(
            middle.x_m + half[0] * x * turn.cos() - half[1] * y * turn.sin(),
            middle.y_m + half[0] * x * turn.sin() + half[1] * y * turn.cos(),
        )
    };
    Building {
        number,
        middle,
        ring: [corner(-1.0, -1.0), corner(1.0, -1.0), corner(1.0, 1.0), corner(-1.0, 1.0)],
        ward: ground.ward(middle),
        storeys,
        height_m: rounded(f64::from(storeys) * STOREY_M + 0.6 + drawn[2], 1),
        elevation_m: ground.elevation_m(middle),
        used_as,
    }
}

/// Every school is a shelter.
pub fn shelters(buildings: &[Building]) -> Vec<Value> {
    buildings
        .iter()
        .filter(|building| building.used_as == Use::School)
        .enumerate()
        .map(|(i, building)| {
            let number = i + 1;
            let safe_from: &[&str] =
                if building.elevation_m >= 6.0 { &["earthquake", "flood", "tsunami"] } else { &["earthquake"] };
            Document::entity("EvacuationShelter", &format!("{number:02}"), &Ground::scope(building.ward))
                .named(&format!("第{number}避難所（模擬）"), &format!("Shelter {number} (simulated)"))
                .property("capacity", (building.floor_area_m2() / 3.3) as u32)
                .property("disasterType", json!(safe_from))
                .measure("elevation", rounded(building.elevation_m, 1), "MTR")
                .relationship("building", &building.id())
                .relationship("ward", &Ground::ward_id(building.ward))
                .location(building.middle.point())
                .into_value()
        })
        .collect()
}
