//! An object that is announced twice at once is read once and delivered once.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::{
    collections::VecDeque,
    io::Write as _,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use flate2::{Compression, write::GzEncoder};
use futures_util::stream;
use sluicegate::{
    effects::EventView,
    event::{Object, ObjectKind, ObjectRef},
    finding::Finding,
    ledger::dynamodb::{DynamoDb, Settings},
    sink::{Accept, Batch, Limits, Refused, SendError, Sink, Unencodable},
    source::{Announcement, Lease, Message, OpenError, OpenObject, Priority, Source},
};
use sluicegate_tests::{aws::Aws, host::Setup, servers::Splunk};

const BUCKET: &str = "bucket";
const EVENTS: usize = 20;

/// A queue that hands out the same announcement again and again, at once, and an object that takes its
/// time to be read.
struct Repeating {
    messages: Mutex<VecDeque<Message>>,
    reads: Arc<AtomicU64>,
    deleted: AtomicU64,
}

impl Repeating {
    fn new(messages: usize) -> Arc<Self> {
        Arc::new(Self {
            messages: Mutex::new((0..messages).map(message).collect()),
            reads: Arc::default(),
            deleted: AtomicU64::new(0),
        })
    }

    async fn all_deleted(&self, count: u64) {
        for _ in 0..1_200 {
            if self.deleted.load(Ordering::SeqCst) == count {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("{:?} of {count} messages were deleted", self.deleted);
    }
}

fn reference() -> ObjectRef {
    ObjectRef {
        bucket: BUCKET.to_owned(),
        key: "AWSLogs/123456789012/CloudTrail/eu-west-1/2026/11/22/x.json.gz".to_owned(),
        version: None,
    }
}

fn message(number: usize) -> Message {
    Message {
        id: number.to_string(),
        receipt: number.to_string(),
        priority: Priority::Live,
        // Twice in one message, too.
        announcement: Announcement::Objects(vec![reference(), reference()]),
        receives: 1,
        received: std::time::Instant::now(),
    }
}

fn object() -> Bytes {
    let events: Vec<String> = (0..EVENTS)
        .map(|number| format!(r#"{{"eventVersion":"1.08","eventID":"e{number}","eventTime":"2026-11-22T00:00:00Z","eventName":"X","eventSource":"s3.amazonaws.com"}}"#))
        .collect();
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    write!(gzip, r#"{{"Records":[{}]}}"#, events.join(",")).unwrap();
    gzip.finish().unwrap().into()
}

#[async_trait]
impl Source for Repeating {
    async fn receive(&self, max: usize) -> anyhow::Result<Option<Vec<Message>>> {
        let messages: Vec<_> = {
            let mut left = self.messages.lock().unwrap();
            let count = max.min(left.len());
            left.drain(..count).collect()
        };
        if messages.is_empty() {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        Ok(Some(messages))
    }

    fn lease(&self, _: &Message) -> Lease {
        Lease::unlimited()
    }

    async fn delete(&self, _: Message) {
        self.deleted.fetch_add(1, Ordering::SeqCst);
    }

    async fn release(&self, message: Message, _: bool) {
        self.messages.lock().unwrap().push_back(message);
    }

    async fn open(&self, reference: &ObjectRef) -> Result<OpenObject, OpenError> {
        let reads = Arc::clone(&self.reads);
        let body = stream::once(async move {
            reads.fetch_add(1, Ordering::SeqCst);
            tokio::time::sleep(Duration::from_millis(500)).await;
            Ok(object())
        });
        Ok(OpenObject {
            object: Object::new(reference.clone(), "v1".to_owned(), ObjectKind::Log),
            size: None,
            body: Box::pin(body),
        })
    }

    async fn check(&self) -> anyhow::Result<String> {
        Ok("repeats itself".to_owned())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_host_reads_it_once() {
    let (source, splunk) = (Repeating::new(8), Splunk::start().await);
    let host = Setup::new(Arc::clone(&source) as Arc<dyn Source>, BUCKET)
        .splunk(&splunk)
        .start();
    source.all_deleted(8).await;
    let drained = host.drain().await;
    drained.sums_agree();
    assert_eq!(source.reads.load(Ordering::SeqCst), 1);
    assert_eq!(splunk.received().len(), EVENTS);
    let counted = &drained.counted;
    assert_eq!((counted.objects, counted.objects_skipped), (1, 7));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hosts_read_it_once() {
    let aws = Aws::start().await;
    aws.ledger_table("ledger").await;
    let settings = Settings {
        table: "ledger".to_owned(),
        region: "eu-west-1".to_owned(),
        endpoint_url: Some(aws.url().to_owned()),
        keep: Duration::from_hours(24),
    };
    let (source, splunk) = (Repeating::new(8), Splunk::start().await);
    let host = || {
        Setup::new(Arc::clone(&source) as Arc<dyn Source>, BUCKET)
            // So that one of them does not take all there are.
            .settings(|settings| settings.messages = 2)
            .ledger(Arc::new(DynamoDb::with_config(&settings, aws.config())))
            .splunk(&splunk)
            .start()
    };
    let hosts = [host(), host()];
    source.all_deleted(8).await;
    let mut handled = Vec::new();
    for host in hosts {
        let drained = host.drain().await;
        drained.sums_agree();
        handled.push(drained.counted.messages_deleted);
    }
    assert_eq!(source.reads.load(Ordering::SeqCst), 1);
    assert_eq!(splunk.received().len(), EVENTS);
    assert!(handled.iter().all(|count| *count > 0), "{handled:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_its_ledger_a_host_delivers_all_the_same() {
    let aws = Aws::start().await;
    let settings = Settings {
        table: "missing".to_owned(),
        region: "eu-west-1".to_owned(),
        endpoint_url: Some(aws.url().to_owned()),
        keep: Duration::from_hours(24),
    };
    let (source, splunk) = (Repeating::new(1), Splunk::start().await);
    let host = Setup::new(Arc::clone(&source) as Arc<dyn Source>, BUCKET)
        .ledger(Arc::new(DynamoDb::with_config(&settings, aws.config())))
        .splunk(&splunk)
        .start();
    source.all_deleted(1).await;
    host.drain().await.sums_agree();
    assert_eq!(splunk.received().len(), EVENTS);
}

/// A sink that panics at its first request, and takes the others.
#[derive(Default)]
struct Stumbling {
    requests: AtomicU64,
    taken: AtomicU64,
}

#[async_trait]
impl Sink for Stumbling {
    fn limits(&self) -> Limits {
        Limits {
            max_entries: 1_000,
            max_bytes: 1 << 20,
            max_entry_bytes: 1 << 20,
            frame_bytes: 0,
            separator_bytes: 0,
        }
    }

    fn encode_event(&self, event: &EventView<'_>, out: &mut Vec<u8>) -> Result<(), Unencodable> {
        event.write(b"", out);
        Ok(())
    }

    fn encode_finding(&self, _: &Finding, _: &mut Vec<u8>) -> Result<(), Unencodable> {
        Err(Unencodable("it takes events only".to_owned()))
    }

    async fn send(&self, batch: &Batch) -> Result<Vec<Refused>, SendError> {
        let first = self.requests.fetch_add(1, Ordering::SeqCst) == 0;
        assert!(!first, "it stumbles");
        self.taken.fetch_add(batch.len() as u64, Ordering::SeqCst);
        Ok(Vec::new())
    }

    async fn check(&self) -> anyhow::Result<String> {
        Ok("nothing to ask".to_owned())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_that_comes_again_passes_over_the_sinks_that_have_all_of_it() {
    let (source, splunk) = (Repeating::new(1), Splunk::start().await);
    let stumbling = Arc::new(Stumbling::default());
    let host = Setup::new(Arc::clone(&source) as Arc<dyn Source>, BUCKET)
        .splunk(&splunk)
        .sink("stumbling", Arc::clone(&stumbling) as _, &[Accept::Events])
        .start();
    source.all_deleted(1).await;
    let drained = host.drain().await;
    drained.sums_agree();
    assert_eq!(drained.counted.messages_released, 1);
    assert_eq!(source.reads.load(Ordering::SeqCst), 2);
    assert_eq!(stumbling.taken.load(Ordering::SeqCst), EVENTS as u64);
    assert_eq!(splunk.received().len(), EVENTS);
}
