//! `sluicegate dead-letters`: what could not be delivered, and why.

use anyhow::Context as _;
use clap::{Args, Subcommand};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use super::{Configured, Failure, output::Output};
use crate::{
    assemble,
    deadletter::{DeadLetter, Subject},
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
}

/// Arguments of `list`.
#[derive(Debug, Args)]
pub struct List {
    #[command(flatten)]
    configured: Configured,
    /// List what is pending for this sink instead of dead letters
    #[arg(long, value_name = "SINK")]
    pending: Option<String>,
    /// At most so many
    #[arg(long, default_value_t = 1000)]
    limit: usize,
}

/// Arguments of `show`.
#[derive(Debug, Args)]
pub struct Show {
    #[command(flatten)]
    configured: Configured,
    /// The name that `list` prints
    name: String,
}

pub(super) async fn run(command: &Command) -> Result<(), Failure> {
    match command {
        Command::List(list) => {
            let config = list.configured.load()?;
            let store = assemble::store(&config.store).await?;
            Ok(print_list(&store, list).await?)
        }
        Command::Show(show) => {
            let config = show.configured.load()?;
            let store = assemble::store(&config.store).await?;
            Ok(print_one(&store, &show.name).await?)
        }
    }
}

async fn print_list(store: &Store, list: &List) -> anyhow::Result<()> {
    let entries = match &list.pending {
        Some(sink) => store.pending(sink, None, list.limit).await?,
        None => store.dead_letters(None, list.limit).await?,
    };
    let mut output = Output::default();
    for entry in &entries {
        output.line(&line(entry))?;
    }
    if entries.len() == list.limit {
        output.line("… and maybe more: raise --limit")?;
    }
    Ok(())
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
                time(letter),
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

fn time(letter: &DeadLetter) -> String {
    OffsetDateTime::from_unix_timestamp_nanos(i128::from(letter.time_ms) * 1_000_000)
        .ok()
        .and_then(|time| time.format(&Rfc3339).ok())
        .unwrap_or_else(|| letter.time_ms.to_string())
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
                .map(|(first, end)| format!("{first}..{end}"))
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
    use crate::{deadletter::Cause, event::ObjectRef};

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
