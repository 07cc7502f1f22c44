//! A table by texts of rules, in which texts of events are looked up in any case. Every event is looked up
//! in some, mostly in vain; so a text is read eight bytes at a time, and copied only where it is not ASCII.

use std::{
    collections::HashMap,
    hash::{BuildHasherDefault, Hasher},
};

use crate::pattern::folded;

/// What stands under each of some texts.
#[derive(Clone, Debug)]
pub(crate) struct Texts<T> {
    /// By the hash of a text all texts that have it, in lower case.
    by_hash: HashMap<u64, Vec<(String, T)>, BuildHasherDefault<AsIs>>,
    /// Bytes of the longest.
    longest: usize,
}

impl<T> Default for Texts<T> {
    fn default() -> Self {
        Self {
            by_hash: HashMap::default(),
            longest: 0,
        }
    }
}

impl<T: Default> Texts<T> {
    /// What stands under a text in lower case, from now on.
    pub(crate) fn entry(&mut self, folded: String) -> &mut T {
        self.longest = self.longest.max(folded.len());
        let same = self.by_hash.entry(hash(folded.as_bytes())).or_default();
        let known = same.iter().position(|(text, _)| *text == folded);
        let position = known.unwrap_or(same.len());
        if known.is_none() {
            same.push((folded, T::default()));
        }
        &mut same[position].1
    }
}

impl<T> Texts<T> {
    /// What stands under a text in UTF-8, in whichever case.
    pub(crate) fn get(&self, text: &[u8]) -> Option<&T> {
        // No character loses more than two of three bytes in lower case.
        if text.len() > 3 * self.longest {
            return None;
        }
        if !text.is_ascii() {
            return self.find(folded(std::str::from_utf8(text).ok()?).as_bytes());
        }
        self.find(text)
    }

    fn find(&self, text: &[u8]) -> Option<&T> {
        let same = self.by_hash.get(&hash(text))?;
        let found = same.iter().find(|(known, _)| same_ascii(known, text));
        found.map(|(_, value)| value)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.by_hash.is_empty()
    }

    /// The texts, in no order.
    pub(crate) fn keys(&self) -> impl Iterator<Item = &String> {
        self.by_hash.values().flatten().map(|(text, _)| text)
    }
}

/// Whether a text is the one that is known in lower case: the same bytes, but for the case of ASCII letters.
pub(crate) fn same_ascii(known: &str, text: &[u8]) -> bool {
    let known = known.as_bytes();
    let words = || known.as_chunks().0.iter().zip(text.as_chunks().0);
    let same = |(known, text): (&[u8; 8], &[u8; 8])| {
        *known == lower(u64::from_le_bytes(*text)).to_le_bytes()
    };
    known.len() == text.len() && end(known) == lower(end(text)) && words().all(same)
}

/// The last eight bytes of a text, or all of a shorter one.
fn end(text: &[u8]) -> u64 {
    match text.last_chunk() {
        Some(end) => u64::from_le_bytes(*end),
        None => text.iter().fold(0, |all, byte| all << 8 | u64::from(*byte)),
    }
}

/// Eight bytes with ASCII letters in lower case.
fn lower(bytes: u64) -> u64 {
    const EACH: u64 = 0x0101_0101_0101_0101;
    const HIGHEST: u64 = EACH << 7;
    let low = bytes & !HIGHEST;
    // The sums reach the highest bit of a byte from `A` on, and from `[` on.
    let (from_a, beyond_z) = (low + EACH * 0x3f, low + EACH * 0x25);
    let letters = from_a & !beyond_z & !bytes & HIGHEST;
    bytes | letters >> 2
}

/// Hashes a text in whichever case. What is in the tables comes from rules alone, so nobody who makes events
/// can fill one with texts that collide.
fn hash(text: &[u8]) -> u64 {
    // The low bits choose the place in a table, and of a product only the high ones depend on all bits.
    let mix = |hash: u64, word: u64| {
        let product = (hash ^ lower(word)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        product ^ product >> 32
    };
    let words = text.as_chunks().0.iter();
    let hash = words.fold(text.len() as u64, |hash, word| {
        mix(hash, u64::from_le_bytes(*word))
    });
    mix(hash, end(text))
}

/// Takes what was hashed already.
#[derive(Clone, Debug, Default)]
struct AsIs(u64);

impl Hasher for AsIs {
    fn write(&mut self, bytes: &[u8]) {
        self.0 = hash(bytes);
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_found_in_whichever_case_and_no_other_is() {
        let mut texts = Texts::default();
        let known = [
            "",
            "a",
            "Root",
            "DeleteBucket",
            "DeleteBuckets",
            "äÄ",
            "kK[{",
            "ss.amazonaws.com",
        ];
        for (number, text) in (1..).zip(known) {
            *texts.entry(folded(text)) = number;
        }
        let get = |text: &str| texts.get(text.as_bytes()).copied();
        for (number, text) in (1..).zip(known) {
            for written in [text, &text.to_uppercase(), &text.to_lowercase()] {
                assert_eq!(get(written), Some(number), "{written}");
            }
        }
        assert_eq!(get("\u{212a}K[{"), Some(7), "a Kelvin sign is a k");
        for other in [
            "b",
            "roo",
            "DeleteBuckex",
            "kk{[",
            "kk[[",
            "ROOT\0",
            "\0ROOT",
            "ä",
            "ſs.amazonaws.com",
        ] {
            assert_eq!(get(other), None, "{other}");
        }
        assert_eq!(texts.keys().count(), known.len());
        assert!(Texts::<()>::default().get(b"a").is_none());
    }

    #[test]
    fn eight_bytes_are_lowered_as_one_is() {
        for byte in 0..=u8::MAX {
            for other in [0, b'A', b'z', 0x7f, 0x80, 0xff] {
                let bytes = [other, byte, other, byte, byte, other, other, byte];
                let lowered = lower(u64::from_le_bytes(bytes)).to_le_bytes();
                assert_eq!(lowered, bytes.map(|byte| byte.to_ascii_lowercase()));
            }
        }
    }

    #[test]
    fn lower_case_is_no_shorter_than_a_third() {
        for c in '\0'..=char::MAX {
            let lower = folded(&c.to_string());
            assert!(c.len_utf8() <= 3 * lower.len(), "{c:?}");
        }
    }

    #[test]
    fn texts_of_rules_hardly_collide() {
        let mut texts: Texts<()> = Texts::default();
        for number in 0..20_000 {
            texts.entry(format!("arn:aws:s3:::bucket-{number}-of-some-length"));
            texts.entry(format!("10.0.{number}"));
        }
        let longest = texts.by_hash.values().map(Vec::len).max();
        assert_eq!((texts.keys().count(), longest), (40_000, Some(1)));
    }
}
