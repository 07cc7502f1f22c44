//! Where in a text something may be that needs a closer look, sixteen bytes at a time.
//!
//! Every kind of secret, and every telling name, has three bytes in it that are rare in events. They are
//! looked up in small tables by the two halves of each byte. Beside them stand what hides a secret (an
//! escape, a percent sign, a long run of base64) and runs of digits that may be a card's number. The
//! search must not miss any of these, and may find too many.

use crate::base64::is_letter;

/// Groups of three bytes, at most eight groups; letters count in both cases. Within a group the bytes mix
/// freely, so they are grouped by what few events have.
const GROUPS: [&[[u8; 3]]; 8] = [
    &[*b"AK-", *b"Iza", *b"eyJ"],
    &[
        *b"at_", *b"et_", *b"hf_", *b"ho_", *b"hp_", *b"hr_", *b"hs_", *b"hu_", *b"pi_", *b"sa_",
        *b"te_", *b"v1_", *b"ve_",
    ],
    &[
        *b"QoG", *b"QoJ", *b"dke", *b"gke", *b"hke", *b"rke", *b"tke", *b"tok", *b"woG", *b"_ke",
        *b"-ke",
    ],
    &[
        *b"PX-", *b"at-", *b"nt-", *b"oj-", *b"pi-", *b"pp-", *b"te-",
    ],
    &[*b"AKI", *b"ASI", *b"pik", *b"psk", *b"tek"],
    &[*b"---", *b"pas", *b"pm_", *b"z-s"],
    &[*b"SG.", *b"ks.", *b"pwd", *b"vs."],
    &[*b"://", *b"rer", *b"ret", *b"xox"],
];

/// Kinds of bytes, as bits of one table each. What counts for a run of base64 is above zero, read with a
/// sign, and what counts for a card's number is the highest: so each is told by one comparison.
const CAPITALS_LOW: u8 = 1;
const CAPITALS_HIGH: u8 = 2;
const LETTERS_LOW: u8 = 4;
const LETTERS_HIGH: u8 = 8;
/// Of base64, also URL-safe, but for the hyphen. Brackets come with it, which does no harm.
const SIGNS: u8 = 16;
const DIGITS: u8 = 32;
const HYPHENS: u8 = 64;
const BLANKS: u8 = 128;
const UPPER: u8 = CAPITALS_LOW | CAPITALS_HIGH;
const LOWER: u8 = LETTERS_LOW | LETTERS_HIGH;
/// The shortest run of base64 that is told.
const SHORTEST: u32 = 20;

/// What was noticed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Clue {
    /// An anchor may start here.
    Anchor,
    /// A backslash.
    Escape,
    /// A percent sign.
    Percent,
    /// Within a run of 20 bytes or more of base64, with capitals, small letters and digits; once a run.
    Base64,
    /// The start of 13 digits, blanks and hyphens or more.
    Digits,
}

/// By a byte's lower, or upper, half.
type Halves = [u8; 16];

struct Tables {
    low: [Halves; 3],
    high: [Halves; 3],
}

const TABLES: Tables = tables();
const CLASS_LOW: Halves = classes().0;
const CLASS_HIGH: Halves = classes().1;

const fn tables() -> Tables {
    let mut tables = Tables {
        low: [[0; 16]; 3],
        high: [[0; 16]; 3],
    };
    let mut group = 0;
    while group < GROUPS.len() {
        let mut anchor = 0;
        while anchor < GROUPS[group].len() {
            let mut place = 0;
            while place < 3 {
                let byte = GROUPS[group][anchor][place];
                tables.low[place][(byte & 15) as usize] |= 1 << group;
                tables.high[place][(byte >> 4) as usize] |= 1 << group;
                // Both cases of a letter share their lower half.
                if byte.is_ascii_alphabetic() {
                    tables.high[place][((byte ^ 32) >> 4) as usize] |= 1 << group;
                }
                place += 1;
            }
            anchor += 1;
        }
        group += 1;
    }
    tables
}

