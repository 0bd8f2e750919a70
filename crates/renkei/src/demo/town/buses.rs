//! Buses to and fro on their lines: for an instant, where each bus is and how full.

use super::document::{Document, Members, geo_property, id, measure, observed, property, rounded};
use super::ground::{Ground, Place, line};
use super::weather::{daily_bell, is_weekend, local_hour, seconds};
use city_model::Time;
use serde_json::{Value, json};

const BUSES_PER_LINE: usize = 3;
const SEATS: u32 = 70;
const STOP_EVERY_M: f64 = 400.0;
const DWELL_S: f64 = 20.0;
const LAYOVER_S: f64 = 180.0;
/// First departure and last arrival, in hours of Japan.
const SERVICE: std::ops::Range<f64> = 5.5..23.5;

#[derive(Debug, Clone)]
pub struct Line {
    number: usize,
    names: (&'static str, &'static str),
    pub path: Vec<Place>,
    pub length_m: f64,
    speed_m_per_s: f64,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Motion {
    pub place: Place,
    speed_m_per_s: f64,
    heading_deg: f64,
    in_service: bool,
}

/// The four lines follow streets and avenues, and cross the river by its bridges.
pub fn lines() -> Vec<Line> {
    let avenues: Vec<_> = Ground::avenues().collect();
    let streets: Vec<_> = Ground::streets().collect();
    let at = |avenue: usize, street: usize| Place::new(avenues[avenue], streets[street]);
    let routes = [
        (("港循環線", "Harbour Line"), vec![at(0, 0), at(4, 0), at(4, 1), at(9, 1)]),
        (("中央線", "Central Line"), vec![at(2, 1), at(2, 4), at(9, 4), at(9, 8)]),
        (("丘の手線", "Hillside Line"), vec![at(0, 8), at(0, 7), at(8, 7), at(8, 4)]),
        (("縦貫線", "North-South Line"), vec![at(3, 0), at(3, 4), at(1, 4), at(1, 9)]),
    ];
    routes
        .into_iter()
        .enumerate()
        .map(|(i, (names, path))| {
            let length_m = path.windows(2).map(|leg| leg[0].distance_m(leg[1])).sum();
            Line { number: i + 1, names, path, length_m, speed_m_per_s: 7.5 + 0.5 * i as f64 }
        })
        .collect()
}

impl Line {
    fn id(&self) -> String {
        id("PublicTransportRoute", &format!("Line{}", self.number))
    }

    /// So many metres from the first stop.
    pub fn place(&self, along_m: f64) -> (Place, f64) {
        let mut left = along_m.clamp(0.0, self.length_m);
        let last = self.path.len() - 2;
        for (i, leg) in self.path.windows(2).enumerate() {
            let length = leg[0].distance_m(leg[1]);
            if left <= length || i == last {
                let heading = (leg[1].x_m - leg[0].x_m).atan2(leg[1].y_m - leg[0].y_m).to_degrees();
                return (leg[0].towards(leg[1], (left / length).min(1.0)), heading.rem_euclid(360.0));
            }
            left -= length;
        }
        (self.path[0], 0.0)
    }

    pub fn entities(&self, ground: &Ground) -> Vec<Value> {
        let mut entities = vec![
            Document::entity("PublicTransportRoute", &format!("Line{}", self.number), "/Minatomachi")
                .named(self.names.0, self.names.1)
                .property("routeCode", format!("M{}", self.number))
                .measure("length", rounded(self.length_m, 0), "MTR")
                .location(line(&self.path))
                .into_value(),
        ];
        let stops = (self.length_m / STOP_EVERY_M) as usize;
        entities.extend((0..=stops).map(|stop| {
            let (place, _) = self.place(stop as f64 * STOP_EVERY_M);
            let ward = ground.ward(place);
            Document::entity(
                "PublicTransportStop",
                &format!("Line{}-{:02}", self.number, stop + 1),
                &Ground::scope(ward),
            )
            .named(&format!("{} 停留所{}", self.names.0, stop + 1), &format!("{}, stop {}", self.names.1, stop + 1))
            .relationship("line", &self.id())
            .relationship("ward", &Ground::ward_id(ward))
            .location(place.point())
            .into_value()
        }));
        entities
    }

    pub fn buses(&self) -> impl Iterator<Item = usize> {
        0..BUSES_PER_LINE
    }

