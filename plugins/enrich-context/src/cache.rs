//! What was worked out of a text, for the next event with the same text.
//!
//! Events of a batch share few programs and addresses. A text has one place in the table, by
//! its hash, and the last one keeps it: bounded, and an attacker who makes texts collide makes them be
//! worked out again.

use std::cell::RefCell;

const PLACES: usize = 256;
/// Longer texts are worked out each time.
const LONGEST: usize = 4_096;

/// See the module.
#[derive(Debug)]
pub(crate) struct Cache<T>(RefCell<Vec<Option<Known<T>>>>);

/// A text and what belongs to it.
type Known<T> = (Box<[u8]>, T);

impl<T> Default for Cache<T> {
    fn default() -> Self {
        Self(RefCell::new((0..PLACES).map(|_| None).collect()))
    }
}

impl<T> Cache<T> {
    /// Shows what belongs to the text, worked out by `make` where it is not there.
    pub(crate) fn with(&self, text: &[u8], make: impl FnOnce() -> T, show: impl FnOnce(&T)) {
        if text.len() > LONGEST {
            return show(&make());
        }
        let mut places = self.0.borrow_mut();
        let place = &mut places[hash(text) % PLACES];
        match place {
            Some((known, value)) if is_same(known, text) => show(value),
            _ => show(&place.insert((text.into(), make())).1),
        }
    }
}

/// The words of eight bytes, and what is left. What compares or reads slices goes byte by byte in
/// WebAssembly.
fn words(text: &[u8]) -> (impl Iterator<Item = u64> + '_, &[u8]) {
    let (words, rest) = text.as_chunks::<8>();
    (words.iter().map(|word| u64::from_le_bytes(*word)), rest)
}

fn is_same(a: &[u8], b: &[u8]) -> bool {
    if a.len() != b.len() {
        return false;
    }
    let ((a, a_rest), (b, b_rest)) = (words(a), words(b));
    let differ = a.zip(b).fold(0, |differ, (a, b)| differ | (a ^ b));
    differ == 0 && a_rest == b_rest
}

/// Only to find a place.
fn hash(text: &[u8]) -> usize {
    const MIX: u64 = 0x9e37_79b9_7f4a_7c15;
    let step = |hash: u64, word: u64| (hash ^ word).wrapping_mul(MIX).rotate_left(23);
    let (words, rest) = words(text);
    let hash = words.fold(text.len() as u64, step);
    let hash = rest
        .iter()
        .fold(hash, |hash, &byte| step(hash, byte.into()));
    (hash.wrapping_mul(MIX) >> 48) as usize
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
            let shown = Cell::new(0);
            let make = || {
                count.set(count.get() + 1);
                text.len()
            };
            cache.with(text, make, |&length| shown.set(length));
            shown.get()
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
}
