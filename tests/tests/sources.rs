//! Sources against real servers: every envelope, and what becomes of messages and objects.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::{path::Path, time::Duration};

use futures_util::TryStreamExt;
use serde_json::{Value, json};
use sluicegate::{
    deadletter::Cause,
    event::{ObjectKind, ObjectRef},
    source::{
        Announcement, Message, OpenError, Priority, Source,
        layout::Ignored,
        notification::{self, Announced, Trust},
        sqs::Sqs,
    },
};
use sluicegate_tests::aws::{Aws, Depth, Wired};

/// Every character that an envelope could get wrong.
const KEY: &str = "a+b c%2Bä/AWSLogs/123456789012/CloudTrail/eu-west-1/2026/11/22/123456789012_CloudTrail_eu-west-1_20261122T1320Z_Ab3dEf6hIj9lMn2p.json.gz";

async fn receive(source: &Sqs) -> Message {
    for _ in 0..10 {
        if let Some(message) = source.receive(1).await.unwrap().unwrap().pop() {
            return message;
        }
    }
    panic!("no message came");
}

fn body(message: &Message) -> &str {
    match &message.announcement {
        Announcement::Notification(body) => body,
        Announcement::Objects(_) => panic!("a queue has notifications"),
    }
}

/// Receives and settles until an object is announced.
async fn announced(source: &Sqs, trust: &Trust) -> (Message, ObjectRef, Vec<Ignored>) {
    let mut ignored = Vec::new();
    loop {
        let message = receive(source).await;
        let found: Announced = notification::objects(body(&message), trust);
        assert_eq!(found.not_understood, None, "{}", body(&message));
        assert_eq!(found.refused, [], "{}", body(&message));
        ignored.extend(found.ignored);
        match found.objects.as_slice() {
            [] => source.delete(message).await,
            [object] => return (message, object.clone(), ignored),
            more => panic!("one object was written, and announced were {more:?}"),
        }
    }
}

async fn an_object_comes_through(aws: &Aws, kind: &str) -> Vec<Ignored> {
    let wired = aws.wire(kind, &format!("way-{kind}")).await;
    let source = aws.source(&wired).await;
    let version = aws
        .put_object(&wired.bucket, KEY, b"stored bytes".to_vec())
        .await;
    if let ("cloudtrail", Some(topic)) = (kind, &wired.topic_arn) {
        let message = json!({"s3Bucket": wired.bucket, "s3ObjectKey": [KEY]});
        aws.publish(topic, "CloudTrail validation message.").await;
        aws.publish(topic, &message.to_string()).await;
    }
    let (message, reference, ignored) = announced(&source, &aws.settings(&wired).trust()).await;
    assert_eq!(
        (reference.bucket.as_str(), reference.key.as_str()),
        (wired.bucket.as_str(), KEY),
        "{kind}"
    );
    let opened = source.open(&reference).await.unwrap();
    assert_eq!(opened.size, Some(12));
    assert_eq!(opened.object.kind, ObjectKind::Log);
    assert_eq!(Some(&opened.object.revision), version.as_ref(), "{kind}");
    assert_eq!(
        opened.body.try_collect::<Vec<_>>().await.unwrap().concat(),
        b"stored bytes"
    );
    source.delete(message).await;
    ignored
}

#[tokio::test]
async fn every_envelope_of_moto_announces_the_object() {
    let aws = Aws::start().await;
    for kind in ["sqs", "sns", "sns-raw"] {
        assert_eq!(
            an_object_comes_through(&aws, kind).await,
            [Ignored::TestEvent],
            "{kind}"
        );
    }
    an_object_comes_through(&aws, "eventbridge").await;
    assert_eq!(
        an_object_comes_through(&aws, "cloudtrail").await,
        [Ignored::ValidationText]
    );
}

#[tokio::test]
async fn every_envelope_of_ministack_announces_the_object() {
    let aws = Aws::start_ministack().await;
    for kind in ["sqs", "sns", "sns-raw", "eventbridge"] {
        an_object_comes_through(&aws, kind).await;
    }
    assert_eq!(
        an_object_comes_through(&aws, "cloudtrail").await,
        [Ignored::ValidationText]
    );
}

/// A queue whose messages stay invisible for two seconds.
async fn queue(aws: &Aws) -> (Wired, Sqs) {
    let wired = aws.wire("none", "verbs").await;
    let mut settings = aws.settings(&wired);
    settings.visibility_timeout_s = Some(2);
    let source = Sqs::with_config(&settings, aws.config()).await.unwrap();
    (wired, source)
}

