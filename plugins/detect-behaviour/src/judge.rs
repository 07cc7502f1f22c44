//! What the counted windows mean: which events a rule is met by, and what is shown of the others.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use sluicegate_plugin::{
    Finding, Output,
    state::{self, Entry, Window},
};

use crate::{
    plan::{Count, Memory, Plan},
    rules::{DISCOVERY_SERVICES, Measure, Which, finding},
    settings::Config,
    text::push_bounded,
    travel::{self, Place},
};

/// Findings of one batch; the host takes 4,000 at the most, of all that is said in a batch.
const MOST_FINDINGS: usize = 1_000;
/// Members that one finding shows.
const MOST_SHOWN: usize = 10;
/// Entries that are asked for of one key, and keys of one call: the host hands out 16,384 in all.
const ENTRIES: u32 = 512;
const KEYS: usize = 32;
/// Calls for entries in one batch.
const CALLS: usize = 4;
/// Longest text of an entity.
const ENTITY_BYTES: usize = 512;

/// An event that a rule is met by, or that led to one.
struct Hit<'c, 'a> {
    count: &'c Count<'a>,
    /// How many there are.
    reached: u64,
}

/// Judges what was counted.
pub(crate) struct Judge<'j> {
    pub(crate) config: &'j Config,
    pub(crate) memory: &'j Memory,
}

impl Judge<'_> {
    /// Reports what is met. What goes wrong is told in the end, and costs only what hangs on it.
    pub(crate) fn judge(
        &self,
        plan: &Plan<'_, '_>,
        windows: &[Window],
        out: &mut Output,
    ) -> Result<(), String> {
        let hits = self.hits(plan, windows);
        let mut keys: Vec<&str> = hits
            .iter()
            .filter(|hit| wants_entries(hit.count.rule))
            .map(|hit| hit.count.key.as_str())
            .collect();
        keys.sort_unstable();
        keys.dedup();
        let (entries, trouble) = remembered(&keys);
        let mut met: Vec<(Hit<'_, '_>, Finding)> = Vec::new();
        for hit in hits {
            let of_key = entries.get(hit.count.key.as_str()).map(Vec::as_slice);
            if let Some(finding) = self.finding(plan, &hit, of_key) {
                met.push((hit, finding));
            }
        }
        let led = led_to(plan, &met);
        for (hit, finding) in met.into_iter().chain(led).take(MOST_FINDINGS) {
            self.memory.found(hit.count.event);
            out.find(hit.count.row, finding);
        }
        trouble
    }

    fn hits<'c, 'a>(&self, plan: &'c Plan<'a, '_>, windows: &[Window]) -> Vec<Hit<'c, 'a>> {
        let mut windows = windows;
        let mut hits = Vec::new();
        for count in &plan.counts {
            let rule = plan.rule(count.rule);
            let asked = rule.windows().count().min(windows.len());
            let (own, rest) = windows.split_at(asked);
            windows = rest;
            let presence = rule_is_first(count.rule) && count.member.is_empty();
            let reached = rule.reached(count.value, own, self.config.volume_min_calls);
            if let Some(reached) = reached.filter(|_| !presence) {
                hits.push(Hit { count, reached });
            }
        }
        hits
    }

    /// The finding, unless what is remembered speaks against it.
    fn finding(
        &self,
        plan: &Plan<'_, '_>,
        hit: &Hit<'_, '_>,
        entries: Option<&[Entry]>,
    ) -> Option<Finding> {
        let (count, rule) = (hit.count, plan.rule(hit.count.rule));
        let finding = self.begin(count);
        let within: Vec<&Entry> = entries
            .unwrap_or_default()
            .iter()
            .filter(|entry| {
                let time_ms = i64::try_from(entry.time_ms).unwrap_or(i64::MAX);
                let age_ms = count.time_ms.saturating_sub(time_ms);
                (0..i64::from(rule.window_s) * 1_000).contains(&age_ms)
            })
            .collect();
        match count.rule.measure() {
            Measure::First => {
                let known = entries.is_some_and(|entries| self.is_known(count, entries));
                let name = match count.rule {
                    Which::SensitiveFirstUsed => "call",
                    _ => "region",
                };
                return known.then(|| finding.attribute(name, &count.member));
            }
            Measure::Travel => {
                let to = Place::read(&count.member)?;
                let (speed, window_s) = (rule.threshold, rule.window_s);
                let (time_ms, least) = (count.time_ms, self.config.travel_min_km);
                let way = travel::journey(&to, time_ms, entries?, speed, least, window_s)?;
                return Some(
                    finding
                        .attribute("countries", &format!("{} {}", way.from.country, to.country))
                        .attribute("kilometres", &format!("{:.0}", way.km))
                        .attribute("minutes", &way.minutes.to_string()),
                );
            }
            _ => {}
        }
        if count.rule == Which::Discovery && services(&within) < DISCOVERY_SERVICES {
            return None;
        }
        let finding = finding.attribute("count", &hit.reached.to_string());
        let Some(name) = count.rule.shows() else {
            return Some(finding);
        };
        let shown: BTreeSet<&str> = within
            .iter()
            .rev()
            .map(|entry| entry.member.as_str())
            .filter(|member| !member.is_empty() && *member != count.event)
            .take(MOST_SHOWN)
            .collect();
        let shown: Vec<&str> = shown.into_iter().collect();
        Some(finding.attribute(name, &shown.join(" ")))
    }

    fn begin(&self, count: &Count<'_>) -> Finding {
        let mut entity = String::new();
        push_bounded(&mut entity, count.entity, ENTITY_BYTES);
        finding(count.rule.rule())
            .entity(&entity)
            .window_s(self.config.finding_window_s)
    }

    /// Whether a key has been there for the time that learning takes.
    fn is_known(&self, count: &Count<'_>, entries: &[Entry]) -> bool {
        let since = i64::from(self.config.learning_s) * 1_000;
        let oldest = entries
            .first()
            .and_then(|entry| i64::try_from(entry.time_ms).ok());
        let old = oldest.is_some_and(|oldest| count.time_ms.saturating_sub(oldest) >= since);
        // More entries than are handed out: what begins before them is not seen.
        old || entries.len() >= ENTRIES as usize
    }
}

