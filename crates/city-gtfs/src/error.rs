//! Why bytes are no feed. What is only wrong with a feed is a `Problem`.

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("It is no zip archive that can be read: {0}")]
    Archive(String),
    #[error("{file} has {bytes} bytes; {max} is the most.")]
    TooLarge { file: String, bytes: u64, max: u64 },
    #[error("It has {files} files; {max} is the most.")]
    TooManyFiles { files: usize, max: usize },
    #[error("It has no {0}, which every timetable needs.")]
    MissingFile(&'static str),
    #[error("{file} has no column {column}.")]
    MissingColumn { file: &'static str, column: &'static str },
    #[error("{file}, line {line}: {why}")]
    Row { file: &'static str, line: u64, why: String },
    #[error("{file} has more than {max} rows.")]
    TooManyRows { file: &'static str, max: usize },
    #[error("It is no GTFS Realtime message: {0}")]
    Realtime(String),
}
