//! Times as cities write them, read in the zone that the mapping names.

use std::str::FromStr;

use chrono::{FixedOffset, MappedLocalTime, NaiveDate, NaiveDateTime, TimeDelta, TimeZone};
use city_model::Time;

/// An IANA zone (`Asia/Tokyo`) or a fixed offset (`+09:00`).
#[derive(Debug, Clone, Copy)]
pub(crate) enum Zone {
    Named(chrono_tz::Tz),
    Fixed(FixedOffset),
}

impl Zone {
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        if text.starts_with(['+', '-']) {
            return FixedOffset::from_str(text).map(Self::Fixed).map_err(|_| unknown(text));
        }
        chrono_tz::Tz::from_str(text).map(Self::Named).map_err(|_| unknown(text))
    }

    /// A wall clock reading. Of an hour that comes twice in autumn the first is meant; one that is
    /// skipped in spring does not exist.
    fn at(self, local: NaiveDateTime) -> Option<Time> {
        fn micros<Z: TimeZone>(found: MappedLocalTime<chrono::DateTime<Z>>) -> Option<Time> {
            found.earliest().map(|time| Time::from_micros(time.timestamp_micros()))
        }
        match self {
            Self::Named(zone) => micros(zone.from_local_datetime(&local)),
            Self::Fixed(offset) => micros(offset.from_local_datetime(&local)),
        }
    }
}

fn unknown(text: &str) -> String {
    format!("\"{text}\" is no time zone; write a name such as Asia/Tokyo or an offset such as +09:00")
}

/// With an offset the text says it all; without, `zone` decides.
pub(crate) fn read(text: &str, zone: Option<Zone>) -> Result<Time, String> {
    // A date alone is a wall clock reading too, so it is not left to `Time::parse`, which takes UTC.
    if text.len() > 10
        && let Some(time) = Time::parse(text)
    {
        return Ok(time);
    }
    let local = match japanese(text) {
        Some(plain) => read_local(&plain),
        None => read_local(text),
    };
    let local = local.ok_or_else(|| format!("\"{text}\" is no time"))?;
    let zone = zone.ok_or_else(|| {
        format!("\"{text}\" has no offset; name the zone in the mapping (time: {{zone: Asia/Tokyo}}) or in the call")
    })?;
    zone.at(local).ok_or_else(|| format!("\"{text}\" does not exist in this time zone"))
}

/// `2023-07-13`, `2023/7/13 9:05`, `2023-07-13T13:00:05.25`, `20230713`, `202307131300`, `20230713130005`;
/// 24:00 is the end of that day (JIS X 0301, and what weather services write).
fn read_local(text: &str) -> Option<NaiveDateTime> {
    if text.len() >= 8 && text.bytes().all(|byte| byte.is_ascii_digit()) {
        let part = |from: usize, to: usize| text.get(from..to)?.parse::<u32>().ok();
        let date = NaiveDate::from_ymd_opt(i32::try_from(part(0, 4)?).ok()?, part(4, 6)?, part(6, 8)?)?;
        return match text.len() {
            8 => moment(date, 0, 0, 0, 0),
            12 => moment(date, part(8, 10)?, part(10, 12)?, 0, 0),
            14 => moment(date, part(8, 10)?, part(10, 12)?, part(12, 14)?, 0),
            _ => None,
        };
    }
    let (day, clock) = match text.split_once(['T', ' ']) {
        Some((day, clock)) => (day, clock.trim_start()),
        None => (text, "0:0"),
    };
    let mut parts = day.split(['-', '/']);
    let (year, month, date) = (parts.next()?, parts.next()?, parts.next()?);
    if parts.next().is_some() || year.len() != 4 {
        return None;
    }
    let date = NaiveDate::from_ymd_opt(year.parse().ok()?, month.parse().ok()?, date.parse().ok()?)?;
    let mut parts = clock.split(':');
    let (hour, minute, second) = (parts.next()?, parts.next()?, parts.next().unwrap_or("0"));
    if parts.next().is_some() {
        return None;
    }
    let (second, fraction) = second.split_once(['.', ',']).unwrap_or((second, ""));
    if fraction.len() > 9 || !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let nanos = format!("{fraction:0<9}").parse().ok()?;
    moment(date, hour.parse().ok()?, minute.parse().ok()?, second.parse().ok()?, nanos)
}

