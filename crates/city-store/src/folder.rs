//! The data folder: who holds it, and which release wrote it.
//!
//! ```text
//! FORMAT     the version of everything below, one number
//! LOCK       held by the one process that has the folder open; says which
//! journal/   the record of truth
//! view/      state, indexes, history, outbox: made from the journal
//! keys/      secrets of this server and of the persons in it, for its own user alone; in no backup
//! RESTORING  there while a restore fills the folder; with it the folder is not opened
//! ```

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, Write};
use std::path::{Path, PathBuf};

use crate::Error;

/// Version of the folder's layout. A newer one is refused by name.
///
/// 1: the first. 2: history has blocks; a folder of 1 has none yet and becomes one of 2 when it is opened.
/// 3: records say who, and there is a trail; a folder of 2 has none yet.
/// 4: there are actuators and rules; a folder of 3 has none yet.
/// 5: personal values are sealed; what a folder of 4 has of them stays as it was written. There are accounts,
/// sources and messaging sessions.
pub const FORMAT: u32 = 5;

/// A data folder that this process alone holds.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    lock: File,
}

/// Marks a folder that a restore has not finished.
const RESTORING: &str = "RESTORING";

impl Folder {
    pub fn open(path: &Path) -> Result<Self, Error> {
        let shown = path.display().to_string();
        // What is somebody else's is left as it is, without a lock in it.
        if !path.join("FORMAT").exists() && path.is_dir() {
            refuse_strangers(path, &shown)?;
        }
        let folder = Self::locked(path)?;
        if path.join(RESTORING).exists() {
            return Err(Error::NotADataFolder { path: shown, why: "a restore into it did not finish" });
        }
        check_format(path, &shown)?;
        folder.note_holder()?;
        Ok(folder)
    }

    /// A new folder that a restore fills; `restored` makes it one that is opened.
    pub fn restoring(path: &Path, format: u32) -> Result<Self, Error> {
        let shown = path.display().to_string();
        if format > FORMAT {
            return Err(Error::NewerFormat { path: shown, found: format, known: FORMAT });
        }
        match std::fs::read_dir(path) {
            Ok(mut entries) => {
                if entries.next().is_some() {
                    return Err(Error::NotEmpty { path: shown });
                }
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(Error::io("cannot list", shown)(error)),
        }
        let folder = Self::locked(path)?;
        folder.note_holder()?;
        write_number(path, RESTORING, 1).map_err(Error::io("cannot write RESTORING in", &shown))?;
        write_number(path, "FORMAT", format).map_err(Error::io("cannot write FORMAT in", &shown))?;
        Ok(folder)
    }

    /// The restore is done: from here on the folder is as any other that this release has opened.
    pub fn restored(&self) -> Result<(), Error> {
        let done = || {
            write_number(&self.path, "FORMAT", FORMAT)?;
            std::fs::remove_file(self.path.join(RESTORING))?;
            File::open(&self.path)?.sync_all()
        };
        done().map_err(Error::io("cannot finish the restore in", self.path.display().to_string()))
    }

    /// Takes away what a restore that failed has made, so that the next one finds the folder empty.
    pub fn abandon(self) -> Result<(), Error> {
        let away = || {
            for folder in [self.journal_path(), self.view_path(), self.path.join("keys")] {
                if folder.exists() {
                    std::fs::remove_dir_all(folder)?;
                }
            }
            // The mark goes last: without it a rest would look like a store.
            ["FORMAT", "LOCK", RESTORING].iter().try_for_each(|name| std::fs::remove_file(self.path.join(name)))
        };
        away().map_err(Error::io("cannot clear", self.path.display().to_string()))
    }

    fn locked(path: &Path) -> Result<Self, Error> {
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
        Ok(Self { path: path.to_owned(), lock })
    }

    /// Says in the lock who has it.
    fn note_holder(&self) -> Result<(), Error> {
        let note = format!("process {}\n", std::process::id());
        let mut lock = &self.lock;
        lock.set_len(0)
            .and_then(|()| lock.rewind())
            .and_then(|()| lock.write_all(note.as_bytes()))
            .map_err(Error::io("cannot write the lock in", self.path.display().to_string()))
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

    /// Where a secret lies.
    #[must_use]
    pub fn key_path(&self, name: &str) -> PathBuf {
        self.path.join("keys").join(name)
    }

    /// Writes a secret that nobody but this process's user can read, durable and in one piece; where it is.
    pub fn write_key(&self, name: &str, secret: &[u8]) -> Result<PathBuf, Error> {
        let path = self.key_path(name);
        let write = || {
            use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
            let folder = self.path.join("keys");
            std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&folder)?;
            let new = folder.join(format!("{name}.new"));
            // One that a crash left behind may have been anybody's: it is not written into.
            let _ = std::fs::remove_file(&new);
            let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new)?;
            file.write_all(secret)?;
            file.sync_all()?;
            std::fs::rename(&new, &path)?;
            File::open(&folder)?.sync_all()
        };
        write().map_err(Error::io("cannot write", path.display().to_string()))?;
        Ok(path)
    }

    /// A secret that was written before.
    pub fn find_key(&self, name: &str) -> Result<Option<Vec<u8>>, Error> {
        let path = self.key_path(name);
        match std::fs::read(&path) {
            Ok(secret) => Ok(Some(secret)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Error::io("cannot read", path.display().to_string())(error)),
        }
    }
}

/// A folder without FORMAT may hold what we begin a folder with, and nothing else.
fn refuse_strangers(path: &Path, shown: &str) -> Result<(), Error> {
    let entries = std::fs::read_dir(path).map_err(Error::io("cannot list", shown))?;
    let ours = ["LOCK", "FORMAT.new"];
    match entries.flatten().any(|entry| !ours.iter().any(|own| entry.file_name() == *own)) {
        true => Err(Error::NotADataFolder { path: shown.to_owned(), why: "it has files but no file FORMAT" }),
        false => Ok(()),
    }
}

fn check_format(path: &Path, shown: &str) -> Result<(), Error> {
    let file = path.join("FORMAT");
    match std::fs::read_to_string(&file) {
        Ok(text) => match text.trim().parse::<u32>() {
            Ok(FORMAT) => Ok(()),
            Ok(found) if found < FORMAT => {
                write_number(path, "FORMAT", FORMAT).map_err(Error::io("cannot write FORMAT in", shown))
            }
            Ok(found) => Err(Error::NewerFormat { path: shown.to_owned(), found, known: FORMAT }),
            Err(_) => {
                Err(Error::NotADataFolder { path: shown.to_owned(), why: "its file FORMAT does not hold a number" })
            }
        },
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            refuse_strangers(path, shown)?;
            write_number(path, "FORMAT", FORMAT).map_err(Error::io("cannot write FORMAT in", shown))
        }
        Err(error) => Err(Error::io("cannot read FORMAT in", shown)(error)),
    }
}

/// A file with one number, durable and in one piece: a half-written FORMAT would be none.
fn write_number(folder: &Path, name: &str, number: u32) -> std::io::Result<()> {
    let new = folder.join(format!("{name}.new"));
    let mut file = File::create(&new)?;
    writeln!(file, "{number}")?;
    file.sync_all()?;
    std::fs::rename(&new, folder.join(name))?;
    File::open(folder)?.sync_all()
}
