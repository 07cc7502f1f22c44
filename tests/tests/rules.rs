//! `sluicegate rules` as a process, on packs of our own and, where it is there, on the published one.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use sluicegate_tests::{
    authoring::{Ended, Workshop, end},
    host::corpus,
};

const GOOD: &str = "\
title: A bucket was deleted
id: 6a1f7f3e-0000-4000-8000-000000000001
level: high
description: Somebody deleted a bucket.
tags: [attack.impact, attack.t1485, attack.t9999]
falsepositives: [Cleaning up]
logsource: { product: aws, service: cloudtrail }
detection:
  call: { eventSource: s3.amazonaws.com, eventName: DeleteBucket }
  condition: call
";
const BROKEN: &str = "\
title: No such modifier
id: 6a1f7f3e-0000-4000-8000-000000000002
logsource: { product: aws, service: cloudtrail }
detection:
  call:
    eventName|sounds_like: DeleteBucket
  condition: call
";
const OTHER: &str = "\
title: About Windows
id: 6a1f7f3e-0000-4000-8000-000000000003
logsource: { product: windows }
detection:
  call: { EventID: 1 }
  condition: call
";

fn shop() -> Workshop {
    let shop = Workshop::new();
    for (name, text) in [("good", GOOD), ("broken", BROKEN), ("other", OTHER)] {
        shop.write(&format!("pack/{name}.yml"), text);
    }
    shop
}

fn rules(shop: &Workshop, arguments: &[&str]) -> Ended {
    end(shop.command("sluicegate").arg("rules").args(arguments))
}

#[test]
fn every_rule_is_listed_with_what_became_of_it() {
    let shop = shop();
    let listed = rules(&shop, &["list", "--rules", "pack"]);
    assert_eq!(listed.code, 0, "{}", listed.errors);
    let line = |part: &str| {
        let line = listed.said.lines().find(|line| line.contains(part));
        line.unwrap_or_else(|| panic!("no {part} in {}", listed.said))
    };
    assert!(line("A bucket was deleted").starts_with("ok       high"));
    let broken = line("No such modifier");
    assert!(broken.starts_with("REFUSED"), "{broken}");
    assert!(broken.contains("pack/broken.yml:1"), "{broken}");
    assert!(
        broken.contains("line 6: ") && broken.contains("sounds_like"),
        "{broken}"
    );
    assert!(line("About Windows").starts_with("skipped"));
    assert!(line("s3-bucket-deleted").contains("(detect-cloudtrail)"));
    assert!(
        listed
            .said
            .trim_end()
            .ends_with("1 are refused, 1 are about something else")
    );

    let own = rules(&shop, &["list"]);
    assert!(!own.said.contains("pack/") && own.said.contains("(detect-cloudtrail)"));
    let none = rules(&shop, &["list", "--rules", "nowhere"]);
    assert_eq!(none.code, 1);
    assert!(none.errors.contains("nowhere"), "{}", none.errors);
}

#[test]
fn a_rule_is_explained_by_its_id_or_its_file() {
    let shop = shop();
    let by = |name: &str| rules(&shop, &["explain", name, "--rules", "pack"]);
    let good = by("6A1F7F3E-0000-4000-8000-000000000001");
    assert_eq!(good.said, by("good").said);
    assert_eq!(good.said, by("good.yml").said);
    for part in [
        "A bucket was deleted",
        "technique   T1485 Data Destruction",
        "  Somebody deleted a bucket.",
        "DeleteBucket",
        "  Cleaning up",
    ] {
        assert!(good.said.contains(part), "{part:?} in {}", good.said);
    }
    assert!(by("broken").said.contains("REFUSED     line 6: "));
    let own = by("s3-bucket-deleted");
    assert!(
        own.said.contains("detect-cloudtrail") && own.said.contains("Why:"),
        "{}",
        own.said
    );
    let unknown = by("no-such-rule");
    assert_eq!(unknown.code, 1);
    assert!(
        unknown.errors.contains("there is no rule `no-such-rule`"),
        "{}",
        unknown.errors
    );
}

#[test]
fn coverage_counts_rules_that_take_part_under_every_tactic_of_their_technique() {
    let shop = shop();
    let own = rules(&shop, &["coverage"]);
    let count = |said: &str, technique: &str| {
        let line = said
            .lines()
            .find(|line| line.trim_start().starts_with(technique));
        let line = line.unwrap_or_else(|| panic!("no {technique} in {said}"));
        line.rsplit("  ").next().unwrap().trim().to_owned()
    };
    let all = rules(
        &shop,
        &["coverage", "--rules", "pack", "--html", "matrix.html"],
    );
    assert_eq!(all.code, 0, "{}", all.errors);
    let before = count(&own.said, "T1485 ");
    assert_eq!(count(&all.said, "T1485 "), format!("{before} + 1 Sigma"));
    assert_eq!(
        count(&all.said, "T9999 "),
        "0 + 1 Sigma",
        "it stands under the rule's own tactic"
    );
    assert!(
        own.said
            .contains("techniques for cloud infrastructure are found")
    );
    let html = std::fs::read_to_string(shop.folder().join("matrix.html")).unwrap();
    assert!(html.starts_with("<!doctype html>") && html.contains("A bucket was deleted"));
    let unwritable = rules(&shop, &["coverage", "--html", "no/such/folder.html"]);
    assert_eq!(unwritable.code, 1);
    assert!(
        unwritable.errors.contains("no/such/folder.html"),
        "{}",
        unwritable.errors
    );
}

#[test]
fn the_published_rules_are_listed_and_the_retired_ones_refused_by_name() {
    let Some(corpus) = corpus() else {
        return;
    };
    let shop = Workshop::new();
    let pack = |name: &str| {
        corpus
            .join("sigma-cloudtrail")
            .join(name)
            .display()
            .to_string()
    };
    let listed = rules(
        &shop,
        &[
            "list",
            "--rules",
            &pack("rules"),
            "--rules",
            &pack("unsupported"),
        ],
    );
    let lines = |state: &str| {
        let from_pack = |line: &&str| line.starts_with(state) && line.contains(".yml:");
        listed.said.lines().filter(from_pack).count()
    };
    assert_eq!(
        (lines("ok"), lines("REFUSED"), lines("skipped")),
        (57, 8, 0),
        "{}",
        listed.said
    );
    let placeholder = ["list", "--rules", &pack("rules-placeholder")];
    let without = rules(&shop, &placeholder);
    assert!(without.said.contains("REFUSED"), "{}", without.said);
    let values = [
        "--placeholder=Legitimate_Countries=DE,FR",
        "--placeholder=Legitimate_IP_Ranges=192.0.2.1",
    ];
    let with = rules(&shop, &[&placeholder[..], &values].concat());
    assert!(!with.said.contains("REFUSED"), "{}", with.said);
}
