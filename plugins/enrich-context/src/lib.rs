//! `enrich-context`: who acted, and from what kind of address.
//!
//! Under `/sluicegate/enrich-context` it sets
//!
//! - `actor/kind`: `human`, `service`, `role-session`, `federated`, `root`, `aws-service`, `unknown`;
//! - `actor/principal`: the ARN of who acted, for a role session the role's;
//! - `actor/name`: the user's name, or that of the session;
//! - `actor/account`: the account of the identity;
//! - `actor/mfa`: a boolean, where the event says;
//! - `actor/issuer`: the ARN (or name, of an outside provider) of who vouched for the session;
//! - `network/class`: `public`, `private`, `loopback`, `link-local`, `reserved`, `aws-service`,
//!   `aws-internal`, `invalid`.
//!
//! Every event passes here, so values are compared as bytes and copied straight into columns.

mod actor;
mod network;

use actor::Identity;
use sluicegate_plugin::{Batch, Column, Field, Output, Process, Row, plugin};

/// The plugin with the fields it reads.
#[plugin(enrich)]
#[derive(Debug)]
pub struct EnrichContext {
    #[field("/userIdentity/type")]
    kind: Field,
    #[field("/userIdentity/arn")]
    arn: Field,
    #[field("/userIdentity/principalId")]
    principal_id: Field,
    #[field("/userIdentity/accountId")]
    account: Field,
    #[field("/userIdentity/userName")]
    user_name: Field,
    #[field("/userIdentity/invokedBy")]
    invoked_by: Field,
    #[field("/userIdentity/sessionContext/sessionIssuer/arn")]
    issuer: Field,
    #[field("/userIdentity/identityProvider")]
    provider: Field,
    #[field("/userIdentity/sessionContext/webIdFederationData/federatedProvider")]
    web_provider: Field,
    #[field("/userIdentity/sessionContext/attributes/mfaAuthenticated")]
    mfa: Field,
    #[field("/additionalEventData/MFAUsed")]
    login_mfa: Field,
    #[field("/sourceIPAddress")]
    address: Field,
}

impl Process for EnrichContext {
    fn process(&self, batch: &Batch<'_>, out: &mut Output) -> Result<(), String> {
        let mut columns = Columns {
            kind: out.column("/actor/kind"),
            principal: out.column("/actor/principal"),
            name: out.column("/actor/name"),
            account: out.column("/actor/account"),
            mfa: out.column("/actor/mfa"),
            issuer: out.column("/actor/issuer"),
            class: out.column("/network/class"),
        };
        for row in batch.rows() {
            self.describe(row, &mut columns);
        }
        let Columns {
            kind,
            principal,
            name,
            account,
            mfa,
            issuer,
            class,
        } = columns;
        for column in [kind, principal, name, account, mfa, issuer, class] {
            out.add(column);
        }
        Ok(())
    }
}

struct Columns {
    kind: Column,
    principal: Column,
    name: Column,
    account: Column,
    mfa: Column,
    issuer: Column,
    class: Column,
}

impl EnrichContext {
    fn describe(&self, row: Row<'_>, columns: &mut Columns) {
        let identity = Identity {
            kind: row.bytes(self.kind),
            arn: row.bytes(self.arn),
            principal_id: row.bytes(self.principal_id),
            user_name: row.bytes(self.user_name),
            invoked_by: row.bytes(self.invoked_by),
            issuer: row.bytes(self.issuer),
        };
        columns.kind.str(row, identity.actor());
        put(&mut columns.principal, row, identity.principal());
        put(&mut columns.name, row, identity.name());
        put(&mut columns.account, row, row.bytes(self.account));
        let vouched = [
            identity.issuer,
            row.bytes(self.provider),
            row.bytes(self.web_provider),
        ]
        .into_iter();
        put(
            &mut columns.issuer,
            row,
            vouched
                .into_iter()
                .find(|by| !by.is_empty())
                .unwrap_or_default(),
        );
        if let Some(mfa) = actor::mfa(row.bytes(self.mfa), row.bytes(self.login_mfa)) {
            columns.mfa.bool(row, mfa);
        }
        if let Some(class) = network::class(row.bytes(self.address)) {
            columns.class.str(row, class);
        }
    }
}

fn put(column: &mut Column, row: Row<'_>, text: &[u8]) {
    if !text.is_empty() {
        column.bytes(row, text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sluicegate_plugin::testing::Kit;

    /// What is added to one event with this identity and address, as `path=JSON` without the prefix.
    fn added(identity: &str, rest: &str) -> Vec<String> {
        let event = format!(r#"{{"userIdentity":{identity}{rest}}}"#);
        let seen = Kit::<EnrichContext>::new("{}").run(&[&event]);
        let paths = [
            "actor/kind",
            "actor/principal",
            "actor/name",
            "actor/account",
            "actor/mfa",
        ];
        let paths = paths.into_iter().chain(["actor/issuer", "network/class"]);
        let one = |path: &str| {
            let value = seen.added(0, &format!("/sluicegate/enrich-context/{path}"))?;
            Some(format!("{path}={value}"))
        };
        paths.filter_map(one).collect()
    }

    #[test]
    fn a_role_session_is_named_by_its_session_and_stands_for_its_role() {
        let identity = r#"{"type":"AssumedRole","arn":"arn:aws:sts::123456789012:assumed-role/ops/deploy-7",
            "accountId":"123456789012","sessionContext":{"attributes":{"mfaAuthenticated":"false"},
            "sessionIssuer":{"arn":"arn:aws:iam::123456789012:role/ops"}}}"#;
        assert_eq!(
            added(identity, r#","sourceIPAddress":"203.0.113.7""#),
            [
                r#"actor/kind="role-session""#,
                r#"actor/principal="arn:aws:iam::123456789012:role/ops""#,
                r#"actor/name="deploy-7""#,
                r#"actor/account="123456789012""#,
                "actor/mfa=false",
                r#"actor/issuer="arn:aws:iam::123456789012:role/ops""#,
                r#"network/class="public""#,
            ]
        );
    }

    #[test]
    fn a_user_without_a_session_has_no_mfa_and_no_issuer() {
        let identity =
            r#"{"type":"IAMUser","arn":"arn:aws:iam::123456789012:user/ann","userName":"ann"}"#;
        assert_eq!(
            added(identity, ""),
            [
                r#"actor/kind="human""#,
                r#"actor/principal="arn:aws:iam::123456789012:user/ann""#,
                r#"actor/name="ann""#,
            ]
        );
    }

    #[test]
    fn mfa_at_the_console_is_read_from_the_login() {
        let login = r#","additionalEventData":{"MFAUsed":"Yes"}"#;
        assert!(added(r#"{"type":"Root"}"#, login).contains(&"actor/mfa=true".to_owned()));
    }

    #[test]
    fn an_event_without_an_identity_is_of_an_unknown_actor() {
        assert_eq!(added("null", ""), [r#"actor/kind="unknown""#]);
    }

    #[test]
    fn an_outside_provider_vouches_for_a_federated_user() {
        let identity = r#"{"type":"SAMLUser","principalId":"abc=:kim","userName":"kim",
            "identityProvider":"arn:aws:iam::123456789012:saml-provider/corp"}"#;
        let added = added(identity, "");
        assert!(added.contains(&r#"actor/kind="federated""#.to_owned()));
        assert!(added.contains(
            &r#"actor/issuer="arn:aws:iam::123456789012:saml-provider/corp""#.to_owned()
        ));
    }
}
