//! A17 and A18, specific settings: one of four things more about the ellipse or the hazard (CAMF B1 to B4).

use super::coded;
use super::ellipse::{Ellipse, semi_axis_km, write_place};
use crate::row::{Row, rounded};
use crate::table::Coded;
use crate::{Frame, tables};

#[derive(Debug, Clone, PartialEq)]
pub enum Settings {
    /// B1: the main ellipse, eight times finer.
    Refined(Ellipse),
    /// B2: where the hazard itself is.
    HazardCentre { latitude: f64, longitude: f64 },
    /// B3: a second ellipse, measured in the first: moved along its longer axis by so many of its half, so many times
    /// as large, and turned.
    SecondEllipse { shift: u8, factor: f64, bearing_degrees: f64, instruction: Coded },
    /// B4: how strong the hazard is.
    Details(Vec<Detail>),
}

/// CAMF D1 to D36.
#[derive(Debug, Clone, PartialEq)]
pub struct Detail {
    /// 1 for D1.
    pub number: u8,
    pub code: u64,
}

/// Where A18 begins.
const FROM: usize = 131;
/// D4, in halves of the longer axis of the main ellipse.
const EPICENTRE_DISTANCES: [f64; 16] =
    [0.25, 0.5, 0.75, 1.0, 2.0, 3.0, 5.0, 10.0, 20.0, 30.0, 40.0, 50.0, 70.0, 100.0, 150.0, 200.0];

impl Settings {
    /// B1 and B2 say something about the main ellipse alone.
    pub(super) fn read(frame: &Frame, main: Option<&Ellipse>) -> Option<Self> {
        match (frame.bits(129, 2), main) {
            (0, Some(main)) => Some(Self::Refined(refined(frame, main))),
            (1, Some(main)) => Some(Self::HazardCentre {
                latitude: main.latitude + offset(frame.byte(FROM, 7)),
                longitude: main.longitude + offset(frame.byte(FROM + 7, 7)),
            }),
            (2, _) => Some(Self::SecondEllipse {
                shift: frame.byte(131, 2),
                factor: f64::from(frame.byte(133, 3) + 1) / 4.0,
                bearing_degrees: f64::from(frame.byte(136, 5)) * 360.0 / 32.0,
                instruction: coded(frame, &tables::INSTRUCTION_SECOND_ELLIPSE, 141, 5),
            }),
            (3, _) => Some(Self::Details(details(frame))),
            _ => None,
        }
    }

    pub(super) fn write(&self, row: &mut Row) {
        let code: u8 = match self {
            Self::Refined(_) => 0,
            Self::HazardCentre { .. } => 1,
            Self::SecondEllipse { .. } => 2,
            Self::Details(_) => 3,
        };
        row.coded("settings", &tables::SPECIFIC_SETTINGS.find(code));
        match self {
            Self::Refined(ellipse) => ellipse.write(row, "refined"),
            Self::HazardCentre { latitude, longitude } => write_place(row, "hazard", *latitude, *longitude),
            Self::SecondEllipse { shift, factor, bearing_degrees, instruction } => {
                row.put("secondEllipseShift", *shift);
                row.put("secondEllipseFactor", *factor);
                row.put("secondEllipseBearingDegrees", *bearing_degrees);
                row.coded("secondEllipseInstruction", instruction);
            }
            Self::Details(details) => details.iter().for_each(|detail| detail.write(row)),
        }
    }
}

/// C1 to C4: eighths of a step of A12 to A15; the axes become shorter.
fn refined(frame: &Frame, main: &Ellipse) -> Ellipse {
    let eighths = |from: usize| f64::from(frame.byte(from, 3)) / 8.0;
    let axis = |code: u8, eighths: f64| {
        let length = semi_axis_km(code);
        let step = if code == 0 { length } else { length - semi_axis_km(code - 1) };
        length - step * eighths
    };
    Ellipse {
        latitude: main.latitude + 180.0 / 65_535.0 * eighths(131),
        longitude: main.longitude + 360.0 / 131_071.0 * eighths(134),
        semi_major_km: axis(frame.byte(113, 5), eighths(137)),
        semi_minor_km: axis(frame.byte(118, 5), eighths(140)),
        azimuth_degrees: main.azimuth_degrees,
    }
}

