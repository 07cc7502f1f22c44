//! What leaves in OCSF is valid by the official schema, says nothing wrong, and loses nothing.
//!
//! The schemas are made by `tests/ocsf_schemas.py` into `build/ocsf`.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::{Read as _, Write as _},
    process::{Command, Output, Stdio},
    sync::Arc,
};

use serde_json::{Value, json, value::RawValue};
use sluicegate::{
    effects::Processed,
    finding::{EventFacts, Finding, Severity},
    generate::{Plan, write_tree},
    mask::Masker,
    normalize::ocsf::{Encoder, Version},
    plugin::{ChainWorker, PluginChain},
    sink::{Sink, Unencodable, datadog_logs::DatadogLogs, file::FileSink, splunk_hec::SplunkHec},
};
use sluicegate_tests::{
    batches,
    host::{component, corpus, engine, root},
    json_schema::JsonSchema,
    process::binary,
    shelf::gzip,
};

const VERSIONS: [Version; 2] = [Version::V1_8_0, Version::V1_1_0];

/// The schemas and captions of one version.
struct Schema {
    version: Version,
    classes: BTreeMap<u64, JsonSchema>,
    captions: Value,
}

impl Schema {
    fn new(version: Version) -> Self {
        let folder = root().join("build/ocsf");
        let missing = "run `make build/stamps/ocsf`";
        let text = fs::read_to_string(folder.join("captions.json")).expect(missing);
        let mut captions: Value = serde_json::from_str(&text).unwrap();
        let mut classes = BTreeMap::new();
        for file in fs::read_dir(folder.join(version.as_str())).expect(missing) {
            let path = file.unwrap().path();
            let uid = path.file_stem().unwrap().to_str().unwrap().parse().unwrap();
            let schema = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
            classes.insert(uid, JsonSchema::new(schema));
        }
        Self {
            version,
            classes,
            captions: captions[version.as_str()].take(),
        }
    }

    fn all() -> [Self; 2] {
        VERSIONS.map(Self::new)
    }

    /// Whether a document is valid, and right where schemas do not look.
    fn check(&self, document: &Value, about: &str) {
        let number = |name: &str| {
            document[name]
                .as_u64()
                .unwrap_or_else(|| panic!("{name}: {about}"))
        };
        let uid = number("class_uid");
        let errors = self.classes[&uid].faults(document);
        assert!(
            errors.is_empty(),
            "{}: {errors:#?}\n{about}",
            self.version.as_str()
        );
        assert_eq!(
            number("type_uid"),
            uid * 100 + number("activity_id"),
            "{about}"
        );
        assert_eq!(document["metadata"]["version"], self.version.as_str());
        // 2001 to 2286, in milliseconds.
        let time = document["time"].as_i64().unwrap();
        assert!(
            time == 0 || (1_000_000_000_000..10_000_000_000_000).contains(&time),
            "{about}"
        );
        let class = &self.captions[uid.to_string()];
        for (id, caption) in [
            ("class_uid", "class_name"),
            ("category_uid", "category_name"),
            ("activity_id", "activity_name"),
            ("type_uid", "type_name"),
            ("severity_id", "severity"),
            ("status_id", "status"),
        ] {
            captioned(document, id, caption, &class[id], about);
        }
        self.inside(document, about);
    }

    /// The captions in objects.
    fn inside(&self, value: &Value, about: &str) {
        let Some(members) = value.as_object() else {
            return;
        };
        for (name, member) in members {
            if name == "unmapped" || name == "data" {
                continue;
            }
            let object = match name.as_str() {
                "observables" => "observable",
                "entity" => "managed_entity",
                other => other,
            };
            let several = member
                .as_array()
                .cloned()
                .unwrap_or_else(|| vec![member.clone()]);
            for one in &several {
                for id in one.as_object().into_iter().flat_map(|one| one.keys()) {
                    if let Some(caption) = id.strip_suffix("_id")
                        && one[id].is_number()
                    {
                        captioned(
                            one,
                            id,
                            caption,
                            &self.captions["objects"][object][id],
                            about,
                        );
                    }
                }
                self.inside(one, about);
            }
        }
    }
}

