//! A log in a file that stays within its bound.
//!
//! Lines come in; they are appended to the file, which is renamed to `.1` when it is full, `.1` to
//! `.2` and so on, and the oldest goes. A line that the file cannot take goes to the standard error
//! stream: a full disk must not silence the log, nor stop the server.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tracing_subscriber::fmt::MakeWriter;

/// How large a log may become, and where it lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    pub path: PathBuf,
    /// A file that would become larger is put aside first.
    pub bytes_max: u64,
    /// Files altogether, the one that is written included.
    pub files_max: u32,
}

/// The file that is written now; clones share it.
#[derive(Debug, Clone)]
pub struct LogFile(Arc<Mutex<Rotating>>);

#[derive(Debug)]
struct Rotating {
    settings: Settings,
    /// `None` after a rotation that failed half way; the next line tries again.
    file: Option<File>,
    bytes: u64,
}

impl LogFile {
    /// Goes on behind what the file holds already.
    pub fn begin(settings: Settings) -> io::Result<Self> {
        let file = append_to(&settings.path)?;
        let bytes = file.metadata()?.len();
        Ok(Self(Arc::new(Mutex::new(Rotating { settings, file: Some(file), bytes }))))
    }
}

impl<'a> MakeWriter<'a> for LogFile {
    type Writer = Line<'a>;

    fn make_writer(&'a self) -> Line<'a> {
        // A panic while a line was written leaves at worst half a line behind.
        Line(self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Writes one event; no other line comes in between.
pub struct Line<'a>(MutexGuard<'a, Rotating>);

impl Write for Line<'_> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if self.0.take(line).is_err() {
            io::stderr().write_all(line)?;
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Rotating {
    fn take(&mut self, line: &[u8]) -> io::Result<()> {
        let full = self.bytes > 0 && self.bytes + line.len() as u64 > self.settings.bytes_max;
        if full || self.file.is_none() {
            self.rotate(full)?;
        }
        let Some(file) = &mut self.file else { return Err(io::ErrorKind::NotFound.into()) };
        // What was written of a line that did not fit on the disk counts: the bound is the file's.
        let written = file.write_all(line);
        self.bytes = file.metadata().map_or(self.bytes + line.len() as u64, |metadata| metadata.len());
        written
    }

    fn rotate(&mut self, full: bool) -> io::Result<()> {
        self.file = None;
        let Settings { path, files_max, .. } = &self.settings;
        if full {
            match files_max.checked_sub(2) {
                Some(last) => {
                    for number in (1..=last).rev() {
                        rename_if_there(&numbered(path, number), &numbered(path, number + 1))?;
                    }
                    rename_if_there(path, &numbered(path, 1))?;
                }
                // One file alone begins anew.
                None => match std::fs::remove_file(path) {
                    Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                    _ => {}
                },
            }
        }
        let file = append_to(path)?;
        self.bytes = file.metadata()?.len();
        self.file = Some(file);
        Ok(())
    }
}

fn append_to(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).open(path)
}

/// `renkei.log.1` is the newest of those that were put aside.
fn numbered(path: &Path, number: u32) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{number}"));
    name.into()
}

fn rename_if_there(from: &Path, to: &Path) -> io::Result<()> {
    match std::fs::rename(from, to) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        renamed => renamed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(folder: &Path, bytes_max: u64, files_max: u32) -> LogFile {
        LogFile::begin(Settings { path: folder.join("renkei.log"), bytes_max, files_max }).unwrap()
    }

    fn files(folder: &Path) -> Vec<(String, String)> {
        let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        let mut files: Vec<_> = entries
            .map(|path| {
                (path.file_name().unwrap().to_string_lossy().into_owned(), std::fs::read_to_string(&path).unwrap())
            })
            .collect();
        files.sort();
        files
    }

    #[test]
    fn files_are_put_aside_when_full_and_the_oldest_goes() {
        let folder = tempfile::tempdir().unwrap();
        let log = open(folder.path(), 25, 3);
        for number in 0..9 {
            log.make_writer().write_all(format!("line {number} ..\n").as_bytes()).unwrap();
        }
        let expected = [
            ("renkei.log", "line 8 ..\n"),
            ("renkei.log.1", "line 6 ..\nline 7 ..\n"),
            ("renkei.log.2", "line 4 ..\nline 5 ..\n"),
        ];
        assert_eq!(files(folder.path()), expected.map(|(name, text)| (name.to_owned(), text.to_owned())));
    }

    #[test]
    fn a_log_goes_on_behind_what_is_there_and_one_file_alone_begins_anew() {
        let folder = tempfile::tempdir().unwrap();
        for number in 0..4 {
            let log = open(folder.path(), 25, 1);
            log.make_writer().write_all(format!("line {number} ..\n").as_bytes()).unwrap();
        }
        let expected = [("renkei.log".to_owned(), "line 2 ..\nline 3 ..\n".to_owned())];
        assert_eq!(files(folder.path()), expected);
    }

    #[test]
    fn a_line_larger_than_a_file_has_a_file_of_its_own() {
        let folder = tempfile::tempdir().unwrap();
        let log = open(folder.path(), 10, 2);
        for line in ["short\n", "much longer than ten bytes\n", "short\n"] {
            log.make_writer().write_all(line.as_bytes()).unwrap();
        }
        let found = files(folder.path());
        assert_eq!((found.len(), found[1].1.as_str()), (2, "much longer than ten bytes\n"));
    }

    #[test]
    fn a_line_that_no_file_takes_is_not_an_error_of_its_writer_and_the_next_one_is_tried_again() {
        let folder = tempfile::tempdir().unwrap();
        let log = open(folder.path(), 10, 2);
        log.make_writer().write_all(b"12345678\n").unwrap();
        // A folder in the way of the file that is put aside.
        let in_the_way = folder.path().join("renkei.log.1");
        std::fs::create_dir_all(in_the_way.join("x")).unwrap();
        log.make_writer().write_all(b"to stderr\n").unwrap();
        std::fs::remove_dir_all(&in_the_way).unwrap();
        log.make_writer().write_all(b"kept\n").unwrap();
        let found = files(folder.path());
        assert!(found.iter().any(|(_, text)| text.contains("kept")), "{found:?}");
        assert!(found.iter().all(|(_, text)| !text.contains("stderr")), "{found:?}");
    }
}
