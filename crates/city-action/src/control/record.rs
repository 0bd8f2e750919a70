//! What is asked of the loop: lists of suggestions and commands, and the whole record of one suggestion.

use std::ops::ControlFlow;
use std::sync::Arc;

use city_context::TenantSpace;
use city_model::query::{AttributePath, Filter, Operand, Test};
use city_model::vocabulary::{self, COMMAND, SUGGESTION};
use city_model::{Entity, EntityId, Name, Permit, Query, Value};
use city_ngsi_ld::plain;
use serde_json::json;

use super::command::Command;
use super::paper::Paper;
use super::suggestion::{Status, Suggestion, shown_step, steps_of};
use super::{Control, Error, Eyes, of_tenant, of_type};

/// How a full name is shown.
pub type Shorten<'s> = dyn Fn(&Name) -> String + 's;

/// A list that is asked for.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    pub status: Option<&'a str>,
    pub limit: usize,
}

impl Control {
    /// Suggestions that the holder of a permit may see: all open ones by their deadline, then the newest others.
    pub fn suggestions(&self, permit: &Permit, asked: Asked<'_>) -> Result<Vec<Suggestion>, Error> {
        let space = self.context.tenant(permit)?;
        let eyes = Eyes { control: self, space: &space, permit };
        let wanted = |status: Status| asked.status.is_none_or(|wanted| wanted == status.as_str());
        let mut list = Vec::new();
        if wanted(Status::Open) {
            let open: Vec<EntityId> =
                self.order.lock().suggestions.range(of_tenant(space.number)).map(|((_, id), _)| id.clone()).collect();
            for id in open {
                let paper = self.known(&space, &id)?;
                list.extend(paper.and_then(|paper| eyes.suggestion(&paper)).filter(|one| one.status == Status::Open));
            }
            list.sort_by_key(|one| one.deadline);
        }
        if asked.status != Some(Status::Open.as_str()) {
            let query = Query { filter: asked.status.map(status_is), ..of_type(SUGGESTION) };
            let others = self.newest(&space, &query, asked.limit, &|paper| {
                eyes.suggestion(paper).filter(|one| one.status != Status::Open)
            })?;
            list.extend(others);
        }
        list.iter_mut().try_for_each(|one| eyes.withhold(one))?;
        Ok(list)
    }

    /// Commands that the holder of a permit may see, the newest first.
    pub fn commands_of(&self, permit: &Permit, asked: Asked<'_>) -> Result<Vec<Command>, Error> {
        let space = self.context.tenant(permit)?;
        let eyes = Eyes { control: self, space: &space, permit };
        let query = Query { filter: asked.status.map(status_is), ..of_type(COMMAND) };
        let mut list =
            self.newest(&space, &query, asked.limit, &|paper| eyes.paper(paper).as_ref().and_then(Command::read))?;
        list.sort_by_key(|one| -one.issued_at.as_micros());
        Ok(list)
    }

