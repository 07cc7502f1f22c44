//! The sections of the configuration, typed and checked.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use super::{
    Ledger, Problems,
    load::{self, Sections},
    strict::Node,
};
use crate::{findings, guard, lookup, mask, pipeline, plugin, selection, sink, source};

/// A whole configuration whose values have all been checked.
#[derive(Clone, Debug)]
pub struct Config {
    /// `[source]`: where events come from.
    pub source: Source,
    /// `[plugins.<name>]`: what looks at every event. Default: none.
    pub plugins: BTreeMap<String, plugin::Settings>,
    /// `[tables.<name>]`: what plugins may look up in. Default: none.
    pub tables: BTreeMap<String, lookup::Settings>,
    /// `[sinks.<name>]`: where the results go. At least one.
    pub sinks: BTreeMap<String, Sink>,
    /// `[ledger]`: what the host remembers.
    pub ledger: Ledger,
    /// `[store]`: dead letters and pending references.
    pub store: Store,
    /// `[redaction]`: how masked values are marked.
    pub redaction: mask::Settings,
    /// `[limits]`: what the host may use.
    pub limits: pipeline::Settings,
    /// `[findings]`: how findings are announced.
    pub findings: findings::Settings,
    /// `[reload]`: how changed plugins are tried before they go live.
    pub reload: plugin::ReloadSettings,
    /// `[trust]`: who must have signed a plugin.
    pub trust: plugin::trust::Settings,
    /// `[python]`: what runs plugins that come as source.
    pub python: plugin::script::Settings,
    /// `[plugin_cache]`: where compiled plugins are kept.
    pub plugin_cache: PluginCache,
}

/// The source of a configuration, by its key `type`.
#[derive(Clone, Debug, PartialEq)]
pub enum Source {
    /// `sqs`: objects in S3 that messages announce.
    #[cfg(feature = "sqs")]
    Sqs(source::sqs::Settings),
    /// `directory`: a folder in the bucket's own layout.
    #[cfg(feature = "directory")]
    Directory(source::directory::Settings),
}

/// One sink of a configuration.
#[derive(Clone, Debug)]
pub struct Sink {
    /// Which kind, and how it is reached.
    pub kind: SinkKind,
    /// `delivery`: batches, rates and retries.
    pub delivery: sink::delivery::Settings,
    /// `egress_guard`: what becomes of secrets that are found at the last look. Default `mask`.
    pub egress_guard: guard::Mode,
    /// `match`: which of the events that the sink accepts reach it. Default: all.
    pub clauses: selection::Clauses,
}

/// The keys that sinks of all kinds have, besides tables.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Common {
    egress_guard: guard::Mode,
    #[serde(rename = "match")]
    clauses: selection::Clauses,
}

/// The kind of a sink, by its key `type`.
#[derive(Clone, Debug)]
pub enum SinkKind {
    /// `splunk_hec`: Splunk's HTTP event collector.
    #[cfg(feature = "splunk-hec")]
    SplunkHec(sink::splunk_hec::Settings),
    /// `datadog_logs`: Datadog's log intake.
    #[cfg(feature = "datadog-logs")]
    DatadogLogs(sink::datadog_logs::Settings),
    /// `security_hub`: findings for AWS Security Hub.
    #[cfg(feature = "security-hub")]
    SecurityHub(sink::security_hub::Settings),
    /// `file`: lines of JSON.
    #[cfg(feature = "file")]
    File(sink::file::Settings),
}

impl SinkKind {
    /// What the sink takes.
    #[must_use]
    pub fn accept(&self) -> &[sink::Accept] {
        match self {
            #[cfg(feature = "splunk-hec")]
            Self::SplunkHec(settings) => &settings.accept,
            #[cfg(feature = "datadog-logs")]
            Self::DatadogLogs(settings) => &settings.accept,
            #[cfg(feature = "security-hub")]
            Self::SecurityHub(settings) => &settings.accept,
            #[cfg(feature = "file")]
            Self::File(settings) => &settings.accept,
        }
    }

