//! The town's instruments: two weather stations and two river gauges.

use super::ThingReadings;
use super::document::{Document, measure, observed, property, rounded};
use super::ground::{Ground, Place};
use super::water::{self, Gauge};
use super::weather::{Sky, Station, seconds};
use city_model::Time;
use serde_json::{Value, json};

const STATIONS: [(Station, &str); 2] = [(Station::Harbour, "Harbour"), (Station::Hills, "Hills")];
const GAUGES: [(Gauge, &str); 2] = [(Gauge::Upper, "Upper"), (Gauge::Mouth, "Mouth")];

pub fn entities(ground: &Ground) -> Vec<Value> {
    let station = |local: &str, ja: &str, en: &str, place: Place| {
        Document::entity("WeatherObserved", local, "/Minatomachi").named(ja, en).location(place.point()).into_value()
    };
    let gauge = |local: &str, ja: &str, en: &str, y_m: f64| {
        let place = Place::new(ground.river_m(y_m), y_m);
        let entity = Document::entity("WaterObserved", local, "/Minatomachi")
            .named(ja, en)
            .relationship("river", &Ground::river_id())
            .location(place.point());
        water::LEVELS_M.iter().fold(entity, |entity, (name, level)| entity.measure(name, *level, "MTR")).into_value()
    };
    vec![
        station("Harbour", "港気象観測所（模擬）", "Harbour weather station (simulated)", Place::new(-600.0, 250.0)),
        station("Hills", "上流気象観測所（模擬）", "Upstream weather station (simulated)", Place::new(900.0, 12_000.0)),
        gauge("Upper", "港川上流水位計（模擬）", "Minato River, upper gauge (simulated)", 2_600.0),
        gauge("Mouth", "港川河口水位計（模擬）", "Minato River, mouth gauge (simulated)", 260.0),
    ]
}

pub fn readings(sky: &Sky, at: Time) -> Vec<ThingReadings> {
    let at_s = seconds(at);
    let mut all: Vec<ThingReadings> = Vec::new();
    for (station, local) in STATIONS {
        let air = sky.air(station, at_s);
        let read = |value: f64, decimals: i32, unit: &str| observed(measure(rounded(value, decimals), unit), at);
        all.push((
            "WeatherObserved",
            local.to_owned(),
            vec![
                ("temperature", read(air.temperature_c, 1, "CEL")),
                // A share from 0 to 1, as in the Smart Data Model.
                ("relativeHumidity", read(air.humidity, 2, "C62")),
                ("atmosphericPressure", read(air.pressure_hpa, 1, "A97")),
                // Millimetres per hour at the moment of reading.
                ("precipitation", read(air.rain_mm_per_h, 1, "H67")),
                ("windSpeed", read(air.wind_m_per_s, 1, "MTS")),
                ("windDirection", read(air.wind_from_deg, 0, "DD")),
            ],
        ));
    }
    for (gauge, local) in GAUGES {
        let level = rounded(water::level_m(sky, gauge, at_s), 2);
        let status = water::LEVELS_M.iter().rev().find(|(_, from)| level >= *from).map_or("normal", |(name, _)| name);
        all.push((
            "WaterObserved",
            local.to_owned(),
            vec![
                ("waterLevel", observed(measure(level, "MTR"), at)),
                ("waterDischarge", observed(measure(rounded(water::discharge_m3_per_s(level), 1), "MQS"), at)),
                ("levelStatus", observed(property(json!(status)), at)),
            ],
        ));
    }
    all
}
