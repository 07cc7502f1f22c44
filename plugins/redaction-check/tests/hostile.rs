//! Events made to slip a secret through, or to make the search expensive.

use std::time::{Duration, Instant};

use redaction_check::RedactionCheck;
use sluicegate_plugin::testing::Kit;

const TOKEN: &str = "ghp_0123456789abcdefghijABCDEFGHIJ012345";

/// Detectors at a leaf of this JSON text.
fn of_leaf(json: &str) -> Vec<String> {
    let event = format!(
        r#"{{"eventSource":"x.amazonaws.com","eventName":"Y","requestParameters":{{"a":{json}}}}}"#
    );
    let seen = Kit::<RedactionCheck>::new("{}").run(&[&event]);
    let masks = seen.masks(0).into_iter();
    masks.map(|(_, detector)| detector.to_owned()).collect()
}

fn quoted(text: &str) -> String {
    let escaped = text.replace('\\', "\\\\").replace('"', "\\\"");
    format!("\"{}\"", escaped.replace('\n', "\\n"))
}

fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::new();
    for three in bytes.chunks(3) {
        let at = |place: usize| u32::from(three.get(place).copied().unwrap_or(0));
        let bits = at(0) << 16 | at(1) << 8 | at(2);
        for place in 0..4 {
            let letter = LETTERS[(bits >> (18 - 6 * place) & 63) as usize];
            out.push(if place <= three.len() {
                char::from(letter)
            } else {
                '='
            });
        }
    }
    out
}

