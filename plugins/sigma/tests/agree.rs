//! Every verdict of the library is that of an evaluator written from the specification alone.
#![allow(clippy::unwrap_used, reason = "a test may panic")]
#![allow(missing_docs, reason = "a test")]

mod common;
#[allow(clippy::pedantic, reason = "as plain as can be")]
mod reference;

use std::{collections::BTreeMap, fs};

use common::{Columns, corpus, matched, pack, rules};
use proptest::prelude::*;
use serde_json::{Map, Value, json};
use sigma::{Options, Pack, Room, Source, State, Wanted};

fn lists(of: &[(&str, &[&str])]) -> (Options, Map<String, Value>) {
    let mut placeholders = BTreeMap::new();
    let mut lists = Map::new();
    for (name, values) in of {
        let owned: Vec<String> = values.iter().map(ToString::to_string).collect();
        lists.insert((*name).to_owned(), json!(owned));
        placeholders.insert((*name).to_owned(), owned);
    }
    let options = Options {
        placeholders,
        ..Options::default()
    };
    (options, lists)
}

fn tree(text: &str) -> Value {
    // As YAML 1.2 has it: `no` and `y` are texts.
    let options = serde_saphyr::options! { strict_booleans: true };
    serde_saphyr::from_str_with_options(text, options).unwrap()
}

#[test]
fn every_event_and_rule_of_the_corpus() {
    let Some(root) = corpus() else { return };
    let (options, lists) = lists(&[
        ("Legitimate_Countries", &["DE", "C?"]),
        ("Legitimate_IP_Ranges", &["192.0.2.*"]),
    ]);
    let files = rules(&root, &["rules", "rules-placeholder"]);
    let sources = files.iter().map(|(path, text)| Source { path, text });
    let pack = Pack::compile(sources, &options).unwrap();
    assert!(
        pack.rules()
            .iter()
            .all(|rule| rule.state == State::Compiled),
        "{:?}",
        pack.rules()
    );
    assert_eq!(pack.detections().len(), 58);
    let trees: Vec<Value> = files.iter().map(|(_, text)| tree(text)).collect();
    let (mut events, mut matches) = (0, 0);
    for folder in ["invictus-aws-dataset", "stratus-red-team"] {
        for line in fs::read_to_string(root.join(folder).join("events.ndjson"))
            .unwrap()
            .lines()
        {
            let event: Value = serde_json::from_str(line).unwrap();
            let mut said = Vec::new();
            pack.matches(
                &Columns::of(&event, &pack),
                &mut Room::default(),
                |number| said.push(number as usize),
            );
            let wanted: Vec<usize> = (0..trees.len())
                .filter(|number| reference::matches(&trees[*number], &event, &lists))
                .collect();
            assert_eq!(said, wanted, "{line}");
            assert!(
                said.is_empty() || subscribed(&pack, &event),
                "not subscribed to: {line}"
            );
            events += 1;
            matches += wanted.len();
        }
    }
    assert_eq!(events, 3_210);
    eprintln!(
        "{} pairs agree, of which {matches} match",
        events * trees.len()
    );
}

/// Whether the host would hand this event to the pack.
fn subscribed(pack: &Pack, event: &Value) -> bool {
    let clauses = pack.clauses();
    let text = |pointer: &str| {
        event
            .pointer(pointer)
            .filter(|value| !value.is_null())
            .map(|value| match value {
                Value::String(text) => text.clone(),
                other => other.to_string(),
            })
    };
    let holds = |wanted: &Wanted| match wanted {
        Wanted::OneOf(pointer, values) => text(pointer).is_some_and(|text| values.contains(&text)),
        Wanted::StartsWith(pointer, starts) => {
            text(pointer).is_some_and(|text| starts.iter().any(|start| text.starts_with(start)))
        }
        Wanted::Present(pointer) => text(pointer).is_some(),
    };
    clauses.is_empty() || clauses.iter().any(|clause| clause.iter().all(holds))
}

