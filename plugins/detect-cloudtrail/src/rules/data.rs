//! Snapshots, databases, keys and other resources: who may read them, and whether they stay.

use detections::{Severity, cloudtrail::storage as rules};

use super::{Watch, watch};
use crate::{
    event::Event,
    found::Found,
    policy::{self, Outsider},
};

pub(super) const WATCHED: &[Watch] = &[
    watch("ec2", &["ModifySnapshotAttribute"], snapshot_permission),
    watch(
        "rds",
        &[
            "ModifyDBClusterSnapshotAttribute",
            "ModifyDBSnapshotAttribute",
        ],
        database_snapshot_permission,
    ),
    watch("ec2", &["ModifyImageAttribute"], image_permission),
    watch("rds", &["StartExportTask"], exported),
    watch("dynamodb", &["ExportTableToPointInTime"], exported),
    watch(
        "ec2",
        &[
            "CreateInstanceExportTask",
            "CreateStoreImageTask",
            "ExportImage",
        ],
        exported,
    ),
    watch(
        "sqs",
        &["AddPermission", "SetQueueAttributes"],
        resource_policy,
    ),
    watch(
        "sns",
        &["AddPermission", "SetTopicAttributes"],
        resource_policy,
    ),
    watch("ecr", &["SetRepositoryPolicy"], resource_policy),
    watch("secretsmanager", &["PutResourcePolicy"], resource_policy),
    watch("glue", &["PutResourcePolicy"], resource_policy),
    watch("dynamodb", &["PutResourcePolicy"], resource_policy),
    watch("backup", &["PutBackupVaultAccessPolicy"], resource_policy),
    watch(
        "ram",
        &["AssociateResourceShare", "CreateResourceShare"],
        resource_share,
    ),
    watch("rds", DATABASES, database),
    watch(
        "redshift",
        &[
            "CreateCluster",
            "ModifyCluster",
            "RestoreFromClusterSnapshot",
        ],
        database,
    ),
    watch(
        "rds",
        &["DeleteDBCluster", "DeleteDBInstance"],
        data_store_deleted,
    ),
    watch("redshift", &["DeleteCluster"], data_store_deleted),
    watch("dynamodb", &["DeleteTable"], data_store_deleted),
    watch(
        "elasticfilesystem",
        &["DeleteFileSystem"],
        data_store_deleted,
    ),
    watch("fsx", &["DeleteFileSystem"], data_store_deleted),
    watch(
        "es",
        &["DeleteDomain", "DeleteElasticsearchDomain"],
        data_store_deleted,
    ),
    watch(
        "elasticache",
        &["DeleteCacheCluster", "DeleteReplicationGroup"],
        data_store_deleted,
    ),
    watch("kinesis", &["DeleteStream"], data_store_deleted),
    watch("eks", &["DeleteCluster"], data_store_deleted),
    watch(
        "ec2",
        &["DeleteSnapshot", "DeregisterImage"],
        backup_deleted,
    ),
    watch(
        "rds",
        &[
            "DeleteDBClusterSnapshot",
            "DeleteDBInstanceAutomatedBackup",
            "DeleteDBSnapshot",
        ],
        backup_deleted,
    ),
    watch(
        "dynamodb",
        &["DeleteBackup", "UpdateContinuousBackups"],
        backup_deleted,
    ),
    watch(
        "backup",
        &[
            "DeleteBackupPlan",
            "DeleteBackupVault",
            "DeleteBackupVaultLockConfiguration",
            "DeleteRecoveryPoint",
        ],
        backup_deleted,
    ),
    watch("secretsmanager", &["DeleteSecret"], secret_deleted),
    watch(
        "kms",
        &[
            "DeleteImportedKeyMaterial",
            "DisableKey",
            "ScheduleKeyDeletion",
        ],
        |event, found| {
            found
                .add(&rules::KEY_DISABLED)
                .about("key", event.parameter("keyId"));
        },
    ),
    watch("kms", &["CreateGrant", "PutKeyPolicy"], key_shared),
    watch("kms", &["ImportKeyMaterial"], |event, found| {
        found
            .add(&rules::KEY_MATERIAL_IMPORTED)
            .about("key", event.parameter("keyId"));
    }),
    watch("ec2", &["DisableEbsEncryptionByDefault"], |_, found| {
        found.add(&rules::DISK_ENCRYPTION_DISABLED);
    }),
];

