//! What a collector's answer means for the events that it was sent.

use serde::Deserialize;

use crate::sink::{SendError, http::Answer};

/// The collector's answer.
#[derive(Deserialize)]
pub(in crate::sink) struct Reply {
    pub(super) code: u16,
    /// Position of the event at fault, from 0.
    #[serde(default, rename = "invalid-event-number")]
    invalid_event_number: Option<usize>,
    /// The number under which to ask for the acknowledgement; the first of a channel is 0.
    #[serde(default, rename = "ackId")]
    pub(super) ack_id: Option<u64>,
}

impl Reply {
    /// Whether it says, while what was sent is accepted, that the collector is near its capacity.
    pub(super) fn says_that_queues_fill_up(&self) -> bool {
        matches!(self.code, 24 | 25)
    }
}

/// The retry decision for an answer to `entries` events. The words of a refusal are those of
/// [`meaning`], not the server's, which might repeat what it was sent.
pub(in crate::sink) fn judge(answer: &Answer, entries: usize) -> Result<Reply, SendError> {
    let Some(reply) = answer.json::<Reply>() else {
        return Err(unspoken(answer));
    };
    let code = reply.code;
    let reason = || format!("code {code}: {}", meaning(code));
    match code {
        1..=4 | 7 | 10 | 11 | 14 | 16 | 17 | 21 | 22 => Err(SendError::Misconfigured(
            anyhow::anyhow!("the collector answered {} with {}", answer.status, reason()),
        )),
        6 | 12 | 13 | 15 if answer.status == 400 => match reply.invalid_event_number {
            Some(position) if position < entries => Err(SendError::RefusedEntry {
                position,
                reason: reason(),
            }),
            _ => Err(SendError::Refused {
                status: 400,
                reason: reason(),
            }),
        },
        // 0; 24 and 25, which say that queues fill up while what was sent is accepted; and codes of later
        // versions, whose status says what to do.
        0 | 24 | 25 | 28.. if answer.is_success() => Ok(reply),
        // Somebody between changed the status; which of the two is right, nobody knows here.
        _ if answer.is_success() => Err(SendError::Misconfigured(anyhow::anyhow!(
            "the collector answered {} with {}: does a proxy change the status?",
            answer.status,
            reason()
        ))),
        _ if answer.status == 400 => Err(SendError::Refused {
            status: 400,
            reason: reason(),
        }),
        _ => Err(answer.decision()),
    }
}

/// Something that is not a collector answered: a proxy, a load balancer, a login page. Its 200 is no
/// acceptance and its 400 says nothing about the events.
fn unspoken(answer: &Answer) -> SendError {
    match answer.status {
        200..=299 => SendError::Misconfigured(
            answer
                .error()
                .context("the answer does not confirm anything: is this an HTTP Event Collector?"),
        ),
        _ => answer.decision(),
    }
}