const fn classes() -> (Halves, Halves) {
    let (mut low, mut high): (Halves, Halves) = ([0; 16], [0; 16]);
    let mut half = 0;
    while half < 16 {
        if half >= 1 {
            low[half] |= CAPITALS_LOW | LETTERS_LOW;
        }
        if half <= 10 {
            low[half] |= CAPITALS_HIGH | LETTERS_HIGH;
        }
        if half <= 9 {
            low[half] |= DIGITS;
        }
        // Plus and slash; brackets and the underscore count as capitals.
        if matches!(half, 11 | 15) {
            low[half] |= SIGNS;
        }
        if matches!(half, 11 | 13 | 15) {
            low[half] |= CAPITALS_HIGH;
        }
        half += 1;
    }
    low[13] |= HYPHENS;
    low[0] |= BLANKS;
    high[2] = SIGNS | HYPHENS | BLANKS;
    high[3] = DIGITS;
    high[4] = CAPITALS_LOW;
    high[5] = CAPITALS_HIGH;
    high[6] = LETTERS_LOW;
    high[7] = LETTERS_HIGH;
    (low, high)
}

/// The kinds of sixteen bytes, one bit of each a kind.
#[cfg(target_arch = "wasm32")]
#[derive(Clone, Copy)]
struct Classes(core::arch::wasm32::v128);
#[cfg(not(target_arch = "wasm32"))]
#[derive(Clone, Copy, Default)]
struct Classes([u8; 16]);

#[cfg(target_arch = "wasm32")]
impl Default for Classes {
    fn default() -> Self {
        Self(vector([0; 16]))
    }
}

impl Classes {
    /// One bit a position that is of a kind.
    #[cfg(target_arch = "wasm32")]
    #[target_feature(enable = "simd128")]
    #[inline]
    fn of(&self, class: u8) -> u32 {
        use core::arch::wasm32::{u8x16_splat, v128_and};
        bits(v128_and(self.0, u8x16_splat(class)))
    }

    #[cfg(not(target_arch = "wasm32"))]
    fn of(&self, class: u8) -> u32 {
        (0..16)
            .filter(|&at| self.0[at] & class != 0)
            .fold(0, |bits, at| bits | 1 << at)
    }
}

/// One bit a byte that is not zero.
#[cfg(target_arch = "wasm32")]
#[target_feature(enable = "simd128")]
#[inline]
fn bits(of: core::arch::wasm32::v128) -> u32 {
    use core::arch::wasm32::{u8x16_bitmask, u8x16_ne, u8x16_splat};
    u32::from(u8x16_bitmask(u8x16_ne(of, u8x16_splat(0))))
}

/// Sixteen positions, and the two bytes after them.
type Block = [u8; 18];

/// One bit a position.
#[derive(Clone, Copy, Default)]
struct Masks {
    /// An anchor, an escape or a percent sign.
    points: u32,
    base64: u32,
    card: u32,
    classes: Classes,
}

/// Calls `found` with each clue, in rising order but for runs, which are told within 16 bytes; ends when
/// it says so.
#[cfg_attr(target_arch = "wasm32", target_feature(enable = "simd128"))]
pub(crate) fn each(text: &[u8], mut found: impl FnMut(usize, Clue) -> bool) {
    let mut runs = Runs::default();
    let mut start = 0;
    while start < text.len() {
        let masks = if let Some(block) = text[start..].first_chunk::<18>() {
            masks(block)
        } else {
            let mut block: Block = [0; 18];
            let left = &text[start..];
            block[..left.len()].copy_from_slice(left);
            masks(&block)
        };
        let mut points = masks.points;
        while points != 0 {
            let at = start + points.trailing_zeros() as usize;
            points &= points - 1;
            let clue = match text.get(at) {
                Some(b'\\') => Clue::Escape,
                Some(b'%') => Clue::Percent,
                _ => Clue::Anchor,
            };
            if found(at, clue) {
                return;
            }
        }
        if runs.base64(&masks) && found(start, Clue::Base64) {
            return;
        }
        if let Some(first) = runs.card(&masks)
            && found((start + first).saturating_sub(16), Clue::Digits)
        {
            return;
        }
        runs.before = [masks, runs.before[0]];
        start += 16;
    }
}

