//! The functions of the mapping language, beside those of CEL. A blank goes in, null comes out: a gap
//! stays a gap. Each is written once, for the interpreter and for the short way of simple expressions.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use cel::common::value::CowVal;
use cel::{Context, ExecutionError, FunctionContext};
use city_model::Time;

use crate::geometry;
use crate::item::Item;
use crate::meter::{EVALUATION_BUDGET, METER, Meter};
use crate::value::{from_val, to_val};
use crate::zone::{self, Zone};
use crate::{plane, unit};

/// Code lists by name; of each, values by code.
pub(crate) type CodeLists = HashMap<Box<str>, HashMap<Box<str>, Item<'static>>>;

/// What functions take from the mapping beside their arguments.
#[derive(Debug, Default)]
pub(crate) struct Settings {
    pub(crate) zone: Option<Zone>,
    pub(crate) codes: CodeLists,
}

/// One function, and how many arguments it takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Function {
    Number,
    Integer,
    Text,
    Trim,
    Halfwidth,
    Blank,
    Coalesce,
    Time,
    EpochMs,
    EpochS,
    Code,
    Point,
    Centroid,
    Replace,
    Split,
    Round,
    Uri,
    Unit,
    Plane,
}

/// Name, function, fewest and most arguments.
pub(crate) const FUNCTIONS: [(&str, Function, usize, usize); 19] = [
    ("number", Function::Number, 1, 1),
    ("integer", Function::Integer, 1, 1),
    ("text", Function::Text, 1, 1),
    ("trim", Function::Trim, 1, 1),
    ("halfwidth", Function::Halfwidth, 1, 1),
    ("blank", Function::Blank, 1, 1),
    ("coalesce", Function::Coalesce, 1, 16),
    ("time", Function::Time, 1, 2),
    ("epoch_ms", Function::EpochMs, 1, 1),
    ("epoch_s", Function::EpochS, 1, 1),
    ("code", Function::Code, 2, 3),
    ("point", Function::Point, 2, 2),
    ("centroid", Function::Centroid, 1, 1),
    ("replace", Function::Replace, 3, 3),
    ("split", Function::Split, 2, 2),
    ("round", Function::Round, 2, 2),
    ("uri", Function::Uri, 1, 1),
    ("unit", Function::Unit, 3, 3),
    ("plane", Function::Plane, 3, 3),
];

impl Function {
    pub(crate) fn find(name: &str, arguments: usize) -> Option<Self> {
        let found = FUNCTIONS.iter().find(|(own, ..)| *own == name);
        found.filter(|(_, _, min, max)| (*min..=*max).contains(&arguments)).map(|(_, function, ..)| *function)
    }

