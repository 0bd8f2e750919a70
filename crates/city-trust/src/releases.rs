//! What is on its way out, and waiting for it when powers are taken away.
//!
//! An answer or notification that was made ready under a permit is *released*: it holds a place under the
//! epoch of that instant until its last byte is handed over. Whoever takes powers away moves the epoch on,
//! waits for the places of earlier ones, and answers then; what takes too long is cut.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use city_model::Release;
use parking_lot::{Condvar, Mutex};

/// How long whoever takes powers away waits for what is on its way out, before it is cut.
pub const RELEASE_WAIT_MAX: Duration = Duration::from_secs(1);

#[derive(Debug, Default, Clone)]
pub struct Releases {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    ended: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// How many of each epoch are under way.
    under_way: BTreeMap<u64, usize>,
    /// Those of earlier epochs must end.
    cut_below: u64,
}

#[derive(Debug)]
struct UnderWay {
    shared: Arc<Shared>,
    epoch: u64,
}

impl Releases {
    pub fn begin(&self, epoch: u64) -> Box<dyn Release> {
        *self.shared.state.lock().under_way.entry(epoch).or_default() += 1;
        Box::new(UnderWay { shared: Arc::clone(&self.shared), epoch })
    }

    /// Waits until nothing of an earlier epoch is under way; what is then still there is cut. Blocks.
    pub fn wait_below(&self, epoch: u64) {
        let until = Instant::now() + RELEASE_WAIT_MAX;
        let mut state = self.shared.state.lock();
        while state.under_way.range(..epoch).next().is_some() {
            if self.shared.ended.wait_until(&mut state, until).timed_out() {
                state.cut_below = state.cut_below.max(epoch);
                return;
            }
        }
    }
}

impl Release for UnderWay {
    fn is_cut(&self) -> bool {
        self.epoch < self.shared.state.lock().cut_below
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        let mut state = self.shared.state.lock();
        if let Some(count) = state.under_way.get_mut(&self.epoch) {
            *count -= 1;
            if *count == 0 {
                state.under_way.remove(&self.epoch);
                self.shared.ended.notify_all();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_takes_powers_away_waits_for_what_was_begun_and_cuts_what_does_not_end() {
        let releases = Releases::default();
        let (early, late) = (releases.begin(1), releases.begin(2));
        drop(early);
        // Nothing of an earlier epoch is under way: what began since is not waited for.
        releases.wait_below(2);
        assert!(!late.is_cut());
        let waiting = {
            let releases = releases.clone();
            std::thread::spawn(move || releases.wait_below(3))
        };
        waiting.join().unwrap();
        assert!(late.is_cut(), "it did not end in time");
        assert!(!releases.begin(3).is_cut());
    }
}
