//! Which events reach a sink: those of the kinds that it accepts, and of these the ones that its clauses
//! match. Clauses are those of plugins' subscriptions, tried by the same matcher on the same columns.

use std::{borrow::Cow, collections::BTreeSet};

use serde::{Deserialize, Serialize};

use crate::{
    columns::Path,
    config::Problems,
    effects::EventView,
    event::ObjectKind,
    plugin::{
        abi::{self, Test},
        matcher::{Matcher, Row},
        pointer::is_pointer,
    },
    sink::Accept,
};

const MAX_CLAUSES: usize = 1_000;
const MAX_CONDITIONS: usize = 64;
/// Values of all conditions together.
const MAX_VALUES: usize = 20_000;
/// Places that all conditions look at: each is read of every event.
const MAX_PLACES: usize = 100;

/// One test on one place of the event as `CloudTrail` wrote it. Exactly one of `one_of`, `starts_with` and
/// `present` says which.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Condition {
    /// JSON Pointer to the place, such as `/eventSource`.
    pub path: String,
    /// The value is one of these; a number or a boolean counts as its text.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub one_of: Vec<String>,
    /// The value begins with one of these.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub starts_with: Vec<String>,
    /// Whether there is a value; null is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub present: Option<bool>,
}

impl Condition {
    /// Nothing unless it says exactly one thing.
    fn test(&self) -> Option<Test> {
        match (
            self.one_of.as_slice(),
            self.starts_with.as_slice(),
            self.present,
        ) {
            ([_, ..], [], None) => Some(Test::OneOf(self.one_of.clone())),
            ([], [_, ..], None) => Some(Test::StartsWith(self.starts_with.clone())),
            ([], [], Some(true)) => Some(Test::Present),
            ([], [], Some(false)) => Some(Test::Absent),
            _ => None,
        }
    }
}

/// Any of these, each of which asks for all of its conditions. None at all lets every event pass.
pub type Clauses = Vec<Vec<Condition>>;

/// Reports clauses that cannot be tried; `at` is their key.
pub(crate) fn validate(clauses: &Clauses, at: &str, problems: &mut Problems) {
    let mut bounded = |what: &str, count: usize, range: std::ops::RangeInclusive<usize>| {
        problems.range(&format!("{at}{what}"), count, range);
    };
    bounded(" (how many clauses)", clauses.len(), 0..=MAX_CLAUSES);
    let values = |condition: &Condition| condition.one_of.len() + condition.starts_with.len();
    let values = clauses.iter().flatten().map(values).sum();
    bounded(" (how many values)", values, 0..=MAX_VALUES);
    let places: BTreeSet<&str> = clauses
        .iter()
        .flatten()
        .map(|one| one.path.as_str())
        .collect();
    bounded(" (how many places)", places.len(), 0..=MAX_PLACES);
    for (number, conditions) in clauses.iter().enumerate() {
        let at = format!("{at}[{number}]");
        let key = format!("{at} (how many conditions)");
        problems.range(&key, conditions.len(), 1..=MAX_CONDITIONS);
        for (number, condition) in conditions.iter().enumerate() {
            let at = format!("{at}[{number}]");
            if let Err(problem) = place(&condition.path) {
                let path = crate::text::shown(&condition.path);
                problems.push(format!("{at}.path {problem}, got `{path}`"));
            }
            if condition.test().is_none() {
                problems.push(format!(
                    "{at} must have exactly one of one_of (values), starts_with (values) and present"
                ));
            }
        }
    }
}

fn place(path: &str) -> Result<(), &'static str> {
    if path.is_empty() || !is_pointer(path) || Path::parse(path).is_err() {
        Err("must be a JSON Pointer such as /eventSource, of at most 32 segments")
    } else if path.split('/').any(|segment| segment == "*") {
        Err("must name one place, without *")
    } else if path == "/sluicegate" || path.starts_with("/sluicegate/") {
        Err("must lie in the event as CloudTrail wrote it")
    } else {
        Ok(())
    }
}

/// The places that clauses look at, each once.
pub(crate) fn paths(clauses: &Clauses) -> Vec<&str> {
    let mut paths = Vec::new();
    for condition in clauses.iter().flatten() {
        if !paths.contains(&condition.path.as_str()) {
            paths.push(&condition.path);
        }
    }
    paths
}

