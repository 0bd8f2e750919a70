//! Which sensors have fallen silent.
//!
//! The newest readings of each series come in; those whose last one is much older than the series'
//! own usual interval go out. A few seeks a series, bounded in number, so that asking does not cost a
//! town's worth of reading: whoever asks goes on where the last answer ended.

use city_model::Time;
use city_store::TermNo;
use city_store::codec::peek_times;
use city_store::record::LIVE_BRANCH;

use crate::block::Row;
use crate::row::{attribute_of, entity_prefix, series_prefix};
use crate::series::{Span, last, numbers_below};
use crate::{Error, History, datasets_of};

/// Readings of a series that its usual interval is taken from, the last one included.
const READINGS_SEEN_MAX: usize = 9;
/// With fewer nothing is usual.
const READINGS_SEEN_MIN: usize = 5;
/// So many usual intervals without a reading are silence.
const INTERVALS: i64 = 5;
/// Shorter pauses are not silence, however quick the sensor.
const PAUSE_MICROS_MIN: i64 = 10 * 60 * 1_000_000;
/// Readings that came later than this after they were observed are imports, and no sign of life.
const DELAY_MICROS_MAX: i64 = 60 * 60 * 1_000_000;
/// What has been silent for longer was taken down: 30 days.
const SILENCE_MICROS_MAX: i64 = 30 * 24 * 3_600 * 1_000_000;

/// A series without a reading for much longer than is usual for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Silent {
    pub entity: u32,
    pub attribute: TermNo,
    /// 0 is the default instance.
    pub dataset: TermNo,
    pub last: Time,
    pub usual_micros: i64,
}

/// What was looked at, and what was found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SilentReport {
    pub silent: Vec<Silent>,
    /// Series with enough readings to have a usual interval.
    pub judged: usize,
    /// Where to go on; `None` when all entities were seen.
    pub next: Option<u32>,
}

impl History {
    /// Looks at the series of these entities, until so many series were seen.
    pub fn silent(
        &self,
        tenant: u32,
        entities: impl IntoIterator<Item = u32>,
        now: Time,
        series_max: usize,
    ) -> Result<SilentReport, Error> {
        let mut report = SilentReport::default();
        let mut seen = 0;
        for entity in entities {
            if seen >= series_max {
                report.next = Some(entity);
                break;
            }
            seen += self.look_at(tenant, entity, now, &mut report)?;
        }
        Ok(report)
    }

    fn look_at(&self, tenant: u32, entity: u32, now: Time, report: &mut SilentReport) -> Result<usize, Error> {
        let prefix = entity_prefix(tenant, LIVE_BRANCH, entity);
        let snapshot = self.view.snapshot();
        let mut series_seen = 0;
        for attribute in numbers_below(&snapshot, &prefix, attribute_of)? {
            for dataset in datasets_of(&snapshot, tenant, entity, attribute)? {
                series_seen += 1;
                let series = series_prefix(tenant, LIVE_BRANCH, entity, attribute, dataset);
                let mut times = |row: &Row| Ok(Some(peek_times(&row.instance)?));
                let (newest, _) = last(&snapshot, &Span { series, micros: None }, READINGS_SEEN_MAX, &mut times)?;
                // What was never observed is no reading; nor is the end of an attribute.
                let observed = newest.into_iter().rev().map_while(|(received, observed)| Some((observed?, received)));
                let readings: Vec<(Time, Time)> = observed.collect();
                let Some(usual_micros) = usual_interval(&readings) else { continue };
                report.judged += 1;
                let last = readings[0].0;
                if is_silent(now.as_micros() - last.as_micros(), usual_micros) {
                    report.silent.push(Silent { entity, attribute, dataset, last, usual_micros });
                }
            }
        }
        Ok(series_seen)
    }
}

/// The median of the pauses between readings, newest first; `None` where there are too few, or
/// where they did not come as they were made.
fn usual_interval(readings: &[(Time, Time)]) -> Option<i64> {
    let (last, received) = *readings.first()?;
    if readings.len() < READINGS_SEEN_MIN {
        return None;
    }
    let mut pauses: Vec<i64> = readings.windows(2).map(|pair| pair[0].0.as_micros() - pair[1].0.as_micros()).collect();
    pauses.sort_unstable();
    let usual = pauses[pauses.len() / 2];
    let delay = received.as_micros() - last.as_micros();
    (usual > 0 && delay <= DELAY_MICROS_MAX.max(2 * usual)).then_some(usual)
}

fn is_silent(age_micros: i64, usual_micros: i64) -> bool {
    age_micros > PAUSE_MICROS_MIN && age_micros / INTERVALS > usual_micros && age_micros <= SILENCE_MICROS_MAX
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: i64 = 60 * 1_000_000;

    /// Readings every so many minutes, the last one at 0, each received so many minutes later.
    fn readings(count: i64, every: i64, delay: i64) -> Vec<(Time, Time)> {
        let at = |minutes: i64| Time::from_micros(minutes * MINUTE);
        (0..count).map(|back| (at(-back * every), at(delay - back * every))).collect()
    }

    #[test]
    fn the_usual_interval_is_the_median_of_enough_readings_that_came_alive() {
        assert_eq!(usual_interval(&readings(9, 15, 1)), Some(15 * MINUTE));
        assert_eq!(usual_interval(&readings(4, 15, 1)), None, "too few");
        assert_eq!(usual_interval(&readings(9, 15, 61)), None, "an import");
        assert_eq!(usual_interval(&readings(9, 60, 119)), Some(60 * MINUTE), "an hourly file");
        assert_eq!(usual_interval(&readings(9, 0, 0)), None, "all at once");
        let mut with_a_gap = readings(9, 15, 1);
        with_a_gap[8].0 = Time::from_micros(-100_000 * MINUTE);
        assert_eq!(usual_interval(&with_a_gap), Some(15 * MINUTE));
    }

    #[test]
    fn silence_is_much_longer_than_usual_and_shorter_than_a_month() {
        assert!(!is_silent(75 * MINUTE, 15 * MINUTE) && is_silent(76 * MINUTE, 15 * MINUTE));
        assert!(!is_silent(9 * MINUTE, MINUTE / 10) && is_silent(11 * MINUTE, MINUTE / 10));
        assert!(!is_silent(31 * 24 * 60 * MINUTE, MINUTE), "taken down");
        assert!(!is_silent(-MINUTE, MINUTE), "a reading from the future");
    }
}
