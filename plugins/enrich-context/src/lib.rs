//! `enrich-context`: who acted, from where and by which program, and in whose account.
//!
//! Under `/sluicegate/enrich-context` it sets
//!
//! - `actor/kind`: `human`, `service`, `role-session`, `federated`, `root`, `aws-service`, `unknown`;
//! - `actor/principal`: the ARN of who acted, for a role session the role's;
//! - `actor/name`: the user's name, or that of the session;
//! - `actor/account`: the account of the identity;
//! - `actor/mfa`: a boolean, where the event says;
//! - `actor/issuer`: the ARN (or name, of an outside provider) of who vouched for the session;
//! - `actor/source`: who began the session, where a source identity was set;
//! - `actor/chained`: true where a session of a role assumes another role;
//! - `network/class`: `public`, `private`, `loopback`, `link-local`, `reserved`, `aws-service`,
//!   `aws-internal`, `invalid`;
//! - `network/name`: the network's, by the configuration or a table;
//! - `network/country`, `network/city`, `network/asn`, `network/organization`: by tables;
//! - `client/family`: the kind of program, such as `aws-cli`, `terraform`, `console`, `attack-tool`;
//! - `account/name`, `account/environment`, `account/owner`: of the account that received the event, by a
//!   table.
//!
//! Every event passes here, so values are compared as bytes and copied straight into columns, and what
//! follows from an address or a user agent is worked out once and kept for the next event with the same.

mod actor;
mod client;
mod network;
mod networks;
mod settings;
mod tables;

use std::net::IpAddr;

use actor::Identity;
use client::Families;
use networks::Networks;
pub use settings::Config;
use sluicegate_plugin::{
    Batch, Cache, Column, Field, Output, Process, Row, Subscription, log, plugin,
};
use tables::Tables;

/// The plugin with the fields it reads.
#[plugin(enrich)]
#[derive(Debug)]
pub struct EnrichContext {
    #[config]
    config: Config,
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
    #[field("/userIdentity/sessionContext/sourceIdentity")]
    source: Field,
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
    #[field("/userAgent")]
    agent: Field,
    #[field("/eventName")]
    name: Field,
    /// The account, where a table knows accounts.
    recipient: Option<Field>,
    networks: Networks,
    sources: Cache<Source>,
    families: Families,
    programs: Cache<Option<&'static str>>,
}

/// What an address says by itself.
#[derive(Debug)]
struct Source {
    class: Option<&'static str>,
    name: Option<String>,
}

impl Process for EnrichContext {
    fn configure(&mut self, wanted: &mut Subscription) -> Result<(), String> {
        let accounts = self.config.accounts.as_ref();
        self.recipient = accounts.map(|_| wanted.field("/recipientAccountId"));
        self.networks = Networks::new(&self.config.networks)?;
        self.config.check_grants()
    }

    fn process(&self, batch: &Batch<'_>, out: &mut Output) -> Result<(), String> {
        let tables = Tables::of(&self.config, batch, self.recipient, self.address);
        let mut columns = Columns::new(out);
        let names = tables.network_names();
        for row in batch.rows() {
            let name = names
                .as_ref()
                .ok()
                .and_then(|names| names.get(&row.index()));
            self.describe(row, name.map(String::as_str), &mut columns);
        }
        columns.finish(out);
        if let Err(trouble) = names.and(tables.add(out)) {
            log::warn(&format!("events were not fully enriched: {trouble}"));
        }
        Ok(())
    }
}

/// What is set without a table.
struct Columns {
    kind: Column,
    principal: Column,
    name: Column,
    account: Column,
    mfa: Column,
    issuer: Column,
    source: Column,
    chained: Column,
    class: Column,
    family: Column,
    network: Column,
}

impl Columns {
    fn new(out: &Output) -> Self {
        Self {
            kind: out.column("/actor/kind"),
            principal: out.column("/actor/principal"),
            name: out.column("/actor/name"),
            account: out.column("/actor/account"),
            mfa: out.column("/actor/mfa"),
            issuer: out.column("/actor/issuer"),
            source: out.column("/actor/source"),
            chained: out.column("/actor/chained"),
            class: out.column("/network/class"),
            family: out.column("/client/family"),
            network: out.column("/network/name"),
        }
    }

