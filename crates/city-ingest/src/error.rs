//! What stops an import. A row that cannot be used does not: it becomes a `RejectedRow`.

/// Each carries a code with a page in docs/errors.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("The mapping is not valid: {0}")]
    Mapping(String),
    #[error("The mapping is longer than {max} bytes; split its code lists or shorten it.")]
    MappingTooLong { max: usize },
    #[error("{file} cannot be read at line {line}: {cause}")]
    Read { file: String, line: u64, cause: std::io::Error },
    #[error("{file} is not the {format} that the mapping expects: {why}")]
    Format { file: String, format: &'static str, why: String },
    #[error(
        "{file} has no column {missing}, which the mapping reads; its columns are {present}. \
         Correct the name, or write has(row.…) where a column may be missing."
    )]
    MissingColumns { file: String, missing: String, present: String },
    #[error("{file}, line {line}: a row is longer than {max} bytes. Is a quotation mark left open there?")]
    EndlessRow { file: String, line: u64, max: usize },
}

impl Error {
    /// The line of the file, where it is known.
    #[must_use]
    pub fn line(&self) -> Option<u64> {
        match self {
            Self::Read { line, .. } | Self::EndlessRow { line, .. } => Some(*line),
            _ => None,
        }
    }

    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Mapping(_) => "ING-001",
            Self::MappingTooLong { .. } => "ING-002",
            Self::Read { .. } => "ING-003",
            Self::Format { .. } => "ING-004",
            Self::MissingColumns { .. } => "ING-005",
            Self::EndlessRow { .. } => "ING-006",
        }
    }
}