#[test]
fn wrappers_within_one_another_are_opened() {
    let json = format!(r#"{{"k":{}}}"#, quoted(&format!(r#"{{"t":"{TOKEN}"}}"#)));
    assert_eq!(of_leaf(&quoted(&json)), ["github-token"]);
    assert_eq!(of_leaf(&quoted(&base64(json.as_bytes()))), ["github-token"]);
    let twice = base64(base64(json.as_bytes()).as_bytes());
    assert_eq!(of_leaf(&quoted(&twice)), ["github-token"]);
    let in_url = format!(
        "https://h/?p={}",
        twice.replace('=', "%3D").replace('+', "%2B")
    );
    assert_eq!(of_leaf(&quoted(&in_url)), ["github-token"]);
}

#[test]
fn what_is_wrapped_too_often_counts_as_a_secret() {
    let mut text = TOKEN.to_owned();
    for _ in 0..12 {
        text = base64(text.as_bytes());
    }
    assert_eq!(of_leaf(&quoted(&text)), ["unsearched"]);
    let deep = format!("{}\"password\":1{}", "{\"a\":".repeat(600), "}".repeat(600));
    assert_eq!(
        of_leaf(&quoted(
            &deep.replace("\"password\":1", "{\"password\":\"x\"}")
        )),
        ["unsearched"]
    );
}

#[test]
fn more_than_64_kib_in_base64_counts_as_a_secret() {
    let text = |size: usize| quoted(&base64("plain words, ".repeat(size / 13).as_bytes()));
    assert_eq!(of_leaf(&text(60 * 1024)), Vec::<String>::new());
    assert_eq!(of_leaf(&text(66 * 1024)), ["unsearched"]);
}

#[test]
fn escapes_and_cases_hide_nothing() {
    for (json, detector) in [
        (
            r#""gh\u0070_0123456789abcdefghijABCDEFGHIJ012345""#,
            "github-token",
        ),
        (r#"{"p\u0041ssWord":"correct-horse"}"#, "named-secret"),
        (r#"{"PASSWORD":"correct-horse"}"#, "named-secret"),
        (
            r#""\"pass\\u0077ord\":\"correct-horse1\"""#,
            "secret-assignment",
        ),
        (r#""password\u003dcorrect-horse1""#, "secret-assignment"),
        (
            r#""https:\/\/h\/?token%3Dcorrect-horse1""#,
            "secret-assignment",
        ),
        (
            r#""Authorization: Bearer 0123456789abcdefXYZ""#,
            "secret-assignment",
        ),
        (
            r#""mysql --password correct-horse1 db""#,
            "secret-assignment",
        ),
        (
            r#""<password>correct-horse1</password>""#,
            "secret-assignment",
        ),
        (
            r#""Server=db;Uid=sa;Pwd=correct-horse1;""#,
            "secret-assignment",
        ),
        (
            r#"[{"Value":"correct-horse","Key":"DB_PASSWORD"}]"#,
            "named-secret",
        ),
        (
            r#"[{"n\u0061me":"DB_P\u0041SSWORD","value":"correct-horse"}]"#,
            "named-secret",
        ),
        (r#"{"password":["correct-horse"]}"#, "named-secret"),
        (r#"{"card":4111111111111111}"#, "card-number"),
    ] {
        assert_eq!(of_leaf(json), [detector], "{json}");
    }
}

#[test]
fn a_lone_surrogate_and_a_repeated_name_hide_nothing() {
    let lone = format!(r#""\ud800 {TOKEN}""#);
    assert_eq!(of_leaf(&lone), ["github-token"]);
    let twice = format!(r#"{{"n":"{TOKEN}","n":"x"}}"#);
    assert_eq!(of_leaf(&twice), ["github-token"]);
}

#[test]
fn a_false_marker_is_no_marker() {
    let marker = format!(r#""<masked:{TOKEN}>""#);
    assert_eq!(of_leaf(&marker), ["github-token"]);
    assert_eq!(
        of_leaf(r#"{"password":"<masked:x:k1:not-a-real-hmac!>"}"#),
        Vec::<String>::new()
    );
}

/// A megabyte of whatever is most work; native code without optimisation takes a few times what the
/// component takes.
#[test]
fn no_text_costs_much_more_than_its_size() {
    let megabyte = |part: &str| part.repeat((1 << 20) / part.len());
    for part in [
        "eyJ",
        "-eyJ",
        "-eyJhbGciOiJ.eyJ",
        "://a:",
        "://a@",
        "AKIAIOSFODNN7EXAMPLE ",
        "password",
        "secret=",
        "secret,",
        "-----BEGIN ",
        "%25",
        "%",
        "{\\\"a\\\":",
        "[",
        "QUJDREVG",
        "QUJDREVGa1/",
        "4111 ",
        "4",
        "\\\\",
        "\\\"",
        "token: ",
        "ghp_",
        "Bearer ",
        "\\u0041",
        "{\\\"name\\\":\\\"password\\\"},",
    ] {
        let json = format!("\"{}\"", megabyte(part));
        let start = Instant::now();
        let _ = of_leaf(&json);
        let took = start.elapsed();
        // A bound on what would never end, not a measurement: the machine may be busy.
        assert!(took < Duration::from_secs(90), "{part}: {took:?}");
    }
}

#[test]
fn more_telling_words_than_are_judged_count_as_a_secret() {
    let megabyte = quoted(&"secret,".repeat((1 << 20) / 7));
    assert_eq!(of_leaf(&megabyte), ["unsearched"]);
    let hidden = format!("{}password=correct-horse1", "secret,".repeat(2_000));
    assert_eq!(of_leaf(&quoted(&hidden)), ["unsearched"]);
    let policy = r#"{"Action":"secretsmanager:GetSecretValue","Resource":"arn:aws:secretsmanager:us-east-1:123456789012:secret:db-1a2b3c"},"#;
    assert_eq!(of_leaf(&quoted(&policy.repeat(200))), [""; 0]);
}

#[test]
fn many_secrets_in_one_event_are_all_masked() {
    let users: Vec<String> = (0..5_000)
        .map(|at| format!(r#"{{"password":"correct-horse-{at}"}}"#))
        .collect();
    assert_eq!(of_leaf(&format!("[{}]", users.join(","))).len(), 5_000);
}
