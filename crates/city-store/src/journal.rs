//! The journal: the one record of truth, and the one thing that is synced before an answer.
//!
//! Encoded records come in from the commit thread, are appended as one frame and synced;
//! followers read them from a cursor of their own, the newest from memory, older ones from disk.
//! Positions are *lsn*s, dense from 1 over all tenants; outsiders see (tenant, seq) instead.

mod copy;
mod segment;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use city_model::Entity;
use parking_lot::{Condvar, Mutex, RwLock};

use crate::disk::{Disk, DiskFile};
use crate::frame::{
    FRAME_BYTES_MAX, FRAME_HEADER_BYTES, SEGMENT_HEADER_BYTES, body_bytes, encode_frame, frame_is_valid,
    holds_valid_frame, read_frame_header, read_segment_header, records_of, segment_header,
};
use crate::record::Record;
use crate::{Error, error_len};
pub use copy::JournalCopy;
use segment::read_frames;

#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// A segment is closed once it is this large.
    pub segment_bytes: u64,
    /// Older segments are removed while more than this is kept.
    pub keep_bytes: u64,
    /// Writes stop while less than this is free.
    pub reserve_bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { segment_bytes: 64 << 20, keep_bytes: 2 << 30, reserve_bytes: 128 << 20 }
    }
}

/// Newest records kept in memory for followers, by approximate weight.
const RECENT_BYTES_MAX: usize = 16 << 20;

/// One entry of a segment's index for every so many bytes.
const INDEX_STRIDE_BYTES: u64 = 64 << 10;

/// A durable record, as followers get it.
#[derive(Debug, Clone)]
pub struct Published {
    pub lsn: u64,
    pub record: Arc<Record>,
    /// The entity as it stood after the change, where the change was made in this process.
    pub image: Option<Arc<Entity>>,
}

struct Segment {
    name: String,
    first_lsn: u64,
    bytes: u64,
    /// (first lsn of a frame, its offset), sparse; `None` until the segment was read once.
    index: Option<Vec<(u64, u64)>>,
}

struct Shared {
    disk: Arc<dyn Disk>,
    segments: RwLock<Vec<Segment>>,
    recent: Mutex<Recent>,
    arrived: Condvar,
}

#[derive(Default)]
struct Recent {
    entries: VecDeque<(usize, Published)>,
    bytes: usize,
    /// Last durable lsn.
    durable: u64,
    closed: bool,
}

pub struct Journal {
    shared: Arc<Shared>,
    file: Box<dyn DiskFile>,
    file_bytes: u64,
    last_index_offset: u64,
    next_lsn: u64,
    limits: Limits,
}

/// What was found at open.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Opened {
    /// A torn end that was cut: file, offset, bytes.
    pub cut: Option<(String, u64, u64)>,
    pub last_lsn: u64,
}

pub(crate) fn segment_name(first_lsn: u64) -> String {
    format!("{first_lsn:020}.journal")
}

