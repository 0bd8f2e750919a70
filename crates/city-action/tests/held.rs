//! A matcher that is held up while the journal is cut before it: what it loses is told, once, and it goes on.

#![allow(clippy::unwrap_used, reason = "a test fails loudly")]

mod city;

use std::sync::Arc;
use std::time::{Duration, Instant};

use city::{City, Everybody, PATIENCE};
use city_action::SubscriptionKey;
use city_model::{Classes, Owner, Permit, PermitSource, Release, TenantName, Time};
use city_store::journal::Limits;
use parking_lot::{Condvar, Mutex};
use serde_json::json;

/// More than the journal remembers in memory.
const FILLER_BYTES: usize = 512 << 10;
const FILLERS: usize = 60;

/// Holds the matcher up at each change that may concern a subscription, until it is let on.
#[derive(Default)]
struct Held {
    state: Mutex<State>,
    moved: Condvar,
}

#[derive(Default)]
struct State {
    /// How often it may still go on; `None` is always.
    passes: Option<u64>,
    waiting: bool,
}

impl Held {
    fn hold(&self) {
        self.state.lock().passes = Some(0);
    }

    fn let_on(&self, passes: Option<u64>) {
        self.state.lock().passes = passes;
        self.moved.notify_all();
    }

    fn wait_until_held(&self) {
        let started = Instant::now();
        let is_held = || {
            let state = self.state.lock();
            state.waiting && state.passes == Some(0)
        };
        while !is_held() {
            assert!(started.elapsed() < PATIENCE, "the matcher does not come");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl PermitSource for Held {
    fn permit_of(&self, tenant: &TenantName, owner: Option<&Owner>, now: Time) -> Option<Permit> {
        if std::thread::current().name() == Some("matcher") {
            let mut state = self.state.lock();
            while state.passes == Some(0) {
                state.waiting = true;
                self.moved.wait(&mut state);
            }
            state.waiting = false;
            state.passes = state.passes.map(|passes| passes - 1);
        }
        Everybody.permit_of(tenant, owner, now)
    }

    fn classes(&self, _: &TenantName) -> Arc<Classes> {
        Arc::default()
    }

    fn still_holds(&self, permit: &Permit, now: Time) -> bool {
        Everybody.still_holds(permit, now)
    }

    fn release(&self, permit: &Permit, now: Time) -> Option<Box<dyn Release>> {
        Everybody.release(permit, now)
    }
}

fn fill(city: &City, round: usize) {
    for number in 0..FILLERS {
        let text = "x".repeat(FILLER_BYTES);
        let id = format!("urn:ngsi-ld:Filler:{round}-{number}");
        city.upsert(&json!({"id": id, "type": "Filler", "text": {"type": "Property", "value": text}}));
    }
}

#[test]
fn what_is_cut_off_while_it_is_matched_is_told_once_and_what_comes_later_as_ever() {
    let held = Arc::new(Held::default());
    let limits =
        Limits { segment_bytes: 1 << 20, keep_bytes: (FILLERS * FILLER_BYTES * 3 / 2) as u64, reserve_bytes: 0 };
    let city = City::with(limits, Arc::clone(&held) as _);
    let id = "urn:ngsi-ld:Subscription:1";
    let told = city.subscribe(id, json!({}));
    city.level(1);
    assert_eq!(told.recv_timeout(PATIENCE), Ok(1));
    city.settled(id, 1);

    // Held at the second; the next ones lie so far back by now that they come from the disk.
    held.hold();
    city.level(2);
    held.wait_until_held();
    for value in 3..=5 {
        city.level(value);
    }
    let third = city.context.journal().durable() - 2;
    fill(&city, 1);
    held.let_on(Some(1));
    assert_eq!(told.recv_timeout(PATIENCE), Ok(2));
    city.settled(id, 2);
    // Held at the third, with the others in its hands, while they are cut off.
    held.wait_until_held();
    fill(&city, 2);
    fill(&city, 3);
    let oldest = city.context.journal().oldest();
    assert!(oldest > third + 2, "the journal was not cut: it begins at {oldest}");
    held.let_on(None);
    city.level(6);
    assert_eq!(told.recv_timeout(PATIENCE), Ok(6), "what comes later is told");

    let key = SubscriptionKey { tenant: 1, id: id.into() };
    let letters = city.action.dead_letters(&key).unwrap();
    let ranges: Vec<_> = letters.iter().filter(|letter| letter.row.changes.is_empty()).collect();
    assert_eq!(ranges.len(), 1, "{letters:?}");
    // The third was matched, and could not be told any more.
    assert_eq!(letters.len(), 2, "{letters:?}");
    let (first, last) = (third + 1, city.context.journal().oldest() - 1);
    let told_of = (oldest - 1..=last)
        .map(|last| format!("up to {} changes (journal records {first} to {last}) were", last + 1 - first));
    assert!(
        told_of.into_iter().any(|range| ranges[0].why.starts_with(&range)),
        "{} instead of {first} to {last}",
        ranges[0].why
    );
    assert_eq!(city.action.report(&key).unwrap().dead_letters, 2);
    assert!(city.action.failure().is_none());
}
