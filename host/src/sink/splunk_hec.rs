//! Splunk's HTTP Event Collector. A 200 with code 0 is acceptance, unless `acknowledgement` asks for the
//! indexers' own word.

mod ack;
mod endpoint;
mod fields;
mod reply;
mod rotation;

use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use anyhow::Context as _;
use async_trait::async_trait;
use serde::{Deserialize, Serialize};

#[cfg(any(test, fuzzing))]
pub(super) use self::{ack::verdicts, reply::judge};
use self::{
    endpoint::{Endpoint, Waiting},
    rotation::Rotation,
};
use crate::{
    config::Problems,
    effects::EventView,
    event::ObjectKind,
    finding::Finding,
    normalize::{Format, document::Document, ocsf},
    sink::{
        Accept, Batch, Limits, Refused, SendError, Sink, Unencodable, delivery,
        http::{self, Compression, Network},
    },
    timestamp,
};

/// What is read of a digest.
const DIGEST_FIELDS: [&str; 1] = ["/digestEndTime"];

/// Most addresses of one sink.
const MOST_ENDPOINTS: usize = 64;

/// Collectors that are asked for their health, one after the other, before a request is given up for now.
const MOST_ASKED: usize = 2;

/// Most bytes of a request, whatever the configuration says.
const MOST_BYTES: usize = 5_000_000;

/// How to reach a collector, and under which names events arrive there.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Base address, such as `https://http-inputs-example.splunkcloud.com:443` or
    /// `https://splunk.example.com:8088`. `http://` on loopback only, or with
    /// `network.allow_plain_http`. Either this or `endpoints`.
    #[serde(default)]
    pub endpoint: String,
    /// Base addresses of several collectors of one Splunk, which take turns: 2 to 64, no two the same. One
    /// that fails rests, from a second to a minute, and the others get its share. Either this or
    /// `endpoint`.
    #[serde(default)]
    pub endpoints: Vec<String>,
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
    /// Sourcetype of digests, for a sink that takes them. Default: `aws:cloudtrail:digest`.
    #[serde(default = "default_digest_sourcetype")]
    pub digest_sourcetype: String,
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

fn default_digest_sourcetype() -> String {
    "aws:cloudtrail:digest".to_owned()
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
        self.validate_endpoints(at, problems);
        if http::secret_source(self.token_file.as_ref(), self.token_env.as_ref()).is_none() {
            problems.push(format!(
                "{at} must have exactly one of token_file and token_env"
            ));
        }
        Accept::validate(&self.accept, at, problems);
        self.format
            .validate(self.raw_data, &self.accept, at, problems);
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
            ("digest_sourcetype", Some(&self.digest_sourcetype)),
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

    fn validate_endpoints(&self, at: &str, problems: &mut Problems) {
        if self.endpoint.is_empty() == self.endpoints.is_empty() {
            problems.push(format!(
                "{at} must have exactly one of endpoint and endpoints"
            ));
            return;
        }
        for (key, address) in self.addresses() {
            self.network
                .check_endpoint(&format!("{at}.{key}"), address, problems);
        }
        if self.endpoints.is_empty() {
            return;
        }
        problems.range(
            &format!("{at}.endpoints (how many)"),
            self.endpoints.len(),
            2..=MOST_ENDPOINTS,
        );
        let mut known = self.endpoints.clone();
        known.sort_unstable();
        known.dedup();
        if known.len() < self.endpoints.len() {
            problems.push(format!("{at}.endpoints must not name an address twice"));
        }
    }

    /// All addresses, each with its key below the sink's section.
    pub(crate) fn addresses(&self) -> Vec<(String, &str)> {
        if self.endpoints.is_empty() {
            return vec![("endpoint".to_owned(), &self.endpoint)];
        }
        let numbered = self.endpoints.iter().enumerate();
        numbered
            .map(|(number, address)| (format!("endpoints[{number}]"), address.as_str()))
            .collect()
    }
}

/// A collector, or several of one Splunk.
#[derive(Debug)]
pub struct SplunkHec {
    endpoints: Vec<Endpoint>,
    rotation: Rotation,
    compression: Compression,
    max_bytes: usize,
    envelope: Envelope,
    wants_less: AtomicBool,
    acknowledges: bool,
}

