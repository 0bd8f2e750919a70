//! Tells streams that the journal has grown: one thread waits for all of them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use city_store::JournalReader;
use tokio::sync::{Semaphore, watch};

use crate::stream::STREAMS_MAX;

/// Between two looks whether the server ends.
const IDLE: Duration = Duration::from_millis(500);

/// What all streams share.
#[derive(Debug)]
pub struct Streams {
    pub places: Arc<Semaphore>,
    ending: Arc<AtomicBool>,
    pulse: watch::Receiver<u64>,
}

impl Streams {
    pub fn start(journal: JournalReader) -> std::io::Result<Self> {
        let (sender, pulse) = watch::channel(journal.durable());
        let ending = Arc::new(AtomicBool::new(false));
        let watched = Arc::clone(&ending);
        std::thread::Builder::new().name("pulse".to_owned()).spawn(move || {
            while !watched.load(Ordering::Acquire) && !journal.is_closed() {
                let last = *sender.borrow();
                if journal.wait_after(last, IDLE) {
                    sender.send_replace(journal.durable());
                }
            }
        })?;
        Ok(Self { places: Arc::new(Semaphore::new(STREAMS_MAX)), ending, pulse })
    }

    /// Wakes whoever awaits it when there is more to read.
    #[must_use]
    pub fn pulse(&self) -> watch::Receiver<u64> {
        self.pulse.clone()
    }

    /// Streams end now: they would keep a server that stops from ending.
    pub fn end(&self) {
        self.ending.store(true, Ordering::Release);
    }

    #[must_use]
    pub fn are_ending(&self) -> bool {
        self.ending.load(Ordering::Acquire)
    }
}

impl Drop for Streams {
    fn drop(&mut self) {
        self.end();
    }
}
