//! Laying: the parts of a backup come in, a journal and a view that fit together go out.

use std::io::Read;

use city_model::Time;

use super::part::{Content, Keys};
use super::{PartEnd, PartKind, PartReader};
use crate::commit::{MATCHER_CURSOR_KEY, RULES_CURSOR_KEY};
use crate::disk::{Disk, DiskFile, FolderDisk};
use crate::frame::{SEGMENT_HEADER_BYTES, WholeFrame, segment_header};
use crate::journal::{Limits, segment_name};
use crate::record::Record;
use crate::view::Put;
use crate::{Error, Space, View, ViewBatch};

/// Writes the segments of a new journal.
pub struct SegmentWriter {
    disk: FolderDisk,
    file: Option<(Box<dyn DiskFile>, u64)>,
    next_lsn: Option<u64>,
}

impl SegmentWriter {
    #[must_use]
    pub fn new(disk: FolderDisk) -> Self {
        Self { disk, file: None, next_lsn: None }
    }

    fn append(&mut self, frame: &WholeFrame) -> Result<(), Error> {
        if let Some((file, bytes)) = &mut self.file
            && *bytes >= Limits::default().segment_bytes
        {
            file.sync().map_err(Error::io("cannot sync a segment in", self.disk.describe("")))?;
            self.file = None;
        }
        let (file, bytes) = match &mut self.file {
            Some(file) => file,
            none => none.insert((start(&self.disk, frame.first_lsn)?, SEGMENT_HEADER_BYTES)),
        };
        file.append(frame.bytes()).map_err(Error::io("cannot append to a segment in", self.disk.describe("")))?;
        *bytes += frame.bytes().len() as u64;
        self.next_lsn = Some(frame.last_lsn() + 1);
        Ok(())
    }

    /// Makes all durable. A journal has a segment also where no record is kept.
    pub fn finish(mut self, watermark: u64) -> Result<(), Error> {
        if self.file.is_none() {
            self.file = Some((start(&self.disk, watermark + 1)?, SEGMENT_HEADER_BYTES));
        }
        let path = self.disk.describe("");
        if let Some((mut file, _)) = self.file {
            file.sync().map_err(Error::io("cannot sync a segment in", &path))?;
        }
        self.disk.sync_names().map_err(Error::io("cannot sync", path))
    }
}

fn start(disk: &FolderDisk, first_lsn: u64) -> Result<Box<dyn DiskFile>, Error> {
    let name = segment_name(first_lsn);
    let mut file = disk.create(&name).map_err(Error::io("cannot start", disk.describe(&name)))?;
    file.append(&segment_header(first_lsn)).map_err(Error::io("cannot start", disk.describe(&name)))?;
    Ok(file)
}

/// How far the journal has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reached {
    pub lsn: u64,
    /// Checksum of that record; what follows is held against it.
    pub crc: u32,
    /// Time of the latest record.
    pub time: Option<Time>,
}

/// Where the journal shall end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cut {
    Nowhere,
    /// Before the first record that is later.
    After(Time),
}

/// Lays a base; without its outbox where a later part brings one.
pub fn lay_base<R: Read>(
    part: &mut PartReader<R>,
    view: &View,
    journal: &mut SegmentWriter,
    with_outbox: bool,
    progress: &mut dyn FnMut(u64),
) -> Result<(PartEnd, Reached), Error> {
    if part.head().kind != PartKind::Base {
        return Err(part.damaged("it is not a base"));
    }
    let mut content = part.next_content()?;
    loop {
        progress(part.raw_bytes());
        content = match content {
            Content::Frames(frames) => {
                frames.iter().try_for_each(|frame| journal.append(frame))?;
                part.next_content()?
            }
            Content::Keys(keys) => {
                let space = space_of(part, &keys)?;
                let wanted = |key: &[u8]| {
                    with_outbox
                        || (space != Space::Outbox
                            && !(space == Space::Meta && (key == MATCHER_CURSOR_KEY || key == RULES_CURSOR_KEY)))
                };
                lay_space(part, view, space, keys, &wanted, progress)?
            }
            Content::End(end) => {
                let time = end.times.map(|(_, last)| last);
                let reached = Reached { lsn: part.head().watermark, crc: end.last_crc, time };
                return Ok((end, reached));
            }
        };
    }
}

/// The outbox of a part and the matcher's cursor that belongs to it, in place of another part's.
pub fn lay_outbox<R: Read>(part: &mut PartReader<R>, view: &View) -> Result<(), Error> {
    let mut content = part.next_content()?;
    loop {
        content = match content {
            Content::Keys(keys) => match space_of(part, &keys)? {
                Space::Meta => {
                    let mut batch = ViewBatch::default();
                    keys.each(&mut |key, value| {
                        if key == MATCHER_CURSOR_KEY {
                            batch.put(Space::Meta, key, value);
                        }
                        Ok(())
                    })?;
                    view.write(batch)?;
                    part.next_content()?
                }
                Space::Outbox => lay_space(part, view, Space::Outbox, keys, &|_| true, &mut |_| {})?,
                _ => part.next_content()?,
            },
            Content::Frames(_) => part.next_content()?,
            Content::End(_) => return Ok(()),
        };
    }
}

