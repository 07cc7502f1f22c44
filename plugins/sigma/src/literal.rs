//! Texts that rules cannot match without, those of all rules about a field in one index: a value is looked
//! at once, however many rules ask for it, and only rules of which it holds a text are judged.

use std::collections::BTreeMap;

use aho_corasick::AhoCorasick;
use regex_syntax::{
    ParserBuilder,
    hir::{Hir, HirKind},
};

use crate::{
    field::{Event, FieldId, Fields, Value},
    pattern::{fold_into, folded},
    texts::Texts,
};

/// A text in lower case that a value must hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Literal {
    /// The value is this and nothing else.
    Whole(String),
    /// It stands somewhere in the value.
    Part(String),
}

/// Texts of which one stands in whatever a regular expression fits; nothing where none are known. They
/// are in lower case, so that it does not matter which case the expression asks for.
pub(crate) fn of_regex(regex: &regex::bytes::Regex) -> Option<Vec<Literal>> {
    let mut parser = ParserBuilder::new().unicode(false).utf8(false).build();
    let texts = required(&parser.parse(regex.as_str()).ok()?)?;
    Some(texts.into_iter().map(Literal::Part).collect())
}

fn required(hir: &Hir) -> Option<Vec<String>> {
    match hir.kind() {
        HirKind::Literal(literal) if literal.0.is_ascii() => {
            Some(vec![folded(std::str::from_utf8(&literal.0).ok()?)])
        }
        HirKind::Capture(capture) => required(&capture.sub),
        HirKind::Repetition(repetition) if repetition.min > 0 => required(&repetition.sub),
        HirKind::Concat(parts) => parts
            .iter()
            .filter_map(required)
            .max_by_key(|texts| texts.iter().map(String::len).min()),
        HirKind::Alternation(ways) => {
            let ways: Option<Vec<_>> = ways.iter().map(required).collect();
            ways.map(|ways| ways.concat())
        }
        _ => None,
    }
}

/// The literals of all rules about one field.
#[derive(Clone, Debug)]
struct Watch {
    field: FieldId,
    whole: Texts<Vec<u32>>,
    parts: Option<Parts>,
}

/// Literals that stand somewhere in a value.
#[derive(Clone, Debug)]
struct Parts {
    /// None where one of the literals is too short to be guessed by its pieces.
    pieces: Option<Pieces>,
    automaton: AhoCorasick,
    /// Of each literal the rules that need it.
    rules: Vec<Vec<u32>>,
}

/// What will be a [`Watch`].
#[derive(Clone, Debug, Default)]
struct Draft {
    whole: Texts<Vec<u32>>,
    parts: BTreeMap<String, Vec<u32>>,
}

/// Finds the rules that an event could match by the literals in its values.
#[derive(Clone, Debug, Default)]
pub(crate) struct Literals {
    drafts: BTreeMap<FieldId, Draft>,
    watches: Vec<Watch>,
}

impl Literals {
    /// Has a rule found by any of some literals in a field.
    pub(crate) fn add(&mut self, rule: u32, field: FieldId, literals: &[Literal]) {
        let draft = self.drafts.entry(field).or_default();
        for literal in literals {
            let rules = match literal {
                Literal::Whole(text) => draft.whole.entry(text.clone()),
                Literal::Part(text) => draft.parts.entry(text.clone()).or_default(),
            };
            if rules.last() != Some(&rule) {
                rules.push(rule);
            }
        }
    }

    /// Builds the automata. Answers with the rules whose literals are too many for one.
    pub(crate) fn build(&mut self) -> Vec<u32> {
        let mut left = Vec::new();
        for (field, Draft { whole, parts }) in std::mem::take(&mut self.drafts) {
            let mut builder = AhoCorasick::builder();
            let automaton = builder.ascii_case_insensitive(true).build(parts.keys());
            let parts = match automaton {
                _ if parts.is_empty() => None,
                Ok(automaton) => Some(Parts {
                    pieces: Pieces::of(parts.keys().map(String::as_bytes)),
                    automaton,
                    rules: parts.into_values().collect(),
                }),
                Err(_) => {
                    left.extend(parts.into_values().flatten());
                    None
                }
            };
            self.watches.push(Watch {
                field,
                whole,
                parts,
            });
        }
        left
    }

    /// Adds the rules of which an event holds a literal, some more than once. `text` is scratch space.
    pub(crate) fn find(
        &self,
        event: &impl Event,
        fields: &Fields,
        text: &mut String,
        out: &mut Vec<u32>,
    ) {
        for watch in &self.watches {
            fields.any(watch.field, event, &mut |value| {
                match value {
                    Value::Null => {}
                    Value::Text(value) => watch.find(value, text, out),
                    Value::Scalar(value) => watch.find(value.as_bytes(), text, out),
                }
                false
            });
        }
    }
}

impl Watch {
    fn find(&self, value: &[u8], room: &mut String, out: &mut Vec<u32>) {
        out.extend(self.whole.get(value).into_iter().flatten());
        let Some(parts) = &self.parts else { return };
        if value.is_ascii() {
            parts.find(value, out);
        } else if let Ok(value) = std::str::from_utf8(value) {
            fold_into(value, room);
            parts.find(room.as_bytes(), out);
        }
    }
}

