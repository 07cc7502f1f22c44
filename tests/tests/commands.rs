//! The commands that people type, as processes, against real servers.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::path::Path;

use serde_json::Value;
use sluicegate_tests::{
    aws::{Aws, Wired},
    process::{Program, source},
    servers::{Datadog, Fault, SecurityHub, Splunk},
    shelf::gzip,
};

struct Sinks {
    splunk: Splunk,
    datadog: Datadog,
    hub: SecurityHub,
}

impl Sinks {
    async fn start() -> Self {
        Self {
            splunk: Splunk::start().await,
            datadog: Datadog::start().await,
            hub: SecurityHub::start().await,
        }
    }

    fn sections(&self, folder: &Path, splunk_token: &str, datadog_key: &str) -> String {
        let (token, key) = (folder.join("token"), folder.join("key"));
        std::fs::write(&token, splunk_token).unwrap();
        std::fs::write(&key, datadog_key).unwrap();
        format!(
            r#"
[sinks.splunk]
type = "splunk_hec"
endpoint = "{}"
token_file = "{}"
[sinks.datadog]
type = "datadog_logs"
endpoint = "{}"
api_key_file = "{}"
[sinks.hub]
type = "security_hub"
region = "{}"
account_id = "{}"
endpoint_url = "{}"
"#,
            self.splunk.url(),
            token.display(),
            self.datadog.url(),
            key.display(),
            self.hub.region(),
            self.hub.account(),
            self.hub.url(),
        )
    }

