//! The rule of the room: which hosts may be connected to, and at which addresses.
//!
//! A host must stand in the list. A *name* in the list opens only public addresses, since whoever
//! holds the name chooses its addresses; a place inside the network is opened by its address, its
//! network, or `allow_private`. The cloud's metadata address is opened by exactly itself alone.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;
use std::time::Duration;

use crate::address::{self, Reach};
use crate::error::Error;
use crate::target::Host;

/// What operators set (`outbound.*`).
#[derive(Debug, Clone)]
pub struct Policy {
    /// Empty means that nothing outside is ever contacted.
    pub allow: Vec<Pattern>,
    pub allow_private: bool,
    /// From the look-up of the name to the end of the TLS handshake.
    pub connect_timeout: Duration,
    /// From the wish to the last byte of the answer.
    pub request_timeout: Duration,
    pub response_bytes_max: usize,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            allow: Vec::new(),
            allow_private: false,
            connect_timeout: Duration::from_secs(5),
            request_timeout: Duration::from_secs(10),
            response_bytes_max: 16 * 1024 * 1024,
        }
    }
}

/// One entry of `--outbound-allow`: `*`, `example.org`, `*.example.org`, `10.2.0.0/16`, `10.2.3.4`,
/// `fd00::/8`, `[::1]`; each but a network with an optional `:port`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern {
    place: Place,
    port: Option<u16>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Place {
    Anywhere,
    Name(String),
    /// Any name that ends in this, dot included.
    Below(String),
    Network(Network),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Network {
    first: IpAddr,
    prefix: u8,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "\"{text}\" is no entry for --outbound-allow: {why} Write *, example.org, *.example.org, 10.2.0.0/16, 10.2.3.4 or [::1], a host also with :port."
)]
pub struct InvalidPattern {
    text: String,
    why: String,
}

impl FromStr for Pattern {
    type Err = InvalidPattern;

    fn from_str(text: &str) -> Result<Self, InvalidPattern> {
        let invalid = |why: String| InvalidPattern { text: text.to_owned(), why };
        if let Some((first, prefix)) = text.split_once('/') {
            let network = Network::parse(first, prefix).map_err(invalid)?;
            return Ok(Self { place: Place::Network(network), port: None });
        }
        if let Ok(IpAddr::V6(v6)) = text.parse() {
            return Ok(Self { place: Place::Network(Network::only(IpAddr::V6(v6))), port: None });
        }
        let (host, port) = match text.rsplit_once(':') {
            Some((host, digits)) if !digits.ends_with(']') => {
                let port = digits.parse().ok().filter(|port| *port > 0);
                (host, Some(port.ok_or_else(|| invalid(format!("\"{digits}\" is not a port.")))?))
            }
            _ => (text, None),
        };
        let place = if host == "*" {
            Place::Anywhere
        } else {
            let below = host.strip_prefix("*.");
            match (below, Host::parse(below.unwrap_or(host)).map_err(|why| invalid(why.to_string()))?) {
                (None, Host::Name(name)) => Place::Name(name),
                (Some(_), Host::Name(name)) => Place::Below(format!(".{name}")),
                (None, Host::Address(address)) => Place::Network(Network::only(address)),
                (Some(_), Host::Address(_)) => return Err(invalid("an address has no names below it.".into())),
            }
        };
        Ok(Self { place, port })
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            Place::Anywhere => f.write_str("*")?,
            Place::Name(name) => f.write_str(name)?,
            Place::Below(suffix) => write!(f, "*{suffix}")?,
            Place::Network(network) if network.is_one_host() => write!(f, "{}", Host::Address(network.first))?,
            Place::Network(network) => write!(f, "{}/{}", network.first, network.prefix)?,
        }
        match self.port {
            Some(port) => write!(f, ":{port}"),
            None => Ok(()),
        }
    }
}

impl Network {
    fn only(address: IpAddr) -> Self {
        let first = address::plain(address);
        Self { first, prefix: Self::bits(first) }
    }

    fn parse(first: &str, prefix: &str) -> Result<Self, String> {
        let first: IpAddr = first.parse().map_err(|_| format!("\"{first}\" is not an IP address."))?;
        let prefix = prefix.parse().ok().filter(|bits| *bits <= Self::bits(first));
        let prefix = prefix.ok_or_else(|| format!("the prefix must be 0 to {}.", Self::bits(first)))?;
        Ok(Self { first, prefix })
    }

    fn bits(address: IpAddr) -> u8 {
        if address.is_ipv4() { 32 } else { 128 }
    }

    fn is_one_host(&self) -> bool {
        self.prefix == Self::bits(self.first)
    }

    fn contains(&self, address: IpAddr) -> bool {
        // Compared from the highest bit; IPv4 sits in the upper 32 of 128.
        let number = |address: IpAddr| match address {
            IpAddr::V4(v4) => u128::from(u32::from(v4)) << 96,
            IpAddr::V6(v6) => u128::from(v6),
        };
        let differing = number(self.first) ^ number(address);
        self.first.is_ipv4() == address.is_ipv4() && differing.leading_zeros() >= u32::from(self.prefix)
    }
}

impl Policy {
    /// May the name be asked for at all? Its addresses are judged when they are known.
    pub(crate) fn check_host(&self, host: &Host, port: u16) -> Result<(), Error> {
        if let Host::Address(address) = host {
            return self.check_address(host, *address, port);
        }
        // An entry with a network may still open what the name resolves to.
        let may_match = |pattern: &Pattern| {
            pattern.fits_port(port) && (pattern.fits_host(host) || matches!(pattern.place, Place::Network(_)))
        };
        match self.allow.iter().any(may_match) {
            true => Ok(()),
            false => Err(Error::NotListed { host: host.to_string(), port }),
        }
    }

