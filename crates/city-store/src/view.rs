//! The view: ordered keys and values that follow the journal.
//!
//! A batch comes in with the watermark up to which it brings the view, becomes visible at once
//! and as a whole, and is not synced: the journal can always make it again. Every value carries
//! a checksum over its key and itself, so that a flipped bit is refused and never served.

mod whole;

use std::ops::{ControlFlow, Deref};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use fjall::{Keyspace, KeyspaceCreateOptions, PersistMode, Readable};

pub use whole::Put;

use crate::Error;

/// Separate orders of keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Space {
    /// Watermarks and cursors.
    Meta,
    /// tenant number → name.
    Tenants,
    /// tenant | number → name.
    Terms,
    /// tenant | entity number → id.
    Ids,
    /// tenant | branch | entity | attribute | dataset → instance; attribute 0 holds identity, stamp and past identity.
    State,
    /// tenant | kind | id → body.
    Definitions,
    /// tenant | branch | entity | attribute | dataset | time | seq | index → instance.
    History,
    /// What shall leave, and what could not.
    Outbox,
    /// tenant | request key → answer.
    Requests,
    /// Instances of History put together: the key of the first → many of them, column by column.
    Blocks,
    /// tenant | part | level | number → entries of the trail, their details, and the tree over them.
    Trail,
    /// tenant | entity → the key that seals what is personal of it; and which keys were destroyed.
    Persons,
    /// tenant | kind | source | message → how a source fares, where its messages came from, and what was rejected.
    Sources,
    /// tenant | row of a messaging session → what it holds.
    Sessions,
    /// tenant | feed | version | piece → a piece of the archive of a timetable.
    Feeds,
}

const SPACES: [Space; 15] = [
    Space::Meta,
    Space::Tenants,
    Space::Terms,
    Space::Ids,
    Space::State,
    Space::Definitions,
    Space::History,
    Space::Outbox,
    Space::Requests,
    Space::Blocks,
    Space::Trail,
    Space::Persons,
    Space::Sources,
    Space::Sessions,
    Space::Feeds,
];

impl Space {
    #[must_use]
    pub fn number(self) -> u8 {
        SPACES.iter().position(|space| *space == self).unwrap_or(0) as u8
    }

    pub fn from_number(number: u8) -> Result<Self, Error> {
        SPACES
            .get(number as usize)
            .copied()
            .ok_or_else(|| Error::Undecodable(format!("key space {number} is unknown to this release")))
    }

    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Meta => "meta",
            Self::Tenants => "tenants",
            Self::Terms => "terms",
            Self::Ids => "ids",
            Self::State => "state",
            Self::Definitions => "definitions",
            Self::History => "history",
            Self::Outbox => "outbox",
            Self::Requests => "requests",
            Self::Blocks => "blocks",
            Self::Trail => "trail",
            Self::Persons => "persons",
            Self::Sources => "sources",
            Self::Sessions => "sessions",
            Self::Feeds => "feeds",
        }
    }
}

/// A stored value, shared with the engine's cache.
#[derive(Debug, Clone)]
pub struct Bytes(fjall::Slice);

const CHECKSUM_BYTES: usize = 4;

impl Deref for Bytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0[CHECKSUM_BYTES..]
    }
}

/// Writes that become visible together.
#[derive(Debug, Default)]
pub struct ViewBatch {
    pub(crate) writes: Vec<(Space, Vec<u8>, Option<Vec<u8>>)>,
}

impl ViewBatch {
    pub fn put(&mut self, space: Space, key: impl Into<Vec<u8>>, value: &[u8]) {
        let key = key.into();
        let mut sealed = Vec::with_capacity(CHECKSUM_BYTES + value.len());
        sealed.extend_from_slice(&checksum(&key, value).to_le_bytes());
        sealed.extend_from_slice(value);
        self.writes.push((space, key, Some(sealed)));
    }

    pub fn delete(&mut self, space: Space, key: impl Into<Vec<u8>>) {
        self.writes.push((space, key.into(), None));
    }

    #[must_use]
    pub fn len(&self) -> usize {
        self.writes.len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.writes.is_empty()
    }

    /// Forgets all but the first writes.
    pub fn truncate(&mut self, len: usize) {
        self.writes.truncate(len);
    }
}

