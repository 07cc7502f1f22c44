//! Guests for the tests of the host: each does what its configuration says, well or evil.
//!
//! A plugin's kind cannot depend on its configuration, so there is one component for each kind, a crate
//! of its own that calls [`hostile!`].

mod evil;
mod good;

use std::cell::RefCell;

use serde::Deserialize;

use bindings::sluicegate::plugin::{
    manifest::{Condition, Description, Kind, Subscription, Test},
    types::{Batch, Outcome},
};

#[allow(
    missing_docs,
    unsafe_code,
    unreachable_pub,
    clippy::pedantic,
    clippy::allow_attributes_without_reason,
    reason = "generated"
)]
pub mod bindings {
    //! The interface, as generated from `wit/plugin.wit`.
    wit_bindgen::generate!({
        path: "../../../wit",
        world: "plugin",
        pub_export_macro: true,
        generate_all,
    });
}

/// What such a plugin is told to do.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Configuration {
    /// The columns it asks for.
    #[serde(default = "event_name")]
    fields: Vec<String>,
    /// The event names it wants to see; none: all events.
    #[serde(default)]
    events: Vec<String>,
    /// It acts on rows with this text in a column; without it, on every row.
    #[serde(default)]
    when: String,
    /// What it does.
    #[serde(rename = "do")]
    act: Act,
}

fn event_name() -> Vec<String> {
    vec!["/eventName".to_owned()]
}

#[derive(Clone, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Act {
    Good(good::Act),
    Evil(evil::Act),
}

thread_local! {
    static CONFIGURATION: RefCell<Option<Configuration>> = const { RefCell::new(None) };
}

/// Exports a plugin of this name and [`Kind`](bindings::sluicegate::plugin::manifest::Kind).
#[macro_export]
macro_rules! hostile {
    ($name:literal, $kind:ident) => {
        use $crate::bindings::sluicegate::plugin::{manifest, types};

        struct Plugin;

        impl $crate::bindings::Guest for Plugin {
            fn describe() -> manifest::Description {
                $crate::describe($name, manifest::Kind::$kind)
            }

            fn configure(json: String) -> Result<manifest::Subscription, String> {
                $crate::configure(&json)
            }

            fn process(batch: types::Batch) -> Result<types::Outcome, String> {
                $crate::process($name, &batch)
            }
        }

        #[allow(
            unsafe_code,
            unreachable_pub,
            clippy::pedantic,
            clippy::allow_attributes_without_reason,
            reason = "generated"
        )]
        mod export {
            $crate::bindings::export!(Plugin with_types_in $crate::bindings);
            use super::Plugin;
        }
    };
}

/// What the host is told at load.
#[must_use]
pub fn describe(name: &str, kind: Kind) -> Description {
    Description {
        name: name.to_owned(),
        version: "1.0.0".to_owned(),
        kind,
        configuration: "{}".to_owned(),
    }
}

/// Takes the configuration; some already misbehave here.
///
/// # Errors
/// When the configuration is not understood, or says so.
pub fn configure(json: &str) -> Result<Subscription, String> {
    let configuration: Configuration =
        serde_json::from_str(json).map_err(|error| error.to_string())?;
    if let Act::Evil(act) = &configuration.act {
        act.configure()?;
    }
    let clause = |events: &[String]| {
        vec![Condition {
            path: "/eventName".to_owned(),
            test: Test::OneOf(events.to_vec()),
        }]
    };
    let subscription = Subscription {
        fields: configuration.fields.clone(),
        matches: if configuration.events.is_empty() {
            Vec::new()
        } else {
            vec![clause(&configuration.events)]
        },
    };
    CONFIGURATION.set(Some(configuration));
    Ok(subscription)
}

/// Does to a batch what the configuration says.
///
/// # Errors
/// Where the configuration says so.
pub fn process(name: &str, batch: &Batch) -> Result<Outcome, String> {
    let configuration = CONFIGURATION.with_borrow(Clone::clone);
    let configuration = configuration.ok_or("was never configured")?;
    let rows: Vec<u32> = (0..batch.rows)
        .filter(|row| shows(batch, *row, &configuration.when))
        .collect();
    match &configuration.act {
        Act::Good(act) => Ok(act.process(name, batch, &rows)),
        Act::Evil(_) if rows.is_empty() => Ok(nothing()),
        Act::Evil(act) => act.process(name, batch),
    }
}

fn nothing() -> Outcome {
    Outcome {
        additions: Vec::new(),
        findings: Vec::new(),
        masks: Vec::new(),
        drops: Vec::new(),
    }
}

/// Whether any column of the row contains the text.
fn shows(batch: &Batch, row: u32, text: &str) -> bool {
    text.is_empty()
        || (0..batch.columns.len()).any(|column| value(batch, column, row).contains(text))
}

/// The text of a column of a row.
fn value(batch: &Batch, column: usize, row: u32) -> &str {
    let Some(column) = batch.columns.get(column) else {
        return "";
    };
    let row = row as usize;
    let (start, end) = (
        column.offsets[row] as usize,
        column.offsets[row + 1] as usize,
    );
    std::str::from_utf8(&column.data[start..end]).unwrap_or("")
}
