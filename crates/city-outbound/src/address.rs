//! How far an address reaches. Facts from the IANA special-purpose address registries (IPv4 and IPv6).

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    Public,
    Loopback,
    LinkLocal,
    /// RFC 1918, carrier-grade NAT (RFC 6598), unique local (RFC 4193), benchmarking (RFC 2544).
    Private,
    /// Answers with the machine's own cloud credentials.
    Metadata,
    /// Unspecified, multicast, broadcast, documentation and reserved addresses.
    Nowhere,
}

impl fmt::Display for Reach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Public => "a public address",
            Self::Loopback => "a loopback address (this machine)",
            Self::LinkLocal => "a link-local address",
            Self::Private => "an address of a private network",
            Self::Metadata => "the metadata address of a cloud, which hands out this machine's credentials",
            Self::Nowhere => "not the address of one host",
        })
    }
}

/// Amazon, Google, Azure and most others; Amazon's container credentials; Alibaba; Azure's platform address.
const METADATA_V4: [Ipv4Addr; 4] = [
    Ipv4Addr::new(169, 254, 169, 254),
    Ipv4Addr::new(169, 254, 170, 2),
    Ipv4Addr::new(100, 100, 100, 200),
    Ipv4Addr::new(168, 63, 129, 16),
];
/// Amazon's over IPv6.
const METADATA_V6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254);

/// The address that a connection would really go to: an IPv4 address written inside IPv6 counts as itself.
#[must_use]
pub fn plain(address: IpAddr) -> IpAddr {
    let IpAddr::V6(v6) = address else { return address };
    match v6.segments() {
        // Mapped (RFC 4291 section 2.5.5.2), translated (RFC 2765) and through a NAT64 (RFC 6052).
        [0, 0, 0, 0, 0, 0xffff, a, b] | [0, 0, 0, 0, 0xffff, 0, a, b] | [0x64, 0xff9b, 0, 0, 0, 0, a, b] => {
            embedded(a, b)
        }
        // 6to4 (RFC 3056).
        [0x2002, a, b, ..] => embedded(a, b),
        _ => address,
    }
}

fn embedded(high: u16, low: u16) -> IpAddr {
    IpAddr::V4(Ipv4Addr::from((u32::from(high) << 16) | u32::from(low)))
}

#[must_use]
pub fn reach(address: IpAddr) -> Reach {
    match plain(address) {
        IpAddr::V4(v4) => reach_v4(v4),
        IpAddr::V6(v6) => reach_v6(v6),
    }
}

fn reach_v4(address: Ipv4Addr) -> Reach {
    if METADATA_V4.contains(&address) {
        return Reach::Metadata;
    }
    match address.octets() {
        [0, ..] => Reach::Nowhere,
        [127, ..] => Reach::Loopback,
        [169, 254, ..] => Reach::LinkLocal,
        [10, ..] | [172, 16..=31, ..] | [192, 168, ..] | [100, 64..=127, ..] => Reach::Private,
        [198, 18..=19, ..] | [192, 0, 0, _] => Reach::Private,
        [192, 0, 2, _] | [198, 51, 100, _] | [203, 0, 113, _] | [192, 88, 99, _] => Reach::Nowhere,
        [224..=255, ..] => Reach::Nowhere,
        _ => Reach::Public,
    }
}

fn reach_v6(address: Ipv6Addr) -> Reach {
    if address == METADATA_V6 {
        return Reach::Metadata;
    }
    if address.is_loopback() {
        return Reach::Loopback;
    }
    match address.segments() {
        [0xfe80..=0xfebf, ..] => Reach::LinkLocal,
        // Unique local, the old site-local block, and a network's own NAT64 (RFC 8215).
        [0xfc00..=0xfdff | 0xfec0..=0xfeff, ..] | [0x64, 0xff9b, 1, ..] => Reach::Private,
        // Teredo hides another address inside; documentation, ORCHID, discard and benchmarking.
        [0x2001, 0, ..] | [0x2001, 2, 0, ..] | [0x2001, 0xdb8, ..] | [0x3fff, 0..=0xfff, ..] => Reach::Nowhere,
        [0x2001, 0x10..=0x2f, ..] => Reach::Nowhere,
        // Only 2000::/3 is handed out as global unicast.
        [0x2000..=0x3fff, ..] => Reach::Public,
        _ => Reach::Nowhere,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_special_address_is_recognised_in_all_its_writings() {
        for (text, expected) in [
            ("8.8.8.8", Reach::Public),
            ("2606:4700::1111", Reach::Public),
            ("127.0.0.1", Reach::Loopback),
            ("127.255.255.254", Reach::Loopback),
            ("::1", Reach::Loopback),
            ("::ffff:127.0.0.1", Reach::Loopback),
            ("64:ff9b::7f00:1", Reach::Loopback),
            ("2002:7f00:1::", Reach::Loopback),
            ("10.1.2.3", Reach::Private),
            ("172.31.0.1", Reach::Private),
            ("172.32.0.1", Reach::Public),
            ("192.168.0.1", Reach::Private),
            ("::ffff:192.168.0.1", Reach::Private),
            ("100.64.0.1", Reach::Private),
            ("100.128.0.1", Reach::Public),
            ("fd12:3456::1", Reach::Private),
            ("fec0::1", Reach::Private),
            ("169.254.1.1", Reach::LinkLocal),
            ("fe80::1", Reach::LinkLocal),
            ("169.254.169.254", Reach::Metadata),
            ("::ffff:a9fe:a9fe", Reach::Metadata),
            ("100.100.100.200", Reach::Metadata),
            ("fd00:ec2::254", Reach::Metadata),
            ("0.0.0.0", Reach::Nowhere),
            ("::", Reach::Nowhere),
            ("::7f00:1", Reach::Nowhere),
            ("224.0.0.1", Reach::Nowhere),
            ("255.255.255.255", Reach::Nowhere),
            ("ff02::1", Reach::Nowhere),
            ("2001:0:7f00:1::", Reach::Nowhere),
        ] {
            assert_eq!(reach(text.parse().unwrap()), expected, "{text}");
        }
    }
}
