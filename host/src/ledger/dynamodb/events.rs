//! Counting events into findings, each once.

use std::collections::{HashMap, HashSet};

use anyhow::Context as _;
use aws_sdk_dynamodb::types::{AttributeValue, KeysAndAttributes, Put};
use futures_util::{StreamExt as _, TryStreamExt as _};

use super::{
    BACKOFF, DynamoDb, TRIES,
    findings::Known,
    item::{self, Item, number, text, text_of},
};
use crate::{
    digest::{hex, sha256},
    finding::Sighting,
    ledger::{Observed, count},
};

/// `DynamoDB` takes 100 items in one transaction; one of them is the finding.
const EVENTS_OF_ONE_WRITE: usize = 99;
/// `DynamoDB` hands out 100 items in one answer.
const ITEMS_OF_ONE_READ: usize = 100;
/// Findings of one batch that are counted at the same time.
const AT_ONCE: usize = 8;

/// What stands for an event that was counted in a finding. A hash, so that the events of one finding lie
/// in many partitions.
fn pk(finding: &str, identity: [u8; 16]) -> String {
    let hash = sha256(&[finding.as_bytes(), b"\0", &identity]);
    format!("event#{}", hex(&hash[..16]))
}

/// The sightings of each finding, in the order in which findings appear, each event once.
fn by_finding(sightings: Vec<Sighting>) -> Vec<(String, Vec<Sighting>)> {
    let mut groups: Vec<(String, Vec<Sighting>)> = Vec::new();
    let mut places: HashMap<String, usize> = HashMap::new();
    let mut seen: HashSet<(usize, [u8; 16])> = HashSet::new();
    for sighting in sightings {
        let id = sighting.finding_id();
        let place = *places.entry(id.clone()).or_insert(groups.len());
        if place == groups.len() {
            groups.push((id, Vec::new()));
        }
        if seen.insert((place, sighting.identity)) {
            groups[place].1.push(sighting);
        }
    }
    groups
}

impl DynamoDb {
    pub(super) async fn count(
        &self,
        sightings: Vec<Sighting>,
        now_ms: i64,
    ) -> anyhow::Result<Vec<Observed>> {
        let counted = by_finding(sightings)
            .into_iter()
            .map(|(id, sightings)| async move { self.count_in(&id, &sightings, now_ms).await });
        futures_util::stream::iter(counted)
            .buffered(AT_ONCE)
            .try_collect()
            .await
    }

    /// Counts events in one finding, which is begun where it is not there.
    async fn count_in(
        &self,
        id: &str,
        sightings: &[Sighting],
        now_ms: i64,
    ) -> anyhow::Result<Observed> {
        let _mine = self.stripes.lock(id).await;
        let mut refused = 0;
        while refused < TRIES {
            // The finding first: whoever counts an event after this makes our write fail.
            let (known, before) = self.read(id).await?;
            let mut new: Vec<&Sighting> = match &known {
                Some(_) => self.not_counted(id, sightings).await?,
                // What counted in a finding that is gone counts anew.
                None => sightings.iter().collect(),
            };
            let last = new.len() <= EVENTS_OF_ONE_WRITE;
            new.truncate(EVENTS_OF_ONE_WRITE);
            let mut known = match known {
                Some(known) if new.is_empty() => return Ok(observed(known)),
                Some(known) => known,
                None => Known {
                    finding: count::begin(id, sightings.first().context("no sighting")?, now_ms),
                    seen_ms: now_ms,
                    announced_ms: None,
                    announced_count: 0,
                },
            };
            let mut puts = Vec::with_capacity(new.len() + 1);
            for sighting in new {
                count::add(&mut known.finding, sighting);
                puts.push(self.counted(id, sighting.identity)?);
            }
            known.seen_ms = known.seen_ms.max(now_ms);
            puts.push(self.replacing(&known, before)?);
            if !self.write(puts).await? {
                tokio::time::sleep(BACKOFF.jittered(refused, None)).await;
                refused += 1;
            } else if last {
                return Ok(observed(known));
            }
        }
        anyhow::bail!(
            "finding {id} could not be written in {TRIES} tries: others came before, or the table is throttled"
        )
    }

    fn counted(&self, id: &str, identity: [u8; 16]) -> anyhow::Result<Put> {
        let put = Put::builder()
            .table_name(&self.table)
            .item("pk", text(pk(id, identity)))
            .item("expires", number(self.expires_s()));
        Ok(put.build()?)
    }

    async fn not_counted<'a>(
        &self,
        id: &str,
        sightings: &'a [Sighting],
    ) -> anyhow::Result<Vec<&'a Sighting>> {
        let keys = sightings
            .iter()
            .map(|sighting| pk(id, sighting.identity))
            .collect();
        let counted = self.get_all(keys).await?;
        let new = |sighting: &&Sighting| !counted.contains_key(&pk(id, sighting.identity));
        Ok(sightings.iter().filter(new).collect())
    }

    /// Those of the items that are there and have not expired, by their keys.
    pub(super) async fn get_all(&self, keys: Vec<String>) -> anyhow::Result<HashMap<String, Item>> {
        let mut found = HashMap::new();
        for keys in keys.chunks(ITEMS_OF_ONE_READ) {
            let mut left: Vec<Item> = keys
                .iter()
                .map(|key| Item::from([("pk".to_owned(), AttributeValue::S(key.clone()))]))
                .collect();
            let mut attempt = 0;
            while !left.is_empty() {
                anyhow::ensure!(
                    attempt < TRIES,
                    "table {} left {} items unread {TRIES} times in a row",
                    self.table,
                    left.len()
                );
                if attempt > 0 {
                    tokio::time::sleep(BACKOFF.jittered(attempt, None)).await;
                }
                attempt += 1;
                let wanted = KeysAndAttributes::builder()
                    .set_keys(Some(left))
                    .consistent_read(true)
                    .build()?;
                let answer = self
                    .client
                    .batch_get_item()
                    .request_items(&self.table, wanted)
                    .send()
                    .await
                    .map_err(|error| self.told(&error))?;
                let items = answer.responses.unwrap_or_default().remove(&self.table);
                for item in items.unwrap_or_default() {
                    if let Some(key) = text_of(&item, "pk")
                        && item::is_alive(&item, self.now_s())
                    {
                        found.insert(key.to_owned(), item);
                    }
                }
                let unread = answer
                    .unprocessed_keys
                    .unwrap_or_default()
                    .remove(&self.table);
                left = unread.map(|unread| unread.keys).unwrap_or_default();
            }
        }
        Ok(found)
    }
}

fn observed(known: Known) -> Observed {
    Observed {
        announced: known.announced_ms.is_some(),
        finding: known.finding,
    }
}
