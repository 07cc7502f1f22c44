//! A stand-in for the host in unit tests: picks the events a plugin subscribed to, extracts its
//! fields, runs it, and shows what it said.
//!
//! ```
//! # use sluicegate_plugin::{Batch, Output, Process, plugin, testing::Kit};
//! # #[plugin(filter)]
//! # struct Everything;
//! # impl Process for Everything {
//! #     fn process(&self, batch: &Batch<'_>, out: &mut Output) -> Result<(), String> {
//! #         batch.rows().for_each(|row| out.drop(row));
//! #         Ok(())
//! #     }
//! # }
//! # fn main() {
//! let seen = Kit::<Everything>::new("{}").run(&[r#"{"eventName":"DeleteTrail"}"#]);
//! assert!(seen.dropped(0));
//! # }
//! ```

pub(crate) mod world;

use std::{cell::RefCell, collections::BTreeMap};

use serde_json::value::RawValue;

use crate::{
    Plugin,
    bindings::{
        Batch, Outcome, Subscription,
        sluicegate::plugin::{
            log::Level,
            manifest::{Condition, Test},
            types::{Column, Finding},
        },
    },
    guest::Configured,
};
use world::World;

/// The clock of every batch of the kit: 2024-01-01T00:00:00Z in milliseconds.
pub const NOW_MS: u64 = 1_704_067_200_000;

thread_local! {
    static LINES: RefCell<Vec<(Level, String)>> = const { RefCell::new(Vec::new()) };
}

pub(crate) fn keep_line(level: Level, message: &str) {
    LINES.with(|lines| lines.borrow_mut().push((level, message.to_owned())));
}

/// What plugins on this thread logged since the last call.
#[must_use]
pub fn logged() -> Vec<String> {
    LINES.with(|lines| lines.take().into_iter().map(|(_, line)| line).collect())
}

/// A configured plugin and its subscription.
#[derive(Debug)]
pub struct Kit<P> {
    configured: Configured<P>,
    subscription: Subscription,
    world: RefCell<World>,
}

impl<P: Plugin> Kit<P> {
    /// Configures the plugin.
    ///
    /// # Panics
    /// When it refuses the configuration.
    #[must_use]
    pub fn new(configuration: &str) -> Self {
        Self::try_new(configuration).expect("a configuration that the plugin takes")
    }

    /// Configures the plugin.
    ///
    /// # Errors
    /// What the plugin says is wrong.
    pub fn try_new(configuration: &str) -> Result<Self, String> {
        let (configured, subscription) = Configured::new(configuration)?;
        Ok(Self {
            configured,
            subscription,
            world: RefCell::default(),
        })
    }

    /// Gives the plugin a table: rows of key, field and text, found by exactly their key.
    #[must_use]
    pub fn with_table(self, name: &str, rows: &[(&str, &str, &str)]) -> Self {
        self.world.borrow_mut().add_table(name, rows);
        self
    }

    /// Makes windows and tables unavailable, or available again with all that was counted.
    pub fn set_unavailable(&self, unavailable: bool) {
        self.world.borrow_mut().unavailable = unavailable;
    }

    /// Runs events, each the text of one JSON object, as one batch.
    ///
    /// # Panics
    /// When an event is not JSON or the plugin fails.
    #[must_use]
    pub fn run(&self, events: &[&str]) -> Seen {
        self.try_run(events)
            .expect("a batch that the plugin can judge")
    }

    /// Runs events as one batch.
    ///
    /// # Errors
    /// What the plugin says went wrong.
    ///
    /// # Panics
    /// When an event is not JSON.
    pub fn try_run(&self, events: &[&str]) -> Result<Seen, String> {
        let batch = self.batch(events);
        let marks = batch.1.iter().map(|&event| world::mark(events[event]));
        let outcome = World::around(&self.world, marks.collect(), || {
            self.configured.process(&batch.0)
        })?;
        Ok(Seen {
            outcome,
            events: batch.1,
        })
    }

