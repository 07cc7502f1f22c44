//! Whether a secret stands at an anchor, and how far it reaches.

use std::ops::Range;

use super::{
    secret::{base64, base64url, word},
    units::{before, unit},
};

/// Bytes between an access key id and its secret key: names, quotes and escapes find room there.
const NEAR: usize = 128;
/// Bytes beside an access key id that are looked at: enough for a key whose slashes are escaped.
const WINDOW: usize = 384;
/// Characters of a label of PEM that are read.
const LABEL: usize = 48;
/// Characters of a secret access key.
const KEY: usize = 40;
/// Changes between capitals, small letters, digits and signs in a random key: 26 on average, 17 or more
/// in 999 of 1,000. Names in words of capitals and small letters have fewer.
const CHANGES: usize = 17;

/// The end of at most `most` characters of a set from `at` on, and how many there are.
#[inline]
fn run(text: &[u8], mut at: usize, of: impl Fn(u8) -> bool, most: usize) -> (usize, usize) {
    let mut count = 0;
    while count < most
        && let Some(next) = unit(text, at).filter(|next| of(next.byte))
    {
        at = next.end;
        count += 1;
    }
    (at, count)
}

/// Whether what is read next at `at` is of a set.
fn follows(text: &[u8], at: usize, of: impl Fn(u8) -> bool) -> bool {
    unit(text, at).is_some_and(|next| of(next.byte))
}

/// Whether something can begin at `at`: not inside an escape, and not behind these.
fn begins(text: &[u8], at: usize, not_behind: impl Fn(u8) -> bool) -> bool {
    before(text, at).is_ok_and(|before| !before.is_some_and(not_behind))
}

/// A token whose prefix is `prefix`.
pub(super) fn token(
    text: &[u8],
    prefix: Range<usize>,
    of: fn(u8) -> bool,
    least: usize,
    most: usize,
) -> Option<Range<usize>> {
    // Not behind its own characters: a text of nothing but prefixes is read once, not once a prefix.
    if !begins(text, prefix.start, |byte| word(byte) || of(byte)) {
        return None;
    }
    let (end, count) = run(text, prefix.end, of, most);
    (count >= least && !follows(text, end, of)).then_some(prefix.start..end)
}

/// A token in three parts (signed) or five (encrypted), of which the first begins at `start`.
pub(super) fn jwt(text: &[u8], start: usize) -> Option<Range<usize>> {
    if !begins(text, start, base64url) {
        return None;
    }
    let mut ends = Vec::with_capacity(5);
    let mut counts = Vec::with_capacity(5);
    let mut at = start;
    loop {
        let (end, count) = run(text, at, base64url, usize::MAX);
        ends.push(end);
        counts.push(count);
        match unit(text, end) {
            Some(point) if point.byte == b'.' && ends.len() < 5 => at = point.end,
            _ => break,
        }
    }
    let second = unit(text, ends[0])?.end;
    let has = |least: &[usize]| {
        let mut pairs = least.iter().zip(&counts);
        counts.len() >= least.len() && pairs.all(|(least, count)| count >= least)
    };
    if has(&[16, 8, 16]) && text[second..].starts_with(b"eyJ") {
        return Some(start..ends[2]);
    }
    has(&[16, 0, 8, 8, 16]).then(|| start..ends[4])
}

/// A private key in PEM, from the dashes before `BEGIN` to those after `END`, or as far as it goes.
pub(super) fn private_key(text: &[u8], anchor: Range<usize>) -> Option<Range<usize>> {
    let dashes = text[..anchor.start].iter().rev();
    let start = anchor.start - dashes.take_while(|&&byte| byte == b'-').take(2).count();
    if anchor.start - start < 2 {
        return None;
    }
    let (name, mut at) = label(text, anchor.end)?;
    if !name.ends_with(b"PRIVATE KEY") && !name.ends_with(b"PRIVATE KEY BLOCK") {
        return None;
    }
    let mut material = 0;
    while let Some(next) = unit(text, at) {
        match next.byte {
            b'-' => {
                let (end, dashes) = run(text, at, |byte| byte == b'-', 5);
                if dashes == 5 {
                    if text[end..].starts_with(b"END")
                        && let Some((_, closed)) = label(text, end + 3)
                    {
                        at = closed;
                    }
                    break;
                }
                at = end;
            }
            byte if base64(byte) => {
                material += 1;
                at = next.end;
            }
            b'=' | b':' | b',' | b'.' | b' ' | b'\t' | b'\r' | b'\n' => at = next.end,
            _ => break,
        }
    }
    (material >= 32).then_some(start..at)
}

