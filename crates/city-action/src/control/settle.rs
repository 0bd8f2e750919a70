//! What became of a command: its target's word, or a person's, is written down together with what it moves.

use std::sync::Arc;

use city_context::TenantSpace;
use city_model::reach::Shown;
use city_model::vocabulary::{self, ACKNOWLEDGEMENT};
use city_model::{Attribute, Change, Entity, EntityId, Instance, Kind, Permit, Reach, Right, Time, Value};
use serde_json::json;

use super::command::{Command, Status};
use super::decide::checked_reason;
use super::paper::{Draft, command_number};
use super::{Control, Error, noted};

/// Longest word of a target that is kept, in characters.
const DETAIL_CHARS_MAX: usize = 500;

/// What a target says of a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    Done,
    Refused,
}

impl Outcome {
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "done" => Some(Self::Done),
            "refused" => Some(Self::Refused),
            _ => None,
        }
    }

    fn as_str(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Refused => "refused",
        }
    }

    fn status(self) -> Status {
        match self {
            Self::Done => Status::Acknowledged,
            Self::Refused => Status::Refused,
        }
    }
}

/// What was said of a command, and by whom.
pub(super) struct Told<'t> {
    pub outcome: Outcome,
    pub by: &'t str,
    pub detail: Option<&'t str>,
    /// How it must stand for this to be said.
    pub from: &'t [Status],
}

impl Control {
    /// Writes down what was said of a command; done, and the commandable attribute says so in the same write.
    pub(super) fn settle(
        &self,
        permit: &Permit,
        space: &TenantSpace,
        id: &EntityId,
        told: &Told<'_>,
    ) -> Result<(), Error> {
        let mut open = self.order.lock();
        let command = self.command(space, id)?;
        if !told.from.contains(&command.status) {
            return Err(Error::WrongState { command: command.id, status: command.status.as_str() });
        }
        let (now, outcome, status) = (self.now(), told.outcome, told.outcome.status());
        let detail = told.detail.map(|text| text.chars().take(DETAIL_CHARS_MAX).collect::<String>());
        let (mut which, number) = (1, command_number(id).unwrap_or(0));
        while self.known(space, &command.number.acknowledgement(number, which))?.is_some() {
            which += 1;
        }
        let paper = Draft::new(ACKNOWLEDGEMENT, command.number.acknowledgement(number, which))
            .link("acknowledges", id)
            .text("outcome", outcome.as_str())
            .text("decidedBy", told.by)
            .time("at", now)
            .maybe("detail", detail.as_deref());
        let changed =
            Draft::of(id.clone()).text("status", status.as_str()).text("note", detail.as_deref().unwrap_or(""));
        let details = json!({"outcome": outcome.as_str(), "by": told.by, "detail": detail});
        let mut changes = vec![paper.create(), changed.change(), noted("command.acknowledged", id, &details)];
        // A thing that is gone cannot say so; the acknowledgement stands.
        if outcome == Outcome::Done && self.known(space, &command.step.target)?.is_some() {
            changes.push(moved(&command, now));
        }
        self.write(permit, "command", changes)?;
        open.commands.remove(&(space.number, id.clone()));
        metrics::counter!("renkei_commands_total", "status" => status.as_str()).increment(1);
        drop(open);
        self.moved.notify_waiters();
        Ok(())
    }

    fn command(&self, space: &TenantSpace, id: &EntityId) -> Result<Command, Error> {
        self.known(space, id)?.as_deref().and_then(Command::read).ok_or_else(|| gone(id))
    }

    /// A target, or who speaks for it, says what became of a command.
    pub fn acknowledge(
        &self,
        permit: &Permit,
        id: &EntityId,
        outcome: Outcome,
        detail: Option<&str>,
    ) -> Result<(), Error> {
        permit.check(Right::Write, self.now()).map_err(city_context::Error::from)?;
        let space = self.space(permit.tenant())?;
        // Who may not write what was commanded does not learn that there is a command.
        let command = self.command(&space, id)?;
        if !self.covers(permit.write(), &space, &command)? {
            return Err(gone(id));
        }
        let told = Told { outcome, by: permit.who(), detail, from: &[Status::Sent, Status::Unknown] };
        self.settle(permit, &space, id, &told)
    }

    /// A person says what became of a command whose fate was not known.
    pub fn resolve(&self, permit: &Permit, id: &EntityId, outcome: Outcome, reason: Option<&str>) -> Result<(), Error> {
        let space = self.may_decide(permit, id)?;
        let detail = checked_reason(reason, true)?;
        let told = Told { outcome, by: permit.who(), detail, from: &[Status::Unknown] };
        self.settle(permit, &space, id, &told)
    }

    /// Takes back a command that has not left yet.
    pub fn revoke(&self, permit: &Permit, id: &EntityId, reason: Option<&str>) -> Result<(), Error> {
        let space = self.may_decide(permit, id)?;
        let reason = checked_reason(reason, true)?.unwrap_or_default();
        let mut open = self.order.lock();
        let command = self.command(&space, id)?;
        if command.status != Status::Waiting {
            return Err(Error::WrongState { command: command.id, status: command.status.as_str() });
        }
        let draft = Draft::of(id.clone()).text("status", Status::Revoked.as_str()).text("note", reason);
        let details = json!({"by": permit.who(), "reason": reason});
        self.write(permit, "command", vec![draft.change(), noted("command.revoked", id, &details)])?;
        open.commands.remove(&(space.number, id.clone()));
        drop(open);
        self.moved.notify_waiters();
        Ok(())
    }

    /// Who sees a command, and all of what it sets, may say what becomes of it; for others it is not there.
    fn may_decide(&self, permit: &Permit, id: &EntityId) -> Result<Arc<TenantSpace>, Error> {
        permit.check(Right::Decide, self.now()).map_err(city_context::Error::from)?;
        let space = self.context.tenant(permit)?;
        let command = self.command_for(permit, &space, id)?.ok_or_else(|| gone(id))?;
        match self.covers(permit.read(), &space, &command)? {
            true => Ok(space),
            false => Err(gone(id)),
        }
    }

    /// Whether what a command sets lies within a reach, undiminished; of a thing that is gone, everything.
    fn covers(&self, reach: &Reach, space: &TenantSpace, command: &Command) -> Result<bool, Error> {
        let Some(target) = self.known(space, &command.step.target)? else { return Ok(*reach == Reach::Everything) };
        let sight = reach.sight(&target);
        Ok(sight.is_some_and(|sight| sight.shows(command.step.attribute.as_str()) == Shown::Whole))
    }
}

fn gone(id: &EntityId) -> Error {
    Error::NotFound { what: "Command", id: id.as_str().into() }
}

/// The commandable attribute as it was acknowledged, with what it goes back to.
fn moved(command: &Command, now: Time) -> Change {
    let link = |term: &str, id: &EntityId| {
        let kind = Kind::Relationship { object: Value::text(id.as_str()), object_types: Vec::new() };
        Attribute::new(vocabulary::name(term), Instance::new(kind))
    };
    let mut instance = Instance::new(Kind::Property(command.step.value.clone()));
    instance.observed_at = Some(now);
    instance.sub_attributes = vec![link("decision", &command.decision), link("command", &command.id)];
    let mut fragment = Entity::new(command.step.target.clone(), Vec::new());
    fragment.attributes.push(Attribute::new(command.step.attribute.clone(), instance));
    Change::Append { fragment, overwrite: true }
}
