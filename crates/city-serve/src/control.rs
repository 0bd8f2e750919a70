//! The door to the loop: suggestions are looked at and decided here, commands are watched, and rules and
//! actuators are defined.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use city_action::apart::is_subscribed;
use city_action::control::actuator::Actuator;
use city_action::control::{self, Asked, Outcome, Verdict, command, suggestion};
use city_context::definitions_of;
use city_model::proposal::Step;
use city_model::{Change, Definition, DefinitionKind, EntityId, Name, Permit, Rejected};
use city_ngsi_ld::{TermMap, plain};
use http::{Method, StatusCode};
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

mod rules;

use rules::{add_rule, list_rules, remove_rule, test_rule};

/// Suggestions or commands in one list, unless it is said otherwise, and at most.
const LIST: usize = 100;
pub const LIST_MAX: usize = 1_000;

#[must_use]
pub fn operations() -> Vec<Operation<Arc<City>>> {
    let (door, ours) = ("loop", "docs/reference/loop.md");
    let (suggestions, suggestion) = ("/ops/v1/suggestions", "/ops/v1/suggestions/{suggestionId}");
    let (approve, alter) = ("/ops/v1/suggestions/{suggestionId}/approve", "/ops/v1/suggestions/{suggestionId}/alter");
    let reject = "/ops/v1/suggestions/{suggestionId}/reject";
    let (acknowledged, resolved) =
        ("/ops/v1/commands/{commandId}/acknowledgement", "/ops/v1/commands/{commandId}/resolution");
    let revoked = "/ops/v1/commands/{commandId}/revoke";
    let (rules, rule) = ("/ops/v1/rules", "/ops/v1/rules/{ruleId}");
    let (actuators, actuator) = ("/ops/v1/actuators", "/ops/v1/actuators/{type}/{attrId}");
    let (read, decide, operate, administer) = (Effect::Read, Effect::Decide, Effect::Operate, Effect::Administer);
    vec![
        Operation::new(door, ours, "list_suggestions", Method::GET, suggestions, read, list_suggestions),
        Operation::new(door, ours, "get_suggestion_record", Method::GET, suggestion, read, get_suggestion_record),
        Operation::new(door, ours, "approve_suggestion", Method::POST, approve, decide, approve_suggestion),
        Operation::new(door, ours, "alter_suggestion", Method::POST, alter, decide, alter_suggestion),
        Operation::new(door, ours, "reject_suggestion", Method::POST, reject, decide, reject_suggestion),
        Operation::new(door, ours, "list_commands", Method::GET, "/ops/v1/commands", read, list_commands),
        Operation::new(
            door,
            ours,
            "acknowledge_command",
            Method::POST,
            acknowledged,
            Effect::Write,
            acknowledge_command,
        ),
        Operation::new(door, ours, "resolve_command", Method::POST, resolved, decide, resolve_command),
        Operation::new(door, ours, "revoke_command", Method::POST, revoked, decide, revoke_command),
        Operation::new(door, ours, "add_rule", Method::POST, rules, operate, add_rule),
        Operation::new(door, ours, "list_rules", Method::GET, rules, operate, list_rules),
        Operation::new(door, ours, "remove_rule", Method::DELETE, rule, operate, remove_rule),
        Operation::new(door, ours, "test_rule", Method::POST, "/ops/v1/rules/test", operate, test_rule),
        Operation::new(door, ours, "add_actuator", Method::POST, actuators, administer, add_actuator),
        Operation::new(door, ours, "list_actuators", Method::GET, actuators, administer, list_actuators),
        Operation::new(door, ours, "remove_actuator", Method::DELETE, actuator, administer, remove_actuator),
    ]
}

impl From<control::Error> for Problem {
    fn from(error: control::Error) -> Self {
        use control::Error;
        let (code, said) = (error.code(), error.to_string());
        let said = said.strip_prefix(code).map(|said| said.trim_start().to_owned()).unwrap_or(said);
        match error {
            Error::Context(error) => error.into(),
            Error::Rejected(rejected) => rejected.into(),
            Error::Store(error) => Self::internal(code, &error),
            Error::NotFound { .. } => Self::new(Kind::ResourceNotFound, code, said),
            Error::Asked(_) | Error::NotCommandable { .. } => Self::new(Kind::BadRequestData, code, said),
            Error::Decided { .. } | Error::TooLate { .. } | Error::SamePerson { .. } | Error::WrongState { .. } => {
                Self::plain(StatusCode::CONFLICT, code, said)
            }
            Error::OutOfBounds(_) => Self::plain(StatusCode::UNPROCESSABLE_ENTITY, code, said),
            Error::TooMany(_) => {
                Self::plain(StatusCode::SERVICE_UNAVAILABLE, code, said).retry_after(std::time::Duration::from_secs(5))
            }
        }
    }
}

