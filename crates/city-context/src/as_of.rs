//! An entity as it stood at an earlier change: undone, change by change, from how it stands now.
//!
//! Each record names the entity's previous one and holds what was before it, so the way back
//! costs one record for each later change of that entity alone. Who goes through the changes of an
//! entity in order pays for the way back once and then goes forward, one record at a time.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use city_model::{Attribute, Entity, EntityId, Name, Permit};
use city_store::codec::{NameNumbers, Reader, read_dataset, read_instance};
use city_store::record::LIVE_BRANCH;
use city_store::{JournalReader, Published, Record, TermNo, View};

use crate::image::{Identity, Parts, Stamp};
use crate::tenant::TenantSpace;
use crate::{Context, Error};

/// Most changes that are undone for one answer.
pub const UNDO_MAX: usize = 100_000;
/// Between two looks whether the journal was closed instead.
const PUBLISH_WAIT: Duration = Duration::from_millis(100);

/// What is known of an entity at an earlier change.
#[derive(Debug)]
pub enum AsOf {
    /// As it stood just after that change; `None` where it did not exist then.
    Entity(Option<Arc<Entity>>),
    /// The records needed are no longer kept.
    Forgotten,
}

/// The entity just after the change at `lsn`.
pub fn as_of(
    view: &View,
    journal: &JournalReader,
    space: &TenantSpace,
    number: u32,
    id: &EntityId,
    lsn: u64,
) -> Result<AsOf, Error> {
    let mut parts = Parts::read(&view.snapshot(), space.number, LIVE_BRANCH, number)?;
    let mut instances: BTreeMap<(TermNo, TermNo), Vec<u8>> = std::mem::take(&mut parts.instances).into_iter().collect();
    let mut stamp = parts.stamp.unwrap_or_default();
    await_published(journal, stamp.lsn)?;
    let mut undone = 0;
    while stamp.lsn > lsn {
        let Some(record) = journal.find(stamp.lsn)?.map(|found| found.record) else { return Ok(AsOf::Forgotten) };
        if record.entity != number || record.tenant != space.number {
            return Err(city_store::Error::Undecodable(format!("record {} is not about {id}", stamp.lsn)).into());
        }
        for touched in &record.touched {
            let key = (touched.attribute, touched.dataset);
            match &touched.change.before {
                Some(before) => instances.insert(key, before.to_vec()),
                None => instances.remove(&key),
            };
        }
        if let Some(identity) = &record.identity {
            parts.identity = identity.before.as_ref().map(|before| before.to_vec());
        }
        stamp = Stamp { modified_at: record.time, seq: record.previous_seq, lsn: record.previous_lsn };
        undone += 1;
        if undone > UNDO_MAX {
            return Ok(AsOf::Forgotten);
        }
    }
    if undone > 0
        && stamp.lsn != 0
        && let Some(record) = journal.find(stamp.lsn)?.map(|found| found.record)
    {
        stamp.modified_at = record.time;
    }
    parts.instances = instances.into_iter().collect();
    parts.stamp = Some(stamp);
    Ok(AsOf::Entity(parts.assemble(id, number, &space.terms)?.map(|image| image.entity)))
}

/// The view shows a change a moment before the journal hands it out: in between, its record is
/// not forgotten but on its way.
pub(crate) fn await_published(journal: &JournalReader, lsn: u64) -> Result<(), Error> {
    while lsn > journal.durable() && !journal.wait_after(lsn - 1, PUBLISH_WAIT) {
        if journal.is_closed() {
            return Err(Error::Stopping);
        }
    }
    Ok(())
}

/// The entity just after a change, from how it stood just before.
pub fn forward(space: &TenantSpace, before: &Entity, record: &Record) -> Result<Arc<Entity>, Error> {
    let terms = &space.terms;
    let mut entity = before.clone();
    entity.modified_at = record.time;
    if let Some(after) = record.identity.as_ref().and_then(|identity| identity.after.as_deref()) {
        let identity = Identity::decode(after, terms)?;
        (entity.types, entity.scopes, entity.created_at) = (identity.types, identity.scopes, identity.created_at);
    }
    for touched in &record.touched {
        let name = Name::from_stored(terms.name(touched.attribute)?);
        let dataset = read_dataset(touched.dataset, terms)?;
        let at = entity.attributes.iter().position(|attribute| attribute.name == name);
        match (&touched.change.after, at) {
            (Some(bytes), at) => {
                // What was erased since is not there.
                let Some(instance) = read_instance(&mut Reader::new(bytes), dataset.clone(), terms)? else { continue };
                match at {
                    None => entity.attributes.push(Attribute::new(name, instance)),
                    Some(at) => {
                        let instances = &mut entity.attributes[at].instances;
                        match instances.iter_mut().find(|own| own.dataset == dataset) {
                            Some(own) => *own = instance,
                            None => instances.push(instance),
                        }
                    }
                }
            }
            (None, Some(at)) => {
                entity.attributes[at].instances.retain(|own| own.dataset != dataset);
                if entity.attributes[at].instances.is_empty() {
                    entity.attributes.remove(at);
                }
            }
            (None, None) => {}
        }
    }
    Ok(Arc::new(entity))
}

/// Where the value came from that an attribute has now.
#[derive(Debug)]
pub enum Brought {
    By(Published),
    /// The change is no longer kept.
    Forgotten,
}

impl Context {
    /// The change that brought what an attribute of an entity is now; `None` where the permit does not show
    /// the attribute, or there is none.
    pub fn brought(&self, permit: &Permit, id: &EntityId, attribute: &Name) -> Result<Option<Brought>, Error> {
        if self.find(permit, id)?.is_none_or(|entity| entity.find(attribute.as_str()).is_none()) {
            return Ok(None);
        }
        let space = self.tenant(permit)?;
        let (number, term) = (space.index.read().number(id.as_str()), space.terms.find(attribute.as_str()));
        let (Some(number), Some(term)) = (number, term) else { return Ok(None) };
        let parts = Parts::read(&self.view().snapshot(), space.number, LIVE_BRANCH, number)?;
        let mut lsn = parts.stamp.unwrap_or_default().lsn;
        await_published(self.journal(), lsn)?;
        for _ in 0..UNDO_MAX {
            let Some(published) = self.journal().find(lsn)? else { return Ok(Some(Brought::Forgotten)) };
            if published.record.touched.iter().any(|touched| touched.attribute == term) {
                return Ok(Some(Brought::By(published)));
            }
            lsn = published.record.previous_lsn;
            if lsn == 0 {
                return Ok(None);
            }
        }
        Ok(Some(Brought::Forgotten))
    }
}