fn depth(visible: u32, in_flight: u32) -> Depth {
    Depth { visible, in_flight }
}

async fn messages_are_released_leased_and_deleted(aws: &Aws) {
    let (wired, source) = queue(aws).await;
    aws.send_message(&wired.queue_url, "one").await;
    let message = receive(&source).await;
    assert_eq!((body(&message), message.receives), ("one", 1));
    assert_eq!(aws.depth(&wired.queue_url).await, depth(0, 1));

    source.release(message, false).await;
    assert_eq!(
        aws.depth(&wired.queue_url).await,
        depth(1, 0),
        "not started: visible at once"
    );
    let message = receive(&source).await;
    assert_eq!(message.receives, 2);

    let lease = source.lease(&message);
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(
        aws.depth(&wired.queue_url).await,
        depth(0, 1),
        "the lease outlives the visibility of two seconds"
    );
    drop(lease);
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(
        aws.depth(&wired.queue_url).await,
        depth(1, 0),
        "nobody keeps it any more"
    );

    let message = receive(&source).await;
    source.release(message, true).await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(
        aws.depth(&wired.queue_url).await,
        depth(0, 1),
        "started: it rests longer than its visibility"
    );
}

async fn a_bad_receipt_takes_no_good_one_with_it(aws: &Aws) {
    let wired = aws.wire("none", "receipts").await;
    let source = aws.source(&wired).await;
    aws.send_message(&wired.queue_url, "one").await;
    let good = receive(&source).await;
    let bad = Message {
        id: "bad".to_owned(),
        receipt: "no receipt".to_owned(),
        priority: Priority::Live,
        announcement: good.announcement.clone(),
        receives: 1,
        received: good.received,
    };
    tokio::join!(source.delete(bad), source.delete(good));
    aws.queue_is_empty(&wired.queue_url).await;
}

#[tokio::test]
async fn moto_keeps_and_gives_up_messages_as_asked() {
    let aws = Aws::start().await;
    messages_are_released_leased_and_deleted(&aws).await;
    a_bad_receipt_takes_no_good_one_with_it(&aws).await;
}

#[tokio::test]
async fn ministack_keeps_and_gives_up_messages_as_asked() {
    let aws = Aws::start_ministack().await;
    messages_are_released_leased_and_deleted(&aws).await;
    a_bad_receipt_takes_no_good_one_with_it(&aws).await;
}

