//! Rights and ways to come back.

use detections::{Rule, Severity, cloudtrail::identity as rules};

use super::{Watch, watch};
use crate::{
    event::Event,
    found::Found,
    json::Json,
    policy::{self, Outsider},
};

pub(super) const WATCHED: &[Watch] = &[
    watch("iam", POLICY_CHANGES, policy_change),
    watch(
        "iam",
        &[
            "CreatePolicy",
            "CreatePolicyVersion",
            "PutGroupPolicy",
            "PutRolePolicy",
            "PutUserPolicy",
        ],
        policy_written,
    ),
    watch(
        "iam",
        &["CreatePolicyVersion", "SetDefaultPolicyVersion"],
        default_version,
    ),
    watch(
        "iam",
        &[
            "DeleteRolePermissionsBoundary",
            "DeleteUserPermissionsBoundary",
        ],
        boundary_removed,
    ),
    watch("iam", &["CreateRole", "UpdateAssumeRolePolicy"], trust),
    watch("iam", &["CreateAccessKey"], access_key),
    watch(
        "iam",
        &["CreateLoginProfile", "UpdateLoginProfile"],
        login_profile,
    ),
    watch(
        "iam",
        &[
            "CreateServiceSpecificCredential",
            "UploadSSHPublicKey",
            "UploadSigningCertificate",
        ],
        credential,
    ),
    watch("iam", &["CreateUser"], |event, found| {
        found
            .add(&rules::USER_CREATED)
            .about("user", event.parameter("userName"));
    }),
    watch("iam", &["AddUserToGroup"], group_joined),
    watch("iam", PROVIDERS, identity_provider),
    watch(
        "sso",
        &["CreateTrustedTokenIssuer", "UpdateTrustedTokenIssuer"],
        identity_provider,
    ),
    watch(
        "sso",
        &["AssociateDirectory", "DisassociateDirectory"],
        identity_provider,
    ),
    watch(
        "sso-directory",
        &[
            "DisableExternalIdPConfigurationForDirectory",
            "EnableExternalIdPConfigurationForDirectory",
        ],
        identity_provider,
    ),
    watch(
        "rolesanywhere",
        &[
            "CreateProfile",
            "CreateTrustAnchor",
            "EnableTrustAnchor",
            "UpdateTrustAnchor",
        ],
        roles_anywhere,
    ),
    watch(
        "sso",
        &[
            "AttachManagedPolicyToPermissionSet",
            "PutInlinePolicyToPermissionSet",
        ],
        permission_set,
    ),
];

const POLICY_CHANGES: &[&str] = &[
    "AttachGroupPolicy",
    "AttachRolePolicy",
    "AttachUserPolicy",
    "CreatePolicy",
    "CreatePolicyVersion",
    "DeleteGroupPolicy",
    "DeletePolicy",
    "DeletePolicyVersion",
    "DeleteRolePermissionsBoundary",
    "DeleteRolePolicy",
    "DeleteUserPermissionsBoundary",
    "DeleteUserPolicy",
    "DetachGroupPolicy",
    "DetachRolePolicy",
    "DetachUserPolicy",
    "PutGroupPolicy",
    "PutRolePermissionsBoundary",
    "PutRolePolicy",
    "PutUserPermissionsBoundary",
    "PutUserPolicy",
    "SetDefaultPolicyVersion",
    "UpdateAssumeRolePolicy",
];

const PROVIDERS: &[&str] = &[
    "AddClientIDToOpenIDConnectProvider",
    "CreateOpenIDConnectProvider",
    "CreateSAMLProvider",
    "DeleteOpenIDConnectProvider",
    "DeleteSAMLProvider",
    "UpdateOpenIDConnectProviderThumbprint",
    "UpdateSAMLProvider",
];

fn policy_change(event: &Event<'_>, found: &mut Found) {
    let policy = event.parameter("policyArn");
    let rule: &'static Rule = if event.name.starts_with("Attach") && is_administrator(&policy) {
        &rules::ADMINISTRATOR_ATTACHED
    } else {
        &rules::POLICY_CHANGED
    };
    found
        .add(rule)
        .about("policy", policy)
        .about("user", event.parameter("userName"))
        .about("role", event.parameter("roleName"))
        .about("group", event.parameter("groupName"));
}

