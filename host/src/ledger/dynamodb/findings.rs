//! Findings in the table: read with their version, changed, and written where the version is still that.

use std::{
    collections::HashMap,
    hash::{DefaultHasher, Hash as _, Hasher as _},
};

use aws_sdk_dynamodb::{
    error::ProvideErrorMetadata as _,
    types::{AttributeValue, Put, TransactWriteItem},
};
use tokio::sync::{Mutex, MutexGuard};

use super::{
    BACKOFF, DynamoDb, INDEX, TRIES, is_refused,
    item::{self, Item, number, number_of, text, text_of},
};
use crate::{finding::Finding, ledger::count};

/// The index is spread over so many partitions, each of which takes a thousand writes a second.
const SHARDS: u64 = 8;

/// Findings of one process are changed one at a time where they share a stripe, so that only other hosts
/// are in the way.
pub(super) struct Stripes([Mutex<()>; 64]);

impl Default for Stripes {
    fn default() -> Self {
        Self(std::array::from_fn(|_| Mutex::default()))
    }
}

impl Stripes {
    pub(super) async fn lock(&self, id: &str) -> MutexGuard<'_, ()> {
        let mut hasher = DefaultHasher::new();
        id.hash(&mut hasher);
        let stripe = usize::try_from(hasher.finish() % 64).unwrap_or_default();
        self.0[stripe].lock().await
    }
}

/// A finding and whom it was announced to.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Known {
    pub(super) finding: Finding,
    pub(super) seen_ms: i64,
    pub(super) announced_ms: Option<i64>,
    pub(super) announced_count: u64,
}

/// What has to be true of the item for it to be replaced.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Before {
    /// There is none, or it has expired.
    Absent,
    /// Its version, whatever stands there.
    Version(AttributeValue),
    /// There is one without a version: damaged.
    Unversioned,
}

impl Before {
    fn of(item: &Item) -> Self {
        item.get("version")
            .map_or(Self::Unversioned, |version| Self::Version(version.clone()))
    }

    fn condition(self, now_s: i64) -> (&'static str, Option<(&'static str, AttributeValue)>) {
        match self {
            Self::Absent => (
                "attribute_not_exists(pk) OR expires <= :now",
                Some((":now", number(now_s))),
            ),
            Self::Version(version) => ("version = :version", Some((":version", version))),
            Self::Unversioned => (
                "attribute_exists(pk) AND attribute_not_exists(version)",
                None,
            ),
        }
    }

    /// The version of what comes after it.
    fn next(&self) -> i64 {
        match self {
            Self::Version(AttributeValue::N(version)) => version
                .parse()
                .map_or(0, |version: i64| version.wrapping_add(1)),
            _ => 0,
        }
    }
}

impl Known {
    /// Nothing where it cannot be what was written: a sink would be told of another finding, or of none any
    /// more.
    fn of(item: &Item) -> Option<Self> {
        let known = Self {
            finding: serde_json::from_str(text_of(item, "finding")?).ok()?,
            seen_ms: number_of(item, "seen_ms")?,
            announced_ms: number_of(item, "announced_ms"),
            announced_count: number_of(item, "announced_count")?,
        };
        let is_itself = text_of(item, "pk")? == pk(&known.finding.id);
        (is_itself && known.announced_count <= known.finding.count).then_some(known)
    }

    fn is_owed(&self) -> bool {
        self.finding.count > self.announced_count
    }

    /// Since when it is owed: its last announcement, or attempt at one; its last sighting before that.
    fn due_ms(&self) -> i64 {
        let since = self.announced_ms.unwrap_or(self.seen_ms);
        since.max(self.finding.updated_ms)
    }
}

fn pk(id: &str) -> String {
    format!("finding#{id}")
}

fn shard(number: u64) -> AttributeValue {
    text(format!("due#{number}"))
}

fn shard_of(id: &str) -> AttributeValue {
    // Other versions of this program must come to the same.
    let hash = crate::digest::sha256(&[id.as_bytes()]);
    shard(u64::from(hash[0]) % SHARDS)
}

impl DynamoDb {
    /// A finding, and what has to be true for it to be replaced. A damaged one is none.
    pub(super) async fn read(&self, id: &str) -> anyhow::Result<(Option<Known>, Before)> {
        let Some(item) = self.get(pk(id)).await? else {
            return Ok((None, Before::Absent));
        };
        let before = Before::of(&item);
        let known = Known::of(&item);
        if known.is_none() {
            tracing::error!(
                finding = id,
                table = self.table,
                "a finding in the ledger is damaged; it is counted anew"
            );
        }
        Ok((known, before))
    }

