//! What a person sees of long work: a line now and then, on the standard error.

use std::time::{Duration, Instant};

/// Between two lines.
const EVERY: Duration = Duration::from_secs(5);

pub struct Progress {
    what: &'static str,
    started: Instant,
    said: Instant,
}

impl Progress {
    pub fn new(what: &'static str) -> Self {
        Self { what, started: Instant::now(), said: Instant::now() }
    }

    pub fn seconds(&self) -> f64 {
        self.started.elapsed().as_secs_f64()
    }

    /// So many bytes are done, of so many if that is known.
    pub fn bytes(&mut self, done: u64, all: Option<u64>) {
        if self.said.elapsed() < EVERY {
            return;
        }
        self.said = Instant::now();
        let rate = mib(done) / self.seconds().max(0.001);
        match all.filter(|all| *all > 0) {
            Some(all) => eprintln!("{}: {:.0} of {:.0} MiB, {rate:.0} MiB/s", self.what, mib(done), mib(all)),
            None => eprintln!("{}: {:.0} MiB, {rate:.0} MiB/s", self.what, mib(done)),
        }
    }

    pub fn step(&mut self, what: &'static str) {
        *self = Self { what, started: self.started, said: self.said };
    }
}

pub fn mib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}
