//! Minatomachi (港町), a town that does not exist: from a seed comes its ground and buildings, from
//! the seed and an instant come its readings.
//!
//! Nothing here knows a clock, a socket or a file. Every entity says that it is simulated. Sky, river,
//! buses and car parks are functions of seed and time; only meters remember, since registers rise.

mod buildings;
mod buses;
mod document;
mod ground;
mod meters;
mod parking;
mod random;
mod stations;
mod things;
mod water;
mod weather;

#[cfg(test)]
mod tests;

use city_model::Time;
use document::{Document, Members};
use random::Random;
use serde_json::Value;
use std::collections::BTreeMap;

const SECOND: i64 = 1_000_000;
const MINUTE_S: i64 = 60;
const BUS_EVERY_S: i64 = 5;
/// In the stored history buses and stations are kept coarser than live.
const HISTORY_BUS_EVERY_S: i64 = 60;
const HISTORY_STATION_EVERY_S: i64 = 600;
/// A step that comes later than this continues from here; the gap stays a gap, as with a broken line.
pub const CATCH_UP_S_MAX: i64 = 2 * 3_600;
/// Longest stretch that `history` describes in one call.
pub const HISTORY_S_MAX: i64 = 31 * 86_400;

/// Type, local id and readings of one thing.
type ThingReadings = (&'static str, String, Vec<(&'static str, Members)>);

/// The whole town.
#[derive(Debug, Clone)]
pub struct Town {
    ground: ground::Ground,
    buildings: Vec<buildings::Building>,
    lines: Vec<buses::Line>,
    parking: Vec<parking::Parking>,
    meters: Vec<meters::Meter>,
    sky: weather::Sky,
    /// The last second whose readings were given out.
    told_s: Option<i64>,
}

/// What was measured at one instant: fragments for `/entityOperations/upsert?options=update`, each of
/// another entity.
#[derive(Debug, Clone, PartialEq)]
pub struct Readings {
    pub observed_at: Time,
    pub fragments: Vec<Value>,
}

