//! Packets come in, bytes go out.

use crate::packet::{Ack, AckKind, Connect, Disconnect, Message, Options, Packet, Publish, RetainHandling, Version};
use crate::property::{Property, write_properties};
use crate::reason::Reason;

/// Writes what a packet is made of (1.5).
#[derive(Debug, Default)]
pub struct Writer {
    pub bytes: Vec<u8>,
}

impl Writer {
    pub fn u8(&mut self, value: u8) {
        self.bytes.push(value);
    }

    pub fn u16(&mut self, value: u16) {
        self.bytes.extend_from_slice(&value.to_be_bytes());
    }

    pub fn u32(&mut self, value: u32) {
        self.bytes.extend_from_slice(&value.to_be_bytes());
    }

    pub fn variable(&mut self, mut value: u32) {
        while value >= 0x80 {
            self.u8((value as u8) | 0x80);
            value >>= 7;
        }
        self.u8(value as u8);
    }

    /// What is longer than a length can say is cut; whoever makes it keeps to that bound.
    pub fn binary(&mut self, bytes: &[u8]) {
        let length = u16::try_from(bytes.len()).unwrap_or(u16::MAX);
        self.u16(length);
        self.bytes.extend_from_slice(&bytes[..length.into()]);
    }

    pub fn text(&mut self, text: &str) {
        self.binary(text.as_bytes());
    }
}

impl Packet {
    /// As bytes, for a client of this version.
    #[must_use]
    pub fn write(&self, version: Version) -> Vec<u8> {
        let mut body = Writer::default();
        let first = self.body(version, &mut body);
        let mut out = Writer { bytes: Vec::with_capacity(body.bytes.len() + 5) };
        out.u8(first);
        out.variable(u32::try_from(body.bytes.len()).unwrap_or(u32::MAX));
        out.bytes.extend_from_slice(&body.bytes);
        out.bytes
    }

    /// Writes what stands behind the fixed header, whose first byte is answered.
    fn body(&self, version: Version, out: &mut Writer) -> u8 {
        match self {
            Self::Connect(connect) => {
                write_connect(connect, out);
                0x10
            }
            Self::Connack(connack) => {
                out.u8(connack.session_present.into());
                match version {
                    Version::V311 => out.u8(connack.reason.connect_return_code()),
                    Version::V5 => {
                        out.u8(connack.reason.0);
                        write_properties(&connack.properties, out);
                    }
                }
                0x20
            }
            Self::Publish(publish) => write_publish(publish, version, out),
            Self::Ack(ack) => write_ack(ack, version, out),
            Self::Subscribe(subscribe) => {
                out.u16(subscribe.packet_id);
                own_properties(&subscribe.properties, version, out);
                for (filter, options) in &subscribe.filters {
                    out.text(filter);
                    out.u8(options_byte(options, version));
                }
                0x82
            }
            Self::Suback(suback) => {
                out.u16(suback.packet_id);
                own_properties(&suback.properties, version, out);
                // 3.1.1 has one word for every refusal (3.9.3).
                let of = |reason: Reason| if version == Version::V311 && reason.is_error() { 0x80 } else { reason.0 };
                out.bytes.extend(suback.reasons.iter().map(|reason| of(*reason)));
                0x90
            }
            Self::Unsubscribe(unsubscribe) => {
                out.u16(unsubscribe.packet_id);
                own_properties(&unsubscribe.properties, version, out);
                unsubscribe.filters.iter().for_each(|filter| out.text(filter));
                0xa2
            }
            Self::Unsuback(unsuback) => {
                out.u16(unsuback.packet_id);
                if version == Version::V5 {
                    write_properties(&unsuback.properties, out);
                    out.bytes.extend(unsuback.reasons.iter().map(|reason| reason.0));
                }
                0xb0
            }
            Self::Pingreq => 0xc0,
            Self::Pingresp => 0xd0,
            Self::Disconnect(disconnect) => {
                write_disconnect(disconnect, version, out);
                0xe0
            }
            Self::Auth(auth) => {
                write_disconnect(auth, version, out);
                0xf0
            }
        }
    }
}

