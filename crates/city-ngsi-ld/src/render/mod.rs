//! Entities as bytes: normalised, concise, simplified and GeoJSON (clauses 4.5.2 to 4.5.5, 4.5.16, 4.5.17).

mod attribute;
mod geojson;

use std::sync::LazyLock;

use city_model::{DatasetId, Entity, Instance, Name, Time};

use crate::context::TermMap;
use crate::json::{self, ObjectWriter};
pub(crate) use attribute::{AttributeStyle, write_attribute, write_instance, write_simplified};

/// Name under which a datatype (`valueType`, clause 4.5.2) is kept beside its value.
pub(crate) const VALUE_TYPE: &str = "https://uri.etsi.org/ngsi-ld/hasValueType";
pub(crate) const SCOPE: &str = "https://uri.etsi.org/ngsi-ld/scope";
pub(crate) const LOCATION: &str = "https://uri.etsi.org/ngsi-ld/location";

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Format {
    #[default]
    Normalized,
    Concise,
    Simplified,
}

/// What of an entity is shown, and how.
#[derive(Debug, Clone)]
pub struct RenderOptions {
    pub format: Format,
    /// Show createdAt and modifiedAt (clause 4.8).
    pub sys_attrs: bool,
    /// Languages in order of preference; LanguageProperties become Properties (clause 4.15).
    pub lang: Option<String>,
    /// Only these members; `@id`, `@type` and the scope are members too (clause 4.21).
    pub pick: Option<Vec<Name>>,
    /// All but these members (clause 4.21).
    pub omit: Vec<Name>,
    /// Only these attributes; empty means all. Id and type always show.
    pub attrs: Vec<Name>,
    /// Only instances of these datasets, `None` being the default one; empty means all.
    pub dataset_ids: Vec<Option<DatasetId>>,
    /// As a GeoJSON Feature or FeatureCollection.
    pub geojson: bool,
    /// Which GeoProperty becomes the geometry; `location` if none is named.
    pub geometry_property: Option<Name>,
    /// Write the member `@context`.
    pub embed_context: bool,
}

impl Default for RenderOptions {
    fn default() -> Self {
        Self {
            format: Format::Normalized,
            sys_attrs: false,
            lang: None,
            pick: None,
            omit: Vec::new(),
            attrs: Vec::new(),
            dataset_ids: Vec::new(),
            geojson: false,
            geometry_property: None,
            embed_context: false,
        }
    }
}

impl RenderOptions {
    /// Whether a member other than an attribute shows.
    fn shows_member(&self, name: &str) -> bool {
        self.pick.as_ref().is_none_or(|pick| contains(pick, name)) && !contains(&self.omit, name)
    }

    fn shows_attribute(&self, name: &str) -> bool {
        (self.attrs.is_empty() || contains(&self.attrs, name)) && self.shows_member(name)
    }

    pub(crate) fn shows_dataset(&self, dataset: Option<&DatasetId>) -> bool {
        self.dataset_ids.is_empty() || self.dataset_ids.iter().any(|shown| shown.as_ref() == dataset)
    }

    fn style(&self) -> AttributeStyle<'_> {
        AttributeStyle {
            format: self.format,
            sys_attrs: self.sys_attrs,
            lang: self.lang.as_deref(),
            previous: None,
            bare: true,
        }
    }
}

fn contains(names: &[Name], name: &str) -> bool {
    names.iter().any(|own| own.as_str() == name)
}

/// What a notification adds to an entity (clauses 5.3.1, 5.8.6).
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Extras<'e> {
    pub previous: Option<&'e Entity>,
    pub show_changes: bool,
    pub deleted_at: Option<Time>,
}

/// One entity, or one GeoJSON Feature.
pub fn render_entity(entity: &Entity, terms: &TermMap, options: &RenderOptions, out: &mut Vec<u8>) {
    if options.geojson {
        geojson::write_feature(entity, terms, options, options.embed_context, out);
    } else {
        write_entity(entity, terms, options, Extras::default(), options.embed_context, out);
    }
}

/// An array of entities, or one GeoJSON FeatureCollection.
pub fn render_entities<'e>(
    entities: impl IntoIterator<Item = &'e Entity>,
    terms: &TermMap,
    options: &RenderOptions,
    out: &mut Vec<u8>,
) {
    if options.geojson {
        geojson::write_collection(entities, terms, options, out);
    } else {
        json::write_list(out, entities, |out, entity| {
            write_entity(entity, terms, options, Extras::default(), options.embed_context, out);
        });
    }
}

pub(crate) fn write_entity(
    entity: &Entity,
    terms: &TermMap,
    options: &RenderOptions,
    extras: Extras,
    embed_context: bool,
    out: &mut Vec<u8>,
) {
    let mut object = ObjectWriter::open(out);
    if options.shows_member("@id") {
        object.text("id", entity.id.as_str());
    }
    write_members(&mut object, entity, terms, options, extras);
    if embed_context {
        object.raw("@context", terms.rendered());
    }
    object.close();
}

/// Everything of an entity but its id and @context.
fn write_members(object: &mut ObjectWriter, entity: &Entity, terms: &TermMap, options: &RenderOptions, extras: Extras) {
    if options.shows_member("@type") {
        write_types(object.key("type"), &entity.types, terms);
    }
    if !entity.scopes.is_empty() && options.shows_member(SCOPE) {
        let out = object.key("scope");
        match entity.scopes.as_slice() {
            [only] => json::write_text(out, only.as_str()),
            many => json::write_list(out, many, |out, scope| json::write_text(out, scope.as_str())),
        }
    }
    if options.sys_attrs {
        for (name, time) in [("createdAt", entity.created_at), ("modifiedAt", entity.modified_at)] {
            if time != Time::UNSET {
                object.time(name, time);
            }
        }
    }
    if let Some(time) = extras.deleted_at {
        object.time("deletedAt", time);
    }
    for attribute in &entity.attributes {
        if !options.shows_attribute(attribute.name.as_str()) {
            continue;
        }
        let previous = extras.previous.filter(|_| extras.show_changes).and_then(|e| e.find(attribute.name.as_str()));
        let style = AttributeStyle { previous, ..options.style() };
        let shown = |dataset: Option<&DatasetId>| options.shows_dataset(dataset);
        write_attribute(object, attribute, terms, &style, &shown);
    }
}

pub(crate) fn write_types(out: &mut Vec<u8>, types: &[Name], terms: &TermMap) {
    match types {
        [only] => json::write_text(out, &terms.compact(only)),
        many => json::write_list(out, many, |out, name| json::write_text(out, &terms.compact(name))),
    }
}

/// The value of an instance as JSON, as in the simplified representation (clause 4.5.4).
#[must_use]
pub fn render_value(instance: &Instance) -> String {
    static CORE: LazyLock<TermMap> = LazyLock::new(TermMap::core);
    let mut out = Vec::new();
    write_simplified(&mut out, instance, &CORE, None);
    String::from_utf8_lossy(&out).into_owned()
}
