//! The rules of `detect-behaviour`: each needs what came before.

use crate::{Rule, Severity};

/// All of them, in the order of the manual.
pub const BEHAVIOUR: &[&Rule] = &[
    &LOGIN_FAILURES,
    &LOGIN_FAILURES_ADDRESS,
    &LOGIN_SPRAYING,
    &LOGIN_AFTER_FAILURES,
    &REGION_FIRST_USED,
    &PRINCIPAL_REGION_FIRST_USED,
    &REGIONS_SWEPT,
    &IMPOSSIBLE_TRAVEL,
    &KEY_MANY_NETWORKS,
    &OBJECTS_DELETED,
    &OBJECTS_READ,
    &RESOURCES_DELETED,
    &BACKUPS_DELETED,
    &DELETIONS_DENIED,
    &SECRETS_READ,
    &INSTANCE_SECRETS_READ,
    &DISCOVERY,
    &SENSITIVE_FIRST_USED,
    &VOLUME,
    &CALLS_FAILED,
    &CALLS_UNAUTHORIZED,
    &ESCALATION_DENIED,
    &ROLES_CHAINED,
];

/// A user's password is guessed.
const LOGIN_FAILURES: Rule = Rule {
    id: "console-login-failures",
    title: "A user failed to log in many times",
    description: "Logins to the console failed again and again for one user name of the account.",
    severity: Severity::Medium,
    techniques: &["T1110"],
    tactic: "Credential Access",
    types: "TTPs/Credential Access/Brute Force",
    rationale: "Passwords of IAM users and of root can be guessed, and nothing in AWS locks the user.",
    false_positives: "A person with a forgotten password, or a password manager with an old one: few attempts, one known address. Names that do not exist are hidden by AWS and count together.",
};

/// An address guesses passwords.
const LOGIN_FAILURES_ADDRESS: Rule = Rule {
    id: "console-login-failures-address",
    title: "Many logins failed from one address",
    description: "Logins to the console failed again and again from one address, whoever was to be logged in.",
    severity: Severity::Medium,
    techniques: &["T1110"],
    tactic: "Credential Access",
    types: "TTPs/Credential Access/Brute Force",
    rationale: "Guessing spread over users stays below what is counted for each of them.",
    false_positives: "An office behind one address after a change of passwords.",
};

/// One password for many users.
const LOGIN_SPRAYING: Rule = Rule {
    id: "console-login-spraying",
    title: "Logins of many users failed from one address",
    description: "From one address logins to the console failed for several user names.",
    severity: Severity::Medium,
    techniques: &["T1110.003"],
    tactic: "Credential Access",
    types: "TTPs/Credential Access/Password Spraying",
    rationale: "A common password tried on each user fails only once or twice a user.",
    false_positives: "An office or a proxy behind one address: the users are all real and mostly succeed afterwards.",
};

/// Guessed.
const LOGIN_AFTER_FAILURES: Rule = Rule {
    id: "console-login-after-failures",
    title: "A login succeeded after many failures",
    description: "A login to the console succeeded after many failures of the same user or from the same address.",
    severity: Severity::High,
    techniques: &["T1110", "T1078.004"],
    tactic: "Credential Access",
    types: "TTPs/Credential Access/Brute Force",
    rationale: "This is how guessing looks when it ends well for who guesses.",
    false_positives: "A person who remembered at last: ask them, and look at what the session did.",
};

/// An account begins to be used elsewhere.
const REGION_FIRST_USED: Rule = Rule {
    id: "region-first-used",
    title: "A region was changed in for the first time",
    description: "Something was changed in a region in which nothing of the account was changed before, as far as is remembered.",
    severity: Severity::Medium,
    techniques: &["T1535"],
    tactic: "Defense Evasion",
    types: "Unusual Behaviors/User/Unused Region",
    rationale: "What is started in a region that nobody looks at stays unseen: miners and relays are.",
    false_positives: "A planned move into a region. Nothing is reported before the account has been known for `learning_s`.",
};

/// A principal begins to be used elsewhere.
const PRINCIPAL_REGION_FIRST_USED: Rule = Rule {
    id: "principal-region-first-used",
    title: "A principal changed something in a region that is new for it",
    description: "The principal changed something in a region in which it changed nothing before, as far as is remembered.",
    severity: Severity::Low,
    techniques: &["T1535"],
    tactic: "Defense Evasion",
    types: "Unusual Behaviors/User/Unused Region",
    rationale: "Stolen credentials are used where their owner never worked.",
    false_positives: "Administrators and deployment roles that grow into another region.",
};

/// Looks into every region.
const REGIONS_SWEPT: Rule = Rule {
    id: "regions-swept",
    title: "A principal went through many regions",
    description: "The principal listed or changed resources in many regions within a short time.",
    severity: Severity::Medium,
    techniques: &["T1580"],
    tactic: "Discovery",
    types: "TTPs/Discovery/Cloud Infrastructure Discovery",
    rationale: "Who does not know where the resources are asks every region.",
    false_positives: "Inventory and security scanners, the global view of the console: name their roles in `ignored_principals`.",
};

