//! What is wrong with an alert: where, with which value, and what to do.

use std::borrow::Cow;
use std::fmt;

/// Most problems that are listed; the others are counted.
pub const PROBLEMS_MAX: usize = 100;
/// Longest piece of a value that is shown, in characters.
const VALUE_CHARS_MAX: usize = 80;

/// What kind of wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// It is no XML document that is taken.
    Document,
    /// It is XML, and no alert of a version that is read.
    Namespace,
    /// An element that must be there is not.
    Missing,
    /// An element that must say something says nothing.
    Empty,
    /// An element that the standard does not have there.
    Unknown,
    /// An element that is there twice, and may be once.
    Repeated,
    /// An element that comes after one that it must precede.
    Order,
    /// None of the words that the standard lists.
    Word,
    DateTime,
    /// Characters that may not be in there.
    Characters,
    Reference,
    Polygon,
    Circle,
    Number,
    Language,
    Uri,
    Base64,
    /// A signature cannot be written.
    Signed,
    /// More than a bound.
    Length,
}

impl Kind {
    fn text(self) -> &'static str {
        match self {
            Self::Document => "this document is not taken",
            Self::Namespace => "this is no alert that is read",
            Self::Missing => "the element is missing",
            Self::Empty => "the element says nothing",
            Self::Unknown => "there is no such element in this place",
            Self::Repeated => "the element is there more than once",
            Self::Order => "the element is out of order",
            Self::Word => "this is none of the words of the standard",
            Self::DateTime => "this is no date and time of CAP",
            Self::Characters => "this has characters that may not be in there",
            Self::Reference => "this names no earlier alert",
            Self::Polygon => "this is no polygon",
            Self::Circle => "this is no circle",
            Self::Number => "this is no number that may be here",
            Self::Language => "this is no language of RFC 3066",
            Self::Uri => "this is no URI that may be here",
            Self::Base64 => "this is not in base 64",
            Self::Signed => "a signature cannot be written",
            Self::Length => "this is longer than what is taken",
        }
    }
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    pub kind: Kind,
    /// As `/alert/info[2]/area[1]/polygon[3]`: counted from 1 where an element may repeat.
    pub path: String,
    /// What is there, cut if long.
    pub value: Option<String>,
    /// What to do about it.
    pub advice: Cow<'static, str>,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path, self.kind.text())?;
        if let Some(value) = &self.value {
            write!(f, ": {value:?}")?;
        }
        write!(f, ". {}", self.advice)
    }
}

/// All that is wrong with an alert, as far as it is listed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Problems {
    list: Vec<Problem>,
    more: usize,
}

impl Problems {
    #[must_use]
    pub fn list(&self) -> &[Problem] {
        &self.list
    }

    /// How many there are beyond those listed.
    #[must_use]
    pub fn more(&self) -> usize {
        self.more
    }

    pub(super) fn add(&mut self, kind: Kind, path: &str, value: Option<&str>, advice: impl Into<Cow<'static, str>>) {
        // A value that could not be read has its problem; the one that stands in for it has none of its own.
        let known = |problem: &Problem| problem.path == path && (problem.kind == Kind::Order) == (kind == Kind::Order);
        if self.list.iter().any(known) {
            return;
        }
        if self.is_full() {
            self.more += 1;
            return;
        }
        let value = value.map(|value| {
            let shown: String = value.chars().take(VALUE_CHARS_MAX).collect();
            if shown.len() < value.len() { shown + "…" } else { shown }
        });
        self.list.push(Problem { kind, path: path.to_owned(), value, advice: advice.into() });
    }

    /// Whether what is found from here on is only counted.
    pub(super) fn is_full(&self) -> bool {
        self.list.len() >= PROBLEMS_MAX
    }

    pub(super) fn one(kind: Kind, path: &str, value: Option<&str>, advice: impl Into<Cow<'static, str>>) -> Self {
        let mut problems = Self::default();
        problems.add(kind, path, value, advice);
        problems
    }

    pub(super) fn or<T>(self, value: T) -> Result<T, Self> {
        if self.list.is_empty() { Ok(value) } else { Err(self) }
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.list.iter().enumerate() {
            let line = if index == 0 { "" } else { "\n" };
            write!(f, "{line}{problem}")?;
        }
        match self.more {
            0 => Ok(()),
            more => write!(f, "\nAnd {more} more."),
        }
    }
}

impl std::error::Error for Problems {}
