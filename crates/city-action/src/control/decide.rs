//! A person decides: a suggestion and a verdict come in, a decision and its commands go out.

use city_context::TenantSpace;
use city_model::proposal::Step;
use city_model::vocabulary::DECISION;
use city_model::{Change, EntityId, Permit, Right, Value};
use city_ngsi_ld::plain;
use serde_json::json;
use std::sync::Arc;

use super::paper::{Draft, Paper};
use super::suggestion::{Status, Suggestion, shown_step, step_value};
use super::watch::effect_due;
use super::{COMMANDS_OPEN_MAX, Control, Error, command, noted};

/// Longest reason, in characters.
pub const REASON_CHARS_MAX: usize = 2_000;

#[derive(Debug, Clone, PartialEq)]
pub enum Verdict {
    Approve,
    /// Other values, or fewer steps.
    Alter(Vec<Step>),
    Reject,
}

impl Verdict {
    fn as_str(&self) -> &'static str {
        match self {
            Self::Approve => "approve",
            Self::Alter(_) => "alter",
            Self::Reject => "reject",
        }
    }
}

impl Control {
    /// Decides a suggestion in the name of the permit's holder. What was decided is durable when this returns;
    /// its commands are on their way.
    pub fn decide(
        self: &Arc<Self>,
        permit: &Permit,
        id: &EntityId,
        verdict: &Verdict,
        reason: Option<&str>,
    ) -> Result<(), Error> {
        permit.check(Right::Decide, self.now()).map_err(city_context::Error::from)?;
        let space = self.context.tenant(permit)?;
        let mut open = self.order.lock();
        let seen = self.context.find(permit, id)?;
        let suggestion = seen.as_deref().and_then(Suggestion::read);
        let mut suggestion =
            suggestion.ok_or_else(|| Error::NotFound { what: "Suggestion", id: id.as_str().into() })?;
        let reason = checked_reason(reason, *verdict != Verdict::Approve)?;
        let now = self.now();
        if suggestion.status != Status::Open {
            let by = suggestion.decided_by.zip(suggestion.decided_at);
            return Err(Error::Decided { suggestion: suggestion.id, status: suggestion.status.as_str(), by });
        }
        if now > suggestion.deadline {
            return Err(Error::TooLate { suggestion: suggestion.id, deadline: suggestion.deadline });
        }
        if *verdict != Verdict::Reject {
            self.is_another_person(permit, &space, &suggestion)?;
        }
        if let Verdict::Alter(steps) = verdict {
            suggestion.steps = altered(&suggestion, steps)?;
        }
        let decision = suggestion.number.decision(suggestion.approvals + 1);
        let mut changes = vec![decided(&decision, &suggestion, verdict, permit.who(), reason, now)];
        let mut commands = Vec::new();
        let mut paper = Draft::of(suggestion.id.clone());
        if *verdict == Verdict::Reject {
            suggestion.status = Status::Rejected;
        } else {
            let persons = self.check_steps(&space, &suggestion)?;
            suggestion.approvals += 1;
            paper = paper
                .number("approvals", suggestion.approvals)
                .json("proposes", Value::List(suggestion.steps.iter().map(step_value).collect()));
            if suggestion.approvals >= persons.max(suggestion.approvals_needed) {
                let altered = matches!(verdict, Verdict::Alter(_)) || self.was_altered(&space, &suggestion)?;
                suggestion.status = if altered { Status::Altered } else { Status::Approved };
                commands = self.commands(&space, &suggestion, &decision)?;
                if open.commands + commands.len() > COMMANDS_OPEN_MAX {
                    return Err(Error::TooMany(open.commands));
                }
            }
        }
        if suggestion.status != Status::Open {
            suggestion.decided_at = Some(now);
            paper =
                paper.text("status", suggestion.status.as_str()).text("decidedBy", permit.who()).time("decidedAt", now);
            if let Some(before) = self.measured(&space, &suggestion)? {
                paper = paper.value("before", before);
            }
        }
        let steps: Vec<_> = suggestion.steps.iter().map(|step| shown_step(step, &|name| name.to_string())).collect();
        let details =
            json!({"verdict": verdict.as_str(), "reason": reason, "decision": decision.as_str(), "steps": steps});
        changes.push(paper.change());
        changes.push(noted("suggestion.decided", &suggestion.id, &details));
        let issued: Vec<EntityId> = commands.iter().filter_map(subject).collect();
        changes.append(&mut commands);
        self.write(permit, "decision", changes)?;
        metrics::counter!("renkei_decisions_total", "verdict" => verdict.as_str()).increment(1);
        if suggestion.status != Status::Open {
            open.suggestions.remove(&(space.number, suggestion.id.clone()));
            if let Some(due) = effect_due(&suggestion) {
                open.effects.insert((due, space.number, suggestion.id.clone()), ());
            }
        }
        open.commands += issued.len();
        drop(open);
        for id in issued {
            let entity = self.find(&space.name, &id)?;
            if let Some(command) = entity.as_deref().and_then(command::Command::read) {
                self.send_out(&space.name, &command);
            }
        }
        Ok(())
    }

