//! `detect-sigma`: Sigma rules as they are published, judged event by event; correlations count over the
//! host's windows.
//!
//! What rules mean is the work of the library `sigma`. Here its columns become fields, its matches
//! findings, and its correlations observations.

mod correlate;

use std::collections::BTreeMap;

use sigma::{Cell, Count, Event, Level, Options, Pack, Room, Rule, Source, State, Wanted};
use sluicegate_plugin::{
    Batch, Field, Finding, Kind, Output, Process, Row, Severity, Subscription, configuration, log,
    plugin,
};

/// Refused rules that are named in the log; of the others there is a number.
const NAMED: usize = 50;

/// A file of rules.
#[configuration]
pub struct File {
    /// What it is called in messages.
    path: String,
    /// What it holds.
    text: String,
}

/// What the operator may set.
#[configuration]
#[serde(default)]
pub struct Config {
    /// The rules: `{ inline_files = "…" }` with a file, a folder or a .zip archive.
    rules: Vec<File>,
    /// The values of each placeholder (`%name%`) that rules with the modifier `expand` use.
    placeholders: BTreeMap<String, Vec<String>>,
    /// Matches of one rule by one principal within so many seconds are one finding.
    #[schemars(range(min = 60, max = 86400))]
    window_s: u32,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            rules: Vec::new(),
            placeholders: BTreeMap::new(),
            window_s: 3_600,
        }
    }
}

/// The plugin with the fields it reads besides those of the rules.
#[plugin(detect)]
#[derive(Debug)]
pub struct DetectSigma {
    #[config]
    config: Config,
    #[field("/errorCode")]
    error: Field,
    #[field("/userIdentity/type")]
    identity_type: Field,
    #[field("/userIdentity/arn")]
    arn: Field,
    #[field("/userIdentity/sessionContext/sessionIssuer/arn")]
    issuer: Field,
    #[field("/userIdentity/accountId")]
    account: Field,
    #[field("/recipientAccountId")]
    recipient: Field,
    compiled: Option<Compiled>,
}

/// The pack, the field of each of its columns, and what findings of each of its rules say.
#[derive(Debug)]
struct Compiled {
    pack: Pack,
    fields: Vec<Field>,
    /// When an event happened, where a correlation asks for an order.
    time: Option<Field>,
    told: Vec<Vec<(&'static str, String)>>,
}

/// A row as the rules see it.
struct Seen<'a> {
    row: Row<'a>,
    fields: &'a [Field],
}

impl Event for Seen<'_> {
    fn cell(&self, column: usize) -> Cell<'_> {
        let Some(field) = self.fields.get(column) else {
            return Cell::Absent;
        };
        let bytes = || self.row.bytes(*field);
        // The host hands out UTF-8 only.
        let text = || std::str::from_utf8(bytes()).unwrap_or_default();
        match self.row.kind(*field) {
            Kind::Absent => Cell::Absent,
            Kind::Null => Cell::Null,
            Kind::String => Cell::Text(bytes()),
            Kind::Number | Kind::Boolean => Cell::Scalar(text()),
            Kind::Object | Kind::Array => Cell::Json(text()),
        }
    }
}

impl Process for DetectSigma {
    fn configure(&mut self, wanted: &mut Subscription) -> Result<(), String> {
        let window_s = self.config.window_s;
        if !(60..=86_400).contains(&window_s) {
            return Err(format!(
                "window_s must be between 60 and 86400, got {window_s}"
            ));
        }
        let files = std::mem::take(&mut self.config.rules);
        let options = Options {
            placeholders: std::mem::take(&mut self.config.placeholders),
            readable: false,
        };
        let sources = files.iter().map(|file| Source {
            path: &file.path,
            text: &file.text,
        });
        let pack = Pack::compile(sources, &options)?;
        report(&pack)?;
        for clause in pack.clauses() {
            let into = wanted.clause();
            for condition in &clause {
                match condition {
                    Wanted::OneOf(path, values) => {
                        let values: Vec<&str> = values.iter().map(String::as_str).collect();
                        into.one_of(path, &values);
                    }
                    Wanted::StartsWith(path, starts) => {
                        let starts: Vec<&str> = starts.iter().map(String::as_str).collect();
                        into.starts_with(path, &starts);
                    }
                    Wanted::Present(path) => {
                        into.present(path);
                    }
                }
            }
        }
        let columns = pack.fields().columns().iter();
        let fields = columns.map(|path| wanted.field(path)).collect();
        let told = pack.rules().iter().map(told).collect();
        let mut counts = pack.correlations().iter().map(|one| one.count);
        let ordered = counts.any(|count| count == Count::RulesInOrder);
        let time = ordered.then(|| wanted.field("/eventTime"));
        self.compiled = Some(Compiled {
            pack,
            fields,
            time,
            told,
        });
        Ok(())
    }

