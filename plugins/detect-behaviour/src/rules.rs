//! The rules as this plugin counts for them; what they mean stands in the catalogue.

use detections::{BEHAVIOUR, Rule, Severity as Weight};
use sluicegate_plugin::{Finding, Severity, state::Window};

/// What a rule looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Measure {
    /// The sum of values: how often. Members are the identifiers of the events.
    Sum,
    /// Distinct members: how many different ones.
    Members,
    /// Distinct members, half of a day's or more.
    MembersAtOnce,
    /// The first event with its member, of a key that has been known for a while.
    First,
    /// Two members too far apart.
    Travel,
    /// Events of an hour against those of the day.
    Volume,
    /// The value itself.
    Value,
}

/// The rules, in the catalogue's order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Which {
    LoginFailures,
    LoginFailuresAddress,
    LoginSpraying,
    LoginAfterFailures,
    RegionFirstUsed,
    PrincipalRegionFirstUsed,
    RegionsSwept,
    Travel,
    KeyManyNetworks,
    ObjectsDeleted,
    ObjectsRead,
    ResourcesDeleted,
    BackupsDeleted,
    DeletionsDenied,
    SecretsRead,
    InstanceSecretsRead,
    Discovery,
    SensitiveFirstUsed,
    Volume,
    CallsFailed,
    CallsUnauthorized,
    EscalationDenied,
    RolesChained,
}

impl Which {
    pub(crate) fn of(id: &str) -> Option<Self> {
        SPECS
            .iter()
            .find(|spec| spec.rule.id == id)
            .map(|spec| spec.which)
    }

    pub(crate) fn rule(self) -> &'static Rule {
        SPECS[self as usize].rule
    }

    pub(crate) fn measure(self) -> Measure {
        SPECS[self as usize].measure
    }

    /// Under which name the remembered members of its key are shown; nothing where they are hashes.
    pub(crate) fn shows(self) -> Option<&'static str> {
        match self {
            Self::RegionsSwept => Some("regions"),
            Self::KeyManyNetworks => Some("networks"),
            Self::Discovery | Self::CallsUnauthorized | Self::EscalationDenied => Some("calls"),
            Self::LoginAfterFailures => Some("events"),
            _ if self.measure() == Measure::Sum => Some("events"),
            _ => None,
        }
    }
}

/// A rule with its defaults.
pub(crate) struct Spec {
    pub(crate) which: Which,
    pub(crate) rule: &'static Rule,
    pub(crate) measure: Measure,
    threshold: u32,
    window_s: u32,
}

const fn spec(which: Which, measure: Measure, threshold: u32, window_s: u32) -> Spec {
    Spec {
        which,
        rule: BEHAVIOUR[which as usize],
        measure,
        threshold,
        window_s,
    }
}

const MINUTES: u32 = 60;
const HOUR: u32 = 3_600;
const DAY: u32 = 86_400;

/// All rules; each stands at the position of its [`Which`].
pub(crate) const SPECS: [Spec; 23] = [
    spec(Which::LoginFailures, Measure::Sum, 10, 10 * MINUTES),
    spec(Which::LoginFailuresAddress, Measure::Sum, 20, 10 * MINUTES),
    spec(Which::LoginSpraying, Measure::Members, 5, 10 * MINUTES),
    spec(Which::LoginAfterFailures, Measure::Sum, 5, 30 * MINUTES),
    spec(Which::RegionFirstUsed, Measure::First, 1, 30 * DAY),
    spec(Which::PrincipalRegionFirstUsed, Measure::First, 1, 30 * DAY),
    spec(Which::RegionsSwept, Measure::Members, 10, HOUR),
    spec(Which::Travel, Measure::Travel, 900, DAY),
    spec(Which::KeyManyNetworks, Measure::Members, 5, HOUR),
    spec(Which::ObjectsDeleted, Measure::Sum, 500, 10 * MINUTES),
    spec(
        Which::ObjectsRead,
        Measure::MembersAtOnce,
        1_000,
        10 * MINUTES,
    ),
    spec(Which::ResourcesDeleted, Measure::Sum, 20, 10 * MINUTES),
    spec(Which::BackupsDeleted, Measure::Sum, 5, 10 * MINUTES),
    spec(Which::DeletionsDenied, Measure::Sum, 5, 10 * MINUTES),
    spec(Which::SecretsRead, Measure::Members, 15, 10 * MINUTES),
    spec(
        Which::InstanceSecretsRead,
        Measure::Members,
        10,
        10 * MINUTES,
    ),
    spec(Which::Discovery, Measure::Members, 20, 10 * MINUTES),
    spec(Which::SensitiveFirstUsed, Measure::First, 1, 30 * DAY),
    spec(Which::Volume, Measure::Volume, 6, HOUR),
    spec(Which::CallsFailed, Measure::Sum, 100, 10 * MINUTES),
    spec(Which::CallsUnauthorized, Measure::Members, 5, 10 * MINUTES),
    spec(Which::EscalationDenied, Measure::Members, 3, HOUR),
    spec(Which::RolesChained, Measure::Value, 3, 12 * HOUR),
];

/// Services that the calls of a discovery must be spread over: who works with one service lists a lot of it.
pub(crate) const DISCOVERY_SERVICES: usize = 6;

/// Of calls one in so many is counted for their volume, by the first two digits of the event's identifier.
pub(crate) const VOLUME_SAMPLE: u64 = 64;
pub(crate) const VOLUME_PREFIXES: [&str; 4] = ["00", "40", "80", "c0"];

/// Entries that the host keeps of one key. What is that full has no baseline any more.
const FULL: u64 = 5_000;

