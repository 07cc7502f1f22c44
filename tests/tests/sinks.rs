//! Each sink against a strict server of its service: what arrives, and what every answer leads to.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::{path::PathBuf, time::Duration};

use aws_config::{Region, SdkConfig};
use aws_credential_types::{Credentials, provider::SharedCredentialsProvider};
use serde_json::{Value, json};
use sluicegate::{
    event::ObjectKind,
    finding::{EventFacts, Finding, Severity},
    sink::{
        Batch, Origin, Refused, SendError, Sink,
        datadog_logs::{self, DatadogLogs},
        security_hub,
        splunk_hec::{self, SplunkHec},
    },
};
use sluicegate_tests::{
    batches::{batch, object, parcel},
    servers::{Datadog, Fault, SecurityHub, Splunk},
};

const EVENT: &str = r#"{"eventVersion":"1.09","userIdentity":{"type":"AssumedRole","arn":"arn:aws:sts::123456789012:assumed-role/web/i-0123456789abcdef0"},"eventTime":"2022-10-19T20:33:38Z","eventName":"GetObject","big":12345678901234567890123,"none":null,"text":"a\u0000\"é"}"#;

fn findings(sink: &dyn Sink, findings: &[Finding]) -> Batch {
    let encoded = findings.iter().map(|finding| {
        let mut out = Vec::new();
        sink.encode_finding(finding, &mut out).unwrap();
        out
    });
    parcel(
        Origin::Finding("of this test".into()),
        &encoded.collect::<Vec<_>>(),
    )
}

fn finding(id: &str) -> Finding {
    Finding {
        id: format!("sluicegate/detect-cloudtrail/trail-stopped/210987654321/us-west-2/{id}"),
        plugin: "detect-cloudtrail".into(),
        rule: "trail-stopped".into(),
        title: "CloudTrail was stopped".into(),
        description: "Logging of a trail was switched off.".into(),
        severity: Severity::High,
        entity: vec!["arn:aws:iam::210987654321:role/admin".into()],
        window_s: 3600,
        attributes: vec![
            ("technique".into(), "T1562.008".into()),
            (
                "types".into(),
                "TTPs/Defense Evasion/CloudTrailStopped".into(),
            ),
        ],
        event: EventFacts {
            time_ms: 1_666_211_618_000,
            event_id: "00000000-1111-4222-8333-444444444444".into(),
            event_name: "StopLogging".into(),
            event_source: "cloudtrail.amazonaws.com".into(),
            region: "us-west-2".into(),
            account: "210987654321".into(),
            principal_arn: "arn:aws:sts::210987654321:assumed-role/admin/alice".into(),
            principal_type: "AssumedRole".into(),
            principal_id: "AROAEXAMPLE:alice".into(),
            access_key_id: "ASIAIOSFODNN7EXAMPLE".into(),
            source_ip: "192.0.2.7".into(),
            user_agent: "aws-cli/2".into(),
            object_url: object(ObjectKind::Log).url,
            index: 7,
            ..EventFacts::default()
        },
        count: 2,
        first_ms: 1_666_211_618_000,
        last_ms: 1_666_211_700_000,
        created_ms: 1_666_211_800_000,
        updated_ms: 1_666_211_800_001,
        event_ids: vec!["00000000-1111-4222-8333-444444444444".into()],
    }
}

/// What was decided, in a few words.
fn decision(result: Result<Vec<Refused>, SendError>) -> String {
    match result {
        Ok(refused) if refused.is_empty() => "accepted".into(),
        Ok(refused) => refused
            .iter()
            .map(|one| format!("refused {} retry {}", one.position, one.retry))
            .collect::<Vec<_>>()
            .join(", "),
        Err(SendError::Throttled { retry_after: None }) => "throttled".into(),
        Err(SendError::Throttled {
            retry_after: Some(wait),
        }) => format!("throttled {}", wait.as_secs()),
        Err(SendError::Unavailable(_)) => "unavailable".into(),
        Err(SendError::TooLarge) => "too large".into(),
        Err(SendError::Misconfigured(_)) => "misconfigured".into(),
        Err(SendError::RefusedEntry { position, .. }) => format!("entry {position}"),
        Err(SendError::Refused { status, .. }) => format!("refused {status}"),
    }
}

