//! `--queue`: the same commands for SQS's own dead-letter queue.

use std::{collections::BTreeMap, time::Duration};

use anyhow::Context as _;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::{Filter, moment};
use crate::{
    cli::{
        Failure,
        output::{Output, thousands},
    },
    config::{Config, Source},
    source::{
        notification,
        sqs::{
            Settings,
            set_aside::{Letter, SetAside},
        },
    },
    text::shown,
};

/// How long messages are out of sight that are sent on at once.
const WORKED_ON: Duration = Duration::from_mins(1);

/// What is done with the messages of the queue.
#[derive(Clone, Copy)]
pub(super) enum Task<'a> {
    List { limit: usize },
    Show { id: &'a str },
    Stats,
    Redrive { dry_run: bool },
}

/// Runs one of the commands. A signal ends it after the messages at hand; what was only looked at is given
/// back.
pub(super) async fn run(
    config: &Config,
    url: &str,
    filter: &Filter,
    task: Task<'_>,
    stop: &CancellationToken,
) -> Result<(), Failure> {
    let settings = settings(config)?;
    filter.fits_a_queue()?;
    let mut queue = SetAside::connect(settings, url).await?;
    if let (Task::Redrive { dry_run: false }, true) = (task, filter.is_empty()) {
        // Nothing is only looked at: what a kill leaves behind is soon there again.
        queue = queue.invisible_for(WORKED_ON);
    }
    let mut look = Look {
        settings,
        filter,
        task,
        output: Output::default(),
        held: Vec::new(),
        meant: 0,
        seen: 0,
        counts: BTreeMap::new(),
    };
    let all = queue.depth().await?;
    let result = look.through(queue, all, stop).await;
    Ok(result?)
}

#[allow(
    clippy::unnecessary_wraps,
    reason = "it depends on the sources of the build"
)]
fn settings(config: &Config) -> anyhow::Result<&Settings> {
    match &config.source {
        Source::Sqs(settings) => Ok(settings),
        #[cfg(feature = "directory")]
        Source::Directory(_) => {
            anyhow::bail!("--queue needs source.type = \"sqs\": messages are sent to its queue")
        }
    }
}

/// One way through the queue.
struct Look<'a> {
    settings: &'a Settings,
    filter: &'a Filter,
    task: Task<'a>,
    output: Output,
    /// Looked at, to be given back.
    held: Vec<Letter>,
    meant: u64,
    seen: u64,
    /// By what is announced.
    counts: BTreeMap<String, u64>,
}

