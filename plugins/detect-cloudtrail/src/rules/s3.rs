//! Buckets: who may read them, and what keeps their objects.

use detections::{Severity, cloudtrail::storage as rules};

use super::{Only, Watch, logging::BUCKET_CHANGES, watch};
use crate::{
    event::Event,
    found::Found,
    json::Json,
    policy::{self, Outsider},
};

pub(super) const WATCHED: &[Watch] = &[
    watch("s3", &["DeleteBucket"], |event, found| {
        found
            .add(&rules::BUCKET_DELETED)
            .about("bucket", event.parameter("bucketName"));
    }),
    watch(
        "s3",
        &["PutBucketPolicy", "PutAccessPointPolicy"],
        bucket_policy,
    ),
    watch(
        "s3",
        &["PutBucketAcl", "PutObjectAcl", "CreateBucket"],
        bucket_acl,
    ),
    watch("s3", PUBLIC_ACCESS, public_access),
    watch(
        "s3",
        &["PutBucketLifecycle", "PutBucketLifecycleConfiguration"],
        lifecycle,
    ),
    watch("s3", &["PutBucketVersioning"], versioning),
    Watch {
        only: Only::CustomerKeys,
        ..watch(
            "s3",
            &[
                "CopyObject",
                "CreateMultipartUpload",
                "InitiateMultipartUpload",
                "PutObject",
            ],
            customer_key,
        )
    },
    watch("s3", &["PutBucketEncryption"], foreign_key),
    watch("s3", &["PutBucketReplication"], replication),
    watch("s3", BUCKET_CHANGES, bucket_configured),
    watch(
        "s3",
        &["PutBucketCors", "DeleteBucketCors", "PutBucketWebsite"],
        bucket_configured,
    ),
];

/// S3 records these calls under other names than its interface has; both are taken.
const PUBLIC_ACCESS: &[&str] = &[
    "DeleteAccountPublicAccessBlock",
    "DeleteBucketPublicAccessBlock",
    "DeletePublicAccessBlock",
    "PutAccountPublicAccessBlock",
    "PutBucketPublicAccessBlock",
    "PutPublicAccessBlock",
];

fn bucket_policy(event: &Event<'_>, found: &mut Found) {
    let document = event
        .parameters
        .any(&["bucketPolicy", "policy", "PutAccessPointPolicyRequest"]);
    let nested = document.get("Policy");
    let document = if nested.exists() { nested } else { document };
    let rule = match event.outsider(document) {
        Some(Outsider::Anyone) => &rules::BUCKET_PUBLIC,
        Some(Outsider::Account | Outsider::AccountIf) => &rules::BUCKET_SHARED,
        Some(Outsider::AnyoneIf) | None => return,
    };
    found.add(rule).about(
        "bucket",
        event.parameters.any(&["bucketName", "name"]).str(),
    );
}

/// Everyone, and everyone with an account of AWS.
const EVERYONE: [&str; 2] = [
    "/groups/global/AllUsers",
    "/groups/global/AuthenticatedUsers",
];

fn bucket_acl(event: &Event<'_>, found: &mut Found) {
    let parameters = &event.parameters;
    let canned = parameters.get("x-amz-acl").each();
    let mut public = canned.iter().any(|acl| {
        let acl = acl.str();
        acl.starts_with("public-") || acl == "authenticated-read"
    });
    let grants = parameters
        .get("AccessControlPolicy")
        .get("AccessControlList")
        .get("Grant");
    public |= grants
        .each()
        .iter()
        .any(|grant| is_everyone(&grant.get("Grantee").get("URI").str()));
    let headers = parameters
        .members()
        .filter(|(name, _)| name.starts_with("x-amz-grant-"));
    public |= headers
        .flat_map(|(_, value)| value.each())
        .any(|value| is_everyone(&value.str()));
    if public {
        found
            .add(&rules::BUCKET_PUBLIC)
            .about("bucket", event.parameter("bucketName"))
            .about("key", event.parameter("key"));
    }
}

fn is_everyone(uri: &str) -> bool {
    EVERYONE.iter().any(|group| uri.contains(group))
}

