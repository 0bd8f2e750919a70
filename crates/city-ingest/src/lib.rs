//! What comes in from files and feeds.
//!
//! A file comes in as bytes; `decode` turns it into rows, a `Mapping` turns each row into an NGSI-LD
//! entity or into past readings of one, and `import` hands them out in batches, as JSON documents. Rows
//! that cannot be used go to the caller with file, line, reason and text, never to silence.
//!
//! This room opens no file and no connection: the caller brings readers and takes batches. There is one
//! mapping language (docs/reference/mapping.md); a mapping file is the `map:` part of a source file.

pub mod batch;
pub mod decode;
mod digest;
mod error;
pub mod expression;
mod function;
mod geometry;
pub mod import;
mod item;
mod map;
pub mod mapping;
pub mod meter;
mod plane;
mod quality;
pub mod row;
pub mod source;
mod spec;
pub mod timetables;
mod unit;
mod value;
mod zone;

pub use batch::{Batch, BatchEntity, Batcher};
pub use decode::{Decoder, Format};
pub use error::Error;
pub use import::{ImportError, Report, import};
pub use item::Item;
pub use map::{Mapped, MappedEntity, Mapper, Reading};
pub use mapping::{Mapping, Source, Target};
pub use row::{RejectedRow, Row};
