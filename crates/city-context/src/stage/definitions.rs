//! What the city is told to do, rather than what it is: definitions are staged like entities, against what is
//! durable plus what is staged before them.

use std::sync::Arc;

use city_model::{Applied, Definition, DefinitionKind, Rejected};
use city_store::record::{DefinitionChange, RecordKind, Transition};

use super::{DEFINITIONS_MAX, Move, StageError, Staging};
use crate::commandable::Commandable;

impl Staging<'_> {
    pub(super) fn define(&mut self, definition: Definition, index: u32) -> Result<Applied, StageError> {
        let Definition { kind, id, body, create } = definition;
        let before = self.find_definition(kind, &id);
        match (&before, create) {
            (Some(_), true) => return Err(Rejected::DefinitionExists { what: kind.noun(), id }.into()),
            (None, false) => return Err(Rejected::DefinitionNotFound { what: kind.noun(), id }.into()),
            _ => {}
        }
        if before.is_none() && self.order.space.definitions.read().len() >= DEFINITIONS_MAX {
            let advice = "Delete some that are no longer needed.";
            return Err(Rejected::BoundReached {
                what: "The number of definitions",
                bound: DEFINITIONS_MAX as u64,
                advice,
            }
            .into());
        }
        let after: Arc<[u8]> = body.into();
        self.write_definition(kind, id, before, Some(after), index)
    }

    pub(super) fn undefine(&mut self, kind: DefinitionKind, id: Box<str>, index: u32) -> Result<Applied, StageError> {
        match self.find_definition(kind, &id) {
            None => Err(Rejected::DefinitionNotFound { what: kind.noun(), id }.into()),
            before => self.write_definition(kind, id, before, None, index),
        }
    }

    fn find_definition(&self, kind: DefinitionKind, id: &str) -> Option<Arc<[u8]>> {
        let key = (kind, Box::from(id));
        match self.order.definitions.get(&key) {
            Some(staged) => staged.clone(),
            None => self.order.space.definitions.read().get(&key).cloned(),
        }
    }

    fn write_definition(
        &mut self,
        kind: DefinitionKind,
        id: Box<str>,
        before: Option<Arc<[u8]>>,
        after: Option<Arc<[u8]>>,
        index: u32,
    ) -> Result<Applied, StageError> {
        let mut record = self.record(RecordKind::Definition, index);
        let created = before.is_none();
        let boxed = |body: &Arc<[u8]>| Box::from(&body[..]);
        record.definition = Some(DefinitionChange {
            kind,
            id: id.clone(),
            change: Transition { before: before.as_ref().map(boxed), after: after.as_ref().map(boxed) },
        });
        let seq = record.seq;
        self.push(record, None);
        let key = (kind, id);
        self.order.stage_definition(key.clone(), after.clone());
        let tenant = Arc::clone(&self.order.space);
        self.batch.moves.push(Move::Definition { tenant, key, body: after });
        Ok(Applied { seq: Some(seq), created, updated: Vec::new(), not_updated: Vec::new() })
    }

    /// What may be commanded, as staged.
    pub(super) fn commandable(&self) -> Arc<Commandable> {
        let mut commandable = Arc::clone(&self.order.space.commandable.read());
        for ((kind, id), body) in &self.order.definitions {
            match (kind, body) {
                (DefinitionKind::Actuator, Some(_)) => Arc::make_mut(&mut commandable).learn(id),
                (DefinitionKind::Actuator, None) => Arc::make_mut(&mut commandable).forget(id),
                _ => {}
            }
        }
        commandable
    }
}
