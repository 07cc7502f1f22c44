//! What stands around the hosts of one scenario: queue and bucket, sinks, proxies, and what was put.

use std::{
    collections::{BTreeSet, HashMap},
    fmt::Write as _,
    fs::File,
    path::Path,
    process::{Child, Command, Stdio},
    sync::Arc,
};

use aws_sdk_sqs::types::QueueAttributeName;
use futures_util::StreamExt as _;
use sluicegate::{
    deadletter::{DeadLetter, Subject},
    event::{ObjectId, ObjectRef},
    store::{Folder, Store},
};
use sluicegate_tests::{
    aws::{Aws, Wired},
    aws_proxy::AwsProxy,
    host::root,
    process::Program,
    servers::{Datadog, Fault, SecurityHub, Splunk},
    shelf::gzip,
};

use crate::{
    proxy::Proxy,
    scenario::{Peer, Scenario},
};

const ACCOUNT: &str = "123456789012";
const PUTS_AT_ONCE: usize = 8;

pub(crate) struct World {
    wired: Wired,
    /// The queue of the backfill, and the bucket of what is announced there.
    backfill: Option<Wired>,
    pub(crate) splunk: Splunk,
    pub(crate) datadog: Datadog,
    pub(crate) hub: SecurityHub,
    pub(crate) aws_proxy: AwsProxy,
    proxies: Vec<(Peer, Proxy)>,
    /// Identity of each object, its key, and who acted in it.
    objects: Vec<(ObjectId, String, String)>,
    events: usize,
}

impl World {
    pub(crate) async fn new(aws: &Aws, name: &str, scenario: &Scenario) -> Self {
        let wired = wire(aws, name, scenario).await;
        let backfill = if scenario.backfill > 0 {
            Some(wire(aws, &format!("{name}-backfill"), scenario).await)
        } else {
            None
        };
        let (splunk, datadog, hub) = (
            Splunk::start().await,
            Datadog::start().await,
            SecurityHub::start().await,
        );
        let aws_proxy = AwsProxy::start(aws.url()).await;
        let proxies = vec![
            (Peer::Splunk, Proxy::start(&splunk.url()).await),
            (Peer::Datadog, Proxy::start(&datadog.url()).await),
            (Peer::SecurityHub, Proxy::start(&hub.url()).await),
            (Peer::Aws, Proxy::start(aws_proxy.url()).await),
        ];
        let mut world = Self {
            wired,
            backfill,
            splunk,
            datadog,
            hub,
            aws_proxy,
            proxies,
            objects: Vec::new(),
            events: scenario.events,
        };
        let puts = (0..scenario.objects).map(|number| world.put(aws, scenario, number));
        let objects = futures_util::stream::iter(puts).buffered(PUTS_AT_ONCE);
        world.objects = objects.collect().await;
        world
    }

    async fn put(
        &self,
        aws: &Aws,
        scenario: &Scenario,
        number: usize,
    ) -> (ObjectId, String, String) {
        let key = format!(
            "AWSLogs/{ACCOUNT}/CloudTrail/eu-west-1/2026/11/22/{ACCOUNT}_CloudTrail_eu-west-1_20261122T{:02}{:02}Z_{number:016}.json.gz",
            number / 60 % 24,
            number % 60,
        );
        let who = format!("arn:aws:iam::{ACCOUNT}:user/u{number}");
        let events: Vec<_> = (0..scenario.events)
            .map(|index| {
                let poisoned = scenario.traps > 0 && index % scenario.traps == 0;
                let name = if poisoned { "poison" } else { "DeleteBucket" };
                let object = if scenario.same_ids { 0 } else { number };
                format!(
                    r#"{{"eventVersion":"1.08","eventTime":"2026-11-22T10:00:00Z","eventSource":"s3.amazonaws.com","eventName":"{name}","eventID":"{object:08x}-0000-4000-8000-{index:012x}","awsRegion":"eu-west-1","userIdentity":{{"type":"IAMUser","arn":"{who}","accountId":"{ACCOUNT}"}},"recipientAccountId":"{ACCOUNT}"}}"#
                )
            })
            .collect();
        let body = gzip(format!("{{\"Records\":[{}]}}", events.join(",")));
        let backfill = self.backfill.as_ref();
        let wired = backfill.filter(|_| number < scenario.backfill);
        let bucket = &wired.unwrap_or(&self.wired).bucket;
        let version = aws.put_object(bucket, &key, body).await;
        let version = version.expect("the bucket has versions");
        (ObjectId::of(bucket, &key, &version), key, who)
    }

