//! Datadog's log intake, version 2. Events arrive in the layout of Datadog's own forwarder, so that its
//! CloudTrail pipeline and its Cloud SIEM rules know them.

mod compression;

use std::path::PathBuf;

use anyhow::Context as _;
use async_trait::async_trait;
use reqwest::{
    Url,
    header::{CONTENT_TYPE, HeaderValue},
};
use serde::{Deserialize, Serialize, de::IgnoredAny};

use crate::{
    clock::now_ms,
    columns::Kind,
    config::Problems,
    effects::EventView,
    event::ObjectRef,
    finding::{Finding, Severity},
    normalize::{Format, document::Pairs, ocsf},
    sink::{
        Accept, Batch, Limits, Refused, SendError, Sink, Unencodable, delivery,
        http::{self, Answer},
    },
    timestamp::format_ms,
};

pub use compression::Compression;

/// How to reach Datadog, and how logs are tagged there.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Datadog site, such as `datadoghq.com`, `us3.datadoghq.com`, `datadoghq.eu` or `ddog-gov.com`.
    /// Default: `datadoghq.com`.
    #[serde(default = "default_site")]
    pub site: String,
    /// Base address in place of those that follow from the site, for a proxy. `http://` on loopback
    /// only, or with `network.allow_plain_http`. Default: none.
    #[serde(default)]
    pub endpoint: Option<String>,
    /// File that holds the API key. Either this or `api_key_env`.
    #[serde(default)]
    pub api_key_file: Option<PathBuf>,
    /// Environment variable that holds the API key. Either this or `api_key_file`.
    #[serde(default)]
    pub api_key_env: Option<String>,
    /// What the sink takes. Default: events and findings.
    #[serde(default = "Accept::events_and_findings")]
    pub accept: Vec<Accept>,
    /// Shape of events and findings: `original`, `ocsf-1.8.0` or `ocsf-1.1.0`; the latter two under `ocsf`
    /// of a log whose `ddsource` is `sluicegate-ocsf`. Default: `original`.
    #[serde(default)]
    pub format: Format,
    /// Whether each event of OCSF carries the original event as `raw_data`; masks stay masks. Default
    /// `false`.
    #[serde(default)]
    pub raw_data: bool,
    /// Batching, rate, retries and holds.
    #[serde(default)]
    pub delivery: delivery::Settings,
    /// Service of events. Default: `cloudtrail`, as Datadog's forwarder has it.
    #[serde(default = "default_service")]
    pub service: String,
    /// Tags of every log, each `name:value`. Default: none.
    #[serde(default)]
    pub tags: Vec<String>,
    /// What happens to an event that Datadog would not take because of its age. Default: `restamp`.
    #[serde(default)]
    pub late_events: LateEvents,
    /// `none`, `gzip` or `zstd` (level 2). Default: `gzip`.
    #[serde(default)]
    pub compression: Compression,
    /// Certificates, a proxy, and whether plain HTTP will do.
    #[serde(default)]
    pub network: http::Network,
    /// Milliseconds that a request may take. Default 60,000; range 100 to 600,000.
    #[serde(default = "default_request_timeout_ms")]
    pub request_timeout_ms: u64,
}

fn default_site() -> String {
    "datadoghq.com".to_owned()
}

fn default_service() -> String {
    "cloudtrail".to_owned()
}

fn default_request_timeout_ms() -> u64 {
    http::REQUEST_TIMEOUT_MS
}

/// What happens to events older than 18 hours, or more than two hours ahead. Datadog takes a log's date
/// from `eventTime`, answers 202 to such a log like to any other, and does not promise to keep it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LateEvents {
    /// Sent with a `timestamp` of now, which Datadog prefers over `eventTime`. The event keeps its own
    /// `eventTime`, and is found at the hour of its delivery. A pipeline that makes `eventTime` the
    /// date again undoes this.
    #[default]
    Restamp,
    /// Kept as a dead letter, and not sent.
    DeadLetter,
    /// Sent as it is, whatever Datadog makes of it.
    Send,
}