impl From<city_insight::Error> for Problem {
    fn from(error: city_insight::Error) -> Self {
        match error {
            city_insight::Error::Rule(wrong) => Self::new(Kind::BadRequestData, "INS-005", wrong.to_string()),
            city_insight::Error::Context(error) => error.into(),
            city_insight::Error::History(error) => error.into(),
            city_insight::Error::Evaluation(why) => {
                Self::new(Kind::BadRequestData, "INS-008", format!("The rule cannot be evaluated: {why}"))
            }
            error => Self::internal("INS-001", &error),
        }
    }
}

fn body<'b, T: Deserialize<'b>>(caller: &Caller, bytes: &'b [u8]) -> Result<T, Problem> {
    content_type(&caller.headers, &[MediaType::Json])?;
    serde_json::from_slice(bytes).map_err(|error| {
        let detail = format!("The body is not as docs/reference/loop.md says: {error}");
        Problem::new(Kind::BadRequestData, "NLD-002", detail)
    })
}

fn id(path: &PathParameters, name: &'static str) -> Result<EntityId, Problem> {
    Ok(EntityId::parse(path.get(name)?)?)
}

fn asked<'p>(parameters: &'p Parameters, known: &dyn Fn(&str) -> bool, all: &str) -> Result<Asked<'p>, Problem> {
    let status = parameters.find("status");
    if let Some(status) = status.filter(|status| !known(status)) {
        let detail = format!("status: there is no \"{status}\"; there are {all}.");
        return Err(Problem::new(Kind::BadRequestData, "NLD-002", detail));
    }
    let limit = match parameters.find("limit").map(str::parse::<usize>) {
        None => LIST,
        Some(Ok(limit)) if (1..=LIST_MAX).contains(&limit) => limit,
        Some(_) => {
            let detail = format!("limit: it must be a whole number from 1 to {LIST_MAX}.");
            return Err(Problem::new(Kind::BadRequestData, "NLD-002", detail));
        }
    };
    Ok(Asked { status, limit })
}

fn short(terms: &TermMap) -> impl Fn(&Name) -> String {
    |name| terms.compact(name).into_owned()
}

async fn list_suggestions(
    State(city): State<Arc<City>>,
    caller: Caller,
    parameters: Parameters,
) -> Result<Json<Value>, Problem> {
    let (permit, terms) = reading(&city, &caller).await?;
    parameters.only(&["status", "limit", "local"])?;
    let all = suggestion::Status::ALL.map(suggestion::Status::as_str).join(", ");
    let asked = asked(&parameters, &|status| suggestion::Status::parse(status).is_some(), &all)?;
    let found = city.read(|| city.control.suggestions(&permit, asked)).await?;
    let shown: Vec<Value> = found
        .iter()
        .map(|one| {
            let mut shown = one.shown(&short(&terms));
            if let Some(location) = &one.location {
                shown["location"] = plain::geometry(location);
            }
            shown
        })
        .collect();
    Ok(Json(json!({"suggestions": shown, "now": city.now().to_string()})))
}

async fn get_suggestion_record(
    State(city): State<Arc<City>>,
    caller: Caller,
    path: PathParameters,
    _: NoParameters,
) -> Result<Json<Value>, Problem> {
    let (permit, terms) = reading(&city, &caller).await?;
    record(&city, &permit, &id(&path, "suggestionId")?, &terms)
}

