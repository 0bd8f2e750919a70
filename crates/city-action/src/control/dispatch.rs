//! Commands on their way: what was decided is sent, and what is said back is written down.
//!
//! That a command is being sent is durable before its first byte leaves. So after a crash it is known which
//! may have arrived: those are sent again where the target tells repeats by their id, and are unknown elsewhere.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use city_model::vocabulary::{self, ACKNOWLEDGEMENT};
use city_model::{Attribute, Change, Entity, EntityId, Instance, Kind, Permit, Right, TenantName, Value};
use http::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use serde_json::json;

use super::actuator::Actuator;
use super::command::{Command, Status};
use super::decide::checked_reason;
use super::paper::{Draft, command_number};
use super::{Control, Error, noted};

/// First pause after a failure; each further one is twice as long, up to the last.
const PAUSE_FIRST: Duration = Duration::from_millis(200);
const PAUSE_LAST: Duration = Duration::from_secs(10);
/// How often a wait looks at the city's clock, which may be virtual.
const LOOK: Duration = Duration::from_millis(100);
/// Answers by which a target says that it will not do it.
const REFUSALS: [u16; 8] = [400, 401, 403, 404, 405, 409, 410, 422];
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
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

/// What came of sending a command once.
enum Sent {
    /// The target has said what it did.
    Said(Outcome, String),
    /// The target has taken it, and will say later what it did.
    Taken,
    /// It has not reached the target.
    NotReached(String),
    /// It may have reached the target.
    MayHave(String),
}

impl Control {
    /// Takes a command to its target, however long that takes.
    pub(super) fn send_out(self: &Arc<Self>, tenant: &TenantName, command: &Command) {
        let (control, tenant, id) = (Arc::clone(self), tenant.clone(), command.id.clone());
        let target = command.step.target.clone();
        self.runtime.spawn(async move {
            let lane = control.lane(&tenant, &target);
            let _turn = lane.lock().await;
            let mut pause = PAUSE_FIRST;
            loop {
                match control.advance(&tenant, &id, &mut pause).await {
                    Ok(true) => {}
                    Ok(false) => break,
                    Err(error) => {
                        tracing::error!(command = %id, %error, "a command waits; it is tried again");
                        Self::sleep(&mut pause).await;
                    }
                }
            }
        });
    }

    fn lane(&self, tenant: &TenantName, target: &EntityId) -> Arc<tokio::sync::Mutex<()>> {
        let number = self.context.tenants().find(tenant).map_or(0, |space| space.number);
        let mut lanes = self.lanes.lock();
        lanes.retain(|_, lane| Arc::strong_count(lane) > 1);
        Arc::clone(lanes.entry((number, target.clone())).or_default())
    }

    async fn sleep(pause: &mut Duration) {
        tokio::time::sleep(*pause).await;
        *pause = (*pause * 2).min(PAUSE_LAST);
    }

    /// One step of a command; `false` when nothing more is to be done for it.
    async fn advance(
        self: &Arc<Self>,
        tenant: &TenantName,
        id: &EntityId,
        pause: &mut Duration,
    ) -> Result<bool, Error> {
        let Some((command, actuator)) = blocking(|| self.take(tenant, id))? else { return Ok(false) };
        let sent = self.post(&command, &actuator).await;
        let sent = match sent {
            Sent::Taken => match self.wait_for_word(tenant, id, actuator.timeout_seconds).await? {
                true => return Ok(false),
                false => Sent::MayHave("The target took it and did not say what it did.".to_owned()),
            },
            sent => sent,
        };
        match sent {
            Sent::Said(outcome, detail) => {
                let permit = self.own_permit(tenant)?;
                let by = command.step.target.as_str().to_owned();
                blocking(|| self.settle(&permit, id, outcome, &by, Some(&detail), &[Status::Sent]))?;
                Ok(false)
            }
            Sent::NotReached(why) => {
                blocking(|| self.note(tenant, id, Status::Waiting, &why))?;
                Self::sleep(pause).await;
                Ok(true)
            }
            Sent::MayHave(why) if actuator.repeatable => {
                blocking(|| self.note(tenant, id, Status::Sent, &why))?;
                Self::sleep(pause).await;
                Ok(true)
            }
            Sent::MayHave(why) => {
                blocking(|| self.note(tenant, id, Status::Unknown, &why))?;
                Ok(false)
            }
            Sent::Taken => Ok(false),
        }
    }

