//! About how many bytes a request holds while it waits: the queue is bounded by them.

use city_model::Change;
use city_store::record::AlsoWrite;

use crate::images;

pub fn weigh(change: &Change) -> usize {
    match change {
        Change::Create(entity)
        | Change::Upsert { entity, .. }
        | Change::Replace(entity)
        | Change::Merge(entity)
        | Change::Append { fragment: entity, .. }
        | Change::Update(entity)
        | Change::Past { fragment: entity, .. } => images::weigh(entity),
        Change::Define(definition) => 256 + definition.body.len(),
        Change::Note(note) => 256 + note.details.len(),
        _ => 1_024,
    }
}

pub fn weigh_also(also: &AlsoWrite) -> usize {
    64 + also.key.len() + also.value.as_ref().map_or(0, |value| value.len())
}
