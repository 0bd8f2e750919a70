//! A rule: what is watched, when it is so, and what is suggested then.
//!
//! YAML or JSON comes in, as a person writes it; out comes the rule with full names, as the journal keeps it,
//! and a sentence that explains it.

use std::collections::BTreeMap;

use city_model::proposal::{Evidence, Measure, Proposal, STEPS_MAX, Step};
use city_model::query::core_names::LOCATION;
use city_model::vocabulary::NAMESPACE;
use city_model::{Entity, EntityId, Kind, Name, Owner, Period, Time, Value};
use city_ngsi_ld::plain;
use serde::{Deserialize, Serialize};

use crate::condition::{Condition, Holds, Names, asks_for, value_of};
use crate::window::Moment;

/// Longest text of a rule, in bytes.
pub const RULE_BYTES_MAX: usize = 64 * 1024;
/// Longest that a value fills a hole, and longest that a text becomes, in characters.
const HOLE_CHARS_MAX: usize = 200;
const FILLED_CHARS_MAX: usize = 2_000;
/// Longest name, in characters.
const NAME_CHARS_MAX: usize = 100;

/// A rule as it is written.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct RuleText {
    pub name: Box<str>,
    /// The type of the entities that are watched.
    pub watch: Box<str>,
    /// Only these of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ids: Vec<Box<str>>,
    /// It begins when this holds,
    pub when: Box<str>,
    /// and ends when this holds; without it, when `when` holds no more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Box<str>>,
    pub suggest: SuggestText,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct SuggestText {
    pub what: Box<str>,
    pub why: Box<str>,
    #[serde(rename = "do", default, skip_serializing_if = "Vec::is_empty")]
    pub steps: Vec<StepText>,
    /// How long there is to decide.
    pub within: Box<str>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expects: Option<Box<str>>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub alternatives: Vec<Box<str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub measure: Option<MeasureText>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StepText {
    pub set: Box<str>,
    /// The id of the thing whose attribute it is.
    pub of: Box<str>,
    pub to: serde_json::Value,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MeasureText {
    pub attribute: Box<str>,
    /// The id of the thing; without it, the entity that is watched.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub of: Option<Box<str>>,
    /// How long after the decision.
    pub after: Box<str>,
}

/// A rule as the journal keeps it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StoredRule {
    pub text: RuleText,
    /// Types and attributes as they are written, with their full names.
    pub names: BTreeMap<Box<str>, Box<str>>,
    /// For whom it acts: it sees what they may see.
    pub who: Box<str>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub purpose: Option<Box<str>>,
    pub created_at_micros: i64,
    /// Counts the changes of the rule of this name; suggestions say which one raised them.
    #[serde(default = "first")]
    pub version: u32,
}

fn first() -> u32 {
    1
}

/// What stands for a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    Type,
    Attribute,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {why}.")]
pub struct Wrong {
    pub place: &'static str,
    pub why: String,
}

fn wrong<T>(place: &'static str, why: impl Into<String>) -> Result<T, Wrong> {
    Err(Wrong { place, why: why.into() })
}

fn check_length(text: &str) -> Result<(), Wrong> {
    match text.len() > RULE_BYTES_MAX {
        true => wrong("the rule", format!("it is longer than {RULE_BYTES_MAX} bytes")),
        false => Ok(()),
    }
}

/// Reads a rule as a person writes it, in YAML.
pub fn read(text: &str) -> Result<RuleText, Wrong> {
    check_length(text)?;
    serde_yaml_ng::from_str(text).map_err(|error| Wrong { place: "the rule", why: error.to_string() })
}

/// Reads a rule as a program writes it, in JSON: YAML would read some of its texts otherwise, such as the two
/// escapes of a sign beyond the first 65,536.
pub fn read_json(text: &str) -> Result<RuleText, Wrong> {
    check_length(text)?;
    serde_json::from_str(text).map_err(|error| Wrong { place: "the rule", why: error.to_string() })
}

impl RuleText {
    /// With full names, which `expand` gives; refused where something in it could never work.
    pub fn complete(self, expand: &dyn Fn(&str, Asked) -> Name, owner: Owner, now: Time) -> Result<StoredRule, Wrong> {
        let mut names = BTreeMap::new();
        let mut learn =
            |term: &str, asked| drop(names.insert(Box::from(term), Box::from(expand(term, asked).as_str())));
        learn(&self.watch, Asked::Type);
        for (place, source) in [("when", Some(&self.when)), ("until", self.until.as_ref())] {
            let asked = source.map_or(Ok(Vec::new()), |source| asks_for(source));
            asked.map_err(|why| Wrong { place, why })?.iter().for_each(|term| learn(term, Asked::Attribute));
        }
        for text in [&self.suggest.what, &self.suggest.why].into_iter().chain(&self.suggest.expects) {
            holes(text).filter(|term| *term != "id").for_each(|term| learn(term, Asked::Attribute));
        }
        self.suggest.steps.iter().for_each(|step| learn(&step.set, Asked::Attribute));
        self.suggest.measure.iter().for_each(|measure| learn(&measure.attribute, Asked::Attribute));
        let (who, purpose) = (owner.who, owner.purpose);
        let stored =
            StoredRule { text: self, names, who, purpose, created_at_micros: now.as_micros(), version: first() };
        Rule::of(stored.clone())?;
        Ok(stored)
    }
}

/// A rule that can be held against entities.
#[derive(Debug)]
pub struct Rule {
    pub stored: StoredRule,
    pub watch: Name,
    ids: Vec<EntityId>,
    when: Condition,
    until: Option<Condition>,
    steps: Vec<Step>,
    within_micros: i64,
    /// Where, which and how long after.
    measure: Option<(Option<EntityId>, Name, i64)>,
}

/// How a rule stands with an entity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Finding {
    Begins,
    Ends,
    /// Nothing to say: it goes on as it was.
    Neither,
}

