//! The desk of the loop, told by rules that follow the journal: also when they are told again after a crash.

#![allow(clippy::unwrap_used, reason = "a test fails loudly")]

mod city;

use std::sync::Arc;

use city::{City, Everybody, permit};
use city_action::control::{Asked, Control};
use city_model::{EntityId, Hand, Proposal, Time};
use city_outbound::{Outbound, Policy};

fn about() -> EntityId {
    EntityId::parse("urn:ngsi-ld:Gauge:1").unwrap()
}

fn proposal(seq: u64, deadline: Time) -> Proposal {
    Proposal {
        rule: "flood".into(),
        version: 1,
        about: about(),
        seq,
        looked_at: None,
        what: "Close it".into(),
        why: "It rises".into(),
        steps: Vec::new(),
        evidence: Vec::new(),
        tells: Vec::new(),
        expects: None,
        alternatives: Vec::new(),
        deadline,
        location: None,
        measures: None,
    }
}

fn statuses(control: &Control) -> Vec<(u64, &'static str)> {
    let asked = Asked { status: None, limit: 100 };
    let mut all: Vec<_> =
        control.suggestions(&permit(), asked).unwrap().iter().map(|one| (one.seq, one.status.as_str())).collect();
    all.sort_unstable();
    all
}

#[test]
fn what_ended_before_is_not_taken_for_an_end_of_what_began_after() {
    let city = City::new();
    let deadline = Time::parse("2026-01-02T00:00:00Z").unwrap();
    city.level(1);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let _entered = runtime.enter();
    let outbound = Outbound::new(Policy::default());
    let hand = Hand::take().unwrap();
    let control = Control::start(Arc::clone(&city.context), outbound, Arc::new(Everybody), hand).unwrap();
    let suggest = |seq| control.suggest(&permit(), &proposal(seq, deadline)).unwrap();
    let has_begun = |seq| control.has_begun(1, "flood", &about(), seq);
    let clear = |seq| control.clear(&permit(), "flood", &about(), seq).unwrap();

    assert!(suggest(10) && has_begun(10) && has_begun(11) && !has_begun(9));
    clear(11);
    assert!(!has_begun(11) && suggest(12));
    let stands = vec![(10, "withdrawn"), (12, "open")];
    assert_eq!(statuses(&control), stands);
    // The cursor of the rules was not written yet: they are told all of it once more.
    assert!(!has_begun(10), "at that change it had not begun");
    assert!(!suggest(10));
    clear(11);
    assert!(!has_begun(11) && has_begun(12) && !suggest(12));
    assert_eq!(statuses(&control), stands, "and nothing is other than it was");
    clear(13);
    assert_eq!(statuses(&control), [(10, "withdrawn"), (12, "withdrawn")]);

    // A rule that is gone leaves nothing behind but what still waits.
    assert!(suggest(14));
    control.forget(1, "flood");
    assert!(has_begun(14) && !suggest(15), "it waits for a decision");
    clear(16);
    control.forget(1, "flood");
    assert!(suggest(17));
}
