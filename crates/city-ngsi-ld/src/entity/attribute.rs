//! One attribute: an instance, an array of instances, or a bare value (clauses 4.5.2 to 4.5.24).

use std::borrow::Cow;
use std::fmt;

use city_model::name::is_uri;
use city_model::value::{NGSI_LD_NULL, Value};
use city_model::{Attribute, DatasetId, Instance, Kind, Name, Time};
use serde::Deserialize;
use serde::de::{self, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::context::TermMap;
use crate::entity::{
    ATTRIBUTES_MAX, INSTANCES_MAX, Mode, SUB_ATTRIBUTE_DEPTH_MAX, TEMPORAL_INSTANCES_MAX, check_name, expand_attribute,
    geometry,
};
use crate::error::Error;
use crate::json::{self, Key, Shape, ValueSeed};
use crate::render::VALUE_TYPE;

/// Reads attributes in one @context and mode.
#[derive(Clone, Copy)]
pub(crate) struct Reader<'t> {
    pub terms: &'t TermMap,
    pub mode: Mode,
    /// The body is the attribute itself, so an object without a value is a fragment, not a value.
    pub attribute_body: bool,
}

/// The member that carries what an attribute says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Carrier {
    Value,
    Object,
    LanguageMap,
    Vocab,
    Json,
    ValueList,
    ObjectList,
}

const TYPES: &str = "Property, Relationship, GeoProperty, LanguageProperty, VocabProperty, JsonProperty, ListProperty or \
                     ListRelationship";

impl Carrier {
    fn member(self) -> &'static str {
        match self {
            Self::Value => "value",
            Self::Object => "object",
            Self::LanguageMap => "languageMap",
            Self::Vocab => "vocab",
            Self::Json => "json",
            Self::ValueList => "valueList",
            Self::ObjectList => "objectList",
        }
    }

    fn of_member(key: &str) -> Option<Self> {
        Some(match key {
            "value" => Self::Value,
            "object" => Self::Object,
            "languageMap" => Self::LanguageMap,
            "vocab" => Self::Vocab,
            "json" => Self::Json,
            "valueList" => Self::ValueList,
            "objectList" => Self::ObjectList,
            _ => return None,
        })
    }

    /// The member that a type of attribute needs; `None` where the standard knows no such type.
    fn of_type(name: &str) -> Option<Self> {
        Some(match name {
            "Property" | "GeoProperty" => Self::Value,
            "Relationship" => Self::Object,
            "LanguageProperty" => Self::LanguageMap,
            "VocabProperty" => Self::Vocab,
            "JsonProperty" => Self::Json,
            "ListProperty" => Self::ValueList,
            "ListRelationship" => Self::ObjectList,
            _ => return None,
        })
    }
}

/// The members of an attribute object; the carrier is read at once, the rest stays raw.
#[derive(Default)]
struct Parts<'a> {
    kind: Option<&'a RawValue>,
    carrier: Option<(Carrier, Value)>,
    second_carrier: Option<Carrier>,
    observed_at: Option<&'a RawValue>,
    unit_code: Option<&'a RawValue>,
    dataset: Option<&'a RawValue>,
    object_type: Option<&'a RawValue>,
    value_type: Option<&'a RawValue>,
    coordinates: bool,
    expires: bool,
    context: bool,
    others: Vec<(Cow<'a, str>, &'a RawValue)>,
}

impl<'de: 'a, 'a> Deserialize<'de> for Parts<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct PartsVisitor;
        impl<'de> Visitor<'de> for PartsVisitor {
            type Value = Parts<'de>;
            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("a JSON object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut parts = Parts::default();
                while let Some(Key(key)) = map.next_key::<Key<'de>>()? {
                    if let Some(carrier) = Carrier::of_member(&key) {
                        if parts.carrier.as_ref().is_some_and(|(first, _)| *first == carrier) {
                            return Err(de::Error::custom(format!("duplicate member \"{key}\"")));
                        }
                        let value = map.next_value_seed(ValueSeed::default())?;
                        match parts.carrier {
                            None => parts.carrier = Some((carrier, value)),
                            Some(_) => parts.second_carrier = Some(carrier),
                        }
                        continue;
                    }
                    let raw: &'de RawValue = map.next_value()?;
                    let place = match &*key {
                        "type" | "@type" => &mut parts.kind,
                        "observedAt" => &mut parts.observed_at,
                        "unitCode" => &mut parts.unit_code,
                        "datasetId" => &mut parts.dataset,
                        "objectType" => &mut parts.object_type,
                        "valueType" => &mut parts.value_type,
                        _ => {
                            parts.coordinates |= key == "coordinates";
                            parts.expires |= key == "expiresAt";
                            parts.context |= key == "@context";
                            parts.others.push((key, raw));
                            continue;
                        }
                    };
                    if place.replace(raw).is_some() {
                        return Err(de::Error::custom(format!("duplicate member \"{key}\"")));
                    }
                }
                match json::duplicate(parts.others.iter().map(|(key, _)| &**key)) {
                    Some(key) => Err(de::Error::custom(format!("duplicate member \"{key}\""))),
                    None => Ok(parts),
                }
            }
        }
        deserializer.deserialize_map(PartsVisitor)
    }
}

