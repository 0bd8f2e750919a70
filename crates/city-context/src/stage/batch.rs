//! What is being staged for one sync, and the way back: a request that fails half way leaves nothing of it.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;

use city_model::{DefinitionKind, Entity};
use city_store::frame::{FRAME_BYTES_MAX, RECORD_HEADER_BYTES};
use city_store::persons::Person;
use city_store::{KeyNo, Published, Record, ViewBatch};

use super::{Move, Position, StagedEntity, TenantOrder};
use crate::project::project;

/// The records being staged, with what goes along with them.
pub struct Batch {
    pub next_lsn: u64,
    pub records: Vec<Published>,
    pub encoded: Vec<Vec<u8>>,
    /// Of the frame that the records will be.
    pub bytes: usize,
    pub writes: ViewBatch,
    pub moves: Vec<Move>,
}

impl Batch {
    pub fn new(next_lsn: u64) -> Self {
        let (records, encoded, moves) = (Vec::new(), Vec::new(), Vec::new());
        Self { next_lsn, records, encoded, bytes: 0, writes: ViewBatch::default(), moves }
    }

    pub fn lsn(&self) -> u64 {
        self.next_lsn + self.records.len() as u64
    }

    pub fn push(&mut self, record: Record, image: Option<Arc<Entity>>) {
        let lsn = self.lsn();
        project(&record, lsn, &mut self.writes);
        let encoded = record.encode();
        self.bytes += encoded.len() + RECORD_HEADER_BYTES;
        self.encoded.push(encoded);
        self.records.push(Published { lsn, record: Arc::new(record), image });
    }

    /// Whether what is staged can be read again as one frame.
    pub fn fits(&self) -> bool {
        self.bytes <= FRAME_BYTES_MAX
    }
}

/// How far a batch and a tenant's book were when a request began.
pub struct Mark {
    records: usize,
    bytes: usize,
    writes: usize,
    moves: usize,
    staged: Position,
}

impl Mark {
    pub fn of(batch: &Batch, order: &mut TenantOrder) -> Self {
        order.undo = Undo::default();
        Self {
            records: batch.records.len(),
            bytes: batch.bytes,
            writes: batch.writes.len(),
            moves: batch.moves.len(),
            staged: order.staged,
        }
    }

    /// Bytes that were staged since.
    pub fn bytes_since(&self, batch: &Batch) -> usize {
        batch.bytes - self.bytes
    }

    /// Takes back all that was staged since.
    pub fn back(self, batch: &mut Batch, order: &mut TenantOrder) {
        batch.records.truncate(self.records);
        batch.encoded.truncate(self.records);
        batch.bytes = self.bytes;
        batch.writes.truncate(self.writes);
        batch.moves.truncate(self.moves);
        order.staged = self.staged;
        let undo = std::mem::take(&mut order.undo);
        put_back(&mut order.entities, undo.entities);
        put_back(&mut order.definitions, undo.definitions);
        undo.parted.into_iter().for_each(|(person, key)| order.space.terms.keys().learn(person, key));
    }
}

type DefinitionKey = (DefinitionKind, Box<str>);

/// What stood in a tenant's book before the request that is being staged, the newest last.
#[derive(Default)]
pub struct Undo {
    entities: Vec<(Arc<str>, Option<StagedEntity>)>,
    definitions: Vec<(DefinitionKey, Option<Option<Arc<[u8]>>>)>,
    /// Persons that were parted from their keys.
    parted: Vec<(Person, KeyNo)>,
}

impl TenantOrder {
    pub(super) fn stage_entity(&mut self, id: Arc<str>, staged: StagedEntity) {
        let before = self.entities.insert(Arc::clone(&id), staged);
        self.undo.entities.push((id, before));
    }

    /// The person has no key from here on; the one that they had.
    pub(super) fn part(&mut self, person: Person) -> Option<KeyNo> {
        let key = self.space.terms.keys().part(person)?;
        self.undo.parted.push((person, key));
        Some(key)
    }

    pub(super) fn stage_definition(&mut self, key: DefinitionKey, body: Option<Arc<[u8]>>) {
        let before = self.definitions.insert(key.clone(), body);
        self.undo.definitions.push((key, before));
    }
}

fn put_back<K: Hash + Eq, V>(book: &mut HashMap<K, V>, undo: Vec<(K, Option<V>)>) {
    for (key, before) in undo.into_iter().rev() {
        match before {
            Some(value) => book.insert(key, value),
            None => book.remove(&key),
        };
    }
}
