//! The egress guard at every sink, without any redaction: what is planted in events, in what plugins add and in
//! findings does not leave, and what was found is told without the value.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::{collections::BTreeMap, fs, sync::Arc};

use serde_json::{Value, json};
use sluicegate::{
    deadletter::{Cause, Subject},
    guard::{Mode, Secret},
    plugin::Component,
};
use sluicegate_tests::{
    host::{Drained, Setup, component, engine},
    process::Program,
    servers::{Datadog, SecurityHub, Splunk},
    shelf::{BUCKET, Shelf, gzip},
};

const CLEAN: usize = 10;

/// So many letters and digits, different for every seed.
fn mixed(count: usize, seed: u64) -> String {
    let mut random = fastrand::Rng::with_seed(seed);
    (0..count).map(|_| random.alphanumeric()).collect()
}

/// Secrets, each in a text as somebody may write it, with the part that must not be seen.
fn planted() -> Vec<(Secret, String, String)> {
    let key = "wJalrXUtnFEMI/K7MDENG+bPxRfiCY3xAmPLk9Qz";
    let (pem, session) = (mixed(200, 1), mixed(400, 2));
    let (github, slack, google) = (mixed(36, 3), mixed(24, 4), mixed(35, 5));
    let (header, payload, signature) = (mixed(33, 6), mixed(80, 7), mixed(43, 8));
    vec![
        (
            Secret::PrivateKey,
            format!("-----BEGIN RSA PRIVATE KEY-----\n{pem}\n-----END RSA PRIVATE KEY-----\n"),
            pem,
        ),
        (
            Secret::AwsSessionToken,
            format!("https://b.s3.amazonaws.com/k?X-Amz-Security-Token=IQoJb3JpZ2lu{session}&a=b"),
            session,
        ),
        (
            Secret::AwsSecretKey,
            format!("aws_access_key_id = AKIAEXAMPLEEXAMPLE12\naws_secret_access_key = {key}\n"),
            key.to_owned(),
        ),
        (
            Secret::Jwt,
            format!("Authorization: Bearer eyJ{header}.eyJ{payload}.{signature}"),
            signature,
        ),
        (
            Secret::GithubToken,
            json!({ "token": format!("ghp_{github}") }).to_string(),
            github,
        ),
        (
            Secret::SlackToken,
            format!("SLACK=xoxb-123456789012-{slack}"),
            slack,
        ),
        (Secret::GoogleApiKey, format!("key=AIza{google}"), google),
    ]
}

fn event(name: &str, note: &str) -> Value {
    json!({
        "eventVersion": "1.11",
        "eventTime": "2026-11-22T10:00:00Z",
        "eventSource": "s3.amazonaws.com",
        "eventName": name,
        "eventID": format!("id-of-{name}"),
        "awsRegion": "eu-west-1",
        "recipientAccountId": "123456789012",
        "userIdentity": { "type": "IAMUser", "arn": format!("arn:aws:iam::123456789012:user/{name}") },
        "requestParameters": { "note": note },
    })
}

/// Clean events with the planted ones among them. Some characters of one are escaped.
fn object() -> String {
    let mut events: Vec<_> = (0..CLEAN)
        .map(|number| event(&format!("Clean{number}"), "none"))
        .collect();
    for (_, text, _) in planted() {
        events.insert(
            events.len() / 2,
            event(&format!("Secret{}", events.len()), &text),
        );
    }
    let text = json!({ "Records": events }).to_string();
    text.replace("ghp_", r"gh\u0070_")
        .replace("k?X", r"k\u003fX")
}

/// Copies what was planted into events and into findings.
fn plugins() -> Vec<Component> {
    let engine = engine();
    let guest = |name, act: &Value| {
        let configuration = json!({ "fields": ["/requestParameters/note"], "do": { "good": act } });
        component(&engine, "guests", name, &configuration)
    };
    vec![
        guest("hostile-enrich", &json!({ "copy": { "member": "note" } })),
        guest(
            "hostile-detect",
            &json!({ "find": { "rule": "noted", "window_s": 60 } }),
        ),
    ]
}

/// Everything that left, as text, by sink.
struct Left {
    drained: Drained,
    events: BTreeMap<&'static str, Vec<String>>,
    findings: BTreeMap<&'static str, Vec<String>>,
}

