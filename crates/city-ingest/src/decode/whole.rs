//! Formats that are read as a whole before the first row: what stands around the rows, or before them, says what
//! they mean.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use city_model::Time;
use serde_json::value::RawValue;

use super::{Format, agency, senml, ultralight};
use crate::item::Item;
use crate::row::{Members, members};

/// Longest file or message of such a format, in bytes.
pub const WHOLE_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Most rows of one.
pub const WHOLE_ROWS_MAX: usize = 1_000_000;
/// What stands around the rows, in bytes; members beyond are left out. Each row may look at it.
pub const ENVELOPE_BYTES_MAX: usize = 16 * 1024;
/// Lists in lists on the way to the rows; deeper ones are refused.
pub const LISTS_DEPTH_MAX: usize = 8;

/// A row that was found: its line, its text, and its columns or why it has none.
#[derive(Debug)]
pub(super) struct Found {
    pub line: u64,
    pub row: Result<Members, String>,
    /// A geometry as compact JSON text.
    pub geometry: Option<Arc<str>>,
    pub text: Box<str>,
}

impl Found {
    pub fn new(line: u64, row: Result<Members, String>, text: &str) -> Self {
        Self { line, row, geometry: None, text: text.into() }
    }
}

/// A document.
#[derive(Debug)]
pub(super) struct Whole {
    pub rows: Vec<Found>,
    /// What stands around the rows.
    pub envelope: Item<'static>,
}

impl Whole {
    pub fn of(rows: Vec<Found>) -> Self {
        Self { rows, envelope: Item::Null }
    }

    fn one(row: Members, text: &str) -> Self {
        Self::of(vec![Found::new(1, Ok(row), text)])
    }
}

/// `path` is where the rows of a JSON document are. An `Err` says why the bytes are no such document.
pub(super) fn read(format: Format, bytes: &[u8], path: &[Box<str>], now: Option<Time>) -> Result<Whole, String> {
    let text = || std::str::from_utf8(bytes).map_err(|error| format!("it is not UTF-8: {error}"));
    match format {
        Format::Number => number(text()?),
        Format::Text => {
            let text = text()?;
            Ok(Whole::one(vec![("text".into(), Item::Text(text.to_owned().into()))], text))
        }
        Format::SenMl => senml::read(text()?, now),
        Format::Ultralight => ultralight::read(text()?),
        Format::Cap => agency::cap(bytes),
        Format::Jma => agency::jma(bytes),
        Format::Qzss => agency::qzss(text()?, now),
        Format::GtfsRt => agency::realtime(bytes),
        Format::Csv | Format::GeoJson | Format::GeoJsonL | Format::Json | Format::NdJson => at_path(text()?, path),
    }
}

/// A bare number, as most counters and simple sensors send it.
fn number(text: &str) -> Result<Whole, String> {
    let trimmed = text.trim();
    let value = match (trimmed.parse::<i64>(), trimmed.parse::<f64>()) {
        (Ok(whole), _) => Item::Int(whole),
        (_, Ok(value)) if value.is_finite() => Item::Float(value),
        _ => {
            let shown: String = trimmed.chars().take(40).collect();
            return Err(format!("\"{shown}\" is no number"));
        }
    };
    Ok(Whole::one(vec![("value".into(), value)], text))
}

type Object<'a> = BTreeMap<Cow<'a, str>, &'a RawValue>;

/// The rows of a JSON document under a path of member names. A list on the way is gone through.
fn at_path(text: &str, path: &[Box<str>]) -> Result<Whole, String> {
    let text = text.trim_start_matches('\u{feff}');
    let top: &RawValue = serde_json::from_str(text).map_err(|error| format!("it is not JSON: {error}"))?;
    let mut walk = Walk { text, line: 1, counted: 0, lists: 0, envelope_bytes: 0, rows: Vec::new() };
    let envelope = walk.down(top, path, path)?;
    Ok(Whole { rows: walk.rows, envelope })
}

struct Walk<'a> {
    text: &'a str,
    /// Line of the byte up to which lines were counted.
    line: u64,
    counted: usize,
    /// Lists around what is looked at.
    lists: usize,
    envelope_bytes: usize,
    rows: Vec<Found>,
}

