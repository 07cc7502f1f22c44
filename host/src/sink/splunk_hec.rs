//! Splunk's HTTP Event Collector. A 200 with code 0 is acceptance, unless `acknowledgement` asks for the
//! indexers' own word.

mod ack;
mod fields;

use std::{
    path::PathBuf,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    time::Duration,
};

use anyhow::Context as _;
use async_trait::async_trait;
use reqwest::{
    Url,
    header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue},
};
use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;

use self::ack::Sessions;
#[cfg(test)]
pub(super) use self::ack::verdicts;
use crate::{
    config::Problems,
    effects::EventView,
    event::ObjectKind,
    finding::Finding,
    normalize::{Format, document::Document, ocsf},
    sink::{
        Accept, Batch, Limits, Refused, SendError, Sink, Unencodable, delivery,
        http::{self, Answer, Compression, Network},
    },
};

/// Most bytes of a request, whatever the configuration says.
const MOST_BYTES: usize = 5_000_000;

/// How to reach a collector, and under which names events arrive there.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Base address, such as `https://http-inputs-example.splunkcloud.com:443` or
    /// `https://splunk.example.com:8088`. `http://` on loopback only, or with
    /// `network.allow_plain_http`. Required.
    pub endpoint: String,
    /// File that holds the token. Either this or `token_env`.
    #[serde(default)]
    pub token_file: Option<PathBuf>,
    /// Environment variable that holds the token. Either this or `token_file`.
    #[serde(default)]
    pub token_env: Option<String>,
    /// What the sink takes. Default: events and findings.
    #[serde(default = "Accept::events_and_findings")]
    pub accept: Vec<Accept>,
    /// Shape of events and findings: `original`, `ocsf-1.8.0` or `ocsf-1.1.0`. Default: `original`.
    #[serde(default)]
    pub format: Format,
    /// Whether each event of OCSF carries the original event as `raw_data`; masks stay masks. Default
    /// `false`.
    #[serde(default)]
    pub raw_data: bool,
    /// Where what plugins added stands: in the `event` itself, under `sluicegate`, or in indexed `fields`, with
    /// the event as CloudTrail wrote it but for masks. Default: `event`.
    #[serde(default)]
    pub enrichment: Enrichment,
    /// Sourcetype of events and findings in a format of OCSF. Default: `sluicegate:ocsf`.
    #[serde(default = "default_ocsf_sourcetype")]
    pub ocsf_sourcetype: String,
    /// Batching, rate, retries and holds.
    #[serde(default)]
    pub delivery: delivery::Settings,
    /// Sourcetype of events. Default: `aws:cloudtrail`, which Splunk's add-on for AWS knows.
    #[serde(default = "default_sourcetype")]
    pub sourcetype: String,
    /// Sourcetype of Insight events. Default: `aws:cloudtrail:insight`.
    #[serde(default = "default_insight_sourcetype")]
    pub insight_sourcetype: String,
    /// Sourcetype of five-minute summaries. Default: `aws:cloudtrail:aggregated`; under the name of
    /// single events they would be counted as such.
    #[serde(default = "default_aggregated_sourcetype")]
    pub aggregated_sourcetype: String,
    /// Sourcetype of findings. Default: `sluicegate:finding`.
    #[serde(default = "default_finding_sourcetype")]
    pub finding_sourcetype: String,
    /// Index; the token must allow it. Default: the token's own.
    #[serde(default)]
    pub index: Option<String>,
    /// Host that the events are said to come from. Default: the collector's choice.
    #[serde(default)]
    pub host: Option<String>,
    /// `none` or `gzip`. Default: `gzip`.
    #[serde(default)]
    pub compression: Compression,
    /// Uncompressed bytes of a request, and of an event, which is dead-lettered beyond that. Default
    /// 1,000,000, which Splunk Cloud asks for; range 10,000 to 5,000,000.
    #[serde(default = "default_max_request_bytes")]
    pub max_request_bytes: usize,
    /// Certificates, a proxy, and whether plain HTTP will do.
    #[serde(default)]
    pub network: Network,
    /// Milliseconds that a request may take. Default 60,000; range 100 to 600,000.
    #[serde(default = "default_request_timeout_ms")]
    pub request_timeout_ms: u64,
    /// Whether events count as accepted only when the indexers have them, for tokens of Splunk Enterprise
    /// with indexer acknowledgement; Splunk Cloud has none. Default `false`.
    #[serde(default)]
    pub acknowledgement: bool,
    /// Seconds that an acknowledgement may take before the events are sent again, which makes them
    /// duplicates if they were there. Default 300; range 1 to 3,600.
    #[serde(default = "default_acknowledgement_timeout_s")]
    pub acknowledgement_timeout_s: u64,
}

