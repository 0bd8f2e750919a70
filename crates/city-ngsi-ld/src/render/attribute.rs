//! One attribute as bytes (clauses 4.5.2 to 4.5.5, 4.5.18 to 4.5.24).

use city_model::value::{NGSI_LD_NULL, Value};
use city_model::{Attribute, DatasetId, Instance, Kind, Time};

use crate::context::TermMap;
use crate::entity::geometry;
use crate::json::{self, ObjectWriter};
use crate::render::{Format, VALUE_TYPE};

#[derive(Clone, Copy)]
pub(crate) struct AttributeStyle<'s> {
    pub format: Format,
    pub sys_attrs: bool,
    pub lang: Option<&'s str>,
    /// What the attribute was before, where changes are shown.
    pub previous: Option<&'s Attribute>,
    /// A value may stand alone; among several instances it would read as part of a list.
    pub bare: bool,
}

/// Writes the member of an attribute, unless none of its instances shows.
pub(crate) fn write_attribute(
    object: &mut ObjectWriter,
    attribute: &Attribute,
    terms: &TermMap,
    style: &AttributeStyle,
    shows: &dyn Fn(Option<&DatasetId>) -> bool,
) {
    let mut shown = attribute.instances.iter().filter(|instance| shows(instance.dataset.as_ref()));
    let Some(first) = shown.next() else { return };
    let several = shown.next().is_some();
    let out = object.text_key(&terms.compact(&attribute.name));
    let shown = || attribute.instances.iter().filter(|instance| shows(instance.dataset.as_ref()));
    match style.format {
        Format::Simplified if several => {
            let mut outer = ObjectWriter::open(out);
            let mut datasets = ObjectWriter::open(outer.key("dataset"));
            for instance in shown() {
                let key = instance.dataset.as_ref().map_or("@none", DatasetId::as_str);
                write_simplified(datasets.text_key(key), instance, terms, style.lang);
            }
            datasets.close();
            outer.close();
        }
        Format::Simplified => write_simplified(out, first, terms, style.lang),
        Format::Normalized | Format::Concise if several => {
            let style = AttributeStyle { bare: false, ..*style };
            json::write_list(out, shown(), |out, instance| write_instance(out, instance, terms, &style, None));
        }
        Format::Normalized | Format::Concise => write_instance(out, first, terms, style, None),
    }
}

/// One instance, normalised or concise. `instance_id` is given in temporal representations.
pub(crate) fn write_instance(
    out: &mut Vec<u8>,
    instance: &Instance,
    terms: &TermMap,
    style: &AttributeStyle,
    instance_id: Option<&str>,
) {
    let concise = style.format == Format::Concise;
    let language = chosen_language(instance, style.lang);
    if concise && style.bare && language.is_none() && is_bare(instance, style) {
        match &instance.kind {
            Kind::Property(value) => json::write_value(out, value),
            Kind::GeoProperty(shape) => geometry::write(out, shape),
            // `is_bare` lets no other kind through.
            _ => out.extend_from_slice(b"null"),
        }
        return;
    }
    let mut object = ObjectWriter::open(out);
    if !concise || needs_type(&instance.kind) {
        let name = match (&language, &instance.kind) {
            // No geometry is null; what it was is only known from before.
            (None, _) if instance.is_null() && was_geometry(instance, style) => "GeoProperty",
            (Some(_), _) | (None, Kind::Null | Kind::Unchanged) => "Property",
            (None, kind) => kind.type_name(),
        };
        object.text("type", name);
    }
    match language {
        Some((tag, value)) => {
            json::write_value(object.key("value"), value);
            object.text("lang", tag);
        }
        None => write_carrier(&mut object, "", &instance.kind, terms, concise),
    }
    if let Some(previous) = style.previous.and_then(|attribute| attribute.find(instance.dataset.as_ref()))
        && previous.kind != instance.kind
    {
        write_carrier(&mut object, "previous", &previous.kind, terms, concise);
    }
    if let Some(datatype) = instance.sub_attribute(VALUE_TYPE).and_then(|attribute| attribute.instances.first())
        && let Kind::VocabProperty(Value::Text(iri)) = &datatype.kind
    {
        object.text("valueType", &terms.compact_iri(iri));
    }
    if let Some(unit) = &instance.unit_code {
        object.text("unitCode", unit);
    }
    if let Some(time) = instance.observed_at {
        object.time("observedAt", time);
    }
    if let Some(dataset) = &instance.dataset {
        object.text("datasetId", dataset.as_str());
    }
    if let Some(id) = instance_id {
        object.text("instanceId", id);
    }
    if style.sys_attrs {
        for (name, time) in [("createdAt", instance.created_at), ("modifiedAt", instance.modified_at)] {
            if time != Time::UNSET {
                object.time(name, time);
            }
        }
    }
    if let Some(time) = instance.deleted_at {
        object.time("deletedAt", time);
    }
    let inner = AttributeStyle { previous: None, bare: true, ..*style };
    for attribute in instance.sub_attributes.iter().filter(|attribute| attribute.name.as_str() != VALUE_TYPE) {
        write_attribute(&mut object, attribute, terms, &inner, &|_| true);
    }
    object.close();
}

