//! Whole key spaces: all keys of one, in order, go out for a backup and come in at a restore.

use std::ops::ControlFlow;

use fjall::Readable;

use super::{Bytes, CHECKSUM_BYTES, SPACES, Snapshot, Space, View, checksum, engine, see_each, verified};
use crate::Error;

impl Space {
    /// Every key space of this release.
    #[must_use]
    pub fn all() -> &'static [Self] {
        &SPACES
    }

    #[must_use]
    pub fn find(name: &str) -> Option<Self> {
        SPACES.into_iter().find(|space| space.name() == name)
    }
}

impl Snapshot<'_> {
    /// Every key of a space, in order.
    pub fn each(
        &self,
        space: Space,
        see: impl FnMut(&[u8], Bytes) -> Result<ControlFlow<()>, Error>,
    ) -> Result<(), Error> {
        see_each(space, self.snapshot.iter(self.view.keyspace(space)), see)
    }
}

/// Takes one key and its value.
pub type Put<'p> = dyn FnMut(&[u8], &[u8]) -> Result<(), Error> + 'p;

impl View {
    /// Fills an empty space with keys in rising order. They go straight into the engine's tables, past
    /// its log, and are seen and durable once this returns; nothing of them is seen before.
    pub fn fill(&self, space: Space, give: impl FnOnce(&mut Put) -> Result<(), Error>) -> Result<(), Error> {
        let mut ingestion = self.keyspace(space).start_ingestion().map_err(engine)?;
        let mut last: Option<Vec<u8>> = None;
        give(&mut |key, value| {
            // The engine would end the process.
            if last.as_deref().is_some_and(|last| last >= key) {
                return Err(Error::Undecodable(format!("the keys of {} are not in order", space.name())));
            }
            let last = last.get_or_insert_default();
            last.clear();
            last.extend_from_slice(key);
            let mut sealed = Vec::with_capacity(CHECKSUM_BYTES + value.len());
            sealed.extend_from_slice(&checksum(key, value).to_le_bytes());
            sealed.extend_from_slice(value);
            ingestion.write(key, sealed).map_err(engine)
        })?;
        ingestion.finish().map_err(engine)
    }

    /// Reads every stored value against its checksum; how many there are of each space.
    pub fn check_each(&self) -> Result<Vec<(Space, u64)>, Error> {
        let mut counts = Vec::new();
        for space in SPACES {
            let mut values = 0;
            for guard in self.keyspace(space).iter() {
                let (key, value) = guard.into_inner().map_err(engine)?;
                verified(space, &key, value)?;
                values += 1;
            }
            counts.push((space, values));
        }
        Ok(counts)
    }
}
