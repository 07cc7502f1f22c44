//! Windows in one `SQLite` file, or in memory for runs that must leave no trace.
//!
//! Write-ahead log with `synchronous = NORMAL`: a commit waits for no disk, survives the end of the
//! process, and may be lost in a power cut. Then some windows are short of the last seconds, which a
//! plugin's limits must bear anyway: nothing is deleted from the queue because it was counted here.

use std::{
    collections::HashMap,
    path::Path,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use rusqlite::{Connection, ErrorCode, Transaction, TransactionBehavior};

use super::{
    Entry, MAX_RECENT, Namespace, Observation, Span, Window, Windows, WindowsError, check,
    desk::Desk,
    hot::Hot,
    series::Query,
    store::{self, Plugin, Series},
};
use crate::{
    clock::{self, Clock},
    ledger::database,
};

/// Instructions of `SQLite` between two looks at the clock.
const INSTRUCTIONS: i32 = 2_000;

/// Prepared statements that are kept; there are fewer.
const STATEMENTS: usize = 64;

/// Expired entries that go with one call, beside two for each observation.
const SWEEP: usize = 64;

/// See the module.
pub struct SqliteWindows {
    desk: Desk<Held>,
    clock: Clock,
}

/// The file, and what is known of it.
struct Held {
    connection: Connection,
    hot: Hot,
}

impl SqliteWindows {
    /// Opens the file, and makes it where it is missing. A damaged file is put aside under a name that
    /// ends in `.damaged-<milliseconds>`, and a new one begun: what plugins counted is lost then.
    ///
    /// # Errors
    /// When the file cannot be opened, is in use, or was written by a newer version.
    pub fn open(path: &Path) -> anyhow::Result<Self> {
        Self::over(database::open(path, &store::SCHEMA)?, clock::system())
            .with_context(|| format!("failed to open windows {}", path.display()))
    }

    /// Windows that are gone when this is dropped: for back-tests, for trial runs beside the real ones,
    /// for tests and embedding.
    ///
    /// # Errors
    /// When memory for it cannot be had.
    pub fn in_memory() -> anyhow::Result<Self> {
        Self::in_memory_at(clock::system())
    }

    /// The same with a clock of one's own.
    ///
    /// # Errors
    /// When memory for it cannot be had.
    pub fn in_memory_at(clock: Clock) -> anyhow::Result<Self> {
        let connection =
            Connection::open_in_memory().context("failed to open windows in memory")?;
        database::prepare(&connection, &store::SCHEMA)?;
        Self::over(connection, clock)
    }

    fn over(connection: Connection, clock: Clock) -> anyhow::Result<Self> {
        connection.set_prepared_statement_cache_capacity(STATEMENTS);
        // Whoever else holds the file must not hold up a plugin.
        connection.busy_timeout(Duration::ZERO)?;
        Ok(Self {
            desk: Desk::new(Held {
                connection,
                hot: Hot::default(),
            }),
            clock,
        })
    }

    /// Runs one transaction; what is not done by the deadline is undone.
    fn transact<T>(
        &self,
        behavior: TransactionBehavior,
        deadline: Instant,
        work: impl FnOnce(&Transaction<'_>, &mut Hot) -> Result<T, WindowsError>,
    ) -> Result<T, WindowsError> {
        let Some(mut held) = self.desk.take(deadline) else {
            return Err(late());
        };
        let Held { connection, hot } = &mut *held;
        connection
            .progress_handler(INSTRUCTIONS, Some(move || Instant::now() >= deadline))
            .map_err(unavailable)?;
        let transaction = connection
            .transaction_with_behavior(behavior)
            .map_err(unavailable)?;
        // What is undone in the file must not stay here.
        let mut kept = hot.take_all();
        let result = work(&transaction, &mut kept)?;
        in_time(deadline)?;
        transaction.commit().map_err(unavailable)?;
        *hot = kept;
        Ok(result)
    }
}

impl std::fmt::Debug for SqliteWindows {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SqliteWindows").finish_non_exhaustive()
    }
}

impl Windows for SqliteWindows {
    fn observe(
        &self,
        namespace: &Namespace<'_>,
        observations: &[Observation],
        deadline: Instant,
    ) -> Result<Vec<Window>, WindowsError> {
        check(observations)?;
        let mut answers = vec![Window::default(); observations.len()];
        if observations.is_empty() {
            return Ok(answers);
        }
        let now_ms = (self.clock)();
        self.transact(TransactionBehavior::Immediate, deadline, |tx, hot| {
            hot.see(store::version(tx).map_err(unavailable)?);
            let mut plugin = Plugin::load_or_new(tx, namespace.plugin).map_err(unavailable)?;
            let sweep = SWEEP + 2 * observations.len();
            plugin.sweep(tx, hot, now_ms, sweep).map_err(unavailable)?;
            for (key, positions) in by_key(observations) {
                in_time(deadline)?;
                let mine: Vec<(usize, &Observation)> = positions
                    .into_iter()
                    .map(|position| (position, &observations[position]))
                    .collect();
                count(
                    tx,
                    hot,
                    &mut plugin,
                    key,
                    &mine,
                    now_ms,
                    namespace,
                    deadline,
                    &mut answers,
                )?;
            }
            plugin.save(tx).map_err(unavailable)
        })?;
        Ok(answers)
    }

    fn recent(
        &self,
        plugin: &str,
        keys: &[String],
        span: Span,
        limit: u32,
        deadline: Instant,
    ) -> Result<Vec<Vec<Entry>>, WindowsError> {
        self.transact(TransactionBehavior::Deferred, deadline, |tx, _| {
            let mut of_keys = Vec::with_capacity(keys.len());
            for key in keys {
                in_time(deadline)?;
                let entries = store::recent(tx, plugin, key, span, limit.min(MAX_RECENT));
                of_keys.push(entries.map_err(unavailable)?);
            }
            Ok(of_keys)
        })
    }
}

/// The positions of each key's observations; keys in the order of their first.
fn by_key(observations: &[Observation]) -> Vec<(&str, Vec<usize>)> {
    let mut keys: Vec<(&str, Vec<usize>)> = Vec::new();
    let mut known: HashMap<&str, usize> = HashMap::new();
    for (position, observation) in observations.iter().enumerate() {
        let slot = *known.entry(&observation.key).or_insert_with(|| {
            keys.push((&observation.key, Vec::new()));
            keys.len() - 1
        });
        keys[slot].1.push(position);
    }
    keys
}

/// Counts what is observed under one key, and answers.
#[allow(
    clippy::too_many_arguments,
    reason = "one step of `observe`, which has all of them at hand"
)]
fn count(
    tx: &Transaction<'_>,
    hot: &mut Hot,
    plugin: &mut Plugin,
    key: &str,
    observations: &[(usize, &Observation)],
    now_ms: i64,
    namespace: &Namespace<'_>,
    deadline: Instant,
    answers: &mut [Window],
) -> Result<(), WindowsError> {
    let longest_ms = observations
        .iter()
        .map(|(_, observation)| length_ms(observation))
        .max();
    let longest_ms = longest_ms.unwrap_or_default();
    let mut series = Series::load_or_new(tx, plugin, key, longest_ms).map_err(unavailable)?;
    room("keys", plugin.keys, namespace.keys)?;
    let mut known = hot.take(series.id);
    let mut queries = Vec::with_capacity(observations.len());
    let (mut after_ms, mut until_ms) = (i64::MAX, i64::MIN);
    for &(answer, observation) in observations {
        in_time(deadline)?;
        let (time_ms, number) = series
            .insert(tx, plugin, known.as_mut(), observation, now_ms)
            .map_err(unavailable)?;
        room("entries", plugin.entries, namespace.entries)?;
        let length_ms = length_ms(observation);
        after_ms = after_ms.min(time_ms.saturating_sub(length_ms));
        until_ms = until_ms.max(time_ms);
        queries.push(Query {
            time_ms,
            length_ms,
            member: &observation.member,
            number,
            answer,
        });
    }
    let span = Span { after_ms, until_ms };
    let keep = hot.wants(series.entries);
    let mut points = match known {
        Some(points) => points,
        None => series
            .points(tx, if keep { ALL } else { span })
            .map_err(unavailable)?,
    };
    points.answer(span, queries, answers);
    let gone = series.save(tx, plugin).map_err(unavailable)?;
    if keep {
        points.forget(gone);
        hot.put(series.id, points);
    }
    Ok(())
}