/// Managed policies with which everything can be had.
fn is_administrator(policy: &str) -> bool {
    policy.ends_with(":policy/AdministratorAccess") || policy.ends_with(":policy/IAMFullAccess")
}

fn policy_written(event: &Event<'_>, found: &mut Found) {
    if allows_everything(event.parameters.get("policyDocument")) {
        found.add(&rules::ADMINISTRATOR_POLICY_WRITTEN).about(
            "policy",
            event.parameters.any(&["policyName", "policyArn"]).str(),
        );
    }
}

fn allows_everything(document: Json<'_>) -> bool {
    policy::allows_everything(&policy::document(document))
}

fn default_version(event: &Event<'_>, found: &mut Found) {
    let by_hand = event.name == "SetDefaultPolicyVersion" && event.is_person();
    if event.name == "SetDefaultPolicyVersion" || event.parameters.get("setAsDefault").is_true() {
        let found = found.add(&rules::DEFAULT_POLICY_SWITCHED);
        found.about("policy", event.parameter("policyArn"));
        if by_hand {
            found.severity(Severity::Medium);
        }
    }
}

fn boundary_removed(event: &Event<'_>, found: &mut Found) {
    found
        .add(&rules::BOUNDARY_REMOVED)
        .about("of", event.parameters.any(&["userName", "roleName"]).str());
}

fn trust(event: &Event<'_>, found: &mut Found) {
    let document = event
        .parameters
        .any(&["policyDocument", "assumeRolePolicyDocument"]);
    let severity = match event.outsider(document) {
        None => return,
        Some(Outsider::Anyone) => Severity::Critical,
        Some(Outsider::Account) => Severity::High,
        Some(Outsider::AccountIf | Outsider::AnyoneIf) => Severity::Medium,
    };
    found
        .add(&rules::TRUST_OPENED)
        .severity(severity)
        .about("role", event.parameter("roleName"));
}

fn access_key(event: &Event<'_>, found: &mut Found) {
    if event.is_about_another() || event.is_silent() {
        found
            .add(&rules::KEY_FOR_ANOTHER_USER)
            .about("user", event.parameter("userName"));
    }
}

fn login_profile(event: &Event<'_>, found: &mut Found) {
    if event.is_about_another() || event.is_silent() {
        let found = found.add(&rules::LOGIN_FOR_ANOTHER_USER);
        found.about("user", event.parameter("userName"));
        if event.name == "UpdateLoginProfile" {
            found.severity(Severity::High);
        }
    }
}

fn credential(event: &Event<'_>, found: &mut Found) {
    if event.is_about_another() || event.is_silent() {
        found
            .add(&rules::CREDENTIAL_UPLOADED)
            .about("user", event.parameter("userName"))
            .about("service", event.parameter("serviceName"));
    }
}

fn group_joined(event: &Event<'_>, found: &mut Found) {
    let itself = event.is_user() && event.parameters.exists() && !event.is_about_another();
    let found = found.add(&rules::GROUP_JOINED);
    found
        .about("user", event.parameter("userName"))
        .about("group", event.parameter("groupName"));
    if itself || event.is_silent() {
        found.severity(Severity::High);
    }
}

fn identity_provider(event: &Event<'_>, found: &mut Found) {
    let removed = ["Delete", "Disable", "Disassociate"]
        .iter()
        .any(|start| event.name.starts_with(start));
    let found = found.add(&rules::IDENTITY_PROVIDER_CHANGED);
    let names = ["name", "sAMLProviderArn", "openIDConnectProviderArn", "url"];
    found.about("provider", event.parameters.any(&names).str());
    if removed {
        found.severity(Severity::Medium);
    }
}

fn roles_anywhere(event: &Event<'_>, found: &mut Found) {
    let found = found.add(&rules::ROLES_ANYWHERE_TRUST);
    found.about(
        "name",
        event.parameters.any(&["name", "trustAnchorId"]).str(),
    );
    if event.name == "CreateProfile" {
        found.severity(Severity::Low);
    }
}

fn permission_set(event: &Event<'_>, found: &mut Found) {
    let everything = is_administrator(&event.parameter("managedPolicyArn"))
        || allows_everything(event.parameters.get("inlinePolicy"));
    if everything {
        found
            .add(&rules::SINGLE_SIGN_ON_GRANTED)
            .about("permissionSet", event.parameter("permissionSetArn"));
    }
}
