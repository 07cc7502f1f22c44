//! Reading JSON text in place: checking it, stepping over it, and turning strings to text and back.
//!
//! Nothing here builds a tree. Events stay the bytes they came as; what is needed of them is found by
//! walking over those bytes.

use std::borrow::Cow;

/// The deepest nesting that can be checked; configuration can only lower it.
pub const MAX_DEPTH: u32 = 128;

/// What [`check`] found at the start of some bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Check {
    /// A whole value, in valid JSON and UTF-8, that ends before this byte.
    Valid(usize),
    /// The bytes end inside the value.
    Incomplete,
    /// Not JSON, at this byte.
    Invalid(usize),
    /// Nested deeper than allowed.
    TooDeep,
}

/// Checks the object or array that `bytes` begin with: the grammar of RFC 8259, UTF-8, and a nesting of
/// at most `max_depth` (itself at most [`MAX_DEPTH`]).
#[must_use]
pub fn check(bytes: &[u8], max_depth: u32) -> Check {
    match (Checker { bytes, at: 0 }).container(max_depth.min(MAX_DEPTH)) {
        Ok(()) => Check::Incomplete,
        Err(Stop::End(end)) => match std::str::from_utf8(&bytes[..end]) {
            Ok(_) => Check::Valid(end),
            Err(error) => Check::Invalid(error.valid_up_to()),
        },
        Err(Stop::Bad(at)) if at >= bytes.len() => Check::Incomplete,
        Err(Stop::Bad(at)) => Check::Invalid(at),
        Err(Stop::Deep) => Check::TooDeep,
    }
}

enum Stop {
    End(usize),
    Bad(usize),
    Deep,
}