    /// Whether what goes to the sink can be read by everybody on the way.
    #[must_use]
    pub fn in_the_clear(&self) -> bool {
        match self {
            #[cfg(feature = "splunk-hec")]
            Self::SplunkHec(settings) => settings
                .addresses()
                .iter()
                .any(|(_, address)| sink::http::in_the_clear(address)),
            #[cfg(feature = "datadog-logs")]
            Self::DatadogLogs(settings) => settings
                .endpoint
                .as_deref()
                .is_some_and(sink::http::in_the_clear),
            #[cfg(feature = "security-hub")]
            Self::SecurityHub(settings) => settings
                .endpoint_url
                .as_deref()
                .is_some_and(sink::http::in_the_clear),
            #[cfg(feature = "file")]
            Self::File(_) => false,
        }
    }
}

/// Where compiled plugins are kept for the next start: the section `[plugin_cache]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PluginCache {
    /// Folder, which only this user may enter; it is made where it is missing. Default
    /// `state/plugin-cache`.
    pub path: PathBuf,
}

impl Default for PluginCache {
    fn default() -> Self {
        Self {
            path: "state/plugin-cache".into(),
        }
    }
}

impl PluginCache {
    /// Reports what cannot be right.
    pub fn validate(&self, at: &str, problems: &mut Problems) {
        if self.path.as_os_str().is_empty() {
            problems.push(format!("{at}.path must name a folder, got nothing"));
        }
    }
}

/// Where dead letters and pending references lie: the section `[store]`. A folder, or a prefix in a
/// bucket; replicas that share a queue share the bucket.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Store {
    /// Folder. Default `state/store`, where no bucket is named.
    pub path: Option<PathBuf>,
    /// Bucket, instead of a folder.
    pub bucket: Option<String>,
    /// What the names of the entries in the bucket begin with. Default `sluicegate/`.
    pub prefix: String,
    /// Account that owns the bucket, twelve digits. Required with a bucket.
    pub owner: Option<String>,
    /// Region of the bucket. Required with a bucket.
    pub region: Option<String>,
    /// Another address of S3, such as a VPC endpoint or a test server. Default: AWS's own.
    pub endpoint_url: Option<String>,
}

impl Default for Store {
    fn default() -> Self {
        Self {
            path: None,
            bucket: None,
            prefix: "sluicegate/".to_owned(),
            owner: None,
            region: None,
            endpoint_url: None,
        }
    }
}

impl Store {
    /// The folder, where no bucket is named.
    #[must_use]
    pub fn folder(&self) -> Option<&Path> {
        match &self.bucket {
            Some(_) => None,
            None => Some(self.path.as_deref().unwrap_or(Path::new("state/store"))),
        }
    }

    /// Reports what cannot be right.
    pub fn validate(&self, at: &str, problems: &mut Problems) {
        if self.path.is_some() && self.bucket.is_some() {
            problems.push(format!("{at} must have one of path and bucket, got both"));
        }
        if self.bucket.is_some() {
            for (key, value) in [("owner", &self.owner), ("region", &self.region)] {
                if value.as_deref().is_none_or(str::is_empty) {
                    problems.push(format!("{at}.{key} is required with a bucket"));
                }
            }
        }
        if let Some(owner) = &self.owner
            && !(owner.len() == 12 && owner.bytes().all(|byte| byte.is_ascii_digit()))
        {
            problems.push(format!(
                "{at}.owner must be twelve digits, got `{}`",
                crate::text::shown(owner)
            ));
        }
    }
}

impl Config {
    /// Reads a file, lays the environment's variables `SLUICEGATE__SECTION__KEY` over it, and checks
    /// everything.
    ///
    /// # Errors
    /// Every problem there is, together.
    pub fn load(path: &Path) -> Result<Self, Problems> {
        let variables = std::env::vars_os()
            .filter_map(|(key, value)| Some((key.into_string().ok()?, value.into_string().ok()?)))
            .collect();
        Self::parse(&load::text(path)?, variables)
    }

