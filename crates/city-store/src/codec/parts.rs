//! An instance's bytes taken apart and put together again, so that many of one series can lie column by
//! column: times and number on their own, and all the rest as a shape that most of them share.

use city_model::Time;

use super::instance::{HAS_CLASS, HAS_DELETED_AT, HAS_OBSERVED_AT, HAS_UNIT_CODE, IS_SEALED};
use super::{Reader, Writer};
use crate::Error;

/// An instance's bytes taken apart, so that many of one series can lie column by column.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct InstanceParts<'a> {
    flags: u8,
    pub created_at: Time,
    pub modified_at: Time,
    pub observed_at: Option<Time>,
    pub deleted: bool,
    /// The value of a Property that is a number.
    pub number: Option<Number>,
    /// What stands before the number; everything where there is none.
    before: &'a [u8],
    after: &'a [u8],
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Number {
    Int(i64),
    Float(f64),
}

const KIND_PROPERTY: u8 = 0;
const VALUE_INT: u8 = 3;
const VALUE_FLOAT: u8 = 4;
/// Whole numbers up to here are exact in f64.
const WHOLE_MAX: u64 = 1 << 53;

pub fn split_instance(bytes: &[u8]) -> Result<InstanceParts<'_>, Error> {
    let mut from = Reader::new(bytes);
    let flags = from.u8()?;
    let has = |flag| flags & flag != 0;
    let created_at = Time::from_micros(from.int()?);
    let modified_at = created_at.plus_micros(from.int()?);
    let observed_at = if has(HAS_OBSERVED_AT) { Some(modified_at.plus_micros(from.int()?)) } else { None };
    let rest = from.rest;
    let deleted = has(HAS_DELETED_AT);
    let opaque =
        InstanceParts { flags, created_at, modified_at, observed_at, deleted, number: None, before: rest, after: &[] };
    if has(IS_SEALED) {
        return Ok(opaque);
    }
    if has(HAS_UNIT_CODE) {
        from.raw()?;
    }
    if has(HAS_CLASS) {
        from.u8()?;
    }
    if deleted {
        from.int()?;
    }
    let number = match from.u8()? {
        KIND_PROPERTY => match from.u8()? {
            VALUE_INT | VALUE_FLOAT => Some(from.rest),
            _ => None,
        },
        _ => None,
    };
    let Some(at_number) = number else { return Ok(opaque) };
    let before = &rest[..rest.len() - at_number.len()];
    let number = match before.last() {
        Some(&VALUE_INT) => Number::Int(from.int()?),
        _ => Number::Float(from.f64()?),
    };
    let after = from.rest;
    // A whole number that f64 cannot hold stays as it is.
    let (number, before, after) = match number {
        Number::Int(int) if int.unsigned_abs() > WHOLE_MAX => (None, rest, &rest[rest.len()..]),
        number => (Some(number), before, after),
    };
    Ok(InstanceParts { flags, created_at, modified_at, observed_at, deleted, number, before, after })
}

impl<'a> InstanceParts<'a> {
    /// Whether all but the times is sealed by a person's key.
    #[must_use]
    pub fn is_sealed(&self) -> bool {
        self.flags & IS_SEALED != 0
    }

    /// All but times and number, as bytes: equal for most instances of a series.
    #[must_use]
    pub fn shape(&self) -> Vec<u8> {
        let mut out = Writer::default();
        out.u8(self.flags);
        out.u8(u8::from(self.number.is_some()));
        out.raw(self.before);
        out.raw(self.after);
        out.bytes
    }

    /// The parts of an instance of this shape. `observed_at` counts where the shape has one.
    pub fn of_shape(
        shape: &'a [u8],
        created_at: Time,
        modified_at: Time,
        observed_at: Time,
        number: f64,
    ) -> Result<Self, Error> {
        let mut from = Reader::new(shape);
        let (flags, has_number) = (from.u8()?, from.u8()? == 1);
        let (before, after) = (from.raw()?, from.raw()?);
        let number = match (has_number, before.last()) {
            (false, _) => None,
            (true, Some(&VALUE_INT)) => Some(Number::Int(number as i64)),
            (true, _) => Some(Number::Float(number)),
        };
        Ok(Self {
            flags,
            created_at,
            modified_at,
            observed_at: (flags & HAS_OBSERVED_AT != 0).then_some(observed_at),
            deleted: flags & HAS_DELETED_AT != 0,
            number,
            before,
            after,
        })
    }

    /// The instance's bytes, as `write_instance` made them.
    pub fn join(&self, out: &mut Writer) {
        out.u8(self.flags);
        out.int(self.created_at.as_micros());
        out.int(self.modified_at.as_micros() - self.created_at.as_micros());
        if let Some(observed_at) = self.observed_at {
            out.int(observed_at.as_micros() - self.modified_at.as_micros());
        }
        out.bytes.extend_from_slice(self.before);
        match self.number {
            Some(Number::Int(int)) => out.int(int),
            Some(Number::Float(float)) => out.f64(float),
            None => {}
        }
        out.bytes.extend_from_slice(self.after);
    }
}

impl Number {
    #[must_use]
    pub fn as_f64(self) -> f64 {
        match self {
            #[expect(clippy::cast_precision_loss, reason = "statistics are done in f64")]
            Self::Int(int) => int as f64,
            Self::Float(float) => float,
        }
    }
}