struct Checker<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Checker<'_> {
    /// The byte after white space, without stepping over it; `Bad` at the end of the bytes.
    #[inline]
    fn peek(&mut self) -> Result<u8, Stop> {
        while let Some(&byte) = self.bytes.get(self.at) {
            if !matches!(byte, b' ' | b'\n' | b'\r' | b'\t') {
                return Ok(byte);
            }
            self.at += 1;
        }
        Err(Stop::Bad(self.bytes.len()))
    }

    /// Walks one container without recursion: one bit a level says whether it is an object.
    fn container(&mut self, max_depth: u32) -> Result<(), Stop> {
        let mut objects: u128 = 0;
        let mut depth: u32 = 0;
        loop {
            // Here a value begins.
            match self.peek()? {
                open @ (b'{' | b'[') => {
                    if depth == max_depth {
                        return Err(Stop::Deep);
                    }
                    let object = open == b'{';
                    objects = objects << 1 | u128::from(object);
                    depth += 1;
                    self.at += 1;
                    if self.peek()? == if object { b'}' } else { b']' } {
                        // An empty container ends at once; what follows is handled below.
                    } else {
                        if object {
                            self.key()?;
                        }
                        continue;
                    }
                }
                _ if depth == 0 => return Err(Stop::Bad(self.at)),
                b'"' => self.string()?,
                b't' => self.literal(b"true")?,
                b'f' => self.literal(b"false")?,
                b'n' => self.literal(b"null")?,
                b'-' | b'0'..=b'9' => self.number()?,
                _ => return Err(Stop::Bad(self.at)),
            }
            // Here a value, or an empty container's inside, has ended.
            loop {
                let object = objects & 1 == 1;
                match self.peek()? {
                    b',' => {
                        self.at += 1;
                        if object {
                            self.key()?;
                        }
                        break;
                    }
                    b'}' if object => {}
                    b']' if !object => {}
                    _ => return Err(Stop::Bad(self.at)),
                }
                self.at += 1;
                objects >>= 1;
                depth -= 1;
                if depth == 0 {
                    return Err(Stop::End(self.at));
                }
            }
        }
    }

    fn key(&mut self) -> Result<(), Stop> {
        if self.peek()? != b'"' {
            return Err(Stop::Bad(self.at));
        }
        self.string()?;
        if self.peek()? != b':' {
            return Err(Stop::Bad(self.at));
        }
        self.at += 1;
        Ok(())
    }

    fn string(&mut self) -> Result<(), Stop> {
        self.at += 1;
        loop {
            self.at += plain(&self.bytes[self.at..]);
            match self.bytes.get(self.at) {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(());
                }
                Some(b'\\') => self.escape()?,
                Some(_) | None => return Err(Stop::Bad(self.at)),
            }
        }
    }

    fn escape(&mut self) -> Result<(), Stop> {
        match self.bytes.get(self.at + 1) {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => {
                self.at += 2;
                Ok(())
            }
            Some(b'u') => {
                for offset in 2..6 {
                    match self.bytes.get(self.at + offset) {
                        Some(digit) if digit.is_ascii_hexdigit() => {}
                        Some(_) => return Err(Stop::Bad(self.at + offset)),
                        None => return Err(Stop::Bad(self.bytes.len())),
                    }
                }
                self.at += 6;
                Ok(())
            }
            Some(_) => Err(Stop::Bad(self.at + 1)),
            None => Err(Stop::Bad(self.bytes.len())),
        }
    }

    fn literal(&mut self, word: &[u8]) -> Result<(), Stop> {
        let rest = &self.bytes[self.at..];
        let same = rest.iter().zip(word).take_while(|(a, b)| a == b).count();
        self.at += same;
        if same == word.len() {
            Ok(())
        } else {
            Err(Stop::Bad(self.at))
        }
    }

    fn digits(&mut self) -> Result<(), Stop> {
        let digits = self.bytes[self.at..]
            .iter()
            .take_while(|byte| byte.is_ascii_digit())
            .count();
        self.at += digits;
        if digits == 0 {
            Err(Stop::Bad(self.at))
        } else {
            Ok(())
        }
    }

    fn number(&mut self) -> Result<(), Stop> {
        if self.bytes[self.at] == b'-' {
            self.at += 1;
        }
        if self.bytes.get(self.at) == Some(&b'0') {
            self.at += 1;
        } else {
            self.digits()?;
        }
        if self.bytes.get(self.at) == Some(&b'.') {
            self.at += 1;
            self.digits()?;
        }
        if matches!(self.bytes.get(self.at), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.bytes.get(self.at), Some(b'+' | b'-')) {
                self.at += 1;
            }
            self.digits()?;
        }
        Ok(())
    }
}

/// How many bytes from the start are neither `"`, nor `\`, nor a control character: eight at a time.
#[inline]
fn plain(bytes: &[u8]) -> usize {
    const ONES: u64 = u64::from_ne_bytes([1; 8]);
    const HIGH: u64 = ONES << 7;
    let zero_in = |word: u64| word.wrapping_sub(ONES) & !word & HIGH;
    let (words, _) = bytes.as_chunks::<8>();
    for (position, word) in words.iter().enumerate() {
        let word = u64::from_le_bytes(*word);
        let control = word.wrapping_sub(ONES * 0x20) & !word & HIGH;
        let quote = zero_in(word ^ (ONES * u64::from(b'"')));
        let backslash = zero_in(word ^ (ONES * u64::from(b'\\')));
        let found = control | quote | backslash;
        if found != 0 {
            return position * 8 + found.trailing_zeros() as usize / 8;
        }
    }
    let rest = words.len() * 8;
    rest + bytes[rest..]
        .iter()
        .take_while(|&&byte| byte >= 0x20 && byte != b'"' && byte != b'\\')
        .count()
}

