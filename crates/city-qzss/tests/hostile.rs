//! Lines that are broken, on the way or on purpose: refused with their reason, and nothing panics.

#![allow(clippy::unwrap_used, reason = "a test fails loudly")]

mod support;

use city_model::Time;
use city_qzss::{Body, Error, Frame, decode_bytes, decode_frame, decode_line};
use proptest::prelude::*;
use support::{logs, sentence};

/// An early warning of an exercise, as it was broadcast.
const LINE: &str = "$QZQSM,58,9AAF899C80000324000039000548C5E2C000000003DFF8001C000012FE4B0FC*7F";

#[test]
fn every_flipped_bit_is_refused_by_the_crc() {
    let mut lines = vec![LINE.to_owned()];
    lines.extend(logs().into_iter().flatten().flat_map(|(_, lines)| lines));
    for line in lines {
        let sent = decode_line(&line).unwrap().frame;
        for at in 0..250 {
            let mut frame = sent;
            frame.set(at, 1, u64::from(!frame.bit(at)));
            let refused = decode_line(&sentence(&frame));
            assert!(matches!(refused, Err(Error::Crc { .. })), "bit {at} of {line}: {refused:?}");
        }
    }
}

#[test]
fn every_part_of_a_line_alone_is_refused() {
    assert!(decode_line(LINE).is_ok());
    for at in 0..LINE.len() {
        assert!(decode_line(&LINE[..at]).is_err(), "{}", &LINE[..at]);
        assert!(at == 0 || decode_line(&LINE[at..]).is_err(), "{}", &LINE[at..]);
        let shorter = format!("{}{}", &LINE[..at], &LINE[at + 1..]);
        assert!(decode_line(&shorter).is_err(), "{shorter}");
    }
}

#[test]
fn a_line_says_what_is_wrong_with_it() {
    let digits = &LINE[10..73];
    for (line, message) in [
        ("", "The line is empty."),
        ("  \r\n", "The line is empty."),
        ("$GPGGA,123519*47", "The line begins with \"$GPGGA\"; $QZQSM is read, or 63 hexadecimal digits."),
        ("hello", "The line begins with \"hello\"; $QZQSM is read, or 63 hexadecimal digits."),
        (&digits[1..], "The line has 62 characters; a message has 63."),
        (LINE.replace("*7F", "*7E").as_str(), "The checksum of the line is 7E, but its characters make 7F."),
        (&LINE[..73], "The line does not end in its checksum, an asterisk and two hexadecimal digits."),
        (
            LINE.replace("*7F", "*+F").as_str(),
            "The line does not end in its checksum, an asterisk and two hexadecimal digits.",
        ),
        ("$QZQSM,58*65", "The line has 2 fields before its checksum; three are read: $QZQSM, satellite and message."),
        ("$QZQSM,5,00*71", "The satellite is \"5\"; it has two digits."),
        ("$QZQSM,58,00*49", "The message has 2 hexadecimal digits; 250 bits have 63."),
        (digits.replace("FE4B", "FE4G").as_str(), "Digit 60 of the message is 'G', which is not hexadecimal."),
        (
            LINE.replace("58", "５8").as_str(),
            "The line has the character '５' at 8, where nothing but ASCII may stand.",
        ),
        (
            digits.replace("FE4B", "FE4C").as_str(),
            "The CRC in bits 226 to 249 is F9303F, but bits 0 to 225 make F92C3F.",
        ),
    ] {
        assert_eq!(
            decode_line(line).map(|message| message.kind()).map_err(|error| error.to_string()),
            Err(message.to_owned()),
            "{line}"
        );
    }
    assert_eq!(decode_bytes(&[0; 31]), Err(Error::Bytes { found: 31, expected: 32 }));
}

