//! Text in base64, wherever it starts in a run of its letters.

use crate::scan;

/// What is decoded at most.
pub(crate) const LONGEST: usize = 64 * 1024;

/// Fours that must decode to text before a run is taken for text.
const PROOF: usize = 5;

/// In so many fours from the start of a run the proof is looked for.
const NEAR: usize = 32;

/// Where a run is looked at besides its start: after its first slashes, for a path may stand before.
const STARTS: usize = 6;

/// Not a letter of base64.
const NONE: u8 = 0xff;

static VALUES: [u8; 256] = values();

const fn values() -> [u8; 256] {
    let letters = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut values = [NONE; 256];
    let mut at = 0;
    while at < 64 {
        values[letters[at as usize] as usize] = at;
        at += 1;
    }
    values[b'-' as usize] = 62;
    values[b'_' as usize] = 63;
    values
}

fn value(byte: u8) -> u8 {
    VALUES[usize::from(byte)]
}

/// Whether it can stand in base64, also URL-safe.
pub(crate) fn is_letter(byte: u8) -> bool {
    value(byte) != NONE
}

/// The run of base64 around a position; line breaks within it count as part of it.
pub(crate) fn run(text: &[u8], at: usize) -> (usize, usize) {
    let start = scan::base64_start(text, at);
    let mut end = at;
    let mut line = start;
    loop {
        end = scan::base64_end(text, end);
        let next = match text[end..] {
            [b'\r', b'\n', ..] => end + 2,
            [b'\n', ..] => end + 1,
            _ => break,
        };
        // A line of 60 or more, as encoders break them.
        if end - line < 60 || !text.get(next).is_some_and(|&byte| is_letter(byte)) {
            break;
        }
        (line, end) = (next, next);
    }
    (start, end)
}

/// Where in a run text begins that was encoded, if it does.
pub(crate) fn text_in(run: &[u8]) -> Option<usize> {
    if is_text(run, NEAR) {
        return Some(0);
    }
    let near = &run[..run.len().min(4 * NEAR)];
    let mut start = 0;
    for _ in 0..STARTS {
        start += near[start..].iter().position(|&byte| byte == b'/')? + 1;
        if is_text(&run[start..], PROOF) {
            return Some(start);
        }
    }
    None
}

/// Whether so many fours in a row, within the first `limit`, decode to ASCII: then their upper bits show
/// it. UTF-16 of such text passes too.
fn is_text(run: &[u8], limit: usize) -> bool {
    let mut proof = 0;
    for (index, four) in run.as_chunks::<4>().0.iter().take(limit).enumerate() {
        let is_ascii = value(four[0]) < 32
            && value(four[1]) & 8 == 0
            && value(four[2]) & 2 == 0
            && value(four[3]) != NONE;
        if is_ascii {
            proof += 1;
        } else {
            proof = 0;
        }
        if proof == PROOF {
            let proven = &run[(index + 1 - PROOF) * 4..(index + 1) * 4];
            if decoded(proven).iter().all(|&byte| is_printed(byte)) {
                return true;
            }
            proof -= 1;
        }
    }
    false
}

fn is_printed(byte: u8) -> bool {
    (0x20..0x7f).contains(&byte) || matches!(byte, b'\n' | b'\r' | b'\t')
}

/// The text of a run, as far as [`LONGEST`] goes; bytes of zero are left out, so that UTF-16 becomes ASCII.
pub(crate) fn decoded(run: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity((run.len() / 4 * 3 + 3).min(LONGEST));
    let (mut bits, mut count) = (0_u32, 0);
    for byte in run
        .iter()
        .map(|&byte| value(byte))
        .filter(|&byte| byte != NONE)
    {
        bits = bits << 6 | u32::from(byte);
        count += 6;
        if count >= 8 {
            count -= 8;
            let byte = (bits >> count).to_le_bytes()[0];
            if byte != 0 {
                out.push(byte);
            }
            if out.len() == LONGEST {
                break;
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    const ENCODED: &str = "cGFzc3dvcmQ9aHVudGVyMjI7aG9zdD1kYg";

    #[test]
    fn encoded_text_is_found_at_its_start_and_after_a_slash() {
        assert_eq!(text_in(ENCODED.as_bytes()), Some(0));
        assert_eq!(text_in(format!("path/{ENCODED}").as_bytes()), Some(5));
        assert_eq!(decoded(ENCODED.as_bytes()), b"password=hunter22;host=db");
    }

    #[test]
    fn identifiers_are_no_text() {
        for run in [
            "293ba626-3be5-4a26-ab1b-0f4c54f49959",
            "6YyGGLKZXYf3vfASwZOXeSfV+THvl/YamrZ0rtLHzpt4vyqnkTLB3n1KJb2VdOujH",
            "assumed-role/OrganizationAccountAccessRole/session",
            "d41d8cd98f00b204e9800998ecf8427e",
            "",
        ] {
            assert_eq!(text_in(run.as_bytes()), None, "{run}");
        }
    }

    #[test]
    fn utf_16_reads_as_ascii() {
        let run = b"cABhAHMAcwB3AG8AcgBkAD0AaAB1AG4AdABlAHIA";
        assert_eq!(text_in(run), Some(0));
        assert_eq!(decoded(run), b"password=hunter");
    }

    #[test]
    fn broken_lines_are_one_run() {
        let line = "QUJD".repeat(19);
        let text = format!("x: {line}\r\n{line}\nQUJD\nnext");
        assert_eq!(run(text.as_bytes(), 10), (3, 3 + 76 + 2 + 76 + 1 + 4));
        assert_eq!(decoded(&text.as_bytes()[3..]).len(), 57 * 2 + 3 + 3);
    }

    #[test]
    fn what_is_decoded_is_bounded() {
        assert_eq!(decoded("QUJD".repeat(100_000).as_bytes()).len(), LONGEST);
    }
}
