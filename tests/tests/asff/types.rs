//! The types of the SDK, as `tests/asff_model.py` holds findings against them, refuse what is not of them.

use serde_json::{Value, json};

use super::{changed, long, model, pairs, resources, whole};

/// What is changed, into what (nothing: it is taken away), and what is said of it (nothing: it is right).
type Case = (&'static str, Option<Value>, &'static str);

fn what_is_right() -> Vec<Case> {
    vec![
        ("/Title", Some(long(256)), ""),
        ("/Title", Some(json!("two\nlines")), ""),
        ("/ProductFields", Some(pairs(50, 128, 2048)), ""),
        ("/Resources", Some(resources(32)), ""),
        (
            "/CreatedAt",
            Some(json!("2026-03-01T10:20:30.123456789+18:00")),
            "",
        ),
    ]
}

fn members_values_and_kinds() -> Vec<Case> {
    vec![
        ("/Unknown", Some(json!(1)), "unknown field"),
        ("/Resources/0/Unknown", Some(json!("x")), "unknown field"),
        (
            "/Action/AwsApiCallAction/Unknown",
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
        (
            "/FindingProviderFields/Severity/Label",
            Some(json!("high")),
            "is none of INFORMATIONAL",
        ),
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
    ]
}

fn texts_and_numbers() -> Vec<Case> {
    vec![
        ("/Title", Some(json!("")), "does not match"),
        ("/Title", Some(json!("\u{feff}")), "does not match"),
        ("/Title", Some(long(257)), "257 characters"),
        ("/Description", Some(long(1_025)), "1025 characters"),
        (
            "/Remediation/Recommendation/Text",
            Some(long(513)),
            "513 characters",
        ),
        (
            "/Action/AwsApiCallAction/Api",
            Some(long(129)),
            "129 characters",
        ),
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
            "/Action/AwsApiCallAction/FirstSeen",
            Some(json!("now")),
            "is no time",
        ),
        (
            "/Resources/2/Type",
            Some(json!("AwsIamUser")),
            "is not about a resource of type",
        ),
    ]
}

#[test]
fn the_types_of_the_sdk_refuse_what_they_do_not_know() {
    let cases = [
        what_is_right(),
        members_values_and_kinds(),
        texts_and_numbers(),
    ]
    .concat();
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
}

#[test]
fn requests_are_held_against_the_types_too() {
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
