//! The tables of windows, and what is done to them within one transaction.
//!
//! Keys are kept as hashes: nobody asks for them back, and they often name people.

use std::collections::HashMap;

use rusqlite::{OptionalExtension as _, Result, Transaction, params};

use super::{
    Entry, KEPT_FOR_REDELIVERY_MS, MAX_ENTRIES_OF_KEY, Observation, Span, hot::Hot, series::Points,
};
use crate::{digest::sha256, ledger::database::Schema};

pub(super) const SCHEMA: Schema = Schema {
    name: "windows",
    version: 1,
    synchronous: "NORMAL",
    loss: "what plugins have counted begins anew",
    tables: "
CREATE TABLE plugins (
    id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE,
    keys INTEGER NOT NULL, entries INTEGER NOT NULL, next_number INTEGER NOT NULL
);
CREATE TABLE keys (
    id INTEGER PRIMARY KEY, plugin INTEGER NOT NULL, key BLOB NOT NULL,
    longest_ms INTEGER NOT NULL, entries INTEGER NOT NULL, UNIQUE (plugin, key)
);
CREATE TABLE entries (
    key INTEGER NOT NULL, time_ms INTEGER NOT NULL, identity BLOB NOT NULL, member TEXT NOT NULL,
    value REAL NOT NULL, number INTEGER NOT NULL, plugin INTEGER NOT NULL, expires_ms INTEGER NOT NULL,
    PRIMARY KEY (key, time_ms, identity, member)
) WITHOUT ROWID;
CREATE UNIQUE INDEX entries_once ON entries (key, identity, member);
CREATE INDEX entries_by_expiry ON entries (plugin, expires_ms);
",
};

/// What changes when another connection writes to the file.
pub(super) fn version(tx: &Transaction<'_>) -> Result<i64> {
    tx.prepare_cached("PRAGMA data_version")?
        .query_row([], |row| row.get(0))
}

/// What stands for a key: the first half of its SHA-256.
fn hashed(key: &str) -> [u8; 16] {
    let mut hash = [0; 16];
    hash.copy_from_slice(&sha256(&[key.as_bytes()])[..16]);
    hash
}

/// A plugin's namespace. Its numbers are what the file says, which may be anything: none of them may overflow.
pub(super) struct Plugin {
    id: i64,
    pub(super) keys: i64,
    pub(super) entries: i64,
    next_number: i64,
}

impl Plugin {
    pub(super) fn load_or_new(tx: &Transaction<'_>, name: &str) -> Result<Self> {
        let mut query = tx
            .prepare_cached("SELECT id, keys, entries, next_number FROM plugins WHERE name = ?1")?;
        let known = query.query_row([name], |row| {
            Ok(Self {
                id: row.get(0)?,
                keys: row.get(1)?,
                entries: row.get(2)?,
                next_number: row.get(3)?,
            })
        });
        if let Some(known) = known.optional()? {
            return Ok(known);
        }
        tx.prepare_cached(
            "INSERT INTO plugins (name, keys, entries, next_number) VALUES (?1, 0, 0, 0)",
        )?
        .execute([name])?;
        Ok(Self {
            id: tx.last_insert_rowid(),
            keys: 0,
            entries: 0,
            next_number: 0,
        })
    }

    /// Deletes at most `limit` entries that have expired, and the keys that are empty then.
    pub(super) fn sweep(
        &mut self,
        tx: &Transaction<'_>,
        hot: &mut Hot,
        now_ms: i64,
        limit: usize,
    ) -> Result<()> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let mut delete = tx.prepare_cached(
            "DELETE FROM entries WHERE (key, time_ms, identity, member) IN \
             (SELECT key, time_ms, identity, member FROM entries \
              WHERE plugin = ?1 AND expires_ms <= ?2 ORDER BY expires_ms LIMIT ?3) RETURNING key",
        )?;
        let mut of_keys: HashMap<i64, u32> = HashMap::new();
        let deleted = delete.query_map(params![self.id, now_ms, limit], |row| row.get(0))?;
        for key in deleted {
            *of_keys.entry(key?).or_default() += 1;
            self.entries = self.entries.saturating_sub(1);
        }
        for (key, deleted) in of_keys {
            hot.take(key);
            tx.prepare_cached("UPDATE keys SET entries = entries - ?2 WHERE id = ?1")?
                .execute(params![key, deleted])?;
            let empty = tx
                .prepare_cached("DELETE FROM keys WHERE id = ?1 AND entries <= 0")?
                .execute([key])?;
            self.keys = self
                .keys
                .saturating_sub(i64::try_from(empty).unwrap_or(i64::MAX));
        }
        Ok(())
    }

    pub(super) fn save(&self, tx: &Transaction<'_>) -> Result<()> {
        tx.prepare_cached(
            "UPDATE plugins SET keys = ?2, entries = ?3, next_number = ?4 WHERE id = ?1",
        )?
        .execute(params![self.id, self.keys, self.entries, self.next_number])?;
        Ok(())
    }
}

/// The entries of one key.
pub(super) struct Series {
    pub(super) id: i64,
    longest_ms: i64,
    pub(super) entries: u32,
    changed: bool,
}

