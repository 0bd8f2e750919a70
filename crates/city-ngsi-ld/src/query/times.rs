//! Temporal queries (clause 4.11).

use city_model::temporal::{Aggregation, AggregationMethod, TemporalQuery, TimeProperty, TimeRelation};
use city_model::{Period, Time};

use crate::error::Error;

/// Most instances per attribute that `lastN` may ask for.
pub const LAST_N_MAX: usize = 1_000_000;

/// The parameters `timerel`, `timeAt`, `endTimeAt`, `timeproperty`, `lastN`.
pub fn parse_temporal_query(
    timerel: Option<&str>,
    time_at: Option<&str>,
    end_time_at: Option<&str>,
    timeproperty: Option<&str>,
    last_n: Option<&str>,
) -> Result<TemporalQuery, Error> {
    let property = match timeproperty {
        None | Some("observedAt") => TimeProperty::ObservedAt,
        Some("createdAt") => TimeProperty::CreatedAt,
        Some("modifiedAt") => TimeProperty::ModifiedAt,
        Some("deletedAt") => TimeProperty::DeletedAt,
        Some(other) => {
            return Err(Error::bad(
                "timeproperty",
                format!("{other:?} is not one of observedAt, createdAt, modifiedAt and deletedAt"),
            ));
        }
    };
    let last_n = match last_n {
        None => None,
        Some(text) => Some(
            text.parse()
                .ok()
                .filter(|n| (1..=LAST_N_MAX).contains(n))
                .ok_or_else(|| Error::bad("lastN", format!("must be a whole number from 1 to {LAST_N_MAX}")))?,
        ),
    };
    let relation = match (timerel, time_at) {
        (None, None) if end_time_at.is_none() => None,
        (None, _) => return Err(Error::bad("timerel", "is missing; use before, after or between")),
        (Some(_), None) => return Err(Error::bad("timeAt", "is missing")),
        (Some(timerel), Some(time_at)) => Some(relation(timerel, time_at, end_time_at)?),
    };
    Ok(TemporalQuery { relation, property, last_n })
}

fn relation(timerel: &str, time_at: &str, end_time_at: Option<&str>) -> Result<TimeRelation, Error> {
    let start = time("timeAt", time_at)?;
    match (timerel, end_time_at) {
        ("between", Some(end)) => {
            let end = time("endTimeAt", end)?;
            if end < start {
                return Err(Error::bad("endTimeAt", format!("{end} is before timeAt {start}")));
            }
            Ok(TimeRelation::Between(start, end))
        }
        ("between", None) => Err(Error::bad("endTimeAt", "is missing; between needs a start and an end")),
        ("before" | "after", Some(_)) => Err(Error::bad("endTimeAt", format!("does not go with timerel {timerel}"))),
        ("before", None) => Ok(TimeRelation::Before(start)),
        ("after", None) => Ok(TimeRelation::After(start)),
        _ => Err(Error::bad("timerel", format!("{timerel:?} is not one of before, after and between"))),
    }
}

pub(crate) fn time(what: &str, text: &str) -> Result<Time, Error> {
    Time::parse(text).ok_or_else(|| Error::bad(what, format!("{text:?} is not a time such as 2025-01-31T09:00:00Z")))
}

/// The parameters `aggrMethods` and `aggrPeriodDuration` (clause 4.5.19); without a duration, all is one period.
pub fn parse_aggregation<'m>(
    methods: impl IntoIterator<Item = &'m str>,
    period: Option<&str>,
) -> Result<Aggregation, Error> {
    let mut known: Vec<AggregationMethod> = Vec::new();
    for name in methods.into_iter().map(str::trim).filter(|name| !name.is_empty()) {
        let method = AggregationMethod::ALL.into_iter().find(|method| method.name() == name).ok_or_else(|| {
            let names: Vec<&str> = AggregationMethod::ALL.iter().map(|method| method.name()).collect();
            Error::bad("aggrMethods", format!("{name:?} is not one of {}", names.join(", ")))
        })?;
        if !known.contains(&method) {
            known.push(method);
        }
    }
    if known.is_empty() {
        return Err(Error::bad("aggrMethods", "is missing; aggregated values need one such as avg or max"));
    }
    let period = match period {
        None => Period::default(),
        Some(text) => Period::parse(text).ok_or_else(|| {
            Error::bad("aggrPeriodDuration", format!("{text:?} is not a duration such as PT1H or P1D"))
        })?,
    };
    Ok(Aggregation { methods: known, period })
}
