//! `now()`, `current_timestamp` and `current_date` by the city's clock, which may be virtual.

use std::sync::Arc;

use city_model::Time;
use datafusion::arrow::datatypes::{DataType, TimeUnit};
use datafusion::logical_expr::{ColumnarValue, ScalarUDF, Volatility, create_udf};
use datafusion::scalar::ScalarValue;

/// In place of the engine's own, which ask the machine.
pub fn functions(now: Time) -> [ScalarUDF; 2] {
    const DAY_MICROS: i64 = 86_400 * 1_000_000;
    let zone: Arc<str> = "+00:00".into();
    let instant = ScalarValue::TimestampNanosecond(now.as_micros().checked_mul(1_000), Some(Arc::clone(&zone)));
    let day = ScalarValue::Date32(i32::try_from(now.as_micros().div_euclid(DAY_MICROS)).ok());
    let constant = |name: &str, kind: DataType, value: ScalarValue| {
        let say = move |_: &[ColumnarValue]| Ok(ColumnarValue::Scalar(value.clone()));
        create_udf(name, Vec::new(), kind, Volatility::Stable, Arc::new(say))
    };
    [
        constant("now", DataType::Timestamp(TimeUnit::Nanosecond, Some(zone)), instant)
            .with_aliases(["current_timestamp"]),
        constant("current_date", DataType::Date32, day).with_aliases(["today"]),
    ]
}
