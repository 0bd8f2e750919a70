//! Tenants: key spaces that share nothing but the journal's file and the machine.

use std::collections::HashMap;
use std::sync::Arc;

use city_model::{Name, TenantName};
use city_store::{PersonKeys, Terms};
use parking_lot::RwLock;

use crate::commandable::Commandable;
use crate::index::Index;

/// Most tenants in one city.
pub const TENANTS_MAX: usize = 1_000;

/// What readers of a tenant share with the commit thread.
#[derive(Debug)]
pub struct TenantSpace {
    pub number: u32,
    pub name: TenantName,
    pub terms: Terms,
    pub index: RwLock<Index>,
    /// Definitions by kind and id, as bodies.
    pub definitions: RwLock<Definitions>,
    pub commandable: RwLock<Arc<Commandable>>,
}

pub type Definitions = HashMap<(city_model::DefinitionKind, Box<str>), Arc<[u8]>>;

#[derive(Debug, Default)]
pub struct Tenants {
    inner: RwLock<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    by_name: HashMap<TenantName, Arc<TenantSpace>>,
    by_number: Vec<Arc<TenantSpace>>,
}

impl TenantSpace {
    #[must_use]
    pub fn new(number: u32, name: TenantName, keys: Arc<PersonKeys>) -> Self {
        Self {
            number,
            name,
            terms: Terms::with_keys(keys),
            index: RwLock::new(Index::default()),
            definitions: RwLock::new(HashMap::new()),
            commandable: RwLock::default(),
        }
    }

    /// The name as the dictionary shares it, so that every entity holds the same text once.
    #[must_use]
    pub fn knows(&self, name: &Name) -> bool {
        self.terms.find(name.as_str()).is_some()
    }
}

impl Tenants {
    #[must_use]
    pub fn find(&self, name: &TenantName) -> Option<Arc<TenantSpace>> {
        self.inner.read().by_name.get(name).cloned()
    }

    #[must_use]
    pub fn by_number(&self, number: u32) -> Option<Arc<TenantSpace>> {
        self.inner.read().by_number.get(number.checked_sub(1)? as usize).cloned()
    }

    #[must_use]
    pub fn list(&self) -> Vec<Arc<TenantSpace>> {
        self.inner.read().by_number.clone()
    }

    #[must_use]
    pub fn len(&self) -> usize {
        self.inner.read().by_number.len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Takes in a tenant whose number is the next one.
    pub fn add(&self, space: Arc<TenantSpace>) -> Result<(), city_store::Error> {
        let mut inner = self.inner.write();
        if inner.by_number.len() + 1 != space.number as usize {
            return Err(city_store::Error::Undecodable(format!("tenant number {} is out of order", space.number)));
        }
        inner.by_number.push(Arc::clone(&space));
        inner.by_name.insert(space.name.clone(), space);
        Ok(())
    }
}
