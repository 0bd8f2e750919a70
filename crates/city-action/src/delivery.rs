//! Deliveries: rows of the outbox become notifications at their endpoints, in order per entity.
//!
//! Each subscription with something to send has a task of its own, so a dead or slow endpoint
//! delays nobody else. A row leaves the outbox when its notification was taken or given up; what
//! is given up becomes a dead letter. A repeat carries the same id.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use city_context::{AsOf, Context, TenantSpace};
use city_model::subscription::{DeliveryReport, Trigger};
use city_model::{Entity, PermitSource, Subscription, Time};
use city_ngsi_ld::context::{ContextStore, TermMap};
use city_ngsi_ld::subscription::{NotifiedEntity, context_of, render_notification, terms_of};
use city_outbound::Outbound;
use city_store::ViewBatch;
use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::sync::Notify;

use crate::apart::Apart;
use crate::join::join_all;
use crate::outbox::{
    DEAD_LETTERS_MAX, DeadLetter, MatchedChange, ROW_AGE_MICROS_MAX, ROWS_MAX, Row, SubscriptionKey, dead_letters,
    delete_dead_letter, delete_row, put_dead_letter, put_report, put_row, rows,
};
use crate::told::{Outcome, Prepared, Told};
use crate::{Error, notification_id};

/// Notifications of one subscription that are under way together; never two of one entity.
const IN_FLIGHT_MAX: usize = 16;
/// Entities of one subscription that are remembered as they were told last.
const LAST_TOLD_MAX: usize = 256;
/// Rows that a throttled subscription may put together into one notification.
const COALESCED_ROWS_MAX: usize = 10_000;
/// First pause after a failure; each further one is twice as long, up to the last.
const PAUSE_FIRST: Duration = Duration::from_millis(500);
const PAUSE_LAST: Duration = Duration::from_secs(60);
/// Pause where an endpoint took some of what was sent: it lives, and the others need not wait for what it did not take.
const PAUSE_ALIVE: Duration = Duration::from_millis(20);
mod send;

pub struct Deliveries {
    context: Arc<Context>,
    contexts: Arc<ContextStore>,
    outbound: Outbound,
    permits: Arc<dyn PermitSource>,
    apart: Arc<Apart>,
    runtime: Handle,
    lanes: Mutex<HashMap<SubscriptionKey, Arc<Lane>>>,
    failure: Mutex<Option<Box<str>>>,
}

/// One subscription on its way out.
struct Lane {
    key: SubscriptionKey,
    state: Mutex<LaneState>,
    woken: Notify,
}

struct LaneState {
    subscription: Arc<Subscription>,
    report: DeliveryReport,
    running: bool,
    forgotten: bool,
    failures_in_a_row: u32,
    coalesced: u64,
    /// Entities as they were told last, with the change that was told.
    last_told: HashMap<u32, (u64, Arc<Entity>)>,
    /// No row with a lower position waits.
    from_seq: u64,
}

impl Deliveries {
    pub fn new(
        context: Arc<Context>,
        contexts: Arc<ContextStore>,
        outbound: Outbound,
        permits: Arc<dyn PermitSource>,
        apart: Arc<Apart>,
        runtime: Handle,
    ) -> Self {
        let (lanes, failure) = (Mutex::new(HashMap::new()), Mutex::new(None));
        Self { context, contexts, outbound, permits, apart, runtime, lanes, failure }
    }

    /// Takes in a subscription as it stands now.
    pub fn learn(&self, key: SubscriptionKey, subscription: Arc<Subscription>, report: DeliveryReport) {
        let mut lanes = self.lanes.lock();
        if let Some(lane) = lanes.get(&key) {
            lane.state.lock().subscription = subscription;
            lane.woken.notify_one();
            return;
        }
        let state = LaneState {
            subscription,
            report,
            running: false,
            forgotten: false,
            failures_in_a_row: 0,
            coalesced: 0,
            last_told: HashMap::new(),
            from_seq: 0,
        };
        let lane = Lane { key: key.clone(), state: Mutex::new(state), woken: Notify::new() };
        lanes.insert(key, Arc::new(lane));
    }

    pub fn forget(&self, key: &SubscriptionKey) {
        if let Some(lane) = self.lanes.lock().remove(key) {
            lane.state.lock().forgotten = true;
            lane.woken.notify_one();
        }
    }

    pub fn report(&self, key: &SubscriptionKey) -> Option<DeliveryReport> {
        self.lanes.lock().get(key).map(|lane| lane.state.lock().report.clone())
    }

