//! Dead letters and pending work: durable references to what was not delivered, with the cause.
//!
//! A reference never holds an event's body. `show` and whoever replays a dead letter read the object
//! again, under their own rights.

use serde::{Deserialize, Serialize};

use crate::event::ObjectRef;

/// Why something was dead-lettered or is pending. Every row of the error table that ends in the store
/// has its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Cause {
    /// A notification names a bucket outside the allow-list.
    BucketNotAllowed,
    /// A key that ends in `.json.gz` and fits no known layout.
    UnknownKey,
    /// A message in no known envelope; the dead letter holds its body.
    NotUnderstood,
    /// The object does not exist (any more).
    ObjectMissing,
    /// The object is in an archive tier and has to be restored first.
    ObjectArchived,
    /// The object's bucket answers with access denied (S3 or KMS).
    ObjectDenied,
    /// Its message came again too often; what was wrong the last time stands in the error.
    PoisonMessage,
    /// Not gzip, cut short, or damaged.
    CorruptGzip,
    /// Bytes, or a second gzip member, after the first.
    TrailingBytes,
    /// More inflated bytes, or a higher ratio, than allowed.
    InflatesTooLarge,
    /// Not JSON, or cut short.
    NotJson,
    /// JSON without an array `Records`.
    NoRecords,
    /// An element of `Records` that is not an object.
    EventNotObject,
    /// An event that is not valid JSON in UTF-8.
    EventInvalid,
    /// An event larger than allowed.
    EventTooLarge,
    /// An event nested deeper than allowed.
    EventTooDeep,
    /// The redaction plugin could not judge the event.
    RedactionFailed,
    /// The egress guard found a secret in what the sink was about to get.
    SecretFound,
    /// The sink refused the event or the finding.
    SinkRefused,
    /// The event or finding is larger than the sink takes.
    SinkTooLarge,
    /// The sink cannot express the event or finding.
    SinkUnencodable,
    /// The sink has not answered for longer than `hold_after`.
    SinkUnavailable,
    /// The sink answers with a fault of the configuration.
    SinkMisconfigured,
    /// What may go to the sink in a day is spent.
    SinkQuota,
}

impl Cause {
    /// All of them, for help texts and metrics.
    pub const ALL: [Self; 24] = [
        Self::BucketNotAllowed,
        Self::UnknownKey,
        Self::NotUnderstood,
        Self::ObjectMissing,
        Self::ObjectArchived,
        Self::ObjectDenied,
        Self::PoisonMessage,
        Self::CorruptGzip,
        Self::TrailingBytes,
        Self::InflatesTooLarge,
        Self::NotJson,
        Self::NoRecords,
        Self::EventNotObject,
        Self::EventInvalid,
        Self::EventTooLarge,
        Self::EventTooDeep,
        Self::RedactionFailed,
        Self::SecretFound,
        Self::SinkRefused,
        Self::SinkTooLarge,
        Self::SinkUnencodable,
        Self::SinkUnavailable,
        Self::SinkMisconfigured,
        Self::SinkQuota,
    ];

    /// The name as it stands in files, metrics and on the command line.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::BucketNotAllowed => "bucket-not-allowed",
            Self::UnknownKey => "unknown-key",
            Self::NotUnderstood => "not-understood",
            Self::ObjectMissing => "object-missing",
            Self::ObjectArchived => "object-archived",
            Self::ObjectDenied => "object-denied",
            Self::PoisonMessage => "poison-message",
            Self::CorruptGzip => "corrupt-gzip",
            Self::TrailingBytes => "trailing-bytes",
            Self::InflatesTooLarge => "inflates-too-large",
            Self::NotJson => "not-json",
            Self::NoRecords => "no-records",
            Self::EventNotObject => "event-not-object",
            Self::EventInvalid => "event-invalid",
            Self::EventTooLarge => "event-too-large",
            Self::EventTooDeep => "event-too-deep",
            Self::RedactionFailed => "redaction-failed",
            Self::SecretFound => "secret-found",
            Self::SinkRefused => "sink-refused",
            Self::SinkTooLarge => "sink-too-large",
            Self::SinkUnencodable => "sink-unencodable",
            Self::SinkUnavailable => "sink-unavailable",
            Self::SinkMisconfigured => "sink-misconfigured",
            Self::SinkQuota => "sink-quota",
        }
    }
}

impl std::str::FromStr for Cause {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let known = Self::ALL.into_iter().find(|cause| cause.as_str() == name);
        known.ok_or_else(|| {
            let names = Self::ALL.map(Self::as_str);
            format!("must be one of {}", names.join(", "))
        })
    }
}

