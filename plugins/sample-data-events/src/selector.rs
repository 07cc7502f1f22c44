//! Selectors as `CloudTrail` writes them in its advanced event selectors.

use std::borrow::Cow;

use sluicegate_plugin::{Field, Kind, Row, configuration};

/// A condition on one field. What is to match (`Equals`, `StartsWith`, `EndsWith`) is joined by or, what is
/// not to match (`NotEquals`, `NotStartsWith`, `NotEndsWith`) excludes each by itself, and both must hold.
#[configuration]
#[derive(Default)]
#[serde(default, rename_all = "PascalCase")]
pub struct FieldSelector {
    /// A field of the event: `eventCategory`, `eventName`, `eventSource`, `eventType`, `errorCode`,
    /// `readOnly`, `resources.type`, `resources.ARN`, `sessionCredentialFromConsole`,
    /// `userIdentity.arn` or `vpcEndpointId`.
    pub field: String,
    /// The field is one of these.
    pub equals: Vec<String>,
    /// The field is none of these.
    pub not_equals: Vec<String>,
    /// The field starts with one of these.
    pub starts_with: Vec<String>,
    /// The field starts with none of these.
    pub not_starts_with: Vec<String>,
    /// The field ends with one of these.
    pub ends_with: Vec<String>,
    /// The field ends with none of these.
    pub not_ends_with: Vec<String>,
}

/// A field that can be selected by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Name {
    Category,
    Call,
    Source,
    CallType,
    Error,
    ReadOnly,
    Types,
    Arns,
    Console,
    Who,
    Endpoint,
}

const NAMES: [(&str, Name); 11] = [
    ("eventCategory", Name::Category),
    ("eventName", Name::Call),
    ("eventSource", Name::Source),
    ("eventType", Name::CallType),
    ("errorCode", Name::Error),
    ("readOnly", Name::ReadOnly),
    ("resources.type", Name::Types),
    ("resources.ARN", Name::Arns),
    ("sessionCredentialFromConsole", Name::Console),
    ("userIdentity.arn", Name::Who),
    ("vpcEndpointId", Name::Endpoint),
];

/// Values of one rule, as many as `CloudTrail` takes for a whole trail.
const MOST_VALUES: usize = 500;
/// Characters of one value, as `CloudTrail` takes.
const MOST_CHARS: usize = 2048;

/// A condition that has been checked.
#[derive(Clone, Debug)]
pub(crate) struct Condition {
    pub(crate) name: Name,
    selector: FieldSelector,
}

impl Condition {
    /// Checks a selector; `at` is its place in the configuration.
    pub(crate) fn new(selector: &FieldSelector, at: &str) -> Result<Self, String> {
        let known = NAMES.iter().find(|(name, _)| *name == selector.field);
        let Some((field, name)) = known else {
            let names: Vec<_> = NAMES.iter().map(|(name, _)| *name).collect();
            return Err(format!(
                "{at}.Field must be one of {}, got `{}`",
                names.join(", "),
                cut(&selector.field)
            ));
        };
        let condition = Self {
            name: *name,
            selector: selector.clone(),
        };
        let mut values = 0;
        for (operator, list) in condition.operators() {
            values += list.len();
            if let Some(value) = list
                .iter()
                .find(|value| value.is_empty() || value.chars().count() > MOST_CHARS)
            {
                return Err(format!(
                    "{at}.{operator} must have values of 1 to {MOST_CHARS} characters, got one of {}",
                    value.chars().count()
                ));
            }
            let equals_only = matches!(
                name,
                Name::Category | Name::ReadOnly | Name::Types | Name::Console
            );
            if equals_only && operator != "Equals" && !list.is_empty() {
                return Err(format!(
                    "{at}.{operator} cannot be used with {field}: it takes Equals alone"
                ));
            }
        }
        if values == 0 || values > MOST_VALUES {
            return Err(format!(
                "{at} must have 1 to {MOST_VALUES} values to compare {field} with, got {values}"
            ));
        }
        let wrong = |allowed: &[&str]| {
            let mut equals = selector.equals.iter();
            equals
                .find(|value| !allowed.contains(&value.as_str()))
                .cloned()
        };
        let (allowed, wrong) = match name {
            Name::Category => {
                let allowed = &CATEGORIES[..];
                (allowed, wrong(allowed))
            }
            Name::ReadOnly | Name::Console => {
                let allowed = &["true", "false"][..];
                (allowed, wrong(allowed))
            }
            _ => (&[][..], None),
        };
        match wrong {
            Some(value) => Err(format!(
                "{at}.Equals must be of {}, got `{}`",
                allowed.join(", "),
                cut(&value)
            )),
            None => Ok(condition),
        }
    }

