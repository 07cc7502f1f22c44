//! From a file and the environment to sections that can be read.

use std::{collections::BTreeMap, path::Path};

use config::{Environment, File, FileFormat, Value, ValueKind};
use serde::de::DeserializeOwned;

use super::{
    Problems,
    nearest::nearest,
    strict::{self, Node},
};
use crate::text::shown;

/// Where the environment's variables begin, and what stands between the keys.
const PREFIX: &str = "SLUICEGATE";
const SEPARATOR: &str = "__";

/// A configuration that is being read: its sections are taken one by one, and what is wrong is collected.
#[derive(Debug)]
pub(super) struct Sections {
    rest: BTreeMap<String, Node>,
    known: Vec<&'static str>,
    pub(super) problems: Problems,
}

impl Sections {
    /// Reads TOML, then lays the variables `SLUICEGATE__SECTION__KEY` over it.
    pub(super) fn new(toml: &str, variables: BTreeMap<String, String>) -> Self {
        let environment = Environment::with_prefix(PREFIX)
            .prefix_separator(SEPARATOR)
            .separator(SEPARATOR)
            .source(Some(variables.into_iter().collect()));
        let built = config::Config::builder()
            .add_source(File::from_str(toml, FileFormat::Toml))
            .add_source(environment)
            .build();
        let mut problems = Problems::default();
        let rest = match built.map(|built| node(built.cache)) {
            Ok(Node::Table(table)) => table,
            Ok(_) => BTreeMap::new(),
            Err(error) => {
                problems.push(format!(
                    "the configuration is not valid TOML: {}",
                    one_line(&error.to_string())
                ));
                BTreeMap::new()
            }
        };
        Self {
            rest,
            known: Vec::new(),
            problems,
        }
    }

    /// Takes one section. An absent one is read as an empty one.
    pub(super) fn take<T: DeserializeOwned>(
        &mut self,
        name: &'static str,
        validate: impl Fn(&T, &str, &mut Problems),
    ) -> Option<T> {
        let node = self.node(name);
        self.read(name, node, validate)
    }

    /// Takes the sections `[name.<key>]`, each as what `read` makes of it.
    pub(super) fn take_each<T>(
        &mut self,
        name: &'static str,
        read: impl Fn(&mut Self, &str, Node) -> Option<T>,
    ) -> BTreeMap<String, T> {
        let Node::Table(table) = self.node(name) else {
            self.problems
                .push(format!("{name} must hold tables, one a name"));
            return BTreeMap::new();
        };
        let mut sections = BTreeMap::new();
        for (key, node) in table {
            let at = format!("{name}.{}", shown(&key));
            if !is_name(&key) {
                self.problems.push(format!(
                    "{at} must be named with 1 to 64 of a-z, 0-9, - and _"
                ));
            }
            if let Some(section) = read(self, &at, node) {
                sections.insert(key, section);
            }
        }
        sections
    }

    /// Whether there is any section `[name.<key>]`, sound or not.
    pub(super) fn names_any(&self, name: &str) -> bool {
        match self.rest.get(name) {
            Some(Node::Table(table)) => !table.is_empty(),
            Some(_) => true,
            None => false,
        }
    }

    /// Takes a section that is to be read later.
    pub(super) fn node(&mut self, name: &'static str) -> Node {
        self.known.push(name);
        self.rest
            .remove(name)
            .unwrap_or_else(|| Node::Table(BTreeMap::new()))
    }

    /// Takes the key `type` out of a section; `None` where it is missing or not one of `kinds`.
    pub(super) fn kind(
        &mut self,
        at: &str,
        node: &mut Node,
        kinds: &[&'static str],
    ) -> Option<&'static str> {
        let Some(Node::Text(value) | Node::Outside(value)) = node.remove("type") else {
            self.problems.push(format!(
                "{at}.type is required: one of {}",
                kinds.join(", ")
            ));
            return None;
        };
        let found = kinds.iter().find(|kind| **kind == value);
        if found.is_none() {
            let kinds = kinds.join(", ");
            self.problems.push(format!(
                "{at}.type must be one of {kinds}, got `{}`",
                shown(&value)
            ));
        }
        found.copied()
    }

    /// Reads a section as `T` and checks it.
    pub(super) fn read<T: DeserializeOwned>(
        &mut self,
        at: &str,
        node: Node,
        validate: impl Fn(&T, &str, &mut Problems),
    ) -> Option<T> {
        let reading = strict::read::<T>(node, at);
        let faultless = reading.faults.is_empty();
        reading
            .faults
            .into_iter()
            .for_each(|fault| self.problems.push(fault));
        let value = reading.value?;
        let mut found = Problems::default();
        validate(&value, at, &mut found);
        let about_a_blank = |line: &str| {
            reading
                .blank
                .iter()
                .any(|key| line.starts_with(key.as_str()))
        };
        for line in found.lines().iter().filter(|line| !about_a_blank(line)) {
            self.problems.push(line.clone());
        }
        faultless.then_some(value)
    }

    /// Reports the sections that nobody took.
    pub(super) fn finish(mut self) -> Problems {
        for name in self.rest.keys() {
            let hint = match nearest(name, &self.known) {
                Some(known) => format!("; did you mean {known}?"),
                None => format!("; known sections: {}", self.known.join(", ")),
            };
            self.problems
                .push(format!("{} is not known{hint}", shown(name)));
        }
        self.problems
    }
}

/// The text of a configuration file.
pub(super) fn text(path: &Path) -> Result<String, Problems> {
    std::fs::read_to_string(path).map_err(|error| {
        let mut problems = Problems::default();
        problems.push(format!("failed to read {}: {error}", path.display()));
        problems
    })
}

