//! Who asks: a request's headers come in, a permit for its operation goes out, before anything else of the
//! request is read.
//!
//! A handler that takes a [`Caller`] cannot run without one. Headers: `Authorization: Bearer`, the tenant
//! (`NGSILD-Tenant`), and the purpose (`Renkei-Purpose`).

use std::future::Future;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::FromRequestParts;
use axum::response::{IntoResponse, Response};
use city_model::{Permit, PermitSource, Right, TenantName};
use city_trust::Asking;
use http::header::{AUTHORIZATION, COOKIE, HOST, HeaderValue, ORIGIN, WWW_AUTHENTICATE};
use http::request::Parts;
use http::{HeaderMap, HeaderName, Method, StatusCode, Uri};
use serde_json::json;

use crate::city::City;
use crate::doors::Effect;
use crate::problem::{Kind, Problem};
use crate::released::released;

pub const TENANT: HeaderName = HeaderName::from_static("ngsild-tenant");
const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
const PURPOSE: HeaderName = HeaderName::from_static("renkei-purpose");
/// Longest purpose, in bytes.
const PURPOSE_BYTES_MAX: usize = 128;

/// Whoever makes a request, with what they may.
#[derive(Debug, Clone)]
pub struct Caller {
    pub permit: Permit,
    /// The request names the tenant, so the answer does too (clause 6.3.14).
    pub tenant_named: bool,
    pub headers: HeaderMap,
}

/// A request as far as it is read before it is let in.
#[derive(Debug)]
pub struct Knock {
    pub effect: Effect,
    /// The name of the operation.
    pub operation: &'static str,
    pub method: Method,
    pub uri: Uri,
    pub headers: HeaderMap,
    /// The other end of the connection.
    pub from: Option<IpAddr>,
}

pub type Admitting = Pin<Box<dyn Future<Output = Result<Caller, Problem>> + Send>>;

/// Stands at every door: lets requests in, and answers out.
pub trait Porter<S>: Send + Sync {
    /// Lets a request in, or says why not.
    fn admit(&self, state: S, knock: Knock) -> Admitting;

    /// Lets an answer out, if whoever asked may still see it.
    fn release(&self, state: &S, permit: &Permit, answer: Response) -> Response;
}

/// By the tokens and policies of a city.
#[derive(Debug, Clone, Copy)]
pub struct ByPermit;

impl Porter<Arc<City>> for ByPermit {
    fn admit(&self, city: Arc<City>, knock: Knock) -> Admitting {
        Box::pin(async move {
            // Noted and still the same: what was decided before a change is not released after it.
            loop {
                let epoch = city.trust.epoch();
                let (permit, tenant_named) = admit(&city, &knock).await?;
                if !knock.effect.shows() || city.trust.epoch() == epoch {
                    return Ok(Caller { permit, tenant_named, headers: knock.headers });
                }
            }
        })
    }

    fn release(&self, city: &Arc<City>, permit: &Permit, answer: Response) -> Response {
        match city.trust.release(permit, city.now()) {
            Some(release) => released(answer, release),
            None => Problem::from(city_trust::Error::ChangedMeanwhile).into_response(),
        }
    }
}

/// The permit, and whether the request names its tenant.
async fn admit(city: &City, knock: &Knock) -> Result<(Permit, bool), Problem> {
    let Knock { effect, operation, method, uri, headers, from } = knock;
    let effect = *effect;
    let named = headers.get(&TENANT).map(tenant_of).transpose()?;
    let purpose = headers.get(&PURPOSE).map(purpose).transpose()?;
    let now = city.now();
    let bearer = match bearer(headers)? {
        Some(token) => Some(token),
        None => session_of(headers).map(|secret| from_own_page(method, headers).map(|()| secret)).transpose()?,
    };
    let asking = Asking { bearer, tenant: named.as_ref(), purpose, act: operation, from: *from };
    let permit = city.trust.issue(asking, now)?;
    if let Some(right) = effect.right() {
        match permit.check(right, now) {
            // Who says nothing of themselves may be somebody who may.
            Err(_) if permit.who() == city_trust::PUBLIC => return Err(city_trust::Error::NobodyKnown.into()),
            checked => checked.map_err(city_context::Error::from)?,
        }
    }
    // What may show data of behaviour or persons stands in the trail before a byte of it is read.
    if matches!(effect, Effect::Read | Effect::Operate | Effect::Decide) && !permit.discloses().is_empty() {
        let details = json!({
            "purpose": permit.purpose(), "classes": classes(&permit), "request": format!("{method} {}", shortened(&asked(uri))),
        });
        city.note(&permit, "data.released", operation, &details).await?;
    }
    Ok((permit, named.is_some()))
}

/// Parameters of which the trail keeps what they say: they name things and times. The others may hold what
/// is asked of persons, such as `q`, and of them it keeps that they were there.
const KEPT: [&str; 18] = [
    "type",
    "id",
    "attrs",
    "pick",
    "omit",
    "options",
    "format",
    "limit",
    "offset",
    "count",
    "timerel",
    "timeAt",
    "endTimeAt",
    "timeproperty",
    "lastN",
    "aggrMethods",
    "aggrPeriodDuration",
    "at",
];

/// What was asked for, without the values that it was asked by.
fn asked(uri: &Uri) -> String {
    let kept = |pair: &str| match pair.split_once('=') {
        Some((name, _)) if !KEPT.contains(&name) => format!("{name}=*"),
        _ => pair.to_owned(),
    };
    let parameters: Vec<String> = uri.query().into_iter().flat_map(|query| query.split('&')).map(kept).collect();
    let mark = if parameters.is_empty() { "" } else { "?" };
    format!("{}{mark}{}", uri.path(), parameters.join("&"))
}

