//! Files that a plugin's configuration names, put in their place: plugins reach no files, so what they are
//! made of (rule packs) comes with their configuration.
//!
//! Any object of exactly one member `inline_files` becomes an array of `{ "path", "text" }`, sorted by path:
//! the file itself, or all files with rules in a folder or a `.zip` archive.

use std::{
    collections::BTreeMap,
    fs,
    io::Read,
    path::{Path, PathBuf},
    time::SystemTime,
};

use anyhow::{Context as _, bail, ensure};
use serde_json::{Map, Value, json};

use crate::text::shown;

/// The member that names files.
const MEMBER: &str = "inline_files";
/// Files of one configuration.
const MAX_FILES: usize = 10_000;
/// Entries of folders and archives that are looked at, files of other kinds included.
const MAX_ENTRIES: usize = 100_000;
/// Bytes of all files of one configuration.
const MAX_BYTES: u64 = 64 << 20;
/// Folders within each other.
const MAX_DEPTH: usize = 32;

/// Which files of a folder or an archive are taken.
const KINDS: [&str; 4] = ["yml", "yaml", "json", "txt"];

/// A file or folder and how it looks: when it was changed, and its length; none where it is not there.
pub(crate) type Stamp = (PathBuf, Option<(SystemTime, u64)>);

/// The configuration with files in the place of their names. Paths are relative to `base`; the empty one is
/// the working directory.
///
/// # Errors
/// Which file cannot be taken, and why.
pub fn inline_files(
    configuration: &Map<String, Value>,
    base: &Path,
) -> anyhow::Result<Map<String, Value>> {
    let mut files = Files::default();
    let mut out = configuration.clone();
    for (name, value) in &mut out {
        let context = || format!("configuration.{}", shown(name));
        replace(value, &mut |path| files.take(&base.join(path))).with_context(context)?;
    }
    Ok(out)
}

/// Path and text of each file that a path stands for, under the same rules.
///
/// # Errors
/// Which file cannot be taken, and why.
#[cfg(feature = "cli")]
pub(crate) fn files(path: &Path) -> anyhow::Result<BTreeMap<String, String>> {
    Files::default().texts(path)
}

/// How everything looks that a configuration takes files from; another answer means that it changed.
pub(crate) fn stamps(configuration: &Map<String, Value>, base: &Path) -> Vec<Stamp> {
    let mut stamps = Vec::new();
    let mut copy = Value::Object(configuration.clone());
    let noted = replace(&mut copy, &mut |path| {
        let path = base.join(path);
        let mut walk = Walk::default();
        // What cannot be walked is told of when it is loaded.
        let _ = walk.folder(&path, 0);
        walk.all.push(path);
        for path in walk.all {
            let about = fs::metadata(&path).ok();
            let stamp = about.and_then(|about| Some((about.modified().ok()?, about.len())));
            stamps.push((path, stamp));
        }
        Ok(Value::Null)
    });
    debug_assert!(noted.is_ok(), "taking stamps does not fail");
    stamps
}

/// Puts what `take` makes of a path into the place of every object that names one.
fn replace(
    value: &mut Value,
    take: &mut dyn FnMut(&str) -> anyhow::Result<Value>,
) -> anyhow::Result<()> {
    match value {
        Value::Object(members) => {
            if let (1, Some(named)) = (members.len(), members.get(MEMBER)) {
                let path = named.as_str().filter(|path| !path.is_empty());
                let path = path.with_context(|| {
                    format!("{MEMBER} must name a file, a folder or a .zip archive")
                })?;
                *value = take(path)?;
                return Ok(());
            }
            members
                .values_mut()
                .try_for_each(|member| replace(member, take))
        }
        Value::Array(elements) => elements
            .iter_mut()
            .try_for_each(|element| replace(element, take)),
        _ => Ok(()),
    }
}

/// What was taken so far.
#[derive(Default)]
struct Files {
    count: usize,
    bytes: u64,
}

impl Files {
    fn take(&mut self, path: &Path) -> anyhow::Result<Value> {
        let files = self.texts(path)?.into_iter();
        Ok(files
            .map(|(path, text)| json!({ "path": path, "text": text }))
            .collect())
    }

