//! Plugins that were built for a released version of the interface go on running.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::fs;

use serde_json::json;
use sluicegate::plugin::{
    Component, Limits, Terms,
    abi::{Batch, Column, Kind, Severity, Test},
};
use sluicegate_tests::host::{engine, root};

fn column(texts: [Option<&str>; 2]) -> Column {
    let ends = texts.iter().scan(0, |end, text| {
        *end += u32::try_from(text.unwrap_or_default().len()).unwrap();
        Some(*end)
    });
    Column {
        kinds: texts.map(|text| if text.is_some() { 2 } else { 0 }).into(),
        offsets: [0].into_iter().chain(ends).collect(),
        data: texts.map(Option::unwrap_or_default).concat().into_bytes(),
    }
}

#[test]
fn the_guest_of_interface_0_1_0_is_the_one_that_was_frozen_and_runs() {
    let wasm = fs::read(root().join("tests/frozen/plugin-0.1.0.wasm")).unwrap();
    let terms = Terms {
        configuration: json!({ "also": { "ümlaut": "low" } })
            .as_object()
            .unwrap()
            .clone(),
        limits: Limits {
            deadline_ms: 5_000,
            start_ms: 5_000,
            ..Limits::default()
        },
        ..Terms::default()
    };
    let component = Component::load(&engine(), "attack-tools", &wasm, &terms).unwrap();
    assert_eq!(
        component.digest(),
        "57be6f4c1ea368832e492da9ac1ee6e969b95523f0f36a13ce08fb501c887a4a"
    );
    assert_eq!(
        (component.kind(), component.version()),
        (Kind::Detect, "0.1.0")
    );
    let subscription = component.subscription();
    assert_eq!(
        subscription.fields,
        [
            "/userAgent",
            "/userIdentity/arn",
            "/sourceIPAddress",
            "/eventName"
        ]
    );
    assert_eq!(subscription.matches[0][0].path, "/userAgent");
    assert!(matches!(subscription.matches[0][0].test, Test::Present));

    let batch = Batch {
        rows: 2,
        now_ms: 1_700_000_000_000,
        columns: vec![
            column([Some("Boto3/1.35"), Some("x ümlaut/1")]),
            column([None, Some("arn:x")]),
            column([None, None]),
            column([None, Some("GetObject")]),
        ],
    };
    let outcome = component.instantiate().unwrap().process(&batch).unwrap();
    assert!(outcome.additions.is_empty() && outcome.masks.is_empty() && outcome.drops.is_empty());
    let [finding] = outcome.findings.as_slice() else {
        panic!("{:?}", outcome.findings);
    };
    assert_eq!((finding.row, finding.rule.as_str()), (1, "attack-tool"));
    assert_eq!((finding.severity, finding.window_s), (Severity::Low, 3_600));
    assert_eq!(finding.entity, ["arn:x", "ümlaut"]);
    let named = |(name, value): &(String, String)| format!("{name}={value}");
    assert_eq!(
        finding.attributes.iter().map(named).collect::<Vec<_>>(),
        ["tool=ümlaut", "user-agent=x ümlaut/1", "call=GetObject"]
    );
}
