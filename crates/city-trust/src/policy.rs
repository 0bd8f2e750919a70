//! What is kept of a policy: the sentence, the statement it stands for, who wrote it and when; and of the
//! class of an attribute.

use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StoredPolicy {
    /// As an administrator wrote it; absent where the statement itself was sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub words: Option<Box<str>>,
    pub cedar: Box<str>,
    pub created_by: Box<str>,
    pub created_at_micros: i64,
}

impl StoredPolicy {
    pub fn parse(body: &[u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(body)
    }

    pub fn body(&self) -> Result<Box<[u8]>, serde_json::Error> {
        Ok(serde_json::to_vec(self)?.into())
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StoredClass {
    pub class: Box<str>,
    pub created_by: Box<str>,
    pub created_at_micros: i64,
}

impl StoredClass {
    pub fn parse(body: &[u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(body)
    }

    pub fn body(&self) -> Result<Box<[u8]>, serde_json::Error> {
        Ok(serde_json::to_vec(self)?.into())
    }
}
