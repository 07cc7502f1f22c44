//! S3 and SQS in memory, for what must be faster than a real server's imitation can be: benchmarks, and
//! backlogs of ten thousand messages.
//!
//! One bucket and one queue. It answers the calls that a host makes of them, as the services do when all
//! is well, and knows how long each message took from its announcement to its deletion. How strictly the
//! services take their calls is what moto and ministack are for.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use axum::{
    Router,
    body::{Body, Bytes, to_bytes},
    extract::Request,
    http::{Response, StatusCode, header},
};
use serde_json::{Value, json};
use tokio::sync::Notify;

/// The account that owns everything.
pub const ACCOUNT: &str = "123456789012";
/// The bucket.
pub const BUCKET: &str = "leanda-ng-cloudtrail-test-123456789012";
/// Larger requests than hosts make.
const MOST_BYTES: usize = 1 << 20;
/// SQS gives out so many messages at a time.
const MOST_MESSAGES: u64 = 10;

/// The server; it ends with the runtime.
pub struct StandIn {
    url: String,
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    objects: Mutex<HashMap<String, Bytes>>,
    queue: Mutex<Queue>,
    /// A message came, became visible again, or was deleted.
    news: Notify,
}

#[derive(Default)]
struct Queue {
    visible: VecDeque<Message>,
    /// By receipt handle.
    in_flight: HashMap<String, (Message, Instant)>,
    /// From the announcement to the deletion, of every message that was deleted.
    latencies: Vec<Duration>,
    numbers: u64,
}

struct Message {
    id: u64,
    body: String,
    announced: Instant,
    received: u64,
}

impl StandIn {
    /// Listens on loopback.
    ///
    /// # Panics
    /// When no port can be had.
    pub async fn start() -> Self {
        let state = Arc::new(State::default());
        let shared = Arc::clone(&state);
        let router = Router::new().fallback(move |request: Request| {
            let state = Arc::clone(&shared);
            async move { state.answer(request).await }
        });
        let (listener, address) = crate::servers::listen().await;
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self {
            url: format!("http://{address}"),
            state,
        }
    }

    /// The `[source]` section for a host that receives from the queue.
    #[must_use]
    pub fn source(&self) -> String {
        format!(
            "[source]\ntype = \"sqs\"\nqueue_url = \"{url}/{ACCOUNT}/announced\"\nregion = \"eu-west-1\"\n\
             endpoint_url = \"{url}\"\nwait_s = 1\nbuckets = [{{ name = \"{BUCKET}\", owner = \"{ACCOUNT}\" }}]\n",
            url = self.url,
        )
    }

    /// Puts an object, without announcing it.
    pub fn put(&self, key: &str, body: impl Into<Bytes>) {
        locked(&self.state.objects).insert(key.to_owned(), body.into());
    }

    /// Announces an object, as S3 does.
    pub fn announce(&self, key: &str) {
        let body = json!({ "Records": [{
            "eventVersion": "2.1", "eventSource": "aws:s3", "awsRegion": "eu-west-1",
            "eventTime": "2026-11-22T10:00:00.000Z", "eventName": "ObjectCreated:Put",
            "s3": { "s3SchemaVersion": "1.0",
                "bucket": { "name": BUCKET, "ownerIdentity": { "principalId": "A" },
                    "arn": format!("arn:aws:s3:::{BUCKET}") },
                "object": { "key": key, "size": 1 } },
        }]});
        let mut queue = locked(&self.state.queue);
        queue.numbers += 1;
        let message = Message {
            id: queue.numbers,
            body: body.to_string(),
            announced: Instant::now(),
            received: 0,
        };
        queue.visible.push_back(message);
        self.state.news.notify_waiters();
    }

    /// Messages that nobody has deleted yet.
    #[must_use]
    pub fn waiting(&self) -> usize {
        let queue = locked(&self.state.queue);
        queue.visible.len() + queue.in_flight.len()
    }

    /// Waits until so many messages were deleted since the start.
    pub async fn deleted(&self, count: usize) {
        loop {
            let news = self.state.news.notified();
            if locked(&self.state.queue).latencies.len() >= count {
                return;
            }
            news.await;
        }
    }

    /// How long each message took from its announcement to its deletion, in the order of the deletions.
    #[must_use]
    pub fn latencies(&self) -> Vec<Duration> {
        locked(&self.state.queue).latencies.clone()
    }
}

fn locked<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

fn answer(status: StatusCode, kind: &str, body: impl Into<Body>) -> Response<Body> {
    Response::builder()
        .status(status)
        .header(header::CONTENT_TYPE, kind)
        .header(header::ETAG, "\"1\"")
        .body(body.into())
        .expect("these are headers")
}