impl Left {
    fn everything(&self) -> String {
        let all = self.events.values().chain(self.findings.values()).flatten();
        let mut all: String = all.cloned().collect();
        all.push_str(&String::from_utf8_lossy(&self.drained.everything_written()));
        all
    }
}

async fn run(mode: Mode, plugins: Vec<Component>, object: String) -> Left {
    let (splunk, datadog, hub) = (
        Splunk::start().await,
        Datadog::start().await,
        SecurityHub::start().await,
    );
    let shelf = Arc::new(Shelf::default());
    shelf.put("object-00001", gzip(object));
    let source: Arc<Shelf> = Arc::clone(&shelf);
    let host = Setup::new(source, BUCKET)
        .plugins(plugins)
        .splunk(&splunk)
        .datadog(&datadog)
        .security_hub(&hub)
        .file()
        .egress_guard(mode)
        .start();
    let drained = host.finish().await;
    drained.sums_agree();
    assert_eq!(shelf.settled(), (1, 0));
    for violations in [splunk.violations(), datadog.violations(), hub.violations()] {
        assert_eq!(violations, [""; 0]);
    }
    let (mut events, mut findings) = (BTreeMap::new(), BTreeMap::new());
    let (found, not): (Vec<_>, Vec<_>) = splunk
        .received()
        .into_iter()
        .map(|event| format!("{event:?}"))
        .partition(|text| text.contains("sluicegate:finding"));
    events.insert("splunk", not);
    findings.insert("splunk", found);
    let logs = datadog.received().into_iter().map(|log| log.text);
    let (not, found): (Vec<_>, Vec<_>) = logs.partition(|text| text.contains("requestParameters"));
    events.insert("datadog", not);
    findings.insert("datadog", found);
    findings.insert(
        "security_hub",
        hub.received().into_iter().map(|one| one.text).collect(),
    );
    events.insert("file", drained.lines("events"));
    findings.insert("file", drained.lines("findings"));
    Left {
        drained,
        events,
        findings,
    }
}

fn holds_no_secret(left: &Left) {
    let all = left.everything();
    for (secret, _, value) in planted() {
        assert!(!all.contains(&value), "{secret:?} has left");
        for part in [&value[..value.len() / 2], &value[value.len() / 2..]] {
            assert!(!all.contains(part), "a half of {secret:?} has left");
        }
    }
}

