//! The value of an attribute: what JSON can say, without being JSON.

/// Order of keys is kept as it came. Integers beyond 64 bits become floating point.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum Value {
    #[default]
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(Box<str>),
    List(Vec<Value>),
    Map(Vec<(Box<str>, Value)>),
}

/// Deepest nesting of a value that is accepted; each level costs stack when it is read.
pub const VALUE_DEPTH_MAX: usize = 64;

/// In a patch this text means "delete" (CIM 009 clause 4.5.0, NGSI-LD Null).
pub const NGSI_LD_NULL: &str = "urn:ngsi-ld:null";

impl Value {
    #[must_use]
    pub fn text(text: &str) -> Self {
        Self::Text(text.into())
    }

    #[must_use]
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    #[must_use]
    pub fn as_f64(&self) -> Option<f64> {
        match self {
            #[expect(clippy::cast_precision_loss, reason = "comparison and statistics are done in f64")]
            Self::Int(int) => Some(*int as f64),
            Self::Float(float) => Some(*float),
            _ => None,
        }
    }

    /// A member of a map, by key.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Value> {
        match self {
            Self::Map(members) => members.iter().find(|(k, _)| &**k == key).map(|(_, v)| v),
            _ => None,
        }
    }

    #[must_use]
    pub fn is_ngsi_ld_null(&self) -> bool {
        self.as_text() == Some(NGSI_LD_NULL)
    }

    /// RFC 7396 merge, with the NGSI-LD Null as the sign of deletion (clause 5.5.12).
    pub fn merge(&mut self, patch: Value) {
        match (self, patch) {
            (Self::Map(members), Self::Map(patches)) => {
                for (key, patch) in patches {
                    let at = members.iter().position(|(k, _)| *k == key);
                    match (at, patch) {
                        (Some(at), patch) if patch.is_ngsi_ld_null() => {
                            members.remove(at);
                        }
                        (None, patch) if patch.is_ngsi_ld_null() => {}
                        (Some(at), patch) => members[at].1.merge(patch),
                        (None, patch) => members.push((key, patch)),
                    }
                }
            }
            (target, patch) => *target = patch,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(members: &[(&str, Value)]) -> Value {
        Value::Map(members.iter().map(|(k, v)| ((*k).into(), v.clone())).collect())
    }

    #[test]
    fn a_merge_patch_changes_only_what_it_names() {
        let mut address = map(&[("street", Value::text("Toyo 4")), ("city", Value::text("Koto"))]);
        address.merge(map(&[
            ("city", Value::text("Sumida")),
            ("street", Value::text(NGSI_LD_NULL)),
            ("no", Value::Int(11)),
        ]));
        assert_eq!(address, map(&[("city", Value::text("Sumida")), ("no", Value::Int(11))]));
    }
}
