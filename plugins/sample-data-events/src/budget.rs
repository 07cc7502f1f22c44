//! Budgets: how many events of an account are left over on a day.

use sluicegate_plugin::{
    Row, configuration, log,
    state::{self, Observation},
};

use crate::chance::{self, Purpose, hash, sampled};

/// How much of each account is left over on each day (UTC, by the events' own time). The events that came
/// first on that day are the ones within it.
#[configuration]
pub struct Budget {
    /// Events of one account on one day, 1 to 10,000,000. The plugin's windows must have room for them:
    /// `limits.state_entries`.
    #[schemars(range(min = 1, max = 10_000_000))]
    pub events_per_day: u32,
    /// What becomes of the others: `"drop"`, or `{ sample = 0.001 }`.
    pub beyond: Beyond,
}

/// What becomes of events beyond the budget.
#[configuration]
#[derive(Copy, PartialEq)]
#[serde(rename_all = "snake_case")]
pub enum Beyond {
    /// None goes on.
    Drop,
    /// This share goes on, more than 0 and less than 1, by their identifiers.
    Sample(f64),
}

const MOST: u32 = 10_000_000;
/// Seconds of a day.
const DAY: u32 = 86_400;
/// Events that one key of the host's windows is asked to count. A window never counts more than 5,000.
const SHARD: u32 = 4_000;

impl Budget {
    pub(crate) fn check(&self) -> Result<(), String> {
        if !(1..=MOST).contains(&self.events_per_day) {
            return Err(format!(
                "budget.events_per_day must be between 1 and {MOST}, got {}",
                self.events_per_day
            ));
        }
        match self.beyond {
            Beyond::Drop => Ok(()),
            Beyond::Sample(share) => chance::check(share, "budget.beyond.sample"),
        }
    }

    fn shards(&self) -> u32 {
        self.events_per_day.div_ceil(SHARD)
    }

    /// What one shard may count; together they are the budget.
    fn of_shard(&self, shard: u32) -> u64 {
        let (each, more) = (
            self.events_per_day / self.shards(),
            self.events_per_day % self.shards(),
        );
        u64::from(each + u32::from(shard < more))
    }
}

/// Asks for the events of one batch whether they are within the budget.
#[derive(Debug)]
pub(crate) struct Spender<'a> {
    budget: &'a Budget,
    asked: Vec<Asked<'a>>,
}

#[derive(Debug)]
struct Asked<'a> {
    row: Row<'a>,
    id: &'a [u8],
    key: String,
    allowed: u64,
}

impl<'a> Spender<'a> {
    pub(crate) fn new(budget: &'a Budget) -> Self {
        Self {
            budget,
            asked: Vec::new(),
        }
    }

    /// An event that goes on if the budget allows.
    pub(crate) fn ask(&mut self, row: Row<'a>, id: &'a [u8], account: &[u8], time: &[u8]) {
        let shards = u64::from(self.budget.shards());
        let shard = u32::try_from(hash(id, Purpose::Shard) % shards).unwrap_or_default();
        // What is no date has a day of its own.
        let day = time.get(..10).unwrap_or(b"no date");
        let text =
            |bytes: &[u8]| -> String { String::from_utf8_lossy(bytes).chars().take(64).collect() };
        self.asked.push(Asked {
            row,
            id,
            key: format!("{}|{}|{shard}", text(account), text(day)),
            allowed: self.budget.of_shard(shard),
        });
    }

    /// The rows beyond the budget that do not go on. Where the host does not count, all go on.
    pub(crate) fn over(self) -> Vec<Row<'a>> {
        if self.asked.is_empty() {
            return Vec::new();
        }
        let observations: Vec<_> = self
            .asked
            .iter()
            .map(|asked| Observation::new(asked.row, &asked.key, DAY))
            .collect();
        let windows = match state::observe(&observations) {
            Ok(windows) => windows,
            Err(error) => {
                log::warn(&format!(
                    "failed to count events against the budget, all go on: {error:?}"
                ));
                return Vec::new();
            }
        };
        let beyond = |id: &[u8]| match self.budget.beyond {
            Beyond::Drop => true,
            Beyond::Sample(share) => !sampled(id, Purpose::Budget, share),
        };
        self.asked
            .iter()
            .zip(windows)
            .filter(|(asked, window)| window.events > asked.allowed && beyond(asked.id))
            .map(|(asked, _)| asked.row)
            .collect()
    }
}
