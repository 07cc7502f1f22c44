//! One document of a rule file: what it says of itself, and its detections.

use std::sync::Arc;

use crate::{
    Fault,
    condition::{self, Detections, Expr},
    item::{self, Context, cut},
    yaml::{Node, Value},
};

/// How much a match matters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs, reason = "Sigma's own words")]
pub enum Level {
    Informational,
    Low,
    /// Also that of a rule which names none.
    #[default]
    Medium,
    High,
    Critical,
}

impl Level {
    fn named(name: &str) -> Option<Self> {
        Some(match name {
            "informational" => Self::Informational,
            "low" => Self::Low,
            "medium" => Self::Medium,
            "high" => Self::High,
            "critical" => Self::Critical,
            _ => return None,
        })
    }

    /// Its name, as rules write it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Informational => "informational",
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }
}

/// What kind of document it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Decided by one event.
    Detection,
    /// Decided by several events in a span of time.
    Correlation,
    /// Keeps other rules from matching.
    Filter,
    /// Not known, because the file could not be read.
    Unknown,
}

/// What became of a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// It takes part.
    Compiled,
    /// It does not, because it cannot.
    Refused(Fault),
    /// It does not, because it is about something else.
    Skipped(String),
}

/// One document of a pack.
#[derive(Clone, Debug)]
pub struct Rule {
    /// The file.
    pub path: String,
    /// The line it begins at.
    pub line: u32,
    /// Its `id`; without one the words of its title, joined by hyphens.
    pub id: String,
    /// The name that correlations may call it by.
    pub name: String,
    /// One line.
    pub title: String,
    /// What it finds.
    pub description: String,
    /// How much a match matters.
    pub level: Level,
    /// `stable`, `test`, `experimental` and so on; empty where it says nothing.
    pub status: String,
    /// All tags, in the rule's order.
    pub tags: Vec<String>,
    /// Where to read more.
    pub references: Vec<String>,
    /// Who does the same for good reasons.
    pub false_positives: Vec<String>,
    /// What kind of document it is.
    pub kind: Kind,
    /// What must hold, for people; only where [`Options::readable`](crate::Options) asks for it.
    pub condition: String,
    /// What became of it.
    pub state: State,
}

impl Rule {
    /// A file of which not even the rules are known.
    pub(crate) fn unreadable(path: &str, fault: Fault) -> Self {
        Self {
            path: path.to_owned(),
            line: fault.line,
            id: String::new(),
            name: String::new(),
            title: String::new(),
            description: String::new(),
            level: Level::default(),
            status: String::new(),
            tags: Vec::new(),
            references: Vec::new(),
            false_positives: Vec::new(),
            kind: Kind::Unknown,
            condition: String::new(),
            state: State::Refused(fault),
        }
    }

    /// What a document says of itself.
    pub(crate) fn of(path: &str, document: &Node) -> Self {
        let text = |key: &str| {
            let text = document.get(key).and_then(Node::text);
            text.unwrap_or_default().trim().to_owned()
        };
        let list = |key: &str| {
            let list = document.get(key).map_or(&[][..], Node::list);
            let texts = list.iter().filter_map(Node::text);
            texts.map(|text| text.trim().to_owned()).collect()
        };
        let kinds = [
            ("correlation", Kind::Correlation),
            ("filter", Kind::Filter),
            ("detection", Kind::Detection),
        ];
        let kind = kinds.iter().find(|(key, _)| document.get(key).is_some());
        let title = text("title");
        let mut rule = Self {
            path: path.to_owned(),
            line: document.line,
            id: text("id").to_lowercase(),
            name: text("name"),
            description: text("description"),
            level: Level::default(),
            status: text("status"),
            tags: list("tags"),
            references: list("references"),
            false_positives: list("falsepositives"),
            kind: kind.map_or(Kind::Unknown, |(_, kind)| *kind),
            condition: String::new(),
            state: State::Compiled,
            title,
        };
        if rule.id.is_empty() {
            rule.id = slug(&rule.title);
        }
        if let Err(fault) = rule.check(document) {
            rule.state = State::Refused(fault);
        } else if let Some(other) = other_source(document) {
            rule.state = State::Skipped(other);
        }
        rule
    }

    fn check(&mut self, document: &Node) -> Result<(), Fault> {
        let at = |key: &str| document.get(key).map_or(document.line, |node| node.line);
        let wrong = |key: &str, reason: String| Err(Fault::new(at(key), reason));
        if self.kind == Kind::Unknown {
            let what = match document.get("action") {
                Some(_) => "uses `action`, which is retired: write each rule in full",
                None => "is no Sigma rule: it has no `detection`, `correlation` or `filter`",
            };
            return wrong("action", what.to_owned());
        }
        if self.title.is_empty() {
            return wrong("title", "has no `title`".to_owned());
        }
        if self.id.is_empty() || self.id.len() > 128 {
            return wrong(
                "id",
                "must have an `id` of at most 128 bytes, or a title that has letters".to_owned(),
            );
        }
        if let Some(level) = document.get("level").and_then(Node::text) {
            let Some(level) = Level::named(level) else {
                let levels = "informational, low, medium, high, critical";
                return wrong(
                    "level",
                    format!("level must be one of {levels}, got `{}`", cut(level)),
                );
            };
            self.level = level;
        }
        Ok(())
    }

