//! `componentize IN.wasm OUT.wasm`: makes a core module, built for `wasm32-unknown-unknown` with the
//! plugin SDK, a component. The interface it implements is read from the module itself. The same input
//! gives the same bytes.

use std::{env, fs, io::Write, path::Path};

use anyhow::{Context, bail};
use wit_component::ComponentEncoder;

fn main() -> anyhow::Result<()> {
    let arguments: Vec<_> = env::args_os().skip(1).collect();
    let [input, output] = arguments.as_slice() else {
        bail!("usage: componentize IN.wasm OUT.wasm");
    };
    let size = componentize(Path::new(input), Path::new(output))?;
    writeln!(std::io::stdout(), "{size}")?;
    Ok(())
}

/// Writes the component and returns its size in bytes.
fn componentize(input: &Path, output: &Path) -> anyhow::Result<usize> {
    let module = fs::read(input).with_context(|| format!("failed to read {}", input.display()))?;
    let component = ComponentEncoder::default()
        .validate(true)
        .module(&module)
        .and_then(ComponentEncoder::encode)
        .with_context(|| format!("failed to make a component of {}", input.display()))?;
    fs::write(output, &component)
        .with_context(|| format!("failed to write {}", output.display()))?;
    Ok(component.len())
}
