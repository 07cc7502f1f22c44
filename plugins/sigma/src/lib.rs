//! Sigma rules for events in JSON: a pack of rule files is compiled, says which events and which of their
//! members it must see, and judges events.
//!
//! ```
//! use sigma::{Cell, Event, Options, Pack, Room, Source};
//!
//! let text = "
//! title: A bucket was deleted
//! logsource: { product: aws, service: cloudtrail }
//! detection:
//!   call: { eventSource: s3.amazonaws.com, eventName: DeleteBucket }
//!   failed: { errorCode|exists: true }
//!   condition: call and not failed
//! ";
//! let source = Source { path: "bucket.yml", text };
//! let pack = Pack::compile([source], &Options::default()).unwrap();
//! assert_eq!(pack.fields().columns(), ["/eventName", "/eventSource", "/errorCode"]);
//!
//! /// The columns in that order.
//! struct Columns([Cell<'static>; 3]);
//! impl Event for Columns {
//!     fn cell(&self, column: usize) -> Cell<'_> {
//!         self.0[column]
//!     }
//! }
//! let event = Columns([Cell::Text(b"DeleteBucket"), Cell::Text(b"s3.amazonaws.com"), Cell::Absent]);
//! let mut matched = Vec::new();
//! pack.matches(&event, &mut Room::default(), |detection| matched.push(detection));
//! assert_eq!(pack.rules()[pack.detections()[matched[0] as usize].rule].id, "a-bucket-was-deleted");
//! ```
//!
//! The way of a rule: `yaml` reads it (most by `plain`), `rule` what it says of itself, `item` and `condition` compile it,
//! `imply` finds out which events it can match (by `literal`, too; both look events up in `texts`), and `matcher`
//! judges one by `pattern` and the like.

use std::fmt;

mod condition;
mod correlation;
mod encode;
mod field;
mod imply;
mod item;
mod json;
mod literal;
mod matcher;
mod moment;
mod pack;
mod pattern;
mod plain;
mod rule;
mod texts;
mod yaml;

pub use correlation::{Correlation, Count, Of};
pub use field::{Cell, Event, FieldId, Fields};
pub use imply::Wanted;
pub use moment::milliseconds;
pub use pack::{Detection, Options, Pack, Room, Source};
pub use rule::{Kind, Level, Rule, State};

/// What is wrong with a rule, and in which line of its file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Counted from 1.
    pub line: u32,
    /// What it is, and what to do.
    pub reason: String,
}

impl Fault {
    pub(crate) fn new(line: u32, reason: String) -> Self {
        Self { line, reason }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.reason)
    }
}
