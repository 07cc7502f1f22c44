//! What watches and protects an account, switched off or changed.

use crate::{Rule, Severity};

/// In the order of the manual.
pub const ALL: &[&Rule] = &[
    &TAMPERED,
    &TAMPERING_ATTEMPTED,
    &TRAIL_BUCKET_CHANGED,
    &TRAIL_KEY_CHANGED,
    &FLOW_LOGS_DELETED,
    &DNS_LOGS_DELETED,
    &LOG_GROUP_DELETED,
    &ALARM_DISABLED,
    &GUARDDUTY_WEAKENED,
    &CONFIG_WEAKENED,
    &SECURITY_HUB_WEAKENED,
    &DETECTION_SERVICE_DISABLED,
    &MODEL_GUARD_REMOVED,
    &ORGANIZATION_LEFT,
    &GUARDRAIL_CHANGED,
    &REGION_ENABLED,
];

/// The trail itself.
pub const TAMPERED: Rule = Rule {
    id: "cloudtrail-tampered",
    title: "CloudTrail logging was stopped or changed",
    description: "The principal stopped, deleted or reconfigured what records the calls in this account.",
    severity: Severity::Critical,
    techniques: &["T1562.008"],
    tactic: "Defense Evasion",
    types: "TTPs/Defense Evasion/Disable or Modify Cloud Logs",
    rationale: "What is not recorded is not found, by any rule. Medium for changes that may narrow what is recorded, \
        High where they visibly do.",
    false_positives: "Trails that move to the organization's; the change is planned.",
};

/// The same, without success.
pub const TAMPERING_ATTEMPTED: Rule = Rule {
    id: "cloudtrail-tampering-attempted",
    title: "An attempt to stop or change CloudTrail logging failed",
    description: "The principal tried to stop, delete or reconfigure what records the calls in this account.",
    severity: Severity::Medium,
    techniques: &["T1562.008"],
    tactic: "Defense Evasion",
    types: "TTPs/Defense Evasion/Disable or Modify Cloud Logs",
    rationale: "The attempt alone shows what the principal wants.",
    false_positives: "Deployments that delete a trail that is gone already.",
};

/// Where the trail is kept.
pub const TRAIL_BUCKET_CHANGED: Rule = Rule {
    id: "trail-bucket-changed",
    title: "The bucket of a trail was changed",
    description: "The principal changed the policy, lifecycle, versioning, encryption or protection of a bucket that holds trails, or deleted it.",
    severity: Severity::High,
    techniques: &["T1562.008", "T1485"],
    tactic: "Defense Evasion",
    types: "TTPs/Defense Evasion/Disable or Modify Cloud Logs",
    rationale: "A lifecycle rule deletes the evidence as well as a call does, and a policy can keep the trail from \
        being written. `trail_buckets` names the buckets; one whose name speaks of trails counts as Medium.",
    false_positives: "Planned changes of how long logs are kept.",
};

/// What the trail is encrypted with.
pub const TRAIL_KEY_CHANGED: Rule = Rule {
    id: "trail-key-changed",
    title: "The key of a trail was disabled or changed",
    description: "The principal disabled, deleted or changed the policy of a key named in `trail_keys`.",
    severity: Severity::Critical,
    techniques: &["T1562.008"],
    tactic: "Defense Evasion",
    types: "TTPs/Defense Evasion/Disable or Modify Cloud Logs",
    rationale: "Without its key the trail can be neither written nor read.",
    false_positives: "Planned changes of the key's policy.",
};

/// Who talked to whom.
pub const FLOW_LOGS_DELETED: Rule = Rule {
    id: "vpc-flow-logs-deleted",
    title: "VPC flow logs were deleted",
    description: "The principal deleted what records the connections of a network.",
    severity: Severity::High,
    techniques: &["T1562.008"],
    tactic: "Defense Evasion",
    types: "TTPs/Defense Evasion/Disable or Modify Cloud Logs",
    rationale: "Flow logs show where data went.",
    false_positives: "Networks that are taken down as a whole.",
};

/// Who asked for which name.
pub const DNS_LOGS_DELETED: Rule = Rule {
    id: "dns-logs-deleted",
    title: "DNS query logging was deleted",
    description: "The principal deleted the logging of DNS queries, or took a network out of it.",
    severity: Severity::High,
    techniques: &["T1562.008"],
    tactic: "Defense Evasion",
    types: "TTPs/Defense Evasion/Disable or Modify Cloud Logs",
    rationale: "DNS queries show contact to an attacker's servers, and carry data themselves.",
    false_positives: "Networks that are taken down as a whole.",
};

/// Logs of other things.
pub const LOG_GROUP_DELETED: Rule = Rule {
    id: "log-group-deleted",
    title: "Logs were deleted",
    description: "The principal deleted a log group or a stream of it.",
    severity: Severity::Low,
    techniques: &["T1562.008", "T1485"],
    tactic: "Defense Evasion",
    types: "TTPs/Defense Evasion/Disable or Modify Cloud Logs",
    rationale: "Logs of an application or a function may be the only trace of what ran there. High where the name \
        speaks of a trail, flow logs or an audit.",
    false_positives: "Stacks that are taken down delete their log groups.",
};