fn was_geometry(instance: &Instance, style: &AttributeStyle) -> bool {
    let previous = style.previous.and_then(|attribute| attribute.find(instance.dataset.as_ref()));
    previous.is_some_and(|previous| matches!(previous.kind, Kind::GeoProperty(_)))
}

/// Whether the concise form is the value alone, and reads back as what it is.
fn is_bare(instance: &Instance, style: &AttributeStyle) -> bool {
    let nothing_beside = instance.dataset.is_none()
        && instance.observed_at.is_none()
        && instance.unit_code.is_none()
        && instance.deleted_at.is_none()
        && instance.sub_attributes.is_empty()
        && style.previous.is_none()
        && !(style.sys_attrs && (instance.created_at != Time::UNSET || instance.modified_at != Time::UNSET));
    nothing_beside
        && match &instance.kind {
            Kind::Property(value) => !reads_as_attribute(value),
            Kind::GeoProperty(_) => true,
            _ => false,
        }
}

/// Objects and arrays of objects could be taken for attributes, instances or geometries.
fn reads_as_attribute(value: &Value) -> bool {
    match value {
        Value::Map(_) => true,
        Value::List(items) => matches!(items.first(), Some(Value::Map(_))),
        _ => false,
    }
}

/// A Property whose value looks like a geometry would be taken for a GeoProperty.
fn needs_type(kind: &Kind) -> bool {
    matches!(kind, Kind::Property(value) if geometry::looks_like_geometry(value))
}

/// The member that holds what the attribute says; with the prefix `previous` what it said.
fn write_carrier(object: &mut ObjectWriter, prefix: &str, kind: &Kind, terms: &TermMap, concise: bool) {
    let now = prefix.is_empty();
    let member = |plain: &'static str, previous: &'static str| if now { plain } else { previous };
    match kind {
        Kind::Property(value) => json::write_value(object.key(member("value", "previousValue")), value),
        Kind::GeoProperty(shape) => geometry::write(object.key(member("value", "previousValue")), shape),
        Kind::Relationship { object: target, object_types } => {
            json::write_value(object.key(member("object", "previousObject")), target);
            if now && !object_types.is_empty() {
                super::write_types(object.key("objectType"), object_types, terms);
            }
        }
        Kind::LanguageProperty(map) => {
            write_language_map(object.key(member("languageMap", "previousLanguageMap")), map);
        }
        Kind::VocabProperty(value) => write_vocab(object.key(member("vocab", "previousVocab")), value, terms),
        Kind::JsonProperty(value) => json::write_value(object.key(member("json", "previousJson")), value),
        Kind::ListProperty(list) => {
            json::write_list(object.key(member("valueList", "previousValueList")), list, json::write_value);
        }
        Kind::ListRelationship { objects, object_types } => {
            let out = object.key(member("objectList", "previousObjectList"));
            json::write_list(out, objects, |out, target| {
                if concise {
                    json::write_value(out, target);
                } else {
                    let mut item = ObjectWriter::open(out);
                    json::write_value(item.key("object"), target);
                    item.close();
                }
            });
            if now && !object_types.is_empty() {
                super::write_types(object.key("objectType"), object_types, terms);
            }
        }
        Kind::Null | Kind::Unchanged => object.text(member("value", "previousValue"), NGSI_LD_NULL),
    }
}

