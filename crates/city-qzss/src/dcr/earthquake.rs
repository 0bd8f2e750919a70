//! Earthquakes: early warning (緊急地震速報), hypocentre (震源), seismic intensity (震度), Nankai Trough (南海トラフ地震).

use city_model::Time;

use super::{Position, coded, day_time, groups, notifications};
use crate::row::{Row, rounded};
use crate::table::Coded;
use crate::{DayTime, Frame, tables};

/// Depth and magnitude of a hypocentre that was assumed, not determined (仮定震源要素).
const ASSUMED_CODE: u64 = 10;

/// IS-QZSS-DCR-017, table 4.1.2-5.
#[derive(Debug, Clone, PartialEq)]
pub struct EarlyWarning {
    /// Lgll, Lgul: class of long-period ground motion, at least and at most.
    pub ground_motion_lower: Coded,
    pub ground_motion_upper: Coded,
    pub notifications: Vec<Coded>,
    pub occurred: DayTime,
    pub depth: Coded,
    pub magnitude: Coded,
    pub epicentre: Coded,
    /// Ll, Ul: seismic intensity, at least and at most.
    pub intensity_lower: Coded,
    pub intensity_upper: Coded,
    pub regions: Vec<Coded>,
}

impl EarlyWarning {
    pub(super) fn read(frame: &Frame) -> Self {
        let regions = (0u8..80).filter(|at| frame.bit(130 + usize::from(*at)));
        Self {
            ground_motion_lower: coded(frame, &tables::GROUND_MOTION_LOWER, 47, 3),
            ground_motion_upper: coded(frame, &tables::GROUND_MOTION_UPPER, 50, 3),
            notifications: notifications(frame),
            occurred: day_time(frame, 80),
            depth: tables::depth(frame.bits(96, 9)),
            magnitude: tables::magnitude(frame.bits(105, 7), true),
            epicentre: coded(frame, &tables::EPICENTRE, 112, 10),
            intensity_lower: coded(frame, &tables::INTENSITY_LOWER, 122, 4),
            intensity_upper: coded(frame, &tables::INTENSITY_UPPER, 126, 4),
            regions: regions.map(|at| tables::EEW_REGION.find(at + 1)).collect(),
        }
    }

    /// Whether depth and magnitude were assumed because one station alone has seen the shock.
    #[must_use]
    pub fn is_assumed(&self) -> bool {
        self.depth.code == ASSUMED_CODE && self.magnitude.code == ASSUMED_CODE
    }

    pub(super) fn write(&self, row: &mut Row, report_time: Time) {
        row.coded_list("notifications", &self.notifications);
        row.time("occurrenceTime", self.occurred.nearest(report_time));
        row.coded("epicentre", &self.epicentre);
        write_size(row, &self.depth, &self.magnitude);
        row.put("isAssumedHypocentre", self.is_assumed());
        row.coded("intensityLower", &self.intensity_lower);
        row.coded("intensityUpper", &self.intensity_upper);
        row.coded("groundMotionLower", &self.ground_motion_lower);
        row.coded("groundMotionUpper", &self.ground_motion_upper);
        row.coded_list("areas", &self.regions);
    }
}

/// IS-QZSS-DCR-017, table 4.1.2-12.
#[derive(Debug, Clone, PartialEq)]
pub struct Hypocentre {
    pub notifications: Vec<Coded>,
    pub occurred: DayTime,
    pub depth: Coded,
    pub magnitude: Coded,
    pub epicentre: Coded,
    pub position: Position,
}

impl Hypocentre {
    pub(super) fn read(frame: &Frame) -> Self {
        Self {
            notifications: notifications(frame),
            occurred: day_time(frame, 80),
            depth: tables::depth(frame.bits(96, 9)),
            magnitude: tables::magnitude(frame.bits(105, 7), false),
            epicentre: coded(frame, &tables::EPICENTRE, 112, 10),
            position: Position::read(frame, 122),
        }
    }

