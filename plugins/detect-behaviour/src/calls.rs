//! Which calls are counted, and as what.

use crate::text::{ByHash, hash};

/// What a call is, as a set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Marks(u16);

impl Marks {
    pub(crate) const LOGIN: Self = Self(1);
    pub(crate) const SECRET: Self = Self(1 << 1);
    pub(crate) const INSTANCE_SECRET: Self = Self(1 << 2);
    /// Lists what the account has, whatever it is called with.
    pub(crate) const LISTING: Self = Self(1 << 3);
    pub(crate) const DELETION: Self = Self(1 << 4);
    /// A deletion of what could be restored from.
    pub(crate) const BACKUP: Self = Self(1 << 5 | 1 << 4);
    pub(crate) const OBJECT_READ: Self = Self(1 << 6);
    pub(crate) const OBJECT_DELETION: Self = Self(1 << 7);
    pub(crate) const ASSUME_ROLE: Self = Self(1 << 8);
    /// Changes identities, keys, logs or who may read data.
    pub(crate) const SENSITIVE: Self = Self(1 << 9);
    /// Gives rights.
    pub(crate) const ESCALATION: Self = Self(1 << 10 | 1 << 9);

    pub(crate) fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

/// Calls by service, as the host's index takes them.
const TABLE: &[(&str, Marks, &[&str])] = &[
    ("signin", Marks::LOGIN, &["ConsoleLogin"]),
    ("sts", Marks::ASSUME_ROLE, &["AssumeRole"]),
    (
        "secretsmanager",
        Marks::SECRET,
        &["GetSecretValue", "BatchGetSecretValue"],
    ),
    (
        "ssm",
        Marks::SECRET,
        &[
            "GetParameter",
            "GetParameters",
            "GetParameterHistory",
            "GetParametersByPath",
        ],
    ),
    (
        "ec2",
        Marks::INSTANCE_SECRET,
        &["GetPasswordData", "DescribeInstanceAttribute"],
    ),
    ("s3", Marks::OBJECT_READ, &["GetObject"]),
    (
        "s3",
        Marks::OBJECT_DELETION,
        &["DeleteObject", "DeleteObjects"],
    ),
    ("s3", Marks::DELETION, &["DeleteBucket"]),
    (
        "ec2",
        Marks::DELETION,
        &[
            "TerminateInstances",
            "DeleteNatGateway",
            "DeleteVpc",
            "DeleteLaunchTemplate",
        ],
    ),
    (
        "ec2",
        Marks::BACKUP,
        &["DeleteSnapshot", "DeleteVolume", "DeregisterImage"],
    ),
    (
        "rds",
        Marks::BACKUP,
        &[
            "DeleteDBInstance",
            "DeleteDBCluster",
            "DeleteDBSnapshot",
            "DeleteDBClusterSnapshot",
            "DeleteGlobalCluster",
            "DeleteDBInstanceAutomatedBackup",
            "DeleteDBClusterAutomatedBackup",
        ],
    ),
    (
        "backup",
        Marks::BACKUP,
        &[
            "DeleteRecoveryPoint",
            "DeleteBackupVault",
            "DeleteBackupPlan",
        ],
    ),
    ("dynamodb", Marks::BACKUP, &["DeleteTable", "DeleteBackup"]),
    (
        "redshift",
        Marks::BACKUP,
        &["DeleteCluster", "DeleteClusterSnapshot"],
    ),
    (
        "elasticache",
        Marks::BACKUP,
        &[
            "DeleteCacheCluster",
            "DeleteReplicationGroup",
            "DeleteSnapshot",
        ],
    ),
    ("elasticfilesystem", Marks::BACKUP, &["DeleteFileSystem"]),
    (
        "fsx",
        Marks::BACKUP,
        &["DeleteFileSystem", "DeleteBackup", "DeleteVolume"],
    ),
    (
        "kms",
        Marks::DELETION,
        &["ScheduleKeyDeletion", "DeleteImportedKeyMaterial"],
    ),
    ("secretsmanager", Marks::DELETION, &["DeleteSecret"]),
    (
        "ssm",
        Marks::DELETION,
        &["DeleteParameter", "DeleteParameters"],
    ),
    ("lambda", Marks::DELETION, &["DeleteFunction"]),
    ("cloudformation", Marks::DELETION, &["DeleteStack"]),
    ("ecs", Marks::DELETION, &["DeleteCluster", "DeleteService"]),
    ("eks", Marks::DELETION, &["DeleteCluster"]),
    ("ecr", Marks::DELETION, &["DeleteRepository"]),
    ("logs", Marks::DELETION, &["DeleteLogGroup"]),
    ("sqs", Marks::DELETION, &["DeleteQueue", "PurgeQueue"]),
    ("sns", Marks::DELETION, &["DeleteTopic"]),
    ("route53", Marks::DELETION, &["DeleteHostedZone"]),
    (
        "elasticloadbalancing",
        Marks::DELETION,
        &["DeleteLoadBalancer"],
    ),
    (
        "iam",
        Marks::DELETION,
        &["DeleteUser", "DeleteRole", "DeleteGroup"],
    ),
    ("cognito-idp", Marks::DELETION, &["DeleteUserPool"]),
    (
        "iam",
        Marks::ESCALATION,
        &[
            "AddUserToGroup",
            "AttachGroupPolicy",
            "AttachRolePolicy",
            "AttachUserPolicy",
            "CreateAccessKey",
            "CreateLoginProfile",
            "CreatePolicyVersion",
            "PutGroupPolicy",
            "PutRolePolicy",
            "PutUserPolicy",
            "SetDefaultPolicyVersion",
            "UpdateAssumeRolePolicy",
            "UpdateLoginProfile",
            "AddRoleToInstanceProfile",
            "DeleteRolePermissionsBoundary",
            "DeleteUserPermissionsBoundary",
        ],
    ),
    (
        "iam",
        Marks::SENSITIVE,
        &[
            "CreateUser",
            "CreateRole",
            "CreateSAMLProvider",
            "CreateOpenIDConnectProvider",
            "UpdateSAMLProvider",
            "DeactivateMFADevice",
            "DeleteAccountPasswordPolicy",
            "UploadSSHPublicKey",
            "CreateServiceSpecificCredential",
        ],
    ),
    (
        "sts",
        Marks::SENSITIVE,
        &["GetFederationToken", "GetSessionToken"],
    ),
    (
        "organizations",
        Marks::SENSITIVE,
        &[
            "LeaveOrganization",
            "InviteAccountToOrganization",
            "DetachPolicy",
            "DisablePolicyType",
        ],
    ),
    (
        "s3",
        Marks::SENSITIVE,
        &[
            "PutBucketPolicy",
            "PutBucketAcl",
            "PutBucketPublicAccessBlock",
            "DeleteBucketPublicAccessBlock",
            "PutBucketReplication",
        ],
    ),
    (
        "kms",
        Marks::SENSITIVE,
        &["PutKeyPolicy", "CreateGrant", "DisableKey"],
    ),
    (
        "ec2",
        Marks::SENSITIVE,
        &[
            "ModifyImageAttribute",
            "ModifySnapshotAttribute",
            "ModifyInstanceAttribute",
            "CreateKeyPair",
            "ImportKeyPair",
            "EnableSerialConsoleAccess",
        ],
    ),
    (
        "ssm",
        Marks::SENSITIVE,
        &["SendCommand", "StartSession", "CreateAssociation"],
    ),
    ("secretsmanager", Marks::SENSITIVE, &["PutResourcePolicy"]),
    (
        "iam",
        Marks::LISTING,
        &[
            "GetAccountAuthorizationDetails",
            "GetAccountPasswordPolicy",
            "GetAccountSummary",
            "GetCredentialReport",
            "ListAccessKeys",
            "ListAccountAliases",
            "ListAttachedRolePolicies",
            "ListAttachedUserPolicies",
            "ListGroups",
            "ListInstanceProfiles",
            "ListMFADevices",
            "ListOpenIDConnectProviders",
            "ListPolicies",
            "ListRoles",
            "ListSAMLProviders",
            "ListServerCertificates",
            "ListUserPolicies",
            "ListUsers",
        ],
    ),
    ("sts", Marks::LISTING, &["GetCallerIdentity"]),
    (
        "organizations",
        Marks::LISTING,
        &[
            "DescribeOrganization",
            "ListAccounts",
            "ListRoots",
            "ListPolicies",
        ],
    ),
    (
        "ec2",
        Marks::LISTING,
        &[
            "DescribeAddresses",
            "DescribeFlowLogs",
            "DescribeIamInstanceProfileAssociations",
            "DescribeImages",
            "DescribeInstances",
            "DescribeKeyPairs",
            "DescribeLaunchTemplates",
            "DescribeNetworkInterfaces",
            "DescribeRegions",
            "DescribeRouteTables",
            "DescribeSecurityGroups",
            "DescribeSnapshots",
            "DescribeSubnets",
            "DescribeVolumes",
            "DescribeVpcEndpoints",
            "DescribeVpcPeeringConnections",
            "DescribeVpcs",
            "DescribeVpnConnections",
        ],
    ),
    (
        "s3",
        Marks::LISTING,
        &[
            "ListBuckets",
            "GetAccountPublicAccessBlock",
            "ListAccessPoints",
        ],
    ),
    (
        "lambda",
        Marks::LISTING,
        &["ListFunctions", "ListLayers", "ListEventSourceMappings"],
    ),
    (
        "rds",
        Marks::LISTING,
        &[
            "DescribeDBInstances",
            "DescribeDBClusters",
            "DescribeDBSnapshots",
        ],
    ),
    ("dynamodb", Marks::LISTING, &["ListTables", "ListBackups"]),
    ("kms", Marks::LISTING, &["ListKeys", "ListAliases"]),
    ("secretsmanager", Marks::LISTING, &["ListSecrets"]),
    (
        "ssm",
        Marks::LISTING,
        &[
            "DescribeInstanceInformation",
            "DescribeParameters",
            "ListDocuments",
        ],
    ),
    (
        "cloudtrail",
        Marks::LISTING,
        &[
            "DescribeTrails",
            "ListTrails",
            "GetTrailStatus",
            "GetEventSelectors",
            "LookupEvents",
        ],
    ),
    ("guardduty", Marks::LISTING, &["ListDetectors"]),
    (
        "config",
        Marks::LISTING,
        &["DescribeConfigurationRecorders", "DescribeConfigRules"],
    ),
    ("securityhub", Marks::LISTING, &["DescribeHub"]),
    ("access-analyzer", Marks::LISTING, &["ListAnalyzers"]),
    ("logs", Marks::LISTING, &["DescribeLogGroups"]),
    ("monitoring", Marks::LISTING, &["DescribeAlarms"]),
    ("events", Marks::LISTING, &["ListRules"]),
    (
        "ecs",
        Marks::LISTING,
        &["ListClusters", "ListTaskDefinitions"],
    ),
    ("eks", Marks::LISTING, &["ListClusters"]),
    ("ecr", Marks::LISTING, &["DescribeRepositories"]),
    ("sns", Marks::LISTING, &["ListTopics", "ListSubscriptions"]),
    ("sqs", Marks::LISTING, &["ListQueues"]),
    ("route53", Marks::LISTING, &["ListHostedZones"]),
    ("cloudfront", Marks::LISTING, &["ListDistributions"]),
    (
        "elasticloadbalancing",
        Marks::LISTING,
        &["DescribeLoadBalancers"],
    ),
    ("apigateway", Marks::LISTING, &["GetRestApis"]),
    (
        "cloudformation",
        Marks::LISTING,
        &["ListStacks", "DescribeStacks"],
    ),
    (
        "ses",
        Marks::LISTING,
        &["GetSendQuota", "ListIdentities", "GetAccount"],
    ),
    ("redshift", Marks::LISTING, &["DescribeClusters"]),
    (
        "elasticfilesystem",
        Marks::LISTING,
        &["DescribeFileSystems"],
    ),
    ("backup", Marks::LISTING, &["ListBackupVaults"]),
    ("bedrock", Marks::LISTING, &["ListFoundationModels"]),
    ("ce", Marks::LISTING, &["GetCostAndUsage"]),
];

const DOMAIN: &str = ".amazonaws.com";

/// The calls that the subscription names: event source and names.
pub(crate) fn watched() -> impl Iterator<Item = (String, &'static [&'static str])> {
    TABLE
        .iter()
        .map(|(service, _, names)| (format!("{service}{DOMAIN}"), *names))
}

