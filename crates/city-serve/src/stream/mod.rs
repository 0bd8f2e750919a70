//! The one stream for everybody: what changes, as it changes, as Server-Sent Events.
//!
//! A reader has no queue here. It follows the journal at its own pace, so a slow one costs nothing but its
//! connection, and one that comes back says where it was. What it is shown is what a query would show it.

mod follow;
mod pulse;

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue};
use http::{HeaderMap, Method, StatusCode};
use hyper::body::Frame;
use tokio::sync::{OwnedSemaphorePermit, mpsc};

use crate::caller::Caller;
use crate::city::City;
use crate::doors::{Effect, Operation};
use crate::ngsi_ld::{Ask, Projection, parse_query};
use crate::parameters::Parameters;
use crate::problem::{Kind, Problem};
use crate::stream::follow::{Asked, Follower, Step};

pub use pulse::Streams;

/// Streams at once; further ones are answered 503.
pub const STREAMS_MAX: usize = 1_000;
/// Events that wait for one client, at most; beyond them its stream pauses and reads on later.
const EVENTS_WAITING_MAX: usize = 16;
/// Whatever else happens, a client hears something so often: so both ends notice that the other is gone.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// Between two looks whether a stream must end because what its reader may was changed.
const LOOK: Duration = Duration::from_millis(100);
/// What a client that was cut off is asked to wait before it comes back.
const RETRY_MILLIS: u32 = 2_000;

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
const KNOWN: [&str; 16] = [
    "type",
    "id",
    "idPattern",
    "q",
    "attrs",
    "pick",
    "omit",
    "scopeQ",
    "georel",
    "geometry",
    "coordinates",
    "geoproperty",
    "options",
    "lang",
    "context",
    "from",
];

#[must_use]
pub fn operations() -> Vec<Operation<Arc<City>>> {
    vec![Operation::new("stream", "docs/reference/stream.md", "stream", Method::GET, "/stream", Effect::Read, stream)]
}

async fn stream(State(city): State<Arc<City>>, caller: Caller, parameters: Parameters) -> Result<Response, Problem> {
    parameters.only(&KNOWN)?;
    if !caller.permit.discloses().is_empty() {
        let detail = "A stream shows no data of behaviour or of persons, so it is for no purpose. Ask without Renkei-Purpose, or with a token that has none.";
        return Err(Problem::plain(StatusCode::FORBIDDEN, "SRV-022", detail));
    }
    let Ok(place) = Arc::clone(&city.streams.places).try_acquire_owned() else {
        let detail = "As many streams are open as there may be. Try again after Retry-After.";
        return Err(Problem::plain(StatusCode::SERVICE_UNAVAILABLE, "SRV-007", detail).retry_after(HEARTBEAT));
    };
    let ask = Ask::streaming(&city, &caller, parameters.find("context")).await?;
    let projection = Projection::parse(&parameters, &ask)?;
    let asked = Asked {
        query: parse_query(&parameters, &ask.terms)?,
        attributes: projection.attrs.clone(),
        options: projection.options(&ask),
        terms: Arc::clone(&ask.terms),
        permit: caller.permit.clone(),
        after: after(&caller.headers, &parameters)?,
    };
    let epoch = city.trust.epoch();
    let following = Arc::clone(&city);
    let follower = city.read(move || Follower::begin(following, asked)).await?;
    let (sender, receiver) = mpsc::channel(EVENTS_WAITING_MAX);
    tokio::spawn(run(Arc::clone(&city), follower, sender, epoch));
    let body = Body::new(Events { receiver, _place: place });
    let mut response = (StatusCode::OK, body).into_response();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    // So that a proxy in front hands events on as they come.
    headers.insert(HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"));
    Ok(response)
}

/// The change behind which a reader wants to go on: a browser that comes back says it by a header.
fn after(headers: &HeaderMap, parameters: &Parameters) -> Result<Option<u64>, Problem> {
    let header = headers.get(LAST_EVENT_ID).and_then(|value| value.to_str().ok());
    let Some(text) = header.or(parameters.find("from")) else { return Ok(None) };
    text.parse().map(Some).map_err(|_| {
        let detail = format!("from: \"{text}\" is not the id of an event, a whole number.");
        Problem::new(Kind::BadRequestData, "NLD-002", detail)
    })
}

/// Follows until the client is gone, the server stops, or what the reader may was changed.
async fn run(city: Arc<City>, mut follower: Follower, sender: mpsc::Sender<Bytes>, epoch: u64) {
    let mut pulse = city.streams.pulse();
    let hello = Bytes::from(format!("retry: {RETRY_MILLIS}\n\n"));
    let mut told = Instant::now();
    if sender.send(hello).await.is_err() {
        return;
    }
    loop {
        if city.trust.epoch() != epoch || city.streams.are_ending() {
            return;
        }
        let Step { events, at_end } = match tokio::task::block_in_place(|| follower.step()) {
            Ok(step) => step,
            Err(error) => {
                tracing::error!(%error, "a stream could not go on");
                return;
            }
        };
        for event in events {
            told = Instant::now();
            if sender.send(event).await.is_err() {
                return;
            }
        }
        if at_end {
            // Whoever waits wakes at the next change, and looks now and then.
            tokio::time::timeout(LOOK, pulse.changed()).await.ok();
            if told.elapsed() >= HEARTBEAT {
                told = Instant::now();
                if sender.send(Bytes::from_static(b": still there\n\n")).await.is_err() {
                    return;
                }
            }
        }
        if sender.is_closed() {
            return;
        }
    }
}

struct Events {
    receiver: mpsc::Receiver<Bytes>,
    _place: OwnedSemaphorePermit,
}

impl hyper::body::Body for Events {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        self.receiver.poll_recv(cx).map(|event| event.map(|event| Ok(Frame::data(event))))
    }
}
