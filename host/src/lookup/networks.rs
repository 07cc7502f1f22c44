//! The smallest network that an address lies in.
//!
//! Networks nest and never cross, so all of them together cut the addresses into ranges with one answer
//! each. Those are kept in order, and an address is found by halving: 8 bytes a boundary of IPv4, 20 of
//! IPv6, no pointers, and nothing to be balanced, because a table is only ever made anew.

use std::net::IpAddr;

/// The row of a network's range that has none.
const NONE: u32 = u32::MAX;

/// From addresses to rows.
#[derive(Debug, Default)]
pub(super) struct Networks {
    v4: Ranges<u32>,
    v6: Ranges<u128>,
}

/// Where each range begins and which row it has; it ends before the next one.
#[derive(Debug)]
struct Ranges<T> {
    starts: Vec<T>,
    rows: Vec<u32>,
}

impl<T> Default for Ranges<T> {
    fn default() -> Self {
        Self {
            starts: Vec::new(),
            rows: Vec::new(),
        }
    }
}

/// A network: its first and last address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Network {
    V4(u32, u32),
    V6(u128, u128),
}

impl Network {
    /// Reads `192.0.2.0/24`, `2001:db8::/32` or a single address.
    ///
    /// # Errors
    /// Says what is wrong with the text, without repeating it.
    pub(super) fn parse(text: &str) -> Result<Self, &'static str> {
        let (address, length) = match text.split_once('/') {
            Some((address, length)) => (address, Some(length)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| "is no address or network")?;
        let most: u32 = if address.is_ipv4() { 32 } else { 128 };
        let length = match length {
            None => most,
            Some(length) if length.bytes().all(|byte| byte.is_ascii_digit()) => length
                .parse()
                .map_err(|_| "has a prefix length that is too large")?,
            Some(_) => return Err("has a prefix length that is no number"),
        };
        let host = most
            .checked_sub(length)
            .ok_or("has a prefix length that is too large")?;
        let beyond = "has bits beyond its prefix";
        match address {
            IpAddr::V4(address) => {
                let first = address.to_bits();
                let mask = u32::MAX.checked_shr(32 - host).unwrap_or_default();
                (first & mask == 0)
                    .then_some(Self::V4(first, first | mask))
                    .ok_or(beyond)
            }
            IpAddr::V6(address) => {
                let first = address.to_bits();
                let mask = u128::MAX.checked_shr(128 - host).unwrap_or_default();
                (first & mask == 0)
                    .then_some(Self::V6(first, first | mask))
                    .ok_or(beyond)
            }
        }
    }
}

impl Networks {
    /// Puts networks in order. Fails with the rows of two that are the same.
    pub(super) fn new(networks: &[Network]) -> Result<Self, (u32, u32)> {
        let (mut v4, mut v6) = (Vec::new(), Vec::new());
        for (row, network) in (0..).zip(networks) {
            match *network {
                Network::V4(first, last) => v4.push((first, last, row)),
                Network::V6(first, last) => v6.push((first, last, row)),
            }
        }
        Ok(Self {
            v4: Ranges::new(v4, |last| last.checked_add(1))?,
            v6: Ranges::new(v6, |last| last.checked_add(1))?,
        })
    }

    /// The row of the smallest network with this address; nothing too where the text is no address. An
    /// IPv4 address in IPv6's clothes is found among those of IPv4.
    pub(super) fn find(&self, key: &str) -> Option<u32> {
        let address: IpAddr = key.parse().ok()?;
        match address.to_canonical() {
            IpAddr::V4(address) => self.v4.find(address.to_bits()),
            IpAddr::V6(address) => self.v6.find(address.to_bits()),
        }
    }
}

impl<T: Copy + Ord> Ranges<T> {
    fn new(
        mut networks: Vec<(T, T, u32)>,
        next: impl Fn(T) -> Option<T>,
    ) -> Result<Self, (u32, u32)> {
        // A network stands before those inside it.
        networks.sort_by_key(|&(first, last, row)| (first, std::cmp::Reverse(last), row));
        let mut ranges = Self::default();
        let mut around: Vec<(T, u32)> = Vec::new();
        let mut before: Option<(T, T, u32)> = None;
        for (first, last, row) in networks {
            if let Some((_, _, same)) = before.filter(|&(f, l, _)| f == first && l == last) {
                return Err((same, row));
            }
            before = Some((first, last, row));
            ranges.leave(&mut around, Some(first), &next);
            ranges.push(first, row);
            around.push((last, row));
        }
        ranges.leave(&mut around, None, &next);
        Ok(ranges)
    }