/// Whether the text has a word in it, without regard to case.
#[cfg_attr(target_arch = "wasm32", target_feature(enable = "simd128"))]
pub(crate) fn contains(text: &[u8], word: &[u8]) -> bool {
    let [first, second, ..] = *word else {
        return true;
    };
    let mut start = 0;
    while let Some(block) = text[start..].first_chunk::<18>() {
        let mut starts = pairs(block, first | 32, second | 32);
        while starts != 0 {
            let at = start + starts.trailing_zeros() as usize;
            starts &= starts - 1;
            if is_at(text, at, word) {
                return true;
            }
        }
        start += 16;
    }
    (start..text.len()).any(|at| is_at(text, at, word))
}

fn is_at(text: &[u8], at: usize, word: &[u8]) -> bool {
    text.get(at..at + word.len())
        .is_some_and(|part| part.eq_ignore_ascii_case(word))
}

/// Where the first quote or backslash stands from a position on; the end of the text where there is none.
#[cfg_attr(target_arch = "wasm32", target_feature(enable = "simd128"))]
pub(crate) fn quote_or_escape(text: &[u8], mut start: usize) -> usize {
    while let Some(block) = text.get(start..).and_then(|rest| rest.first_chunk::<18>()) {
        let found = ends(block);
        if found != 0 {
            return start + found.trailing_zeros() as usize;
        }
        start += 16;
    }
    let rest = text.get(start..).unwrap_or_default();
    let end = rest.iter().position(|byte| matches!(byte, b'"' | b'\\'));
    end.map_or(text.len(), |end| start + end)
}

/// Where the run of base64 starts that reaches up to a position.
#[cfg_attr(target_arch = "wasm32", target_feature(enable = "simd128"))]
pub(crate) fn base64_start(text: &[u8], at: usize) -> usize {
    let (rest, blocks) = text[..at].as_rchunks::<16>();
    let mut start = at;
    for block in blocks.iter().rev() {
        let others = others(block);
        if others != 0 {
            return start - (others << 16).leading_zeros() as usize;
        }
        start -= 16;
    }
    let before = rest.iter().rposition(|&byte| !is_letter(byte));
    before.map_or(0, |before| before + 1)
}

/// Where the run of base64 ends that starts at a position.
#[cfg_attr(target_arch = "wasm32", target_feature(enable = "simd128"))]
pub(crate) fn base64_end(text: &[u8], start: usize) -> usize {
    let (blocks, rest) = text[start..].as_chunks::<16>();
    let mut at = start;
    for block in blocks {
        let others = others(block);
        if others != 0 {
            return at + others.trailing_zeros() as usize;
        }
        at += 16;
    }
    let after = rest.iter().position(|&byte| !is_letter(byte));
    after.map_or(text.len(), |after| at + after)
}

/// The two blocks before, which are needed to see runs; the nearer one first.
#[derive(Default)]
struct Runs {
    before: [Masks; 2],
    /// The run of base64 that comes from the block before was told.
    is_told: bool,
}

impl Runs {
    /// Whether a run of 20 or more of base64 comes into this block. Where that is text, capitals, small
    /// letters and digits are among it, which is not so of most identifiers.
    #[cfg_attr(target_arch = "wasm32", target_feature(enable = "simd128"))]
    #[inline]
    fn base64(&mut self, now: &Masks) -> bool {
        let [near, far] = &self.before;
        // So long a run crosses a border of blocks.
        if now.base64 & 1 == 0 || near.base64 & 0x8000 == 0 {
            self.is_told = false;
            return false;
        }
        // Where the block before has a gap, it is another run than at the border before.
        self.is_told &= near.base64 == 0xffff;
        if self.is_told {
            return false;
        }
        let ahead = (now.base64 ^ 0xffff | 0x1_0000).trailing_zeros();
        let behind = (!(far.base64 | near.base64 << 16)).leading_zeros();
        if ahead + behind < SHORTEST {
            return false;
        }
        let (part_before, part) = (u32::MAX << (32 - behind), (1 << ahead) - 1);
        // Few runs have all three; what they have least is asked for first.
        self.is_told = [UPPER, DIGITS, LOWER].into_iter().all(|class| {
            let before = far.classes.of(class) | near.classes.of(class) << 16;
            (before & part_before | now.classes.of(class) & part) != 0
        });
        self.is_told
    }

