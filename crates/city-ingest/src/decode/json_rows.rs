//! JSON in lines, in one array, or in a FeatureCollection: objects are cut out of the stream one by one.

use std::borrow::Cow;
use std::io::BufRead;
use std::sync::Arc;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::Format;
use crate::error::Error;
use crate::geometry;
use crate::item::Item;
use crate::row::{ROW_BYTES_MAX, RejectedRow, Row, clip, members};

pub(super) struct JsonRows {
    file: String,
    reader: Box<dyn BufRead + Send>,
    format: Format,
    line: u64,
    place: Place,
    /// The bytes of the row in hand.
    bytes: Vec<u8>,
}

/// Where in the document the next row is.
#[derive(Clone, Copy, PartialEq)]
enum Place {
    /// Nothing has been read yet.
    Start,
    /// Inside the array of rows; whether a row came before.
    Rows {
        first: bool,
    },
    /// Before the one object that the document is.
    One,
    End,
}

/// Longest member name or short value that is looked at before the rows.
const MEMBER_BYTES_MAX: usize = 64 * 1024;

impl JsonRows {
    pub(super) fn new(file: &str, reader: Box<dyn BufRead + Send>, format: Format) -> Self {
        Self { file: file.to_owned(), reader, format, line: 1, place: Place::Start, bytes: Vec::new() }
    }

    pub(super) fn next_row(&mut self) -> Result<Option<Result<Row, RejectedRow>>, Error> {
        let (line, whole) = match self.format {
            Format::GeoJsonL | Format::NdJson => match self.next_line()? {
                Some(found) => found,
                None => return Ok(None),
            },
            _ => match self.next_element()? {
                Some(found) => found,
                None => return Ok(None),
            },
        };
        let text = String::from_utf8_lossy(&self.bytes);
        let reject = |reason: String| {
            Ok(Some(Err(RejectedRow { file: self.file.clone(), line, reason, input: clip(text.trim()) })))
        };
        if !whole {
            return reject(format!("the row is longer than {ROW_BYTES_MAX} bytes"));
        }
        if matches!(text, Cow::Owned(_)) {
            return reject("the row is not UTF-8".to_owned());
        }
        let row = match self.format {
            Format::GeoJson | Format::GeoJsonL => feature(line, &text),
            _ => object(line, &text),
        };
        match row {
            Ok(row) => Ok(Some(Ok(row))),
            Err(reason) => reject(reason),
        }
    }

    /// The next line that is not blank; whether all of it was kept.
    fn next_line(&mut self) -> Result<Option<(u64, bool)>, Error> {
        loop {
            self.bytes.clear();
            let line = self.line;
            let (mut whole, mut any) = (true, false);
            loop {
                let available = self.reader.fill_buf().map_err(|cause| read(&self.file, line, cause))?;
                if available.is_empty() {
                    break;
                }
                any = true;
                let end = available.iter().position(|byte| *byte == b'\n');
                let part = &available[..end.unwrap_or(available.len())];
                match self.bytes.len() + part.len() <= ROW_BYTES_MAX {
                    true => self.bytes.extend_from_slice(part),
                    false => whole = false,
                }
                let used = part.len() + usize::from(end.is_some());
                self.reader.consume(used);
                if end.is_some() {
                    self.line += 1;
                    break;
                }
            }
            if !any {
                return Ok(None);
            }
            // A byte order mark before the first row, a record separator (RFC 8142) before any.
            if line == 1 && self.bytes.starts_with(b"\xef\xbb\xbf") {
                self.bytes.drain(..3);
            }
            if self.bytes.first() == Some(&0x1e) {
                self.bytes.remove(0);
            }
            if !whole || !self.bytes.iter().all(u8::is_ascii_whitespace) {
                return Ok(Some((line, whole)));
            }
        }
    }

    /// The next element of the array of rows.
    fn next_element(&mut self) -> Result<Option<(u64, bool)>, Error> {
        if self.place == Place::Start {
            self.find_rows()?;
        }
        if self.place == Place::One {
            self.place = Place::End;
            let line = self.line;
            let whole = self.value(Some(ROW_BYTES_MAX))?;
            return match self.peek()? {
                None => Ok(Some((line, whole))),
                Some(_) => Err(self.malformed("something follows the object; several objects are a list, or ndjson")),
            };
        }
        let Place::Rows { first } = self.place else { return Ok(None) };
        let mut next = self.peek()?;
        if next == Some(b']') {
            self.place = Place::End;
            return Ok(None);
        }
        if !first && next.is_some() {
            if next != Some(b',') {
                return Err(self.malformed("a comma or ] is missing between two rows"));
            }
            self.step();
            next = self.peek()?;
        }
        self.place = Place::Rows { first: false };
        if next.is_none() {
            return Err(self.malformed("the file ends before the list of rows does"));
        }
        let line = self.line;
        let whole = self.value(Some(ROW_BYTES_MAX))?;
        Ok(Some((line, whole)))
    }

