//! The matcher: one cursor over the journal; per match one row in the outbox.
//!
//! Rows and cursor are written in one batch, so that after a crash each change was matched once.
//! Changes of one request that match one subscription share a row, and hence a notification.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use city_context::{AsOf, Context, TenantSpace, definitions_of};
use city_model::subscription::DeliveryReport;
use city_model::{DefinitionKind, Name, PermitSource, Subscription};
use city_store::codec::NameNumbers;
use city_store::commit::MATCHER_CURSOR_KEY;
use city_store::journal::{Published, Read};
use city_store::record::RecordKind;
use city_store::{Space, ViewBatch};

use crate::Error;
use crate::delivery::Deliveries;
use crate::matching::{Happening, SubscriptionIndex};
use crate::outbox::{MatchedChange, Row, SubscriptionKey, forget, put_report, put_row, reports};

/// Most records that are matched into one batch.
const BATCH_RECORDS: usize = 2_000;
/// Most entities in one notification; a larger request is told in several.
pub const NOTIFICATION_ENTITIES_MAX: usize = 1_000;
const IDLE: Duration = Duration::from_millis(500);

pub struct Matcher {
    context: Arc<Context>,
    deliveries: Arc<Deliveries>,
    permits: Arc<dyn PermitSource>,
    subscriptions: HashMap<u32, SubscriptionIndex>,
    cursor: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
}

/// Rows of the request that is being matched.
type Open = HashMap<SubscriptionKey, Row>;

impl Matcher {
    pub fn open(
        context: Arc<Context>,
        deliveries: Arc<Deliveries>,
        permits: Arc<dyn PermitSource>,
        cursor: Arc<AtomicU64>,
        stop: Arc<AtomicBool>,
    ) -> Result<Self, Error> {
        let stored = context.view().get(Space::Meta, MATCHER_CURSOR_KEY)?;
        let stored = stored.and_then(|bytes| bytes[..].try_into().ok()).map_or(0, u64::from_le_bytes);
        cursor.store(stored, Ordering::Release);
        let mut matcher = Self { context, deliveries, permits, subscriptions: HashMap::new(), cursor, stop };
        // Subscriptions that the matcher has not seen yet lie behind its cursor and come from there.
        for (key, report) in reports(matcher.context.view())? {
            let Some(space) = matcher.context.tenants().by_number(key.tenant) else { continue };
            let definitions = definitions_of(&space, DefinitionKind::Subscription);
            if let Some((_, body)) = definitions.iter().find(|(id, _)| *id == key.id) {
                matcher.learn(&key, body, report)?;
            }
        }
        Ok(matcher)
    }

    fn learn(&mut self, key: &SubscriptionKey, body: &[u8], report: DeliveryReport) -> Result<(), Error> {
        let subscription = Arc::new(crate::parse_stored(body)?);
        self.deliveries.learn(key.clone(), Arc::clone(&subscription), report);
        self.subscriptions.entry(key.tenant).or_default().insert(subscription);
        Ok(())
    }

    pub fn run(mut self) {
        while !self.stop.load(Ordering::Acquire) {
            let cursor = self.cursor.load(Ordering::Acquire);
            if !self.context.journal().wait_after(cursor, IDLE) {
                if self.context.journal().is_closed() {
                    return;
                }
                continue;
            }
            if !self.context.view().has_room() {
                std::thread::sleep(IDLE);
                continue;
            }
            if let Err(error) = self.step(cursor) {
                tracing::error!(%error, "matching stopped; no notifications leave until the server is restarted");
                self.deliveries.fail(&error.to_string());
                return;
            }
        }
    }

