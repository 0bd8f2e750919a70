//! How many files the system lets the process have open; how many connections that leaves goes out.
//!
//! A connection is a file. With as many of them as files, the store could open none of its own; so
//! the connections are bounded first, and whoever is too many is told so.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Kept for deliveries (512) and for the files of the data folder.
const FILES_KEPT: u64 = 768;

/// How many may be open, after asking for as many as the system grants without a privilege.
#[must_use]
pub fn open_files_granted() -> u64 {
    let limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum {
        // Where it is refused, what is there counts.
        let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
    }
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}

/// So many of the wanted connections fit beside the other files; with few files, half of them.
#[must_use]
pub fn connections_within(files: u64, wanted: usize) -> usize {
    let left = files - FILES_KEPT.min(files / 2);
    wanted.min(usize::try_from(left).unwrap_or(usize::MAX)).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_leave_files_for_the_store() {
        assert_eq!(connections_within(u64::MAX, 8_192), 8_192);
        assert_eq!(connections_within(8_960, 8_192), 8_192);
        assert_eq!(connections_within(4_096, 8_192), 3_328);
        assert_eq!(connections_within(128, 8_192), 64);
        assert_eq!(connections_within(0, 8_192), 1);
    }
}
