//! Lines for the operator. The host cuts, counts and limits them; no values of events belong here.

use crate::bindings::sluicegate::plugin::log::Level;

/// For whoever writes the plugin.
pub fn debug(message: &str) {
    write(Level::Debug, message);
}

/// Worth knowing once.
pub fn info(message: &str) {
    write(Level::Info, message);
}

/// Something is not as it should be, and the plugin goes on.
pub fn warn(message: &str) {
    write(Level::Warn, message);
}

/// The plugin could not do what it is for.
pub fn error(message: &str) {
    write(Level::Error, message);
}

#[cfg(target_arch = "wasm32")]
fn write(level: Level, message: &str) {
    crate::bindings::sluicegate::plugin::log::write(level, message);
}

#[cfg(not(target_arch = "wasm32"))]
fn write(level: Level, message: &str) {
    crate::testing::keep_line(level, message);
}
