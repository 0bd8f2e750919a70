//! An address text comes in; the host, port and request line that it surely means go out.
//!
//! Two readers that understand one address differently are how such checks are walked around
//! (`http://allowed@inside/`, `http://2130706433/`), so only the plain form is accepted.

use std::net::IpAddr;

use http::Uri;

use crate::address;
use crate::error::Error;

/// Longer addresses are refused.
pub const ADDRESS_BYTES_MAX: usize = 8 * 1024;
/// RFC 1035 section 2.3.4.
const HOST_BYTES_MAX: usize = 253;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Target {
    pub host: Host,
    pub port: u16,
    pub uri: Uri,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Host {
    Name(String),
    Address(IpAddr),
}

impl std::fmt::Display for Host {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name),
            Self::Address(IpAddr::V6(v6)) => write!(f, "[{v6}]"),
            Self::Address(IpAddr::V4(v4)) => write!(f, "{v4}"),
        }
    }
}

impl Target {
    pub fn parse(text: &str) -> Result<Self, Error> {
        if text.len() > ADDRESS_BYTES_MAX {
            return Err(refuse(format!("it is longer than {ADDRESS_BYTES_MAX} bytes.")));
        }
        let uri: Uri = text.parse().map_err(|why| refuse(format!("it is not a valid URL ({why}).")))?;
        Self::from_uri(&uri)
    }

    pub fn from_uri(uri: &Uri) -> Result<Self, Error> {
        let scheme = uri.scheme_str().ok_or_else(|| refuse("it must begin with http:// or https://."))?;
        let default_port = match scheme {
            "http" => 80,
            "https" => 443,
            other => return Err(refuse(format!("{other} is not http or https."))),
        };
        let authority = uri.authority().ok_or_else(|| refuse("it names no host."))?;
        if authority.as_str().contains('@') {
            return Err(refuse("a user name or password in it is not accepted; use a header."));
        }
        let host = Host::parse(authority.host())?;
        // `http` takes `host:` and `host:99999` for a host without a port.
        let port = match authority.as_str().get(authority.host().len()..).and_then(|rest| rest.strip_prefix(':')) {
            None => default_port,
            Some(digits) => match digits.parse() {
                Ok(port) if port > 0 && digits.bytes().all(|b| b.is_ascii_digit()) => port,
                _ => return Err(refuse(format!("its port \"{digits}\" is not a number from 1 to 65535."))),
            },
        };
        let path = uri.path_and_query().map_or("/", http::uri::PathAndQuery::as_str);
        let authority = if port == default_port { host.to_string() } else { format!("{host}:{port}") };
        let uri = Uri::builder()
            .scheme(scheme)
            .authority(authority)
            .path_and_query(path)
            .build()
            .map_err(|why| refuse(format!("it is not a valid URL ({why}).")))?;
        Ok(Self { host, port, uri })
    }

    /// Where it arrives: scheme, host, port and path, one text for all ways of writing the same.
    pub fn place(&self) -> String {
        let scheme = self.uri.scheme_str().unwrap_or_default();
        format!("{scheme}://{}:{}{}", self.host, self.port, plain_path(self.uri.path()))
    }
}

/// Without escapes of signs that need none, and without the steps `.` and `..` and empty ones (RFC 3986 section 6).
fn plain_path(path: &str) -> String {
    let plain = unescaped(path);
    let mut steps: Vec<&str> = Vec::new();
    for step in plain.split('/') {
        match step {
            "" | "." => {}
            ".." => drop(steps.pop()),
            step => steps.push(step),
        }
    }
    format!("/{}", steps.join("/"))
}

