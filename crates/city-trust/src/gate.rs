//! Who is asked who they are, and where a server may listen without asking.

use std::net::SocketAddr;

use crate::{Error, token};

/// Whether those who ask must say who they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Gate {
    /// Whoever reaches the socket is the local operator.
    Open,
    /// A token says who asks. The digest is of the local operator's, a new one for each run of the server.
    Closed { operator_digest: String },
}

impl Gate {
    /// Lets in whoever has this secret as the local operator.
    #[must_use]
    pub fn closed(operator_secret: &str) -> Self {
        Self::Closed { operator_digest: token::digest(operator_secret) }
    }
}

/// May the server listen here without asking who is there? Only where nobody but this machine's own users can knock.
pub fn listen_without_identities(address: SocketAddr) -> Result<(), Error> {
    if is_loopback(address) { Ok(()) } else { Err(Error::NotLoopback { address }) }
}

/// May the server listen here without TLS? Only where tokens do not go over a network.
pub fn listen_without_tls(address: SocketAddr) -> Result<(), Error> {
    if is_loopback(address) { Ok(()) } else { Err(Error::NotSecured { address }) }
}

/// An IPv4 loopback address written inside IPv6 is one too.
fn is_loopback(address: SocketAddr) -> bool {
    address.ip().to_canonical().is_loopback()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_identities_only_loopback_may_be_listened_on() {
        for address in ["127.0.0.1:9090", "127.8.0.1:1", "[::1]:9090", "[::ffff:127.0.0.1]:9090"] {
            let address = address.parse().unwrap();
            assert_eq!(listen_without_identities(address), Ok(()), "{address}");
            assert_eq!(listen_without_tls(address), Ok(()), "{address}");
        }
        for address in ["0.0.0.0:9090", "[::]:9090", "192.168.1.2:9090", "[2001:db8::1]:80", "[::ffff:10.0.0.1]:80"] {
            let refused = listen_without_identities(address.parse().unwrap()).unwrap_err().to_string();
            assert!(refused.contains(address) && refused.contains("Listen on 127.0.0.1:"), "{refused}");
            let refused = listen_without_tls(address.parse().unwrap()).unwrap_err().to_string();
            assert!(refused.contains(address) && refused.contains("--tls-cert"), "{refused}");
        }
    }
}
