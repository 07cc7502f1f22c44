//! What watches and protects the account.

use detections::{Severity, cloudtrail::logging as rules};

use super::{Watch, watch};
use crate::{
    event::{Event, Outcome},
    found::Found,
};

pub(super) const WATCHED: &[Watch] = &[
    watch("cloudtrail", TRAIL, trail),
    watch("s3", BUCKET_CHANGES, trail_bucket),
    watch("kms", KEY_CHANGES, trail_key),
    watch("ec2", &["DeleteFlowLogs"], |_, found| {
        found.add(&rules::FLOW_LOGS_DELETED);
    }),
    watch(
        "route53resolver",
        &[
            "DeleteResolverQueryLogConfig",
            "DisassociateResolverQueryLogConfig",
        ],
        |_, found| {
            found.add(&rules::DNS_LOGS_DELETED);
        },
    ),
    watch("route53", &["DeleteQueryLoggingConfig"], |_, found| {
        found.add(&rules::DNS_LOGS_DELETED);
    }),
    watch("logs", &["DeleteLogGroup", "DeleteLogStream"], log_group),
    watch(
        "monitoring",
        &["DeleteAlarms", "DisableAlarmActions"],
        alarm,
    ),
    watch(
        "events",
        &["DeleteRule", "DisableRule", "RemoveTargets"],
        alarm,
    ),
    watch("guardduty", GUARDDUTY, guardduty),
    watch("config", CONFIG, config_recorder),
    watch("securityhub", SECURITY_HUB, security_hub),
    watch(
        "macie2",
        &["DisableMacie", "DisassociateFromAdministratorAccount"],
        detection_service,
    ),
    watch("inspector2", &["Disable"], detection_service),
    watch(
        "access-analyzer",
        &["CreateArchiveRule", "DeleteAnalyzer"],
        detection_service,
    ),
    watch(
        "detective",
        &["DeleteGraph", "DisassociateMembership"],
        detection_service,
    ),
    watch(
        "bedrock",
        &[
            "DeleteGuardrail",
            "DeleteModelInvocationLoggingConfiguration",
        ],
        model_guard,
    ),
    watch(
        "organizations",
        &[
            "CloseAccount",
            "LeaveOrganization",
            "RemoveAccountFromOrganization",
        ],
        organization_left,
    ),
    watch(
        "organizations",
        &[
            "DeletePolicy",
            "DetachPolicy",
            "DisableAWSServiceAccess",
            "DisablePolicyType",
            "UpdatePolicy",
        ],
        guardrail,
    ),
    watch("account", &["EnableRegion"], |event, found| {
        found
            .add(&rules::REGION_ENABLED)
            .about("region", event.parameter("RegionName"));
    }),
];

const TRAIL: &[&str] = &[
    "DeleteEventDataStore",
    "DeleteTrail",
    "PutEventSelectors",
    "PutInsightSelectors",
    "StopEventDataStoreIngestion",
    "StopLogging",
    "UpdateEventDataStore",
    "UpdateTrail",
];

/// Changes of a bucket that can end, hide or destroy what is kept in it.
pub(super) const BUCKET_CHANGES: &[&str] = &[
    "DeleteBucket",
    "DeleteBucketEncryption",
    "DeleteBucketLifecycle",
    "DeleteBucketPolicy",
    "DeleteBucketPublicAccessBlock",
    "DeleteBucketReplication",
    "DeletePublicAccessBlock",
    "PutBucketAcl",
    "PutBucketEncryption",
    "PutBucketLifecycle",
    "PutBucketLifecycleConfiguration",
    "PutBucketLogging",
    "PutBucketNotification",
    "PutBucketNotificationConfiguration",
    "PutBucketObjectLockConfiguration",
    "PutBucketOwnershipControls",
    "PutBucketPolicy",
    "PutBucketPublicAccessBlock",
    "PutBucketReplication",
    "PutBucketVersioning",
    "PutObjectLockConfiguration",
    "PutPublicAccessBlock",
];

const KEY_CHANGES: &[&str] = &[
    "DeleteImportedKeyMaterial",
    "DisableKey",
    "PutKeyPolicy",
    "ScheduleKeyDeletion",
];

const GUARDDUTY: &[&str] = &[
    "CreateFilter",
    "CreateIPSet",
    "DeleteDetector",
    "DeleteMembers",
    "DeletePublishingDestination",
    "DisassociateFromAdministratorAccount",
    "DisassociateFromMasterAccount",
    "DisassociateMembers",
    "StopMonitoringMembers",
    "UpdateDetector",
    "UpdateFilter",
    "UpdateIPSet",
];

const CONFIG: &[&str] = &[
    "DeleteConfigRule",
    "DeleteConfigurationRecorder",
    "DeleteDeliveryChannel",
    "DeleteOrganizationConfigRule",
    "StopConfigurationRecorder",
];

const SECURITY_HUB: &[&str] = &[
    "BatchDisableStandards",
    "DisableImportFindingsForProduct",
    "DisableSecurityHub",
    "DisableSecurityHubV2",
    "DisassociateFromAdministratorAccount",
    "DisassociateMembers",
    "UpdateStandardsControl",
];

