//! What nobody should write, in findings and in events.

use serde_json::{Value, json};
use sluicegate::{finding::Finding, sink::security_hub};

use super::{
    Outgoing, finding,
    found::{detect_cloudtrail, dressed, sightings},
};

/// Texts that nobody should write.
fn hostile_texts() -> Vec<String> {
    let long =
        ["x", " ", "é", "漢", "😀", "\u{1}", "x\u{1}", "\"", "/", ","].map(|one| one.repeat(8_000));
    let padded = format!("{}x", " ".repeat(8_000));
    let types: Vec<String> = (0..60)
        .map(|n| format!("TTPs/{n}{}", "\u{1}".repeat(2_000)))
        .collect();
    let types = types.join(",");
    let short = [
        "",
        " ",
        " \t\r\n",
        "\u{feff}",
        "\u{200b}",
        "\u{180e}",
        "\u{85}",
        "\u{1c}",
        "\u{0}",
        "\u{2028}",
        "\u{fffd}",
        "a\nb",
        "größe",
        "日本",
        "arn:aws:s3:::b/größe\u{7f}",
        "arn:aws:iam::1:user/",
        "arn:aws:sts::1:assumed-role//s",
        "arn:aws:sts::1:assumed-role/ /s",
        "::::::",
        "https://example.com/größe",
        "https://",
        "https://a<b>\"c\"",
        "https://[::1",
        "https://example.com/%zz",
        "https://example.com:x/",
        "TTPs/a/b/c",
        "TTPs/ /x",
        "TTPs,TTPs",
        "Effects/\u{feff}",
        "T1078.",
        "T1485",
        "999.1.1.1",
        "01.2.3.4",
        "::ffff:192.0.2.7",
        "fe80::1%eth0",
        "AWS Internal",
        "-",
        "..",
        ".",
        "a.b",
        "111122223333",
        "aws/securityhub",
        "<masked:aws-secret-key>",
    ];
    let short = short.map(str::to_owned);
    [long.to_vec(), vec![padded, types], short.to_vec()].concat()
}

/// Pointers to everything in a value that is neither object nor list.
fn leaves(value: &Value, at: &str, found: &mut Vec<String>) {
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                leaves(member, &format!("{at}/{name}"), found);
            }
        }
        Value::Array(items) => {
            for (number, item) in items.iter().enumerate() {
                leaves(item, &format!("{at}/{number}"), found);
            }
        }
        _ => found.push(at.to_owned()),
    }
}

/// A finding with each of its texts, and all of them, replaced by each hostile one.
pub(super) fn findings(out: &mut Outgoing, sink: &security_hub::SecurityHub) {
    let whole = serde_json::to_value(finding()).unwrap();
    let mut paths = Vec::new();
    leaves(&whole, "", &mut paths);
    // Identifiers are the host's own.
    paths.retain(|path| path != "/severity" && path != "/id");
    let (texts, numbers): (Vec<_>, Vec<_>) = paths
        .into_iter()
        .partition(|path| whole.pointer(path).unwrap().is_string());
    let mut add = |changed: &Value, about: &str| {
        out.add(
            sink,
            &serde_json::from_value(changed.clone()).unwrap(),
            about,
        );
    };
    for (number, text) in hostile_texts().iter().enumerate() {
        let (mut all, mut facts) = (whole.clone(), whole.clone());
        for path in &texts {
            let mut one = whole.clone();
            *one.pointer_mut(path).unwrap() = json!(text);
            add(&one, &format!("text {number} at {path}"));
            *all.pointer_mut(path).unwrap() = json!(text);
            if !path.starts_with("/attributes") {
                *facts.pointer_mut(path).unwrap() = json!(text);
            }
        }
        add(&all, &format!("text {number} everywhere"));
        for name in ["types", "references", "remediation", "x"] {
            let attributes = (0..64).map(|of| {
                let name = if name == "x" {
                    format!("{of}{text}")
                } else {
                    name.to_owned()
                };
                json!([name, text])
            });
            facts["attributes"] = attributes.collect();
            facts["entity"] = (0..16).map(|_| json!(text)).collect();
            facts["event_ids"] = (0..10).map(|_| json!(text)).collect();
            add(&facts, &format!("text {number} everywhere, and as {name}"));
        }
    }
    for path in &numbers {
        for number in [
            json!(0),
            json!(1),
            json!(-1),
            json!(i64::MAX),
            json!(i64::MIN),
            json!(u64::MAX),
            json!(u32::MAX),
        ] {
            let mut one = whole.clone();
            *one.pointer_mut(path).unwrap() = number;
            // What does not fit the type.
            if serde_json::from_value::<Finding>(one.clone()).is_ok() {
                add(&one, path);
            }
        }
    }
    for severity in ["informational", "low", "medium", "high", "critical"] {
        let mut one = whole.clone();
        one["severity"] = json!(severity);
        add(&one, severity);
    }
}

/// An event that is found, with each of its members replaced by what no event should have there.
pub(super) async fn events(out: &mut Outgoing, sink: &security_hub::SecurityHub) {
    let event = dressed(
        r#"{"eventSource":"cloudtrail.amazonaws.com","eventName":"StopLogging","recipientAccountId":"111111111111","errorCode":"AccessDenied",
        "userIdentity":{"type":"AssumedRole","arn":"arn:aws:sts::111111111111:assumed-role/ops/run-7","accountId":"111111111111",
        "sessionContext":{"sessionIssuer":{"arn":"arn:aws:iam::111111111111:role/ops"}}},"requestParameters":{"name":"trail"}}"#,
    );
    let whole: Value = serde_json::from_str(&event).unwrap();
    let mut paths = Vec::new();
    leaves(&whole, "", &mut paths);
    paths.extend(
        [
            "/userIdentity",
            "/requestParameters",
            "/resources",
            "/userIdentity/sessionContext",
        ]
        .map(str::to_owned),
    );
    let long = format!("\"{}\"", "é".repeat(70_000));
    let values = [
        "null",
        "5",
        "[]",
        "{}",
        "\"\"",
        r#""\ud800""#,
        r#""a\udfffb\n""#,
        "\"日本\\u0000\"",
        "\" \"",
        "\"\\ufeff\"",
        &long,
    ];
    let mut events = Vec::new();
    for path in &paths {
        let mut changed = whole.clone();
        *changed.pointer_mut(path).unwrap() = json!("HOSTILE");
        let text = changed.to_string();
        events.extend(
            values
                .iter()
                .map(|value| text.replace("\"HOSTILE\"", value)),
        );
    }
    let mut worker = detect_cloudtrail(&json!({}));
    let found = sightings(&mut worker, &events);
    assert!(
        found.len() > events.len() / 2,
        "{} of {}",
        found.len(),
        events.len()
    );
    for (number, one) in found.into_iter().enumerate() {
        out.fold(sink, vec![one], &format!("hostile event {number}"))
            .await;
    }
}
