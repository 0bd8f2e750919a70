//! Events of the tokenizer to the tree, one after the other; every bound of `xml` is held here.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};

use super::{
    ATTRIBUTES_MAX, Attribute, DEPTH_MAX, DOCUMENT_ATTRIBUTES_MAX, ELEMENTS_MAX, Element, Error, TEXT_BYTES_MAX,
    is_character, is_space,
};

const XML_NAMESPACE: &str = "http://www.w3.org/XML/1998/namespace";

/// The line, from 1, of a place in the text.
pub(super) fn line(text: &str, at: usize) -> usize {
    text.as_bytes().iter().take(at).filter(|byte| **byte == b'\n').count() + 1
}

pub(super) fn build(text: &str) -> Result<Element, Error> {
    let mut reader = Reader::from_str(text);
    reader.config_mut().check_comments = true;
    let mut building =
        Building { text, at: 0, open: Vec::new(), root: None, elements: 0, attributes: 0, scopes: Scopes::new() };
    loop {
        building.at = usize::try_from(reader.buffer_position()).unwrap_or(usize::MAX);
        let event = match reader.read_event() {
            Ok(event) => event,
            Err(error) => {
                building.at = usize::try_from(reader.error_position()).unwrap_or(usize::MAX);
                return Err(building.broken(&error));
            }
        };
        match event {
            Event::Start(start) => building.start(&start)?,
            Event::Empty(start) => {
                building.start(&start)?;
                building.end();
            }
            Event::End(_) => building.end(),
            Event::Text(piece) => building.text(&ends_of_line(&piece))?,
            Event::CData(piece) => building.text(&ends_of_line(&piece))?,
            Event::GeneralRef(name) => {
                let character = building.reference(&name)?;
                building.text(character.encode_utf8(&mut [0; 4]))?;
            }
            Event::DocType(_) => return Err(Error::Doctype { line: building.line() }),
            Event::Decl(_) | Event::Comment(_) | Event::PI(_) => {}
            Event::Eof => return building.finish(),
        }
    }
}

/// XML 1.0, 2.11: an end of line is one line feed, however it was sent.
fn ends_of_line(text: &str) -> Cow<'_, str> {
    match text.contains('\r') {
        true => Cow::Owned(text.replace("\r\n", "\n").replace('\r', "\n")),
        false => Cow::Borrowed(text),
    }
}

struct Building<'t> {
    text: &'t str,
    /// Where the event under way begins.
    at: usize,
    open: Vec<Open>,
    root: Option<Element>,
    elements: usize,
    attributes: usize,
    scopes: Scopes,
}

struct Open {
    element: Element,
    /// Prefixes that it declares.
    declares: Vec<String>,
}

