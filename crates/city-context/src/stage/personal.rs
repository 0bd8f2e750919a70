//! What is personal is sealed before it becomes part of a record, with the key of its entity; and it is
//! erased with that key.

use std::sync::Arc;

use city_model::{Applied, Change, DataClass, DatasetSelection, EntityId, Instance, Name, Note, Rejected};
use city_store::codec::{Writer, class_number, write_instance, write_sealed};
use city_store::record::{RecordKind, Touched, Transition};

use super::{Move, StageError, Staging};
use crate::commandable::may_be_written;
use crate::evaluate::{Effect, TouchedInstance};
use crate::{Error, persons};

/// An instance as it is written.
pub struct Written {
    pub class: u8,
    pub key_id: u32,
    pub bytes: Box<[u8]>,
}

impl Staging<'_> {
    /// An instance of an entity in bytes; sealed where the attribute is personal.
    pub(super) fn write(&self, entity: u32, attribute: &Name, instance: &Instance) -> Result<Written, StageError> {
        let terms = &self.order.space.terms;
        let class = self.classes.get(attribute).copied().unwrap_or(instance.class);
        let (mut out, mut key_id) = (Writer::default(), 0);
        if class == DataClass::Personal {
            let person = (self.order.space.number, entity);
            let key = terms.keys().give(person).map_err(Error::from)?;
            write_sealed(instance, terms, key, &mut out).map_err(Error::from)?;
            key_id = key.0;
        } else {
            write_instance(instance, terms, &mut out);
        }
        Ok(Written { class: class_number(class), key_id, bytes: out.bytes.into() })
    }

    /// Gives the values that a change leaves behind the classes of their attributes.
    pub(super) fn classify(&self, effect: &mut Effect) {
        if self.classes.is_empty() {
            return;
        }
        let class_of = |name: &Name| self.classes.get(name).copied();
        for touched in &mut effect.touched {
            if let (Some(after), Some(class)) = (&mut touched.after, class_of(&touched.attribute)) {
                after.class = class;
            }
        }
        for attribute in effect.after.iter_mut().flat_map(|entity| &mut Arc::make_mut(entity).attributes) {
            if let Some(class) = class_of(&attribute.name) {
                attribute.instances.iter_mut().for_each(|instance| instance.class = class);
            }
        }
    }

    pub(super) fn touched(&self, entity: u32, touched: &TouchedInstance) -> Result<Touched, StageError> {
        let TouchedInstance { attribute, dataset, before, after } = touched;
        let write = |instance: &Option<Instance>| {
            instance.as_ref().map(|instance| self.write(entity, attribute, instance)).transpose()
        };
        let (before, after) = (write(before)?, write(after)?);
        let (class, key_id) = after.as_ref().or(before.as_ref()).map_or((0, 0), |own| (own.class, own.key_id));
        Ok(Touched {
            attribute: self.order.space.terms.number(&attribute.shared()),
            dataset: self.dataset_number(dataset.as_ref()),
            class,
            key_id,
            position: None,
            change: Transition { before: before.map(|own| own.bytes), after: after.map(|own| own.bytes) },
        })
    }

    /// Takes away what is personal of an entity, and from then on nobody has its key.
    pub(super) fn erase(&mut self, id: EntityId, index: u32) -> Result<Applied, StageError> {
        let Some(found) = self.find(&id)? else { return Err(Rejected::EntityNotFound(id).into()) };
        may_be_written([found.image.as_deref(), None])?;
        let personal = self.classes.iter().filter(|(_, class)| **class == DataClass::Personal);
        let personal = personal.map(|(name, _)| name.clone()).filter(|name| self.order.space.knows(name));
        let personal: Vec<Name> = personal.collect();
        // Whether they may was asked: what is personal of whom is not a question of reach.
        let by_hand = std::mem::replace(&mut self.by_hand, true);
        let updated = self.take_away(&id, personal, found.has_past, index);
        self.by_hand = by_hand;
        let updated = updated?;
        let mut record = self.record(RecordKind::Note, index);
        let (what, subject) = ("person.erased".into(), id.as_str().into());
        record.note = Some(Note { what, subject, details: Box::default() });
        let person = (self.order.space.number, found.number);
        if let Some(key) = self.order.part(person) {
            record.also = persons::destroyed(person, key).into();
            self.batch.moves.push(Move::Doom { tenant: self.order.space.clone(), key });
        }
        let seq = Some(record.seq);
        self.push(record, None);
        Ok(Applied { seq, created: false, updated, not_updated: Vec::new() })
    }

    fn take_away(
        &mut self,
        id: &EntityId,
        personal: Vec<Name>,
        has_past: bool,
        index: u32,
    ) -> Result<Vec<Name>, StageError> {
        let mut taken = Vec::new();
        for attribute in personal {
            let (entity, dataset) = (id.clone(), DatasetSelection::All);
            let current = self.find(id)?.and_then(|staged| staged.image);
            if current.is_some_and(|entity| entity.find(attribute.as_str()).is_some()) {
                self.state(
                    Change::DeleteAttribute {
                        entity: entity.clone(),
                        attribute: attribute.clone(),
                        dataset: dataset.clone(),
                    },
                    index,
                )?;
                taken.push(attribute.clone());
            }
            if has_past {
                self.past(Change::DeletePastAttribute { entity, attribute, dataset }, index)?;
            }
        }
        Ok(taken)
    }
}
