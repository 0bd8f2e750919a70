//! Who may: the only room that issues permits.
//!
//! A tenant and a purpose come in; a permit goes out. **Until identity exists there is exactly one
//! issuer, and it is in plain sight: the local operator, who may do everything in every tenant.**
//! Nobody is asked who they are, so whoever reaches the socket is the operator; `serve` therefore
//! refuses every address but loopback ([`listen_allowed`]).

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};

use city_model::permit::Grant;
use city_model::{AttributeMask, Mint, Permit, Right, TenantName, Time};

/// A permit outlives the request that asked for it by no more than this.
pub const PERMIT_SECONDS: i64 = 60;

/// How the local operator is called in permits and records.
pub const LOCAL_OPERATOR: &str = "local-operator";

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error(
        "Listening on {address} is refused: there are no identities yet, so everyone who reaches this address could read and change everything. Listen on 127.0.0.1:{port} or [::1]:{port}, and let a proxy or an ssh tunnel that checks who is there lead to it.",
        port = address.port()
    )]
    NotLoopback { address: SocketAddr },
}

impl Error {
    /// Its page is `docs/errors/<code>.md`.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotLoopback { .. } => "TRU-001",
        }
    }
}

/// Holds the process's mint. The clock comes in with each question.
#[derive(Debug)]
pub struct Trust {
    mint: Mint,
    epoch: AtomicU64,
}

impl Trust {
    #[must_use]
    pub fn new(mint: Mint) -> Self {
        Self { mint, epoch: AtomicU64::new(0) }
    }

    /// Permits of an earlier epoch are no longer to be honoured.
    #[must_use]
    pub fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::SeqCst)
    }

    /// Every right in one tenant, without filter or mask, for [`PERMIT_SECONDS`].
    #[must_use]
    pub fn issue_local_operator(&self, tenant: &TenantName, purpose: Option<&str>, now: Time) -> Permit {
        self.mint.issue(Grant {
            tenant: tenant.clone(),
            who: LOCAL_OPERATOR.into(),
            purpose: purpose.map(Into::into),
            rights: vec![Right::Read, Right::Write, Right::Define],
            filter: None,
            mask: AttributeMask::All,
            epoch: self.epoch(),
            expires_at: now.plus_micros(PERMIT_SECONDS * 1_000_000),
        })
    }
}

/// May the server listen here? Only where nobody but this machine's own users can knock.
pub fn listen_allowed(address: SocketAddr) -> Result<(), Error> {
    // An IPv4 loopback address written inside IPv6 is one too.
    match address.ip().to_canonical().is_loopback() {
        true => Ok(()),
        false => Err(Error::NotLoopback { address }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_local_operator_may_everything_in_the_named_tenant_for_a_minute() {
        let trust = Trust::new(Mint::take().unwrap());
        let tenant = TenantName::default_tenant();
        let permit = trust.issue_local_operator(&tenant, Some("operation"), Time::from_micros(5));
        assert_eq!((permit.tenant(), permit.who(), permit.purpose()), (&tenant, LOCAL_OPERATOR, Some("operation")));
        assert_eq!(permit.epoch(), trust.epoch());
        let end = Time::from_micros(5 + PERMIT_SECONDS * 1_000_000);
        for right in [Right::Read, Right::Write, Right::Define] {
            assert!(permit.check(right, end).is_ok());
            assert!(permit.check(right, end.plus_micros(1)).is_err());
        }
        assert!(permit.filter().is_none() && permit.mask().allows("anything"));
    }

    #[test]
    fn only_loopback_may_be_listened_on() {
        for address in ["127.0.0.1:9090", "127.8.0.1:1", "[::1]:9090", "[::ffff:127.0.0.1]:9090"] {
            assert_eq!(listen_allowed(address.parse().unwrap()), Ok(()), "{address}");
        }
        for address in ["0.0.0.0:9090", "[::]:9090", "192.168.1.2:9090", "[2001:db8::1]:80", "[::ffff:10.0.0.1]:80"] {
            let refused = listen_allowed(address.parse().unwrap()).unwrap_err().to_string();
            assert!(refused.contains(address) && refused.contains("Listen on 127.0.0.1:"), "{refused}");
        }
    }
}
