//! Texts of events as keys and members: bounded, and hashed where nobody should read them back.

use std::{
    collections::{HashMap, HashSet},
    fmt::Write as _,
    hash::{BuildHasherDefault, Hasher},
    net::IpAddr,
};

/// A hash of texts, each told from the next; the same everywhere and for ever. Whoever finds texts with one
/// hash has them counted as one, which gains little.
pub(crate) fn hash(texts: &[&str]) -> u64 {
    let of_text = |hash, text: &&str| {
        let (words, rest) = text.as_bytes().as_chunks::<8>();
        let words = words.iter().map(|word| u64::from_le_bytes(*word));
        let hash = words.fold(hash, mix);
        let rest = rest
            .iter()
            .fold(text.len() as u64, |rest, byte| rest << 8 | u64::from(*byte));
        mix(hash, rest)
    };
    texts.iter().fold(0x243f_6a88_85a3_08d3, of_text)
}

/// Every bit of both in every bit of what comes out, nearly.
pub(crate) fn mix(hash: u64, word: u64) -> u64 {
    let hash = (hash ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (hash ^ (hash >> 32))
        .wrapping_mul(0xff51_afd7_ed55_8ccd)
        .rotate_left(29)
}

/// A hash that is already one, for the maps of this plugin: what maps usually do with their keys costs more
/// than all else.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Already(u64);

impl Hasher for Already {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        self.0 = bytes
            .iter()
            .fold(self.0, |hash, &byte| mix(hash, byte.into()));
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}

/// A map by hashes.
pub(crate) type ByHash<T> = HashMap<u64, T, BuildHasherDefault<Already>>;

/// A set of hashes.
pub(crate) type Hashes = HashSet<u64, BuildHasherDefault<Already>>;

/// What is counted as distinct.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Member<'a> {
    None,
    /// Kept and shown as it is.
    Text(&'a str),
    /// A service and the name of a call.
    Call(&'a str, &'a str),
    Network(IpAddr),
    /// What stands for a text that may be a secret's or a customer's.
    Hashed(u64),
}

impl Member<'_> {
    pub(crate) fn hash(self) -> u64 {
        match self {
            Self::None => 0,
            Self::Text(text) => hash(&[text]),
            Self::Call(service, name) => hash(&[service, name]),
            Self::Network(address) => mix(1, network(address)),
            Self::Hashed(hash) => hash,
        }
    }

    /// As the host keeps it.
    pub(crate) fn text(self) -> String {
        match self {
            Self::None => String::new(),
            Self::Text(text) => text.to_owned(),
            Self::Call(service, name) => {
                let call = format!("{service}:{name}");
                if is_plain(&call) {
                    call
                } else {
                    format!("{:016x}", self.hash())
                }
            }
            Self::Network(address) => {
                let bits = network(address);
                let part = |shift: u32| (bits >> shift) & 0xffff;
                match address.to_canonical() {
                    IpAddr::V4(_) => {
                        format!("{}.{}.{}.0/24", bits >> 16, bits >> 8 & 255, bits & 255)
                    }
                    IpAddr::V6(_) => format!("{:x}:{:x}:{:x}::/48", part(32), part(16), part(0)),
                }
            }
            Self::Hashed(hash) => format!("{hash:016x}"),
        }
    }
}

/// The network that an address counts for, /24 or /48 of IPv6: addresses in it often belong to one line.
fn network(address: IpAddr) -> u64 {
    match address.to_canonical() {
        IpAddr::V4(v4) => u64::from(v4.to_bits() >> 8),
        IpAddr::V6(v6) => (v6.to_bits() >> 80) as u64,
    }
}

/// The text, cut at about this many bytes; texts that differ behind the cut stay different.
pub(crate) fn push_bounded(into: &mut String, text: &str, most: usize) {
    if text.len() <= most {
        into.push_str(text);
    } else {
        let _ = write!(
            into,
            "{}#{:016x}",
            &text[..text.floor_char_boundary(most)],
            hash(&[text])
        );
    }
}

