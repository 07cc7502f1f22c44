//! The strict server refuses what is over a limit of the service, and takes what is at it.

use serde_json::{Value, json};
use sluicegate_tests::servers::SecurityHub;

use super::{ACCOUNT, changed, long, pairs, resources, whole};

/// What is changed, into what is still taken, and into what is not.
type Case = (&'static str, Value, Value);

fn lengths_and_times() -> Vec<Case> {
    let lengths = [
        ("/Id", 512),
        ("/GeneratorId", 512),
        ("/Title", 256),
        ("/Description", 1024),
        ("/ProductName", 128),
        ("/CompanyName", 128),
        ("/FindingProviderFields/Severity/Original", 64),
        ("/Resources/0/Id", 512),
        ("/Resources/0/Region", 16),
        ("/Action/AwsApiCallAction/Api", 128),
        ("/Action/AwsApiCallAction/ServiceName", 128),
        ("/Remediation/Recommendation/Text", 512),
    ];
    let lengths = lengths.map(|(at, most)| (at, long(most), long(most + 1)));
    let times = [
        "/CreatedAt",
        "/UpdatedAt",
        "/FirstObservedAt",
        "/LastObservedAt",
    ]
    .map(|at| {
        let good = json!("2026-03-01T21:20:00.000000000Z");
        (at, good, json!("2026-03-01T21:20:00.0000000000Z"))
    });
    lengths.into_iter().chain(times).collect()
}

fn numbers() -> Vec<Case> {
    let types = |count: usize| json!(vec!["TTPs"; count]);
    let list = |count: usize| json!(vec![json!({ "Name": "x" }); count]);
    vec![
        ("/ProductFields", pairs(50, 128, 1), pairs(51, 2, 1)),
        ("/ProductFields", pairs(1, 1, 2048), pairs(1, 1, 2049)),
        ("/ProductFields", pairs(1, 128, 1), pairs(1, 129, 1)),
        (
            "/ProductFields",
            json!({ "a/aws/": "x" }),
            json!({ "aws/a": "x" }),
        ),
        (
            "/ProductFields",
            json!({ "a": "x" }),
            json!({ "a": "\u{feff} " }),
        ),
        ("/Resources", resources(32), resources(33)),
        ("/Resources", resources(1), resources(0)),
        ("/FindingProviderFields/Types", types(50), types(51)),
        ("/FindingProviderFields/Types", types(1), types(0)),
        (
            "/FindingProviderFields/Types",
            json!(["TTPs/a/b"]),
            json!(["TTPs/a/b/c"]),
        ),
        (
            "/FindingProviderFields/Types",
            json!(["Effects"]),
            json!(["Defects"]),
        ),
        (
            "/FindingProviderFields/Severity/Label",
            json!("LOW"),
            json!("Low"),
        ),
        ("/Malware", list(5), list(6)),
        ("/ThreatIntelIndicators", list(5), list(6)),
        (
            "/Remediation/Recommendation/Url",
            json!("https://example.com/a?b#c"),
            json!("https://example.com/ü"),
        ),
    ]
}

fn values() -> Vec<Case> {
    vec![
        ("/SchemaVersion", json!("2018-10-08"), json!("2018-10-09")),
        ("/AwsAccountId", json!(ACCOUNT), json!("210987654321")),
        (
            "/ProductArn",
            whole()["ProductArn"].clone(),
            json!("arn:aws:securityhub:eu-central-1::product/x/y"),
        ),
        (
            "/UpdatedAt",
            json!("2026-03-03T21:20:30+17:59"),
            json!("2026-03-03T21:20:30+18:01"),
        ),
        (
            "/UpdatedAt",
            whole()["CreatedAt"].clone(),
            json!("2001-01-01T00:00:00Z"),
        ),
        ("/RecordState", json!("ARCHIVED"), json!("CLOSED")),
        ("/Resources/0/Type", json!("Other"), json!("Others")),
        ("/Resources/0/Partition", json!("aws-cn"), json!("cn")),
        (
            "/Action/AwsApiCallAction/CallerType",
            json!("domain"),
            json!("name"),
        ),
        (
            "/Action/AwsApiCallAction/FirstSeen",
            json!("2026-03-01T21:20:30Z"),
            json!("now"),
        ),
    ]
}

fn refusal(at: &str, value: Option<Value>) -> Option<String> {
    SecurityHub::refusal(&changed(at, value))
}

#[test]
fn what_is_at_a_limit_is_taken_and_what_is_over_it_is_not() {
    let mut wrong = Vec::new();
    for (at, good, bad) in [lengths_and_times(), numbers(), values()].concat() {
        wrong.extend(refusal(at, Some(good)).map(|said| format!("{at}: {said}")));
        if refusal(at, Some(bad.clone())).is_none() {
            wrong.push(format!("{at}: took {bad}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn what_is_required_must_be_there_and_what_is_the_customers_must_not() {
    let mut wrong = Vec::new();
    for required in [
        "/SchemaVersion",
        "/Id",
        "/ProductArn",
        "/GeneratorId",
        "/AwsAccountId",
        "/CreatedAt",
        "/UpdatedAt",
        "/Title",
        "/Description",
        "/Resources",
        "/FindingProviderFields",
        "/FindingProviderFields/Severity",
        "/FindingProviderFields/Types",
        "/Resources/0/Type",
        "/Resources/0/Id",
    ] {
        if refusal(required, None).is_none() {
            wrong.push(format!("took one without {required}"));
        }
    }
    for customers in [
        "Note",
        "UserDefinedFields",
        "VerificationState",
        "Workflow",
        "Confidence",
        "Criticality",
        "RelatedFindings",
        "Severity",
        "Types",
    ] {
        if refusal(&format!("/{customers}"), Some(json!("x"))).is_none() {
            wrong.push(format!("took {customers}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn a_finding_has_240_kilobytes_at_the_most() {
    let large = changed("/Description", Some(json!("MARK")));
    let padded = |bytes: usize| {
        let blanks = " ".repeat(bytes - large.len() + "MARK".len() - 1);
        large.replace("\"MARK\"", &format!("\"x\"{blanks}"))
    };
    assert_eq!(padded(240_000).len(), 240_000);
    assert_eq!(SecurityHub::refusal(&padded(240_000)), None);
    assert!(SecurityHub::refusal(&padded(240_001)).is_some());
}