    pub(crate) fn call<'a>(self, settings: &Settings, arguments: &[Item<'a>]) -> Result<Item<'a>, String> {
        let null = Item::Null;
        let at = |place: usize| arguments.get(place).unwrap_or(&null);
        let first = at(0);
        match self {
            Self::Blank => return Ok(Item::Bool(first.is_blank())),
            Self::Coalesce => {
                return Ok(arguments.iter().find(|item| !item.is_blank()).cloned().unwrap_or(Item::Null));
            }
            // The first argument is the name of a list.
            Self::Code => return code(settings, arguments),
            Self::Point | Self::Plane if at(1).is_blank() => return Ok(Item::Null),
            _ if first.is_blank() => return Ok(Item::Null),
            _ => {}
        }
        match self {
            Self::Number => number(first).map(Item::Float),
            Self::Integer => integer(first).map(Item::Int),
            Self::Text => text(first).map(Item::Text),
            Self::Trim => Ok(Item::Text(trimmed(string(first)?))),
            Self::Halfwidth => Ok(Item::Text(halfwidth(string(first)?))),
            Self::Time => match first {
                Item::Time(time) => Ok(Item::Time(*time)),
                _ => {
                    let zone = match arguments.get(1) {
                        Some(name) => Some(Zone::parse(&string(name)?)?),
                        None => settings.zone,
                    };
                    zone::read(&trimmed(halfwidth(string(first)?)), zone).map(Item::Time)
                }
            },
            Self::EpochMs => epoch(first, 1_000).map(Item::Time),
            Self::EpochS => epoch(first, 1_000_000).map(Item::Time),
            Self::Point => {
                let json = geometry::point(number(first)?, number(at(1))?)?;
                Ok(Item::Geometry(json.into()))
            }
            Self::Centroid => match first {
                Item::Geometry(json) => {
                    let centre = geometry::parse(json)?.centroid().ok_or("the geometry is empty")?;
                    Ok(Item::Geometry(geometry::point(centre.lon, centre.lat)?.into()))
                }
                other => Err(format!("centroid takes a geometry, not {}", other.type_name())),
            },
            Self::Replace => {
                let (whole, from, to) = (string(first)?, string(at(1))?, string(at(2))?);
                if whole.len().saturating_mul(to.len().max(1)) > EVALUATION_BUDGET {
                    return Err("replace would make a text that is too long".to_owned());
                }
                Ok(Item::Text(Cow::Owned(whole.replace(&*from, &to))))
            }
            Self::Split => {
                let (whole, by) = (string(first)?, string(at(1))?);
                if by.is_empty() {
                    return Err("split needs a separator".to_owned());
                }
                let parts = whole.split(&*by).map(|part| Item::Text(Cow::Owned(part.to_owned())));
                Ok(Item::List(parts.collect()))
            }
            Self::Round => {
                const DIGITS_MAX: i64 = 15;
                let digits = integer(at(1))?;
                if !(0..=DIGITS_MAX).contains(&digits) {
                    return Err(format!("round takes 0 to {DIGITS_MAX} digits"));
                }
                // Through decimal text: what is rounded is what a person would write.
                let digits = usize::try_from(digits).unwrap_or(0);
                let rounded = format!("{:.*}", digits, number(first)?);
                rounded.parse().map(Item::Float).map_err(|_| "round failed".to_owned())
            }
            Self::Uri => Ok(Item::Text(uri_part(&text(first)?))),
            Self::Unit => unit::convert(number(first)?, &string(at(1))?, &string(at(2))?).map(Item::Float),
            Self::Plane => {
                let (lon, lat) = plane::to_degrees(number(first)?, number(at(1))?, integer(at(2))?)?;
                Ok(Item::Geometry(geometry::point(lon, lat)?.into()))
            }
            Self::Blank | Self::Coalesce | Self::Code => Ok(Item::Null),
        }
    }
}

fn string<'a>(item: &Item<'a>) -> Result<Cow<'a, str>, String> {
    match item {
        Item::Text(text) => Ok(text.clone()),
        other => Err(format!("a text is needed, not {}", other.type_name())),
    }
}

fn text<'a>(item: &Item<'a>) -> Result<Cow<'a, str>, String> {
    match item {
        Item::Text(text) => Ok(text.clone()),
        Item::Bool(value) => Ok(Cow::Owned(value.to_string())),
        Item::Int(value) => Ok(Cow::Owned(value.to_string())),
        Item::Float(value) => Ok(Cow::Owned(value.to_string())),
        Item::Time(time) => Ok(Cow::Owned(time.to_string())),
        other => Err(format!("{} is no text", other.type_name())),
    }
}

#[expect(clippy::cast_precision_loss, reason = "number() says floating point")]
fn number(item: &Item) -> Result<f64, String> {
    match item {
        Item::Int(value) => Ok(*value as f64),
        Item::Float(value) => Ok(*value),
        Item::Text(text) => {
            // Plain digits first: this is the way of millions of readings.
            let read = |text: &str| text.parse::<f64>().ok().filter(|value| value.is_finite());
            let found = read(text).or_else(|| read(&trimmed(halfwidth(text.clone()))));
            found.ok_or_else(|| format!("\"{text}\" is no number"))
        }
        other => Err(format!("{} is no number", other.type_name())),
    }
}

fn integer(item: &Item) -> Result<i64, String> {
    /// Up to here every whole number in floating point is exact.
    const EXACT: f64 = 9_007_199_254_740_992.0;
    match item {
        Item::Int(value) => Ok(*value),
        #[expect(clippy::cast_possible_truncation, reason = "whole and within the exact range")]
        Item::Float(value) if value.fract() == 0.0 && value.abs() <= EXACT => Ok(*value as i64),
        Item::Float(value) => Err(format!("{value} is no whole number")),
        Item::Text(text) => {
            let found = text.parse().or_else(|_| trimmed(halfwidth(text.clone())).parse());
            found.map_err(|_| format!("\"{text}\" is no whole number"))
        }
        other => Err(format!("{} is no whole number", other.type_name())),
    }
}

