//! Events in OCSF: whatever a checked event holds, the document is JSON, its members come once, and nothing
//! is written where the event is refused for its time.

#![no_main]

use std::{collections::HashSet, sync::Arc};

use libfuzzer_sys::fuzz_target;
use sluicegate::{
    effects::Processed,
    event::{EventBatch, Object, ObjectKind, ObjectRef, Span},
    json::{self, Check, MAX_DEPTH},
    normalize::ocsf::{Encoder, Version},
};

fn batch(event: &[u8]) -> EventBatch {
    let reference = ObjectRef {
        bucket: "leanda-ng-cloudtrail-test-123456789012".into(),
        key: "key".into(),
        version: None,
    };
    let object = Object::new(reference, "1".into(), ObjectKind::Log);
    let span = Span {
        start: 0,
        end: u32::try_from(event.len()).expect("input is short"),
        index: 0,
    };
    EventBatch::new(Arc::new(object), event.to_vec(), vec![span])
}

/// The names of an object's members.
fn names(object: &[u8]) -> Vec<Vec<u8>> {
    let mut names = Vec::new();
    let mut at = json::skip_space(object, 1);
    while object.get(at) == Some(&b'"') {
        let end = json::string_end(object, at);
        names.push(json::unescape(&object[at + 1..end - 1]).into_owned());
        let value = json::skip_space(object, json::skip_space(object, end) + 1);
        at = json::skip_space(object, json::value_end(object, value));
        if object.get(at) == Some(&b',') {
            at = json::skip_space(object, at + 1);
        }
    }
    names
}

fuzz_target!(|input: &[u8]| {
    if std::str::from_utf8(input).is_err() || input.first() != Some(&b'{') {
        return;
    }
    let Check::Valid(end) = json::check(input, MAX_DEPTH - 8) else {
        return;
    };
    let processed = Processed::untouched(batch(&input[..end]), &[]);
    for version in [Version::V1_8_0, Version::V1_1_0] {
        let mut out = Vec::new();
        if Encoder::new(version, true).event(&processed.view(0, 0), &mut out).is_err() {
            assert!(out.is_empty());
            continue;
        }
        assert_eq!(json::check(&out, MAX_DEPTH), Check::Valid(out.len()));
        let names = names(&out);
        let distinct: HashSet<_> = names.iter().collect();
        assert_eq!(names.len(), distinct.len());
    }
});
