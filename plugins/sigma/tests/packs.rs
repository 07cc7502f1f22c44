//! Packs as they come: good, broken, hostile.
#![allow(clippy::unwrap_used, reason = "a test may panic")]
#![allow(missing_docs, reason = "a test")]

mod common;

use std::fmt::Write as _;

use common::{corpus, matched, pack, rules};
use serde_json::json;
use sigma::{Count, Fault, Kind, Level, Options, Pack, Rule, Source, State, Wanted};

fn compiled(texts: &[&str]) -> Pack {
    pack(texts, &Options::default())
}

/// A rule with this detection, which ends in its condition.
fn rule(title: &str, detection: &str) -> String {
    let indented = detection.replace('\n', "\n  ");
    format!("title: {title}\nname: {title}\ndetection:\n  {indented}\n")
}

fn fault(rule: &Rule) -> &Fault {
    match &rule.state {
        State::Refused(fault) => fault,
        other => panic!("{} is {other:?}", rule.title),
    }
}

/// Why a rule with this detection is refused, and at which line.
fn refused(detection: &str) -> (u32, String) {
    let pack = compiled(&[
        &rule("t", detection),
        &rule("good", "a: {f: x}\ncondition: a"),
    ]);
    assert_eq!(pack.rules()[1].state, State::Compiled, "the others go on");
    let fault = fault(&pack.rules()[0]);
    (fault.line, fault.reason.clone())
}

#[test]
fn retired_rules_are_refused_by_name_with_what_replaces_them() {
    let Some(root) = corpus() else { return };
    let files = rules(&root, &["unsupported"]);
    let sources = files.iter().map(|(path, text)| Source { path, text });
    let pack = Pack::compile(sources, &Options::default()).unwrap();
    assert_eq!(pack.rules().len(), 8);
    for rule in pack.rules() {
        let fault = fault(rule);
        let kind = match rule.path.as_str() {
            "aws_ses_messaging_enabled.yml" => "its status is `unsupported`",
            "aws_lambda_function_created_or_invoked.yml" => "of type `temporal`",
            _ => "of type `event_count`",
        };
        assert!(fault.reason.contains(kind), "{}: {fault}", rule.path);
        assert!(fault.line > 1 || kind.starts_with("its"), "{fault}");
    }
    let by = pack
        .rules()
        .iter()
        .find(|rule| rule.path == "aws_macic_evasion.yml")
        .unwrap();
    assert!(
        fault(by).reason.contains("`group-by: [sourceIPAddress]`"),
        "{by:?}"
    );
}

