//! The Common Alerting Protocol of OASIS: bytes of an alert come in and its values go out, and the other way.
//!
//! Version 1.2 is read and written, 1.1 as well (its namespace, and what it lacks). 1.0 is refused by name: its
//! codes are texts of another form. Strict: elements, their order and number as in the schema, values as in the
//! data dictionary (clause 3.2), dates as in clause 3.3.2; what is wrong is said with its path, its value and what
//! to do, all of it and not only the first.
//!
//! Where the standard is read rather than quoted:
//! - White space around a value is no part of it, and an optional element with nothing in it says nothing.
//! - UTC is to be written `-00:00`; `+00:00`, which the schema admits and many agencies send, is read as well. `Z`
//!   is what the clause forbids in so many words.
//! - An alert whose `msgType` is not `Alert` is about the earlier ones "identified in `references`": none is an
//!   error, since nobody could tell what is updated or cancelled.
//! - A signature (XML-DSig, clause 3.3.4.1) is noted in `signed` and not verified; it is not written.

mod alert;
mod check;
mod date_time;
mod geometry;
mod members;
mod problem;
mod read;
mod word;
mod write;

pub use alert::{Alert, Area, Info, NamedValue, Reference, Resource};
pub use date_time::DateTime;
pub use geometry::{Circle, Point, Polygon};
pub use problem::{Kind, PROBLEMS_MAX, Problem, Problems};
pub use read::read;
pub use word::{Category, Certainty, MsgType, ResponseType, Scope, Severity, Status, Urgency, Version, Word};
pub use write::write;
