//! What the integration tests are made of.

pub mod servers;