impl Journal {
    /// `watermark` is the lsn up to which the view already holds what was recorded.
    pub fn open(disk: Arc<dyn Disk>, watermark: u64, limits: Limits) -> Result<(Self, Opened), Error> {
        let mut names: Vec<String> = disk
            .list()
            .map_err(Error::io("cannot list", disk.describe("")))?
            .into_iter()
            .filter(|name| name.ends_with(".journal"))
            .collect();
        names.sort();
        let mut segments = Vec::new();
        for name in &names {
            let file = disk.open(name).map_err(Error::io("cannot open", disk.describe(name)))?;
            let bytes = error_len(&*file, &*disk, name)?;
            let mut header = [0; SEGMENT_HEADER_BYTES as usize];
            let read = file.read_at(0, &mut header).map_err(Error::io("cannot read", disk.describe(name)))?;
            let named: Option<u64> = name.strip_suffix(".journal").and_then(|digits| digits.parse().ok());
            match (read_segment_header(&header[..read]), named) {
                (Some(first_lsn), Some(named)) if first_lsn == named => {
                    segments.push(Segment { name: name.clone(), first_lsn, bytes, index: None });
                }
                // The newest file may have lost its first sync; it then holds nothing that was acknowledged.
                (_, Some(named)) if Some(name) == names.last() && named > watermark => {
                    let mut all = vec![0; bytes as usize];
                    let read = file.read_at(0, &mut all).map_err(Error::io("cannot read", disk.describe(name)))?;
                    if holds_valid_frame(&all[..read], named) {
                        return Err(damaged(&*disk, name, 0, "the header of the file"));
                    }
                    disk.remove(name).map_err(Error::io("cannot remove", disk.describe(name)))?;
                }
                _ => return Err(damaged(&*disk, name, 0, "the header of the file")),
            }
        }
        let mut opened = Opened::default();
        let shared = Arc::new(Shared {
            disk: Arc::clone(&disk),
            segments: RwLock::new(segments),
            recent: Mutex::new(Recent::default()),
            arrived: Condvar::new(),
        });
        let count = shared.segments.read().len();
        if count == 0 {
            if watermark > 0 {
                return Err(Error::JournalTooYoung { watermark, oldest: 0 });
            }
            let file = new_segment(&shared, 1)?;
            let journal =
                Self { shared, file, file_bytes: SEGMENT_HEADER_BYTES, last_index_offset: 0, next_lsn: 1, limits };
            return Ok((journal, opened));
        }
        let oldest = shared.segments.read()[0].first_lsn;
        if watermark + 1 < oldest {
            return Err(Error::JournalTooYoung { watermark, oldest });
        }
        // Segments that the view has outlived are checked when they are read; these are checked now.
        let first_needed = {
            let segments = shared.segments.read();
            segments.iter().rposition(|segment| segment.first_lsn <= watermark + 1).unwrap_or(0)
        };
        let mut next_lsn = shared.segments.read()[first_needed].first_lsn;
        for at in first_needed..count {
            let last = at + 1 == count;
            let (name, first_lsn) = {
                let segments = shared.segments.read();
                (segments[at].name.clone(), segments[at].first_lsn)
            };
            if first_lsn != next_lsn {
                return Err(damaged(&*disk, &name, 0, &format!("it starts at record {first_lsn}, not at {next_lsn}")));
            }
            let found = read_frames(&*disk, &name, first_lsn)?;
            next_lsn = found.next_lsn;
            if let Some(offset) = found.broken_at {
                if !last || found.valid_behind {
                    return Err(damaged(&*disk, &name, offset, "the checksum of a frame does not match"));
                }
                let bytes = shared.segments.read()[at].bytes;
                let mut file = disk.open(&name).map_err(Error::io("cannot open", disk.describe(&name)))?;
                file.truncate(offset).map_err(Error::io("cannot cut", disk.describe(&name)))?;
                opened.cut = Some((disk.describe(&name), offset, bytes - offset));
                shared.segments.write()[at].bytes = offset;
            }
            shared.segments.write()[at].index = Some(found.index);
        }
        let (name, file_bytes) = {
            let segments = shared.segments.read();
            (segments[count - 1].name.clone(), segments[count - 1].bytes)
        };
        if next_lsn <= watermark {
            let what = format!("it ends at record {}, but the state already holds record {watermark}", next_lsn - 1);
            return Err(damaged(&*disk, &name, file_bytes, &what));
        }
        let file = disk.open(&name).map_err(Error::io("cannot open", disk.describe(&name)))?;
        shared.recent.lock().durable = next_lsn - 1;
        opened.last_lsn = next_lsn - 1;
        Ok((Self { shared, file, file_bytes, last_index_offset: 0, next_lsn, limits }, opened))
    }

    #[must_use]
    pub fn next_lsn(&self) -> u64 {
        self.next_lsn
    }

    #[must_use]
    pub fn reader(&self) -> JournalReader {
        JournalReader { shared: Arc::clone(&self.shared) }
    }

    /// Appends one frame and syncs it. On `Err` with `is_disk_full` nothing was kept and the
    /// journal goes on; after any other error the outcome is unknown and it must not be used.
    pub fn append(&mut self, records: &[Vec<u8>]) -> Result<(), Error> {
        // Whoever stages keeps below it; what no release could read again is never written.
        let bytes = body_bytes(records);
        if bytes > FRAME_BYTES_MAX {
            return Err(Error::Undecodable(format!("a frame of {bytes} bytes is larger than {FRAME_BYTES_MAX}")));
        }
        let free_bytes = self.shared.disk.free_bytes().unwrap_or(u64::MAX);
        if free_bytes < self.limits.reserve_bytes {
            let path = self.shared.disk.describe("");
            return Err(Error::DiskFull { path, free_bytes, reserve_bytes: self.limits.reserve_bytes });
        }
        if self.file_bytes >= self.limits.segment_bytes {
            self.file = new_segment(&self.shared, self.next_lsn)?;
            self.file_bytes = SEGMENT_HEADER_BYTES;
            self.last_index_offset = 0;
        }
        let frame = encode_frame(self.next_lsn, records);
        let name = segment_name(self.shared.segments.read().last().map_or(1, |segment| segment.first_lsn));
        if let Err(source) = self.file.append(&frame) {
            let failed = Error::io("cannot append to", self.shared.disk.describe(&name))(source);
            // What was half written must go, or it would stand between this frame and the next.
            self.file.truncate(self.file_bytes).map_err(Error::io("cannot cut", self.shared.disk.describe(&name)))?;
            return Err(failed);
        }
        self.file.sync().map_err(|source| {
            // Never "disk full": what was written may or may not survive.
            let source = std::io::Error::other(source);
            Error::io("cannot sync", self.shared.disk.describe(&name))(source)
        })?;
        let offset = self.file_bytes;
        self.file_bytes += frame.len() as u64;
        let mut segments = self.shared.segments.write();
        if let Some(segment) = segments.last_mut() {
            segment.bytes = self.file_bytes;
            if self.last_index_offset == 0 || offset - self.last_index_offset >= INDEX_STRIDE_BYTES {
                segment.index.get_or_insert_default().push((self.next_lsn, offset));
                self.last_index_offset = offset;
            }
        }
        self.next_lsn += records.len() as u64;
        Ok(())
    }

