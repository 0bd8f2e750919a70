//! What can go wrong with a query, for the person who wrote it.

use datafusion::error::DataFusionError;

use crate::{ANSWER_BYTES_MAX, MEMORY_BYTES_MAX, OPERATORS_MAX, QUERIES_MAX, QUERY_BYTES_MAX, ROWS_MAX, SECONDS_MAX};

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("SQL-001 {0}")]
    Text(String),
    #[error("SQL-002 The query took longer than {SECONDS_MAX} s. Narrow it by id, type, attribute or time.")]
    TooSlow,
    #[error(
        "SQL-003 The answer has more than {ROWS_MAX} rows or {} MiB. Add a LIMIT, or group the rows.",
        ANSWER_BYTES_MAX >> 20
    )]
    TooMany,
    #[error(
        "SQL-004 The query needs more than {} MiB of memory. Narrow it, or group by fewer things.",
        MEMORY_BYTES_MAX >> 20
    )]
    TooMuchMemory,
    #[error("SQL-005 The query is longer than {} KiB.", QUERY_BYTES_MAX >> 10)]
    TooLong,
    #[error("SQL-007 The statement has more than {OPERATORS_MAX} operators. Write long alternatives with IN (…).")]
    TooDeep,
    #[error("SQL-008 {QUERIES_MAX} queries are running already. Ask again in a moment.")]
    Busy,
    #[error("SQL-006 {0}")]
    Engine(String),
    #[error(transparent)]
    Context(#[from] city_context::Error),
    #[error(transparent)]
    History(#[from] city_history::Error),
}

impl Error {
    /// Before anything runs, what is wrong is wrong in the text.
    pub(crate) fn of_text(error: DataFusionError) -> Self {
        let text = plain(&error);
        if text.contains("not supported: ") || text.contains("Statement not supported") || text.contains("DDL") {
            return Self::Text(format!("{text} Only SELECT is possible here, over the tables that SHOW TABLES names."));
        }
        Self::Text(text)
    }

    pub(crate) fn of_run(error: DataFusionError) -> Self {
        match error.find_root() {
            DataFusionError::ResourcesExhausted(_) => Self::TooMuchMemory,
            DataFusionError::External(inner) => Self::Engine(inner.to_string()),
            // Such as a division by zero or a text that is no number.
            DataFusionError::Execution(_) | DataFusionError::ArrowError(..) | DataFusionError::Plan(_) => {
                Self::Text(plain(&error))
            }
            _ => Self::Engine(plain(&error)),
        }
    }
}

/// The engine's sentence without the words it puts in front, and without a trace.
fn plain(error: &DataFusionError) -> String {
    let text = match error.find_root() {
        DataFusionError::SQL(inner, _) => inner.to_string(),
        other => other.strip_backtrace(),
    };
    let mut text = text.as_str();
    for front in [
        "sql parser error: ",
        "Error during planning: ",
        "Schema error: ",
        "SQL error: ",
        "Execution error: ",
        "Arrow error: ",
        "This feature is not implemented: ",
        "Invalid or Unsupported Configuration: ",
    ] {
        text = text.strip_prefix(front).unwrap_or(text);
    }
    format!("{}.", text.trim_end_matches('.'))
}