    /// What the field may be by `Equals`.
    pub(crate) fn equals(&self) -> &[String] {
        &self.selector.equals
    }

    fn operators(&self) -> [(&'static str, &[String]); 6] {
        let selector = &self.selector;
        [
            ("Equals", &selector.equals),
            ("NotEquals", &selector.not_equals),
            ("StartsWith", &selector.starts_with),
            ("NotStartsWith", &selector.not_starts_with),
            ("EndsWith", &selector.ends_with),
            ("NotEndsWith", &selector.not_ends_with),
        ]
    }

    /// Whether the event meets the condition. A field that an event does not have is nothing to match and
    /// nothing to exclude.
    pub(crate) fn holds(&self, event: &Event<'_>) -> bool {
        let selector = &self.selector;
        let values = event.values(self.name);
        let any = |list: &[String], test: fn(&str, &str) -> bool| {
            let mut values = values.iter();
            values.any(|value| list.iter().any(|wanted| test(value, wanted)))
        };
        let equals = |value: &str, wanted: &str| value == wanted;
        let (starts, ends) = (
            |value: &str, wanted: &str| value.starts_with(wanted),
            |value: &str, wanted: &str| value.ends_with(wanted),
        );
        let positive = [&selector.equals, &selector.starts_with, &selector.ends_with];
        let selected = positive.iter().all(|list| list.is_empty())
            || any(&selector.equals, equals)
            || any(&selector.starts_with, starts)
            || any(&selector.ends_with, ends);
        selected
            && !any(&selector.not_equals, equals)
            && !any(&selector.not_starts_with, starts)
            && !any(&selector.not_ends_with, ends)
    }
}

/// Categories of events that can be named.
pub(crate) const CATEGORIES: [&str; 5] = [
    "Data",
    "NetworkActivity",
    "Management",
    "Insight",
    "Aggregated",
];

/// A value for a message, not longer than a line.
pub(crate) fn cut(value: &str) -> String {
    value
        .chars()
        .take(64)
        .map(|c| if c.is_control() { '?' } else { c })
        .collect()
}

/// Where the fields stand.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fields {
    pub(crate) category: Field,
    pub(crate) name: Field,
    pub(crate) source: Field,
    pub(crate) event_type: Field,
    pub(crate) error: Field,
    pub(crate) read_only: Field,
    pub(crate) types: Field,
    pub(crate) arns: Field,
    pub(crate) console: Field,
    pub(crate) who: Field,
    pub(crate) endpoint: Field,
}

/// An event as conditions see it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Event<'a> {
    row: Row<'a>,
    fields: Fields,
}

impl<'a> Event<'a> {
    pub(crate) fn new(row: Row<'a>, fields: Fields) -> Self {
        Self { row, fields }
    }

    pub(crate) fn category(&self) -> &'a str {
        self.row.str(self.fields.category).unwrap_or_default()
    }

    pub(crate) fn has_failed(&self) -> bool {
        self.row.has(self.fields.error)
    }

    /// The values of a field: one, or of resources several.
    fn values(&self, name: Name) -> Vec<Cow<'a, str>> {
        let fields = &self.fields;
        let field = match name {
            Name::Category => fields.category,
            Name::Call => fields.name,
            Name::Source => fields.source,
            Name::CallType => fields.event_type,
            Name::Error => fields.error,
            Name::ReadOnly => fields.read_only,
            Name::Types => fields.types,
            Name::Arns => fields.arns,
            Name::Console => fields.console,
            Name::Who => fields.who,
            Name::Endpoint => fields.endpoint,
        };
        match self.row.kind(field) {
            Kind::Absent | Kind::Null => Vec::new(),
            Kind::Array => {
                let list = self.row.json(field).unwrap_or_default();
                let list: Vec<serde_json::Value> = serde_json::from_str(list).unwrap_or_default();
                let texts = list.into_iter().filter_map(|value| match value {
                    serde_json::Value::String(text) => Some(Cow::Owned(text)),
                    _ => None,
                });
                texts.collect()
            }
            _ => vec![String::from_utf8_lossy(self.row.bytes(field))],
        }
    }
}