/// Where what plugins added to an event stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Enrichment {
    /// In the event, under `sluicegate`.
    #[default]
    Event,
    /// In indexed fields whose names begin with `sluicegate_`; nothing is added to the event.
    Fields,
}

fn default_acknowledgement_timeout_s() -> u64 {
    300
}

fn default_sourcetype() -> String {
    "aws:cloudtrail".to_owned()
}

fn default_insight_sourcetype() -> String {
    "aws:cloudtrail:insight".to_owned()
}

fn default_aggregated_sourcetype() -> String {
    "aws:cloudtrail:aggregated".to_owned()
}

fn default_finding_sourcetype() -> String {
    "sluicegate:finding".to_owned()
}

fn default_ocsf_sourcetype() -> String {
    "sluicegate:ocsf".to_owned()
}

fn default_max_request_bytes() -> usize {
    1_000_000
}

fn default_request_timeout_ms() -> u64 {
    http::REQUEST_TIMEOUT_MS
}

impl Settings {
    /// Reports every value that cannot work.
    pub fn validate(&self, at: &str, problems: &mut Problems) {
        self.network
            .check_endpoint(&format!("{at}.endpoint"), &self.endpoint, problems);
        if http::secret_source(self.token_file.as_ref(), self.token_env.as_ref()).is_none() {
            problems.push(format!(
                "{at} must have exactly one of token_file and token_env"
            ));
        }
        Accept::validate(&self.accept, at, problems);
        self.format.validate(self.raw_data, at, problems);
        if self.enrichment == Enrichment::Fields && self.format != Format::Original {
            problems.push(format!(
                "{at}.enrichment = \"fields\" is for the original format: OCSF has places of its own"
            ));
        }
        self.delivery.validate(&format!("{at}.delivery"), problems);
        self.network.validate(&format!("{at}.network"), problems);
        let names = [
            ("sourcetype", Some(&self.sourcetype)),
            ("insight_sourcetype", Some(&self.insight_sourcetype)),
            ("aggregated_sourcetype", Some(&self.aggregated_sourcetype)),
            ("finding_sourcetype", Some(&self.finding_sourcetype)),
            ("ocsf_sourcetype", Some(&self.ocsf_sourcetype)),
            ("index", self.index.as_ref()),
            ("host", self.host.as_ref()),
        ];
        for (key, name) in names {
            if name.is_some_and(|name| name.trim().is_empty()) {
                problems.push(format!("{at}.{key} must not be empty"));
            }
        }
        let key = |name| format!("{at}.{name}");
        problems.range(
            &key("max_request_bytes"),
            self.max_request_bytes,
            10_000..=MOST_BYTES,
        );
        problems.range(
            &key("request_timeout_ms"),
            self.request_timeout_ms,
            100..=600_000,
        );
        problems.range(
            &key("acknowledgement_timeout_s"),
            self.acknowledgement_timeout_s,
            1..=3_600,
        );
    }
}

/// What is needed to wait for the indexers' word.
#[derive(Debug)]
struct Acknowledgement {
    sessions: Sessions,
    url: Url,
    patience: Duration,
    /// Requests that may be in flight, without those that only wait.
    posting: Semaphore,
    /// Batches sent again without knowing whether they were there.
    doubtful: AtomicU64,
}

/// A collector.
#[derive(Debug)]
pub struct SplunkHec {
    client: reqwest::Client,
    events: Url,
    health: Url,
    authorization: HeaderValue,
    compression: Compression,
    max_bytes: usize,
    envelope: Envelope,
    acknowledgement: Option<Acknowledgement>,
    wants_less: AtomicBool,
}

