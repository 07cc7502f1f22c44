//! A walk over the leaves of a JSON text. Nothing is built but the way down to the present leaf.

use std::borrow::Cow;

/// Deeper than the host lets any event be.
const DEEPEST: usize = 256;

/// One step of the way down.
#[derive(Clone, Debug)]
pub(crate) enum Step<'a> {
    /// A member's name as it stands, without its quotes.
    Name(&'a [u8]),
    Index(usize),
}

/// A string that is not the name of a member.
#[derive(Debug)]
pub(crate) struct Leaf<'w, 'a> {
    /// The way to it.
    pub(crate) path: &'w [Step<'a>],
    /// Its text as it stands, without its quotes.
    pub(crate) raw: &'a [u8],
    /// The object or array around it, from its bracket to the end of the whole text.
    pub(crate) around: &'a [u8],
}

/// Calls `visit` for each string leaf, in order.
///
/// # Errors
/// When the text is not JSON as far as it was read, or is nested too deep.
pub(crate) fn leaves<'a>(
    text: &'a [u8],
    visit: &mut dyn FnMut(&Leaf<'_, 'a>),
) -> Result<(), &'static str> {
    let mut walk = Walk {
        text,
        at: 0,
        path: Vec::new(),
        visit,
    };
    walk.value(0)?;
    walk.space();
    if walk.at == text.len() {
        Ok(())
    } else {
        Err("bytes follow the JSON")
    }
}

/// String members of the object at the start of `text`: name and value as they stand. Members that
/// are no strings are passed over.
pub(crate) fn members(text: &[u8]) -> Vec<(&[u8], &[u8])> {
    let mut found = Vec::new();
    let mut visit = |_: &Leaf<'_, '_>| {};
    let mut walk = Walk {
        text,
        at: 0,
        path: Vec::new(),
        visit: &mut visit,
    };
    // What is broken ends the list here, and the walk that asked for it.
    let _ = walk.string_members(&mut found);
    found
}

struct Walk<'a, 'v> {
    text: &'a [u8],
    at: usize,
    path: Vec<Step<'a>>,
    visit: &'v mut dyn FnMut(&Leaf<'_, 'a>),
}

impl<'a> Walk<'a, '_> {
    fn value(&mut self, around: usize) -> Result<(), &'static str> {
        self.space();
        match self.peek() {
            Some(b'{') => self.object(),
            Some(b'[') => self.array(),
            Some(b'"') => {
                let raw = self.string()?;
                let leaf = Leaf {
                    path: &self.path,
                    raw,
                    around: &self.text[around..],
                };
                (self.visit)(&leaf);
                Ok(())
            }
            Some(_) => self.scalar(),
            None => Err("the JSON ends early"),
        }
    }

    fn object(&mut self) -> Result<(), &'static str> {
        let start = self.open()?;
        if self.take(b'}') {
            return Ok(());
        }
        loop {
            let name = self.name()?;
            self.path.push(Step::Name(name));
            self.value(start)?;
            self.path.pop();
            if !self.comma_or(b'}')? {
                return Ok(());
            }
        }
    }

    fn array(&mut self) -> Result<(), &'static str> {
        let start = self.open()?;
        if self.take(b']') {
            return Ok(());
        }
        for index in 0.. {
            self.path.push(Step::Index(index));
            self.value(start)?;
            self.path.pop();
            if !self.comma_or(b']')? {
                break;
            }
        }
        Ok(())
    }

    fn string_members(
        &mut self,
        found: &mut Vec<(&'a [u8], &'a [u8])>,
    ) -> Result<(), &'static str> {
        self.space();
        if self.peek() != Some(b'{') {
            return Ok(());
        }
        self.open()?;
        if self.take(b'}') {
            return Ok(());
        }
        loop {
            let name = self.name()?;
            self.space();
            if self.peek() == Some(b'"') {
                found.push((name, self.string()?));
            } else {
                self.value(self.at)?;
            }
            if !self.comma_or(b'}')? {
                return Ok(());
            }
        }
    }

    /// Passes the bracket and says where it stood.
    fn open(&mut self) -> Result<usize, &'static str> {
        if self.path.len() >= DEEPEST {
            return Err("the JSON is nested too deep");
        }
        self.at += 1;
        Ok(self.at - 1)
    }

    fn name(&mut self) -> Result<&'a [u8], &'static str> {
        self.space();
        let name = self.string()?;
        if self.take(b':') {
            Ok(name)
        } else {
            Err("a name without a colon")
        }
    }

    /// True at a comma, false at the end of the object or array.
    fn comma_or(&mut self, end: u8) -> Result<bool, &'static str> {
        if self.take(b',') {
            Ok(true)
        } else if self.take(end) {
            Ok(false)
        } else {
            Err("neither a comma nor an end")
        }
    }

    fn string(&mut self) -> Result<&'a [u8], &'static str> {
        if self.peek() != Some(b'"') {
            return Err("no string where one must be");
        }
        let start = self.at + 1;
        let mut at = start;
        loop {
            match self.text.get(at) {
                Some(b'"') => break,
                Some(b'\\') => at += 2,
                Some(_) => at += 1,
                None => return Err("a string without an end"),
            }
        }
        self.at = at + 1;
        Ok(&self.text[start..at])
    }

    fn scalar(&mut self) -> Result<(), &'static str> {
        let start = self.at;
        while self
            .peek()
            .is_some_and(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
        {
            self.at += 1;
        }
        if self.at > start {
            Ok(())
        } else {
            Err("no value where one must be")
        }
    }

    fn take(&mut self, byte: u8) -> bool {
        self.space();
        let is_next = self.peek() == Some(byte);
        self.at += usize::from(is_next);
        is_next
    }

    fn space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\n' | b'\r' | b'\t')) {
            self.at += 1;
        }
    }

    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }
}

