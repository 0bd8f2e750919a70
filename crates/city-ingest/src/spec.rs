//! A mapping as it is written in YAML. Unknown keys are refused with their place.

use std::fmt;
use std::marker::PhantomData;

use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};

use crate::decode::Format;
use crate::item::Item;

#[derive(Debug, serde::Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct MappingSpec {
    /// Of the language; 1 where it is left out.
    pub(crate) version: Option<u32>,
    pub(crate) source: Option<SourceSpec>,
    pub(crate) format: Format,
    pub(crate) rows: Option<String>,
    pub(crate) delimiter: Option<char>,
    pub(crate) encoding: Option<String>,
    pub(crate) target: Option<TargetSpec>,
    pub(crate) context: Option<OneOrMany<String>>,
    pub(crate) time: Option<TimeSpec>,
    #[serde(default)]
    pub(crate) codes: Ordered<Ordered<Item<'static>>>,
    pub(crate) when: Option<Cel>,
    pub(crate) id: Cel,
    #[serde(rename = "type")]
    pub(crate) types: OneOrMany<String>,
    pub(crate) scope: Option<Cel>,
    pub(crate) observed_at: Option<Cel>,
    #[serde(default)]
    pub(crate) attributes: Ordered<AttributeSpec>,
    pub(crate) columns: Option<ColumnsSpec>,
}

#[derive(Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SourceSpec {
    pub(crate) title: Option<String>,
    pub(crate) provider: Option<String>,
    pub(crate) licence: Option<String>,
    pub(crate) url: Option<String>,
    pub(crate) emit: Option<Vec<EmitSpec>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum EmitSpec {
    Provider,
    Licence,
    Url,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum TargetSpec {
    Current,
    Temporal,
}

#[derive(Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TimeSpec {
    pub(crate) zone: String,
}

#[derive(Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ColumnsSpec {
    pub(crate) keep: KeepSpec,
    #[serde(default)]
    pub(crate) except: Vec<String>,
    #[serde(default)]
    pub(crate) names: Ordered<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum KeepSpec {
    /// Every column.
    All,
    /// Every column that no expression of the mapping names.
    Rest,
}

/// `name: CEL`, `name: {value: CEL, …}`, or a list of the latter for several instances.
#[derive(Debug)]
pub(crate) struct AttributeSpec(pub(crate) Vec<InstanceSpec>);

#[derive(Debug, serde::Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct InstanceSpec {
    #[serde(rename = "type", default)]
    pub(crate) kind: KindSpec,
    pub(crate) value: ValueSpec,
    pub(crate) unit_code: Option<String>,
    /// Lowest and highest value that is believed.
    pub(crate) range: Option<(f64, f64)>,
    #[serde(default)]
    pub(crate) beyond: BeyondSpec,
    pub(crate) observed_at: Option<Cel>,
    pub(crate) dataset_id: Option<Cel>,
    pub(crate) object_type: Option<OneOrMany<String>>,
    #[serde(default)]
    pub(crate) attributes: Ordered<AttributeSpec>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Deserialize)]
pub(crate) enum KindSpec {
    #[default]
    Property,
    Relationship,
    GeoProperty,
    LanguageProperty,
    VocabProperty,
    JsonProperty,
    ListProperty,
    ListRelationship,
}

/// What becomes of a value beyond its range.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum BeyondSpec {
    /// It is kept, and said of it.
    #[default]
    Flag,
    /// The row is rejected.
    Reject,
}

/// One expression, or one for each language.
#[derive(Debug)]
pub(crate) enum ValueSpec {
    One(Cel),
    Languages(Ordered<Cel>),
}

/// The text of an expression. A bare number or truth value in YAML is one too.
#[derive(Debug)]
pub(crate) struct Cel(pub(crate) String);

/// A YAML map in the order it is written; the same key twice is refused.
#[derive(Debug)]
pub(crate) struct Ordered<T>(pub(crate) Vec<(String, T)>);

impl<T> Default for Ordered<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

#[derive(Debug)]
pub(crate) struct OneOrMany<T>(pub(crate) Vec<T>);