    /// The batch that the plugin is handed, and of each row the position of its event.
    ///
    /// # Panics
    /// When an event is not JSON.
    #[must_use]
    pub fn batch(&self, events: &[&str]) -> (Batch, Vec<usize>) {
        let parsed: Vec<&RawValue> = events
            .iter()
            .map(|event| serde_json::from_str(event).expect("an event that is JSON"))
            .collect();
        let rows: Vec<usize> = (0..events.len())
            .filter(|&index| wanted(parsed[index], &self.subscription.matches))
            .collect();
        let column = |path: &String| column(rows.iter().map(|&row| project(parsed[row], path)));
        let columns = self.subscription.fields.iter().map(column).collect();
        let count = u32::try_from(rows.len()).expect("a test's batch is small");
        (
            Batch {
                rows: count,
                now_ms: NOW_MS,
                columns,
            },
            rows,
        )
    }

    /// Hands the plugin a batch made earlier; for measuring.
    ///
    /// # Errors
    /// What the plugin says went wrong.
    pub fn process(&self, batch: &Batch) -> Result<Outcome, String> {
        self.configured.process(batch)
    }
}

/// What a plugin said of some events, which are named by their position among them all.
#[derive(Debug)]
pub struct Seen {
    outcome: Outcome,
    events: Vec<usize>,
}

impl Seen {
    /// Positions of the events that the plugin got.
    #[must_use]
    pub fn matched(&self) -> &[usize] {
        &self.events
    }

    /// Rules that found something in an event, in the plugin's order.
    #[must_use]
    pub fn rules(&self, event: usize) -> Vec<&str> {
        self.findings()
            .filter(|(of, _)| *of == event)
            .map(|(_, finding)| finding.rule.as_str())
            .collect()
    }

    /// What one rule found in an event.
    #[must_use]
    pub fn finding(&self, event: usize, rule: &str) -> Option<&Finding> {
        self.findings()
            .find(|(of, finding)| *of == event && finding.rule == rule)
            .map(|(_, finding)| finding)
    }

    /// All findings, each with its event.
    pub fn findings(&self) -> impl Iterator<Item = (usize, &Finding)> {
        self.outcome
            .findings
            .iter()
            .map(|finding| (self.event(finding.row), finding))
    }

    /// Masks of an event: path and detector.
    #[must_use]
    pub fn masks(&self, event: usize) -> Vec<(&str, &str)> {
        let of_event = self
            .outcome
            .masks
            .iter()
            .filter(|mask| self.event(mask.row) == event);
        of_event
            .map(|mask| (mask.path.as_str(), mask.detector.as_str()))
            .collect()
    }

    /// JSON text of what was added to an event at a full path.
    ///
    /// # Panics
    /// When the plugin added something that is not UTF-8.
    #[must_use]
    pub fn added(&self, event: usize, path: &str) -> Option<String> {
        let row = self.events.iter().position(|&of| of == event)?;
        let values = &self
            .outcome
            .additions
            .iter()
            .find(|addition| addition.path == path)?
            .values;
        let text = &values.data[values.offsets[row] as usize..values.offsets[row + 1] as usize];
        let text = std::str::from_utf8(text).expect("columns are UTF-8");
        match values.kinds[row] {
            0 => None,
            2 => Some(serde_json::to_string(text).expect("a string is always JSON")),
            _ => Some(text.to_owned()),
        }
    }

    /// Whether the event was dropped.
    #[must_use]
    pub fn dropped(&self, event: usize) -> bool {
        self.outcome
            .drops
            .iter()
            .any(|&row| self.event(row) == event)
    }

    fn event(&self, row: u32) -> usize {
        self.events[row as usize]
    }
}

fn wanted(event: &RawValue, clauses: &[Vec<Condition>]) -> bool {
    clauses.is_empty()
        || clauses
            .iter()
            .any(|clause| clause.iter().all(|condition| holds(event, condition)))
}

