//! An XML document, read whole into a tree whose size is bounded and whose text is what the bytes say.
//!
//! A document with a `<!DOCTYPE` is refused: neither CAP nor the JMA has one, and every bomb and every reach for
//! a file or a host begins with it. So the only references are the five of XML itself and those to a character.
//! The reader keeps its own stack; what walks the tree later goes no deeper than `DEPTH_MAX`.

mod build;
mod encoding;

use std::sync::Arc;

/// Longest document. The longest sample of the JMA (VPRN50) has 4 MiB.
pub const DOCUMENT_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Deepest element; the root is at 1. The deepest sample of the JMA is at 12.
pub const DEPTH_MAX: usize = 64;
/// Most elements of a document. The sample with most has 129,000.
pub const ELEMENTS_MAX: usize = 300_000;
/// Longest text of an element, and of an attribute, in bytes: CAP may carry a file in `derefUri`.
pub const TEXT_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Most attributes of an element, declarations of namespaces among them.
pub const ATTRIBUTES_MAX: usize = 64;
/// Most attributes of a document. The sample with most has 32,000.
pub const DOCUMENT_ATTRIBUTES_MAX: usize = 300_000;

/// An element with its name resolved. Its text is what stands directly in it, pieces joined.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Element {
    /// Empty for none.
    pub namespace: Arc<str>,
    /// Without its prefix.
    pub name: String,
    pub attributes: Vec<Attribute>,
    pub children: Vec<Element>,
    /// White space between children is dropped.
    pub text: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attribute {
    /// Empty for an attribute without a prefix.
    pub namespace: Arc<str>,
    pub name: String,
    pub value: String,
}

impl Element {
    /// The first child of that name, in the namespace of this element.
    #[must_use]
    pub fn child(&self, name: &str) -> Option<&Self> {
        self.children.iter().find(|child| child.name == name && child.namespace == self.namespace)
    }

    /// The text without the white space around it.
    #[must_use]
    pub fn trimmed(&self) -> &str {
        self.text.trim_matches(is_space)
    }
}

/// White space of XML; the ideographic space of Japanese texts is none.
#[must_use]
pub fn is_space(character: char) -> bool {
    matches!(character, ' ' | '\t' | '\n' | '\r')
}

/// Whether XML 1.0 lets the character stand in a document (production 2, Char).
#[must_use]
pub fn is_character(character: char) -> bool {
    matches!(character,
        '\t' | '\n' | '\r' | '\u{20}'..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..='\u{10ffff}')
}

/// Why bytes are no document, or one that is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("The document has {bytes} bytes; {DOCUMENT_BYTES_MAX} are taken.")]
    TooLarge { bytes: usize },
    #[error("The document is in {0:?}; UTF-8 and ISO-8859-1 are read. Have it sent in UTF-8.")]
    Encoding(String),
    #[error("The document says UTF-8, and byte {at} is none. Have its encoding declared as it is.")]
    NotUtf8 { at: usize },
    #[error("Line {line}: the character U+{code:04X} may not stand in XML.")]
    Character { line: usize, code: u32 },
    #[error(
        "Line {line}: the document has a DTD (<!DOCTYPE). None is read, in or outside of it; have it sent without."
    )]
    Doctype { line: usize },
    #[error("Line {line}: the entity &{name}; is none of XML, and none is expanded. Have the text itself sent.")]
    Entity { line: usize, name: String },
    #[error("Line {line}: the prefix {prefix:?} is not declared.")]
    Prefix { line: usize, prefix: String },
    #[error("Line {line}: elements are nested deeper than {DEPTH_MAX}.")]
    TooDeep { line: usize },
    #[error("Line {line}: the document has more than {ELEMENTS_MAX} elements.")]
    TooManyElements { line: usize },
    #[error(
        "Line {line}: the element has more than {ATTRIBUTES_MAX} attributes, or the document more than \
         {DOCUMENT_ATTRIBUTES_MAX}."
    )]
    TooManyAttributes { line: usize },
    #[error("Line {line}: the text has more than {TEXT_BYTES_MAX} bytes.")]
    TextTooLong { line: usize },
    #[error("Line {line}: this is no XML: {what}.")]
    Malformed { line: usize, what: String },
    #[error("The document ends inside <{0}>; the rest of it is missing.")]
    Ends(String),
    #[error("The document has no element.")]
    Empty,
}

/// Reads a whole document. What stands outside of the root, but for comments and instructions, is an error.
pub fn read(bytes: &[u8]) -> Result<Element, Error> {
    if bytes.len() > DOCUMENT_BYTES_MAX {
        return Err(Error::TooLarge { bytes: bytes.len() });
    }
    let text = encoding::decode(bytes)?;
    if let Some((at, character)) = text.char_indices().find(|(_, character)| !is_character(*character)) {
        return Err(Error::Character { line: build::line(&text, at), code: character.into() });
    }
    build::build(&text)
}

#[cfg(test)]
mod tests;
