//! Which dead letters are meant.

use clap::Args;
use time::{Date, OffsetDateTime, Time, format_description::well_known::Rfc3339};

use crate::{
    deadletter::{Cause, Subject},
    store::Stored,
};

/// Narrows a command to some dead letters; all that is given must hold.
#[derive(Debug, Default, Args)]
pub(super) struct Filter {
    /// Only those of this cause; may be given more than once
    #[arg(long = "cause", value_name = "CAUSE")]
    causes: Vec<Cause>,
    /// Only those that this sink did not get
    #[arg(long, value_name = "SINK")]
    sink: Option<String>,
    /// Only those stored at or after this time: 2026-11-22 or 2026-11-22T10:00:00Z
    #[arg(long, value_name = "TIME", value_parser = moment)]
    since: Option<i64>,
    /// Only those stored before this time
    #[arg(long, value_name = "TIME", value_parser = moment)]
    until: Option<i64>,
    /// Only those of objects whose URL begins like this
    #[arg(long, value_name = "URL")]
    object: Option<String>,
}

impl Filter {
    /// Whether an entry is meant. A damaged one says nothing of itself, so it is meant only when nothing
    /// is asked for.
    pub(super) fn takes(&self, entry: &Stored) -> bool {
        let Ok(letter) = &entry.letter else {
            return self.is_empty();
        };
        let url = match &letter.subject {
            Subject::Object { object, .. } | Subject::Events { object, .. } => Some(object.url()),
            Subject::Message { .. } | Subject::Finding { .. } => None,
        };
        let begins = |prefix: &String| url.as_ref().is_some_and(|url| url.starts_with(prefix));
        (self.causes.is_empty() || self.causes.contains(&letter.cause))
            && (self.sink.is_none() || self.sink == letter.sink)
            && self.since.is_none_or(|since| letter.time_ms >= since)
            && self.until.is_none_or(|until| letter.time_ms < until)
            && self.object.as_ref().is_none_or(begins)
    }

    /// Whether a message in a queue is meant that was sent at this time and announces these objects.
    #[cfg(feature = "sqs")]
    pub(super) fn takes_message(
        &self,
        sent_ms: Option<i64>,
        urls: impl FnOnce() -> Vec<String>,
    ) -> bool {
        self.since
            .is_none_or(|since| sent_ms.is_some_and(|at| at >= since))
            && self
                .until
                .is_none_or(|until| sent_ms.is_some_and(|at| at < until))
            && self
                .object
                .as_ref()
                .is_none_or(|prefix| urls().iter().any(|url| url.starts_with(prefix)))
    }

    /// Refuses what nobody knows of a message in a queue.
    ///
    /// # Errors
    /// Names the argument.
    #[cfg(feature = "sqs")]
    pub(super) fn fits_a_queue(&self) -> anyhow::Result<()> {
        anyhow::ensure!(
            self.causes.is_empty() && self.sink.is_none(),
            "--cause and --sink cannot be told of a message in a queue; --object, --since and --until can"
        );
        Ok(())
    }

    /// Whether everything is meant.
    pub(super) fn is_empty(&self) -> bool {
        self.causes.is_empty()
            && self.sink.is_none()
            && self.since.is_none()
            && self.until.is_none()
            && self.object.is_none()
    }
}

/// Milliseconds since 1970 of a day in UTC, or of a moment.
fn moment(text: &str) -> Result<i64, String> {
    let day = time::macros::format_description!("[year]-[month]-[day]");
    let moment = match Date::parse(text, day) {
        Ok(date) => OffsetDateTime::new_utc(date, Time::MIDNIGHT),
        Err(_) => OffsetDateTime::parse(text, &Rfc3339)
            .map_err(|_| "must look like 2026-11-22 or 2026-11-22T10:00:00Z".to_owned())?,
    };
    Ok(moment.unix_timestamp() * 1_000 + i64::from(moment.millisecond()))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;
    use crate::{deadletter::DeadLetter, event::ObjectRef};

    fn entry() -> Stored {
        let letter = DeadLetter {
            time_ms: 1_000,
            cause: Cause::SinkRefused,
            subject: Subject::Events {
                object: ObjectRef {
                    bucket: "b".into(),
                    key: "AWSLogs/1".into(),
                    version: None,
                },
                ranges: vec![(0, 1)],
                sha256: None,
            },
            sink: Some("splunk".into()),
            plugin: None,
            error: "no".into(),
        };
        Stored {
            name: "dead-letters/1".into(),
            letter: Ok(letter),
        }
    }

    #[test]
    fn everything_that_is_given_must_hold() {
        let takes = |change: fn(&mut Filter)| {
            let mut filter = Filter::default();
            change(&mut filter);
            filter.takes(&entry())
        };
        assert!(takes(|_| ()));
        assert!(takes(
            |f| f.causes = vec![Cause::NotJson, Cause::SinkRefused]
        ));
        assert!(!takes(|f| f.causes = vec![Cause::NotJson]));
        assert!(takes(|f| f.sink = Some("splunk".into())));
        assert!(!takes(|f| f.sink = Some("datadog".into())));
        assert!(takes(|f| (f.since, f.until) = (Some(1_000), Some(1_001))));
        assert!(!takes(|f| f.until = Some(1_000)));
        assert!(!takes(|f| f.since = Some(1_001)));
        assert!(takes(|f| f.object = Some("s3://b/AWSLogs/".into())));
        assert!(!takes(|f| f.object = Some("s3://bb/".into())));
    }

    #[test]
    fn a_damaged_entry_is_meant_only_with_all() {
        let damaged = Stored {
            letter: Err(anyhow::anyhow!("damaged")),
            ..entry()
        };
        assert!(Filter::default().takes(&damaged));
        let some = Filter {
            sink: Some("splunk".into()),
            ..Filter::default()
        };
        assert!(!some.takes(&damaged));
    }

    #[test]
    fn a_time_is_a_day_or_a_moment() {
        assert_eq!(moment("1970-01-02"), Ok(86_400_000));
        assert_eq!(moment("1970-01-01T01:00:00.5+01:00"), Ok(500));
        moment("yesterday").unwrap_err();
    }
}