impl std::fmt::Display for Cause {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What a dead letter or a pending reference is about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "snake_case")]
pub enum Subject {
    /// A whole message: its body, because there is nothing else to refer to.
    Message {
        /// The queue's identifier.
        id: String,
        /// The body, 1 MiB at the most.
        body: String,
    },
    /// A whole object, or what was left of it from `offset` on.
    Object {
        /// Which object; `version` is the one that was read, where one was.
        #[serde(flatten)]
        object: ObjectRef,
        /// Inflated bytes before the fault, where the fault is inside.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        offset: Option<u64>,
        /// Events from this position on were not read.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        from_index: Option<u32>,
    },
    /// Events of an object, by half-open ranges of their positions.
    Events {
        /// Which object.
        #[serde(flatten)]
        object: ObjectRef,
        /// `[first, end)` pairs, ascending.
        ranges: Vec<(u32, u32)>,
        /// SHA-256 (hex) of the event's bytes, where it is one event.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        sha256: Option<String>,
    },
    /// A finding, by identifier.
    Finding {
        /// See [`crate::finding::Sighting::finding_id`].
        id: String,
    },
}

/// A stored reference to something that was not delivered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeadLetter {
    /// When it was stored, milliseconds since 1970.
    pub time_ms: i64,
    /// Why.
    pub cause: Cause,
    /// What.
    #[serde(flatten)]
    pub subject: Subject,
    /// Which sink did not get it; none when no sink did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sink: Option<String>,
    /// Name and digest of the plugin at fault.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plugin: Option<String>,
    /// The error chain, without values of events, at most 1,024 characters.
    pub error: String,
}

impl DeadLetter {
    /// The same as something that is still owed: a pending reference that is tried again.
    ///
    /// # Errors
    /// When there is nothing to read again, and what to do instead.
    pub fn to_pending(&self) -> Result<Self, &'static str> {
        let subject = match &self.subject {
            Subject::Message { .. } => {
                return Err("a message: send its body to the queue again, `show` has it");
            }
            // Some may have all of it, and the ledger says who.
            subject @ Subject::Object { .. } if self.cause == Cause::PoisonMessage => {
                subject.clone()
            }
            // What lies before the fault was delivered then; and as a range, because of the whole object
            // the ledger may say that all have it.
            Subject::Object {
                object, from_index, ..
            } => Subject::Events {
                object: object.clone(),
                ranges: vec![(from_index.unwrap_or(0), u32::MAX)],
                sha256: None,
            },
            subject @ Subject::Events { .. } => subject.clone(),
            subject @ Subject::Finding { .. } if self.sink.is_some() => subject.clone(),
            Subject::Finding { .. } => return Err("a finding of no sink"),
        };
        Ok(Self {
            subject,
            ..self.clone()
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    fn letter(subject: Subject, sink: Option<&str>) -> DeadLetter {
        DeadLetter {
            time_ms: 1,
            cause: Cause::SinkRefused,
            subject,
            sink: sink.map(ToOwned::to_owned),
            plugin: None,
            error: "no".to_owned(),
        }
    }

    fn object() -> ObjectRef {
        ObjectRef {
            bucket: "b".into(),
            key: "k".into(),
            version: None,
        }
    }

    #[test]
    fn a_cause_is_known_by_its_name() {
        for cause in Cause::ALL {
            assert_eq!(cause.as_str().parse(), Ok(cause));
        }
        let error = "sink".parse::<Cause>().unwrap_err();
        assert!(error.starts_with("must be one of bucket-not-allowed, "));
    }

    #[test]
    fn what_was_read_before_the_fault_is_not_owed_again() {
        let broken = |from_index| Subject::Object {
            object: object(),
            offset: Some(7),
            from_index,
        };
        for (from_index, first) in [(Some(3), 3), (Some(0), 0), (None, 0)] {
            let pending = letter(broken(from_index), None).to_pending().unwrap();
            let rest = Subject::Events {
                object: object(),
                ranges: vec![(first, u32::MAX)],
                sha256: None,
            };
            assert_eq!(pending.subject, rest);
        }
    }

    #[test]
    fn a_message_and_a_finding_of_nobody_cannot_be_owed() {
        let message = Subject::Message {
            id: "1".to_owned(),
            body: "{}".to_owned(),
        };
        assert!(
            letter(message, None)
                .to_pending()
                .unwrap_err()
                .contains("queue")
        );
        let finding = Subject::Finding { id: "1".to_owned() };
        assert!(letter(finding.clone(), None).to_pending().is_err());
        let owed = letter(finding, Some("hub"));
        assert_eq!(owed.to_pending().unwrap(), owed);
    }
}