    /// What writes a finding, if the item is still as it was.
    pub(super) fn replacing(&self, known: &Known, before: Before) -> anyhow::Result<Put> {
        let id = &known.finding.id;
        let mut put = Put::builder()
            .table_name(&self.table)
            .item("pk", text(pk(id)))
            .item("finding", text(count::stored(&known.finding)?))
            .item("version", number(before.next()))
            .item("seen_ms", number(known.seen_ms))
            .item("announced_count", number(known.announced_count));
        if let Some(at) = known.announced_ms {
            put = put.item("announced_ms", number(at));
        }
        put = if known.is_owed() {
            put.item("due", shard_of(id))
                .item("due_ms", number(known.due_ms()))
        } else {
            put.item("expires", number(self.expires_s()))
        };
        let (condition, value) = before.condition(self.now_s());
        put = put.condition_expression(condition);
        if let Some((name, value)) = value {
            put = put.expression_attribute_values(name, value);
        }
        Ok(put.build()?)
    }

    /// Writes all of it or nothing; false where others came before.
    pub(super) async fn write(&self, puts: Vec<Put>) -> anyhow::Result<bool> {
        let items = puts
            .into_iter()
            .map(|put| TransactWriteItem::builder().put(put).build())
            .collect();
        let request = self
            .client
            .transact_write_items()
            .set_transact_items(Some(items));
        match request.send().await {
            Ok(_) => Ok(true),
            Err(error) if error.code() == Some("TransactionCanceledException") => {
                tracing::debug!(
                    error = format!("{:#}", self.told(&error)),
                    "a write to the ledger is tried again"
                );
                Ok(false)
            }
            Err(error) => Err(self.told(&error)),
        }
    }

    /// Removes what is no finding, unless somebody has made one of it.
    async fn remove(&self, id: &str, before: Before) -> anyhow::Result<()> {
        let (condition, value) = before.condition(self.now_s());
        let value = value.map(|(name, value)| HashMap::from([(name.to_owned(), value)]));
        let request = self
            .client
            .delete_item()
            .table_name(&self.table)
            .key("pk", text(pk(id)))
            .condition_expression(condition)
            .set_expression_attribute_values(value);
        match request.send().await {
            Ok(_) => Ok(()),
            Err(error) if is_refused(&error) => Ok(()),
            Err(error) => Err(self.told(&error)),
        }
    }

    /// Changes a finding that is there, and returns it as it is then.
    pub(super) async fn change(
        &self,
        id: &str,
        change: impl Fn(&mut Known) + Send,
    ) -> anyhow::Result<Option<Known>> {
        let _mine = self.stripes.lock(id).await;
        for attempt in 0..TRIES {
            let (known, before) = self.read(id).await?;
            let Some(mut known) = known else {
                if before != Before::Absent {
                    self.remove(id, before).await?;
                }
                return Ok(None);
            };
            change(&mut known);
            let put = self.replacing(&known, before)?;
            if self.write(vec![put]).await? {
                return Ok(Some(known));
            }
            tokio::time::sleep(BACKOFF.jittered(attempt, None)).await;
        }
        anyhow::bail!(
            "finding {id} could not be written in {TRIES} tries: others came before, or the table is throttled"
        )
    }

    /// Findings that are owed and were neither announced nor taken since `before_ms`, oldest first.
    pub(super) async fn owed(&self, before_ms: i64, limit: usize) -> anyhow::Result<Vec<String>> {
        let mut named: Vec<(i64, String)> = Vec::new();
        for number in 0..SHARDS {
            named.extend(self.owed_of(number, before_ms, limit).await?);
        }
        named.sort_unstable();
        named.truncate(limit);
        // The index is a little late: a finding may have been announced, or taken, in the meantime.
        let keys = named.iter().map(|(_, id)| pk(id)).collect();
        let found = self.get_all(keys).await?;
        let still = |(_, id): &(i64, String)| {
            // One that is damaged stays here, so that whoever takes it removes it.
            found.get(&pk(id)).is_some_and(|item| {
                Known::of(item).is_none_or(|known| known.is_owed() && known.due_ms() < before_ms)
            })
        };
        named.retain(still);
        Ok(named.into_iter().map(|(_, id)| id).collect())
    }

    async fn owed_of(
        &self,
        number: u64,
        before_ms: i64,
        limit: usize,
    ) -> anyhow::Result<Vec<(i64, String)>> {
        let mut named = Vec::new();
        let mut from: Option<Item> = None;
        while named.len() < limit {
            let page = i32::try_from(limit - named.len()).unwrap_or(i32::MAX);
            let answer = self
                .client
                .query()
                .table_name(&self.table)
                .index_name(INDEX)
                .key_condition_expression("due = :due AND due_ms < :before")
                .expression_attribute_values(":due", shard(number))
                .expression_attribute_values(":before", item::number(before_ms))
                .limit(page)
                .set_exclusive_start_key(from)
                .send()
                .await
                .map_err(|error| self.told(&error))?;
            named.extend(answer.items().iter().filter_map(|item| {
                let id = text_of(item, "pk")?.strip_prefix("finding#")?;
                Some((number_of(item, "due_ms")?, id.to_owned()))
            }));
            from = answer.last_evaluated_key;
            if from.is_none() {
                break;
            }
        }
        Ok(named)
    }
}
