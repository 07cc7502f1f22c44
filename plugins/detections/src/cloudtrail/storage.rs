//! Data that was made public, shared, deleted or made unusable.

use crate::{Rule, Severity};

/// In the order of the manual.
pub const ALL: &[&Rule] = &[
    &BUCKET_DELETED,
    &BUCKET_PUBLIC,
    &BUCKET_SHARED,
    &PUBLIC_ACCESS_ALLOWED,
    &LIFECYCLE_SHORT,
    &VERSIONING_SUSPENDED,
    &CUSTOMER_KEY_USED,
    &FOREIGN_KEY_USED,
    &REPLICATED_AWAY,
    &BUCKET_CONFIGURED,
    &SNAPSHOT_SHARED,
    &IMAGE_SHARED,
    &DATA_EXPORTED,
    &RESOURCE_SHARED,
    &DATABASE_PUBLIC,
    &DATABASE_PASSWORD_CHANGED,
    &DATA_STORE_DELETED,
    &BACKUP_DELETED,
    &SECRET_DELETED_AT_ONCE,
    &KEY_DISABLED,
    &KEY_SHARED,
    &KEY_MATERIAL_IMPORTED,
    &DISK_ENCRYPTION_DISABLED,
];

/// A bucket is gone.
pub const BUCKET_DELETED: Rule = Rule {
    id: "s3-bucket-deleted",
    title: "An S3 bucket was deleted",
    description: "The principal deleted an S3 bucket. Its name can be taken by anyone from now on.",
    severity: Severity::Medium,
    techniques: &["T1485"],
    tactic: "Impact",
    types: "TTPs/Impact/Data Destruction",
    rationale: "Programs that still write to the name then write to whoever takes it.",
    false_positives: "Stacks that are taken down, and buckets of tests.",
};

/// Anyone can read.
pub const BUCKET_PUBLIC: Rule = Rule {
    id: "s3-bucket-public",
    title: "A bucket or its objects were made public",
    description: "A policy or an access control list gives everyone access.",
    severity: Severity::High,
    techniques: &["T1530"],
    tactic: "Collection",
    types: "Effects/Data Exposure/S3 Bucket Public",
    rationale: "Public buckets are found by scanners within hours. Statements whose condition narrows who is meant \
        are not counted.",
    false_positives: "Web sites and downloads; they should lie in an account of their own.",
};

/// Another account can read.
pub const BUCKET_SHARED: Rule = Rule {
    id: "s3-bucket-shared",
    title: "A bucket was opened to another account",
    description: "The policy of a bucket or access point lets in an account that is not trusted.",
    severity: Severity::Medium,
    techniques: &["T1537"],
    tactic: "Exfiltration",
    types: "Effects/Data Exfiltration/Transfer Data to Cloud Account",
    rationale: "Data can be read from the other account later, in peace.",
    false_positives: "Partners and the log delivery of load balancers; name their accounts in `trusted_accounts`.",
};

/// The safety catch is off.
pub const PUBLIC_ACCESS_ALLOWED: Rule = Rule {
    id: "s3-public-access-allowed",
    title: "The block of public access was removed",
    description: "The principal removed what keeps buckets from becoming public, as a whole or in part.",
    severity: Severity::Medium,
    techniques: &["T1530"],
    tactic: "Collection",
    types: "Effects/Data Exposure/S3 Public Access Block Removed",
    rationale: "It comes before making a bucket public. High for the block of the whole account.",
    false_positives: "Web sites.",
};

/// Objects will be deleted soon.
pub const LIFECYCLE_SHORT: Rule = Rule {
    id: "s3-lifecycle-short",
    title: "A lifecycle rule deletes objects within days",
    description: "A lifecycle rule of a bucket deletes objects, or their old versions, after `lifecycle_days` or sooner.",
    severity: Severity::High,
    techniques: &["T1485.001"],
    tactic: "Impact",
    types: "TTPs/Impact/Lifecycle-Triggered Deletion",
    rationale: "S3 then deletes everything by itself and leaves no event for an object. Low where the rule is for a \
        prefix, a tag or a size only.",
    false_positives: "Buckets for temporary files.",
};

/// No way back.
pub const VERSIONING_SUSPENDED: Rule = Rule {
    id: "s3-versioning-suspended",
    title: "Versioning or MFA Delete of a bucket was switched off",
    description: "Overwritten and deleted objects of the bucket can no longer be brought back, or need no second factor to be deleted.",
    severity: Severity::Medium,
    techniques: &["T1490"],
    tactic: "Impact",
    types: "TTPs/Impact/Inhibit System Recovery",
    rationale: "It comes before deleting or encrypting for ransom.",
    false_positives: "Buckets that were versioned by mistake and grew.",
};

