//! An answer's body that holds its place among what is on its way out, until its last byte was taken.

use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use city_model::Release;
use hyper::body::{Body as HttpBody, Frame, SizeHint};

struct Released {
    body: Body,
    release: Box<dyn Release>,
}

/// The response, whose body ends early if it is cut.
pub fn released(response: Response, release: Box<dyn Release>) -> Response {
    response.map(|body| Body::new(Released { body, release }))
}

impl HttpBody for Released {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        if self.release.is_cut() {
            return Poll::Ready(Some(Err(axum::Error::new("what its reader may was taken back"))));
        }
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
