//! Makes a core module, built for `wasm32-unknown-unknown` with the plugin SDK, a component.

use anyhow::Context as _;
use wit_component::ComponentEncoder;

/// The component of a core module. The interface that it implements is read from the module itself, and
/// the same input gives the same bytes.
///
/// # Errors
/// When the module is none, or does not say which interface it implements.
pub fn componentize(module: &[u8]) -> anyhow::Result<Vec<u8>> {
    ComponentEncoder::default()
        .validate(true)
        .module(module)
        .and_then(ComponentEncoder::encode)
        .context("failed to make a component")
}

#[cfg(test)]
mod tests {
    use super::componentize;

    #[test]
    fn what_is_no_module_is_refused() {
        let error = componentize(b"not WebAssembly").expect_err("this is text");
        assert!(
            format!("{error:#}").starts_with("failed to make a component: "),
            "{error:#}"
        );
    }
}