fn own_properties(properties: &[Property], version: Version, out: &mut Writer) {
    if version == Version::V5 {
        write_properties(properties, out);
    }
}

fn write_connect(connect: &Connect, out: &mut Writer) {
    out.text("MQTT");
    out.u8(if connect.version == Version::V5 { 5 } else { 4 });
    let will = connect.will.as_ref();
    let flags = [
        (connect.clean_start, 1),
        (will.is_some(), 2),
        (will.is_some_and(|will| will.message.retain), 5),
        (connect.password.is_some(), 6),
        (connect.user_name.is_some(), 7),
    ];
    let flags = flags.iter().fold(0, |byte, (set, bit)| byte | (u8::from(*set) << bit));
    out.u8(flags | will.map_or(0, |will| will.message.qos.number() << 3));
    out.u16(connect.keep_alive_s);
    own_properties(&connect.properties, connect.version, out);
    out.text(&connect.client_id);
    if let Some(will) = will {
        if connect.version == Version::V5 {
            let delay = (will.delay_s > 0).then_some(Property::WillDelay(will.delay_s));
            let expiry = will.message.expiry_s.map(Property::MessageExpiry);
            write_properties(will.message.properties.iter().chain(&delay).chain(&expiry), out);
        }
        out.text(&will.message.topic);
        out.binary(&will.message.payload);
    }
    if let Some(name) = &connect.user_name {
        out.text(name);
    }
    if let Some(password) = &connect.password {
        out.binary(password);
    }
}

fn write_publish(publish: &Publish, version: Version, out: &mut Writer) -> u8 {
    let Publish { duplicate, packet_id, topic_alias, subscription_ids, message } = publish;
    let Message { topic, payload, qos, retain, expiry_s, properties } = message;
    out.text(topic);
    if qos.number() > 0 {
        out.u16(*packet_id);
    }
    if version == Version::V5 {
        let alias = topic_alias.map(Property::TopicAlias);
        let expiry = expiry_s.map(Property::MessageExpiry);
        let ids: Vec<Property> = subscription_ids.iter().map(|id| Property::SubscriptionId(*id)).collect();
        write_properties(properties.iter().chain(&alias).chain(&expiry).chain(&ids), out);
    }
    out.bytes.extend_from_slice(payload);
    0x30 | (u8::from(*duplicate) << 3) | (qos.number() << 1) | u8::from(*retain)
}

fn write_ack(ack: &Ack, version: Version, out: &mut Writer) -> u8 {
    out.u16(ack.packet_id);
    if version == Version::V5 && (ack.reason != Reason::SUCCESS || !ack.properties.is_empty()) {
        out.u8(ack.reason.0);
        if !ack.properties.is_empty() {
            write_properties(&ack.properties, out);
        }
    }
    match ack.kind {
        AckKind::Puback => 0x40,
        AckKind::Pubrec => 0x50,
        AckKind::Pubrel => 0x62,
        AckKind::Pubcomp => 0x70,
    }
}

fn options_byte(options: &Options, version: Version) -> u8 {
    let handling = match options.retain_handling {
        RetainHandling::Send => 0,
        RetainHandling::SendIfNew => 1,
        RetainHandling::DoNotSend => 2,
    };
    match version {
        Version::V311 => options.qos.number(),
        Version::V5 => {
            let (no_local, as_published) = (u8::from(options.no_local), u8::from(options.retain_as_published));
            options.qos.number() | (no_local << 2) | (as_published << 3) | (handling << 4)
        }
    }
}

fn write_disconnect(disconnect: &Disconnect, version: Version, out: &mut Writer) {
    if version == Version::V5 && (disconnect.reason != Reason::SUCCESS || !disconnect.properties.is_empty()) {
        out.u8(disconnect.reason.0);
        if !disconnect.properties.is_empty() {
            write_properties(&disconnect.properties, out);
        }
    }
}
