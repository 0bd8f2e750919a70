//! CSV with a header line (RFC 4180), UTF-8 with or without a byte order mark.

use std::io::{self, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use csv::{ByteRecord, StringRecord};

use super::READ_BUFFER_BYTES;
use crate::error::Error;
use crate::row::{Header, ROW_BYTES_MAX, RejectedRow, Row, clip};

const NOT_UTF_8: &str =
    "the row is not UTF-8; if the file is Shift_JIS, convert it first: iconv -f CP932 -t UTF-8 FILE";

pub(super) struct CsvRows {
    file: String,
    reader: csv::Reader<Fenced>,
    left: Arc<AtomicUsize>,
    header: Arc<Header>,
    record: ByteRecord,
}

/// Lets a row take no more than its bound from the file: an open quotation mark must not swallow it all.
struct Fenced {
    inner: Box<dyn Read + Send>,
    left: Arc<AtomicUsize>,
}

/// What one row may take: its bound and what is read ahead of it.
const FENCE_BYTES: usize = ROW_BYTES_MAX + 2 * READ_BUFFER_BYTES;

impl Read for Fenced {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.left.load(Ordering::Relaxed);
        if left < buffer.len() {
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, "row too long"));
        }
        let taken = self.inner.read(buffer)?;
        self.left.store(left - taken, Ordering::Relaxed);
        Ok(taken)
    }
}

impl CsvRows {
    pub(super) fn open(file: &str, inner: Box<dyn Read + Send>, delimiter: u8) -> Result<Self, Error> {
        let left = Arc::new(AtomicUsize::new(FENCE_BYTES));
        let fenced = Fenced { inner, left: Arc::clone(&left) };
        let mut reader = csv::ReaderBuilder::new()
            .delimiter(delimiter)
            .flexible(true)
            .buffer_capacity(READ_BUFFER_BYTES)
            .from_reader(fenced);
        let bad = |why: String| Error::Format { file: file.to_owned(), format: "csv", why };
        let names = match reader.byte_headers() {
            Ok(names) => names.clone(),
            Err(error) => return Err(fatal(file, 1, error)),
        };
        if names.is_empty() {
            return Err(bad("it has no header line".to_owned()));
        }
        let names = StringRecord::from_byte_record(names).map_err(|_| bad(NOT_UTF_8.replace("row", "header")))?;
        let header = Header::new(names.iter().map(Into::into).collect()).map_err(bad)?;
        Ok(Self { file: file.to_owned(), reader, left, header: Arc::new(header), record: ByteRecord::new() })
    }

    pub(super) fn columns(&self) -> &[Box<str>] {
        &self.header.names
    }

    pub(super) fn next_row(&mut self) -> Result<Option<Result<Row, RejectedRow>>, Error> {
        self.left.store(FENCE_BYTES, Ordering::Relaxed);
        let line = self.reader.position().line();
        match self.reader.read_byte_record(&mut self.record) {
            Ok(true) => {}
            Ok(false) => return Ok(None),
            Err(error) => return Err(fatal(&self.file, line, error)),
        }
        let line = self.record.position().map_or(line, csv::Position::line);
        let record = match StringRecord::from_byte_record(self.record.clone()) {
            Ok(record) => record,
            Err(error) => {
                let input = String::from_utf8_lossy(error.into_byte_record().as_slice()).into_owned();
                return Ok(Some(Err(self.reject(line, NOT_UTF_8.to_owned(), &input))));
            }
        };
        if record.len() != self.header.names.len() {
            let reason = format!("the row has {} cells, the header {}", record.len(), self.header.names.len());
            let row = Row::from_record(line, Arc::clone(&self.header), record);
            return Ok(Some(Err(row.reject(&self.file, reason))));
        }
        Ok(Some(Ok(Row::from_record(line, Arc::clone(&self.header), record))))
    }

    fn reject(&self, line: u64, reason: String, input: &str) -> RejectedRow {
        RejectedRow { file: self.file.clone(), line, reason, input: clip(input) }
    }
}

fn fatal(file: &str, line: u64, error: csv::Error) -> Error {
    let file = file.to_owned();
    match error.into_kind() {
        csv::ErrorKind::Io(cause) if cause.kind() == io::ErrorKind::FileTooLarge => {
            Error::EndlessRow { file, line, max: ROW_BYTES_MAX }
        }
        csv::ErrorKind::Io(cause) => Error::Read { file, line, cause },
        other => Error::Format { file, format: "csv", why: format!("{other:?}") },
    }
}
