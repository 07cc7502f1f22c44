//! Shadow: a plugin that sees the same events as the live one, and whose say is compared, not applied.

use std::{
    collections::BTreeSet,
    ops::Range,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use super::{Component, chain::Run, seat::Answer, verdicts::leaves};
use crate::{digest::sha256, event::EventBatch, text::shown};

/// Differences that are kept as examples.
const SAMPLES: usize = 20;

/// A plugin in shadow, and where it is compared.
#[derive(Clone, Debug)]
pub struct Shadow {
    /// The plugin.
    pub component: Component,
    /// Where what it says is compared.
    pub trial: std::sync::Arc<Trial>,
}

impl Shadow {
    /// Puts a plugin into shadow.
    #[must_use]
    pub fn new(component: Component) -> Self {
        Self {
            component,
            trial: std::sync::Arc::default(),
        }
    }
}

/// Who said something that the other did not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The live plugin.
    Live,
    /// The one in shadow.
    Shadow,
}

/// Something that only one side said of an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// The event, as its `sluicegate` member names it: object and position.
    pub event: String,
    /// Who said it.
    pub side: Side,
    /// What was said: kind, and rule or path; never a value of the event.
    pub what: String,
}

/// How a plugin in shadow has fared so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Comparison {
    /// Events that at least one side was asked about.
    pub events: u64,
    /// Events that the shadow failed on while the live plugin did not.
    pub failed: u64,
    /// What only the live plugin said.
    pub only_live: u64,
    /// What only the shadow said.
    pub only_shadow: u64,
    /// Leaves that the live plugin masked and the shadow did not.
    pub fewer_masks: u64,
    /// Some of the differences, the first ones.
    pub samples: Vec<Difference>,
}

/// Where the sayings of a plugin in shadow are compared, by all workers.
#[derive(Debug, Default)]
pub struct Trial {
    events: AtomicU64,
    failed: AtomicU64,
    only_live: AtomicU64,
    only_shadow: AtomicU64,
    fewer_masks: AtomicU64,
    samples: Mutex<Vec<Difference>>,
}

impl Trial {
    /// How it stands.
    #[must_use]
    pub fn comparison(&self) -> Comparison {
        let get = |counter: &AtomicU64| counter.load(Ordering::Acquire);
        // Events first: whoever sees enough of them sees all that was said of them.
        Comparison {
            events: get(&self.events),
            failed: get(&self.failed),
            only_live: get(&self.only_live),
            only_shadow: get(&self.only_shadow),
            fewer_masks: get(&self.fewer_masks),
            samples: self.samples().clone(),
        }
    }

    /// Compares what both sides said of one batch.
    pub(super) fn compare(&self, live: &Said, shadow: &Said, batch: &EventBatch) {
        let add = |counter: &AtomicU64, count: usize| {
            counter.fetch_add(count as u64, Ordering::Relaxed);
        };
        add(&self.failed, shadow.failed.difference(&live.failed).count());
        let only_live: Vec<_> = live
            .things
            .difference(&shadow.things)
            // What could not be judged is counted above.
            .filter(|thing| !shadow.failed.contains(&thing.row))
            .collect();
        let only_shadow: Vec<_> = shadow
            .things
            .difference(&live.things)
            .filter(|thing| !live.failed.contains(&thing.row))
            .collect();
        add(&self.only_live, only_live.len());
        add(&self.only_shadow, only_shadow.len());
        let unmasked = only_live.iter().filter(|thing| thing.is_mask());
        add(&self.fewer_masks, unmasked.count());
        self.keep(Side::Live, &only_live, batch);
        self.keep(Side::Shadow, &only_shadow, batch);
        let asked = live.asked.union(&shadow.asked).count();
        self.events.fetch_add(asked as u64, Ordering::Release);
    }

