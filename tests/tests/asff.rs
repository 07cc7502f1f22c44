//! Whatever is found, Security Hub takes it: every finding, encoded as the sink does it, is held against
//! the strict server and, by `tests/asff_model.py`, against the types of AWS's own SDK, which would send
//! the very same document.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

#[path = "../../plugins/detect-cloudtrail/tests/cases/mod.rs"]
mod cases;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::{Read as _, Seek as _, Write as _},
    path::Path,
    process::{Command, Stdio},
    sync::Arc,
};

use aws_config::{Region, SdkConfig};
use aws_credential_types::{Credentials, provider::SharedCredentialsProvider};
use serde_json::{Value, json};
use sluicegate::{
    event::{EventBatch, Object, ObjectKind, ObjectRef, Span},
    finding::{EventFacts, Finding, Severity, Sighting},
    generate::{Plan, write_tree},
    ledger::{Ledger as _, Sqlite, windows::SqliteWindows},
    mask::Masker,
    plugin::{ChainWorker, Component, Grants, Limits, PluginChain, Services, Terms},
    sink::{Sink as _, security_hub},
};
use sluicegate_tests::{
    host::{Setup, component, corpus, engine, root},
    planted::{self, KINDS, Writing},
    servers::SecurityHub,
    shelf::{BUCKET, Shelf, gzip},
};

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

fn worker(components: Vec<Component>) -> ChainWorker {
    let chain = PluginChain::new(components, &[&[]], Masker::default()).unwrap();
    ChainWorker::new(Arc::new(chain))
}

/// What plugins find in events, and what the host has to say of the plugins.
fn sightings(worker: &mut ChainWorker, events: &[impl AsRef<str>]) -> Vec<Sighting> {
    let reference = ObjectRef {
        bucket: "b".into(),
        key: "AWSLogs/ü \"key\".json.gz".into(),
        version: None,
    };
    let object = Arc::new(Object::new(reference, "1".into(), ObjectKind::Log));
    let mut found = Vec::new();
    for chunk in events.chunks(500) {
        let (mut data, mut spans) = (Vec::new(), Vec::new());
        for (index, event) in (0..).zip(chunk) {
            let start = u32::try_from(data.len()).unwrap();
            data.extend_from_slice(event.as_ref().as_bytes());
            let end = u32::try_from(data.len()).unwrap();
            spans.push(Span { start, end, index });
        }
        let batch = EventBatch::new(Arc::clone(&object), data, spans);
        let processed = worker.process(batch, NOW_MS);
        found.extend(processed.sightings.into_iter().map(|(_, one)| one));
    }
    found
}

/// A plugin that counts in windows of its own.
fn counting(name: &str, configuration: &Value) -> Component {
    let path = root()
        .join("dist/plugins")
        .join(name)
        .with_extension("wasm");
    let wasm = fs::read(&path)
        .unwrap_or_else(|error| panic!("{}: {error}; run `make plugins guests`", path.display()));
    let terms = Terms {
        configuration: configuration.as_object().unwrap().clone(),
        // Tests run on a loaded machine, several at a time.
        limits: Limits {
            deadline_ms: 20_000,
            start_ms: 20_000,
            state_ms: 5_000,
            ..Limits::default()
        },
        grants: Grants {
            state: true,
            ..Grants::default()
        },
        ..Terms::default()
    };
    let services = Services {
        windows: Some(Arc::new(SqliteWindows::in_memory().unwrap())),
        tables: None,
    };
    Component::load(&engine().with_services(services), name, &wasm, &terms).unwrap()
}

fn detect_cloudtrail(configuration: &Value) -> ChainWorker {
    let plugin = component(&engine(), "plugins", "detect-cloudtrail", configuration);
    worker(vec![plugin])
}

/// An event with members of every kind beside its own.
fn dressed(event: &str) -> String {
    let mut event: Value = serde_json::from_str(event).unwrap();
    let more = json!({
        "eventVersion": "1.11", "eventTime": "2026-03-01T10:20:30Z", "awsRegion": "eu-central-1",
        "eventID": "7d2b8a40-0000-4000-8000-000000000000", "sourceIPAddress": "192.0.2.7", "userAgent": "aws-cli/2.15.0",
        "resources": [{ "ARN": "arn:aws:s3:::reports/größe.pdf", "type": "AWS::S3::Object" }],
    });
    let members = event.as_object_mut().unwrap();
    for (name, value) in more.as_object().unwrap() {
        members.entry(name).or_insert_with(|| value.clone());
    }
    if let Some(who) = members["userIdentity"].as_object_mut() {
        who.insert("accessKeyId".into(), json!("ASIAIOSFODNN7EXAMPLE"));
        who.insert("principalId".into(), json!("AROAEXAMPLE:kim"));
        who.insert("userName".into(), json!("kim"));
    }
    event.to_string()
}

