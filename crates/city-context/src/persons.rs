//! Which key seals what is personal of an entity, and which keys were destroyed, as it lies in the view.

use std::ops::ControlFlow;

use city_model::{Applied, Cause, Change, EntityId, Name, Permit, Rejected};
use city_store::codec::split_instance;
use city_store::persons::Person;
use city_store::record::{AlsoWrite, LIVE_BRANCH};
use city_store::view::after_prefix;
use city_store::{KeyNo, PersonKeys, Space, View};

use crate::image::attribute_prefix;
use crate::{Context, Error};

impl Context {
    /// How many entities hold a value of an attribute that was written before it was sealed.
    pub fn unsealed(&self, permit: &Permit, attribute: &Name) -> Result<u64, Error> {
        let space = self.space(permit)?;
        let (holding, number) = {
            let index = space.index.read();
            (
                index.with_attribute(attribute.as_str()).cloned().unwrap_or_default(),
                space.terms.find(attribute.as_str()),
            )
        };
        let Some(number) = number else { return Ok(0) };
        let snapshot = self.view.snapshot();
        let mut unsealed = 0;
        for entity in holding {
            let prefix = attribute_prefix(space.number, LIVE_BRANCH, entity, number);
            let mut clear = false;
            snapshot.scan(Space::State, &prefix, &after_prefix(&prefix), |_, value| {
                clear |= !split_instance(&value)?.is_sealed();
                Ok(if clear { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
            })?;
            unsealed += u64::from(clear);
        }
        Ok(unsealed)
    }

    /// Erases what is personal of an entity, now and in the past. When it answers, the key is gone: nobody
    /// reads it any more from the journal, from history, or from a backup.
    pub async fn erase(
        &self,
        permit: &Permit,
        id: &EntityId,
        cause: Cause,
    ) -> Result<Result<Applied, Rejected>, Error> {
        let mut results = self.apply(permit, vec![Change::Erase(id.clone())], cause, Vec::new()).await?;
        self.keys.destroy_doomed()?;
        // What was read before is forgotten too.
        let space = self.space(permit)?;
        let number = space.index.read().number(id.as_str());
        if let Some(number) = number {
            self.images.forget(space.number, number);
        }
        Ok(results.pop().unwrap_or_else(|| Err(Rejected::EntityNotFound(id.clone()))))
    }
}

/// In the place of an entity's number: what follows is a key that was destroyed.
const DESTROYED: [u8; 4] = [0xff; 4];

#[must_use]
pub fn person_key(tenant: u32, entity: u32) -> Vec<u8> {
    [tenant.to_be_bytes(), entity.to_be_bytes()].concat()
}

/// That the person has no key any more, and that the one they had is to be destroyed: for good, also where
/// a copy of it comes back.
#[must_use]
pub fn destroyed(person: Person, key: KeyNo) -> [AlsoWrite; 2] {
    let (tenant, entity) = person;
    let mark = [tenant.to_be_bytes(), DESTROYED, key.0.to_be_bytes()].concat();
    [
        AlsoWrite { space: Space::Persons, key: person_key(tenant, entity).into(), value: None },
        AlsoWrite { space: Space::Persons, key: mark.into(), value: Some(Box::default()) },
    ]
}

/// Reads whose keys are whose, and destroys those that a crash or a copy left.
pub fn load(view: &View, keys: &PersonKeys) -> Result<(), Error> {
    view.scan(Space::Persons, &[], &[0xff; 13], |key, value| {
        match (number(key, 0), number(key, 4), number(key, 8), number(&value, 0)) {
            (Some(_), Some(u32::MAX), Some(destroyed), _) => keys.learn_destroyed(KeyNo(destroyed))?,
            (Some(tenant), Some(entity), None, Some(own)) => keys.learn((tenant, entity), KeyNo(own)),
            _ => return Err(city_store::Error::Undecodable("a person's key is not readable".to_owned())),
        }
        Ok(ControlFlow::Continue(()))
    })?;
    Ok(())
}

fn number(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..at + 4).and_then(|four| four.try_into().ok()).map(u32::from_be_bytes)
}