/// Services that append a version to the names of calls: `ListFunctions20150331`,
/// `GetDistribution2020_05_31`, `AddPermission20150331v2`.
const VERSIONED: [&str; 2] = ["lambda", "cloudfront"];

/// Whether the calls of an event source are to be asked for by how their names begin.
pub(crate) fn is_versioned(source: &str) -> bool {
    VERSIONED.contains(&service(source))
}

/// The table, by the hash of the name.
#[derive(Debug)]
pub(crate) struct Calls(ByHash<Vec<Call>>);

/// Service and name of a call, and what it is.
type Call = (&'static str, &'static str, Marks);

impl Default for Calls {
    fn default() -> Self {
        let mut by_name: ByHash<Vec<Call>> = ByHash::default();
        for (service, marks, names) in TABLE {
            for name in *names {
                let calls = by_name.entry(hash(&[name])).or_default();
                match calls.iter_mut().find(|(of, _, _)| of == service) {
                    Some((_, _, known)) => known.0 |= marks.0,
                    None => calls.push((service, name, *marks)),
                }
            }
        }
        Self(by_name)
    }
}

impl Calls {
    /// What this call of this service (`ec2`) is.
    pub(crate) fn marks(&self, service: &str, name: &str) -> Marks {
        let name = if VERSIONED.contains(&service) {
            name.trim_end_matches(|char: char| char.is_ascii_digit() || "_v".contains(char))
        } else {
            name
        };
        let calls = self.0.get(&hash(&[name])).map_or(&[][..], Vec::as_slice);
        let found = calls
            .iter()
            .find(|(of, its, _)| *of == service && *its == name);
        found.map_or_else(Marks::default, |(_, _, marks)| *marks)
    }
}

