//! Subscriptions (clauses 6.10 and 6.11).

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use city_action::{SubscriptionKey, parse_stored};
use city_model::name::is_uri;
use city_model::subscription::DeliveryReport;
use city_model::{Change, Definition, DefinitionKind, Permit, Rejected, Right, Subscription};
use city_ngsi_ld::subscription::{self, parse_subscription, render_subscription, render_subscriptions};
use http::StatusCode;
use http::header::HeaderValue;

use serde_json::Value;

use super::attributes::options;
use super::entities::apply_one;
use super::query::{add_page_links, parse_page};
use super::request::{Ask, RESULTS_COUNT, resolve};
use crate::body::WholeBody;
use crate::caller::Caller;
use crate::city::City;
use crate::parameters::{NoParameters, Parameters, PathParameters};
use crate::problem::{Kind, Problem};

/// Implements 6.10.3.1 (5.8.1).
pub async fn create_subscription(
    State(city): State<Arc<City>>,
    caller: Caller,
    _: NoParameters,
    WholeBody(body): WholeBody,
) -> Result<Response, Problem> {
    let ask = Ask::with_body(&city, &caller, &body, false).await?;
    let new_id = format!("urn:ngsi-ld:Subscription:{}", uuid::Uuid::new_v4());
    let subscription = parse_subscription(&body, &ask.terms, &new_id, city.now(), Some(ask.permit.owner()))?;
    check_endpoint(&city, &subscription)?;
    check_context(&city, &subscription).await?;
    let id = subscription.id.clone();
    apply_one(&city, &ask, define(&subscription, true)).await?;
    Ok(ask.created("subscriptions", &id))
}

fn define(subscription: &Subscription, create: bool) -> Change {
    let body = subscription::stored(subscription).as_bytes().into();
    Change::Define(Definition { kind: DefinitionKind::Subscription, id: subscription.id.clone(), body, create })
}

/// Says at once what a delivery would say later.
fn check_endpoint(city: &City, subscription: &Subscription) -> Result<(), Problem> {
    let uri = &subscription.notification.endpoint.uri;
    let refused =
        |why: String| Err(Problem::new(Kind::BadRequestData, "NLD-010", format!("notification.endpoint.uri: {why}")));
    if city.action.apart().holds(uri) {
        return refused("it is an actuator's, where only decided commands go. Name another endpoint.".to_owned());
    }
    city.outbound.check(uri).or_else(|error| refused(error.to_string()))
}

fn subscription_id(path: &PathParameters) -> Result<&str, Problem> {
    let id = path.get("subscriptionId")?;
    match is_uri(id) {
        true => Ok(id),
        false => {
            let detail = format!("\"{id}\" is not a URI, as the id of a subscription is.");
            Err(Problem::new(Kind::BadRequestData, "NLD-002", detail))
        }
    }
}

/// The @context for its notifications must be there when it is accepted (clause 5.8.1).
async fn check_context(city: &City, subscription: &Subscription) -> Result<(), Problem> {
    resolve(city, &subscription::context_of(subscription)?).await.map(drop)
}

fn stored_one(city: &City, ask: &Ask, id: &str) -> Result<Subscription, Problem> {
    let body = city.context.find_definition(&ask.permit, DefinitionKind::Subscription, id)?;
    let missing = || Rejected::DefinitionNotFound { what: DefinitionKind::Subscription.noun(), id: id.into() };
    let subscription = parse_stored(&body.ok_or_else(missing)?)?;
    if !is_shown(&ask.permit, &subscription) {
        return Err(missing().into());
    }
    Ok(subscription)
}

/// Whoever operates the city sees all subscriptions, everybody else their own.
pub fn is_shown(permit: &Permit, subscription: &Subscription) -> bool {
    permit.has(Right::Operate) || is_own(permit, subscription)
}

/// What was made before there were identities is the local operator's.
fn is_own(permit: &Permit, subscription: &Subscription) -> bool {
    let owner = subscription.owner.as_ref().map_or(city_trust::LOCAL_OPERATOR, |owner| &owner.who);
    *owner == *permit.who()
}

/// As others may see it: without the headers that its receiver is sent, which may hold secrets.
fn for_eyes_of(permit: &Permit, subscription: Subscription) -> Result<Subscription, Problem> {
    if is_own(permit, &subscription) {
        return Ok(subscription);
    }
    let mut document: Value = serde_json::from_str(subscription::stored(&subscription))
        .map_err(|error| Problem::internal("ACT-003", &error))?;
    if let Some(endpoint) = document["subscription"]["notification"]["endpoint"].as_object_mut() {
        endpoint.remove("receiverInfo");
    }
    Ok(parse_stored(document.to_string().as_bytes())?)
}

