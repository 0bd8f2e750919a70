//! GTFS Realtime 2.0: a feed message comes in, rows for a mapping go out; and back, for vehicles.

use serde_json::{Map, Value as Json, json};

use crate::Error;
use crate::wire::{Fields, Value, Writer};

/// Most entities of a message.
pub const ENTITIES_MAX: usize = 100_000;
/// Most stop times, texts or places of one entity.
pub const PARTS_MAX: usize = 2_000;
/// Most of them in one message.
pub const MESSAGE_PARTS_MAX: usize = 500_000;

type Row = Map<String, Json>;

/// What a message holds: one row for each vehicle, trip update and alert.
#[derive(Debug, Default)]
pub struct Message {
    /// `version`, `incrementality`, `timestamp`.
    pub header: Row,
    /// Each with its place in the message from 1 on; or why it cannot be read.
    pub rows: Vec<(u64, Result<Row, String>)>,
}

pub fn read(bytes: &[u8]) -> Result<Message, Error> {
    let mut message = Message::default();
    let (mut has_header, mut entity, mut parts) = (false, 0, 0);
    for field in Fields(bytes) {
        let (number, value) = field.map_err(Error::Realtime)?;
        match number {
            1 => {
                has_header = true;
                message.header = header(value).map_err(Error::Realtime)?;
            }
            2 => {
                entity += 1;
                if message.rows.len() >= ENTITIES_MAX {
                    return Err(Error::Realtime(format!("it has more than {ENTITIES_MAX} entities")));
                }
                match rows(value, &mut parts) {
                    Ok(_) if parts > MESSAGE_PARTS_MAX => {
                        return Err(Error::Realtime(format!("it has more than {MESSAGE_PARTS_MAX} parts")));
                    }
                    Ok(rows) => message.rows.extend(rows.into_iter().map(|row| (entity, Ok(row)))),
                    Err(why) => message.rows.push((entity, Err(why))),
                }
            }
            _ => {}
        }
    }
    if !has_header {
        return Err(Error::Realtime("it has no header".to_owned()));
    }
    Ok(message)
}

fn header(value: Value) -> Result<Row, String> {
    let mut row = Row::new();
    for field in Fields(value.bytes()?) {
        let (number, value) = field?;
        match number {
            1 => put(&mut row, "version", value.text()?),
            2 => put(&mut row, "incrementality", name(value, &["FULL_DATASET", "DIFFERENTIAL"])?),
            3 => put(&mut row, "timestamp", value.uint()?),
            4 => put(&mut row, "feedVersion", value.text()?),
            _ => {}
        }
    }
    Ok(row)
}

/// The rows of one entity, which may hold a vehicle and an update of its trip at once.
fn rows(value: Value, parts: &mut usize) -> Result<Vec<Row>, String> {
    let (mut id, mut is_deleted, mut rows) = (None, false, Vec::new());
    for field in Fields(value.bytes()?) {
        let (number, value) = field?;
        match number {
            1 => id = Some(value.text()?),
            2 => is_deleted = value.uint()? != 0,
            3 => rows.push(trip_update(value)?),
            4 => rows.push(vehicle(value)?),
            5 => rows.push(alert(value)?),
            _ => {}
        }
        if rows.len() > PARTS_MAX {
            return Err("it has too many parts".to_owned());
        }
    }
    let lists = rows.iter().flat_map(Row::values).filter_map(Json::as_array);
    *parts += rows.len() + lists.map(Vec::len).sum::<usize>();
    let id = id.ok_or("the entity has no id")?;
    if is_deleted && rows.is_empty() {
        rows.push(Row::from_iter([("kind".to_owned(), json!("deleted"))]));
    }
    for row in &mut rows {
        put(row, "id", id);
        put(row, "isDeleted", is_deleted);
    }
    Ok(rows)
}

fn trip_update(value: Value) -> Result<Row, String> {
    let mut row = Row::from_iter([("kind".to_owned(), json!("tripUpdate"))]);
    let mut stops = Vec::new();
    for field in Fields(value.bytes()?) {
        let (number, value) = field?;
        match number {
            1 => trip(value, &mut row)?,
            2 if stops.len() >= PARTS_MAX => return Err(format!("it has more than {PARTS_MAX} stop times")),
            2 => stops.push(Json::Object(stop_time(value)?)),
            3 => descriptor(value, &mut row)?,
            4 => put(&mut row, "timestamp", value.uint()?),
            5 => put(&mut row, "delay", value.int()?),
            _ => {}
        }
    }
    put(&mut row, "stops", stops);
    Ok(row)
}

fn stop_time(value: Value) -> Result<Row, String> {
    let mut row = Row::new();
    for field in Fields(value.bytes()?) {
        let (number, value) = field?;
        match number {
            1 => put(&mut row, "stopSequence", value.uint()?),
            2 => event(value, &mut row, "arrival")?,
            3 => event(value, &mut row, "departure")?,
            4 => put(&mut row, "stopId", value.text()?),
            5 => {
                let names = ["SCHEDULED", "SKIPPED", "NO_DATA", "UNSCHEDULED"];
                put(&mut row, "scheduleRelationship", name(value, &names)?);
            }
            _ => {}
        }
    }
    Ok(row)
}