    /// Reads and checks a configuration that is already in memory.
    ///
    /// # Errors
    /// Every problem there is, together.
    pub fn parse(toml: &str, variables: BTreeMap<String, String>) -> Result<Self, Problems> {
        let mut sections = Sections::new(toml, variables);
        if !sections.problems.is_empty() {
            return Err(sections.finish());
        }
        let source = source_of(&mut sections);
        let plugins = sections.take_each("plugins", |sections, at, node| {
            sections.read(at, node, plugin::Settings::validate)
        });
        let tables = sections.take_each("tables", |sections, at, node| {
            sections.read(at, node, lookup::Settings::validate)
        });
        granted_tables(&mut sections, &plugins, &tables);
        let named = sections.names_any("sinks");
        let sinks = sections.take_each("sinks", sink_of);
        if !named {
            sections
                .problems
                .push("sinks must have at least one sink, such as [sinks.archive]");
        }
        let ledger = sections.take("ledger", Ledger::validate);
        let store = sections.take("store", Store::validate);
        let redaction = sections.take("redaction", mask::Settings::validate);
        let limits = sections.take("limits", pipeline::Settings::validate);
        let findings = sections.take("findings", findings::Settings::validate);
        let reload = sections.take("reload", plugin::ReloadSettings::validate);
        let trust = sections.take("trust", plugin::trust::Settings::validate);
        let python = sections.take("python", plugin::script::Settings::validate);
        let plugin_cache = sections.take("plugin_cache", PluginCache::validate);
        let problems = sections.finish();
        let parts = (
            source,
            ledger,
            store,
            redaction,
            limits,
            findings,
            reload,
            trust,
            python,
            plugin_cache,
        );
        match parts {
            (
                Some(source),
                Some(ledger),
                Some(store),
                Some(redaction),
                Some(limits),
                Some(findings),
                Some(reload),
                Some(trust),
                Some(python),
                Some(plugin_cache),
            ) if problems.is_empty() => Ok(Self {
                source,
                plugins,
                tables,
                sinks,
                ledger,
                store,
                redaction,
                limits,
                findings,
                reload,
                trust,
                python,
                plugin_cache,
            }),
            _ => Err(problems),
        }
    }
}

/// Reports every table that a plugin is granted and that does not exist.
fn granted_tables(
    sections: &mut Sections,
    plugins: &BTreeMap<String, plugin::Settings>,
    tables: &BTreeMap<String, lookup::Settings>,
) {
    for (name, plugin) in plugins {
        for table in &plugin.grants.lookup {
            if !tables.contains_key(table) && !table.is_empty() {
                sections.problems.push(format!(
                    "plugins.{name}.grants.lookup names a table `{}`, and there is no sound [tables.{}]",
                    crate::text::shown(table),
                    crate::text::shown(table)
                ));
            }
        }
    }
}

fn source_of(sections: &mut Sections) -> Option<Source> {
    const KINDS: &[&str] = &[
        #[cfg(feature = "sqs")]
        "sqs",
        #[cfg(feature = "directory")]
        "directory",
    ];
    let at = "source";
    let mut node = sections.node(at);
    match sections.kind(at, &mut node, KINDS)? {
        #[cfg(feature = "sqs")]
        "sqs" => sections
            .read(at, node, source::sqs::Settings::validate)
            .map(Source::Sqs),
        #[cfg(feature = "directory")]
        "directory" => sections
            .read(at, node, source::directory::Settings::validate)
            .map(Source::Directory),
        _ => None,
    }
}

