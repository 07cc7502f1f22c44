//! `sample-data-events`: which events of high volume go on.
//!
//! Rules in the language of `CloudTrail`'s advanced event selectors keep, drop or sample events; the first
//! that matches decides, and what no rule matches is kept. Whether an event is in a sample follows from its
//! identifier alone, so that every replica and every redelivery decides alike. A budget bounds what is left
//! over for each account and day.
//!
//! Only data events and network activity of calls that succeeded are touched. Everything else goes on,
//! unless a rule names it: its category by `eventCategory`, or failed calls by `errorCode`.

mod budget;
mod chance;
mod rules;
mod selector;
mod tally;

use budget::{Budget, Spender};
use rules::{Rule, Rules, Verdict};
use selector::{Event, Fields};
use sluicegate_plugin::{Batch, Field, Output, Process, Subscription, configuration, log, plugin};
use tally::Tally;

/// What the operator may set.
#[configuration]
#[derive(Default)]
#[serde(default)]
pub struct Config {
    /// In this order; the first that matches an event decides about it. At most 100.
    #[schemars(length(max = 100))]
    pub rules: Vec<Rule>,
    /// What is left over of each account on each day, without the events that a rule keeps.
    pub budget: Option<Budget>,
}

/// The plugin with the fields it reads.
#[plugin(filter)]
#[derive(Debug)]
pub struct SampleDataEvents {
    #[config]
    config: Config,
    #[field("/eventID")]
    id: Field,
    #[field("/eventTime")]
    time: Field,
    #[field("/recipientAccountId")]
    account: Field,
    #[field("/eventCategory")]
    category: Field,
    #[field("/eventName")]
    name: Field,
    #[field("/eventSource")]
    source: Field,
    #[field("/eventType")]
    event_type: Field,
    #[field("/errorCode")]
    error: Field,
    #[field("/readOnly")]
    read_only: Field,
    #[field("/resources/*/type")]
    types: Field,
    #[field("/resources/*/ARN")]
    arns: Field,
    #[field("/sessionCredentialFromConsole")]
    console: Field,
    #[field("/userIdentity/arn")]
    who: Field,
    #[field("/vpcEndpointId")]
    endpoint: Field,
    rules: Rules,
    tally: Tally,
}

impl Process for SampleDataEvents {
    fn configure(&mut self, wanted: &mut Subscription) -> Result<(), String> {
        self.rules = Rules::new(&self.config.rules)?;
        if let Some(budget) = &self.config.budget {
            budget.check()?;
        }
        let names = self.config.rules.iter().map(|rule| rule.name.as_str());
        self.tally = Tally::new(names);
        wanted
            .clause()
            .one_of("/eventCategory", &self.rules.categories());
        Ok(())
    }

    fn process(&self, batch: &Batch<'_>, out: &mut Output) -> Result<(), String> {
        let mut spender = self.config.budget.as_ref().map(Spender::new);
        for row in batch.rows() {
            let event = Event::new(row, self.fields());
            let id = row.bytes(self.id);
            match self.rules.judge(&event, id) {
                Verdict::Keep => {}
                Verdict::Drop(rule) => {
                    self.tally.dropped(Some(rule));
                    out.drop(row);
                }
                Verdict::Left => {
                    if let Some(spender) = &mut spender {
                        spender.ask(row, id, row.bytes(self.account), row.bytes(self.time));
                    }
                }
            }
        }
        for row in spender.map(Spender::over).unwrap_or_default() {
            self.tally.dropped(None);
            out.drop(row);
        }
        if let Some(line) = self.tally.line(batch.len(), batch.now_ms()) {
            log::info(&line);
        }
        Ok(())
    }
}

impl SampleDataEvents {
    fn fields(&self) -> Fields {
        Fields {
            category: self.category,
            name: self.name,
            source: self.source,
            event_type: self.event_type,
            error: self.error,
            read_only: self.read_only,
            types: self.types,
            arns: self.arns,
            console: self.console,
            who: self.who,
            endpoint: self.endpoint,
        }
    }
}
