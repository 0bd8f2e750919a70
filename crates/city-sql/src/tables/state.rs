//! What is now: one row an entity, and one row an instance of an attribute.

use std::sync::Arc;

use city_model::{Entity, Kind, Scope};
use city_ngsi_ld::render_value;

use super::{City, flag, number, plain, point, text};
use crate::Error;
use crate::scan::{Cell, Holds, Rows, Source};
use crate::wanted::Wanted;

/// Entities that are read at a time.
const PAGE: usize = 1_000;

/// Sees every entity that is wanted, in the order in which they came to be.
pub fn for_each_entity(
    city: &City,
    wanted: &Wanted,
    rows: &mut Rows,
    mut see: impl FnMut(&Entity, &mut Rows) -> Result<(), Error>,
) -> Result<(), Error> {
    let Some(query) = city.query(wanted) else { return Ok(()) };
    let mut after = 0;
    loop {
        let (entities, next): (Vec<Arc<Entity>>, _) = city.context.query_after(&city.permit, &query, after, PAGE)?;
        for entity in &entities {
            see(entity, rows)?;
        }
        match next {
            Some(next) if !rows.has_enough() => after = next,
            _ => return Ok(()),
        }
    }
}

#[derive(Debug)]
pub struct Entities {
    pub city: City,
}

impl Source for Entities {
    fn columns(&self) -> Vec<(String, Holds)> {
        [
            ("id", Holds::Text),
            ("type", Holds::Text),
            ("types", Holds::Text),
            ("scope", Holds::Text),
            ("longitude", Holds::Number),
            ("latitude", Holds::Number),
            ("created_at", Holds::Time),
            ("modified_at", Holds::Time),
        ]
        .map(|(name, holds)| (name.to_owned(), holds))
        .to_vec()
    }

    fn produce(&self, wanted: &Wanted, rows: &mut Rows) -> Result<(), Error> {
        for_each_entity(&self.city, wanted, rows, |entity, rows| {
            let types: Vec<&str> = entity.types.iter().map(|name| self.city.names.show_type(name)).collect();
            let all = types.join(",");
            let scopes = entity.scopes.iter().map(Scope::as_str).collect::<Vec<_>>().join(",");
            let place = location(entity);
            rows.push(|column| match column {
                0 => Cell::Text(entity.id.as_str()),
                1 => types.first().map_or(Cell::Null, |name| Cell::Text(name)),
                2 => Cell::Text(&all),
                3 if entity.scopes.is_empty() => Cell::Null,
                3 => Cell::Text(&scopes),
                4 => place.map_or(Cell::Null, |(longitude, _)| Cell::Number(longitude)),
                5 => place.map_or(Cell::Null, |(_, latitude)| Cell::Number(latitude)),
                6 => Cell::Time(entity.created_at),
                _ => Cell::Time(entity.modified_at),
            })
        })
    }
}

/// Where the attribute `location` says that it is.
pub fn location(entity: &Entity) -> Option<(f64, f64)> {
    let attribute = entity.find("https://uri.etsi.org/ngsi-ld/location")?;
    match &attribute.default_instance()?.kind {
        Kind::GeoProperty(geometry) => point(geometry),
        _ => None,
    }
}

#[derive(Debug)]
pub struct Attributes {
    pub city: City,
}

impl Source for Attributes {
    fn columns(&self) -> Vec<(String, Holds)> {
        [
            ("entity_id", Holds::Text),
            ("type", Holds::Text),
            ("attribute", Holds::Text),
            ("dataset_id", Holds::Text),
            ("kind", Holds::Text),
            ("number", Holds::Number),
            ("flag", Holds::Flag),
            ("text", Holds::Text),
            ("value", Holds::Text),
            ("unit_code", Holds::Text),
            ("observed_at", Holds::Time),
            ("created_at", Holds::Time),
            ("modified_at", Holds::Time),
        ]
        .map(|(name, holds)| (name.to_owned(), holds))
        .to_vec()
    }

    fn produce(&self, wanted: &Wanted, rows: &mut Rows) -> Result<(), Error> {
        let names = &self.city.names;
        for_each_entity(&self.city, wanted, rows, |entity, rows| {
            let entity_type = entity.types.first().map(|name| names.show_type(name));
            for attribute in &entity.attributes {
                let shown = names.show_attribute(&attribute.name);
                if wanted.attributes.as_ref().is_some_and(|wanted| !wanted.iter().any(|one| one == shown)) {
                    continue;
                }
                for instance in &attribute.instances {
                    let cell = plain(instance);
                    let value = rows.wants(8).then(|| render_value(instance));
                    rows.push(|column| match column {
                        0 => Cell::Text(entity.id.as_str()),
                        1 => entity_type.map_or(Cell::Null, Cell::Text),
                        2 => Cell::Text(shown),
                        3 => instance.dataset.as_ref().map_or(Cell::Null, |dataset| Cell::Text(dataset.as_str())),
                        4 => Cell::Text(instance.kind.type_name()),
                        5 => number(cell),
                        6 => flag(cell),
                        7 => text(cell),
                        8 => value.as_deref().map_or(Cell::Null, Cell::Text),
                        9 => instance.unit_code.as_deref().map_or(Cell::Null, Cell::Text),
                        10 => instance.observed_at.map_or(Cell::Null, Cell::Time),
                        11 => Cell::Time(instance.created_at),
                        _ => Cell::Time(instance.modified_at),
                    })?;
                }
            }
            Ok(())
        })
    }
}
