//! Opening a city: the view is brought up to the journal, then the indexes are made from it.

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::sync::Arc;

use city_model::geometry::BboxWgs84;
use city_model::{DefinitionKind, EntityId, Name, TenantName};
use city_store::commit::{WATERMARK_KEY, watermark};
use city_store::journal::Read;
use city_store::record::{LIVE_BRANCH, definition_key};
use city_store::view::after_prefix;
use city_store::{JournalReader, PersonKeys, Space, TermNo, View, ViewBatch};

use crate::Error;
use crate::image::{Identity, Parts};
use crate::index::places;
use crate::persons;
use crate::project::{decode_position, project, seq_key};
use crate::stage::{Position, TenantOrder};
use crate::tenant::{TenantSpace, Tenants};

/// Records replayed into one batch of the view.
const REPLAY_RECORDS: usize = 1_000;

/// Writes into the view what the journal holds beyond the watermark.
pub fn replay(view: &View, journal: &JournalReader) -> Result<u64, Error> {
    let mut next = watermark(view)? + 1;
    let first = next;
    loop {
        let records = match journal.read(next, REPLAY_RECORDS)? {
            Read::Records(records) => records,
            Read::Lost { oldest } => {
                return Err(city_store::Error::JournalTooYoung { watermark: next - 1, oldest }.into());
            }
        };
        let Some(last) = records.last() else { return Ok(next - first) };
        next = last.lsn + 1;
        let mut writes = ViewBatch::default();
        for published in &records {
            project(&published.record, published.lsn, &mut writes);
        }
        writes.put(Space::Meta, WATERMARK_KEY, &(next - 1).to_le_bytes());
        view.write(writes)?;
    }
}

/// Reads tenants, dictionaries, ids, entities and definitions into memory.
pub fn load(view: &View, tenants: &Tenants, keys: &Arc<PersonKeys>) -> Result<HashMap<TenantName, TenantOrder>, Error> {
    // Before any value is read.
    persons::load(view, keys)?;
    let mut orders = HashMap::new();
    let mut found = Vec::new();
    view.scan(Space::Tenants, &[], &[0xff; 5], |key, name| {
        let number = number_at(key, 0)?;
        found.push((number, TenantName::from_stored(text(&name)?.into())));
        Ok(ControlFlow::Continue(()))
    })?;
    for (number, name) in found {
        let space = Arc::new(TenantSpace::new(number, name.clone(), Arc::clone(keys)));
        let position = load_tenant(view, &space)?;
        tenants.add(Arc::clone(&space))?;
        orders.insert(name, TenantOrder::opened(space, position));
    }
    Ok(orders)
}

fn load_tenant(view: &View, space: &TenantSpace) -> Result<Position, Error> {
    let prefix = space.number.to_be_bytes();
    let end = after_prefix(&prefix);
    view.scan(Space::Terms, &prefix, &end, |key, name| {
        space.terms.learn(TermNo(number_at(key, 4)?), text(&name)?.into())?;
        Ok(ControlFlow::Continue(()))
    })?;
    let mut index = space.index.write();
    view.scan(Space::Ids, &prefix, &end, |key, id| {
        index.learn_id(number_at(key, 4)?, &Arc::from(text(&id)?))?;
        Ok(ControlFlow::Continue(()))
    })?;
    let mut load = EntityLoad { space, index: &mut index, number: 0, parts: Parts::default(), places: HashMap::new() };
    view.scan(Space::State, &prefix, &end, |key, value| {
        if number_at(key, 4)? != LIVE_BRANCH {
            return Ok(ControlFlow::Break(()));
        }
        load.take(key, &value)?;
        Ok(ControlFlow::Continue(()))
    })?;
    load.finish()?;
    let boxes = std::mem::take(&mut load.places);
    index.load_places(boxes);
    let entities = u32::try_from(index.numbered()).unwrap_or(u32::MAX);
    drop(index);
    load_definitions(view, space)?;
    let (seq, time) =
        view.get(Space::Meta, &seq_key(space.number))?.and_then(|b| decode_position(&b)).unwrap_or_default();
    Ok(Position { seq, time, terms: space.terms.len(), entities })
}

fn load_definitions(view: &View, space: &TenantSpace) -> Result<(), Error> {
    const KINDS: [DefinitionKind; 11] = [
        DefinitionKind::Subscription,
        DefinitionKind::Registration,
        DefinitionKind::JsonLdContext,
        DefinitionKind::Policy,
        DefinitionKind::Rule,
        DefinitionKind::Token,
        DefinitionKind::Class,
        DefinitionKind::Actuator,
        DefinitionKind::Account,
        DefinitionKind::Source,
        DefinitionKind::Timetable,
    ];
    for kind in KINDS {
        let prefix = definition_key(space.number, kind, "");
        view.scan(Space::Definitions, &prefix, &after_prefix(&prefix), |key, body| {
            let id: Box<str> = text(&key[prefix.len()..])?.into();
            if kind == DefinitionKind::Actuator {
                Arc::make_mut(&mut space.commandable.write()).learn(&id);
            }
            space.definitions.write().insert((kind, id), Arc::from(&body[..]));
            Ok(ControlFlow::Continue(()))
        })?;
    }
    Ok(())
}

/// Puts entities together from neighbouring keys.
struct EntityLoad<'a> {
    space: &'a TenantSpace,
    index: &'a mut crate::index::Index,
    number: u32,
    parts: Parts,
    places: HashMap<Name, Vec<(BboxWgs84, u32)>>,
}

impl EntityLoad<'_> {
    fn take(&mut self, key: &[u8], value: &[u8]) -> Result<(), city_store::Error> {
        let number = number_at(key, 8)?;
        if number != self.number {
            self.finish()?;
            self.number = number;
        }
        self.parts.take(key, value)
    }

    fn finish(&mut self) -> Result<(), city_store::Error> {
        let parts = std::mem::take(&mut self.parts);
        let Some(id) = self.index.id(self.number) else { return Ok(()) };
        if let Some(past) = &parts.past_identity {
            self.index.note_past_types(self.number, &Identity::decode(past, &self.space.terms)?.types);
        }
        if let Some(stamp) = parts.stamp {
            self.index.set_seq(self.number, stamp.seq);
        }
        if let Some(image) = self.assemble(&parts, &id)? {
            for (name, geometry) in places(Some(&image.entity)) {
                self.places.entry(name.clone()).or_default().push((geometry.bbox(), self.number));
            }
            self.index.load(self.number, &image.entity);
        }
        Ok(())
    }

    fn assemble(&self, parts: &Parts, id: &EntityId) -> Result<Option<crate::image::Image>, city_store::Error> {
        parts.assemble(id, self.number, &self.space.terms).map_err(|error| match error {
            Error::Store(error) => error,
            other => city_store::Error::Undecodable(other.to_string()),
        })
    }
}

fn number_at(key: &[u8], at: usize) -> Result<u32, city_store::Error> {
    let bytes = key.get(at..at + 4).and_then(|bytes| bytes.try_into().ok());
    let bytes = bytes.ok_or_else(|| city_store::Error::Undecodable("a key is too short".to_owned()))?;
    Ok(u32::from_be_bytes(bytes))
}

fn text(bytes: &[u8]) -> Result<&str, city_store::Error> {
    std::str::from_utf8(bytes).map_err(|_| city_store::Error::Undecodable("a stored text is not UTF-8".to_owned()))
}
