//! Entities and fragments of entities: JSON in, model out (clauses 4.5, 5.2.4 to 5.2.8).
//!
//! Normalised, concise and simplified attributes are told apart by what they look like, so all
//! are accepted alike. System attributes in the input are ignored (clause 4.8).

mod attribute;
pub(crate) mod geometry;
mod names;

use std::borrow::Cow;

use city_model::value::NGSI_LD_NULL;
use city_model::{Attribute, Entity, EntityId, Instance, Kind, Name, Scope};
use serde::de::{Deserialize, Deserializer, IgnoredAny, SeqAccess, Visitor};
use serde_json::value::RawValue;

use crate::context::{ContextSpec, NGSI_LD, TermMap};
use crate::error::Error;
use crate::json::{self, Members, Shape};
use attribute::Reader;
pub(crate) use names::check_name;

/// Which document is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// A whole entity: id and type are there, nothing is null.
    Create,
    /// Part of an entity: id and type may be missing, the NGSI-LD Null deletes (clause 4.5.0).
    Fragment,
    /// A temporal representation: each attribute is an array of instances (clause 4.5.6).
    Temporal,
}

/// Most attributes in one entity, and most sub-attributes in one attribute.
pub const ATTRIBUTES_MAX: usize = 4_096;
/// Most instances of one attribute in one entity; a temporal document may hold more.
pub const INSTANCES_MAX: usize = 1_024;
/// Most instances of one attribute in one temporal document.
pub const TEMPORAL_INSTANCES_MAX: usize = 100_000;
/// Deepest nesting of attributes of attributes.
pub const SUB_ATTRIBUTE_DEPTH_MAX: usize = 8;
/// Most types, and most scopes, of one entity.
pub const TYPES_MAX: usize = 64;
/// Elements in one batch request: each gets an answer of its own, also where it is refused.
pub const BATCH_ELEMENTS_MAX: usize = 20_000;

/// The member `@context` of a body that is an object; `None` where there is none.
pub fn split_context(body: &[u8]) -> Result<Option<ContextSpec>, Error> {
    let members = object(body)?;
    members.get("@context").map(ContextSpec::of).transpose()
}

/// An entity with its own id.
pub fn parse_entity(body: &[u8], terms: &TermMap, mode: Mode) -> Result<Entity, Error> {
    let members = object(body)?;
    read_entity(members, None, terms, mode)
}

/// One element of a batch.
pub fn parse_raw_entity(raw: &RawValue, terms: &TermMap, mode: Mode) -> Result<Entity, Error> {
    parse_entity(raw.get().as_bytes(), terms, mode)
}

/// Part of the entity `id`; if the fragment names an id, it must be that one.
pub fn parse_fragment(body: &[u8], id: &EntityId, terms: &TermMap, mode: Mode) -> Result<Entity, Error> {
    let members = object(body)?;
    read_entity(members, Some(id), terms, mode)
}

/// What an attribute endpoint receives: one instance, or an array of them (clauses 5.6.4, 5.6.19).
///
/// In `Mode::Fragment` what names no value gets `Kind::Unchanged`.
pub fn parse_attribute_instances(
    body: &[u8],
    name: &Name,
    terms: &TermMap,
    mode: Mode,
) -> Result<Vec<Instance>, Error> {
    let text = utf8(body)?;
    let raw: &RawValue = serde_json::from_str(text).map_err(|error| Error::json(&error))?;
    let reader = Reader { terms, mode, attribute_body: true };
    let short = terms.compact(name).into_owned();
    reader.instances(raw, 0).map_err(|error| error.within(&short))
}

/// The elements of a batch, each still unparsed so that one bad entity spoils no other.
pub fn parse_batch(body: &[u8]) -> Result<Vec<&RawValue>, Error> {
    let text = utf8(body)?;
    let Elements { elements, more } = serde_json::from_str(text).map_err(|error| {
        if error.is_data() {
            Error::invalid("The body of a batch operation must be a JSON array.")
        } else {
            Error::json(&error)
        }
    })?;
    if elements.is_empty() {
        return Err(Error::bad("", "The array of a batch operation must not be empty."));
    }
    // Clause 5.5.4.
    if let Some(at) = elements.iter().position(|element| json::shape(element) == Shape::Null) {
        return Err(Error::bad(format!("[{at}]"), "null is not an entity; leave it out"));
    }
    if more {
        return Err(Error::bad("", format!("A batch holds at most {BATCH_ELEMENTS_MAX} elements; send it in parts.")));
    }
    Ok(elements)
}

/// The first elements of an array, and whether there are more than a batch may hold.
struct Elements<'a> {
    elements: Vec<&'a RawValue>,
    more: bool,
}

impl<'de> Deserialize<'de> for Elements<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(ElementsVisitor)
    }
}

