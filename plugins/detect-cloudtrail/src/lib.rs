//! `detect-cloudtrail`: what nobody should miss in a trail, judged event by event.
//!
//! What a finding says stands in the catalogue (`detections`), when a rule matches in `rules`, by theme.
//! Matches are counted by the host, by rule, principal and window, so that a storm of failing calls is
//! one finding.

mod agents;
mod config;
mod event;
mod found;
mod json;
mod network;
mod policy;
mod rules;

pub use config::{Config, Exception};
pub use rules::watched;

use std::cmp::Reverse;

use agents::Agents;
use detections::{
    Severity,
    cloudtrail::{access, calls},
};
use event::{Event, Outcome};
use found::{Found, Match};
use network::Network;
use rules::Index;
use sluicegate_plugin::{
    Batch, Cache, Field, Finding, Output, Process, Severity as Level, Subscription, plugin,
};

/// The plugin with the fields it reads. Few, for the host takes them out of every event: what rules want
/// to know about a request they read from its parameters themselves.
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
    #[field("/userAgent")]
    agent: Field,
    #[field("/sourceIPAddress")]
    address: Field,
    #[field("/recipientAccountId")]
    recipient: Field,
    #[field("/requestParameters")]
    parameters: Field,
    #[field("/responseElements/ConsoleLogin")]
    login: Field,
    #[field("/additionalEventData/MFAUsed")]
    mfa: Field,
    #[field("/additionalEventData/SSEApplied")]
    encryption: Field,
    #[field("/userIdentity/type")]
    identity_type: Field,
    #[field("/userIdentity/arn")]
    arn: Field,
    #[field("/userIdentity/accountId")]
    account: Field,
    #[field("/userIdentity/invokedBy")]
    invoked_by: Field,
    #[field("/userIdentity/sessionContext/sessionIssuer/arn")]
    issuer: Field,
    #[field("/userIdentity/sessionContext/ec2RoleDelivery")]
    delivery: Field,
    index: Index,
    networks: Vec<Network>,
    agents: Agents,
    /// Of an agent, whether it names a tool.
    tools: Cache<bool>,
}

impl Process for DetectCloudtrail {
    fn configure(&mut self, wanted: &mut Subscription) -> Result<(), String> {
        self.config.check()?;
        self.index = Index::new();
        self.networks = self.config.networks()?;
        self.agents = Agents::new(&self.config.attack_agents);
        rules::subscribe(wanted);
        wanted.clause().present("/errorCode");
        wanted.clause().one_of("/userIdentity/type", &["Root"]);
        if !self.networks.is_empty() {
            wanted
                .clause()
                .present("/userIdentity/sessionContext/ec2RoleDelivery");
        }
        let emergency: Vec<&str> = self.config.break_glass.iter().map(String::as_str).collect();
        if !emergency.is_empty() {
            wanted.clause().one_of("/userIdentity/arn", &emergency);
            wanted
                .clause()
                .one_of("/userIdentity/sessionContext/sessionIssuer/arn", &emergency);
        }
        Ok(())
    }

    fn process(&self, batch: &Batch<'_>, out: &mut Output) -> Result<(), String> {
        for row in batch.rows() {
            let mut event = Event::new(row, self);
            let mut found = Found::default();
            self.index.judge(&mut event, &mut found);
            let mut matches = found.judged(event.outcome);
            failure(&event, &mut matches);
            self.caller(&event, &mut matches);
            let agent = row.bytes(self.agent);
            let names_one = || self.agents.names_one(agent);
            if self.tools.with(agent, names_one, |named| *named) {
                matches.push(Match::of(&calls::ATTACK_TOOL_USED));
            }
            if matches.len() > MOST_FINDINGS {
                matches.sort_by_key(|found| Reverse(found.severity));
                matches.truncate(MOST_FINDINGS);
            }
            for found in &matches {
                self.report(&event, found, out);
            }
        }
        Ok(())
    }
}

/// Findings of one event, the gravest. The host refuses a batch with too many, and nobody shall be able to
/// have a batch refused by making calls that match many rules.
const MOST_FINDINGS: usize = 4;

/// The rules about how a call ended.
fn failure(event: &Event<'_>, matches: &mut Vec<Match>) {
    let attempted = matches
        .iter()
        .any(|found| found.rule.id == calls::DELETION_ATTEMPTED.id);
    if !attempted && is_denied_deletion(event) {
        matches.push(Match::of(&calls::DELETION_ATTEMPTED));
    }
    match event.outcome {
        Outcome::Succeeded => {}
        Outcome::Denied => matches.push(Match::of(&calls::CALL_UNAUTHORIZED)),
        Outcome::Failed => matches.push(Match::of(&calls::CALL_FAILED)),
    }
}

impl DetectCloudtrail {
    /// The rules about who calls, whatever the call.
    fn caller(&self, event: &Event<'_>, matches: &mut Vec<Match>) {
        // Root acting itself: not a service in its name, and not a login that failed. A service is never
        // the first: root's own call to it is found.
        let by_service =
            || event.row.has(self.invoked_by) || event.text(self.event_type) == "AwsServiceEvent";
        if event.identity == "Root" && !by_service() && event.text(self.login) != "Failure" {
            matches.push(Match::of(&access::ROOT_USED));
        }
        let is_name =
            |arn: &String| *arn == event.text(self.arn) || *arn == event.text(self.issuer);
        if self.config.break_glass.iter().any(is_name) {
            matches.push(Match::of(&access::BREAK_GLASS_USED));
        }
        let networks = &self.networks;
        if !networks.is_empty()
            && event.is_instance()
            && config::is_outside(networks, event.text(self.address))
        {
            matches.push(Match::of(&access::INSTANCE_CREDENTIALS_OUTSIDE));
        }
    }

    /// Reports a match about whoever made the call, unless the operator excepted them.
    fn report(&self, event: &Event<'_>, found: &Match, out: &mut Output) {
        let (rule, about) = (found.rule, &found.about);
        let principal = event.principal();
        if self.config.excepts(rule.id, principal) {
            return;
        }
        let mut finding = Finding::new(rule.id, rule.title, level(found.severity))
            .description(rule.description)
            .entity(principal)
            .window_s(self.config.window_s);
        // An attempt brings the technique of what it attempted.
        if !about.iter().any(|(name, _)| *name == "technique") {
            let technique = rule.techniques.first().copied().unwrap_or_default();
            finding = finding
                .attribute("technique", technique)
                .attribute("tactic", rule.tactic);
        }
        finding = finding
            .attribute("types", rule.types)
            .attribute("errorCode", event.text(self.error));
        for (name, text) in about {
            finding = finding.attribute(name, text);
        }
        out.find(event.row, finding);
    }
}

/// Whether a call was denied that would have deleted something, whatever it is.
fn is_denied_deletion(event: &Event<'_>) -> bool {
    let verbs = ["Delete", "Deregister", "Purge", "Terminate"];
    event.outcome == Outcome::Denied && verbs.iter().any(|verb| event.name.starts_with(verb))
}

fn level(severity: Severity) -> Level {
    match severity {
        Severity::Informational => Level::Informational,
        Severity::Low => Level::Low,
        Severity::Medium => Level::Medium,
        Severity::High => Level::High,
        Severity::Critical => Level::Critical,
    }
}
