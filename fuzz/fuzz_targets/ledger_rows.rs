//! Rows of the ledger and of the windows, in files that somebody else may have written to: nothing ends the
//! program, no object has a delivery that no row says it has, and findings keep their identity and are told.
//!
//! Each line is a row: the name of its table, then its columns between tabs (see [`cell`]). Columns that are
//! missing have what a sound row has.

#![no_main]

use std::{
    cell::OnceCell,
    future::Future,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use libfuzzer_sys::fuzz_target;
use rusqlite::{
    Connection, params_from_iter,
    types::{ToSqlOutput, Value, ValueRef},
};
use sluicegate::ledger::{
    Ledger as _, Sqlite, Windows as _,
    windows::{EventMark, Namespace, Observation, Span, SqliteWindows},
};
use sluicegate_fuzz::{
    IDENTITY, NOW_MS, OBJECT, PLUGIN, completes, counts, finding_id, grows, rows, sound_finding,
};
use tempfile::TempDir;
use tokio::runtime::Runtime;

/// Tables of the ledger, with their columns.
const LEDGER: [(&str, &[&str]); 5] = [
    ("objects", &["id", "url", "sha256", "updated_ms"]),
    ("completions", &["object", "delivery"]),
    ("progress", &["object", "delivery", "upto"]),
    (
        "findings",
        &["number", "id", "finding", "count", "seen_ms", "announced_ms", "announced_count"],
    ),
    ("finding_events", &["finding", "identity"]),
];
/// Tables of the windows, with theirs.
const WINDOWS: [(&str, &[&str]); 3] = [
    ("plugins", &["id", "name", "keys", "entries", "next_number"]),
    ("keys", &["id", "plugin", "key", "longest_ms", "entries"]),
    (
        "entries",
        &["key", "time_ms", "identity", "member", "value", "number", "plugin", "expires_ms"],
    ),
];

/// Both files, each with a connection of somebody else.
struct Files {
    ledger: Sqlite,
    ledger_rows: Connection,
    windows: SqliteWindows,
    windows_rows: Connection,
    runtime: Runtime,
    /// As a sound row has it.
    finding: String,
    _folder: TempDir,
}

thread_local! {
    static FILES: OnceCell<Files> = const { OnceCell::new() };
}

impl Files {
    fn make() -> Self {
        // Where there is such a thing, a file that no disk has.
        let memory = Path::new("/dev/shm");
        let folder = match tempfile::tempdir_in(memory) {
            Ok(folder) => folder,
            Err(_) => tempfile::tempdir().expect("a folder"),
        };
        let (ledger, windows) = (folder.path().join("ledger"), folder.path().join("windows"));
        let runtime = tokio::runtime::Builder::new_current_thread().build();
        let runtime = runtime.expect("a runtime");
        Self {
            ledger: Sqlite::open(&ledger).expect("a ledger").with_clock(Arc::new(|| NOW_MS)),
            ledger_rows: Connection::open(ledger).expect("a ledger"),
            windows: SqliteWindows::open(&windows).expect("windows"),
            windows_rows: Connection::open(windows).expect("windows"),
            finding: sound_finding(&runtime),
            runtime,
            _folder: folder,
        }
    }

    /// Replaces all rows by those of the input. Those that the tables do not take are left out.
    fn write(&self, input: &[u8]) {
        for (connection, tables) in
            [(&self.ledger_rows, &LEDGER[..]), (&self.windows_rows, &WINDOWS[..])]
        {
            let transaction = connection.unchecked_transaction().expect("nobody else writes");
            for (table, _) in tables {
                let delete = format!("DELETE FROM {table}");
                let mut delete = transaction.prepare_cached(&delete).expect("a table");
                delete.execute([]).expect("it has rows or none");
            }
            for (name, mut cells) in rows(input) {
                let Some((table, columns)) =
                    tables.iter().find(|(table, _)| table.as_bytes() == name)
                else {
                    continue;
                };
                let values: Vec<_> = columns
                    .iter()
                    .map(|column| cell(cells.next().unwrap_or(b"@"), || self.sound(table, column)))
                    .collect();
                let places = vec!["?"; columns.len()].join(", ");
                let insert =
                    format!("INSERT INTO {table} ({}) VALUES ({places})", columns.join(", "));
                let mut insert = transaction.prepare_cached(&insert).expect("a table");
                let _ = insert.execute(params_from_iter(values));
            }
            transaction.commit().expect("nobody else writes");
        }
    }

    /// What a sound row has in a column.
    fn sound(&self, table: &str, column: &str) -> Value {
        match (table, column) {
            ("objects", "id") | (_, "object") => Value::Blob(OBJECT.0.to_vec()),
            (_, "url") => Value::Text("s3://b/k".into()),
            (_, "sha256") => Value::Blob(vec![5; 32]),
            (_, "delivery") => Value::Text("splunk".into()),
            ("findings", "id") => Value::Text(finding_id()),
            ("findings", "finding") => Value::Text(self.finding.clone()),
            ("findings", "count") => Value::Integer(2),
            (_, "announced_ms") => Value::Null,
            (_, "announced_count") => Value::Integer(0),
            (_, "identity") => Value::Blob(IDENTITY.to_vec()),
            (_, "name") => Value::Text(PLUGIN.into()),
            // First half of the SHA-256 of "k".
            ("keys", "key") => Value::Blob(sluicegate::digest::sha256(&[b"k"])[..16].to_vec()),
            (_, "member") => Value::Text("m".into()),
            (_, "value") => Value::Real(1.0),
            (_, "longest_ms") => Value::Integer(60_000),
            (_, "updated_ms" | "seen_ms" | "time_ms") => Value::Integer(NOW_MS),
            (_, "expires_ms") => Value::Integer(i64::MAX),
            _ => Value::Integer(1),
        }
    }

    fn run<T>(&self, work: impl Future<Output = T>) -> T {
        self.runtime.block_on(work)
    }

    fn rows<T>(&self, query: &str, read: impl Fn(&rusqlite::Row<'_>) -> T) -> Vec<T> {
        let mut query = self.ledger_rows.prepare_cached(query).expect("a query");
        let rows = query.query_map([], |row| Ok(read(row))).expect("rows");
        rows.map(|row| row.expect("a row")).collect()
    }
}

/// A value of whatever type: a letter for it, and then its bytes. `@` is what a sound row has.
fn cell(bytes: &[u8], sound: impl FnOnce() -> Value) -> ToSqlOutput<'_> {
    fn number<T: std::str::FromStr>(text: &[u8]) -> Option<T> {
        std::str::from_utf8(text).ok()?.parse().ok()
    }
    let value = match bytes.split_first() {
        Some((b'@', _)) => sound(),
        Some((b't', text)) => return ToSqlOutput::Borrowed(ValueRef::Text(text)),
        Some((b'x', blob)) => return ToSqlOutput::Borrowed(ValueRef::Blob(blob)),
        Some((b'i', text)) => number(text).map_or(Value::Null, Value::Integer),
        Some((b'r', text)) => number(text).map_or(Value::Null, Value::Real),
        _ => Value::Null,
    };
    ToSqlOutput::Owned(value)
}

/// Only rows say who has an object, and how far others have got.
fn objects(files: &Files) {
    let of = |table: &str, columns: &str| {
        format!("SELECT {columns} FROM {table} WHERE typeof(object) = 'blob' AND hex(object) = '{OBJECT}'")
    };
    if let Ok(mut known) = files.run(files.ledger.known(OBJECT)) {
        let written = |row: &rusqlite::Row<'_>| row.get::<_, String>(0).expect("a text");
        let mut complete = files.rows(&of("completions", "delivery"), written);
        complete.sort_unstable();
        known.complete.sort_unstable();
        assert_eq!(known.complete, complete);
        let mark = |row: &rusqlite::Row<'_>| {
            (row.get(0).expect("a text"), row.get(1).expect("a position"))
        };
        let marks = files.rows(&of("progress", "delivery, upto"), mark);
        assert_eq!(known.upto, marks.into_iter().collect());
    }
    if let Ok(Some(hash)) = files.run(files.ledger.inflated_sha256(OBJECT)) {
        let query = format!("SELECT sha256 FROM objects WHERE hex(id) = '{OBJECT}' AND typeof(id) = 'blob'");
        assert_eq!(files.rows(&query, |row| row.get(0)), [Ok(hash.to_vec())]);
    }

    files.run(completes(&files.ledger));
}

