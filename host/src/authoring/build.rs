//! Builds a plugin's project. In Rust cargo makes a core module, and that is made a component; in Python
//! componentize-py makes the component.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context as _, anyhow, bail, ensure};
use serde::Deserialize;

use super::read;
use crate::{
    plugin::{Compiled, Engine, MAX_COMPONENT_BYTES, abi::Description},
    text::shown,
};

/// By this file a plugin in Python is known.
const PYTHON_MODULE: &str = "main.py";
const PYTHON_OUTPUT: &str = "dist/.made.wasm";
const TARGET: &str = "wasm32-unknown-unknown";

/// How guests are compiled, so that no project can get it wrong: small and fast to start; a panic is a
/// trap either way.
const PROFILE: [&str; 6] = [
    "inherits=\"release\"",
    "opt-level=3",
    "lto=\"fat\"",
    "codegen-units=1",
    "panic=\"abort\"",
    "strip=true",
];

/// A component that was built, and that this host can run.
#[derive(Debug)]
pub(crate) struct Built {
    /// Where it lies.
    pub(crate) path: PathBuf,
    /// Its bytes.
    pub(crate) wasm: Vec<u8>,
    /// SHA-256 of them, in lower-case hexadecimal.
    pub(crate) digest: String,
    /// What it says of itself.
    pub(crate) description: Description,
}

/// Builds the project in `folder` into `dist/<plugin>.wasm` there. What cargo has to say goes to stderr.
///
/// # Errors
/// What is missing on this machine or in the project, and what to do about it.
pub(crate) fn build(folder: &Path) -> anyhow::Result<Built> {
    let wasm = if folder.join("Cargo.toml").is_file() {
        rust(folder)?
    } else if folder.join(PYTHON_MODULE).is_file() {
        python(folder)?
    } else {
        bail!(
            "found no Cargo.toml and no {PYTHON_MODULE} in {}: name the folder of a plugin, or make one with `sluicegate plugin new`",
            folder.display()
        );
    };
    let (digest, description) =
        fits(&wasm).with_context(|| format!("failed to run what {} makes", folder.display()))?;

    let dist = folder.join("dist");
    let path = dist.join(&description.name).with_extension("wasm");
    fs::create_dir_all(&dist)
        .and_then(|()| fs::write(&path, &wasm))
        .with_context(|| format!("failed to write {}", path.display()))?;
    Ok(Built {
        path,
        wasm,
        digest,
        description,
    })
}

fn rust(folder: &Path) -> anyhow::Result<Vec<u8>> {
    ensure_target(folder)?;
    let module = cargo(folder)?;
    let bytes = read(&module, MAX_COMPONENT_BYTES)?;
    componentize::componentize(&bytes).with_context(|| {
        format!(
            "failed to build {}: it makes no plugin; does it use #[plugin]?",
            folder.display()
        )
    })
}

/// The component that componentize-py makes; the project's own environment comes first.
fn python(folder: &Path) -> anyhow::Result<Vec<u8>> {
    let own = folder.join(".venv/bin/componentize-py");
    let program = if own.is_file() {
        own.canonicalize()
            .with_context(|| format!("failed to find {}", own.display()))?
    } else {
        "componentize-py".into()
    };
    let dist = folder.join("dist");
    fs::create_dir_all(&dist).with_context(|| format!("failed to make {}", dist.display()))?;
    let status = Command::new(program)
        .args(["--quiet", "--wit-path", "sdk/wit", "--world", "plugin"])
        // Nothing of WASI is imported; whatever would need it fails.
        .args(["componentize", "--stub-wasi", "main"])
        .args(["--python-path", "sdk", "--python-path", "."])
        .args(["--output", PYTHON_OUTPUT])
        .current_dir(folder)
        .stdin(Stdio::null())
        .status()
        .context("failed to run componentize-py: python3 -m venv .venv && .venv/bin/pip install -r requirements.txt")?;
    if !status.success() {
        bail!(
            "failed to build {}: componentize-py ended with {status}; its reasons stand above",
            folder.display()
        );
    }
    let made = folder.join(PYTHON_OUTPUT);
    let wasm = read(&made, MAX_COMPONENT_BYTES)?;
    fs::remove_file(&made).with_context(|| format!("failed to remove {}", made.display()))?;
    Ok(wasm)
}