impl Rule {
    pub fn of(stored: StoredRule) -> Result<Self, Wrong> {
        let text = &stored.text;
        if text.name.is_empty()
            || text.name.chars().count() > NAME_CHARS_MAX
            || !text.name.chars().all(|c| c.is_alphanumeric() || "-_.".contains(c))
        {
            return wrong("name", format!("it must be 1 to {NAME_CHARS_MAX} letters, digits and - _ . characters"));
        }
        let full = |place: &'static str, term: &str| match stored.names.get(term) {
            Some(full) => Ok(Name::from_stored((**full).into())),
            None => wrong(place, format!("{term} has no full name")),
        };
        let id = |place: &'static str, text: &str| {
            EntityId::parse(text)
                .map_err(|_| Wrong { place, why: format!("{text} is no id of an entity, which is a URI") })
        };
        let names: Names =
            stored.names.iter().map(|(term, full)| (term.clone(), Name::from_stored((**full).into()))).collect();
        let condition = |place, source: &str| Condition::compile(source, &names).map_err(|why| Wrong { place, why });
        let watch = full("watch", &text.watch)?;
        if watch.as_str().starts_with(NAMESPACE) {
            return wrong("watch", "a rule that watches suggestions and decisions would feed itself");
        }
        if text.suggest.steps.len() > STEPS_MAX {
            return wrong("suggest.do", format!("there may be {STEPS_MAX} steps at most"));
        }
        let steps = text.suggest.steps.iter().map(|step| {
            let (target, attribute) = (id("suggest.do", &step.of)?, full("suggest.do", &step.set)?);
            Ok(Step { target, attribute, value: plain::value(&step.to) })
        });
        let measure = text.suggest.measure.as_ref().map(|measure| {
            let of = measure.of.as_ref().map(|text| id("suggest.measure", text)).transpose()?;
            Ok((of, full("suggest.measure", &measure.attribute)?, duration("suggest.measure.after", &measure.after)?))
        });
        Ok(Self {
            watch,
            ids: text.ids.iter().map(|text| id("ids", text)).collect::<Result<_, _>>()?,
            when: condition("when", &text.when)?,
            until: text.until.as_ref().map(|source| condition("until", source)).transpose()?,
            steps: steps.collect::<Result<_, Wrong>>()?,
            within_micros: duration("suggest.within", &text.suggest.within)?,
            measure: measure.transpose()?,
            stored,
        })
    }

    #[must_use]
    pub fn name(&self) -> &str {
        &self.stored.text.name
    }

    #[must_use]
    pub fn owner(&self) -> Owner {
        Owner { who: self.stored.who.clone(), purpose: self.stored.purpose.clone() }
    }

    #[must_use]
    pub fn watches(&self, entity: &Entity) -> bool {
        entity.has_type(self.watch.as_str()) && (self.ids.is_empty() || self.ids.contains(&entity.id))
    }

    /// Whether a change of these attributes can make a difference.
    pub fn asks_for(&self, name: &Name) -> bool {
        let conditions = std::iter::once(&self.when).chain(&self.until);
        conditions.into_iter().any(|condition| condition.names().values().any(|own| own == name))
    }

    /// Whether time alone may begin or end it.
    #[must_use]
    pub fn has_windows(&self) -> bool {
        std::iter::once(&self.when).chain(&self.until).any(Condition::has_windows)
    }

    /// All attributes whose values it looks at or tells of.
    #[must_use]
    pub fn attributes(&self) -> Vec<Name> {
        let conditions = std::iter::once(&self.when).chain(&self.until);
        let mut names: Vec<Name> = conditions.flat_map(|condition| condition.names().values().cloned()).collect();
        names.extend(self.tells());
        names.sort();
        names.dedup();
        names
    }

    /// How it stands with an entity, given whether it has begun there.
    pub fn find(&self, entity: &Entity, has_begun: bool, moment: &Moment<'_>) -> Result<Finding, String> {
        if !has_begun {
            let begins = self.when.holds(entity, moment)? == Holds::Yes;
            return Ok(if begins { Finding::Begins } else { Finding::Neither });
        }
        let ends = match &self.until {
            Some(until) => until.holds(entity, moment)? == Holds::Yes,
            None => self.when.holds(entity, moment)? == Holds::No,
        };
        Ok(if ends { Finding::Ends } else { Finding::Neither })
    }

    /// What it proposes for an entity, at one of its changes.
    #[must_use]
    pub fn proposal(&self, entity: &Entity, seq: u64, now: Time, looked_at: Option<Time>) -> Proposal {
        let suggest = &self.stored.text.suggest;
        let fill = |text: &str| self.fill(text, entity).into_boxed_str();
        let evidence = self.when.names().values().filter_map(|name| evidence(entity, name)).collect();
        let measures = self.measure.as_ref().map(|(of, attribute, after_micros)| Measure {
            entity: of.clone().unwrap_or_else(|| entity.id.clone()),
            attribute: attribute.clone(),
            after_micros: *after_micros,
        });
        Proposal {
            rule: self.name().into(),
            version: self.stored.version,
            about: entity.id.clone(),
            seq,
            looked_at,
            what: fill(&suggest.what),
            why: fill(&suggest.why),
            steps: self.steps.clone(),
            evidence,
            tells: self.tells(),
            expects: suggest.expects.as_ref().map(|text| fill(text)),
            alternatives: suggest.alternatives.clone(),
            deadline: now.plus_micros(self.within_micros),
            location: location(entity),
            measures,
        }
    }

    /// The attributes whose values stand in the holes of its texts.
    fn tells(&self) -> Vec<Name> {
        let suggest = &self.stored.text.suggest;
        let texts = [&suggest.what, &suggest.why].into_iter().chain(&suggest.expects);
        let names = texts.flat_map(|text| holes(text)).filter_map(|term| self.stored.names.get(term));
        let mut names: Vec<Name> = names.map(|full| Name::from_stored((**full).into())).collect();
        names.sort();
        names.dedup();
        names
    }

    /// A text with what an entity says in its holes: `{waterLevel}`, `{id}`.
    fn fill(&self, text: &str, entity: &Entity) -> String {
        let mut filled = String::with_capacity(text.len());
        let mut rest = text;
        while let Some((before, term, behind)) = hole(rest) {
            filled.push_str(before);
            let name = self.stored.names.get(term).map(|full| Name::from_stored((**full).into()));
            match (term, name.and_then(|name| value_of(entity, &name).map(said))) {
                ("id", _) => filled.push_str(entity.id.as_str()),
                (_, Some(value)) => filled.extend(value.chars().take(HOLE_CHARS_MAX)),
                (_, None) => filled.push('?'),
            }
            rest = behind;
            // Each turn adds a bounded text; a person reads no more than this.
            if filled.len() > 4 * FILLED_CHARS_MAX {
                break;
            }
        }
        (filled + rest).chars().take(FILLED_CHARS_MAX).collect()
    }

    /// The rule in a sentence, for whoever is affected by it.
    #[must_use]
    pub fn explained(&self) -> String {
        let RuleText { watch, when, until, suggest, ids, .. } = &self.stored.text;
        let which = if ids.is_empty() { format!("any {watch}") } else { format!("{watch} {}", ids.join(", ")) };
        let steps: Vec<String> =
            suggest.steps.iter().map(|step| format!("{} of {} to {}", step.set, step.of, step.to)).collect();
        let sets = if steps.is_empty() { String::new() } else { format!(" (setting {})", steps.join(", ")) };
        let until = until.as_ref().map_or_else(|| "that holds no more".to_owned(), |until| until.to_string());
        format!(
            "When {when} at {which}, it suggests: {}{sets}. A person has {} to decide; it ends when {until}.",
            suggest.what, suggest.within
        )
    }
}

