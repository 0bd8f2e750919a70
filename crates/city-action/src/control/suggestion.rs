//! A suggestion: what might be done, why, until when; and how far it has come.

use city_model::proposal::{Evidence, Measure, Proposal, Step};
use city_model::vocabulary::SUGGESTION;
use city_model::{Change, Entity, EntityId, Geometry, Name, Owner, Time, Value};
use city_ngsi_ld::plain;
use serde_json::json;

use super::paper::{Draft, Number, Paper};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    Open,
    Approved,
    Altered,
    Rejected,
    /// Nobody decided in time.
    Expired,
    /// Its condition ended before anybody decided.
    Withdrawn,
}

impl Status {
    pub const ALL: [Self; 6] =
        [Self::Open, Self::Approved, Self::Altered, Self::Rejected, Self::Expired, Self::Withdrawn];

    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Approved => "approved",
            Self::Altered => "altered",
            Self::Rejected => "rejected",
            Self::Expired => "expired",
            Self::Withdrawn => "withdrawn",
        }
    }

    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == text)
    }
}

#[derive(Debug, Clone, PartialEq)]
pub struct Suggestion {
    pub id: EntityId,
    pub number: Number,
    pub status: Status,
    pub what: Box<str>,
    pub why: Box<str>,
    pub rule: Box<str>,
    pub rule_version: u32,
    pub about: EntityId,
    pub steps: Vec<Step>,
    pub evidence: Value,
    pub expects: Option<Box<str>>,
    pub alternatives: Value,
    pub location: Option<Geometry>,
    pub measures: Option<Measure>,
    /// For whom its rule acts: an effect is read as they may see it.
    pub owner: Option<Owner>,
    /// The attributes of `about` whose values stand in its texts; `None` where that was not kept.
    pub tells: Option<Vec<Name>>,
    /// The change at which its condition began.
    pub seq: u64,
    /// Whether its condition holds still.
    pub holds: bool,
    pub raised_at: Time,
    pub deadline: Time,
    pub approvals: u32,
    pub approvals_needed: u32,
    pub decided_by: Option<Box<str>>,
    pub decided_at: Option<Time>,
    /// What of it its reader may not see; nothing as it is written.
    pub withheld: Vec<&'static str>,
}

/// The paper of a new suggestion.
#[must_use]
pub fn raised(proposal: &Proposal, number: &Number, owner: &Owner, now: Time, approvals_needed: u32) -> Change {
    let alternatives = proposal.alternatives.iter().map(|text| Value::text(text)).collect();
    let draft = Draft::new(SUGGESTION, number.suggestion())
        .text("status", Status::Open.as_str())
        .text("what", &proposal.what)
        .text("why", &proposal.why)
        .text("rule", &proposal.rule)
        .number("ruleVersion", proposal.version)
        .link("about", &proposal.about)
        .json("proposes", Value::List(proposal.steps.iter().map(step_value).collect()))
        .json("evidence", Value::List(proposal.evidence.iter().map(evidence_value).collect()))
        .maybe("expects", proposal.expects.as_deref())
        .json("alternatives", Value::List(alternatives))
        .json("tells", Value::List(proposal.tells.iter().map(|name| Value::text(name.as_str())).collect()))
        .text("onBehalfOf", &owner.who)
        .maybe("forPurpose", owner.purpose.as_deref())
        .number("change", i64::try_from(proposal.seq).unwrap_or(i64::MAX))
        .value("holds", Value::Bool(true))
        .time("raisedAt", now)
        .time("deadline", proposal.deadline)
        .number("approvalsNeeded", approvals_needed)
        .place(proposal.location.clone());
    match &proposal.measures {
        Some(measure) => draft.json("measures", measure_value(measure)),
        None => draft,
    }
    .create()
}

impl Suggestion {
    /// `None` where the entity is none, or not one that this release understands.
    #[must_use]
    pub fn read(entity: &Entity) -> Option<Self> {
        let paper = Paper(entity);
        let count = |term| paper.number(term).and_then(|number| u32::try_from(number).ok());
        Some(Self {
            number: Number::within(entity.id.as_str()).filter(|number| number.suggestion() == entity.id)?,
            id: entity.id.clone(),
            status: Status::parse(paper.text("status")?)?,
            what: paper.text("what")?.into(),
            why: paper.text("why")?.into(),
            rule: paper.text("rule")?.into(),
            rule_version: count("ruleVersion").unwrap_or(1),
            about: EntityId::parse(paper.text("about")?).ok()?,
            steps: steps_of(paper.value("proposes")?)?,
            evidence: paper.value("evidence").cloned().unwrap_or_default(),
            expects: paper.text("expects").map(Into::into),
            alternatives: paper.value("alternatives").cloned().unwrap_or_default(),
            location: paper.place().cloned(),
            measures: paper.value("measures").and_then(measure_of),
            owner: paper
                .text("onBehalfOf")
                .map(|who| Owner { who: who.into(), purpose: paper.text("forPurpose").map(Into::into) }),
            tells: paper.value("tells").and_then(names_of),
            seq: paper.number("change").and_then(|seq| u64::try_from(seq).ok()).unwrap_or(0),
            holds: paper.is("holds"),
            raised_at: paper.time("raisedAt")?,
            deadline: paper.time("deadline")?,
            approvals: count("approvals").unwrap_or(0),
            approvals_needed: count("approvalsNeeded").unwrap_or(1),
            decided_by: paper.text("decidedBy").map(Into::into),
            decided_at: paper.time("decidedAt"),
            withheld: Vec::new(),
        })
    }