impl SplunkHec {
    /// Connects nothing yet, but reads the token.
    ///
    /// # Errors
    /// When the token cannot be read, or the address is none.
    pub fn new(settings: &Settings) -> anyhow::Result<Self> {
        let base = settings
            .network
            .endpoint(&settings.endpoint)
            .map_err(|problem| anyhow::anyhow!("the endpoint {problem}"))?;
        let token = http::secret_source(settings.token_file.as_ref(), settings.token_env.as_ref())
            .context("exactly one of token_file and token_env is needed")?
            .read()?;
        Ok(Self {
            client: settings
                .network
                .client(&base, settings.request_timeout_ms)?,
            events: http::join(&base, "/services/collector/event"),
            health: http::join(&base, "/services/collector/health"),
            authorization: http::secret_header("Splunk ", &token)?,
            compression: settings.compression,
            max_bytes: settings.max_request_bytes.min(MOST_BYTES),
            envelope: Envelope::new(settings),
            acknowledgement: settings.acknowledgement.then(|| Acknowledgement {
                sessions: Sessions::new(),
                url: http::join(&base, "/services/collector/ack"),
                patience: Duration::from_secs(settings.acknowledgement_timeout_s),
                posting: Semaphore::new(settings.delivery.concurrency.max(1)),
                doubtful: AtomicU64::new(0),
            }),
            wants_less: AtomicBool::new(false),
        })
    }

    fn post(&self) -> reqwest::RequestBuilder {
        self.client
            .post(self.events.clone())
            .header(AUTHORIZATION, self.authorization.clone())
            .header(CONTENT_TYPE, "application/json")
    }

    /// Reads an answer, and remembers whether it says that queues fill up.
    fn judge(&self, answer: &Answer, entries: usize) -> Result<Option<u64>, SendError> {
        let reply = judge(answer, entries)?;
        if matches!(reply.code, 24 | 25) {
            self.wants_less.store(true, Ordering::Relaxed);
        }
        Ok(reply.ack_id)
    }

    fn question(&self, how: &Acknowledgement) -> reqwest::RequestBuilder {
        self.client
            .post(how.url.clone())
            .header(AUTHORIZATION, self.authorization.clone())
            .header(CONTENT_TYPE, "application/json")
    }

    /// Asks for an acknowledgement that nobody waits for, which a token without them is refused.
    async fn check_acknowledgement(&self) -> anyhow::Result<()> {
        let Some(how) = &self.acknowledgement else {
            return Ok(());
        };
        let request = self.question(how).body("{\"acks\":[0]}");
        let answer = how.sessions.current().exchange(request).await?;
        if let Some(reply) = answer.json::<Reply>() {
            anyhow::bail!("code {}: {}", reply.code, meaning(reply.code));
        }
        anyhow::ensure!(answer.is_success(), answer.error());
        Ok(())
    }

    /// Sends a request and waits until the indexers have its events.
    async fn send_acknowledged(
        &self,
        request: reqwest::RequestBuilder,
        entries: usize,
        how: &Acknowledgement,
    ) -> Result<(), SendError> {
        let posting = how.posting.acquire().await.expect("never closed");
        let session = how.sessions.current();
        let answer = session.exchange(request).await;
        drop(posting);
        // A request without a whole answer may have taken a number that is not known here.
        let answer = answer.inspect_err(|_| how.sessions.leave(&session))?;
        if answer.status >= 500 {
            how.sessions.leave(&session);
        }
        let id = self.judge(&answer, entries)?.ok_or_else(|| {
            SendError::Misconfigured(anyhow::anyhow!(
                "the collector will not acknowledge what it took: switch indexer acknowledgement on for the token, or `acknowledgement` off"
            ))
        })?;
        let question = self.question(how);
        let question = move || question.try_clone().expect("it has no body yet");
        let verdict = session.acknowledged(id, how.patience, question).await;
        if let Err(error) = &verdict {
            how.sessions.leave(&session);
            let batches = how.doubtful.fetch_add(1, Ordering::Relaxed) + 1;
            let error = crate::text::shown(&format!("{error:#}"));
            tracing::warn!(
                batches,
                error,
                "batch not acknowledged; it may arrive twice"
            );
        }
        verdict
    }
}

