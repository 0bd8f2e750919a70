//! How records lie in a segment file.
//!
//! ```text
//! segment  = header frame*
//! header   = "RENKEIJ1" | first lsn u64 | crc32c u32
//! frame    = "RKB1" | body bytes u32 | first lsn u64 | records u32 | crc32c u32 | body
//! body     = (record bytes u32 | crc32c u32 | version u8 | record)*
//! ```
//!
//! A frame is what one sync made durable. The next frame is written only after that sync, so a
//! broken frame with a valid one behind it is damage, and one with nothing behind it is a torn end.

use crate::record::RECORD_VERSION;

pub const SEGMENT_MAGIC: &[u8; 8] = b"RENKEIJ1";
pub const SEGMENT_HEADER_BYTES: u64 = 20;
const FRAME_MAGIC: &[u8; 4] = b"RKB1";
pub const FRAME_HEADER_BYTES: usize = 24;
pub const RECORD_HEADER_BYTES: usize = 9;

/// Largest body of a frame that is written or believed when read. What would be larger is refused before
/// anything of it is written.
pub const FRAME_BYTES_MAX: usize = 256 << 20;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FrameHeader {
    pub body_bytes: usize,
    pub first_lsn: u64,
    pub records: u32,
    crc: u32,
}

#[must_use]
pub fn segment_header(first_lsn: u64) -> Vec<u8> {
    let mut header = SEGMENT_MAGIC.to_vec();
    header.extend_from_slice(&first_lsn.to_le_bytes());
    header.extend_from_slice(&crc32c::crc32c(&header).to_le_bytes());
    header
}

/// The first lsn that a segment says it has.
#[must_use]
pub fn read_segment_header(bytes: &[u8]) -> Option<u64> {
    let (head, crc) = bytes.get(..SEGMENT_HEADER_BYTES as usize)?.split_at(16);
    let valid = head.starts_with(SEGMENT_MAGIC) && crc32c::crc32c(head).to_le_bytes() == *crc;
    valid.then(|| u64_at(head, 8)).flatten()
}

/// The body of a frame with these records.
#[must_use]
pub fn body_bytes(records: &[Vec<u8>]) -> usize {
    records.iter().map(|record| record.len() + RECORD_HEADER_BYTES).sum()
}

/// One frame with these records.
#[must_use]
pub fn encode_frame(first_lsn: u64, records: &[Vec<u8>]) -> Vec<u8> {
    let body_bytes = body_bytes(records);
    let mut frame = Vec::with_capacity(FRAME_HEADER_BYTES + body_bytes);
    frame.extend_from_slice(FRAME_MAGIC);
    frame.extend_from_slice(&u32::try_from(body_bytes).unwrap_or(u32::MAX).to_le_bytes());
    frame.extend_from_slice(&first_lsn.to_le_bytes());
    frame.extend_from_slice(&u32::try_from(records.len()).unwrap_or(u32::MAX).to_le_bytes());
    frame.extend_from_slice(&[0; 4]);
    for record in records {
        frame.extend_from_slice(&u32::try_from(record.len()).unwrap_or(u32::MAX).to_le_bytes());
        let crc = crc32c::crc32c_append(crc32c::crc32c(&[RECORD_VERSION]), record);
        frame.extend_from_slice(&crc.to_le_bytes());
        frame.push(RECORD_VERSION);
        frame.extend_from_slice(record);
    }
    let crc = crc32c::crc32c_append(crc32c::crc32c(&frame[..20]), &frame[FRAME_HEADER_BYTES..]);
    frame[20..24].copy_from_slice(&crc.to_le_bytes());
    frame
}

/// What the first bytes of a frame say; the checksum is not known to hold yet.
#[must_use]
pub fn read_frame_header(bytes: &[u8]) -> Option<FrameHeader> {
    let header = bytes.get(..FRAME_HEADER_BYTES)?;
    if !header.starts_with(FRAME_MAGIC) {
        return None;
    }
    let body_bytes = u32_at(header, 4)? as usize;
    (body_bytes <= FRAME_BYTES_MAX).then_some(FrameHeader {
        body_bytes,
        first_lsn: u64_at(header, 8)?,
        records: u32_at(header, 16)?,
        crc: u32_at(header, 20)?,
    })
}

