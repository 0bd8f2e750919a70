//! The tree of a tenant in the view: full tiles, the right edge that still grows, and its size.

use city_store::{Error, Space, View, ViewBatch};

use super::merkle::{Hash, Nodes, node_hash};

/// Hashes in a full tile, and entries in a full bundle (C2SP tlog-tiles).
pub const TILE_WIDTH: u64 = 256;
/// Levels of the tree in one level of tiles.
const TILE_LEVELS: u32 = 8;
/// Levels of tiles: enough for 2^64 entries.
const TILES_HIGH: u8 = 8;

/// The right edge of one tenant's tree: the tiles that are not full yet.
pub struct Tree {
    pub size: u64,
    edges: Vec<Vec<Hash>>,
}

pub fn key(tenant: u32, part: u8, level: u8, number: u64) -> Vec<u8> {
    let mut key = tenant.to_be_bytes().to_vec();
    key.extend([part, level]);
    key.extend(number.to_be_bytes());
    key
}

pub const ENTRY: u8 = b'e';
pub const DETAILS: u8 = b'd';
pub const HASHES: u8 = b'h';
const SIZE: u8 = b's';

pub fn size_of(view: &View, tenant: u32) -> Result<u64, Error> {
    let bytes = view.get(Space::Trail, &key(tenant, SIZE, 0, 0))?;
    Ok(bytes.and_then(|bytes| bytes[..].try_into().ok()).map_or(0, u64::from_le_bytes))
}

/// The tree of a tenant as its tiles hold it.
pub struct Tiles<'v> {
    pub view: &'v View,
    pub tenant: u32,
}

impl Nodes for Tiles<'_> {
    type Error = Error;

    fn node(&self, level: u32, number: u64) -> Result<Hash, Self::Error> {
        let (tile_level, within) = (level / TILE_LEVELS, level % TILE_LEVELS);
        let first = number << within;
        let key = key(self.tenant, HASHES, tile_level as u8, first / TILE_WIDTH);
        let tile = self.view.get(Space::Trail, &key)?.map(|bytes| bytes.to_vec()).unwrap_or_default();
        let (from, count) = ((first % TILE_WIDTH) as usize, 1usize << within);
        let missing = || Error::Undecodable(format!("the trail's tree has no node {level}/{number}"));
        let bytes = tile.get(from * 32..(from + count) * 32).ok_or_else(missing)?;
        let hashes: Vec<Hash> = bytes.as_chunks::<32>().0.to_vec();
        Ok(folded(hashes))
    }
}

/// The root over a power of two of hashes.
fn folded(mut hashes: Vec<Hash>) -> Hash {
    while hashes.len() > 1 {
        hashes = hashes.as_chunks::<2>().0.iter().map(|[left, right]| node_hash(left, right)).collect();
    }
    hashes.first().copied().unwrap_or_default()
}

impl Tree {
    pub fn load(view: &View, tenant: u32) -> Result<Self, Error> {
        let size = size_of(view, tenant)?;
        let mut edges = Vec::new();
        for level in 0..TILES_HIGH {
            let count = size >> (TILE_LEVELS * u32::from(level));
            let bytes = match count % TILE_WIDTH {
                0 => Vec::new(),
                _ => {
                    let tile = view.get(Space::Trail, &key(tenant, HASHES, level, count / TILE_WIDTH))?;
                    tile.map(|bytes| bytes.to_vec()).unwrap_or_default()
                }
            };
            if bytes.len() as u64 != (count % TILE_WIDTH) * 32 {
                return Err(Error::Undecodable(format!("the trail's tile {level} is not whole")));
            }
            edges.push(bytes.as_chunks::<32>().0.to_vec());
        }
        Ok(Self { size, edges })
    }

    pub fn push(&mut self, tenant: u32, leaf: Hash, batch: &mut ViewBatch) {
        self.size += 1;
        let mut hash = leaf;
        for level in 0..TILES_HIGH {
            let Some(edge) = self.edges.get_mut(usize::from(level)) else { return };
            edge.push(hash);
            if (edge.len() as u64) < TILE_WIDTH {
                return;
            }
            let full = std::mem::take(edge);
            let number = (self.size >> (TILE_LEVELS * u32::from(level))) / TILE_WIDTH - 1;
            batch.put(Space::Trail, key(tenant, HASHES, level, number), full.as_flattened());
            hash = folded(full);
        }
    }

    pub fn write_edges(&self, tenant: u32, batch: &mut ViewBatch) {
        for (level, edge) in (0..TILES_HIGH).zip(&self.edges) {
            if !edge.is_empty() {
                let number = (self.size >> (TILE_LEVELS * u32::from(level))) / TILE_WIDTH;
                batch.put(Space::Trail, key(tenant, HASHES, level, number), edge.as_flattened());
            }
        }
        batch.put(Space::Trail, key(tenant, SIZE, 0, 0), &self.size.to_le_bytes());
    }
}
