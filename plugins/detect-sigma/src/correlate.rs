//! Correlations, counted over the host's windows: one call for each correlation that something of the
//! batch belongs to.

use std::{collections::BTreeMap, fmt::Write as _};

use sigma::{Correlation, Count, Event, FieldId, Of, Pack, milliseconds};
use sluicegate_plugin::{
    Batch, Field, Row, log,
    state::{self, Entry, Observation, Window},
};

use crate::Compiled;

/// Bytes that a key or a member may have.
const MAX_TEXT: usize = 1_024;
/// Values of one field of one event that are counted.
const MAX_VALUES: usize = 16;
/// Entries of a key that are looked at for their order.
const MAX_ENTRIES: u32 = 1_024;
/// Keys whose entries are handed out by one call.
const MAX_KEYS: usize = 16;
/// The longest window.
const MAX_SECONDS: i64 = 30 * 86_400;

/// What matched in a batch, as far as a correlation is about it.
pub(crate) struct Matched<'a> {
    /// Of each detection its rows; none where no correlation wants to know.
    detections: BTreeMap<u32, Vec<Row<'a>>>,
}

/// One event to be counted.
struct Seen<'a> {
    row: Row<'a>,
    /// Position of the rule among those of the correlation.
    rule: usize,
    key: String,
    member: String,
    value: f64,
}

impl<'a> Matched<'a> {
    pub(crate) fn new(pack: &Pack) -> Self {
        let of = pack
            .correlations()
            .iter()
            .flat_map(|correlation| &correlation.of);
        let detections = of.filter_map(|(of, _)| match of {
            Of::Detection(number) => Some((*number, Vec::new())),
            Of::Correlation(_) => None,
        });
        Self {
            detections: detections.collect(),
        }
    }

    pub(crate) fn note(&mut self, detection: u32, row: Row<'a>) {
        if let Some(rows) = self.detections.get_mut(&detection) {
            rows.push(row);
        }
    }

    /// The rows at which a correlation came about, each with the number of the correlation.
    pub(crate) fn correlate(self, compiled: &Compiled, batch: &Batch<'a>) -> Vec<(Row<'a>, usize)> {
        let mut hits: Vec<Vec<Row<'a>>> = Vec::new();
        let mut out = Vec::new();
        for (number, correlation) in compiled.pack.correlations().iter().enumerate() {
            let mut seen = Vec::new();
            for (rule, (of, group)) in correlation.of.iter().enumerate() {
                let rows = match of {
                    Of::Detection(number) => self.detections.get(number),
                    Of::Correlation(number) => hits.get(*number),
                };
                for row in rows.into_iter().flatten() {
                    observe(*row, rule, group, correlation, compiled, &mut seen);
                }
            }
            let rows = match came_about(correlation, &seen, compiled.time, batch) {
                Ok(rows) => rows,
                Err(error) => {
                    // Nothing was counted; an error would have the host try the batch again in halves.
                    let id = &compiled.pack.rules()[correlation.rule].id;
                    log::warn(&format!("failed to count for rule {id}: {error:?}"));
                    Vec::new()
                }
            };
            if !correlation.silent {
                out.extend(rows.iter().map(|row| (*row, number)));
            }
            hits.push(rows);
        }
        out
    }
}

/// Adds what one matching event counts for: nothing where a field that it is grouped by is missing.
fn observe<'a>(
    row: Row<'a>,
    rule: usize,
    group: &[FieldId],
    correlation: &Correlation,
    compiled: &Compiled,
    out: &mut Vec<Seen<'a>>,
) {
    let event = compiled.seen(row);
    let Some(key) = key(correlation, group, compiled, &event) else {
        return;
    };
    let values = |field: FieldId| compiled.pack.fields().texts(field, &event, MAX_VALUES);
    let mut add = |member: String, value: f64| {
        out.push(Seen {
            row,
            rule,
            key: key.clone(),
            member,
            value,
        });
    };
    match correlation.count {
        Count::Events => add(String::new(), 1.0),
        Count::Rules | Count::RulesInOrder => add(rule.to_string(), 1.0),
        Count::Values(field) => {
            for value in values(field).into_iter().filter(|value| !value.is_empty()) {
                add(bounded(value), 1.0);
            }
        }
        Count::Sum(field) | Count::Average(field) => {
            let numbers = values(field)
                .into_iter()
                .filter_map(|value| value.parse::<f64>().ok());
            let mut numbers = numbers.filter(|number| number.is_finite()).peekable();
            if numbers.peek().is_some() {
                add(String::new(), numbers.sum());
            }
        }
    }
}