/// Each rule of `detect-cloudtrail`, on the events that its own test gives it.
async fn tables(out: &mut Outgoing, sink: &security_hub::SecurityHub) {
    let tables = cases::tables(&root().join("plugins/detect-cloudtrail/tests/rules"));
    let mut by_configuration: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for (file, text) in &tables {
        for case in cases::cases(file, text) {
            if let Some(severity) = case.severity {
                let known = detections::rule(case.rule).is_some();
                assert!(known, "{}: no {severity} rule {}", case.place, case.rule);
                let events = by_configuration.entry(case.configuration).or_default();
                events.extend([dressed(&case.event), case.event]);
            }
        }
    }
    for (configuration, events) in by_configuration {
        let mut worker = detect_cloudtrail(&serde_json::from_str(configuration).unwrap());
        // One by one as well: of many that are folded the first gives the texts.
        for (number, one) in sightings(&mut worker, &events).into_iter().enumerate() {
            let about = format!("table {configuration} {number} of {}", one.rule);
            out.fold(sink, vec![one], &about).await;
        }
        let all = sightings(&mut worker, &events);
        out.fold(sink, all, &format!("tables {configuration}"))
            .await;
    }
    for rule in detections::CLOUDTRAIL {
        assert!(out.rules.contains(rule.id), "nothing is of {}", rule.id);
    }
}

/// Each rule of the catalogue with all that the catalogue says of it.
fn catalogue(out: &mut Outgoing, sink: &security_hub::SecurityHub) {
    for (plugin, rule) in detections::all() {
        let severity = serde_json::from_value(json!(rule.severity.as_str())).unwrap();
        let finding = Finding {
            plugin: plugin.into(),
            rule: rule.id.into(),
            title: rule.title.into(),
            description: rule.description.into(),
            severity,
            attributes: vec![
                ("technique".into(), rule.techniques.join(", ")),
                ("tactic".into(), rule.tactic.into()),
                ("types".into(), rule.types.into()),
            ],
            ..finding()
        };
        out.add(sink, &finding, "catalogue");
    }
}

/// What is counted over time, in a burst and in generated events.
async fn bursts(out: &mut Outgoing, sink: &security_hub::SecurityHub) {
    let mut events = Vec::new();
    for number in 0..40 {
        let event = json!({
            "eventID": format!("ff{number:06}-0000-4000-8000-000000000000"),
            "eventTime": format!("2026-03-01T10:00:{number:02}Z"), "eventSource": "secretsmanager.amazonaws.com",
            "eventName": "GetSecretValue", "awsRegion": "eu-central-1", "recipientAccountId": "111122223333",
            "sourceIPAddress": "2001:db8::7", "requestParameters": { "secretId": format!("sécret-{number}") },
            "userIdentity": { "type": "IAMUser", "arn": "arn:aws:iam::111122223333:user/änn", "accountId": "111122223333" },
        });
        events.push(event.to_string());
    }
    let behaviour = counting("detect-behaviour", &json!({}));
    let mut all = sightings(&mut worker(vec![behaviour]), &events);
    let rule = "title: Ein Geheimnis wurde gelesen ☂\nid: read\nlevel: high\ntags: [attack.credential-access, attack.t1555.006]\n\
                references: [https://example.com/a?b=c, https://example.com/größe]\nlogsource: {product: aws, service: cloudtrail}\n\
                detection: {call: {eventName: GetSecretValue}, condition: call}\n---\n\
                title: A secret was read\nname: base\ndetection: {call: {eventName: GetSecretValue}, condition: call}\n---\n\
                title: Many were read\nid: many-read\ncorrelation: {type: event_count, rules: [base], \
                group-by: [userIdentity.arn], timespan: 10m, condition: {gte: 3}}\n";
    let sigma = json!({ "rules": [{ "path": "a.yml", "text": rule }] });
    let sigma = counting("detect-sigma", &sigma);
    all.extend(sightings(&mut worker(vec![sigma]), &events));
    out.fold(sink, all, "bursts").await;
    assert!(out.most >= 21, "{} events in one finding", out.most);

    let folder = tempfile::tempdir().unwrap();
    let plan = Plan {
        objects: 12,
        ..Plan::default()
    };
    let truth = write_tree(folder.path(), &plan).unwrap();
    let events: Vec<String> = truth
        .objects
        .iter()
        .flat_map(|object| records(&folder.path().join(&object.key)))
        .collect();
    out.fold(sink, everything(&[]).found(&events), "generated")
        .await;
}

