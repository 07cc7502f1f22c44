//! What a plugin said of a batch, in a form that can be compared: for shadow (`trial.rs`).

use std::{collections::BTreeSet, ops::Range};

use super::{
    abi,
    chain::Run,
    seat::Answer,
    trial::{Comparison, Difference, Side},
    verdicts::leaves,
};
use crate::{digest::sha256, event::EventBatch, text::shown};

/// What a plugin in shadow said of a batch, compared with what the live one said; with at most `room`
/// examples.
pub(super) fn compare(live: &Said, shadow: &Said, batch: &EventBatch, room: usize) -> Comparison {
    let only_live: Vec<_> = live
        .things
        .difference(&shadow.things)
        // What could not be judged is counted apart.
        .filter(|thing| !shadow.failed.contains(&thing.row))
        .collect();
    let only_shadow: Vec<_> = shadow
        .things
        .difference(&live.things)
        .filter(|thing| !live.failed.contains(&thing.row))
        .collect();
    let unmasked = only_live.iter().filter(|thing| thing.is_mask());
    let sides = [(Side::Live, &only_live), (Side::Shadow, &only_shadow)];
    let samples = sides.into_iter().flat_map(|(side, things)| {
        things.iter().map(move |thing| {
            let index = batch.events[thing.row as usize].index;
            Difference {
                event: format!("{}.{index}", batch.object.id),
                side,
                what: thing.text(),
            }
        })
    });
    Comparison {
        events: live.asked.union(&shadow.asked).count() as u64,
        failed: shadow.failed.difference(&live.failed).count() as u64,
        only_live: only_live.len() as u64,
        only_shadow: only_shadow.len() as u64,
        fewer_masks: unmasked.count() as u64,
        samples: samples.take(room).collect(),
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

    fn add(&mut self, row: u32, addition: &abi::Addition, part: usize) {
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
