//! Any text as a pack of Sigma rules: it is compiled or refused, judges events in bounded time, and asks
//! the host for every event that it matches.
//!
//! The input is YAML, then a line of `=====` and an event of its own where it has one.

#![no_main]

use libfuzzer_sys::fuzz_target;
use serde_json::{Value, json};
use sigma::{Cell, Event, Options, Pack, Room, Source, Wanted};

/// One event, cut into the columns of a pack.
struct Columns<'a>(Vec<(Option<&'a Value>, String)>);

impl<'a> Columns<'a> {
    fn of(event: &'a Value, pack: &Pack) -> Self {
        let cell = |pointer: &String| {
            let value = event.pointer(pointer);
            (value, value.map(text).unwrap_or_default())
        };
        Self(pack.fields().columns().iter().map(cell).collect())
    }
}

impl Event for Columns<'_> {
    fn cell(&self, column: usize) -> Cell<'_> {
        let (value, text) = &self.0[column];
        match value {
            None => Cell::Absent,
            Some(Value::Null) => Cell::Null,
            Some(Value::String(_)) => Cell::Text(text.as_bytes()),
            Some(Value::Object(_) | Value::Array(_)) => Cell::Json(text),
            Some(_) => Cell::Scalar(text),
        }
    }
}

/// As a column shows it.
fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// Whether the host would hand over this event; names of calls in whatever case, since the plugin takes
/// them so.
fn subscribed(clauses: &[Vec<Wanted>], event: &Value) -> bool {
    let at = |pointer: &str| event.pointer(pointer).filter(|value| !value.is_null()).map(text);
    let holds = |wanted: &Wanted| match wanted {
        Wanted::OneOf(pointer, values) => at(pointer).is_some_and(|text| {
            let same = |value: &String| value.to_lowercase() == text.to_lowercase();
            values.iter().any(same)
        }),
        Wanted::StartsWith(pointer, starts) => {
            at(pointer).is_some_and(|text| starts.iter().any(|start| text.starts_with(start)))
        }
        Wanted::Present(pointer) => at(pointer).is_some(),
    };
    clauses.is_empty() || clauses.iter().any(|clause| clause.iter().all(holds))
}

fuzz_target!(|input: &[u8]| {
    let Ok(input) = std::str::from_utf8(input) else {
        return;
    };
    let (rules, own) = input.split_once("\n=====\n").unwrap_or((input, "{}"));
    let source = Source { path: "pack.yml", text: rules };
    let lists = [("names", vec!["ada", "b*"]), ("more", vec!["x"])];
    let owned = |values: Vec<&str>| values.into_iter().map(str::to_owned).collect();
    let options = Options {
        placeholders: lists.map(|(name, values)| (name.to_owned(), owned(values))).into(),
        readable: true,
    };
    let Ok(pack) = Pack::compile([source], &options) else {
        return;
    };
    let clauses = pack.clauses();
    let mut room = Room::default();
    let events = [
        serde_json::from_str(own).unwrap_or_default(),
        json!({
            "eventName": "DeleteBucket", "eventSource": "s3.amazonaws.com", "eventTime": "2026-11-22T21:07:59Z",
            "sourceIPAddress": "192.0.2.1", "userIdentity": { "type": "IAMUser", "arn": "arn:aws:iam::1:user/ada" },
            "requestParameters": { "bucketName": "x", "list": [{ "a": "b" }, { "a": ["c", 5] }] },
        }),
        json!({ "f": "x", "g": [null, "X", 7, true, { "p": "Äk" }], "o": [{ "p": "q" }], "o.p": null, "errorCode": "AccessDenied" }),
    ];
    for event in &events {
        let columns = Columns::of(event, &pack);
        let mut matched = 0;
        pack.matches(&columns, &mut room, |_| matched += 1);
        assert!(matched == 0 || subscribed(&clauses, event), "not asked for: {event}");
    }
});
