//! The door for people: accounts are made, somebody signs in and out, and learns who they are here.

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use city_model::{Definition, DefinitionKind, Permit, Rejected, TenantName, Time};
use city_trust::people::account::{AccountRequest, StoredAccount, is_name};
use city_trust::people::{NotSignedIn, SigningIn};
use city_trust::{Role, TokenError};
use http::header::{HeaderValue, RETRY_AFTER, SET_COOKIE};
use http::{HeaderMap, Method, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::body::WholeBody;
use crate::caller::{Caller, TENANT, from_own_page, session_of, tenant_of};
use crate::city::City;
use crate::doors::{Effect, Operation};
use crate::frame::Peer;
use crate::parameters::{NoParameters, PathParameters};
use crate::problem::Problem;
use crate::trust::{body, define, expiry};

/// Passwords that are hashed at once; each takes a processor and 19 MiB for some tens of milliseconds.
pub const HASHES_AT_ONCE: usize = 2;
/// Further ones that wait for it; beyond, 503.
pub const HASHES_WAITING_MAX: usize = 32;

#[must_use]
pub fn operations() -> Vec<Operation<Arc<City>>> {
    let (door, ours, administer) = ("trust", "docs/reference/trust.md", Effect::Administer);
    let (accounts, account) = ("/trust/v1/accounts", "/trust/v1/accounts/{accountId}");
    let (sessions, session) = ("/trust/v1/sessions", "/trust/v1/sessions/self");
    vec![
        Operation::new(door, ours, "add_account", Method::POST, accounts, administer, add_account),
        Operation::new(door, ours, "list_accounts", Method::GET, accounts, administer, list_accounts),
        Operation::new(door, ours, "remove_account", Method::DELETE, account, administer, remove_account),
        Operation::new(
            door,
            ours,
            "invite_again",
            Method::POST,
            "/trust/v1/accounts/{accountId}/invitation",
            administer,
            invite_again,
        ),
        Operation::new("people", ours, "sign_in", Method::POST, sessions, Effect::Open, sign_in),
        Operation::new("people", ours, "sign_out", Method::DELETE, session, Effect::Open, sign_out),
        Operation::new(door, ours, "who_am_i", Method::GET, "/trust/v1/self", Effect::Known, who_am_i),
    ]
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AccountBody {
    name: String,
    #[serde(default)]
    label: Option<String>,
    roles: Vec<String>,
    #[serde(default)]
    organisation: Option<String>,
    #[serde(default)]
    purposes: Vec<String>,
    /// A duration such as P30D, or a time.
    #[serde(default)]
    ends: Option<String>,
}

/// Makes an account; its holder chooses the password with the invitation that comes back, this once.
async fn add_account(
    State(city): State<Arc<City>>,
    caller: Caller,
    _: NoParameters,
    WholeBody(bytes): WholeBody,
) -> Result<Response, Problem> {
    let asked: AccountBody = body(&caller.headers, &bytes)?;
    if !is_name(&asked.name) {
        return Err(city_trust::Error::from(city_trust::people::account::AccountError::Name).into());
    }
    let now = city.now();
    let role = |role: &String| Role::parse(role).ok_or_else(|| TokenError::NoRole(role.clone()));
    let request = AccountRequest {
        label: asked.label.unwrap_or_else(|| asked.name.clone()),
        roles: asked.roles.iter().map(role).collect::<Result<_, _>>().map_err(city_trust::Error::from)?,
        organisation: asked.organisation,
        purposes: asked.purposes,
        ends_at: asked.ends.as_deref().map(|text| expiry(text, now)).transpose()?,
    };
    let (stored, code) = request.make(caller.permit.who(), now).map_err(city_trust::Error::from)?;
    keep(&city, &caller.permit, &asked.name, &stored, true).await?;
    let mut shown = shown_account(&city, caller.permit.tenant(), &asked.name, &stored);
    shown["invitation"] = code.as_str().into();
    shown["page"] = welcome_page(caller.permit.tenant(), &asked.name, &code).into();
    Ok((StatusCode::CREATED, Json(shown)).into_response())
}

/// Where an invitation is taken up.
fn welcome_page(tenant: &TenantName, name: &str, code: &str) -> String {
    let tenant =
        if *tenant == TenantName::default_tenant() { String::new() } else { format!("&tenant={}", tenant.as_str()) };
    format!("/welcome?name={}&code={code}{tenant}", name.replace('@', "%40"))
}

async fn list_accounts(State(city): State<Arc<City>>, caller: Caller, _: NoParameters) -> Result<Json<Value>, Problem> {
    let mut accounts = Vec::new();
    for (name, stored) in city.context.list_definitions(&caller.permit, DefinitionKind::Account)? {
        let stored = StoredAccount::parse(&stored).map_err(|error| Problem::internal("TRU-009", &error))?;
        accounts.push(shown_account(&city, caller.permit.tenant(), &name, &stored));
    }
    Ok(Json(json!({"accounts": accounts})))
}

fn shown_account(city: &City, tenant: &TenantName, name: &str, stored: &StoredAccount) -> Value {
    let now = city.now();
    let time = |micros: i64| Time::from_micros(micros).to_string();
    let state = match (&stored.password, &stored.invitation) {
        _ if !stored.is_open(now) => "ended",
        (Some(_), _) => "open",
        (None, Some(invitation)) if now.as_micros() < invitation.ends_at_micros => "invited",
        (None, _) => "invitation ended",
    };
    json!({
        "name": name, "who": &*city_trust::people::account::principal_id(name), "label": stored.label,
        "roles": stored.roles, "organisation": stored.organisation, "purposes": stored.purposes, "state": state,
        "endsAt": stored.ends_at_micros.map(time), "createdBy": stored.created_by,
        "createdAt": time(stored.created_at_micros), "sessions": city.trust.sessions_of(tenant, name, now),
    })
}

async fn remove_account(
    State(city): State<Arc<City>>,
    caller: Caller,
    path: PathParameters,
    _: NoParameters,
) -> Result<StatusCode, Problem> {
    let id = path.get("accountId")?.into();
    define(&city, &caller.permit, city_model::Change::Undefine { kind: DefinitionKind::Account, id }).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// A new invitation in place of the password: whoever is signed in is signed out.
async fn invite_again(
    State(city): State<Arc<City>>,
    caller: Caller,
    path: PathParameters,
    _: NoParameters,
) -> Result<Json<Value>, Problem> {
    let name = path.get("accountId")?;
    let known = city.trust.account(caller.permit.tenant(), name).ok_or_else(|| not_there(name))?;
    let mut stored = known.stored.clone();
    let code = stored.invite(city.now()).map_err(city_trust::Error::from)?;
    keep(&city, &caller.permit, name, &stored, false).await?;
    let mut shown = shown_account(&city, caller.permit.tenant(), name, &stored);
    shown["invitation"] = code.as_str().into();
    shown["page"] = welcome_page(caller.permit.tenant(), name, &code).into();
    Ok(Json(shown))
}

fn not_there(name: &str) -> Problem {
    Rejected::DefinitionNotFound { what: DefinitionKind::Account.noun(), id: name.into() }.into()
}

/// Writes an account; durable and counting when it returns.
pub async fn keep(
    city: &City,
    permit: &Permit,
    name: &str,
    stored: &StoredAccount,
    create: bool,
) -> Result<(), Problem> {
    let written = stored.body().map_err(|error| Problem::internal("TRU-009", &error))?;
    let definition = Definition { kind: DefinitionKind::Account, id: name.into(), body: written, create };
    define(city, permit, city_model::Change::Define(definition)).await.map(drop)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SessionBody {
    name: String,
    password: String,
}

async fn sign_in(
    State(city): State<Arc<City>>,
    peer: Option<Extension<Peer>>,
    headers: HeaderMap,
    _: NoParameters,
    WholeBody(bytes): WholeBody,
) -> Result<Response, Problem> {
    let asked: SessionBody = body(&headers, &bytes)?;
    let tenant = headers.get(&TENANT).map(tenant_of).transpose()?.unwrap_or_else(TenantName::default_tenant);
    let from = peer.map(|Extension(Peer(address))| address.ip());
    let secret = begin_session(&city, &tenant, &asked.name, &asked.password, from).await?;
    let ends = city.trust.session_ends(&secret).map(|ends| ends.to_string());
    let told = json!({"who": &*city_trust::people::account::principal_id(&asked.name), "endsAt": ends});
    Ok((StatusCode::CREATED, [(SET_COOKIE, cookie(&city, &secret)?)], Json(told)).into_response())
}

/// Whoever shows that an account is theirs gets a session; that they did stands in the trail first.
pub async fn begin_session(
    city: &Arc<City>,
    tenant: &TenantName,
    name: &str,
    password: &str,
    from: Option<IpAddr>,
) -> Result<String, Problem> {
    let asked = (Arc::clone(city), tenant.clone(), name.to_owned(), password.to_owned());
    let signed = hashing(city, move || {
        let (city, tenant, name, password) = &asked;
        city.trust.sign_in(SigningIn { tenant, name, password, from }, city.now())
    })
    .await?;
    let from = from.map(|from| from.to_string());
    let note = async |what| {
        let permit = city.trust.keeping_own_account(tenant, name, city.now());
        city.note(&permit, what, name, &json!({"from": from})).await
    };
    match signed {
        Ok(secret) => note("session.begun").await.map(|()| secret),
        Err(why) => {
            // Only of an account that is there; else anybody could fill the trail with names.
            if matches!(why, NotSignedIn::Wrong { begins_to_wait: true }) && city.trust.account(tenant, name).is_some()
            {
                note("session.refused").await?;
            }
            Err(why.into())
        }
    }
}

/// Runs what hashes a password, beside everything else, a few at once.
pub async fn hashing<T: Send + 'static>(city: &City, hash: impl FnOnce() -> T + Send + 'static) -> Result<T, Problem> {
    let hashes = &city.readers.hashes;
    let Ok(_waiting) = hashes.waiting.try_acquire() else { return Err(crate::frame::overloaded()) };
    let _place = hashes.places.acquire().await.map_err(|error| Problem::internal("SRV-006", &error))?;
    tokio::task::spawn_blocking(hash).await.map_err(|error| Problem::internal("SRV-006", &error))
}

async fn sign_out(State(city): State<Arc<City>>, headers: HeaderMap, _: NoParameters) -> Result<Response, Problem> {
    end_session(&city, &headers)?;
    Ok((StatusCode::NO_CONTENT, [(SET_COOKIE, no_cookie(&city)?)]).into_response())
}

/// Ends the session that a request comes with, if it has one.
pub fn end_session(city: &City, headers: &HeaderMap) -> Result<(), Problem> {
    if let Some(secret) = session_of(headers) {
        from_own_page(&Method::DELETE, headers)?;
        city.trust.sign_out(secret);
    }
    Ok(())
}

/// The cookie of a session. Nothing else may read it, and no other site's page sends it along.
pub fn cookie(city: &City, secret: &str) -> Result<HeaderValue, Problem> {
    let (name, secure) = if city.is_secure { ("__Host-renkei", "; Secure") } else { ("renkei", "") };
    HeaderValue::from_str(&format!("{name}={secret}; Path=/; HttpOnly; SameSite=Strict{secure}"))
        .map_err(|error| Problem::internal("SRV-006", &error))
}

/// Takes the cookie away.
pub fn no_cookie(city: &City) -> Result<HeaderValue, Problem> {
    let mut value = cookie(city, "")?.to_str().unwrap_or_default().to_owned();
    value.push_str("; Max-Age=0");
    HeaderValue::from_str(&value).map_err(|error| Problem::internal("SRV-006", &error))
}

/// Who asks, as the city sees them.
async fn who_am_i(State(city): State<Arc<City>>, caller: Caller, _: NoParameters) -> Result<Json<Value>, Problem> {
    let permit = &caller.permit;
    let principal = city.trust.find_principal(permit.tenant(), permit.who());
    let roles: Vec<&str> = principal.iter().flat_map(|own| &own.roles).map(|role| role.as_str()).collect();
    let label = permit.who().strip_prefix("account:").and_then(|name| city.trust.account(permit.tenant(), name));
    let rights: Vec<&str> = permit.powers().rights.iter().map(|right| right.verb()).collect();
    let session = session_of(&caller.headers).and_then(|secret| city.trust.session_ends(secret));
    Ok(Json(json!({
        "who": permit.who(), "tenant": permit.tenant().as_str(), "roles": roles, "rights": rights,
        "label": label.map(|account| account.stored.label.clone()),
        "organisation": principal.as_ref().and_then(|own| own.organisation.as_deref()),
        "purposes": principal.iter().flat_map(|own| &own.purposes).map(|purpose| &**purpose).collect::<Vec<_>>(),
        "reads": *permit.read() != city_model::Reach::Nothing, "writes": *permit.write() != city_model::Reach::Nothing,
        "sessionEndsAt": session.map(|ends| ends.to_string()),
    })))
}

impl From<NotSignedIn> for Problem {
    fn from(why: NotSignedIn) -> Self {
        let said = why.to_string();
        match why {
            NotSignedIn::Wrong { .. } => Self::plain(StatusCode::UNAUTHORIZED, "TRU-019", said),
            NotSignedIn::Waits(wait) => {
                let seconds = HeaderValue::from(wait.as_secs() + 1);
                Self::plain(StatusCode::TOO_MANY_REQUESTS, "TRU-020", said).header(RETRY_AFTER, seconds)
            }
            NotSignedIn::NoRandom => Self::internal("TRU-018", &said),
        }
    }
}
