//! The door for whoever says who may: tokens and policies are made, listed and taken back here.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use city_model::reach::{Attributes, Blur, Rule};
use city_model::{
    Applied, Change, DataClass, Definition, DefinitionKind, EntityId, Period, Permit, Reach, Rejected, Time,
};
use city_ngsi_ld::TermMap;
use city_trust::decide::{Policies, ROLES, parse};
use city_trust::words::{Asked, translate};
use city_trust::{NewToken, Role, Seen, StoredClass, StoredPolicy, StoredToken, TokenRequest, principal_id};
use http::{HeaderMap, Method, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::body::WholeBody;
use crate::caller::Caller;
use crate::city::{City, cause};
use crate::doors::{Effect, Operation};
use crate::media::{MediaType, content_type};
use crate::ngsi_ld::reading;
use crate::parameters::{NoParameters, Parameters, PathParameters};
use crate::problem::{Kind, Problem};

/// How long a token lives that says nothing of it.
pub const TOKEN_LIFE: &str = "P90D";

#[must_use]
pub fn operations() -> Vec<Operation<Arc<City>>> {
    let (door, ours) = ("trust", "docs/reference/trust.md");
    let (tokens, token) = ("/trust/v1/tokens", "/trust/v1/tokens/{tokenId}");
    let (policies, policy) = ("/trust/v1/policies", "/trust/v1/policies/{policyId}");
    let (classes, class) = ("/trust/v1/classes", "/trust/v1/classes/{attrId}");
    let administer = Effect::Administer;
    vec![
        Operation::new(door, ours, "create_token", Method::POST, tokens, administer, create_token),
        Operation::new(door, ours, "list_tokens", Method::GET, tokens, administer, list_tokens),
        Operation::new(door, ours, "revoke_token", Method::DELETE, token, administer, revoke_token),
        Operation::new(door, ours, "add_policy", Method::POST, policies, administer, add_policy),
        Operation::new(door, ours, "list_policies", Method::GET, policies, administer, list_policies),
        Operation::new(door, ours, "remove_policy", Method::DELETE, policy, administer, remove_policy),
        Operation::new(door, ours, "set_class", Method::POST, classes, administer, set_class),
        Operation::new(door, ours, "list_classes", Method::GET, classes, administer, list_classes),
        Operation::new(door, ours, "remove_class", Method::DELETE, class, administer, remove_class),
        Operation::new(door, ours, "erase_person", Method::POST, "/trust/v1/erasures", administer, erase_person),
        Operation::new(door, ours, "explain", Method::GET, "/trust/v1/explain", administer, explain),
    ]
}

/// Writes a definition that says who may; before the answer, trust knows it.
pub async fn define(city: &City, permit: &Permit, change: Change) -> Result<Applied, Problem> {
    let (kind, id) = match &change {
        Change::Define(definition) => (definition.kind, definition.id.clone()),
        Change::Undefine { kind, id } => (*kind, id.clone()),
        _ => return Err(Problem::internal("CTX-001", &"a change that defines nothing")),
    };
    let mut results = city.context.apply(permit, vec![change], cause("trust"), Vec::new()).await?;
    let applied = results.pop().ok_or_else(|| Problem::internal("CTX-001", &"a change got no answer"))??;
    city.learn(permit, kind, &id)?;
    tokio::task::block_in_place(|| city.trust.wait_for_releases());
    Ok(applied)
}

pub fn body<'b, T: Deserialize<'b>>(headers: &HeaderMap, bytes: &'b [u8]) -> Result<T, Problem> {
    content_type(headers, &[MediaType::Json])?;
    serde_json::from_slice(bytes).map_err(|error| {
        let detail = format!("The body is not as docs/reference/trust.md says: {error}");
        Problem::new(Kind::BadRequestData, "NLD-002", detail)
    })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TokenBody {
    #[serde(default)]
    label: Option<String>,
    roles: Vec<String>,
    #[serde(default)]
    organisation: Option<String>,
    #[serde(default)]
    purposes: Vec<String>,
    /// A duration such as P30D, or a time.
    #[serde(default)]
    expires: Option<String>,
}

async fn create_token(
    State(city): State<Arc<City>>,
    caller: Caller,
    _: NoParameters,
    WholeBody(bytes): WholeBody,
) -> Result<Response, Problem> {
    let asked: TokenBody = body(&caller.headers, &bytes)?;
    let now = city.now();
    let role = |text: &String| Role::parse(text).ok_or_else(|| city_trust::TokenError::NoRole(text.clone()));
    let roles = asked.roles.iter().map(role).collect::<Result<Vec<Role>, _>>().map_err(city_trust::Error::from)?;
    let label = asked.label.or_else(|| asked.organisation.clone()).unwrap_or_else(|| asked.roles.join(", "));
    let expires_at = expiry(asked.expires.as_deref().unwrap_or(TOKEN_LIFE), now)?;
    let request = TokenRequest { label, roles, organisation: asked.organisation, purposes: asked.purposes, expires_at };
    let NewToken { id, text, stored } = request.make(caller.permit.who(), now).map_err(city_trust::Error::from)?;
    let written = serde_json::to_vec(&stored).map_err(|error| Problem::internal("TRU-009", &error))?;
    let definition = Definition { kind: DefinitionKind::Token, id: id.clone(), body: written.into(), create: true };
    define(&city, &caller.permit, Change::Define(definition)).await?;
    let mut shown = shown_token(&id, &stored, None);
    // The one time that it is shown.
    shown["token"] = text.into();
    Ok((StatusCode::CREATED, Json(shown)).into_response())
}

pub fn expiry(text: &str, now: Time) -> Result<Time, Problem> {
    let period = Period::parse(text).filter(|period| !period.is_whole());
    let after = period.map(|period| period.start(now, 1));
    after.or_else(|| Time::parse(text)).ok_or_else(|| {
        let detail = format!("\"{text}\" is neither a duration such as P30D nor a time.");
        Problem::new(Kind::BadRequestData, "NLD-002", detail)
    })
}

fn shown_token(id: &str, token: &StoredToken, seen: Option<Seen>) -> Value {
    let seen = seen.as_ref();
    json!({
        "id": id, "who": &*principal_id(id), "label": token.label, "roles": token.roles,
        "organisation": token.organisation, "purposes": token.purposes, "createdBy": token.created_by,
        "createdAt": Time::from_micros(token.created_at_micros).to_string(),
        "expiresAt": token.expires_at().to_string(), "lastUsedAt": seen.map(|seen| seen.at.to_string()),
        "lastAct": seen.map(|seen| seen.act), "lastFrom": seen.and_then(|seen| seen.from).map(|from| from.to_string()),
        "requests": seen.map_or(0, |seen| seen.requests),
    })
}

async fn list_tokens(State(city): State<Arc<City>>, caller: Caller, _: NoParameters) -> Result<Json<Value>, Problem> {
    let mut tokens = Vec::new();
    for (id, stored) in city.context.list_definitions(&caller.permit, DefinitionKind::Token)? {
        let token: StoredToken =
            serde_json::from_slice(&stored).map_err(|error| Problem::internal("TRU-009", &error))?;
        tokens.push(shown_token(&id, &token, city.trust.seen(&id)));
    }
    Ok(Json(json!({"tokens": tokens})))
}

async fn revoke_token(
    State(city): State<Arc<City>>,
    caller: Caller,
    path: PathParameters,
    _: NoParameters,
) -> Result<StatusCode, Problem> {
    let id = path.get("tokenId")?;
    // Both names of it are understood.
    let id = id.strip_prefix("token:").unwrap_or(id).into();
    define(&city, &caller.permit, Change::Undefine { kind: DefinitionKind::Token, id }).await?;
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PolicyBody {
    #[serde(default)]
    id: Option<String>,
    #[serde(default)]
    words: Option<String>,
    #[serde(default)]
    cedar: Option<String>,
    /// Only say what it would be.
    #[serde(default)]
    dry: bool,
}

async fn add_policy(
    State(city): State<Arc<City>>,
    caller: Caller,
    _: NoParameters,
    WholeBody(bytes): WholeBody,
) -> Result<Response, Problem> {
    let asked: PolicyBody = body(&caller.headers, &bytes)?;
    let (_, terms) = reading(&city, &caller).await?;
    let cedar = match (&asked.words, asked.cedar) {
        (Some(words), None) => {
            translate(words, &|word, asked| full_name(&terms, word, asked)).map_err(city_trust::Error::from)?
        }
        (None, Some(cedar)) => cedar,
        _ => {
            let detail = "A policy is either words or cedar; send one of them.";
            return Err(Problem::new(Kind::BadRequestData, "NLD-002", detail));
        }
    };
    let id = asked.id.unwrap_or_else(|| format!("policy-{}", uuid::Uuid::new_v4()));
    if id.is_empty() || id.len() > 128 || !id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
    {
        let detail = "id: it must be 1 to 128 letters, digits and - _ . characters.";
        return Err(Problem::new(Kind::BadRequestData, "NLD-002", detail));
    }
    if Policies::default().has(&id) {
        let detail = format!("id: {id} is a role's own policy, which is part of the program.");
        return Err(Problem::new(Kind::BadRequestData, "NLD-002", detail));
    }
    parse(&id, &cedar).map_err(city_trust::Error::from)?;
    let policy = StoredPolicy {
        words: asked.words.map(Into::into),
        cedar: cedar.into(),
        created_by: caller.permit.who().into(),
        created_at_micros: city.now().as_micros(),
    };
    let shown = shown_policy(&id, &policy);
    if asked.dry {
        return Ok(Json(shown).into_response());
    }
    let written = policy.body().map_err(|error| Problem::internal("TRU-009", &error))?;
    let definition = Definition { kind: DefinitionKind::Policy, id: id.into(), body: written, create: true };
    define(&city, &caller.permit, Change::Define(definition)).await?;
    Ok((StatusCode::CREATED, Json(shown)).into_response())
}

fn full_name(terms: &TermMap, word: &str, asked: Asked) -> Result<city_model::Name, String> {
    let what = match asked {
        Asked::Type => "type",
        Asked::Attribute => "attribute",
    };
    city_ngsi_ld::query::parse_names(what, word, terms)
        .map_err(|error| error.to_string())?
        .pop()
        .ok_or_else(|| format!("\"{word}\" is no name of a {what}."))
}

fn shown_policy(id: &str, policy: &StoredPolicy) -> Value {
    json!({
        "id": id, "words": policy.words, "cedar": policy.cedar, "createdBy": policy.created_by,
        "createdAt": Time::from_micros(policy.created_at_micros).to_string(),
    })
}

async fn list_policies(State(city): State<Arc<City>>, caller: Caller, _: NoParameters) -> Result<Json<Value>, Problem> {
    let mut policies = Vec::new();
    for (id, stored) in city.context.list_definitions(&caller.permit, DefinitionKind::Policy)? {
        let policy = StoredPolicy::parse(&stored).map_err(|error| Problem::internal("TRU-009", &error))?;
        policies.push(shown_policy(&id, &policy));
    }
    Ok(Json(json!({"policies": policies, "roles": ROLES})))
}

async fn remove_policy(
    State(city): State<Arc<City>>,
    caller: Caller,
    path: PathParameters,
    _: NoParameters,
) -> Result<StatusCode, Problem> {
    let id = path.get("policyId")?.into();
    define(&city, &caller.permit, Change::Undefine { kind: DefinitionKind::Policy, id }).await?;
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ClassBody {
    attribute: String,
    class: String,
}

/// Says of which class the values of an attribute are, in every entity and also in the past.
async fn set_class(
    State(city): State<Arc<City>>,
    caller: Caller,
    _: NoParameters,
    WholeBody(bytes): WholeBody,
) -> Result<Json<Value>, Problem> {
    let asked: ClassBody = body(&caller.headers, &bytes)?;
    let name = attribute_of(&city, &caller, &asked.attribute).await?;
    let class = DataClass::parse(&asked.class).ok_or_else(|| {
        let detail = "class: it must be environment, infrastructure, behaviour or personal.";
        Problem::new(Kind::BadRequestData, "NLD-002", detail)
    })?;
    let stored = StoredClass {
        class: class.as_str().into(),
        created_by: caller.permit.who().into(),
        created_at_micros: city.now().as_micros(),
    };
    let written = stored.body().map_err(|error| Problem::internal("TRU-009", &error))?;
    let (kind, id): (_, Box<str>) = (DefinitionKind::Class, name.as_str().into());
    let create = city.context.find_definition(&caller.permit, kind, &id)?.is_none();
    define(&city, &caller.permit, Change::Define(Definition { kind, id, body: written, create })).await?;
    let mut answer = json!({"attribute": name.as_str(), "class": class.as_str()});
    if class == DataClass::Personal {
        answer["unsealed"] = city.context.unsealed(&caller.permit, &name)?.into();
    }
    Ok(Json(answer))
}

async fn attribute_of(city: &City, caller: &Caller, word: &str) -> Result<city_model::Name, Problem> {
    let (_, terms) = reading(city, caller).await?;
    full_name(&terms, word, Asked::Attribute).map_err(|why| Problem::new(Kind::BadRequestData, "NLD-002", why))
}

async fn list_classes(State(city): State<Arc<City>>, caller: Caller, _: NoParameters) -> Result<Json<Value>, Problem> {
    let mut classes = Vec::new();
    for (id, stored) in city.context.list_definitions(&caller.permit, DefinitionKind::Class)? {
        let stored = StoredClass::parse(&stored).map_err(|error| Problem::internal("TRU-009", &error))?;
        classes.push(json!({
            "attribute": id, "class": stored.class, "createdBy": stored.created_by,
            "createdAt": Time::from_micros(stored.created_at_micros).to_string(),
        }));
    }
    Ok(Json(json!({"classes": classes})))
}

async fn remove_class(
    State(city): State<Arc<City>>,
    caller: Caller,
    path: PathParameters,
    _: NoParameters,
) -> Result<StatusCode, Problem> {
    let id = attribute_of(&city, &caller, path.get("attrId")?).await?.as_str().into();
    define(&city, &caller.permit, Change::Undefine { kind: DefinitionKind::Class, id }).await?;
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ErasureBody {
    entity: String,
}

/// Erases what is personal of an entity: it goes from now and from the past, and its key is destroyed.
async fn erase_person(
    State(city): State<Arc<City>>,
    caller: Caller,
    _: NoParameters,
    WholeBody(bytes): WholeBody,
) -> Result<Json<Value>, Problem> {
    let asked: ErasureBody = body(&caller.headers, &bytes)?;
    let id = EntityId::parse(&asked.entity)?;
    let erased = city.context.erase(&caller.permit, &id, cause("trust")).await??;
    // What was read before and is on its way out is waited for.
    tokio::task::block_in_place(|| city.trust.wait_for_releases());
    let (_, terms) = reading(&city, &caller).await?;
    let attributes: Vec<_> = erased.updated.iter().map(|name| terms.compact(name)).collect();
    Ok(Json(json!({"entity": id.as_str(), "attributes": attributes})))
}

/// What somebody may do, and by which policies.
async fn explain(
    State(city): State<Arc<City>>,
    caller: Caller,
    parameters: Parameters,
) -> Result<Json<Value>, Problem> {
    parameters.only(&["who", "purpose"])?;
    let who = parameters.find("who").unwrap_or(city_trust::PUBLIC);
    let principal = city.trust.find_principal(caller.permit.tenant(), who).ok_or_else(|| {
        Problem::from(Rejected::DefinitionNotFound { what: DefinitionKind::Token.noun(), id: who.into() })
    })?;
    let purpose = principal
        .purpose(parameters.find("purpose"))
        .map_err(|not| Problem::from(city_trust::Error::OtherPurpose { named: not.named, own: not.own.join(", ") }))?;
    let (powers, policies) = city.trust.powers_of(&principal, purpose);
    let rights: Vec<&str> = powers.rights.iter().map(|right| right.verb()).collect();
    let roles: Vec<&str> = principal.roles.iter().map(|role| role.as_str()).collect();
    Ok(Json(json!({
        "who": &*principal.id, "tenant": principal.tenant.as_str(), "purpose": purpose, "roles": roles,
        "organisation": principal.organisation.as_deref(),
        "read": shown_reach(&powers.read), "write": shown_reach(&powers.write), "rights": rights,
        "discloses": powers.discloses.iter().map(|class| class.as_str()).collect::<Vec<_>>(), "policies": policies,
    })))
}

fn shown_reach(reach: &Reach) -> Value {
    match reach {
        Reach::Nothing => json!("nothing"),
        Reach::Everything => json!("everything"),
        Reach::Part(part) => json!({
            "granted": part.grants.iter().map(shown_rule).collect::<Vec<_>>(),
            "forbidden": part.forbids.iter().map(shown_rule).collect::<Vec<_>>(),
        }),
    }
}

fn shown_rule(rule: &Rule) -> Value {
    let names = |names: &[city_model::Name]| names.iter().map(|name| name.as_str().to_owned()).collect::<Vec<_>>();
    let attributes = match &rule.attributes {
        Attributes::All => json!("all"),
        Attributes::Only(only) => json!(names(only)),
        Attributes::AllBut(but) => json!({"allBut": names(but)}),
    };
    let blurred: Vec<Value> = rule
        .blurred
        .iter()
        .map(|(name, blur)| match blur {
            Blur::Round { step } => json!({"attribute": name.as_str(), "roundedTo": step}),
            Blur::Coarsen { metres } => json!({"attribute": name.as_str(), "coarsenedToMetres": metres}),
        })
        .collect();
    json!({"when": rule.when.to_string(), "attributes": attributes, "lessExact": blurred})
}
