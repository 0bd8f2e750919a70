//! The loop's papers as entities: building one, and reading one back.
//!
//! Everything about a suggestion can be found by its own number: its decisions, commands and effects are
//! numbered below it, so that a whole record is read by ids.

use std::sync::Arc;

use city_model::query::core_names::LOCATION;
use city_model::vocabulary::{self, ID_PREFIX};
use city_model::{Attribute, Change, Entity, EntityId, Geometry, Instance, Kind, Name, Proposal, Time, Value};

/// Writes one paper, or changes to one.
pub struct Draft(Entity);

impl Draft {
    #[must_use]
    pub fn new(kind: &str, id: EntityId) -> Self {
        Self(Entity::new(id, vec![vocabulary::name(kind)]))
    }

    /// Changes to a paper that is there.
    #[must_use]
    pub fn of(id: EntityId) -> Self {
        Self(Entity::new(id, Vec::new()))
    }

    fn with(mut self, term: &str, kind: Kind) -> Self {
        self.0.attributes.push(Attribute::new(vocabulary::name(term), Instance::new(kind)));
        self
    }

    #[must_use]
    pub fn value(self, term: &str, value: Value) -> Self {
        // As a value it would mean that there is none, and the paper would be refused.
        let value = if value.is_ngsi_ld_null() { Value::text("(urn:ngsi-ld:null)") } else { value };
        self.with(term, Kind::Property(value))
    }

    #[must_use]
    pub fn text(self, term: &str, text: &str) -> Self {
        self.value(term, Value::text(text))
    }

    #[must_use]
    pub fn maybe(self, term: &str, text: Option<&str>) -> Self {
        match text {
            Some(text) => self.text(term, text),
            None => self,
        }
    }

    #[must_use]
    pub fn time(self, term: &str, time: Time) -> Self {
        self.text(term, &time.to_string())
    }

    #[must_use]
    pub fn number(self, term: &str, number: impl Into<i64>) -> Self {
        self.value(term, Value::Int(number.into()))
    }

    /// JSON that is not expanded.
    #[must_use]
    pub fn json(self, term: &str, value: Value) -> Self {
        self.with(term, Kind::JsonProperty(value))
    }

    #[must_use]
    pub fn link(self, term: &str, to: &EntityId) -> Self {
        self.with(term, Kind::Relationship { object: Value::text(to.as_str()), object_types: Vec::new() })
    }

    #[must_use]
    pub fn place(mut self, location: Option<Geometry>) -> Self {
        if let Some(location) = location {
            let name = Name::from_stored(Arc::from(LOCATION));
            self.0.attributes.push(Attribute::new(name, Instance::new(Kind::GeoProperty(location))));
        }
        self
    }

    #[must_use]
    pub fn create(self) -> Change {
        Change::Create(self.0)
    }

    #[must_use]
    pub fn change(self) -> Change {
        Change::Append { fragment: self.0, overwrite: true }
    }
}

/// Reads one paper.
pub struct Paper<'e>(pub &'e Entity);

impl<'e> Paper<'e> {
    fn kind(&self, term: &str) -> Option<&'e Kind> {
        Some(&self.0.find(vocabulary::name(term).as_str())?.default_instance()?.kind)
    }

    #[must_use]
    pub fn value(&self, term: &str) -> Option<&'e Value> {
        match self.kind(term)? {
            Kind::Property(value) | Kind::JsonProperty(value) => Some(value),
            Kind::Relationship { object, .. } => Some(object),
            _ => None,
        }
    }

    #[must_use]
    pub fn text(&self, term: &str) -> Option<&'e str> {
        self.value(term)?.as_text()
    }

    #[must_use]
    pub fn time(&self, term: &str) -> Option<Time> {
        Time::parse(self.text(term)?)
    }

    #[must_use]
    pub fn number(&self, term: &str) -> Option<i64> {
        match self.value(term)? {
            Value::Int(int) => Some(*int),
            _ => None,
        }
    }

    #[must_use]
    pub fn is(&self, term: &str) -> bool {
        self.value(term) == Some(&Value::Bool(true))
    }

    #[must_use]
    pub fn place(&self) -> Option<&'e Geometry> {
        match &self.0.find(LOCATION)?.default_instance()?.kind {
            Kind::GeoProperty(geometry) => Some(geometry),
            _ => None,
        }
    }
}

