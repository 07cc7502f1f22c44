//! Sigma's strings: text with wildcards, compared in lower case unless told otherwise.

use memchr::memmem;

use crate::literal::Literal;

/// One piece of a string as a rule writes it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Atom {
    Text(String),
    /// `?`: exactly one character.
    One,
    /// `*`: any number of characters.
    Many,
    /// Any of the characters that begin a flag of a command.
    Dash,
}

/// Characters that `windash` takes for one another.
pub(crate) const DASHES: [char; 5] = ['-', '/', '–', '—', '―'];

/// Characters of a text that an event is picked by before it is judged.
const START: usize = 2;

/// Reads the wildcards and escapes of a string: a backslash takes its meaning from a wildcard or a
/// backslash that follows it, and stands for itself before anything else.
pub(crate) fn atoms(raw: &str) -> Vec<Atom> {
    if memchr::memchr3(b'\\', b'*', b'?', raw.as_bytes()).is_none() {
        let text = (!raw.is_empty()).then(|| Atom::Text(raw.to_owned()));
        return text.into_iter().collect();
    }
    let mut atoms = Vec::new();
    let mut text = String::new();
    let mut rest = raw.chars().peekable();
    while let Some(c) = rest.next() {
        let wildcard = match c {
            '\\' => {
                text.push(
                    rest.next_if(|next| matches!(next, '*' | '?' | '\\'))
                        .unwrap_or(c),
                );
                continue;
            }
            '*' => Atom::Many,
            '?' => Atom::One,
            _ => {
                text.push(c);
                continue;
            }
        };
        flush(&mut text, &mut atoms);
        atoms.push(wildcard);
    }
    flush(&mut text, &mut atoms);
    atoms
}

fn flush(text: &mut String, atoms: &mut Vec<Atom>) {
    if !text.is_empty() {
        atoms.push(Atom::Text(std::mem::take(text)));
    }
}

/// Lets every dash stand for all of them.
pub(crate) fn any_dash(atoms: Vec<Atom>) -> Vec<Atom> {
    let mut out = Vec::new();
    for atom in atoms {
        let Atom::Text(text) = atom else {
            out.push(atom);
            continue;
        };
        let mut plain = String::new();
        for c in text.chars() {
            if DASHES.contains(&c) {
                flush(&mut plain, &mut out);
                out.push(Atom::Dash);
            } else {
                plain.push(c);
            }
        }
        flush(&mut plain, &mut out);
    }
    out
}

/// A string that texts are compared with.
#[derive(Clone, Debug)]
pub(crate) struct Pattern {
    /// Whether upper and lower case are told apart; otherwise the texts must be folded.
    pub(crate) cased: bool,
    /// What stands between the stars.
    segments: Vec<Vec<Piece>>,
    open_start: bool,
    open_end: bool,
}

#[derive(Clone, Debug)]
enum Piece {
    Text(String),
    One,
    Dash,
}

impl Pattern {
    pub(crate) fn new(atoms: &[Atom], cased: bool) -> Self {
        let fold = |text: &String| if cased { text.clone() } else { folded(text) };
        let mut segments = vec![Vec::new()];
        for atom in atoms {
            let piece = match atom {
                Atom::Many => {
                    segments.push(Vec::new());
                    continue;
                }
                Atom::Text(text) => Piece::Text(fold(text)),
                Atom::One => Piece::One,
                Atom::Dash => Piece::Dash,
            };
            if let Some(segment) = segments.last_mut() {
                segment.push(piece);
            }
        }
        let stars = segments.len() > 1;
        let open = |segment: Option<&Vec<Piece>>| stars && segment.is_some_and(Vec::is_empty);
        let (open_start, open_end) = (open(segments.first()), open(segments.last()));
        segments.retain(|segment| !segment.is_empty());
        Self {
            cased,
            segments,
            open_start,
            open_end,
        }
    }

    /// The text that it equals, where it is one text and nothing else.
    pub(crate) fn exact(&self) -> Option<&str> {
        match (self.segments.as_slice(), self.open_start || self.open_end) {
            ([], false) => Some(""),
            ([segment], false) => match segment.as_slice() {
                [Piece::Text(text)] => Some(text),
                _ => None,
            },
            _ => None,
        }
    }

