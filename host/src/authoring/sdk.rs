//! The SDK's own sources. The program carries them, so that a project is made with the very interface
//! that this host speaks, and needs nothing that is not published.

/// A file of a project: its path there, and its text. In a template `{{name}}` stands for the plugin's name.
pub(super) type File = (&'static str, &'static str);

/// Path in a project, and content, of what a plugin in Rust is built on. The crates of the SDK inherit from the workspace that `sdk.toml` is.
pub(super) const RUST: &[File] = &[
    LOCK,
    (
        "sdk/Cargo.toml",
        include_str!("../cli/plugin/templates/rust/sdk.toml"),
    ),
    ("sdk/LICENSE", include_str!("../../../LICENSE")),
    (
        "sdk/wit/plugin.wit",
        include_str!("../../../wit/plugin.wit"),
    ),
    (
        "sdk/rust/macros/Cargo.toml",
        include_str!("../../../plugins/sdk-macros/Cargo.toml"),
    ),
    (
        "sdk/rust/macros/src/lib.rs",
        include_str!("../../../plugins/sdk-macros/src/lib.rs"),
    ),
    (
        "sdk/rust/plugin/Cargo.toml",
        include_str!("../../../plugins/sdk/Cargo.toml"),
    ),
    (
        "sdk/rust/plugin/src/batch.rs",
        include_str!("../../../plugins/sdk/src/batch.rs"),
    ),
    (
        "sdk/rust/plugin/src/cache.rs",
        include_str!("../../../plugins/sdk/src/cache.rs"),
    ),
    (
        "sdk/rust/plugin/src/guest.rs",
        include_str!("../../../plugins/sdk/src/guest.rs"),
    ),
    (
        "sdk/rust/plugin/src/lib.rs",
        include_str!("../../../plugins/sdk/src/lib.rs"),
    ),
    (
        "sdk/rust/plugin/src/lookup.rs",
        include_str!("../../../plugins/sdk/src/lookup.rs"),
    ),
    (
        "sdk/rust/plugin/src/log.rs",
        include_str!("../../../plugins/sdk/src/log.rs"),
    ),
    (
        "sdk/rust/plugin/src/output.rs",
        include_str!("../../../plugins/sdk/src/output.rs"),
    ),
    (
        "sdk/rust/plugin/src/state.rs",
        include_str!("../../../plugins/sdk/src/state.rs"),
    ),
    (
        "sdk/rust/plugin/src/subscription.rs",
        include_str!("../../../plugins/sdk/src/subscription.rs"),
    ),
    (
        "sdk/rust/plugin/src/testing/world.rs",
        include_str!("../../../plugins/sdk/src/testing/world.rs"),
    ),
    (
        "sdk/rust/plugin/src/testing.rs",
        include_str!("../../../plugins/sdk/src/testing.rs"),
    ),
];

/// Path in a project, and content, of what a plugin in Python is built on.
pub(super) const PYTHON: &[File] = &[
    ("sdk/LICENSE", include_str!("../../../LICENSE")),
    (
        "sdk/wit/plugin.wit",
        include_str!("../../../wit/plugin.wit"),
    ),
    (
        "sdk/sluicegate_plugin/__init__.py",
        include_str!("../../../plugins/sdk-python/sluicegate_plugin/__init__.py"),
    ),
    (
        "sdk/sluicegate_plugin/batch.py",
        include_str!("../../../plugins/sdk-python/sluicegate_plugin/batch.py"),
    ),
    (
        "sdk/sluicegate_plugin/guest.py",
        include_str!("../../../plugins/sdk-python/sluicegate_plugin/guest.py"),
    ),
    (
        "sdk/sluicegate_plugin/log.py",
        include_str!("../../../plugins/sdk-python/sluicegate_plugin/log.py"),
    ),
    (
        "sdk/sluicegate_plugin/output.py",
        include_str!("../../../plugins/sdk-python/sluicegate_plugin/output.py"),
    ),
    (
        "sdk/sluicegate_plugin/plugin.py",
        include_str!("../../../plugins/sdk-python/sluicegate_plugin/plugin.py"),
    ),
    (
        "sdk/sluicegate_plugin/settings.py",
        include_str!("../../../plugins/sdk-python/sluicegate_plugin/settings.py"),
    ),
    (
        "sdk/sluicegate_plugin/subscription.py",
        include_str!("../../../plugins/sdk-python/sluicegate_plugin/subscription.py"),
    ),
    (
        "sdk/sluicegate_plugin/testing.py",
        include_str!("../../../plugins/sdk-python/sluicegate_plugin/testing.py"),
    ),
    (
        "sdk/sluicegate_plugin/wit.py",
        include_str!("../../../plugins/sdk-python/sluicegate_plugin/wit.py"),
    ),
];

/// The versions of all libraries, as they were tested together. Cargo removes what a project does not
/// need.
const LOCK: File = ("Cargo.lock", include_str!("../../../Cargo.lock"));

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use std::{collections::BTreeSet, fs, path::Path};

    use super::*;

    fn root() -> std::path::PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
    }

    #[test]
    fn every_source_of_the_sdk_is_carried() {
        for (files, carried, of) in [
            (RUST, "sdk/rust/plugin/src/", "plugins/sdk/src"),
            (
                RUST,
                "sdk/rust/plugin/src/testing/",
                "plugins/sdk/src/testing",
            ),
            (RUST, "sdk/rust/macros/src/", "plugins/sdk-macros/src"),
            (RUST, "sdk/wit/", "wit"),
            (
                PYTHON,
                "sdk/sluicegate_plugin/",
                "plugins/sdk-python/sluicegate_plugin",
            ),
            (PYTHON, "sdk/wit/", "wit"),
        ] {
            let there: BTreeSet<String> = fs::read_dir(root().join(of))
                .unwrap()
                .map(|entry| entry.unwrap())
                .filter(|entry| entry.file_type().unwrap().is_file())
                .map(|entry| entry.file_name().into_string().unwrap())
                .collect();
            let here: BTreeSet<String> = files
                .iter()
                .filter_map(|(path, _)| path.strip_prefix(carried))
                .filter(|name| !name.contains('/'))
                .map(str::to_owned)
                .collect();
            assert_eq!(here, there, "add what is missing in {of}");
        }
    }

    #[test]
    fn the_carried_workspace_names_the_libraries_as_ours_does() {
        let ours = fs::read_to_string(root().join("Cargo.toml")).unwrap();
        let is_workspace = |file: &&File| file.0 == "sdk/Cargo.toml";
        let carried = RUST.iter().find(is_workspace).unwrap().1;
        let (_, dependencies) = carried.split_once("[workspace.dependencies]\n").unwrap();
        for line in dependencies
            .lines()
            .filter(|line| !line.contains("path = "))
        {
            assert!(ours.lines().any(|own| own == line), "{line}");
        }
        for (path, text) in RUST
            .iter()
            .filter(|(path, _)| path.ends_with("/Cargo.toml"))
        {
            let inherited = text
                .lines()
                .filter_map(|line| line.strip_suffix(".workspace = true"));
            for name in inherited {
                let found = carried.lines().any(|line| {
                    line.strip_prefix(name)
                        .is_some_and(|rest| rest.starts_with(" = "))
                });
                assert!(found, "{name} of {path} is missing in sdk.toml");
            }
        }
        let (_, package) = carried.split_once("[workspace.package]\n").unwrap();
        for line in package.lines().take_while(|line| !line.is_empty()) {
            assert!(ours.lines().any(|own| own == line), "{line}");
        }
    }
}
