//! Identifiers that cannot be mistaken for one another, each valid from birth.

use std::borrow::Borrow;
use std::fmt;
use std::sync::Arc;

/// Why a text is not the identifier it should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("\"{text}\" is not a valid {what}: {why}")]
pub struct InvalidName {
    pub what: &'static str,
    pub text: String,
    pub why: &'static str,
}

/// Longest identifier accepted anywhere, in bytes. Longer ones only serve attacks on memory.
pub const NAME_BYTES_MAX: usize = 2_048;

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(Arc<str>);

        impl $name {
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }

            /// The shared text itself, for tables that hold each name once.
            #[must_use]
            pub fn shared(&self) -> Arc<str> {
                Arc::clone(&self.0)
            }

            /// For text that was valid when it was stored.
            #[must_use]
            pub fn from_stored(text: Arc<str>) -> Self {
                Self(text)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&self.0, f)
            }
        }

        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }
    };
}

text_id! {
    /// The URI of an entity (CIM 009 clause 4.5.1: the entity id shall be a URI).
    EntityId
}
text_id! {
    /// A fully expanded type, attribute or term name: an IRI (CIM 009 clause 4.6.2).
    Name
}
text_id! {
    /// The URI that tells apart the instances of one attribute (CIM 009 clause 4.5.5).
    DatasetId
}
text_id! {
    /// A place in a hierarchy that the city chooses, such as `/Kashiwa/Ward2` (CIM 009 clause 4.18).
    Scope
}
text_id! {
    /// A tenant: a key space of its own. Nothing of one is ever seen in another (clause 4.14).
    TenantName
}

impl EntityId {
    pub fn parse(text: &str) -> Result<Self, InvalidName> {
        uri("entity id", text).map(|()| Self(text.into()))
    }
}

impl DatasetId {
    pub fn parse(text: &str) -> Result<Self, InvalidName> {
        uri("datasetId", text).map(|()| Self(text.into()))
    }
}

impl Name {
    /// `text` is already expanded; only its length and characters are checked.
    pub fn parse(text: &str) -> Result<Self, InvalidName> {
        let invalid = |why| InvalidName { what: "name", text: clip(text), why };
        if text.is_empty() {
            return Err(invalid("it is empty"));
        }
        if text.len() > NAME_BYTES_MAX {
            return Err(invalid("it is longer than 2,048 bytes"));
        }
        if text.chars().any(char::is_control) {
            return Err(invalid("it contains a control character"));
        }
        Ok(Self(text.into()))
    }
}

impl Scope {
    /// A leading slash is understood where it is missing (clause 4.18).
    pub fn parse(text: &str) -> Result<Self, InvalidName> {
        let invalid = |why| InvalidName { what: "scope", text: clip(text), why };
        if text.len() > NAME_BYTES_MAX {
            return Err(invalid("it is longer than 2,048 bytes"));
        }
        let levels = text.strip_prefix('/').unwrap_or(text);
        if levels.is_empty() {
            return Err(invalid("it is empty"));
        }
        for level in levels.split('/') {
            if level.is_empty() {
                return Err(invalid("it has an empty level"));
            }
            if level.chars().any(|c| c.is_control() || c.is_whitespace() || "+#*,;()|".contains(c)) {
                return Err(invalid("a level contains a space or one of + # * , ; ( ) |"));
            }
        }
        Ok(Self(format!("/{levels}").into()))
    }

    /// Whether it is the other one, or lies below it.
    #[must_use]
    pub fn is_within(&self, above: &Self) -> bool {
        self.0.strip_prefix(&*above.0).is_some_and(|below| below.is_empty() || below.starts_with('/'))
    }
}

impl TenantName {
    /// The tenant of a request that names none.
    #[must_use]
    pub fn default_tenant() -> Self {
        Self("default".into())
    }

