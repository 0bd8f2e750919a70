//! JSON as this room needs it: shallow objects over raw slices, values of the model, and writing.

use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt;

use city_model::value::{VALUE_DEPTH_MAX, Value};
use serde::Deserialize;
use serde::de::{self, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use crate::error::Error;

/// Up to here duplicate keys are found by looking at every pair.
const KEYS_COMPARED_MAX: usize = 12;

/// The members of one object, in order, unparsed.
pub struct Members<'a>(pub Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'a> Members<'a> {
    /// Refuses anything but an object without duplicate keys.
    pub fn parse(text: &'a str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(text)
    }

    /// For a slice that is JSON already: the only things that can be wrong are its type and keys.
    pub fn of(raw: &'a RawValue) -> Result<Self, Error> {
        Self::parse(raw.get()).map_err(|error| Error::bad("", plain(&error)))
    }

    pub fn get(&self, key: &str) -> Option<&'a RawValue> {
        self.0.iter().find(|(own, _)| own == key).map(|(_, raw)| *raw)
    }
}

/// The message of a parser without its "at line 1 column 7".
pub fn plain(error: &serde_json::Error) -> String {
    let text = error.to_string();
    text.split(" at line ").next().unwrap_or_default().to_owned()
}

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct MembersVisitor;
        impl<'de> Visitor<'de> for MembersVisitor {
            type Value = Members<'de>;
            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("a JSON object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members: Vec<(Cow<'de, str>, &'de RawValue)> = Vec::with_capacity(8);
                while let Some(Key(key)) = map.next_key()? {
                    members.push((key, map.next_value()?));
                }
                match duplicate(members.iter().map(|(key, _)| &**key)) {
                    Some(key) => Err(de::Error::custom(format!("duplicate member \"{key}\""))),
                    None => Ok(Members(members)),
                }
            }
        }
        deserializer.deserialize_map(MembersVisitor)
    }
}

/// A key that borrows from the body where it holds no escapes.
pub struct Key<'a>(pub Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Key<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct KeyVisitor;
        impl<'de> Visitor<'de> for KeyVisitor {
            type Value = Key<'de>;
            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("a string")
            }
            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Key(Cow::Borrowed(text)))
            }
            fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Key(Cow::Owned(text.to_owned())))
            }
        }
        deserializer.deserialize_str(KeyVisitor)
    }
}

/// The first key that occurs twice.
pub fn duplicate<'k>(keys: impl ExactSizeIterator<Item = &'k str> + Clone) -> Option<&'k str> {
    if keys.len() <= KEYS_COMPARED_MAX {
        let mut rest = keys;
        while let Some(key) = rest.next() {
            if rest.clone().any(|other| other == key) {
                return Some(key);
            }
        }
        return None;
    }
    let mut seen = HashSet::with_capacity(keys.len());
    keys.into_iter().find(|key| !seen.insert(*key))
}

/// Reads a value of the model; nesting is bounded by `VALUE_DEPTH_MAX`.
#[derive(Clone, Copy)]
pub struct ValueSeed {
    levels_left: usize,
}

impl Default for ValueSeed {
    fn default() -> Self {
        Self { levels_left: VALUE_DEPTH_MAX }
    }
}

impl ValueSeed {
    fn deeper<E: de::Error>(self) -> Result<Self, E> {
        match self.levels_left.checked_sub(1) {
            Some(levels_left) => Ok(Self { levels_left }),
            None => Err(E::custom(format!("nested deeper than {VALUE_DEPTH_MAX} levels"))),
        }
    }
}