const DATABASES: &[&str] = &[
    "CreateDBCluster",
    "CreateDBInstance",
    "ModifyDBCluster",
    "ModifyDBInstance",
    "RestoreDBClusterFromSnapshot",
    "RestoreDBClusterToPointInTime",
    "RestoreDBInstanceFromDBSnapshot",
    "RestoreDBInstanceFromS3",
    "RestoreDBInstanceToPointInTime",
];

/// What a permission of EC2 adds that does not belong here: accounts, organizations, everyone.
fn added(event: &Event<'_>, permission: &str) -> Vec<String> {
    let added = event.parameters.get(permission).get("add").each();
    let names = [
        "userId",
        "group",
        "organizationArn",
        "organizationalUnitArn",
    ];
    let texts = added
        .iter()
        .map(|entry| entry.any(&names).str().into_owned());
    texts
        .filter(|name| !name.is_empty() && !event.trusts(name))
        .collect()
}

fn snapshot_permission(event: &Event<'_>, found: &mut Found) {
    snapshot_shared(event, &added(event, "createVolumePermission"), found);
}

fn database_snapshot_permission(event: &Event<'_>, found: &mut Found) {
    let restores = event.parameter("attributeName") == "restore";
    let added = event.parameters.get("valuesToAdd").each().into_iter();
    let mut added: Vec<String> = added.map(|account| account.str().into_owned()).collect();
    added.retain(|account| restores && !account.is_empty() && !event.trusts(account));
    snapshot_shared(event, &added, found);
}

fn snapshot_shared(event: &Event<'_>, with: &[String], found: &mut Found) {
    if with.is_empty() {
        return;
    }
    let names = [
        "snapshotId",
        "dBSnapshotIdentifier",
        "dBClusterSnapshotIdentifier",
    ];
    let found = found.add(&rules::SNAPSHOT_SHARED);
    found
        .about("snapshot", event.parameters.any(&names).str())
        .about("with", with.join(", "));
    if with.iter().any(|name| name == "all") {
        found.severity(Severity::Critical);
    }
}

fn image_permission(event: &Event<'_>, found: &mut Found) {
    let with = added(event, "launchPermission");
    if !with.is_empty() {
        found
            .add(&rules::IMAGE_SHARED)
            .about("image", event.parameter("imageId"))
            .about("with", with.join(", "));
    }
}

fn exported(event: &Event<'_>, found: &mut Found) {
    let buckets = ["s3BucketName", "s3Bucket", "bucket"];
    let nested = event.parameters.any(&["s3ExportLocation", "exportToS3"]);
    let bucket = if nested.exists() {
        nested.any(&buckets)
    } else {
        event.parameters.any(&buckets)
    };
    found
        .add(&rules::DATA_EXPORTED)
        .about("bucket", bucket.str());
}

fn resource_policy(event: &Event<'_>, found: &mut Found) {
    let parameters = &event.parameters;
    let is_attribute = parameters.get("attributeName").str() == "Policy";
    let document = if is_attribute {
        parameters.get("attributeValue")
    } else if parameters.get("attributes").exists() {
        parameters.get("attributes").get("Policy")
    } else {
        parameters.any(&["resourcePolicy", "policyText", "policyInJson", "policy"])
    };
    let accounts = parameters.any(&["aWSAccountIds", "aWSAccountId"]).each();
    let outside = accounts.iter().any(|account| {
        let account = account.str();
        policy::account_of(&account).is_some_and(|account| !event.trusts(account))
    });
    let worst = event
        .outsider(document)
        .max(outside.then_some(Outsider::Account));
    let anyone = match worst {
        None | Some(Outsider::AnyoneIf) => return,
        Some(worst) => worst == Outsider::Anyone,
    };
    let secret = event
        .text(event.plugin.source)
        .starts_with("secretsmanager.");
    let found = found.add(&rules::RESOURCE_SHARED);
    let names = [
        "queueUrl",
        "topicArn",
        "repositoryName",
        "secretId",
        "resourceArn",
        "backupVaultName",
    ];
    found.about("resource", parameters.any(&names).str());
    if anyone || secret {
        found.severity(Severity::High);
    }
}