/// Younger than Datadog's 18 hours by what the way to it may take.
const PAST_MS: i64 = (18 * 60 - 15) * 60_000;
/// Datadog's two hours ahead.
const FUTURE_MS: i64 = 2 * 60 * 60_000;

impl Settings {
    /// Reports every value that cannot work.
    pub fn validate(&self, at: &str, problems: &mut Problems) {
        let site_char = |c: char| c.is_ascii_alphanumeric() || c == '.' || c == '-';
        if self.site.is_empty() || !self.site.chars().all(site_char) {
            problems.push(format!(
                "{at}.site must be a host name such as datadoghq.eu"
            ));
        }
        if let Some(endpoint) = &self.endpoint {
            self.network
                .check_endpoint(&format!("{at}.endpoint"), endpoint, problems);
        }
        if http::secret_source(self.api_key_file.as_ref(), self.api_key_env.as_ref()).is_none() {
            problems.push(format!(
                "{at} must have exactly one of api_key_file and api_key_env"
            ));
        }
        Accept::validate(&self.accept, at, problems);
        if self.accept.contains(&Accept::Digests) {
            problems.push(format!(
                "{at}.accept must not name digests: Datadog would read them as CloudTrail events"
            ));
        }
        self.format
            .validate(self.raw_data, &self.accept, at, problems);
        self.delivery.validate(&format!("{at}.delivery"), problems);
        self.network.validate(&format!("{at}.network"), problems);
        if self.service.trim().is_empty() {
            problems.push(format!("{at}.service must not be empty"));
        }
        for (position, tag) in self.tags.iter().enumerate() {
            let named = tag
                .split_once(':')
                .is_some_and(|(name, value)| !name.is_empty() && !value.is_empty());
            if !named
                || tag.contains(',')
                || tag.contains(char::is_whitespace)
                || tag.chars().count() > 200
            {
                problems.push(format!(
                    "{at}.tags[{position}] must be name:value, without commas and spaces, of at most 200 characters"
                ));
            }
        }
        problems.range(
            &format!("{at}.request_timeout_ms"),
            self.request_timeout_ms,
            100..=600_000,
        );
    }
}

/// Datadog's intake.
#[derive(Debug)]
pub struct DatadogLogs {
    client: reqwest::Client,
    logs: Url,
    validate: Url,
    api_key: HeaderValue,
    compression: Compression,
    layout: Layout,
    late: LateEvents,
    now_ms: fn() -> i64,
}

impl DatadogLogs {
    /// Connects nothing yet, but reads the API key.
    ///
    /// # Errors
    /// When the key cannot be read, or an address is none.
    pub fn new(settings: &Settings) -> anyhow::Result<Self> {
        let address = |host: &str| {
            let text = settings
                .endpoint
                .clone()
                .unwrap_or_else(|| format!("https://{host}.{}", settings.site));
            settings
                .network
                .endpoint(&text)
                .map_err(|problem| anyhow::anyhow!("the endpoint {problem}"))
        };
        let (logs, api) = (address("http-intake.logs")?, address("api")?);
        let key = http::secret_source(
            settings.api_key_file.as_ref(),
            settings.api_key_env.as_ref(),
        )
        .context("exactly one of api_key_file and api_key_env is needed")?
        .read()?;
        Ok(Self {
            client: settings
                .network
                .client(&logs, settings.request_timeout_ms)?,
            logs: http::join(&logs, "/api/v2/logs"),
            validate: http::join(&api, "/api/v1/validate"),
            api_key: http::secret_header("", &key)?,
            compression: settings.compression,
            layout: Layout::new(settings),
            late: settings.late_events,
            now_ms,
        })
    }

    /// Tells the time by another clock: milliseconds since 1970.
    #[must_use]
    pub fn with_clock(mut self, now_ms: fn() -> i64) -> Self {
        self.now_ms = now_ms;
        self
    }
}

