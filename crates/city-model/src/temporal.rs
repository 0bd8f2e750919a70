//! Which part of the past is asked for (CIM 009 clause 4.11).

use crate::name::DatasetId;
use crate::period::Period;
use crate::time::Time;
use crate::value::Value;

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

/// What is asked of the values in each step of time (clause 4.5.19).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Aggregation {
    /// In the order in which they were asked for, each once.
    pub methods: Vec<AggregationMethod>,
    pub period: Period,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AggregationMethod {
    TotalCount,
    DistinctCount,
    Sum,
    Avg,
    Min,
    Max,
    /// Of a sample: divided by one less than the count.
    StdDev,
    /// The sum of the squares.
    SumSq,
}

/// One period with what each method says about it; `None` where it says nothing.
#[derive(Debug, Clone, PartialEq)]
pub struct AggregatedPeriod {
    pub start: Time,
    pub end: Time,
    /// In the order of the methods that were asked for.
    pub values: Vec<Option<Value>>,
}

/// The aggregated past of one dataset of an attribute.
#[derive(Debug, Clone, PartialEq)]
pub struct AggregatedSeries {
    pub dataset: Option<DatasetId>,
    /// The standard's name of what was aggregated, such as `Property`.
    pub kind: &'static str,
    pub periods: Vec<AggregatedPeriod>,
}

impl AggregationMethod {
    pub const ALL: [Self; 8] =
        [Self::TotalCount, Self::DistinctCount, Self::Sum, Self::Avg, Self::Min, Self::Max, Self::StdDev, Self::SumSq];

    /// The standard's name, as in `aggrMethods`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::TotalCount => "totalCount",
            Self::DistinctCount => "distinctCount",
            Self::Sum => "sum",
            Self::Avg => "avg",
            Self::Min => "min",
            Self::Max => "max",
            Self::StdDev => "stddev",
            Self::SumSq => "sumsq",
        }
    }
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

    /// Where the time that is asked for begins, if it does.
    #[must_use]
    pub fn start(&self) -> Option<Time> {
        match *self {
            Self::Before(_) => None,
            Self::After(start) | Self::Between(start, _) => Some(start),
        }
    }

    /// Where it ends, if it does.
    #[must_use]
    pub fn end(&self) -> Option<Time> {
        match *self {
            Self::After(_) => None,
            Self::Before(end) | Self::Between(_, end) => Some(end),
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
