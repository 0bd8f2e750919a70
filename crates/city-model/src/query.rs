//! Queries as values, and whether an entity answers them (CIM 009 clauses 4.7 to 4.10, 4.17, 4.19).
//!
//! The same evaluation serves queries, subscriptions and the filters of permits, so that what a
//! person may read is exactly what a person is notified of.

use crate::entity::{Attribute, Entity, Instance, Kind};
use crate::geometry::{GeoRelation, Geometry};
use crate::name::{EntityId, Name, Scope};
use crate::time::Time;
use crate::value::Value;

/// Which entities are asked for. Every part that is present must hold.
#[derive(Debug, Clone, Default)]
pub struct Query {
    /// Any of these; empty means any entity.
    pub selectors: Vec<EntitySelector>,
    /// The entity has at least one of these attributes; empty means no condition.
    pub attributes: Vec<Name>,
    pub filter: Option<Filter>,
    pub geo: Option<GeoQuery>,
    pub scope: Option<ScopeExpr>,
}

#[derive(Debug, Clone, Default)]
pub struct EntitySelector {
    /// Any of these; empty means any id.
    pub ids: Vec<EntityId>,
    pub id_pattern: Option<Pattern>,
    pub types: Option<TypeExpr>,
}

/// A selection of entity types (clause 4.17).
#[derive(Debug, Clone, PartialEq)]
pub enum TypeExpr {
    Type(Name),
    And(Vec<TypeExpr>),
    Or(Vec<TypeExpr>),
}

/// A regular expression in linear time. Finds anywhere unless it is anchored.
#[derive(Debug, Clone)]
pub struct Pattern(regex::Regex);

/// Largest compiled pattern: hostile ones end here, not in memory.
pub const PATTERN_BYTES_MAX: usize = 1 << 20;

/// The query language `q` (clause 4.9).
#[derive(Debug, Clone)]
pub enum Filter {
    And(Vec<Filter>),
    Or(Vec<Filter>),
    Term { path: AttributePath, test: Test },
}

/// `temperature.observedAt` or `address[city]`.
#[derive(Debug, Clone, PartialEq)]
pub struct AttributePath {
    pub attribute: Name,
    pub sub_attributes: Vec<Name>,
    pub members: Vec<Box<str>>,
}

#[derive(Debug, Clone)]
pub enum Test {
    Exists,
    NotExists,
    /// Equal to any of them.
    Equal(Vec<Operand>),
    NotEqual(Vec<Operand>),
    Greater(Operand),
    GreaterOrEqual(Operand),
    Less(Operand),
    LessOrEqual(Operand),
    Matches(Pattern),
    NotMatches(Pattern),
}

#[derive(Debug, Clone, PartialEq)]
pub enum Operand {
    Value(Value),
    Time(Time),
    /// From and to, both included.
    Range(Box<Operand>, Box<Operand>),
}

#[derive(Debug, Clone)]
pub struct GeoQuery {
    pub relation: GeoRelation,
    pub reference: Geometry,
    /// `location` unless another GeoProperty is named.
    pub property: Name,
    prepared: geo::Geometry,
}

/// A selection of scopes (clause 4.19).
#[derive(Debug, Clone, PartialEq)]
pub enum ScopeExpr {
    Pattern(ScopePattern),
    And(Vec<ScopeExpr>),
    Or(Vec<ScopeExpr>),
}

/// `/Madrid/+` one level, `/Madrid/#` it and all below.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScopePattern {
    levels: Vec<Option<Box<str>>>,
    and_below: bool,
}

/// IRIs of the terms that are members of an instance rather than attributes of their own.
pub mod core_names {
    pub const OBSERVED_AT: &str = "https://uri.etsi.org/ngsi-ld/observedAt";
    pub const CREATED_AT: &str = "https://uri.etsi.org/ngsi-ld/createdAt";
    pub const MODIFIED_AT: &str = "https://uri.etsi.org/ngsi-ld/modifiedAt";
    pub const UNIT_CODE: &str = "https://uri.etsi.org/ngsi-ld/unitCode";
    pub const DATASET_ID: &str = "https://uri.etsi.org/ngsi-ld/datasetId";
    pub const LOCATION: &str = "https://uri.etsi.org/ngsi-ld/location";
}

