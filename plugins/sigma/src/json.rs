//! Reading the JSON text of a column in place. The host has checked it; text that is no JSON all the same
//! reads as less than it says, and never as a panic.

use std::borrow::Cow;

/// The end of the value that begins at `at`.
fn value_end(text: &[u8], at: usize) -> usize {
    match text.get(at) {
        Some(b'"') => string_end(text, at),
        Some(b'{' | b'[') => {
            let (mut depth, mut at) = (0_usize, at);
            while let Some(byte) = text.get(at) {
                match byte {
                    b'"' => {
                        at = string_end(text, at);
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
            text.len()
        }
        _ => {
            let ends = |byte: &u8| matches!(byte, b',' | b'}' | b']') || byte.is_ascii_whitespace();
            let rest = text.get(at..).unwrap_or_default();
            at + rest.iter().position(ends).unwrap_or(rest.len())
        }
    }
}

/// The end of the string whose opening quote is at `at`.
fn string_end(text: &[u8], at: usize) -> usize {
    let mut at = at + 1;
    while let Some(rest) = text.get(at..) {
        match memchr::memchr2(b'"', b'\\', rest) {
            Some(found) if rest[found] == b'"' => return at + found + 1,
            Some(found) => at += found + 2,
            None => break,
        }
    }
    text.len()
}

fn skip_space(text: &[u8], mut at: usize) -> usize {
    while text.get(at).is_some_and(u8::is_ascii_whitespace) {
        at += 1;
    }
    at
}

/// The members of an object, or the elements of an array, whose names are then empty.
pub(crate) struct Parts<'a> {
    text: &'a str,
    at: usize,
    object: bool,
}

impl<'a> Parts<'a> {
    pub(crate) fn of(text: &'a str) -> Self {
        let start = skip_space(text.as_bytes(), 0);
        let at = skip_space(text.as_bytes(), start + 1);
        Self {
            text,
            at,
            object: text.as_bytes().get(start) == Some(&b'{'),
        }
    }
}

impl<'a> Iterator for Parts<'a> {
    /// Name with its escapes, and the text of the value.
    type Item = (&'a str, &'a str);

    fn next(&mut self) -> Option<Self::Item> {
        let bytes = self.text.as_bytes();
        if matches!(bytes.get(self.at)?, b'}' | b']') {
            return None;
        }
        let mut name = "";
        if self.object {
            let end = string_end(bytes, self.at);
            name = self.text.get(self.at + 1..end.checked_sub(1)?)?;
            self.at = skip_space(bytes, skip_space(bytes, end) + 1);
        }
        let end = value_end(bytes, self.at);
        let value = self.text.get(self.at..end)?;
        self.at = skip_space(bytes, end);
        if bytes.get(self.at) == Some(&b',') {
            self.at = skip_space(bytes, self.at + 1);
        }
        Some((name, value))
    }
}

/// The value of an object's member; of a repeated one the last.
pub(crate) fn member<'a>(object: &'a str, name: &str) -> Option<&'a str> {
    let named = Parts::of(object).filter(|(escaped, _)| unescaped(escaped) == name);
    named.last().map(|(_, value)| value)
}

/// The inside of a string without its escapes.
pub(crate) fn unescaped(inside: &str) -> Cow<'_, str> {
    if !inside.contains('\\') {
        return Cow::Borrowed(inside);
    }
    let mut out = String::with_capacity(inside.len());
    unescape_into(inside, &mut out);
    Cow::Owned(out)
}

fn unescape_into(inside: &str, out: &mut String) {
    let mut rest = inside;
    while let Some(at) = rest.find('\\') {
        out.push_str(&rest[..at]);
        let escape = rest.as_bytes().get(at + 1).copied().unwrap_or(b'\\');
        rest = rest.get(at + 2..).unwrap_or_default();
        match escape {
            b'n' => out.push('\n'),
            b't' => out.push('\t'),
            b'r' => out.push('\r'),
            b'b' => out.push('\u{8}'),
            b'f' => out.push('\u{c}'),
            b'u' => rest = unicode(rest, out),
            other => out.push(char::from(other)),
        }
    }
    out.push_str(rest);
}

/// Reads the digits after `\u`, and the second half of a pair; what is left.
fn unicode<'a>(rest: &'a str, out: &mut String) -> &'a str {
    let digits = |text: &str| {
        text.get(..4)
            .and_then(|digits| u32::from_str_radix(digits, 16).ok())
    };
    let Some(first) = digits(rest) else {
        return rest;
    };
    let rest = &rest[4..];
    let second = rest.strip_prefix("\\u").and_then(digits);
    if let (0xd800..0xdc00, Some(second @ 0xdc00..0xe000)) = (first, second) {
        let pair = 0x1_0000 + ((first - 0xd800) << 10) + (second - 0xdc00);
        out.push(char::from_u32(pair).unwrap_or(char::REPLACEMENT_CHARACTER));
        return &rest[6..];
    }
    out.push(char::from_u32(first).unwrap_or(char::REPLACEMENT_CHARACTER));
    rest
}

/// Appends the text of a value as a person reads it: without white space between the parts, and with the
/// escapes in its strings resolved.
pub(crate) fn plain(text: &str, out: &mut String) {
    let bytes = text.as_bytes();
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        if *byte == b'"' {
            let end = string_end(bytes, at);
            out.push('"');
            unescape_into(
                text.get(at + 1..end.saturating_sub(1)).unwrap_or_default(),
                out,
            );
            out.push('"');
            at = end;
        } else {
            let end = bytes[at..].iter().position(|byte| *byte == b'"');
            let end = end.map_or(bytes.len(), |end| at + end);
            let between = text.get(at..end).unwrap_or_default();
            out.extend(between.chars().filter(|c| !c.is_ascii_whitespace()));
            at = end;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_read_in_place() {
        let parts = |text| Parts::of(text).collect::<Vec<_>>();
        assert_eq!(
            parts(r#" {"a": [1, {"b":"]"}] , "c\n":null}"#),
            [("a", r#"[1, {"b":"]"}]"#), (r"c\n", "null")]
        );
        assert_eq!(parts(r#"["x",-1.5e3]"#), [("", r#""x""#), ("", "-1.5e3")]);
        assert!(parts("{}").is_empty() && parts("[ ]").is_empty());
        assert_eq!(member(r#"{"a":1,"\u0061":2}"#, "a"), Some("2"));
    }

    #[test]
    fn text_is_shown_without_escapes_and_space() {
        let mut out = String::new();
        plain(
            r#"{"p": "{\"a b\":1}", "u": "\u00fc\ud83d\ude00\/"}"#,
            &mut out,
        );
        assert_eq!(out, "{\"p\":\"{\"a b\":1}\",\"u\":\"ü😀/\"}");
    }

    #[test]
    fn what_is_no_json_is_no_panic() {
        for text in [
            "", "{", "[", "{\"a", "[1,", "{\"a\":", "\"\\", "]", "{\"a\"}", "\\u12",
        ] {
            let _ = Parts::of(text).count();
            let _ = unescaped(text);
            plain(text, &mut String::new());
        }
    }
}
