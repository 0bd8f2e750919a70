//! A message under a topic that sources claim: it is taken by each of them, and is durable or kept as a reject before
//! it is acknowledged.

use city_ingest::source::book::Entry;
use city_ingest::source::{Error, Message, Taking};
use city_model::Permit;
use city_mqtt::Reason;
use tokio::time::Instant;

use super::BUSY_WAIT_MAX;
use super::greeting::reason_of;
use super::upsert::NotTaken;
use crate::city::City;

/// Between two tries to get a place in the queue of a source.
const BUSY_PAUSE: std::time::Duration = std::time::Duration::from_millis(10);

/// A message for one source.
pub struct Fed<'a> {
    pub city: &'a City,
    pub permit: &'a Permit,
    pub source: &'a str,
    pub topic: &'a str,
    pub payload: &'a [u8],
}

impl Fed<'_> {
    /// Has it taken: why it was rejected.
    pub async fn take(&self) -> Result<Option<NotTaken>, Reason> {
        let Some(taking) = self.read().await? else { return Ok(None) };
        match self.city.sources.write(taking).await {
            Ok(entry) => Ok(rejected(self.source, &entry)),
            Err(error) => Err(self.reason(&error)),
        }
    }

    /// Has it read: what is to be written of it. `None` where the source claims nothing any more.
    pub async fn read(&self) -> Result<Option<Taking>, Reason> {
        let until = Instant::now() + BUSY_WAIT_MAX;
        loop {
            let message = Message { bytes: self.payload, name: self.topic, by: self.permit.who() };
            match self.city.sources.prepare(self.permit.tenant(), self.source, message).await {
                Ok(taking) => return Ok(Some(taking)),
                // It was removed just now.
                Err(Error::NotFound(_)) => return Ok(None),
                Err(Error::Busy(_)) if Instant::now() < until => tokio::time::sleep(BUSY_PAUSE).await,
                Err(error) => return Err(self.reason(&error)),
            }
        }
    }

    fn reason(&self, error: &Error) -> Reason {
        tracing::info!(source = self.source, code = error.code(), "a source could not take a message");
        match error {
            Error::Context(error) => reason_of(error),
            Error::Busy(_) => Reason::QUOTA_EXCEEDED,
            _ => Reason::IMPLEMENTATION_SPECIFIC,
        }
    }
}

/// Why a message was not taken, or not all of it.
#[must_use]
pub fn rejected(source: &str, entry: &Entry) -> Option<NotTaken> {
    if entry.rejected == 0 {
        return None;
    }
    let why = entry.reasons.first().map(|reason| format!("line {}: {}", reason.line, reason.why));
    let why = format!("Source {source} keeps it as reject {}. {}", entry.number, why.unwrap_or_default());
    let in_part = entry.applied > 0;
    let reason = if in_part { Reason::IMPLEMENTATION_SPECIFIC } else { Reason::PAYLOAD_FORMAT_INVALID };
    Some(NotTaken { reason, code: "", why })
}
