//! The ledger in one `DynamoDB` table, for a fleet of hosts on one queue.
//!
//! The table has a partition key and no sort key, for nothing is ever listed: whoever asks knows what for.
//! An item's `pk` says what it is:
//!
//! | `pk` | attributes |
//! | --- | --- |
//! | `object#<id>` | `deliveries` (who has all of it), `upto#<delivery>` (how far another has got), `url`, `sha256` |
//! | `claim#<place>` | `owner`, `until_ms` |
//! | `finding#<finding id>` | `finding` (JSON), `version`, `seen_ms`, `announced_ms`, `announced_count`, `due`, `due_ms` |
//! | `event#<hash of finding id and identity>` | nothing else: the event was counted in that finding |
//!
//! Every item but a finding that is owed to a sink has `expires`, in seconds since 1970, by which
//! `DynamoDB` deletes it. It does so when it likes, within days: what has expired is treated as absent
//! while it is still there. A finding that is owed has `due` and `due_ms` instead, the keys of the index
//! [`INDEX`], so that the owed ones are found without a look at the others.
//!
//! A finding is only ever replaced on condition that its `version` is the one that was read, and the events
//! that it counts are written in the same transaction. Hosts that meet at one finding therefore go one
//! after the other, and none of them counts what another has counted.

mod events;
mod findings;
mod item;
mod table;

use std::{sync::Arc, time::Duration};

use anyhow::Context as _;
use async_trait::async_trait;
use aws_config::{BehaviorVersion, Region, SdkConfig, retry::RetryConfig, timeout::TimeoutConfig};
use aws_sdk_dynamodb::{
    Client,
    error::{DisplayErrorContext, ProvideErrorMetadata, SdkError},
    types::AttributeValue,
};

use self::{
    findings::Stripes,
    item::{Item, number, text},
};
use super::{Claim, Known, Ledger, Observed, claims::LONGEST_MS};
use crate::{
    clock::{self, Clock},
    digest::hex,
    event::ObjectId,
    finding::{Finding, Sighting},
    sink::retry::Backoff,
    text::shown,
};

/// The index of findings that are owed: partition key `due`, sort key `due_ms`, keys only.
pub const INDEX: &str = "owed";

/// How often a write is tried that others came before.
const TRIES: u32 = 12;
const BACKOFF: Backoff = Backoff {
    initial: Duration::from_millis(20),
    max: Duration::from_secs(1),
};

/// How a table is reached and how long what lies in it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Name of the table.
    pub table: String,
    /// Its region.
    pub region: String,
    /// Another address of the service, such as a VPC endpoint or a test server.
    pub endpoint_url: Option<String>,
    /// How long what is known is kept.
    pub keep: Duration,
}

/// See the module.
#[derive(Clone)]
pub struct DynamoDb {
    client: Client,
    table: String,
    keep: Duration,
    clock: Clock,
    stripes: Arc<Stripes>,
}

impl DynamoDb {
    /// Connects with credentials from the environment, as every AWS tool finds them, and looks whether the
    /// table is one for this.
    ///
    /// # Errors
    /// When the table cannot be asked, or has other keys.
    pub async fn connect(settings: &Settings) -> anyhow::Result<Self> {
        let timeouts = TimeoutConfig::builder()
            .connect_timeout(Duration::from_secs(3))
            .operation_attempt_timeout(Duration::from_secs(5))
            .build();
        let mut loader = aws_config::defaults(BehaviorVersion::latest())
            .region(Region::new(settings.region.clone()))
            .retry_config(RetryConfig::standard().with_max_attempts(4))
            .timeout_config(timeouts);
        if let Some(url) = &settings.endpoint_url {
            loader = loader.endpoint_url(url);
        }
        let ledger = Self::with_config(settings, &loader.load().await);
        if !ledger.look().await?.expires {
            tracing::warn!(
                table = settings.table,
                "nothing expires in the ledger's table, which grows without end; switch its TTL on for `expires`"
            );
        }
        Ok(ledger)
    }

    /// The same with the caller's own credentials and HTTP client, and nothing asked.
    #[must_use]
    pub fn with_config(settings: &Settings, config: &SdkConfig) -> Self {
        Self {
            client: Client::new(config),
            table: settings.table.clone(),
            keep: settings.keep,
            clock: clock::system(),
            stripes: Arc::default(),
        }
    }

    /// Tells age by this clock.
    #[must_use]
    pub fn with_clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    fn now_s(&self) -> i64 {
        (self.clock)().div_euclid(1_000)
    }

