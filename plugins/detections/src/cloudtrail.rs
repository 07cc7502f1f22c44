//! The rules of `detect-cloudtrail`: each is decided by one event.

use crate::Rule;

/// All of them, in the order of the manual.
pub const CLOUDTRAIL: &[&Rule] = &[];
