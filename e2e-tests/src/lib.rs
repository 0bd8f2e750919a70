//! Drives the built binary as its users do: a process with a data folder, requests over sockets,
//! webhook receivers that listen. Nothing of the product is linked in.
//!
//! The tests look for the binary in `RENKEI_BIN`, else in `target/ci/renkei`. They never assert how
//! fast something is; what is awaited has a generous bound, [`PATIENCE`].

mod client;
mod data;
pub mod doors;
mod events;
mod folder;
pub mod mqtt;
mod random;
mod receiver;
mod server;
mod wait;

pub use client::{Answer, Client, Request, encode, path_with};
pub use data::{data_folder, skipped};
pub use events::{Event, Events};
pub use folder::{copy_folder, files_below};
pub use mqtt::{Login, MqttClient};
pub use random::Random;
pub use receiver::{Received, Receiver, Reply, free_port};
pub use server::{Ended, Server, binary, command, run, signal};
pub use wait::{PATIENCE, eventually, micros_of, never_within};

/// Where the NGSI-LD API begins.
pub const API: &str = "/ngsi-ld/v1";
pub const ENTITIES: &str = "/ngsi-ld/v1/entities";
pub const SUBSCRIPTIONS: &str = "/ngsi-ld/v1/subscriptions";
pub const TEMPORAL: &str = "/ngsi-ld/v1/temporal/entities";
pub const OPERATIONS: &str = "/ngsi-ld/v1/entityOperations";
