//! On which days a service runs: `calendar.txt` and `calendar_dates.txt`.

use std::collections::BTreeSet;

use chrono::{Datelike, NaiveDate};

/// One `service_id`.
#[derive(Debug, Default)]
pub(crate) struct Service {
    /// Days of the week from Monday on, and the first and last day on which they hold.
    pub week: Option<([bool; 7], NaiveDate, NaiveDate)>,
    pub added: BTreeSet<NaiveDate>,
    pub removed: BTreeSet<NaiveDate>,
}

impl Service {
    pub fn runs_on(&self, day: NaiveDate) -> bool {
        let weekday = day.weekday().num_days_from_monday() as usize;
        let by_week = self.week.is_some_and(|(week, first, last)| {
            (first..=last).contains(&day) && week.get(weekday).copied().unwrap_or_default()
        });
        !self.removed.contains(&day) && (by_week || self.added.contains(&day))
    }

    /// The last day on which it may run.
    pub fn last(&self) -> Option<NaiveDate> {
        self.week.map(|(_, _, last)| last).into_iter().chain(self.added.last().copied()).max()
    }
}

/// `20260331`.
pub(crate) fn date(text: &str) -> Option<NaiveDate> {
    let text = text.trim();
    if text.len() != 8 || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let number: u32 = text.parse().ok()?;
    NaiveDate::from_ymd_opt(i32::try_from(number / 10_000).ok()?, number / 100 % 100, number % 100)
}

/// Seconds since noon minus twelve hours of the service day; hours may go beyond 24.
pub(crate) fn time(text: &str) -> Option<u32> {
    /// A trip of a week.
    const HOURS_MAX: u32 = 7 * 24;
    let mut parts = text.trim().split(':').map(|part| {
        let is_number = (1..=3).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit());
        is_number.then(|| part.parse::<u32>().ok()).flatten()
    });
    let (hours, minutes, seconds) = (parts.next()??, parts.next()??, parts.next()??);
    (parts.next().is_none() && hours <= HOURS_MAX && minutes < 60 && seconds < 60)
        .then_some(hours * 3_600 + minutes * 60 + seconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_runs_by_its_week_unless_a_day_says_otherwise() {
        let day = |text| date(text).unwrap();
        let service = Service {
            week: Some(([true, true, true, true, true, false, false], day("20260401"), day("20270331"))),
            added: [day("20260404"), day("20270401")].into(),
            removed: [day("20260429")].into(),
        };
        for (text, runs) in [
            ("20260401", true),
            ("20260331", false),
            ("20260404", true),
            ("20260405", false),
            ("20260429", false),
            ("20270331", true),
            ("20270401", true),
        ] {
            assert_eq!(service.runs_on(day(text)), runs, "{text}");
        }
        assert_eq!(service.last(), date("20270401"));
    }

    #[test]
    fn times_go_beyond_midnight_and_nothing_else_is_one() {
        assert_eq!((time("25:10:30"), time(" 7:05:00")), (Some(90_630), Some(25_500)));
        for wrong in ["", "7:05", "24:60:00", "-1:00:00", "1:2:3:4", "999:00:00", "7：05：00"] {
            assert_eq!(time(wrong), None, "{wrong}");
        }
        for wrong in ["2026-04-01", "20260231", "202604", ""] {
            assert_eq!(date(wrong), None, "{wrong}");
        }
    }
}
