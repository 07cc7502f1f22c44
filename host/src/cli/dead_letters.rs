//! `sluicegate dead-letters`: what could not be delivered, and why.

mod filter;
#[cfg(feature = "sqs")]
mod queue;
mod redrive;
mod stats;

use anyhow::Context as _;
use clap::{Args, Subcommand};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use self::filter::Filter;
use super::{Configured, Failure, Signals, output::Output};
use crate::{
    assemble,
    config::Config,
    deadletter::Subject,
    store::{Store, Stored},
    text::shown,
};

/// What to do with dead letters.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// One line a dead letter: when, name, cause, sink, what
    List(List),
    /// One dead letter as JSON; it refers to its event and never holds it
    Show(Show),
    /// How many there are, by cause and sink
    Stats(Stats),
    /// Make dead letters pending again: the host reads their events anew and delivers them
    Redrive(Redrive),
}

/// Which dead letters.
#[derive(Debug, Args)]
struct Place {
    /// Look into SQS's dead-letter queue instead, by its address; `redrive` sends its messages to the
    /// queue of the source
    #[cfg(feature = "sqs")]
    #[arg(long, value_name = "URL")]
    queue: Option<String>,
}

impl Place {
    fn queue(&self) -> Option<&str> {
        #[cfg(feature = "sqs")]
        return self.queue.as_deref();
        #[cfg(not(feature = "sqs"))]
        None
    }
}

/// Arguments of `list`.
#[derive(Debug, Args)]
pub struct List {
    #[command(flatten)]
    configured: Configured,
    #[command(flatten)]
    place: Place,
    /// List what is pending for this sink instead of dead letters
    #[cfg_attr(
        feature = "sqs",
        arg(long, value_name = "SINK", conflicts_with = "queue")
    )]
    #[cfg_attr(not(feature = "sqs"), arg(long, value_name = "SINK"))]
    pending: Option<String>,
    /// At most so many
    #[arg(long, default_value_t = 1000)]
    limit: usize,
    #[command(flatten)]
    filter: Filter,
}

/// Arguments of `show`.
#[derive(Debug, Args)]
pub struct Show {
    #[command(flatten)]
    configured: Configured,
    #[command(flatten)]
    place: Place,
    /// The name that `list` prints; with `--queue` the identifier of a message
    name: String,
}

/// Arguments of `stats`.
#[derive(Debug, Args)]
pub struct Stats {
    #[command(flatten)]
    configured: Configured,
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    filter: Filter,
}

/// Arguments of `redrive`.
#[derive(Debug, Args)]
pub struct Redrive {
    #[command(flatten)]
    configured: Configured,
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    filter: Filter,
    /// Only say what would be done
    #[arg(long)]
    dry_run: bool,
}

pub(super) async fn run(command: &Command, signals: Signals) -> Result<(), Failure> {
    let (configured, place) = match command {
        Command::List(list) => (&list.configured, &list.place),
        Command::Show(show) => (&show.configured, &show.place),
        Command::Stats(stats) => (&stats.configured, &stats.place),
        Command::Redrive(redrive) => (&redrive.configured, &redrive.place),
    };
    let config = configured.load()?;
    if let Some(url) = place.queue() {
        return in_queue(&config, url, command, signals).await;
    }
    let store = assemble::store(&config.store).await?;
    match command {
        Command::List(list) => print_list(&store, list).await?,
        Command::Show(show) => print_one(&store, &show.name).await?,
        Command::Stats(stats) => stats::print(&store, &stats.filter).await?,
        Command::Redrive(redrive) => {
            redrive::run(&store, &redrive.filter, redrive.dry_run).await?;
        }
    }
    Ok(())
}

#[cfg(feature = "sqs")]
async fn in_queue(
    config: &Config,
    url: &str,
    command: &Command,
    signals: Signals,
) -> Result<(), Failure> {
    let all = Filter::default();
    let (filter, task) = match command {
        Command::List(list) => (&list.filter, queue::Task::List { limit: list.limit }),
        Command::Show(show) => (&all, queue::Task::Show { id: &show.name }),
        Command::Stats(stats) => (&stats.filter, queue::Task::Stats),
        Command::Redrive(redrive) => {
            let dry_run = redrive.dry_run;
            (&redrive.filter, queue::Task::Redrive { dry_run })
        }
    };
    queue::run(config, url, filter, task, &signals.drain).await
}

#[cfg(not(feature = "sqs"))]
async fn in_queue(_: &Config, _: &str, _: &Command, _: Signals) -> Result<(), Failure> {
    unreachable!("without SQS nobody can name a queue")
}