fn is_name(key: &str) -> bool {
    (1..=64).contains(&key.len())
        && key
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_".contains(&byte))
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn node(value: Value) -> Node {
    let outside = value.origin() == Some("the environment");
    match value.kind {
        ValueKind::Nil => Node::default(),
        ValueKind::Boolean(value) => Node::Boolean(value),
        ValueKind::I64(value) => Node::Integer(value),
        ValueKind::I128(value) => {
            i64::try_from(value).map_or_else(|_| Node::Text(value.to_string()), Node::Integer)
        }
        ValueKind::U64(value) => {
            i64::try_from(value).map_or_else(|_| Node::Text(value.to_string()), Node::Integer)
        }
        ValueKind::U128(value) => {
            i64::try_from(value).map_or_else(|_| Node::Text(value.to_string()), Node::Integer)
        }
        ValueKind::Float(value) => Node::Float(value),
        ValueKind::String(value) if outside => Node::Outside(value),
        ValueKind::String(value) => Node::Text(value),
        ValueKind::Array(list) => Node::List(list.into_iter().map(node).collect()),
        ValueKind::Table(table) => Node::Table(
            table
                .into_iter()
                .map(|(key, value)| (key, node(value)))
                .collect(),
        ),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Sink {
        endpoint: String,
        token_file: std::path::PathBuf,
        #[serde(default)]
        accept: Vec<Accept>,
        #[serde(default)]
        batch: Batch,
    }

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(rename_all = "snake_case")]
    enum Accept {
        Events,
        Findings,
    }

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(default, deny_unknown_fields)]
    struct Batch {
        max_events: u32,
        gzip: bool,
    }

    impl Default for Batch {
        fn default() -> Self {
            Self {
                max_events: 100,
                gzip: true,
            }
        }
    }

    fn check(sink: &Sink, at: &str, problems: &mut Problems) {
        problems.range(
            &format!("{at}.batch.max_events"),
            sink.batch.max_events,
            1..=1000,
        );
        if sink.endpoint.is_empty() {
            problems.push(format!("{at}.endpoint must not be empty"));
        }
    }

    fn sink(toml: &str, variables: &[(&str, &str)]) -> (Option<Sink>, Vec<String>) {
        let variables = variables
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect();
        let mut sections = Sections::new(toml, variables);
        let sink = sections.take("sink", check);
        (sink, sections.finish().lines().to_vec())
    }

    #[test]
    fn what_is_right_is_read() {
        let (sink, problems) = sink(
            "[sink]\nendpoint = 'https://x'\ntoken_file = '/t'\naccept = ['findings']\nbatch.max_events = 7\n",
            &[],
        );
        assert_eq!(problems, [""; 0]);
        let sink = sink.unwrap();
        assert_eq!(
            (sink.batch.max_events, sink.accept),
            (7, vec![Accept::Findings])
        );
    }

    #[test]
    fn every_problem_is_reported_at_once() {
        let (sink, mut problems) = sink(
            "[sink]\nendpont = 'https://x'\naccept = ['findings', 'evnts']\nbatch = { max_events = 'many', gzip = 3, other = 1 }\n[snk]\n",
            &[],
        );
        assert!(sink.is_none());
        problems.sort();
        assert_eq!(
            problems,
            [
                "sink.accept.1 must be one of events, findings, got `evnts`",
                "sink.batch.gzip must be true or false, got integer `3`",
                "sink.batch.max_events must be a whole number, 0 or more, got string \"many\"",
                "sink.batch.other is not known; known here: max_events, gzip",
                "sink.endpoint is required",
                "sink.endpont is not known; did you mean endpoint?",
                "sink.token_file is required",
                "snk is not known; did you mean sink?",
            ]
        );
    }

    #[test]
    fn a_value_out_of_range_is_reported_beside_a_wrong_type() {
        let (_, problems) = sink(
            "[sink]\nendpoint = 1\ntoken_file = '/t'\nbatch.max_events = 0\n",
            &[],
        );
        assert_eq!(
            problems,
            [
                "sink.endpoint must be a string, got integer `1`",
                "sink.batch.max_events must be between 1 and 1000, got 0"
            ]
        );
    }

    #[test]
    fn the_environment_wins_and_has_no_types() {
        let (sink, problems) = sink(
            "[sink]\nendpoint = 'https://x'\ntoken_file = '/t'\n",
            &[
                ("SLUICEGATE__SINK__BATCH__MAX_EVENTS", "9"),
                ("SLUICEGATE__SINK__BATCH__GZIP", "false"),
                ("SLUICEGATE__SINK__ENDPOINT", "12"),
                ("SLUICEGATE__SINK__ACCEPT", "events, findings"),
                ("SLUICEGATE_OTHER", "not ours"),
            ],
        );
        assert_eq!(problems, [""; 0]);
        let sink = sink.unwrap();
        assert_eq!(
            (
                sink.endpoint.as_str(),
                sink.batch.max_events,
                sink.batch.gzip
            ),
            ("12", 9, false)
        );
        assert_eq!(sink.accept, [Accept::Events, Accept::Findings]);
    }

    #[test]
    fn text_that_is_not_toml_is_one_problem() {
        let mut sections = Sections::new("[sink\n", BTreeMap::new());
        assert!(sections.take("sink", check).is_none());
        let problems = sections.finish();
        assert!(
            problems.lines()[0].starts_with("the configuration is not valid TOML: "),
            "{problems:?}"
        );
    }
}
