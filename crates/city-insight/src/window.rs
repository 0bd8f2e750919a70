//! Windows of a condition: what readings of the watched entity say together, over some time up to now.
//!
//! `mean(waterLevel, "PT30M") > 2.0`: a call comes out of the expression and a name takes its place; readings
//! come in, and a number goes out, or nothing where they say none.

use cel::Value as Cel;
use cel::common::ast::{CallExpr, EntryExpr, Expr, IdedExpr, LiteralValue};
use city_model::{EntityId, Name, Period, Time, Value};

/// Most windows of one condition.
const WINDOWS_MAX: usize = 8;
/// Longest window.
pub const WINDOW_MICROS_MAX: i64 = 31 * 86_400 * 1_000_000;
/// Most readings that one window looks at.
pub const READINGS_MAX: usize = 100_000;
/// The functions, as they are written.
pub const FUNCTIONS: [&str; 7] = ["last", "mean", "rate", "count", "quantile", "held", "absent"];

/// The past of entities, as far as a rule may see it.
pub trait Past {
    /// Readings of an attribute after `from`, up to `to`, in the order of time; before them the one that stood
    /// at `from`, if there was one. `Err` says why it cannot be read.
    fn readings(&self, of: &EntityId, attribute: &Name, from: Time, to: Time) -> Result<Readings, String>;
}

#[derive(Debug, Clone, Default, PartialEq)]
pub struct Readings {
    pub standing: Option<Value>,
    pub within: Vec<(Time, Value)>,
}

/// What is so at a time, with what was before.
pub struct Moment<'p> {
    pub at: Time,
    pub past: &'p dyn Past,
}

#[derive(Debug, Clone, PartialEq)]
enum Kind {
    /// The newest reading.
    Last,
    Mean,
    /// How fast it changes, in its unit a second: from the first to the last reading.
    Rate,
    Count,
    Quantile(f64),
    /// For how many seconds it had this value.
    Held(Value),
    /// Whether nothing was read.
    Absent,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Window {
    kind: Kind,
    /// As it is written.
    pub attribute: Box<str>,
    micros: i64,
}

/// The name that stands for a window; no expression that is written can name it so.
#[must_use]
pub fn name_of(which: usize) -> String {
    format!("window~{which}")
}

/// Takes the windows out of an expression.
pub fn take_out(ast: &mut IdedExpr) -> Result<Vec<Window>, String> {
    let mut windows = Vec::new();
    take(ast, &mut windows)?;
    Ok(windows)
}

fn take(ast: &mut IdedExpr, windows: &mut Vec<Window>) -> Result<(), String> {
    match &mut ast.expr {
        Expr::Call(call) if FUNCTIONS.contains(&call.func_name.as_str()) => {
            if windows.len() >= WINDOWS_MAX {
                return Err(format!("there may be {WINDOWS_MAX} windows at most"));
            }
            let window = window_of(call)?;
            ast.expr = Expr::Ident(name_of(windows.len()));
            windows.push(window);
            Ok(())
        }
        Expr::Call(call) => {
            call.target.as_deref_mut().into_iter().chain(&mut call.args).try_for_each(|inner| take(inner, windows))
        }
        Expr::Select(select) => take(&mut select.operand, windows),
        Expr::List(list) => list.elements.iter_mut().try_for_each(|inner| take(inner, windows)),
        Expr::Map(map) => map.entries.iter_mut().try_for_each(|entry| match &mut entry.expr {
            EntryExpr::MapEntry(entry) => {
                take(&mut entry.key, windows)?;
                take(&mut entry.value, windows)
            }
            EntryExpr::StructField(_) => Ok(()),
        }),
        Expr::Ident(_) | Expr::Comprehension(_) | Expr::Struct(_) | Expr::Literal(_) | Expr::Unspecified => Ok(()),
    }
}

fn window_of(call: &CallExpr) -> Result<Window, String> {
    let name = &call.func_name;
    let usage = || match name.as_str() {
        "quantile" => "quantile(attribute, 0.9, \"PT1H\")".to_owned(),
        "held" => "held(attribute, \"value\", \"PT1H\")".to_owned(),
        name => format!("{name}(attribute, \"PT1H\")"),
    };
    let wrong = || format!("{name} is written as {}", usage());
    let (attribute, parameter, span) = match (call.target.as_deref(), call.args.as_slice()) {
        (None, [attribute, span]) => (attribute, None, span),
        (None, [attribute, parameter, span]) => (attribute, Some(parameter), span),
        _ => return Err(wrong()),
    };
    let Expr::Ident(attribute) = &attribute.expr else { return Err(wrong()) };
    let micros = match literal(span) {
        Some(Value::Text(text)) => span_of(&text)?,
        _ => return Err(wrong()),
    };
    let kind = match (name.as_str(), parameter.map(literal)) {
        ("last", None) => Kind::Last,
        ("mean", None) => Kind::Mean,
        ("rate", None) => Kind::Rate,
        ("count", None) => Kind::Count,
        ("absent", None) => Kind::Absent,
        ("held", Some(Some(value))) => Kind::Held(value),
        ("quantile", Some(Some(value))) => match value.as_f64() {
            Some(share) if (0.0..=1.0).contains(&share) => Kind::Quantile(share),
            _ => return Err("quantile takes a share from 0.0 to 1.0".to_owned()),
        },
        _ => return Err(wrong()),
    };
    Ok(Window { kind, attribute: attribute.as_str().into(), micros })
}

fn literal(ast: &IdedExpr) -> Option<Value> {
    match &ast.expr {
        Expr::Literal(LiteralValue::String(text)) => Some(Value::text(text.inner())),
        Expr::Literal(LiteralValue::Double(number)) => Some(Value::Float(*number.inner())),
        Expr::Literal(LiteralValue::Int(number)) => Some(Value::Int(*number.inner())),
        Expr::Literal(LiteralValue::Boolean(truth)) => Some(Value::Bool(*truth.inner())),
        _ => None,
    }
}

fn span_of(text: &str) -> Result<i64, String> {
    let period = Period::parse(text).filter(|period| !period.is_whole());
    let micros = period.map(|period| period.start(Time::from_micros(0), 1).as_micros());
    match micros {
        Some(micros) if (1_000_000..=WINDOW_MICROS_MAX).contains(&micros) => Ok(micros),
        _ => Err(format!("\"{text}\" is no duration from PT1S to P31D, such as PT30M")),
    }
}

impl Window {
    /// What it says of an entity at a moment; `None` where there is too little to say it.
    pub fn value(&self, of: &EntityId, name: &Name, moment: &Moment<'_>) -> Result<Option<Cel>, String> {
        let from = moment.at.plus_micros(-self.micros);
        let readings = moment.past.readings(of, name, from, moment.at)?;
        Ok(self.of(&readings, from, moment.at))
    }

