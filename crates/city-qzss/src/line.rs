//! A line, `$QZQSM,<satellite>,<63 hexadecimal digits>*<checksum>` or the digits alone, becomes a satellite and bits.

use crate::{Error, Frame};

const HEADER: &str = "$QZQSM";
/// 250 bits and two of filling.
const DIGITS: usize = 63;
const SENTENCE_LENGTH: usize = 76;

/// The satellite as the sentence names it, if it was a sentence, and the bits as they came. Neither CRC nor contents
/// were looked at.
///
/// # Errors
///
/// With what is wrong with the line, and where.
pub fn parse_line(line: &str) -> Result<(Option<u8>, Frame), Error> {
    let line = line.trim_matches([' ', '\t', '\r', '\n']);
    if line.is_empty() {
        return Err(Error::Empty);
    }
    if let Some((place, found)) = (1..).zip(line.chars()).find(|(_, c)| !c.is_ascii()) {
        return Err(Error::Character { place, found });
    }
    match line.starts_with('$') {
        true => parse_sentence(line),
        false if line.len() == DIGITS => Ok((None, parse_digits(line)?)),
        false if line.bytes().all(|byte| byte.is_ascii_hexdigit()) => {
            Err(Error::LineLength { found: line.len(), expected: DIGITS })
        }
        false => Err(Error::Header { found: line.chars().take(HEADER.len()).collect() }),
    }
}

fn parse_sentence(line: &str) -> Result<(Option<u8>, Frame), Error> {
    let begin = line.split(',').next().unwrap_or_default();
    if begin != HEADER {
        return Err(Error::Header { found: begin.chars().take(HEADER.len()).collect() });
    }
    let (body, written) = line.rsplit_once('*').ok_or(Error::ChecksumMissing)?;
    let written = match written.len() == 2 && written.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        true => u8::from_str_radix(written, 16).map_err(|_| Error::ChecksumMissing)?,
        false => return Err(Error::ChecksumMissing),
    };
    let computed = body.bytes().skip(1).fold(0, |sum, byte| sum ^ byte);
    if computed != written {
        return Err(Error::Checksum { written, computed });
    }
    let fields: Vec<&str> = body.split(',').collect();
    let [_, satellite, message] = fields[..] else { return Err(Error::Fields { found: fields.len() }) };
    if satellite.len() != 2 || !satellite.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(Error::Satellite { found: satellite.to_owned() });
    }
    if message.len() != DIGITS {
        return Err(Error::MessageLength { found: message.len(), expected: DIGITS });
    }
    debug_assert_eq!(line.len(), SENTENCE_LENGTH, "every part has its length");
    Ok((satellite.parse().ok(), parse_digits(message)?))
}

fn parse_digits(digits: &str) -> Result<Frame, Error> {
    let mut bytes = [0u8; Frame::BYTES];
    for (at, found) in digits.chars().enumerate() {
        let value = found.to_digit(16).ok_or(Error::Digit { place: at + 1, found })?;
        let value = u8::try_from(value).unwrap_or(0);
        if let Some(byte) = bytes.get_mut(at / 2) {
            *byte |= if at % 2 == 0 { value << 4 } else { value };
        }
    }
    Ok(Frame::new(bytes))
}
