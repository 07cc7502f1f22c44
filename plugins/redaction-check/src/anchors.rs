//! A quick search that spares most events the walk.
//!
//! Every kind of secret, and every telling name, has three bytes in it that are rare in events. Sixteen
//! positions at a time are looked up in small tables by the two halves of each of three bytes; what is
//! left is looked at closely. The search must find an anchor wherever the walk would find a secret, and
//! may find too many.

use crate::values;

/// Groups of three bytes, at most eight groups; letters count in both cases. Within a group the bytes mix
/// freely, so that alike ones stand together.
const GROUPS: [&[[u8; 3]]; 8] = [
    // Tokens of STS, JWT, Google, Slack.
    &[*b"QoG", *b"woG", *b"QoJ", *b"eyJ", *b"Iza", *b"xox"],
    // GitHub, npm, Stripe.
    &[
        *b"hp_", *b"ho_", *b"hu_", *b"hs_", *b"hr_", *b"at_", *b"pm_", *b"ve_",
    ],
    // GitLab; "token".
    &[*b"lpa", *b"ken"],
    // PyPI, PEM; "api_key", "private-key".
    &[*b"pi-", *b"---", *b"te-", *b"pi_", *b"te_"],
    // Access key identifiers; "apikey", "privatekey".
    &[*b"AKI", *b"ASI", *b"pik", *b"tek"],
    // Presigned URLs, web hooks of Slack.
    &[*b"z-S", *b"ks."],
    // "password", "passwd", "passphrase", "pwd".
    &[*b"ssw", *b"ssp", *b"pwd"],
    // "secret".
    &[*b"ret"],
];

/// Of each of the three bytes, which groups have one with this lower, or upper, half.
struct Tables {
    low: [[u8; 16]; 3],
    high: [[u8; 16]; 3],
}

const TABLES: Tables = tables();

const fn tables() -> Tables {
    let mut tables = Tables {
        low: [[0; 16]; 3],
        high: [[0; 16]; 3],
    };
    let mut group = 0;
    while group < GROUPS.len() {
        let mut anchor = 0;
        while anchor < GROUPS[group].len() {
            let mut place = 0;
            while place < 3 {
                let byte = GROUPS[group][anchor][place];
                tables.low[place][(byte & 15) as usize] |= 1 << group;
                tables.high[place][(byte >> 4) as usize] |= 1 << group;
                // Both cases of a letter share their lower half.
                if byte.is_ascii_alphabetic() {
                    tables.high[place][((byte ^ 32) >> 4) as usize] |= 1 << group;
                }
                place += 1;
            }
            anchor += 1;
        }
        group += 1;
    }
    tables
}

/// Sixteen positions, and the two bytes after them.
type Block = [u8; 18];

/// Whether the event may have a secret in it.
#[cfg_attr(target_arch = "wasm32", target_feature(enable = "simd128"))]
pub(crate) fn any(text: &[u8]) -> bool {
    let mut start = 0;
    while start < text.len() {
        let candidates = if let Some(block) = text[start..].first_chunk::<18>() {
            candidates(block)
        } else {
            let mut block: Block = [0; 18];
            block[..text.len() - start].copy_from_slice(&text[start..]);
            candidates(&block)
        };
        if any_holds(text, start, candidates) {
            return true;
        }
        start += 16;
    }
    false
}

fn any_holds(text: &[u8], start: usize, mut candidates: u16) -> bool {
    while candidates != 0 {
        if holds(text, start + candidates.trailing_zeros() as usize) {
            return true;
        }
        candidates &= candidates - 1;
    }
    false
}

