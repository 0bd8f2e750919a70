//! Record v1: one change as the journal keeps it.
//!
//! Tagged fields, each with its length, so that a later version can add some. With the value
//! before and after of every touched instance, whoever follows can rebuild the entity as of the
//! change, in either direction.

use std::sync::Arc;

use city_model::change::InstancePosition;
use city_model::{Cause, DefinitionKind, Note, Time};

use crate::Error;
use crate::codec::{Reader, Writer};
use crate::terms::TermNo;
use crate::view::Space;

/// Version written in front of each record.
pub const RECORD_VERSION: u8 = 1;

/// Branch 0 is the live city; others are snapshots and what-if.
pub const LIVE_BRANCH: u32 = 0;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RecordKind {
    /// The current state of an entity changed.
    State,
    /// Instances of the past were added, changed or removed; the current state did not move.
    Past,
    /// A subscription, registration, context, policy or rule.
    Definition,
    /// Cursors, request keys and the like that share the sync of a change.
    Also,
    /// Something that was done, for the trail alone.
    Note,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    pub tenant: u32,
    /// The tenant's name, on its first record.
    pub tenant_name: Option<Box<str>>,
    pub branch: u32,
    /// Position in the tenant's order, dense from 1.
    pub seq: u64,
    pub kind: RecordKind,
    pub time: Time,
    /// Whose permit it was; empty in records from before there were identities.
    pub who: Arc<str>,
    pub cause: Cause,
    /// Which of the changes of its request this is, of how many.
    pub index: u32,
    pub count: u32,
    /// Number of the entity; 0 for definitions.
    pub entity: u32,
    pub entity_id: Arc<str>,
    /// The entity's previous change: its seq and its journal position. 0 for the first.
    pub previous_seq: u64,
    pub previous_lsn: u64,
    pub identity: Option<Transition>,
    pub touched: Vec<Touched>,
    pub definition: Option<DefinitionChange>,
    pub also: Vec<AlsoWrite>,
    pub note: Option<Note>,
    pub terms: Vec<(TermNo, Arc<str>)>,
}

/// Something before and after; `None` where it did not exist.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transition {
    pub before: Option<Box<[u8]>>,
    pub after: Option<Box<[u8]>>,
}

/// One attribute instance before and after.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Touched {
    pub attribute: TermNo,
    /// 0 is the default instance.
    pub dataset: TermNo,
    pub class: u8,
    /// Key that seals the value; 0 is in the clear.
    pub key_id: u32,
    /// In a `Past` record: the instance that is changed or removed.
    pub position: Option<InstancePosition>,
    pub change: Transition,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DefinitionChange {
    pub kind: DefinitionKind,
    pub id: Box<str>,
    pub change: Transition,
}

/// A write to the view that must be as durable as the change beside it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AlsoWrite {
    pub space: Space,
    pub key: Box<[u8]>,
    pub value: Option<Box<[u8]>>,
}

mod tag {
    pub const TENANT: u8 = 1;
    pub const TENANT_NAME: u8 = 2;
    pub const BRANCH: u8 = 3;
    pub const SEQ: u8 = 4;
    pub const KIND: u8 = 5;
    pub const TIME: u8 = 6;
    pub const CAUSE: u8 = 7;
    pub const ENTITY: u8 = 8;
    pub const PREVIOUS: u8 = 9;
    pub const IDENTITY: u8 = 10;
    pub const TOUCHED: u8 = 11;
    pub const DEFINITION: u8 = 12;
    pub const ALSO: u8 = 13;
    pub const TERM: u8 = 14;
    pub const WHO: u8 = 15;
    pub const NOTE: u8 = 16;
}

fn definition_number(kind: DefinitionKind) -> u8 {
    match kind {
        DefinitionKind::Subscription => 0,
        DefinitionKind::Registration => 1,
        DefinitionKind::JsonLdContext => 2,
        DefinitionKind::Policy => 3,
        DefinitionKind::Rule => 4,
        DefinitionKind::Token => 5,
        DefinitionKind::Class => 6,
        DefinitionKind::Actuator => 7,
        DefinitionKind::Source => 8,
        DefinitionKind::Account => 9,
        DefinitionKind::Timetable => 10,
    }
}

