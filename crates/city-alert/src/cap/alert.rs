//! An alert and its parts, element by element as in the data dictionary (CAP 1.2, clause 3.2).
//!
//! As JSON the names are those of the standard; an element that may repeat is a list, an absent one is left out.

use serde::{Deserialize, Serialize};

use super::{
    Category, Certainty, Circle, DateTime, MsgType, Polygon, ResponseType, Scope, Severity, Status, Urgency, Version,
};

/// 3.2.1.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Alert {
    /// Of the protocol: which namespace the document has.
    pub version: Version,
    pub identifier: String,
    pub sender: String,
    pub sent: DateTime,
    pub status: Status,
    pub msg_type: MsgType,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    pub scope: Scope,
    /// Required when the scope is `Restricted`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restriction: Option<String>,
    /// Separated by spaces, in quotes where one has a space. Required when the scope is `Private`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub addresses: Option<String>,
    #[serde(default)]
    pub code: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    #[serde(default)]
    pub references: Vec<Reference>,
    /// Separated by spaces, in quotes where one has a space.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub incidents: Option<String>,
    #[serde(default)]
    pub info: Vec<Info>,
    /// Whether the document had a signature. It was not verified.
    #[serde(default)]
    pub signed: bool,
}

/// An earlier alert: `sender,identifier,sent`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Reference {
    pub sender: String,
    pub identifier: String,
    pub sent: DateTime,
}

/// 3.2.2. What the alert says, in one language.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Info {
    /// RFC 3066. `None` means `en-US`, as the standard has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub language: Option<String>,
    /// At least one.
    pub category: Vec<Category>,
    pub event: String,
    #[serde(default)]
    pub response_type: Vec<ResponseType>,
    pub urgency: Urgency,
    pub severity: Severity,
    pub certainty: Certainty,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub audience: Option<String>,
    #[serde(default)]
    pub event_code: Vec<NamedValue>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub effective: Option<DateTime>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub onset: Option<DateTime>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<DateTime>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sender_name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub headline: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instruction: Option<String>,
    /// An absolute URI.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub web: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contact: Option<String>,
    #[serde(default)]
    pub parameter: Vec<NamedValue>,
    #[serde(default)]
    pub resource: Vec<Resource>,
    #[serde(default)]
    pub area: Vec<Area>,
}

/// `eventCode`, `parameter` and `geocode`: a value of a code list or system that has that name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NamedValue {
    pub value_name: String,
    /// May be empty.
    pub value: String,
}

/// 3.2.3. A file with more of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Resource {
    pub resource_desc: String,
    /// Required since 1.2.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mime_type: Option<String>,
    /// In bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uri: Option<String>,
    /// The file itself, in base 64.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deref_uri: Option<String>,
    /// SHA-1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
}

/// 3.2.4. Where.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Area {
    pub area_desc: String,
    #[serde(default)]
    pub polygon: Vec<Polygon>,
    #[serde(default)]
    pub circle: Vec<Circle>,
    #[serde(default)]
    pub geocode: Vec<NamedValue>,
    /// In feet above mean sea level, the lowest of a range if there is a ceiling.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub altitude: Option<f64>,
    /// In feet above mean sea level. Only with an altitude.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ceiling: Option<f64>,
}
