//! The requests of each workload: for a number, the bytes that go out and the answers that are right.
//!
//! An entity is about 1.5 kB: six properties, one with two instances by datasetId, some with unitCode
//! and observedAt, one relationship, one GeoProperty. A reading is one attribute instance. `bench/floor`
//! gives PostgreSQL the same entity; change both or neither.

use bytes::Bytes;
use city_model::Time;
use http::Method;
use std::fmt::Write;

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Workload {
    /// POST one new entity
    Create,
    /// PATCH one attribute of an entity
    UpdateAttribute,
    /// GET one entity by its id
    Retrieve,
    /// POST a batch of readings to /entityOperations/upsert?options=update
    Readings,
    /// GET entities by type and two q terms
    Query,
    /// GET entities near a point, within 500 m
    Near,
}

/// One request, ready to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prepared {
    pub method: Method,
    pub path: String,
    pub body: Bytes,
}

const TYPE: &str = "AirQualityObserved";
const READING_TYPE: &str = "SmartMeteringObservation";
/// Entities fall into so many categories; a query asks for one.
const CATEGORIES: u64 = 100;
/// South-western corner and side of the square, in degrees, over which entities are spread.
const CORNER: [f64; 2] = [139.0, 35.2];
const SIDE_DEG: f64 = 0.8;
const NEAR_M: u32 = 500;
const PAGE: u32 = 20;
const UPSERT: &str = "/ngsi-ld/v1/entityOperations/upsert";

impl Workload {
    pub fn name(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::UpdateAttribute => "update-attribute",
            Self::Retrieve => "retrieve",
            Self::Readings => "readings",
            Self::Query => "query",
            Self::Near => "near",
        }
    }

    /// The statuses that mean "done as asked". 207 means that a part was not.
    pub fn expects(self, status: u16) -> bool {
        match self {
            Self::Create => status == 201,
            Self::UpdateAttribute => status == 204,
            Self::Retrieve | Self::Query | Self::Near => status == 200,
            Self::Readings => status == 201 || status == 204,
        }
    }

    /// Whether the workload needs entities that are there before.
    pub fn needs_entities(self) -> bool {
        self != Self::Create
    }

    /// `number` counts the requests of the run, `chance` is random; `run` makes the ids of created
    /// entities new.
    pub fn prepare(self, run: u64, number: u64, chance: u64, entities: u64, batch: u64, now: Time) -> Prepared {
        let any = chance % entities.max(1);
        match self {
            Self::Create => {
                let mut body = String::with_capacity(2_048);
                write_entity(&mut body, &format!("new-{run:x}"), number, now);
                Prepared { method: Method::POST, path: "/ngsi-ld/v1/entities".to_owned(), body: body.into() }
            }
            Self::UpdateAttribute => Prepared {
                method: Method::PATCH,
                path: format!("/ngsi-ld/v1/entities/{}/attrs/relativeHumidity", id("bench", any)),
                body: property(&fraction(chance).to_string(), Some("P1"), Some(now)).into(),
            },
            Self::Retrieve => get(format!("/ngsi-ld/v1/entities/{}", id("bench", any))),
            Self::Readings => readings(number * batch, entities, batch, now),
            Self::Query => get(format!(
                "/ngsi-ld/v1/entities?type={TYPE}&q=category==%22{}%22;relativeHumidity%3E50&limit={PAGE}",
                category(chance)
            )),
            Self::Near => {
                let [lon, lat] = position(any);
                get(format!(
                    "/ngsi-ld/v1/entities?type={TYPE}&georel=near;maxDistance=={NEAR_M}&geometry=Point&coordinates=[{lon:.6},{lat:.6}]&limit={PAGE}"
                ))
            }
        }
    }

    /// The batch that brings entities `first..first + count` into the working set.
    pub fn preload(self, first: u64, count: u64, now: Time) -> Prepared {
        if self == Self::Readings {
            return readings(first, u64::MAX, count, now);
        }
        let mut body = String::with_capacity(2_048 * count as usize);
        for number in first..first + count {
            body.push(if number == first { '[' } else { ',' });
            write_entity(&mut body, "bench", number, now);
        }
        body.push(']');
        Prepared { method: Method::POST, path: UPSERT.to_owned(), body: body.into() }
    }
}

