//! Values as plain JSON and back, for the doors that speak no NGSI-LD.

use city_model::{Geometry, Value};
use serde_json::{Map, Number};

use crate::entity::geometry::write;

#[must_use]
pub fn of(value: &Value) -> serde_json::Value {
    match value {
        Value::Null => serde_json::Value::Null,
        Value::Bool(truth) => (*truth).into(),
        Value::Int(int) => (*int).into(),
        Value::Float(float) => Number::from_f64(*float).map_or(serde_json::Value::Null, Into::into),
        Value::Text(text) => (**text).into(),
        Value::List(list) => list.iter().map(of).collect(),
        Value::Map(members) => {
            members.iter().map(|(key, value)| (key.to_string(), of(value))).collect::<Map<_, _>>().into()
        }
    }
}

#[must_use]
pub fn value(json: &serde_json::Value) -> Value {
    match json {
        serde_json::Value::Null => Value::Null,
        serde_json::Value::Bool(truth) => Value::Bool(*truth),
        serde_json::Value::Number(number) => match number.as_i64() {
            Some(int) => Value::Int(int),
            None => Value::Float(number.as_f64().unwrap_or(f64::NAN)),
        },
        serde_json::Value::String(text) => Value::text(text),
        serde_json::Value::Array(list) => Value::List(list.iter().map(value).collect()),
        serde_json::Value::Object(members) => {
            Value::Map(members.iter().map(|(key, json)| (key.as_str().into(), value(json))).collect())
        }
    }
}

/// A geometry as GeoJSON (RFC 7946).
#[must_use]
pub fn geometry(geometry: &Geometry) -> serde_json::Value {
    let mut bytes = Vec::new();
    write(&mut bytes, geometry);
    serde_json::from_slice(&bytes).unwrap_or_default()
}
