//! Subscriptions and notifications (clauses 5.2.12 to 5.2.15, 5.3.1, 5.8).
//!
//! A subscription comes in as JSON and is checked member by member. What is kept, `document`,
//! holds its texts and the meaning of every name in them, so that it means the same after a
//! restart without the network.

mod notification;
mod read;
mod render;
mod stored;

pub use notification::{NotifiedEntity, render_notification};
pub use read::{parse_subscription, update_subscription};
pub use render::{render_subscription, render_subscriptions};
pub use stored::{context_of, from_stored, stored, terms_of};

/// Shortest and longest `throttling`, in seconds.
pub const THROTTLING_S_MAX: f64 = 366.0 * 86_400.0;
/// Longest `timeout` and `cooldown`, in ms.
pub const ENDPOINT_MS_MAX: f64 = 86_400_000.0;
/// Most pairs in `receiverInfo`.
pub const RECEIVER_INFO_MAX: usize = 32;
