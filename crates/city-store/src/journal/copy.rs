//! A stretch of the journal, held open while it is copied.
//!
//! The journal goes on and is trimmed meanwhile; a segment that was opened stays readable.

use super::JournalReader;
use crate::Error;
use crate::disk::DiskFile;
use crate::frame::{FRAME_HEADER_BYTES, SEGMENT_HEADER_BYTES, WholeFrame, read_frame_header};

/// Segments of one copy, at most: each holds a file open. They are the newest ones.
const SEGMENTS_HELD_MAX: usize = 512;

pub struct JournalCopy {
    /// Newest first.
    segments: Vec<Held>,
    first_lsn: u64,
    last_lsn: u64,
    offset: u64,
    /// Its first record is in it; else older ones were trimmed, or lie in more segments than are held.
    pub reaches_first: bool,
}

struct Held {
    path: String,
    file: Box<dyn DiskFile>,
    bytes: u64,
}

impl JournalReader {
    /// Records `first_lsn` to `last_lsn`, as far back as they are kept; `last_lsn` must be durable.
    pub fn copy(&self, first_lsn: u64, last_lsn: u64) -> Result<JournalCopy, Error> {
        let disk = &*self.shared.disk;
        let (mut held, mut reaches_first) = (Vec::new(), false);
        // Trimming takes a segment off the list before it removes the file: what is listed is there.
        let segments = self.shared.segments.read();
        for segment in segments.iter().rev().filter(|segment| segment.first_lsn <= last_lsn) {
            let path = disk.describe(&segment.name);
            let file = disk.open(&segment.name).map_err(Error::io("cannot open", &path))?;
            held.push(Held { path, file, bytes: segment.bytes });
            reaches_first = segment.first_lsn <= first_lsn;
            if reaches_first || held.len() == SEGMENTS_HELD_MAX {
                break;
            }
        }
        Ok(JournalCopy { segments: held, first_lsn, last_lsn, offset: SEGMENT_HEADER_BYTES, reaches_first })
    }
}

impl JournalCopy {
    /// Only what comes behind this record.
    #[must_use]
    pub fn after(mut self, lsn: u64) -> Self {
        self.first_lsn = lsn + 1;
        self
    }

    /// The next frame, cut to the records that were asked for; `None` behind the last.
    pub fn next_frame(&mut self) -> Result<Option<WholeFrame>, Error> {
        while let Some(segment) = self.segments.last() {
            if self.offset >= segment.bytes {
                self.segments.pop();
                self.offset = SEGMENT_HEADER_BYTES;
                continue;
            }
            let (path, offset) = (segment.path.clone(), self.offset);
            let bad = |what: &str| Error::JournalDamaged { file: path.clone(), offset, what: what.to_owned() };
            let mut bytes = vec![0; FRAME_HEADER_BYTES];
            let read = segment.file.read_at(offset, &mut bytes).map_err(Error::io("cannot read", &path))?;
            let header = read_frame_header(&bytes[..read]).ok_or_else(|| bad("no frame begins here"))?;
            let frame_bytes = (FRAME_HEADER_BYTES + header.body_bytes) as u64;
            self.offset += frame_bytes;
            if header.first_lsn > self.last_lsn {
                return Ok(None);
            }
            if header.first_lsn + u64::from(header.records) <= self.first_lsn {
                continue;
            }
            bytes.resize(frame_bytes as usize, 0);
            let body = &mut bytes[FRAME_HEADER_BYTES..];
            let read = segment.file.read_at(offset + FRAME_HEADER_BYTES as u64, body);
            let read = read.map_err(Error::io("cannot read", &path))?;
            let frame = WholeFrame::parse(&bytes[..FRAME_HEADER_BYTES + read]).map_err(bad)?;
            let (first_lsn, last_lsn) = (self.first_lsn, self.last_lsn);
            if let Some(frame) = frame.between(first_lsn, last_lsn).map_err(|what| bad(&what))? {
                return Ok(Some(frame));
            }
        }
        Ok(None)
    }
}