    /// When something that is written now expires, in seconds since 1970.
    fn expires_s(&self) -> i64 {
        let keep_s = i64::try_from(self.keep.as_secs()).unwrap_or(i64::MAX);
        self.now_s().saturating_add(keep_s)
    }

    /// An item as it is after every write that was answered; nothing where it has expired.
    async fn get(&self, pk: String) -> anyhow::Result<Option<Item>> {
        let answer = self
            .client
            .get_item()
            .table_name(&self.table)
            .key("pk", AttributeValue::S(pk))
            .consistent_read(true)
            .send()
            .await
            .map_err(|error| self.told(&error))?;
        Ok(answer
            .item
            .filter(|item| item::is_alive(item, self.now_s())))
    }

    /// Replaces what is damaged so that no delivery can be added to it; false where it is not. Whoever had the
    /// object, and whose delivery is not named here, gets it once more.
    async fn complete_anew(
        &self,
        object: ObjectId,
        url: &str,
        deliveries: &[String],
        sha256: Option<[u8; 32]>,
    ) -> anyhow::Result<bool> {
        let request = self
            .client
            .put_item()
            .table_name(&self.table)
            .item("pk", text(object_pk(object)))
            .item("deliveries", AttributeValue::Ss(deliveries.to_vec()))
            .item("url", text(url))
            .item("expires", number(self.expires_s()))
            .condition_expression(
                "attribute_exists(deliveries) AND NOT attribute_type(deliveries, :texts)",
            )
            .expression_attribute_values(":texts", text("SS"));
        let request = match sha256 {
            Some(hash) => request.item("sha256", text(hex(&hash))),
            None => request,
        };
        match request.send().await {
            Ok(_) => {
                tracing::error!(
                    object = url,
                    table = self.table,
                    "what the ledger knew of an object is damaged; other sinks get it once more"
                );
                Ok(true)
            }
            Err(error) if is_refused(&error) => Ok(false),
            Err(error) => Err(self.told(&error)),
        }
    }

    fn told(&self, error: &(dyn std::error::Error + 'static)) -> anyhow::Error {
        anyhow::anyhow!("{}", shown(&DisplayErrorContext(error).to_string()))
            .context(format!("table {}", shown(&self.table)))
    }
}

/// Whether a condition did not hold: somebody else was there before.
fn is_refused<E: ProvideErrorMetadata, R>(error: &SdkError<E, R>) -> bool {
    error.code() == Some("ConditionalCheckFailedException")
}

fn object_pk(object: ObjectId) -> String {
    format!("object#{object}")
}

#[async_trait]
impl Ledger for DynamoDb {
    async fn claim(&self, claim: &Claim, now_ms: i64, until_ms: i64) -> anyhow::Result<bool> {
        let request = self
            .client
            .put_item()
            .table_name(&self.table)
            .item("pk", text(format!("claim#{}", claim.place)))
            .item("owner", text(&claim.owner))
            .item("until_ms", number(until_ms))
            // It means nothing once `until_ms` is over; an hour, so that no clock is too wrong for it.
            .item("expires", number(until_ms.div_euclid(1_000) + 3_600))
            .condition_expression("#owner = :me OR NOT (until_ms BETWEEN :next AND :longest)")
            .expression_attribute_names("#owner", "owner")
            .expression_attribute_values(":me", text(&claim.owner))
            .expression_attribute_values(":next", number(now_ms.saturating_add(1)))
            .expression_attribute_values(":longest", number(now_ms.saturating_add(LONGEST_MS)));
        match request.send().await {
            Ok(_) => Ok(true),
            Err(error) if is_refused(&error) => Ok(false),
            Err(error) => Err(self.told(&error)).context("failed to claim an object"),
        }
    }

    async fn release(&self, claim: &Claim) -> anyhow::Result<()> {
        let request = self
            .client
            .delete_item()
            .table_name(&self.table)
            .key("pk", text(format!("claim#{}", claim.place)))
            .condition_expression("#owner = :me")
            .expression_attribute_names("#owner", "owner")
            .expression_attribute_values(":me", text(&claim.owner));
        match request.send().await {
            Ok(_) => Ok(()),
            Err(error) if is_refused(&error) => Ok(()),
            Err(error) => Err(self.told(&error)).context("failed to release a claim"),
        }
    }

    async fn known(&self, object: ObjectId) -> anyhow::Result<Known> {
        let item = self.get(object_pk(object)).await;
        let item = item.context("failed to read completions")?;
        Ok(item.as_ref().map(item::known).unwrap_or_default())
    }

