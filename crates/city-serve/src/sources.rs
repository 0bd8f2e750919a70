//! The door for sources: they are set up, tried and looked after here, take the messages that are pushed to
//! them, and say where a value came from.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use city_ingest::source::book::Entry;
use city_ingest::source::{self, Brought, Message, SOURCES_MAX, Source, StoredSource, Wrong};
use city_model::{Change, Definition, DefinitionKind, EntityId, Permit, Rejected, Right, TenantName, Time};
use city_ngsi_ld::{ContextSpec, ContextStore, RenderOptions, render_entity};
use city_outbound::Outbound;
use http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::body::WholeBody;
use crate::caller::Caller;
use crate::city::{City, cause};
use crate::doors::{Effect, Operation};
use crate::media::{MediaType, content_type};
use crate::ngsi_ld::{reading, resolve_with};
use crate::parameters::{NoParameters, Parameters, PathParameters};
use crate::problem::{Kind, Problem};

/// Rejected messages in one list.
pub const REJECTS_LIST_MAX: usize = 100;
/// Rows that a trial shows.
pub const TRIAL_ROWS_MAX: usize = 100;

#[must_use]
pub fn operations() -> Vec<Operation<Arc<City>>> {
    let (door, ours, operate) = ("sources", "docs/reference/sources.md", Effect::Operate);
    let (all, one) = ("/ops/v1/sources", "/ops/v1/sources/{sourceId}");
    let (messages, test) = ("/ops/v1/sources/{sourceId}/messages", "/ops/v1/sources/{sourceId}/test");
    let (pause, resume) = ("/ops/v1/sources/{sourceId}/pause", "/ops/v1/sources/{sourceId}/resume");
    let (rejects, reject) = ("/ops/v1/sources/{sourceId}/rejects", "/ops/v1/sources/{sourceId}/rejects/{number}");
    let again = "/ops/v1/sources/{sourceId}/rejects/{number}/replay";
    vec![
        Operation::new(door, ours, "put_source", Method::POST, all, operate, put_source),
        Operation::new(door, ours, "list_sources", Method::GET, all, operate, list_sources),
        Operation::new(door, ours, "get_source", Method::GET, one, operate, get_source),
        Operation::new(door, ours, "remove_source", Method::DELETE, one, operate, remove_source),
        Operation::new(door, ours, "pause_source", Method::POST, pause, operate, pause_source),
        Operation::new(door, ours, "resume_source", Method::POST, resume, operate, resume_source),
        Operation::new(door, ours, "test_source", Method::POST, test, operate, test_source),
        Operation::new(door, ours, "push_message", Method::POST, messages, Effect::Known, push_message),
        Operation::new(door, ours, "list_rejects", Method::GET, rejects, operate, list_rejects),
        Operation::new(door, ours, "get_reject", Method::GET, reject, operate, get_reject),
        Operation::new(door, ours, "drop_reject", Method::DELETE, reject, operate, drop_reject),
        Operation::new(door, ours, "replay_reject", Method::POST, again, operate, replay_reject),
        Operation::new(door, ours, "get_lineage", Method::GET, "/ops/v1/lineage", Effect::Read, get_lineage),
    ]
}

/// Gives sources the terms of their mappings, as requests get theirs.
pub struct Resolver {
    pub contexts: Arc<ContextStore>,
    pub outbound: Outbound,
}

impl source::Terms for Resolver {
    fn resolve<'a>(&'a self, spec: &'a ContextSpec) -> source::Resolving<'a> {
        Box::pin(async move {
            resolve_with(&self.contexts, &self.outbound, spec).await.map_err(|problem| problem.detail.into_owned())
        })
    }
}

impl From<source::Error> for Problem {
    fn from(error: source::Error) -> Self {
        use source::Error;
        let (code, said) = (error.code(), error.to_string());
        match error {
            Error::Context(error) => error.into(),
            Error::NotFound(_) | Error::NoReject { .. } => Self::new(Kind::ResourceNotFound, code, said),
            Error::Paused(_) | Error::OwnerGone(_) => Self::plain(StatusCode::CONFLICT, code, said),
            Error::Busy(_) => {
                Self::plain(StatusCode::SERVICE_UNAVAILABLE, code, said).retry_after(std::time::Duration::from_secs(1))
            }
            Error::Terms(_) => Self::new(Kind::LdContextNotAvailable, code, said),
            Error::Stored(_) => Self::internal(code, &said),
        }
    }
}

impl From<Wrong> for Problem {
    fn from(wrong: Wrong) -> Self {
        Self::new(Kind::BadRequestData, "ING-013", wrong.to_string())
    }
}

fn name(path: &PathParameters) -> Result<&str, Problem> {
    path.get("sourceId")
}