    pub fn parse(text: &str) -> Result<Self, InvalidName> {
        let invalid = |why| InvalidName { what: "tenant", text: clip(text), why };
        if text.is_empty() || text.len() > 64 {
            return Err(invalid("it must have 1 to 64 characters"));
        }
        if !text.chars().all(|c| c.is_ascii_alphanumeric() || "-_.:".contains(c)) {
            return Err(invalid("only letters, digits and - _ . : are allowed"));
        }
        Ok(Self(text.into()))
    }
}

/// RFC 3986 as far as it protects us: a scheme, a colon, something behind it, no space or control.
fn uri(what: &'static str, text: &str) -> Result<(), InvalidName> {
    let invalid = |why| Err(InvalidName { what, text: clip(text), why });
    if text.len() > NAME_BYTES_MAX {
        return invalid("it is longer than 2,048 bytes");
    }
    let Some((scheme, rest)) = text.split_once(':') else {
        return invalid("it must be a URI, such as urn:ngsi-ld:Building:7");
    };
    let mut letters = scheme.chars();
    if !letters.next().is_some_and(|c| c.is_ascii_alphabetic())
        || !letters.all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c))
    {
        return invalid("the part before the first colon must be a URI scheme, such as urn or https");
    }
    if rest.is_empty() {
        return invalid("nothing follows its scheme");
    }
    if rest.chars().any(|c| c.is_control() || c.is_whitespace() || "<>\"{}|\\^`".contains(c)) {
        return invalid("it contains a space or a character that a URI may not hold");
    }
    if !rest.is_ascii() && rest.chars().any(is_invisible) {
        return invalid("it contains a character that cannot be seen, so that two ids would look alike");
    }
    Ok(())
}

/// Characters without a shape of their own: they reorder, join or fill, or are none at all (Unicode
/// Default_Ignorable_Code_Point, the fillers, U+2800, bidirectional controls and noncharacters).
fn is_invisible(c: char) -> bool {
    matches!(u32::from(c),
        0xAD | 0x34F | 0x61C | 0x115F..=0x1160 | 0x17B4..=0x17B5 | 0x180B..=0x180F | 0x200B..=0x200F
        | 0x202A..=0x202E | 0x2060..=0x206F | 0x2800 | 0x3164 | 0xFDD0..=0xFDEF | 0xFE00..=0xFE0F | 0xFEFF
        | 0xFFA0 | 0xFFF0..=0xFFFB | 0x1BCA0..=0x1BCA3 | 0x1D173..=0x1D17A | 0xE0000..=0xE0FFF)
        || u32::from(c) & 0xFFFE == 0xFFFE
}

/// Whether a text is a URI, for values that must be one (Relationship objects).
#[must_use]
pub fn is_uri(text: &str) -> bool {
    uri("URI", text).is_ok()
}

fn clip(text: &str) -> String {
    const SHOWN_CHARS_MAX: usize = 120;
    let mut shown: String = text.chars().take(SHOWN_CHARS_MAX).collect();
    if shown.len() < text.len() {
        shown.push('…');
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entity_id_is_a_uri() {
        for good in ["urn:ngsi-ld:Building:7", "https://example.org/b/7", "urn:ngsi-ld:建物:7", "a:b"] {
            assert!(EntityId::parse(good).is_ok(), "{good}");
        }
        for bad in
            ["", "7", ":x", "urn:", "1urn:x", "urn:a b", "urn:<a>", "Building7", "urn:a\u{202e}b", "urn:a\u{3164}"]
        {
            assert!(EntityId::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_scope_gets_its_leading_slash() {
        assert_eq!(Scope::parse("Kashiwa/Ward2").unwrap().as_str(), "/Kashiwa/Ward2");
        for bad in ["", "/", "/a//b", "/a b", "/a/+", "/#"] {
            assert!(Scope::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_tenant_cannot_reach_into_a_path_or_header() {
        for bad in ["", "a/b", "../x", "a b", "a\n", "柏"] {
            assert!(TenantName::parse(bad).is_err(), "{bad}");
        }
    }
}
