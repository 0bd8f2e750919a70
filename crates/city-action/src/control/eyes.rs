//! What a reader is shown of the loop's papers: as much of a paper as their permit shows, and of the values that
//! it holds of other entities, those that they may see there.

use city_context::TenantSpace;
use city_model::query::core_names::LOCATION;
use city_model::reach::Shown;
use city_model::{Attribute, Entity, EntityId, Name, Permit, Value};
use serde_json::json;

use super::record::shown_effect;
use super::suggestion::Suggestion;
use super::{Control, Error};

/// Stands where a text tells what its reader may not see.
const WITHHELD: &str =
    "(withheld: it tells what your permit does not show) （あなたの権限では見えない値を含むため、伏せています）";

/// The reader of papers.
pub(super) struct Eyes<'e> {
    pub control: &'e Control,
    pub space: &'e TenantSpace,
    pub permit: &'e Permit,
}

impl Eyes<'_> {
    /// A paper as a policy on papers shows it. How far the loop is, is plain to whoever sees the paper.
    pub fn paper(&self, paper: &Entity) -> Option<Entity> {
        let sight = self.permit.read().sight(paper)?;
        let mut seen = Entity::new(paper.id.clone(), paper.types.clone());
        let is_shown = |attribute: &&Attribute| sight.shows_in_the_loop(attribute.name.as_str()) == Shown::Whole;
        seen.attributes = paper.attributes.iter().filter(is_shown).cloned().collect();
        Some(seen)
    }

    pub fn find(&self, id: &EntityId) -> Result<Option<Entity>, Error> {
        Ok(self.control.known(self.space, id)?.and_then(|paper| self.paper(&paper)))
    }

    pub fn suggestion(&self, paper: &Entity) -> Option<Suggestion> {
        self.paper(paper).as_ref().and_then(Suggestion::read)
    }

    /// Whether the reader sees an attribute of an entity, exactly as it is. Of what is gone, whoever sees all does.
    fn sees(&self, entity: &EntityId, attribute: &str) -> Result<bool, Error> {
        if self.permit.sees_everything() {
            return Ok(true);
        }
        let Some(entity) = self.control.known(self.space, entity)? else { return Ok(false) };
        Ok(self.permit.read().sight(&entity).is_some_and(|sight| sight.shows(attribute) == Shown::Whole))
    }

    /// Takes out of a suggestion what its reader may not see where it is from, and says so.
    pub fn withhold(&self, suggestion: &mut Suggestion) -> Result<(), Error> {
        if self.permit.sees_everything() {
            return Ok(());
        }
        if let Value::List(evidence) = &mut suggestion.evidence {
            let mut withheld = false;
            for one in evidence {
                if !self.may_see(one)? {
                    *one = without_value(one);
                    withheld = true;
                }
            }
            suggestion.withheld.extend(withheld.then_some("evidence"));
        }
        let about = suggestion.about.clone();
        let told = match &suggestion.tells {
            Some(names) => {
                names.iter().try_fold(true, |all, name| Ok::<_, Error>(all && self.sees(&about, name.as_str())?))?
            }
            // It was not kept what they tell of.
            None => false,
        };
        if !told {
            (suggestion.what, suggestion.why) = (WITHHELD.into(), WITHHELD.into());
            suggestion.expects = suggestion.expects.as_ref().map(|_| WITHHELD.into());
            suggestion.withheld.extend(["what", "why", "expects"]);
        }
        if suggestion.location.is_some() && !self.sees(&about, LOCATION)? {
            suggestion.location = None;
            suggestion.withheld.push("location");
        }
        Ok(())
    }

    fn may_see(&self, evidence: &Value) -> Result<bool, Error> {
        let text = |member| evidence.get(member).and_then(Value::as_text);
        let entity = text("entity").and_then(|id| EntityId::parse(id).ok());
        match (entity, text("attribute").and_then(|name| Name::parse(name).ok())) {
            (Some(entity), Some(name)) => self.sees(&entity, name.as_str()),
            _ => Ok(false),
        }
    }

    /// An effect, without what was measured where the reader may not see that.
    pub fn effect(&self, paper: &Entity, suggestion: &Suggestion) -> Result<serde_json::Value, Error> {
        let mut shown = shown_effect(paper);
        let seen = match &suggestion.measures {
            Some(measure) => self.sees(&measure.entity, measure.attribute.as_str())?,
            None => self.permit.sees_everything(),
        };
        if !seen {
            (shown["before"], shown["after"]) = (json!(null), json!(null));
            shown["withheld"] = json!(["before", "after"]);
        }
        Ok(shown)
    }
}

fn without_value(evidence: &Value) -> Value {
    let Value::Map(members) = evidence else { return Value::Null };
    let mut kept: Vec<_> =
        members.iter().filter(|(key, _)| matches!(&**key, "entity" | "attribute")).cloned().collect();
    kept.push(("withheld".into(), Value::Bool(true)));
    Value::Map(kept)
}