/// Findings are counted, told and kept, whatever stood in their place.
fn findings(files: &Files) {
    let ledger = &files.ledger;
    let Some(seen) = files.run(counts(ledger)) else {
        return;
    };

    let owed = || files.run(ledger.outdated(i64::MAX, usize::MAX)).expect("others hold up nothing");
    let id = finding_id();
    let row = |column: &str| {
        let query = format!("SELECT {column} FROM findings WHERE id = '{id}'");
        files.rows(&query, |row| row.get::<_, i64>(0).expect("a number"))[0]
    };
    // The times of a row may be any.
    let is_due = row("coalesce(announced_ms, seen_ms)") < i64::MAX;
    let is_owed = row("count > announced_count") == 1;
    assert_eq!(owed().contains(&id), is_owed && is_due);
    if seen.announced {
        assert_eq!(row("announced_ms IS NULL"), 0);
    } else {
        assert!(is_owed, "nobody was told");
    }

    let owed_rows = || files.rows("SELECT number FROM findings WHERE count > announced_count", |row| {
        row.get::<_, i64>(0).expect("a number")
    });
    let before = owed_rows();
    if files.run(ledger.prune()).is_ok() {
        assert_eq!(owed_rows(), before, "what is owed is kept");
    }
    let take = || files.run(ledger.take(&id, NOW_MS)).expect("the row is sound now");
    let Some(taken) = take() else {
        assert!(!is_owed, "it went");
        return;
    };
    assert_eq!(taken.count, seen.finding.count);
    let newer = take().expect("it is there");
    grows(&seen.finding, &taken);
    grows(&taken, &newer);
    files
        .run(ledger.announced(&id, newer.updated_ms, newer.count))
        .expect("the row is sound now");
    assert!(!owed().contains(&id), "everybody was told");
}

