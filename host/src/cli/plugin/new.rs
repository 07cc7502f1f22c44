//! `sluicegate plugin new`: a project to begin with.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::wrong;
use crate::{
    authoring::project,
    cli::{Failure, output::Output},
};

/// Arguments of `plugin new`.
#[derive(Debug, Args)]
pub struct Arguments {
    /// The folder to make; its name becomes the plugin's: a-z, 0-9 and -
    #[arg(value_name = "NAME")]
    folder: PathBuf,
    /// The language to write it in
    #[arg(long, value_enum, default_value_t = Language::Rust)]
    lang: Language,
}

/// A language that there is an SDK for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Language {
    Rust,
    Python,
}

impl Language {
    fn template(self) -> project::Template {
        match self {
            Self::Rust => project::RUST,
            Self::Python => project::PYTHON,
        }
    }
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let name = project::write(&arguments.folder, arguments.lang.template())
        .map_err(|error| wrong(&error))?;
    let mut output = Output::default();
    let folder = arguments.folder.display();
    output.line(&format!("wrote plugin {name} to {folder}"))?;
    output.line(&format!("next: sluicegate plugin test {folder}"))?;
    Ok(())
}
