//! Waiting for a condition, with a bound that only a broken server reaches.

use std::time::{Duration, Instant};

/// Longest wait for anything; far beyond what a loaded machine needs.
pub const PATIENCE: Duration = Duration::from_secs(60);
const BETWEEN: Duration = Duration::from_millis(20);

/// Asks until there is something, and gives it.
///
/// # Panics
///
/// When nothing came within [`PATIENCE`].
pub fn eventually<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(found) = ask() {
            return found;
        }
        assert!(started.elapsed() < PATIENCE, "waited {PATIENCE:?} in vain until {what}");
        std::thread::sleep(BETWEEN);
    }
}

/// Looks for a while that something does not happen.
///
/// # Panics
///
/// When it does.
pub fn never_within(span: Duration, what: &str, mut happened: impl FnMut() -> bool) {
    let started = Instant::now();
    while started.elapsed() < span {
        assert!(!happened(), "it happened that {what}");
        std::thread::sleep(BETWEEN);
    }
}

/// A time of an answer, in microseconds since 1970.
///
/// # Panics
///
/// When it is none.
#[must_use]
pub fn micros_of(time: &str) -> i64 {
    time.parse::<jiff::Timestamp>().unwrap_or_else(|error| panic!("{time}: {error}")).as_microsecond()
}
