//! Rules follow the journal: each change of what one watches is held against it, once.
//!
//! Where a rule has begun is kept by the desk, in its suggestions; so after a crash the same change leads to
//! the same suggestion, and to no second one.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use city_context::{AsOf, Context, TenantSpace, definitions_of};
use city_history::History;
use city_model::query::EntitySelector;
use city_model::{DefinitionKind, Entity, Name, Permit, PermitSource, Query, Time, TypeExpr};
use city_store::codec::NameNumbers;
use city_store::commit::RULES_CURSOR_KEY;
use city_store::journal::{Published, Read};
use city_store::record::RecordKind;
use city_store::{Space, ViewBatch};

use crate::past::Seen;
use crate::rule::{Finding, Rule};
use crate::window::Moment;
use crate::{Desk, Error, Failures, NotTaken, parse_stored};

/// Most records between two writings of the cursor.
const BATCH_RECORDS: usize = 1_000;
const IDLE: Duration = Duration::from_millis(500);
/// How often rules with windows are looked at where nothing changes, by the city's clock.
const LOOK_MICROS: i64 = 10_000_000;
/// Between two looks whether the past has come as far.
const HISTORY_LOOK: Duration = Duration::from_millis(2);
/// Entities that are looked at in one go, when a rule is new.
const LOOK_ENTITIES: usize = 1_000;

/// Why a rule is held against an entity now.
struct Occasion {
    /// The entity's change, or its last one where the clock was looked at.
    seq: u64,
    at: Time,
    is_look: bool,
}

pub struct Follower {
    context: Arc<Context>,
    history: Arc<History>,
    permits: Arc<dyn PermitSource>,
    desk: Arc<dyn Desk>,
    rules: HashMap<u32, Vec<Rule>>,
    cursor: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
    failures: Failures,
    /// When rules with windows were looked at last.
    looked_at: Time,
}

impl Follower {
    pub fn open(
        context: Arc<Context>,
        history: Arc<History>,
        permits: Arc<dyn PermitSource>,
        desk: Arc<dyn Desk>,
        cursor: Arc<AtomicU64>,
        stop: Arc<AtomicBool>,
        failures: Failures,
    ) -> Result<Self, Error> {
        let stored = context.view().get(Space::Meta, RULES_CURSOR_KEY)?;
        let stored = stored.and_then(|bytes| bytes[..].try_into().ok()).map(u64::from_le_bytes);
        // A folder from before there were rules: what happened then is no news.
        let begin = stored.unwrap_or_else(|| context.journal().durable());
        cursor.store(begin, Ordering::Release);
        let looked_at = context.clock().now();
        let rules = HashMap::new();
        let mut follower = Self { context, history, permits, desk, rules, cursor, stop, failures, looked_at };
        for space in follower.context.tenants().list() {
            for (id, body) in definitions_of(&space, DefinitionKind::Rule) {
                follower.learn(space.number, &id, Some(&body));
            }
        }
        Ok(follower)
    }

    /// Takes in a rule as it stands now; one that cannot be read says so and nothing else.
    fn learn(&mut self, tenant: u32, id: &str, body: Option<&[u8]>) {
        let rules = self.rules.entry(tenant).or_default();
        rules.retain(|rule| rule.name() != id);
        self.failures.lock().remove(&(tenant, id.into()));
        let Some(body) = body else { return };
        match parse_stored(body).and_then(|stored| Ok(Rule::of(stored)?)) {
            Ok(rule) => rules.push(rule),
            Err(error) => self.note(tenant, id, Some(error.to_string())),
        }
    }

    fn note(&self, tenant: u32, rule: &str, failure: Option<String>) {
        let key = (tenant, Box::from(rule));
        let mut failures = self.failures.lock();
        match failure {
            None => drop(failures.remove(&key)),
            Some(why) => {
                let why = why.into_boxed_str();
                if failures.get(&key) != Some(&why) {
                    tracing::warn!(rule, %why, "a rule says nothing");
                    metrics::counter!("renkei_rule_failures_total").increment(1);
                    failures.insert(key, why);
                }
            }
        }
    }