    fn process(&self, batch: &Batch<'_>, out: &mut Output) -> Result<(), String> {
        let compiled = self.compiled.as_ref().ok_or("no rules were compiled")?;
        let pack = &compiled.pack;
        let mut room = Room::default();
        let mut matched = correlate::Matched::new(pack);
        for row in batch.rows() {
            let seen = compiled.seen(row);
            pack.matches(&seen, &mut room, |number| {
                let detection = &pack.detections()[number as usize];
                if !detection.silent {
                    let finding = self.finding(row, compiled, detection.rule, self.config.window_s);
                    out.find(row, finding);
                }
                matched.note(number, row);
            });
        }
        for (row, number) in matched.correlate(compiled, batch) {
            let correlation = &pack.correlations()[number];
            let window_s = self.config.window_s.max(correlation.seconds);
            out.find(row, self.finding(row, compiled, correlation.rule, window_s));
        }
        Ok(())
    }
}

impl Compiled {
    fn seen<'a>(&'a self, row: Row<'a>) -> Seen<'a> {
        Seen {
            row,
            fields: &self.fields,
        }
    }
}

/// Tells the operator of every rule that takes no part.
///
/// # Errors
/// When no rule does.
fn report(pack: &Pack) -> Result<(), String> {
    let (mut compiled, mut refused, mut skipped) = (0, 0, 0);
    let mut first = None;
    for rule in pack.rules() {
        match &rule.state {
            State::Compiled => compiled += 1,
            State::Skipped(_) => skipped += 1,
            State::Refused(fault) => {
                let line = format!("{}:{}: {}", rule.path, fault.line, fault.reason);
                if refused < NAMED {
                    log::error(&line);
                }
                refused += 1;
                first.get_or_insert(line);
            }
        }
    }
    if refused > NAMED {
        log::error(&format!("{} more rules were refused", refused - NAMED));
    }
    let counts =
        format!("{compiled} rules compiled, {refused} refused, {skipped} about other logs");
    if compiled == 0 {
        let first = first.map(|line| format!("; the first: {line}"));
        return Err(format!(
            "rules must hold Sigma rules about CloudTrail: {counts}{}",
            first.unwrap_or_default()
        ));
    }
    log::info(&counts);
    Ok(())
}

/// The attributes that all findings of a rule share, without those that say nothing.
fn told(rule: &Rule) -> Vec<(&'static str, String)> {
    let join = |texts: &mut dyn Iterator<Item = String>| texts.collect::<Vec<_>>().join(", ");
    let all = [
        ("technique", join(&mut rule.techniques())),
        ("tactic", join(&mut rule.tactics())),
        ("references", rule.references.join(" ")),
        ("falsePositives", rule.false_positives.join(" ")),
    ];
    all.into_iter()
        .filter(|(_, text)| !text.is_empty())
        .collect()
}

impl DetectSigma {
    /// The finding of a rule about whoever made the call.
    fn finding(&self, row: Row<'_>, compiled: &Compiled, rule: usize, window_s: u32) -> Finding {
        let told = &compiled.told[rule];
        let rule = &compiled.pack.rules()[rule];
        let severity = match rule.level {
            Level::Informational => Severity::Informational,
            Level::Low => Severity::Low,
            Level::Medium => Severity::Medium,
            Level::High => Severity::High,
            Level::Critical => Severity::Critical,
        };
        let finding = Finding::new(&rule.id, &rule.title, severity)
            .description(&rule.description)
            .entity(self.principal(row))
            .window_s(window_s)
            .attribute("errorCode", row.str(self.error).unwrap_or_default());
        let tell = |finding: Finding, (name, text): &(&str, String)| finding.attribute(name, text);
        told.iter().fold(finding, tell)
    }

    /// The role of a session, else the principal's own ARN, else the account.
    fn principal<'a>(&self, row: Row<'a>) -> &'a str {
        let named = |field: Field| row.str(field).filter(|text| !text.is_empty());
        let session = row.bytes(self.identity_type) == b"AssumedRole";
        let issuer = if session { named(self.issuer) } else { None };
        issuer
            .or_else(|| named(self.arn))
            .or_else(|| named(self.account))
            .or_else(|| named(self.recipient))
            .unwrap_or("unknown")
    }
}
