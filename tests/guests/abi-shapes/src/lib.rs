//! The same rule behind every shape in which events could reach a plugin: for the benchmark that the
//! plugin interface rests on.

#[allow(
    missing_docs,
    unsafe_code,
    unreachable_pub,
    clippy::pedantic,
    clippy::allow_attributes_without_reason,
    reason = "generated"
)]
mod bindings {
    wit_bindgen::generate!({ path: "wit", world: "shapes" });
}

use std::borrow::Cow;

use bindings::{Column, Guest, sluicegate::shapes::events};
use serde::Deserialize;
use serde_json::Value;

/// What the rule looks at, in the order of columns.
const PATHS: [&str; 6] = [
    "/eventSource",
    "/eventName",
    "/errorCode",
    "/userIdentity/type",
    "/userIdentity/arn",
    "/sourceIPAddress",
];

/// A change by a person, from outside, that went well.
fn rule(source: &str, name: &str, error: &str, kind: &str, arn: &str, address: &str) -> u32 {
    let reads = ["Describe", "Get", "List", "Head"];
    let found = source.ends_with(".amazonaws.com")
        && !reads.iter().any(|verb| name.starts_with(verb))
        && error.is_empty()
        && (kind == "IAMUser" || kind == "Root")
        && arn.starts_with("arn:aws:iam::")
        && !address.starts_with("10.");
    u32::from(found)
}

#[derive(Deserialize)]
struct Event<'a> {
    #[serde(borrow, default, rename = "eventSource")]
    source: Option<Cow<'a, str>>,
    #[serde(borrow, default, rename = "eventName")]
    name: Option<Cow<'a, str>>,
    #[serde(borrow, default, rename = "errorCode")]
    error: Option<Cow<'a, str>>,
    #[serde(borrow, default, rename = "userIdentity")]
    identity: Option<Identity<'a>>,
    #[serde(borrow, default, rename = "sourceIPAddress")]
    address: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
struct Identity<'a> {
    #[serde(borrow, default, rename = "type")]
    kind: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    arn: Option<Cow<'a, str>>,
}

impl Event<'_> {
    fn rule(&self) -> u32 {
        let identity = self.identity.as_ref();
        let kind = identity.and_then(|identity| identity.kind.as_deref());
        let arn = identity.and_then(|identity| identity.arn.as_deref());
        rule(
            self.source.as_deref().unwrap_or_default(),
            self.name.as_deref().unwrap_or_default(),
            self.error.as_deref().unwrap_or_default(),
            kind.unwrap_or_default(),
            arn.unwrap_or_default(),
            self.address.as_deref().unwrap_or_default(),
        )
    }
}

struct Shapes;

impl Guest for Shapes {
    fn empty() -> u32 {
        0
    }

    fn tree(event: Vec<u8>) -> u32 {
        let Ok(event) = serde_json::from_slice::<Value>(&event) else {
            return 0;
        };
        let [source, name, error, kind, arn, address] = PATHS.map(|path| {
            let value = event.pointer(path).and_then(Value::as_str);
            value.unwrap_or_default()
        });
        rule(source, name, error, kind, arn, address)
    }

    fn typed(event: Vec<u8>) -> u32 {
        serde_json::from_slice::<Event<'_>>(&event).map_or(0, |event| event.rule())
    }

    fn typed_batch(events: Vec<u8>) -> u32 {
        let events = serde_json::from_slice::<Vec<Event<'_>>>(&events);
        events.map_or(0, |events| events.iter().map(Event::rule).sum())
    }

    fn getters(rows: u32) -> u32 {
        (0..rows)
            .map(|row| {
                let [source, name, error, kind, arn, address] =
                    PATHS.map(|path| events::field(row, path).unwrap_or_default());
                rule(&source, &name, &error, &kind, &arn, &address)
            })
            .sum()
    }

    fn rows(rows: Vec<Vec<Option<String>>>) -> u32 {
        let of = |row: &Vec<Option<String>>| {
            let text = |at: usize| row[at].as_deref().unwrap_or_default();
            rule(text(0), text(1), text(2), text(3), text(4), text(5))
        };
        rows.iter().map(of).sum()
    }

    fn lists(rows: u32, columns: Vec<Vec<String>>) -> u32 {
        (0..rows as usize)
            .map(|row| {
                let text = |at: usize| columns[at][row].as_str();
                rule(text(0), text(1), text(2), text(3), text(4), text(5))
            })
            .sum()
    }

    fn columns(rows: u32, columns: Vec<Column>) -> u32 {
        (0..rows as usize)
            .map(|row| {
                let text = |at: usize| {
                    let Column { offsets, data, .. } = &columns[at];
                    let bytes = &data[offsets[row] as usize..offsets[row + 1] as usize];
                    std::str::from_utf8(bytes).unwrap_or_default()
                };
                rule(text(0), text(1), text(2), text(3), text(4), text(5))
            })
            .sum()
    }

    fn raw(events: Vec<u8>) -> u32 {
        u32::from(events.is_empty())
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
    use super::{Shapes, bindings};
    bindings::export!(Shapes with_types_in bindings);
}