fn definition_kind(number: u8) -> Result<DefinitionKind, Error> {
    Ok(match number {
        0 => DefinitionKind::Subscription,
        1 => DefinitionKind::Registration,
        2 => DefinitionKind::JsonLdContext,
        3 => DefinitionKind::Policy,
        4 => DefinitionKind::Rule,
        5 => DefinitionKind::Token,
        6 => DefinitionKind::Class,
        7 => DefinitionKind::Actuator,
        8 => DefinitionKind::Source,
        9 => DefinitionKind::Account,
        10 => DefinitionKind::Timetable,
        _ => return Err(Error::Undecodable("a definition has an unknown kind".to_owned())),
    })
}

/// First byte of a definition's key in the view.
#[must_use]
pub fn definition_key(tenant: u32, kind: DefinitionKind, id: &str) -> Vec<u8> {
    let mut key = tenant.to_be_bytes().to_vec();
    key.push(definition_number(kind));
    key.extend_from_slice(id.as_bytes());
    key
}

impl Transition {
    fn write(&self, out: &mut Writer) {
        out.option(self.before.as_deref());
        out.option(self.after.as_deref());
    }

    fn read(from: &mut Reader) -> Result<Self, Error> {
        Ok(Self { before: from.option()?.map(Into::into), after: from.option()?.map(Into::into) })
    }
}