/// Letters, digits and a little more, not too long: what identifiers and names of calls look like.
pub(crate) fn is_plain(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:/".contains(&byte);
    (1..=96).contains(&text.len()) && text.bytes().all(plain)
}

/// Milliseconds since 1970 of a time as `CloudTrail` writes it, `2026-03-01T10:20:30Z`.
pub(crate) fn time_ms(text: &str) -> Option<i64> {
    let form = |(at, byte): (usize, u8)| match at {
        4 | 7 => byte == b'-',
        10 => byte == b'T',
        13 | 16 => byte == b':',
        19 => byte == b'Z',
        _ => byte.is_ascii_digit(),
    };
    if text.len() != 20 || !text.bytes().enumerate().all(form) {
        return None;
    }
    let number = |range: std::ops::Range<usize>| text.get(range)?.parse::<i64>().ok();
    let (year, month, day) = (number(0..4)?, number(5..7)?, number(8..10)?);
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    let (hour, minute, second) = (number(11..13)?, number(14..16)?, number(17..19)?);
    // Years that begin in March end with the day that some of them lack.
    let (year, month) = if month > 2 {
        (year, month - 3)
    } else {
        (year - 1, month + 9)
    };
    let leap_days = year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    let days = year * 365 + leap_days + (153 * month + 2) / 5 + day - 719_469;
    Some((((days * 24 + hour) * 60 + minute) * 60 + second) * 1_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_those_of_the_calendar() {
        assert_eq!(time_ms("1970-01-01T00:00:00Z"), Some(0));
        assert_eq!(time_ms("2022-10-19T20:33:38Z"), Some(1_666_211_618_000));
        assert_eq!(time_ms("2024-02-29T00:00:00Z"), Some(1_709_164_800_000));
        for wrong in [
            "",
            "2024-02-29 00:00:00Z",
            "2024-13-01T00:00:00Z",
            "2024-02-2éT00:00:0Z",
        ] {
            assert_eq!(time_ms(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn long_texts_are_cut_and_stay_different() {
        let bounded = |text: &str| {
            let mut into = String::new();
            push_bounded(&mut into, text, 10);
            into
        };
        assert_eq!(bounded("0123456789"), "0123456789");
        let (a, b) = (bounded("012345678é-a"), bounded("012345678é-b"));
        assert!(
            a.starts_with("012345678#") && a.len() == 26 && a != b,
            "{a} {b}"
        );
    }

    #[test]
    fn a_sample_by_the_hash_takes_its_share() {
        let share = |text: &dyn Fn(usize) -> String| {
            (0..8_000)
                .filter(|&n| hash(&[&text(n)]).is_multiple_of(8))
                .count()
        };
        for count in [
            share(&|n| format!("in/{n}")),
            share(&|n| format!("ff{n:06}-0000")),
        ] {
            assert!((900..1_100).contains(&count), "{count} of 8000");
        }
    }

    #[test]
    fn members_are_texts_of_their_kind() {
        let address = |text: &str| Member::Network(text.parse().expect("an address")).text();
        assert_eq!(address("203.0.113.7"), "203.0.113.0/24");
        assert_eq!(address("::ffff:203.0.113.7"), "203.0.113.0/24");
        assert_eq!(address("2600:1f14:5::1"), "2600:1f14:5::/48");
        assert_eq!(Member::Call("ec2", "X").text(), "ec2:X");
        assert_eq!(Member::Call("e c", "X").text().len(), 16);
        assert_ne!(hash(&["ab", "c"]), hash(&["a", "bc"]));
        assert_ne!(hash(&["12345678", ""]), hash(&["", "12345678"]));
    }

    #[test]
    fn what_is_plain_is_short_and_simple() {
        assert!(is_plain("ec2:DescribeInstances") && is_plain("0a-1"));
        assert!(!is_plain("") && !is_plain("a b") && !is_plain(&"x".repeat(97)));
    }
}