/// One bit a position: an anchor may start there, or one of `\`, `@` and `=` stands there.
#[cfg(target_arch = "wasm32")]
#[target_feature(enable = "simd128")]
fn candidates(block: &Block) -> u16 {
    use core::arch::wasm32::{
        u8x16_bitmask, u8x16_eq, u8x16_ne, u8x16_shr, u8x16_splat, u8x16_swizzle, v128, v128_and,
        v128_or,
    };

    #[target_feature(enable = "simd128")]
    fn groups(bytes: v128, low: &[u8; 16], high: &[u8; 16]) -> v128 {
        let by_low = u8x16_swizzle(load(low, 0), v128_and(bytes, u8x16_splat(15)));
        let by_high = u8x16_swizzle(load(high, 0), u8x16_shr(bytes, 4));
        v128_and(by_low, by_high)
    }

    let first = load(block, 0);
    let mut left = groups(first, &TABLES.low[0], &TABLES.high[0]);
    left = v128_and(
        left,
        groups(load(block, 1), &TABLES.low[1], &TABLES.high[1]),
    );
    left = v128_and(
        left,
        groups(load(block, 2), &TABLES.low[2], &TABLES.high[2]),
    );
    let mut hits = u8x16_ne(left, u8x16_splat(0));
    for single in *b"\\@=" {
        hits = v128_or(hits, u8x16_eq(first, u8x16_splat(single)));
    }
    u8x16_bitmask(hits)
}

/// Sixteen bytes from a position on.
#[cfg(target_arch = "wasm32")]
#[target_feature(enable = "simd128")]
fn load(bytes: &[u8], at: usize) -> core::arch::wasm32::v128 {
    let half = |at: usize| {
        u64::from_le_bytes(
            bytes[at..at + 8]
                .try_into()
                .expect("a slice of eight bytes is an array of eight"),
        )
    };
    core::arch::wasm32::u64x2(half(at), half(at + 8))
}

/// One bit a position: an anchor may start there, or one of `\`, `@` and `=` stands there.
#[cfg(not(target_arch = "wasm32"))]
fn candidates(block: &Block) -> u16 {
    let groups = |byte: u8, place: usize| {
        TABLES.low[place][usize::from(byte & 15)] & TABLES.high[place][usize::from(byte >> 4)]
    };
    let is_candidate = |at: usize| {
        let [first, second, third] = [block[at], block[at + 1], block[at + 2]];
        groups(first, 0) & groups(second, 1) & groups(third, 2) != 0
            || matches!(first, b'\\' | b'@' | b'=')
    };
    (0..16)
        .filter(|&at| is_candidate(at))
        .fold(0, |bits, at| bits | 1 << at)
}

/// Whether what stands around a candidate can be a secret.
fn holds(text: &[u8], at: usize) -> bool {
    let rest = &text[at..];
    let from = |back: usize| text.get(at.wrapping_sub(back)..).unwrap_or_default();
    match rest[0] {
        // Escaped text is read by the walk.
        b'\\' => return true,
        b'@' => return has_scheme(&text[..at]),
        b'=' => return is_assigned(text, at),
        b'A' if rest[1..].starts_with(b"KI") || rest[1..].starts_with(b"SI") => {
            return !is_alone(text, at);
        }
        _ => {}
    }
    match rest {
        [b'Q' | b'w', b'o', b'G' | b'J', ..] => values::is_session_token(from(1)),
        [b'e', b'y', b'J', ..] => values::is_jwt(rest),
        [b'I', b'z', b'a', ..] => values::is_google_key(from(1)),
        [b'x', b'o', b'x', ..] => values::is_slack(rest),
        [b'-', b'-', b'-', ..] => rest.starts_with(b"-----BEGIN "),
        [b'h', _, b'_', ..] => values::is_github(from(1)),
        [b'a', b't', b'_', ..] => values::is_github(from(8)),
        [b'v', b'e', b'_', ..] => values::is_stripe(from(5)),
        [b'p', b'm', b'_', ..] => from(1).starts_with(b"npm_"),
        [b'l', b'p', b'a', ..] => from(1).starts_with(b"glpat-"),
        [b'k', b's', b'.', ..] => from(3).starts_with(b"hooks.slack.com/"),
        [b'z' | b'Z', b'-', b'S' | b's', ..] => rest[2..].get(..3).is_some_and(|word| {
            word.eq_ignore_ascii_case(b"sig") || word.eq_ignore_ascii_case(b"sec")
        }),
        [b'p', b'i', b'-', ..] if from(2).starts_with(b"pypi-") => true,
        _ => is_telling_part(rest) && is_named(text, at),
    }
}

/// Whether the three bytes are those of a telling name, and no mixture.
fn is_telling_part(text: &[u8]) -> bool {
    let Some(&[first, second, third]) = text.first_chunk::<3>() else {
        return false;
    };
    let part = [first, second, third].map(|byte| byte.to_ascii_lowercase());
    matches!(
        &part,
        b"ssw"
            | b"ssp"
            | b"pwd"
            | b"ret"
            | b"ken"
            | b"pik"
            | b"tek"
            | b"pi_"
            | b"te_"
            | b"pi-"
            | b"te-"
    )
}

