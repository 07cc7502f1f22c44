//! Integration harness.

pub mod aws;
