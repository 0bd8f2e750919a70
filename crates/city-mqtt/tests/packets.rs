//! Packets as tables: the bytes that the specifications show, and what must be refused and why.

#![allow(clippy::unwrap_used, reason = "a test fails loudly")]

use city_mqtt::packet::{Ack, AckKind, Connack, Connect, Disconnect, Options, Publish, RetainHandling, Suback};
use city_mqtt::packet::{Subscribe, Unsubscribe, Will};
use city_mqtt::{Error, Message, Packet, Property, QoS, Reason, Version, frame, read};

const V3: Version = Version::V311;
const V5: Version = Version::V5;

fn parse(version: Version, bytes: &[u8]) -> Result<Packet, Error> {
    let frame = frame(bytes, 1 << 20)?.ok_or(Error::Malformed("it is not whole"))?;
    read(version, bytes, frame)
}

fn message(topic: &str, payload: &[u8], qos: QoS, retain: bool) -> Message {
    Message { topic: topic.into(), payload: payload.into(), qos, retain, expiry_s: None, properties: Vec::new() }
}

fn publish(message: Message, packet_id: u16) -> Packet {
    let (topic_alias, subscription_ids) = (None, Vec::new());
    Packet::Publish(Publish { duplicate: false, packet_id, topic_alias, subscription_ids, message })
}

#[test]
fn bytes_of_the_specifications_are_read_and_written() {
    let connect = Connect {
        version: V3,
        clean_start: true,
        keep_alive_s: 10,
        client_id: "c".into(),
        will: None,
        user_name: None,
        password: None,
        properties: Vec::new(),
    };
    let will = Will { message: message("w", b"gone", QoS::AtLeastOnce, true), delay_s: 0 };
    // 3.1.1, figure 3.6: user name and password, a will of QoS 1 without retain, clean session, ten seconds.
    let full = Connect {
        will: Some(Will { message: message("w", b"gone", QoS::AtLeastOnce, false), ..will.clone() }),
        user_name: Some("u".into()),
        password: Some(Box::from(*b"p")),
        ..connect.clone()
    };
    let v5 = Connect {
        version: V5,
        properties: vec![Property::SessionExpiry(10), Property::User("a".into(), "b".into())],
        will: Some(Will { delay_s: 5, ..will }),
        ..connect.clone()
    };
    let options = Options {
        qos: QoS::AtLeastOnce,
        no_local: false,
        retain_as_published: false,
        retain_handling: RetainHandling::Send,
    };
    let fancy = Options {
        qos: QoS::ExactlyOnce,
        no_local: true,
        retain_as_published: true,
        retain_handling: RetainHandling::DoNotSend,
    };
    let ack = |kind, reason| Packet::Ack(Ack::new(kind, 10, reason));
    let connack = |reason| Packet::Connack(Connack { session_present: true, reason, properties: Vec::new() });
    let table: Vec<(Version, Packet, &[u8])> = vec![
        (V3, Packet::Connect(Box::new(connect)), b"\x10\x0d\0\x04MQTT\x04\x02\0\x0a\0\x01c"),
        (
            V3,
            Packet::Connect(Box::new(full)),
            b"\x10\x1c\0\x04MQTT\x04\xce\0\x0a\0\x01c\0\x01w\0\x04gone\0\x01u\0\x01p",
        ),
        (
            V5,
            Packet::Connect(Box::new(v5)),
            b"\x10\x29\0\x04MQTT\x05\x2e\0\x0a\x0c\x11\0\0\0\x0a\x26\0\x01a\0\x01b\0\x01c\x05\x18\0\0\0\x05\0\x01w\0\x04gone",
        ),
        (V3, connack(Reason::SUCCESS), b"\x20\x02\x01\0"),
        (V5, connack(Reason::SUCCESS), b"\x20\x03\x01\0\0"),
        // 3.1.1, figures 3.11 and 3.12: "a/b", identifier 10.
        (V3, publish(message("a/b", b"", QoS::AtLeastOnce, false), 10), b"\x32\x07\0\x03a/b\0\x0a"),
        (V3, publish(message("a/b", b"hi", QoS::AtMostOnce, true), 0), b"\x31\x07\0\x03a/bhi"),
        (V5, publish(message("a/b", b"", QoS::ExactlyOnce, false), 10), b"\x34\x08\0\x03a/b\0\x0a\0"),
        (V3, ack(AckKind::Puback, Reason::SUCCESS), b"\x40\x02\0\x0a"),
        (V5, ack(AckKind::Puback, Reason::NOT_AUTHORIZED), b"\x40\x03\0\x0a\x87"),
        (V5, ack(AckKind::Pubrec, Reason::SUCCESS), b"\x50\x02\0\x0a"),
        (V3, ack(AckKind::Pubrel, Reason::SUCCESS), b"\x62\x02\0\x0a"),
        (V5, ack(AckKind::Pubcomp, Reason::PACKET_ID_NOT_FOUND), b"\x70\x03\0\x0a\x92"),
        // 3.1.1, figure 3.23: "a/b" with QoS 1 and "c/d" with QoS 2.
        (
            V3,
            Packet::Subscribe(Subscribe {
                packet_id: 10,
                filters: vec![("a/b".into(), options), ("c/d".into(), Options { qos: QoS::ExactlyOnce, ..options })],
                properties: Vec::new(),
            }),
            b"\x82\x0e\0\x0a\0\x03a/b\x01\0\x03c/d\x02",
        ),
        (
            V5,
            Packet::Subscribe(Subscribe {
                packet_id: 10,
                filters: vec![("a/b".into(), fancy)],
                properties: vec![Property::SubscriptionId(300)],
            }),
            b"\x82\x0c\0\x0a\x03\x0b\xac\x02\0\x03a/b\x2e",
        ),
        (
            V3,
            Packet::Suback(Suback {
                packet_id: 10,
                reasons: vec![Reason(0), Reason(2), Reason(0x80)],
                properties: Vec::new(),
            }),
            b"\x90\x05\0\x0a\0\x02\x80",
        ),
        (
            V3,
            Packet::Unsubscribe(Unsubscribe {
                packet_id: 10,
                filters: vec!["a/b".into(), "c/d".into()],
                properties: Vec::new(),
            }),
            b"\xa2\x0c\0\x0a\0\x03a/b\0\x03c/d",
        ),
        (V3, Packet::Pingreq, b"\xc0\0"),
        (V3, Packet::Pingresp, b"\xd0\0"),
        (V3, Packet::Disconnect(Disconnect { reason: Reason::SUCCESS, properties: Vec::new() }), b"\xe0\0"),
        (
            V5,
            Packet::Disconnect(Disconnect { reason: Reason::DISCONNECT_WITH_WILL, properties: Vec::new() }),
            b"\xe0\x01\x04",
        ),
    ];
    for (version, packet, bytes) in table {
        assert_eq!(parse(version, bytes), Ok(packet.clone()), "{bytes:02x?}");
        assert_eq!(packet.write(version), bytes, "{packet:?}");
    }
}