struct ElementsVisitor;

impl<'de> Visitor<'de> for ElementsVisitor {
    type Value = Elements<'de>;

    fn expecting(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        f.write_str("an array")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Elements<'de>, A::Error> {
        let mut elements = Vec::new();
        while elements.len() < BATCH_ELEMENTS_MAX {
            match sequence.next_element()? {
                Some(element) => elements.push(element),
                None => return Ok(Elements { elements, more: false }),
            }
        }
        let mut more = false;
        while sequence.next_element::<IgnoredAny>()?.is_some() {
            more = true;
        }
        Ok(Elements { elements, more })
    }
}

/// The id that an element of a batch claims, for its place in the answer.
#[must_use]
pub fn peek_id(raw: &RawValue) -> Option<String> {
    if let Some(text) = json::text(raw) {
        return Some(text.into_owned());
    }
    let members = Members::of(raw).ok()?;
    members.get("id").or_else(|| members.get("@id")).and_then(json::text).map(Cow::into_owned)
}

/// What stood in the place of an id, and why it is none.
pub type RefusedId = (String, Error);

/// The body of a batch delete: an array of entity ids (clause 5.6.10).
pub fn parse_ids(body: &[u8]) -> Result<Vec<Result<EntityId, RefusedId>>, Error> {
    Ok(parse_batch(body)?
        .into_iter()
        .map(|raw| {
            let text = json::text(raw).ok_or_else(|| {
                (json::described(raw), Error::bad("id", "must be a string with the URI of an entity"))
            })?;
            EntityId::parse(&text).map_err(|error| (text.clone().into_owned(), Error::bad("id", error.to_string())))
        })
        .collect())
}

pub(crate) fn utf8(body: &[u8]) -> Result<&str, Error> {
    std::str::from_utf8(body).map_err(|error| {
        Error::invalid(format!("The body is not UTF-8: byte {} is out of place. Send UTF-8.", error.valid_up_to()))
    })
}

pub(crate) fn object(body: &[u8]) -> Result<Members<'_>, Error> {
    let text = utf8(body)?;
    Members::parse(text).map_err(|error| match error.is_data() {
        true if text.trim_start().starts_with('{') => Error::bad("", json::plain(&error)),
        true => Error::invalid("The body must be a JSON object."),
        false => Error::json(&error),
    })
}

fn read_entity(members: Members, id: Option<&EntityId>, terms: &TermMap, mode: Mode) -> Result<Entity, Error> {
    if members.0.len() > ATTRIBUTES_MAX {
        return Err(Error::bad("", format!("an entity may have at most {ATTRIBUTES_MAX} attributes")));
    }
    let reader = Reader { terms, mode, attribute_body: false };
    let mut own_id = None;
    let mut types = Vec::new();
    let mut scopes = Vec::new();
    let mut attributes: Vec<Attribute> = Vec::with_capacity(members.0.len());
    for (key, raw) in &members.0 {
        match &**key {
            "id" | "@id" => {
                let text = json::expect_text(raw, "id")?;
                if &*text == NGSI_LD_NULL {
                    return Err(Error::bad("id", "the NGSI-LD Null names no entity (clause 5.5.4)"));
                }
                own_id = Some(EntityId::parse(&text).map_err(|error| Error::bad("id", error.to_string()))?);
            }
            "type" | "@type" => types = read_types(raw, terms)?,
            "scope" => scopes = read_scopes(raw, mode)?,
            // Kept by the system, never by the client (clause 4.8).
            "@context" | "createdAt" | "modifiedAt" | "deletedAt" => {}
            "expiresAt" => {
                return Err(Error::not_supported(
                    "expiresAt",
                    "transient entities (clause 4.22) are not supported; leave it out and delete the entity when it ends",
                ));
            }
            name => {
                check_name(name, "attribute name").map_err(|error| error.within(name))?;
                if names::is_non_reified(name) {
                    return Err(Error::bad(
                        name,
                        "is a term of the core context and cannot name an attribute (clause 4.5.1); choose another name",
                    ));
                }
                let instances = reader.instances(raw, 0).map_err(|error| error.within(name))?;
                let expanded = expand_attribute(name, terms)?;
                if is_core_geometry(&expanded) && instances.iter().any(|instance| !may_be_geometry(&instance.kind)) {
                    return Err(Error::bad(name, "must be a GeoProperty with a GeoJSON geometry (clause 4.7.1)"));
                }
                attributes.push(Attribute { name: expanded, instances });
            }
        }
    }
    if let Some(name) = json::duplicate(attributes.iter().map(|attribute| attribute.name.as_str())) {
        return Err(Error::bad(terms.compact_iri(name), "is given twice, under two names for the same attribute"));
    }
    let id = match (own_id, id) {
        (Some(own), Some(id)) if own != *id => {
            return Err(Error::bad("id", format!("is {own}, but the request is about {id}")));
        }
        (_, Some(id)) => id.clone(),
        (Some(own), None) => own,
        (None, None) => {
            return Err(Error::bad("id", "is missing; every entity needs a URI, such as urn:ngsi-ld:Building:7"));
        }
    };
    if types.is_empty() && id_and_type_needed(mode, &members) {
        return Err(Error::bad("type", "is missing; every entity needs at least one type"));
    }
    let mut entity = Entity::new(id, types);
    entity.scopes = scopes;
    entity.attributes = attributes;
    Ok(entity)
}

