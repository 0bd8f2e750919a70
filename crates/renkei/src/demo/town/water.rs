//! How the river answers the rain in the hills: late, higher, and long after the sky has cleared.
//!
//! Nash's cascade of two linear reservoirs (1957): the level is what fell, weighted by how long ago.

use super::weather::{Sky, Station};

/// The wave needs so long from the hills to the upper gauge.
pub const DELAY_S: f64 = 60.0 * 60.0;
/// Storage of each of the two reservoirs: the peak comes so long after the delay.
pub const STORAGE_S: f64 = 50.0 * 60.0;
/// From the upper gauge to the mouth.
const TO_MOUTH_S: f64 = 15.0 * 60.0;
/// What fell longer ago has run off.
const MEMORY_S: f64 = 9.0 * 3_600.0;
const STEP_S: f64 = 300.0;
const DRY_LEVEL_M: f64 = 0.8;
/// Rise per millimetre that fell in the hills, spread over the wave.
const RISE_M_PER_MM: f64 = 0.1;
/// Half of the tidal range, and the principal lunar tide's period.
const TIDE_M: f64 = 0.35;
const TIDE_PERIOD_S: f64 = 12.420_6 * 3_600.0;

/// Levels at which the town acts (the four of Japan's rivers: 水防団待機, 氾濫注意, 避難判断, 氾濫危険).
pub const LEVELS_M: [(&str, f64); 4] =
    [("standbyLevel", 1.6), ("cautionLevel", 2.2), ("evacuationLevel", 3.0), ("dangerLevel", 3.6)];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gauge {
    Upper,
    Mouth,
}

/// Above the zero of the gauge.
pub fn level_m(sky: &Sky, gauge: Gauge, at_s: f64) -> f64 {
    match gauge {
        Gauge::Upper => DRY_LEVEL_M + wave_m(sky, at_s),
        Gauge::Mouth => {
            let tide = TIDE_M * (std::f64::consts::TAU * at_s / TIDE_PERIOD_S).sin();
            DRY_LEVEL_M + tide + 0.7 * wave_m(sky, at_s - TO_MOUTH_S)
        }
    }
}

fn wave_m(sky: &Sky, at_s: f64) -> f64 {
    let mut weighted_mm = 0.0;
    // On whole steps, so that neighbouring instants see the same rain and the level does not jitter.
    let last = at_s - DELAY_S;
    let mut fell_s = ((last - MEMORY_S) / STEP_S).floor() * STEP_S;
    while fell_s < last {
        let ago = (last - fell_s) / STORAGE_S;
        let weight = ago * (-ago).exp();
        weighted_mm += sky.rain_mm_per_h(Station::Hills, fell_s) * STEP_S / 3_600.0 * weight;
        fell_s += STEP_S;
    }
    weighted_mm * RISE_M_PER_MM
}

/// Cubic metres per second: a rating curve of the usual shape.
pub fn discharge_m3_per_s(level_m: f64) -> f64 {
    14.0 * (level_m - 0.2).max(0.0).powf(1.6)
}