/// What one sink takes of the events of one object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Taken {
    Nothing,
    /// Those in which a plugin found something.
    Found,
    Everything,
}

/// What one sink takes.
#[derive(Debug)]
pub(crate) struct Selection {
    accept: Vec<Accept>,
    clauses: Option<Matcher>,
}

impl Selection {
    /// Nothing where the sink takes no events. The columns of [`paths`] follow the sink's own fields, of which
    /// there are `fields`.
    pub(crate) fn of(accept: &[Accept], clauses: &Clauses, fields: usize) -> Option<Self> {
        let takes_events = accept.iter().any(|kind| *kind != Accept::Findings);
        takes_events.then(|| Self {
            accept: accept.to_vec(),
            clauses: (!clauses.is_empty()).then(|| matcher(clauses, fields)),
        })
    }

    /// Of an object of this kind.
    pub(crate) fn of_object(&self, kind: ObjectKind) -> Taken {
        let takes = |accept| self.accept.contains(&accept);
        match kind {
            ObjectKind::Digest if takes(Accept::Digests) => Taken::Everything,
            ObjectKind::Digest => Taken::Nothing,
            _ if takes(Accept::Events) => Taken::Everything,
            ObjectKind::Insight if takes(Accept::Insights) => Taken::Everything,
            _ if takes(Accept::EventsWithFindings) => Taken::Found,
            _ => Taken::Nothing,
        }
    }

    /// Whether every event passes the clauses, because there are none.
    pub(crate) fn has_no_clause(&self) -> bool {
        self.clauses.is_none()
    }

    /// Whether one event passes the clauses, by what it was before any mask. `seen` is scratch space.
    pub(crate) fn matches(&self, event: &EventView<'_>, seen: &mut Vec<usize>) -> bool {
        let Some(clauses) = &self.clauses else {
            return true;
        };
        let mut matched = false;
        clauses.matches(&Original(event), seen, |_| matched = true);
        matched
    }
}

fn matcher(clauses: &Clauses, fields: usize) -> Matcher {
    let places = paths(clauses);
    let column = |path: &str| {
        let place = places.iter().position(|place| *place == path);
        fields + place.expect("a path of these clauses")
    };
    let condition = |condition: &Condition| {
        let test = condition.test()?;
        Some(abi::Condition {
            path: condition.path.clone(),
            test,
        })
    };
    // What says nothing was refused when the configuration was read; from code it lets nothing pass.
    let clauses: Vec<_> = clauses
        .iter()
        .filter_map(|conditions| conditions.iter().map(condition).collect::<Option<Vec<_>>>())
        .collect();
    let mut matcher = Matcher::default();
    if !clauses.is_empty() {
        matcher.add(0, &clauses, column);
    }
    matcher
}

struct Original<'a>(&'a EventView<'a>);

