//! The city as it was: `at=TIME` on what is otherwise asked of now (ours; S43).
//!
//! In come a time and what is asked for; out come entities put together from the last instance of each
//! attribute at or before that time, by `observedAt`, or `modifiedAt` where nothing was observed. All of
//! one answer is read at one instant, so the entities in it fit together.

use std::sync::Arc;

use city_context::{Filling, Found, Page, PastIdentity};
use city_history::Moment;
use city_model::{Attribute, Entity, EntityId, Name, Permit, Query, Time};
use city_store::codec::NameNumbers;

use super::request::Ask;
use super::temporal::too_much_past;
use crate::city::City;
use crate::parameters::Parameters;
use crate::problem::{Kind, Problem};

/// Most entities that one question about then looks at.
const ENTITIES_MAX: usize = 100_000;

/// The time of `at`, if it is asked for; not from before the past that is kept.
pub fn parse_at(city: &City, parameters: &Parameters) -> Result<Option<Time>, Problem> {
    let Some(text) = parameters.find("at") else { return Ok(None) };
    let time = Time::parse(text).ok_or_else(|| {
        let detail = format!("at: \"{text}\" is not a time such as 2026-01-31T09:00:00Z.");
        Problem::new(Kind::BadRequestData, "NLD-002", detail)
    })?;
    let horizon = city.history.bounds().kept_from;
    if time < horizon {
        let detail = format!("at: the past is kept from {horizon} on; ask for that time or a later one.");
        return Err(Problem::new(Kind::ResourceNotFound, "HIS-006", detail));
    }
    Ok(Some(time))
}

/// The entity as it stood then, and as the permit lets it be seen; `None` where there was none.
pub fn stood_at(city: &City, permit: &Permit, id: &EntityId, at: Time) -> Result<Option<Arc<Entity>>, Problem> {
    let Some(identity) = city.context.identity(permit, id)? else { return Ok(None) };
    stood(city, permit, &city.history.moment(), identity, at)
}

fn stood(
    city: &City,
    permit: &Permit,
    moment: &Moment,
    past: PastIdentity,
    at: Time,
) -> Result<Option<Arc<Entity>>, Problem> {
    // A forecast that was made for later does not bring back what was deleted.
    if past.deleted_at.is_some_and(|deleted_at| deleted_at <= at) {
        return Ok(None);
    }
    let Some(sight) = city.context.sight_of_past(permit, &past)? else { return Ok(None) };
    let space = city.context.tenant(permit)?;
    let folded = moment.fold(space.number, past.number, at, &space.terms)?;
    let lived = past.identity.created_at <= at && (past.is_alive || past.modified_at > at);
    if folded.is_empty() && !lived {
        return Ok(None);
    }
    let mut entity = Entity::new(past.id, past.identity.types);
    entity.scopes = past.identity.scopes;
    entity.created_at = past.identity.created_at;
    entity.modified_at = entity.created_at;
    for (number, instances) in folded {
        let name = space.terms.name(number).map_err(|error| Problem::internal("CTX-001", &error))?;
        entity.modified_at = instances.iter().map(|one| one.modified_at).fold(entity.modified_at, Time::max);
        entity.attributes.push(Attribute { name: Name::from_stored(name), instances });
    }
    Ok(Some(sight.of(&Arc::new(entity))))
}

/// A page of the entities that matched then.
pub fn query(city: &City, ask: &Ask, query: &Query, page: Page, at: Time) -> Result<Found, Problem> {
    let candidates = city.context.identities(&ask.permit, query)?;
    if candidates.len() > ENTITIES_MAX {
        return Err(too_much_past());
    }
    let moment = city.history.moment();
    let mut filling = Filling::of(page);
    for (_, id) in candidates {
        let Some(identity) = city.context.identity(&ask.permit, &id)? else { continue };
        let Some(entity) = stood(city, &ask.permit, &moment, identity, at)? else { continue };
        if query.matches(&entity) && filling.take(entity).is_break() {
            break;
        }
    }
    Ok(filling.finish())
}
