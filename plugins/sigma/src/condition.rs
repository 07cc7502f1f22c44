//! The condition of a rule: words, and what they say of the detections.

use std::{collections::BTreeSet, fmt, sync::Arc};

use crate::{
    field::{Event, FieldId, Fields},
    item::cut,
    matcher::{Item, Scratch},
};

/// Words of a condition, and nodes of what is made of it.
const MAX_WORDS: usize = 2_000;
/// Parentheses within each other.
const MAX_DEPTH: usize = 50;

/// What a rule says of an event.
#[derive(Clone, Debug)]
pub(crate) enum Expr {
    Item(Item),
    /// A detection, which a condition may name more than once.
    Named(Arc<Expr>),
    All(Vec<Expr>),
    Any(Vec<Expr>),
    Not(Box<Expr>),
}

impl Expr {
    pub(crate) fn holds(&self, event: &impl Event, fields: &Fields, scratch: &mut Scratch) -> bool {
        match self {
            Self::Item(item) => item.holds(event, fields, scratch),
            Self::Named(one) => one.holds(event, fields, scratch),
            Self::All(all) => all.iter().all(|one| one.holds(event, fields, scratch)),
            Self::Any(any) => any.iter().any(|one| one.holds(event, fields, scratch)),
            Self::Not(one) => !one.holds(event, fields, scratch),
        }
    }

    /// Adds all fields that it looks at.
    pub(crate) fn fields(&self, out: &mut BTreeSet<FieldId>) {
        match self {
            Self::Item(item) => item.fields(out),
            Self::Named(one) => one.fields(out),
            Self::All(of) | Self::Any(of) => of.iter().for_each(|one| one.fields(out)),
            Self::Not(one) => one.fields(out),
        }
    }

    /// Takes what holds several for what it holds where that is one.
    pub(crate) fn all(mut of: Vec<Expr>) -> Self {
        match (of.len(), of.pop()) {
            (1, Some(only)) => only,
            (_, last) => Self::All(of.into_iter().chain(last).collect()),
        }
    }

    /// See [`Expr::all`].
    pub(crate) fn any(mut of: Vec<Expr>) -> Self {
        match (of.len(), of.pop()) {
            (1, Some(only)) => only,
            (_, last) => Self::Any(of.into_iter().chain(last).collect()),
        }
    }
}

impl fmt::Display for Expr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |f: &mut fmt::Formatter<'_>, of: &[Expr], word: &str| {
            f.write_str("(")?;
            for (position, one) in of.iter().enumerate() {
                if position > 0 {
                    write!(f, " {word} ")?;
                }
                write!(f, "{one}")?;
            }
            f.write_str(")")
        };
        match self {
            Self::Item(item) => f.write_str(&item.shown),
            Self::Named(one) => write!(f, "{one}"),
            Self::All(all) => list(f, all, "and"),
            Self::Any(any) => list(f, any, "or"),
            Self::Not(one) => write!(f, "not {one}"),
        }
    }
}

/// The detections of a rule by their names, in the rule's order.
pub(crate) type Detections = Vec<(String, Arc<Expr>)>;

/// Reads a condition.
pub(crate) fn parse(text: &str, detections: &Detections) -> Result<Expr, String> {
    if let Some((_, aggregation)) = text.split_once('|') {
        return Err(retired(aggregation));
    }
    let spaced = text.replace('(', " ( ").replace(')', " ) ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    if words.len() > MAX_WORDS {
        return Err(format!("the condition has more than {MAX_WORDS} words"));
    }
    let mut parser = Parser {
        words: &words,
        at: 0,
        depth: 0,
        detections,
    };
    let expr = parser.or()?;
    match parser.words.get(parser.at) {
        None => Ok(expr),
        Some(word) => Err(format!(
            "the condition ends too early: `and` or `or` is missing before `{}`",
            cut(word)
        )),
    }
}