fn rule_is_first(rule: Which) -> bool {
    rule.measure() == Measure::First
}

fn wants_entries(rule: Which) -> bool {
    matches!(rule.measure(), Measure::First | Measure::Travel) || rule.shows().is_some()
}

/// Distinct services among calls like `ec2:DescribeInstances`.
fn services(entries: &[&Entry]) -> usize {
    let service = |entry: &&Entry| Some(entry.member.split_once(':')?.0.to_owned());
    let services: BTreeSet<String> = entries.iter().filter_map(service).collect();
    services.len()
}

/// What the host remembers of keys; of those that could not be asked for, nothing.
fn remembered<'k>(keys: &[&'k str]) -> (HashMap<&'k str, Vec<Entry>>, Result<(), String>) {
    const LONGEST_S: u32 = 2_592_000;
    let mut entries = HashMap::new();
    let mut trouble = Ok(());
    for keys in keys.chunks(KEYS).take(CALLS) {
        match state::recent(keys, LONGEST_S, ENTRIES) {
            Ok(of_keys) => entries.extend(keys.iter().copied().zip(of_keys)),
            Err(error) => trouble = Err(format!("failed to remember: {error:?}")),
        }
    }
    if keys.len() > KEYS * CALLS && trouble.is_ok() {
        trouble = Err(format!("{} keys are too many to remember", keys.len()));
    }
    (entries, trouble)
}

/// Events of this batch that lie in the window of one that met its rule: they are evidence too.
fn led_to<'c, 'a>(
    plan: &'c Plan<'a, '_>,
    met: &[(Hit<'c, 'a>, Finding)],
) -> Vec<(Hit<'c, 'a>, Finding)> {
    let mut times: BTreeMap<(Which, &str), Vec<(i64, usize)>> = BTreeMap::new();
    let mut rows = BTreeSet::new();
    for (at, (hit, _)) in met.iter().enumerate() {
        let counted = [Measure::Sum, Measure::Members, Measure::MembersAtOnce];
        if counted.contains(&hit.count.rule.measure()) {
            let of_key = times.entry((hit.count.rule, &hit.count.key)).or_default();
            of_key.push((hit.count.time_ms, at));
        }
        rows.insert((hit.count.rule, hit.count.row.index()));
    }
    let mut led = Vec::new();
    for count in &plan.counts {
        let Some(of_key) = times.get(&(count.rule, count.key.as_str())) else {
            continue;
        };
        let window_ms = i64::from(plan.rule(count.rule).window_s) * 1_000;
        let later = |(time_ms, _): &&(i64, usize)| {
            (0..window_ms).contains(&time_ms.saturating_sub(count.time_ms))
        };
        let Some((_, at)) = of_key.iter().find(later) else {
            continue;
        };
        if rows.insert((count.rule, count.row.index())) {
            let (hit, finding) = &met[*at];
            let reached = hit.reached;
            led.push((Hit { count, reached }, finding.clone()));
        }
    }
    led
}
