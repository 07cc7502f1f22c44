//! Which calls are watched, and which error codes say that a call was not allowed.

use sluicegate_plugin::Severity;

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

/// Calls that end a trail's or a data store's work.
const TRAIL_STOPS: &[&str] = &[
    "DeleteEventDataStore",
    "DeleteTrail",
    "StopEventDataStoreIngestion",
    "StopLogging",
];

/// Calls that may narrow what is logged.
const TRAIL_CHANGES: &[&str] = &["PutEventSelectors", "UpdateEventDataStore", "UpdateTrail"];

const TRAIL: &[&str] = &[
    "DeleteEventDataStore",
    "DeleteTrail",
    "StopEventDataStoreIngestion",
    "StopLogging",
    "PutEventSelectors",
    "UpdateEventDataStore",
    "UpdateTrail",
    "PutInsightSelectors",
];

/// Calls by event source, as the host's index takes them.
pub(crate) const WATCHED: [(&str, &[&str]); 4] = [
    ("s3.amazonaws.com", &["DeleteBucket"]),
    ("iam.amazonaws.com", POLICY_CHANGES),
    ("signin.amazonaws.com", &["ConsoleLogin"]),
    ("cloudtrail.amazonaws.com", TRAIL),
];

/// What a watched call does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Call {
    BucketDeletion,
    PolicyChange,
    ConsoleLogin,
    /// With the severity of its success.
    Tampering(Severity),
    InsightSelectors,
}

/// The watched call of this source and name, if it is one.
pub(crate) fn of(source: &[u8], name: &[u8]) -> Option<Call> {
    let is_in = |names: &[&str]| names.iter().any(|other| other.as_bytes() == name);
    match source {
        b"s3.amazonaws.com" if name == b"DeleteBucket" => Some(Call::BucketDeletion),
        b"signin.amazonaws.com" if name == b"ConsoleLogin" => Some(Call::ConsoleLogin),
        b"iam.amazonaws.com" if is_in(POLICY_CHANGES) => Some(Call::PolicyChange),
        b"cloudtrail.amazonaws.com" if is_in(TRAIL_STOPS) => {
            Some(Call::Tampering(Severity::Critical))
        }
        b"cloudtrail.amazonaws.com" if is_in(TRAIL_CHANGES) => {
            Some(Call::Tampering(Severity::Medium))
        }
        b"cloudtrail.amazonaws.com" if name == b"PutInsightSelectors" => {
            Some(Call::InsightSelectors)
        }
        _ => None,
    }
}

/// Whether an error code says that the caller was not allowed: services spell it with or without
/// `Client.` before and `Exception` behind, and some put a word in front.
pub(crate) fn is_denied(code: &[u8]) -> bool {
    let code = code.strip_prefix(b"Client.").unwrap_or(code);
    let code = code.strip_suffix(b"Exception").unwrap_or(code);
    let starts = [&b"AccessDenied"[..], b"Unauthorized", b"NotAuthorized"];
    starts.iter().any(|start| code.starts_with(start))
        || code.ends_with(b"AccessDenied")
        || matches!(code, b"AuthFailure" | b"AuthorizationError" | b"Forbidden")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_call_asked_for_is_known() {
        for (source, names) in WATCHED {
            for name in names {
                assert!(
                    of(source.as_bytes(), name.as_bytes()).is_some(),
                    "{source} {name}"
                );
            }
        }
    }

    #[test]
    fn a_name_belongs_to_its_source() {
        assert_eq!(of(b"glacier.amazonaws.com", b"DeleteBucket"), None);
        assert_eq!(of(b"cloudtrail.amazonaws.com", b"LookupEvents"), None);
    }

    #[test]
    fn services_spell_denial_in_many_ways() {
        for code in [
            "AccessDenied",
            "AccessDeniedException",
            "Client.UnauthorizedOperation",
            "UnauthorizedOperation",
            "UnauthorizedException",
            "NotAuthorized",
            "NotAuthorizedException",
            "Client.AuthFailure",
            "AuthorizationErrorException",
            "VpceAccessDenied",
            "KMSAccessDeniedException",
        ] {
            assert!(is_denied(code.as_bytes()), "{code}");
        }
        for code in [
            "NoSuchBucket",
            "ThrottlingException",
            "Client.InvalidParameterValue",
            "ValidationException",
        ] {
            assert!(!is_denied(code.as_bytes()), "{code}");
        }
    }
}
