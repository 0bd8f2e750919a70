//! Writes what the town knows as NGSI-LD: normalised entities, fragments and temporal documents.

use city_model::Time;
use serde_json::{Map, Value, json};

/// Says on every entity where it comes from: nobody shall take the town for a real one.
pub const PROVIDER: &str = "Renkei demo town (simulated)";

pub type Members = Map<String, Value>;

/// An entity of the town with the labels that each carries.
#[derive(Debug)]
pub struct Document {
    members: Members,
}

impl Document {
    /// A whole entity, labelled as simulated.
    pub fn entity(kind: &str, local_id: &str, scope: &str) -> Self {
        Self::fragment(kind, local_id)
            .member("scope", json!(scope))
            .attribute("simulated", property(json!(true)))
            .attribute("dataProvider", property(json!(PROVIDER)))
    }

    /// Only the id, the type and what is added.
    pub fn fragment(kind: &str, local_id: &str) -> Self {
        let mut members = Members::new();
        members.insert("id".to_owned(), json!(id(kind, local_id)));
        members.insert("type".to_owned(), json!(kind));
        Self { members }
    }

    pub fn member(mut self, name: &str, value: Value) -> Self {
        self.members.insert(name.to_owned(), value);
        self
    }

    pub fn attribute(self, name: &str, attribute: Members) -> Self {
        self.member(name, Value::Object(attribute))
    }

    pub fn attributes(self, attributes: impl IntoIterator<Item = (&'static str, Members)>) -> Self {
        attributes.into_iter().fold(self, |document, (name, attribute)| document.attribute(name, attribute))
    }

    /// The name in Japanese and English.
    pub fn named(self, ja: &str, en: &str) -> Self {
        self.member("name", json!({"type": "LanguageProperty", "languageMap": {"ja": ja, "en": en}}))
    }

    pub fn property(self, name: &str, value: impl Into<Value>) -> Self {
        self.attribute(name, property(value.into()))
    }

    pub fn measure(self, name: &str, value: f64, unit: &str) -> Self {
        self.attribute(name, measure(value, unit))
    }

    pub fn relationship(self, name: &str, object: &str) -> Self {
        self.member(name, json!({"type": "Relationship", "object": object}))
    }

    pub fn location(self, geometry: Value) -> Self {
        self.attribute("location", geo_property(geometry))
    }

    pub fn into_value(self) -> Value {
        Value::Object(self.members)
    }
}

pub fn id(kind: &str, local_id: &str) -> String {
    format!("urn:ngsi-ld:{kind}:Minatomachi:{local_id}")
}

pub fn property(value: Value) -> Members {
    let mut members = Members::new();
    members.insert("type".to_owned(), json!("Property"));
    members.insert("value".to_owned(), value);
    members
}

pub fn geo_property(geometry: Value) -> Members {
    let mut members = Members::new();
    members.insert("type".to_owned(), json!("GeoProperty"));
    members.insert("value".to_owned(), geometry);
    members
}

/// `unit` is a UN/CEFACT Recommendation 20 code.
pub fn measure(value: f64, unit: &str) -> Members {
    let mut members = property(json!(value));
    members.insert("unitCode".to_owned(), json!(unit));
    members
}

pub fn observed(mut attribute: Members, at: Time) -> Members {
    attribute.insert("observedAt".to_owned(), json!(at.to_string()));
    attribute
}

/// To so many decimals, so that sums of floats do not show and a build on another machine writes the same.
pub fn rounded(value: f64, decimals: i32) -> f64 {
    let scale = 10f64.powi(decimals);
    let rounded = (value * scale).round() / scale;
    // Never "-0.0".
    if rounded == 0.0 { 0.0 } else { rounded }
}
