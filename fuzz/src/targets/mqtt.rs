//! Packets of MQTT, and the rows that a broker keeps.

use city_mqtt::packet::{Ack, AckKind, Connack, Connect, Options, Publish, RetainHandling, Suback, Subscribe, Will};
use city_mqtt::{Message, Packet, Property, QoS, Reason, Version, frame, read, rows};

/// What a packet is at most here; more is refused before it is read.
const BYTES_MAX: usize = 1 << 16;

pub const PACKET_WORDS: &[&str] =
    &["\0\u{4}MQTT", "\0\u{1}a", "$share/g/", "/+/#", "\u{1}\u{26}\0\u{1}a\0\u{1}b", "\0\0"];

fn version(number: u8) -> Version {
    if number.is_multiple_of(2) { Version::V5 } else { Version::V311 }
}

/// The first byte says the version; the packets follow. Packets that are read are written as something that reads as
/// the same.
pub fn packet(bytes: &[u8]) {
    let Some((first, mut rest)) = bytes.split_first() else { return };
    let version = version(*first);
    while let Ok(Some(frame)) = frame(rest, BYTES_MAX) {
        assert!(frame.bytes <= BYTES_MAX && frame.header_bytes >= 2);
        if rest.len() < frame.bytes {
            return;
        }
        if let Ok(packet) = read(version, rest, frame) {
            check(&packet, version);
        }
        rest = &rest[frame.bytes..];
    }
}

fn check(packet: &Packet, version: Version) {
    let version = match packet {
        Packet::Connect(connect) => connect.version,
        // What 3.1.1 answers says less than the value here.
        Packet::Connack(_) | Packet::Suback(_) if version == Version::V311 => return,
        _ => version,
    };
    let written = packet.write(version);
    let whole = frame(&written, usize::MAX).ok().flatten().expect("what is written is whole");
    assert_eq!(whole.bytes, written.len());
    let again = read(version, &written, whole).expect("what is written is read");
    // Properties may be written in another order, but from then on in the same.
    assert_eq!(again.write(version), written);
}

pub fn packets() -> Vec<Vec<u8>> {
    let properties = vec![Property::ContentType("text/plain".into()), Property::User("a".into(), "b".into())];
    let message = Message {
        topic: "devices/meter-7/up".into(),
        payload: b"12.5"[..].into(),
        qos: QoS::ExactlyOnce,
        retain: true,
        expiry_s: Some(60),
        properties,
    };
    let options = Options {
        qos: QoS::AtLeastOnce,
        no_local: true,
        retain_as_published: true,
        retain_handling: RetainHandling::SendIfNew,
    };
    let connect = |version| Connect {
        version,
        clean_start: false,
        keep_alive_s: 60,
        client_id: "meter-7".into(),
        will: Some(Will { message: message.clone(), delay_s: 5 }),
        user_name: Some("token".into()),
        password: Some(Box::from(*b"rk_0")),
        properties: vec![Property::SessionExpiry(60), Property::ReceiveMaximum(9)],
    };
    let publish = Publish {
        duplicate: true,
        packet_id: 7,
        topic_alias: Some(1),
        subscription_ids: vec![1],
        message: message.clone(),
    };
    let filters = vec![("a/+/#".into(), options), ("$share/g/b".into(), options)];
    let packets = [
        Packet::Publish(publish),
        Packet::Ack(Ack::new(AckKind::Pubrel, 7, Reason::PACKET_ID_NOT_FOUND)),
        Packet::Subscribe(Subscribe { packet_id: 7, filters, properties: vec![Property::SubscriptionId(200)] }),
        Packet::Suback(Suback { packet_id: 7, reasons: vec![Reason::SUCCESS], properties: Vec::new() }),
        Packet::Connack(Connack { session_present: true, reason: Reason::SUCCESS, properties: Vec::new() }),
        Packet::Pingreq,
    ];
    let mut corpus = Vec::new();
    for (number, version) in [(0, Version::V5), (1, Version::V311)] {
        corpus.push([vec![number], Packet::Connect(Box::new(connect(version))).write(version)].concat());
        corpus.extend(packets.iter().map(|packet| [vec![number], packet.write(version)].concat()));
    }
    corpus
}

/// The first byte is the length of the key; what is read of a row makes no broker panic.
pub fn row(bytes: &[u8]) {
    let Some((length, rest)) = bytes.split_first() else { return };
    let (key, value) = rest.split_at(usize::from(*length).min(rest.len()));
    let Some(kept) = rows::parse(key, value) else { return };
    let mut broker = city_mqtt::Broker::restore([kept], 0);
    drop(broker.upkeep(i64::MAX));
    drop(broker.take_later());
}

pub fn rows_kept() -> Vec<Vec<u8>> {
    let row = |key: &[u8], value: &[u8]| {
        let length = u8::try_from(key.len()).expect("keys of the corpus are short");
        [&[length], key, value].concat()
    };
    let held = [&[0; 16][..], b"\x32\x08\0\x03a/b\0\x01\0"].concat();
    vec![
        row(b"sclient\0", b"\0\x05owner\0\0\0\x3c"),
        row(b"fclient\0a/#", b"\x01\0\0\0\0\0"),
        row(b"wclient\0\0\0\0\0\0\0\0\x01", b"\0\0\0\0\0\0\0\x01\x01\0"),
        row(b"xclient\0\0\x07", b""),
        row(b"m\0\0\0\0\0\0\0\x01", &held),
        row(b"ra/b\0", &held),
    ]
}
