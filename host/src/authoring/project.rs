//! Writes the project of a new plugin.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, ensure};

use super::sdk::{self, File};
use crate::{plugin::manifest, text::shown};

/// What a project begins with.
#[derive(Clone, Copy)]
pub(crate) struct Template {
    /// The author's to change.
    own: &'static [File],
    /// The SDK, as it is.
    sdk: &'static [File],
    /// Names that would not do in this language.
    taken: &'static [&'static str],
}

/// A plugin in Rust.
pub(crate) const RUST: Template = Template {
    own: RUST_FILES,
    sdk: sdk::RUST,
    taken: &TAKEN,
};

/// A plugin in Python.
pub(crate) const PYTHON: Template = Template {
    own: PYTHON_FILES,
    sdk: sdk::PYTHON,
    taken: &[],
};

const PYTHON_FILES: &[File] = &[
    (
        "main.py",
        include_str!("../cli/plugin/templates/python/main.py"),
    ),
    (
        "test_main.py",
        include_str!("../cli/plugin/templates/python/test_main.py"),
    ),
    (
        ".gitignore",
        include_str!("../cli/plugin/templates/python/gitignore"),
    ),
    (
        "README.md",
        include_str!("../cli/plugin/templates/python/README.md"),
    ),
    (
        "requirements.txt",
        include_str!("../cli/plugin/templates/python/requirements.txt"),
    ),
    (
        "tests/cases.yaml",
        include_str!("../cli/plugin/templates/python/cases.yaml"),
    ),
];

const RUST_FILES: &[File] = &[
    (
        "Cargo.toml",
        include_str!("../cli/plugin/templates/rust/Cargo.toml.in"),
    ),
    (
        ".gitignore",
        include_str!("../cli/plugin/templates/rust/gitignore"),
    ),
    (
        "README.md",
        include_str!("../cli/plugin/templates/rust/README.md"),
    ),
    (
        "src/lib.rs",
        include_str!("../cli/plugin/templates/rust/lib.rs"),
    ),
    (
        "tests/cases.yaml",
        include_str!("../cli/plugin/templates/rust/cases.yaml"),
    ),
];

/// Words that cargo does not take for the name of a package, or that the project needs otherwise.
const TAKEN: [&str; 46] = [
    "abstract",
    "alloc",
    "as",
    "async",
    "await",
    "become",
    "box",
    "break",
    "const",
    "continue",
    "core",
    "crate",
    "do",
    "dyn",
    "else",
    "enum",
    "extern",
    "false",
    "final",
    "fn",
    "for",
    "gen",
    "if",
    "impl",
    "in",
    "let",
    "loop",
    "macro",
    "match",
    "mod",
    "move",
    "mut",
    "priv",
    "proc-macro",
    "pub",
    "ref",
    "return",
    "sdk",
    "self",
    "serde",
    "static",
    "std",
    "struct",
    "test",
    "true",
    "type",
];

/// Writes a project with the SDK into `folder`, whose name the plugin gets, and returns that name.
///
/// # Errors
/// When the name is none for a plugin, when something lies in the folder already, or when it cannot be
/// written.
pub(crate) fn write(folder: &Path, template: Template) -> anyhow::Result<String> {
    let name = folder
        .file_name()
        .with_context(|| format!("{} names no new folder", folder.display()))?
        .to_string_lossy()
        .into_owned();
    check(&name, template.taken)?;
    prepare(folder)?;
    for (path, text) in template.own {
        put(folder, path, &text.replace("{{name}}", &name))?;
    }
    for (path, text) in template.sdk {
        put(folder, path, text)?;
    }
    Ok(name)
}

/// Whether both the host and the language take the name.
fn check(name: &str, taken: &[&str]) -> anyhow::Result<()> {
    manifest::name(name).map_err(anyhow::Error::msg)?;
    ensure!(
        name.starts_with(|c: char| c.is_ascii_lowercase()) && !name.starts_with("sluicegate"),
        "name must begin with a letter and not with `sluicegate`, got `{}`",
        shown(name)
    );
    ensure!(
        !taken.contains(&name),
        "name `{name}` is taken by Rust: choose another"
    );
    Ok(())
}

fn prepare(folder: &Path) -> anyhow::Result<()> {
    let context = || format!("failed to make {}", folder.display());
    if fs::symlink_metadata(folder).is_ok() {
        let mut entries = folder.read_dir().with_context(context)?;
        ensure!(
            entries.next().is_none(),
            "{} is not empty: name a folder that does not exist, nothing is overwritten",
            folder.display()
        );
    }
    fs::create_dir_all(folder).with_context(context)
}

fn put(folder: &Path, path: &str, text: &str) -> anyhow::Result<()> {
    let path: PathBuf = folder.join(path);
    let parent = path.parent().expect("a file of the project lies in it");
    fs::create_dir_all(parent)
        .and_then(|()| fs::write(&path, text))
        .with_context(|| format!("failed to write {}", path.display()))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    fn refused(name: &str) -> String {
        let folder = tempfile::tempdir().unwrap();
        let error = write(&folder.path().join(name), RUST).unwrap_err();
        assert_eq!(folder.path().read_dir().unwrap().count(), 0, "{name}");
        error.to_string()
    }

    #[test]
    fn a_name_that_cargo_or_the_host_would_refuse_is_refused_before_anything_is_written() {
        assert!(refused("My_Plugin").starts_with("name must be 1 to 64 of a-z, 0-9 and -"));
        assert!(refused("7-keys").starts_with("name must begin with a letter"));
        assert!(refused("sluicegate-plugin").contains("not with `sluicegate`"));
        assert!(refused("fn").contains("is taken by Rust"));
        let root = write(Path::new("/"), RUST).unwrap_err().to_string();
        assert!(root.contains("names no new folder"), "{root}");
    }

    #[test]
    fn nothing_is_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let project = folder.path().join("mine");
        fs::create_dir(&project).unwrap();
        fs::write(project.join("notes"), "mine").unwrap();
        let error = write(&project, RUST).unwrap_err().to_string();
        assert!(error.contains("is not empty"), "{error}");
        assert_eq!(project.read_dir().unwrap().count(), 1);
        let file = folder.path().join("file");
        fs::write(&file, "mine").unwrap();
        assert!(write(&file, RUST).is_err());
        assert_eq!(fs::read_to_string(&file).unwrap(), "mine");
    }

    #[test]
    fn a_project_carries_its_name_and_the_sdk() {
        let folder = tempfile::tempdir().unwrap();
        let project = folder.path().join("keys-for-others");
        fs::create_dir(&project).unwrap();
        assert_eq!(write(&project, RUST).unwrap(), "keys-for-others");
        let manifest = fs::read_to_string(project.join("Cargo.toml")).unwrap();
        assert!(manifest.contains("name = \"keys-for-others\""));
        for (path, _) in RUST.own.iter().chain(RUST.sdk) {
            let text = fs::read_to_string(project.join(path)).unwrap();
            assert!(!text.contains("{{name}}"), "{path}");
        }
    }
}