/// What an instance says, without anything about it (clause 4.5.4).
pub(crate) fn write_simplified(out: &mut Vec<u8>, instance: &Instance, terms: &TermMap, lang: Option<&str>) {
    if let Some((_, value)) = chosen_language(instance, lang) {
        return json::write_value(out, value);
    }
    match &instance.kind {
        Kind::Property(value) => json::write_value(out, value),
        Kind::GeoProperty(shape) => geometry::write(out, shape),
        Kind::Relationship { object, .. } => json::write_value(out, object),
        Kind::ListProperty(list) | Kind::ListRelationship { objects: list, .. } => {
            json::write_list(out, list, json::write_value);
        }
        Kind::LanguageProperty(map) => {
            let mut object = ObjectWriter::open(out);
            write_language_map(object.key("languageMap"), map);
            object.close();
        }
        Kind::VocabProperty(value) => {
            let mut object = ObjectWriter::open(out);
            write_vocab(object.key("vocab"), value, terms);
            object.close();
        }
        Kind::JsonProperty(value) => {
            let mut object = ObjectWriter::open(out);
            json::write_value(object.key("json"), value);
            object.close();
        }
        Kind::Null | Kind::Unchanged => json::write_text(out, NGSI_LD_NULL),
    }
}

fn write_language_map(out: &mut Vec<u8>, map: &[(Box<str>, Value)]) {
    let mut object = ObjectWriter::open(out);
    for (tag, value) in map {
        json::write_value(object.text_key(tag), value);
    }
    object.close();
}

fn write_vocab(out: &mut Vec<u8>, value: &Value, terms: &TermMap) {
    match value {
        Value::Text(iri) => json::write_text(out, &terms.compact_iri(iri)),
        Value::List(items) => json::write_list(out, items, |out, item| write_vocab(out, item, terms)),
        other => json::write_value(out, other),
    }
}

/// The text in the wanted language: the first match in the order of preference, `*` or nothing
/// fitting gives `@none`, else the first text there is (clause 4.15).
fn chosen_language<'i>(instance: &'i Instance, lang: Option<&str>) -> Option<(&'i str, &'i Value)> {
    let (Kind::LanguageProperty(map), Some(wanted)) = (&instance.kind, lang) else { return None };
    let mut ranges: Vec<(&str, f32)> = wanted
        .split(',')
        .filter_map(|range| {
            let (tag, quality) = match range.split_once(';') {
                Some((tag, quality)) => {
                    (tag, quality.trim().strip_prefix("q=").and_then(|q| q.parse().ok()).unwrap_or(1.0))
                }
                None => (range, 1.0),
            };
            (!tag.trim().is_empty() && quality > 0.0).then_some((tag.trim(), quality))
        })
        .collect();
    ranges.sort_by(|a, b| b.1.total_cmp(&a.1));
    let exact = |tag: &str| map.iter().find(|(own, _)| own.eq_ignore_ascii_case(tag));
    let longer = |tag: &str| {
        map.iter().find(|(own, _)| {
            own.len() > tag.len()
                && own.as_bytes()[tag.len()] == b'-'
                && own.as_bytes()[..tag.len()].eq_ignore_ascii_case(tag.as_bytes())
        })
    };
    // RFC 4647 section 3.4: nl-BE falls back to nl.
    let shorter = |tag: &str| {
        let mut rest = tag;
        std::iter::from_fn(|| {
            rest = rest.rsplit_once('-')?.0;
            Some(exact(rest))
        })
        .flatten()
        .next()
    };
    let found = ranges.iter().find_map(|(tag, _)| match *tag {
        "*" => exact("@none").or_else(|| map.first()),
        tag => exact(tag).or_else(|| longer(tag)).or_else(|| shorter(tag)),
    });
    found.or_else(|| exact("@none")).or_else(|| map.first()).map(|(tag, value)| (&**tag, value))
}
