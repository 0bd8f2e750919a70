//! Taking back a deletion: the entity as it stood just before comes in, and is created again.
//!
//! It is made from the journal, to the last attribute; where the journal no longer holds the deletion,
//! from the past, by the last instance of each attribute.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use city_context::Deleted;
use city_model::{Change, Entity, Rejected, Time};
use serde_json::{Value, json};

use crate::caller::Caller;
use crate::city::{City, cause};
use crate::ngsi_ld::stood_at;
use crate::parameters::{NoParameters, PathParameters};
use crate::problem::Problem;

/// `POST /ops/v1/entities/{entityId}/undelete`
pub async fn undelete(
    State(city): State<Arc<City>>,
    caller: Caller,
    path: PathParameters,
    _: NoParameters,
) -> Result<Json<Value>, Problem> {
    let permit = caller.permit;
    // From a part of an entity the whole cannot be made again.
    permit.check_whole().map_err(city_context::Error::from)?;
    let id = city_model::EntityId::parse(path.get("entityId")?)?;
    let (entity, from) = match city.context.before_deletion(&permit, &id)? {
        Deleted::Alive => return Err(Rejected::AlreadyExists(id).into()),
        Deleted::Never => return Err(Rejected::EntityNotFound(id).into()),
        Deleted::Entity(entity) => (entity, "journal"),
        Deleted::Forgotten(deleted_at) => {
            city.history_caught_up().await?;
            let before = Time::from_micros(deleted_at.as_micros() - 1);
            let stood = city.read(|| stood_at(&city, &permit, &id, before)).await?;
            (stood.ok_or_else(|| Problem::from(Rejected::EntityNotFound(id.clone())))?, "history")
        }
    };
    let attributes = entity.attributes.len();
    // That it was asked for is durable before it is done.
    city.note(&permit, "entity.undelete", id.as_str(), &json!({"attributes": attributes, "from": from})).await?;
    let change = Change::Create(Entity::clone(&entity));
    for result in city.context.apply(&permit, vec![change], cause("undelete"), Vec::new()).await? {
        result?;
    }
    Ok(Json(json!({"entityId": id.as_str(), "attributes": attributes, "from": from})))
}