fn holds(event: &RawValue, condition: &Condition) -> bool {
    let (kind, text) = project(event, &condition.path);
    match &condition.test {
        Test::Present => kind > 1,
        Test::Absent => kind <= 1,
        Test::OneOf(values) => kind > 1 && values.contains(&text),
        Test::StartsWith(values) => kind > 1 && values.iter().any(|value| text.starts_with(value)),
    }
}

/// Kind and column text of what stands at a path.
fn project(event: &RawValue, path: &str) -> (u8, String) {
    let names: Vec<String> = path
        .split('/')
        .skip(1)
        .map(|name| name.replace("~1", "/").replace("~0", "~"))
        .collect();
    let mut found = Vec::new();
    collect(event, &names, &mut found);
    if names.iter().any(|name| name == "*") {
        return if found.is_empty() {
            (0, String::new())
        } else {
            (6, format!("[{}]", found.join(",")))
        };
    }
    match found.first() {
        None => (0, String::new()),
        Some(&"null") => (1, String::new()),
        Some(text) => match text.as_bytes()[0] {
            b'"' => (
                2,
                serde_json::from_str(text).expect("a string that was parsed before"),
            ),
            b'{' => (5, (*text).to_owned()),
            b'[' => (6, (*text).to_owned()),
            b't' | b'f' => (4, (*text).to_owned()),
            _ => (3, (*text).to_owned()),
        },
    }
}

fn collect<'a>(value: &'a RawValue, names: &[String], found: &mut Vec<&'a str>) {
    let Some((name, rest)) = names.split_first() else {
        found.push(value.get());
        return;
    };
    if let Ok(members) = serde_json::from_str::<BTreeMap<String, &RawValue>>(value.get()) {
        let at_name = |(key, _): &(&String, &&RawValue)| name == "*" || *key == name;
        members
            .iter()
            .filter(at_name)
            .for_each(|(_, member)| collect(member, rest, found));
    } else if let Ok(elements) = serde_json::from_str::<Vec<&RawValue>>(value.get()) {
        let at_name = |(index, _): &(usize, &&RawValue)| name == "*" || index.to_string() == *name;
        elements
            .iter()
            .enumerate()
            .filter(at_name)
            .for_each(|(_, element)| collect(element, rest, found));
    }
}

