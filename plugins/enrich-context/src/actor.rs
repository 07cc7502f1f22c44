//! Who acted, from `userIdentity`.

/// The parts of `userIdentity` that say who acted; empty where the event does not have them.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Identity<'a> {
    pub(crate) kind: &'a [u8],
    pub(crate) arn: &'a [u8],
    pub(crate) principal_id: &'a [u8],
    pub(crate) user_name: &'a [u8],
    pub(crate) invoked_by: &'a [u8],
    pub(crate) issuer: &'a [u8],
}

/// Who acted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Actor<'a> {
    /// What kind of actor it is.
    pub(crate) kind: &'static str,
    /// ARN of who acted: for a role session the role's, for a service its name.
    pub(crate) principal: &'a [u8],
    /// Name of the user, or of the session.
    pub(crate) name: &'a [u8],
}

impl<'a> Identity<'a> {
    /// Who acted.
    ///
    /// An IAM user counts as human: `CloudTrail` does not tell a person's keys from a program's. Of role
    /// sessions those of `IAM Identity Center`, and those named by an address of mail, are people; those
    /// of an instance, a function or a service-linked role are not.
    pub(crate) fn actor(self) -> Actor<'a> {
        let actor = |kind, principal, name| Actor {
            kind,
            principal,
            name,
        };
        match self.kind {
            b"IAMUser" | b"IdentityCenterUser" => actor("human", self.arn, self.name()),
            b"AssumedRole" => {
                let role = either(self.issuer, self.arn);
                actor(self.session(), role, self.session_name())
            }
            b"AWSService" => {
                let service = either(self.arn, self.invoked_by);
                actor("aws-service", service, self.invoked_by)
            }
            b"Root" => actor("root", self.arn, b"root"),
            b"Role" => actor(self.session(), self.arn, self.name()),
            b"FederatedUser" => actor("federated", self.arn, self.session_name()),
            b"SAMLUser" | b"WebIdentityUser" | b"Directory" => {
                actor("federated", self.arn, self.name())
            }
            b"" if !self.invoked_by.is_empty() => actor("aws-service", self.arn, self.name()),
            _ => actor("unknown", self.arn, self.name()),
        }
    }

    fn name(self) -> &'a [u8] {
        if !self.user_name.is_empty() {
            self.user_name
        } else if self.arn.is_empty() {
            self.session_name()
        } else {
            after_last(self.arn, b'/').unwrap_or_default()
        }
    }

    fn session(self) -> &'static str {
        let role = after_last(self.issuer, b'/').unwrap_or_default();
        let name = self.session_name();
        if is_service_linked(self.issuer) {
            "aws-service"
        } else if role.starts_with(b"AWSReservedSSO_") || name.contains(&b'@') {
            "human"
        } else if is_instance(name) || self.invoked_by.ends_with(b".amazonaws.com") {
            "service"
        } else {
            "role-session"
        }
    }

    /// What follows the last slash of the ARN, else the colon of the principal id.
    fn session_name(self) -> &'a [u8] {
        let of_id = || after_first(self.principal_id, b':');
        after_last(self.arn, b'/')
            .or_else(of_id)
            .unwrap_or_default()
    }
}

/// The first, unless it is empty.
fn either<'a>(first: &'a [u8], second: &'a [u8]) -> &'a [u8] {
    if first.is_empty() { second } else { first }
}

/// Whether MFA was used: the session says so in words, a login at the console with yes and no.
pub(crate) fn mfa(session: &[u8], login: &[u8]) -> Option<bool> {
    match (session, login) {
        (_, b"Yes") | (b"true", _) => Some(true),
        (_, b"No") | (b"false", _) => Some(false),
        _ => None,
    }
}

/// Sessions of EC2 instances are named by the instance: `i-` and hex digits.
fn is_instance(name: &[u8]) -> bool {
    match name.strip_prefix(b"i-") {
        Some(id) => matches!(id.len(), 8 | 17) && id.iter().all(u8::is_ascii_hexdigit),
        None => false,
    }
}

fn after_last(text: &[u8], byte: u8) -> Option<&[u8]> {
    text.iter()
        .rposition(|&at| at == byte)
        .map(|at| &text[at + 1..])
}

fn after_first(text: &[u8], byte: u8) -> Option<&[u8]> {
    text.iter()
        .position(|&at| at == byte)
        .map(|at| &text[at + 1..])
}

/// The sixth part of a role's ARN is its path and name.
fn is_service_linked(arn: &[u8]) -> bool {
    let role = arn.split(|&byte| byte == b':').nth(5);
    role.is_some_and(|role| role.starts_with(b"role/aws-service-role/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn role<'a>(issuer: &'a str, arn: &'a str) -> Identity<'a> {
        let (issuer, arn) = (issuer.as_bytes(), arn.as_bytes());
        Identity {
            kind: b"AssumedRole",
            arn,
            issuer,
            ..Identity::default()
        }
    }

    #[test]
    fn sessions_of_people_instances_and_services_are_told_apart() {
        let plain = "arn:aws:iam::123456789012:role/ops";
        let cases = [
            (plain, "x/ops/build", "role-session"),
            (plain, "x/ops/kim@example.com", "human"),
            (plain, "x/ops/i-0123456789abcdef0", "service"),
            (plain, "x/ops/i-am-a-name", "role-session"),
            (
                "arn:aws:iam::1:role/aws-reserved/AWSReservedSSO_Admin_0123456789abcdef",
                "x/y/kim",
                "human",
            ),
            (
                "arn:aws:iam::1:role/aws-service-role/config.amazonaws.com/R",
                "x/y/z",
                "aws-service",
            ),
        ];
        for (issuer, arn, kind) in cases {
            assert_eq!(role(issuer, arn).actor().kind, kind, "{issuer} {arn}");
        }
    }

    #[test]
    fn every_type_of_identity_has_a_kind() {
        let kinds: [(&[u8], &str); 7] = [
            (b"Root", "root"),
            (b"IAMUser", "human"),
            (b"FederatedUser", "federated"),
            (b"WebIdentityUser", "federated"),
            (b"AWSService", "aws-service"),
            (b"AWSAccount", "unknown"),
            (b"Unknown", "unknown"),
        ];
        for (kind, actor) in kinds {
            assert_eq!(
                Identity {
                    kind,
                    ..Identity::default()
                }
                .actor()
                .kind,
                actor
            );
        }
    }

    #[test]
    fn a_service_is_known_by_what_invoked_it() {
        let service = Identity {
            kind: b"AWSService",
            invoked_by: b"rds.amazonaws.com",
            ..Identity::default()
        };
        assert_eq!(service.actor().principal, b"rds.amazonaws.com");
        assert_eq!(service.actor().name, b"rds.amazonaws.com");
    }

    #[test]
    fn without_an_arn_the_session_is_named_by_the_principal_id() {
        let session = Identity {
            kind: b"AssumedRole",
            principal_id: b"AROAEXAMPLE:build",
            ..Identity::default()
        };
        assert_eq!(session.actor().name, b"build");
        assert_eq!(session.actor().principal, b"");
    }

    #[test]
    fn mfa_is_unknown_where_nothing_speaks_of_it() {
        assert_eq!(mfa(b"", b""), None);
        assert_eq!(mfa(b"true", b""), Some(true));
        assert_eq!(mfa(b"", b"No"), Some(false));
        assert_eq!(mfa(b"false", b"Yes"), Some(true));
    }
}
