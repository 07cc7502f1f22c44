//! What one event says, as the rules need it. Nothing of it is trusted to be there or to be of its kind.

use std::net::IpAddr;

use sluicegate_plugin::{Field, Row};

use crate::{calls::service, text::time_ms};

/// The fields that are read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fields {
    pub(crate) source: Field,
    pub(crate) name: Field,
    pub(crate) id: Field,
    pub(crate) time: Field,
    pub(crate) region: Field,
    pub(crate) address: Field,
    pub(crate) error: Field,
    pub(crate) read_only: Field,
    pub(crate) recipient: Field,
    pub(crate) parameters: Field,
    pub(crate) login: Field,
    pub(crate) kind: Field,
    pub(crate) arn: Field,
    pub(crate) account: Field,
    pub(crate) key: Field,
    pub(crate) user: Field,
    pub(crate) invoked_by: Field,
    pub(crate) issuer: Field,
}

/// How a call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    Done,
    Denied,
    Throttled,
    Failed,
}

/// One event.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Facts<'a> {
    pub(crate) row: Row<'a>,
    /// The clock of the batch where the event has no time, as the host has it.
    pub(crate) time_ms: i64,
    pub(crate) id: &'a str,
    /// `ec2` of `ec2.amazonaws.com`.
    pub(crate) service: &'a str,
    pub(crate) name: &'a str,
    pub(crate) region: &'a str,
    pub(crate) ending: Ending,
    pub(crate) writes: bool,
    /// The role of a session, else the principal's own ARN.
    pub(crate) principal: &'a str,
    /// ARN of the user or of the session.
    pub(crate) arn: &'a str,
    pub(crate) kind: &'a str,
    pub(crate) user: &'a str,
    pub(crate) account: &'a str,
    pub(crate) access_key: &'a str,
    /// Where it is an address, and one of the Internet.
    pub(crate) address: Option<IpAddr>,
    /// Made by AWS, in its own name or in another's.
    pub(crate) by_service: bool,
}

impl<'a> Facts<'a> {
    pub(crate) fn of(row: Row<'a>, fields: &Fields, now_ms: u64) -> Self {
        let text = |field| row.str(field).unwrap_or_default();
        let now_ms = i64::try_from(now_ms).unwrap_or(i64::MAX);
        let (kind, arn, user) = (text(fields.kind), text(fields.arn), text(fields.user));
        let account = first(&[text(fields.account), text(fields.recipient)]);
        let issuer = match kind {
            "AssumedRole" => text(fields.issuer),
            _ => "",
        };
        Self {
            row,
            time_ms: time_ms(text(fields.time)).unwrap_or(now_ms),
            id: text(fields.id),
            service: service(text(fields.source)),
            name: text(fields.name),
            region: text(fields.region),
            ending: if row.has(fields.error) {
                ending(text(fields.error))
            } else {
                Ending::Done
            },
            writes: row.bool(fields.read_only) == Some(false),
            principal: first(&[issuer, arn, user, account]),
            arn: first(&[arn, user]),
            kind,
            user,
            account,
            access_key: text(fields.key),
            address: text(fields.address).parse().ok().filter(is_public),
            by_service: kind == "AWSService"
                || row.has(fields.invoked_by)
                || is_service_linked(issuer),
        }
    }

    /// Whether a person acts, as far as can be told: programs assume roles, people log in to them.
    pub(crate) fn is_person(&self) -> bool {
        let (_, session) = self.arn.rsplit_once('/').unwrap_or_default();
        match self.kind {
            "IAMUser" | "Root" | "FederatedUser" | "SAMLUser" | "IdentityCenterUser" => true,
            "AssumedRole" => session.contains('@') || self.principal.contains("/AWSReservedSSO_"),
            _ => false,
        }
    }
}

/// The sixth part of a role's ARN is its path and name.
fn is_service_linked(arn: &str) -> bool {
    let role = arn.split(':').nth(5);
    role.is_some_and(|role| role.starts_with("role/aws-service-role/"))
}

fn first<'a>(texts: &[&'a str]) -> &'a str {
    texts
        .iter()
        .find(|text| !text.is_empty())
        .copied()
        .unwrap_or_default()
}

/// Services spell denial with or without `Client.` before and `Exception` behind, and some put a word in
/// front.
fn ending(code: &str) -> Ending {
    let code = code.strip_prefix("Client.").unwrap_or(code);
    let code = code.strip_suffix("Exception").unwrap_or(code);
    let denied = ["AccessDenied", "Unauthorized", "NotAuthorized"]
        .iter()
        .any(|start| code.starts_with(start))
        || code.ends_with("AccessDenied")
        || ["AuthFailure", "AuthorizationError", "Forbidden"].contains(&code);
    if denied {
        Ending::Denied
    } else if code.contains("Throttl")
        || ["RequestLimitExceeded", "SlowDown", "TooManyRequests"].contains(&code)
    {
        Ending::Throttled
    } else {
        Ending::Failed
    }
}

fn is_public(address: &IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(v4) => !matches!(
            v4.octets(),
            [0 | 10 | 127 | 224..=255, ..]
                | [172, 16..=31, ..]
                | [192, 168, ..]
                | [169, 254, ..]
                | [100, 64..=127, ..]
        ),
        IpAddr::V6(v6) => matches!(v6.segments()[0], 0x2000..=0x3fff),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endings_are_told_by_their_codes() {
        for code in [
            "AccessDenied",
            "Client.UnauthorizedOperation",
            "KMSAccessDeniedException",
            "AuthorizationErrorException",
        ] {
            assert_eq!(ending(code), Ending::Denied, "{code}");
        }
        for code in [
            "ThrottlingException",
            "Client.RequestLimitExceeded",
            "TooManyRequestsException",
        ] {
            assert_eq!(ending(code), Ending::Throttled, "{code}");
        }
        for code in ["NoSuchBucket", "", "ValidationException"] {
            assert_eq!(ending(code), Ending::Failed, "{code}");
        }
    }

    #[test]
    fn only_addresses_of_the_internet_are_public() {
        let public = |text: &str| is_public(&text.parse().expect("an address"));
        assert!(public("203.0.113.9") && public("2600:1f14::5") && public("::ffff:203.0.113.9"));
        for text in [
            "10.1.2.3",
            "172.31.0.1",
            "192.168.0.1",
            "169.254.169.254",
            "100.64.0.1",
            "::1",
            "fd00::1",
            "::ffff:10.1.2.3",
            "127.0.0.1",
        ] {
            assert!(!public(text), "{text}");
        }
    }
}
