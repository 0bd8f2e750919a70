//! The files of a feed become a timetable. What contradicts itself is refused with its line; what is only odd is for
//! `check` to say.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use super::{
    Agency, Frequency, LocationType, NO_TIME, ROWS_MAX, Route, STOP_TIMES_MAX, STOPS_MAX, Stop, StopTime, TRIPS_MAX,
    Timetable, Trip,
};
use crate::calendar::{self, Service};
use crate::tables::{Line, Table};
use crate::{Archive, Error};

/// Where ids become numbers.
type Numbers = HashMap<Box<str>, u32>;

impl Timetable {
    pub fn read(archive: &mut Archive) -> Result<Self, Error> {
        let agencies = agencies(archive)?;
        let zone = agencies.first().map(|agency| &*agency.zone).unwrap_or_default();
        let zone: chrono_tz::Tz = zone.parse().map_err(|_| Error::Row {
            file: "agency.txt",
            line: 2,
            why: format!("agency_timezone: \"{zone}\" is no time zone, such as Asia/Tokyo"),
        })?;
        let (stops, stop_numbers) = stops(archive)?;
        let (routes, route_numbers) = routes(archive)?;
        let (services, service_numbers) = services(archive)?;
        let (mut trips, trip_numbers) = trips(archive, &route_numbers, &service_numbers)?;
        let mut times = stop_times(archive, &trip_numbers, &stop_numbers)?;
        times.sort_by_key(|time| (time.trip, time.sequence));
        for (trip, place) in trips.iter_mut().zip(places(times.iter().map(|time| time.trip), trip_numbers.len())) {
            (trip.first, trip.end) = place;
            if let Some(own) = times.get_mut(place.0 as usize..place.1 as usize) {
                fill_gaps(own);
            }
        }
        let mut by_stop: Vec<u32> = (0..times.len() as u32).collect();
        let of = |place: &u32| times.get(*place as usize).map_or((0, 0), |time| (time.stop, time.departure));
        by_stop.sort_by_key(of);
        let mut starts = vec![0_u32; stops.len() + 1];
        for time in &times {
            if let Some(count) = starts.get_mut(time.stop as usize + 1) {
                *count += 1;
            }
        }
        let mut sum = 0;
        starts.iter_mut().for_each(|start| {
            sum += *start;
            *start = sum;
        });
        let frequencies = frequencies(archive, &trip_numbers)?;
        let latest = times.iter().map(|time| time.departure).filter(|time| *time != NO_TIME).max();
        let latest =
            latest.unwrap_or_default().max(frequencies.values().flatten().map(|one| one.end).max().unwrap_or(0));
        let mut children: HashMap<u32, Vec<u32>> = HashMap::new();
        for (stop, number) in stops.iter().zip(0..) {
            let parent = stop.parent.as_deref().and_then(|parent| stop_numbers.get(parent));
            parent.into_iter().for_each(|parent| children.entry(*parent).or_default().push(number));
        }
        let texts = stops.iter().map(Stop::text_bytes).sum::<usize>()
            + routes.iter().map(Route::text_bytes).sum::<usize>()
            + trips.iter().map(Trip::text_bytes).sum::<usize>();
        let days: usize = services.iter().map(|service| service.added.len() + service.removed.len()).sum();
        let weight = texts
            + (size_of::<StopTime>() + 4) * times.len()
            + 256 * (trips.len() + stops.len() + routes.len() + services.len())
            + 32 * (days + frequencies.values().map(Vec::len).sum::<usize>());
        Ok(Self {
            agencies,
            stops,
            routes,
            trips,
            zone,
            services,
            times,
            by_stop,
            starts,
            frequencies,
            stop_numbers,
            trip_numbers,
            children,
            latest,
            weight,
        })
    }
}

fn lengths(texts: &[&Option<Box<str>>]) -> usize {
    texts.iter().map(|text| text.as_ref().map_or(0, |text| text.len())).sum()
}

impl Stop {
    fn text_bytes(&self) -> usize {
        let Self { id, code, name, description, parent, platform, .. } = self;
        // The id stands in the list of numbers, too.
        2 * id.len() + lengths(&[code, name, description, parent, platform])
    }
}