    pub fn run(mut self) {
        while !self.stop.load(Ordering::Acquire) {
            if let Err(error) = self.look_again() {
                tracing::error!(%error, "rules with windows wait; they are looked at again");
            }
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
                tracing::error!(%error, "the rules wait; they try again");
                std::thread::sleep(IDLE);
            }
        }
    }

    /// Time alone may change what a window says: such rules are looked at from time to time.
    fn look_again(&mut self) -> Result<(), Error> {
        let now = self.context.clock().now();
        let since = now.as_micros() - self.looked_at.as_micros();
        // A clock that was put back must not silence them until it has come round again.
        if (0..LOOK_MICROS).contains(&since) {
            return Ok(());
        }
        self.looked_at = now;
        for space in self.context.tenants().list() {
            let rules = self.rules.get(&space.number).into_iter().flatten();
            let named: Vec<Box<str>> = rules.filter(|rule| rule.has_windows()).map(|rule| rule.name().into()).collect();
            named.iter().try_for_each(|name| self.look(&space, name))?;
        }
        Ok(())
    }

    /// Waits until the past holds what is looked at; whether it does.
    fn wait_for_history(&self, lsn: u64) -> Result<bool, Error> {
        while !self.history.has_reached(lsn)? {
            if self.stop.load(Ordering::Acquire) {
                return Ok(false);
            }
            std::thread::sleep(HISTORY_LOOK);
        }
        Ok(true)
    }

    fn step(&mut self, cursor: u64) -> Result<(), Error> {
        let records = match self.context.journal().read(cursor + 1, BATCH_RECORDS)? {
            Read::Records(records) => records,
            Read::Lost { oldest } => return self.lost(cursor, oldest),
        };
        for published in &records {
            if self.stop.load(Ordering::Acquire) {
                return Ok(());
            }
            match published.record.kind {
                RecordKind::State => self.hold(published)?,
                RecordKind::Definition => self.define(published)?,
                RecordKind::Past | RecordKind::Also | RecordKind::Note => {}
            }
        }
        // What it may have left is looked at again by the next process.
        if self.stop.load(Ordering::Acquire) {
            return Ok(());
        }
        match records.last() {
            Some(last) => self.advance(last.lsn),
            None => Ok(()),
        }
    }

    fn advance(&self, cursor: u64) -> Result<(), Error> {
        let mut batch = ViewBatch::default();
        batch.put(Space::Meta, RULES_CURSOR_KEY, &cursor.to_le_bytes());
        self.context.view().write(batch)?;
        self.cursor.store(cursor, Ordering::Release);
        Ok(())
    }

    /// What was not followed is no longer there; the entities are, as they stand now.
    fn lost(&mut self, cursor: u64, oldest: u64) -> Result<(), Error> {
        tracing::error!(after = cursor, before = oldest, "the rules lost these records and look at what is now");
        metrics::counter!("renkei_follower_lost_total", "follower" => "rules").increment(1);
        let durable = self.context.journal().durable();
        for space in self.context.tenants().list() {
            let definitions = definitions_of(&space, DefinitionKind::Rule);
            self.rules.remove(&space.number);
            for (id, body) in definitions {
                self.learn(space.number, &id, Some(&body));
                self.look(&space, &id)?;
            }
        }
        self.advance(durable)
    }

    fn define(&mut self, published: &Published) -> Result<(), Error> {
        let Some(definition) = &published.record.definition else { return Ok(()) };
        if definition.kind != DefinitionKind::Rule {
            return Ok(());
        }
        let tenant = published.record.tenant;
        self.learn(tenant, &definition.id, definition.change.after.as_deref());
        if definition.change.after.is_none() {
            self.desk.forget(tenant, &definition.id);
            return Ok(());
        }
        // What a new rule asks for may be so already.
        match self.context.tenants().by_number(tenant) {
            Some(space) => self.look(&space, &definition.id),
            None => Ok(()),
        }
    }

    /// What a rule may see: what its owner may, unless that would show data of behaviour or persons, which a
    /// suggestion would carry on to whoever reads it.
    fn permit(&self, space: &TenantSpace, rule: &Rule) -> Option<Permit> {
        let permit = self.permits.permit_of(&space.name, Some(&rule.owner()), self.context.clock().now());
        let why = match &permit {
            None => format!("{}, for whom it acts, may nothing here any more", rule.stored.who),
            Some(permit) if !permit.discloses().is_empty() => {
                "it would see data of behaviour or persons, which a suggestion must not carry on".to_owned()
            }
            Some(_) => return permit,
        };
        self.note(space.number, rule.name(), Some(why));
        None
    }

    /// Holds one rule against everything that it watches.
    fn look(&self, space: &TenantSpace, id: &str) -> Result<(), Error> {
        let rules = self.rules.get(&space.number).into_iter().flatten();
        let Some(rule) = rules.into_iter().find(|rule| rule.name() == id) else { return Ok(()) };
        let Some(permit) = self.permit(space, rule) else { return Ok(()) };
        if rule.has_windows() && !self.wait_for_history(self.context.journal().durable())? {
            return Ok(());
        }
        let at = self.context.clock().now();
        let types = Some(TypeExpr::Type(rule.watch.clone()));
        let query =
            Query { selectors: vec![EntitySelector { types, ..EntitySelector::default() }], ..Query::default() };
        let mut after = Some(0);
        while let Some(number) = after {
            let (entities, next) = self.context.query_after(&permit, &query, number, LOOK_ENTITIES)?;
            for entity in entities.iter().filter(|entity| rule.watches(entity)) {
                let seq = space.index.read().seq_of(entity.id.as_str());
                self.hold_one(space, rule, &permit, entity, &Occasion { seq, at, is_look: true })?;
            }
            after = next;
        }
        Ok(())
    }

    fn hold(&self, published: &Published) -> Result<(), Error> {
        let record = &published.record;
        let Some(rules) = self.rules.get(&record.tenant).filter(|rules| !rules.is_empty()) else { return Ok(()) };
        let Some(space) = self.context.tenants().by_number(record.tenant) else { return Ok(()) };
        let names = record.touched.iter().map(|touched| space.terms.name(touched.attribute).map(Name::from_stored));
        let names = names.collect::<Result<Vec<Name>, _>>()?;
        let asked = |rule: &&Rule| record.identity.is_some() || names.iter().any(|name| rule.asks_for(name));
        let mut concerned = rules.iter().filter(asked).peekable();
        if concerned.peek().is_none() {
            return Ok(());
        }
        let AsOf::Entity(Some(entity)) = self.context.image_of(&space, published)? else { return Ok(()) };
        let deleted = record.identity.as_ref().is_some_and(|identity| identity.after.is_none());
        for rule in concerned.filter(|rule| rule.watches(&entity)) {
            let Some(permit) = self.permit(&space, rule) else { continue };
            if deleted {
                self.taken(&space, rule, self.desk.end(&permit, rule.name(), &entity.id, record.seq))?;
                continue;
            }
            // It knows what its owner may see, and no more.
            let Some(seen) = permit.read().seen(&entity) else { continue };
            if rule.has_windows() && !self.wait_for_history(published.lsn)? {
                return Ok(());
            }
            let occasion = Occasion { seq: record.seq, at: record.time, is_look: false };
            self.hold_one(&space, rule, &permit, &seen, &occasion)?;
        }
        Ok(())
    }

    /// One proposal that is refused holds up nobody else.
    fn taken(&self, space: &TenantSpace, rule: &Rule, outcome: Result<(), NotTaken>) -> Result<(), Error> {
        match outcome {
            Ok(()) => Ok(()),
            Err(NotTaken::Refused(why)) => {
                self.note(space.number, rule.name(), Some(why));
                Ok(())
            }
            Err(NotTaken::Later(why)) => Err(Error::Desk(why)),
        }
    }

    fn hold_one(
        &self,
        space: &TenantSpace,
        rule: &Rule,
        permit: &Permit,
        entity: &Entity,
        occasion: &Occasion,
    ) -> Result<(), Error> {
        metrics::counter!("renkei_rule_evaluations_total").increment(1);
        let Occasion { seq, at, is_look } = *occasion;
        let has_begun = self.desk.has_begun(space.number, rule.name(), &entity.id, seq);
        let seen = Seen { context: &self.context, history: &self.history, space, permit };
        let finding = match rule.find(entity, has_begun, &Moment { at, past: &seen }) {
            Ok(finding) => finding,
            Err(why) => {
                self.note(space.number, rule.name(), Some(why));
                return Ok(());
            }
        };
        self.note(space.number, rule.name(), None);
        match finding {
            Finding::Begins => {
                let proposal = rule.proposal(entity, seq, self.context.clock().now(), is_look.then_some(at));
                self.taken(space, rule, self.desk.suggest(permit, &proposal))
            }
            Finding::Ends => self.taken(space, rule, self.desk.end(permit, rule.name(), &entity.id, seq)),
            Finding::Neither => Ok(()),
        }
    }
}
