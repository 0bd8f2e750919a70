//! What things weigh in memory, for the bounds of queues and caches.

use city_model::{Attribute, Change, Entity, Instance, Kind, Value};
use city_store::record::AlsoWrite;

/// Approximate bytes of a change that waits.
#[must_use]
pub fn weigh(change: &Change) -> usize {
    match change {
        Change::Create(entity)
        | Change::Upsert { entity, .. }
        | Change::Replace(entity)
        | Change::Merge(entity)
        | Change::Append { fragment: entity, .. }
        | Change::Update(entity)
        | Change::Past { fragment: entity, .. } => weigh_entity(entity),
        Change::Define(definition) => 256 + definition.body.len(),
        Change::Note(note) => 256 + note.details.len(),
        _ => 1_024,
    }
}

/// What the allocator adds to each piece of memory, about.
const ALLOCATION_BYTES: usize = 16;

/// Approximate bytes of an entity in memory.
#[must_use]
pub fn weigh_entity(entity: &Entity) -> usize {
    // The entity itself, its id, its lists of types and scopes, and its place in the cache.
    512 + entity.attributes.iter().map(weigh_attribute).sum::<usize>()
}

fn weigh_attribute(attribute: &Attribute) -> usize {
    let instances = attribute.instances.iter().map(|instance| {
        let below: usize = instance.sub_attributes.iter().map(weigh_attribute).sum();
        size_of::<Instance>() + weigh_kind(&instance.kind) + below
    });
    size_of::<Attribute>() + 2 * ALLOCATION_BYTES + instances.sum::<usize>()
}

fn weigh_kind(kind: &Kind) -> usize {
    match kind {
        Kind::Property(value) | Kind::VocabProperty(value) | Kind::JsonProperty(value) => weigh_value(value),
        Kind::Relationship { object, object_types } => weigh_value(object) + 16 * object_types.len(),
        Kind::GeoProperty(geometry) => {
            let mut positions = 0;
            geometry.for_each_position(&mut |_| positions += 1);
            size_of::<city_model::Position>() * positions
        }
        Kind::LanguageProperty(map) => map.iter().map(|(tag, text)| 48 + tag.len() + weigh_value(text)).sum(),
        Kind::ListProperty(list) => list.iter().map(weigh_value).sum(),
        Kind::ListRelationship { objects, .. } => objects.iter().map(weigh_value).sum(),
        Kind::Null | Kind::Unchanged => 0,
    }
}

fn weigh_value(value: &Value) -> usize {
    size_of::<Value>()
        + match value {
            Value::Text(text) => ALLOCATION_BYTES + text.len(),
            Value::List(items) => items.iter().map(weigh_value).sum(),
            Value::Map(members) => {
                members.iter().map(|(key, value)| 16 + ALLOCATION_BYTES + key.len() + weigh_value(value)).sum()
            }
            _ => 0,
        }
}

/// About how many bytes a write beside the changes holds while it waits.
pub fn weigh_also(also: &AlsoWrite) -> usize {
    64 + also.key.len() + also.value.as_ref().map_or(0, |value| value.len())
}