fn get(path: String) -> Prepared {
    Prepared { method: Method::GET, path, body: Bytes::new() }
}

fn id(family: &str, number: u64) -> String {
    format!("urn:ngsi-ld:{TYPE}:{family}:{number:08}")
}

/// Neighbouring batches take neighbouring entities, so that none stands twice in one batch.
fn readings(first: u64, entities: u64, batch: u64, now: Time) -> Prepared {
    let mut body = String::with_capacity(200 * batch as usize);
    for i in first..first + batch.min(entities) {
        body.push(if i == first { '[' } else { ',' });
        let number = i % entities;
        // A String takes every write.
        let _ = write!(
            body,
            r#"{{"id":"urn:ngsi-ld:{READING_TYPE}:bench:{number:08}","type":"{READING_TYPE}","totalConsumption":{}}}"#,
            property(&fraction(i).to_string(), Some("KWH"), Some(now))
        );
    }
    body.push(']');
    Prepared { method: Method::POST, path: format!("{UPSERT}?options=update"), body: body.into() }
}

fn property(value: &str, unit: Option<&str>, observed_at: Option<Time>) -> String {
    let unit = unit.map(|unit| format!(r#","unitCode":"{unit}""#)).unwrap_or_default();
    let observed = observed_at.map(|at| format!(r#","observedAt":"{at}""#)).unwrap_or_default();
    format!(r#"{{"type":"Property","value":{value}{unit}{observed}}}"#)
}

fn write_entity(body: &mut String, family: &str, number: u64, now: Time) {
    let [lon, lat] = position(number);
    let measure = |place: u64, unit| property(&fraction(number.wrapping_add(place)).to_string(), Some(unit), Some(now));
    let sensor = |which: &str, place: u64| {
        let whole = measure(place, "CEL");
        // The closing bracket makes place for one more member.
        format!(r#"{},"datasetId":"urn:ngsi-ld:Dataset:sensor-{which}"}}"#, &whole[..whole.len() - 1])
    };
    let _ = write!(
        body,
        concat!(
            r#"{{"id":"{id}","type":"{kind}","temperature":[{a},{b}],"relativeHumidity":{humidity},"NO2":{no2},"#,
            r#""category":{{"type":"Property","value":"{category}"}},"#,
            r#""address":{{"type":"Property","value":{{"addressCountry":"JP","addressRegion":"Simulated Prefecture","#,
            r#""addressLocality":"Minatomachi (simulated)","streetAddress":"{number} Kaigan-dori","postalCode":"000-0000"}}}},"#,
            r#""description":{{"type":"Property","value":"{description}"}},"#,
            r#""refBuilding":{{"type":"Relationship","object":"urn:ngsi-ld:Building:bench:{building:06}"}},"#,
            r#""location":{{"type":"GeoProperty","value":{{"type":"Point","coordinates":[{lon:.6},{lat:.6}]}}}}}}"#
        ),
        id = id(family, number),
        kind = TYPE,
        a = sensor("a", 1),
        b = sensor("b", 2),
        humidity = measure(3, "P1"),
        no2 = measure(4, "GQ"),
        category = category(number),
        number = number,
        description = DESCRIPTION,
        building = number / 10,
        lon = lon,
        lat = lat,
    );
}

/// Brings the entity to the size that cities' entities have.
const DESCRIPTION: &str = "Air quality station of the load generator, on the roof of a public building beside \
    a road with two lanes each way; measures temperature with two sensors, humidity and nitrogen dioxide once a \
    minute. The values are drawn at random, the place is spread evenly over a square, and no person, street or \
    building of this description exists. The text is here because entities of real cities carry such texts, \
    and a broker that is measured without them is measured at something that no city does with it, day by day.";

fn category(number: u64) -> String {
    format!("c{:02}", mix(number) % CATEGORIES)
}

/// 0.00 to 99.99
fn fraction(number: u64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "below 10,000")]
    let value = (mix(number) % 10_000) as f64;
    value / 100.0
}

pub fn position(number: u64) -> [f64; 2] {
    let at = |corner: f64, bits: u64| {
        #[expect(clippy::cast_precision_loss, reason = "below 2^32")]
        let share = (bits & 0xffff_ffff) as f64 / f64::from(u32::MAX);
        corner + SIDE_DEG * share
    };
    let place = mix(number.wrapping_add(0x5bd1_e995));
    [at(CORNER[0], place), at(CORNER[1], place >> 32)]
}

/// SplitMix64's last step: spreads neighbouring numbers over all 64 bits.
pub fn mix(number: u64) -> u64 {
    let mut z = number.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;
    use std::collections::BTreeSet;

    fn now() -> Time {
        Time::parse("2026-06-16T15:00:00.123456Z").unwrap()
    }

    #[test]
    fn an_entity_is_what_the_benchmark_promises() {
        let prepared = Workload::Create.prepare(1, 7, 0, 1, 1, now());
        assert!((1_400..1_650).contains(&prepared.body.len()), "{}", prepared.body.len());
        let entity: Value = serde_json::from_slice(&prepared.body).unwrap();
        let of_type = |kind: &str| {
            let own = |value: &Value| value["type"] == kind || value[0]["type"] == kind;
            entity.as_object().unwrap().values().filter(|value| own(value)).count()
        };
        assert_eq!((of_type("Property"), of_type("Relationship"), of_type("GeoProperty")), (6, 1, 1));
        assert_eq!(entity["temperature"].as_array().unwrap().len(), 2);
        assert_ne!(entity["temperature"][0]["datasetId"], entity["temperature"][1]["datasetId"]);
        assert_eq!(entity["NO2"]["observedAt"], "2026-06-16T15:00:00.123456Z");
    }

    #[test]
    fn what_goes_out_is_valid_ngsi_ld() {
        use city_ngsi_ld::{ContextStore, Mode, parse_batch, parse_entity};
        let core = ContextStore::new().core();
        parse_entity(&Workload::Create.prepare(1, 7, 0, 1, 1, now()).body, &core, Mode::Create).unwrap();
        let batch = Workload::Readings.prepare(1, 7, 0, 1_000, 50, now()).body;
        for fragment in parse_batch(&batch).unwrap() {
            parse_entity(fragment.get().as_bytes(), &core, Mode::Fragment).unwrap();
        }
    }

    #[test]
    fn a_batch_of_readings_names_every_entity_once_and_batches_go_round_the_working_set() {
        let mut seen = BTreeSet::new();
        for number in 0..4 {
            let prepared = Workload::Readings.prepare(1, number, 99, 120, 50, now());
            let batch: Vec<Value> = serde_json::from_slice(&prepared.body).unwrap();
            let ids: BTreeSet<String> = batch.iter().map(|f| f["id"].as_str().unwrap().to_owned()).collect();
            assert_eq!(ids.len(), 50);
            seen.extend(ids);
        }
        assert_eq!(seen.len(), 120);
        let small: Vec<Value> =
            serde_json::from_slice(&Workload::Readings.prepare(1, 3, 0, 20, 50, now()).body).unwrap();
        assert_eq!(small.len(), 20, "a batch never names an entity twice");
    }

    #[test]
    fn what_is_preloaded_is_what_is_asked_for() {
        let batch: Vec<Value> = serde_json::from_slice(&Workload::Retrieve.preload(10, 5, now()).body).unwrap();
        let ids: Vec<_> = batch.iter().map(|entity| entity["id"].as_str().unwrap()).collect();
        assert_eq!(ids.len(), 5);
        let asked = Workload::Retrieve.prepare(1, 0, 12, 1_000, 1, now());
        assert_eq!(asked.path, format!("/ngsi-ld/v1/entities/{}", ids[2]));
    }

    #[test]
    fn every_path_is_a_valid_target() {
        for workload in [Workload::Query, Workload::Near, Workload::UpdateAttribute, Workload::Readings] {
            let path = workload.prepare(1, 2, 3, 100, 10, now()).path;
            path.parse::<http::uri::PathAndQuery>().unwrap();
        }
    }
}