/// As much of a request as stands in the trail.
fn shortened(text: &str) -> String {
    const SHOWN_CHARS_MAX: usize = 500;
    text.chars().take(SHOWN_CHARS_MAX).collect()
}

fn classes(permit: &Permit) -> Vec<&'static str> {
    permit.discloses().iter().map(|class| class.as_str()).collect()
}

pub fn tenant_of(value: &HeaderValue) -> Result<TenantName, Problem> {
    let text = value
        .to_str()
        .map_err(|_| Problem::new(Kind::BadRequestData, "NLD-002", "The header NGSILD-Tenant is not plain ASCII."))?;
    Ok(TenantName::parse(text)?)
}

fn purpose(value: &HeaderValue) -> Result<&str, Problem> {
    let text = value.to_str().ok().filter(|text| !text.is_empty() && text.len() <= PURPOSE_BYTES_MAX);
    text.ok_or_else(|| {
        let detail = format!("The header Renkei-Purpose must be 1 to {PURPOSE_BYTES_MAX} characters of plain ASCII.");
        Problem::new(Kind::BadRequestData, "NLD-002", detail)
    })
}

/// The secret of the session in a browser's cookie.
#[must_use]
pub fn session_of(headers: &HeaderMap) -> Option<&str> {
    let cookies = headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
    let pairs = cookies.flat_map(|value| value.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs
        .filter(|(name, _)| ["__Host-renkei", "renkei"].contains(name))
        .map(|(_, secret)| secret)
        .find(|s| !s.is_empty())
}

/// Refuses a change that a page of somebody else's makes a browser ask for in the name of who is signed in.
/// Browsers say where a request comes from; the cookie alone keeps out those that do not.
pub fn from_own_page(method: &Method, headers: &HeaderMap) -> Result<(), Problem> {
    if method.is_safe() {
        return Ok(());
    }
    let said = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    let is_own = match (said(SEC_FETCH_SITE), said(ORIGIN)) {
        (Some(site), _) => ["same-origin", "none"].contains(&site),
        (None, Some(origin)) => {
            let own = origin.split_once("://").map(|(_, host)| host);
            own.is_some() && own == said(HOST)
        }
        (None, None) => true,
    };
    if is_own {
        return Ok(());
    }
    let detail =
        "This was asked for by a page of another site, in the name of who is signed in here. Nothing was changed.";
    Err(Problem::plain(StatusCode::FORBIDDEN, "SRV-020", detail))
}

/// What stands behind `Bearer`; another scheme is refused rather than passed over.
fn bearer(headers: &HeaderMap) -> Result<Option<&str>, Problem> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let (Some(value), more) = (values.next(), values.next()) else { return Ok(None) };
    let text = value.to_str().ok().and_then(|text| text.split_once(' '));
    match (text, more) {
        (Some((scheme, token)), None) if scheme.eq_ignore_ascii_case("bearer") => Ok(Some(token.trim())),
        _ => {
            let detail = "The header Authorization must be one, and go: Bearer TOKEN.";
            let scheme = HeaderValue::from_static("Bearer realm=\"renkei\"");
            Err(Problem::plain(StatusCode::UNAUTHORIZED, "TRU-003", detail).header(WWW_AUTHENTICATE, scheme))
        }
    }
}

impl Effect {
    /// Whether its answers show what a tenant holds. What was written is written, and who changes who may
    /// what may change it for themselves.
    #[must_use]
    pub fn shows(self) -> bool {
        matches!(self, Self::Read | Self::Operate | Self::Decide | Self::Audit | Self::Host)
    }

    /// The right that an operation needs at least; its handler may need more.
    #[must_use]
    pub fn right(self) -> Option<Right> {
        match self {
            Self::Read => Some(Right::Read),
            Self::Write => Some(Right::Write),
            Self::Define => Some(Right::Define),
            Self::Administer => Some(Right::Administer),
            Self::Audit => Some(Right::Audit),
            Self::Operate => Some(Right::Operate),
            Self::Decide => Some(Right::Decide),
            Self::Host => Some(Right::Host),
            Self::Known | Self::Open => None,
        }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let caller = parts.extensions.remove::<Self>();
        caller.ok_or_else(|| Problem::internal("SRV-006", &"an operation that needs no permit asks for one"))
    }
}

impl From<city_trust::Error> for Problem {
    fn from(error: city_trust::Error) -> Self {
        use city_trust::Error;
        let code = error.code();
        let said = error.to_string();
        match error {
            Error::NobodyKnown | Error::NotKnown | Error::SignedOut => {
                let scheme = HeaderValue::from_static("Bearer realm=\"renkei\"");
                Self::plain(StatusCode::UNAUTHORIZED, code, said).header(WWW_AUTHENTICATE, scheme)
            }
            Error::ChangedMeanwhile => {
                Self::plain(StatusCode::SERVICE_UNAVAILABLE, code, said).retry_after(Duration::from_secs(1))
            }
            Error::OtherTenant | Error::OtherPurpose { .. } => Self::plain(StatusCode::FORBIDDEN, code, said),
            Error::Policy(_) | Error::Token(_) | Error::Account(_) | Error::Words(_) => {
                Self::new(Kind::BadRequestData, code, said)
            }
            Error::NotLoopback { .. } | Error::NotSecured { .. } | Error::Stored { .. } => Self::internal(code, &said),
        }
    }
}
