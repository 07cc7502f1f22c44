//! The class of a source address.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Class of `sourceIPAddress`, which is an address, the name of an AWS service, or `AWS Internal`.
/// Nothing where the event has none.
pub(crate) fn class(address: &[u8]) -> Option<&'static str> {
    if address.is_empty() {
        return None;
    }
    if address == b"AWS Internal" {
        return Some("aws-internal");
    }
    // An address ends in a digit, or in a colon or hex digit; no service's name has a colon in it.
    let named = address.ends_with(b".com") || address.ends_with(b".com.cn");
    if named {
        let service =
            address.ends_with(b".amazonaws.com") || address.ends_with(b".amazonaws.com.cn");
        return Some(if service { "aws-service" } else { "invalid" });
    }
    let parsed = std::str::from_utf8(address)
        .ok()
        .and_then(|text| text.parse().ok());
    Some(match parsed {
        Some(IpAddr::V4(v4)) => class_v4(v4),
        Some(IpAddr::V6(v6)) => v6.to_ipv4_mapped().map_or_else(|| class_v6(v6), class_v4),
        None => "invalid",
    })
}

fn class_v4(address: Ipv4Addr) -> &'static str {
    match address.octets() {
        [127, ..] => "loopback",
        [10, ..] | [172, 16..=31, ..] | [192, 168, ..] | [100, 64..=127, ..] => "private",
        [169, 254, ..] => "link-local",
        [0 | 224..=255, ..] => "reserved",
        _ => "public",
    }
}

fn class_v6(address: Ipv6Addr) -> &'static str {
    match address.segments() {
        [0, 0, 0, 0, 0, 0, 0, 1] => "loopback",
        [0xfc00..=0xfdff, ..] => "private",
        [0xfe80..=0xfebf, ..] => "link-local",
        [0xff00..=0xffff, ..] | [0, 0, 0, 0, 0, 0, 0, 0] => "reserved",
        _ => "public",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_of_source_has_its_class() {
        let cases = [
            ("203.0.113.9", "public"),
            ("172.15.255.255", "public"),
            ("172.16.0.1", "private"),
            ("172.31.255.255", "private"),
            ("10.0.0.1", "private"),
            ("100.64.0.1", "private"),
            ("127.0.0.1", "loopback"),
            ("169.254.169.254", "link-local"),
            ("0.0.0.0", "reserved"),
            ("239.1.1.1", "reserved"),
            ("::1", "loopback"),
            ("fd00::1", "private"),
            ("fe80::1", "link-local"),
            ("2600:1f14::5", "public"),
            ("::ffff:10.1.2.3", "private"),
            ("AWS Internal", "aws-internal"),
            ("cloudtrail.amazonaws.com", "aws-service"),
            ("ec2.amazonaws.com.cn", "aws-service"),
            ("evilamazonaws.com", "invalid"),
            ("256.1.1.1", "invalid"),
            ("HIDDEN", "invalid"),
        ];
        for (address, expected) in cases {
            assert_eq!(class(address.as_bytes()), Some(expected), "{address}");
        }
    }

    #[test]
    fn no_address_has_no_class() {
        assert_eq!(class(b""), None);
    }
}
