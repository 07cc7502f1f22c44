//! `detect-cloudtrail`: what nobody should miss in a trail, judged event by event.
//!
//! The rules stand in `rules`; each is a finding per principal and window. Matches are counted by
//! the host, so that a storm of failing calls is one finding.

mod calls;
mod rules;

use calls::Call;
use rules::Rule;
use sluicegate_plugin::{
    Batch, Field, Finding, Output, Plugin, PluginKind, Row, Severity, Subscription,
};

/// What the operator may set.
#[derive(Clone, Copy, Debug, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Matches of one rule by one principal within so many seconds are one finding; 60 to 86,400.
    pub window_s: u32,
}

impl Default for Config {
    fn default() -> Self {
        Self { window_s: 3600 }
    }
}

/// The plugin with the fields it reads.
#[derive(Debug)]
pub struct DetectCloudtrail {
    window_s: u32,
    source: Field,
    name: Field,
    error: Field,
    event_type: Field,
    identity_type: Field,
    invoked_by: Field,
    arn: Field,
    issuer: Field,
    account: Field,
    recipient: Field,
    login: Field,
    mfa: Field,
    bucket: Field,
    policy: Field,
    user: Field,
    role: Field,
    group: Field,
    trail: Field,
    insights: Field,
    selector_trail: Field,
}

impl Plugin for DetectCloudtrail {
    const NAME: &'static str = "detect-cloudtrail";
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");
    const KIND: PluginKind = PluginKind::Detect;
    const CONFIGURATION: &'static str = r#"{"type":"object","additionalProperties":false,"properties":{"window_s":{"type":"integer","minimum":60,"maximum":86400,"default":3600,"description":"Matches of one rule by one principal within so many seconds are one finding."}}}"#;
    type Config = Config;

    fn configure(config: Config) -> Result<(Self, Subscription), String> {
        if !(60..=86_400).contains(&config.window_s) {
            return Err(format!(
                "window_s must be between 60 and 86400, got {}",
                config.window_s
            ));
        }
        let mut wanted = Subscription::new();
        let plugin = Self {
            window_s: config.window_s,
            source: wanted.field("eventSource"),
            name: wanted.field("eventName"),
            error: wanted.field("errorCode"),
            event_type: wanted.field("eventType"),
            identity_type: wanted.field("userIdentity.type"),
            invoked_by: wanted.field("userIdentity.invokedBy"),
            arn: wanted.field("userIdentity.arn"),
            issuer: wanted.field("userIdentity.sessionContext.sessionIssuer.arn"),
            account: wanted.field("userIdentity.accountId"),
            recipient: wanted.field("recipientAccountId"),
            login: wanted.field("responseElements.ConsoleLogin"),
            mfa: wanted.field("additionalEventData.MFAUsed"),
            bucket: wanted.field("requestParameters.bucketName"),
            policy: wanted.field("requestParameters.policyArn"),
            user: wanted.field("requestParameters.userName"),
            role: wanted.field("requestParameters.roleName"),
            group: wanted.field("requestParameters.groupName"),
            trail: wanted.field("requestParameters.name"),
            insights: wanted.field("requestParameters.insightSelectors"),
            selector_trail: wanted.field("requestParameters.trailName"),
        };
        for (source, names) in calls::WATCHED {
            wanted
                .clause()
                .one_of("eventSource", &[source])
                .one_of("eventName", names);
        }
        wanted.clause().present("errorCode");
        wanted.clause().one_of("userIdentity.type", &["Root"]);
        Ok((plugin, wanted))
    }

    fn process(&self, batch: &Batch<'_>, out: &mut Output) -> Result<(), String> {
        for row in batch.rows() {
            self.watched_call(row, out);
            self.failure(row, out);
            self.root(row, out);
        }
        Ok(())
    }
}

