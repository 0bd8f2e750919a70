//! Mapped rows come in one by one, documents to send go out in batches, with bounded memory.

use std::collections::{HashMap, HashSet};
use std::mem;
use std::sync::Arc;

use crate::map::{Mapped, MappedEntity, Reading};

/// Most entities in one upsert request.
pub const BATCH_ENTITIES_MAX: usize = 500;
/// Most bytes of one upsert request, unless a single entity is larger.
pub const BATCH_BYTES_MAX: usize = 1024 * 1024;
/// Most readings in one temporal request.
pub const BATCH_READINGS_MAX: usize = 1_000;
/// Readings of all entities that are held back to be grouped; beyond, all are sent as they are.
pub const GROUPED_BYTES_MAX: usize = 64 * 1024 * 1024;

/// One request's worth of documents.
#[derive(Debug)]
pub enum Batch {
    /// A JSON array of entities for `/entityOperations/upsert` (CIM 009 clause 5.6.8), ids distinct.
    Upsert { json: Vec<u8>, entities: Vec<BatchEntity> },
    /// One temporal entity for `/temporal/entities` (clause 5.6.11).
    Temporal { json: Vec<u8>, id: String, readings: usize, rows: u64 },
}

/// Which row an entity of a batch came from: what a rejection of the server can be traced to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BatchEntity {
    pub id: String,
    pub line: u64,
}

/// Collects until a batch is full.
#[derive(Default)]
pub struct Batcher {
    context_json: Vec<u8>,
    array: Vec<u8>,
    entities: Vec<BatchEntity>,
    ids: HashSet<String>,
    groups: HashMap<String, Group>,
    grouped_bytes: usize,
}

#[derive(Default)]
struct Group {
    head: Vec<u8>,
    attributes: Vec<(Arc<str>, Vec<u8>)>,
    readings: usize,
    rows: u64,
    bytes: usize,
}

impl Batcher {
    /// `context_json` ends each temporal document (`,"@context":…` or nothing).
    #[must_use]
    pub fn new(context_json: &[u8]) -> Self {
        Self { context_json: context_json.to_vec(), ..Self::default() }
    }

    /// Takes one mapped row and hands over the batches that it fills.
    pub fn push<E>(
        &mut self,
        line: u64,
        mapped: Mapped,
        send: &mut impl FnMut(Batch) -> Result<(), E>,
    ) -> Result<(), E> {
        match mapped {
            Mapped::Skipped => Ok(()),
            Mapped::Entity(entity) => self.push_entity(line, entity, send),
            Mapped::Readings { id, head, readings } => self.push_readings(id, head, readings, send),
        }
    }

    /// Hands over what is left.
    pub fn finish<E>(&mut self, send: &mut impl FnMut(Batch) -> Result<(), E>) -> Result<(), E> {
        self.send_entities(send)?;
        self.send_groups(send)
    }

    fn push_entity<E>(
        &mut self,
        line: u64,
        entity: MappedEntity,
        send: &mut impl FnMut(Batch) -> Result<(), E>,
    ) -> Result<(), E> {
        // The same entity twice belongs into two requests: the later row is to win.
        let full = self.array.len() + entity.json.len() > BATCH_BYTES_MAX || self.entities.len() >= BATCH_ENTITIES_MAX;
        if full || self.ids.contains(&entity.id) {
            self.send_entities(send)?;
        }
        self.array.push(if self.array.is_empty() { b'[' } else { b',' });
        self.array.extend_from_slice(&entity.json);
        self.ids.insert(entity.id.clone());
        self.entities.push(BatchEntity { id: entity.id, line });
        Ok(())
    }

    fn send_entities<E>(&mut self, send: &mut impl FnMut(Batch) -> Result<(), E>) -> Result<(), E> {
        if self.entities.is_empty() {
            return Ok(());
        }
        self.ids.clear();
        let mut json = mem::take(&mut self.array);
        json.push(b']');
        send(Batch::Upsert { json, entities: mem::take(&mut self.entities) })
    }

    fn push_readings<E>(
        &mut self,
        id: String,
        head: Vec<u8>,
        readings: Vec<Reading>,
        send: &mut impl FnMut(Batch) -> Result<(), E>,
    ) -> Result<(), E> {
        if !self.groups.contains_key(&id) {
            self.grouped_bytes += id.len() + head.len();
            self.groups.insert(id.clone(), Group { head, ..Group::default() });
        }
        let Some(group) = self.groups.get_mut(&id) else { return Ok(()) };
        for reading in readings {
            group.bytes += reading.json.len() + 1;
            self.grouped_bytes += reading.json.len() + 1;
            group.readings += 1;
            let place = group.attributes.iter().position(|(name, _)| *name == reading.attribute);
            match place.and_then(|place| group.attributes.get_mut(place)) {
                Some((_, json)) => {
                    json.push(b',');
                    json.extend_from_slice(&reading.json);
                }
                None => group.attributes.push((reading.attribute, reading.json)),
            }
        }
        group.rows += 1;
        if (group.readings >= BATCH_READINGS_MAX || group.bytes >= BATCH_BYTES_MAX)
            && let Some(group) = self.groups.remove(&id)
        {
            self.grouped_bytes -= group.bytes + id.len() + group.head.len();
            return send(group.finish(id, &self.context_json));
        }
        if self.grouped_bytes >= GROUPED_BYTES_MAX {
            return self.send_groups(send);
        }
        Ok(())
    }

    fn send_groups<E>(&mut self, send: &mut impl FnMut(Batch) -> Result<(), E>) -> Result<(), E> {
        self.grouped_bytes = 0;
        let mut groups: Vec<_> = mem::take(&mut self.groups).into_iter().collect();
        // In a fixed order, so that the same file gives the same requests.
        groups.sort_by(|(a, _), (b, _)| a.cmp(b));
        groups.into_iter().try_for_each(|(id, group)| send(group.finish(id, &self.context_json)))
    }
}

impl Group {
    fn finish(self, id: String, context_json: &[u8]) -> Batch {
        let mut json = Vec::with_capacity(self.bytes + self.head.len() + 256);
        json.push(b'{');
        json.extend_from_slice(&self.head);
        for (name, instances) in &self.attributes {
            json.push(b',');
            crate::item::write_text(name, &mut json);
            json.extend_from_slice(b":[");
            json.extend_from_slice(instances);
            json.push(b']');
        }
        json.extend_from_slice(context_json);
        json.push(b'}');
        Batch::Temporal { json, id, readings: self.readings, rows: self.rows }
    }
}
