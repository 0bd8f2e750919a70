//! What is due in the loop ends by itself, one thing whatever becomes of the other.

#![allow(clippy::unwrap_used, reason = "a test fails loudly")]

mod city;

use std::sync::Arc;
use std::time::{Duration, Instant};

use city::{City, Everybody, PATIENCE, permit_in};
use city_action::control::{Asked, Control};
use city_model::{
    Change, Classes, Entity, EntityId, Hand, Name, Owner, Permit, PermitSource, Proposal, Release, TenantName, Time,
};
use city_outbound::{Outbound, Policy};

/// Nobody may do anything in the default tenant, the loop included.
struct ShutFirst;

impl PermitSource for ShutFirst {
    fn permit_of(&self, tenant: &TenantName, _: Option<&Owner>, _: Time) -> Option<Permit> {
        (*tenant != TenantName::default_tenant()).then(|| permit_in(tenant))
    }

    fn classes(&self, tenant: &TenantName) -> Arc<Classes> {
        Everybody.classes(tenant)
    }

    fn still_holds(&self, permit: &Permit, now: Time) -> bool {
        Everybody.still_holds(permit, now)
    }

    fn release(&self, permit: &Permit, now: Time) -> Option<Box<dyn Release>> {
        Everybody.release(permit, now)
    }
}

#[test]
fn one_suggestion_that_cannot_end_does_not_keep_another_from_ending() {
    let city = City::new();
    let tenants = [TenantName::default_tenant(), TenantName::parse("other").unwrap()];
    let about = EntityId::parse("urn:ngsi-ld:Gauge:1").unwrap();
    for tenant in &tenants {
        let gauge = Entity::new(about.clone(), vec![Name::parse("urn:Gauge").unwrap()]);
        city.apply_in(tenant, Change::Create(gauge));
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let _entered = runtime.enter();
    let (outbound, hand) = (Outbound::new(Policy::default()), Hand::take().unwrap());
    let control = Control::start(Arc::clone(&city.context), outbound, Arc::new(ShutFirst), hand).unwrap();
    let deadline = city_store::Clock::now(&*city.clock).plus_micros(60_000_000);
    let proposal = Proposal {
        rule: "flood".into(),
        version: 1,
        about,
        seq: 1,
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
    };
    let status = |tenant: &TenantName| {
        let asked = Asked { status: None, limit: 10 };
        control.suggestions(&permit_in(tenant), asked).unwrap()[0].status.as_str()
    };
    for tenant in &tenants {
        assert!(control.suggest(&permit_in(tenant), &proposal).unwrap());
    }
    city.clock.advance_micros(120_000_000);
    let started = Instant::now();
    while status(&tenants[1]) != "expired" {
        assert!(started.elapsed() < PATIENCE, "it does not end");
        std::thread::sleep(Duration::from_millis(10));
    }
    assert_eq!(status(&tenants[0]), "open", "the loop may not end it, and tries again");
}