    /// Where a run of 13 starts, counted from the block before, if one shows.
    #[inline]
    fn card(&self, now: &Masks) -> Option<usize> {
        // Such a run comes from the block before, or has the fourth position of this one.
        if now.card & 0b1001 == 0 {
            return None;
        }
        let both = self.before[0].card | now.card << 16;
        let mut run = both & both >> 1;
        run &= run >> 2;
        run &= run >> 4;
        run &= run >> 5;
        (run != 0).then(|| run.trailing_zeros() as usize)
    }
}

#[cfg(target_arch = "wasm32")]
#[target_feature(enable = "simd128")]
#[inline]
fn masks(block: &Block) -> Masks {
    use core::arch::wasm32::{
        i8x16_gt, i8x16_splat, u8x16_bitmask, u8x16_eq, u8x16_ge, u8x16_shr, u8x16_splat,
        u8x16_swizzle, v128, v128_and, v128_or,
    };

    #[target_feature(enable = "simd128")]
    #[inline]
    fn groups(low: v128, high: v128, of: Lookup) -> v128 {
        v128_and(u8x16_swizzle(of.0, low), u8x16_swizzle(of.1, high))
    }
    let halves = |bytes: v128| (v128_and(bytes, u8x16_splat(15)), u8x16_shr(bytes, 4));
    let bytes = load(block, 0);
    let (low, high) = halves(bytes);
    let (low_1, high_1) = halves(load(block, 1));
    let (low_2, high_2) = halves(load(block, 2));
    let anchors = v128_and(
        v128_and(groups(low, high, FIRST), groups(low_1, high_1, SECOND)),
        groups(low_2, high_2, THIRD),
    );
    let single = v128_or(
        u8x16_eq(bytes, u8x16_splat(b'\\')),
        u8x16_eq(bytes, u8x16_splat(b'%')),
    );
    let class = groups(low, high, CLASS);
    Masks {
        points: bits(v128_or(anchors, single)),
        base64: u32::from(u8x16_bitmask(i8x16_gt(class, i8x16_splat(0)))),
        card: u32::from(u8x16_bitmask(u8x16_ge(class, u8x16_splat(DIGITS)))),
        classes: Classes(class),
    }
}

/// One bit a position where these two letters stand, in either case.
#[cfg(target_arch = "wasm32")]
#[target_feature(enable = "simd128")]
#[inline]
fn pairs(block: &Block, first: u8, second: u8) -> u32 {
    use core::arch::wasm32::{u8x16_bitmask, u8x16_eq, u8x16_splat, v128_and, v128_or};

    let lower = u8x16_splat(32);
    let at = |offset: usize, letter: u8| {
        u8x16_eq(v128_or(load(block, offset), lower), u8x16_splat(letter))
    };
    u32::from(u8x16_bitmask(v128_and(at(0, first), at(1, second))))
}

#[cfg(not(target_arch = "wasm32"))]
fn pairs(block: &Block, first: u8, second: u8) -> u32 {
    let is_pair = |at: &usize| block[*at] | 32 == first && block[at + 1] | 32 == second;
    (0..16).filter(is_pair).fold(0, |bits, at| bits | 1 << at)
}

/// One bit a position where a quote or a backslash stands.
#[cfg(target_arch = "wasm32")]
#[target_feature(enable = "simd128")]
#[inline]
fn ends(block: &Block) -> u32 {
    use core::arch::wasm32::{u8x16_bitmask, u8x16_eq, u8x16_splat, v128_or};

    let bytes = load(block, 0);
    u32::from(u8x16_bitmask(v128_or(
        u8x16_eq(bytes, u8x16_splat(b'"')),
        u8x16_eq(bytes, u8x16_splat(b'\\')),
    )))
}

#[cfg(not(target_arch = "wasm32"))]
fn ends(block: &Block) -> u32 {
    let is_end = |at: &usize| matches!(block[*at], b'"' | b'\\');
    (0..16).filter(is_end).fold(0, |bits, at| bits | 1 << at)
}

