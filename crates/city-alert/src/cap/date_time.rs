//! A date and time as CAP writes it: whole seconds, and always the offset from UTC (CAP 1.2, clause 3.3.2).

use std::fmt;

use city_model::Time;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Largest offset from UTC, either way: that of XML Schema.
const OFFSET_MINUTES_MAX: i16 = 14 * 60;
/// From the year 1 to the end of the year 9998, with an offset either way.
const SECONDS: std::ops::RangeInclusive<i64> = -62_135_510_400..=253_370_678_400;

/// `2002-05-24T16:49:00-07:00`. UTC is `-00:00`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DateTime {
    time: Time,
    offset_minutes: i16,
}

impl DateTime {
    /// `None` for parts of a second, an offset of more than 14 hours, and years outside of 1 to 9998.
    #[must_use]
    pub fn new(time: Time, offset_minutes: i16) -> Option<Self> {
        let whole = time.as_micros() % 1_000_000 == 0;
        let known = SECONDS.contains(&(time.as_micros() / 1_000_000));
        let near = offset_minutes.unsigned_abs() <= OFFSET_MINUTES_MAX.unsigned_abs();
        (whole && known && near).then_some(Self { time, offset_minutes })
    }

    /// Exactly the form of the clause, with `+00:00` for UTC as well.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (date_time, offset) = (text.get(..19)?, text.get(19..)?);
        let form = |text: &str, form: &str| {
            text.len() == form.len()
                && text.bytes().zip(form.bytes()).all(|(byte, form)| match form {
                    b'0' => byte.is_ascii_digit(),
                    form => byte == form,
                })
        };
        if !form(date_time, "0000-00-00T00:00:00") || !(form(offset, "+00:00") || form(offset, "-00:00")) {
            return None;
        }
        let number = |from: usize| text.get(from..from + 2)?.parse::<i16>().ok();
        let (hours, minutes) = (number(20)?, number(23)?);
        if number(11)? > 23 || number(14)? > 59 || number(17)? > 59 || minutes > 59 {
            return None;
        }
        let offset_minutes = hours * 60 + minutes;
        let offset_minutes = if offset.starts_with('-') { -offset_minutes } else { offset_minutes };
        Self::new(Time::parse(text)?, offset_minutes)
    }

    /// The instant.
    #[must_use]
    pub fn time(self) -> Time {
        self.time
    }

    #[must_use]
    pub fn offset_minutes(self) -> i16 {
        self.offset_minutes
    }
}

impl Default for DateTime {
    /// 1970, in UTC.
    fn default() -> Self {
        Self { time: Time::UNSET, offset_minutes: 0 }
    }
}

impl fmt::Display for DateTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let local = self.time.plus_micros(i64::from(self.offset_minutes) * 60_000_000).to_string();
        let sign = if self.offset_minutes > 0 { '+' } else { '-' };
        let minutes = self.offset_minutes.unsigned_abs();
        write!(f, "{}{sign}{:02}:{:02}", local.trim_end_matches('Z'), minutes / 60, minutes % 60)
    }
}

impl Serialize for DateTime {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for DateTime {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| serde::de::Error::custom(format!("{text:?} is no date and time of CAP")))
    }
}
