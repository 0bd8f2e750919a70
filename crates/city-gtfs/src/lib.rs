//! GTFS Schedule and GTFS Realtime: bytes in, timetables, rows and problems out.
//!
//! `archive` opens a feed within bounds, `tables` reads the files that a timetable needs, `timetable` answers what
//! leaves a stop next, `check` holds a feed against the rules of the field, `realtime` reads and writes what happens
//! now. No I/O, no clock: the caller brings bytes and the time.

pub mod archive;
mod calendar;
pub mod check;
mod error;
pub mod realtime;
mod tables;
pub mod timetable;
mod wire;

pub use archive::Archive;
pub use check::{Findings, Level, Problem, Rule, check};
pub use error::Error;
pub use timetable::{Agency, Departure, LocationType, Route, Stop, Timetable, Trip};
