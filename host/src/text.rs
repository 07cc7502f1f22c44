//! Text from outside, made fit for logs, terminals and files.

use std::borrow::Cow;

/// At most this many characters of anything from outside reach a log.
pub const SHOWN: usize = 256;

/// The first [`SHOWN`] characters, control characters (and whatever could reorder or hide text)
/// escaped, with `…` where more was cut.
#[must_use]
pub fn shown(text: &str) -> String {
    let mut out = String::with_capacity(text.len().min(SHOWN));
    for (position, c) in text.chars().enumerate() {
        if position == SHOWN {
            out.push('…');
            break;
        }
        let reorders = matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}');
        if c.is_control() || reorders {
            out.extend(c.escape_unicode());
        } else {
            out.push(c);
        }
    }
    out
}

/// At most `max` characters of a text.
#[must_use]
pub fn cut(text: &str, max: usize) -> &str {
    // Of what has no more bytes, there are no more characters.
    if text.len() <= max {
        return text;
    }
    let end = text.char_indices().nth(max);
    end.map_or(text, |(end, _)| &text[..end])
}

/// Whether there is nothing to read in a text: white space, by whatever language's count, control
/// characters, and what has no width.
#[must_use]
pub fn is_blank(text: &str) -> bool {
    let hidden = |c: char| {
        matches!(
            c,
            '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2060}' | '\u{feff}'
        )
    };
    text.chars()
        .all(|c| c.is_whitespace() || c.is_control() || hidden(c))
}

/// Bytes as text, with U+FFFD for what is no UTF-8.
#[must_use]
pub fn lossy(bytes: Cow<'_, [u8]>) -> Cow<'_, str> {
    match bytes {
        Cow::Borrowed(bytes) => String::from_utf8_lossy(bytes),
        Cow::Owned(bytes) => Cow::Owned(String::from_utf8_lossy(&bytes).into_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::{cut, is_blank, shown};

    #[test]
    fn a_text_is_cut_between_characters() {
        assert_eq!(cut("éaé", 2), "éa");
        assert_eq!(cut("éaé", 3), "éaé");
        assert_eq!(cut("éaé", 9), "éaé");
        assert_eq!(cut("é", 0), "");
    }

    #[test]
    fn what_nobody_can_read_is_blank() {
        for text in [
            "",
            " ",
            "\t\u{a0}\u{3000}",
            "\u{feff}\u{200b}",
            "\0\u{1f}\u{85}",
        ] {
            assert!(is_blank(text), "{text:?}");
        }
        for text in ["x", " é", "\u{feff}漢", "\u{fffd}"] {
            assert!(!is_blank(text), "{text:?}");
        }
    }

    #[test]
    fn control_and_reordering_characters_are_escaped() {
        assert_eq!(
            shown("a\x1b[31m\n\u{202e}b"),
            "a\\u{1b}[31m\\u{a}\\u{202e}b"
        );
    }

    #[test]
    fn long_text_is_cut_with_a_mark() {
        let text = "é".repeat(300);
        assert_eq!(shown(&text).chars().count(), 257);
        assert!(shown(&text).ends_with('…'));
    }
}