impl Look<'_> {
    async fn through(
        &mut self,
        mut queue: SetAside,
        all: u64,
        stop: &CancellationToken,
    ) -> anyhow::Result<()> {
        let mut result = Ok(());
        while !stop.is_cancelled() {
            let letters = match queue.next().await {
                Ok(Some(letters)) => letters,
                Ok(None) => break,
                Err(error) => {
                    result = Err(error);
                    break;
                }
            };
            self.seen += letters.len() as u64;
            let (meant, others): (Vec<_>, Vec<_>) = letters
                .into_iter()
                .partition(|letter| self.is_meant(letter));
            self.held.extend(others);
            if let Err(error) = self.work(&queue, meant).await {
                result = Err(error);
                break;
            }
            let about = thousands(all.max(self.seen));
            self.output
                .progress(&format!("{} of about {about}", thousands(self.seen)))?;
            if self.has_enough() {
                break;
            }
        }
        queue.give_back(std::mem::take(&mut self.held)).await;
        self.finish(stop.is_cancelled(), result)
    }

    fn is_meant(&self, letter: &Letter) -> bool {
        let urls = || urls(letter, self.settings);
        self.filter.takes_message(letter.sent_ms, urls)
    }

    fn has_enough(&self) -> bool {
        match self.task {
            Task::List { limit } => self.meant >= limit as u64,
            Task::Show { .. } => self.meant > 0,
            Task::Stats | Task::Redrive { .. } => false,
        }
    }

    async fn work(&mut self, queue: &SetAside, letters: Vec<Letter>) -> anyhow::Result<()> {
        if let Task::Redrive { dry_run: false } = self.task {
            let (sent, result) = queue.send_on(&self.settings.queue_url, letters).await;
            self.meant += sent;
            return result;
        }
        let mut result = Ok(());
        for letter in &letters {
            result = result.and_then(|()| self.tell(letter));
        }
        self.held.extend(letters);
        result
    }

    fn tell(&mut self, letter: &Letter) -> anyhow::Result<()> {
        match self.task {
            Task::List { limit } if self.meant == limit as u64 => return Ok(()),
            Task::List { .. } => self.output.line(&line(letter, self.settings))?,
            Task::Show { id } if letter.id != id => return Ok(()),
            Task::Show { .. } => {
                let json = serde_json::to_string_pretty(&whole(letter, self.settings))
                    .context("failed to write JSON")?;
                json.lines()
                    .try_for_each(|line| self.output.line(&shown(line)))?;
            }
            Task::Stats => *self.counts.entry(kind(letter, self.settings)).or_default() += 1,
            Task::Redrive { .. } => {}
        }
        self.meant += 1;
        Ok(())
    }

    fn finish(&mut self, stopped: bool, result: anyhow::Result<()>) -> anyhow::Result<()> {
        let meant = thousands(self.meant);
        match self.task {
            Task::Redrive { dry_run } => {
                let would = if dry_run { "would be" } else { "are" };
                let to = shown(&self.settings.queue_url);
                let left = thousands(self.seen.saturating_sub(self.meant));
                self.output
                    .line(&format!("{meant:>12}  {would} sent to {to}"))?;
                self.output.line(&format!("{left:>12}  stay"))?;
            }
            Task::Stats => {
                for (kind, count) in &self.counts {
                    self.output
                        .line(&format!("{:>12}  {kind}", thousands(*count)))?;
                }
                self.output.line(&format!("{meant:>12}  in all"))?;
            }
            Task::Show { id } if self.meant == 0 && result.is_ok() => {
                anyhow::bail!("there is no visible message {} in the queue", shown(id))
            }
            Task::List { limit } if self.meant == limit as u64 => {
                self.output.line("… and maybe more: raise --limit")?;
            }
            Task::List { .. } | Task::Show { .. } => {}
        }
        result?;
        anyhow::ensure!(!stopped, "stopped by a signal; run it again for the rest");
        Ok(())
    }
}

/// The objects that a message announces, those too that the configuration does not allow.
fn urls(letter: &Letter, settings: &Settings) -> Vec<String> {
    let announced = notification::objects(&letter.body, &settings.trust());
    let refused = announced.refused.iter().map(|refused| &refused.reference);
    let objects = announced.objects.iter().chain(refused);
    objects.map(crate::event::ObjectRef::url).collect()
}

fn kind(letter: &Letter, settings: &Settings) -> String {
    let announced = notification::objects(&letter.body, &settings.trust());
    if announced.not_understood.is_some() {
        "not understood".to_owned()
    } else if let Some(object) = announced.objects.first() {
        format!("objects of s3://{}", shown(&object.bucket))
    } else if let Some(refused) = announced.refused.first() {
        refused.cause.to_string()
    } else {
        "announce nothing".to_owned()
    }
}

fn line(letter: &Letter, settings: &Settings) -> String {
    let urls: Vec<_> = urls(letter, settings)
        .iter()
        .map(|url| shown(url))
        .collect();
    let about = match urls.as_slice() {
        [] => kind(letter, settings),
        some => some.join(" "),
    };
    format!(
        "{}  {}  received {} times, first {}  {about}",
        letter.sent_ms.map_or("-".to_owned(), moment),
        shown(&letter.id),
        letter.receives,
        letter.first_received_ms.map_or("-".to_owned(), moment),
    )
}

fn whole(letter: &Letter, settings: &Settings) -> serde_json::Value {
    json!({
        "id": letter.id,
        "sent": letter.sent_ms.map(moment),
        "receives": letter.receives,
        "first_received": letter.first_received_ms.map(moment),
        "announces": urls(letter, settings),
        "body": letter.body,
    })
}
