//! `sluicegate plugin build`: from a project to a component.

use std::path::PathBuf;

use clap::Args;

use crate::{
    authoring::build,
    cli::{
        Failure,
        output::{Output, thousands},
    },
};

/// Arguments of `plugin build`.
#[derive(Debug, Args)]
pub struct Arguments {
    /// The plugin's folder
    #[arg(value_name = "FOLDER", default_value = ".")]
    folder: PathBuf,
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let built = build::build(&arguments.folder)?;
    let mut output = Output::default();
    let about = &built.description;
    output.line(&format!(
        "plugin  {} {} ({})",
        about.name,
        about.version,
        about.kind.as_str()
    ))?;
    output.line(&format!("path    {}", built.path.display()))?;
    output.line(&format!(
        "size    {} bytes",
        thousands(built.wasm.len() as u64)
    ))?;
    output.line(&format!("sha256  {}", built.digest))?;
    Ok(())
}
