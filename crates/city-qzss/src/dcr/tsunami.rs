//! Tsunami at the coasts of Japan (津波), and of the north-west Pacific (北西太平洋津波).

use city_model::Time;

use super::{coded, groups, notifications};
use crate::row::Row;
use crate::table::Coded;
use crate::{Frame, tables, time};

#[derive(Debug, Clone, PartialEq)]
pub struct Tsunami {
    pub notifications: Vec<Coded>,
    pub warning: Coded,
    pub forecasts: Vec<Forecast>,
}

/// Its lists are in English only.
#[derive(Debug, Clone, PartialEq)]
pub struct PacificTsunami {
    pub potential: Coded,
    pub forecasts: Vec<Forecast>,
}

/// When a tsunami comes to a coast, and how high.
#[derive(Debug, Clone, PartialEq)]
pub struct Forecast {
    pub arrival: Arrival,
    pub height: Coded,
    pub region: Coded,
}

/// Ta.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arrival {
    /// An hour of the day of the report, or of the day after it.
    At { is_next_day: bool, hour: u8, minute: u8 },
    /// It is there (津波到達中と推測).
    Arrived,
    /// 該当情報なし.
    NoData,
    /// It is there, or nobody knows when it comes; of the north-west Pacific.
    ArrivedOrUnknown,
    /// A code of no meaning.
    Undefined(u64),
}

const ARRIVED: (u8, u8) = (31, 63);
const NO_DATA: (u8, u8) = (30, 62);

impl Arrival {
    fn read(frame: &Frame, from: usize, is_of_japan: bool) -> Self {
        let (is_next_day, hour, minute) = (frame.bit(from), frame.byte(from + 1, 5), frame.byte(from + 6, 6));
        match (hour, minute) {
            ARRIVED if is_of_japan => Self::Arrived,
            ARRIVED => Self::ArrivedOrUnknown,
            NO_DATA if is_of_japan && !is_next_day => Self::NoData,
            (0..=23, 0..=59) => Self::At { is_next_day, hour, minute },
            _ => Self::Undefined(frame.bits(from, 12)),
        }
    }

    /// When that is, if it is a time.
    #[must_use]
    pub fn time(self, report_time: Time) -> Option<Time> {
        match self {
            Self::At { is_next_day, hour, minute } => time::of_day(report_time, is_next_day.into(), hour, minute),
            _ => None,
        }
    }

    fn write(self, row: &mut Row, report_time: Time, is_of_japan: bool) {
        row.time("arrivalTime", self.time(report_time));
        let (ja, en) = match self {
            Self::At { .. } if is_of_japan => ("津波の到達予想時刻", "Estimated initial tsunami arrival time"),
            Self::At { .. } => ("", "Expected Tsunami Arrival Time"),
            Self::Arrived => ("津波到達中と推測", "Tsunami arrival expected"),
            Self::NoData => ("該当情報なし", "No data"),
            Self::ArrivedOrUnknown => ("", "Arrived or Unknown"),
            Self::Undefined(code) => {
                let coded = Coded::unknown(code, "津波到達予想時刻", "Expected Tsunami Arrival Time");
                row.coded("arrival", &if is_of_japan { coded } else { Coded { ja: None, ..coded } });
                return;
            }
        };
        row.put_some("arrivalJa", (!ja.is_empty()).then_some(ja));
        row.put("arrivalEn", en);
    }
}

impl Tsunami {
    pub(super) fn read(frame: &Frame) -> Self {
        let forecasts = groups(frame, 84, 26, 5).map(|from| Forecast {
            arrival: Arrival::read(frame, from, true),
            height: coded(frame, &tables::TSUNAMI_HEIGHT, from + 12, 4),
            region: coded(frame, &tables::TSUNAMI_REGION, from + 16, 10),
        });
        Self {
            notifications: notifications(frame),
            warning: coded(frame, &tables::TSUNAMI_WARNING, 80, 4),
            forecasts: forecasts.collect(),
        }
    }

    pub(super) fn write(&self, row: &mut Row, report_time: Time) {
        row.coded_list("notifications", &self.notifications);
        row.coded("warning", &self.warning);
        write_forecasts(row, &self.forecasts, report_time, true);
    }
}

impl PacificTsunami {
    pub(super) fn read(frame: &Frame) -> Self {
        let forecasts = groups(frame, 56, 28, 5).map(|from| Forecast {
            arrival: Arrival::read(frame, from, false),
            height: coded(frame, &tables::PACIFIC_TSUNAMI_HEIGHT, from + 12, 9),
            region: coded(frame, &tables::PACIFIC_COAST, from + 21, 7),
        });
        Self { potential: coded(frame, &tables::TSUNAMIGENIC_POTENTIAL, 53, 3), forecasts: forecasts.collect() }
    }

    pub(super) fn write(&self, row: &mut Row, report_time: Time) {
        row.coded("tsunamigenicPotential", &self.potential);
        write_forecasts(row, &self.forecasts, report_time, false);
    }
}

fn write_forecasts(row: &mut Row, forecasts: &[Forecast], report_time: Time, is_of_japan: bool) {
    row.list("areas", forecasts, |forecast, row| {
        row.coded("", &forecast.region);
        row.coded("height", &forecast.height);
        forecast.arrival.write(row, report_time, is_of_japan);
    });
}