fn records(path: &Path) -> Vec<String> {
    let mut text = String::new();
    flate2::read::GzDecoder::new(fs::File::open(path).unwrap())
        .read_to_string(&mut text)
        .unwrap();
    let file: Value = serde_json::from_str(&text).unwrap();
    let records = file["Records"].as_array();
    records
        .into_iter()
        .flatten()
        .map(Value::to_string)
        .collect()
}

/// All plugins that detect or redact, and these rules for `detect-sigma`.
struct Everything(Vec<ChainWorker>);

fn everything(rules: &[Value]) -> Everything {
    let engine = engine();
    let mut components = vec![
        component(&engine, "plugins", "detect-cloudtrail", &json!({})),
        component(&engine, "plugins", "redaction-check", &json!({})),
        counting("detect-behaviour", &json!({})),
    ];
    if !rules.is_empty() {
        components.push(counting("detect-sigma", &json!({ "rules": rules })));
    }
    Everything(
        components
            .into_iter()
            .map(|one| worker(vec![one]))
            .collect(),
    )
}

impl Everything {
    fn found(&mut self, events: &[impl AsRef<str>]) -> Vec<Sighting> {
        let workers = self.0.iter_mut();
        workers
            .flat_map(|worker| sightings(worker, events))
            .collect()
    }
}

/// What is found in real attacks, by the published rules too.
async fn real(out: &mut Outgoing, sink: &security_hub::SecurityHub) {
    let Some(folder) = corpus() else { return };
    let mut rules: Vec<Value> = Vec::new();
    for entry in fs::read_dir(folder.join("sigma-cloudtrail/rules")).unwrap() {
        let path = entry.unwrap().path();
        let text = fs::read_to_string(&path).unwrap();
        rules.push(json!({ "path": path, "text": text }));
    }
    for name in ["invictus-aws-dataset", "stratus-red-team"] {
        let text = fs::read_to_string(folder.join(name).join("events.ndjson")).unwrap();
        let events: Vec<&str> = text.lines().collect();
        let before = out.documents.len();
        let found = everything(&rules).found(&events);
        out.fold(sink, found, name).await;
        eprintln!("{name}: {} findings", out.documents.len() - before);
    }
}

