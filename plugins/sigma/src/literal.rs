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
    imply::Table,
    pattern::{fold_into, folded},
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
    whole: Table<Vec<u32>>,
    /// Bytes of the longest text in `whole`.
    longest: usize,
    parts: Option<AhoCorasick>,
    /// Of each text in `parts` the rules that need it.
    rules: Vec<Vec<u32>>,
}

/// What will be a [`Watch`].
#[derive(Clone, Debug, Default)]
struct Draft {
    whole: Table<Vec<u32>>,
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
                Literal::Whole(text) => draft.whole.entry(text.clone()).or_default(),
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
            let automaton = (!parts.is_empty()).then(|| AhoCorasick::new(parts.keys()));
            let mut rules: Vec<Vec<u32>> = parts.into_values().collect();
            let parts = match automaton {
                Some(Err(_)) => {
                    left.extend(rules.drain(..).flatten());
                    None
                }
                Some(Ok(automaton)) => Some(automaton),
                None => None,
            };
            self.watches.push(Watch {
                field,
                longest: whole.keys().map(String::len).max().unwrap_or_default(),
                whole,
                parts,
                rules,
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
                if let Value::Text(value) | Value::Scalar(value) = value {
                    fold_into(value, text);
                    watch.find(text, out);
                }
                false
            });
        }
    }
}

impl Watch {
    fn find(&self, folded: &str, out: &mut Vec<u32>) {
        if folded.len() <= self.longest {
            out.extend(self.whole.get(folded).into_iter().flatten());
        }
        if let Some(parts) = &self.parts {
            for hit in parts.find_overlapping_iter(folded) {
                out.extend(&self.rules[hit.pattern().as_usize()]);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::field::Cell;

    struct One(&'static str);

    impl Event for One {
        fn cell(&self, _: usize) -> Cell<'_> {
            Cell::Text(self.0)
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
