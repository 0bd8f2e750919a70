//! Message type 43: what the Japan Meteorological Agency reports (IS-QZSS-DCR-017, 4.1.2, 防災気象情報).

mod earthquake;
mod tsunami;
mod volcano;
mod weather;

use city_model::Time;

pub use earthquake::{EarlyWarning, Hypocentre, NankaiTrough, Observation, SeismicIntensity};
pub use tsunami::{Arrival, Forecast, PacificTsunami, Tsunami};
pub use volcano::{Activity, AshFall, AshFallForecast, Volcano};
pub use weather::{Flood, Marine, Typhoon, Warning, Weather};

use crate::row::{Row, rounded};
use crate::table::{Coded, Table};
use crate::{DayTime, Error, Frame, MonthTime, tables};

/// The version of the format that is read (Vn).
const VERSION: u8 = 1;
/// Report classification of training and tests (訓練/試験).
const TRAINING: u64 = 7;

#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    /// Rc, 優先度: 最優先, 優先, 通常, 訓練/試験.
    pub classification: Coded,
    /// Dc.
    pub category: Coded,
    /// At.
    pub time: MonthTime,
    /// It: 発表, 訂正, 取消.
    pub information_type: Coded,
    /// Vn.
    pub version: u8,
    pub disaster: Disaster,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Disaster {
    EarlyWarning(EarlyWarning),
    Hypocentre(Hypocentre),
    SeismicIntensity(SeismicIntensity),
    NankaiTrough(NankaiTrough),
    Tsunami(Tsunami),
    PacificTsunami(PacificTsunami),
    Volcano(Volcano),
    AshFall(AshFall),
    Weather(Weather),
    Flood(Flood),
    Typhoon(Typhoon),
    Marine(Marine),
}

impl Report {
    pub(crate) fn read(frame: &Frame) -> Result<Self, Error> {
        let version = frame.byte(214, 6);
        if version != VERSION {
            return Err(Error::Version(version));
        }
        let time = MonthTime {
            month: frame.byte(21, 4),
            day: frame.byte(25, 5),
            hour: frame.byte(30, 5),
            minute: frame.byte(35, 6),
        };
        let disaster = match frame.byte(17, 4) {
            1 => Disaster::EarlyWarning(EarlyWarning::read(frame)),
            2 => Disaster::Hypocentre(Hypocentre::read(frame)),
            3 => Disaster::SeismicIntensity(SeismicIntensity::read(frame)),
            4 => Disaster::NankaiTrough(NankaiTrough::read(frame)),
            5 => Disaster::Tsunami(Tsunami::read(frame)),
            6 => Disaster::PacificTsunami(PacificTsunami::read(frame)),
            8 => Disaster::Volcano(Volcano::read(frame)),
            9 => Disaster::AshFall(AshFall::read(frame)),
            10 => Disaster::Weather(Weather::read(frame)),
            11 => Disaster::Flood(Flood::read(frame)),
            12 => Disaster::Typhoon(Typhoon::read(frame)),
            14 => Disaster::Marine(Marine::read(frame)),
            other => return Err(Error::Category(other)),
        };
        if !time.is_time() {
            let MonthTime { month, day, hour, minute } = time;
            return Err(Error::ReportTime { month, day, hour, minute });
        }
        Ok(Self {
            classification: coded(frame, &tables::REPORT_CLASSIFICATION, 14, 3),
            category: coded(frame, &tables::DISASTER_CATEGORY, 17, 4),
            time,
            information_type: coded(frame, &tables::INFORMATION_TYPE, 41, 2),
            version,
            disaster,
        })
    }

    /// Whether it is of training or a test (訓練/試験), and nothing has happened.
    #[must_use]
    pub fn is_training(&self) -> bool {
        self.classification.code == TRAINING
    }

