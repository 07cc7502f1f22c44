//! What the rules say of one event.

use std::borrow::Cow;

use detections::{Rule, Severity, cloudtrail::calls};

use crate::event::Outcome;

/// A rule that matches the call, whether or not the call succeeded.
#[derive(Debug)]
pub(crate) struct Match {
    pub(crate) rule: &'static Rule,
    pub(crate) severity: Severity,
    pub(crate) about: Vec<(&'static str, String)>,
    /// What the same rule says of a call that failed, whatever the reason.
    failed: Option<Severity>,
}

impl Match {
    /// With the rule's usual severity.
    pub(crate) fn of(rule: &'static Rule) -> Self {
        Self {
            rule,
            severity: rule.severity,
            about: Vec::new(),
            failed: None,
        }
    }

    pub(crate) fn severity(&mut self, severity: Severity) -> &mut Self {
        self.severity = severity;
        self
    }

    /// Says something more; nothing where the text is empty.
    pub(crate) fn about(&mut self, name: &'static str, text: impl Into<String>) -> &mut Self {
        self.about.push((name, text.into()));
        self
    }

    /// Has calls that failed found by the rule itself.
    pub(crate) fn also_failed(&mut self, severity: Severity) -> &mut Self {
        self.failed = Some(severity);
        self
    }
}

/// All matches of one event.
#[derive(Debug, Default)]
pub(crate) struct Found(Vec<Match>);

impl Found {
    /// Adds a match with the rule's usual severity.
    pub(crate) fn add(&mut self, rule: &'static Rule) -> &mut Match {
        let last = self.0.len();
        self.0.push(Match::of(rule));
        &mut self.0[last]
    }

    /// What is to be reported, given how the call ended. What would have been serious and was denied
    /// becomes an attempt, once for each kind of attempt.
    pub(crate) fn judged(self, outcome: Outcome) -> Vec<Match> {
        let mut judged: Vec<Match> = Vec::with_capacity(self.0.len());
        for mut found in self.0 {
            match (outcome, found.failed) {
                (Outcome::Succeeded, _) => judged.push(found),
                (_, Some(severity)) => {
                    found.severity = severity;
                    judged.push(found);
                }
                (Outcome::Denied, None) if found.severity >= Severity::Medium => {
                    let rule = attempt(found.rule.tactic);
                    if !judged.iter().any(|other| other.rule.id == rule.id) {
                        found.about("attempted", found.rule.id);
                        found.about("technique", technique(found.rule));
                        found.about("tactic", found.rule.tactic);
                        judged.push(Match {
                            rule,
                            severity: rule.severity,
                            ..found
                        });
                    }
                }
                _ => {}
            }
        }
        judged
    }
}

/// The rule for an attempt at something with this tactic.
fn attempt(tactic: &str) -> &'static Rule {
    match tactic {
        "Persistence" | "Privilege Escalation" => &calls::ESCALATION_ATTEMPTED,
        "Impact" => &calls::DELETION_ATTEMPTED,
        "Defense Evasion" => &calls::EVASION_ATTEMPTED,
        _ => &calls::SENSITIVE_CALL_DENIED,
    }
}

/// The closest technique.
pub(crate) fn technique(rule: &Rule) -> Cow<'static, str> {
    rule.techniques.first().copied().unwrap_or_default().into()
}
