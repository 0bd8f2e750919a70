//! The socket that listens for HTTP.
//!
//! Connections come in, bounded in number, in patience and in what they may send; each request is
//! handed to the frame. When a stop is asked for, nothing new is accepted, requests under way are
//! finished within a bound, and then everything is closed.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

use crate::frame::{Frame, Peer};
use crate::metering::{self, Metering, UPKEEP_EVERY};
use crate::patience::Patience;
use crate::tls::Tls;
use crate::unread::Unread;

/// Connections waiting to be accepted; the system refuses more.
const BACKLOG: u32 = 1024;
/// Connections over the bound that are told so at once; more are closed without a word.
const REFUSALS_MAX: usize = 64;
const REFUSAL_TIME_MAX: Duration = Duration::from_millis(500);
/// After the system refused to hand out a connection (no file descriptors left), before the next try.
pub(crate) const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// What of a request is kept before its handler asks for more. Hyper wants 8 KiB at least.
const BUFFER_BYTES_MIN: usize = 8 * 1024;

const REFUSAL_BODY: &str = r#"{"type":"about:blank","title":"Service Unavailable","detail":"Too many connections are open. Keep connections and use them again, or try after Retry-After.","status":503,"code":"SRV-009"}"#;

/// A socket that listens and does not answer yet.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
    tls: Option<Tls>,
}

/// How the server ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stopped {
    /// Connections that were cut off with a request under way.
    pub cut_off: usize,
}

#[derive(Debug, thiserror::Error)]
#[error("Listening on {address} is not possible: {why}. Choose another --listen or --mqtt, or stop what is using it.")]
pub struct Error {
    address: SocketAddr,
    #[source]
    why: io::Error,
}

impl Server {
    /// Takes the address; port 0 takes a free one.
    pub fn bind(address: SocketAddr) -> Result<Self, Error> {
        let (listener, address) = listen(address)?;
        Ok(Self { listener, address, tls: None })
    }

    /// Speaks TLS alone, with what this shows.
    #[must_use]
    pub fn with_tls(self, tls: Option<Tls>) -> Self {
        Self { tls, ..self }
    }

    /// The address with its real port.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers until `stop` is done, then finishes what is under way within `stop_time`.
    pub async fn serve(self, frame: Frame, stop: impl Future<Output = ()>) -> Stopped {
        let Self { listener, tls, .. } = self;
        let limits = frame.limits().clone();
        let room = Arc::new(Semaphore::new(limits.connections));
        let refusals = Arc::new(Semaphore::new(REFUSALS_MAX));
        let (stopping, watching) = watch::channel(false);
        let mut connections = JoinSet::new();
        let mut upkeep = tokio::time::interval(UPKEEP_EVERY);
        let metering = Metering::install().ok();
        // Said once, and once when it is over: whoever runs out of files must not fill the disk with lines.
        let mut out_of_files = false;
        tokio::pin!(stop);
        loop {
            let accepted = tokio::select! {
                () = &mut stop => break,
                Some(_) = connections.join_next() => continue,
                _ = upkeep.tick() => {
                    if let Some(metering) = &metering {
                        metering.upkeep();
                    }
                    continue;
                }
                accepted = listener.accept() => accepted,
            };
            let (stream, peer) = match accepted {
                Ok((stream, peer)) => {
                    if std::mem::take(&mut out_of_files) {
                        tracing::info!("connections are accepted again");
                    }
                    (stream, peer)
                }
                // The client has gone already.
                Err(why) if why.kind() == io::ErrorKind::ConnectionAborted => continue,
                Err(why) => {
                    if !std::mem::replace(&mut out_of_files, true) {
                        tracing::error!(%why, "no connection can be accepted; is the limit of open files too low?");
                    }
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            };
            match Arc::clone(&room).try_acquire_owned() {
                Ok(place) => {
                    let (frame, watching, tls) = (frame.clone(), watching.clone(), tls.clone());
                    connections.spawn(async move {
                        let _place = place;
                        secured(stream, peer, tls, frame, watching).await;
                    });
                }
                Err(_) => {
                    metering::refused("connections");
                    // Over TLS a word would cost a handshake, and there is no room: it is closed.
                    if tls.is_none()
                        && let Ok(place) = Arc::clone(&refusals).try_acquire_owned()
                    {
                        connections.spawn(async move {
                            let _place = place;
                            tokio::time::timeout(REFUSAL_TIME_MAX, refuse(stream)).await.ok();
                        });
                    }
                }
            }
        }
        drop(listener);
        stopping.send_replace(true);
        let finishing = async { while connections.join_next().await.is_some() {} };
        tokio::time::timeout(limits.stop_time, finishing).await.ok();
        let cut_off = connections.len();
        connections.shutdown().await;
        Stopped { cut_off }
    }
}

/// Takes an address, which comes back with its real port.
pub(crate) fn listen(address: SocketAddr) -> Result<(TcpListener, SocketAddr), Error> {
    let open = || {
        let socket = match address {
            SocketAddr::V4(_) => tokio::net::TcpSocket::new_v4()?,
            SocketAddr::V6(_) => tokio::net::TcpSocket::new_v6()?,
        };
        // A restart must not wait for the last run's connections to be forgotten.
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        let listener = socket.listen(BACKLOG)?;
        let address = listener.local_addr()?;
        Ok((listener, address))
    };
    open().map_err(|why| Error { address, why })
}

/// The handshake has as long as the headers of a request have.
async fn secured(stream: TcpStream, peer: SocketAddr, tls: Option<Tls>, frame: Frame, stopping: watch::Receiver<bool>) {
    stream.set_nodelay(true).ok();
    let Some(tls) = tls else { return connection(stream, peer, frame, stopping).await };
    match tokio::time::timeout(frame.limits().head_time, tls.acceptor().accept(stream)).await {
        Ok(Ok(stream)) => connection(stream, peer, frame, stopping).await,
        Ok(Err(why)) => tracing::debug!(%why, "a handshake failed"),
        Err(_) => tracing::debug!("a handshake took too long"),
    }
}

async fn connection<T>(stream: T, peer: SocketAddr, frame: Frame, mut stopping: watch::Receiver<bool>)
where
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let _counted = metering::connection();
    let limits = frame.limits().clone();
    let service = service_fn(move |mut request: http::Request<_>| {
        request.extensions_mut().insert(Peer(peer));
        let frame = frame.clone();
        async move { Ok::<_, Infallible>(frame.answer(request).await) }
    });
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(limits.head_time)
        .max_header_size(limits.head_bytes)
        .max_buf_size(limits.head_bytes.max(BUFFER_BYTES_MIN))
        // A client that has said everything and closes its half still waits for the answer.
        .half_close(true);
    let stream = TokioIo::new(Unread::new(Patience::new(stream, limits.write_pause)));
    let mut connection = std::pin::pin!(http.serve_connection(stream, service));
    let ended = tokio::select! {
        ended = &mut connection => ended,
        () = async { drop(stopping.wait_for(|stopping| *stopping).await) } => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(why) = ended {
        tracing::debug!(%why, "a connection ended early");
    }
}

/// Says that there is no room. The request is read away first: closing with unread bytes would
/// reset the connection and lose the answer.
async fn refuse(mut stream: TcpStream) -> io::Result<()> {
    let answer = format!(
        "HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\nRetry-After: 1\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{REFUSAL_BODY}",
        REFUSAL_BODY.len()
    );
    stream.write_all(answer.as_bytes()).await?;
    stream.shutdown().await?;
    let mut unread = [0; 4096];
    while stream.read(&mut unread).await? > 0 {}
    Ok(())
}
