//! The rows of an answer as bytes: JSON, CSV or Arrow.

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::csv::WriterBuilder as CsvWriterBuilder;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::arrow::error::ArrowError;
use datafusion::arrow::ipc::writer::StreamWriter;
use datafusion::arrow::json::WriterBuilder as JsonWriterBuilder;
use datafusion::arrow::json::writer::JsonArray;

use crate::Error;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// An array of objects, one a row; what is null stands there as null.
    Json,
    /// With a line of names; RFC 4180.
    Csv,
    /// An Arrow IPC stream.
    Arrow,
}

/// What a query gave.
#[derive(Debug)]
pub struct Answer {
    schema: SchemaRef,
    batches: Vec<RecordBatch>,
    rows: usize,
}

impl Answer {
    pub(crate) fn new(schema: SchemaRef) -> Self {
        Self { schema, batches: Vec::new(), rows: 0 }
    }

    pub(crate) fn push(&mut self, batch: RecordBatch) {
        self.rows += batch.num_rows();
        self.batches.push(batch);
    }

    #[must_use]
    pub fn rows(&self) -> usize {
        self.rows
    }

    pub fn render(&self, format: Format) -> Result<Vec<u8>, Error> {
        let rendered = match format {
            Format::Json => self.json(),
            Format::Csv => self.csv(),
            Format::Arrow => self.arrow(),
        };
        rendered.map_err(|error| Error::Engine(error.to_string()))
    }

    fn json(&self) -> Result<Vec<u8>, ArrowError> {
        let mut out = Vec::new();
        let mut writer = JsonWriterBuilder::new().with_explicit_nulls(true).build::<_, JsonArray>(&mut out);
        self.batches.iter().try_for_each(|batch| writer.write(batch))?;
        writer.finish()?;
        // Without a batch the writer writes nothing at all.
        if out.is_empty() {
            out.extend_from_slice(b"[]");
        }
        Ok(out)
    }

    fn csv(&self) -> Result<Vec<u8>, ArrowError> {
        let mut out = Vec::new();
        let mut writer = CsvWriterBuilder::new().with_header(true).build(&mut out);
        writer.write(&RecordBatch::new_empty(self.schema.clone()))?;
        self.batches.iter().try_for_each(|batch| writer.write(batch))?;
        drop(writer);
        Ok(out)
    }

    fn arrow(&self) -> Result<Vec<u8>, ArrowError> {
        let mut out = Vec::new();
        let mut writer = StreamWriter::try_new(&mut out, &self.schema)?;
        self.batches.iter().try_for_each(|batch| writer.write(batch))?;
        writer.finish()?;
        drop(writer);
        Ok(out)
    }
}