    fn of(&self, readings: &Readings, from: Time, to: Time) -> Option<Cel> {
        let within = &readings.within;
        let numbers = || within.iter().filter_map(|(at, value)| Some((*at, value.as_f64()?)));
        match &self.kind {
            Kind::Last => within.last().map(|(_, value)| crate::condition::cel_of(value)),
            Kind::Count => Some(Cel::Float(within.len() as f64)),
            Kind::Absent => Some(Cel::Bool(within.is_empty())),
            Kind::Mean => {
                let (count, sum) = numbers().fold((0.0, 0.0), |(count, sum), (_, number)| (count + 1.0, sum + number));
                (count > 0.0).then(|| Cel::Float(sum / count))
            }
            Kind::Rate => {
                let (first, last) = (numbers().next()?, numbers().next_back()?);
                let seconds = (last.0.as_micros() - first.0.as_micros()) as f64 / 1e6;
                (seconds > 0.0).then(|| Cel::Float((last.1 - first.1) / seconds))
            }
            Kind::Quantile(share) => {
                let mut sorted: Vec<f64> = numbers().map(|(_, number)| number).collect();
                sorted.sort_by(f64::total_cmp);
                // The nearest rank: a value that was read.
                let rank = (share * sorted.len() as f64).ceil().max(1.0) as usize;
                sorted.get(rank - 1).map(|number| Cel::Float(*number))
            }
            Kind::Held(wanted) => {
                let (mut held, mut since, mut holds) =
                    (0, from, readings.standing.as_ref().is_some_and(|own| alike(own, wanted)));
                for (at, value) in within.iter().map(|(at, value)| (*at, Some(value))).chain([(to, None)]) {
                    held += if holds { at.as_micros() - since.as_micros() } else { 0 };
                    since = at;
                    holds = value.is_some_and(|own| alike(own, wanted));
                }
                Some(Cel::Float(held as f64 / 1e6))
            }
        }
    }
}

/// Numbers are alike whether or not one happens to be whole.
fn alike(own: &Value, wanted: &Value) -> bool {
    match (own.as_f64(), wanted.as_f64()) {
        (Some(own), Some(wanted)) => own == wanted,
        _ => own == wanted,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn second(at: i64) -> Time {
        Time::from_micros(at * 1_000_000)
    }

    #[test]
    fn readings_of_a_window_say_one_thing_together() {
        let readings = |within: &[(i64, f64)]| Readings {
            standing: Some(Value::Float(1.0)),
            within: within.iter().map(|(at, value)| (second(*at), Value::Float(*value))).collect(),
        };
        let some = readings(&[(10, 1.0), (20, 2.0), (40, 5.0)]);
        let window = |kind| Window { kind, attribute: "level".into(), micros: 60_000_000 };
        let number = |kind, readings: &Readings| match window(kind).of(readings, second(0), second(60)) {
            Some(Cel::Float(number)) => Some(number),
            _ => None,
        };
        assert_eq!(number(Kind::Last, &some), Some(5.0));
        assert_eq!(number(Kind::Mean, &some), Some(8.0 / 3.0));
        assert_eq!(number(Kind::Rate, &some), Some(4.0 / 30.0));
        assert_eq!(number(Kind::Count, &some), Some(3.0));
        assert_eq!(number(Kind::Quantile(0.5), &some), Some(2.0));
        assert_eq!(number(Kind::Quantile(0.9), &some), Some(5.0));
        assert_eq!(number(Kind::Quantile(0.0), &some), Some(1.0));
        // It stood at 1 from before, and until it was 2.
        assert_eq!(number(Kind::Held(Value::Int(1)), &some), Some(20.0));
        assert_eq!(number(Kind::Held(Value::Int(5)), &some), Some(20.0));
        assert_eq!(window(Kind::Absent).of(&some, second(0), second(60)), Some(Cel::Bool(false)));
        let none = readings(&[]);
        assert_eq!(
            (number(Kind::Mean, &none), number(Kind::Rate, &none), number(Kind::Last, &none)),
            (None, None, None)
        );
        assert_eq!((number(Kind::Count, &none), number(Kind::Held(Value::Int(1)), &none)), (Some(0.0), Some(60.0)));
        assert_eq!(number(Kind::Rate, &readings(&[(10, 1.0)])), None, "one reading has no rate");
        assert_eq!(window(Kind::Absent).of(&none, second(0), second(60)), Some(Cel::Bool(true)));
    }
}