/// What a code of the collector means, and for some of them what to do.
pub(super) fn meaning(code: u16) -> &'static str {
    const MEANINGS: [&str; 28] = [
        "success",
        "the token is disabled: enable it in Splunk",
        "the token is missing",
        "the authorization is invalid",
        "the token is invalid",
        "no data",
        "invalid data format",
        "incorrect index: allow it for the token, or change `index`",
        "internal server error",
        "the server is busy",
        "a data channel is missing: the token has indexer acknowledgement switched on: switch it off, or `acknowledgement` on",
        "invalid data channel",
        "the event field is missing",
        "the event field is blank",
        "indexer acknowledgement is disabled: switch it on for the token, or `acknowledgement` off",
        "an error in the indexed fields",
        "authorization by query string is not enabled",
        "healthy: this is the answer of the health address, not of the one for events",
        "unhealthy, the queues are full",
        "unhealthy, the acknowledgement service is not available",
        "unhealthy, queues full and acknowledgement service not available",
        "the token is invalid",
        "the token is disabled",
        "the server is shutting down",
        "the queue approaches its capacity",
        "the acknowledgement channel approaches its capacity",
        "the queue is at capacity",
        "the acknowledgement channel is at capacity",
    ];
    MEANINGS
        .get(usize::from(code))
        .copied()
        .unwrap_or("a code that this version does not know")
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use reqwest::header::HeaderMap;

    use super::*;

    fn answer(status: u16, body: &str) -> Answer {
        Answer {
            status,
            retry_after: None,
            headers: HeaderMap::new(),
            body: body.as_bytes().to_vec(),
        }
    }

    /// What is done, in a word.
    fn decision(status: u16, body: &str) -> String {
        match judge(&answer(status, body), 10) {
            Ok(_) => "accepted 0".into(),
            Err(SendError::Throttled { .. }) => "throttled".into(),
            Err(SendError::Unavailable(_)) => "unavailable".into(),
            Err(SendError::TooLarge) => "too large".into(),
            Err(SendError::Misconfigured(_)) => "misconfigured".into(),
            Err(SendError::RefusedEntry { position, .. }) => format!("entry {position}"),
            Err(SendError::Refused { .. }) => "refused".into(),
        }
    }

    #[test]
    fn every_code_of_the_collector_has_its_decision() {
        let table: [(u16, u16, &str); 28] = [
            (200, 0, "accepted 0"),
            (403, 1, "misconfigured"),
            (401, 2, "misconfigured"),
            (401, 3, "misconfigured"),
            (403, 4, "misconfigured"),
            (400, 5, "refused"),
            (400, 6, "refused"),
            (400, 7, "misconfigured"),
            (500, 8, "unavailable"),
            (503, 9, "unavailable"),
            (400, 10, "misconfigured"),
            (400, 11, "misconfigured"),
            (400, 12, "refused"),
            (400, 13, "refused"),
            (400, 14, "misconfigured"),
            (400, 15, "refused"),
            (400, 16, "misconfigured"),
            (200, 17, "misconfigured"),
            (503, 18, "unavailable"),
            (503, 19, "unavailable"),
            (503, 20, "unavailable"),
            (400, 21, "misconfigured"),
            (400, 22, "misconfigured"),
            (503, 23, "unavailable"),
            (200, 24, "accepted 0"),
            (200, 25, "accepted 0"),
            (429, 26, "throttled"),
            (429, 27, "throttled"),
        ];
        for (status, code, expected) in table {
            assert_eq!(
                decision(status, &format!(r#"{{"text":"t","code":{code}}}"#)),
                expected,
                "code {code}"
            );
        }
    }

    #[test]
    fn a_numbered_event_is_the_one_at_fault() {
        for code in [6, 12, 13, 15] {
            let body = format!(r#"{{"text":"t","code":{code},"invalid-event-number":3}}"#);
            assert_eq!(decision(400, &body), "entry 3");
        }
        assert_eq!(
            decision(400, r#"{"text":"t","code":6,"invalid-event-number":10}"#),
            "refused"
        );
    }

    #[test]
    fn unknown_codes_follow_their_status() {
        for (status, expected) in [
            (200, "accepted 0"),
            (400, "refused"),
            (403, "misconfigured"),
            (429, "throttled"),
            (503, "unavailable"),
        ] {
            assert_eq!(
                decision(status, r#"{"text":"t","code":99}"#),
                expected,
                "{status}"
            );
        }
    }

    #[test]
    fn a_known_failure_is_none_the_less_for_a_status_of_success() {
        for code in [5, 6, 8, 9, 12, 13, 15, 18, 19, 20, 23, 26, 27] {
            let body = format!(r#"{{"text":"t","code":{code}}}"#);
            assert_eq!(decision(200, &body), "misconfigured", "code {code}");
        }
    }

    #[test]
    fn a_list_is_no_answer_of_a_collector() {
        // Without names of its members it would be read as `code` 0.
        assert_eq!(decision(200, "[0]"), "misconfigured");
        assert_eq!(decision(400, "[6]"), "misconfigured");
    }

    #[test]
    fn pages_of_something_else_are_never_taken_for_an_acceptance_or_for_bad_data() {
        for (status, expected) in [
            (200, "misconfigured"),
            (204, "misconfigured"),
            (301, "misconfigured"),
            (400, "misconfigured"),
            (401, "misconfigured"),
            (404, "misconfigured"),
            (405, "misconfigured"),
            (408, "unavailable"),
            (413, "too large"),
            (415, "misconfigured"),
            (429, "throttled"),
            (500, "unavailable"),
            (502, "unavailable"),
            (504, "unavailable"),
        ] {
            assert_eq!(
                decision(status, "<html>\u{1b}[31mno</html>"),
                expected,
                "{status}"
            );
        }
    }
}
