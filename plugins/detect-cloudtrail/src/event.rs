//! An event as the rules see it.

use std::borrow::Cow;

use sluicegate_plugin::{Field, Row};

use crate::{
    DetectCloudtrail,
    json::{Json, Object},
    policy,
};

/// How a call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Succeeded,
    /// The caller was not allowed.
    Denied,
    /// For any other reason.
    Failed,
}

/// One row, with what several rules ask about it.
#[derive(Debug)]
pub(crate) struct Event<'a> {
    pub(crate) row: Row<'a>,
    /// The fields and the configuration.
    pub(crate) plugin: &'a DetectCloudtrail,
    /// As the service's documentation calls it, without the version that some services append.
    pub(crate) name: &'a str,
    /// The type of the identity.
    pub(crate) identity: &'a str,
    pub(crate) outcome: Outcome,
    /// Empty until [`Event::read_parameters`].
    pub(crate) parameters: Object<'a>,
}

impl<'a> Event<'a> {
    pub(crate) fn new(row: Row<'a>, plugin: &'a DetectCloudtrail) -> Self {
        let error = row.bytes(plugin.error);
        let outcome = match (error.is_empty(), is_denied(error)) {
            (true, _) => Outcome::Succeeded,
            (false, true) => Outcome::Denied,
            (false, false) => Outcome::Failed,
        };
        Self {
            row,
            plugin,
            name: stem(row.str(plugin.name).unwrap_or_default()),
            identity: row.str(plugin.identity_type).unwrap_or_default(),
            outcome,
            parameters: Object::default(),
        }
    }

    /// Reads the parameters, for an event that a rule wants to know more of.
    pub(crate) fn read_parameters(&mut self) {
        let text = self.row.json(self.plugin.parameters);
        self.parameters = Object::read(text.unwrap_or_default());
    }

    /// The text of a field that is a string, else nothing.
    pub(crate) fn text(&self, field: Field) -> &'a str {
        self.row.str(field).unwrap_or_default()
    }

    /// The role of a session, else the principal's own ARN, else the account.
    pub(crate) fn principal(&self) -> &'a str {
        let plugin = self.plugin;
        let fields = [plugin.issuer, plugin.arn, plugin.account, plugin.recipient];
        // Only a session is named by its issuer.
        let first = usize::from(self.identity != "AssumedRole");
        let mut texts = fields[first..].iter().map(|field| self.text(*field));
        texts.find(|text| !text.is_empty()).unwrap_or("unknown")
    }

    /// Root or a user of the account, whose credentials last, as against sessions of roles.
    pub(crate) fn is_user(&self) -> bool {
        matches!(self.identity, "IAMUser" | "Root")
    }

    /// A user, or somebody who came by federation or single sign-on.
    pub(crate) fn is_person(&self) -> bool {
        matches!(
            self.identity,
            "IAMUser" | "Root" | "FederatedUser" | "SAMLUser" | "IdentityCenterUser"
        ) || self.text(self.plugin.issuer).contains("/AWSReservedSSO_")
            || self.text(self.plugin.arn).contains("/AWSReservedSSO_")
    }

    /// Whether the credentials were delivered to an EC2 instance.
    pub(crate) fn is_instance(&self) -> bool {
        self.row.has(self.plugin.delivery)
    }

    /// Whether the call is about another user than the caller; a call that names none is about the caller.
    pub(crate) fn is_about_another(&self) -> bool {
        let user = self.parameters.get("userName").str();
        let own = match self.identity {
            "IAMUser" => self
                .text(self.plugin.arn)
                .rsplit('/')
                .next()
                .unwrap_or_default(),
            _ => "",
        };
        !user.is_empty() && !user.eq_ignore_ascii_case(own)
    }

    /// Whether an account belongs here: it is the event's own, or trusted.
    pub(crate) fn trusts(&self, account: &str) -> bool {
        account == self.text(self.plugin.recipient)
            || account == self.text(self.plugin.account)
            || self
                .plugin
                .config
                .trusted_accounts
                .iter()
                .any(|trusted| trusted == account)
    }

    /// Whom a policy document lets in that does not belong here.
    pub(crate) fn outsider(&self, document: Json<'_>) -> Option<policy::Outsider> {
        policy::outsider(&policy::document(document), &|account| self.trusts(account))
    }

    /// Whether the service kept back what was asked for, as many do when they deny a call.
    pub(crate) fn is_silent(&self) -> bool {
        self.outcome == Outcome::Denied && !self.parameters.exists()
    }

    /// A parameter's text.
    pub(crate) fn parameter(&self, name: &str) -> Cow<'a, str> {
        self.parameters.get(name).str()
    }
}

/// A call's name without the version that Lambda and `CloudFront` append: `20150331`, `20150331v2`,
/// `2020_05_31`.
pub(crate) fn stem(name: &str) -> &str {
    // Most have none, and every version ends in a digit.
    if !name.ends_with(|last: char| last.is_ascii_digit()) {
        return name;
    }
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let mut rest = name;
    if let Some((before, version)) = name.rsplit_once('v')
        && !version.is_empty()
        && digits(version)
        && before.ends_with(|char: char| char.is_ascii_digit())
    {
        rest = before;
    }
    // The shape of each version, where 0 is any digit.
    for shape in ["00000000", "0000_00_00"] {
        let Some(at) = rest.len().checked_sub(shape.len()) else {
            continue;
        };
        let (Some(before), Some(version)) = (rest.get(..at), rest.get(at..)) else {
            continue;
        };
        let fits = version.bytes().zip(shape.bytes()).all(|(byte, shape)| {
            if shape == b'0' {
                byte.is_ascii_digit()
            } else {
                byte == shape
            }
        });
        if fits && !before.is_empty() {
            return before;
        }
    }
    name
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
    fn versions_of_calls_do_not_matter() {
        for (name, expected) in [
            ("ListFunctions20150331", "ListFunctions"),
            ("UpdateFunctionCode20150331v2", "UpdateFunctionCode"),
            ("CreateDistribution2020_05_31", "CreateDistribution"),
            ("DeleteBucket", "DeleteBucket"),
            ("Invokev2", "Invokev2"),
            ("20150331", "20150331"),
            ("2020_05_31", "2020_05_31"),
            ("", ""),
            ("äöü20150331", "äöü"),
            ("ééééééééé", "ééééééééé"),
        ] {
            assert_eq!(stem(name), expected, "{name}");
        }
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