fn record(city: &City, permit: &Permit, id: &EntityId, terms: &TermMap) -> Result<Json<Value>, Problem> {
    Ok(Json(tokio::task::block_in_place(|| city.control.record(permit, id, &short(terms)))?))
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct DecisionBody {
    #[serde(default)]
    reason: Option<String>,
    #[serde(default)]
    proposes: Option<Vec<StepBody>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct StepBody {
    entity: String,
    attribute: String,
    value: Value,
}

async fn approve_suggestion(
    State(city): State<Arc<City>>,
    caller: Caller,
    path: PathParameters,
    _: NoParameters,
    WholeBody(bytes): WholeBody,
) -> Result<Json<Value>, Problem> {
    // Who just approves need not say anything.
    let said: DecisionBody = if bytes.is_empty() { DecisionBody::default() } else { body(&caller, &bytes)? };
    if said.proposes.is_some() {
        let detail = "proposes: who approves leaves the steps as they are; alter changes them.";
        return Err(Problem::new(Kind::BadRequestData, "NLD-002", detail));
    }
    decide(&city, &caller, &path, &|_| Ok(Verdict::Approve), said.reason.as_deref()).await
}

async fn alter_suggestion(
    State(city): State<Arc<City>>,
    caller: Caller,
    path: PathParameters,
    _: NoParameters,
    WholeBody(bytes): WholeBody,
) -> Result<Json<Value>, Problem> {
    let said: DecisionBody = body(&caller, &bytes)?;
    let steps = said.proposes.unwrap_or_default();
    let verdict = |terms: &TermMap| {
        let steps = steps.iter().map(|step| {
            let (target, attribute) = (EntityId::parse(&step.entity)?, terms.expand(&step.attribute));
            Ok(Step { target, attribute, value: plain::value(&step.value) })
        });
        Ok(Verdict::Alter(steps.collect::<Result<_, Problem>>()?))
    };
    decide(&city, &caller, &path, &verdict, said.reason.as_deref()).await
}

async fn reject_suggestion(
    State(city): State<Arc<City>>,
    caller: Caller,
    path: PathParameters,
    _: NoParameters,
    WholeBody(bytes): WholeBody,
) -> Result<Json<Value>, Problem> {
    let said: DecisionBody = body(&caller, &bytes)?;
    decide(&city, &caller, &path, &|_| Ok(Verdict::Reject), said.reason.as_deref()).await
}

async fn decide(
    city: &City,
    caller: &Caller,
    path: &PathParameters,
    verdict: &(dyn Fn(&TermMap) -> Result<Verdict, Problem> + Send + Sync),
    reason: Option<&str>,
) -> Result<Json<Value>, Problem> {
    let id = id(path, "suggestionId")?;
    let (permit, terms) = reading(city, caller).await?;
    let verdict = verdict(&terms)?;
    tokio::task::block_in_place(|| city.control.decide(&permit, &id, &verdict, reason))?;
    record(city, &permit, &id, &terms)
}

async fn list_commands(
    State(city): State<Arc<City>>,
    caller: Caller,
    parameters: Parameters,
) -> Result<Json<Value>, Problem> {
    let (permit, terms) = reading(&city, &caller).await?;
    parameters.only(&["status", "limit", "local"])?;
    let all = command::Status::ALL.map(command::Status::as_str).join(", ");
    let asked = asked(&parameters, &|status| command::Status::parse(status).is_some(), &all)?;
    let found = city.read(|| city.control.commands_of(&permit, asked)).await?;
    let shown: Vec<Value> = found.iter().map(|one| one.shown(&short(&terms))).collect();
    Ok(Json(json!({"commands": shown, "now": city.now().to_string()})))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OutcomeBody {
    outcome: String,
    #[serde(default)]
    detail: Option<String>,
    #[serde(default)]
    reason: Option<String>,
}

fn outcome(text: &str) -> Result<Outcome, Problem> {
    Outcome::parse(text).ok_or_else(|| {
        let detail = format!("outcome: \"{text}\" is neither done nor refused.");
        Problem::new(Kind::BadRequestData, "NLD-002", detail)
    })
}

async fn acknowledge_command(
    State(city): State<Arc<City>>,
    caller: Caller,
    path: PathParameters,
    _: NoParameters,
    WholeBody(bytes): WholeBody,
) -> Result<StatusCode, Problem> {
    let said: OutcomeBody = body(&caller, &bytes)?;
    let (id, outcome) = (id(&path, "commandId")?, outcome(&said.outcome)?);
    let detail = said.detail.or(said.reason);
    tokio::task::block_in_place(|| city.control.acknowledge(&caller.permit, &id, outcome, detail.as_deref()))?;
    Ok(StatusCode::NO_CONTENT)
}

async fn resolve_command(
    State(city): State<Arc<City>>,
    caller: Caller,
    path: PathParameters,
    _: NoParameters,
    WholeBody(bytes): WholeBody,
) -> Result<StatusCode, Problem> {
    let said: OutcomeBody = body(&caller, &bytes)?;
    let (id, outcome) = (id(&path, "commandId")?, outcome(&said.outcome)?);
    tokio::task::block_in_place(|| city.control.resolve(&caller.permit, &id, outcome, said.reason.as_deref()))?;
    Ok(StatusCode::NO_CONTENT)
}

async fn revoke_command(
    State(city): State<Arc<City>>,
    caller: Caller,
    path: PathParameters,
    _: NoParameters,
    WholeBody(bytes): WholeBody,
) -> Result<StatusCode, Problem> {
    let said: DecisionBody = body(&caller, &bytes)?;
    let id = id(&path, "commandId")?;
    tokio::task::block_in_place(|| city.control.revoke(&caller.permit, &id, said.reason.as_deref()))?;
    Ok(StatusCode::NO_CONTENT)
}

async fn define(city: &City, permit: &Permit, change: Change) -> Result<(), Problem> {
    for result in city.context.apply(permit, vec![change], cause("loop"), Vec::new()).await? {
        result?;
    }
    Ok(())
}

async fn add_actuator(
    State(city): State<Arc<City>>,
    caller: Caller,
    _: NoParameters,
    WholeBody(bytes): WholeBody,
) -> Result<Response, Problem> {
    let mut actuator: Actuator = body(&caller, &bytes)?;
    let (permit, terms) = reading(&city, &caller).await?;
    actuator.kind = terms.expand(&actuator.kind).as_str().into();
    actuator.attribute = terms.expand(&actuator.attribute).as_str().into();
    actuator.check().map_err(|why| Problem::new(Kind::BadRequestData, "NLD-002", why))?;
    if actuator.device().is_none() {
        let checked = city.outbound.check(&actuator.endpoint);
        checked.map_err(|error| Problem::new(Kind::BadRequestData, error.code(), format!("endpoint: {error}")))?;
    }
    if is_subscribed(&city.context, &actuator.endpoint) {
        let detail = "endpoint: a subscription posts there, and where commands go nothing else may. Delete the subscription, or give the machine an endpoint of its own.";
        return Err(Problem::new(Kind::BadRequestData, "NLD-010", detail));
    }
    let id: Box<str> = actuator.id().into();
    let written = serde_json::to_vec(&actuator).map_err(|error| Problem::internal("ACT-001", &error))?;
    let known = city.context.find_definition(&permit, DefinitionKind::Actuator, &id)?.is_some();
    let definition = Definition { kind: DefinitionKind::Actuator, id, body: written.into(), create: !known };
    define(&city, &permit, Change::Define(definition)).await?;
    city.action.apart().learn(&city.context);
    let status = if known { StatusCode::OK } else { StatusCode::CREATED };
    Ok((status, Json(shown_actuator(&actuator, &terms)?)).into_response())
}

fn shown_actuator(actuator: &Actuator, terms: &TermMap) -> Result<Value, Problem> {
    let mut shown = serde_json::to_value(actuator).map_err(|error| Problem::internal("ACT-001", &error))?;
    for member in ["type", "attribute"] {
        let full = Name::from_stored(shown[member].as_str().unwrap_or_default().into());
        shown[member] = terms.compact(&full).into();
    }
    Ok(shown)
}

async fn list_actuators(
    State(city): State<Arc<City>>,
    caller: Caller,
    _: NoParameters,
) -> Result<Json<Value>, Problem> {
    let (permit, terms) = reading(&city, &caller).await?;
    let space = city.context.tenant(&permit)?;
    let actuators = city.control.actuators(&space);
    let shown = actuators.iter().map(|actuator| shown_actuator(actuator, &terms));
    Ok(Json(json!({"actuators": shown.collect::<Result<Vec<Value>, Problem>>()?})))
}

async fn remove_actuator(
    State(city): State<Arc<City>>,
    caller: Caller,
    path: PathParameters,
    _: NoParameters,
) -> Result<StatusCode, Problem> {
    let (permit, terms) = reading(&city, &caller).await?;
    let (kind, attribute) = (terms.expand(path.get("type")?), terms.expand(path.get("attrId")?));
    let id: Box<str> = control::actuator::actuator_id(kind.as_str(), attribute.as_str()).into();
    if !definitions_of(&*city.context.tenant(&permit)?, DefinitionKind::Actuator).iter().any(|(own, _)| *own == id) {
        return Err(Rejected::DefinitionNotFound { what: DefinitionKind::Actuator.noun(), id }.into());
    }
    define(&city, &permit, Change::Undefine { kind: DefinitionKind::Actuator, id }).await?;
    city.action.apart().learn(&city.context);
    Ok(StatusCode::NO_CONTENT)
}