    /// The text of each file, by its path.
    fn texts(&mut self, path: &Path) -> anyhow::Result<BTreeMap<String, String>> {
        let context = || format!("failed to read {}", path.display());
        let about = fs::metadata(path).with_context(context)?;
        let mut texts = BTreeMap::new();
        if about.is_dir() {
            let mut walk = Walk::default();
            walk.folder(path, 0).with_context(context)?;
            for file in walk.files {
                let text = self
                    .file(&file)
                    .with_context(|| format!("failed to read {}", file.display()))?;
                texts.insert(file.display().to_string(), text);
            }
        } else if has_kind(path, &["zip"]) {
            self.archive(path, &mut texts).with_context(context)?;
        } else {
            texts.insert(
                path.display().to_string(),
                self.file(path).with_context(context)?,
            );
        }
        ensure!(
            !texts.is_empty(),
            "{} has no file that ends in .{}",
            path.display(),
            KINDS.join(", .")
        );
        Ok(texts)
    }

    fn file(&mut self, path: &Path) -> anyhow::Result<String> {
        let file = fs::File::open(path)?;
        ensure!(file.metadata()?.is_file(), "is not a regular file");
        self.text(file)
    }

    /// Reads to the end, or to what may be read in all.
    fn text(&mut self, from: impl Read) -> anyhow::Result<String> {
        self.count += 1;
        ensure!(
            self.count <= MAX_FILES,
            "more than {MAX_FILES} files: name a smaller folder"
        );
        let mut bytes = Vec::new();
        from.take(MAX_BYTES - self.bytes + 1)
            .read_to_end(&mut bytes)?;
        self.bytes += bytes.len() as u64;
        ensure!(
            self.bytes <= MAX_BYTES,
            "more than {MAX_BYTES} bytes in all: name fewer files"
        );
        String::from_utf8(bytes).ok().context("is not UTF-8")
    }

    fn archive(&mut self, path: &Path, texts: &mut BTreeMap<String, String>) -> anyhow::Result<()> {
        let mut archive =
            zip::ZipArchive::new(fs::File::open(path)?).context("is no zip archive")?;
        ensure!(
            archive.len() <= MAX_ENTRIES,
            "has {} entries, at most {MAX_ENTRIES} are looked at",
            archive.len()
        );
        for position in 0..archive.len() {
            let entry = archive
                .by_index(position)
                .with_context(|| format!("entry {position}"))?;
            let name = shown(entry.name());
            let Some(inside) = entry.enclosed_name() else {
                bail!("entry `{name}` leads out of the archive");
            };
            ensure!(!entry.is_symlink(), "entry `{name}` is a symbolic link");
            if !entry.is_file() || !has_kind(&inside, &KINDS) {
                continue;
            }
            let text = self
                .text(entry)
                .with_context(|| format!("entry `{name}`"))?;
            let place = path.join(&inside).display().to_string();
            ensure!(
                texts.insert(place, text).is_none(),
                "has entry `{name}` twice"
            );
        }
        Ok(())
    }
}

/// The files of a folder and of those within it. Links to files are followed, links to folders are not, and
/// hidden names are passed over: so a mounted `ConfigMap` reads as what it holds.
#[derive(Default)]
struct Walk {
    files: Vec<PathBuf>,
    /// The same, and the folders.
    all: Vec<PathBuf>,
    entries: usize,
}

impl Walk {
    fn folder(&mut self, folder: &Path, depth: usize) -> anyhow::Result<()> {
        ensure!(
            depth <= MAX_DEPTH,
            "has folders nested deeper than {MAX_DEPTH}"
        );
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            self.entries += 1;
            ensure!(
                self.entries <= MAX_ENTRIES,
                "has more than {MAX_ENTRIES} entries"
            );
            let path = entry.path();
            if entry.file_name().as_encoded_bytes().starts_with(b".") {
                continue;
            }
            if entry.file_type()?.is_dir() {
                self.all.push(path.clone());
                self.folder(&path, depth + 1)?;
            } else if has_kind(&path, &KINDS) && fs::metadata(&path)?.is_file() {
                self.all.push(path.clone());
                self.files.push(path);
            }
        }
        Ok(())
    }
}

