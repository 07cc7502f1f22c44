//! A walk over the leaves of a JSON text. Nothing is built but the way down to the present leaf, and only
//! leaves that a clue points at are shown.

use std::borrow::Cow;

use crate::{detector::Detector, names, places::Known, scan};

/// Deeper than the host lets any event be.
pub(crate) const DEEPEST: usize = 256;

/// Values no deeper than this are skipped as a whole where nothing in them is wanted.
const SKIPPED: usize = 3;

/// Why a text could not be walked to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Not JSON as far as it was read.
    Broken(&'static str),
    /// Nested deeper than [`DEEPEST`].
    TooDeep,
    /// The visitor had seen enough.
    Stopped,
}

impl Fault {
    pub(crate) fn text(self) -> &'static str {
        match self {
            Self::Broken(what) => what,
            Self::TooDeep => "the JSON is nested too deep",
            Self::Stopped => "the walk was stopped",
        }
    }
}

/// One step of the way down.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Step<'a> {
    /// A member's name as it stands, without its quotes.
    Name(&'a [u8]),
    Index(usize),
}

/// A string that is not the name of a member, or a number.
#[derive(Debug)]
pub(crate) struct Leaf<'w, 'a> {
    /// The way to it.
    pub(crate) path: &'w [Step<'a>],
    /// The whole text.
    pub(crate) text: &'a [u8],
    /// Where the leaf stands in it, without its quotes.
    pub(crate) start: usize,
    pub(crate) end: usize,
    pub(crate) is_string: bool,
    /// What the tables of places say of it.
    pub(crate) place: Option<Detector>,
    /// Whether the object around it says, by a name beside it, that it is a secret.
    pub(crate) is_of_pair: bool,
    /// Whether the object says that the value is only the name of where the value is kept.
    pub(crate) is_reference: bool,
}

impl<'a> Leaf<'_, 'a> {
    /// The leaf as it stands.
    pub(crate) fn raw(&self) -> &'a [u8] {
        &self.text[self.start..self.end]
    }

    /// The name of the nearest member, as it stands.
    pub(crate) fn name(&self) -> &'a [u8] {
        let mut steps = self.path.iter().rev();
        let name = steps.find_map(|step| match step {
            Step::Name(name) => Some(*name),
            Step::Index(_) => None,
        });
        name.unwrap_or_default()
    }
}

/// What a walk shows.
pub(crate) enum Seen<'s, 'w, 'a> {
    /// The name of a member that has a hit in it, as it stands.
    Name(&'a [u8]),
    Leaf(&'s Leaf<'w, 'a>),
}

/// What is to be shown.
#[derive(Clone, Copy)]
pub(crate) struct Wanted<'a> {
    /// Positions, rising; a leaf is shown that has one within it or within its name.
    pub(crate) hits: &'a [usize],
    /// Every leaf is shown.
    pub(crate) all: bool,
    /// Leaves in these places are shown.
    pub(crate) known: Known<'a>,
}

/// Calls `visit` for each leaf that is wanted, and each name with a hit; ends when it says so.
///
/// # Errors
/// When the text could not be walked to its end.
pub(crate) fn leaves<'a>(
    text: &'a [u8],
    wanted: Wanted<'_>,
    visit: &mut dyn FnMut(Seen<'_, '_, 'a>) -> bool,
) -> Result<(), Fault> {
    let mut walk = Walk {
        text,
        at: 0,
        next_hit: 0,
        path: Vec::new(),
        wanted,
        visit,
    };
    walk.value(Around::top())?;
    walk.space();
    if walk.at == text.len() {
        Ok(())
    } else {
        Err(Fault::Broken("bytes follow the JSON"))
    }
}

struct Walk<'a, 'v> {
    text: &'a [u8],
    at: usize,
    next_hit: usize,
    path: Vec<Step<'a>>,
    wanted: Wanted<'v>,
    visit: &'v mut dyn FnMut(Seen<'_, '_, 'a>) -> bool,
}

