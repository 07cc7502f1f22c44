//! The rules: what a finding says. Identifiers never change once released.

use sluicegate_plugin::Severity;

/// What the findings of one rule have in common.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rule {
    pub(crate) id: &'static str,
    pub(crate) title: &'static str,
    pub(crate) description: &'static str,
    pub(crate) severity: Severity,
    /// MITRE ATT&CK technique; empty where none fits.
    pub(crate) technique: &'static str,
    /// Finding type in the words of Security Hub.
    pub(crate) types: &'static str,
}

pub(crate) const BUCKET_DELETED: Rule = Rule {
    id: "s3-bucket-deleted",
    title: "An S3 bucket was deleted",
    description: "The principal deleted an S3 bucket. Its name can be taken by anyone from now on.",
    severity: Severity::Medium,
    technique: "T1485",
    types: "TTPs/Impact/Data Destruction",
};

pub(crate) const POLICY_CHANGED: Rule = Rule {
    id: "iam-policy-changed",
    title: "IAM policies were changed",
    description: "The principal created, changed, attached or removed IAM policies, boundaries or trust.",
    severity: Severity::Medium,
    technique: "T1098",
    types: "TTPs/Privilege Escalation/Account Manipulation",
};

pub(crate) const ADMINISTRATOR_ATTACHED: Rule = Rule {
    id: "iam-administrator-attached",
    title: "Full administrator rights were granted",
    description: "The principal attached the AdministratorAccess policy to a user, group or role.",
    severity: Severity::High,
    technique: "T1098.003",
    types: "TTPs/Privilege Escalation/Additional Cloud Roles",
};

pub(crate) const CALL_FAILED: Rule = Rule {
    id: "call-failed",
    title: "API calls failed",
    description: "Calls of the principal ended in errors. The count says how many.",
    severity: Severity::Informational,
    technique: "",
    types: "Unusual Behaviors/User/Failed API Calls",
};

pub(crate) const CALL_UNAUTHORIZED: Rule = Rule {
    id: "call-unauthorized",
    title: "API calls were not authorized",
    description: "The principal made calls it has no right to. The count says how many.",
    severity: Severity::Low,
    technique: "T1580",
    types: "TTPs/Discovery/Cloud Infrastructure Discovery",
};

pub(crate) const ROOT_USED: Rule = Rule {
    id: "root-used",
    title: "The root user was used",
    description: "Someone acted as the root user of the account, whose rights nothing limits.",
    severity: Severity::High,
    technique: "T1078.004",
    types: "TTPs/Initial Access/Cloud Accounts",
};

pub(crate) const LOGIN_WITHOUT_MFA: Rule = Rule {
    id: "console-login-without-mfa",
    title: "Console login without MFA",
    description: "A user logged in to the console with a password alone.",
    severity: Severity::High,
    technique: "T1078.004",
    types: "TTPs/Initial Access/Cloud Accounts",
};

pub(crate) const TAMPERED: Rule = Rule {
    id: "cloudtrail-tampered",
    title: "CloudTrail logging was stopped or changed",
    description: "The principal stopped, deleted or reconfigured what records the calls in this account.",
    severity: Severity::Critical,
    technique: "T1562.008",
    types: "TTPs/Defense Evasion/Disable or Modify Cloud Logs",
};

pub(crate) const TAMPERING_ATTEMPTED: Rule = Rule {
    id: "cloudtrail-tampering-attempted",
    title: "An attempt to stop or change CloudTrail logging failed",
    description: "The principal tried to stop, delete or reconfigure what records the calls in this account.",
    severity: Severity::Medium,
    technique: "T1562.008",
    types: "TTPs/Defense Evasion/Disable or Modify Cloud Logs",
};
