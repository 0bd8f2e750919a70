//! The socket that listens for MQTT: connections come in, bounded in number, and each has a task of its own.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

use super::commands::carry;
use super::towns::Towns;
use super::{CONNECT_TIME_MAX, CONNECTIONS_MAX, connection};
use crate::city::City;
use crate::metering;
use crate::server::{self, ACCEPT_PAUSE};
use crate::tls::Tls;

/// What a client of TLS may name (ALPN).
const PROTOCOL: &[u8] = b"mqtt";
/// Clients are told that the server stops; whoever does not take that within this time is cut off.
const STOP_TIME: Duration = Duration::from_secs(2);

/// A socket that listens for MQTT and does not answer yet.
#[derive(Debug)]
pub struct Mqtt {
    listener: TcpListener,
    address: SocketAddr,
    tls: Option<Tls>,
    connections_max: usize,
}

impl Mqtt {
    /// Takes the address; port 0 takes a free one. `connections_max` is lowered to what the system has files for.
    pub fn bind(address: SocketAddr, tls: Option<Tls>, connections_max: usize) -> Result<Self, server::Error> {
        let (listener, address) = server::listen(address)?;
        Ok(Self { listener, address, tls, connections_max: connections_max.min(CONNECTIONS_MAX) })
    }

    /// The address with its real port.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers until `stop` is done; then clients are told, and what they were promised has been kept.
    pub async fn serve(self, city: Arc<City>, stop: impl Future<Output = ()>) -> Result<(), city_context::Error> {
        let Self { listener, tls, connections_max, .. } = self;
        let towns = Towns::open(city).await?;
        let keeping = tokio::spawn(Arc::clone(&towns).keep_up());
        let carrying = towns.city.control.parcels().map(|parcels| tokio::spawn(carry(Arc::clone(&towns), parcels)));
        let room = Arc::new(Semaphore::new(connections_max));
        let (stopping, watching) = watch::channel(false);
        let mut connections = JoinSet::new();
        tokio::pin!(stop);
        loop {
            let accepted = tokio::select! {
                () = &mut stop => break,
                Some(_) = connections.join_next() => continue,
                accepted = listener.accept() => accepted,
            };
            match (accepted, Arc::clone(&room).try_acquire_owned()) {
                (Ok((stream, peer)), Ok(place)) => {
                    let (towns, tls, watching) = (Arc::clone(&towns), tls.clone(), watching.clone());
                    connections.spawn(async move {
                        let _place = place;
                        secured(stream, peer, tls, towns, watching).await;
                    });
                }
                (Ok(_), Err(_)) => metering::mqtt_refused("connections"),
                (Err(why), _) => {
                    if why.kind() != io::ErrorKind::ConnectionAborted {
                        tracing::debug!(%why, "no connection can be accepted");
                        tokio::time::sleep(ACCEPT_PAUSE).await;
                    }
                }
            }
        }
        drop(listener);
        stopping.send_replace(true);
        let finishing = async { while connections.join_next().await.is_some() {} };
        tokio::time::timeout(STOP_TIME, finishing).await.ok();
        connections.shutdown().await;
        keeping.abort();
        carrying.inspect(tokio::task::JoinHandle::abort);
        towns.flush().await;
        Ok(())
    }
}

async fn secured(
    stream: TcpStream,
    peer: SocketAddr,
    tls: Option<Tls>,
    towns: Arc<Towns>,
    stopping: watch::Receiver<bool>,
) {
    stream.set_nodelay(true).ok();
    let Some(tls) = tls else { return connection::run(stream, peer, towns, stopping).await };
    match tokio::time::timeout(CONNECT_TIME_MAX, tls.acceptor_for(PROTOCOL).accept(stream)).await {
        Ok(Ok(stream)) => connection::run(stream, peer, towns, stopping).await,
        Ok(Err(why)) => tracing::debug!(%why, "a handshake failed"),
        Err(_) => tracing::debug!("a handshake took too long"),
    }
}
