//! Rows that are written in the commit of a request's changes, beside them: what follows must not be told of one
//! without the other.

use std::fmt;

use city_store::record::AlsoWrite;

use crate::answers::Results;
use crate::weigh::weigh_also;

/// Says what came of the changes, once that is known and before it is durable. It runs on the commit thread, so it
/// neither waits nor reads the disk.
pub type Note = Box<dyn FnOnce(&Results) -> Vec<AlsoWrite> + Send>;

#[derive(Default)]
pub struct Also {
    rows: Vec<AlsoWrite>,
    note: Option<Note>,
    note_bytes: usize,
}

impl From<Vec<AlsoWrite>> for Also {
    fn from(rows: Vec<AlsoWrite>) -> Self {
        Self { rows, note: None, note_bytes: 0 }
    }
}

impl Also {
    /// `bytes` is about what the note will write.
    #[must_use]
    pub fn noted(note: Note, bytes: usize) -> Self {
        Self { rows: Vec::new(), note: Some(note), note_bytes: bytes }
    }

    /// The note alone.
    #[must_use]
    pub fn without_rows(self) -> Self {
        Self { rows: Vec::new(), ..self }
    }

    pub fn push(&mut self, row: AlsoWrite) {
        self.rows.push(row);
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty() && self.note.is_none()
    }

    pub(crate) fn weight(&self) -> usize {
        self.rows.iter().map(weigh_also).sum::<usize>() + self.note_bytes
    }

    /// All rows, now that the results are known.
    pub(crate) fn rows(self, results: &Results) -> Vec<AlsoWrite> {
        let mut rows = self.rows;
        rows.extend(self.note.into_iter().flat_map(|note| note(results)));
        rows
    }
}

impl fmt::Debug for Also {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { rows, note, .. } = self;
        f.debug_struct("Also").field("rows", rows).field("noted", &note.is_some()).finish_non_exhaustive()
    }
}