    /// Messages in the queues, those included that somebody works on.
    pub(crate) async fn waiting(&self, aws: &Aws) -> u32 {
        let mut waiting = 0;
        for wired in std::iter::once(&self.wired).chain(&self.backfill) {
            let depth = aws.depth(&wired.queue_url).await;
            waiting += depth.visible + depth.in_flight;
        }
        waiting
    }

    /// Announces every object once more, as S3 would.
    pub(crate) async fn announce_again(&self, aws: &Aws) {
        for (_, key, _) in &self.objects {
            let body = serde_json::json!({ "Records": [{
                "eventVersion": "2.1", "eventSource": "aws:s3", "awsRegion": "eu-west-1",
                "eventTime": "2026-11-22T10:00:00.000Z", "eventName": "ObjectCreated:Put",
                "s3": { "s3SchemaVersion": "1.0",
                    "bucket": { "name": self.wired.bucket, "ownerIdentity": { "principalId": "A" },
                        "arn": format!("arn:aws:s3:::{}", self.wired.bucket) },
                    "object": { "key": key, "size": 1 } },
            }]});
            aws.send_message(&self.wired.queue_url, &body.to_string())
                .await;
        }
    }

    pub(crate) fn proxy(&self, peer: Peer) -> &Proxy {
        let found = self.proxies.iter().find(|(of, _)| *of == peer);
        &found.expect("every peer has one").1
    }

    pub(crate) fn fail(&self, sink: Peer, faults: Vec<Fault>) {
        match sink {
            Peer::Splunk => self.splunk.fail_with(faults),
            Peer::Datadog => self.datadog.fail_with(faults),
            Peer::SecurityHub => self.hub.fail_with(faults),
            Peer::Aws => unreachable!("AWS fails by operation"),
        }
    }

    pub(crate) fn fail_share(&self, sink: Peer, share: f64, faults: Vec<Fault>) {
        match sink {
            Peer::Splunk => self.splunk.fail_share(share, faults, 7),
            Peer::Datadog => self.datadog.fail_share(share, faults, 8),
            Peer::SecurityHub => self.hub.fail_share(share, faults, 9),
            Peer::Aws => unreachable!("AWS fails by operation"),
        }
    }

    pub(crate) fn heal(&self, sink: Peer) {
        match sink {
            Peer::Splunk => self.splunk.heal(),
            Peer::Datadog => self.datadog.heal(),
            Peer::SecurityHub => self.hub.heal(),
            Peer::Aws => self.aws_proxy.heal(),
        }
    }

    /// How often each sink got what, by identity: an event's, or who a finding is about.
    pub(crate) fn held(&self, scenario: &Scenario) -> Vec<(&'static str, HashMap<String, usize>)> {
        let count = |ids: Vec<String>| {
            let mut counts = HashMap::new();
            for id in ids {
                *counts.entry(id).or_default() += 1;
            }
            counts
        };
        let splunk = self.splunk.received();
        let splunk = splunk.iter().map(|event| identity(&event.event)).collect();
        let datadog = self.datadog.received();
        let datadog = datadog.iter().map(|log| identity(&log.text)).collect();
        let mut held = vec![("splunk", count(splunk)), ("datadog", count(datadog))];
        if scenario.finds {
            let findings = self.hub.findings();
            let entity = |finding: &serde_json::Value| {
                let entity = finding["ProductFields"]["sluicegate/entity"].as_str();
                entity.unwrap_or_default().to_owned()
            };
            let of_the_rule = findings.values().filter(|finding| {
                finding["ProductFields"]["sluicegate/rule"] == "s3-bucket-deleted"
            });
            held.push(("hub", count(of_the_rule.map(entity).collect())));
        }
        held
    }

    /// What a sink should have.
    pub(crate) fn expected(&self, sink: &str) -> BTreeSet<String> {
        if sink == "hub" {
            return self.objects.iter().map(|(_, _, who)| who.clone()).collect();
        }
        let ids = self
            .objects
            .iter()
            .flat_map(|(id, _, _)| (0..self.events).map(move |index| format!("{id}.{index}")));
        ids.collect()
    }

    /// The events, by identity, that a letter stands for; none of a finding or a message.
    pub(crate) fn covered(&self, letter: &DeadLetter) -> Vec<String> {
        let id = |object: &ObjectRef| {
            let found = self.objects.iter().find(|(_, key, _)| *key == object.key);
            found.map(|(id, _, _)| *id)
        };
        let last = u32::try_from(self.events).unwrap();
        let (object, ranges) = match &letter.subject {
            Subject::Events { object, ranges, .. } => (object, ranges.clone()),
            Subject::Object {
                object, from_index, ..
            } => (object, vec![(from_index.unwrap_or(0), last)]),
            Subject::Message { .. } | Subject::Finding { .. } => return Vec::new(),
        };
        let Some(id) = id(object) else {
            return Vec::new();
        };
        let indices = ranges
            .into_iter()
            .flat_map(|(first, end)| first..end.min(last));
        indices.map(|index| format!("{id}.{index}")).collect()
    }

