//! What happens by itself: suggestions that nobody decided end, and effects are measured when it is time.

use std::sync::Arc;
use std::time::Duration;

use city_model::vocabulary::EFFECT;
use city_model::{EntityId, Time, Value};
use serde_json::json;

use super::command::{Command, Status as CommandStatus};
use super::paper::{Draft, Paper};
use super::suggestion::{Status, Suggestion};
use super::{Control, Error, noted};

/// How often the clock is looked at.
const LOOK: Duration = Duration::from_millis(200);

/// When the effect of a suggestion that was carried out is to be measured.
#[must_use]
pub fn effect_due(suggestion: &Suggestion) -> Option<Time> {
    let carried_out = matches!(suggestion.status, Status::Approved | Status::Altered);
    let measure = suggestion.measures.as_ref().filter(|_| carried_out)?;
    Some(suggestion.decided_at?.plus_micros(measure.after_micros))
}

impl Control {
    /// Looks at the clock for as long as the runtime lives.
    pub(super) fn watch(self: Arc<Self>) {
        self.runtime.clone().spawn(async move {
            loop {
                tokio::time::sleep(LOOK).await;
                tokio::task::block_in_place(|| self.look());
            }
        });
    }

    /// What fails is tried again at the next look, and holds up nothing else.
    fn look(&self) {
        let now = self.now();
        let (late, due): (Vec<_>, Vec<_>) = {
            let open = self.order.lock();
            let late = open.suggestions.iter().filter(|(_, deadline)| now > **deadline);
            let due = open.effects.iter().take_while(|(at, ..)| *at <= now);
            (late.map(|(key, _)| key.clone()).collect(), due.cloned().collect())
        };
        for (tenant, id) in late {
            tried(&id, self.expire(tenant, &id));
        }
        for (at, tenant, id) in due {
            if tried(&id, self.measure(tenant, &id, at)) {
                self.order.lock().effects.remove(&(at, tenant, id));
            }
        }
    }

    fn expire(&self, number: u32, id: &EntityId) -> Result<(), Error> {
        let Some(space) = self.context.tenants().by_number(number) else { return Ok(()) };
        let mut open = self.order.lock();
        let key = (number, id.clone());
        // Decided meanwhile.
        if !open.suggestions.contains_key(&key) {
            return Ok(());
        }
        let draft = Draft::of(id.clone()).text("status", Status::Expired.as_str());
        let changes = vec![draft.change(), noted("suggestion.expired", id, &json!({}))];
        self.write(&self.own_permit(&space)?, "clock", changes)?;
        open.suggestions.remove(&key);
        Ok(())
    }

    /// Before and after, as it was when it was due; what would have been without the action is not known yet,
    /// and not claimed.
    fn measure(&self, number: u32, id: &EntityId, due: Time) -> Result<(), Error> {
        let Some(space) = self.context.tenants().by_number(number) else { return Ok(()) };
        let Some(entity) = self.known(&space, id)? else { return Ok(()) };
        let Some(suggestion) = Suggestion::read(&entity) else { return Ok(()) };
        let Some(decided_at) = suggestion.decided_at else { return Ok(()) };
        let effect = suggestion.number.effect();
        if self.known(&space, &effect)?.is_some() {
            return Ok(());
        }
        let mut acknowledged = 0;
        for which in 1..=suggestion.steps.len() {
            let command = self.known(&space, &suggestion.number.command(which))?;
            let done = |command: &Command| command.status == CommandStatus::Acknowledged;
            acknowledged +=
                usize::from(command.as_deref().and_then(Command::read).is_some_and(|command| done(&command)));
        }
        let basis = match (acknowledged, suggestion.steps.len()) {
            (0, _) => "No command was acknowledged, so nothing of this is an effect of it.".to_owned(),
            (some, all) => format!(
                "Before and after, with {some} of {all} commands acknowledged; what would have been without them is not known."
            ),
        };
        let decided = Paper(&entity);
        let after = self.measured(&space, &suggestion, due)?;
        let mut paper = Draft::new(EFFECT, effect)
            .link("resultsFrom", id)
            .json("measures", decided.value("measures").cloned().unwrap_or(Value::Null))
            .time("from", decided_at)
            .time("to", due)
            .text("basis", &basis);
        for (term, value) in [("before", decided.value("before").cloned()), ("after", after)] {
            if let Some(value) = value {
                paper = paper.value(term, value);
            }
        }
        self.write(&self.own_permit(&space)?, "clock", vec![paper.create()])?;
        Ok(())
    }
}

/// Whether it was done.
fn tried(id: &EntityId, outcome: Result<(), Error>) -> bool {
    if let Err(error) = &outcome {
        tracing::error!(suggestion = %id, %error, "what is due in the loop waits; it is tried again");
    }
    outcome.is_ok()
}
