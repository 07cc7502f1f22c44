//! Correlations: what several matches in a span of time mean together. Compiled here; counting is the
//! work of whoever has windows.

use std::collections::HashMap;

use crate::{
    Fault,
    field::{FieldId, Fields},
    item::{self, cut},
    matcher::Order,
    yaml::{Node, Value},
};

/// Rules of one correlation, and fields that it groups by.
const MAX_RULES: usize = 100;
/// The longest span: what a host's windows can be.
const MAX_SECONDS: u32 = 30 * 86_400;

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Count {
    /// Matches.
    Events,
    /// Different values of a field.
    Values(FieldId),
    /// The sum of a field.
    Sum(FieldId),
    /// The sum of a field over the number of matches.
    Average(FieldId),
    /// Different rules that matched.
    Rules,
    /// The same, one after the other in their order.
    RulesInOrder,
}

/// One rule that a correlation is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Of {
    /// By its position among the detections.
    Detection(u32),
    /// By its position among the correlations; always an earlier one.
    Correlation(usize),
}

/// A compiled correlation.
#[derive(Clone, Debug)]
pub struct Correlation {
    /// Its position among the rules of the pack.
    pub rule: usize,
    /// What is counted.
    pub count: Count,
    /// The rules, each with the fields that it is grouped by.
    pub of: Vec<(Of, Vec<FieldId>)>,
    /// The span of time.
    pub seconds: u32,
    /// Whether only correlations want to know of it.
    pub silent: bool,
    limits: Vec<(Order, f64)>,
}

impl Correlation {
    /// Whether a count is what the correlation waits for.
    #[must_use]
    pub fn holds(&self, count: f64) -> bool {
        self.limits
            .iter()
            .all(|(order, limit)| order.holds(count, *limit))
    }
}

/// A correlation whose rules are not yet looked up.
pub(crate) struct Draft {
    pub(crate) rule: usize,
    pub(crate) line: u32,
    count: Count,
    /// Names of rules, each with its line.
    pub(crate) names: Vec<(String, u32)>,
    group: Vec<(String, u32)>,
    aliases: HashMap<String, Vec<(String, String)>>,
    seconds: u32,
    limits: Vec<(Order, f64)>,
    pub(crate) generate: bool,
}

impl Draft {
    pub(crate) fn read(rule: usize, section: &Node, fields: &mut Fields) -> Result<Self, Fault> {
        let fault = |key: &str, reason: &str| {
            let line = section.get(key).map_or(section.line, |node| node.line);
            Fault::new(line, format!("correlation: {reason}"))
        };
        let kind = section.get("type").and_then(Node::text).unwrap_or_default();
        let condition = section.get("condition");
        let field = condition.and_then(|condition| condition.get("field"));
        let mut counted = || match field.and_then(Node::text) {
            Some(name) => item::field(name, section.line, fields),
            None => Err(fault("condition", "its condition must name one `field`")),
        };
        let count = match kind {
            "event_count" => Count::Events,
            "value_count" => Count::Values(counted()?),
            "value_sum" => Count::Sum(counted()?),
            "value_avg" => Count::Average(counted()?),
            "temporal" => Count::Rules,
            "temporal_ordered" => Count::RulesInOrder,
            other => {
                let known =
                    "event_count, value_count, temporal, temporal_ordered, value_sum, value_avg";
                return Err(fault(
                    "type",
                    &format!("type must be one of {known}, got `{}`", cut(other)),
                ));
            }
        };
        let names = texts(section.get("rules"));
        if names.is_empty() || names.len() > MAX_RULES {
            return Err(fault(
                "rules",
                &format!("`rules` must name 1 to {MAX_RULES} rules"),
            ));
        }
        let group = texts(section.get("group-by"));
        if group.len() > MAX_RULES {
            return Err(fault(
                "group-by",
                &format!("`group-by` takes at most {MAX_RULES} fields"),
            ));
        }
        let timespan = section
            .get("timespan")
            .and_then(Node::text)
            .unwrap_or_default();
        let Some(seconds) = seconds(timespan) else {
            return Err(fault(
                "timespan",
                "`timespan` must be a number with s, m, h or d, from 1s to 30d",
            ));
        };
        let limits = match condition {
            Some(condition) => limits(condition)?,
            None => Vec::new(),
        };
        let temporal = matches!(count, Count::Rules | Count::RulesInOrder);
        let limits = match (limits.is_empty(), temporal) {
            #[allow(clippy::cast_precision_loss, reason = "at most a hundred")]
            (true, true) => vec![(Order::Gte, names.len() as f64)],
            (true, false) => {
                return Err(fault("condition", "it needs a condition such as `gte: 10`"));
            }
            (false, _) => limits,
        };
        Ok(Self {
            rule,
            line: section.line,
            count,
            names,
            group,
            aliases: aliases(section.get("aliases"))?,
            seconds,
            limits,
            generate: section
                .get("generate")
                .is_some_and(|node| node.value == Value::Bool(true)),
        })
    }

