//! The plugin chain: every plugin over every batch, in four stages.
//!
//! All plugins see the original values; from the detect stage on, also what enrichment set. What they
//! decide is collected beside the batch. A plugin that fails is tried again on halves of the batch, on
//! fresh instances, until the event at fault stands alone; what that means depends on its kind.

use std::{borrow::Cow, collections::BTreeMap, sync::Arc};

use super::{
    CallError, Component, Instance,
    abi::{self, Kind as Stage},
    added::{Added, AddedColumns},
    identity::Identities,
    matcher::{Matcher, Row},
    report::{Facts, Reporter},
};
use crate::{
    columns::{Columns, Kind, Path, PathError, Projection},
    effects::{Fate, Processed, Readers, Withheld},
    event::EventBatch,
    json,
    ledger::windows::EventMark,
    mask::{Cleaner, Mask, Masker, is_detector},
};

/// Events that one plugin may fail on in one batch before the rest of the batch counts as failed too.
const MAX_POISON: usize = 4;

/// All plugins, ready to be run by any number of [`ChainWorker`]s.
#[derive(Debug)]
pub struct PluginChain {
    /// In the order of their stages.
    links: Vec<Link>,
    projection: Projection,
    readers: Arc<Readers>,
    /// Paths of enrichment that somebody reads; their columns follow those of the projection.
    added_paths: Vec<String>,
    /// What the enrich stage wants, and what the others do: those may ask for what was set before.
    enrichers: Matcher,
    others: Matcher,
    masker: Masker,
    reporter: Reporter,
    /// Who the events are, where a plugin counts them.
    identities: Option<Identities>,
}

#[derive(Debug)]
struct Link {
    component: Component,
    /// The columns of its fields.
    fields: Vec<usize>,
}

impl Link {
    fn name(&self) -> &str {
        self.component.name()
    }

    /// Name and digest, for dead letters.
    fn identity(&self) -> String {
        format!(
            "{}@sha256:{}",
            self.component.name(),
            self.component.digest()
        )
    }
}

impl PluginChain {
    /// Joins plugins into a chain. `sinks` are the fields of each sink, in the order in which
    /// [`Processed::view`] will be asked for them.
    ///
    /// # Errors
    /// When a plugin declares a path that is none.
    pub fn new(
        mut plugins: Vec<Component>,
        sinks: &[&[&str]],
        masker: Masker,
    ) -> Result<Self, PathError> {
        plugins.sort_by_key(|plugin| plugin.kind() as u8);
        let mut projection = Projection::new();
        let readers = Arc::new(Readers::declare(&mut projection, sinks));
        let counts = plugins.iter().any(Component::counts);
        let identities = counts.then(|| Identities::declare(&mut projection));
        let mut paths = Vec::new();
        for plugin in &plugins {
            let subscription = plugin.subscription();
            let conditions = subscription
                .matches
                .iter()
                .flatten()
                .map(|condition| condition.path.as_str());
            for path in subscription
                .fields
                .iter()
                .map(String::as_str)
                .chain(conditions)
            {
                let parsed = Path::parse(path)?;
                if !is_added(path) {
                    projection.column(&parsed);
                }
                paths.push((path, parsed));
            }
        }
        let mut added_paths = Vec::new();
        let width = projection.width();
        let columns: BTreeMap<&str, usize> = paths
            .iter()
            .map(|(path, parsed)| {
                let column = if is_added(path) {
                    let known = added_paths.iter().position(|known| known == path);
                    width
                        + known.unwrap_or_else(|| {
                            added_paths.push((*path).to_owned());
                            added_paths.len() - 1
                        })
                } else {
                    projection.column(parsed)
                };
                (*path, column)
            })
            .collect();
        let (mut enrichers, mut others) = (Matcher::default(), Matcher::default());
        let mut links = Vec::new();
        for (number, plugin) in plugins.iter().enumerate() {
            let subscription = plugin.subscription();
            let matcher = if plugin.kind() == Stage::Enrich {
                &mut enrichers
            } else {
                &mut others
            };
            matcher.add(number, &subscription.matches, |path| columns[path]);
            let fields = subscription
                .fields
                .iter()
                .map(|field| columns[field.as_str()])
                .collect();
            links.push(Link {
                component: plugin.clone(),
                fields,
            });
        }
        Ok(Self {
            links,
            projection,
            readers,
            added_paths,
            enrichers,
            others,
            masker,
            reporter: Reporter::new(),
            identities,
        })
    }