impl Parts<'_> {
    /// Whether an object without a carrier is still about an attribute rather than a value itself.
    fn names_attribute(&self) -> bool {
        self.observed_at.is_some() || self.unit_code.is_some() || self.dataset.is_some() || self.object_type.is_some()
    }
}

impl Reader<'_> {
    /// All instances of one attribute.
    pub(crate) fn instances(&self, raw: &RawValue, depth: usize) -> Result<Vec<Instance>, Error> {
        if json::shape(raw) != Shape::Array {
            return self.instance(raw, depth).map(|instance| vec![instance]);
        }
        let items = json::expect_array(raw, "")?;
        if !self.are_instances(&items) {
            return self.instance(raw, depth).map(|instance| vec![instance]);
        }
        let bound = if self.mode == Mode::Temporal { TEMPORAL_INSTANCES_MAX } else { INSTANCES_MAX };
        if items.len() > bound {
            return Err(Error::bad("", format!("an attribute may have at most {bound} instances here")));
        }
        let mut instances = Vec::with_capacity(items.len());
        for (at, item) in items.into_iter().enumerate() {
            instances.push(self.instance(item, depth).map_err(|error| error.within(&format!("[{at}]")))?);
        }
        if self.mode != Mode::Temporal {
            self.check_datasets(&instances)?;
        }
        Ok(instances)
    }

    /// Several instances of one attribute differ in their datasetId (clause 4.5.5).
    fn check_datasets(&self, instances: &[Instance]) -> Result<(), Error> {
        let keys = instances.iter().map(|i| i.dataset.as_ref().map_or("", DatasetId::as_str));
        match json::duplicate(keys) {
            None => Ok(()),
            Some("") => {
                Err(Error::bad("datasetId", "is missing in more than one instance; only one may be the default"))
            }
            Some(dataset) => Err(Error::bad("datasetId", format!("{dataset} is given to more than one instance"))),
        }
    }

    /// An array holds instances if its first element looks like one; else it is a value (concise).
    fn are_instances(&self, items: &[&RawValue]) -> bool {
        let Some(first) = items.first().filter(|first| json::shape(first) == Shape::Object) else { return false };
        let Ok(parts) = serde_json::from_str::<Parts>(first.get()) else {
            // It holds something wrong; reading it as an instance says what.
            return true;
        };
        parts.carrier.is_some()
            || parts.dataset.is_some()
            || parts.kind.and_then(json::text).is_some_and(|kind| Carrier::of_type(&kind).is_some())
    }

    fn instance(&self, raw: &RawValue, depth: usize) -> Result<Instance, Error> {
        if depth > SUB_ATTRIBUTE_DEPTH_MAX {
            return Err(Error::bad("", format!("attributes are nested deeper than {SUB_ATTRIBUTE_DEPTH_MAX} levels")));
        }
        if json::shape(raw) != Shape::Object {
            return self.bare(json::value(raw)?);
        }
        let mut parts: Parts = serde_json::from_str(raw.get()).map_err(|error| Error::bad("", json::plain(&error)))?;
        // The body of an attribute endpoint brings the @context of the request (clause 5.5.5).
        if parts.context && !(self.attribute_body && depth == 0) {
            return Err(Error::bad("@context", "an attribute cannot have a @context of its own (clause 5.5.7)"));
        }
        let kind = match parts.kind {
            Some(kind) => Some(json::text(kind).ok_or_else(|| {
                Error::bad("type", format!("must be a string, one of {TYPES}; found {}", json::described(kind)))
            })?),
            None => None,
        };
        if let Some(kind) = &kind
            && parts.coordinates
            && geometry::is_geometry_type(kind)
        {
            return Ok(Instance::new(Kind::GeoProperty(geometry::read(&json::value(raw)?)?)));
        }
        let expected = match &kind {
            Some(kind) => Some(
                Carrier::of_type(kind)
                    .ok_or_else(|| Error::bad("type", format!("{kind:?} is not a type of attribute; use {TYPES}")))?,
            ),
            None => None,
        };
        if let (Some((first, _)), Some(second)) = (&parts.carrier, parts.second_carrier) {
            let (first, second) = (first.member(), second.member());
            return Err(Error::bad(second, format!("cannot stand beside {first}; one instance says one thing")));
        }
        if kind.is_none() && parts.carrier.is_none() && !self.attribute_body && !parts.names_attribute() {
            // Concise: the object is the value of a Property (clause 4.5.2.3).
            return self.bare(json::value(raw)?);
        }
        let said = match (parts.carrier.take(), expected) {
            (Some((carrier, _)), Some(expected)) if carrier != expected => {
                return Err(Error::bad(
                    carrier.member(),
                    format!("a {} has {}, not {}", kind.unwrap_or_default(), expected.member(), carrier.member()),
                ));
            }
            (Some((carrier, value)), _) => self.said(carrier, value, kind.as_deref(), parts.object_type)?,
            (None, expected) => {
                if self.mode != Mode::Fragment {
                    let member = expected.unwrap_or(Carrier::Value).member();
                    return Err(Error::bad(member, "is missing"));
                }
                Kind::Unchanged
            }
        };
        let mut instance = Instance::new(said);
        self.add_members(&mut instance, &parts, depth)?;
        Ok(instance)
    }

    /// A value without an object around it (clauses 4.5.2.3, 4.7.3).
    fn bare(&self, value: Value) -> Result<Instance, Error> {
        if geometry::looks_like_geometry(&value) {
            return Ok(Instance::new(Kind::GeoProperty(geometry::read(&value)?)));
        }
        self.said(Carrier::Value, value, None, None)
            .map_err(|mut error| {
                // There is no member `value` to speak of.
                error.path = error.path.strip_prefix("value").map(str::to_owned).unwrap_or(error.path);
                error
            })
            .map(Instance::new)
    }

    fn null(&self, member: &str) -> Result<Kind, Error> {
        match self.mode {
            Mode::Fragment => Ok(Kind::Null),
            _ => Err(Error::bad(member, "NGSI-LD Null deletes and is only allowed in updates (clause 4.5.0)")),
        }
    }

    fn said(
        &self,
        carrier: Carrier,
        value: Value,
        kind: Option<&str>,
        object_type: Option<&RawValue>,
    ) -> Result<Kind, Error> {
        let member = carrier.member();
        if value == Value::Null && carrier != Carrier::Json {
            return Err(Error::bad(
                member,
                "null is not a value in NGSI-LD; leave the attribute out, or send \"urn:ngsi-ld:null\" to delete it",
            ));
        }
        if object_type.is_some() && !matches!(carrier, Carrier::Object | Carrier::ObjectList) {
            return Err(Error::bad("objectType", "belongs to Relationships only"));
        }
        if value.is_ngsi_ld_null() {
            return self.null(member);
        }
        // Clause 5.5.4: inside a value too, it belongs to merges alone.
        if matches!(carrier, Carrier::Value | Carrier::Json)
            && (self.mode == Mode::Create || self.attribute_body)
            && holds_null(&value)
        {
            return Err(Error::bad(member, "holds the NGSI-LD Null, which is only allowed inside a value in a merge"));
        }
        match carrier {
            Carrier::Value => match kind {
                Some("GeoProperty") => Ok(Kind::GeoProperty(geometry::read(&value)?)),
                None if geometry::looks_like_geometry(&value) => Ok(Kind::GeoProperty(geometry::read(&value)?)),
                _ => Ok(Kind::Property(value)),
            },
            Carrier::Object => {
                check_uris(&value).map_err(|error| error.within(member))?;
                Ok(Kind::Relationship { object: value, object_types: self.object_types(object_type)? })
            }
            Carrier::LanguageMap => self.language_map(value),
            Carrier::Vocab => Ok(Kind::VocabProperty(self.vocab(value)?)),
            // Clause 4.5.24.2.
            Carrier::Json if !matches!(value, Value::Map(_) | Value::List(_)) => {
                Err(Error::bad(member, "must be a JSON object or an array of objects"))
            }
            Carrier::Json => Ok(Kind::JsonProperty(value)),
            Carrier::ValueList => match value {
                Value::List(list) if matches!(list.as_slice(), [only] if only.is_ngsi_ld_null()) => self.null(member),
                Value::List(list) => Ok(Kind::ListProperty(list)),
                _ => Err(Error::bad(member, "must be an array")),
            },
            Carrier::ObjectList => match value {
                Value::List(list) if matches!(list.as_slice(), [only] if only.is_ngsi_ld_null()) => self.null(member),
                Value::List(list) => {
                    let mut objects = Vec::with_capacity(list.len());
                    for item in list {
                        // {"object": URI} or the URI alone (clause 4.5.22).
                        let object = match item {
                            Value::Map(mut members) if members.len() == 1 && &*members[0].0 == "object" => {
                                members.remove(0).1
                            }
                            other => other,
                        };
                        check_uri(&object).map_err(|error| error.within(member))?;
                        objects.push(object);
                    }
                    Ok(Kind::ListRelationship { objects, object_types: self.object_types(object_type)? })
                }
                _ => Err(Error::bad(member, "must be an array of URIs or of {\"object\": URI}")),
            },
        }
    }

    fn object_types(&self, raw: Option<&RawValue>) -> Result<Vec<Name>, Error> {
        let Some(raw) = raw else { return Ok(Vec::new()) };
        let texts = match json::shape(raw) {
            Shape::Array => json::expect_texts(raw, "objectType")?,
            _ => vec![json::expect_text(raw, "objectType")?],
        };
        texts
            .iter()
            .map(|text| {
                check_name(text, "entity type").map_err(|error| error.within("objectType"))?;
                Ok(self.terms.expand(text))
            })
            .collect()
    }

    fn vocab(&self, value: Value) -> Result<Value, Error> {
        let expand = |text: &str| Value::text(self.terms.expand(text).as_str());
        match value {
            Value::Text(text) => Ok(expand(&text)),
            Value::List(items) => items
                .iter()
                .map(|item| item.as_text().map(expand).ok_or_else(|| Error::bad("vocab", "must hold strings only")))
                .collect::<Result<_, _>>()
                .map(Value::List),
            _ => Err(Error::bad("vocab", "must be a string or an array of strings")),
        }
    }

    /// Clause 4.6.5: language tags to a text or a list of texts.
    fn language_map(&self, value: Value) -> Result<Kind, Error> {
        let bad = |message: String| Err(Error::bad("languageMap", message));
        let Value::Map(members) = value else {
            return bad("must be an object of language tags and texts, such as {\"ja\": \"橋\"}".to_owned());
        };
        if let [(tag, value)] = members.as_slice()
            && &**tag == "@none"
            && value.is_ngsi_ld_null()
        {
            return self.null("languageMap");
        }
        if members.is_empty() {
            return bad("must not be empty".to_owned());
        }
        for (tag, value) in &members {
            if !is_language_tag(tag) {
                return bad(format!("{tag:?} is not a language tag such as ja or pt-BR, nor @none"));
            }
            let texts_only = match value {
                Value::Text(_) => true,
                Value::List(items) => items.iter().all(|item| item.as_text().is_some()),
                _ => false,
            };
            if !texts_only {
                return bad(format!("the value of {tag:?} must be a string or an array of strings"));
            }
            if value.is_ngsi_ld_null() && self.mode != Mode::Fragment {
                self.null("languageMap")?;
            }
        }
        Ok(Kind::LanguageProperty(members))
    }

    fn add_members(&self, instance: &mut Instance, parts: &Parts, depth: usize) -> Result<(), Error> {
        if parts.expires {
            return Err(Error::not_supported(
                "expiresAt",
                "transient attributes (clause 4.22) are not supported; leave it out",
            ));
        }
        if let Some(raw) = parts.observed_at {
            let text = json::expect_text(raw, "observedAt")?;
            let time = Time::parse(&text).ok_or_else(|| {
                Error::bad("observedAt", format!("{text:?} is not a time such as 2025-01-31T09:00:00Z"))
            })?;
            instance.observed_at = Some(time);
        }
        if let Some(raw) = parts.unit_code {
            if matches!(
                instance.kind,
                Kind::Relationship { .. }
                    | Kind::ListRelationship { .. }
                    | Kind::LanguageProperty(_)
                    | Kind::VocabProperty(_)
                    | Kind::JsonProperty(_)
            ) {
                return Err(Error::bad("unitCode", format!("a {} has no unit", instance.kind.type_name())));
            }
            instance.unit_code = Some(json::expect_text(raw, "unitCode")?.into());
        }
        if let Some(raw) = parts.dataset {
            let text = json::expect_text(raw, "datasetId")?;
            if text == NGSI_LD_NULL {
                return Err(Error::bad("datasetId", "cannot be deleted (clause 5.5.8); delete the instance instead"));
            }
            if text != "@none" {
                let dataset = DatasetId::parse(&text).map_err(|error| Error::bad("datasetId", error.to_string()))?;
                instance.dataset = Some(dataset);
            }
        }
        if parts.others.len() > ATTRIBUTES_MAX {
            return Err(Error::bad("", format!("an attribute may have at most {ATTRIBUTES_MAX} sub-attributes")));
        }
        if let Some(raw) = parts.value_type {
            let text = json::expect_text(raw, "valueType")?;
            let datatype = Value::text(self.terms.expand(&text).as_str());
            let name = Name::from_stored(VALUE_TYPE.into());
            instance.sub_attributes.push(Attribute::new(name, Instance::new(Kind::VocabProperty(datatype))));
        }
        let inner = Self { attribute_body: false, ..*self };
        for (key, raw) in &parts.others {
            if is_ignored(key) || key == "@context" {
                continue;
            }
            if matches!(&**key, "entity" | "entityList") {
                return Err(Error::bad(&**key, "is only ever part of an answer (clause 4.5.23)"));
            }
            check_name(key, "attribute name").map_err(|error| error.within(key))?;
            let instances = inner.instances(raw, depth + 1).map_err(|error| error.within(key))?;
            instance.sub_attributes.push(Attribute { name: expand_attribute(key, self.terms)?, instances });
        }
        match json::duplicate(instance.sub_attributes.iter().map(|attribute| attribute.name.as_str())) {
            None => Ok(()),
            Some(name) => {
                Err(Error::bad(self.terms.compact_iri(name), "is given twice, under two names for the same attribute"))
            }
        }
    }
}

