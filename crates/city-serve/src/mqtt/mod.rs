//! MQTT 3.1.1 and 5.0: packets come in on a socket of their own, messages become changes or go to whoever
//! subscribed; nothing is acknowledged before it is durable.
//!
//! `server` accepts, `greeting` lets a client in, `connection` is its life, `incoming` what its packets do and
//! `outgoing` what goes to it; `town` is the broker of one tenant with its one order of steps; `rights` says who
//! may publish and subscribe where.

mod commands;
mod connection;
mod feed;
mod greeting;
mod incoming;
mod outgoing;
mod rights;
mod server;
mod town;
mod towns;
mod upsert;

use std::time::Duration;

pub use server::Mqtt;
pub use towns::Messages;

/// Largest packet; a larger one ends its connection. Clients of MQTT 5 are told.
pub const PACKET_BYTES_MAX: usize = 1 << 20;
/// Largest CONNECT: nobody is known before it.
pub const CONNECT_BYTES_MAX: usize = 128 << 10;
/// From the first byte of a connection to the last of its CONNECT, the handshake of TLS included.
pub const CONNECT_TIME_MAX: Duration = Duration::from_secs(10);
/// Packets of one client that wait to be durable; then nothing more is read of it. Clients of MQTT 5 are told.
pub const PENDING_MAX: usize = 64;
/// Topics that a client of MQTT 5 may give a number.
pub const ALIASES_MAX: u16 = 32;
/// A client that takes nothing of what it is sent for so long is cut off.
pub const WRITE_TIME_MAX: Duration = Duration::from_secs(10);
/// Longest keep-alive; clients of MQTT 5 that ask for a longer one, or for none, are told.
pub const KEEP_ALIVE_MAX_S: u16 = 3_600;
/// Longest life of a session whose client is away, in seconds: thirty days. Those that ask for more get this.
pub const SESSION_EXPIRY_MAX_S: u32 = 30 * 86_400;
/// Longest client identifier, in bytes.
pub const CLIENT_ID_BYTES_MAX: usize = 256;
/// Open connections; one more is closed at once.
pub const CONNECTIONS_MAX: usize = 16_384;
/// How long a message waits for a place in the queue of the commit thread, before its sender is told that there is
/// none.
pub const BUSY_WAIT_MAX: Duration = Duration::from_secs(5);
