//! A value on its way from a cell to an attribute: what cells, CEL and JSON can all say.

use std::borrow::Cow;
use std::fmt;
use std::io::Write;
use std::sync::Arc;

use city_model::Time;
use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};

/// Borrows from the row where it can.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum Item<'a> {
    #[default]
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(Cow<'a, str>),
    Time(Time),
    /// A GeoJSON geometry as compact JSON text; coordinates stay digit for digit as they came.
    Geometry(Arc<str>),
    List(Vec<Item<'a>>),
    Map(Vec<(Cow<'a, str>, Item<'a>)>),
}

impl<'a> Item<'a> {
    #[must_use]
    pub fn text(text: &'a str) -> Self {
        Self::Text(Cow::Borrowed(text))
    }

    /// A gap: nothing was written in the cell. Zero, false and an empty list are not blank.
    #[must_use]
    pub fn is_blank(&self) -> bool {
        match self {
            Self::Null => true,
            Self::Text(text) => text.chars().all(char::is_whitespace),
            _ => false,
        }
    }

    #[must_use]
    pub fn type_name(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "a truth value",
            Self::Int(_) => "a whole number",
            Self::Float(_) => "a number",
            Self::Text(_) => "a text",
            Self::Time(_) => "a time",
            Self::Geometry(_) => "a geometry",
            Self::List(_) => "a list",
            Self::Map(_) => "a map",
        }
    }

    /// The same value, looked at without copying texts.
    #[must_use]
    pub fn borrowed(&self) -> Item<'_> {
        match self {
            Self::Null => Item::Null,
            Self::Bool(value) => Item::Bool(*value),
            Self::Int(value) => Item::Int(*value),
            Self::Float(value) => Item::Float(*value),
            Self::Text(text) => Item::Text(Cow::Borrowed(text)),
            Self::Time(time) => Item::Time(*time),
            Self::Geometry(json) => Item::Geometry(Arc::clone(json)),
            Self::List(list) => Item::List(list.iter().map(Item::borrowed).collect()),
            Self::Map(map) => {
                Item::Map(map.iter().map(|(key, item)| (Cow::Borrowed(&**key), item.borrowed())).collect())
            }
        }
    }

    #[must_use]
    pub fn into_owned(self) -> Item<'static> {
        match self {
            Self::Null => Item::Null,
            Self::Bool(value) => Item::Bool(value),
            Self::Int(value) => Item::Int(value),
            Self::Float(value) => Item::Float(value),
            Self::Text(text) => Item::Text(Cow::Owned(text.into_owned())),
            Self::Time(time) => Item::Time(time),
            Self::Geometry(json) => Item::Geometry(json),
            Self::List(list) => Item::List(list.into_iter().map(Item::into_owned).collect()),
            Self::Map(map) => {
                Item::Map(map.into_iter().map(|(k, item)| (Cow::Owned(k.into_owned()), item.into_owned())).collect())
            }
        }
    }

    /// How much memory it stands for, roughly in bytes.
    #[must_use]
    pub fn weight(&self) -> usize {
        match self {
            Self::Text(text) => 1 + text.len(),
            Self::Geometry(json) => 1 + json.len(),
            Self::List(list) => 1 + list.iter().map(Item::weight).sum::<usize>(),
            Self::Map(map) => 1 + map.iter().map(|(key, item)| key.len() + item.weight()).sum::<usize>(),
            _ => 1,
        }
    }

    /// As the value of a Property. A time becomes a typed value (CIM 009 clause 4.6.3).
    pub fn write_json(&self, out: &mut Vec<u8>) {
        match self {
            Self::Null => out.extend_from_slice(b"null"),
            Self::Bool(value) => out.extend_from_slice(if *value { b"true" } else { b"false" }),
            Self::Int(value) => drop(write!(out, "{value}")),
            Self::Float(value) => write_float(*value, out),
            Self::Text(text) => write_text(text, out),
            Self::Time(time) => {
                out.extend_from_slice(b"{\"@type\":\"DateTime\",\"@value\":\"");
                drop(write!(out, "{time}"));
                out.extend_from_slice(b"\"}");
            }
            Self::Geometry(json) => out.extend_from_slice(json.as_bytes()),
            Self::List(list) => {
                out.push(b'[');
                for (index, item) in list.iter().enumerate() {
                    if index > 0 {
                        out.push(b',');
                    }
                    item.write_json(out);
                }
                out.push(b']');
            }
            Self::Map(map) => {
                out.push(b'{');
                for (index, (key, item)) in map.iter().enumerate() {
                    if index > 0 {
                        out.push(b',');
                    }
                    write_text(key, out);
                    out.push(b':');
                    item.write_json(out);
                }
                out.push(b'}');
            }
        }
    }
}

/// Writing into memory does not fail, hence no result.
pub(crate) fn write_text(text: &str, out: &mut Vec<u8>) {
    drop(serde_json::to_writer(&mut *out, text));
}

fn write_float(value: f64, out: &mut Vec<u8>) {
    drop(serde_json::to_writer(&mut *out, &value));
}

impl<'de> Deserialize<'de> for Item<'static> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ItemVisitor;
        impl<'de> Visitor<'de> for ItemVisitor {
            type Value = Item<'static>;

            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("a value")
            }
            fn visit_unit<E>(self) -> Result<Self::Value, E> {
                Ok(Item::Null)
            }
            fn visit_none<E>(self) -> Result<Self::Value, E> {
                Ok(Item::Null)
            }
            fn visit_bool<E>(self, value: bool) -> Result<Self::Value, E> {
                Ok(Item::Bool(value))
            }
            fn visit_i64<E>(self, value: i64) -> Result<Self::Value, E> {
                Ok(Item::Int(value))
            }
            #[expect(clippy::cast_precision_loss, reason = "integers beyond 64 bits become floating point")]
            fn visit_u64<E>(self, value: u64) -> Result<Self::Value, E> {
                Ok(i64::try_from(value).map_or(Item::Float(value as f64), Item::Int))
            }
            fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Self::Value, E> {
                if value.is_finite() { Ok(Item::Float(value)) } else { Err(E::custom("a number must be finite")) }
            }
            fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Item::Text(Cow::Owned(text.to_owned())))
            }
            fn visit_string<E>(self, text: String) -> Result<Self::Value, E> {
                Ok(Item::Text(Cow::Owned(text)))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
                let mut list = Vec::new();
                while let Some(item) = seq.next_element()? {
                    list.push(item);
                }
                Ok(Item::List(list))
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some((key, item)) = map.next_entry::<String, Item<'static>>()? {
                    if members.len() >= crate::row::COLUMNS_MAX {
                        return Err(A::Error::custom("an object has too many members"));
                    }
                    members.push((Cow::Owned(key), item));
                }
                Ok(Item::Map(members))
            }
        }
        deserializer.deserialize_any(ItemVisitor)
    }
}
