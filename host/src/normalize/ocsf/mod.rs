//! Events and findings in the Open Cybersecurity Schema Framework.
//!
//! An event is walked over once; what the mapping knows of it is noted as ranges of its bytes, and the
//! document is written from these. Only times, flags in strings and captions are made anew. What has no
//! place in its class stands under `unmapped` with the name and in the objects that it came in.

mod classes;
mod event;
mod finding;
mod names;
mod parts;
mod strangers;
mod walk;
mod writer;

pub use self::strangers::Strangers;

use self::{classes::Classes, writer::Writer};
use crate::{effects::EventView, finding::Finding, sink::Unencodable};

/// A version of the schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// The newest.
    V1_8_0,
    /// What Amazon Security Lake keeps.
    V1_1_0,
}

impl Version {
    /// As the schema has it in `metadata.version`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::V1_8_0 => "1.8.0",
            Self::V1_1_0 => "1.1.0",
        }
    }
}

/// Writes events and findings in one version.
#[derive(Debug)]
pub struct Encoder {
    version: Version,
    raw_data: bool,
    classes: Classes,
    strangers: Strangers,
}

impl Encoder {
    /// An encoder that adds the original event as `raw_data`, or does not.
    #[must_use]
    pub fn new(version: Version, raw_data: bool) -> Self {
        Self {
            version,
            raw_data,
            classes: Classes::new(version),
            strangers: Strangers::default(),
        }
    }

    /// Appends an event; masks stay masks.
    ///
    /// # Errors
    /// When the event has no time, which OCSF requires.
    pub fn event(&self, event: &EventView<'_>, out: &mut Vec<u8>) -> Result<(), Unencodable> {
        event::write(self, &event.bytes(), event.member(), out)
    }

    /// Appends a finding.
    pub fn finding(&self, finding: &Finding, out: &mut Vec<u8>) {
        out.push(b'{');
        finding::write(self.version, finding, &mut Writer::new(out));
        out.push(b'}');
    }

    /// The members seen so far that the mapping does not know.
    #[must_use]
    pub fn strangers(&self) -> &Strangers {
        &self.strangers
    }
}
