//! What agencies and operators send, each format read by its own room: warnings, satellites, vehicles.

use std::fmt::Write;

use city_alert::cap::Info;
use city_model::Time;
use serde_json::Value;

use super::whole::{Found, WHOLE_ROWS_MAX, Whole};
use crate::item::Item;
use crate::row::members;

/// The rows of an alert together, as text: what stands around its infos is in each of them.
pub const ALERT_ROWS_BYTES_MAX: usize = 32 * 1024 * 1024;

/// A row for each `info` of an alert, with what stands around it; its polygons are the row's geometry.
pub(super) fn cap(bytes: &[u8]) -> Result<Whole, String> {
    let mut alert = city_alert::cap::read(bytes).map_err(|problems| problems.to_string())?;
    let info = std::mem::take(&mut alert.info);
    let Value::Object(mut around) = serde_json::to_value(alert).map_err(|error| error.to_string())? else {
        return Err("it is no alert".to_owned());
    };
    around.remove("info");
    let each = Value::Object(around.clone()).to_string().len();
    if each.saturating_mul(info.len()) > ALERT_ROWS_BYTES_MAX {
        return Err(format!("its {} infos would make rows of more than {ALERT_ROWS_BYTES_MAX} bytes", info.len()));
    }
    let mut rows = Vec::with_capacity(info.len());
    for (info, line) in info.iter().zip(1..) {
        let mut row = around.clone();
        if let Value::Object(own) = serde_json::to_value(info).map_err(|error| error.to_string())? {
            row.extend(own);
        }
        rows.push(Found { geometry: shape(info).map(Into::into), ..found(line, row.into()) });
    }
    // An acknowledgement or a cancellation may have none.
    if rows.is_empty() {
        rows.push(found(1, around.into()));
    }
    Ok(Whole::of(rows))
}

/// The polygons of all areas.
fn shape(info: &Info) -> Option<String> {
    let polygons: Vec<_> = info.area.iter().flat_map(|area| &area.polygon).collect();
    if polygons.is_empty() {
        return None;
    }
    let mut json = String::from("{\"type\":\"MultiPolygon\",\"coordinates\":[");
    for (at, polygon) in polygons.into_iter().enumerate() {
        json.push_str(if at > 0 { ",[[" } else { "[[" });
        for (at, point) in polygon.points.iter().enumerate() {
            let comma = if at > 0 { "," } else { "" };
            let _ = write!(json, "{comma}[{},{}]", point.longitude, point.latitude);
        }
        json.push_str("]]");
    }
    json.push_str("]}");
    Some(json)
}

/// A row for each thing that a city acts on (docs/reference/alerts.md).
pub(super) fn jma(bytes: &[u8]) -> Result<Whole, String> {
    let report = city_alert::jma::read(bytes).map_err(|error| error.to_string())?;
    let rows = report.rows().map_err(|error| error.to_string())?;
    let rows = rows.into_iter().zip(1..).map(|(row, line)| found(line, row.into())).collect();
    let head = serde_json::to_value(&report.head).map_err(|error| error.to_string())?;
    Ok(Whole { rows, envelope: of_json(head)? })
}

fn found(line: u64, row: Value) -> Found {
    let text = row.to_string();
    Found::new(line, of_json(row).and_then(members), &text)
}

/// A row for each vehicle, trip update and alert (docs/reference/timetables.md).
pub(super) fn realtime(bytes: &[u8]) -> Result<Whole, String> {
    let message = city_gtfs::realtime::read(bytes).map_err(|error| error.to_string())?;
    let rows = message.rows.into_iter().map(|(line, row)| match row {
        Ok(row) => found(line, row.into()),
        Err(why) => Found::new(line, Err(why), ""),
    });
    let rows = rows.collect();
    Ok(Whole { rows, envelope: of_json(message.header.into())? })
}

/// Comments and other sentences of the receiver are passed over.
pub(super) fn qzss(text: &str, now: Option<Time>) -> Result<Whole, String> {
    let now = now.ok_or("its times have no year; it must be known when it came")?;
    let lines = text.lines().zip(1..).map(|(line, number)| (line.trim(), number));
    let sentences = lines.filter(|(line, _)| line.starts_with("$QZQSM"));
    if sentences.clone().nth(WHOLE_ROWS_MAX).is_some() {
        return Err(format!("it has more than {WHOLE_ROWS_MAX} sentences"));
    }
    let rows = sentences.map(|(line, number)| {
        let decoded = city_qzss::decode_line(line).map_err(|error| error.to_string());
        let row = decoded.and_then(|message| of_json(message.row(now).into()));
        Found::new(number, row.and_then(members), line)
    });
    Ok(Whole::of(rows.collect()))
}

fn of_json(value: serde_json::Value) -> Result<Item<'static>, String> {
    serde_json::from_value(value).map_err(|error| error.to_string())
}
