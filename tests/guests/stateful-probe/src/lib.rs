//! A guest that counts failed logins of each principal and looks up the networks they come from; told to,
//! it asks for more than it may.

use std::fmt::Debug;

use sluicegate_plugin::{
    Batch, Field, Finding, Output, Plugin, PluginKind, Row, Severity, Subscription,
    bindings::sluicegate::plugin::state as raw,
    configuration, lookup,
    state::{self, Observation, Window},
};

#[configuration]
struct Configuration {
    #[serde(default = "ten_minutes")]
    window_s: u32,
    #[serde(default)]
    table: String,
    #[serde(default = "zone")]
    field: String,
    #[serde(default, rename = "do")]
    act: Act,
}

fn ten_minutes() -> u32 {
    600
}

fn zone() -> String {
    "zone".to_owned()
}

#[configuration]
#[derive(Default)]
#[serde(rename_all = "snake_case")]
enum Act {
    /// Counts every row and reports what it was told.
    #[default]
    Count,
    /// Counts the first row under a key of its own, again and again, as often.
    Flood { calls: u32, in_one_call: u32 },
    /// Looks up the first row's address as often.
    LookUp { calls: u32, in_one_call: u32 },
    /// Remembers so many keys with so many entries.
    Remember { keys: usize, limit: u32 },
    /// Counts a row that is none.
    RowOutOfRange,
    /// Adds what is no number.
    NotFinite,
    /// Counts while it is being configured.
    CountInConfigure,
}

struct Probe {
    configuration: Configuration,
    who: Field,
    from: Field,
}

impl Plugin for Probe {
    const NAME: &'static str = "stateful-probe";
    const VERSION: &'static str = "1.0.0";
    const KIND: PluginKind = PluginKind::Detect;
    type Config = Configuration;

    fn configure(configuration: Configuration) -> Result<(Self, Subscription), String> {
        if matches!(configuration.act, Act::CountInConfigure) {
            raw::observe(&[]).map_err(text)?;
        }
        let mut wanted = Subscription::new();
        let (who, from) = (
            wanted.field("/userIdentity/arn"),
            wanted.field("sourceIPAddress"),
        );
        wanted
            .clause()
            .one_of("eventName", &["ConsoleLogin"])
            .one_of("responseElements.ConsoleLogin", &["Failure"]);
        let probe = Self {
            configuration,
            who,
            from,
        };
        Ok((probe, wanted))
    }

    fn process(&self, batch: &Batch<'_>, out: &mut Output) -> Result<(), String> {
        let Some(first) = batch.rows().next() else {
            return Ok(());
        };
        match self.configuration.act {
            Act::Count | Act::CountInConfigure => self.count(batch, out),
            Act::Flood { calls, in_one_call } => {
                let seen = vec![Observation::new(first, "flood", 60); in_one_call as usize];
                report(first, out, calls, || state::observe(&seen).map(drop));
            }
            Act::LookUp { calls, in_one_call } => {
                let keys = vec![self.from(first); in_one_call as usize];
                let Configuration { table, field, .. } = &self.configuration;
                report(first, out, calls, || {
                    lookup::query(table, field, &keys).map(drop)
                });
            }
            Act::Remember { keys, limit } => {
                let keys = vec![self.who(first); keys];
                report(first, out, 1, || state::recent(&keys, 60, limit).map(drop));
            }
            Act::RowOutOfRange => observe_raw(batch.len(), 1.0),
            Act::NotFinite => observe_raw(0, f64::NAN),
        }
        Ok(())
    }
}

impl Probe {
    fn who<'a>(&self, row: Row<'a>) -> &'a str {
        row.str(self.who).unwrap_or_default()
    }

    fn from<'a>(&self, row: Row<'a>) -> &'a str {
        row.str(self.from).unwrap_or_default()
    }

    fn count(&self, batch: &Batch<'_>, out: &mut Output) {
        let Configuration {
            window_s,
            table,
            field,
            ..
        } = &self.configuration;
        let keys: Vec<&str> = batch.rows().map(|row| self.who(row)).collect();
        let addresses: Vec<&str> = batch.rows().map(|row| self.from(row)).collect();
        let seen: Vec<_> = batch
            .rows()
            .map(|row| Observation::new(row, self.who(row), *window_s).member(self.from(row)))
            .collect();
        let windows = state::observe(&seen);
        let recent = state::recent(&keys, *window_s, 3);
        let zones = lookup::query(table, field, &addresses);
        for (position, row) in batch.rows().enumerate() {
            let counted = match &windows {
                Ok(windows) => words(&windows[position]),
                Err(error) => format!("{error:?}"),
            };
            let remembered = match &recent {
                Ok(recent) => recent[position]
                    .iter()
                    .map(|entry| entry.member.as_str())
                    .collect::<Vec<_>>()
                    .join(" "),
                Err(error) => format!("{error:?}"),
            };
            let zone = match &zones {
                Ok(zones) => zones.str(position).unwrap_or("-").to_owned(),
                Err(error) => format!("{error:?}"),
            };
            let finding = Finding::new("failed-login", "A login failed", Severity::Low)
                .entity(self.who(row))
                .attribute("window", &counted)
                .attribute("recent", &remembered)
                .attribute("zone", &zone);
            out.find(row, finding);
        }
    }
}

fn words(window: &Window) -> String {
    let first = if window.first { "new" } else { "known" };
    format!(
        "{} events, {} members, sum {}, {first}",
        window.events, window.members, window.sum
    )
}

fn text(error: impl Debug) -> String {
    format!("{error:?}")
}

/// Calls as often, and reports how often that was answered and what was said otherwise.
fn report<E: Debug>(row: Row<'_>, out: &mut Output, calls: u32, call: impl Fn() -> Result<(), E>) {
    let (mut answered, mut refused) = (0, String::new());
    for _ in 0..calls {
        match call() {
            Ok(()) => answered += 1,
            Err(error) => refused = text(error),
        }
    }
    let finding = Finding::new("asked", "Asked for much", Severity::Low)
        .attribute("answered", &answered.to_string())
        .attribute("refused", &refused);
    out.find(row, finding);
}

/// Past the SDK, which has no words for this.
fn observe_raw(row: u32, value: f64) {
    let observation = raw::Observation {
        row,
        key: "k".to_owned(),
        member: String::new(),
        value,
        window_s: 60,
    };
    // The host does not let it come back.
    drop(raw::observe(&[observation]));
}

sluicegate_plugin::export!(Probe);
