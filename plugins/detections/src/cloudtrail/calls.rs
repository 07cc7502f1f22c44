//! Failed calls, and attempts at what other rules are about.

use crate::{Rule, Severity};

/// In the order of the manual.
pub const ALL: &[&Rule] = &[
    &CALL_FAILED,
    &CALL_UNAUTHORIZED,
    &ESCALATION_ATTEMPTED,
    &DELETION_ATTEMPTED,
    &EVASION_ATTEMPTED,
    &SENSITIVE_CALL_DENIED,
    &ATTACK_TOOL_USED,
];

/// A call that ended in an error.
pub const CALL_FAILED: Rule = Rule {
    id: "call-failed",
    title: "API calls failed",
    description: "Calls of the principal ended in errors. The count says how many.",
    severity: Severity::Informational,
    techniques: &[],
    tactic: "",
    types: "Unusual Behaviors/User/Failed API Calls",
    rationale: "Tools that try things out fail more often than programs that were tested. The count for a \
        principal and hour is a query that operators ask for, and context for every other finding.",
    false_positives: "Almost all failures are harmless: questions about what is not there, throttling, \
        typing errors. Read the count, not the single finding.",
};

/// A call that was refused for lack of rights.
pub const CALL_UNAUTHORIZED: Rule = Rule {
    id: "call-unauthorized",
    title: "API calls were not authorized",
    description: "The principal made calls it has no right to. The count says how many.",
    severity: Severity::Low,
    techniques: &["T1580"],
    tactic: "Discovery",
    types: "TTPs/Discovery/Cloud Infrastructure Discovery",
    rationale: "Whoever has stolen credentials does not know what they allow, and finds out by trying.",
    false_positives: "The console asks for more than most users may see, and new deployments lack rights \
        at first. Both repeat the same few calls.",
};

/// Something that would have brought rights or a way back, denied.
pub const ESCALATION_ATTEMPTED: Rule = Rule {
    id: "escalation-attempted",
    title: "An attempt to gain rights was denied",
    description: "The principal made a call that would have given rights or lasting access, and was denied it.",
    severity: Severity::Medium,
    techniques: &["T1098"],
    tactic: "Privilege Escalation",
    types: "TTPs/Privilege Escalation/Account Manipulation",
    rationale: "Tools for privilege escalation try one known way after the other. Each denied one is seen \
        here before one of them works. The finding's technique is that of the rule it would have been.",
    false_positives: "Deployments under a role that lacks rights to IAM. They fail at the same call each \
        time, and under a name that deploys.",
};

/// Something that would have destroyed, denied.
pub const DELETION_ATTEMPTED: Rule = Rule {
    id: "deletion-attempted",
    title: "An attempt to delete or damage was denied",
    description: "The principal tried to delete a resource, or to make data unusable, and was denied it.",
    severity: Severity::Medium,
    techniques: &["T1485"],
    tactic: "Impact",
    types: "TTPs/Impact/Data Destruction",
    rationale: "Deleting without the right to is seldom an accident, and says what the principal is after.",
    false_positives: "Clean-up jobs and people who tidy an account that others guard by policy.",
};

/// Something that would have blinded, denied.
pub const EVASION_ATTEMPTED: Rule = Rule {
    id: "evasion-attempted",
    title: "An attempt to weaken defences was denied",
    description: "The principal tried to switch off or change what watches or protects the account, and was denied it.",
    severity: Severity::Medium,
    techniques: &["T1562"],
    tactic: "Defense Evasion",
    types: "TTPs/Defense Evasion/Impair Defenses",
    rationale: "Policies of the organization stop such calls, which makes the denial the only trace. \
        CloudTrail itself has a rule of its own.",
    false_positives: "Administrators of an account who do not know that the organization protects it.",
};

/// Any other serious call, denied.
pub const SENSITIVE_CALL_DENIED: Rule = Rule {
    id: "sensitive-call-denied",
    title: "A serious call was denied",
    description: "The principal made a call that another rule finds when it succeeds, and was denied it.",
    severity: Severity::Medium,
    techniques: &[],
    tactic: "",
    types: "Unusual Behaviors/User/Denied API Calls",
    rationale: "Reading credentials, sharing data or running commands without the right to shows intent. \
        The finding names the rule, its technique and its tactic.",
    false_positives: "People who find out what their role may do; deployments that lack rights.",
};

/// An agent that says it is a tool of attackers.
pub const ATTACK_TOOL_USED: Rule = Rule {
    id: "attack-tool-used",
    title: "A tool of attackers called the API",
    description: "The user agent of the call names a tool or a system that is made for attacks.",
    severity: Severity::Medium,
    techniques: &["T1526"],
    tactic: "Discovery",
    types: "TTPs/Discovery/Cloud Service Discovery",
    rationale: "Secret scanners ask who a found key belongs to, and distributions for penetration tests name \
        themselves in the agent. An agent is chosen by the caller, so its absence means nothing. Only calls \
        that another rule watches, and failed ones, are looked at.",
    false_positives: "Tests that were agreed on, and a company's own search for leaked keys. `attack_agents` \
        holds the words that are looked for.",
};