/// Sets a source up, or gives it another text; it acts for whoever does that.
async fn put_source(
    State(city): State<Arc<City>>,
    caller: Caller,
    _: NoParameters,
    WholeBody(bytes): WholeBody,
) -> Result<Response, Problem> {
    content_type(&caller.headers, &[MediaType::Yaml, MediaType::Json])?;
    let source = source_of(&city, &caller.permit, &bytes)?;
    if let source::From::Poll { url, .. } = &source.from {
        city.outbound.check(url).map_err(|error| Wrong { place: "from.poll.url", why: error.to_string() })?;
    }
    let create = source.stored.version == 1;
    if create && city.context.list_definitions(&caller.permit, DefinitionKind::Source)?.len() >= SOURCES_MAX {
        let advice = "Remove those that are no longer needed.";
        return Err(Rejected::BoundReached { what: "The number of sources", bound: SOURCES_MAX as u64, advice }.into());
    }
    keep(&city, &caller.permit, &source.name, &source.stored, create).await?;
    let status = if create { StatusCode::CREATED } else { StatusCode::OK };
    Ok((status, Json(shown(&city, caller.permit.tenant(), &source)?)).into_response())
}

/// The source of a text, as the next version of its name.
fn source_of(city: &City, permit: &Permit, bytes: &[u8]) -> Result<Source, Problem> {
    let text = std::str::from_utf8(bytes).map_err(|_| Wrong { place: "the source", why: "it is not UTF-8".into() })?;
    let mut source = Source::read(text, permit.owner(), 1, city.now())?;
    if let Some(before) = find(city, permit, &source.name)? {
        source.stored.version = before.version + 1;
        source.stored.paused = before.paused;
    }
    Ok(source)
}

fn find(city: &City, permit: &Permit, name: &str) -> Result<Option<StoredSource>, Problem> {
    let body = city.context.find_definition(permit, DefinitionKind::Source, name)?;
    body.map(|body| StoredSource::parse(&body).map_err(|error| Problem::internal("ING-012", &error))).transpose()
}

async fn keep(city: &City, permit: &Permit, name: &str, stored: &StoredSource, create: bool) -> Result<(), Problem> {
    let body = stored.body().map_err(|error| Problem::internal("ING-012", &error))?;
    define(
        city,
        permit,
        name,
        Change::Define(Definition { kind: DefinitionKind::Source, id: name.into(), body, create }),
    )
    .await
}

async fn define(city: &City, permit: &Permit, name: &str, change: Change) -> Result<(), Problem> {
    for result in city.context.apply(permit, vec![change], cause("sources"), Vec::new()).await? {
        result?;
    }
    let body = city.context.find_definition(permit, DefinitionKind::Source, name)?;
    city.sources.learn(permit.tenant(), name, body.as_deref());
    Ok(())
}

fn time(micros: i64) -> String {
    Time::from_micros(micros).to_string()
}

fn shown(city: &City, tenant: &TenantName, source: &Source) -> Result<Value, Problem> {
    let status = city.sources.status(tenant, &source.name)?;
    let since = Time::from_micros(source.stored.created_at_micros);
    let about = source.mapping.source();
    Ok(json!({
        "name": source.name, "title": source.title, "from": source.from_words(), "format": source.mapping.format().name(),
        "provider": about.provider, "licence": about.licence, "version": source.stored.version,
        "paused": source.stored.paused, "who": source.stored.who, "since": time(source.stored.created_at_micros),
        "messages": status.messages, "rows": status.rows, "applied": status.applied, "rejected": status.rejected,
        "rejectsKept": status.kept, "lastAt": status.last_at_micros.map(time), "lastRejection": status.last_rejection,
        "failing": city.sources.failing(tenant, &source.name),
        "silent": !source.stored.paused && status.is_silent(source.expect_seconds, since, city.now()),
    }))
}

async fn list_sources(State(city): State<Arc<City>>, caller: Caller, _: NoParameters) -> Result<Json<Value>, Problem> {
    let mut names: Vec<Box<str>> = city
        .context
        .list_definitions(&caller.permit, DefinitionKind::Source)?
        .into_iter()
        .map(|(name, _)| name)
        .collect();
    names.sort();
    let tenant = caller.permit.tenant();
    let mut sources = Vec::with_capacity(names.len());
    for name in &names {
        sources.push(match city.sources.look(tenant, name, |source| shown(&city, tenant, source)) {
            Ok(shown) => shown?,
            // This release cannot read its text: the log says why, and the others stand beside it.
            Err(_) => {
                let failing = "its stored text cannot be read";
                json!({"name": name, "failing": failing, "messages": 0, "applied": 0, "rejected": 0})
            }
        });
    }
    Ok(Json(json!({"sources": sources})))
}