    pub fn fail(&self, why: &str) {
        *self.failure.lock() = Some(why.into());
    }

    pub fn failure(&self) -> Option<Box<str>> {
        self.failure.lock().clone()
    }

    /// Rows were added to these subscriptions.
    pub fn wake(self: &Arc<Self>, rows: Vec<(SubscriptionKey, u64)>) {
        let mut counts: HashMap<SubscriptionKey, u64> = HashMap::new();
        for (key, _) in rows {
            *counts.entry(key).or_default() += 1;
        }
        for (key, count) in counts {
            let Some(lane) = self.lanes.lock().get(&key).cloned() else { continue };
            lane.state.lock().report.waiting += count;
            self.start(lane);
        }
    }

    /// Starts the tasks of all subscriptions whose rows were waiting when the process ended.
    pub fn resume(self: &Arc<Self>) -> Result<(), Error> {
        let lanes: Vec<Arc<Lane>> = self.lanes.lock().values().cloned().collect();
        for lane in lanes {
            let waiting = rows(self.context.view(), &lane.key, 0, ROWS_MAX as usize)?.len() as u64;
            lane.state.lock().report.waiting = waiting;
            if waiting > 0 {
                self.start(lane);
            }
        }
        Ok(())
    }

    fn start(self: &Arc<Self>, lane: Arc<Lane>) {
        let mut state = lane.state.lock();
        if state.running {
            drop(state);
            lane.woken.notify_one();
            return;
        }
        state.running = true;
        drop(state);
        let deliveries = Arc::clone(self);
        self.runtime.spawn(async move { deliveries.run(lane).await });
    }

    async fn run(self: Arc<Self>, lane: Arc<Lane>) {
        loop {
            match self.step(&lane).await {
                Ok(true) => {}
                Ok(false) => {
                    let mut state = lane.state.lock();
                    // Under the lock that `wake` counts with: a row that came meanwhile is not left behind.
                    if state.forgotten || state.report.waiting == 0 {
                        state.running = false;
                        state.last_told = HashMap::new();
                        return;
                    }
                }
                Err(error) => {
                    tracing::error!(subscription = %lane.key.id, %error, "a delivery stopped; it is tried again");
                    lane.state.lock().failures_in_a_row += 1;
                    self.pause(&lane, None).await;
                }
            }
        }
    }

    /// One round; `false` when nothing waits.
    async fn step(&self, lane: &Lane) -> Result<bool, Error> {
        let (subscription, last, forgotten, counted, from_seq) = {
            let state = lane.state.lock();
            let report = &state.report;
            (Arc::clone(&state.subscription), report.last_notification, state.forgotten, report.waiting, state.from_seq)
        };
        if forgotten {
            return Ok(false);
        }
        // What was sent must be taken out of the outbox; without space it would be sent again.
        if !self.context.view().has_room() {
            tokio::time::sleep(PAUSE_FIRST).await;
            return Ok(true);
        }
        if let (Some(throttling), Some(last)) = (subscription.throttling_micros, last) {
            let since = self.now().as_micros() - last.as_micros();
            let wait = throttling - since;
            // A clock that was put back must not silence a subscriber until it has come round again.
            if wait > 0 && since >= 0 {
                // In slices: the clock may be virtual and run faster.
                let slice = Duration::from_micros(u64::try_from(wait).unwrap_or(0)).min(Duration::from_millis(100));
                tokio::time::sleep(slice).await;
                return Ok(true);
            }
        }
        let wanted = if subscription.throttling_micros.is_some() { COALESCED_ROWS_MAX } else { IN_FLIGHT_MAX };
        let waiting = rows(self.context.view(), &lane.key, from_seq, wanted)?;
        {
            let mut state = lane.state.lock();
            // Unless older rows were put back meanwhile.
            if state.from_seq == from_seq {
                state.from_seq = waiting.first().map_or(from_seq, |row| row.seq);
            }
        }
        if waiting.is_empty() {
            // Rows that were counted while this looked are not there yet for it, and still wait.
            let mut state = lane.state.lock();
            state.report.waiting = state.report.waiting.saturating_sub(counted);
            return Ok(false);
        }
        if self.give_up_old(lane, &waiting)? {
            return Ok(true);
        }
        if !subscription.active {
            self.give_up(lane, waiting, "the subscription was paused")?;
            return Ok(true);
        }
        if subscription.throttling_micros.is_some() {
            return self.send_coalesced(lane, &subscription, waiting).await;
        }
        // As many as touch different entities, so that each entity's changes stay in order.
        let mut entities = HashSet::new();
        let mut sent = Vec::new();
        for row in waiting {
            if row.changes.iter().any(|change| entities.contains(&change.entity)) {
                break;
            }
            entities.extend(row.changes.iter().map(|change| change.entity));
            sent.push(row);
        }
        let outcomes = self.send_all(lane, &subscription, &sent).await?;
        let notifications = sent.len();
        self.settle(lane, sent, outcomes, notifications).await
    }