fn captioned(object: &Value, id: &str, caption: &str, known: &Value, about: &str) {
    if object.get(id).is_none() {
        assert!(
            object.get(caption).is_none(),
            "{caption} without {id}: {about}"
        );
        return;
    }
    assert!(known.is_object(), "no captions of {id}: {about}");
    assert_eq!(
        object[caption],
        known[object[id].to_string()],
        "{id}: {about}"
    );
}

fn encode(encoder: &Encoder, events: &[String]) -> Vec<Result<String, Unencodable>> {
    let processed = Processed::untouched(batches::events(events), &[]);
    let encode = |row| {
        let mut out = Vec::new();
        encoder.event(&processed.view(row, 0), &mut out)?;
        Ok(String::from_utf8(out).unwrap())
    };
    (0..processed.rows()).map(encode).collect()
}

/// Every leaf as text.
fn leaves(value: &Value, each: &mut impl FnMut(String)) {
    match value {
        Value::Object(members) => members.values().for_each(|member| leaves(member, each)),
        Value::Array(list) => list.iter().for_each(|element| leaves(element, each)),
        Value::String(text) => each(text.clone()),
        other => each(other.to_string()),
    }
}

/// Leaves of events, and how many of them found no attribute.
#[derive(Debug, Default)]
struct Share {
    leaves: usize,
    unmapped: usize,
}

impl Share {
    /// Counts, and checks that every leaf is somewhere in the document.
    fn add(&mut self, event: &Value, document: &Value) {
        let mut known = BTreeSet::new();
        leaves(document, &mut |leaf| {
            if let Some((_, value)) = leaf.split_once(':') {
                known.insert(value.to_owned());
            }
            known.insert(leaf);
        });
        leaves(event, &mut |leaf| {
            self.leaves += 1;
            // `MFAUsed` becomes a flag.
            let is_there = known.contains(&leaf) || leaf == "Yes" || leaf == "No";
            assert!(is_there, "lost {leaf} of {event}");
        });
        let mut rest = document["unmapped"].clone();
        rest.as_object_mut().unwrap().remove("sluicegate");
        leaves(&rest, &mut |_| self.unmapped += 1);
    }

    fn percent(&self) -> f64 {
        let part = |number: usize| f64::from(u32::try_from(number).unwrap());
        100.0 * (1.0 - part(self.unmapped) / part(self.leaves))
    }
}

