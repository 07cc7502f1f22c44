//! What is shipped for Splunk and Datadog fits what is sent to them: every field that an extraction, a panel or
//! a facet names is a member of a finding as that sink encodes it.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::Value;
use sluicegate::{
    finding::{Finding, Severity},
    sink::{Sink, datadog_logs, splunk_hec},
};
use sluicegate_tests::findings::facts;

fn deploy(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../deploy")
        .join(path)
}

fn read(path: &str) -> String {
    fs::read_to_string(deploy(path)).unwrap()
}

fn settings<T: serde::de::DeserializeOwned>(json: &Value) -> T {
    serde_json::from_value(json.clone()).unwrap()
}

/// A finding in which nothing is empty.
fn finding() -> Finding {
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    Finding {
        id: "sluicegate/p/r/123456789012/eu-central-1/0".into(),
        plugin: "p".into(),
        rule: "r".into(),
        title: "t".into(),
        description: "d".into(),
        severity: Severity::High,
        entity: vec!["e".into()],
        window_s: 3600,
        attributes: vec![
            pair("technique", "T1552, T1078"),
            pair("tactic", "credential-access"),
        ],
        event: facts(),
        count: 2,
        first_ms: 1_700_000_000_000,
        last_ms: 1_700_000_000_000,
        created_ms: 1_700_000_000_000,
        updated_ms: 1_700_000_000_000,
        event_ids: vec!["i".into()],
    }
}

fn encoded(sink: &dyn Sink) -> Value {
    let mut out = Vec::new();
    sink.encode_finding(&finding(), &mut out).unwrap();
    serde_json::from_slice(&out).unwrap()
}

/// Names of all members, joined by dots.
fn members(value: &Value, above: &str, all: &mut BTreeSet<String>) {
    if let Value::Object(object) = value {
        for (name, value) in object {
            let path = format!("{above}{name}");
            members(value, &format!("{path}."), all);
            all.insert(path);
        }
    }
}

/// Stanzas of one of Splunk's files, with their settings.
fn stanzas(text: &str) -> BTreeMap<String, BTreeMap<String, String>> {
    let mut stanzas: BTreeMap<String, BTreeMap<String, String>> = BTreeMap::new();
    let mut stanza = String::new();
    for line in text
        .lines()
        .map(str::trim)
        .filter(|line| !line.starts_with('#'))
    {
        if let Some(name) = line
            .strip_prefix('[')
            .and_then(|rest| rest.strip_suffix(']'))
        {
            name.clone_into(&mut stanza);
            stanzas.entry(stanza.clone()).or_default();
        } else if let Some((key, value)) = line.split_once('=') {
            let known = stanzas.entry(stanza.clone()).or_default();
            let before = known.insert(key.trim().to_owned(), value.trim().to_owned());
            assert_eq!(before, None, "{key} comes twice in [{stanza}]");
        } else {
            assert_eq!(line, "", "neither a stanza nor a setting");
        }
    }
    stanzas
}

/// Names of fields in an expression of Splunk: what stands in single quotes, and words that no bracket follows.
fn fields_of(expression: &str) -> Vec<String> {
    let unquoted: String = expression
        .split('"')
        .step_by(2)
        .collect::<Vec<_>>()
        .join(" ");
    let mut fields: Vec<String> = unquoted
        .split('\'')
        .skip(1)
        .step_by(2)
        .map(str::to_owned)
        .collect();
    let bare: String = unquoted
        .split('\'')
        .step_by(2)
        .collect::<Vec<_>>()
        .join(" ");
    let words = bare.match_indices(|c: char| c.is_ascii_alphabetic());
    for (at, _) in words.filter(|(at, _)| {
        *at == 0
            || !bare.as_bytes()[at - 1].is_ascii_alphanumeric() && bare.as_bytes()[at - 1] != b'_'
    }) {
        let word: String = bare[at..]
            .chars()
            .take_while(|c| c.is_ascii_alphanumeric() || *c == '_')
            .collect();
        if !bare[at + word.len()..].starts_with('(') {
            fields.push(word);
        }
    }
    fields
}

/// The field that an alias or an expression makes, and those it reads.
fn made_of(key: &str, value: &str) -> Option<(String, Vec<String>)> {
    if let Some(name) = key.strip_prefix("EVAL-") {
        return Some((name.to_owned(), fields_of(value)));
    }
    if key.starts_with("FIELDALIAS-") {
        let (from, to) = value.split_once(" AS ").expect("an alias names two fields");
        return Some((to.to_owned(), vec![from.to_owned()]));
    }
    None
}