fn event(value: Value, row: &mut Row, which: &str) -> Result<(), String> {
    for field in Fields(value.bytes()?) {
        let (number, value) = field?;
        match number {
            1 => put(row, &format!("{which}Delay"), value.int()?),
            2 => put(row, &format!("{which}Time"), value.int()?),
            3 => put(row, &format!("{which}Uncertainty"), value.int()?),
            _ => {}
        }
    }
    Ok(())
}

fn vehicle(value: Value) -> Result<Row, String> {
    let mut row = Row::from_iter([("kind".to_owned(), json!("vehicle"))]);
    for field in Fields(value.bytes()?) {
        let (number, value) = field?;
        match number {
            1 => trip(value, &mut row)?,
            2 => position(value, &mut row)?,
            3 => put(&mut row, "stopSequence", value.uint()?),
            4 => {
                let names = ["INCOMING_AT", "STOPPED_AT", "IN_TRANSIT_TO"];
                put(&mut row, "currentStatus", name(value, &names)?);
            }
            5 => put(&mut row, "timestamp", value.uint()?),
            6 => {
                let names =
                    ["UNKNOWN_CONGESTION_LEVEL", "RUNNING_SMOOTHLY", "STOP_AND_GO", "CONGESTION", "SEVERE_CONGESTION"];
                put(&mut row, "congestionLevel", name(value, &names)?);
            }
            7 => put(&mut row, "stopId", value.text()?),
            8 => descriptor(value, &mut row)?,
            9 => {
                let names = [
                    "EMPTY",
                    "MANY_SEATS_AVAILABLE",
                    "FEW_SEATS_AVAILABLE",
                    "STANDING_ROOM_ONLY",
                    "CRUSHED_STANDING_ROOM_ONLY",
                    "FULL",
                    "NOT_ACCEPTING_PASSENGERS",
                    "NO_DATA_AVAILABLE",
                    "NOT_BOARDABLE",
                ];
                put(&mut row, "occupancyStatus", name(value, &names)?);
            }
            10 => put(&mut row, "occupancyPercentage", value.uint()?),
            _ => {}
        }
    }
    Ok(row)
}

fn position(value: Value, row: &mut Row) -> Result<(), String> {
    for field in Fields(value.bytes()?) {
        let (number, value) = field?;
        let (key, value) = match number {
            1 => ("latitude", value.float()?),
            2 => ("longitude", value.float()?),
            3 => ("bearing", value.float()?),
            4 => ("odometer", value.double()?),
            5 => ("speed", value.float()?),
            _ => continue,
        };
        if !value.is_finite() {
            return Err(format!("{key} is no number"));
        }
        put(row, key, value);
    }
    Ok(())
}

fn trip(value: Value, row: &mut Row) -> Result<(), String> {
    for field in Fields(value.bytes()?) {
        let (number, value) = field?;
        match number {
            1 => put(row, "tripId", value.text()?),
            2 => put(row, "startTime", value.text()?),
            3 => put(row, "startDate", value.text()?),
            4 => {
                let names = [
                    "SCHEDULED",
                    "ADDED",
                    "UNSCHEDULED",
                    "CANCELED",
                    "4",
                    "REPLACEMENT",
                    "DUPLICATED",
                    "DELETED",
                    "NEW",
                ];
                put(row, "scheduleRelationship", name(value, &names)?);
            }
            5 => put(row, "routeId", value.text()?),
            6 => put(row, "directionId", value.uint()?),
            _ => {}
        }
    }
    Ok(())
}

fn descriptor(value: Value, row: &mut Row) -> Result<(), String> {
    for field in Fields(value.bytes()?) {
        let (number, value) = field?;
        match number {
            1 => put(row, "vehicleId", value.text()?),
            2 => put(row, "label", value.text()?),
            3 => put(row, "licensePlate", value.text()?),
            _ => {}
        }
    }
    Ok(())
}

fn alert(value: Value) -> Result<Row, String> {
    const CAUSES: [&str; 13] = [
        "0",
        "UNKNOWN_CAUSE",
        "OTHER_CAUSE",
        "TECHNICAL_PROBLEM",
        "STRIKE",
        "DEMONSTRATION",
        "ACCIDENT",
        "HOLIDAY",
        "WEATHER",
        "MAINTENANCE",
        "CONSTRUCTION",
        "POLICE_ACTIVITY",
        "MEDICAL_EMERGENCY",
    ];
    const EFFECTS: [&str; 12] = [
        "0",
        "NO_SERVICE",
        "REDUCED_SERVICE",
        "SIGNIFICANT_DELAYS",
        "DETOUR",
        "ADDITIONAL_SERVICE",
        "MODIFIED_SERVICE",
        "OTHER_EFFECT",
        "UNKNOWN_EFFECT",
        "STOP_MOVED",
        "NO_EFFECT",
        "ACCESSIBILITY_ISSUE",
    ];
    let mut row = Row::from_iter([("kind".to_owned(), json!("alert"))]);
    let (mut periods, mut informed) = (Vec::new(), Vec::new());
    for field in Fields(value.bytes()?) {
        let (number, value) = field?;
        match number {
            1 => periods.push(period(value)?),
            5 => informed.push(selector(value)?),
            6 => put(&mut row, "cause", name(value, &CAUSES)?),
            7 => put(&mut row, "effect", name(value, &EFFECTS)?),
            8 => put(&mut row, "url", translated(value)?),
            10 => put(&mut row, "header", translated(value)?),
            11 => put(&mut row, "description", translated(value)?),
            14 => put(&mut row, "severity", name(value, &["0", "UNKNOWN_SEVERITY", "INFO", "WARNING", "SEVERE"])?),
            _ => {}
        }
        if periods.len() + informed.len() > PARTS_MAX {
            return Err(format!("it has more than {PARTS_MAX} periods and places"));
        }
    }
    put(&mut row, "activePeriods", periods);
    put(&mut row, "informed", informed);
    Ok(row)
}

