//! The rule of `plugins/examples-python/attack-tools`, written in Rust: the tests compare what both find,
//! and the measurements what both cost.

use std::{
    cell::RefCell,
    collections::{BTreeMap, HashMap},
};

use sluicegate_plugin::{
    Batch, Field, Finding, Output, Plugin, PluginKind, Row, Severity, Subscription, configuration,
};

const TOOLS: [(&str, Level); 12] = [
    ("kali", Level::High),
    ("parrot", Level::High),
    ("pentoo", Level::High),
    ("blackarch", Level::High),
    ("pacu", Level::High),
    ("stratus-red-team", Level::High),
    ("trufflehog", Level::High),
    ("scoutsuite", Level::Medium),
    ("cloudfox", Level::Medium),
    ("prowler", Level::Medium),
    ("s3 browser", Level::Low),
    ("rclone", Level::Low),
];

const MAX_REMEMBERED: usize = 512;

/// As in Python.
#[configuration]
#[derive(Copy)]
#[serde(rename_all = "snake_case")]
enum Level {
    Low,
    Medium,
    High,
}

/// As in Python.
#[configuration]
#[derive(Default)]
#[serde(default)]
struct Config {
    also: BTreeMap<String, Level>,
    allowed: Vec<String>,
}

struct AttackTools {
    words: Vec<(String, Level)>,
    /// Positions in `words`, by user agent.
    remembered: RefCell<HashMap<String, Option<usize>>>,
    allowed: Vec<String>,
    agent: Field,
    arn: Field,
    ip: Field,
    call: Field,
}

impl Plugin for AttackTools {
    const NAME: &'static str = "attack-tools";
    const VERSION: &'static str = "0.1.0";
    const KIND: PluginKind = PluginKind::Detect;
    type Config = Config;

    fn configure(config: Config) -> Result<(Self, Subscription), String> {
        let known = TOOLS
            .iter()
            .map(|(word, level)| ((*word).to_owned(), *level));
        let also = config.also.into_iter();
        let also = also.map(|(word, level)| (word.to_ascii_lowercase(), level));
        let mut wanted = Subscription::new();
        let plugin = Self {
            words: known.chain(also).collect(),
            remembered: RefCell::default(),
            allowed: config.allowed,
            agent: wanted.field("userAgent"),
            arn: wanted.field("/userIdentity/arn"),
            ip: wanted.field("sourceIPAddress"),
            call: wanted.field("eventName"),
        };
        wanted.clause().present("userAgent");
        Ok((plugin, wanted))
    }

    fn process(&self, batch: &Batch<'_>, out: &mut Output) -> Result<(), String> {
        for row in batch.rows() {
            self.look(row, out);
        }
        Ok(())
    }
}

impl AttackTools {
    fn look(&self, row: Row<'_>, out: &mut Output) {
        let Some((agent, (tool, level))) = row
            .str(self.agent)
            .and_then(|agent| Some((agent, self.remembered(agent)?)))
        else {
            return;
        };
        let arn = row.str(self.arn).unwrap_or("unknown");
        if self.allowed.iter().any(|allowed| allowed == arn) {
            return;
        }
        let severity = match level {
            Level::Low => Severity::Low,
            Level::Medium => Severity::Medium,
            Level::High => Severity::High,
        };
        let finding = Finding::new(
            "attack-tool",
            "A tool that attackers work with was used",
            severity,
        )
        .description(
            "The user agent of the principal's calls names the tool. The count says how many.",
        )
        .entity(arn)
        .entity(tool)
        .window_s(3600)
        .attribute("tool", tool)
        .attribute("user-agent", agent)
        .attribute("source-ip", row.str(self.ip).unwrap_or_default())
        .attribute("call", row.str(self.call).unwrap_or_default());
        out.find(row, finding);
    }

    /// The same as [`Self::tool`], with an eye on how often user agents repeat.
    fn remembered(&self, agent: &str) -> Option<&(String, Level)> {
        let mut remembered = self.remembered.borrow_mut();
        let tool = remembered.get(agent).copied().unwrap_or_else(|| {
            let tool = self.tool(agent.as_bytes());
            if agent.len() <= MAX_REMEMBERED && remembered.len() < 2048 {
                remembered.insert(agent.to_owned(), tool);
            }
            tool
        });
        tool.map(|tool| &self.words[tool])
    }

    /// The first word in a user agent that stands alone.
    fn tool(&self, agent: &[u8]) -> Option<usize> {
        (0..agent.len())
            .filter(|&at| at == 0 || !agent[at - 1].is_ascii_alphanumeric())
            .find_map(|at| {
                self.words.iter().position(|(word, _)| {
                    let end = at + word.len();
                    agent
                        .get(at..end)
                        .is_some_and(|text| text.eq_ignore_ascii_case(word.as_bytes()))
                        && !agent.get(end).is_some_and(u8::is_ascii_alphabetic)
                })
            })
    }
}

sluicegate_plugin::export!(AttackTools);