impl State {
    async fn answer(&self, request: Request) -> Response<Body> {
        let (head, body) = request.into_parts();
        let target = head.headers.get("x-amz-target");
        let Some(operation) = target.and_then(|target| target.to_str().ok()) else {
            return self.get_object(head.uri.path());
        };
        let operation = operation.rsplit('.').next().unwrap_or_default().to_owned();
        let asked = to_bytes(body, MOST_BYTES).await.unwrap_or_default();
        let asked = serde_json::from_slice(&asked).unwrap_or_default();
        let said = match operation.as_str() {
            "ReceiveMessage" => self.receive(&asked).await,
            "DeleteMessageBatch" => self.delete(&asked),
            "ChangeMessageVisibility" => self.change(&asked),
            "GetQueueAttributes" => json!({ "Attributes": { "VisibilityTimeout": "60" } }),
            _ => return answer(StatusCode::NOT_IMPLEMENTED, "text/plain", operation),
        };
        let kind = "application/x-amz-json-1.0";
        answer(StatusCode::OK, kind, said.to_string())
    }

    fn get_object(&self, path: &str) -> Response<Body> {
        let key = path.strip_prefix('/').and_then(|path| {
            let (bucket, key) = path.split_once('/')?;
            (bucket == BUCKET).then_some(key)
        });
        let object = key.and_then(|key| locked(&self.objects).get(key).cloned());
        match object {
            Some(object) => answer(StatusCode::OK, "binary/octet-stream", object),
            None => answer(
                StatusCode::NOT_FOUND,
                "application/xml",
                "<Error><Code>NoSuchKey</Code></Error>",
            ),
        }
    }

    async fn receive(&self, asked: &Value) -> Value {
        let seconds = |name: &str| Duration::from_secs(asked[name].as_u64().unwrap_or(0));
        let deadline = Instant::now() + seconds("WaitTimeSeconds");
        let most = asked["MaxNumberOfMessages"].as_u64().unwrap_or(1);
        loop {
            let news = self.news.notified();
            let messages =
                locked(&self.queue).take(most.min(MOST_MESSAGES), seconds("VisibilityTimeout"));
            let left = deadline.saturating_duration_since(Instant::now());
            if !messages.is_empty() || left.is_zero() {
                return json!({ "Messages": messages });
            }
            // Whether news came or not, the queue is looked at again.
            let _ = tokio::time::timeout(left, news).await;
        }
    }

    fn delete(&self, asked: &Value) -> Value {
        let mut queue = locked(&self.queue);
        let entries = asked["Entries"].as_array().into_iter().flatten();
        let done: Vec<_> = entries
            .map(|entry| {
                queue.settle(entry["ReceiptHandle"].as_str().unwrap_or_default());
                json!({ "Id": entry["Id"] })
            })
            .collect();
        self.news.notify_waiters();
        json!({ "Successful": done, "Failed": [] })
    }

    fn change(&self, asked: &Value) -> Value {
        let receipt = asked["ReceiptHandle"].as_str().unwrap_or_default();
        let seconds = asked["VisibilityTimeout"].as_u64().unwrap_or(0);
        let until = Instant::now() + Duration::from_secs(seconds);
        if let Some((_, visible)) = locked(&self.queue).in_flight.get_mut(receipt) {
            *visible = until;
        }
        self.news.notify_waiters();
        json!({})
    }
}

impl Queue {
    /// Receives up to so many messages, for so long.
    fn take(&mut self, most: u64, visibility: Duration) -> Vec<Value> {
        let now = Instant::now();
        if self.visible.is_empty() {
            let ended = self.in_flight.extract_if(|_, (_, until)| *until <= now);
            self.visible.extend(ended.map(|(_, (message, _))| message));
        }
        let mut given = Vec::new();
        for _ in 0..most {
            let Some(mut message) = self.visible.pop_front() else {
                break;
            };
            message.received += 1;
            let receipt = format!("{}-{}", message.id, message.received);
            given.push(json!({
                "MessageId": message.id.to_string(),
                "ReceiptHandle": receipt,
                "Body": message.body,
                "Attributes": { "ApproximateReceiveCount": message.received.to_string() },
            }));
            self.in_flight.insert(receipt, (message, now + visibility));
        }
        given
    }

    fn settle(&mut self, receipt: &str) {
        if let Some((message, _)) = self.in_flight.remove(receipt) {
            self.latencies.push(message.announced.elapsed());
        }
    }
}