fn has_kind(path: &Path, kinds: &[&str]) -> bool {
    let kind = path.extension().and_then(|kind| kind.to_str());
    kind.is_some_and(|kind| kinds.contains(&kind))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use std::io::Write as _;

    use zip::write::SimpleFileOptions;

    use super::*;

    fn inlined(configuration: &Value, base: &Path) -> anyhow::Result<Value> {
        inline_files(configuration.as_object().unwrap(), base).map(Value::Object)
    }

    fn refused(configuration: &Value, base: &Path) -> String {
        format!("{:#}", inlined(configuration, base).unwrap_err())
    }

    fn zip(path: &Path, entries: &[(&str, &str)]) {
        let mut archive = zip::ZipWriter::new(fs::File::create(path).unwrap());
        for (name, text) in entries {
            let options = SimpleFileOptions::default();
            if let Some(name) = name.strip_prefix("link:") {
                archive.add_symlink(name, *text, options).unwrap();
            } else {
                archive.start_file(*name, options).unwrap();
                archive.write_all(text.as_bytes()).unwrap();
            }
        }
        archive.finish().unwrap();
    }

    #[test]
    fn files_folders_and_archives_stand_where_they_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let base = folder.path();
        fs::create_dir_all(base.join("rules/aws")).unwrap();
        for (name, text) in [
            ("b.yml", "B"),
            ("aws/a.yaml", "A"),
            ("c.md", "no"),
            (".hidden.yml", "no"),
        ] {
            fs::write(base.join("rules").join(name), text).unwrap();
        }
        zip(
            &base.join("pack.zip"),
            &[("z/x.yml", "X"), ("readme.md", "no"), ("a.txt", "T")],
        );
        let named = json!({ "rules": { "inline_files": "rules" }, "n": 1, "deep": [{ "one": { "inline_files": "pack.zip" } }], "kept": { "inline_files": "x", "more": 1 } });
        let at = |inside: &str| base.join(inside).display().to_string();
        let file = |path: &str, text: &str| json!({ "path": at(path), "text": text });
        let wanted = json!({
            "rules": [file("rules/aws/a.yaml", "A"), file("rules/b.yml", "B")],
            "n": 1,
            "deep": [{ "one": [file("pack.zip/a.txt", "T"), file("pack.zip/z/x.yml", "X")] }],
            "kept": { "inline_files": "x", "more": 1 },
        });
        assert_eq!(inlined(&named, base).unwrap(), wanted);
        let one = json!({ "one": { "inline_files": "rules/c.md" } });
        assert_eq!(
            inlined(&one, base).unwrap()["one"][0]["text"],
            "no",
            "a file that is named is taken"
        );
    }

    #[test]
    fn what_cannot_be_taken_is_refused_with_its_place() {
        let folder = tempfile::tempdir().unwrap();
        let base = folder.path();
        let of = |path: &str| json!({ "rules": { "inline_files": path } });
        assert!(refused(&of("none"), base).starts_with("configuration.rules: failed to read "));
        assert!(
            refused(&json!({ "rules": { "inline_files": 5 } }), base).contains("must name a file")
        );
        fs::create_dir(base.join("empty")).unwrap();
        assert!(refused(&of("empty"), base).contains("has no file that ends in .yml"));
        fs::write(base.join("latin.yml"), [0xe4]).unwrap();
        assert!(refused(&of("latin.yml"), base).contains("is not UTF-8"));
        fs::write(base.join("no.zip"), "no").unwrap();
        assert!(refused(&of("no.zip"), base).contains("is no zip archive"));
        zip(&base.join("out.zip"), &[("../../out.yml", "x")]);
        assert!(refused(&of("out.zip"), base).contains("leads out of the archive"));
        zip(&base.join("link.zip"), &[("link:x.yml", "/etc/passwd")]);
        assert!(refused(&of("link.zip"), base).contains("is a symbolic link"));
    }

    #[test]
    fn a_bomb_is_not_inflated_to_its_end() {
        let folder = tempfile::tempdir().unwrap();
        let text = " ".repeat(33 << 20);
        zip(
            &folder.path().join("bomb.zip"),
            &[("a.yml", &text), ("b.yml", &text), ("c.yml", &text)],
        );
        let named = json!({ "rules": { "inline_files": "bomb.zip" } });
        assert!(refused(&named, folder.path()).contains("more than 67108864 bytes"));
    }

    #[test]
    fn a_change_shows() {
        let folder = tempfile::tempdir().unwrap();
        let base = folder.path();
        fs::create_dir(base.join("rules")).unwrap();
        fs::write(base.join("rules/a.yml"), "A").unwrap();
        let named = json!({ "rules": { "inline_files": "rules" } });
        let now = || stamps(named.as_object().unwrap(), base);
        let before = now();
        assert_eq!(before, now());
        fs::write(base.join("rules/a.yml"), "AA").unwrap();
        let changed = now();
        assert_ne!(before, changed);
        fs::write(base.join("rules/b.yml"), "B").unwrap();
        assert_ne!(changed, now());
    }
}
