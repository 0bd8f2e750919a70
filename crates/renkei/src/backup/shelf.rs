//! The folder that backups lie in.
//!
//! ```text
//! DIR/LOCK                         held while a backup is written
//! DIR/base-20261127T043000Z/       a base and the increments after it
//!     0000.part  0000.json         the base and its manifest
//!     0001.part  0001.json         the first increment, and so on
//! DIR/making-…                     a base under way; what is left of one is removed by the next backup
//! ```
//!
//! A part counts once its manifest stands beside it; the manifest is written last, under another
//! name, synced, and renamed. So what was broken off never looks whole.

use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use city_store::Error;
use ring::digest::{Context as Digest, SHA256};

use super::manifest::Manifest;

const BASE: &str = "base-";
const MAKING: &str = "making-";
const LOCK: &str = "LOCK";
const PARTIAL: &str = "partial";

/// The folder, locked for the time that this lives.
pub struct Shelf {
    path: PathBuf,
    _lock: Option<File>,
}

/// A base and its increments.
#[derive(Debug, Clone)]
pub struct Set {
    pub path: PathBuf,
    pub parts: Vec<Part>,
}

/// A file with its manifest.
#[derive(Debug, Clone)]
pub struct Part {
    pub path: PathBuf,
    pub manifest: Manifest,
}

impl Set {
    pub fn name(&self) -> String {
        self.path.file_name().unwrap_or_default().to_string_lossy().into_owned()
    }

    pub fn base(&self) -> Result<&Part> {
        Ok(self.parts.first().ok_or_else(|| damaged(&self.path, "it has no base"))?)
    }

    pub fn last(&self) -> Result<&Part> {
        Ok(self.parts.last().ok_or_else(|| damaged(&self.path, "it has no base"))?)
    }
}

pub fn damaged(path: &Path, what: impl Into<String>) -> Error {
    Error::BackupDamaged { file: path.display().to_string(), what: what.into() }
}

fn not_a_backup(path: &Path, why: &str) -> Error {
    Error::NotABackup { path: path.display().to_string(), why: why.to_owned() }
}

impl Shelf {
    /// For reading: there must be a base.
    pub fn open(path: &Path) -> Result<Self> {
        if !path.is_dir() {
            return Err(not_a_backup(path, "it is no folder").into());
        }
        // A medium that cannot be written needs no lock.
        let lock = File::open(path.join(LOCK)).ok();
        if lock.as_ref().is_some_and(|lock| lock.try_lock_shared().is_err()) {
            return Err(Error::InUse { path: path.display().to_string(), holder: " (a backup)".to_owned() }.into());
        }
        let shelf = Self { path: path.to_owned(), _lock: lock };
        if shelf.folders(BASE)?.is_empty() {
            return Err(not_a_backup(path, "there is no base in it").into());
        }
        Ok(shelf)
    }

    /// For writing: a new or empty folder, or one with backups. What was broken off is removed.
    pub fn make(path: &Path) -> Result<Self> {
        std::fs::create_dir_all(path).with_context(|| format!("{} cannot be made", path.display()))?;
        let mut shelf = Self { path: path.to_owned(), _lock: None };
        let ours = |name: &str| name == LOCK || name.starts_with(BASE) || name.starts_with(MAKING);
        if names(path)?.iter().any(|name| !ours(name)) {
            return Err(not_a_backup(path, "it holds other things; choose an empty folder").into());
        }
        let lock_path = path.join(LOCK);
        let lock = File::options().create(true).truncate(false).write(true).open(&lock_path);
        let lock = lock.with_context(|| format!("{} cannot be written", lock_path.display()))?;
        if lock.try_lock().is_err() {
            let holder = " (another backup, a restore or a verification)".to_owned();
            return Err(Error::InUse { path: path.display().to_string(), holder }.into());
        }
        shelf._lock = Some(lock);
        for folder in shelf.folders(MAKING)? {
            std::fs::remove_dir_all(&folder).with_context(|| format!("{} cannot be removed", folder.display()))?;
        }
        for folder in shelf.folders(BASE)? {
            for leftover in leftovers(&folder)? {
                std::fs::remove_file(&leftover).with_context(|| format!("{} cannot be removed", leftover.display()))?;
            }
        }
        Ok(shelf)
    }

