//! What the reader of a finding is advised to do first, and where to read on.

use crate::{
    finding::Finding,
    text::{cut, is_blank},
};

/// What Security Hub takes of an advice, in characters.
const LONGEST: usize = 512;

/// By the tactic of MITRE ATT&CK that a finding names: what comes first for whoever answers it.
const BY_TACTIC: [(&str, &str); 13] = [
    (
        "Initial Access",
        "Ask the person behind the login whether it was theirs. If not, end the sessions, change the password, \
         renew the MFA device, and look at every call of the principal since.",
    ),
    (
        "Execution",
        "Look at what was run, where, and under which role. Isolate the instance or function before it is stopped, \
         so that its memory and disks can be examined, and revoke the role's sessions.",
    ),
    (
        "Persistence",
        "Find out who made the change and whether it was asked for. If not, remove what was created (keys, users, \
         login profiles, trust, functions), and look for more that the same principal created.",
    ),
    (
        "Privilege Escalation",
        "Compare the permissions before and after. Take back what was gained, revoke the principal's sessions, and \
         look at what was done with the new permissions since.",
    ),
    (
        "Defense Evasion",
        "Switch back on what was switched off or narrowed, and secure what was logged until then. Treat the time \
         without it as unseen, and look at every call of the principal around it.",
    ),
    (
        "Credential Access",
        "Take the credentials for known to others: rotate them, revoke sessions made with them, and look for \
         their use from addresses that are not the owner's.",
    ),
    (
        "Discovery",
        "Find out whether an inventory or a scan was planned. If not, take the principal's credentials for stolen \
         and look for what was read or changed next.",
    ),
    (
        "Lateral Movement",
        "Follow the chain of roles to where it began. Revoke the sessions along it, and narrow the trust that made \
         the step possible.",
    ),
    (
        "Collection",
        "Find out which data was read and whom it is about; the answer decides about duties to report. Revoke the \
         principal's sessions if the reading was not planned.",
    ),
    (
        "Exfiltration",
        "End the sharing or the copy at once. Find out which data left and whom it is about; the answer decides \
         about duties to report.",
    ),
    (
        "Command and Control",
        "Isolate what talks to the address, keep its memory and disks, and look for others that talk to it.",
    ),
    (
        "Impact",
        "Stop the principal: revoke its sessions and deny its role. Then restore from versions, snapshots or \
         backups, and see that those are not within its reach.",
    ),
    (
        "Sensitive Data Identifications",
        "Rotate the secret: it lies in clear in the log's bucket and in what reads it. Then mend the caller, so that \
         it passes secrets by reference.",
    ),
];

/// The advice of the plugin (attribute `remediation`), else the one for the finding's tactic or type.
pub(super) fn text(finding: &Finding) -> Option<&str> {
    let own = finding
        .attribute("remediation")
        .map(|text| cut(text, LONGEST))
        .filter(|text| !is_blank(text));
    own.or_else(|| {
        let named = ["tactic", "types"]
            .into_iter()
            .filter_map(|name| finding.attribute(name));
        named
            .flat_map(|text| text.split([',', '/']))
            .find_map(by_tactic)
    })
}

/// The page of the finding's technique at MITRE, or the first page that the plugin names (attribute
/// `references`).
pub(super) fn url(finding: &Finding) -> Option<String> {
    let references = finding.attribute("references").unwrap_or_default();
    let first = references
        .split_ascii_whitespace()
        .find(|url| url.len() <= LONGEST && is_uri(url));
    first.map(str::to_owned).or_else(|| {
        let technique = finding.attribute("technique")?.split(',').next()?.trim();
        let (main, sub) = technique.split_once('.').unwrap_or((technique, ""));
        let digits =
            |text: &str, count| text.len() == count && text.bytes().all(|b| b.is_ascii_digit());
        let is_technique = main
            .strip_prefix('T')
            .is_some_and(|number| digits(number, 4))
            && (sub.is_empty() || digits(sub, 3));
        is_technique.then(|| {
            let sub = if sub.is_empty() {
                String::new()
            } else {
                format!("{sub}/")
            };
            format!("https://attack.mitre.org/techniques/{main}/{sub}")
        })
    })
}

/// Whether an address is a URI by the letter (RFC 3986), for Security Hub refuses a finding with another:
/// one with a host's name, and no name or password of a user.
fn is_uri(url: &str) -> bool {
    let Some(rest) = url.strip_prefix("https://") else {
        return false;
    };
    let (host, rest) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    let (name, port) = host.split_once(':').unwrap_or((host, ""));
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '.';
    let is_part = |c: char| c.is_ascii_alphanumeric() || "-._~!$&'()*+,;=:@/?#%".contains(c);
    let mut escapes = rest.split('%').skip(1);
    name.chars()
        .next()
        .is_some_and(|c| c.is_ascii_alphanumeric())
        && name.chars().all(is_name)
        && port.bytes().all(|byte| byte.is_ascii_digit())
        && rest.chars().all(is_part)
        && rest.matches('#').count() <= 1
        && escapes.all(|text| {
            text.len() >= 2 && text.bytes().take(2).all(|byte| byte.is_ascii_hexdigit())
        })
}

/// Sigma writes tactics in lower case and with hyphens.
fn by_tactic(tactic: &str) -> Option<&'static str> {
    let tactic = tactic.trim().replace('-', " ");
    let found = BY_TACTIC
        .iter()
        .find(|(known, _)| known.eq_ignore_ascii_case(&tactic));
    found.map(|(_, text)| *text)
}