/// Compares with a file under `host/testdata/golden`, or writes it where `UPDATE_GOLDEN` is set.
fn golden(name: &str, actual: &[u8]) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../host/testdata/golden")
        .join(name);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, actual).unwrap();
    }
    let expected = std::fs::read(&path).unwrap();
    assert_eq!(
        String::from_utf8_lossy(actual),
        String::from_utf8_lossy(&expected),
        "{name}"
    );
}

fn secret(text: &str) -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), format!("{text}\n")).unwrap();
    file
}

fn splunk(server: &Splunk, change: &Value) -> SplunkHec {
    let token = secret(server.token());
    SplunkHec::new(&splunk_settings(server, &token, change)).unwrap()
}

fn splunk_settings(
    server: &Splunk,
    token: &tempfile::NamedTempFile,
    change: &Value,
) -> splunk_hec::Settings {
    settings(
        json!({ "endpoint": server.url(), "token_file": token.path(), "request_timeout_ms": 2000 }),
        change,
    )
}

fn settings<T: serde::de::DeserializeOwned>(mut base: Value, change: &Value) -> T {
    let changes = change.as_object().cloned().unwrap_or_default();
    base.as_object_mut().unwrap().extend(changes);
    serde_json::from_value(base).unwrap()
}

fn datadog(server: &Datadog, change: &Value) -> DatadogLogs {
    let key = secret(server.token());
    let base =
        json!({ "endpoint": server.url(), "api_key_file": key.path(), "request_timeout_ms": 2000 });
    DatadogLogs::new(&settings::<datadog_logs::Settings>(base, change)).unwrap()
}

fn aws(server: &SecurityHub) -> SdkConfig {
    let (key, secret) = server.token();
    SdkConfig::builder()
        .region(Region::new(server.region()))
        .endpoint_url(server.url())
        .credentials_provider(SharedCredentialsProvider::new(Credentials::new(
            key, secret, None, None, "test",
        )))
        .build()
}

fn hub(server: &SecurityHub, change: &Value) -> security_hub::SecurityHub {
    let base = json!({
        "region": server.region(), "account_id": server.account(), "endpoint_url": server.url(), "request_timeout_ms": 2000,
    });
    security_hub::SecurityHub::new(
        &settings::<security_hub::Settings>(base, change),
        &aws(server),
    )
    .unwrap()
}

/// Answers that mean the same to every sink.
const COMMON: [(u16, &str); 12] = [
    (301, "misconfigured"),
    (302, "misconfigured"),
    (401, "misconfigured"),
    (403, "misconfigured"),
    (404, "misconfigured"),
    (405, "misconfigured"),
    (408, "unavailable"),
    (413, "too large"),
    (415, "misconfigured"),
    (429, "throttled"),
    (500, "unavailable"),
    (503, "unavailable"),
];

/// Pages, resets, silence and `Retry-After`: each fault once, then all is well again.
async fn common_faults(sink: &dyn Sink, entry: &dyn Fn() -> Batch, fail: &dyn Fn(Fault)) {
    for (status, expected) in COMMON {
        fail(Fault::Status(status));
        assert_eq!(decision(sink.send(&entry()).await), expected, "{status}");
    }
    fail(Fault::RetryAfter(503, "7".into()));
    assert_eq!(decision(sink.send(&entry()).await), "throttled 7");
    fail(Fault::RetryAfter(
        429,
        "Fri, 01 Jan 1999 00:00:00 GMT".into(),
    ));
    assert_eq!(decision(sink.send(&entry()).await), "throttled 0");
    fail(Fault::Reset);
    assert_eq!(decision(sink.send(&entry()).await), "unavailable");
    fail(Fault::Timeout);
    assert_eq!(decision(sink.send(&entry()).await), "unavailable");
    fail(Fault::Answer(200, "<html>log in</html>".into()));
    assert_eq!(decision(sink.send(&entry()).await), "misconfigured");
    fail(Fault::Answer(400, "<html>bad</html>".into()));
    assert_eq!(decision(sink.send(&entry()).await), "misconfigured");
    assert_eq!(decision(sink.send(&entry()).await), "accepted");
}