    fn step(&mut self, cursor: u64) -> Result<(), Error> {
        let mut records = match self.context.journal().read(cursor + 1, BATCH_RECORDS)? {
            Read::Records(records) => records,
            Read::Lost { oldest } => return self.lost(cursor, oldest),
        };
        // A request is matched as a whole: the rest of the last one may still lie ahead.
        if records.len() == BATCH_RECORDS {
            let last = records.last().map(|published| published.record.cause.request);
            let whole = records.iter().rposition(|published| Some(published.record.cause.request) != last);
            match whole {
                Some(at) => records.truncate(at + 1),
                None => self.read_rest(&mut records)?,
            }
        }
        let Some(mut last) = records.last().map(|published| published.lsn) else { return Ok(()) };
        let mut batch = ViewBatch::default();
        let mut lost = false;
        let mut woken = Vec::new();
        let mut open = Open::new();
        let mut request = None;
        for published in &records {
            let this = (published.record.tenant, published.record.cause.request);
            if request != Some(this) {
                self.close(&mut open, &mut batch, &mut woken);
                request = Some(this);
            }
            match published.record.kind {
                RecordKind::State if !self.match_one(published, &mut open, &mut batch, &mut woken)? => {
                    // The journal was cut while this batch was matched: the rest of it is lost with what is cut.
                    (last, lost) = (published.lsn - 1, true);
                    break;
                }
                RecordKind::State => {}
                RecordKind::Definition => self.define(published, &mut batch)?,
                RecordKind::Past | RecordKind::Also | RecordKind::Note => {}
            }
        }
        self.close(&mut open, &mut batch, &mut woken);
        self.advance(batch, last)?;
        self.deliveries.wake(woken);
        if lost { self.lost(last, self.context.journal().oldest()) } else { Ok(()) }
    }

    fn read_rest(&self, records: &mut Vec<Published>) -> Result<(), Error> {
        let request = records.last().map(|published| published.record.cause.request);
        while let Some(last) = records.last().map(|published| published.lsn) {
            let Read::Records(more) = self.context.journal().read(last + 1, BATCH_RECORDS)? else { break };
            let whole = more.len();
            let same = more.into_iter().take_while(|published| Some(published.record.cause.request) == request);
            let before = records.len();
            records.extend(same);
            if records.len() - before < whole || whole == 0 {
                break;
            }
        }
        Ok(())
    }

    fn advance(&self, mut batch: ViewBatch, cursor: u64) -> Result<(), Error> {
        batch.put(Space::Meta, MATCHER_CURSOR_KEY, &cursor.to_le_bytes());
        self.context.view().write(batch)?;
        self.cursor.store(cursor, Ordering::Release);
        Ok(())
    }

    /// `false` when the journal no longer holds what it takes.
    fn match_one(
        &mut self,
        published: &Published,
        open: &mut Open,
        batch: &mut ViewBatch,
        woken: &mut Vec<(SubscriptionKey, u64)>,
    ) -> Result<bool, Error> {
        let record = &published.record;
        let Some(index) = self.subscriptions.get(&record.tenant).filter(|index| !index.is_empty()) else {
            return Ok(true);
        };
        let Some(space) = self.context.tenants().by_number(record.tenant) else { return Ok(true) };
        let entity = match self.context.image_of(&space, published)? {
            AsOf::Entity(Some(entity)) => entity,
            AsOf::Entity(None) => return Ok(true),
            AsOf::Forgotten if published.lsn < self.context.journal().oldest() => return Ok(false),
            AsOf::Forgotten => {
                tracing::error!(
                    lsn = published.lsn,
                    "a change could not be matched: what it changed is no longer kept"
                );
                metrics::counter!("renkei_follower_lost_total", "follower" => "matcher").increment(1);
                return Ok(true);
            }
        };
        let touched = touched_names(&space, record)?;
        let identity = record.identity.as_ref();
        // The order of changes may be ahead of the clock, where that was put back; what has expired is said by the clock.
        let happened_at = record.time.min(self.context.clock().now());
        let happening = Happening {
            entity: &entity,
            created: identity.is_some_and(|identity| identity.before.is_none()),
            deleted: identity.is_some_and(|identity| identity.after.is_none()),
            touched,
            time: happened_at,
        };
        let now = self.context.clock().now();
        let permit_of =
            |subscription: &Subscription| self.permits.permit_of(&space.name, subscription.owner.as_ref(), now);
        for (subscription, trigger) in index.matching(&happening, &permit_of) {
            metrics::counter!("renkei_matches_total").increment(1);
            let key = SubscriptionKey { tenant: record.tenant, id: subscription.id.clone() };
            let row = open.entry(key.clone()).or_insert_with(|| Row {
                seq: record.seq,
                matched_at: happened_at,
                changes: Vec::new(),
            });
            row.changes.push(MatchedChange { lsn: published.lsn, entity: record.entity, trigger });
            if row.changes.len() >= NOTIFICATION_ENTITIES_MAX
                && let Some(full) = open.remove(&key)
            {
                put_row(&key, &full, batch);
                woken.push((key, full.seq));
            }
        }
        Ok(true)
    }