/// The text of a string as it stands between its quotes, with the escapes resolved. A lone surrogate
/// becomes U+FFFD.
pub(crate) fn unescape(raw: &[u8]) -> Cow<'_, [u8]> {
    if !raw.contains(&b'\\') {
        return Cow::Borrowed(raw);
    }
    let mut out = Vec::with_capacity(raw.len());
    let mut rest = raw;
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        if byte != b'\\' {
            out.push(byte);
            continue;
        }
        let Some((&escape, after)) = rest.split_first() else {
            break;
        };
        rest = after;
        match escape {
            b'n' => out.push(b'\n'),
            b'r' => out.push(b'\r'),
            b't' => out.push(b'\t'),
            b'b' => out.push(8),
            b'f' => out.push(12),
            b'u' => rest = unicode(rest, &mut out),
            other => out.push(other),
        }
    }
    Cow::Owned(out)
}

/// Appends the character of a `\u` escape, or of a pair of them; answers with what follows.
fn unicode<'a>(rest: &'a [u8], out: &mut Vec<u8>) -> &'a [u8] {
    let (Some(first), mut rest) = (hex4(rest), rest.get(4..).unwrap_or_default()) else {
        return rest.get(4..).unwrap_or_default();
    };
    let mut code = first;
    if (0xd800..0xdc00).contains(&first) {
        let second = rest.strip_prefix(b"\\u").and_then(hex4);
        if let Some(low) = second.filter(|low| (0xdc00..0xe000).contains(low)) {
            code = 0x10000 + ((first - 0xd800) << 10) + (low - 0xdc00);
            rest = &rest[6..];
        }
    }
    let char = char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER);
    out.extend_from_slice(char.encode_utf8(&mut [0; 4]).as_bytes());
    rest
}

fn hex4(text: &[u8]) -> Option<u32> {
    u32::from_str_radix(std::str::from_utf8(text.get(..4)?).ok()?, 16).ok()
}

/// The way as a JSON Pointer.
pub(crate) fn pointer(path: &[Step<'_>]) -> String {
    let mut pointer = String::new();
    for step in path {
        pointer.push('/');
        match step {
            Step::Index(index) => pointer.push_str(&index.to_string()),
            Step::Name(name) => {
                let name = unescape(name);
                pointer.push_str(
                    &String::from_utf8_lossy(&name)
                        .replace('~', "~0")
                        .replace('/', "~1"),
                );
            }
        }
    }
    pointer
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    fn walked(text: &str) -> Result<Vec<(String, String)>, &'static str> {
        let mut found = Vec::new();
        leaves(text.as_bytes(), &mut |leaf| {
            found.push((
                pointer(leaf.path),
                String::from_utf8(unescape(leaf.raw).into_owned()).unwrap(),
            ));
        })?;
        Ok(found)
    }

    #[test]
    fn leaves_are_visited_with_their_pointers() {
        let text = r#" {"a" : ["x", 1, {"b/c": "y", "d~e":null}], "":"z", "\u0061\"":"\u00fc\ud83d\ude00\n"} "#;
        let expected = [
            ("/a/0", "x"),
            ("/a/2/b~1c", "y"),
            ("/", "z"),
            ("/a\"", "ü😀\n"),
        ];
        assert_eq!(
            walked(text).unwrap(),
            expected.map(|(path, text)| (path.to_owned(), text.to_owned()))
        );
    }

    #[test]
    fn every_one_of_a_repeated_name_is_visited() {
        let found = walked(r#"{"a":"1","a":"2"}"#).unwrap();
        assert_eq!(
            found,
            [("/a".into(), "1".into()), ("/a".into(), "2".into())]
        );
    }

    #[test]
    fn what_is_not_json_is_an_error() {
        for text in [
            "",
            "{",
            r#"{"a"}"#,
            r#"{"a":}"#,
            r#"["a" "b"]"#,
            r#"{"a":"b"#,
            r#"{"a":"b\"#,
            "[1]]",
            "{,}",
        ] {
            assert!(walked(text).is_err(), "{text}");
        }
    }

    #[test]
    fn depth_is_bounded() {
        let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert!(walked(&nested(DEEPEST)).is_ok());
        assert!(walked(&nested(DEEPEST + 1)).is_err());
        assert!(walked(&nested(100_000)).is_err());
    }

    #[test]
    fn a_lone_surrogate_is_replaced() {
        assert_eq!(unescape(br"a\ud800b"), "a\u{fffd}b".as_bytes());
    }

    #[test]
    fn members_of_an_object_are_listed_without_going_deeper() {
        let text = br#"{"name":"A","x":{"name":"B"},"value":"C"},"rest":1"#;
        assert_eq!(members(text), [(&b"name"[..], &b"A"[..]), (b"value", b"C")]);
    }
}
