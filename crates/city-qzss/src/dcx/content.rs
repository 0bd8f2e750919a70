//! What an alert says: who, what, how bad, when, what to do, and where.

use city_model::Time;

use super::area::{Areas, Evacuation};
use super::ellipse::Ellipse;
use super::guidance::Guidance;
use super::settings::Settings;
use super::{Kind, coded};
use crate::row::Row;
use crate::table::Coded;
use crate::{Frame, tables, time};

#[derive(Debug, Clone, PartialEq)]
pub struct Content {
    /// A1: test, alert, update, all clear.
    pub message_type: Coded,
    /// A2.
    pub country: Coded,
    /// A3.
    pub provider: Coded,
    /// A4.
    pub hazard: Hazard,
    /// A5.
    pub severity: Coded,
    /// A6, A7.
    pub onset: Onset,
    /// A8.
    pub duration: Coded,
    /// A9 to A11.
    pub guidance: Guidance,
    /// A12 to A16.
    pub ellipse: Option<Ellipse>,
    /// A17, A18.
    pub settings: Option<Settings>,
    /// EX1, or EX8 and EX9.
    pub areas: Option<Areas>,
    /// EX2 to EX7.
    pub evacuation: Option<Evacuation>,
    /// Vn.
    pub version: u8,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Hazard {
    pub hazard_type: Coded,
    pub category: Coded,
    pub definition: Coded,
}

/// A minute of a week; 0 is not used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Onset {
    pub is_next_week: bool,
    pub minute: u16,
}

impl Onset {
    /// Weeks begin on Monday 00:00 UTC; this one is that in which the message was received.
    #[must_use]
    pub fn time(self, received_at: Time) -> Option<Time> {
        let minute = (1..=7 * 24 * 60).contains(&self.minute).then(|| self.minute - 1)?;
        Some(time::of_week(received_at, self.is_next_week.into(), minute))
    }
}

impl Content {
    /// Which fields are there depends on the kind: IS-QZSS-DCX-004, 4.2.
    pub(super) fn read(frame: &Frame, kind: Kind) -> Self {
        let (country, provider) = (frame.bits(26, 9), frame.bits(35, 5));
        let has_ellipse = match kind {
            // Where the ellipse is empty, EX1 says where.
            Kind::LAlert => frame.bits(80, 49) != 0,
            Kind::JAlert | Kind::Null => false,
            Kind::LocalGovernment | Kind::OutsideJapan | Kind::Unknown => true,
        };
        let ellipse = has_ellipse.then(|| Ellipse::read_main(frame));
        let areas = match kind {
            Kind::LAlert if has_ellipse => None,
            Kind::LAlert | Kind::LocalGovernment => Some(Areas::read_one(frame)),
            Kind::JAlert => Some(Areas::read_list(frame)),
            Kind::OutsideJapan | Kind::Unknown | Kind::Null => None,
        };
        let has_evacuation = kind == Kind::LocalGovernment && frame.bits(163, 51) != 0;
        Self {
            message_type: coded(frame, &tables::MESSAGE_TYPE, 24, 2),
            country: tables::COUNTRY.find(country),
            provider: tables::PROVIDER.find_shown(country * 100 + provider, provider),
            hazard: Hazard {
                hazard_type: coded(frame, &tables::HAZARD_TYPE, 40, 7),
                category: coded(frame, &tables::HAZARD_CATEGORY, 40, 7),
                definition: coded(frame, &tables::HAZARD_DEFINITION, 40, 7),
            },
            severity: coded(frame, &tables::SEVERITY, 47, 2),
            onset: Onset { is_next_week: frame.bit(49), minute: u16::try_from(frame.bits(50, 14)).unwrap_or(u16::MAX) },
            duration: coded(frame, &tables::HAZARD_DURATION, 64, 2),
            guidance: Guidance::read(frame),
            settings: if kind == Kind::JAlert { None } else { Settings::read(frame, ellipse.as_ref()) },
            ellipse,
            areas,
            evacuation: has_evacuation.then(|| Evacuation::read(frame)),
            version: frame.byte(214, 6),
        }
    }

    /// Whether it is a test, and nothing has happened.
    #[must_use]
    pub fn is_test(&self) -> bool {
        self.message_type.code == 0
    }

    pub(super) fn write(&self, row: &mut Row, received_at: Time) {
        row.put("version", self.version);
        row.put("isTraining", self.is_test());
        row.coded("alertType", &self.message_type);
        row.coded("country", &self.country);
        row.coded("provider", &self.provider);
        row.coded("hazard", &self.hazard.hazard_type);
        row.put_some("hazardCategoryEn", self.hazard.category.en.as_deref());
        row.put_some("hazardDefinitionEn", self.hazard.definition.en.as_deref());
        row.coded("severity", &self.severity);
        row.time("onsetTime", self.onset.time(received_at));
        row.put("onsetIsNextWeek", self.onset.is_next_week);
        row.put("onsetMinuteOfWeek", self.onset.minute);
        row.coded("duration", &self.duration);
        self.guidance.write(row);
        if let Some(ellipse) = &self.ellipse {
            ellipse.write(row, "");
        }
        if let Some(settings) = &self.settings {
            settings.write(row);
        }
        if let Some(areas) = &self.areas {
            areas.write(row);
        }
        if let Some(evacuation) = &self.evacuation {
            evacuation.write(row);
        }
    }
}
