//! The doors: the only room that listens on a socket.
//!
//! A request comes in; it is parsed, a permit is asked for, one call is made, and the answer is
//! rendered. One folder holds one standard; what every door shares stands beside them:
//! `doors` the one list of operations, `frame` what happens around every request, `server` the
//! socket, `problem` what is answered when something went wrong.

pub mod audit;
mod backup;
pub mod body;
pub mod caller;
pub mod city;
pub mod console;
pub mod control;
mod doctor;
pub mod doors;
pub mod files;
pub mod frame;
pub mod link;
pub mod media;
pub mod metering;
pub mod mqtt;
pub mod ngsi_ld;
pub mod ogc;
pub mod ops;
pub mod pages;
pub mod parameters;
mod patience;
pub mod people;
pub mod probes;
pub mod problem;
mod released;
pub mod server;
pub mod sources;
pub mod sql;
pub mod stream;
pub mod timetables;
mod tls;
pub mod trust;
mod undelete;
mod unread;
pub mod vocabulary;

pub use body::WholeBody;
pub use caller::{ByPermit, Caller};
pub use city::City;
pub use doors::{Effect, Operation};
pub use frame::{Frame, Limits, RequestId};
pub use media::MediaType;
pub use metering::Metering;
pub use mqtt::Mqtt;
pub use parameters::{Parameters, PathParameters};
pub use probes::{Phase, Ready};
pub use problem::{Kind, Problem};
pub use server::{Server, Stopped};
pub use tls::{Tls, TlsError};
