//! Reading JSON text in place: only what a rule asks for is looked at, and what is missing, broken or
//! of another kind than expected is simply not there.

use std::borrow::Cow;

/// One value, as its text; empty where there is none.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Json<'a>(&'a [u8]);

impl<'a> Json<'a> {
    /// The value at the beginning of a text.
    pub(crate) fn of(text: &'a str) -> Self {
        let bytes = text.as_bytes();
        let start = skip_space(bytes, 0);
        Self(&bytes[start..value_end(bytes, start)])
    }

    /// The member with this name, whatever its case: services differ in it. Of a repeated member the
    /// last, as in the host's columns.
    pub(crate) fn get(self, name: &str) -> Self {
        let is_name = |(raw, _): &(&[u8], Json<'_>)| {
            raw.eq_ignore_ascii_case(name.as_bytes())
                || (raw.contains(&b'\\') && unescape(raw).eq_ignore_ascii_case(name))
        };
        let found = Values::members(self.0).filter(is_name).last();
        found.map_or(Self(b""), |(_, value)| value)
    }

    /// The first of these members that is there.
    pub(crate) fn any(self, names: &[&str]) -> Self {
        let found = names.iter().map(|name| self.get(name));
        found
            .into_iter()
            .find(|value| value.exists())
            .unwrap_or(Self(b""))
    }

    /// Whether there is a value, and not null.
    pub(crate) fn exists(self) -> bool {
        !self.0.is_empty() && self.0 != b"null"
    }

    pub(crate) fn is_object(self) -> bool {
        self.0.first() == Some(&b'{')
    }

    /// The JSON text itself.
    pub(crate) fn text(self) -> &'a str {
        std::str::from_utf8(self.0).unwrap_or_default()
    }

    /// A string without its escapes, or the text of a number or boolean; else nothing.
    pub(crate) fn str(self) -> Cow<'a, str> {
        match self.0 {
            [b'"', inner @ .., b'"'] => unescape(inner),
            [b'{' | b'[', ..] | b"null" => Cow::Borrowed(""),
            _ => Cow::Borrowed(self.text()),
        }
    }

    /// A whole number, also where it is written as a string.
    pub(crate) fn number(self) -> Option<i64> {
        self.str().trim().parse().ok()
    }

    /// True, also where it is written as a string.
    pub(crate) fn is_true(self) -> bool {
        self.str().eq_ignore_ascii_case("true")
    }

    /// False, also where it is written as a string.
    pub(crate) fn is_false(self) -> bool {
        self.str().eq_ignore_ascii_case("false")
    }

    /// The elements of an array, or of EC2's `{"items": […]}`; any other value is the only element.
    pub(crate) fn each(self) -> Vec<Json<'a>> {
        match self.0.first() {
            Some(b'[') => Values::elements(self.0).collect(),
            Some(b'{') if self.get("items").exists() => self.get("items").each(),
            Some(b'{') if self.0.iter().all(|byte| b"{} \n\r\t".contains(byte)) => Vec::new(),
            Some(_) if self.exists() => vec![self],
            _ => Vec::new(),
        }
    }

    /// Names and values of an object; names as they stand in the text.
    pub(crate) fn members(self) -> impl Iterator<Item = (&'a [u8], Json<'a>)> {
        Values::members(self.0)
    }
}

/// The values of an object or array, one after the other, with their names.
struct Values<'a> {
    text: &'a [u8],
    at: usize,
    named: bool,
}

impl<'a> Values<'a> {
    fn members(text: &'a [u8]) -> impl Iterator<Item = (&'a [u8], Json<'a>)> {
        Self::inside(text, b'{')
    }