/// Steps over one value, however it is cut into pieces, by its brackets and strings alone. It finds the
/// end of a value that is not valid JSON too, as long as those balance.
#[derive(Clone, Debug, Default)]
pub struct Skipper {
    depth: u64,
    state: SkipState,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum SkipState {
    #[default]
    Before,
    Inside,
    String,
    Escape,
    Scalar,
}

impl Skipper {
    /// Reads on. The number of bytes that belong to the value (or stand before it), once its end is
    /// found; `None` when all of `bytes` do and more is needed. A scalar ends before the delimiter.
    pub fn skip(&mut self, bytes: &[u8]) -> Option<usize> {
        let mut at = 0;
        while at < bytes.len() {
            let byte = bytes[at];
            match self.state {
                SkipState::Before => match byte {
                    b' ' | b'\n' | b'\r' | b'\t' => at += 1,
                    b'"' => {
                        self.state = SkipState::String;
                        at += 1;
                    }
                    b'{' | b'[' => {
                        self.depth = 1;
                        self.state = SkipState::Inside;
                        at += 1;
                    }
                    b',' | b']' | b'}' => return Some(at),
                    _ => self.state = SkipState::Scalar,
                },
                SkipState::Scalar => match byte {
                    b',' | b']' | b'}' | b' ' | b'\n' | b'\r' | b'\t' => return Some(at),
                    _ => at += 1,
                },
                SkipState::Inside => {
                    at += 1;
                    match byte {
                        b'"' => self.state = SkipState::String,
                        b'{' | b'[' => self.depth += 1,
                        b'}' | b']' => {
                            self.depth -= 1;
                            if self.depth == 0 {
                                return Some(at);
                            }
                        }
                        _ => {}
                    }
                }
                SkipState::String => match memchr::memchr2(b'"', b'\\', &bytes[at..]) {
                    None => return None,
                    Some(offset) => {
                        at += offset + 1;
                        if bytes[at - 1] == b'\\' {
                            self.state = SkipState::Escape;
                        } else if self.depth == 0 {
                            return Some(at);
                        } else {
                            self.state = SkipState::Inside;
                        }
                    }
                },
                SkipState::Escape => {
                    self.state = SkipState::String;
                    at += 1;
                }
            }
        }
        None
    }
}

/// Where the string that starts at `at` (its opening quote) ends: one past the closing quote. The JSON
/// must have been checked.
#[inline]
#[must_use]
pub fn string_end(json: &[u8], at: usize) -> usize {
    let mut at = at + 1;
    while let Some(offset) = memchr::memchr2(b'"', b'\\', &json[at..]) {
        at += offset;
        if json[at] == b'"' {
            return at + 1;
        }
        at += 2;
    }
    json.len()
}

/// One past the last byte of the value that starts at `at`. The JSON must have been checked.
#[inline]
#[must_use]
pub fn value_end(json: &[u8], at: usize) -> usize {
    match json[at] {
        b'"' => string_end(json, at),
        b'{' | b'[' => {
            let mut depth = 0usize;
            let mut at = at;
            while at < json.len() {
                match json[at] {
                    b'"' => {
                        at = string_end(json, at);
                        continue;
                    }
                    b'{' | b'[' => depth += 1,
                    b'}' | b']' => {
                        depth -= 1;
                        if depth == 0 {
                            return at + 1;
                        }
                    }
                    _ => {}
                }
                at += 1;
            }
            json.len()
        }
        _ => {
            at + json[at..]
                .iter()
                .take_while(|byte| {
                    !matches!(byte, b',' | b'}' | b']' | b' ' | b'\n' | b'\r' | b'\t')
                })
                .count()
        }
    }
}

/// The first byte at or after `at` that is not white space.
#[inline]
#[must_use]
pub fn skip_space(json: &[u8], at: usize) -> usize {
    let mut at = at;
    while at < json.len() && matches!(json[at], b' ' | b'\n' | b'\r' | b'\t') {
        at += 1;
    }
    at
}

/// The text of a string's inside (without the quotes), checked before. Borrowed where nothing is
/// escaped. A lone surrogate becomes U+FFFD.
#[must_use]
pub fn unescape(inside: &[u8]) -> Cow<'_, [u8]> {
    if memchr::memchr(b'\\', inside).is_none() {
        return Cow::Borrowed(inside);
    }
    let mut out = Vec::with_capacity(inside.len());
    unescape_into(inside, &mut out);
    Cow::Owned(out)
}