/// Lines of a detection that between them use every modifier.
const LINES: &[&str] = &[
    "f: x",
    "f: X*",
    "f: '?'",
    "f: '*'",
    "f: ''",
    "f: null",
    "f: [null, 'y']",
    "f: 5",
    "f: '5'",
    "f: 5.0",
    "f: true",
    "f: 'TRUE'",
    "f: -1",
    r"f: 'a\b'",
    r"f: 'a\*b'",
    r"f: 'a\\*'",
    r"f: 'a\\\*b'",
    "f|contains: b",
    "f|contains: ''",
    "f|contains: '*'",
    "f|contains|all: [a, b]",
    "f|all: [a*, '*b']",
    "f|startswith: a",
    "f|startswith: [x, Ä]",
    "f|endswith: b",
    "f|endswith: '?b'",
    "f|cased: x",
    "f|cased: X",
    "f|contains|cased: B",
    "f|neq: x",
    "f|neq: [x, 5]",
    "f|neq: null",
    "f|exists: true",
    "f|exists: false",
    "f|re: '^a.*b$'",
    "f|re: 'A'",
    "f|re|i: 'A'",
    "f|re|m: '^b$'",
    "f|re|s: 'a.b'",
    "f|re|i|s: 'A.B'",
    "f|re: ['x{2,3}', '[0-9]+']",
    "f|cidr: 10.0.0.0/8",
    "f|cidr: [192.0.2.1, '2001:db8::/33']",
    "f|cidr: 0.0.0.0/0",
    "f|gt: 4",
    "f|gte: 5",
    "f|lt: 5.5",
    "f|lte: '5'",
    "f|neq|gte: 5",
    "f|base64: secret",
    "f|base64offset|contains: secret",
    "f|wide|base64: cmd",
    "f|wide|base64offset|contains: cmd",
    "f|utf16le|base64offset|contains: cmd",
    "f|utf16be|base64offset|contains: cmd",
    "f|utf16|base64: cmd",
    "f|windash: '-x a-b'",
    "f|windash|contains: ' -x'",
    "f|contains|windash: ['/x', '—y']",
    "f|expand: '%names%'",
    "f|expand: 'pre-%names%-post'",
    "f|expand|contains: '%names%'",
    "f|expand: '%names%%more%'",
    "f|fieldref: g",
    "f|fieldref|cased: g",
    "f|fieldref|contains: g",
    "f|fieldref|startswith: g",
    "f|fieldref|endswith: g",
    "f|neq|fieldref: g",
    "f|fieldref: o.p",
    "f|hour: 21",
    "f|hour|gte: 21",
    "f|minute|lt: 8",
    "f|day: [21, 22]",
    "f|week: 47",
    "f|month: 11",
    "f|year|gt: 2025",
    "f|neq|year: 2026",
    "o.p: x",
    "o.p: null",
    "o.p|exists: true",
    "o.p|contains: b",
    "o.p.q: x",
    "o.p.q|neq: x",
    "o.p.q: null",
    "o.0: x",
    "o.p.1: x",
    "o.p.0.q: x",
    "o|contains: '\"p\":\"x\"'",
    "o|contains: 'x'",
    "o|re: 'p.{0,4}x'",
    "o.p: [a, b, c, d, e, x, 'Ä']",
    "f: [a, b, c, d, e, 'x*', 5]",
    "o.p|fieldref: f",
    "'|all': [x, y]",
    "'|contains': x",
    "'|re': 'x.y'",
    "o.p|gt: 1",
    "o.p|contains|all: [a, b]",
    "f: ['x', 'y', 'z', 'Ä', 'a\\*b', 'q']",
    "o.p|neq: [x, null]",
    "eventName: [Get, Put]",
    "eventSource: S3",
];

const CONDITIONS: &[&str] = &[
    "one",
    "not one",
    "one and two",
    "one or two",
    "one and not two",
    "not one and not two",
    "not (one or two)",
    "1 of them",
    "all of them",
    "1 of o* or two",
    "all of t*",
    "not 1 of *",
    "ONE_ OR one AND two",
    "not not one",
    "any of them and three",
    "three or one and two",
    "(three or one) and two",
    "1 of _hidden or one",
];

fn rule(lines: [&str; 3], condition: &str) -> String {
    let [one, two, three] = lines;
    format!(
        "title: t\ndetection:\n  one:\n    {one}\n  two:\n    - {two}\n    - {three}\n  three:\n    - word\n    - 7\n  ONE_:\n    {two}\n    g: x\n  _hidden:\n    {three}\n  condition: {condition}\n"
    )
}