async fn get_source(
    State(city): State<Arc<City>>,
    caller: Caller,
    path: PathParameters,
    _: NoParameters,
) -> Result<Json<Value>, Problem> {
    let tenant = caller.permit.tenant();
    let look = |source: &Source| {
        let mut shown = shown(&city, tenant, source)?;
        shown["text"] = (*source.stored.text).into();
        Ok::<Value, Problem>(shown)
    };
    Ok(Json(city.sources.look(tenant, name(&path)?, look)??))
}

async fn remove_source(
    State(city): State<Arc<City>>,
    caller: Caller,
    path: PathParameters,
    _: NoParameters,
) -> Result<StatusCode, Problem> {
    let name = name(&path)?;
    define(&city, &caller.permit, name, Change::Undefine { kind: DefinitionKind::Source, id: name.into() }).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn set_paused(city: &City, permit: &Permit, name: &str, paused: bool) -> Result<StatusCode, Problem> {
    let mut stored = find(city, permit, name)?.ok_or_else(|| source::Error::NotFound(name.into()))?;
    if stored.paused != paused {
        stored.paused = paused;
        keep(city, permit, name, &stored, false).await?;
    }
    Ok(StatusCode::NO_CONTENT)
}

async fn pause_source(
    State(city): State<Arc<City>>,
    caller: Caller,
    path: PathParameters,
    _: NoParameters,
) -> Result<StatusCode, Problem> {
    set_paused(&city, &caller.permit, name(&path)?, true).await
}

async fn resume_source(
    State(city): State<Arc<City>>,
    caller: Caller,
    path: PathParameters,
    _: NoParameters,
) -> Result<StatusCode, Problem> {
    set_paused(&city, &caller.permit, name(&path)?, false).await
}

/// What a message would become: its rows, and why some would be rejected. Nothing is written.
async fn test_source(
    State(city): State<Arc<City>>,
    caller: Caller,
    path: PathParameters,
    _: NoParameters,
    WholeBody(bytes): WholeBody,
) -> Result<Json<Value>, Problem> {
    let stored = find(&city, &caller.permit, name(&path)?)?.ok_or_else(|| source::Error::NotFound(path_name(&path)))?;
    let source = Source::of(stored)?;
    let message = Message { bytes: &bytes, name: "test", by: caller.permit.who() };
    let held = city.sources.test(&source, message).await?;
    let (_, terms) = reading(&city, &caller).await?;
    let mut entities = Vec::new();
    for (line, change) in held.batches.iter().flatten().take(TRIAL_ROWS_MAX) {
        let (kind, entity) = match change {
            Change::Past { fragment, .. } => ("past", fragment),
            Change::Upsert { entity, .. } => ("current", entity),
            _ => continue,
        };
        let mut json = Vec::new();
        render_entity(entity, &terms, &RenderOptions::default(), &mut json);
        let entity: Value = serde_json::from_slice(&json).unwrap_or_default();
        entities.push(json!({"line": line, "becomes": kind, "entity": entity}));
    }
    let would: usize = held.batches.iter().map(Vec::len).sum();
    Ok(Json(json!({
        "read": held.read, "skipped": held.skipped, "would": would, "rejected": held.rejected, "entities": entities,
        "reasons": held.reasons,
    })))
}

fn path_name(path: &PathParameters) -> Box<str> {
    path.get("sourceId").unwrap_or_default().into()
}

/// Takes a message; what was applied is durable when this answers.
async fn push_message(
    State(city): State<Arc<City>>,
    caller: Caller,
    path: PathParameters,
    _: NoParameters,
    WholeBody(bytes): WholeBody,
) -> Result<Response, Problem> {
    let (permit, name) = (&caller.permit, name(&path)?);
    let may = city.sources.may_send(permit, name, &city.trust.roles_of(permit));
    // Whoever may not push is not told which sources there are.
    if !may.unwrap_or(false) {
        let known = permit.powers().have(Right::Operate);
        let refused = city_model::Refused::NoRight {
            who: permit.who().into(),
            right: Right::Write.verb(),
            tenant: permit.tenant().clone(),
        };
        return Err(if known {
            source::Error::NotFound(name.into()).into()
        } else {
            city_context::Error::from(refused).into()
        });
    }
    let entry =
        city.sources.message(permit.tenant(), name, Message { bytes: &bytes, name: "push", by: permit.who() }).await?;
    Ok(answer(&entry))
}

/// 200 where all was taken, 207 where something was rejected, 422 where everything was.
fn answer(entry: &Entry) -> Response {
    let status = match (entry.rejected, entry.applied) {
        (0, _) => StatusCode::OK,
        (_, 0) => StatusCode::UNPROCESSABLE_ENTITY,
        _ => StatusCode::MULTI_STATUS,
    };
    (status, Json(shown_entry(entry))).into_response()
}

fn shown_entry(entry: &Entry) -> Value {
    json!({
        "message": entry.number, "receivedAt": time(entry.received_at_micros), "version": entry.version,
        "name": entry.name, "by": entry.by, "bytes": entry.bytes, "sha256": entry.sha256, "read": entry.read,
        "applied": entry.applied, "rejected": entry.rejected, "reasons": entry.reasons,
        "replaces": entry.replaces,
    })
}

async fn list_rejects(
    State(city): State<Arc<City>>,
    caller: Caller,
    path: PathParameters,
    parameters: Parameters,
) -> Result<Json<Value>, Problem> {
    parameters.only(&["from"])?;
    let from = number(parameters.find("from").unwrap_or("0"))?;
    city.sources.look(caller.permit.tenant(), name(&path)?, |_| ())?;
    let found = city.sources.rejects(caller.permit.tenant(), name(&path)?, from, REJECTS_LIST_MAX)?;
    let next = (found.len() == REJECTS_LIST_MAX).then(|| found.last().map(|entry| entry.number + 1)).flatten();
    Ok(Json(json!({"rejects": found.iter().map(shown_entry).collect::<Vec<_>>(), "next": next})))
}

fn number(text: &str) -> Result<u64, Problem> {
    text.parse().map_err(|_| {
        let detail = format!("\"{text}\" is not the number of a message.");
        Problem::new(Kind::BadRequestData, "NLD-002", detail)
    })
}

async fn get_reject(
    State(city): State<Arc<City>>,
    caller: Caller,
    path: PathParameters,
    _: NoParameters,
) -> Result<Json<Value>, Problem> {
    let (entry, bytes) = city.sources.reject(caller.permit.tenant(), name(&path)?, number(path.get("number")?)?)?;
    let mut shown = shown_entry(&entry);
    match String::from_utf8(bytes) {
        Ok(text) => shown["text"] = text.into(),
        Err(error) => shown["base64"] = base64_of(error.as_bytes()).into(),
    }
    Ok(Json(shown))
}

fn base64_of(bytes: &[u8]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

async fn drop_reject(
    State(city): State<Arc<City>>,
    caller: Caller,
    path: PathParameters,
    _: NoParameters,
) -> Result<StatusCode, Problem> {
    city.sources.drop_reject(&caller.permit, name(&path)?, number(path.get("number")?)?).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Takes a rejected message again: as it came, or as the body mends it.
async fn replay_reject(
    State(city): State<Arc<City>>,
    caller: Caller,
    path: PathParameters,
    _: NoParameters,
    WholeBody(bytes): WholeBody,
) -> Result<Response, Problem> {
    let (permit, number) = (&caller.permit, number(path.get("number")?)?);
    let mended = (!bytes.is_empty()).then_some(&*bytes);
    let entry = city.sources.replay(permit.tenant(), name(&path)?, number, mended, permit.who()).await?;
    Ok(answer(&entry))
}

/// Where the value came from that an attribute has now.
async fn get_lineage(
    State(city): State<Arc<City>>,
    caller: Caller,
    parameters: Parameters,
) -> Result<Json<Value>, Problem> {
    parameters.only(&["id", "attr"])?;
    let (Some(id), Some(attr)) = (parameters.find("id"), parameters.find("attr")) else {
        let detail = "id and attr: name an entity and one of its attributes.";
        return Err(Problem::new(Kind::BadRequestData, "NLD-002", detail));
    };
    let (permit, terms) = reading(&city, &caller).await?;
    let (id, attribute) = (EntityId::parse(id)?, terms.expand(attr));
    let brought = city.sources.brought(&permit, &id, &attribute)?.ok_or_else(|| {
        Problem::from(Rejected::AttributeNotFound { entity: id.clone(), attribute: attribute.clone(), dataset: None })
    })?;
    Ok(Json(match brought {
        Brought::BySource(lineage) => json!({
            "entity": id.as_str(), "attribute": attr, "source": lineage.source, "message": lineage.number,
            "line": lineage.line, "changedAt": lineage.changed_at.to_string(), "seq": lineage.seq,
            "cameAs": lineage.entry.as_ref().map(shown_entry),
        }),
        Brought::Otherwise { door, by, changed_at, seq } => json!({
            "entity": id.as_str(), "attribute": attr, "source": null, "door": door, "by": &*by,
            "changedAt": changed_at.to_string(), "seq": seq,
        }),
        Brought::Forgotten => json!({
            "entity": id.as_str(), "attribute": attr, "source": null, "forgotten": true,
        }),
    }))
}
