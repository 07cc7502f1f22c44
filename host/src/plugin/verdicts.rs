//! What plugins decided, put together into what the sinks see.

use std::{ops::Range, sync::Arc};

use super::{
    abi::{self, Kind as Stage},
    added::Added,
    chain::{Link, PluginChain, Run, number},
    report::Facts,
    seat::Answer,
};
use crate::{
    columns::{Columns, Kind, Path},
    effects::{Failure, Fate, Processed, Withheld},
    event::EventBatch,
    json,
    mask::{Cleaner, Mask},
};

/// Which plugins failed on which rows without harm to them: enrichment, detection and filters.
#[derive(Debug, Default)]
pub(super) struct Marks {
    /// Row, the plugin that failed on it, and how.
    failed: Vec<(u32, String, String)>,
}

impl Marks {
    pub(super) fn note(&mut self, link: &Link, answer: &Answer) {
        if link.component.kind() != Stage::Redact {
            let failed = answer.failed.iter();
            self.failed
                .extend(failed.map(|(row, error)| (*row, link.name().to_owned(), error.clone())));
        }
        if let Some((_, error)) = answer.failed.first() {
            tracing::warn!(
                plugin = link.name(),
                events = answer.failed.len(),
                error = error.as_str(),
                "plugin failed on events",
            );
        }
    }
}

/// What detect, redact and filter plugins said, by row of the batch.
#[derive(Debug, Default)]
pub(super) struct Verdicts {
    /// Row, number of the plugin, finding.
    findings: Vec<(u32, usize, abi::Finding)>,
    masks: Vec<(u32, Mask, abi::Mask)>,
    /// Row, number of the plugin.
    drops: Vec<(u32, usize)>,
    withheld: Vec<Withheld>,
    /// Row, number of the plugin, error: events that detection or redaction could not judge.
    blind: Vec<(u32, usize, String)>,
}

impl Verdicts {
    pub(super) fn take(&mut self, number: usize, link: &Link, answer: Answer, run: &Run<'_>) {
        let broken = answer.broken;
        for (row, error) in answer.failed {
            self.fail(number, link, row, error, broken);
        }
        for (rows, outcome) in answer.parts {
            let row = |part: u32| rows[part as usize];
            self.findings.extend(
                outcome
                    .findings
                    .into_iter()
                    .map(|finding| (row(finding.row), number, finding)),
            );
            let drops = outcome.drops.into_iter();
            self.drops.extend(drops.map(|part| (row(part), number)));
            for mask in outcome.masks {
                let row = row(mask.row);
                if let Err(error) = self.mask(row, &mask, run) {
                    self.fail(number, link, row, error, false);
                }
            }
        }
    }

    fn fail(&mut self, number: usize, link: &Link, row: u32, error: String, broken: bool) {
        match link.component.kind() {
            Stage::Redact => {
                self.withheld.push(Withheld {
                    row: row as usize,
                    plugin: link.identity(),
                    error: error.clone(),
                    pending: broken,
                });
                self.blind.push((row, number, error));
            }
            Stage::Detect => self.blind.push((row, number, error)),
            Stage::Enrich | Stage::Filter => {}
        }
    }

    /// Marks the leaves that a mask covers.
    fn mask(&mut self, row: u32, mask: &abi::Mask, run: &Run<'_>) -> Result<(), String> {
        let data = &run.batch.data;
        for range in leaves(row, mask, run)? {
            let value = crate::columns::text(Kind::of(data[range.start]), &data[range.clone()]);
            let marker = run.chain.masker.marker(&mask.detector, &value);
            self.masks.push((row, Mask { range, marker }, mask.clone()));
        }
        Ok(())
    }
}

/// The leaves that a mask covers, as ranges of the batch's bytes.
pub(super) fn leaves(
    row: u32,
    mask: &abi::Mask,
    run: &Run<'_>,
) -> Result<Vec<Range<usize>>, String> {
    let event = run.batch.events[row as usize].range();
    let path = Path::parse(&mask.path).map_err(|error| error.to_string())?;
    let data = &run.batch.data[..event.end];
    let mut ranges = Vec::new();
    let mut leaf = false;
    path.find(&data[event.start..], |range| {
        leaf |= Kind::of(data[event.start + range.start]).is_leaf();
        ranges.push(event.start + range.start..event.start + range.end);
    });
    if leaf {
        return Ok(ranges);
    }
    let what = if ranges.is_empty() {
        "does not exist"
    } else {
        "is no leaf"
    };
    Err(format!("returned bad output: a mask's path {what}"))
}

