//! One client's connection, from its first byte to its last.
//!
//! It reads while fewer than [`PENDING_MAX`] of its packets wait to be durable, answers in the order in which they
//! came, and sends what its session has for it. Whoever does not read, is not read: nobody else waits for that.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use city_model::{Permit, PermitSource};
use city_mqtt::packet::{Disconnect, Packet, Version, Will};
use city_mqtt::{Reason, frame, read};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::{oneshot, watch};
use tokio::time::Instant;

use super::greeting::{Guest, greet, refusal};
use super::incoming::Awaited;
use super::rights::Rights;
use super::town::{Link, Outcome, Town};
use super::towns::Towns;
use super::{CONNECT_BYTES_MAX, CONNECT_TIME_MAX, PACKET_BYTES_MAX, PENDING_MAX, WRITE_TIME_MAX};
use crate::metering;

/// What is read at once.
const READ_BYTES: usize = 4 << 10;
/// A buffer that has grown beyond this is given back once it is empty.
const INBOX_BYTES_KEPT: usize = 16 << 10;
/// Packets that are looked at before others have their turn.
const PACKETS_A_TURN: usize = 64;
/// For so long what a client still says is read away, so that it hears the reason before the connection is gone.
const LINGER_MAX: Duration = Duration::from_secs(1);
/// A permit is asked for again after so long.
const PERMIT_TIME: Duration = Duration::from_secs(30);

/// Why a connection ends.
#[derive(Debug)]
pub enum End {
    /// The other end is gone, or takes nothing any more.
    Gone,
    /// The client said so; whether its last word is to be said.
    Left { with_will: bool },
    /// For this reason, which a client of MQTT 5 is told.
    Because(Reason),
}

impl From<io::Error> for End {
    fn from(_: io::Error) -> Self {
        Self::Gone
    }
}

/// Bytes in and out.
pub struct Wire<T> {
    pub stream: T,
    inbox: Vec<u8>,
}

/// What is known of a client while it is there.
pub struct Client {
    pub towns: Arc<Towns>,
    pub town: Arc<Town>,
    pub link: Arc<Link>,
    pub version: Version,
    pub name: Arc<str>,
    pub connection: u64,
    pub permit: Permit,
    pub rights: Rights,
    permit_until: Instant,
    pub awaited: VecDeque<Awaited>,
    pub will: Option<Will>,
    pub session_expiry_s: u32,
    pub wants_reasons: bool,
    pub packet_bytes_max: usize,
    /// Topics that the client gave a number.
    pub aliases: HashMap<u16, Arc<str>>,
    /// Topics that were given a number towards the client.
    pub given: HashMap<Arc<str>, u16>,
    pub aliases_max: u16,
}

/// Lives a connection.
pub async fn run<T>(stream: T, peer: SocketAddr, towns: Arc<Towns>, stopping: watch::Receiver<bool>)
where
    T: AsyncRead + AsyncWrite + Unpin + Send,
{
    let mut wire = Wire { stream, inbox: Vec::new() };
    let Ok(Some(guest)) = tokio::time::timeout(CONNECT_TIME_MAX, let_in(&mut wire, peer, &towns)).await else {
        return;
    };
    let _counted = metering::mqtt_connection();
    let keep_alive = guest.keep_alive;
    let mut client = Client::of(guest, towns);
    let end = match live(&mut wire, &mut client, keep_alive, stopping).await {
        Ok(()) => End::Gone,
        Err(end) => end,
    };
    client.leave(&end);
    if let End::Because(reason) = end
        && client.version == Version::V5
    {
        let last = Packet::Disconnect(Disconnect { reason, properties: Vec::new() }).write(Version::V5);
        wire.write(&last).await.ok();
    }
    tokio::time::timeout(LINGER_MAX, wire.hang_up()).await.ok();
}

