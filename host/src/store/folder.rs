//! Blobs as files of one folder.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{ErrorKind, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
};

use anyhow::Context as _;
use async_trait::async_trait;
use bytes::Bytes;

use super::Backend;

static TEMPORARY: AtomicU64 = AtomicU64::new(0);

/// A folder of the local file system, readable by its owner only. A blob appears under its name when
/// its bytes are on the disk, and never in part.
#[derive(Clone, Debug)]
pub struct Folder {
    root: PathBuf,
}

impl Folder {
    /// Opens a folder and makes it where it is missing.
    ///
    /// # Errors
    /// When it cannot be made or is no folder.
    pub fn open(root: &Path) -> anyhow::Result<Self> {
        make_folder(root)?;
        fs::read_dir(root).with_context(|| format!("failed to open folder {}", root.display()))?;
        Ok(Self {
            root: root.to_owned(),
        })
    }

    fn path(&self, name: &str) -> anyhow::Result<PathBuf> {
        anyhow::ensure!(
            is_name(name),
            "not a name of a stored entry: {}",
            crate::text::shown(name)
        );
        Ok(self.root.join(name))
    }
}

/// Whether every segment is made of harmless characters and hides nothing.
fn is_name(name: &str) -> bool {
    name.len() <= 512
        && name.split('/').all(|segment| {
            let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._!-".contains(&byte);
            !segment.is_empty() && !segment.starts_with('.') && segment.bytes().all(plain)
        })
}

fn make_folder(path: &Path) -> anyhow::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    let failed = || format!("failed to make folder {}", path.display());
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .with_context(failed)?;
    // The new names themselves have to survive a power cut.
    path.ancestors()
        .skip(1)
        .take(2)
        .filter(|above| above.is_dir())
        .try_for_each(sync_folder)
}

fn sync_folder(path: &Path) -> anyhow::Result<()> {
    let sync = || File::open(path)?.sync_all();
    sync().with_context(|| format!("failed to flush folder {}", path.display()))
}

fn write(path: &Path, body: &[u8]) -> anyhow::Result<()> {
    let folder = path
        .parent()
        .context("failed to find the folder of an entry")?;
    make_folder(folder)?;
    let number = TEMPORARY.fetch_add(1, Ordering::Relaxed);
    let temporary = folder.join(format!(".{}-{number}.tmp", std::process::id()));
    let written = write_and_flush(&temporary, body)
        .and_then(|()| fs::rename(&temporary, path))
        .with_context(|| format!("failed to write {}", path.display()));
    if written.is_err() {
        // What matters has failed already; a leftover is hidden from every list.
        let _ = fs::remove_file(&temporary);
    }
    written.and_then(|()| sync_folder(folder))
}

fn write_and_flush(path: &Path, body: &[u8]) -> std::io::Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(body)?;
    file.sync_all()
}

fn read(path: &Path) -> anyhow::Result<Option<Bytes>> {
    match fs::read(path) {
        Ok(body) => Ok(Some(body.into())),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("failed to read {}", path.display())),
    }
}

fn list(
    folder: &Path,
    prefix: &str,
    after: Option<&str>,
    limit: usize,
) -> anyhow::Result<Vec<String>> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => {
            return Err(error).with_context(|| format!("failed to list {}", folder.display()));
        }
    };
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry.with_context(|| format!("failed to list {}", folder.display()))?;
        let Ok(file) = entry.file_name().into_string() else {
            continue;
        };
        let name = format!("{prefix}{file}");
        if is_name(&name)
            && after.is_none_or(|after| name.as_str() > after)
            && entry.path().is_file()
        {
            names.push(name);
        }
    }
    names.sort_unstable();
    names.truncate(limit);
    Ok(names)
}

fn delete(path: &Path) -> anyhow::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(error).with_context(|| format!("failed to remove {}", path.display()))
        }
        _ => Ok(()),
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> anyhow::Result<T> + Send + 'static,
) -> anyhow::Result<T> {
    tokio::task::spawn_blocking(work)
        .await
        .context("failed to finish work on a file")?
}

#[async_trait]
impl Backend for Folder {
    async fn put(&self, name: &str, body: Bytes) -> anyhow::Result<()> {
        let path = self.path(name)?;
        blocking(move || write(&path, &body)).await
    }

    async fn get(&self, name: &str) -> anyhow::Result<Option<Bytes>> {
        let path = self.path(name)?;
        blocking(move || read(&path)).await
    }

    async fn list(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> anyhow::Result<Vec<String>> {
        let folder = self.path(
            prefix
                .strip_suffix('/')
                .context("a prefix ends in a slash")?,
        )?;
        let (prefix, after) = (prefix.to_owned(), after.map(str::to_owned));
        blocking(move || list(&folder, &prefix, after.as_deref(), limit)).await
    }

    async fn delete(&self, name: &str) -> anyhow::Result<()> {
        let path = self.path(name)?;
        blocking(move || delete(&path)).await
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn folder() -> (tempfile::TempDir, Folder) {
        let root = tempfile::tempdir().unwrap();
        let folder = Folder::open(&root.path().join("store")).unwrap();
        (root, folder)
    }

    #[tokio::test]
    async fn a_blob_is_read_as_it_was_written_and_written_over() {
        let (_root, folder) = folder();
        assert_eq!(folder.get("a/b.json").await.unwrap(), None);
        folder
            .put("a/b.json", Bytes::from_static(b"one"))
            .await
            .unwrap();
        folder
            .put("a/b.json", Bytes::from_static(b"two"))
            .await
            .unwrap();
        assert_eq!(folder.get("a/b.json").await.unwrap().unwrap(), "two");
    }

    #[tokio::test]
    async fn only_the_owner_may_look_inside() {
        let (_root, folder) = folder();
        folder
            .put("a/b.json", Bytes::from_static(b"x"))
            .await
            .unwrap();
        let mode = |path: &str| {
            fs::metadata(folder.root.join(path))
                .unwrap()
                .permissions()
                .mode()
                & 0o777
        };
        assert_eq!(
            (mode("."), mode("a"), mode("a/b.json")),
            (0o700, 0o700, 0o600)
        );
    }

    #[tokio::test]
    async fn a_list_shows_neither_leftovers_nor_folders() {
        let (_root, folder) = folder();
        for name in ["a/2", "a/1", "a/b/3"] {
            folder.put(name, Bytes::new()).await.unwrap();
        }
        fs::write(folder.root.join("a/.7-0.tmp"), "cut sh").unwrap();
        assert_eq!(folder.list("a/", None, 9).await.unwrap(), ["a/1", "a/2"]);
        assert_eq!(folder.list("a/", Some("a/1"), 9).await.unwrap(), ["a/2"]);
        assert!(folder.list("none/", None, 9).await.unwrap().is_empty());
    }

    #[tokio::test]
    async fn names_that_lead_elsewhere_are_refused() {
        let (_root, folder) = folder();
        for name in ["../x", "/etc/x", "a//b", "a/.b", "", "a b"] {
            assert!(folder.put(name, Bytes::new()).await.is_err(), "{name}");
        }
    }

    #[tokio::test]
    async fn what_cannot_be_written_is_an_error() {
        let (_root, folder) = folder();
        folder.put("a", Bytes::new()).await.unwrap();
        assert!(folder.put("a/b", Bytes::new()).await.is_err());
    }
}