/// Two places, no aeroplane.
const IMPOSSIBLE_TRAVEL: Rule = Rule {
    id: "impossible-travel",
    title: "A person acted from two places that nobody travels between so fast",
    description: "Calls of one person came from places too far apart for the time between them.",
    severity: Severity::Medium,
    techniques: &["T1078.004"],
    tactic: "Initial Access",
    types: "Unusual Behaviors/User/Impossible Travel",
    rationale: "Credentials in two places at once are in two hands.",
    false_positives: "VPNs, proxies and mobile networks whose addresses are registered elsewhere; keys of a user that programs share. Roles that programs assume are left out.",
};

/// One key, many places.
const KEY_MANY_NETWORKS: Rule = Rule {
    id: "access-key-many-networks",
    title: "An access key was used from many networks",
    description: "Calls with one access key came from many public networks (/24, or /48 of IPv6) within a short time.",
    severity: Severity::Medium,
    techniques: &["T1078.004"],
    tactic: "Initial Access",
    types: "Unusual Behaviors/User/Many Networks",
    rationale: "A leaked key is tried by several finders within minutes.",
    false_positives: "A key shared by a fleet that leaves through many addresses; better it had a role.",
};

/// Ransom by deletion.
const OBJECTS_DELETED: Rule = Rule {
    id: "s3-objects-mass-deleted",
    title: "Many S3 objects were deleted",
    description: "The principal deleted many objects in S3 within a short time. A batch deletion, which does not say how many it deletes, counts as 100.",
    severity: Severity::High,
    techniques: &["T1485"],
    tactic: "Impact",
    types: "TTPs/Impact/Data Destruction",
    rationale: "Ransom in S3 is copy, delete, note. Seen only where data events are recorded.",
    false_positives: "Clean-up jobs, a bucket emptied by hand: known principal, known bucket.",
};

/// Exfiltration.
const OBJECTS_READ: Rule = Rule {
    id: "s3-objects-mass-read",
    title: "Many S3 objects were read at once",
    description: "The principal read many different objects in S3 within a short time, and half or more of all it read within a day.",
    severity: Severity::Medium,
    techniques: &["T1530"],
    tactic: "Collection",
    types: "Effects/Data Exfiltration",
    rationale: "Taking a bucket away reads each object once. Seen only where data events are recorded.",
    false_positives: "Nightly jobs that read everything: name their roles in `ignored_principals`.",
};

/// Destruction.
const RESOURCES_DELETED: Rule = Rule {
    id: "resources-mass-deleted",
    title: "Many resources were deleted",
    description: "The principal deleted many resources (instances, databases, functions, buckets, secrets, users, stores) within a short time.",
    severity: Severity::Medium,
    techniques: &["T1485"],
    tactic: "Impact",
    types: "TTPs/Impact/Data Destruction",
    rationale: "Revenge, ransom and the covering of tracks all end in deletions, faster than a person works.",
    false_positives: "An environment taken down by its owner's tool: known principal, known window of change.",
};

/// Nothing to restore from.
const BACKUPS_DELETED: Rule = Rule {
    id: "backups-mass-deleted",
    title: "Several backups or databases were deleted",
    description: "The principal deleted several snapshots, recovery points, backup vaults, volumes or databases within a short time.",
    severity: Severity::High,
    techniques: &["T1490", "T1485"],
    tactic: "Impact",
    types: "TTPs/Impact/Inhibit System Recovery",
    rationale: "Who wants ransom removes first what could be restored.",
    false_positives: "Rotation of snapshots by a script of one's own: name its role in `ignored_principals`. Deletions by AWS services do not count.",
};

/// Tried to destroy.
const DELETIONS_DENIED: Rule = Rule {
    id: "deletions-denied",
    title: "Deletions were tried again and again and denied",
    description: "The principal tried several times to delete resources that it may not delete.",
    severity: Severity::Medium,
    techniques: &["T1485"],
    tactic: "Impact",
    types: "TTPs/Impact/Data Destruction",
    rationale: "The attempt is the warning; the next credentials may be allowed to.",
    false_positives: "A pipeline that takes an environment down and lacks a right: always the same few resources.",
};

/// All the secrets.
const SECRETS_READ: Rule = Rule {
    id: "secrets-enumerated",
    title: "Many secrets were asked for",
    description: "The principal asked for the values of many different secrets or encrypted parameters, allowed or not, in one region or several.",
    severity: Severity::Medium,
    techniques: &["T1555.006"],
    tactic: "Credential Access",
    types: "TTPs/Credential Access/Cloud Secrets Management Stores",
    rationale: "A program reads the secrets it needs; a thief reads all there are.",
    false_positives: "Operators that copy secrets into clusters, tools that refresh a state with all secrets in it: name their roles in `ignored_principals`.",
};

