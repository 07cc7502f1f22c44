//! The catalogue of detections: what each rule of the detecting plugins is called, why it is there
//! and when it is wrong. Plugins take titles and severities from here, `sluicegate rules` and
//! `docs/detections.md` all of it. Identifiers never change once released.

#[cfg(test)]
mod attack;
mod behaviour;
pub mod cloudtrail;
mod manual;

pub use behaviour::BEHAVIOUR;
pub use cloudtrail::CLOUDTRAIL;
pub use manual::manual;

/// How much a finding matters, in the words of the plugin interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Worth counting.
    Informational,
    /// Worth a look when something else points here.
    Low,
    /// Worth a look.
    Medium,
    /// Worth a look today.
    High,
    /// Worth being woken for.
    Critical,
}

impl Severity {
    /// Its name, as findings and pages write it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Informational => "informational",
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }
}

/// What the findings of one rule have in common, and what its reader must know.
#[derive(Clone, Copy, Debug)]
pub struct Rule {
    /// Lower-case words joined by hyphens; unique in the catalogue.
    pub id: &'static str,
    /// One line, as the finding's title.
    pub title: &'static str,
    /// What happened, as the finding's description.
    pub description: &'static str,
    /// Severity of the finding where the rule does not raise or lower it by what it sees.
    pub severity: Severity,
    /// MITRE ATT&CK techniques, the closest first; empty where none fits.
    pub techniques: &'static [&'static str],
    /// MITRE ATT&CK tactic of the first technique, in ATT&CK's words; empty where none fits.
    pub tactic: &'static str,
    /// Finding type in the taxonomy of Security Hub.
    pub types: &'static str,
    /// Why the rule exists: what an attacker gains, or what an auditor asks.
    pub rationale: &'static str,
    /// Who does the same for good reasons, and how to tell.
    pub false_positives: &'static str,
}

/// The tactics of MITRE ATT&CK for enterprises, in the order of its matrix.
pub const TACTICS: [&str; 14] = [
    "Reconnaissance",
    "Resource Development",
    "Initial Access",
    "Execution",
    "Persistence",
    "Privilege Escalation",
    "Defense Evasion",
    "Credential Access",
    "Discovery",
    "Lateral Movement",
    "Collection",
    "Command and Control",
    "Exfiltration",
    "Impact",
];

/// Every rule, with the plugin it belongs to.
pub fn all() -> impl Iterator<Item = (&'static str, &'static Rule)> {
    let of =
        |plugin, rules: &'static [&'static Rule]| rules.iter().map(move |rule| (plugin, *rule));
    of("detect-cloudtrail", CLOUDTRAIL).chain(of("detect-behaviour", BEHAVIOUR))
}

/// The rule with this identifier.
#[must_use]
pub fn rule(id: &str) -> Option<&'static Rule> {
    all().map(|(_, rule)| rule).find(|rule| rule.id == id)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::{attack::TECHNIQUES, *};

    /// Those of Security Hub.
    const NAMESPACES: [&str; 5] = [
        "Software and Configuration Checks",
        "TTPs",
        "Effects",
        "Unusual Behaviors",
        "Sensitive Data Identifications",
    ];

    #[test]
    fn identifiers_are_unique_and_well_formed() {
        let mut seen = BTreeSet::new();
        for (plugin, rule) in all() {
            assert!(seen.insert(rule.id), "{} twice", rule.id);
            let well_formed = rule.id.split('-').all(|word| {
                !word.is_empty()
                    && word
                        .bytes()
                        .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
            });
            assert!(well_formed && rule.id.len() <= 64, "{plugin} {}", rule.id);
        }
    }

    /// Name and tactics of a technique.
    fn technique(id: &str) -> (&'static str, &'static [&'static str]) {
        let known = TECHNIQUES.iter().find(|(known, ..)| *known == id);
        let (_, name, tactics) = known.unwrap_or_else(|| panic!("{id} is no technique"));
        (name, tactics)
    }

    #[test]
    fn techniques_and_tactics_are_those_of_attack() {
        for (_, rule) in all() {
            let Some(first) = rule.techniques.first() else {
                assert_eq!(rule.tactic, "", "{}", rule.id);
                continue;
            };
            assert!(TACTICS.contains(&rule.tactic), "{}", rule.id);
            let (_, tactics) = technique(first);
            assert!(
                tactics.contains(&rule.tactic),
                "{}: {first} is of {tactics:?}",
                rule.id
            );
            for other in rule.techniques {
                technique(other);
            }
        }
    }

    #[test]
    fn types_of_tactics_name_the_rules_tactic_and_a_technique_of_it() {
        for (_, rule) in all() {
            let Some(rest) = rule.types.strip_prefix("TTPs/") else {
                continue;
            };
            let (tactic, name) = rest.split_once('/').unwrap_or_default();
            assert_eq!(tactic, rule.tactic, "{}", rule.id);
            let named = rule.techniques.iter().any(|id| {
                let parent = id.split('.').next().unwrap_or_default();
                [*id, parent].iter().any(|id| {
                    // A slash would divide the type once more.
                    technique(id).0.replace('/', " or ") == name
                })
            });
            assert!(named, "{}: {name}", rule.id);
        }
    }

    #[test]
    fn every_text_says_something_and_fits_where_it_is_sent() {
        for (_, rule) in all() {
            for (text, most) in [
                (rule.title, 100),
                (rule.description, 300),
                (rule.rationale, 600),
                (rule.false_positives, 400),
                (rule.types, 100),
            ] {
                assert!(
                    text.trim() == text && !text.is_empty() && text.len() <= most,
                    "{}: {text}",
                    rule.id
                );
                assert!(!text.contains("  "), "{}: {text}", rule.id);
            }
            let namespace = rule.types.split('/').next().unwrap_or_default();
            assert!(NAMESPACES.contains(&namespace), "{}", rule.id);
        }
    }
}