    fn folders(&self, prefix: &str) -> Result<Vec<PathBuf>> {
        let names = names(&self.path)?.into_iter().filter(|name| name.starts_with(prefix));
        Ok(names.map(|name| self.path.join(name)).filter(|path| path.is_dir()).collect())
    }

    /// Every base with its increments, oldest first.
    pub fn sets(&self) -> Result<Vec<Set>> {
        let mut sets = self.folders(BASE)?.into_iter().map(read_set).collect::<Result<Vec<_>>>()?;
        sets.sort_by_key(|set| set.parts.first().map(|base| (base.manifest.taken_at(), set.path.clone())));
        Ok(sets)
    }

    /// Files of parts that were not finished.
    pub fn unfinished(&self) -> Result<Vec<PathBuf>> {
        let mut found = self.folders(MAKING)?;
        for folder in self.folders(BASE)? {
            found.extend(leftovers(&folder)?);
        }
        Ok(found)
    }

    /// Begins a base; `stamp` names it.
    pub fn begin_base(&self, stamp: &str) -> Result<NewPart> {
        let taken = |name: &str| self.path.join(format!("{BASE}{name}")).exists();
        let mut name = stamp.to_owned();
        let mut number = 2;
        while taken(&name) {
            name = format!("{stamp}-{number}");
            number += 1;
        }
        let making = self.path.join(format!("{MAKING}{name}"));
        std::fs::create_dir(&making).with_context(|| format!("{} cannot be made", making.display()))?;
        let done = self.path.join(format!("{BASE}{name}"));
        NewPart::create(making.join("0000.part"), Some((making, done)))
    }

    /// Begins the increment after the last part of a set.
    pub fn begin_increment(&self, set: &Set) -> Result<NewPart> {
        NewPart::create(set.path.join(format!("{:04}.part", set.parts.len())), None)
    }

    /// Removes the oldest bases beyond so many; which they were.
    pub fn keep(&self, bases: usize) -> Result<Vec<String>> {
        let sets = self.sets()?;
        let mut removed = Vec::new();
        for set in sets.iter().take(sets.len().saturating_sub(bases)) {
            // Under another name first: half a base must not look like a whole one.
            let going = self.path.join(format!("{MAKING}{}", set.name()));
            std::fs::rename(&set.path, &going)
                .and_then(|()| std::fs::remove_dir_all(&going))
                .with_context(|| format!("{} cannot be removed", set.path.display()))?;
            removed.push(set.name());
        }
        Ok(removed)
    }
}

fn names(folder: &Path) -> Result<Vec<String>> {
    let list = || {
        let mut names = std::fs::read_dir(folder)?
            .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
            .collect::<std::io::Result<Vec<_>>>()?;
        names.sort();
        Ok::<_, std::io::Error>(names)
    };
    list().with_context(|| format!("{} cannot be listed", folder.display()))
}

fn leftovers(set: &Path) -> Result<Vec<PathBuf>> {
    let names = names(set)?;
    let is_left = |name: &&String| match name.strip_suffix(".part") {
        Some(number) => !names.contains(&format!("{number}.json")),
        None => name.ends_with(PARTIAL),
    };
    Ok(names.iter().filter(is_left).map(|name| set.join(name)).collect())
}

fn read_set(path: PathBuf) -> Result<Set> {
    let manifests: Vec<String> = names(&path)?.into_iter().filter(|name| name.ends_with(".json")).collect();
    let mut parts: Vec<Part> = Vec::new();
    for (number, name) in manifests.iter().enumerate() {
        let wanted = format!("{number:04}.json");
        if *name != wanted {
            return Err(damaged(&path.join(wanted), "this manifest is missing").into());
        }
        let file = path.join(name);
        let text = std::fs::read_to_string(&file).map_err(|why| damaged(&file, format!("it cannot be read: {why}")))?;
        let manifest = Manifest::parse(&text, &file)?;
        let before = parts.last().map(|part| part.manifest.sha256.clone());
        if manifest.previous != before || (number == 0) != manifest.is_base() {
            return Err(damaged(&file, "it does not belong behind the part before it").into());
        }
        parts.push(Part { path: path.join(format!("{number:04}.part")), manifest });
    }
    if parts.is_empty() {
        return Err(damaged(&path.join("0000.json"), "this manifest is missing").into());
    }
    Ok(Set { path, parts })
}

