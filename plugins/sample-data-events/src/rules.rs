//! Rules: which events they are about, and what becomes of these.

use sluicegate_plugin::configuration;

use crate::{
    chance::{self, Purpose, sampled},
    selector::{CATEGORIES, Condition, Event, FieldSelector, Name, cut},
};

/// What becomes of the events that meet all selectors.
#[configuration]
pub struct Rule {
    /// What log lines call it: 1 to 64 characters.
    #[schemars(length(min = 1, max = 64))]
    pub name: String,
    /// In the words of `CloudTrail`'s advanced event selectors; all of them must hold.
    #[schemars(length(min = 1, max = 32))]
    pub field_selectors: Vec<FieldSelector>,
    /// `"keep"`, `"drop"`, or `{ sample = 0.01 }`: the share that is left over.
    pub action: Action,
}

/// What a rule does.
#[configuration]
#[derive(Copy, PartialEq)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// All of them go on, and no budget is asked.
    Keep,
    /// None of them goes on.
    Drop,
    /// This share of them goes on, more than 0 and less than 1, by their identifiers.
    Sample(f64),
}

/// What the rules say of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It goes on.
    Keep,
    /// The rule at this position drops it.
    Drop(usize),
    /// It goes on if the budget allows.
    Left,
}

/// Rules that have been checked.
#[derive(Debug, Default)]
pub(crate) struct Rules(Vec<Checked>);

#[derive(Debug)]
struct Checked {
    conditions: Vec<Condition>,
    action: Action,
    /// Categories that the rule names.
    categories: Vec<String>,
    /// Whether the rule names failed calls.
    failed: bool,
}

/// Categories that are touched without being named.
const OWN: [&str; 2] = ["Data", "NetworkActivity"];
const MOST_RULES: usize = 100;
const MOST_SELECTORS: usize = 32;

impl Rules {
    pub(crate) fn new(rules: &[Rule]) -> Result<Self, String> {
        if rules.len() > MOST_RULES {
            return Err(format!(
                "rules must be at most {MOST_RULES}, got {}",
                rules.len()
            ));
        }
        let mut checked = Vec::with_capacity(rules.len());
        for (position, rule) in rules.iter().enumerate() {
            let at = format!("rules.{position}");
            let named = |other: &Rule| other.name == rule.name;
            if rule.name.is_empty() || rule.name.chars().count() > 64 {
                return Err(format!(
                    "{at}.name must have 1 to 64 characters, got `{}`",
                    cut(&rule.name)
                ));
            }
            if let Some(before) = rules[..position].iter().position(named) {
                return Err(format!(
                    "{at}.name must be another than that of rules.{before}, got `{}`",
                    cut(&rule.name)
                ));
            }
            checked.push(Checked::new(rule, &at)?);
        }
        Ok(Self(checked))
    }

    /// Categories of events that any rule or the budget is about.
    pub(crate) fn categories(&self) -> Vec<&str> {
        let named = |category: &&str| {
            self.0
                .iter()
                .any(|rule| rule.categories.iter().any(|own| own == category))
        };
        CATEGORIES
            .into_iter()
            .filter(|category| OWN.contains(category) || named(category))
            .collect()
    }

    /// What becomes of an event. One without an identifier cannot be sampled and is left over.
    pub(crate) fn judge(&self, event: &Event<'_>, id: &[u8]) -> Verdict {
        let (category, failed) = (event.category(), event.has_failed());
        let own = OWN.contains(&category);
        let decides = |rule: &Checked| {
            (own || rule.categories.iter().any(|named| named == category))
                && (!failed || rule.failed)
                && rule
                    .conditions
                    .iter()
                    .all(|condition| condition.holds(event))
        };
        match self
            .0
            .iter()
            .position(decides)
            .map(|at| (at, self.0[at].action))
        {
            Some((_, Action::Keep)) => Verdict::Keep,
            Some((at, Action::Drop)) => Verdict::Drop(at),
            Some((at, Action::Sample(share)))
                if !id.is_empty() && !sampled(id, Purpose::Rule, share) =>
            {
                Verdict::Drop(at)
            }
            _ if own && !failed => Verdict::Left,
            _ => Verdict::Keep,
        }
    }
}

impl Checked {
    fn new(rule: &Rule, at: &str) -> Result<Self, String> {
        let count = rule.field_selectors.len();
        if !(1..=MOST_SELECTORS).contains(&count) {
            return Err(format!(
                "{at}.field_selectors must have 1 to {MOST_SELECTORS} elements, got {count}"
            ));
        }
        if let Action::Sample(share) = rule.action {
            chance::check(share, &format!("{at}.action.sample"))?;
        }
        let mut conditions = Vec::with_capacity(count);
        for (position, selector) in rule.field_selectors.iter().enumerate() {
            conditions.push(Condition::new(
                selector,
                &format!("{at}.field_selectors.{position}"),
            )?);
        }
        let of = |name| {
            conditions
                .iter()
                .filter(move |condition: &&Condition| condition.name == name)
        };
        Ok(Self {
            categories: of(Name::Category)
                .flat_map(Condition::equals)
                .cloned()
                .collect(),
            failed: of(Name::Error).next().is_some(),
            action: rule.action,
            conditions,
        })
    }
}
