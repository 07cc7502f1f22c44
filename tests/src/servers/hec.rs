//! Splunk's HTTP Event Collector.

use std::sync::{
    Mutex,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};

use axum::{
    http::{HeaderValue, Method, header::SET_COOKIE},
    response::Response,
};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{
    Fault, Request, Running, Serve, Shared,
    hec_ack::{Acknowledgements, is_guid},
    json, locked, page,
};

const CHANNEL: &str = "x-splunk-request-channel";
const TOKEN: &str = "11111111-2222-4333-8444-555555555555";

/// One accepted event, each part as the JSON text that arrived.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HecEvent {
    /// Seconds since 1970.
    pub time: Option<String>,
    /// Without quotes.
    pub source: Option<String>,
    /// Without quotes.
    pub sourcetype: Option<String>,
    /// Without quotes.
    pub host: Option<String>,
    /// Without quotes.
    pub index: Option<String>,
    /// The event, byte for byte.
    pub event: String,
    /// Indexed fields, byte for byte.
    pub fields: Option<String>,
}

/// A collector that listens on loopback.
pub type Splunk = Running<Collector>;

/// What it is set to and has seen.
pub struct Collector {
    shared: Shared<HecEvent>,
    indexes: Vec<&'static str>,
    max_bytes: AtomicUsize,
    wants_channel: AtomicBool,
    keeps_before_invalid: AtomicBool,
    token_enabled: AtomicBool,
    acknowledgements: Mutex<Option<Acknowledgements>>,
}

impl Splunk {
    /// A collector with one token, which allows the indexes `main` and `cloudtrail`, and takes
    /// 1,000,000 bytes a request.
    pub async fn start() -> Self {
        Running::of(Collector {
            shared: Shared::default(),
            indexes: vec!["main", "cloudtrail"],
            max_bytes: AtomicUsize::new(1_000_000),
            wants_channel: AtomicBool::new(false),
            keeps_before_invalid: AtomicBool::new(false),
            token_enabled: AtomicBool::new(true),
            acknowledgements: Mutex::default(),
        })
        .await
    }

    /// The token that it takes.
    #[must_use]
    pub fn token(&self) -> &'static str {
        TOKEN
    }

    /// Refuses the token as disabled, or takes it again.
    pub fn enable_token(&self, enabled: bool) {
        self.server.token_enabled.store(enabled, Ordering::SeqCst);
    }

    /// Behaves like a token with indexer acknowledgement: requests need a channel.
    pub fn want_channel(&self) {
        self.server.wants_channel.store(true, Ordering::SeqCst);
    }

    /// Acknowledges what it indexes, each request after so many questions about it, on so many indexers
    /// behind a load balancer with sticky cookies.
    pub fn acknowledge(&self, indexers: usize, questions: u32) {
        self.want_channel();
        *locked(&self.server.acknowledgements) = Some(Acknowledgements::new(indexers, questions));
    }

    fn acknowledging(&self, tell: impl FnOnce(&mut Acknowledgements)) {
        tell(
            locked(&self.server.acknowledgements)
                .as_mut()
                .expect("after `acknowledge`"),
        );
    }

    /// Never acknowledges the next so many requests.
    pub fn lose_acknowledgements(&self, count: usize) {
        self.acknowledging(|how| how.lost = count);
    }

    /// Numbers the requests from 0 again, like an indexer that was restarted.
    pub fn forget_numbers(&self) {
        self.acknowledging(|how| how.forgetful = true);
    }

    /// Answers the next questions for acknowledgements with these statuses.
    pub fn fail_questions_with(&self, statuses: impl IntoIterator<Item = u16>) {
        self.acknowledging(|how| how.faults.extend(statuses));
    }

    /// Questions for acknowledgements that were asked.
    #[must_use]
    pub fn questions(&self) -> usize {
        let mut asked = 0;
        self.acknowledging(|how| asked = how.asked);
        asked
    }

    /// Indexes the events before an invalid one, as the real one may.
    pub fn keep_events_before_an_invalid_one(&self) {
        self.server
            .keeps_before_invalid
            .store(true, Ordering::SeqCst);
    }

    /// Most uncompressed bytes of a request.
    pub fn limit_bytes(&self, bytes: usize) {
        self.server.max_bytes.store(bytes, Ordering::SeqCst);
    }
}

/// How a request is turned down: by the collector itself, or by the web server around it.
enum Rejection {
    Spoken(Refusal),
    Page(u16, &'static str),
}

/// A refusal: status, code and text of the collector, and the event at fault.
struct Refusal {
    status: u16,
    code: u16,
    text: &'static str,
    number: Option<usize>,
}

impl Refusal {
    fn new(status: u16, code: u16, text: &'static str) -> Self {
        Self {
            status,
            code,
            text,
            number: None,
        }
    }