/// A part that is being written.
pub struct NewPart {
    path: PathBuf,
    file: File,
    digest: Digest,
    pub bytes: u64,
    /// Of a base: the folder that it is made in, and what it shall be called.
    base: Option<(PathBuf, PathBuf)>,
    done: bool,
}

impl NewPart {
    fn create(path: PathBuf, base: Option<(PathBuf, PathBuf)>) -> Result<Self> {
        let file = File::create_new(&path).with_context(|| format!("{} cannot be written", path.display()))?;
        Ok(Self { path, file, digest: Digest::new(&SHA256), bytes: 0, base, done: false })
    }

    pub fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.file.write_all(bytes).with_context(|| format!("{} cannot be written", self.path.display()))?;
        self.digest.update(bytes);
        self.bytes += bytes.len() as u64;
        Ok(())
    }

    /// Makes it durable, then its manifest, and only then lets it count. Where it lies.
    pub fn finish(mut self, manifest: impl FnOnce(String, u64, String) -> Manifest) -> Result<PathBuf> {
        let name = self.path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let sha256 = hex(self.digest.clone().finish().as_ref());
        let manifest = manifest(name, self.bytes, sha256);
        let folder = self.path.parent().unwrap_or(Path::new(".")).to_owned();
        let json = self.path.with_extension("json");
        let partial = self.path.with_extension(PARTIAL);
        let finish = || -> std::io::Result<PathBuf> {
            self.file.sync_all()?;
            let mut file = File::create_new(&partial)?;
            file.write_all(manifest.to_text().as_bytes())?;
            file.sync_all()?;
            std::fs::rename(&partial, &json)?;
            sync_folder(&folder)?;
            if let Some((making, done)) = &self.base {
                std::fs::rename(making, done)?;
                sync_folder(done.parent().unwrap_or(Path::new(".")))?;
                return Ok(done.join("0000.part"));
            }
            Ok(self.path.clone())
        };
        let path = finish().with_context(|| format!("{} cannot be finished", self.path.display()))?;
        self.done = true;
        Ok(path)
    }
}

impl Drop for NewPart {
    /// What was not finished is of no use; if it cannot be removed now, the next backup does.
    fn drop(&mut self) {
        if !self.done {
            let _ = match &self.base {
                Some((making, _)) => std::fs::remove_dir_all(making),
                // The manifest first: with it, and without its part, the folder would look damaged.
                None => {
                    remove_if_there(&self.path.with_extension("json")).and_then(|()| std::fs::remove_file(&self.path))
                }
            };
        }
    }
}

fn remove_if_there(path: &Path) -> std::io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn sync_folder(folder: &Path) -> std::io::Result<()> {
    File::open(folder)?.sync_all()
}

pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A part's file as it is read, with the checksum of what was read.
pub struct Hashing<R> {
    input: R,
    digest: Digest,
}

impl<R: Read> Read for Hashing<R> {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        let read = self.input.read(into)?;
        self.digest.update(&into[..read]);
        Ok(read)
    }
}

impl<R> Hashing<R> {
    pub fn sha256(&self) -> String {
        hex(self.digest.clone().finish().as_ref())
    }
}

/// A part's file on its way through.
pub type PartFile = Hashing<File>;

impl Part {
    pub fn read(&self) -> Result<PartFile> {
        let file = File::open(&self.path).map_err(|why| damaged(&self.path, format!("it cannot be read: {why}")))?;
        Ok(Hashing { input: file, digest: Digest::new(&SHA256) })
    }
}

/// A folder that goes away again.
pub struct Trial {
    pub path: PathBuf,
}

impl Trial {
    pub fn beside(folder: &Path) -> Self {
        Self { path: folder.join(format!("{MAKING}trial-{}", std::process::id())) }
    }
}

impl Drop for Trial {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.path)
            && error.kind() != std::io::ErrorKind::NotFound
        {
            eprintln!("renkei: the trial folder {} could not be removed: {error}", self.path.display());
        }
    }
}