fn resource_share(event: &Event<'_>, found: &mut Found) {
    let principals = event.parameters.get("principals").each();
    let outside = principals.iter().find(|principal| {
        let principal = principal.str();
        policy::account_of(&principal)
            .is_some_and(|account| !event.trusts(account) && !principal.contains(":organization"))
    });
    if let Some(outside) = outside {
        found
            .add(&rules::RESOURCE_SHARED)
            .about("with", outside.str());
    }
}

fn database(event: &Event<'_>, found: &mut Found) {
    let parameters = &event.parameters;
    let names = [
        "dBInstanceIdentifier",
        "dBClusterIdentifier",
        "clusterIdentifier",
    ];
    let name = parameters.any(&names).str();
    if parameters.get("publiclyAccessible").is_true() {
        found
            .add(&rules::DATABASE_PUBLIC)
            .about("database", name.clone());
    }
    let modified = event.name.starts_with("Modify");
    if modified && parameters.get("masterUserPassword").exists() {
        let found = found.add(&rules::DATABASE_PASSWORD_CHANGED);
        found.about("database", name.clone());
        if event.is_person() {
            found.severity(Severity::Medium);
        }
    }
    if modified && parameters.get("backupRetentionPeriod").number() == Some(0) {
        found
            .add(&rules::BACKUP_DELETED)
            .severity(Severity::Medium)
            .about("of", name);
    }
}

fn data_store_deleted(event: &Event<'_>, found: &mut Found) {
    let names = [
        "dBInstanceIdentifier",
        "dBClusterIdentifier",
        "clusterIdentifier",
        "tableName",
        "fileSystemId",
        "domainName",
        "streamName",
        "name",
    ];
    let final_copy = ["skipFinalSnapshot", "skipFinalClusterSnapshot"];
    let no_copy = event.parameters.any(&final_copy).is_true();
    let found = found.add(&rules::DATA_STORE_DELETED);
    found.about("of", event.parameters.any(&names).str());
    if no_copy {
        found.severity(Severity::High);
    }
}

fn backup_deleted(event: &Event<'_>, found: &mut Found) {
    let recovery = event.parameters.get("pointInTimeRecoverySpecification");
    if event.name == "UpdateContinuousBackups"
        && !recovery.get("pointInTimeRecoveryEnabled").is_false()
    {
        return;
    }
    let single = event.name.contains("Snapshot") || event.name == "DeregisterImage";
    let names = [
        "snapshotId",
        "imageId",
        "dBSnapshotIdentifier",
        "backupVaultName",
        "tableName",
    ];
    let found = found.add(&rules::BACKUP_DELETED);
    found.about("of", event.parameters.any(&names).str());
    if !single {
        found.severity(Severity::Medium);
    }
}

fn secret_deleted(event: &Event<'_>, found: &mut Found) {
    if event.parameters.get("forceDeleteWithoutRecovery").is_true() {
        found
            .add(&rules::SECRET_DELETED_AT_ONCE)
            .about("secret", event.parameter("secretId"));
    }
}

fn key_shared(event: &Event<'_>, found: &mut Found) {
    let grantee = event.parameter("granteePrincipal");
    let given = policy::account_of(&grantee).is_some_and(|account| !event.trusts(account));
    let severity = match event.outsider(event.parameters.get("policy")) {
        Some(Outsider::Anyone) => Severity::High,
        Some(Outsider::Account | Outsider::AccountIf) => Severity::Medium,
        Some(Outsider::AnyoneIf) | None if given => Severity::Medium,
        Some(Outsider::AnyoneIf) | None => return,
    };
    found
        .add(&rules::KEY_SHARED)
        .severity(severity)
        .about("key", event.parameter("keyId"));
}