fn column(values: impl Iterator<Item = (u8, String)>) -> Column {
    let mut column = Column {
        kinds: Vec::new(),
        offsets: vec![0],
        data: Vec::new(),
    };
    for (kind, text) in values {
        column.kinds.push(kind);
        column.data.extend_from_slice(text.as_bytes());
        column
            .offsets
            .push(u32::try_from(column.data.len()).expect("a test's batch is small"));
    }
    column
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;
    use crate::{Batch, Field, Kind, NoConfig, Output, PluginKind, Severity, log};

    /// Exercises every part of the interface at once.
    #[derive(Debug)]
    struct Probe {
        name: Field,
        size: Field,
        all: Field,
    }

    impl Plugin for Probe {
        const NAME: &'static str = "probe";
        const VERSION: &'static str = "1.0.0";
        const KIND: PluginKind = PluginKind::Enrich;
        type Config = NoConfig;

        fn configure(_: NoConfig) -> Result<(Self, crate::Subscription), String> {
            let mut wanted = crate::Subscription::new();
            let (name, size, all) = (
                wanted.field("a.name"),
                wanted.field("size"),
                wanted.field("list.*.x"),
            );
            wanted
                .clause()
                .one_of("kind", &["wanted", "5"])
                .absent("no");
            wanted.clause().starts_with("kind", &["also"]);
            Ok((Self { name, size, all }, wanted))
        }

        fn process(&self, batch: &Batch<'_>, out: &mut Output) -> Result<(), String> {
            let mut size = out.column("/size");
            for row in batch.rows() {
                assert_eq!(row.str(self.name), row.str("a.name"));
                if row.kind(self.name) == Kind::Number {
                    return Err("a number for a name".into());
                }
                if let Some(value) = row.i64(self.size) {
                    size.number(row, value + 1);
                }
                if let Some(list) = row.json(self.all) {
                    out.find(row, crate::Finding::new("list", list, Severity::Low));
                }
                log::info(row.str(self.name).unwrap_or("nobody"));
                out.mask(row, "/a", "d");
            }
            out.add(size);
            Ok(())
        }
    }

    #[test]
    fn rows_are_found_again_as_the_events_they_were() {
        let seen = Kit::<Probe>::new("").run(&[
            r#"{"kind":"other"}"#,
            r#"{"kind":"wanted","a":{"name":"J\u00fcrgen"}}"#,
            r#"{"kind":"also this","size":41,"list":[{"x":1},{"y":2},{"x":"3"}]}"#,
            r#"{"kind":"wanted","no":true}"#,
            r#"{"kind":5,"no":null,"size":7,"size":9}"#,
        ]);
        assert_eq!(seen.matched(), [1, 2, 4]);
        assert_eq!(seen.added(1, "/sluicegate/probe/size"), None);
        assert_eq!(
            seen.added(2, "/sluicegate/probe/size").as_deref(),
            Some("42")
        );
        assert_eq!(
            seen.added(4, "/sluicegate/probe/size").as_deref(),
            Some("10")
        );
        assert_eq!(seen.finding(2, "list").unwrap().title, r#"[1,"3"]"#);
        assert_eq!(seen.masks(4), [("/a", "d")]);
        assert!(!seen.dropped(4));
        assert_eq!(logged(), ["Jürgen", "nobody", "nobody"]);
    }

    #[test]
    fn a_plugin_that_cannot_judge_a_batch_says_so() {
        let kit = Kit::<Probe>::new("{}");
        assert!(
            kit.try_run(&[r#"{"kind":"wanted","a":{"name":5}}"#])
                .is_err()
        );
    }

    #[test]
    fn an_unknown_setting_is_refused() {
        assert!(
            Kit::<Probe>::try_new(r#"{"speed":1}"#)
                .unwrap_err()
                .contains("speed")
        );
    }

    #[test]
    fn a_batch_without_the_columns_asked_for_is_refused() {
        let kit = Kit::<Probe>::new("{}");
        let batch = crate::bindings::Batch {
            rows: 1,
            now_ms: 0,
            columns: Vec::new(),
        };
        assert!(kit.process(&batch).is_err());
    }

    #[test]
    fn a_dotted_name_means_the_member_of_that_very_name_first() {
        struct Dots(Field);
        impl Plugin for Dots {
            const NAME: &'static str = "dots";
            const VERSION: &'static str = "1.0.0";
            const KIND: PluginKind = PluginKind::Detect;
            type Config = NoConfig;

            fn configure(_: NoConfig) -> Result<(Self, crate::Subscription), String> {
                let mut wanted = crate::Subscription::new();
                let field = wanted.field("a.b");
                wanted.clause().present("a.b");
                Ok((Self(field), wanted))
            }

            fn process(&self, batch: &Batch<'_>, out: &mut Output) -> Result<(), String> {
                for row in batch.rows() {
                    assert_eq!(row.kind(self.0), row.kind("a.b"));
                    let text = String::from_utf8_lossy(row.bytes(self.0));
                    out.find(row, crate::Finding::new(&text, "", Severity::Low));
                }
                Ok(())
            }
        }
        let seen = Kit::<Dots>::new("{}").run(&[
            r#"{"a":{"b":"nested"}}"#,
            r#"{"a.b":"literal","a":{"b":"nested"}}"#,
            r#"{"a.b":null,"a":{"b":"nested"}}"#,
            r#"{"a.b":7}"#,
            r#"{"a":{"c":1}}"#,
        ]);
        let rules: Vec<&str> = seen
            .findings()
            .map(|(_, found)| found.rule.as_str())
            .collect();
        assert_eq!(rules, ["nested", "literal", "nested", "7"]);
        assert_eq!(seen.matched(), [0, 1, 2, 3]);
    }
}
