//! Opening a `SQLite` file: made where it is missing, checked, and put aside where it is damaged.

use std::{
    fs::OpenOptions,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::Context as _;
use rusqlite::{Connection, ErrorCode};

use crate::clock;

/// What a file holds.
pub(super) struct Schema {
    /// What it is called in errors.
    pub(super) name: &'static str,
    /// `PRAGMA user_version` of the tables below.
    pub(super) version: i64,
    /// The statements that make its tables.
    pub(super) tables: &'static str,
    /// `PRAGMA synchronous`: what a commit survives.
    pub(super) synchronous: &'static str,
    /// What the loss of the file costs, for the operator.
    pub(super) loss: &'static str,
}

/// Opens a file. A damaged one is put aside under a name that ends in `.damaged-<milliseconds>`, and a new
/// one begun.
///
/// # Errors
/// When the file cannot be opened, is in use, or was written by a newer version.
pub(super) fn open(path: &Path, schema: &Schema) -> anyhow::Result<Connection> {
    let opened = match connect(path, schema) {
        Err(error) if is_damage(&error) => {
            let aside = put_aside(path, schema)?;
            tracing::error!(
                file = %path.display(), aside = %aside.display(), error = format!("{error:#}"),
                "{} is damaged; a new one is begun, and {}", schema.name, schema.loss,
            );
            connect(path, schema)
        }
        opened => opened,
    };
    opened.with_context(|| format!("failed to open {} {}", schema.name, path.display()))
}

/// Makes the tables where there are none.
///
/// # Errors
/// When they were made by a newer version, or cannot be made.
pub(super) fn prepare(connection: &Connection, schema: &Schema) -> anyhow::Result<()> {
    let version: i64 = connection.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    let (name, known) = (schema.name, schema.version);
    match version {
        0 => {
            let create = format!(
                "BEGIN IMMEDIATE; {} PRAGMA user_version = {known}; COMMIT;",
                schema.tables
            );
            connection
                .execute_batch(&create)
                .with_context(|| format!("failed to create the tables of {name}"))
        }
        version if version == known => Ok(()),
        other => anyhow::bail!("{name} has version {other}, and this program knows {known}"),
    }
}

fn connect(path: &Path, schema: &Schema) -> anyhow::Result<Connection> {
    create(path)?;
    let connection = Connection::open(path)?;
    connection.busy_timeout(Duration::from_secs(5))?;
    let check: String = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
    if check != "ok" {
        let code = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_CORRUPT);
        return Err(rusqlite::Error::SqliteFailure(code, Some(check)).into());
    }
    connection.query_row("PRAGMA journal_mode = WAL", [], |_| Ok(()))?;
    connection.execute_batch(&format!("PRAGMA synchronous = {}", schema.synchronous))?;
    prepare(&connection, schema)?;
    Ok(connection)
}

/// Makes an empty file for its owner only; what lies beside it gets the same rights from `SQLite`.
fn create(path: &Path) -> std::io::Result<()> {
    let mut options = OpenOptions::new();
    options.append(true).create(true).mode(0o600).open(path)?;
    Ok(())
}

fn is_damage(error: &anyhow::Error) -> bool {
    let code = error
        .downcast_ref::<rusqlite::Error>()
        .and_then(rusqlite::Error::sqlite_error_code);
    matches!(
        code,
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase)
    )
}

fn put_aside(path: &Path, schema: &Schema) -> anyhow::Result<PathBuf> {
    let with = |path: &Path, suffix: &str| {
        let mut name = path.as_os_str().to_owned();
        name.push(suffix);
        PathBuf::from(name)
    };
    let aside = with(path, &format!(".damaged-{}", clock::now_ms()));
    std::fs::rename(path, &aside).with_context(|| {
        format!(
            "failed to put damaged {} {} aside",
            schema.name,
            path.display()
        )
    })?;
    for suffix in ["-wal", "-shm"] {
        // They may not exist; if they do and stay, SQLite itself finds that they belong to nothing.
        let _ = std::fs::rename(with(path, suffix), with(&aside, suffix));
    }
    Ok(aside)
}