/// The host's own findings, by the kind of secret, as the archive has them at last.
fn alarms(left: &Left) -> BTreeMap<String, Value> {
    let findings = left.findings["file"].iter();
    findings
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        .filter(|finding| finding["rule"] == "egress-guard")
        .map(|finding| (finding["entity"][0].as_str().unwrap().to_owned(), finding))
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_masked_at_the_last_look_leaves_without_the_secret() {
    let left = run(Mode::Mask, plugins(), object()).await;
    holds_no_secret(&left);
    let planted = planted();
    for (sink, events) in &left.events {
        assert_eq!(events.len(), CLEAN + planted.len(), "{sink}: every event");
        for (secret, ..) in &planted {
            let begin = format!("<masked:{}:k1:", secret.as_str());
            let with_marker = events.iter().filter(|event| event.contains(&begin));
            assert_eq!(with_marker.count(), 1, "{sink}: {secret:?}");
        }
        let counted = &left.drained.counted.sinks[*sink];
        assert_eq!(counted.secrets.len(), planted.len(), "{sink}: {counted:?}");
        assert!(
            planted
                .iter()
                .all(|(secret, ..)| counted.secrets[secret] == 1),
            "{sink}: {counted:?}"
        );
    }
    assert_eq!(left.drained.dead_letters().await, []);
    let alarms = alarms(&left);
    assert_eq!(alarms.len(), planted.len(), "{alarms:?}");
    for (secret, ..) in &planted {
        let alarm = &alarms[secret.as_str()];
        assert_eq!(alarm["plugin"], "sluicegate");
        assert_eq!(alarm["severity"], "high", "{alarm}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_alarm_a_window_however_many_events() {
    let token = format!("ghp_{}", mixed(36, 9));
    let events: Vec<_> = (0..50)
        .map(|number| event(&format!("E{number}"), &token))
        .collect();
    let left = run(
        Mode::Mask,
        Vec::new(),
        json!({ "Records": events }).to_string(),
    )
    .await;
    assert!(!left.everything().contains(&token));
    for (sink, findings) in &left.findings {
        let ids: std::collections::BTreeSet<_> = findings
            .iter()
            .filter_map(|text| {
                let at = text.find("sluicegate/sluicegate/egress-guard/")?;
                text[at..]
                    .split('"')
                    .next()
                    .map(|id| id.trim_end_matches('\\').to_owned())
            })
            .collect();
        assert_eq!(ids.len(), 1, "{sink}: {findings:?}");
    }
    assert_eq!(alarms(&left)["github-token"]["count"], 50);
    assert_eq!(
        left.drained.counted.sinks["splunk"].secrets,
        BTreeMap::from([(Secret::GithubToken, 50)])
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_dead_lettered_does_not_leave() {
    let left = run(Mode::DeadLetter, plugins(), object()).await;
    holds_no_secret(&left);
    let planted = planted();
    for (sink, events) in &left.events {
        assert_eq!(events.len(), CLEAN, "{sink}");
        let dead = &left.drained.counted.sinks[*sink].dead_lettered;
        assert_eq!(dead[&Cause::SecretFound], planted.len() as u64, "{sink}");
    }
    let letters = left.drained.dead_letters().await;
    assert_eq!(letters.len(), planted.len() * left.events.len());
    for letter in letters {
        assert_eq!(letter.cause, Cause::SecretFound);
        assert!(
            letter.error.starts_with("the egress guard found "),
            "{}",
            letter.error
        );
        assert!(matches!(letter.subject, Subject::Events { .. }));
    }
    assert_eq!(alarms(&left).len(), planted.len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_counted_leaves_as_it_is() {
    let left = run(Mode::Count, plugins(), object()).await;
    let all = left.everything();
    for (secret, _, value) in planted() {
        let escaped = value.replace('/', r"\/");
        assert!(all.contains(&value) || all.contains(&escaped), "{secret:?}");
        assert!(left.drained.counted.sinks["splunk"].secrets[&secret] >= 1);
    }
    assert!(alarms(&left).is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_only_a_plugin_says_is_looked_at_too() {
    let engine = engine();
    let token = format!("glpat-{}", mixed(20, 10));
    let guest = |name, act: &Value| {
        component(
            &engine,
            "guests",
            name,
            &json!({ "fields": ["/eventName"], "do": { "good": act } }),
        )
    };
    let one = || json!({ "Records": [event("One", "none")] }).to_string();
    let enrich = || {
        guest(
            "hostile-enrich",
            &json!({ "set": { "member": "x", "value": token } }),
        )
    };
    let detect = || {
        guest(
            "hostile-detect",
            &json!({ "find": { "rule": token, "window_s": 60 } }),
        )
    };
    for plugins in [vec![enrich()], vec![detect()], vec![enrich(), detect()]] {
        let masked = run(Mode::Mask, plugins.clone(), one()).await;
        assert!(!masked.everything().contains(&token));
        assert_eq!(masked.events["splunk"].len(), 1);
        assert_eq!(alarms(&masked).len(), 1);
        let kept = run(Mode::DeadLetter, plugins, one()).await;
        assert!(!kept.everything().contains(&token));
        assert_eq!(alarms(&kept).len(), 1);
        assert!(!kept.drained.dead_letters().await.is_empty());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_log_has_the_alarm_and_never_the_value() {
    const KEY: &str = "AWSLogs/123456789012/CloudTrail/eu-west-1/2026/11/22/123456789012_CloudTrail_eu-west-1_20261122T1000Z_0000000000000000.json.gz";
    for (mode, said) in [
        (
            "mask",
            "the egress guard found secrets that redaction let pass",
        ),
        (
            "dead-letter",
            "the egress guard found secrets that redaction let pass",
        ),
        ("count", "secrets have left"),
    ] {
        let program = Program::new(|folder| {
            format!(
                "[source]\ntype = \"directory\"\npath = \"{folder}/in\"\nonce = true\n[sinks.archive]\ntype = \"file\"\ndirectory = \"{folder}/out\"\negress_guard = \"{mode}\"\n",
                folder = folder.display(),
            )
        });
        let path = program.folder().join("in").join(KEY);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, gzip(object())).unwrap();
        let (code, output, errors) = program.run(&["run", "--log", "trace"]).await;
        assert_eq!(code, 0, "{errors}");
        assert_eq!(
            errors.matches(said).count(),
            1,
            "{mode}: once, not for every event: {errors}"
        );
        for (secret, _, value) in planted() {
            assert!(
                !output.contains(&value) && !errors.contains(&value),
                "{mode}: {secret:?}"
            );
        }
    }
}