    /// Makes durable records visible to followers.
    pub fn publish(&self, published: Vec<Published>) {
        let mut recent = self.shared.recent.lock();
        for entry in published {
            recent.durable = entry.lsn;
            // An image holds about as much again as two records of all its attributes.
            let weight = entry.record.weight() * if entry.image.is_some() { 3 } else { 1 };
            recent.bytes += weight;
            recent.entries.push_back((weight, entry));
        }
        while recent.bytes > RECENT_BYTES_MAX
            && let Some((weight, _)) = recent.entries.pop_front()
        {
            recent.bytes -= weight;
        }
        drop(recent);
        self.shared.arrived.notify_all();
    }

    /// Bytes in all segments.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.shared.segments.read().iter().map(|segment| segment.bytes).sum()
    }

    /// Whether old segments should go; the caller first makes the view durable.
    #[must_use]
    pub fn wants_trim(&self) -> bool {
        self.shared.segments.read().len() > 1 && self.bytes() > self.limits.keep_bytes
    }

    /// Removes the oldest segments down to the bound, none that holds a record above `durable_watermark`.
    pub fn trim(&self, durable_watermark: u64) -> Result<(), Error> {
        while self.wants_trim() {
            let name = {
                let segments = self.shared.segments.read();
                if segments[1].first_lsn > durable_watermark + 1 {
                    return Ok(());
                }
                segments[0].name.clone()
            };
            self.shared.segments.write().remove(0);
            self.shared.disk.remove(&name).map_err(Error::io("cannot remove", self.shared.disk.describe(&name)))?;
        }
        Ok(())
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        self.shared.recent.lock().closed = true;
        self.shared.arrived.notify_all();
    }
}

fn new_segment(shared: &Shared, first_lsn: u64) -> Result<Box<dyn DiskFile>, Error> {
    let name = segment_name(first_lsn);
    let path = shared.disk.describe(&name);
    let make = || {
        let mut file = shared.disk.create(&name)?;
        file.append(&segment_header(first_lsn))?;
        file.sync()?;
        shared.disk.sync_names()?;
        Ok(file)
    };
    match make() {
        Ok(file) => {
            let segment = Segment { name, first_lsn, bytes: SEGMENT_HEADER_BYTES, index: Some(Vec::new()) };
            shared.segments.write().push(segment);
            Ok(file)
        }
        Err(source) => {
            // So that the next attempt finds the name free. That it may be gone already is fine.
            let _ = shared.disk.remove(&name);
            Err(Error::io("cannot start", path)(source))
        }
    }
}

fn damaged(disk: &dyn Disk, name: &str, offset: u64, what: &str) -> Error {
    Error::JournalDamaged { file: disk.describe(name), offset, what: what.to_owned() }
}

/// A follower's way to the journal; cheap to clone.
#[derive(Clone)]
pub struct JournalReader {
    shared: Arc<Shared>,
}

/// What a read at a cursor gave.
#[derive(Debug)]
pub enum Read {
    /// Records from the cursor on; empty when there is nothing newer.
    Records(Vec<Published>),
    /// The cursor lies before the oldest record kept.
    Lost { oldest: u64 },
}

impl JournalReader {
    /// Last durable lsn.
    #[must_use]
    pub fn durable(&self) -> u64 {
        self.shared.recent.lock().durable
    }

