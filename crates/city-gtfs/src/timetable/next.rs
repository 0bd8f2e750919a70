//! What leaves a stop next.

use chrono::{Days, LocalResult, NaiveDate, NaiveTime, TimeZone};
use city_model::Time;

use super::{Departure, NO_TIME, StopTime, Timetable};

/// Days that are looked through.
pub const DAYS_MAX: u64 = 8;
/// Most departures of one answer.
pub const DEPARTURES_MAX: usize = 500;
const DAY_SECONDS: u32 = 86_400;

impl Timetable {
    /// The next departures from a stop, or from all stops of a station, within eight days.
    #[must_use]
    pub fn departures(&self, stop: &str, from: Time, limit: usize) -> Vec<Departure<'_>> {
        let limit = limit.min(DEPARTURES_MAX);
        let Some(today) = self.day_of(from) else { return Vec::new() };
        let stops = self.stops_of(stop);
        // A trip that began days ago may pass today.
        let back = u64::from(self.latest / DAY_SECONDS) + 1;
        let Some(first) = today.checked_sub_days(Days::new(back)) else { return Vec::new() };
        let mut found: Vec<Departure> = Vec::new();
        for day in first.iter_days().take((back + DAYS_MAX) as usize) {
            let Some(begin) = self.begin(day) else { continue };
            if found.len() >= limit && found.last().is_some_and(|last| last.at.as_micros() < begin) {
                break;
            }
            let waited = u64::try_from(from.as_micros() - begin).unwrap_or(0);
            let after = u32::try_from(waited.div_ceil(1_000_000)).unwrap_or(NO_TIME);
            for stop in &stops {
                self.of_day(*stop, day, begin, after, limit, &mut found);
            }
            found.sort_by(|a, b| (a.at, a.trip).cmp(&(b.at, b.trip)));
            found.truncate(limit);
        }
        found
    }

    /// A station's stops leave together.
    fn stops_of(&self, stop: &str) -> Vec<u32> {
        let Some(own) = self.stop_numbers.get(stop).copied() else { return Vec::new() };
        let below = self.children.get(&own).into_iter().flatten().copied();
        std::iter::once(own).chain(below).collect()
    }

    fn of_day<'t>(
        &'t self,
        stop: u32,
        day: NaiveDate,
        begin: i64,
        after: u32,
        limit: usize,
        found: &mut Vec<Departure<'t>>,
    ) {
        let range = self.starts.get(stop as usize).zip(self.starts.get(stop as usize + 1));
        let own = range.and_then(|(start, end)| self.by_stop.get(*start as usize..*end as usize)).unwrap_or_default();
        let time = |place: &u32| self.times.get(*place as usize);
        let next = own.partition_point(|place| time(place).is_some_and(|time| time.departure < after));
        let mut taken = 0;
        for time in own.iter().skip(next).filter_map(time) {
            if taken >= limit || time.departure == NO_TIME {
                break;
            }
            if !self.frequencies.contains_key(&time.trip) && self.leaves(time, day) {
                taken += usize::from(self.push(time, day, begin, time.departure, None, found));
            }
        }
        if self.frequencies.is_empty() {
            return;
        }
        for time in own.iter().filter_map(time) {
            let Some(frequencies) = self.frequencies.get(&time.trip) else { continue };
            if time.departure == NO_TIME || !self.leaves(time, day) {
                continue;
            }
            let first = self.trips.get(time.trip as usize).and_then(|trip| self.times.get(trip.first as usize));
            let offset = time.departure.saturating_sub(first.map_or(0, |first| first.departure));
            for frequency in frequencies {
                let skipped = after.saturating_sub(frequency.start + offset).div_ceil(frequency.every);
                let runs = (skipped..).map(|run| frequency.start.saturating_add(run.saturating_mul(frequency.every)));
                for start in runs.take_while(|start| *start < frequency.end).take(limit) {
                    self.push(time, day, begin, start + offset, Some(frequency.every), found);
                }
            }
        }
    }

    /// Whether one may get on: not at a trip's last stop, and on days on which it runs.
    fn leaves(&self, time: &StopTime, day: NaiveDate) -> bool {
        let Some(trip) = self.trips.get(time.trip as usize) else { return false };
        let last = (trip.end as usize).checked_sub(1).and_then(|last| self.times.get(last));
        let is_last = last.is_some_and(|last| last.sequence == time.sequence);
        time.is_pickup && !is_last && self.services.get(trip.service as usize).is_some_and(|one| one.runs_on(day))
    }

    fn push<'t>(
        &'t self,
        time: &StopTime,
        service_day: NaiveDate,
        begin: i64,
        seconds: u32,
        every_seconds: Option<u32>,
        found: &mut Vec<Departure<'t>>,
    ) -> bool {
        let trip = self.trips.get(time.trip as usize);
        let route = trip.and_then(|trip| self.routes.get(trip.route as usize));
        let stop = self.stops.get(time.stop as usize);
        let (Some(trip), Some(route), Some(stop)) = (trip, route, stop) else { return false };
        found.push(Departure {
            at: Time::from_micros(begin + i64::from(seconds) * 1_000_000),
            stop: &stop.id,
            platform: stop.platform.as_deref(),
            trip: &trip.id,
            route,
            headsign: trip.headsign.as_deref(),
            direction: trip.direction,
            sequence: time.sequence,
            service_day,
            every_seconds,
        });
        true
    }

    /// Noon minus twelve hours: midnight, but where the clocks change.
    fn begin(&self, day: NaiveDate) -> Option<i64> {
        let noon = self.zone.from_local_datetime(&day.and_time(NaiveTime::from_hms_opt(12, 0, 0)?));
        let noon = match noon {
            LocalResult::Single(noon) | LocalResult::Ambiguous(noon, _) => noon,
            LocalResult::None => return None,
        };
        Some(noon.timestamp_micros() - i64::from(DAY_SECONDS / 2) * 1_000_000)
    }

    /// A time as its stops show it, with its offset.
    #[must_use]
    pub fn local(&self, time: Time) -> String {
        let utc = chrono::DateTime::from_timestamp_micros(time.as_micros()).unwrap_or_default();
        utc.with_timezone(&self.zone).format("%Y-%m-%dT%H:%M:%S%:z").to_string()
    }

    fn day_of(&self, time: Time) -> Option<NaiveDate> {
        let utc = chrono::DateTime::from_timestamp_micros(time.as_micros())?;
        Some(utc.with_timezone(&self.zone).date_naive())
    }
}