fn sink_of(sections: &mut Sections, at: &str, mut node: Node) -> Option<Sink> {
    const KINDS: &[&str] = &[
        #[cfg(feature = "splunk-hec")]
        "splunk_hec",
        #[cfg(feature = "datadog-logs")]
        "datadog_logs",
        #[cfg(feature = "security-hub")]
        "security_hub",
        #[cfg(feature = "file")]
        "file",
    ];
    let kind = sections.kind(at, &mut node, KINDS);
    let delivery = node.remove("delivery").unwrap_or_default();
    let delivery = sections.read(
        &format!("{at}.delivery"),
        delivery,
        sink::delivery::Settings::validate,
    );
    let common = ["egress_guard", "match"]
        .into_iter()
        .filter_map(|key| Some((key.to_owned(), node.remove(key)?)))
        .collect();
    let common = sections.read(at, Node::Table(common), |common: &Common, at, problems| {
        selection::validate(&common.clauses, &format!("{at}.match"), problems);
    });
    let kind = match kind? {
        #[cfg(feature = "splunk-hec")]
        "splunk_hec" => sections
            .read(at, node, sink::splunk_hec::Settings::validate)
            .map(SinkKind::SplunkHec),
        #[cfg(feature = "datadog-logs")]
        "datadog_logs" => sections
            .read(at, node, sink::datadog_logs::Settings::validate)
            .map(SinkKind::DatadogLogs),
        #[cfg(feature = "security-hub")]
        "security_hub" => sections
            .read(at, node, sink::security_hub::Settings::validate)
            .map(SinkKind::SecurityHub),
        #[cfg(feature = "file")]
        "file" => sections
            .read(at, node, sink::file::Settings::validate)
            .map(SinkKind::File),
        _ => None,
    };
    let (kind, common) = (kind?, common?);
    if !common.clauses.is_empty() && kind.accept() == [sink::Accept::Findings] {
        sections.problems.push(format!(
            "{at}.match is for events, and the sink accepts findings only"
        ));
    }
    Some(Sink {
        kind,
        delivery: delivery?,
        egress_guard: common.egress_guard,
        clauses: common.clauses,
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    fn problems(toml: &str) -> Vec<String> {
        match Config::parse(toml, BTreeMap::new()) {
            Ok(_) => Vec::new(),
            Err(problems) => problems.lines().to_vec(),
        }
    }

    const SMALL: &str = "[source]\ntype = 'directory'\npath = '/in'\n[sinks.archive]\ntype = 'file'\ndirectory = '/out'\n";

    fn file(name: &str) -> String {
        let path = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../config")
            .join(name);
        std::fs::read_to_string(path).unwrap()
    }

    fn example() -> String {
        file("example.toml")
    }

    #[test]
    fn the_smallest_configuration_is_enough() {
        let config = Config::parse(SMALL, BTreeMap::new()).unwrap();
        assert_eq!(config.limits, pipeline::Settings::default());
        assert_eq!(config.store.folder(), Some(Path::new("state/store")));
        assert_eq!(
            config.sinks["archive"].delivery,
            sink::delivery::Settings::default()
        );
    }

    #[test]
    fn problems_of_all_sections_come_together() {
        let toml = format!(
            "{SMALL}delivery.burst = 0\n[limits]\nworkers = 1000\nreplicas = 0\n[store]\npath = 'a'\nbucket = 'b'\n[sinks.x]\ntype = 'kafka'\n[sink.y]\n"
        );
        let problems = problems(&toml);
        let expected = [
            "sinks.archive.delivery.burst must be between",
            "sinks.x.type must be one of",
            "store must have one of path and bucket",
            "store.owner is required with a bucket",
            "limits.workers must be between 0 and 256, got 1000",
            "limits.replicas must be between 1 and 1000, got 0",
            "sink is not known; did you mean sinks?",
        ];
        for expected in expected {
            assert!(
                problems.iter().any(|problem| problem.starts_with(expected)),
                "no {expected} in {problems:#?}"
            );
        }
    }

    #[test]
    fn every_sink_has_an_egress_guard() {
        let mode = |line: &str| {
            let config = Config::parse(&format!("{SMALL}{line}"), BTreeMap::new()).unwrap();
            config.sinks["archive"].egress_guard
        };
        assert_eq!(mode(""), guard::Mode::Mask);
        assert_eq!(
            mode("egress_guard = 'dead-letter'\n"),
            guard::Mode::DeadLetter
        );
        let variable = ("SLUICEGATE__SINKS__ARCHIVE__EGRESS_GUARD", "count");
        let variables = BTreeMap::from([(variable.0.to_owned(), variable.1.to_owned())]);
        let config = Config::parse(SMALL, variables).unwrap();
        assert_eq!(config.sinks["archive"].egress_guard, guard::Mode::Count);
        assert_eq!(
            problems(&format!("{SMALL}egress_guard = 'off'\n")),
            ["sinks.archive.egress_guard must be one of mask, dead-letter, count, got `off`"]
        );
    }

    #[test]
    fn a_sink_does_not_say_twice_what_it_takes_nor_match_what_is_no_event() {
        let clause = "match = [[{ path = '/eventName', one_of = ['A'] }]]\n";
        for (lines, told) in [
            (
                "accept = ['events', 'insights']\n",
                "sinks.archive.accept must not name both events and insights: Insight events are among the events",
            ),
            (
                "accept = ['events', 'events_with_findings']\n",
                "sinks.archive.accept must not name both events and events_with_findings",
            ),
            (
                &format!("accept = ['findings']\n{clause}"),
                "sinks.archive.match is for events, and the sink accepts findings only",
            ),
        ] {
            assert_eq!(problems(&format!("{SMALL}{lines}")), [told]);
        }
        let sound = "accept = ['findings', 'insights', 'events_with_findings', 'digests']\n";
        assert_eq!(problems(&format!("{SMALL}{sound}{clause}")), [""; 0]);
    }

    #[test]
    fn a_plugin_is_granted_only_tables_that_exist() {
        let toml = format!(
            "{SMALL}[plugins.p]\npath = 'p.wasm'\ngrants = {{ lookup = ['nets', 'other'] }}\n[tables.nets]\npath = 'n.csv'\nformat = 'csv'\nkey = 'net'\nmatch = 'network'\n"
        );
        assert_eq!(
            problems(&toml),
            ["plugins.p.grants.lookup names a table `other`, and there is no sound [tables.other]"]
        );
    }

    #[test]
    fn nothing_at_all_names_what_is_needed() {
        let problems = problems("");
        assert!(
            problems[0].starts_with("source.type is required: one of"),
            "{problems:?}"
        );
    }

    #[test]
    fn the_example_is_a_configuration() {
        assert_eq!(problems(&example()), [""; 0]);
        assert_eq!(problems(&file("local.toml")), [""; 0]);
    }

    /// The example shows every optional key with its default on a line that begins with `#= `. Reading it
    /// with those lines made real must change nothing.
    #[test]
    fn the_example_shows_the_defaults() {
        let plain = Config::parse(&example(), BTreeMap::new()).unwrap();
        let shown: String = example()
            .lines()
            .map(|line| line.strip_prefix("#= ").unwrap_or(line).to_owned() + "\n")
            .collect();
        let full = match Config::parse(&shown, BTreeMap::new()) {
            Ok(config) => config,
            Err(problems) => panic!("{:#?}", problems.lines()),
        };
        assert_eq!(plain.limits, full.limits);
        assert_eq!(plain.findings, full.findings);
        assert_eq!(plain.reload, full.reload);
        assert_eq!(plain.trust, full.trust);
        assert_eq!(plain.python, full.python);
        assert_eq!(plain.plugin_cache, full.plugin_cache);
        assert_eq!(plain.ledger, full.ledger);
        assert_eq!(plain.plugins, full.plugins);
        assert_eq!(plain.tables, full.tables);
        assert_eq!(format!("{:?}", plain.sinks), format!("{:?}", full.sinks));
        assert_eq!(plain.source, full.source);
        assert_eq!(plain.store.folder(), full.store.folder());
    }
}