fn checksum(key: &[u8], value: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(key), value)
}

fn verified(space: Space, key: &[u8], value: fjall::Slice) -> Result<Bytes, Error> {
    let damaged = || Error::ViewDamaged { space: space.name(), key: readable(key) };
    let (stored, body) = value.split_at_checked(CHECKSUM_BYTES).ok_or_else(damaged)?;
    if stored != checksum(key, body).to_le_bytes() {
        return Err(damaged());
    }
    Ok(Bytes(value))
}

fn readable(key: &[u8]) -> String {
    key.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The ordered store under state, indexes, history and outbox.
pub struct View {
    database: fjall::Database,
    keyspaces: Vec<Keyspace>,
    folder: PathBuf,
    room_bytes_min: AtomicU64,
}

/// Bound of the engine's block cache, in bytes.
pub const BLOCK_CACHE_BYTES: u64 = 48 << 20;

/// Bound of what the engine holds in memory before it writes a table, in bytes a key space.
const MEMTABLE_BYTES: u64 = 16 << 20;

/// Bound of the engine's own log. It is never the record of truth, only a shorter way back.
const ENGINE_LOG_BYTES: u64 = 128 << 20;

fn engine(error: fjall::Error) -> Error {
    match error {
        fjall::Error::Io(source) => Error::Io { what: "cannot use the state in", path: "view/".to_owned(), source },
        other => Error::Engine(other.to_string()),
    }
}

impl View {
    pub fn open(folder: &Path) -> Result<Self, Error> {
        // The engine asserts what its own files hold; a damaged one refuses the start like any other damage.
        std::panic::catch_unwind(|| Self::open_engine(folder)).unwrap_or_else(|_| {
            Err(Error::Engine(format!(
                "the files in {} are damaged. Restore them, or move the folder away: it is made again from the journal, as far as that is kept.",
                folder.display()
            )))
        })
    }

    fn open_engine(folder: &Path) -> Result<Self, Error> {
        let database = fjall::Database::builder(folder)
            .cache_size(BLOCK_CACHE_BYTES)
            .max_journaling_size(ENGINE_LOG_BYTES)
            .worker_threads(1)
            .open()
            .map_err(engine)?;
        let mut keyspaces = Vec::new();
        for space in SPACES {
            let options = || KeyspaceCreateOptions::default().max_memtable_size(MEMTABLE_BYTES);
            keyspaces.push(database.keyspace(space.name(), options).map_err(engine)?);
        }
        Ok(Self { database, keyspaces, folder: folder.to_owned(), room_bytes_min: AtomicU64::new(0) })
    }

    fn keyspace(&self, space: Space) -> &Keyspace {
        &self.keyspaces[space.number() as usize]
    }

    pub fn get(&self, space: Space, key: &[u8]) -> Result<Option<Bytes>, Error> {
        match self.keyspace(space).get(key).map_err(engine)? {
            None => Ok(None),
            Some(value) => verified(space, key, value).map(Some),
        }
    }

    /// Keys from `from` up to but not including `to`, in order, at one instant.
    pub fn scan(
        &self,
        space: Space,
        from: &[u8],
        to: &[u8],
        see: impl FnMut(&[u8], Bytes) -> Result<ControlFlow<()>, Error>,
    ) -> Result<(), Error> {
        see_each(space, self.keyspace(space).range(from..to), see)
    }

    /// As `scan`, from the end.
    pub fn scan_back(
        &self,
        space: Space,
        from: &[u8],
        to: &[u8],
        see: impl FnMut(&[u8], Bytes) -> Result<ControlFlow<()>, Error>,
    ) -> Result<(), Error> {
        see_each(space, self.keyspace(space).range(from..to).rev(), see)
    }

    /// What was visible at this call stays readable, unchanged, through the answer.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot<'_> {
        Snapshot { view: self, snapshot: self.database.snapshot() }
    }

    pub fn write(&self, batch: ViewBatch) -> Result<(), Error> {
        let mut engine_batch = self.database.batch();
        for (space, key, value) in batch.writes {
            match value {
                Some(value) => engine_batch.insert(self.keyspace(space), key, value),
                None => engine_batch.remove(self.keyspace(space), key),
            }
        }
        engine_batch.commit().map_err(engine)
    }

    /// Followers rest while less than this is free: the engine does not come back from a write that
    /// found no space, so it is not given one.
    pub fn keep_room(&self, bytes: u64) {
        self.room_bytes_min.store(bytes, Ordering::Relaxed);
    }

    /// Whether there is space enough for followers to write.
    #[must_use]
    pub fn has_room(&self) -> bool {
        self.free_bytes().is_ok_and(|free| free >= self.room_bytes_min.load(Ordering::Relaxed))
    }

    /// Free on the disk that the view lies on.
    pub fn free_bytes(&self) -> Result<u64, Error> {
        let stat = rustix::fs::statvfs(&self.folder);
        let stat = stat.map_err(|error| Error::io("cannot ask for free space in", "view/")(error.into()))?;
        Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
    }

    /// Syncs all that was written, so that the journal before it may be forgotten.
    pub fn persist(&self) -> Result<(), Error> {
        self.database.persist(PersistMode::SyncAll).map_err(engine)
    }

    /// Reads every stored value against its checksum; how many there are.
    pub fn check(&self) -> Result<u64, Error> {
        Ok(self.check_each()?.into_iter().map(|(_, values)| values).sum())
    }

    pub fn disk_bytes(&self) -> Result<u64, Error> {
        self.database.disk_space().map_err(engine)
    }
}

