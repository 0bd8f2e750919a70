//! Bytes come in, packets go out; what is none is refused with the reason.

use std::sync::Arc;

use crate::Error;
use crate::packet::{
    Ack, AckKind, Connack, Connect, Disconnect, Message, Options, Packet, Publish, QoS, RetainHandling, Suback,
    Subscribe, Unsubscribe, Version, Will,
};
use crate::property::{Property, WILL, place_of, read_properties};
use crate::reason::Reason;
use crate::topic;

/// Most filters in one SUBSCRIBE or UNSUBSCRIBE.
pub const FILTERS_MAX: usize = 128;

/// Reads what a packet is made of (1.5).
#[derive(Debug)]
pub struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    #[must_use]
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    pub fn take(&mut self, count: usize) -> Result<&'a [u8], Error> {
        let (taken, rest) = self.rest.split_at_checked(count).ok_or(Error::Malformed("it ends too early"))?;
        self.rest = rest;
        Ok(taken)
    }

    fn all(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.rest)
    }

    pub fn u8(&mut self) -> Result<u8, Error> {
        Ok(self.take(1)?[0])
    }

    pub fn u16(&mut self) -> Result<u16, Error> {
        let bytes = self.take(2)?;
        Ok(u16::from_be_bytes([bytes[0], bytes[1]]))
    }

    pub fn u32(&mut self) -> Result<u32, Error> {
        let bytes = self.take(4)?;
        Ok(u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
    }

    /// A variable byte integer (1.5.5): four bytes at most, and no more than it needs.
    pub fn variable(&mut self) -> Result<u32, Error> {
        let mut value = 0;
        for shift in [0, 7, 14, 21] {
            let byte = self.u8()?;
            value |= u32::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                if byte == 0 && shift > 0 {
                    return Err(Error::Malformed("a length is written longer than it needs"));
                }
                return Ok(value);
            }
        }
        Err(Error::Malformed("a length has more than four bytes"))
    }

    pub fn binary(&mut self) -> Result<&'a [u8], Error> {
        let count = self.u16()?;
        self.take(count.into())
    }

    /// UTF-8 without U+0000 (1.5.4).
    pub fn text(&mut self) -> Result<&'a str, Error> {
        let text = std::str::from_utf8(self.binary()?).map_err(|_| Error::Malformed("a text is not UTF-8"))?;
        if text.contains('\0') {
            return Err(Error::Malformed("a text holds U+0000"));
        }
        Ok(text)
    }

    fn packet_id(&mut self) -> Result<u16, Error> {
        match self.u16()? {
            0 => Err(Error::Protocol("a packet identifier is 0")),
            id => Ok(id),
        }
    }
}

/// Where the first packet of some bytes ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame {
    /// The fixed header.
    pub header_bytes: usize,
    /// All of it.
    pub bytes: usize,
}

/// The first packet of `bytes` as far as its length goes, or `None` while too little of it is there.
pub fn frame(bytes: &[u8], bytes_max: usize) -> Result<Option<Frame>, Error> {
    let Some(first) = bytes.first() else { return Ok(None) };
    if first >> 4 == 0 {
        return Err(Error::Malformed("a packet of type 0 is none"));
    }
    let length = &bytes[1..bytes.len().min(5)];
    let Some(last) = length.iter().position(|byte| *byte < 0x80) else {
        return if length.len() < 4 { Ok(None) } else { Err(Error::Malformed("a length has more than four bytes")) };
    };
    let header_bytes = last + 2;
    let remaining = Reader::new(&length[..=last]).variable()? as usize;
    let whole = header_bytes + remaining;
    if whole > bytes_max {
        return Err(Error::TooLarge { bytes: whole, bytes_max });
    }
    Ok(Some(Frame { header_bytes, bytes: whole }))
}