    /// ATT&CK techniques of the tags, as `T1078.004`.
    pub fn techniques(&self) -> impl Iterator<Item = String> {
        let attack = self
            .tags
            .iter()
            .filter_map(|tag| tag.strip_prefix("attack."));
        let is_technique = |tag: &&str| {
            let mut rest = tag.chars();
            rest.next().is_some_and(|t| t == 't' || t == 'T')
                && rest.next().is_some_and(|c| c.is_ascii_digit())
        };
        attack.filter(is_technique).map(str::to_uppercase)
    }

    /// ATT&CK tactics of the tags, as `Privilege Escalation`.
    pub fn tactics(&self) -> impl Iterator<Item = String> {
        let attack = self
            .tags
            .iter()
            .filter_map(|tag| tag.strip_prefix("attack."));
        let is_tactic = |tag: &&str| !tag.bytes().any(|byte| byte.is_ascii_digit());
        attack.filter(is_tactic).map(|tactic| {
            let words = tactic.split(['-', '_']).map(|word| match word {
                "and" => word.to_owned(),
                _ => word
                    .chars()
                    .take(1)
                    .flat_map(char::to_uppercase)
                    .chain(word.chars().skip(1))
                    .collect(),
            });
            words.collect::<Vec<String>>().join(" ")
        })
    }
}

/// What a rule is about when that is not `CloudTrail`.
fn other_source(document: &Node) -> Option<String> {
    let source = document.get("logsource")?;
    let value = |key: &str| source.get(key).and_then(Node::text);
    let is =
        |key: &str, wanted: &str| value(key).is_none_or(|value| value.eq_ignore_ascii_case(wanted));
    if is("product", "aws") && is("service", "cloudtrail") && value("category").is_none() {
        return None;
    }
    let parts = ["product", "service", "category"];
    let named: Vec<_> = parts
        .iter()
        .filter_map(|key| Some(format!("{key} {}", cut(value(key)?))))
        .collect();
    Some(format!(
        "is about {}, not about CloudTrail",
        named.join(", ")
    ))
}

/// Lower-case words joined by hyphens.
fn slug(title: &str) -> String {
    let words = title
        .split(|c: char| !c.is_ascii_alphanumeric())
        .filter(|word| !word.is_empty());
    let slug = words.collect::<Vec<_>>().join("-").to_lowercase();
    slug.chars().take(100).collect()
}

/// Compiles the detections that stand beside a condition, and the condition. `apart` are the members of
/// that map that are no detections.
pub(crate) fn compile(
    section: &Node,
    apart: &[&str],
    context: &mut Context<'_>,
) -> Result<Expr, Fault> {
    let Value::Map(members) = &section.value else {
        return Err(Fault::new(
            section.line,
            format!("must be a map of detections, got {}", section.kind()),
        ));
    };
    let mut detections = Detections::new();
    for (key, node) in members {
        if key.text != "condition" && key.text != "timeframe" && !apart.contains(&key.text.as_str())
        {
            let detection = detection(node, context)?;
            detections.push((key.text.clone(), Arc::new(detection)));
        }
    }
    let Some(condition) = section.get("condition") else {
        return Err(Fault::new(section.line, "has no `condition`".to_owned()));
    };
    let mut any = Vec::new();
    for one in condition.list() {
        let at = |reason| Fault::new(one.line, reason);
        let text = one
            .text()
            .ok_or_else(|| at(format!("the condition must be a text, got {}", one.kind())))?;
        any.push(condition::parse(text, &detections).map_err(at)?);
    }
    if any.is_empty() {
        return Err(Fault::new(
            condition.line,
            "the condition is empty".to_owned(),
        ));
    }
    Ok(Expr::any(any))
}

/// A map of lines, a list of such maps, or keywords.
fn detection(node: &Node, context: &mut Context<'_>) -> Result<Expr, Fault> {
    match &node.value {
        Value::Map(lines) => {
            if lines.is_empty() {
                return Err(Fault::new(node.line, "a detection is empty".to_owned()));
            }
            let lines = lines.iter().map(|(key, value)| {
                item::compile(&key.text, key.line, value, context).map(Expr::Item)
            });
            Ok(Expr::all(lines.collect::<Result<_, _>>()?))
        }
        Value::List(list)
            if list
                .iter()
                .any(|one| matches!(one.value, Value::Map(_) | Value::List(_))) =>
        {
            if list.iter().any(|one| !matches!(one.value, Value::Map(_))) {
                let mixed = "a list must hold maps only or keywords only";
                return Err(Fault::new(node.line, mixed.to_owned()));
            }
            let maps = list.iter().map(|map| detection(map, context));
            Ok(Expr::any(maps.collect::<Result<_, _>>()?))
        }
        Value::Null => Err(Fault::new(node.line, "a detection is empty".to_owned())),
        _ => item::compile("", node.line, node, context).map(Expr::Item),
    }
}