    fn of(number: usize, code: u16, text: &'static str) -> Self {
        Self {
            status: 400,
            code,
            text,
            number: Some(number),
        }
    }

    fn response(&self) -> Response {
        let mut body = serde_json::json!({ "text": self.text, "code": self.code });
        if let Some(number) = self.number {
            body["invalid-event-number"] = number.into();
        }
        json(self.status, &body)
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Envelope<'a> {
    #[serde(borrow, default)]
    time: Option<&'a RawValue>,
    #[serde(default)]
    host: Option<String>,
    #[serde(default)]
    source: Option<String>,
    #[serde(default)]
    sourcetype: Option<String>,
    #[serde(default)]
    index: Option<String>,
    #[serde(borrow, default)]
    event: Option<&'a RawValue>,
    #[serde(borrow, default)]
    fields: Option<&'a RawValue>,
}

impl Serve for Collector {
    type Accepted = HecEvent;

    fn shared(&self) -> &Shared<HecEvent> {
        &self.shared
    }

    async fn answer(&self, request: Request) -> Response {
        let path = request.uri.path();
        if path.starts_with("/services/collector/health") {
            return if request.method == Method::GET {
                json(
                    200,
                    &serde_json::json!({ "text": "HEC is healthy", "code": 17 }),
                )
            } else {
                page(405, "Method Not Allowed")
            };
        }
        let route = locked(&self.acknowledgements)
            .as_mut()
            .map(|how| how.route(&request));
        let node = route.as_ref().map(|(node, _)| *node);
        let mut response = if path == "/services/collector/ack" {
            self.acks(&request, node)
        } else {
            self.events(&request, node).await
        };
        if let Some((_, cookie)) = route {
            let cookie = HeaderValue::from_str(&cookie).expect("digits and names");
            response.headers_mut().append(SET_COOKIE, cookie);
        }
        response
    }
}

impl Collector {
    async fn events(&self, request: &Request, node: Option<usize>) -> Response {
        let path = request.uri.path();
        let fault = self.shared.next_fault();
        if let Some(answer) = request.play(&fault).await {
            return answer;
        }
        if !matches!(
            path,
            "/services/collector" | "/services/collector/event" | "/services/collector/event/1.0"
        ) {
            self.shared.violation(format!("no such address: {path}"));
            return page(404, "The requested URL was not found on this server.");
        }
        if request.method != Method::POST {
            self.shared.violation(format!("method {}", request.method));
            return page(405, "Method Not Allowed");
        }
        match self.accept(request, &fault) {
            Ok(()) => {
                let mut body = serde_json::json!({ "text": "Success", "code": 0 });
                if let Some((how, node)) = locked(&self.acknowledgements).as_mut().zip(node) {
                    let channel = request.header(CHANNEL).unwrap_or_default();
                    body["ackId"] = how.take(node, channel).into();
                }
                if fault == Fault::ResetAfter {
                    return request.connection.reset();
                }
                json(200, &body)
            }
            Err(Rejection::Spoken(refusal)) => {
                if !matches!(fault, Fault::InvalidEvent(_)) {
                    self.shared
                        .violation(format!("code {}: {}", refusal.code, refusal.text));
                }
                refusal.response()
            }
            Err(Rejection::Page(status, text)) => page(status, text),
        }
    }

    /// Questions for acknowledgements.
    fn acks(&self, request: &Request, node: Option<usize>) -> Response {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Question {
            acks: Vec<usize>,
        }
        if let Err(refusal) = self.authorize(request) {
            self.shared
                .violation(format!("a question: code {}", refusal.code));
            return refusal.response();
        }
        let mut acknowledgements = locked(&self.acknowledgements);
        let Some((how, node)) = acknowledgements.as_mut().zip(node) else {
            return Refusal::new(400, 14, "ACK is disabled").response();
        };
        if let Some(status) = how.faults.pop_front() {
            return page(status, "the server fails on command");
        }
        let Ok(question) = serde_json::from_slice::<Question>(&request.body) else {
            self.shared.violation("a question that is none");
            return Refusal::new(400, 6, "Invalid data format").response();
        };
        let channel = request.header(CHANNEL).unwrap_or_default();
        let acks = how.answer(node, channel, &question.acks);
        json(200, &serde_json::json!({ "acks": acks }))
    }

