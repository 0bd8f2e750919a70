//! A disk in memory that behaves as badly as real ones may (tests only).
//!
//! What was appended since the last sync is kept as a list of writes. At a power loss each of
//! them may be lost, torn in the middle, or kept although an earlier one was lost; names that
//! were not synced may vanish. Syncs can be made to fail, and space can run out.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard};

use crate::disk::{Disk, DiskFile};

/// Sector size: what a disk writes as a whole.
const SECTOR_BYTES: usize = 512;

#[derive(Clone, Default)]
pub struct FaultyDisk {
    inner: Arc<Mutex<Inner>>,
}

#[derive(Default)]
struct Inner {
    files: BTreeMap<String, FileState>,
    capacity_bytes: Option<u64>,
    fail_next_syncs: u32,
    powered: bool,
    random: u64,
}

#[derive(Default, Clone)]
struct FileState {
    /// What the operating system shows.
    visible: Vec<u8>,
    /// What survives for sure.
    durable: Vec<u8>,
    name_durable: bool,
}

impl FaultyDisk {
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let disk = Self::default();
        {
            let mut inner = disk.lock();
            inner.random = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
            inner.powered = true;
        }
        disk
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Pulls the plug: every file becomes one of the things it may be on a real disk. Handles
    /// opened before are dead.
    pub fn lose_power(&self) {
        let mut inner = self.lock();
        let names: Vec<String> = inner.files.keys().cloned().collect();
        for name in names {
            let mut state = inner.files.get(&name).cloned().unwrap_or_default();
            if !state.name_durable && inner.chance(2) {
                inner.files.remove(&name);
                continue;
            }
            let synced = state.durable.len().min(state.visible.len());
            let mut survived = state.durable.clone();
            let mut at = synced;
            // The length may have reached the disk without the content, and the other way round.
            let end = if inner.chance(4) { synced } else { synced + inner.below(state.visible.len() - synced + 1) };
            while at < end {
                let sector_end = ((at / SECTOR_BYTES + 1) * SECTOR_BYTES).min(end);
                if inner.chance(4) {
                    survived.resize(sector_end, 0);
                } else {
                    survived.extend_from_slice(&state.visible[at..sector_end]);
                }
                at = sector_end;
            }
            state.visible.clone_from(&survived);
            state.durable = survived;
            state.name_durable = true;
            inner.files.insert(name, state);
        }
    }

    pub fn fail_next_syncs(&self, count: u32) {
        self.lock().fail_next_syncs = count;
    }

    pub fn set_capacity_bytes(&self, capacity: Option<u64>) {
        self.lock().capacity_bytes = capacity;
    }

    /// Flips one bit of a file, as a failing disk would.
    pub fn flip_bit(&self, name: &str, bit: u64) {
        if let Some(state) = self.lock().files.get_mut(name) {
            let (byte, mask) = ((bit / 8) as usize, 1u8 << (bit % 8));
            for bytes in [&mut state.visible, &mut state.durable] {
                if let Some(byte) = bytes.get_mut(byte) {
                    *byte ^= mask;
                }
            }
        }
    }

    #[must_use]
    pub fn file_bytes(&self, name: &str) -> usize {
        self.lock().files.get(name).map_or(0, |state| state.visible.len())
    }
}

impl Inner {
    /// xorshift64*: small, seeded, good enough to choose faults.
    fn next(&mut self) -> u64 {
        self.random ^= self.random >> 12;
        self.random ^= self.random << 25;
        self.random ^= self.random >> 27;
        self.random.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound.max(1) as u64) as usize
    }

    fn chance(&mut self, one_in: u64) -> bool {
        self.next().is_multiple_of(one_in)
    }

    fn used(&self) -> u64 {
        self.files.values().map(|state| state.visible.len() as u64).sum()
    }
}

struct FaultyFile {
    disk: FaultyDisk,
    name: String,
}

impl FaultyFile {
    fn with<T>(&self, act: impl FnOnce(&mut FileState) -> T) -> io::Result<T> {
        let mut inner = self.disk.lock();
        inner.files.get_mut(&self.name).map(act).ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

impl Disk for FaultyDisk {
    fn list(&self) -> io::Result<Vec<String>> {
        Ok(self.lock().files.keys().cloned().collect())
    }

    fn create(&self, name: &str) -> io::Result<Box<dyn DiskFile>> {
        let mut inner = self.lock();
        if inner.files.contains_key(name) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        inner.files.insert(name.to_owned(), FileState::default());
        Ok(Box::new(FaultyFile { disk: self.clone(), name: name.to_owned() }))
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn DiskFile>> {
        if !self.lock().files.contains_key(name) {
            return Err(io::ErrorKind::NotFound.into());
        }
        Ok(Box::new(FaultyFile { disk: self.clone(), name: name.to_owned() }))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.lock().files.remove(name).map(|_| ()).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn sync_names(&self) -> io::Result<()> {
        self.lock().files.values_mut().for_each(|state| state.name_durable = true);
        Ok(())
    }

    fn free_bytes(&self) -> io::Result<u64> {
        let inner = self.lock();
        Ok(inner.capacity_bytes.map_or(u64::MAX, |capacity| capacity.saturating_sub(inner.used())))
    }

    fn describe(&self, name: &str) -> String {
        format!("faulty:{name}")
    }
}

impl DiskFile for FaultyFile {
    fn len(&self) -> io::Result<u64> {
        self.with(|state| state.visible.len() as u64)
    }

    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        let free = self.disk.free_bytes()?;
        // Like a real disk, it writes what still fits before it fails.
        let fits = bytes.len().min(usize::try_from(free).unwrap_or(usize::MAX));
        self.with(|state| state.visible.extend_from_slice(&bytes[..fits]))?;
        if fits < bytes.len() { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
    }

    fn sync(&mut self) -> io::Result<()> {
        {
            let mut inner = self.disk.lock();
            if inner.fail_next_syncs > 0 {
                inner.fail_next_syncs -= 1;
                return Err(io::Error::other("injected: sync failed"));
            }
        }
        self.with(|state| state.durable.clone_from(&state.visible))
    }

    fn truncate(&mut self, len: u64) -> io::Result<()> {
        self.with(|state| {
            state.visible.truncate(len as usize);
            state.durable.truncate(len as usize);
        })
    }

    fn read_at(&self, offset: u64, into: &mut [u8]) -> io::Result<usize> {
        self.with(|state| {
            let from = state.visible.len().min(offset as usize);
            let count = into.len().min(state.visible.len() - from);
            into[..count].copy_from_slice(&state.visible[from..from + count]);
            count
        })
    }
}
