//! How long each step of an aggregation is: an ISO 8601 duration, counted from an origin.
//!
//! Months and years follow the calendar (UTC), so `P1M` from 31 January ends on the last day of
//! February; days and weeks are 24 hours and 7 days.

use crate::time::Time;

const DAY_MICROS: i64 = 86_400_000_000;
/// A mean month, to guess where a time lies before it is looked at exactly.
const MEAN_MONTH_MICROS: i64 = 30 * DAY_MICROS + 37_746_000_000;

/// Zero stands for the whole time that was asked for (CIM 009 clause 4.5.19).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Period {
    months: i64,
    micros: i64,
}

impl Period {
    /// `P[n]Y[n]M[n]DT[n]H[n]M[n]S` or `P[n]W`; nothing negative.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if !text.starts_with('P') || text.len() > 64 {
            return None;
        }
        let span: jiff::Span = text.parse().ok()?;
        if span.is_negative() {
            return None;
        }
        let months = i64::from(span.get_years()) * 12 + i64::from(span.get_months());
        let days = i64::from(span.get_weeks()) * 7 + i64::from(span.get_days());
        let seconds = i64::from(span.get_hours())
            .checked_mul(3_600)?
            .checked_add(span.get_minutes().checked_mul(60)?)?
            .checked_add(span.get_seconds())?;
        let below = span.get_milliseconds().checked_mul(1_000)?.checked_add(span.get_microseconds())?;
        let micros = days.checked_mul(DAY_MICROS)?.checked_add(seconds.checked_mul(1_000_000)?)?.checked_add(below)?;
        let nanos = span.get_nanoseconds();
        // Finer than a time can be.
        (nanos == 0).then_some(Self { months, micros })
    }

    /// Whether it is the whole time that was asked for.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        *self == Self::default()
    }

    /// How many of them are about as long as this; at least one.
    #[must_use]
    pub fn in_span(&self, micros: i64) -> i64 {
        if self.months > 0 || self.micros <= 0 { 1 } else { (micros / self.micros).max(1) }
    }

    /// Where the period of this number begins; number 0 begins at the origin.
    #[must_use]
    pub fn start(&self, origin: Time, number: i64) -> Time {
        let by_micros = |from: Time| from.plus_micros(self.micros.saturating_mul(number));
        if self.months == 0 {
            return by_micros(origin);
        }
        let by_months = || {
            let utc = jiff::tz::Offset::UTC;
            let origin = utc.to_datetime(jiff::Timestamp::from_microsecond(origin.as_micros()).ok()?);
            let months = jiff::Span::new().try_months(self.months.checked_mul(number)?).ok()?;
            let start = utc.to_timestamp(origin.checked_add(months).ok()?).ok()?;
            Some(Time::from_micros(start.as_microsecond()))
        };
        let far = if number < 0 { Time::from_micros(i64::MIN) } else { Time::from_micros(i64::MAX) };
        by_months().map_or(far, by_micros)
    }

    /// The number of the period that holds a time.
    #[must_use]
    pub fn number(&self, origin: Time, time: Time) -> i64 {
        let since = time.as_micros().saturating_sub(origin.as_micros());
        if self.months == 0 {
            return since.div_euclid(self.micros.max(1));
        }
        let mean = self.months.saturating_mul(MEAN_MONTH_MICROS).saturating_add(self.micros).max(1);
        let mut number = since.div_euclid(mean);
        while self.start(origin, number) > time {
            number -= 1;
        }
        while self.start(origin, number + 1) <= time {
            number += 1;
        }
        number
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn time(text: &str) -> Time {
        Time::parse(text).unwrap()
    }

    #[test]
    fn durations_are_read_as_the_standard_writes_them() {
        let hours = |n: i64| Some(Period { months: 0, micros: n * 3_600_000_000 });
        for (text, period) in [
            ("PT1H", hours(1)),
            ("P1DT12H", hours(36)),
            ("P2W", hours(336)),
            ("PT0.5S", Some(Period { months: 0, micros: 500_000 })),
            ("P1Y2M", Some(Period { months: 14, micros: 0 })),
            ("PT0S", Some(Period::default())),
            ("P0D", Some(Period::default())),
            ("-P1D", None),
            ("1 day", None),
            ("P", None),
            ("PT", None),
            ("P1", None),
            ("bogus", None),
            ("", None),
        ] {
            assert_eq!(Period::parse(text), period, "{text}");
        }
    }

    #[test]
    fn months_follow_the_calendar() {
        let month = Period::parse("P1M").unwrap();
        let origin = time("2023-01-31T00:00:00Z");
        assert_eq!(month.start(origin, 1), time("2023-02-28T00:00:00Z"));
        assert_eq!(month.start(origin, 2), time("2023-03-31T00:00:00Z"));
        assert_eq!(month.number(origin, time("2023-03-30T23:00:00Z")), 1);
        assert_eq!(month.number(origin, time("2023-03-31T00:00:00Z")), 2);
        assert_eq!(month.number(origin, time("2022-12-31T00:00:00Z")), -1);
    }

    proptest! {
        #[test]
        fn a_time_lies_in_the_period_of_its_number(
            origin in 0i64..4_000_000_000_000_000,
            since in -1_000_000_000_000_000i64..1_000_000_000_000_000,
            months in 0i64..30,
            micros in 0i64..100_000_000_000,
        ) {
            prop_assume!(months > 0 || micros > 0);
            let (period, origin) = (Period { months, micros }, Time::from_micros(origin));
            let time = origin.plus_micros(since);
            let number = period.number(origin, time);
            prop_assert!(period.start(origin, number) <= time && time < period.start(origin, number + 1));
        }
    }
}
