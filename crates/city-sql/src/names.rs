//! What types and attributes are called in SQL: short, by the terms of the request, each once.

use std::collections::HashMap;
use std::sync::Arc;

use city_context::{Context, Error, TenantSpace};
use city_model::{Name, Permit};
use city_ngsi_ld::TermMap;

#[derive(Debug)]
pub struct Names {
    types: Both,
    attributes: Both,
}

#[derive(Debug, Default)]
struct Both {
    shown: HashMap<Name, Arc<str>>,
    full: HashMap<Arc<str>, Name>,
}

impl Names {
    /// Of all that the tenant has now or had, as far as the permit lets it be seen.
    pub fn of(context: &Context, space: &TenantSpace, permit: &Permit, terms: &TermMap) -> Result<Self, Error> {
        let visible = context.visible(permit, None)?;
        let ever: Vec<Name> = space.index.read().types_ever().cloned().collect();
        let types = ever.into_iter().filter(|name| context.may_show_type(permit, name, visible.as_ref())).collect();
        let attributes: Vec<Name> = space
            .terms
            .after(0)
            .into_iter()
            .map(|(_, name)| Name::from_stored(name))
            .filter(|name| permit.read().may_show(name.as_str()))
            .collect();
        Ok(Self { types: Both::of(types, terms), attributes: Both::of(attributes, terms) })
    }

    pub fn types(&self) -> impl Iterator<Item = (&Arc<str>, &Name)> {
        self.types.full.iter()
    }

    pub fn find_type(&self, shown: &str) -> Option<&Name> {
        self.types.full.get(shown)
    }

    pub fn find_attribute(&self, shown: &str) -> Option<&Name> {
        self.attributes.full.get(shown)
    }

    pub fn show_type<'a>(&'a self, name: &'a Name) -> &'a str {
        self.types.shown.get(name).map_or(name.as_str(), |shown| shown)
    }

    pub fn show_attribute<'a>(&'a self, name: &'a Name) -> &'a str {
        self.attributes.shown.get(name).map_or(name.as_str(), |shown| shown)
    }
}

impl Both {
    fn of(mut names: Vec<Name>, terms: &TermMap) -> Self {
        // In one order, so that of two alike always the same one stays short.
        names.sort();
        let mut both = Self::default();
        for name in names {
            let compact = terms.compact(&name).into_owned();
            let last = compact.rsplit(['/', '#', ':']).find(|part| !part.is_empty()).unwrap_or(&compact);
            let candidates = [last, &compact, name.as_str()];
            let Some(shown) = candidates.into_iter().find(|shown| !both.full.contains_key(*shown)) else { continue };
            let shown: Arc<str> = shown.into();
            both.shown.insert(name.clone(), Arc::clone(&shown));
            both.full.insert(shown, name);
        }
        both
    }
}
