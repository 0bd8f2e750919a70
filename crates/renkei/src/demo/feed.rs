//! From the simulated town into the city, the way every other change comes in: with a permit,
//! through apply.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use city_context::Page;
use city_model::query::EntitySelector;
use city_model::{Change, Definition, DefinitionKind, Entity, Permit, Query, TenantName, Time};
use city_ngsi_ld::query::{parse_names, parse_q, parse_type_expr};
use city_ngsi_ld::subscription::{parse_subscription, stored};
use city_ngsi_ld::{Format, Mode, RenderOptions, parse_entity, render_entities};
use city_serve::City;
use city_serve::city::cause;
use city_store::VirtualClock;
use city_trust::Asking;
use serde_json::Value;

use super::town::Town;

const ORIGIN: &str = "demo-town";
/// Documents in one request.
const BATCH: usize = 500;
/// How often the town moves, in our time.
const TICK: Duration = Duration::from_millis(100);

/// The town's own sensors are the local operator's.
pub fn permit(city: &City) -> Result<Permit> {
    let (tenant, purpose) = (TenantName::default_tenant(), Some("demonstration"));
    let asking = Asking { bearer: None, tenant: Some(&tenant), purpose, act: ORIGIN, from: None };
    Ok(city.trust.issue(asking, city.now())?)
}

fn parse(city: &City, document: &Value, mode: Mode) -> Result<Entity> {
    parse_entity(document.to_string().as_bytes(), &city.contexts.core(), mode).context("The town made a bad document")
}

async fn apply(city: &City, changes: Vec<Change>) -> Result<()> {
    for result in city.context.apply(&permit(city)?, changes, cause(ORIGIN), Vec::new()).await? {
        if let Err(rejected) = result {
            bail!("The city refused the town's document: {rejected}");
        }
    }
    Ok(())
}

/// Time of the last change of a town that was kept.
pub fn latest(city: &City) -> Result<Option<Time>> {
    let journal = city.context.journal();
    Ok(journal.find(journal.durable())?.map(|found| found.record.time))
}

/// Entities and their past, unless the folder already holds them.
pub async fn build(city: &City, town: &mut Town, past: Duration) -> Result<()> {
    let now = city.now();
    let is_new = city.context.tenants().is_empty();
    if is_new {
        let documents = town.entities();
        for chunk in documents.chunks(BATCH) {
            let entities = chunk.iter().map(|document| Ok(Change::Create(parse(city, document, Mode::Create)?)));
            apply(city, entities.collect::<Result<_>>()?).await?;
        }
        let from = now.plus_micros(-i64::try_from(past.as_micros())?);
        for chunk in town.history(from, now).chunks(50) {
            let pasts = chunk.iter().map(|document| {
                Ok(Change::Past { fragment: parse(city, document, Mode::Temporal)?, must_exist: false })
            });
            apply(city, pasts.collect::<Result<_>>()?).await?;
        }
    }
    step(city, town, now).await
}

async fn step(city: &City, town: &mut Town, now: Time) -> Result<()> {
    for readings in town.step(now) {
        for chunk in readings.fragments.chunks(BATCH) {
            let changes = chunk
                .iter()
                .map(|document| Ok(Change::Upsert { entity: parse(city, document, Mode::Create)?, update: true }));
            apply(city, changes.collect::<Result<_>>()?).await?;
        }
    }
    Ok(())
}

/// Moves the clock, and the town with it, until the end.
pub async fn live(city: &Arc<City>, mut town: Town, clock: &VirtualClock, speed: f64) -> Result<()> {
    let start = city.now();
    let started = Instant::now();
    loop {
        tokio::time::sleep(TICK).await;
        let micros = started.elapsed().as_secs_f64() * speed * 1e6;
        let now = start.plus_micros(micros as i64);
        clock.set(now);
        step(city, &mut town, now).await?;
    }
}

/// One thing as it is reported.
pub async fn upsert(city: &City, document: &Value) -> Result<()> {
    apply(city, vec![Change::Upsert { entity: parse(city, document, Mode::Create)?, update: true }]).await
}

/// Makes a definition, or puts it in the place of the one that a kept town has.
pub async fn define(city: &City, kind: DefinitionKind, id: &str, body: Vec<u8>) -> Result<()> {
    let known = city.context.find_definition(&permit(city)?, kind, id)?.is_some();
    let definition = Definition { kind, id: id.into(), body: body.into(), create: !known };
    apply(city, vec![Change::Define(definition)]).await
}

/// Makes a subscription, or leaves the one that a kept town has.
pub async fn define_subscription(city: &City, document: &Value) -> Result<()> {
    let text = document.to_string();
    let subscription =
        parse_subscription(text.as_bytes(), &city.contexts.core(), "", city.now(), Some(permit(city)?.owner()))?;
    let id = subscription.id.clone();
    define(city, DefinitionKind::Subscription, &id, stored(&subscription).as_bytes().to_vec()).await
}

fn query(city: &City, entity_type: &str, q: &str) -> Result<Query> {
    let terms = city.contexts.core();
    let types = Some(parse_type_expr(entity_type, &terms)?);
    Ok(Query {
        selectors: vec![EntitySelector { types, ..EntitySelector::default() }],
        filter: Some(parse_q(q, &terms)?),
        ..Query::default()
    })
}

pub fn count(city: &City, entity_type: &str, q: &str) -> Result<usize> {
    let page = Page { offset: 0, limit: 0, count: true };
    Ok(city.context.query(&permit(city)?, &query(city, entity_type, q)?, page)?.count.unwrap_or(0))
}

/// The first answers as they look through the API.
pub fn shown(city: &City, entity_type: &str, q: &str, attrs: &str, limit: usize) -> Result<String> {
    let terms = city.contexts.core();
    let page = Page { offset: 0, limit, count: false };
    let found = city.context.query(&permit(city)?, &query(city, entity_type, q)?, page)?;
    let options = RenderOptions {
        format: Format::Simplified,
        attrs: parse_names("attrs", attrs, &terms)?,
        ..RenderOptions::default()
    };
    let mut body = Vec::new();
    render_entities(found.entities.iter().map(AsRef::as_ref), &terms, &options, &mut body);
    Ok(String::from_utf8_lossy(&body).replace("},{", "},\n {"))
}