async fn print_list(store: &Store, list: &List) -> anyhow::Result<()> {
    let mut pages = Pages::of(store, list.pending.as_deref());
    let mut output = Output::default();
    let mut shown = 0;
    while let Some(page) = pages.next().await? {
        for entry in page.iter().filter(|entry| list.filter.takes(entry)) {
            if shown == list.limit {
                return output.line("… and more: raise --limit");
            }
            output.line(&line(entry))?;
            shown += 1;
        }
    }
    Ok(())
}

/// All entries, page by page, the oldest events first.
struct Pages<'a> {
    store: &'a Store,
    /// What is pending for this sink; dead letters where there is none.
    pending: Option<&'a str>,
    after: Option<String>,
    last: bool,
}

impl<'a> Pages<'a> {
    const SIZE: usize = 1_000;

    fn of(store: &'a Store, pending: Option<&'a str>) -> Self {
        Self {
            store,
            pending,
            after: None,
            last: false,
        }
    }

    async fn next(&mut self) -> anyhow::Result<Option<Vec<Stored>>> {
        if self.last {
            return Ok(None);
        }
        let after = self.after.as_deref();
        let page = match self.pending {
            Some(sink) => self.store.pending(sink, after, Self::SIZE).await?,
            None => self.store.dead_letters(after, Self::SIZE).await?,
        };
        self.last = page.len() < Self::SIZE;
        self.after = page.last().map(|entry| entry.name.clone());
        Ok(Some(page))
    }
}

async fn print_one(store: &Store, name: &str) -> anyhow::Result<()> {
    let letter = store
        .get(name)
        .await?
        .with_context(|| format!("there is no dead letter {}", shown(name)))?;
    let json = serde_json::to_string_pretty(&letter).context("failed to write JSON")?;
    let mut output = Output::default();
    json.lines().try_for_each(|line| output.line(&shown(line)))
}

fn line(entry: &Stored) -> String {
    match &entry.letter {
        Ok(letter) => {
            let sink = letter.sink.as_deref().unwrap_or("-");
            format!(
                "{}  {}  {}  {}  {}",
                moment(letter.time_ms),
                entry.name,
                letter.cause,
                shown(sink),
                about(&letter.subject)
            )
        }
        Err(error) => format!(
            "-  {}  damaged: {}",
            entry.name,
            shown(&format!("{error:#}"))
        ),
    }
}

fn moment(ms: i64) -> String {
    OffsetDateTime::from_unix_timestamp_nanos(i128::from(ms) * 1_000_000)
        .ok()
        .and_then(|time| time.format(&Rfc3339).ok())
        .unwrap_or_else(|| ms.to_string())
}

fn about(subject: &Subject) -> String {
    match subject {
        Subject::Message { id, body } => format!("message {} ({} bytes)", shown(id), body.len()),
        Subject::Object {
            object,
            from_index: Some(first),
            ..
        } => format!("{} from event {first}", shown(&object.url())),
        Subject::Object { object, .. } => shown(&object.url()),
        Subject::Events { object, ranges, .. } => {
            let ranges: Vec<_> = ranges
                .iter()
                .map(|(first, end)| match *end {
                    u32::MAX => format!("{first}.."),
                    end => format!("{first}..{end}"),
                })
                .collect();
            format!(
                "{} events {}",
                shown(&object.url()),
                shown(&ranges.join(","))
            )
        }
        Subject::Finding { id } => format!("finding {}", shown(id)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        deadletter::{Cause, DeadLetter},
        event::ObjectRef,
    };

    fn entry(subject: Subject) -> Stored {
        let letter = DeadLetter {
            time_ms: 1_772_323_200_000,
            cause: Cause::SinkRefused,
            subject,
            sink: Some("splunk".into()),
            plugin: None,
            error: "no".into(),
        };
        Stored {
            name: "dead/1".into(),
            letter: Ok(letter),
        }
    }

    #[test]
    fn a_line_says_when_what_and_why() {
        let object = ObjectRef {
            bucket: "b".into(),
            key: "k".into(),
            version: None,
        };
        let entry = entry(Subject::Events {
            object,
            ranges: vec![(3, 4), (7, 9)],
            sha256: None,
        });
        assert_eq!(
            line(&entry),
            "2026-03-01T00:00:00Z  dead/1  sink-refused  splunk  s3://b/k events 3..4,7..9"
        );
    }

    #[test]
    fn a_key_cannot_write_to_the_terminal() {
        let object = ObjectRef {
            bucket: "b".into(),
            key: "k\x1b[2J".into(),
            version: None,
        };
        let entry = entry(Subject::Object {
            object,
            offset: None,
            from_index: None,
        });
        assert!(line(&entry).ends_with("s3://b/k\\u{1b}[2J"));
    }
}