    fn is_another_person(&self, permit: &Permit, space: &TenantSpace, suggestion: &Suggestion) -> Result<(), Error> {
        for which in 1..=suggestion.approvals {
            let earlier = self.find(&space.name, &suggestion.number.decision(which))?;
            let who = earlier.as_deref().and_then(|entity| Paper(entity).text("decidedBy"));
            if who == Some(permit.who()) {
                return Err(Error::SamePerson { who: permit.who().into(), suggestion: suggestion.id.clone() });
            }
        }
        Ok(())
    }

    fn was_altered(&self, space: &TenantSpace, suggestion: &Suggestion) -> Result<bool, Error> {
        for which in 1..suggestion.approvals {
            let earlier = self.find(&space.name, &suggestion.number.decision(which))?;
            if earlier.as_deref().and_then(|entity| Paper(entity).text("verdict")) == Some("alter") {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Refuses steps that no machine could be given; how many persons they need.
    fn check_steps(&self, space: &TenantSpace, suggestion: &Suggestion) -> Result<u32, Error> {
        let mut persons = 1;
        for step in &suggestion.steps {
            let Some(actuator) = self.actuator(space, step)? else {
                let (target, attribute) = (step.target.clone(), step.attribute.as_str().into());
                return Err(Error::NotCommandable { target, attribute });
            };
            actuator.admits(&step.target, &step.attribute, &step.value).map_err(Error::OutOfBounds)?;
            persons = persons.max(actuator.persons);
        }
        Ok(persons.into())
    }

    fn commands(
        &self,
        space: &TenantSpace,
        suggestion: &Suggestion,
        decision: &EntityId,
    ) -> Result<Vec<Change>, Error> {
        let now = self.now();
        let mut commands = Vec::new();
        for (which, step) in suggestion.steps.iter().enumerate() {
            let Some(actuator) = self.actuator(space, step)? else { continue };
            let expires_at = now.plus_micros(i64::from(actuator.lifetime_seconds) * 1_000_000);
            commands.push(command::issued(suggestion.number.command(which + 1), step, decision, now, expires_at));
        }
        Ok(commands)
    }

    /// The value that the effect will be held against, as it is now.
    pub(super) fn measured(&self, space: &TenantSpace, suggestion: &Suggestion) -> Result<Option<Value>, Error> {
        let Some(measure) = &suggestion.measures else { return Ok(None) };
        let Some(entity) = self.find(&space.name, &measure.entity)? else { return Ok(None) };
        let instance = entity.find(measure.attribute.as_str()).and_then(|attribute| attribute.default_instance());
        Ok(instance.and_then(|instance| match &instance.kind {
            city_model::Kind::Property(value) => Some(value.clone()),
            _ => None,
        }))
    }
}

fn subject(change: &Change) -> Option<EntityId> {
    match change {
        Change::Create(entity) => Some(entity.id.clone()),
        _ => None,
    }
}

/// The paper of one person's decision.
fn decided(
    id: &EntityId,
    suggestion: &Suggestion,
    verdict: &Verdict,
    who: &str,
    reason: Option<&str>,
    now: city_model::Time,
) -> Change {
    Draft::new(DECISION, id.clone())
        .link("decides", &suggestion.id)
        .text("verdict", verdict.as_str())
        .text("decidedBy", who)
        .time("decidedAt", now)
        .maybe("reason", reason)
        .json("proposes", Value::List(suggestion.steps.iter().map(step_value).collect()))
        .create()
}

pub(super) fn checked_reason(reason: Option<&str>, needed: bool) -> Result<Option<&str>, Error> {
    let reason = reason.map(str::trim).filter(|reason| !reason.is_empty());
    match reason {
        None if needed => Err(Error::Asked("It needs a reason, for those who come later.".to_owned())),
        Some(reason) if reason.chars().count() > REASON_CHARS_MAX => {
            Err(Error::Asked(format!("The reason is longer than {REASON_CHARS_MAX} characters.")))
        }
        reason => Ok(reason),
    }
}

/// The steps as altered: of those that were suggested, with other values.
fn altered(suggestion: &Suggestion, steps: &[Step]) -> Result<Vec<Step>, Error> {
    if steps.is_empty() {
        return Err(Error::Asked("Nothing is left of it; reject it instead.".to_owned()));
    }
    for (at, step) in steps.iter().enumerate() {
        let same = |own: &Step| own.target == step.target && own.attribute == step.attribute;
        if !suggestion.steps.iter().any(same) {
            let (target, value) = (&step.target, plain::of(&step.value));
            return Err(Error::Asked(format!(
                "{} of {target} (to {value}) was not suggested; an alteration changes values or leaves steps out.",
                step.attribute
            )));
        }
        if steps[..at].iter().any(same) {
            return Err(Error::Asked(format!("{} of {} stands there twice.", step.attribute, step.target)));
        }
    }
    Ok(steps.to_vec())
}