    #[must_use]
    pub fn oldest(&self) -> u64 {
        self.shared.segments.read().first().map_or(1, |segment| segment.first_lsn)
    }

    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.shared.segments.read().iter().map(|segment| segment.bytes).sum()
    }

    /// Waits until a record after `lsn` is durable; `false` on time-out or when the journal was closed.
    #[must_use]
    pub fn wait_after(&self, lsn: u64, timeout: Duration) -> bool {
        let mut recent = self.shared.recent.lock();
        if recent.durable <= lsn && !recent.closed {
            self.shared.arrived.wait_for(&mut recent, timeout);
        }
        recent.durable > lsn
    }

    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.shared.recent.lock().closed
    }

    /// Up to `records_max` durable records from `lsn` on, in order.
    pub fn read(&self, lsn: u64, records_max: usize) -> Result<Read, Error> {
        {
            let recent = self.shared.recent.lock();
            if lsn > recent.durable {
                return Ok(Read::Records(Vec::new()));
            }
            if let Some((_, first)) = recent.entries.front()
                && first.lsn <= lsn
            {
                let skip = (lsn - first.lsn) as usize;
                let entries = recent.entries.iter().skip(skip).take(records_max);
                return Ok(Read::Records(entries.map(|(_, entry)| entry.clone()).collect()));
            }
        }
        match self.read_from_disk(lsn, records_max) {
            // Cut off while it was read: that is no fault of the disk.
            Err(_) if lsn < self.oldest() => Ok(Read::Lost { oldest: self.oldest() }),
            read => read,
        }
    }

    fn read_from_disk(&self, lsn: u64, records_max: usize) -> Result<Read, Error> {
        let durable = self.durable();
        let Some((name, first_lsn, indexed)) = ({
            let segments = self.shared.segments.read();
            let at = segments.iter().rposition(|segment| segment.first_lsn <= lsn);
            at.map(|at| (segments[at].name.clone(), segments[at].first_lsn, segments[at].index.is_some()))
        }) else {
            return Ok(Read::Lost { oldest: self.oldest() });
        };
        let disk = &*self.shared.disk;
        if !indexed {
            let frames = read_frames(disk, &name, first_lsn)?;
            if let Some(offset) = frames.broken_at {
                return Err(damaged(disk, &name, offset, "the checksum of a frame does not match"));
            }
            let mut segments = self.shared.segments.write();
            if let Some(segment) = segments.iter_mut().find(|segment| segment.name == name) {
                segment.index = Some(frames.index);
            }
        }
        let (mut offset, end) = {
            let segments = self.shared.segments.read();
            let Some(segment) = segments.iter().find(|segment| segment.name == name) else {
                return Ok(Read::Lost { oldest: self.oldest() });
            };
            let index = segment.index.as_deref().unwrap_or_default();
            let at = index.partition_point(|(first, _)| *first <= lsn);
            (at.checked_sub(1).map_or(SEGMENT_HEADER_BYTES, |at| index[at].1), segment.bytes)
        };
        let path = || disk.describe(&name);
        let file = disk.open(&name).map_err(Error::io("cannot open", path()))?;
        let mut found = Vec::new();
        while offset < end && found.len() < records_max {
            let mut header_bytes = [0; FRAME_HEADER_BYTES];
            let read = file.read_at(offset, &mut header_bytes).map_err(Error::io("cannot read", path()))?;
            let bad = || damaged(disk, &name, offset, "the checksum of a frame does not match");
            let header = read_frame_header(&header_bytes[..read]).ok_or_else(bad)?;
            let next = offset + (FRAME_HEADER_BYTES + header.body_bytes) as u64;
            if header.first_lsn + u64::from(header.records) > lsn {
                let mut body = vec![0; header.body_bytes];
                let at = offset + FRAME_HEADER_BYTES as u64;
                let read = file.read_at(at, &mut body).map_err(Error::io("cannot read", path()))?;
                if !frame_is_valid(&header, &header_bytes, &body[..read]) {
                    return Err(bad());
                }
                let records = records_of(&body).map_err(|what| damaged(disk, &name, offset, &what))?;
                for (record_lsn, bytes) in (header.first_lsn..).zip(records) {
                    if record_lsn >= lsn && record_lsn <= durable && found.len() < records_max {
                        let record = Arc::new(Record::decode(bytes)?);
                        found.push(Published { lsn: record_lsn, record, image: None });
                    }
                }
            }
            offset = next;
        }
        Ok(Read::Records(found))
    }

    /// One record; `None` when it is no longer kept.
    pub fn find(&self, lsn: u64) -> Result<Option<Published>, Error> {
        match self.read(lsn, 1)? {
            Read::Records(records) => Ok(records.into_iter().next().filter(|published| published.lsn == lsn)),
            Read::Lost { .. } => Ok(None),
        }
    }
}