    fn elements(text: &'a [u8]) -> impl Iterator<Item = Json<'a>> {
        Self::inside(text, b'[').map(|(_, value)| value)
    }

    fn inside(text: &'a [u8], bracket: u8) -> Self {
        let is_kind = text.first() == Some(&bracket);
        Self {
            text,
            at: if is_kind { 1 } else { text.len() },
            named: bracket == b'{',
        }
    }
}

impl<'a> Iterator for Values<'a> {
    type Item = (&'a [u8], Json<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        let text = self.text;
        let mut at = skip_space(text, self.at);
        if text.get(at) == Some(&b',') {
            at = skip_space(text, at + 1);
        }
        let mut name: &[u8] = &[];
        if self.named {
            if text.get(at) != Some(&b'"') {
                self.at = text.len();
                return None;
            }
            let end = value_end(text, at);
            name = text.get(at + 1..end - 1).unwrap_or_default();
            at = skip_space(text, end);
            if text.get(at) != Some(&b':') {
                self.at = text.len();
                return None;
            }
            at = skip_space(text, at + 1);
        }
        let end = value_end(text, at);
        if end == at {
            self.at = text.len();
            return None;
        }
        self.at = end;
        Some((name, Json(&text[at..end])))
    }
}

fn skip_space(text: &[u8], mut at: usize) -> usize {
    while matches!(text.get(at), Some(b' ' | b'\n' | b'\r' | b'\t')) {
        at += 1;
    }
    at
}

/// Where the value that begins at `at` ends: the same place where there is none. Brackets are counted,
/// so that no depth costs more than its bytes.
fn value_end(text: &[u8], mut at: usize) -> usize {
    let mut depth = 0_usize;
    loop {
        match text.get(at) {
            Some(b'"') => at = string_end(text, at),
            Some(b'{' | b'[') => {
                depth += 1;
                at += 1;
            }
            Some(b'}' | b']') if depth > 0 => {
                depth -= 1;
                at += 1;
            }
            Some(b'}' | b']') | None => return at.min(text.len()),
            Some(_) if depth > 0 => {
                at += 1;
                continue;
            }
            Some(_) => {
                while !matches!(
                    text.get(at),
                    None | Some(b',' | b'}' | b']' | b':' | b' ' | b'\n' | b'\r' | b'\t')
                ) {
                    at += 1;
                }
            }
        }
        if depth == 0 {
            return at.min(text.len());
        }
    }
}

/// The position after a string's closing quote, or the end of a text that has none.
fn string_end(text: &[u8], start: usize) -> usize {
    let mut at = start + 1;
    while let Some(byte) = text.get(at) {
        match byte {
            b'"' => return at + 1,
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
    text.len()
}

/// The text between a string's quotes without its escapes; a lone surrogate becomes U+FFFD.
fn unescape(raw: &[u8]) -> Cow<'_, str> {
    if !raw.contains(&b'\\') {
        return String::from_utf8_lossy(raw);
    }
    let mut units: Vec<u16> = Vec::new();
    let mut out = String::with_capacity(raw.len());
    let text = String::from_utf8_lossy(raw);
    let mut rest = text.chars();
    while let Some(char) = rest.next() {
        let escape = if char == '\\' { rest.next() } else { None };
        if escape == Some('u') {
            let code: String = rest.by_ref().take(4).collect();
            units.push(u16::from_str_radix(&code, 16).unwrap_or(0xfffd));
            continue;
        }
        flush(&mut units, &mut out);
        out.push(match escape {
            None => char,
            Some('n') => '\n',
            Some('r') => '\r',
            Some('t') => '\t',
            Some('b') => '\u{8}',
            Some('f') => '\u{c}',
            Some(other) => other,
        });
    }
    flush(&mut units, &mut out);
    Cow::Owned(out)
}

fn flush(units: &mut Vec<u16>, out: &mut String) {
    if !units.is_empty() {
        out.push_str(&String::from_utf16_lossy(units));
        units.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_found_in_whatever_case_and_escape() {
        let value =
            Json::of(r#" {"a": 1, "roleARN" : "x", "\u0062":{"c":[1,"}",{"d":null}]}, "a":2} "#);
        assert_eq!(value.get("a").number(), Some(2), "the last of two");
        assert_eq!(value.get("RoleArn").str(), "x");
        assert_eq!(value.get("b").get("c").each().len(), 3);
        assert!(!value.get("b").get("c").each()[2].get("d").exists());
        assert!(!value.get("z").exists());
        assert_eq!(value.any(&["z", "rolearn"]).str(), "x");
        assert_eq!(value.members().count(), 4);
    }

    #[test]
    fn lists_come_in_three_shapes() {
        let count = |text: &str| Json::of(text).each().len();
        assert_eq!(count(r#"["a","b"]"#), 2);
        assert_eq!(count(r#"{"items":[{"a":1},{"b":2}]}"#), 2);
        assert_eq!(count(r#"{"items":{"a":1}}"#), 1);
        assert_eq!(count(r#"{"userId":"1"}"#), 1);
        assert_eq!(count(r#""a""#), 1);
        for nothing in ["{}", "{ }", "[]", "null", ""] {
            assert_eq!(count(nothing), 0, "{nothing}");
        }
    }

    #[test]
    fn numbers_and_booleans_may_be_strings() {
        for text in ["22", r#""22""#, r#"" 22""#] {
            assert_eq!(Json::of(text).number(), Some(22), "{text}");
        }
        assert_eq!(Json::of("22.5").number(), None);
        assert!(Json::of("true").is_true() && Json::of(r#""True""#).is_true());
        assert!(Json::of("false").is_false() && !Json::of("null").is_false());
    }

    #[test]
    fn escapes_are_resolved() {
        assert_eq!(
            Json::of(r#""\u0041\n\/\"\ud83d\ude00\ud800x""#).str(),
            "A\n/\"😀\u{fffd}x"
        );
    }

    #[test]
    fn what_is_broken_is_not_there() {
        for text in [
            "",
            "{",
            "[",
            "\"",
            r#"{"a"#,
            r#"{"a""#,
            r#"{"a":"#,
            r#"{"a":"\"#,
            "}",
            "]",
            "{a:1}",
            "{,}",
            r#"{"a" 1}"#,
            r#"{"b":1 "a":"#,
            ":",
        ] {
            let value = Json::of(text);
            assert!(!value.get("a").get("b").exists(), "{text}");
            let _ = (
                value.str(),
                value.number(),
                value.each(),
                value.members().count(),
            );
        }
        let deep = "[".repeat(100_000);
        assert_eq!(Json::of(&deep).each().len(), 1);
        assert_eq!(Json::of(r#"{"a":[1}"#).get("a").each().len(), 1);
    }
}