/// The example, with other bits and the CRC that belongs to them.
fn changed(changes: &[(usize, usize, u64)]) -> Result<city_qzss::Message, Error> {
    let mut frame = decode_line(LINE).unwrap().frame;
    changes.iter().for_each(|(from, count, number)| frame.set(*from, *count, *number));
    decode_line(&sentence(&Frame::sealed(*frame.bytes())))
}

#[test]
fn a_message_that_is_whole_and_not_known_is_refused_by_name() {
    assert_eq!(changed(&[(0, 8, 0x54)]), Err(Error::Preamble(0x54)));
    assert_eq!(changed(&[(8, 6, 42)]), Err(Error::MessageType(42)));
    assert_eq!(changed(&[(214, 6, 2)]), Err(Error::Version(2)));
    for category in [0, 7, 13, 15] {
        assert_eq!(changed(&[(17, 4, category)]), Err(Error::Category(u8::try_from(category).unwrap())));
    }
    for (from, count, number) in [(21, 4, 0), (21, 4, 13), (25, 5, 0), (30, 5, 24), (35, 6, 60)] {
        assert!(matches!(changed(&[(from, count, number)]), Err(Error::ReportTime { .. })), "{from}");
    }
    assert!(matches!(changed(&[(21, 4, 2), (25, 5, 30)]), Err(Error::ReportTime { month: 2, day: 30, .. })));
    assert!(changed(&[(21, 4, 2), (25, 5, 29)]).is_ok());
}

#[test]
fn an_unknown_code_stays_a_number_and_is_named_as_undefined() {
    let row = changed(&[(112, 10, 1023), (53, 9, 511), (14, 3, 5)]).unwrap().row(Time::parse("2022-03-07").unwrap());
    assert_eq!(row["epicentreCode"], 1023);
    assert_eq!(row["epicentreEn"], "Undefined Epicenter (Code: 1023)");
    assert_eq!(row["notifications"][0]["ja"], "防災上の留意事項(コード番号：511)");
    assert_eq!(row["reportClassificationJa"], "通報区分(コード番号：5)");
    assert_eq!(row["unknownCodes"], serde_json::json!(["reportClassification", "notifications.code", "epicentre"]));
}

#[test]
fn digits_alone_and_spaces_around_a_line_are_read() {
    let sentence = decode_line(LINE).unwrap();
    let digits = decode_line(&LINE[10..73].to_lowercase()).unwrap();
    assert_eq!((sentence.satellite, digits.satellite), (Some(58), None));
    assert_eq!(sentence.body, digits.body);
    assert_eq!(decode_line(&format!("  {LINE}\r\n")).unwrap(), sentence);
    assert_eq!(decode_bytes(sentence.frame.bytes()).unwrap(), digits);
}

fn read_all(frame: &Frame, received_at: i64) {
    if let Ok(message) = decode_frame(Some(55), frame) {
        let row = message.row(Time::from_micros(received_at));
        assert_eq!(row["kind"], message.kind());
        match message.body {
            Body::Dcr(report) => assert!(report.category.is_known),
            Body::Dcx(alert) => assert_eq!(alert.content.is_none(), row["kind"] == "null"),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn no_text_panics(line in "\\PC{0,90}", tail in "[$QZSM0-9A-F,*]{0,80}") {
        let _ = (decode_line(&line), decode_line(&tail), decode_line(&format!("$QZQSM,{tail}")));
    }

    #[test]
    fn no_bits_panic(mut bytes: [u8; 32], is_dcx: bool, category in 0u64..16, received_at: i64) {
        let _ = decode_bytes(&bytes);
        bytes[0] = 0x53;
        let mut frame = Frame::new(bytes);
        frame.set(8, 6, if is_dcx { 44 } else { 43 });
        if !is_dcx {
            frame.set(17, 4, category);
            frame.set(214, 6, 1);
            // 7 March, 4:00.
            frame.set(21, 20, 3 << 16 | 7 << 11 | 4 << 6);
        }
        read_all(&Frame::sealed(*frame.bytes()), received_at);
    }
}
