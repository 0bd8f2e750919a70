//! Which part of the past is asked for (CIM 009 clause 4.11).

use crate::time::Time;

#[derive(Debug, Clone, PartialEq)]
pub struct TemporalQuery {
    pub relation: Option<TimeRelation>,
    pub property: TimeProperty,
    /// Only the newest so many instances of each attribute.
    pub last_n: Option<usize>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TimeRelation {
    /// Not included.
    Before(Time),
    /// Included.
    After(Time),
    /// From the first (included) to the second (not included).
    Between(Time, Time),
}

/// Which time of an instance is meant (`timeproperty`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TimeProperty {
    #[default]
    ObservedAt,
    CreatedAt,
    ModifiedAt,
    DeletedAt,
}

impl TimeRelation {
    #[must_use]
    pub fn holds(&self, time: Time) -> bool {
        match *self {
            Self::Before(end) => time < end,
            Self::After(start) => time >= start,
            Self::Between(start, end) => start <= time && time < end,
        }
    }

    /// Smallest half-open range of microseconds that holds every matching instant.
    #[must_use]
    pub fn micros(&self) -> std::ops::Range<i64> {
        match *self {
            Self::Before(end) => i64::MIN..end.as_micros(),
            Self::After(start) => start.as_micros()..i64::MAX,
            Self::Between(start, end) => start.as_micros()..end.as_micros(),
        }
    }
}