async fn lost(source: &Sqs, reference: &ObjectRef) -> (Cause, String) {
    match source.open(reference).await {
        Err(OpenError::Lost { cause, error }) => (cause, format!("{error:#}")),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn what_cannot_be_read_says_why() {
    let aws = Aws::start().await;
    let wired = aws.wire("none", "objects").await;
    let source = aws.source(&wired).await;
    let reference = ObjectRef {
        bucket: wired.bucket.clone(),
        key: KEY.to_owned(),
        version: None,
    };
    assert_eq!(lost(&source, &reference).await.0, Cause::ObjectMissing);

    let first = aws.put_object(&wired.bucket, KEY, b"first".to_vec()).await;
    aws.put_object(&wired.bucket, KEY, b"second".to_vec()).await;
    let old = ObjectRef {
        version: first.clone(),
        ..reference.clone()
    };
    let opened = source.open(&old).await.unwrap();
    assert_eq!(opened.object.reference.version, first);
    assert_eq!(
        opened.body.try_collect::<Vec<_>>().await.unwrap().concat(),
        b"first"
    );

    aws.s3()
        .delete_object()
        .bucket(&wired.bucket)
        .key(KEY)
        .send()
        .await
        .unwrap();
    assert_eq!(
        lost(&source, &reference).await.0,
        Cause::ObjectMissing,
        "a delete marker"
    );
    source.open(&old).await.unwrap();

    let glacier = aws_sdk_s3::types::StorageClass::Glacier;
    let request = aws
        .s3()
        .put_object()
        .bucket(&wired.bucket)
        .key(KEY)
        .storage_class(glacier);
    request.send().await.unwrap();
    let (cause, text) = lost(&source, &reference).await;
    assert_eq!(cause, Cause::ObjectArchived);
    assert!(text.contains("aws s3api restore-object --bucket"), "{text}");

    let elsewhere = ObjectRef {
        bucket: "another".to_owned(),
        ..reference.clone()
    };
    assert!(matches!(
        source.open(&elsewhere).await,
        Err(OpenError::Denied(_))
    ));
    let strange = ObjectRef {
        key: "x.json.gz".to_owned(),
        ..reference
    };
    assert_eq!(lost(&source, &strange).await.0, Cause::UnknownKey);
}

#[tokio::test]
async fn the_stack_deploys_and_announces() {
    let aws = Aws::start().await;
    let stack = aws.deploy().await;
    assert_eq!(
        stack.bucket,
        format!("leanda-ng-cloudtrail-test-{}", stack.owner)
    );
    assert!(
        stack
            .topic_arn
            .as_ref()
            .unwrap()
            .ends_with(":leanda-ng-cloudtrail-alerts-test")
    );
    for resource in [
        "Alerts",
        "DeadLetterQueue",
        "Key",
        "LedgerTable",
        "LogGroup",
        "Queue",
        "StateBucket",
        "TaskRole",
        "TrailBucket",
    ] {
        assert!(
            stack.resources.iter().any(|made| made == resource),
            "{resource}: {:?}",
            stack.resources
        );
    }
    let source = aws.source(&stack).await;
    let summary = source.check().await.unwrap();
    assert!(
        summary.contains("visibility 120 s, has a dead-letter queue"),
        "{summary}"
    );
    let key = KEY.trim_start_matches("a+b c%2Bä/");
    aws.put_object(&stack.bucket, key, b"x".to_vec()).await;
    let (message, reference, _) = announced(&source, &aws.settings(&stack).trust()).await;
    assert_eq!(reference.key, key);
    source.delete(message).await;
    aws.queue_is_empty(&stack.queue_url).await;
}

/// The bodies of messages inside a fixture: of SQS's and SNS's events for Lambda, or the fixture itself.
fn bodies(fixture: &Value) -> Vec<String> {
    let inner = |record: &Value| {
        record["body"]
            .as_str()
            .map(str::to_owned)
            .or_else(|| record.get("Sns").map(Value::to_string))
    };
    let records = fixture["Records"].as_array().cloned().unwrap_or_default();
    let found: Vec<_> = records.iter().filter_map(inner).collect();
    if found.is_empty() {
        vec![fixture.to_string()]
    } else {
        found
    }
}

/// What becomes of a body, for a reader who trusts every bucket of the fixtures.
fn fate(body: &str) -> &'static str {
    let trust = Trust::new([
        "lambda-artifacts-deafc19498e3f2df",
        "ct-siem-sync",
        "amzn-s3-demo-bucket1",
    ]);
    let found = notification::objects(body, &trust);
    match (
        found.objects.as_slice(),
        found.refused.as_slice(),
        found.ignored.as_slice(),
        found.not_understood,
    ) {
        ([], [], [kind], None) => kind.as_str(),
        ([], [refused], [], None) => refused.cause.as_str(),
        ([], [], [], Some(_)) => Cause::NotUnderstood.as_str(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn published_notifications_are_understood() {
    let corpus = std::env::var("SLUICEGATE_CORPUS")
        .unwrap_or_else(|_| concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/data").to_owned());
    let folder = Path::new(&corpus).join("notification-fixtures");
    if !folder.is_dir() {
        eprintln!(
            "skipped: {} is not there; SLUICEGATE_CORPUS names another folder",
            folder.display()
        );
        return;
    }
    for (name, expected) in [
        (
            "eventbridge-object-annotation-created",
            vec!["not-creation"],
        ),
        ("eventbridge-object-created", vec!["other-file"]),
        ("eventbridge-object-created-plus-key", vec!["unknown-key"]),
        (
            "eventbridge-object-created-unsupported-version",
            vec!["not-understood"],
        ),
        ("eventbridge-object-deleted", vec!["not-creation"]),
        ("eventbridge-object-restore-completed", vec!["not-creation"]),
        ("s3-event-object-created", vec!["other-file"]),
        ("s3-event-urlencoded-key", vec!["unknown-key"]),
        ("s3-test-event", vec!["test-event"]),
        ("sns-s3-event", vec!["other-file"]),
        ("sns-s3-test-event", vec!["test-event"]),
        (
            "sqs-batch-partial-garbage",
            vec!["other-file", "not-understood", "unknown-key"],
        ),
        ("sqs-s3-event", vec!["other-file"]),
        ("sqs-sns-event", vec!["other-file"]),
    ] {
        let text = std::fs::read_to_string(folder.join(format!("{name}.json"))).unwrap();
        let fixture: Value = serde_json::from_str(&text).unwrap();
        let fates: Vec<_> = bodies(&fixture).iter().map(|body| fate(body)).collect();
        assert_eq!(fates, expected, "{name}");
    }
}