fn windows(files: &Files) {
    let observation = |identity, member: &str, window_s| Observation {
        event: EventMark {
            identity,
            time_ms: NOW_MS,
        },
        key: "k".into(),
        member: member.into(),
        value: 2.0,
        window_s,
    };
    let seen = [
        observation(IDENTITY, "m", 60),
        observation([2; 16], "n", 3_600),
    ];
    let namespace = Namespace {
        plugin: PLUGIN,
        keys: 1_000,
        entries: 1_000,
    };
    let deadline = Instant::now() + Duration::from_secs(8);
    for _ in 0..2 {
        if let Ok(windows) = files.windows.observe(&namespace, &seen, deadline) {
            assert_eq!(windows.len(), seen.len());
        }
    }
    let span = Span {
        after_ms: NOW_MS - 1_000,
        until_ms: NOW_MS + 1_000,
    };
    let keys = ["k".to_owned(), "other".to_owned()];
    if let Ok(recent) = files.windows.recent(PLUGIN, &keys, span, 3, deadline) {
        assert_eq!(recent.len(), keys.len());
        for entries in &recent {
            assert!(entries.len() <= 3);
            assert!(entries.is_sorted_by_key(|entry| entry.time_ms));
            let inside = |time_ms| span.after_ms < time_ms && time_ms <= span.until_ms;
            assert!(entries.iter().all(|entry| inside(entry.time_ms)));
        }
    }
}

fuzz_target!(|input: &[u8]| {
    FILES.with(|files| {
        let files = files.get_or_init(Files::make);
        files.write(input);
        objects(files);
        findings(files);
        windows(files);
    });
});