#[test]
fn every_property_comes_back_as_it_was_written() {
    let properties = vec![
        Property::PayloadFormat(1),
        Property::ContentType("application/json".into()),
        Property::ResponseTopic("back".into()),
        Property::CorrelationData(Box::from(*b"\0\xff")),
        Property::User("a".into(), "1".into()),
        Property::User("a".into(), "2".into()),
    ];
    let message = Message { expiry_s: Some(60), properties, ..message("t", b"x", QoS::AtMostOnce, false) };
    let packet = Packet::Publish(Publish {
        duplicate: false,
        packet_id: 0,
        topic_alias: Some(7),
        subscription_ids: vec![1, 268_435_455],
        message,
    });
    assert_eq!(parse(V5, &packet.write(V5)), Ok(packet));
    let connack = Packet::Connack(Connack {
        session_present: false,
        reason: Reason::SUCCESS,
        properties: vec![
            Property::AssignedClientId("c".into()),
            Property::ServerKeepAlive(60),
            Property::AuthMethod("m".into()),
            Property::AuthData(Box::from(*b"d")),
            Property::ResponseInfo("r".into()),
            Property::ServerReference("s".into()),
            Property::ReasonText("why".into()),
            Property::ReceiveMaximum(1),
            Property::TopicAliasMaximum(0),
            Property::MaximumQos(1),
            Property::RetainAvailable(0),
            Property::MaximumPacketBytes(1),
            Property::WildcardsAvailable(1),
            Property::SubscriptionIdsAvailable(1),
            Property::SharedAvailable(1),
        ],
    });
    assert_eq!(parse(V5, &connack.write(V5)), Ok(connack));
}

