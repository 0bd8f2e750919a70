//! A table as the engine sees it: rows of a source, made on a thread that may block, a batch at a time.

use std::fmt::Debug;
use std::sync::Arc;

use city_model::Time;
use datafusion::arrow::array::{
    ArrayRef, BooleanBuilder, Float64Builder, RecordBatch, RecordBatchOptions, StringBuilder,
    TimestampMicrosecondBuilder,
};
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use datafusion::catalog::{Session, TableProvider};
use datafusion::datasource::TableType;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::TaskContext;
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown};
use datafusion::physical_plan::stream::RecordBatchReceiverStreamBuilder;
use datafusion::physical_plan::streaming::{PartitionStream, StreamingTableExec};
use datafusion::physical_plan::{ExecutionPlan, SendableRecordBatchStream};
use tokio::sync::mpsc::Sender;

use crate::wanted::Wanted;
use crate::{BATCH_ROWS, Error};

/// Most bytes of texts in one batch.
const BATCH_BYTES_MAX: usize = 4 << 20;

/// Batches that are ready before the engine takes them.
const BATCHES_AHEAD: usize = 2;

/// What a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Holds {
    Text,
    Number,
    Flag,
    Time,
}

impl Holds {
    fn data_type(self) -> DataType {
        match self {
            Self::Text => DataType::Utf8,
            Self::Number => DataType::Float64,
            Self::Flag => DataType::Boolean,
            Self::Time => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
        }
    }
}

/// Where the rows of a table come from.
pub trait Source: Debug + Send + Sync + 'static {
    /// Names of the columns, in order.
    fn columns(&self) -> Vec<(String, Holds)>;
    /// Hands every wanted row to `rows`, until it says that it has enough.
    fn produce(&self, wanted: &Wanted, rows: &mut Rows) -> Result<(), Error>;
}

#[derive(Debug)]
pub struct Table {
    source: Arc<dyn Source>,
    schema: SchemaRef,
}

impl Table {
    pub fn new(source: impl Source) -> Self {
        let fields = source.columns().into_iter().map(|(name, holds)| Field::new(name, holds.data_type(), true));
        let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
        Self { source: Arc::new(source), schema }
    }
}

#[async_trait::async_trait]
impl TableProvider for Table {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> Result<Vec<TableProviderFilterPushDown>> {
        Ok(vec![TableProviderFilterPushDown::Inexact; filters.len()])
    }

    async fn scan(
        &self,
        _: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let columns = match projection {
            Some(columns) => columns.clone(),
            None => (0..self.schema.fields().len()).collect(),
        };
        let schema = Arc::new(self.schema.project(&columns)?);
        let part = Part {
            source: Arc::clone(&self.source),
            schema: Arc::clone(&schema),
            columns,
            wanted: Wanted::of(filters),
        };
        let parts: Vec<Arc<dyn PartitionStream>> = vec![Arc::new(part)];
        Ok(Arc::new(StreamingTableExec::try_new(schema, parts, None, [], false, limit)?))
    }
}

#[derive(Debug)]
struct Part {
    source: Arc<dyn Source>,
    schema: SchemaRef,
    columns: Vec<usize>,
    wanted: Wanted,
}

impl PartitionStream for Part {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, _: Arc<TaskContext>) -> SendableRecordBatchStream {
        let mut stream = RecordBatchReceiverStreamBuilder::new(Arc::clone(&self.schema), BATCHES_AHEAD);
        let (source, wanted) = (Arc::clone(&self.source), self.wanted.clone());
        let mut rows = Rows::new(Arc::clone(&self.schema), &self.columns, source.columns().len(), stream.tx());
        stream.spawn_blocking(move || {
            source.produce(&wanted, &mut rows).map_err(|error| DataFusionError::External(Box::new(error)))?;
            rows.flush()
        });
        stream.build()
    }
}

/// The value of one column in one row.
#[derive(Debug, Clone, Copy)]
pub enum Cell<'a> {
    Null,
    Text(&'a str),
    Number(f64),
    Flag(bool),
    Time(Time),
}

