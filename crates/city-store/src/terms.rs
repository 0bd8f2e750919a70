//! The dictionary of a tenant: each name, type and dataset id has one small number.
//!
//! Numbers are given by the commit thread and travel with the record that first uses them, so
//! the dictionary on disk is never behind what refers to it. A name whose record did not become
//! durable keeps its number and travels with the next record.
//!
//! With it go the keys of persons: together they are all that stored bytes need to be read.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::RwLock;

use crate::Error;
use crate::codec::NameNumbers;
use crate::persons::{KeyNo, PersonKeys};

/// Dense from 1; 0 means "none".
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TermNo(pub u32);

/// Most names in one tenant. A flood of invented attribute names ends here, not in memory.
pub const TERMS_MAX: usize = 1_000_000;

#[derive(Debug, Default)]
pub struct Terms {
    inner: RwLock<Inner>,
    keys: Arc<PersonKeys>,
}

#[derive(Debug, Default)]
struct Inner {
    by_number: Vec<Arc<str>>,
    by_name: HashMap<Arc<str>, TermNo>,
}

impl Terms {
    #[must_use]
    pub fn with_keys(keys: Arc<PersonKeys>) -> Self {
        Self { inner: RwLock::default(), keys }
    }

    #[must_use]
    pub fn keys(&self) -> &PersonKeys {
        &self.keys
    }

    /// Takes in a name that a record or the view brought.
    pub fn learn(&self, number: TermNo, name: Arc<str>) -> Result<(), Error> {
        let mut inner = self.inner.write();
        let index = number.0 as usize;
        if let Some(known) = inner.by_number.get(index.wrapping_sub(1)) {
            if *known == name {
                return Ok(());
            }
            return Err(Error::Undecodable(format!("name {index} is both \"{known}\" and \"{name}\"")));
        }
        if inner.by_number.len() + 1 != index {
            return Err(Error::Undecodable(format!("name {index} comes before its predecessors")));
        }
        inner.by_number.push(Arc::clone(&name));
        inner.by_name.insert(name, number);
        Ok(())
    }

    /// The number of a name, a new one if it has none yet. Only the commit thread calls it.
    pub fn number(&self, name: &Arc<str>) -> TermNo {
        if let Some(number) = self.find(name) {
            return number;
        }
        let mut inner = self.inner.write();
        inner.by_number.push(Arc::clone(name));
        let number = TermNo(u32::try_from(inner.by_number.len()).unwrap_or(u32::MAX));
        inner.by_name.insert(Arc::clone(name), number);
        number
    }

    /// The names with numbers above `carried`, for the next record to carry.
    #[must_use]
    pub fn after(&self, carried: usize) -> Vec<(TermNo, Arc<str>)> {
        let inner = self.inner.read();
        let names = inner.by_number.iter().enumerate().skip(carried);
        names.map(|(index, name)| (TermNo(u32::try_from(index + 1).unwrap_or(u32::MAX)), Arc::clone(name))).collect()
    }

    #[must_use]
    pub fn find(&self, name: &str) -> Option<TermNo> {
        self.inner.read().by_name.get(name).copied()
    }

    #[must_use]
    pub fn len(&self) -> usize {
        self.inner.read().by_number.len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl NameNumbers for Terms {
    fn name(&self, number: TermNo) -> Result<Arc<str>, Error> {
        let inner = self.inner.read();
        (number.0 as usize)
            .checked_sub(1)
            .and_then(|index| inner.by_number.get(index))
            .cloned()
            .ok_or_else(|| Error::Undecodable(format!("name {} is not in the dictionary", number.0)))
    }

    fn unseal(&self, key: KeyNo, header: &[u8], sealed: &[u8]) -> Result<Option<Vec<u8>>, Error> {
        self.keys.unseal(key, header, sealed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_keeps_its_number_and_gaps_are_refused() {
        let terms = Terms::default();
        let (a, b): (Arc<str>, Arc<str>) = ("a".into(), "b".into());
        assert_eq!(terms.number(&a), TermNo(1));
        assert_eq!(terms.number(&b), TermNo(2));
        assert_eq!(terms.number(&a), TermNo(1));
        assert_eq!(terms.after(1), vec![(TermNo(2), b)]);
        assert!(terms.learn(TermNo(1), "a".into()).is_ok());
        assert!(terms.learn(TermNo(1), "x".into()).is_err());
        assert!(terms.learn(TermNo(4), "d".into()).is_err());
    }
}