#[async_trait]
impl Sink for DatadogLogs {
    fn fields(&self) -> &[&'static str] {
        fields()
    }

    fn limits(&self) -> Limits {
        Limits {
            max_entries: 1000,
            max_bytes: 5_000_000,
            max_entry_bytes: 1_000_000,
            frame_bytes: 2,
            separator_bytes: 1,
        }
    }

    fn encode_event(&self, event: &EventView<'_>, out: &mut Vec<u8>) -> Result<(), Unencodable> {
        self.layout.encode(event, self.late, (self.now_ms)(), out)
    }

    fn encode_finding(&self, finding: &Finding, out: &mut Vec<u8>) -> Result<(), Unencodable> {
        self.layout.finding(finding, (self.now_ms)(), out);
        Ok(())
    }

    async fn send(&self, batch: &Batch) -> Result<Vec<Refused>, SendError> {
        let request = self
            .client
            .post(self.logs.clone())
            .header("dd-api-key", self.api_key.clone())
            .header("dd-evp-origin", "sluicegate")
            .header("dd-evp-origin-version", env!("CARGO_PKG_VERSION"))
            .header(CONTENT_TYPE, "application/json");
        let request = self
            .compression
            .apply(request, batch.body(b"[", b",", b"]"))
            .await?;
        judge(&http::exchange(request).await?)
    }

    async fn check(&self) -> anyhow::Result<String> {
        let request = self
            .client
            .get(self.validate.clone())
            .header("dd-api-key", self.api_key.clone());
        let answer = http::exchange(request).await?;
        match (answer.status, answer.json::<Validity>()) {
            (200, Some(Validity { valid: true })) => {
                Ok(format!("{} accepts the API key", self.validate))
            }
            (401 | 403, _) => Err(answer
                .error()
                .context("the API key is not valid at this site")),
            _ => Err(answer.error().context("failed to validate the API key")),
        }
    }
}

#[derive(Deserialize)]
struct Validity {
    valid: bool,
}

/// What the intake says of logs that it took: nothing, or an object without errors in it.
#[derive(Deserialize)]
struct Taken {
    #[serde(default)]
    errors: Option<IgnoredAny>,
}

fn confirms(answer: &Answer) -> bool {
    answer.body.trim_ascii().is_empty()
        || answer
            .json::<Taken>()
            .is_some_and(|taken| taken.errors.is_none())
}

/// The retry decision for an answer.
pub(super) fn judge(answer: &Answer) -> Result<Vec<Refused>, SendError> {
    match answer.status {
        200..=299 if confirms(answer) => Ok(Vec::new()),
        // A proxy's login page comes with a 200 too.
        200..=299 => {
            let error = answer
                .error()
                .context("the answer does not confirm anything: is this Datadog's intake?");
            Err(SendError::Misconfigured(error))
        }
        // Datadog explains itself in JSON; a 400 without is a proxy's, and says nothing of the logs.
        400 if answer.json::<IgnoredAny>().is_some() => Err(SendError::Refused {
            status: 400,
            reason: "the intake found the logs malformed".to_owned(),
        }),
        _ => Err(answer.decision()),
    }
}

/// Members of our own at the root of an event, then what else the layout depends on. An event that has
/// such a member keeps its own.
const FIELDS: [&str; OWN + 1] = [
    "/ddsource",
    "/ddsourcecategory",
    "/service",
    "/aws",
    "/ddtags",
    "/host",
    "/timestamp",
    "/userIdentity/arn",
];
const OWN: usize = 7;
/// An event without any of them.
const NONE_TAKEN: [bool; OWN] = [false; OWN];
/// `ddsource` of logs in a format of OCSF: Datadog's CloudTrail pipeline does not know them.
const OCSF_SOURCE: &str = "sluicegate-ocsf";
const SOURCE: usize = 0;
const CATEGORY: usize = 1;
const SERVICE: usize = 2;
const AWS: usize = 3;
const TAGS: usize = 4;
const HOST: usize = 5;
const TIMESTAMP: usize = 6;
const ARN: usize = 7;

