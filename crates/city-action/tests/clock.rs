//! Notifications while the clock jumps by a year, forward and back, as a wrong time server makes it.

#![allow(clippy::unwrap_used, reason = "a test fails loudly")]

mod city;

use city::{City, PATIENCE};
use city_action::SubscriptionKey;
use city_model::Time;
use serde_json::json;

const DAY_MICROS: i64 = 24 * 3_600 * 1_000_000;
const YEAR_MICROS: i64 = 365 * DAY_MICROS;

#[test]
fn a_throttled_subscriber_is_told_after_the_clock_was_put_back() {
    let city = City::new();
    let told = city.subscribe("urn:ngsi-ld:Subscription:slow", json!({"throttling": 60}));
    city.level(1);
    assert_eq!(told.recv_timeout(PATIENCE), Ok(1));
    city.settled("urn:ngsi-ld:Subscription:slow", 1);
    city.clock.advance_micros(YEAR_MICROS);
    city.level(2);
    assert_eq!(told.recv_timeout(PATIENCE), Ok(2));
    city.settled("urn:ngsi-ld:Subscription:slow", 2);
    city.clock.advance_micros(-YEAR_MICROS);
    city.level(3);
    assert_eq!(told.recv_timeout(PATIENCE), Ok(3), "not only in a year");
    city.settled("urn:ngsi-ld:Subscription:slow", 3);
    // Throttling itself goes on, by the clock as it is now.
    city.level(4);
    city.level(5);
    city.clock.advance_micros(61_000_000);
    assert_eq!(told.recv_timeout(PATIENCE), Ok(5), "the last state is always sent");
}

#[test]
fn a_subscription_that_lives_by_the_clock_is_told_although_the_order_of_changes_is_a_year_ahead() {
    let city = City::new();
    let ends = Time::parse("2026-02-01T00:00:00Z").unwrap().to_string();
    let told = city.subscribe("urn:ngsi-ld:Subscription:brief", json!({"expiresAt": ends}));
    let always = city.subscribe("urn:ngsi-ld:Subscription:always", json!({}));
    let both = |value| {
        city.level(value);
        assert_eq!(always.recv_timeout(PATIENCE), Ok(value));
    };
    both(1);
    assert_eq!(told.recv_timeout(PATIENCE), Ok(1));
    city.settled("urn:ngsi-ld:Subscription:brief", 1);
    city.clock.advance_micros(YEAR_MICROS);
    both(2);
    let key = SubscriptionKey { tenant: 1, id: "urn:ngsi-ld:Subscription:brief".into() };
    let report = city.action.report(&key).unwrap();
    assert_eq!((report.times_sent, report.waiting), (1, 0), "it has expired by the clock");
    // modifiedAt does not go back with the clock; the subscription has not expired all the same.
    city.clock.advance_micros(-YEAR_MICROS);
    both(3);
    assert_eq!(told.recv_timeout(PATIENCE), Ok(3));
}
