//! Every member that AWS's own models call sensitive, or that is named like a secret, is masked where it
//! stands in an event. The list is that which the plugin's table was made of; it is read from
//! `SLUICEGATE_CORPUS` (default `../shared/data`), and without it the test says that it was skipped.

use std::{env, fs, path::PathBuf};

use redaction_check::RedactionCheck;
use sluicegate_plugin::testing::Kit;

const VALUE: &str = "\"grey otter 71x\"";

/// The event in which a member of the list stands, and where.
fn event(line: &str) -> (String, String) {
    let columns: Vec<&str> = line.split(',').collect();
    let [_, signing, call, side, path, _] = columns[..] else {
        panic!("six columns: {line}");
    };
    let mut json = VALUE.to_owned();
    let mut pointer = String::new();
    for name in path.split('.').rev() {
        let bare = name.replace("[]", "").replace("{}", "");
        for (sign, open, close, step) in [("{}", "{\"any\":", "}", "any"), ("[]", "[", "]", "0")] {
            for _ in 0..name.matches(sign).count() {
                json = format!("{open}{json}{close}");
                pointer = format!("/{step}{pointer}");
            }
        }
        if !bare.is_empty() {
            let camel = bare[..1].to_lowercase() + &bare[1..];
            json = format!("{{\"{camel}\":{json}}}");
            pointer = format!("/{camel}{pointer}");
        }
    }
    let event = format!(
        "{{\"eventSource\":\"{signing}.amazonaws.com\",\"eventName\":\"{call}\",\"{side}\":{json}}}"
    );
    (event, format!("/{side}{pointer}"))
}

#[test]
fn every_listed_member_is_masked() {
    let default = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data");
    let root = env::var_os("SLUICEGATE_CORPUS").map_or(default, PathBuf::from);
    let Ok(list) = fs::read_to_string(root.join("sensitive-fields.csv")) else {
        eprintln!(
            "SKIPPED: no list of sensitive members in {}",
            root.display()
        );
        return;
    };
    let (events, paths): (Vec<_>, Vec<_>) = list.lines().skip(1).map(event).unzip();
    let kit = Kit::<RedactionCheck>::new("{}");
    let mut missed = Vec::new();
    for (events, paths) in events.chunks(100).zip(paths.chunks(100)) {
        let texts: Vec<&str> = events.iter().map(String::as_str).collect();
        let seen = kit.run(&texts);
        for (row, path) in paths.iter().enumerate() {
            // API Gateway's apiKey is the identifier of a key, and stands in the path of the request.
            let identifier = texts[row].contains("apigateway.") && path.ends_with("/apiKey");
            if !identifier && !seen.masks(row).iter().any(|(masked, _)| masked == path) {
                missed.push(format!("{path} {:?} {}", seen.masks(row), texts[row]));
            }
        }
    }
    assert!(
        missed.is_empty(),
        "{} of {}: {:#?}",
        missed.len(),
        paths.len(),
        &missed[..missed.len().min(12)]
    );
    eprintln!("{} members", paths.len());
}