impl Record {
    /// Approximate size in memory, for bounds.
    #[must_use]
    pub fn weight(&self) -> usize {
        let transition =
            |t: &Transition| t.before.as_deref().map_or(0, <[u8]>::len) + t.after.as_deref().map_or(0, <[u8]>::len);
        let touched: usize = self.touched.iter().map(|t| 64 + transition(&t.change)).sum();
        256 + self.entity_id.len()
            + touched
            + self.identity.as_ref().map_or(0, transition)
            + self.definition.as_ref().map_or(0, |d| transition(&d.change))
            + self.note.as_ref().map_or(0, |note| note.details.len())
    }

    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Writer::default();
        let mut scratch = Writer::default();
        let mut field = |number: u8, write: &mut dyn FnMut(&mut Writer)| {
            scratch.bytes.clear();
            write(&mut scratch);
            out.u8(number);
            out.raw(&scratch.bytes);
        };
        field(tag::TENANT, &mut |w| w.uint(self.tenant.into()));
        if let Some(name) = &self.tenant_name {
            field(tag::TENANT_NAME, &mut |w| w.text(name));
        }
        if self.branch != LIVE_BRANCH {
            field(tag::BRANCH, &mut |w| w.uint(self.branch.into()));
        }
        field(tag::SEQ, &mut |w| w.uint(self.seq));
        let kind = match self.kind {
            RecordKind::State => 0,
            RecordKind::Past => 1,
            RecordKind::Definition => 2,
            RecordKind::Also => 3,
            RecordKind::Note => 4,
        };
        field(tag::KIND, &mut |w| w.u8(kind));
        field(tag::TIME, &mut |w| w.int(self.time.as_micros()));
        field(tag::CAUSE, &mut |w| {
            w.bytes.extend_from_slice(&self.cause.request.to_le_bytes());
            w.uint(self.index.into());
            w.uint(self.count.into());
            w.text(&self.cause.origin);
            w.u8(self.cause.depth);
        });
        if !self.who.is_empty() {
            field(tag::WHO, &mut |w| w.text(&self.who));
        }
        if self.entity != 0 {
            field(tag::ENTITY, &mut |w| {
                w.uint(self.entity.into());
                w.text(&self.entity_id);
            });
        }
        if self.previous_seq != 0 {
            field(tag::PREVIOUS, &mut |w| {
                w.uint(self.previous_seq);
                w.uint(self.previous_lsn);
            });
        }
        for (number, name) in &self.terms {
            field(tag::TERM, &mut |w| {
                w.uint(number.0.into());
                w.text(name);
            });
        }
        if let Some(identity) = &self.identity {
            field(tag::IDENTITY, &mut |w| identity.write(w));
        }
        for touched in &self.touched {
            field(tag::TOUCHED, &mut |w| {
                w.uint(touched.attribute.0.into());
                w.uint(touched.dataset.0.into());
                w.u8(touched.class);
                w.uint(touched.key_id.into());
                match touched.position {
                    None => w.u8(0),
                    Some(position) => {
                        w.u8(1);
                        w.uint(position.seq);
                        w.uint(position.index.into());
                    }
                }
                touched.change.write(w);
            });
        }
        if let Some(definition) = &self.definition {
            field(tag::DEFINITION, &mut |w| {
                w.u8(definition_number(definition.kind));
                w.text(&definition.id);
                definition.change.write(w);
            });
        }
        if let Some(note) = &self.note {
            field(tag::NOTE, &mut |w| {
                w.text(&note.what);
                w.text(&note.subject);
                w.raw(&note.details);
            });
        }
        for also in &self.also {
            field(tag::ALSO, &mut |w| {
                w.u8(also.space.number());
                w.raw(&also.key);
                w.option(also.value.as_deref());
            });
        }
        out.bytes
    }

    /// The time of an encoded record, without the rest of it.
    pub fn peek_time(bytes: &[u8]) -> Result<Time, Error> {
        let mut fields = Reader::new(bytes);
        while !fields.is_empty() {
            let number = fields.u8()?;
            let field = fields.raw()?;
            if number == tag::TIME {
                return Ok(Time::from_micros(Reader::new(field).int()?));
            }
        }
        Err(Error::Undecodable("a record has no time".to_owned()))
    }

    pub fn decode(bytes: &[u8]) -> Result<Self, Error> {
        let mut record = Self {
            tenant: 0,
            tenant_name: None,
            branch: LIVE_BRANCH,
            seq: 0,
            kind: RecordKind::State,
            time: Time::UNSET,
            who: Arc::from(""),
            cause: Cause { request: 0, origin: "".into(), depth: 0 },
            index: 0,
            count: 1,
            entity: 0,
            entity_id: Arc::from(""),
            previous_seq: 0,
            previous_lsn: 0,
            identity: None,
            touched: Vec::new(),
            definition: None,
            also: Vec::new(),
            note: None,
            terms: Vec::new(),
        };
        let mut fields = Reader::new(bytes);
        while !fields.is_empty() {
            let number = fields.u8()?;
            let mut r = Reader::new(fields.raw()?);
            match number {
                tag::TENANT => record.tenant = r.u32()?,
                tag::TENANT_NAME => record.tenant_name = Some(r.text()?.into()),
                tag::BRANCH => record.branch = r.u32()?,
                tag::SEQ => record.seq = r.uint()?,
                tag::KIND => {
                    record.kind = match r.u8()? {
                        0 => RecordKind::State,
                        1 => RecordKind::Past,
                        2 => RecordKind::Definition,
                        3 => RecordKind::Also,
                        4 => RecordKind::Note,
                        other => return Err(Error::Undecodable(format!("record kind {other} is unknown"))),
                    }
                }
                tag::TIME => record.time = Time::from_micros(r.int()?),
                tag::CAUSE => {
                    let mut request = [0; 16];
                    request.copy_from_slice(r.take(16)?);
                    record.cause.request = u128::from_le_bytes(request);
                    record.index = r.u32()?;
                    record.count = r.u32()?;
                    record.cause.origin = r.text()?.into();
                    record.cause.depth = r.u8()?;
                }
                tag::WHO => record.who = r.text()?.into(),
                tag::NOTE => {
                    record.note =
                        Some(Note { what: r.text()?.into(), subject: r.text()?.into(), details: r.raw()?.into() });
                }
                tag::ENTITY => {
                    record.entity = r.u32()?;
                    record.entity_id = r.text()?.into();
                }
                tag::PREVIOUS => {
                    record.previous_seq = r.uint()?;
                    record.previous_lsn = r.uint()?;
                }
                tag::TERM => record.terms.push((TermNo(r.u32()?), r.text()?.into())),
                tag::IDENTITY => record.identity = Some(Transition::read(&mut r)?),
                tag::TOUCHED => {
                    let (attribute, dataset) = (TermNo(r.u32()?), TermNo(r.u32()?));
                    let (class, key_id) = (r.u8()?, r.u32()?);
                    let position = match r.u8()? {
                        0 => None,
                        _ => Some(InstancePosition { seq: r.uint()?, index: r.u32()? }),
                    };
                    let change = Transition::read(&mut r)?;
                    record.touched.push(Touched { attribute, dataset, class, key_id, position, change });
                }
                tag::DEFINITION => {
                    record.definition = Some(DefinitionChange {
                        kind: definition_kind(r.u8()?)?,
                        id: r.text()?.into(),
                        change: Transition::read(&mut r)?,
                    });
                }
                tag::ALSO => record.also.push(AlsoWrite {
                    space: Space::from_number(r.u8()?)?,
                    key: r.raw()?.into(),
                    value: r.option()?.map(Into::into),
                }),
                other => return Err(Error::Undecodable(format!("field {other} is unknown to this release"))),
            }
        }
        Ok(record)
    }
}
