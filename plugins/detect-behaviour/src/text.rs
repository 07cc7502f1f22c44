//! Texts of events as keys and members: bounded, and hashed where nobody should read them back.

use std::fmt::Write as _;

/// FNV-1a, whose lower bits are then mixed with the upper ones, since samples are drawn by them. Whoever
/// finds two texts with one hash has them counted as one, which gains little.
pub(crate) fn hash(text: &str) -> u64 {
    let mix = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    let hash = text.bytes().fold(0xcbf2_9ce4_8422_2325, mix);
    let hash = (hash ^ (hash >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash ^ (hash >> 33)
}

/// What stands for a text that may be a secret's or a customer's: members are kept as they are.
pub(crate) fn hashed(text: &str) -> String {
    format!("{:016x}", hash(text))
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
            hash(text)
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
                .filter(|&n| hash(&text(n)).is_multiple_of(8))
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
    fn what_is_plain_is_short_and_simple() {
        assert!(is_plain("ec2:DescribeInstances") && is_plain("0a-1"));
        assert!(!is_plain("") && !is_plain("a b") && !is_plain(&"x".repeat(97)));
    }
}