    /// The plugins, in the order of their stages.
    pub fn plugins(&self) -> impl Iterator<Item = &Component> {
        self.links.iter().map(|link| &link.component)
    }
}

/// Whether a path names something that enrichment set.
fn is_added(path: &str) -> bool {
    path.starts_with("/sluicegate/")
}

/// Runs a chain on one thread, with instances of its own.
#[derive(Debug)]
pub struct ChainWorker {
    chain: Arc<PluginChain>,
    seats: Vec<Seat>,
}

/// A plugin's place on a worker.
#[derive(Debug, Default)]
struct Seat {
    instance: Option<Instance>,
    /// Events it failed on since it last judged any.
    failures: usize,
}

/// What one plugin said of a batch, in pieces where it had to be halved.
#[derive(Debug, Default)]
struct Answer {
    /// Rows of the batch, ascending, and what was said of them.
    parts: Vec<(Vec<u32>, abi::Outcome)>,
    /// Rows of the batch that the plugin failed on, and how.
    failed: Vec<(u32, String)>,
    /// Whether it seems to fail on everything.
    broken: bool,
}

/// A row with its columns, and with what was added to it before this stage.
struct BatchRow<'a> {
    columns: &'a Columns,
    batch: &'a EventBatch,
    added: &'a AddedColumns<'a>,
    width: usize,
    row: usize,
}

impl BatchRow<'_> {
    fn value(&self, column: usize) -> (Kind, Cow<'_, [u8]>) {
        if column < self.width {
            let kind = self.columns.kind(self.row, column);
            (kind, self.columns.text(self.batch, self.row, column))
        } else {
            self.added.value(self.row, column - self.width)
        }
    }
}

impl Row for BatchRow<'_> {
    fn text(&self, column: usize) -> Option<Cow<'_, [u8]>> {
        let (kind, text) = self.value(column);
        (!matches!(kind, Kind::Absent | Kind::Null)).then_some(text)
    }
}

impl ChainWorker {
    /// A worker without instances; they are made at their first batch.
    #[must_use]
    pub fn new(chain: Arc<PluginChain>) -> Self {
        let seats = chain.links.iter().map(|_| Seat::default()).collect();
        Self { chain, seats }
    }

    /// Takes a batch through all stages. `now_ms` is the time of receipt, milliseconds since 1970.
    pub fn process(&mut self, batch: EventBatch, now_ms: i64) -> Processed {
        let chain = Arc::clone(&self.chain);
        let columns = chain.projection.project(&batch);
        let mut run = Run {
            chain: &chain,
            batch: &batch,
            columns: &columns,
            now_ms,
        };

        let nothing = AddedColumns::none();
        let mut wanted = run.wanted(&chain.enrichers, &nothing);
        let mut marks = Marks::default();
        let mut added = Vec::new();
        for (number, link) in chain.links.iter().enumerate() {
            if link.component.kind() == Stage::Enrich {
                let answer = self.seats[number].ask(link, &mut run, &wanted[number], &nothing);
                marks.note(link, &answer);
                for (rows, outcome) in answer.parts {
                    added.push(Added::new(
                        link.name(),
                        &rows,
                        batch.events.len(),
                        outcome.additions,
                    ));
                }
            }
        }
        let set = AddedColumns::new(&added, &chain.added_paths);
        wanted = run.wanted(&chain.others, &set);
        let mut verdicts = Verdicts::default();
        for (number, link) in chain.links.iter().enumerate() {
            if link.component.kind() != Stage::Enrich {
                let answer = self.seats[number].ask(link, &mut run, &wanted[number], &set);
                marks.note(link, &answer);
                verdicts.take(number, link, answer, &run);
            }
        }
        drop(set);
        finish(&chain, batch, columns, now_ms, &added, &marks, verdicts)
    }
}