impl Route {
    fn text_bytes(&self) -> usize {
        let Self { id, agency, short_name, long_name, description, color, text_color, .. } = self;
        id.len() + lengths(&[agency, short_name, long_name, description, color, text_color])
    }
}

impl Trip {
    fn text_bytes(&self) -> usize {
        2 * self.id.len() + lengths(&[&self.headsign, &self.short_name])
    }
}

/// From where to where each number stands in a sorted list.
fn places(sorted: impl Iterator<Item = u32>, count: usize) -> Vec<(u32, u32)> {
    let mut places = vec![(0, 0); count];
    for (at, number) in sorted.enumerate() {
        if let Some(place) = places.get_mut(number as usize) {
            if place.1 == 0 {
                place.0 = at as u32;
            }
            place.1 = at as u32 + 1;
        }
    }
    places
}

/// Stops between two times are passed at even intervals, as the specification has it for stops without times.
fn fill_gaps(times: &mut [StopTime]) {
    let mut known: Option<(usize, u32)> = None;
    for at in 0..times.len() {
        let Some(time) = times.get(at).copied().filter(|time| time.arrival != NO_TIME) else { continue };
        if let Some((before, from)) = known {
            let (gap, span) = ((at - before) as u64, u64::from(time.arrival.saturating_sub(from)));
            for (step, blank) in times.get_mut(before + 1..at).unwrap_or_default().iter_mut().enumerate() {
                let passed = from + (span * (step as u64 + 1) / gap) as u32;
                (blank.arrival, blank.departure) = (passed, passed);
            }
        }
        known = Some((at, time.departure));
    }
}

fn needed<'b>(
    archive: &mut Archive,
    name: &'static str,
    bytes: &'b mut Vec<u8>,
    columns: &[&'static str],
    needed: usize,
) -> Result<Table<'b>, Error> {
    *bytes = archive.file(name)?.ok_or(Error::MissingFile(name))?;
    Table::open(name, bytes, columns, needed)
}

fn number(numbers: &mut Numbers, id: &str, column: &str) -> Result<u32, String> {
    if id.is_empty() {
        return Err(format!("{column} is blank"));
    }
    let next = numbers.len() as u32;
    match numbers.entry(id.into()) {
        Entry::Occupied(_) => Err(format!("{column}: {id} stands there twice")),
        Entry::Vacant(place) => Ok(*place.insert(next)),
    }
}

fn known(numbers: &Numbers, id: &str, column: &str, file: &str) -> Result<u32, String> {
    numbers.get(id).copied().ok_or_else(|| format!("{column}: there is no {id} in {file}"))
}

fn agencies(archive: &mut Archive) -> Result<Vec<Agency>, Error> {
    let columns = ["agency_name", "agency_timezone", "agency_id", "agency_url", "agency_lang", "agency_phone"];
    let (mut bytes, mut agencies) = (Vec::new(), Vec::new());
    needed(archive, "agency.txt", &mut bytes, &columns, 2)?.each(ROWS_MAX, |line| {
        agencies.push(Agency {
            id: line.cell(2).into(),
            name: line.cell(0).into(),
            url: line.text(3),
            zone: line.cell(1).into(),
            lang: line.text(4),
            phone: line.text(5),
        });
        Ok(())
    })?;
    Ok(agencies)
}

