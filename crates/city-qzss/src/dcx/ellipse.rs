//! Ellipses on the ground: centre, half axes and the angle of the longer one to north.

use crate::Frame;
use crate::row::{Row, rounded};

/// Degrees of WGS 84 and kilometres. An azimuth is clockwise from north.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Ellipse {
    pub latitude: f64,
    pub longitude: f64,
    pub semi_major_km: f64,
    pub semi_minor_km: f64,
    pub azimuth_degrees: f64,
}

/// 32 lengths from 216.2 m to 2,500 km, each by the same factor longer than the one before.
pub(super) fn semi_axis_km(code: u8) -> f64 {
    const SHORTEST_KM: f64 = 0.2162;
    const LONGEST_KM: f64 = 2_500.0;
    SHORTEST_KM * (LONGEST_KM / SHORTEST_KM).powf(f64::from(code) / 31.0)
}

/// One of 2^bits - 1 equal steps from the least to the greatest, both ends included.
fn step(code: u32, bits: i32, least: f64, greatest: f64) -> f64 {
    least + (greatest - least) * f64::from(code) / (2f64.powi(bits) - 1.0)
}

impl Ellipse {
    /// A12 to A16.
    pub(super) fn read_main(frame: &Frame) -> Self {
        Self {
            latitude: step(frame.small(80, 16), 16, -90.0, 90.0),
            longitude: step(frame.small(96, 17), 17, -180.0, 180.0),
            semi_major_km: semi_axis_km(frame.byte(113, 5)),
            semi_minor_km: semi_axis_km(frame.byte(118, 5)),
            azimuth_degrees: -90.0 + f64::from(frame.byte(123, 6)) * 180.0 / 64.0,
        }
    }

    /// EX3 to EX7: finer, and no farther west than 45° E.
    pub(super) fn read_additional(frame: &Frame) -> Self {
        Self {
            latitude: step(frame.small(163, 17), 17, -90.0, 90.0),
            longitude: step(frame.small(180, 17), 17, 45.0, 225.0),
            semi_major_km: semi_axis_km(frame.byte(197, 5)),
            semi_minor_km: semi_axis_km(frame.byte(202, 5)),
            azimuth_degrees: -90.0 + f64::from(frame.byte(207, 7)) * 180.0 / 128.0,
        }
    }

    /// `latitude` …, or with a word before them: `evacuationLatitude` ….
    pub(super) fn write(&self, row: &mut Row, before: &str) {
        write_place(row, before, self.latitude, self.longitude);
        row.put(&key(before, "semiMajorKm"), rounded(self.semi_major_km, 3));
        row.put(&key(before, "semiMinorKm"), rounded(self.semi_minor_km, 3));
        row.put(&key(before, "azimuthDegrees"), rounded(self.azimuth_degrees, 5));
    }
}

/// Past the date line, longitudes go on from the other side.
pub(super) fn write_place(row: &mut Row, before: &str, latitude: f64, longitude: f64) {
    let longitude = match longitude {
        east if east > 180.0 => east - 360.0,
        west if west < -180.0 => west + 360.0,
        _ => longitude,
    };
    row.put(&key(before, "latitude"), rounded(latitude, 6));
    row.put(&key(before, "longitude"), rounded(longitude, 6));
}

fn key(before: &str, name: &str) -> String {
    let mut letters = name.chars();
    match letters.next() {
        Some(first) if !before.is_empty() => format!("{before}{}{}", first.to_uppercase(), letters.as_str()),
        _ => name.to_owned(),
    }
}
