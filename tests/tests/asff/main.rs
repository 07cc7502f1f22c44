//! Whatever is found, Security Hub takes it: every finding, encoded as the sink does it, is held against
//! the strict server and, by `tests/asff_model.py`, against the types of AWS's own SDK, which would send
//! the very same document.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

#[path = "../../../plugins/detect-cloudtrail/tests/cases/mod.rs"]
mod cases;
mod found;
mod hostile;
mod limits;
mod types;

use std::{
    collections::BTreeSet,
    io::{Seek as _, Write as _},
    process::{Command, Stdio},
    thread,
};

use aws_config::{Region, SdkConfig};
use aws_credential_types::{Credentials, provider::SharedCredentialsProvider};
use serde_json::{Value, json};
use sluicegate::{
    finding::{EventFacts, Finding, Severity, Sighting},
    ledger::{Ledger as _, Sqlite},
    sink::{Sink as _, security_hub},
};
use sluicegate_tests::{findings::facts, host::root, servers::SecurityHub};

const NOW_MS: i64 = 1_772_400_000_000;
const ACCOUNT: &str = "123456789012";
const REGION: &str = "eu-central-1";

fn sink() -> security_hub::SecurityHub {
    let settings =
        json!({ "region": REGION, "account_id": ACCOUNT, "endpoint_url": "http://127.0.0.1:1" });
    let aws = SdkConfig::builder()
        .region(Region::new(REGION))
        .credentials_provider(SharedCredentialsProvider::new(Credentials::new(
            "key", "secret", None, None, "test",
        )))
        .build();
    let settings = serde_json::from_value(settings).unwrap();
    security_hub::SecurityHub::new(&settings, &aws).unwrap()
}

/// Findings as they leave, each with what it is about.
#[derive(Default)]
struct Outgoing {
    documents: Vec<String>,
    about: Vec<String>,
    rules: BTreeSet<String>,
    most: u64,
}

impl Outgoing {
    fn add(&mut self, sink: &security_hub::SecurityHub, finding: &Finding, about: &str) {
        let mut out = Vec::new();
        sink.encode_finding(finding, &mut out).unwrap();
        self.documents.push(String::from_utf8(out).unwrap());
        self.about.push(format!("{about}: {}", finding.id));
        self.rules.insert(finding.rule.clone());
        self.most = self.most.max(finding.count);
    }

    /// Folds matches in a ledger, as the host does, and takes each finding as it is in the end.
    async fn fold(
        &mut self,
        sink: &security_hub::SecurityHub,
        sightings: Vec<Sighting>,
        about: &str,
    ) {
        let ledger = Sqlite::in_memory().unwrap();
        let mut ids = BTreeSet::new();
        for chunk in sightings.chunks(500) {
            let observed = ledger.observe(chunk.to_vec(), NOW_MS).await.unwrap();
            ids.extend(observed.into_iter().map(|one| one.finding.id));
        }
        for id in ids {
            let finding = ledger.take(&id, NOW_MS).await.unwrap().unwrap();
            self.add(sink, &finding, about);
        }
    }
}

/// What the SDK's types have to say: a line a problem, and whether there is none.
fn model(documents: &[String]) -> (bool, Vec<String>) {
    let mut input = tempfile::tempfile().unwrap();
    for document in documents {
        writeln!(input, "{document}").unwrap();
    }
    input.rewind().unwrap();
    let python = root().join(".venv/bin/python");
    let output = Command::new(&python)
        .arg(root().join("tests/asff_model.py"))
        .stdin(Stdio::from(input))
        .output()
        .unwrap_or_else(|error| panic!("{}: {error}; run `make setup`", python.display()));
    eprint!("{}", String::from_utf8_lossy(&output.stderr));
    let lines = String::from_utf8(output.stdout).unwrap();
    let lines = lines.lines().map(str::to_owned).collect();
    (output.status.success(), lines)
}

