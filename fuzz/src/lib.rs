//! What breaks in, breaks here first: every reader of the house gets inputs that nobody would write.
//!
//! A *target* is a plain function from bytes that must hold for whatever comes: no panic, no answer
//! larger than its input explains, and what is read and can be written reads back as the same.
//! `tests/inputs.rs` hands each of them 10,000 broken inputs in seconds, `make torture` a million.
//! The targets are functions `fn(&[u8])`, so that any fuzzer can drive them too.

pub mod mutate;
pub mod targets;

pub use targets::{Target, target};

/// Peak of the process's memory so far, in bytes; `None` where the system does not say.
#[must_use]
pub fn resident_peak_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.trim().trim_end_matches("kB").trim().parse::<u64>().ok()? * 1024)
}
