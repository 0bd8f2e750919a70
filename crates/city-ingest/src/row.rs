//! One decoded row: columns by name, and where it stood.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use city_model::Time;
use csv::StringRecord;
use serde::Serialize;

use crate::item::Item;

/// Longest row in bytes; a longer one is rejected (JSON) or ends the import (CSV, where it is an open quote).
pub const ROW_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Most columns of a row; a row or header with more is refused.
pub const COLUMNS_MAX: usize = 1_024;
/// How much of a rejected row's text is kept.
pub const REJECTED_INPUT_BYTES_MAX: usize = 64 * 1024;

/// The column names of a CSV file.
#[derive(Debug)]
pub struct Header {
    pub names: Vec<Box<str>>,
    places: HashMap<Box<str>, usize>,
}

impl Header {
    pub(crate) fn new(names: Vec<Box<str>>) -> Result<Self, String> {
        if names.len() > COLUMNS_MAX {
            return Err(format!("it has {} columns; {COLUMNS_MAX} is the most", names.len()));
        }
        let mut places = HashMap::with_capacity(names.len());
        for (place, name) in names.iter().enumerate() {
            if places.insert(name.clone(), place).is_some() {
                return Err(format!("two columns are called \"{name}\""));
            }
        }
        Ok(Self { names, places })
    }

    #[must_use]
    pub fn place(&self, name: &str) -> Option<usize> {
        self.places.get(name).copied()
    }
}

/// A row of a file. A column that the row lacks reads as null.
#[derive(Debug)]
pub struct Row {
    /// Line of the file on which the row begins, counted from 1.
    pub line: u64,
    cells: Cells,
    geometry: Option<Arc<str>>,
    feature_id: Item<'static>,
    about: Arc<About>,
}

/// What is known of the file or message that a row is of.
#[derive(Debug, Clone, Default)]
pub struct About {
    /// The file, or the topic or address that a message came under.
    pub(crate) name: Box<str>,
    pub(crate) received_at: Option<Time>,
    /// What stands around the rows.
    pub(crate) envelope: Item<'static>,
}

impl About {
    /// As expressions see it.
    pub(crate) fn item(&self) -> Item<'static> {
        let name = || Item::Text(Cow::Owned(self.name.to_string()));
        let parts = self.name.split('/').map(|part| Item::Text(Cow::Owned(part.to_owned())));
        Item::Map(vec![
            ("name".into(), name()),
            ("parts".into(), Item::List(parts.collect())),
            ("receivedAt".into(), self.received_at.map_or(Item::Null, Item::Time)),
            ("envelope".into(), self.envelope.clone()),
        ])
    }
}

pub(crate) type Members = Vec<(Cow<'static, str>, Item<'static>)>;

/// The columns of a row that is one JSON value.
pub(crate) fn members(item: Item<'static>) -> Result<Members, String> {
    match item {
        Item::Map(members) if members.len() > COLUMNS_MAX => {
            Err(format!("the row has {} columns; {COLUMNS_MAX} is the most", members.len()))
        }
        Item::Map(members) => Ok(members),
        Item::Null => Ok(Vec::new()),
        other => Err(format!("the row must be an object, not {}", other.type_name())),
    }
}

#[derive(Debug)]
enum Cells {
    Record { header: Arc<Header>, record: StringRecord },
    Members { members: Members, raw: Box<str> },
}

impl Row {
    pub(crate) fn from_record(line: u64, header: Arc<Header>, record: StringRecord) -> Self {
        let (geometry, feature_id, about) = (None, Item::Null, Arc::default());
        Self { line, cells: Cells::Record { header, record }, geometry, feature_id, about }
    }

    pub(crate) fn from_members(
        line: u64,
        members: Members,
        geometry: Option<Arc<str>>,
        feature_id: Item<'static>,
        raw: Box<str>,
    ) -> Self {
        Self { line, cells: Cells::Members { members, raw }, geometry, feature_id, about: Arc::default() }
    }

    pub(crate) fn of(mut self, about: &Arc<About>) -> Self {
        self.about = Arc::clone(about);
        self
    }

    pub(crate) fn about(&self) -> &About {
        &self.about
    }

    #[must_use]
    pub fn cell(&self, column: &str) -> Item<'_> {
        match &self.cells {
            Cells::Record { header, record } => {
                header.place(column).and_then(|place| record.get(place)).map_or(Item::Null, Item::text)
            }
            Cells::Members { members, .. } => {
                members.iter().find(|(name, _)| name == column).map_or(Item::Null, |(_, item)| item.borrowed())
            }
        }
    }

    #[must_use]
    pub fn has(&self, column: &str) -> bool {
        match &self.cells {
            Cells::Record { header, .. } => header.place(column).is_some(),
            Cells::Members { members, .. } => members.iter().any(|(name, _)| name == column),
        }
    }

    /// All columns in the order of the file.
    pub fn columns(&self) -> impl Iterator<Item = &str> {
        let (header, members) = match &self.cells {
            Cells::Record { header, .. } => (Some(header.names.iter().map(|name| &**name)), None),
            Cells::Members { members, .. } => (None, Some(members.iter().map(|(name, _)| &**name))),
        };
        header.into_iter().flatten().chain(members.into_iter().flatten())
    }

    #[must_use]
    pub fn geometry(&self) -> Item<'_> {
        self.geometry.as_ref().map_or(Item::Null, |json| Item::Geometry(Arc::clone(json)))
    }

    #[must_use]
    pub fn feature_id(&self) -> Item<'_> {
        self.feature_id.borrowed()
    }

    /// The row as text, for the reject file.
    #[must_use]
    pub fn input(&self) -> String {
        match &self.cells {
            Cells::Record { record, .. } => {
                let mut writer = csv::WriterBuilder::new().has_headers(false).flexible(true).from_writer(Vec::new());
                drop(writer.write_record(record));
                let bytes = writer.into_inner().unwrap_or_default();
                clip(String::from_utf8_lossy(&bytes).trim_end_matches('\n'))
            }
            Cells::Members { raw, .. } => clip(raw),
        }
    }

    #[must_use]
    pub fn reject(&self, file: &str, reason: String) -> RejectedRow {
        RejectedRow { file: file.to_owned(), line: self.line, reason, input: self.input() }
    }
}

/// A row that could not be used: one line of the reject file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RejectedRow {
    pub file: String,
    pub line: u64,
    pub reason: String,
    /// The text of the row, cut after `REJECTED_INPUT_BYTES_MAX`.
    pub input: String,
}

pub(crate) fn clip(text: &str) -> String {
    if text.len() <= REJECTED_INPUT_BYTES_MAX {
        return text.to_owned();
    }
    let mut end = REJECTED_INPUT_BYTES_MAX;
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}…", &text[..end])
}