#[test]
fn a_rule_says_what_it_is() {
    let text = "
title: Someone stopped the trail
id: 4DB60CC0-36FB-42B7-9B58-A5B53019FB74
status: test
level: high
description: |
  Two
  lines.
references: [https://example.org/a]
tags: [attack.defense-evasion, attack.t1562.008, cve.2020-1]
falsepositives: Somebody tidies up
logsource: {product: aws, service: cloudtrail}
detection:
  call: {eventSource: cloudtrail.amazonaws.com, eventName: [StopLogging, DeleteTrail]}
  failed: {errorCode|exists: true}
  condition: call and not failed
";
    let options = Options {
        readable: true,
        ..Options::default()
    };
    let pack = pack(&[text], &options);
    let rule = &pack.rules()[0];
    assert_eq!(
        (rule.id.as_str(), rule.line),
        ("4db60cc0-36fb-42b7-9b58-a5b53019fb74", 2)
    );
    assert_eq!(
        (rule.level, rule.kind, rule.status.as_str()),
        (Level::High, Kind::Detection, "test")
    );
    assert_eq!(rule.techniques().collect::<Vec<_>>(), ["T1562.008"]);
    assert_eq!(rule.tactics().collect::<Vec<_>>(), ["Defense Evasion"]);
    assert_eq!(rule.false_positives, ["Somebody tidies up"]);
    assert_eq!(
        rule.condition,
        "((eventSource: cloudtrail.amazonaws.com and eventName: StopLogging, DeleteTrail) and not errorCode|exists: true)"
    );
    let names = vec!["StopLogging".to_owned(), "DeleteTrail".to_owned()];
    let sources = vec!["cloudtrail.amazonaws.com".to_owned()];
    assert_eq!(
        pack.clauses(),
        [[
            Wanted::OneOf("/eventName", names),
            Wanted::OneOf("/eventSource", sources)
        ]]
    );
}

#[test]
fn what_a_rule_must_see_follows_from_its_condition() {
    let clauses = |detection: &str| compiled(&[&rule("t", detection)]).clauses();
    let present = |of: &[&str]| -> Vec<Vec<Wanted>> {
        of.iter()
            .map(|path| vec![Wanted::Present((*path).into())])
            .collect()
    };
    assert!(
        clauses("a: {f: null}\ncondition: a").is_empty(),
        "all events"
    );
    assert!(clauses("a: {f: x}\ncondition: not a").is_empty());
    assert!(clauses("a: [word]\ncondition: a").is_empty());
    assert!(clauses("a: {eventName: A}\nb: {f|neq: x}\ncondition: a or b").is_empty());
    assert_eq!(
        clauses("a: {f|contains: x}\ncondition: a"),
        present(&["/f"])
    );
    let starts = |path: &str, starts: &[&str]| {
        let starts = starts.iter().map(ToString::to_string).collect();
        Wanted::StartsWith(path.to_owned(), starts)
    };
    assert_eq!(
        clauses("a: {o.p|endswith: x, f: null}\ncondition: a"),
        [
            vec![starts("/o", &["["])],
            vec![Wanted::Present("/o.p".into())],
            vec![Wanted::Present("/o/p".into())],
        ],
        "or below an array"
    );
    assert_eq!(
        clauses("a: {f|contains: x, g: [Root, '1?']}\ncondition: a"),
        [[starts("/g", &["1", "RO", "Ro", "[", "rO", "ro"])]]
    );
    assert_eq!(
        clauses("a: {eventName: A, eventSource: S3}\nb: {eventName: B}\ncondition: 1 of them")
            .len(),
        2
    );
    let name = |name: &str| Wanted::OneOf("/eventName", vec![name.to_owned()]);
    assert_eq!(
        clauses("a: {eventName: A, f|cased: xyz}\ncondition: a"),
        [[name("A"), starts("/f", &["[", "xy"])]]
    );
    assert_eq!(
        clauses("a: {eventName: A*}\ncondition: a"),
        [[starts("/eventName", &["A", "[", "a"])]]
    );
}

#[test]
fn rules_about_other_logs_and_deprecated_ones_are_passed_over() {
    let other = "title: t\nlogsource: {product: windows, category: process_creation}\ndetection: {a: {f: x}, condition: a}\n";
    let old = "title: o\nstatus: deprecated\ndetection: {a: {f: x}, condition: a}\n";
    let pack = compiled(&[other, old]);
    assert_eq!(
        pack.rules()[0].state,
        State::Skipped(
            "is about product windows, category process_creation, not about CloudTrail".into()
        )
    );
    assert!(matches!(pack.rules()[1].state, State::Skipped(_)));
    assert!(pack.detections().is_empty());
}

#[test]
fn what_cannot_be_compiled_is_refused_with_line_and_reason() {
    for (detection, line, reason) in [
        (
            "a: {f|contians: x}\ncondition: a",
            4,
            "modifier `contians` is not one of Sigma 2",
        ),
        ("a: {f|re|contains: x}\ncondition: a", 4, "changes texts"),
        (
            "a:\n  f|re: ['ok', 'a(']\ncondition: a",
            5,
            "is no regular expression that can be used: unclosed group",
        ),
        ("a: {f|re: '(?=x)'}\ncondition: a", 4, "look-around"),
        (
            "a: {f|re: '((a{100}){100}){100}'}\ncondition: a",
            4,
            "size limit",
        ),
        ("a: {f|cidr: 10.0.0.0/33}\ncondition: a", 4, "is no network"),
        (
            "a: {f|gt: many}\ncondition: a",
            4,
            "is compared as a number",
        ),
        (
            "a: {f|exists: maybe}\ncondition: a",
            4,
            "`exists` takes true or false",
        ),
        (
            "a: {f|expand: '%who%'}\ncondition: a",
            4,
            "placeholder `%who%` has no list",
        ),
        (
            "a: {f|contains: null}\ncondition: a",
            4,
            "null takes no modifier",
        ),
        ("a: {f: [[x]]}\ncondition: a", 4, "is compared with a list"),
        ("a: {f: []}\ncondition: a", 4, "has an empty list"),
        (
            "a: {f|base64: 'x*'}\ncondition: a",
            4,
            "text without wildcards",
        ),
        (
            "a: {f|wide: x}\ncondition: a",
            4,
            "`base64` or `base64offset` follows",
        ),
        ("a: {f.*.g: x}\ncondition: a", 4, "a step cannot be `*`"),
        (
            "a: {f: x}\ncondition: b",
            5,
            "names `b`, and there is no such detection",
        ),
        (
            "a: {f: x}\ncondition: a and",
            5,
            "ends where a detection should be named",
        ),
        ("a: {f: x}\ncondition: a a", 5, "ends too early"),
        ("a: {f: x}\ncondition: (a", 5, "not closed"),
        (
            "a: {f: x}\ncondition: 1 of b*",
            5,
            "no detection is called so",
        ),
        (
            "a: {f: x}\ncondition: a | count(g) by h > 3",
            5,
            "correlation of type `value_count` that names it, `group-by: [h]`, `field: g`",
        ),
        ("a: {f: x}", 4, "has no `condition`"),
        ("a: {}\ncondition: a", 4, "a detection is empty"),
        (
            "a: [x, {f: x}]\ncondition: a",
            4,
            "maps only or keywords only",
        ),
    ] {
        let (at, why) = refused(detection);
        assert!(why.contains(reason), "{detection}: {why}");
        assert_eq!(at, line, "{detection}: {why}");
    }
    let deep = format!(
        "a: {{f: x}}\ncondition: {}a{}",
        "(".repeat(60),
        ")".repeat(60)
    );
    assert!(refused(&deep).1.contains("nested deeper than 50"));
    let long = format!("a: {{f: x}}\ncondition: a{}", " or a".repeat(2_000));
    assert!(refused(&long).1.contains("more than 2000 words"));
}

#[test]
fn documents_that_are_no_rules_are_refused() {
    let faults = |text: &str| fault(&compiled(&[text]).rules()[0]).clone();
    assert!(
        faults("title: t\ndetection: [\n")
            .reason
            .starts_with("is not YAML that can be read")
    );
    assert!(faults("a: b\n").reason.contains("is no Sigma rule"));
    assert!(
        faults("action: global\ntitle: t\n")
            .reason
            .contains("`action`, which is retired")
    );
    assert!(
        faults("detection: {a: {f: x}, condition: a}\n")
            .reason
            .contains("has no `title`")
    );
    let level = faults("title: t\nlevel: extreme\ndetection: {a: {f: x}, condition: a}\n");
    assert_eq!(
        (level.line, level.reason.contains("got `extreme`")),
        (2, true)
    );
}

#[test]
fn names_are_taken_once() {
    let one = "title: one\nid: 1f\nname: n\ndetection: {a: {f: x}, condition: a}\n";
    let two = "title: two\nid: 1F\ndetection: {a: {f: y}, condition: a}\n";
    let three = "title: three\nname: n\ndetection: {a: {f: z}, condition: a}\n";
    let pack = compiled(&[one, two, three]);
    assert_eq!(
        fault(&pack.rules()[1]).reason,
        "`1f` is the id or name of rule-0.yml:1 already"
    );
    assert!(
        fault(&pack.rules()[2])
            .reason
            .starts_with("`n` is the id or name of rule-0.yml:1")
    );
    assert_eq!(matched(&pack, &json!({ "f": "y" })), Vec::<String>::new());
}

#[test]
fn what_is_too_much_is_refused_and_stops_nothing() {
    let list = |values: usize| {
        let mut text = "a:\n  f:\n".to_owned();
        (0..values).for_each(|value| writeln!(text, "  - v{value}").unwrap());
        rule("t", &format!("{text}condition: a"))
    };
    let huge = list(900_000);
    assert!(huge.len() > 10 << 20);
    let pack = compiled(&[
        &huge,
        &list(20_001),
        &list(20_000).replace("title: t\nname: t", "title: u"),
    ]);
    assert!(
        fault(&pack.rules()[0])
            .reason
            .contains("at most 1048576 are read of a file")
    );
    assert!(
        fault(&pack.rules()[1])
            .reason
            .contains("has 20001 values, at most 20000")
    );
    assert_eq!(matched(&pack, &json!({ "f": "V19999" })), ["u"]);
    let many: Vec<String> = (0..600)
        .map(|number| {
            rule(
                &format!("r{number}"),
                &format!("a: {{f{number}: x}}\ncondition: a"),
            )
        })
        .collect();
    let texts: Vec<&str> = many.iter().map(String::as_str).collect();
    let pack = compiled(&texts);
    assert!(pack.fields().columns().len() <= 480);
    assert!(fault(&pack.rules()[599]).reason.contains("split the pack"));
}

#[test]
fn filters_keep_rules_from_matching_however_they_are_written() {
    let base = "title: base\nid: b1\ndetection: {a: {f: x}, condition: a}\n";
    for condition in ["who", "not who"] {
        let filter = format!(
            "title: filter\nfilter:\n  rules: [B1]\n  who: {{user|startswith: adm_}}\n  condition: {condition}\n"
        );
        let pack = compiled(&[&filter, base]);
        assert_eq!(pack.rules()[0].kind, Kind::Filter);
        assert_eq!(matched(&pack, &json!({ "f": "x", "user": "eve" })), ["b1"]);
        assert!(
            matched(&pack, &json!({ "f": "x", "user": "adm_1" })).is_empty(),
            "{condition}"
        );
    }
    let nothing = "title: filter\nfilter: {rules: [zz], a: {f: x}, condition: a}\n";
    assert!(
        fault(&compiled(&[nothing, base]).rules()[0])
            .reason
            .contains("none of the rules")
    );
}

/// A correlation of the rules `a` and `b`, with more lines of its section.
fn correlated(kind: &str, more: &str) -> Pack {
    let rules = [
        rule("a", "s: {f: a}\ncondition: s"),
        rule("b", "s: {f: b}\ncondition: s"),
    ];
    let correlation = format!(
        "title: c\nname: c\ncorrelation:\n  type: {kind}\n  rules: [a, b]\n  group-by: [user]\n  timespan: 10m\n{more}"
    );
    compiled(&[&correlation, &rules[0], &rules[1]])
}

#[test]
fn correlations_are_compiled_and_speak_for_their_rules() {
    let pack = correlated("event_count", "  condition: {gte: 3, lt: 5}\n");
    let correlation = &pack.correlations()[0];
    assert_eq!(
        (correlation.count, correlation.seconds),
        (Count::Events, 600)
    );
    let holds: Vec<bool> = [2.0, 3.0, 4.0, 5.0]
        .map(|count| correlation.holds(count))
        .into();
    assert_eq!(holds, [false, true, true, false]);
    assert!(pack.detections().iter().all(|detection| detection.silent));
    let pack = correlated("event_count", "  condition: {eq: 3}\n  generate: true\n");
    assert!(pack.detections().iter().all(|detection| !detection.silent));
    let pack = correlated("temporal", "");
    assert!(
        !pack.correlations()[0].holds(1.0) && pack.correlations()[0].holds(2.0),
        "all rules"
    );
}

#[test]
fn correlations_that_cannot_be_are_refused() {
    let why = |pack: &Pack| fault(&pack.rules()[0]).reason.clone();
    let count = "event_count";
    assert!(why(&correlated(count, "")).contains("needs a condition"));
    assert!(
        why(&correlated(count, "  condition: {lt: 3}\n"))
            .contains("every one begins below the limit")
    );
    assert!(why(&correlated(count, "  condition: {more: 3}\n")).contains("got `more`"));
    assert!(
        why(&correlated("value_count", "  condition: {gte: 3}\n"))
            .contains("must name one `field`")
    );
    assert!(why(&correlated("value_median", "")).contains("got `value_median`"));
    let alias = "  aliases: {user: {a: u}}\n  condition: {gte: 1}\n";
    assert!(
        why(&correlated(count, alias)).contains("alias `user` does not say what it is in rule `b`")
    );
    let silent = correlated(count, "");
    assert!(
        silent
            .detections()
            .iter()
            .all(|detection| !detection.silent),
        "a refused one silences nobody"
    );

    let circle = |name: &str, of: &str| {
        format!(
            "title: {name}\nname: {name}\ncorrelation: {{type: temporal, rules: [{of}], timespan: 1m}}\n"
        )
    };
    let pack = compiled(&[
        &circle("x", "y"),
        &circle("y", "z"),
        &circle("z", "x"),
        &circle("w", "nobody"),
        &circle("v", "bad"),
        "title: bad\nname: bad\ndetection: {a: {f|no: x}, condition: a}\n",
    ]);
    for rule in &pack.rules()[..3] {
        assert!(fault(rule).reason.contains("circle"), "{rule:?}");
    }
    assert!(
        fault(&pack.rules()[3])
            .reason
            .contains("`nobody`, which is not in the pack")
    );
    assert!(
        fault(&pack.rules()[4])
            .reason
            .contains("`bad`, which is no compiled rule")
    );
    let spans = ["0s", "31d", "10", "m", "5w", "-1m"];
    for span in spans {
        let text =
            format!("title: c\ncorrelation: {{type: temporal, rules: [a], timespan: {span}}}\n");
        assert!(
            why(&compiled(&[&text])).contains("`timespan` must be"),
            "{span}"
        );
    }
}

#[test]
fn correlations_stand_after_those_they_are_about() {
    let base = rule("a", "s: {f: a}\ncondition: s");
    let outer =
        "title: outer\ncorrelation: {type: temporal_ordered, rules: [inner, a], timespan: 1h}\n";
    let inner = "title: inner\nname: inner\ncorrelation: {type: event_count, rules: a, timespan: 1m, condition: {gt: 4}}\n";
    let pack = compiled(&[outer, inner, &base]);
    let of = |number: usize| pack.rules()[pack.correlations()[number].rule].title.clone();
    assert_eq!([of(0), of(1)], ["inner", "outer"]);
    assert!(pack.correlations()[0].silent && !pack.correlations()[1].silent);
}