/// A failed attempt has a rule of its own.
fn trail(event: &Event<'_>, found: &mut Found) {
    let parameters = &event.parameters;
    let severity = match event.name {
        "DeleteEventDataStore" | "DeleteTrail" | "StopEventDataStoreIngestion" | "StopLogging" => {
            Severity::Critical
        }
        "PutInsightSelectors" => {
            if !parameters.get("insightSelectors").each().is_empty() {
                return;
            }
            Severity::Medium
        }
        "PutEventSelectors" => {
            let selectors = parameters.get("eventSelectors").each();
            let narrowed = selectors.iter().any(|selector| {
                selector.get("includeManagementEvents").is_false()
                    || !selector
                        .get("excludeManagementEventSources")
                        .each()
                        .is_empty()
                    || !matches!(&*selector.get("readWriteType").str(), "" | "All")
            });
            if narrowed {
                Severity::High
            } else {
                Severity::Medium
            }
        }
        _ => {
            let narrowed = [
                "isMultiRegionTrail",
                "includeGlobalServiceEvents",
                "enableLogFileValidation",
                "multiRegionEnabled",
                "terminationProtectionEnabled",
            ]
            .iter()
            .any(|name| parameters.get(name).is_false());
            if narrowed {
                Severity::High
            } else {
                Severity::Medium
            }
        }
    };
    let succeeded = event.outcome == Outcome::Succeeded;
    let rule = if succeeded {
        &rules::TAMPERED
    } else {
        &rules::TAMPERING_ATTEMPTED
    };
    let names = ["name", "trailName", "eventDataStore"];
    found
        .add(rule)
        .severity(severity)
        .also_failed(rules::TAMPERING_ATTEMPTED.severity)
        .about("trail", parameters.any(&names).str());
}

/// Words in the names of buckets and log groups that hold evidence. Such names were given before an
/// attack, so that nobody who attacks can choose them.
const EVIDENCE: [&str; 5] = ["cloudtrail", "cloud-trail", "flow-log", "flowlog", "audit"];

fn is_evidence(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    EVIDENCE.iter().any(|word| name.contains(word))
}

fn trail_bucket(event: &Event<'_>, found: &mut Found) {
    let bucket = event.parameter("bucketName");
    let named = event
        .plugin
        .config
        .trail_buckets
        .iter()
        .any(|name| *name == bucket);
    if named || is_evidence(&bucket) {
        let found = found.add(&rules::TRAIL_BUCKET_CHANGED);
        found.about("bucket", bucket);
        if !named {
            found.severity(Severity::Medium);
        }
    }
}

/// A key may be called by its identifier, its ARN or an alias.
fn trail_key(event: &Event<'_>, found: &mut Found) {
    let called = event.parameter("keyId");
    let short = |name: &str| {
        name.rsplit_once(":key/")
            .map_or(name.to_owned(), |(_, id)| id.to_owned())
    };
    let keys = &event.plugin.config.trail_keys;
    if keys.iter().any(|key| short(key) == short(&called)) {
        found.add(&rules::TRAIL_KEY_CHANGED).about("key", called);
    }
}

fn log_group(event: &Event<'_>, found: &mut Found) {
    let name = event.parameter("logGroupName");
    let evidence = is_evidence(&name);
    let found = found.add(&rules::LOG_GROUP_DELETED);
    found.about("logGroup", name);
    if evidence {
        found.severity(Severity::High);
    }
}

fn alarm(event: &Event<'_>, found: &mut Found) {
    let names = event.parameters.any(&["alarmNames", "name", "rule"]).each();
    let name = names.first().map(|name| name.str()).unwrap_or_default();
    found.add(&rules::ALARM_DISABLED).about("name", name);
}

fn guardduty(event: &Event<'_>, found: &mut Found) {
    let parameters = &event.parameters;
    let severity = match event.name {
        "UpdateDetector" if parameters.get("enable").is_false() => Severity::High,
        "CreateFilter" | "UpdateFilter" if parameters.get("action").str() == "ARCHIVE" => {
            Severity::Medium
        }
        "UpdateDetector" | "CreateFilter" | "UpdateFilter" => return,
        "CreateIPSet" | "UpdateIPSet" | "DeletePublishingDestination" => Severity::Medium,
        _ => Severity::High,
    };
    found
        .add(&rules::GUARDDUTY_WEAKENED)
        .severity(severity)
        .about("detector", parameters.get("detectorId").str());
}

fn config_recorder(event: &Event<'_>, found: &mut Found) {
    let found = found.add(&rules::CONFIG_WEAKENED);
    if event.name.ends_with("ConfigRule") {
        found.severity(Severity::Medium);
    }
}

fn security_hub(event: &Event<'_>, found: &mut Found) {
    let severity = match event.name {
        "UpdateStandardsControl" if event.parameter("controlStatus") != "DISABLED" => return,
        "BatchDisableStandards" | "DisableImportFindingsForProduct" | "UpdateStandardsControl" => {
            Severity::Medium
        }
        _ => Severity::High,
    };
    found.add(&rules::SECURITY_HUB_WEAKENED).severity(severity);
}

fn detection_service(_: &Event<'_>, found: &mut Found) {
    found.add(&rules::DETECTION_SERVICE_DISABLED);
}

fn model_guard(event: &Event<'_>, found: &mut Found) {
    let found = found.add(&rules::MODEL_GUARD_REMOVED);
    if event.name == "DeleteModelInvocationLoggingConfiguration" {
        found.severity(Severity::High);
    }
}

fn organization_left(event: &Event<'_>, found: &mut Found) {
    let found = found.add(&rules::ORGANIZATION_LEFT);
    found.about("account", event.parameter("accountId"));
    if event.name != "LeaveOrganization" {
        found.severity(Severity::High);
    }
}

fn guardrail(event: &Event<'_>, found: &mut Found) {
    let found = found.add(&rules::GUARDRAIL_CHANGED);
    let names = ["policyId", "policyType", "servicePrincipal"];
    found.about("policy", event.parameters.any(&names).str());
    if event.name == "DisablePolicyType" {
        found.severity(Severity::High);
    }
}
