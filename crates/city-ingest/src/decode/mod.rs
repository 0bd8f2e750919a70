//! Bytes of a file in, rows out, one at a time: memory does not grow with the file.

mod agency;
mod csv_rows;
mod json_rows;
mod senml;
mod ultralight;
pub mod whole;

use std::io::{BufReader, Read};
use std::sync::Arc;

use city_model::Time;

use flate2::read::MultiGzDecoder;
use serde::Deserialize;

use crate::error::Error;
use crate::item::Item;
use crate::row::{About, RejectedRow, Row, clip};
use csv_rows::CsvRows;
use json_rows::JsonRows;
use whole::{Found, WHOLE_BYTES_MAX, Whole};

/// Read-ahead on the file, in bytes.
const READ_BUFFER_BYTES: usize = 64 * 1024;

/// How the bytes of a file become rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// RFC 4180 with a header line, UTF-8.
    Csv,
    /// One FeatureCollection; a row for each Feature, its columns are the properties (RFC 7946).
    GeoJson,
    /// One Feature on each line, also with record separators (RFC 8142).
    GeoJsonL,
    /// One JSON array of objects, or one object; with `rows`, any document that has them somewhere.
    Json,
    /// One JSON object on each line.
    NdJson,
    /// A bare number.
    Number,
    /// A text as it is.
    Text,
    /// Sensor Measurement Lists in JSON (RFC 8428).
    SenMl,
    /// UltraLight 2.0.
    Ultralight,
    /// GTFS Realtime 2.0.
    #[serde(rename = "gtfs-rt")]
    GtfsRt,
    /// The Common Alerting Protocol, 1.1 and 1.2.
    Cap,
    /// Disaster XML of the Japan Meteorological Agency.
    Jma,
    /// Disaster messages of the Michibiki satellites, a `$QZQSM` sentence a line.
    Qzss,
}

impl Format {
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Csv => "csv",
            Self::GeoJson => "geojson",
            Self::GeoJsonL => "geojsonl",
            Self::Json => "json",
            Self::NdJson => "ndjson",
            Self::Number => "number",
            Self::Text => "text",
            Self::SenMl => "senml",
            Self::Ultralight => "ultralight",
            Self::GtfsRt => "gtfs-rt",
            Self::Cap => "cap",
            Self::Jma => "jma",
            Self::Qzss => "qzss",
        }
    }
}

/// What the mapping says about the bytes.
#[derive(Debug, Clone)]
pub struct Encoding {
    pub format: Format,
    /// CSV only.
    pub delimiter: u8,
    /// Where in a JSON document the rows are.
    pub rows: Arc<[Box<str>]>,
}

impl Encoding {
    fn is_whole(&self) -> bool {
        match self.format {
            Format::Csv | Format::GeoJson | Format::GeoJsonL | Format::NdJson => false,
            Format::Json => !self.rows.is_empty(),
            Format::Number | Format::Text | Format::SenMl | Format::Ultralight => true,
            Format::Cap | Format::Jma | Format::Qzss | Format::GtfsRt => true,
        }
    }
}

/// Rows of one file. An `Err` ends the file; a rejected row does not.
pub struct Decoder {
    about: Arc<About>,
    rows: Rows,
}

enum Rows {
    Csv(Box<CsvRows>),
    Json(Box<JsonRows>),
    /// Not read yet.
    Unread(Box<dyn Read + Send>, Encoding),
    Whole(std::vec::IntoIter<Found>),
}

impl Decoder {
    /// `file` is the name that errors and rejected rows show; `gz` says whether the bytes are compressed.
    pub fn open(file: &str, reader: Box<dyn Read + Send>, encoding: Encoding, gz: bool) -> Result<Self, Error> {
        let reader: Box<dyn Read + Send> = match gz {
            true => Box::new(MultiGzDecoder::new(BufReader::with_capacity(READ_BUFFER_BYTES, reader))),
            false => reader,
        };
        let rows = match encoding.format {
            _ if encoding.is_whole() => Rows::Unread(reader, encoding),
            Format::Csv => Rows::Csv(Box::new(CsvRows::open(file, reader, encoding.delimiter)?)),
            format => {
                let reader = BufReader::with_capacity(READ_BUFFER_BYTES, reader);
                Rows::Json(Box::new(JsonRows::new(file, Box::new(reader), format)))
            }
        };
        Ok(Self { about: Arc::new(About { name: file.into(), ..About::default() }), rows })
    }

    /// When it came: what counts from now counts from then.
    #[must_use]
    pub fn received(mut self, at: Time) -> Self {
        self.about = Arc::new(About { received_at: Some(at), ..About::clone(&self.about) });
        self
    }

    #[must_use]
    pub fn file(&self) -> &str {
        &self.about.name
    }

    /// The columns, where the format names them before the first row.
    #[must_use]
    pub fn columns(&self) -> Option<&[Box<str>]> {
        match &self.rows {
            Rows::Csv(rows) => Some(rows.columns()),
            Rows::Json(_) | Rows::Unread(..) | Rows::Whole(_) => None,
        }
    }

    fn next_row(&mut self) -> Result<Option<Result<Row, RejectedRow>>, Error> {
        if let Rows::Unread(reader, encoding) = &mut self.rows {
            let found = read_whole(reader, encoding, &self.about);
            // Read once, whatever came of it.
            self.rows = Rows::Whole(Vec::new().into_iter());
            let Whole { rows, envelope } = found?;
            self.about = Arc::new(About { envelope, ..About::clone(&self.about) });
            self.rows = Rows::Whole(rows.into_iter());
        }
        match &mut self.rows {
            Rows::Csv(rows) => rows.next_row(),
            Rows::Json(rows) => rows.next_row(),
            Rows::Unread(..) => Ok(None),
            Rows::Whole(rows) => Ok(rows.next().map(|Found { line, row, geometry, text }| match row {
                Ok(members) => Ok(Row::from_members(line, members, geometry, Item::Null, text)),
                Err(reason) => {
                    let (file, input) = (self.about.name.to_string(), clip(text.trim()));
                    Err(RejectedRow { file, line, reason, input })
                }
            })),
        }
    }
}

fn read_whole(reader: &mut dyn Read, encoding: &Encoding, about: &About) -> Result<Whole, Error> {
    let file = || about.name.to_string();
    let mut bytes = Vec::new();
    let read = reader.take(WHOLE_BYTES_MAX as u64 + 1).read_to_end(&mut bytes);
    read.map_err(|cause| Error::Read { file: file(), line: 1, cause })?;
    let format = encoding.format;
    let whole = match bytes.len() > WHOLE_BYTES_MAX {
        true => Err(format!("it is longer than {WHOLE_BYTES_MAX} bytes")),
        false => whole::read(format, &bytes, &encoding.rows, about.received_at),
    };
    whole.map_err(|why| Error::Format { file: file(), format: format.name(), why })
}

impl Iterator for Decoder {
    type Item = Result<Result<Row, RejectedRow>, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        let row = self.next_row().transpose()?;
        Some(row.map(|row| row.map(|row| row.of(&self.about))))
    }
}
