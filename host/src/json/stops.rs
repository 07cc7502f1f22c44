//! Where a run of plain string characters stops, one bit a byte.

use wide::u8x16;

/// Bytes that one word stands for.
const WORD: usize = 64;

/// Which bytes of a text are a quote, a backslash or a control character: between two of them a string has
/// nothing that needs a look. Found 16 bytes at a time, whether the bytes are in a string or not.
#[derive(Clone, Debug, Default)]
pub(super) struct Stops {
    words: Vec<u64>,
    /// Bytes of whole words; a word that more bytes could change is made again.
    whole: usize,
}

impl Stops {
    /// Forgets everything, and keeps its room.
    pub(super) fn clear(&mut self) {
        self.words.clear();
        self.whole = 0;
    }

    /// Takes what has come to the text since the last call. What was there before must be the same.
    pub(super) fn extend(&mut self, text: &[u8]) {
        self.words.truncate(self.whole / WORD);
        let (blocks, rest) = text[self.whole..].as_chunks::<WORD>();
        self.words.extend(blocks.iter().map(stops));
        self.whole += blocks.len() * WORD;
        if !rest.is_empty() {
            // The zero bytes behind the text are control characters: a stop at the text's end.
            let mut block = [0; WORD];
            block[..rest.len()].copy_from_slice(rest);
            self.words.push(stops(&block));
        }
    }

    /// The first stop at or after a byte, or the text's end.
    #[inline]
    pub(super) fn next(&self, at: usize) -> usize {
        let word = at / WORD;
        let Some(first) = self.words.get(word) else {
            return at;
        };
        let bits = first & (u64::MAX << (at % WORD));
        if bits != 0 {
            return word * WORD + bits.trailing_zeros() as usize;
        }
        self.next_after(word)
    }

    /// The first stop in the words after this one.
    fn next_after(&self, word: usize) -> usize {
        let behind = word + 1;
        let empty = self.words[behind..].iter().take_while(|bits| **bits == 0);
        let word = behind + empty.count();
        let bit = self.words.get(word).map_or(0, |bits| bits.trailing_zeros());
        word * WORD + bit as usize
    }
}

fn stops(block: &[u8; WORD]) -> u64 {
    let (lanes, _) = block.as_chunks::<16>();
    lanes
        .iter()
        .rev()
        .fold(0, |bits, lane| bits << 16 | lane_stops(lane))
}

/// One bit a byte.
#[inline]
fn lane_stops(lane: &[u8; 16]) -> u64 {
    let bytes = u8x16::new(*lane);
    let stop = bytes.simd_eq(u8x16::splat(b'"'))
        | bytes.simd_eq(u8x16::splat(b'\\'))
        | bytes.min(u8x16::splat(0x1f)).simd_eq(bytes);
    stop.to_bitmask().into()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn they_are_where_a_look_at_every_byte_finds_them(
            text in proptest::collection::vec(prop_oneof![any::<u8>(), Just(b'a'), Just(b'"'), Just(b'\\')], 0..300),
            cut in 0usize..300,
        ) {
            let mut found = Stops::default();
            found.extend(&text[..cut.min(text.len())]);
            found.extend(&text);
            for at in 0..=text.len() {
                let plain = |byte: &&u8| **byte >= 0x20 && !matches!(byte, b'"' | b'\\');
                let expected = at + text[at..].iter().take_while(plain).count();
                prop_assert_eq!(found.next(at), expected);
            }
        }
    }
}
