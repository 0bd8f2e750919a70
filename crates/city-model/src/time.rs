//! Instants, in microseconds since 1970-01-01T00:00:00Z. The clock itself comes in from the edge.

use std::fmt;

/// A point in time. NGSI-LD writes it as ISO 8601 in UTC (CIM 009 clause 4.6.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Time {
    micros: i64,
}

impl Time {
    /// Stands for "not set" in fragments that have not been applied yet.
    pub const UNSET: Self = Self { micros: 0 };

    #[must_use]
    pub const fn from_micros(micros: i64) -> Self {
        Self { micros }
    }

    #[must_use]
    pub const fn as_micros(self) -> i64 {
        self.micros
    }

    /// Accepts `2023-07-13T13:00:00Z`, fractions (`.` or `,`), offsets, and a date alone (midnight UTC).
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        // The shortest accepted text is a date; the longest has nanoseconds and an offset.
        if !(10..=40).contains(&text.len()) || !text.is_ascii() {
            return None;
        }
        if text.len() == 10 {
            return Self::parse(&format!("{text}T00:00:00Z"));
        }
        if !text.as_bytes()[10].eq_ignore_ascii_case(&b'T') {
            return None;
        }
        let timestamp: jiff::Timestamp = match text.contains(',') {
            true => text.replace(',', ".").parse().ok()?,
            false => text.parse().ok()?,
        };
        Some(Self::from_micros(timestamp.as_microsecond()))
    }

    #[must_use]
    pub fn plus_micros(self, micros: i64) -> Self {
        Self::from_micros(self.micros.saturating_add(micros))
    }
}

impl fmt::Display for Time {
    /// As many fraction digits as needed: none, three or six.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let days = self.micros.div_euclid(86_400_000_000);
        let of_day = self.micros.rem_euclid(86_400_000_000);
        let (year, month, day) = civil(days);
        let (seconds, micros) = (of_day / 1_000_000, of_day % 1_000_000);
        let (hour, minute, second) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}")?;
        match micros {
            0 => f.write_str("Z"),
            m if m % 1_000 == 0 => write!(f, ".{:03}Z", m / 1_000),
            m => write!(f, ".{m:06}Z"),
        }
    }
}

/// Days since 1970-01-01 to a Gregorian date (Howard Hinnant's `civil_from_days`).
fn civil(days: i64) -> (i64, i64, i64) {
    let z = days + 719_468;
    let era = z.div_euclid(146_097);
    let day_of_era = z.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn times_are_read_in_the_forms_that_cities_write() {
        for (text, shown) in [
            ("2023-07-13T13:00:00Z", "2023-07-13T13:00:00Z"),
            ("2023-07-13T13:00+09:00", "2023-07-13T04:00:00Z"),
            ("2023-07-13T13:00:00.5Z", "2023-07-13T13:00:00.500Z"),
            ("2023-07-13T13:00:00,123456Z", "2023-07-13T13:00:00.123456Z"),
            ("2023-07-13", "2023-07-13T00:00:00Z"),
            ("1969-12-31T23:59:59Z", "1969-12-31T23:59:59Z"),
        ] {
            assert_eq!(Time::parse(text).unwrap().to_string(), shown, "{text}");
        }
        for bad in ["", "13:00", "2023-13-01T00:00:00Z", "2023-07-13T13:00:00", "2023-07-13 13:00:00Z", "yesterday"] {
            assert!(Time::parse(bad).is_none(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn a_shown_time_reads_back_as_itself(micros in -60_000_000_000_000_000i64..250_000_000_000_000_000) {
            let time = Time::from_micros(micros);
            prop_assert_eq!(Time::parse(&time.to_string()), Some(time));
        }
    }
}
