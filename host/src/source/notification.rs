//! From the body of a message to the objects it announces, in whatever envelope it came.
//!
//! | way | body | key |
//! | --- | --- | --- |
//! | S3 → SQS, S3 → SNS (raw) → SQS | `Records[].s3` | form-encoded: `+` is a space, then percent |
//! | S3 → EventBridge → SQS | `source`, `detail` | as it is |
//! | CloudTrail → SNS → SQS | `s3Bucket`, `s3ObjectKey[]` | as it is |
//! | any of them through SNS, not raw | `Type`, `Message`: unwrapped, twice at the most | |
//!
//! Envelopes are told apart by what they hold; nothing is configured. Everything here comes from
//! outside: a bucket counts only when it equals an entry of the allow-list, and nothing in a message
//! chooses a region, an endpoint or a role.

use std::collections::{BTreeSet, HashSet};

use percent_encoding::percent_decode;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::{
    deadletter::Cause,
    event::ObjectRef,
    source::layout::{self, Ignored, Layout},
    text::shown,
};

/// Longest body that is looked at, in bytes: SQS's own limit.
pub const MAX_BODY: usize = 1 << 20;
/// Longest key that S3 can hold, in bytes.
pub const MAX_KEY: usize = 1024;

const MAX_UNWRAPS: usize = 2;
const VALIDATION_TEXT: &str = "CloudTrail validation message";

/// Buckets that may be read.
#[derive(Clone, Debug, Default)]
pub struct Trust {
    buckets: BTreeSet<String>,
}

impl Trust {
    /// Trusts exactly these names.
    pub fn new(buckets: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self {
            buckets: buckets.into_iter().map(Into::into).collect(),
        }
    }

    /// Whether the name equals one of them. An ARN or an alias of an access point never does.
    #[must_use]
    pub fn allows(&self, bucket: &str) -> bool {
        self.buckets.contains(bucket)
    }
}

/// What a message says. Several of the lists may be filled: each part of a message has its own fate.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Announced {
    /// To be read, each once, in the order of the message.
    pub objects: Vec<ObjectRef>,
    /// To be dead-lettered one by one.
    pub refused: Vec<Refused>,
    /// To be settled and counted.
    pub ignored: Vec<Ignored>,
    /// Set when the message, or a part of it, could not be read: its body is to be dead-lettered. What
    /// could be read stands in the lists all the same.
    pub not_understood: Option<NotUnderstood>,
}

/// A reference that must not be followed as things are configured now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// What was announced; names longer than any real one are cut.
    pub reference: ObjectRef,
    /// [`Cause::BucketNotAllowed`] or [`Cause::UnknownKey`].
    pub cause: Cause,
    /// For the dead letter.
    pub error: String,
}

/// Why a message is in no known envelope; says nothing of its content.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NotUnderstood(String);

impl NotUnderstood {
    fn because(reason: impl Into<String>) -> Self {
        Self(reason.into())
    }
}

/// Reads the body of a message. Pure, and total: whatever the body holds, it has a fate.
#[must_use]
pub fn objects(body: &str, trust: &Trust) -> Announced {
    let mut reader = Reader {
        trust,
        announced: Announced::default(),
        known: HashSet::new(),
    };
    let read = if body.len() > MAX_BODY {
        Err(NotUnderstood::because(format!(
            "the body is longer than {MAX_BODY} bytes"
        )))
    } else {
        reader.envelope(body, 0)
    };
    if let Err(reason) = read {
        reader.announced.not_understood = Some(reason);
    }
    reader.announced
}

/// The members that tell the envelopes apart. Duplicates, and other types, are refused by serde.
#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(rename = "Type")]
    sns_type: Option<String>,
    #[serde(rename = "Message")]
    sns_message: Option<String>,
    #[serde(rename = "Records", borrow)]
    records: Option<Vec<&'a RawValue>>,
    #[serde(rename = "Event")]
    event: Option<String>,
    source: Option<String>,
    #[serde(rename = "detail-type")]
    detail_type: Option<String>,
    #[serde(borrow)]
    detail: Option<&'a RawValue>,
    #[serde(rename = "s3Bucket")]
    s3_bucket: Option<String>,
    #[serde(rename = "s3ObjectKey")]
    s3_object_key: Option<Vec<String>>,
}

