//! What every NGSI-LD request has: a tenant, a permit, an @context, and a form for the answer.
//!
//! Headers and body come in; the terms to read the body with and the way to render the answer go
//! out (clauses 6.3.4, 6.3.5, 6.3.14).

use std::sync::Arc;

use axum::body::Body;
use axum::response::Response;
use city_context::answers::{KEY_BYTES_MAX, Results};
use city_model::{Change, Entity, EntityId, Permit, Rejected};
use city_ngsi_ld::query::parse_type_expr;
use city_ngsi_ld::{ContextDocument, ContextSpec, ContextStore, ResolveError, TermMap, split_context};
use city_outbound::Outbound;
use http::StatusCode;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, LINK, LOCATION};

use crate::caller::{Caller, TENANT};
use crate::city::{City, cause};
use crate::link::context_link;
use crate::media::{MediaType, accepted, content_type};
use crate::parameters::{Parameters, PathParameters};
use crate::problem::{Kind, Problem};

pub const RESULTS_COUNT: HeaderName = HeaderName::from_static("ngsild-results-count");
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
const PREFER: HeaderName = HeaderName::from_static("prefer");

/// Documents that one @context may need to be fetched; each fetch may name another.
const FETCHES_MAX: usize = 16;

/// Who asks, in which words, and how the answer shall look.
pub struct Ask {
    pub permit: Permit,
    /// `Idempotency-Key`: the same request sent again is answered again and applied once.
    pub request_key: Option<Box<str>>,
    pub terms: Arc<TermMap>,
    pub media: MediaType,
    /// `Prefer: body=json`: the @context of a GeoJSON answer stands in the Link header alone (6.3.6).
    plain_geo: bool,
    tenant_named: bool,
}

const WITH_GEO: [MediaType; 3] = [MediaType::Json, MediaType::JsonLd, MediaType::GeoJson];
const WITHOUT_GEO: [MediaType; 2] = [MediaType::Json, MediaType::JsonLd];

impl Ask {
    /// A request without a body; its @context stands in a `Link` header.
    pub async fn reading(city: &City, caller: &Caller, geo: bool) -> Result<Self, Problem> {
        let headers = &caller.headers;
        let media = accepted(headers, if geo { &WITH_GEO } else { &WITHOUT_GEO })?;
        let spec = match context_link(headers)? {
            Some(url) => ContextSpec::url(&url)?,
            None => ContextSpec::core(),
        };
        let terms = resolve(city, &spec).await?;
        let (permit, tenant_named) = (caller.permit.clone(), caller.tenant_named);
        let plain_geo = prefers_plain_body(headers);
        Ok(Self { permit, request_key: request_key(headers)?, terms, media, plain_geo, tenant_named })
    }

    /// A request for a stream, whose events are JSON. A browser's reader of events sends no `Link`, so the
    /// @context may be named by a parameter.
    pub async fn streaming(city: &City, caller: &Caller, context: Option<&str>) -> Result<Self, Problem> {
        let spec = match (context, context_link(&caller.headers)?) {
            (Some(url), _) => ContextSpec::url(url)?,
            (None, Some(url)) => ContextSpec::url(&url)?,
            (None, None) => ContextSpec::core(),
        };
        let terms = resolve(city, &spec).await?;
        let (permit, tenant_named) = (caller.permit.clone(), caller.tenant_named);
        Ok(Self { permit, request_key: None, terms, media: MediaType::Json, plain_geo: false, tenant_named })
    }

    /// A request with a body, whose @context stands in a `Link` header or in the body (6.3.5).
    pub async fn with_body(city: &City, caller: &Caller, body: &[u8], geo: bool) -> Result<Self, Problem> {
        let headers = &caller.headers;
        needs_length(headers)?;
        let media = accepted(headers, if geo { &WITH_GEO } else { &WITHOUT_GEO })?;
        let sent = content_type(headers, &[MediaType::Json, MediaType::JsonLd, MediaType::MergePatch])?;
        let spec = body_context(headers, sent, || Ok(split_context(body)?))?;
        let terms = resolve(city, &spec).await?;
        let (permit, tenant_named) = (caller.permit.clone(), caller.tenant_named);
        let plain_geo = prefers_plain_body(headers);
        Ok(Self { permit, request_key: request_key(headers)?, terms, media, plain_geo, tenant_named })
    }