impl Building<'_> {
    fn line(&self) -> usize {
        line(self.text, self.at)
    }

    fn malformed(&self, what: impl Into<String>) -> Error {
        Error::Malformed { line: self.line(), what: what.into() }
    }

    /// What the tokenizer says, in our words where the document just ends too early.
    fn broken(&self, error: &quick_xml::Error) -> Error {
        let rest = self.text.get(self.at..).unwrap_or_default();
        if rest.get(..9).is_some_and(|start| start.eq_ignore_ascii_case("<!DOCTYPE")) {
            return Error::Doctype { line: self.line() };
        }
        match (error, self.open.last()) {
            (quick_xml::Error::Syntax(_), Some(open)) => Error::Ends(open.element.name.clone()),
            (error, _) => self.malformed(error.to_string()),
        }
    }

    fn start(&mut self, start: &BytesStart<'_>) -> Result<(), Error> {
        if self.open.is_empty() && self.root.is_some() {
            return Err(self.malformed("there is a second element beside the root"));
        }
        if self.open.len() >= DEPTH_MAX {
            return Err(Error::TooDeep { line: self.line() });
        }
        self.elements += 1;
        if self.elements > ELEMENTS_MAX {
            return Err(Error::TooManyElements { line: self.line() });
        }
        let mut attributes = Vec::new();
        let mut declares = Vec::new();
        for (count, attribute) in start.attributes().enumerate() {
            self.attributes += 1;
            if count >= ATTRIBUTES_MAX || self.attributes > DOCUMENT_ATTRIBUTES_MAX {
                return Err(Error::TooManyAttributes { line: self.line() });
            }
            let attribute = attribute.map_err(|error| self.malformed(error.to_string()))?;
            let value = self.attribute_value(&attribute.value)?;
            let name = attribute.key.as_ref();
            let declared = if name == "xmlns" { Some("") } else { name.strip_prefix("xmlns:") };
            match declared {
                Some(prefix) => {
                    self.scopes.open(prefix, &value);
                    declares.push(prefix.to_owned());
                }
                None => attributes.push((name.to_owned(), value)),
            }
        }
        let (namespace, name) = self.resolve(start.name().as_ref(), true)?;
        let mut resolved = Vec::with_capacity(attributes.len());
        for (name, value) in attributes {
            let (namespace, name) = self.resolve(&name, false)?;
            resolved.push(Attribute { namespace, name, value });
        }
        let element = Element { namespace, name, attributes: resolved, children: Vec::new(), text: String::new() };
        self.open.push(Open { element, declares });
        Ok(())
    }

    /// The tokenizer holds that the names of start and end are the same.
    fn end(&mut self) {
        let Some(Open { mut element, declares }) = self.open.pop() else { return };
        for prefix in &declares {
            self.scopes.close(prefix);
        }
        if !element.children.is_empty() && element.text.chars().all(is_space) {
            element.text = String::new();
        }
        element.text.shrink_to_fit();
        match self.open.last_mut() {
            Some(parent) => parent.element.children.push(element),
            None => self.root = Some(element),
        }
    }

    fn text(&mut self, piece: &str) -> Result<(), Error> {
        let line = self.line_if_needed(piece);
        let Some(open) = self.open.last_mut() else {
            return match piece.chars().all(is_space) {
                true => Ok(()),
                false => Err(self.malformed("there is text outside of the root")),
            };
        };
        if open.element.text.len() + piece.len() > TEXT_BYTES_MAX {
            return Err(Error::TextTooLong { line });
        }
        open.element.text.push_str(piece);
        Ok(())
    }

    /// Counting lines for each piece of a long document would be quadratic.
    fn line_if_needed(&self, piece: &str) -> usize {
        let length = self.open.last().map_or(0, |open| open.element.text.len());
        if length + piece.len() > TEXT_BYTES_MAX { self.line() } else { 0 }
    }

    fn attribute_value(&self, raw: &str) -> Result<String, Error> {
        if raw.len() > TEXT_BYTES_MAX {
            return Err(Error::TextTooLong { line: self.line() });
        }
        if raw.contains('<') {
            return Err(self.malformed("there is a < in the value of an attribute"));
        }
        // XML 1.0, 3.3.3: white space in a value is a space.
        let spaced = raw.replace("\r\n", " ").replace(['\r', '\n', '\t'], " ");
        let mut value = String::with_capacity(spaced.len());
        let mut rest = spaced.as_str();
        while let Some((before, after)) = rest.split_once('&') {
            let Some((name, after)) = after.split_once(';') else {
                return Err(self.malformed("there is an & without its ;"));
            };
            value.push_str(before);
            value.push(self.reference(name)?);
            rest = after;
        }
        value.push_str(rest);
        Ok(value)
    }

    /// What `&name;` stands for: one of the five characters of XML, or the character of that number.
    fn reference(&self, name: &str) -> Result<char, Error> {
        let number = match (name.strip_prefix("#x"), name.strip_prefix('#')) {
            (Some(digits), _) => u32::from_str_radix(digits, 16).ok(),
            (None, Some(digits)) => digits.parse().ok(),
            (None, None) => match name {
                "amp" => Some('&'.into()),
                "lt" => Some('<'.into()),
                "gt" => Some('>'.into()),
                "quot" => Some('"'.into()),
                "apos" => Some('\''.into()),
                _ => None,
            },
        };
        let character = number.and_then(char::from_u32).filter(|character| is_character(*character));
        character.ok_or_else(|| Error::Entity { line: self.line(), name: name.chars().take(40).collect() })
    }

    /// A name with its prefix to namespace and name; a default namespace is for elements alone.
    fn resolve(&self, name: &str, default: bool) -> Result<(Arc<str>, String), Error> {
        let (prefix, local) = name.split_once(':').unwrap_or(("", name));
        if !is_name(local) || (name.contains(':') && !is_name(prefix)) {
            return Err(self.malformed(format!("{:?} is no name", name.chars().take(40).collect::<String>())));
        }
        let namespace = match prefix.is_empty() && !default {
            true => Some(Arc::from("")),
            false => self.scopes.find(prefix),
        };
        let namespace = namespace.ok_or_else(|| Error::Prefix { line: self.line(), prefix: prefix.to_owned() })?;
        Ok((namespace, local.to_owned()))
    }

    fn finish(self) -> Result<Element, Error> {
        match (self.open.last(), self.root) {
            (Some(open), _) => Err(Error::Ends(open.element.name.clone())),
            (None, root) => root.ok_or(Error::Empty),
        }
    }
}

/// A name without a colon, as far as it matters: nothing that is of the markup.
fn is_name(name: &str) -> bool {
    let starts = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_' || !c.is_ascii());
    starts && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.') || !c.is_ascii())
}

/// What prefixes mean, by the innermost declaration. A map, so that a document with many declarations stays cheap.
struct Scopes {
    by_prefix: HashMap<String, Vec<Arc<str>>>,
}

impl Scopes {
    fn new() -> Self {
        let known = [("", ""), ("xml", XML_NAMESPACE)];
        Self { by_prefix: known.map(|(prefix, namespace)| (prefix.to_owned(), vec![Arc::from(namespace)])).into() }
    }

    fn open(&mut self, prefix: &str, namespace: &str) {
        self.by_prefix.entry(prefix.to_owned()).or_default().push(Arc::from(namespace));
    }

    fn close(&mut self, prefix: &str) {
        if let Some(namespaces) = self.by_prefix.get_mut(prefix) {
            namespaces.pop();
        }
    }

    fn find(&self, prefix: &str) -> Option<Arc<str>> {
        self.by_prefix.get(prefix)?.last().cloned()
    }
}