enum Column {
    Text(StringBuilder),
    Number(Float64Builder),
    Flag(BooleanBuilder),
    Time(TimestampMicrosecondBuilder),
}

/// Takes rows in and sends batches off.
pub struct Rows {
    schema: SchemaRef,
    columns: Vec<Column>,
    /// Where the columns of the source stand among the wanted ones.
    places: Vec<Option<usize>>,
    rows: usize,
    /// Of the texts in them.
    bytes: usize,
    sender: Sender<Result<RecordBatch>>,
    enough: bool,
}

impl Rows {
    fn new(schema: SchemaRef, wanted: &[usize], all: usize, sender: Sender<Result<RecordBatch>>) -> Self {
        let mut places = vec![None; all];
        for (place, column) in wanted.iter().enumerate() {
            places[*column] = Some(place);
        }
        let columns = schema.fields().iter().map(|field| Column::of(field.data_type())).collect();
        Self { schema, columns, places, rows: 0, bytes: 0, sender, enough: false }
    }

    /// Nobody takes rows any more.
    #[must_use]
    pub fn has_enough(&self) -> bool {
        self.enough || self.sender.is_closed()
    }

    /// Whether a column of the source is wanted at all.
    #[must_use]
    pub fn wants(&self, column: usize) -> bool {
        self.places[column].is_some()
    }

    /// One row; `cell` gives the value of a column that is wanted.
    pub fn push<'c>(&mut self, mut cell: impl FnMut(usize) -> Cell<'c>) -> Result<(), Error> {
        for (column, place) in self.places.iter().enumerate() {
            if let Some(place) = place {
                let cell = cell(column);
                if let Cell::Text(text) = cell {
                    self.bytes += text.len();
                }
                self.columns[*place].push(cell);
            }
        }
        self.rows += 1;
        if self.rows >= BATCH_ROWS || self.bytes >= BATCH_BYTES_MAX {
            self.flush().map_err(Error::of_run)?;
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<()> {
        if self.rows == 0 {
            return Ok(());
        }
        let arrays: Vec<ArrayRef> = self.columns.iter_mut().map(Column::finish).collect();
        // A query that only counts wants no column, and still its rows.
        let options = RecordBatchOptions::new().with_row_count(Some(self.rows));
        let batch = RecordBatch::try_new_with_options(Arc::clone(&self.schema), arrays, &options)?;
        (self.rows, self.bytes) = (0, 0);
        self.enough |= self.sender.blocking_send(Ok(batch)).is_err();
        Ok(())
    }
}

impl Column {
    fn of(data_type: &DataType) -> Self {
        match data_type {
            DataType::Float64 => Self::Number(Float64Builder::new()),
            DataType::Boolean => Self::Flag(BooleanBuilder::new()),
            DataType::Timestamp(..) => {
                Self::Time(TimestampMicrosecondBuilder::new().with_data_type(Holds::Time.data_type()))
            }
            _ => Self::Text(StringBuilder::new()),
        }
    }

    fn push(&mut self, cell: Cell) {
        match (self, cell) {
            (Self::Text(builder), Cell::Text(text)) => builder.append_value(text),
            (Self::Text(builder), _) => builder.append_null(),
            (Self::Number(builder), Cell::Number(number)) => builder.append_value(number),
            (Self::Number(builder), _) => builder.append_null(),
            (Self::Flag(builder), Cell::Flag(flag)) => builder.append_value(flag),
            (Self::Flag(builder), _) => builder.append_null(),
            (Self::Time(builder), Cell::Time(time)) => builder.append_value(time.as_micros()),
            (Self::Time(builder), _) => builder.append_null(),
        }
    }

    fn finish(&mut self) -> ArrayRef {
        match self {
            Self::Text(builder) => Arc::new(builder.finish()),
            Self::Number(builder) => Arc::new(builder.finish()),
            Self::Flag(builder) => Arc::new(builder.finish()),
            Self::Time(builder) => Arc::new(builder.finish()),
        }
    }
}
