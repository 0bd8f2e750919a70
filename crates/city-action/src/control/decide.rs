//! A person decides: a suggestion and a verdict come in, a decision and its commands go out.

use std::sync::Arc;

use city_context::{AsOf, TenantSpace};
use city_model::proposal::Step;
use city_model::vocabulary::DECISION;
use city_model::{Change, Entity, EntityId, Kind, Permit, Right, Time, Value};
use city_ngsi_ld::plain;
use serde_json::json;

use super::paper::{Draft, Paper};
use super::suggestion::{Status, Suggestion, shown_step, step_value};
use super::watch::effect_due;
use super::{COMMANDS_OPEN_MAX, Control, Error, command, noted};

/// Most decisions on one suggestion that leave it open: alterations that the next person alters again.
const DECISIONS_MAX: usize = 50;
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
        // Who sees it decides all of it, also what a policy hides of the paper.
        self.suggestion_for(permit, &space, id)?;
        let whole = self.known(&space, id)?.as_deref().and_then(Suggestion::read);
        let mut suggestion = whole.ok_or_else(|| Error::NotFound { what: "Suggestion", id: id.as_str().into() })?;
        let reason = checked_reason(reason, *verdict != Verdict::Approve)?;
        let now = self.now();
        if suggestion.status != Status::Open {
            let by = suggestion.decided_by.zip(suggestion.decided_at);
            return Err(Error::Decided { suggestion: suggestion.id, status: suggestion.status.as_str(), by });
        }
        if now > suggestion.deadline {
            return Err(Error::TooLate { suggestion: suggestion.id, deadline: suggestion.deadline });
        }
        let earlier = self.decisions_of(&space, &suggestion)?;
        if earlier.len() >= DECISIONS_MAX && *verdict != Verdict::Reject {
            return Err(Error::Asked(format!(
                "It was decided {DECISIONS_MAX} times without an end; reject it, and let the rule be mended."
            )));
        }
        match verdict {
            Verdict::Approve => is_another_person(permit, &earlier, &suggestion)?,
            // Who approved it before approved something else.
            Verdict::Alter(steps) => {
                suggestion.steps = altered(&suggestion, steps)?;
                suggestion.approvals = 0;
            }
            Verdict::Reject => {}
        }
        let decision = suggestion.number.decision(earlier.len() as u32 + 1);
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
                let altered = matches!(verdict, Verdict::Alter(_)) || earlier.iter().any(|paper| is_altered(paper));
                suggestion.status = if altered { Status::Altered } else { Status::Approved };
                commands = self.commands(&space, &suggestion, &decision)?;
                if open.commands.len() + commands.len() > COMMANDS_OPEN_MAX {
                    return Err(Error::TooMany(open.commands.len()));
                }
            }
        }
        if suggestion.status != Status::Open {
            suggestion.decided_at = Some(now);
            paper =
                paper.text("status", suggestion.status.as_str()).text("decidedBy", permit.who()).time("decidedAt", now);
            if let Some(before) = self.measured(&space, &suggestion, now)? {
                paper = paper.value("before", before);
            }
        }
        let steps: Vec<_> = suggestion.steps.iter().map(|step| shown_step(step, &|name| name.to_string())).collect();
        let details =
            json!({"verdict": verdict.as_str(), "reason": reason, "decision": decision.as_str(), "steps": steps});
        changes.push(paper.change());
        changes.push(noted("suggestion.decided", &suggestion.id, &details));
        let mut places = Vec::with_capacity(commands.len());
        for Issued { id, target, paper } in commands {
            changes.push(paper);
            places.push((id, target));
        }
        self.write(permit, "decision", changes)?;
        metrics::counter!("renkei_decisions_total", "verdict" => verdict.as_str()).increment(1);
        if suggestion.status != Status::Open {
            open.suggestions.remove(&(space.number, suggestion.id.clone()));
            if let Some(due) = effect_due(&suggestion) {
                open.effects.insert((due, space.number, suggestion.id.clone()));
            }
        }
        // Their places are taken before anybody else decides.
        for (id, target) in places {
            open.commands.insert((space.number, id.clone()));
            self.send_out(&space, &id, &target);
        }
        Ok(())
    }

    /// The decisions on a suggestion so far, the oldest first.
    pub(super) fn decisions_of(&self, space: &TenantSpace, suggestion: &Suggestion) -> Result<Vec<Arc<Entity>>, Error> {
        let mut decisions = Vec::new();
        while let Some(paper) = self.known(space, &suggestion.number.decision(decisions.len() as u32 + 1))? {
            decisions.push(paper);
        }
        Ok(decisions)
    }

    /// Refuses steps that no machine could be given; how many persons they need. Where several types of a target
    /// say how, each must admit it.
    fn check_steps(&self, space: &TenantSpace, suggestion: &Suggestion) -> Result<u32, Error> {
        let mut persons = 1;
        for step in &suggestion.steps {
            let actuators = self.actuators_of(space, step)?;
            if actuators.is_empty() {
                let (target, attribute) = (step.target.clone(), step.attribute.as_str().into());
                return Err(Error::NotCommandable { target, attribute });
            }
            for actuator in actuators {
                actuator.admits(&step.target, &step.attribute, &step.value).map_err(Error::OutOfBounds)?;
                persons = persons.max(actuator.persons);
            }
        }
        Ok(persons.into())
    }

    /// The commands that carry a suggestion out.
    fn commands(
        &self,
        space: &TenantSpace,
        suggestion: &Suggestion,
        decision: &EntityId,
    ) -> Result<Vec<Issued>, Error> {
        let now = self.now();
        let mut commands = Vec::new();
        for (which, step) in suggestion.steps.iter().enumerate() {
            let Some(actuator) = self.actuators_of(space, step)?.into_iter().next() else { continue };
            let id = suggestion.number.command(which + 1);
            let paper = command::issued(id.clone(), step, decision, &actuator, now);
            commands.push(Issued { id, target: step.target.clone(), paper });
        }
        Ok(commands)
    }

    /// The value that an effect is held against, as it was at a time and as the rule's owner may see it.
    pub(super) fn measured(
        &self,
        space: &TenantSpace,
        suggestion: &Suggestion,
        at: Time,
    ) -> Result<Option<Value>, Error> {
        let (Some(measure), Some(owner)) = (&suggestion.measures, &suggestion.owner) else { return Ok(None) };
        let permit = self.permits.permit_of(&space.name, Some(owner), self.now());
        // As rules do: data of behaviour or persons is not carried on.
        let Some(permit) = permit.filter(|permit| permit.discloses().is_empty()) else { return Ok(None) };
        let AsOf::Entity(Some(entity)) = self.context.known_at(&self.hand, space, &measure.entity, at)? else {
            return Ok(None);
        };
        let Some(entity) = permit.read().seen(&entity) else { return Ok(None) };
        let instance = entity.find(measure.attribute.as_str()).and_then(|attribute| attribute.default_instance());
        Ok(instance.and_then(|instance| match &instance.kind {
            Kind::Property(value) => Some(value.clone()),
            _ => None,
        }))
    }
}

/// A command before it is written.
struct Issued {
    id: EntityId,
    target: EntityId,
    paper: Change,
}

fn is_altered(decision: &Entity) -> bool {
    Paper(decision).text("verdict") == Some("alter")
}

/// Refuses who has approved it already, as it now stands.
fn is_another_person(permit: &Permit, earlier: &[Arc<Entity>], suggestion: &Suggestion) -> Result<(), Error> {
    let last_altered = earlier.iter().rposition(|paper| is_altered(paper)).unwrap_or(0);
    let same = |paper: &Arc<Entity>| Paper(paper).text("decidedBy") == Some(permit.who());
    match earlier.iter().skip(last_altered).any(same) {
        true => Err(Error::SamePerson { who: permit.who().into(), suggestion: suggestion.id.clone() }),
        false => Ok(()),
    }
}

/// The paper of one person's decision.
fn decided(
    id: &EntityId,
    suggestion: &Suggestion,
    verdict: &Verdict,
    who: &str,
    reason: Option<&str>,
    now: Time,
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
