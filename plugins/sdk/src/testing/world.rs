//! What stands in for the host's windows and tables while a plugin runs in a test.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
};

use super::{NOW_MS, project};
use crate::bindings::sluicegate::plugin::{
    lookup,
    state::{self, Entry, Observation, Window},
    types::Column,
};

/// Tables by name; each by key, then by field.
type Tables = BTreeMap<String, BTreeMap<String, BTreeMap<String, String>>>;

/// What a plugin has counted so far, and the tables it was given.
#[derive(Debug, Default)]
pub(crate) struct World {
    entries: Vec<Seen>,
    tables: Tables,
    pub(super) unavailable: bool,
    /// The events of the batch at hand.
    marks: Vec<Mark>,
}

/// Who an event is and when it happened.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Mark {
    identity: String,
    time_ms: i64,
}

#[derive(Debug)]
struct Seen {
    mark: Mark,
    key: String,
    member: String,
    value: f64,
}

thread_local! {
    /// The world of the kit whose plugin is running.
    static CURRENT: RefCell<Option<World>> = const { RefCell::new(None) };
}

impl World {
    pub(super) fn add_table(&mut self, name: &str, rows: &[(&str, &str, &str)]) {
        let table = self.tables.entry(name.to_owned()).or_default();
        for (key, field, text) in rows {
            let entry = table.entry((*key).to_owned()).or_default();
            entry.insert((*field).to_owned(), (*text).to_owned());
        }
    }

    /// Runs a plugin on events in a world.
    pub(super) fn around<T>(world: &RefCell<Self>, marks: Vec<Mark>, run: impl FnOnce() -> T) -> T {
        let mut entered = world.take();
        entered.marks = marks;
        CURRENT.set(Some(entered));
        let result = run();
        let mut left = CURRENT.take().unwrap_or_default();
        left.marks.clear();
        world.replace(left);
        result
    }

    fn window(&self, asked: &Observation) -> Option<Window> {
        let same = |seen: &Seen, mark: &Mark| {
            seen.key == asked.key
                && seen.mark.identity == mark.identity
                && seen.member == asked.member
        };
        let mark = self.marks.get(asked.row as usize)?;
        let own = self.entries.iter().position(|seen| same(seen, mark))?;
        let until = self.entries[own].mark.time_ms;
        let after = until - i64::from(asked.window_s) * 1_000;
        let inside = |seen: &&Seen| {
            seen.key == asked.key && seen.mark.time_ms > after && seen.mark.time_ms <= until
        };
        let all = || self.entries.iter().filter(inside);
        let events: BTreeSet<&str> = all().map(|seen| seen.mark.identity.as_str()).collect();
        let members: BTreeSet<&str> = all().map(|seen| seen.member.as_str()).collect();
        let mut before = self.entries[..own].iter().filter(inside);
        Some(Window {
            events: events.len() as u64,
            members: members.iter().filter(|member| !member.is_empty()).count() as u64,
            sum: all().map(|seen| seen.value).sum(),
            first: before.all(|seen| seen.member != asked.member),
        })
    }
}

fn with<T>(work: impl FnOnce(&mut World) -> Option<T>) -> Option<T> {
    CURRENT.with_borrow_mut(|world| {
        world
            .as_mut()
            .filter(|world| !world.unavailable)
            .and_then(work)
    })
}

pub(crate) fn observe(observations: &[Observation]) -> Result<Vec<Window>, state::Error> {
    let windows = with(|world| {
        for asked in observations {
            let mark = world.marks.get(asked.row as usize)?.clone();
            let known = world.entries.iter().any(|seen| {
                seen.key == asked.key
                    && seen.mark.identity == mark.identity
                    && seen.member == asked.member
            });
            if !known {
                world.entries.push(Seen {
                    mark,
                    key: asked.key.clone(),
                    member: asked.member.clone(),
                    value: asked.value,
                });
            }
        }
        observations
            .iter()
            .map(|asked| world.window(asked))
            .collect()
    });
    windows.ok_or(state::Error::Unavailable)
}

