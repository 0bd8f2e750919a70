//! The @context that a request names, before anything is looked up.

use serde_json::value::RawValue;

use crate::context::{CORE_URL, CoreUrl, EMBEDDED_CONTEXT_BYTES_MAX, core_url};
use crate::error::Error;
use crate::json::{self, Shape};

/// The text of an @context: of a `Link` header or of a body. Equal texts mean equal terms.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ContextSpec {
    /// JSON of the @context; empty for the core context alone.
    text: Box<str>,
}

impl ContextSpec {
    /// No user context: the core context alone (clause 5.5.5).
    #[must_use]
    pub fn core() -> Self {
        Self { text: "".into() }
    }

    /// The URL of a `Link` header.
    pub fn url(url: &str) -> Result<Self, Error> {
        if !url.starts_with("http://") && !url.starts_with("https://") {
            return Err(Error::bad("@context", format!("\"{url}\" is not an absolute http or https URL")));
        }
        if matches!(core_url(url), CoreUrl::Published(None)) {
            return Ok(Self::core());
        }
        let mut text = Vec::with_capacity(url.len() + 2);
        json::write_text(&mut text, url);
        Ok(Self { text: String::from_utf8_lossy(&text).into() })
    }

    /// The raw value of a member `@context`.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let raw: &RawValue = serde_json::from_str(text).map_err(|error| Error::json(&error))?;
        Self::of(raw)
    }

    pub(crate) fn of(raw: &RawValue) -> Result<Self, Error> {
        if raw.get().len() > EMBEDDED_CONTEXT_BYTES_MAX {
            return Err(Error::bad(
                "@context",
                format!("is larger than {EMBEDDED_CONTEXT_BYTES_MAX} bytes; publish it and send its URL"),
            ));
        }
        match json::shape(raw) {
            Shape::Text => Self::url(&json::expect_text(raw, "@context")?),
            Shape::Scalar => Err(Error::bad("@context", "must be a URL, an object of terms, or an array of these")),
            Shape::Array => {
                let items = json::expect_array(raw, "@context")?;
                match items.as_slice() {
                    [] => Ok(Self::core()),
                    [only] if json::shape(only) == Shape::Text => Self::url(&json::expect_text(only, "@context")?),
                    _ => Ok(Self { text: raw.get().into() }),
                }
            }
            Shape::Null => Ok(Self::core()),
            Shape::Object => Ok(Self { text: raw.get().into() }),
        }
    }

    /// The JSON of the @context; empty for the core context alone.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    #[must_use]
    pub fn is_core(&self) -> bool {
        self.text.is_empty()
    }

    /// The URL, if one URL is all there is.
    #[must_use]
    pub fn single_url(&self) -> Option<String> {
        if self.is_core() {
            return Some(CORE_URL.to_owned());
        }
        serde_json::from_str::<String>(&self.text).ok()
    }

    /// What a rendered document carries as `@context`: what was asked with, and the core context last.
    #[must_use]
    pub fn rendered(&self) -> String {
        let core = format!("\"{CORE_URL}\"");
        if self.is_core() {
            return core;
        }
        let mentions_core = self.text.contains("uri.etsi.org/ngsi-ld/v1/ngsi-ld-core-context");
        match self.text.as_bytes().first() {
            _ if mentions_core => self.text.to_string(),
            Some(b'[') => {
                // The array's own bracket alone: one before it may end an array inside.
                let text = self.text.trim_end();
                let inner = text.strip_suffix(']').unwrap_or(text).trim_end();
                // An empty array is the core context alone and never gets here.
                format!("{inner},{core}]")
            }
            _ => format!("[{},{core}]", self.text),
        }
    }
}
