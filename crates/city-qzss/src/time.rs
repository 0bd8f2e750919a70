//! Times that are sent without a year or a month, and the instants that they mean: the nearest to one that is known.
//! All are UTC.

use city_model::Time;

const MINUTE: i64 = 60_000_000;
const DAY: i64 = 24 * 60 * MINUTE;
/// A day of the month is looked for this far from the report; farther off, the day is none of the month beside it.
const DAY_OF_MONTH_REACH: i64 = 16 * DAY;
/// 29 February may be this many years away: 2096, 2104.
const LEAP_YEARS_REACH: i64 = 8;

/// When a report was made: month, day, hour and minute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MonthTime {
    pub month: u8,
    pub day: u8,
    pub hour: u8,
    pub minute: u8,
}

impl MonthTime {
    /// Whether some year has it.
    #[must_use]
    pub fn is_time(self) -> bool {
        self.hour < 24 && self.minute < 60 && self.day >= 1 && i64::from(self.day) <= days_in(2024, self.month.into())
    }

    /// The instant of that name which is nearest to the given one; `None` when no year has it.
    #[must_use]
    pub fn nearest(self, to: Time) -> Option<Time> {
        let (year, ..) = date(to);
        let candidates = (year - LEAP_YEARS_REACH..=year + LEAP_YEARS_REACH)
            .filter_map(|year| instant(year, self.month.into(), self.day.into(), self.hour, self.minute));
        candidates.min_by_key(|candidate| distance(*candidate, to))
    }
}

/// Day of the month, hour and minute. What was sent may be no time; it is kept as it came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DayTime {
    pub day: u8,
    pub hour: u8,
    pub minute: u8,
}

impl DayTime {
    /// The instant of that name which is nearest to the given one; `None` when it is no time.
    #[must_use]
    pub fn nearest(self, to: Time) -> Option<Time> {
        let (year, month, _) = date(to);
        let candidates = (-1..=1).filter_map(|ahead| {
            let (year, month) = month_after(year, month, ahead);
            instant(year, month, self.day.into(), self.hour, self.minute)
        });
        let nearest = candidates.min_by_key(|candidate| distance(*candidate, to))?;
        (distance(nearest, to) <= DAY_OF_MONTH_REACH).then_some(nearest)
    }

    /// The last day of that number up to the day of the given instant: of what was seen when it was reported.
    #[must_use]
    pub fn last_before(self, report: Time) -> Option<Time> {
        let (year, month, day) = date(report);
        let back = if i64::from(self.day) > day { 1 } else { 0 };
        // No two months that follow each other lack the 31st.
        (back..=back + 1).find_map(|back| {
            let (year, month) = month_after(year, month, -back);
            instant(year, month, self.day.into(), self.hour, self.minute)
        })
    }

    /// The field as one number, as it is named when it is no time.
    #[must_use]
    pub fn code(self) -> u64 {
        u64::from(self.day) << 11 | u64::from(self.hour) << 6 | u64::from(self.minute)
    }
}

/// An hour and a minute of the day on which the given instant lies, or of a later one.
pub(crate) fn of_day(report: Time, days_later: u8, hour: u8, minute: u8) -> Option<Time> {
    let midnight = report.as_micros().div_euclid(DAY).saturating_add(days_later.into());
    (hour < 24 && minute < 60).then(|| at(midnight, hour, minute))
}

/// A minute of the week (Monday 00:00 is 0) of the week in which the given instant lies, or of a later one.
pub(crate) fn of_week(received_at: Time, weeks_later: u8, minute: u16) -> Time {
    let day = received_at.as_micros().div_euclid(DAY);
    // 1970-01-01 was a Thursday.
    let monday = day - (day + 3).rem_euclid(7) + 7 * i64::from(weeks_later);
    Time::from_micros(monday.saturating_mul(DAY).saturating_add(i64::from(minute) * MINUTE))
}

fn distance(a: Time, b: Time) -> i64 {
    a.as_micros().saturating_sub(b.as_micros()).saturating_abs()
}

fn at(day: i64, hour: u8, minute: u8) -> Time {
    Time::from_micros(day.saturating_mul(DAY).saturating_add((i64::from(hour) * 60 + i64::from(minute)) * MINUTE))
}

fn instant(year: i64, month: i64, day: i64, hour: u8, minute: u8) -> Option<Time> {
    let is_time = hour < 24 && minute < 60 && day >= 1 && day <= days_in(year, month);
    is_time.then(|| at(days_from_civil(year, month, day), hour, minute))
}

