//! A finding as it counts events, whatever ledger it lies in.

use anyhow::Context as _;

use crate::finding::{EVIDENCE, EventFacts, Finding, Sighting};

/// Bytes of a stored finding at the most: an item of `DynamoDB` may have 400 KB with everything in it.
#[cfg(any(test, feature = "dynamodb"))]
const MOST_BYTES: usize = 300 << 10;
/// What is left of each text of a finding that would be larger. No sink shows more.
#[cfg(any(test, feature = "dynamodb"))]
const CUT_BYTES: usize = 1_024;

/// A finding that has counted nothing yet.
pub(super) fn begin(id: &str, first: &Sighting, now_ms: i64) -> Finding {
    Finding {
        id: id.to_owned(),
        plugin: first.plugin.clone(),
        rule: first.rule.clone(),
        title: first.title.clone(),
        description: first.description.clone(),
        severity: first.severity,
        entity: first.entity.clone(),
        window_s: first.window_s,
        attributes: first.attributes.clone(),
        event: EventFacts::clone(&first.event),
        count: 0,
        first_ms: first.event.time_ms,
        last_ms: first.event.time_ms,
        created_ms: now_ms,
        // The first `take` is to yield the moment itself, and never less than `created_ms`.
        updated_ms: now_ms.saturating_sub(1),
        event_ids: Vec::new(),
    }
}

/// Counts one more event.
pub(super) fn add(finding: &mut Finding, sighting: &Sighting) {
    // Whatever count was read: a damaged one must not end the program.
    finding.count = finding.count.saturating_add(1);
    finding.severity = finding.severity.max(sighting.severity);
    finding.first_ms = finding.first_ms.min(sighting.event.time_ms);
    finding.last_ms = finding.last_ms.max(sighting.event.time_ms);
    let id = &sighting.event.event_id;
    if finding.event_ids.len() < EVIDENCE && !id.is_empty() && !finding.event_ids.contains(id) {
        finding.event_ids.push(id.clone());
    }
}

/// A finding as JSON that fits into an item. One that does not keeps a little of each text, and no
/// attributes: its event, entity and counts matter more.
#[cfg(any(test, feature = "dynamodb"))]
pub(super) fn stored(finding: &Finding) -> anyhow::Result<String> {
    let json =
        |finding: &Finding| serde_json::to_string(finding).context("failed to encode a finding");
    let whole = json(finding)?;
    if whole.len() <= MOST_BYTES {
        return Ok(whole);
    }
    let mut cut = finding.clone();
    cut.attributes.clear();
    let mut shorten = |text: &mut String| text.truncate(text.floor_char_boundary(CUT_BYTES));
    shorten(&mut cut.title);
    shorten(&mut cut.description);
    cut.entity.iter_mut().for_each(&mut shorten);
    cut.event_ids.iter_mut().for_each(&mut shorten);
    cut.event.each_text(&mut shorten);
    json(&cut)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::finding::Severity;

    fn sighting(text: &str, attributes: usize) -> Sighting {
        Sighting {
            plugin: "p".into(),
            rule: "r".into(),
            title: text.into(),
            description: text.into(),
            severity: Severity::Low,
            entity: vec![text.into(); 16],
            window_s: 60,
            attributes: vec![("k".into(), text.into()); attributes],
            event: Arc::new(EventFacts {
                user_agent: text.into(),
                event_id: text.into(),
                ..EventFacts::default()
            }),
            identity: [1; 16],
        }
    }

    fn finding(text: &str, attributes: usize) -> Finding {
        let sighting = sighting(text, attributes);
        let mut finding = begin("id", &sighting, 5);
        add(&mut finding, &sighting);
        finding
    }

    #[test]
    fn the_largest_count_stays() {
        let mut finding = finding("text", 0);
        finding.count = u64::MAX;
        add(&mut finding, &sighting("text", 0));
        assert_eq!(finding.count, u64::MAX);
    }

    #[test]
    fn what_fits_is_stored_whole() {
        let finding = finding("text", 64);
        let back: Finding = serde_json::from_str(&stored(&finding).unwrap()).unwrap();
        assert_eq!(back, finding);
    }

    #[test]
    fn the_largest_finding_fits_after_it_was_cut() {
        // Each of these bytes takes six in JSON.
        let text = "\u{1}".repeat(8 << 10);
        let mut finding = finding(&text, 64);
        finding.event.each_text(&mut |part| part.clone_from(&text));
        finding.event_ids = vec![text; EVIDENCE];
        let json = stored(&finding).unwrap();
        assert!(json.len() <= MOST_BYTES, "{}", json.len());
        let back: Finding = serde_json::from_str(&json).unwrap();
        assert_eq!((back.count, back.entity.len()), (1, 16));
    }
}