    /// Makes a command ready to be sent, and durable that it is; `None` where it has ended.
    fn take(&self, tenant: &TenantName, id: &EntityId) -> Result<Option<(Command, Actuator)>, Error> {
        let mut open = self.order.lock();
        let space = self.context.tenants().find(tenant).ok_or_else(|| gone(id))?;
        let entity = self.find(tenant, id)?;
        let Some(mut command) = entity.as_deref().and_then(Command::read) else { return Ok(None) };
        if !command.status.is_under_way() {
            return Ok(None);
        }
        let (now, was_sent) = (self.now(), command.status == Status::Sent);
        let mut end = |status: Status, why: &str| {
            open.commands = open.commands.saturating_sub(1);
            self.put(tenant, &command, status, why)?;
            Ok(None)
        };
        let left = if was_sent { Status::Unknown } else { Status::Expired };
        if now > command.expires_at {
            return end(left, "Its time was over before the target had acknowledged it.");
        }
        let Some(actuator) = self.actuator(&space, &command.step)? else {
            return end(left, "Nothing says any more how its commands get there.");
        };
        // Sent before this process began, or by a try whose fate is not known.
        if was_sent && !actuator.repeatable {
            return end(Status::Unknown, "The server stopped while it was on its way.");
        }
        let draft = Draft::of(command.id.clone())
            .text("status", Status::Sent.as_str())
            .number("attempts", command.attempts + 1)
            .time("sentAt", now);
        let details = json!({"attempt": command.attempts + 1, "decision": command.decision.as_str()});
        self.write(
            &self.own_permit(tenant)?,
            "command",
            vec![draft.change(), noted("command.sent", &command.id, &details)],
        )?;
        command.status = Status::Sent;
        Ok(Some((command, actuator)))
    }

    fn put(&self, tenant: &TenantName, command: &Command, status: Status, why: &str) -> Result<(), Error> {
        let draft = Draft::of(command.id.clone()).text("status", status.as_str()).text("note", why);
        let mut changes = vec![draft.change()];
        if !status.is_under_way() {
            let details = json!({"status": status.as_str(), "why": why});
            changes.push(noted("command.ended", &command.id, &details));
            metrics::counter!("renkei_commands_total", "status" => status.as_str()).increment(1);
        }
        self.write(&self.own_permit(tenant)?, "command", changes)?;
        self.moved.notify_waiters();
        Ok(())
    }

    /// Why a command stands as it does; unless the target has said something meanwhile.
    fn note(&self, tenant: &TenantName, id: &EntityId, status: Status, why: &str) -> Result<(), Error> {
        let mut open = self.order.lock();
        let entity = self.find(tenant, id)?;
        let Some(command) = entity.as_deref().and_then(Command::read) else { return Ok(()) };
        if !command.status.is_under_way() {
            return Ok(());
        }
        if !status.is_under_way() {
            open.commands = open.commands.saturating_sub(1);
        }
        self.put(tenant, &command, status, why)
    }

    async fn post(&self, command: &Command, actuator: &Actuator) -> Sent {
        use city_outbound::{Error as Outside, Stage};
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if let Ok(id) = HeaderValue::from_str(command.id.as_str()) {
            headers.insert(IDEMPOTENCY_KEY, id);
        }
        let body = Bytes::from(command.envelope().to_string());
        let timeout = Duration::from_secs(actuator.timeout_seconds.into());
        match self.outbound.post(&actuator.endpoint, headers, body, timeout).await {
            Ok(answer) if answer.status == 202 => Sent::Taken,
            Ok(answer) if answer.is_success() => said(&answer.body),
            Ok(answer) if REFUSALS.contains(&answer.status) => {
                Sent::Said(Outcome::Refused, format!("The target answered {}.", answer.status))
            }
            Ok(answer) => Sent::MayHave(format!("The target answered {}.", answer.status)),
            Err(error) => match error {
                Outside::Address { .. }
                | Outside::NotListed { .. }
                | Outside::NotPublic { .. }
                | Outside::Unresolved { .. }
                | Outside::Unreachable { .. }
                | Outside::NoAuthorities { .. }
                | Outside::Header { .. }
                | Outside::TimedOut { stage: Stage::Waiting | Stage::Connecting, .. } => {
                    Sent::NotReached(error.to_string())
                }
                error => Sent::MayHave(error.to_string()),
            },
        }
    }

    /// Whether a word of the target came in time, through the door for acknowledgements.
    async fn wait_for_word(&self, tenant: &TenantName, id: &EntityId, seconds: u32) -> Result<bool, Error> {
        let until = self.now().plus_micros(i64::from(seconds) * 1_000_000);
        loop {
            let moved = self.moved.notified();
            let entity = blocking(|| self.find(tenant, id))?;
            let command = entity.as_deref().and_then(Command::read);
            if command.is_none_or(|command| !command.status.is_under_way()) {
                return Ok(true);
            }
            if self.now() > until {
                return Ok(false);
            }
            tokio::select! {
                () = moved => {}
                () = tokio::time::sleep(LOOK) => {}
            }
        }
    }

