//! What was worked out of a text, for the next event with the same text.
//!
//! Events share few programs and addresses, and neighbours share most. A text has one place in the table,
//! by its hash, and the last one keeps it: bounded, and an attacker who makes texts collide makes them be
//! worked out again.

use std::cell::RefCell;

const PLACES: usize = 256;
/// Longer texts are worked out each time.
const LONGEST: usize = 4_096;

/// What follows from a text and from nothing else, kept for the next time.
///
/// ```
/// let lengths = sluicegate_plugin::Cache::default();
/// let length = |text: &str| lengths.with(text.as_bytes(), || text.chars().count(), |count| *count);
/// assert_eq!((length("aws-cli"), length("äöü")), (7, 3));
/// ```
#[derive(Debug)]
pub struct Cache<T>(RefCell<Table<T>>);

#[derive(Debug)]
struct Table<T> {
    places: Vec<Option<Known<T>>>,
    /// The place that was asked for last.
    last: usize,
}

/// A text and what belongs to it.
type Known<T> = (Box<[u8]>, T);

impl<T> Default for Cache<T> {
    fn default() -> Self {
        Self(RefCell::new(Table {
            places: (0..PLACES).map(|_| None).collect(),
            last: 0,
        }))
    }
}

impl<T> Cache<T> {
    /// Shows what belongs to the text, worked out by `make` where it is not there.
    ///
    /// # Panics
    /// When `make` or `show` ask the same cache.
    pub fn with<R>(&self, text: &[u8], make: impl FnOnce() -> T, show: impl FnOnce(&T) -> R) -> R {
        if text.len() > LONGEST {
            return show(&make());
        }
        let Table { places, last } = &mut *self.0.borrow_mut();
        if let Some((known, value)) = &places[*last]
            && is_same(known, text)
        {
            return show(value);
        }
        *last = hash(text) % PLACES;
        let place = &mut places[*last];
        match place {
            Some((known, value)) if is_same(known, text) => show(value),
            _ => show(&place.insert((text.into(), make())).1),
        }
    }
}

/// Bytes that are looked at together. What compares or reads slices goes byte by byte in WebAssembly.
const BLOCK: usize = 32;

fn is_same(a: &[u8], b: &[u8]) -> bool {
    let ((a_blocks, a_rest), (b_blocks, b_rest)) = (a.as_chunks(), b.as_chunks());
    let differ = |(a, b): (&[u8; BLOCK], &[u8; BLOCK])| {
        let ([a0, a1, a2, a3], [b0, b1, b2, b3]) = (words(a), words(b));
        (a0 ^ b0) | (a1 ^ b1) | (a2 ^ b2) | (a3 ^ b3) != 0
    };
    a.len() == b.len()
        && !a_blocks.iter().zip(b_blocks).any(differ)
        && !differ((&padded(a_rest), &padded(b_rest)))
}

/// Only to find a place.
fn hash(text: &[u8]) -> usize {
    const MIX: u64 = 0x9e37_79b9_7f4a_7c15;
    let mix = |hash: [u64; 4], block: &[u8; BLOCK]| {
        let ([h0, h1, h2, h3], [w0, w1, w2, w3]) = (hash, words(block));
        let step = |hash: u64, word: u64| (hash ^ word).wrapping_mul(MIX).rotate_left(23);
        [step(h0, w0), step(h1, w1), step(h2, w2), step(h3, w3)]
    };
    let (blocks, rest) = text.as_chunks();
    let start = [text.len() as u64; 4];
    let parts = mix(blocks.iter().fold(start, mix), &padded(rest));
    let all = parts
        .into_iter()
        .fold(0, |all: u64, part| (all ^ part).wrapping_mul(MIX));
    (all >> 48) as usize
}

/// The end of a text as a block.
fn padded(rest: &[u8]) -> [u8; BLOCK] {
    let mut block = [0; BLOCK];
    block[..rest.len()].copy_from_slice(rest);
    block
}

fn words(block: &[u8; BLOCK]) -> [u64; 4] {
    let (words, _) = block.as_chunks();
    [words[0], words[1], words[2], words[3]].map(u64::from_le_bytes)
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[test]
    fn a_text_is_worked_out_once_until_another_takes_its_place() {
        let cache = Cache::default();
        let count = Cell::new(0);
        let length = |text: &[u8]| {
            let make = || {
                count.set(count.get() + 1);
                text.len()
            };
            cache.with(text, make, |&length| length)
        };
        for _ in 0..3 {
            assert_eq!(
                (length(b""), length(b"a text"), length(b"another text")),
                (0, 6, 12)
            );
        }
        assert_eq!(count.get(), 3);
        let long = vec![b'x'; LONGEST + 1];
        assert_eq!(
            (length(&long), length(&long), count.get()),
            (LONGEST + 1, LONGEST + 1, 5)
        );
        for number in 0..10_000 {
            let text = format!("text {number:>9}");
            assert_eq!(length(text.as_bytes()), 14, "whatever was in its place");
        }
    }

    #[test]
    fn texts_are_the_same_when_all_of_their_bytes_are() {
        let all: Vec<u8> = (1..=100).collect();
        let copy = all.clone();
        for length in 0..all.len() {
            let text = &all[..length];
            assert!(is_same(text, &copy[..length]), "{length}");
            assert!(!is_same(text, &[text, b"\0"].concat()), "{length}");
            for at in 0..length {
                let mut other = text.to_vec();
                other[at] ^= 0x80;
                assert!(!is_same(text, &other), "{length} {at}");
            }
        }
    }
}
