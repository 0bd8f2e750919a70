//! What is asked of the loop: lists of suggestions and commands, and the whole record of one suggestion.

use std::sync::Arc;

use city_model::query::{AttributePath, Filter, Operand, Test};
use city_model::vocabulary::{self, COMMAND, SUGGESTION};
use city_model::{Entity, EntityId, Name, Permit, Query, Value};
use city_ngsi_ld::plain;
use serde_json::json;

use super::command::Command;
use super::paper::Paper;
use super::suggestion::{Status, Suggestion, shown_step, steps_of};
use super::{Control, Error, of_type};

/// How a full name is shown.
pub type Shorten<'s> = dyn Fn(&Name) -> String + 's;

/// A list that is asked for.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    pub status: Option<&'a str>,
    pub limit: usize,
}

impl Control {
    /// Suggestions that the holder of a permit may see: open ones by their deadline, then the newest first.
    pub fn suggestions(&self, permit: &Permit, asked: Asked<'_>) -> Result<Vec<Suggestion>, Error> {
        let found = self.newest(permit, SUGGESTION, asked)?;
        let mut list: Vec<Suggestion> = found.iter().filter_map(|entity| Suggestion::read(entity)).collect();
        list.sort_by_key(|one| match one.status {
            Status::Open => (0, one.deadline.as_micros()),
            _ => (1, -one.raised_at.as_micros()),
        });
        Ok(list)
    }

    /// Commands that the holder of a permit may see, the newest first.
    pub fn commands_of(&self, permit: &Permit, asked: Asked<'_>) -> Result<Vec<Command>, Error> {
        let found = self.newest(permit, COMMAND, asked)?;
        let mut list: Vec<Command> = found.iter().filter_map(|entity| Command::read(entity)).collect();
        list.sort_by_key(|one| -one.issued_at.as_micros());
        Ok(list)
    }

    fn newest(&self, permit: &Permit, kind: &str, asked: Asked<'_>) -> Result<Vec<Arc<Entity>>, Error> {
        let query = Query { filter: asked.status.map(status_is), ..of_type(kind) };
        let page = |offset, count| city_context::Page { offset, limit: asked.limit, count };
        let first = self.context.query(permit, &query, page(0, true))?;
        let count = first.count.unwrap_or(first.entities.len());
        if count <= asked.limit {
            return Ok(first.entities);
        }
        Ok(self.context.query(permit, &query, page(count - asked.limit, false))?.entities)
    }

    /// Everything about one suggestion, as far as the holder of the permit may see it.
    pub fn record(&self, permit: &Permit, id: &EntityId, shorten: &Shorten<'_>) -> Result<serde_json::Value, Error> {
        let seen = self.context.find(permit, id)?;
        let suggestion = seen.as_deref().and_then(Suggestion::read);
        let suggestion = suggestion.ok_or_else(|| Error::NotFound { what: "Suggestion", id: id.as_str().into() })?;
        let number = &suggestion.number;
        let mut timeline = vec![json!({
            "at": suggestion.raised_at.to_string(), "what": "suggested", "by": format!("rule {}", suggestion.rule),
            "id": suggestion.id.as_str(),
        })];
        let mut decisions = Vec::new();
        // One more than were counted: a rejection counts no approval.
        for which in 1..=suggestion.approvals + 1 {
            let Some(entity) = self.context.find(permit, &number.decision(which))? else { continue };
            let shown = shown_decision(&entity, shorten);
            timeline.push(json!({
                "at": shown["at"], "what": format!("decided: {}", shown["verdict"].as_str().unwrap_or("")),
                "by": shown["by"], "id": shown["id"], "detail": shown["reason"],
            }));
            decisions.push(shown);
        }
        let (mut commands, mut acknowledgements) = (Vec::new(), Vec::new());
        for which in 1..=suggestion.steps.len() {
            let Some(entity) = self.context.find(permit, &number.command(which))? else { continue };
            let Some(command) = Command::read(&entity) else { continue };
            timeline.push(json!({"at": command.issued_at.to_string(), "what": "commanded", "by": null, "id": command.id.as_str()}));
            if let Some(at) = command.sent_at {
                timeline.push(json!({"at": at.to_string(), "what": "sent", "by": null, "id": command.id.as_str()}));
            }
            commands.push(command.shown(shorten));
            for word in 1.. {
                let Some(entity) = self.context.find(permit, &number.acknowledgement(which, word))? else { break };
                let shown = shown_acknowledgement(&entity);
                timeline.push(json!({
                    "at": shown["at"], "what": format!("acknowledged: {}", shown["outcome"].as_str().unwrap_or("")),
                    "by": shown["by"], "id": shown["command"], "detail": shown["detail"],
                }));
                acknowledgements.push(shown);
            }
        }
        let effects: Vec<_> =
            self.context.find(permit, &number.effect())?.iter().map(|entity| shown_effect(entity)).collect();
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

fn shown_effect(entity: &Entity) -> serde_json::Value {
    let paper = Paper(entity);
    let value = |term: &str| paper.value(term).map(plain::of);
    json!({
        "id": entity.id.as_str(), "measures": value("measures"), "before": value("before"), "after": value("after"),
        "from": paper.text("from"), "to": paper.text("to"), "basis": paper.text("basis"),
    })
}