/// Whether the NGSI-LD Null stands anywhere inside a value.
fn holds_null(value: &Value) -> bool {
    match value {
        Value::Map(members) => members.iter().any(|(_, value)| value.is_ngsi_ld_null() || holds_null(value)),
        Value::List(items) => items.iter().any(|value| value.is_ngsi_ld_null() || holds_null(value)),
        _ => false,
    }
}

/// What the system keeps itself, and what only answers carry (clauses 4.5.2, 4.8).
fn is_ignored(key: &str) -> bool {
    matches!(
        key,
        "createdAt"
            | "modifiedAt"
            | "deletedAt"
            | "instanceId"
            | "previousValue"
            | "previousObject"
            | "previousLanguageMap"
            | "previousVocab"
            | "previousJson"
            | "previousValueList"
            | "previousObjectList"
    )
}

fn check_uris(value: &Value) -> Result<(), Error> {
    match value {
        Value::List(items) if items.is_empty() => Err(Error::bad("", "must not be an empty array")),
        Value::List(items) => items.iter().try_for_each(check_uri),
        _ => check_uri(value),
    }
}

fn check_uri(value: &Value) -> Result<(), Error> {
    match value {
        Value::Text(text) if is_uri(text) => Ok(()),
        Value::Text(text) => {
            let shown: String = text.chars().take(120).collect();
            Err(Error::bad(
                "",
                format!("{shown:?} is not a URI; a Relationship points to URIs such as urn:ngsi-ld:Building:7"),
            ))
        }
        _ => Err(Error::bad("", "must be a URI or an array of URIs")),
    }
}

/// RFC 5646 as far as its shape goes: subtags of one to eight letters and digits.
pub(crate) fn is_language_tag(tag: &str) -> bool {
    tag == "@none"
        || (tag.starts_with(|c: char| c.is_ascii_alphabetic())
            && tag
                .split('-')
                .all(|part| (1..=8).contains(&part.len()) && part.chars().all(|c| c.is_ascii_alphanumeric())))
}
