//! `redaction-check`: secrets in events, by where they stand and by what they look like.
//!
//! Most events have none, so each is first searched for clues (`scan`): three bytes that every known kind
//! of secret or telling name has in it, and what can hide one. Only an event with a clue that holds up
//! (`search`), or from a call in the tables of places (`places`, `members`), is walked (`walk`), and only
//! the leaves that a clue points at are looked into, through JSON in strings, base64 and percent signs.
//! There names (`names`) and values (`values`, `tokens`, `cards`) decide.
//!
//! What AWS has masked already, and the host's own marker, are left as they are. A finding says where
//! and what kind, never what.

mod base64;
mod cards;
mod detector;
mod members;
mod names;
mod places;
mod report;
mod scan;
mod search;
mod secrets;
mod tokens;
mod values;
mod walk;

use report::Report;
use secrets::Failure;
use sluicegate_plugin::{Batch, Field, Output, Process, Row, configuration, plugin};

/// What becomes of a secret that was found.
#[configuration]
#[derive(Copy, Default, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// The host's marker takes its place.
    #[default]
    Mask,
    /// It stays, and is told as a finding.
    Report,
    /// Nothing of the event leaves.
    Block,
}

/// Configuration.
#[configuration]
#[derive(Copy, Default)]
#[serde(default)]
pub struct Config {
    /// What becomes of a secret: `mask` puts the host's marker in its place, `report` leaves it and tells
    /// a finding, `block` withholds the event from every sink and keeps a reference to it.
    mode: Mode,
}

/// The plugin with the fields it reads.
#[plugin(redact)]
#[derive(Debug)]
pub struct RedactionCheck {
    #[config]
    config: Config,
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
            let (source, name) = (row.bytes(self.source), row.bytes(self.name));
            let found = match secrets::of(row.bytes(self.event), source, name) {
                Ok(found) => found,
                Err(Failure::Unreadable(what)) => {
                    return Err(format!("event {}: {what}", row.index()));
                }
                Err(Failure::InName(detector)) => {
                    report::withhold(row, detector, "a member's name", out);
                    continue;
                }
            };
            if !found.is_empty() {
                let report = Report {
                    mode: self.config.mode,
                    principal: self.principal(row),
                    call: row.str(self.name).unwrap_or("unknown"),
                };
                report.write(row, &found, out);
            }
        }
        Ok(())
    }
}

impl RedactionCheck {
    fn principal<'a>(&self, row: Row<'a>) -> &'a str {
        let all = [self.issuer, self.arn, self.account, self.recipient];
        let mut present = all.into_iter().filter_map(|field| row.str(field));
        present.find(|text| !text.is_empty()).unwrap_or("unknown")
    }
}