/// Under what an event is counted: the correlation and the values that it is grouped by.
fn key(
    correlation: &Correlation,
    group: &[FieldId],
    compiled: &Compiled,
    event: &impl Event,
) -> Option<String> {
    // The rule's own id, so that windows outlive a change of other rules.
    let mut key = compiled.pack.rules()[correlation.rule].id.clone();
    for field in group {
        let value = compiled.pack.fields().texts(*field, event, 1).pop()?;
        let _ = write!(key, "|{}:{value}", value.len());
    }
    Some(bounded(key))
}

/// A text that fits: of a longer one the beginning and a number made of the whole.
fn bounded(text: String) -> String {
    if text.len() <= MAX_TEXT {
        return text;
    }
    // FNV-1a: it only has to tell the long texts of one plugin apart.
    let hash = text.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    let end = (0..=MAX_TEXT - 17).rfind(|end| text.is_char_boundary(*end));
    format!("{}#{hash:016x}", &text[..end.unwrap_or(0)])
}

fn came_about<'a>(
    correlation: &Correlation,
    seen: &[Seen<'a>],
    time: Option<Field>,
    batch: &Batch<'a>,
) -> Result<Vec<Row<'a>>, state::Error> {
    if seen.is_empty() {
        return Ok(Vec::new());
    }
    let observations: Vec<_> = seen
        .iter()
        .map(|one| {
            Observation::new(one.row, &one.key, correlation.seconds)
                .member(&one.member)
                .value(one.value)
        })
        .collect();
    let windows = state::observe(&observations)?;
    let holds = |window: &Window| correlation.holds(counted(correlation.count, window));
    let mut held: Vec<&Seen<'a>> = seen
        .iter()
        .zip(&windows)
        .filter(|(_, window)| holds(window))
        .map(|(one, _)| one)
        .collect();
    if correlation.count == Count::RulesInOrder {
        held = in_order(correlation, held, time, batch)?;
    }
    let mut rows: Vec<Row<'a>> = held.iter().map(|one| one.row).collect();
    rows.dedup_by_key(|row| row.index());
    Ok(rows)
}

#[allow(
    clippy::cast_precision_loss,
    reason = "a window counts no more than 5,000"
)]
fn counted(count: Count, window: &Window) -> f64 {
    match count {
        Count::Events => window.events as f64,
        Count::Values(_) | Count::Rules | Count::RulesInOrder => window.members as f64,
        Count::Sum(_) => window.sum,
        Count::Average(_) => window.sum / (window.events.max(1) as f64),
    }
}

/// Of the events that end a sequence those before which the other rules matched, in order and in time.
fn in_order<'b, 'a>(
    correlation: &Correlation,
    seen: Vec<&'b Seen<'a>>,
    time: Option<Field>,
    batch: &Batch<'a>,
) -> Result<Vec<&'b Seen<'a>>, state::Error> {
    let at = |row: Row<'_>| row.str(time?).and_then(milliseconds);
    let last = correlation.of.len() - 1;
    let ends: Vec<(&Seen<'a>, i64)> = seen
        .into_iter()
        .filter(|one| one.rule == last)
        .filter_map(|one| Some((one, at(one.row)?)))
        .collect();
    let newest = batch.rows().filter_map(at).max().unwrap_or_default();
    let span = i64::from(correlation.seconds);
    let mut found = Vec::new();
    for some in ends.chunks(MAX_KEYS) {
        let oldest = some.iter().map(|(_, at)| *at).min().unwrap_or(newest);
        // Back to the beginning of the oldest sequence that may end here.
        let window = span + (newest - oldest).max(0) / 1_000 + 1;
        let window = u32::try_from(window.min(MAX_SECONDS)).unwrap_or(u32::MAX);
        let keys: Vec<&str> = some.iter().map(|(one, _)| one.key.as_str()).collect();
        let entries = state::recent(&keys, window, MAX_ENTRIES)?;
        for ((one, end), entries) in some.iter().zip(entries) {
            if is_sequence(&entries, last, *end, span * 1_000) {
                found.push(*one);
            }
        }
    }
    Ok(found)
}

/// Whether entries of all rules up to `last` follow one another in a span that ends at `end`. Events of
/// the same second may have happened in any order.
fn is_sequence(entries: &[Entry], last: usize, end: i64, span_ms: i64) -> bool {
    let mut steps: Vec<(i64, usize)> = entries
        .iter()
        .filter_map(|entry| {
            // The host may know a part of a second that the event's own time does not show.
            let at = i64::try_from(entry.time_ms).ok()? / 1_000 * 1_000;
            Some((at, entry.member.parse().ok()?))
        })
        .filter(|(at, _)| *at <= end && *at > end - span_ms)
        .collect();
    steps.sort_unstable();
    let mut next = 0;
    for (_, rule) in steps {
        if rule == next {
            next += 1;
        }
    }
    next > last
}
