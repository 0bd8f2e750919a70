//! A client of MQTT 3.1.1 and 5 that says exactly what it is told to, byte by byte, and shares no line with the
//! server.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use crate::wait::PATIENCE;

/// How a client wants to be let in.
#[derive(Debug, Clone)]
pub struct Login<'a> {
    pub version: u8,
    pub client: &'a str,
    pub clean: bool,
    /// Of MQTT 5, in seconds.
    pub expiry_s: u32,
    pub user: Option<&'a str>,
    pub password: Option<&'a str>,
    /// Topic, text, QoS.
    pub will: Option<(&'a str, &'a str, u8)>,
    pub keep_alive_s: u16,
    /// Further properties of MQTT 5, as bytes.
    pub properties: &'a [u8],
}

impl<'a> Login<'a> {
    /// A session that ends with its connection.
    #[must_use]
    pub fn new(version: u8, client: &'a str) -> Self {
        Self {
            version,
            client,
            clean: true,
            expiry_s: 0,
            user: None,
            password: None,
            will: None,
            keep_alive_s: 60,
            properties: &[],
        }
    }

    /// A session that stays for an hour.
    #[must_use]
    pub fn staying(version: u8, client: &'a str) -> Self {
        Self { clean: false, expiry_s: 3_600, ..Self::new(version, client) }
    }

    #[must_use]
    pub fn token(self, token: &'a str) -> Self {
        Self { user: Some("token"), password: Some(token), ..self }
    }
}

/// A packet as it came: type, flags, body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heard {
    pub kind: u8,
    pub flags: u8,
    pub body: Vec<u8>,
}

/// A message as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    pub topic: String,
    pub text: String,
    pub qos: u8,
    pub retain: bool,
    pub again: bool,
    pub id: u16,
}

pub const CONNACK: u8 = 2;
pub const PUBLISH: u8 = 3;
pub const PUBACK: u8 = 4;
pub const PUBREC: u8 = 5;
pub const PUBREL: u8 = 6;
pub const PUBCOMP: u8 = 7;
pub const SUBACK: u8 = 9;
pub const UNSUBACK: u8 = 11;
pub const DISCONNECT: u8 = 14;

pub struct MqttClient {
    stream: TcpStream,
    version: u8,
    next_id: u16,
    /// Messages that came while something else was waited for.
    told: std::collections::VecDeque<Told>,
    pub session_present: bool,
}

fn text(text: &str) -> Vec<u8> {
    let mut bytes = u16::try_from(text.len()).expect("a short text").to_be_bytes().to_vec();
    bytes.extend_from_slice(text.as_bytes());
    bytes
}

fn length(mut value: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        let byte = u8::try_from(value % 128).expect("seven bits");
        value /= 128;
        bytes.push(if value > 0 { byte | 0x80 } else { byte });
        if value == 0 {
            return bytes;
        }
    }
}

/// A packet as bytes.
#[must_use]
pub fn packet(first: u8, body: &[u8]) -> Vec<u8> {
    [&[first], &*length(body.len()), body].concat()
}

/// A CONNECT as bytes.
#[must_use]
pub fn connect_bytes(login: &Login) -> Vec<u8> {
    let flag = |set: bool, bit: u8| u8::from(set) << bit;
    let mut flags = flag(login.clean, 1) | flag(login.user.is_some(), 7) | flag(login.password.is_some(), 6);
    if let Some((_, _, qos)) = login.will {
        flags |= 4 | (qos << 3);
    }
    let mut body = text("MQTT");
    body.extend([login.version, flags]);
    body.extend(login.keep_alive_s.to_be_bytes());
    if login.version == 5 {
        let mut properties = vec![0x11];
        properties.extend(login.expiry_s.to_be_bytes());
        properties.extend_from_slice(login.properties);
        body.extend(length(properties.len()));
        body.extend(properties);
    }
    body.extend(text(login.client));
    if let Some((topic, said, _)) = login.will {
        if login.version == 5 {
            body.push(0);
        }
        body.extend(text(topic));
        body.extend(text(said));
    }
    [login.user, login.password].into_iter().flatten().for_each(|part| body.extend(text(part)));
    packet(0x10, &body)
}

