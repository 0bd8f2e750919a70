//! Batches in, requests out, some of them beside each other: while the server syncs one batch it
//! reads the next. Two batches that concern the same entity never overlap, so that the later row wins.

use std::collections::HashSet;

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use city_ingest::{Batch, BatchEntity};
use serde_json::Value;
use tokio::task::JoinSet;

use crate::client::{Caller, detail};

/// Requests under way at once. More bring nothing: the server commits them one after the other.
const REQUESTS_AHEAD_MAX: usize = 4;

const UPSERT: &str = "/ngsi-ld/v1/entityOperations/upsert?options=update";
const TEMPORAL: &str = "/ngsi-ld/v1/temporal/entities";

/// What came of one request.
#[derive(Debug, Default)]
pub struct Sent {
    /// Rows that are in.
    pub applied: u64,
    /// Line (0 where it is not known), entity and reason of what the server refused.
    pub rejected: Vec<(u64, String, String)>,
    /// Rows refused along with those in `rejected`.
    pub rejected_beside: u64,
}

pub struct Sender {
    caller: Caller,
    media: &'static str,
    under_way: JoinSet<(Vec<String>, Result<Sent>)>,
    /// Entities in the requests under way.
    ids: HashSet<String>,
}

impl Sender {
    pub fn new(caller: Caller, has_context: bool) -> Self {
        let media = if has_context { "application/ld+json" } else { "application/json" };
        Self { caller, media, under_way: JoinSet::new(), ids: HashSet::new() }
    }

    /// Sends a batch as soon as there is room and nothing under way concerns its entities. What came
    /// of earlier ones goes to `take`.
    pub async fn send(&mut self, batch: Batch, mut take: impl FnMut(Sent) -> Result<()>) -> Result<()> {
        let ids = match &batch {
            Batch::Upsert { entities, .. } => entities.iter().map(|entity| entity.id.clone()).collect(),
            Batch::Temporal { id, .. } => vec![id.clone()],
        };
        while self.under_way.len() >= REQUESTS_AHEAD_MAX || ids.iter().any(|id| self.ids.contains(id)) {
            self.take_one(&mut take).await?;
        }
        self.ids.extend(ids.iter().cloned());
        let (caller, media) = (self.caller.clone(), self.media);
        self.under_way.spawn(async move {
            let sent = match batch {
                Batch::Upsert { json, entities } => upsert(&caller, json, media, &entities).await,
                Batch::Temporal { json, id, readings: _, rows } => temporal(&caller, json, media, id, rows).await,
            };
            (ids, sent)
        });
        Ok(())
    }

    /// Waits for all that is under way.
    pub async fn finish(&mut self, mut take: impl FnMut(Sent) -> Result<()>) -> Result<()> {
        while !self.under_way.is_empty() {
            self.take_one(&mut take).await?;
        }
        Ok(())
    }

    async fn take_one(&mut self, take: &mut impl FnMut(Sent) -> Result<()>) -> Result<()> {
        let Some(ended) = self.under_way.join_next().await else { return Ok(()) };
        let (ids, sent) = ended.context("A request broke off")?;
        for id in &ids {
            self.ids.remove(id);
        }
        take(sent?)
    }
}

async fn upsert(caller: &Caller, json: Vec<u8>, media: &'static str, entities: &[BatchEntity]) -> Result<Sent> {
    let answer = caller.post_patiently(UPSERT, Bytes::from(json), media).await?;
    match answer.status {
        201 | 204 => Ok(Sent { applied: entities.len() as u64, ..Sent::default() }),
        207 => {
            let result: Value = serde_json::from_slice(&answer.body).context("The server's answer is not JSON")?;
            let errors = result["errors"].as_array().map(Vec::as_slice).unwrap_or_default();
            let rejected = errors.iter().map(|error| {
                let id = error["entityId"].as_str().unwrap_or_default();
                let line = entities.iter().find(|entity| entity.id == id).map_or(0, |entity| entity.line);
                let why = error["error"]["detail"].as_str().unwrap_or("the server gave no reason");
                (line, id.to_owned(), why.to_owned())
            });
            let applied = entities.len().saturating_sub(errors.len()) as u64;
            Ok(Sent { applied, rejected: rejected.collect(), rejected_beside: 0 })
        }
        status => bail!("The server answered {status}: {}", detail(&answer)),
    }
}

async fn temporal(caller: &Caller, json: Vec<u8>, media: &'static str, id: String, rows: u64) -> Result<Sent> {
    let answer = caller.post_patiently(TEMPORAL, Bytes::from(json), media).await?;
    match answer.status {
        201 | 204 => Ok(Sent { applied: rows, ..Sent::default() }),
        400 => {
            let rejected = vec![(0, id, detail(&answer))];
            Ok(Sent { applied: 0, rejected, rejected_beside: rows.saturating_sub(1) })
        }
        status => bail!("The server answered {status}: {}", detail(&answer)),
    }
}
