//! When an index of values is worth making: queries that look at many entities and find few say so.
//!
//! The index is made beside everything else, on a thread of its own: what changes meanwhile is noted
//! first, then every entity is read, then both are put together under the lock.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use city_model::{Name, Query};
use city_store::View;
use city_store::record::LIVE_BRANCH;
use parking_lot::Mutex;

use crate::Error;
use crate::image::Parts;
use crate::images::Images;
use crate::tenant::TenantSpace;
use crate::values::{ValueIndex, helped};

/// A query that looks at fewer entities than this needs no index.
const LOOKED_AT_MIN: usize = 500;
/// Of the entities that a query looks at, at most one in so many is found where an index would help.
const FOUND_OF: usize = 4;
/// So many queries make an index.
const QUERIES_MIN: u32 = 3;
/// Most attributes that are counted; beyond it counting begins anew.
const COUNTED_MAX: usize = 1_000;

pub struct ValueDemand {
    view: Arc<View>,
    images: Arc<Images>,
    counts: Mutex<HashMap<(u32, Name), u32>>,
    making: Arc<AtomicBool>,
}

impl ValueDemand {
    pub fn new(view: Arc<View>, images: Arc<Images>) -> Self {
        Self { view, images, counts: Mutex::default(), making: Arc::default() }
    }

    /// Takes note of what a query cost, and makes an index where that is worth it.
    pub fn note(&self, space: &Arc<TenantSpace>, query: &Query, looked_at: usize, found: usize) {
        let Some(filter) = &query.filter else { return };
        if looked_at < LOOKED_AT_MIN || found > looked_at / FOUND_OF {
            return;
        }
        let mut names = Vec::new();
        helped(filter, &mut names);
        let mut counts = self.counts.lock();
        if counts.len() > COUNTED_MAX {
            counts.clear();
        }
        for name in names {
            let count = counts.entry((space.number, name.clone())).or_default();
            *count += 1;
            if *count >= QUERIES_MIN && !self.making.swap(true, Ordering::AcqRel) {
                *count = 0;
                self.make(space, name);
            }
        }
    }

    fn make(&self, space: &Arc<TenantSpace>, name: &Name) {
        let making = Making { space: Arc::clone(space), name: name.clone(), flag: Arc::clone(&self.making) };
        if !space.index.write().values_mut().begin(name) {
            return;
        }
        let (view, images) = (Arc::clone(&self.view), Arc::clone(&self.images));
        let work = move || match read_all(&view, &images, &making.space, &making.name) {
            Ok(made) => making.space.index.write().values_mut().finish(&making.name, made),
            Err(error) => {
                tracing::warn!(%error, attribute = %making.name.as_str(), "an index of values could not be made");
            }
        };
        if let Err(error) = std::thread::Builder::new().name("values".to_owned()).spawn(work) {
            tracing::warn!(%error, "the thread for an index of values cannot be started");
        }
    }
}

/// An index on its way. However that ends, the next one can be made.
struct Making {
    space: Arc<TenantSpace>,
    name: Name,
    flag: Arc<AtomicBool>,
}

impl Drop for Making {
    fn drop(&mut self) {
        // What was finished is no longer among those that are being made.
        self.space.index.write().values_mut().give_up(&self.name);
        self.flag.store(false, Ordering::Release);
    }
}

/// The values of all entities that have the attribute now.
fn read_all(view: &View, images: &Images, space: &TenantSpace, name: &Name) -> Result<ValueIndex, Error> {
    let numbers = space.index.read().with_attribute(name.as_str()).cloned().unwrap_or_default();
    let mut made = ValueIndex::default();
    for number in numbers {
        let (seq, id) = {
            let index = space.index.read();
            (index.seq(number), index.id(number))
        };
        let entity = match (images.find(space.number, number, seq), id) {
            (Some(image), _) => Some(image.entity),
            (None, Some(id)) => {
                let parts = Parts::read(&view.snapshot(), space.number, LIVE_BRANCH, number)?;
                parts.assemble(&id, number, &space.terms)?.map(|image| image.entity)
            }
            (None, None) => None,
        };
        if let Some(attribute) = entity.as_ref().and_then(|entity| entity.find(name.as_str())) {
            made.insert(number, attribute);
        }
    }
    Ok(made)
}