impl Host {
    pub fn parse(text: &str) -> Result<Self, Error> {
        if let Some(inner) = text.strip_prefix('[') {
            let inner = inner.strip_suffix(']').unwrap_or(inner);
            let v6: std::net::Ipv6Addr =
                inner.parse().map_err(|_| refuse(format!("{text} is not an IPv6 address.")))?;
            return Ok(Self::Address(address::plain(IpAddr::V6(v6))));
        }
        // One final dot only says that the name is complete.
        let name = text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase();
        if name.is_empty() || name.len() > HOST_BYTES_MAX {
            return Err(refuse(format!("its host must have 1 to {HOST_BYTES_MAX} characters.")));
        }
        if let Ok(v4) = name.parse::<std::net::Ipv4Addr>() {
            return Ok(Self::Address(IpAddr::V4(v4)));
        }
        let plain_label = |label: &str| {
            (1..=63).contains(&label.len())
                && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
        };
        if !name.split('.').all(plain_label) {
            return Err(refuse(format!(
                "\"{name}\" is not a plain host name; write other alphabets in their xn-- form."
            )));
        }
        // Resolvers read 2130706433, 0x7f.1 and 0177.0.0.1 as 127.0.0.1 (WHATWG URL, "ends in a number").
        let last = name.rsplit('.').next().unwrap_or_default();
        let hexadecimal = last.strip_prefix("0x").is_some_and(|digits| digits.bytes().all(|b| b.is_ascii_hexdigit()));
        if hexadecimal || last.bytes().all(|b| b.is_ascii_digit()) {
            return Err(refuse(format!(
                "\"{name}\" is a number; write an IPv4 address as four plain decimal numbers."
            )));
        }
        Ok(Self::Name(name))
    }
}

/// What is escaped more than once is another path.
fn unescaped(path: &str) -> String {
    let (mut plain, mut rest) = (Vec::with_capacity(path.len()), path.as_bytes());
    while let Some((&byte, behind)) = rest.split_first() {
        let digits = behind.get(..2).filter(|_| byte == b'%').and_then(|two| std::str::from_utf8(two).ok());
        match digits.and_then(|two| u8::from_str_radix(two, 16).ok()) {
            Some(escaped) => {
                plain.push(escaped);
                rest = &behind[2..];
            }
            None => {
                plain.push(byte);
                rest = behind;
            }
        }
    }
    String::from_utf8_lossy(&plain).into_owned()
}

fn refuse(why: impl Into<String>) -> Error {
    Error::Address { why: why.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_addresses_are_understood() {
        for (text, host, port, uri) in [
            ("http://example.org", "example.org", 80, "http://example.org/"),
            ("https://Example.org.:443/a?b=c#d", "example.org", 443, "https://example.org/a?b=c"),
            ("http://10.0.0.1:8080/x", "10.0.0.1", 8080, "http://10.0.0.1:8080/x"),
            ("http://[2001:DB8::1]:81/", "[2001:db8::1]", 81, "http://[2001:db8::1]:81/"),
            ("http://[::ffff:127.0.0.1]/", "127.0.0.1", 80, "http://127.0.0.1/"),
        ] {
            let target = Target::parse(text).unwrap();
            assert_eq!(
                (target.host.to_string().as_str(), target.port, target.uri.to_string().as_str()),
                (host, port, uri)
            );
        }
    }

    #[test]
    fn one_place_has_one_text() {
        let place = |text: &str| Target::parse(text).unwrap().place();
        for same in [
            "http://Example.org/a/b",
            "http://example.org:80/a/b?c=d",
            "http://example.org./a//b/",
            "http://example.org/%61/./x/../b#e",
        ] {
            assert_eq!(place(same), "http://example.org:80/a/b", "{same}");
        }
        for other in ["https://example.org/a/b", "http://example.org:81/a/b", "http://example.org/A/b"] {
            assert_ne!(place(other), "http://example.org:80/a/b", "{other}");
        }
    }

    #[test]
    fn addresses_that_could_be_read_in_two_ways_are_refused() {
        for text in [
            "",
            "example.org/a",
            "/a",
            "ftp://example.org/",
            "file:///etc/passwd",
            "http://",
            "http:///a",
            "http://user@example.org/",
            "http://user:password@example.org/",
            "http://allowed.org@127.0.0.1/",
            "http://2130706433/",
            "http://0x7f000001/",
            "http://0x7f.1/",
            "http://0177.0.0.1/",
            "http://127.1/",
            "http://127.0.0.1.1/",
            "http://1.2.3.4.5/",
            "http://999.1.1.1/",
            "http://example.org:0/",
            "http://example.org:/",
            "http://example.org:99999/",
            "http://example.org:+80/",
            "http://exa%6dple.org/",
            "http://a..b/",
            "http://[::1/",
            "http://[fe80::1%25eth0]/",
            "http://example.org\\@inside/",
            "http://例え.jp/",
        ] {
            assert!(matches!(Target::parse(text), Err(Error::Address { .. })), "{text} {:?}", Target::parse(text));
        }
    }
}
