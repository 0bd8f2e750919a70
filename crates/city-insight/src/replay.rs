//! A rule held against the past: what it would have suggested since a time, before anybody is bothered by it.
//!
//! Each watched entity goes through its readings in the order in which they were taken; the live rule sees them
//! in the order in which they came. What is deleted by now is not looked at.

use city_context::Context;
use city_history::History;
use city_model::query::EntitySelector;
use city_model::{Attribute, Entity, Instance, Kind, Name, Permit, Proposal, Query, Time, TypeExpr};

use crate::Error;
use crate::past::Seen;
use crate::rule::{Finding, Rule};
use crate::window::Moment;

/// Most entities, readings and evaluations of one replay, and most findings in its answer: beyond, it is cut.
const ENTITIES_MAX: usize = 10_000;
const READINGS_MAX: usize = 500_000;
const EVALUATIONS_MAX: usize = 500_000;
pub const FOUND_MAX: usize = 1_000;
/// How often a rule with windows is looked at where nothing was read, at most; and in how many parts of the time.
const TICK_MICROS_MIN: i64 = 60_000_000;
const TICKS: i64 = 1_000;
/// Entities that are read in one go.
const PAGE_ENTITIES: usize = 1_000;

/// What a rule would have done.
#[derive(Debug, Default)]
pub struct Replayed {
    pub found: Vec<Found>,
    pub entities: usize,
    pub evaluations: usize,
    /// Not all of it was looked at.
    pub cut: bool,
}

/// One suggestion that it would have made.
#[derive(Debug)]
pub struct Found {
    pub at: Time,
    pub proposal: Proposal,
    /// When its condition ended, if it did.
    pub ended_at: Option<Time>,
}

/// What is replayed: from a time to another.
pub struct Span {
    pub since: Time,
    pub until: Time,
}

pub fn replay(
    context: &Context,
    history: &History,
    permit: &Permit,
    rule: &Rule,
    span: &Span,
) -> Result<Replayed, Error> {
    let space = context.tenant(permit)?;
    let types = Some(TypeExpr::Type(rule.watch.clone()));
    let query = Query { selectors: vec![EntitySelector { types, ..EntitySelector::default() }], ..Query::default() };
    let mut replay = Replay {
        seen: Seen { context, history, space: &space, permit },
        rule,
        names: rule.attributes(),
        span,
        readings: 0,
        done: Replayed::default(),
    };
    let mut after = Some(0);
    while let Some(number) = after {
        let (entities, next) = context.query_after(permit, &query, number, PAGE_ENTITIES)?;
        for entity in entities.iter().filter(|entity| rule.watches(entity)) {
            replay.entity(entity)?;
            if replay.done.cut {
                break;
            }
        }
        after = next.filter(|_| !replay.done.cut);
    }
    let mut done = replay.done;
    done.found.sort_by_key(|found| found.at);
    Ok(done)
}

struct Replay<'r> {
    seen: Seen<'r>,
    rule: &'r Rule,
    names: Vec<Name>,
    span: &'r Span,
    readings: usize,
    done: Replayed,
}

impl Replay<'_> {
    fn entity(&mut self, now: &Entity) -> Result<(), Error> {
        if self.done.entities >= ENTITIES_MAX {
            self.done.cut = true;
            return Ok(());
        }
        self.done.entities += 1;
        let Some((identity, shown)) = self.seen.shown(&now.id, &self.names)? else { return Ok(()) };
        let mut entity = Entity::new(now.id.clone(), now.types.clone());
        for (name, instance) in self.seen.standing(identity.number, &shown, self.span.since)? {
            put(&mut entity, &name, instance);
        }
        let mut read = Vec::new();
        if !shown.is_empty() {
            let numbers: Vec<_> = shown.iter().map(|(number, _)| *number).collect();
            let left = READINGS_MAX - self.readings;
            self.seen.visit(
                identity.number,
                &numbers,
                (self.span.since, self.span.until),
                &mut |number, at, instance| {
                    if let Some((_, name)) = shown.iter().find(|(own, _)| *own == number) {
                        read.push((at, name.clone(), instance));
                    }
                    read.len() < left
                },
            )?;
        }
        self.readings += read.len();
        self.done.cut |= self.readings >= READINGS_MAX;
        read.sort_by_key(|(at, ..)| *at);
        self.go_through(entity, read)
    }

    /// Holds the rule against the entity at each time at which something was read, and between where time alone
    /// may change what a window says.
    fn go_through(&mut self, mut entity: Entity, read: Vec<(Time, Name, Instance)>) -> Result<(), Error> {
        let tick = ((self.span.until.as_micros() - self.span.since.as_micros()) / TICKS).max(TICK_MICROS_MIN);
        let mut read = read.into_iter().peekable();
        let (mut at, mut begun) = (self.span.since, None);
        loop {
            while let Some((_, name, instance)) = read.next_if(|(when, ..)| *when <= at) {
                put(&mut entity, &name, instance);
            }
            self.hold(&entity, at, &mut begun)?;
            let next_read = read.peek().map(|(when, ..)| *when);
            let next_tick =
                Some(at.plus_micros(tick)).filter(|next| self.rule.has_windows() && *next <= self.span.until);
            match next_read.into_iter().chain(next_tick).min() {
                Some(next) if !self.done.cut => at = next,
                _ => return Ok(()),
            }
        }
    }

    /// `begun` is the place of what it has led to.
    fn hold(&mut self, entity: &Entity, at: Time, begun: &mut Option<usize>) -> Result<(), Error> {
        self.done.evaluations += 1;
        let moment = Moment { at, past: &self.seen };
        let finding = self.rule.find(entity, begun.is_some(), &moment).map_err(Error::Evaluation)?;
        match finding {
            Finding::Neither => {}
            Finding::Begins => {
                *begun = Some(self.done.found.len());
                self.done.found.push(Found {
                    at,
                    proposal: self.rule.proposal(entity, 0, at, Some(at)),
                    ended_at: None,
                });
            }
            Finding::Ends => {
                if let Some(found) = begun.take().and_then(|place| self.done.found.get_mut(place)) {
                    found.ended_at = Some(at);
                }
            }
        }
        self.done.cut |= self.done.found.len() >= FOUND_MAX || self.done.evaluations >= EVALUATIONS_MAX;
        Ok(())
    }
}

fn put(entity: &mut Entity, name: &Name, instance: Instance) {
    entity.attributes.retain(|attribute| attribute.name != *name);
    if !matches!(instance.kind, Kind::Null) {
        entity.attributes.push(Attribute::new(name.clone(), instance));
    }
}
