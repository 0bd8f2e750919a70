//! How large the data folder was over the last days, and from that how long the disk will last.
//!
//! Sizes come in with their times; at most one an hour is kept, and none that is older than eight
//! days. The rate of growth goes out, or that it is not known yet: a guess from an hour's sizes
//! would be worse than none.

use std::sync::Arc;

use city_model::Time;
use parking_lot::Mutex;

use crate::codec::{Reader, Writer};
use crate::view::{Space, View, ViewBatch};
use crate::{Error, JournalReader};

/// Most sizes that are kept: eight days of one an hour.
pub const SIZES_MAX: usize = 192;
const APART_MICROS: i64 = 3_600 * 1_000_000;
const DAY_MICROS: i64 = 24 * APART_MICROS;
/// From the oldest size to the newest, before anything is said.
const SPAN_MICROS_MIN: i64 = DAY_MICROS;
const KEY: &[u8] = b"sizes";

/// The size at one time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size {
    pub at: Time,
    pub bytes: u64,
}

/// The sizes that are kept, oldest first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sizes(Vec<Size>);

/// How the data folder grows.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Growth {
    /// So many hours were seen; a day is needed.
    NotKnown { hours_seen: i64 },
    /// May be negative: a folder can shrink.
    BytesPerDay(f64),
}

impl Sizes {
    /// Takes a size in; whether it was kept.
    pub fn note(&mut self, size: Size) -> bool {
        // A clock that was put back makes later sizes a riddle: they go.
        self.0.retain(|own| own.at <= size.at && size.at.as_micros() - own.at.as_micros() <= 8 * DAY_MICROS);
        if self.0.last().is_some_and(|last| size.at.as_micros() - last.at.as_micros() < APART_MICROS) {
            return false;
        }
        if self.0.len() == SIZES_MAX {
            self.0.remove(0);
        }
        self.0.push(size);
        true
    }

    /// The slope of the line that fits the sizes best: compactions make single sizes jump.
    #[must_use]
    pub fn growth(&self) -> Growth {
        let (Some(first), Some(last)) = (self.0.first(), self.0.last()) else {
            return Growth::NotKnown { hours_seen: 0 };
        };
        let span = last.at.as_micros() - first.at.as_micros();
        if span < SPAN_MICROS_MIN {
            return Growth::NotKnown { hours_seen: span / APART_MICROS };
        }
        let points = || {
            self.0.iter().map(|size| {
                let days = (size.at.as_micros() - first.at.as_micros()) as f64 / DAY_MICROS as f64;
                (days, size.bytes as f64 - first.bytes as f64)
            })
        };
        let count = self.0.len() as f64;
        let (days, bytes) = points().fold((0.0, 0.0), |(days, bytes), (day, byte)| (days + day, bytes + byte));
        let (mean_days, mean_bytes) = (days / count, bytes / count);
        let (above, below) = points().fold((0.0, 0.0), |(above, below), (day, byte)| {
            (above + (day - mean_days) * (byte - mean_bytes), below + (day - mean_days).powi(2))
        });
        Growth::BytesPerDay(above / below)
    }

    fn encode(&self) -> Vec<u8> {
        let mut out = Writer::default();
        for size in &self.0 {
            out.int(size.at.as_micros());
            out.uint(size.bytes);
        }
        out.bytes
    }

    fn decode(bytes: &[u8]) -> Result<Self, Error> {
        let mut from = Reader::new(bytes);
        let mut sizes = Vec::new();
        while !from.is_empty() && sizes.len() < SIZES_MAX {
            sizes.push(Size { at: Time::from_micros(from.int()?), bytes: from.uint()? });
        }
        Ok(Self(sizes))
    }
}

/// The disk under the data folder, watched.
pub struct DiskWatch {
    view: Arc<View>,
    journal: JournalReader,
    reserve_bytes: u64,
    sizes: Mutex<Sizes>,
}

/// How the disk stands.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct DiskReport {
    pub free_bytes: u64,
    /// Writes stop while less than this is free.
    pub reserve_bytes: u64,
    /// Journal and state together.
    pub data_bytes: u64,
    pub growth: Growth,
}