    /// To the far end with a stop every `STOP_EVERY_M`, a rest, and back.
    pub fn motion(&self, bus: usize, at_s: f64) -> Motion {
        let (place, heading_deg) = self.place(0.0);
        if !SERVICE.contains(&local_hour(at_s)) {
            return Motion { place, speed_m_per_s: 0.0, heading_deg, in_service: false };
        }
        let leg_s = STOP_EVERY_M / self.speed_m_per_s + DWELL_S;
        let full_legs = (self.length_m / STOP_EVERY_M).floor();
        let rest_m = self.length_m - full_legs * STOP_EVERY_M;
        let there_s = full_legs * leg_s + DWELL_S + rest_m / self.speed_m_per_s;
        let round_s = 2.0 * (there_s + LAYOVER_S);
        // The day's first departure is at the opening of service, the other buses follow evenly. A round
        // that would not end before service does is not begun.
        let since_s = (local_hour(at_s) - SERVICE.start) * 3_600.0;
        let driven_s = since_s - round_s * bus as f64 / BUSES_PER_LINE as f64;
        let clock = driven_s.rem_euclid(round_s);
        let ends_s = since_s - clock + round_s;
        if driven_s < 0.0 || ends_s > (SERVICE.end - SERVICE.start) * 3_600.0 {
            return Motion { place, speed_m_per_s: 0.0, heading_deg, in_service: true };
        }
        let back = clock >= round_s / 2.0;
        let way_s = if back { clock - round_s / 2.0 } else { clock };
        let legs = (way_s.min(there_s) / leg_s).floor();
        let in_leg_s = way_s.min(there_s) - legs * leg_s;
        let moving = way_s < there_s && in_leg_s > DWELL_S;
        let along = (legs * STOP_EVERY_M + (in_leg_s - DWELL_S).max(0.0) * self.speed_m_per_s).min(self.length_m);
        let (place, heading) = self.place(if back { self.length_m - along } else { along });
        Motion {
            place,
            speed_m_per_s: if moving { self.speed_m_per_s } else { 0.0 },
            heading_deg: if back { (heading + 180.0).rem_euclid(360.0) } else { heading },
            in_service: true,
        }
    }

    fn passengers(&self, motion: &Motion, at_s: f64) -> u32 {
        if !motion.in_service {
            return 0;
        }
        let hour = local_hour(at_s);
        let rush = daily_bell(hour, 7.8, 1.0) + 0.85 * daily_bell(hour, 18.0, 1.5);
        let share = 0.12 + if is_weekend(at_s) { 0.25 * daily_bell(hour, 14.0, 3.0) } else { 0.7 * rush };
        // Fullest half way, empty at the ends of the town.
        let central = 1.0 - (motion.place.distance_m(Place::new(0.0, 1_000.0)) / 4_000.0).min(0.8);
        ((f64::from(SEATS) * share * central).round() as u32).min(SEATS)
    }

    fn local_id(&self, bus: usize) -> String {
        format!("Bus{}-{}", self.number, bus + 1)
    }

    pub fn bus_entity(&self, bus: usize) -> Value {
        Document::entity("Vehicle", &self.local_id(bus), "/Minatomachi")
            .named(&format!("{} {}号車", self.names.0, bus + 1), &format!("{}, bus {}", self.names.1, bus + 1))
            .property("vehicleType", "bus")
            .property("capacity", SEATS)
            .relationship("line", &self.id())
            .location(self.path[0].point())
            .into_value()
    }

    pub fn is_in_service(at: Time) -> bool {
        SERVICE.contains(&local_hour(seconds(at)))
    }

    pub fn reading(&self, bus: usize, at: Time) -> Value {
        Document::fragment("Vehicle", &self.local_id(bus)).attributes(self.readings(bus, at)).into_value()
    }

    pub fn readings(&self, bus: usize, at: Time) -> Vec<(&'static str, Members)> {
        let motion = self.motion(bus, seconds(at));
        let status = if motion.in_service { "onRoute" } else { "parked" };
        vec![
            ("location", observed(geo_property(motion.place.point()), at)),
            ("speed", observed(measure(rounded(motion.speed_m_per_s * 3.6, 1), "KMH"), at)),
            ("heading", observed(measure(rounded(motion.heading_deg, 0), "DD"), at)),
            ("passengerCount", observed(property(json!(self.passengers(&motion, seconds(at)))), at)),
            ("serviceStatus", observed(property(json!(status)), at)),
        ]
    }

    pub fn bus_ids(&self, bus: usize) -> (&'static str, String) {
        ("Vehicle", self.local_id(bus))
    }
}