    /// Ends the networks that end before this address, the innermost first.
    fn leave(
        &mut self,
        around: &mut Vec<(T, u32)>,
        before: Option<T>,
        next: &impl Fn(T) -> Option<T>,
    ) {
        while let Some(&(last, _)) = around.last() {
            if before.is_some_and(|before| last >= before) {
                return;
            }
            around.pop();
            // Nothing follows the very last address.
            if let Some(after) = next(last) {
                self.push(after, around.last().map_or(NONE, |(_, row)| *row));
            }
        }
    }

    fn push(&mut self, start: T, row: u32) {
        if self.starts.last() == Some(&start) {
            // The range before it would be empty.
            self.starts.pop();
            self.rows.pop();
        }
        self.starts.push(start);
        self.rows.push(row);
    }

    fn find(&self, address: T) -> Option<u32> {
        let after = self.starts.partition_point(|start| *start <= address);
        let row = self.rows[after.checked_sub(1)?];
        (row != NONE).then_some(row)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn networks(texts: &[&str]) -> Networks {
        let parsed: Vec<_> = texts
            .iter()
            .map(|text| Network::parse(text).unwrap())
            .collect();
        Networks::new(&parsed).unwrap()
    }

    #[test]
    fn the_smallest_network_wins_wherever_it_stands() {
        let texts = [
            "10.0.0.0/8",
            "10.1.2.3",
            "10.1.0.0/16",
            "::/0",
            "2001:db8::/32",
            "255.255.255.0/24",
        ];
        let networks = networks(&texts);
        let found = |key| networks.find(key).map(|row| texts[row as usize]);
        assert_eq!(found("10.1.2.3"), Some("10.1.2.3"));
        assert_eq!(found("10.1.2.4"), Some("10.1.0.0/16"));
        assert_eq!(found("10.2.0.0"), Some("10.0.0.0/8"));
        assert_eq!(found("11.0.0.0"), None);
        assert_eq!(found("9.255.255.255"), None);
        assert_eq!(found("255.255.255.255"), Some("255.255.255.0/24"));
        assert_eq!(found("2001:db8::1"), Some("2001:db8::/32"));
        assert_eq!(found("ff::"), Some("::/0"));
        assert_eq!(found("::ffff:10.1.2.3"), Some("10.1.2.3"));
        assert_eq!(found("AWS Internal"), None);
        assert_eq!(found(""), None);
    }

    #[test]
    fn all_addresses_are_a_network_too() {
        let networks = networks(&["0.0.0.0/0", "::1"]);
        assert_eq!(networks.find("0.0.0.0"), Some(0));
        assert_eq!(networks.find("255.255.255.255"), Some(0));
        assert_eq!(
            (networks.find("::1"), networks.find("::2")),
            (Some(1), None)
        );
    }

    #[test]
    fn what_is_no_network_is_named_for_what_it_is() {
        let wrong = |text| Network::parse(text).unwrap_err();
        assert_eq!(wrong("10.0.0"), "is no address or network");
        assert_eq!(wrong("10.0.0.1/8"), "has bits beyond its prefix");
        assert_eq!(
            wrong("10.0.0.0/33"),
            "has a prefix length that is too large"
        );
        assert_eq!(wrong("::/129"), "has a prefix length that is too large");
        assert_eq!(
            wrong("::/99999999999"),
            "has a prefix length that is too large"
        );
        assert_eq!(
            wrong("10.0.0.0/+8"),
            "has a prefix length that is no number"
        );
        assert_eq!(wrong("10.0.0.0/"), "has a prefix length that is too large");
    }

    #[test]
    fn one_network_twice_is_an_error_that_names_both() {
        let parsed =
            ["10.0.0.0/8", "11.0.0.0/8", "10.0.0.0/8"].map(|text| Network::parse(text).unwrap());
        assert_eq!(Networks::new(&parsed).unwrap_err(), (0, 2));
    }

    proptest! {
        #[test]
        fn it_finds_what_a_search_of_all_networks_finds(
            prefixes in proptest::collection::btree_set((0u32..64, 0u32..=6), 0..24),
            address in 0u32..64,
        ) {
            // A small world: the six last bits of an address.
            let base = 0xc000_0200;
            let mut parsed = Vec::new();
            for (bits, host) in prefixes {
                let mask = (1 << host) - 1;
                let network = Network::V4(base | bits & !mask, base | bits | mask);
                if !parsed.contains(&network) {
                    parsed.push(network);
                }
            }
            let address = base | address;
            let smallest = (0..).zip(&parsed).filter_map(|(row, network)| match *network {
                Network::V4(first, last) if (first..=last).contains(&address) => Some((last - first, row)),
                _ => None,
            }).min().map(|(_, row)| row);
            let networks = Networks::new(&parsed).unwrap();
            let key = std::net::Ipv4Addr::from_bits(address).to_string();
            prop_assert_eq!(networks.find(&key), smallest);
        }
    }
}
