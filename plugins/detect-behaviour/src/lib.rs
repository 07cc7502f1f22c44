//! `detect-behaviour`: what only shows in what came before: many failures, first uses, masses, places too
//! far apart.
//!
//! A batch goes through four steps. `notice` says of each event what it counts for; `plan` leaves out
//! what the host has counted already; the host counts, in one call; `judge` holds the windows against the
//! rules, and asks what is remembered of the few keys that meet one. What the rules mean stands in the
//! catalogue (`detections`), their numbers in `rules`.
//!
//! Where the host does not answer, a line in the log says so and the events go on.

mod calls;
mod chain;
mod facts;
mod judge;
mod notice;
mod plan;
mod rules;
mod settings;
mod text;
mod travel;

use calls::Calls;
use facts::{Facts, Fields};
use judge::Judge;
use plan::{Memory, Plan};
use rules::{Rules, VOLUME_PREFIXES};
pub use settings::{Config, Setting};
use sluicegate_plugin::{Batch, Field, Output, Process, Subscription, log, lookup, plugin, state};

/// The plugin with the fields it reads.
#[plugin(detect)]
#[derive(Debug)]
pub struct DetectBehaviour {
    #[config]
    config: Config,
    #[field("/eventSource")]
    source: Field,
    #[field("/eventName")]
    name: Field,
    #[field("/eventID")]
    id: Field,
    #[field("/eventTime")]
    time: Field,
    #[field("/awsRegion")]
    region: Field,
    #[field("/sourceIPAddress")]
    address: Field,
    #[field("/errorCode")]
    error: Field,
    #[field("/readOnly")]
    read_only: Field,
    #[field("/recipientAccountId")]
    recipient: Field,
    #[field("/requestParameters")]
    parameters: Field,
    #[field("/responseElements/ConsoleLogin")]
    login: Field,
    #[field("/responseElements/credentials/accessKeyId")]
    issued_key: Field,
    #[field("/userIdentity/type")]
    kind: Field,
    #[field("/userIdentity/arn")]
    arn: Field,
    #[field("/userIdentity/accountId")]
    account: Field,
    #[field("/userIdentity/accessKeyId")]
    key: Field,
    #[field("/userIdentity/userName")]
    user: Field,
    #[field("/userIdentity/invokedBy")]
    invoked_by: Field,
    #[field("/userIdentity/sessionContext/sessionIssuer/arn")]
    issuer: Field,
    calls: Calls,
    rules: Rules,
    memory: Memory,
}

impl Process for DetectBehaviour {
    fn configure(&mut self, wanted: &mut Subscription) -> Result<(), String> {
        self.rules = self.config.rules()?;
        if let Some(table) = &self.config.locations {
            // Nothing is answered yet, but whether it will be can be told.
            if matches!(
                lookup::query(table, "", &[]),
                Err(lookup::Error::NotGranted)
            ) {
                return Err(format!(
                    "locations names the table {table:?}, which `grants.lookup` does not"
                ));
            }
        }
        for (source, names) in calls::watched() {
            let clause = wanted.clause().one_of("/eventSource", &[&source]);
            if calls::is_versioned(&source) {
                clause.starts_with("/eventName", names);
            } else {
                clause.one_of("/eventName", names);
            }
        }
        wanted.clause().present("/errorCode");
        // What changes something, but for the objects of data events.
        wanted
            .clause()
            .one_of("/readOnly", &["false"])
            .one_of("/managementEvent", &["true"])
            .absent("/userIdentity/invokedBy");
        wanted.clause().starts_with("/eventID", &VOLUME_PREFIXES);
        Ok(())
    }

    fn process(&self, batch: &Batch<'_>, out: &mut Output) -> Result<(), String> {
        let mut plan = Plan::new(&self.rules, &self.memory);
        let mut troubles = self.notice(batch, &mut plan);
        if plan.left_out > 0 {
            troubles.push(format!("{} observations too many", plan.left_out));
        }
        if !plan.counts.is_empty() {
            match state::observe(&plan.observations()) {
                Ok(windows) => {
                    let judge = Judge {
                        config: &self.config,
                        memory: &self.memory,
                    };
                    troubles.extend(judge.judge(&plan, &windows, out).err());
                }
                Err(error) => {
                    self.memory.forget();
                    troubles.push(format!("failed to count: {error:?}"));
                }
            }
        }
        if !troubles.is_empty() {
            log::warn(&format!("not all was judged: {}", troubles.join("; ")));
        }
        Ok(())
    }
}

impl DetectBehaviour {
    /// Plans what to count, and answers with what went wrong.
    fn notice<'a>(&self, batch: &Batch<'a>, plan: &mut Plan<'a, '_>) -> Vec<String> {
        let fields = self.fields();
        let (mut people, mut steps) = (Vec::new(), Vec::new());
        for row in batch.rows() {
            let facts = Facts::of(row, &fields, batch.now_ms());
            if self.config.ignores(facts.principal) {
                continue;
            }
            notice::notice(&facts, &fields, &self.calls, plan);
            if facts.by_service {
                continue;
            }
            if facts.name == "AssumeRole"
                && let Some(issued) = row.str(self.issued_key)
            {
                steps.extend(chain::Step::new(facts, issued));
            }
            if self.config.locations.is_some() && facts.address.is_some() && facts.is_person() {
                people.push(facts);
            }
        }
        let travel = match &self.config.locations {
            Some(table) => travel::notice(table, &people, plan),
            None => Ok(()),
        };
        let chained = chain::notice(steps, plan);
        travel.err().into_iter().chain(chained.err()).collect()
    }

    fn fields(&self) -> Fields {
        Fields {
            source: self.source,
            name: self.name,
            id: self.id,
            time: self.time,
            region: self.region,
            address: self.address,
            error: self.error,
            read_only: self.read_only,
            recipient: self.recipient,
            parameters: self.parameters,
            login: self.login,
            kind: self.kind,
            arn: self.arn,
            account: self.account,
            key: self.key,
            user: self.user,
            invoked_by: self.invoked_by,
            issuer: self.issuer,
        }
    }
}
