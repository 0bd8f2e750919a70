//! Taking: the store at one instant comes in, the chunks of one part go out.

use std::ops::ControlFlow;

use city_model::Time;

use super::chunk::{CHUNK_BYTES, ChunkKind, seal};
use super::{PartEnd, PartHead, PartKind};
use crate::codec::Writer;
use crate::commit::{MATCHER_CURSOR_KEY, WATERMARK_KEY};
use crate::folder::FORMAT;
use crate::frame::WholeFrame;
use crate::journal::JournalCopy;
use crate::record::Record;
use crate::view::Snapshot;
use crate::{Error, JournalReader, Space, View};

/// Where the part before ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Since {
    pub lsn: u64,
    /// Checksum of that record, so that increments of two stores are never put together.
    pub crc: u32,
}

/// A part that can be taken: its instant is fixed.
pub struct Taking<'a> {
    head: PartHead,
    snapshot: Snapshot<'a>,
    frames: JournalCopy,
    since: Option<Since>,
}

impl<'a> Taking<'a> {
    /// A base, or what came since another part. `STO-026` where that cannot be continued.
    pub fn begin(
        view: &'a View,
        journal: &JournalReader,
        now: Time,
        release: &str,
        since: Option<Since>,
    ) -> Result<Self, Error> {
        let snapshot = view.snapshot();
        let watermark = match snapshot.get(Space::Meta, WATERMARK_KEY)? {
            None => 0,
            Some(bytes) => bytes[..].try_into().map(u64::from_le_bytes).map_err(|_| wrong_watermark())?,
        };
        let frames = match since {
            None => journal.copy(1, watermark)?,
            Some(since) => continued(journal, watermark, since)?,
        };
        let kind = if since.is_some() { PartKind::Increment } else { PartKind::Base };
        let after = since.map_or(0, |since| since.lsn);
        let head = PartHead { kind, folder_format: FORMAT, release: release.into(), taken_at: now, after, watermark };
        Ok(Self { head, snapshot, frames, since })
    }

    #[must_use]
    pub fn head(&self) -> &PartHead {
        &self.head
    }

    /// Gives chunk after chunk to `send`, until it has enough. What goes wrong is the last chunk.
    pub fn run(self, send: &mut dyn FnMut(Vec<u8>) -> ControlFlow<()>) -> Result<PartEnd, Error> {
        let Self { head, snapshot, frames, since } = self;
        let end = PartEnd { last_crc: since.map_or(0, |since| since.crc), ..PartEnd::default() };
        let mut out = Out { send, number: 0, end, gone: false };
        let taken = out.all(&head, &snapshot, frames);
        if let Err(error) = &taken {
            out.chunk(ChunkKind::Failed, error.to_string().as_bytes());
        }
        taken.map(|()| out.end)
    }
}

fn wrong_watermark() -> Error {
    Error::Undecodable("the watermark has a wrong length".to_owned())
}

/// The records behind `since`, if the journal still holds them and is the one that it was.
fn continued(journal: &JournalReader, watermark: u64, since: Since) -> Result<JournalCopy, Error> {
    let no = |why: String| Error::BackupNotContinued { why };
    if since.lsn > watermark {
        return Err(no(format!("the journal ends at record {watermark}, before record {}", since.lsn)));
    }
    if since.lsn == 0 {
        let mut copy = journal.copy(1, watermark)?;
        return match copy.next_frame()? {
            Some(frame) if frame.first_lsn > 1 => Err(no(format!("the journal begins at record {}", frame.first_lsn))),
            _ => journal.copy(1, watermark),
        };
    }
    let found = journal.copy(since.lsn, since.lsn)?.next_frame()?;
    let records = found.as_ref().map(WholeFrame::records).transpose().map_err(Error::Undecodable)?;
    match records.as_deref() {
        Some([(lsn, record)]) if *lsn == since.lsn && crc32c::crc32c(record) == since.crc => {
            // From that record on, so that one copy shows that nothing behind it is missing.
            let copy = journal.copy(since.lsn, watermark)?;
            if !copy.reaches_first {
                return Err(no(format!("the journal since record {lsn} is longer than one increment holds")));
            }
            Ok(copy.after(*lsn))
        }
        Some([(lsn, _)]) if *lsn == since.lsn => {
            Err(no(format!("record {lsn} is another one: this is not the store that the backup was taken from")))
        }
        _ => Err(no(format!("the journal no longer holds record {}", since.lsn))),
    }
}

/// Chunks on their way out, and the count of what was in them.
struct Out<'s> {
    send: &'s mut dyn FnMut(Vec<u8>) -> ControlFlow<()>,
    number: u32,
    end: PartEnd,
    gone: bool,
}

impl Out<'_> {
    fn chunk(&mut self, kind: ChunkKind, body: &[u8]) {
        if !self.gone {
            self.end.raw_bytes += body.len() as u64;
            self.gone = (self.send)(seal(kind, self.number, body)).is_break();
            self.number += 1;
        }
    }

    fn all(&mut self, head: &PartHead, snapshot: &Snapshot, frames: JournalCopy) -> Result<(), Error> {
        self.chunk(ChunkKind::Head, &head.encode());
        self.frames(frames)?;
        match head.kind {
            PartKind::Base => {
                for space in Space::all() {
                    self.keys(snapshot, *space, |_| true)?;
                }
            }
            PartKind::Increment => {
                self.keys(snapshot, Space::Meta, |key| key == MATCHER_CURSOR_KEY)?;
                self.keys(snapshot, Space::Outbox, |_| true)?;
            }
        }
        let end = self.end.encode();
        self.chunk(ChunkKind::End, &end);
        Ok(())
    }

    fn frames(&mut self, mut frames: JournalCopy) -> Result<(), Error> {
        let mut body = Vec::with_capacity(CHUNK_BYTES);
        while let Some(frame) = frames.next_frame()? {
            for (lsn, record) in frame.records().map_err(Error::Undecodable)? {
                self.end.see_record(lsn, Record::peek_time(record)?, crc32c::crc32c(record));
            }
            body.extend_from_slice(frame.bytes());
            if body.len() >= CHUNK_BYTES {
                self.chunk(ChunkKind::Frames, &body);
                body.clear();
            }
            if self.gone {
                return Ok(());
            }
        }
        if !body.is_empty() {
            self.chunk(ChunkKind::Frames, &body);
        }
        Ok(())
    }

    fn keys(&mut self, snapshot: &Snapshot, space: Space, wanted: impl Fn(&[u8]) -> bool) -> Result<(), Error> {
        let begin = |body: &mut Writer| {
            body.bytes.clear();
            body.text(space.name());
        };
        let mut body = Writer::default();
        begin(&mut body);
        let mut values = 0;
        snapshot.each(space, |key, value| {
            if !wanted(key) {
                return Ok(ControlFlow::Continue(()));
            }
            body.raw(key);
            body.raw(&value);
            values += 1;
            if body.bytes.len() >= CHUNK_BYTES {
                self.chunk(ChunkKind::Keys, &body.bytes);
                begin(&mut body);
            }
            Ok(if self.gone { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
        })?;
        self.end.see_values(space.name(), values);
        if body.bytes.len() > space.name().len() + 1 {
            self.chunk(ChunkKind::Keys, &body.bytes);
        }
        Ok(())
    }
}