/// Loads a component once.
fn fits(wasm: &[u8]) -> anyhow::Result<(String, Description)> {
    let compiled = Compiled::new(&Engine::new(None)?, wasm)?;
    let description = compiled.describe()?;
    Ok((compiled.digest().to_owned(), description))
}

/// Asks the compiler that the project would use whether it has the target.
fn ensure_target(folder: &Path) -> anyhow::Result<()> {
    let output = Command::new("rustc")
        .args(["--print", "sysroot"])
        .current_dir(folder)
        .stdin(Stdio::null())
        .output()
        .context("failed to run rustc: install Rust with rustup")?;
    ensure!(
        output.status.success(),
        "failed to run rustc: {}",
        shown(String::from_utf8_lossy(&output.stderr).trim())
    );
    let sysroot = String::from_utf8_lossy(&output.stdout);
    let target = Path::new(sysroot.trim()).join("lib/rustlib").join(TARGET);
    ensure!(
        target.is_dir(),
        "the compiler lacks the target {TARGET}: run `rustup target add {TARGET}`"
    );
    Ok(())
}

/// What cargo says of what it made.
#[derive(Deserialize)]
struct Message {
    reason: String,
    target: Option<Target>,
    #[serde(default)]
    filenames: Vec<PathBuf>,
}

#[derive(Deserialize)]
struct Target {
    kind: Vec<String>,
}

/// Runs cargo, and returns the one core module that it makes.
fn cargo(folder: &Path) -> anyhow::Result<PathBuf> {
    let mut command = Command::new("cargo");
    command
        .args(["build", "--profile", "guest", "--target", TARGET])
        .args(["--message-format", "json-render-diagnostics"]);
    for setting in PROFILE {
        command.args(["--config", &format!("profile.guest.{setting}")]);
    }
    let mut cargo = command
        .current_dir(folder)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .context("failed to run cargo: install Rust with rustup")?;
    let said = cargo.stdout.take().expect("it was asked for");
    let mut modules = Vec::new();
    let read = BufReader::new(said).lines().try_for_each(|line| {
        modules.extend(module(&line?));
        anyhow::Ok(())
    });
    let status = cargo.wait().context("failed to wait for cargo")?;
    read.context("failed to read what cargo says")?;
    if !status.success() {
        bail!(
            "failed to build {}: cargo ended with {status}; its reasons stand above",
            folder.display()
        );
    }
    match modules.len() {
        0 => Err(anyhow!(
            "failed to build {}: it makes no module; its Cargo.toml needs `crate-type = [\"cdylib\"]` under [lib]",
            folder.display()
        )),
        1 => Ok(modules.remove(0)),
        count => Err(anyhow!(
            "failed to build {}: it makes {count} modules; name the folder of one plugin",
            folder.display()
        )),
    }
}

/// The module that a line of cargo's tells of.
fn module(line: &str) -> Option<PathBuf> {
    let message: Message = serde_json::from_str(line).ok()?;
    let library = message.target?.kind.iter().any(|kind| kind == "cdylib");
    let made = message.reason == "compiler-artifact" && library;
    let is_module = |path: &PathBuf| {
        path.extension()
            .is_some_and(|extension| extension == "wasm")
    };
    message
        .filenames
        .into_iter()
        .find(|path| made && is_module(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_module_is_told_from_all_else_that_cargo_makes() {
        let artifact = r#"{"reason":"compiler-artifact","target":{"kind":["cdylib","rlib"]},"filenames":["/t/a.wasm","/t/liba.rlib"],"fresh":true}"#;
        assert_eq!(module(artifact), Some("/t/a.wasm".into()));
        for other in [
            r#"{"reason":"compiler-artifact","target":{"kind":["lib"]},"filenames":["/t/liba.rlib"]}"#,
            r#"{"reason":"build-finished","success":true}"#,
            "Compiling a v0.1.0",
        ] {
            assert_eq!(module(other), None, "{other}");
        }
    }
}