/// Every time there is.
const ALL: Span = Span {
    after_ms: i64::MIN,
    until_ms: i64::MAX,
};

fn length_ms(observation: &Observation) -> i64 {
    i64::from(observation.window_s) * 1_000
}

fn room(what: &str, count: i64, limit: u64) -> Result<(), WindowsError> {
    if u64::try_from(count).is_ok_and(|count| count > limit) {
        let text = format!("all {limit} {what} are taken until some expire");
        return Err(WindowsError::Quota(text));
    }
    Ok(())
}

fn late() -> WindowsError {
    WindowsError::Unavailable(anyhow::anyhow!("not done in time"))
}

fn in_time(deadline: Instant) -> Result<(), WindowsError> {
    if Instant::now() < deadline {
        Ok(())
    } else {
        Err(late())
    }
}

fn unavailable(error: rusqlite::Error) -> WindowsError {
    match error.sqlite_error_code() {
        Some(ErrorCode::OperationInterrupted) => late(),
        _ => WindowsError::Unavailable(error.into()),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::ledger::windows::{
        KEPT_FOR_REDELIVERY_MS,
        contract::{self, event, later, namespace, observation},
    };

    #[test]
    fn keeps_the_contract() {
        contract::holds(&|clock| Arc::new(SqliteWindows::in_memory_at(clock).unwrap()));
    }

    #[test]
    fn keeps_the_contract_with_every_key_kept_in_memory() {
        contract::holds(&|clock| Arc::new(all_kept(SqliteWindows::in_memory_at(clock).unwrap())));
    }

    fn all_kept(windows: SqliteWindows) -> SqliteWindows {
        windows.desk.take(later()).unwrap().hot = Hot::of_at_least(0);
        windows
    }

    #[test]
    fn what_is_kept_in_memory_is_what_the_file_has() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("windows");
        let windows = all_kept(SqliteWindows::open(&path).unwrap());
        let see = |number| {
            let seen = [observation(event(number, 0), "k", &number.to_string(), 60)];
            windows
                .observe(&namespace("p"), &seen, later())
                .map(|windows| windows[0].members)
        };
        assert_eq!((see(1).unwrap(), see(2).unwrap()), (1, 2));
        // A call that is undone.
        let full = Namespace {
            entries: 2,
            ..namespace("p")
        };
        let third = [observation(event(3, 0), "k", "3", 60)];
        assert!(windows.observe(&full, &third, later()).is_err());
        assert_eq!(see(4).unwrap(), 3);
        // Somebody else, who should not.
        let other = Connection::open(&path).unwrap();
        other
            .execute("DELETE FROM entries WHERE member = '1'", [])
            .unwrap();
        assert_eq!(see(4).unwrap(), 2);
    }

    #[test]
    fn numbers_at_their_ends_do_not_overflow() {
        let damages = [
            "UPDATE plugins SET keys = {end}, entries = {end}, next_number = {end}",
            "UPDATE keys SET entries = 4294967295",
            "UPDATE keys SET longest_ms = {end}",
            "UPDATE entries SET number = {end}",
            "UPDATE entries SET expires_ms = {end}",
        ];
        let damages = damages.iter().flat_map(|damage| {
            [i64::MIN, i64::MAX].map(|end| damage.replace("{end}", &end.to_string()))
        });
        let folder = tempfile::tempdir().unwrap();
        for (number, damage) in damages.enumerate() {
            let path = folder.path().join(number.to_string());
            let windows = SqliteWindows::open(&path).unwrap();
            let see = |event, window_s| {
                let seen = [observation(event, "k", "m", window_s)];
                windows.observe(&namespace("p"), &seen, later())
            };
            see(event(1, 0), 60).unwrap();
            let other = Connection::open(&path).unwrap();
            assert_eq!(other.execute(&damage, []).unwrap(), 1, "{damage}");
            // Refused or not, each is answered.
            for (event, window_s) in [(event(1, 0), 60), (event(2, 0), 3_600), (event(3, 1), 60)] {
                if let Ok(seen) = see(event, window_s) {
                    assert_eq!(seen.len(), 1, "{damage}");
                }
            }
        }
    }

    #[test]
    fn what_was_counted_is_there_after_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("windows");
        let seen = [observation(event(1, 0), "k", "m", 60)];
        for _ in 0..2 {
            let windows = SqliteWindows::open(&path).unwrap();
            let window = windows.observe(&namespace("p"), &seen, later()).unwrap()[0];
            assert_eq!((window.events, window.first), (1, true));
        }
    }

    #[test]
    fn the_file_is_its_owners_alone_and_shows_no_key() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let windows = SqliteWindows::open(&folder.path().join("windows")).unwrap();
        let seen = [observation(event(1, 0), "somebody's name", "m", 60)];
        windows.observe(&namespace("p"), &seen, later()).unwrap();
        for entry in std::fs::read_dir(folder.path()).unwrap() {
            let path = entry.unwrap().path();
            let mode = std::fs::metadata(&path).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{}", path.display());
            let bytes = std::fs::read(&path).unwrap();
            assert!(memchr::memmem::find(&bytes, b"somebody").is_none());
        }
    }

    #[test]
    fn a_damaged_file_is_put_aside_and_a_new_one_begun() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("windows");
        std::fs::write(&path, "this is no database, and never was one".repeat(100)).unwrap();
        let windows = SqliteWindows::open(&path).unwrap();
        let seen = [observation(event(1, 0), "k", "m", 60)];
        assert!(windows.observe(&namespace("p"), &seen, later()).is_ok());
        assert!(std::fs::read_dir(folder.path()).unwrap().any(|entry| {
            let name = entry.unwrap().file_name();
            name.to_string_lossy().starts_with("windows.damaged-")
        }));
    }

    #[test]
    fn a_file_that_somebody_else_writes_to_is_unavailable_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("windows");
        let windows = SqliteWindows::open(&path).unwrap();
        let other = Connection::open(&path).unwrap();
        other.execute_batch("BEGIN IMMEDIATE").unwrap();
        let seen = [observation(event(1, 0), "k", "m", 60)];
        let error = windows
            .observe(&namespace("p"), &seen, later())
            .unwrap_err();
        assert!(matches!(error, WindowsError::Unavailable(_)), "{error}");
        other.execute_batch("ROLLBACK").unwrap();
        assert!(windows.observe(&namespace("p"), &seen, later()).is_ok());
    }

    #[test]
    fn a_statement_that_takes_too_long_is_stopped() {
        let windows = SqliteWindows::in_memory().unwrap();
        let start = Instant::now();
        let deadline = start + Duration::from_millis(50);
        let endless =
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT sum(i) FROM n";
        let error = windows
            .transact(TransactionBehavior::Deferred, deadline, |tx, _| {
                tx.query_row(endless, [], |row| row.get::<_, i64>(0))
                    .map_err(unavailable)
            })
            .unwrap_err();
        assert_eq!(error.to_string(), "not done in time");
        assert!(start.elapsed() < Duration::from_secs(10));
    }

    #[test]
    fn what_is_not_done_by_the_deadline_is_undone() {
        let windows = SqliteWindows::in_memory().unwrap();
        let seen = [observation(event(1, 0), "k", "m", 60)];
        let error = windows
            .observe(&namespace("p"), &seen, Instant::now())
            .unwrap_err();
        assert!(matches!(error, WindowsError::Unavailable(_)), "{error}");
        let mut held = windows.desk.take(later()).unwrap();
        let tx = held.connection.transaction().unwrap();
        let entries: i64 = tx
            .query_row("SELECT count(*) FROM entries", [], |row| row.get(0))
            .unwrap();
        assert_eq!(entries, 0);
    }

    #[test]
    fn expired_entries_leave_nothing_behind() {
        let now = Arc::new(std::sync::atomic::AtomicI64::new(0));
        let shared = Arc::clone(&now);
        let clock: Clock = Arc::new(move || shared.load(std::sync::atomic::Ordering::Relaxed));
        let windows = SqliteWindows::in_memory_at(clock).unwrap();
        let many: Vec<_> = (0..200)
            .map(|number| observation(event(number, 0), &format!("k{number}"), "m", 60))
            .collect();
        windows.observe(&namespace("p"), &many, later()).unwrap();
        now.store(
            KEPT_FOR_REDELIVERY_MS + 60_000,
            std::sync::atomic::Ordering::Relaxed,
        );
        for number in 1_000..1_010 {
            let next = [observation(event(number, 0), "next", "m", 60)];
            windows.observe(&namespace("p"), &next, later()).unwrap();
        }
        let connection = &windows.desk.take(later()).unwrap().connection;
        let rows = |table: &str| -> i64 {
            let count = format!("SELECT count(*) FROM {table}");
            connection.query_row(&count, [], |row| row.get(0)).unwrap()
        };
        assert_eq!((rows("entries"), rows("keys"), rows("plugins")), (10, 1, 1));
        let counted: (i64, i64) = connection
            .query_row("SELECT keys, entries FROM plugins", [], |row| {
                Ok((row.get(0)?, row.get(1)?))
            })
            .unwrap();
        assert_eq!(counted, (1, 10));
    }
}