/// Encrypted with a key that AWS does not have.
pub const CUSTOMER_KEY_USED: Rule = Rule {
    id: "s3-customer-key-used",
    title: "Objects were encrypted with a key that AWS does not keep",
    description: "Objects were written with a key that the caller supplied (SSE-C).",
    severity: Severity::Medium,
    techniques: &["T1486"],
    tactic: "Impact",
    types: "TTPs/Impact/Data Encrypted for Impact",
    rationale: "Objects copied onto themselves this way are held for ransom, and nobody can decrypt them. High for \
        copies. Needs data events.",
    false_positives: "The few programs built on SSE-C; except their roles by `exceptions`.",
};

/// Encrypted with a key of somebody else.
pub const FOREIGN_KEY_USED: Rule = Rule {
    id: "s3-foreign-key-used",
    title: "A bucket encrypts with a key of another account",
    description: "The default encryption of a bucket names a KMS key of an account that is not trusted.",
    severity: Severity::High,
    techniques: &["T1486"],
    tactic: "Impact",
    types: "TTPs/Impact/Data Encrypted for Impact",
    rationale: "Whoever owns the key can take it away and with it all objects.",
    false_positives: "Organizations that keep keys in an account of its own; name it in `trusted_accounts`.",
};

/// Everything is copied elsewhere.
pub const REPLICATED_AWAY: Rule = Rule {
    id: "s3-replicated-away",
    title: "A bucket is replicated to another account",
    description: "The replication of a bucket has a destination in an account that is not trusted.",
    severity: Severity::High,
    techniques: &["T1537"],
    tactic: "Exfiltration",
    types: "Effects/Data Exfiltration/Transfer Data to Cloud Account",
    rationale: "From then on every object leaves by itself.",
    false_positives: "Backups in an account of their own; name it in `trusted_accounts`.",
};

/// Any change of a bucket's configuration.
pub const BUCKET_CONFIGURED: Rule = Rule {
    id: "s3-configuration-changed",
    title: "The configuration of buckets was changed",
    description: "The principal changed the policy, access, lifecycle, replication, logging or encryption of a bucket.",
    severity: Severity::Informational,
    techniques: &[],
    tactic: "",
    types: "Unusual Behaviors/Data/S3 Configuration Change",
    rationale: "The list that auditors ask for. What is dangerous among it has rules of its own.",
    false_positives: "Deployments.",
};

/// A disk or database, readable elsewhere.
pub const SNAPSHOT_SHARED: Rule = Rule {
    id: "snapshot-shared",
    title: "A snapshot was shared with another account",
    description: "A snapshot of a disk or a database can be restored by an account that is not trusted.",
    severity: Severity::High,
    techniques: &["T1537"],
    tactic: "Exfiltration",
    types: "Effects/Data Exfiltration/Transfer Data to Cloud Account",
    rationale: "A snapshot is all the data, and restoring it elsewhere leaves no trace here. Critical where everyone \
        can restore it.",
    false_positives: "Backups in an account of their own; name it in `trusted_accounts`.",
};

/// An image, usable elsewhere.
pub const IMAGE_SHARED: Rule = Rule {
    id: "image-shared",
    title: "A machine image was shared with another account",
    description: "A machine image can be started by an account that is not trusted, by an organization, or by everyone.",
    severity: Severity::High,
    techniques: &["T1537"],
    tactic: "Exfiltration",
    types: "Effects/Data Exfiltration/Transfer Data to Cloud Account",
    rationale: "An image holds the disks of a machine, with code, keys and data.",
    false_positives: "Teams that build images for others; name the accounts in `trusted_accounts`.",
};

/// Data goes out in bulk.
pub const DATA_EXPORTED: Rule = Rule {
    id: "data-exported",
    title: "A database or machine was exported to S3",
    description: "The principal started the export of a snapshot, a table or an instance to a bucket.",
    severity: Severity::Medium,
    techniques: &["T1530", "T1537"],
    tactic: "Collection",
    types: "Effects/Data Exfiltration/Export to S3",
    rationale: "The whole of it becomes files that are easily taken away.",
    false_positives: "Exports for analysis, which repeat.",
};

/// A policy of some other resource.
pub const RESOURCE_SHARED: Rule = Rule {
    id: "resource-policy-opened",
    title: "A resource was opened to another account",
    description: "The policy of a queue, topic, repository, secret, catalogue, vault or share lets in an account that is not trusted, or everyone.",
    severity: Severity::Medium,
    techniques: &["T1537"],
    tactic: "Exfiltration",
    types: "Effects/Data Exposure/Resource Policy",
    rationale: "A resource's own policy gives access without any change of IAM. High where it is everyone, or a secret.",
    false_positives: "Partners; name their accounts in `trusted_accounts`.",
};