    /// The program with all three; credentials are those that the hub knows, and moto takes any.
    fn program(&self, aws: &Aws, configuration: impl FnOnce(&Path) -> String) -> Program {
        let (key, secret) = self.hub.token();
        Program::new(configuration)
            .variable("AWS_ACCESS_KEY_ID", key)
            .variable("AWS_SECRET_ACCESS_KEY", secret)
            .variable("AWS_ENDPOINT_URL_STS", aws.url())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn check_online_tries_everything_and_leaves_no_trace() {
    let (aws, sinks) = (Aws::start().await, Sinks::start().await);
    let wired = aws.wire("sqs", "check").await;
    let before = aws.depth(&wired.queue_url).await;
    let program = sinks.program(&aws, |folder| {
        let (token, key) = (sinks.splunk.token(), sinks.datadog.token());
        source(&aws, &wired) + &sinks.sections(folder, token, key)
    });
    let (code, said, errors) = program.run(&["check", "--online"]).await;
    assert_eq!((code, errors.as_str()), (0, ""), "{said}");
    for part in [
        "redaction",
        "source, online",
        "store, online",
        "sinks.splunk, online",
        "sinks.datadog, online",
        "sinks.hub, online",
    ] {
        let line = format!("ok      {part}: ");
        assert!(said.contains(&line), "{line:?} in {said}");
    }
    assert!(sinks.splunk.received().is_empty());
    assert!(sinks.datadog.received().is_empty());
    assert!(sinks.hub.findings().is_empty());
    assert_eq!(aws.depth(&wired.queue_url).await, before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn check_online_names_everything_that_is_wrong_at_once() {
    let (aws, sinks) = (Aws::start().await, Sinks::start().await);
    let wired = aws.wire("sqs", "wrong").await;
    let nowhere = Wired {
        bucket: "no-such-bucket".to_owned(),
        ..wired
    };
    sinks.hub.enable(false);
    let program = sinks.program(&aws, |folder| {
        source(&aws, &nowhere) + &sinks.sections(folder, "revoked-token", "revoked-key")
    });
    let (code, said, errors) = program.run(&["check", "--online"]).await;
    assert_eq!(code, 64, "{said}{errors}");
    for part in [
        "source, online: ",
        "no-such-bucket",
        "sinks.splunk, online: ",
        "sinks.datadog, online: ",
        "sinks.hub, online: ",
    ] {
        assert!(errors.contains(part), "{part:?} in {errors}");
    }
    let all = said + &errors;
    for secret in ["revoked-token", "revoked-key", sinks.hub.token().1] {
        assert!(!all.contains(secret), "a secret in {all}");
    }
}

/// Two objects: one is not gzip, the other has one event that the collector refuses for good.
async fn dead_letters(aws: &Aws, wired: &Wired, program: &Program, splunk: &Splunk) {
    let key = |number: u32| {
        format!(
            "AWSLogs/123456789012/CloudTrail/eu-west-1/2026/11/22/123456789012_CloudTrail_eu-west-1_20261122T1000Z_{number:016}.json.gz"
        )
    };
    splunk.fail_with([Fault::InvalidEvent(1)]);
    let events =
        r#"{"Records":[{"eventName":"First"},{"eventName":"Poison"},{"eventName":"Third"}]}"#;
    aws.put_object(&wired.bucket, &key(1), gzip(events)).await;
    let running = program.start();
    splunk.wait_for(2).await;
    aws.put_object(&wired.bucket, &key(2), b"not gzip".to_vec())
        .await;
    aws.queue_is_empty(&wired.queue_url).await;
    let output = running.terminate().await;
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{errors}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dead_letters_are_listed_and_shown_without_their_events() {
    let (aws, splunk) = (Aws::start().await, Splunk::start().await);
    let wired = aws.wire("sqs", "letters").await;
    let program = Program::new(|folder| {
        let token = folder.join("token");
        std::fs::write(&token, splunk.token()).unwrap();
        format!(
            "{}\n[limits]\nretry_pending_s = 1\n[sinks.splunk]\ntype = \"splunk_hec\"\nendpoint = \"{}\"\ntoken_file = \"{}\"\n",
            source(&aws, &wired),
            splunk.url(),
            token.display(),
        )
    });
    dead_letters(&aws, &wired, &program, &splunk).await;

    let (code, list, errors) = program.run(&["dead-letters", "list"]).await;
    assert_eq!((code, errors.as_str()), (0, ""));
    let find = |cause: &str| {
        let line = list.lines().find(|line| line.contains(cause));
        line.unwrap_or_else(|| panic!("no {cause} in\n{list}"))
            .split("  ")
            .collect::<Vec<_>>()
    };
    let (refused, corrupt) = (find("sink-refused"), find("corrupt-gzip"));
    assert_eq!(list.lines().count(), 2, "{list}");
    assert_eq!((refused[3], corrupt[3]), ("splunk", "-"));
    assert!(refused[4].ends_with("0001.json.gz events 1..2"), "{list}");
    assert!(corrupt[4].ends_with("0002.json.gz from event 0"), "{list}");

    for line in [&refused, &corrupt] {
        let (code, shown, _) = program.run(&["dead-letters", "show", line[1]]).await;
        assert_eq!(code, 0);
        assert!(!shown.contains("Poison"), "an event in {shown}");
        let letter: Value = serde_json::from_str(&shown).unwrap();
        assert_eq!(letter["cause"], line[2]);
        assert!(shown.contains(&wired.bucket), "{shown}");
    }

    let (code, _, errors) = program.run(&["dead-letters", "show", "dead/none"]).await;
    assert_eq!(code, 1);
    assert!(
        errors.contains("there is no dead letter dead/none"),
        "{errors}"
    );
    let pending = ["dead-letters", "list", "--pending", "splunk"];
    assert_eq!(
        program.run(&pending).await,
        (0, String::new(), String::new())
    );
    redriven(&aws, &wired, &program, &splunk).await;
}

/// What was refused once is delivered when it is made pending again; what cannot be read stays dead.
async fn redriven(aws: &Aws, wired: &Wired, program: &Program, splunk: &Splunk) {
    let said = async |arguments: &[&str]| {
        let (code, said, errors) = program.run(&[&["dead-letters"], arguments].concat()).await;
        assert_eq!((code, errors.as_str()), (0, ""));
        let words = said
            .lines()
            .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "));
        words.collect::<Vec<_>>()
    };
    let both = ["1 corrupt-gzip -", "1 sink-refused splunk", "2 in all"];
    assert_eq!(said(&["stats"]).await, both);
    let some = [
        "stats",
        "--cause",
        "sink-refused",
        "--sink",
        "splunk",
        "--since",
        "2026-01-01",
    ];
    assert_eq!(said(&some).await, ["1 sink-refused splunk", "1 in all"]);
    let (code, _, errors) = program
        .run(&["dead-letters", "stats", "--cause", "no"])
        .await;
    assert_eq!(code, 64);
    assert!(
        errors.contains("must be one of bucket-not-allowed"),
        "{errors}"
    );

    let dry = said(&["redrive", "--dry-run"]).await;
    assert!(
        dry.contains(&"1 would be pending again for splunk".to_owned()),
        "{dry:?}"
    );
    assert_eq!(said(&["stats"]).await, both, "nothing was done");
    let done = said(&["redrive"]).await;
    let all = [
        "1 are pending again for every sink",
        "1 are pending again for splunk",
        "2 in all",
    ];
    assert_eq!(done, all);
    assert_eq!(said(&["redrive"]).await, ["0 in all"], "again does nothing");
    assert_eq!(said(&["list", "--pending", "splunk"]).await.len(), 1);

    let poison = || {
        let received = splunk.received();
        let poisoned = received
            .iter()
            .filter(|event| event.event.contains("Poison"));
        poisoned.count()
    };
    assert_eq!(poison(), 0);
    let running = program.start();
    for _ in 0..200 {
        if poison() == 1 && said(&["stats"]).await == ["1 corrupt-gzip -", "1 in all"] {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    aws.queue_is_empty(&wired.queue_url).await;
    running.terminate().await;
    assert_eq!(poison(), 1);
    assert_eq!(said(&["stats"]).await, ["1 corrupt-gzip -", "1 in all"]);
    let events = splunk.received();
    let of_events = events
        .iter()
        .filter(|event| event.event.contains("eventName"));
    assert_eq!(of_events.count(), 3, "nothing came twice");
}