/// Checks events in both versions; returns how often each class came, and the share of each version.
fn all_valid(events: &[String]) -> (BTreeMap<(&'static str, u64), usize>, [f64; 2]) {
    let mut classes = BTreeMap::new();
    let shares = Schema::all().map(|schema| {
        let encoder = Encoder::new(schema.version, false);
        let mut share = Share::default();
        for chunk in events.chunks(1000) {
            for (event, document) in chunk.iter().zip(encode(&encoder, chunk)) {
                let document: Value = serde_json::from_str(&document.unwrap()).unwrap();
                schema.check(&document, event);
                share.add(&serde_json::from_str(event).unwrap(), &document);
                let uid = document["class_uid"].as_u64().unwrap();
                *classes.entry((schema.version.as_str(), uid)).or_default() += 1;
            }
        }
        let strangers = encoder.strangers().counts();
        eprintln!(
            "{}: {share:?} {:.2} % mapped, unknown: {strangers:?}",
            schema.version.as_str(),
            share.percent()
        );
        share.percent()
    });
    eprintln!("{classes:?}");
    (classes, shares)
}

#[test]
fn every_real_event_is_valid_and_nearly_all_of_it_is_mapped() {
    let Some(folder) = corpus() else { return };
    let mut events = Vec::new();
    for name in ["invictus-aws-dataset", "stratus-red-team"] {
        let text = fs::read_to_string(folder.join(name).join("events.ndjson")).unwrap();
        events.extend(text.lines().map(str::to_owned));
    }
    let (classes, shares) = all_valid(&events);
    for class in [6003, 3001, 3002, 3003, 3004, 3005] {
        assert!(
            classes.contains_key(&("1.8.0", class)),
            "no event of class {class}"
        );
    }
    assert!(shares.iter().all(|share| *share >= 95.0), "{shares:?}");
}

fn generated(objects: usize, events_per_object: usize) -> Vec<String> {
    #[derive(serde::Deserialize)]
    struct File<'a> {
        #[serde(borrow, rename = "Records", default)]
        records: Vec<&'a RawValue>,
    }
    let folder = tempfile::tempdir().unwrap();
    let plan = Plan {
        objects,
        events_per_object,
        ..Plan::default()
    };
    let truth = write_tree(folder.path(), &plan).unwrap();
    let mut events = Vec::new();
    for object in &truth.objects {
        let mut text = String::new();
        let file = fs::File::open(folder.path().join(&object.key)).unwrap();
        flate2::read::GzDecoder::new(file)
            .read_to_string(&mut text)
            .unwrap();
        let file: File<'_> = serde_json::from_str(&text).unwrap();
        events.extend(file.records.iter().map(|event| event.get().to_owned()));
    }
    events
}

#[test]
fn generated_events_are_valid() {
    let events = generated(30, 100);
    assert!(events.len() >= 3000, "{}", events.len());
    let (_, shares) = all_valid(&events);
    assert!(shares.iter().all(|share| *share >= 95.0), "{shares:?}");
}

#[test]
#[ignore = "takes minutes"]
fn a_hundred_thousand_generated_events_are_valid() {
    let events = generated(100, 1010);
    assert!(events.len() >= 100_000, "{}", events.len());
    let (_, shares) = all_valid(&events);
    assert!(shares.iter().all(|share| *share >= 95.0), "{shares:?}");
}

/// The document of an event that serde may refuse, with what it refuses replaced.
fn lenient(document: &str) -> Value {
    let text = document
        .replace("\\\\ud800", "x")
        .replace("\\ud800", "x")
        .replace("1e400", "1e300");
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {document}"))
}

const WHOLE: &str = r#"{"eventVersion":"1.11","userIdentity":{"type":"AssumedRole","principalId":"AROA:s","arn":"arn:aws:sts::123456789012:assumed-role/r/s","accountId":"123456789012","accessKeyId":"ASIA","sessionContext":{"sessionIssuer":{"type":"Role","principalId":"AROA","arn":"arn:aws:iam::123456789012:role/r","accountId":"123456789012","userName":"r"},"webIdFederationData":{"federatedProvider":"p","attributes":{}},"attributes":{"creationDate":"2026-03-01T10:00:00Z","mfaAuthenticated":"true"}},"onBehalfOf":{"userId":"u","identityStoreArn":"arn:i"}},"eventTime":"2026-03-01T10:20:30Z","eventSource":"iam.amazonaws.com","eventName":"AttachUserPolicy","awsRegion":"us-east-1","sourceIPAddress":"192.0.2.7","userAgent":"agent","errorCode":"AccessDenied","errorMessage":"no","requestParameters":{"userName":"u","policyArn":"arn:p","roleArn":"arn:r"},"responseElements":null,"additionalEventData":{"MFAUsed":"Yes","bytesTransferredIn":10},"requestID":"r","eventID":"e","readOnly":false,"resources":[{"ARN":"arn:aws:s3:::b","type":"AWS::S3::Bucket","accountId":"123456789012"}],"eventType":"AwsApiCall","apiVersion":"2010","managementEvent":true,"recipientAccountId":"123456789012","sharedEventID":"s","vpcEndpointId":"vpce-1","vpcEndpointAccountId":"123456789012","eventCategory":"Management","tlsDetails":{"tlsVersion":"TLSv1.3","cipherSuite":"c","clientProvidedHostHeader":"iam.amazonaws.com"}}"#;

