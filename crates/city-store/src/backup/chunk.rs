//! Chunks: what a backup consists of, compressed and checked one by one.
//!
//! ```text
//! part   = chunk*                      head, frames*, keys*, end
//! chunk  = "RKC1" | kind u8 | number u32 | raw bytes u32 | stored bytes u32 | crc32c u32 | stored
//! stored = LZ4 block of the body
//! ```
//!
//! The checksum covers the header and what is stored; the numbers rise from 0, so that nothing is
//! lost, doubled or moved unnoticed.

/// A chunk is closed once its body holds so many bytes.
pub const CHUNK_BYTES: usize = 1 << 20;
/// Largest body of a chunk that is written or believed when read: a frame of the journal and its surroundings.
const CHUNK_BYTES_MAX: usize = 320 << 20;
pub const CHUNK_HEADER_BYTES: usize = 21;
const MAGIC: &[u8; 4] = b"RKC1";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChunkKind {
    /// What the part is; the first chunk.
    Head,
    /// Frames of the journal, as they lie in its segments.
    Frames,
    /// Keys and values of one key space.
    Keys,
    /// What the part held; the last chunk. Without it the part is not whole.
    End,
    /// The server could not go on; why.
    Failed,
}

impl ChunkKind {
    fn number(self) -> u8 {
        match self {
            Self::Head => 1,
            Self::Frames => 2,
            Self::Keys => 3,
            Self::End => 4,
            Self::Failed => 5,
        }
    }

    fn from_number(number: u8) -> Option<Self> {
        [Self::Head, Self::Frames, Self::Keys, Self::End, Self::Failed].into_iter().find(|kind| kind.number() == number)
    }
}

/// One chunk, opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chunk {
    pub kind: ChunkKind,
    pub number: u32,
    pub body: Vec<u8>,
}

/// A chunk as it is stored and sent.
#[must_use]
pub fn seal(kind: ChunkKind, number: u32, body: &[u8]) -> Vec<u8> {
    let stored = lz4_flex::block::compress(body);
    let mut chunk = Vec::with_capacity(CHUNK_HEADER_BYTES + stored.len());
    chunk.extend_from_slice(MAGIC);
    chunk.push(kind.number());
    chunk.extend_from_slice(&number.to_le_bytes());
    chunk.extend_from_slice(&u32::try_from(body.len()).unwrap_or(u32::MAX).to_le_bytes());
    chunk.extend_from_slice(&u32::try_from(stored.len()).unwrap_or(u32::MAX).to_le_bytes());
    let crc = crc32c::crc32c_append(crc32c::crc32c(&chunk), &stored);
    chunk.extend_from_slice(&crc.to_le_bytes());
    chunk.extend_from_slice(&stored);
    chunk
}

/// How many bytes follow this header.
pub fn stored_bytes(header: &[u8; CHUNK_HEADER_BYTES]) -> Result<usize, &'static str> {
    if !header.starts_with(MAGIC) {
        return Err("no chunk begins here");
    }
    let stored = u32_at(header, 13) as usize;
    if stored > CHUNK_BYTES_MAX { Err("a chunk says that it is impossibly long") } else { Ok(stored) }
}

/// A chunk from its header and what followed it.
pub fn open(header: &[u8; CHUNK_HEADER_BYTES], stored: &[u8]) -> Result<Chunk, &'static str> {
    if crc32c::crc32c_append(crc32c::crc32c(&header[..17]), stored) != u32_at(header, 17) {
        return Err("the checksum of a chunk does not match");
    }
    let kind = ChunkKind::from_number(header[4]).ok_or("a chunk is of an unknown kind")?;
    let raw_bytes = u32_at(header, 9) as usize;
    if raw_bytes > CHUNK_BYTES_MAX {
        return Err("a chunk says that it is impossibly long");
    }
    let body = lz4_flex::block::decompress(stored, raw_bytes).map_err(|_| "a chunk cannot be decompressed")?;
    if body.len() != raw_bytes {
        return Err("a chunk has another length than it says");
    }
    Ok(Chunk { kind, number: u32_at(header, 5), body })
}

fn u32_at(header: &[u8; CHUNK_HEADER_BYTES], at: usize) -> u32 {
    u32::from_le_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]])
}

/// Puts chunks together from pieces as a connection gives them.
#[derive(Debug, Default)]
pub struct Scanner {
    buffer: Vec<u8>,
    at: usize,
}

impl Scanner {
    pub fn push(&mut self, piece: &[u8]) {
        self.buffer.drain(..self.at);
        self.at = 0;
        self.buffer.extend_from_slice(piece);
    }

    /// The next whole chunk, as it was sent and opened.
    pub fn next_chunk(&mut self) -> Result<Option<(&[u8], Chunk)>, &'static str> {
        let rest = &self.buffer[self.at..];
        let Some((header, behind)) = rest.split_first_chunk() else { return Ok(None) };
        let Some(stored) = behind.get(..stored_bytes(header)?) else { return Ok(None) };
        let chunk = open(header, stored)?;
        let sent = self.at..self.at + CHUNK_HEADER_BYTES + stored.len();
        self.at = sent.end;
        Ok(Some((&self.buffer[sent], chunk)))
    }

    /// Whether nothing of a further chunk has come.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.at == self.buffer.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flipped_bit_anywhere_in_a_chunk_is_noticed() {
        let chunk = seal(ChunkKind::Keys, 7, b"state, and many many many many many words of it");
        let read = |bytes: &[u8]| {
            let (header, behind) = bytes.split_first_chunk::<CHUNK_HEADER_BYTES>().unwrap();
            let stored = behind.get(..stored_bytes(header)?).ok_or("it is cut")?;
            open(header, stored)
        };
        assert_eq!(read(&chunk).unwrap().number, 7);
        for bit in 0..chunk.len() * 8 {
            let mut flipped = chunk.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(read(&flipped).is_err(), "bit {bit}");
        }
    }

    #[test]
    fn chunks_are_found_however_they_are_cut() {
        let sent: Vec<u8> = (0..5u32).flat_map(|n| seal(ChunkKind::Keys, n, &vec![n as u8; 3_000])).collect();
        for size in [1, 7, 21, 22, 1_000, sent.len()] {
            let mut scanner = Scanner::default();
            let mut numbers = Vec::new();
            for piece in sent.chunks(size) {
                scanner.push(piece);
                while let Some((_, chunk)) = scanner.next_chunk().unwrap() {
                    numbers.push(chunk.number);
                }
            }
            assert_eq!(numbers, [0, 1, 2, 3, 4], "in pieces of {size}");
            assert!(scanner.is_empty());
        }
    }
}
