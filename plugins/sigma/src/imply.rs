//! Which events a rule can match at all, as far as that can be read off its condition: the calls that it
//! names, or a member that must be there.

use std::{collections::BTreeSet, sync::Arc};

use crate::{
    condition::Expr,
    field::{Cell, Event, FieldId, Fields},
    item::{NAME, SOURCE},
    literal::{Literal, Literals},
    matcher::Item,
    pattern::folded,
    texts::Texts,
};

/// Ways to match that a rule is followed into; one with more is tried on every event.
const MAX_WAYS: usize = 64;

/// One way to match: what then holds of the event.
#[derive(Clone, Debug, Default)]
pub(crate) struct Way {
    names: Option<Vec<String>>,
    sources: Option<Vec<String>>,
    needs: Option<Need>,
}

/// A field that must have a value.
#[derive(Clone, Debug)]
struct Need {
    field: FieldId,
    /// How that value begins, as far as that is known.
    starts: Vec<String>,
    /// What it holds one of, as far as that is known.
    literals: Vec<Literal>,
}

impl Need {
    /// How much is known of the value.
    fn known(&self) -> usize {
        usize::from(!self.starts.is_empty()) + usize::from(!self.literals.is_empty())
    }
}

impl Way {
    /// Whether it names the call or the service.
    pub(crate) fn names_call(&self) -> bool {
        self.names.is_some() || self.sources.is_some()
    }

    /// Whether an event that matches in this way can be found by what stands in it.
    fn is_found(&self) -> bool {
        let literals = |need: &Need| !need.literals.is_empty();
        self.names_call() || self.needs.as_ref().is_some_and(literals)
    }

    fn and(self, other: Self) -> Self {
        let better = |one: Need, other: Need| {
            if other.known() > one.known() {
                other
            } else {
                one
            }
        };
        Self {
            names: self.names.or(other.names),
            sources: self.sources.or(other.sources),
            needs: match (self.needs, other.needs) {
                (Some(one), Some(other)) => Some(better(one, other)),
                (one, other) => one.or(other),
            },
        }
    }
}

/// All ways in which an expression can hold.
pub(crate) fn ways(expr: &Expr, fields: &Fields) -> Vec<Way> {
    match expr {
        Expr::Item(item) => {
            let written = |field: &str| item.written.clone().filter(|_| names(item, field, fields));
            let (names, sources) = (written(NAME), written(SOURCE));
            let looked_up = names.is_some() || sources.is_some();
            let needs = !looked_up && !fields.name(item.field).is_empty() && item.needs_value();
            vec![Way {
                names,
                sources,
                needs: needs.then(|| Need {
                    field: item.field,
                    starts: item.starts(),
                    literals: item.literals(),
                }),
            }]
        }
        Expr::Named(one) => ways(one, fields),
        Expr::Not(_) => vec![Way::default()],
        Expr::Any(any) => {
            let all: Vec<Way> = any.iter().flat_map(|one| ways(one, fields)).collect();
            if all.len() > MAX_WAYS {
                vec![Way::default()]
            } else {
                all
            }
        }
        Expr::All(all) => all.iter().fold(vec![Way::default()], |mut before, one| {
            let mut more = ways(one, fields);
            match (before.len() * more.len(), before.pop(), more.pop()) {
                (1, Some(way), Some(other)) => vec![way.and(other)],
                (2..=MAX_WAYS, way, other) => {
                    more.extend(other);
                    let both =
                        |way: Way| more.iter().map(move |other| way.clone().and(other.clone()));
                    before.into_iter().chain(way).flat_map(both).collect()
                }
                (_, way, _) => before.into_iter().chain(way).collect(),
            }
        }),
    }
}

fn names(item: &Item, field: &str, fields: &Fields) -> bool {
    item.written.is_some() && fields.name(item.field) == field
}

/// What is left to be judged of a rule with a single way to match: not the call, by which the rule was
/// found. `found` says what of name and source was left out already.
pub(crate) fn undecided(expr: Expr, fields: &Fields, found: &mut [bool; 2]) -> Option<Expr> {
    match expr {
        Expr::Item(item) => {
            let part = [NAME, SOURCE]
                .iter()
                .position(|field| names(&item, field, fields));
            let decided = part.is_some_and(|part| !std::mem::replace(&mut found[part], true));
            (!decided).then_some(Expr::Item(item))
        }
        // What others hold as well (a filter) is not worth a copy.
        Expr::Named(one) => match Arc::try_unwrap(one) {
            Ok(one) => undecided(one, fields, found),
            Err(shared) => Some(Expr::Named(shared)),
        },
        Expr::All(all) => {
            let left = all
                .into_iter()
                .filter_map(|one| undecided(one, fields, found));
            Some(Expr::all(left.collect()))
        }
        other => Some(other),
    }
}

/// A condition of the subscription, on a JSON Pointer.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Wanted {
    /// The text is one of these.
    OneOf(&'static str, Vec<String>),
    /// The text begins with one of these.
    StartsWith(String, Vec<String>),
    /// There is something, and it is not null.
    Present(String),
}

impl Wanted {
    /// That a value stands here, which begins in one of these ways where any are known.
    fn value(pointer: &str, starts: &[String]) -> Self {
        if starts.is_empty() {
            Self::Present(pointer.to_owned())
        } else {
            Self::StartsWith(pointer.to_owned(), starts.to_vec())
        }
    }
}

