//! Looks for a secret in a leaf, through whatever it is wrapped in: JSON within a string, base64, percent
//! signs and escapes, one within the other.

use std::borrow::Cow;

use crate::{
    base64,
    detector::Detector,
    names,
    places::Known,
    scan::{self, Clue},
    tokens,
    values::{self, Values},
    walk::{self, Fault, Leaf, Seen, Wanted},
};

/// Wrappings within one another that are opened; what is wrapped deeper counts as a secret.
const DEEPEST: usize = 5;

/// What one event may cost: so many times its length is read, and this much more.
const READINGS: usize = 12;
const MORE: usize = 8 * 1024;

/// The search through one event. What it may still read is bounded, so that no event costs much more
/// than its size; what is beyond the bound counts as a secret.
#[derive(Debug)]
pub(crate) struct Search<'e> {
    source: &'e [u8],
    left: usize,
}

impl<'e> Search<'e> {
    pub(crate) fn new(length: usize, source: &'e [u8]) -> Self {
        Self {
            source,
            left: length * READINGS + MORE,
        }
    }

    /// What kind of secret a leaf is.
    pub(crate) fn leaf(&mut self, leaf: &Leaf<'_, '_>) -> Option<Detector> {
        self.leaf_at(leaf, 0)
    }

    fn leaf_at(&mut self, leaf: &Leaf<'_, '_>, depth: usize) -> Option<Detector> {
        if !self.spend(leaf.end - leaf.start) {
            return Some(Detector::Unsearched);
        }
        let value = if leaf.is_string {
            walk::unescape(leaf.raw())
        } else {
            Cow::Borrowed(leaf.raw())
        };
        if names::is_marker(&value) {
            return None;
        }
        let is_place = !value.is_empty() && !value.starts_with(b"arn:");
        leaf.place
            .filter(|place| {
                let is_variable = *place == Detector::EnvironmentVariable;
                is_place && !(is_variable && leaf.is_reference)
            })
            .or_else(|| self.text(&value, depth))
            .or_else(|| self.by_name(leaf, &value))
    }

    /// What kind of secret a member's name is, or has in it.
    pub(crate) fn name(&mut self, raw: &[u8]) -> Option<Detector> {
        self.text(&walk::unescape(raw), 0)
    }

    fn by_name(&self, leaf: &Leaf<'_, '_>, value: &[u8]) -> Option<Detector> {
        let name = walk::unescape(leaf.name());
        // API Gateway calls the identifier of a key apiKey.
        let identifier =
            self.source == b"apigateway.amazonaws.com" && name.eq_ignore_ascii_case(b"apiKey");
        let named = names::is_secret(&name) && !identifier;
        let of_pair = leaf.is_of_pair && !leaf.is_reference;
        // A short number is a limit or a lifetime.
        let enough = leaf.is_string || value.len() >= 6;
        let is_header = || names::is_header(&name) && names::has_credentials(value);
        let is_base64 = || {
            let padding = value.iter().rev().take_while(|&&byte| byte == b'=').count();
            let letters = &value[..value.len() - padding];
            names::is_secret_in_base64(&name)
                && letters.len() >= 20
                && base64::run(letters, 0) == (0, letters.len())
        };
        let is_named = (named || of_pair) && enough && names::may_be_secret(value);
        if is_named || is_header() || is_base64() {
            return Some(Detector::NamedSecret);
        }
        let is_key = is_beside_key_id(leaf.text, leaf.start, leaf.end);
        is_key.then_some(Detector::AwsSecretKey)
    }

    /// The first kind of secret in a text.
    pub(crate) fn text(&mut self, text: &[u8], depth: usize) -> Option<Detector> {
        if !self.spend(text.len()) {
            return Some(Detector::Unsearched);
        }
        let mut values = Values::new(text);
        let mut found = None;
        let (mut is_escaped, mut is_percent, mut runs) = (false, false, Vec::new());
        scan::each(text, |at, clue| {
            match clue {
                Clue::Escape => is_escaped |= is_escape(text, at),
                Clue::Percent => is_percent |= percent(text, at).is_some(),
                Clue::Base64 => runs.push(at),
                Clue::Anchor | Clue::Digits => found = values.at(at, clue),
            }
            found.is_some()
        });
        found
            .or_else(|| self.runs(text, &runs, depth))
            .or_else(|| self.json(text, depth))
            .or_else(|| {
                let unescaped = is_escaped.then(|| walk::unescape(text));
                unescaped.and_then(|inner| self.wrapped(&inner, depth))
            })
            .or_else(|| {
                let decoded = is_percent.then(|| unpercented(text));
                decoded.and_then(|inner| self.wrapped(&inner, depth))
            })
    }