    async fn reached(
        &self,
        object: ObjectId,
        url: &str,
        delivery: &str,
        upto: u32,
    ) -> anyhow::Result<()> {
        let request = self
            .client
            .update_item()
            .table_name(&self.table)
            .key("pk", text(object_pk(object)))
            .update_expression("SET #upto = :upto, #url = :url, expires = :expires")
            .condition_expression("attribute_not_exists(#upto) OR #upto < :upto")
            .expression_attribute_names("#upto", item::upto(delivery))
            .expression_attribute_names("#url", "url")
            .expression_attribute_values(":upto", number(upto))
            .expression_attribute_values(":url", text(url))
            .expression_attribute_values(":expires", number(self.expires_s()));
        match request.send().await {
            Ok(_) => Ok(()),
            Err(error) if is_refused(&error) => Ok(()),
            Err(error) => Err(self.told(&error)).context("failed to write a mark"),
        }
    }

    async fn complete(
        &self,
        object: ObjectId,
        url: &str,
        deliveries: &[String],
        sha256: Option<[u8; 32]>,
    ) -> anyhow::Result<()> {
        if deliveries.is_empty() {
            return Ok(());
        }
        // Also where the item has expired: who had all of the object then has it still.
        let mut update =
            "ADD deliveries :deliveries SET #url = :url, expires = :expires".to_owned();
        if sha256.is_some() {
            update.push_str(", sha256 = :sha256");
        }
        let marks = (0..deliveries.len()).map(|number| format!("#upto{number}"));
        let marks: Vec<_> = marks.collect();
        update.push_str(" REMOVE ");
        update.push_str(&marks.join(", "));
        let names = marks.into_iter().zip(deliveries);
        let names = names.map(|(mark, delivery)| (mark, item::upto(delivery)));
        let names = names.chain([("#url".to_owned(), "url".to_owned())]);
        let request = self
            .client
            .update_item()
            .table_name(&self.table)
            .key("pk", text(object_pk(object)))
            .update_expression(update)
            .set_expression_attribute_names(Some(names.collect()))
            .expression_attribute_values(":deliveries", AttributeValue::Ss(deliveries.to_vec()))
            .expression_attribute_values(":url", text(url))
            .expression_attribute_values(":expires", number(self.expires_s()));
        let request = match sha256 {
            Some(hash) => request.expression_attribute_values(":sha256", text(hex(&hash))),
            None => request,
        };
        let written = match request.send().await {
            Ok(_) => Ok(()),
            Err(error) if error.code() == Some("ValidationException") => {
                let refused = self.told(&error);
                self.complete_anew(object, url, deliveries, sha256)
                    .await
                    .and_then(|is_mended| if is_mended { Ok(()) } else { Err(refused) })
            }
            Err(error) => Err(self.told(&error)),
        };
        written.context("failed to write completions")
    }

    async fn inflated_sha256(&self, object: ObjectId) -> anyhow::Result<Option<[u8; 32]>> {
        let item = self.get(object_pk(object)).await;
        let item = item.context("failed to read the hash of an object")?;
        Ok(item.as_ref().and_then(|item| item::hash(item, "sha256")))
    }

    async fn observe(
        &self,
        sightings: Vec<Sighting>,
        now_ms: i64,
    ) -> anyhow::Result<Vec<Observed>> {
        let observed = self.count(sightings, now_ms).await;
        observed.context("failed to count sightings")
    }

    async fn take(&self, id: &str, now_ms: i64) -> anyhow::Result<Option<Finding>> {
        let taken = self
            .change(id, |known| {
                let finding = &mut known.finding;
                finding.updated_ms = now_ms.max(finding.updated_ms.saturating_add(1));
            })
            .await
            .context("failed to take a finding")?;
        Ok(taken.map(|known| known.finding))
    }

    async fn announced(&self, id: &str, updated_ms: i64, count: u64) -> anyhow::Result<()> {
        self.change(id, |known| {
            let latest = known
                .announced_ms
                .map_or(updated_ms, |at| at.max(updated_ms));
            known.announced_ms = Some(latest);
            known.announced_count = known.announced_count.max(count);
        })
        .await
        .map(drop)
        .context("failed to note an announcement")
    }

    async fn outdated(&self, before_ms: i64, limit: usize) -> anyhow::Result<Vec<String>> {
        let outdated = self.owed(before_ms, limit).await;
        outdated.context("failed to look for outdated findings")
    }

    /// `DynamoDB` deletes by itself what has expired.
    async fn prune(&self) -> anyhow::Result<()> {
        Ok(())
    }
}

impl std::fmt::Debug for DynamoDb {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DynamoDb")
            .field("table", &self.table)
            .finish_non_exhaustive()
    }
}