/// One whole packet. A CONNECT brings its own version.
pub fn read(version: Version, bytes: &[u8], frame: Frame) -> Result<Packet, Error> {
    let (Some(first), Some(body)) = (bytes.first(), bytes.get(frame.header_bytes..frame.bytes)) else {
        return Err(Error::Malformed("it ends too early"));
    };
    let (packet_type, flags) = (first >> 4, first & 0x0f);
    let wanted = match packet_type {
        3 => flags,
        6 | 8 | 10 => 2,
        _ => 0,
    };
    if flags != wanted {
        return Err(Error::Malformed("reserved flags of the header are set"));
    }
    let mut from = Reader::new(body);
    let mut body = Body { version, place: place_of(packet_type), from: &mut from };
    let packet = match packet_type {
        1 => Packet::Connect(Box::new(body.connect()?)),
        2 => Packet::Connack(body.connack()?),
        3 => Packet::Publish(body.publish(flags)?),
        4 => body.ack(AckKind::Puback)?,
        5 => body.ack(AckKind::Pubrec)?,
        6 => body.ack(AckKind::Pubrel)?,
        7 => body.ack(AckKind::Pubcomp)?,
        8 => Packet::Subscribe(body.subscribe()?),
        9 => Packet::Suback(body.suback(true)?),
        10 => Packet::Unsubscribe(body.unsubscribe()?),
        11 => Packet::Unsuback(body.suback(version == Version::V5)?),
        12 => Packet::Pingreq,
        13 => Packet::Pingresp,
        14 => Packet::Disconnect(body.disconnect()?),
        15 if version == Version::V5 => Packet::Auth(body.disconnect()?),
        _ => return Err(Error::Malformed("there is no packet of this type")),
    };
    if !from.is_empty() {
        return Err(Error::Malformed("something stands behind its end"));
    }
    Ok(packet)
}

struct Body<'r, 'a> {
    version: Version,
    place: u32,
    from: &'r mut Reader<'a>,
}

impl Body<'_, '_> {
    fn properties(&mut self) -> Result<Vec<Property>, Error> {
        match self.version {
            Version::V311 => Ok(Vec::new()),
            Version::V5 => read_properties(self.from, self.place),
        }
    }

    fn connect(&mut self) -> Result<Connect, Error> {
        if self.from.text()? != "MQTT" {
            return Err(Error::Version(0));
        }
        self.version = match self.from.u8()? {
            4 => Version::V311,
            5 => Version::V5,
            level => return Err(Error::Version(level)),
        };
        let flags = self.from.u8()?;
        let has = |bit: u8| flags & (1 << bit) != 0;
        if has(0) {
            return Err(Error::Malformed("the reserved flag of CONNECT is set"));
        }
        let will_qos = QoS::of((flags >> 3) & 3).ok_or(Error::Malformed("the will has QoS 3"))?;
        if !has(2) && (will_qos != QoS::AtMostOnce || has(5)) {
            return Err(Error::Malformed("flags of a will are set without one"));
        }
        if self.version == Version::V311 && has(6) && !has(7) {
            return Err(Error::Malformed("there is a password without a user name"));
        }
        let keep_alive_s = self.from.u16()?;
        let properties = self.properties()?;
        let client_id = self.from.text()?.into();
        let will = if has(2) { Some(self.will(will_qos, has(5))?) } else { None };
        let user_name = if has(7) { Some(self.from.text()?.into()) } else { None };
        let password = if has(6) { Some(self.from.binary()?.into()) } else { None };
        let version = self.version;
        Ok(Connect { version, clean_start: has(1), keep_alive_s, client_id, will, user_name, password, properties })
    }

    fn will(&mut self, qos: QoS, retain: bool) -> Result<Will, Error> {
        let properties = match self.version {
            Version::V311 => Vec::new(),
            Version::V5 => read_properties(self.from, WILL)?,
        };
        let topic = self.from.text()?;
        topic::check_name(topic)?;
        let topic = Arc::from(topic);
        let payload = Arc::from(self.from.binary()?);
        let delay_s = properties.iter().find_map(|property| match property {
            Property::WillDelay(seconds) => Some(*seconds),
            _ => None,
        });
        let message = message(topic, payload, qos, retain, properties)?;
        Ok(Will { message, delay_s: delay_s.unwrap_or(0) })
    }

    fn connack(&mut self) -> Result<Connack, Error> {
        let flags = self.from.u8()?;
        if flags > 1 {
            return Err(Error::Malformed("reserved flags of CONNACK are set"));
        }
        let reason = Reason(self.from.u8()?);
        Ok(Connack { session_present: flags == 1, reason, properties: self.properties()? })
    }

