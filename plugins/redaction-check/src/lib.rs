//! `redaction-check`: secrets in events, by where they stand and by what they look like.
//!
//! Most events have none, so each is first searched for anchors, three bytes that every known kind of
//! secret or telling name has in it (`anchors`). Only an event with an anchor that holds up, or from
//! a call in the table of places (`places`), is walked leaf by leaf (`walk`), where names
//! (`names`) and values (`values`) decide. The walk alone masks; the search can only spare it.
//!
//! What AWS has masked already, and the host's own marker, are left as they are. A finding says where
//! and what kind, never what.

mod anchors;
mod detector;
mod names;
mod places;
mod secrets;
mod values;
mod walk;

use detector::Detector;
use secrets::Found;
use sluicegate_plugin::{Batch, Field, Finding, Output, Process, Row, plugin};

/// Matches within so many seconds of event time are one finding.
const WINDOW_S: u32 = 3600;

/// The plugin with the fields it reads.
#[plugin(redact)]
#[derive(Debug)]
pub struct RedactionCheck {
    #[field("")]
    event: Field,
    #[field("/eventSource")]
    source: Field,
    #[field("/eventName")]
    name: Field,
    #[field("/userIdentity/arn")]
    arn: Field,
    #[field("/userIdentity/sessionContext/sessionIssuer/arn")]
    issuer: Field,
    #[field("/userIdentity/accountId")]
    account: Field,
    #[field("/recipientAccountId")]
    recipient: Field,
}

impl Process for RedactionCheck {
    fn process(&self, batch: &Batch<'_>, out: &mut Output) -> Result<(), String> {
        for row in batch.rows() {
            let (event, source) = (row.bytes(self.event), row.bytes(self.source));
            if places::any(event, source, row.bytes(self.name)) || anchors::any(event) {
                let found = secrets::of(event, source, row.bytes(self.name))
                    .map_err(|error| format!("event {}: {error}", row.index()))?;
                self.report(row, found, out);
            }
        }
        Ok(())
    }
}

impl RedactionCheck {
    fn report(&self, row: Row<'_>, found: Vec<Found>, out: &mut Output) {
        let mut told: Vec<Detector> = Vec::new();
        for Found { path, detector } in found {
            out.mask(row, &path, detector.name());
            if detector.severity().is_some() && !told.contains(&detector) {
                told.push(detector);
                self.tell(row, &path, detector, out);
            }
        }
    }

    fn tell(&self, row: Row<'_>, path: &str, detector: Detector, out: &mut Output) {
        let Some(severity) = detector.severity() else {
            return;
        };
        let finding = Finding::new("secret-in-event", "A secret stands in a CloudTrail event", severity)
            .description("An event carried what looks like a secret. It was masked here; it stands in clear in the trail's bucket and should be replaced.")
            .entity(self.principal(row))
            .entity(row.str(self.name).unwrap_or("unknown"))
            .entity(detector.name())
            .window_s(WINDOW_S)
            .attribute("detector", detector.name())
            .attribute("path", path)
            .attribute("technique", "T1552")
            .attribute("types", "Sensitive Data Identifications/Passwords/CloudTrail");
        out.find(row, finding);
    }

    fn principal<'a>(&self, row: Row<'a>) -> &'a str {
        let all = [self.issuer, self.arn, self.account, self.recipient];
        let mut present = all.into_iter().filter_map(|field| row.str(field));
        present.find(|text| !text.is_empty()).unwrap_or("unknown")
    }
}
