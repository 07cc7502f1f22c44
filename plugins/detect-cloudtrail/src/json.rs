//! Reading JSON text in place: only what a rule asks for is looked at, and what is missing, broken or
//! of another kind than expected is simply not there.

use std::borrow::Cow;

/// One value, as its text; empty where there is none.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Json<'a>(&'a str);

impl<'a> Json<'a> {
    /// The value at the beginning of a text.
    pub(crate) fn of(text: &'a str) -> Self {
        let start = skip_space(text.as_bytes(), 0);
        Self(between(text, start, value_end(text.as_bytes(), start)))
    }

    /// The member with this name, whatever its case: services differ in it. Of a repeated member the
    /// last, as in the host's columns.
    pub(crate) fn get(self, name: &str) -> Self {
        let named = self.members().filter(|(raw, _)| is_name(raw, name));
        named.last().map_or(Self(""), |(_, value)| value)
    }

    /// The first of these members that is there.
    pub(crate) fn any(self, names: &[&str]) -> Self {
        let mut found = names.iter().map(|name| self.get(name));
        found.find(|value| value.exists()).unwrap_or_default()
    }

    /// Whether there is a value, and not null.
    pub(crate) fn exists(self) -> bool {
        !self.0.is_empty() && self.0 != "null"
    }

    pub(crate) fn is_object(self) -> bool {
        self.0.starts_with('{')
    }

    /// The JSON text itself.
    pub(crate) fn text(self) -> &'a str {
        self.0
    }

    /// A string without its escapes, or the text of a number or boolean; else nothing.
    pub(crate) fn str(self) -> Cow<'a, str> {
        match self.0.as_bytes() {
            [b'"', .., b'"'] => unescape(between(self.0, 1, self.0.len() - 1)),
            [b'{' | b'[', ..] | b"null" => Cow::Borrowed(""),
            _ => Cow::Borrowed(self.0),
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
        match self.0.as_bytes().first() {
            Some(b'[') => Values::of(self.0, b'[').map(|(_, value)| value).collect(),
            Some(b'{') => {
                let items = self.get("items");
                if items.exists() {
                    return items.each();
                }
                let is_empty = self.members().next().is_none();
                if is_empty { Vec::new() } else { vec![self] }
            }
            Some(_) if self.exists() => vec![self],
            _ => Vec::new(),
        }
    }

    /// Names and values of an object; names as they stand in the text.
    pub(crate) fn members(self) -> impl Iterator<Item = (&'a str, Json<'a>)> {
        Values::of(self.0, b'{')
    }
}

/// The members of an object, found once for all that is asked of them.
#[derive(Debug, Default)]
pub(crate) struct Object<'a> {
    whole: Json<'a>,
    members: Vec<(&'a str, Json<'a>)>,
    /// Whether a name has an escape in it.
    escaped: bool,
}

impl<'a> Object<'a> {
    /// Reads the object that a text is; one without members where it is none.
    pub(crate) fn read(text: &'a str) -> Self {
        let whole = Json(text.trim_ascii());
        let members: Vec<_> = whole.members().collect();
        Self {
            whole,
            escaped: members.iter().any(|(raw, _)| raw.contains('\\')),
            members,
        }
    }

    /// See [`Json::get`].
    pub(crate) fn get(&self, name: &str) -> Json<'a> {
        let mut last_first = self.members.iter().rev();
        let found = last_first.find(|(raw, _)| {
            raw.eq_ignore_ascii_case(name) || (self.escaped && is_name(raw, name))
        });
        found.map(|(_, value)| *value).unwrap_or_default()
    }

    /// See [`Json::any`].
    pub(crate) fn any(&self, names: &[&str]) -> Json<'a> {
        let mut found = names.iter().map(|name| self.get(name));
        found.find(|value| value.exists()).unwrap_or_default()
    }

    /// Whether there is anything in it.
    pub(crate) fn exists(&self) -> bool {
        !self.members.is_empty()
    }

    /// The same as a value.
    pub(crate) fn json(&self) -> Json<'a> {
        self.whole
    }

    /// Names and values; names as they stand in the text.
    pub(crate) fn members(&self) -> impl Iterator<Item = (&'a str, Json<'a>)> {
        self.members.iter().copied()
    }
}

/// Whether a member's name as it stands is this one, in whatever case. An escaped name is longer.
fn is_name(raw: &str, name: &str) -> bool {
    raw.eq_ignore_ascii_case(name)
        || (raw.len() > name.len()
            && raw.contains('\\')
            && unescape(raw).eq_ignore_ascii_case(name))
}

/// The values of an object or array, one after the other, with their names.
struct Values<'a> {
    text: &'a str,
    at: usize,
    named: bool,
}

impl<'a> Values<'a> {
    fn of(text: &'a str, bracket: u8) -> Self {
        let is_kind = text.as_bytes().first() == Some(&bracket);
        Self {
            text,
            at: if is_kind { 1 } else { text.len() },
            named: bracket == b'{',
        }
    }

