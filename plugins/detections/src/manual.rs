//! The page of the manual about detections, made from the catalogue.

use std::fmt::Write as _;

use crate::{BEHAVIOUR, CLOUDTRAIL, Rule};

/// Questions that operators of a trail ask, and the rules that answer them.
const QUERIES: &[(&str, &[&str])] = &[
    ("S3 bucket deletions", &["s3-bucket-deleted"]),
    (
        "IAM policy changes",
        &["iam-policy-changed", "iam-administrator-attached"],
    ),
    ("failed API calls", &["call-failed", "call-unauthorized"]),
    (
        "privilege escalation attempts",
        &["escalation-attempted", "iam-administrator-policy-written"],
    ),
    (
        "resource deletion attempts",
        &["deletion-attempted", "data-store-deleted", "backup-deleted"],
    ),
    (
        "configuration changes",
        &["s3-configuration-changed", "network-configuration-changed"],
    ),
];

/// The text of `docs/detections.md`.
#[must_use]
pub fn manual() -> String {
    let mut page = String::from(
        "# Detections\n\n\
        <!-- Made from the catalogue in plugins/detections: cargo run -p detections --example manual -->\n\n\
        What the detecting plugins find. A finding names its rule by the identifier here; matches of one rule by \
        one principal\nwithin a window are one finding, with a count and the events' ids. The severity is the usual \
        one: the text says where a\nrule raises or lowers it by what it sees. Identifiers never change. Techniques and \
        tactics are those of MITRE ATT&CK for\nenterprises, version 18.1.\n\n\
        Rules that are wrong about a principal are silenced for it in the plugin's configuration:\n\n\
        ```toml\n[plugins.detect-cloudtrail]\n\
        configuration = { exceptions = [{ rules = [\"iam-policy-changed\"], principals = [\"arn:aws:iam::*:role/deploy-*\"] }] }\n```\n\n\
        ## Common questions\n\n| question | rules |\n| --- | --- |\n",
    );
    for (question, rules) in QUERIES {
        let links: Vec<String> = rules.iter().map(|id| format!("[`{id}`](#{id})")).collect();
        let _ = writeln!(page, "| {question} | {} |", links.join(", "));
    }
    plugin(
        &mut page,
        "detect-cloudtrail",
        "Each rule is decided by one event.",
        CLOUDTRAIL,
    );
    plugin(
        &mut page,
        "detect-behaviour",
        "Each rule needs what came before. A finding has the ids of the events that met the rule, and of those of \
        the same\nbatch that led to it. Of earlier batches the host remembers what was counted and not the events: \
        the finding shows\nit (the secrets asked for, the regions, the calls), ten of it at the most.",
        BEHAVIOUR,
    );
    page
}

fn plugin(page: &mut String, name: &str, what: &str, rules: &[&Rule]) {
    if rules.is_empty() {
        return;
    }
    let _ = write!(
        page,
        "\n## {name}\n\n{what}\n\n| rule | title | severity | techniques | tactic |\n| --- | --- | --- | --- | --- |\n"
    );
    for rule in rules {
        let _ = writeln!(
            page,
            "| [`{id}`](#{id}) | {} | {} | {} | {} |",
            rule.title,
            rule.severity.as_str(),
            rule.techniques.join(", "),
            rule.tactic,
            id = rule.id,
        );
    }
    for rule in rules {
        let _ = write!(
            page,
            "\n### {}\n\n{}: {}\n\n**Why.** {}\n\n**When it is wrong.** {}\n",
            rule.id, rule.title, rule.description, rule.rationale, rule.false_positives
        );
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;
    use crate::rule;

    #[test]
    fn the_page_in_the_repository_is_of_this_catalogue() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/detections.md");
        let page = std::fs::read_to_string(path).unwrap_or_default();
        assert!(
            page == manual(),
            "docs/detections.md is old: cargo run -p detections --example manual > docs/detections.md"
        );
    }

    #[test]
    fn every_question_is_answered_by_rules_that_exist() {
        for id in QUERIES.iter().flat_map(|(_, rules)| *rules) {
            assert!(rule(id).is_some(), "{id}");
        }
    }
}
