//! The door that a backup leaves through: the whole store at one instant, as one stream of chunks.
//!
//! A thread of its own reads the view and the journal; what it has read waits in a short queue for
//! the client, so a slow client slows the thread and holds no memory.

use std::ops::ControlFlow;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use city_store::backup::{Since, Taking};
use http::StatusCode;
use http::header::CONTENT_TYPE;
use hyper::body::Frame;
use tokio::sync::{mpsc, oneshot};

use crate::caller::Caller;
use crate::caller::TENANT;
use crate::city::City;
use crate::parameters::Parameters;
use crate::problem::{Kind, Problem};

/// Chunks that wait for the client, at most: some megabytes.
const CHUNKS_WAITING_MAX: usize = 4;
/// What a second client is asked to wait.
const RETRY_AFTER_BACKUP: Duration = Duration::from_secs(30);

/// A base, or with `after` and `record` the increment since that record.
pub async fn backup(
    State(city): State<Arc<City>>,
    caller: Caller,
    parameters: Parameters,
) -> Result<Response, Problem> {
    parameters.only(&["after", "record"])?;
    if caller.headers.contains_key(TENANT) {
        let detail = "A backup is of the whole city, not of one tenant: ask without NGSILD-Tenant.";
        return Err(Problem::new(Kind::OperationNotSupported, "NLD-003", detail));
    }
    let permit = caller.permit;
    permit.check_whole().map_err(city_context::Error::from)?;
    let since = since(&parameters)?;
    // It leaves with everything in it, so that it was taken is known before a byte is.
    let from = parameters.find("record").unwrap_or("the beginning");
    city.note(&permit, "backup.taken", "all tenants", &serde_json::json!({"since": from})).await?;
    let Ok(place) = Arc::clone(&city.readers.backup).try_acquire_owned() else {
        let detail = "Another backup is under way; they go one after the other. Try again after Retry-After.";
        let problem = Problem::plain(StatusCode::SERVICE_UNAVAILABLE, "SRV-014", detail);
        return Err(problem.retry_after(RETRY_AFTER_BACKUP));
    };
    let (begun, begins) = oneshot::channel::<Result<(), city_store::Error>>();
    let (sender, receiver) = mpsc::channel(CHUNKS_WAITING_MAX);
    let thread = std::thread::Builder::new().name("backup".to_owned());
    // The clock first: what was answered until then is in the view at the instant that follows.
    let (view, journal, now) = (Arc::clone(city.context.view()), city.context.journal().clone(), city.now());
    let started = thread.spawn(move || {
        let _place = place;
        match Taking::begin(&view, &journal, now, env!("CARGO_PKG_VERSION"), since) {
            Ok(taking) => {
                if begun.send(Ok(())).is_ok() {
                    run(taking, &sender);
                }
            }
            Err(why) => drop(begun.send(Err(why))),
        }
    });
    started.map_err(|why| Problem::internal("SRV-006", &why))?;
    match begins.await {
        Ok(Ok(())) => Ok(([(CONTENT_TYPE, "application/octet-stream")], Body::new(Chunks(receiver))).into_response()),
        Ok(Err(why @ city_store::Error::BackupNotContinued { .. })) => {
            Err(Problem::plain(StatusCode::CONFLICT, "STO-026", why.to_string().replacen("STO-026 ", "", 1)))
        }
        Ok(Err(why)) => Err(Problem::internal("CTX-001", &why)),
        Err(why) => Err(Problem::internal("SRV-006", &why)),
    }
}

fn since(parameters: &Parameters) -> Result<Option<Since>, Problem> {
    let wrong = || {
        let detail = "after is a record's number and record its checksum; give both, or none for a base.";
        Problem::new(Kind::BadRequestData, "NLD-002", detail)
    };
    match (parameters.find("after"), parameters.find("record")) {
        (None, None) => Ok(None),
        (Some(lsn), Some(crc)) => {
            let (lsn, crc) = (lsn.parse().map_err(|_| wrong())?, crc.parse().map_err(|_| wrong())?);
            Ok(Some(Since { lsn, crc }))
        }
        _ => Err(wrong()),
    }
}

fn run(taking: Taking, sender: &mpsc::Sender<Bytes>) {
    let watermark = taking.head().watermark;
    let mut send = |chunk: Vec<u8>| match sender.blocking_send(chunk.into()) {
        Ok(()) => ControlFlow::Continue(()),
        // The client has gone.
        Err(_) => ControlFlow::Break(()),
    };
    match taking.run(&mut send) {
        Ok(end) => tracing::info!(watermark, records = end.records, raw_bytes = end.raw_bytes, "a backup was read"),
        Err(error) => tracing::error!(%error, "a backup could not be finished"),
    }
}

/// The chunks as a body. It ends when the thread does; a client tells a whole backup by its last chunk.
struct Chunks(mpsc::Receiver<Bytes>);

impl hyper::body::Body for Chunks {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        self.0.poll_recv(cx).map(|chunk| chunk.map(|chunk| Ok(Frame::data(chunk))))
    }
}