fn public_access(event: &Event<'_>, found: &mut Found) {
    let parameters = &event.parameters;
    let block = parameters.get("PublicAccessBlockConfiguration");
    let weakened = [
        "BlockPublicAcls",
        "BlockPublicPolicy",
        "IgnorePublicAcls",
        "RestrictPublicBuckets",
    ]
    .iter()
    .any(|name| block.get(name).is_false());
    if event.name.starts_with("Delete") || weakened {
        let found = found.add(&rules::PUBLIC_ACCESS_ALLOWED);
        let bucket = parameters.get("bucketName").str();
        let of_account = event.name.contains("Account") || bucket.is_empty();
        found.about("bucket", bucket);
        if of_account {
            found.severity(Severity::High);
        }
    }
}

fn lifecycle(event: &Event<'_>, found: &mut Found) {
    let most = i64::from(event.plugin.config.lifecycle_days);
    let soon = |days: Json<'_>| days.number().is_some_and(|days| days <= most);
    let rules_of_bucket = event
        .parameters
        .get("LifecycleConfiguration")
        .get("Rule")
        .each();
    let deleting = rules_of_bucket.into_iter().filter(|rule| {
        let expires = soon(rule.get("Expiration").get("Days"))
            || soon(
                rule.get("NoncurrentVersionExpiration")
                    .get("NoncurrentDays"),
            );
        expires && !rule.get("Status").str().eq_ignore_ascii_case("Disabled")
    });
    let Some(narrow) = deleting.map(is_narrow).min() else {
        return;
    };
    let found = found.add(&rules::LIFECYCLE_SHORT);
    found.about("bucket", event.parameter("bucketName"));
    if narrow {
        found.severity(Severity::Low);
    }
}

/// Whether a lifecycle rule is for some of the objects only.
fn is_narrow(rule: Json<'_>) -> bool {
    let filter = rule.get("Filter");
    let prefix = [
        rule.get("Prefix"),
        filter.get("Prefix"),
        filter.get("And").get("Prefix"),
    ];
    let prefixed = prefix
        .iter()
        .any(|prefix| !matches!(&*prefix.str(), "" | "*" | "/"));
    let tagged = [
        filter.get("Tag"),
        filter.get("And").get("Tag"),
        filter.get("ObjectSizeLessThan"),
    ];
    prefixed || tagged.iter().any(|value| value.exists())
}

fn versioning(event: &Event<'_>, found: &mut Found) {
    let set = event.parameters.get("VersioningConfiguration");
    if set.get("Status").str() == "Suspended" || set.get("MfaDelete").str() == "Disabled" {
        found
            .add(&rules::VERSIONING_SUSPENDED)
            .about("bucket", event.parameter("bucketName"));
    }
}

fn customer_key(event: &Event<'_>, found: &mut Found) {
    if event.text(event.plugin.encryption) != "SSE_C" {
        return;
    }
    let found = found.add(&rules::CUSTOMER_KEY_USED);
    found.about("bucket", event.parameter("bucketName"));
    if event.name == "CopyObject" {
        found.severity(Severity::High);
    }
}

fn foreign_key(event: &Event<'_>, found: &mut Found) {
    let settings = event
        .parameters
        .get("ServerSideEncryptionConfiguration")
        .get("Rule");
    for rule in settings.each() {
        let key = rule
            .get("ApplyServerSideEncryptionByDefault")
            .get("KMSMasterKeyID")
            .str();
        if policy::account_of(&key).is_some_and(|account| !event.trusts(account)) {
            found
                .add(&rules::FOREIGN_KEY_USED)
                .about("bucket", event.parameter("bucketName"))
                .about("key", key);
            return;
        }
    }
}

fn replication(event: &Event<'_>, found: &mut Found) {
    for rule in event
        .parameters
        .get("ReplicationConfiguration")
        .get("Rule")
        .each()
    {
        let account = rule.get("Destination").get("Account").str();
        if !account.is_empty() && !event.trusts(&account) {
            found
                .add(&rules::REPLICATED_AWAY)
                .about("bucket", event.parameter("bucketName"))
                .about("account", account);
            return;
        }
    }
}

fn bucket_configured(event: &Event<'_>, found: &mut Found) {
    if event.name != "DeleteBucket" {
        found
            .add(&rules::BUCKET_CONFIGURED)
            .about("bucket", event.parameter("bucketName"));
    }
}