/// One bit a position that has nothing of base64; brackets, which its kinds have too, are none of it.
#[cfg(target_arch = "wasm32")]
#[target_feature(enable = "simd128")]
#[inline]
fn others(block: &[u8; 16]) -> u32 {
    use core::arch::wasm32::{
        i8x16_le, i8x16_splat, u8x16_bitmask, u8x16_eq, u8x16_shr, u8x16_splat, u8x16_swizzle,
        v128_and, v128_or,
    };

    let bytes = load(block, 0);
    let low = u8x16_swizzle(CLASS.0, v128_and(bytes, u8x16_splat(15)));
    let high = u8x16_swizzle(CLASS.1, u8x16_shr(bytes, 4));
    let brackets = v128_or(
        u8x16_eq(bytes, u8x16_splat(b'[')),
        u8x16_eq(bytes, u8x16_splat(b']')),
    );
    u32::from(u8x16_bitmask(v128_or(
        i8x16_le(v128_and(low, high), i8x16_splat(0)),
        brackets,
    )))
}

#[cfg(not(target_arch = "wasm32"))]
fn others(block: &[u8; 16]) -> u32 {
    let is_other = |at: &usize| !is_letter(block[*at]);
    (0..16).filter(is_other).fold(0, |bits, at| bits | 1 << at)
}

/// A table by lower and by upper half, ready for lookups.
#[cfg(target_arch = "wasm32")]
type Lookup = (core::arch::wasm32::v128, core::arch::wasm32::v128);
#[cfg(target_arch = "wasm32")]
const FIRST: Lookup = (vector(TABLES.low[0]), vector(TABLES.high[0]));
#[cfg(target_arch = "wasm32")]
const SECOND: Lookup = (vector(TABLES.low[1]), vector(TABLES.high[1]));
#[cfg(target_arch = "wasm32")]
const THIRD: Lookup = (vector(TABLES.low[2]), vector(TABLES.high[2]));
#[cfg(target_arch = "wasm32")]
const CLASS: Lookup = (vector(CLASS_LOW), vector(CLASS_HIGH));

#[cfg(target_arch = "wasm32")]
const fn vector(b: [u8; 16]) -> core::arch::wasm32::v128 {
    core::arch::wasm32::u8x16(
        b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7], b[8], b[9], b[10], b[11], b[12], b[13],
        b[14], b[15],
    )
}

/// Sixteen bytes from a position on. As two words, for which the compiler has instructions that load them.
#[cfg(target_arch = "wasm32")]
#[target_feature(enable = "simd128")]
#[inline]
fn load(bytes: &[u8], at: usize) -> core::arch::wasm32::v128 {
    let (words, _) = bytes[at..].as_chunks::<8>();
    let [first, second, ..] = *words else {
        unreachable!("sixteen bytes are there");
    };
    core::arch::wasm32::u64x2(u64::from_le_bytes(first), u64::from_le_bytes(second))
}