    /// Writes down what was said of a command; done, and the commandable attribute says so.
    fn settle(
        &self,
        permit: &Permit,
        id: &EntityId,
        outcome: Outcome,
        by: &str,
        detail: Option<&str>,
        from: &[Status],
    ) -> Result<(), Error> {
        let mut open = self.order.lock();
        let tenant = permit.tenant().clone();
        let entity = self.find(&tenant, id)?;
        let command = entity.as_deref().and_then(Command::read).ok_or_else(|| gone(id))?;
        if !from.contains(&command.status) {
            return Err(Error::WrongState { command: command.id, status: command.status.as_str() });
        }
        let (now, status) = (self.now(), outcome.status());
        let detail = detail.map(|text| text.chars().take(DETAIL_CHARS_MAX).collect::<String>());
        let mut which = 1;
        let number = command_number(id).unwrap_or(0);
        while self.find(&tenant, &command.number.acknowledgement(number, which))?.is_some() {
            which += 1;
        }
        let paper = Draft::new(ACKNOWLEDGEMENT, command.number.acknowledgement(number, which))
            .link("acknowledges", id)
            .text("outcome", outcome.as_str())
            .text("decidedBy", by)
            .time("at", now)
            .maybe("detail", detail.as_deref());
        let changed =
            Draft::of(id.clone()).text("status", status.as_str()).text("note", detail.as_deref().unwrap_or(""));
        let details = json!({"outcome": outcome.as_str(), "by": by, "detail": detail});
        self.write(
            permit,
            "command",
            vec![paper.create(), changed.change(), noted("command.acknowledged", id, &details)],
        )?;
        if command.status.is_under_way() {
            open.commands = open.commands.saturating_sub(1);
        }
        metrics::counter!("renkei_commands_total", "status" => status.as_str()).increment(1);
        if outcome == Outcome::Done
            && let Err(error) = self.write(permit, "command", vec![moved(&command, now)])
        {
            // The thing itself may be gone; the acknowledgement stands.
            tracing::warn!(command = %id, %error, "what was commanded could not be written at its target");
        }
        drop(open);
        self.moved.notify_waiters();
        Ok(())
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
        // Who may not write the target does not learn that there is a command.
        let command = self.find(permit.tenant(), id)?.as_deref().and_then(Command::read).ok_or_else(|| gone(id))?;
        let target = self.find(permit.tenant(), &command.step.target)?;
        if target.is_none_or(|target| permit.write().sight(&target).is_none()) {
            return Err(gone(id));
        }
        let by = permit.who().to_owned();
        self.settle(permit, id, outcome, &by, detail, &[Status::Sent, Status::Unknown])
    }

    /// A person says what became of a command whose fate was not known.
    pub fn resolve(&self, permit: &Permit, id: &EntityId, outcome: Outcome, reason: Option<&str>) -> Result<(), Error> {
        self.may_decide(permit, id)?;
        let reason = checked_reason(reason, true)?;
        let by = permit.who().to_owned();
        self.settle(permit, id, outcome, &by, reason, &[Status::Unknown])
    }

    /// Takes back a command that has not left yet.
    pub fn revoke(&self, permit: &Permit, id: &EntityId, reason: Option<&str>) -> Result<(), Error> {
        self.may_decide(permit, id)?;
        let reason = checked_reason(reason, true)?.unwrap_or_default();
        let mut open = self.order.lock();
        let entity = self.find(permit.tenant(), id)?;
        let command = entity.as_deref().and_then(Command::read).ok_or_else(|| gone(id))?;
        if command.status != Status::Waiting {
            return Err(Error::WrongState { command: command.id, status: command.status.as_str() });
        }
        let draft = Draft::of(id.clone()).text("status", Status::Revoked.as_str()).text("note", reason);
        let details = json!({"by": permit.who(), "reason": reason});
        self.write(permit, "command", vec![draft.change(), noted("command.revoked", id, &details)])?;
        open.commands = open.commands.saturating_sub(1);
        drop(open);
        self.moved.notify_waiters();
        Ok(())
    }

    fn may_decide(&self, permit: &Permit, id: &EntityId) -> Result<(), Error> {
        permit.check(Right::Decide, self.now()).map_err(city_context::Error::from)?;
        match self.context.find(permit, id)?.as_deref().and_then(Command::read) {
            Some(_) => Ok(()),
            None => Err(gone(id)),
        }
    }
}

fn gone(id: &EntityId) -> Error {
    Error::NotFound { what: "Command", id: id.as_str().into() }
}

/// Runs what waits for the disk, on a thread of the runtime.
fn blocking<T>(work: impl FnOnce() -> T) -> T {
    tokio::task::block_in_place(work)
}

/// An answer of success without a word is an acknowledgement; with one it says which. What says something
/// else, such as a page to sign in at, says nothing of the command.
fn said(body: &[u8]) -> Sent {
    if body.is_empty() {
        return Sent::Said(Outcome::Done, String::new());
    }
    let body: serde_json::Value = serde_json::from_slice(body).unwrap_or_default();
    let detail = body["detail"].as_str().unwrap_or_default().to_owned();
    match body["outcome"].as_str().and_then(Outcome::parse) {
        Some(outcome) => Sent::Said(outcome, detail),
        None => Sent::MayHave("The target's answer does not say what it did.".to_owned()),
    }
}

/// The commandable attribute as it was acknowledged, with what it goes back to.
fn moved(command: &Command, now: city_model::Time) -> Change {
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