/// What holds for a value by where it stands.
#[derive(Clone, Copy)]
struct Around {
    /// A hit lies in the nearest name.
    named: bool,
    /// The hash of the names down to here.
    trail: u32,
    /// What the table of members says of all that is below.
    listed: Option<Detector>,
}

impl Around {
    fn top() -> Self {
        Self {
            named: false,
            trail: crate::members::START,
            listed: None,
        }
    }
}

/// The range of a leaf, and whether it is to be shown.
#[derive(Clone, Copy)]
struct Span {
    start: usize,
    end: usize,
    is_string: bool,
    has_hit: bool,
}

/// What an object says of the member `value` in it.
#[derive(Default)]
struct Pair<'a> {
    is_secret: bool,
    is_reference: bool,
    value: Option<(&'a [u8], Span, Option<Detector>)>,
}

impl<'a> Walk<'a, '_> {
    fn value(&mut self, around: Around) -> Result<(), Fault> {
        self.space();
        if self.is_idle(around) && self.skips() {
            return Ok(());
        }
        match self.peek() {
            Some(b'{') => self.object(around),
            Some(b'[') => self.array(around),
            _ => {
                let span = self.leaf(around)?;
                self.show(span, around.listed, &Pair::default())
            }
        }
    }

    /// Whether nothing but a hit can make a leaf of a value here wanted. Values deep down are not tried:
    /// what is skipped in vain is read again.
    fn is_idle(&self, around: Around) -> bool {
        (1..=SKIPPED).contains(&self.path.len())
            && !self.wanted.all
            && !around.named
            && around.listed.is_none()
            && (self.wanted.known.is_idle(around.trail) || self.is_identity())
    }

    /// Who called is no part of what was called for: no table has a place there.
    fn is_identity(&self) -> bool {
        matches!(self.path[..], [Step::Name(b"userIdentity")])
    }

    /// Passes an object or an array, unless a hit lies in it.
    fn skips(&mut self) -> bool {
        let limit = self.wanted.hits.get(self.next_hit).copied();
        let limit = limit.unwrap_or(self.text.len());
        let (mut at, mut depth) = (self.at, 0_usize);
        while at < limit {
            match self.text[at] {
                b'"' => at = string_end(self.text, at + 1),
                b'{' | b'[' => depth += 1,
                b'}' | b']' => depth = depth.saturating_sub(1),
                _ => {}
            }
            at += 1;
            if depth == 0 {
                let is_whole = at <= limit && matches!(self.text[self.at], b'{' | b'[');
                self.at = if is_whole { at } else { self.at };
                return is_whole;
            }
        }
        false
    }

    fn object(&mut self, around: Around) -> Result<(), Fault> {
        self.open()?;
        let mut pair = Pair::default();
        if self.take(b'}') {
            return Ok(());
        }
        loop {
            self.member(around, &mut pair)?;
            if !self.comma_or(b'}')? {
                break;
            }
        }
        if let Some((name, mut span, listed)) = pair.value {
            self.path.push(Step::Name(name));
            span.has_hit |= pair.is_secret;
            self.show(span, listed, &pair)?;
            self.path.pop();
        }
        Ok(())
    }

    fn member(&mut self, around: Around, pair: &mut Pair<'a>) -> Result<(), Fault> {
        self.space();
        let start = self.at;
        let name = self.string()?;
        let named = self.passes_hit(start);
        if (named || self.wanted.all) && (self.visit)(Seen::Name(name)) {
            return Err(Fault::Stopped);
        }
        if !self.take(b':') {
            return Err(Fault::Broken("a name without a colon"));
        }
        self.space();
        let (trail, listed) = self.wanted.known.below(around.trail, name);
        // The name of a variable is no secret where the variables are.
        let inherited = around
            .listed
            .filter(|_| !name.eq_ignore_ascii_case(b"name"));
        let below = Around {
            named,
            trail,
            listed: listed.or(inherited),
        };
        if self.peek() == Some(b'"') {
            let span = self.leaf(below)?;
            // Nearly every member of every event that is walked ends here. An escaped name has a hit.
            let is_plain = !span.has_hit && below.listed.is_none();
            if is_plain && self.wanted.known.has_no_places() && !names::is_pair_part(name) {
                return Ok(());
            }
            self.path.push(Step::Name(name));
            let raw = &self.text[span.start..span.end];
            if span.has_hit && names::is_pair_name(&unescape(name)) {
                pair.is_secret |= names::is_secret(&unescape(raw));
            }
            pair.is_reference |=
                name == b"type" && matches!(raw, b"PARAMETER_STORE" | b"SECRETS_MANAGER");
            if names::is_pair_value(&unescape(name)) && pair.value.is_none() {
                // Shown once the whole object is known.
                pair.value = Some((name, span, below.listed));
            } else {
                self.show(span, below.listed, &Pair::default())?;
            }
        } else {
            self.path.push(Step::Name(name));
            self.value(below)?;
        }
        self.path.pop();
        Ok(())
    }

    fn array(&mut self, around: Around) -> Result<(), Fault> {
        self.open()?;
        if self.take(b']') {
            return Ok(());
        }
        for index in 0.. {
            self.path.push(Step::Index(index));
            self.value(around)?;
            self.path.pop();
            if !self.comma_or(b']')? {
                break;
            }
        }
        Ok(())
    }

    /// Passes a string, a number or a word.
    fn leaf(&mut self, around: Around) -> Result<Span, Fault> {
        let first = self.at;
        let is_string = self.peek() == Some(b'"');
        let (start, end) = if is_string {
            self.string()?;
            (first + 1, self.at - 1)
        } else {
            self.scalar()?;
            (first, self.at)
        };
        let has_hit = self.passes_hit(first) || around.named || self.wanted.all;
        let is_shown = is_string || self.text[start] == b'-' || self.text[start].is_ascii_digit();
        Ok(Span {
            start,
            end,
            is_string,
            has_hit: has_hit && is_shown,
        })
    }

    /// Whether a hit lies between the position and here; those before are done with.
    fn passes_hit(&mut self, start: usize) -> bool {
        let hits = self.wanted.hits;
        let mut found = false;
        while let Some(&hit) = hits.get(self.next_hit)
            && hit < self.at
        {
            found |= hit >= start;
            self.next_hit += 1;
        }
        found
    }

    fn show(&mut self, span: Span, listed: Option<Detector>, pair: &Pair<'_>) -> Result<(), Fault> {
        let place = if span.is_string {
            self.wanted.known.at(&self.path).or(listed)
        } else {
            None
        };
        if !span.has_hit && place.is_none() {
            return Ok(());
        }
        let leaf = Leaf {
            path: &self.path,
            text: self.text,
            start: span.start,
            end: span.end,
            is_string: span.is_string,
            place,
            is_of_pair: pair.is_secret,
            is_reference: pair.is_reference,
        };
        if (self.visit)(Seen::Leaf(&leaf)) {
            return Err(Fault::Stopped);
        }
        Ok(())
    }

    /// Passes the bracket.
    fn open(&mut self) -> Result<(), Fault> {
        if self.path.len() >= DEEPEST {
            return Err(Fault::TooDeep);
        }
        self.at += 1;
        Ok(())
    }

    /// True at a comma, false at the end of the object or array.
    fn comma_or(&mut self, end: u8) -> Result<bool, Fault> {
        if self.take(b',') {
            Ok(true)
        } else if self.take(end) {
            Ok(false)
        } else {
            Err(Fault::Broken("neither a comma nor an end"))
        }
    }

    fn string(&mut self) -> Result<&'a [u8], Fault> {
        if self.peek() != Some(b'"') {
            return Err(Fault::Broken("no string where one must be"));
        }
        let start = self.at + 1;
        let at = string_end(self.text, start);
        if at >= self.text.len() {
            return Err(Fault::Broken("a string without an end"));
        }
        self.at = at + 1;
        Ok(&self.text[start..at])
    }

    fn scalar(&mut self) -> Result<(), Fault> {
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
            Err(Fault::Broken("no value where one must be"))
        }
    }

    fn take(&mut self, byte: u8) -> bool {
        self.space();
        let is_next = self.peek() == Some(byte);
        self.at += usize::from(is_next);
        is_next
    }

    fn space(&mut self) {
        // Events have hardly any.
        while self
            .peek()
            .is_some_and(|byte| byte <= b' ' && b" \n\r\t".contains(&byte))
        {
            self.at += 1;
        }
    }

    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }
}