impl MqttClient {
    /// Lets itself in, or says with which code it was refused.
    ///
    /// # Panics
    ///
    /// When nothing listens there, or something else answers.
    pub fn connect(address: &str, login: &Login) -> Result<Self, u8> {
        Self::try_connect(address, login).expect("the server answers CONNECT")
    }

    /// As `connect`; a server that goes away meanwhile is an error.
    pub fn try_connect(address: &str, login: &Login) -> io::Result<Result<Self, u8>> {
        let mut client = Self::open(address, login.version)?;
        client.send(&connect_bytes(login))?;
        let answer = client.hear()?;
        if answer.kind != CONNACK {
            return Err(io::Error::other(format!("{answer:?} instead of CONNACK")));
        }
        client.session_present = answer.body[0] & 1 == 1;
        Ok(match answer.body[1] {
            0 => Ok(client),
            code => Err(code),
        })
    }

    /// A connection on which nothing was said yet.
    pub fn open(address: &str, version: u8) -> io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        Ok(Self { stream, version, next_id: 0, told: std::collections::VecDeque::new(), session_present: false })
    }

    pub fn patience(&self, time: Duration) -> io::Result<()> {
        self.stream.set_read_timeout(Some(time))
    }

    pub fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)
    }

    /// The next packet.
    pub fn hear(&mut self) -> io::Result<Heard> {
        let mut first = [0];
        self.stream.read_exact(&mut first)?;
        let (mut bytes, mut shift) = (0usize, 0);
        loop {
            let mut byte = [0];
            self.stream.read_exact(&mut byte)?;
            bytes |= usize::from(byte[0] & 0x7f) << shift;
            shift += 7;
            if byte[0] < 0x80 {
                break;
            }
        }
        let mut body = vec![0; bytes];
        self.stream.read_exact(&mut body)?;
        Ok(Heard { kind: first[0] >> 4, flags: first[0] & 15, body })
    }

    pub fn next_id(&mut self) -> u16 {
        self.next_id = self.next_id % 60_000 + 1;
        self.next_id
    }

    /// PUBLISH as bytes.
    #[must_use]
    pub fn publish_bytes(&self, topic: &str, said: &[u8], (qos, retain, again): (u8, bool, bool), id: u16) -> Vec<u8> {
        let mut body = text(topic);
        if qos > 0 {
            body.extend(id.to_be_bytes());
        }
        if self.version == 5 {
            body.push(0);
        }
        body.extend_from_slice(said);
        packet(0x30 | (u8::from(again) << 3) | (qos << 1) | u8::from(retain), &body)
    }

    /// PUBACK, PUBREC, PUBREL or PUBCOMP without a word more.
    pub fn acknowledge(&mut self, kind: u8, id: u16) -> io::Result<()> {
        let flags = if kind == PUBREL { 2 } else { 0 };
        self.send(&packet((kind << 4) | flags, &id.to_be_bytes()))
    }

    /// Publishes and waits until it is acknowledged; with which reason.
    pub fn publish(&mut self, topic: &str, said: &str, qos: u8, retain: bool) -> io::Result<u8> {
        let id = self.next_id();
        let bytes = self.publish_bytes(topic, said.as_bytes(), (qos, retain, false), id);
        self.send(&bytes)?;
        match qos {
            0 => Ok(0),
            1 => self.reason(PUBACK, id),
            _ => match self.reason(PUBREC, id)? {
                reason if reason >= 0x80 => Ok(reason),
                reason => {
                    self.acknowledge(PUBREL, id)?;
                    self.reason(PUBCOMP, id)?;
                    Ok(reason)
                }
            },
        }
    }

    /// Waits for the acknowledgement of a packet, and keeps the messages that come before it.
    pub fn reason(&mut self, kind: u8, id: u16) -> io::Result<u8> {
        let body = self.answer(kind)?.body;
        if body[..2] != id.to_be_bytes() {
            return Err(io::Error::other(format!("{body:?} does not answer {id}")));
        }
        Ok(body.get(2).copied().unwrap_or(0))
    }

    fn answer(&mut self, kind: u8) -> io::Result<Heard> {
        loop {
            let heard = self.hear()?;
            match heard.kind {
                own if own == kind => return Ok(heard),
                PUBLISH => {
                    let told = self.take(&heard)?;
                    self.told.push_back(told);
                }
                PUBREL => self.acknowledge(PUBCOMP, u16::from_be_bytes([heard.body[0], heard.body[1]]))?,
                _ => return Err(io::Error::other(format!("{heard:?}"))),
            }
        }
    }

    /// Subscribes; with which code it is answered.
    pub fn subscribe(&mut self, filter: &str, qos: u8) -> io::Result<u8> {
        let id = self.next_id();
        let mut body = id.to_be_bytes().to_vec();
        if self.version == 5 {
            body.push(0);
        }
        body.extend(text(filter));
        body.push(qos);
        self.send(&packet(0x82, &body))?;
        let answer = self.answer(SUBACK)?.body;
        Ok(*answer.last().expect("a SUBACK holds a code"))
    }

    pub fn unsubscribe(&mut self, filter: &str) -> io::Result<()> {
        let id = self.next_id();
        let mut body = id.to_be_bytes().to_vec();
        if self.version == 5 {
            body.push(0);
        }
        body.extend(text(filter));
        self.send(&packet(0xa2, &body))?;
        self.answer(UNSUBACK).map(drop)
    }

    /// Reads a PUBLISH without acknowledging it.
    #[must_use]
    pub fn read(&self, heard: &Heard) -> Told {
        let body = &heard.body;
        let end = 2 + usize::from(u16::from_be_bytes([body[0], body[1]]));
        let qos = (heard.flags >> 1) & 3;
        let (id, mut at) = match qos {
            0 => (0, end),
            _ => (u16::from_be_bytes([body[end], body[end + 1]]), end + 2),
        };
        if self.version == 5 {
            // The properties of the tests are shorter than 128 bytes.
            at += 1 + usize::from(body[at]);
        }
        Told {
            topic: String::from_utf8_lossy(&body[2..end]).into_owned(),
            text: String::from_utf8_lossy(&body[at..]).into_owned(),
            qos,
            retain: heard.flags & 1 == 1,
            again: heard.flags & 8 == 8,
            id,
        }
    }

    /// Reads a PUBLISH and acknowledges it; a PUBREL that follows is answered when it comes.
    fn take(&mut self, heard: &Heard) -> io::Result<Told> {
        let told = self.read(heard);
        match told.qos {
            0 => {}
            1 => self.acknowledge(PUBACK, told.id)?,
            _ => self.acknowledge(PUBREC, told.id)?,
        }
        Ok(told)
    }

    /// The next message.
    pub fn told(&mut self) -> io::Result<Told> {
        if let Some(told) = self.told.pop_front() {
            return Ok(told);
        }
        let heard = self.answer(PUBLISH)?;
        self.take(&heard)
    }

    /// Asks whether the server is there; what it had to say before comes first.
    pub fn ping(&mut self) -> io::Result<()> {
        self.send(&[0xc0, 0])?;
        self.answer(13).map(drop)
    }

    /// All messages that are there now: what was sent before a ping is answered.
    pub fn all_told(&mut self) -> io::Result<Vec<Told>> {
        self.ping()?;
        Ok(self.told.drain(..).collect())
    }

    pub fn disconnect(mut self) -> io::Result<()> {
        self.send(&[0xe0, 0])
    }

    /// How the server ends the connection: the reason of its DISCONNECT, or none.
    pub fn end(mut self) -> Option<u8> {
        loop {
            match self.hear() {
                Ok(Heard { kind: DISCONNECT, body, .. }) => return Some(body.first().copied().unwrap_or(0)),
                Ok(_) => {}
                Err(_) => return None,
            }
        }
    }
}
