//! One segment as a whole: each frame is checked, and what was found is said.

use super::INDEX_STRIDE_BYTES;
use crate::disk::Disk;
use crate::frame::{FRAME_HEADER_BYTES, SEGMENT_HEADER_BYTES, frame_is_valid, holds_valid_frame, read_frame_header};
use crate::{Error, error_len};

pub struct Frames {
    pub next_lsn: u64,
    pub index: Vec<(u64, u64)>,
    pub broken_at: Option<u64>,
    pub valid_behind: bool,
}

/// Reads a whole segment, checking every frame, and indexes it.
pub fn read_frames(disk: &dyn Disk, name: &str, first_lsn: u64) -> Result<Frames, Error> {
    let mut frames = Frames { next_lsn: first_lsn, index: Vec::new(), broken_at: None, valid_behind: false };
    let path = || disk.describe(name);
    let file = disk.open(name).map_err(Error::io("cannot open", path()))?;
    let mut bytes = vec![0; error_len(&*file, disk, name)? as usize];
    let read = file.read_at(0, &mut bytes).map_err(Error::io("cannot read", path()))?;
    bytes.truncate(read);
    let mut offset = SEGMENT_HEADER_BYTES as usize;
    let mut last_index = 0;
    while offset < bytes.len() {
        let header = read_frame_header(&bytes[offset..]);
        let body =
            header.and_then(|h| bytes.get(offset + FRAME_HEADER_BYTES..offset + FRAME_HEADER_BYTES + h.body_bytes));
        match (header, body) {
            (Some(header), Some(body))
                if header.first_lsn == frames.next_lsn && frame_is_valid(&header, &bytes[offset..], body) =>
            {
                if last_index == 0 || (offset - last_index) as u64 >= INDEX_STRIDE_BYTES {
                    frames.index.push((header.first_lsn, offset as u64));
                    last_index = offset;
                }
                frames.next_lsn += u64::from(header.records);
                offset += FRAME_HEADER_BYTES + header.body_bytes;
            }
            _ => {
                frames.broken_at = Some(offset as u64);
                frames.valid_behind = holds_valid_frame(&bytes[offset + 1..], frames.next_lsn);
                break;
            }
        }
    }
    Ok(frames)
}