/// A rule as the operator wants it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Set {
    which: Which,
    pub(crate) threshold: u32,
    pub(crate) window_s: u32,
    pub(crate) off: bool,
}

impl Set {
    /// The windows that are asked for: the rule's own comes first.
    pub(crate) fn windows(self) -> impl Iterator<Item = u32> + Clone {
        let more: &[u32] = match self.which.measure() {
            Measure::Volume => &[DAY / 2, DAY],
            Measure::MembersAtOnce => &[DAY],
            _ => &[],
        };
        std::iter::once(self.window_s).chain(more.iter().copied())
    }

    /// Of what is there in masses one in so many is counted, chosen by its hash, so that a busy
    /// principal's key is not always full: 64 or more are left of what the threshold needs.
    pub(crate) fn weight(self) -> u64 {
        let sampled = matches!(self.which, Which::ObjectsDeleted | Which::ObjectsRead);
        match self.threshold / 64 {
            0 => 1,
            most if sampled => 1 << most.ilog2(),
            _ => 1,
        }
    }

    /// Seconds after which something seen is counted again, although nothing is new about it.
    pub(crate) fn refresh_s(self) -> u32 {
        match self.which.measure() {
            Measure::Travel => (self.window_s / 4).min(600),
            _ => self.window_s / 4,
        }
    }

    /// How much there is, where that is enough. `value` is that of the event itself.
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "sums of small positive values"
    )]
    pub(crate) fn reached(self, value: f64, windows: &[Window], least_calls: u32) -> Option<u64> {
        let first = windows.first()?;
        let threshold = u64::from(self.threshold);
        match self.which.measure() {
            Measure::Sum => (first.sum >= f64::from(self.threshold)).then_some(first.sum as u64),
            Measure::Value => (value >= f64::from(self.threshold)).then_some(value as u64),
            Measure::Members => (first.members >= threshold).then_some(first.members),
            Measure::MembersAtOnce => {
                let members = first.members * self.weight();
                let most = windows.get(1)?.members <= 2 * first.members;
                (most && members >= threshold).then_some(members)
            }
            Measure::First => first.first.then_some(1),
            Measure::Travel => (first.members > 1).then_some(first.members),
            Measure::Volume => {
                let (half_day, day) = (windows.get(1)?.events, windows.get(2)?.events);
                let calls = first.events * VOLUME_SAMPLE;
                let known = day > half_day && day < FULL;
                let before = day.saturating_sub(first.events);
                let outlier = 23 * first.events >= threshold * before;
                (known && outlier && calls >= u64::from(least_calls)).then_some(calls)
            }
        }
    }
}

/// All rules as the operator wants them.
#[derive(Debug)]
pub(crate) struct Rules([Set; SPECS.len()]);

impl Default for Rules {
    fn default() -> Self {
        Self(std::array::from_fn(|at| Set {
            which: SPECS[at].which,
            threshold: SPECS[at].threshold,
            window_s: SPECS[at].window_s,
            off: false,
        }))
    }
}

impl Rules {
    pub(crate) fn get(&self, which: Which) -> Set {
        self.0[which as usize]
    }

    pub(crate) fn get_mut(&mut self, which: Which) -> &mut Set {
        &mut self.0[which as usize]
    }
}

/// A finding as the catalogue describes it.
pub(crate) fn finding(rule: &Rule) -> Finding {
    let severity = match rule.severity {
        Weight::Informational => Severity::Informational,
        Weight::Low => Severity::Low,
        Weight::Medium => Severity::Medium,
        Weight::High => Severity::High,
        Weight::Critical => Severity::Critical,
    };
    Finding::new(rule.id, rule.title, severity)
        .description(rule.description)
        .attribute(
            "technique",
            rule.techniques.first().copied().unwrap_or_default(),
        )
        .attribute("types", rule.types)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_rule_stands_at_its_own_position() {
        assert_eq!(SPECS.len(), BEHAVIOUR.len());
        for (at, spec) in SPECS.iter().enumerate() {
            assert_eq!(spec.which as usize, at, "{}", spec.rule.id);
            assert_eq!(Which::of(spec.rule.id), Some(spec.which));
        }
    }

    #[test]
    fn a_sample_leaves_enough_to_count() {
        let mut rules = Rules::default();
        for threshold in [1, 63, 64, 127, 128, 500, 1_000, 1_000_000] {
            let rule = rules.get_mut(Which::ObjectsRead);
            rule.threshold = threshold;
            let left = u64::from(threshold) / rule.weight();
            assert!(
                rule.weight() == 1 || (64..128).contains(&left),
                "{threshold}: {left}"
            );
        }
        assert_eq!(rules.get(Which::CallsFailed).weight(), 1);
    }

    #[test]
    fn an_outlier_is_measured_against_the_other_hours_of_the_day() {
        let rules = Rules::default();
        let windows = |hour, half_day, day| {
            [hour, half_day, day].map(|events| Window {
                events,
                members: 0,
                sum: 0.0,
                first: false,
            })
        };
        let reached = |hour, half_day, day| {
            rules
                .get(Which::Volume)
                .reached(0.0, &windows(hour, half_day, day), 2_000)
        };
        assert_eq!(reached(40, 45, 60), Some(2_560));
        assert_eq!(reached(40, 60, 60), None, "not known for half a day");
        assert_eq!(reached(31, 45, 60), None, "too few calls");
        assert_eq!(reached(40, 150, 250), None, "as ever");
        assert_eq!(
            reached(4_900, 4_950, 5_000),
            None,
            "nothing to compare with"
        );
    }
}