/// Whether header and body belong together.
#[must_use]
pub fn frame_is_valid(header: &FrameHeader, header_bytes: &[u8], body: &[u8]) -> bool {
    body.len() == header.body_bytes
        && header_bytes.len() >= 20
        && crc32c::crc32c_append(crc32c::crc32c(&header_bytes[..20]), body) == header.crc
}

/// The records of a valid body, each checked again by its own checksum.
pub fn records_of(body: &[u8]) -> Result<Vec<&[u8]>, String> {
    let mut rest = body;
    let mut records = Vec::new();
    while !rest.is_empty() {
        let (header, behind) = rest.split_at_checked(RECORD_HEADER_BYTES).ok_or("a record header is cut")?;
        let bytes = u32_at(header, 0).ok_or("a record header is cut")? as usize;
        let (record, behind) = behind.split_at_checked(bytes).ok_or("a record is cut")?;
        if crc32c::crc32c_append(crc32c::crc32c(&header[8..9]), record).to_le_bytes() != header[4..8] {
            return Err("the checksum of a record does not match".to_owned());
        }
        if header[8] != RECORD_VERSION {
            return Err(format!("record version {} is unknown to this release", header[8]));
        }
        records.push(record);
        rest = behind;
    }
    Ok(records)
}

/// One frame as it lies in a segment, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WholeFrame {
    pub first_lsn: u64,
    pub records: u32,
    bytes: Vec<u8>,
}

impl WholeFrame {
    /// The frame that `bytes` begin with.
    pub fn parse(bytes: &[u8]) -> Result<Self, &'static str> {
        let header = read_frame_header(bytes).ok_or("no frame begins here")?;
        let whole = bytes.get(..FRAME_HEADER_BYTES + header.body_bytes).ok_or("a frame is cut")?;
        if !frame_is_valid(&header, whole, &whole[FRAME_HEADER_BYTES..]) {
            return Err("the checksum of a frame does not match");
        }
        Ok(Self { first_lsn: header.first_lsn, records: header.records, bytes: whole.to_vec() })
    }

    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    #[must_use]
    pub fn last_lsn(&self) -> u64 {
        (self.first_lsn + u64::from(self.records)).saturating_sub(1)
    }

    /// Its records with their places.
    pub fn records(&self) -> Result<Vec<(u64, &[u8])>, String> {
        let records = records_of(&self.bytes[FRAME_HEADER_BYTES..])?;
        if records.len() != self.records as usize {
            return Err("a frame holds another number of records than it says".to_owned());
        }
        Ok((self.first_lsn..).zip(records).collect())
    }

    /// A frame with those of its records that lie between; `None` where none does.
    pub fn between(self, first_lsn: u64, last_lsn: u64) -> Result<Option<Self>, String> {
        if first_lsn <= self.first_lsn && self.last_lsn() <= last_lsn {
            return Ok(Some(self));
        }
        let kept: Vec<(u64, Vec<u8>)> = (self.records()?.into_iter())
            .filter(|(lsn, _)| (first_lsn..=last_lsn).contains(lsn))
            .map(|(lsn, record)| (lsn, record.to_vec()))
            .collect();
        let Some((first_lsn, _)) = kept.first() else { return Ok(None) };
        let (first_lsn, records): (u64, Vec<Vec<u8>>) =
            (*first_lsn, kept.into_iter().map(|(_, record)| record).collect());
        let bytes = encode_frame(first_lsn, &records);
        Ok(Some(Self { first_lsn, records: records.len() as u32, bytes }))
    }
}

/// Whether a whole valid frame with an lsn of at least `lsn_min` starts anywhere in `bytes`.
#[must_use]
pub fn holds_valid_frame(bytes: &[u8], lsn_min: u64) -> bool {
    let mut from = 0;
    while let Some(at) = bytes[from..].windows(4).position(|window| window == FRAME_MAGIC) {
        let start = from + at;
        if let Some(header) = read_frame_header(&bytes[start..]) {
            let body = start + FRAME_HEADER_BYTES;
            if let Some(body) = bytes.get(body..body + header.body_bytes)
                && header.first_lsn >= lsn_min
                && frame_is_valid(&header, &bytes[start..], body)
            {
                return true;
            }
        }
        from = start + 1;
    }
    false
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(bytes.get(at..at + 8)?.try_into().ok()?))
}
