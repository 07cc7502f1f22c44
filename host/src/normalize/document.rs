//! A finding as a JSON document of our own, for sinks without a format for findings.

use serde::{Serialize, Serializer, ser::SerializeMap as _};

use crate::{
    finding::{EventFacts, Finding, Severity},
    timestamp::format_ms,
};

/// A finding as Splunk and the file sink show it: names in snake case, times as text, nothing empty.
#[derive(Debug, Serialize)]
pub struct Document<'a> {
    id: &'a str,
    plugin: &'a str,
    rule: &'a str,
    title: &'a str,
    description: &'a str,
    severity: Severity,
    entity: &'a [String],
    window_s: u32,
    count: u64,
    first_seen: String,
    last_seen: String,
    created: String,
    updated: String,
    event_ids: &'a [String],
    #[serde(skip_serializing_if = "Pairs::is_empty")]
    attributes: Pairs<'a>,
    event: Event<'a>,
}

impl<'a> From<&'a Finding> for Document<'a> {
    fn from(finding: &'a Finding) -> Self {
        Self {
            id: &finding.id,
            plugin: &finding.plugin,
            rule: &finding.rule,
            title: &finding.title,
            description: &finding.description,
            severity: finding.severity,
            entity: &finding.entity,
            window_s: finding.window_s,
            count: finding.count,
            first_seen: format_ms(finding.first_ms),
            last_seen: format_ms(finding.last_ms),
            created: format_ms(finding.created_ms),
            updated: format_ms(finding.updated_ms),
            event_ids: &finding.event_ids,
            attributes: Pairs(&finding.attributes),
            event: Event::from(&finding.event),
        }
    }
}

/// Pairs as an object. Of a name that comes twice the first one counts, for a JSON object that repeats
/// a name is read differently by every reader.
#[derive(Debug)]
pub struct Pairs<'a>(pub &'a [(String, String)]);

impl Pairs<'_> {
    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Serialize for Pairs<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for (position, (name, value)) in self.0.iter().enumerate() {
            if !self.0[..position]
                .iter()
                .any(|(earlier, _)| earlier == name)
            {
                map.serialize_entry(name, value)?;
            }
        }
        map.end()
    }
}

/// The facts of the first event, without the empty ones.
#[derive(Debug, Serialize)]
struct Event<'a> {
    time: String,
    #[serde(skip_serializing_if = "str::is_empty")]
    id: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    name: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    source: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    region: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    account: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    principal_arn: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    principal_type: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    principal_id: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    user_name: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    access_key_id: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    source_ip: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    user_agent: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    error_code: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    resource_arn: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    object: &'a str,
    index: u32,
}

impl<'a> From<&'a EventFacts> for Event<'a> {
    fn from(facts: &'a EventFacts) -> Self {
        Self {
            time: format_ms(facts.time_ms),
            id: &facts.event_id,
            name: &facts.event_name,
            source: &facts.event_source,
            region: &facts.region,
            account: &facts.account,
            principal_arn: &facts.principal_arn,
            principal_type: &facts.principal_type,
            principal_id: &facts.principal_id,
            user_name: &facts.user_name,
            access_key_id: &facts.access_key_id,
            source_ip: &facts.source_ip,
            user_agent: &facts.user_agent,
            error_code: &facts.error_code,
            resource_arn: &facts.resource_arn,
            object: &facts.object_url,
            index: facts.index,
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    #[test]
    fn of_a_repeated_name_the_first_counts() {
        let pairs = [("a", "1"), ("b", "2"), ("a", "3")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(
            serde_json::to_string(&Pairs(&pairs)).unwrap(),
            r#"{"a":"1","b":"2"}"#
        );
    }
}