/// The first hole of a text: what stands before it, in it and behind it.
fn hole(text: &str) -> Option<(&str, &str, &str)> {
    let (before, rest) = text.split_once('{')?;
    let (term, behind) = rest.split_once('}')?;
    Some((before, term, behind))
}

fn holes(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let (_, term, behind) = hole(rest)?;
        rest = behind;
        Some(term)
    })
}

/// A value as a person says it.
fn said(value: &Value) -> String {
    match value {
        Value::Float(float) => {
            let text = format!("{float:.3}");
            text.trim_end_matches('0').trim_end_matches('.').to_owned()
        }
        Value::Int(int) => int.to_string(),
        Value::Text(text) => text.to_string(),
        Value::Bool(truth) => truth.to_string(),
        Value::Null | Value::List(_) | Value::Map(_) => "?".to_owned(),
    }
}

fn evidence(entity: &Entity, name: &Name) -> Option<Evidence> {
    let instance = entity.find(name.as_str())?.default_instance()?;
    Some(Evidence {
        entity: entity.id.clone(),
        attribute: name.clone(),
        value: value_of(entity, name).filter(|value| is_short(value))?.clone(),
        unit_code: instance.unit_code.clone(),
        observed_at: instance.observed_at,
    })
}

/// What a person can take in, and what a suggestion may carry.
fn is_short(value: &Value) -> bool {
    match value {
        Value::Text(text) => text.chars().count() <= HOLE_CHARS_MAX,
        Value::List(_) | Value::Map(_) => false,
        Value::Null | Value::Bool(_) | Value::Int(_) | Value::Float(_) => true,
    }
}

fn location(entity: &Entity) -> Option<city_model::Geometry> {
    match &entity.find(LOCATION)?.default_instance()?.kind {
        Kind::GeoProperty(geometry) => Some(geometry.clone()),
        _ => None,
    }
}

/// Longest that there may be to decide, or before an effect is measured.
const DURATION_MICROS_MAX: i64 = 31 * 86_400 * 1_000_000;

fn duration(place: &'static str, text: &str) -> Result<i64, Wrong> {
    let period = Period::parse(text).filter(|period| !period.is_whole());
    let micros = period.map(|period| period.start(Time::from_micros(0), 1).as_micros());
    match micros {
        Some(micros) if (1_000_000..=DURATION_MICROS_MAX).contains(&micros) => Ok(micros),
        _ => wrong(place, format!("\"{text}\" is no duration from PT1S to P31D, such as PT30M")),
    }
}