fn epoch(item: &Item, micros_each: i64) -> Result<Time, String> {
    let micros = integer(item)?.checked_mul(micros_each).ok_or("the time is out of range")?;
    // Years 0001 to 9999: what RFC 3339 can write.
    const RANGE: std::ops::RangeInclusive<i64> = -62_135_596_800_000_000..=253_402_300_799_999_999;
    if !RANGE.contains(&micros) {
        return Err("the time is out of range".to_owned());
    }
    Ok(Time::from_micros(micros))
}

fn trimmed(text: Cow<'_, str>) -> Cow<'_, str> {
    match text {
        Cow::Borrowed(text) => Cow::Borrowed(text.trim()),
        Cow::Owned(text) => Cow::Owned(text.trim().to_owned()),
    }
}

/// Full-width forms of ASCII and the ideographic space as ASCII (the part of NFKC that forms need);
/// katakana stays as it is.
pub(crate) fn halfwidth(text: Cow<'_, str>) -> Cow<'_, str> {
    const SHIFT: u32 = 0xfee0;
    let half = |c: char| match c {
        '\u{3000}' => ' ',
        '\u{ff01}'..='\u{ff5e}' => char::from_u32(u32::from(c) - SHIFT).unwrap_or(c),
        '\u{2212}' => '-',
        other => other,
    };
    if text.is_ascii() || text.chars().all(|c| half(c) == c) {
        return text;
    }
    Cow::Owned(text.chars().map(half).collect())
}

/// Percent-encodes what an entity id may not hold; Japanese stays readable.
fn uri_part(text: &str) -> Cow<'static, str> {
    let mut part = String::with_capacity(text.len());
    for c in text.trim().chars() {
        if c.is_control() || c.is_whitespace() || "<>\"{}|\\^`%#?/:".contains(c) {
            let mut bytes = [0; 4];
            for byte in c.encode_utf8(&mut bytes).bytes() {
                part.push('%');
                part.push_str(&format!("{byte:02X}"));
            }
        } else {
            part.push(c);
        }
    }
    Cow::Owned(part)
}

fn code<'a>(settings: &Settings, arguments: &[Item<'a>]) -> Result<Item<'a>, String> {
    let [name, key, otherwise @ ..] = arguments else { return Err("code takes a list and a key".to_owned()) };
    let name = string(name)?;
    let list = settings.codes.get(&*name).ok_or_else(|| format!("the mapping has no code list \"{name}\""))?;
    if key.is_blank() {
        return Ok(Item::Null);
    }
    let key = text(key)?;
    match (list.get(key.trim()), otherwise.first()) {
        (Some(item), _) => Ok(item.clone()),
        (None, Some(otherwise)) => Ok(otherwise.clone()),
        (None, None) => Err(format!("the code list \"{name}\" has no code \"{key}\"")),
    }
}

type CelFunction = Box<
    dyn for<'context, 'call> Fn(
            &mut FunctionContext<'context, 'call>,
        ) -> Result<CowVal<'context, 'call>, ExecutionError>
        + Send
        + Sync,
>;

/// Makes all functions known to the interpreter, as `f(x, y)` and as `x.f(y)`.
pub(crate) fn add_functions(
    context: &mut Context<'static, 'static>,
    settings: &Arc<Settings>,
) -> Result<(), cel::DeclarationError> {
    for (name, function, min, max) in FUNCTIONS {
        let settings = Arc::clone(settings);
        let call: CelFunction = Box::new(move |call| {
            let count = usize::from(call.this.is_some()) + call.args.len();
            if !(min..=max).contains(&count) {
                return Err(ExecutionError::function_error(name, format!("it takes {min} to {max} arguments")));
            }
            let mut items = Vec::with_capacity(count);
            for value in call.this.iter().chain(&call.args) {
                items.push(from_val(value.as_ref()).map_err(|why| ExecutionError::function_error(name, why))?);
            }
            let result =
                function.call(&settings, &items).map_err(|why| ExecutionError::function_error(name, why))?.into_owned();
            let cost = items.iter().map(Item::weight).sum::<usize>() + result.weight();
            if let Some(meter) = call.ptx.get_variable(METER) {
                meter.downcast_ref::<Meter>().map_or(Ok(()), |meter| meter.spend(cost))?;
            }
            Ok(CowVal::Owned(to_val(result)))
        });
        context.add_function(name, call)?;
    }
    Ok(())
}
