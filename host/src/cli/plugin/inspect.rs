//! `sluicegate plugin inspect`: what a component is.

use std::path::PathBuf;

use anyhow::Context as _;
use clap::Args;

use super::wrong;
use crate::{
    authoring::read_component,
    cli::{
        Failure,
        output::{Output, thousands},
    },
    plugin::{
        Compiled, Engine, LoadError,
        abi::{self, Description, Kind},
    },
    text::shown,
};

/// Arguments of `plugin inspect`.
#[derive(Debug, Args)]
pub struct Arguments {
    /// The component
    #[arg(value_name = "FILE")]
    component: PathBuf,
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let file = &arguments.component;
    let context = || format!("failed to inspect {}", file.display());
    let wasm = read_component(file).map_err(|error| wrong(&error))?;
    let compiled = Compiled::new(&Engine::new(None)?, &wasm).with_context(context)?;
    let described = compiled.describe();
    let mut output = Output::default();
    if let Ok(description) = &described {
        about(description, &mut output)?;
    }
    output.line(&format!("size    {} bytes", thousands(wasm.len() as u64)))?;
    output.line(&format!("sha256  {}", compiled.digest()))?;
    let version = compiled.abi_version();
    let version = version.as_deref().unwrap_or("unknown");
    let offers = abi::VERSION;
    output.line(&format!(
        "made for {}@{version}; this host speaks {offers}",
        abi::PACKAGE
    ))?;
    let imports = compiled.imports();
    let capabilities: Vec<String> = imports.iter().filter_map(|name| capability(name)).collect();
    if capabilities.is_empty() {
        output.line("may     do nothing but answer")?;
    } else {
        output.line("may")?;
    }
    for words in capabilities {
        output.line(&format!("        {words}"))?;
    }
    match described {
        Ok(description) => Ok(schema(&description, &mut output)?),
        Err(error @ LoadError::Version { .. }) => {
            Ok(output.line(&format!("this host cannot run it: {error}"))?)
        }
        Err(error) => Err(anyhow::Error::from(error).context(context()).into()),
    }
}

fn about(description: &Description, output: &mut Output) -> anyhow::Result<()> {
    output.line(&format!(
        "plugin  {} {}",
        description.name, description.version
    ))?;
    let kind = match description.kind {
        Kind::Enrich => "enrich: adds to events; where it fails, events go on without it",
        Kind::Detect => "detect: finds; where it fails, events go on and that is a finding",
        Kind::Redact => "redact: masks and finds; where it fails, events do not leave",
        Kind::Filter => "filter: drops events; where it fails, events go on",
    };
    output.line(&format!("kind    {kind}"))
}

/// What an import lets a plugin do; nothing for those that only name types.
fn capability(import: &str) -> Option<String> {
    let interface = import
        .strip_prefix(abi::PACKAGE)
        .and_then(|rest| rest.strip_prefix('/'))
        .map(|rest| rest.split('@').next().unwrap_or(rest));
    match interface {
        Some("types" | "manifest") => None,
        Some("log") => Some("log       write lines for the operator; cut, counted and limited".into()),
        Some("state") => Some(
            "state     count over windows and remember what it saw; needs `state = true` under grants"
                .into(),
        ),
        Some("lookup") => Some(
            "lookup    read tables of the operator; needs their names in `lookup` under grants".into(),
        ),
        _ if import.starts_with("wasi:") => Some(format!(
            "wasi      call {import}, an interface of the system"
        )),
        _ => Some(format!("unknown   call {import}")),
    }
}

/// The schema, a key a line as it stands in the component.
fn schema(description: &Description, output: &mut Output) -> anyhow::Result<()> {
    let text = &description.configuration;
    let schema: serde_json::Value = serde_json::from_str(text).unwrap_or_default();
    if schema.is_null() {
        return output.line("takes   a configuration that it has no schema for");
    }
    output.line("takes")?;
    let pretty = serde_json::to_string_pretty(&schema).context("failed to write JSON")?;
    pretty
        .lines()
        .try_for_each(|line| output.line(&format!("        {}", shown(line))))
}

#[cfg(test)]
mod tests {
    use super::capability;

    #[test]
    fn every_import_is_told_in_words() {
        let says = |import: &str| capability(import).unwrap_or_default();
        assert_eq!(says("sluicegate:plugin/types@0.1.0"), "");
        assert!(says("sluicegate:plugin/log@0.1.0").starts_with("log "));
        assert!(says("sluicegate:plugin/state@0.2.0").contains("grants"));
        assert!(says("sluicegate:plugin/lookup@0.1.0").contains("tables"));
        assert!(says("wasi:cli/environment@0.2.0").contains("wasi:cli/environment@0.2.0"));
        assert_eq!(says("other:thing/x"), "unknown   call other:thing/x");
    }
}
