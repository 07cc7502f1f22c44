//! What the plugins and the host itself find: in tables, in bursts, in generated and in real events.

use std::{collections::BTreeMap, fs, io::Read as _, path::Path, sync::Arc};

use serde_json::{Value, json};
use sluicegate::{
    event::{Object, ObjectKind, ObjectRef},
    finding::{Finding, Sighting},
    generate::{Plan, write_tree},
    ledger::windows::SqliteWindows,
    mask::Masker,
    plugin::{ChainWorker, Component, Grants, Limits, PluginChain, Services, Terms},
    sink::security_hub,
};
use sluicegate_tests::{
    batches::events_of,
    host::{Setup, component, corpus, engine, load, patient, root},
    planted::{self, KINDS, Writing},
    servers::SecurityHub,
    shelf::{BUCKET, Shelf, gzip},
};

use super::{NOW_MS, Outgoing, cases, finding};

fn worker(components: Vec<Component>) -> ChainWorker {
    let chain = PluginChain::new(components, &[&[]], Masker::default()).unwrap();
    ChainWorker::new(Arc::new(chain))
}

/// What plugins find in events, and what the host has to say of the plugins.
pub(super) fn sightings(worker: &mut ChainWorker, events: &[impl AsRef<[u8]>]) -> Vec<Sighting> {
    let reference = ObjectRef {
        bucket: "b".into(),
        key: "AWSLogs/ü \"key\".json.gz".into(),
        version: None,
    };
    let object = Arc::new(Object::new(reference, "1".into(), ObjectKind::Log));
    let mut found = Vec::new();
    for chunk in events.chunks(500) {
        let processed = worker.process(events_of(&object, chunk), NOW_MS);
        found.extend(processed.sightings.into_iter().map(|(_, one)| one));
    }
    found
}

/// A plugin that counts in windows of its own.
fn counting(name: &str, configuration: &Value) -> Component {
    let terms = Terms {
        configuration: configuration.as_object().unwrap().clone(),
        limits: Limits {
            deadline_ms: 20_000,
            start_ms: 20_000,
            ..patient()
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
    load(&engine().with_services(services), "plugins", name, &terms).unwrap()
}

pub(super) fn detect_cloudtrail(configuration: &Value) -> ChainWorker {
    let plugin = component(&engine(), "plugins", "detect-cloudtrail", configuration);
    worker(vec![plugin])
}

/// An event with members of every kind beside its own.
pub(super) fn dressed(event: &str) -> String {
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
pub(super) async fn tables(out: &mut Outgoing, sink: &security_hub::SecurityHub) {
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
        let all = sightings(&mut worker, &events);
        // Two of each rule by themselves as well: of many that are folded the first gives the texts.
        let mut alone: BTreeMap<String, usize> = BTreeMap::new();
        for one in &all {
            let seen = alone.entry(one.rule.clone()).or_default();
            *seen += 1;
            if *seen <= 2 {
                let about = format!("table {configuration} of {}", one.rule);
                out.fold(sink, vec![one.clone()], &about).await;
            }
        }
        out.fold(sink, all, &format!("tables {configuration}"))
            .await;
    }
    for rule in detections::CLOUDTRAIL {
        assert!(out.rules.contains(rule.id), "nothing is of {}", rule.id);
    }
}

/// Each rule of the catalogue with all that the catalogue says of it.
pub(super) fn catalogue(out: &mut Outgoing, sink: &security_hub::SecurityHub) {
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
pub(super) async fn bursts(out: &mut Outgoing, sink: &security_hub::SecurityHub) {
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
    let rule = "title: A secret was read, größer ☂\nid: read\nlevel: high\ntags: [attack.credential-access, attack.t1555.006]\n\
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
    fn found(&mut self, events: &[impl AsRef<[u8]>]) -> Vec<Sighting> {
        let workers = self.0.iter_mut();
        workers
            .flat_map(|worker| sightings(worker, events))
            .collect()
    }
}

/// What is found in real attacks, by the published rules too.
pub(super) async fn real(out: &mut Outgoing, sink: &security_hub::SecurityHub) {
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
pub(super) async fn of_the_host(out: &mut Outgoing) {
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