/// Values that the lines are about, and some that they are not.
fn values() -> Vec<Value> {
    let encoded = [
        "c2VjcmV0",
        "xxc2VjcmV0",
        "dGhlIHNlY3JldCBpcw==",
        "YwBtAGQA",
        "AGMAbQBk",
        "//5jAG0AZAA=",
    ];
    let times = [
        "2026-11-22T21:07:59Z",
        "2025-12-29T09:00:00Z",
        "2021-01-03",
        "2026-13-01T00:00:00Z",
    ];
    let texts = [
        "x",
        "X",
        "y",
        "xy",
        "",
        "a",
        "b",
        "ab",
        "a b",
        "a\nb",
        "aXb",
        "a\\b",
        "a*b",
        "a\\*b",
        "a\\",
        "5",
        "5.0",
        "true",
        "-1",
        "Ä",
        "äx",
        "xx1",
        "10.1.2.3",
        "192.0.2.1",
        "2001:db8::1",
        "2001:db8:8000::1",
        "lambda.amazonaws.com",
        "-x a-b",
        "/x a/b",
        "—y –x a―b",
        "cmd /x",
        "one",
        "two",
        "pre-one-post",
        "onetwo",
        "word",
        "a word",
        "7",
        "Get",
        "get",
        "s3",
        "S3",
    ];
    let plain = texts
        .iter()
        .chain(&encoded)
        .chain(&times)
        .map(|text| json!(text));
    let others = [
        json!(null),
        json!(5),
        json!(5.0),
        json!(4),
        json!(-1),
        json!(1e3),
        json!(true),
        json!(false),
        json!([]),
        json!({}),
    ];
    plain.chain(others).collect()
}

/// A rule, compiled and as a tree.
struct Both {
    text: String,
    pack: Pack,
    tree: Value,
    lists: Map<String, Value>,
}

impl Both {
    fn of(text: String) -> Self {
        let (options, lists) = lists(&[("names", &["one", "x*"]), ("more", &["two", "three"])]);
        let pack = pack(&[&text], &options);
        assert_eq!(pack.rules()[0].state, State::Compiled, "{text}");
        let tree = tree(&text);
        Self {
            text,
            pack,
            tree,
            lists,
        }
    }

    fn check(&self, event: &Value) {
        let wanted = reference::matches(&self.tree, event, &self.lists);
        let Self { text, pack, .. } = self;
        // The host compares the name of a call as it is written, and so does the index.
        let named = |name: &str| {
            event[name].is_array() || matches!(event[name].as_str(), Some("get" | "s3"))
        };
        if named("eventName") || named("eventSource") {
            return;
        }
        assert_eq!(!matched(pack, event).is_empty(), wanted, "{text}\n{event}");
        assert!(
            !wanted || subscribed(pack, event),
            "not subscribed to: {text}\n{event}"
        );
    }
}

#[test]
fn every_modifier_with_every_value() {
    let mut pairs = 0;
    for line in LINES {
        for condition in ["one", "not one"] {
            let both = Both::of(rule([line, "f: x", "g: y"], condition));
            for value in values() {
                let events = [
                    json!({ "f": value, "g": "x", "o": { "p": value } }),
                    json!({ "f": [1, value, ["y"]], "g": value, "o": { "p": [{ "q": "x" }, value] } }),
                    json!({ "o.p": value, "o": [{ "p": "b" }, { "p": { "q": value } }, value], "f": { "k": value } }),
                    json!({ "eventName": value, "eventSource": value, "o": { "p": { "q": [value, "z"] } } }),
                ];
                for event in events {
                    both.check(&event);
                    pairs += 1;
                }
            }
        }
    }
    eprintln!("{pairs} pairs agree");
}

fn any_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![4 => proptest::sample::select(values()), 1 => "[a-bxÄ*?/ -]{0,6}".prop_map(Value::from)];
    leaf.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            proptest::collection::btree_map(
                proptest::sample::select(vec!["p", "q", "0", "1", "p.q"]),
                inner,
                0..3
            )
            .prop_map(|map| json!(map)),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn rules_and_events_at_random(
        lines in [proptest::sample::select(LINES), proptest::sample::select(LINES), proptest::sample::select(LINES)],
        condition in proptest::sample::select(CONDITIONS),
        event in proptest::collection::btree_map(
            proptest::sample::select(vec!["f", "g", "o", "o.p", "o.p.q", "word", "eventName", "eventSource"]), any_value(), 0..6,
        ),
    ) {
        let [one, two, three] = lines;
        Both::of(rule([one, two, three], condition)).check(&json!(event));
    }

    #[test]
    fn patterns_at_random(pattern in r"[abÄ*?\\]{0,8}", text in r"[abä*?\\]{0,8}", place in "(|[|]contains|[|]startswith|[|]endswith|[|]cased)") {
        let rule = format!("title: t\ndetection:\n  one:\n    f{place}: '{pattern}'\n  condition: one\n");
        Both::of(rule).check(&json!({ "f": text }));
    }
}