    /// A batch: each element may have an @context of its own; see `element_terms`.
    pub async fn batch(city: &City, caller: &Caller) -> Result<(Self, MediaType), Problem> {
        let headers = &caller.headers;
        needs_length(headers)?;
        let sent = content_type(headers, &WITHOUT_GEO)?;
        let spec = match context_link(headers)? {
            Some(_) if sent == MediaType::JsonLd => return Err(link_and_body()),
            Some(url) => ContextSpec::url(&url)?,
            None => ContextSpec::core(),
        };
        let terms = resolve(city, &spec).await?;
        let (permit, tenant_named) = (caller.permit.clone(), caller.tenant_named);
        let (request_key, media) = (request_key(headers)?, MediaType::Json);
        Ok((Self { permit, request_key, terms, media, plain_geo: false, tenant_named }, sent))
    }

    #[must_use]
    pub fn embeds_context(&self) -> bool {
        match self.media {
            MediaType::JsonLd => true,
            MediaType::GeoJson => !self.plain_geo,
            MediaType::Json | MediaType::MergePatch | MediaType::Yaml | MediaType::Zip | MediaType::Bytes => false,
        }
    }

    /// An answer with a body in the form that was asked for.
    #[must_use]
    pub fn answer(&self, status: StatusCode, body: Vec<u8>) -> Response {
        let mut response = self.plain(status, Body::from(body));
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(self.media.as_str()));
        if self.media != MediaType::JsonLd
            && let Some(url) = self.terms.link()
        {
            let link = format!("<{url}>; rel=\"http://www.w3.org/ns/json-ld#context\"; type=\"application/ld+json\"");
            if let Ok(link) = HeaderValue::try_from(link) {
                headers.append(LINK, link);
            }
        }
        response
    }

    /// An answer that is JSON whatever was asked for, such as a batch result.
    #[must_use]
    pub fn json(&self, status: StatusCode, body: Vec<u8>) -> Response {
        let mut response = self.plain(status, Body::from(body));
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        response
    }

    #[must_use]
    pub fn empty(&self, status: StatusCode) -> Response {
        self.plain(status, Body::empty())
    }

    #[must_use]
    pub fn created(&self, path: &str, id: &str) -> Response {
        let mut response = self.empty(StatusCode::CREATED);
        if let Ok(location) = HeaderValue::try_from(format!("/ngsi-ld/v1/{path}/{}", encode_path(id))) {
            response.headers_mut().insert(LOCATION, location);
        }
        response
    }

    fn plain(&self, status: StatusCode, body: Body) -> Response {
        let mut response = Response::new(body);
        *response.status_mut() = status;
        if self.tenant_named
            && let Ok(tenant) = HeaderValue::try_from(self.permit.tenant().as_str())
        {
            response.headers_mut().insert(TENANT, tenant);
        }
        response
    }
}

fn prefers_plain_body(headers: &HeaderMap) -> bool {
    let values = headers.get_all(PREFER).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|text| text.split([',', ';'])).any(|one| one.trim().eq_ignore_ascii_case("body=json"))
}

/// Clause 6.3.4: a request with a body says how long it is.
fn needs_length(headers: &HeaderMap) -> Result<(), Problem> {
    if headers.contains_key(CONTENT_LENGTH) {
        return Ok(());
    }
    let detail = "The request has no Content-Length; send the body whole instead of in chunks.";
    Err(Problem::plain(StatusCode::LENGTH_REQUIRED, "NLD-011", detail))
}

fn body_context(
    headers: &HeaderMap,
    sent: MediaType,
    own: impl FnOnce() -> Result<Option<ContextSpec>, Problem>,
) -> Result<ContextSpec, Problem> {
    let link = context_link(headers)?;
    match (sent, link, own()?) {
        (MediaType::JsonLd, Some(_), _) => Err(link_and_body()),
        (MediaType::JsonLd, None, Some(spec)) => Ok(spec),
        (MediaType::JsonLd, None, None) => Err(Problem::new(
            Kind::BadRequestData,
            "NLD-005",
            "A body of type application/ld+json needs a member @context; or send application/json with a Link header.",
        )),
        (_, _, Some(_)) => Err(Problem::new(
            Kind::BadRequestData,
            "NLD-005",
            "The body has a member @context; send it as application/ld+json, or name the @context in a Link header.",
        )),
        (_, Some(url), None) => Ok(ContextSpec::url(&url)?),
        (_, None, None) => Ok(ContextSpec::core()),
    }
}

fn link_and_body() -> Problem {
    Problem::new(
        Kind::BadRequestData,
        "NLD-005",
        "A body of type application/ld+json brings its own @context; leave the Link header out.",
    )
}

/// The terms of one element of a batch.
pub async fn element_terms(city: &City, ask: &Ask, sent: MediaType, element: &[u8]) -> Result<Arc<TermMap>, Problem> {
    match (sent, split_context(element)?) {
        (MediaType::JsonLd, Some(spec)) => resolve(city, &spec).await,
        (MediaType::JsonLd, None) | (_, Some(_)) => {
            body_context(&HeaderMap::new(), sent, || Ok(split_context(element)?)).map(|_| Arc::clone(&ask.terms))
        }
        (_, None) => Ok(Arc::clone(&ask.terms)),
    }
}

