//! One clock per process, brought in from the edge. `serve` has the real one, the demo a virtual one.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use city_model::Time;

pub trait Clock: Send + Sync {
    fn now(&self) -> Time;
}

#[derive(Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Time {
        let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Time::from_micros(i64::try_from(since_1970.as_micros()).unwrap_or(i64::MAX))
    }
}

/// Time that somebody else moves.
#[derive(Debug)]
pub struct VirtualClock {
    micros: AtomicI64,
}

impl VirtualClock {
    #[must_use]
    pub fn starting_at(time: Time) -> Self {
        Self { micros: AtomicI64::new(time.as_micros()) }
    }

    pub fn set(&self, time: Time) {
        self.micros.store(time.as_micros(), Ordering::Release);
    }

    pub fn advance_micros(&self, micros: i64) {
        self.micros.fetch_add(micros, Ordering::AcqRel);
    }
}

impl Clock for VirtualClock {
    fn now(&self) -> Time {
        Time::from_micros(self.micros.load(Ordering::Acquire))
    }
}
