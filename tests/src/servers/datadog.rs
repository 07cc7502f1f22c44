//! Datadog's log intake, version 2.

use std::time::{Duration, SystemTime};

use axum::{http::Method, response::Response};
use serde_json::{Value, value::RawValue};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use super::{Fault, Request, Running, Serve, Shared, json, page};

const KEY: &str = "0123456789abcdef0123456789abcdef";
const MAX_BYTES: usize = 5_000_000;
const MAX_LOGS: usize = 1000;
const MAX_LOG_BYTES: usize = 1_000_000;

/// One accepted log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Log {
    /// Byte for byte.
    pub text: String,
}

impl Log {
    /// The log, parsed.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_default()
    }
}

/// An intake that listens on loopback.
pub type Datadog = Running<Intake>;

/// What it is set to and has seen.
pub struct Intake {
    shared: Shared<Log>,
}

impl Datadog {
    /// An intake with one API key.
    pub async fn start() -> Self {
        Running::of(Intake {
            shared: Shared::default(),
        })
        .await
    }

    /// The API key that it takes.
    #[must_use]
    pub fn token(&self) -> &'static str {
        KEY
    }
}

fn error(status: u16, title: &str) -> Response {
    json(
        status,
        &serde_json::json!({ "errors": [{ "status": status.to_string(), "title": title }] }),
    )
}

impl Serve for Intake {
    type Accepted = Log;

    fn shared(&self) -> &Shared<Log> {
        &self.shared
    }

    async fn answer(&self, request: Request) -> Response {
        if request.uri.path() == "/api/v1/validate" && request.method == Method::GET {
            return match request.header("dd-api-key") {
                Some(KEY) => json(200, &serde_json::json!({ "valid": true })),
                _ => json(403, &serde_json::json!({ "errors": ["Forbidden"] })),
            };
        }
        let fault = self.shared.next_fault();
        if let Some(answer) = request.play(&fault).await {
            return answer;
        }
        let answer = self.accept(&request);
        if fault == Fault::ResetAfter {
            return request.connection.reset();
        }
        answer
    }
}

impl Intake {
    fn accept(&self, request: &Request) -> Response {
        if request.uri.path() != "/api/v2/logs" {
            self.shared
                .violation(format!("no such address: {}", request.uri.path()));
            return page(404, "Not Found");
        }
        if request.method != Method::POST {
            self.shared.violation(format!("method {}", request.method));
            return page(405, "Method Not Allowed");
        }
        match request.header("dd-api-key") {
            Some(KEY) => {}
            None => return self.refuse(401, "Unauthorized"),
            Some(_) => return self.refuse(403, "Forbidden"),
        }
        if !request.is_json() {
            return self.refuse(400, "the content type is not application/json");
        }
        let Some(body) = request.plain_body(&["gzip", "zstd"]) else {
            return self.refuse(400, "the content encoding is unknown or broken");
        };
        if body.len() > MAX_BYTES {
            return self.refuse(413, "Request Entity Too Large");
        }
        let logs: Vec<&RawValue> = match serde_json::from_slice(&body) {
            Ok(logs) => logs,
            Err(_) => return self.refuse(400, "the body is not an array of logs"),
        };
        if logs.is_empty() || logs.len() > MAX_LOGS {
            return self.refuse(400, &format!("{} logs in a request", logs.len()));
        }
        if let Some(problem) = logs.iter().find_map(|log| malformed(log.get())) {
            return self.refuse(400, &problem);
        }
        self.shared
            .accept(logs.iter().filter_map(|log| self.keep(log.get())));
        json(202, &serde_json::json!({}))
    }

    fn refuse(&self, status: u16, title: &str) -> Response {
        self.shared.violation(format!("{status}: {title}"));
        error(status, title)
    }

    /// What becomes of a log after the 202, which comes in any case.
    fn keep(&self, text: &str) -> Option<Log> {
        if text.len() > MAX_LOG_BYTES {
            self.shared
                .violation(format!("a log of {} bytes was truncated", text.len()));
        }
        let log: Value = serde_json::from_str(text).expect("checked before");
        if let Some(date) = date(&log)
            && !timely(date)
        {
            self.shared
                .violation("a log is older than 18 hours or more than 2 hours ahead");
            return None;
        }
        Some(Log {
            text: text.to_owned(),
        })
    }
}

/// Why a log has not the shape that the integration expects.
fn malformed(text: &str) -> Option<String> {
    let Ok(Value::Object(log)) = serde_json::from_str::<Value>(text) else {
        return Some("a log is not an object".to_owned());
    };
    let names = root_names(text);
    if let Some(twice) = names
        .iter()
        .enumerate()
        .find(|(at, name)| names[..*at].contains(name))
    {
        return Some(format!("the root member {} comes twice", twice.1));
    }
    for reserved in ["ddsource", "service"] {
        if log
            .get(reserved)
            .and_then(Value::as_str)
            .is_none_or(str::is_empty)
        {
            return Some(format!("{reserved} is missing"));
        }
    }
    for reserved in ["ddtags", "host", "status", "message"] {
        let ours = log.get("ddsource").and_then(Value::as_str) == Some("sluicegate");
        if ours && log.get(reserved).is_some_and(|value| !value.is_string()) {
            return Some(format!("{reserved} is not a string"));
        }
    }
    let tags = log.get("ddtags").and_then(Value::as_str).unwrap_or("a:b");
    let well_formed = |tag: &str| {
        tag.split_once(':')
            .is_some_and(|(name, value)| !name.is_empty() && !value.is_empty())
    };
    (!tags.split(',').all(well_formed)).then(|| "ddtags is not a list of name:value".to_owned())
}

/// The names of the members at the root, repeated ones included.
fn root_names(text: &str) -> Vec<String> {
    struct Names;
    impl<'de> serde::de::Visitor<'de> for Names {
        type Value = Vec<String>;

        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("an object")
        }

        fn visit_map<A: serde::de::MapAccess<'de>>(
            self,
            mut map: A,
        ) -> Result<Self::Value, A::Error> {
            let mut names = Vec::new();
            while let Some((name, _)) = map.next_entry::<String, serde::de::IgnoredAny>()? {
                names.push(name);
            }
            Ok(names)
        }
    }
    use serde::Deserializer as _;
    serde_json::Deserializer::from_str(text)
        .deserialize_map(Names)
        .unwrap_or_default()
}

/// The date that the intake gives a log: the first default attribute that holds one.
fn date(log: &Value) -> Option<SystemTime> {
    let parse = |value: &Value| match value {
        Value::Number(ms) => Some(SystemTime::UNIX_EPOCH + Duration::from_millis(ms.as_u64()?)),
        Value::String(text) => OffsetDateTime::parse(text, &Rfc3339)
            .ok()
            .map(SystemTime::from),
        _ => None,
    };
    [
        "timestamp",
        "date",
        "_timestamp",
        "Timestamp",
        "eventTime",
        "published_date",
    ]
    .iter()
    .find_map(|name| log.get(name).and_then(parse))
}

fn timely(date: SystemTime) -> bool {
    let now = SystemTime::now();
    date >= now - Duration::from_hours(18) && date <= now + Duration::from_hours(2)
}