#[async_trait]
impl Sink for SplunkHec {
    fn limits(&self) -> Limits {
        Limits {
            max_entries: 10_000,
            max_bytes: self.max_bytes,
            max_entry_bytes: self.max_bytes,
            frame_bytes: 0,
            separator_bytes: 0,
        }
    }

    fn most_in_hand(&self, concurrency: usize) -> usize {
        match self.acknowledgement {
            Some(_) => ack::WINDOW.max(concurrency),
            None => concurrency,
        }
    }

    fn wants_less(&self) -> bool {
        self.wants_less.swap(false, Ordering::Relaxed)
    }

    fn encode_event(&self, event: &EventView<'_>, out: &mut Vec<u8>) -> Result<(), Unencodable> {
        self.envelope.event(event, out)
    }

    fn encode_finding(&self, finding: &Finding, out: &mut Vec<u8>) -> Result<(), Unencodable> {
        self.envelope.finding(finding, out);
        Ok(())
    }

    async fn send(&self, batch: &Batch) -> Result<Vec<Refused>, SendError> {
        let request = self
            .compression
            .apply(self.post(), batch.body(b"", b"", b""))
            .await?;
        match &self.acknowledgement {
            Some(how) => self.send_acknowledged(request, batch.len(), how).await?,
            None => {
                self.judge(&http::exchange(request).await?, batch.len())?;
            }
        }
        Ok(Vec::new())
    }

    /// Health first, then an empty request: the answer "no data" comes only after the token was
    /// accepted.
    async fn check(&self) -> anyhow::Result<String> {
        let health = http::exchange(self.client.get(self.health.clone())).await?;
        if health.status == 503 {
            anyhow::bail!("the collector is not healthy: {}", health.text());
        }
        let request = self.post().body("");
        let answer = match &self.acknowledgement {
            Some(how) => how.sessions.current().exchange(request).await?,
            None => http::exchange(request).await?,
        };
        match answer.json::<Reply>().map(|reply| reply.code) {
            Some(5) => {
                self.check_acknowledgement().await?;
                Ok(format!("{} takes the token", self.events))
            }
            Some(code) => anyhow::bail!(
                "the collector answered {} with code {code}: {}",
                answer.status,
                meaning(code)
            ),
            None => Err(answer
                .error()
                .context("this is not the answer of an HTTP Event Collector")),
        }
    }
}

/// The JSON around an event, prepared as far as it is the same for all.
#[derive(Debug)]
pub(crate) struct Envelope {
    /// `"host":"…","index":"…",` as far as configured.
    routing: Vec<u8>,
    sourcetype: String,
    insight: String,
    aggregated: String,
    finding: String,
    enrichment: Enrichment,
    /// With its sourcetype.
    ocsf: Option<(ocsf::Encoder, String)>,
}

impl Envelope {
    pub(crate) fn new(settings: &Settings) -> Self {
        let mut routing = Vec::new();
        for (name, value) in [("host", &settings.host), ("index", &settings.index)] {
            if let Some(value) = value {
                routing.extend_from_slice(format!("\"{name}\":{},", json(value)).as_bytes());
            }
        }
        Self {
            routing,
            sourcetype: json(&settings.sourcetype),
            insight: json(&settings.insight_sourcetype),
            aggregated: json(&settings.aggregated_sourcetype),
            finding: json(&settings.finding_sourcetype),
            enrichment: settings.enrichment,
            ocsf: settings
                .format
                .ocsf(settings.raw_data)
                .map(|encoder| (encoder, json(&settings.ocsf_sourcetype))),
        }
    }

    /// An event with everything around it.
    pub(crate) fn event(
        &self,
        event: &EventView<'_>,
        out: &mut Vec<u8>,
    ) -> Result<(), Unencodable> {
        let object = event.object();
        if let Some((ocsf, sourcetype)) = &self.ocsf {
            self.head(event.time_ms(), &object.url, sourcetype, out);
            out.extend_from_slice(b",\"event\":");
            ocsf.event(event, out)?;
        } else {
            self.open(event.time_ms(), &object.url, object.kind, out);
            match self.enrichment {
                Enrichment::Event => event.write(b"", out),
                Enrichment::Fields => {
                    out.extend_from_slice(&event.bytes());
                    out.extend_from_slice(b",\"fields\":");
                    fields::write(event.member(), out);
                }
            }
        }
        out.push(b'}');
        Ok(())
    }