fn finding() -> Finding {
    let text = str::to_owned;
    Finding {
        id: "sluicegate/p/r/123456789012/eu-central-1/0".into(),
        plugin: "p".into(),
        rule: "r".into(),
        title: "t".into(),
        description: "d".into(),
        severity: Severity::High,
        entity: vec!["e".into()],
        window_s: 3600,
        attributes: [
            "types",
            "technique",
            "tactic",
            "references",
            "remediation",
            "more",
        ]
        .map(|name| (text(name), text("TTPs/Impact")))
        .into(),
        event: EventFacts {
            time_ms: NOW_MS,
            ..facts()
        },
        count: 2,
        first_ms: NOW_MS,
        last_ms: NOW_MS,
        created_ms: NOW_MS,
        updated_ms: NOW_MS,
        event_ids: vec!["i".into()],
    }
}

/// A finding that all accept, with everything in it.
fn whole() -> Value {
    let mut out = Outgoing::default();
    let mut finding = finding();
    finding.event.principal_arn = "arn:aws:sts::123456789012:assumed-role/ops/run-7".into();
    finding.attributes = vec![
        ("types".into(), "TTPs/Impact".into()),
        ("technique".into(), "T1485".into()),
        ("tactic".into(), "Impact".into()),
    ];
    out.add(&sink(), &finding, "");
    serde_json::from_str(&out.documents[0]).unwrap()
}

/// A finding with one value changed, or added where there is none, or taken away.
fn changed(at: &str, value: Option<Value>) -> String {
    let mut finding = whole();
    let (above, name) = at.rsplit_once('/').unwrap();
    let above = finding.pointer_mut(above).unwrap();
    let name = &name.replace("~1", "/");
    match (above, value) {
        (Value::Object(members), Some(value)) => drop(members.insert(name.to_owned(), value)),
        (Value::Object(members), None) => drop(members.remove(name).unwrap()),
        (Value::Array(items), Some(value)) => items[name.parse::<usize>().unwrap()] = value,
        (other, _) => panic!("{at} lies in {other}"),
    }
    finding.to_string()
}

fn long(count: usize) -> Value {
    json!("é".repeat(count))
}

fn resources(count: usize) -> Value {
    Value::Array(vec![whole()["Resources"][0].clone(); count])
}

fn pairs(count: usize, name: usize, value: usize) -> Value {
    let pair = |number| (format!("{number:0>name$}"), json!("x".repeat(value)));
    Value::Object((0..count).map(pair).collect())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_finding_is_taken_by_the_hub_and_is_what_the_sdk_would_send() {
    let sink = sink();
    let mut out = Outgoing::default();
    found::tables(&mut out, &sink).await;
    found::catalogue(&mut out, &sink);
    found::bursts(&mut out, &sink).await;
    found::of_the_host(&mut out).await;
    hostile::findings(&mut out, &sink);
    hostile::events(&mut out, &sink).await;
    found::real(&mut out, &sink).await;
    for rule in [
        "plugin-blind",
        "egress-guard",
        "secret-in-event",
        "secrets-enumerated",
        "read",
        "many-read",
    ] {
        assert!(out.rules.contains(rule), "nothing is of {rule}");
    }

    let (mut problems, (good, lines)) = thread::scope(|scope| {
        let types = scope.spawn(|| model(&out.documents));
        let documents = out.documents.iter().zip(&out.about);
        let refused = documents.filter_map(|(document, about)| {
            SecurityHub::refusal(document).map(|problem| format!("{about}: {problem}"))
        });
        (refused.collect::<Vec<_>>(), types.join().unwrap())
    });
    for line in &lines {
        let number = line
            .split(' ')
            .nth(1)
            .and_then(|number| number.parse::<usize>().ok());
        let about = number.and_then(|number| out.about.get(number));
        problems.push(format!("{line} ({about:?})"));
    }
    let shown: Vec<_> = problems.iter().take(40).collect();
    assert!(
        good && problems.is_empty(),
        "{} problems: {shown:#?}",
        problems.len()
    );
    eprintln!(
        "{} findings of {} rules",
        out.documents.len(),
        out.rules.len()
    );
}
