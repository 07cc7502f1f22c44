//! Strings to text and back.

use std::borrow::Cow;

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

/// Appends text, in UTF-8, as the inside of a JSON string.
pub fn escape_into(text: impl AsRef<[u8]>, out: &mut Vec<u8>) {
    let text = text.as_ref();
    if !text.iter().any(|byte| needs_escape(*byte)) {
        out.extend_from_slice(text);
        return;
    }
    for chunk in text.chunk_by(|a, b| needs_escape(*a) == needs_escape(*b)) {
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

/// Appends text, in UTF-8, as a JSON string, quotes included.
pub fn quote_into(text: impl AsRef<[u8]>, out: &mut Vec<u8>) {
    out.push(b'"');
    escape_into(text, out);
    out.push(b'"');
}
#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

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
        fn escaping_and_unescaping_are_inverse(text in any::<String>()) {
            let mut escaped = Vec::new();
            escape_into(&text, &mut escaped);
            let unescaped = unescape(&escaped);
            prop_assert_eq!(unescaped.as_ref(), text.as_bytes());
            let quoted = [b"\"".as_slice(), &escaped, b"\""].concat();
            let parsed: String = serde_json::from_slice(&quoted).expect("what we escape is JSON");
            prop_assert_eq!(parsed, text);
        }
    }
}