    fn close(&self, open: &mut Open, batch: &mut ViewBatch, woken: &mut Vec<(SubscriptionKey, u64)>) {
        for (key, row) in open.drain() {
            put_row(&key, &row, batch);
            woken.push((key, row.seq));
        }
    }

    fn define(&mut self, published: &Published, batch: &mut ViewBatch) -> Result<(), Error> {
        let Some(definition) = &published.record.definition else { return Ok(()) };
        if definition.kind != DefinitionKind::Subscription {
            return Ok(());
        }
        let key = SubscriptionKey { tenant: published.record.tenant, id: definition.id.clone() };
        match &definition.change.after {
            Some(body) => {
                let report = self.deliveries.report(&key).unwrap_or_default();
                put_report(&key, &report, batch);
                self.learn(&key, body, report)?;
            }
            None => self.forget(&key, batch)?,
        }
        Ok(())
    }

    /// The journal no longer holds what was not matched yet: say so to each subscription, and go on. Which
    /// ones there are is taken from the state: some may have come, changed or gone within the gap.
    fn lost(&mut self, cursor: u64, oldest: u64) -> Result<(), Error> {
        tracing::error!(
            after = cursor,
            before = oldest,
            "the matcher lost these records: their notifications never leave"
        );
        metrics::counter!("renkei_follower_lost_total", "follower" => "matcher").increment(1);
        let mut batch = ViewBatch::default();
        let ahead = self.made_from(oldest)?;
        let mut there = HashSet::new();
        for space in self.context.tenants().list() {
            for (id, body) in definitions_of(&space, DefinitionKind::Subscription) {
                let key = SubscriptionKey { tenant: space.number, id };
                if !ahead.contains(&key) {
                    let report = self.deliveries.report(&key).unwrap_or_default();
                    self.learn(&key, &body, report)?;
                    self.deliveries.lost_range(&key, cursor + 1, oldest - 1, &mut batch);
                    there.insert(key);
                }
            }
        }
        for (key, _) in reports(self.context.view())? {
            if !there.contains(&key) {
                self.forget(&key, &mut batch)?;
            }
        }
        self.advance(batch, oldest - 1)
    }

    /// The subscriptions that were made by records that are still kept: they come from there.
    fn made_from(&self, oldest: u64) -> Result<HashSet<SubscriptionKey>, Error> {
        let mut made = HashSet::new();
        let mut from = oldest;
        while let Read::Records(records) = self.context.journal().read(from, BATCH_RECORDS)?
            && let Some(last) = records.last()
        {
            from = last.lsn + 1;
            for record in records.iter().map(|published| &published.record) {
                if let Some(definition) = &record.definition
                    && definition.kind == DefinitionKind::Subscription
                    && definition.change.before.is_none()
                {
                    made.insert(SubscriptionKey { tenant: record.tenant, id: definition.id.clone() });
                }
            }
        }
        Ok(made)
    }

    fn forget(&mut self, key: &SubscriptionKey, batch: &mut ViewBatch) -> Result<(), Error> {
        if let Some(index) = self.subscriptions.get_mut(&key.tenant) {
            index.remove(&key.id);
        }
        self.deliveries.forget(key);
        Ok(forget(self.context.view(), key, batch)?)
    }
}

fn touched_names(space: &TenantSpace, record: &city_store::Record) -> Result<Vec<(Name, bool, bool)>, Error> {
    record
        .touched
        .iter()
        .map(|touched| {
            let name = Name::from_stored(space.terms.name(touched.attribute)?);
            Ok((name, touched.change.before.is_some(), touched.change.after.is_some()))
        })
        .collect()
}