/// A subscription acts for whoever made it: others may pause it, and no more.
fn may_update(permit: &Permit, subscription: &Subscription, patch: &[u8]) -> Result<(), Problem> {
    let only_pauses = || {
        let patch: Value = serde_json::from_slice(patch).unwrap_or_default();
        let harmless = |key: &String| ["id", "type", "@id", "@type", "@context", "isActive"].contains(&key.as_str());
        patch.as_object().is_some_and(|members| members.keys().all(harmless))
    };
    if is_own(permit, subscription) || only_pauses() {
        return Ok(());
    }
    let detail = "This subscription is another's, for whom it tells what they may read. You may pause it (isActive) or delete it.";
    Err(Problem::plain(StatusCode::FORBIDDEN, "CTX-014", detail))
}

/// Of one that the matcher has not seen yet, nothing was sent.
fn report(city: &City, ask: &Ask, id: &str) -> Result<DeliveryReport, Problem> {
    let tenant = city.context.tenant(&ask.permit)?.number;
    Ok(city.action.report(&SubscriptionKey { tenant, id: id.into() }).unwrap_or_default())
}

fn sys_attrs(parameters: &Parameters) -> bool {
    options(parameters).any(|word| word == "sysAttrs")
}

/// Implements 6.11.3.1 (5.8.3).
pub async fn retrieve_subscription(
    State(city): State<Arc<City>>,
    caller: Caller,
    path: PathParameters,
    parameters: Parameters,
) -> Result<Response, Problem> {
    parameters.only(&["options", "format"])?;
    let ask = Ask::reading(&city, &caller, false).await?;
    let id = subscription_id(&path)?;
    let found = for_eyes_of(&ask.permit, stored_one(&city, &ask, id)?)?;
    let report = report(&city, &ask, id)?;
    let mut body = Vec::with_capacity(1_024);
    let (sys_attrs, embed) = (sys_attrs(&parameters), ask.embeds_context());
    render_subscription(&found, Some(&report), city.now(), sys_attrs, embed, &ask.terms, &mut body)?;
    Ok(ask.answer(StatusCode::OK, body))
}

/// Implements 6.10.3.2 (5.8.4).
pub async fn query_subscriptions(
    State(city): State<Arc<City>>,
    caller: Caller,
    parameters: Parameters,
) -> Result<Response, Problem> {
    parameters.only(&["limit", "offset", "count", "options", "format"])?;
    let ask = Ask::reading(&city, &caller, false).await?;
    let page = parse_page(&parameters)?;
    let all = city.context.list_definitions(&ask.permit, DefinitionKind::Subscription)?;
    let mut own = Vec::new();
    for (_, stored) in &all {
        let subscription = parse_stored(stored)?;
        if is_shown(&ask.permit, &subscription) {
            own.push(subscription);
        }
    }
    let (count, more) = (own.len(), own.len() > page.offset.saturating_add(page.limit));
    let mut shown = Vec::new();
    for subscription in own.into_iter().skip(page.offset).take(page.limit) {
        let report = report(&city, &ask, &subscription.id)?;
        shown.push((for_eyes_of(&ask.permit, subscription)?, report));
    }
    let mut body = Vec::with_capacity(1_024);
    render_subscriptions(
        shown.iter().map(|(subscription, report)| (subscription, Some(report))),
        city.now(),
        sys_attrs(&parameters),
        ask.embeds_context(),
        &ask.terms,
        &mut body,
    )?;
    let mut response = ask.answer(StatusCode::OK, body);
    if page.count {
        response.headers_mut().insert(RESULTS_COUNT, HeaderValue::from(count));
    }
    add_page_links(&mut response, &ask, ("/ngsi-ld/v1/subscriptions", Some(&parameters)), page, more);
    Ok(response)
}

/// Implements 6.11.3.2 (5.8.2).
pub async fn update_subscription(
    State(city): State<Arc<City>>,
    caller: Caller,
    path: PathParameters,
    _: NoParameters,
    WholeBody(body): WholeBody,
) -> Result<Response, Problem> {
    let ask = Ask::with_body(&city, &caller, &body, false).await?;
    let stored = stored_one(&city, &ask, subscription_id(&path)?)?;
    may_update(&ask.permit, &stored, &body)?;
    let updated = subscription::update_subscription(&stored, &body, &ask.terms, city.now())?;
    check_endpoint(&city, &updated)?;
    if updated.document != stored.document {
        check_context(&city, &updated).await?;
    }
    apply_one(&city, &ask, define(&updated, false)).await?;
    Ok(ask.empty(StatusCode::NO_CONTENT))
}

/// Implements 6.11.3.3 (5.8.5).
pub async fn delete_subscription(
    State(city): State<Arc<City>>,
    caller: Caller,
    path: PathParameters,
    _: NoParameters,
) -> Result<Response, Problem> {
    let ask = Ask::reading(&city, &caller, false).await?;
    let id = stored_one(&city, &ask, subscription_id(&path)?)?.id;
    apply_one(&city, &ask, Change::Undefine { kind: DefinitionKind::Subscription, id }).await?;
    Ok(ask.empty(StatusCode::NO_CONTENT))
}
