//! `detect-cloudtrail`: what nobody should miss in a trail, judged event by event.
//!
//! The rules stand in `rules`; each is a finding per principal and window. Matches are counted by
//! the host, so that a storm of failing calls is one finding.

mod calls;
mod rules;

use calls::Call;
use rules::Rule;
use sluicegate_plugin::{
    Batch, Field, Finding, Output, Process, Row, Severity, Subscription, configuration, plugin,
};

/// What the operator may set.
#[configuration]
#[serde(default)]
pub struct Config {
    /// Matches of one rule by one principal within so many seconds are one finding.
    #[schemars(range(min = 60, max = 86400))]
    pub window_s: u32,
}

impl Default for Config {
    fn default() -> Self {
        Self { window_s: 3600 }
    }
}

/// The plugin with the fields it reads.
#[plugin(detect)]
#[derive(Debug)]
pub struct DetectCloudtrail {
    #[config]
    config: Config,
    #[field("/eventSource")]
    source: Field,
    #[field("/eventName")]
    name: Field,
    #[field("/errorCode")]
    error: Field,
    #[field("/eventType")]
    event_type: Field,
    #[field("/userIdentity/type")]
    identity_type: Field,
    #[field("/userIdentity/invokedBy")]
    invoked_by: Field,
    #[field("/userIdentity/arn")]
    arn: Field,
    #[field("/userIdentity/sessionContext/sessionIssuer/arn")]
    issuer: Field,
    #[field("/userIdentity/accountId")]
    account: Field,
    #[field("/recipientAccountId")]
    recipient: Field,
    #[field("/responseElements/ConsoleLogin")]
    login: Field,
    #[field("/additionalEventData/MFAUsed")]
    mfa: Field,
    #[field("/requestParameters/bucketName")]
    bucket: Field,
    #[field("/requestParameters/policyArn")]
    policy: Field,
    #[field("/requestParameters/userName")]
    user: Field,
    #[field("/requestParameters/roleName")]
    role: Field,
    #[field("/requestParameters/groupName")]
    group: Field,
    #[field("/requestParameters/name")]
    trail: Field,
    #[field("/requestParameters/insightSelectors")]
    insights: Field,
    #[field("/requestParameters/trailName")]
    selector_trail: Field,
}

impl Process for DetectCloudtrail {
    fn configure(&mut self, wanted: &mut Subscription) -> Result<(), String> {
        let window_s = self.config.window_s;
        if !(60..=86_400).contains(&window_s) {
            return Err(format!(
                "window_s must be between 60 and 86400, got {window_s}"
            ));
        }
        for (source, names) in calls::WATCHED {
            wanted
                .clause()
                .one_of("eventSource", &[source])
                .one_of("eventName", names);
        }
        wanted.clause().present("errorCode");
        wanted.clause().one_of("/userIdentity/type", &["Root"]);
        Ok(())
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
            .window_s(self.config.window_s)
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