    fn wrapped(&mut self, inner: &[u8], depth: usize) -> Option<Detector> {
        if depth >= DEEPEST {
            return Some(Detector::Unsearched);
        }
        self.text(inner, depth + 1)
    }

    /// In runs of base64.
    fn runs(&mut self, text: &[u8], runs: &[usize], depth: usize) -> Option<Detector> {
        let mut searched = 0;
        runs.iter().filter(|&&at| at < text.len()).find_map(|&at| {
            if at < searched {
                return None;
            }
            let (start, end) = base64::run(text, at);
            searched = end;
            if values::is_named_base64(text, start) {
                return Some(Detector::Assignment);
            }
            let run = &text[start..end];
            let encoded = &run[base64::text_in(run)?..];
            if encoded.len() / 4 * 3 > base64::LONGEST {
                return Some(Detector::Unsearched);
            }
            self.wrapped(&base64::decoded(encoded), depth)
        })
    }

    /// In text that is JSON.
    fn json(&mut self, text: &[u8], depth: usize) -> Option<Detector> {
        let start = text.iter().find(|byte| !byte.is_ascii_whitespace())?;
        if !matches!(start, b'{' | b'[') {
            return None;
        }
        let hits = hits(text);
        if hits.is_empty() {
            return None;
        }
        let wanted = Wanted {
            hits: &hits,
            all: false,
            known: Known::nothing(),
        };
        let mut found = None;
        let walked = walk::leaves(text, wanted, &mut |seen| {
            found = match seen {
                Seen::Leaf(_) | Seen::Name(_) if depth >= DEEPEST => Some(Detector::Unsearched),
                Seen::Leaf(leaf) => self.leaf_at(leaf, depth + 1),
                Seen::Name(_) => None,
            };
            found.is_some()
        });
        match walked {
            // What turns out to be cut off, or no JSON at all, was searched as the text it is.
            Ok(()) | Err(Fault::Broken(_) | Fault::Stopped) => found,
            Err(Fault::TooDeep) => Some(Detector::Unsearched),
        }
    }

    fn spend(&mut self, bytes: usize) -> bool {
        let enough = bytes <= self.left;
        self.left = self.left.saturating_sub(bytes);
        enough
    }
}

/// Positions in JSON that need a closer look, rising; hardly more than one a string.
pub(crate) fn hits(json: &[u8]) -> Vec<usize> {
    let mut hits = Vec::new();
    let mut values = Values::new(json);
    // Runs are judged once, and nothing more in a string that has a hit. What begins before the hit may be
    // of another string.
    let (mut judged, mut decided) = (0, 0..0);
    scan::each(json, |at, clue| {
        let is_hit = match clue {
            _ if decided.contains(&at) => false,
            Clue::Base64 if at < judged => false,
            Clue::Base64 => {
                let (start, end) = base64::run(json, at);
                judged = end;
                is_run_hit(json, start, end)
            }
            _ => is_hit(json, &mut values, at, clue),
        };
        if is_hit {
            // A run of digits may begin with the blanks before its leaf, which may be no string.
            if clue == Clue::Digits {
                hits.push(at + digits_after(json, at));
            } else {
                hits.push(at);
                if json[at] != b'"' {
                    decided = at..walk::string_end(json, at);
                }
            }
        }
        false
    });
    // Runs are told up to 16 bytes late.
    if !hits.is_sorted() {
        hits.sort_unstable();
    }
    hits
}

/// Whether a clue in JSON is worth a closer look.
fn is_hit(json: &[u8], values: &mut Values<'_>, at: usize, clue: Clue) -> bool {
    match clue {
        Clue::Escape => hides(json, at),
        Clue::Base64 => true,
        Clue::Percent => percent(json, at).is_some(),
        Clue::Digits => values.at(at, clue).is_some(),
        Clue::Anchor => match json[at..] {
            // What an escape or a percent sign before it would change is a hit of that.
            [b'A', b'K' | b'S', b'I', ..] => !is_alone(json, at, 20) && values::is_key_id(json, at),
            _ if values::is_part_of_name(json, at) => {
                values.is_exhausted()
                    || values::telling_word(json, at).is_some_and(|(start, end)| {
                        is_name(json, start, end) || values::is_assigned(json, start, end)
                    })
            }
            _ => values.by_shape(at).is_some(),
        },
    }
}