    #[must_use]
    pub fn shown(&self, shorten: &dyn Fn(&Name) -> String) -> serde_json::Value {
        let mut shown = json!({
            "id": self.id.as_str(), "status": self.status.as_str(), "what": self.what, "why": self.why,
            "rule": self.rule, "ruleVersion": self.rule_version, "about": self.about.as_str(),
            "proposes": self.steps.iter().map(|step| shown_step(step, shorten)).collect::<Vec<_>>(),
            "evidence": plain::of(&self.evidence), "alternatives": plain::of(&self.alternatives),
            "holds": self.holds, "raisedAt": self.raised_at.to_string(), "deadline": self.deadline.to_string(),
            "approvals": self.approvals, "approvalsNeeded": self.approvals_needed,
        });
        let list = shown["evidence"].as_array_mut().into_iter().flatten();
        for evidence in list {
            if let Some(name) = evidence["attribute"].as_str() {
                evidence["attribute"] = shorten(&Name::from_stored(name.into())).into();
            }
        }
        if !self.withheld.is_empty() {
            shown["withheld"] = json!(self.withheld);
        }
        if let Some(expects) = &self.expects {
            shown["expects"] = (**expects).into();
        }
        if let (Some(by), Some(at)) = (&self.decided_by, self.decided_at) {
            shown["decidedBy"] = (**by).into();
            shown["decidedAt"] = at.to_string().into();
        }
        shown
    }
}

#[must_use]
pub fn shown_step(step: &Step, shorten: &dyn Fn(&Name) -> String) -> serde_json::Value {
    json!({"entity": step.target.as_str(), "attribute": shorten(&step.attribute), "value": plain::of(&step.value)})
}

fn map<const N: usize>(members: [(&str, Value); N]) -> Value {
    Value::Map(members.into_iter().map(|(key, value)| (key.into(), value)).collect())
}

#[must_use]
pub fn step_value(step: &Step) -> Value {
    map([
        ("entity", Value::text(step.target.as_str())),
        ("attribute", Value::text(step.attribute.as_str())),
        ("value", step.value.clone()),
    ])
}

#[must_use]
pub fn steps_of(value: &Value) -> Option<Vec<Step>> {
    let Value::List(list) = value else { return None };
    list.iter()
        .map(|step| {
            Some(Step {
                target: EntityId::parse(step.get("entity")?.as_text()?).ok()?,
                attribute: Name::parse(step.get("attribute")?.as_text()?).ok()?,
                value: step.get("value")?.clone(),
            })
        })
        .collect()
}

fn evidence_value(evidence: &Evidence) -> Value {
    let mut members = vec![
        ("entity".into(), Value::text(evidence.entity.as_str())),
        ("attribute".into(), Value::text(evidence.attribute.as_str())),
        ("value".into(), evidence.value.clone()),
    ];
    members.extend(evidence.unit_code.as_ref().map(|unit| ("unitCode".into(), Value::text(unit))));
    members.extend(evidence.observed_at.map(|at| ("observedAt".into(), Value::text(&at.to_string()))));
    Value::Map(members)
}

fn measure_value(measure: &Measure) -> Value {
    map([
        ("entity", Value::text(measure.entity.as_str())),
        ("attribute", Value::text(measure.attribute.as_str())),
        ("afterSeconds", Value::Int(measure.after_micros / 1_000_000)),
    ])
}

fn names_of(value: &Value) -> Option<Vec<Name>> {
    let Value::List(list) = value else { return None };
    list.iter().map(|name| Name::parse(name.as_text()?).ok()).collect()
}

#[must_use]
pub fn measure_of(value: &Value) -> Option<Measure> {
    let seconds = match value.get("afterSeconds")? {
        Value::Int(seconds) => *seconds,
        _ => return None,
    };
    Some(Measure {
        entity: EntityId::parse(value.get("entity")?.as_text()?).ok()?,
        attribute: Name::parse(value.get("attribute")?.as_text()?).ok()?,
        after_micros: seconds.saturating_mul(1_000_000),
    })
}
