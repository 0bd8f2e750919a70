//! Entities that were read or written lately, put together and shared.
//!
//! An image is handed out only if it is at least as new as the last change that readers may see,
//! so a slow reader cannot put an old version over a new one.

use city_model::{Attribute, Entity, Instance, Kind, Value};
use quick_cache::Weighter;
use quick_cache::sync::Cache;

use crate::image::Image;

/// Bound of all cached images, by estimate, in bytes: some 100,000 entities of 1.5 kB, in a machine of 2 GB.
pub const IMAGES_BYTES_MAX: u64 = 320 << 20;
/// What one image is taken to weigh at least.
const IMAGE_BYTES_TYPICAL: u64 = 3_072;

pub struct Images {
    cache: Cache<(u32, u32), Image, ByWeight>,
}

#[derive(Clone)]
struct ByWeight;

impl Weighter<(u32, u32), Image> for ByWeight {
    fn weight(&self, _: &(u32, u32), image: &Image) -> u64 {
        weigh(&image.entity) as u64
    }
}

impl Default for Images {
    fn default() -> Self {
        let items = (IMAGES_BYTES_MAX / IMAGE_BYTES_TYPICAL) as usize;
        Self { cache: Cache::with_weighter(items, IMAGES_BYTES_MAX, ByWeight) }
    }
}

impl Images {
    /// The image of an entity, unless it is older than `seq`.
    #[must_use]
    pub fn find(&self, tenant: u32, number: u32, seq: u64) -> Option<Image> {
        self.cache.get(&(tenant, number)).filter(|image| image.stamp.seq >= seq)
    }

    pub fn put(&self, tenant: u32, image: Image) {
        self.cache.insert((tenant, image.number), image);
    }

    pub fn forget(&self, tenant: u32, number: u32) {
        self.cache.remove(&(tenant, number));
    }
}

/// What the allocator adds to each piece of memory, about.
const ALLOCATION_BYTES: usize = 16;

/// Approximate bytes of an entity in memory.
#[must_use]
pub fn weigh(entity: &Entity) -> usize {
    // The entity itself, its id, its lists of types and scopes, and its place in the cache.
    512 + entity.attributes.iter().map(weigh_attribute).sum::<usize>()
}

fn weigh_attribute(attribute: &Attribute) -> usize {
    let instances = attribute.instances.iter().map(|instance| {
        let below: usize = instance.sub_attributes.iter().map(weigh_attribute).sum();
        size_of::<Instance>() + weigh_kind(&instance.kind) + below
    });
    size_of::<Attribute>() + 2 * ALLOCATION_BYTES + instances.sum::<usize>()
}

fn weigh_kind(kind: &Kind) -> usize {
    match kind {
        Kind::Property(value) | Kind::VocabProperty(value) | Kind::JsonProperty(value) => weigh_value(value),
        Kind::Relationship { object, object_types } => weigh_value(object) + 16 * object_types.len(),
        Kind::GeoProperty(geometry) => {
            let mut positions = 0;
            geometry.for_each_position(&mut |_| positions += 1);
            size_of::<city_model::Position>() * positions
        }
        Kind::LanguageProperty(map) => map.iter().map(|(tag, text)| 48 + tag.len() + weigh_value(text)).sum(),
        Kind::ListProperty(list) => list.iter().map(weigh_value).sum(),
        Kind::ListRelationship { objects, .. } => objects.iter().map(weigh_value).sum(),
        Kind::Null | Kind::Unchanged => 0,
    }
}

fn weigh_value(value: &Value) -> usize {
    size_of::<Value>()
        + match value {
            Value::Text(text) => ALLOCATION_BYTES + text.len(),
            Value::List(items) => items.iter().map(weigh_value).sum(),
            Value::Map(members) => {
                members.iter().map(|(key, value)| 16 + ALLOCATION_BYTES + key.len() + weigh_value(value)).sum()
            }
            _ => 0,
        }
}
