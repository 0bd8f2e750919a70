//! Attribute instances as bytes: their times, and what they say. Of personal data the second part is sealed
//! by the key of the person, so that whoever has the bytes but not the key has the times alone.

use std::sync::Arc;

use city_model::{Attribute, DataClass, DatasetId, Instance, Kind, Name, Time};

use super::{
    DEPTH_MAX, Reader, Writer, read_geometry, read_value, read_values, undecodable, write_geometry, write_value,
    write_values,
};
use crate::Error;
use crate::persons::KeyNo;
use crate::terms::{TermNo, Terms};

/// What the numbers in stored bytes stand for: names, and keys of persons.
pub trait NameNumbers {
    fn name(&self, number: TermNo) -> Result<Arc<str>, Error>;

    /// What was sealed; `None` where the key is gone.
    fn unseal(&self, key: KeyNo, header: &[u8], sealed: &[u8]) -> Result<Option<Vec<u8>>, Error>;
}

pub(super) const HAS_OBSERVED_AT: u8 = 1;
pub(super) const HAS_UNIT_CODE: u8 = 2;
const HAS_SUB_ATTRIBUTES: u8 = 4;
pub(super) const HAS_CLASS: u8 = 8;
pub(super) const HAS_DELETED_AT: u8 = 16;
pub(super) const IS_SEALED: u8 = 32;

/// The dataset stands in the key of an instance, not in its bytes.
pub fn write_instance(instance: &Instance, terms: &Terms, out: &mut Writer) {
    let flags = flags_of(instance);
    write_times(instance, flags, out);
    write_content(instance, flags, terms, out);
}

/// The same with all but the times sealed by a person's key.
pub fn write_sealed(instance: &Instance, terms: &Terms, key: KeyNo, out: &mut Writer) -> Result<(), Error> {
    let flags = flags_of(instance);
    let mut content = Writer::default();
    write_content(instance, flags, terms, &mut content);
    let start = out.bytes.len();
    write_times(instance, flags | IS_SEALED, out);
    let sealed = terms.keys().seal(key, &out.bytes[start..], content.bytes)?;
    out.uint(key.0.into());
    out.raw(&sealed);
    Ok(())
}

fn flags_of(instance: &Instance) -> u8 {
    let mut flags = 0;
    flags |= if instance.observed_at.is_some() { HAS_OBSERVED_AT } else { 0 };
    flags |= if instance.unit_code.is_some() { HAS_UNIT_CODE } else { 0 };
    flags |= if instance.sub_attributes.is_empty() { 0 } else { HAS_SUB_ATTRIBUTES };
    flags |= if instance.class == DataClass::default() { 0 } else { HAS_CLASS };
    flags |= if instance.deleted_at.is_some() { HAS_DELETED_AT } else { 0 };
    flags
}

fn write_times(instance: &Instance, flags: u8, out: &mut Writer) {
    out.u8(flags);
    out.int(instance.created_at.as_micros());
    out.int(instance.modified_at.as_micros() - instance.created_at.as_micros());
    if let Some(observed_at) = instance.observed_at {
        out.int(observed_at.as_micros() - instance.modified_at.as_micros());
    }
}

fn write_content(instance: &Instance, flags: u8, terms: &Terms, out: &mut Writer) {
    if let Some(unit_code) = &instance.unit_code {
        out.text(unit_code);
    }
    if flags & HAS_CLASS != 0 {
        out.u8(class_number(instance.class));
    }
    if let Some(deleted_at) = instance.deleted_at {
        out.int(deleted_at.as_micros());
    }
    write_kind(&instance.kind, terms, out);
    if flags & HAS_SUB_ATTRIBUTES != 0 {
        out.uint(instance.sub_attributes.len() as u64);
        for attribute in &instance.sub_attributes {
            out.uint(terms.number(&attribute.name.shared()).0.into());
            out.uint(attribute.instances.len() as u64);
            for instance in &attribute.instances {
                out.uint(instance.dataset.as_ref().map_or(0, |dataset| terms.number(&dataset.shared()).0.into()));
                write_instance(instance, terms, out);
            }
        }
    }
}

/// `None` where the value was erased: the key that sealed it is gone.
pub fn read_instance(
    from: &mut Reader,
    dataset: Option<DatasetId>,
    terms: &dyn NameNumbers,
) -> Result<Option<Instance>, Error> {
    let whole = from.rest;
    let times = Times::read(from)?;
    if times.flags & IS_SEALED == 0 {
        return read_content(from, &times, dataset, terms, 0).map(Some);
    }
    let header = &whole[..whole.len() - from.rest.len()];
    let (key, sealed) = (KeyNo(from.u32()?), from.raw()?);
    let Some(content) = terms.unseal(key, header, sealed)? else { return Ok(None) };
    read_content(&mut Reader::new(&content), &times, dataset, terms, 0).map(Some)
}

/// What stands in front of every instance, sealed or not.
struct Times {
    flags: u8,
    created_at: Time,
    modified_at: Time,
    observed_at: Option<Time>,
}

impl Times {
    fn read(from: &mut Reader) -> Result<Self, Error> {
        let flags = from.u8()?;
        let created_at = Time::from_micros(from.int()?);
        let modified_at = created_at.plus_micros(from.int()?);
        let observed = flags & HAS_OBSERVED_AT != 0;
        let observed_at = if observed { Some(modified_at.plus_micros(from.int()?)) } else { None };
        Ok(Self { flags, created_at, modified_at, observed_at })
    }
}

