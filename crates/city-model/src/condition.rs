//! Conditions on an entity that permits are made of: what a policy still asks once it is known who asks,
//! to do what, for which purpose.
//!
//! An entity comes in; true, false or an error goes out. The third answer is what the policy language
//! gives where an attribute is missing or of another kind, and it travels as it does there: left before
//! right, and a policy that ends in it does not apply. So a condition and the policy it came from agree.

use std::fmt;

use crate::entity::{Entity, Instance, Kind};
use crate::name::{EntityId, Name, Scope};
use crate::value::Value;

/// Deepest nesting and most parts of a condition; what is beyond cannot be part of a permit.
pub const CONDITION_DEPTH_MAX: usize = 64;

#[derive(Debug, Clone, PartialEq)]
pub enum Condition {
    Always,
    Never,
    All(Vec<Condition>),
    Any(Vec<Condition>),
    Not(Box<Condition>),
    /// Where the first holds the second, else the third.
    IfElse(Box<[Condition; 3]>),
    /// One of its types is this one.
    Type(Name),
    /// One of its scopes is this one, or lies below it.
    Within(Scope),
    Id(EntityId),
    IdLike(Like),
    /// The attribute has a plain value; see [`plain`].
    Has(Name),
    Compare(Operand, Comparison, Operand),
    /// The first is a list that holds the second.
    Contains(Operand, Operand),
    Like(Name, Like),
    /// The attribute is true.
    IsTrue(Name),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Comparison {
    Equal,
    Less,
    LessOrEqual,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Operand {
    /// A text, a whole number, a truth value or a list of these.
    Value(Value),
    Attribute(Name),
}

/// A text with gaps: `urn:ngsi-ld:BusStop:*`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Like {
    /// Between two of them lies anything.
    parts: Vec<Box<str>>,
}

/// Why there is neither true nor false.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Undecided;

impl Condition {
    #[must_use]
    pub fn holds(&self, entity: &Entity) -> bool {
        self.decide(entity) == Ok(true)
    }

    pub fn decide(&self, entity: &Entity) -> Result<bool, Undecided> {
        Ok(match self {
            Self::Always => true,
            Self::Never => false,
            Self::All(all) => {
                for condition in all {
                    if !condition.decide(entity)? {
                        return Ok(false);
                    }
                }
                true
            }
            Self::Any(any) => {
                for condition in any {
                    if condition.decide(entity)? {
                        return Ok(true);
                    }
                }
                false
            }
            Self::Not(condition) => !condition.decide(entity)?,
            Self::IfElse(parts) => {
                let [test, then, or] = &**parts;
                return if test.decide(entity)? { then.decide(entity) } else { or.decide(entity) };
            }
            Self::Type(name) => entity.types.contains(name),
            Self::Within(above) => entity.scopes.iter().any(|scope| scope.is_within(above)),
            Self::Id(id) => entity.id == *id,
            Self::IdLike(like) => like.matches(entity.id.as_str()),
            Self::Has(name) => value_of(entity, name).is_some(),
            Self::Compare(left, comparison, right) => {
                let (left, right) = (left.of(entity)?, right.of(entity)?);
                match (comparison, left, right) {
                    (Comparison::Equal, left, right) => same(left, right),
                    (Comparison::Less, Value::Int(left), Value::Int(right)) => left < right,
                    (Comparison::LessOrEqual, Value::Int(left), Value::Int(right)) => left <= right,
                    _ => return Err(Undecided),
                }
            }
            Self::Contains(list, one) => match (list.of(entity)?, one.of(entity)?) {
                (Value::List(items), one) => items.iter().any(|item| same(item, one)),
                _ => return Err(Undecided),
            },
            Self::Like(name, like) => match value_of(entity, name) {
                Some(Value::Text(text)) => like.matches(text),
                _ => return Err(Undecided),
            },
            Self::IsTrue(name) => match value_of(entity, name) {
                Some(Value::Bool(flag)) => *flag,
                _ => return Err(Undecided),
            },
        })
    }

    /// Whether it asks only for what an entity keeps of itself in its past: id, types, scopes.
    #[must_use]
    pub fn is_of_identity(&self) -> bool {
        match self {
            Self::All(parts) | Self::Any(parts) => parts.iter().all(Self::is_of_identity),
            Self::Not(condition) => condition.is_of_identity(),
            Self::IfElse(parts) => parts.iter().all(Self::is_of_identity),
            Self::Always | Self::Never | Self::Type(_) | Self::Within(_) | Self::Id(_) | Self::IdLike(_) => true,
            Self::Has(_) | Self::Compare(..) | Self::Contains(..) | Self::Like(..) | Self::IsTrue(_) => false,
        }
    }
}

impl Operand {
    fn of<'e>(&'e self, entity: &'e Entity) -> Result<&'e Value, Undecided> {
        match self {
            Self::Value(value) => Ok(value),
            Self::Attribute(name) => value_of(entity, name).ok_or(Undecided),
        }
    }
}

impl Like {
    /// At least one part; two parts have one gap between them.
    #[must_use]
    pub fn new(parts: Vec<Box<str>>) -> Self {
        Self { parts }
    }

