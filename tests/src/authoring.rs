//! The tools of plugin authors under test: the real binary, in an empty folder.

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use tempfile::TempDir;

use crate::{host::root, process::binary};

/// An empty folder, and commands that run there with the program on `PATH`.
pub struct Workshop {
    folder: TempDir,
}

/// How a command ended.
#[derive(Debug)]
pub struct Ended {
    /// Its exit code.
    pub code: i32,
    /// What it wrote to stdout.
    pub said: String,
    /// What it wrote to stderr.
    pub errors: String,
}

impl Workshop {
    /// Makes the folder.
    ///
    /// # Panics
    /// When it cannot be made.
    #[must_use]
    pub fn new() -> Self {
        let parent = root().join("target/tmp");
        std::fs::create_dir_all(&parent).expect("a folder for temporary files");
        let folder = tempfile::tempdir_in(parent.canonicalize().expect("it was just made"));
        Self {
            folder: folder.expect("a folder for temporary files"),
        }
    }

    /// The folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Writes a file in the folder, and the folders that it lies in.
    ///
    /// # Panics
    /// When it cannot be written.
    pub fn write(&self, path: &str, content: impl AsRef<[u8]>) {
        let path = self.folder().join(path);
        let parent = path.parent().expect("a file lies in a folder");
        std::fs::create_dir_all(parent).expect("a folder can be made");
        std::fs::write(&path, content).expect("a file can be written");
    }

    /// Any program, with ours on `PATH`. What cargo builds is kept for all tests, so that the libraries
    /// of the SDK are compiled once.
    ///
    /// # Panics
    /// When the tests do not know where they are.
    #[must_use]
    pub fn command(&self, program: &str) -> Command {
        let binary = binary();
        let own = binary.parent().expect("a program lies in a folder");
        let inherited = std::env::var_os("PATH").unwrap_or_default();
        // Where the tool that makes components of Python is installed.
        let python = root().join(".venv/bin");
        let python = python.canonicalize().expect("`make setup` makes .venv");
        let paths = [PathBuf::from(own), python]
            .into_iter()
            .chain(std::env::split_paths(&inherited));
        let kept = root().join("target/tmp/authoring-target");
        let mut command = Command::new(program);
        command
            .current_dir(self.folder())
            .env(
                "PATH",
                std::env::join_paths(paths).expect("paths can be joined"),
            )
            .env("CARGO_TARGET_DIR", kept)
            .env("RUNNERS", root().join("dist/runners"))
            .env(
                "SLUICEGATE__PLUGIN_CACHE__PATH",
                root().join("target/tmp/plugin-cache"),
            )
            // A new project needs no library that this workspace has not fetched.
            .env("CARGO_NET_OFFLINE", "true")
            .stdin(Stdio::null());
        command
    }

    /// Runs `sluicegate plugin` with these arguments.
    ///
    /// # Panics
    /// When the program was not built, or was killed.
    #[must_use]
    pub fn plugin(&self, arguments: &[&str]) -> Ended {
        self.plugin_on(arguments, None)
    }

    /// The same with a `PATH` of its own.
    ///
    /// # Panics
    /// When the program was not built, or was killed.
    #[must_use]
    pub fn plugin_on(&self, arguments: &[&str], path: Option<OsString>) -> Ended {
        let mut command = self.command(&binary().display().to_string());
        command.arg("plugin").args(arguments);
        if let Some(path) = path {
            command.env("PATH", path);
        }
        end(&mut command)
    }
}

impl Default for Workshop {
    fn default() -> Self {
        Self::new()
    }
}

/// Runs a command to its end.
///
/// # Panics
/// When it cannot be started, or was killed.
#[must_use]
pub fn end(command: &mut Command) -> Ended {
    let output = command
        .output()
        .unwrap_or_else(|error| panic!("{command:?}: {error}; run `cargo build`"));
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Ended {
        code: output.status.code().expect("nobody killed it"),
        said: text(&output.stdout),
        errors: text(&output.stderr),
    }
}
