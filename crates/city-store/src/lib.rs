//! The ground: what a city wrote down stays written down.
//!
//! Records come in through the commit thread, are appended to the **journal** and synced there
//! once; the **view** (state, indexes, history, outbox) follows without a sync of its own, each
//! batch carrying the watermark up to which it has followed. At open, what lies behind the
//! watermark is replayed. Only this room touches disk.

pub mod backup;
pub mod clock;
pub mod codec;
pub mod commit;
pub mod disk;
#[cfg(any(test, feature = "faults"))]
pub mod faulty;
pub mod folder;
pub mod frame;
pub mod journal;
pub mod lag;
pub mod persons;
pub mod record;
pub mod sizes;
pub mod terms;
pub mod view;

pub use clock::{Clock, SystemClock, VirtualClock};
pub use commit::{CommitError, Committer, Plan, Stager};
pub use disk::{Disk, DiskFile, FolderDisk};
pub use folder::Folder;
pub use journal::{Journal, JournalReader, Limits, Published};
pub use lag::Lag;
pub use persons::{KeyNo, PersonKeys};
pub use record::{Record, RecordKind, Touched};
pub use sizes::{DiskReport, DiskWatch, Growth};
pub use terms::{TermNo, Terms};
pub use view::{Bytes, Space, View, ViewBatch};

/// What can go wrong between us and the disk. Each has a page in `docs/errors/`.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("STO-001 {what} {path}: {source}")]
    Io { what: &'static str, path: String, source: std::io::Error },
    #[error(
        "STO-002 The journal is damaged: {file} at byte {offset}: {what}. Valid records follow, so this is not a torn \
         end and nothing was opened. Restore from a backup, or ask for help with this file kept as it is."
    )]
    JournalDamaged { file: String, offset: u64, what: String },
    #[error(
        "STO-003 The stored state ends at record {watermark}, but the oldest record kept is {oldest}: \
         the records between are missing. Restore the folder journal/ or a backup."
    )]
    JournalTooYoung { watermark: u64, oldest: u64 },
    #[error("STO-004 The stored value of {space} {key} does not match its checksum. Restore from a backup.")]
    ViewDamaged { space: &'static str, key: String },
    #[error(
        "STO-005 The data folder {path} is in use by another process{holder}. Stop it first, or choose another --data."
    )]
    InUse { path: String, holder: String },
    #[error(
        "STO-006 The data folder {path} has format {found}; this renkei reads up to {known}. \
         Nothing in it was changed. Start the release that wrote it, or a later one; or put back a copy made before."
    )]
    NewerFormat { path: String, found: u32, known: u32 },
    #[error("STO-007 {path} is not a Renkei data folder: {why}. Choose an empty folder or one made by renkei.")]
    NotADataFolder { path: String, why: &'static str },
    #[error("STO-008 A stored record cannot be read: {0}")]
    Undecodable(String),
    #[error("STO-009 The key-value engine reports: {0}")]
    Engine(String),
    #[error(
        "STO-010 No space left: {free_bytes} bytes are free under {path}, and {reserve_bytes} are kept in reserve."
    )]
    DiskFull { path: String, free_bytes: u64, reserve_bytes: u64 },
    #[error("STO-021 The backup is damaged: {file}: {what}. Use another backup, or an older base of this one.")]
    BackupDamaged { file: String, what: String },
    #[error(
        "STO-022 The backup {file} has format {found}; this renkei reads up to {known}. \
         Restore it with the release that made it, or a later one."
    )]
    BackupNewer { file: String, found: u32, known: u32 },
    #[error("STO-023 {path} is not a backup: {why}.")]
    NotABackup { path: String, why: String },
    #[error("STO-024 {path} is not empty. A store is restored into a new or an empty folder, so that nothing is lost.")]
    NotEmpty { path: String },
    #[error("STO-025 The state of {asked} cannot be restored: {why}.")]
    NotCovered { asked: String, why: String },
    #[error("STO-026 The backup cannot be continued: {why}. Make a new base.")]
    BackupNotContinued { why: String },
    #[error("STO-027 The keys of persons are damaged: {file}: {what}. Put back the copy that was made of this file.")]
    KeysDamaged { file: String, what: String },
    #[error(
        "STO-028 Keys were given to {} persons, which is all there are. Use another data folder.",
        persons::PERSON_KEYS_MAX
    )]
    TooManyPersons,
}

impl Error {
    pub(crate) fn io(what: &'static str, path: impl Into<String>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { what, path, source }
    }

    /// Whether more space would mend it.
    #[must_use]
    pub fn is_disk_full(&self) -> bool {
        match self {
            Self::DiskFull { .. } => true,
            Self::Io { source, .. } => {
                matches!(source.kind(), std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded)
            }
            _ => false,
        }
    }
}

fn error_len(file: &dyn DiskFile, disk: &dyn Disk, name: &str) -> Result<u64, Error> {
    file.len().map_err(Error::io("cannot measure", disk.describe(name)))
}
