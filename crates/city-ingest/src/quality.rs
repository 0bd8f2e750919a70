//! Whether a value is one that its source can have meant.

use crate::item::Item;
use crate::spec::{BeyondSpec, InstanceSpec, KindSpec};

/// The sub-attribute that says what was found.
pub(crate) const QUALITY: &str = "quality";

/// From the lowest to the highest value that is believed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Range {
    low: f64,
    high: f64,
    beyond: BeyondSpec,
}

impl Range {
    pub(crate) fn of((low, high): (f64, f64), spec: &InstanceSpec) -> Result<Self, String> {
        if !(low.is_finite() && high.is_finite() && low <= high) {
            return Err("it is the lowest value and the highest, as in [-5, 40]".to_owned());
        }
        if spec.kind != KindSpec::Property {
            return Err("only a Property has one".to_owned());
        }
        if spec.attributes.0.iter().any(|(name, _)| name == QUALITY) {
            return Err(format!("it says what it finds in {QUALITY}, which stands among the attributes"));
        }
        Ok(Self { low, high, beyond: spec.beyond })
    }

    /// What is said of a value; an `Err` rejects its row.
    pub(crate) fn judge(&self, value: &Item) -> Result<&'static str, String> {
        let number = match value {
            Item::Int(value) => *value as f64,
            Item::Float(value) => *value,
            other => return Err(format!("a range is of numbers, and this is {}", other.type_name())),
        };
        let found = match number {
            number if number < self.low => "belowRange",
            number if number > self.high => "aboveRange",
            _ => return Ok("good"),
        };
        match self.beyond {
            BeyondSpec::Flag => Ok(found),
            BeyondSpec::Reject => Err(format!("{number} is not within {} and {}", self.low, self.high)),
        }
    }
}
