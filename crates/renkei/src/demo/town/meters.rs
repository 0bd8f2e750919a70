//! Electricity and water meters of buildings, read every half hour, each at its own second.
//!
//! Unlike the rest of the town a meter remembers: its register only ever rises by what was used.

use super::buildings::{Building, Use};
use super::document::{Document, Members, measure, observed, rounded};
use super::ground::Ground;
use super::random::{Random, unit_at};
use super::things;
use super::weather::{Sky, Station, daily_bell, is_weekend, local_hour};
use city_model::Time;
use serde_json::Value;

pub const READ_EVERY_S: i64 = 1_800;
/// Buildings that have both meters.
const METERED_BUILDINGS: usize = 150;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Medium {
    Electricity,
    Water,
}

#[derive(Debug, Clone)]
pub struct Meter {
    pub number: usize,
    pub medium: Medium,
    building_id: String,
    place: super::ground::Place,
    ward: usize,
    used_as: Use,
    /// What the building would use in an hour if every hour were the same.
    mean_per_h: f64,
    /// Second of the half hour in which it is read.
    pub offset_s: i64,
    /// Thousandths of the unit, so that adding never drifts.
    register_milli: i64,
    seed: u64,
}

pub fn install(buildings: &[Building], random: &mut Random, seed: u64) -> Vec<Meter> {
    let mut meters = Vec::new();
    let step = (buildings.len() / METERED_BUILDINGS).max(1);
    for building in buildings.iter().step_by(step).take(METERED_BUILDINGS) {
        let area = building.floor_area_m2();
        for (medium, mean_per_h) in [(Medium::Electricity, 0.004 * area), (Medium::Water, 0.000_12 * area)] {
            let number = meters.len() + 1;
            meters.push(Meter {
                number,
                medium,
                building_id: building.id(),
                place: building.middle,
                ward: building.ward,
                used_as: building.used_as,
                mean_per_h: mean_per_h * random.between(0.7, 1.3),
                offset_s: (number as i64 * 373) % READ_EVERY_S,
                register_milli: (random.between(2_000.0, 90_000.0) * mean_per_h * 1_000.0) as i64,
                seed,
            });
        }
    }
    meters
}

impl Meter {
    pub fn ids(&self) -> (&'static str, String) {
        let medium = match self.medium {
            Medium::Electricity => "E",
            Medium::Water => "W",
        };
        ("SmartMeteringObservation", format!("{medium}{:04}", self.number))
    }

    #[cfg(test)]
    pub fn id(&self) -> String {
        super::document::id(self.ids().0, &self.ids().1)
    }

    fn unit(&self) -> &'static str {
        match self.medium {
            Medium::Electricity => "KWH",
            Medium::Water => "MTQ",
        }
    }

    pub fn entity(&self) -> Value {
        let (kind, local) = self.ids();
        let medium = match self.medium {
            Medium::Electricity => "Electricity",
            Medium::Water => "Water",
        };
        Document::entity(kind, &local, &Ground::scope(self.ward))
            .property("meterType", medium)
            .relationship("building", &self.building_id)
            .relationship("ward", &Ground::ward_id(self.ward))
            .location(self.place.point())
            .into_value()
    }

    /// What was used in the half hour that ends now.
    fn used(&self, sky: &Sky, at_s: f64) -> f64 {
        let middle_s = at_s - READ_EVERY_S as f64 / 2.0;
        let hour = local_hour(middle_s);
        let at_home = matches!(self.used_as, Use::Residential | Use::Apartments);
        let people = match (at_home, is_weekend(middle_s)) {
            (true, weekend) => {
                0.35 + daily_bell(hour, if weekend { 9.0 } else { 7.0 }, 1.2)
                    + 1.5 * daily_bell(hour, 20.0, 2.2)
                    + if weekend { 0.5 * daily_bell(hour, 13.0, 3.0) } else { 0.0 }
            }
            (false, true) => 0.35 + 0.4 * daily_bell(hour, 14.0, 3.5),
            (false, false) => 0.3 + 1.8 * daily_bell(hour, 13.0, 3.8),
        };
        let comfort = match self.medium {
            // Heating below 16, cooling above 24 degrees.
            Medium::Electricity => {
                let temperature = sky.temperature_c(Station::Harbour, middle_s);
                1.0 + 0.05 * (16.0 - temperature).max(0.0) + 0.08 * (temperature - 24.0).max(0.0)
            }
            Medium::Water => 1.0,
        };
        let step = (at_s / READ_EVERY_S as f64).floor() as i64;
        let chance = 0.6 + 0.8 * unit_at(self.seed, things::METER + self.number as u64, step);
        self.mean_per_h * READ_EVERY_S as f64 / 3_600.0 * people * comfort * chance
    }

    pub fn is_due(&self, second: i64) -> bool {
        second.rem_euclid(READ_EVERY_S) == self.offset_s
    }

    /// Reads the meter: the register moves on by what was used since the last reading.
    pub fn read(&mut self, sky: &Sky, at: Time) -> Vec<(&'static str, Members)> {
        let used_milli = (self.used(sky, super::weather::seconds(at)) * 1_000.0).round() as i64;
        self.register_milli += used_milli;
        let value = |milli: i64| observed(measure(rounded(milli as f64 / 1_000.0, 3), self.unit()), at);
        vec![("totalConsumption", value(self.register_milli)), ("intervalConsumption", value(used_milli))]
    }
}
