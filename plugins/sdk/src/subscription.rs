//! What a plugin wants to see: fields, and which events.

use crate::{
    Field,
    batch::NO_COLUMN,
    bindings::{
        Subscription as Raw,
        sluicegate::plugin::manifest::{Condition, Test},
    },
};

/// The fields a plugin reads and the events it wants. Without a clause it gets every event.
#[derive(Debug, Default)]
pub struct Subscription {
    fields: Vec<String>,
    clauses: Vec<Clause>,
}

/// Where a name may lie in an event: JSON Pointers.
pub(crate) struct Places {
    /// The member that has the whole dotted name, of which real events have some
    /// (`resource.resourceType`); nothing where the name can mean one place only.
    pub(crate) literal: Option<String>,
    /// The member that the path leads to.
    pub(crate) path: String,
}

impl Places {
    pub(crate) fn of(name: &str) -> Self {
        let dotted = !name.starts_with('/') && name.contains('.');
        let star = name.split('.').any(|part| part == "*");
        Self {
            literal: (dotted && !star).then(|| escaped(name)),
            path: pointer(name),
        }
    }
}

impl Subscription {
    /// Nothing wanted yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Asks for a field, by JSON Pointer or dotted path (see [`pointer`]). The same field asked for
    /// twice is one column.
    ///
    /// A pointer names one place and costs one column. A dotted path means the member with that very
    /// name, dots and all, where the event has it, and else the nested one; that costs two columns.
    pub fn field(&mut self, path: &str) -> Field {
        let places = Places::of(path);
        let literal = places.literal.map(|literal| self.column(literal));
        Field {
            column: self.column(places.path),
            literal: literal.unwrap_or(NO_COLUMN),
        }
    }

    fn column(&mut self, path: String) -> usize {
        self.fields
            .iter()
            .position(|field| *field == path)
            .unwrap_or_else(|| {
                self.fields.push(path);
                self.fields.len() - 1
            })
    }

    /// Starts another clause. An event is wanted when all conditions of any one clause hold.
    pub fn clause(&mut self) -> &mut Clause {
        let last = self.clauses.len();
        self.clauses.push(Clause::default());
        &mut self.clauses[last]
    }

    pub(crate) fn into_raw(self) -> Raw {
        Raw {
            fields: self.fields,
            matches: self
                .clauses
                .into_iter()
                .flat_map(Clause::into_raw)
                .collect(),
        }
    }
}

/// Conditions that must hold together. A null counts as absent, and values are compared as text.
///
/// A condition on a dotted path holds where [`Subscription::field`] would find such a value. For the
/// host it is two clauses, so clauses of many conditions are better written with pointers.
#[derive(Debug, Default)]
pub struct Clause(Vec<(String, Test)>);

impl Clause {
    /// The field is one of these.
    pub fn one_of(&mut self, path: &str, values: &[&str]) -> &mut Self {
        self.push(
            path,
            Test::OneOf(values.iter().map(|&value| value.to_owned()).collect()),
        )
    }

    /// The field starts with one of these.
    pub fn starts_with(&mut self, path: &str, values: &[&str]) -> &mut Self {
        self.push(
            path,
            Test::StartsWith(values.iter().map(|&value| value.to_owned()).collect()),
        )
    }

    /// The event has the field.
    pub fn present(&mut self, path: &str) -> &mut Self {
        self.push(path, Test::Present)
    }

    /// The event does not have the field.
    pub fn absent(&mut self, path: &str) -> &mut Self {
        self.push(path, Test::Absent)
    }

    fn push(&mut self, path: &str, test: Test) -> &mut Self {
        self.0.push((path.to_owned(), test));
        self
    }

    /// The clauses that together mean this one: a dotted path may lie at either of two places.
    fn into_raw(self) -> Vec<Vec<Condition>> {
        let mut clauses = vec![Vec::new()];
        for (name, test) in self.0 {
            let Places { literal, path } = Places::of(&name);
            let at_path = Condition { path, test };
            let Some(literal) = literal else {
                for clause in &mut clauses {
                    clause.push(at_path.clone());
                }
                continue;
            };
            let no_literal = Condition {
                path: literal.clone(),
                test: Test::Absent,
            };
            let at_literal = Condition {
                path: literal,
                test: at_path.test.clone(),
            };
            let either = match at_path.test {
                Test::Absent => vec![vec![at_literal, at_path]],
                _ => vec![vec![at_literal], vec![no_literal, at_path]],
            };
            clauses = clauses
                .iter()
                .flat_map(|clause| either.iter().map(|more| [&clause[..], more].concat()))
                .collect();
        }
        clauses
    }
}

/// The JSON Pointer of a path: one that starts with `/`, and the empty one, are pointers already; any
/// other is split at its dots.
#[must_use]
pub fn pointer(path: &str) -> String {
    if path.is_empty() || path.starts_with('/') {
        return path.to_owned();
    }
    path.split('.').map(escaped).collect()
}

/// One segment of a pointer.
fn escaped(name: &str) -> String {
    format!("/{}", name.replace('~', "~0").replace('/', "~1"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dotted_paths_and_pointers_name_the_same_field() {
        let mut wanted = Subscription::new();
        let dotted = wanted.field("userIdentity.arn");
        let pointed = wanted.field("/userIdentity/arn");
        assert_eq!(dotted.column, pointed.column);
        assert_eq!((dotted.literal, pointed.literal), (0, NO_COLUMN));
        assert_eq!(dotted, wanted.field("userIdentity.arn"));
        wanted.field("");
        wanted.field("resources.*.ARN");
        assert_eq!(
            wanted.into_raw().fields,
            [
                "/userIdentity.arn",
                "/userIdentity/arn",
                "",
                "/resources/*/ARN"
            ]
        );
    }

    #[test]
    fn names_in_dotted_paths_are_escaped() {
        assert_eq!(pointer("a/b.c~d"), "/a~1b/c~0d");
        assert_eq!(pointer("/a.b"), "/a.b");
        assert_eq!(pointer("resources.*.ARN"), "/resources/*/ARN");
    }

    #[test]
    fn clauses_keep_their_conditions_apart() {
        let mut wanted = Subscription::new();
        wanted
            .clause()
            .one_of("eventSource", &["a"])
            .absent("errorCode");
        wanted.clause().present("errorCode");
        let lengths: Vec<_> = wanted.into_raw().matches.iter().map(Vec::len).collect();
        assert_eq!(lengths, [2, 1]);
    }

    #[test]
    fn a_condition_on_a_dotted_path_holds_at_either_place() {
        let mut wanted = Subscription::new();
        wanted.clause().present("x").present("a.b");
        wanted.clause().absent("a.b");
        let shown: Vec<String> = wanted
            .into_raw()
            .matches
            .iter()
            .map(|clause| {
                let one = |condition: &Condition| match condition.test {
                    Test::Absent => format!("!{}", condition.path),
                    _ => condition.path.clone(),
                };
                clause.iter().map(one).collect::<Vec<_>>().join(" ")
            })
            .collect();
        assert_eq!(shown, ["/x /a.b", "/x !/a.b /a/b", "!/a.b !/a/b"]);
    }
}