/// C5, C6: up to 10 degrees either way. No code is 0 degrees.
fn offset(code: u8) -> f64 {
    let step = if code <= 63 { f64::from(code) } else { f64::from(code) + 1.0 };
    -10.0 + 20.0 / 128.0 * step
}

/// What a row calls D1 to D36, and how many bits each has (CAMF, annex C 18.4.35).
const DETAILS: [(&str, usize); 36] = [
    ("richterMagnitude", 4),
    ("seismicCoefficient", 3),
    ("epicentreAzimuth", 4),
    ("epicentreDistance", 4),
    ("waveHeight", 3),
    ("temperature", 4),
    ("hurricaneCategory", 3),
    ("windSpeed", 4),
    ("rainfall", 3),
    ("damageCategory", 3),
    ("tornadoProbability", 3),
    ("hailScale", 4),
    ("visibility", 4),
    ("snowDepth", 5),
    ("floodSeverity", 2),
    ("lightningIntensity", 3),
    ("fogLevel", 3),
    ("droughtLevel", 2),
    ("avalancheLevel", 3),
    ("ashFall", 3),
    ("geomagneticScale", 3),
    ("terrorismLevel", 3),
    ("fireRisk", 3),
    ("waterQuality", 3),
    ("uvIndex", 4),
    ("casesPer100000", 5),
    ("noise", 4),
    ("airQualityIndex", 3),
    ("outageDuration", 5),
    ("nuclearEventScale", 4),
    ("chemicalHazard", 4),
    ("biohazardLevel", 2),
    ("biohazardType", 2),
    ("explosiveHazard", 2),
    ("infection", 6),
    ("typhoonCategory", 3),
];

/// Which of them a hazard (A4) has, one after the other.
fn numbers(hazard: u64) -> &'static [u8] {
    match hazard {
        4 => &[32, 33],
        5 => &[31],
        6 => &[34],
        9..=11 => &[30],
        15 => &[28],
        16 | 18 | 21 => &[24],
        19 => &[27],
        23 => &[25],
        27 | 30 => &[23],
        32 => &[20],
        33 => &[19],
        36 => &[1, 2, 3, 4],
        37 => &[21],
        43 | 44 => &[5],
        47 => &[8, 5],
        51 | 53 => &[26, 35],
        55..=58 | 60 => &[29],
        63 | 71 => &[6],
        64 => &[8, 9, 16, 11],
        65 => &[18],
        68 => &[15],
        69 => &[17, 13],
        70 => &[12],
        72 => &[16],
        74 => &[9, 13],
        75 => &[13, 8],
        76 => &[14, 13],
        77 => &[8, 9, 10, 16],
        79 => &[8, 9, 11],
        80 => &[7, 8, 9],
        81 => &[8, 6],
        82 => &[36, 8, 9],
        103 => &[22],
        _ => &[],
    }
}

fn details(frame: &Frame) -> Vec<Detail> {
    let mut from = FROM;
    let mut details = Vec::new();
    for number in numbers(frame.bits(40, 7)) {
        let bits = DETAILS.get(usize::from(*number) - 1).map_or(0, |(_, bits)| *bits);
        details.push(Detail { number: *number, code: frame.bits(from, bits) });
        from += bits;
    }
    details
}

impl Detail {
    /// What a row calls it.
    #[must_use]
    pub fn name(&self) -> &'static str {
        DETAILS.get(usize::from(self.number).wrapping_sub(1)).map_or("", |(name, _)| *name)
    }

    fn write(&self, row: &mut Row) {
        let code = f64::from(u32::try_from(self.code).unwrap_or(0));
        match self.number {
            3 => row.put("epicentreAzimuthDegrees", rounded(code * 22.5, 1)),
            4 => {
                let distance = usize::try_from(self.code).ok().and_then(|code| EPICENTRE_DISTANCES.get(code));
                row.put_some("epicentreDistance", distance.copied());
            }
            number => {
                let coded = tables::HAZARD_DETAIL.find_shown(u64::from(number) * 100 + self.code, self.code);
                row.coded(self.name(), &coded);
            }
        }
    }
}
