//! The sky over the town: for an instant, what the air does. A function of seed and time alone, so
//! that the history and the live readings are one and the same story.
//!
//! Rain comes in fronts from the hills to the coast; they cool, darken and stir the air.

use super::random::{unit_at, wander};
use super::things;
use city_model::Time;

/// Every so long one front passes; some bring a drizzle, some a flood.
const FRONT_EVERY_S: f64 = 18.0 * 3_600.0;
/// The hills feel a front so much earlier, and so much more of it.
pub const HILLS_LEAD_S: f64 = 40.0 * 60.0;
pub const HILLS_SHARE: f64 = 1.3;
const PEAK_MM_PER_H_MAX: f64 = 32.0;

#[derive(Debug, Clone, Copy)]
pub struct Sky {
    seed: u64,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Air {
    pub temperature_c: f64,
    /// 0 to 1.
    pub humidity: f64,
    pub pressure_hpa: f64,
    pub rain_mm_per_h: f64,
    pub wind_m_per_s: f64,
    pub wind_from_deg: f64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Station {
    Harbour,
    Hills,
}

pub fn seconds(at: Time) -> f64 {
    at.as_micros() as f64 / 1e6
}

/// Hour of the day in Japan (UTC+9), with its fraction.
pub fn local_hour(at_s: f64) -> f64 {
    (at_s / 3_600.0 + 9.0).rem_euclid(24.0)
}

/// Saturday and Sunday in Japan.
pub fn is_weekend(at_s: f64) -> bool {
    let days = ((at_s + 9.0 * 3_600.0) / 86_400.0).floor();
    // 1970-01-01 was a Thursday.
    matches!((days + 4.0).rem_euclid(7.0) as u8, 0 | 6)
}

/// 1 at `peak`, falling off to both sides around the clock.
pub fn daily_bell(hour: f64, peak: f64, width_h: f64) -> f64 {
    let apart = (hour - peak).rem_euclid(24.0);
    let apart = apart.min(24.0 - apart);
    (-0.5 * (apart / width_h).powi(2)).exp()
}

impl Sky {
    pub fn new(seed: u64) -> Self {
        Self { seed }
    }

    /// Rain at the station, in millimetres per hour.
    pub fn rain_mm_per_h(&self, station: Station, at_s: f64) -> f64 {
        match station {
            Station::Harbour => self.front_mm_per_h(at_s),
            Station::Hills => HILLS_SHARE * self.front_mm_per_h(at_s + HILLS_LEAD_S),
        }
    }

    fn front_mm_per_h(&self, at_s: f64) -> f64 {
        let window = (at_s / FRONT_EVERY_S).floor() as i64;
        // A front may reach into the neighbouring windows.
        let rain: f64 = (window - 1..=window + 1)
            .map(|window| {
                let chance = |what| unit_at(self.seed, things::FRONT + what, window);
                let middle_s = (window as f64 + chance(0)) * FRONT_EVERY_S;
                let half_s = (1.0 + 2.0 * chance(1)) * 3_600.0;
                let peak = 1.0 + (PEAK_MM_PER_H_MAX - 1.0) * chance(2).powi(2);
                let apart = (at_s - middle_s).abs() / half_s;
                if apart >= 1.0 { 0.0 } else { peak * 0.5 * (1.0 + (std::f64::consts::PI * apart).cos()) }
            })
            .sum();
        // Gusts of rain within the front; what is too fine to measure is none.
        let gusty = rain * (1.0 + 0.3 * wander(self.seed, things::GUST, at_s, 600.0));
        if gusty < 0.1 { 0.0 } else { gusty }
    }

    pub fn temperature_c(&self, station: Station, at_s: f64) -> f64 {
        let day_of_year = (at_s / 86_400.0).rem_euclid(365.2425);
        let season = 15.5 + 10.0 * (std::f64::consts::TAU * (day_of_year - 212.0) / 365.2425).cos();
        let rain = self.rain_mm_per_h(station, at_s);
        let day = 4.0 * (std::f64::consts::TAU * (local_hour(at_s) - 14.0) / 24.0).cos();
        let clouded = day / (1.0 + rain / 4.0) - 3.0 * (rain / 10.0).min(1.0);
        let spell = 2.5 * wander(self.seed, things::SPELL, at_s, 2.5 * 86_400.0);
        let height = if station == Station::Hills { -1.8 } else { 0.0 };
        season + clouded + spell + height
    }

    pub fn air(&self, station: Station, at_s: f64) -> Air {
        let rain = self.rain_mm_per_h(station, at_s);
        let temperature_c = self.temperature_c(station, at_s);
        let thing = things::SPELL + 10 * (station as u64 + 1);
        let dry = 0.68 - 0.018 * (temperature_c - 15.0) + 0.08 * wander(self.seed, thing + 1, at_s, 7_200.0);
        let breeze = 2.5 + 2.0 * daily_bell(local_hour(at_s), 15.0, 4.0) + 0.35 * rain;
        // Land breeze by night, sea breeze by day.
        let sea_breeze = if (9.0..19.0).contains(&local_hour(at_s)) { 180.0 } else { 0.0 };
        Air {
            temperature_c,
            humidity: (dry + 0.25 * (rain / 3.0).min(1.0)).clamp(0.2, 1.0),
            pressure_hpa: 1_014.0 + 8.0 * wander(self.seed, things::SPELL + 1, at_s, 86_400.0)
                - 0.4 * rain
                - if station == Station::Hills { 22.0 } else { 0.0 },
            rain_mm_per_h: rain,
            wind_m_per_s: (breeze * (1.0 + 0.4 * wander(self.seed, thing + 2, at_s, 300.0))).max(0.0),
            wind_from_deg: (sea_breeze + 50.0 * wander(self.seed, thing + 3, at_s, 1_800.0)).rem_euclid(360.0),
        }
    }
}
