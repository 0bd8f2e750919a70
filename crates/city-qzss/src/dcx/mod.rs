//! Message type 44: alerts of Japan's L-Alert (Lアラート), J-Alert (Jアラート) and local governments, and of
//! organisations abroad (IS-QZSS-DCX-004; the fields A, B, C and D are those of CAMF issue 1.2).

mod area;
mod content;
mod ellipse;
mod guidance;
mod settings;

use city_model::Time;

pub use area::{Areas, Evacuation};
pub use content::{Content, Hazard, Onset};
pub use ellipse::Ellipse;
pub use guidance::{Guidance, Instruction};
pub use settings::{Detail, Settings};

use crate::Frame;
use crate::row::Row;
use crate::table::{Coded, Table};

/// A2 of Japan.
const JAPAN: u64 = 111;
/// How many satellites the mask has, from PRN 183 on.
const SATELLITES: usize = 9;

#[derive(Debug, Clone, PartialEq)]
pub struct Alert {
    pub mask: SatelliteMask,
    pub kind: Kind,
    /// None of a null message.
    pub content: Option<Content>,
}

/// SDMT and SDM: what the satellites do with message type 44, not what this message says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SatelliteMask {
    /// `false`: whether a satellite sends for Japan (0) or for use outside Japan (1).
    /// `true`: whether its sending is stopped (0) or in progress (1).
    pub is_of_transmission: bool,
    /// From PRN 183 on.
    pub satellites: [bool; SATELLITES],
}

/// Who speaks, which decides what the fields mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Nothing is to be told.
    Null,
    LAlert,
    JAlert,
    LocalGovernment,
    OutsideJapan,
    /// A provider of Japan that DCX does not know.
    Unknown,
}

impl Kind {
    fn read(frame: &Frame) -> Self {
        // A1, and A3 to EX7 with the version: everything but the country, which stays Japan in a null message.
        let is_empty = |from: usize, to: usize| (from..to).all(|at| !frame.bit(at));
        if is_empty(24, 26) && is_empty(35, 220) {
            return Self::Null;
        }
        match (frame.bits(26, 9), frame.bits(35, 5)) {
            (JAPAN, 1) => Self::LAlert,
            (JAPAN, 2 | 3) => Self::JAlert,
            (JAPAN, 4) => Self::LocalGovernment,
            (JAPAN, _) => Self::Unknown,
            _ => Self::OutsideJapan,
        }
    }

    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::LAlert => "lAlert",
            Self::JAlert => "jAlert",
            Self::LocalGovernment => "localGovernment",
            Self::OutsideJapan => "outsideJapan",
            Self::Unknown => "unknown",
        }
    }
}

impl Alert {
    pub(crate) fn read(frame: &Frame) -> Self {
        let mut satellites = [false; SATELLITES];
        for (satellite, at) in satellites.iter_mut().zip(15..) {
            *satellite = frame.bit(at);
        }
        let kind = Kind::read(frame);
        Self {
            mask: SatelliteMask { is_of_transmission: frame.bit(14), satellites },
            kind,
            content: (kind != Kind::Null).then(|| Content::read(frame, kind)),
        }
    }

    pub(crate) fn write(&self, row: &mut Row, received_at: Time) {
        row.put("satelliteMaskType", if self.mask.is_of_transmission { "transmission" } else { "region" });
        row.put("satelliteMask", self.mask.satellites.map(u8::from).to_vec());
        if let Some(content) = &self.content {
            content.write(row, received_at);
        }
    }
}

fn coded(frame: &Frame, table: &'static Table, from: usize, count: usize) -> Coded {
    table.find(frame.bits(from, count))
}