    pub(super) fn write(&self, row: &mut Row, report_time: Time) {
        row.coded_list("notifications", &self.notifications);
        row.time("occurrenceTime", self.occurred.nearest(report_time));
        row.coded("epicentre", &self.epicentre);
        write_size(row, &self.depth, &self.magnitude);
        self.position.write(row);
    }
}

/// `depthKm` and `magnitude` are there where the code is a number; its name says what else it is.
fn write_size(row: &mut Row, depth: &Coded, magnitude: &Coded) {
    row.put_some("depthKm", (depth.code <= 500).then_some(depth.code));
    row.coded("depth", depth);
    let tenths = u32::try_from(magnitude.code).ok().filter(|tenths| (1..=100).contains(tenths));
    row.put_some("magnitude", tenths.map(|tenths| rounded(f64::from(tenths) / 10.0, 1)));
    row.coded("magnitude", magnitude);
}

#[derive(Debug, Clone, PartialEq)]
pub struct SeismicIntensity {
    pub occurred: DayTime,
    pub observations: Vec<Observation>,
}

/// The greatest intensity that a prefecture observed.
#[derive(Debug, Clone, PartialEq)]
pub struct Observation {
    pub intensity: Coded,
    pub prefecture: Coded,
}

impl SeismicIntensity {
    pub(super) fn read(frame: &Frame) -> Self {
        let observations = groups(frame, 69, 9, 16).map(|from| Observation {
            intensity: coded(frame, &tables::INTENSITY, from, 3),
            prefecture: coded(frame, &tables::PREFECTURE, from + 3, 6),
        });
        Self { occurred: day_time(frame, 53), observations: observations.collect() }
    }

    pub(super) fn write(&self, row: &mut Row, report_time: Time) {
        row.time("occurrenceTime", self.occurred.nearest(report_time));
        row.list("areas", &self.observations, |observation, row| {
            row.coded("", &observation.prefecture);
            row.coded("intensity", &observation.intensity);
        });
    }
}

/// One page of a text.
#[derive(Debug, Clone, PartialEq)]
pub struct NankaiTrough {
    /// Ie: what the information is about.
    pub serial: Coded,
    /// UTF-8; a page may begin or end in the middle of a character.
    pub text: [u8; NankaiTrough::PAGE_BYTES],
    /// Counted from 1.
    pub page: u8,
    pub pages: u8,
}

impl NankaiTrough {
    pub const PAGE_BYTES: usize = 18;

    pub(super) fn read(frame: &Frame) -> Self {
        let mut text = [0; Self::PAGE_BYTES];
        for (byte, from) in text.iter_mut().zip((57..).step_by(8)) {
            *byte = frame.byte(from, 8);
        }
        Self {
            serial: coded(frame, &tables::INFORMATION_SERIAL, 53, 4),
            text,
            page: frame.byte(201, 6),
            pages: frame.byte(207, 6),
        }
    }

    /// The whole text, once every page of it is among those given, in any order; `None` before. The caller keeps
    /// together what belongs together: one report time, classification, information type and serial.
    #[must_use]
    pub fn whole_text<'a>(pages: impl IntoIterator<Item = &'a Self>) -> Option<String> {
        let mut sorted: Vec<&Self> = pages.into_iter().collect();
        sorted.sort_by_key(|page| page.page);
        sorted.dedup_by_key(|page| page.page);
        let count = sorted.first()?.pages;
        sorted.retain(|page| page.pages == count && (1..=count).contains(&page.page));
        if sorted.len() != usize::from(count) || count == 0 {
            return None;
        }
        // A byte of 0 is no character.
        let bytes: Vec<u8> = sorted.iter().flat_map(|page| page.text).filter(|byte| *byte != 0).collect();
        Some(String::from_utf8_lossy(&bytes).into_owned())
    }

    pub(super) fn write(&self, row: &mut Row) {
        row.coded("informationSerial", &self.serial);
        row.put("page", self.page);
        row.put("pages", self.pages);
        row.put("textHex", self.text.iter().map(|byte| format!("{byte:02x}")).collect::<String>());
        row.put_some("text", Self::whole_text([self]));
    }
}
