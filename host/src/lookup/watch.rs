//! All tables of a host, and the thread that looks after their files.

use std::{
    collections::BTreeMap,
    os::unix::fs::MetadataExt as _,
    path::Path,
    sync::{Arc, Mutex, PoisonError, RwLock, Weak},
    thread::{self, Thread},
    time::{Duration, Instant},
};

use anyhow::Context as _;

use super::{settings::Settings, table::Table};

/// The tables of `[tables.<name>]`. Queries take what stands there at the moment.
#[derive(Debug, Default)]
pub struct Tables {
    tables: BTreeMap<String, Watched>,
    thread: Mutex<Option<Thread>>,
}

/// A table and its file.
#[derive(Debug)]
struct Watched {
    settings: Settings,
    current: RwLock<Arc<Table>>,
    file: Mutex<Seen>,
}

/// What was last seen of a file.
#[derive(Debug)]
struct Seen {
    stamp: Option<Stamp>,
    at: Instant,
}

/// What differs when a file was written anew or replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    device: u64,
    inode: u64,
    bytes: u64,
    modified_s: i64,
    modified_ns: i64,
}

impl Tables {
    /// Reads all tables.
    ///
    /// # Errors
    /// Names the table, its file, and the line where there is one.
    pub fn load(settings: &BTreeMap<String, Settings>) -> anyhow::Result<Self> {
        let tables = settings
            .iter()
            .map(|(name, settings)| {
                let watched = Watched::load(settings)
                    .with_context(|| format!("failed to load tables.{name}"))?;
                Ok((name.clone(), watched))
            })
            .collect::<anyhow::Result<_>>()?;
        Ok(Self {
            tables,
            thread: Mutex::default(),
        })
    }

    /// Has a thread look at each file as often as its settings say, for as long as anybody holds the
    /// tables.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn watch(self: &Arc<Self>) -> anyhow::Result<()> {
        let Some(often) = self.tables.values().map(Watched::period).min() else {
            return Ok(());
        };
        let tables = Arc::downgrade(self);
        let watcher = thread::Builder::new()
            .name("sluicegate-tables".to_owned())
            .spawn(move || look_after(&tables, often))
            .context("failed to start the thread that watches tables")?;
        *self.thread.lock().unwrap_or_else(PoisonError::into_inner) =
            Some(watcher.thread().clone());
        Ok(())
    }

    /// Looks at every file now, and reads those that changed. Returns how many those were, sound or not.
    pub fn refresh(&self) -> usize {
        let changed = self
            .tables
            .iter()
            .filter(|(name, table)| table.refresh(name));
        changed.count()
    }

    /// A table as it is now. Whoever holds it keeps it, even when it is replaced.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<Arc<Table>> {
        let current = self.tables.get(name)?.current.read();
        Some(Arc::clone(&current.unwrap_or_else(PoisonError::into_inner)))
    }

    /// The names of all tables.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.tables.keys().map(String::as_str)
    }

    fn refresh_due(&self) {
        for (name, table) in &self.tables {
            if table.is_due() {
                table.refresh(name);
            }
        }
    }
}

impl Drop for Tables {
    fn drop(&mut self) {
        let thread = self
            .thread
            .get_mut()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(thread) = thread.take() {
            // It finds that nobody is left.
            thread.unpark();
        }
    }
}

fn look_after(tables: &Weak<Tables>, often: Duration) {
    loop {
        thread::park_timeout(often);
        let Some(tables) = tables.upgrade() else {
            return;
        };
        tables.refresh_due();
    }
}

impl Watched {
    fn load(settings: &Settings) -> anyhow::Result<Self> {
        // Before the reading: what is written meanwhile is seen as a change later.
        let stamp = Stamp::of(&settings.path);
        let table = Table::load(settings)?;
        Ok(Self {
            settings: settings.clone(),
            current: RwLock::new(Arc::new(table)),
            file: Mutex::new(Seen {
                stamp,
                at: Instant::now(),
            }),
        })
    }

    fn period(&self) -> Duration {
        Duration::from_secs(self.settings.refresh_s)
    }

    fn is_due(&self) -> bool {
        let seen = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        seen.at.elapsed() >= self.period()
    }

