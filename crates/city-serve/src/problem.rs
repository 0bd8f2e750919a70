//! Something went wrong; a problem body that tells the caller what, with which thing, and what to do goes out.
//!
//! The body follows RFC 9457. The kinds and their status codes are those of NGSI-LD (CIM 009
//! clauses 5.5.2 and 6.3.2), since the other doors name none of their own; what HTTP itself says
//! completely (405, 413, 429 ...) is `about:blank`. `code` leads to a page in `docs/errors/`.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use axum::response::{IntoResponse, Response};
use http::header::{CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use http::{HeaderMap, HeaderName, StatusCode};
use serde_json::{Map, Value};

pub use city_ngsi_ld::ProblemType as Kind;

/// What is answered when something went wrong.
#[derive(Debug, Clone, PartialEq)]
pub struct Problem {
    pub status: StatusCode,
    /// `None` is `about:blank`: the status says it completely.
    pub kind: Option<Kind>,
    pub title: &'static str,
    pub detail: Cow<'static, str>,
    /// `SRV-003`, `CTX-012`: its page is `docs/errors/<code>.md`.
    pub code: &'static str,
    /// Further members of the body, for programs.
    pub members: Vec<(&'static str, Value)>,
    /// Further headers of the answer (`Allow`, `Retry-After`).
    pub headers: Option<Box<HeaderMap>>,
}

impl Problem {
    /// A problem that NGSI-LD has a name for.
    #[must_use]
    pub fn new(kind: Kind, code: &'static str, detail: impl Into<Cow<'static, str>>) -> Self {
        let status = StatusCode::from_u16(kind.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        Self { kind: Some(kind), title: kind.title(), ..Self::plain(status, code, detail) }
    }

    /// A problem that its status says completely (RFC 9457 section 4.2.1).
    #[must_use]
    pub fn plain(status: StatusCode, code: &'static str, detail: impl Into<Cow<'static, str>>) -> Self {
        Self {
            status,
            kind: None,
            title: status.canonical_reason().unwrap_or("Problem"),
            detail: detail.into(),
            code,
            members: Vec::new(),
            headers: None,
        }
    }

    /// Our fault. The cause goes to the log, never to the caller.
    #[must_use]
    pub fn internal(code: &'static str, cause: &dyn fmt::Display) -> Self {
        tracing::error!(code, %cause, "a request failed inside the server");
        Self::new(
            Kind::InternalError,
            code,
            "The request failed inside the server. The log names the cause beside the X-Request-Id of this answer.",
        )
    }

    #[must_use]
    pub fn status(mut self, status: StatusCode) -> Self {
        self.status = status;
        self
    }

    /// When trying again makes sense; whole seconds are sent, at least one.
    #[must_use]
    pub fn retry_after(self, wait: Duration) -> Self {
        self.header(RETRY_AFTER, HeaderValue::from(wait.as_secs().max(1)))
    }

    #[must_use]
    pub fn member(mut self, name: &'static str, value: impl Into<Value>) -> Self {
        self.members.push((name, value.into()));
        self
    }

    #[must_use]
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.get_or_insert_default().insert(name, value);
        self
    }

    /// As a batch answer (207) holds it for each entity that failed.
    #[must_use]
    pub fn to_ngsi_ld(&self) -> city_ngsi_ld::Problem {
        let kind = self.kind.unwrap_or(Kind::BadRequestData);
        let status = Some(self.status.as_u16());
        city_ngsi_ld::Problem { kind, code: self.code, detail: self.detail.to_string(), status }
    }

    /// The body.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let mut body = Map::new();
        let kind = self.kind.map_or_else(|| "about:blank".to_owned(), Kind::uri);
        body.insert("type".into(), kind.into());
        body.insert("title".into(), self.title.into());
        body.insert("detail".into(), self.detail.as_ref().into());
        body.insert("status".into(), self.status.as_u16().into());
        body.insert("code".into(), self.code.into());
        for (name, value) in &self.members {
            body.insert((*name).into(), value.clone());
        }
        Value::Object(body)
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        if self.status == StatusCode::LENGTH_REQUIRED {
            // "Just a 411 HTTP status code (without any payload body)" (CIM 009 clause 6.3.4).
            return self.status.into_response();
        }
        let mut response = (self.status, self.to_json().to_string()).into_response();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if let Some(further) = self.headers {
            headers.extend(*further);
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_is_told_in_full() {
        let problem = Problem::new(Kind::ResourceNotFound, "CTX-001", "Entity urn:a:1 does not exist.")
            .member("entity", "urn:a:1")
            .retry_after(Duration::from_millis(10));
        let told = r#"{"type":"https://uri.etsi.org/ngsi-ld/errors/ResourceNotFound","title":"It does not exist.","detail":"Entity urn:a:1 does not exist.","status":404,"code":"CTX-001","entity":"urn:a:1"}"#;
        assert_eq!(problem.to_json(), serde_json::from_str::<Value>(told).unwrap());
        let response = problem.into_response();
        assert_eq!(
            (response.status(), &response.headers()["retry-after"]),
            (StatusCode::NOT_FOUND, &"1".parse().unwrap())
        );
        assert_eq!(response.headers()["content-type"], "application/json");
    }
}
