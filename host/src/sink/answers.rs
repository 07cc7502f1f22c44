//! What must be true of services' answers: whatever it is, only a success counts an entry as delivered, every
//! entry has one fate, and what a person is told is short and harmless. Tried with answers of a generator here,
//! and with those of a fuzzer.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::{Duration, SystemTime},
};

use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use serde::{Deserialize, de::IgnoredAny};
use serde_json::value::RawValue;

use super::{
    Batch, Entry, Origin, Parcel, Part, Refused, SendError, datadog_logs,
    http::{Answer, LONGEST_WAIT, retry_after},
    security_hub, splunk_hec,
};
use crate::ack;

/// Findings of one request. The last two are the same.
const IDS: [&str; 4] = ["a", "b", "c", "c"];
/// Numbers that acknowledgements are asked for.
const NUMBERS: [u64; 4] = [0, 1, 7, u64::MAX];
/// Bytes of what may be said of an answer: 256 characters of its own, each perhaps escaped, and our words.
const MOST: usize = 4096;
/// When the answer came, in seconds since 1970: a date in `Retry-After` counts from then.
const NOW_S: u64 = 1_794_000_000;

/// Puts an answer to the judge of every sink.
///
/// # Panics
/// When one of them takes it for what it is not.
pub fn hold(status: u16, headers: &[(&str, &[u8])], body: &[u8]) {
    let headers: HeaderMap = headers
        .iter()
        .filter_map(|(name, value)| {
            let name = HeaderName::from_bytes(name.as_bytes()).ok()?;
            Some((name, HeaderValue::from_bytes(value).ok()?))
        })
        .collect();
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(NOW_S);
    let answer = Answer {
        status,
        retry_after: retry_after(&headers, now),
        headers,
        body: body.to_vec(),
    };
    // Members whose text is no UTF-8 are nobody's concern.
    let text = String::from_utf8_lossy(body);
    let said = Said {
        success: (200..300).contains(&status),
        members: serde_json::from_str(&text).ok(),
    };
    splunk(&answer, &said);
    datadog(&answer, &said);
    hub(&answer, &said);
}

/// What the answer says to somebody who knows no service.
struct Said<'a> {
    success: bool,
    /// Where it is an object.
    members: Option<BTreeMap<String, &'a RawValue>>,
}

impl<'a> Said<'a> {
    fn member<T: Deserialize<'a>>(&self, name: &str) -> Option<T> {
        serde_json::from_str(self.members.as_ref()?.get(name)?.get()).ok()
    }
}

fn splunk(answer: &Answer, said: &Said<'_>) {
    for entries in [1, 3, 1_000] {
        match splunk_hec::judge(answer, entries) {
            Ok(_) => {
                assert!(said.success, "{}", answer.status);
                let code = said.member("code").expect("a collector gives a code");
                assert!(matches!(code, 0_u64 | 24 | 25 | 28..), "code {code}");
            }
            Err(error) => told(&error, entries, said.members.is_some()),
        }
    }
    let mut asked = BTreeSet::from(NUMBERS);
    for (number, verdict) in splunk_hec::verdicts(&NUMBERS, answer) {
        assert!(asked.remove(&number), "one verdict for each");
        match verdict {
            Ok(()) => {
                let acks: BTreeMap<String, bool> = said.member("acks").expect("an answer");
                assert!(said.success && acks[&number.to_string()], "{acks:?}");
            }
            Err(error) => told(&error, 1, false),
        }
    }
}

fn datadog(answer: &Answer, said: &Said<'_>) {
    match datadog_logs::judge(answer) {
        Ok(refused) => {
            assert!(said.success && refused.is_empty());
            let errors: Option<IgnoredAny> = said.member("errors").flatten();
            let confirmed = said.members.is_some() && errors.is_none();
            assert!(
                confirmed || answer.body.trim_ascii().is_empty(),
                "{}",
                answer.text()
            );
        }
        Err(error) => told(&error, 1, said.members.is_some()),
    }
}

fn hub(answer: &Answer, said: &Said<'_>) {
    match security_hub::judge(answer, &batch()) {
        Ok(refused) => {
            assert!(said.success, "{}", answer.status);
            fates(&refused, said);
        }
        Err(error) => {
            let named = answer.headers.contains_key("x-amzn-errortype");
            told(&error, IDS.len(), named || said.members.is_some());
        }
    }
}

fn batch() -> Batch {
    let parts = IDS.map(|id| {
        let data = format!("{{\"Id\":\"{id}\"}}");
        let entry = Entry {
            start: 0,
            end: u32::try_from(data.len()).expect("a short text"),
            index: 0,
        };
        let parcel = Parcel {
            origin: Origin::Finding(id.into()),
            data: data.into(),
            entries: vec![entry],
            budget: None,
        };
        Part {
            parcel: Arc::new(parcel),
            entries: 0..1,
            ack: ack::channel().0,
        }
    });
    Batch {
        parts: parts.into(),
    }
}