impl Series {
    /// The key of a plugin that uses windows of this length for it; longer ones keep its entries longer.
    pub(super) fn load_or_new(
        tx: &Transaction<'_>,
        plugin: &mut Plugin,
        key: &str,
        longest_ms: i64,
    ) -> Result<Self> {
        let mut query = tx.prepare_cached(
            "SELECT id, longest_ms, entries FROM keys WHERE plugin = ?1 AND key = ?2",
        )?;
        let key = hashed(key);
        let known = query.query_row(params![plugin.id, key], |row| {
            Ok(Self {
                id: row.get(0)?,
                longest_ms: row.get(1)?,
                entries: row.get(2)?,
                changed: false,
            })
        });
        let Some(mut series) = known.optional()? else {
            tx.prepare_cached(
                "INSERT INTO keys (plugin, key, longest_ms, entries) VALUES (?1, ?2, ?3, 0)",
            )?
            .execute(params![plugin.id, key, longest_ms])?;
            plugin.keys = plugin.keys.saturating_add(1);
            return Ok(Self {
                id: tx.last_insert_rowid(),
                longest_ms,
                entries: 0,
                changed: false,
            });
        };
        if longest_ms > series.longest_ms {
            tx.prepare_cached("UPDATE entries SET expires_ms = expires_ms + ?2 WHERE key = ?1")?
                .execute(params![
                    series.id,
                    longest_ms.saturating_sub(series.longest_ms)
                ])?;
            series.longest_ms = longest_ms;
            series.changed = true;
        }
        Ok(series)
    }

    /// Adds an entry, also to those that were read, unless the event is there with this member. Returns the
    /// entry's time and number: of an event without a time of its own the first delivery counts.
    pub(super) fn insert(
        &mut self,
        tx: &Transaction<'_>,
        plugin: &mut Plugin,
        points: Option<&mut Points>,
        observation: &Observation,
        now_ms: i64,
    ) -> Result<(i64, i64)> {
        let event = &observation.event;
        let expires_ms = now_ms
            .saturating_add(self.longest_ms)
            .saturating_add(KEPT_FOR_REDELIVERY_MS);
        let inserted = tx
            .prepare_cached(
                "INSERT INTO entries (key, time_ms, identity, member, value, number, plugin, expires_ms) \
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) ON CONFLICT DO NOTHING",
            )?
            .execute(params![
                self.id,
                event.time_ms,
                event.identity,
                observation.member,
                observation.value,
                plugin.next_number,
                plugin.id,
                expires_ms
            ])?;
        if inserted > 0 {
            let number = plugin.next_number;
            plugin.next_number = number.saturating_add(1);
            plugin.entries = plugin.entries.saturating_add(1);
            self.entries = self.entries.saturating_add(1);
            self.changed = true;
            if let Some(points) = points {
                let (member, value) = (&observation.member, observation.value);
                points.insert(event.time_ms, event.identity, member, value, number);
            }
            return Ok((event.time_ms, number));
        }
        tx.prepare_cached(
            "SELECT time_ms, number FROM entries WHERE key = ?1 AND identity = ?2 AND member = ?3",
        )?
        .query_row(
            params![self.id, event.identity, observation.member],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )
    }

    /// The entries of a span, in the order of their times.
    pub(super) fn points(&self, tx: &Transaction<'_>, span: Span) -> Result<Points> {
        let mut query = tx.prepare_cached(
            "SELECT time_ms, identity, member, value, number FROM entries \
             WHERE key = ?1 AND time_ms > ?2 AND time_ms <= ?3 ORDER BY time_ms, identity, member",
        )?;
        let mut rows = query.query(params![self.id, span.after_ms, span.until_ms])?;
        let mut points = Points::default();
        while let Some(row) = rows.next()? {
            let member = row.get_ref(2)?.as_str()?;
            points.insert(row.get(0)?, row.get(1)?, member, row.get(3)?, row.get(4)?);
        }
        Ok(points)
    }

    /// Lets the oldest entries go where there are too many, and writes the counts. Returns how many went.
    pub(super) fn save(&mut self, tx: &Transaction<'_>, plugin: &mut Plugin) -> Result<usize> {
        let mut gone = 0;
        if self.entries > MAX_ENTRIES_OF_KEY {
            gone = tx
                .prepare_cached(
                    "DELETE FROM entries WHERE (key, time_ms, identity, member) IN \
                     (SELECT key, time_ms, identity, member FROM entries WHERE key = ?1 \
                      ORDER BY time_ms, identity, member LIMIT ?2)",
                )?
                .execute(params![self.id, self.entries - MAX_ENTRIES_OF_KEY])?;
            plugin.entries = plugin
                .entries
                .saturating_sub(i64::try_from(gone).unwrap_or(i64::MAX));
            self.entries = MAX_ENTRIES_OF_KEY;
        }
        if self.changed {
            tx.prepare_cached("UPDATE keys SET longest_ms = ?2, entries = ?3 WHERE id = ?1")?
                .execute(params![self.id, self.longest_ms, self.entries])?;
        }
        Ok(gone)
    }
}

/// The newest entries of a key within a span, oldest first.
pub(super) fn recent(
    tx: &Transaction<'_>,
    plugin: &str,
    key: &str,
    span: Span,
    limit: u32,
) -> Result<Vec<Entry>> {
    let mut query = tx.prepare_cached(
        "SELECT time_ms, member, value FROM entries \
         WHERE key = (SELECT keys.id FROM keys JOIN plugins ON plugins.id = keys.plugin \
                      WHERE plugins.name = ?1 AND keys.key = ?2) \
         AND time_ms > ?3 AND time_ms <= ?4 ORDER BY time_ms DESC, identity DESC, member DESC LIMIT ?5",
    )?;
    let parameters = params![plugin, hashed(key), span.after_ms, span.until_ms, limit];
    let newest = query.query_map(parameters, |row| {
        Ok(Entry {
            time_ms: row.get(0)?,
            member: row.get(1)?,
            value: row.get(2)?,
        })
    })?;
    let mut entries = newest.collect::<Result<Vec<_>>>()?;
    entries.reverse();
    Ok(entries)
}