impl DiskReport {
    /// Days until writes stop, if it goes on as it did; `None` where that is not known or will not be.
    #[must_use]
    pub fn days_left(&self) -> Option<f64> {
        match self.growth {
            Growth::BytesPerDay(rate) if rate > 0.0 => {
                Some(self.free_bytes.saturating_sub(self.reserve_bytes) as f64 / rate)
            }
            _ => None,
        }
    }
}

impl DiskWatch {
    /// Goes on with the sizes that were kept before the restart.
    pub fn open(view: Arc<View>, journal: JournalReader, reserve_bytes: u64) -> Result<Self, Error> {
        let sizes = view.get(Space::Meta, KEY)?.map(|bytes| Sizes::decode(&bytes)).transpose()?.unwrap_or_default();
        Ok(Self { view, journal, reserve_bytes, sizes: Mutex::new(sizes) })
    }

    /// Notes how large the folder is now; cheap, so that it may be called every few seconds.
    pub fn note(&self, now: Time) -> Result<(), Error> {
        let size = Size { at: now, bytes: self.data_bytes()? };
        let mut sizes = self.sizes.lock();
        if !sizes.note(size) || !self.view.has_room() {
            return Ok(());
        }
        let mut batch = ViewBatch::default();
        batch.put(Space::Meta, KEY, &sizes.encode());
        self.view.write(batch)
    }

    pub fn report(&self) -> Result<DiskReport, Error> {
        let growth = self.sizes.lock().growth();
        let (reserve_bytes, free_bytes) = (self.reserve_bytes, self.view.free_bytes()?);
        Ok(DiskReport { free_bytes, reserve_bytes, data_bytes: self.data_bytes()?, growth })
    }

    fn data_bytes(&self) -> Result<u64, Error> {
        Ok(self.journal.bytes() + self.view.disk_bytes()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn size(hours: i64, bytes: u64) -> Size {
        Size { at: Time::from_micros(hours * APART_MICROS), bytes }
    }

    #[test]
    fn growth_is_not_known_before_a_day_was_seen() {
        let mut sizes = Sizes::default();
        assert_eq!(sizes.growth(), Growth::NotKnown { hours_seen: 0 });
        for hour in 0..24 {
            assert!(sizes.note(size(hour, 1_000 * hour as u64)));
        }
        assert_eq!(sizes.growth(), Growth::NotKnown { hours_seen: 23 });
        assert!(sizes.note(size(24, 24_000)));
        let Growth::BytesPerDay(rate) = sizes.growth() else { panic!("a day was seen") };
        assert!((rate - 24_000.0).abs() < 1e-6, "{rate}");
        let report =
            DiskReport { free_bytes: 300_000, reserve_bytes: 60_000, data_bytes: 24_000, growth: sizes.growth() };
        assert!((report.days_left().unwrap() - 10.0).abs() < 1e-6);
        let shrinking = DiskReport { growth: Growth::BytesPerDay(-1.0), ..report };
        assert_eq!(shrinking.days_left(), None);
    }

    #[test]
    fn sizes_are_bounded_in_number_and_age_and_survive_being_written() {
        let mut sizes = Sizes::default();
        for minute in 0..60 * 24 * 20 {
            sizes.note(Size { at: Time::from_micros(minute * 60 * 1_000_000), bytes: 7 });
        }
        assert_eq!(sizes.0.len(), SIZES_MAX);
        assert_eq!(Sizes::decode(&sizes.encode()).unwrap(), sizes);
        assert_eq!(sizes.growth(), Growth::BytesPerDay(0.0));
        assert!(sizes.note(size(24 * 400, 7)), "a gap of a year");
        assert_eq!(sizes.0.len(), 1, "what is older than eight days is gone");
    }

    #[test]
    fn a_clock_that_was_put_back_begins_anew() {
        let mut sizes = Sizes::default();
        for hour in 0..30 {
            sizes.note(size(1_000 + hour, 10));
        }
        assert!(sizes.note(size(5, 10)));
        assert_eq!(sizes.growth(), Growth::NotKnown { hours_seen: 0 });
    }
}