pub(crate) fn recent(
    keys: &[String],
    window_s: u32,
    limit: u32,
) -> Result<Vec<Vec<Entry>>, state::Error> {
    let entries = with(|world| {
        let until = world.marks.iter().map(|mark| mark.time_ms).max()?;
        let after = until - i64::from(window_s) * 1_000;
        let of_key = |key: &String| {
            let mut seen: Vec<&Seen> = world
                .entries
                .iter()
                .filter(|seen| {
                    seen.key == *key && seen.mark.time_ms > after && seen.mark.time_ms <= until
                })
                .collect();
            seen.sort_by_key(|seen| seen.mark.time_ms);
            let old = seen.len().saturating_sub(limit.min(1_024) as usize);
            let entry = |seen: &&Seen| Entry {
                time_ms: u64::try_from(seen.mark.time_ms).unwrap_or_default(),
                member: seen.member.clone(),
                value: seen.value,
            };
            seen[old..].iter().map(entry).collect()
        };
        Some(keys.iter().map(of_key).collect())
    });
    entries.ok_or(state::Error::Unavailable)
}

pub(crate) fn query(table: &str, field: &str, keys: &[String]) -> Result<Column, lookup::Error> {
    let found = with(|world| {
        let Some(table) = world.tables.get(table) else {
            return Some(Err(lookup::Error::NoSuchTable));
        };
        if !table.values().any(|entry| entry.contains_key(field)) {
            return Some(Err(lookup::Error::NoSuchField));
        }
        let value = |key: &String| match table.get(key).and_then(|entry| entry.get(field)) {
            Some(text) => (2, text.clone()),
            None => (0, String::new()),
        };
        Some(Ok(super::column(keys.iter().map(value))))
    });
    found.unwrap_or(Err(lookup::Error::Unavailable))
}

/// Who an event is, by its identifier or else by its text, and its time, or else the kit's clock.
pub(super) fn mark(event: &str) -> Mark {
    let parsed = serde_json::from_str(event).expect("an event that is JSON");
    let text = |path: &str| match project(parsed, path) {
        (2, text) if !text.is_empty() => Some(text),
        _ => None,
    };
    let time = text("/eventTime").and_then(|time| parse_ms(&time));
    Mark {
        identity: text("/eventID").unwrap_or_else(|| event.to_owned()),
        time_ms: time.unwrap_or_else(|| i64::try_from(NOW_MS).expect("a time of this age")),
    }
}

