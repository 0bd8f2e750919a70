//! Entities that were read or written lately, put together and shared.
//!
//! An image is handed out only if it is at least as new as the last change that readers may see,
//! so a slow reader cannot put an old version over a new one.

use quick_cache::Weighter;
use quick_cache::sync::Cache;

use crate::image::Image;
use crate::weigh::weigh_entity;

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
        weigh_entity(&image.entity) as u64
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