impl SplunkHec {
    /// Connects nothing yet, but reads the token.
    ///
    /// # Errors
    /// When the token cannot be read, or an address is none.
    pub fn new(settings: &Settings) -> anyhow::Result<Self> {
        let token = http::secret_source(settings.token_file.as_ref(), settings.token_env.as_ref())
            .context("exactly one of token_file and token_env is needed")?
            .read()?;
        let authorization = http::secret_header("Splunk ", &token)?;
        let waiting = settings.acknowledgement.then(|| {
            let patience = Duration::from_secs(settings.acknowledgement_timeout_s);
            Arc::new(Waiting::new(patience, settings.delivery.concurrency))
        });
        let mut endpoints = Vec::new();
        for (key, address) in settings.addresses() {
            let base = settings.network.endpoint(address);
            let base = base.map_err(|problem| anyhow::anyhow!("{key} {problem}"))?;
            let client = settings
                .network
                .client(&base, settings.request_timeout_ms)?;
            let authorization = authorization.clone();
            endpoints.push(Endpoint::new(client, base, authorization, waiting.as_ref()));
        }
        Ok(Self {
            rotation: Rotation::of(endpoints.len()),
            endpoints,
            compression: settings.compression,
            max_bytes: settings.max_request_bytes.min(MOST_BYTES),
            envelope: Envelope::new(settings),
            wants_less: AtomicBool::new(false),
            acknowledges: settings.acknowledgement,
        })
    }

    /// Whose turn it is. One that has failed is asked for its health first, so that no events wait for what
    /// is still down; where two in a row are not healthy, the second says why.
    async fn turn(&self) -> Result<(usize, &Endpoint), SendError> {
        let mut asked = 0;
        loop {
            let turn = self.rotation.turn();
            let endpoint = &self.endpoints[turn.number];
            if !turn.doubtful {
                return Ok((turn.number, endpoint));
            }
            let health = endpoint.health().await;
            if health.is_ok() {
                return Ok((turn.number, endpoint));
            }
            asked += 1;
            let health = self.rotation.ended(turn.number, endpoint.name(), health);
            if asked == MOST_ASKED {
                health?;
            }
        }
    }
}

#[async_trait]
impl Sink for SplunkHec {
    fn fields(&self) -> &[&'static str] {
        if self.envelope.has_digests {
            &DIGEST_FIELDS
        } else {
            &[]
        }
    }

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
        if self.acknowledges {
            ack::WINDOW.max(concurrency)
        } else {
            concurrency
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
        let (number, endpoint) = self.turn().await?;
        let body = batch.body(b"", b"", b"");
        let sent = endpoint.send(self.compression, body, batch.len()).await;
        let reply = self.rotation.ended(number, endpoint.name(), sent)?;
        if reply.says_that_queues_fill_up() {
            self.wants_less.store(true, Ordering::Relaxed);
        }
        Ok(Vec::new())
    }

    async fn check(&self) -> anyhow::Result<String> {
        let checks = self.endpoints.iter().map(Endpoint::check);
        let problems: Vec<String> = futures_util::future::join_all(checks)
            .await
            .into_iter()
            .filter_map(|checked| checked.err().map(|error| format!("{error:#}")))
            .collect();
        anyhow::ensure!(problems.is_empty(), problems.join("; "));
        let names: Vec<&str> = self.endpoints.iter().map(Endpoint::name).collect();
        let verb = if names.len() == 1 { "takes" } else { "take" };
        Ok(format!("{} {verb} the token", names.join(", ")))
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
    digest: String,
    /// Whether [`DIGEST_FIELDS`] are declared.
    has_digests: bool,
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
            digest: json(&settings.digest_sourcetype),
            has_digests: settings.accept.contains(&Accept::Digests),
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
            self.open(self.time_ms(event), &object.url, object.kind, out);
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

    /// A digest's time is the end of what it lists.
    fn time_ms(&self, event: &EventView<'_>) -> Option<i64> {
        if self.has_digests && event.object().kind == ObjectKind::Digest {
            let end = event.field(0);
            return timestamp::parse_ms(end.str()?.as_bytes());
        }
        event.time_ms()
    }

    /// Everything up to the event itself.
    fn open(&self, time_ms: Option<i64>, source: &str, kind: ObjectKind, out: &mut Vec<u8>) {
        let sourcetype = match kind {
            ObjectKind::Insight => &self.insight,
            ObjectKind::Aggregated => &self.aggregated,
            ObjectKind::Digest => &self.digest,
            ObjectKind::Log | ObjectKind::NetworkActivity => &self.sourcetype,
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

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
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
        assert!(opened(&settings, None, ObjectKind::Digest).contains(r#""aws:cloudtrail:digest""#));
        assert!(
            opened(&settings, None, ObjectKind::Aggregated)
                .contains(r#""aws:cloudtrail:aggregated""#)
        );
        assert!(
            opened(&settings, None, ObjectKind::NetworkActivity).contains(r#""aws:cloudtrail""#)
        );
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