/// What the layout reads of an event, for [`Sink::fields`].
pub(crate) fn fields() -> &'static [&'static str] {
    &FIELDS
}

/// The date to give a log, where its own is none that Datadog takes.
fn stamp(
    late: LateEvents,
    time_ms: Option<i64>,
    now_ms: i64,
    taken: [bool; OWN],
) -> Result<Option<i64>, Unencodable> {
    let timely = |ms: i64| (now_ms - PAST_MS..=now_ms + FUTURE_MS).contains(&ms);
    // Without a time the log is dated by its receipt.
    if time_ms.is_none_or(timely) {
        return Ok(None);
    }
    match late {
        LateEvents::Send => Ok(None),
        LateEvents::Restamp if !taken[TIMESTAMP] => Ok(Some(now_ms)),
        LateEvents::Restamp | LateEvents::DeadLetter => Err(Unencodable(
            "older than the 18 hours, or further ahead than the two, that Datadog takes".to_owned(),
        )),
    }
}

/// The EC2 instance whose role acted: the session name of an assumed role, where it is an instance id.
fn instance_of(arn: &str) -> Option<&str> {
    let (head, session) = arn.rsplit_once('/')?;
    let digits = session.strip_prefix("i-")?;
    let hex = digits
        .bytes()
        .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    (head.contains(":sts::")
        && head.contains(":assumed-role/")
        && matches!(digits.len(), 8 | 17)
        && hex)
        .then_some(session)
}

/// The members around an event, prepared as far as they are the same for all.
#[derive(Debug)]
pub(crate) struct Layout {
    /// JSON text.
    service: String,
    /// The tags, joined by commas.
    tags: String,
    ocsf: Option<ocsf::Encoder>,
}

impl Layout {
    pub(crate) fn new(settings: &Settings) -> Self {
        Self {
            service: json(&settings.service),
            tags: settings.tags.join(","),
            ocsf: settings.format.ocsf(settings.raw_data),
        }
    }

    /// An event as a log.
    pub(crate) fn encode(
        &self,
        event: &EventView<'_>,
        late: LateEvents,
        now_ms: i64,
        out: &mut Vec<u8>,
    ) -> Result<(), Unencodable> {
        let arn = event.field(ARN);
        let instance = arn.str();
        let instance = instance.as_deref().and_then(instance_of);
        let object = &event.object().reference;
        let Some(ocsf) = &self.ocsf else {
            let taken = std::array::from_fn(|position| event.field(position).kind != Kind::Absent);
            let stamp = stamp(late, event.time_ms(), now_ms, taken)?;
            let mut extra = Vec::with_capacity(512);
            self.event("cloudtrail", taken, object, instance, stamp, &mut extra);
            event.write(&extra, out);
            return Ok(());
        };
        // Datadog finds no date in OCSF by itself.
        let stamp = stamp(late, event.time_ms(), now_ms, NONE_TAKEN)?.or(event.time_ms());
        let mut members = Vec::with_capacity(512);
        self.event(
            OCSF_SOURCE,
            NONE_TAKEN,
            object,
            instance,
            stamp,
            &mut members,
        );
        out.push(b'{');
        out.extend_from_slice(&members);
        out.extend_from_slice(b",\"ocsf\":");
        ocsf.event(event, out)?;
        out.push(b'}');
        Ok(())
    }

    /// The members that an event gets at its root: `"ddsource":"cloudtrail",…`, without a comma at
    /// either end.
    fn event(
        &self,
        source: &str,
        taken: [bool; OWN],
        object: &ObjectRef,
        instance: Option<&str>,
        stamp: Option<i64>,
        out: &mut Vec<u8>,
    ) {
        let mut members = Members { taken, out };
        members.add(SOURCE, |out| write_json(source, out));
        members.add(CATEGORY, |out| out.extend_from_slice(b"\"aws\""));
        members.add(SERVICE, |out| {
            out.extend_from_slice(self.service.as_bytes());
        });
        members.add(AWS, |out| {
            out.extend_from_slice(b"{\"s3\":{\"bucket\":");
            write_json(&object.bucket, out);
            out.extend_from_slice(b",\"key\":");
            write_json(&object.key, out);
            out.extend_from_slice(b"}}");
        });
        if !self.tags.is_empty() {
            members.add(TAGS, |out| write_json(&self.tags, out));
        }
        if let Some(instance) = instance {
            members.add(HOST, |out| write_json(instance, out));
        }
        if let Some(ms) = stamp {
            members.add(TIMESTAMP, |out| write_json(&ms, out));
        }
    }