    fn publish(&mut self, flags: u8) -> Result<Publish, Error> {
        let qos = QoS::of((flags >> 1) & 3).ok_or(Error::Malformed("a message has QoS 3"))?;
        let duplicate = flags & 8 != 0;
        if duplicate && qos == QoS::AtMostOnce {
            return Err(Error::Malformed("a message of QoS 0 is marked as sent again"));
        }
        let topic = self.from.text()?;
        let packet_id = if qos == QoS::AtMostOnce { 0 } else { self.from.packet_id()? };
        let properties = self.properties()?;
        let (mut topic_alias, mut subscription_ids) = (None, Vec::new());
        for property in &properties {
            match property {
                Property::TopicAlias(alias) => topic_alias = Some(*alias),
                Property::SubscriptionId(id) => subscription_ids.push(*id),
                _ => {}
            }
        }
        if !topic.is_empty() || topic_alias.is_none() {
            topic::check_name(topic)?;
        }
        let payload = Arc::from(self.from.all());
        let message = message(Arc::from(topic), payload, qos, flags & 1 != 0, properties)?;
        Ok(Publish { duplicate, packet_id, topic_alias, subscription_ids, message })
    }

    fn ack(&mut self, kind: AckKind) -> Result<Packet, Error> {
        let packet_id = self.from.packet_id()?;
        let mut ack = Ack::new(kind, packet_id, Reason::SUCCESS);
        if self.version == Version::V5 && !self.from.is_empty() {
            ack.reason = Reason(self.from.u8()?);
            if !self.from.is_empty() {
                ack.properties = self.properties()?;
            }
        }
        Ok(Packet::Ack(ack))
    }

    fn subscribe(&mut self) -> Result<Subscribe, Error> {
        let packet_id = self.from.packet_id()?;
        let properties = self.properties()?;
        let mut filters = Vec::new();
        while !self.from.is_empty() {
            if filters.len() >= FILTERS_MAX {
                return Err(Error::Protocol("there are too many filters in one packet"));
            }
            let filter = self.from.text()?.into();
            filters.push((filter, self.options()?));
        }
        if filters.is_empty() {
            return Err(Error::Protocol("there is no filter"));
        }
        Ok(Subscribe { packet_id, filters, properties })
    }

    fn options(&mut self) -> Result<Options, Error> {
        let byte = self.from.u8()?;
        let reserved = if self.version == Version::V5 { 0xc0 } else { 0xfc };
        if byte & reserved != 0 {
            return Err(Error::Malformed("reserved options of a subscription are set"));
        }
        let qos = QoS::of(byte & 3).ok_or(Error::Malformed("a subscription asks for QoS 3"))?;
        let retain_handling = match (byte >> 4) & 3 {
            0 => RetainHandling::Send,
            1 => RetainHandling::SendIfNew,
            2 => RetainHandling::DoNotSend,
            _ => return Err(Error::Protocol("retain handling is 3")),
        };
        Ok(Options { qos, no_local: byte & 4 != 0, retain_as_published: byte & 8 != 0, retain_handling })
    }

    fn suback(&mut self, with_reasons: bool) -> Result<Suback, Error> {
        let packet_id = self.from.packet_id()?;
        let properties = self.properties()?;
        let reasons =
            if with_reasons { self.from.all().iter().map(|byte| Reason(*byte)).collect() } else { Vec::new() };
        Ok(Suback { packet_id, reasons, properties })
    }

    fn unsubscribe(&mut self) -> Result<Unsubscribe, Error> {
        let packet_id = self.from.packet_id()?;
        let properties = self.properties()?;
        let mut filters = Vec::new();
        while !self.from.is_empty() {
            if filters.len() >= FILTERS_MAX {
                return Err(Error::Protocol("there are too many filters in one packet"));
            }
            filters.push(self.from.text()?.into());
        }
        if filters.is_empty() {
            return Err(Error::Protocol("there is no filter"));
        }
        Ok(Unsubscribe { packet_id, filters, properties })
    }

    /// A word of reason and properties may both be left out (3.14.2).
    fn disconnect(&mut self) -> Result<Disconnect, Error> {
        let mut disconnect = Disconnect { reason: Reason::SUCCESS, properties: Vec::new() };
        if self.version == Version::V5 && !self.from.is_empty() {
            disconnect.reason = Reason(self.from.u8()?);
            if !self.from.is_empty() {
                disconnect.properties = self.properties()?;
            }
        }
        Ok(disconnect)
    }
}

fn message(
    topic: Arc<str>,
    payload: Arc<[u8]>,
    qos: QoS,
    retain: bool,
    mut properties: Vec<Property>,
) -> Result<Message, Error> {
    let expiry_s = properties.iter().find_map(|property| match property {
        Property::MessageExpiry(seconds) => Some(*seconds),
        _ => None,
    });
    for property in &properties {
        if let Property::ResponseTopic(topic) = property {
            topic::check_name(topic)?;
        }
    }
    properties.retain(Property::is_passed_on);
    Ok(Message { topic, payload, qos, retain, expiry_s, properties })
}
