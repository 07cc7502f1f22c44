//! What the operator may set, checked.

use std::collections::BTreeMap;

use sluicegate_plugin::configuration;

use crate::rules::{Rules, SPECS, Which};

/// What the operator may set.
#[configuration]
#[serde(default)]
pub struct Config {
    /// Matches of one rule by one principal within so many seconds are one finding.
    #[schemars(range(min = 60, max = 86400))]
    pub finding_window_s: u32,
    /// How many seconds a principal or an account must be known before a first use is reported.
    #[schemars(range(min = 0, max = 2_592_000))]
    pub learning_s: u32,
    /// ARNs of principals (for sessions the role's) whose behaviour is not looked at; a `*` at the end
    /// stands for anything.
    pub ignored_principals: Vec<String>,
    /// Table with the places of addresses, for impossible travel: a database that has
    /// `location.latitude`, `location.longitude` and `country.iso_code`. Without it that rule rests.
    pub locations: Option<String>,
    /// Kilometres below which nothing is travel.
    #[schemars(range(min = 1, max = 20000))]
    pub travel_min_km: u32,
    /// Calls within an hour below which no principal is an outlier.
    #[schemars(range(min = 64, max = 100_000_000))]
    pub volume_min_calls: u32,
    /// Rules by identifier, where they shall differ from their defaults.
    pub rules: BTreeMap<String, Setting>,
}

/// How one rule shall differ from its defaults.
#[configuration]
#[derive(Default)]
#[serde(default)]
pub struct Setting {
    /// From how many on it reports; of `call-volume-outlier` how many times the mean, of
    /// `impossible-travel` the kilometres an hour, of `roles-chained` how many roles.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub threshold: Option<u32>,
    /// Seconds within which it counts, up to thirty days.
    #[schemars(range(min = 60, max = 2_592_000))]
    pub window_s: Option<u32>,
    /// Whether it rests.
    pub off: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            finding_window_s: 21_600,
            learning_s: 604_800,
            ignored_principals: Vec::new(),
            locations: None,
            travel_min_km: 500,
            volume_min_calls: 2_000,
            rules: BTreeMap::new(),
        }
    }
}

fn within(name: &str, value: u32, range: std::ops::RangeInclusive<u32>) -> Result<(), String> {
    if range.contains(&value) {
        return Ok(());
    }
    let (least, most) = range.into_inner();
    Err(format!(
        "{name} must be between {least} and {most}, got {value}"
    ))
}

impl Config {
    /// Checks all of it and answers with the rules as they shall be.
    pub(crate) fn rules(&self) -> Result<Rules, String> {
        within("finding_window_s", self.finding_window_s, 60..=86_400)?;
        within("learning_s", self.learning_s, 0..=2_592_000)?;
        within("travel_min_km", self.travel_min_km, 1..=20_000)?;
        within("volume_min_calls", self.volume_min_calls, 64..=100_000_000)?;
        let mut rules = Rules::default();
        for (id, setting) in &self.rules {
            let Some(which) = Which::of(id) else {
                let known: Vec<&str> = SPECS.iter().map(|spec| spec.rule.id).collect();
                return Err(format!(
                    "rules.{id:?} is no rule of this plugin, which has: {}",
                    known.join(", ")
                ));
            };
            let rule = rules.get_mut(which);
            rule.off = setting.off;
            if let Some(threshold) = setting.threshold {
                within(&format!("rules.{id}.threshold"), threshold, 1..=1_000_000)?;
                rule.threshold = threshold;
            }
            if let Some(window_s) = setting.window_s {
                within(&format!("rules.{id}.window_s"), window_s, 60..=2_592_000)?;
                if which == Which::Volume {
                    return Err(format!(
                        "rules.{id}.window_s cannot be set: it compares hours"
                    ));
                }
                rule.window_s = window_s;
            }
        }
        Ok(rules)
    }

    /// Whether a principal is not to be looked at.
    pub(crate) fn ignores(&self, principal: &str) -> bool {
        self.ignored_principals
            .iter()
            .any(|ignored| match ignored.strip_suffix('*') {
                Some(start) => principal.starts_with(start),
                None => principal == ignored,
            })
    }
}
