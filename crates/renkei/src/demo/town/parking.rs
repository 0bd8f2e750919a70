//! Car parks that fill and empty with the town's day.

use super::document::{Document, Members, observed, property};
use super::ground::{Ground, Place};
use super::random::{Random, wander};
use super::things;
use super::weather::{daily_bell, is_weekend, local_hour, seconds};
use city_model::Time;
use serde_json::{Value, json};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Habit {
    /// Office workers: full on weekdays by day.
    Commuters,
    /// Fuller in the evening and at weekends.
    Shoppers,
    /// Full by night.
    Residents,
}

#[derive(Debug, Clone)]
pub struct Parking {
    number: usize,
    names: (&'static str, &'static str),
    habit: Habit,
    pub spots: u32,
    place: Place,
    ward: usize,
    seed: u64,
}

pub fn lots(ground: &Ground, random: &mut Random, seed: u64) -> Vec<Parking> {
    let named = [
        ("港駅前駐車場", "Station Square car park", Habit::Commuters, -150.0, 950.0),
        ("市役所駐車場", "Town Hall car park", Habit::Commuters, -350.0, 1_250.0),
        ("魚市場駐車場", "Fish Market car park", Habit::Shoppers, -1_000.0, 300.0),
        ("中央商店街駐車場", "Central Arcade car park", Habit::Shoppers, 150.0, 1_150.0),
        ("川東ショッピング駐車場", "Kawahigashi Mall car park", Habit::Shoppers, 1_300.0, 900.0),
        ("丘団地駐車場", "Oka Estate car park", Habit::Residents, -300.0, 2_350.0),
        ("新町駐車場", "Shinmachi car park", Habit::Residents, 1_250.0, 2_100.0),
        ("松原公園駐車場", "Matsubara Park car park", Habit::Shoppers, -1_450.0, 1_950.0),
    ];
    named
        .into_iter()
        .enumerate()
        .map(|(i, (ja, en, habit, x_m, y_m))| {
            let place = Place::new(x_m, y_m);
            let spots = 40 + 20 * random.below(18) as u32;
            Parking { number: i + 1, names: (ja, en), habit, spots, place, ward: ground.ward(place), seed }
        })
        .collect()
}

impl Parking {
    pub fn ids(&self) -> (&'static str, String) {
        ("OffStreetParking", format!("{:02}", self.number))
    }

    #[cfg(test)]
    pub fn id(&self) -> String {
        super::document::id(self.ids().0, &self.ids().1)
    }

    pub fn entity(&self) -> Value {
        let (kind, local) = self.ids();
        Document::entity(kind, &local, &Ground::scope(self.ward))
            .named(self.names.0, self.names.1)
            .property("totalSpotNumber", self.spots)
            .relationship("ward", &Ground::ward_id(self.ward))
            .location(self.place.point())
            .into_value()
    }

    /// 0 to `spots`.
    pub fn free(&self, at_s: f64) -> u32 {
        let hour = local_hour(at_s);
        let weekend = is_weekend(at_s);
        let full = match self.habit {
            Habit::Commuters => 0.08 + if weekend { 0.15 } else { 0.88 } * daily_bell(hour, 12.8, 3.4),
            Habit::Shoppers => {
                0.05 + if weekend { 0.95 } else { 0.6 } * daily_bell(hour, 15.0, 2.8)
                    + 0.2 * daily_bell(hour, 19.0, 1.5)
            }
            Habit::Residents => 0.95 - if weekend { 0.3 } else { 0.6 } * daily_bell(hour, 13.0, 3.6),
        };
        let noise = 0.05 * wander(self.seed, things::PARKING + self.number as u64, at_s, 900.0);
        let taken = (f64::from(self.spots) * (full + noise).clamp(0.0, 1.0)).round() as u32;
        self.spots.saturating_sub(taken)
    }

    pub fn readings(&self, at: Time) -> Vec<(&'static str, Members)> {
        let free = self.free(seconds(at));
        vec![
            ("availableSpotNumber", observed(property(json!(free)), at)),
            ("occupiedSpotNumber", observed(property(json!(self.spots - free)), at)),
        ]
    }
}
