//! What is done around every request, whatever its door.
//!
//! A request comes in; it gets an id, a span and a place among the bounded number under way, its
//! operation runs, and the answer goes out measured and with the id. Overload is answered 503 with
//! Retry-After, a panic 500, and the process lives on. Neither paths nor bodies are logged: they
//! may name persons.

use std::future::Future;
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::header::{CONTENT_LENGTH, HeaderValue};
use http::{HeaderName, StatusCode};
use tokio::sync::Semaphore;
use tower::Service;
use tracing::Instrument;
use uuid::Uuid;

use crate::body::{self, BodyRoom};
use crate::caller::{Knock, Porter};
use crate::doors::{self, Answered, Answering, Effect, Guard, Operation};
use crate::metering;
use crate::problem::{Kind, Problem};

/// Bounds of the server; each is a setting (`serve.*`) with this as its start.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Requests under way at once; further ones are answered 503.
    pub requests: usize,
    /// Open connections; further ones are answered 503 and closed.
    pub connections: usize,
    /// Request line and headers; longer ones are answered 431.
    pub head_bytes: usize,
    /// A body; longer ones are answered 413.
    pub body_bytes: usize,
    /// All bodies under way together; what would go beyond is answered 503.
    pub bodies_bytes: usize,
    /// From the first byte awaited to the last byte of the headers; it also ends idle connections.
    pub head_time: Duration,
    /// Between two pieces of a body, and for the whole of it; slower ones are answered 408.
    pub body_pause: Duration,
    pub body_time: Duration,
    /// A client that takes nothing of its answer for so long is cut off.
    pub write_pause: Duration,
    /// Requests under way may end within this time when the server stops.
    pub stop_time: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            requests: 1024,
            connections: 8192,
            head_bytes: 32 * 1024,
            body_bytes: 16 * 1024 * 1024,
            bodies_bytes: 256 * 1024 * 1024,
            head_time: Duration::from_secs(30),
            body_pause: Duration::from_secs(10),
            body_time: Duration::from_secs(120),
            write_pause: Duration::from_secs(30),
            stop_time: Duration::from_secs(20),
        }
    }
}

/// What a caller is asked to wait after a 503.
pub const RETRY_AFTER_OVERLOAD: Duration = Duration::from_secs(1);

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The other end of a request's connection, in its extensions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer(pub SocketAddr);

/// The id of a request, in its extensions and in `X-Request-Id` of its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RequestId(pub Uuid);

/// The doors with everything around them. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Frame {
    router: Router,
    limits: Limits,
    bodies: Arc<Semaphore>,
}

impl Frame {
    pub fn new<S>(
        operations: &[Operation<S>],
        state: S,
        limits: Limits,
        porter: Arc<dyn Porter<S>>,
    ) -> Result<Self, doors::Error>
    where
        S: Clone + Send + Sync + 'static,
    {
        let guard = guard(Arc::new(Semaphore::new(limits.requests)), porter);
        // One body must always fit.
        let bodies = Arc::new(Semaphore::new(limits.bodies_bytes.max(limits.body_bytes)));
        Ok(Self { router: doors::router(operations, state, &guard)?, limits, bodies })
    }

    #[must_use]
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// One request, one answer; never an error.
    pub async fn answer<B>(&self, request: http::Request<B>) -> Response
    where
        B: hyper::body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<axum::BoxError>,
    {
        let start = Instant::now();
        let _in_flight = metering::in_flight();
        let id = RequestId(Uuid::new_v4());
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(id);
        request.extensions_mut().insert(self.limits.clone());
        // Kept until the answer is made: what a handler does with a body weighs more than the body.
        let room = BodyRoom::new(&self.bodies);
        request.extensions_mut().insert(room.clone());

        let span = tracing::info_span!("request", request_id = %id.0);
        let mut response = match announced_length(&request) > self.limits.body_bytes as u64 {
            true => body::too_large(self.limits.body_bytes).into_response(),
            false => match self.router.clone().call(request).instrument(span.clone()).await {
                Ok(response) => response,
                Err(never) => match never {},
            },
        };

        drop(room);
        let answered = response.extensions_mut().remove().unwrap_or(Answered { door: "none", name: "none" });
        let taken = start.elapsed();
        metering::answered(answered, response.status(), taken);
        let (status, ms) = (response.status().as_u16(), taken.as_secs_f64() * 1e3);
        let Answered { door, name: operation } = answered;
        match response.status().is_server_error() {
            true => tracing::warn!(parent: &span, door, operation, status, ms, "answered"),
            false => tracing::debug!(parent: &span, door, operation, status, ms, "answered"),
        }
        if let Ok(id) = HeaderValue::from_str(id.0.hyphenated().encode_lower(&mut Uuid::encode_buffer())) {
            response.headers_mut().insert(REQUEST_ID, id);
        }
        response
    }
}