    async fn send_all(&self, lane: &Lane, subscription: &Subscription, sent: &[Row]) -> Result<Vec<Outcome>, Error> {
        let terms = self.terms(subscription)?;
        let mut prepared = Vec::new();
        for row in sent {
            prepared.push(self.prepare(lane, subscription, &terms, row.seq, &row.changes)?);
        }
        let mut tasks = Vec::new();
        for body in prepared {
            tasks.push(async { self.send(subscription, &terms, lane, body).await });
        }
        Ok(join_all(tasks).await)
    }

    /// What waits becomes one notification with the last state of each entity; entities beyond the
    /// bound of a notification wait for the next one.
    async fn send_coalesced(
        &self,
        lane: &Lane,
        subscription: &Subscription,
        mut waiting: Vec<Row>,
    ) -> Result<bool, Error> {
        let mut last: HashMap<u32, MatchedChange> = HashMap::new();
        let mut fitting = 0;
        for row in &waiting {
            let further = row.changes.iter().filter(|change| !last.contains_key(&change.entity)).count();
            if fitting > 0 && last.len() + further > crate::matcher::NOTIFICATION_ENTITIES_MAX {
                break;
            }
            last.extend(row.changes.iter().map(|change| (change.entity, *change)));
            fitting += 1;
        }
        waiting.truncate(fitting);
        let count: u64 = waiting.iter().map(|row| row.changes.len() as u64).sum();
        let mut changes: Vec<MatchedChange> = last.into_values().collect();
        changes.sort_by_key(|change| change.lsn);
        lane.state.lock().coalesced += count - changes.len() as u64;
        metrics::counter!("renkei_notifications_coalesced_total").increment(count - changes.len() as u64);
        let seq = waiting.last().map_or(0, |row| row.seq);
        let terms = self.terms(subscription)?;
        let prepared = self.prepare(lane, subscription, &terms, seq, &changes)?;
        let outcomes = match self.send(subscription, &terms, lane, prepared).await {
            Outcome::Taken => waiting.iter().map(|_| Outcome::Taken).collect(),
            Outcome::Withheld => waiting.iter().map(|_| Outcome::Withheld).collect(),
            Outcome::Later(why) => waiting.iter().map(|_| Outcome::Later(why.clone())).collect(),
            Outcome::Refused(why) => waiting.iter().map(|_| Outcome::Refused(why.clone())).collect::<Vec<_>>(),
        };
        self.settle(lane, waiting, outcomes, 1).await
    }

    /// Takes the rows that are done out of the outbox, and pauses where the endpoint asks for it.
    async fn settle(
        &self,
        lane: &Lane,
        sent: Vec<Row>,
        outcomes: Vec<Outcome>,
        notifications: usize,
    ) -> Result<bool, Error> {
        let now = self.now();
        let mut batch = ViewBatch::default();
        let mut failed = None;
        let alive;
        // Rows that went out together were one notification.
        let together = notifications < sent.len();
        let sends = |rows: u64| if together { rows.min(1) } else { rows };
        {
            let mut state = lane.state.lock();
            let (mut taken, mut not_taken) = (0u64, 0u64);
            for (row, outcome) in sent.into_iter().zip(outcomes) {
                if let Outcome::Withheld = outcome {
                    delete_row(&lane.key, row.seq, &mut batch);
                    state.report.waiting = state.report.waiting.saturating_sub(1);
                    metrics::counter!("renkei_notifications_total", "outcome" => "withheld").increment(1);
                    continue;
                }
                state.report.last_notification = Some(now);
                match outcome {
                    Outcome::Withheld => {}
                    Outcome::Taken => {
                        taken += 1;
                        delete_row(&lane.key, row.seq, &mut batch);
                        state.report.waiting = state.report.waiting.saturating_sub(1);
                        state.report.last_success = Some(now);
                        state.report.last_error = None;
                    }
                    Outcome::Later(why) => {
                        not_taken += 1;
                        state.report.last_failure = Some(now);
                        state.report.last_error = Some(why.as_str().into());
                        failed = Some(why);
                    }
                    Outcome::Refused(why) => {
                        not_taken += 1;
                        state.report.last_failure = Some(now);
                        state.report.last_error = Some(why.as_str().into());
                        bury(&mut state.report, &lane.key, row, now, &why, &mut batch);
                    }
                }
            }
            state.report.times_sent += sends(taken);
            state.report.times_failed += sends(not_taken);
            alive = taken > 0;
            if alive {
                state.failures_in_a_row = 0;
            } else if failed.is_some() {
                state.failures_in_a_row += 1;
            }
            if !state.forgotten {
                put_report(&lane.key, &state.report, &mut batch);
            }
            metrics::counter!("renkei_notifications_total", "outcome" => "taken").increment(sends(taken));
        }
        self.context.view().write(batch)?;
        if let Some(why) = failed {
            metrics::counter!("renkei_notifications_total", "outcome" => "later").increment(1);
            let failures = lane.state.lock().failures_in_a_row;
            if failures.is_power_of_two() {
                tracing::warn!(subscription = %lane.key.id, failures, why, "an endpoint did not take a notification");
            }
            let cooldown = lane.state.lock().subscription.notification.endpoint.cooldown_ms.map(Duration::from_millis);
            self.pause(lane, cooldown.or(alive.then_some(PAUSE_ALIVE))).await;
        }
        Ok(true)
    }

