//! The tables: `entities`, `attributes` and `history`, and one for each type.
//!
//! Every one of them reads through the permit: what it does not show is in no table, no count and no
//! name of a column; only that a type exists is known to all of a tenant.

mod kind;
mod past;
mod state;

use std::sync::Arc;

use city_context::{Context, TenantSpace};
use city_history::History;
use city_model::query::EntitySelector;
use city_model::{EntityId, Geometry, Instance, Kind, Permit, Query, TypeExpr, Value};
use datafusion::catalog::{CatalogProvider, MemoryCatalogProvider, SchemaProvider, TableProvider};
use datafusion::datasource::TableType;
use datafusion::error::DataFusionError;
use datafusion::prelude::SessionContext;

use crate::Error;
use crate::names::Names;
use crate::scan::{Cell, Table};
use crate::wanted::Wanted;

pub const CATALOG: &str = "renkei";
pub const SCHEMA: &str = "city";

const ENTITIES: &str = "entities";
const ATTRIBUTES: &str = "attributes";
const HISTORY: &str = "history";

/// What the tables of one query read from.
#[derive(Clone)]
pub struct City {
    pub context: Arc<Context>,
    pub history: Arc<History>,
    pub space: Arc<TenantSpace>,
    pub permit: Permit,
    pub names: Arc<Names>,
}

impl std::fmt::Debug for City {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("City")
    }
}

pub fn register(session: &SessionContext, city: City) -> Result<(), Error> {
    let catalog = MemoryCatalogProvider::new();
    catalog.register_schema(SCHEMA, Arc::new(Tables { city })).map_err(Error::of_run)?;
    session.register_catalog(CATALOG, Arc::new(catalog));
    Ok(())
}

#[derive(Debug)]
struct Tables {
    city: City,
}

#[async_trait::async_trait]
impl SchemaProvider for Tables {
    fn table_names(&self) -> Vec<String> {
        // A type that is called like one of ours is in `entities`, but has no table of its own.
        let own = |name: &&str| ![ENTITIES, ATTRIBUTES, HISTORY].contains(name);
        let types = self.city.names.types().map(|(shown, _)| &**shown).filter(own);
        let mut names: Vec<String> = types.map(str::to_owned).collect();
        names.sort();
        names.splice(0..0, [ENTITIES, ATTRIBUTES, HISTORY].map(str::to_owned));
        names
    }

    async fn table(&self, name: &str) -> Result<Option<Arc<dyn TableProvider>>, DataFusionError> {
        let city = self.city.clone();
        let table = match name {
            ENTITIES => Table::new(state::Entities { city }),
            ATTRIBUTES => Table::new(state::Attributes { city }),
            HISTORY => Table::new(past::Past { city }),
            _ => {
                let Some(full) = self.city.names.find_type(name).cloned() else { return Ok(None) };
                // The thread is the query's own, so it may wait for the store.
                let made = kind::OfType::of(city, full);
                Table::new(made.map_err(|error| DataFusionError::External(Box::new(error)))?)
            }
        };
        Ok(Some(Arc::new(table)))
    }

    // Without it, a list of the tables would make each of them.
    async fn table_type(&self, name: &str) -> Result<Option<TableType>, DataFusionError> {
        Ok(self.table_exist(name).then_some(TableType::Base))
    }

    fn table_exist(&self, name: &str) -> bool {
        [ENTITIES, ATTRIBUTES, HISTORY].contains(&name) || self.city.names.find_type(name).is_some()
    }
}

impl City {
    /// The entities that are wanted, as a query; `None` where there can be none.
    fn query(&self, wanted: &Wanted) -> Option<Query> {
        let mut query = Query::default();
        let mut selector = EntitySelector::default();
        if let Some(ids) = &wanted.ids {
            selector.ids = ids.iter().filter_map(|id| EntityId::parse(id).ok()).collect();
            if selector.ids.is_empty() {
                return None;
            }
        }
        if let Some(types) = &wanted.types {
            let types: Vec<TypeExpr> =
                types.iter().filter_map(|shown| self.names.find_type(shown).cloned().map(TypeExpr::Type)).collect();
            if types.is_empty() {
                return None;
            }
            selector.types = Some(TypeExpr::Or(types));
        }
        if !selector.ids.is_empty() || selector.types.is_some() {
            query.selectors.push(selector);
        }
        if let Some(attributes) = &wanted.attributes {
            query.attributes =
                attributes.iter().filter_map(|shown| self.names.find_attribute(shown).cloned()).collect();
            if query.attributes.is_empty() {
                return None;
            }
        }
        Some(query)
    }
}

/// The value of an instance in the columns number, flag and text; what is none of them is null there.
fn plain(instance: &Instance) -> Cell<'_> {
    match &instance.kind {
        Kind::Property(value) | Kind::VocabProperty(value) | Kind::Relationship { object: value, .. } => match value {
            Value::Text(text) => Cell::Text(text),
            Value::Bool(flag) => Cell::Flag(*flag),
            value => value.as_f64().map_or(Cell::Null, Cell::Number),
        },
        _ => Cell::Null,
    }
}

/// Only if it is of the kind that the column holds.
fn number(cell: Cell) -> Cell {
    if matches!(cell, Cell::Number(_)) { cell } else { Cell::Null }
}

fn flag(cell: Cell) -> Cell {
    if matches!(cell, Cell::Flag(_)) { cell } else { Cell::Null }
}

fn text(cell: Cell) -> Cell {
    if matches!(cell, Cell::Text(_)) { cell } else { Cell::Null }
}

/// A point that stands for a geometry: itself, or its centroid.
fn point(geometry: &Geometry) -> Option<(f64, f64)> {
    match geometry {
        Geometry::Point(position) => Some((position.lon, position.lat)),
        other => other.centroid().map(|position| (position.lon, position.lat)),
    }
}
