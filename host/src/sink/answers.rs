//! Tests of what services answer: whatever it is, only a success counts an entry as delivered, every entry has
//! one fate, and what a person is told is short and harmless.

use std::{collections::BTreeSet, sync::Arc};

use proptest::{collection::vec, prelude::*, sample::select};
use reqwest::header::{HeaderMap, HeaderValue};

use super::{
    Batch, Entry, Origin, Parcel, Part, Refused, SendError, datadog_logs, http::Answer,
    security_hub, splunk_hec,
};
use crate::ack;

/// Findings of one request. The last two are the same.
const IDS: [&str; 4] = ["a", "b", "c", "c"];
/// Numbers that acknowledgements are asked for.
const NUMBERS: [u64; 4] = [0, 1, 7, u64::MAX];
/// Bytes of what may be said of an answer: 256 characters of its own, each perhaps escaped, and our words.
const MOST: usize = 4096;

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
    (0..40_u16, any::<u8>())
        .prop_map(|(code, event)| format!(r#"{{"code":{code},"invalid-event-number":{event}}}"#))
}

fn body() -> impl Strategy<Value = Vec<u8>> {
    let damaged =
        (select(&KNOWN[..]), vec((any::<u8>(), any::<u8>()), 0..4)).prop_map(|(known, changes)| {
            let mut body = known.as_bytes().to_vec();
            for (at, byte) in changes {
                let at = usize::from(at) % body.len();
                body[at] = byte;
            }
            body
        });
    prop_oneof![
        damaged,
        hub().prop_map(String::into_bytes),
        collector().prop_map(String::into_bytes),
        vec(any::<u8>(), 0..2_000),
        "\\PC{0,600}".prop_map(String::into_bytes),
    ]
}

fn answer() -> impl Strategy<Value = Answer> {
    let known = select(vec![200, 202, 400, 401, 403, 404, 413, 429, 500, 503]);
    let status = prop_oneof![known, 100..1000_u16];
    let kind = select(vec!["", "ThrottlingException:x", "a#InvalidInputException"]);
    (status, kind, body()).prop_map(|(status, kind, body)| {
        let mut headers = HeaderMap::new();
        if !kind.is_empty() {
            headers.insert("x-amzn-errortype", HeaderValue::from_static(kind));
        }
        Answer {
            status,
            retry_after: None,
            headers,
            body,
        }
    })
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
fn fates(body: &[u8], refused: &[Refused]) {
    let positions: BTreeSet<usize> = refused.iter().map(|refused| refused.position).collect();
    assert_eq!(positions.len(), refused.len(), "one fate for each");
    assert!(positions.iter().all(|position| *position < IDS.len()));
    let said: serde_json::Value = serde_json::from_slice(body).unwrap_or_default();
    let failed = said["FailedCount"].as_u64().unwrap_or(0);
    assert!(positions.len() as u64 >= failed, "{said}");
    for refused in refused {
        harmless(&refused.reason);
    }
}

fn told(error: &SendError, entries: usize) {
    match error {
        SendError::Unavailable(error) | SendError::Misconfigured(error) => {
            harmless(&format!("{error:#}"));
        }
        SendError::RefusedEntry { position, reason } => {
            assert!(*position < entries);
            harmless(reason);
        }
        SendError::Refused { reason, .. } => harmless(reason),
        SendError::Throttled { .. } | SendError::TooLarge => {}
    }
}

fn harmless(text: &str) {
    assert!(text.len() <= MOST, "{} bytes are said", text.len());
    assert!(!text.chars().any(char::is_control), "{text:?}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn whatever_is_answered_only_a_success_delivers(answer in answer()) {
        let success = (200..300).contains(&answer.status);
        for entries in [1, 3, 1_000] {
            match splunk_hec::judge(&answer, entries) {
                Ok(_) => assert!(success),
                Err(error) => told(&error, entries),
            }
        }
        match datadog_logs::judge(&answer) {
            Ok(refused) => assert!(success && refused.is_empty()),
            Err(error) => told(&error, 1),
        }
        match security_hub::judge(&answer, &batch()) {
            Ok(refused) => {
                assert!(success);
                fates(&answer.body, &refused);
            }
            Err(error) => told(&error, IDS.len()),
        }
        let mut asked = BTreeSet::from(NUMBERS);
        for (number, verdict) in splunk_hec::verdicts(&NUMBERS, &answer) {
            assert!(asked.remove(&number), "one verdict for each");
            match verdict {
                Ok(()) => assert!(success),
                Err(error) => told(&error, 1),
            }
        }
    }
}
