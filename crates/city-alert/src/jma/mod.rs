//! The disaster XML of the Japan Meteorological Agency (気象庁防災情報XML): a message comes in, and all that it
//! says goes out as JSON, and as rows.
//!
//! A message is `Report` with three parts: `Control` (管理部) for who passes it on, `Head` (ヘッダ部) that is the
//! same for all, and `Body` (内容部) of meteorology, seismology or volcanology. The first two are typed; the body is
//! a tree that keeps every element and attribute, in shapes that do not change from message to message (`schema`).
//! `Report::rows` is what a mapping reads: one row for each thing that a city acts on (`rows`).

mod names;
mod report;
mod rows;
mod schema;
mod tree;

pub use report::{Control, Head, Headline, Report, Subject, read};
pub use rows::place::{Position, positions};
pub use rows::{ROWS_BYTES_MAX, ROWS_MAX, Row};

use crate::xml;

/// Why bytes are no message of the agency, or one that is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Xml(#[from] xml::Error),
    #[error("The document is {0}, and no <Report> of the JMA. Send it to what reads that.")]
    NotReport(String),
    #[error("{0} is missing. Ask whoever passes the message on whether it is whole.")]
    Missing(&'static str),
    #[error("{path}: {value:?} is no date and time. It must be as 2011-03-11T14:49:00+09:00.")]
    DateTime { path: &'static str, value: String },
    #[error(
        "The message makes more than {ROWS_MAX} rows or {ROWS_BYTES_MAX} bytes of them. Read its body instead of \
         its rows."
    )]
    TooManyRows,
}