/// Every finding is imported, refused or to be sent again, and no more are imported than the hub says.
fn fates(refused: &[Refused], said: &Said<'_>) {
    let positions: BTreeSet<usize> = refused.iter().map(|refused| refused.position).collect();
    assert_eq!(positions.len(), refused.len(), "one fate for each");
    assert!(positions.iter().all(|position| *position < IDS.len()));
    let failed = said.member("FailedCount").expect("a hub says how many");
    assert!(positions.len() >= failed, "{failed} failed");
    if let Some(imported) = said.member::<usize>("SuccessCount") {
        assert!(
            IDS.len() - positions.len() <= imported,
            "{imported} imported"
        );
    }
    for refused in refused {
        harmless(&refused.reason);
    }
}

/// What holds of a decision; only a service itself may refuse entries.
fn told(error: &SendError, entries: usize, is_of_service: bool) {
    match error {
        SendError::Unavailable(error) | SendError::Misconfigured(error) => {
            harmless(&format!("{error:#}"));
        }
        SendError::RefusedEntry { position, reason } => {
            assert!(*position < entries);
            assert!(is_of_service, "a page says nothing of entries");
            harmless(reason);
        }
        SendError::Refused { reason, .. } => {
            assert!(is_of_service, "a page says nothing of entries");
            harmless(reason);
        }
        SendError::Throttled { retry_after } => {
            assert!(retry_after.is_none_or(|wait| wait <= LONGEST_WAIT));
        }
        SendError::TooLarge => {}
    }
}

fn harmless(text: &str) {
    assert!(text.len() <= MOST, "{} bytes are said", text.len());
    assert!(!text.chars().any(char::is_control), "{text:?}");
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*, sample::select};

    use super::hold;

    /// Answers as services give them, to be damaged.
    const KNOWN: [&str; 9] = [
        r#"{"text":"Success","code":0,"ackId":7}"#,
        r#"{"text":"Invalid data format","code":6,"invalid-event-number":2}"#,
        r#"{"text":"Server is busy","code":9}"#,
        r#"{"acks":{"0":true,"1":false,"7":true,"18446744073709551615":true}}"#,
        r#"{"errors":[{"status":"400","title":"Bad Request"}]}"#,
        r#"{"FailedCount":0,"SuccessCount":4,"FailedFindings":[]}"#,
        r#"{"FailedCount":1,"FailedFindings":[{"Id":"b","ErrorCode":"InternalError","ErrorMessage":"m"}]}"#,
        r#"{"__type":"x#InvalidInputException","Message":"1 validation error"}"#,
        "<html>log in</html>",
    ];

    /// What a hub may say about findings, some of which it was not sent.
    fn hub() -> impl Strategy<Value = String> {
        let id = select(vec!["a", "b", "c", "x", "\\u0000"]);
        let code = select(vec!["InvalidInput", "InternalError", "Throttling", ""]);
        let failed = vec((id, code), 0..6).prop_map(|failed| {
            let failed: Vec<_> = failed
                .into_iter()
                .map(|(id, code)| format!(r#"{{"Id":"{id}","ErrorCode":"{code}"}}"#))
                .collect();
            failed.join(",")
        });
        (0..6_u32, failed).prop_map(|(count, failed)| {
            format!(r#"{{"FailedCount":{count},"FailedFindings":[{failed}]}}"#)
        })
    }

    /// A collector's reply with any code and any event at fault.
    fn collector() -> impl Strategy<Value = String> {
        (0..40_u16, any::<u8>()).prop_map(|(code, event)| {
            format!(r#"{{"code":{code},"invalid-event-number":{event}}}"#)
        })
    }

    fn body() -> impl Strategy<Value = Vec<u8>> {
        let damaged = (select(&KNOWN[..]), vec((any::<u8>(), any::<u8>()), 0..4)).prop_map(
            |(known, changes)| {
                let mut body = known.as_bytes().to_vec();
                for (at, byte) in changes {
                    let at = usize::from(at) % body.len();
                    body[at] = byte;
                }
                body
            },
        );
        prop_oneof![
            damaged,
            hub().prop_map(String::into_bytes),
            collector().prop_map(String::into_bytes),
            vec(any::<u8>(), 0..2_000),
            "\\PC{0,600}".prop_map(String::into_bytes),
        ]
    }

    fn answer() -> impl Strategy<Value = (u16, &'static str, &'static str, Vec<u8>)> {
        let known = select(vec![200, 202, 400, 401, 403, 404, 413, 429, 500, 503]);
        let status = prop_oneof![known, 100..1000_u16];
        let kind = select(vec!["", "ThrottlingException:x", "a#InvalidInputException"]);
        let wait = select(vec![
            "",
            "7",
            "99999999999999999999",
            "Sun, 06 Nov 2094 08:49:37 GMT",
        ]);
        (status, kind, wait, body())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(1_000))]

        #[test]
        fn whatever_is_answered_only_a_success_delivers(
            (status, kind, wait, body) in answer(),
        ) {
            hold(status, &[("x-amzn-errortype", kind.as_bytes()), ("retry-after", wait.as_bytes())], &body);
        }
    }
}