    /// Everything up to the event itself.
    fn open(&self, time_ms: Option<i64>, source: &str, kind: ObjectKind, out: &mut Vec<u8>) {
        let sourcetype = match kind {
            ObjectKind::Insight => &self.insight,
            ObjectKind::Aggregated => &self.aggregated,
            ObjectKind::Log | ObjectKind::NetworkActivity | ObjectKind::Digest => &self.sourcetype,
        };
        self.head(time_ms, source, sourcetype, out);
        out.extend_from_slice(b",\"event\":");
    }

    fn finding(&self, finding: &Finding, out: &mut Vec<u8>) {
        #[derive(Serialize)]
        struct Fields<'a> {
            rule_id: &'a str,
            severity: &'a str,
        }
        let own = format!("sluicegate:{}", finding.plugin);
        let source = if finding.event.object_url.is_empty() {
            &own
        } else {
            &finding.event.object_url
        };
        let sourcetype = self.ocsf.as_ref().map_or(&self.finding, |(_, name)| name);
        self.head(Some(finding.last_ms), source, sourcetype, out);
        out.extend_from_slice(b",\"fields\":");
        write_json(
            &Fields {
                rule_id: &finding.rule,
                severity: finding.severity.as_str(),
            },
            out,
        );
        out.extend_from_slice(b",\"event\":");
        match &self.ocsf {
            Some((ocsf, _)) => ocsf.finding(finding, out),
            None => write_json(&Document::from(finding), out),
        }
        out.push(b'}');
    }

    fn head(&self, time_ms: Option<i64>, source: &str, sourcetype: &str, out: &mut Vec<u8>) {
        out.push(b'{');
        // The collector knows no time before 1970; without one it takes the time of receipt.
        if let Some(ms) = time_ms.and_then(|ms| u64::try_from(ms).ok()) {
            write_seconds(ms, out);
        }
        out.extend_from_slice(&self.routing);
        out.extend_from_slice(b"\"source\":");
        write_json(source, out);
        out.extend_from_slice(b",\"sourcetype\":");
        out.extend_from_slice(sourcetype.as_bytes());
    }
}

/// `"time":1666211618,`, with milliseconds only where there are some: digits, never a float's rounding.
fn write_seconds(ms: u64, out: &mut Vec<u8>) {
    use std::io::Write as _;
    let (seconds, rest) = (ms / 1000, ms % 1000);
    let written = match rest {
        0 => write!(out, "\"time\":{seconds},"),
        _ => write!(out, "\"time\":{seconds}.{rest:03},"),
    };
    written.expect("a Vec takes every write");
}

fn write_json<T: Serialize + ?Sized>(value: &T, out: &mut Vec<u8>) {
    serde_json::to_writer(out, value).expect("plain data is JSON, and a Vec takes every write");
}

fn json(text: &str) -> String {
    serde_json::to_string(text).expect("a string is JSON")
}

/// The collector's answer.
#[derive(Deserialize)]
pub(super) struct Reply {
    code: u16,
    /// Position of the event at fault, from 0.
    #[serde(default, rename = "invalid-event-number")]
    invalid_event_number: Option<usize>,
    /// The number under which to ask for the acknowledgement; the first of a channel is 0.
    #[serde(default, rename = "ackId")]
    ack_id: Option<u64>,
}

/// The retry decision for an answer to `entries` events. The words of a refusal are those of
/// [`meaning`], not the server's, which might repeat what it was sent.
pub(super) fn judge(answer: &Answer, entries: usize) -> Result<Reply, SendError> {
    let Some(reply) = answer.json::<Reply>() else {
        return Err(unspoken(answer));
    };
    let code = reply.code;
    let reason = || format!("code {code}: {}", meaning(code));
    match code {
        1..=4 | 7 | 10 | 11 | 14 | 16 | 17 | 21 | 22 => Err(SendError::Misconfigured(
            anyhow::anyhow!("the collector answered {} with {}", answer.status, reason()),
        )),
        6 | 12 | 13 | 15 if answer.status == 400 => match reply.invalid_event_number {
            Some(position) if position < entries => Err(SendError::RefusedEntry {
                position,
                reason: reason(),
            }),
            _ => Err(SendError::Refused {
                status: 400,
                reason: reason(),
            }),
        },
        // 0; 24 and 25, which say that queues fill up while what was sent is accepted; and codes of later
        // versions, whose status says what to do.
        _ if answer.is_success() => Ok(reply),
        _ if answer.status == 400 => Err(SendError::Refused {
            status: 400,
            reason: reason(),
        }),
        _ => Err(answer.decision()),
    }
}

