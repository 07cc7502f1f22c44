//! What of MITRE ATT&CK (version 16) is known by name: the techniques for cloud infrastructure, those that a trail of API calls can tell something of.

use detections::TACTICS;

/// A technique, or a part of one.
#[derive(Clone, Copy, Debug)]
pub(super) struct Technique {
    pub(super) id: &'static str,
    pub(super) name: &'static str,
    pub(super) tactics: &'static [&'static str],
}

/// The technique of this identifier.
pub(super) fn technique(id: &str) -> Option<&'static Technique> {
    TECHNIQUES.iter().find(|technique| technique.id == id)
}

/// The technique that this is a part of, where it is known by name.
pub(super) fn parent(id: &str) -> Option<&'static str> {
    let (parent, _) = id.split_once('.')?;
    technique(parent).map(|parent| parent.id)
}

/// The column of a tactic, by its name here.
pub(super) fn column(tactic: &str) -> usize {
    TACTICS
        .iter()
        .position(|known| *known == tactic)
        .expect("the table uses the names above; a test looks")
}

const fn of(id: &'static str, name: &'static str, tactics: &'static [&'static str]) -> Technique {
    Technique { id, name, tactics }
}

/// Every technique that is known by name.
#[rustfmt::skip]
pub(super) const TECHNIQUES: &[Technique] = &[
    of("T1021", "Remote Services", &["Lateral Movement"]),
    of("T1021.007", "Remote Services: Cloud Services", &["Lateral Movement"]),
    of("T1021.008", "Remote Services: Direct Cloud VM Connections", &["Lateral Movement"]),
    of("T1040", "Network Sniffing", &["Credential Access", "Discovery"]),
    of("T1046", "Network Service Discovery", &["Discovery"]),
    of("T1048", "Exfiltration Over Alternative Protocol", &["Exfiltration"]),
    of("T1049", "System Network Connections Discovery", &["Discovery"]),
    of("T1059", "Command and Scripting Interpreter", &["Execution"]),
    of("T1059.009", "Command and Scripting Interpreter: Cloud API", &["Execution"]),
    of("T1069", "Permission Groups Discovery", &["Discovery"]),
    of("T1069.003", "Permission Groups Discovery: Cloud Groups", &["Discovery"]),
    of("T1074", "Data Staged", &["Collection"]),
    of("T1074.002", "Data Staged: Remote Data Staging", &["Collection"]),
    of("T1078", "Valid Accounts", &["Initial Access", "Persistence", "Privilege Escalation", "Defense Evasion"]),
    of("T1078.001", "Valid Accounts: Default Accounts", &["Initial Access", "Persistence", "Privilege Escalation", "Defense Evasion"]),
    of("T1078.004", "Valid Accounts: Cloud Accounts", &["Initial Access", "Persistence", "Privilege Escalation", "Defense Evasion"]),
    of("T1082", "System Information Discovery", &["Discovery"]),
    of("T1087", "Account Discovery", &["Discovery"]),
    of("T1087.004", "Account Discovery: Cloud Account", &["Discovery"]),
    of("T1098", "Account Manipulation", &["Persistence", "Privilege Escalation"]),
    of("T1098.001", "Account Manipulation: Additional Cloud Credentials", &["Persistence", "Privilege Escalation"]),
    of("T1098.003", "Account Manipulation: Additional Cloud Roles", &["Persistence", "Privilege Escalation"]),
    of("T1098.004", "Account Manipulation: SSH Authorized Keys", &["Persistence", "Privilege Escalation"]),
    of("T1110", "Brute Force", &["Credential Access"]),
    of("T1110.001", "Brute Force: Password Guessing", &["Credential Access"]),
    of("T1110.003", "Brute Force: Password Spraying", &["Credential Access"]),
    of("T1110.004", "Brute Force: Credential Stuffing", &["Credential Access"]),
    of("T1119", "Automated Collection", &["Collection"]),
    of("T1136", "Create Account", &["Persistence"]),
    of("T1136.003", "Create Account: Cloud Account", &["Persistence"]),
    of("T1190", "Exploit Public-Facing Application", &["Initial Access"]),
    of("T1199", "Trusted Relationship", &["Initial Access"]),
    of("T1201", "Password Policy Discovery", &["Discovery"]),
    of("T1204", "User Execution", &["Execution"]),
    of("T1204.003", "User Execution: Malicious Image", &["Execution"]),
    of("T1213", "Data from Information Repositories", &["Collection"]),
    of("T1213.006", "Data from Information Repositories: Databases", &["Collection"]),
    of("T1484", "Domain or Tenant Policy Modification", &["Privilege Escalation", "Defense Evasion"]),
    of("T1484.002", "Domain or Tenant Policy Modification: Trust Modification", &["Privilege Escalation", "Defense Evasion"]),
    of("T1485", "Data Destruction", &["Impact"]),
    of("T1485.001", "Data Destruction: Lifecycle-Triggered Deletion", &["Impact"]),
    of("T1486", "Data Encrypted for Impact", &["Impact"]),
    of("T1489", "Service Stop", &["Impact"]),
    of("T1490", "Inhibit System Recovery", &["Impact"]),
    of("T1491", "Defacement", &["Impact"]),
    of("T1491.002", "Defacement: External Defacement", &["Impact"]),
    of("T1496", "Resource Hijacking", &["Impact"]),
    of("T1496.001", "Resource Hijacking: Compute Hijacking", &["Impact"]),
    of("T1496.002", "Resource Hijacking: Bandwidth Hijacking", &["Impact"]),
    of("T1496.004", "Resource Hijacking: Cloud Service Hijacking", &["Impact"]),
    of("T1498", "Network Denial of Service", &["Impact"]),
    of("T1499", "Endpoint Denial of Service", &["Impact"]),
    of("T1518", "Software Discovery", &["Discovery"]),
    of("T1518.001", "Software Discovery: Security Software Discovery", &["Discovery"]),
    of("T1525", "Implant Internal Image", &["Persistence"]),
    of("T1526", "Cloud Service Discovery", &["Discovery"]),
    of("T1528", "Steal Application Access Token", &["Credential Access"]),
    of("T1530", "Data from Cloud Storage", &["Collection"]),
    of("T1531", "Account Access Removal", &["Impact"]),
    of("T1535", "Unused/Unsupported Cloud Regions", &["Defense Evasion"]),
    of("T1537", "Transfer Data to Cloud Account", &["Exfiltration"]),
    of("T1538", "Cloud Service Dashboard", &["Discovery"]),
    of("T1546", "Event Triggered Execution", &["Persistence", "Privilege Escalation"]),
    of("T1548", "Abuse Elevation Control Mechanism", &["Privilege Escalation", "Defense Evasion"]),
    of("T1548.005", "Abuse Elevation Control: Temporary Elevated Cloud Access", &["Privilege Escalation", "Defense Evasion"]),
    of("T1550", "Use Alternate Authentication Material", &["Defense Evasion", "Lateral Movement"]),
    of("T1550.001", "Use Alternate Authentication: Application Access Token", &["Defense Evasion", "Lateral Movement"]),
    of("T1550.004", "Use Alternate Authentication: Web Session Cookie", &["Defense Evasion", "Lateral Movement"]),
    of("T1552", "Unsecured Credentials", &["Credential Access"]),
    of("T1552.001", "Unsecured Credentials: Credentials In Files", &["Credential Access"]),
    of("T1552.005", "Unsecured Credentials: Cloud Instance Metadata API", &["Credential Access"]),
    of("T1555", "Credentials from Password Stores", &["Credential Access"]),
    of("T1555.006", "Password Stores: Cloud Secrets Management Stores", &["Credential Access"]),
    of("T1556", "Modify Authentication Process", &["Persistence", "Defense Evasion", "Credential Access"]),
    of("T1556.006", "Modify Authentication Process: Multi-Factor Authentication", &["Persistence", "Defense Evasion", "Credential Access"]),
    of("T1556.007", "Modify Authentication Process: Hybrid Identity", &["Persistence", "Defense Evasion", "Credential Access"]),
    of("T1556.009", "Modify Authentication Process: Conditional Access Policies", &["Persistence", "Defense Evasion", "Credential Access"]),
    of("T1562", "Impair Defenses", &["Defense Evasion"]),
    of("T1562.001", "Impair Defenses: Disable or Modify Tools", &["Defense Evasion"]),
    of("T1562.007", "Impair Defenses: Disable or Modify Cloud Firewall", &["Defense Evasion"]),
    of("T1562.008", "Impair Defenses: Disable or Modify Cloud Logs", &["Defense Evasion"]),
    of("T1567", "Exfiltration Over Web Service", &["Exfiltration"]),
    of("T1578", "Modify Cloud Compute Infrastructure", &["Defense Evasion"]),
    of("T1578.001", "Modify Cloud Compute: Create Snapshot", &["Defense Evasion"]),
    of("T1578.002", "Modify Cloud Compute: Create Cloud Instance", &["Defense Evasion"]),
    of("T1578.003", "Modify Cloud Compute: Delete Cloud Instance", &["Defense Evasion"]),
    of("T1578.004", "Modify Cloud Compute: Revert Cloud Instance", &["Defense Evasion"]),
    of("T1578.005", "Modify Cloud Compute: Compute Configurations", &["Defense Evasion"]),
    of("T1580", "Cloud Infrastructure Discovery", &["Discovery"]),
    of("T1606", "Forge Web Credentials", &["Credential Access"]),
    of("T1606.002", "Forge Web Credentials: SAML Tokens", &["Credential Access"]),
    of("T1614", "System Location Discovery", &["Discovery"]),
    of("T1619", "Cloud Storage Object Discovery", &["Discovery"]),
    of("T1621", "Multi-Factor Authentication Request Generation", &["Credential Access"]),
    of("T1648", "Serverless Execution", &["Execution"]),
    of("T1651", "Cloud Administration Command", &["Execution"]),
    of("T1654", "Log Enumeration", &["Discovery"]),
    of("T1666", "Modify Cloud Resource Hierarchy", &["Defense Evasion"]),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_in_order_and_names_tactics_that_exist() {
        assert!(TECHNIQUES.is_sorted_by(|one, next| one.id < next.id));
        for technique in TECHNIQUES {
            assert!(!technique.tactics.is_empty());
            technique.tactics.iter().for_each(|tactic| {
                column(tactic);
            });
        }
    }
}