/// What the host itself reports: a plugin that fails, and a secret that redaction let pass.
async fn of_the_host(out: &mut Outgoing) {
    let hub = SecurityHub::start().await;
    let shelf = Arc::new(Shelf::default());
    let events: Vec<String> = KINDS
        .iter()
        .map(|kind| planted::event(*kind, Writing::Plain, 1).event)
        .collect();
    shelf.put(
        "object-00001",
        gzip(format!("{{\"Records\":[{}]}}", events.join(","))),
    );
    let engine = engine();
    let trap = json!({ "do": { "evil": "trap" } });
    let find = json!({ "do": { "good": { "find": { "rule": "r", "window_s": 60 } } } });
    let host = Setup::new(Arc::clone(&shelf) as Arc<_>, BUCKET)
        .plugins(vec![
            component(&engine, "guests", "hostile-detect", &trap),
            component(&engine, "plugins", "detect-cloudtrail", &json!({})),
            component(&engine, "guests", "hostile-filter", &find),
        ])
        .security_hub(&hub)
        // The guard looks at events where they leave.
        .file()
        .start();
    host.finish().await.sums_agree();
    assert_eq!(hub.violations(), [""; 0]);
    for imported in hub.received() {
        let rule = imported.json()["ProductFields"]["sluicegate/rule"].take();
        out.rules.insert(rule.as_str().unwrap().to_owned());
        out.about.push(format!("the host: {}", imported.id));
        out.documents.push(imported.text);
    }
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
            event_id: "i".into(),
            event_name: "n".into(),
            event_source: "iam.amazonaws.com".into(),
            region: REGION.into(),
            account: ACCOUNT.into(),
            principal_arn: "arn:aws:iam::123456789012:user/a".into(),
            principal_type: "IAMUser".into(),
            principal_id: "AIDA".into(),
            user_name: "a".into(),
            access_key_id: "AKIA".into(),
            source_ip: "198.51.100.7".into(),
            user_agent: "u".into(),
            error_code: "AccessDenied".into(),
            resource_arn: "arn:aws:s3:::b".into(),
            object_url: "s3://b/k".into(),
            index: 3,
        },
        count: 2,
        first_ms: NOW_MS,
        last_ms: NOW_MS,
        created_ms: NOW_MS,
        updated_ms: NOW_MS,
        event_ids: vec!["i".into()],
    }
}

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
fn hostile(out: &mut Outgoing, sink: &security_hub::SecurityHub) {
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
async fn hostile_events(out: &mut Outgoing, sink: &security_hub::SecurityHub) {
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_finding_is_taken_by_the_hub_and_is_what_the_sdk_would_send() {
    let sink = sink();
    let mut out = Outgoing::default();
    tables(&mut out, &sink).await;
    catalogue(&mut out, &sink);
    bursts(&mut out, &sink).await;
    of_the_host(&mut out).await;
    hostile(&mut out, &sink);
    hostile_events(&mut out, &sink).await;
    real(&mut out, &sink).await;
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

    let mut problems = Vec::new();
    for (document, about) in out.documents.iter().zip(&out.about) {
        if let Some(problem) = SecurityHub::refusal(document) {
            problems.push(format!("{about}: {problem}"));
        }
    }
    let (good, lines) = model(&out.documents);
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

fn pairs(count: usize, name: usize, value: usize) -> Value {
    let pair = |number| (format!("{number:0>name$}"), json!("x".repeat(value)));
    Value::Object((0..count).map(pair).collect())
}

#[test]
fn the_types_of_the_sdk_refuse_what_they_do_not_know() {
    let long = |count: usize| json!("é".repeat(count));
    let resources = |count: usize| Value::Array(vec![whole()["Resources"][0].clone(); count]);
    let call = "/Action/AwsApiCallAction";
    let label = "/FindingProviderFields/Severity/Label";
    // Where something is wrong, and what is said of it; nothing where it is right.
    let cases = [
        ("/Title", Some(long(256)), ""),
        ("/Title", Some(json!("two\nlines")), ""),
        ("/ProductFields", Some(pairs(50, 128, 2048)), ""),
        ("/Resources", Some(resources(32)), ""),
        (
            "/CreatedAt",
            Some(json!("2026-03-01T10:20:30.123456789+18:00")),
            "",
        ),
        ("/Unknown", Some(json!(1)), "unknown field"),
        ("/Resources/0/Unknown", Some(json!("x")), "unknown field"),
        (
            &format!("{call}/Unknown"),
            Some(json!("x")),
            "unknown field",
        ),
        (
            "/Resources/2/Details/AwsIamAccessKey/Unknown",
            Some(json!("x")),
            "unknown field",
        ),
        (
            "/RecordState",
            Some(json!("OPEN")),
            "is none of ACTIVE, ARCHIVED",
        ),
        (
            "/Resources/0/Partition",
            Some(json!("aws-mars")),
            "is none of aws, aws-cn",
        ),
        (label, Some(json!("high")), "is none of INFORMATIONAL"),
        ("/Title", None, "missing required field"),
        ("/Resources", None, "missing required field"),
        ("/Resources/0/Id", None, "missing required field"),
        ("/Title", Some(json!(5)), "invalid type: int"),
        ("/Title", Some(Value::Null), "invalid type: NoneType"),
        ("/Resources", Some(json!({})), "invalid type: dict"),
        (
            "/ProductFields/sluicegate~1count",
            Some(json!(2)),
            "invalid type: int",
        ),
        (
            "/FindingProviderFields",
            Some(json!([])),
            "invalid type: list",
        ),
        ("/Sample", Some(json!("yes")), "invalid type: str"),
        ("/Confidence", Some(json!(true)), "is a boolean"),
        (
            "/FindingProviderFields/Confidence",
            Some(json!(101)),
            "more than 100",
        ),
        ("/Title", Some(json!("")), "does not match"),
        ("/Title", Some(json!("\u{feff}")), "does not match"),
        ("/Title", Some(long(257)), "257 characters"),
        ("/Description", Some(long(1_025)), "1025 characters"),
        (
            "/Remediation/Recommendation/Text",
            Some(long(513)),
            "513 characters",
        ),
        (&format!("{call}/Api"), Some(long(129)), "129 characters"),
        ("/ProductFields", Some(pairs(51, 2, 1)), "51 pairs"),
        (
            "/ProductFields",
            Some(pairs(1, 129, 1)),
            "129 characters of a name",
        ),
        (
            "/ProductFields",
            Some(pairs(1, 1, 2_049)),
            "2049 characters",
        ),
        ("/Types", Some(json!(vec!["TTPs"; 51])), "51 items"),
        ("/Resources", Some(resources(33)), "33 items"),
        (
            "/CreatedAt",
            Some(json!("2026-03-01 10:20:30Z")),
            "is no time",
        ),
        (
            "/CreatedAt",
            Some(json!("2026-03-01T10:20:30.1234567890Z")),
            "is no time",
        ),
        (
            &format!("{call}/FirstSeen"),
            Some(json!("now")),
            "is no time",
        ),
        (
            "/Resources/2/Type",
            Some(json!("AwsIamUser")),
            "is not about a resource of type",
        ),
    ];
    let documents: Vec<String> = cases
        .iter()
        .map(|(at, value, _)| changed(at, value.clone()))
        .collect();
    let (good, lines) = model(&documents);
    assert!(!good);
    for (number, (at, value, said)) in cases.iter().enumerate() {
        let begins = format!("finding {number} ");
        let mut about = lines.iter().filter(|line| line.starts_with(&begins));
        if said.is_empty() {
            assert_eq!(about.next(), None, "{at} {value:?}");
        } else {
            let found = about.any(|line| line.contains(said));
            assert!(found, "{number} {at} {value:?}: {said}, not {lines:#?}");
        }
    }

    let good = whole().to_string();
    let twice = good.replacen('{', r#"{"Title":"t","#, 1);
    let surrogate = changed("/Title", Some(json!("MARK"))).replace("MARK", r"\ud800");
    for (input, said) in [
        (vec![], ""),
        (vec![twice], "a name comes twice"),
        (vec![surrogate], "a surrogate that is no character"),
        (
            vec!["{\"Findings\":[]}".to_owned()],
            "/Findings: invalid length",
        ),
        (
            vec![format!("{{\"Findings\":[{good}],\"More\":1}}")],
            "/More: unknown field",
        ),
        (
            vec![format!(
                "{{\"Findings\":[{}]}}",
                vec![good.as_str(); 101].join(",")
            )],
            "101 items are more than 100",
        ),
        (vec!["{\"Id\"".to_owned()], "input: "),
    ] {
        let (accepted, lines) = model(&input);
        assert!(
            !accepted && lines.join("\n").contains(said),
            "{said}: {lines:?}"
        );
    }
    let request = format!("{{\"Findings\":[{}]}}", vec![good.as_str(); 100].join(","));
    assert_eq!(model(&[request, format!("[{good}]"), good]), (true, vec![]));
}

/// Every limit of the service: what lies at it is taken, what lies over it is refused.
#[test]
fn the_strict_server_refuses_what_is_over_a_limit() {
    let long = |count: usize| json!("é".repeat(count));
    let resources = |count: usize| Value::Array(vec![whole()["Resources"][0].clone(); count]);
    let types = |count: usize| json!(vec!["TTPs"; count]);
    let list = |count: usize| json!(vec![json!({ "Name": "x" }); count]);
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
        let good = json!("2026-03-01T21:20:30.123456789Z");
        (at, good, json!("2026-03-01T21:20:30.1234567890Z"))
    });
    let all = [
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
    ];
    let mut wrong = Vec::new();
    for (at, good, bad) in lengths.into_iter().chain(times).chain(all) {
        // Of a time that is created later the update would be too early.
        let good = if at == "/CreatedAt" {
            json!("2026-03-01T00:00:00.123456789Z")
        } else {
            good
        };
        wrong.extend(
            SecurityHub::refusal(&changed(at, Some(good))).map(|said| format!("{at}: {said}")),
        );
        if SecurityHub::refusal(&changed(at, Some(bad.clone()))).is_none() {
            wrong.push(format!("{at}: took {bad}"));
        }
    }
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
        if SecurityHub::refusal(&changed(required, None)).is_none() {
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
        if SecurityHub::refusal(&changed(&format!("/{customers}"), Some(json!("x")))).is_none() {
            wrong.push(format!("took {customers}"));
        }
    }
    let large = changed("/Description", Some(json!("MARK")));
    let padded = |bytes: usize| {
        large.replace(
            "\"MARK\"",
            &format!("\"x\"{}", " ".repeat(bytes - large.len() + 3)),
        )
    };
    if let Some(said) = SecurityHub::refusal(&padded(240_000)) {
        wrong.push(said);
    }
    if SecurityHub::refusal(&padded(240_001)).is_none() {
        wrong.push("took 240,001 bytes".to_owned());
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