/// Secrets of instances.
const INSTANCE_SECRETS_READ: Rule = Rule {
    id: "instance-secrets-enumerated",
    title: "Passwords or user data of many instances were asked for",
    description: "The principal asked for the administrator's password or the user data of many instances, allowed or not.",
    severity: Severity::Medium,
    techniques: &["T1552", "T1580"],
    tactic: "Credential Access",
    types: "TTPs/Credential Access/Unsecured Credentials",
    rationale: "User data often holds secrets, and nobody needs the passwords of all instances at once.",
    false_positives: "Tools that refresh a state of many instances read the user data of each.",
};

/// Looks around.
const DISCOVERY: Rule = Rule {
    id: "discovery-burst",
    title: "A principal looked around in many services",
    description: "The principal made many different calls that list what an account has, in several services, within a short time.",
    severity: Severity::Medium,
    techniques: &["T1580", "T1526", "T1087.004"],
    tactic: "Discovery",
    types: "TTPs/Discovery/Cloud Infrastructure Discovery",
    rationale: "The first thing done with stolen credentials is to find out what they open.",
    false_positives: "Inventory and security scanners, infrastructure tools with a wide state: name their roles in `ignored_principals`.",
};

/// Never done before.
const SENSITIVE_FIRST_USED: Rule = Rule {
    id: "sensitive-call-first-used",
    title: "A principal made a sensitive call for the first time",
    description: "The principal made a call that changes identities, keys, logs or who may read data, and that it did not make before, as far as is remembered.",
    severity: Severity::Low,
    techniques: &["T1078.004"],
    tactic: "Privilege Escalation",
    types: "Unusual Behaviors/User/First Use",
    rationale: "Programs repeat themselves. What a known principal never did may be done by somebody else.",
    false_positives: "People, who do new things: worth a look together with others.",
};

/// More than ever.
const VOLUME: Rule = Rule {
    id: "call-volume-outlier",
    title: "A principal made far more calls than it used to",
    description: "Calls of the principal within an hour were many times the mean of its hours of the last day. Counted by a sample of one in 64.",
    severity: Severity::Medium,
    techniques: &["T1078.004"],
    tactic: "Initial Access",
    types: "Unusual Behaviors/User/Call Volume",
    rationale: "Enumeration, destruction and a program gone wild all show in the number of calls.",
    false_positives: "Batch jobs and releases. Nothing is reported for a principal that is not known for half a day.",
};

/// Fails and fails.
const CALLS_FAILED: Rule = Rule {
    id: "calls-failed-burst",
    title: "Many calls of a principal failed",
    description: "Many calls of the principal ended in errors other than throttling and denial within a short time.",
    severity: Severity::Low,
    techniques: &["T1580"],
    tactic: "Discovery",
    types: "Unusual Behaviors/User/Failed API Calls",
    rationale: "Guessing at names and parameters fails; so does a program that broke.",
    false_positives: "Infrastructure tools that ask for settings which are not there.",
};

/// Tries all doors.
const CALLS_UNAUTHORIZED: Rule = Rule {
    id: "calls-unauthorized-burst",
    title: "A principal was denied many different calls",
    description: "The principal made several different calls it has no right to within a short time.",
    severity: Severity::Medium,
    techniques: &["T1580", "T1526"],
    tactic: "Discovery",
    types: "TTPs/Discovery/Cloud Infrastructure Discovery",
    rationale: "Stolen credentials do not say what they may do; trying does. A program that lacks one right repeats one call.",
    false_positives: "A new role with too few rights, the console opened by a person with few.",
};

/// Tries to become more.
const ESCALATION_DENIED: Rule = Rule {
    id: "privilege-escalation-denied",
    title: "A principal tried several ways to more rights and was denied",
    description: "The principal made different calls that would give rights to itself or others, and none was allowed.",
    severity: Severity::High,
    techniques: &["T1098"],
    tactic: "Privilege Escalation",
    types: "TTPs/Privilege Escalation/Account Manipulation",
    rationale: "Attack tools go through the known ways to administrator one by one.",
    false_positives: "A pipeline for identities that lost its rights: always the same calls for the same roles.",
};

/// From role to role to role.
const ROLES_CHAINED: Rule = Rule {
    id: "roles-chained",
    title: "Roles were assumed one from another several times",
    description: "A session of a role was used to assume another, and that one's session yet another, followed by the access keys that were handed out.",
    severity: Severity::Medium,
    techniques: &["T1548.005", "T1550.001"],
    tactic: "Privilege Escalation",
    types: "TTPs/Privilege Escalation/Temporary Elevated Cloud Access",
    rationale: "Each step can reach what the one before could not, and hides who began; sessions last longer than was meant.",
    false_positives: "Tools that go through a hub account: two steps, always the same. Raise the threshold above their depth.",
};
