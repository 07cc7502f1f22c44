//! What the authors of plugins work with: projects, builds, cases, measurements. `cli::plugin` is its face.

pub(crate) mod bench;
pub(crate) mod build;
pub(crate) mod cases;
mod compare;
pub(crate) mod events;
pub(crate) mod project;
pub(crate) mod run;
mod sdk;

use std::{fs, io::Read as _, path::Path};

use anyhow::{Context as _, ensure};

/// Reads a file of at most `limit` bytes.
///
/// # Errors
/// When it cannot be read, or is larger.
pub(crate) fn read(path: &Path, limit: usize) -> anyhow::Result<Vec<u8>> {
    let context = || format!("failed to read {}", path.display());
    let mut bytes = Vec::new();
    fs::File::open(path)
        .with_context(context)?
        .take(limit as u64 + 1)
        .read_to_end(&mut bytes)
        .with_context(context)?;
    ensure!(
        bytes.len() <= limit,
        "failed to read {}: it has more than {limit} bytes",
        path.display()
    );
    Ok(bytes)
}

/// Reads a component.
///
/// # Errors
/// When it cannot be read, or is larger than any that is loaded.
pub(crate) fn read_component(path: &Path) -> anyhow::Result<Vec<u8>> {
    read(path, crate::plugin::MAX_COMPONENT_BYTES)
}