/// Something that is not a collector answered: a proxy, a load balancer, a login page. Its 200 is no
/// acceptance and its 400 says nothing about the events.
fn unspoken(answer: &Answer) -> SendError {
    match answer.status {
        200..=299 => SendError::Misconfigured(
            answer
                .error()
                .context("the answer does not confirm anything: is this an HTTP Event Collector?"),
        ),
        _ => answer.decision(),
    }
}

/// What a code of the collector means, and for some of them what to do.
fn meaning(code: u16) -> &'static str {
    const MEANINGS: [&str; 28] = [
        "success",
        "the token is disabled: enable it in Splunk",
        "the token is missing",
        "the authorization is invalid",
        "the token is invalid",
        "no data",
        "invalid data format",
        "incorrect index: allow it for the token, or change `index`",
        "internal server error",
        "the server is busy",
        "a data channel is missing: the token has indexer acknowledgement switched on: switch it off, or `acknowledgement` on",
        "invalid data channel",
        "the event field is missing",
        "the event field is blank",
        "indexer acknowledgement is disabled: switch it on for the token, or `acknowledgement` off",
        "an error in the indexed fields",
        "authorization by query string is not enabled",
        "healthy: this is the answer of the health address, not of the one for events",
        "unhealthy, the queues are full",
        "unhealthy, the acknowledgement service is not available",
        "unhealthy, queues full and acknowledgement service not available",
        "the token is invalid",
        "the token is disabled",
        "the server is shutting down",
        "the queue approaches its capacity",
        "the acknowledgement channel approaches its capacity",
        "the queue is at capacity",
        "the acknowledgement channel is at capacity",
    ];
    MEANINGS
        .get(usize::from(code))
        .copied()
        .unwrap_or("a code that this version does not know")
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use reqwest::header::HeaderMap;

    use super::*;

    fn settings(toml: &str) -> Settings {
        crate::sink::from_toml(&format!(
            "endpoint = \"https://hec.example.com\"\ntoken_env = \"T\"\n{toml}"
        ))
    }

    fn opened(settings: &Settings, time_ms: Option<i64>, kind: ObjectKind) -> String {
        let mut out = Vec::new();
        Envelope::new(settings).open(time_ms, "s3://b/k", kind, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn time_is_whole_seconds_with_milliseconds_only_where_there_are_some() {
        let time = |ms| opened(&settings(""), ms, ObjectKind::Log);
        let rest = r#""source":"s3://b/k","sourcetype":"aws:cloudtrail","event":"#;
        assert_eq!(
            time(Some(1_666_211_618_000)),
            format!(r#"{{"time":1666211618,{rest}"#)
        );
        assert_eq!(
            time(Some(1_666_211_618_007)),
            format!(r#"{{"time":1666211618.007,{rest}"#)
        );
        assert_eq!(time(None), format!("{{{rest}"));
        assert_eq!(time(Some(-1)), format!("{{{rest}"));
    }

    #[test]
    fn routing_and_sourcetypes_follow_the_configuration() {
        let settings = settings("index = \"a\\\"b\"\nhost = \"h\"\ninsight_sourcetype = \"i\"");
        assert_eq!(
            opened(&settings, None, ObjectKind::Insight),
            r#"{"host":"h","index":"a\"b","source":"s3://b/k","sourcetype":"i","event":"#
        );
        assert!(
            opened(&settings, None, ObjectKind::Aggregated)
                .contains(r#""aws:cloudtrail:aggregated""#)
        );
        assert!(
            opened(&settings, None, ObjectKind::NetworkActivity).contains(r#""aws:cloudtrail""#)
        );
    }

    fn answer(status: u16, body: &str) -> Answer {
        Answer {
            status,
            retry_after: None,
            headers: HeaderMap::new(),
            body: body.as_bytes().to_vec(),
        }
    }

    /// What is done, in a word.
    fn decision(status: u16, body: &str) -> String {
        match judge(&answer(status, body), 10) {
            Ok(_) => "accepted 0".into(),
            Err(SendError::Throttled { .. }) => "throttled".into(),
            Err(SendError::Unavailable(_)) => "unavailable".into(),
            Err(SendError::TooLarge) => "too large".into(),
            Err(SendError::Misconfigured(_)) => "misconfigured".into(),
            Err(SendError::RefusedEntry { position, .. }) => format!("entry {position}"),
            Err(SendError::Refused { .. }) => "refused".into(),
        }
    }

    #[test]
    fn every_code_of_the_collector_has_its_decision() {
        let table: [(u16, u16, &str); 28] = [
            (200, 0, "accepted 0"),
            (403, 1, "misconfigured"),
            (401, 2, "misconfigured"),
            (401, 3, "misconfigured"),
            (403, 4, "misconfigured"),
            (400, 5, "refused"),
            (400, 6, "refused"),
            (400, 7, "misconfigured"),
            (500, 8, "unavailable"),
            (503, 9, "unavailable"),
            (400, 10, "misconfigured"),
            (400, 11, "misconfigured"),
            (400, 12, "refused"),
            (400, 13, "refused"),
            (400, 14, "misconfigured"),
            (400, 15, "refused"),
            (400, 16, "misconfigured"),
            (200, 17, "misconfigured"),
            (503, 18, "unavailable"),
            (503, 19, "unavailable"),
            (503, 20, "unavailable"),
            (400, 21, "misconfigured"),
            (400, 22, "misconfigured"),
            (503, 23, "unavailable"),
            (200, 24, "accepted 0"),
            (200, 25, "accepted 0"),
            (429, 26, "throttled"),
            (429, 27, "throttled"),
        ];
        for (status, code, expected) in table {
            assert_eq!(
                decision(status, &format!(r#"{{"text":"t","code":{code}}}"#)),
                expected,
                "code {code}"
            );
        }
    }

    #[test]
    fn a_numbered_event_is_the_one_at_fault() {
        for code in [6, 12, 13, 15] {
            let body = format!(r#"{{"text":"t","code":{code},"invalid-event-number":3}}"#);
            assert_eq!(decision(400, &body), "entry 3");
        }
        assert_eq!(
            decision(400, r#"{"text":"t","code":6,"invalid-event-number":10}"#),
            "refused"
        );
    }

    #[test]
    fn unknown_codes_follow_their_status() {
        for (status, expected) in [
            (200, "accepted 0"),
            (400, "refused"),
            (403, "misconfigured"),
            (429, "throttled"),
            (503, "unavailable"),
        ] {
            assert_eq!(
                decision(status, r#"{"text":"t","code":99}"#),
                expected,
                "{status}"
            );
        }
    }

    #[test]
    fn pages_of_something_else_are_never_taken_for_an_acceptance_or_for_bad_data() {
        for (status, expected) in [
            (200, "misconfigured"),
            (204, "misconfigured"),
            (301, "misconfigured"),
            (400, "misconfigured"),
            (401, "misconfigured"),
            (404, "misconfigured"),
            (405, "misconfigured"),
            (408, "unavailable"),
            (413, "too large"),
            (415, "misconfigured"),
            (429, "throttled"),
            (500, "unavailable"),
            (502, "unavailable"),
            (504, "unavailable"),
        ] {
            assert_eq!(
                decision(status, "<html>\u{1b}[31mno</html>"),
                expected,
                "{status}"
            );
        }
    }

    #[test]
    fn all_problems_of_the_settings_are_reported() {
        let mut bad = settings("max_request_bytes = 9\nindex = \" \"\naccept = []");
        bad.endpoint = "http://hec.example.com".into();
        bad.token_file = Some("/t".into());
        let mut problems = Problems::default();
        bad.validate("sinks.splunk", &mut problems);
        assert_eq!(problems.lines().len(), 5, "{problems:?}");
        assert!(
            problems
                .lines()
                .iter()
                .all(|line| line.starts_with("sinks.splunk"))
        );
        let mut none = Problems::default();
        settings("").validate("sinks.splunk", &mut none);
        assert!(none.is_empty(), "{none:?}");
    }
}
