//! Digests of what came in.

use sha2::{Digest, Sha256};

/// SHA-256, in hexadecimal.
pub(crate) fn sha256(bytes: &[u8]) -> Box<str> {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect::<String>().into()
}
