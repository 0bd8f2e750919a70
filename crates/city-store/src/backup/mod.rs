//! Backup: a store goes out as one part, consistent at one record; a store comes in from parts.
//!
//! A part is a **base** (every key space as it stood at one instant, and the journal that is kept)
//! or an **increment** (the journal since the part before it, and the outbox). What deliveries do
//! to the outbox is not in the journal, so each part carries the outbox whole, with the matcher's
//! cursor that belongs to it; all else of the state is made again from the journal.

pub mod chunk;
mod lay;
mod part;
mod take;

use city_model::Time;

use crate::codec::{Reader, Writer};
use crate::{Error, Space};

pub use lay::{Cut, Reached, SegmentWriter, lay_base, lay_frames, lay_outbox};
pub use part::{Content, PartReader};
pub use take::{Since, Taking};

/// Version of the parts. A newer one is refused by name.
pub const PART_FORMAT: u32 = 1;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PartKind {
    Base,
    Increment,
}

/// What a part is; its first chunk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartHead {
    pub kind: PartKind,
    /// Format of the data folder that it was taken from.
    pub folder_format: u32,
    /// Release of the server that made it.
    pub release: Box<str>,
    /// The server's clock just before the instant: what was answered until then is in it.
    pub taken_at: Time,
    /// The record that the part before it ended with; 0 of a base.
    pub after: u64,
    /// The record that its state has come to, and its last.
    pub watermark: u64,
}

/// What a part held; its last chunk.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PartEnd {
    pub records: u64,
    /// Its first record; 0 where it has none.
    pub first_lsn: u64,
    /// Checksum of the record at the watermark, so that the next part can be held against it.
    pub last_crc: u32,
    /// Earliest and latest time of its records.
    pub times: Option<(Time, Time)>,
    /// Values of each key space.
    pub values: Vec<(Box<str>, u64)>,
    /// Bytes before compression.
    pub raw_bytes: u64,
}

impl PartHead {
    fn encode(&self) -> Vec<u8> {
        let mut out = Writer::default();
        out.uint(PART_FORMAT.into());
        out.u8(match self.kind {
            PartKind::Base => 0,
            PartKind::Increment => 1,
        });
        out.uint(self.folder_format.into());
        out.text(&self.release);
        out.int(self.taken_at.as_micros());
        out.uint(self.after);
        out.uint(self.watermark);
        out.bytes
    }

    pub fn decode(bytes: &[u8], file: &str) -> Result<Self, Error> {
        let mut from = Reader::new(bytes);
        let format = from.u32()?;
        if format > PART_FORMAT {
            return Err(Error::BackupNewer { file: file.to_owned(), found: format, known: PART_FORMAT });
        }
        let kind = match from.u8()? {
            0 => PartKind::Base,
            1 => PartKind::Increment,
            other => return Err(Error::Undecodable(format!("a part is of the unknown kind {other}"))),
        };
        Ok(Self {
            kind,
            folder_format: from.u32()?,
            release: from.text()?.into(),
            taken_at: Time::from_micros(from.int()?),
            after: from.uint()?,
            watermark: from.uint()?,
        })
    }
}

impl PartEnd {
    fn encode(&self) -> Vec<u8> {
        let mut out = Writer::default();
        out.uint(self.records);
        out.uint(self.first_lsn);
        out.uint(self.last_crc.into());
        match self.times {
            None => out.u8(0),
            Some((first, last)) => {
                out.u8(1);
                out.int(first.as_micros());
                out.int(last.as_micros());
            }
        }
        out.uint(self.raw_bytes);
        out.uint(self.values.len() as u64);
        for (space, values) in &self.values {
            out.text(space);
            out.uint(*values);
        }
        out.bytes
    }

    pub fn decode(bytes: &[u8]) -> Result<Self, Error> {
        let mut from = Reader::new(bytes);
        let (records, first_lsn, last_crc) = (from.uint()?, from.uint()?, from.u32()?);
        let times = match from.u8()? {
            0 => None,
            _ => Some((Time::from_micros(from.int()?), Time::from_micros(from.int()?))),
        };
        let raw_bytes = from.uint()?;
        let values =
            (0..from.uint()?).map(|_| Ok((from.text()?.into(), from.uint()?))).collect::<Result<_, Error>>()?;
        Ok(Self { records, first_lsn, last_crc, times, values, raw_bytes })
    }

    fn see_record(&mut self, lsn: u64, time: Time, crc: u32) {
        self.records += 1;
        if self.first_lsn == 0 {
            self.first_lsn = lsn;
        }
        self.last_crc = crc;
        let (first, last) = self.times.unwrap_or((time, time));
        self.times = Some((first.min(time), last.max(time)));
    }

    fn see_values(&mut self, space: &str, values: u64) {
        match self.values.iter_mut().find(|(name, _)| **name == *space) {
            Some((_, count)) => *count += values,
            None => self.values.push((space.into(), values)),
        }
    }

    /// Values of one key space.
    #[must_use]
    pub fn values_of(&self, space: Space) -> u64 {
        self.values.iter().find(|(name, _)| **name == *space.name()).map_or(0, |(_, values)| *values)
    }
}
