//! The hand of the loop: whoever holds it writes what the loop alone may write.
//!
//! The process can take it once; `renkei` hands it to action. So no door, rule or import can make a
//! decision or move what is commandable, whatever its permit says.

use std::sync::atomic::{AtomicBool, Ordering};

#[derive(Debug)]
pub struct Hand(());

static HAND_TAKEN: AtomicBool = AtomicBool::new(false);

impl Hand {
    /// The process's hand, the first time; `None` ever after.
    #[must_use]
    pub fn take() -> Option<Self> {
        (!HAND_TAKEN.swap(true, Ordering::SeqCst)).then_some(Self(()))
    }
}