    fn keep(&self, side: Side, things: &[&Thing], batch: &EventBatch) {
        if things.is_empty() {
            return;
        }
        let mut samples = self.samples();
        let room = SAMPLES.saturating_sub(samples.len());
        samples.extend(things.iter().take(room).map(|thing| {
            let index = batch.events[thing.row as usize].index;
            Difference {
                event: format!("{}.{index}", batch.object.id),
                side,
                what: thing.text(),
            }
        }));
    }

    fn samples(&self) -> std::sync::MutexGuard<'_, Vec<Difference>> {
        self.samples.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a plugin said of a batch, in a form that can be compared.
#[derive(Debug, Default)]
pub(super) struct Said {
    asked: BTreeSet<u32>,
    failed: BTreeSet<u32>,
    things: BTreeSet<Thing>,
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Thing {
    row: u32,
    what: What,
}

/// Values are compared by their SHA-256, so that none is kept.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum What {
    Adds {
        path: String,
        value: [u8; 32],
    },
    Finds {
        rule: String,
        rest: [u8; 32],
    },
    /// The bytes of the leaf; two paths may lead to it.
    Masks {
        start: usize,
        end: usize,
        path: Unordered,
    },
    Drops,
}

/// A text that is shown and makes no difference.
#[derive(Debug)]
struct Unordered(String);

impl PartialEq for Unordered {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Unordered {}

impl PartialOrd for Unordered {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Unordered {
    fn cmp(&self, _: &Self) -> std::cmp::Ordering {
        std::cmp::Ordering::Equal
    }
}

impl Thing {
    fn is_mask(&self) -> bool {
        matches!(self.what, What::Masks { .. })
    }

    fn text(&self) -> String {
        match &self.what {
            What::Adds { path, .. } => format!("adds {}", shown(path)),
            What::Finds { rule, .. } => format!("finds {}", shown(rule)),
            What::Masks { path, .. } => format!("masks {}", shown(&path.0)),
            What::Drops => "drops the event".to_owned(),
        }
    }
}

impl Said {
    pub(super) fn new(answer: &Answer, run: &Run<'_>) -> Self {
        let mut said = Self::default();
        for (row, _) in &answer.failed {
            said.asked.insert(*row);
            said.failed.insert(*row);
        }
        for (rows, outcome) in &answer.parts {
            said.asked.extend(rows);
            let row = |part: u32| rows[part as usize];
            for addition in &outcome.additions {
                for (part, &row) in rows.iter().enumerate() {
                    said.add(row, addition, part);
                }
            }
            for finding in &outcome.findings {
                let entity = finding.entity.join("\u{1f}");
                let rest: [&[u8]; 3] = [
                    &[finding.severity as u8],
                    &finding.window_s.to_be_bytes(),
                    entity.as_bytes(),
                ];
                said.thing(
                    row(finding.row),
                    What::Finds {
                        rule: finding.rule.clone(),
                        rest: sha256(&rest),
                    },
                );
            }
            for mask in &outcome.masks {
                let row = row(mask.row);
                match leaves(row, mask, run) {
                    Ok(ranges) => ranges.into_iter().for_each(|Range { start, end }| {
                        let path = Unordered(mask.path.clone());
                        said.thing(row, What::Masks { start, end, path });
                    }),
                    // As it would be, were it live.
                    Err(_) => {
                        said.failed.insert(row);
                    }
                }
            }
            for &part in &outcome.drops {
                said.thing(row(part), What::Drops);
            }
        }
        said
    }

    fn add(&mut self, row: u32, addition: &super::abi::Addition, part: usize) {
        let values = &addition.values;
        if values.kinds[part] == 0 {
            return;
        }
        let range = values.offsets[part] as usize..values.offsets[part + 1] as usize;
        let value = sha256(&[&[values.kinds[part]], &values.data[range]]);
        let path = addition.path.clone();
        self.thing(row, What::Adds { path, value });
    }

    fn thing(&mut self, row: u32, what: What) {
        self.things.insert(Thing { row, what });
    }
}