/// Reads the first packet and answers it.
async fn let_in<T>(wire: &mut Wire<T>, peer: SocketAddr, towns: &Towns) -> Option<Guest>
where
    T: AsyncRead + AsyncWrite + Unpin,
{
    let packet = loop {
        match frame(&wire.inbox, CONNECT_BYTES_MAX) {
            Ok(Some(frame)) if wire.inbox.len() >= frame.bytes => {
                let packet = read(Version::V5, &wire.inbox, frame);
                wire.inbox.drain(..frame.bytes);
                break packet;
            }
            Ok(_) => {}
            Err(_) => return None,
        }
        wire.read().await.ok()?;
    };
    let (version, refused) = match packet {
        Ok(Packet::Connect(connect)) => {
            let version = connect.version;
            match greet(towns, *connect, peer.ip().to_canonical()).await {
                Ok(guest) => {
                    let answer = Packet::Connack(guest.answer.clone()).write(version);
                    if wire.write(&answer).await.is_ok() {
                        return Some(guest);
                    }
                    let now = towns.city.now().as_micros();
                    guest.town.disconnect(&guest.client, guest.connection, None, None, now);
                    return None;
                }
                Err(reason) => (version, reason),
            }
        }
        // Who asks for a level that is not spoken is told so in the words of its own time (3.1.2.2).
        Err(error @ city_mqtt::Error::Version(level)) if level > 0 => {
            (if level < 5 { Version::V311 } else { Version::V5 }, error.reason())
        }
        _ => return None,
    };
    metering::mqtt_refused("clients");
    tracing::debug!(reason = refused.0, "a client was not let in");
    wire.write(&refusal(version, refused)).await.ok();
    tokio::time::timeout(LINGER_MAX, wire.hang_up()).await.ok();
    None
}

/// What happens next.
enum Event {
    Wake,
    Outcome(Outcome),
    Bytes,
    Silence,
    Stopping,
}

async fn live<T>(
    wire: &mut Wire<T>,
    client: &mut Client,
    keep_alive: Option<Duration>,
    mut stopping: watch::Receiver<bool>,
) -> Result<(), End>
where
    T: AsyncRead + AsyncWrite + Unpin,
{
    client.forget_filters_that_may_not_be()?;
    client.deliver(wire).await?;
    let mut heard = Instant::now();
    let mut has_more = true;
    loop {
        if has_more {
            has_more = client.take_packets(wire).await?;
        }
        let link = Arc::clone(&client.link);
        // Who is not read is not silent.
        let is_read = client.awaited.len() < PENDING_MAX && !has_more;
        let until = keep_alive.filter(|_| is_read).map(|time| heard + time);
        let event = tokio::select! {
            () = link.wake.notified() => Event::Wake,
            outcome = first(&mut client.awaited) => Event::Outcome(outcome),
            bytes = wire.read(), if is_read => {
                bytes?;
                Event::Bytes
            }
            () = tokio::task::yield_now(), if has_more && client.awaited.len() < PENDING_MAX => continue,
            () = silence(until) => Event::Silence,
            _ = stopping.wait_for(|stopping| *stopping) => Event::Stopping,
        };
        match event {
            Event::Wake => {
                if let Some(reason) = client.link.ended() {
                    return Err(End::Because(reason));
                }
                client.renew_permit()?;
                client.deliver(wire).await?;
            }
            Event::Outcome(outcome) => {
                client.answer(outcome, wire).await?;
                has_more = true;
            }
            Event::Bytes => {
                heard = Instant::now();
                has_more = true;
            }
            Event::Silence => return Err(End::Because(Reason::KEEP_ALIVE_TIMEOUT)),
            Event::Stopping => return Err(End::Because(Reason::SERVER_SHUTTING_DOWN)),
        }
    }
}

async fn first(awaited: &mut VecDeque<Awaited>) -> Outcome {
    match awaited.front_mut() {
        Some(awaited) => outcome(&mut awaited.outcome).await,
        None => std::future::pending().await,
    }
}

async fn outcome(receiver: &mut oneshot::Receiver<Outcome>) -> Outcome {
    receiver.await.unwrap_or(Err(city_context::Error::Stopping))
}