    /// A text that everything it fits holds, in lower case.
    pub(crate) fn literal(&self) -> Option<Literal> {
        if let Some(exact) = self.exact() {
            return Some(Literal::Whole(folded(exact)));
        }
        let texts = self
            .segments
            .iter()
            .flatten()
            .filter_map(|piece| match piece {
                Piece::Text(text) => Some(text),
                Piece::One | Piece::Dash => None,
            });
        let longest = texts.max_by_key(|text| text.len())?;
        Some(Literal::Part(folded(longest)))
    }

    /// The ways in which a text that fits can begin, as it is written in an event; nothing where it can
    /// begin with anything.
    pub(crate) fn starts(&self) -> Option<Vec<String>> {
        let Some(Piece::Text(text)) = self.segments.first()?.first() else {
            return None;
        };
        // An object is compared without its white space, so that only its first byte is certain.
        let most = if text.starts_with('{') { 1 } else { START };
        let ascii = text.chars().take(most).take_while(char::is_ascii);
        let mut starts = vec![String::new()];
        for c in ascii {
            let written: &[char] = match c {
                _ if self.cased => &[c],
                // What else has these two in lower case.
                'i' => &['i', 'I', 'İ'],
                'k' => &['k', 'K', '\u{212a}'],
                _ => &[c, c.to_ascii_uppercase()],
            };
            starts = starts
                .iter()
                .flat_map(|start| written.iter().map(move |c| format!("{start}{c}")))
                .collect();
        }
        starts.sort_unstable();
        starts.dedup();
        (!self.open_start && starts != [""]).then_some(starts)
    }

    /// Whether a text, folded unless the pattern is cased, is what the pattern describes.
    pub(crate) fn matches(&self, text: &str) -> bool {
        if let Some(exact) = self.exact() {
            return text == exact;
        }
        let Some((last, before)) = self.segments.split_last() else {
            return true;
        };
        let mut at = 0;
        let mut first = !self.open_start;
        let mut rest = before.iter();
        if before.is_empty() && first && !self.open_end {
            return length(last, text) == Some(text.len());
        }
        for segment in rest.by_ref() {
            let found = if first {
                length(segment, text).map(|length| (0, length))
            } else {
                find(segment, &text[at..])
            };
            first = false;
            let Some((start, length)) = found else {
                return false;
            };
            at += start + length;
        }
        let left = &text[at..];
        match (first, self.open_end) {
            (true, _) => length(last, left).is_some(),
            (false, true) => find(last, left).is_some(),
            (false, false) => ends(last, left),
        }
    }
}

/// Bytes at the start of a text that a segment covers.
fn length(segment: &[Piece], text: &str) -> Option<usize> {
    let mut at = 0;
    for piece in segment {
        let rest = &text[at..];
        at += match piece {
            Piece::Text(wanted) => rest.starts_with(wanted.as_str()).then_some(wanted.len())?,
            Piece::One => rest.chars().next()?.len_utf8(),
            Piece::Dash => rest
                .chars()
                .next()
                .filter(|c| DASHES.contains(c))?
                .len_utf8(),
        };
    }
    Some(at)
}

/// Where a segment first stands in a text, and how many bytes it covers there.
fn find(segment: &[Piece], text: &str) -> Option<(usize, usize)> {
    if let [Piece::Text(wanted)] = segment {
        let start = memmem::find(text.as_bytes(), wanted.as_bytes())?;
        return Some((start, wanted.len()));
    }
    text.char_indices()
        .map(|(start, _)| start)
        .find_map(|start| length(segment, &text[start..]).map(|length| (start, length)))
}

fn ends(segment: &[Piece], text: &str) -> bool {
    if let [Piece::Text(wanted)] = segment {
        return text.ends_with(wanted.as_str());
    }
    // A segment covers so many characters, wherever it stands.
    let count = |piece: &Piece| match piece {
        Piece::Text(text) => text.chars().count(),
        Piece::One | Piece::Dash => 1,
    };
    let characters: usize = segment.iter().map(count).sum();
    let start = match characters.checked_sub(1) {
        None => Some(text.len()),
        Some(back) => text.char_indices().nth_back(back).map(|(start, _)| start),
    };
    start.is_some_and(|start| length(segment, &text[start..]) == Some(text.len() - start))
}