/// Eras, each with its letter and the year before its first.
const ERAS: [(&str, &str, i32); 5] =
    [("令和", "R", 2018), ("平成", "H", 1988), ("昭和", "S", 1925), ("大正", "T", 1911), ("明治", "M", 1867)];

/// A date as Japanese offices write it, as year-month-day: `令和5年7月13日 9時05分`, `R5.7.13`, `2023年7月13日 午後3時`.
/// `None` where it is none of these.
fn japanese(text: &str) -> Option<String> {
    let era = ERAS.iter().find_map(|(name, letter, before)| {
        let long = text.strip_prefix(name);
        // A letter alone begins other texts, too.
        let short = || text.strip_prefix(letter).filter(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
        Some((long.or_else(short)?, *before))
    });
    let (rest, before) = era.or_else(|| text.contains('年').then_some((text, 0)))?;
    let end = rest.find(['年', '.', '-', '/'])?;
    let (year, rest) = rest.split_at(end);
    let year: i32 =
        if year == "元" { 1 } else { year.trim().parse().ok().filter(|year| (1..=9_999).contains(year))? };
    let mut rest = rest.chars();
    rest.next();
    let day = rest.as_str().replace(['月', '.', '/'], "-");
    let (day, clock) = match day.find(['日', ' ', 'T']) {
        Some(at) => day.split_at(at),
        None => (day.as_str(), ""),
    };
    let clock = clock.trim_start_matches(['日', ' ', 'T']);
    let (clock, is_afternoon) = match (clock.strip_prefix("午前"), clock.strip_prefix("午後")) {
        (Some(clock), _) => (clock, false),
        (_, Some(clock)) => (clock, true),
        _ => (clock, false),
    };
    let clock = clock.replace(['時', '分', '秒'], ":");
    let mut parts = clock.split(':').map(str::trim).filter(|part| !part.is_empty());
    let hour: u32 = parts.next().map_or(Some(0), |part| part.parse().ok())?;
    // Twelve in the afternoon is noon to some and midnight to others.
    if is_afternoon && hour >= 12 {
        return None;
    }
    let hour = if is_afternoon { hour + 12 } else { hour };
    let (minute, second) = (parts.next().unwrap_or("0"), parts.next().unwrap_or("0"));
    let nothing_more = parts.next().is_none();
    nothing_more.then(|| format!("{:04}-{} {hour}:{minute}:{second}", before + year, day.trim()))
}

fn moment(date: NaiveDate, hour: u32, minute: u32, second: u32, nanos: u32) -> Option<NaiveDateTime> {
    if (hour, minute, second, nanos) == (24, 0, 0, 0) {
        return date.and_hms_opt(0, 0, 0)?.checked_add_signed(TimeDelta::days(1));
    }
    date.and_hms_nano_opt(hour, minute, second, nanos)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_of_japanese_offices_are_read() {
        let tokyo = Zone::parse("Asia/Tokyo").ok();
        for (text, wanted) in [
            ("令和5年7月13日", "2023-07-12T15:00:00Z"),
            ("令和元年5月1日 9時05分", "2019-05-01T00:05:00Z"),
            ("平成31年4月30日 23時59分58秒", "2019-04-30T14:59:58Z"),
            ("昭和64年1月7日 午後3時", "1989-01-07T06:00:00Z"),
            ("R5.7.13", "2023-07-12T15:00:00Z"),
            ("H30/12/1 8:30", "2018-11-30T23:30:00Z"),
            ("2023年7月13日 午前0時10分", "2023-07-12T15:10:00Z"),
            ("2023年7月13日24時", "2023-07-13T15:00:00Z"),
        ] {
            assert_eq!(read(text, tokyo).map(|time| time.to_string()), Ok(wanted.to_owned()), "{text}");
        }
        for wrong in [
            "令和5年13月1日",
            "令和5年",
            "年7月1日",
            "R",
            "Rain",
            "令和x年1月1日",
            "令和5年7月13日 25時",
            "元年",
            "令和2147483647年1月1日",
            "令和5年7月13日 午後12時",
        ] {
            assert!(read(wrong, tokyo).is_err(), "{wrong}");
        }
    }
}
