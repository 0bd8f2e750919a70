//! A message under a topic that sources claim: it is taken by each of them, and is durable or kept as a reject before
//! it is acknowledged.

use city_ingest::source::{Error, Message};
use city_model::Permit;
use city_mqtt::Reason;
use tokio::time::Instant;

use super::BUSY_WAIT_MAX;
use super::greeting::reason_of;
use super::upsert::NotTaken;
use crate::city::City;

/// Between two tries to get a place in the queue of a source.
const BUSY_PAUSE: std::time::Duration = std::time::Duration::from_millis(10);

/// What became of a message at all that claim it: what the first reject says, or why one could not take it at all.
pub async fn feed(
    city: &City,
    permit: &Permit,
    claiming: &[Box<str>],
    topic: &str,
    payload: &[u8],
) -> Result<Option<NotTaken>, Reason> {
    let mut not = None;
    for source in claiming {
        let rejected = feed_one(city, permit, source, topic, payload).await?;
        not = not.or(rejected);
    }
    Ok(not)
}

async fn feed_one(
    city: &City,
    permit: &Permit,
    source: &str,
    topic: &str,
    payload: &[u8],
) -> Result<Option<NotTaken>, Reason> {
    let until = Instant::now() + BUSY_WAIT_MAX;
    loop {
        let message = Message { bytes: payload, name: topic, by: permit.who() };
        match city.sources.message(permit.tenant(), source, message).await {
            Ok(entry) if entry.rejected == 0 => return Ok(None),
            Ok(entry) => {
                let why = entry.reasons.first().map(|reason| format!("line {}: {}", reason.line, reason.why));
                let why = format!("Source {source} keeps it as reject {}. {}", entry.number, why.unwrap_or_default());
                let in_part = entry.applied > 0;
                let reason = if in_part { Reason::IMPLEMENTATION_SPECIFIC } else { Reason::PAYLOAD_FORMAT_INVALID };
                return Ok(Some(NotTaken { reason, code: "", why }));
            }
            // It was removed just now, and claims nothing any more.
            Err(Error::NotFound(_)) => return Ok(None),
            Err(Error::Busy(_)) if Instant::now() < until => tokio::time::sleep(BUSY_PAUSE).await,
            Err(error) => {
                tracing::info!(source, code = error.code(), "a source could not take a message");
                return Err(match &error {
                    Error::Context(error) => reason_of(error),
                    Error::Busy(_) => Reason::QUOTA_EXCEEDED,
                    _ => Reason::IMPLEMENTATION_SPECIFIC,
                });
            }
        }
    }
}