/// [`unescape`] that appends.
pub fn unescape_into(inside: &[u8], out: &mut Vec<u8>) {
    let mut rest = inside;
    while let Some(offset) = memchr::memchr(b'\\', rest) {
        out.extend_from_slice(&rest[..offset]);
        rest = &rest[offset + 1..];
        let Some((&code, after)) = rest.split_first() else {
            return;
        };
        rest = after;
        match code {
            b'b' => out.push(8),
            b'f' => out.push(12),
            b'n' => out.push(b'\n'),
            b'r' => out.push(b'\r'),
            b't' => out.push(b'\t'),
            b'u' => {
                let (c, used) = unicode_escape(rest);
                rest = &rest[used.min(rest.len())..];
                out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
            }
            other => out.push(other),
        }
    }
    out.extend_from_slice(rest);
}

/// The character of the four digits at the start (and of the low surrogate's escape after them), and
/// how many bytes they take.
fn unicode_escape(text: &[u8]) -> (char, usize) {
    let digits = |text: &[u8]| -> Option<u32> {
        let digits = text.get(..4)?;
        digits.iter().try_fold(0, |value, &digit| {
            Some(value * 16 + char::from(digit).to_digit(16)?)
        })
    };
    let Some(first) = digits(text) else {
        return (char::REPLACEMENT_CHARACTER, 4);
    };
    if let Some(c) = char::from_u32(first) {
        return (c, 4);
    }
    if first < 0xDC00
        && text.get(4..6) == Some(b"\\u")
        && let Some(second @ 0xDC00..=0xDFFF) = text.get(6..).and_then(digits)
        && let Some(c) = char::from_u32(0x10000 + ((first - 0xD800) << 10) + (second - 0xDC00))
    {
        return (c, 10);
    }
    (char::REPLACEMENT_CHARACTER, 4)
}

/// Appends text as the inside of a JSON string.
pub fn escape_into(text: &str, out: &mut Vec<u8>) {
    for chunk in text
        .as_bytes()
        .chunk_by(|a, b| needs_escape(*a) == needs_escape(*b))
    {
        if !needs_escape(chunk[0]) {
            out.extend_from_slice(chunk);
            continue;
        }
        for &byte in chunk {
            match byte {
                b'"' => out.extend_from_slice(b"\\\""),
                b'\\' => out.extend_from_slice(b"\\\\"),
                b'\n' => out.extend_from_slice(b"\\n"),
                b'\r' => out.extend_from_slice(b"\\r"),
                b'\t' => out.extend_from_slice(b"\\t"),
                _ => {
                    const HEX: &[u8; 16] = b"0123456789abcdef";
                    out.extend_from_slice(b"\\u00");
                    out.push(HEX[usize::from(byte >> 4)]);
                    out.push(HEX[usize::from(byte & 15)]);
                }
            }
        }
    }
}

fn needs_escape(byte: u8) -> bool {
    byte < 0x20 || byte == b'"' || byte == b'\\'
}