    /// Passes a name and its colon.
    fn name(&mut self) -> Option<&'a str> {
        let bytes = self.text.as_bytes();
        if bytes.get(self.at) != Some(&b'"') {
            return None;
        }
        let end = string_end(bytes, self.at);
        let name = between(self.text, self.at + 1, end - 1);
        self.at = skip_space(bytes, end);
        if bytes.get(self.at) != Some(&b':') {
            return None;
        }
        self.at = skip_space(bytes, self.at + 1);
        Some(name)
    }
}

impl<'a> Iterator for Values<'a> {
    type Item = (&'a str, Json<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        let bytes = self.text.as_bytes();
        self.at = skip_space(bytes, self.at);
        if bytes.get(self.at) == Some(&b',') {
            self.at = skip_space(bytes, self.at + 1);
        }
        let name = if self.named { self.name() } else { Some("") };
        let (start, end) = (self.at, value_end(bytes, self.at));
        // Nothing follows what is broken.
        let broken = name.is_none() || start == end;
        self.at = if broken { bytes.len() } else { end };
        (!broken).then(|| {
            (
                name.unwrap_or_default(),
                Json(between(self.text, start, end)),
            )
        })
    }
}

/// A part of a text. Its ends lie at ASCII bytes, so that it is always one.
fn between(text: &str, start: usize, end: usize) -> &str {
    text.get(start..end).unwrap_or_default()
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
    while let Some(byte) = text.get(at) {
        match byte {
            b'"' => at = string_end(text, at),
            b'{' | b'[' => {
                depth += 1;
                at += 1;
            }
            b'}' | b']' if depth > 0 => {
                depth -= 1;
                at += 1;
            }
            b'}' | b']' => return at,
            _ if depth > 0 => {
                at += 1;
                continue;
            }
            _ => {
                let ends = |byte: &u8| b",}]: \n\r\t".contains(byte);
                let length = text[at..].iter().position(ends);
                return length.map_or(text.len(), |length| at + length);
            }
        }
        if depth == 0 {
            return at;
        }
    }
    text.len().min(at)
}

/// The position after a string's closing quote, or the end of a text that has none.
fn string_end(text: &[u8], start: usize) -> usize {
    let mut at = start + 1;
    loop {
        // Most bytes are neither a quote nor a backslash: eight at a time.
        while let Some(eight) = text.get(at..at + 8).and_then(|eight| eight.try_into().ok()) {
            let eight = u64::from_le_bytes(eight);
            let marks = zeros(eight ^ repeated(b'"')) | zeros(eight ^ repeated(b'\\'));
            if marks != 0 {
                at += marks.trailing_zeros() as usize / 8;
                break;
            }
            at += 8;
        }
        match text.get(at) {
            Some(b'"') => return at + 1,
            Some(b'\\') => at += 2,
            Some(_) => at += 1,
            None => return text.len(),
        }
    }
}

const fn repeated(byte: u8) -> u64 {
    u64::from_le_bytes([byte; 8])
}

/// The highest bit of each byte that is zero; only the lowest of those bits is sure.
const fn zeros(eight: u64) -> u64 {
    eight.wrapping_sub(repeated(1)) & !eight & repeated(0x80)
}

/// The text between a string's quotes without its escapes; a lone surrogate becomes U+FFFD.
fn unescape(raw: &str) -> Cow<'_, str> {
    if !raw.contains('\\') {
        return Cow::Borrowed(raw);
    }
    let mut units: Vec<u16> = Vec::new();
    let mut out = String::with_capacity(raw.len());
    let mut parts = raw.split('\\');
    out.push_str(parts.next().unwrap_or_default());
    while let Some(part) = parts.next() {
        if let Some(code) = part.strip_prefix('u') {
            let digits = code.get(..4).unwrap_or_default();
            units.push(u16::from_str_radix(digits, 16).unwrap_or(0xfffd));
            let rest = between(code, digits.len(), code.len());
            if !rest.is_empty() {
                flush(&mut units, &mut out);
                out.push_str(rest);
            }
            continue;
        }
        flush(&mut units, &mut out);
        let mut chars = part.chars();
        match chars.next() {
            Some('n') => out.push('\n'),
            Some('r') => out.push('\r'),
            Some('t') => out.push('\t'),
            Some('b') => out.push('\u{8}'),
            Some('f') => out.push('\u{c}'),
            Some(other) => out.push(other),
            // Two backslashes are one, and what follows is text.
            None => {
                out.push('\\');
                out.push_str(parts.next().unwrap_or_default());
            }
        }
        out.push_str(chars.as_str());
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
            Json::of(r#""\u0041\n\/\"\ud83d\ude00\ud800x\\n\\\u0042\\""#).str(),
            "A\n/\"😀\u{fffd}x\\n\\B\\"
        );
    }

    #[test]
    fn strings_end_at_their_own_quote_wherever_it_stands() {
        for length in 0..40 {
            for tail in ["", r#"\""#, r"\\", "é"] {
                let text = format!(r#"{{"a":"{}{tail}","b":"x"}}"#, "y".repeat(length));
                assert_eq!(Json::of(&text).get("b").str(), "x", "{text}");
                assert_eq!(Object::read(&text).get("b").str(), "x", "{text}");
            }
        }
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