    /// Goes to the first row: into the top array (json), or into the member "features" (geojson).
    fn find_rows(&mut self) -> Result<(), Error> {
        if self.peek()? == Some(0xef) {
            for _ in 0..3 {
                self.peek()?;
                self.step();
            }
        }
        let top = self.peek()?;
        if self.format == Format::Json {
            // A single object is a list of one: most devices send just that.
            if top == Some(b'{') {
                self.place = Place::One;
                return Ok(());
            }
            if top != Some(b'[') {
                return Err(self.malformed("it must be one array of objects, or one object"));
            }
            self.step();
            self.place = Place::Rows { first: true };
            return Ok(());
        }
        if top != Some(b'{') {
            return Err(self.malformed("it must be one FeatureCollection object"));
        }
        self.step();
        let mut said = String::new();
        loop {
            match self.peek()? {
                Some(b'"') => {}
                Some(b',') => {
                    self.step();
                    continue;
                }
                Some(b'}') if said.is_empty() => return Err(self.malformed("it is an empty object")),
                Some(b'}') => {
                    return Err(self.malformed(&format!("it has no list of features; it says {}", said.trim_end())));
                }
                _ => return Err(self.malformed("a member name is missing")),
            }
            self.value(Some(MEMBER_BYTES_MAX))?;
            let name: String = serde_json::from_slice(&self.bytes)
                .map_err(|error| self.malformed(&format!("a member name is not valid: {error}")))?;
            if self.peek()? != Some(b':') {
                return Err(self.malformed("a colon is missing after a member name"));
            }
            self.step();
            if name == "features" {
                if self.peek()? != Some(b'[') {
                    return Err(self.malformed("\"features\" must be a list"));
                }
                self.step();
                self.place = Place::Rows { first: true };
                return Ok(());
            }
            let whole = self.value(Some(MEMBER_BYTES_MAX))?;
            const SAID_BYTES_MAX: usize = 600;
            if whole && said.len() + self.bytes.len() < SAID_BYTES_MAX {
                said += &format!("{name}: {} ", String::from_utf8_lossy(&self.bytes));
            }
        }
    }

    /// Reads one JSON value into `bytes` as far as `max` allows; whether all of it was kept.
    fn value(&mut self, max: Option<usize>) -> Result<bool, Error> {
        self.bytes.clear();
        let (mut depth, mut in_text, mut escaped, mut whole) = (0_u32, false, false, true);
        let mut started = false;
        loop {
            let available = self.reader.fill_buf().map_err(|cause| read(&self.file, self.line, cause))?;
            if available.is_empty() {
                return Err(self.malformed("the file ends in the middle of a row"));
            }
            let (mut used, mut done) = (0, false);
            for byte in available {
                // A bare number or word ends before the separator, which is left for the caller.
                if started && depth == 0 && !in_text && matches!(byte, b',' | b']' | b'}' | b':') {
                    done = true;
                    break;
                }
                used += 1;
                started |= !byte.is_ascii_whitespace();
                if *byte == b'\n' {
                    self.line += 1;
                }
                if in_text {
                    match byte {
                        _ if escaped => escaped = false,
                        b'\\' => escaped = true,
                        b'"' => in_text = false,
                        _ => {}
                    }
                    continue;
                }
                match byte {
                    b'"' => in_text = true,
                    b'{' | b'[' => depth += 1,
                    b'}' | b']' => depth = depth.saturating_sub(1),
                    _ => {}
                }
                // An object or a list ends with its bracket.
                if depth == 0 && matches!(byte, b'}' | b']') {
                    done = true;
                    break;
                }
            }
            match max.is_none_or(|max| self.bytes.len() + used <= max) {
                true => self.bytes.extend_from_slice(&available[..used]),
                false => whole = false,
            }
            self.reader.consume(used);
            if done {
                return Ok(whole);
            }
        }
    }

    /// The next byte that is not white space, not taken yet.
    fn peek(&mut self) -> Result<Option<u8>, Error> {
        loop {
            let available = self.reader.fill_buf().map_err(|cause| read(&self.file, self.line, cause))?;
            match available.first() {
                Some(byte) if byte.is_ascii_whitespace() => {
                    self.line += u64::from(*byte == b'\n');
                    self.reader.consume(1);
                }
                other => return Ok(other.copied()),
            }
        }
    }

    /// Takes the byte that was peeked.
    fn step(&mut self) {
        self.reader.consume(1);
    }

    fn malformed(&self, why: &str) -> Error {
        let why = format!("line {}: {why}", self.line);
        Error::Format { file: self.file.clone(), format: self.format.name(), why }
    }
}

fn read(file: &str, line: u64, cause: std::io::Error) -> Error {
    Error::Read { file: file.to_owned(), line, cause }
}

#[derive(Deserialize)]
struct Feature<'a> {
    #[serde(rename = "type")]
    kind: Option<Cow<'a, str>>,
    id: Option<Item<'static>>,
    #[serde(borrow)]
    geometry: Option<&'a RawValue>,
    properties: Option<Item<'static>>,
}

fn feature(line: u64, text: &str) -> Result<Row, String> {
    let feature: Feature =
        serde_json::from_str(text).map_err(|error| format!("the row is not a GeoJSON Feature: {error}"))?;
    if feature.kind.as_deref() != Some("Feature") {
        return Err("the row is not a GeoJSON Feature: its type is not \"Feature\"".to_owned());
    }
    let geometry = feature.geometry.map(RawValue::get).filter(|json| *json != "null");
    let geometry = geometry.map(|json| match json.contains(['\n', ' ', '\t']) {
        true => Arc::from(geometry::compact(json)),
        false => Arc::from(json),
    });
    let members = members(feature.properties.unwrap_or(Item::Null))?;
    Ok(Row::from_members(line, members, geometry, feature.id.unwrap_or(Item::Null), text.trim().into()))
}

fn object(line: u64, text: &str) -> Result<Row, String> {
    let item: Item = serde_json::from_str(text).map_err(|error| format!("the row is not JSON: {error}"))?;
    Ok(Row::from_members(line, members(item)?, None, Item::Null, text.trim().into()))
}
