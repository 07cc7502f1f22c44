//! What ATT&CK for enterprises, version 18.1, says of the techniques that rules name: the catalogue is
//! held against it.

/// Identifier, name and tactics of a technique.
pub(crate) type Technique = (&'static str, &'static str, &'static [&'static str]);

/// None of them is revoked or deprecated.
pub(crate) const TECHNIQUES: &[Technique] = &[
    ("T1021", "Remote Services", &["Lateral Movement"]),
    ("T1021.004", "SSH", &["Lateral Movement"]),
    (
        "T1021.008",
        "Direct Cloud VM Connections",
        &["Lateral Movement"],
    ),
    (
        "T1037",
        "Boot or Logon Initialization Scripts",
        &["Persistence", "Privilege Escalation"],
    ),
    (
        "T1040",
        "Network Sniffing",
        &["Credential Access", "Discovery"],
    ),
    (
        "T1078",
        "Valid Accounts",
        &[
            "Initial Access",
            "Persistence",
            "Privilege Escalation",
            "Defense Evasion",
        ],
    ),
    (
        "T1078.004",
        "Cloud Accounts",
        &[
            "Initial Access",
            "Persistence",
            "Privilege Escalation",
            "Defense Evasion",
        ],
    ),
    ("T1087", "Account Discovery", &["Discovery"]),
    ("T1087.004", "Cloud Account", &["Discovery"]),
    (
        "T1098",
        "Account Manipulation",
        &["Persistence", "Privilege Escalation"],
    ),
    (
        "T1098.001",
        "Additional Cloud Credentials",
        &["Persistence", "Privilege Escalation"],
    ),
    (
        "T1098.003",
        "Additional Cloud Roles",
        &["Persistence", "Privilege Escalation"],
    ),
    (
        "T1098.004",
        "SSH Authorized Keys",
        &["Persistence", "Privilege Escalation"],
    ),
    ("T1110", "Brute Force", &["Credential Access"]),
    ("T1110.003", "Password Spraying", &["Credential Access"]),
    ("T1136", "Create Account", &["Persistence"]),
    ("T1136.003", "Cloud Account", &["Persistence"]),
    (
        "T1484",
        "Domain or Tenant Policy Modification",
        &["Privilege Escalation", "Defense Evasion"],
    ),
    (
        "T1484.002",
        "Trust Modification",
        &["Privilege Escalation", "Defense Evasion"],
    ),
    ("T1485", "Data Destruction", &["Impact"]),
    ("T1485.001", "Lifecycle-Triggered Deletion", &["Impact"]),
    ("T1486", "Data Encrypted for Impact", &["Impact"]),
    ("T1489", "Service Stop", &["Impact"]),
    ("T1490", "Inhibit System Recovery", &["Impact"]),
    ("T1496", "Resource Hijacking", &["Impact"]),
    ("T1496.001", "Compute Hijacking", &["Impact"]),
    ("T1496.004", "Cloud Service Hijacking", &["Impact"]),
    ("T1525", "Implant Internal Image", &["Persistence"]),
    ("T1526", "Cloud Service Discovery", &["Discovery"]),
    ("T1530", "Data from Cloud Storage", &["Collection"]),
    (
        "T1535",
        "Unused/Unsupported Cloud Regions",
        &["Defense Evasion"],
    ),
    ("T1537", "Transfer Data to Cloud Account", &["Exfiltration"]),
    (
        "T1546",
        "Event Triggered Execution",
        &["Persistence", "Privilege Escalation"],
    ),
    (
        "T1548",
        "Abuse Elevation Control Mechanism",
        &["Privilege Escalation", "Defense Evasion"],
    ),
    (
        "T1548.005",
        "Temporary Elevated Cloud Access",
        &["Privilege Escalation", "Defense Evasion"],
    ),
    (
        "T1550",
        "Use Alternate Authentication Material",
        &["Defense Evasion", "Lateral Movement"],
    ),
    (
        "T1550.001",
        "Application Access Token",
        &["Defense Evasion", "Lateral Movement"],
    ),
    ("T1552", "Unsecured Credentials", &["Credential Access"]),
    (
        "T1552.005",
        "Cloud Instance Metadata API",
        &["Credential Access"],
    ),
    (
        "T1555",
        "Credentials from Password Stores",
        &["Credential Access"],
    ),
    (
        "T1555.006",
        "Cloud Secrets Management Stores",
        &["Credential Access"],
    ),
    (
        "T1556",
        "Modify Authentication Process",
        &["Persistence", "Defense Evasion", "Credential Access"],
    ),
    (
        "T1556.006",
        "Multi-Factor Authentication",
        &["Persistence", "Defense Evasion", "Credential Access"],
    ),
    ("T1562", "Impair Defenses", &["Defense Evasion"]),
    ("T1562.001", "Disable or Modify Tools", &["Defense Evasion"]),
    (
        "T1562.007",
        "Disable or Modify Cloud Firewall",
        &["Defense Evasion"],
    ),
    (
        "T1562.008",
        "Disable or Modify Cloud Logs",
        &["Defense Evasion"],
    ),
    (
        "T1578",
        "Modify Cloud Compute Infrastructure",
        &["Defense Evasion"],
    ),
    ("T1578.002", "Create Cloud Instance", &["Defense Evasion"]),
    ("T1580", "Cloud Infrastructure Discovery", &["Discovery"]),
    ("T1648", "Serverless Execution", &["Execution"]),
    ("T1651", "Cloud Administration Command", &["Execution"]),
];