    #[must_use]
    pub fn matches(&self, text: &str) -> bool {
        let Some((first, rest)) = self.parts.split_first() else { return text.is_empty() };
        let Some((last, middle)) = rest.split_last() else { return text == &**first };
        let Some(mut text) = text.strip_prefix(&**first) else { return false };
        for part in middle {
            match text.find(&**part) {
                Some(at) => text = &text[at + part.len()..],
                None => return false,
            }
        }
        text.ends_with(&**last)
    }
}

/// For whoever asks why: `type X and not (within /Koto or owner = "a")`.
impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let joined = |f: &mut fmt::Formatter<'_>, parts: &[Self], word: &str| {
            f.write_str("(")?;
            for (at, part) in parts.iter().enumerate() {
                if at > 0 {
                    write!(f, " {word} ")?;
                }
                write!(f, "{part}")?;
            }
            f.write_str(")")
        };
        match self {
            Self::Always => f.write_str("always"),
            Self::Never => f.write_str("never"),
            Self::All(parts) => joined(f, parts, "and"),
            Self::Any(parts) => joined(f, parts, "or"),
            Self::Not(part) => write!(f, "not {part}"),
            Self::IfElse(parts) => write!(f, "(if {} then {} else {})", parts[0], parts[1], parts[2]),
            Self::Type(name) => write!(f, "type {name}"),
            Self::Within(scope) => write!(f, "within {scope}"),
            Self::Id(id) => write!(f, "id {id}"),
            Self::IdLike(like) => write!(f, "id like {like}"),
            Self::Has(name) => write!(f, "has {name}"),
            Self::Compare(left, comparison, right) => {
                let sign = match comparison {
                    Comparison::Equal => "=",
                    Comparison::Less => "<",
                    Comparison::LessOrEqual => "<=",
                };
                write!(f, "{left} {sign} {right}")
            }
            Self::Contains(list, one) => write!(f, "{list} contains {one}"),
            Self::Like(name, like) => write!(f, "{name} like {like}"),
            Self::IsTrue(name) => write!(f, "{name}"),
        }
    }
}

impl fmt::Display for Operand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Value(value) => write!(f, "{value:?}"),
            Self::Attribute(name) => write!(f, "{name}"),
        }
    }
}

impl fmt::Display for Like {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts: Vec<&str> = self.parts.iter().map(|part| &**part).collect();
        write!(f, "\"{}\"", parts.join("*"))
    }
}

/// What a policy may ask of an attribute: the value of its default instance, if it is a text, a whole
/// number, a truth value, or a list of these; of a Relationship what it points to.
#[must_use]
pub fn plain(instance: &Instance) -> Option<&Value> {
    let value = match &instance.kind {
        Kind::Property(value) | Kind::VocabProperty(value) | Kind::Relationship { object: value, .. } => value,
        _ => return None,
    };
    let is_plain = |value: &Value| matches!(value, Value::Text(_) | Value::Int(_) | Value::Bool(_));
    match value {
        Value::List(items) => items.iter().all(is_plain).then_some(value),
        _ => is_plain(value).then_some(value),
    }
}

fn value_of<'e>(entity: &'e Entity, name: &Name) -> Option<&'e Value> {
    entity.find(name.as_str()).and_then(|attribute| attribute.find(None)).and_then(plain)
}

/// Lists are sets there: order and repeats do not count.
fn same(left: &Value, right: &Value) -> bool {
    match (left, right) {
        (Value::List(left), Value::List(right)) => {
            left.iter().all(|one| right.contains(one)) && right.iter().all(|one| left.contains(one))
        }
        (left, right) => left == right,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entity::Attribute;

    fn name(text: &str) -> Name {
        Name::parse(text).unwrap()
    }

    fn stop() -> Entity {
        let mut entity = Entity::new(EntityId::parse("urn:ngsi-ld:BusStop:7").unwrap(), vec![name("BusStop")]);
        entity.scopes.push(Scope::parse("/Koto/Ariake").unwrap());
        let property = |text, value| Attribute::new(name(text), Instance::new(Kind::Property(value)));
        entity.attributes.push(property("lines", Value::Int(3)));
        entity.attributes.push(property("share", Value::Float(0.5)));
        entity
    }

    #[test]
    fn what_is_missing_or_of_another_kind_decides_nothing() {
        let equal =
            |text, value| Condition::Compare(Operand::Attribute(name(text)), Comparison::Equal, Operand::Value(value));
        let less = |text| {
            let limit = Operand::Value(Value::Int(5));
            Condition::Compare(Operand::Attribute(name(text)), Comparison::Less, limit)
        };
        assert_eq!(equal("lines", Value::Int(3)).decide(&stop()), Ok(true));
        assert_eq!(equal("lines", Value::text("3")).decide(&stop()), Ok(false));
        assert_eq!(equal("absent", Value::Int(3)).decide(&stop()), Err(Undecided));
        assert_eq!(less("share").decide(&stop()), Err(Undecided), "fractions are no part of policies");
        let not = Condition::Not(Box::new(equal("absent", Value::Int(3))));
        assert!(!not.holds(&stop()), "an error is not turned into a yes");
        let guarded = Condition::All(vec![Condition::Has(name("absent")), equal("absent", Value::Int(3))]);
        assert_eq!(guarded.decide(&stop()), Ok(false), "left decides before right is asked");
        assert_eq!(Condition::Any(vec![less("absent"), Condition::Always]).decide(&stop()), Err(Undecided));
    }

    #[test]
    fn scopes_hold_what_lies_below_them_and_gaps_anything() {
        let within = |text| Condition::Within(Scope::parse(text).unwrap()).holds(&stop());
        assert!(within("/Koto") && within("/Koto/Ariake"));
        assert!(!within("/Ko") && !within("/Koto/Ariake/3"));
        let like = |text: &str| Like::new(text.split('*').map(Into::into).collect()).matches("urn:ngsi-ld:BusStop:7");
        assert!(like("urn:*:BusStop:*") && like("*") && like("urn:ngsi-ld:BusStop:7") && like("*7"));
        assert!(!like("urn:*:Bus:*") && !like("urn") && !like("*8") && !like("urn:ngsi-ld:BusStop:7*7"));
    }
}
