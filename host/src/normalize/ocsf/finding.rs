//! The document of one finding.

use std::net::IpAddr;

use super::{
    Version,
    classes::{Choice, DATA_SECURITY_FINDING, DETECTION_FINDING},
    event::classify,
    writer::Writer,
};
use crate::{
    finding::{EventFacts, Finding, Severity},
    normalize::{document::Document, remediation},
    text::cut,
    timestamp::format_ms,
};

/// Characters that a string has at the most in 1.1.0.
const LONGEST: usize = 65_535;

/// How rules say, in the attribute `types`, that a finding is about secrets in data.
const SENSITIVE_DATA: &str = "Sensitive Data Identifications";

/// Writes the members of a finding's document.
pub(super) fn write(version: Version, finding: &Finding, w: &mut Writer<'_>) {
    let types: Vec<&str> = attribute(finding, "types").collect();
    let leak =
        version != Version::V1_1_0 && types.iter().any(|name| name.starts_with(SENSITIVE_DATA));
    let is_new = finding.updated_ms <= finding.created_ms;
    let choice = Choice {
        class: if leak {
            &DATA_SECURITY_FINDING
        } else {
            &DETECTION_FINDING
        },
        activity: if is_new { 1 } else { 2 },
        subject: None,
        detail: None,
    };
    w.number("time", finding.updated_ms);
    w.text("time_dt", &format_ms(finding.updated_ms));
    classify(&choice, w);
    w.captioned("severity_id", "severity", severity(finding.severity));
    w.captioned("status_id", "status", (1, "New"));
    w.number("count", i64::try_from(finding.count).unwrap_or(i64::MAX));
    w.number("start_time", finding.first_ms);
    w.number("end_time", finding.last_ms);
    if version != Version::V1_1_0 {
        let alert = finding.severity > Severity::Informational;
        w.raw("is_alert", if alert { b"true" } else { b"false" });
    }
    metadata(version, finding, w);
    w.object("cloud", |w| cloud(&finding.event, w));
    w.object("finding_info", |w| info(finding, &types, w));
    let facts = &finding.event;
    if leak {
        w.object("data_security", |w| {
            w.captioned("category_id", "category", (6, "Security"));
            w.captioned(
                "data_lifecycle_state_id",
                "data_lifecycle_state",
                (1, "Data at-Rest"),
            );
            say(w, "detection_pattern", &finding.rule);
        });
        evidence(facts, w);
    } else if has_evidence(facts) {
        w.array("evidences", |w| w.element(|w| evidence(facts, w)));
    }
    w.array("resources", |w| {
        if !facts.resource_arn.is_empty() {
            w.element(|w| say(w, "uid", &facts.resource_arn));
        }
    });
    // The class of leaks has no place for advice.
    if let Some(advice) = remediation::text(finding).filter(|_| !leak) {
        w.object("remediation", |w| {
            w.text("desc", advice);
            w.array("references", |w| {
                if let Some(url) = remediation::url(finding) {
                    w.comma();
                    crate::json::quote_into(&url, w.out());
                }
            });
        });
    }
    w.array("observables", |w| observables(facts, w));
    w.object("unmapped", |w| {
        serde_json::to_writer(w.key("sluicegate"), &Document::from(finding))
            .expect("plain data is JSON, and a Vec takes every write");
    });
}

fn severity(severity: Severity) -> (u32, &'static str) {
    match severity {
        Severity::Informational => (1, "Informational"),
        Severity::Low => (2, "Low"),
        Severity::Medium => (3, "Medium"),
        Severity::High => (4, "High"),
        Severity::Critical => (5, "Critical"),
    }
}

/// A text that is not empty, cut to what the schema takes.
fn say(w: &mut Writer<'_>, name: &str, text: &str) {
    w.filled(name, cut(text, LONGEST));
}

/// The values of an attribute; several are separated by commas.
fn attribute<'f>(finding: &'f Finding, name: &'static str) -> impl Iterator<Item = &'f str> {
    let named = finding
        .attributes
        .iter()
        .filter(move |(known, _)| known == name);
    named
        .flat_map(|(_, value)| value.split(','))
        .map(str::trim)
        .filter(|value| !value.is_empty() && value.len() <= LONGEST)
}