#[derive(Deserialize)]
struct S3Notification {
    #[serde(rename = "eventVersion")]
    version: String,
    #[serde(rename = "eventSource")]
    source: String,
    #[serde(rename = "eventName")]
    name: String,
    s3: S3Entity,
}

#[derive(Deserialize)]
struct S3Entity {
    bucket: Bucket,
    object: S3Object,
}

#[derive(Deserialize)]
struct Bucket {
    name: String,
}

#[derive(Deserialize)]
struct S3Object {
    key: String,
    #[serde(rename = "versionId")]
    version: Option<String>,
}

#[derive(Deserialize)]
struct EventBridgeDetail {
    #[serde(rename = "event-version")]
    version: Option<String>,
    bucket: Bucket,
    object: EventBridgeObject,
}

#[derive(Deserialize)]
struct EventBridgeObject {
    key: String,
    #[serde(rename = "version-id")]
    version: Option<String>,
}

struct Reader<'t> {
    trust: &'t Trust,
    announced: Announced,
    known: HashSet<ObjectRef>,
}

type Read = Result<(), NotUnderstood>;

impl Reader<'_> {
    fn envelope(&mut self, body: &str, unwrapped: usize) -> Read {
        if body.trim_start().starts_with(VALIDATION_TEXT) {
            return self.ignore(Ignored::ValidationText);
        }
        let envelope: Envelope<'_> = parse(body, "the body")?;
        match envelope {
            Envelope {
                sns_type: Some(kind),
                sns_message,
                ..
            } => self.sns(&kind, sns_message, unwrapped),
            Envelope {
                records: Some(records),
                ..
            } => self.records(&records),
            Envelope {
                event: Some(event), ..
            } if event == "s3:TestEvent" => self.ignore(Ignored::TestEvent),
            Envelope {
                source: Some(source),
                detail_type: Some(kind),
                detail: Some(detail),
                ..
            } => self.event_bridge(&source, &kind, detail),
            Envelope {
                s3_bucket: Some(bucket),
                s3_object_key: Some(keys),
                ..
            } => self.cloudtrail(&bucket, &keys),
            _ => Err(NotUnderstood::because(
                "no known envelope: neither S3's, SNS's, EventBridge's nor CloudTrail's (an input transformer may have reshaped it)",
            )),
        }
    }

    fn sns(&mut self, kind: &str, message: Option<String>, unwrapped: usize) -> Read {
        match (kind, message) {
            ("Notification", Some(message)) if unwrapped < MAX_UNWRAPS => {
                self.envelope(&message, unwrapped + 1)
            }
            ("Notification", Some(_)) => Err(NotUnderstood::because(format!(
                "more than {MAX_UNWRAPS} SNS notifications inside each other"
            ))),
            // Following its link would let a message choose an address; an operator has to decide.
            ("SubscriptionConfirmation", _) => Err(NotUnderstood::because(
                "an SNS subscription waits for confirmation: confirm it by hand, or subscribe from the account that owns the queue",
            )),
            (other, _) => Err(NotUnderstood::because(format!(
                "an SNS message of type `{}`",
                shown(other)
            ))),
        }
    }

    /// One entry that is not understood does not take the others with it.
    fn records(&mut self, records: &[&RawValue]) -> Read {
        let mut outcome = Ok(());
        for record in records {
            outcome = outcome.and(self.s3(record.get()));
        }
        if records.is_empty() {
            return Err(NotUnderstood::because("`Records` is empty"));
        }
        outcome
    }

    fn s3(&mut self, record: &str) -> Read {
        let S3Notification {
            version,
            source,
            name,
            s3,
        } = parse(record, "an element of `Records`")?;
        if source != "aws:s3" {
            return Err(NotUnderstood::because(format!(
                "a notification of `{}`, not of S3",
                shown(&source)
            )));
        }
        if !version.starts_with("2.") {
            return Err(NotUnderstood::because(format!(
                "an S3 notification of version `{}`",
                shown(&version)
            )));
        }
        if !name
            .strip_prefix("s3:")
            .unwrap_or(&name)
            .starts_with("ObjectCreated:")
        {
            return self.ignore(Ignored::NotCreation);
        }
        let spaced = s3.object.key.replace('+', " ");
        match percent_decode(spaced.as_bytes()).decode_utf8() {
            Ok(key) => self.object(&s3.bucket.name, &key, s3.object.version),
            Err(_) => self.unknown(
                reference(&s3.bucket.name, &s3.object.key, None),
                "the key is not UTF-8; it is shown as the notification has it",
            ),
        }
    }

    fn event_bridge(&mut self, source: &str, kind: &str, detail: &RawValue) -> Read {
        match (source, kind) {
            ("aws.s3", "Object Created") => {}
            ("aws.s3", _) => return self.ignore(Ignored::NotCreation),
            _ => {
                return Err(NotUnderstood::because(format!(
                    "an EventBridge event `{}` of `{}`: only S3's announce objects",
                    shown(kind),
                    shown(source)
                )));
            }
        }
        let detail: EventBridgeDetail = parse(detail.get(), "`detail`")?;
        if let Some(version) = detail.version.filter(|version| !version.starts_with("1.")) {
            return Err(NotUnderstood::because(format!(
                "an EventBridge event of version `{}`",
                shown(&version)
            )));
        }
        self.object(
            &detail.bucket.name,
            &detail.object.key,
            detail.object.version,
        )
    }

    fn cloudtrail(&mut self, bucket: &str, keys: &[String]) -> Read {
        if keys.is_empty() {
            return Err(NotUnderstood::because("`s3ObjectKey` is empty"));
        }
        keys.iter()
            .try_for_each(|key| self.object(bucket, key, None))
    }

    /// Decides about one object. The order matters: what is not CloudTrail's needs no trust.
    fn object(&mut self, bucket: &str, key: &str, version: Option<String>) -> Read {
        let version = version.filter(|version| !version.is_empty() && version.len() <= MAX_KEY);
        let found = layout::of(key);
        if let Layout::Ignored(kind) = found {
            return self.ignore(kind);
        }
        let reference = reference(bucket, key, version);
        if key.len() > MAX_KEY {
            return self.unknown(reference, "the key is longer than S3 allows; it was cut");
        }
        if found == Layout::Unknown {
            return self.unknown(reference, "the key fits no layout of CloudTrail");
        }
        if !self.trust.allows(bucket) {
            return self.not_allowed(reference);
        }
        if self.known.insert(reference.clone()) {
            self.announced.objects.push(reference);
        }
        Ok(())
    }

    /// Whatever is wrong with a key, a bucket that is not ours is told first.
    fn unknown(&mut self, reference: ObjectRef, error: &str) -> Read {
        if self.trust.allows(&reference.bucket) {
            self.refuse(reference, Cause::UnknownKey, error)
        } else {
            self.not_allowed(reference)
        }
    }

    fn not_allowed(&mut self, reference: ObjectRef) -> Read {
        let why = "the bucket is not in the list of buckets that may be read";
        self.refuse(reference, Cause::BucketNotAllowed, why)
    }

    #[expect(
        clippy::unnecessary_wraps,
        reason = "ends a reading like the other fates"
    )]
    fn ignore(&mut self, kind: Ignored) -> Read {
        self.announced.ignored.push(kind);
        Ok(())
    }

    #[expect(
        clippy::unnecessary_wraps,
        reason = "ends a reading like the other fates"
    )]
    fn refuse(&mut self, reference: ObjectRef, cause: Cause, error: &str) -> Read {
        if self.known.insert(reference.clone()) {
            self.announced.refused.push(Refused {
                reference,
                cause,
                error: error.to_owned(),
            });
        }
        Ok(())
    }
}