/// Appends text as a JSON string, quotes included.
pub fn quote_into(text: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    escape_into(text, out);
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn valid_values_end_where_they_end() {
        for text in [
            "{}",
            "[]",
            "{\"a\":1}",
            "[[],{}]",
            "{\"a\":[1,2,{\"b\":null}],\"c\":-0.5e+10}",
            "{ \"a\" : true , \"b\" : [ ] }",
            "{\"\\u00e9\\n\":\"\\ud800\"}",
            "[1e400,18446744073709551617,\"é\"]",
        ] {
            assert_eq!(
                check(format!("{text},x").as_bytes(), 128),
                Check::Valid(text.len()),
                "{text}"
            );
            for cut in 1..text.len() {
                if text.is_char_boundary(cut) {
                    assert_eq!(
                        check(&text.as_bytes()[..cut], 128),
                        Check::Incomplete,
                        "{text} cut at {cut}"
                    );
                }
            }
        }
    }

    #[test]
    fn invalid_values_are_refused_where_they_break() {
        for (text, at) in [
            ("{\"a\":}", 5),
            ("{a:1}", 1),
            ("[1,]", 3),
            ("{\"a\":1,}", 7),
            ("[01]", 2),
            ("[+1]", 1),
            ("[1.]", 3),
            ("[\"\x01\"]", 2),
            ("[\"\\x\"]", 3),
            ("[\"\\u12g4\"]", 6),
            ("{\"a\" 1}", 5),
            ("[}", 1),
            ("{]", 1),
            ("[tru]", 4),
            ("[nul1]", 4),
            ("[1 2]", 3),
        ] {
            assert_eq!(check(text.as_bytes(), 128), Check::Invalid(at), "{text}");
        }
        assert_eq!(check(b"[\"\xff\"]", 128), Check::Invalid(2));
        assert_eq!(check(b"\"a\"", 128), Check::Invalid(0));
    }

    #[test]
    fn nesting_is_bounded() {
        let nested = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
        assert_eq!(check(nested(128).as_bytes(), 128), Check::Valid(256));
        assert_eq!(check(nested(129).as_bytes(), 128), Check::TooDeep);
        assert_eq!(check(nested(5000).as_bytes(), 200), Check::TooDeep);
        assert_eq!(check(nested(3).as_bytes(), 2), Check::TooDeep);
    }

    #[test]
    fn surrogates_are_joined_and_lone_ones_replaced() {
        assert_eq!(
            unescape(br"\ud83d\ude00 \/ \u0041").as_ref(),
            "😀 / A".as_bytes()
        );
        assert_eq!(unescape(br"a\ud800b").as_ref(), "a\u{fffd}b".as_bytes());
        assert_eq!(unescape(br"\ud800\u0041").as_ref(), "\u{fffd}A".as_bytes());
        assert!(matches!(unescape(b"plain"), Cow::Borrowed(_)));
    }

    proptest! {
        #[test]
        fn it_agrees_with_serde_json(text in r#"[\[\]{}:,"a1\\ue\-.0 tfn]{0,24}"#) {
            let expected = text.trim_start().starts_with(['{', '['])
                && serde_json::from_str::<serde::de::IgnoredAny>(&text).is_ok();
            let ours = match check(text.as_bytes(), 128) {
                Check::Valid(end) => text[end..].trim_matches([' ', '\n', '\r', '\t']).is_empty(),
                _ => false,
            };
            prop_assert_eq!(ours, expected, "{}", text);
        }

        #[test]
        fn a_skipper_finds_the_end_however_it_is_fed(value in value(), piece in 1usize..9) {
            let text = serde_json::to_vec(&value).expect("a value serialises");
            let mut fed = text.clone();
            fed.extend_from_slice(b" ,");
            let mut skipper = Skipper::default();
            let mut end = None;
            for (number, part) in fed.chunks(piece).enumerate() {
                if let Some(offset) = skipper.skip(part) {
                    end = Some(number * piece + offset);
                    break;
                }
            }
            prop_assert_eq!(end, Some(text.len()));
            prop_assert_eq!(value_end(&fed, 0), text.len());
        }

        #[test]
        fn escaping_and_unescaping_are_inverse(text in any::<String>()) {
            let mut escaped = Vec::new();
            escape_into(&text, &mut escaped);
            let unescaped = unescape(&escaped);
            prop_assert_eq!(unescaped.as_ref(), text.as_bytes());
            let quoted = [b"\"".as_slice(), &escaped, b"\""].concat();
            let parsed: String = serde_json::from_slice(&quoted).expect("what we escape is JSON");
            prop_assert_eq!(parsed, text);
        }

        #[test]
        fn plain_stops_at_the_first_special_byte(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
            let expected = bytes.iter().take_while(|&&b| b >= 0x20 && b != b'"' && b != b'\\').count();
            prop_assert_eq!(plain(&bytes), expected);
        }
    }

    fn value() -> impl Strategy<Value = serde_json::Value> {
        use serde_json::Value;
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            ".{0,12}".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 24, 4, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                proptest::collection::btree_map(".{0,6}", inner, 0..4)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }
}