/// The terms of an @context; what is not known yet is fetched through outbound.
pub async fn resolve(city: &City, spec: &ContextSpec) -> Result<Arc<TermMap>, Problem> {
    resolve_with(&city.contexts, &city.outbound, spec).await
}

/// The same, for whoever has no city around them.
pub async fn resolve_with(
    contexts: &ContextStore,
    outbound: &Outbound,
    spec: &ContextSpec,
) -> Result<Arc<TermMap>, Problem> {
    for _ in 0..FETCHES_MAX {
        match contexts.resolve(spec) {
            Ok(terms) => return Ok(terms),
            Err(ResolveError::Missing(url)) => contexts.insert(&url, fetch(outbound, &url).await?),
            Err(ResolveError::Invalid(error)) => return Err(error.into()),
            Err(error @ ResolveError::Unavailable(_)) => return Err(unavailable(&error.to_string())),
        }
    }
    Err(unavailable(&format!("it needs more than {FETCHES_MAX} documents")))
}

async fn fetch(outbound: &Outbound, url: &str) -> Result<ContextDocument, Problem> {
    let bytes_max = city_ngsi_ld::context::CONTEXT_BYTES_MAX;
    let fetched = outbound.get(url, "application/ld+json, application/json", bytes_max).await;
    let fetched = fetched.map_err(|error| unavailable(&format!("{url}: {error}")))?;
    if !fetched.is_success() {
        return Err(unavailable(&format!("{url} answered {}", fetched.status)));
    }
    // Clause 5.5.6: it was there and is none, which is not the same as not available.
    ContextDocument::parse_remote(&fetched.body).map_err(|error| {
        let detail = format!("{url} is not a JSON-LD context: {error}");
        Problem::new(Kind::BadRequestData, "NLD-006", detail)
    })
}

fn unavailable(why: &str) -> Problem {
    Problem::new(Kind::LdContextNotAvailable, "NLD-006", format!("The @context cannot be had: {why}"))
}

fn request_key(headers: &HeaderMap) -> Result<Option<Box<str>>, Problem> {
    let Some(value) = headers.get(&IDEMPOTENCY_KEY) else { return Ok(None) };
    match value.to_str() {
        Ok(text) if !text.is_empty() && text.len() <= KEY_BYTES_MAX => Ok(Some(text.into())),
        _ => {
            let detail = format!("Idempotency-Key must be 1 to {KEY_BYTES_MAX} characters of plain ASCII.");
            Err(Problem::new(Kind::BadRequestData, "NLD-002", detail))
        }
    }
}

/// Applies the changes of a request, once for each Idempotency-Key.
pub async fn apply(city: &City, ask: &Ask, changes: Vec<Change>) -> Result<Results, Problem> {
    let cause = cause("ngsi-ld");
    Ok(match &ask.request_key {
        Some(key) => city.context.apply_once(&ask.permit, changes, cause, key).await?,
        None => city.context.apply(&ask.permit, changes, cause, Vec::new()).await?,
    })
}

/// `type` in a request about one entity: one of another type is as good as none (clauses 5.6, 5.7.1).
pub fn check_type(city: &City, ask: &Ask, id: &EntityId, parameters: &Parameters) -> Result<(), Problem> {
    if parameters.find("type").is_none() {
        return Ok(());
    }
    match city.context.find(&ask.permit, id)? {
        Some(entity) => check_type_of(ask, &entity, parameters),
        None => Err(Rejected::EntityNotFound(id.clone()).into()),
    }
}

/// As `check_type`, of an entity that was found already.
pub fn check_type_of(ask: &Ask, entity: &Entity, parameters: &Parameters) -> Result<(), Problem> {
    let Some(text) = parameters.find("type") else { return Ok(()) };
    if parse_type_expr(text, &ask.terms)?.matches(&entity.types) {
        return Ok(());
    }
    Err(Rejected::EntityNotFound(entity.id.clone()).into())
}

/// The entity id in a path.
pub fn entity_id(path: &PathParameters) -> Result<EntityId, Problem> {
    Ok(EntityId::parse(path.get("entityId")?)?)
}

/// Percent-encodes what a path segment may not hold.
#[must_use]
pub fn encode_path(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b':' | b'@' | b'!' | b'$' | b'\'' => {
                out.push(char::from(byte));
            }
            _ => {
                use std::fmt::Write;
                // Writing to memory cannot fail.
                let _ = write!(out, "%{byte:02X}");
            }
        }
    }
    out
}