impl Query {
    #[must_use]
    pub fn matches(&self, entity: &Entity) -> bool {
        (self.selectors.is_empty() || self.selectors.iter().any(|selector| selector.matches(entity)))
            && (self.attributes.is_empty() || self.attributes.iter().any(|name| entity.find(name.as_str()).is_some()))
            && self.scope.as_ref().is_none_or(|scope| scope.matches(&entity.scopes))
            && self.filter.as_ref().is_none_or(|filter| filter.matches(entity))
            && self.geo.as_ref().is_none_or(|geo| geo.matches(entity))
    }
}

impl EntitySelector {
    #[must_use]
    pub fn matches(&self, entity: &Entity) -> bool {
        (self.ids.is_empty() || self.ids.contains(&entity.id))
            && self.id_pattern.as_ref().is_none_or(|pattern| pattern.is_match(entity.id.as_str()))
            && self.types.as_ref().is_none_or(|types| types.matches(&entity.types))
    }
}

impl TypeExpr {
    #[must_use]
    pub fn matches(&self, types: &[Name]) -> bool {
        match self {
            Self::Type(name) => types.contains(name),
            Self::And(all) => all.iter().all(|expr| expr.matches(types)),
            Self::Or(any) => any.iter().any(|expr| expr.matches(types)),
        }
    }
}

impl Pattern {
    /// The message says what is wrong and where.
    pub fn parse(text: &str) -> Result<Self, String> {
        regex::RegexBuilder::new(text)
            .size_limit(PATTERN_BYTES_MAX)
            .build()
            .map(Self)
            .map_err(|error| format!("\"{text}\" is not a regular expression: {error}"))
    }

