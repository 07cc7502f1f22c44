//! Networks that the operator's configuration names.

use std::{collections::BTreeMap, net::IpAddr};

/// Networks in all, at the most: each address is held against all of them once.
const MOST: usize = 1_000;

/// A network and its name.
#[derive(Debug)]
struct Named {
    /// First address and prefix, in IPv6 (an IPv4 network as the one that it is mapped to).
    first: u128,
    prefix: u32,
    name: String,
}

/// The smallest networks first.
#[derive(Debug, Default)]
pub(crate) struct Networks(Vec<Named>);

impl Networks {
    /// Reads networks like `192.0.2.0/24` and addresses, by name.
    pub(crate) fn new(names: &BTreeMap<String, Vec<String>>) -> Result<Self, String> {
        let mut all = Vec::new();
        for (name, networks) in names {
            for network in networks {
                let (first, prefix) = parse(network).ok_or_else(|| {
                    format!(
                        "networks.{name:?} must hold networks like \"192.0.2.0/24\", without bits \
                         beyond the prefix, or addresses, got {network:?}"
                    )
                })?;
                let name = name.clone();
                all.push(Named {
                    first,
                    prefix,
                    name,
                });
            }
        }
        if all.len() > MOST {
            return Err(format!(
                "networks must be at most {MOST}, got {}",
                all.len()
            ));
        }
        all.sort_by_key(|network| std::cmp::Reverse(network.prefix));
        Ok(Self(all))
    }

    /// The name of the smallest network that the address lies in.
    pub(crate) fn name(&self, address: IpAddr) -> Option<&str> {
        let bits = bits(address);
        let found = self
            .0
            .iter()
            .find(|network| bits & mask(network.prefix) == network.first)?;
        Some(&found.name)
    }
}

fn parse(text: &str) -> Option<(u128, u32)> {
    let (address, prefix) = match text.split_once('/') {
        Some((address, prefix)) => (address, Some(prefix)),
        None => (text, None),
    };
    let address: IpAddr = address.parse().ok()?;
    let width = if address.is_ipv4() { 32 } else { 128 };
    let prefix = match prefix {
        Some(text) if text.bytes().all(|byte| byte.is_ascii_digit()) => text.parse().ok()?,
        Some(_) => return None,
        None => width,
    };
    let first = bits(address);
    let prefix = (prefix <= width).then_some(128 - width + prefix)?;
    (first & mask(prefix) == first).then_some((first, prefix))
}

fn bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().to_bits(),
        IpAddr::V6(v6) => v6.to_bits(),
    }
}

fn mask(prefix: u32) -> u128 {
    u128::MAX.checked_shl(128 - prefix).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn networks(networks: &[(&str, &str)]) -> Result<Networks, String> {
        let mut names: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (name, network) in networks {
            names
                .entry((*name).to_owned())
                .or_default()
                .push((*network).to_owned());
        }
        Networks::new(&names)
    }

    #[test]
    fn the_smallest_network_names_an_address() -> Result<(), String> {
        let named = networks(&[
            ("all", "::/0"),
            ("corp", "10.0.0.0/8"),
            ("office", "10.1.0.0/16"),
            ("printer", "10.1.2.3"),
            ("cloud", "2001:db8::/32"),
        ])?;
        let cases = [
            ("10.1.2.3", "printer"),
            ("::ffff:10.1.2.3", "printer"),
            ("10.1.2.4", "office"),
            ("10.2.0.0", "corp"),
            ("2001:db8::1", "cloud"),
            ("192.0.2.1", "all"),
        ];
        for (address, name) in cases {
            let address = address.parse().map_err(|_| "an address")?;
            assert_eq!(named.name(address), Some(name), "{address}");
        }
        assert_eq!(Networks::default().name(IpAddr::from([10, 0, 0, 1])), None);
        Ok(())
    }

    #[test]
    fn what_is_no_network_is_refused() {
        for wrong in [
            "",
            "10.0.0.1/8",
            "10.0.0.0/33",
            "10.0.0.0/+8",
            "10.0.0.0/",
            "office",
            "::1/129",
        ] {
            let refused = networks(&[("n", wrong)]).expect_err(wrong);
            assert!(
                refused.starts_with("networks.\"n\" must hold networks"),
                "{refused}"
            );
        }
    }
}
