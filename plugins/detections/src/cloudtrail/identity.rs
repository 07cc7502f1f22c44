//! Rights that were given, and ways to come back.

use crate::{Rule, Severity};

/// In the order of the manual.
pub const ALL: &[&Rule] = &[
    &POLICY_CHANGED,
    &ADMINISTRATOR_ATTACHED,
    &ADMINISTRATOR_POLICY_WRITTEN,
    &DEFAULT_POLICY_SWITCHED,
    &BOUNDARY_REMOVED,
    &TRUST_OPENED,
    &KEY_FOR_ANOTHER_USER,
    &LOGIN_FOR_ANOTHER_USER,
    &CREDENTIAL_UPLOADED,
    &USER_CREATED,
    &GROUP_JOINED,
    &ROLE_PASSED,
    &IDENTITY_PROVIDER_CHANGED,
    &ROLES_ANYWHERE_TRUST,
    &SINGLE_SIGN_ON_GRANTED,
];

/// Any change of policies.
pub const POLICY_CHANGED: Rule = Rule {
    id: "iam-policy-changed",
    title: "IAM policies were changed",
    description: "The principal created, changed, attached or removed IAM policies, boundaries or trust.",
    severity: Severity::Medium,
    techniques: &["T1098"],
    tactic: "Privilege Escalation",
    types: "TTPs/Privilege Escalation/Account Manipulation",
    rationale: "Every change of rights is worth a reviewer's look, and auditors ask for the list.",
    false_positives: "Deployments change policies all day. Except their roles by `exceptions`; the graver rules \
        below still see what they grant.",
};

/// A managed policy that allows everything, attached.
pub const ADMINISTRATOR_ATTACHED: Rule = Rule {
    id: "iam-administrator-attached",
    title: "Full administrator rights were granted",
    description: "The principal attached AdministratorAccess or IAMFullAccess to a user, group or role.",
    severity: Severity::High,
    techniques: &["T1098.003"],
    tactic: "Privilege Escalation",
    types: "TTPs/Privilege Escalation/Additional Cloud Roles",
    rationale: "Whoever may write IAM may do everything. It is the shortest way to stay.",
    false_positives: "The set-up of a new account.",
};

/// A policy that allows everything, written.
pub const ADMINISTRATOR_POLICY_WRITTEN: Rule = Rule {
    id: "iam-administrator-policy-written",
    title: "A policy that allows everything was written",
    description: "The principal wrote a policy whose statement allows all actions, or all of IAM, on all resources.",
    severity: Severity::High,
    techniques: &["T1098.003"],
    tactic: "Privilege Escalation",
    types: "TTPs/Privilege Escalation/Additional Cloud Roles",
    rationale: "An inline policy or a policy under a harmless name gives the same rights as AdministratorAccess, and \
        its name does not show it.",
    false_positives: "Roles for deployment that somebody found too tedious to describe.",
};

/// Another version of a policy counts.
pub const DEFAULT_POLICY_SWITCHED: Rule = Rule {
    id: "iam-default-policy-switched",
    title: "Another version of a policy was made the valid one",
    description: "The principal set which version of a managed policy counts for all who have it.",
    severity: Severity::Low,
    techniques: &["T1098"],
    tactic: "Privilege Escalation",
    types: "TTPs/Privilege Escalation/Account Manipulation",
    rationale: "The right to switch versions is enough to bring back an older, wider one, or to write a new one. \
        Medium where a person switches back by hand (SetDefaultPolicyVersion).",
    false_positives: "Deployments, which create a version and make it valid in the same call.",
};

/// Rights have no ceiling any more.
pub const BOUNDARY_REMOVED: Rule = Rule {
    id: "iam-boundary-removed",
    title: "A permissions boundary was removed",
    description: "The principal took away the boundary that limited what a user or role can be allowed.",
    severity: Severity::High,
    techniques: &["T1098"],
    tactic: "Privilege Escalation",
    types: "TTPs/Privilege Escalation/Account Manipulation",
    rationale: "Boundaries are what keeps delegated administrators from making themselves administrators.",
    false_positives: "A change of how rights are delegated; it is planned and happens once.",
};

/// A role can be assumed from outside.
pub const TRUST_OPENED: Rule = Rule {
    id: "iam-trust-opened",
    title: "A role was opened to another account",
    description: "The trust policy of a role lets principals of an account in that is not trusted.",
    severity: Severity::High,
    techniques: &["T1098", "T1484.002"],
    tactic: "Persistence",
    types: "TTPs/Persistence/Account Manipulation",
    rationale: "A role that an outsider can assume is a way back that no password change closes. Critical where \
        anyone can assume it, Medium where the statement has a condition, such as an external id.",
    false_positives: "Vendors that are given a role. Name their accounts in `trusted_accounts`.",
};