macro_rules! scalars {
    ($expecting:literal, $wrap:expr) => {
        fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
            f.write_str($expecting)
        }
        fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Self::Value, E> {
            Ok($wrap(text.to_owned()))
        }
        fn visit_i64<E: serde::de::Error>(self, value: i64) -> Result<Self::Value, E> {
            Ok($wrap(value.to_string()))
        }
        fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<Self::Value, E> {
            Ok($wrap(value.to_string()))
        }
        fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Self::Value, E> {
            Ok($wrap(value.to_string()))
        }
        fn visit_bool<E: serde::de::Error>(self, value: bool) -> Result<Self::Value, E> {
            Ok($wrap(value.to_string()))
        }
    };
}

impl<'de> Deserialize<'de> for Cel {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct CelVisitor;
        impl Visitor<'_> for CelVisitor {
            type Value = Cel;
            scalars!("an expression", Cel);
        }
        deserializer.deserialize_any(CelVisitor)
    }
}

impl<'de> Deserialize<'de> for ValueSpec {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ValueVisitor;
        impl<'de> Visitor<'de> for ValueVisitor {
            type Value = ValueSpec;
            scalars!("an expression, or a map of languages to expressions", |text| ValueSpec::One(Cel(text)));
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
                Ordered::deserialize(MapAccessDeserializer::new(map)).map(ValueSpec::Languages)
            }
        }
        deserializer.deserialize_any(ValueVisitor)
    }
}

impl<'de> Deserialize<'de> for AttributeSpec {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        fn short(text: String) -> AttributeSpec {
            AttributeSpec(vec![InstanceSpec {
                kind: KindSpec::Property,
                value: ValueSpec::One(Cel(text)),
                unit_code: None,
                range: None,
                beyond: BeyondSpec::Flag,
                observed_at: None,
                dataset_id: None,
                object_type: None,
                attributes: Ordered::default(),
            }])
        }
        struct AttributeVisitor;
        impl<'de> Visitor<'de> for AttributeVisitor {
            type Value = AttributeSpec;
            scalars!("an expression, an attribute, or a list of its instances", short);
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
                InstanceSpec::deserialize(MapAccessDeserializer::new(map)).map(|one| AttributeSpec(vec![one]))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Self::Value, A::Error> {
                Vec::deserialize(SeqAccessDeserializer::new(seq)).map(AttributeSpec)
            }
        }
        deserializer.deserialize_any(AttributeVisitor)
    }
}

/// A key of a code list may be written as a number.
struct Key(String);

impl<'de> Deserialize<'de> for Key {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct KeyVisitor;
        impl Visitor<'_> for KeyVisitor {
            type Value = Key;
            scalars!("a name", Key);
        }
        deserializer.deserialize_any(KeyVisitor)
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Ordered<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OrderedVisitor<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for OrderedVisitor<T> {
            type Value = Ordered<T>;
            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("a map")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members: Vec<(String, T)> = Vec::new();
                let mut seen = std::collections::HashSet::new();
                while let Some(Key(key)) = map.next_key()? {
                    if !seen.insert(key.clone()) {
                        return Err(A::Error::custom(format!("\"{key}\" stands there twice")));
                    }
                    members.push((key, map.next_value()?));
                }
                Ok(Ordered(members))
            }
        }
        deserializer.deserialize_map(OrderedVisitor(PhantomData))
    }
}

impl<'de, T: Deserialize<'de> + From<String>> Deserialize<'de> for OneOrMany<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OneOrManyVisitor<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de> + From<String>> Visitor<'de> for OneOrManyVisitor<T> {
            type Value = OneOrMany<T>;
            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("a text or a list of texts")
            }
            fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
                Ok(OneOrMany(vec![T::from(text.to_owned())]))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Self::Value, A::Error> {
                Vec::deserialize(SeqAccessDeserializer::new(seq)).map(OneOrMany)
            }
        }
        deserializer.deserialize_any(OneOrManyVisitor(PhantomData))
    }
}