    fn accept(&self, request: &Request, fault: &Fault) -> Result<(), Rejection> {
        self.authorize(request).map_err(Rejection::Spoken)?;
        if !request.is_json() {
            self.shared
                .violation("the content type is not application/json");
            return Err(Rejection::Page(415, "Unsupported Media Type"));
        }
        let Some(body) = request.plain_body(&["gzip"]) else {
            self.shared
                .violation("the content encoding is unknown or broken");
            return Err(Rejection::Page(415, "Unsupported Media Type"));
        };
        if body.len() > self.max_bytes.load(Ordering::SeqCst) {
            self.shared
                .violation(format!("{} bytes in a request", body.len()));
            return Err(Rejection::Page(413, "Request Entity Too Large"));
        }
        let mut events = Vec::new();
        for (number, envelope) in serde_json::Deserializer::from_slice(&body)
            .into_iter::<&RawValue>()
            .enumerate()
        {
            let event = envelope
                .map_err(|_| Refusal::of(number, 6, "Invalid data format"))
                .and_then(|text| self.event(number, text))
                .and_then(|event| match fault {
                    Fault::InvalidEvent(at) if *at == number => {
                        Err(Refusal::of(number, 6, "Invalid data format"))
                    }
                    _ => Ok(event),
                });
            match event {
                Ok(event) => events.push(event),
                Err(refusal) => {
                    if self.keeps_before_invalid.load(Ordering::SeqCst) {
                        self.shared.accept(events);
                    }
                    return Err(Rejection::Spoken(refusal));
                }
            }
        }
        if events.is_empty() {
            return Err(Rejection::Spoken(Refusal::new(400, 5, "No data")));
        }
        self.shared.accept(events);
        Ok(())
    }

    fn authorize(&self, request: &Request) -> Result<(), Refusal> {
        if request
            .uri
            .query()
            .is_some_and(|query| query.contains("token="))
        {
            return Err(Refusal::new(
                400,
                16,
                "Query string authorization is not enabled",
            ));
        }
        let Some(authorization) = request.header("authorization") else {
            return Err(Refusal::new(401, 2, "Token is required"));
        };
        let Some(token) = authorization.strip_prefix("Splunk ") else {
            return Err(Refusal::new(401, 3, "Invalid authorization"));
        };
        if token != TOKEN {
            return Err(Refusal::new(403, 4, "Invalid token"));
        }
        if !self.token_enabled.load(Ordering::SeqCst) {
            return Err(Refusal::new(403, 1, "Token disabled"));
        }
        if self.wants_channel.load(Ordering::SeqCst) && request.header(CHANNEL).is_none() {
            return Err(Refusal::new(400, 10, "Data channel is missing"));
        }
        if request
            .header(CHANNEL)
            .is_some_and(|channel| !is_guid(channel))
        {
            return Err(Refusal::new(400, 11, "Invalid data channel"));
        }
        Ok(())
    }

    fn event(&self, number: usize, text: &RawValue) -> Result<HecEvent, Refusal> {
        // Arrays happen to be taken by some versions; the contract is one object after the other.
        let envelope: Envelope<'_> = match text.get().as_bytes().first() {
            Some(b'{') => serde_json::from_str(text.get())
                .map_err(|_| Refusal::of(number, 6, "Invalid data format"))?,
            _ => return Err(Refusal::of(number, 6, "Invalid data format")),
        };
        let event = envelope
            .event
            .ok_or_else(|| Refusal::of(number, 12, "Event field is required"))?;
        if matches!(event.get(), "\"\"" | "null") {
            return Err(Refusal::of(number, 13, "Event field cannot be blank"));
        }
        if let Some(time) = envelope.time {
            let text = time.get().trim_matches('"');
            // Seconds; what looks like milliseconds would be filed in the far future.
            let seconds = text
                .parse::<f64>()
                .ok()
                .filter(|seconds| (0.0..1e11).contains(seconds));
            seconds.ok_or_else(|| Refusal::of(number, 6, "Invalid data format"))?;
        }
        if let Some(index) = &envelope.index
            && !self.indexes.contains(&index.as_str())
        {
            return Err(Refusal::of(number, 7, "Incorrect index"));
        }
        if let Some(fields) = envelope.fields {
            check_fields(fields.get()).map_err(|(code, text)| Refusal::of(number, code, text))?;
        }
        Ok(HecEvent {
            time: envelope.time.map(|time| time.get().to_owned()),
            source: envelope.source,
            sourcetype: envelope.sourcetype,
            host: envelope.host,
            index: envelope.index,
            event: event.get().to_owned(),
            fields: envelope.fields.map(|fields| fields.get().to_owned()),
        })
    }
}

/// Indexed fields are flat: strings, numbers, and lists of strings.
fn check_fields(text: &str) -> Result<(), (u16, &'static str)> {
    let Ok(serde_json::Value::Object(fields)) = serde_json::from_str(text) else {
        return Err((6, "Invalid data format"));
    };
    let flat = |value: &serde_json::Value| match value {
        serde_json::Value::String(_) | serde_json::Value::Number(_) => true,
        serde_json::Value::Array(items) => items.iter().all(serde_json::Value::is_string),
        _ => false,
    };
    if fields.values().all(flat) {
        Ok(())
    } else {
        Err((15, "Error in handling indexed fields"))
    }
}
