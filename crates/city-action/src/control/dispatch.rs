//! Commands on their way: what was decided is sent, and what is said back is written down.
//!
//! That a command is being sent is durable before its first byte leaves. So after a crash it is known which
//! may have arrived: those are sent again where the target tells repeats by their id, and are unknown elsewhere.

use std::collections::VecDeque;
use std::collections::hash_map::Entry;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use city_context::TenantSpace;
use city_model::{EntityId, TenantName};
use http::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use serde_json::json;

use super::actuator::Actuator;
use super::command::{Command, Status};
use super::paper::Draft;
use super::parcel::Handed;
use super::settle::{Outcome, Told};
use super::{Control, Error, Open, noted};

/// First pause after a failure; each further one is twice as long, up to the last.
const PAUSE_FIRST: Duration = Duration::from_millis(200);
const PAUSE_LAST: Duration = Duration::from_secs(10);
/// How often a wait looks at the city's clock, which may be virtual.
const LOOK: Duration = Duration::from_millis(100);
/// Answers by which a target says that it will not do it.
const REFUSALS: [u16; 8] = [400, 401, 403, 404, 405, 409, 410, 422];
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// What came of sending a command once.
enum Sent {
    /// The target has said what it did.
    Said(Outcome, String),
    /// The target will not do it, by its status alone.
    Refused(String),
    /// The target has taken it, and will say later what it did.
    Taken,
    /// It has not reached the target.
    NotReached(String),
    /// It may have reached the target.
    MayHave(String),
}

/// A command that is to be sent now.
struct Taken {
    command: Command,
    actuator: Actuator,
    /// By an earlier try whose fate is not known.
    may_have_arrived: bool,
}

impl Control {
    /// Takes a place for a command behind those that go to the same target, and sees it there, however long that
    /// takes.
    pub(super) fn send_out(self: &Arc<Self>, space: &TenantSpace, id: &EntityId, target: &EntityId) {
        let key = (space.number, target.clone());
        match self.lanes.lock().entry(key.clone()) {
            Entry::Occupied(lane) => return lane.into_mut().push_back(id.clone()),
            Entry::Vacant(lane) => drop(lane.insert(VecDeque::from([id.clone()]))),
        }
        let (control, tenant) = (Arc::clone(self), space.name.clone());
        self.runtime.spawn(async move {
            while let Some(id) = control.first_of(&key) {
                control.see_through(&tenant, &id).await;
                if let Some(lane) = control.lanes.lock().get_mut(&key) {
                    lane.pop_front();
                }
            }
        });
    }

    /// The command whose turn it is; a lane with none is taken away.
    fn first_of(&self, key: &(u32, EntityId)) -> Option<EntityId> {
        let mut lanes = self.lanes.lock();
        let first = lanes.get(key)?.front().cloned();
        if first.is_none() {
            lanes.remove(key);
        }
        first
    }

    async fn see_through(&self, tenant: &TenantName, id: &EntityId) {
        let mut pause = PAUSE_FIRST;
        loop {
            match self.advance(tenant, id, &mut pause).await {
                Ok(true) => {}
                Ok(false) => return,
                Err(error) => {
                    tracing::error!(command = %id, %error, "a command waits; it is tried again");
                    Self::sleep(&mut pause).await;
                }
            }
        }
    }

    async fn sleep(pause: &mut Duration) {
        tokio::time::sleep(*pause).await;
        *pause = (*pause * 2).min(PAUSE_LAST);
    }

    /// One step of a command; `false` when nothing more is to be done for it.
    async fn advance(&self, tenant: &TenantName, id: &EntityId, pause: &mut Duration) -> Result<bool, Error> {
        let space = self.space(tenant)?;
        let Some(Taken { command, actuator, may_have_arrived }) = blocking(|| self.take(&space, id))? else {
            return Ok(false);
        };
        let sent = match actuator.device() {
            Some(device) => self.hand_over(&space, &command, device).await?,
            None => self.post(&command, &actuator).await,
        };
        let sent = match sent {
            Sent::Taken => match self.wait_for_word(&space, id, actuator.timeout_seconds).await? {
                true => return Ok(false),
                false => Sent::MayHave("The target took it and did not say what it did.".to_owned()),
            },
            sent => sent,
        };
        let (status, why) = match sent {
            Sent::Said(outcome, detail) => return self.heard(&space, &command, outcome, &detail),
            Sent::Refused(why) if !may_have_arrived => {
                return self.heard(&space, &command, Outcome::Refused, &why);
            }
            // What an earlier try may have done is not undone by what comes of a later one.
            Sent::Refused(why) => (Status::Unknown, why),
            Sent::NotReached(why) if may_have_arrived => (Status::Sent, why),
            Sent::NotReached(why) => (Status::Waiting, why),
            Sent::MayHave(why) if actuator.repeatable => (Status::Sent, why),
            Sent::MayHave(why) => (Status::Unknown, why),
            Sent::Taken => return Ok(false),
        };
        blocking(|| self.note(&space, id, status, &why))?;
        if status.is_under_way() {
            Self::sleep(pause).await;
        }
        Ok(status.is_under_way())
    }

