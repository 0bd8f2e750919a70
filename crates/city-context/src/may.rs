//! What a permit lets its holder change.
//!
//! An entity before and after a change come in, with what the change names and touches; out comes nothing,
//! or why not. Where the holder could not even see that the entity is there, it is not there for them.

use city_model::reach::{Attributes, Shown, Sight};
use city_model::{Change, Definition, Entity, EntityId, Name, Permit, Reach, Rejected, Right};

use crate::evaluate::Effect;

fn forbidden<T>(what: impl Into<String>) -> Result<T, Rejected> {
    Err(Rejected::Forbidden(what.into()))
}

/// Refuses, before it is evaluated, what asks for something outside of the permit: a refusal after that
/// could tell what is there.
pub fn may_ask(permit: &Permit, change: &Change, id: &EntityId, current: Option<&Entity>) -> Result<(), Rejected> {
    if *permit.write() == Reach::Everything {
        return Ok(());
    }
    let creates = match change {
        Change::Create(entity) | Change::Upsert { entity, .. } => Some(entity),
        _ => None,
    };
    if let Some(entity) = creates.filter(|entity| !entity.types.is_empty()) {
        // The same answer whether or not the id is taken by what is hidden.
        covers(permit, permit.write().sight(entity).as_ref(), named(change).into_iter())?;
    }
    let Some(current) = current else { return Ok(()) };
    match permit.write().sight(current) {
        Some(sight) => covers(permit, Some(&sight), named(change).into_iter()),
        None if creates.is_some() => forbidden(format!("the id {id} is taken.")),
        None if permit.read().sight(current).is_none() => Err(Rejected::EntityNotFound(id.clone())),
        None => forbidden(format!("it does not cover changes of {id}.")),
    }
}

/// Refuses what would come of a change, where that lies outside of the permit's reach.
pub fn may_bring_about(
    permit: &Permit,
    id: &EntityId,
    before: Option<&Entity>,
    effect: &Effect,
) -> Result<(), Rejected> {
    if *permit.write() == Reach::Everything {
        return Ok(());
    }
    let touched = effect.touched.iter().map(|touched| &touched.attribute);
    let after = effect.after.as_deref();
    may_change(permit, id, before, after, touched)?;
    let Some(before) = before.filter(|_| effect.identity_changed) else { return Ok(()) };
    // Who may write some attributes says neither what a thing is nor that it is gone.
    if !permit.write().sight(before).is_some_and(|sight| is_whole(&sight)) {
        return forbidden("it covers some attributes only, not what the entity is.");
    }
    let Some(after) = after else { return Ok(()) };
    // What is added must be covered by itself, or others would be shown what was not theirs to see.
    let added_types = after.types.iter().filter(|name| !before.types.contains(name));
    let added_scopes = after.scopes.iter().filter(|scope| !before.scopes.contains(scope));
    let with_type = added_types.map(|name| Entity { types: vec![name.clone()], ..after.clone() });
    let with_scope = added_scopes.map(|scope| Entity { scopes: vec![scope.clone()], ..after.clone() });
    for alone in with_type.chain(with_scope) {
        if !permit.write().sight(&alone).is_some_and(|sight| is_whole(&sight)) {
            return forbidden("it does not cover every type and scope that would be added.");
        }
    }
    Ok(())
}

fn is_whole(sight: &Sight) -> bool {
    match sight {
        Sight::Everything => true,
        Sight::Part { grants, forbids, .. } => {
            forbids.is_empty() && grants.iter().any(|rule| rule.attributes == Attributes::All)
        }
    }
}

/// The attributes that a change names.
pub fn named(change: &Change) -> Vec<&Name> {
    match change {
        Change::Create(entity)
        | Change::Upsert { entity, .. }
        | Change::Replace(entity)
        | Change::Merge(entity)
        | Change::Append { fragment: entity, .. }
        | Change::Update(entity)
        | Change::Past { fragment: entity, .. } => entity.attributes.iter().map(|attribute| &attribute.name).collect(),
        Change::UpdateAttribute { attribute, .. }
        | Change::ReplaceAttribute { attribute, .. }
        | Change::DeleteAttribute { attribute, .. }
        | Change::DeletePastAttribute { attribute, .. }
        | Change::UpdatePastInstance { attribute, .. }
        | Change::DeletePastInstance { attribute, .. } => vec![attribute],
        Change::Delete(_)
        | Change::DeletePast(_)
        | Change::Erase(_)
        | Change::Define(_)
        | Change::Undefine { .. }
        | Change::Note(_) => Vec::new(),
    }
}

/// What is shown less exactly than it is cannot be what somebody may write.
fn covers<'n>(
    permit: &Permit,
    sight: Option<&Sight>,
    mut names: impl Iterator<Item = &'n Name>,
) -> Result<(), Rejected> {
    let Some(sight) = sight else { return forbidden("it does not cover the entity as it would be.") };
    match names.find(|name| sight.shows(name.as_str()) != Shown::Whole) {
        None => Ok(()),
        Some(name) if permit.read().may_show(name.as_str()) => {
            forbidden(format!("it does not cover the attribute {name}."))
        }
        Some(_) => forbidden("it does not cover every attribute that would change."),
    }
}

/// Refuses what lies outside of the permit's reach before or after the change.
fn may_change<'n>(
    permit: &Permit,
    id: &EntityId,
    before: Option<&Entity>,
    after: Option<&Entity>,
    touched: impl Iterator<Item = &'n Name> + Clone,
) -> Result<(), Rejected> {
    if let Some(before) = before {
        match permit.write().sight(before) {
            Some(sight) => covers(permit, Some(&sight), touched.clone())?,
            None if permit.read().sight(before).is_none() => return Err(Rejected::EntityNotFound(id.clone())),
            None => return forbidden(format!("it does not cover changes of {id}.")),
        }
    }
    after.map_or(Ok(()), |after| covers(permit, permit.write().sight(after).as_ref(), touched))
}

/// The same for a change of the past of an entity as it stands, or as far as it is known.
pub fn may_change_past(
    permit: &Permit,
    change: &Change,
    id: &EntityId,
    stands: Option<&Entity>,
) -> Result<(), Rejected> {
    if *permit.write() == Reach::Everything {
        return Ok(());
    }
    let becomes = match change {
        Change::Past { fragment, .. } if stands.is_none() => Some(fragment),
        // All of it, whichever attributes those are: only for who may change every one.
        Change::DeletePast(_) if !permit.write().shows_whole_entities() => {
            return forbidden("it does not cover every attribute.");
        }
        _ => None,
    };
    may_change(permit, id, stands, becomes, named(change).into_iter())
}

/// What a change needs beside a permit that reaches its entity.
pub fn needs(change: &Change) -> Option<Right> {
    Some(match change {
        Change::Define(Definition { kind, .. }) | Change::Undefine { kind, .. } => match kind.decides_who_may() {
            true => Right::Administer,
            false if kind.is_of_operation() => Right::Operate,
            false => Right::Define,
        },
        // Whoever did something may say so.
        Change::Note(_) => return None,
        Change::Erase(_) => Right::Administer,
        _ => Right::Write,
    })
}