/// A key that somebody else can use.
pub const KEY_FOR_ANOTHER_USER: Rule = Rule {
    id: "iam-key-for-another-user",
    title: "An access key was made for another user",
    description: "The principal created an access key of a user that it is not itself.",
    severity: Severity::Medium,
    techniques: &["T1098.001"],
    tactic: "Persistence",
    types: "TTPs/Persistence/Additional Cloud Credentials",
    rationale: "A second key of an existing user is not noticed by its owner and stays when the first is replaced.",
    false_positives: "Administrators who make the first key of a service's user.",
};

/// A password that somebody else knows.
pub const LOGIN_FOR_ANOTHER_USER: Rule = Rule {
    id: "iam-login-for-another-user",
    title: "A console password was set for another user",
    description: "The principal created or changed the login profile of a user that it is not itself.",
    severity: Severity::Medium,
    techniques: &["T1098"],
    tactic: "Privilege Escalation",
    types: "TTPs/Privilege Escalation/Account Manipulation",
    rationale: "Whoever sets the password of a user has the rights of that user. High where an existing password \
        was replaced.",
    false_positives: "A help desk that resets passwords, and users that are set up; the password then has to be \
        changed at the first login.",
};

/// Other credentials for a user.
pub const CREDENTIAL_UPLOADED: Rule = Rule {
    id: "iam-credential-added",
    title: "A further credential was given to another user",
    description: "The principal added an SSH key, a signing certificate or a service's own credential to a user that it is not itself.",
    severity: Severity::Medium,
    techniques: &["T1098.001"],
    tactic: "Persistence",
    types: "TTPs/Persistence/Additional Cloud Credentials",
    rationale: "Such credentials are on no list of access keys, and some never expire.",
    false_positives: "Repositories and databases that are accessed this way, at their set-up.",
};

/// A new user.
pub const USER_CREATED: Rule = Rule {
    id: "iam-user-created",
    title: "A user was created",
    description: "The principal created a user of the account.",
    severity: Severity::Low,
    techniques: &["T1136.003"],
    tactic: "Persistence",
    types: "TTPs/Persistence/Create Account",
    rationale: "Where people come by single sign-on a new user is rare, and lasts.",
    false_positives: "Accounts where users are how people or services come in.",
};

/// A user got a group's rights.
pub const GROUP_JOINED: Rule = Rule {
    id: "iam-group-joined",
    title: "A user was added to a group",
    description: "The principal gave a user the rights of a group.",
    severity: Severity::Low,
    techniques: &["T1098.003"],
    tactic: "Privilege Escalation",
    types: "TTPs/Privilege Escalation/Additional Cloud Roles",
    rationale: "High where the principal added itself: it gave itself rights.",
    false_positives: "New colleagues.",
};

/// A role was handed to a service.
pub const ROLE_PASSED: Rule = Rule {
    id: "iam-role-passed",
    title: "A role was handed to something that runs code",
    description: "A person started or changed an instance, function, job or stack that acts under a role, or anyone handed over a powerful role.",
    severity: Severity::Low,
    techniques: &["T1548.005"],
    tactic: "Privilege Escalation",
    types: "TTPs/Privilege Escalation/Temporary Elevated Cloud Access",
    rationale: "Who decides what the code does has the rights of the role. Medium where the role's name speaks of an \
        administrator, or where a development endpoint of Glue gives a shell.",
    false_positives: "People who build things by hand, as they should in accounts for development.",
};

/// Who may vouch for people.
pub const IDENTITY_PROVIDER_CHANGED: Rule = Rule {
    id: "identity-provider-changed",
    title: "An identity provider was added or changed",
    description: "The principal changed who may vouch for the identity of people or workloads.",
    severity: Severity::High,
    techniques: &["T1484.002"],
    tactic: "Privilege Escalation",
    types: "TTPs/Privilege Escalation/Trust Modification",
    rationale: "Whoever holds the provider can be anyone. Medium where one was removed.",
    false_positives: "New clusters and pipelines bring an OpenID provider; certificates of SAML providers expire.",
};

/// Certificates became credentials.
pub const ROLES_ANYWHERE_TRUST: Rule = Rule {
    id: "roles-anywhere-trust",
    title: "Certificates were made a way in",
    description: "A trust anchor of Roles Anywhere was created, changed or enabled, or a profile that maps certificates to roles.",
    severity: Severity::High,
    techniques: &["T1098.001", "T1484.002"],
    tactic: "Persistence",
    types: "TTPs/Persistence/Additional Cloud Credentials",
    rationale: "With an own certificate authority someone makes credentials at will, outside of AWS. Low for a \
        profile, which is useless without an anchor.",
    false_positives: "Machines outside of AWS that were moved from access keys to certificates.",
};

/// Rights by single sign-on.
pub const SINGLE_SIGN_ON_GRANTED: Rule = Rule {
    id: "sso-administrator-granted",
    title: "Single sign-on was given administrator rights",
    description: "A permission set was given AdministratorAccess, IAMFullAccess or a policy that allows everything.",
    severity: Severity::High,
    techniques: &["T1098.003"],
    tactic: "Privilege Escalation",
    types: "TTPs/Privilege Escalation/Additional Cloud Roles",
    rationale: "One permission set reaches every account it is assigned to.",
    false_positives: "The set-up of an organization.",
};
