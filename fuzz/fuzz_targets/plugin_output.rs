//! What plugins hand back: cleaning keeps JSON valid and leaves no masked value behind, and an event
//! with the host's member in it is valid.
//!
//! The first two lines are masked leaves, what follows is JSON: a plugin's, and an event.

#![no_main]

use std::sync::Arc;

use libfuzzer_sys::fuzz_target;
use serde_json::{Value, value::RawValue};
use sluicegate::{
    columns::{self, Kind},
    effects::Processed,
    event::{EventBatch, Object, ObjectKind, ObjectRef, Span},
    json::{self, Check, MAX_DEPTH},
    mask::{Cleaner, Mask, Masker},
};

/// Where the leaves lie in the input, each with its mask.
fn masks(lines: [&[u8]; 2]) -> Vec<Mask> {
    let mut masks = Vec::new();
    let mut at = 0;
    for (line, detector) in lines.into_iter().zip(["aws-secret", "card"]) {
        let end = at + line.len();
        let is_leaf = line
            .first()
            .is_some_and(|&first| Kind::of(first).is_leaf() && !first.is_ascii_whitespace());
        if is_leaf && serde_json::from_slice::<&RawValue>(line).is_ok() {
            masks.push(Mask {
                range: at..end
                    - line
                        .iter()
                        .rev()
                        .take_while(|b| b.is_ascii_whitespace())
                        .count(),
                marker: Masker::default().marker(detector, line),
            });
        }
        at = end + 1;
    }
    masks
}

/// The texts that must not be left: long enough, and no part of a marker nor able to reach across one.
fn secrets(input: &[u8], masks: &[Mask]) -> Vec<String> {
    masks
        .iter()
        .map(|mask| {
            let leaf = &input[mask.range.clone()];
            String::from_utf8_lossy(&columns::text(Kind::of(leaf[0]), leaf)).into_owned()
        })
        .filter(|text| text.len() >= 6 && !text.contains(['<', '>']))
        .filter(|text| !masks.iter().any(|mask| mask.marker.contains(text)))
        .collect()
}

fn is_clean(value: &Value, secrets: &[String]) {
    let clean = |text: &str| {
        assert!(
            !secrets.iter().any(|secret| text.contains(secret)),
            "a masked value is left"
        );
    };
    match value {
        Value::String(text) => clean(text),
        Value::Array(list) => list.iter().for_each(|value| is_clean(value, secrets)),
        Value::Object(members) => {
            for (name, value) in members {
                clean(name);
                is_clean(value, secrets);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

fn spliced(event: &[u8]) {
    const INDEX: u32 = 7;
    let object = Object::new(
        ObjectRef {
            bucket: "leanda-ng-cloudtrail-test-123456789012".into(),
            key: "key".into(),
            version: None,
        },
        "1".into(),
        ObjectKind::Log,
    );
    let batch = EventBatch::new(Arc::new(object), event.to_vec(), vec![Span {
            start: 0,
            end: u32::try_from(event.len()).expect("input is short"),
            index: INDEX,
        }]);
    let fields = ["/eventName", "/eventTime", "/userIdentity/arn", ""];
    let processed = Processed::untouched(batch, &fields);
    let view = processed.view(0, 0);
    let _ = view.time_ms();
    for position in 0..fields.len() {
        let field = view.field(position);
        assert_eq!(field.str().is_some(), field.kind == Kind::String);
        if field.kind != Kind::Absent {
            serde_json::from_slice::<&RawValue>(&field.json).expect("a field is JSON");
        }
    }
    for extra in [&b""[..], br#""a":1,"b":"2""#] {
        let mut out = Vec::new();
        view.write(extra, &mut out);
        serde_json::from_slice::<&RawValue>(&out).expect("what leaves is JSON");
        assert!(out.starts_with(&event[..event.len() - 1]));
        let member = format!("\"sluicegate\":{{\"id\":\"{}.{INDEX}\"", view.object().id);
        assert!(
            out[event.len() - 1..].starts_with(member.as_bytes())
                || out[event.len()..].starts_with(member.as_bytes())
        );
    }
}

fuzz_target!(|input: &[u8]| {
    let mut lines = input.splitn(3, |&byte| byte == b'\n');
    let (Some(first), Some(second), Some(text)) = (lines.next(), lines.next(), lines.next()) else {
        return;
    };
    let masks = masks([first, second]);
    let secrets = secrets(input, &masks);
    let cleaner = Cleaner::new(&masks, input);

    let plain = String::from_utf8_lossy(text);
    let cleaned = cleaner.clean(&plain);
    assert!(!secrets.iter().any(|secret| cleaned.contains(secret)));

    let Check::Valid(end) = json::check(text, MAX_DEPTH) else {
        return;
    };
    let value = &text[json::skip_space(text, 0)..end];
    let mut out = Vec::new();
    cleaner.clean_json(value, &mut out);
    serde_json::from_slice::<&RawValue>(&out).expect("cleaned JSON is JSON");
    // Not where numbers are huge or the nesting is the deepest.
    if let Ok(value) = serde_json::from_slice::<Value>(&out) {
        is_clean(&value, &secrets);
    }
    if value.starts_with(b"{") {
        spliced(value);
    }
});
