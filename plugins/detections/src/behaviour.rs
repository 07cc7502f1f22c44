//! The rules of `detect-behaviour`: each needs what came before.

use crate::Rule;

/// All of them, in the order of the manual.
pub const BEHAVIOUR: &[&Rule] = &[];