    /// Takes a changed file in the place of the old one. Of one that is broken it says so, and looks
    /// again when it has changed once more.
    fn refresh(&self, name: &str) -> bool {
        let mut seen = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        seen.at = Instant::now();
        let stamp = Stamp::of(&self.settings.path);
        if stamp == seen.stamp {
            return false;
        }
        seen.stamp = stamp;
        match Table::load(&self.settings) {
            Ok(table) => {
                tracing::info!(
                    table = name,
                    rows = table.rows(),
                    "table has changed and was read"
                );
                *self.current.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(table);
            }
            Err(error) => tracing::error!(
                table = name,
                error = format!("{error:#}"),
                "table has changed and cannot be read; the old one is kept",
            ),
        }
        true
    }
}

impl Stamp {
    /// Of a file that is not there, nothing.
    fn of(path: &Path) -> Option<Self> {
        let file = std::fs::metadata(path).ok()?;
        Some(Self {
            device: file.dev(),
            inode: file.ino(),
            bytes: file.len(),
            modified_s: file.mtime(),
            modified_ns: file.mtime_nsec(),
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use std::path::PathBuf;

    use super::*;

    struct Folder(tempfile::TempDir);

    impl Folder {
        fn new() -> Self {
            Self(tempfile::tempdir().unwrap())
        }

        fn path(&self) -> PathBuf {
            self.0.path().join("t.csv")
        }

        /// As an operator should: written beside, then renamed.
        fn replace(&self, csv: &str) {
            let new = self.0.path().join("new");
            std::fs::write(&new, csv).unwrap();
            std::fs::rename(new, self.path()).unwrap();
        }

        fn load(&self) -> anyhow::Result<Tables> {
            let settings = serde_json::json!({
                "path": self.path(), "format": "csv", "key": "k", "refresh_s": 1,
            });
            Tables::load(&[("t".to_owned(), serde_json::from_value(settings).unwrap())].into())
        }
    }

    fn value(tables: &Tables) -> String {
        let table = tables.get("t").unwrap();
        table.get("v", "a").unwrap().text.into_owned()
    }

    #[test]
    fn a_changed_file_takes_the_old_ones_place_and_a_broken_one_does_not() {
        let folder = Folder::new();
        folder.replace("k,v\na,1\n");
        let tables = folder.load().unwrap();
        let held = tables.get("t").unwrap();
        assert_eq!(value(&tables), "1");

        folder.replace("k,v\na,2\n");
        assert_eq!(value(&tables), "1", "nobody has looked yet");
        tables.refresh();
        assert_eq!(value(&tables), "2");
        assert_eq!(
            held.get("v", "a").unwrap().text,
            "1",
            "whoever holds it keeps it"
        );

        folder.replace("k,v\na\n");
        tables.refresh();
        assert_eq!(value(&tables), "2");
        std::fs::remove_file(folder.path()).unwrap();
        tables.refresh();
        assert_eq!(value(&tables), "2");
        folder.replace("k,v\na,3\n");
        tables.refresh();
        assert_eq!(value(&tables), "3");
        assert!(tables.get("u").is_none());
        assert_eq!(tables.names().collect::<Vec<_>>(), ["t"]);
    }

    #[test]
    fn a_broken_file_is_spoken_of_once() {
        let folder = Folder::new();
        folder.replace("k,v\na,1\n");
        let tables = folder.load().unwrap();
        folder.replace("k,v\na\n");
        assert_eq!((tables.refresh(), tables.refresh()), (1, 0));
    }

    #[test]
    fn a_table_that_cannot_be_read_at_first_is_an_error_that_names_it() {
        let error = format!("{:#}", Folder::new().load().unwrap_err());
        assert!(
            error.starts_with("failed to load tables.t: failed to read table /"),
            "{error}"
        );
    }

    #[test]
    fn the_thread_sees_a_change_and_ends_with_the_tables() {
        let folder = Folder::new();
        folder.replace("k,v\na,1\n");
        let tables = Arc::new(folder.load().unwrap());
        tables.watch().unwrap();
        folder.replace("k,v\na,2\n");
        let start = Instant::now();
        while value(&tables) != "2" {
            assert!(start.elapsed() < Duration::from_mins(1), "nobody looked");
            thread::park_timeout(Duration::from_millis(50));
        }
        let weak = Arc::downgrade(&tables);
        drop(tables);
        while weak.strong_count() > 0 {
            assert!(
                start.elapsed() < Duration::from_mins(1),
                "the thread keeps them"
            );
            thread::park_timeout(Duration::from_millis(10));
        }
    }
}
