//! Whether a table is one for the ledger.

use anyhow::{Context as _, ensure};
use aws_sdk_dynamodb::types::{KeySchemaElement, KeyType, TableStatus, TimeToLiveStatus};

use super::{DynamoDb, INDEX};
use crate::text::shown;

/// What was seen of a table whose keys are right.
pub(super) struct Seen {
    /// Whether it deletes what has expired.
    pub(super) expires: bool,
}

impl DynamoDb {
    /// Looks at the table, for `check --online`.
    ///
    /// # Errors
    /// Says what is wrong and what to do.
    pub async fn check(&self) -> anyhow::Result<String> {
        let seen = self.look().await?;
        ensure!(
            seen.expires,
            "table {} never forgets: switch its TTL on, with the attribute `expires`",
            shown(&self.table)
        );
        Ok(format!(
            "table {} has the right keys and forgets after {} days",
            shown(&self.table),
            self.keep.as_secs() / 86_400
        ))
    }

    pub(super) async fn look(&self) -> anyhow::Result<Seen> {
        let request = self.client.describe_table().table_name(&self.table);
        let answer = request.send().await.map_err(|error| self.told(&error));
        let answer = answer.context("failed to describe the ledger's table")?;
        let name = shown(&self.table);
        let table = answer
            .table
            .with_context(|| format!("table {name} is not there"))?;
        ensure!(
            matches!(
                table.table_status,
                Some(TableStatus::Active | TableStatus::Updating)
            ),
            "table {name} is not ready: {:?}",
            table.table_status
        );
        ensure!(
            has_keys(table.key_schema(), "pk", None),
            "table {name} must have the partition key `pk` and no sort key; make it anew"
        );
        let index = table
            .global_secondary_indexes()
            .iter()
            .find(|index| index.index_name() == Some(INDEX));
        ensure!(
            index.is_some_and(|index| has_keys(index.key_schema(), "due", Some("due_ms"))),
            "table {name} must have an index `{INDEX}` with the partition key `due` and the sort key `due_ms`"
        );
        let request = self.client.describe_time_to_live().table_name(&self.table);
        let answer = request.send().await.map_err(|error| self.told(&error));
        let answer = answer.context("failed to ask what expires in the ledger's table")?;
        let expiry = answer.time_to_live_description;
        Ok(Seen {
            expires: expiry.is_some_and(|expiry| {
                let on = [TimeToLiveStatus::Enabled, TimeToLiveStatus::Enabling];
                expiry.attribute_name() == Some("expires")
                    && expiry
                        .time_to_live_status
                        .is_some_and(|status| on.contains(&status))
            }),
        })
    }
}

fn has_keys(schema: &[KeySchemaElement], partition: &str, sort: Option<&str>) -> bool {
    let key = |kind: &KeyType| {
        let mut of_kind = schema.iter().filter(|key| key.key_type() == kind);
        of_kind.next().map(KeySchemaElement::attribute_name)
    };
    key(&KeyType::Hash) == Some(partition) && key(&KeyType::Range) == sort
}
