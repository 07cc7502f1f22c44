//! The plugin chain: every plugin over every batch, in four stages.
//!
//! All plugins see the original values; from the detect stage on, also what enrichment set. What they
//! decide is collected beside the batch (`verdicts.rs`). A plugin in shadow is asked like the others, and
//! what it says is compared and not applied (`trial.rs`).

use std::{
    borrow::Cow,
    collections::BTreeMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use super::{
    Component,
    abi::{self, Kind as Stage},
    added::{Added, AddedColumns},
    identity::Identities,
    matcher::{Matcher, Row},
    report::Reporter,
    seat::{Answer, Seat},
    trial::{Said, Shadow, Trial},
    verdicts::{Marks, Verdicts, finish},
};
use crate::{
    columns::{Columns, Kind, Path, PathError, Projection},
    effects::{Processed, Readers},
    event::EventBatch,
    ledger::windows::EventMark,
    mask::Masker,
};

/// All plugins, ready to be run by any number of [`ChainWorker`]s.
#[derive(Debug)]
pub struct PluginChain {
    /// In the order of their stages; those in shadow come last.
    pub(super) links: Vec<Link>,
    projection: Projection,
    pub(super) readers: Arc<Readers>,
    /// Paths of enrichment that somebody reads; their columns follow those of the projection.
    added_paths: Vec<String>,
    /// What the enrich stage wants, and what the others do: those may ask for what was set before.
    enrichers: Matcher,
    others: Matcher,
    pub(super) masker: Arc<Masker>,
    pub(super) reporter: Reporter,
    /// Who the events are, where a plugin counts them.
    identities: Option<Identities>,
}

/// A plugin's place in the chain.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) component: Component,
    /// The columns of its fields.
    fields: Vec<usize>,
    /// In shadow: what it says is compared here, and not applied.
    trial: Option<Arc<Trial>>,
}

impl Link {
    pub(super) fn name(&self) -> &str {
        self.component.name()
    }

    /// Name and digest, for dead letters.
    pub(super) fn identity(&self) -> String {
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
        plugins: Vec<Component>,
        sinks: &[&[&str]],
        masker: impl Into<Arc<Masker>>,
    ) -> Result<Self, PathError> {
        Self::with_shadows(plugins, Vec::new(), sinks, masker)
    }

    /// Joins plugins into a chain, with others in shadow: they see the same events, and what they say is
    /// compared with what the plugin of the same name says, if there is one, and not applied.
    ///
    /// # Errors
    /// When a plugin declares a path that is none.
    pub fn with_shadows(
        mut plugins: Vec<Component>,
        shadows: Vec<Shadow>,
        sinks: &[&[&str]],
        masker: impl Into<Arc<Masker>>,
    ) -> Result<Self, PathError> {
        plugins.sort_by_key(|plugin| plugin.kind() as u8);
        let live = plugins.len();
        let mut trials = vec![None; live];
        for shadow in shadows {
            plugins.push(shadow.component);
            trials.push(Some(shadow.trial));
        }
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
        for ((number, plugin), trial) in plugins.iter().enumerate().zip(trials) {
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
                trial,
            });
        }
        Ok(Self {
            links,
            projection,
            readers,
            added_paths,
            enrichers,
            others,
            masker: masker.into(),
            reporter: Reporter::new(),
            identities,
        })
    }

    /// The plugins, in the order of their stages, without those in shadow.
    pub fn plugins(&self) -> impl Iterator<Item = &Component> {
        let live = self.links.iter().filter(|link| link.trial.is_none());
        live.map(|link| &link.component)
    }

    /// Whether a plugin of this name is compared with a shadow.
    fn has_shadow(&self, name: &str) -> bool {
        let mut shadows = self.links.iter().filter(|link| link.trial.is_some());
        shadows.any(|link| link.name() == name)
    }
}

/// The chain that workers take their batches through. Another can take its place at any time: each worker
/// moves to it between two batches.
#[derive(Debug)]
pub struct ChainSlot {
    chain: Mutex<Arc<PluginChain>>,
    generation: AtomicU64,
}

impl ChainSlot {
    /// A slot that holds this chain.
    #[must_use]
    pub fn new(chain: PluginChain) -> Self {
        Self {
            chain: Mutex::new(Arc::new(chain)),
            generation: AtomicU64::new(0),
        }
    }

    /// Puts another chain in its place.
    pub fn swap(&self, chain: PluginChain) {
        let mut held = self.chain.lock().unwrap_or_else(PoisonError::into_inner);
        *held = Arc::new(chain);
        self.generation.fetch_add(1, Ordering::Release);
    }

