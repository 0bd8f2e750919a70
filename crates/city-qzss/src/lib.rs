//! Disaster messages of Japan's Michibiki satellites (QZSS, みちびき, 災害・危機管理通報サービス「災危通報」): a line comes
//! in, what it says goes out.
//!
//! `dcr` is message type 43, reports of the Japan Meteorological Agency (IS-QZSS-DCR-017); `dcx` is type 44, L-Alert,
//! J-Alert, local governments and organisations abroad (IS-QZSS-DCX-004 over CAMF issue 1.2). Pure: no clock, so times
//! stay without a year until `row` is told when the message was received.

pub mod dcr;
pub mod dcx;
mod error;
mod frame;
mod line;
mod row;
mod table;
pub mod tables;
mod time;

use city_model::Time;
use serde_json::{Map, Value};

pub use error::Error;
pub use frame::Frame;
pub use line::parse_line;
pub use table::{Coded, Table};
pub use time::{DayTime, MonthTime};

use row::Row;

/// One message, as one satellite sent it.
#[derive(Debug, Clone, PartialEq)]
pub struct Message {
    /// As the sentence names it; `None` of bare digits.
    pub satellite: Option<u8>,
    pub preamble: Preamble,
    pub body: Body,
    /// The bits that it was read from.
    pub frame: Frame,
}

/// Which of three patterns opens the message; they take turns, second by second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Preamble {
    A,
    B,
    C,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Body {
    /// Message type 43.
    Dcr(Box<dcr::Report>),
    /// Message type 44.
    Dcx(Box<dcx::Alert>),
}

/// Reads `$QZQSM,<satellite>,<63 hexadecimal digits>*<checksum>`, or the digits alone.
///
/// # Errors
///
/// With what is wrong, and where: the line, its checksum, the CRC, or what the message says.
pub fn decode_line(line: &str) -> Result<Message, Error> {
    let (satellite, frame) = parse_line(line)?;
    decode_frame(satellite, &frame)
}

/// Reads 250 bits as a receiver hands them over, the first at the top of 32 bytes.
///
/// # Errors
///
/// As `decode_line`.
pub fn decode_bytes(bytes: &[u8]) -> Result<Message, Error> {
    let expected = Frame::BYTES;
    let bytes: [u8; Frame::BYTES] = bytes.try_into().map_err(|_| Error::Bytes { found: bytes.len(), expected })?;
    decode_frame(None, &Frame::new(bytes))
}

/// # Errors
///
/// As `decode_line`.
pub fn decode_frame(satellite: Option<u8>, frame: &Frame) -> Result<Message, Error> {
    frame.check()?;
    let preamble = match frame.byte(0, 8) {
        0x53 => Preamble::A,
        0x9A => Preamble::B,
        0xC6 => Preamble::C,
        other => return Err(Error::Preamble(other)),
    };
    let body = match frame.byte(8, 6) {
        43 => Body::Dcr(Box::new(dcr::Report::read(frame)?)),
        44 => Body::Dcx(Box::new(dcx::Alert::read(frame))),
        other => return Err(Error::MessageType(other)),
    };
    Ok(Message { satellite, preamble, body, frame: *frame })
}

impl Message {
    /// What the message says as one row; its keys are in docs/reference/qzss.md. `received_at` gives the year.
    #[must_use]
    pub fn row(&self, received_at: Time) -> Map<String, Value> {
        let mut row = Row::default();
        row.put("messageType", self.message_type());
        row.put("kind", self.kind());
        row.put("digest", self.digest());
        row.put_some("satelliteId", self.satellite);
        row.put_some("satellitePrn", self.satellite.map(|id| id | 0x80));
        row.put("preamble", format!("{:?}", self.preamble));
        match &self.body {
            Body::Dcr(report) => report.write(&mut row, received_at),
            Body::Dcx(alert) => alert.write(&mut row, received_at),
        }
        row.finish()
    }

    #[must_use]
    pub fn message_type(&self) -> &'static str {
        match &self.body {
            Body::Dcr(_) => "DCR",
            Body::Dcx(_) => "DCX",
        }
    }

    /// The category of a DCR, the kind of a DCX, as a row names it.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match &self.body {
            Body::Dcr(report) => report.disaster.kind(),
            Body::Dcx(alert) => alert.kind.name(),
        }
    }

    /// What is the same in every copy of a message, whichever satellite sends it and when: its bits without preamble,
    /// CRC and, of a DCX, the mask of satellites.
    #[must_use]
    pub fn digest(&self) -> String {
        let from = match self.body {
            Body::Dcr(_) => 8,
            Body::Dcx(_) => 24,
        };
        let content = (from..220).step_by(8).map(|at| {
            let bits = 8usize.min(220 - at);
            format!("{:02x}", self.frame.bits(at, bits) << (8 - bits))
        });
        format!("{}:{}", self.message_type(), content.collect::<String>())
    }
}