/// Every pointer to a value of this object and of those in it.
fn pointers(value: &Value, at: &str, found: &mut Vec<String>) {
    if let Some(members) = value.as_object() {
        for (name, member) in members {
            let path = format!("{at}/{name}");
            pointers(member, &path, found);
            found.push(path);
        }
    }
}

#[test]
fn whatever_stands_in_a_member_the_document_is_valid() {
    let whole: Value = serde_json::from_str(WHOLE).unwrap();
    let mut paths = Vec::new();
    pointers(&whole, "", &mut paths);
    let long = format!("\"{}\"", "é".repeat(70_000));
    let values = [
        "null",
        "true",
        "5",
        "-1",
        "1e400",
        "9007199254740993",
        "[]",
        "{}",
        "\"\"",
        "[1,{\"a\":null}]",
        "{\"a\":1,\"a\":2}",
        r#""\ud800""#,
        r#""a\ud800b\n""#,
        "\"日本\\u0000\"",
        "\"2026-13-01T00:00:00Z\"",
        &long,
        "\"0000:0000:0000:0000:0000:ffff:192.168.100.100\"",
        "\"fe80::1%eth0\"",
        "\"s3.amazonaws.com\"",
        "\"AWS Internal\"",
    ];
    let marker = "\"HOSTILE\"";
    for schema in Schema::all() {
        let encoder = Encoder::new(schema.version, true);
        let mut events = Vec::new();
        for source in [
            "iam.amazonaws.com/AttachUserPolicy",
            "iam.amazonaws.com/CreateUser",
            "iam.amazonaws.com/CreateGroup",
            "signin.amazonaws.com/ConsoleLogin",
            "sts.amazonaws.com/AssumeRole",
            "s3.amazonaws.com/GetObject",
        ] {
            let (service, call) = source.split_once('/').unwrap();
            let mut event = whole.clone();
            event["eventSource"] = json!(service);
            event["eventName"] = json!(call);
            for path in &paths {
                let mut changed = event.clone();
                *changed.pointer_mut(path).unwrap() = json!("HOSTILE");
                let text = changed.to_string();
                events.extend(values.iter().map(|value| text.replace(marker, value)));
            }
        }
        let mut refused = 0;
        for (event, document) in events.iter().zip(encode(&encoder, &events)) {
            match document {
                Ok(document) => schema.check(&lenient(&document), event),
                Err(Unencodable(reason)) => {
                    assert!(reason.starts_with("has no eventTime"), "{reason}");
                    refused += 1;
                }
            }
        }
        // Once for each class: all values but none in place of the time.
        assert_eq!(refused, 6 * values.len());
        eprintln!("{} hostile events", events.len());
    }
}

