//! The catalogue of detections: what each rule of the detecting plugins is called, why it is there
//! and when it is wrong. Plugins take titles and severities from here, `sluicegate rules` and
//! `docs/detections.md` all of it. Identifiers never change once released.

mod behaviour;
mod cloudtrail;

pub use behaviour::BEHAVIOUR;
pub use cloudtrail::CLOUDTRAIL;

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
