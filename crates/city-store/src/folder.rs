//! The data folder: who holds it, and which release wrote it.
//!
//! ```text
//! FORMAT     the version of everything below, one number
//! LOCK       held by the one process that has the folder open; says which
//! journal/   the record of truth
//! view/      state, indexes, history, outbox: made from the journal
//! ```

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, Write};
use std::path::{Path, PathBuf};

use crate::Error;

/// Version of the folder's layout. A newer one is refused by name.
///
/// 1: the first. 2: history has blocks; a folder of 1 has none yet and becomes one of 2 when it is opened.
pub const FORMAT: u32 = 2;

/// A data folder that this process alone holds.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    _lock: File,
}

impl Folder {
    pub fn open(path: &Path) -> Result<Self, Error> {
        let shown = path.display().to_string();
        std::fs::create_dir_all(path).map_err(Error::io("cannot make", &shown))?;
        let mut lock = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path.join("LOCK"))
            .map_err(Error::io("cannot open the lock in", &shown))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(std::fs::TryLockError::WouldBlock) => {
                let mut holder = String::new();
                let _ = lock.read_to_string(&mut holder);
                let holder = holder.trim();
                let holder = if holder.is_empty() { String::new() } else { format!(" ({holder})") };
                return Err(Error::InUse { path: shown, holder });
            }
            Err(std::fs::TryLockError::Error(source)) => return Err(Error::io("cannot lock", shown)(source)),
        }
        check_format(path, &shown)?;
        let note = format!("process {}\n", std::process::id());
        lock.set_len(0)
            .and_then(|()| lock.rewind())
            .and_then(|()| lock.write_all(note.as_bytes()))
            .map_err(Error::io("cannot write the lock in", &shown))?;
        Ok(Self { path: path.to_owned(), _lock: lock })
    }

    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    #[must_use]
    pub fn journal_path(&self) -> PathBuf {
        self.path.join("journal")
    }

    #[must_use]
    pub fn view_path(&self) -> PathBuf {
        self.path.join("view")
    }
}

fn check_format(path: &Path, shown: &str) -> Result<(), Error> {
    let file = path.join("FORMAT");
    match std::fs::read_to_string(&file) {
        Ok(text) => match text.trim().parse::<u32>() {
            Ok(FORMAT) => Ok(()),
            Ok(found) if found < FORMAT => write_format(path).map_err(Error::io("cannot write FORMAT in", shown)),
            Ok(found) => Err(Error::NewerFormat { path: shown.to_owned(), found, known: FORMAT }),
            Err(_) => {
                Err(Error::NotADataFolder { path: shown.to_owned(), why: "its file FORMAT does not hold a number" })
            }
        },
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let entries = std::fs::read_dir(path).map_err(Error::io("cannot list", shown))?;
            let ours = ["LOCK", "FORMAT.new"];
            let strangers = entries.flatten().any(|entry| !ours.iter().any(|own| entry.file_name() == *own));
            if strangers {
                return Err(Error::NotADataFolder { path: shown.to_owned(), why: "it has files but no file FORMAT" });
            }
            write_format(path).map_err(Error::io("cannot write FORMAT in", shown))
        }
        Err(error) => Err(Error::io("cannot read FORMAT in", shown)(error)),
    }
}

/// In one piece: a folder whose FORMAT is half written would be none.
fn write_format(path: &Path) -> std::io::Result<()> {
    let new = path.join("FORMAT.new");
    let mut file = File::create(&new)?;
    writeln!(file, "{FORMAT}")?;
    file.sync_all()?;
    std::fs::rename(&new, path.join("FORMAT"))?;
    File::open(path)?.sync_all()
}
