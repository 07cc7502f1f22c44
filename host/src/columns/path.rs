//! JSON Pointers, and the values that lie at them.

use crate::json::{self, skip_space, string_end, value_end};

/// Segments a path may have.
pub const MAX_SEGMENTS: usize = 32;

/// A JSON Pointer, parsed: "" has no segments.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Path {
    segments: Vec<Segment>,
}

/// One step of a path.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Segment {
    /// A member's name; for an array, a position.
    Name(Vec<u8>),
    /// Every element or member.
    Every,
}

/// A text that is no JSON Pointer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{path}` is not a JSON Pointer: {why}")]
pub struct PathError {
    path: String,
    why: &'static str,
}

impl Path {
    /// Parses RFC 6901, with `*` for every element or member.
    ///
    /// # Errors
    /// When the text is not a pointer, or has more than [`MAX_SEGMENTS`] segments.
    pub fn parse(text: &str) -> Result<Self, PathError> {
        let error = |why| PathError {
            path: crate::text::shown(text),
            why,
        };
        if text.is_empty() {
            return Ok(Self {
                segments: Vec::new(),
            });
        }
        let Some(rest) = text.strip_prefix('/') else {
            return Err(error("it must be empty or begin with `/`"));
        };
        let mut segments = Vec::new();
        for segment in rest.split('/') {
            if segment == "*" {
                segments.push(Segment::Every);
                continue;
            }
            let mut name = Vec::with_capacity(segment.len());
            let mut parts = segment.split('~');
            name.extend_from_slice(parts.next().unwrap_or_default().as_bytes());
            for part in parts {
                let (c, tail) = match part.as_bytes() {
                    [b'0', tail @ ..] => (b'~', tail),
                    [b'1', tail @ ..] => (b'/', tail),
                    _ => return Err(error("`~` must be followed by 0 or 1")),
                };
                name.push(c);
                name.extend_from_slice(tail);
            }
            segments.push(Segment::Name(name));
        }
        if segments.len() > MAX_SEGMENTS {
            return Err(error("it has more than 32 segments"));
        }
        Ok(Self { segments })
    }

    /// The steps.
    #[must_use]
    pub fn segments(&self) -> &[Segment] {
        &self.segments
    }

    /// Calls `found` with the range of every value at this path in a checked event: of a duplicated
    /// member, every one.
    pub fn find(&self, event: &[u8], mut found: impl FnMut(std::ops::Range<usize>)) {
        descend(event, skip_space(event, 0), &self.segments, &mut found);
    }
}

fn descend(
    json: &[u8],
    at: usize,
    segments: &[Segment],
    found: &mut impl FnMut(std::ops::Range<usize>),
) {
    let Some((segment, rest)) = segments.split_first() else {
        found(at..value_end(json, at));
        return;
    };
    let mut elements = Elements::new(json, at);
    while let Some(element) = elements.next() {
        let wanted = match (segment, &element.name) {
            (Segment::Every, _) => true,
            (Segment::Name(name), Name::Member(member)) => {
                json::unescape(member).as_ref() == name.as_slice()
            }
            (Segment::Name(name), Name::Position(position)) => is_position(name, *position),
        };
        if wanted {
            descend(json, element.value, rest, found);
        }
    }
}

pub(super) fn is_position(name: &[u8], position: usize) -> bool {
    let canonical = name == b"0"
        || (!name.is_empty() && name[0] != b'0' && name.iter().all(u8::is_ascii_digit));
    canonical
        && std::str::from_utf8(name)
            .ok()
            .and_then(|text| text.parse().ok())
            == Some(position)
}

enum Name<'a> {
    /// Inside of the name's string, still escaped.
    Member(&'a [u8]),
    Position(usize),
}

struct Element<'a> {
    name: Name<'a>,
    value: usize,
}

/// The members of a checked object or the elements of a checked array; nothing for other values.
struct Elements<'a> {
    json: &'a [u8],
    /// First byte of the next element, or of the closing bracket.
    at: usize,
    object: bool,
    position: usize,
    /// Where the value returned last begins; its end is looked for only if the walk goes on.
    pending: Option<usize>,
}

impl<'a> Elements<'a> {
    fn new(json: &'a [u8], at: usize) -> Self {
        let object = json[at] == b'{';
        let container = object || json[at] == b'[';
        let at = if container {
            skip_space(json, at + 1)
        } else {
            json.len()
        };
        Self {
            json,
            at,
            object,
            position: 0,
            pending: None,
        }
    }

    #[inline]
    fn next(&mut self) -> Option<Element<'a>> {
        if let Some(value) = self.pending.take() {
            self.ended(value_end(self.json, value));
        }
        let json = self.json;
        if !matches!(json.get(self.at), Some(byte) if !matches!(byte, b'}' | b']')) {
            return None;
        }
        let element = if self.object {
            let end = string_end(json, self.at);
            let value = skip_space(json, skip_space(json, end) + 1);
            Element {
                name: Name::Member(&json[self.at + 1..end - 1]),
                value,
            }
        } else {
            self.position += 1;
            Element {
                name: Name::Position(self.position - 1),
                value: self.at,
            }
        };
        self.pending = Some(element.value);
        Some(element)
    }

    /// Says where the value returned last ends, for whoever found out already.
    #[inline]
    fn ended(&mut self, end: usize) {
        self.pending = None;
        self.at = skip_space(self.json, end);
        if self.json.get(self.at) == Some(&b',') {
            self.at = skip_space(self.json, self.at + 1);
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    #[test]
    fn a_mask_finds_every_occurrence() {
        let event = r#"{"a":{"b":1},"x":[{"b":2},{"b":3}],"a":{"b":"4","b":5}}"#;
        let all = |path: &str| {
            let mut found = Vec::new();
            Path::parse(path).unwrap().find(event.as_bytes(), |range| {
                found.push(event[range].to_owned());
            });
            found
        };
        assert_eq!(all("/a/b"), ["1", "\"4\"", "5"]);
        assert_eq!(all("/x/*/b"), ["2", "3"]);
        assert_eq!(all("/x/1/b"), ["3"]);
        assert!(all("/x/2/b").is_empty() && all("/a/b/c").is_empty());
        assert_eq!(all(""), [event]);
    }

    #[test]
    fn what_is_no_pointer_is_refused() {
        for text in ["a", "a/b", "/~", "/~2", "/a~"] {
            assert!(Path::parse(text).is_err(), "{text}");
        }
        assert!(Path::parse(&"/a".repeat(33)).is_err());
        assert_eq!(Path::parse("/").unwrap().segments().len(), 1);
    }
}