impl Parts {
    fn find(&self, value: &[u8], out: &mut Vec<u32>) {
        if self.pieces.as_ref().is_some_and(|one| !one.any_in(value)) {
            return;
        }
        for hit in self.automaton.find_overlapping_iter(value) {
            out.extend(&self.rules[hit.pattern().as_usize()]);
        }
    }
}

/// Pieces of literals, by which most values are told to hold none of them without being read as a whole. Of
/// the last bytes of a literal, wherever they stand, a piece begins at a multiple of `step`; and the ends of
/// texts tell more than how they begin.
#[derive(Clone, Debug)]
struct Pieces {
    step: usize,
    /// A bit for each hash of a piece.
    bits: Vec<bool>,
}

impl Pieces {
    /// Bytes of a piece.
    const LENGTH: usize = 4;
    /// Pieces of a literal, at most: every ARN has `aws:` at its fifth byte, and steps of three pass it over.
    const MOST: usize = 3;

    fn of<'a>(literals: impl Iterator<Item = &'a [u8]> + Clone) -> Option<Self> {
        let shortest = literals.clone().map(<[u8]>::len).min()?;
        let step = (shortest + 1).checked_sub(Self::LENGTH)?.min(Self::MOST);
        let room = (64 * step * literals.clone().count()).max(1 << 12);
        let mut pieces = Self {
            step,
            bits: vec![false; room.next_power_of_two()],
        };
        for literal in literals {
            for piece in literal.windows(Self::LENGTH).rev().take(step) {
                let bit = pieces.bit(piece);
                pieces.bits[bit] = true;
            }
        }
        (step > 0).then_some(pieces)
    }

    fn any_in(&self, value: &[u8]) -> bool {
        let mut all = value.windows(Self::LENGTH).step_by(self.step);
        all.any(|piece| self.bits[self.bit(piece)])
    }

    /// The place of a piece, in which ASCII letters of both cases are one.
    fn bit(&self, piece: &[u8]) -> usize {
        let piece = piece.first_chunk().copied().map(u32::from_le_bytes);
        let lower = u64::from(piece.unwrap_or_default() | 0x2020_2020);
        // Bits that depend on all bytes of the piece.
        let hash = lower.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40;
        usize::try_from(hash).unwrap_or_default() & (self.bits.len() - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::field::Cell;

    struct One(&'static str);

    impl Event for One {
        fn cell(&self, _: usize) -> Cell<'_> {
            Cell::Text(self.0.as_bytes())
        }
    }

    #[test]
    fn a_value_finds_the_rules_whose_texts_it_holds_and_no_others() {
        let mut fields = Fields::default();
        let field = fields.add("f").unwrap();
        let mut literals = Literals::default();
        for rule in 0..1_000 {
            let text = format!("<{rule}>");
            let literal = match rule % 2 {
                0 => Literal::Part(text),
                _ => Literal::Whole(text),
            };
            literals.add(rule, field, &[literal]);
        }
        assert!(literals.build().is_empty());
        let found = |value| {
            let mut out = Vec::new();
            literals.find(&One(value), &fields, &mut String::new(), &mut out);
            out
        };
        assert_eq!(found("a<8>b<10> <11>"), [8, 10]);
        assert_eq!(found("<11>"), [11]);
        assert!(found("<1000>").is_empty() && found("").is_empty());
    }

    #[test]
    fn a_literal_is_found_wherever_it_stands() {
        let mut fields = Fields::default();
        let field = fields.add("f").unwrap();
        for literal in [
            "abcd",
            "abcde",
            "abcdef",
            ":assumed-role/aws:",
            "xyz",
            "x-ü",
        ] {
            let mut literals = Literals::default();
            literals.add(0, field, &[Literal::Part(literal.to_owned())]);
            assert!(literals.build().is_empty());
            for before in 0..20 {
                for (around, found) in [
                    (literal.to_uppercase(), &[0][..]),
                    (literal[1..].to_owned(), &[]),
                ] {
                    let value = format!("{}{around}K", "-".repeat(before));
                    let mut out = Vec::new();
                    literals.find(&One(value.leak()), &fields, &mut String::new(), &mut out);
                    assert_eq!(out, found, "{literal} after {before}");
                }
            }
        }
    }

    #[test]
    fn literals_of_a_regular_expression_are_those_it_cannot_do_without() {
        let of = |text: &str| {
            required(
                &ParserBuilder::new()
                    .utf8(false)
                    .build()
                    .parse(text)
                    .unwrap(),
            )
        };
        let texts = |of: &[&str]| Some(of.iter().map(ToString::to_string).collect::<Vec<_>>());
        assert_eq!(of(".+:assumed-role/AWS:.+"), texts(&[":assumed-role/aws:"]));
        assert_eq!(of("^(one|three)+x?$"), texts(&["one", "three"]));
        assert_eq!(of("a(bcd){2,}e"), texts(&["bcd"]));
        for text in ["(abc)*", "abc|.*", "[ab]", "Ä", "(?i)abc", ""] {
            assert_eq!(of(text), None, "{text}");
        }
    }
}
