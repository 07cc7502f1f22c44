//! What is to be counted of a batch: as little as will do, since each observation costs the host more
//! than all else that this plugin does.

use std::{
    cell::{Cell, RefCell},
    fmt::Write as _,
};

use sluicegate_plugin::{Row, state::Observation};

use crate::{
    facts::Facts,
    rules::{Measure, Rules, Set, Which},
    text::{ByHash, Hashes, Member, hash, mix, push_bounded},
};

/// Observations in one batch: what the host can count in its time, by a wide margin.
const MOST: usize = 1_500;
/// What is remembered of earlier batches.
const MOST_REMEMBERED: usize = 20_000;
/// Bytes of a key's entity; the host refuses keys of more than 1,024.
const ENTITY_BYTES: usize = 256;

/// What an instance remembers of what it had counted. Nothing hangs on it but work: what is forgotten is
/// counted again, and an event counts once.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    /// By rule, entity and member.
    seen: RefCell<ByHash<Seen>>,
    /// Events with findings: delivered again they shall find the same again.
    found: RefCell<Hashes>,
    batch: Cell<u64>,
}

/// Times of the events that showed a member under a key, first and last.
#[derive(Clone, Copy, Debug)]
struct Seen {
    earliest_ms: i64,
    latest_ms: i64,
    /// The batch of the earliest.
    batch: u64,
}

impl Memory {
    /// To be called before each batch.
    fn begin(&self) {
        self.batch.set(self.batch.get() + 1);
    }

    /// To be called when counting failed: nothing of this batch was counted.
    pub(crate) fn forget(&self) {
        self.seen.borrow_mut().clear();
    }

    pub(crate) fn found(&self, event: &str) {
        let mut found = self.found.borrow_mut();
        if found.len() >= MOST_REMEMBERED {
            found.clear();
        }
        found.insert(hash(&[event]));
    }

    /// Whether this need not be counted: the same was, not long before, and at no later time. Of events
    /// of one second the first of a batch is counted: which of them the host saw first in an earlier batch
    /// is not known, and that one's finding must come again when it does.
    fn knows(&self, name: u64, facts: &Facts<'_>, refresh_s: u32) -> bool {
        let (mut seen, time_ms) = (self.seen.borrow_mut(), facts.time_ms);
        if seen.len() >= MOST_REMEMBERED {
            seen.clear();
        }
        let Some(before) = seen.get_mut(&name) else {
            let (earliest_ms, latest_ms, batch) = (time_ms, time_ms, self.batch.get());
            seen.insert(
                name,
                Seen {
                    earliest_ms,
                    latest_ms,
                    batch,
                },
            );
            return false;
        };
        let fresh_ms = before
            .latest_ms
            .saturating_add(i64::from(refresh_s) * 1_000);
        let same_second = time_ms == before.earliest_ms && before.batch == self.batch.get();
        if (time_ms > before.earliest_ms || same_second) && time_ms <= fresh_ms {
            let found = self.found.borrow();
            return found.is_empty() || !found.contains(&hash(&[facts.id]));
        }
        if time_ms <= before.earliest_ms {
            before.earliest_ms = time_ms;
            before.batch = self.batch.get();
        }
        before.latest_ms = before.latest_ms.max(time_ms);
        false
    }
}

/// One event to count for one rule.
#[derive(Debug)]
pub(crate) struct Count<'a> {
    pub(crate) row: Row<'a>,
    pub(crate) event: &'a str,
    pub(crate) time_ms: i64,
    pub(crate) rule: Which,
    pub(crate) entity: &'a str,
    pub(crate) key: String,
    pub(crate) member: String,
    pub(crate) value: f64,
}

/// What is to be counted of a batch.
pub(crate) struct Plan<'a, 'p> {
    rules: &'p Rules,
    memory: &'p Memory,
    pub(crate) counts: Vec<Count<'a>>,
    of_key: ByHash<u32>,
    observations: usize,
    /// What was too much.
    pub(crate) left_out: usize,
}

impl<'a, 'p> Plan<'a, 'p> {
    pub(crate) fn new(rules: &'p Rules, memory: &'p Memory) -> Self {
        memory.begin();
        Self {
            rules,
            memory,
            counts: Vec::new(),
            of_key: ByHash::default(),
            observations: 0,
            left_out: 0,
        }
    }

    pub(crate) fn rule(&self, which: Which) -> Set {
        self.rules.get(which)
    }

    /// Counts an event for a rule, under the key of that rule and this entity.
    pub(crate) fn count(
        &mut self,
        facts: &Facts<'a>,
        rule: Which,
        entity: &'a str,
        member: Member<'_>,
        value: f64,
    ) {
        self.count_under(facts, rule, (rule, entity), entity, member, value);
    }

    /// The same under a key of another rule or entity.
    pub(crate) fn count_under(
        &mut self,
        facts: &Facts<'a>,
        rule: Which,
        (counter, of): (Which, &str),
        entity: &'a str,
        member: Member<'_>,
        value: f64,
    ) {
        let set = self.rules.get(rule);
        if of.is_empty() || set.off {
            return;
        }
        let more = set.windows().count();
        // Before anything is remembered as counted.
        if self.observations + more > MOST {
            self.left_out += 1;
            return;
        }
        let name = mix(hash(&[of]), counter as u64);
        let is_known = match rule.measure() {
            Measure::Sum | Measure::Value | Measure::Volume => !self.has_room(name, set),
            _ => self
                .memory
                .knows(mix(name, member.hash()), facts, set.refresh_s()),
        };
        if is_known {
            return;
        }
        self.observations += more;
        self.counts.push(Count {
            row: facts.row,
            event: facts.id,
            time_ms: facts.time_ms,
            rule,
            entity,
            key: key(counter, of),
            member: member.text(),
            value,
        });
    }

    /// More events of one key than the threshold wants are not counted of one batch: it is reached by
    /// those alone, and nobody can fill the host's time with one principal.
    fn has_room(&mut self, name: u64, set: Set) -> bool {
        let count = self.of_key.entry(name).or_default();
        *count += 1;
        let threshold = u64::from(set.threshold) / set.weight();
        u64::from(*count) <= (threshold + threshold / 4).clamp(32, 500)
    }

    /// One observation for each window that a rule looks at.
    pub(crate) fn observations(&self) -> Vec<Observation<'_>> {
        let mut observations = Vec::with_capacity(self.observations);
        for count in &self.counts {
            for window_s in self.rules.get(count.rule).windows() {
                let observation = Observation::new(count.row, &count.key, window_s);
                observations.push(observation.member(&count.member).value(count.value));
            }
        }
        observations
    }
}

/// The key of a rule and whom it is about.
pub(crate) fn key(rule: Which, entity: &str) -> String {
    let mut key = String::with_capacity(32 + entity.len());
    let _ = write!(key, "{}:", rule.rule().id);
    push_bounded(&mut key, entity, ENTITY_BYTES);
    key
}
