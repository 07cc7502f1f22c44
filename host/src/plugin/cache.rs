//! Compiled components, kept between starts.

use std::{
    fs,
    hash::{Hash, Hasher},
    io::Write as _,
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, ensure};

use crate::digest::{Sha256, hex, sha256};

/// A folder of our own with machine code in it.
///
/// Machine code cannot be checked when it is loaded, so it is trusted for where it lies: the folder is
/// owned by this user and closed to all others, and nothing is ever loaded from anywhere else. Each file
/// is named by what was compiled (SHA-256 of the component) and by what it was compiled for (engine
/// version, settings, processor), and begins with the SHA-256 of its content, against damage.
#[derive(Debug)]
pub(super) struct Cache {
    folder: PathBuf,
}

impl Cache {
    /// Makes the folder, or checks the one that is there.
    pub(super) fn open(folder: PathBuf) -> anyhow::Result<Self> {
        let shown = folder.display().to_string();
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&folder)
            .with_context(|| format!("failed to make plugin cache {shown}"))?;
        let folder_is = fs::symlink_metadata(&folder)
            .with_context(|| format!("failed to read plugin cache {shown}"))?;
        ensure!(folder_is.is_dir(), "plugin cache {shown} is not a folder");
        ensure!(
            folder_is.mode().trailing_zeros() >= 6,
            "plugin cache {shown} is open to other users (mode {:o}, wanted 700)",
            folder_is.mode() & 0o777
        );
        let cache = Self { folder };
        let owner = cache
            .own_user()
            .with_context(|| format!("failed to write to plugin cache {shown}"))?;
        ensure!(
            folder_is.uid() == owner,
            "plugin cache {shown} belongs to another user"
        );
        Ok(cache)
    }

    /// Who we are, as the file system sees it.
    fn own_user(&self) -> std::io::Result<u32> {
        let probe = self
            .folder
            .join(format!(".probe-{:016x}", fastrand::u64(..)));
        let owner = create(&probe)
            .and_then(|file| file.metadata())
            .map(|file| file.uid());
        fs::remove_file(&probe)?;
        owner
    }

    /// The compiled component, if it is there, whole, and for this engine.
    pub(super) fn load(
        &self,
        engine: &wasmtime::Engine,
        digest: &str,
    ) -> Option<wasmtime::component::Component> {
        let file = fs::read(self.path(engine, digest)).ok()?;
        let (sum, code) = file.split_at_checked(32)?;
        if sum != sha256(&[code]).as_slice() {
            return None;
        }
        #[allow(
            unsafe_code,
            reason = "our own output, from a folder closed to other users, whole by its SHA-256"
        )]
        // SAFETY: the bytes are what `Component::serialize` returned in `store`, on this or another run
        // of this program: only this user can write to the folder, and the sum excludes damage.
        let component = unsafe { wasmtime::component::Component::deserialize(engine, code) };
        component.ok()
    }

    /// Keeps a compiled component for the next start.
    pub(super) fn store(
        &self,
        engine: &wasmtime::Engine,
        digest: &str,
        component: &wasmtime::component::Component,
    ) -> anyhow::Result<()> {
        let code = component.serialize().map_err(anyhow::Error::from)?;
        let part = self
            .folder
            .join(format!(".part-{:016x}", fastrand::u64(..)));
        let written = create(&part).and_then(|mut file| {
            file.write_all(&sha256(&[&code]))?;
            file.write_all(&code)?;
            file.sync_all()?;
            fs::rename(&part, self.path(engine, digest))
        });
        if written.is_err() {
            // Nothing more can be done about what is left of it.
            let _ = fs::remove_file(&part);
        }
        written
            .with_context(|| format!("failed to write to plugin cache {}", self.folder.display()))
    }

    fn path(&self, engine: &wasmtime::Engine, digest: &str) -> PathBuf {
        let mut target = TargetHash(Sha256::new());
        engine.precompile_compatibility_hash().hash(&mut target);
        let target = hex(&target.0.finish()[..8]);
        self.folder.join(format!("{digest}-{target}.cwasm"))
    }
}

/// A new file that nobody else can read.
fn create(path: &Path) -> std::io::Result<fs::File> {
    fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
}

/// SHA-256 behind the interface of a hasher, because the standard one may change with the compiler.
struct TargetHash(Sha256);

impl Hasher for TargetHash {
    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    fn finish(&self) -> u64 {
        let sum = self.0.clone().finish();
        u64::from_be_bytes(std::array::from_fn(|position| sum[position]))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn opened(mode: u32) -> String {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("cache");
        fs::create_dir(&path).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        Cache::open(path).map_or_else(|error| error.to_string(), |_| "opened".to_owned())
    }

    #[test]
    fn only_a_folder_closed_to_others_is_used() {
        assert_eq!(opened(0o700), "opened");
        assert!(opened(0o750).contains("is open to other users (mode 750, wanted 700)"));
    }

    #[test]
    fn a_new_folder_is_closed_to_others() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a/b");
        Cache::open(path.clone()).unwrap();
        assert_eq!(fs::metadata(path).unwrap().mode() & 0o777, 0o700);
    }

    #[test]
    fn a_link_to_a_folder_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let link = folder.path().join("link");
        std::os::unix::fs::symlink(folder.path(), &link).unwrap();
        assert!(
            Cache::open(link)
                .unwrap_err()
                .to_string()
                .contains("is not a folder")
        );
    }
}