fn period(value: Value) -> Result<Json, String> {
    let mut row = Row::new();
    for field in Fields(value.bytes()?) {
        let (number, value) = field?;
        match number {
            1 => put(&mut row, "start", value.uint()?),
            2 => put(&mut row, "end", value.uint()?),
            _ => {}
        }
    }
    Ok(Json::Object(row))
}

fn selector(value: Value) -> Result<Json, String> {
    let mut row = Row::new();
    for field in Fields(value.bytes()?) {
        let (number, value) = field?;
        match number {
            1 => put(&mut row, "agencyId", value.text()?),
            2 => put(&mut row, "routeId", value.text()?),
            3 => put(&mut row, "routeType", value.int()?),
            4 => trip(value, &mut row)?,
            5 => put(&mut row, "stopId", value.text()?),
            6 => put(&mut row, "directionId", value.uint()?),
            _ => {}
        }
    }
    Ok(Json::Object(row))
}

/// Texts by language; `@none` where none is said.
fn translated(value: Value) -> Result<Json, String> {
    let mut texts = Row::new();
    for field in Fields(value.bytes()?) {
        let (1, translation) = field? else { continue };
        let (mut text, mut language) = ("", "@none");
        for field in Fields(translation.bytes()?) {
            match field? {
                (1, value) => text = value.text()?,
                (2, value) => language = value.text()?,
                _ => {}
            }
        }
        if texts.len() >= PARTS_MAX {
            return Err(format!("it has more than {PARTS_MAX} translations"));
        }
        texts.insert(language.to_owned(), json!(text));
    }
    Ok(Json::Object(texts))
}

fn put(row: &mut Row, key: &str, value: impl Into<Json>) {
    row.insert(key.to_owned(), value.into());
}

/// The name of a value of an enumeration; the number where it has none here.
fn name(value: Value, names: &[&str]) -> Result<String, String> {
    let number = value.uint()?;
    let known = usize::try_from(number).ok().and_then(|number| names.get(number));
    Ok(known.map_or_else(|| number.to_string(), |name| (*name).to_owned()))
}

/// A vehicle, to be written.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Vehicle {
    pub id: String,
    pub trip: Option<String>,
    pub route: Option<String>,
    pub label: Option<String>,
    pub latitude: f64,
    pub longitude: f64,
    pub bearing: Option<f64>,
    /// In metres a second.
    pub speed: Option<f64>,
    /// In seconds since 1970.
    pub timestamp: Option<u64>,
}

/// A feed message of vehicle positions, full data set, as of a time in seconds since 1970.
#[must_use]
pub fn write(vehicles: &[Vehicle], timestamp: u64) -> Vec<u8> {
    let (mut out, mut header) = (Writer::default(), Writer::default());
    header.bytes(1, b"2.0");
    header.uint(2, 0);
    header.uint(3, timestamp);
    out.bytes(1, &header.0);
    for vehicle in vehicles {
        let (mut entity, mut own) = (Writer::default(), Writer::default());
        let (mut trip, mut position, mut descriptor) = (Writer::default(), Writer::default(), Writer::default());
        if let Some(id) = &vehicle.trip {
            trip.bytes(1, id.as_bytes());
        }
        if let Some(route) = &vehicle.route {
            trip.bytes(5, route.as_bytes());
        }
        if !trip.0.is_empty() {
            own.bytes(1, &trip.0);
        }
        position.float(1, vehicle.latitude as f32);
        position.float(2, vehicle.longitude as f32);
        if let Some(bearing) = vehicle.bearing {
            position.float(3, bearing as f32);
        }
        if let Some(speed) = vehicle.speed {
            position.float(5, speed as f32);
        }
        own.bytes(2, &position.0);
        if let Some(timestamp) = vehicle.timestamp {
            own.uint(5, timestamp);
        }
        descriptor.bytes(1, vehicle.id.as_bytes());
        if let Some(label) = &vehicle.label {
            descriptor.bytes(2, label.as_bytes());
        }
        own.bytes(8, &descriptor.0);
        entity.bytes(1, vehicle.id.as_bytes());
        entity.bytes(4, &own.0);
        out.bytes(2, &entity.0);
    }
    out.0
}