    /// The correlation, with its rules as they were found.
    pub(crate) fn resolve(&self, of: Vec<Of>, fields: &mut Fields) -> Result<Correlation, Fault> {
        let mut all = Vec::new();
        for (of, (name, _)) in of.into_iter().zip(&self.names) {
            let group = self.group.iter().map(|(field, line)| {
                let Some(alias) = self.aliases.get(field) else {
                    return item::field(field, *line, fields);
                };
                match alias.iter().find(|(rule, _)| rule == name) {
                    Some((_, field)) => item::field(field, *line, fields),
                    None => Err(Fault::new(
                        *line,
                        format!(
                            "correlation: alias `{}` does not say what it is in rule `{}`",
                            cut(field),
                            cut(name)
                        ),
                    )),
                }
            });
            all.push((of, group.collect::<Result<_, _>>()?));
        }
        Ok(Correlation {
            rule: self.rule,
            count: self.count,
            of: all,
            seconds: self.seconds,
            silent: false,
            limits: self.limits.clone(),
        })
    }
}

fn texts(node: Option<&Node>) -> Vec<(String, u32)> {
    let list = node.map_or(&[][..], Node::list);
    list.iter()
        .filter_map(|one| Some((one.text()?.trim().to_owned(), one.line)))
        .collect()
}

fn seconds(text: &str) -> Option<u32> {
    let (number, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let unit = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        _ => return None,
    };
    let number: u32 = number.parse().ok()?;
    number
        .checked_mul(unit)
        .filter(|seconds| (1..=MAX_SECONDS).contains(seconds))
}

/// The bounds of a count. One that only says what the count must stay below cannot be decided when an
/// event is seen: every window begins below it.
fn limits(condition: &Node) -> Result<Vec<(Order, f64)>, Fault> {
    let fault = |line: u32, reason: String| Err(Fault::new(line, format!("correlation: {reason}")));
    let Value::Map(members) = &condition.value else {
        return fault(
            condition.line,
            "its condition must be a map such as `gte: 10`".to_owned(),
        );
    };
    let mut limits = Vec::new();
    for (key, node) in members {
        let order = match key.text.as_str() {
            "field" => continue,
            "gt" => Order::Gt,
            "gte" => Order::Gte,
            "lt" => Order::Lt,
            "lte" => Order::Lte,
            "eq" => Order::Eq,
            other => {
                return fault(
                    key.line,
                    format!(
                        "its condition takes gt, gte, lt, lte, eq and field, got `{}`",
                        cut(other)
                    ),
                );
            }
        };
        match node
            .text()
            .and_then(|text| text.parse::<f64>().ok())
            .filter(|limit| limit.is_finite())
        {
            Some(limit) => limits.push((order, limit)),
            None => return fault(node.line, format!("`{}` must be a number", key.text)),
        }
    }
    let below = |(order, _): &(Order, f64)| matches!(order, Order::Lt | Order::Lte);
    if !limits.is_empty() && limits.iter().all(below) {
        let why = "`lt` and `lte` need a `gt` or `gte` beside them: a count grows while its window lasts, and every one begins below the limit";
        return fault(condition.line, why.to_owned());
    }
    Ok(limits)
}

/// Of each alias, the field that it is in each rule.
fn aliases(node: Option<&Node>) -> Result<HashMap<String, Vec<(String, String)>>, Fault> {
    let mut all = HashMap::new();
    let Some(node) = node else {
        return Ok(all);
    };
    let wrong = || {
        Fault::new(
            node.line,
            "correlation: `aliases` must be a map of maps: alias, rule, field".to_owned(),
        )
    };
    let map = |node: &Node| match &node.value {
        Value::Map(members) => Ok(members.clone()),
        _ => Err(wrong()),
    };
    for (alias, rules) in map(node)? {
        let mut fields = Vec::new();
        for (rule, field) in map(&rules)? {
            fields.push((rule.text, field.text().ok_or_else(wrong)?.to_owned()));
        }
        all.insert(alias.text, fields);
    }
    Ok(all)
}
