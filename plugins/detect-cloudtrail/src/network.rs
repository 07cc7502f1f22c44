//! Addresses and networks.

use std::net::IpAddr;

/// A network; the bits behind its prefix do not matter.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Network {
    start: IpAddr,
    pub(crate) prefix: u8,
}

impl Network {
    /// `192.0.2.0/24`, `2001:db8::/32`, or an address alone.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (start, prefix) = if let Some((start, prefix)) = text.trim().split_once('/') {
            (address(start)?, prefix.parse().ok()?)
        } else {
            let start = address(text)?;
            (start, bits(start))
        };
        (prefix <= bits(start)).then_some(Self { start, prefix })
    }

    pub(crate) fn has(self, ip: IpAddr) -> bool {
        let same = |one: u128, other: u128, bits: u8| {
            let rest = u32::from(bits - self.prefix);
            one.checked_shr(rest).unwrap_or(0) == other.checked_shr(rest).unwrap_or(0)
        };
        match (self.start, ip) {
            (IpAddr::V4(one), IpAddr::V4(other)) => {
                same(one.to_bits().into(), other.to_bits().into(), 32)
            }
            (IpAddr::V6(one), IpAddr::V6(other)) => same(one.to_bits(), other.to_bits(), 128),
            _ => false,
        }
    }
}

fn bits(ip: IpAddr) -> u8 {
    if ip.is_ipv4() { 32 } else { 128 }
}

/// An address; of IPv4 written as IPv6, the former.
pub(crate) fn address(text: &str) -> Option<IpAddr> {
    text.trim().parse().ok().map(|ip: IpAddr| ip.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_hold_their_addresses() {
        let has = |network: &str, ip: &str| {
            let network = Network::parse(network).expect("a network");
            network.has(address(ip).expect("an address"))
        };
        assert!(has("192.0.2.0/24", "192.0.2.255"));
        assert!(has("192.0.2.7/24", "192.0.2.1"));
        assert!(has("0.0.0.0/0", "203.0.113.9"));
        assert!(has("::/0", "2001:db8::1"));
        assert!(has("2001:db8::/32", "2001:db8:ffff::1"));
        assert!(has("192.0.2.1", "::ffff:192.0.2.1"));
        assert!(!has("192.0.2.0/24", "192.0.3.0"));
        assert!(!has("0.0.0.0/0", "2001:db8::1"));
    }

    #[test]
    fn what_is_no_network_is_refused() {
        for text in [
            "",
            "192.0.2.0/33",
            "192.0.2.0/x",
            "192.0.2/24",
            "::/129",
            "/8",
            "1.2.3.4/-1",
        ] {
            assert!(Network::parse(text).is_none(), "{text}");
        }
    }
}