fn stops(archive: &mut Archive) -> Result<(Vec<Stop>, Numbers), Error> {
    let columns = [
        "stop_id",
        "stop_name",
        "stop_lat",
        "stop_lon",
        "location_type",
        "parent_station",
        "platform_code",
        "stop_code",
        "stop_desc",
        "wheelchair_boarding",
    ];
    let (mut bytes, mut stops, mut numbers) = (Vec::new(), Vec::new(), Numbers::new());
    needed(archive, "stops.txt", &mut bytes, &columns, 1)?.each(STOPS_MAX, |line| {
        number(&mut numbers, line.cell(0), "stop_id")?;
        stops.push(Stop {
            id: line.cell(0).into(),
            code: line.text(7),
            name: line.text(1),
            description: line.text(8),
            place: place(&line)?,
            kind: match line.cell(4) {
                "" | "0" => LocationType::Stop,
                "1" => LocationType::Station,
                "2" => LocationType::Entrance,
                "3" => LocationType::GenericNode,
                "4" => LocationType::BoardingArea,
                other => return Err(format!("location_type: {other} is none of 0 to 4")),
            },
            parent: line.text(5),
            platform: line.text(6),
            wheelchair: match line.cell(9) {
                "1" => Some(true),
                "2" => Some(false),
                _ => None,
            },
        });
        Ok(())
    })?;
    Ok((stops, numbers))
}

/// Longitude, then latitude.
fn place(line: &Line) -> Result<Option<(Box<str>, Box<str>)>, String> {
    let (lat, lon) = (line.cell(2), line.cell(3));
    if lat.is_empty() && lon.is_empty() {
        return Ok(None);
    }
    for (column, text, max) in [("stop_lat", lat, 90.0), ("stop_lon", lon, 180.0)] {
        let degrees = text.parse::<f64>().ok().filter(|degrees| degrees.abs() <= max);
        if degrees.is_none() {
            return Err(format!("{column}: \"{text}\" is no number of degrees up to {max}"));
        }
    }
    Ok(Some((lon.into(), lat.into())))
}

fn routes(archive: &mut Archive) -> Result<(Vec<Route>, Numbers), Error> {
    let columns = [
        "route_id",
        "route_type",
        "agency_id",
        "route_short_name",
        "route_long_name",
        "route_desc",
        "route_color",
        "route_text_color",
    ];
    let (mut bytes, mut routes, mut numbers) = (Vec::new(), Vec::new(), Numbers::new());
    needed(archive, "routes.txt", &mut bytes, &columns, 2)?.each(ROWS_MAX, |line| {
        number(&mut numbers, line.cell(0), "route_id")?;
        let kind = line.cell(1);
        routes.push(Route {
            id: line.cell(0).into(),
            agency: line.text(2),
            short_name: line.text(3),
            long_name: line.text(4),
            description: line.text(5),
            kind: kind.parse().map_err(|_| format!("route_type: \"{kind}\" is no number"))?,
            color: line.text(6),
            text_color: line.text(7),
        });
        Ok(())
    })?;
    Ok((routes, numbers))
}

/// At least one of the two files must be there.
fn services(archive: &mut Archive) -> Result<(Vec<Service>, Numbers), Error> {
    let columns = [
        "service_id",
        "start_date",
        "end_date",
        "monday",
        "tuesday",
        "wednesday",
        "thursday",
        "friday",
        "saturday",
        "sunday",
    ];
    let date = |text: &str, column| calendar::date(text).ok_or_else(|| format!("{column}: \"{text}\" is no date"));
    let (mut services, mut numbers) = (Vec::<Service>::new(), Numbers::new());
    let by_week = archive.file("calendar.txt")?;
    if let Some(bytes) = &by_week {
        Table::open("calendar.txt", bytes, &columns, columns.len())?.each(ROWS_MAX, |line| {
            number(&mut numbers, line.cell(0), "service_id")?;
            let week = std::array::from_fn(|day| line.cell(3 + day) == "1");
            let week = (week, date(line.cell(1), "start_date")?, date(line.cell(2), "end_date")?);
            services.push(Service { week: Some(week), ..Service::default() });
            Ok(())
        })?;
    }
    let by_day = archive.file("calendar_dates.txt")?;
    if let Some(bytes) = &by_day {
        let columns = ["service_id", "date", "exception_type"];
        Table::open("calendar_dates.txt", bytes, &columns, 3)?.each(ROWS_MAX, |line| {
            let next = services.len() as u32;
            let at = *numbers.entry(line.cell(0).into()).or_insert(next);
            if at == next {
                services.push(Service::default());
            }
            let Some(service) = services.get_mut(at as usize) else { return Ok(()) };
            let day = date(line.cell(1), "date")?;
            match line.cell(2) {
                "1" => service.added.insert(day),
                "2" => service.removed.insert(day),
                other => return Err(format!("exception_type: {other} is neither 1 nor 2")),
            };
            Ok(())
        })?;
    }
    match (by_week, by_day) {
        (None, None) => Err(Error::MissingFile("calendar.txt or calendar_dates.txt")),
        _ => Ok((services, numbers)),
    }
}

