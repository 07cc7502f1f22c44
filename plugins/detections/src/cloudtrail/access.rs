//! Who got in, with what, and whose credentials were read.

use crate::{Rule, Severity};

/// In the order of the manual.
pub const ALL: &[&Rule] = &[
    &ROOT_USED,
    &BREAK_GLASS_USED,
    &LOGIN_WITHOUT_MFA,
    &MFA_REMOVED,
    &PASSWORD_POLICY_WEAKENED,
    &ROLE_CHAINED,
    &FEDERATION_TOKEN_ISSUED,
    &SIGNIN_TOKEN_ISSUED,
    &INSTANCE_ASKED_WHO_IT_IS,
    &INSTANCE_CREDENTIALS_OUTSIDE,
    &PASSWORD_DATA_READ,
    &SECRETS_READ_IN_BATCH,
    &PARAMETERS_READ_IN_BATCH,
    &USER_DATA_READ,
    &METADATA_UNPROTECTED,
    &TASK_READS_CREDENTIALS,
    &SENDING_QUOTA_READ,
];

/// Root acted itself.
pub const ROOT_USED: Rule = Rule {
    id: "root-used",
    title: "The root user was used",
    description: "Someone acted as the root user of the account, whose rights nothing limits.",
    severity: Severity::High,
    techniques: &["T1078.004"],
    tactic: "Initial Access",
    types: "TTPs/Initial Access/Cloud Accounts",
    rationale: "Daily work does not need root, and no policy of the account limits it.",
    false_positives: "The few tasks that only root can do, such as closing an account: they are announced. \
        What a service does in the name of root is not counted; root's own call to that service is.",
};

/// An emergency principal acted.
pub const BREAK_GLASS_USED: Rule = Rule {
    id: "break-glass-used",
    title: "An emergency account was used",
    description: "A user or role that is kept for emergencies, named in `break_glass`, made calls.",
    severity: Severity::High,
    techniques: &["T1078.004"],
    tactic: "Initial Access",
    types: "TTPs/Initial Access/Cloud Accounts",
    rationale: "Emergency access has wide rights and is outside of single sign-on. Each use should match an \
        incident that somebody opened.",
    false_positives: "Emergencies and their rehearsals.",
};

/// A password was all it took.
pub const LOGIN_WITHOUT_MFA: Rule = Rule {
    id: "console-login-without-mfa",
    title: "Console login without MFA",
    description: "A user logged in to the console with a password alone.",
    severity: Severity::High,
    techniques: &["T1078.004"],
    tactic: "Initial Access",
    types: "TTPs/Initial Access/Cloud Accounts",
    rationale: "A password can be guessed, phished or bought. Logins by single sign-on have their second factor \
        elsewhere and are not looked at.",
    false_positives: "Users that were never given a device. They are the ones to be given one.",
};

/// A second factor was taken away.
pub const MFA_REMOVED: Rule = Rule {
    id: "mfa-removed",
    title: "An MFA device was deactivated",
    description: "The principal took the second factor from a user.",
    severity: Severity::Medium,
    techniques: &["T1556.006"],
    tactic: "Persistence",
    types: "TTPs/Persistence/Modify Authentication Process",
    rationale: "Without the device a password is enough, and the owner may be locked out. High where it is \
        somebody else's device.",
    false_positives: "A lost or replaced telephone; a new device is registered soon after.",
};

/// Passwords may be weak.
pub const PASSWORD_POLICY_WEAKENED: Rule = Rule {
    id: "password-policy-weakened",
    title: "The rules for passwords were weakened",
    description: "The account's password policy was deleted, or asks for fewer than eight characters.",
    severity: Severity::Medium,
    techniques: &["T1556"],
    tactic: "Defense Evasion",
    types: "TTPs/Defense Evasion/Modify Authentication Process",
    rationale: "Weak passwords can be set and guessed afterwards.",
    false_positives: "Accounts whose users all come by single sign-on.",
};