fn space_of<R: Read>(part: &PartReader<R>, keys: &Keys) -> Result<Space, Error> {
    Space::find(&keys.space).ok_or_else(|| {
        Error::Undecodable(format!("{}: key space {} is unknown to this release", part.file(), keys.space))
    })
}

/// All chunks of one space; gives what follows them.
fn lay_space<R: Read>(
    part: &mut PartReader<R>,
    view: &View,
    space: Space,
    first: Keys,
    wanted: &dyn Fn(&[u8]) -> bool,
    progress: &mut dyn FnMut(u64),
) -> Result<Content, Error> {
    let mut behind = None;
    view.fill(space, |put: &mut Put| {
        let mut keys = first;
        loop {
            keys.each(&mut |key, value| if wanted(key) { put(key, value) } else { Ok(()) })?;
            progress(part.raw_bytes());
            match part.next_content()? {
                Content::Keys(more) if *more.space == *space.name() => keys = more,
                other => {
                    behind = Some(other);
                    return Ok(());
                }
            }
        }
    })?;
    behind.ok_or_else(|| part.damaged("it ends too early"))
}

/// Appends the records of a part behind those that were reached; whether the cut was met.
/// A part that cannot be told to follow them is refused.
pub fn lay_frames<R: Read>(
    part: &mut PartReader<R>,
    journal: &mut SegmentWriter,
    reached: &mut Reached,
    cut: Cut,
    progress: &mut dyn FnMut(u64),
) -> Result<bool, Error> {
    // An increment was taken from behind that very record; of a base it must be seen. An empty store
    // has none.
    let mut joined = match part.head().kind {
        PartKind::Increment => part.head().after == reached.lsn,
        PartKind::Base => reached.lsn == 0,
    };
    let mut is_cut = false;
    loop {
        progress(part.raw_bytes());
        let frames = match part.next_content()? {
            Content::Frames(frames) => frames,
            // Of a later base only the journal is wanted; it stands before the keys.
            Content::Keys(_) if part.head().kind == PartKind::Base && (joined || is_cut) => return Ok(is_cut),
            Content::Keys(_) => continue,
            Content::End(_) if joined || is_cut => return Ok(is_cut),
            Content::End(_) => return Err(part.damaged(format!("it does not continue record {}", reached.lsn))),
        };
        for frame in frames {
            let overlap = frame.first_lsn <= reached.lsn && reached.lsn <= frame.last_lsn();
            if overlap {
                let records = frame.records().map_err(|what| part.damaged(what))?;
                let same = records.iter().find(|(lsn, _)| *lsn == reached.lsn);
                joined = same.is_some_and(|(_, record)| crc32c::crc32c(record) == reached.crc);
                if !joined {
                    return Err(part.damaged(format!("its record {} is another one", reached.lsn)));
                }
            }
            if is_cut || frame.last_lsn() <= reached.lsn {
                continue;
            }
            if !joined || frame.first_lsn > reached.lsn + 1 {
                return Err(part.damaged(format!("it does not continue record {}", reached.lsn)));
            }
            is_cut = append_until(part, journal, reached, cut, frame)?;
        }
    }
}

fn append_until<R: Read>(
    part: &PartReader<R>,
    journal: &mut SegmentWriter,
    reached: &mut Reached,
    cut: Cut,
    frame: WholeFrame,
) -> Result<bool, Error> {
    let mut last_lsn = frame.last_lsn();
    let mut now = *reached;
    let mut is_cut = false;
    for (lsn, record) in frame.records().map_err(|what| part.damaged(what))? {
        if lsn <= reached.lsn {
            continue;
        }
        let time = Record::peek_time(record)?;
        if let Cut::After(until) = cut
            && time > until
        {
            (last_lsn, is_cut) = (lsn - 1, true);
            break;
        }
        now = Reached { lsn, crc: crc32c::crc32c(record), time: now.time.max(Some(time)) };
    }
    if let Some(frame) = frame.between(reached.lsn + 1, last_lsn).map_err(|what| part.damaged(what))? {
        if journal.next_lsn.is_some_and(|next| next != frame.first_lsn) {
            return Err(part.damaged(format!("records are missing before record {}", frame.first_lsn)));
        }
        journal.append(&frame)?;
    }
    *reached = now;
    Ok(is_cut)
}