fn read_content(
    from: &mut Reader,
    times: &Times,
    dataset: Option<DatasetId>,
    terms: &dyn NameNumbers,
    depth: usize,
) -> Result<Instance, Error> {
    if depth > DEPTH_MAX {
        return Err(undecodable("attributes are nested too deeply"));
    }
    let &Times { flags, created_at, modified_at, observed_at } = times;
    let has = |flag| flags & flag != 0;
    let unit_code = if has(HAS_UNIT_CODE) { Some(from.text()?.into()) } else { None };
    let class = if has(HAS_CLASS) { read_class(from.u8()?)? } else { DataClass::default() };
    let deleted_at = if has(HAS_DELETED_AT) { Some(Time::from_micros(from.int()?)) } else { None };
    let kind = read_kind(from, terms)?;
    let mut sub_attributes = Vec::new();
    if has(HAS_SUB_ATTRIBUTES) {
        for _ in 0..from.count()? {
            let name = Name::from_stored(terms.name(TermNo(from.u32()?))?);
            let count = from.count()?;
            let mut instances = Vec::with_capacity(count.min(16));
            for _ in 0..count {
                let dataset = read_dataset(TermNo(from.u32()?), terms)?;
                let times = Times::read(from)?;
                if times.flags & IS_SEALED != 0 {
                    return Err(undecodable("a part of an attribute is sealed by itself"));
                }
                instances.push(read_content(from, &times, dataset, terms, depth + 1)?);
            }
            sub_attributes.push(Attribute { name, instances });
        }
    }
    Ok(Instance { dataset, kind, observed_at, unit_code, created_at, modified_at, deleted_at, class, sub_attributes })
}

/// When the instance in these bytes was last changed, and observed, without reading the rest.
pub fn peek_times(bytes: &[u8]) -> Result<(Time, Option<Time>), Error> {
    let times = Times::read(&mut Reader::new(bytes))?;
    Ok((times.modified_at, times.observed_at))
}

/// Number 0 is the default instance.
pub fn read_dataset(number: TermNo, terms: &dyn NameNumbers) -> Result<Option<DatasetId>, Error> {
    if number.0 == 0 { Ok(None) } else { Ok(Some(DatasetId::from_stored(terms.name(number)?))) }
}

#[must_use]
pub fn class_number(class: DataClass) -> u8 {
    match class {
        DataClass::Environment => 0,
        DataClass::Infrastructure => 1,
        DataClass::Behaviour => 2,
        DataClass::Personal => 3,
    }
}

fn read_class(number: u8) -> Result<DataClass, Error> {
    Ok(match number {
        0 => DataClass::Environment,
        1 => DataClass::Infrastructure,
        2 => DataClass::Behaviour,
        3 => DataClass::Personal,
        _ => return Err(undecodable("a class is unknown")),
    })
}

fn write_names(names: &[Name], terms: &Terms, out: &mut Writer) {
    out.uint(names.len() as u64);
    for name in names {
        out.uint(terms.number(&name.shared()).0.into());
    }
}

fn read_names(from: &mut Reader, terms: &dyn NameNumbers) -> Result<Vec<Name>, Error> {
    (0..from.count()?).map(|_| Ok(Name::from_stored(terms.name(TermNo(from.u32()?))?))).collect()
}

fn write_kind(kind: &Kind, terms: &Terms, out: &mut Writer) {
    match kind {
        Kind::Property(value) => {
            out.u8(0);
            write_value(value, out);
        }
        Kind::Relationship { object, object_types } => {
            out.u8(1);
            write_value(object, out);
            write_names(object_types, terms, out);
        }
        Kind::GeoProperty(geometry) => {
            out.u8(2);
            write_geometry(geometry, out);
        }
        Kind::LanguageProperty(map) => {
            out.u8(3);
            out.uint(map.len() as u64);
            for (tag, text) in map {
                out.text(tag);
                write_value(text, out);
            }
        }
        Kind::VocabProperty(value) => {
            out.u8(4);
            write_value(value, out);
        }
        Kind::JsonProperty(value) => {
            out.u8(5);
            write_value(value, out);
        }
        Kind::ListProperty(list) => {
            out.u8(6);
            write_values(list, out);
        }
        Kind::ListRelationship { objects, object_types } => {
            out.u8(7);
            write_values(objects, out);
            write_names(object_types, terms, out);
        }
        Kind::Null => out.u8(8),
        Kind::Unchanged => out.u8(9),
    }
}

fn read_kind(from: &mut Reader, terms: &dyn NameNumbers) -> Result<Kind, Error> {
    Ok(match from.u8()? {
        0 => Kind::Property(read_value(from)?),
        1 => Kind::Relationship { object: read_value(from)?, object_types: read_names(from, terms)? },
        2 => Kind::GeoProperty(read_geometry(from)?),
        3 => {
            let count = from.count()?;
            let mut map = Vec::with_capacity(count);
            for _ in 0..count {
                map.push((from.text()?.into(), read_value(from)?));
            }
            Kind::LanguageProperty(map)
        }
        4 => Kind::VocabProperty(read_value(from)?),
        5 => Kind::JsonProperty(read_value(from)?),
        6 => Kind::ListProperty(read_values(from)?),
        7 => Kind::ListRelationship { objects: read_values(from)?, object_types: read_names(from, terms)? },
        8 => Kind::Null,
        9 => Kind::Unchanged,
        _ => return Err(undecodable("an attribute has an unknown kind")),
    })
}