impl Town {
    /// The same seed gives the same town, on every machine.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let mut random = Random::new(seed);
        let ground = ground::Ground::new(&mut random);
        let buildings = buildings::build(&ground, &mut random);
        let parking = parking::lots(&ground, &mut random, seed);
        let meters = meters::install(&buildings, &mut random, seed);
        let (lines, sky) = (buses::lines(), weather::Sky::new(seed));
        Self { ground, buildings, lines, parking, meters, sky, told_s: None }
    }

    /// All entities as they stand before the first reading: normalised, in the core context, those that
    /// others point to first.
    #[must_use]
    pub fn entities(&self) -> Vec<Value> {
        let mut entities = self.ground.entities();
        entities.extend(self.buildings.iter().map(buildings::Building::entity));
        entities.extend(buildings::shelters(&self.buildings));
        entities.extend(stations::entities(&self.ground));
        for line in &self.lines {
            entities.extend(line.entities(&self.ground));
            entities.extend(line.buses().map(|bus| line.bus_entity(bus)));
        }
        entities.extend(self.parking.iter().map(parking::Parking::entity));
        entities.extend(self.meters.iter().map(meters::Meter::entity));
        entities
    }

    /// Everything measured after the last step (or history) up to and including `virtual_now`, in order
    /// of time. The first step of a town without history gives what is due in the second of `virtual_now`,
    /// and one reading of everything but the meters, so that nothing stays blank.
    pub fn step(&mut self, virtual_now: Time) -> Vec<Readings> {
        let now_s = virtual_now.as_micros().div_euclid(SECOND);
        let mut all = Vec::new();
        let Some(told_s) = self.told_s else {
            let at = Time::from_micros(now_s * SECOND);
            let mut first = self.read_stations(at);
            first.extend(self.read_buses(at));
            first.extend(self.read_meters(now_s));
            self.told_s = Some(now_s);
            return vec![Readings { observed_at: at, fragments: first }];
        };
        for second in told_s.max(now_s - CATCH_UP_S_MAX) + 1..=now_s {
            let at = Time::from_micros(second * SECOND);
            let mut fragments = Vec::new();
            if second % MINUTE_S == 0 {
                fragments.extend(self.read_stations(at));
            }
            // A bus in its depot only says so once a minute.
            let bus_every_s = if buses::Line::is_in_service(at) { BUS_EVERY_S } else { MINUTE_S };
            if second % bus_every_s == 0 {
                fragments.extend(self.read_buses(at));
            }
            fragments.extend(self.read_meters(second));
            if !fragments.is_empty() {
                all.push(Readings { observed_at: at, fragments });
            }
        }
        self.told_s = Some(now_s.max(told_s));
        all
    }

    /// The past from `from` (included) to `to` (not included) as temporal entities (past-only), one for each
    /// thing that measures; at most `HISTORY_S_MAX` before `to`. Steps go on where it ends. Buses tell their
    /// place once a minute, stations and car parks speak every ten minutes, meters at each reading.
    pub fn history(&mut self, from: Time, to: Time) -> Vec<Value> {
        let to_s = to.as_micros().div_euclid(SECOND);
        let from_s = from.as_micros().div_euclid(SECOND).max(to_s - HISTORY_S_MAX);
        let mut past = Past::default();
        for second in (from_s..to_s).filter(|second| second % MINUTE_S == 0) {
            let at = Time::from_micros(second * SECOND);
            if second % HISTORY_STATION_EVERY_S == 0 {
                for (kind, local, readings) in self.station_readings(at) {
                    past.add(kind, local, readings);
                }
            }
            if second % HISTORY_BUS_EVERY_S == 0 && buses::Line::is_in_service(at) {
                for line in &self.lines {
                    for bus in line.buses() {
                        let (kind, local) = line.bus_ids(bus);
                        past.add(kind, local, line.readings(bus, at).into_iter().take(1));
                    }
                }
            }
        }
        for meter in &mut self.meters {
            let (kind, local) = meter.ids();
            let first = from_s + (meter.offset_s - from_s).rem_euclid(meters::READ_EVERY_S);
            for second in (first..to_s).step_by(meters::READ_EVERY_S as usize) {
                past.add(kind, local.clone(), meter.read(&self.sky, Time::from_micros(second * SECOND)));
            }
        }
        if to_s > from_s {
            self.told_s = Some(to_s - 1);
        }
        past.into_documents()
    }

    fn station_readings(&self, at: Time) -> Vec<ThingReadings> {
        let mut all = stations::readings(&self.sky, at);
        all.extend(self.parking.iter().map(|parking| {
            let (kind, local) = parking.ids();
            (kind, local, parking.readings(at))
        }));
        all
    }

    fn read_stations(&self, at: Time) -> Vec<Value> {
        self.station_readings(at)
            .into_iter()
            .map(|(kind, local, readings)| Document::fragment(kind, &local).attributes(readings).into_value())
            .collect()
    }

    fn read_buses(&self, at: Time) -> Vec<Value> {
        self.lines.iter().flat_map(|line| line.buses().map(|bus| line.reading(bus, at))).collect()
    }

    fn read_meters(&mut self, second: i64) -> Vec<Value> {
        let at = Time::from_micros(second * SECOND);
        let sky = self.sky;
        self.meters
            .iter_mut()
            .filter(|meter| meter.is_due(second))
            .map(|meter| {
                let (kind, local) = meter.ids();
                Document::fragment(kind, &local).attributes(meter.read(&sky, at)).into_value()
            })
            .collect()
    }
}

/// Readings gathered by entity and attribute.
#[derive(Default)]
struct Past {
    entities: BTreeMap<(&'static str, String), BTreeMap<&'static str, Vec<Value>>>,
}

impl Past {
    fn add(&mut self, kind: &'static str, local: String, readings: impl IntoIterator<Item = (&'static str, Members)>) {
        let entity = self.entities.entry((kind, local)).or_default();
        for (name, instance) in readings {
            entity.entry(name).or_default().push(Value::Object(instance));
        }
    }

    fn into_documents(self) -> Vec<Value> {
        self.entities
            .into_iter()
            .map(|((kind, local), attributes)| {
                attributes
                    .into_iter()
                    .fold(Document::fragment(kind, &local), |document, (name, instances)| {
                        document.member(name, Value::Array(instances))
                    })
                    .into_value()
            })
            .collect()
    }
}