/// What stays the same while one batch goes through the stages.
struct Run<'a> {
    chain: &'a PluginChain,
    batch: &'a EventBatch,
    columns: &'a Columns,
    now_ms: i64,
}

impl Run<'_> {
    /// The rows that each plugin of a matcher wants.
    fn wanted(&self, matcher: &Matcher, added: &AddedColumns<'_>) -> Vec<Vec<u32>> {
        let mut wanted = vec![Vec::new(); self.chain.links.len()];
        let mut seen = Vec::new();
        for row in 0..self.batch.events.len() {
            matcher.matches(&self.row(row, added), &mut seen, |plugin| {
                wanted[plugin].push(number(row));
            });
        }
        wanted
    }

    fn row<'r>(&'r self, row: usize, added: &'r AddedColumns<'r>) -> BatchRow<'r> {
        BatchRow {
            columns: self.columns,
            batch: self.batch,
            added,
            width: self.chain.projection.width(),
            row,
        }
    }

    /// Who the rows are, for a plugin that counts.
    fn marks(&self, link: &Link, rows: &[u32]) -> Vec<EventMark> {
        match &self.chain.identities {
            Some(identities) if link.component.counts() => {
                let readers = &self.chain.readers;
                identities.marks(self.batch, self.columns, readers, rows, self.now_ms)
            }
            _ => Vec::new(),
        }
    }

    /// The columns of one plugin for some rows.
    fn input(&self, link: &Link, rows: &[u32], added: &AddedColumns<'_>) -> abi::Batch {
        let columns = link
            .fields
            .iter()
            .map(|&column| {
                let mut out = abi::Column {
                    kinds: Vec::with_capacity(rows.len()),
                    offsets: Vec::with_capacity(rows.len() + 1),
                    data: Vec::new(),
                };
                out.offsets.push(0);
                for &row in rows {
                    let row = self.row(row as usize, added);
                    let (kind, text) = row.value(column);
                    out.kinds.push(kind as u8);
                    out.data.extend_from_slice(&text);
                    out.offsets.push(number(out.data.len()));
                }
                out
            })
            .collect();
        abi::Batch {
            rows: number(rows.len()),
            now_ms: u64::try_from(self.now_ms).unwrap_or_default(),
            columns,
        }
    }
}

fn number(count: usize) -> u32 {
    u32::try_from(count).expect("a batch is far smaller than 4 GiB")
}

impl Seat {
    /// Asks a plugin about some rows; halves them where it fails.
    fn ask(
        &mut self,
        link: &Link,
        run: &mut Run<'_>,
        rows: &[u32],
        added: &AddedColumns<'_>,
    ) -> Answer {
        let mut answer = Answer::default();
        let mut left = vec![rows];
        while let Some(rows) = left.pop() {
            if rows.is_empty() {
                continue;
            }
            match self.call(link, &run.input(link, rows, added), run.marks(link, rows)) {
                Ok(outcome) => {
                    self.failures = 0;
                    answer.parts.push((rows.to_vec(), outcome));
                }
                Err(error) if rows.len() == 1 => {
                    self.failures += 1;
                    answer.failed.push((rows[0], error.to_string()));
                }
                Err(error) if answer.failed.len() >= MAX_POISON => {
                    let error = error.to_string();
                    answer
                        .failed
                        .extend(rows.iter().map(|row| (*row, error.clone())));
                    for rows in left.drain(..) {
                        answer
                            .failed
                            .extend(rows.iter().map(|row| (*row, error.clone())));
                    }
                    answer.broken = true;
                }
                Err(_) => {
                    let (first, second) = rows.split_at(rows.len() / 2);
                    left.extend([second, first]);
                }
            }
        }
        answer.broken |= self.failures >= MAX_POISON;
        answer.failed.sort_by_key(|(row, _)| *row);
        answer
    }

