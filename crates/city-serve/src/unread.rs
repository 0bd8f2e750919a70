//! A request whose head the HTTP library cannot read comes in; an answer that says why goes out.
//!
//! The library refuses such a head by itself, before there is a request, with an answer without a body,
//! and offers no place to say more. It is met where it is written: all of ours carry an id, that one does
//! not, and it is looked for only where an answer may begin, which is after everything before was flushed.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http::StatusCode;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::metering;
use crate::problem::Problem;

/// A bare answer is a status line and a few headers.
const BARE_BYTES_MAX: usize = 512;

pub(crate) struct Unread<T> {
    inner: T,
    /// Everything that was written has been flushed.
    between: bool,
    /// What goes out instead, and how much of it did.
    instead: Option<(Vec<u8>, usize)>,
}

impl<T> Unread<T> {
    pub fn new(inner: T) -> Self {
        Self { inner, between: true, instead: None }
    }
}

impl<T: AsyncWrite + Unpin> Unread<T> {
    /// Writes what takes the place of these bytes, if something does.
    fn poll_instead(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<Option<io::Result<usize>>> {
        if self.instead.is_none() && self.between {
            self.instead = bare(bytes).map(|status| {
                metering::refused("heads");
                (told(status), 0)
            });
        }
        self.between = false;
        let Some((answer, written)) = &mut self.instead else { return Poll::Ready(None) };
        while *written < answer.len() {
            match ready!(Pin::new(&mut self.inner).poll_write(cx, &answer[*written..])) {
                Ok(0) => return Poll::Ready(Some(Err(io::ErrorKind::WriteZero.into()))),
                Ok(more) => *written += more,
                Err(error) => return Poll::Ready(Some(Err(error))),
            }
        }
        self.instead = None;
        Poll::Ready(Some(Ok(bytes.len())))
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Unread<T> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(cx, into)
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Unread<T> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match ready!(self.poll_instead(cx, bytes)) {
            Some(written) => Poll::Ready(written),
            None => Pin::new(&mut self.inner).poll_write(cx, bytes),
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let mut filled = slices.iter().filter(|slice| !slice.is_empty());
        if let (Some(alone), None) = (filled.next(), filled.next()) {
            if let Some(written) = ready!(self.poll_instead(cx, alone)) {
                return Poll::Ready(written);
            }
        } else {
            self.between = false;
        }
        Pin::new(&mut self.inner).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = ready!(Pin::new(&mut self.inner).poll_flush(cx));
        self.between = true;
        Poll::Ready(flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

/// The status of an answer that is nothing but the library's own refusal.
fn bare(bytes: &[u8]) -> Option<StatusCode> {
    if bytes.len() > BARE_BYTES_MAX {
        return None;
    }
    let head = std::str::from_utf8(bytes).ok()?.strip_prefix("HTTP/1.1 ")?.strip_suffix("\r\n\r\n")?;
    let mut lines = head.split("\r\n");
    let status = StatusCode::from_bytes(lines.next()?.get(..3)?.as_bytes()).ok()?;
    let known = |line: &str| {
        let name = line.split(':').next().unwrap_or_default().to_ascii_lowercase();
        line.eq_ignore_ascii_case("content-length: 0") || matches!(name.as_str(), "date" | "connection")
    };
    (status.is_client_error() && lines.all(known)).then_some(status)
}

fn told(status: StatusCode) -> Vec<u8> {
    let problem = match status {
        StatusCode::BAD_REQUEST => Problem::plain(
            status,
            "SRV-017",
            "The first line or a header of the request is not HTTP/1.1. In a URL, <, >, \", spaces and whatever else is not plain must be percent-encoded.",
        ),
        _ => Problem::plain(
            status,
            "SRV-018",
            "The first line and the headers of the request are too long. Send a long query as a body, to entityOperations/query.",
        ),
    };
    let (body, reason) = (problem.to_json().to_string(), status.canonical_reason().unwrap_or_default());
    let code = status.as_u16();
    let length = body.len();
    format!(
        "HTTP/1.1 {code} {reason}\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}"
    )
    .into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_answer_without_anything_of_ours_is_bare() {
        let date = "date: Fri, 27 Nov 2026 12:00:00 GMT\r\n";
        let refused = format!("HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\nconnection: close\r\n{date}\r\n");
        assert_eq!(bare(refused.as_bytes()), Some(StatusCode::BAD_REQUEST));
        let long = format!("HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-length: 0\r\n{date}\r\n");
        assert_eq!(bare(long.as_bytes()), Some(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE));
        for ours in [
            format!("HTTP/1.1 411 Length Required\r\nx-request-id: 7\r\ncontent-length: 0\r\n{date}\r\n"),
            format!("HTTP/1.1 400 Bad Request\r\ncontent-length: 2\r\n{date}\r\n{{}}"),
            format!("HTTP/1.1 204 No Content\r\n{date}\r\n"),
            "HTTP/1.1 400".to_owned(),
            String::new(),
        ] {
            assert_eq!(bare(ours.as_bytes()), None, "{ours}");
        }
    }
}
