//! The path and the query of a request come in; decoded names and values go out, in order and each once.

use axum::extract::{FromRequestParts, RawPathParams};
use http::request::Parts;

use crate::problem::{Kind, Problem};

/// Parameters in one query string; more are refused.
pub const PARAMETERS_MAX: usize = 64;

/// The query string. A name that comes twice is refused: two readers could each take another one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Parameters {
    pairs: Vec<(String, String)>,
}

impl Parameters {
    /// Reads `application/x-www-form-urlencoded` as browsers and HTTP libraries write it: `+` is a
    /// space, so a literal plus (as in `+09:00`) is `%2B`.
    pub fn parse(query: &str) -> Result<Self, Problem> {
        let mut pairs: Vec<(String, String)> = Vec::new();
        for part in query.split('&').filter(|part| !part.is_empty()) {
            let (name, value) = part.split_once('=').unwrap_or((part, ""));
            let (name, value) = (decode(name)?, decode(value)?);
            if pairs.iter().any(|(known, _)| *known == name) {
                return Err(invalid("SRV-010", format!("The parameter {name} is given twice; give it once.")));
            }
            if pairs.len() == PARAMETERS_MAX {
                return Err(invalid("SRV-010", format!("There are more than {PARAMETERS_MAX} parameters.")));
            }
            pairs.push((name, value));
        }
        Ok(Self { pairs })
    }

    #[must_use]
    pub fn find(&self, name: &str) -> Option<&str> {
        self.pairs.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.pairs.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.pairs.is_empty()
    }

    /// Refuses what the operation does not know: a misspelt filter must not become no filter.
    pub fn only(&self, known: &[&str]) -> Result<(), Problem> {
        match self.pairs.iter().find(|(name, _)| !known.contains(&name.as_str())) {
            None => Ok(()),
            Some((name, _)) => Err(invalid(
                "SRV-011",
                format!("The parameter {name} is not known here; known are {}.", known.join(", ")),
            )),
        }
    }
}

impl<S: Sync> FromRequestParts<S> for Parameters {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        Self::parse(parts.uri.query().unwrap_or_default())
    }
}

/// An operation that asks for nothing: whatever is asked all the same is refused, not ignored. `local` may
/// be said everywhere (CIM 009 clause 6.3.18), for this broker is alone.
#[derive(Debug, Clone, Copy)]
pub struct NoParameters;

impl<S: Sync> FromRequestParts<S> for NoParameters {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        Parameters::parse(parts.uri.query().unwrap_or_default())?.only(&["local"]).map(|()| Self)
    }
}

/// The named parts of the path (`{entityId}`), decoded.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PathParameters {
    pairs: Vec<(String, String)>,
}

impl PathParameters {
    /// A name that the operation's path does not have is a mistake of ours, not of the caller.
    pub fn get(&self, name: &str) -> Result<&str, Problem> {
        let found = self.pairs.iter().find(|(known, _)| known == name);
        found
            .map(|(_, value)| value.as_str())
            .ok_or_else(|| Problem::internal("SRV-012", &format!("the path has no part called {name}")))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for PathParameters {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let raw = RawPathParams::from_request_parts(parts, state).await;
        let raw = raw.map_err(|_| invalid("SRV-013", "The path is not valid percent-encoded UTF-8.".into()))?;
        Ok(Self { pairs: raw.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect() })
    }
}

fn decode(text: &str) -> Result<String, Problem> {
    if !text.contains(['%', '+']) {
        return Ok(text.to_owned());
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let mut digit = || rest.next().and_then(|b| char::from(b).to_digit(16));
                let (Some(high), Some(low)) = (digit(), digit()) else {
                    return Err(invalid("SRV-013", format!("\"{text}\" has a % without two hexadecimal digits.")));
                };
                (high * 16 + low) as u8
            }
            other => other,
        });
    }
    String::from_utf8(bytes).map_err(|_| invalid("SRV-013", format!("\"{text}\" is not percent-encoded UTF-8.")))
}

fn invalid(code: &'static str, detail: String) -> Problem {
    Problem::new(Kind::InvalidRequest, code, detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_decoded_and_keep_their_order() {
        let read =
            Parameters::parse("type=Building&q=name==%22%E6%B1%9F%E6%9D%B1%22;a%3E1&&empty=&flag&t=a+b%2B1").unwrap();
        let pairs: Vec<_> = read.iter().collect();
        assert_eq!(
            pairs,
            [("type", "Building"), ("q", "name==\"江東\";a>1"), ("empty", ""), ("flag", ""), ("t", "a b+1")]
        );
        assert_eq!((read.find("type"), read.find("Type")), (Some("Building"), None));
        assert!(read.only(&["type", "q", "empty", "flag", "t"]).is_ok());
        assert!(read.only(&["type"]).unwrap_err().detail.contains('q'));
        assert!(Parameters::parse("").unwrap().is_empty());
    }

    #[test]
    fn doubtful_query_strings_are_refused() {
        let many: String = (0..=PARAMETERS_MAX).map(|n| format!("p{n}=1&")).collect();
        for query in ["a=1&a=2", "a=1&%61=2", "a=%", "a=%4", "a=%zz", "a=%+1", "a=%ff", "%c3%28=1", &many] {
            assert_eq!(Parameters::parse(query).unwrap_err().status.as_u16(), 400, "{query}");
        }
    }
}