/// A database that anyone can reach.
pub const DATABASE_PUBLIC: Rule = Rule {
    id: "database-public",
    title: "A database was made reachable from the internet",
    description: "A database instance or cluster was created, restored or changed so that it has a public address.",
    severity: Severity::High,
    techniques: &["T1530"],
    tactic: "Collection",
    types: "Effects/Data Exposure/Public Database",
    rationale: "A copy restored with a public address is a known way to read a database.",
    false_positives: "Databases of tests, which should not hold real data.",
};

/// A new way into a database.
pub const DATABASE_PASSWORD_CHANGED: Rule = Rule {
    id: "database-password-changed",
    title: "The master password of a database was changed",
    description: "The principal set the master password of a database instance or cluster.",
    severity: Severity::Low,
    techniques: &["T1098"],
    tactic: "Persistence",
    types: "TTPs/Persistence/Account Manipulation",
    rationale: "With it a snapshot that was restored, or the database itself, can be read. Medium where a person \
        did it.",
    false_positives: "Rotation, which runs under a role.",
};

/// The data itself.
pub const DATA_STORE_DELETED: Rule = Rule {
    id: "data-store-deleted",
    title: "A database or file system was deleted",
    description: "The principal deleted a database, table, file system, cluster or stream with its data.",
    severity: Severity::Medium,
    techniques: &["T1485"],
    tactic: "Impact",
    types: "TTPs/Impact/Data Destruction",
    rationale: "High where no last snapshot was kept.",
    false_positives: "Stacks that are taken down.",
};

/// The way back.
pub const BACKUP_DELETED: Rule = Rule {
    id: "backup-deleted",
    title: "Backups were deleted or switched off",
    description: "The principal deleted snapshots, backups or vaults, or ended the making of them.",
    severity: Severity::Low,
    techniques: &["T1490"],
    tactic: "Impact",
    types: "TTPs/Impact/Inhibit System Recovery",
    rationale: "Ransom is paid when there is no backup. Medium for vaults, recovery points and switching backups off; \
        single snapshots come and go.",
    false_positives: "Retention jobs under roles of their own.",
};

/// No time to think again.
pub const SECRET_DELETED_AT_ONCE: Rule = Rule {
    id: "secret-deleted-at-once",
    title: "Secrets were deleted without a way back",
    description: "Secrets were deleted without the days in which they can be restored.",
    severity: Severity::Medium,
    techniques: &["T1485"],
    tactic: "Impact",
    types: "TTPs/Impact/Data Destruction",
    rationale: "The waiting time exists against mistakes and malice; leaving it out is a choice.",
    false_positives: "Tests, which create the same secret again and again.",
};

/// Everything under the key is unusable.
pub const KEY_DISABLED: Rule = Rule {
    id: "kms-key-disabled",
    title: "A key was disabled or scheduled for deletion",
    description: "What is encrypted under the key cannot be read any more, or not for long.",
    severity: Severity::High,
    techniques: &["T1485", "T1486"],
    tactic: "Impact",
    types: "TTPs/Impact/Data Destruction",
    rationale: "Deleting a key destroys all its data at once. There are at least seven days to cancel it.",
    false_positives: "Keys of systems that were retired.",
};

/// Somebody else may use the key.
pub const KEY_SHARED: Rule = Rule {
    id: "kms-key-shared",
    title: "A key was opened to another account",
    description: "The policy or a grant of a key lets in an account that is not trusted, or everyone.",
    severity: Severity::Medium,
    techniques: &["T1537"],
    tactic: "Exfiltration",
    types: "Effects/Data Exposure/Key Policy",
    rationale: "Encrypted snapshots and objects can only be read elsewhere with the key. High where it is everyone.",
    false_positives: "Backups in an account of their own; name it in `trusted_accounts`.",
};

/// A key that its owner can take back.
pub const KEY_MATERIAL_IMPORTED: Rule = Rule {
    id: "kms-key-material-imported",
    title: "Key material was imported",
    description: "A key got its material from outside of AWS.",
    severity: Severity::Medium,
    techniques: &["T1486"],
    tactic: "Impact",
    types: "TTPs/Impact/Data Encrypted for Impact",
    rationale: "Data encrypted under it is lost once the material expires or is deleted, which works at once.",
    false_positives: "Companies that have to hold their keys themselves.",
};

/// New disks in clear.
pub const DISK_ENCRYPTION_DISABLED: Rule = Rule {
    id: "ebs-encryption-disabled",
    title: "Encryption of new disks was switched off",
    description: "New volumes and snapshots are no longer encrypted unless somebody says so.",
    severity: Severity::Medium,
    techniques: &["T1562"],
    tactic: "Defense Evasion",
    types: "TTPs/Defense Evasion/Impair Defenses",
    rationale: "Snapshots in clear can be shared without sharing a key.",
    false_positives: "Rare; the default costs nothing.",
};
