//! What only a decision may move: attributes of a type that reach a machine, and the loop's own entities.
//!
//! An entity before and after a change come in, with what the change touches; out comes nothing, or why not.
//! This holds whatever a permit says: rules, imports, restores and administrators included.

use std::collections::HashMap;

use city_model::vocabulary::{self, is_ours};
use city_model::{Change, Entity, Instance, Kind, Name, Rejected};

use crate::evaluate::Effect;
use crate::may::named;

/// The commandable attributes of a tenant, each with its types.
#[derive(Debug, Clone, Default)]
pub struct Commandable {
    by_attribute: HashMap<Box<str>, Vec<Box<str>>>,
}

impl Commandable {
    /// Takes in the id of an actuator: the type and the attribute, with a space between them.
    pub fn learn(&mut self, id: &str) {
        let Some((kind, attribute)) = id.split_once(' ') else { return };
        let types = self.by_attribute.entry(attribute.into()).or_default();
        if !types.iter().any(|own| **own == *kind) {
            types.push(kind.into());
        }
    }

    pub fn forget(&mut self, id: &str) {
        let Some((kind, attribute)) = id.split_once(' ') else { return };
        if let Some(types) = self.by_attribute.get_mut(attribute) {
            types.retain(|own| **own != *kind);
        }
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by_attribute.is_empty()
    }

    /// The type by which an attribute of an entity is commandable.
    fn type_of<'e>(&self, attribute: &Name, entity: &'e Entity) -> Option<&'e Name> {
        let types = self.by_attribute.get(attribute.as_str())?;
        entity.types.iter().find(|own| types.iter().any(|kind| **kind == *own.as_str()))
    }
}

fn forbidden<T>(what: String) -> Result<T, Rejected> {
    Err(Rejected::Forbidden(what))
}

/// Refuses entities of the loop's own types, from anybody but the loop.
pub fn may_be_written(entities: [Option<&Entity>; 2]) -> Result<(), Rejected> {
    match entities.into_iter().flatten().find(|entity| is_ours(entity)) {
        None => Ok(()),
        Some(entity) => forbidden(format!(
            "{} would be one of the suggestions, decisions and commands that only the operations of the loop make; see docs/reference/loop.md.",
            entity.id
        )),
    }
}

/// Refuses what would move a commandable attribute without a decision: by its value, or by making the entity
/// one whose attribute is commandable.
pub fn may_be_moved(
    commandable: &Commandable,
    by_hand: bool,
    before: Option<&Entity>,
    effect: &Effect,
) -> Result<(), Rejected> {
    if commandable.is_empty() {
        return Ok(());
    }
    let after = effect.after.as_deref();
    for touched in &effect.touched {
        let kind =
            [before, after].into_iter().flatten().find_map(|entity| commandable.type_of(&touched.attribute, entity));
        let Some(kind) = kind else { continue };
        if !(by_hand && touched.after.as_ref().is_some_and(names_a_decision)) {
            return moved(&touched.attribute, kind);
        }
    }
    if let (Some(before), Some(after), true) = (before, after, effect.identity_changed) {
        let now =
            |name: &Name| commandable.type_of(name, after).filter(|_| commandable.type_of(name, before).is_none());
        if let Some((name, kind)) =
            after.attributes.iter().find_map(|attribute| Some((&attribute.name, now(&attribute.name)?)))
        {
            return moved(name, kind);
        }
    }
    Ok(())
}

/// The same for the past of an entity: what was commanded is no reading that could be added or mended.
pub fn may_be_moved_in_the_past(commandable: &Commandable, change: &Change, entity: &Entity) -> Result<(), Rejected> {
    let named = match change {
        // All of it: whatever it has.
        Change::DeletePast(_) => entity.attributes.iter().map(|attribute| &attribute.name).collect(),
        change => named(change),
    };
    match named.into_iter().find_map(|name| Some((name, commandable.type_of(name, entity)?))) {
        None => Ok(()),
        Some((name, kind)) => moved(name, kind),
    }
}

fn moved(attribute: &Name, kind: &Name) -> Result<(), Rejected> {
    forbidden(format!(
        "{attribute} of {kind} is commandable, so only a decision moves it. Report the state of the machine in another attribute, or have the actuator removed first."
    ))
}

fn names_a_decision(instance: &Instance) -> bool {
    let decision = instance.sub_attribute(vocabulary::name("decision").as_str());
    decision.and_then(|attribute| attribute.default_instance()).is_some_and(
        |instance| matches!(&instance.kind, Kind::Relationship { object, .. } if object.as_text().is_some()),
    )
}
