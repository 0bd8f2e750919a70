//! What runs when: the tables of a feed, indexed by stop, so that the next departures are found without a scan.

mod build;
mod next;

use std::collections::HashMap;

use chrono::NaiveDate;
use city_model::Time;

use crate::calendar::Service;
pub use next::{DAYS_MAX, DEPARTURES_MAX};

/// Most stops of a feed.
pub const STOPS_MAX: usize = 1_000_000;
/// Most trips of a feed.
pub const TRIPS_MAX: usize = 4_000_000;
/// Most stop times of a feed; each takes 28 bytes of memory.
pub const STOP_TIMES_MAX: usize = 15_000_000;
/// Most rows of any other file.
pub const ROWS_MAX: usize = 4_000_000;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Agency {
    /// Blank where the feed has but one and does not name it.
    pub id: Box<str>,
    pub name: Box<str>,
    pub url: Option<Box<str>>,
    pub zone: Box<str>,
    pub lang: Option<Box<str>>,
    pub phone: Option<Box<str>>,
}

/// `location_type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LocationType {
    Stop,
    Station,
    Entrance,
    GenericNode,
    BoardingArea,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Stop {
    pub id: Box<str>,
    pub code: Option<Box<str>>,
    pub name: Option<Box<str>>,
    pub description: Option<Box<str>>,
    /// Longitude and latitude in degrees of WGS 84, digit for digit.
    pub place: Option<(Box<str>, Box<str>)>,
    pub kind: LocationType,
    pub parent: Option<Box<str>>,
    pub platform: Option<Box<str>>,
    pub wheelchair: Option<bool>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    pub id: Box<str>,
    pub agency: Option<Box<str>>,
    pub short_name: Option<Box<str>>,
    pub long_name: Option<Box<str>>,
    pub description: Option<Box<str>>,
    /// `route_type`: 0 tram, 1 subway, 2 rail, 3 bus, 4 ferry …
    pub kind: u16,
    pub color: Option<Box<str>>,
    pub text_color: Option<Box<str>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trip {
    pub id: Box<str>,
    pub route: u32,
    service: u32,
    pub headsign: Option<Box<str>>,
    pub short_name: Option<Box<str>>,
    pub direction: Option<u8>,
    /// Where its stop times are.
    first: u32,
    end: u32,
}

/// Not said, and nothing to tell it from.
const NO_TIME: u32 = u32::MAX;

/// Seconds count from noon minus twelve hours of the service day.
#[derive(Debug, Clone, Copy)]
struct StopTime {
    trip: u32,
    stop: u32,
    sequence: u32,
    arrival: u32,
    departure: u32,
    /// Whether one may get on here.
    is_pickup: bool,
}

/// A trip that runs again and again (`frequencies.txt`).
#[derive(Debug, Clone, Copy)]
struct Frequency {
    start: u32,
    end: u32,
    every: u32,
}

/// A feed, as far as one must know it to say what leaves when.
#[derive(Debug)]
pub struct Timetable {
    pub agencies: Vec<Agency>,
    pub stops: Vec<Stop>,
    pub routes: Vec<Route>,
    pub trips: Vec<Trip>,
    zone: chrono_tz::Tz,
    services: Vec<Service>,
    /// By trip, in the order of its stops.
    times: Vec<StopTime>,
    /// Places in `times` by stop, and in the order of departure; of the stop at `n` from `starts[n]` on.
    by_stop: Vec<u32>,
    starts: Vec<u32>,
    frequencies: HashMap<u32, Vec<Frequency>>,
    stop_numbers: HashMap<Box<str>, u32>,
    trip_numbers: HashMap<Box<str>, u32>,
    /// Stops below each station.
    children: HashMap<u32, Vec<u32>>,
    /// The latest departure, in seconds of its service day.
    latest: u32,
    /// About the memory it takes, in bytes.
    weight: usize,
}

/// What leaves a stop.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Departure<'t> {
    pub at: Time,
    pub stop: &'t str,
    pub platform: Option<&'t str>,
    pub trip: &'t str,
    pub route: &'t Route,
    pub headsign: Option<&'t str>,
    pub direction: Option<u8>,
    /// `stop_sequence`.
    pub sequence: u32,
    pub service_day: NaiveDate,
    /// It runs every so many seconds, and the time is one of many.
    pub every_seconds: Option<u32>,
}

impl Timetable {
    #[must_use]
    pub fn stop(&self, id: &str) -> Option<&Stop> {
        self.stop_numbers.get(id).and_then(|number| self.stops.get(*number as usize))
    }

    #[must_use]
    pub fn trip(&self, id: &str) -> Option<&Trip> {
        self.trip_numbers.get(id).and_then(|number| self.trips.get(*number as usize))
    }

    /// The country whose names and numbers the feed has, by its time zone; unknown ones are `ZZ`.
    #[must_use]
    pub fn country(&self) -> &'static str {
        if self.zone == chrono_tz::Asia::Tokyo { "JP" } else { "ZZ" }
    }

    /// How many stop times there are.
    #[must_use]
    pub fn stop_times(&self) -> usize {
        self.times.len()
    }

    /// The last day on which anything runs.
    #[must_use]
    pub fn last_day(&self) -> Option<NaiveDate> {
        self.services.iter().filter_map(Service::last).max()
    }

    /// About the memory it takes, in bytes.
    #[must_use]
    pub fn weight(&self) -> usize {
        self.weight
    }
}