#[cfg(not(target_arch = "wasm32"))]
fn masks(block: &Block) -> Masks {
    let halves = |byte: u8| (usize::from(byte & 15), usize::from(byte >> 4));
    let mut masks = Masks::default();
    for at in 0..16 {
        let mut groups = u8::MAX;
        for place in 0..3 {
            let (low, high) = halves(block[at + place]);
            groups &= TABLES.low[place][low] & TABLES.high[place][high];
        }
        let (low, high) = halves(block[at]);
        let class = CLASS_LOW[low] & CLASS_HIGH[high];
        let bit = |set: bool| u32::from(set) << at;
        masks.points |= bit(groups != 0 || matches!(block[at], b'\\' | b'%'));
        masks.base64 |= bit(class & !BLANKS != 0);
        masks.classes.0[at] = class;
        masks.card |= bit(class >= DIGITS);
    }
    masks
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::names::SECRET_ENDINGS;

    fn clues(text: &str) -> Vec<(usize, Clue)> {
        let mut clues = Vec::new();
        each(text.as_bytes(), |at, clue| {
            clues.push((at, clue));
            false
        });
        clues
    }

    #[test]
    fn every_telling_name_has_an_anchor_in_every_case_and_place() {
        for ending in SECRET_ENDINGS {
            let split = |sign: &str| match ending.strip_suffix("key") {
                Some(start) => format!("{start}{sign}key"),
                None => ending.to_owned(),
            };
            for spelling in [
                ending.to_owned(),
                ending.to_uppercase(),
                split("_"),
                split("-"),
            ] {
                for shift in 0..20 {
                    let text = format!("{}{spelling}", "y".repeat(shift));
                    let mut clues = clues(&text).into_iter();
                    assert!(clues.any(|(_, clue)| clue == Clue::Anchor), "{spelling}");
                }
            }
        }
    }

    #[test]
    fn runs_are_told_wherever_they_stand() {
        for shift in 0..40 {
            for length in 16..60 {
                let text = format!(
                    "{}{} ",
                    ".".repeat(shift),
                    "aB3/+_-x".repeat(8).split_at(length).0
                );
                let told = clues(&text).iter().any(|&(at, clue)| {
                    clue == Clue::Base64 && (shift..shift + length).contains(&at)
                });
                assert!(told || length < 20, "{shift} {length}");
            }
            let card = format!("{}4111-1111 1111-1", ".".repeat(shift));
            assert!(clues(&card).contains(&(shift, Clue::Digits)), "{card}");
            let account = format!("{}123456789012:", ".".repeat(shift));
            assert!(clues(&account).is_empty(), "{account}");
        }
    }

    #[test]
    fn of_neighbouring_runs_each_is_told_once() {
        for shift in 0..40 {
            for gap in 1..40 {
                let run = "aB3/+_-x".repeat(6);
                let text = format!("{}{run}{}{run} ", ".".repeat(shift), ".".repeat(gap));
                let of_second = shift + run.len() + gap;
                let told: Vec<_> = clues(&text)
                    .into_iter()
                    .filter(|(_, clue)| *clue == Clue::Base64)
                    .map(|(at, _)| at >= of_second)
                    .collect();
                assert_eq!(told, [false, true], "{shift} {gap}");
            }
        }
    }

    #[test]
    fn runs_are_measured_wherever_they_start_and_end() {
        for byte in 0..=255 {
            for at in [0, 1, 15, 16, 17, 33] {
                let mut text = *b"aB3/+_-xaB3/+_-xaB3/+_-xaB3/+_-xaB3/+_-x";
                text[at] = byte;
                let is_letter = byte.is_ascii_alphanumeric() || b"+/-_".contains(&byte);
                let (end, start) = if is_letter { (40, 0) } else { (at, at + 1) };
                assert_eq!(base64_end(&text, 0), end, "{byte} {at}");
                assert_eq!(base64_start(&text, 40), start, "{byte} {at}");
            }
        }
        assert_eq!((base64_start(b"", 0), base64_end(b"", 0)), (0, 0));
    }

    #[test]
    fn the_kinds_of_every_byte_are_those_it_has() {
        for byte in 0..=255_u8 {
            let masks = masks(&[byte; 18]);
            let all = |is: bool| if is { 0xffff } else { 0 };
            let is_bracket = matches!(byte, b'[' | b']');
            assert_eq!(masks.base64, all(is_letter(byte) || is_bracket), "{byte}");
            let is_card = byte.is_ascii_digit() || matches!(byte, b' ' | b'-');
            assert_eq!(masks.card, all(is_card), "{byte}");
            assert_eq!(masks.classes.0[0].cast_signed() > 0, masks.base64 != 0);
            let is_upper = byte.is_ascii_uppercase() || is_bracket || byte == b'_';
            assert_eq!(masks.classes.of(UPPER), all(is_upper), "{byte}");
            assert_eq!(masks.classes.of(LOWER), all(byte.is_ascii_lowercase()));
            assert_eq!(masks.classes.of(DIGITS), all(byte.is_ascii_digit()));
        }
    }

    #[test]
    fn what_hides_is_told_to_the_last_byte() {
        for length in 0..60 {
            let start = ".".repeat(length);
            assert_eq!(clues(&format!("{start}\\")), [(length, Clue::Escape)]);
            assert_eq!(clues(&format!("{start}%")), [(length, Clue::Percent)]);
            assert_eq!(clues(&format!("{start}---")), [(length, Clue::Anchor)]);
        }
        assert!(clues("").is_empty());
    }
}