/// The text of serde's errors may quote values, so only their place is told.
fn parse<'a, T: Deserialize<'a>>(text: &'a str, what: &str) -> Result<T, NotUnderstood> {
    serde_json::from_str(text).map_err(|error| {
        let fault = if error.is_data() {
            "has another shape than any known envelope"
        } else {
            "is not JSON"
        };
        NotUnderstood::because(format!(
            "{what} {fault}, line {} column {}",
            error.line(),
            error.column()
        ))
    })
}

fn reference(bucket: &str, key: &str, version: Option<String>) -> ObjectRef {
    ObjectRef {
        bucket: cut(bucket, 255),
        key: cut(key, MAX_KEY),
        version,
    }
}

fn cut(text: &str, max: usize) -> String {
    text[..text.floor_char_boundary(max)].to_owned()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    const BUCKET: &str = "leanda-ng-cloudtrail-test-123456789012";
    const FOLDER: &str = "AWSLogs/123456789012/CloudTrail/eu-west-1/2026/11/22";

    fn read(body: &Value) -> Announced {
        objects(&body.to_string(), &Trust::new([BUCKET]))
    }

    fn s3(encoded_key: &str) -> Value {
        json!({
            "eventVersion": "2.1", "eventSource": "aws:s3", "awsRegion": "eu-west-1", "eventName": "ObjectCreated:Put",
            "s3": {"bucket": {"name": BUCKET}, "object": {"key": encoded_key, "size": 10, "versionId": "v1"}},
        })
    }

    fn sns(message: &str) -> Value {
        json!({"Type": "Notification", "MessageId": "m", "TopicArn": "arn:aws:sns:eu-west-1:123456789012:t", "Message": message})
    }

    fn event_bridge(key: &str) -> Value {
        json!({
            "version": "0", "detail-type": "Object Created", "source": "aws.s3", "region": "eu-west-1",
            "detail": {"version": "0", "bucket": {"name": BUCKET}, "object": {"key": key, "size": 10, "version-id": "v1"}},
        })
    }

    fn only_object(announced: &Announced) -> &ObjectRef {
        assert!(
            announced.refused.is_empty()
                && announced.ignored.is_empty()
                && announced.not_understood.is_none()
        );
        assert_eq!(announced.objects.len(), 1, "{announced:?}");
        &announced.objects[0]
    }

    fn reason(body: &Value) -> String {
        let announced = read(body);
        assert!(announced.objects.is_empty());
        announced.not_understood.unwrap().to_string()
    }

    #[test]
    fn an_s3_key_is_form_decoded_plus_first() {
        let announced =
            read(&json!({"Records": [s3(&format!("a+b%2Bc/{FOLDER}/n%C3%A4me.json.gz"))]}));
        let object = only_object(&announced);
        assert_eq!(object.key, format!("a b+c/{FOLDER}/näme.json.gz"));
        assert_eq!(object.version.as_deref(), Some("v1"));
    }

    #[test]
    fn an_event_bridge_key_is_taken_as_it_is() {
        let key = format!("a+b%2Bc/{FOLDER}/x.json.gz");
        let announced = read(&event_bridge(&key));
        assert_eq!(only_object(&announced).key, key);
        assert_eq!(only_object(&announced).version.as_deref(), Some("v1"));
    }

    #[test]
    fn a_cloudtrail_notification_may_name_several_raw_keys() {
        let keys = [
            format!("a+b/{FOLDER}/x.json.gz"),
            format!("{FOLDER}/y%20.json.gz"),
        ];
        let announced = read(&sns(
            &json!({"s3Bucket": BUCKET, "s3ObjectKey": keys}).to_string()
        ));
        let found: Vec<_> = announced
            .objects
            .iter()
            .map(|object| object.key.clone())
            .collect();
        assert_eq!(found, keys);
    }

    #[test]
    fn every_record_of_a_message_is_read_and_a_repeated_one_once() {
        let records: Vec<_> = ["x", "y", "x"]
            .iter()
            .map(|name| s3(&format!("{FOLDER}/{name}.json.gz")))
            .collect();
        assert_eq!(read(&json!({ "Records": records })).objects.len(), 2);
    }

    #[test]
    fn sns_is_unwrapped_twice_at_the_most() {
        let bare = json!({"Records": [s3(&format!("{FOLDER}/x.json.gz"))]}).to_string();
        let once = sns(&bare);
        let twice = sns(&once.to_string());
        let thrice = sns(&twice.to_string());
        only_object(&read(&once));
        only_object(&read(&twice));
        assert!(reason(&thrice).contains("inside each other"));
    }

    #[test]
    fn test_events_and_validation_texts_are_ignored_wherever_they_stand() {
        let test = json!({"Service": "Amazon S3", "Event": "s3:TestEvent", "Time": "2026-11-22T13:00:00.000Z", "Bucket": "b"});
        assert_eq!(read(&test).ignored, [Ignored::TestEvent]);
        assert_eq!(read(&sns(&test.to_string())).ignored, [Ignored::TestEvent]);
        assert_eq!(
            read(&sns("CloudTrail validation message.")).ignored,
            [Ignored::ValidationText]
        );
        let raw = objects("CloudTrail validation message.", &Trust::default());
        assert_eq!(raw.ignored, [Ignored::ValidationText]);
    }

    #[test]
    fn what_is_no_creation_is_ignored() {
        let mut removed = s3(&format!("{FOLDER}/x.json.gz"));
        removed["eventName"] = json!("ObjectRemoved:Delete");
        assert_eq!(
            read(&json!({ "Records": [removed] })).ignored,
            [Ignored::NotCreation]
        );
        let mut tagged = event_bridge(&format!("{FOLDER}/x.json.gz"));
        tagged["detail-type"] = json!("Object Tags Added");
        assert_eq!(read(&tagged).ignored, [Ignored::NotCreation]);
    }

    #[test]
    fn markers_and_other_services_files_are_ignored_by_kind() {
        let records = [
            s3("AWSLogs%2F123456789012%2F"),
            s3("AWSLogs/123456789012/Config/ConfigWritabilityCheckFile"),
        ];
        assert_eq!(
            read(&json!({ "Records": records })).ignored,
            [Ignored::Marker, Ignored::Config]
        );
    }

    #[test]
    fn only_a_bucket_of_the_list_is_read() {
        let key = format!("{FOLDER}/x.json.gz");
        for bucket in [
            "another",
            &format!("arn:aws:s3:::{BUCKET}"),
            "arn:aws:s3:eu-west-1:123456789012:accesspoint/x",
            &format!("{BUCKET}/x"),
            &format!("{BUCKET} "),
            &BUCKET.to_uppercase(),
            "",
        ] {
            let announced = read(&json!({"s3Bucket": bucket, "s3ObjectKey": [key]}));
            assert!(announced.objects.is_empty(), "{bucket}");
            assert_eq!(
                announced.refused[0].cause,
                Cause::BucketNotAllowed,
                "{bucket}"
            );
            assert_eq!(announced.refused[0].reference.bucket, bucket);
        }
    }

    #[test]
    fn a_strange_key_is_refused_and_the_others_are_read() {
        let long = format!("{}/{FOLDER}/x.json.gz", "ä".repeat(512));
        let keys = [
            format!("{FOLDER}/x.json.gz"),
            "backup/x.json.gz".to_owned(),
            long,
        ];
        let announced = read(&json!({"s3Bucket": BUCKET, "s3ObjectKey": keys}));
        assert_eq!(announced.objects.len(), 1);
        assert_eq!(
            announced
                .refused
                .iter()
                .map(|r| r.cause)
                .collect::<Vec<_>>(),
            [Cause::UnknownKey; 2]
        );
        assert!(
            announced
                .refused
                .iter()
                .all(|refused| refused.reference.key.len() <= MAX_KEY)
        );
    }

    #[test]
    fn a_key_that_is_not_utf_8_is_refused_as_it_came() {
        let announced = read(&json!({"Records": [s3(&format!("{FOLDER}/%FF.json.gz"))]}));
        assert_eq!(announced.refused[0].cause, Cause::UnknownKey);
        assert_eq!(
            announced.refused[0].reference.key,
            format!("{FOLDER}/%FF.json.gz")
        );
    }

    #[test]
    fn a_bucket_that_is_not_allowed_is_told_before_a_strange_key() {
        for key in ["%FF.json.gz", "backup/x.json.gz"] {
            let mut record = s3(key);
            record["s3"]["bucket"]["name"] = json!("another");
            let announced = read(&json!({"Records": [record]}));
            assert_eq!(announced.refused[0].cause, Cause::BucketNotAllowed, "{key}");
        }
    }

    #[test]
    fn an_entry_that_is_not_understood_does_not_take_the_others_with_it() {
        let announced = read(&json!({"Records": [{"odd": 1}, s3(&format!("{FOLDER}/x.json.gz"))]}));
        assert_eq!(announced.objects.len(), 1);
        assert!(
            announced
                .not_understood
                .unwrap()
                .to_string()
                .contains("`Records`")
        );
    }

    #[test]
    fn what_is_in_no_known_envelope_says_why() {
        let other_version = {
            let mut record = s3(&format!("{FOLDER}/x.json.gz"));
            record["eventVersion"] = json!("3.0");
            record
        };
        let other_bridge = {
            let mut event = event_bridge(&format!("{FOLDER}/x.json.gz"));
            event["detail"]["event-version"] = json!("2.0");
            event
        };
        for (body, expected) in [
            (json!({"hello": 1}), "no known envelope"),
            (json!({"Records": []}), "empty"),
            (json!({"s3Bucket": BUCKET, "s3ObjectKey": []}), "empty"),
            (json!({"Records": [other_version]}), "version `3.0`"),
            (other_bridge, "version `2.0`"),
            (
                json!({"Type": "SubscriptionConfirmation", "Message": "x", "Token": "t"}),
                "confirm",
            ),
            (json!({"Type": "Odd\u{1b}", "Message": "x"}), "`Odd\\u{1b}`"),
            (
                json!({"source": "aws.iam", "detail-type": "AWS API Call via CloudTrail", "detail": {}}),
                "only S3's",
            ),
            (json!({"Records": {}}), "another shape"),
            (json!([]), "another shape"),
        ] {
            assert!(
                reason(&body).contains(expected),
                "{body}: {}",
                reason(&body)
            );
        }
        let not_json = objects("not json", &Trust::default())
            .not_understood
            .unwrap();
        assert_eq!(
            not_json.to_string(),
            "the body is not JSON, line 1 column 2"
        );
        let twice = objects(r#"{"Records":[],"Records":[]}"#, &Trust::default());
        assert!(twice.not_understood.is_some());
    }

    #[test]
    fn deep_or_long_bodies_are_refused_without_harm() {
        let deep = format!("{}1{}", "[".repeat(400_000), "]".repeat(400_000));
        assert!(objects(&deep, &Trust::default()).not_understood.is_some());
        let member = format!(r#"{{"x":{deep}}}"#);
        assert!(objects(&member, &Trust::default()).not_understood.is_some());
        let long = " ".repeat(MAX_BODY + 1);
        assert!(
            objects(&long, &Trust::default())
                .not_understood
                .unwrap()
                .to_string()
                .contains("longer")
        );
    }

    proptest! {
        #[test]
        fn any_key_survives_its_envelope(prefix in "[^\u{0}-\u{1f}\u{7f}-\u{9f}]{0,40}") {
            let key = format!("{prefix}/{FOLDER}/x.json.gz");
            prop_assume!(key.split('/').all(|segment| segment != "." && segment != ".."));
            let encoded = percent_encoding::utf8_percent_encode(&key, percent_encoding::NON_ALPHANUMERIC);
            let form = encoded.to_string().replace("%20", "+");
            for body in [json!({"Records": [s3(&form)]}), event_bridge(&key), json!({"s3Bucket": BUCKET, "s3ObjectKey": [key]})] {
                let announced = read(&body);
                prop_assert_eq!(&only_object(&announced).key, &key);
            }
        }

        #[test]
        fn no_text_makes_it_panic_or_say_nothing(body in ".{0,200}") {
            let announced = objects(&body, &Trust::new([BUCKET]));
            prop_assert!(announced != Announced::default());
        }
    }
}