    /// Writes down what the target answered; nothing more is to be done then.
    fn heard(&self, space: &TenantSpace, command: &Command, outcome: Outcome, detail: &str) -> Result<bool, Error> {
        let by = command.step.target.as_str();
        let told = Told { outcome, by, detail: Some(detail), from: &[Status::Sent] };
        match blocking(|| self.settle(&self.own_permit(space)?, space, &command.id, &told)) {
            // It had called back before it answered.
            Ok(()) | Err(Error::WrongState { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Makes a command ready to be sent, and durable that it is; `None` where it has ended.
    fn take(&self, space: &TenantSpace, id: &EntityId) -> Result<Option<Taken>, Error> {
        let mut open = self.order.lock();
        let entity = self.known(space, id)?;
        let Some(mut command) = entity.as_deref().and_then(Command::read) else { return Ok(None) };
        if !command.status.is_under_way() {
            return Ok(None);
        }
        // Sent before this process began, or by a try whose fate is not known.
        let (now, may_have_arrived) = (self.now(), command.status == Status::Sent);
        let left = if may_have_arrived { Status::Unknown } else { Status::Expired };
        let actuator = self.actuator_of(space, &command)?;
        let (status, why) = match &actuator {
            _ if now > command.expires_at => (left, "Its time was over before the target had acknowledged it."),
            None => (left, "Nothing says any more how its commands get there."),
            Some(actuator) if may_have_arrived && !actuator.repeatable => {
                (Status::Unknown, "The server stopped while it was on its way.")
            }
            Some(_) => (Status::Sent, ""),
        };
        let Some(actuator) = actuator.filter(|_| status == Status::Sent) else {
            self.end(&mut open, space, &command, status, why)?;
            return Ok(None);
        };
        command.status = Status::Sent;
        command.attempts += 1;
        let draft = Draft::of(command.id.clone())
            .text("status", command.status.as_str())
            .number("attempts", command.attempts)
            .time("sentAt", now);
        let details = json!({"attempt": command.attempts, "decision": command.decision.as_str()});
        let changes = vec![draft.change(), noted("command.sent", &command.id, &details)];
        self.write(&self.own_permit(space)?, "command", changes)?;
        Ok(Some(Taken { command, actuator, may_have_arrived }))
    }

    /// Ends a command by itself: nothing more is to come of it.
    pub(super) fn end(
        &self,
        open: &mut Open,
        space: &TenantSpace,
        command: &Command,
        status: Status,
        why: &str,
    ) -> Result<(), Error> {
        let draft = Draft::of(command.id.clone()).text("status", status.as_str()).text("note", why);
        let details = json!({"status": status.as_str(), "why": why});
        let changes = vec![draft.change(), noted("command.ended", &command.id, &details)];
        self.write(&self.own_permit(space)?, "command", changes)?;
        open.commands.remove(&(space.number, command.id.clone()));
        metrics::counter!("renkei_commands_total", "status" => status.as_str()).increment(1);
        self.moved.notify_waiters();
        Ok(())
    }

    /// Why a command stands as it does; unless the target has said something meanwhile.
    fn note(&self, space: &TenantSpace, id: &EntityId, status: Status, why: &str) -> Result<(), Error> {
        let mut open = self.order.lock();
        let entity = self.known(space, id)?;
        let Some(command) = entity.as_deref().and_then(Command::read) else { return Ok(()) };
        if !command.status.is_under_way() {
            return Ok(());
        }
        if !status.is_under_way() {
            return self.end(&mut open, space, &command, status, why);
        }
        let draft = Draft::of(id.clone()).text("status", status.as_str()).text("note", why);
        self.write(&self.own_permit(space)?, "command", vec![draft.change()]).map(drop)
    }

    /// To a machine that is connected to a door of ours.
    async fn hand_over(&self, space: &TenantSpace, command: &Command, device: &str) -> Result<Sent, Error> {
        let permit = self.own_permit(space)?;
        let body = Bytes::from(command.envelope().to_string());
        Ok(match self.parcels.send(permit, device, &command.id, body, command.expires_at).await {
            Handed::Over => Sent::Taken,
            Handed::NotReached(why) => Sent::NotReached(why),
            Handed::MayHave(why) => Sent::MayHave(why),
        })
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
                Sent::Refused(format!("The target answered {}.", answer.status))
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
    async fn wait_for_word(&self, space: &TenantSpace, id: &EntityId, seconds: u32) -> Result<bool, Error> {
        let until = self.now().plus_micros(i64::from(seconds) * 1_000_000);
        loop {
            let moved = self.moved.notified();
            let entity = blocking(|| self.known(space, id))?;
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