    fn call(
        &mut self,
        link: &Link,
        input: &abi::Batch,
        events: Vec<EventMark>,
    ) -> Result<abi::Outcome, CallError> {
        if self.instance.as_ref().is_some_and(Instance::is_spent) {
            self.instance = None;
        }
        if self.instance.is_none() {
            self.instance = Some(link.component.instantiate()?);
        }
        let instance = self.instance.as_mut().expect("made above");
        let outcome = instance
            .process_events(input, events)
            .and_then(|outcome| checked(link, input.rows, outcome));
        if outcome.is_err() {
            // Whatever it was, the next batch meets a healthy instance.
            self.instance = None;
        }
        outcome
    }
}

/// Checks what needs the host's own readers: JSON in additions, and names that go into markers.
fn checked(link: &Link, rows: u32, outcome: abi::Outcome) -> Result<abi::Outcome, CallError> {
    Added::check(link.name(), rows, &outcome.additions).map_err(CallError::BadOutput)?;
    for mask in &outcome.masks {
        if !is_detector(&mask.detector) {
            let what = "a mask's detector is not 1 to 48 of a-z, 0-9 and `-`";
            return Err(CallError::BadOutput(what.into()));
        }
    }
    Ok(outcome)
}

/// Which plugins failed on which rows without harm to them: enrichment, detection and filters.
#[derive(Debug, Default)]
struct Marks {
    /// Row, and the plugin that failed on it.
    failed: Vec<(u32, String)>,
}

impl Marks {
    fn note(&mut self, link: &Link, answer: &Answer) {
        if link.component.kind() != Stage::Redact {
            self.failed.extend(
                answer
                    .failed
                    .iter()
                    .map(|(row, _)| (*row, link.name().to_owned())),
            );
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
struct Verdicts {
    /// Row, number of the plugin, finding.
    findings: Vec<(u32, usize, abi::Finding)>,
    masks: Vec<(u32, Mask, abi::Mask)>,
    drops: Vec<u32>,
    withheld: Vec<Withheld>,
    /// Row, number of the plugin, error: events that detection or redaction could not judge.
    blind: Vec<(u32, usize, String)>,
}

impl Verdicts {
    fn take(&mut self, number: usize, link: &Link, answer: Answer, run: &Run<'_>) {
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
            self.drops.extend(outcome.drops.into_iter().map(row));
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

    /// Finds the leaves that a mask covers.
    fn mask(&mut self, row: u32, mask: &abi::Mask, run: &Run<'_>) -> Result<(), String> {
        let event = run.batch.events[row as usize].range();
        let path = Path::parse(&mask.path).map_err(|error| error.to_string())?;
        let data = &run.batch.data[..event.end];
        let mut ranges = Vec::new();
        let mut leaf = false;
        path.find(&data[event.start..], |range| {
            leaf |= Kind::of(data[event.start + range.start]).is_leaf();
            ranges.push(event.start + range.start..event.start + range.end);
        });
        if !leaf {
            let what = if ranges.is_empty() {
                "does not exist"
            } else {
                "is no leaf"
            };
            return Err(format!("returned bad output: a mask's path {what}"));
        }
        for range in ranges {
            let value = crate::columns::text(Kind::of(data[range.start]), &data[range.clone()]);
            let marker = run.chain.masker.marker(&mask.detector, &value);
            self.masks.push((row, Mask { range, marker }, mask.clone()));
        }
        Ok(())
    }
}

/// Puts everything together into what the sinks see.
fn finish(
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
    processed.withheld = verdicts.withheld;

    let mut reports = Vec::new();
    for (row, plugin, finding) in verdicts.findings {
        if processed.fates[row as usize] != Fate::Withhold {
            reports.push((row, chain.links[plugin].name(), finding));
        }
    }
    reports.sort_by_key(|(row, ..)| *row);
    for row in verdicts.drops {
        let row_number = row as usize;
        let found = reports.binary_search_by_key(&row, |(row, ..)| *row).is_ok();
        if found {
            processed.ignored_drops += 1;
        } else if processed.fates[row_number] == Fate::Forward {
            processed.fates[row_number] = Fate::Drop;
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
        let failed = slice_of(&failed, |(at, _)| *at, row_number);
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
                json::quote_into(&cleaner.clean(&mask.path), out);
                out.extend_from_slice(b",\"detector\":");
                json::quote_into(&mask.detector, out);
                out.push(b'}');
            });
            list(out, "failed", failed, |(_, plugin), out| {
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