    fn finding(&self, finding: &Finding, now_ms: i64, out: &mut Vec<u8>) {
        let mut log = FindingLog::new(finding, &self.tags, now_ms);
        let Some(ocsf) = &self.ocsf else {
            return write_json(&log, out);
        };
        log.ddsource = OCSF_SOURCE;
        write_json(&log, out);
        out.pop();
        out.extend_from_slice(b",\"ocsf\":");
        ocsf.finding(finding, out);
        out.push(b'}');
    }
}

/// Writes members with the commas between them, and leaves out those that the event has itself.
struct Members<'a> {
    taken: [bool; OWN],
    out: &'a mut Vec<u8>,
}

impl Members<'_> {
    fn add(&mut self, member: usize, value: impl FnOnce(&mut Vec<u8>)) {
        if self.taken[member] {
            return;
        }
        if !self.out.is_empty() {
            self.out.push(b',');
        }
        self.out.push(b'"');
        self.out.extend_from_slice(&FIELDS[member].as_bytes()[1..]);
        self.out.extend_from_slice(b"\":");
        value(self.out);
    }
}

/// A finding as a log: reserved attributes for Datadog's lists and facets, standard attributes for who
/// and whence, and the rest under our own name.
#[derive(Serialize)]
struct FindingLog<'a> {
    ddsource: &'static str,
    service: &'static str,
    #[serde(skip_serializing_if = "str::is_empty")]
    ddtags: &'a str,
    status: &'static str,
    message: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    timestamp: Option<i64>,
    severity: Severity,
    rule: Named<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mitre: Option<Mitre<'a>>,
    #[serde(skip_serializing_if = "Named::is_empty")]
    usr: Named<'a>,
    #[serde(skip_serializing_if = "Network::is_empty")]
    network: Network<'a>,
    #[serde(skip_serializing_if = "Named::is_empty")]
    evt: Named<'a>,
    evidence: Evidence<'a>,
    sluicegate: Own<'a>,
}

#[derive(Serialize)]
struct Named<'a> {
    #[serde(skip_serializing_if = "str::is_empty")]
    id: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    name: &'a str,
}

impl Named<'_> {
    fn is_empty(&self) -> bool {
        self.id.is_empty() && self.name.is_empty()
    }
}

#[derive(Serialize)]
struct Mitre<'a> {
    technique: &'a str,
}

#[derive(Serialize)]
struct Network<'a> {
    client: Client<'a>,
}

#[derive(Serialize)]
struct Client<'a> {
    ip: &'a str,
}

impl Network<'_> {
    fn is_empty(&self) -> bool {
        self.client.ip.is_empty()
    }
}

#[derive(Serialize)]
struct Evidence<'a> {
    event_ids: &'a [String],
    #[serde(skip_serializing_if = "str::is_empty")]
    object: &'a str,
    index: u32,
}

#[derive(Serialize)]
struct Own<'a> {
    id: &'a str,
    plugin: &'a str,
    description: &'a str,
    entity: &'a [String],
    window_s: u32,
    count: u64,
    first_seen: String,
    last_seen: String,
    #[serde(skip_serializing_if = "str::is_empty")]
    account: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    region: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    resource: &'a str,
    #[serde(skip_serializing_if = "Pairs::is_empty")]
    attributes: Pairs<'a>,
}

