//! What is said of the secrets of an event: masks and findings, or that it must not leave.

use sluicegate_plugin::{Finding, Output, Row, Severity, log};

use crate::{Mode, detector::Detector, secrets::Found};

/// Matches within so many seconds of event time are one finding.
const WINDOW_S: u32 = 3600;

/// Paths that one finding names.
const PATHS: usize = 8;

/// A place that no event has. The host withholds an event when a mask in it cannot be placed, that event
/// alone, and keeps a reference to it; an error would take its neighbours with it.
const NOWHERE: &str = "/withheld by redaction-check";

/// What a report needs to know of the event.
pub(crate) struct Report<'a> {
    pub(crate) mode: Mode,
    pub(crate) principal: &'a str,
    pub(crate) call: &'a str,
}

impl Report<'_> {
    pub(crate) fn write(&self, row: Row<'_>, found: &[Found], out: &mut Output) {
        if self.mode != Mode::Report {
            for Found { path, detector } in found {
                out.mask(row, path, detector.name());
            }
        }
        let severe = found
            .iter()
            .find(|found| found.detector.severity().is_some());
        if let (Mode::Block, Some(Found { path, detector })) = (self.mode, severe) {
            withhold(row, *detector, path, out);
            return;
        }
        let mut told: Vec<Detector> = Vec::new();
        for Found { detector, .. } in found {
            if !told.contains(detector) {
                told.push(*detector);
                self.tell(row, *detector, found, out);
            }
        }
    }

    fn tell(&self, row: Row<'_>, detector: Detector, found: &[Found], out: &mut Output) {
        let severity = match (detector.severity(), self.mode) {
            (Some(severity), _) => severity,
            // Routine is told only where nothing else shows it.
            (None, Mode::Report) => Severity::Informational,
            (None, _) => return,
        };
        let description = match self.mode {
            Mode::Report => {
                "An event carried what looks like a secret. It was forwarded as it is, because redaction only reports here; it should be replaced."
            }
            _ => {
                "An event carried what looks like a secret. It was masked here; it stands in clear in the trail's bucket and should be replaced."
            }
        };
        let finding = Finding::new(
            "secret-in-event",
            "A secret stands in a CloudTrail event",
            severity,
        )
        .description(description)
        .entity(self.principal)
        .entity(self.call)
        .entity(detector.name())
        .window_s(WINDOW_S)
        .attribute("detector", detector.name())
        .attribute("path", &paths(found, detector))
        .attribute("technique", "T1552")
        .attribute(
            "types",
            "Sensitive Data Identifications/Passwords/CloudTrail",
        );
        out.find(row, finding);
    }
}

/// Where one detector found something: the first paths, and how many more.
fn paths(found: &[Found], detector: Detector) -> String {
    let all: Vec<&str> = found
        .iter()
        .filter(|found| found.detector == detector)
        .map(|found| found.path.as_str())
        .collect();
    let shown = all[..all.len().min(PATHS)].join(", ");
    match all.len() - all.len().min(PATHS) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

/// Keeps an event from every sink.
pub(crate) fn withhold(row: Row<'_>, detector: Detector, place: &str, out: &mut Output) {
    out.mask(row, NOWHERE, detector.name());
    log::warn(&format!("event withheld: {} at {place}", detector.name()));
}