impl<'de> DeserializeSeed<'de> for ValueSeed {
    type Value = Value;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for ValueSeed {
    type Value = Value;
    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("a JSON value")
    }
    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }
    fn visit_bool<E>(self, flag: bool) -> Result<Value, E> {
        Ok(Value::Bool(flag))
    }
    fn visit_i64<E>(self, int: i64) -> Result<Value, E> {
        Ok(Value::Int(int))
    }
    fn visit_u64<E>(self, int: u64) -> Result<Value, E> {
        #[expect(
            clippy::cast_precision_loss,
            reason = "integers beyond 64 bits become floating point, as the model says"
        )]
        Ok(i64::try_from(int).map_or(Value::Float(int as f64), Value::Int))
    }
    fn visit_f64<E>(self, float: f64) -> Result<Value, E> {
        Ok(Value::Float(float))
    }
    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        Ok(Value::Text(text.into()))
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let inner = self.deeper()?;
        let mut items = Vec::new();
        while let Some(item) = seq.next_element_seed(inner)? {
            items.push(item);
        }
        Ok(Value::List(items))
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let inner = self.deeper()?;
        let mut members: Vec<(Box<str>, Value)> = Vec::new();
        while let Some(Key(key)) = map.next_key()? {
            members.push((Box::from(&*key), map.next_value_seed(inner)?));
        }
        match duplicate(members.iter().map(|(key, _)| &**key)) {
            Some(key) => Err(de::Error::custom(format!("duplicate member \"{key}\""))),
            None => Ok(Value::Map(members)),
        }
    }
}

pub fn value(raw: &RawValue) -> Result<Value, Error> {
    let mut deserializer = serde_json::Deserializer::from_str(raw.get());
    ValueSeed::default().deserialize(&mut deserializer).map_err(|error| Error::bad("", plain(&error)))
}

/// The first byte that matters tells what kind of JSON a slice is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    Object,
    Array,
    Text,
    Null,
    Scalar,
}

pub fn shape(raw: &RawValue) -> Shape {
    match raw.get().as_bytes().first() {
        Some(b'{') => Shape::Object,
        Some(b'[') => Shape::Array,
        Some(b'"') => Shape::Text,
        Some(b'n') => Shape::Null,
        _ => Shape::Scalar,
    }
}

/// The text of a JSON string; `None` where the slice is something else.
pub fn text(raw: &RawValue) -> Option<Cow<'_, str>> {
    if shape(raw) != Shape::Text {
        return None;
    }
    serde_json::from_str::<Key>(raw.get()).ok().map(|Key(text)| text)
}

/// Like `text`, but says what was expected.
pub fn expect_text<'a>(raw: &'a RawValue, path: &str) -> Result<Cow<'a, str>, Error> {
    text(raw).ok_or_else(|| Error::bad(path, format!("must be a string, found {}", described(raw))))
}

pub fn expect_bool(raw: &RawValue, path: &str) -> Result<bool, Error> {
    match raw.get() {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => Err(Error::bad(path, format!("must be true or false, found {}", described(raw)))),
    }
}

pub fn expect_number(raw: &RawValue, path: &str) -> Result<f64, Error> {
    let number = (shape(raw) == Shape::Scalar).then(|| raw.get().parse::<f64>().ok()).flatten();
    number
        .filter(|number| number.is_finite())
        .ok_or_else(|| Error::bad(path, format!("must be a number, found {}", described(raw))))
}

pub fn expect_array<'a>(raw: &'a RawValue, path: &str) -> Result<Vec<&'a RawValue>, Error> {
    if shape(raw) != Shape::Array {
        return Err(Error::bad(path, format!("must be an array, found {}", described(raw))));
    }
    serde_json::from_str(raw.get()).map_err(|error| Error::bad(path, plain(&error)))
}

/// A non-empty array of strings.
pub fn expect_texts<'a>(raw: &'a RawValue, path: &str) -> Result<Vec<Cow<'a, str>>, Error> {
    let items = expect_array(raw, path)?;
    if items.is_empty() {
        return Err(Error::bad(path, "must not be an empty array; leave it out instead"));
    }
    items.into_iter().map(|item| expect_text(item, path)).collect()
}

/// What was found, for messages; clipped.
pub fn described(raw: &RawValue) -> String {
    const SHOWN_CHARS_MAX: usize = 60;
    match shape(raw) {
        Shape::Object => "an object".to_owned(),
        Shape::Array => "an array".to_owned(),
        _ => {
            let mut shown: String = raw.get().chars().take(SHOWN_CHARS_MAX).collect();
            if shown.len() < raw.get().len() {
                shown.push('…');
            }
            shown
        }
    }
}

