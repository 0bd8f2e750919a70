//! What a permit lets its holder change.
//!
//! An entity before and after a change come in, with the attributes that it touches; out comes nothing, or
//! why not. Where the holder could not even see that the entity is there, it is not there for them.

use city_model::reach::Shown;
use city_model::{Change, Definition, Entity, EntityId, Name, Permit, Reach, Rejected, Right};

/// Refuses what lies outside of the permit's reach before or after the change.
pub fn may_change<'n>(
    permit: &Permit,
    id: &EntityId,
    before: Option<&Entity>,
    after: Option<&Entity>,
    touched: impl Iterator<Item = &'n Name> + Clone,
) -> Result<(), Rejected> {
    if *permit.write() == Reach::Everything {
        return Ok(());
    }
    for (entity, stands) in [(before, true), (after, false)] {
        let Some(entity) = entity else { continue };
        let Some(sight) = permit.write().sight(entity) else {
            return Err(match stands {
                true if permit.read().sight(entity).is_none() => Rejected::EntityNotFound(id.clone()),
                true => Rejected::Forbidden(format!("it does not cover changes of {id}.")),
                false => Rejected::Forbidden("it does not cover the entity as it would be.".to_owned()),
            });
        };
        // What is shown less exactly than it is cannot be what somebody may write.
        if let Some(name) = touched.clone().find(|name| sight.shows(name.as_str()) != Shown::Whole) {
            return Err(Rejected::Forbidden(match permit.read().may_show(name.as_str()) {
                true => format!("it does not cover the attribute {name}."),
                false => "it does not cover every attribute that would change.".to_owned(),
            }));
        }
    }
    Ok(())
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
    let (becomes, touched): (Option<&Entity>, Vec<&Name>) = match change {
        Change::Past { fragment, .. } => {
            let names = fragment.attributes.iter().map(|attribute| &attribute.name);
            (stands.is_none().then_some(fragment), names.collect())
        }
        Change::DeletePastAttribute { attribute, .. }
        | Change::UpdatePastInstance { attribute, .. }
        | Change::DeletePastInstance { attribute, .. } => (None, vec![attribute]),
        // All of it, whichever attributes those are: only for who may change every one.
        _ if permit.write().shows_whole_entities() => (None, Vec::new()),
        _ => return Err(Rejected::Forbidden("it does not cover every attribute.".to_owned())),
    };
    may_change(permit, id, stands, becomes, touched.into_iter())
}

/// What a change needs beside a permit that reaches its entity.
pub fn needs(change: &Change) -> Option<Right> {
    Some(match change {
        Change::Define(Definition { kind, .. }) | Change::Undefine { kind, .. } => match kind.decides_who_may() {
            true => Right::Administer,
            false => Right::Define,
        },
        // Whoever did something may say so.
        Change::Note(_) => return None,
        _ => Right::Write,
    })
}