    /// The chain, and its number.
    fn current(&self) -> (u64, Arc<PluginChain>) {
        let held = self.chain.lock().unwrap_or_else(PoisonError::into_inner);
        (self.generation.load(Ordering::Acquire), Arc::clone(&held))
    }

    /// A worker that begins with the chain as it is now.
    #[must_use]
    pub fn worker(&self) -> ChainWorker {
        let (generation, chain) = self.current();
        ChainWorker {
            generation,
            ..ChainWorker::new(chain)
        }
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
    /// The chain's number in its slot.
    generation: u64,
    seats: Vec<Seat>,
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
        Self {
            chain,
            generation: 0,
            seats,
        }
    }

    /// Name, version and digest of every plugin, in the order of their stages.
    pub fn plugins(&self) -> impl Iterator<Item = String> {
        let plugins = self.chain.plugins();
        let about = |plugin: &Component| {
            let (name, digest) = (plugin.name(), plugin.digest());
            format!("{name} {} sha256:{digest}", plugin.version())
        };
        plugins.map(about).collect::<Vec<_>>().into_iter()
    }

    /// Moves to the chain that is in the slot now. Instances of plugins that both chains have come along.
    pub fn follow(&mut self, slot: &ChainSlot) {
        if slot.generation.load(Ordering::Acquire) == self.generation {
            return;
        }
        let (generation, chain) = slot.current();
        let mut seats: Vec<Seat> = Vec::new();
        for link in &chain.links {
            let before = self
                .chain
                .links
                .iter()
                .position(|old| old.component.is(&link.component));
            seats.push(before.map_or_else(Seat::default, |at| std::mem::take(&mut self.seats[at])));
        }
        *self = Self {
            chain,
            generation,
            seats,
        };
    }

    /// Takes a batch through all stages. `now_ms` is the time of receipt, milliseconds since 1970.
    pub fn process(&mut self, batch: EventBatch, now_ms: i64) -> Processed {
        let chain = Arc::clone(&self.chain);
        let columns = chain.projection.project(&batch);
        let run = Run {
            chain: &chain,
            batch: &batch,
            columns: &columns,
            now_ms,
        };

        let nothing = AddedColumns::none();
        let mut wanted = run.wanted(&chain.enrichers, &nothing);
        let mut marks = Marks::default();
        let mut heard = Heard::default();
        let mut added = Vec::new();
        for (number, link) in chain.links.iter().enumerate() {
            if link.component.kind() != Stage::Enrich {
                continue;
            }
            let answer = self.seats[number].ask(link, &run, &wanted[number], &nothing);
            if !heard.keep(link, &answer, &run) {
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
            if link.component.kind() == Stage::Enrich {
                continue;
            }
            let answer = self.seats[number].ask(link, &run, &wanted[number], &set);
            if !heard.keep(link, &answer, &run) {
                marks.note(link, &answer);
                verdicts.take(number, link, answer, &run);
            }
        }
        drop(set);
        finish(&chain, batch, columns, now_ms, &added, &marks, verdicts)
    }
}

/// What live plugins said of a batch, for their shadows to be compared with.
#[derive(Default)]
struct Heard<'a>(BTreeMap<&'a str, Said>);

impl<'a> Heard<'a> {
    /// Compares what a plugin in shadow said with what the live one said before; whether it was one.
    fn keep(&mut self, link: &'a Link, answer: &Answer, run: &Run<'_>) -> bool {
        if let Some(trial) = &link.trial {
            let nothing = Said::default();
            let live = self.0.get(link.name()).unwrap_or(&nothing);
            trial.compare(live, &Said::new(answer, run), run.batch);
        } else if run.chain.has_shadow(link.name()) {
            self.0.insert(link.name(), Said::new(answer, run));
        }
        link.trial.is_some()
    }
}

/// What stays the same while one batch goes through the stages.
pub(super) struct Run<'a> {
    pub(super) chain: &'a PluginChain,
    pub(super) batch: &'a EventBatch,
    columns: &'a Columns,
    pub(super) now_ms: i64,
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
    pub(super) fn marks(&self, link: &Link, rows: &[u32]) -> Vec<EventMark> {
        match &self.chain.identities {
            Some(identities) if link.component.counts() => {
                let readers = &self.chain.readers;
                identities.marks(self.batch, self.columns, readers, rows, self.now_ms)
            }
            _ => Vec::new(),
        }
    }

    /// The columns of one plugin for some rows.
    pub(super) fn input(&self, link: &Link, rows: &[u32], added: &AddedColumns<'_>) -> abi::Batch {
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

pub(super) fn number(count: usize) -> u32 {
    u32::try_from(count).expect("a batch is far smaller than 4 GiB")
}