    pub(crate) fn write(&self, row: &mut Row, received_at: Time) {
        let report_time = self.time.nearest(received_at).unwrap_or(received_at);
        row.put("version", self.version);
        row.put("isTraining", self.is_training());
        row.coded("reportClassification", &self.classification);
        row.coded("disasterCategory", &self.category);
        row.time("reportTime", Some(report_time));
        row.coded("informationType", &self.information_type);
        match &self.disaster {
            Disaster::EarlyWarning(warning) => warning.write(row, report_time),
            Disaster::Hypocentre(hypocentre) => hypocentre.write(row, report_time),
            Disaster::SeismicIntensity(intensity) => intensity.write(row, report_time),
            Disaster::NankaiTrough(nankai) => nankai.write(row),
            Disaster::Tsunami(tsunami) => tsunami.write(row, report_time),
            Disaster::PacificTsunami(tsunami) => tsunami.write(row, report_time),
            Disaster::Volcano(volcano) => volcano.write(row, report_time),
            Disaster::AshFall(ash) => ash.write(row, report_time),
            Disaster::Weather(weather) => weather.write(row),
            Disaster::Flood(flood) => flood.write(row),
            Disaster::Typhoon(typhoon) => typhoon.write(row, report_time),
            Disaster::Marine(marine) => marine.write(row),
        }
    }
}

impl Disaster {
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::EarlyWarning(_) => "earthquakeEarlyWarning",
            Self::Hypocentre(_) => "hypocentre",
            Self::SeismicIntensity(_) => "seismicIntensity",
            Self::NankaiTrough(_) => "nankaiTroughEarthquake",
            Self::Tsunami(_) => "tsunami",
            Self::PacificTsunami(_) => "northwestPacificTsunami",
            Self::Volcano(_) => "volcano",
            Self::AshFall(_) => "ashFall",
            Self::Weather(_) => "weather",
            Self::Flood(_) => "flood",
            Self::Typhoon(_) => "typhoon",
            Self::Marine(_) => "marine",
        }
    }
}

/// Degrees, minutes and seconds as they were sent: 0 is north and east.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    pub is_south: bool,
    pub latitude: [u8; 3],
    pub is_west: bool,
    pub longitude: [u8; 3],
}

impl Position {
    fn read(frame: &Frame, from: usize) -> Self {
        Self {
            is_south: frame.bit(from),
            latitude: [frame.byte(from + 1, 7), frame.byte(from + 8, 6), frame.byte(from + 14, 6)],
            is_west: frame.bit(from + 20),
            longitude: [frame.byte(from + 21, 8), frame.byte(from + 29, 6), frame.byte(from + 35, 6)],
        }
    }

    /// Latitude and longitude in degrees; `None` when a part is beyond its range, for then none can be trusted.
    #[must_use]
    pub fn degrees(&self) -> Option<(f64, f64)> {
        let one = |[degrees, minutes, seconds]: [u8; 3], degrees_below: u8, is_negative: bool| {
            let is_angle = degrees < degrees_below && minutes < 60 && seconds < 60;
            let angle = f64::from(degrees) + f64::from(minutes) / 60.0 + f64::from(seconds) / 3_600.0;
            is_angle.then(|| rounded(if is_negative { -angle } else { angle }, 6))
        };
        Some((one(self.latitude, 90, self.is_south)?, one(self.longitude, 180, self.is_west)?))
    }

    fn write(&self, row: &mut Row) {
        let degrees = self.degrees();
        row.put_some("latitude", degrees.map(|(latitude, _)| latitude));
        row.put_some("longitude", degrees.map(|(_, longitude)| longitude));
    }
}

fn coded(frame: &Frame, table: &'static Table, from: usize, count: usize) -> Coded {
    table.find(frame.bits(from, count))
}

fn day_time(frame: &Frame, from: usize) -> DayTime {
    DayTime { day: frame.byte(from, 5), hour: frame.byte(from + 5, 5), minute: frame.byte(from + 10, 6) }
}

/// Co, up to three things to take notice of; the first that is 0 ends them.
fn notifications(frame: &Frame) -> Vec<Coded> {
    groups(frame, 53, 9, 3).map(|from| coded(frame, &tables::NOTIFICATION, from, 9)).collect()
}

/// Where the groups of bits begin of which a message has a few; the first of zeros ends them.
fn groups(frame: &Frame, from: usize, bits: usize, count_max: usize) -> impl Iterator<Item = usize> {
    (0..count_max).map(move |at| from + at * bits).take_while(move |from| frame.bits(*from, bits) != 0)
}
