//! Which events each plugin wants to see: the clauses of all plugins, joined into one index.
//!
//! A clause that names its calls (`one-of` on /eventName, and maybe on /eventSource) is found by one
//! look-up of the event's name, however many clauses there are. The others are tried on every event.

use std::{borrow::Cow, collections::HashMap};

use super::abi::{Condition, Test};

/// What a condition looks at: the column text of a path in one event, `None` where it is absent or null.
pub(crate) trait Row {
    /// The text in this column.
    fn text(&self, column: usize) -> Option<Cow<'_, [u8]>>;
}

/// One test on one column.
#[derive(Debug)]
struct Check {
    column: usize,
    test: Test,
}

impl Check {
    fn holds(&self, row: &impl Row) -> bool {
        let text = row.text(self.column);
        match (&self.test, text) {
            (Test::Present, text) => text.is_some(),
            (Test::Absent, text) => text.is_none(),
            (Test::OneOf(values), Some(text)) => {
                values.iter().any(|value| value.as_bytes() == text.as_ref())
            }
            (Test::StartsWith(starts), Some(text)) => starts
                .iter()
                .any(|start| text.starts_with(start.as_bytes())),
            (Test::OneOf(_) | Test::StartsWith(_), None) => false,
        }
    }
}

/// All conditions of a clause that the index did not decide, and whose it is.
#[derive(Debug)]
struct Clause {
    plugin: usize,
    checks: Vec<Check>,
}

/// The clauses of some plugins. Plugins are told by their position.
#[derive(Debug, Default)]
pub(crate) struct Matcher {
    /// Column of /eventName, once a clause is indexed by it.
    name: Option<usize>,
    by_name: HashMap<Vec<u8>, Vec<usize>>,
    /// Clauses that are tried on every event.
    general: Vec<usize>,
    clauses: Vec<Clause>,
    /// Plugins that want every event.
    all: Vec<usize>,
}

const NAME: &str = "/eventName";

impl Matcher {
    /// Adds what one plugin wants; `column` gives the column of a path.
    pub(crate) fn add(
        &mut self,
        plugin: usize,
        matches: &[Vec<Condition>],
        mut column: impl FnMut(&str) -> usize,
    ) {
        if matches.is_empty() {
            self.all.push(plugin);
        }
        for conditions in matches {
            let number = self.clauses.len();
            // Only the first such condition goes into the index; any other is checked like the rest.
            let indexed = conditions.iter().position(|condition| {
                condition.path == NAME && matches!(condition.test, Test::OneOf(_))
            });
            match indexed.map(|position| &conditions[position].test) {
                Some(Test::OneOf(names)) => {
                    self.name = Some(column(NAME));
                    for name in names {
                        let clauses = self.by_name.entry(name.as_bytes().to_vec()).or_default();
                        if clauses.last() != Some(&number) {
                            clauses.push(number);
                        }
                    }
                }
                _ => self.general.push(number),
            }
            let checks = conditions
                .iter()
                .enumerate()
                .filter(|(position, _)| Some(*position) != indexed)
                .map(|(_, condition)| Check {
                    column: column(&condition.path),
                    test: condition.test.clone(),
                })
                .collect();
            self.clauses.push(Clause { plugin, checks });
        }
    }

    /// Calls `matched` once with each plugin that wants this event. `seen` is scratch space.
    pub(crate) fn matches(
        &self,
        row: &impl Row,
        seen: &mut Vec<usize>,
        mut matched: impl FnMut(usize),
    ) {
        self.all.iter().for_each(|plugin| matched(*plugin));
        seen.clear();
        let named = self
            .name
            .and_then(|column| row.text(column))
            .and_then(|name| self.by_name.get(name.as_ref()))
            .map_or(&[][..], Vec::as_slice);
        for number in named.iter().chain(&self.general) {
            let clause = &self.clauses[*number];
            if !seen.contains(&clause.plugin) && clause.checks.iter().all(|check| check.holds(row))
            {
                seen.push(clause.plugin);
                matched(clause.plugin);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Texts(Vec<Option<&'static str>>);

    impl Row for Texts {
        fn text(&self, column: usize) -> Option<Cow<'_, [u8]>> {
            self.0[column].map(|text| Cow::Borrowed(text.as_bytes()))
        }
    }

    const PATHS: [&str; 3] = ["/eventName", "/eventSource", "/errorCode"];

    fn condition(path: &str, test: Test) -> Condition {
        Condition {
            path: path.into(),
            test,
        }
    }

    fn one_of(path: &str, values: &[&str]) -> Condition {
        condition(
            path,
            Test::OneOf(values.iter().map(ToString::to_string).collect()),
        )
    }

    /// Which of these plugins want an event with this name, source and error code.
    fn wanted(plugins: &[&[Vec<Condition>]], event: [Option<&'static str>; 3]) -> Vec<usize> {
        let mut matcher = Matcher::default();
        for (number, plugin) in plugins.iter().enumerate() {
            matcher.add(number, plugin, |path| {
                PATHS
                    .iter()
                    .position(|known| *known == path)
                    .expect("a known path")
            });
        }
        let mut got = Vec::new();
        matcher.matches(&Texts(event.to_vec()), &mut Vec::new(), |plugin| {
            got.push(plugin);
        });
        got.sort_unstable();
        got
    }

    #[test]
    fn no_clause_wants_every_event() {
        assert_eq!(wanted(&[&[]], [None; 3]), [0]);
    }

    #[test]
    fn an_indexed_clause_checks_its_other_conditions_too() {
        let plugin = [vec![
            one_of(NAME, &["A", "B"]),
            one_of("/eventSource", &["s3"]),
        ]];
        let plugins: [&[Vec<Condition>]; 1] = [&plugin];
        assert_eq!(wanted(&plugins, [Some("B"), Some("s3"), None]), [0]);
        assert!(wanted(&plugins, [Some("B"), Some("iam"), None]).is_empty());
        assert!(wanted(&plugins, [Some("C"), Some("s3"), None]).is_empty());
        assert!(wanted(&plugins, [None, Some("s3"), None]).is_empty());
    }

    #[test]
    fn a_plugin_is_told_once_however_many_clauses_match() {
        let plugin = [
            vec![one_of(NAME, &["A", "A"])],
            vec![condition("/errorCode", Test::Present)],
            vec![condition(
                "/errorCode",
                Test::StartsWith(vec!["Acc".into()]),
            )],
        ];
        let other = [vec![condition("/errorCode", Test::Absent)]];
        let plugins: [&[Vec<Condition>]; 2] = [&plugin, &other];
        assert_eq!(
            wanted(&plugins, [Some("A"), None, Some("AccessDenied")]),
            [0]
        );
        assert_eq!(wanted(&plugins, [Some("A"), None, None]), [0, 1]);
        assert_eq!(wanted(&plugins, [Some("Z"), None, Some("X")]), [0]);
    }

    #[test]
    fn two_conditions_on_the_name_must_both_hold() {
        let plugin = [vec![one_of(NAME, &["A", "B"]), one_of(NAME, &["B", "C"])]];
        let plugins: [&[Vec<Condition>]; 1] = [&plugin];
        assert_eq!(wanted(&plugins, [Some("B"), None, None]), [0]);
        assert!(wanted(&plugins, [Some("A"), None, None]).is_empty());
    }
}