/// Milliseconds since 1970 of a time as `CloudTrail` writes it, `2026-03-01T10:20:30Z`.
fn parse_ms(text: &str) -> Option<i64> {
    let number = |range: std::ops::Range<usize>| text.get(range)?.parse::<i64>().ok();
    if text.len() != 20 || !text.ends_with('Z') {
        return None;
    }
    let (year, month, day) = (number(0..4)?, number(5..7)?, number(8..10)?);
    let (hour, minute, second) = (number(11..13)?, number(14..16)?, number(17..19)?);
    // Days since 1970, with years that begin in March.
    let year = if month <= 2 { year - 1 } else { year };
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let days = year * 365 + year / 4 - year / 100 + year / 400 + of_year - 719_468;
    Some((((days * 24 + hour) * 60 + minute) * 60 + second) * 1_000)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;
    use crate::{
        Batch, Field, Finding, NoConfig, Output, Plugin, PluginKind, Severity, Subscription,
        lookup as tables, state as windows, testing::Kit,
    };

    /// Reports what it counted, what it remembers and what a table says.
    #[derive(Debug)]
    struct Counter {
        who: Field,
        from: Field,
    }

    impl Plugin for Counter {
        const NAME: &'static str = "counter";
        const VERSION: &'static str = "1.0.0";
        const KIND: PluginKind = PluginKind::Detect;
        type Config = NoConfig;

        fn configure(_: NoConfig) -> Result<(Self, Subscription), String> {
            let mut wanted = Subscription::new();
            let (who, from) = (wanted.field("who"), wanted.field("from"));
            Ok((Self { who, from }, wanted))
        }

        fn process(&self, batch: &Batch<'_>, out: &mut Output) -> Result<(), String> {
            for row in batch.rows() {
                let who = row.str(self.who).unwrap_or_default();
                let from = row.str(self.from).unwrap_or_default();
                let seen = windows::Observation::new(row, who, 60)
                    .member(from)
                    .value(2.0);
                let window = windows::observe(&[seen]).map_err(|error| format!("{error:?}"))?[0];
                let recent =
                    windows::recent(&[who], 60, 2).map_err(|error| format!("{error:?}"))?;
                let zone = tables::query("zones", "zone", &[from])
                    .map_err(|error| format!("{error:?}"))?;
                let said = format!(
                    "{} {} {} {} {} {}",
                    window.events,
                    window.members,
                    window.sum,
                    window.first,
                    recent[0].len(),
                    zone.str(0).unwrap_or("-"),
                );
                out.find(row, Finding::new("seen", &said, Severity::Low));
            }
            Ok(())
        }
    }

    fn event(id: u32, second: u32, who: &str, from: &str) -> String {
        format!(
            r#"{{"eventID":"{id}","eventTime":"2026-03-01T10:20:{second:02}Z","who":"{who}","from":"{from}"}}"#
        )
    }

    fn said(kit: &Kit<Counter>, event: &str) -> String {
        kit.run(&[event]).finding(0, "seen").unwrap().title.clone()
    }

    fn kit() -> Kit<Counter> {
        Kit::new("{}").with_table("zones", &[("a", "zone", "inner")])
    }

    #[test]
    fn the_kit_counts_as_the_host_does() {
        let kit = kit();
        let first = event(1, 10, "ada", "a");
        assert_eq!(said(&kit, &first), "1 1 2 true 1 inner");
        assert_eq!(said(&kit, &event(2, 20, "ada", "b")), "2 2 4 true 2 -");
        assert_eq!(said(&kit, &event(3, 30, "ada", "a")), "3 2 6 false 2 inner");
        assert_eq!(
            said(&kit, &event(4, 5, "ada", "a")),
            "1 1 2 true 1 inner",
            "a late one"
        );
        assert_eq!(said(&kit, &first), "2 1 4 true 2 inner", "delivered again");
        assert_eq!(said(&kit, &event(5, 30, "bob", "a")), "1 1 2 true 1 inner");
    }

    #[test]
    fn what_is_unavailable_or_unknown_is_an_error_as_with_the_host() {
        let kit = kit();
        kit.set_unavailable(true);
        let event = event(1, 10, "ada", "a");
        assert_eq!(kit.try_run(&[&event]).unwrap_err(), "Error::Unavailable");
        kit.set_unavailable(false);
        assert_eq!(
            said(&kit, &event),
            "1 1 2 true 1 inner",
            "nothing was counted before"
        );
        let without: Kit<Counter> = Kit::new("{}");
        assert_eq!(
            without.try_run(&[&event]).unwrap_err(),
            "Error::NoSuchTable"
        );
        let other = without.with_table("zones", &[("a", "area", "x")]);
        assert_eq!(other.try_run(&[&event]).unwrap_err(), "Error::NoSuchField");
    }

    #[test]
    fn times_are_those_of_the_events() {
        assert_eq!(parse_ms("1970-01-01T00:00:00Z"), Some(0));
        assert_eq!(parse_ms("2022-10-19T20:33:38Z"), Some(1_666_211_618_000));
        assert_eq!(parse_ms("2024-02-29T00:00:00Z"), Some(1_709_164_800_000));
        assert_eq!(parse_ms("yesterday"), None);
        assert_eq!(mark("{\"a\":1}").identity, "{\"a\":1}");
    }
}
