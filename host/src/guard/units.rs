//! Text as it is read, whatever escapes stand in it.
//!
//! What leaves is JSON, often with JSON inside its strings, and inside that once more. How deep a byte
//! lies does not matter here: a run of backslashes of any length with the letter behind it is one unit,
//! and so is `%2F`. A range that begins and ends between units can be replaced at every depth at once
//! without breaking the text around it.

/// A character that nothing looks for: what an escape stands for outside ASCII.
const OTHER: u8 = 0;

/// One character as it is read, and where the next one begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Unit {
    pub(super) byte: u8,
    pub(super) end: usize,
}

/// The unit that begins at `at`.
#[inline]
pub(super) fn unit(text: &[u8], at: usize) -> Option<Unit> {
    match *text.get(at)? {
        b'\\' => Some(backslashes(text, at)),
        b'%' => Some(percent(text, at)),
        byte => Some(Unit { byte, end: at + 1 }),
    }
}

fn backslashes(text: &[u8], at: usize) -> Unit {
    let run = at + text[at..].iter().take_while(|&&b| b == b'\\').count();
    let (byte, end) = match text.get(run) {
        Some(b'b' | b'f' | b'n' | b'r' | b't') => (b'\n', run + 1),
        Some(&byte @ (b'"' | b'/')) => (byte, run + 1),
        Some(b'u') => hex(text, run + 1, 4).map_or((b'\\', run), |code| (ascii(code), run + 5)),
        _ => (b'\\', run),
    };
    Unit { byte, end }
}

fn percent(text: &[u8], at: usize) -> Unit {
    let code = hex(text, at + 1, 2);
    let (byte, end) = code.map_or((b'%', at + 1), |code| (ascii(code), at + 3));
    Unit { byte, end }
}

/// What is read before `at`, and nothing at the beginning. An error where `at` lies inside a unit.
pub(super) fn before(text: &[u8], at: usize) -> Result<Option<u8>, ()> {
    let Some(last) = at.checked_sub(1) else {
        return Ok(None);
    };
    let escapes = |back: usize, first: u8| at >= back && text[at - back] == first;
    let letter = text[last];
    if letter == b'\\' {
        let begins = matches!(
            text.get(at),
            Some(b'b' | b'f' | b'n' | b'r' | b't' | b'"' | b'/' | b'\\')
        );
        let code = text.get(at) == Some(&b'u') && hex(text, at + 1, 4).is_some();
        return if begins || code {
            Err(())
        } else {
            Ok(Some(letter))
        };
    }
    // Inside of what is an escape only with the characters that follow.
    for back in 1..=4 {
        let whole = |digits| hex(text, at - back + 1, digits).is_some();
        let url = back < 3 && escapes(back, b'%') && whole(2);
        let code = escapes(back, b'u') && escapes(back + 1, b'\\') && whole(4);
        if url || code {
            return Err(());
        }
    }
    if escapes(3, b'%')
        && let Some(code) = hex(text, at - 2, 2)
    {
        return Ok(Some(ascii(code)));
    }
    if escapes(6, b'\\')
        && escapes(5, b'u')
        && let Some(code) = hex(text, at - 4, 4)
    {
        return Ok(Some(ascii(code)));
    }
    if escapes(2, b'\\') && matches!(letter, b'b' | b'f' | b'n' | b'r' | b't') {
        return Ok(Some(b'\n'));
    }
    Ok(Some(letter))
}

/// The text with every `\u` escape read, and where each byte of it began. What is looked for by its first
/// bytes can hide behind these escapes alone.
pub(super) fn unescaped(text: &[u8]) -> (Vec<u8>, Vec<usize>) {
    let (mut out, mut starts) = (Vec::with_capacity(text.len()), Vec::new());
    let mut at = 0;
    while at < text.len() {
        let run = at + text[at..].iter().take_while(|&&b| b == b'\\').count();
        let end = match hex(text, run + 1, 4) {
            Some(code) if run > at && text[run] == b'u' => {
                out.push(ascii(code));
                run + 5
            }
            _ => {
                out.push(text[at]);
                at + 1
            }
        };
        starts.push(at);
        // The rest of a run that is no such escape has been looked at already.
        if end < run {
            out.extend_from_slice(&text[end..run]);
            starts.extend(end..run);
        }
        at = end.max(run);
    }
    starts.push(text.len());
    (out, starts)
}

/// A text as it is read.
pub(super) fn read(text: &[u8]) -> Vec<u8> {
    let mut read = Vec::with_capacity(text.len());
    let mut at = 0;
    while let Some(next) = unit(text, at) {
        read.push(next.byte);
        at = next.end;
    }
    read
}

fn ascii(code: u32) -> u8 {
    match u8::try_from(code) {
        Ok(byte) if byte.is_ascii() => byte,
        _ => OTHER,
    }
}

fn hex(text: &[u8], at: usize, digits: usize) -> Option<u32> {
    let digits = text.get(at..at + digits)?.iter();
    digits.copied().try_fold(0, |code, digit| {
        Some(code << 4 | char::from(digit).to_digit(16)?)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> String {
        String::from_utf8_lossy(&read(text.as_bytes())).into_owned()
    }

    #[test]
    fn an_escape_is_one_unit_at_every_depth() {
        assert_eq!(shown(r"a\/b\\\/c%2fd%2Be"), "a/b/c/d+e");
        assert_eq!(shown(r#"\n\\n\\\\t|\"\\\""#), "\n\n\n|\"\"");
        assert_eq!(shown(r"\u0041\\u0042\\\u00e9\u4e2d"), "AB\0\0");
        assert_eq!(shown(r"\x\u12g4%zz%4\"), "\\x\\u12g4%zz%4\\");
    }

    #[test]
    fn what_stands_before_is_what_was_read_before() {
        for text in [
            r#"a\/b\\\/c%2fd%2Be\n\\tx\"y\u0041z\\u00e9q%4%41\x\\"#,
            r"%%41\u00%41\u0041%2\n\u004%41b",
        ] {
            let text = text.as_bytes();
            let (mut at, mut last) = (0, None);
            let mut starts = Vec::new();
            while let Some(unit) = unit(text, at) {
                assert_eq!(before(text, at), Ok(last), "{at}");
                starts.push(at);
                (at, last) = (unit.end, Some(unit.byte));
            }
            for at in (0..text.len()).filter(|at| !starts.contains(at)) {
                assert_eq!(before(text, at), Err(()), "{at}");
            }
        }
    }

    #[test]
    fn code_escapes_are_read_and_lead_back_to_where_they_stood() {
        let (read, starts) = unescaped(br"a\\\u0041\n\\b\u4e2d");
        assert_eq!(read, b"aA\\n\\\\b\0");
        assert_eq!(starts, [0, 1, 9, 10, 11, 12, 13, 14, 20]);
    }
}