/// The full name of an attribute. A term may stand for a keyword of JSON-LD (`"kind": "@type"`); such a
/// one names no attribute, and shown again it would read as that keyword.
pub(crate) fn expand_attribute(name: &str, terms: &TermMap) -> Result<Name, Error> {
    let expanded = terms.expand(name);
    match expanded.as_str().starts_with('@') {
        true => {
            Err(Error::bad(name, format!("stands for {expanded}, a JSON-LD keyword, and cannot name an attribute")))
        }
        false => Ok(expanded),
    }
}

fn id_and_type_needed(mode: Mode, members: &Members) -> bool {
    match mode {
        Mode::Create => true,
        Mode::Fragment => false,
        // A fragment for an existing temporal entity carries no id of its own (clause 5.6.12).
        Mode::Temporal => members.get("id").or_else(|| members.get("@id")).is_some(),
    }
}

/// The geometries of an entity that the core context names.
fn is_core_geometry(name: &Name) -> bool {
    let term = name.as_str().strip_prefix(NGSI_LD).unwrap_or_default();
    matches!(term, "location" | "observationSpace" | "operationSpace")
}

/// A Property that holds a geometry is taken as it is, as many published data models write it; geographic
/// queries pass it by.
fn may_be_geometry(kind: &Kind) -> bool {
    match kind {
        Kind::GeoProperty(_) | Kind::Null | Kind::Unchanged => true,
        Kind::Property(value) => value.get("coordinates").is_some(),
        _ => false,
    }
}

fn read_types(raw: &RawValue, terms: &TermMap) -> Result<Vec<Name>, Error> {
    let texts = match json::shape(raw) {
        Shape::Array => json::expect_texts(raw, "type")?,
        _ => vec![json::expect_text(raw, "type")?],
    };
    if texts.len() > TYPES_MAX {
        return Err(Error::bad("type", format!("an entity may have at most {TYPES_MAX} types")));
    }
    let mut types: Vec<Name> = Vec::with_capacity(texts.len());
    for text in texts {
        check_name(&text, "entity type").map_err(|error| error.within("type"))?;
        let name = terms.expand(&text);
        if name.as_str().starts_with('@') {
            return Err(Error::bad("type", format!("{text:?} stands for a JSON-LD keyword and cannot be a type")));
        }
        if !types.contains(&name) {
            types.push(name);
        }
    }
    Ok(types)
}

/// A text, a list of texts, or in temporal documents a Property with one of these (clause 4.18).
fn read_scopes(raw: &RawValue, mode: Mode) -> Result<Vec<Scope>, Error> {
    let texts = match json::shape(raw) {
        Shape::Object => {
            let members = Members::of(raw).map_err(|error| error.within("scope"))?;
            let value =
                members.get("value").ok_or_else(|| Error::bad("scope", "must be a string or an array of strings"))?;
            return read_scopes(value, mode);
        }
        Shape::Array => {
            let items = json::expect_array(raw, "scope")?;
            if mode == Mode::Temporal
                && let Some(last) = items.last()
                && json::shape(last) == Shape::Object
            {
                return read_scopes(last, mode);
            }
            json::expect_texts(raw, "scope")?
        }
        _ => vec![json::expect_text(raw, "scope")?],
    };
    if texts.len() > TYPES_MAX {
        return Err(Error::bad("scope", format!("an entity may have at most {TYPES_MAX} scopes")));
    }
    let mut scopes: Vec<Scope> = Vec::with_capacity(texts.len());
    for text in texts {
        if &*text == NGSI_LD_NULL {
            return Err(match mode {
                Mode::Fragment => Error::not_supported(
                    "scope",
                    "scopes cannot be deleted by NGSI-LD Null; send the new scopes, or delete the attribute scope",
                ),
                _ => Error::bad("scope", "NGSI-LD Null deletes and is only allowed in updates (clause 4.5.0)"),
            });
        }
        let scope = Scope::parse(&text).map_err(|error| Error::bad("scope", error.to_string()))?;
        if !scopes.contains(&scope) {
            scopes.push(scope);
        }
    }
    Ok(scopes)
}