    async fn pause(&self, lane: &Lane, cooldown: Option<Duration>) {
        let failures = lane.state.lock().failures_in_a_row;
        let doubled = PAUSE_FIRST.saturating_mul(1 << failures.saturating_sub(1).min(16)).min(PAUSE_LAST);
        let pause = cooldown.unwrap_or(doubled);
        // Woken only where the subscription itself was changed or removed.
        let until = tokio::time::Instant::now() + pause;
        while !lane.state.lock().forgotten && tokio::time::Instant::now() < until {
            let slice = (until - tokio::time::Instant::now()).min(Duration::from_secs(1));
            tokio::time::sleep(slice).await;
        }
    }

    /// Rows past their age or number become dead letters.
    fn give_up_old(&self, lane: &Lane, waiting: &[Row]) -> Result<bool, Error> {
        let now = self.now();
        let over = lane.state.lock().report.waiting.saturating_sub(ROWS_MAX) as usize;
        let is_old = |row: &&Row| now.as_micros() - row.matched_at.as_micros() > ROW_AGE_MICROS_MAX;
        let count = waiting.iter().take_while(is_old).count().max(over.min(waiting.len()));
        if count == 0 {
            return Ok(false);
        }
        let why = if over > 0 { "too many notifications were waiting" } else { "it waited for more than a day" };
        self.give_up(lane, waiting[..count].to_vec(), why)?;
        Ok(true)
    }

    fn give_up(&self, lane: &Lane, rows: Vec<Row>, why: &str) -> Result<(), Error> {
        let now = self.now();
        let mut batch = ViewBatch::default();
        let mut state = lane.state.lock();
        for row in rows {
            bury(&mut state.report, &lane.key, row, now, why, &mut batch);
        }
        let over = state.report.dead_letters.saturating_sub(DEAD_LETTERS_MAX);
        if over > 0 {
            for letter in dead_letters(self.context.view(), &lane.key, over as usize)? {
                delete_dead_letter(&lane.key, letter.row.seq, &mut batch);
                state.report.dead_letters -= 1;
            }
        }
        if !state.forgotten {
            put_report(&lane.key, &state.report, &mut batch);
        }
        drop(state);
        Ok(self.context.view().write(batch)?)
    }

    /// The matcher could not see these changes any more: one dead letter with the range says so.
    pub fn lost_range(&self, key: &SubscriptionKey, first_lsn: u64, last_lsn: u64, batch: &mut ViewBatch) {
        let Some(lane) = self.lanes.lock().get(key).cloned() else { return };
        let mut state = lane.state.lock();
        let count = last_lsn + 1 - first_lsn;
        let why = format!(
            "up to {count} changes (journal records {first_lsn} to {last_lsn}) were no longer kept when they were due"
        );
        let row = Row { seq: first_lsn, matched_at: self.now(), changes: Vec::new() };
        state.report.waiting += 1;
        bury(&mut state.report, key, row, self.now(), &why, batch);
        put_report(key, &state.report, batch);
    }

