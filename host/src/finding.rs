//! Findings: what plugins, and the host itself, have to report.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::digest::{hex, sha256};

/// How bad it is, in the words of Security Hub.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// No problem found; worth knowing.
    Informational,
    /// No action needed on its own.
    Low,
    /// Look at it, not urgently.
    Medium,
    /// Look at it first.
    High,
    /// Look at it now.
    Critical,
}

impl Severity {
    /// The word in lower case.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Informational => "informational",
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }
}

/// The plugin name under which the host reports findings of its own.
pub const HOST: &str = "sluicegate";

/// One match of one rule on one event. Strings have already passed the event's masks.
#[derive(Clone, Debug, PartialEq)]
pub struct Sighting {
    /// Which plugin said it; `sluicegate` for the host's own.
    pub plugin: String,
    /// Rule identifier, unique within the plugin.
    pub rule: String,
    /// At most 256 characters reach a sink.
    pub title: String,
    /// At most 1,024 characters reach a sink.
    pub description: String,
    /// How bad it is.
    pub severity: Severity,
    /// Whom or what it is about.
    pub entity: Vec<String>,
    /// Aggregation window on event time in seconds; 0: this match alone.
    pub window_s: u32,
    /// What else the plugin wants to show.
    pub attributes: Vec<(String, String)>,
    /// What the event itself says; all findings on it share this.
    pub event: Arc<EventFacts>,
    /// The event's identity for counting: first 16 bytes of SHA-256 of its eventID, else of its bytes.
    pub identity: [u8; 16],
}

/// The facts of an event that a finding shows. Empty strings where the event does not say; masks apply.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[allow(
    missing_docs,
    reason = "each field is named after the CloudTrail field it holds"
)]
pub struct EventFacts {
    /// Event time in milliseconds since 1970; the time of receipt where the event has none.
    pub time_ms: i64,
    pub event_id: String,
    pub event_name: String,
    pub event_source: String,
    pub region: String,
    /// `recipientAccountId`, else the account of the identity.
    pub account: String,
    pub principal_arn: String,
    pub principal_type: String,
    pub principal_id: String,
    pub user_name: String,
    pub access_key_id: String,
    pub source_ip: String,
    pub user_agent: String,
    pub error_code: String,
    /// First ARN under `resources`, where there is one.
    pub resource_arn: String,
    /// `s3://bucket/key` of the object.
    pub object_url: String,
    /// Position in the object.
    pub index: u32,
}

impl EventFacts {
    /// Leads over every text that comes from the event itself.
    pub(crate) fn each_text(&mut self, each: &mut dyn FnMut(&mut String)) {
        for text in [
            &mut self.event_id,
            &mut self.event_name,
            &mut self.event_source,
            &mut self.region,
            &mut self.account,
            &mut self.principal_arn,
            &mut self.principal_type,
            &mut self.principal_id,
            &mut self.user_name,
            &mut self.access_key_id,
            &mut self.source_ip,
            &mut self.user_agent,
            &mut self.error_code,
            &mut self.resource_arn,
        ] {
            each(text);
        }
    }
}

/// How many event ids a finding carries as evidence.
pub const EVIDENCE: usize = 10;

impl Sighting {
    /// Leads over every text that comes from the event or from the plugin.
    pub(crate) fn each_text(&mut self, each: &mut dyn FnMut(&mut String)) {
        for text in [&mut self.rule, &mut self.title, &mut self.description] {
            each(text);
        }
        self.entity.iter_mut().for_each(&mut *each);
        for (key, value) in &mut self.attributes {
            each(key);
            each(value);
        }
        Arc::make_mut(&mut self.event).each_text(each);
    }

    /// First millisecond of the window on event time that this match falls into; its own time where
    /// the rule has no window.
    #[must_use]
    pub fn window_start_ms(&self) -> i64 {
        let window = i64::from(self.window_s) * 1000;
        if window == 0 {
            self.event.time_ms
        } else {
            self.event.time_ms.div_euclid(window) * window
        }
    }

