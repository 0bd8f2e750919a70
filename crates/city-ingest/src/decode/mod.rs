//! Bytes of a file in, rows out, one at a time: memory does not grow with the file.

mod csv_rows;
mod json_rows;

use std::io::{BufReader, Read};

use flate2::read::MultiGzDecoder;
use serde::Deserialize;

use crate::error::Error;
use crate::row::{RejectedRow, Row};
use csv_rows::CsvRows;
use json_rows::JsonRows;

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
    /// One JSON array of objects.
    Json,
    /// One JSON object on each line.
    NdJson,
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
        }
    }
}

/// What the mapping says about the bytes.
#[derive(Debug, Clone, Copy)]
pub struct Encoding {
    pub format: Format,
    /// CSV only.
    pub delimiter: u8,
}

/// Rows of one file. An `Err` ends the file; a rejected row does not.
pub struct Decoder {
    file: String,
    rows: Rows,
}

enum Rows {
    Csv(Box<CsvRows>),
    Json(Box<JsonRows>),
}

impl Decoder {
    /// `file` is the name that errors and rejected rows show; `gz` says whether the bytes are compressed.
    pub fn open(file: &str, reader: Box<dyn Read + Send>, encoding: Encoding, gz: bool) -> Result<Self, Error> {
        let reader: Box<dyn Read + Send> = match gz {
            true => Box::new(MultiGzDecoder::new(BufReader::with_capacity(READ_BUFFER_BYTES, reader))),
            false => reader,
        };
        let rows = match encoding.format {
            Format::Csv => Rows::Csv(Box::new(CsvRows::open(file, reader, encoding.delimiter)?)),
            format => {
                let reader = BufReader::with_capacity(READ_BUFFER_BYTES, reader);
                Rows::Json(Box::new(JsonRows::new(file, Box::new(reader), format)))
            }
        };
        Ok(Self { file: file.to_owned(), rows })
    }

    #[must_use]
    pub fn file(&self) -> &str {
        &self.file
    }

    /// The columns, where the format names them before the first row.
    #[must_use]
    pub fn columns(&self) -> Option<&[Box<str>]> {
        match &self.rows {
            Rows::Csv(rows) => Some(rows.columns()),
            Rows::Json(_) => None,
        }
    }
}

impl Iterator for Decoder {
    type Item = Result<Result<Row, RejectedRow>, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        match &mut self.rows {
            Rows::Csv(rows) => rows.next_row(),
            Rows::Json(rows) => rows.next_row(),
        }
        .transpose()
    }
}
