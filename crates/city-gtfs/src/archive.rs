//! A feed as it comes: a zip archive of text files. Sizes are bounded before and while a file is unpacked: what an
//! archive says of itself is not believed.

use std::io::{Cursor, Read};

use crate::Error;

/// Longest archive, in bytes.
pub const ARCHIVE_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Longest file of an archive, unpacked.
pub const FILE_BYTES_MAX: u64 = 1024 * 1024 * 1024;
/// All files of an archive, unpacked.
pub const FEED_BYTES_MAX: u64 = 2 * 1024 * 1024 * 1024;
/// Most files of an archive.
pub const FILES_MAX: usize = 200;

/// An archive whose sizes are within bounds.
pub struct Archive<'a> {
    zip: zip::ZipArchive<Cursor<&'a [u8]>>,
}

impl<'a> Archive<'a> {
    pub fn open(bytes: &'a [u8]) -> Result<Self, Error> {
        if bytes.len() > ARCHIVE_BYTES_MAX {
            let (bytes, max) = (bytes.len() as u64, ARCHIVE_BYTES_MAX as u64);
            return Err(Error::TooLarge { file: "the archive".to_owned(), bytes, max });
        }
        let mut zip = zip::ZipArchive::new(Cursor::new(bytes)).map_err(|error| Error::Archive(error.to_string()))?;
        if zip.len() > FILES_MAX {
            return Err(Error::TooManyFiles { files: zip.len(), max: FILES_MAX });
        }
        let mut total = 0_u64;
        for at in 0..zip.len() {
            let file = zip.by_index_raw(at).map_err(|error| Error::Archive(error.to_string()))?;
            if file.size() > FILE_BYTES_MAX {
                return Err(Error::TooLarge { file: file.name().to_owned(), bytes: file.size(), max: FILE_BYTES_MAX });
            }
            total = total.saturating_add(file.size());
        }
        if total > FEED_BYTES_MAX {
            return Err(Error::TooLarge { file: "the unpacked feed".to_owned(), bytes: total, max: FEED_BYTES_MAX });
        }
        let is_below = |name: &str| name.ends_with("/agency.txt") && !name.starts_with("__MACOSX/");
        if !zip.file_names().any(|name| name == "agency.txt")
            && let Some(below) = zip.file_names().find(|name| is_below(name))
        {
            let why = format!("its files lie in a folder ({below}); GTFS has them at the top of the archive");
            return Err(Error::Archive(why));
        }
        Ok(Self { zip })
    }

    /// Unpacks all files, to nothing, and counts: for readers that believe what an archive says of itself.
    pub fn measure(&mut self) -> Result<(), Error> {
        let mut total = 0;
        for at in 0..self.zip.len() {
            let file = self.zip.by_index(at).map_err(|error| Error::Archive(error.to_string()))?;
            let name = file.name().to_owned();
            let unpacked = std::io::copy(&mut file.take(FILE_BYTES_MAX + 1), &mut std::io::sink());
            let bytes = unpacked.map_err(|error| Error::Archive(format!("{name}: {error}")))?;
            if bytes > FILE_BYTES_MAX {
                return Err(Error::TooLarge { file: name, bytes, max: FILE_BYTES_MAX });
            }
            total += bytes;
            if total > FEED_BYTES_MAX {
                let file = "the unpacked feed".to_owned();
                return Err(Error::TooLarge { file, bytes: total, max: FEED_BYTES_MAX });
            }
        }
        Ok(())
    }

    /// A file, unpacked; `None` where there is none of this name.
    pub fn file(&mut self, name: &str) -> Result<Option<Vec<u8>>, Error> {
        let broken = |error: &dyn std::fmt::Display| Error::Archive(format!("{name}: {error}"));
        let file = match self.zip.by_name(name) {
            Ok(file) => file,
            Err(zip::result::ZipError::FileNotFound) => return Ok(None),
            Err(error) => return Err(broken(&error)),
        };
        let mut bytes = Vec::new();
        let read = file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes);
        read.map_err(|error| broken(&error))?;
        if bytes.len() as u64 > FILE_BYTES_MAX {
            let bytes = bytes.len() as u64;
            return Err(Error::TooLarge { file: name.to_owned(), bytes, max: FILE_BYTES_MAX });
        }
        Ok(Some(bytes))
    }
}
