//! What of a table a query wants, as far as our indexes help: ids, types, attributes and a span of time.
//!
//! The engine tests every condition again, so it is enough that nothing wanted is left out.

use city_model::Time;
use datafusion::arrow::datatypes::{DataType, TimeUnit};
use datafusion::common::ScalarValue;
use datafusion::logical_expr::{BinaryExpr, Expr, Operator};

/// `None` is everything.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Wanted {
    pub ids: Option<Vec<String>>,
    pub types: Option<Vec<String>>,
    pub attributes: Option<Vec<String>>,
    /// Included.
    pub from: Option<Time>,
    /// Included.
    pub to: Option<Time>,
}

impl Wanted {
    pub fn of(filters: &[Expr]) -> Self {
        let mut wanted = Self::default();
        filters.iter().for_each(|filter| wanted.narrow(filter));
        wanted
    }

    fn narrow(&mut self, filter: &Expr) {
        match filter {
            Expr::BinaryExpr(BinaryExpr { left, op: Operator::And, right }) => {
                self.narrow(left);
                self.narrow(right);
            }
            Expr::BinaryExpr(BinaryExpr { left, op, right }) => match (column(left), column(right)) {
                (Some(name), None) => self.compare(name, *op, right),
                (None, Some(name)) => {
                    if let Some(op) = op.swap() {
                        self.compare(name, op, left);
                    }
                }
                _ => {}
            },
            Expr::InList(list) if !list.negated => {
                let texts: Option<Vec<String>> = list.list.iter().map(text).collect();
                if let (Some(name), Some(texts)) = (column(&list.expr), texts) {
                    self.one_of(name, texts);
                }
            }
            Expr::Between(between) if !between.negated => {
                if let Some(name) = column(&between.expr) {
                    self.compare(name, Operator::GtEq, &between.low);
                    self.compare(name, Operator::LtEq, &between.high);
                }
            }
            _ => {}
        }
    }

    fn compare(&mut self, column: &str, op: Operator, value: &Expr) {
        match (column, op) {
            ("time", Operator::Gt | Operator::GtEq) => self.from = self.from.max(time(value)),
            ("time", Operator::Lt | Operator::LtEq) => self.to = least(self.to, time(value)),
            ("time", Operator::Eq) => {
                self.from = self.from.max(time(value));
                self.to = least(self.to, time(value));
            }
            (_, Operator::Eq) => {
                if let Some(text) = text(value) {
                    self.one_of(column, vec![text]);
                }
            }
            _ => {}
        }
    }

    fn one_of(&mut self, column: &str, texts: Vec<String>) {
        let own = match column {
            "id" | "entity_id" => &mut self.ids,
            "type" => &mut self.types,
            "attribute" => &mut self.attributes,
            _ => return,
        };
        match own {
            None => *own = Some(texts),
            Some(known) => known.retain(|text| texts.contains(text)),
        }
    }
}

fn least(a: Option<Time>, b: Option<Time>) -> Option<Time> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}

fn column(expr: &Expr) -> Option<&str> {
    match expr {
        Expr::Column(column) => Some(&column.name),
        // What widens a column for a comparison keeps its values apart; a narrowing cast does not.
        Expr::Cast(cast) if is_wide(cast.field.data_type()) => column(&cast.expr),
        _ => None,
    }
}

fn is_wide(data_type: &DataType) -> bool {
    matches!(
        data_type,
        DataType::Timestamp(TimeUnit::Microsecond | TimeUnit::Nanosecond, _)
            | DataType::Utf8
            | DataType::LargeUtf8
            | DataType::Utf8View
    )
}

fn text(expr: &Expr) -> Option<String> {
    match expr {
        Expr::Literal(
            ScalarValue::Utf8(Some(text)) | ScalarValue::LargeUtf8(Some(text)) | ScalarValue::Utf8View(Some(text)),
            _,
        ) => Some(text.clone()),
        _ => None,
    }
}

/// Of nanoseconds the microsecond that they lie in; a bound may be too wide, never too narrow.
fn time(expr: &Expr) -> Option<Time> {
    let Expr::Literal(value, _) = expr else { return None };
    let micros = match value {
        ScalarValue::TimestampSecond(Some(seconds), _) => seconds.checked_mul(1_000_000)?,
        ScalarValue::TimestampMillisecond(Some(millis), _) => millis.checked_mul(1_000)?,
        ScalarValue::TimestampMicrosecond(Some(micros), _) => *micros,
        ScalarValue::TimestampNanosecond(Some(nanos), _) => nanos.div_euclid(1_000),
        _ => return None,
    };
    Some(Time::from_micros(micros))
}

#[cfg(test)]
mod tests {
    use super::*;
    use datafusion::logical_expr::{col, lit};

    #[test]
    fn conditions_that_indexes_help_with_are_found() {
        let at = |micros| lit(ScalarValue::TimestampMicrosecond(Some(micros), Some("UTC".into())));
        let filters = [
            col("entity_id").eq(lit("urn:a:1")).and(col("number").gt(lit(3))),
            col("attribute").in_list(vec![lit("speed"), lit("level")], false),
            at(5).lt_eq(col("time")).and(col("time").lt(at(9))),
            col("type").eq(lit("A")).or(col("type").eq(lit("B"))),
        ];
        let wanted = Wanted::of(&filters);
        assert_eq!(wanted.ids, Some(vec!["urn:a:1".to_owned()]));
        assert_eq!(wanted.attributes, Some(vec!["speed".to_owned(), "level".to_owned()]));
        assert_eq!((wanted.from, wanted.to), (Some(Time::from_micros(5)), Some(Time::from_micros(9))));
        assert_eq!(wanted.types, None, "either of two is not narrowed");
    }
}
