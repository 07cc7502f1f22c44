//! What was counted before, and how far from it is too far.

use std::{collections::BTreeMap, fmt::Write as _, path::PathBuf};

use sluicegate_tests::host::root;

/// Instructions an event, by section and name.
type Counts = BTreeMap<String, BTreeMap<String, u64>>;

/// More than so many thousandths over the baseline is a regression.
const ALLOWED: u64 = 30;

/// One section of the baseline, and what was counted against it.
pub(crate) struct Baseline {
    section: &'static str,
    counts: Counts,
    now: BTreeMap<String, u64>,
}

fn path() -> PathBuf {
    root().join("tests/tests/instructions/baseline.json")
}

impl Baseline {
    pub(crate) fn of(section: &'static str) -> Self {
        let text = std::fs::read_to_string(path()).unwrap_or_else(|_| "{}".to_owned());
        Self {
            section,
            counts: serde_json::from_str(&text).unwrap(),
            now: BTreeMap::new(),
        }
    }

    pub(crate) fn hold(&mut self, name: &str, instructions: u64) {
        self.now.insert(name.to_owned(), instructions);
    }

    /// Fails where something costs more than before; writes what was counted where that is asked for.
    pub(crate) fn verdict(mut self) {
        if std::env::var_os("UPDATE_BASELINE").is_some() {
            self.counts.insert(self.section.to_owned(), self.now);
            let text = serde_json::to_string_pretty(&self.counts).unwrap();
            std::fs::write(path(), format!("{text}\n")).unwrap();
            return;
        }
        let nothing = BTreeMap::new();
        let before = self.counts.get(self.section).unwrap_or(&nothing);
        let (mut told, mut over) = (String::new(), false);
        for (name, now) in &self.now {
            let Some(was) = before.get(name) else {
                over = true;
                writeln!(told, "{name}: {now} an event, and no baseline").unwrap();
                continue;
            };
            let is_over = now * 1_000 > was * (1_000 + ALLOWED);
            over |= is_over;
            let mark = if is_over { ", too many" } else { "" };
            writeln!(told, "{name}: {now} an event, {was} before{mark}").unwrap();
        }
        eprintln!("{told}");
        assert!(
            !over,
            "instructions an event ({}); where that is worth it, UPDATE_BASELINE=1 takes the numbers over:\n{told}",
            self.section
        );
    }
}