/// Puts everything together into what the sinks see.
pub(super) fn finish(
    chain: &PluginChain,
    batch: EventBatch,
    columns: Columns,
    now_ms: i64,
    added: &[Added],
    marks: &Marks,
    mut verdicts: Verdicts,
) -> Processed {
    let mut processed = Processed::new(Arc::new(batch), columns, Arc::clone(&chain.readers));

    // The first mask of a leaf counts; one inside another cannot be, leaves do not nest, except where
    // a repeated name is once a leaf and once not: then the outer one covers both.
    verdicts
        .masks
        .sort_by_key(|(row, mask, _)| (*row, mask.range.start, std::cmp::Reverse(mask.range.end)));
    let mut covered = 0;
    verdicts.masks.retain(|(_, mask, _)| {
        let keep = mask.range.start >= covered;
        covered = covered.max(mask.range.end);
        keep
    });
    processed.masks = verdicts
        .masks
        .iter()
        .map(|(row, mask, _)| (*row as usize, mask.clone()))
        .collect();

    verdicts.withheld.sort_by_key(|withheld| withheld.row);
    verdicts.withheld.dedup_by_key(|withheld| withheld.row);
    for withheld in &verdicts.withheld {
        processed.fates[withheld.row] = Fate::Withhold;
    }
    processed.failures = failures(marks, &verdicts.withheld);
    processed.withheld = verdicts.withheld;

    let mut reports = Vec::new();
    for (row, plugin, finding) in verdicts.findings {
        if processed.fates[row as usize] != Fate::Withhold {
            reports.push((row, chain.links[plugin].name(), finding));
        }
    }
    reports.sort_by_key(|(row, ..)| *row);
    for (row, plugin) in verdicts.drops {
        let row_number = row as usize;
        let found = reports.binary_search_by_key(&row, |(row, ..)| *row).is_ok();
        if found {
            processed.ignored_drops += 1;
        } else if processed.fates[row_number] == Fate::Forward {
            processed.fates[row_number] = Fate::Drop;
            let name = chain.links[plugin].name().to_owned();
            *processed.drops.entry(name).or_default() += 1;
        }
    }

    let mut facts = Facts::new(&chain.reporter, &processed, now_ms);
    let mut sightings = Vec::new();
    for (row, plugin, finding) in reports {
        sightings.push((row as usize, facts.sighting(row as usize, plugin, finding)));
    }
    for (row, plugin, error) in verdicts.blind {
        let name = chain.links[plugin].name();
        let withheld = processed.fates[row as usize] == Fate::Withhold;
        sightings.push((
            row as usize,
            facts.blind(row as usize, name, &error, withheld),
        ));
    }
    sightings.sort_by_key(|(row, _)| *row);
    drop(facts);
    processed.sightings = sightings;

    members(&mut processed, added, marks, &verdicts.masks);
    processed
}

/// Every failure, in the order of rows.
fn failures(marks: &Marks, withheld: &[Withheld]) -> Vec<Failure> {
    let failed = |row: usize, plugin: &str, error: &str| Failure {
        row,
        plugin: plugin.to_owned(),
        error: error.to_owned(),
    };
    let marked = marks
        .failed
        .iter()
        .map(|(row, plugin, error)| failed(*row as usize, plugin, error));
    let withheld = withheld.iter().map(|withheld| {
        let name = withheld.plugin.split('@').next().unwrap_or_default();
        failed(withheld.row, name, &withheld.error)
    });
    let mut failures: Vec<Failure> = marked.chain(withheld).collect();
    failures.sort_by_key(|failure| failure.row);
    failures
}

/// Writes the `sluicegate` member of every row.
fn members(
    processed: &mut Processed,
    added: &[Added],
    marks: &Marks,
    covered: &[(u32, Mask, abi::Mask)],
) {
    let sightings = std::mem::take(&mut processed.sightings);
    let mut failed = marks.failed.clone();
    failed.sort();
    for row in 0..processed.rows() {
        if processed.fates[row] != Fate::Forward {
            processed.push_member(row, |_| {});
            continue;
        }
        let own: Vec<Mask> = processed.masks_of(row).cloned().collect();
        let cleaner = Cleaner::new(&own, &processed.batch.data);
        let row_number = number(row);
        let found = slice_of(&sightings, |(at, _)| number(*at), row_number);
        let masked = slice_of(covered, |(at, ..)| *at, row_number);
        let failed = slice_of(&failed, |(at, ..)| *at, row_number);
        processed.push_member(row, |out| {
            for added in added {
                added.write(row, &cleaner, out);
            }
            list(out, "findings", found, |(_, sighting), out| {
                out.extend_from_slice(b"{\"rule\":");
                let rule = format!("{}/{}", sighting.plugin, sighting.rule);
                json::quote_into(&rule, out);
                out.extend_from_slice(b",\"severity\":\"");
                out.extend_from_slice(sighting.severity.as_str().as_bytes());
                out.extend_from_slice(b"\"}");
            });
            list(out, "masked", masked, |(_, _, mask), out| {
                out.extend_from_slice(b"{\"path\":");
                json::quote_into(cleaner.clean(&mask.path).as_ref(), out);
                out.extend_from_slice(b",\"detector\":");
                json::quote_into(&mask.detector, out);
                out.push(b'}');
            });
            list(out, "failed", failed, |(_, plugin, _), out| {
                json::quote_into(plugin, out);
            });
        });
    }
    processed.sightings = sightings;
}

/// The items of one row, of a list in the order of rows.
fn slice_of<T>(items: &[T], row_of: impl Fn(&T) -> u32, row: u32) -> &[T] {
    let start = items.partition_point(|item| row_of(item) < row);
    let end = start + items[start..].partition_point(|item| row_of(item) == row);
    &items[start..end]
}

/// Appends `,"name":[…]`, unless there is nothing to list.
fn list<T>(out: &mut Vec<u8>, name: &str, items: &[T], mut write: impl FnMut(&T, &mut Vec<u8>)) {
    if items.is_empty() {
        return;
    }
    out.extend_from_slice(b",\"");
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\":[");
    for (position, item) in items.iter().enumerate() {
        if position > 0 {
            out.push(b',');
        }
        write(item, out);
    }
    out.push(b']');
}