/// A role assumed a role elsewhere.
pub const ROLE_CHAINED: Rule = Rule {
    id: "sts-role-chained",
    title: "A role session assumed a role of another account",
    description: "A session of a role was used to assume a further role, in an account that is not trusted.",
    severity: Severity::Low,
    techniques: &["T1548.005"],
    tactic: "Privilege Escalation",
    types: "TTPs/Privilege Escalation/Temporary Elevated Cloud Access",
    rationale: "A chain hides who stands at its beginning and can lead to rights that no role of it seems to \
        have. Within an account, and between trusted ones, chains are how everything works.",
    false_positives: "Vendors' and partners' accounts; name them in `trusted_accounts`.",
};

/// Credentials outlive the key they came from.
pub const FEDERATION_TOKEN_ISSUED: Rule = Rule {
    id: "sts-federation-token-issued",
    title: "A user made a federation token",
    description: "GetFederationToken gave out credentials that stay valid when the user's key is deactivated.",
    severity: Severity::Medium,
    techniques: &["T1098.001"],
    tactic: "Persistence",
    types: "TTPs/Persistence/Additional Cloud Credentials",
    rationale: "With such a token someone stays in after the stolen key was deactivated, and can make a console \
        session. High where the session policy allows everything.",
    false_positives: "Custom identity brokers built before roles were usual; they have one well-known user.",
};

/// Credentials were turned into a console session.
pub const SIGNIN_TOKEN_ISSUED: Rule = Rule {
    id: "signin-token-issued",
    title: "Credentials were turned into a console session",
    description: "A federated session asked for a sign-in token, which opens the console without a password.",
    severity: Severity::Low,
    techniques: &["T1550.001"],
    tactic: "Lateral Movement",
    types: "TTPs/Lateral Movement/Application Access Token",
    rationale: "Tools turn stolen keys into a console session this way. Medium where the session came from a \
        user's federation token; the agent is not judged, for the caller chooses it.",
    false_positives: "Portals that give their users a link to the console, single sign-on among them.",
};

/// An instance's role asked for its identity.
pub const INSTANCE_ASKED_WHO_IT_IS: Rule = Rule {
    id: "instance-asked-who-it-is",
    title: "An instance's credentials were asked who they are",
    description: "GetCallerIdentity was called with credentials that were delivered to an EC2 instance.",
    severity: Severity::Medium,
    techniques: &["T1552.005", "T1087.004"],
    tactic: "Credential Access",
    types: "TTPs/Credential Access/Cloud Instance Metadata API",
    rationale: "A program knows its role; someone who found credentials on an instance asks first. Together with \
        `instance_networks` the address says whether they were taken away.",
    false_positives: "Installation scripts and agents that learn the account's number this way. Except their \
        roles by `exceptions`.",
};

/// An instance's role acted from elsewhere.
pub const INSTANCE_CREDENTIALS_OUTSIDE: Rule = Rule {
    id: "instance-credentials-outside",
    title: "An instance's credentials were used from elsewhere",
    description: "Credentials that were delivered to an EC2 instance were used from an address outside of `instance_networks`.",
    severity: Severity::High,
    techniques: &["T1552.005", "T1078.004"],
    tactic: "Credential Access",
    types: "TTPs/Credential Access/Cloud Instance Metadata API",
    rationale: "An instance's credentials belong on the instance. From elsewhere they are stolen. Off until \
        `instance_networks` names the addresses that instances leave by.",
    false_positives: "A NAT gateway or proxy whose address is missing from the list. Calls through a VPC endpoint \
        come from private addresses, which have to be in the list too.",
};

/// The password of a Windows instance.
pub const PASSWORD_DATA_READ: Rule = Rule {
    id: "ec2-password-data-read",
    title: "The administrator password of an instance was asked for",
    description: "GetPasswordData returns the encrypted administrator password of a Windows instance.",
    severity: Severity::Medium,
    techniques: &["T1552"],
    tactic: "Credential Access",
    types: "TTPs/Credential Access/Unsecured Credentials",
    rationale: "With the instance's private key the answer is a password. It is seldom needed, so also an attempt \
        that failed counts.",
    false_positives: "Someone who sets up a new Windows instance by hand.",
};

