//! Which events a rule can match at all, as far as that can be read off its condition: the calls that it
//! names, or a member that must be there.

use std::{
    collections::{BTreeSet, HashMap},
    hash::{BuildHasherDefault, Hasher},
};

use crate::{
    condition::Expr,
    field::{Cell, Event, FieldId, Fields},
    item::{NAME, SOURCE},
    pattern::fold_into,
};

/// Ways to match that a rule is followed into; one with more is tried on every event.
const MAX_WAYS: usize = 64;

/// One way to match: what then holds of the event.
#[derive(Clone, Debug, Default)]
pub(crate) struct Way {
    names: Option<Vec<String>>,
    sources: Option<Vec<String>>,
    needs: Option<FieldId>,
}

impl Way {
    fn and(&self, other: &Self) -> Self {
        Self {
            names: self.names.clone().or_else(|| other.names.clone()),
            sources: self.sources.clone().or_else(|| other.sources.clone()),
            needs: self.needs.or(other.needs),
        }
    }
}

/// All ways in which an expression can hold.
pub(crate) fn ways(expr: &Expr, fields: &Fields) -> Vec<Way> {
    match expr {
        Expr::Item(item) => {
            let name = fields.name(item.field);
            let written = |field: &str| item.written.clone().filter(|_| name == field);
            vec![Way {
                names: written(NAME),
                sources: written(SOURCE),
                needs: (!name.is_empty() && item.needs_value()).then_some(item.field),
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
        Expr::All(all) => all.iter().fold(vec![Way::default()], |before, one| {
            let more = ways(one, fields);
            if before.len() * more.len() > MAX_WAYS {
                return before;
            }
            let both = |way: &Way| more.iter().map(|other| way.and(other)).collect::<Vec<_>>();
            before.iter().flat_map(both).collect()
        }),
    }
}

/// A condition of the subscription, on a JSON Pointer.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Wanted {
    /// The text is one of these.
    OneOf(&'static str, Vec<String>),
    /// There is something, and it is not null.
    Present(String),
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
        match (clause.is_empty(), way.needs) {
            (false, _) => {
                clauses.insert(clause);
            }
            (true, Some(field)) => {
                let present = |pointer: &str| vec![Wanted::Present(pointer.to_owned())];
                clauses.extend(fields.needs(field).into_iter().map(present));
            }
            (true, None) => return Vec::new(),
        }
    }
    clauses.into_iter().collect()
}

/// A table by names of calls or services.
type Calls<T> = HashMap<String, T, BuildHasherDefault<Fnv>>;

/// FNV-1a: every event is looked up, and what is in the tables comes from rules alone, so nobody who makes
/// events can fill one with names that collide.
#[derive(Clone)]
struct Fnv(u64);

impl Default for Fnv {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl Hasher for Fnv {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

/// Finds the rules that an event could match by the call it is about.
#[derive(Clone, Debug, Default)]
pub(crate) struct Index {
    name: Option<FieldId>,
    source: Option<FieldId>,
    by_name: Calls<Named>,
    by_source: Calls<Vec<u32>>,
    /// Those that are tried on every event.
    always: Vec<u32>,
}

#[derive(Clone, Debug, Default)]
struct Named {
    any_source: Vec<u32>,
    by_source: Calls<Vec<u32>>,
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
        if ways
            .iter()
            .any(|way| way.names.is_none() && way.sources.is_none())
        {
            return put(&mut self.always);
        }
        for way in ways {
            let sources = || {
                way.sources
                    .iter()
                    .flatten()
                    .map(|source| source.to_lowercase())
            };
            let Some(names) = &way.names else {
                for source in sources() {
                    put(self.by_source.entry(source).or_default());
                }
                continue;
            };
            for name in names {
                let entry = self.by_name.entry(name.to_lowercase()).or_default();
                if way.sources.is_none() {
                    put(&mut entry.any_source);
                }
                for source in sources() {
                    put(entry.by_source.entry(source).or_default());
                }
            }
        }
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
        let folded = |field: Option<FieldId>, text: &mut String| match field
            .map(|field| event.cell(fields.column_of(field)))
        {
            Some(Cell::Text(value)) => fold_into(value, text),
            _ => text.clear(),
        };
        folded(self.name, text);
        let named = self.by_name.get(text.as_str());
        folded(self.source, text);
        out.extend(self.by_source.get(text.as_str()).into_iter().flatten());
        if let Some(named) = named {
            out.extend(&named.any_source);
            out.extend(named.by_source.get(text.as_str()).into_iter().flatten());
        }
        if out.len() > self.always.len() {
            out.sort_unstable();
            out.dedup();
        }
    }
}