/// A text as JSON, quoted and escaped.
pub fn write_text(out: &mut Vec<u8>, text: &str) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    out.push(b'"');
    let bytes = text.as_bytes();
    let mut from = 0;
    for (at, &byte) in bytes.iter().enumerate() {
        let escape: Option<&[u8]> = match byte {
            b'"' => Some(b"\\\""),
            b'\\' => Some(b"\\\\"),
            b'\n' => Some(b"\\n"),
            b'\r' => Some(b"\\r"),
            b'\t' => Some(b"\\t"),
            0..=0x1f => None,
            _ => continue,
        };
        out.extend_from_slice(&bytes[from..at]);
        match escape {
            Some(escape) => out.extend_from_slice(escape),
            None => {
                out.extend_from_slice(b"\\u00");
                out.push(HEX[usize::from(byte >> 4)]);
                out.push(HEX[usize::from(byte & 15)]);
            }
        }
        from = at + 1;
    }
    out.extend_from_slice(&bytes[from..]);
    out.push(b'"');
}

/// Shortest text that reads back as the same number; a whole number of a float keeps its `.0`.
pub fn write_f64(out: &mut Vec<u8>, float: f64) {
    if float.is_finite() {
        // Writing to memory cannot fail.
        let _ = serde_json::to_writer(&mut *out, &float);
    } else {
        out.extend_from_slice(b"null");
    }
}

pub fn write_display(out: &mut Vec<u8>, shown: impl fmt::Display) {
    use std::io::Write;
    // Writing to memory cannot fail.
    let _ = write!(out, "{shown}");
}

pub fn write_value(out: &mut Vec<u8>, value: &Value) {
    match value {
        Value::Null => out.extend_from_slice(b"null"),
        Value::Bool(true) => out.extend_from_slice(b"true"),
        Value::Bool(false) => out.extend_from_slice(b"false"),
        Value::Int(int) => {
            // Writing to memory cannot fail.
            let _ = serde_json::to_writer(&mut *out, int);
        }
        Value::Float(float) => write_f64(out, *float),
        Value::Text(text) => write_text(out, text),
        Value::List(items) => write_list(out, items, write_value),
        Value::Map(members) => {
            out.push(b'{');
            for (at, (key, value)) in members.iter().enumerate() {
                if at > 0 {
                    out.push(b',');
                }
                write_text(out, key);
                out.push(b':');
                write_value(out, value);
            }
            out.push(b'}');
        }
    }
}

pub fn write_list<T>(out: &mut Vec<u8>, items: impl IntoIterator<Item = T>, mut write: impl FnMut(&mut Vec<u8>, T)) {
    out.push(b'[');
    for (at, item) in items.into_iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        write(out, item);
    }
    out.push(b']');
}

/// Writes the members of an object, minding the commas.
pub struct ObjectWriter<'o> {
    pub out: &'o mut Vec<u8>,
    empty: bool,
}

impl<'o> ObjectWriter<'o> {
    pub fn open(out: &'o mut Vec<u8>) -> Self {
        out.push(b'{');
        Self { out, empty: true }
    }

    /// `name` is written as it is: it must be free of characters that JSON escapes.
    pub fn key(&mut self, name: &str) -> &mut Vec<u8> {
        self.comma();
        self.out.push(b'"');
        self.out.extend_from_slice(name.as_bytes());
        self.out.extend_from_slice(b"\":");
        self.out
    }

    pub fn text_key(&mut self, name: &str) -> &mut Vec<u8> {
        self.comma();
        write_text(self.out, name);
        self.out.push(b':');
        self.out
    }

    fn comma(&mut self) {
        if !self.empty {
            self.out.push(b',');
        }
        self.empty = false;
    }

    pub fn text(&mut self, name: &str, text: &str) {
        write_text(self.key(name), text);
    }

    pub fn raw(&mut self, name: &str, json: &str) {
        self.key(name).extend_from_slice(json.as_bytes());
    }

    pub fn time(&mut self, name: &str, time: city_model::Time) {
        let out = self.key(name);
        out.push(b'"');
        write_display(out, time);
        out.push(b'"');
    }

    pub fn close(self) {
        self.out.push(b'}');
    }
}