#[test]
fn strange_events_are_valid_or_refused_with_a_reason() {
    let time = r#""eventTime":"2026-03-01T10:20:30Z""#;
    let events: Vec<String> = [
        format!("{{{time}}}"),
        format!(r#"{{"eventVersion":"9.99","brandNew":{{"a":[1]}},{time},"eventName":"Do"}}"#),
        format!(r#"{{{time},"eventName":"A","eventName":"B","userIdentity":{{"arn":"1"}},"userIdentity":{{"type":"Root"}}}}"#),
        format!(r#"{{{time},"sluicegate":"mine","\u0073luicegate":1}}"#),
        format!(r#"{{{time},"resources":[{{"ARN":"a"}},{{"type":"x"}}]}}"#),
        format!(r#"{{{time},"resources":[{{"ARNPrefix":"a","type":"t"}}]}}"#),
        r#"{"eventVersion":"1.0","eventCategory":"Aggregated","eventType":"AwsAggregatedEvent","eventId":"e","accountId":"1","timeWindow":{"windowStart":"2026-03-01T10:00:00Z","windowEnd":"2026-03-01T10:05:00Z","windowSize":"PT5M"},"summary":{"n":1}}"#.to_owned(),
        format!(r#"{{{time},"eventVersion":"1.11","eventType":"AwsCloudTrailInsight","eventID":"e","insightDetails":{{"state":"Start","eventSource":"ec2.amazonaws.com","eventName":"RunInstances"}},"eventCategory":"Insight"}}"#),
        format!(r#"{{{time},"eventSource":"kms.amazonaws.com","eventName":"Decrypt","userIdentity":{{"type":"AWSAccount","accountId":"1"}},"errorCode":"VpceAccessDenied","eventType":"AwsVpceEvent","vpcEndpointId":"vpce-1","eventCategory":"NetworkActivity"}}"#),
        format!(r#"{{{time},"eventSource":"ec2.amazonaws.com","eventName":"X","userIdentity":{{"type":"AWSService","invokedBy":"ec2.amazonaws.com"}},"sourceIPAddress":"ec2.amazonaws.com"}}"#),
    ]
    .into();
    for schema in Schema::all() {
        let encoder = Encoder::new(schema.version, false);
        let documents: Vec<Value> = encode(&encoder, &events)
            .into_iter()
            .map(|document| serde_json::from_str(&document.unwrap()).unwrap())
            .collect();
        for (document, event) in documents.iter().zip(&events) {
            schema.check(document, event);
        }
        assert_eq!(documents[1]["unmapped"]["brandNew"], json!({"a": [1]}));
        assert_eq!(documents[2]["api"]["operation"], "B");
        assert!(
            !documents[2].to_string().contains("\"1\""),
            "{}",
            documents[2]
        );
        assert!(documents[3]["unmapped"]["sluicegate"]["id"].is_string());
        assert!(documents[4]["unmapped"]["resources"].is_array());
        assert_eq!(documents[5]["resources"][0]["name"], "a");
        assert_eq!(documents[6]["time"], documents[6]["end_time"]);
        assert_eq!(documents[7]["api"]["operation"], "RunInstances");
        assert_eq!(documents[8]["status"], "Failure");
        assert_eq!(documents[9]["actor"]["user"]["uid"], "ec2.amazonaws.com");
        let unknown: Vec<_> = encoder.strangers().counts();
        assert!(unknown.contains(&("brandNew".to_owned(), 1)), "{unknown:?}");
    }
    let encoder = Encoder::new(Version::V1_8_0, false);
    for event in ["{}", r#"{"eventTime":5}"#, r#"{"eventTime":"secret"}"#] {
        let Err(Unencodable(reason)) = &encode(&encoder, &[event.to_owned()])[0] else {
            panic!("{event} was encoded");
        };
        assert!(!reason.contains("secret"));
    }
}

#[test]
fn the_call_decides_the_class() {
    let class = |version, service: &str, call: &str| {
        let mut event: Value = serde_json::from_str(WHOLE).unwrap();
        event["eventSource"] = json!(format!("{service}.amazonaws.com"));
        event["eventName"] = json!(call);
        let encoder = Encoder::new(version, false);
        let document = encode(&encoder, &[event.to_string()]).remove(0).unwrap();
        let document: Value = serde_json::from_str(&document).unwrap();
        document["type_uid"].as_u64().unwrap()
    };
    for (service, call, new, old) in [
        ("iam", "AttachUserPolicy", 300_501, 300_107),
        ("iam", "CreateUser", 300_101, 300_101),
        ("iam", "CreateGroup", 600_301, 600_301),
        ("sts", "AssumeRole", 300_301, 300_201),
        ("signin", "ConsoleLogin", 300_201, 300_201),
        ("s3", "GetObject", 600_302, 600_302),
        ("ec2", "TerminateInstances", 600_304, 600_304),
    ] {
        assert_eq!(class(Version::V1_8_0, service, call), new, "{call}");
        assert_eq!(class(Version::V1_1_0, service, call), old, "{call}");
    }
}

fn finding(types: &str, text: &str) -> Finding {
    Finding {
        id: "sluicegate/p/r/1/2/3".into(),
        plugin: "p".into(),
        rule: text.into(),
        title: text.into(),
        description: text.into(),
        severity: Severity::High,
        entity: vec![text.into()],
        window_s: 60,
        attributes: vec![
            ("types".into(), types.into()),
            ("technique".into(), "T1078, T1555.006".into()),
            ("tactic".into(), "initial-access".into()),
        ],
        event: EventFacts {
            time_ms: 1_772_360_430_000,
            event_name: text.into(),
            principal_arn: text.into(),
            account: text.into(),
            source_ip: text.into(),
            resource_arn: text.into(),
            ..EventFacts::default()
        },
        count: u64::MAX,
        first_ms: 1_772_360_430_000,
        last_ms: 1_772_360_430_000,
        created_ms: 1_772_360_430_000,
        updated_ms: 1_772_360_431_000,
        event_ids: vec![text.into(), String::new()],
    }
}

#[test]
fn findings_are_valid() {
    let long = "ä".repeat(70_000);
    for schema in Schema::all() {
        let encoder = Encoder::new(schema.version, false);
        for types in [
            "TTPs/Initial Access",
            "Sensitive Data Identifications/Passwords",
            "",
        ] {
            for text in ["", "192.0.2.7", "\"\\\u{1}", &long] {
                let mut out = Vec::new();
                encoder.finding(&finding(types, text), &mut out);
                let document: Value = serde_json::from_slice(&out).unwrap();
                schema.check(&document, types);
                let leak = schema.version == Version::V1_8_0 && types.starts_with("Sensitive");
                assert_eq!(document["class_uid"], if leak { 2006 } else { 2004 });
                assert_eq!(document["activity_name"], "Update");
            }
        }
    }
}

#[test]
fn every_sink_wraps_the_document_in_its_own_layout() {
    let folder = tempfile::tempdir().unwrap();
    let token = folder.path().join("token");
    fs::write(&token, "token").unwrap();
    let [schema, _] = Schema::all();
    let format = json!("ocsf-1.8.0");
    let file = json!({"directory": folder.path(), "format": format});
    let splunk = json!({"endpoint": "http://127.0.0.1:1", "token_file": token, "format": format});
    let datadog = json!({"endpoint": "http://127.0.0.1:1", "api_key_file": token, "format": format, "late_events": "send"});
    let file = FileSink::new(&serde_json::from_value(file).unwrap());
    let splunk = SplunkHec::new(&serde_json::from_value(splunk).unwrap()).unwrap();
    let datadog = DatadogLogs::new(&serde_json::from_value(datadog).unwrap()).unwrap();
    let written = |sink: &dyn Sink| {
        let processed = Processed::untouched(batches::events(&[WHOLE]), sink.fields());
        let (mut event, mut alarm) = (Vec::new(), Vec::new());
        sink.encode_event(&processed.view(0, 0), &mut event)
            .unwrap();
        sink.encode_finding(&finding("TTPs", "x"), &mut alarm)
            .unwrap();
        [event, alarm].map(|out| serde_json::from_slice::<Value>(&out).unwrap())
    };
    for line in written(&file) {
        schema.check(&line, "file");
    }
    for envelope in written(&splunk) {
        assert_eq!(envelope["sourcetype"], "sluicegate:ocsf");
        schema.check(&envelope["event"], "splunk");
    }
    let [event, alarm] = written(&datadog);
    assert_eq!(event["timestamp"], event["ocsf"]["time"]);
    assert_eq!(event["service"], "cloudtrail");
    for log in [event, alarm] {
        assert_eq!(log["ddsource"], "sluicegate-ocsf");
        schema.check(&log["ocsf"], "datadog");
    }
}

#[test]
fn what_is_masked_stays_masked() {
    const SECRET: &str = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYzTq3Lk9+Aa";
    let redaction = component(&engine(), "plugins", "redaction-check", &json!({}));
    let chain = PluginChain::new(vec![redaction], &[&[]], Masker::default()).unwrap();
    let event = WHOLE
        .replace(
            "\"userAgent\":\"agent\"",
            &format!("\"userAgent\":\"aws_secret_access_key={SECRET}\""),
        )
        .replace(
            "\"policyArn\":\"arn:p\"",
            &format!("\"secretAccessKey\":\"{SECRET}\""),
        );
    let processed =
        ChainWorker::new(Arc::new(chain)).process(batches::events(&[event]), 1_772_400_000_000);
    for schema in Schema::all() {
        let mut out = Vec::new();
        let encoder = Encoder::new(schema.version, true);
        encoder.event(&processed.view(0, 0), &mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert!(
            !text.contains(SECRET) && text.contains("<masked:"),
            "{text}"
        );
        schema.check(&serde_json::from_str(&text).unwrap(), "masked");
    }
}

fn normalize(arguments: &[&str], input: &[u8]) -> Output {
    let folder = tempfile::tempdir().unwrap();
    let mut child = Command::new(binary())
        .arg("normalize")
        .args(arguments)
        .current_dir(folder.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input).unwrap();
    child.wait_with_output().unwrap()
}

#[test]
fn the_command_writes_every_format() {
    let records = format!("{{\"Records\":[{WHOLE}]}}");
    let line = |output: &Output| -> Value {
        assert!(output.status.success(), "{output:?}");
        assert_eq!(output.stdout.split(|byte| *byte == b'\n').count() - 1, 1);
        serde_json::from_slice(&output.stdout).unwrap()
    };
    for (schema, format) in Schema::all().iter().zip(["ocsf-1.8.0", "ocsf-1.1.0"]) {
        for input in [
            WHOLE.as_bytes().to_vec(),
            records.as_bytes().to_vec(),
            gzip(records.as_bytes()),
        ] {
            let document = line(&normalize(&["--format", format, "--raw-data"], &input));
            schema.check(&document, format);
            let raw: Value = serde_json::from_str(document["raw_data"].as_str().unwrap()).unwrap();
            assert_eq!(raw, serde_json::from_str::<Value>(WHOLE).unwrap());
        }
    }
    let original = normalize(&["--format", "original"], WHOLE.as_bytes());
    assert!(
        original
            .stdout
            .starts_with(WHOLE.trim_end_matches('}').as_bytes())
    );
    assert_eq!(
        line(&normalize(&["--format", "hec", "-"], WHOLE.as_bytes()))["sourcetype"],
        "aws:cloudtrail"
    );
    assert_eq!(
        line(&normalize(&["--format", "datadog"], WHOLE.as_bytes()))["ddsource"],
        "cloudtrail"
    );
}

#[test]
fn the_command_goes_on_after_bad_lines_and_names_them() {
    let input = format!(
        "{WHOLE}\n{{\"secret\":}}\n{{\"a\":\"secret\"}}\n{}\n",
        WHOLE.replace("apiVersion", "newMember")
    );
    let output = normalize(&["--report-unmapped"], input.as_bytes());
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(output.stdout.split(|byte| *byte == b'\n').count() - 1, 2);
    let errors = String::from_utf8(output.stderr).unwrap();
    for part in [
        "line 2: is not JSON at byte 10",
        "event 1: has no eventTime",
        "1  newMember",
        "2 events are left out",
    ] {
        assert!(errors.contains(part), "no {part:?} in {errors}");
    }
    assert!(!errors.contains("secret"));
}