#[tokio::test]
async fn splunk_gets_every_event_byte_for_byte_in_its_envelope() {
    let server = Splunk::start().await;
    for compression in ["none", "gzip"] {
        let sink = splunk(
            &server,
            &json!({ "compression": compression, "index": "main", "host": "h" }),
        );
        let batch = batch(&sink, &[EVENT, "{}", EVENT]);
        golden("splunk_hec.json", &batch.body(b"", b"\n", b"\n"));
        assert_eq!(decision(sink.send(&batch).await), "accepted");
    }
    let received = server.wait_for(6).await;
    assert_eq!(received.len(), 6);
    assert_eq!(received[0].time.as_deref(), Some("1666211618"));
    assert_eq!(received[1].time, None);
    assert_eq!(received[0].sourcetype.as_deref(), Some("aws:cloudtrail"));
    assert_eq!(received[0].source, Some(object(ObjectKind::Log).url));
    assert!(received[0].event.starts_with(&EVENT[..EVENT.len() - 1]));
    assert_eq!(server.violations(), [""; 0]);
}

#[tokio::test]
async fn splunk_gets_the_original_event_where_additions_are_indexed_fields() {
    let server = Splunk::start().await;
    let sink = splunk(&server, &json!({ "enrichment": "fields" }));
    let batch = batch(&sink, &[EVENT, "{}"]);
    assert_eq!(decision(sink.send(&batch).await), "accepted");
    let received = server.wait_for(2).await;
    assert_eq!(received[0].event, EVENT);
    assert_eq!(received[1].event, "{}");
    let envelope = String::from_utf8(batch.body(b"", b"\n", b"")).unwrap();
    let id = object(ObjectKind::Log).id;
    assert!(
        envelope.ends_with(&format!(
            r#""event":{{}},"fields":{{"sluicegate_id":"{id}.1"}}}}"#
        )),
        "{envelope}"
    );
    assert_eq!(server.violations(), [""; 0]);
}

