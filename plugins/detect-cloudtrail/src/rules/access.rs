//! Credentials: how they are got, read and used.

use detections::{Severity, cloudtrail::access as rules};

use super::{Only, Watch, watch};
use crate::{event::Event, found::Found, policy};

pub(super) const WATCHED: &[Watch] = &[
    watch("signin", &["ConsoleLogin"], console_login),
    watch("signin", &["GetSigninToken"], signin_token),
    watch("iam", &["DeactivateMFADevice"], mfa_removed),
    watch(
        "iam",
        &["DeleteAccountPasswordPolicy", "UpdateAccountPasswordPolicy"],
        password_policy,
    ),
    Watch {
        only: Only::RoleSessions,
        ..watch("sts", &["AssumeRole"], role_chained)
    },
    watch("sts", &["GetFederationToken"], federation_token),
    Watch {
        only: Only::Instances,
        ..watch("sts", &["GetCallerIdentity"], instance_asks)
    },
    watch("ec2", &["GetPasswordData"], password_data),
    watch("ec2", &["DescribeInstanceAttribute"], user_data_read),
    watch(
        "ec2",
        &[
            "ModifyInstanceMetadataOptions",
            "ModifyInstanceMetadataDefaults",
        ],
        metadata_options,
    ),
    watch("secretsmanager", &["BatchGetSecretValue"], batch_of_secrets),
    watch(
        "ssm",
        &["GetParameters", "GetParametersByPath"],
        batch_of_parameters,
    ),
    watch("ecs", &["RegisterTaskDefinition"], task_definition),
    watch(
        "ses",
        &["GetSendQuota", "GetAccountSendingEnabled", "GetAccount"],
        sending_quota,
    ),
];

/// A login by single sign-on has its MFA elsewhere; only a user's own password counts here.
fn console_login(event: &Event<'_>, found: &mut Found) {
    let succeeded = event.text(event.plugin.login) == "Success";
    if event.is_user() && succeeded && event.text(event.plugin.mfa) == "No" {
        found.add(&rules::LOGIN_WITHOUT_MFA);
    }
}

fn signin_token(event: &Event<'_>, found: &mut Found) {
    let found = found.add(&rules::SIGNIN_TOKEN_ISSUED);
    if event.identity == "FederatedUser" || event.is_user() {
        found.severity(Severity::Medium);
    }
}

fn mfa_removed(event: &Event<'_>, found: &mut Found) {
    let found = found.add(&rules::MFA_REMOVED);
    found.about("user", event.parameter("userName"));
    if event.is_about_another() {
        found.severity(Severity::High);
    }
}

fn password_policy(event: &Event<'_>, found: &mut Found) {
    let length = event.parameters.get("minimumPasswordLength").number();
    if event.name == "DeleteAccountPasswordPolicy" || length.is_some_and(|length| length < 8) {
        found.add(&rules::PASSWORD_POLICY_WEAKENED);
    }
}

/// Within an account, chains are how everything works.
fn role_chained(event: &Event<'_>, found: &mut Found) {
    let role = event.parameter("roleArn");
    let leads_out = policy::account_of(&role).is_some_and(|account| !event.trusts(account));
    if leads_out && event.identity == "AssumedRole" {
        found.add(&rules::ROLE_CHAINED).about("role", role);
    }
}

fn federation_token(event: &Event<'_>, found: &mut Found) {
    let everything = policy::allows_everything(&policy::document(event.parameters.get("policy")));
    let found = found.add(&rules::FEDERATION_TOKEN_ISSUED);
    found.about("name", event.parameter("name"));
    if everything {
        found.severity(Severity::High);
    }
}

fn instance_asks(event: &Event<'_>, found: &mut Found) {
    if event.is_instance() {
        found.add(&rules::INSTANCE_ASKED_WHO_IT_IS);
    }
}

fn password_data(event: &Event<'_>, found: &mut Found) {
    found
        .add(&rules::PASSWORD_DATA_READ)
        .about("instance", event.parameter("instanceId"))
        .also_failed(Severity::Medium);
}

/// Denied it is worse than done: who has the right to need not be looked at.
fn user_data_read(event: &Event<'_>, found: &mut Found) {
    let denied = event.outcome == crate::event::Outcome::Denied;
    let asked = event
        .parameter("attribute")
        .eq_ignore_ascii_case("userData");
    if asked && (denied || event.is_person()) {
        let failed = if denied {
            Severity::Medium
        } else {
            Severity::Low
        };
        found
            .add(&rules::USER_DATA_READ)
            .about("instance", event.parameter("instanceId"))
            .also_failed(failed);
    }
}

fn metadata_options(event: &Event<'_>, found: &mut Found) {
    let request = event.parameters.any(&[
        "ModifyInstanceMetadataOptionsRequest",
        "ModifyInstanceMetadataDefaultsRequest",
    ]);
    let request = if request.exists() {
        request
    } else {
        event.parameters.json()
    };
    if request
        .get("HttpTokens")
        .str()
        .eq_ignore_ascii_case("optional")
    {
        found
            .add(&rules::METADATA_UNPROTECTED)
            .about("instance", request.get("InstanceId").str());
    }
}

fn batch_of_secrets(event: &Event<'_>, found: &mut Found) {
    let by_filter = event.parameters.get("filters").exists();
    let found = found.add(&rules::SECRETS_READ_IN_BATCH);
    if by_filter || event.is_silent() {
        found.severity(Severity::Medium);
    }
}

fn batch_of_parameters(event: &Event<'_>, found: &mut Found) {
    let parameters = &event.parameters;
    let many = parameters.get("names").each().len()
        >= event.plugin.config.parameters_at_once as usize
        || parameters.get("recursive").is_true();
    if many && parameters.get("withDecryption").is_true() && event.is_person() {
        found
            .add(&rules::PARAMETERS_READ_IN_BATCH)
            .about("path", parameters.get("path").str());
    }
}

/// The address, and the variable with the path that belongs to it.
const CREDENTIALS: [&str; 2] = ["169.254.170.2", "AWS_CONTAINER_CREDENTIALS"];

fn task_definition(event: &Event<'_>, found: &mut Found) {
    let reads = event
        .parameters
        .get("containerDefinitions")
        .each()
        .iter()
        .any(|container| {
            let parts = ["command", "entryPoint"].map(|part| container.get(part).each());
            parts.iter().flatten().any(|part| {
                let part = part.str();
                CREDENTIALS.iter().any(|word| part.contains(word))
            })
        });
    if reads {
        found
            .add(&rules::TASK_READS_CREDENTIALS)
            .about("family", event.parameter("family"));
    }
}

fn sending_quota(event: &Event<'_>, found: &mut Found) {
    if event.is_user() {
        found
            .add(&rules::SENDING_QUOTA_READ)
            .also_failed(Severity::Low);
    }
}