fn month_after(year: i64, month: i64, months: i64) -> (i64, i64) {
    let counted = year * 12 + month - 1 + months;
    (counted.div_euclid(12), counted.rem_euclid(12) + 1)
}

/// 0 for what is no month.
fn days_in(year: i64, month: i64) -> i64 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => 0,
    }
}

/// Days since 1970-01-01 (Howard Hinnant's `days_from_civil`).
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

/// Year, month and day of an instant.
fn date(time: Time) -> (i64, i64, i64) {
    let days = time.as_micros().div_euclid(DAY);
    // A year has 365 or 366 days, so the guess is never late, and early by no more than its leap days.
    let mut year = 1970 + days.div_euclid(if days < 0 { 365 } else { 366 });
    while days_from_civil(year + 1, 1, 1) <= days {
        year += 1;
    }
    let month = (1..=12).rev().find(|month| days_from_civil(year, *month, 1) <= days).unwrap_or(1);
    (year, month, days - days_from_civil(year, month, 1) + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn time(text: &str) -> Time {
        Time::parse(text).unwrap()
    }

    #[test]
    fn a_report_time_is_of_the_nearest_year() {
        for (month, day, received_at, meant) in [
            (3, 7, "2022-03-07T12:00:00Z", "2022-03-07T10:30:00Z"),
            (12, 31, "2025-01-01T00:05:00Z", "2024-12-31T10:30:00Z"),
            (1, 1, "2024-12-31T23:59:00Z", "2025-01-01T10:30:00Z"),
            (2, 29, "2025-06-01T00:00:00Z", "2024-02-29T10:30:00Z"),
            (2, 29, "2098-06-01T00:00:00Z", "2096-02-29T10:30:00Z"),
            (2, 29, "2101-06-01T00:00:00Z", "2104-02-29T10:30:00Z"),
        ] {
            let sent = MonthTime { month, day, hour: 10, minute: 30 };
            assert_eq!(sent.nearest(time(received_at)), Some(time(meant)), "{month}-{day} at {received_at}");
        }
        assert!(!MonthTime { month: 2, day: 30, hour: 0, minute: 0 }.is_time());
        assert!(!MonthTime { month: 13, day: 1, hour: 0, minute: 0 }.is_time());
    }

    #[test]
    fn a_day_is_of_the_nearest_month() {
        for (day, report, meant) in [
            (28, "2024-03-01T00:00:00Z", Some("2024-02-28T10:30:00Z")),
            (1, "2023-12-31T23:00:00Z", Some("2024-01-01T10:30:00Z")),
            (31, "2023-03-01T00:00:00Z", None),
            (0, "2023-03-01T00:00:00Z", None),
        ] {
            let sent = DayTime { day, hour: 10, minute: 30 };
            assert_eq!(sent.nearest(time(report)), meant.map(time), "{day} at {report}");
        }
        assert_eq!(DayTime { day: 1, hour: 24, minute: 0 }.nearest(time("2023-03-01")), None);
    }

    #[test]
    fn what_was_seen_lies_before_the_report() {
        for (day, report, meant) in [
            (1, "2024-03-31T00:00:00Z", "2024-03-01T10:30:00Z"),
            (31, "2024-03-01T00:00:00Z", "2024-01-31T10:30:00Z"),
            (30, "2024-01-29T00:00:00Z", "2023-12-30T10:30:00Z"),
        ] {
            let sent = DayTime { day, hour: 10, minute: 30 };
            assert_eq!(sent.last_before(time(report)), Some(time(meant)), "{day} at {report}");
        }
    }

    #[test]
    fn dates_and_their_instants_belong_together() {
        for days in (-800_000..800_000).step_by(97) {
            let (year, month, day) = date(at(days, 23, 59));
            assert_eq!(days_from_civil(year, month, day), days);
            assert!(at(days, 0, 0).to_string().contains(&format!("-{month:02}-{day:02}T")));
        }
        // No instant is too far off to be asked about.
        for micros in [i64::MIN, i64::MAX] {
            let far = Time::from_micros(micros);
            let _ = MonthTime { month: 2, day: 29, hour: 0, minute: 0 }.nearest(far);
            let _ =
                (DayTime { day: 31, hour: 0, minute: 0 }.nearest(far), of_week(far, 1, 10_079), of_day(far, 1, 0, 0));
        }
    }
}
