//! How often somebody tried to sign in and could not, and how long they wait for it.
//!
//! An account at an address, an address, and an account are each counted, with bounds of their own: so one
//! who guesses is held up soon, and holds up the rightful person elsewhere late and for a while only.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

use city_model::Time;
use parking_lot::Mutex;

use super::session::AccountOf;

/// Failures of one account at one address before it waits.
pub const FAILURES_AT_ADDRESS: u32 = 5;
/// Failures at one address, whatever the account, before it waits.
pub const FAILURES_OF_ADDRESS: u32 = 20;
/// Failures of one account, wherever, before it waits.
pub const FAILURES_OF_ACCOUNT: u32 = 50;
/// The first wait; each further failure doubles it.
pub const WAIT_SECONDS_FIRST: i64 = 30;
pub const WAIT_SECONDS_MAX: i64 = 15 * 60;
/// What is counted at once; beyond, what would be forgotten first is forgotten.
pub const COUNTED_MAX: usize = 30_000;

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Counted {
    At(AccountOf, Option<IpAddr>),
    Address(Option<IpAddr>),
    Account(AccountOf),
}

#[derive(Debug, Clone, Copy)]
struct Failures {
    count: u32,
    last: Time,
    /// They wait until then.
    until: Option<Time>,
}

impl Failures {
    fn latest(&self) -> Time {
        self.until.map_or(self.last, |until| until.max(self.last))
    }
}

#[derive(Debug, Default)]
pub struct Attempts(Mutex<HashMap<Counted, Failures>>);

impl Attempts {
    /// How long this one has to wait before they may try again; `None` where they need not.
    #[must_use]
    pub fn wait(&self, account: &AccountOf, from: Option<IpAddr>, now: Time) -> Option<Duration> {
        let counts = self.0.lock();
        let until = keys(account, from).iter().filter_map(|(key, _)| counts.get(key)?.until).max()?;
        let micros = until.as_micros() - now.as_micros();
        u64::try_from(micros).ok().filter(|micros| *micros > 0).map(Duration::from_micros)
    }

    /// Counts a failure. Whether it made somebody wait who did not before.
    pub fn failed(&self, account: &AccountOf, from: Option<IpAddr>, now: Time) -> bool {
        let mut counts = self.0.lock();
        // What waited, and then failed no more for as long as one can wait, is forgotten.
        let forgotten = |own: &Failures| own.latest().plus_micros(WAIT_SECONDS_MAX * 1_000_000) <= now;
        counts.retain(|_, own| !forgotten(own));
        let mut begins = false;
        for (key, bound) in keys(account, from) {
            if counts.len() >= COUNTED_MAX && !counts.contains_key(&key) {
                let first = counts.iter().min_by_key(|(_, own)| own.latest()).map(|(key, _)| key.clone());
                first.map(|first| counts.remove(&first));
            }
            let own = counts.entry(key).or_insert(Failures { count: 0, last: now, until: None });
            own.count += 1;
            own.last = now;
            if own.count >= bound {
                let doubled = (own.count - bound).min(16);
                let seconds = (WAIT_SECONDS_FIRST << doubled).min(WAIT_SECONDS_MAX);
                own.until = Some(now.plus_micros(seconds * 1_000_000));
                begins |= own.count == bound;
            }
        }
        begins
    }

    /// Somebody signed in: their own failures are forgotten, those of the address are not.
    pub fn succeeded(&self, account: &AccountOf, from: Option<IpAddr>) {
        let mut counts = self.0.lock();
        counts.remove(&Counted::At(account.clone(), from));
        counts.remove(&Counted::Account(account.clone()));
    }
}

fn keys(account: &AccountOf, from: Option<IpAddr>) -> [(Counted, u32); 3] {
    // Whoever has an IPv6 network has all addresses in it.
    let from = from.map(|address| match address.to_canonical() {
        IpAddr::V6(v6) => IpAddr::V6((u128::from(v6) & (u128::MAX << 64)).into()),
        v4 => v4,
    });
    [
        (Counted::At(account.clone(), from), FAILURES_AT_ADDRESS),
        (Counted::Address(from), FAILURES_OF_ADDRESS),
        (Counted::Account(account.clone()), FAILURES_OF_ACCOUNT),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use city_model::TenantName;

    fn at(seconds: i64) -> Time {
        Time::from_micros(seconds * 1_000_000)
    }

    fn of(name: &str) -> AccountOf {
        (TenantName::default_tenant(), name.into())
    }

    fn address(text: &str) -> Option<IpAddr> {
        Some(text.parse().unwrap())
    }

    #[test]
    fn who_guesses_waits_longer_each_time_and_others_do_not() {
        let attempts = Attempts::default();
        let (guesser, person) = (address("192.0.2.1"), address("192.0.2.2"));
        for failure in 1..5 {
            assert!(!attempts.failed(&of("duty"), guesser, at(0)), "failure {failure}");
        }
        assert_eq!(attempts.wait(&of("duty"), guesser, at(0)), None);
        assert!(attempts.failed(&of("duty"), guesser, at(0)), "it begins to wait");
        assert_eq!(attempts.wait(&of("duty"), guesser, at(0)), Some(Duration::from_secs(30)));
        assert_eq!(attempts.wait(&of("duty"), guesser, at(30)), None);
        assert!(!attempts.failed(&of("duty"), guesser, at(30)));
        assert_eq!(attempts.wait(&of("duty"), guesser, at(30)), Some(Duration::from_secs(60)));
        assert_eq!(attempts.wait(&of("duty"), person, at(30)), None, "the person signs in from their own place");
        for _ in 0..40 {
            attempts.failed(&of("duty"), guesser, at(30));
        }
        assert_eq!(attempts.wait(&of("duty"), guesser, at(30)), Some(Duration::from_secs(900)), "and no longer");
        assert_eq!(attempts.wait(&of("other"), guesser, at(30)), Some(Duration::from_secs(900)), "at any account");
        assert_eq!(attempts.wait(&of("other"), guesser, at(931)), None);
    }

    #[test]
    fn many_addresses_together_make_an_account_wait_and_success_forgets() {
        let attempts = Attempts::default();
        for number in 1..=50 {
            attempts.failed(&of("duty"), address(&format!("192.0.2.{number}")), at(0));
        }
        assert!(attempts.wait(&of("duty"), address("198.51.100.1"), at(0)).is_some());
        attempts.succeeded(&of("duty"), address("192.0.2.1"));
        assert_eq!(attempts.wait(&of("duty"), address("198.51.100.1"), at(0)), None);
    }

    #[test]
    fn a_network_of_ipv6_is_one_address_and_counts_are_bounded() {
        let attempts = Attempts::default();
        for number in 0..5 {
            attempts.failed(&of("duty"), address(&format!("2001:db8::{number}")), at(0));
        }
        assert!(attempts.wait(&of("duty"), address("2001:db8::ffff"), at(0)).is_some());
        for number in 0..20_000 {
            attempts.failed(&of(&format!("nobody{number}")), address("192.0.2.1"), at(1));
        }
        assert!(attempts.0.lock().len() <= COUNTED_MAX);
    }
}