/// A text in lower case, character by character.
pub(crate) fn folded(text: &str) -> String {
    let mut out = String::new();
    fold_into(text, &mut out);
    out
}

/// The same, in the place of what was in `out`.
pub(crate) fn fold_into(text: &str, out: &mut String) {
    out.clear();
    if text.is_ascii() {
        out.push_str(text);
        out.make_ascii_lowercase();
    } else {
        out.extend(text.chars().flat_map(char::to_lowercase));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str, text: &str) -> bool {
        Pattern::new(&atoms(pattern), false).matches(&folded(text))
    }

    #[test]
    fn wildcards_stand_for_characters() {
        for (pattern, text) in [
            ("abc", "ABC"),
            ("a*c", "ac"),
            ("a*c", "aXXc"),
            ("*", ""),
            ("*", "x"),
            ("a?c", "aüc"),
            ("*b?d", "xxbcd"),
            ("a*b*c", "a--b--c"),
            ("*b*", "abc"),
            ("**", ""),
            ("", ""),
            ("a*", "a"),
            ("*ab*ab", "abab"),
            ("?", "ü"),
            ("?*", "x"),
            ("ÄB", "äb"),
        ] {
            assert!(matches(pattern, text), "{pattern} {text}");
        }
        for (pattern, text) in [
            ("abc", "abcd"),
            ("a*c", "acb"),
            ("a?c", "ac"),
            ("", "x"),
            ("*ab*ab", "ab"),
            ("?", ""),
            ("a*b*c", "acb"),
            ("b*", "ab"),
            ("*?", ""),
            ("ab*b", "ab"),
        ] {
            assert!(!matches(pattern, text), "{pattern} {text}");
        }
    }

    #[test]
    fn a_backslash_escapes_wildcards_and_itself_only() {
        let text = |raw: &str| match atoms(raw).as_slice() {
            [Atom::Text(text)] => text.clone(),
            other => panic!("{raw} is {other:?}"),
        };
        assert_eq!(text(r"a\b"), r"a\b");
        assert_eq!(text(r"a\\b"), r"a\b");
        assert_eq!(text(r"\*"), "*");
        assert_eq!(text(r"\\\*"), r"\*");
        assert_eq!(text(r"\\\x"), r"\\x");
        assert_eq!(text(r"\\\\"), r"\\");
        assert_eq!(atoms(r"\\*"), [Atom::Text("\\".into()), Atom::Many]);
    }

    #[test]
    fn a_text_that_fits_begins_in_one_of_the_ways() {
        let starts = |pattern: &str, cased| Pattern::new(&atoms(pattern), cased).starts();
        let texts = |of: &[&str]| Some(of.iter().map(ToString::to_string).collect::<Vec<_>>());
        assert_eq!(starts("Root", false), texts(&["RO", "Ro", "rO", "ro"]));
        assert_eq!(starts("Root*", true), texts(&["Ro"]));
        assert_eq!(starts("5", false), texts(&["5"]));
        assert_eq!(starts("aÄ", false), texts(&["A", "a"]));
        assert_eq!(starts(r#"{"a*"#, false), texts(&["{"]));
        for pattern in ["*Root", "?oot", "", "Ä", "*"] {
            assert_eq!(starts(pattern, false), None, "{pattern}");
        }
        for c in '\u{80}'..=char::MAX {
            let lower = folded(&c.to_string());
            let Some(first) = lower.chars().next().filter(char::is_ascii) else {
                continue;
            };
            let starts = starts(&format!("{first}*"), false).unwrap();
            assert!(
                starts.contains(&c.to_string()),
                "{c:?} is {first} in lower case"
            );
        }
    }

    #[test]
    fn a_dash_is_any_dash() {
        let pattern = Pattern::new(&any_dash(atoms("*-x /y*")), false);
        assert!(pattern.matches("a /x –y b") && pattern.matches("-x /y"));
        assert!(!pattern.matches("a +x -y"));
    }
}