    #[must_use]
    pub fn is_match(&self, text: &str) -> bool {
        self.0.is_match(text)
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

impl GeoQuery {
    #[must_use]
    pub fn new(relation: GeoRelation, reference: Geometry, property: Name) -> Self {
        let prepared = reference.to_geo();
        Self { relation, reference, property, prepared }
    }

    #[must_use]
    pub fn matches(&self, entity: &Entity) -> bool {
        entity.find(self.property.as_str()).is_some_and(|attribute| {
            attribute.instances.iter().any(|instance| match &instance.kind {
                Kind::GeoProperty(geometry) => self.relation.holds(&geometry.to_geo(), &self.prepared),
                _ => false,
            })
        })
    }
}

impl ScopeExpr {
    #[must_use]
    pub fn matches(&self, scopes: &[Scope]) -> bool {
        match self {
            Self::Pattern(pattern) => scopes.iter().any(|scope| pattern.matches(scope)),
            Self::And(all) => all.iter().all(|expr| expr.matches(scopes)),
            Self::Or(any) => any.iter().any(|expr| expr.matches(scopes)),
        }
    }
}

impl ScopePattern {
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.strip_prefix('/').unwrap_or(text);
        let (text, and_below) = match text.strip_suffix('#') {
            Some(above) => (above.strip_suffix('/').unwrap_or(above), true),
            None => (text, false),
        };
        let levels: Vec<Option<Box<str>>> = match text {
            "" => Vec::new(),
            _ => text.split('/').map(|level| (level != "+").then(|| level.into())).collect(),
        };
        let valid = |level: &Option<Box<str>>| level.as_ref().is_none_or(|l| !l.is_empty() && !l.contains(['+', '#']));
        (levels.iter().all(valid) && (and_below || !levels.is_empty())).then_some(Self { levels, and_below })
    }

    #[must_use]
    pub fn matches(&self, scope: &Scope) -> bool {
        let mut own = scope.as_str().trim_start_matches('/').split('/');
        for wanted in &self.levels {
            match (own.next(), wanted) {
                (None, _) => return false,
                (Some(level), Some(wanted)) if level != &**wanted => return false,
                _ => {}
            }
        }
        self.and_below || own.next().is_none()
    }
}

impl Filter {
    #[must_use]
    pub fn matches(&self, entity: &Entity) -> bool {
        match self {
            Self::And(all) => all.iter().all(|filter| filter.matches(entity)),
            Self::Or(any) => any.iter().any(|filter| filter.matches(entity)),
            Self::Term { path, test } => test.holds(entity, path),
        }
    }
}

/// What a path leads to.
enum Target<'a> {
    Value(&'a Value),
    /// What a Relationship points to; it has no order (clause 4.9).
    Link(&'a Value),
    Text(&'a str),
    Time(Time),
    Exists,
}

impl Test {
    fn holds(&self, entity: &Entity, path: &AttributePath) -> bool {
        let any = |test: &dyn Fn(&Target) -> bool| path.any_target(entity, test);
        match self {
            Self::Exists => any(&|_| true),
            Self::NotExists => !any(&|_| true),
            Self::Equal(operands) => any(&|target| operands.iter().any(|operand| operand.equals(target))),
            // Clause 4.9: unequal holds where the target exists and no value of it is equal.
            Self::NotEqual(operands) => {
                any(&|_| true) && !any(&|target| operands.iter().any(|operand| operand.equals(target)))
            }
            Self::Greater(operand) => any(&|target| operand.compare(target).is_some_and(std::cmp::Ordering::is_gt)),
            Self::GreaterOrEqual(operand) => {
                any(&|target| operand.compare(target).is_some_and(std::cmp::Ordering::is_ge))
            }
            Self::Less(operand) => any(&|target| operand.compare(target).is_some_and(std::cmp::Ordering::is_lt)),
            Self::LessOrEqual(operand) => any(&|target| operand.compare(target).is_some_and(std::cmp::Ordering::is_le)),
            Self::Matches(pattern) => any(&|target| target.any_text(&|text| pattern.is_match(text))),
            Self::NotMatches(pattern) => {
                any(&|_| true) && !any(&|target| target.any_text(&|text| pattern.is_match(text)))
            }
        }
    }
}

impl AttributePath {
    fn any_target(&self, entity: &Entity, test: &dyn Fn(&Target) -> bool) -> bool {
        if self.sub_attributes.is_empty() && self.members.is_empty() {
            match self.attribute.as_str() {
                core_names::CREATED_AT => return test(&Target::Time(entity.created_at)),
                core_names::MODIFIED_AT => return test(&Target::Time(entity.modified_at)),
                _ => {}
            }
        }
        entity
            .find(self.attribute.as_str())
            .is_some_and(|attribute| self.any_below(attribute, &self.sub_attributes, test))
    }

    fn any_below(&self, attribute: &Attribute, rest: &[Name], test: &dyn Fn(&Target) -> bool) -> bool {
        attribute.instances.iter().any(|instance| match rest.split_first() {
            None => self.any_value(instance, test),
            Some((name, [])) if member(instance, name.as_str()).is_some() => {
                member(instance, name.as_str()).is_some_and(|target| test(&target))
            }
            Some((name, rest)) => {
                instance.sub_attribute(name.as_str()).is_some_and(|sub| self.any_below(sub, rest, test))
            }
        })
    }

    fn any_value(&self, instance: &Instance, test: &dyn Fn(&Target) -> bool) -> bool {
        let below = |value: &Value| {
            let mut value = value;
            for key in &self.members {
                match value.get(key) {
                    Some(member) => value = member,
                    None => return false,
                }
            }
            any_of(value, test)
        };
        match &instance.kind {
            Kind::Property(value) | Kind::JsonProperty(value) | Kind::VocabProperty(value) => below(value),
            Kind::Relationship { object, .. } => self.members.is_empty() && any_link(object, test),
            Kind::LanguageProperty(map) => match self.members.as_slice() {
                [] => map.iter().any(|(_, text)| any_of(text, test)),
                [tag] if &**tag == "*" => map.iter().any(|(_, text)| any_of(text, test)),
                [tag] => map.iter().any(|(own, text)| own.eq_ignore_ascii_case(tag) && any_of(text, test)),
                _ => false,
            },
            Kind::ListProperty(list) => list.iter().any(below),
            Kind::ListRelationship { objects, .. } => {
                self.members.is_empty() && objects.iter().any(|object| any_link(object, test))
            }
            Kind::GeoProperty(_) => self.members.is_empty() && test(&Target::Exists),
            Kind::Null | Kind::Unchanged => false,
        }
    }
}

/// A value itself, or any item of it where it is a list; `{"@value": …}` stands for what it holds.
fn any_of(value: &Value, test: &dyn Fn(&Target) -> bool) -> bool {
    match value {
        Value::List(items) => test(&Target::Value(value)) || items.iter().any(|item| any_of(item, test)),
        Value::Map(_) => test(&Target::Value(value.get("@value").unwrap_or(value))),
        _ => test(&Target::Value(value)),
    }
}

fn any_link(object: &Value, test: &dyn Fn(&Target) -> bool) -> bool {
    match object {
        Value::List(items) => items.iter().any(|item| test(&Target::Link(item))),
        _ => test(&Target::Link(object)),
    }
}

fn member<'a>(instance: &'a Instance, name: &str) -> Option<Target<'a>> {
    match name {
        core_names::OBSERVED_AT => instance.observed_at.map(Target::Time),
        core_names::CREATED_AT => Some(Target::Time(instance.created_at)),
        core_names::MODIFIED_AT => Some(Target::Time(instance.modified_at)),
        core_names::UNIT_CODE => instance.unit_code.as_deref().map(Target::Text),
        core_names::DATASET_ID => instance.dataset.as_ref().map(|dataset| Target::Text(dataset.as_str())),
        _ => None,
    }
}

impl Target<'_> {
    fn any_text(&self, test: &dyn Fn(&str) -> bool) -> bool {
        match self {
            Self::Text(text) => test(text),
            Self::Value(Value::Text(text)) | Self::Link(Value::Text(text)) => test(text),
            _ => false,
        }
    }