    /// `sluicegate/<plugin>/<rule>/<account>/<region>/<32 hex digits>`: the same for every match of one
    /// rule with one entity in one window, on every host and after every restart.
    #[must_use]
    pub fn finding_id(&self) -> String {
        let start = self.window_start_ms().to_be_bytes();
        let mut parts: Vec<&[u8]> = Vec::with_capacity(2 * self.entity.len() + 3);
        for entity in &self.entity {
            parts.push(entity.as_bytes());
            parts.push(b"\0");
        }
        parts.push(&start);
        if self.window_s == 0 {
            parts.push(&self.identity);
        }
        let hash = sha256(&parts);
        let part = |text: &str, otherwise: &str| -> String {
            let text: String = text
                .chars()
                .take(64)
                .map(|c| {
                    if c.is_ascii_alphanumeric() || "._-:".contains(c) {
                        c
                    } else {
                        '_'
                    }
                })
                .collect();
            if text.is_empty() {
                otherwise.to_owned()
            } else {
                text
            }
        };
        format!(
            "sluicegate/{}/{}/{}/{}/{}",
            part(&self.plugin, "plugin"),
            part(&self.rule, "rule"),
            part(&self.event.account, "unknown"),
            part(&self.event.region, "global"),
            hex(&hash[..16]),
        )
    }
}

/// A finding as the ledger keeps it and sinks show it: all matches of one (rule, entity, window).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Finding {
    /// See [`Sighting::finding_id`].
    pub id: String,
    /// Which plugin said it.
    pub plugin: String,
    /// Rule identifier.
    pub rule: String,
    /// Of the first match.
    pub title: String,
    /// Of the first match.
    pub description: String,
    /// The highest of all matches.
    pub severity: Severity,
    /// Whom or what it is about.
    pub entity: Vec<String>,
    /// Aggregation window in seconds.
    pub window_s: u32,
    /// Of the first match.
    pub attributes: Vec<(String, String)>,
    /// Facts of the first event that matched.
    pub event: EventFacts,
    /// Distinct events that matched.
    pub count: u64,
    /// Earliest event time, milliseconds since 1970.
    pub first_ms: i64,
    /// Latest event time, milliseconds since 1970.
    pub last_ms: i64,
    /// When the ledger first saw it, milliseconds since 1970.
    pub created_ms: i64,
    /// Grows with every change that is sent, milliseconds since 1970: Security Hub ignores an update
    /// that does not.
    pub updated_ms: i64,
    /// Identifiers of the first events that matched, [`EVIDENCE`] at the most.
    pub event_ids: Vec<String>,
}

impl Finding {
    /// The value of an attribute; of one that is repeated the first.
    #[must_use]
    pub fn attribute(&self, name: &str) -> Option<&str> {
        let found = self.attributes.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sighting(time_ms: i64, entity: &str, window_s: u32, identity: u8) -> Sighting {
        Sighting {
            plugin: "p".into(),
            rule: "r/1".into(),
            title: "t".into(),
            description: "d".into(),
            severity: Severity::Low,
            entity: vec![entity.into()],
            window_s,
            attributes: Vec::new(),
            event: Arc::new(EventFacts {
                time_ms,
                account: "123456789012".into(),
                ..EventFacts::default()
            }),
            identity: [identity; 16],
        }
    }

    #[test]
    fn one_entity_in_one_window_is_one_finding() {
        let first = sighting(3_600_000, "alice", 3600, 1);
        assert_eq!(
            first.finding_id(),
            sighting(7_199_999, "alice", 3600, 2).finding_id()
        );
        assert_ne!(
            first.finding_id(),
            sighting(7_200_000, "alice", 3600, 2).finding_id()
        );
        assert_ne!(
            first.finding_id(),
            sighting(3_600_000, "bob", 3600, 1).finding_id()
        );
        assert!(
            first
                .finding_id()
                .starts_with("sluicegate/p/r_1/123456789012/global/")
        );
    }

    #[test]
    fn without_a_window_every_event_is_its_own_finding() {
        assert_ne!(
            sighting(5, "a", 0, 1).finding_id(),
            sighting(5, "a", 0, 2).finding_id()
        );
        assert_eq!(
            sighting(5, "a", 0, 1).finding_id(),
            sighting(5, "a", 0, 1).finding_id()
        );
    }

    #[test]
    fn entities_are_not_confused_by_their_concatenation() {
        let mut one = sighting(0, "ab", 60, 1);
        one.entity.push("c".into());
        let mut other = sighting(0, "a", 60, 1);
        other.entity.push("bc".into());
        assert_ne!(one.finding_id(), other.finding_id());
    }
}