#[tokio::test]
async fn splunk_gets_findings_under_their_own_sourcetype() {
    let server = Splunk::start().await;
    let sink = splunk(&server, &json!({}));
    let batch = findings(&sink, &[finding("a")]);
    golden("splunk_hec_finding.json", &batch.body(b"", b"\n", b"\n"));
    assert_eq!(decision(sink.send(&batch).await), "accepted");
    let received = server.received();
    assert_eq!(
        received[0].sourcetype.as_deref(),
        Some("sluicegate:finding")
    );
    assert_eq!(
        received[0].fields.as_deref(),
        Some(r#"{"rule_id":"trail-stopped","severity":"high"}"#)
    );
    assert_eq!(server.violations(), [""; 0]);
}

#[tokio::test]
async fn splunk_faults_lead_to_their_decisions() {
    let server = Splunk::start().await;
    let sink = splunk(&server, &json!({}));
    common_faults(&sink, &|| batch(&sink, &[EVENT]), &|fault| {
        server.fail_with([fault]);
    })
    .await;
    assert_eq!(server.received().len(), 1);
    server.fail_with([Fault::ResetAfter]);
    assert_eq!(
        decision(sink.send(&batch(&sink, &[EVENT])).await),
        "unavailable"
    );
    assert_eq!(server.received().len(), 2);
    server.fail_with([Fault::InvalidEvent(3)]);
    let ten = batch(&sink, &[EVENT; 10]);
    assert_eq!(decision(sink.send(&ten).await), "entry 3");
    assert_eq!(server.received().len(), 2);
    assert_eq!(server.violations(), [""; 0]);
}

#[tokio::test]
async fn splunk_tokens_indexes_and_channels_are_the_operators_business() {
    let server = Splunk::start().await;
    let sink = splunk(&server, &json!({}));
    let event = batch(&sink, &[EVENT]);
    server.enable_token(false);
    assert_eq!(decision(sink.send(&event).await), "misconfigured");
    assert!(
        sink.check()
            .await
            .unwrap_err()
            .to_string()
            .contains("disabled")
    );
    server.enable_token(true);
    assert!(sink.check().await.is_ok());

    let wrong = secret("wrong");
    let stranger = SplunkHec::new(&splunk_settings(&server, &wrong, &json!({}))).unwrap();
    assert_eq!(decision(stranger.send(&event).await), "misconfigured");

    let elsewhere = splunk(&server, &json!({ "index": "secret" }));
    assert_eq!(
        decision(elsewhere.send(&batch(&elsewhere, &[EVENT])).await),
        "misconfigured"
    );

    server.want_channel();
    assert_eq!(decision(sink.send(&event).await), "misconfigured");
    assert!(
        sink.check()
            .await
            .unwrap_err()
            .to_string()
            .contains("acknowledgement")
    );
    assert!(server.received().is_empty());
}

#[tokio::test]
async fn splunk_says_when_a_request_is_too_large() {
    let server = Splunk::start().await;
    let sink = splunk(&server, &json!({ "max_request_bytes": 5_000_000 }));
    let long = format!("{{\"a\":\"{}\"}}", "x".repeat(1_000_000));
    assert_eq!(
        decision(sink.send(&batch(&sink, &[&long])).await),
        "too large"
    );
    assert_eq!(sink.limits().max_bytes, 5_000_000);
    assert!(server.received().is_empty());
}

#[tokio::test]
async fn datadog_gets_events_in_the_layout_of_its_forwarder() {
    let server = Datadog::start().await;
    for compression in ["none", "gzip"] {
        let sink = datadog(
            &server,
            &json!({ "compression": compression, "tags": ["env:test"], "late_events": "restamp" }),
        )
        .with_clock(|| 1_666_215_218_000);
        let batch = batch(
            &sink,
            &[
                EVENT,
                "{}",
                r#"{"host":"own","service":1,"aws":{},"ddtags":null}"#,
            ],
        );
        golden("datadog_logs.json", &batch.body(b"[", b",\n", b"]\n"));
    }
    let sink = datadog(&server, &json!({ "tags": ["env:test"] }));
    assert_eq!(
        decision(sink.send(&batch(&sink, &[EVENT])).await),
        "accepted"
    );
    let log = server.received()[0].json();
    assert_eq!(log["eventTime"], "2022-10-19T20:33:38Z");
    assert_eq!(log["host"], "i-0123456789abcdef0");
    assert_eq!(log["ddtags"], "env:test");
    assert!(
        server.received()[0]
            .text
            .starts_with(&EVENT[..EVENT.len() - 1])
    );
    assert_eq!(server.violations(), [""; 0]);
}

#[tokio::test]
async fn datadog_takes_every_compression() {
    let server = Datadog::start().await;
    for (sent, compression) in ["none", "gzip", "zstd"].into_iter().enumerate() {
        let sink = datadog(&server, &json!({ "compression": compression }));
        // Without a time, so that nothing is stamped anew.
        let batch = batch(&sink, &["{}", r#"{"a":"\u0000é"}"#]);
        assert_eq!(decision(sink.send(&batch).await), "accepted");
        let received = server.received();
        assert_eq!(received.len(), 2 * (sent + 1), "{compression}");
        assert!(received.chunks(2).all(|logs| logs == &received[..2]));
    }
    assert_eq!(server.violations(), [""; 0]);
}

#[tokio::test]
async fn datadog_loses_late_events_unless_they_are_stamped_anew() {
    let server = Datadog::start().await;
    let sink = datadog(&server, &json!({ "late_events": "send" }));
    assert_eq!(
        decision(sink.send(&batch(&sink, &[EVENT])).await),
        "accepted"
    );
    assert!(server.received().is_empty());
    assert_eq!(server.violations().len(), 1);

    let sink = datadog(&server, &json!({ "late_events": "restamp" }));
    assert_eq!(
        decision(sink.send(&batch(&sink, &[EVENT])).await),
        "accepted"
    );
    assert_eq!(server.received().len(), 1);
    assert_eq!(server.violations().len(), 1);
}

#[tokio::test]
async fn datadog_gets_findings_as_logs() {
    let server = Datadog::start().await;
    let sink = datadog(&server, &json!({ "tags": ["env:test"] })).with_clock(|| 1_666_215_218_000);
    golden(
        "datadog_finding.json",
        &findings(&sink, &[finding("a")]).body(b"[", b",\n", b"]\n"),
    );
    let sink = datadog(&server, &json!({}));
    assert_eq!(
        decision(sink.send(&findings(&sink, &[finding("a")])).await),
        "accepted"
    );
    let log = server.received()[0].json();
    assert_eq!(
        (&log["status"], &log["rule"]["id"]),
        (&json!("error"), &json!("trail-stopped"))
    );
    assert_eq!(log["network"]["client"]["ip"], "192.0.2.7");
    assert_eq!(server.violations(), [""; 0]);
}

#[tokio::test]
async fn datadog_faults_lead_to_their_decisions() {
    let server = Datadog::start().await;
    let sink = datadog(&server, &json!({}));
    common_faults(&sink, &|| batch(&sink, &[EVENT]), &|fault| {
        server.fail_with([fault]);
    })
    .await;
    assert_eq!(server.received().len(), 1);
    server.fail_with([Fault::Answer(400, r#"{"errors":[]}"#.into())]);
    assert_eq!(
        decision(sink.send(&batch(&sink, &[EVENT])).await),
        "refused 400"
    );
    server.fail_with([Fault::ResetAfter]);
    assert_eq!(
        decision(sink.send(&batch(&sink, &[EVENT])).await),
        "unavailable"
    );
    assert_eq!(server.received().len(), 2);
    assert_eq!(server.violations(), [""; 0]);
}

#[tokio::test]
async fn datadog_keys_are_checked() {
    let server = Datadog::start().await;
    let sink = datadog(&server, &json!({}));
    assert!(sink.check().await.is_ok());
    let wrong = secret("wrong");
    let stranger = datadog(&server, &json!({ "api_key_file": wrong.path() }));
    assert!(format!("{:#}", stranger.check().await.unwrap_err()).contains("not valid"));
    assert_eq!(
        decision(stranger.send(&batch(&stranger, &[EVENT])).await),
        "misconfigured"
    );
}

#[tokio::test]
async fn datadog_bounds_are_exact() {
    let server = Datadog::start().await;
    let sink = datadog(&server, &json!({}));
    let limits = sink.limits();
    let log = |bytes: usize| {
        let head = r#"{"ddsource":"a","service":"b","x":""#;
        format!("{head}{}\"}}", "x".repeat(bytes - head.len() - 2)).into_bytes()
    };
    let send = async |entries: Vec<Vec<u8>>| {
        decision(
            sink.send(&parcel(Origin::Finding("f".into()), &entries))
                .await,
        )
    };
    assert_eq!(send(vec![log(100); limits.max_entries]).await, "accepted");
    assert_eq!(
        send(vec![log(100); limits.max_entries + 1]).await,
        "refused 400"
    );
    // Five logs, four commas and two brackets.
    let fill = limits.max_bytes
        - limits.frame_bytes
        - 4 * limits.separator_bytes
        - 4 * limits.max_entry_bytes;
    let mut logs = vec![log(limits.max_entry_bytes); 4];
    logs.push(log(fill));
    assert_eq!(send(logs.clone()).await, "accepted");
    *logs.last_mut().unwrap() = log(fill + 1);
    assert_eq!(send(logs).await, "too large");
    let before = server.violations().len();
    assert_eq!(
        send(vec![log(limits.max_entry_bytes + 1)]).await,
        "accepted"
    );
    assert!(server.violations()[before].contains("truncated"));
}

fn acknowledged(server: &Splunk, seconds: u64) -> SplunkHec {
    splunk(
        server,
        &json!({ "acknowledgement": true, "acknowledgement_timeout_s": seconds }),
    )
}

#[tokio::test]
async fn splunk_events_are_accepted_when_the_indexers_have_them() {
    let server = Splunk::start().await;
    server.acknowledge(3, 1);
    let sink = acknowledged(&server, 20);
    assert!(sink.check().await.is_ok(), "{:?}", sink.check().await);
    let asked = server.questions();
    let one = batch(&sink, &[EVENT]);
    let begun = std::time::Instant::now();
    // At once, and all of them keep to the one indexer of three that knows the channel.
    let all = (0..20).map(|_| sink.send(&one));
    for result in futures_util::future::join_all(all).await {
        assert_eq!(decision(result), "accepted");
    }
    assert!(begun.elapsed() >= Duration::from_secs(3), "asked too early");
    assert_eq!(server.questions() - asked, 2, "one question for all");
    assert_eq!(server.received().len(), 20);
    assert_eq!(
        server.violations(),
        ["code 5: No data"],
        "of the check alone"
    );
}

#[tokio::test]
async fn splunk_events_without_acknowledgement_are_sent_again() {
    let server = Splunk::start().await;
    server.acknowledge(1, 0);
    let sink = acknowledged(&server, 3);
    let one = batch(&sink, &[EVENT]);
    server.lose_acknowledgements(1);
    let (one_result, other) = tokio::join!(sink.send(&one), sink.send(&one));
    let mut decisions = [decision(one_result), decision(other)];
    decisions.sort();
    assert_eq!(decisions, ["accepted", "unavailable"]);
    assert_eq!(decision(sink.send(&one).await), "accepted");
    // What fails for a while is asked again.
    server.fail_questions_with([503, 429]);
    let patient = acknowledged(&server, 20);
    assert_eq!(decision(patient.send(&one).await), "accepted");
    assert_eq!(server.received().len(), 4);
    assert_eq!(server.violations(), [""; 0]);
}

#[tokio::test]
async fn a_number_that_comes_twice_acknowledges_nothing() {
    let server = Splunk::start().await;
    server.acknowledge(1, 0);
    let sink = acknowledged(&server, 20);
    let one = batch(&sink, &[EVENT]);
    let again = async {
        server.wait_for(1).await;
        server.forget_numbers();
        sink.send(&one).await
    };
    let (first, second) = tokio::join!(sink.send(&one), again);
    assert_eq!(decision(first), "unavailable");
    assert_eq!(decision(second), "unavailable");
    assert_eq!(decision(sink.send(&one).await), "accepted");
}

#[tokio::test]
async fn a_refused_question_is_no_acknowledgement() {
    let server = Splunk::start().await;
    server.acknowledge(1, 0);
    let sink = acknowledged(&server, 20);
    let one = batch(&sink, &[EVENT]);
    for status in [400, 401, 403, 404] {
        server.fail_questions_with([status]);
        assert_eq!(decision(sink.send(&one).await), "misconfigured", "{status}");
    }
}

#[tokio::test]
async fn a_token_without_acknowledgement_is_a_fault_of_the_configuration() {
    let server = Splunk::start().await;
    let sink = acknowledged(&server, 20);
    let error = format!("{:#}", sink.check().await.unwrap_err());
    assert!(error.contains("code 14"), "{error}");
    let sent = sink.send(&batch(&sink, &[EVENT])).await;
    assert_eq!(decision(sent), "misconfigured");
    let refusal = r#"{"text":"ACK is disabled","code":14}"#;
    server.fail_with([Fault::Answer(400, refusal.into())]);
    let Err(SendError::Misconfigured(error)) = sink.send(&batch(&sink, &[EVENT])).await else {
        panic!("not held");
    };
    assert!(format!("{error:#}").contains("switch it on for the token"));
}

#[tokio::test]
async fn queues_that_fill_up_ask_for_less_once() {
    let server = Splunk::start().await;
    let sink = splunk(&server, &json!({}));
    for code in [24, 25] {
        let answer = format!(r#"{{"text":"approaching capacity","code":{code}}}"#);
        server.fail_with([Fault::Answer(200, answer)]);
        let sent = sink.send(&batch(&sink, &[EVENT])).await;
        assert_eq!(decision(sent), "accepted");
        assert!(sink.wants_less());
        assert!(!sink.wants_less());
    }
    for code in [26, 27] {
        let answer = format!(r#"{{"text":"at capacity","code":{code}}}"#);
        server.fail_with([Fault::Answer(429, answer)]);
        let sent = sink.send(&batch(&sink, &[EVENT])).await;
        assert_eq!(decision(sent), "throttled");
    }
}

#[tokio::test]
async fn security_hub_keeps_one_finding_an_id_in_its_newest_state() {
    let server = SecurityHub::start().await;
    let sink = hub(&server, &json!({}));
    let first = findings(&sink, &[finding("a"), finding("b")]);
    golden(
        "security_hub.json",
        &first.body(b"{\"Findings\":[", b",\n", b"]}\n"),
    );
    assert_eq!(decision(sink.send(&first).await), "accepted");
    let mut newer = finding("a");
    newer.count = 5;
    newer.updated_ms += 1;
    assert_eq!(
        decision(sink.send(&findings(&sink, &[newer])).await),
        "accepted"
    );
    assert_eq!(decision(sink.send(&first).await), "accepted");
    let kept = server.findings();
    assert_eq!(kept.len(), 2);
    assert_eq!(
        kept[&finding("a").id]["ProductFields"]["sluicegate/count"],
        "5"
    );
    assert_eq!(
        server
            .received()
            .iter()
            .filter(|import| import.applied)
            .count(),
        3
    );
    assert_eq!(server.violations(), [""; 0]);
}

#[tokio::test]
async fn security_hub_faults_lead_to_their_decisions() {
    let server = SecurityHub::start().await;
    let sink = hub(&server, &json!({}));
    let three = || findings(&sink, &[finding("a"), finding("b"), finding("c")]);
    common_faults(&sink, &three, &|fault| server.fail_with([fault])).await;
    for (code, expected) in [
        ("InvalidInput", "refused 1 retry false"),
        ("InternalError", "refused 1 retry true"),
        ("InvalidAccess", "misconfigured"),
    ] {
        server.fail_with([Fault::FailedFinding(1, code)]);
        assert_eq!(decision(sink.send(&three()).await), expected);
    }
    assert_eq!(server.violations(), [""; 0]);
}

#[tokio::test]
async fn security_hub_must_be_enabled_and_of_the_callers_account() {
    let server = SecurityHub::start().await;
    let sink = hub(&server, &json!({}));
    assert!(sink.check().await.is_ok(), "{:?}", sink.check().await);
    server.enable(false);
    assert!(format!("{:#}", sink.check().await.unwrap_err()).contains("enabled"));
    assert_eq!(
        decision(sink.send(&findings(&sink, &[finding("a")])).await),
        "misconfigured"
    );
    server.enable(true);
    let other = hub(&server, &json!({ "account_id": "210987654321" }));
    assert!(format!("{:#}", other.check().await.unwrap_err()).contains("210987654321"));
    assert_eq!(
        decision(other.send(&findings(&other, &[finding("a")])).await),
        "misconfigured"
    );
    assert!(server.findings().is_empty());
}

#[tokio::test]
async fn expired_credentials_are_fetched_anew() {
    let server = SecurityHub::start().await;
    let sink = hub(&server, &json!({}));
    server.expire_credentials_once();
    assert_eq!(
        decision(sink.send(&findings(&sink, &[finding("a")])).await),
        "accepted"
    );
    assert_eq!(server.requests(), 2);
}

#[tokio::test]
async fn security_hub_bounds_are_exact() {
    let server = SecurityHub::start().await;
    let sink = hub(&server, &json!({}));
    let many = |count: usize| {
        (0..count)
            .map(|number| finding(&number.to_string()))
            .collect::<Vec<_>>()
    };
    let limits = sink.limits();
    assert_eq!(
        decision(sink.send(&findings(&sink, &many(limits.max_entries))).await),
        "accepted"
    );
    assert_eq!(
        decision(
            sink.send(&findings(&sink, &many(limits.max_entries + 1)))
                .await
        ),
        "refused 400"
    );
    assert_eq!(server.findings().len(), limits.max_entries);
}

#[tokio::test]
async fn security_hub_is_asked_ten_times_a_second_at_the_most() {
    let server = SecurityHub::start().await;
    let sink = hub(&server, &json!({}));
    let one = findings(&sink, &[finding("a")]);
    let mut seen = Vec::new();
    let start = std::time::Instant::now();
    while seen.last().is_none_or(|last| last == "accepted")
        && start.elapsed() < Duration::from_secs(20)
    {
        let burst = futures(&sink, &one).await;
        seen.extend(burst);
    }
    assert!(seen.len() >= 30, "{seen:?}");
    assert!(seen.contains(&"throttled".to_owned()), "{seen:?}");
}

/// Forty at once.
async fn futures(sink: &security_hub::SecurityHub, batch: &Batch) -> Vec<String> {
    let mut seen = Vec::new();
    for result in futures_util::future::join_all((0..40).map(|_| sink.send(batch))).await {
        seen.push(decision(result));
    }
    seen.sort();
    seen
}