    /// Whether an entry has the name of this host.
    pub(crate) fn names(&self, host: &Host, port: u16) -> bool {
        self.allow.iter().any(|pattern| pattern.fits_port(port) && pattern.fits_host(host))
    }

    /// The last word before the connection to exactly this address.
    pub(crate) fn check_address(&self, host: &Host, address: IpAddr, port: u16) -> Result<(), Error> {
        let address = address::plain(address);
        let reach = address::reach(address);
        let refused = || Error::NotPublic { host: host.to_string(), port, address, reach };
        if reach == Reach::Nowhere {
            return Err(refused());
        }
        let mut listed = false;
        for pattern in self.allow.iter().filter(|pattern| pattern.fits_port(port)) {
            let by_address = match &pattern.place {
                Place::Network(network) if network.contains(address) => {
                    reach != Reach::Metadata || network.is_one_host()
                }
                _ => false,
            };
            if by_address {
                return Ok(());
            }
            listed |= pattern.fits_host(host);
        }
        let open = match reach {
            Reach::Public => true,
            Reach::Loopback | Reach::LinkLocal | Reach::Private => self.allow_private,
            Reach::Metadata | Reach::Nowhere => false,
        };
        match (listed, open) {
            (true, true) => Ok(()),
            (_, false) => Err(refused()),
            (false, true) => Err(Error::NotListed { host: host.to_string(), port }),
        }
    }
}

impl Pattern {
    fn fits_port(&self, port: u16) -> bool {
        self.port.is_none_or(|only| only == port)
    }

    fn fits_host(&self, host: &Host) -> bool {
        match (&self.place, host) {
            (Place::Anywhere, _) => true,
            (Place::Name(listed), Host::Name(name)) => listed == name,
            (Place::Below(suffix), Host::Name(name)) => name.ends_with(suffix.as_str()),
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(allow: &[&str], allow_private: bool) -> Policy {
        let allow = allow.iter().map(|text| text.parse().unwrap()).collect();
        Policy { allow, allow_private, ..Policy::default() }
    }

    #[test]
    fn a_connection_needs_an_entry_for_the_host_and_an_open_address() {
        for (allow, allow_private, host, address, port, allowed) in [
            (&[][..], true, "example.org", "93.184.215.14", 443, false),
            (&["*"], false, "example.org", "93.184.215.14", 443, true),
            (&["*"], false, "example.org", "10.0.0.1", 443, false),
            (&["*"], true, "example.org", "10.0.0.1", 443, true),
            (&["*"], true, "example.org", "169.254.169.254", 80, false),
            (&["169.254.0.0/16"], true, "example.org", "169.254.169.254", 80, false),
            (&["169.254.169.254"], false, "example.org", "169.254.169.254", 80, true),
            (&["*", "0.0.0.0/0"], true, "example.org", "0.0.0.0", 80, false),
            (&["example.org"], false, "example.org", "93.184.215.14", 443, true),
            (&["example.org"], false, "example.org", "127.0.0.1", 443, false),
            (&["example.org"], false, "www.example.org", "93.184.215.14", 443, false),
            (&["*.example.org"], false, "www.example.org", "93.184.215.14", 443, true),
            (&["*.example.org"], false, "example.org", "93.184.215.14", 443, false),
            (&["*.example.org"], false, "wwwexample.org", "93.184.215.14", 443, false),
            (&["example.org:8443"], false, "example.org", "93.184.215.14", 8443, true),
            (&["example.org:8443"], false, "example.org", "93.184.215.14", 443, false),
            (&["10.2.0.0/16"], false, "broker.city", "10.2.255.1", 1026, true),
            (&["10.2.0.0/16"], false, "broker.city", "10.3.0.1", 1026, false),
            (&["127.0.0.1:9090"], false, "localhost", "127.0.0.1", 9090, true),
            (&["127.0.0.1:9090"], false, "localhost", "127.0.0.1", 9091, false),
            (&["127.0.0.1"], false, "localhost", "::ffff:127.0.0.1", 9091, true),
            (&["[::1]:80"], false, "localhost", "::1", 80, true),
            (&["::1"], false, "localhost", "::1", 80, true),
            (&["fd00::/8"], false, "sensor", "fd12::1", 80, true),
        ] {
            let (host, address) = (Host::parse(host).unwrap(), address.parse().unwrap());
            let policy = policy(allow, allow_private);
            let verdict = policy.check_host(&host, port).and_then(|()| policy.check_address(&host, address, port));
            assert_eq!(verdict.is_ok(), allowed, "{allow:?} {host} {address}:{port} {verdict:?}");
        }
    }

    #[test]
    fn an_entry_is_shown_as_it_was_written() {
        for text in [
            "*",
            "*:443",
            "example.org",
            "*.example.org:81",
            "10.0.0.0/8",
            "10.0.0.1:80",
            "[::1]",
            "[::1]:80",
            "fd00::/8",
        ] {
            assert_eq!(text.parse::<Pattern>().unwrap().to_string(), text);
        }
        for text in ["", "a b", "10.0.0.0/33", "example.org/8", "example.org:0", "*.10.0.0.1", "2130706433", "*.*"] {
            assert!(text.parse::<Pattern>().is_err(), "{text}");
        }
    }
}