    fn as_time(&self) -> Option<Time> {
        match self {
            Self::Time(time) => Some(*time),
            Self::Value(Value::Text(text)) => Time::parse(text),
            _ => None,
        }
    }
}

impl Operand {
    fn equals(&self, target: &Target) -> bool {
        match (self, target) {
            (Self::Range(from, to), target) => {
                from.compare(target).is_some_and(std::cmp::Ordering::is_ge)
                    && to.compare(target).is_some_and(std::cmp::Ordering::is_le)
            }
            (Self::Time(time), target) => target.as_time() == Some(*time),
            (Self::Value(Value::Text(own)), Target::Text(text)) => &**own == *text,
            // A time in quotes is still a time; any other text is not.
            (Self::Value(Value::Text(own)), Target::Time(time)) => Time::parse(own) == Some(*time),
            (Self::Value(own), Target::Link(value)) => own == *value,
            (Self::Value(own), Target::Value(value)) => match (own.as_f64(), value.as_f64()) {
                (Some(own), Some(value)) => own == value,
                _ => own == *value,
            },
            _ => false,
        }
    }

    /// How the *target* stands to this operand; `None` where the two cannot be compared.
    fn compare(&self, target: &Target) -> Option<std::cmp::Ordering> {
        match (self, target) {
            (Self::Time(time), target) => target.as_time().map(|own| own.cmp(time)),
            (Self::Value(Value::Text(operand)), Target::Text(text)) => Some((*text).cmp(&**operand)),
            (Self::Value(Value::Text(operand)), Target::Time(time)) => Some(time.cmp(&Time::parse(operand)?)),
            (Self::Value(operand), Target::Value(value)) => match (operand, value) {
                (Value::Text(operand), Value::Text(text)) => Some(text.cmp(operand)),
                _ => value.as_f64()?.partial_cmp(&operand.as_f64()?),
            },
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scope_matches(pattern: &str, scope: &str) -> bool {
        ScopePattern::parse(pattern).unwrap().matches(&Scope::parse(scope).unwrap())
    }

    #[test]
    fn scopes_match_by_level() {
        assert!(scope_matches("/Koto/Ariake", "/Koto/Ariake"));
        assert!(!scope_matches("/Koto", "/Koto/Ariake"));
        assert!(scope_matches("/Koto/+", "/Koto/Ariake"));
        assert!(!scope_matches("/Koto/+", "/Koto"));
        assert!(scope_matches("/Koto/#", "/Koto"));
        assert!(scope_matches("/Koto/#", "/Koto/Ariake/3"));
        assert!(scope_matches("/#", "/Sumida"));
        assert!(!scope_matches("/Koto/#", "/Kotobashi"));
        assert!(ScopePattern::parse("/a//b").is_none());
    }

    #[test]
    fn unequal_needs_the_attribute_to_exist() {
        let name = |n: &str| Name::parse(n).unwrap();
        let mut entity = Entity::new(EntityId::parse("urn:x:1").unwrap(), vec![name("T")]);
        let term = |test| Filter::Term {
            path: AttributePath { attribute: name("speed"), sub_attributes: vec![], members: vec![] },
            test,
        };
        let unequal = term(Test::NotEqual(vec![Operand::Value(Value::Int(50))]));
        assert!(!unequal.matches(&entity));
        let speeds = Value::List(vec![Value::Int(40), Value::Float(50.0)]);
        entity.attributes.push(Attribute::new(name("speed"), Instance::new(Kind::Property(speeds))));
        assert!(!unequal.matches(&entity), "one item of the list is equal");
        assert!(term(Test::Equal(vec![Operand::Value(Value::Int(50))])).matches(&entity));
        assert!(term(Test::Less(Operand::Value(Value::Int(45)))).matches(&entity));
    }
}
