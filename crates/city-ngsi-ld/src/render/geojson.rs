//! Entities as GeoJSON Features (clauses 4.5.16, 4.5.17).

use city_model::{Entity, Geometry, Kind};

use crate::context::TermMap;
use crate::entity::geometry;
use crate::json::{self, ObjectWriter};
use crate::render::{Extras, LOCATION, RenderOptions, write_members};

pub(super) fn write_feature(
    entity: &Entity,
    terms: &TermMap,
    options: &RenderOptions,
    embed_context: bool,
    out: &mut Vec<u8>,
) {
    let mut object = ObjectWriter::open(out);
    object.text("id", entity.id.as_str());
    object.text("type", "Feature");
    match chosen_geometry(entity, options) {
        Some(shape) => geometry::write(object.key("geometry"), shape),
        None => object.raw("geometry", "null"),
    }
    let mut properties = ObjectWriter::open(object.key("properties"));
    write_members(&mut properties, entity, terms, options, Extras::default());
    properties.close();
    if embed_context {
        object.raw("@context", terms.rendered());
    }
    object.close();
}

pub(super) fn write_collection<'e>(
    entities: impl IntoIterator<Item = &'e Entity>,
    terms: &TermMap,
    options: &RenderOptions,
    out: &mut Vec<u8>,
) {
    let mut object = ObjectWriter::open(out);
    object.text("type", "FeatureCollection");
    json::write_list(object.key("features"), entities, |out, entity| {
        write_feature(entity, terms, options, false, out);
    });
    if options.embed_context {
        object.raw("@context", terms.rendered());
    }
    object.close();
}

/// Clause 4.5.16.1: the instance of the asked dataset, or the default one.
fn chosen_geometry<'e>(entity: &'e Entity, options: &RenderOptions) -> Option<&'e Geometry> {
    let name = options.geometry_property.as_ref().map_or(LOCATION, |name| name.as_str());
    let attribute = entity.find(name)?;
    let instance = match options.dataset_ids.as_slice() {
        [] => attribute.find(None),
        wanted => wanted.iter().find_map(|dataset| attribute.find(dataset.as_ref())),
    }?;
    match &instance.kind {
        Kind::GeoProperty(shape) => Some(shape),
        _ => None,
    }
}
