//! An entity as it stands, and how it lies in the view.
//!
//! One key per attribute instance, so that a reading rewrites one small value and a stamp rather
//! than the entity. All keys of an entity are neighbours: one scan reads it whole.

use std::ops::ControlFlow;
use std::sync::Arc;

use city_model::{Attribute, Entity, EntityId, Name, Scope, Time};
use city_store::codec::{NameNumbers, Reader, Writer, read_dataset, read_instance};
use city_store::view::{Snapshot, after_prefix};
use city_store::{Space, TermNo, Terms};

use crate::Error;

/// A version of an entity: with its place in the tenant's order.
#[derive(Debug, Clone)]
pub struct Image {
    pub entity: Arc<Entity>,
    pub number: u32,
    pub stamp: Stamp,
}

/// The last change of an entity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Stamp {
    pub modified_at: Time,
    pub seq: u64,
    pub lsn: u64,
}

/// Number 0 cannot be an attribute: it holds what belongs to the entity itself.
const SELF: TermNo = TermNo(0);
const IDENTITY: u32 = 0;
const STAMP: u32 = 1;
/// Types of an entity that is known from the past only.
const PAST_IDENTITY: u32 = 2;

/// Types, scopes and birth of an entity.
#[derive(Debug, Clone, PartialEq)]
pub struct Identity {
    pub types: Vec<Name>,
    pub scopes: Vec<Scope>,
    pub created_at: Time,
}

#[must_use]
pub fn entity_prefix(tenant: u32, branch: u32, entity: u32) -> Vec<u8> {
    let mut key = Vec::with_capacity(20);
    key.extend_from_slice(&tenant.to_be_bytes());
    key.extend_from_slice(&branch.to_be_bytes());
    key.extend_from_slice(&entity.to_be_bytes());
    key
}

#[must_use]
pub fn attribute_prefix(tenant: u32, branch: u32, entity: u32, attribute: TermNo) -> Vec<u8> {
    let mut key = entity_prefix(tenant, branch, entity);
    key.extend_from_slice(&attribute.0.to_be_bytes());
    key
}

#[must_use]
pub fn instance_key(tenant: u32, branch: u32, entity: u32, attribute: TermNo, dataset: TermNo) -> Vec<u8> {
    let mut key = attribute_prefix(tenant, branch, entity, attribute);
    key.extend_from_slice(&dataset.0.to_be_bytes());
    key
}

#[must_use]
pub fn identity_key(tenant: u32, branch: u32, entity: u32) -> Vec<u8> {
    instance_key(tenant, branch, entity, SELF, TermNo(IDENTITY))
}

#[must_use]
pub fn stamp_key(tenant: u32, branch: u32, entity: u32) -> Vec<u8> {
    instance_key(tenant, branch, entity, SELF, TermNo(STAMP))
}

#[must_use]
pub fn past_identity_key(tenant: u32, branch: u32, entity: u32) -> Vec<u8> {
    instance_key(tenant, branch, entity, SELF, TermNo(PAST_IDENTITY))
}

impl Identity {
    #[must_use]
    pub fn of(entity: &Entity) -> Self {
        Self { types: entity.types.clone(), scopes: entity.scopes.clone(), created_at: entity.created_at }
    }

    #[must_use]
    pub fn encode(&self, terms: &Terms) -> Vec<u8> {
        let mut out = Writer::default();
        out.int(self.created_at.as_micros());
        out.uint(self.types.len() as u64);
        self.types.iter().for_each(|name| out.uint(terms.number(&name.shared()).0.into()));
        out.uint(self.scopes.len() as u64);
        self.scopes.iter().for_each(|scope| out.text(scope.as_str()));
        out.bytes
    }