/// Many secrets by one call.
pub const SECRETS_READ_IN_BATCH: Rule = Rule {
    id: "secrets-read-in-batch",
    title: "Secrets were read in a batch",
    description: "BatchGetSecretValue returned the values of several secrets at once.",
    severity: Severity::Low,
    techniques: &["T1555.006"],
    tactic: "Credential Access",
    types: "TTPs/Credential Access/Cloud Secrets Management Stores",
    rationale: "With a filter the call returns whatever matches, which a program that knows its secrets does not \
        need: Medium then, Low with a list of names.",
    false_positives: "Agents that synchronise secrets into a cluster, under roles of their own.",
};

/// Many secure strings by one call.
pub const PARAMETERS_READ_IN_BATCH: Rule = Rule {
    id: "parameters-read-in-batch",
    title: "A person decrypted many parameters at once",
    description: "A user read as many parameters by one call as it takes, or a whole tree of them, with their secrets in clear.",
    severity: Severity::Medium,
    techniques: &["T1555.006"],
    tactic: "Credential Access",
    types: "TTPs/Credential Access/Cloud Secrets Management Stores",
    rationale: "Parameters hold the passwords of applications. Programs read their own tree under a role; a person \
        with all of it at hand is collecting. `parameters_at_once` says from which number on.",
    false_positives: "Developers who debug a configuration, and programs that still use the keys of a user.",
};

/// What an instance starts with.
pub const USER_DATA_READ: Rule = Rule {
    id: "ec2-user-data-read",
    title: "The user data of instances was asked for",
    description: "The start script of an instance was read, or asked for without the right to.",
    severity: Severity::Low,
    techniques: &["T1580", "T1552"],
    tactic: "Discovery",
    types: "TTPs/Discovery/Cloud Infrastructure Discovery",
    rationale: "Start scripts tend to hold passwords and tokens. Low where a person reads one; Medium where the \
        call was denied, for then it is tried without knowing.",
    false_positives: "Tools that describe infrastructure as code read it on every run, under their own role or user.",
};

/// The old metadata service.
pub const METADATA_UNPROTECTED: Rule = Rule {
    id: "ec2-metadata-unprotected",
    title: "An instance's metadata service was left without tokens",
    description: "The metadata service of an instance, or the account's default for it, no longer needs a session token.",
    severity: Severity::Medium,
    techniques: &["T1552.005"],
    tactic: "Credential Access",
    types: "TTPs/Credential Access/Cloud Instance Metadata API",
    rationale: "Without tokens any request forgery in an application on the instance can read its credentials.",
    false_positives: "Old software that cannot use tokens. It is the reason to update it.",
};

/// A container that reads its own credentials.
pub const TASK_READS_CREDENTIALS: Rule = Rule {
    id: "ecs-task-reads-credentials",
    title: "A task definition reads the credentials of its role",
    description: "The command of a container asks the address that hands out the task role's credentials.",
    severity: Severity::High,
    techniques: &["T1552.005", "T1525"],
    tactic: "Credential Access",
    types: "TTPs/Credential Access/Cloud Instance Metadata API",
    rationale: "Libraries read that address themselves. A command that names it sends the credentials somewhere.",
    false_positives: "Health checks written by hand.",
};

/// How much mail may be sent.
pub const SENDING_QUOTA_READ: Rule = Rule {
    id: "ses-quota-read",
    title: "A person asked how much mail may be sent",
    description: "A user asked for the sending limits of the account's mail service.",
    severity: Severity::Low,
    techniques: &["T1526"],
    tactic: "Discovery",
    types: "TTPs/Discovery/Cloud Service Discovery",
    rationale: "Stolen keys are tested for what can be sold, and mail is the first question asked.",
    false_positives: "Programs that send mail with a user's keys read their limits before they send.",
};