/// Who would have been called.
pub const ALARM_DISABLED: Rule = Rule {
    id: "alarm-disabled",
    title: "Alarms or event rules were disabled",
    description: "The principal deleted or disabled alarms, or rules that act on events.",
    severity: Severity::Low,
    techniques: &["T1562.001"],
    tactic: "Defense Evasion",
    types: "TTPs/Defense Evasion/Disable or Modify Tools",
    rationale: "Alarms and rules on events are how many accounts watch themselves.",
    false_positives: "Scaling groups and stacks delete their own alarms.",
};

/// `GuardDuty`.
pub const GUARDDUTY_WEAKENED: Rule = Rule {
    id: "guardduty-weakened",
    title: "GuardDuty was disabled or made to look away",
    description: "The principal deleted or disabled a detector, left its administrator, or had findings archived or addresses trusted.",
    severity: Severity::High,
    techniques: &["T1562.001"],
    tactic: "Defense Evasion",
    types: "TTPs/Defense Evasion/Disable or Modify Tools",
    rationale: "An archiving filter or a list of trusted addresses hides findings without disabling anything: Medium.",
    false_positives: "The move to an administrator of the organization, and filters for known noise.",
};

/// Config.
pub const CONFIG_WEAKENED: Rule = Rule {
    id: "config-recording-stopped",
    title: "Recording of configuration was stopped or narrowed",
    description: "The principal stopped or deleted the recorder of AWS Config, or deleted what it delivers to or checks.",
    severity: Severity::High,
    techniques: &["T1562.001"],
    tactic: "Defense Evasion",
    types: "TTPs/Defense Evasion/Disable or Modify Tools",
    rationale: "The history of resources is what shows later what was changed. Medium for single rules.",
    false_positives: "The move to an aggregator of the organization.",
};

/// Security Hub.
pub const SECURITY_HUB_WEAKENED: Rule = Rule {
    id: "securityhub-weakened",
    title: "Security Hub was disabled or narrowed",
    description: "The principal disabled Security Hub, a standard, a control or the import of a product's findings.",
    severity: Severity::High,
    techniques: &["T1562.001"],
    tactic: "Defense Evasion",
    types: "TTPs/Defense Evasion/Disable or Modify Tools",
    rationale: "Findings are no longer seen where people look. Medium for single standards and controls.",
    false_positives: "Controls that do not fit are disabled on purpose, with a reason in the call.",
};

/// The others.
pub const DETECTION_SERVICE_DISABLED: Rule = Rule {
    id: "detection-service-disabled",
    title: "A service that detects was disabled",
    description: "The principal disabled Macie, Inspector, Access Analyzer or Detective, or left their administrator.",
    severity: Severity::Medium,
    techniques: &["T1562.001"],
    tactic: "Defense Evasion",
    types: "TTPs/Defense Evasion/Disable or Modify Tools",
    rationale: "Each sees what the others do not.",
    false_positives: "Services that are given up for their cost.",
};

/// Records of what a model was asked.
pub const MODEL_GUARD_REMOVED: Rule = Rule {
    id: "bedrock-guard-removed",
    title: "Logging or guardrails of models were removed",
    description: "The principal deleted the logging of what models are asked, or a guardrail.",
    severity: Severity::Medium,
    techniques: &["T1562.008"],
    tactic: "Defense Evasion",
    types: "TTPs/Defense Evasion/Disable or Modify Cloud Logs",
    rationale: "Stolen access to models is sold on; what was asked should not be seen. High for the logging.",
    false_positives: "Guardrails of experiments.",
};

/// Out of the organization's reach.
pub const ORGANIZATION_LEFT: Rule = Rule {
    id: "organization-left",
    title: "An account left its organization",
    description: "An account left the organization, was removed from it, or was closed.",
    severity: Severity::Critical,
    techniques: &["T1562.001"],
    tactic: "Defense Evasion",
    types: "TTPs/Defense Evasion/Disable or Modify Tools",
    rationale: "Outside of the organization none of its policies, trails and detectors apply. High where the \
        organization itself does it.",
    false_positives: "Sold or retired accounts.",
};

/// What the organization forbids.
pub const GUARDRAIL_CHANGED: Rule = Rule {
    id: "organization-guardrail-changed",
    title: "A guardrail of the organization was removed or changed",
    description: "The principal detached, deleted or changed a policy of the organization, or disabled a kind of policies or a service's access.",
    severity: Severity::Medium,
    techniques: &["T1562.001"],
    tactic: "Defense Evasion",
    types: "TTPs/Defense Evasion/Disable or Modify Tools",
    rationale: "These policies are what stops even an administrator of an account. High where a kind of policies \
        was disabled.",
    false_positives: "The team that writes them.",
};

/// Where nobody looks.
pub const REGION_ENABLED: Rule = Rule {
    id: "region-enabled",
    title: "A region was enabled",
    description: "The principal enabled a region that the account did not use.",
    severity: Severity::Medium,
    techniques: &["T1535"],
    tactic: "Defense Evasion",
    types: "TTPs/Defense Evasion/Unused or Unsupported Cloud Regions",
    rationale: "Detectors and people watch the regions that are in use.",
    false_positives: "A new site; it is planned.",
};