fn metadata(version: Version, finding: &Finding, w: &mut Writer<'_>) {
    w.object("metadata", |w| {
        w.text("version", version.as_str());
        w.object("product", |w| {
            w.text("name", "Sluicegate");
            w.text("vendor_name", "Sluicegate");
            w.text("version", env!("CARGO_PKG_VERSION"));
            w.object("feature", |w| say(w, "name", &finding.plugin));
        });
        w.raw("profiles", br#"["cloud","datetime"]"#);
        say(w, "uid", &finding.id);
    });
}

fn cloud(facts: &EventFacts, w: &mut Writer<'_>) {
    w.text("provider", "AWS");
    say(w, "region", &facts.region);
    account(&facts.account, w);
}

fn account(uid: &str, w: &mut Writer<'_>) {
    w.object("account", |w| {
        if !uid.is_empty() {
            say(w, "uid", uid);
            w.captioned("type_id", "type", (10, "AWS Account"));
        }
    });
}

fn info(finding: &Finding, types: &[&str], w: &mut Writer<'_>) {
    w.text("uid", &finding.id);
    let titles = [&finding.title, &finding.rule, &finding.id];
    let title = titles.into_iter().find(|title| !title.is_empty());
    say(w, "title", title.map_or("Finding", String::as_str));
    say(w, "desc", &finding.description);
    w.number("created_time", finding.created_ms);
    w.number("modified_time", finding.updated_ms);
    w.number("first_seen_time", finding.first_ms);
    w.number("last_seen_time", finding.last_ms);
    w.raw("data_sources", br#"["AWS CloudTrail"]"#);
    w.array("types", |w| {
        for name in types {
            w.comma();
            crate::json::quote_into(name, w.out());
        }
    });
    w.object("analytic", |w| {
        if !finding.rule.is_empty() {
            say(w, "uid", &finding.rule);
            w.captioned("type_id", "type", (1, "Rule"));
        }
    });
    w.array("attacks", |w| {
        for technique in attribute(finding, "technique") {
            w.element(|w| match technique.split_once('.') {
                Some((parent, _)) => {
                    w.object("technique", |w| w.text("uid", parent));
                    w.object("sub_technique", |w| w.text("uid", technique));
                }
                None => w.object("technique", |w| w.text("uid", technique)),
            });
        }
        for tactic in attribute(finding, "tactic") {
            w.element(|w| w.object("tactic", |w| w.text("name", tactic)));
        }
    });
    w.array("related_events", |w| {
        for id in finding.event_ids.iter().filter(|id| !id.is_empty()) {
            w.element(|w| {
                say(w, "uid", id);
                w.text("type", "CloudTrail event");
            });
        }
    });
}

fn has_user(facts: &EventFacts) -> bool {
    [&facts.principal_arn, &facts.principal_id, &facts.user_name]
        .iter()
        .any(|text| !text.is_empty())
}

fn has_evidence(facts: &EventFacts) -> bool {
    has_user(facts) || !facts.event_name.is_empty() || !facts.source_ip.is_empty()
}

fn is_address(text: &str) -> bool {
    text.len() <= 40 && text.parse::<IpAddr>().is_ok()
}

/// Who did what from where, of the first event.
fn evidence(facts: &EventFacts, w: &mut Writer<'_>) {
    if has_user(facts) {
        w.object("actor", |w| {
            w.object("user", |w| {
                say(w, "type", &facts.principal_type);
                if facts.principal_arn.is_empty() {
                    say(w, "uid", &facts.principal_id);
                } else {
                    say(w, "uid", &facts.principal_arn);
                    say(w, "uid_alt", &facts.principal_id);
                }
                say(w, "name", &facts.user_name);
                say(w, "credential_uid", &facts.access_key_id);
            });
        });
    }
    w.object("api", |w| {
        if !facts.event_name.is_empty() {
            say(w, "operation", &facts.event_name);
            w.object("service", |w| say(w, "name", &facts.event_source));
            w.object("response", |w| say(w, "error", &facts.error_code));
        }
    });
    w.object("src_endpoint", |w| {
        let name = if is_address(&facts.source_ip) {
            "ip"
        } else {
            "name"
        };
        say(w, name, &facts.source_ip);
    });
}

fn observables(facts: &EventFacts, w: &mut Writer<'_>) {
    let address = if is_address(&facts.source_ip) {
        facts.source_ip.as_str()
    } else {
        ""
    };
    for (name, kind, value) in [
        ("src_endpoint.ip", (2, "IP Address"), address),
        ("actor.user.name", (4, "User Name"), &facts.user_name),
        ("resources[].uid", (10, "Resource UID"), &facts.resource_arn),
    ] {
        if !value.is_empty() {
            w.element(|w| {
                w.text("name", name);
                w.captioned("type_id", "type", kind);
                say(w, "value", value);
            });
        }
    }
}