/// Whether a telling word stands around the position, where it can name a value: as a member's name, as
/// the name in a pair, or before a sign.
fn is_named(text: &[u8], at: usize) -> bool {
    let Some((start, end)) = values::telling_word(text, at) else {
        return false;
    };
    let after = text[end..].trim_ascii_start();
    match after {
        [b'"', rest @ ..] => match rest.trim_ascii_start() {
            [b':', value @ ..] => matches!(value.trim_ascii_start(), [b'"' | b'[', ..]),
            _ => is_name_of_pair(&text[..start]),
        },
        [b':', next, ..] => matches!(next, b' ' | b'\''),
        [b'=' | b'\'', ..] => true,
        _ => text[start..].starts_with(b"--"),
    }
}

/// Whether a telling word stands before the equals sign.
fn is_assigned(text: &[u8], at: usize) -> bool {
    let before = text[..at].trim_ascii_end();
    let before = before.strip_suffix(b"'").unwrap_or(before);
    !before.is_empty() && values::telling_word(text, before.len() - 1).is_some()
}

/// Whether the string that is open at the end of the text is the `name` or `key` of an object.
fn is_name_of_pair(before: &[u8]) -> bool {
    let open = before.iter().rposition(|&byte| byte == b'"').unwrap_or(0);
    let Some(member) = before[..open].trim_ascii_end().strip_suffix(b":") else {
        return false;
    };
    let member = member.trim_ascii_end();
    [&b"\"name\""[..], b"\"key\"", b"\"parameterKey\""]
        .iter()
        .any(|name| {
            member.len() >= name.len()
                && member[member.len() - name.len()..].eq_ignore_ascii_case(name)
        })
}

/// Whether an access key identifier is a string of its own, with nothing beside it.
fn is_alone(text: &[u8], at: usize) -> bool {
    let before = at.checked_sub(1).and_then(|before| text.get(before));
    before == Some(&b'"') && text.get(at + 20) == Some(&b'"')
}

/// Whether `://` stands before, in the same string.
fn has_scheme(before: &[u8]) -> bool {
    let start = before
        .iter()
        .rposition(|&byte| matches!(byte, b'"' | b' '))
        .unwrap_or(0);
    before[start..].windows(3).any(|window| window == b"://")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::names::SECRET_ENDINGS;

    #[test]
    fn every_telling_name_has_an_anchor_in_every_case_and_place() {
        for ending in SECRET_ENDINGS {
            let spellings = [
                ending.to_owned(),
                ending.to_uppercase(),
                ending.replace('_', "-"),
                format!("my{}{}", ending[..1].to_uppercase(), &ending[1..]),
            ];
            for spelling in spellings {
                for shift in 0..20 {
                    let event = format!(r#"{{"{}":1,"{spelling}":"x"}}"#, "y".repeat(shift));
                    assert!(any(event.as_bytes()), "{event}");
                }
            }
        }
    }

    #[test]
    fn a_plain_event_has_no_anchor() {
        let event = br#"{"eventVersion":"1.08","userIdentity":{"type":"IAMUser","principalId":"AIDAEXAMPLE","arn":"arn:aws:iam::123456789012:user/ann","accessKeyId":"AKIAIOSFODNN7EXAMPLE","sessionContext":{"attributes":{"creationDate":"2023-07-10T11:42:31Z"}}},"requestParameters":{"nextToken":"abc","bucketName":"b"}}"#;
        assert!(!any(event));
    }

    #[test]
    fn an_identifier_beside_other_text_is_an_anchor() {
        assert!(any(br#"{"x":"AKIAIOSFODNN7EXAMPLE:secretsecret"}"#));
        assert!(any(br#"{"x":"id AKIAIOSFODNN7EXAMPLE"}"#));
    }

    #[test]
    fn texts_of_any_length_are_searched_to_the_end() {
        for length in 0..60 {
            assert!(any(format!("{}-----BEGIN ", "x".repeat(length)).as_bytes()));
        }
        assert!(!any(b""));
    }
}
