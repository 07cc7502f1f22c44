//! Checking: the grammar, and how deep it nests.

use super::MAX_DEPTH;

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
    check_at(bytes, 0, max_depth, &mut Alone)
}

/// The same for the value at `at`, with somebody who helps and listens.
pub(super) fn check_at(bytes: &[u8], at: usize, max_depth: u32, notes: &mut impl Notes) -> Check {
    let start = at;
    match (Checker { bytes, at, notes }).container(max_depth.min(MAX_DEPTH)) {
        Ok(()) => Check::Incomplete,
        Err(Stop::End(end)) => match std::str::from_utf8(&bytes[start..end]) {
            Ok(_) => Check::Valid(end - start),
            Err(error) => Check::Invalid(error.valid_up_to()),
        },
        Err(Stop::Bad(at)) if at >= bytes.len() => Check::Incomplete,
        Err(Stop::Bad(at)) => Check::Invalid(at - start),
        Err(Stop::Deep) => Check::TooDeep,
    }
}

/// Who knows where strings may end, and is told where containers do.
pub(super) trait Notes {
    /// The first quote, backslash or control character at or after a byte, or the text's end.
    fn next_stop(&self, bytes: &[u8], at: usize) -> usize;

    /// A container begins, so many levels deep.
    fn opens(&mut self, level: usize, at: usize);

    /// The container that began last at this level has ended before this byte.
    fn closes(&mut self, level: usize, end: usize);
}

/// Nobody.
struct Alone;

impl Notes for Alone {
    #[inline]
    fn next_stop(&self, bytes: &[u8], at: usize) -> usize {
        at + plain(&bytes[at..])
    }

    fn opens(&mut self, _: usize, _: usize) {}

    fn closes(&mut self, _: usize, _: usize) {}
}

enum Stop {
    End(usize),
    Bad(usize),
    Deep,
}

struct Checker<'a, N> {
    bytes: &'a [u8],
    at: usize,
    notes: &'a mut N,
}

impl<N: Notes> Checker<'_, N> {
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
                    self.notes.opens(depth as usize, self.at);
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
                self.notes.closes(depth as usize, self.at);
                if depth == 0 {
                    return Err(Stop::End(self.at));
                }
            }
        }
    }

    #[inline]
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

    #[inline]
    fn string(&mut self) -> Result<(), Stop> {
        let stop = self.notes.next_stop(self.bytes, self.at + 1);
        if self.bytes.get(stop) == Some(&b'"') {
            self.at = stop + 1;
            return Ok(());
        }
        self.rest_of_string(stop)
    }

    /// From the first stop in a string on.
    fn rest_of_string(&mut self, stop: usize) -> Result<(), Stop> {
        self.at = stop;
        loop {
            match self.bytes.get(self.at) {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(());
                }
                Some(b'\\') => self.escape()?,
                Some(_) | None => return Err(Stop::Bad(self.at)),
            }
            self.at = self.notes.next_stop(self.bytes, self.at);
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
        if rest.starts_with(word) {
            self.at += word.len();
            return Ok(());
        }
        let same = rest.iter().zip(word).take_while(|(a, b)| a == b).count();
        Err(Stop::Bad(self.at + same))
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
        fn plain_stops_at_the_first_special_byte(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
            let expected = bytes.iter().take_while(|&&b| b >= 0x20 && b != b'"' && b != b'\\').count();
            prop_assert_eq!(plain(&bytes), expected);
        }
    }
}
