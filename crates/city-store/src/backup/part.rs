//! Reading a part: bytes come in, checked contents go out, and at the end what was read is held
//! against what the part says that it held.

use std::io::Read;

use super::chunk::{CHUNK_HEADER_BYTES, Chunk, ChunkKind, open, stored_bytes};
use super::{PartEnd, PartHead};
use crate::Error;
use crate::codec::Reader;
use crate::frame::WholeFrame;
use crate::record::Record;

/// Something of a part.
#[derive(Debug)]
pub enum Content {
    /// Frames of the journal, in order.
    Frames(Vec<WholeFrame>),
    Keys(Keys),
    /// The part is whole; nothing follows.
    End(PartEnd),
}

/// Keys and values of one key space, in order.
#[derive(Debug)]
pub struct Keys {
    pub space: Box<str>,
    /// The name of the space, then keys and values.
    body: Vec<u8>,
}

impl Keys {
    pub fn each(&self, see: &mut dyn FnMut(&[u8], &[u8]) -> Result<(), Error>) -> Result<(), Error> {
        let mut from = Reader::new(&self.body);
        from.text()?;
        while !from.is_empty() {
            see(from.raw()?, from.raw()?)?;
        }
        Ok(())
    }
}

/// Reads a part from its beginning to its end.
pub struct PartReader<R> {
    file: String,
    input: R,
    head: PartHead,
    number: u32,
    /// What was seen so far, as the last chunk shall say it.
    seen: PartEnd,
    next_lsn: Option<u64>,
    ended: bool,
}

impl<R: Read> PartReader<R> {
    /// `file` is what messages call it.
    pub fn open(file: impl Into<String>, input: R) -> Result<Self, Error> {
        let file = file.into();
        let head = PartHead {
            kind: super::PartKind::Base,
            folder_format: 0,
            release: "".into(),
            taken_at: city_model::Time::UNSET,
            after: 0,
            watermark: 0,
        };
        let mut part = Self { file, input, head, number: 0, seen: PartEnd::default(), next_lsn: None, ended: false };
        let chunk = part.chunk()?;
        if chunk.kind != ChunkKind::Head {
            return Err(part.damaged("it does not begin with what it is"));
        }
        part.head = PartHead::decode(&chunk.body, &part.file).map_err(|error| part.undecodable(error))?;
        Ok(part)
    }

    #[must_use]
    pub fn head(&self) -> &PartHead {
        &self.head
    }

    /// Where it is read from.
    #[must_use]
    pub fn input(&self) -> &R {
        &self.input
    }

    #[must_use]
    pub fn file(&self) -> &str {
        &self.file
    }

    /// Bytes of contents read so far, before compression.
    #[must_use]
    pub fn raw_bytes(&self) -> u64 {
        self.seen.raw_bytes
    }

    pub fn damaged(&self, what: impl Into<String>) -> Error {
        Error::BackupDamaged { file: self.file.clone(), what: what.into() }
    }

    fn undecodable(&self, error: Error) -> Error {
        match error {
            Error::Undecodable(what) => self.damaged(what),
            other => other,
        }
    }

    /// The next of its contents; an error once it has ended.
    pub fn next_content(&mut self) -> Result<Content, Error> {
        if self.ended {
            return Err(self.damaged("it goes on behind its end"));
        }
        let raw_bytes = self.seen.raw_bytes;
        let chunk = self.chunk()?;
        match chunk.kind {
            ChunkKind::Frames => self.frames(&chunk.body).map(Content::Frames),
            ChunkKind::Keys => self.keys(chunk.body).map(Content::Keys),
            ChunkKind::End => {
                self.seen.raw_bytes = raw_bytes;
                self.end(&chunk.body).map(Content::End)
            }
            ChunkKind::Failed => {
                let why = String::from_utf8_lossy(&chunk.body).into_owned();
                Err(self.damaged(format!("the server could not go on: {why}")))
            }
            ChunkKind::Head => Err(self.damaged("it begins twice")),
        }
    }

    fn chunk(&mut self) -> Result<Chunk, Error> {
        let mut header = [0; CHUNK_HEADER_BYTES];
        self.fill(&mut header)?;
        let mut stored = vec![0; stored_bytes(&header).map_err(|what| self.at(what))?];
        self.fill(&mut stored)?;
        let chunk = open(&header, &stored).map_err(|what| self.at(what))?;
        if chunk.number != self.number {
            return Err(self.damaged(format!("chunk {} stands in the place of {}", chunk.number, self.number)));
        }
        self.number += 1;
        self.seen.raw_bytes += chunk.body.len() as u64;
        Ok(chunk)
    }

    fn at(&self, what: &str) -> Error {
        self.damaged(format!("{what}, at chunk {}", self.number))
    }

    fn fill(&mut self, into: &mut [u8]) -> Result<(), Error> {
        self.input.read_exact(into).map_err(|source| match source.kind() {
            std::io::ErrorKind::UnexpectedEof => self.damaged("it ends too early"),
            _ => Error::io("cannot read", &self.file)(source),
        })
    }

    fn frames(&mut self, body: &[u8]) -> Result<Vec<WholeFrame>, Error> {
        let mut frames = Vec::new();
        let mut rest = body;
        while !rest.is_empty() {
            let frame = WholeFrame::parse(rest).map_err(|what| self.damaged(what))?;
            rest = &rest[frame.bytes().len()..];
            if self.next_lsn.is_some_and(|next| next != frame.first_lsn) {
                return Err(self.damaged(format!("records are missing before record {}", frame.first_lsn)));
            }
            self.next_lsn = Some(frame.last_lsn() + 1);
            for (lsn, record) in frame.records().map_err(|what| self.damaged(what))? {
                let time = Record::peek_time(record).map_err(|error| self.undecodable(error))?;
                self.seen.see_record(lsn, time, crc32c::crc32c(record));
            }
            frames.push(frame);
        }
        Ok(frames)
    }

    fn keys(&mut self, body: Vec<u8>) -> Result<Keys, Error> {
        let space = Reader::new(&body).text().map_err(|error| self.undecodable(error))?.into();
        let keys = Keys { space, body };
        let mut values = 0;
        let counted = keys.each(&mut |_, _| {
            values += 1;
            Ok(())
        });
        counted.map_err(|error| self.undecodable(error))?;
        self.seen.see_values(&keys.space, values);
        Ok(keys)
    }

    fn end(&mut self, body: &[u8]) -> Result<PartEnd, Error> {
        let end = PartEnd::decode(body).map_err(|error| self.undecodable(error))?;
        let has_values = |end: &PartEnd| {
            let mut values: Vec<_> = end.values.iter().filter(|(_, count)| *count > 0).cloned().collect();
            values.sort();
            values
        };
        let seen = &self.seen;
        let told = (end.records, end.first_lsn, end.times, end.raw_bytes, has_values(&end));
        if told != (seen.records, seen.first_lsn, seen.times, seen.raw_bytes, has_values(seen)) {
            return Err(self.damaged("it holds something else than it says at its end"));
        }
        if end.records > 0 && (end.last_crc != seen.last_crc || self.next_lsn != Some(self.head.watermark + 1)) {
            return Err(self.damaged("its records end elsewhere than it says"));
        }
        if self.input.read(&mut [0]).map_err(Error::io("cannot read", &self.file))? > 0 {
            return Err(self.damaged("something follows its end"));
        }
        self.ended = true;
        Ok(end)
    }
}
