//! A request's body comes in piece by piece; the whole of it, within its bounds of size and time, goes out.

use std::time::Duration;

use axum::extract::{FromRequest, Request};
use bytes::{Bytes, BytesMut};
use http::StatusCode;
use http_body_util::BodyExt;

use crate::frame::Limits;
use crate::problem::{Kind, Problem};

/// The body of a request, read whole. Handlers take it as their last argument.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WholeBody(pub Bytes);

impl<S: Sync> FromRequest<S> for WholeBody {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        let limits = request.extensions().get::<Limits>().cloned().unwrap_or_default();
        let reading = read(request, &limits);
        let whole = tokio::time::timeout(limits.body_time, reading).await;
        whole.unwrap_or_else(|_| Err(too_slow(limits.body_time))).map(Self)
    }
}

async fn read(request: Request, limits: &Limits) -> Result<Bytes, Problem> {
    let mut body = request.into_body();
    let mut whole = BytesMut::new();
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
        whole.extend_from_slice(data);
    }
}

pub(crate) fn too_large(bytes_max: usize) -> Problem {
    let detail = format!("The body is longer than the {bytes_max} bytes that are taken at once; send it in parts.");
    Problem::plain(StatusCode::PAYLOAD_TOO_LARGE, "SRV-003", detail).member("bytes_max", bytes_max)
}

fn too_slow(waited: Duration) -> Problem {
    let detail = format!("The body did not arrive within {} seconds; send it again.", waited.as_secs_f32());
    Problem::plain(StatusCode::REQUEST_TIMEOUT, "SRV-004", detail)
}
