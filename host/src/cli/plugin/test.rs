//! `sluicegate plugin test`: cases against a plugin.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow};
use clap::Args;

use super::wrong;
use crate::{
    authoring::{
        build,
        cases::{self, Case},
        read_component,
        run::{Runner, Verdict},
    },
    cli::{
        Failure,
        output::{Output, thousands},
    },
    event::EventBatch,
    text::shown,
};

/// Arguments of `plugin test`.
#[derive(Debug, Args)]
pub struct Arguments {
    /// A component to test; without it the project is built first
    #[arg(long, value_name = "FILE")]
    component: Option<PathBuf>,
    /// The plugin's folder (without it: this one), and files with cases (without them: the folder's
    /// tests/*.yaml)
    #[arg(value_name = "FOLDER | CASES.yaml")]
    paths: Vec<PathBuf>,
}

/// A case that is ready to be run.
struct Ready {
    file: PathBuf,
    case: Case,
    events: Vec<EventBatch>,
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let (folder, files) = places(arguments).map_err(|error| wrong(&error))?;
    // What is wrong with a case is said before anything is built.
    let ready = load(&files).map_err(|error| wrong(&error))?;
    let wasm = match &arguments.component {
        Some(file) => read_component(file).map_err(|error| wrong(&error))?,
        None => build::build(&folder)?.wasm,
    };
    let runner = Runner::new(&wasm).context("failed to load the plugin")?;
    let mut output = Output::default();
    let (count, mut failed) = (ready.len(), 0);
    for one in ready {
        let folder = one.file.parent().unwrap_or(Path::new(""));
        let verdict = runner.run(&one.case, folder, one.events)?;
        failed += usize::from(!verdict.differences.is_empty());
        print(&mut output, &one.file, &one.case, &verdict)?;
    }
    if failed > 0 {
        return Err(anyhow!("{failed} of {count} cases failed").into());
    }
    output.line(&format!("{count} cases passed"))?;
    Ok(())
}

/// The plugin's folder, and the files with cases.
fn places(arguments: &Arguments) -> anyhow::Result<(PathBuf, Vec<PathBuf>)> {
    let (folders, mut files): (Vec<PathBuf>, Vec<PathBuf>) = arguments
        .paths
        .iter()
        .cloned()
        .partition(|path| path.is_dir());
    if folders.len() > 1 {
        return Err(anyhow!("name one folder, got {}", folders.len()));
    }
    let named = folders.into_iter().next();
    if arguments.component.is_some() && named.is_none() && files.is_empty() {
        return Err(anyhow!("name files with cases beside --component"));
    }
    let folder = named.unwrap_or_else(|| PathBuf::from("."));
    if files.is_empty() {
        files = beside(&folder)?;
    }
    Ok((folder, files))
}

/// The cases of a project.
fn beside(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let tests = folder.join("tests");
    let context = || format!("failed to list {}", tests.display());
    let mut files = Vec::new();
    if tests.is_dir() {
        for entry in tests.read_dir().with_context(context)? {
            let path = entry.with_context(context)?.path();
            if path
                .extension()
                .is_some_and(|extension| extension == "yaml")
            {
                files.push(path);
            }
        }
    }
    files.sort();
    if files.is_empty() {
        return Err(anyhow!(
            "found no cases: write {}/*.yaml, or name files with cases",
            tests.display()
        ));
    }
    Ok(files)
}

fn load(files: &[PathBuf]) -> anyhow::Result<Vec<Ready>> {
    let mut ready = Vec::new();
    for file in files {
        let folder = file.parent().unwrap_or(Path::new(""));
        for case in cases::load(file)? {
            let events = Runner::events(&case, folder)
                .with_context(|| format!("{}:{}", file.display(), case.name.referenced.line()))?;
            ready.push(Ready {
                file: file.clone(),
                case,
                events,
            });
        }
    }
    if ready.is_empty() {
        return Err(anyhow!("the files with cases have none"));
    }
    Ok(ready)
}

fn print(output: &mut Output, file: &Path, case: &Case, verdict: &Verdict) -> anyhow::Result<()> {
    let name = shown(&case.name.value);
    if verdict.differences.is_empty() {
        let fuel = verdict.fuel_per_event.map_or(String::new(), |fuel| {
            format!(" ({} fuel an event)", thousands(fuel))
        });
        return output.line(&format!("ok      {name}{fuel}"));
    }
    let line = case.name.referenced.line();
    output.line(&format!("FAILED  {name} ({}:{line})", file.display()))?;
    verdict
        .differences
        .iter()
        .try_for_each(|difference| output.line(&format!("        {difference}")))
}