impl<'a> Walk<'a> {
    /// Collects the rows under the rest of a path; what stands around them.
    fn down(&mut self, raw: &'a RawValue, rest: &[Box<str>], path: &[Box<str>]) -> Result<Item<'static>, String> {
        let is_list = raw.get().starts_with('[');
        match rest.split_first() {
            _ if is_list => {
                if self.lists >= LISTS_DEPTH_MAX {
                    return Err(format!("lists are nested more than {LISTS_DEPTH_MAX} deep on the way to rows"));
                }
                self.lists += 1;
                let elements: Vec<&RawValue> = serde_json::from_str(raw.get()).map_err(|error| error.to_string())?;
                for element in elements {
                    match rest.is_empty() {
                        true => self.row(element)?,
                        false => drop(self.down(element, rest, path)?),
                    }
                }
                self.lists -= 1;
                Ok(Item::Null)
            }
            None => self.row(raw).map(|()| Item::Null),
            Some((name, rest)) => {
                let object: Object = serde_json::from_str(raw.get()).map_err(|_| nothing_there(path, name))?;
                let inner = object.get(&**name).ok_or_else(|| nothing_there(path, name))?;
                let below = self.down(inner, rest, path)?;
                let mut members = Vec::new();
                for (own, raw) in object.iter().filter(|(own, _)| **own != **name) {
                    let bytes = own.len() + raw.get().len();
                    // Within a list nobody could tell of which row it is.
                    if self.lists > 0 || self.envelope_bytes + bytes > ENVELOPE_BYTES_MAX {
                        continue;
                    }
                    self.envelope_bytes += bytes;
                    let item: Item = serde_json::from_str(raw.get()).map_err(|error| format!("{own}: {error}"))?;
                    members.push((own.clone().into_owned().into(), item));
                }
                if below != Item::Null {
                    members.push((String::from(&**name).into(), below));
                }
                Ok(Item::Map(members))
            }
        }
    }

    fn row(&mut self, raw: &'a RawValue) -> Result<(), String> {
        if self.rows.len() >= WHOLE_ROWS_MAX {
            return Err(format!("it has more than {WHOLE_ROWS_MAX} rows"));
        }
        let at = (raw.get().as_ptr() as usize).saturating_sub(self.text.as_ptr() as usize);
        if let Some(between) = self.text.as_bytes().get(self.counted..at) {
            self.line += between.iter().filter(|byte| **byte == b'\n').count() as u64;
            self.counted = at;
        }
        let row = serde_json::from_str::<Item>(raw.get()).map_err(|error| format!("the row is not JSON: {error}"));
        self.rows.push(Found::new(self.line, row.and_then(members), raw.get()));
        Ok(())
    }
}

fn nothing_there(path: &[Box<str>], name: &str) -> String {
    format!("there is no \"{name}\" on the way to rows: {}", path.join("."))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(text: &str, path: &[&str]) -> Result<(Vec<(u64, usize)>, String), String> {
        let path: Vec<Box<str>> = path.iter().map(|name| Box::from(*name)).collect();
        let whole = at_path(text, &path)?;
        let mut envelope = Vec::new();
        whole.envelope.write_json(&mut envelope);
        let rows = whole.rows.iter().map(|row| (row.line, row.row.as_ref().map_or(0, Vec::len))).collect();
        Ok((rows, String::from_utf8(envelope).unwrap()))
    }

    #[test]
    fn rows_are_found_under_their_path_with_what_stands_around_them() {
        let text =
            "{\"last_updated\": 5, \"data\": {\"ttl\": 60,\n \"stations\": [\n{\"id\": 1, \"n\": 2},\n{\"id\": 2}]}}";
        let (found, envelope) = rows(text, &["data", "stations"]).unwrap();
        assert_eq!(found, [(3, 2), (4, 1)]);
        assert_eq!(envelope, "{\"last_updated\":5,\"data\":{\"ttl\":60}}");
        assert_eq!(rows("[{\"a\": [{\"x\": 1}, {\"x\": 2}]}, {\"a\": {\"x\": 3}}]", &["a"]).unwrap().0.len(), 3);
        assert_eq!(rows("{\"a\": 1}", &[]).unwrap().0, [(1, 1)]);
    }

    #[test]
    fn a_path_that_leads_nowhere_is_named() {
        let error = rows("{\"data\": {\"x\": []}}", &["data", "stations"]).unwrap_err();
        assert_eq!(error, "there is no \"stations\" on the way to rows: data.stations");
        assert!(rows("{\"data\": 5}", &["data", "stations"]).is_err());
        assert!(rows("{\"data\"", &["data"]).unwrap_err().contains("not JSON"));
        let deep = "[".repeat(100_000) + &"]".repeat(100_000);
        assert!(rows(&deep, &["data"]).unwrap_err().contains("nested"));
    }

    #[test]
    fn a_bare_number_is_a_row_of_one_value() {
        for (text, value) in [("21.5\n", Item::Float(21.5)), (" -3", Item::Int(-3)), ("1e3", Item::Float(1000.0))] {
            assert_eq!(number(text).unwrap().rows[0].row.as_ref().unwrap()[0].1, value);
        }
        for wrong in ["", "NaN", "inf", "21,5", "12 C"] {
            assert!(number(wrong).is_err(), "{wrong}");
        }
    }
}
