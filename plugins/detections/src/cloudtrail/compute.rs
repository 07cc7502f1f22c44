//! Code that was run or planted, machines that were reached, and networks that were opened.

use crate::{Rule, Severity};

/// In the order of the manual.
pub const ALL: &[&Rule] = &[
    &COMMAND_SENT,
    &SESSION_STARTED,
    &USER_DATA_CHANGED,
    &UNUSUAL_INSTANCES,
    &SSH_KEY_PUSHED,
    &SERIAL_CONSOLE_USED,
    &KEY_PAIR_IMPORTED,
    &FUNCTION_CODE_CHANGED,
    &FUNCTION_LAYER_ATTACHED,
    &FUNCTION_OPENED,
    &FUNCTION_URL_PUBLIC,
    &MODEL_ACCESS_REQUESTED,
    &SENDING_PREPARED,
    &SECURITY_GROUP_OPENED,
    &NETWORK_CHANGED,
    &TRAFFIC_MIRRORED,
    &INSTANCES_TERMINATED,
];

/// A command for instances.
pub const COMMAND_SENT: Rule = Rule {
    id: "ssm-command-sent",
    title: "Commands were run on instances through Systems Manager",
    description: "The principal sent a script of its own to instances, which run it as their highest user.",
    severity: Severity::Medium,
    techniques: &["T1651"],
    tactic: "Execution",
    types: "TTPs/Execution/Cloud Administration Command",
    rationale: "No network access and no password of the machine is needed. Documents that do one fixed thing, such \
        as patching, are not counted.",
    false_positives: "Administration by script, which has roles of its own: `exceptions`.",
};

/// A shell on an instance.
pub const SESSION_STARTED: Rule = Rule {
    id: "ssm-session-started",
    title: "A shell was opened on an instance through Systems Manager",
    description: "The principal opened a session on an instance.",
    severity: Severity::Low,
    techniques: &["T1651", "T1021.008"],
    tactic: "Execution",
    types: "TTPs/Execution/Cloud Administration Command",
    rationale: "A shell needs no network access and no password of the machine. Medium where a user's or root's own \
        credentials were enough.",
    false_positives: "It is how machines should be administered: by roles, after single sign-on.",
};

/// A script for the next start.
pub const USER_DATA_CHANGED: Rule = Rule {
    id: "ec2-user-data-changed",
    title: "The start script of an instance was changed",
    description: "The principal changed the user data of an instance that exists.",
    severity: Severity::High,
    techniques: &["T1651", "T1037"],
    tactic: "Execution",
    types: "TTPs/Execution/Cloud Administration Command",
    rationale: "At the next start the script runs as root. Instances are replaced, not changed this way.",
    false_positives: "Tools that change an instance in place of replacing it.",
};

/// Machines for mining.
pub const UNUSUAL_INSTANCES: Rule = Rule {
    id: "ec2-unusual-instances",
    title: "Unusual instances were asked for",
    description: "The principal asked for instances with accelerators, or for many at once. Attempts that failed count.",
    severity: Severity::Medium,
    techniques: &["T1496.001", "T1578.002"],
    tactic: "Impact",
    types: "Effects/Resource Consumption/Compute Hijacking",
    rationale: "Stolen accounts are used for mining first. Quotas stop many such calls, and the failure is the trace. \
        `instance_families` and `instances_at_once` say what is unusual here.",
    false_positives: "Teams that train models; name their families or except their roles.",
};

/// A key for a minute.
pub const SSH_KEY_PUSHED: Rule = Rule {
    id: "ec2-ssh-key-pushed",
    title: "An SSH key was pushed to an instance",
    description: "The principal placed a key for one login on an instance.",
    severity: Severity::Medium,
    techniques: &["T1021.004", "T1021.008"],
    tactic: "Lateral Movement",
    types: "TTPs/Lateral Movement/SSH",
    rationale: "From rights in the account it leads onto the machine, and to its role's rights.",
    false_positives: "Teams that log in this way; except their roles.",
};

/// A console beside the network.
pub const SERIAL_CONSOLE_USED: Rule = Rule {
    id: "ec2-serial-console-used",
    title: "The serial console of instances was enabled or used",
    description: "The principal enabled the serial console for the account, or pushed a key to it.",
    severity: Severity::High,
    techniques: &["T1021.008"],
    tactic: "Lateral Movement",
    types: "TTPs/Lateral Movement/Direct Cloud VM Connections",
    rationale: "The console passes by every network rule. It is meant for machines that do not start.",
    false_positives: "Rescue of a machine that does not start.",
};

/// A key for later instances.
pub const KEY_PAIR_IMPORTED: Rule = Rule {
    id: "ec2-key-pair-imported",
    title: "A key pair was imported or created",
    description: "The principal made a key that new instances can be reached with.",
    severity: Severity::Informational,
    techniques: &["T1098.004"],
    tactic: "Persistence",
    types: "TTPs/Persistence/SSH Authorized Keys",
    rationale: "Instances that an attacker starts are reached with a key of its own.",
    false_positives: "Deployments, and people who start machines by hand.",
};