fn see_each(
    space: Space,
    guards: impl Iterator<Item = fjall::Guard>,
    mut see: impl FnMut(&[u8], Bytes) -> Result<ControlFlow<()>, Error>,
) -> Result<(), Error> {
    for guard in guards {
        let (key, value) = guard.into_inner().map_err(engine)?;
        let value = verified(space, &key, value)?;
        if see(&key, value)?.is_break() {
            break;
        }
    }
    Ok(())
}

/// A view that does not move.
pub struct Snapshot<'a> {
    view: &'a View,
    snapshot: fjall::Snapshot,
}

impl Snapshot<'_> {
    pub fn get(&self, space: Space, key: &[u8]) -> Result<Option<Bytes>, Error> {
        match self.snapshot.get(self.view.keyspace(space), key).map_err(engine)? {
            None => Ok(None),
            Some(value) => verified(space, key, value).map(Some),
        }
    }

    pub fn scan(
        &self,
        space: Space,
        from: &[u8],
        to: &[u8],
        see: impl FnMut(&[u8], Bytes) -> Result<ControlFlow<()>, Error>,
    ) -> Result<(), Error> {
        see_each(space, self.snapshot.range(self.view.keyspace(space), from..to), see)
    }

    /// As `scan`, from the end.
    pub fn scan_back(
        &self,
        space: Space,
        from: &[u8],
        to: &[u8],
        see: impl FnMut(&[u8], Bytes) -> Result<ControlFlow<()>, Error>,
    ) -> Result<(), Error> {
        see_each(space, self.snapshot.range(self.view.keyspace(space), from..to).rev(), see)
    }
}

/// The key just behind every key that starts with `prefix`.
#[must_use]
pub fn after_prefix(prefix: &[u8]) -> Vec<u8> {
    let mut end = prefix.to_vec();
    while let Some(last) = end.pop() {
        if last < 0xff {
            end.push(last + 1);
            return end;
        }
    }
    vec![0xff; 64]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_under_the_wrong_key_is_refused() {
        let mut batch = ViewBatch::default();
        batch.put(Space::State, b"key".to_vec(), b"value");
        let sealed = batch.writes.pop().and_then(|(_, _, value)| value).unwrap();
        assert_eq!(&*verified(Space::State, b"key", sealed.clone().into()).unwrap(), b"value");
        for bit in 0..sealed.len() * 8 {
            let mut flipped = sealed.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(verified(Space::State, b"key", flipped.into()).is_err(), "bit {bit}");
        }
        assert!(verified(Space::State, b"kez", sealed.into()).is_err());
    }

    #[test]
    fn the_end_of_a_prefix_comes_after_all_of_it() {
        assert_eq!(after_prefix(&[1, 2]), vec![1, 3]);
        assert_eq!(after_prefix(&[1, 255]), vec![2]);
        assert!(after_prefix(&[255, 255]) > vec![255, 255, 255]);
    }
}
