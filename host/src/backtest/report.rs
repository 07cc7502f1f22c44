//! What a back-test found: each hit, hits by rule and hour, and the sum of it all.

use std::collections::{BTreeMap, HashSet};

use serde::Serialize;

use super::Judged;
use crate::{
    digest::sha256,
    event::ObjectId,
    finding::{Severity, Sighting},
    text::shown,
    timestamp,
};

/// Hits of a rule that are named as examples.
const SAMPLES: usize = 3;
/// Objects at fault that are named.
const FAULTS: usize = 20;
const HOUR_MS: i64 = 3_600_000;

/// One match of one rule.
#[derive(Clone, Debug, Serialize)]
pub struct Hit {
    /// Event time, or the batch's newest where the event has none.
    pub time: String,
    /// The plugin.
    pub plugin: String,
    /// The rule.
    pub rule: String,
    /// How bad it is.
    pub severity: &'static str,
    /// For people.
    pub title: String,
    /// Whom or what it is about.
    pub entity: Vec<String>,
    /// The Id of the finding that it would be counted in.
    pub finding: String,
    /// Where the event lies.
    pub object: String,
    /// Its position there.
    pub index: u32,
    /// Its identity: object and position.
    pub event: String,
    #[serde(skip)]
    time_ms: i64,
    #[serde(skip)]
    level: Severity,
}

impl Hit {
    pub(super) fn new(object: ObjectId, sighting: &Sighting) -> Self {
        Self {
            time: timestamp::format_ms(sighting.event.time_ms),
            plugin: sighting.plugin.clone(),
            rule: sighting.rule.clone(),
            severity: sighting.severity.as_str(),
            title: sighting.title.clone(),
            entity: sighting.entity.clone(),
            finding: sighting.finding_id(),
            object: sighting.event.object_url.clone(),
            index: sighting.event.index,
            event: format!("{object}.{}", sighting.event.index),
            time_ms: sighting.event.time_ms,
            level: sighting.severity,
        }
    }
}

/// Hits of one rule in one hour of event time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Hour {
    /// Its first moment.
    pub hour: String,
    /// The plugin.
    pub plugin: String,
    /// The rule.
    pub rule: String,
    /// How many.
    pub hits: u64,
}

/// What became of one rule.
#[derive(Clone, Debug, Default)]
pub struct RuleReport {
    /// Matches.
    pub hits: u64,
    /// Severity of the first match.
    pub severity: Option<Severity>,
    /// The first matches: where each event lies.
    pub samples: Vec<String>,
    /// Hits by hour of event time, hours since 1970.
    hours: BTreeMap<i64, u64>,
    /// Findings that the hits would be counted in.
    findings: HashSet<[u8; 16]>,
}

impl RuleReport {
    /// How many findings the hits would be counted in.
    #[must_use]
    pub fn findings(&self) -> u64 {
        self.findings.len() as u64
    }

    /// First and last hour with a hit.
    #[must_use]
    pub fn span(&self) -> Option<(String, String)> {
        let (first, _) = self.hours.first_key_value()?;
        let (last, _) = self.hours.last_key_value()?;
        Some((hour(*first), hour(*last)))
    }
}

/// The sum of a back-test.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Objects judged, those at fault included.
    pub objects: u64,
    /// Events judged.
    pub events: u64,
    /// Events that are no valid JSON, too large or too deep.
    pub bad_events: u64,
    /// Leaves that would be masked.
    pub masks: u64,
    /// Events that would be dropped by filters.
    pub dropped: u64,
    /// Events that would not leave because redaction failed on them.
    pub withheld: u64,
    /// Objects at fault.
    pub faults: u64,
    /// Some of them, with the cause.
    pub fault_samples: Vec<String>,
    /// By plugin and rule.
    pub rules: BTreeMap<(String, String), RuleReport>,
}

impl Report {
    pub(super) fn add(&mut self, object: &str, judged: Judged) {
        self.objects += 1;
        self.events += judged.events;
        self.bad_events += judged.bad_events;
        self.masks += judged.masks;
        self.dropped += judged.dropped;
        self.withheld += judged.withheld;
        if let Some(fault) = judged.fault {
            self.faults += 1;
            if self.fault_samples.len() < FAULTS {
                let text = format!("{}: {}", shown(object), shown(&fault));
                self.fault_samples.push(text);
            }
        }
        for hit in judged.hits {
            let key = (hit.plugin, hit.rule);
            let rule = self.rules.entry(key).or_default();
            rule.hits += 1;
            rule.severity.get_or_insert(hit.level);
            *rule
                .hours
                .entry(hit.time_ms.div_euclid(HOUR_MS))
                .or_default() += 1;
            let id = sha256(&[hit.finding.as_bytes()]);
            rule.findings.insert(std::array::from_fn(|at| id[at]));
            if rule.samples.len() < SAMPLES {
                rule.samples
                    .push(format!("{}#{}", shown(&hit.object), hit.index));
            }
        }
    }

    /// Hits by rule and hour, in the order of both.
    pub fn hours(&self) -> impl Iterator<Item = Hour> {
        self.rules.iter().flat_map(|((plugin, rule), report)| {
            report.hours.iter().map(move |(at, hits)| Hour {
                hour: hour(*at),
                plugin: plugin.clone(),
                rule: rule.clone(),
                hits: *hits,
            })
        })
    }
}

fn hour(since_1970: i64) -> String {
    timestamp::format_ms(since_1970.saturating_mul(HOUR_MS))
}
