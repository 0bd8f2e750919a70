//! Where an alert of Japan is for, and where people are to go: municipalities, prefectures, a second ellipse.

use super::coded;
use super::ellipse::Ellipse;
use crate::row::Row;
use crate::table::Coded;
use crate::{Frame, tables};

const PREFECTURES: u8 = 47;
const MUNICIPALITIES: usize = 4;

#[derive(Debug, Clone, PartialEq)]
pub enum Areas {
    /// Codes of JIS X 0402 without check digit.
    Municipalities(Vec<Coded>),
    /// Codes of JIS X 0401.
    Prefectures(Vec<Coded>),
}

impl Areas {
    /// EX1: one, or none.
    pub(super) fn read_one(frame: &Frame) -> Self {
        Self::Municipalities(municipalities(frame, 146, 1))
    }

    /// EX8 and EX9: a bit for each prefecture, the last for Hokkaido, or up to four municipalities.
    pub(super) fn read_list(frame: &Frame) -> Self {
        if frame.bit(146) {
            return Self::Municipalities(municipalities(frame, 147, MUNICIPALITIES));
        }
        let named = (1..=PREFECTURES).filter(|code| frame.bit(147 + usize::from(PREFECTURES - code)));
        Self::Prefectures(named.map(|code| tables::PREFECTURE.find(code)).collect())
    }

    #[must_use]
    pub fn list(&self) -> &[Coded] {
        match self {
            Self::Municipalities(list) | Self::Prefectures(list) => list,
        }
    }

    pub(super) fn write(&self, row: &mut Row) {
        let of = match self {
            Self::Municipalities(_) => "municipality",
            Self::Prefectures(_) => "prefecture",
        };
        row.put("areaType", of);
        row.coded_list("areas", self.list());
    }
}

fn municipalities(frame: &Frame, from: usize, count: usize) -> Vec<Coded> {
    let places = (0..count).map(|at| from + at * 16).filter(|from| frame.bits(*from, 16) != 0);
    places.map(|from| coded(frame, &tables::TARGET_AREA, from, 16)).collect()
}

/// EX2 to EX7: another ellipse, to be left or to be gone to.
#[derive(Debug, Clone, PartialEq)]
pub struct Evacuation {
    pub direction: Coded,
    pub ellipse: Ellipse,
}

impl Evacuation {
    pub(super) fn read(frame: &Frame) -> Self {
        Self { direction: coded(frame, &tables::EVACUATE_DIRECTION, 162, 1), ellipse: Ellipse::read_additional(frame) }
    }

    pub(super) fn write(&self, row: &mut Row) {
        row.coded("evacuation", &self.direction);
        self.ellipse.write(row, "evacuation");
    }
}