/// Runs an operation if there is room for it and whoever asks may, and catches its panic.
fn guard<S>(room: Arc<Semaphore>, porter: Arc<dyn Porter<S>>) -> Guard<S>
where
    S: Clone + Send + Sync + 'static,
{
    Arc::new(move |operation: Operation<S>, mut request, state| {
        let (room, porter) = (Arc::clone(&room), Arc::clone(&porter));
        Box::pin(async move {
            // Whoever watches the server must see it also, and above all, under overload.
            let place = match operation.effect {
                Effect::Open => None,
                _ => match room.try_acquire() {
                    Ok(place) => Some(place),
                    Err(_) => return overloaded().into_response(),
                },
            };
            // Before a byte of the body is read, and before anything is fetched for it.
            let mut permit = None;
            if operation.effect != Effect::Open {
                let knock = Knock {
                    effect: operation.effect,
                    operation: operation.name,
                    method: request.method().clone(),
                    uri: request.uri().clone(),
                    headers: request.headers().clone(),
                    from: request.extensions().get().map(|Peer(address)| address.ip()),
                };
                match porter.admit(state.clone(), knock).await {
                    Ok(caller) => {
                        permit = Some(caller.permit.clone());
                        request.extensions_mut().insert(caller);
                    }
                    Err(problem) => return problem.into_response(),
                }
            }
            let shows = operation.effect.shows();
            let asked = state.clone();
            let response = unless_it_panics(|| operation.call(request, state)).await;
            drop(place);
            let response = response.map(|answer| match permit.filter(|_| shows) {
                Some(permit) => porter.release(&asked, &permit, answer),
                None => answer,
            });
            response.unwrap_or_else(|| {
                tracing::error!(door = operation.door, operation = operation.name, "a handler panicked");
                Problem::new(
                    Kind::InternalError,
                    "SRV-006",
                    "The request met a mistake in the server. Please report it with the X-Request-Id of this answer.",
                )
                .into_response()
            })
        })
    })
}

pub(crate) fn overloaded() -> Problem {
    metering::refused("requests");
    let detail = "Too many requests are under way. Nothing was changed; send it again after Retry-After.";
    Problem::plain(StatusCode::SERVICE_UNAVAILABLE, "SRV-007", detail).retry_after(RETRY_AFTER_OVERLOAD)
}

/// `None` when the operation panicked. Its state may be half done, so it is dropped and never polled again;
/// what is shared behind locks must hold by itself, as it must when a client goes away.
async fn unless_it_panics(start: impl FnOnce() -> Answering) -> Option<Response> {
    let mut answering = catch_unwind(AssertUnwindSafe(start)).ok()?;
    std::future::poll_fn(move |cx| {
        let polled = catch_unwind(AssertUnwindSafe(|| Pin::new(&mut answering).poll(cx)));
        match polled {
            Ok(Poll::Ready(response)) => Poll::Ready(Some(response)),
            Ok(Poll::Pending) => Poll::Pending,
            Err(_) => Poll::Ready(None),
        }
    })
    .await
}

fn announced_length(request: &Request) -> u64 {
    let length = request.headers().get(CONTENT_LENGTH).and_then(|value| value.to_str().ok());
    length.and_then(|text| text.parse().ok()).unwrap_or(0)
}
