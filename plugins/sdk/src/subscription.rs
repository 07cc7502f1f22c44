//! What a plugin wants to see: fields, and which events.

use crate::{
    Field,
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

impl Subscription {
    /// Nothing wanted yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Asks for a field, by JSON Pointer or dotted path (see [`pointer`]). The same field asked for
    /// twice is one column.
    pub fn field(&mut self, path: &str) -> Field {
        let path = pointer(path);
        let position = self
            .fields
            .iter()
            .position(|field| *field == path)
            .unwrap_or_else(|| {
                self.fields.push(path);
                self.fields.len() - 1
            });
        Field(position)
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
            matches: self.clauses.into_iter().map(|clause| clause.0).collect(),
        }
    }
}

/// Conditions that must hold together. A null counts as absent, and values are compared as text.
#[derive(Debug, Default)]
pub struct Clause(Vec<Condition>);

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
        self.0.push(Condition {
            path: pointer(path),
            test,
        });
        self
    }
}

/// The JSON Pointer of a path: one that starts with `/`, and the empty one, are pointers already; any
/// other is split at its dots. A name that itself has a dot in it needs the pointer.
#[must_use]
pub fn pointer(path: &str) -> String {
    if path.is_empty() || path.starts_with('/') {
        return path.to_owned();
    }
    path.split('.')
        .flat_map(|name| ["/".to_owned(), name.replace('~', "~0").replace('/', "~1")])
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dotted_paths_and_pointers_name_the_same_field() {
        let mut wanted = Subscription::new();
        let dotted = wanted.field("userIdentity.arn");
        assert_eq!(dotted, wanted.field("/userIdentity/arn"));
        assert_ne!(dotted, wanted.field(""));
        assert_eq!(wanted.into_raw().fields, ["/userIdentity/arn", ""]);
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
}