#[test]
fn what_is_no_packet_is_refused_with_its_reason() {
    let malformed = Reason::MALFORMED_PACKET;
    let protocol = Reason::PROTOCOL_ERROR;
    let table: &[(Version, &[u8], Reason, &str)] = &[
        (V5, b"\0\0", malformed, "a packet of type 0"),
        (V3, b"\xf0\0", malformed, "AUTH in 3.1.1"),
        (V5, b"\xc0\xff\xff\xff\xff\x01", malformed, "a length of five bytes"),
        (V5, b"\x30\x80\0", malformed, "a length that is longer than it needs"),
        (V5, b"\x30\xff\xff\xff\x7f", Reason::PACKET_TOO_LARGE, "256 MiB"),
        (V3, b"\xc1\0", malformed, "flags of PINGREQ"),
        (V3, b"\x60\x02\0\x01", malformed, "PUBREL without its flag"),
        (V3, b"\x36\x05\0\x01a\0\x01", malformed, "QoS 3"),
        (V3, b"\x38\x03\0\x01a", malformed, "QoS 0 that is sent again"),
        (V3, b"\x32\x05\0\x01a\0\0", protocol, "identifier 0"),
        (V3, b"\x30\x04\0\x02a+", Reason::TOPIC_NAME_INVALID, "a wildcard in a name"),
        (V3, b"\x30\x02\0\0", Reason::TOPIC_NAME_INVALID, "an empty name"),
        (V5, b"\x30\x03\0\0\0", Reason::TOPIC_NAME_INVALID, "an empty name without an alias"),
        (V3, b"\x30\x04\0\x02a\0", malformed, "U+0000"),
        (V3, b"\x30\x04\0\x02\xed\xa0", malformed, "half a surrogate"),
        (V3, b"\x30\x03\0\x09a", malformed, "a text longer than the packet"),
        (V3, b"\x82\x02\0\x01", protocol, "SUBSCRIBE without a filter"),
        (V3, b"\x82\x06\0\x01\0\x01a\x03", malformed, "a subscription of QoS 3"),
        (V3, b"\x82\x06\0\x01\0\x01a\x04", malformed, "options of 5.0 in 3.1.1"),
        (V5, b"\x82\x07\0\x01\0\0\x01a\x30", protocol, "retain handling 3"),
        (V5, b"\x82\x09\0\x01\x02\x0b\0\0\x01a\0", protocol, "subscription identifier 0"),
        (V5, b"\x40\x05\0\x01\0\x02\x7f", malformed, "an unknown property that is cut"),
        (V5, b"\x30\x06\0\x01a\x02\x11\0", protocol, "a session's expiry in a message"),
        (V5, b"\x30\x08\0\x01a\x04\x01\0\x01\0", protocol, "a property twice"),
        (V5, b"\x30\x06\0\x01a\x02\x01\x02", protocol, "a payload format of 2"),
        (V5, b"\x30\x05\0\x01a\x05\x01", malformed, "properties longer than the packet"),
        (V3, b"\x10\x0d\0\x04MQTT\x03\x02\0\x0a\0\x01c", Reason::UNSUPPORTED_PROTOCOL_VERSION, "level 3"),
        (V3, b"\x10\x0d\0\x04MQTX\x04\x02\0\x0a\0\x01c", Reason::UNSUPPORTED_PROTOCOL_VERSION, "another protocol"),
        (V3, b"\x10\x0d\0\x04MQTT\x04\x03\0\x0a\0\x01c", malformed, "the reserved flag of CONNECT"),
        (V3, b"\x10\x0d\0\x04MQTT\x04\x0a\0\x0a\0\x01c", malformed, "a will's QoS without a will"),
        (V3, b"\x10\x10\0\x04MQTT\x04\x42\0\x0a\0\x01c\0\x01p", malformed, "a password without a name"),
        (V3, b"\x10\x0e\0\x04MQTT\x04\x02\0\x0a\0\x01cx", malformed, "something behind the end"),
        (V3, b"\xe0\x01\0", malformed, "a reason in a DISCONNECT of 3.1.1"),
    ];
    for (version, bytes, reason, what) in table {
        assert_eq!(parse(*version, bytes).map_err(|error| error.reason()), Err(*reason), "{what}");
    }
}

#[test]
fn half_a_packet_waits_for_its_rest() {
    let bytes = b"\x32\x07\0\x03a/b\0\x0a";
    for length in 0..2 {
        assert_eq!(frame(&bytes[..length], 100), Ok(None));
    }
    let whole = frame(bytes, 100).unwrap().unwrap();
    assert_eq!((whole.header_bytes, whole.bytes), (2, bytes.len()));
    assert_eq!(frame(b"\x30\xff\xff", 100), Ok(None), "the length is not whole yet");
    assert!(frame(bytes, 8).is_err());
}