/// The number of a suggestion, and what stands below it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Number(Box<str>);

impl Number {
    /// The same cause in the same tenant has the same number, however often it is told.
    #[must_use]
    pub fn of(tenant: &str, proposal: &Proposal) -> Self {
        let Proposal { rule, version, about, seq, looked_at, .. } = proposal;
        let about = about.as_str();
        // Length before text, so that no two of them read the same.
        let mut name = format!("{}:{tenant}{}:{rule}{}:{about}{seq}", tenant.len(), rule.len(), about.len());
        // The same change may give rise to another suggestion once the rule is another.
        if *version > 1 {
            name.push_str(&format!(":{version}"));
        }
        if let Some(at) = looked_at {
            name.push_str(&format!("@{}", at.as_micros()));
        }
        Self(uuid::Uuid::new_v5(&uuid::Uuid::NAMESPACE_OID, name.as_bytes()).to_string().into())
    }

    /// Of a suggestion's id, or the id of a thing below one.
    #[must_use]
    pub fn within(id: &str) -> Option<Self> {
        let (_, number) = id.strip_prefix(ID_PREFIX)?.split_once(':')?;
        let number = number.get(..36)?;
        uuid::Uuid::parse_str(number).ok()?;
        Some(Self(number.into()))
    }

    fn id(&self, kind: &str, below: &str) -> EntityId {
        EntityId::from_stored(format!("{ID_PREFIX}{kind}:{}{below}", self.0).into())
    }

    #[must_use]
    pub fn suggestion(&self) -> EntityId {
        self.id("suggestion", "")
    }

    #[must_use]
    pub fn decision(&self, which: u32) -> EntityId {
        self.id("decision", &format!(":{which}"))
    }

    #[must_use]
    pub fn command(&self, which: usize) -> EntityId {
        self.id("command", &format!(":{which}"))
    }

    /// The first word about a command counts; a later one is a later number.
    #[must_use]
    pub fn acknowledgement(&self, command: usize, which: u32) -> EntityId {
        self.id("acknowledgement", &format!(":{command}:{which}"))
    }

    #[must_use]
    pub fn effect(&self) -> EntityId {
        self.id("effect", "")
    }
}

/// Which of its suggestion's commands an id names.
#[must_use]
pub fn command_number(id: &EntityId) -> Option<usize> {
    id.as_str().rsplit_once(':')?.1.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_below_a_suggestion_is_found_by_its_number() {
        let proposal = |rule: &str, version: u32, about: &str, looked_at: Option<i64>| Proposal {
            rule: rule.into(),
            version,
            about: EntityId::from_stored(about.into()),
            seq: 7,
            looked_at: looked_at.map(Time::from_micros),
            what: "x".into(),
            why: "x".into(),
            steps: Vec::new(),
            evidence: Vec::new(),
            tells: Vec::new(),
            expects: None,
            alternatives: Vec::new(),
            deadline: Time::UNSET,
            location: None,
            measures: None,
        };
        let of = |proposal: Proposal| Number::of("default", &proposal);
        let number = of(proposal("flood", 1, "urn:x:1", None));
        assert_eq!(number, of(proposal("flood", 1, "urn:x:1", None)));
        for other in [
            proposal("floodurn:x:1", 1, "", None),
            proposal("flood", 2, "urn:x:1", None),
            proposal("flood", 1, "urn:x:1", Some(2)),
        ] {
            assert_ne!(number, of(other));
        }
        for id in
            [number.suggestion(), number.decision(1), number.command(3), number.acknowledgement(3, 1), number.effect()]
        {
            assert_eq!(Number::within(id.as_str()).as_ref(), Some(&number), "{id}");
        }
        assert_eq!(command_number(&number.command(3)), Some(3));
        assert_eq!(Number::within("urn:renkei:suggestion:x"), None);
        assert_eq!(Number::within("urn:ngsi-ld:Building:1"), None);
    }
}