/// Whether an escape in JSON can make something else of what stands around it. A quote cannot: it parts words
/// as the backslash before it does, and names before it are taken as names (`is_name`). Of a blank, the
/// letter could be taken for one of the word that follows.
fn hides(json: &[u8], at: usize) -> bool {
    match json.get(at + 1) {
        Some(b'"') => false,
        Some(b'n' | b'r' | b't' | b'b' | b'f') => json
            .get(at + 2)
            .is_some_and(|&next| tokens::is_base64(next) || tokens::is_word(next)),
        _ => true,
    }
}

/// How many bytes stand before the next digit.
fn digits_after(json: &[u8], at: usize) -> usize {
    let digit = json[at..].iter().position(u8::is_ascii_digit);
    digit.unwrap_or(0)
}

/// Whether a run of base64 is, or is given to a name that says so.
fn is_run_hit(json: &[u8], start: usize, end: usize) -> bool {
    end - start >= 20
        && (values::is_named_base64(json, start)
            || base64::text_in(&json[start..end]).is_some()
            || is_beside_key_id(json, start, end))
}

/// Whether a telling word stands in JSON where it can name a value: as a member's name, or as the name in
/// a pair.
fn is_name(json: &[u8], start: usize, end: usize) -> bool {
    // The rest of a name of several words.
    let rest = json[end..].iter().take(32);
    let end = end
        + rest
            .take_while(|&&byte| byte == b' ' || byte == b'.' || tokens::is_word(byte))
            .count();
    if json.get(end) == Some(&b'\\') {
        // A name in JSON in a string, perhaps.
        return true;
    }
    let Some(after) = json[end..].trim_ascii_start().strip_prefix(b"\"") else {
        return false;
    };
    match after.trim_ascii_start() {
        [b':', value @ ..] => matches!(value.trim_ascii_start(), [b'"' | b'[' | b'0'..=b'9', ..]),
        _ => is_name_of_pair(&json[..start]),
    }
}

/// Whether the string that is open at the end of the text is what names a pair.
fn is_name_of_pair(before: &[u8]) -> bool {
    const REACH: usize = 128;
    let near = &before[before.len().saturating_sub(REACH)..];
    let Some(open) = near.iter().rposition(|&byte| byte == b'"') else {
        return false;
    };
    if near[..open].ends_with(b"\\") {
        // The string began before this quote, and perhaps names a pair.
        return true;
    }
    let Some(member) = near[..open].trim_ascii_end().strip_suffix(b":") else {
        return false;
    };
    let Some(name) = member.trim_ascii_end().strip_suffix(b"\"") else {
        return false;
    };
    let start = name
        .iter()
        .rposition(|&byte| byte == b'"')
        .map_or(0, |at| at + 1);
    names::is_pair_name(&name[start..]) || name.contains(&b'\\')
}

/// Whether so many bytes are a string of their own, with nothing beside them.
fn is_alone(json: &[u8], at: usize, length: usize) -> bool {
    let before = at.checked_sub(1).and_then(|before| json.get(before));
    before == Some(&b'"') && json.get(at + length) == Some(&b'"')
}

/// Whether a string that can be a secret access key has an access key's identifier in the same object.
fn is_beside_key_id(json: &[u8], start: usize, end: usize) -> bool {
    const REACH: usize = 256;
    if end - start != 40 || !is_alone(json, start, 40) || !tokens::is_secret_key(&json[start..end])
    {
        return false;
    }
    let before = json[..start].iter().rev().take(REACH);
    let from = start - before.take_while(|&&byte| byte != b'{').count();
    let after = json[end..].iter().take(REACH);
    let to = end + after.take_while(|&&byte| byte != b'}').count();
    (from..to).any(|at| tokens::is_access_key_id(&json[at..to]))
}

/// Whether an escape of JSON stands here that can hide something.
fn is_escape(text: &[u8], at: usize) -> bool {
    matches!(text.get(at + 1), Some(b'u' | b'"' | b'/' | b'n'))
}

/// The byte that a percent sign and two digits stand for.
fn percent(text: &[u8], at: usize) -> Option<u8> {
    let digit = |at: usize| char::from(*text.get(at)?).to_digit(16);
    u8::try_from(digit(at + 1)? * 16 + digit(at + 2)?).ok()
}

fn unpercented(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut at = 0;
    while let Some(&byte) = text.get(at) {
        if let Some(decoded) = percent(text, at).filter(|_| byte == b'%') {
            out.push(decoded);
            at += 3;
        } else {
            out.push(byte);
            at += 1;
        }
    }
    out
}
