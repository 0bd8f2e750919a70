//! MQTT 3.1.1 and 5.0: bytes come in and packets go out, messages come in and whom they reach goes out.
//!
//! Pure: no socket, no disk, no clock. `read` and `write` stand between bytes and `packet`; `topic` and `tree`
//! say which filter a topic matches; `broker` holds the sessions, subscriptions and retained messages of one
//! tenant, and says of each step which rows must be durable before it is acknowledged (`rows`).

pub mod broker;
pub mod packet;
pub mod property;
pub mod read;
pub mod reason;
pub mod rows;
pub mod session;
pub mod topic;
pub mod tree;
mod write;

pub use broker::Broker;
pub use packet::{Message, Packet, QoS, Version};
pub use property::Property;
pub use read::{Frame, frame, read};
pub use reason::Reason;
pub use rows::Row;

/// Why bytes are no packet, or one that may not come here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("The packet is malformed: {0}.")]
    Malformed(&'static str),
    #[error("The packet breaks the protocol: {0}.")]
    Protocol(&'static str),
    #[error("The packet has {bytes} bytes; {bytes_max} are taken.")]
    TooLarge { bytes: usize, bytes_max: usize },
    #[error("This speaks MQTT 3.1.1 (level 4) and 5.0 (level 5); the client asks for level {0}.")]
    Version(u8),
    #[error("The name of the topic is not one: {0}.")]
    TopicName(&'static str),
    #[error("The filter is not one: {0}.")]
    TopicFilter(&'static str),
}

impl Error {
    /// What a client of MQTT 5 is told.
    #[must_use]
    pub fn reason(&self) -> Reason {
        match self {
            Self::Malformed(_) => Reason::MALFORMED_PACKET,
            Self::Protocol(_) => Reason::PROTOCOL_ERROR,
            Self::TooLarge { .. } => Reason::PACKET_TOO_LARGE,
            Self::Version(_) => Reason::UNSUPPORTED_PROTOCOL_VERSION,
            Self::TopicName(_) => Reason::TOPIC_NAME_INVALID,
            Self::TopicFilter(_) => Reason::TOPIC_FILTER_INVALID,
        }
    }
}