    /// How many findings are dead letters, and not at the hub.
    pub(crate) fn dead_findings(&self, letters: &[DeadLetter]) -> usize {
        let held = self.hub.findings();
        let ids: BTreeSet<_> = letters
            .iter()
            .filter_map(|letter| match &letter.subject {
                Subject::Finding { id } => Some(id),
                _ => None,
            })
            .filter(|id| !held.keys().any(|key| key.ends_with(id.as_str())))
            .collect();
        ids.len()
    }

    /// The configuration of one host.
    pub(crate) fn program(&self, scenario: &Scenario, table: Option<&str>) -> Program {
        let program = Program::new(|folder| self.configuration(scenario, folder));
        let (key, secret) = self.hub.token();
        let program = program
            .variable("AWS_ACCESS_KEY_ID", key)
            .variable("AWS_SECRET_ACCESS_KEY", secret);
        let Some(table) = table else { return program };
        program
            .variable("SLUICEGATE__LEDGER__TYPE", "dynamodb")
            .variable("SLUICEGATE__LEDGER__TABLE", table)
            .variable("SLUICEGATE__LEDGER__REGION", "eu-west-1")
            .variable("SLUICEGATE__LEDGER__ENDPOINT_URL", self.aws_proxy.url())
    }

    fn configuration(&self, scenario: &Scenario, folder: &Path) -> String {
        let secret = |name: &str, value: &str| {
            let path = folder.join(name);
            std::fs::write(&path, value).unwrap();
            path.display().to_string()
        };
        let delivery = "linger_ms = 50, requests_per_second = 200, burst = 200, hold_after_s = 2, \
                        retry_initial_ms = 50, retry_max_ms = 500, probe_interval_s = 1, max_events = 100";
        let bucket = |wired: &Wired| {
            let Wired { bucket, owner, .. } = wired;
            format!(r#"{{ name = "{bucket}", owner = "{owner}" }}, "#)
        };
        let wired = std::iter::once(&self.wired).chain(&self.backfill);
        let buckets: String = wired.map(bucket).collect();
        let backfill = self.backfill.as_ref().map_or_else(String::new, |wired| {
            format!("backfill_queue_url = \"{}\"\n", wired.queue_url)
        });
        let mut text = format!(
            r#"
[source]
type = "sqs"
queue_url = "{queue}"
region = "eu-west-1"
endpoint_url = "{aws}"
wait_s = 1
{backfill}buckets = [{buckets}]
[limits]
grace_s = 10
retry_pending_s = 1
workers = 1
messages = {messages}
[sinks.splunk]
type = "splunk_hec"
endpoint = "{splunk}"
token_file = "{token}"
request_timeout_ms = 1500
accept = ["events"]
delivery = {{ {delivery} }}
[sinks.datadog]
type = "datadog_logs"
endpoint = "{datadog}"
api_key_file = "{key}"
request_timeout_ms = 1500
accept = ["events"]
delivery = {{ {delivery} }}
"#,
            queue = self.wired.queue_url,
            aws = self.proxy(Peer::Aws).url(),
            messages = scenario.in_flight,
            splunk = self.proxy(Peer::Splunk).url(),
            datadog = self.proxy(Peer::Datadog).url(),
            token = secret("token", self.splunk.token()),
            key = secret("key", self.datadog.token()),
        );
        let dist = root().join("dist").canonicalize().unwrap();
        let dist = dist.display();
        if scenario.finds {
            write!(
                text,
                "[sinks.hub]\ntype = \"security_hub\"\nregion = \"{}\"\naccount_id = \"{}\"\nendpoint_url = \"{}\"\n\
                 request_timeout_ms = 1500\ndelivery = {{ {delivery} }}\n\
                 [plugins.detect-cloudtrail]\npath = \"{dist}/plugins/detect-cloudtrail.wasm\"\nlimits.start_ms = 20000\n",
                self.hub.region(),
                self.hub.account(),
                self.proxy(Peer::SecurityHub).url(),
            )
            .unwrap();
        }
        if scenario.traps > 0 {
            write!(
                text,
                "[plugins.hostile-redact]\npath = \"{dist}/guests/hostile-redact.wasm\"\nlimits.start_ms = 20000\n\
                 configuration = {{ when = \"poison\", do = {{ evil = \"trap\" }} }}\n",
            )
            .unwrap();
        }
        text
    }
}

/// A bucket that announces what is put on a queue, whose messages come again after a while.
async fn wire(aws: &Aws, name: &str, scenario: &Scenario) -> Wired {
    let wired = aws.wire("sqs", name).await;
    let timeout = scenario.visibility_s.to_string();
    let request = aws.sqs().set_queue_attributes();
    let request = request
        .queue_url(&wired.queue_url)
        .attributes(QueueAttributeName::VisibilityTimeout, timeout);
    request.send().await.unwrap();
    wired
}

/// Object and position, as the host writes them into every event.
fn identity(event: &str) -> String {
    const MEMBER: &str = ",\"sluicegate\":{\"id\":\"";
    let at = event.rfind(MEMBER).expect("every event has the member") + MEMBER.len();
    event[at..].split('"').next().unwrap_or_default().to_owned()
}

/// One host: its folder stays, its process comes and goes.
pub(crate) struct Process {
    program: Program,
    child: Child,
    full: bool,
    gone: bool,
}

impl Process {
    pub(crate) fn start(program: Program) -> Self {
        let child = spawn(&program, false);
        Self {
            program,
            child,
            full: false,
            gone: false,
        }
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        self.child = spawn(&self.program, self.full);
    }

