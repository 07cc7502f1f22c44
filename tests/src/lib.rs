//! What the integration tests are made of: real AWS stand-ins, strict sink servers, a host.

pub mod authoring;
pub mod aws;
pub mod aws_proxy;
pub mod batches;
pub mod crafted;
pub mod findings;
pub mod host;
pub mod json_schema;
pub mod ledger;
pub mod logs;
pub mod network;
pub mod parts;
pub mod planted;
pub mod process;
pub mod servers;
pub mod shelf;
pub mod stand_in;
