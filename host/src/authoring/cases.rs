//! Cases for a plugin, in YAML: events, and what is expected of them.

use std::{collections::BTreeMap, path::Path};

use anyhow::Context as _;
use serde::Deserialize;
use serde_json::{Map, Value};
use serde_saphyr::Spanned;

use super::read;
use crate::{finding::Severity, lookup};

/// Bytes of one file of cases.
const MAX_BYTES: usize = 16 << 20;

/// A file of cases.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct File {
    /// Each is run on a plugin of its own.
    pub(crate) cases: Vec<Case>,
}

/// One configuration, some events, and what the plugin should say.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Case {
    /// A sentence that says what should be so.
    pub(crate) name: Spanned<String>,
    /// What the plugin's `configure` takes. Default: empty.
    #[serde(default)]
    pub(crate) configuration: Map<String, Value>,
    /// Tables that the plugin may look up in, as in the host's configuration; their paths are relative to
    /// this file. It may always count over windows, which begin empty.
    #[serde(default)]
    pub(crate) tables: BTreeMap<String, lookup::Settings>,
    /// Events, in the order in which `event` counts them, from 0.
    #[serde(default)]
    pub(crate) events: Vec<Map<String, Value>>,
    /// A file with more events, relative to this one.
    pub(crate) events_file: Option<String>,
    /// What the plugin should say. What is not listed here should not be said.
    #[serde(default)]
    pub(crate) expect: Expect,
    /// The most fuel that the plugin may use for each event that reaches it.
    pub(crate) max_fuel_per_event: Option<u64>,
}

/// What a plugin should say.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Expect {
    /// Findings. A key that is left out may have any value.
    pub(crate) findings: Vec<Finding>,
    /// All that is added to an event.
    pub(crate) additions: Vec<Addition>,
    /// Masks.
    pub(crate) masks: Vec<Mask>,
    /// Events that are dropped.
    pub(crate) drops: Vec<usize>,
    /// Events that the plugin fails on.
    pub(crate) failures: Vec<Failure>,
    /// Part of the text with which the plugin should be refused, or refuse its configuration.
    pub(crate) error: Option<String>,
}

/// A finding that is expected.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Finding {
    pub(crate) event: usize,
    pub(crate) rule: String,
    pub(crate) title: Option<String>,
    pub(crate) description: Option<String>,
    pub(crate) severity: Option<Severity>,
    pub(crate) entity: Option<Vec<String>>,
    pub(crate) window_s: Option<u32>,
    /// These attributes at least.
    #[serde(default)]
    pub(crate) attributes: std::collections::BTreeMap<String, String>,
}

/// What should stand under `/sluicegate/<plugin>` of an event, and nothing besides.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Addition {
    pub(crate) event: usize,
    pub(crate) set: Map<String, Value>,
}

/// A mask that is expected.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Mask {
    pub(crate) event: usize,
    pub(crate) path: String,
    pub(crate) detector: Option<String>,
}

/// An event that the plugin should fail on.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Failure {
    pub(crate) event: usize,
    /// Part of the reason.
    pub(crate) error: String,
}

/// Reads a file of cases.
///
/// # Errors
/// Which file, which line, and what is wrong there.
pub(crate) fn load(path: &Path) -> anyhow::Result<Vec<Case>> {
    let context = || format!("failed to read cases from {}", path.display());
    let bytes = read(path, MAX_BYTES)?;
    let text = std::str::from_utf8(&bytes).with_context(context)?;
    let mut cases = parse(text).with_context(context)?.cases;
    let folder = path.parent().unwrap_or(Path::new(""));
    for table in cases.iter_mut().flat_map(|case| case.tables.values_mut()) {
        table.path = folder.join(&table.path);
    }
    Ok(cases)
}

fn parse(text: &str) -> anyhow::Result<File> {
    // Without the piece of the file that the library would show: it may hold an event.
    let options = serde_saphyr::options! { with_snippet: false };
    serde_saphyr::from_str_with_options(text, options)
        .map_err(|error| anyhow::anyhow!("{}", crate::text::shown(&error.to_string())))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    fn refused(text: &str) -> String {
        format!("{:#}", parse(text).unwrap_err())
    }

    #[test]
    fn a_case_says_what_is_expected_and_where_it_stands() {
        let file = parse(
            "cases:\n- name: one\n  events: [{a: 1, eventTime: 2026-03-01T00:00:00Z}]\n  expect:\n    drops: [0]\n",
        )
        .unwrap();
        let case = &file.cases[0];
        assert_eq!(
            (case.name.value.as_str(), case.name.referenced.line()),
            ("one", 2)
        );
        assert_eq!(case.events[0]["eventTime"], "2026-03-01T00:00:00Z");
        assert_eq!(case.events[0]["a"], 1);
        assert_eq!(case.expect.drops, [0]);
    }

    #[test]
    fn what_is_wrong_is_named_with_its_line() {
        let key = refused("cases:\n- name: one\n  evnts: []\n");
        assert!(key.contains("evnts") && key.contains("line 3"), "{key}");
        let severity = refused(
            "cases:\n- name: one\n  expect:\n    findings:\n    - {event: 0, rule: a, severity: huge}\n",
        );
        assert!(
            severity.contains("huge") && severity.contains("line 5"),
            "{severity}"
        );
        let yaml = refused("cases: [\n");
        assert!(yaml.contains("line"), "{yaml}");
    }

    #[test]
    fn names_that_multiply_are_refused() {
        let grown = |levels: usize| {
            let level = |level: usize| {
                let inner = match level {
                    0 => "a, a".to_owned(),
                    _ => format!("*x{}, ", level - 1).repeat(10),
                };
                format!("    x{level}: &x{level} [{inner}]\n")
            };
            let levels: String = (0..levels).map(level).collect();
            parse(&format!("cases:\n- name: one\n  configuration:\n{levels}"))
        };
        grown(3).unwrap();
        let error = format!("{:#}", grown(12).unwrap_err());
        assert!(
            error.contains("budget") || error.contains("limit"),
            "{error}"
        );
    }
}
