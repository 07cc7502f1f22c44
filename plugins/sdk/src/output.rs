//! What a plugin says of a batch: additions, findings, masks, drops.

use std::cmp::Ordering;

use crate::{
    Row, Severity,
    bindings::{
        Outcome,
        sluicegate::plugin::types::{self, Addition, Mask},
    },
    pointer,
};

/// Collects what a plugin has to say. Its kind decides what of it the host will take.
#[derive(Debug)]
pub struct Output {
    plugin: &'static str,
    rows: u32,
    raw: Outcome,
}

impl Output {
    pub(crate) fn new(plugin: &'static str, rows: u32) -> Self {
        let raw = Outcome {
            additions: Vec::new(),
            findings: Vec::new(),
            masks: Vec::new(),
            drops: Vec::new(),
        };
        Self { plugin, rows, raw }
    }

    /// Starts a new member of the events of this batch. The path (pointer or dotted) lies under the
    /// plugin's own place: `/actor/kind` becomes `/sluicegate/<plugin>/actor/kind`. It is filled row by
    /// row and handed back by [`Output::add`].
    pub fn column(&self, path: &str) -> Column {
        let mut offsets = Vec::with_capacity(self.rows as usize + 1);
        offsets.push(0);
        Column {
            path: format!("/sluicegate/{}{}", self.plugin, pointer(path)),
            values: types::Column {
                kinds: Vec::with_capacity(self.rows as usize),
                offsets,
                data: Vec::new(),
            },
        }
    }

    /// Adds a column; one without any value is left out.
    pub fn add(&mut self, mut column: Column) {
        if column.values.kinds.iter().any(|&kind| kind != 0) {
            column.pad(self.rows);
            self.raw.additions.push(Addition {
                path: column.path,
                values: column.values,
            });
        }
    }

    /// Reports a finding about an event.
    pub fn find(&mut self, row: Row<'_>, finding: Finding) {
        self.raw.findings.push(types::Finding {
            row: row.index(),
            ..finding.0
        });
    }

    /// Has the host put its marker in the place of one leaf of the event, named by JSON Pointer.
    pub fn mask(&mut self, row: Row<'_>, path: &str, detector: &str) {
        self.raw.masks.push(Mask {
            row: row.index(),
            path: path.to_owned(),
            detector: detector.to_owned(),
        });
    }

    /// Keeps the event from every sink.
    pub fn drop(&mut self, row: Row<'_>) {
        self.raw.drops.push(row.index());
    }

    pub(crate) fn into_raw(self) -> Outcome {
        self.raw
    }
}

/// Values of one new member, for rows in rising order; a row that is passed over gets nothing, and a
/// second value for a row is ignored.
#[derive(Debug)]
#[must_use = "a column counts once it is given to Output::add"]
pub struct Column {
    path: String,
    values: types::Column,
}

impl Column {
    /// A string.
    pub fn str(&mut self, row: Row<'_>, value: &str) {
        self.put(row, 2, value.as_bytes());
    }

    /// A string copied from the event; its bytes are UTF-8, as those of every column are.
    pub fn bytes(&mut self, row: Row<'_>, utf8: &[u8]) {
        self.put(row, 2, utf8);
    }

    /// A whole number.
    pub fn number(&mut self, row: Row<'_>, value: i64) {
        self.put(row, 3, value.to_string().as_bytes());
    }

    /// A boolean.
    pub fn bool(&mut self, row: Row<'_>, value: bool) {
        self.put(row, 4, if value { b"true" } else { b"false" });
    }

    #[inline]
    fn put(&mut self, row: Row<'_>, kind: u8, text: &[u8]) {
        match self.values.kinds.len().cmp(&(row.index() as usize)) {
            Ordering::Greater => return,
            Ordering::Equal => {}
            Ordering::Less => self.pad(row.index()),
        }
        self.values.kinds.push(kind);
        self.values.data.extend_from_slice(text);
        self.values.offsets.push(self.end());
    }

    fn pad(&mut self, rows: u32) {
        let end = self.end();
        self.values.kinds.resize(rows as usize, 0);
        self.values.offsets.resize(rows as usize + 1, end);
    }

    fn end(&self) -> u32 {
        u32::try_from(self.values.data.len()).expect("a batch is far smaller than 4 GiB")
    }
}

/// A finding in the making.
#[derive(Clone, Debug)]
#[must_use = "a finding counts once it is given to Output::find"]
pub struct Finding(types::Finding);

impl Finding {
    /// `rule` identifies the rule within the plugin for ever; the title is for people.
    pub fn new(rule: &str, title: &str, severity: Severity) -> Self {
        Self(types::Finding {
            row: 0,
            rule: rule.to_owned(),
            title: title.to_owned(),
            description: String::new(),
            severity,
            entity: Vec::new(),
            window_s: 0,
            attributes: Vec::new(),
        })
    }

    /// What it means, in a sentence or two.
    pub fn description(mut self, text: &str) -> Self {
        text.clone_into(&mut self.0.description);
        self
    }

    /// Whom or what it is about; named several times, all parts together.
    pub fn entity(mut self, part: &str) -> Self {
        // Mostly there is one, and a list with room to spare is copied on its way to the host.
        self.0.entity.reserve_exact(1);
        self.0.entity.push(part.to_owned());
        self
    }

    /// Matches with the same rule and entity within so many seconds of event time are one finding.
    pub fn window_s(mut self, seconds: u32) -> Self {
        self.0.window_s = seconds;
        self
    }

    /// Something else worth showing; an empty value is left out.
    pub fn attribute(mut self, name: &str, value: &str) -> Self {
        if !value.is_empty() {
            self.0.attributes.push((name.to_owned(), value.to_owned()));
        }
        self
    }
}