    fn finish(self, out: &mut Output) {
        for column in [
            self.kind,
            self.principal,
            self.name,
            self.account,
            self.mfa,
            self.issuer,
            self.source,
            self.chained,
            self.class,
            self.family,
            self.network,
        ] {
            out.add(column);
        }
    }
}

impl EnrichContext {
    fn describe(&self, row: Row<'_>, network: Option<&str>, columns: &mut Columns) {
        self.actor(row, columns);
        let address = row.bytes(self.address);
        self.sources.with(
            address,
            || self.source(address),
            |source| {
                if let Some(class) = source.class {
                    columns.class.str(row, class);
                }
                if let Some(name) = source.name.as_deref().or(network) {
                    columns.network.str(row, name);
                }
            },
        );
        let agent = row.bytes(self.agent);
        self.programs.with(
            agent,
            || self.families.of(agent),
            |family| {
                if let Some(family) = family {
                    columns.family.str(row, family);
                }
            },
        );
    }

    fn actor(&self, row: Row<'_>, columns: &mut Columns) {
        let identity = Identity {
            kind: row.bytes(self.kind),
            arn: row.bytes(self.arn),
            principal_id: row.bytes(self.principal_id),
            user_name: row.bytes(self.user_name),
            invoked_by: row.bytes(self.invoked_by),
            issuer: row.bytes(self.issuer),
        };
        let actor = identity.actor();
        columns.kind.str(row, actor.kind);
        put(&mut columns.principal, row, actor.principal);
        put(&mut columns.name, row, actor.name);
        put(&mut columns.account, row, row.bytes(self.account));
        put(&mut columns.source, row, row.bytes(self.source));
        let vouched = [
            identity.issuer,
            row.bytes(self.provider),
            row.bytes(self.web_provider),
        ];
        let vouched = vouched.into_iter().find(|by| !by.is_empty());
        put(&mut columns.issuer, row, vouched.unwrap_or_default());
        if let Some(mfa) = actor::mfa(row.bytes(self.mfa), row.bytes(self.login_mfa)) {
            columns.mfa.bool(row, mfa);
        }
        if identity.kind == b"AssumedRole" && row.bytes(self.name) == b"AssumeRole" {
            columns.chained.bool(row, true);
        }
    }

