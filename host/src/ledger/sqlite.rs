//! The ledger in one `SQLite` file, for one host.
//!
//! Write-ahead log with `synchronous = FULL`: a message is deleted because a finding's state is in
//! here, so that a commit has to survive a power cut. Objects that are done at the same time share one
//! (`group`).

use std::{
    collections::HashMap,
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use anyhow::{Context as _, ensure};
use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension as _, Transaction, params};

use super::{
    Claim, KEEP, Known, Ledger, Observed,
    claims::Claims,
    count::{add, begin},
    database::{self, Schema},
    group::Group,
};
use crate::{
    clock::{self, Clock},
    event::ObjectId,
    finding::{Finding, Sighting},
};

const SCHEMA: Schema = Schema {
    name: "ledger",
    version: 1,
    synchronous: "FULL",
    loss: "some events may be delivered twice",
    tables: TABLES,
};

const TABLES: &str = "
CREATE TABLE objects (
    id BLOB PRIMARY KEY, url TEXT NOT NULL, sha256 BLOB, updated_ms INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX objects_by_age ON objects (updated_ms);
CREATE TABLE completions (
    object BLOB NOT NULL, delivery TEXT NOT NULL, PRIMARY KEY (object, delivery)
) WITHOUT ROWID;
CREATE TABLE findings (
    number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, finding TEXT NOT NULL,
    count INTEGER NOT NULL, seen_ms INTEGER NOT NULL,
    announced_ms INTEGER, announced_count INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX findings_outdated ON findings (coalesce(announced_ms, seen_ms)) WHERE count > announced_count;
CREATE INDEX findings_by_age ON findings (seen_ms);
CREATE TABLE finding_events (
    finding INTEGER NOT NULL, identity BLOB NOT NULL, PRIMARY KEY (finding, identity)
) WITHOUT ROWID;
";

/// Made beside the tables of version 1: a program that does not know it sends more twice, and nothing else.
const PROGRESS: &str = "
CREATE TABLE IF NOT EXISTS progress (
    object BLOB NOT NULL, delivery TEXT NOT NULL, upto INTEGER NOT NULL, PRIMARY KEY (object, delivery)
) WITHOUT ROWID;
";

/// See the module.
#[derive(Clone)]
pub struct Sqlite {
    group: Group,
    /// One host has the file, so that its claims may end with it.
    claims: Arc<Mutex<Claims>>,
    keep: Duration,
    clock: Clock,
}

impl Sqlite {
    /// Opens the file, and makes it where it is missing. A damaged file is put aside under a name that
    /// ends in `.damaged-<milliseconds>`, and a new one begun: that costs duplicates, no events.
    ///
    /// # Errors
    /// When the file cannot be opened, is in use, or was written by a newer version.
    pub fn open(path: &Path) -> anyhow::Result<Self> {
        Self::over(database::open(path, &SCHEMA)?)
    }

    /// A ledger that is gone with its last clone, for tests and embedding.
    ///
    /// # Errors
    /// When memory for it cannot be had.
    pub fn in_memory() -> anyhow::Result<Self> {
        let connection =
            Connection::open_in_memory().context("failed to open a ledger in memory")?;
        database::prepare(&connection, &SCHEMA)?;
        Self::over(connection)
    }

    fn over(connection: Connection) -> anyhow::Result<Self> {
        connection
            .execute_batch(PROGRESS)
            .context("failed to create the table of progress")?;
        Ok(Self {
            group: Group::new(connection),
            claims: Arc::default(),
            keep: KEEP,
            clock: clock::system(),
        })
    }

    /// Keeps what it knows for so long.
    #[must_use]
    pub fn keeping(mut self, keep: Duration) -> Self {
        self.keep = keep;
        self
    }

    /// Tells age by this clock.
    #[must_use]
    pub fn with_clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    fn claims(&self) -> MutexGuard<'_, Claims> {
        self.claims.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// See [`Group::transact`].
    async fn transact<T: Send + 'static>(
        &self,
        what: &'static str,
        work: impl FnOnce(&Transaction<'_>) -> anyhow::Result<T> + Send + 'static,
    ) -> anyhow::Result<T> {
        self.group.transact(what, work).await
    }
}

impl std::fmt::Debug for Sqlite {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sqlite").finish_non_exhaustive()
    }
}

#[async_trait]
impl Ledger for Sqlite {
    async fn claim(&self, claim: &Claim, now_ms: i64, until_ms: i64) -> anyhow::Result<bool> {
        Ok(self.claims().take(claim, now_ms, until_ms))
    }

    async fn release(&self, claim: &Claim) -> anyhow::Result<()> {
        self.claims().release(claim);
        Ok(())
    }

    async fn known(&self, object: ObjectId) -> anyhow::Result<Known> {
        self.transact("read completions", move |tx| {
            let mut query =
                tx.prepare_cached("SELECT delivery FROM completions WHERE object = ?1")?;
            let rows = query.query_map([object.0], |row| row.get(0))?;
            let complete = rows.collect::<Result<_, _>>()?;
            let mut query =
                tx.prepare_cached("SELECT delivery, upto FROM progress WHERE object = ?1")?;
            let rows = query.query_map([object.0], |row| Ok((row.get(0)?, row.get(1)?)))?;
            let upto = rows.collect::<Result<_, _>>()?;
            Ok(Known { complete, upto })
        })
        .await
    }

    async fn reached(
        &self,
        object: ObjectId,
        url: &str,
        delivery: &str,
        upto: u32,
    ) -> anyhow::Result<()> {
        let (url, delivery, now_ms) = (url.to_owned(), delivery.to_owned(), (self.clock)());
        self.transact("write a mark", move |tx| {
            tx.prepare_cached(
                "INSERT INTO objects (id, url, updated_ms) VALUES (?1, ?2, ?3) ON CONFLICT (id) \
                 DO UPDATE SET updated_ms = excluded.updated_ms",
            )?
            .execute(params![object.0, url, now_ms])?;
            tx.prepare_cached(
                "INSERT INTO progress (object, delivery, upto) VALUES (?1, ?2, ?3) \
                 ON CONFLICT (object, delivery) DO UPDATE SET upto = max(upto, excluded.upto)",
            )?
            .execute(params![object.0, delivery, upto])?;
            Ok(())
        })
        .await
    }

    async fn complete(
        &self,
        object: ObjectId,
        url: &str,
        deliveries: &[String],
        sha256: Option<[u8; 32]>,
    ) -> anyhow::Result<()> {
        let (url, deliveries, now_ms) = (url.to_owned(), deliveries.to_vec(), (self.clock)());
        self.transact("write completions", move |tx| {
            tx.prepare_cached(
                "INSERT INTO objects (id, url, sha256, updated_ms) VALUES (?1, ?2, ?3, ?4) ON CONFLICT (id) \
                 DO UPDATE SET sha256 = coalesce(excluded.sha256, sha256), updated_ms = excluded.updated_ms",
            )?
            .execute(params![object.0, url, sha256, now_ms])?;
            let mut insert =
                tx.prepare_cached("INSERT OR IGNORE INTO completions (object, delivery) VALUES (?1, ?2)")?;
            let mut unmark =
                tx.prepare_cached("DELETE FROM progress WHERE object = ?1 AND delivery = ?2")?;
            for delivery in deliveries {
                insert.execute(params![object.0, delivery])?;
                unmark.execute(params![object.0, delivery])?;
            }
            Ok(())
        })
        .await
    }

    async fn inflated_sha256(&self, object: ObjectId) -> anyhow::Result<Option<[u8; 32]>> {
        self.transact("read the hash of an object", move |tx| {
            let mut query = tx.prepare_cached("SELECT sha256 FROM objects WHERE id = ?1")?;
            let hash: Option<Option<[u8; 32]>> =
                query.query_row([object.0], |row| row.get(0)).optional()?;
            Ok(hash.flatten())
        })
        .await
    }

    async fn observe(
        &self,
        sightings: Vec<Sighting>,
        now_ms: i64,
    ) -> anyhow::Result<Vec<Observed>> {
        self.transact("count sightings", move |tx| {
            let mut rows: HashMap<String, Row> = HashMap::new();
            let mut order = Vec::new();
            for sighting in &sightings {
                let id = sighting.finding_id();
                if !rows.contains_key(&id) {
                    rows.insert(id.clone(), Row::load_or_new(tx, &id, sighting, now_ms)?);
                    order.push(id.clone());
                }
                let row = rows.get_mut(&id).expect("it was inserted above");
                row.count(tx, sighting)?;
            }
            let mut observed = Vec::with_capacity(order.len());
            for id in order {
                let row = rows.remove(&id).expect("every id in the order has its row");
                row.save(tx, now_ms)?;
                observed.push(Observed {
                    finding: row.finding,
                    announced: row.announced,
                });
            }
            Ok(observed)
        })
        .await
    }

    async fn take(&self, id: &str, now_ms: i64) -> anyhow::Result<Option<Finding>> {
        let id = id.to_owned();
        self.transact("take a finding", move |tx| {
            let Some(mut row) = Row::load(tx, &id)? else {
                return Ok(None);
            };
            row.finding.updated_ms = now_ms.max(row.finding.updated_ms.saturating_add(1));
            row.changed = true;
            row.save(tx, now_ms)?;
            Ok(Some(row.finding))
        })
        .await
    }

    async fn announced(&self, id: &str, updated_ms: i64, count: u64) -> anyhow::Result<()> {
        let id = id.to_owned();
        self.transact("note an announcement", move |tx| {
            tx.prepare_cached(
                "UPDATE findings SET announced_ms = max(coalesce(announced_ms, ?2), ?2), \
                 announced_count = max(announced_count, ?3) WHERE id = ?1",
            )?
            .execute(params![
                id,
                updated_ms,
                i64::try_from(count).unwrap_or(i64::MAX)
            ])?;
            Ok(())
        })
        .await
    }

    async fn outdated(&self, before_ms: i64, limit: usize) -> anyhow::Result<Vec<String>> {
        self.transact("look for outdated findings", move |tx| {
            let mut query = tx.prepare_cached(
                "SELECT id FROM findings WHERE count > announced_count \
                 AND coalesce(announced_ms, seen_ms) < ?1 ORDER BY coalesce(announced_ms, seen_ms), id LIMIT ?2",
            )?;
            let limit = i64::try_from(limit).unwrap_or(i64::MAX);
            // A damaged row is nobody's finding, and must not hold up those of others.
            let rows = query.query_map(params![before_ms, limit], |row| Ok(row.get(0).ok()))?;
            Ok(rows.filter_map(Result::transpose).collect::<Result<_, _>>()?)
        })
        .await
    }

    async fn prune(&self) -> anyhow::Result<()> {
        let keep_ms = i64::try_from(self.keep.as_millis()).unwrap_or(i64::MAX);
        let before_ms = (self.clock)().saturating_sub(keep_ms);
        self.transact("prune the ledger", move |tx| {
            for statement in [
                "DELETE FROM completions WHERE object IN (SELECT id FROM objects WHERE updated_ms < ?1)",
                "DELETE FROM progress WHERE object IN (SELECT id FROM objects WHERE updated_ms < ?1)",
                "DELETE FROM objects WHERE updated_ms < ?1",
                "DELETE FROM finding_events WHERE finding IN \
                 (SELECT number FROM findings WHERE seen_ms < ?1 AND count <= announced_count)",
                "DELETE FROM findings WHERE seen_ms < ?1 AND count <= announced_count",
            ] {
                tx.execute(statement, [before_ms])?;
            }
            Ok(())
        })
        .await
    }
}

/// The count by itself, as far as the file has numbers.
fn stored_count(finding: &Finding) -> i64 {
    i64::try_from(finding.count).unwrap_or(i64::MAX)
}

/// A finding with its place in the file.
struct Row {
    number: i64,
    finding: Finding,
    announced: bool,
    changed: bool,
}

impl Row {
    fn load(tx: &Transaction<'_>, id: &str) -> anyhow::Result<Option<Self>> {
        let mut query = tx.prepare_cached(
            "SELECT number, finding, count, seen_ms, announced_ms, announced_count FROM findings WHERE id = ?1",
        )?;
        let found: Option<(i64, anyhow::Result<Self>)> = query
            .query_row([id], |row| Ok((row.get(0)?, Self::read(row, id))))
            .optional()?;
        let Some((number, row)) = found else {
            return Ok(None);
        };
        match row {
            Ok(row) => Ok(Some(row)),
            Err(error) => {
                tracing::error!(
                    finding = id,
                    error = format!("{error:#}"),
                    "a finding in the ledger is damaged; it is counted anew"
                );
                tx.prepare_cached("DELETE FROM finding_events WHERE finding = ?1")?
                    .execute([number])?;
                tx.prepare_cached("DELETE FROM findings WHERE number = ?1")?
                    .execute([number])?;
                Ok(None)
            }
        }
    }

    /// Reads a row, and fails where it cannot be what was written: a sink would be told of another finding,
    /// or of none any more.
    fn read(row: &rusqlite::Row<'_>, id: &str) -> anyhow::Result<Self> {
        let text: String = row.get(1)?;
        let finding: Finding = serde_json::from_str(&text)?;
        let (count, announced_count): (i64, i64) = (row.get(2)?, row.get(5)?);
        let (_, announced_ms): (i64, Option<i64>) = (row.get(3)?, row.get(4)?);
        ensure!(finding.id == id, "it is finding {}", finding.id);
        ensure!(
            (0..=count).contains(&announced_count) && stored_count(&finding) == count,
            "its counts disagree"
        );
        Ok(Self {
            number: row.get(0)?,
            finding,
            announced: announced_ms.is_some(),
            changed: false,
        })
    }

    fn load_or_new(
        tx: &Transaction<'_>,
        id: &str,
        first: &Sighting,
        now_ms: i64,
    ) -> anyhow::Result<Self> {
        if let Some(row) = Self::load(tx, id)? {
            return Ok(row);
        }
        tx.prepare_cached(
            "INSERT INTO findings (id, finding, count, seen_ms) VALUES (?1, '', 0, ?2)",
        )?
        .execute(params![id, now_ms])?;
        let finding = begin(id, first, now_ms);
        Ok(Self {
            number: tx.last_insert_rowid(),
            finding,
            announced: false,
            changed: true,
        })
    }

    fn count(&mut self, tx: &Transaction<'_>, sighting: &Sighting) -> anyhow::Result<()> {
        let inserted = tx
            .prepare_cached(
                "INSERT OR IGNORE INTO finding_events (finding, identity) VALUES (?1, ?2)",
            )?
            .execute(params![self.number, sighting.identity])?;
        if inserted > 0 {
            add(&mut self.finding, sighting);
            self.changed = true;
        }
        Ok(())
    }

    fn save(&self, tx: &Transaction<'_>, now_ms: i64) -> anyhow::Result<()> {
        if self.changed {
            let finding =
                serde_json::to_string(&self.finding).context("failed to encode a finding")?;
            let count = stored_count(&self.finding);
            tx.prepare_cached(
                "UPDATE findings SET finding = ?2, count = ?3, seen_ms = max(seen_ms, ?4) WHERE number = ?1",
            )?
            .execute(params![self.number, finding, count, now_ms])?;
        }
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;
    use crate::finding::{EventFacts, Severity};

    #[tokio::test]
    async fn what_was_written_is_there_after_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ledger");
        let object = ObjectId([7; 16]);
        Sqlite::open(&path)
            .unwrap()
            .complete(object, "s3://b/k", &["splunk".into()], None)
            .await
            .unwrap();
        assert_eq!(
            Sqlite::open(&path)
                .unwrap()
                .completed(object)
                .await
                .unwrap(),
            ["splunk"]
        );
    }

    #[tokio::test]
    async fn a_damaged_file_is_put_aside_and_a_new_one_begun() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ledger");
        std::fs::write(&path, "this is no database, and never was one".repeat(100)).unwrap();
        let ledger = Sqlite::open(&path).unwrap();
        assert!(
            ledger
                .completed(ObjectId([1; 16]))
                .await
                .unwrap()
                .is_empty()
        );
        let names = std::fs::read_dir(folder.path()).unwrap();
        let aside = |name: &str| name.starts_with("ledger.damaged-");
        assert!(
            names
                .into_iter()
                .any(|entry| aside(&entry.unwrap().file_name().to_string_lossy()))
        );
    }

    fn sighting(entity: &str) -> Sighting {
        Sighting {
            plugin: "p".into(),
            rule: "r".into(),
            title: "t".into(),
            description: "d".into(),
            severity: Severity::Low,
            entity: vec![entity.into()],
            window_s: 60,
            attributes: Vec::new(),
            event: EventFacts::default().into(),
            identity: [1; 16],
        }
    }

    /// Each row that cannot be what was written is counted anew, and holds up no other.
    #[tokio::test]
    async fn a_damaged_finding_is_counted_anew() {
        let damages = [
            "finding = '{'",
            "finding = x'00'",
            "finding = (SELECT finding FROM findings WHERE id != ?1)",
            "count = 9",
            "count = -1",
            "count = 'one'",
            "announced_count = 2",
            "announced_count = -1",
            "announced_ms = 'now'",
            "seen_ms = x'00'",
        ];
        for damage in damages {
            let ledger = Sqlite::in_memory().unwrap();
            let both = || vec![sighting("a"), sighting("b")];
            let observed = ledger.observe(both(), 100).await.unwrap();
            let id = observed[0].finding.id.clone();
            let damage = format!("UPDATE findings SET {damage} WHERE id = ?1");
            let changed = ledger.group.connection().execute(&damage, [&id]);
            assert_eq!(changed.unwrap(), 1);
            let owed = ledger.outdated(101, 9).await.unwrap();
            assert!(owed.contains(&observed[1].finding.id), "{damage}");
            assert_eq!(
                ledger.observe(both(), 100).await.unwrap(),
                observed,
                "{damage}"
            );
            assert_eq!(ledger.outdated(101, 9).await.unwrap().len(), 2, "{damage}");
        }
    }

    #[tokio::test]
    async fn a_finding_without_a_name_holds_up_no_other() {
        let ledger = Sqlite::in_memory().unwrap();
        let observed = ledger
            .observe(vec![sighting("a"), sighting("b")], 100)
            .await;
        let observed = observed.unwrap();
        let damage = "UPDATE findings SET id = x'00' WHERE id = ?1";
        let id = &observed[0].finding.id;
        let changed = ledger.group.connection().execute(damage, [id]);
        assert_eq!(changed.unwrap(), 1);
        assert_eq!(
            ledger.outdated(101, 9).await.unwrap(),
            [observed[1].finding.id.as_str()]
        );
    }

    #[test]
    fn a_file_of_a_newer_version_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ledger");
        Connection::open(&path)
            .unwrap()
            .execute_batch("PRAGMA user_version = 99")
            .unwrap();
        let error = Sqlite::open(&path).unwrap_err();
        assert!(format!("{error:#}").contains("version 99"));
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
