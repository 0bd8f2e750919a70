//! A checked address comes in; a connection to one of the very addresses that passed the check goes out.
//!
//! The name is resolved here, once for each connection, and never again by anyone below: a name that
//! changes its address between the check and the connection (DNS rebinding) changes nothing.

use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::Uri;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tower::Service;

use crate::error::{Error, Stage};
use crate::policy::Policy;
use crate::target::{Host, Target};

/// A name's further addresses are not tried.
const ADDRESSES_TRIED_MAX: usize = 4;
/// Look-ups under way at once; each holds a thread until the system's resolver gives up. More wait.
const LOOKUPS_MAX: usize = 64;

type Connecting<T> = Pin<Box<dyn Future<Output = Result<T, Error>> + Send>>;

/// Opens TCP connections to permitted addresses.
#[derive(Clone)]
pub(crate) struct Checked {
    policy: Arc<Policy>,
    lookups: Arc<Semaphore>,
}

impl Checked {
    pub fn new(policy: Arc<Policy>) -> Self {
        Self { policy, lookups: Arc::new(Semaphore::new(LOOKUPS_MAX)) }
    }

    async fn connect(self, uri: Uri) -> Result<TokioIo<TcpStream>, Error> {
        let target = Target::from_uri(&uri)?;
        let addresses = self.permitted(&target).await?;
        let share = self.policy.connect_timeout / u32::try_from(addresses.len().max(1)).unwrap_or(1);
        let mut last = String::from("it has no address.");
        for address in addresses {
            match tokio::time::timeout(share, TcpStream::connect(address)).await {
                Ok(Ok(stream)) => {
                    stream.set_nodelay(true).ok();
                    return Ok(TokioIo::new(stream));
                }
                Ok(Err(why)) => last = format!("{why} ({}).", address.ip()),
                Err(_) => last = format!("no answer within {} ms ({}).", share.as_millis(), address.ip()),
            }
        }
        Err(Error::Unreachable { host: target.host.to_string(), port: target.port, why: last })
    }

    async fn permitted(&self, target: &Target) -> Result<Vec<SocketAddr>, Error> {
        let Target { host, port, .. } = target;
        self.policy.check_host(host, *port)?;
        let found = match host {
            Host::Address(address) => vec![*address],
            Host::Name(name) => match self.look_up(name).await {
                Ok(found) => found,
                // It was looked up for its address alone: that no entry has its name is what is to be mended.
                Err(Error::Unresolved { .. }) if !self.policy.names(host, *port) => {
                    return Err(Error::NotListed { host: host.to_string(), port: *port });
                }
                Err(why) => return Err(why),
            },
        };
        let mut permitted = Vec::new();
        let mut refused = None;
        for address in found {
            match self.policy.check_address(host, address, *port) {
                Ok(()) => permitted.push(SocketAddr::new(crate::address::plain(address), *port)),
                Err(why) => refused = refused.or(Some(why)),
            }
        }
        permitted.dedup();
        permitted.truncate(ADDRESSES_TRIED_MAX);
        match (permitted.is_empty(), refused) {
            (false, _) => Ok(permitted),
            (true, Some(why)) => Err(why),
            (true, None) => Err(Error::Unresolved { host: host.to_string(), why: "the name has no address.".into() }),
        }
    }

    async fn look_up(&self, name: &str) -> Result<Vec<IpAddr>, Error> {
        let unresolved = |why: String| Error::Unresolved { host: name.to_owned(), why };
        let place = Arc::clone(&self.lookups).acquire_owned().await.map_err(|why| unresolved(why.to_string()))?;
        let asked = name.to_owned();
        // The place is given back when the resolver returns, not when the caller has lost patience.
        let answer = tokio::task::spawn_blocking(move || {
            let _place = place;
            (asked.as_str(), 0).to_socket_addrs().map(|found| found.map(|a| a.ip()).collect::<Vec<_>>())
        });
        match answer.await {
            Ok(Ok(found)) => Ok(found),
            Ok(Err(why)) => Err(unresolved(format!("{why}."))),
            Err(why) => Err(unresolved(format!("{why}."))),
        }
    }
}

impl Service<Uri> for Checked {
    type Response = TokioIo<TcpStream>;
    type Error = Error;
    type Future = Connecting<Self::Response>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        Box::pin(self.clone().connect(uri))
    }
}

/// Ends what takes too long, the TLS handshake included, and says it in this room's words.
#[derive(Clone)]
pub(crate) struct Timed<C> {
    inner: C,
    policy: Arc<Policy>,
}

impl<C> Timed<C> {
    pub fn new(inner: C, policy: Arc<Policy>) -> Self {
        Self { inner, policy }
    }
}

impl<C> Service<Uri> for Timed<C>
where
    C: Service<Uri> + Clone + Send + 'static,
    C::Future: Send,
    C::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    type Response = C::Response;
    type Error = Error;
    type Future = Connecting<Self::Response>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let (mut inner, after) = (self.inner.clone(), self.policy.connect_timeout);
        Box::pin(async move {
            let Target { host, port, .. } = Target::from_uri(&uri)?;
            let connecting = async {
                std::future::poll_fn(|cx| inner.poll_ready(cx)).await?;
                inner.call(uri).await
            };
            match tokio::time::timeout(after, connecting).await {
                Ok(Ok(stream)) => Ok(stream),
                Ok(Err(why)) => {
                    Err(explain(why.into(), |why| Error::Unreachable { host: host.to_string(), port, why }))
                }
                Err(_) => Err(Error::TimedOut { host: host.to_string(), port, after, stage: Stage::Connecting }),
            }
        })
    }
}

/// Our own error if one lies at the bottom, else the innermost cause as text.
pub(crate) fn explain(
    error: Box<dyn std::error::Error + Send + Sync>,
    otherwise: impl FnOnce(String) -> Error,
) -> Error {
    let mut cause: &(dyn std::error::Error + 'static) = error.as_ref();
    loop {
        if let Some(ours) = cause.downcast_ref::<Error>() {
            return ours.clone();
        }
        // An io::Error shows what it wraps but does not name it as its source.
        let wrapped = cause.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        match wrapped.map(|inner| inner as _).or_else(|| cause.source()) {
            Some(deeper) => cause = deeper,
            None => return otherwise(format!("{cause}.")),
        }
    }
}