/// What replaces the aggregations that conditions once had.
fn retired(aggregation: &str) -> String {
    let shown = cut(aggregation.trim());
    let function = aggregation
        .trim()
        .split(['(', ' '])
        .next()
        .unwrap_or_default();
    let of = aggregation
        .split_once('(')
        .and_then(|(_, rest)| rest.split_once(')'));
    let field = of.map_or("", |(field, _)| field.trim());
    let by = aggregation
        .split_once(" by ")
        .map_or("", |(_, by)| by.trim());
    let by = by.split(['<', '>', '=', ' ']).next().unwrap_or_default();
    let kind = match (function, field) {
        ("count", "") => "event_count",
        ("count", _) => "value_count",
        ("sum", _) => "value_sum",
        ("avg", _) => "value_avg",
        ("near", _) => "temporal",
        _ => {
            return format!(
                "the condition has `| {shown}`: only conditions without `|` are Sigma 2"
            );
        }
    };
    let of = if field.is_empty() {
        String::new()
    } else {
        format!(", `field: {}` in its condition", cut(field))
    };
    let by = if by.is_empty() {
        String::new()
    } else {
        format!(", `group-by: [{}]`", cut(by))
    };
    format!(
        "the condition ends in the retired `| {shown}`: end it before `|`, give the rule a `name`, and add a correlation of type `{kind}` that names it{by}{of}"
    )
}

struct Parser<'a> {
    words: &'a [&'a str],
    at: usize,
    depth: usize,
    detections: &'a Detections,
}

impl Parser<'_> {
    fn or(&mut self) -> Result<Expr, String> {
        let mut any = vec![self.and()?];
        while self.take("or") {
            any.push(self.and()?);
        }
        Ok(Expr::any(any))
    }

    fn and(&mut self) -> Result<Expr, String> {
        let mut all = vec![self.not()?];
        while self.take("and") {
            all.push(self.not()?);
        }
        Ok(Expr::all(all))
    }

    fn not(&mut self) -> Result<Expr, String> {
        if self.take("not") {
            self.deeper()?;
            let inner = self.not()?;
            self.depth -= 1;
            return Ok(Expr::Not(Box::new(inner)));
        }
        self.one()
    }

    fn one(&mut self) -> Result<Expr, String> {
        let Some(&word) = self.words.get(self.at) else {
            return Err("the condition ends where a detection should be named".to_owned());
        };
        self.at += 1;
        if word == "(" {
            self.deeper()?;
            let inner = self.or()?;
            self.depth -= 1;
            return if self.take(")") {
                Ok(inner)
            } else {
                Err("the condition has a parenthesis that is not closed".to_owned())
            };
        }
        let quantified = ["1", "any", "all"]
            .iter()
            .any(|known| word.eq_ignore_ascii_case(known));
        if quantified && self.take("of") {
            return self.several(word.eq_ignore_ascii_case("all"));
        }
        let found = self.detections.iter().find(|(name, _)| name == word);
        match found {
            Some((_, detection)) => Ok(Expr::Named(Arc::clone(detection))),
            None => Err(format!(
                "the condition names `{}`, and there is no such detection",
                cut(word)
            )),
        }
    }

    /// `them`, or a pattern of names.
    fn several(&mut self, all: bool) -> Result<Expr, String> {
        let Some(&pattern) = self.words.get(self.at) else {
            return Err("the condition ends after `of`".to_owned());
        };
        self.at += 1;
        let pattern = if pattern.eq_ignore_ascii_case("them") {
            "*"
        } else {
            pattern
        };
        // A name that begins with an underscore is left out unless the pattern asks for it.
        let meant = |name: &str| {
            fits(pattern, name) && (pattern.starts_with('_') || !name.starts_with('_'))
        };
        let found: Vec<Expr> = self
            .detections
            .iter()
            .filter(|(name, _)| meant(name))
            .map(|(_, detection)| Expr::Named(Arc::clone(detection)))
            .collect();
        if found.is_empty() {
            return Err(format!(
                "the condition asks for `{}`, and no detection is called so",
                cut(pattern)
            ));
        }
        Ok(if all {
            Expr::all(found)
        } else {
            Expr::any(found)
        })
    }

    fn deeper(&mut self) -> Result<(), String> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(format!("the condition is nested deeper than {MAX_DEPTH}"));
        }
        Ok(())
    }

    fn take(&mut self, word: &str) -> bool {
        let taken = self
            .words
            .get(self.at)
            .is_some_and(|next| next.eq_ignore_ascii_case(word));
        self.at += usize::from(taken);
        taken
    }
}

/// Whether a name is as a pattern says, in which a star is any text.
fn fits(pattern: &str, name: &str) -> bool {
    let Some((start, rest)) = pattern.split_once('*') else {
        return pattern == name;
    };
    let Some(mut left) = name.strip_prefix(start) else {
        return false;
    };
    let mut parts = rest.split('*').peekable();
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            return left.ends_with(part);
        }
        match left.find(part) {
            Some(at) => left = &left[at + part.len()..],
            None => return false,
        }
    }
    true
}