#[test]
fn extractions_for_splunk_read_what_a_finding_has() {
    let of: splunk_hec::Settings = settings(&serde_json::json!({
        "endpoint": "http://127.0.0.1:1", "token_env": "PATH",
    }));
    let envelope = encoded(&splunk_hec::SplunkHec::new(&of).unwrap());
    let mut known = BTreeSet::new();
    members(&envelope["event"], "", &mut known);

    let props = stanzas(&read("splunk/TA-sluicegate/default/props.conf"));
    for name in [
        &of.finding_sourcetype,
        &of.insight_sourcetype,
        &of.aggregated_sourcetype,
        &of.ocsf_sourcetype,
    ] {
        let stanza = props
            .get(name)
            .unwrap_or_else(|| panic!("no stanza for {name}"));
        assert_eq!(stanza["KV_MODE"], "json");
        assert!(!stanza.contains_key("INDEXED_EXTRACTIONS"));
    }
    assert_eq!(props.len(), 4, "a stanza for each sourcetype and no other");
    let mut made = BTreeSet::new();
    for (key, value) in &props[&of.finding_sourcetype] {
        let Some((field, reads)) = made_of(key, value) else {
            continue;
        };
        for field in reads {
            assert!(
                known.contains(&field),
                "{key} reads {field}, which no finding has"
            );
        }
        made.insert(field);
    }
    // What the data model Alerts asks of its sources.
    for field in [
        "app",
        "dest",
        "signature",
        "signature_id",
        "src",
        "subject",
        "type",
        "user",
        "vendor_account",
        "vendor_region",
        "mitre_technique_id",
    ] {
        assert!(made.contains(field), "{field} of CIM Alerts is missing");
    }
    assert!(known.contains("severity") && known.contains("description") && known.contains("id"));

    let types = stanzas(&read("splunk/TA-sluicegate/default/eventtypes.conf"));
    let tags = stanzas(&read("splunk/TA-sluicegate/default/tags.conf"));
    for (name, stanza) in &types {
        let sourcetype = stanza["search"]
            .trim_start_matches("sourcetype=")
            .trim_matches('"');
        assert!(
            props.contains_key(sourcetype),
            "{sourcetype} has no extractions"
        );
        assert_eq!(tags[&format!("eventtype={name}")]["alert"], "enabled");
    }
    let lookups = stanzas(&read("splunk/TA-sluicegate/default/transforms.conf"));
    for (name, lookup) in &lookups {
        let table = read(&format!(
            "splunk/TA-sluicegate/lookups/{}",
            lookup["filename"]
        ));
        for severity in ["informational", "low", "medium", "high", "critical"] {
            assert!(
                table.contains(&format!("\n{severity},")),
                "{name} lacks {severity}"
            );
        }
    }
    let words = read("splunk/TA-sluicegate/default/data/ui/views/sluicegate_findings.xml");
    for field in words
        .split("latest(")
        .skip(1)
        .filter_map(|rest| rest.split(')').next())
    {
        assert!(
            known.contains(field) || made.contains(field) || field.starts_with('_'),
            "the dashboard shows {field}, which no finding has"
        );
    }
}

#[test]
fn dashboards_for_splunk_are_xml() {
    let python = Path::new(env!("CARGO_MANIFEST_DIR")).join("../.venv/bin/python");
    for view in ["nav/default.xml", "views/sluicegate_findings.xml"] {
        let path = deploy("splunk/TA-sluicegate/default/data/ui").join(view);
        let status = Command::new(&python)
            .args([
                "-c",
                "import sys, xml.dom.minidom as m; m.parse(sys.argv[1])",
            ])
            .arg(&path)
            .status()
            .unwrap();
        assert!(status.success(), "{}", path.display());
    }
}

#[test]
fn pipeline_facets_and_dashboard_for_datadog_name_what_a_finding_has() {
    let of: datadog_logs::Settings = settings(&serde_json::json!({ "api_key_env": "PATH" }));
    let sink = datadog_logs::DatadogLogs::new(&of)
        .unwrap()
        .with_clock(|| 1_700_000_000_000);
    let log = encoded(&sink);
    let mut known = BTreeSet::new();
    members(&log, "", &mut known);

    let pipeline: Value = serde_json::from_str(&read("datadog/pipeline.json")).unwrap();
    assert_eq!(pipeline["filter"]["query"], "source:sluicegate");
    assert_eq!(log["ddsource"], "sluicegate");
    for processor in pipeline["processors"].as_array().unwrap() {
        let one = processor.get("source").into_iter();
        let several = processor.get("sources").and_then(Value::as_array);
        for source in one.chain(several.into_iter().flatten()) {
            let source = source.as_str().unwrap();
            assert!(known.contains(source), "a processor reads {source}");
        }
        known.extend(
            processor
                .get("target")
                .and_then(Value::as_str)
                .map(str::to_owned),
        );
    }
    let facets: Value = serde_json::from_str(&read("datadog/facets.json")).unwrap();
    for facet in facets.as_array().unwrap() {
        let path = facet["path"].as_str().unwrap();
        assert!(known.contains(path), "no finding has {path}");
    }
    let dashboard = read("datadog/dashboard.json");
    serde_json::from_str::<Value>(&dashboard).unwrap();
    // Fields of CloudTrail's own events, which Datadog's pipeline for them knows.
    let of_events = ["errorCode", "eventSource", "userIdentity.arn"];
    for rest in dashboard.split('@').skip(1) {
        let field: String = rest
            .chars()
            .take_while(|c| c.is_ascii_alphanumeric() || "._".contains(*c))
            .collect();
        assert!(
            known.contains(&field) || of_events.contains(&field.as_str()),
            "the dashboard names {field}"
        );
    }
}