    fn newest<T>(
        &self,
        space: &Arc<TenantSpace>,
        query: &Query,
        limit: usize,
        read: &dyn Fn(&Entity) -> Option<T>,
    ) -> Result<Vec<T>, Error> {
        let mut list = Vec::new();
        self.context.see_newest(&self.hand, space, query, &mut |paper| {
            list.extend(read(&paper));
            if list.len() < limit { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        })?;
        Ok(list)
    }

    /// A suggestion, where the holder of a permit may see that there is one.
    pub(super) fn suggestion_for(
        &self,
        permit: &Permit,
        space: &TenantSpace,
        id: &EntityId,
    ) -> Result<Suggestion, Error> {
        let eyes = Eyes { control: self, space, permit };
        let found = self.known(space, id)?.and_then(|paper| eyes.suggestion(&paper));
        found.ok_or_else(|| Error::NotFound { what: "Suggestion", id: id.as_str().into() })
    }

    /// A command, where the holder of a permit may see that there is one.
    pub(super) fn command_for(
        &self,
        permit: &Permit,
        space: &TenantSpace,
        id: &EntityId,
    ) -> Result<Option<Command>, Error> {
        let eyes = Eyes { control: self, space, permit };
        Ok(eyes.find(id)?.as_ref().and_then(Command::read))
    }

    /// Everything about one suggestion, as far as the holder of the permit may see it.
    pub fn record(&self, permit: &Permit, id: &EntityId, shorten: &Shorten<'_>) -> Result<serde_json::Value, Error> {
        let space = self.context.tenant(permit)?;
        let eyes = Eyes { control: self, space: &space, permit };
        let mut suggestion = self.suggestion_for(permit, &space, id)?;
        eyes.withhold(&mut suggestion)?;
        let number = &suggestion.number;
        let mut timeline = vec![json!({
            "at": suggestion.raised_at.to_string(), "what": "suggested", "by": format!("rule {}", suggestion.rule),
            "id": suggestion.id.as_str(),
        })];
        let mut decisions = Vec::new();
        for paper in self.decisions_of(&space, &suggestion)? {
            let Some(paper) = eyes.paper(&paper) else { continue };
            let shown = shown_decision(&paper, shorten);
            timeline.push(json!({
                "at": shown["at"], "what": format!("decided: {}", shown["verdict"].as_str().unwrap_or("")),
                "by": shown["by"], "id": shown["id"], "detail": shown["reason"],
            }));
            decisions.push(shown);
        }
        let (mut commands, mut acknowledgements) = (Vec::new(), Vec::new());
        for which in 1..=suggestion.steps.len() {
            let Some(command) = eyes.find(&number.command(which))?.as_ref().and_then(Command::read) else { continue };
            timeline.push(json!({"at": command.issued_at.to_string(), "what": "commanded", "by": null, "id": command.id.as_str()}));
            if let Some(at) = command.sent_at {
                timeline.push(json!({"at": at.to_string(), "what": "sent", "by": null, "id": command.id.as_str()}));
            }
            commands.push(command.shown(shorten));
            for word in 1.. {
                let Some(paper) = self.known(&space, &number.acknowledgement(which, word))? else { break };
                let Some(paper) = eyes.paper(&paper) else { continue };
                let shown = shown_acknowledgement(&paper);
                timeline.push(json!({
                    "at": shown["at"], "what": format!("acknowledged: {}", shown["outcome"].as_str().unwrap_or("")),
                    "by": shown["by"], "id": shown["command"], "detail": shown["detail"],
                }));
                acknowledgements.push(shown);
            }
        }
        let effect = eyes.find(&number.effect())?;
        let effects = effect.iter().map(|paper| eyes.effect(paper, &suggestion)).collect::<Result<Vec<_>, _>>()?;
        for effect in &effects {
            timeline.push(json!({"at": effect["to"], "what": "effect measured", "by": null, "id": effect["id"]}));
        }
        timeline.sort_by(|a, b| a["at"].as_str().cmp(&b["at"].as_str()));
        Ok(json!({
            "suggestion": suggestion.shown(shorten), "decisions": decisions, "commands": commands,
            "acknowledgements": acknowledgements, "effects": effects, "timeline": timeline,
        }))
    }
}

fn status_is(status: &str) -> Filter {
    let path = AttributePath { attribute: vocabulary::name("status"), sub_attributes: Vec::new(), members: Vec::new() };
    Filter::Term { path, test: Test::Equal(vec![Operand::Value(Value::text(status))]) }
}

fn shown_decision(entity: &Entity, shorten: &Shorten<'_>) -> serde_json::Value {
    let paper = Paper(entity);
    let steps = paper.value("proposes").and_then(steps_of).unwrap_or_default();
    json!({
        "id": entity.id.as_str(), "verdict": paper.text("verdict"), "by": paper.text("decidedBy"),
        "reason": paper.text("reason"), "at": paper.text("decidedAt"),
        "proposes": steps.iter().map(|step| shown_step(step, shorten)).collect::<Vec<_>>(),
    })
}

fn shown_acknowledgement(entity: &Entity) -> serde_json::Value {
    let paper = Paper(entity);
    json!({
        "id": entity.id.as_str(), "command": paper.text("acknowledges"), "outcome": paper.text("outcome"),
        "by": paper.text("decidedBy"), "at": paper.text("at"), "detail": paper.text("detail"),
    })
}

pub(super) fn shown_effect(entity: &Entity) -> serde_json::Value {
    let paper = Paper(entity);
    let value = |term: &str| paper.value(term).map(plain::of);
    json!({
        "id": entity.id.as_str(), "measures": value("measures"), "before": value("before"), "after": value("after"),
        "from": paper.text("from"), "to": paper.text("to"), "basis": paper.text("basis"),
    })
}