async fn silence(until: Option<Instant>) {
    match until {
        Some(until) => tokio::time::sleep_until(until).await,
        None => std::future::pending().await,
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin> Wire<T> {
    /// Some bytes more; none is the end.
    async fn read(&mut self) -> io::Result<()> {
        self.inbox.reserve(READ_BYTES);
        match self.stream.read_buf(&mut self.inbox).await? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(()),
        }
    }

    /// Says that nothing more comes, and reads away what still does: closing with unread bytes would reset the
    /// connection, and the last word would be lost.
    async fn hang_up(&mut self) -> io::Result<()> {
        self.stream.shutdown().await?;
        let mut unread = [0; 1024];
        while self.stream.read(&mut unread).await? > 0 {}
        Ok(())
    }

    /// All of them, or the client is gone.
    pub async fn write(&mut self, bytes: &[u8]) -> Result<(), End> {
        let written = async {
            self.stream.write_all(bytes).await?;
            self.stream.flush().await
        };
        match tokio::time::timeout(WRITE_TIME_MAX, written).await {
            Ok(written) => Ok(written?),
            Err(_) => Err(End::Gone),
        }
    }
}

impl Client {
    fn of(guest: Guest, towns: Arc<Towns>) -> Self {
        Self {
            towns,
            town: guest.town,
            link: guest.link,
            version: guest.version,
            name: guest.client,
            connection: guest.connection,
            permit: guest.permit,
            rights: guest.rights,
            permit_until: Instant::now() + PERMIT_TIME,
            awaited: VecDeque::new(),
            will: guest.will,
            session_expiry_s: guest.session_expiry_s,
            wants_reasons: guest.wants_reasons,
            packet_bytes_max: guest.packet_bytes_max,
            aliases: HashMap::new(),
            given: HashMap::new(),
            aliases_max: guest.aliases_max,
        }
    }

    /// Takes the packets that have come, as many as may wait; whether there are more.
    async fn take_packets<T>(&mut self, wire: &mut Wire<T>) -> Result<bool, End>
    where
        T: AsyncRead + AsyncWrite + Unpin,
    {
        let (mut at, mut packets) = (0, 0);
        let more = loop {
            let rest = &wire.inbox[at..];
            let frame = frame(rest, PACKET_BYTES_MAX).map_err(|error| End::Because(error.reason()))?;
            let Some(frame) = frame.filter(|frame| rest.len() >= frame.bytes) else { break false };
            if self.awaited.len() >= PENDING_MAX || packets >= PACKETS_A_TURN {
                break true;
            }
            let packet = read(self.version, rest, frame).map_err(|error| End::Because(error.reason()))?;
            at += frame.bytes;
            packets += 1;
            if let Some(answer) = self.take(packet).await? {
                wire.write(&answer.write(self.version)).await?;
            }
        };
        wire.inbox.drain(..at);
        if wire.inbox.is_empty() && wire.inbox.capacity() > INBOX_BYTES_KEPT {
            wire.inbox = Vec::new();
        }
        if packets > 0 {
            // Acknowledgements may have made room.
            self.deliver(wire).await?;
        }
        Ok(more)
    }

    /// As it stands now: what its holder may is asked for again where it may have changed.
    pub fn renew_permit(&mut self) -> Result<(), End> {
        let city = &self.towns.city;
        if self.permit.epoch() == city.trust.epoch() && Instant::now() < self.permit_until {
            return Ok(());
        }
        let permit = city.trust.permit_of(self.permit.tenant(), Some(&self.permit.owner()), city.now());
        let Some(permit) = permit else { return Err(End::Because(Reason::NOT_AUTHORIZED)) };
        let rights = Rights::of(&city.trust, &permit);
        if !rights.are_any() {
            return Err(End::Because(Reason::NOT_AUTHORIZED));
        }
        (self.permit, self.permit_until) = (permit, Instant::now() + PERMIT_TIME);
        if rights != self.rights {
            self.rights = rights;
            self.forget_filters_that_may_not_be()?;
        }
        Ok(())
    }

    /// Says goodbye to the session; its last word goes out where the client did not take it back.
    fn leave(&mut self, end: &End) {
        let now = self.towns.city.now().as_micros();
        let says = !matches!(end, End::Left { with_will: false });
        let who: Arc<str> = self.permit.who_shared();
        let will = self.will.take().filter(|_| says).map(|will| (Arc::clone(&who), will.message, will.delay_s));
        let said = self.town.disconnect(&self.name, self.connection, Some(self.session_expiry_s), will, now);
        if let Some(message) = said {
            self.towns.say(&self.town, city_mqtt::broker::Due { at_micros: now, who, message });
        }
    }
}