/// The clauses under which some rules see every event that they could match; none at all where a rule
/// wants every event.
pub(crate) fn clauses<'a>(
    rules: impl Iterator<Item = &'a [Way]>,
    fields: &Fields,
) -> Vec<Vec<Wanted>> {
    let mut clauses = BTreeSet::new();
    for way in rules.flatten() {
        let mut clause = Vec::new();
        if let Some(names) = &way.names {
            clause.push(Wanted::OneOf("/eventName", names.clone()));
        }
        if let Some(sources) = &way.sources {
            // CloudTrail writes them in lower case, rules sometimes do not.
            let mut sources: Vec<String> = sources
                .iter()
                .flat_map(|source| [source.clone(), source.to_lowercase()])
                .collect();
            sources.dedup();
            clause.push(Wanted::OneOf("/eventSource", sources));
        }
        let Some(Need { field, starts, .. }) = &way.needs else {
            if clause.is_empty() {
                return Vec::new();
            }
            clauses.insert(clause);
            continue;
        };
        let places = fields.places(*field);
        if clause.is_empty() {
            let array = |way: String| vec![Wanted::StartsWith(way, vec!["[".to_owned()])];
            let value = |place: &String| vec![Wanted::value(place, starts)];
            clauses.extend(places.values.iter().map(value));
            clauses.extend(places.on_the_way.into_iter().map(array));
        } else {
            if let ([place], false) = (places.values.as_slice(), starts.is_empty()) {
                clause.push(Wanted::value(place, starts));
            }
            clauses.insert(clause);
        }
    }
    clauses.into_iter().collect()
}

/// Finds the rules that an event could match: by the call it is about, or by a text in it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Index {
    name: Option<FieldId>,
    source: Option<FieldId>,
    names: Texts<Name>,
    sources: Texts<Source>,
    /// The last number that a source got.
    last_source: u32,
    literals: Literals,
    /// Those that are tried on every event.
    always: Vec<u32>,
}

/// What rules want with a name of calls.
#[derive(Clone, Debug, Default)]
struct Name {
    any_source: Vec<u32>,
    /// By the number of the source, in rising order.
    by_source: Vec<(u32, Vec<u32>)>,
}

#[derive(Clone, Debug, Default)]
struct Source {
    /// Counted from 1.
    number: u32,
    any_name: Vec<u32>,
}

impl Index {
    pub(crate) fn new(fields: &mut Fields) -> Result<Self, String> {
        Ok(Self {
            name: Some(fields.add(NAME)?),
            source: Some(fields.add(SOURCE)?),
            ..Self::default()
        })
    }

    pub(crate) fn add(&mut self, rule: u32, ways: &[Way]) {
        let put = |rules: &mut Vec<u32>| {
            if rules.last() != Some(&rule) {
                rules.push(rule);
            }
        };
        if !ways.iter().all(Way::is_found) {
            return put(&mut self.always);
        }
        for way in ways {
            if let (false, Some(need)) = (way.names_call(), &way.needs) {
                self.literals.add(rule, need.field, &need.literals);
            }
            let mut sources = Vec::new();
            for source in way.sources.iter().flatten() {
                let source = self.sources.entry(folded(source));
                if source.number == 0 {
                    self.last_source += 1;
                    source.number = self.last_source;
                }
                if way.names.is_none() {
                    put(&mut source.any_name);
                }
                sources.push(source.number);
            }
            for name in way.names.iter().flatten() {
                let name = self.names.entry(folded(name));
                if way.sources.is_none() {
                    put(&mut name.any_source);
                }
                for source in &sources {
                    put(name.with(*source));
                }
            }
        }
    }

    /// Ends the adding.
    pub(crate) fn build(&mut self) {
        self.always.extend(self.literals.build());
        self.always.sort_unstable();
        self.always.dedup();
    }

    /// Fills in the rules to be tried on an event, each once. `text` is scratch space.
    pub(crate) fn candidates(
        &self,
        event: &impl Event,
        fields: &Fields,
        text: &mut String,
        out: &mut Vec<u32>,
    ) {
        out.clear();
        out.extend(&self.always);
        let cell = |field: Option<FieldId>| match field {
            Some(field) => event.cell(fields.column_of(field)),
            None => Cell::Absent,
        };
        let source = match cell(self.source) {
            Cell::Text(source) => self.sources.get(source),
            _ => None,
        };
        let name = match cell(self.name) {
            Cell::Text(name) => self.names.get(name),
            _ => None,
        };
        if let Some(source) = source {
            out.extend(&source.any_name);
        }
        if let Some(name) = name {
            out.extend(&name.any_source);
            let known = source.and_then(|source| name.position(source.number).ok());
            if let Some(position) = known {
                out.extend(&name.by_source[position].1);
            }
        }
        self.literals.find(event, fields, text, out);
        if out.len() > self.always.len() {
            out.sort_unstable();
            out.dedup();
        }
    }
}

impl Name {
    /// Where a source is among those of the rules, or would be.
    fn position(&self, source: u32) -> Result<usize, usize> {
        self.by_source
            .binary_search_by_key(&source, |(number, _)| *number)
    }

    /// The rules for this name of a source.
    fn with(&mut self, source: u32) -> &mut Vec<u32> {
        let position = self.position(source).unwrap_or_else(|position| {
            self.by_source.insert(position, (source, Vec::new()));
            position
        });
        &mut self.by_source[position].1
    }
}