fn trips(archive: &mut Archive, routes: &Numbers, services: &Numbers) -> Result<(Vec<Trip>, Numbers), Error> {
    let columns = ["trip_id", "route_id", "service_id", "trip_headsign", "trip_short_name", "direction_id"];
    let (mut bytes, mut trips, mut numbers) = (Vec::new(), Vec::new(), Numbers::new());
    needed(archive, "trips.txt", &mut bytes, &columns, 3)?.each(TRIPS_MAX, |line| {
        number(&mut numbers, line.cell(0), "trip_id")?;
        trips.push(Trip {
            id: line.cell(0).into(),
            route: known(routes, line.cell(1), "route_id", "routes.txt")?,
            service: known(services, line.cell(2), "service_id", "calendar.txt or calendar_dates.txt")?,
            headsign: line.text(3),
            short_name: line.text(4),
            direction: line.cell(5).parse().ok(),
            first: 0,
            end: 0,
        });
        Ok(())
    })?;
    Ok((trips, numbers))
}

fn stop_times(archive: &mut Archive, trips: &Numbers, stops: &Numbers) -> Result<Vec<StopTime>, Error> {
    let columns =
        ["trip_id", "stop_id", "stop_sequence", "arrival_time", "departure_time", "stop_headsign", "pickup_type"];
    let time = |text: &str, column| match text {
        "" => Ok(NO_TIME),
        text => calendar::time(text).ok_or_else(|| format!("{column}: \"{text}\" is no time, such as 25:10:00")),
    };
    let (mut bytes, mut times) = (Vec::new(), Vec::new());
    needed(archive, "stop_times.txt", &mut bytes, &columns, 3)?.each(STOP_TIMES_MAX, |line| {
        let (arrival, departure) = (time(line.cell(3), "arrival_time")?, time(line.cell(4), "departure_time")?);
        let sequence = line.cell(2);
        times.push(StopTime {
            trip: known(trips, line.cell(0), "trip_id", "trips.txt")?,
            stop: known(stops, line.cell(1), "stop_id", "stops.txt")?,
            sequence: sequence.parse().map_err(|_| format!("stop_sequence: \"{sequence}\" is no number"))?,
            // Where one of the two is blank the other stands for both.
            arrival: if arrival == NO_TIME { departure } else { arrival },
            departure: if departure == NO_TIME { arrival } else { departure },
            is_pickup: line.cell(6) != "1",
        });
        Ok(())
    })?;
    Ok(times)
}

fn frequencies(archive: &mut Archive, trips: &Numbers) -> Result<HashMap<u32, Vec<Frequency>>, Error> {
    let columns = ["trip_id", "start_time", "end_time", "headway_secs"];
    let mut frequencies: HashMap<u32, Vec<Frequency>> = HashMap::new();
    let Some(bytes) = archive.file("frequencies.txt")? else { return Ok(frequencies) };
    let time = |text: &str, column| calendar::time(text).ok_or_else(|| format!("{column}: \"{text}\" is no time"));
    Table::open("frequencies.txt", &bytes, &columns, 4)?.each(ROWS_MAX, |line| {
        let trip = known(trips, line.cell(0), "trip_id", "trips.txt")?;
        let every = line.cell(3).parse().ok().filter(|every| *every > 0);
        frequencies.entry(trip).or_default().push(Frequency {
            start: time(line.cell(1), "start_time")?,
            end: time(line.cell(2), "end_time")?,
            every: every.ok_or_else(|| format!("headway_secs: \"{}\" is no number above 0", line.cell(3)))?,
        });
        Ok(())
    })?;
    Ok(frequencies)
}