/// Where the quote stands that ends the string whose inside begins here; the end of the text or beyond
/// where there is none.
pub(crate) fn string_end(text: &[u8], start: usize) -> usize {
    let mut at = scan::quote_or_escape(text, start);
    while text.get(at) == Some(&b'\\') {
        at = scan::quote_or_escape(text, at + 2);
    }
    at
}

/// The text of a string as it stands between its quotes, with the escapes resolved. A lone surrogate
/// becomes U+FFFD.
pub(crate) fn unescape(raw: &[u8]) -> Cow<'_, [u8]> {
    if !raw.contains(&b'\\') {
        return Cow::Borrowed(raw);
    }
    let mut out = Vec::with_capacity(raw.len());
    let mut rest = raw;
    loop {
        let (plain, from) = rest.split_at(scan::quote_or_escape(rest, 0));
        out.extend_from_slice(plain);
        let Some((&byte, after)) = from.split_first() else {
            break;
        };
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

    fn walked(text: &str, hits: &[usize], all: bool) -> Result<Vec<(String, String)>, Fault> {
        let mut found = Vec::new();
        let wanted = Wanted {
            hits,
            all,
            known: Known::nothing(),
        };
        leaves(text.as_bytes(), wanted, &mut |seen| {
            let Seen::Leaf(leaf) = seen else {
                return false;
            };
            found.push((
                pointer(leaf.path),
                String::from_utf8(unescape(leaf.raw()).into_owned()).unwrap(),
            ));
            false
        })?;
        Ok(found)
    }

    fn all(text: &str) -> Result<Vec<(String, String)>, Fault> {
        walked(text, &[], true)
    }

    #[test]
    fn leaves_are_visited_with_their_pointers() {
        let text = r#" {"a" : ["x", 1, {"b/c": "y", "d~e":null}], "":"z", "\u0061\"":"\u00fc\ud83d\ude00\n"} "#;
        let expected = [
            ("/a/0", "x"),
            ("/a/1", "1"),
            ("/a/2/b~1c", "y"),
            ("/", "z"),
            ("/a\"", "ü😀\n"),
        ];
        assert_eq!(
            all(text).unwrap(),
            expected.map(|(path, text)| (path.to_owned(), text.to_owned()))
        );
    }

    #[test]
    fn a_hit_shows_its_leaf_or_all_that_its_name_is_the_nearest_of() {
        let text = r#"{"a":"x","b":["y",{"c":"z"}],"d":"w"}"#;
        let of = |part: &str| [text.find(part).unwrap()];
        let path = |part| {
            let found = walked(text, &of(part), false).unwrap().into_iter();
            found.map(|(path, _)| path).collect::<Vec<_>>()
        };
        assert_eq!(path("x"), ["/a"]);
        assert_eq!(path("b\""), ["/b/0"]);
        assert_eq!(path("c\""), ["/b/1/c"]);
        assert_eq!(path("w"), ["/d"]);
        assert!(walked(text, &[], false).unwrap().is_empty());
    }

    #[test]
    fn every_one_of_a_repeated_name_is_visited() {
        let found = all(r#"{"a":"1","a":"2"}"#).unwrap();
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
            assert!(all(text).is_err(), "{text}");
        }
    }

    #[test]
    fn depth_is_bounded() {
        let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert!(all(&nested(DEEPEST)).is_ok());
        assert_eq!(all(&nested(DEEPEST + 1)), Err(Fault::TooDeep));
        assert_eq!(all(&nested(100_000)), Err(Fault::TooDeep));
    }

    #[test]
    fn a_lone_surrogate_is_replaced() {
        assert_eq!(unescape(br"a\ud800b"), "a\u{fffd}b".as_bytes());
    }
}