    pub(crate) fn kill_for_good(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        self.gone = true;
    }

    /// Starts it again if it has ended by itself, as a service manager does.
    pub(crate) fn revive(&mut self) {
        if !self.gone && self.child.try_wait().unwrap().is_some() {
            self.child = spawn(&self.program, self.full);
        }
    }

    /// Waits, half a minute at the most, until it says that it forwards.
    pub(crate) async fn forwards(&self) {
        for _ in 0..600 {
            let said = std::fs::read_to_string(self.program.folder().join("log"));
            if said.is_ok_and(|said| said.contains("\"message\":\"forwarding\"")) {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    }

    pub(crate) fn fill_disk(&mut self, full: bool) {
        self.full = full;
        self.kill();
    }

    pub(crate) async fn restart(&mut self) {
        self.terminate().await;
        self.child = spawn(&self.program, self.full);
    }

    /// SIGTERM; whether it ended within half a minute.
    pub(crate) async fn terminate(&mut self) -> bool {
        if self.gone {
            return true;
        }
        let pid = self.child.id().to_string();
        Command::new("kill").args(["-TERM", &pid]).status().unwrap();
        for _ in 0..300 {
            if self.child.try_wait().unwrap().is_some() {
                return true;
            }
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
        false
    }

    /// Dead letters, and what is pending by sink.
    pub(crate) async fn stored(&self) -> (Vec<DeadLetter>, Vec<DeadLetter>) {
        let Ok(folder) = Folder::open(&self.program.folder().join("store")) else {
            return (Vec::new(), Vec::new());
        };
        let store = Store::new(Arc::new(folder));
        let dead = store.dead_letters(None, 100_000).await.unwrap();
        let mut pending = Vec::new();
        for sink in ["splunk", "datadog", "hub", "pipeline"] {
            pending.extend(store.pending(sink, None, 100_000).await.unwrap());
        }
        let letters = |stored: Vec<sluicegate::store::Stored>| {
            let letters = stored.into_iter().filter_map(|stored| stored.letter.ok());
            letters.collect()
        };
        (letters(dead), letters(pending))
    }

    /// Whether its log has this text.
    pub(crate) fn said(&self, text: &str) -> bool {
        let log = std::fs::read_to_string(self.program.folder().join("log"));
        log.unwrap_or_default().contains(text)
    }

    /// The end of what it said, for a report.
    pub(crate) fn last_words(&self) -> String {
        let text = std::fs::read_to_string(self.program.folder().join("log")).unwrap_or_default();
        let lines: Vec<_> = text.lines().collect();
        lines[lines.len().saturating_sub(8)..].join("\n")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself; nothing is left to be done then.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// On a full disk a file may have 16 KiB at the most: writing more fails as it does there.
fn spawn(program: &Program, full: bool) -> Child {
    let host = program.command(&["run"]);
    let mut command = if full {
        let mut shell = Command::new("bash");
        shell
            .args(["-c", "trap '' XFSZ; ulimit -f 16; exec \"$@\"", "bash"])
            .arg(host.get_program())
            .args(host.get_args())
            .envs(
                host.get_envs()
                    .filter_map(|(name, value)| Some((name, value?))),
            );
        shell
    } else {
        host
    };
    let log = File::options()
        .create(true)
        .append(true)
        .open(program.folder().join("log"))
        .unwrap();
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .unwrap()
}