    fn source(&self, address: &[u8]) -> Source {
        let text = std::str::from_utf8(address).unwrap_or_default();
        let parsed: Option<IpAddr> = text.parse().ok();
        let name = parsed.and_then(|address| self.networks.name(address));
        Source {
            class: network::class(address),
            name: name.map(ToOwned::to_owned),
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
        let paths = paths.into_iter().chain([
            "actor/issuer",
            "actor/source",
            "actor/chained",
            "network/class",
            "client/family",
        ]);
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
    #[test]
    fn a_role_assumed_from_a_role_is_chained_and_its_source_is_named() {
        let identity = r#"{"type":"AssumedRole","arn":"arn:aws:sts::123456789012:assumed-role/ops/x",
            "sessionContext":{"sourceIdentity":"kim"}}"#;
        let assume = added(identity, r#","eventName":"AssumeRole""#);
        assert!(
            assume.contains(&"actor/chained=true".to_owned()),
            "{assume:?}"
        );
        assert!(
            assume.contains(&r#"actor/source="kim""#.to_owned()),
            "{assume:?}"
        );
        let other = added(identity, r#","eventName":"ListRoles""#);
        assert!(
            !other.contains(&"actor/chained=true".to_owned()),
            "{other:?}"
        );
        let user = added(r#"{"type":"IAMUser"}"#, r#","eventName":"AssumeRole""#);
        assert!(!user.contains(&"actor/chained=true".to_owned()), "{user:?}");
    }

    #[test]
    fn the_program_has_a_family() {
        let added = added("null", r#","userAgent":"aws-cli/2.15.0 Python/3.11""#);
        assert_eq!(
            added,
            [r#"actor/kind="unknown""#, r#"client/family="aws-cli""#]
        );
    }

    #[test]
    fn hostile_identities_and_addresses_are_answered() {
        let long = format!(r#"{{"type":"IAMUser","arn":"{}"}}"#, "x".repeat(10_000));
        for (identity, kind) in [
            ("[]", "unknown"),
            ("7", "unknown"),
            (r#""IAMUser""#, "unknown"),
            (r#"{"type":["IAMUser"]}"#, "unknown"),
            (r#"{"type":"IAMUser","type":"Root"}"#, "root"),
            (
                r#"{"type":"AssumedRole","sessionContext":5,"arn":{}}"#,
                "role-session",
            ),
            (r#"{"\u0074ype":"Root"}"#, "root"),
            (
                r#"{"type":"IAMUser","userName":null,"accountId":123456789012}"#,
                "human",
            ),
            (&long, "human"),
        ] {
            let rest = r#","sourceIPAddress":["203.0.113.7"],"userAgent":{"a":1}"#;
            let added = added(identity, rest);
            assert!(
                added.contains(&format!(r#"actor/kind="{kind}""#)),
                "{identity} {added:?}"
            );
        }
        let number = added(r#"{"accountId":123456789012}"#, "");
        assert!(
            number.contains(&r#"actor/account="123456789012""#.to_owned()),
            "{number:?}"
        );
    }

    /// What each of some events has at a path below `/sluicegate/enrich-context`.
    fn column(kit: &Kit<EnrichContext>, events: &[&str], path: &str) -> Vec<String> {
        let seen = kit.run(events);
        let path = format!("/sluicegate/enrich-context/{path}");
        let value = |at| seen.added(at, &path).unwrap_or_default();
        (0..events.len()).map(value).collect()
    }

    const EVENTS: [&str; 4] = [
        r#"{"recipientAccountId":"111122223333","sourceIPAddress":"203.0.113.7"}"#,
        r#"{"recipientAccountId":"444455556666","sourceIPAddress":"10.1.2.3"}"#,
        r#"{"recipientAccountId":["111122223333"],"sourceIPAddress":"AWS Internal"}"#,
        r#"{"recipientAccountId":"111122223333","sourceIPAddress":"192.0.2.9"}"#,
    ];

    #[test]
    fn tables_and_named_networks_say_more() {
        let kit = Kit::<EnrichContext>::new(
            r#"{"accounts":"accounts","locations":"places","asn":"asn","named_networks":"nets",
                "networks":{"office":["10.1.0.0/16"]}}"#,
        )
        .with_table(
            "accounts",
            &[
                ("111122223333", "name", "payments"),
                ("111122223333", "owner", "ann"),
            ],
        )
        .with_table("places", &[("203.0.113.7", "country.iso_code", "DE")])
        .with_table(
            "asn",
            &[(
                "203.0.113.7",
                "autonomous_system_organization",
                "Example Net",
            )],
        )
        .with_table(
            "nets",
            &[
                ("192.0.2.9", "name", "partner"),
                ("10.1.2.3", "name", "not asked"),
            ],
        );
        let says = |path| column(&kit, &EVENTS, path);
        assert_eq!(
            says("account/name"),
            [r#""payments""#, "", "", r#""payments""#]
        );
        assert_eq!(says("account/owner"), [r#""ann""#, "", "", r#""ann""#]);
        assert_eq!(says("account/environment"), [""; 4]);
        assert_eq!(
            says("network/name"),
            ["", r#""office""#, "", r#""partner""#]
        );
        assert_eq!(says("network/country"), [r#""DE""#, "", "", ""]);
        assert_eq!(
            says("network/organization"),
            [r#""Example Net""#, "", "", ""]
        );
        assert!(sluicegate_plugin::testing::logged().is_empty());
    }

    #[test]
    fn without_tables_nothing_is_asked_and_without_an_answer_the_rest_is_said() {
        let kit = Kit::<EnrichContext>::new("{}");
        kit.set_unavailable(true);
        assert_eq!(column(&kit, &EVENTS, "account/name"), [""; 4]);
        assert!(sluicegate_plugin::testing::logged().is_empty());
        let kit = Kit::<EnrichContext>::new(r#"{"accounts":"accounts","named_networks":"nets"}"#);
        assert_eq!(column(&kit, &EVENTS, "network/class")[0], r#""public""#);
        let lines = sluicegate_plugin::testing::logged();
        let expected = "events were not fully enriched: failed to look up name in table nets: Error::NoSuchTable";
        assert_eq!(lines, [expected]);
    }

    #[test]
    fn a_network_that_is_none_is_refused() {
        let refused = Kit::<EnrichContext>::try_new(r#"{"networks":{"office":["10.1.2.3/16"]}}"#);
        let error = refused.err().unwrap_or_default();
        assert!(
            error.starts_with("networks.\"office\" must hold networks"),
            "{error}"
        );
    }
}
