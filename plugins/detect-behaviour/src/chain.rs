//! Roles assumed from roles: how many steps led to an access key, remembered under the key handed out.

use std::collections::BTreeMap;

use sluicegate_plugin::state;

use crate::{
    facts::Facts,
    plan::{Plan, key},
    rules::Which,
    text::{Member, is_plain},
};

/// Steps that are looked up of one batch.
const MOST: usize = 500;

/// A session that assumed a role: the event, and the access key that was handed out.
pub(crate) struct Step<'a> {
    pub(crate) facts: Facts<'a>,
    pub(crate) issued: &'a str,
}

impl<'a> Step<'a> {
    /// Only keys that look like keys: they become keys of windows.
    pub(crate) fn new(facts: Facts<'a>, issued: &'a str) -> Option<Self> {
        let known = facts.kind == "AssumedRole" && is_plain(facts.access_key) && is_plain(issued);
        (known && facts.access_key != issued).then_some(Self { facts, issued })
    }
}

/// Counts each step with the number of roles that led to it. A step that arrives before the one it
/// follows counts as the second.
///
/// # Errors
/// When the host does not answer.
pub(crate) fn notice<'a>(mut steps: Vec<Step<'a>>, plan: &mut Plan<'a, '_>) -> Result<(), String> {
    let rule = Which::RolesChained;
    if steps.is_empty() || plan.rule(rule).off {
        return Ok(());
    }
    steps.truncate(MOST);
    steps.sort_by_key(|step| step.facts.time_ms);
    let keys: Vec<String> = steps
        .iter()
        .map(|step| key(rule, step.facts.access_key))
        .collect();
    let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
    let entries = state::recent(&keys, plan.rule(rule).window_s, 8)
        .map_err(|error| format!("failed to remember: {error:?}"))?;
    let mut roles: BTreeMap<&str, f64> = BTreeMap::new();
    for (step, entries) in steps.iter().zip(entries) {
        let remembered = entries.iter().map(|entry| entry.value).fold(1.0, f64::max);
        let before = roles.get(step.facts.access_key).copied().unwrap_or(1.0);
        let count = remembered.max(before) + 1.0;
        let known = roles.entry(step.issued).or_insert(count);
        *known = known.max(count);
        let principal = step.facts.principal;
        plan.count_under(
            &step.facts,
            rule,
            (rule, step.issued),
            principal,
            Member::None,
            count,
        );
    }
    Ok(())
}