/// Other code in a function.
pub const FUNCTION_CODE_CHANGED: Rule = Rule {
    id: "lambda-code-changed",
    title: "The code of functions was changed by a person",
    description: "A user or a person by single sign-on replaced the code of a function.",
    severity: Severity::Medium,
    techniques: &["T1546", "T1648"],
    tactic: "Persistence",
    types: "TTPs/Persistence/Event Triggered Execution",
    rationale: "The code runs with the function's role, again and again. Deployments by roles are not counted.",
    false_positives: "Accounts for development, and pipelines that still use the keys of a user.",
};

/// Code that is loaded into a function.
pub const FUNCTION_LAYER_ATTACHED: Rule = Rule {
    id: "lambda-layer-attached",
    title: "A layer was attached to a function",
    description: "A person attached a layer, or a layer of an account that is not trusted was attached.",
    severity: Severity::Medium,
    techniques: &["T1546", "T1648"],
    tactic: "Persistence",
    types: "TTPs/Persistence/Event Triggered Execution",
    rationale: "A layer's code runs inside of the function without a change of the function's own.",
    false_positives: "Monitoring by a vendor's layer; name its account in `trusted_accounts`.",
};

/// Others may call or change a function.
pub const FUNCTION_OPENED: Rule = Rule {
    id: "lambda-policy-opened",
    title: "A function was opened to another account",
    description: "The policy of a function or layer lets in an account that is not trusted, or everyone.",
    severity: Severity::High,
    techniques: &["T1546", "T1098"],
    tactic: "Persistence",
    types: "TTPs/Persistence/Event Triggered Execution",
    rationale: "From outside the function can be called, or changed, with its role's rights. Permissions for a service \
        are not counted, and those for everyone that name a source are Low.",
    false_positives: "Layers that are published on purpose.",
};

/// A function on the internet.
pub const FUNCTION_URL_PUBLIC: Rule = Rule {
    id: "lambda-url-public",
    title: "A function was given a public address",
    description: "The function can be called from the internet without authentication.",
    severity: Severity::Medium,
    techniques: &["T1546", "T1648"],
    tactic: "Persistence",
    types: "TTPs/Persistence/Event Triggered Execution",
    rationale: "It is a back door that answers to anyone who knows its name.",
    false_positives: "Hooks for other services that check a signature themselves.",
};

/// Access to models.
pub const MODEL_ACCESS_REQUESTED: Rule = Rule {
    id: "bedrock-access-requested",
    title: "Access to models was asked for",
    description: "The principal accepted the terms of a model, described a use case, or enabled a model for the account.",
    severity: Severity::Medium,
    techniques: &["T1496.004"],
    tactic: "Impact",
    types: "Effects/Resource Consumption/Cloud Service Hijacking",
    rationale: "Stolen access to expensive models is sold on. It happens once for a model and account.",
    false_positives: "Teams that begin to use a model.",
};

/// Mail in bulk.
pub const SENDING_PREPARED: Rule = Rule {
    id: "ses-sending-prepared",
    title: "Sending of mail was enabled",
    description: "The principal enabled sending for the account, or asked for higher limits.",
    severity: Severity::Medium,
    techniques: &["T1496.004"],
    tactic: "Impact",
    types: "Effects/Resource Consumption/Cloud Service Hijacking",
    rationale: "A company's name is used for phishing. It is asked for once.",
    false_positives: "A product that begins to send mail.",
};

/// A port for the world.
pub const SECURITY_GROUP_OPENED: Rule = Rule {
    id: "security-group-opened",
    title: "A security group was opened to the world",
    description: "A rule lets in the whole internet at a port that is not in `open_ports`.",
    severity: Severity::Low,
    techniques: &["T1562.007"],
    tactic: "Defense Evasion",
    types: "TTPs/Defense Evasion/Disable or Modify Cloud Firewall",
    rationale: "High for all ports, and for those of remote shells, desktops and databases. Networks larger than a \
        256th of all addresses count as the world.",
    false_positives: "Services that are meant to be public, on ports of their own.",
};

/// Any change of a network.
pub const NETWORK_CHANGED: Rule = Rule {
    id: "network-configuration-changed",
    title: "The configuration of networks was changed",
    description: "The principal changed security groups, access lists, routes, gateways or peerings.",
    severity: Severity::Informational,
    techniques: &[],
    tactic: "",
    types: "Unusual Behaviors/Network Flow/Configuration Change",
    rationale: "The list that auditors ask for. What is dangerous among it has rules of its own.",
    false_positives: "Deployments.",
};

/// A copy of all packets.
pub const TRAFFIC_MIRRORED: Rule = Rule {
    id: "traffic-mirrored",
    title: "Traffic of a machine is copied",
    description: "The principal had the network traffic of an interface mirrored.",
    severity: Severity::Medium,
    techniques: &["T1040"],
    tactic: "Credential Access",
    types: "TTPs/Credential Access/Network Sniffing",
    rationale: "Inside of a network much is sent in clear.",
    false_positives: "Network monitoring, set up once.",
};

/// Machines are gone.
pub const INSTANCES_TERMINATED: Rule = Rule {
    id: "ec2-instances-terminated",
    title: "Instances were terminated",
    description: "The principal terminated instances. The count says how many calls.",
    severity: Severity::Informational,
    techniques: &["T1489", "T1485"],
    tactic: "Impact",
    types: "TTPs/Impact/Service Stop",
    rationale: "Context for other findings, and the list that operators ask for. Low where a person did it.",
    false_positives: "Scaling and deployments.",
};
