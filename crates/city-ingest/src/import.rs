//! One file through its mapping: rows in, batches and rejected rows out.

use crate::batch::{Batch, Batcher};
use crate::decode::Decoder;
use crate::error::Error;
use crate::map::{Mapped, Mapper};
use crate::mapping::Mapping;
use crate::row::RejectedRow;

/// What became of the rows of a file. What the server applied, the caller counts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    pub read: u64,
    /// Handed over in batches.
    pub mapped: u64,
    /// Left out by `when`, or without any reading.
    pub skipped: u64,
    pub rejected: u64,
    /// Handed over as readings of the past.
    pub readings: u64,
    /// Columns that the mapping reads and no row had: perhaps a misspelt name.
    pub unseen_columns: Vec<String>,
}

/// Either the file or mapping stopped the import, or the caller did.
#[derive(Debug, thiserror::Error)]
pub enum ImportError<E> {
    #[error(transparent)]
    File(Error),
    #[error(transparent)]
    Caller(E),
}

/// Maps every row of `decoder`. Batches go to `send`, rows that cannot be used to `reject`; an error of
/// either ends the import. Memory is bounded whatever the file's size.
pub fn import<E>(
    mut decoder: Decoder,
    mapping: &Mapping,
    mut send: impl FnMut(Batch) -> Result<(), E>,
    mut reject: impl FnMut(RejectedRow) -> Result<(), E>,
) -> Result<Report, ImportError<E>> {
    let file = decoder.file().to_owned();
    let mut mapper = Mapper::new(mapping, &file, decoder.columns()).map_err(ImportError::File)?;
    let mut batcher = Batcher::new(&mapping.context_json);
    let mut report = Report::default();
    for row in &mut decoder {
        let row = match row {
            Ok(row) => row,
            // What came before the fault is not lost: it is handed over first.
            Err(error) => {
                batcher.finish(&mut send).map_err(ImportError::Caller)?;
                return Err(ImportError::File(error));
            }
        };
        report.read += 1;
        let mapped = row.and_then(|row| match mapper.map(&row) {
            Ok(mapped) => Ok((row.line, mapped)),
            Err(reason) => Err(row.reject(&file, reason)),
        });
        match mapped {
            Ok((line, mapped)) => {
                match &mapped {
                    Mapped::Skipped => report.skipped += 1,
                    Mapped::Entity(_) => report.mapped += 1,
                    Mapped::Readings { readings, .. } => {
                        report.mapped += 1;
                        report.readings += readings.len() as u64;
                    }
                }
                batcher.push(line, mapped, &mut send).map_err(ImportError::Caller)?;
            }
            Err(rejected) => {
                report.rejected += 1;
                reject(rejected).map_err(ImportError::Caller)?;
            }
        }
    }
    batcher.finish(&mut send).map_err(ImportError::Caller)?;
    report.unseen_columns = mapper.unseen_columns().iter().map(|name| name.to_string()).collect();
    Ok(report)
}
