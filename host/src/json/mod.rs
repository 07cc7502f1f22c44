//! Reading JSON text in place: checking it, stepping over it, and turning strings to text and back.
//!
//! Nothing here builds a tree. Events stay the bytes they came as; what is needed of them is found by
//! walking over those bytes. An [`Outline`] makes that walk short: it knows where strings may end, and where
//! the larger objects and arrays do.

mod check;
mod outline;
mod skip;
mod stops;
mod text;

pub use self::{
    check::{Check, check},
    outline::Outline,
    skip::{Skipper, skip_space, string_end, value_end},
    text::{escape_into, quote_into, unescape, unescape_into},
};

/// The deepest nesting that can be checked; configuration can only lower it.
pub const MAX_DEPTH: u32 = 128;