/// What a line of PEM is labelled with, and where its closing dashes end.
fn label(text: &[u8], mut at: usize) -> Option<(Vec<u8>, usize)> {
    let mut label = Vec::new();
    loop {
        let next = unit(text, at)?;
        match next.byte {
            b'A'..=b'Z' | b'0'..=b'9' | b' ' if label.len() < LABEL => label.push(next.byte),
            // A space in a URL.
            b'+' if label.len() < LABEL => label.push(b' '),
            b'-' => {
                let (end, dashes) = run(text, at, |byte| byte == b'-', 5);
                return (dashes == 5).then_some((label, end));
            }
            _ => return None,
        }
        at = next.end;
    }
}

/// Secret access keys beside the access key id whose first four letters are `prefix`.
pub(super) fn secret_keys(text: &[u8], prefix: Range<usize>, mut found: impl FnMut(Range<usize>)) {
    let end = prefix.end + 16;
    let capital = |byte: &u8| byte.is_ascii_uppercase() || byte.is_ascii_digit();
    let id = text.get(prefix.end..end);
    if !id.is_some_and(|id| id.iter().all(capital))
        || follows(text, end, word)
        || !begins(text, prefix.start, word)
    {
        return;
    }
    // A key has a byte at one of any forty places in a row.
    let after = end + KEY - 1..end + NEAR + KEY;
    keys_in(text, end..end + WINDOW, after, |key| {
        if key.start <= end + NEAR {
            found(key);
        }
    });
    let start = prefix.start;
    let before = start.saturating_sub(NEAR + 1)..start;
    keys_in(text, start.saturating_sub(WINDOW)..start, before, |key| {
        if key.end + NEAR >= start {
            found(key);
        }
    });
}

/// Whether a byte can be part of a key, escaped or not. A table, because it is asked for nearly every
/// event: nearly every one has an access key id.
const PART: [bool; 256] = {
    let mut part = [false; 256];
    let mut byte = 0_u8;
    while byte < 128 {
        part[byte as usize] =
            byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'\\' | b'%');
        byte += 1;
    }
    part
};

fn part(byte: u8) -> bool {
    PART[usize::from(byte)]
}

/// What looks like a secret access key and has a byte in `places`. No further than `window` is looked.
fn keys_in(
    text: &[u8],
    window: Range<usize>,
    places: Range<usize>,
    mut found: impl FnMut(Range<usize>),
) {
    let last = window.end.min(text.len());
    let mut place = places.start;
    while place < places.end.min(last) {
        if !part(text[place]) {
            place += KEY;
            continue;
        }
        let (mut start, mut end) = (place, place + 1);
        while start > window.start && part(text[start - 1]) {
            start -= 1;
        }
        while end < last && part(text[end]) {
            end += 1;
        }
        if end - start >= KEY {
            keys_of(text, start..end, &mut found);
        }
        place = end + KEY;
    }
}

/// Cuts bytes that can be part of a key where they are not.
fn keys_of(text: &[u8], bytes: Range<usize>, found: &mut impl FnMut(Range<usize>)) {
    let mut at = bytes.start;
    while at < bytes.end {
        // One more than a key has: longer is none, however long.
        let (end, count) = run(text, at, base64, KEY + 1);
        if count == KEY && stands_alone(text, at, end) && is_random(text, at) {
            found(at..end);
        }
        at = unit(text, end).map_or(bytes.end, |next| next.end);
    }
}

/// Whether nothing that keys are not made of is joined to it.
fn stands_alone(text: &[u8], start: usize, end: usize) -> bool {
    let joined = |byte: u8| matches!(byte, b'-' | b'_' | b'.' | b'@');
    begins(text, start, |byte| joined(byte) || base64(byte))
        && !follows(text, end, |byte| joined(byte) || byte == b'=')
}

/// Whether forty characters are mixed as only chance mixes them.
fn is_random(text: &[u8], start: usize) -> bool {
    let class = |byte: u8| match byte {
        b'A'..=b'Z' => 0,
        b'a'..=b'z' => 1,
        b'0'..=b'9' => 2,
        _ => 3,
    };
    let (mut at, mut last, mut changes) = (start, None, 0);
    let mut seen = [false; 4];
    for _ in 0..KEY {
        let Some(next) = unit(text, at) else {
            return false;
        };
        let class = class(next.byte);
        seen[class] = true;
        changes += usize::from(last.is_some_and(|last| last != class));
        (at, last) = (next.end, Some(class));
    }
    seen[..3].iter().all(|seen| *seen) && changes >= CHANGES
}
