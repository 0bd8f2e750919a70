//! A JSON-LD context document, as far as NGSI-LD allows it to say things: terms, prefixes,
//! further contexts. Scoped contexts are refused (clause 5.5.7).

use serde_json::value::RawValue;

use crate::context::{CONTEXT_BYTES_MAX, CONTEXT_DEPTH_MAX, CONTEXT_TERMS_MAX};
use crate::error::Error;
use crate::json::{self, Members, Shape};

/// What a context says, in its order; later items win.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContextDocument {
    pub(super) items: Vec<Item>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Item {
    Url(Box<str>),
    Terms {
        vocab: Option<Box<str>>,
        terms: Vec<(Box<str>, Definition)>,
    },
    /// `null`: forget what came before.
    Reset,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Definition {
    /// `"term": "iri"`; such a term may serve as a prefix when names are compacted.
    Simple(Box<str>),
    /// `"term": {"@id": …}`; without an id it expands like any name.
    Expanded { id: Option<Box<str>>, prefix: bool },
    /// `"term": null`: the term has no meaning.
    Removed,
}

impl ContextDocument {
    /// Reads a document with a member `@context`, or a bare @context.
    pub fn parse(bytes: &[u8]) -> Result<Self, Error> {
        if bytes.len() > CONTEXT_BYTES_MAX {
            return Err(Error::bad("@context", format!("is larger than {CONTEXT_BYTES_MAX} bytes")));
        }
        let text = std::str::from_utf8(bytes).map_err(|_| Error::invalid("The context document is not UTF-8."))?;
        let raw: &RawValue = serde_json::from_str(text)
            .map_err(|error| Error::invalid(format!("The context document is not valid JSON: {error}.")))?;
        let context = match json::shape(raw) {
            Shape::Object => Members::of(raw)?.get("@context").unwrap_or(raw),
            _ => raw,
        };
        Self::of(context)
    }

    /// Reads a document that was fetched: an object with a member `@context` (JSON-LD 1.1 section 3.1).
    pub fn parse_remote(bytes: &[u8]) -> Result<Self, Error> {
        let text = std::str::from_utf8(bytes).map_err(|_| Error::invalid("The context document is not UTF-8."))?;
        let has_context = Members::parse(text).is_ok_and(|members| members.get("@context").is_some());
        match has_context {
            true => Self::parse(bytes),
            false => Err(Error::bad("@context", "is not a member of the document")),
        }
    }

    /// Reads the value of a member `@context`.
    pub(crate) fn of(raw: &RawValue) -> Result<Self, Error> {
        let mut document = Self { items: Vec::new() };
        document.add(raw, CONTEXT_DEPTH_MAX)?;
        Ok(document)
    }

    fn add(&mut self, raw: &RawValue, levels_left: usize) -> Result<(), Error> {
        let bad = |message: &str| Error::bad("@context", message);
        match json::shape(raw) {
            Shape::Text => {
                let url = json::expect_text(raw, "@context")?;
                if !url.starts_with("http://") && !url.starts_with("https://") {
                    return Err(Error::bad("@context", format!("\"{url}\" is not an absolute http or https URL")));
                }
                self.items.push(Item::Url(url.into()));
            }
            Shape::Array => {
                let levels_left = levels_left.checked_sub(1).ok_or_else(|| bad("arrays are nested too deep"))?;
                for item in json::expect_array(raw, "@context")? {
                    self.add(item, levels_left)?;
                }
            }
            Shape::Object => self.add_terms(raw)?,
            Shape::Null => self.items.push(Item::Reset),
            Shape::Scalar => return Err(bad("must be a URL, an object of terms, or an array of these")),
        }
        Ok(())
    }

    fn add_terms(&mut self, raw: &RawValue) -> Result<(), Error> {
        // Published contexts do repeat keys; JSON-LD takes the last one, and so does this map.
        let members: LastMembers =
            serde_json::from_str(raw.get()).map_err(|error| Error::bad("@context", json::plain(&error)))?;
        if members.0.len() > CONTEXT_TERMS_MAX {
            return Err(Error::bad("@context", format!("defines more than {CONTEXT_TERMS_MAX} terms")));
        }
        let mut vocab = None;
        let mut terms = Vec::with_capacity(members.0.len());
        for (term, raw) in members.0 {
            match &*term {
                "@vocab" => {
                    vocab = json::text(raw).map(|text| text.into());
                    // A name that depends on where the document lay would not read back as itself.
                    if vocab.as_deref().is_some_and(|vocab: &str| !vocab.contains(':')) {
                        return Err(Error::bad("@context.@vocab", "must be an absolute IRI"));
                    }
                }
                "@import" => {
                    let url = json::expect_text(raw, "@context.@import")?;
                    self.items.push(Item::Url(url.into()));
                }
                // What the other keywords say has no bearing on names.
                keyword if keyword.starts_with('@') => {}
                _ => terms.push((Box::from(&*term), definition(raw).map_err(|e| e.within(&term).within("@context"))?)),
            }
        }
        self.items.push(Item::Terms { vocab, terms });
        Ok(())
    }
}

/// Like `Members`, with duplicates left in.
struct LastMembers<'a>(Vec<(std::borrow::Cow<'a, str>, &'a RawValue)>);

impl<'de: 'a, 'a> serde::Deserialize<'de> for LastMembers<'a> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct LastVisitor;
        impl<'de> serde::de::Visitor<'de> for LastVisitor {
            type Value = LastMembers<'de>;
            fn expecting(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
                f.write_str("a JSON object")
            }
            fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some(json::Key(key)) = map.next_key()? {
                    members.push((key, map.next_value()?));
                }
                Ok(LastMembers(members))
            }
        }
        deserializer.deserialize_map(LastVisitor)
    }
}

fn definition(raw: &RawValue) -> Result<Definition, Error> {
    match json::shape(raw) {
        Shape::Text => Ok(Definition::Simple(json::expect_text(raw, "")?.into())),
        Shape::Null => Ok(Definition::Removed),
        Shape::Object => {
            let members = Members::of(raw)?;
            if members.get("@context").is_some() {
                return Err(Error::bad("", "scoped contexts are not allowed in NGSI-LD (clause 5.5.7)"));
            }
            let id = match members.get("@id") {
                Some(raw) if json::shape(raw) == Shape::Null => return Ok(Definition::Removed),
                Some(raw) => Some(Box::from(json::expect_text(raw, "@id")?)),
                None => None,
            };
            let prefix = members.get("@prefix").is_some_and(|raw| raw.get() == "true");
            Ok(Definition::Expanded { id, prefix })
        }
        _ => Err(Error::bad("", "must be an IRI or an object with @id")),
    }
}