impl DetectCloudtrail {
    /// The rules that are about certain calls.
    fn watched_call(&self, row: Row<'_>, out: &mut Output) {
        let failed = row.has(self.error);
        match calls::of(row.bytes(self.source), row.bytes(self.name)) {
            Some(Call::BucketDeletion) if !failed => {
                let finding = self.matched(row, &rules::BUCKET_DELETED);
                out.find(row, about(row, finding, "bucket", self.bucket));
            }
            Some(Call::PolicyChange) if !failed => self.policy_change(row, out),
            Some(Call::ConsoleLogin) => self.console_login(row, out),
            Some(Call::Tampering(severity)) => self.tampering(row, severity, failed, out),
            Some(Call::InsightSelectors) if matches!(row.bytes(self.insights), b"" | b"[]") => {
                self.tampering(row, Severity::Medium, failed, out);
            }
            _ => {}
        }
    }

    fn policy_change(&self, row: Row<'_>, out: &mut Output) {
        let all_powerful = row
            .bytes(self.policy)
            .ends_with(b":policy/AdministratorAccess")
            && row.bytes(self.name).starts_with(b"Attach");
        let rule = if all_powerful {
            &rules::ADMINISTRATOR_ATTACHED
        } else {
            &rules::POLICY_CHANGED
        };
        let mut finding = self.matched(row, rule);
        for (name, field) in [
            ("policy", self.policy),
            ("user", self.user),
            ("role", self.role),
            ("group", self.group),
        ] {
            finding = about(row, finding, name, field);
        }
        out.find(row, finding);
    }

    /// A login by single sign-on has its MFA elsewhere; only a user's own password counts here.
    fn console_login(&self, row: Row<'_>, out: &mut Output) {
        let own_password = matches!(row.bytes(self.identity_type), b"IAMUser" | b"Root");
        let succeeded = row.bytes(self.login) == b"Success";
        if own_password && succeeded && row.bytes(self.mfa) == b"No" {
            out.find(row, self.matched(row, &rules::LOGIN_WITHOUT_MFA));
        }
    }

    fn tampering(&self, row: Row<'_>, severity: Severity, failed: bool, out: &mut Output) {
        let rule = if failed {
            rules::TAMPERING_ATTEMPTED
        } else {
            Rule {
                severity,
                ..rules::TAMPERED
            }
        };
        let finding = self.matched(row, &rule);
        let finding = about(row, finding, "trail", self.trail);
        out.find(row, about(row, finding, "trail", self.selector_trail));
    }

    fn failure(&self, row: Row<'_>, out: &mut Output) {
        if row.has(self.error) {
            let denied = calls::is_denied(row.bytes(self.error));
            let rule = if denied {
                &rules::CALL_UNAUTHORIZED
            } else {
                &rules::CALL_FAILED
            };
            out.find(row, self.matched(row, rule));
        }
    }

    /// Root acting itself: not a service in its name, and not a login that failed.
    fn root(&self, row: Row<'_>, out: &mut Output) {
        let root = row.bytes(self.identity_type) == b"Root";
        let by_service =
            row.has(self.invoked_by) || row.bytes(self.event_type) == b"AwsServiceEvent";
        if root && !by_service && row.bytes(self.login) != b"Failure" {
            out.find(row, self.matched(row, &rules::ROOT_USED));
        }
    }

    /// The finding of a rule about whoever made the call.
    fn matched(&self, row: Row<'_>, rule: &Rule) -> Finding {
        let finding = Finding::new(rule.id, rule.title, rule.severity)
            .description(rule.description)
            .entity(self.principal(row))
            .window_s(self.window_s)
            .attribute("technique", rule.technique)
            .attribute("types", rule.types);
        about(row, finding, "errorCode", self.error)
    }

    /// The role of a session, else the principal's own ARN, else the account.
    fn principal<'a>(&self, row: Row<'a>) -> &'a str {
        let session = row.bytes(self.identity_type) == b"AssumedRole";
        let issuer = if session { row.str(self.issuer) } else { None };
        let all = [
            issuer,
            row.str(self.arn),
            row.str(self.account),
            row.str(self.recipient),
        ];
        all.into_iter()
            .flatten()
            .find(|text| !text.is_empty())
            .unwrap_or("unknown")
    }
}

fn about(row: Row<'_>, finding: Finding, name: &str, field: Field) -> Finding {
    finding.attribute(name, row.str(field).unwrap_or_default())
}

sluicegate_plugin::export!(DetectCloudtrail);
