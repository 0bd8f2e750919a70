//! Weather (気象), floods (洪水), typhoons (台風) and warnings at sea (海上).

use city_model::Time;

use super::{Position, coded, day_time, groups};
use crate::row::Row;
use crate::table::Coded;
use crate::{DayTime, Frame, tables};

/// A warning for one area.
#[derive(Debug, Clone, PartialEq)]
pub struct Warning {
    pub warning: Coded,
    pub area: Coded,
}

fn write_warnings(row: &mut Row, warnings: &[Warning]) {
    row.list("areas", warnings, |warning, row| {
        row.coded("", &warning.area);
        row.coded("warning", &warning.warning);
    });
}

#[derive(Debug, Clone, PartialEq)]
pub struct Weather {
    /// Ar: 発表, 解除.
    pub state: Coded,
    pub warnings: Vec<Warning>,
}

impl Weather {
    pub(super) fn read(frame: &Frame) -> Self {
        let warnings = groups(frame, 56, 24, 6).map(|from| Warning {
            warning: coded(frame, &tables::WEATHER_WARNING, from, 5),
            area: coded(frame, &tables::WEATHER_REGION, from + 5, 19),
        });
        Self { state: coded(frame, &tables::WEATHER_STATE, 53, 3), warnings: warnings.collect() }
    }

    pub(super) fn write(&self, row: &mut Row) {
        row.coded("warningState", &self.state);
        write_warnings(row, &self.warnings);
    }
}

/// The areas are rivers, or stretches of them.
#[derive(Debug, Clone, PartialEq)]
pub struct Flood {
    pub warnings: Vec<Warning>,
}

impl Flood {
    pub(super) fn read(frame: &Frame) -> Self {
        let warnings = groups(frame, 53, 44, 3).map(|from| Warning {
            warning: coded(frame, &tables::FLOOD_LEVEL, from, 4),
            area: coded(frame, &tables::FLOOD_REGION, from + 4, 40),
        });
        Self { warnings: warnings.collect() }
    }

    pub(super) fn write(&self, row: &mut Row) {
        write_warnings(row, &self.warnings);
    }
}

#[derive(Debug, Clone, PartialEq)]
pub struct Marine {
    pub warnings: Vec<Warning>,
}

impl Marine {
    pub(super) fn read(frame: &Frame) -> Self {
        let warnings = groups(frame, 53, 19, 8).map(|from| Warning {
            warning: coded(frame, &tables::MARINE_WARNING, from, 5),
            area: coded(frame, &tables::MARINE_REGION, from + 5, 14),
        });
        Self { warnings: warnings.collect() }
    }

    pub(super) fn write(&self, row: &mut Row) {
        write_warnings(row, &self.warnings);
    }
}

/// IS-QZSS-DCR-017, table 4.1.2-47.
#[derive(Debug, Clone, PartialEq)]
pub struct Typhoon {
    pub reference: DayTime,
    /// Dt: 実況, 推定, 予報.
    pub reference_type: Coded,
    pub hours: Coded,
    pub number: Coded,
    pub scale: Coded,
    pub intensity: Coded,
    pub position: Position,
    pub pressure: Coded,
    pub wind: Coded,
    pub gust: Coded,
}

impl Typhoon {
    pub(super) fn read(frame: &Frame) -> Self {
        Self {
            reference: day_time(frame, 53),
            reference_type: coded(frame, &tables::TYPHOON_REFERENCE, 69, 3),
            hours: tables::typhoon_hours(frame.bits(80, 7)),
            number: tables::typhoon_number(frame.bits(87, 7)),
            scale: coded(frame, &tables::TYPHOON_SCALE, 94, 4),
            intensity: coded(frame, &tables::TYPHOON_INTENSITY, 98, 4),
            position: Position::read(frame, 102),
            pressure: tables::pressure(frame.bits(143, 11)),
            wind: tables::wind(frame.bits(154, 7), "最大風速", "Maximum Wind Speed"),
            gust: tables::wind(frame.bits(161, 7), "最大瞬間風速", "Maximum Wind Gust Speed"),
        }
    }

    pub(super) fn write(&self, row: &mut Row, report_time: Time) {
        row.coded("number", &self.number);
        row.time("referenceTime", self.reference.nearest(report_time));
        row.coded("referenceType", &self.reference_type);
        row.coded("hours", &self.hours);
        row.coded("scale", &self.scale);
        row.coded("intensity", &self.intensity);
        self.position.write(row);
        // 0 is unknown of a wind, and no pressure.
        let number = |coded: &Coded| (coded.is_known && coded.code > 0).then_some(coded.code);
        row.put_some("centralPressureHpa", number(&self.pressure));
        row.coded("centralPressure", &self.pressure);
        row.put_some("maximumWindMs", number(&self.wind));
        row.coded("maximumWind", &self.wind);
        row.put_some("maximumGustMs", number(&self.gust));
        row.coded("maximumGust", &self.gust);
    }
}
