//! A request's body comes in piece by piece; the whole of it, within its bounds of size and time, goes out.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{FromRequest, Request};
use bytes::{Bytes, BytesMut};
use http::StatusCode;
use http::header::CONTENT_TYPE;
use http_body_util::BodyExt;
use hyper::body::Body as _;
use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::frame::{Limits, overloaded};
use crate::problem::{Kind, Problem};

/// Most JSON values in one body. In memory a value weighs 16 times what it does as `1,`: without this
/// bound a body of bare numbers took 1 GB while it was read.
pub const VALUES_MAX: usize = 1_000_000;

/// The body of a request, read whole. Handlers take it as their last argument.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WholeBody(pub Bytes);

impl<S: Sync> FromRequest<S> for WholeBody {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        let is_zip = request.headers().get(CONTENT_TYPE).is_some_and(|media| media.as_bytes() == b"application/zip");
        let limits = request.extensions().get::<Limits>().cloned().unwrap_or_default();
        let room = request.extensions().get::<BodyRoom>().cloned();
        let reading = read(request, &limits, room.as_ref());
        let whole = tokio::time::timeout(limits.body_time, reading).await;
        let whole = whole.unwrap_or_else(|_| Err(too_slow(limits.body_time)))?;
        // A value takes a byte at least: most bodies need no count.
        if !is_zip && whole.len() > VALUES_MAX && values_at_most(&whole) > VALUES_MAX {
            return Err(too_many_values());
        }
        Ok(Self(whole))
    }
}

/// What one request's body takes of the room that all bodies share; it is given back with the last clone.
#[derive(Debug, Clone)]
pub(crate) struct BodyRoom {
    all: Arc<Semaphore>,
    taken: Arc<Mutex<Option<OwnedSemaphorePermit>>>,
}

impl BodyRoom {
    pub(crate) fn new(all: &Arc<Semaphore>) -> Self {
        Self { all: Arc::clone(all), taken: Arc::default() }
    }

    /// Takes room for so many further bytes; `false` where there is none. Nobody waits: two
    /// half-read bodies could wait for each other.
    fn take(&self, bytes: usize) -> bool {
        let Ok(count) = u32::try_from(bytes) else { return false };
        let Ok(more) = Arc::clone(&self.all).try_acquire_many_owned(count) else { return false };
        match &mut *self.taken.lock() {
            Some(taken) => taken.merge(more),
            empty => *empty = Some(more),
        }
        true
    }
}

async fn read(request: Request, limits: &Limits, room: Option<&BodyRoom>) -> Result<Bytes, Problem> {
    let mut body = request.into_body();
    // What was announced is set aside at once, so that growing does not copy.
    let announced = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX).min(limits.body_bytes);
    let mut whole = BytesMut::with_capacity(announced);
    loop {
        let frame = tokio::time::timeout(limits.body_pause, body.frame()).await;
        let Some(frame) = frame.map_err(|_| too_slow(limits.body_pause))? else {
            return Ok(whole.freeze());
        };
        let frame = frame.map_err(|_| {
            Problem::new(Kind::InvalidRequest, "SRV-005", "The connection broke before the body was complete.")
        })?;
        let Some(data) = frame.data_ref() else { continue };
        if whole.len() + data.len() > limits.body_bytes {
            return Err(too_large(limits.body_bytes));
        }
        if room.is_some_and(|room| !room.take(data.len())) {
            return Err(overloaded());
        }
        whole.extend_from_slice(data);
    }
}

/// How many values a JSON text can hold: one before each comma and in each list or object, and itself.
fn values_at_most(json: &[u8]) -> usize {
    let (mut count, mut in_text, mut escaped) = (1, false, false);
    for byte in json {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_text => escaped = true,
            b'"' => in_text = !in_text,
            b',' | b'[' | b'{' if !in_text => count += 1,
            _ => {}
        }
    }
    count
}

fn too_many_values() -> Problem {
    let detail = format!("The body holds more than {VALUES_MAX} JSON values; send it in parts.");
    Problem::plain(StatusCode::PAYLOAD_TOO_LARGE, "SRV-015", detail).member("values_max", VALUES_MAX)
}

pub(crate) fn too_large(bytes_max: usize) -> Problem {
    let detail = format!("The body is longer than the {bytes_max} bytes that are taken at once; send it in parts.");
    Problem::plain(StatusCode::PAYLOAD_TOO_LARGE, "SRV-003", detail).member("bytes_max", bytes_max)
}

fn too_slow(waited: Duration) -> Problem {
    let detail = format!("The body did not arrive within {} seconds; send it again.", waited.as_secs_f32());
    Problem::plain(StatusCode::REQUEST_TIMEOUT, "SRV-004", detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_counted_outside_of_texts() {
        for (json, count) in [
            ("7", 1),
            ("[1,2,3]", 4),
            ("{\"a\":1,\"b\":[{}]}", 5),
            ("\"[{,\"", 1),
            ("[\"a\\\\\",\"\\\",,\",1]", 4),
            ("[[[[", 5),
        ] {
            assert_eq!(values_at_most(json.as_bytes()), count, "{json}");
        }
    }
}