    /// Dead letters go back to the end of the outbox; how many did.
    pub fn replay(self: &Arc<Self>, key: &SubscriptionKey) -> Result<usize, Error> {
        let Some(lane) = self.lanes.lock().get(key).cloned() else { return Ok(0) };
        let letters = dead_letters(self.context.view(), key, DEAD_LETTERS_MAX as usize)?;
        let mut batch = ViewBatch::default();
        let mut count = 0;
        {
            let mut state = lane.state.lock();
            for letter in letters.into_iter().filter(|letter| !letter.row.changes.is_empty()) {
                delete_dead_letter(key, letter.row.seq, &mut batch);
                put_row(key, &Row { matched_at: self.now(), ..letter.row }, &mut batch);
                state.report.dead_letters = state.report.dead_letters.saturating_sub(1);
                state.report.waiting += 1;
                count += 1;
            }
            put_report(key, &state.report, &mut batch);
        }
        self.context.view().write(batch)?;
        lane.state.lock().from_seq = 0;
        self.start(lane);
        Ok(count)
    }

    fn now(&self) -> Time {
        self.context.clock().now()
    }

    fn terms(&self, subscription: &Subscription) -> Result<Arc<TermMap>, Error> {
        match self.contexts.resolve(&context_of(subscription)?) {
            Ok(terms) => Ok(terms),
            // Its names keep their meaning also when the @context cannot be had.
            Err(_) => Ok(Arc::new(terms_of(subscription)?)),
        }
    }

    /// The notification's body, with what the owner may see of it now.
    fn prepare(
        &self,
        lane: &Lane,
        subscription: &Subscription,
        terms: &TermMap,
        seq: u64,
        changes: &[MatchedChange],
    ) -> Result<Prepared, Error> {
        let Some(space) = self.context.tenants().by_number(lane.key.tenant) else { return Ok(Prepared::Forgotten) };
        let Some(permit) = self.permits.permit_of(&space.name, subscription.owner.as_ref(), self.now()) else {
            return Ok(Prepared::Withheld);
        };
        let mut told: Vec<Told> = Vec::new();
        for change in changes {
            match self.tell(lane, &space, subscription, change)? {
                Some(image) => told.extend(image.seen_by(&permit)),
                None => return Ok(Prepared::Forgotten),
            }
        }
        if told.is_empty() {
            return Ok(Prepared::Withheld);
        }
        let notified: Vec<NotifiedEntity> = told.iter().map(Told::notified).collect();
        let id = notification_id(space.name.as_str(), &subscription.id, seq);
        let body = render_notification(&id, subscription, self.now(), &notified, terms).into();
        Ok(Prepared::of(body, &id, subscription, permit))
    }

    fn tell(
        &self,
        lane: &Lane,
        space: &TenantSpace,
        subscription: &Subscription,
        change: &MatchedChange,
    ) -> Result<Option<Told>, Error> {
        let Some(published) = self.context.journal().find(change.lsn)? else { return Ok(None) };
        let record = &published.record;
        let deleted = record.identity.as_ref().is_some_and(|identity| identity.after.is_none());
        let before = lane.state.lock().last_told.get(&change.entity).cloned();
        let before = before.filter(|(lsn, _)| *lsn == record.previous_lsn).map(|(_, entity)| entity);
        let entity = match &before {
            // What was told last stands just before this change: one step forward.
            Some(before) if !deleted => self.context.forward(space, before, &published)?,
            _ => match self.context.image_of(space, &published)? {
                AsOf::Entity(Some(entity)) => entity,
                _ => return Ok(None),
            },
        };
        let tells_previous = subscription.notification.show_changes || change.trigger == Trigger::AttributeDeleted;
        let previous = match before {
            _ if !tells_previous || deleted || record.previous_lsn == 0 => None,
            Some(before) => Some(before),
            None => match self.context.as_of(space, change.entity, record.previous_lsn)? {
                AsOf::Entity(previous) => previous,
                AsOf::Forgotten => None,
            },
        };
        let mut state = lane.state.lock();
        if state.last_told.len() >= LAST_TOLD_MAX {
            state.last_told.clear();
        }
        if deleted {
            state.last_told.remove(&change.entity);
        } else {
            state.last_told.insert(change.entity, (change.lsn, Arc::clone(&entity)));
        }
        Ok(Some(Told { entity, previous, deleted_at: deleted.then_some(record.time) }))
    }
}

fn bury(report: &mut DeliveryReport, key: &SubscriptionKey, row: Row, now: Time, why: &str, batch: &mut ViewBatch) {
    delete_row(key, row.seq, batch);
    put_dead_letter(key, &DeadLetter { row, given_up_at: now, why: why.into() }, batch);
    report.waiting = report.waiting.saturating_sub(1);
    report.dead_letters += 1;
    metrics::counter!("renkei_dead_letters_total").increment(1);
}