impl<'a> FindingLog<'a> {
    fn new(finding: &'a Finding, ddtags: &'a str, now_ms: i64) -> Self {
        let facts = &finding.event;
        let timely = stamp(
            LateEvents::DeadLetter,
            Some(finding.last_ms),
            now_ms,
            [false; OWN],
        )
        .is_ok();
        // An address that is a service's name (`ec2.amazonaws.com`) is no address.
        let ip = if facts.source_ip.parse::<std::net::IpAddr>().is_ok() {
            facts.source_ip.as_str()
        } else {
            ""
        };
        Self {
            ddsource: "sluicegate",
            service: "sluicegate",
            ddtags,
            status: match finding.severity {
                Severity::Informational | Severity::Low => "info",
                Severity::Medium => "warn",
                Severity::High | Severity::Critical => "error",
            },
            message: &finding.title,
            timestamp: timely.then_some(finding.last_ms),
            severity: finding.severity,
            rule: Named {
                id: &finding.rule,
                name: &finding.title,
            },
            mitre: finding
                .attribute("technique")
                .map(|technique| Mitre { technique }),
            usr: Named {
                id: &facts.principal_arn,
                name: &facts.user_name,
            },
            network: Network {
                client: Client { ip },
            },
            evt: Named {
                id: &facts.event_id,
                name: &facts.event_name,
            },
            evidence: Evidence {
                event_ids: &finding.event_ids,
                object: &facts.object_url,
                index: facts.index,
            },
            sluicegate: Own {
                id: &finding.id,
                plugin: &finding.plugin,
                description: &finding.description,
                entity: &finding.entity,
                window_s: finding.window_s,
                count: finding.count,
                first_seen: format_ms(finding.first_ms),
                last_seen: format_ms(finding.last_ms),
                account: &facts.account,
                region: &facts.region,
                resource: &facts.resource_arn,
                attributes: Pairs(&finding.attributes),
            },
        }
    }
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
    use reqwest::header::HeaderMap;

    use super::*;

    fn settings(toml: &str) -> Settings {
        crate::sink::from_toml(&format!("api_key_env = \"K\"\n{toml}"))
    }

