//! Proves that no planted secret is in a folder: reads every byte of every file.

use std::{
    collections::{HashMap, HashSet},
    fs::File,
    io::Read as _,
    path::{Path, PathBuf},
};

use anyhow::Context as _;

/// How many bytes of a secret decide whether the rest is compared.
const HEAD: usize = 8;

/// Secrets to look for, indexed so that one pass over a file looks for all of them.
#[derive(Debug)]
pub(super) struct Secrets<'a> {
    by_head: HashMap<[u8; HEAD], Vec<(usize, &'a [u8])>>,
    first: [bool; 256],
}

impl<'a> Secrets<'a> {
    /// Each value must be longer than [`HEAD`] bytes; a shorter one is not looked for.
    pub(super) fn new(values: impl IntoIterator<Item = &'a str>) -> Self {
        let mut secrets = Self {
            by_head: HashMap::new(),
            first: [false; 256],
        };
        for (position, value) in values.into_iter().enumerate() {
            // Tokens of one kind begin alike, so the last bytes tell them apart.
            let Some((_, tail)) = value.as_bytes().split_last_chunk::<HEAD>() else {
                continue;
            };
            secrets.first[usize::from(tail[0])] = true;
            secrets
                .by_head
                .entry(*tail)
                .or_default()
                .push((position, value.as_bytes()));
        }
        secrets
    }

    /// Positions of the secrets that stand in these bytes.
    pub(super) fn within(&self, bytes: &[u8]) -> HashSet<usize> {
        let mut found = HashSet::new();
        for end in HEAD..=bytes.len() {
            let Some(tail) = bytes[..end].last_chunk::<HEAD>() else {
                continue;
            };
            if self.first[usize::from(tail[0])]
                && let Some(secrets) = self.by_head.get(tail)
            {
                found.extend(
                    secrets
                        .iter()
                        .filter(|(_, value)| bytes[..end].ends_with(value))
                        .map(|(position, _)| position),
                );
            }
        }
        found
    }
}

/// What was read.
#[derive(Debug, Default)]
pub(super) struct Scan {
    /// Positions of the secrets that were found.
    pub(super) found: HashSet<usize>,
    /// Files read.
    pub(super) files: u64,
    /// Bytes read, after inflating what is compressed.
    pub(super) bytes: u64,
}

impl Scan {
    /// Reads a folder and all folders in it.
    pub(super) fn folder(&mut self, folder: &Path, secrets: &Secrets<'_>) -> anyhow::Result<()> {
        let context = || format!("failed to read {}", folder.display());
        for entry in std::fs::read_dir(folder).with_context(context)? {
            let entry = entry.with_context(context)?;
            if entry.file_type().with_context(context)?.is_dir() {
                self.folder(&entry.path(), secrets)?;
            } else {
                self.file(&entry.path(), secrets)?;
            }
        }
        Ok(())
    }

    fn file(&mut self, path: &PathBuf, secrets: &Secrets<'_>) -> anyhow::Result<()> {
        let context = || format!("failed to read {}", path.display());
        let mut bytes = Vec::new();
        let mut file = File::open(path).with_context(context)?;
        if path.extension().is_some_and(|extension| extension == "gz") {
            flate2::read::GzDecoder::new(file)
                .read_to_end(&mut bytes)
                .with_context(context)?;
        } else {
            file.read_to_end(&mut bytes).with_context(context)?;
        }
        self.files += 1;
        self.bytes += bytes.len() as u64;
        self.found.extend(secrets.within(&bytes));
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    const VALUES: [&str; 3] = ["ghp_aaaaaaaaaaaa", "ghp_bbbbbbbbbbbb", "IQoJaaaaaaaaaaaa"];

    #[test]
    fn a_secret_is_found_wherever_it_stands() {
        let secrets = Secrets::new(VALUES);
        for text in [
            "ghp_bbbbbbbbbbbb",
            "xghp_bbbbbbbbbbbb",
            "ghp_bbbbbbbbbbbbx",
            "\"ghp_bbbbbbbbbbbb\"",
        ] {
            assert_eq!(
                secrets.within(text.as_bytes()),
                HashSet::from([1]),
                "{text}"
            );
        }
        assert!(
            secrets
                .within(b"ghp_bbbbbbbbbbb <masked:github:k1:0011223344556677>")
                .is_empty()
        );
    }

    #[test]
    fn secrets_that_end_alike_are_told_apart() {
        assert_eq!(
            Secrets::new(VALUES).within(b"IQoJaaaaaaaaaaaa"),
            HashSet::from([2])
        );
    }

    #[test]
    fn compressed_files_are_read_too() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("in")).unwrap();
        let file = File::create(folder.path().join("in/a.gz")).unwrap();
        let mut gzip = flate2::write::GzEncoder::new(file, flate2::Compression::fast());
        std::io::Write::write_all(&mut gzip, b"so ghp_aaaaaaaaaaaa it is").unwrap();
        gzip.finish().unwrap();
        let mut scan = Scan::default();
        scan.folder(folder.path(), &Secrets::new(VALUES)).unwrap();
        assert_eq!(
            (scan.found, scan.files, scan.bytes),
            (HashSet::from([0]), 1, 25)
        );
    }
}
