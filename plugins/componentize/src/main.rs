//! `componentize IN.wasm OUT.wasm`: makes a core module a component, and prints its size in bytes.

use std::{env, fs, io::Write, path::Path};

use anyhow::{Context, bail};

fn main() -> anyhow::Result<()> {
    let arguments: Vec<_> = env::args_os().skip(1).collect();
    let [input, output] = arguments.as_slice() else {
        bail!("usage: componentize IN.wasm OUT.wasm");
    };
    let (input, output) = (Path::new(input), Path::new(output));
    let module = fs::read(input).with_context(|| format!("failed to read {}", input.display()))?;
    let component = componentize::componentize(&module)
        .with_context(|| format!("failed to convert {}", input.display()))?;
    fs::write(output, &component)
        .with_context(|| format!("failed to write {}", output.display()))?;
    writeln!(std::io::stdout(), "{}", component.len())?;
    Ok(())
}
