//! Shapes of others: what leaves for a service that has a format of its own.

#[cfg(feature = "security-hub")]
pub mod asff;
pub mod document;