    fn extra(toml: &str, taken: &[usize], instance: Option<&str>, stamp: Option<i64>) -> String {
        let mut flags = [false; OWN];
        for &member in taken {
            flags[member] = true;
        }
        let object = ObjectRef {
            bucket: "b".into(),
            key: "k \"1\"".into(),
            version: None,
        };
        let mut out = Vec::new();
        Layout::new(&settings(toml)).event("cloudtrail", flags, &object, instance, stamp, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn an_event_gets_the_members_that_the_forwarder_gives() {
        assert_eq!(
            extra("", &[], None, None),
            r#""ddsource":"cloudtrail","ddsourcecategory":"aws","service":"cloudtrail","aws":{"s3":{"bucket":"b","key":"k \"1\""}}"#
        );
        assert_eq!(
            extra(
                "tags = [\"env:prod\", \"team:sec\"]",
                &[AWS],
                Some("i-0123abcd"),
                Some(5)
            ),
            r#""ddsource":"cloudtrail","ddsourcecategory":"aws","service":"cloudtrail","ddtags":"env:prod,team:sec","host":"i-0123abcd","timestamp":5"#
        );
    }

    #[test]
    fn a_member_of_the_event_is_never_repeated() {
        let all: Vec<usize> = (0..OWN).collect();
        assert_eq!(
            extra("tags = [\"a:b\"]", &all, Some("i-0123abcd"), Some(5)),
            ""
        );
        for member in all {
            let text = extra("tags = [\"a:b\"]", &[member], Some("i-0123abcd"), Some(5));
            let log: serde_json::Value = serde_json::from_str(&format!("{{{text}}}")).unwrap();
            assert!(log.get(&FIELDS[member][1..]).is_none());
            assert_eq!(log.as_object().unwrap().len(), OWN - 1);
        }
    }

    #[test]
    fn the_host_is_the_instance_whose_role_acted() {
        let arn = |session: &str| format!("arn:aws:sts::123456789012:assumed-role/web/{session}");
        assert_eq!(
            instance_of(&arn("i-0123456789abcdef0")),
            Some("i-0123456789abcdef0")
        );
        assert_eq!(instance_of(&arn("i-0123abcd")), Some("i-0123abcd"));
        for other in [
            arn("i-0123"),
            arn("i-0123ABCD"),
            arn("alice"),
            "arn:aws:iam::1:user/i-0123abcd".into(),
            String::new(),
        ] {
            assert_eq!(instance_of(&other), None, "{other}");
        }
    }

    #[test]
    fn late_events_follow_the_configuration() {
        const NOW: i64 = 1_800_000_000_000;
        const MINUTE: i64 = 60_000;
        let stamp = |late, time| stamp(late, time, NOW, [false; OWN]);
        for timely in [
            None,
            Some(NOW),
            Some(NOW - 17 * 60 * MINUTE),
            Some(NOW + 119 * MINUTE),
        ] {
            assert_eq!(
                stamp(LateEvents::DeadLetter, timely),
                Ok(None),
                "{timely:?}"
            );
        }
        for late in [NOW - (18 * 60 + 1) * MINUTE, NOW + 121 * MINUTE, 0] {
            assert!(stamp(LateEvents::DeadLetter, Some(late)).is_err());
            assert_eq!(stamp(LateEvents::Restamp, Some(late)), Ok(Some(NOW)));
            assert_eq!(stamp(LateEvents::Send, Some(late)), Ok(None));
        }
    }

    #[test]
    fn an_event_with_a_date_of_its_own_cannot_be_given_another() {
        let mut taken = [false; OWN];
        taken[TIMESTAMP] = true;
        assert!(stamp(LateEvents::Restamp, Some(0), 1_800_000_000_000, taken).is_err());
    }

    fn decision(status: u16, body: &str) -> &'static str {
        let answer = Answer {
            status,
            retry_after: None,
            headers: HeaderMap::new(),
            body: body.as_bytes().to_vec(),
        };
        match judge(&answer) {
            Ok(_) => "accepted",
            Err(SendError::Throttled { .. }) => "throttled",
            Err(SendError::Unavailable(_)) => "unavailable",
            Err(SendError::TooLarge) => "too large",
            Err(SendError::Misconfigured(_)) => "misconfigured",
            Err(SendError::Refused { .. } | SendError::RefusedEntry { .. }) => "refused",
        }
    }

    #[test]
    fn every_status_has_its_decision() {
        for status in 200..600 {
            let expected = match status {
                200..300 => "accepted",
                400 => "refused",
                408 | 500.. => "unavailable",
                413 => "too large",
                429 => "throttled",
                _ => "misconfigured",
            };
            assert_eq!(decision(status, "{}"), expected, "{status}");
        }
    }

    #[test]
    fn a_page_is_neither_an_acceptance_nor_a_verdict_on_the_logs() {
        for page in [
            "\n<html>",
            "\u{feff}<html>",
            "log in",
            "[]",
            r#"{"errors":["x"]}"#,
        ] {
            assert_eq!(decision(200, page), "misconfigured", "{page}");
        }
        assert_eq!(decision(400, "[]"), "misconfigured");
        assert_eq!(decision(400, "<html>"), "misconfigured");
        assert_eq!(decision(202, ""), "accepted");
    }

    #[test]
    fn all_problems_of_the_settings_are_reported() {
        let bad = settings(
            "api_key_file = \"/k\"\nsite = \"a/b\"\nendpoint = \"x\"\nservice = \"\"\ntags = [\"a\", \"a:b,c:d\", \"a:b\"]\nrequest_timeout_ms = 1",
        );
        let mut problems = Problems::default();
        bad.validate("sinks.dd", &mut problems);
        assert_eq!(problems.lines().len(), 7, "{problems:?}");
        let mut none = Problems::default();
        settings("").validate("sinks.dd", &mut none);
        assert!(none.is_empty(), "{none:?}");
    }
}