    pub fn decode(bytes: &[u8], terms: &Terms) -> Result<Self, city_store::Error> {
        let mut from = Reader::new(bytes);
        let created_at = Time::from_micros(from.int()?);
        let types = (0..from.uint()?)
            .map(|_| Ok(Name::from_stored(terms.name(TermNo(from.u32()?))?)))
            .collect::<Result<_, city_store::Error>>()?;
        let scopes = (0..from.uint()?)
            .map(|_| Ok(Scope::from_stored(from.text()?.into())))
            .collect::<Result<_, city_store::Error>>()?;
        Ok(Self { types, scopes, created_at })
    }
}

impl Stamp {
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Writer::default();
        out.int(self.modified_at.as_micros());
        out.uint(self.seq);
        out.uint(self.lsn);
        out.bytes
    }

    pub fn decode(bytes: &[u8]) -> Result<Self, city_store::Error> {
        let mut from = Reader::new(bytes);
        Ok(Self { modified_at: Time::from_micros(from.int()?), seq: from.uint()?, lsn: from.uint()? })
    }
}

/// The parts of an entity as they lie in the view, before they are put together.
#[derive(Debug, Default)]
pub struct Parts {
    pub identity: Option<Vec<u8>>,
    pub past_identity: Option<Vec<u8>>,
    pub stamp: Option<Stamp>,
    /// In the order of their keys.
    pub instances: Vec<((TermNo, TermNo), Vec<u8>)>,
}

impl Parts {
    pub fn read(snapshot: &Snapshot, tenant: u32, branch: u32, entity: u32) -> Result<Self, Error> {
        let prefix = entity_prefix(tenant, branch, entity);
        let mut parts = Self::default();
        snapshot.scan(Space::State, &prefix, &after_prefix(&prefix), |key, value| {
            parts.take(key, &value)?;
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(parts)
    }

    /// Takes in one key of the entity.
    pub fn take(&mut self, key: &[u8], value: &[u8]) -> Result<(), city_store::Error> {
        let (attribute, dataset) = split_key(key)?;
        match (attribute, dataset.0) {
            (SELF, IDENTITY) => self.identity = Some(value.to_vec()),
            (SELF, STAMP) => self.stamp = Some(Stamp::decode(value)?),
            (SELF, _) => self.past_identity = Some(value.to_vec()),
            _ => self.instances.push(((attribute, dataset), value.to_vec())),
        }
        Ok(())
    }

    /// `None` where the entity does not exist now.
    pub fn assemble(&self, id: &EntityId, number: u32, terms: &Terms) -> Result<Option<Image>, Error> {
        let (Some(identity), Some(stamp)) = (&self.identity, self.stamp) else { return Ok(None) };
        let Identity { types, scopes, created_at } = Identity::decode(identity, terms)?;
        let mut attributes: Vec<Attribute> = Vec::new();
        let mut last = SELF;
        for ((attribute, dataset), bytes) in &self.instances {
            let dataset = read_dataset(*dataset, terms)?;
            // What was erased is not there.
            let Some(instance) = read_instance(&mut Reader::new(bytes), dataset, terms)? else { continue };
            match attributes.last_mut() {
                Some(current) if last == *attribute => current.instances.push(instance),
                _ => attributes.push(Attribute::new(Name::from_stored(terms.name(*attribute)?), instance)),
            }
            last = *attribute;
        }
        let modified_at = stamp.modified_at;
        let entity = Entity { id: id.clone(), types, scopes, attributes, created_at, modified_at };
        Ok(Some(Image { entity: Arc::new(entity), number, stamp }))
    }
}

/// The attribute and dataset at the end of a state key.
pub fn split_key(key: &[u8]) -> Result<(TermNo, TermNo), city_store::Error> {
    let wrong = || city_store::Error::Undecodable("a state key has a wrong length".to_owned());
    let number = |at: usize| -> Result<u32, city_store::Error> {
        Ok(u32::from_be_bytes(key.get(at..at + 4).ok_or_else(wrong)?.try_into().map_err(|_| wrong())?))
    };
    Ok((TermNo(number(12)?), TermNo(number(16)?)))
}
