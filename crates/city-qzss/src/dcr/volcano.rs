//! Volcanoes (火山) and the ash that falls from them (降灰).

use city_model::Time;

use super::{coded, day_time, groups};
use crate::row::Row;
use crate::table::Coded;
use crate::{DayTime, Frame, tables};

#[derive(Debug, Clone, PartialEq)]
pub struct Volcano {
    pub activity: Activity,
    pub warning: Coded,
    pub volcano: Coded,
    pub local_governments: Vec<Coded>,
}

/// When something was seen, and how exactly that is known (Du).
#[derive(Debug, Clone, PartialEq)]
pub struct Activity {
    pub ambiguity: Coded,
    pub time: DayTime,
}

impl Activity {
    /// The latest such time up to the day of the report. Parts that the ambiguity makes invalid are 0; when not even
    /// the day is known, there is none.
    #[must_use]
    pub fn time(&self, report_time: Time) -> Option<Time> {
        let valid = match self.ambiguity.code {
            0..=3 => self.time,
            4 => DayTime { minute: 0, ..self.time },
            5 => DayTime { hour: 0, minute: 0, ..self.time },
            _ => return None,
        };
        valid.last_before(report_time)
    }
}

impl Volcano {
    pub(super) fn read(frame: &Frame) -> Self {
        let governments = groups(frame, 88, 23, 5).map(|from| coded(frame, &tables::LOCAL_GOVERNMENT, from, 23));
        Self {
            activity: Activity {
                ambiguity: coded(frame, &tables::ACTIVITY_TIME_AMBIGUITY, 50, 3),
                time: day_time(frame, 53),
            },
            warning: coded(frame, &tables::VOLCANIC_WARNING, 69, 7),
            volcano: coded(frame, &tables::VOLCANO, 76, 12),
            local_governments: governments.collect(),
        }
    }

    pub(super) fn write(&self, row: &mut Row, report_time: Time) {
        row.coded("volcano", &self.volcano);
        row.coded("warning", &self.warning);
        row.time("activityTime", self.activity.time(report_time));
        row.coded("activityTimeAmbiguity", &self.activity.ambiguity);
        row.coded_list("areas", &self.local_governments);
    }
}

/// IS-QZSS-DCR-017, table 4.1.2-35.
#[derive(Debug, Clone, PartialEq)]
pub struct AshFall {
    pub activity: DayTime,
    /// Dw1: 速報, 詳細.
    pub forecast_type: Coded,
    pub volcano: Coded,
    pub forecasts: Vec<AshFallForecast>,
}

/// Ash over a municipality, so many hours after the activity.
#[derive(Debug, Clone, PartialEq)]
pub struct AshFallForecast {
    pub hours: Coded,
    pub warning: Coded,
    pub local_government: Coded,
}

impl AshFall {
    pub(super) fn read(frame: &Frame) -> Self {
        let forecasts = groups(frame, 83, 29, 4).map(|from| AshFallForecast {
            hours: tables::ash_fall_hours(frame.bits(from, 3)),
            warning: coded(frame, &tables::ASH_FALL_WARNING, from + 3, 3),
            local_government: coded(frame, &tables::LOCAL_GOVERNMENT, from + 6, 23),
        });
        Self {
            activity: day_time(frame, 53),
            forecast_type: coded(frame, &tables::ASH_FALL_TYPE, 69, 2),
            volcano: coded(frame, &tables::VOLCANO, 71, 12),
            forecasts: forecasts.collect(),
        }
    }

    pub(super) fn write(&self, row: &mut Row, report_time: Time) {
        row.coded("volcano", &self.volcano);
        row.coded("forecastType", &self.forecast_type);
        row.time("activityTime", self.activity.nearest(report_time));
        row.list("areas", &self.forecasts, |forecast, row| {
            row.coded("", &forecast.local_government);
            row.coded("hours", &forecast.hours);
            row.coded("warning", &forecast.warning);
        });
    }
}
