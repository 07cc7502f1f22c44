//! The tables of events that rules must find, and of near ones that they must not.
//!
//! A file a theme, a section a rule, a line an event:
//!
//! ```text
//! # rule-id {"configuration": …}
//! + severity | source Name who !Error | {request parameters} & {other members}
//! - | …
//! ```

use std::{collections::BTreeMap, fs, path::Path};

/// Those who call, by the names that the tables use.
const CALLERS: [(&str, &str); 9] = [
    (
        "ann",
        r#"{"type":"IAMUser","arn":"arn:aws:iam::111111111111:user/staff/ann","accountId":"111111111111"}"#,
    ),
    (
        "root",
        r#"{"type":"Root","arn":"arn:aws:iam::111111111111:root","accountId":"111111111111"}"#,
    ),
    (
        "root-by-service",
        r#"{"type":"Root","arn":"arn:aws:iam::111111111111:root","accountId":"111111111111","invokedBy":"support.amazonaws.com"}"#,
    ),
    (
        "ops",
        r#"{"type":"AssumedRole","arn":"arn:aws:sts::111111111111:assumed-role/ops/run-7","accountId":"111111111111","sessionContext":{"sessionIssuer":{"arn":"arn:aws:iam::111111111111:role/ops"}}}"#,
    ),
    (
        "kim",
        r#"{"type":"AssumedRole","arn":"arn:aws:sts::111111111111:assumed-role/AWSReservedSSO_Dev_0a1b2c/kim","accountId":"111111111111","sessionContext":{"sessionIssuer":{"arn":"arn:aws:iam::111111111111:role/aws-reserved/sso.amazonaws.com/AWSReservedSSO_Dev_0a1b2c"}}}"#,
    ),
    (
        "machine",
        r#"{"type":"AssumedRole","arn":"arn:aws:sts::111111111111:assumed-role/web/i-0a1b2c3d4e5f60718","accountId":"111111111111","sessionContext":{"ec2RoleDelivery":"2.0","sessionIssuer":{"arn":"arn:aws:iam::111111111111:role/web"}}}"#,
    ),
    (
        "federated",
        r#"{"type":"FederatedUser","arn":"arn:aws:sts::111111111111:federated-user/bob","accountId":"111111111111"}"#,
    ),
    (
        "service",
        r#"{"type":"AWSService","invokedBy":"backup.amazonaws.com"}"#,
    ),
    ("nobody", "null"),
];

/// One line of a table.
pub(crate) struct Case<'a> {
    pub(crate) place: String,
    pub(crate) rule: &'a str,
    pub(crate) configuration: &'a str,
    /// What the rule must say; nothing where it must be silent.
    pub(crate) severity: Option<&'a str>,
    pub(crate) event: String,
}

pub(crate) fn cases<'a>(file: &str, text: &'a str) -> Vec<Case<'a>> {
    let (mut rule, mut configuration) = ("", "{}");
    let mut cases = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        let place = format!("{file}:{number}");
        if line.is_empty() {
            continue;
        }
        if let Some(section) = line.strip_prefix("# ") {
            (rule, configuration) = section.split_once(' ').unwrap_or((section, "{}"));
            continue;
        }
        let mut parts = line.splitn(3, " | ");
        let mut part = || parts.next().unwrap_or_default();
        let severity = match part() {
            "-" => None,
            expected => Some(
                expected
                    .strip_prefix("+ ")
                    .unwrap_or_else(|| panic!("{place}: {expected:?} is no expectation")),
            ),
        };
        let event = event(&place, part(), part());
        cases.push(Case {
            place,
            rule,
            configuration,
            severity,
            event,
        });
    }
    cases
}

/// The event of a line.
fn event(place: &str, call: &str, members: &str) -> String {
    let (call, error) = call.split_once(" !").unwrap_or((call, ""));
    let words: Vec<&str> = call.split(' ').collect();
    let [source, name, who] = words[..] else {
        panic!("{place}: {call:?} is no source, name and caller");
    };
    let caller = CALLERS.iter().find(|(caller, _)| *caller == who);
    let identity = caller
        .unwrap_or_else(|| panic!("{place}: nobody is called {who}"))
        .1;
    let (parameters, others) = match members.split_once(" & ") {
        Some((parameters, others)) => (parameters, others),
        None => (members, "{}"),
    };
    let parameters = if parameters.is_empty() {
        "null"
    } else {
        parameters
    };
    let error = if error.is_empty() {
        String::new()
    } else {
        format!(r#","errorCode":"{error}""#)
    };
    let others = others.strip_prefix('{').unwrap().strip_suffix('}').unwrap();
    let comma = if others.is_empty() { "" } else { "," };
    format!(
        r#"{{"eventSource":"{source}.amazonaws.com","eventName":"{name}","recipientAccountId":"111111111111","userIdentity":{identity},"requestParameters":{parameters}{error}{comma}{others}}}"#
    )
}

/// The tables of a folder, by the names of their files.
pub(crate) fn tables(folder: &Path) -> BTreeMap<String, String> {
    let files = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    files
        .map(|path| {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            (name, fs::read_to_string(path).unwrap())
        })
        .collect()
}
