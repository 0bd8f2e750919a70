//! One text file of a feed, row by row: RFC 4180, UTF-8, a header line that says where each column is.

use csv::StringRecord;

use crate::Error;

/// Longest cell that is read, in bytes.
pub const CELL_BYTES_MAX: usize = 4 * 1024;

/// A file whose columns have been found.
pub(crate) struct Table<'b> {
    pub name: &'static str,
    reader: csv::Reader<&'b [u8]>,
    record: StringRecord,
    places: Vec<Option<usize>>,
}

/// A row; columns by their place in the list that was asked for.
pub(crate) struct Line<'t> {
    record: &'t StringRecord,
    places: &'t [Option<usize>],
}

impl<'t> Line<'t> {
    /// Blank where the file or the row has no such cell.
    pub fn cell(&self, column: usize) -> &'t str {
        let place = self.places.get(column).copied().flatten();
        place.and_then(|place| self.record.get(place)).unwrap_or_default().trim()
    }

    pub fn text(&self, column: usize) -> Option<Box<str>> {
        Some(self.cell(column)).filter(|cell| !cell.is_empty()).map(Into::into)
    }
}

impl<'b> Table<'b> {
    /// The first `needed` columns must be there.
    pub fn open(name: &'static str, bytes: &'b [u8], columns: &[&'static str], needed: usize) -> Result<Self, Error> {
        let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
        let mut reader = csv::ReaderBuilder::new().flexible(true).from_reader(bytes);
        let header = reader.headers().map_err(|error| row(name, &error))?;
        let place = |column: &str| header.iter().position(|own| own.trim() == column);
        let places: Vec<Option<usize>> = columns.iter().map(|column| place(column)).collect();
        let missing = places.iter().zip(columns).take(needed).find(|(place, _)| place.is_none());
        if let Some((_, column)) = missing {
            return Err(Error::MissingColumn { file: name, column });
        }
        Ok(Self { name, reader, record: StringRecord::new(), places })
    }

    /// Hands out each row; an `Err` of `take` is the reason why the row cannot be used, and ends the file.
    pub fn each(mut self, max: usize, mut take: impl FnMut(Line) -> Result<(), String>) -> Result<(), Error> {
        let mut rows = 0;
        while self.reader.read_record(&mut self.record).map_err(|error| row(self.name, &error))? {
            // A line with nothing on it is no row.
            if self.record.iter().all(|cell| cell.trim().is_empty()) {
                continue;
            }
            rows += 1;
            if rows > max {
                return Err(Error::TooManyRows { file: self.name, max });
            }
            let number = self.record.position().map_or(0, csv::Position::line);
            if self.record.iter().any(|cell| cell.len() > CELL_BYTES_MAX) {
                let why = format!("a cell is longer than {CELL_BYTES_MAX} bytes");
                return Err(Error::Row { file: self.name, line: number, why });
            }
            let line = Line { record: &self.record, places: &self.places };
            take(line).map_err(|why| Error::Row { file: self.name, line: number, why })?;
        }
        Ok(())
    }
}

fn row(file: &'static str, error: &csv::Error) -> Error {
    let line = error.position().map_or(1, csv::Position::line);
    let why = match error.kind() {
        csv::ErrorKind::Utf8 { .. } => {
            "it is not UTF-8, which GTFS is; convert it first, as in iconv -f CP932 -t UTF-8 FILE".to_owned()
        }
        _ => error.to_string(),
    };
    Error::Row { file, line, why }
}