/// The service of an event source: `ec2` of `ec2.amazonaws.com`.
pub(crate) fn service(source: &str) -> &str {
    source.strip_suffix(DOMAIN).unwrap_or(source)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_belongs_to_its_service_and_may_be_several_things() {
        let calls = Calls::default();
        let marks = calls.marks("rds", "DeleteDBInstance");
        assert!(marks.has(Marks::BACKUP) && marks.has(Marks::DELETION));
        assert!(!calls.marks("ec2", "TerminateInstances").has(Marks::BACKUP));
        assert_eq!(calls.marks("glacier", "DeleteSnapshot"), Marks::default());
        assert!(calls.marks("iam", "PutUserPolicy").has(Marks::SENSITIVE));
        assert!(!calls.marks("iam", "CreateUser").has(Marks::ESCALATION));
        assert_eq!(service("ec2.amazonaws.com"), "ec2");
    }

    #[test]
    fn versions_of_calls_do_not_matter() {
        let calls = Calls::default();
        for (service, name) in [
            ("lambda", "ListFunctions"),
            ("lambda", "ListFunctions20150331"),
            ("lambda", "ListFunctions20150331v2"),
            ("cloudfront", "ListDistributions2020_05_31"),
        ] {
            assert!(calls.marks(service, name).has(Marks::LISTING), "{name}");
            assert!(is_versioned(&format!("{service}{DOMAIN}")));
        }
        for (service, name) in [
            ("lambda", "ListFunctionsByCodeSigningConfig20200422"),
            ("ec2", "DescribeInstances20150331"),
        ] {
            assert_eq!(calls.marks(service, name), Marks::default(), "{name}");
        }
    }

    #[test]
    fn no_call_stands_in_the_table_twice_for_one_service_and_mark() {
        let mut seen = std::collections::BTreeSet::new();
        for (service, marks, names) in TABLE {
            for name in *names {
                assert!(seen.insert((service, marks.0, name)), "{service} {name}");
            }
        }
    }
}
