//! The plugin chain: every plugin in its stage, and what they want to see of a batch.
//!
//! All plugins see the original values; from the detect stage on, also what enrichment set.

use std::{borrow::Cow, collections::BTreeMap, sync::Arc};

use super::{
    Component,
    abi::{self, Kind as Stage},
    added::AddedColumns,
    identity::Identities,
    matcher::{Matcher, Row},
    report::Reporter,
    trial::{Shadow, Trial},
};
use crate::{
    columns::{Columns, Kind, Path, PathError, Projection},
    effects::Readers,
    event::EventBatch,
    ledger::windows::EventMark,
    mask::Masker,
};

/// All plugins, ready to be run by any number of [`ChainWorker`](super::ChainWorker)s.
#[derive(Debug)]
pub struct PluginChain {
    /// In the order of their stages; those in shadow come last.
    pub(super) links: Vec<Link>,
    pub(super) projection: Projection,
    pub(super) readers: Arc<Readers>,
    /// Paths of enrichment that somebody reads; their columns follow those of the projection.
    pub(super) added_paths: Vec<String>,
    /// What the enrich stage wants, and what the others do: those may ask for what was set before.
    pub(super) enrichers: Matcher,
    pub(super) others: Matcher,
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
    pub(super) trial: Option<Arc<Trial>>,
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
    /// [`Processed::view`](crate::effects::Processed::view) will be asked for them.
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
    pub(super) fn has_shadow(&self, name: &str) -> bool {
        let mut shadows = self.links.iter().filter(|link| link.trial.is_some());
        shadows.any(|link| link.name() == name)
    }
}

/// Whether a path names something that enrichment set.
fn is_added(path: &str) -> bool {
    path.starts_with("/sluicegate/")
}

/// Bytes that a field's text often has.
const TEXT_BYTES: usize = 24;

/// What stays the same while one batch goes through the stages.
pub(super) struct Run<'a> {
    pub(super) chain: &'a PluginChain,
    pub(super) batch: &'a EventBatch,
    pub(super) columns: &'a Columns,
    pub(super) now_ms: i64,
}

impl Run<'_> {
    /// The rows that each plugin of a matcher wants.
    pub(super) fn wanted(&self, matcher: &Matcher, added: &AddedColumns<'_>) -> Vec<Vec<u32>> {
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
        let width = self.chain.projection.width();
        let mut columns: Vec<_> = link.fields.iter().map(|_| empty(rows.len())).collect();
        // Row by row: an event's bytes lie together, those of a column lie far apart.
        for &row in rows {
            let row = row as usize;
            for (out, &column) in columns.iter_mut().zip(&link.fields) {
                if column < width {
                    out.kinds.push(self.columns.kind(row, column) as u8);
                    self.columns
                        .text_into(self.batch, row, column, &mut out.data);
                } else {
                    let (kind, text) = added.value(row, column - width);
                    out.kinds.push(kind as u8);
                    out.data.extend_from_slice(&text);
                }
                out.offsets.push(number(out.data.len()));
            }
        }
        abi::Batch {
            rows: number(rows.len()),
            now_ms: u64::try_from(self.now_ms).unwrap_or_default(),
            columns,
        }
    }
}

/// A column with room for so many rows.
fn empty(rows: usize) -> abi::Column {
    let mut offsets = Vec::with_capacity(rows + 1);
    offsets.push(0);
    abi::Column {
        kinds: Vec::with_capacity(rows),
        offsets,
        data: Vec::with_capacity(rows * TEXT_BYTES),
    }
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

pub(super) fn number(count: usize) -> u32 {
    u32::try_from(count).expect("a batch is far smaller than 4 GiB")
}