impl Row for Original<'_> {
    fn text(&self, column: usize) -> Option<Cow<'_, [u8]>> {
        self.0.original(column)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::{
        effects::Processed,
        event::{EventBatch, Object, ObjectRef, Span},
    };

    fn clauses(json: &str) -> Clauses {
        serde_json::from_str(json).unwrap()
    }

    /// Which of these events pass; the sink reads a field of its own before.
    fn passing(clauses: &Clauses, events: &[&str]) -> Vec<usize> {
        let reference = ObjectRef {
            bucket: "b".into(),
            key: "k".into(),
            version: None,
        };
        let object = Arc::new(Object::new(reference, "1".into(), ObjectKind::Log));
        let (mut data, mut spans) = (Vec::new(), Vec::new());
        for (index, event) in events.iter().enumerate() {
            let start = u32::try_from(data.len()).unwrap();
            data.extend_from_slice(event.as_bytes());
            spans.push(Span {
                start,
                end: u32::try_from(data.len()).unwrap(),
                index: u32::try_from(index).unwrap(),
            });
        }
        let mut fields = vec!["/eventTime"];
        fields.extend(paths(clauses));
        let processed = Processed::untouched(EventBatch::new(object, data, spans), &fields);
        let selection = Selection::of(&[Accept::Events], clauses, 1).unwrap();
        let mut seen = Vec::new();
        let passes = |row: &usize| selection.matches(&processed.view(*row, 0), &mut seen);
        (0..events.len()).filter(passes).collect()
    }

    #[test]
    fn any_clause_with_all_its_conditions_lets_an_event_pass() {
        let clauses = clauses(
            r#"[[{"path":"/eventSource","one_of":["iam.amazonaws.com"]},{"path":"/errorCode","present":true}],
                [{"path":"/eventName","starts_with":["Delete"]}],
                [{"path":"/eventName","one_of":["StopLogging"]},{"path":"/readOnly","one_of":["false"]}]]"#,
        );
        let events = [
            r#"{"eventSource":"iam.amazonaws.com","errorCode":"AccessDenied"}"#,
            r#"{"eventSource":"iam.amazonaws.com","errorCode":null}"#,
            r#"{"eventName":"DeleteBucket"}"#,
            r#"{"eventName":"StopLogging","readOnly":false}"#,
            r#"{"eventName":"StopLogging","readOnly":true}"#,
            r#"{"eventName":"\u0044eleteBucket"}"#,
            "{}",
        ];
        assert_eq!(passing(&clauses, &events), [0, 2, 3, 5]);
        let absent = self::clauses(r#"[[{"path":"/errorCode","present":false}]]"#);
        assert_eq!(passing(&absent, &events), [1, 2, 3, 4, 5, 6]);
        assert_eq!(passing(&Vec::new(), &events).len(), events.len());
    }

    #[test]
    fn insights_are_taken_beside_events_with_findings_or_alone_and_digests_only_by_name() {
        use Accept::{Digests, Events, EventsWithFindings, Findings, Insights};
        use ObjectKind::{Digest, Insight, Log};

        let taken = |accept: &[Accept], kind| {
            let selection = Selection::of(accept, &Vec::new(), 0);
            selection.map(|selection| selection.of_object(kind))
        };
        for (accept, of_insight, of_log) in [
            (&[Events][..], Taken::Everything, Taken::Everything),
            (&[Insights], Taken::Everything, Taken::Nothing),
            (&[Findings, Insights], Taken::Everything, Taken::Nothing),
            (
                &[EventsWithFindings, Insights],
                Taken::Everything,
                Taken::Found,
            ),
            (&[EventsWithFindings], Taken::Found, Taken::Found),
        ] {
            assert_eq!(taken(accept, Insight), Some(of_insight), "{accept:?}");
            assert_eq!(taken(accept, Log), Some(of_log), "{accept:?}");
            assert_eq!(taken(accept, Digest), Some(Taken::Nothing), "{accept:?}");
        }
        assert_eq!(taken(&[Events, Digests], Digest), Some(Taken::Everything));
        assert_eq!(taken(&[Digests], Insight), Some(Taken::Nothing));
        assert_eq!(taken(&[Findings], Log), None);
    }

    #[test]
    fn what_cannot_be_tried_is_named_with_its_place() {
        let wrong = clauses(
            r#"[[],[{"path":"eventName","present":true},{"path":"/a/*","present":true}],
                [{"path":"/sluicegate/x","one_of":["v"],"present":true}],[{"path":"/a"}]]"#,
        );
        let mut problems = Problems::default();
        validate(&wrong, "sinks.s.match", &mut problems);
        assert_eq!(
            problems.lines(),
            [
                "sinks.s.match[0] (how many conditions) must be between 1 and 64, got 0",
                "sinks.s.match[1][0].path must be a JSON Pointer such as /eventSource, of at most 32 segments, got `eventName`",
                "sinks.s.match[1][1].path must name one place, without *, got `/a/*`",
                "sinks.s.match[2][0].path must lie in the event as CloudTrail wrote it, got `/sluicegate/x`",
                "sinks.s.match[2][0] must have exactly one of one_of (values), starts_with (values) and present",
                "sinks.s.match[3][0] must have exactly one of one_of (values), starts_with (values) and present",
            ]
        );
        let deep = |segments: usize| {
            let path = "/a".repeat(segments);
            let mut problems = Problems::default();
            let condition = Condition {
                path,
                present: Some(true),
                ..Condition::default()
            };
            validate(&vec![vec![condition]], "m", &mut problems);
            problems.is_empty()
        };
        assert!(deep(32) && !deep(33));
        // From code, where nobody looked: it lets nothing pass.
        assert_eq!(
            passing(&clauses(r#"[[{"path":"/a"}]]"#), &["{\"a\":1}"]),
            [0; 0]
        );
    }
}
